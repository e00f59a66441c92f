"""Explorers, quizzes and predictions: pages within a page, which need no kernel; each with one call."""

from course_lib.widgets.convolution import convolution_explorer
from course_lib.widgets.page import Page
from course_lib.widgets.pooling import pooling_explorer
from course_lib.widgets.shapes import shape_explorer

__all__ = [
    "Page",
    "convolution_explorer",
    "pooling_explorer",
    "shape_explorer",
]
