"""Every check against the page's solution, other right answers, and plausible wrong ones with their feedback."""

from collections import Counter
from pathlib import Path

import pytest
from exercise_answers import ANSWERS, Answer, load_answers

from course_lib.exercises import Result, check
from course_lib.exercises.legacy import Legacy
from course_lib.exercises.load import LESSONS as ALL
from course_lib.exercises.load import tasks_of
from course_lib.exercises.page import frames, solution_code

load_answers()
LESSONS = [lesson for lesson in ALL if isinstance(tasks_of(lesson)[0], Legacy)]
NUMBERS = [task.number for lesson in LESSONS for task in tasks_of(lesson)]
RIGHT = [answer for answer in ANSWERS.values() if answer.right]
WRONG = [answer for answer in ANSWERS.values() if not answer.right]


@pytest.fixture(autouse=True)
def _progress_elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COURSE_PROGRESS", str(tmp_path / "progress.json"))


def named(answer: Answer) -> str:
    return f"{answer.number}-{answer.given.__name__}"


def test_there_are_enough_tasks_and_each_has_hints_and_answers_of_both_kinds() -> None:
    for lesson in LESSONS:
        tasks = tasks_of(lesson)
        assert 5 <= len(tasks) <= 8
        assert [task.number for task in tasks] == [f"{lesson:02}.{place}" for place in range(1, len(tasks) + 1)]
        assert all(len(task.hints) >= 2 for task in tasks)
    for number in NUMBERS:
        assert sum(answer.number == number for answer in RIGHT) >= 1, f"{number}: no right answer but the page's"
        assert sum(answer.number == number for answer in WRONG) >= 4, f"{number}: too few wrong answers"


@pytest.fixture(scope="module")
def page_names() -> dict[str, dict[str, object]]:
    """What each page of exercises holds after it ran, by the two digits of its lesson."""
    spaces: dict[str, dict[str, object]] = {}
    for page in [frames()[f"{lesson:02}"] for lesson in LESSONS]:
        code = "\n".join(part for part in _code_cells(page.read_text()) if not part.startswith(("check(", "progress(")))
        space: dict[str, object] = {"__name__": "page"}
        exec(compile(code, str(page), "exec"), space)
        spaces[page.name[:2]] = space
    return spaces


def _code_cells(text: str) -> list[str]:
    cells = [cell for cell in text.split("\n# %%") if not cell.startswith((" [markdown]", "# %% [markdown]"))]
    return [cell.partition("\n")[2].strip() for cell in cells]


@pytest.mark.parametrize("number", NUMBERS)
def test_the_pages_solution_is_correct(number: str, page_names: dict[str, dict[str, object]]) -> None:
    page = frames()[number[:2]].read_text()
    name = page.partition(f'check("{number}", ')[2].partition(")")[0]
    result = check(number, page_names[number[:2]][name])
    assert result.state == "correct", result
    assert f"def {name}" in solution_code(number) or f"class {name}" in solution_code(number)


@pytest.mark.parametrize("answer", RIGHT, ids=named)
def test_another_right_answer_is_correct(answer: Answer) -> None:
    result = check(answer.number, answer.given)
    assert result.state == "correct", result


@pytest.mark.parametrize("answer", WRONG, ids=named)
def test_a_wrong_answer_gets_its_own_feedback(answer: Answer) -> None:
    result = check(answer.number, answer.given)
    assert result.state == "incorrect", result
    assert answer.feedback in said(result), result
    print(f"{answer.number}  {answer.given.__name__:32} {said(result)}")


def test_no_two_wrong_answers_to_a_task_wait_for_the_same_words() -> None:
    twice = [key for key, count in Counter((a.number, a.feedback) for a in WRONG).items() if count > 1]
    assert not twice


def said(result: Result) -> str:
    return " ".join(text for _, text in result.findings)
