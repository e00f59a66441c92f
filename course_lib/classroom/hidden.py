"""Hidden checks for nbgrader's own grading: what an answer does with inputs that only the grader knows.

`course grade` does the same in two processes: what comes of an answer is observed where the submission runs, and so
cannot be trusted; it is judged in the grader, which has worked out the right numbers from the solution. Whatever a
submission does to the process that it runs in, it gains points only by the right numbers.
"""

import secrets
from typing import Any

from course_lib.classroom.assignment import assignment
from course_lib.exercises import check
from course_lib.exercises.engine import fault
from course_lib.exercises.task import observation


def demand(number: str, answer: Any, variant: int | None = None, own: str | None = None) -> None:
    """Go on if an answer is right by both its checks.

    Args:
        number: of the task, such as "04.2".
        answer: the function or class.
        variant: of the assignment.
        own: the folder of a teacher's own tasks, if it is one of these.

    Raises:
        AssertionError: it is not right.
        FileNotFoundError: the folder is no longer there.
    """
    page = assignment(number[:2], variant, own)
    seed, task = secrets.randbits(62), page.tasks[number]
    said = check(number, answer)
    assert said.state == "correct", f"public check: {said}"
    observed = observation(task, answer, seed)
    assert observed.error is None, f"with other inputs it raised {type(observed.error).__name__}"
    wrong = fault(task, observed, observation(task, page.solutions()[number], seed), seed)
    assert not wrong, wrong
