import statistics
from collections.abc import Callable, Sequence

import torch

from course_lib.exercises.task import Task, Wrong, refuse, shown


class Training:
    """A training that takes no time, with means over the seeds in 64ths by n; notes what it was called with."""

    def __init__(self, means, own):
        self.means, self.own, self.calls = means, own, []

    def __call__(self, n, seed):
        self.calls.append((n, seed))
        luck = {3: -6, 4: 5, 8: 2, 11: -1}.get(seed, 0) + (self.own if (n // 40 + seed) % 2 else -self.own)
        return (self.means[n] + luck) / 64


class LabelsNeeded(Task):
    number, title, name, points = "05.6", "How many labels does a pretrained network save?", "labels_needed", 4
    statement = """
"With ImageNet's weights, 160 labels do what took 640 without them": write the function that finds such a sentence.
`pretrained` and `scratch` each train a network, `pretrained(n, seed)` with `n` labeled images, drawn by the seed,
and return its accuracy. Training costs hours, so call each of the two once for each number in `counts` and each seed
in `seeds`, and no more. Return a dictionary:

- `"pretrained"` and `"scratch"`: dictionaries from `n` to a pair, the mean accuracy over the seeds and its spread.
  The spread is the standard deviation with a divisor of one less than the number of seeds, and `None` for a single
  seed.
- `"gain"`: the same for the differences, `pretrained` minus `scratch` *with the same seed*. Both saw the same images,
  so a lucky draw helps both and drops out of the difference.
- `"needed"`: the smallest `n` for which the mean of `pretrained` is at least the mean that `scratch` has at the
  largest `n`. `None` if there is no such `n`.

The numbers in `counts` come in any order, and neither they nor the seeds may be changed.
"""
    hints = (
        "Three loops into one: for each n, a list of accuracies over the seeds for each of the two. All else follows.",
        "A helper that turns a list into (mean, spread) serves three times; `statistics.stdev` divides by one less.",
        "`max(counts)` is the largest, wherever it stands; `min(..., default=None)` of those that are enough.",
    )
    notice = (
        "The gain's spread is the smaller one: pairing took the luck of the draw out of it, at no further training."
    )
    worth = dict.fromkeys(('the entry "pretrained"', 'the entry "gain"', 'the entry "needed"'), 1)
    given = "counts in any order, and one, two or four seeds"
    tolerance = 1e-6

    def inputs(self, draw):
        yield [640, 40, 2560, 160, 80, 320], [8, 3, 11, 4], (45, 20, 51, 40, 35, 47), (46, 21, 38, 25, 36, 15)
        yield [40, 80, 160], [4, 8, 3, 11], (20, 38, 40), (10, 20, 38)
        yield [40, 80], [7], (20, 30), (10, 40)
        for seeds in ([8, 3], [4]):
            counts = (40 * draw.uniform(30).argsort()[:5] + 40).tolist()
            yield counts, seeds, draw.whole(20, 50, 5).tolist(), draw.whole(10, 40, 5).tolist()

    def shown(self, counts, seeds, with_it, without):
        return f"counts={counts} and seeds={seeds}"

    def use(self, answer, counts, seeds, with_it, without):
        trainings = [Training(dict(zip(counts, m, strict=True)), k) for m, k in ((with_it, 1), (without, -1))]
        arguments = list(counts), list(seeds)
        result = answer(*trainings, *arguments)
        changed = "counts or seeds had changed"
        refuse("both as they were", (arguments != (counts, seeds), changed, "Use `sorted`, not `sort`."))
        keys, right = (
            sorted(result) if isinstance(result, dict) else result,
            ["gain", "needed", "pretrained", "scratch"],
        )
        slip = "Return a dictionary with these keys."
        refuse(f"{right}", (keys != right, f"sorted(labels_needed()) gave {shown(keys)}", slip))
        self.called_once(trainings, counts, seeds)
        for name in ("pretrained", "scratch", "gain"):
            for n, value in result[name].items() if len(seeds) == 1 else ():
                if isinstance(value, tuple | list) and value[-1] is not None:
                    slip = "Of one seed's spread nothing is known: `None`. 0 would say that it is small."
                    raise Wrong(f'labels_needed()["{name}"][{n}] gave {shown(value)}', "(mean, None)", slip)
        return {f'the entry "{key}"': result[key] for key in ("pretrained", "scratch", "gain", "needed")}

    def called_once(self, trainings, counts, seeds):
        """Go on if each training was called once for each number of labels and each seed."""
        needed = sorted((n, seed) for n in counts for seed in seeds)
        for name, training in zip(("pretrained", "scratch"), trainings, strict=True):
            calls = sorted(training.calls)
            slip = "Each call costs hours: keep what it returned, and compute all else from that."
            if len(calls) <= len(needed):
                slip = "All numbers and all seeds, the same for both: otherwise one of them had the easier images."
            if calls != needed:
                raise Wrong(f"{len(calls)} calls of {name}: {shown(calls)}", f"{len(needed)}: {shown(needed)}", slip)


# Answers


def labels_needed(
    pretrained: Callable[[int, int], float],
    scratch: Callable[[int, int], float],
    counts: Sequence[int],
    seeds: Sequence[int],
) -> dict[str, object]:
    """Two functions from (n, seed) to accuracy, numbers of labels, and seeds, to four results."""

    def summed_up(values: list[float]) -> tuple[float, float | None]:
        spread = statistics.stdev(values) if len(values) > 1 else None
        return statistics.fmean(values), spread

    with_it, without, gain = {}, {}, {}
    for n in sorted(counts):
        first = [pretrained(n, seed) for seed in seeds]
        second = [scratch(n, seed) for seed in seeds]
        with_it[n], without[n] = summed_up(first), summed_up(second)
        gain[n] = summed_up([a - b for a, b in zip(first, second, strict=True)])
    target, _ = without[max(counts)]
    enough = [n for n, (mean, _) in with_it.items() if mean >= target]
    needed = min(enough, default=None)
    return {"pretrained": with_it, "scratch": without, "gain": gain, "needed": needed}


def by_tensors(pretrained, scratch, counts, seeds):
    first, second = (torch.tensor([[f(n, s) for s in seeds] for n in counts]).double() for f in (pretrained, scratch))

    def rows(table):
        spreads = table.std(dim=1).tolist() if len(seeds) > 1 else [None] * len(counts)
        return dict(zip(counts, zip(table.mean(dim=1).tolist(), spreads, strict=True), strict=True))

    target = rows(second)[max(counts)][0]
    reached = [n for n, (mean, _) in sorted(rows(first).items()) if mean >= target]
    found = {"needed": reached[0] if reached else None, "gain": rows(first - second)}
    return {**found, "scratch": rows(second), "pretrained": rows(first)}


SPREAD, ENOUGH = "statistics.stdev(values)", "mean >= target"
GAIN = "gain[n] = summed_up([a - b for a, b in zip(first, second, strict=True)])"
UNPAIRED = "(a, p), (b, q) = with_it[n], without[n]; gain[n] = a - b, p and "
slips = [
    ({"stdev": "pstdev"}, "It was divided by the number of seeds, not by one less."),
    ({SPREAD: "max(values) - min(values)"}, "That is the range; the standard deviation is asked for."),
    ({"stdev": "variance"}, "That is the variance: take its root."),
    ({SPREAD: f"{SPREAD} / len(values) ** 0.5"}, "That is the error of the mean: do not divide."),
    ({"fmean": "median"}, "Not the median: the mean."),
    ({"a - b for": "b - a for"}, "The sign: more in `pretrained` is positive."),
    ({GAIN: f"{UNPAIRED} (p * p + q * q) ** 0.5"}, "Seeds come in pairs: subtract first, then take the spread."),
    ({GAIN: f"{UNPAIRED} p - q"}, "The spread of differences is no difference of spreads."),
    (
        {"sorted(counts)": "counts", "min(enough, default=None)": "next(iter(enough), None)"},
        "That is the first in `counts` that is enough; they come in any order, so take the smallest.",
    ),
    (
        {"target, _ = without[max(counts)]": "target = max(mean for mean, _ in without.values())"},
        "The best mean of `scratch` was taken, not its last.",
    ),
    (
        {
            "gain = {}, {}, {}": "gain, best = {}, {}, {}, {}",
            "        second": "        best[n] = max(first)\n        second",
            ENOUGH: "best[n] >= target",
        },
        "The luckiest seed reached it; its mean has to.",
    ),
    ({"max(counts)": "counts[-1]"}, "The last in `counts` is not the largest."),
    ({ENOUGH: "mean >= without[n][0]"}, "Both were compared at the same n: compare with the largest n of `scratch`."),
    ({ENOUGH: "mean > target"}, "As good is enough: `>=`, not `>`."),
    ({"min(enough": "max(enough"}, "That is the largest number that is enough; the smallest says what is needed."),
    (
        {"without[max(counts)]": "with_it[max(counts)]", "with_it.items()": "without.items()"},
        "Which of the two has to reach which? `pretrained`, at any n, what `scratch` has at the largest.",
    ),
    ({"default=None": "default=max(counts)"}, "Where no number is enough, say so: return `None`."),
]
also_wrong = [
    ({"else None": "else 0.0"}, "0 would say that it is small"),
    ({"else None": 'else float("nan")'}, "nothing is known"),
    ({"[scratch(n, seed)": "[scratch(n, seed) and scratch(n, seed)"}, "keep what it returned"),
    ({"scratch(n, seed)": "scratch(n, seed + 1)"}, "easier images"),
    ({"sorted(counts)": "counts.sort() or counts"}, "`sorted`, not `sort`"),
    (lambda *given: tuple(labels_needed(*given).values()), "Return a dictionary"),
]
also_right = [by_tensors]
