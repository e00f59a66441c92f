import math
import statistics
from collections.abc import Sequence

import numpy as np
import torch
from scipy import stats

from course_lib.exercises.task import Task


class CompareSettings(Task):
    number, title, name, points = "04.5", "Does it help?", "compare_settings", 2
    statement = """
In the lesson, two rows often lay closer together than two seeds of one row. How sure can you be of a change? You have
trained with and without it, from the same seeds. Number i of each list is the accuracy from seed i, so the two belong
together: a *paired* comparison. Return three things: the mean of the differences (`changed` minus `plain`), the
standard error of that mean, and `True` if the 95% t interval of the mean excludes 0, `False` if not. The standard
deviation of the differences is estimated from few numbers; `scipy.stats.t.ppf` knows how much wider that makes the
interval.
"""
    hints = (
        "Take the differences first; from then on, forget the accuracies themselves.",
        "The standard error is the standard deviation of the differences (dividing by n - 1), divided by the root of n.",
        "The interval reaches `stats.t.ppf(0.975, df=n - 1)` standard errors to either side of the mean.",
    )
    notice = (
        "With two seeds the quantile is 12.7, with five 2.8: more seeds narrow the interval twice, by the "
        "quantile and by the root of n. Pairing helps as far as a seed moves both accuracies alike."
    )
    given = "3, 4 and 6 pairs"
    tolerance = 1e-6

    def inputs(self, draw):
        start = [0.702, 0.741, 0.689, 0.723]
        # a clear gain; clear only by the normal distribution; only on one side; only with df = n; a clear loss
        steps = (20, 45, 31), (4, 19.5, 9.5), (7.6, 17.6, 27.6), (10.8, 20.8, 30.8), (-30, -24, -31, -20)
        for step in steps:
            yield start[: len(step)], [before + more / 1000 for before, more in zip(start, step, strict=False)]
        for count in 5 * (3, 4, 6):
            plain = draw.uniform(count)
            yield plain.tolist(), (plain + 0.1 * draw.normal(count) + 0.2 * draw.normal(1)).tolist()


# Answers


def compare_settings(plain: Sequence[float], changed: Sequence[float]) -> tuple[float, float, bool]:
    """Accuracies from the same seeds to (mean difference, standard error, excludes 0)."""
    pairs = torch.tensor([plain, changed], dtype=torch.float64)
    differences = pairs[1] - pairs[0]
    count = len(differences)
    mean = differences.mean().item()
    error = differences.std().item() / count**0.5  # std divides by count - 1
    reach = stats.t.ppf(0.975, df=count - 1) * error
    return mean, error, bool(abs(mean) > reach)


def by_scipy(plain, changed):
    test = stats.ttest_rel(changed, plain)
    mean = np.mean(np.array(changed) - np.array(plain))
    return mean, mean / test.statistic, test.pvalue < 0.05


def by_hand(plain, changed):
    differences = [after - before for before, after in zip(plain, changed, strict=True)]
    mean = sum(differences) / len(differences)
    error = statistics.stdev(differences) / math.sqrt(len(differences))
    low, high = stats.t.interval(0.95, len(differences) - 1, loc=mean, scale=error)
    return [torch.tensor(mean), torch.tensor(error), not low <= 0 <= high]


slips = [
    (
        {"differences.std()": "pairs.std(dim=1).norm()"},
        "The lists belong together, seed by seed: take differences first.",
    ),
    (
        {"differences.std()": "differences.std(correction=0)"},
        "Divide by n - 1, not by n, in the standard deviation: numpy wants `ddof=1` for it.",
    ),
    ({" / count**0.5": ""}, "That is the deviation of one difference; for their mean, divide by the root of n."),
    ({"count**0.5": "count"}, "Divide the standard deviation by the root of n, not by n."),
    ({"stats.t.ppf(0.975, df=count - 1)": "1.96"}, "1.96 is for many numbers; take the quantile of t for few."),
    ({"0.975": "0.95"}, "95% between two ends leaves 2.5% beyond each: the quantile is 0.975."),
    ({"df=count - 1": "df=count"}, "One degree of freedom went into the mean: n - 1 are left."),
    ({"pairs[1] - pairs[0]": "pairs[0] - pairs[1]"}, "The sign is turned around: `changed` minus `plain`."),
    ({"abs(mean)": "mean"}, "A change that does harm excludes 0, too: take the size of the mean."),
]
also_right = [by_scipy, by_hand]
