"""Scores from probabilities, each with its 95% interval. Class 1 is the positive class where there are two."""

from course_lib.metrics.calibration import (
    TEMPERATURES,
    Reliability,
    fit_temperature,
    fit_temperature_and_bias,
    reliability,
)
from course_lib.metrics.intervals import Interval, wilson_interval
from course_lib.metrics.reports import BinaryReport, MulticlassReport, binary_report, confusion, multiclass_report
from course_lib.metrics.roc import (
    SENSITIVITY_TARGET,
    Criterion,
    RocPoints,
    UndefinedMetricWarning,
    binary_auc,
    choose_threshold,
    predictive_values,
    roc_points,
)

__all__ = [
    "SENSITIVITY_TARGET",
    "TEMPERATURES",
    "BinaryReport",
    "Criterion",
    "Interval",
    "MulticlassReport",
    "Reliability",
    "RocPoints",
    "UndefinedMetricWarning",
    "binary_auc",
    "binary_report",
    "choose_threshold",
    "confusion",
    "fit_temperature",
    "fit_temperature_and_bias",
    "multiclass_report",
    "predictive_values",
    "reliability",
    "roc_points",
    "wilson_interval",
]
