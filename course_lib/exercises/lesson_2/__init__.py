"""The checks of lesson 2, building PneumoniaCNN."""

from course_lib.exercises.lesson_2 import data, networks

__all__ = ["data", "networks"]
