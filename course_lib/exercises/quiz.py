"""The quizzes at the end of the lessons: pick an answer and read why, by mouse or by keyboard."""

import html
import re
import tomllib
from pathlib import Path
from typing import Any

from course_lib.exercises.tasks import LESSONS

VIEW = "application/vnd.jupyter.widget-view+json"
WIDTH = "max-width:60em;line-height:1.4"
Question = dict[str, Any]


def questions(lesson: int) -> list[Question]:
    """The questions of a lesson: "text" and "choice", a list of "text", "why" and, for one of them, "right".

    Raises:
        ValueError: there is no such lesson.
    """
    if lesson not in LESSONS:
        raise ValueError(f"lesson {lesson} is not known; the lessons are {', '.join(map(str, LESSONS))}.")
    path = Path(__file__).parent / "quizzes" / f"lesson_{lesson}.toml"
    return list(tomllib.loads(path.read_text(encoding="utf-8"))["question"])


class Quiz:
    """A quiz as a page: with a kernel, letters to pick from; on GitHub and in print, the answers folded away.

    Attributes:
        answers: for each question the buttons A, B, ..., one of which can be down.
        replies: for each question the place in which the reason appears.
    """

    def __init__(self, lesson: int) -> None:
        import ipywidgets  # only notebooks have it

        self._questions = questions(lesson)
        self.answers, self.replies, parts = [], [], []
        for number, question in enumerate(self._questions, start=1):
            letters, reply = _letters(question), ipywidgets.HTML()
            picked = ipywidgets.ToggleButtons(
                options=letters, value=None, description=f"answer {number}", style={"button_width": "3em"}
            )
            picked.observe(_replier(question, reply), names="index")
            self.answers.append(picked)
            self.replies.append(reply)
            parts += [ipywidgets.HTML(_asked(number, question)), picked, reply]
        self.view = ipywidgets.VBox(parts)

    def __repr__(self) -> str:
        return f"[Quiz: {len(self._questions)} questions]"

    def _repr_mimebundle_(self, **_: object) -> dict[str, Any]:
        view = {"version_major": 2, "version_minor": 0, "model_id": self.view.model_id}
        pages = [_asked(number, question) + _folded(question) for number, question in enumerate(self._questions, 1)]
        return {VIEW: view, "text/plain": repr(self), "text/html": "".join(pages)}


def _letters(question: Question) -> list[str]:
    return list("ABCD"[: len(question["choice"])])


def _asked(number: int, question: Question) -> str:
    choices = "".join(f"<li>{with_code(choice['text'])}</li>" for choice in question["choice"])
    return f"<div style='{WIDTH}'><b>{number}.</b> {with_code(question['text'])}<ol type='A'>{choices}</ol></div>"


def _replier(question: Question, reply: Any) -> Any:
    def answer(change: dict[str, Any]) -> None:
        choice = question["choice"][change["new"]]
        verdict = "Right." if choice.get("right") else "Not this one."
        reply.value = f"<p role='status' style='{WIDTH}'><b>{verdict}</b> {with_code(choice['why'])}</p>"

    return answer


def _folded(question: Question) -> str:
    """The right letter and all reasons, which open on a click."""
    pairs = list(zip(_letters(question), question["choice"], strict=True))
    right = next(letter for letter, choice in pairs if choice.get("right"))
    whys = "".join(f"<p>{letter}: {with_code(choice['why'])}</p>" for letter, choice in pairs)
    return f"<details><summary>Answer</summary><p><b>{right}</b></p>{whys}</details>"


def with_code(text: str) -> str:
    """A text as HTML, what stands between backticks as code."""
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", html.escape(text, quote=False))
