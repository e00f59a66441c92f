"""95% intervals."""

import math
from collections.abc import Iterable

import torch
from scipy.stats import binomtest, rankdata
from torch import Tensor

Interval = tuple[float, float]


def wilson_interval(successes: int, trials: int) -> Interval:
    """95% interval of a rate, from counts.

    >>> [round(bound, 3) for bound in wilson_interval(81, 263)]
    [0.255, 0.366]
    """
    interval = binomtest(successes, trials).proportion_ci(0.95, method="wilson")
    return float(interval.low), float(interval.high)


def mean_recall_interval(matrix: Tensor) -> Interval:
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


def auc_interval(probs: Tensor, labels: Tensor, positives: Iterable[int], *, times: int) -> Interval:
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
