"""Releasing: nbgrader makes the students' notebook from the teacher's."""

import os
import sysconfig
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nbformat
from traitlets.config import Config

from course_lib.classroom.assignment import Assignment, assignment, own_pages
from course_lib.classroom.export import pack_files
from course_lib.classroom.moodle import feedback_name, worksheet
from course_lib.classroom.packed import pack, unpack
from course_lib.classroom.plain import LARGEST
from course_lib.classroom.questions import question_file
from course_lib.classroom.rosters import digits, read_roster
from course_lib.classroom.tables import read_table
from course_lib.exercises.engine import result_of
from course_lib.exercises.proof import flaws, gaps
from course_lib.files import as_path, make_folder, write_text

STUB = "# your code here\nraise NotImplementedError"  # as `course_lib.exercises.page.cleared` leaves it
ALONE = (
    "a student's page has PyTorch, the imports above `# Answers` and the function or class of that name, but nothing "
    f"else of the file; and it compares numbers, texts and tensors of at most {LARGEST:,} numbers"
)


def release(
    lesson: str,
    out: str | Path,
    variant: int | None = None,
    own: str | Path | None = None,
    question: bool = False,
    on_message: Callable[[str], None] = lambda text: None,
) -> Path:
    """Write the students' notebook of a lesson's exercises: without solutions and hidden tests, with points.

    Args:
        lesson: such as "04".
        out: a folder in nbgrader's layout, made if need be: `source/` holds the teacher's notebook, `release/` the
            students', `gradebook.db` nbgrader's records, and `nbgrader_config.py` lets nbgrader go on from there.
        variant: the seed of numbers for one section of a class; each variant is an assignment of its own.
        own: a folder with a teacher's own tasks, whose lesson it is; they are released if they hold what they say.
        question: whether the page ends with the lesson's question, which is graded by hand.
        on_message: called with what a teacher's own tasks should say besides, or hold and are not asked for.

    Returns:
        the students' notebook.

    Raises:
        FileNotFoundError: no such folder, or no question.
        OSError: `out` cannot be written to.
        ValueError: no such lesson, no variants of it, a fault of a teacher's own task or question, or nbgrader refuses.
    """
    out = as_path(out, "out")
    page = assignment(lesson, variant, own, question=question)
    if own is not None:
        _embed_own_tasks([page], on_message)
    make_folder(out, "--out")
    config = out / "nbgrader_config.py"
    if not config.exists():
        config.write_text(f"c = get_config()\nc.ClearSolutions.code_stub = {{'python': {STUB!r}}}\n", encoding="utf-8")
    (notebook,) = _generate(out, page.name, {page.stem: page})
    return notebook


def release_each(
    lesson: str,
    out: str | Path,
    roster: str | Path,
    own: str | Path | None = None,
    question: bool = False,
    on_message: Callable[[str], None] = lambda text: None,
) -> tuple[list[Path], Path | None]:
    """Write a notebook for each student of a class, as `release` writes one, with numbers that are drawn for this one.

    Args:
        lesson: such as "04".
        out: a folder, made if need be: `release/STUDENT/04` gets the page of each student.
        roster: CSV file of the class; see `read_roster`.
        own, question, on_message: as in `release`.

    Returns:
        the students' notebooks; and where the roster is Moodle's worksheet, a zip by which Moodle hands them out.

    Raises:
        FileNotFoundError, ValueError: as `release` does; or there is no roster in that file.
    """
    out, students = as_path(out, "out"), read_roster(roster)
    pages = own_pages(lesson, [student.id for student in students], own, question=question)
    if own is not None:
        _embed_own_tasks([*pages.values()], on_message)
    make_folder(out, "--out")
    name = next(iter(pages.values())).lesson
    with tempfile.TemporaryDirectory() as temporary:  # no assignment of nbgrader's, which has one page for all
        built = _generate(Path(temporary), name, {str(number): page for number, page in enumerate(pages.values())})
        notebooks = {}
        for page, student, notebook in zip(pages.values(), students, built, strict=True):
            notebooks[student] = out / "release" / student.id / name / f"{page.stem}.ipynb"
            notebooks[student].parent.mkdir(parents=True, exist_ok=True)
            write_text(notebooks[student], notebook.read_text(encoding="utf-8"))
    archive, table = out / f"release-moodle-{name}.zip", read_table(roster)
    if not worksheet(table):
        return [*notebooks.values()], None
    numbers = {student: digits(table[student.row][0]) for student in students}
    pack_files(
        archive, {feedback_name(student.name, numbers[student], file.name): file for student, file in notebooks.items()}
    )
    return [*notebooks.values()], archive


def _generate(folder: Path, assignment: str, pages: dict[str, Assignment]) -> list[Path]:
    """The students' notebooks that nbgrader makes of the teacher's, by what each is called."""
    source = folder / "source" / assignment
    source.mkdir(parents=True, exist_ok=True)
    for name, page in pages.items():
        write_text(source / f"{name}.ipynb", nbformat.writes(page.source))
    result = nbgrader(folder).generate_assignment(assignment)
    if not result["success"]:
        raise ValueError(f"nbgrader did not make {source}: {result.get('error') or result.get('log')}")
    return [folder / "release" / assignment / f"{name}.ipynb" for name in pages]


def _embed_own_tasks(pages: list[Assignment], on_message: Callable[[str], None]) -> None:
    """Put a teacher's own tasks, proved first, into the set-up cell of their pages.

    Raises:
        ValueError: a task does not hold what it says; all that is wrong is told.
    """
    page = pages[0]
    problems = [flaw for task in page.tasks.values() for flaw in flaws(task)]
    if not problems:
        packed = pack(page.tasks.values())
        problems = _flaws_on_page(page, packed)
    if problems:
        raise ValueError("\n".join([f"{page.folder}: nothing was released, for its tasks do not hold:", *problems]))
    for page in pages:
        page.source.cells[1].source += f'\nfrom course_lib.classroom.packed import bring\n\nbring("{packed}")'
    for gap in (gap for task in page.tasks.values() for gap in gaps(task)):
        on_message(gap)
    question_path = question_file(page.folder, page.lesson)
    if page.question is None and question_path.is_file():
        on_message(f"{question_path} is not asked; say --question")


def _flaws_on_page(page: Assignment, packed: str) -> list[str]:
    """Where the check of a student's notebook refuses a solution that stands in it."""
    try:
        solutions = page.solutions()
        results = [(task, result_of(task, solutions[task.number])) for task in unpack(packed)]
    except Exception as error:
        return [f"the page fails: {type(error).__name__}: {error}; {ALONE}"]
    return [
        f"{task.number}: its solution is refused on the page; {ALONE}\n{result}"
        for task, result in results
        if result.state != "correct"
    ]


def nbgrader(folder: Path) -> Any:
    """nbgrader's own interface to a folder."""
    from nbgrader.apps import NbGraderAPI

    scripts = sysconfig.get_path("scripts")  # of this environment, active or not: nbgrader calls alembic by its name
    if scripts not in os.environ["PATH"].split(os.pathsep):
        os.environ["PATH"] = os.pathsep.join([scripts, os.environ["PATH"]])
    config = Config()
    config.CourseDirectory.root = str(folder.resolve())
    config.ClearSolutions.code_stub = {"python": STUB}
    config.Exchange.root = str(folder.resolve() / "exchange")
    return NbGraderAPI(config=config)
