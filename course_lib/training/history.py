"""What happened in each epoch of a training, and when that is a reason to stop."""

import math
from dataclasses import asdict, dataclass, field

from course_lib.metrics import binary_auc
from course_lib.training.epoch import Predictions


@dataclass
class History:
    """One entry an epoch in each column."""

    train_loss: list[float] = field(default_factory=list)
    val_loss: list[float] = field(default_factory=list)
    val_accuracy: list[float] = field(default_factory=list)
    val_auc: list[float] = field(default_factory=list)
    """Empty when there are more than two classes; NaN, with a warning, when one of two does not occur."""
    seconds: list[float] = field(default_factory=list)
    train_seconds: list[float] = field(default_factory=list)
    """Of the training steps alone, where `seconds` are of training and validation."""
    train_flops: list[float] = field(default_factory=list)
    """Arithmetic of the training steps alone, of all processes together; see `course_lib.flops`.

    This column and `train_seconds` are NaN in epochs that an older version trained, which did not count."""

    def columns(self) -> dict[str, list[float]]:
        """The columns that were filled, by name."""
        return {name: values for name, values in asdict(self).items() if values}

    def add(
        self, train_loss: float, val: Predictions, *, seconds: float, train_seconds: float, train_flops: int
    ) -> None:
        """Append an epoch's entry to each column; `val` is of the validation images."""
        self.train_loss.append(train_loss)
        self.val_loss.append(val.loss)
        self.val_accuracy.append(val.accuracy)
        if val.logits.shape[1] == 2:
            self.val_auc.append(binary_auc(val.probs[:, 1], val.labels))
        self.seconds.append(seconds)
        self.train_seconds.append(train_seconds)
        self.train_flops.append(train_flops)


@dataclass
class EarlyStopping:
    """Stops training when a validation column of the history has not improved for `patience` epochs.

    `fit` then puts back the weights of the best epoch. Losses should fall, everything else should rise; NaN is never
    the best.

    >>> stop = EarlyStopping("val_loss", patience=2)
    >>> [stop.should_stop([3.0, 2.0, 2.5, 2.1][: epoch + 1]) for epoch in range(4)]
    [False, False, False, True]
    """

    monitor: str = "val_loss"
    patience: int = 5

    def best_epoch(self, values: list[float]) -> int:
        """Index of the best value; of equal ones the first.

        Raises:
            ValueError: all values are NaN, so that there is nothing to go by.
        """
        defined = [value for value in values if not math.isnan(value)]
        if not defined:
            raise ValueError(
                f"{self.monitor} is not defined for these validation images, so nothing can be monitored by it; add "
                "images of each class, or monitor val_loss."
            )
        return values.index(min(defined) if self.monitor.endswith("loss") else max(defined))

    def should_stop(self, values: list[float]) -> bool:
        return len(values) - 1 - self.best_epoch(values) >= self.patience

    def monitored(self, history: History) -> list[float]:
        """The column of `history` that decides.

        Raises:
            ValueError: it has no such column.
        """
        columns = history.columns()
        if self.monitor not in columns:
            raise ValueError(f"cannot monitor {self.monitor!r}; choose one of: {', '.join(columns)}.")
        return columns[self.monitor]
