"""Checks of lesson 4: of scores, comparisons and splits."""

import random
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial, wraps
from typing import Any

import numpy as np
import torch
from scipy import stats
from torch import Tensor

from course_lib.exercises.legacy import Mistakes, compare, refuse, shown, task

Verdict = tuple[float, float, bool]


@task(
    "04.1",
    "The accuracy of each class",
    "First, which images are predicted correctly? `logits.argmax(dim=1) == labels` says it, one answer for each image.",
    "Then, for each class, look only at the images whose label it is. The mean of no numbers is nan already.",
)
def accuracy_of_each_class(answer: Callable[[Tensor, Tensor], Tensor]) -> str:
    def right(logits: Tensor, labels: Tensor, *, dim: int = 1, by_label: bool = True) -> Tensor:
        called = logits.argmax(dim=dim)
        by = labels if by_label else called
        return torch.stack([(called == labels)[by == label].double().mean() for label in range(logits.shape[1])])

    @wraps(answer)
    def in_tensor(*arguments: Tensor) -> object:
        found: object = answer(*arguments)
        return torch.as_tensor(found) if isinstance(found, list | tuple | np.ndarray) else found

    def of_all(logits: Tensor, labels: Tensor) -> Tensor:
        return right(logits, labels).nan_to_num() * labels.bincount(minlength=logits.shape[1]) / len(labels)

    slips: Mistakes = [
        (partial(right, dim=0), "`dim=0` looks for the surest image of each class; take the maximum of each row."),
        (lambda lo, la: right(lo, la).nan_to_num(), "0 would mean that all were wrong; for no images use nan."),
        (lambda lo, la: right(lo, la)[la.unique()], "Classes without images are left out; they have a column, too."),
        (partial(right, by_label=False), "Of those predicted so, that many are right: precision. Group by the labels."),
        (of_all, "You divide by the number of all images; divide by that of the class."),
        (lambda lo, la: (lo.argmax(dim=1) == la).double().mean(), "That is one accuracy over all classes together."),
    ]
    for count, slip in ((5, 0), (40, 1)):  # with as many images as classes, the wrong axis fits, too
        logits, labels = torch.randn(count, 5), torch.randint(4, (count,))
        logits[range(count), labels] += 1
        compare(in_tensor, right, [(logits, labels)], slips=slips[slip:])
    return (
        "Their plain mean is the balanced accuracy, in which a rare class counts as much as a common one. Weighted by "
        "the number of images they give the ordinary accuracy back."
    )


@task(
    "04.5",
    "Does it help?",
    "Take the differences first; from then on, forget the accuracies themselves.",
    "The standard error is the standard deviation of the differences (dividing by n - 1), divided by the root of n.",
    "The interval reaches `stats.t.ppf(0.975, df=n - 1)` standard errors to either side of the mean.",
)
def paired_comparison(answer: Callable[[list[float], list[float]], Verdict]) -> str:
    def right(plain: list[float], changed: list[float]) -> Verdict:
        test = stats.ttest_rel(changed, plain)
        low, high = test.confidence_interval(0.95)
        mean = float(np.mean(changed) - np.mean(plain))
        return mean, mean / test.statistic, not low <= 0 <= high

    def other(plain: list[float], changed: list[float], **mistake: Any) -> Verdict:
        n, differences = len(plain), np.subtract(changed, plain)
        spread = differences.std(ddof=mistake.get("ddof", 1))
        if "apart" in mistake:
            spread = np.hypot(np.std(plain, ddof=1), np.std(changed, ddof=1))
        mean, error = mistake.get("sign", 1) * differences.mean(), spread / n ** mistake.get("power", 0.5)
        reach = mistake.get("reach", stats.t.ppf(mistake.get("level", 0.975), n - mistake.get("used", 1))) * error
        return mean, error, bool(mean > reach or (mean < -reach and "above" not in mistake))

    slips = [
        (partial(other, apart=True), "That treats the lists as unrelated. Seed i is in both: take differences first."),
        (partial(other, ddof=0), "Divide by n - 1, not by n, in the standard deviation: numpy wants `ddof=1` for it."),
        (partial(other, power=0), "That is the deviation of one difference; for their mean, divide by the root of n."),
        (partial(other, power=1), "Divide the standard deviation by the root of n, not by n."),
        (partial(other, reach=1.96), "1.96 is for many numbers; with few, take the quantile of the t distribution."),
        (partial(other, level=0.95), "95% between two ends leaves 2.5% beyond each: the quantile is 0.975."),
        (partial(other, used=0), "One degree of freedom went into the mean: n - 1 are left."),
        (partial(other, sign=-1), "The sign is turned around: `changed` minus `plain`."),
        (partial(other, above=True), "A change that does harm excludes 0, too: take the size of the mean."),
    ]
    start = [0.702, 0.741, 0.689, 0.723]
    # a clear gain; clear only by the normal distribution; only on one side; only with df = n; a clear loss
    steps = (20, 45, 31), (4, 19.5, 9.5), (7.6, 17.6, 27.6), (10.8, 20.8, 30.8), (-30, -24, -31, -20)
    pairs = [(start[: len(step)], np.array(step) / 1000) for step in steps]
    inputs = [(plain, (plain + more).tolist()) for plain, more in pairs]
    compare(answer, right, inputs, slips=slips, tolerance=1e-6)
    return (
        "With two seeds the quantile is 12.7, with five 2.8: more seeds narrow the interval twice, by the quantile and "
        "by the root of n. Pairing helps as far as a seed moves both accuracies alike."
    )


@task(
    "04.6",
    "No scene on both sides",
    "Count first: for each scene, how many pictures of each class it holds. `collections.Counter` does it.",
    "Shuffle the sorted names with `random.Random(seed)`: sets of strings have another order each time Python starts.",
    "How far is validation from what is wanted? Add up (fraction - val_fraction) squared over the classes.",
)
def split_by_scene(answer: Callable[[list[int], list[str], float, int], tuple[Sequence[int], Sequence[int]]]) -> str:
    found = []
    for seed, fraction in ((0, 0.2), (1, 0.2), (2, 0.2), (0, 0.3)):
        labels, scenes = _pictures(seed=seed if fraction == 0.3 else 0)
        train, val = _indices(answer(labels, scenes, fraction, seed))
        of = f"split_by_scene(labels, scenes, val_fraction={fraction}, seed={seed})"
        _expect_whole_scenes(labels, scenes, train, val, of)
        _expect_shares(labels, scenes, val, fraction, of)
        found.append(set(val))
    again, other = set(map(int, answer(labels, scenes, fraction, seed)[1])), set[int]()
    with suppress(Exception):  # some answers may not take the other hashes
        other = set(map(int, answer(labels, [_Name(scene) for scene in scenes], fraction, seed)[1]))
    by_hash = other != again and abs(len(other) - len(again)) < 0.05 * len(labels)
    refuse(
        "the same arguments give the same split, another seed another one",
        (again != found[-1], "the second call gave another split", "Draw from `random.Random(seed)`."),
        (by_hash, "another process would give another split", "Sort the scenes first: a set has no order."),
        (found[0] == found[1] == found[2], "seeds 0, 1 and 2 gave one split", "What does the seed change?"),
    )
    return (
        "scikit-learn has it as `StratifiedGroupKFold`. What no split can give you is independence that the data lack: "
        "count scenes, not pictures, when you say how sure you are."
    )


def _indices(parts: Any) -> list[list[int]]:
    """Two lists of indices from whatever holds two sequences of them."""
    found = [part.tolist() if hasattr(part, "tolist") else [*part] for part in parts or ()]
    kinds = {type(index) for part in found for index in part}
    plain = len(found) == 2 and all(issubclass(kind, int | np.integer | Tensor) for kind in kinds - {bool})
    slip = "Return the pictures' positions in `labels`, training first."
    refuse("two sequences of indices", (not plain or bool in kinds, f"the answer is {shown(parts)}", slip))
    return [[int(index) for index in part] for part in found]


class _Name(str):
    """A text with another hash, as each text has in the next process."""

    __slots__ = ()

    def __hash__(self) -> int:
        return hash(self + "again")


def _pictures(seed: int) -> tuple[list[int], list[str]]:
    """Labels and scenes of some hundred pictures in a random order; every fourth scene shows two classes."""
    draw, pictures = random.Random(seed), []
    for label, number in enumerate((70, 50, 36)):
        for place in range(number):
            name, size = f"{draw.random():.6f}", draw.choice((1, 1, 2, 3, 4, 6))
            pictures += [(label, name)] * size
            pictures += [((label + 1) % 3, name)] * (draw.choice((1, 2)) if place % 4 == 0 else 0)
    draw.shuffle(pictures)
    return [label for label, _ in pictures], [scene for _, scene in pictures]


def _expect_whole_scenes(labels: list[int], scenes: list[str], train: list[int], val: list[int], of: str) -> None:
    count = Counter(train + val)
    twice, never = [i for i in count if count[i] > 1], [i for i in range(len(labels)) if i not in count]
    both = {scenes[i] for i in train} & {scenes[i] for i in val}
    parts = {(labels[i], scenes[i]) for i in train} & {(labels[i], scenes[i]) for i in val}
    what = f"{of} has {len(both)} of {len(set(scenes))} scenes on both sides"
    refuse(
        "each picture, and each scene, on one side",
        (bool(twice), f"{of} returned {len(twice)} indices twice", "A picture for validation is not for training."),
        (bool(never), f"{of} left out {len(never)} pictures", "What is not for validation is for training."),
        (bool(parts), what, "You divide pictures; divide the scenes, and let the pictures follow."),
        (bool(both), what, "A scene with two classes is torn apart: it is one scene, whatever it shows."),
    )


def _expect_shares(labels: list[int], scenes: list[str], val: list[int], fraction: float, of: str) -> None:
    total, taken = Counter(labels), Counter(labels[i] for i in val)
    shares = [taken[label] / total[label] for label in sorted(total)]
    of_all, of_scenes = len(val) / len(labels), len({scenes[i] for i in val}) / len(set(scenes))
    slip = ""
    if max(abs(share - (1 - fraction)) for share in shares) < 0.06:
        slip = "Training comes first, validation second."
    elif max(shares) - min(shares) < 0.04:
        slip = "The classes agree, but not with `val_fraction`: is it used?"
    elif abs(of_all - fraction) < 0.01:
        slip = "The whole has the right fraction, its classes do not: look at each class."
    elif abs(of_scenes - fraction) < 0.006:
        slip = "You took that fraction of the scenes; scenes differ in size, so count pictures."
    text = ", ".join(f"{share:.2f}" for share in shares)
    far = max(abs(share - fraction) for share in shares) > 0.05
    refuse(f"{fraction} of each, within 0.05", (far, f"{of} validates on these fractions of the classes: {text}", slip))
