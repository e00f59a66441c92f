"""Scores at every threshold, and the choice of one."""

import math
import warnings
from typing import Literal, NamedTuple, get_args

import torch
from scipy.stats import rankdata
from torch import Tensor

from course_lib.arguments import as_labels, as_scores
from course_lib.metrics.checks import Numbers, checked, same_length


def binary_auc(probs: Numbers, labels: Numbers) -> float:
    """Area under the ROC curve of probabilities (N,) of class 1; 0.5 is chance.

    Where it is not defined, as with one class only, it is NaN, and an `UndefinedMetricWarning` says why.
    """
    probs, labels = as_scores(probs).double(), as_labels(labels).cpu()
    same_length(probs, labels)
    if not bool(probs.isfinite().all()):
        return _undefined("AUC", "a probability is NaN or infinite")
    if len(absent := {0, 1} - set(labels.tolist())) > 0:
        return _undefined("AUC", f"no image of class {' or '.join(map(str, sorted(absent)))}")
    return area(probs, labels == 1)


def area(scores: Tensor, positive: Tensor) -> float:
    """AUC of scores (N,) by the Mann-Whitney U: how often a positive one is above a negative one; ties count half."""
    ranks = torch.from_numpy(rankdata(scores.numpy()))
    count = int(positive.sum())
    return float(ranks[positive].sum() - count * (count + 1) / 2) / (count * (len(scores) - count))


class UndefinedMetricWarning(UserWarning):
    """A score that these images do not define; it is NaN."""


def _undefined(score: str, reason: str) -> float:
    warnings.warn(f"{score} is not defined: {reason}.", UndefinedMetricWarning, stacklevel=3)
    return math.nan


class RocPoints(NamedTuple):
    """Points of an ROC curve from (0, 0) to (1, 1), each (points,)."""

    false_positive_rate: Tensor
    true_positive_rate: Tensor


def roc_points(probs: Numbers, labels: Numbers, *, most: int = 60) -> RocPoints:
    """The ROC curve of probabilities (N,) of class 1, thinned to `most` of its own points, evenly along the curve.

    >>> points = roc_points(torch.tensor([0.2, 0.6, 0.4, 0.8]), torch.tensor([0, 0, 1, 1]))
    >>> [tensor.tolist() for tensor in points]
    [[0.0, 0.0, 0.5, 0.5, 1.0], [0.0, 0.5, 0.5, 1.0, 1.0]]
    """
    probs, labels = checked(as_scores(probs), labels, num_classes=2)
    _, *rates = _rates(probs, labels)
    x, y = (torch.cat([rate.new_zeros(1), rate.flip(0)]) for rate in rates)
    along = x.float() + y.float()  # 0 to 2
    kept = torch.arange(len(along))
    if len(kept) > most:
        kept = torch.searchsorted(along, torch.linspace(0, 2, most)).unique()
    return RocPoints(x[kept], y[kept])


def _rates(probs: Tensor, labels: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """All scores, ascending, and the false and the true positive rate with the threshold at each."""
    scores, inverse = probs.double().unique(return_inverse=True)
    negatives, positives = (torch.bincount(inverse, weights=(labels == label).double()) for label in (0, 1))
    false, true = (counts.flip(0).cumsum(0).flip(0) / counts.sum() for counts in (negatives, positives))
    return scores, false, true


def predictive_values(sensitivity: float, specificity: float, prevalence: float) -> tuple[float, float]:
    """How often a prediction of class 1, and one of class 0, is right (PPV, NPV), where class 1 has this prevalence.

    By Bayes' theorem; NaN for a class that is never predicted.

    >>> ppv, npv = predictive_values(0.9, 0.8, 0.1)
    >>> round(ppv, 3), round(npv, 3)
    (0.333, 0.986)
    """

    def fraction(right: float, wrong: float) -> float:
        return right / (right + wrong) if right + wrong else math.nan

    return (
        fraction(sensitivity * prevalence, (1 - specificity) * (1 - prevalence)),
        fraction(specificity * (1 - prevalence), (1 - sensitivity) * prevalence),
    )


Criterion = Literal["youden", "sensitivity"]
SENSITIVITY_TARGET = 0.95  # of the criterion "sensitivity"


def choose_threshold(
    probs: Numbers, labels: Numbers, *, criterion: Criterion = "youden", target: float = SENSITIVITY_TARGET
) -> float:
    """A threshold chosen on validation.

    "youden" makes sensitivity + specificity largest. "sensitivity" takes the highest threshold that still finds the
    fraction `target` of class 1. Between two scores the middle is taken, so that the choice rests on no single image.
    The threshold is as fine as the scores are: do not round it.

    Args:
        probs: float (N,), of class 1.
        labels: integers or bools (N,) or (N, 1), 0 or 1, both present.
        criterion: "youden" or "sensitivity".
        target: a fraction, for "sensitivity".

    Raises:
        ValueError: an unknown criterion, a target outside 0..1, or as `binary_report`.

    Source: Youden 1950, "Index for rating diagnostic tests".

    >>> choose_threshold(torch.tensor([0.125, 0.25, 0.5, 0.75]), torch.tensor([0, 0, 1, 1]))
    0.375
    """
    if criterion not in get_args(Criterion):
        raise ValueError(f"criterion {criterion!r} is not known; choose one of: {', '.join(get_args(Criterion))}.")
    if not 0 <= target <= 1:
        raise ValueError(f"target={target} must be a fraction of class 1, from 0 to 1; write 95 percent as 0.95.")
    probs, labels = checked(as_scores(probs), labels, num_classes=2)
    scores, false_positive_rate, sensitivity = _rates(probs, labels)
    if criterion == "youden":
        best = int((sensitivity + (1 - false_positive_rate)).argmax())
    else:
        best = int((sensitivity >= target).nonzero().max())
    below, above = float(scores[best - 1]) if best else 0.0, float(scores[best])
    middle = float(torch.tensor((below + above) / 2, dtype=probs.dtype))  # as comparing it with `probs` will see it
    return middle if middle > below else above
