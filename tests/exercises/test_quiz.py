"""The quizzes: one right choice each, a reason for every choice, and a page that works without a kernel."""

import html
import re

import pytest

from course_lib.exercises.quiz import Quiz, questions
from course_lib.exercises.tasks import LESSONS


@pytest.mark.parametrize("lesson", LESSONS)
def test_every_choice_is_explained_and_one_is_right(lesson: int) -> None:
    asked = questions(lesson)
    assert 5 <= len(asked) <= 8
    for question in asked:
        choices = question["choice"]
        assert 3 <= len(choices) <= 4
        assert [choice.get("right", False) for choice in choices].count(True) == 1
        assert len({choice["text"] for choice in choices}) == len(choices)
        assert all(len(choice["why"]) > 20 for choice in choices)


def test_the_right_choice_has_no_favourite_place() -> None:
    places = [
        [choice.get("right", False) for choice in question["choice"]].index(True)
        for lesson in LESSONS
        for question in questions(lesson)
    ]
    assert max(places.count(place) for place in range(3)) < len(places) / 2


def shown(page: str) -> str:
    """A page's text as a browser shows it, without marks and in one line."""
    return html.unescape(re.sub(r"<[^>]+>", "", page))


def test_a_choice_is_answered_with_its_own_reason() -> None:
    quiz = Quiz(1)
    first = questions(1)[0]["choice"]
    for place, choice in enumerate(first):
        quiz.answers[0].index = place
        said = shown(quiz.replies[0].value)
        assert ("Right." in said) == bool(choice.get("right"))
        assert choice["why"].replace("`", "") in said


def test_without_a_kernel_the_answers_are_folded_away() -> None:
    page = Quiz(1)._repr_mimebundle_()["text/html"]
    text = shown(page)
    count = len(questions(1))
    assert page.count("<details>") == page.count("<ol") == count
    for question in questions(1):
        for choice in question["choice"]:
            assert choice["text"].replace("`", "") in text
            assert choice["why"].replace("`", "") in text


def test_a_lesson_that_is_not_there_is_named() -> None:
    with pytest.raises(ValueError, match="lesson 7 is not known"):
        Quiz(7)
