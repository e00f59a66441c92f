"""Exercises that check themselves: `check` an answer, ask for a `hint` or the `solution`, see your `progress`.

Each task is a file in `tasks`; README.md says how to add one.
"""

from course_lib.exercises.engine import Result, check
from course_lib.exercises.record import hint, progress, solution

__all__ = ["Result", "check", "hint", "progress", "solution"]
