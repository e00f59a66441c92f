"""Explorers, quizzes and predictions: pages within a page, which need no kernel; each with one call."""

from course_lib.widgets.convolution import convolution_explorer
from course_lib.widgets.page import Page
from course_lib.widgets.quiz import Quiz

__all__ = [
    "Page",
    "Quiz",
    "convolution_explorer",
]
