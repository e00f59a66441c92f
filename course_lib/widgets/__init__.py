"""Explorers, quizzes and predictions: pages within a page, which need no kernel; each with one call."""

from course_lib.widgets.convolution import convolution_explorer
from course_lib.widgets.features import FeatureExplorer, feature_explorer
from course_lib.widgets.page import Page
from course_lib.widgets.threshold import threshold_explorer

__all__ = [
    "FeatureExplorer",
    "Page",
    "convolution_explorer",
    "feature_explorer",
    "threshold_explorer",
]
