"""The training loop. It receives a network and batches, and knows nothing of where either comes from."""

from course_lib.training.epoch import (
    BatchSource,
    DivergenceError,
    Predictions,
    evaluate,
    extract_features,
    train_one_epoch,
)
from course_lib.training.fit import OptimizerName, fit
from course_lib.training.history import EarlyStopping, History
from course_lib.training.probe import linear_probe

__all__ = [
    "BatchSource",
    "DivergenceError",
    "EarlyStopping",
    "History",
    "OptimizerName",
    "Predictions",
    "evaluate",
    "extract_features",
    "fit",
    "linear_probe",
    "train_one_epoch",
]
