"""All scores of a network at once, each with its interval."""

import math
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor

from course_lib.arguments import as_labels, as_scores
from course_lib.metrics.calibration import calibration_error
from course_lib.metrics.checks import Numbers, checked, same_length
from course_lib.metrics.intervals import Interval, auc_interval, mean_recall_interval, wilson_interval
from course_lib.metrics.roc import area, binary_auc


@dataclass(frozen=True)
class BinaryReport:
    """How well probabilities of class 1 fit the labels, at one threshold.

    `confusion[i][j]` counts images of class i predicted as class j. `ci95` holds 95% intervals: Wilson's
    for accuracy, sensitivity and specificity; these two combined for balanced accuracy; 1,000 bootstrap samples for
    AUC, whose interval has no width where the classes are separated perfectly.
    """

    n: int
    threshold: float
    confusion: list[list[int]]
    accuracy: float
    balanced_accuracy: float
    auc: float
    sensitivity: float
    specificity: float
    ece: float
    ci95: dict[str, Interval]

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True)
class MulticlassReport:
    """How well class probabilities fit the labels, when the most probable class is predicted.

    `auc` is the mean over classes, each against the rest; `ece` looks at the probability of the predicted class.
    """

    n: int
    confusion: list[list[int]]
    accuracy: float
    balanced_accuracy: float
    auc: float
    ece: float
    ci95: dict[str, Interval]

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def binary_report(probs: Numbers, labels: Numbers, *, threshold: float = 0.5) -> BinaryReport:
    """Score probabilities of class 1.

    Args:
        probs: float (N,), in 0..1; a tensor, an array or a list, here and below.
        labels: integers or bools (N,) or (N, 1), 0 or 1, both present.
        threshold: class 1 is predicted from this probability on.

    Raises:
        ValueError: `probs` are not probabilities, one of the classes is absent, or the threshold is NaN.
    """
    if math.isnan(threshold):
        raise ValueError("threshold must be a number, got nan; choose one by choose_threshold.")
    probs, labels = checked(as_scores(probs), labels, num_classes=2)
    matrix = confusion((probs >= threshold).long(), labels, num_classes=2)
    (true_negative, false_positive), (false_negative, true_positive) = matrix.tolist()
    negatives, positives = true_negative + false_positive, false_negative + true_positive
    sensitivity, specificity = true_positive / positives, true_negative / negatives
    return BinaryReport(
        n=len(labels),
        threshold=threshold,
        confusion=matrix.tolist(),
        accuracy=(true_positive + true_negative) / len(labels),
        balanced_accuracy=(sensitivity + specificity) / 2,
        auc=binary_auc(probs, labels),
        sensitivity=sensitivity,
        specificity=specificity,
        ece=calibration_error(probs, labels == 1),
        ci95={
            "accuracy": wilson_interval(true_positive + true_negative, len(labels)),
            "balanced_accuracy": mean_recall_interval(matrix),
            "auc": auc_interval(probs[:, None], labels, [1], times=1000),
            "sensitivity": wilson_interval(true_positive, positives),
            "specificity": wilson_interval(true_negative, negatives),
        },
    )


def multiclass_report(probs: Numbers, labels: Numbers) -> MulticlassReport:
    """Score class probabilities.

    Args:
        probs: float (N, C), rows that sum to 1.
        labels: integers (N,) or (N, 1), 0..C-1, every class present.

    Raises:
        ValueError: `probs` are not probabilities, a row does not sum to 1, or a class is absent.
    """
    probs = as_scores(probs, columns=True)
    num_classes = probs.shape[1]
    probs, labels = checked(probs, labels, num_classes=num_classes)
    sums = probs.sum(dim=1)
    if not torch.allclose(sums, torch.ones_like(sums), rtol=0, atol=1e-2):
        worst = float(sums[(sums - 1).abs().argmax()])
        raise ValueError(f"rows of probs must sum to 1, found a sum of {worst:.3g}; apply softmax, not sigmoid.")
    confidence, predicted = probs.max(dim=1)
    matrix = confusion(predicted, labels, num_classes=num_classes)
    right = int(matrix.diagonal().sum())
    return MulticlassReport(
        n=len(labels),
        confusion=matrix.tolist(),
        accuracy=right / len(labels),
        balanced_accuracy=float((matrix.diagonal() / matrix.sum(dim=1)).mean()),
        auc=sum(area(probs[:, label], labels == label) for label in range(num_classes)) / num_classes,
        ece=calibration_error(confidence, predicted == labels),
        ci95={
            "accuracy": wilson_interval(right, len(labels)),
            "balanced_accuracy": mean_recall_interval(matrix),
            "auc": auc_interval(probs, labels, range(num_classes), times=200),
        },
    )


def confusion(predicted: Numbers, labels: Numbers, *, num_classes: int) -> Tensor:
    """int64 (C, C): row i, column j counts images of class i that were predicted as class j.

    Raises:
        ValueError: a class outside 0..C-1, or another number of predictions than of labels.

    >>> confusion(torch.tensor([0, 1, 1]), torch.tensor([0, 0, 1]), num_classes=2)
    tensor([[1, 1],
            [0, 1]])
    """
    predicted, labels = as_labels(predicted, "predicted").cpu(), as_labels(labels).cpu()
    same_length(predicted, labels, "predicted")
    for name, values in (("predicted", predicted), ("labels", labels)):
        if len(values) and not 0 <= int(values.min()) <= int(values.max()) < num_classes:
            raise ValueError(
                f"{name} run from {int(values.min())} to {int(values.max())}, but num_classes={num_classes}; count "
                "from 0, and give the number of all classes."
            )
    return torch.bincount(labels * num_classes + predicted, minlength=num_classes**2).view(num_classes, num_classes)
