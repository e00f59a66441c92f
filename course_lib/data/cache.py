"""Image sets kept on disk, so that decoding or simulating them is paid for once."""

import hashlib
import json
import re
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from course_lib.data.images import ImageSet
from course_lib.files import data_dir, write_atomically

VERSION = "4"  # raise it when the meaning of a cached file changes: older files are then made anew


def cached(name: str, ingredients: object, make: Callable[[], ImageSet], *, groups: tuple[str, ...]) -> ImageSet:
    """What `make` returns, from disk if it was made before from the same ingredients.

    Groups are never stored: what belongs together may be worked out anew by other rules. A cache file that is damaged,
    or written by another version, is made anew; a folder that cannot be written costs only the cache.

    Args:
        name: of what it is, for people who look into the cache.
        ingredients: all that the result depends on; anything whose `repr` tells it.
        make: called when there is no usable file.
        groups: of the images.
    """
    key = hashlib.sha256(repr(ingredients).encode()).hexdigest()[:16]
    readable = re.sub(r"[^A-Za-z0-9]+", "-", name)[-60:].strip("-")  # whatever a folder is called
    path = data_dir() / "cache" / f"{readable}-{key}.safetensors"
    stored = _read(path, groups)
    if stored is not None:
        return stored
    image_set = replace(make(), groups=groups)
    try:
        write_atomically(path, lambda temporary: _write(temporary, image_set))
    except OSError as error:
        print(f"Going on without a cache: {error}", file=sys.stderr)
    return image_set


def _write(path: Path, image_set: ImageSet) -> None:
    tensors = {name: getattr(image_set, name) for name in ("images", "labels", "masks", "file_sizes")}
    words = {name: getattr(image_set, name) for name in ("classes", "name", "license")}
    try:
        save_file(
            {name: tensor.contiguous() for name, tensor in tensors.items() if tensor is not None},
            path,
            metadata={"version": VERSION, "words": json.dumps(words)},
        )
    except SafetensorError as error:  # how safetensors reports a full disk
        raise OSError(str(error)) from error


def _read(path: Path, groups: tuple[str, ...]) -> ImageSet | None:
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            if metadata.get("version") != VERSION:
                return None
            words = json.loads(metadata["words"])
            # A copy, since the file may be replaced while its pages are mapped.
            tensors = {name: torch.clone(file.get_tensor(name)) for name in file.keys()}  # noqa: SIM118  # not a dict
        return ImageSet(
            classes=tuple(words["classes"]),
            groups=groups,
            name=words["name"],
            license=words["license"],
            **tensors,
        )
    except (OSError, SafetensorError, KeyError, TypeError, ValueError):  # absent, or not what this version writes
        return None
