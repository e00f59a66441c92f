"""The checks of lesson 3, training."""

from course_lib.exercises.lesson_3 import decisions, folder_images, profiling, steps

__all__ = ["decisions", "folder_images", "profiling", "steps"]
