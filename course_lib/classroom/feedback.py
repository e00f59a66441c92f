"""What students read after grading."""

import html
from typing import Any

from course_lib.classroom.assignment import Assignment
from course_lib.classroom.overrides import BY_HAND
from course_lib.markup import with_code

STYLE = (
    "body{font:1rem/1.5 system-ui,sans-serif;max-width:46rem;margin:2rem auto;padding:0 1rem;color:#222}"
    "section{border-left:.4rem solid #b34700;padding:.1rem 1rem;margin:1.5rem 0}section.passed{border-color:#00695c}"
    "h1{font-size:1.5rem}h2{font-size:1.1rem}pre{font:inherit;white-space:pre-wrap;overflow-wrap:anywhere}"
)


NOT_RUN = "nothing was run"


def is_judged(record: dict[str, Any], number: str) -> bool:
    """Whether the checks, or the teacher, said anything of a task."""
    result = record["tasks"][number]
    return result["reason"] != NOT_RUN or "checks" in result or "comment" in result


def feedback_page(record: dict[str, Any], page: Assignment) -> str:
    """A student's page: points, both kinds of checks, what was found, and a hint for what failed."""
    parts = [f"<h1>{_safe(heading(page))}</h1>", f"<p>{_safe(record['name'])}: {_points(record, page)}.</p>"]
    parts += [f"<p>Handed in: {_safe(record['late'])}.</p>"] if record["late"] else []
    parts += [f"<p><b>Your teacher:</b> {_safe(record['comment'])}</p>"] if record.get("comment") else []
    if record["reasons"]:
        parts += ["<ul>", *(f"<li>{_safe(reason)}</li>" for reason in record["reasons"]), "</ul>"]
    parts += [
        task_feedback(number, record["tasks"][number], page) for number in page.tasks if is_judged(record, number)
    ]
    if page.question and is_judged(record, page.question.number):
        title = f"{page.question.number} {page.question.title}"
        parts.append(_prose(title, record["tasks"][page.question.number], page.question.points, "Your answer"))
    return _document(heading(page), parts)


def answers_page(records: list[dict[str, Any]], page: Assignment) -> str:
    """All answers to the question of a page, those first that are to be graded, for the teacher to read through."""
    question = page.question
    assert question
    parts = [f"<h1>{_safe(heading(page))}: {question.number} {_safe(question.title)}</h1>"]
    parts += [f"<pre>{_safe(question.text)}</pre><h2>What a good answer says</h2><pre>{_safe(question.expected)}</pre>"]
    answered = [record for record in records if record["score"] is not None]
    waiting = [record for record in answered if record["status"] == BY_HAND]
    for record in waiting + [record for record in answered if record["status"] != BY_HAND]:
        name = record["student"] if record["student"] == record["name"] else f"{record['student']}, {record['name']}"
        parts.append(_prose(name, record["tasks"][question.number], question.points, "Answer"))
    if waiting:
        rows = [f"{record['student']},{question.number},," for record in waiting]
        parts.append("<h2>For overrides.csv: points go between the last two commas, a comment behind them</h2>")
        parts.append(f"<pre>{_safe(chr(10).join(['student,task,points,comment', *rows]))}</pre>")
    return _document(f"{heading(page)}: answers", parts)


def _document(title: str, parts: list[str]) -> str:
    head = f"<title>{_safe(title)}</title><meta charset='utf-8'><style>{STYLE}</style>"
    return f"<!doctype html><html lang='en'><head>{head}</head><body>{''.join(parts)}</body></html>"


def _prose(title: str, result: dict[str, Any], max_points: int, label: str) -> str:
    """An answer in prose, and what the teacher gave for it."""
    points = (
        f"to be graded by hand, {max_points} at most"
        if result["points"] is None
        else f"{result['points']:g} of {max_points}"
    )
    parts = [f"<section{' class=passed' if result['points'] else ''}><h2>{_safe(title)} ({points})</h2>"]
    parts += [f"<p><b>Your teacher:</b> {_safe(result['comment'])}</p>"] if result.get("comment") else []
    parts += [f"<p>{_safe(result['reason'])}.</p>"] if result["reason"] else []
    parts += [f"<p><b>{label}:</b></p><pre>{_safe(result['answer'])}</pre>"] if result["answer"] else []
    return "".join([*parts, "</section>"])


def task_feedback(number: str, result: dict[str, Any], page: Assignment) -> str:
    """What the checks and the teacher say of one task."""
    task = page.tasks[number]
    by_checks = f"; {result['checks']:g} by the checks" if "checks" in result else ""
    earned = f"({result['points']:g} of {page.points[number]}{by_checks})"
    parts = [f"<section{' class=passed' if result['points'] else ''}>"]
    parts.append(f"<h2>{number} {_safe(task.title)} {earned}</h2>")
    parts.append(f"<p>{_verdicts(result)}</p>")
    if result.get("comment"):
        parts.append(f"<p><b>Your teacher:</b> {_safe(result['comment'])}</p>")
    if result["reason"]:
        parts.append(f"<p>{_safe(result['reason'])}.</p>")
    parts += [f"<p><b>{_safe(label)}:</b> {with_code(text)}</p>" for label, text in result["findings"]]
    if not result["points"]:
        parts.append(f"<p><b>hint:</b> {with_code(task.hints[0])}</p>")
    return "".join([*parts, "</section>"])


def heading(page: Assignment) -> str:
    """What the page of exercises is called."""
    variant = "" if page.variant is None else f", variant {page.variant}"
    return f"Exercises {int(page.lesson)}{variant}"


def _points(record: dict[str, Any], page: Assignment) -> str:
    if record["score"] is None:
        return f"not graded ({_safe(record['status'])})"
    points = f"{record['score']:g} of {record['max_score']} points"
    if record["status"] == BY_HAND and page.question:
        return f"{points} without {page.question.number}, which is still to be graded by hand"
    return points


def _verdicts(result: dict[str, Any]) -> str:
    public = {"correct": "passed", "incorrect": "not passed"}.get(result["public"], result["public"])
    hidden = (
        "passed" if result["hidden"] else "not passed" if result["public"] in ("correct", "incorrect") else "not run"
    )
    return f"Public checks: {_safe(public)}. Hidden checks: {hidden}."


def _safe(text: str) -> str:
    return html.escape(text)
