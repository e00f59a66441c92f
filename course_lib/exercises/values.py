"""Values that answers return: whether two are the same, and how they differ, in a few words."""

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor


class Other(NamedTuple):
    """What is no number, text, tensor or collection, once it has left its process: its type, and how it looks."""

    kind: str
    text: str

    def __repr__(self) -> str:
        return self.text


def agrees(actual: object, expected: object, tolerance: float) -> bool:
    """Whether two values are the same up to rounding; a tensor with one number is a number, a list is a tuple.

    A whole number has to be one by its type as well, and a tensor has to hold whole numbers where another does.
    """
    if actual is expected:
        return True
    if isinstance(expected, Tensor) and expected.ndim:
        if not isinstance(actual, Tensor) or actual.shape != expected.shape:
            return False
        if actual.is_floating_point() != expected.is_floating_point():
            return False
        return torch.allclose(
            actual.detach().cpu().double(), expected.double(), rtol=tolerance, atol=tolerance, equal_nan=True
        )
    actual, expected = _plain(actual), _plain(expected)
    if isinstance(expected, bool) or isinstance(actual, bool) or isinstance(expected, str):
        return type(actual) is type(expected) and actual == expected
    if isinstance(expected, int):
        return isinstance(actual, int) and actual == expected
    if isinstance(expected, float):
        if isinstance(actual, float) and math.isnan(expected):
            return math.isnan(actual)
        return isinstance(actual, int | float) and math.isclose(actual, expected, rel_tol=tolerance, abs_tol=tolerance)
    if isinstance(expected, Mapping):
        same = isinstance(actual, Mapping) and actual.keys() == expected.keys()
        return same and all(agrees(actual[key], expected[key], tolerance) for key in expected)  # type: ignore[index]
    if isinstance(expected, Sequence):
        same = isinstance(actual, Sequence) and not isinstance(actual, str) and len(actual) == len(expected)
        return same and all(agrees(a, b, tolerance) for a, b in zip(actual, expected, strict=True))  # type: ignore[call-overload]
    return type(actual) is type(expected) and bool(actual == expected)


def shown(value: object) -> str:
    """A value in a few words."""
    value = _plain(value)
    if type(value).__module__ == "numpy" and hasattr(value, "shape"):
        return f"a NumPy array of shape {value.shape}"
    if isinstance(value, Tensor):
        name = f"a tensor of shape {tuple(value.shape)}"
        if value.numel() > 9:
            return name
        return f"{name}, {[round(number, 4) for number in value.detach().cpu().double().flatten().tolist()]}"
    if isinstance(value, float):
        text = f"{value:.4g}"
        return f"{text}.0" if text.lstrip("-").isdigit() else text
    if isinstance(value, Other):
        return value.text
    if isinstance(value, tuple | list):
        inside = ", ".join(map(shown, value[:8])) + (", ..." if len(value) > 8 else "")
        return f"({inside}{',' * (len(value) == 1)})" if isinstance(value, tuple) else f"[{inside}]"
    text = " ".join(repr(value).split())
    return text if len(text) <= 120 else f"{text[:117]}..."


def differ(prefix: str, actual: object, expected: object, tolerance: float) -> tuple[str, str]:
    """What was found, after words such as "f(3) gave", and what was expected; of large values, where they differ."""
    if isinstance(actual, list | tuple) and isinstance(expected, list | tuple) and len(actual) == len(expected):
        first = next(
            (k for k, pair in enumerate(zip(actual, expected, strict=True)) if not agrees(*pair, tolerance)), None
        )
        if first is not None and isinstance(expected[first], Tensor | list | tuple):
            return differ(f"{prefix}, at {first},", actual[first], expected[first], tolerance)
    if isinstance(actual, Mapping) and isinstance(expected, Mapping) and actual.keys() == expected.keys():
        first = next((key for key in expected if not agrees(actual[key], expected[key], tolerance)), None)
        if first is not None:
            return differ(f"{prefix}, at {first!r},", actual[first], expected[first], tolerance)
    gave = f"{prefix} {shown(actual)}"
    if not (isinstance(actual, Tensor) and isinstance(expected, Tensor)):
        return gave, shown(expected)
    if actual.shape != expected.shape or expected.numel() <= 9:
        return gave, shown(expected)
    actual, expected = actual.detach().cpu().double(), expected.detach().double()
    apart = ~torch.isclose(actual, expected, rtol=tolerance, atol=tolerance, equal_nan=True)
    if not apart.any():
        return gave, f"{shown(expected)}, of another dtype"
    index = tuple(apart.nonzero()[0].tolist())
    position = f"{list(index)} ({int(apart.sum())} of {apart.numel()} numbers differ)"
    return f"{gave} with {actual[index].item():.4g} at {position}", f"{expected[index].item():.4g} there"


def of_another_kind(actual: object, expected: object) -> str:
    """The likely slip where something of another type came back; empty elsewhere."""
    if actual is None:
        return "The function returns nothing: does it end with `return`?"
    if isinstance(expected, Tensor) and expected.ndim:
        if type(actual).__module__ == "numpy" or (isinstance(actual, Other) and actual.kind == "ndarray"):
            return "That is a NumPy array: work with tensors throughout, or return `torch.from_numpy(...)` of it."
        if isinstance(actual, list | tuple):
            return f"Return a tensor: `torch.tensor(...)` or `torch.stack(...)` makes one of a {type(actual).__name__}."
        if isinstance(actual, Tensor) and actual.is_floating_point() < expected.is_floating_point():
            return "That tensor holds whole numbers: divide with `/`, or begin with `.float()`."
    if isinstance(actual, tuple | list) and isinstance(expected, tuple | list):
        return next(filter(None, map(of_another_kind, actual, expected)), "")
    actual = _plain(actual)
    if isinstance(expected, int) and isinstance(actual, float) and actual == expected:
        return "A whole number has to be an `int`, and `/` makes a float: divide with `//`."
    return (
        "That is a text: return the number itself." if isinstance(actual, str) and not isinstance(expected, str) else ""
    )


def _plain(value: object) -> object:
    """A Python number for a tensor or an array with one element; anything else as it is."""
    if hasattr(value, "ndim") and hasattr(value, "item") and value.ndim == 0:
        return value.item()
    return value
