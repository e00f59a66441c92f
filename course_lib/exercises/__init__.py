"""Exercises that check themselves: `check` an answer, ask for a `hint` or the `solution`, see your `progress`.

One module for each lesson holds its checks; the pages are in notebooks/source/exercises.
"""

from course_lib.exercises.engine import Result, check
from course_lib.exercises.record import hint, progress
from course_lib.exercises.solutions import solution

__all__ = ["Result", "check", "hint", "progress", "solution"]
