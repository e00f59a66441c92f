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


def agrees(found: object, expected: object, tolerance: float) -> bool:
    """Whether two values are the same up to rounding; a tensor with one number is a number, a list is a tuple.

    A whole number has to be one by its type as well, and a tensor has to hold whole numbers where another does.
    """
    if found is expected:
        return True
    if isinstance(expected, Tensor) and expected.ndim:
        if not isinstance(found, Tensor) or found.shape != expected.shape:
            return False
        if found.is_floating_point() != expected.is_floating_point():
            return False
        return torch.allclose(
            found.detach().cpu().double(), expected.double(), rtol=tolerance, atol=tolerance, equal_nan=True
        )
    found, expected = _plain(found), _plain(expected)
    if isinstance(expected, bool) or isinstance(found, bool) or isinstance(expected, str):
        return type(found) is type(expected) and found == expected
    if isinstance(expected, int):
        return isinstance(found, int) and found == expected
    if isinstance(expected, float):
        if isinstance(found, float) and math.isnan(expected):
            return math.isnan(found)
        return isinstance(found, int | float) and math.isclose(found, expected, rel_tol=tolerance, abs_tol=tolerance)
    if isinstance(expected, Mapping):
        same = isinstance(found, Mapping) and found.keys() == expected.keys()
        return same and all(agrees(found[key], expected[key], tolerance) for key in expected)  # type: ignore[index]
    if isinstance(expected, Sequence):
        same = isinstance(found, Sequence) and not isinstance(found, str) and len(found) == len(expected)
        return same and all(agrees(a, b, tolerance) for a, b in zip(found, expected, strict=True))  # type: ignore[call-overload]
    return type(found) is type(expected) and bool(found == expected)


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


def differ(of: str, found: object, expected: object, tolerance: float) -> tuple[str, str]:
    """What was found, after words such as "f(3) gave", and what was expected; of large values, where they differ."""
    if isinstance(found, list | tuple) and isinstance(expected, list | tuple) and len(found) == len(expected):
        at = next((k for k, pair in enumerate(zip(found, expected, strict=True)) if not agrees(*pair, tolerance)), None)
        if at is not None and isinstance(expected[at], Tensor | list | tuple):
            return differ(f"{of}, at {at},", found[at], expected[at], tolerance)
    if isinstance(found, Mapping) and isinstance(expected, Mapping) and found.keys() == expected.keys():
        at = next((key for key in expected if not agrees(found[key], expected[key], tolerance)), None)
        if at is not None:
            return differ(f"{of}, at {at!r},", found[at], expected[at], tolerance)
    gave = f"{of} {shown(found)}"
    if not (isinstance(found, Tensor) and isinstance(expected, Tensor)):
        return gave, shown(expected)
    if found.shape != expected.shape or expected.numel() <= 9:
        return gave, shown(expected)
    found, expected = found.detach().cpu().double(), expected.detach().double()
    apart = ~torch.isclose(found, expected, rtol=tolerance, atol=tolerance, equal_nan=True)
    if not apart.any():
        return gave, f"{shown(expected)}, of another dtype"
    place = tuple(apart.nonzero()[0].tolist())
    there = f"{list(place)} ({int(apart.sum())} of {apart.numel()} numbers differ)"
    return f"{gave} with {found[place].item():.4g} at {there}", f"{expected[place].item():.4g} there"


def of_another_kind(found: object, expected: object) -> str:
    """The likely slip where something of another type came back; empty elsewhere."""
    if found is None:
        return "The function returns nothing: does it end with `return`?"
    if isinstance(expected, Tensor) and expected.ndim:
        if type(found).__module__ == "numpy" or (isinstance(found, Other) and found.kind == "ndarray"):
            return "That is a NumPy array: work with tensors throughout, or return `torch.from_numpy(...)` of it."
        if isinstance(found, list | tuple):
            return f"Return a tensor: `torch.tensor(...)` or `torch.stack(...)` makes one of a {type(found).__name__}."
        if isinstance(found, Tensor) and found.is_floating_point() < expected.is_floating_point():
            return "That tensor holds whole numbers: divide with `/`, or begin with `.float()`."
    if isinstance(found, tuple | list) and isinstance(expected, tuple | list):
        return next(filter(None, map(of_another_kind, found, expected)), "")
    found = _plain(found)
    if isinstance(expected, int) and isinstance(found, float) and found == expected:
        return "A whole number has to be an `int`, and `/` makes a float: divide with `//`."
    return (
        "That is a text: return the number itself." if isinstance(found, str) and not isinstance(expected, str) else ""
    )


def _plain(value: object) -> object:
    """A Python number for a tensor or an array with one element; anything else as it is."""
    if hasattr(value, "ndim") and hasattr(value, "item") and value.ndim == 0:
        return value.item()
    return value
