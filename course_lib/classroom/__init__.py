"""Exercises as graded work. nbgrader's files throughout."""

from course_lib.classroom.hidden import demand

__all__ = ["demand"]
