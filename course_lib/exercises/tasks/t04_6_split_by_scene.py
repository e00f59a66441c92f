import random
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress

import numpy as np
import torch
from sklearn.model_selection import GroupShuffleSplit, StratifiedGroupKFold

from course_lib.exercises.task import DEFAULTS, Task, refuse, shown


class Name(str):
    """A text with another hash, as each text has in the next process."""

    __slots__ = ()

    def __hash__(self):
        return hash(self + "again")


def indices(parts):
    """Two lists of indices from whatever holds two sequences of them."""
    sides = [part.tolist() if hasattr(part, "tolist") else [*part] for part in parts or ()]
    kinds = {type(index) for part in sides for index in part}
    plain = len(sides) == 2 and all(issubclass(kind, int | np.integer | torch.Tensor) for kind in kinds - {bool})
    slip = "Return the pictures' positions in `labels`, training first."
    refuse("two sequences of indices", (not plain or bool in kinds, f"the answer is {shown(parts)}", slip))
    return [[int(index) for index in part] for part in sides]


class SplitByScene(Task):
    number, title, name, points = "04.6", "No scene on both sides", "split_by_scene", 4
    statement = """
Photographs come in scenes: ten pictures of one cat, five of one street. A network that is validated on a scene it has
trained on is asked what it remembers. Write the split: picture i shows class `labels[i]` and belongs to scene
`scenes[i]`; return the indices of the training pictures and those of the validation pictures.

- Every picture is on exactly one side, and every scene whole on one side, also a scene that shows several classes.
- Validation holds `val_fraction` of the pictures of *each* class (`val_fraction=0.2` unless it is given), give or take
  5 percentage points. (The check's scenes are small enough for that.) Scenes differ in size, and some classes have few.
- The same arguments always give the same split, and another seed another one.

One way: go through the scenes in random order and give each to validation if that brings the fractions closer to what
is wanted; then go through them once more, and let each change sides if that helps.
"""
    hints = (
        "Count first: for each scene, how many pictures of each class it holds. `collections.Counter` does it.",
        "Shuffle the sorted names with `random.Random(seed)`: sets of strings have another order each time Python starts.",
        "How far is validation from what is wanted? Add up (fraction - val_fraction) squared over the classes.",
    )
    notice = (
        "scikit-learn has it as `StratifiedGroupKFold`. What no split can give you is independence that the data "
        "lack: count scenes, not pictures, when you say how sure you are."
    )
    given = "some hundred pictures in scenes, and two fractions and three seeds"
    drawn = "val_fraction", (0.15, 0.2, 0.25, 0.3)

    def inputs(self, draw):
        pictures, others = self.pictures(draw.number(0, 10**6)), self.pictures(draw.number(0, 10**6))
        for seed in range(3):
            yield *pictures, 0.2, seed
        yield *others, 0.3, 0

    def pictures(self, seed):
        """Labels and scenes of some hundred pictures in a random order; every fourth scene shows two classes."""
        draw, pictures = random.Random(seed), []
        for label, number in enumerate((70, 50, 36)):
            for index in range(number):
                name, size = f"{draw.random():.6f}", draw.choice((1, 1, 2, 3, 4, 6))
                pictures += [(label, name)] * size
                pictures += [((label + 1) % 3, name)] * (draw.choice((1, 2)) if index % 4 == 0 else 0)
        draw.shuffle(pictures)
        return [label for label, _ in pictures], [scene for _, scene in pictures]

    def use(self, answer, labels, scenes, fraction, seed):
        train, val = indices(answer(list(labels), list(scenes), fraction, seed))
        if fraction == 0.2:
            return [train, val, [], [], []]
        again, other = sorted(indices(answer(labels, scenes, fraction, seed))[1]), []
        unsaid = sorted(indices(answer(labels, scenes, fraction))[1])
        with suppress(Exception):  # some answers may not take the other hashes
            other = sorted(indices(answer(labels, [Name(scene) for scene in scenes], fraction, seed))[1])
        return [train, val, again, other, unsaid]

    def assert_correct(self, observed, reference, draw):
        for (labels, scenes, fraction, seed), (train, val, *_) in zip(self.inputs(draw), observed, strict=True):
            call_text = f"{self.name}(labels, scenes, val_fraction={fraction}, seed={seed})"
            self.expect_whole_scenes(labels, scenes, train, val, call_text)
            self.expect_shares(labels, scenes, val, fraction, call_text)
        (_, val, again, other, unsaid), first = observed[-1], [sorted(split[1]) for split in observed[:-1]]
        by_hash = other != again and abs(len(other) - len(again)) < 0.05 * len(labels)
        refuse(
            "the same arguments give the same split, another seed another one",
            (again != sorted(val), "the second call gave another split", "Draw from `random.Random(seed)`."),
            (unsaid != again, "without a seed the split was another than with seed=0", DEFAULTS),
            (by_hash, "another process would give another split", "Sort the scenes first: a set has no order."),
            (first[0] == first[1] == first[2], "seeds 0, 1 and 2 gave one split", "What does the seed change?"),
        )

    def expect_whole_scenes(self, labels, scenes, train, val, call_text):
        count = Counter(train + val)
        twice, never = [i for i in count if count[i] > 1], [i for i in range(len(labels)) if i not in count]
        both = {scenes[i] for i in train} & {scenes[i] for i in val}
        parts = {(labels[i], scenes[i]) for i in train} & {(labels[i], scenes[i]) for i in val}
        found = f"{call_text} has {len(both)} of {len(set(scenes))} scenes on both sides"
        refuse(
            "each picture, and each scene, on one side",
            (
                bool(twice),
                f"{call_text} returned {len(twice)} indices twice",
                "A picture for validation is not for training.",
            ),
            (bool(never), f"{call_text} left out {len(never)} pictures", "What is not for validation is for training."),
            (bool(parts), found, "You divide pictures; divide the scenes, and let the pictures follow."),
            (bool(both), found, "A scene with two classes is torn apart: it is one scene, whatever it shows."),
        )

    def expect_shares(self, labels, scenes, val, fraction, call_text):
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
        found = (
            f"{call_text} validates on these fractions of the classes: {', '.join(f'{share:.2f}' for share in shares)}"
        )
        far = max(abs(share - fraction) for share in shares) > 0.05
        refuse(f"{fraction} of each, within 0.05", (far, found, slip))


# Answers


# fmt: off
def split_by_scene(
    labels: Sequence[int], scenes: Sequence[str], val_fraction: float = 0.2, seed: int = 0
) -> tuple[list[int], list[int]]:
    """The class and the scene of each picture to (training indices, validation indices)."""
    total = Counter(labels)
    of_scene = {}  # how many pictures of each class it holds
    for label, scene in zip(labels, scenes, strict=True):
        of_scene.setdefault(scene, Counter())[label] += 1

    def error(chosen: set[str]) -> float:
        found = Counter()
        for scene in chosen:
            found.update(of_scene[scene])
        return sum((found[label] / total[label] - val_fraction) ** 2 for label in total)

    order = sorted(of_scene)
    random.Random(seed).shuffle(order)
    in_val, lowest = set(), error(set())
    for scene in order + order:  # the second time, a scene may also leave again
        changed = in_val ^ {scene}  # with the scene if it was not in, else without
        if error(changed) < lowest:
            in_val, lowest = changed, error(changed)
    train = [index for index, scene in enumerate(scenes) if scene not in in_val]
    val = [index for index, scene in enumerate(scenes) if scene in in_val]
    return train, val
# fmt: on


def by_folds(labels, scenes, val_fraction=0.2, seed=0):
    cut = StratifiedGroupKFold(20, shuffle=True, random_state=seed).split(labels, labels, scenes)
    folds, number = [fold for _, fold in cut], round(20 * val_fraction)
    return np.concatenate(folds[number:]), torch.tensor(np.concatenate(folds[:number]))


def best_of_many(labels, scenes, val_fraction=0.2, seed=0):
    draw, labels = np.random.default_rng(seed), np.array(labels)
    names, scene_of = np.unique(scenes, return_inverse=True)
    tries = []
    for _ in range(300):
        inside = (draw.random(len(names)) < val_fraction)[scene_of]
        off = max(abs(inside[labels == c].mean() - val_fraction) for c in np.unique(labels))
        tries.append((off, tuple(np.flatnonzero(inside))))
    val = min(tries)[1]
    return np.setdiff1d(np.arange(len(labels)), val), np.array(val)


def by_scenes(labels, scenes, val_fraction=0.2, seed=0):
    return next(GroupShuffleSplit(1, test_size=val_fraction, random_state=seed).split(labels, labels, scenes))


RETURN, DRAW, START = "return train, val", "random.Random(seed)", "    total = Counter(labels)"
also_wrong = [
    ({RETURN: "return [i for i in range(len(labels)) if i % 5], range(0, len(labels), 5)"}, "You divide pictures"),
    ({START: f"    scenes = [f'{{s}} {{k}}' for s, k in zip(scenes, labels)]\n{START}"}, "torn apart"),
    (by_scenes, "scenes differ in size"),
    (
        {
            "(found[label] / total[label] - val_fraction) ** 2 for label in total": "[(found.total() / total.total() - val_fraction) ** 2]"
        },
        "its classes do not",
    ),
    ({RETURN: "return val, train"}, "Training comes first"),
    ({DRAW: "random"}, "Draw from `random.Random(seed)`"),
    ({DRAW: "random.Random(0)"}, "What does the seed change"),
    ({"not in in_val]": "not in in_val and len(of_scene[scene]) == 1]"}, "What is not for validation"),
    ({"- val_fraction": "- 0.1"}, "is it used"),
    ({"sorted(of_scene)": "list(set(of_scene))"}, "Sort the scenes first"),
    ({"seed: int = 0": "seed: int = 1"}, DEFAULTS),
    ({RETURN: "return range(len(labels)), val"}, "is not for training"),
    ({RETURN: "return [[scenes[index] for index in side] for side in (train, val)]"}, "positions in `labels`"),
    ({RETURN: "return [[index in side for index in range(len(labels))] for side in (train, val)]"}, "True"),
]
also_right = [by_folds, best_of_many]
