"""Whether probabilities can be believed, and how to make them so."""

import math
from typing import NamedTuple

import torch
from scipy.optimize import minimize, minimize_scalar
from torch import Tensor
from torch.nn import functional as F

from course_lib.arguments import as_labels, as_scores
from course_lib.metrics.checks import Numbers, checked, same_length


class Reliability(NamedTuple):
    """Probabilities of class 1 in bins; each is (bins,), NaN where a bin is empty."""

    mean_predicted: Tensor
    fraction_positive: Tensor
    counts: Tensor


def reliability(probs: Numbers, labels: Numbers, *, num_bins: int = 10) -> Reliability:
    """Mean probability of class 1 and fraction of class 1 in equal-width bins of probability.

    Args:
        probs: float (N,), in 0..1.
        labels: integers or bools (N,) or (N, 1), 0 or 1, both present.
    """
    probs, labels = checked(as_scores(probs), labels, num_classes=2)
    bins = (probs * num_bins).long().clamp(max=num_bins - 1)
    counts = torch.bincount(bins, minlength=num_bins)
    mean_predicted = torch.bincount(bins, weights=probs.double(), minlength=num_bins) / counts
    fraction_positive = torch.bincount(bins, weights=labels.double(), minlength=num_bins) / counts
    return Reliability(mean_predicted, fraction_positive, counts)


def calibration_error(probs: Tensor, hits: Tensor, *, num_bins: int = 15) -> float:
    """Expected calibration error (ECE): how far mean probability and fraction of hits are apart, averaged over bins.

    Args:
        probs: float (N,), in 0..1, of what was predicted; of class 1 where there are two.
        hits: bool (N,), whether it is so.

    The bins have equal width, and a probability of exactly 1 counts in one of its own.

    Source: Guo et al. 2017, "On calibration of modern neural networks".
    """
    bins = torch.bucketize(probs.contiguous(), torch.linspace(0, 1, num_bins + 1, dtype=probs.dtype), right=True)
    gaps = torch.bincount(bins, weights=probs.double() - hits.double())
    return float(gaps.abs().sum()) / len(probs)


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
    result = minimize_scalar(
        lambda log_t: F.cross_entropy(wide / torch.tensor(log_t).exp(), labels).item(),
        bounds=tuple(map(math.log, TEMPERATURES)),
        method="bounded",
    )
    return round(float(torch.tensor(result.x).exp()), 4)


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
    result = minimize(
        lambda x: F.binary_cross_entropy_with_logits(margin / math.exp(x[0]) + float(x[1]), truth).item(),
        x0=(0.0, 0.0),
        bounds=(tuple(map(math.log, TEMPERATURES)), (None, None)),
    )
    return round(math.exp(result.x[0]), 4), round(float(result.x[1]), 4)


def _checked_logits(logits: Numbers, labels: Numbers) -> tuple[Tensor, Tensor]:
    """Logits float64 (N, C) and labels (N,) that fit one another."""
    wide, checked = as_scores(logits, "logits", columns=True).double(), as_labels(labels).cpu()
    same_length(wide, checked, "logits")
    if not len(wide) or not bool(wide.isfinite().all()):
        raise ValueError("logits must be finite numbers of at least one image; look for NaN in the images or weights.")
    if not 0 <= int(checked.min()) <= int(checked.max()) < wide.shape[1]:
        raise ValueError(
            f"labels run from {int(checked.min())} to {int(checked.max())}, but logits have {wide.shape[1]} columns."
        )
    return wide, checked
