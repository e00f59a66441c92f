"""The training loop. It receives a network and batches, and knows nothing of where either comes from."""

from course_lib.training.epoch import BatchSource, DivergenceError, Outcome, evaluate, train_one_epoch
from course_lib.training.fit import EarlyStopping, History, OptimizerName, fit

__all__ = [
    "BatchSource",
    "DivergenceError",
    "EarlyStopping",
    "History",
    "OptimizerName",
    "Outcome",
    "evaluate",
    "fit",
    "train_one_epoch",
]
