"""Explorers: controls above a drawing that follows them, each with one call. They need ipywidgets."""

from course_lib.widgets.explorer import Explorer
from course_lib.widgets.features import feature_explorer
from course_lib.widgets.layers import convolution_explorer, pooling_explorer, shape_explorer
from course_lib.widgets.scores import descent_explorer, threshold_explorer

__all__ = [
    "Explorer",
    "convolution_explorer",
    "descent_explorer",
    "feature_explorer",
    "pooling_explorer",
    "shape_explorer",
    "threshold_explorer",
]
