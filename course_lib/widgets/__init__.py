"""Explorers, quizzes and predictions: pages within a page, which need no kernel; each with one call."""

from course_lib.widgets.convolution import convolution_explorer
from course_lib.widgets.page import Page
from course_lib.widgets.pooling import pooling_explorer
from course_lib.widgets.predict import Predict
from course_lib.widgets.quiz import Quiz
from course_lib.widgets.shapes import shape_explorer

__all__ = [
    "Page",
    "Predict",
    "Quiz",
    "convolution_explorer",
    "pooling_explorer",
    "shape_explorer",
]
