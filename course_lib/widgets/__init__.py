"""Explorers, quizzes and predictions: pages within a page, which need no kernel; each with one call."""

from course_lib.widgets.convolution import convolution_explorer
from course_lib.widgets.descent import descent_explorer
from course_lib.widgets.page import Page
from course_lib.widgets.training import training_explorer

__all__ = [
    "Page",
    "convolution_explorer",
    "descent_explorer",
    "training_explorer",
]
