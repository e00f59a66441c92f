"""Answers as learners would give them, right and wrong, for the checks to be tested with: tests/exercises/answers."""

from collections.abc import Callable
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
