"""The checks of lesson 1, CNN anatomy."""

from course_lib.exercises.lesson_1 import arithmetic, layers

__all__ = ["arithmetic", "layers"]
