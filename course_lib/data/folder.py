"""Folders of class folders: `ROOT/cats/1.jpg`, `ROOT/dogs/2.jpg`, or the same below `ROOT/train` and `ROOT/test`."""

import hashlib
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from random import Random

import torch

from course_lib.data.cache import cached
from course_lib.data.class_folders import Classes, Layout
from course_lib.data.decode import read_images
from course_lib.data.images import ImageSet, Splits
from course_lib.data.layout import find_layout, read_class_folder
from course_lib.data.source import print_source
from course_lib.data.tree import summarize
from course_lib.data_sets import OWN_IMAGES
from course_lib.files import as_path
from course_lib.progress import watched


def load_folder(
    root: str | Path,
    *,
    image_size: int = 64,
    channels: int = 3,
    val_fraction: float = 0.15,
    seed: int = 0,
    classes: Sequence[str] | None = None,
    subfolder: str | None = None,
) -> Splits:
    """Images of one's own, a folder for each class, and one line saying what was found and what was left out.

    Folders for training, validation and test are known by any usual name (`train`, `Training`, `valid`, `test_set`),
    in `root` or in the one folder that it holds, or within each class. What is missing is cut from the training images,
    with the same fraction each: validation always, and test where there is neither a test nor a validation folder. With
    a validation folder and no test folder there is no test. All images below a class folder belong to the class, and
    every image counts as a group of its own; links are followed.

    Args:
        root: the folder.
        image_size: height and width to resize to, in pixels.
        channels: 1 for gray, 3 for color.
        val_fraction: share of the images to validate on, and to test on.
        seed: of the split.
        classes: the names of the class folders, where not all folders are classes.
        subfolder: of class folders that hold images and something else, the folder with the images, such as "images";
            "." for the files that lie in the class folder itself, "*" for all.

    Raises:
        FileNotFoundError: there is no such folder, or no class folders in it.
        ValueError: an empty class, a single class, splits of different classes, a folder that can be read in two ways,
            images that cannot be read.
    """
    root = as_path(root, "root")
    layout = find_layout(root, classes=classes, subfolder=subfolder)
    print_source(_describe(layout))
    name = root.resolve().name

    def read(split: str) -> ImageSet:
        if split not in layout.splits:
            folders = " and ".join(layout.names.values())
            raise FileNotFoundError(
                f"{root}: no images for {split}, only {folders}; add a folder {split} with the same class folders, or "
                f"choose another split (--split {'val' if 'val' in layout.splits else next(iter(layout.splits))})."
            )
        return read_classes(
            layout.splits[split], image_size=image_size, channels=channels, name=name, license=OWN_IMAGES.license
        )

    whole = next((split for split in ("all", "train") if split in layout.splits), "train")

    @cache
    def rest_and_test() -> tuple[ImageSet, ImageSet]:
        return train_val_split(read(whole), fraction=val_fraction, seed=seed)

    if set(layout.splits) & {"val", "test"}:
        return Splits(
            train_and_val=lambda: (
                (read("train"), read("val"))
                if "val" in layout.splits and "train" in layout.splits
                else train_val_split(read("train"), fraction=val_fraction, seed=seed)
            ),
            test=lambda: read("test"),
            path=root,
            has_test="test" in layout.splits,
        )
    return Splits(
        train_and_val=lambda: train_val_split(
            rest_and_test()[0], fraction=val_fraction / (1 - val_fraction), seed=seed
        ),
        test=lambda: rest_and_test()[1],
        path=root,
    )


def _describe(layout: Layout) -> str:
    """What was found, in a line."""
    classes = ", ".join(layout.classes[:10]) + (", ..." if len(layout.classes) > 10 else "")
    purpose = {"all": "", "train": " to train", "val": " to validate", "test": " to test"}
    counts = [
        f"{layout.num_images(split)} images{purpose[split]}" + ("" if split == "all" else f" in {layout.names[split]}")
        for split in layout.splits
    ]
    if not set(layout.splits) & {"val", "test"}:
        missing = "validation and test are cut from them"
    elif "train" not in layout.splits:
        missing = "no training images"
    elif "val" not in layout.splits:
        missing = "validation is cut from the training images"
    else:
        missing = "" if "test" in layout.splits else "no test images"
    left_out = f"left out: {summarize(layout.left_out)}" if layout.left_out else "nothing left out"
    parts = [", ".join(counts), f"{len(layout.classes)} classes ({classes})", missing, left_out]
    return f"{layout.root.resolve().name}: " + "; ".join(filter(None, parts))


def read_class_folders(
    folder: Path,
    *,
    image_size: int,
    channels: int,
    name: str,
    license: str,
    group_of: Callable[[Path], str] = str,
    more: Sequence[Path] = (),
) -> ImageSet:
    """All images below the class folders of `folder`, decoded once and cached.

    Args:
        folder: holds one folder for each class; classes are numbered in the order of their names.
        image_size: height and width to resize to, in pixels.
        channels: 1 for gray, 3 for color.
        name: what the images are.
        license: the terms under which they may be used.
        group_of: from a file's path to the group (the patient) that it belongs to.
        more: further folders of the same classes, read after the first where they exist.

    Raises:
        FileNotFoundError: no such folder, or no class folders in it.
        ValueError: an empty class, a single class, other classes in `more`, images that cannot be read.
    """
    files = read_class_folder(folder)
    for other in filter(Path.is_dir, more):
        further = read_class_folder(other, several=False)
        if extra := sorted(further.keys() - files.keys()):
            raise ValueError(
                f"{other / extra[0]}: a class that {folder} has not, where there are {', '.join(files)}; add it there, "
                "or take it away."
            )
        files = {class_name: paths + further.get(class_name, []) for class_name, paths in files.items()}
    return read_classes(files, image_size=image_size, channels=channels, name=name, license=license, group_of=group_of)


def read_classes(
    files: Classes,
    *,
    image_size: int,
    channels: int,
    name: str,
    license: str,
    group_of: Callable[[Path], str] = str,
) -> ImageSet:
    """The images of each class, decoded once and cached; the arguments are those of `read_class_folders`."""
    paths = [path for of_class in files.values() for path in of_class]
    labels = torch.repeat_interleave(torch.tensor([len(of_class) for of_class in files.values()]))
    groups = tuple(group_of(path) for path in paths)

    def make() -> ImageSet:
        images, sizes = read_images(paths, image_size=image_size, channels=channels, name=name)
        return ImageSet(images, labels, tuple(files), groups, name, license, file_sizes=sizes)

    # Only the pixels come from the cache, and only while every byte of the files is the same.
    image_set = cached(f"{name}-{image_size}px", (_contents(paths), image_size, channels), make, groups=groups)
    return replace(image_set, labels=labels, classes=tuple(files), name=name, license=license)


def _contents(paths: Sequence[Path]) -> list[str]:
    """A checksum of each file's bytes; of one that cannot be read, what the system says."""

    def checksum(path: Path) -> str:
        try:
            with open(path, "rb") as file:
                return hashlib.file_digest(file, "sha256").hexdigest()
        except OSError as error:
            return str(error)

    shown = watched(paths, len(paths), "looking for changed files", "files")
    return [checksum(path) for path in shown]  # threads would cost more than they save, at 60 microseconds a file


def train_val_split(image_set: ImageSet, *, fraction: float, seed: int) -> tuple[ImageSet, ImageSet]:
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
