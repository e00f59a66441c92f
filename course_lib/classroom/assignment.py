"""A page of exercises as an assignment: its cells in nbgrader's form, its points, the numbers that a variant draws."""

import hashlib
import random
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import jupytext
import nbformat
from nbformat import NotebookNode

from course_lib.classroom.own import own_frame, own_tasks
from course_lib.classroom.questions import Question, read_question
from course_lib.exercises.load import FOLDER, tasks_of
from course_lib.exercises.page import BEGIN, END, Cell, cells, cleared, commented, frames, script
from course_lib.exercises.task import Task
from course_lib.files import as_path
from course_lib.set_up import FOLDED, with_set_up

EACH: Literal["each"] = "each"  # in place of a variant: one for each student
CHECK = re.compile(r'^check\("(\d\d\.\d+)", (\w+)\)$')
HIDDEN = """\
{check}
### BEGIN HIDDEN TESTS
from course_lib.classroom.hidden import grade_answer

grade_answer("{number}", {name}, variant={variant}{own})
### END HIDDEN TESTS"""
INTRODUCTION = """\
{heading}

Each task asks for a function or a class, and the cell below it checks yours with inputs of its own. `hint("{first}")`
helps a little, called again a little more. A task earns its points if its check says "correct" and if your answer also
does what it should with other inputs, when it is graded. Together {points}. Leave the cells with checks as they
are; you may add cells of your own."""
IN_PROSE = (
    "\n\nThe last task, {number}, is a question. Answer it in prose; your teacher reads it and grades it by hand."
)


@dataclass(frozen=True)
class Assignment:
    """A page of exercises, set as graded work.

    Attributes:
        lesson: as in file names, such as "04".
        stem: of the notebook's file name, such as "04_cifar10".
        variant: the seed of the numbers drawn for it, or None for those of the course.
        defaults: the numbers drawn, by task.
        folder: of the files of its tasks.
        tasks: by number, such as "04.2".
        names: what each task asks for, such as "SimpleCNNWithBatchNorm".
        points: of each task, and of the question.
        question: that is answered in prose and graded by hand, if one is asked.
        source: the teacher's notebook, with solutions, hidden tests and nbgrader's metadata.
    """

    lesson: str
    stem: str
    variant: int | None
    defaults: dict[str, object]
    folder: Path
    tasks: dict[str, Task]
    names: dict[str, str]
    points: dict[str, int]
    question: Question | None
    source: NotebookNode

    @property
    def name(self) -> str:
        """What nbgrader calls it."""
        return self.lesson if self.variant is None else f"{self.lesson}-variant-{self.variant}"

    @property
    def fingerprint(self) -> str:
        """A hash of what students are given: its texts, before any is filled in."""
        return hashlib.sha256("\0".join(self.student_texts).encode()).hexdigest()[:16]

    @property
    def student_texts(self) -> list[str]:
        """The text of each cell as students are given it; in place of each answer stands what says "not attempted"."""
        return [cleared(cell.source).partition("\n### BEGIN HIDDEN")[0] for cell in self.source.cells]

    def solutions(self) -> dict[str, Any]:
        """The function or class that solves each task, by its number; runs the code cells of the page."""
        namespace: dict[str, Any] = {"__name__": self.stem}
        for cell in self.source.cells:
            metadata = cell.metadata.get("nbgrader", {})
            if cell.cell_type == "code" and not metadata.get("grade") and not cell.source.startswith("progress("):
                exec(compile(cell.source, f"<{self.stem}>", "exec"), namespace)
        return {number: namespace[name] for number, name in self.names.items()}


def assignment(
    lesson: str, variant: int | None = None, own: str | Path | None = None, *, question: bool = False
) -> Assignment:
    """The exercises of a lesson as an assignment.

    Args:
        lesson: such as "04" or "4".
        variant: the seed of numbers for one section of a class, or for one student.
        own: a folder with a teacher's own tasks, whose lesson it is.
        question: whether it also asks the lesson's question.

    Raises:
        FileNotFoundError: no such folder, or no question.
        ValueError: no such lesson, a task or the question has a fault, or no task draws numbers.
    """
    frame_paths, lesson = frames(), lesson.zfill(2)
    if own is not None:
        folder, stem = as_path(own, "own"), f"{lesson}_exercises"
        task_list = own_tasks(folder, lesson)
        frame = own_frame(folder, lesson, task_list)
    elif lesson in frame_paths:
        folder, stem, task_list = FOLDER, frame_paths[lesson].stem, tasks_of(int(lesson))
        frame = frame_paths[lesson].read_text(encoding="utf-8")
    else:
        raise ValueError(
            f"lesson {lesson}: has no exercises; there are {', '.join(frame_paths)}; of your own, say --tasks DIR."
        )
    tasks = {task.number: task for task in task_list}
    drawn = {number: task.drawn[1] for number, task in tasks.items() if task.drawn}
    if variant is not None and not drawn:
        raise ValueError(
            f"lesson {lesson}: no task draws numbers, so it has no variants; let one have a default that is `drawn`."
        )
    defaults: dict[str, object] = {}
    if variant is not None:
        defaults = {number: random.Random(f"{variant} {number}").choice(choices) for number, choices in drawn.items()}
    page_cells, names = cells(frame, task_list, defaults), {number: task.name for number, task in tasks.items()}
    points = {number: task.points for number, task in tasks.items()}
    prose_question = read_question(folder, lesson) if question else None
    if prose_question:
        last = max(index for index, cell in enumerate(page_cells) if cell.kind == "check")
        page_cells[last + 1 : last + 1] = _question_cells(prose_question)
        points[prose_question.number] = prose_question.points
    source = jupytext.reads(script(page_cells), fmt="py:percent")
    page = Assignment(lesson, stem, variant, defaults, folder, tasks, names, points, prose_question, source)
    _mark(page, page_cells)
    return page


def own_pages(
    lesson: str, students: Iterable[str], own: str | Path | None = None, *, question: bool = False
) -> dict[str, Assignment]:
    """A page for each student, whose variant follows from the student's id and the lesson alone.

    Raises:
        FileNotFoundError, ValueError: as `assignment` does.
    """
    digests = {student: hashlib.sha256(f"{student} {lesson.zfill(2)}".encode()).digest() for student in students}
    seeds = {student: int.from_bytes(digest[:4]) for student, digest in digests.items()}
    return {student: assignment(lesson, seed, own, question=question) for student, seed in seeds.items()}


def _question_cells(question: Question) -> list[Cell]:
    expected = f"{BEGIN}\n{question.expected}\n{END}"
    return [
        Cell("question", question.number, f"# %% [markdown]\n{commented(question.statement)}\n"),
        Cell("prose", question.number, f"# %% [markdown]\n{commented(expected)}\n"),
    ]


def _mark(page: Assignment, cells: list[Cell]) -> None:
    """Give the page its introduction, its points and nbgrader's metadata."""
    first = next(iter(page.tasks))
    own = page.folder != FOLDER
    heading, total = page.source.cells[0].source, sum(page.points.values())
    heading = heading if own else heading.partition("\n")[0]
    together = f"{total} point{'s' if total > 1 else ''}"
    page.source.cells[0].source = INTRODUCTION.format(heading=heading, first=first, points=together)
    if page.question:
        page.source.cells[0].source += IN_PROSE.format(number=page.question.number)
    for index, (cell, task_cell) in enumerate(zip(page.source.cells, cells, strict=True)):
        cell.id = f"{page.stem[:2]}-{index:02}"
        is_set_up = "setup" in cell.metadata.get("tags", ())
        cell.metadata = nbformat.from_dict(FOLDED if is_set_up else {})
        if is_set_up:
            cell.source = with_set_up(cell.source)
        worth = page.points.get(task_cell.number)
        if task_cell.kind == "statement":
            title, _, rest = cell.source.partition("\n")
            count = page.points[task_cell.number]
            alone = ", ".join(f"{points} for {part}" for part, points in page.tasks[task_cell.number].worth.items())
            points = f"**{count} point{'s' if count > 1 else ''}**" + (
                f" (if not all is right, {alone})" if alone else ""
            )
            cell.source = f"{title}\n\n{points}\n\n{rest.strip()}"
        elif task_cell.kind == "answer":
            _set_nbgrader_metadata(cell, grade_id("task", task_cell.number), solution=True)
        elif task_cell.kind == "check":
            fields = {"number": task_cell.number, "name": page.names[task_cell.number], "variant": page.variant}
            folder = f", own={str(page.folder.resolve())!r}" if own else ""
            cell.source = HIDDEN.format(check=cell.source, own=folder, **fields)
            _set_nbgrader_metadata(cell, grade_id("check", task_cell.number), grade=True, locked=True, points=worth)
        elif task_cell.kind == "prose":
            _set_nbgrader_metadata(cell, grade_id("task", task_cell.number), grade=True, solution=True, points=worth)
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
    if page.question:
        page.source.metadata["course"]["question"] = True


def grade_id(kind: str, number: str) -> str:
    """nbgrader's name of a cell: of the answer to a task or to the question, "task", or of a "check"."""
    return f"{kind}-{number.replace('.', '-')}"  # it takes no dot


def _set_nbgrader_metadata(cell: NotebookNode, name: str, **fields: Any) -> None:
    metadata = {
        "schema_version": 3,
        "grade_id": name,
        "grade": False,
        "solution": False,
        "locked": False,
        "task": False,
    }
    cell.metadata["nbgrader"] = nbformat.from_dict(metadata | fields)
