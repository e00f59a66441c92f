"""Records as grading leaves them, made without running anything."""

from typing import Any

from course_lib.classroom.assignment import Assignment

Record = dict[str, Any]


def record(page: Assignment, student: str, name: str, score: int | None, **fields: Any) -> Record:
    """What grading gave: a score of 13 or less leaves out the first tasks."""
    points, missing = dict(page.points), 0 if score is None else 13 - score
    for number in points:
        if missing >= points[number]:
            missing -= points[number]
            points[number] = 0
    tasks = {
        number: {"points": earned, "public": "correct", "hidden": bool(earned), "reason": "", "findings": []}
        for number, earned in points.items()
    }
    result = {"student": student, "name": name, "status": "graded", "reasons": [], "tasks": tasks, "score": score}
    return {**result, "max_score": 13, "late": "", "file": "", **fields}
