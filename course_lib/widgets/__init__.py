"""Explorers, quizzes and predictions: pages within a page, which need no kernel; each with one call."""

from course_lib.widgets.convolution import convolution_explorer
from course_lib.widgets.page import Page

__all__ = [
    "Page",
    "convolution_explorer",
]
