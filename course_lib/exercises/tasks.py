"""What a task is, and the vocabulary in which its check is written."""

import importlib
import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from functools import wraps
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

LESSONS = range(1, 7)
Judge = Callable[[Any], str]
Slips = Iterable[tuple[object, str]]
Mistakes = list[tuple[Callable[..., Any], str]]


class Wrong(Exception):  # noqa: N818  # a verdict, not a fault of the program
    """An answer is not right.

    Args:
        found: what the answer did.
        expected: what it should have done.
        slip: the likeliest reason, where there is one.
    """

    def __init__(self, found: str, expected: str, slip: str = "") -> None:
        super().__init__(found)
        self.found, self.expected, self.slip = found, expected, slip


@dataclass(frozen=True)
class Task:
    """One task of an exercise notebook.

    Attributes:
        number: lesson and task, such as "04.2".
        title: as on the page.
        hints: in the order in which they are given, none of them the solution.
        judge: calls an answer; returns what to notice about a right one, raises `Wrong` about another.
    """

    number: str
    title: str
    hints: tuple[str, ...]
    judge: Judge


_tasks: dict[str, Task] = {}


def task(number: str, title: str, *hints: str) -> Callable[[Judge], Judge]:
    """Make the function below it the judge of a task; see `Task` for the arguments."""

    def register(judge: Judge) -> Judge:
        _tasks[number] = Task(number, title, hints, judge)
        return judge

    return register


def tasks_of(lesson: int) -> list[Task]:
    """The tasks of a lesson, in their order.

    Raises:
        ValueError: there is no such lesson.
    """
    if lesson not in LESSONS:
        raise ValueError(f"lesson {lesson} is not known; the lessons are {', '.join(map(str, LESSONS))}.")
    importlib.import_module(f"course_lib.exercises.lesson_{lesson}")
    return sorted((t for t in _tasks.values() if int(t.number[:2]) == lesson), key=lambda t: t.number)


def find_task(number: str) -> Task:
    """The task with a number such as "04.2".

    Raises:
        ValueError: there is none.
    """
    lesson = number.partition(".")[0] if isinstance(number, str) else ""
    known = tasks_of(int(lesson)) if lesson.isdigit() and int(lesson) in LESSONS else []
    for candidate in known:
        if candidate.number == number:
            return candidate
    there = ", ".join(t.number for t in known) or 'written like "04.2", lesson and task'
    raise ValueError(f"task {number!r} is not known; the tasks are {there}.")


def expect(found: object, wanted: object, *, of: str, slips: Slips = (), tolerance: float = 1e-4) -> None:
    """Go on if `found` is what was wanted.

    Args:
        found: what the answer returned.
        wanted: what it should have returned: number, text, tensor, or tuples, lists and dictionaries of them.
        of: what was asked, such as "output_size(7, 3)".
        slips: values that come from a common mistake, each with a sentence on it; the first that agrees is reported.
        tolerance: by how much numbers may differ, absolutely or relatively.

    Raises:
        Wrong: it is something else.
    """
    if agrees(found, wanted, tolerance):
        return
    slip = next((said for value, said in slips if agrees(found, value, tolerance)), "") or _of_another_kind(
        found, wanted
    )
    raise Wrong(*_where_they_differ(f"{of} gave {shown(found)}", found, wanted, tolerance), slip)


def expect_shape(found: object, shape: tuple[int, ...], *, of: str, slips: Slips = ()) -> None:
    """Go on if `found` is a tensor of a shape; the slips go with other shapes. See `expect`."""
    if not isinstance(found, Tensor):
        raise Wrong(f"{of} gave {shown(found)}", f"a tensor of shape {shape}", _of_another_kind(found, torch.ones(1)))
    expect(tuple(found.shape), shape, of=f"the shape of {of}", slips=slips)


def refuse(expected: str, *cases: tuple[bool, str, str]) -> None:
    """Go on if none of the cases holds.

    Args:
        expected: what should have been instead.
        cases: (whether it holds, what was found, the slip).

    Raises:
        Wrong: about the first that holds.
    """
    for holds, found, slip in cases:
        if holds:
            raise Wrong(found, expected, slip)


def compare(
    answer: Callable[..., Any],
    right: Callable[..., Any],
    inputs: Iterable[tuple[Any, ...]],
    *,
    slips: Iterable[tuple[Callable[..., Any], str]] = (),
    tolerance: float = 1e-4,
) -> None:
    """Go on if an answer returns for all inputs what `right` returns.

    Args:
        answer: the learner's function.
        right: what it should compute.
        inputs: the arguments of each call.
        slips: functions that make a common mistake, each with a sentence on it; reported is the first that returns
            what the answer returned, for all inputs.
        tolerance: see `expect`.

    Raises:
        Wrong: something else came out for one of the inputs, the first of which is reported; or an input was changed.
    """
    calls = list(inputs)
    found = [call(answer, *arguments) for arguments in calls]
    slip = next(
        (
            said
            for mistaken, said in slips
            if all(agrees(f, mistaken(*_copies(a)), tolerance) for f, a in zip(found, calls, strict=True))
        ),
        "",
    )
    for value, arguments in zip(found, calls, strict=True):
        of = f"{answer.__name__}({', '.join(map(shown, arguments))})"
        expect(value, right(*_copies(arguments)), of=of, slips=[(value, slip)], tolerance=tolerance)


def call(answer: Callable[..., Any], *arguments: Any) -> Any:
    """What an answer returns for copies of tensors and lists, and for anything else as it is.

    Raises:
        Wrong: it changed a tensor, a list or a module that it was given.
    """
    given = _copies(arguments)
    before = [_contents(argument) for argument in given]
    found = answer(*given)
    for argument, contents in zip(given, before, strict=True):
        if not agrees(_contents(argument), contents, 0):
            kind = "list" if isinstance(argument, list) else "tensor" if isinstance(argument, Tensor) else "module"
            changed = f"{answer.__name__} changed the {kind} that it was given"
            raise Wrong(changed, f"a {kind} as it was before the call", CHANGES[kind])
    return found


DEFAULTS = "With all arguments given it is right: leave the defaults in the page's first line as they are."
CHANGES = {
    "tensor": "`x += ...`, `x[...] = ...` and methods that end with `_` write into the caller's tensor: `clone` it.",
    "list": "`append`, `sort` and `reverse` change the caller's list: `sorted(x)` or `reversed(x)` leaves it alone.",
    "module": "It may be in use: leave its numbers, its mode and `requires_grad` as they are.",
}


def _copies(arguments: tuple[Any, ...]) -> list[Any]:
    return [a.clone() if isinstance(a, Tensor) else deepcopy(a) if isinstance(a, list) else a for a in arguments]


def _contents(argument: Any) -> Any:
    """A copy of what an answer could change."""
    if isinstance(argument, nn.Module):
        numbers = {name: tensor.clone() for name, tensor in argument.state_dict().items()}
        flags = [parameter.requires_grad for parameter in argument.parameters()]
        return numbers, flags, [module.training for module in argument.modules()]
    return _copies((argument,))[0]


def by_hand(answer: Callable[..., Any], forbidden: str, slip: str) -> Callable[..., Any]:
    """The answer, which may not call functions of PyTorch whose names hold a pattern, also not by way of a module."""

    class Watch(TorchFunctionMode):
        def __torch_function__(self, function: Any, types: object, args: Any = (), kwargs: Any = None) -> Any:
            name = getattr(function, "__name__", "")
            if re.search(forbidden, f"{getattr(function, '__module__', '')}.{name}"):
                raise Wrong(f"{answer.__name__} called PyTorch's `{name}`", "the same by hand", slip)
            return function(*args, **(kwargs or {}))

    @wraps(answer)
    def watched(*arguments: Any, **named: Any) -> Any:
        with Watch():
            return answer(*arguments, **named)

    return watched


def agrees(found: object, wanted: object, tolerance: float) -> bool:
    """Whether two values are the same up to rounding; a tensor with one number is a number, a list is a tuple.

    A whole number has to be one by its type as well, and a tensor has to hold whole numbers where another does.
    """
    if found is wanted:
        return True
    if isinstance(wanted, Tensor) and wanted.ndim:
        if not isinstance(found, Tensor) or found.shape != wanted.shape:
            return False
        if found.is_floating_point() != wanted.is_floating_point():
            return False
        return torch.allclose(
            found.detach().cpu().double(), wanted.double(), rtol=tolerance, atol=tolerance, equal_nan=True
        )
    found, wanted = _plain(found), _plain(wanted)
    if isinstance(wanted, bool) or isinstance(found, bool) or isinstance(wanted, str):
        return type(found) is type(wanted) and found == wanted
    if isinstance(wanted, int):
        return isinstance(found, int) and found == wanted
    if isinstance(wanted, float):
        return isinstance(found, int | float) and math.isclose(found, wanted, rel_tol=tolerance, abs_tol=tolerance)
    if isinstance(wanted, Mapping):
        same = isinstance(found, Mapping) and found.keys() == wanted.keys()
        return same and all(agrees(found[key], wanted[key], tolerance) for key in wanted)  # type: ignore[index]
    if isinstance(wanted, Sequence):
        same = isinstance(found, Sequence) and not isinstance(found, str) and len(found) == len(wanted)
        return same and all(agrees(a, b, tolerance) for a, b in zip(found, wanted, strict=True))  # type: ignore[call-overload]
    return type(found) is type(wanted) and bool(found == wanted)


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
    if isinstance(value, tuple | list):
        inside = ", ".join(map(shown, value[:8])) + (", ..." if len(value) > 8 else "")
        return f"({inside}{',' * (len(value) == 1)})" if isinstance(value, tuple) else f"[{inside}]"
    text = " ".join(repr(value).split())
    return text if len(text) <= 120 else f"{text[:117]}..."


def _where_they_differ(gave: str, found: object, wanted: object, tolerance: float) -> tuple[str, str]:
    """What was found, and what was expected; of large tensors of one shape, at the first place where they differ."""
    if not (isinstance(found, Tensor) and isinstance(wanted, Tensor)):
        return gave, shown(wanted)
    if found.shape != wanted.shape or wanted.numel() <= 9:
        return gave, shown(wanted)
    found, wanted = found.detach().cpu().double(), wanted.detach().double()
    apart = ~torch.isclose(found, wanted, rtol=tolerance, atol=tolerance, equal_nan=True)
    if not apart.any():
        return gave, f"{shown(wanted)}, of another dtype"
    place = tuple(apart.nonzero()[0].tolist())
    there = f"{list(place)} ({int(apart.sum())} of {apart.numel()} numbers differ)"
    return f"{gave} with {found[place].item():.4g} at {there}", f"{wanted[place].item():.4g} there"


def _of_another_kind(found: object, wanted: object) -> str:
    """The likely slip where something of another type came back; empty elsewhere."""
    if found is None:
        return "The function returns nothing: does it end with `return`?"
    if isinstance(wanted, Tensor) and wanted.ndim:
        if type(found).__module__ == "numpy":
            return "That is a NumPy array: work with tensors throughout, or return `torch.from_numpy(...)` of it."
        if isinstance(found, list | tuple):
            return f"Return a tensor: `torch.tensor(...)` or `torch.stack(...)` makes one of a {type(found).__name__}."
        if isinstance(found, Tensor) and found.is_floating_point() < wanted.is_floating_point():
            return "That tensor holds whole numbers: divide with `/`, or begin with `.float()`."
    if isinstance(found, tuple | list) and isinstance(wanted, tuple | list):
        return next(filter(None, map(_of_another_kind, found, wanted)), "")
    found = _plain(found)
    if isinstance(wanted, int) and isinstance(found, float) and found == wanted:
        return "A whole number has to be an `int`, and `/` makes a float: divide with `//`."
    return "That is a text: return the number itself." if isinstance(found, str) and not isinstance(wanted, str) else ""


def _plain(value: object) -> object:
    """A Python number for a tensor or an array with one element; anything else as it is."""
    if hasattr(value, "ndim") and hasattr(value, "item") and value.ndim == 0:
        return value.item()
    return value
