"""Exercises as graded work: release a page. nbgrader's files throughout."""

from course_lib.classroom.hidden import demand
from course_lib.classroom.release import release

__all__ = ["demand", "release"]
