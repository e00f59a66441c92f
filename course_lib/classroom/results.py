"""What grading leaves for teacher and students: grades.csv, summary.md and feedback."""

from pathlib import Path
from typing import Any

from course_lib.classroom.assignment import Assignment
from course_lib.classroom.feedback import feedback_page
from course_lib.classroom.summary import summary
from course_lib.classroom.tables import harmless, write_table
from course_lib.files import write_atomically

Record = dict[str, Any]


class Results:
    """The results of a page in the folder `out`."""

    def __init__(self, out: Path, page: Assignment) -> None:
        self._out, self._page = out, page

    def write(self, records: list[Record]) -> list[Record]:
        """Write all of it; returns the records."""
        for record in records:
            page = feedback_page(record, self._page)
            _write(self._out / "feedback" / f"{record['student']}.html", page)
        write_table(self._out / "grades.csv", [self._header(), *map(self._row, records)])
        _write(self._out / "summary.md", summary(records, self._page))
        return records

    def _header(self) -> list[str]:
        first, last = ["student", "name", "score", "max_score"], ["status", "late", "reason"]
        return [*first, *self._page.tasks, *last, "file"]

    def _row(self, record: Record) -> list[object]:
        graded = record["score"] is not None
        points = [record["tasks"][number]["points"] if graded else "" for number in self._page.tasks]
        row = [record["student"], record["name"], record["score"] if graded else "", record["max_score"], *points]
        row += [record["status"], record["late"], "; ".join(record["reasons"]), record["file"]]
        return [harmless(cell) for cell in row]


def _write(path: Path, text: str) -> None:
    """Write what is new; to bring 200 unchanged pages safely to the disk again takes long."""
    if not path.exists() or path.read_text(encoding="utf-8") != text:
        write_atomically(path, lambda written: written.write_text(text, encoding="utf-8"))
