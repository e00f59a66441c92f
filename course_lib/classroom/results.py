"""What grading leaves for teacher and students: grades.csv, summary.md and feedback, with all that was set by hand."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from course_lib.classroom.assignment import Assignment
from course_lib.classroom.feedback import answers_page, feedback_page, is_judged
from course_lib.classroom.form_grader import from_form_grader
from course_lib.classroom.late import after_late_policy, read_policy
from course_lib.classroom.likeness import read_answer
from course_lib.classroom.overrides import merged, overridden, read_overrides
from course_lib.classroom.reading import UnfitError, read_answers
from course_lib.classroom.summary import Answers, summary
from course_lib.classroom.tables import harmless, write_table
from course_lib.files import write_atomically

Record = dict[str, Any]


class Results:
    """The results of a page in the folder `out`, where overrides.csv and late.toml may lie.

    Args:
        out: the folder.
        page: what all students were given, but for the numbers of `student_pages`.
        students: their ids.
        student_pages: the page of each student, if each has numbers of their own.

    Raises:
        ValueError: one of these two has a slip; it is named.
    """

    def __init__(
        self, out: Path, page: Assignment, students: set[str], student_pages: Mapping[str, Assignment] | None = None
    ) -> None:
        self._out, self._page, self._student_pages = out, page, student_pages or {}
        self._overrides = read_overrides(out / "overrides.csv", students, page)
        self._policy = read_policy(out / "late.toml", students)

    def write(self, records: list[Record]) -> list[Record]:
        """Write all of it; returns the records as they count in the end.

        Raises:
            OSError, ValueError: nbgrader's gradebook cannot be used, or holds points that cannot be had.
        """
        overrides = merged(self._overrides, from_form_grader(self._out, self._page, records))
        points = self._page.points
        records = [after_late_policy(overridden(record, overrides, points), self._policy) for record in records]
        for record in records:
            page = feedback_page(record, self._page)
            _write(self._out / "feedback" / f"{record['student']}.html", page)
        write_table(self._out / "grades.csv", [self._header(), *map(self._row, records)])
        _write(self._out / "summary.md", summary(records, self._page, self._answers(records)))
        if self._page.question:
            _write(self._out / "answers.html", answers_page(records, self._page))
        return records

    def _header(self) -> list[str]:
        first, last = ["student", "name", "score", "max_score"], ["status", "late", "penalty", "reason", "comment"]
        return [*first, *self._page.points, *last, "file"]

    def _row(self, record: Record) -> list[object]:
        graded = record["score"] is not None
        earned = {number: task["points"] for number, task in record["tasks"].items() if is_judged(record, number)}
        points = [earned.get(number) if graded else "" for number in self._page.points]  # csv writes None as nothing
        comments = [f"{number}: {text}" for number, task in record["tasks"].items() if (text := task.get("comment"))]
        row = [record["student"], record["name"], record["score"] if graded else "", record["max_score"], *points]
        row += [record["status"], record["late"], record["penalty"], "; ".join(record["reasons"])]
        row += ["; ".join([*filter(None, [record.get("comment")]), *comments]), record["file"]]
        return [harmless(cell) for cell in row]

    def _answers(self, records: list[Record]) -> Answers:
        """Each student's answers, as they can be read in what was handed in."""
        answers: Answers = {}
        for record in records:
            page = self._student_pages.get(record["student"], self._page)
            path = self._out / "submitted" / record["student"] / self._page.name / f"{self._page.stem}.ipynb"
            if path.exists():
                try:
                    cells = [text for _, text in read_answers(path.read_bytes(), page).cells]
                except UnfitError:
                    continue
                answers[record["student"]] = {
                    number: read_answer(cells, task.name, (task.drawn or (None,))[0])
                    for number, task in page.tasks.items()
                }
        return answers


def _write(path: Path, text: str) -> None:
    """Write what is new; to bring 200 unchanged pages safely to the disk again takes long."""
    if not path.exists() or path.read_text(encoding="utf-8") != text:
        write_atomically(path, lambda written: written.write_text(text, encoding="utf-8"))
