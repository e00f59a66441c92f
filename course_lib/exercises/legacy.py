"""What the lessons need whose tasks still live in several files."""

import importlib
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from torch import Tensor, ones

from course_lib.exercises.draw import Draw
from course_lib.exercises.task import DEFAULTS, PUBLIC, Task, Wrong, _copies, by_hand, call, refuse
from course_lib.exercises.values import agrees, differ, of_another_kind, shown

__all__ = ["DEFAULTS", "Mistakes", "Wrong", "agrees", "by_hand", "call", "compare", "expect", "expect_shape", "refuse"]
__all__ += ["shown", "task"]
Judge = Callable[[Any], str]
Slips = Iterable[tuple[object, str]]
Mistakes = list[tuple[Callable[..., Any], str]]


@dataclass(frozen=True)
class Old:
    """A task as it was."""

    number: str
    title: str
    hints: tuple[str, ...]
    judge: Judge


_old: dict[str, Old] = {}


def task(number: str, title: str, *hints: str) -> Callable[[Judge], Judge]:
    """Make the function below it the judge of a task."""

    def register(judge: Judge) -> Judge:
        _old[number] = Old(number, title, hints, judge)
        return judge

    return register


def legacy_tasks(lesson: int) -> list[Task]:
    """The tasks of a lesson that are not yet files of their own."""
    from course_lib.exercises.page import frames

    importlib.import_module(f"course_lib.exercises.lesson_{lesson}")
    text = frames()[f"{lesson:02}"].read_text(encoding="utf-8")
    cells = re.split(r"^# %%", text, flags=re.MULTILINE)
    found: list[Task] = []
    old = sorted((t for t in _old.values() if int(t.number[:2]) == lesson), key=lambda t: t.number)
    for place, one in enumerate(old):
        at = next(k for k, cell in enumerate(cells) if f'check("{one.number}"' in cell)
        name = re.search(r", (\w+)\)", cells[at])
        assert name
        code = cells[at - 1].partition("\n")[2].strip()
        points = 1 if place == 0 else 4 if place == len(old) - 1 else 2
        found.append(Legacy(one, name[1], points, code))
    return found


def legacy_cells(texts: list[str]) -> list[tuple[str, str, str]]:
    """(kind, number, text) of the cells of a page that is still written by hand."""
    numbers = [match[1] if (match := re.search(r'^check\("(\d\d\.\d)"', text, re.MULTILINE)) else "" for text in texts]
    found = []
    for place, text in enumerate(texts):
        kind, number = "frame", ""
        if numbers[place]:
            kind, number = "check", numbers[place]
        elif numbers[place + 1 : place + 2] > [""]:
            kind, number = "answer", numbers[place + 1]
        elif numbers[place + 2 : place + 3] > [""]:
            kind, number = "statement", numbers[place + 2]
        found.append((kind, number, text))
    return found


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
    slip = next((said for value, said in slips if agrees(found, value, tolerance)), "") or of_another_kind(
        found, wanted
    )
    raise Wrong(*differ(f"{of} gave", found, wanted, tolerance), slip)


def expect_shape(found: object, shape: tuple[int, ...], *, of: str, slips: Slips = ()) -> None:
    """Go on if `found` is a tensor of a shape; the slips go with other shapes. See `expect`."""
    if not isinstance(found, Tensor):
        raise Wrong(f"{of} gave {shown(found)}", f"a tensor of shape {shape}", of_another_kind(found, ones(1)))
    expect(tuple(found.shape), shape, of=f"the shape of {of}", slips=slips)


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


DRAWN: dict[str, tuple[str, tuple[Any, ...]]] = {
    "04.3": ("shift", (3, 4, 5, 6)),
    "04.6": ("val_fraction", (0.15, 0.2, 0.25, 0.3)),
    "05.4": ("decay", (0.5, 0.6, 0.7, 0.8)),
}


class Legacy(Task):
    """A task that still lives in several files."""

    def __init__(self, old: Old, name: str, points: int, source: str) -> None:
        super().__init__()
        self.number, self.title, self.hints, self.name, self.points = old.number, old.title, old.hints, name, points
        self.drawn = DRAWN.get(old.number)
        self.old, self.source, self.notice, self.given, self.solution = old, source, "", "", print

    def inputs(self, draw: Draw) -> Any:
        return [(draw,)]

    def use(self, answer: Any, *arguments: Any) -> Any:
        (draw,) = arguments
        if draw.seed == PUBLIC:
            return self.old.judge(answer) if answer is not print else ""
        return self._hidden().observe(answer, draw)

    def judge(self, observed: Any, wanted: Any, draw: Draw) -> None:
        if draw.seed == PUBLIC:
            self.notice = observed[0] if observed else ""
            return
        hidden = self._hidden()
        self.given = hidden.inputs
        if wrong := hidden.fault(observed[0], wanted[0], draw.seed):
            raise Wrong("", "", "", wrong)

    def _hidden(self) -> Any:
        importlib.import_module(f"course_lib.classroom.hidden.lesson_{int(self.number[:2])}")
        return importlib.import_module("course_lib.classroom.hidden")._checks[self.number]
