"""The questions of the quizzes and the predictions, from `texts/lesson_N.toml`.

A question has a "text" and a list "choice"; each choice has a "text", a "why", and one of them has "right". A
prediction has a "number" such as "1.2" besides. Instead of choices it may have an "answer" with a "why": a number, with
a "tolerance", or a list of spellings. Each "slip" of it is a "value" of that kind, and the "why" that leads there.
"""

import hashlib
import json
import tomllib
from pathlib import Path
from typing import Any

from course_lib.markup import with_code

TEXTS = Path(__file__).parent / "texts"
Question = dict[str, Any]


def known_lessons() -> list[int]:
    """The lessons that have questions."""
    return sorted(int(path.stem.removeprefix("lesson_")) for path in TEXTS.glob("lesson_*.toml"))


def questions(lesson: int) -> list[Question]:
    """The questions of a lesson's quiz.

    Raises:
        ValueError: there is no such lesson.
    """
    if lesson not in known_lessons():
        known = ", ".join(map(str, known_lessons()))
        raise ValueError(f"expected the number of a lesson ({known}), got {lesson!r}; write Quiz(1), for example.")
    return list(_read(lesson)["question"])


def predictions() -> dict[str, Question]:
    """The predictions of all lessons, by their numbers."""
    return {
        prediction["number"]: prediction for lesson in known_lessons() for prediction in _read(lesson)["prediction"]
    }


def memory_key(name: str, question: Question) -> str:
    """Where a browser keeps the answer: another place once the question has changed."""
    return f"course {name} {hashlib.sha256(json.dumps(question).encode()).hexdigest()[:12]}"


def letters(question: Question) -> str:
    """The letters of the choices, "ABC" for three."""
    return "ABCDEF"[: len(question["choice"])]


def choices_html(question: Question) -> str:
    """The choices as a list."""
    items = (f"<li>{with_code(choice['text'])}</li>" for choice in question["choice"])
    return f"<ol type='A'>{''.join(items)}</ol>"


def folded_html(answer: str, *whys: str) -> str:
    """The answer and what there is to say of it, which open on a click."""
    paragraphs = "".join(f"<p>{with_code(why)}</p>" for why in whys)
    return f"<details><summary>Answer</summary><p><b>{with_code(answer)}</b></p>{paragraphs}</details>"


def folded_choices_html(question: Question) -> str:
    """The right letter and the reasons for and against all of them, which open on a click."""
    pairs = list(zip(letters(question), question["choice"], strict=True))
    right = next(letter for letter, choice in pairs if choice.get("right"))
    return folded_html(right, *(f"{letter}: {choice['why']}" for letter, choice in pairs))


def _read(lesson: int) -> dict[str, list[Question]]:
    return tomllib.loads((TEXTS / f"lesson_{lesson}.toml").read_text(encoding="utf-8"))
