"""The answer to a page's question, as it can be found in what was handed in: wherever it stands, and as plain text."""

from typing import Any

from course_lib.classroom.assignment import Assignment
from course_lib.classroom.plain import readable
from course_lib.classroom.reading import bare, is_prose, read_cells

STUB = "YOUR ANSWER HERE"  # nbgrader's
LONGEST = 20_000  # characters
NOT_ANSWERED = "not answered: its cell is as it was given, or empty"
GONE = "its cell is not in the notebook, and no text of the student's own is in another"
ELSEWHERE = "nothing is written below the question; this is in other cells of the notebook"


def read_prose(content: bytes, page: Assignment) -> dict[str, Any]:
    """What a record says of the page's question: the answer, what is odd about it, and its points.

    These are None, to be graded by hand, but 0 where the answer's cell is there and nothing is written in any cell.

    Raises:
        UnfitError: not a notebook.
    """
    assert page.question
    statement = page.question.statement
    heading = statement.partition("\n")[0]
    released = {bare(text) for text in [*page.student_texts, STUB, ""]}
    below, elsewhere, inside, is_there = list[str](), list[str](), False, False
    for cell in read_cells(content)[0]:
        text = cell.text.strip()
        is_marked = is_prose(cell, page)
        is_there |= is_marked or text == STUB
        if text.startswith(heading):
            inside, text = True, text.removeprefix(statement)  # some write into the question itself
        elif not is_marked and text != STUB and bare(text) in released - {""}:
            inside = False
        if bare(text) in released:
            continue
        if inside or is_marked:
            below.append(text.replace(STUB, "", 1).strip())
        elif cell.kind != "code":
            elsewhere.append(text)
    answer, reason = "\n\n".join(below or elsewhere), ""
    if not below:
        reason = ELSEWHERE if elsewhere else NOT_ANSWERED if is_there else GONE
    if len(answer) > LONGEST:
        reason += f"{'; ' if reason else ''}the first {LONGEST:,} of {len(answer):,} characters"
        answer = answer[:LONGEST]
    lines = [readable(line, LONGEST).rstrip() for line in answer.splitlines()]
    return ungraded(reason) | {"points": 0 if reason == NOT_ANSWERED else None, "answer": "\n".join(lines)}


def ungraded(reason: str) -> dict[str, Any]:
    """A question's part in a record before anything is known of it."""
    return {"points": None, "public": "", "hidden": False, "reason": reason, "findings": [], "answer": ""}
