"""Answers as learners would give them, right and wrong, for the checks to be tested with: tests/exercises/answers."""

import importlib.util
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

Given = TypeVar("Given", bound=Callable[..., Any])


class Answer(NamedTuple):
    """Something to check: a function or a class, and words that the feedback on it must hold."""

    number: str
    given: Callable[..., Any]
    feedback: str
    right: bool


ANSWERS: dict[str, Answer] = {}
"""By task and name; a name says what is done."""


def load_answers() -> None:
    """Fill `ANSWERS`."""
    for path in sorted(Path(__file__).parent.glob("exercises/answers/lesson_*.py")):
        spec = importlib.util.spec_from_file_location(path.stem, path)
        spec.loader.exec_module(importlib.util.module_from_spec(spec))


def right(number: str) -> Callable[[Given], Given]:
    """Another way to solve a task than the page's."""
    return _keep(number, "", right=True)


def wrong(number: str, feedback: str) -> Callable[[Given], Given]:
    """A plausible mistake; `feedback` are words that only the answer to this mistake holds."""
    return _keep(number, feedback, right=False)


def _keep(number: str, feedback: str, *, right: bool) -> Callable[[Given], Given]:
    def keep(given: Given) -> Given:
        ANSWERS[f"{number} {given.__name__}"] = Answer(number, given, feedback, right)
        return given

    return keep
