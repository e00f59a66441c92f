"""nbgrader's form grader: what it needs to show answers to a question, and the points and comments given there.

Its own `nbgrader autograde` would run each submission again, without a sandbox. So the notebooks that it shows are made
from the release, with the answers filled in and nothing run, and the gradebook gets the points that the checks gave.
"""

import re
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nbformat
from nbformat import NotebookNode

from course_lib.classroom.assignment import Assignment, grade_id
from course_lib.classroom.overrides import Override, checked_points
from course_lib.classroom.plain import readable
from course_lib.classroom.reading import defines, read_answers
from course_lib.files import write_text

Record = dict[str, Any]


def from_form_grader(out: Path, page: Assignment, records: list[Record]) -> list[Override]:
    """Bring what was graded into the gradebook of the release in `out`; returns what was set by hand there.

    An answer that has changed since it was given points by hand is to be graded again, as with nbgrader.

    Returns:
        nothing if the page asks no question, or is not what was released in `out`.

    Raises:
        OSError: the gradebook cannot be read or written.
        ValueError: points in it that cannot be had.
    """
    released, database = out / "release" / page.name / f"{page.stem}.ipynb", out / "gradebook.db"
    if page.question is None or not (released.is_file() and database.is_file()):
        return []
    students = nbformat.read(released, as_version=4)
    if students.metadata.get("course", {}).get("release") != page.fingerprint:
        return []
    from nbgrader.api import Gradebook, MissingEntry
    from sqlalchemy.exc import SAWarning, SQLAlchemyError

    overrides: list[Override] = []
    try:
        with warnings.catch_warnings(), Gradebook(f"sqlite:///{database.resolve()}") as book:
            warnings.simplefilter("ignore", SAWarning)  # of nbgrader's own code
            try:
                book.find_grade_cell(grade_id("task", page.question.number), page.stem, page.name)
            except MissingEntry:  # another gradebook than that of the release
                return []
            for record in records:
                if record["score"] is None:
                    continue
                path = out / "autograded" / record["student"] / page.name / released.name
                new = _filled(out, page, students, record)
                old = nbformat.read(path, as_version=4) if path.exists() else new
                overrides += _merged(book, page, record, _changed(page, old, new), f"{database}: {record['student']}")
                book.db.commit()  # first: what has changed can still be seen if this was the last thing done
                if old != new or not path.exists():
                    write_text(path, nbformat.writes(new))
    except SQLAlchemyError as error:
        reason = readable(str(error.__cause__ or error), 100)
        raise OSError(f"{database}: cannot be used ({reason}); close nbgrader's form grader, and try again.") from error
    return overrides


def _merged(book: Any, page: Assignment, record: Record, changed: set[str], where: str) -> Iterator[Override]:
    """Note the checks' points in a student's entry in the gradebook; yields what a person has noted there."""
    student = record["student"]
    book.update_or_create_student(student)
    book.update_or_create_submission(page.name, student)
    notebook = book.find_submission_notebook(page.stem, page.name, student)
    names = {(kind, number): grade_id(kind, number) for number in page.points for kind in ("task", "check")}
    comments = {comment.name: comment.manual_comment for comment in notebook.comments}
    grades = {grade.name: grade for grade in notebook.grades}
    for number in page.points:
        grade = grades[names["check" if number in page.tasks else "task", number]]
        grade.auto_score = record["tasks"][number]["points"]
        by_hand = grade.manual_score is not None
        again = by_hand and (grade.needs_manual_grade or number in changed)
        grade.needs_manual_grade = again or not (by_hand or grade.auto_score is not None)
        points = None
        if by_hand and not again:
            by_hand_points = grade.manual_score + (grade.extra_credit or 0)
            points = checked_points(f"{by_hand_points:g}", page.points[number], f"{where}, {number}")
        comment = readable(comments.get(names["task", number]) or "", 2000)
        if points is not None or comment:
            yield Override(student, number, points, comment)


def _filled(out: Path, page: Assignment, students: NotebookNode, record: Record) -> NotebookNode:
    """What the form grader is to show of a student: the page as it was given, with the answers, and nothing run."""
    assert page.question
    handed_in = out / "submitted" / record["student"] / page.name / f"{page.stem}.ipynb"
    code = [text for _, text in read_answers(handed_in.read_bytes(), page).cells]
    answers = {number: "\n\n".join(cell for cell in code if defines(cell, name)) for number, name in page.names.items()}
    # The form grader would run a script in a text, in a browser that is logged in to the teacher's Jupyter.
    prose = record["tasks"][page.question.number]["answer"]
    answers[page.question.number] = re.sub(r"<(?=[a-zA-Z/!?])", "< ", prose)
    cells = {grade_id("task", number): answer for number, answer in answers.items() if answer}
    notebook = nbformat.from_dict(students)
    for cell in notebook.cells:
        cell.source = cells.get(_name(cell), cell.source)
    return notebook


def _changed(page: Assignment, old: NotebookNode, new: NotebookNode) -> set[str]:
    """The tasks with another answer than before."""
    texts = [{_name(cell): cell.source for cell in notebook.cells} for notebook in (old, new)]
    names = {number: grade_id("task", number) for number in page.points}
    return {number for number, name in names.items() if texts[0].get(name) != texts[1].get(name)}


def _name(cell: NotebookNode) -> str:
    return str(cell.metadata.get("nbgrader", {}).get("grade_id", ""))
