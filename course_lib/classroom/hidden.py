"""Hidden checks for nbgrader's own grading: what an answer does with inputs that only the grader knows.

`course grade` does the same in two processes: what comes of an answer is observed where the submission runs, and so
cannot be trusted; it is judged in the grader, which has worked out the right numbers from the solution. Whatever a
submission does to the process that it runs in, it gains points only by the right numbers.
"""

import secrets
from typing import Any

from course_lib.classroom.assignment import assignment
from course_lib.exercises import check
from course_lib.exercises.engine import fault, right_parts
from course_lib.exercises.task import observation


def grade_answer(number: str, answer: Any, variant: int | None = None, own: str | None = None) -> int | None:
    """Go on if an answer is right by both its checks.

    Args:
        number: of the task, such as "04.2".
        answer: the function or class.
        variant: of the assignment.
        own: the folder of a teacher's own tasks, if it is one of these.

    Returns:
        None, or if it is wrong the points for what is right in it: nbgrader counts the number that a cell ends with.

    Raises:
        AssertionError: nothing in it is worth a point.
        FileNotFoundError: the folder is no longer there.
    """
    page = assignment(number[:2], variant, own)
    seed, task = secrets.randbits(62), page.tasks[number]
    result = check(number, answer)
    observed, reference = (observation(task, candidate, seed) for candidate in (answer, page.solutions()[number]))
    if observed.error is None and (parts := right_parts(task, observed, reference)):
        wrong = fault(task, observed, reference, seed)
        return None if result.state == "correct" and not wrong else sum(task.worth[part] for part in parts)
    assert result.state == "correct", f"public check: {result}"
    assert observed.error is None, f"with other inputs it raised {type(observed.error).__name__}"
    wrong = fault(task, observed, reference, seed)
    assert not wrong, wrong
    return None
