"""The networks that ship with the course, trained: no download, no waiting."""

import hashlib
import json
from pathlib import Path
from typing import Literal

from safetensors.torch import load

from course_lib.models.pneumonia import CompactCNN

WEIGHTS = Path(__file__).with_name("weights")  # made by `make trained`; NAME-SOURCE.json says how


def load_trained(name: str, *, source: Literal["simulated", "real"] = "simulated") -> CompactCNN:
    """A network that ships with the course, in evaluation mode, with its `classes` and `image_size`.

    Args:
        name: "opening", which tells chest radiographs with pneumonia from those without.
        source: of the images that it was trained on, at 64 (simulated) or 96 pixels (real).

    Raises:
        ValueError: no such network, or one of its files is damaged.

    >>> load_trained("opening").classes
    ('NORMAL', 'PNEUMONIA')
    """
    about_path, weights_path = (WEIGHTS / f"{name}-{source}.{ending}" for ending in ("json", "safetensors"))
    if not about_path.is_file():
        shipped = ", ".join(sorted(path.stem for path in WEIGHTS.glob("*.json")))
        raise ValueError(f"no network {name}-{source} ships with the course; choose one of: {shipped}.")
    try:
        about = json.loads(about_path.read_text(encoding="utf-8"))
        expected, recipe, classes = about["sha256"], about["recipe"], tuple(about["classes"])
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{about_path}: damaged ({error}); install the course again.") from error
    content = weights_path.read_bytes() if weights_path.is_file() else b""
    if (arrived := hashlib.sha256(content).hexdigest()) != expected:
        raise ValueError(
            f"{weights_path}: SHA-256 {expected} expected, got {arrived}; the file is damaged, so install the course "
            "again."
        )
    model = CompactCNN(num_classes=len(classes), **recipe["network_arguments"])
    model.load_state_dict(load(content))  # 16 bits become 32
    model.classes, model.image_size = classes, recipe["image_size"]
    return model.eval()
