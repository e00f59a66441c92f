"""Points that a teacher sets by hand: overrides.csv, with the columns student, task, points and comment."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from course_lib.classroom.assignment import Assignment
from course_lib.classroom.plain import readable
from course_lib.classroom.tables import read_table

Record = dict[str, Any]
TOTAL = "total"  # in the column task: all points of the page


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
    found: dict[tuple[str, str], Override] = {}
    for number, cells in enumerate(rows, start=2):
        row, where = dict(zip(columns, cells, strict=True)), f"{path}, row {number}"
        student, task = row["student"], row["task"]
        most = {**page.points, TOTAL: sum(page.points.values())}
        if student not in students:
            raise ValueError(f"{where}: no student {student!r} in grades.csv; take the names of its first column.")
        if task not in most:
            raise ValueError(f"{where}: no task {task!r} on this page; it has {', '.join(most)}.")
        if (student, task) in found:
            raise ValueError(f"{where}: {student}, {task} is there twice; keep one of the rows.")
        points = _points(row["points"], most[task], where)
        found[student, task] = Override(student, task, points, readable(row.get("comment", ""), 2000))
    return list(found.values())


def _points(written: str, most: int, where: str) -> float | None:
    if not written:
        return None
    try:
        points = float(written.replace(",", "."))
    except ValueError:
        points = -1
    if not 0 <= points <= most:
        raise ValueError(f"{where}: points {written!r}, expected a number from 0 to {most}, or nothing.")
    return int(points) if points == int(points) else points


def overridden(record: Record, overrides: list[Override]) -> Record:
    """A record with what was set by hand; what the checks gave stays in its reasons.

    A submission that the checks could not grade is graded once its total, or each of its tasks, was set.
    """
    own = {row.task: row for row in overrides if row.student == record["student"]}
    if not own:
        return record
    record = {**record, "tasks": dict(record["tasks"]), "reasons": list(record["reasons"])}
    for number, came in record["tasks"].items():
        if row := own.get(number):
            points = came["points"] if row.points is None else row.points
            record["tasks"][number] = came | {"points": points, "checks": came["points"], "comment": row.comment}
            if row.points is not None:
                record["reasons"].append(f"{number}: {points:g} by hand, {came['points']:g} by the checks")
    set_by_hand = {number for number, row in own.items() if row.points is not None}
    if record["score"] is None and set_by_hand >= set(record["tasks"]):
        record |= {"score": 0, "status": "graded"}
    if record["score"] is not None:
        record["score"] = sum(task["points"] for task in record["tasks"].values())
    if TOTAL in own:
        record["comment"] = own[TOTAL].comment
    if TOTAL in set_by_hand:
        before = "no grade" if record["score"] is None else f"{record['score']:g}"
        record["reasons"].append(f"{own[TOTAL].points:g} points by hand, {before} by the checks")
        record |= {"score": own[TOTAL].points, "status": "graded", "final": True}
    return record
