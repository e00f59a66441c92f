"""Folders of class folders: `ROOT/cats/1.jpg`, `ROOT/dogs/2.jpg`, or the same below `ROOT/train` and `ROOT/test`."""

import os
from collections import Counter
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from random import Random

import torch

from course_lib.data.cache import cached
from course_lib.data.decode import read_images
from course_lib.data.formats import is_image
from course_lib.data.images import ImageSet, Splits


def load_folder(
    root: Path, *, image_size: int = 64, channels: int = 3, val_fraction: float = 0.15, seed: int = 0
) -> Splits:
    """Images of one's own, a folder for each class.

    With `ROOT/train` and `ROOT/test`, validation is cut from train; with class folders directly below ROOT, test is cut
    from them first, with the same fraction. Every image counts as a group of its own.

    Args:
        root: the folder.
        image_size: height and width to resize to, in pixels.
        channels: 1 for grey, 3 for colour.
        val_fraction: share of the images to validate on, and to test on where there is no test folder.
        seed: of the cut.

    Raises:
        FileNotFoundError: there is no such folder, or no class folders in it.
        ValueError: an empty class, a single class, an unreadable image.
    """
    name = root.resolve().name

    def read(folder: Path) -> ImageSet:
        return read_class_folders(folder, image_size=image_size, channels=channels, name=name, licence="your own")

    if (root / "train").is_dir() or (root / "test").is_dir():
        return Splits(
            train_and_val=lambda: cut(read(root / "train"), fraction=val_fraction, seed=seed),
            test=lambda: read(root / "test"),
            found=root,
        )

    @cache
    def rest_and_test() -> tuple[ImageSet, ImageSet]:
        return cut(read(root), fraction=val_fraction, seed=seed)

    return Splits(
        train_and_val=lambda: cut(rest_and_test()[0], fraction=val_fraction / (1 - val_fraction), seed=seed),
        test=lambda: rest_and_test()[1],
        found=root,
    )


def read_class_folders(
    folder: Path,
    *,
    image_size: int,
    channels: int,
    name: str,
    licence: str,
    group_of: Callable[[Path], str] = str,
    more: Sequence[Path] = (),
) -> ImageSet:
    """All images below the class folders of `folder`, decoded once and cached.

    Args:
        folder: holds one folder for each class; classes are numbered in the order of their names.
        image_size: height and width to resize to, in pixels.
        channels: 1 for grey, 3 for colour.
        name: what the images are.
        licence: the terms under which they may be used.
        group_of: from a file's path to the group (the patient) that it belongs to.
        more: further folders of the same classes, read after the first where they exist.

    Raises:
        FileNotFoundError: no such folder, or no class folders in it.
        ValueError: an empty class, a single class, an unreadable image.
    """
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder}: no such folder; expected one folder for each class in it.")
    classes = sorted(entry.name for entry in os.scandir(folder) if entry.is_dir() and not _hidden(entry.name))
    if not classes:
        raise FileNotFoundError(f"{folder}: no class folders in it; put the images of each class in a folder.")
    files = [[path for place in (folder, *more) for path in _images_in(place / name)] for name in classes]
    for class_name, paths in zip(classes, files, strict=True):
        if not paths:
            raise ValueError(
                f"{folder / class_name}: an empty class, no image in it (of what Pillow reads); add "
                "images or remove the folder."
            )
    if len(classes) == 1:
        raise ValueError(f"{folder}: one class only ({classes[0]}); a classifier needs two or more class folders.")

    def make() -> ImageSet:
        paths = [path for of_class in files for path in of_class]
        images, sizes = read_images(paths, image_size=image_size, channels=channels, name=name)
        labels = torch.repeat_interleave(torch.tensor([len(of_class) for of_class in files]))
        groups = tuple(group_of(path) for path in paths)
        return ImageSet(images, labels, tuple(classes), groups, name, licence, file_sizes=sizes)

    # A file counts as unchanged when its path, length and time of change are the same.
    facts = [(str(path), (found := path.stat()).st_size, found.st_mtime_ns) for of_class in files for path in of_class]
    return cached(f"{name.replace(' ', '-')}-{image_size}px", (facts, image_size, channels), make)


def _hidden(name: str) -> bool:
    return name.startswith((".", "__"))  # .ipynb_checkpoints, __MACOSX


def _images_in(folder: Path) -> list[Path]:
    return sorted(
        path
        for path in folder.rglob("*")
        if is_image(path) and not any(map(_hidden, path.relative_to(folder).parts)) and path.is_file()
    )


def cut(image_set: ImageSet, *, fraction: float, seed: int) -> tuple[ImageSet, ImageSet]:
    """Cut a set in two, about `fraction` in the second: no group in both, classes in the same proportions.

    Raises:
        ValueError: `fraction` is not above 0 and at most 0.5, or a class has too few groups to be in both parts.
    """
    if not 0 < fraction <= 0.5:
        raise ValueError(f"fraction={fraction} must be above 0 and at most 0.5; cut off the smaller part.")
    labels_of: dict[str, list[int]] = {}
    for group, label in zip(image_set.groups, image_set.labels.tolist(), strict=True):
        labels_of.setdefault(group, []).append(label)
    num_groups = Counter(label for labels in labels_of.values() for label in set(labels))
    needed = max(2, round(1 / fraction))
    for label, name in enumerate(image_set.classes):
        if num_groups[label] < needed:
            raise ValueError(
                f"{image_set.name}: class {name} has only {num_groups[label]} images (or patients), and {needed} are "
                f"needed to cut off {fraction:.0%} of them; add images."
            )
    chosen = _share_of_groups(labels_of, fraction, seed)
    second = [index for index, group in enumerate(image_set.groups) if group in chosen]
    first = [index for index, group in enumerate(image_set.groups) if group not in chosen]
    return image_set.subset(first), image_set.subset(second)


def _share_of_groups(labels_of: dict[str, list[int]], fraction: float, seed: int) -> set[str]:
    """Groups that together hold about `fraction` of the images of each class.

    In a random order, a group moves in or out if that brings the classes' shares nearer to `fraction`, in squares; two
    more rounds mend what groups of several classes leave. No library has a part in the order, so that it is the same
    with every release: Python promises that of `Random.random`.
    """
    total = Counter(label for labels in labels_of.values() for label in labels)
    missing = {label: fraction * count for label, count in total.items()}
    chosen: set[str] = set()
    draw = Random(seed).random
    order = sorted(labels_of, key=lambda _: draw())
    for group in order * 3:
        sign = -1 if group in chosen else 1
        moved = {label: sign * count for label, count in Counter(labels_of[group]).items()}
        if sum(count * (count - 2 * missing[label]) / total[label] ** 2 for label, count in moved.items()) < 0:
            chosen ^= {group}
            for label, count in moved.items():
                missing[label] -= count
    return chosen
