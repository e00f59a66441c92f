"""Observations as JSON: numbers, texts and tensors, and nothing that could run, or grow, when it is read."""

import base64
import json
import math
from typing import Any

import numpy as np
import torch
from torch import Tensor

from course_lib.exercises.values import Other, shown

LARGEST = 90_000  # numbers in a tensor
MOST_ITEMS = 50_000  # of all lists and dictionaries in a report
MOST_KEYS = 1_000  # of a dictionary: equal hashes make each more slow

DTYPES = {str(kind).removeprefix("torch."): kind for kind in vars(torch).values() if isinstance(kind, torch.dtype)}


def to_json(value: object) -> Any:
    """A value as JSON can hold it; of what is no number, text, tensor or collection of them, its type and looks."""
    if hasattr(value, "ndim") and hasattr(value, "item") and value.ndim == 0:
        value = value.item()
    if value is None or type(value) in (bool, int, float, str):
        return value
    if isinstance(value, Tensor) and value.numel() <= LARGEST:
        single = value.dtype == torch.float32
        numbers = value.detach().cpu().double().numpy().astype("<f4" if single else "<f8")
        encoded = {"tensor": list(value.shape), "numbers": base64.b64encode(numbers.tobytes()).decode()}
        return encoded | {"dtype": str(value.dtype).removeprefix("torch.")}
    if isinstance(value, list | tuple):
        return {"tuple" if isinstance(value, tuple) else "list": [to_json(item) for item in value]}
    if isinstance(value, dict):
        return {"dict": [[to_json(key), to_json(item)] for key, item in value.items()]}
    return {"type": type(value).__name__, "text": shown(value)}


def readable(value: object, length: int = 300) -> str:
    """What a submission says, as a text that any file, page or terminal can hold."""
    return "".join(letter if letter.isprintable() else " " for letter in str(value)[:length])


def read_json(content: bytes, max_items: int = MOST_ITEMS) -> Any:
    """What JSON says, if it holds no more lists, dictionaries and items than `max_items`.

    Raises:
        ValueError: it holds more, or is no JSON.
        RecursionError: it is nested too deeply.
    """
    if sum(map(content.count, (b"[", b"{", b","))) > max_items:
        raise ValueError(f"more than {max_items:,} items")
    return json.loads(content)


def from_json(encoded: Any) -> Any:
    """The value that `to_json` wrote.

    Raises:
        ValueError, TypeError, KeyError: it did not write this.
    """
    if not isinstance(encoded, dict):
        return encoded
    if "tensor" in encoded:
        numbers = np.frombuffer(
            base64.b64decode(encoded["numbers"], validate=True), "<f4" if encoded["dtype"] == "float32" else "<f8"
        ).copy()
        if any(not 0 <= size <= LARGEST for size in encoded["tensor"]) or math.prod(encoded["tensor"]) != len(numbers):
            raise ValueError("a tensor of another shape")
        return torch.from_numpy(numbers).reshape(encoded["tensor"]).to(DTYPES[encoded["dtype"]])
    if "list" in encoded:
        return [from_json(item) for item in encoded["list"]]
    if "tuple" in encoded:
        return tuple(from_json(item) for item in encoded["tuple"])
    if "dict" in encoded:
        if len(encoded["dict"]) > MOST_KEYS:
            raise ValueError("too large a dictionary")
        return {from_json(key): from_json(item) for key, item in encoded["dict"]}
    return Other(readable(encoded["type"], 40), readable(encoded["text"], 120))
