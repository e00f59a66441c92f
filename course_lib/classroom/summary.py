"""What the teacher reads after grading."""

from collections import Counter
from statistics import fmean, median
from typing import Any

from course_lib.classroom.assignment import Assignment
from course_lib.classroom.feedback import heading

Record = dict[str, Any]
STRANGER = "not in the roster"


def summary(records: list[Record], page: Assignment) -> str:
    """How points are distributed, which tasks were hard, what needs a look."""
    scores = [record["score"] for record in records if record["score"] is not None]
    lines = [f"# {heading(page)}: {len(records)} students, {len(scores)} graded", ""]
    if scores:
        most = sum(page.points.values())
        lines += [f"Mean {fmean(scores):.1f}, median {median(scores):g} of {most} points.", ""]
        counts = Counter(scores)
        lines += _table(["points", "students"], [[f"{score:g}", counts[score]] for score in sorted(counts)[::-1]])
    return "\n".join([*lines, *_tasks(records, page), *_odd(records)]) + "\n"


def _tasks(records: list[Record], page: Assignment) -> list[str]:
    rows = []
    for number, task in page.tasks.items():
        came = [record["tasks"][number] for record in records if record["score"] is not None]
        solved = sum(one["points"] > 0 for one in came)
        passed = [sum(one["public"] == "correct" for one in came), sum(one["hidden"] for one in came)]
        rows.append([f"{number} {task.title}", solved, *passed])
    header = ["task, the hardest first", "solved", "public checks passed", "hidden checks passed"]
    return _table(header, sorted(rows, key=lambda row: row[1]))


def _odd(records: list[Record]) -> list[str]:
    """Who was not graded, who is a stranger, and what else the grader noticed."""
    lines = []
    for title, chosen in {
        "Not graded": [record for record in records if record["score"] is None],
        "Not in the roster": [record for record in records if STRANGER in record["reasons"]],
        "To look at": [record for record in records if record["score"] is not None and record["reasons"]],
    }.items():
        rows = [[record["student"], record["status"], code("; ".join(record["reasons"]))] for record in chosen]
        lines += [f"## {title}", "", *_table(["student", "status", "reason"], rows)] if rows else []
    return lines


def code(text: str) -> str:
    """A stranger's text as Markdown's code in a table: no link, no image and no HTML comes out of it."""
    plain = text.replace("`", "'").replace("|", "\\|")
    return f"`{plain}`" if plain.strip() else ""


def _table(header: list[str], rows: list[list[Any]]) -> list[str]:
    lines = [header, ["---"] * len(header), *rows]
    return [*(f"| {' | '.join(map(str, line))} |" for line in lines), ""]
