"""Moodle's grading worksheet, whatever its language: its columns are known by their places and by what is in them.

Source of the columns' order: Moodle, mod/assign/gradingtable.php: the identifier; the full name; fields such as the
email address; the status; perhaps the team and the marker; the grade; its maximum; perhaps the workflow state; whether
the grade can be changed; when the submission was changed, and its texts; when the grade was changed; feedback.
"""

import re
from dataclasses import dataclass

LENGTH_OF_TIME = re.compile(r"\d+\s*[^\W\d_]")  # such as "2 hours 3 mins", as Moodle's format_time writes it
YEAR = re.compile(r"\d{4}")


@dataclass(frozen=True)
class Worksheet:
    """Where the columns are that matter; `feedback` is None if the assignment has no feedback comments."""

    name: int
    email: int | None
    grade: int
    maximum: int
    feedback: int | None
    submitted: int | None

    def late(self, row: list[str]) -> str:
        """By how much a submission was late, in Moodle's words, such as "2 hours 3 mins late"; empty if it was not."""
        if self.submitted is not None and row[self.submitted] == "-":
            return ""
        parts = [part for cell in row[1 : self.grade] for part in cell.split(" - ")[1:]]
        return next((part for part in parts if LENGTH_OF_TIME.search(part) and not YEAR.search(part)), "")

    def scaled(self, row: list[str], fraction: float) -> str:
        """A grade out of this row's maximum, written as the worksheet writes numbers."""
        written = f"{round(fraction * (_number(row[self.maximum]) or 0), 2):g}"
        return written.replace(".", ",") if "," in row[self.maximum] else written


def feedback_name(student: str, number: str, file: str) -> str:
    """The name by which Moodle knows whom a file of feedback is for (mod/assign/feedback/file/importziplib.php)."""
    name = re.sub(r"[\W_]+", " ", student).strip()
    return f"{name}_{number}_assignsubmission_file_/{file}"


def worksheet(table: list[list[str]]) -> Worksheet | None:
    """The columns of a grading worksheet, or None if the table is not one.

    Raises:
        ValueError: its assignment is graded with a scale of words.
    """
    header, rows = (table[0], table[1:]) if table else ([], [])
    columns = list(zip(*rows, strict=True))
    if not columns or len({re.sub(r"\d+$", "", cell) for cell in columns[0]}) > 1 or not columns[0][0][-1:].isdigit():
        return None
    if any("\n" in column[0] and len(set(column)) == 1 for column in columns):
        raise ValueError(
            "Moodle's grading worksheet of an assignment with a scale of words, and the exercises earn points: in the "
            "assignment's settings choose Grade, Type: Point, then download the worksheet again."
        )
    maximum = max((index for index in range(2, len(header)) if _is_maximum(columns, index)), default=None)
    if maximum is None:
        return None
    dates = [index for index in range(maximum + 1, len(header)) if all(map(_is_date, columns[index]))]
    if not dates:
        return None
    grade, modified = maximum - 1, dates[-1]
    email = next((index for index in range(1, grade) if any("@" in cell for cell in columns[index])), None)
    return Worksheet(
        name=0 if grade == 2 else 1,  # who is graded blindly has no name
        email=email,
        grade=grade,
        maximum=maximum,
        feedback=modified + 1 if modified + 1 < len(header) else None,
        submitted=dates[0] if len(dates) > 1 else None,
    )


def _is_maximum(columns: list[tuple[str, ...]], index: int) -> bool:
    """Whether a column holds one number in all rows, and the one before it grades or nothing."""
    maximum = _number(columns[index][0])
    return bool(maximum and len(set(columns[index])) == 1) and all(
        not cell or _number(cell) is not None for cell in columns[index - 1]
    )


def _is_date(cell: str) -> bool:
    """Whether it is a time, in any language, or Moodle's mark for none."""
    return cell == "-" or bool(YEAR.search(cell) and re.search(r"\d\D\d\d", cell))


def _number(cell: str) -> float | None:
    try:
        return float(re.sub(r"\s", "", cell).replace(",", "."))
    except ValueError:
        return None
