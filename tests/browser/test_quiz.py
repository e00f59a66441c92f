"""The quizzes in a browser: a click or a key answers, the reason is told, first tries are counted and remembered."""

from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from browser.explorers import call, expect_good_manners, open_page, reload_until

from course_lib.lessons import LESSONS
from course_lib.widgets import Quiz
from course_lib.widgets.questions import Question, questions

if TYPE_CHECKING:
    from playwright.sync_api import Locator, Page

REFUSED = "Object.defineProperty(window, 'localStorage', {get() { throw new DOMException('', 'SecurityError'); }})"


def right_place(question: Question) -> int:
    return [choice.get("right", False) for choice in question["choice"]].index(True)


def score(quiz: "Locator") -> str:
    return quiz.locator(".score").inner_text()


@pytest.mark.parametrize("lesson", LESSONS)
def test_every_choice_is_answered_with_its_reason_and_the_right_one_with_right(
    lesson: int, page: "Page", tmp_path: Path
) -> None:
    quiz = open_page(page, Quiz(lesson), tmp_path)
    asked = questions(lesson)
    for question, part in zip(asked, quiz.locator("fieldset").all(), strict=True):
        right = right_place(question)
        others = [place for place in range(len(question["choice"])) if place != right]
        for place in (right, *others):
            part.get_by_role("button").nth(place).click()
            verdict, reason = part.get_by_role("status").inner_text().split("\n", 1)
            assert verdict == ("✓ Right." if place == right else "✗ Not this one.")
            assert reason.strip() == question["choice"][place]["why"].replace("`", "")
    assert score(quiz) == f"{len(asked)} of {len(asked)} answered, {len(asked)} right at the first try."


def use(quiz: "Locator") -> None:
    """The quiz of lesson 1: by mouse and by keyboard, a right answer, a wrong one, one found later; then again."""
    first, second = (quiz.locator("fieldset").nth(n) for n in (0, 1))
    asked = questions(1)
    assert score(quiz) == "0 of 8 answered, 0 right at the first try."
    first.get_by_text("Some kernel whose weights add up to 0").click()
    assert first.get_by_role("status").inner_text().startswith("✓ Right.")
    right = right_place(asked[1])
    wrong = second.get_by_role("button").nth(right - 1)
    wrong.focus()
    quiz.page.keyboard.press("Space")
    assert second.get_by_role("status").inner_text().startswith("✗ Not this one.")
    assert score(quiz) == "2 of 8 answered, 1 right at the first try."
    quiz.page.keyboard.press("Tab")
    quiz.page.keyboard.press("Enter")
    assert second.get_by_role("status").inner_text().startswith("✓ Right, found at try 2.")
    assert score(quiz) == "2 of 8 answered, 1 right at the first try, 1 found later."
    pressed = [one.get_attribute("aria-pressed") for one in second.get_by_role("button").all()]
    assert pressed == ["true" if place == right else "false" for place in range(len(pressed))]
    assert wrong.locator(".mark").inner_text() == "✗ not this one"
    quiz.get_by_role("button", name="Start again").click()
    assert score(quiz) == "0 of 8 answered, 0 right at the first try."
    assert quiz.locator(".reply:not(:empty)").count() == 0


def test_everything_works_without_kernel_and_network(page: "Page", tmp_path: Path) -> None:
    quiz = open_page(page, Quiz(1), tmp_path)
    use(quiz)
    for part in quiz.locator("fieldset").all():
        part.get_by_role("button").first.click()
    expect_good_manners(page)


def test_the_score_survives_a_reload_until_one_starts_again(page: "Page", tmp_path: Path) -> None:
    quiz = open_page(page, Quiz(1), tmp_path)
    right = right_place(questions(1)[0])
    quiz.locator("fieldset").nth(0).get_by_role("button").nth(right).click()
    quiz.locator("fieldset").nth(1).get_by_role("button").nth(0).click()
    told, marks = score(quiz), quiz.locator(".answer.right, .answer.wrong").all_inner_texts()
    assert told == "2 of 8 answered, 1 right at the first try."
    again = open_page(page.context.new_page(), Quiz(1), tmp_path)
    reload_until(again.page, lambda: score(again), told)
    assert again.locator(".answer.right, .answer.wrong").all_inner_texts() == marks
    assert again.get_by_role("status").first.inner_text().startswith("✓ Right.")
    again.get_by_role("button", name="Start again").click()
    page.reload()
    reload_until(page, lambda: score(quiz), "0 of 8 answered, 0 right at the first try.")


def test_a_question_that_has_changed_is_asked_anew(
    page: "Page", tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    quiz = open_page(page, Quiz(1), tmp_path)
    for part in quiz.locator("fieldset").all():
        part.get_by_role("button").first.click()
    asked = questions(1)
    asked[2]["choice"][1]["text"] += " Always."
    monkeypatch.setattr("course_lib.widgets.quiz.questions", lambda _: asked)
    again = open_page(page, Quiz(1), tmp_path)
    reload_until(page, lambda: score(again).partition(",")[0], "7 of 8 answered")


def test_a_page_that_may_not_remember_anything_still_asks(page: "Page", tmp_path: Path) -> None:
    page.add_init_script(REFUSED)
    use(open_page(page, Quiz(1), tmp_path))


def test_the_score_counts_first_tries(page: "Page", tmp_path: Path) -> None:
    open_page(page, Quiz(1), tmp_path)
    tries = [[[], [], []], [[0], [1, 2], [1]], [[0, 1], [2, 1, 0, 2], [1, 1]]]
    assert call(page, "quiz", "score", [(one, [0, 2, 1]) for one in tries]) == [
        "0 of 3 answered, 0 right at the first try.",
        "3 of 3 answered, 2 right at the first try, 1 found later.",
        "3 of 3 answered, 3 right at the first try.",
    ]
    # A wrong answer that is read twice is one try.
    picked = [[1], [0], [0, 1], [0, 2, 0, 1], [1, 0], [0, 1, 0, 1]]
    assert call(page, "quiz", "verdict", [(one, 1) for one in picked]) == [
        "Right.",
        "Not this one.",
        "Right, found at try 2.",
        "Right, found at try 3.",
        "Not this one.",
        "Right, found at try 2.",
    ]
