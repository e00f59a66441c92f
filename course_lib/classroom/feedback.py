"""What students and teachers read after grading."""

import html
from statistics import fmean, median
from typing import Any

from course_lib.classroom.assignment import Assignment
from course_lib.markup import with_code

STYLE = (
    "body{font:1rem/1.5 system-ui,sans-serif;max-width:46rem;margin:2rem auto;padding:0 1rem;color:#222}"
    "section{border-left:.4rem solid #b34700;padding:.1rem 1rem;margin:1.5rem 0}section.passed{border-color:#00695c}"
    "h1{font-size:1.5rem}h2{font-size:1.1rem}"
)


def feedback_page(record: dict[str, Any], page: Assignment) -> str:
    """A student's page: points, both kinds of checks, what was found, and a hint for what failed."""
    parts = [f"<h1>{_safe(_heading(page))}</h1>", f"<p>{_safe(record['name'])}: {_points(record)} points.</p>"]
    if record["reasons"]:
        parts += ["<ul>", *(f"<li>{_safe(reason)}</li>" for reason in record["reasons"]), "</ul>"]
    for number, task in page.tasks.items():
        came = record["tasks"][number]
        earned = f"({came['points']} of {page.points[number]})"
        parts.append(f"<section{' class=passed' if came['points'] else ''}>")
        parts.append(f"<h2>{number} {_safe(task.title)} {earned}</h2>")
        parts.append(f"<p>{_verdicts(came)}</p>")
        if came["reason"]:
            parts.append(f"<p>{_safe(came['reason'])}.</p>")
        parts += [f"<p><b>{_safe(what)}:</b> {with_code(text)}</p>" for what, text in came["findings"]]
        if not came["points"]:
            parts.append(f"<p><b>hint:</b> {with_code(task.hints[0])}</p>")
        parts.append("</section>")
    title = f"<title>{_safe(_heading(page))}</title><meta charset='utf-8'><style>{STYLE}</style>"
    return f"<!doctype html><html lang='en'><head>{title}</head><body>{''.join(parts)}</body></html>"


def summary(records: list[dict[str, Any]], page: Assignment) -> str:
    """The teacher's page: how points are distributed, which tasks were hard, what needs a look."""
    scores = [record["score"] for record in records]
    most = sum(page.points.values())
    lines = [f"# {_heading(page)}: {len(records)} students", ""]
    lines += [f"Mean {fmean(scores):.1f}, median {median(scores):g} of {most} points.", "", "| points | students |"]
    lines += ["| --- | --- |", *(f"| {score} | {scores.count(score)} |" for score in sorted(set(scores), reverse=True))]
    lines += ["", "| task, the hardest first | solved | public checks passed | hidden checks passed |"]
    lines += ["| --- | --- | --- | --- |"]
    came = {number: [record["tasks"][number] for record in records] for number in page.tasks}
    for number in sorted(came, key=lambda number: sum(task["points"] > 0 for task in came[number])):
        counts = [
            sum(task["points"] > 0 for task in came[number]),
            sum(task["public"] == "correct" for task in came[number]),
            sum(task["hidden"] for task in came[number]),
        ]
        lines.append(f"| {number} {page.tasks[number].title} | {' | '.join(map(str, counts))} |")
    odd = [record for record in records if record["status"] != "graded" or record["reasons"]]
    if odd:
        lines += ["", "## To look at", "", "| student | status | reason |", "| --- | --- | --- |"]
    for record in odd:
        reasons = _safe("; ".join(record["reasons"])).replace("|", "\\|")
        lines.append(f"| {record['student']} | {record['status']} | {reasons} |")
    return "\n".join(lines) + "\n"


def _heading(page: Assignment) -> str:
    variant = "" if page.variant is None else f", variant {page.variant}"
    return f"Exercises {int(page.lesson)}{variant}"


def _points(record: dict[str, Any]) -> str:
    return f"{record['score']} of {record['max_score']}"


def _verdicts(came: dict[str, Any]) -> str:
    public = {"correct": "passed", "incorrect": "not passed"}.get(came["public"], came["public"])
    hidden = "passed" if came["hidden"] else "not passed" if came["public"] in ("correct", "incorrect") else "not run"
    return f"Public checks: {_safe(public)}. Hidden checks: {hidden}."


def _safe(text: str) -> str:
    return html.escape(text)
