"""Hidden checks: what an answer does with inputs that only the grader knows.

A hidden check has two halves. `observe` calls the answer with drawn inputs and writes down what came of it, as numbers;
it runs where the submission does, and so cannot be trusted. `holds` judges these numbers, and runs in the grader, which
has worked out the right ones from the solution. Whatever a submission does to the process that it runs in, it gains
points only by the right numbers.
"""

import importlib
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from course_lib.classroom.hidden.draw import Draw
from course_lib.exercises.tasks import agrees

Observe = Callable[[Any, Draw], object]
Holds = Callable[[Any, Any, Draw], bool]
_checks: dict[str, "HiddenCheck"] = {}


@dataclass(frozen=True)
class HiddenCheck:
    """A hidden check of a task.

    Attributes:
        observe: calls an answer with what it draws, and returns numbers, texts and tensors of what came of it.
        properties: where an answer is free: says of its observations whether they are right, given the solution's
            and drawing again what was drawn; without it, the solution's observations are the right ones.
        tolerance: by how much numbers may differ from these, absolutely or relatively.
    """

    observe: Observe
    properties: Holds | None
    tolerance: float

    def holds(self, observed: object, wanted: object, seed: int) -> bool:
        """Whether what was observed of an answer is right; `wanted` was observed of the solution."""
        try:
            if self.properties:
                return bool(self.properties(observed, wanted, Draw(seed)))
            return agrees(observed, wanted, self.tolerance)
        except Exception:  # of another form altogether, perhaps on purpose
            return False


def hidden(number: str, properties: Holds | None = None, *, tolerance: float = 1e-4) -> Callable[[Observe], Observe]:
    """Make the function below it what is observed of a task such as "04.2"; see `HiddenCheck`."""

    def register(observe: Observe) -> Observe:
        _checks[number] = HiddenCheck(observe, properties, tolerance)
        return observe

    return register


def hidden_check(number: str) -> HiddenCheck:
    """The hidden check of a task such as "04.2"."""
    importlib.import_module(f"course_lib.classroom.hidden.lesson_{int(number[:2])}")
    return _checks[number]


def demand(number: str, answer: Any, variant: int | None = None) -> None:
    """Go on if an answer is right by both its checks: what nbgrader's own grading runs.

    `course grade` does the same in two processes, so that a submission cannot reach what judges it.

    Args:
        number: of the task, such as "04.2".
        answer: the function or class.
        variant: of the assignment.

    Raises:
        AssertionError: it is not right.
    """
    from course_lib.classroom.assignment import assignment
    from course_lib.exercises import check

    seed = secrets.randbits(62)
    said, hidden = check(number, answer), hidden_check(number)
    assert said.state == "correct", f"public check: {said}"
    wanted = hidden.observe(assignment(number[:2], variant).solutions()[number], Draw(seed))
    assert hidden.holds(hidden.observe(answer, Draw(seed)), wanted, seed), "a hidden check found another result"
