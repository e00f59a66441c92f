"""The page's checks refuse each mutant of a solution that does something else than its task asks for."""

import pytest
from exercises.mutants import ALL, EQUIVALENT, mutants, outcomes, reasons

from course_lib.exercises.task import Task


@pytest.mark.parametrize("task", ALL, ids=lambda task: f"{task.number}-{task.name}")
def test_only_mutants_that_do_what_the_task_asks_for_are_accepted(task: Task) -> None:
    accepted = [change for change, outcome in outcomes(task).items() if outcome == "survives"]
    explained = [reasons(task, change) for change in accepted]
    assert [change for change, texts in zip(accepted, explained, strict=True) if len(texts) != 1] == []
    assert len(accepted) == len(EQUIVALENT.get(task.number, {}))


def test_each_kind_of_change_is_made_once() -> None:
    source = """
def half(numbers, by=2, more=1.0):
    with open("log") as log, lock():
        log.write(len(numbers), end=True)
    return [-n / by for n in numbers if n > by]
"""
    assert [text.partition("\n+")[2].strip() for text in mutants(source, set())] == [
        "def half(numbers, by=3, more=1.0):",
        "def half(numbers, by=1, more=1.0):",
        "def half(numbers, by=2, more=1.5):",
        "log = open('log')\n+    with lock():",
        "with open('log') as log:",
        "with 'log' as log, lock():",
        "pass",
        "log.write(numbers, end=True)",
        "log.write(len(numbers))",
        "log.write(len(numbers), end=False)",
        "return [n / by for n in numbers if n > by]",
        "return [-n * by for n in numbers if n > by]",
        "return [-n / by for n in numbers]",
        "return [-n / by for n in numbers if n >= by]",
        "return [-n / by for n in numbers if n < by]",
    ]
