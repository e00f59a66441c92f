"""CIFAR-10: 60,000 colour photographs of 32 pixels in ten classes."""

import sys
from pathlib import Path

import torch
from torchvision.datasets import CIFAR10

from course_lib.data.fetch import Remote, download, verify
from course_lib.data.folder import cut, read_class_folders
from course_lib.data.images import ImageSet, Splits
from course_lib.files import data_dir

CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
LICENCE = "Krizhevsky 2009, 'Learning multiple layers of features from tiny images'; no formal licence"
ARCHIVE = Remote(
    "https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz",
    "cifar-10-python.tar.gz",
    "c58f30108f718f92721af3b95e74349a",
)


def load_cifar10(*, root: Path | None = None, image_size: int = 32, val_fraction: float = 0.1, seed: int = 0) -> Splits:
    """CIFAR-10 in colour, and one line on stderr saying where it was found.

    Found in `root` as the official archive `cifar-10-python.tar.gz`, or as class folders `cifar10/train/airplane/...`,
    in `root` or below it. Without a `root` the archive is downloaded into the course's data folder.

    Args:
        root: where the images lie. Default: the course's data folder.
        image_size: height and width of class-folder images, in pixels; the archive's are 32.
        val_fraction: share of the training images to validate on.
        seed: of the cut.

    Raises:
        FileNotFoundError: no CIFAR-10 below `root`.
        OSError: it must be downloaded and the network does not answer.
        ValueError: a damaged file, a wrong checksum, another size asked of the archive.
    """
    place = root or data_dir()
    found = find_cifar10(place)
    if found is None and root is not None:
        raise FileNotFoundError(f"{root}: no CIFAR-10 there; expected {ARCHIVE.filename} or cifar10/train/airplane/...")
    found = found or download(ARCHIVE)
    print(f"Data: CIFAR-10 in {found}.", file=sys.stderr)
    if found.is_dir():
        return _class_folders(found, image_size, val_fraction, seed)
    if image_size != 32:
        raise ValueError(f"image_size={image_size}, but the archive's images have 32 pixels; leave it out.")
    return _archive(found, val_fraction, seed)


def find_cifar10(place: Path) -> Path | None:
    """The folder that holds train/ or test/, or the official archive, in `place` or just below it."""
    for folder in (place, place / "cifar10"):
        if any((folder / split / "airplane").is_dir() for split in ("train", "test")):
            return folder
    archives = (place / ARCHIVE.filename, place / "downloads" / ARCHIVE.filename)
    return next((file for file in archives if file.is_file()), None)


def _class_folders(folder: Path, image_size: int, val_fraction: float, seed: int) -> Splits:
    def read(split: str) -> ImageSet:
        images = read_class_folders(folder / split, image_size=image_size, channels=3, name="CIFAR-10", licence=LICENCE)
        if images.classes != CLASSES:
            raise ValueError(
                f"{folder / split}: the ten class folders of CIFAR-10 expected ({', '.join(CLASSES)}), found "
                f"{', '.join(images.classes)}; use `load_folder` for images of another kind."
            )
        return images

    return Splits(
        train_and_val=lambda: cut(read("train"), fraction=val_fraction, seed=seed),
        test=lambda: read("test"),
        found=folder,
    )


def _archive(archive: Path, val_fraction: float, seed: int) -> Splits:
    verify(archive, ARCHIVE)

    def read(*, train: bool) -> ImageSet:
        # torchvision unpacks the archive and opens its pickles; both checksums were verified before.
        stored = CIFAR10(str(archive.parent), train=train, download=True)
        images = torch.from_numpy(stored.data).permute(0, 3, 1, 2).contiguous()
        groups = tuple(f"{'train' if train else 'test'}-{index}" for index in range(len(images)))
        return ImageSet(images, torch.tensor(stored.targets), tuple(stored.classes), groups, "CIFAR-10", LICENCE)

    return Splits(
        train_and_val=lambda: cut(read(train=True), fraction=val_fraction, seed=seed),
        test=lambda: read(train=False),
        found=archive,
    )
