"""Points that a teacher sets by hand: overrides.csv, with the columns student, task, points and comment."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from course_lib.classroom.assignment import Assignment
from course_lib.classroom.plain import readable
from course_lib.classroom.tables import read_table

Record = dict[str, Any]
TOTAL = "total"  # in the column task: all points of the page
BY_HAND = "to grade by hand"


@dataclass(frozen=True)
class Override:
    """A row: the points of a student's task, None to leave them as they are, and what to tell the student."""

    student: str
    task: str
    points: float | None
    comment: str


def read_overrides(path: Path, students: set[str], page: Assignment) -> list[Override]:
    """The rows of overrides.csv; a file that is not there has none.

    Raises:
        ValueError: a column is missing; a row names no student or task of these, or points that cannot be had.
    """
    if not path.exists():
        return []
    header, *rows = read_table(path) or [[]]
    columns = [column.casefold() for column in header]
    if not {"student", "task", "points"} <= set(columns):
        raise ValueError(f"{path}: needs the columns student, task, points and comment; found: {', '.join(header)}.")
    overrides: dict[tuple[str, str], Override] = {}
    for number, cells in enumerate(rows, start=2):
        row, where = dict(zip(columns, cells, strict=True)), f"{path}, row {number}"
        student, task = row["student"], row["task"]
        max_points = {**page.points, TOTAL: sum(page.points.values())}
        if student not in students:
            raise ValueError(f"{where}: no student {student!r} in grades.csv; take the names of its first column.")
        if task not in max_points:
            raise ValueError(f"{where}: no task {task!r} on this page; it has {', '.join(max_points)}.")
        if (student, task) in overrides:
            raise ValueError(f"{where}: {student}, {task} is there twice; keep one of the rows.")
        points = checked_points(row["points"], max_points[task], where)
        overrides[student, task] = Override(student, task, points, readable(row.get("comment", ""), 2000))
    return list(overrides.values())


def checked_points(written: str, max_points: int, where: str) -> float | None:
    """Points as a teacher wrote them; None for an empty text.

    Raises:
        ValueError: they are not from 0 to `max_points`.
    """
    if not written:
        return None
    try:
        points = float(written.replace(",", "."))
    except ValueError:
        points = -1
    if not 0 <= points <= max_points:
        raise ValueError(f"{where}: points {written!r}, expected a number from 0 to {max_points}, or nothing.")
    return int(points) if points == int(points) else points


def merged(rows: list[Override], others: list[Override]) -> list[Override]:
    """Overrides from two places; where both say something of the same task, the first counts."""
    overrides = {(row.student, row.task): row for row in others}
    for row in rows:
        other = overrides.get((row.student, row.task), row)
        points = other.points if row.points is None else row.points
        overrides[row.student, row.task] = replace(row, points=points, comment=row.comment or other.comment)
    return list(overrides.values())


def counted(record: Record, points: dict[str, int]) -> Record:
    """A record with its score, None if it was not graded; what is to be graded by hand counts neither way yet.

    Args:
        points: of each task, and of the question.
    """
    if record["status"] not in ("graded", BY_HAND):
        return record | {"score": None, "max_score": sum(points.values())}
    earned = {number: task["points"] for number, task in record["tasks"].items() if task["points"] is not None}
    max_score = sum(points[number] for number in earned)
    return record | {
        "status": "graded" if len(earned) == len(points) else BY_HAND,
        "score": sum(earned.values()),
        "max_score": max_score,
    }


def overridden(record: Record, overrides: list[Override], points: dict[str, int]) -> Record:
    """A record with what was set by hand; what the checks gave stays in its reasons.

    A submission that the checks could not grade is graded once its total, or each of its tasks, was set.

    Args:
        points: of each task, and of the question.
    """
    own_rows = {row.task: row for row in overrides if row.student == record["student"]}
    if not own_rows:
        return record
    record = {**record, "tasks": dict(record["tasks"]), "reasons": list(record["reasons"])}
    for number, result in record["tasks"].items():
        if row := own_rows.get(number):
            set_to = result["points"] if row.points is None else row.points
            record["tasks"][number] = result | {"points": set_to, "checks": result["points"], "comment": row.comment}
            if row.points is not None and "answer" not in result:
                record["reasons"].append(f"{number}: {set_to:g} by hand, {result['points']:g} by the checks")
    set_by_hand = {number for number, row in own_rows.items() if row.points is not None}
    if record["score"] is None and set_by_hand >= set(record["tasks"]):
        record["status"] = "graded"
    record = counted(record, points)
    if TOTAL in own_rows:
        record["comment"] = own_rows[TOTAL].comment
    if TOTAL in set_by_hand:
        before = "no grade" if record["score"] is None else f"{record['score']:g}"
        record["reasons"].append(f"{own_rows[TOTAL].points:g} points by hand, {before} by the checks")
        record |= {
            "score": own_rows[TOTAL].points,
            "max_score": sum(points.values()),
            "status": "graded",
            "final": True,
        }
    return record
