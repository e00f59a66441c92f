"""A page of exercises as an assignment: its cells in nbgrader's form, its points, the numbers that a variant draws."""

import hashlib
import random
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jupytext
import nbformat
from nbformat import NotebookNode

from course_lib.exercises.solutions import cleared, pages
from course_lib.exercises.tasks import Task, tasks_of
from course_lib.set_up import FOLDED, with_set_up

CHECK = re.compile(r'^check\("(\d\d\.\d)", (\w+)\)$')
HIDDEN = """\
{check}
### BEGIN HIDDEN TESTS
from course_lib.classroom.hidden import demand

demand("{number}", {name}, variant={variant})
### END HIDDEN TESTS"""
INTRODUCTION = """\
{heading}

Each task asks for a function or a class, and the cell below it checks yours with inputs of its own. `hint("{first}")`
helps a little, called again a little more. A task earns its points if its check says "correct" and if your answer also
does what it should with other inputs, when it is graded. Together {points} points. Leave the cells with checks as they
are; you may add cells of your own."""
DRAWN = {  # what a variant may draw: a number that the solution and the check do not fix
    "04.3": ("shift: int = 4", "shift: int = {}", (3, 4, 5, 6)),
    "04.6": ("val_fraction: float = 0.2", "val_fraction: float = {}", (0.15, 0.2, 0.25, 0.3)),
    "05.4": ("decay: float = 0.7", "decay: float = {}", (0.5, 0.6, 0.7, 0.8)),
}


@dataclass(frozen=True)
class Assignment:
    """A page of exercises, set as graded work.

    Attributes:
        lesson: as in file names, such as "04".
        stem: of the notebook's file name, such as "04_cifar10".
        variant: the seed of the numbers drawn for it, or None for those of the course.
        tasks: by number, such as "04.2".
        names: what each task asks for, such as "SimpleCNNWithBatchNorm".
        points: of each task: the first, a line or two, counts 1, the last, a piece of work, 4, and the others 2.
        source: the teacher's notebook, with solutions, hidden tests and nbgrader's metadata.
    """

    lesson: str
    stem: str
    variant: int | None
    tasks: dict[str, Task]
    names: dict[str, str]
    points: dict[str, int]
    source: NotebookNode

    @property
    def name(self) -> str:
        """What nbgrader calls it."""
        return self.lesson if self.variant is None else f"{self.lesson}-variant-{self.variant}"

    @property
    def fingerprint(self) -> str:
        """A hash of what students are given: its texts, before any is filled in."""
        texts = [cleared(cell.source) for cell in self.source.cells]
        return hashlib.sha256("\0".join(texts).encode()).hexdigest()[:16]

    def solutions(self) -> dict[str, Any]:
        """The function or class that solves each task, by its number; runs the code cells of the page."""
        namespace: dict[str, Any] = {"__name__": self.stem}
        for cell in self.source.cells:
            if cell.cell_type == "code" and not _is_ours(cell.source):
                exec(compile(cell.source, f"<{self.stem}>", "exec"), namespace)
        return {number: namespace[name] for number, name in self.names.items()}


def assignment(lesson: str, variant: int | None = None) -> Assignment:
    """The exercises of a lesson as an assignment.

    Args:
        lesson: such as "04" or "4".
        variant: the seed of numbers for one section of a class.

    Raises:
        ValueError: no such lesson, or none of its tasks draws numbers.
    """
    found: dict[str, Path] = {page.name[:2]: page for page in pages()}
    lesson = lesson.zfill(2)
    if lesson not in found:
        raise ValueError(f"lesson {lesson}: has no exercises; there are {', '.join(found)}.")
    drawn = [number for number in DRAWN if number[:2] == lesson]
    if variant is not None and not drawn:
        others = ", ".join(sorted({number[:2] for number in DRAWN}))
        raise ValueError(f"lesson {lesson}: no task draws numbers, so it has no variants; lessons {others} have.")
    text = found[lesson].read_text(encoding="utf-8")
    if variant is not None:
        for number in drawn:
            old, new, choices = DRAWN[number]
            assert old in text, f"{number}: {old!r} is not on its page"
            text = text.replace(old, new.format(random.Random(f"{variant} {number}").choice(choices)))
    tasks = {task.number: task for task in tasks_of(int(lesson))}
    points = {number: 1 if place == 0 else 4 if place == len(tasks) - 1 else 2 for place, number in enumerate(tasks)}
    source = jupytext.reads(text, fmt="py:percent")
    names = {match[1]: match[2] for cell in source.cells if (match := CHECK.match(cell.source))}
    page = Assignment(lesson, found[lesson].stem, variant, tasks, names, points, source)
    _mark(page)
    return page


def _is_ours(code: str) -> bool:
    """Whether a cell checks or tells, and so is no part of an answer."""
    return code.startswith(("check(", "progress("))


def _mark(page: Assignment) -> None:
    """Give the page its introduction, its points and nbgrader's metadata."""
    cells = page.source.cells
    first = next(iter(page.tasks))
    heading, total = cells[0].source.partition("\n")[0], sum(page.points.values())
    cells[0].source = INTRODUCTION.format(heading=heading, first=first, points=total)
    for place, cell in enumerate(cells):
        cell.id = f"{page.stem[:2]}-{place:02}"
        is_set_up = "setup" in cell.metadata.get("tags", ())
        cell.metadata = nbformat.from_dict(FOLDED if is_set_up else {})
        if is_set_up:
            cell.source = with_set_up(cell.source)
        if number := next((n for n in page.tasks if cell.source.startswith(f"## {n} ")), None):
            title, _, rest = cell.source.partition("\n")
            count = page.points[number]
            cell.source = f"{title}\n\n**{count} point{'s' if count > 1 else ''}**\n\n{rest.strip()}"
        if match := CHECK.match(cell.source):
            number, name = match.groups()
            key = number.replace(".", "-")  # nbgrader takes no dot
            cell.source = HIDDEN.format(check=cell.source, number=number, name=name, variant=page.variant)
            _tell_nbgrader(cell, f"check-{key}", grade=True, locked=True, points=page.points[number])
            _tell_nbgrader(cells[place - 1], f"task-{key}", solution=True)
        cell.source = cell.source.replace("import check, hint, progress, solution", "import check, hint, progress")
    page.source.nbformat_minor = 5
    page.source.metadata = nbformat.from_dict(
        {
            "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
            "language_info": {"name": "python"},
            "course": {"lesson": page.lesson, "variant": page.variant},
        }
    )
    page.source.metadata["course"]["release"] = page.fingerprint


def _tell_nbgrader(cell: NotebookNode, grade_id: str, **given: Any) -> None:
    says = {
        "schema_version": 3,
        "grade_id": grade_id,
        "grade": False,
        "solution": False,
        "locked": False,
        "task": False,
    }
    cell.metadata["nbgrader"] = nbformat.from_dict(says | given)
