"""What students read after grading."""

import html
from typing import Any

from course_lib.classroom.assignment import Assignment
from course_lib.markup import with_code

STYLE = (
    "body{font:1rem/1.5 system-ui,sans-serif;max-width:46rem;margin:2rem auto;padding:0 1rem;color:#222}"
    "section{border-left:.4rem solid #b34700;padding:.1rem 1rem;margin:1.5rem 0}section.passed{border-color:#00695c}"
    "h1{font-size:1.5rem}h2{font-size:1.1rem}"
)


NOT_RUN = "nothing was run"


def judged(record: dict[str, Any], number: str) -> bool:
    """Whether the checks, or the teacher, said anything of a task."""
    came = record["tasks"][number]
    return came["reason"] != NOT_RUN or "checks" in came or "comment" in came


def feedback_page(record: dict[str, Any], page: Assignment) -> str:
    """A student's page: points, both kinds of checks, what was found, and a hint for what failed."""
    parts = [f"<h1>{_safe(heading(page))}</h1>", f"<p>{_safe(record['name'])}: {_points(record)}.</p>"]
    parts += [f"<p>Handed in: {_safe(record['late'])}.</p>"] if record["late"] else []
    parts += [f"<p><b>Your teacher:</b> {_safe(record['comment'])}</p>"] if record.get("comment") else []
    if record["reasons"]:
        parts += ["<ul>", *(f"<li>{_safe(reason)}</li>" for reason in record["reasons"]), "</ul>"]
    parts += [task_feedback(number, record["tasks"][number], page) for number in page.tasks if judged(record, number)]
    title = f"<title>{_safe(heading(page))}</title><meta charset='utf-8'><style>{STYLE}</style>"
    return f"<!doctype html><html lang='en'><head>{title}</head><body>{''.join(parts)}</body></html>"


def task_feedback(number: str, came: dict[str, Any], page: Assignment) -> str:
    """What the checks and the teacher say of one task."""
    task = page.tasks[number]
    by_checks = f"; {came['checks']:g} by the checks" if "checks" in came else ""
    earned = f"({came['points']:g} of {page.points[number]}{by_checks})"
    parts = [f"<section{' class=passed' if came['points'] else ''}>"]
    parts.append(f"<h2>{number} {_safe(task.title)} {earned}</h2>")
    parts.append(f"<p>{_verdicts(came)}</p>")
    if came.get("comment"):
        parts.append(f"<p><b>Your teacher:</b> {_safe(came['comment'])}</p>")
    if came["reason"]:
        parts.append(f"<p>{_safe(came['reason'])}.</p>")
    parts += [f"<p><b>{_safe(what)}:</b> {with_code(text)}</p>" for what, text in came["findings"]]
    if not came["points"]:
        parts.append(f"<p><b>hint:</b> {with_code(task.hints[0])}</p>")
    return "".join([*parts, "</section>"])


def heading(page: Assignment) -> str:
    """What the page of exercises is called."""
    variant = "" if page.variant is None else f", variant {page.variant}"
    return f"Exercises {int(page.lesson)}{variant}"


def _points(record: dict[str, Any]) -> str:
    if record["score"] is None:
        return f"not graded ({_safe(record['status'])})"
    return f"{record['score']:g} of {record['max_score']} points"


def _verdicts(came: dict[str, Any]) -> str:
    public = {"correct": "passed", "incorrect": "not passed"}.get(came["public"], came["public"])
    hidden = "passed" if came["hidden"] else "not passed" if came["public"] in ("correct", "incorrect") else "not run"
    return f"Public checks: {_safe(public)}. Hidden checks: {hidden}."


def _safe(text: str) -> str:
    return html.escape(text)
