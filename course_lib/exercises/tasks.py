"""What a task is, and the vocabulary in which its check is written."""

import importlib
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

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
    slip = next((said for value, said in slips if agrees(found, value, tolerance)), "")
    if found is None:
        slip = "The function returns nothing: does it end with `return`?"
    raise Wrong(f"{of} gave {shown(found)}", _where_they_differ(found, wanted, tolerance) or shown(wanted), slip)


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
        inputs: the arguments of each call; tensors among them are copied first.
        slips: functions that make a common mistake, each with a sentence on it; reported is the first that returns
            what the answer returned, for all inputs.
        tolerance: see `expect`.

    Raises:
        Wrong: something else came out for one of the inputs, the first of which is reported.
    """
    calls = list(inputs)
    found = [answer(*_copies(arguments)) for arguments in calls]
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


def _copies(arguments: tuple[Any, ...]) -> list[Any]:
    return [argument.clone() if isinstance(argument, Tensor) else argument for argument in arguments]


def agrees(found: object, wanted: object, tolerance: float) -> bool:
    """Whether two values are the same up to rounding; a tensor with one number is a number, a list is a tuple."""
    if isinstance(wanted, Tensor) and wanted.ndim:
        if not isinstance(found, Tensor) or found.shape != wanted.shape:
            return False
        return torch.allclose(
            found.detach().cpu().double(), wanted.double(), rtol=tolerance, atol=tolerance, equal_nan=True
        )
    found, wanted = _plain(found), _plain(wanted)
    if isinstance(wanted, bool) or isinstance(found, bool) or isinstance(wanted, str):
        return type(found) is type(wanted) and found == wanted
    if isinstance(wanted, int | float):
        return isinstance(found, int | float) and math.isclose(found, wanted, rel_tol=tolerance, abs_tol=tolerance)
    if isinstance(wanted, Mapping):
        same = isinstance(found, Mapping) and found.keys() == wanted.keys()
        return same and all(agrees(found[key], wanted[key], tolerance) for key in wanted)  # type: ignore[index]
    if isinstance(wanted, Sequence):
        same = isinstance(found, Sequence) and not isinstance(found, str) and len(found) == len(wanted)
        return same and all(agrees(a, b, tolerance) for a, b in zip(found, wanted, strict=True))  # type: ignore[call-overload]
    return bool(found == wanted)


def shown(value: object) -> str:
    """A value in a few words."""
    value = _plain(value)
    if isinstance(value, Tensor):
        name = f"a tensor of shape {tuple(value.shape)}"
        if value.numel() > 9:
            return name
        return f"{name}, {[round(number, 4) for number in value.detach().cpu().double().flatten().tolist()]}"
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, tuple | list):
        inside = ", ".join(map(shown, value[:8])) + (", ..." if len(value) > 8 else "")
        return f"({inside})" if isinstance(value, tuple) else f"[{inside}]"
    text = " ".join(repr(value).split())
    return text if len(text) <= 120 else f"{text[:117]}..."


def _where_they_differ(found: object, wanted: object, tolerance: float) -> str:
    """The first place at which two large tensors of one shape differ; empty for anything else."""
    if not (isinstance(found, Tensor) and isinstance(wanted, Tensor)):
        return ""
    if found.shape != wanted.shape or wanted.numel() <= 9:
        return ""
    apart = ~torch.isclose(found.cpu().double(), wanted.double(), rtol=tolerance, atol=tolerance, equal_nan=True)
    place = tuple(apart.nonzero()[0].tolist())
    there, here = (tensor.cpu().double()[place].item() for tensor in (found, wanted))
    return f"at {list(place)} {here:.4g} instead of {there:.4g} (other at {int(apart.sum())} of {apart.numel()} places)"


def _plain(value: object) -> object:
    """A Python number for a tensor or an array with one element; anything else as it is."""
    if hasattr(value, "ndim") and hasattr(value, "item") and value.ndim == 0:
        return value.item()
    return value
