"""The quizzes: one right choice each, a reason for every choice, and answers that unfold without scripts."""

import html
import re

import pytest

from course_lib.lessons import LESSONS
from course_lib.widgets import Quiz
from course_lib.widgets.questions import known_lessons, questions


def test_each_lesson_has_its_questions() -> None:
    assert known_lessons() == sorted(LESSONS)


@pytest.mark.parametrize("lesson", LESSONS)
def test_every_choice_is_explained_and_one_is_right(lesson: int) -> None:
    asked = questions(lesson)
    assert 5 <= len(asked) <= 10
    for question in asked:
        choices = question["choice"]
        assert 3 <= len(choices) <= 4
        assert [choice.get("right", False) for choice in choices].count(True) == 1
        assert len({choice["text"] for choice in choices}) == len(choices)
        assert all(len(choice["why"]) > 20 for choice in choices)


def test_the_right_choice_has_no_favorite_place() -> None:
    places = [
        [choice.get("right", False) for choice in question["choice"]].index(True)
        for lesson in LESSONS
        for question in questions(lesson)
    ]
    assert max(places.count(place) for place in range(3)) < len(places) / 2


@pytest.mark.parametrize("lesson", LESSONS)
def test_without_scripts_the_answers_are_folded_away(lesson: int) -> None:
    page = re.sub(r"(?s)<(script|style)\b.*?</\1>", "", Quiz(lesson).html())
    text = html.unescape(re.sub(r"<[^>]+>", "", re.sub(r"(?s)<details>.*?</details>", "", page)))
    folded = [html.unescape(re.sub(r"<[^>]+>", "", one)) for one in re.findall(r"(?s)<details>(.*?)</details>", page)]
    for question, answer in zip(questions(lesson), folded, strict=True):
        assert question["text"].replace("`", "") in text
        right = [choice.get("right", False) for choice in question["choice"]].index(True)
        assert answer.startswith(f"Answer{'ABCD'[right]}")
        for choice in question["choice"]:
            assert choice["text"].replace("`", "") in text
            assert choice["why"].replace("`", "") not in text
            assert choice["why"].replace("`", "") in answer


def test_a_lesson_that_is_not_there_is_named() -> None:
    with pytest.raises(ValueError, match=r"the number of a lesson \(1, 2, .*\), got 7; write Quiz\(1\)"):
        Quiz(7)
