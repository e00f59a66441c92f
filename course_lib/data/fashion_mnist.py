"""Fashion-MNIST: 70,000 gray pictures of 28 pixels of clothes, shoes and bags, in ten classes."""

import gzip
import math
import zlib
from pathlib import Path

import torch
from torch import Tensor

from course_lib.data.folder import train_val_split
from course_lib.data.images import ImageSet, Splits
from course_lib.data.published import find_folder
from course_lib.data.source import Loader, locate, named_root, print_source
from course_lib.data_sets import FASHION_MNIST
from course_lib.fetch import Remote
from course_lib.files import as_path, data_dir
from course_lib.options import Source

CLASSES = ("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot")
DEBIAN = Path("/usr/share/datasets/fashion-mnist")  # of the package dataset-fashion-mnist
FILES = {
    "train": ("train-images-idx3-ubyte", "train-labels-idx1-ubyte"),
    "test": ("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"),
}
HOSTS = (
    "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com",
    "https://github.com/zalandoresearch/fashion-mnist/raw/master/data/fashion",
)
REMOTES = [
    Remote(tuple(f"{host}/{name}.gz" for host in HOSTS), f"fashion-mnist/{name}.gz", f"md5:{md5}", num_bytes)
    for name, md5, num_bytes in (
        (FILES["train"][0], "8d4fb7e6c68d591d4c3dfef9ec88bf0d", 26_421_880),
        (FILES["train"][1], "25c81989df183df01b3e8a0aad5dffbe", 29_515),
        (FILES["test"][0], "bef4ecab320f06d8554ea6380940ec79", 4_422_102),
        (FILES["test"][1], "bb300cfdad3c16e7a12a480ee83cd310", 5_148),
    )
]


def load_fashion_mnist(
    source: Source | None = None,
    *,
    root: str | Path | None = None,
    image_size: int = 28,
    val_fraction: float = 0.1,
    seed: int = 0,
) -> Splits:
    """Fashion-MNIST in gray, bright on black, and one line saying where it was found. No simulated images replace it.

    Found are the four published files, as they are or unpacked: in `root`, or in a folder below it whose path says
    "fashion", since other sets have files of the same names.

    Args:
        source: "real", or "auto", which is the same here. Default: "real" if a root is given, else the environment's
            COURSE_DATA, else "auto".
        root: where the files lie. Default: the environment's COURSE_DATA_ROOT, the course's data folder, or where
            Debian's package puts them; else they are downloaded.
        image_size: height and width, in pixels; 28 is what there is.
        val_fraction: share of the training images to validate on.
        seed: of the split.

    Raises:
        FileNotFoundError: no Fashion-MNIST below `root`.
        OSError: it must be downloaded and no host answers.
        ValueError: a damaged file, another size, or simulated images asked for.
    """
    folder = locate(FASHION_MNIST, source, root, image_size)
    assert folder is not None, "there are no simulated images to take instead"
    if image_size != FASHION_MNIST.pixels:
        raise ValueError(f"image_size={image_size}, but the images have {FASHION_MNIST.pixels} pixels; leave it out.")
    print_source(f"Fashion-MNIST in {folder}: its ten classes; validation is cut from train")
    return Splits(
        train_and_val=lambda: train_val_split(_read(folder, "train"), fraction=val_fraction, seed=seed),
        test=lambda: _read(folder, "test"),
        path=folder,
        has_test=_holds(folder, "test"),
    )


def find_fashion_mnist(root: str | Path | None = None) -> Path | None:
    """The folder that holds the files of a split: `root`, or up to three folders below it.

    Without a `root`: in COURSE_DATA_ROOT, in the course's data folder, or where Debian's package puts them.
    """
    if root is None:
        return next(filter(None, map(find_fashion_mnist, [*named_root(), data_dir(), DEBIAN])), None)
    top = as_path(root, "root")

    def holds_it(folder: Path) -> bool:
        named = folder == top or "fashion" in folder.relative_to(top).as_posix().lower()
        return named and any(_holds(folder, split) for split in FILES)

    return find_folder(top, holds_it)


def read_idx(path: Path, num_axes: int) -> Tensor:
    """The bytes of an IDX file, gzipped or not, in the shape that its head states.

    Raises:
        ValueError: something else, or damaged; the message names the file.

    Source: LeCun, Cortes and Burges, "The MNIST database of handwritten digits", "File formats".
    """
    try:
        content = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise ValueError(f"{path}: cannot be unpacked ({error}); fetch it again.") from error
    head = 4 + 4 * num_axes
    shape = [int.from_bytes(content[first : first + 4], "big") for first in range(4, head, 4)]
    if content[:4] != bytes([0, 0, 8, num_axes]) or not len(content) == head + math.prod(shape) > head:
        raise ValueError(
            f"{path}: unsigned bytes along {num_axes} axes in IDX format expected, got {len(content)} bytes that begin "
            f"with {content[:4].hex()}; fetch it again."
        )
    return torch.frombuffer(bytearray(content), dtype=torch.uint8, offset=head).view(shape)


def _holds(folder: Path, split: str) -> bool:
    return all(_path(folder, name).is_file() for name in FILES[split])


def _path(folder: Path, name: str) -> Path:
    packed = folder / f"{name}.gz"
    return packed if packed.is_file() else folder / name


def _read(folder: Path, split: str) -> ImageSet:
    of_images, of_labels = (_path(folder, name) for name in FILES[split])
    images, labels = read_idx(of_images, 3), read_idx(of_labels, 1)
    if images.shape != (len(labels), 28, 28) or labels.max() >= len(CLASSES):
        raise ValueError(
            f"{of_images}: pictures of 28x28 pixels in {len(CLASSES)} classes expected, got {tuple(images.shape)} and "
            f"{len(labels)} labels from {labels.min()} to {labels.max()}; fetch all four files again."
        )
    groups = tuple(f"{split}-{index}" for index in range(len(images)))
    return ImageSet(images[:, None], labels, CLASSES, groups, FASHION_MNIST.real.title, FASHION_MNIST.license)


LOADER = Loader(load_fashion_mnist, find_fashion_mnist, lambda image_size: REMOTES)
