"""The batches of CIFAR-10 for Python. They are pickles, which can run any program; these are read without that."""

import io
import pickle
import tarfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

FOLDER = "cifar-10-batches-py"
# What an array of bytes needs, by the names of NumPy 1 and 2, and of Python 3 where it writes as Python 2 did.
ALLOWED = {("numpy", "ndarray"), ("numpy", "dtype"), ("_codecs", "encode")}
ALLOWED |= {(f"numpy.{core}.multiarray", "_reconstruct") for core in ("core", "_core")}
ALLOWED |= {(f"numpy.{core}.numeric", "_frombuffer") for core in ("core", "_core")}


class _Reader(pickle.Unpickler):
    def find_class(self, module_name: str, global_name: str, /) -> Any:
        if (module_name, global_name) not in ALLOWED:
            raise pickle.UnpicklingError(f"it asks for {module_name}.{global_name}, which is refused")
        return super().find_class(module_name, global_name)


def holds_batches(folder: Path) -> bool:
    """Whether a folder is what the official archive unpacks to."""
    return all((folder / batch).is_file() for batch in ("data_batch_1", "test_batch"))


def read_batches(path: Path, batches: Sequence[str]) -> tuple[Tensor, Tensor]:
    """Images, uint8 (N, 3072), and labels (N,) of some batches, one after the other.

    Args:
        path: the official archive, or the folder that it unpacks to.
        batches: names, such as "test_batch".

    Raises:
        ValueError: a batch that is absent, cut short, or no batch; the message names it.
    """
    images, labels = [], []
    for batch, content in zip(batches, _contents(path, batches), strict=True):
        try:
            entries = {
                _text(key): value for key, value in _Reader(io.BytesIO(content), encoding="latin1").load().items()
            }
            pixels, classes = np.asarray(entries["data"]), np.asarray(entries["labels"])
        except Exception as error:  # bytes that are no pickle can raise anything
            raise ValueError(f"{path}: {batch} cannot be read ({error}); unpack the official archive again.") from error
        if pixels.dtype != np.uint8 or pixels.ndim != 2 or pixels.shape[1] != 3072 or classes.shape != pixels.shape[:1]:
            raise ValueError(
                f"{path}: {batch} must hold images as uint8 (N, 3072) and N labels, found {pixels.dtype} "
                f"{pixels.shape} and {classes.shape}; unpack the official archive again."
            )
        images.append(torch.from_numpy(pixels))
        labels.append(torch.from_numpy(classes.astype(np.int64)))
    return torch.cat(images), torch.cat(labels)


def _contents(path: Path, batches: Sequence[str]) -> Iterator[bytes]:
    if path.is_dir():
        for batch in batches:
            if not (path / batch).is_file():
                raise ValueError(f"{path}: {batch} is absent; unpack the official archive again.")
            yield (path / batch).read_bytes()
        return
    with tarfile.open(path) as tar:
        for batch in batches:
            file = tar.extractfile(f"{FOLDER}/{batch}")
            yield file.read() if file else b""


def _text(key: str | bytes) -> str:
    return key.decode("latin1") if isinstance(key, bytes) else key
