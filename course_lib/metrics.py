"""Scores from probabilities, each with its 95% interval. Class 1 is the positive class where there are two."""

import math
import warnings
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any, Literal, NamedTuple, get_args

import torch
from scipy.optimize import minimize, minimize_scalar
from scipy.stats import binomtest, rankdata
from torch import Tensor
from torch.nn import functional as F
from torchmetrics.functional import classification as judge

from course_lib.arguments import as_labels, as_scores

Interval = tuple[float, float]
Numbers = Any  # a tensor, an array or a list of numbers, as torch.as_tensor takes them


@dataclass(frozen=True)
class BinaryReport:
    """How well probabilities of class 1 fit the labels, at one threshold.

    `confusion[i][j]` counts images of class i called class j. `ci95` holds 95% intervals: Wilson's
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
    """How well class probabilities fit the labels, when each image is called its most probable class.

    `auc` is the mean over classes, each against the rest; `ece` looks at the probability of the called class.
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
        threshold: called class 1 from this probability on.

    Raises:
        ValueError: `probs` are not probabilities, one of the classes is absent, or the threshold is NaN.
    """
    if math.isnan(threshold):
        raise ValueError("threshold must be a number, got nan; choose one by choose_threshold.")
    probs, labels = _checked(as_scores(probs), labels, num_classes=2)
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
        ece=float(judge.binary_calibration_error(probs.contiguous(), labels, n_bins=15)),
        ci95={
            "accuracy": wilson_interval(true_positive + true_negative, len(labels)),
            "balanced_accuracy": _mean_recall_interval(matrix),
            "auc": _auc_interval(probs[:, None], labels, [1], times=1000),
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
        ValueError: `probs` are not probabilities, or a class is absent.
    """
    probs = as_scores(probs, columns=True)
    num_classes = probs.shape[1]
    probs, labels = _checked(probs, labels, num_classes=num_classes)
    matrix = confusion(probs.argmax(dim=1), labels, num_classes=num_classes)
    right = int(matrix.diagonal().sum())
    return MulticlassReport(
        n=len(labels),
        confusion=matrix.tolist(),
        accuracy=right / len(labels),
        balanced_accuracy=float((matrix.diagonal() / matrix.sum(dim=1)).mean()),
        auc=float(judge.multiclass_auroc(probs, labels, num_classes)),
        ece=float(judge.multiclass_calibration_error(probs, labels, num_classes, n_bins=15)),
        ci95={
            "accuracy": wilson_interval(right, len(labels)),
            "balanced_accuracy": _mean_recall_interval(matrix),
            "auc": _auc_interval(probs, labels, range(num_classes), times=200),
        },
    )


def binary_auc(probs: Numbers, labels: Numbers) -> float:
    """Area under the ROC curve of probabilities (N,) of class 1; 0.5 is chance.

    Where it is not defined, as with one class only, it is NaN, and an `UndefinedMetricWarning` says why.
    """
    probs, labels = as_scores(probs).double(), as_labels(labels).cpu()
    _same_length(probs, labels)
    if not bool(probs.isfinite().all()):
        return _undefined("AUC", "a probability is NaN or infinite")
    if len(absent := {0, 1} - set(labels.tolist())) > 0:
        return _undefined("AUC", f"no image of class {' or '.join(map(str, sorted(absent)))}")
    return float(judge.binary_auroc(probs, labels))


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
    probs, labels = _checked(as_scores(probs), labels, num_classes=2)
    alarms, found, _ = judge.binary_roc(probs.double(), labels)
    so_far = (alarms + found).contiguous()  # the way along the curve, 0 to 2
    kept = torch.arange(len(so_far))
    if len(kept) > most:
        kept = torch.searchsorted(so_far, torch.linspace(0, 2, most)).unique()
    return RocPoints(alarms[kept].double(), found[kept].double())


class UndefinedMetricWarning(UserWarning):
    """A score that these images do not define; it is NaN."""


def _undefined(score: str, reason: str) -> float:
    warnings.warn(f"{score} is not defined: {reason}.", UndefinedMetricWarning, stacklevel=3)
    return math.nan


def confusion(predicted: Numbers, labels: Numbers, *, num_classes: int) -> Tensor:
    """int64 (C, C): row i, column j counts images of class i that were called class j.

    Raises:
        ValueError: a class outside 0..C-1, or another number of predictions than of labels.

    >>> confusion(torch.tensor([0, 1, 1]), torch.tensor([0, 0, 1]), num_classes=2)
    tensor([[1, 1],
            [0, 1]])
    """
    predicted, labels = as_labels(predicted, "predicted").cpu(), as_labels(labels).cpu()
    _same_length(predicted, labels, "predicted")
    for name, values in (("predicted", predicted), ("labels", labels)):
        if len(values) and not 0 <= int(values.min()) <= int(values.max()) < num_classes:
            raise ValueError(
                f"{name} run from {int(values.min())} to {int(values.max())}, but num_classes={num_classes}; count "
                "from 0, and give the number of all classes."
            )
    return judge.multiclass_confusion_matrix(predicted, labels, num_classes)


class Reliability(NamedTuple):
    """Probabilities in bins: what was promised and what came; each is (bins,), NaN where a bin is empty."""

    promised: Tensor
    observed: Tensor
    counts: Tensor


def reliability(probs: Numbers, labels: Numbers, *, num_bins: int = 10) -> Reliability:
    """Mean probability of class 1 and share of class 1 in equal-width bins of probability.

    Args:
        probs: float (N,), in 0..1.
        labels: integers or bools (N,) or (N, 1), 0 or 1, both present.
    """
    probs, labels = _checked(as_scores(probs), labels, num_classes=2)
    bins = (probs * num_bins).long().clamp(max=num_bins - 1)
    counts = torch.bincount(bins, minlength=num_bins)
    promised = torch.bincount(bins, weights=probs.double(), minlength=num_bins) / counts
    observed = torch.bincount(bins, weights=labels.double(), minlength=num_bins) / counts
    return Reliability(promised, observed, counts)


def predictive_values(sensitivity: float, specificity: float, prevalence: float) -> tuple[float, float]:
    """How often a prediction of class 1, and one of class 0, is right (PPV, NPV), where class 1 has this prevalence.

    By Bayes' theorem; NaN for a class that is never predicted.

    >>> ppv, npv = predictive_values(0.9, 0.8, 0.1)
    >>> round(ppv, 3), round(npv, 3)
    (0.333, 0.986)
    """

    def share(right: float, wrong: float) -> float:
        return right / (right + wrong) if right + wrong else math.nan

    return (
        share(sensitivity * prevalence, (1 - specificity) * (1 - prevalence)),
        share(specificity * (1 - prevalence), (1 - sensitivity) * prevalence),
    )


Criterion = Literal["youden", "sensitivity"]
SENSITIVITY_TARGET = 0.95  # of the criterion "sensitivity"


def choose_threshold(
    probs: Numbers, labels: Numbers, *, criterion: Criterion = "youden", target: float = SENSITIVITY_TARGET
) -> float:
    """A threshold chosen on validation.

    "youden" makes sensitivity + specificity largest. "sensitivity" takes the highest threshold that still finds the
    share `target` of class 1. Between two scores the middle is taken, so that the choice rests on no single image.
    The threshold is as fine as the scores are: do not round it.

    Args:
        probs: float (N,), of class 1.
        labels: integers or bools (N,) or (N, 1), 0 or 1, both present.
        criterion: "youden" or "sensitivity".
        target: a share, for "sensitivity".

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
    probs, labels = _checked(as_scores(probs), labels, num_classes=2)
    scores, inverse = probs.double().unique(return_inverse=True)  # ascending
    positives = torch.bincount(inverse, weights=labels.double())
    negatives = torch.bincount(inverse, weights=1 - labels.double())
    # With the cut just below scores[i], everything from i on is called class 1.
    sensitivity = positives.flip(0).cumsum(0).flip(0) / positives.sum()
    specificity = 1 - negatives.flip(0).cumsum(0).flip(0) / negatives.sum()
    if criterion == "youden":
        cut = int((sensitivity + specificity).argmax())
    else:
        cut = int((sensitivity >= target).nonzero().max())
    below, above = float(scores[cut - 1]) if cut else 0.0, float(scores[cut])
    middle = float(torch.tensor((below + above) / 2, dtype=probs.dtype))  # as comparing it with `probs` will see it
    return middle if middle > below else above


TEMPERATURES = (0.2, 20.0)  # the bounds of the search


def fit_temperature(logits: Numbers, labels: Numbers) -> float:
    """The number T for which softmax(logits / T) fits the labels best: above 1 means that the network was too sure.

    Dividing by T changes no ranking and no most probable class. T is held between the bounds in `TEMPERATURES`: on
    images that a network separates perfectly, the best fit would be to become infinitely sure. A T at a bound, within
    a percent, is the end of the search and no fit.

    Args:
        logits: float (N, C), of validation images.
        labels: integers (N,) or (N, 1).

    Raises:
        ValueError: logits that are not finite, or labels that do not fit them.

    Source: Guo et al. 2017, "On calibration of modern neural networks".
    """
    wide, labels = _checked_logits(logits, labels)
    found = minimize_scalar(
        lambda log_t: F.cross_entropy(wide / torch.tensor(log_t).exp(), labels).item(),
        bounds=tuple(map(math.log, TEMPERATURES)),
        method="bounded",
    )
    return round(float(torch.tensor(found.x).exp()), 4)


def fit_temperature_and_bias(logits: Numbers, labels: Numbers) -> tuple[float, float]:
    """T and b for which the sigmoid of (logit 1 - logit 0) / T + b fits the labels best.

    The bias raises or lowers all probabilities of class 1. Neither changes a ranking. T is held between the bounds in
    `TEMPERATURES`.

    Args:
        logits: float (N, 2), of validation images.
        labels: integers or bools (N,) or (N, 1).

    Raises:
        ValueError: logits that are not finite or have other columns than two, or labels that do not fit them.

    Source: Platt 1999, "Probabilistic outputs for support vector machines"; his A is 1/T.

    >>> T, b = fit_temperature_and_bias(torch.tensor([[0.0, 0.0]] * 4), torch.tensor([0, 1, 1, 1]))
    >>> round(b, 3), round(math.log(3), 3)
    (1.099, 1.099)
    """
    wide, labels = _checked_logits(logits, labels)
    if wide.shape[1] != 2:
        raise ValueError(f"logits have {wide.shape[1]} columns; a bias is fitted for two classes only.")
    margin, truth = wide[:, 1] - wide[:, 0], labels.double()
    found = minimize(
        lambda at: F.binary_cross_entropy_with_logits(margin / math.exp(at[0]) + float(at[1]), truth).item(),
        x0=(0.0, 0.0),
        bounds=(tuple(map(math.log, TEMPERATURES)), (None, None)),
    )
    return round(math.exp(found.x[0]), 4), round(float(found.x[1]), 4)


def _checked_logits(logits: Numbers, labels: Numbers) -> tuple[Tensor, Tensor]:
    """Logits float64 (N, C) and labels (N,) that fit one another."""
    wide, checked = as_scores(logits, "logits", columns=True).double(), as_labels(labels).cpu()
    _same_length(wide, checked, "logits")
    if not len(wide) or not bool(wide.isfinite().all()):
        raise ValueError("logits must be finite numbers of at least one image; look for NaN in the images or weights.")
    if not 0 <= int(checked.min()) <= int(checked.max()) < wide.shape[1]:
        raise ValueError(
            f"labels run from {int(checked.min())} to {int(checked.max())}, but logits have {wide.shape[1]} columns."
        )
    return wide, checked


def _same_length(scores: Tensor, labels: Tensor, name: str = "probs") -> None:
    if len(scores) != len(labels):
        raise ValueError(f"{name} are {len(scores)}, and labels {len(labels)}; give one of each for every image.")


def _checked(probs: Tensor, labels: Numbers, *, num_classes: int) -> tuple[Tensor, Tensor]:
    """Probabilities and labels that fit one another, every class present."""
    labels = as_labels(labels).cpu()
    if len(probs) != len(labels):
        raise ValueError(f"{len(probs)} probabilities for {len(labels)} labels; give one for each.")
    if not len(probs) or not 0 <= float(probs.min()) <= float(probs.max()) <= 1:
        found = f"from {float(probs.min()):.3g} to {float(probs.max()):.3g}" if len(probs) else "nothing"
        raise ValueError(f"probabilities in 0..1 expected in probs, found {found}; apply softmax to logits first.")
    if int(labels.min()) < 0:
        raise ValueError(f"labels must be class indices from 0, found {int(labels.min())}; take those images out.")
    counts = torch.bincount(labels, minlength=num_classes)
    if len(counts) > num_classes or not bool(counts.all()):
        raise ValueError(f"every one of {num_classes} classes must occur, found counts {counts.tolist()}; add images.")
    return probs, labels


def wilson_interval(successes: int, trials: int) -> Interval:
    """95% interval of a rate, from counts.

    >>> [round(bound, 3) for bound in wilson_interval(81, 263)]
    [0.255, 0.366]
    """
    interval = binomtest(successes, trials).proportion_ci(0.95, method="wilson")
    return float(interval.low), float(interval.high)


def _mean_recall_interval(matrix: Tensor) -> Interval:
    """Interval of the mean of the classes' recalls, from Wilson's of each.

    Source: Zou and Donner 2008, "Construction of confidence limits about effect measures" (MOVER).
    """
    hits, totals = matrix.diagonal().tolist(), matrix.sum(dim=1).tolist()
    recalls = [hit / total for hit, total in zip(hits, totals, strict=True)]
    bounds = [wilson_interval(hit, total) for hit, total in zip(hits, totals, strict=True)]
    mean = sum(recalls) / len(recalls)
    below = math.hypot(*(recall - low for recall, (low, _) in zip(recalls, bounds, strict=True))) / len(recalls)
    above = math.hypot(*(high - recall for recall, (_, high) in zip(recalls, bounds, strict=True))) / len(recalls)
    return mean - below, mean + above


def _auc_interval(probs: Tensor, labels: Tensor, positives: Iterable[int], *, times: int) -> Interval:
    """Bootstrap interval of the mean AUC of the classes `positives`, each against the rest.

    Images are drawn among those of their own class, the same ones at every call. `probs` is (N, len(positives)).
    """
    generator = torch.Generator().manual_seed(0)
    own = [(labels == label).nonzero().squeeze(1) for label in range(int(labels.max()) + 1)]
    drawn = [each[torch.randint(len(each), (times, len(each)), generator=generator)] for each in own]
    total = torch.zeros(times, dtype=torch.float64)
    for column, label in enumerate(positives):
        rest = torch.cat(drawn[:label] + drawn[label + 1 :], dim=1)
        scores = probs[:, column].double()[torch.cat([rest, drawn[label]], dim=1)]  # (times, N), the class last
        ranks = torch.from_numpy(rankdata(scores.numpy(), axis=1))
        count = drawn[label].shape[1]
        wins = ranks[:, rest.shape[1] :].sum(dim=1) - count * (count + 1) / 2  # Mann-Whitney U
        total += wins / (count * rest.shape[1])
    low, high = (total / probs.shape[1]).quantile(torch.tensor([0.025, 0.975], dtype=torch.float64)).tolist()
    return low, high
