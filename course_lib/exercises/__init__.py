"""Exercises that check themselves: `check` an answer, ask for a `hint` or the `solution`, see your `progress`.

The checks of each lesson are in `lesson_1` to `lesson_6`, the pages in notebooks/source/exercises.
"""

from course_lib.exercises.engine import Result, check
from course_lib.exercises.record import hint, progress
from course_lib.exercises.solutions import solution

__all__ = ["Result", "check", "hint", "progress", "solution"]
