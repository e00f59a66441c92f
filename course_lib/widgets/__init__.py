"""Explorers, quizzes and predictions: pages within a page, which need no kernel; each with one call."""

from course_lib.widgets.convolution import convolution_explorer
from course_lib.widgets.descent import descent_explorer
from course_lib.widgets.features import FeatureExplorer, feature_explorer
from course_lib.widgets.page import Page
from course_lib.widgets.pooling import pooling_explorer
from course_lib.widgets.predict import Predict
from course_lib.widgets.quiz import Quiz
from course_lib.widgets.shapes import shape_explorer
from course_lib.widgets.threshold import threshold_explorer
from course_lib.widgets.training import training_explorer

__all__ = [
    "FeatureExplorer",
    "Page",
    "Predict",
    "Quiz",
    "convolution_explorer",
    "descent_explorer",
    "feature_explorer",
    "pooling_explorer",
    "shape_explorer",
    "threshold_explorer",
    "training_explorer",
]
