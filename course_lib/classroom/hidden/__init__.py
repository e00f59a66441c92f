"""Hidden checks: what an answer does with inputs that only the grader knows.

A hidden check has two halves. `observe` calls the answer with drawn inputs and writes down what came of it, as numbers;
it runs where the submission does, and so cannot be trusted. `fault` judges these numbers, and runs in the grader, which
has worked out the right ones from the solution. Whatever a submission does to the process that it runs in, it gains
points only by the right numbers.
"""

import secrets
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from course_lib.exercises import check
from course_lib.exercises.draw import Draw
from course_lib.exercises.engine import fault
from course_lib.exercises.load import find_task
from course_lib.exercises.task import observation
from course_lib.exercises.values import agrees

Observe = Callable[[Any, Draw], object]
Fault = Callable[[Any, Any, Draw], str]
_checks: dict[str, "HiddenCheck"] = {}


@dataclass(frozen=True)
class HiddenCheck:
    """A hidden check of a task.

    Attributes:
        observe: calls an answer with what it draws, and returns numbers, texts and tensors of what came of it.
        properties: where an answer is free: says of its observations what is wrong with them, given the solution's and
            drawing again what was drawn; without it, the solution's observations are the right ones.
        tolerance: by how much numbers may differ from these, absolutely or relatively.
        inputs: what kind of inputs are drawn, as a student may know it.
        parts: names of what is observed, in its order.
        of_each: if each of what is observed has the same parts, their names.
    """

    observe: Observe
    properties: Fault | None
    tolerance: float
    inputs: str
    parts: tuple[str, ...]
    of_each: tuple[str, ...]

    def holds(self, observed: object, wanted: object, seed: int) -> bool:
        """Whether what was observed of an answer is right; `wanted` was observed of the solution."""
        return not self.fault(observed, wanted, seed)

    def fault(self, observed: object, wanted: object, seed: int) -> str:
        """What is wrong with what was observed of an answer, and the kind of inputs, but not which; "" for nothing."""
        try:
            wrong = self.properties(observed, wanted, Draw(seed)) if self.properties else self._part(observed, wanted)
        except Exception:  # of another form altogether, perhaps on purpose
            wrong = "the form of what it returns"
        return wrong

    def _part(self, observed: Any, wanted: Any) -> str:
        if agrees(observed, wanted, self.tolerance):
            return ""
        pairs = zip(observed, wanted, strict=True) if self.of_each else [(observed, wanted)]
        for ours, theirs in pairs if self.parts or self.of_each else ():
            for name, found, right in zip(self.parts or self.of_each, ours, theirs, strict=True):
                if not agrees(found, right, self.tolerance):
                    return name
        return "the result"


def hidden(
    number: str,
    properties: Fault | None = None,
    *,
    inputs: str,
    tolerance: float = 1e-4,
    parts: tuple[str, ...] = (),
    of_each: tuple[str, ...] = (),
) -> Callable[[Observe], Observe]:
    """Make the function below it what is observed of a task such as "04.2"; see `HiddenCheck`."""

    def register(observe: Observe) -> Observe:
        _checks[number] = HiddenCheck(observe, properties, tolerance, inputs, parts, of_each)
        return observe

    return register


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

    seed, task = secrets.randbits(62), find_task(number)
    said = check(number, answer)
    assert said.state == "correct", f"public check: {said}"
    wanted, observed = (
        observation(task, given, seed) for given in (assignment(number[:2], variant).solutions()[number], answer)
    )
    if observed.error:
        raise AssertionError(f"with other inputs it raised {type(observed.error).__name__}") from None
    wrong = fault(task, observed, wanted, seed)
    assert not wrong, wrong
