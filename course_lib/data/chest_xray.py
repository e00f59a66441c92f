"""Chest X-rays of children with and without pneumonia, from whichever source is at hand."""

import os
import re
from dataclasses import replace
from importlib.util import find_spec
from inspect import getsource
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
import torch
from torch.nn import functional as F

from course_lib.data import phantom, simulated
from course_lib.data.cache import cached
from course_lib.data.folder import read_class_folders, train_val_split
from course_lib.data.images import ImageSet, Splits
from course_lib.data.published import describe_splits, find_splits, split_folders
from course_lib.data.simulated import simulate_radiographs
from course_lib.data.source import Loader, kaggle_inputs, locate, named_root, print_source
from course_lib.data_sets import CHEST_XRAY
from course_lib.fetch import Remote, download, verify
from course_lib.files import as_path, data_dir, home
from course_lib.options import Source

CLASSES = ("NORMAL", "PNEUMONIA")
MEDMNIST = f"MedMNIST v2, CC BY 4.0, after {CHEST_XRAY.license}"
OTHER_SETS = r"(path|chest|derma|oct|retina|breast|blood|tissue|organ\w*|nodule|adrenal|fracture|vessel|synapse)mnist"
KAGGLE = CHEST_XRAY.kaggle
PNEUMONIA_MNIST = {
    size: Remote((f"https://zenodo.org/records/10519652/files/{filename}",), filename, f"md5:{md5}", num_bytes)
    for size, filename, md5, num_bytes in (
        (28, "pneumoniamnist.npz", "28209eda62fecd6e6a2d98b1501bb15f", 4_170_669),
        (64, "pneumoniamnist_64.npz", "8f4eceb4ccffa70c672198ea285246c6", 20_606_998),
        (128, "pneumoniamnist_128.npz", "05b46931834c231683c68f40c47b2971", 75_506_212),
        (224, "pneumoniamnist_224.npz", "d6a3c71de1b945ea11211b03746c1fe1", 214_384_716),
    )
}


def load_chest_xray(
    source: Source | None = None,
    *,
    root: str | Path | None = None,
    image_size: int = 128,
    val_fraction: float = 0.15,
    seed: int = 0,
) -> Splits:
    """Chest X-rays in gray, classes NORMAL (0) and PNEUMONIA (1), and one line saying which they are.

    Real images are found in `root` as: the Kaggle layout (`chest_xray/train/NORMAL/...`), in `root` or below it; or a
    MedMNIST file (`pneumoniamnist_128.npz`), by itself or in `root` or `root/downloads`. Validation is cut from train
    by patient, since the 16 images of the published validation folder can select nothing; they are added to train. A
    MedMNIST file names no patients, so its own validation split is kept.

    Args:
        source: "real"; "simulated"; or "auto": real images that are there, else a download if the network answers
            within about 3 seconds, else simulated ones. Default: "real" if a root is given, else the environment's
            COURSE_DATA, else "auto".
        root: where real images lie. Default: the environment's COURSE_DATA_ROOT, the course's data folder, or where
            Kaggle puts them.
        image_size: height and width, in pixels.
        val_fraction: share of the training images to validate on.
        seed: of the split, and of the simulation.

    Raises:
        FileNotFoundError: no real images below `root`.
        OSError: they must be downloaded and the network does not answer.
        ValueError: a damaged file, a wrong checksum, an unknown source, a root for simulated images.
    """
    path = locate(CHEST_XRAY, source, root, image_size, stand_in="simulated chest radiographs")
    if path is None:
        return _simulated(image_size, seed)
    if path.is_dir():
        return _kaggle(path, image_size, val_fraction, seed)
    if other := re.match(OTHER_SETS, path.name):
        raise ValueError(
            f"{path}: MedMNIST's {other.group()} holds other images; give pneumoniamnist.npz, or one of its sizes."
        )
    if published := next((remote for remote in PNEUMONIA_MNIST.values() if remote.filename == path.name), None):
        try:
            verify(path, published)
        except ValueError as error:
            raise ValueError(
                f"{error} Or, if it is a set of your own, rename it and name the file itself as the root."
            ) from None
    print_source(
        f"real chest X-rays in {path}: {', '.join(CLASSES)}, with train, val and test of its own; it tells neither "
        "patients, some of whom may be in both train and val, nor the files' sizes"
    )
    return _medmnist(path, image_size)


def find_chest_xray(root: str | Path | None = None) -> Path | None:
    """The folder that holds train/ or test/, or the MedMNIST file.

    The folder is `root`, or lies up to three folders below it; the file is `root`, or lies in `root` or in
    `root/downloads`.

    Without a `root`: in COURSE_DATA_ROOT, in the course's data folder, or where Kaggle and kagglehub put the data set.
    """
    if root is None:
        return next(filter(None, map(find_chest_xray, _usual_paths())), None)
    root = as_path(root, "root")
    if root.suffix == ".npz" and root.is_file():
        return root
    if folder := find_splits(root, CHEST_XRAY.name, CLASSES):
        return folder
    files = [root / sub / remote.filename for remote in PNEUMONIA_MNIST.values() for sub in ("", "downloads")]
    return max((file for file in files if file.is_file()), key=lambda file: file.stat().st_size, default=None)


def _usual_paths() -> list[Path]:
    kagglehub = Path(os.environ.get("KAGGLEHUB_CACHE", home() / ".cache" / "kagglehub"))
    versions = (kagglehub / "datasets" / KAGGLE / "versions").glob("*")
    return [*named_root(), data_dir(), *kaggle_inputs(KAGGLE), *sorted(versions, reverse=True)]


def get_chest_xray(image_size: int = 128) -> Path:
    """Download real chest X-rays: with kagglehub where it is installed, full size; else MedMNIST's small ones.

    Raises:
        OSError: the network does not answer.
        ValueError: what arrived has another checksum.
    """
    if find_spec("kagglehub"):
        import kagglehub

        return Path(kagglehub.dataset_download(KAGGLE))
    return download(mnist_for(image_size))


def mnist_for(image_size: int) -> Remote:
    """The smallest MedMNIST file with images of at least this size, or the largest."""
    return PNEUMONIA_MNIST[min((size for size in PNEUMONIA_MNIST if size >= image_size), default=224)]


def too_small(path: Path, image_size: int) -> bool:
    """Whether this is a MedMNIST file with fewer pixels than the images shall have, while others have more.

    >>> too_small(Path("pneumoniamnist_64.npz"), 96), too_small(Path("pneumoniamnist_128.npz"), 96)
    (True, False)
    """
    sizes = {remote.filename: size for size, remote in PNEUMONIA_MNIST.items()}
    return sizes.get(path.name, image_size) < min(image_size, max(sizes.values()))


def patient_of(path: Path) -> str:
    """The patient that a file name of the Kaggle layout tells: person12_virus_34.jpeg, NORMAL2-IM-0567-0001.jpeg.

    >>> patient_of(Path("person12_virus_34.jpeg")), patient_of(Path("NORMAL2-IM-0567-0001.jpeg"))
    ('person12', 'NORMAL2-IM-0567')
    """
    match = re.match(r"person\d+|(NORMAL2-)?IM-\d+", path.name)
    return match.group() if match else path.name


def _kaggle(folder: Path, image_size: int, val_fraction: float, seed: int) -> Splits:
    splits = split_folders(folder)
    val = [splits["val"]] if "val" in splits else []

    def read(split: str, *more: Path) -> ImageSet:
        images = read_class_folders(
            splits.get(split, folder / split),
            image_size=image_size,
            channels=1,
            name=CHEST_XRAY.real.title,
            license=CHEST_XRAY.license,
            group_of=patient_of,
            more=more,
        )
        if tuple(map(str.upper, images.classes)) != CLASSES:
            raise ValueError(
                f"{folder / split}: class folders {' and '.join(CLASSES)} expected, found {', '.join(images.classes)}; "
                "rename the folders, or use `load_folder` for images of another kind."
            )
        return replace(images, classes=CLASSES)

    print_source(f"real chest X-rays in {folder}: {describe_splits(splits, unit='patient', val_joins_train=True)}")
    return Splits(
        train_and_val=lambda: train_val_split(read("train", *val), fraction=val_fraction, seed=seed),
        test=lambda: read("test"),
        path=folder,
        has_test="test" in splits,
    )


def _medmnist(path: Path, image_size: int) -> Splits:
    def read(split: str) -> ImageSet:
        try:
            with np.load(path) as archive:
                images = torch.from_numpy(archive[f"{split}_images"])
                labels = torch.from_numpy(archive[f"{split}_labels"]).long().flatten()
        except ValueError as error:
            if "allow_pickle" not in str(error):
                raise ValueError(
                    f"{path}: not a whole .npz archive ({error}); delete it and download it again."
                ) from error
            raise ValueError(
                f"{path}: {split}_images and {split}_labels must hold numbers, found Python objects, which are refused "
                "since reading them can run any program; save them as arrays of uint8."
            ) from error
        except (BadZipFile, EOFError, OSError, TypeError) as error:
            raise ValueError(f"{path}: not a whole .npz archive ({error}); delete it and download it again.") from error
        except KeyError as error:
            raise ValueError(f"{path}: {error.args[0]}; expected MedMNIST's layout with {split}_images.") from error
        if images.ndim != 3 or images.dtype != torch.uint8 or not len(images):
            actual = f"{images.dtype} {tuple(images.shape)}"
            raise ValueError(
                f"{path}: {split}_images must be gray bytes, uint8 (N, H, W), found {actual}; convert them."
            )
        if set(labels.tolist()) != {0, 1}:
            raise ValueError(f"{path}: {split}_labels must hold 0 and 1, both, found {sorted(set(labels.tolist()))}.")
        if images.shape[1:] != (image_size, image_size):
            resized = F.interpolate(
                images[:, None].float(), size=(image_size, image_size), mode="bilinear", antialias=True
            )
            images = resized.round().clamp(0, 255).byte()[:, 0]
        groups = tuple(f"{split}-{index}" for index in range(len(images)))
        return ImageSet(images[:, None], labels, CLASSES, groups, CHEST_XRAY.real.title, MEDMNIST)

    return Splits(train_and_val=lambda: (read("train"), read("val")), test=lambda: read("test"), path=path)


def _simulated(image_size: int, seed: int) -> Splits:
    def make(num_images: int, part: int) -> ImageSet:
        own_seed = 3 * seed + part  # no part shares a patient with another, nor with those of the next seed
        return cached(
            f"simulated-radiographs-{image_size}px",
            (num_images, image_size, own_seed, getsource(phantom), getsource(simulated)),  # edit them: made anew
            lambda: simulate_radiographs(num_images, image_size=image_size, seed=own_seed),
            groups=simulated.patients(num_images, own_seed),
        )

    return Splits(train_and_val=lambda: (make(1200, 0), make(300, 1)), test=lambda: make(600, 2))


LOADER = Loader(
    load_chest_xray,
    find_chest_xray,
    lambda image_size: [mnist_for(image_size)],
    too_small=too_small,
    get=get_chest_xray,
)
