"""Hidden checks against all right and wrong answers that the public checks are tested with."""

from collections import defaultdict
from typing import Any

import pytest
import torch
from exercise_answers import ANSWERS, Answer, load_answers

from course_lib.classroom.assignment import assignment
from course_lib.classroom.plain import from_json, to_json
from course_lib.exercises.draw import Draw
from course_lib.exercises.legacy import Legacy
from course_lib.exercises.load import LESSONS as ALL
from course_lib.exercises.load import find_task, tasks_of

load_answers()
LESSONS = [lesson for lesson in ALL if isinstance(tasks_of(lesson)[0], Legacy)]
NUMBERS = [task.number for lesson in LESSONS for task in tasks_of(lesson)]
RIGHT = [answer for answer in ANSWERS.values() if answer.right]
SEEDS = (1, 2, 3)


@pytest.fixture(scope="module")
def solutions() -> dict[str, Any]:
    return {number: solved for lesson in LESSONS for number, solved in assignment(str(lesson)).solutions().items()}


def holds(number: str, answer: Any, solution: Any, seed: int) -> bool:
    check = find_task(number)._hidden()
    wanted, observed = (from_json(to_json(check.observe(given, Draw(seed)))) for given in (solution, answer))
    return check.holds(observed, wanted, seed)


@pytest.mark.parametrize("number", NUMBERS)
def test_the_solution_holds(number: str, solutions: dict[str, Any]) -> None:
    for seed in SEEDS:
        assert holds(number, solutions[number], solutions[number], seed)


@pytest.mark.parametrize("answer", RIGHT, ids=lambda answer: f"{answer.number}-{answer.given.__name__}")
def test_another_right_answer_holds(answer: Answer, solutions: dict[str, Any]) -> None:
    for seed in SEEDS:
        assert holds(answer.number, answer.given, solutions[answer.number], seed)


def test_wrong_answers_do_not_hold(solutions: dict[str, Any]) -> None:
    """The public checks see every mistake; the hidden ones need to see most, and so many of each task."""
    caught: dict[str, list[bool]] = defaultdict(list)
    for answer in ANSWERS.values():
        if answer.right:
            continue
        try:
            held = holds(answer.number, answer.given, solutions[answer.number], 1)
        except Exception:  # the answer failed: nothing was observed
            held = False
        finally:
            torch.set_grad_enabled(True)
        caught[answer.number].append(not held)
        if held:
            print(f"{answer.number} {answer.given.__name__} is left to the public check")
    shares = {number: sum(found) / len(found) for number, found in caught.items()}
    assert min(shares.values()) >= 0.5, shares
    total = [found for of_task in caught.values() for found in of_task]
    assert sum(total) >= 0.85 * len(total), f"{sum(total)} of {len(total)}"


def test_what_is_drawn_follows_from_the_seed_alone() -> None:
    torch.manual_seed(0)
    first = Draw(5).normal(3)
    torch.rand(7)
    assert torch.equal(Draw(5).normal(3), first)
    assert not torch.equal(Draw(6).normal(3), first)


def test_observations_survive_json_and_nothing_else_does() -> None:
    observed = {"a": (1, 2.5, None, "text", True), "b": torch.tensor([[1.0, float("nan")]]), 3: torch.tensor(2)}
    back = from_json(to_json(observed))
    assert back["a"] == [1, 2.5, None, "text", True]
    assert torch.equal(back["b"].nan_to_num(), torch.tensor([[1.0, 0.0]]))
    assert back[3] == 2
    assert from_json(to_json(open)) == ("builtin_function_or_method", repr(open))
    for kind in (torch.int64, torch.bool, torch.float16, torch.float64):
        assert from_json(to_json(torch.ones(2).to(kind))).dtype == kind
