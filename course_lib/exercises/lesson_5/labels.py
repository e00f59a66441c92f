"""Checks of lesson 5: of features and of what labels are worth."""

import math
import statistics
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor, nn

from course_lib.exercises.legacy import Wrong, agrees, expect, shown, task
from course_lib.exercises.lesson_5.layers import small_backbone
from course_lib.runtime import evaluation_mode

Values = dict[int, list[float]]  # accuracies by number of labels
Pairs = dict[int, tuple[Any, Any]]  # mean and spread, likewise
Summary = Callable[[list[float]], Any]
deviation = statistics.stdev


class Shuffling:
    """Pairs of images and labels in a new order each time; counts how often it is gone through."""

    def __init__(self, images: Tensor, labels: Tensor, sizes: list[int]) -> None:
        self.images, self.labels, self.sizes = images, labels, sizes
        self.passes = 0
        self.order = torch.arange(len(images))

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        self.passes += 1
        self.order = torch.randperm(len(self.images))
        return iter([(self.images[rows], self.labels[rows]) for rows in self.order.split(self.sizes)])


@task(
    "05.5",
    "Features once",
    "One loop: in it, append a batch's features to one list and its labels to another; `torch.cat` at the end.",
    "`mean(dim=(2, 3))` is the mean over rows and columns; `torch.no_grad()` spares the graph.",
    "Before `eval()`, note `part.training` for each part in `backbone.modules()`.",
)
def features_once(answer: Callable[[nn.Module, Shuffling], tuple[Tensor, Tensor]]) -> str:
    backbone = small_backbone().train()
    backbone[1].eval()  # as a frozen layer is
    for sizes in ([4, 4, 3], [5, 1, 5]):
        batches = Shuffling(torch.rand(11, 3, 8, 8), torch.randint(0, 4, (11,)), sizes)
        features, labels = _asked(answer, backbone, batches)
        with evaluation_mode(backbone), torch.no_grad():
            maps = backbone(batches.images[batches.order])
        wanted = maps.mean((2, 3))
        slips = [
            (maps, "Those are the maps: take the mean of each, over rows and columns."),
            (maps.flatten(1), "The maps were flattened: take the mean of each instead."),
            (maps.amax((2, 3)), "That is the largest number of each map; the mean is asked for."),
            (maps.mean(1).flatten(1), "The mean ran over the maps: it belongs over their rows and columns."),
            (maps.mean((2, 3), keepdim=True), "Two axes of length 1 are left over: the shape is (N, maps)."),
            (batches.labels[batches.order], "The labels came first: return features, then labels."),
            (wanted[: -sizes[-1]], "The last batch is missing: a smaller one counts, too."),
            (wanted[-sizes[-1] :], "That is the last batch alone: collect all of them in a list."),
        ]
        expect(features, wanted, of=f"the features of {len(maps)} images", slips=slips)
        expect(labels, batches.labels[batches.order], of="the labels")
    return (
        "These features stand for the images as they were: with augmentation, each look would need a pass of its own."
    )


def _asked(answer: Callable[..., Any], backbone: nn.Module, batches: Shuffling) -> tuple[Tensor, Tensor]:
    """What an answer returns, if it asks the backbone as it should and leaves no trace in it."""
    before = [part.training for part in backbone.modules()]
    calls: list[tuple[bool, int]] = []
    stem = backbone.get_submodule("0")  # the network itself might be asked by `backbone.forward`, past its hooks
    hook = stem.register_forward_hook(lambda part, given, _: calls.append((part.training, len(given[0]))))
    found = answer(backbone, batches)
    hook.remove()
    grad_was_on = torch.is_grad_enabled()
    torch.set_grad_enabled(True)
    if not isinstance(found, tuple | list) or len(found) != 2 or not all(isinstance(part, Tensor) for part in found):
        raise Wrong(
            f"features_of() gave {shown(found)}",
            "two tensors, features and labels",
            "Return both, each joined by `torch.cat`.",
        )
    after = [part.training for part in backbone.modules()]
    slip = "Batch norm would move, and dropout draw: call `eval()` first."
    if any(training for training, _ in calls):
        raise Wrong("the backbone was asked in training mode", "asked in evaluation mode", slip)
    if batches.passes != 1:
        slip = "Batches are shuffled again each time, so labels of a second pass belong to other images."
        raise Wrong(f"{batches.passes} passes through the batches", "one", slip)
    if sorted(size for _, size in calls) != sorted(batches.sizes):
        slip = "All at once may not fit into memory, and twice takes twice as long."
        raise Wrong(f"calls with {[size for _, size in calls]} images", f"calls with {batches.sizes}", slip)
    if after != before:
        slip = "It was in training mode before: set that back."
        if any(after):
            slip = "`train()` wakes all parts, also one that was frozen: give each its own `training` back."
        raise Wrong("afterwards the modes had changed", "each part in its old mode", slip)
    if not grad_was_on or not all(parameter.requires_grad for parameter in backbone.parameters()):
        slip = "Use `with torch.no_grad():`, which ends by itself, and leave `requires_grad` alone."
        raise Wrong("afterwards gradients were switched off", "switched on as before", slip)
    if found[0].requires_grad:
        slip = "The graph keeps all maps of all batches in memory: ask inside `torch.no_grad()`."
        raise Wrong("features that are still part of a graph", "features without one", slip)
    return found[0], found[1]


class Training:
    """A training that takes no time, with means over the seeds in 64ths by n; notes what it was called with."""

    def __init__(self, means: dict[int, int], own: int) -> None:
        self.means, self.own = means, own
        self.calls: list[tuple[int, int]] = []

    def __call__(self, n: int, seed: int) -> float:
        self.calls.append((n, seed))
        return self.value(n, seed)

    def value(self, n: int, seed: int) -> float:
        luck = {3: -6, 4: 5, 8: 2, 11: -1}.get(seed, 0) + (self.own if (n // 40 + seed) % 2 else -self.own)
        return (self.means[n] + luck) / 64


@task(
    "05.6",
    "How many labels does a pretrained network save?",
    "Three loops into one: for each n, a list of accuracies over the seeds for each of the two. All else follows.",
    "A helper that turns a list into (mean, spread) serves three times; `statistics.stdev` divides by one less.",
    "`max(counts)` is the largest, wherever it stands; `min(..., default=None)` of those that are enough.",
)
def how_many_labels_a_pretrained_network_saves(answer: Callable[..., dict[str, Any]]) -> str:
    for counts, seeds, with_it, without in (
        ([640, 40, 2560, 160, 80, 320], [8, 3, 11, 4], (45, 20, 51, 40, 35, 47), (46, 21, 38, 25, 36, 15)),
        ([40, 80, 160], [4, 8, 3, 11], (20, 38, 40), (10, 20, 38)),
        ([40, 80], [7], (20, 30), (10, 40)),
    ):
        trainings = [Training(dict(zip(counts, m, strict=True)), k) for m, k in ((with_it, 1), (without, -1))]
        given = list(counts), list(seeds)
        found = answer(*trainings, *given)
        expect(given, (counts, seeds), of="counts and seeds afterwards", slips=[(given, "Use `sorted`, not `sort`.")])
        keys, slip = sorted(found) if isinstance(found, dict) else found, "Return a dictionary with these keys."
        expect(keys, ["gain", "needed", "pretrained", "scratch"], of="sorted(labels_needed())", slips=[(keys, slip)])
        _called_once(trainings, counts, seeds)
        _summed_up(found, trainings, counts, seeds)
        _enough(found["needed"], trainings, counts, seeds)
    return "The gain's spread is the smaller one: pairing took the luck of the draw out of it, at no further training."


def _called_once(trainings: list[Training], counts: list[int], seeds: list[int]) -> None:
    """Go on if each training was called once for each number of labels and each seed."""
    wanted = sorted((n, seed) for n in counts for seed in seeds)
    for name, training in zip(("pretrained", "scratch"), trainings, strict=True):
        calls = sorted(training.calls)
        slip = "Each call costs hours: keep what it returned, and compute all else from that."
        if len(calls) <= len(wanted):
            slip = "All numbers and all seeds, the same for both: otherwise one of them had the easier images."
        if calls != wanted:
            raise Wrong(f"{len(calls)} calls of {name}: {shown(calls)}", f"{len(wanted)}: {shown(wanted)}", slip)


def _summed_up(found: dict[str, Any], trainings: list[Training], counts: list[int], seeds: list[int]) -> None:
    """Go on if means and spreads are right."""
    first, second = ({n: [t.value(n, seed) for seed in seeds] for n in counts} for t in trainings)
    gain = {n: [a - b for a, b in zip(first[n], second[n], strict=True)] for n in counts}

    def pairs(values: Values, spread: Summary, mean: Summary = statistics.fmean) -> Pairs:
        return {n: (mean(v), spread(v) if len(v) > 1 else None) for n, v in values.items()}

    def apart(mix: Callable[[float, float], float]) -> Pairs:
        return {n: (m, mix(pairs(first, deviation)[n][1], pairs(second, deviation)[n][1])) for n, m in means.items()}

    means = {n: statistics.fmean(v) for n, v in gain.items()}
    for name, values in {"pretrained": first, "scratch": second, "gain": gain}.items():
        slips: list[tuple[Pairs, str]] = [
            (pairs(values, statistics.pstdev), "It was divided by the number of seeds, not by one less."),
            (pairs(values, lambda v: max(v) - min(v)), "That is the range; the standard deviation is asked for."),
            (pairs(values, statistics.variance), "That is the variance: take its root."),
            (pairs(values, lambda v: deviation(v) / len(v) ** 0.5), "That is the error of the mean: do not divide."),
            (pairs(values, deviation, statistics.median), "Not the median: the mean."),
            (
                pairs({n: [-x for x in v] for n, v in gain.items()}, deviation),
                "The sign: more in `pretrained` is positive.",
            ),
        ]
        if len(seeds) > 1:
            slips.append((apart(math.hypot), "Seeds come in pairs: subtract first, then take the spread."))
            slips.append((apart(lambda a, b: a - b), "The spread of differences is no difference of spreads."))
        right = pairs(values, deviation)
        slip = next((said for other, said in slips if agrees(found[name], other, 1e-6)), "")
        expect(sorted(found[name]), sorted(counts), of=f'sorted(labels_needed()["{name}"])')
        for n in counts:
            value, of = found[name][n], f'labels_needed()["{name}"][{n}] for the seeds {seeds}'
            if len(seeds) == 1 and isinstance(value, tuple | list) and value[-1] is not None:
                slip = "Of one seed's spread nothing is known: `None`. 0 would say that it is small."
                raise Wrong(f"{of} gave {shown(value)}", shown(right[n]), slip)
            expect(value, right[n], of=of, slips=[(value, slip)], tolerance=1e-6)


def _enough(found: object, trainings: list[Training], counts: list[int], seeds: list[int]) -> None:
    """Go on if `found` is the smallest number of labels that is enough."""
    pretrained, scratch = trainings

    def needed(target: float, of: Callable[[list[float]], float] = statistics.fmean) -> list[int]:
        return [n for n in counts if of([pretrained.value(n, seed) for seed in seeds]) >= target]

    means = {n: statistics.fmean([scratch.value(n, seed) for seed in seeds]) for n in counts}
    target = means[max(counts)]
    enough = needed(target)
    right = min(enough, default=None)
    slips: list[tuple[object, str]] = []
    of = 'labels_needed()["needed"]'
    if right is not None and found is None:
        slip = "Which of the two has to reach which? `pretrained`, at any n, what `scratch` has at the largest."
        raise Wrong(f"{of} gave None", shown(right), slip)
    if right is None:
        slips = [(found, "Where no number is enough, say so: return `None`.")]
    else:
        same = [n for n in counts if n in needed(means[n])]
        slips = [
            (enough[0], "That is the first in `counts` that is enough; they come in any order, so take the smallest."),
            (min(needed(max(means.values())), default=None), "The best mean of `scratch` was taken, not its last."),
            (min(needed(target, max)), "The luckiest seed reached it; its mean has to."),
            (min(needed(means[counts[-1]])), "The last in `counts` is not the largest."),
            (min(same, default=None), "Both were compared at the same n: compare with the largest n of `scratch`."),
            (min(needed(target + 1e-9), default=None), "As good is enough: `>=`, not `>`."),
            (max(enough), "That is the largest number that is enough; the smallest says what is needed."),
        ]
    expect(found, right, of=of, slips=slips)
