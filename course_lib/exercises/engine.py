"""Checking an answer: what comes of it, in plain text and as a page."""

import contextlib
import html
import inspect
import re
import sysconfig
import textwrap
import traceback
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from course_lib.exercises import record
from course_lib.exercises.draw import Draw, as_at_first
from course_lib.exercises.load import find_task
from course_lib.exercises.task import PUBLIC, Answer, Observation, Task, Wrong, decide, observation, part_of
from course_lib.exercises.values import agrees
from course_lib.markup import with_code

State = Literal["not attempted", "incorrect", "correct"]
COLORS: dict[State, str] = {"not attempted": "#767676", "incorrect": "#b34700", "correct": "#00695c"}
ERRORS = {  # what Python and PyTorch say: the slip behind it
    r"before Module.__init__\(\) call|has no attribute '_(parameters|modules|buffers|\w+_hooks)'": (
        "`super().__init__()` is missing: it is the first line in the `__init__` of a module."
    ),
    r"torch.nn.Parameter or None expected": (
        "A parameter takes nothing but an `nn.Parameter`: wrap the tensor in one, or `copy_` it into the old one."
    ),
    "leaf Variable that requires grad": (
        "Parameters are changed in place under `torch.no_grad()` only: put the lines into it."
    ),
    r"numpy.ndarray|Can't call numpy\(\)": "A NumPy array stands where a tensor should: work with tensors throughout.",
    "out of bounds|out of range": "An index goes past the end: counting begins at 0, and only what fits whole counts.",
    "'NoneType' object": "Something there is `None`: does each of your functions end with `return`?",
}
NOT_LEARNERS = [
    Path(__file__).parents[1],
    *(Path(sysconfig.get_path(name)) for name in ("stdlib", "purelib", "platlib")),
]


class UnsoundError(RuntimeError):
    """A task cannot judge an answer, by no fault of the answer."""


@dataclass(frozen=True)
class Result:
    """What came of a check; a notebook shows it as a page, `print` as text.

    Attributes:
        task: what was checked.
        state: "not attempted", "incorrect" or "correct".
        findings: (what, text): found, expected and perhaps the likely slip; or what to notice.
        inputs: of the first call that was wrong, where they were asked for, each as `name = value`.
    """

    task: Task
    state: State
    findings: tuple[tuple[str, str], ...] = ()
    inputs: tuple[str, ...] = ()

    def __repr__(self) -> str:
        lines = [f"{self.task.number} {self.task.title}: {self.state}"]
        for label, text in self.findings:
            lines += textwrap.wrap(f"{label}: {text}", 96, initial_indent="  ", subsequent_indent="    ")
        return "\n".join([*lines, *(textwrap.indent(line, "  ") for line in self.inputs)])

    def _repr_html_(self) -> str:
        title = html.escape(f"{self.task.number} {self.task.title}")
        rows = "".join(
            f"<div style='margin-top:.3em'><b>{label}:</b> {with_code(text)}</div>" for label, text in self.findings
        )
        text = html.escape("\n".join(self.inputs))
        inputs = f"<pre>{text}</pre>" if text else ""
        return (
            f"<div role='status' style='border-left:.4em solid {COLORS[self.state]};padding:.4em .8em;max-width:60em'>"
            f"<b>{title}: <span style='color:{COLORS[self.state]}'>{self.state}</span></b>{rows}{inputs}</div>"
        )


def check(number: str, answer: Callable[..., object], *, show: bool = False) -> Result:
    """Call an answer with inputs of the check's own, say what came of it, and note that in the progress file.

    Args:
        number: of the task, such as "04.2".
        answer: the function or class that the task asks for; itself, not what it returns.
        show: whether to show the inputs of the first call that is wrong.

    Raises:
        ValueError: there is no such task.
    """
    task = find_task(number)
    result = result_of(task, answer)
    if show and callable(answer) and result.state == "incorrect":
        result = replace(result, inputs=_inputs_of_first_wrong(task, observation(task, answer)))
    record.note_check(number, result.state)
    return result


def result_of(task: Task, answer: Answer) -> Result:
    """What comes of an answer with the inputs of the page."""
    if not callable(answer):
        expected = f'the function itself, without a call: check("{task.number}", {task.name})'
        return Result(task, "incorrect", (("found", f"{type(answer).__name__}, a value"), ("expected", expected)))
    return verdict(task, observation(task, answer))


def verdict(task: Task, observed: Observation) -> Result:
    """What is to be said of what was observed of an answer with the inputs of the page."""
    try:
        decide(task, observed, task.observed(task.solution))
    except Wrong as wrong:
        return _refused(task, wrong)
    return failed(task, observed.error) if observed.error else Result(task, "correct", (("notice", task.notice),))


def fault(task: Task, observed: Observation, reference: Observation, seed: int) -> str:
    """What is wrong with what was observed of an answer with secret inputs, and their kind, but not which; "" if right.

    Args:
        task: which is judged.
        observed: numbers from a process that cannot be trusted; they may be anything.
        reference: what was observed of the solution.
        seed: of the inputs.

    Raises:
        UnsoundError: the solution itself failed with these inputs, so nothing can be said.
    """
    if reference.error:
        raise UnsoundError(f"{task.number}: its own solution failed with these inputs: {reference.error!r}")
    try:
        decide(task, observed, reference, seed)
        part = "" if len(observed.rounds) == len(reference.rounds) else "the form of what it returns"
    except Wrong as wrong:
        part = wrong.part
    except Exception:  # of another form altogether, perhaps on purpose
        part = "the form of what it returns"
    return f"The hidden check called it with {task.given}. Not right: {part}" if part else ""


def right_parts(task: Task, observed: Observation, reference: Observation) -> list[str]:
    """The parts worth points of their own that are right in every call, as `fault` is given them."""
    if len(observed.rounds) != len(reference.rounds):
        return []
    right = []
    for part in task.worth:
        pairs = [(part_of(a, part), part_of(b, part)) for a, b in zip(observed.rounds, reference.rounds, strict=True)]
        with contextlib.suppress(Exception):  # of another form altogether, perhaps on purpose
            right += [part] if all(agrees(a, b, task.tolerance) for a, b in pairs) else []
    return right


def failed(task: Task, error: Exception) -> Result:
    """What is to be said of an answer that could not be observed to its end."""
    if isinstance(error, Wrong):
        return _refused(task, error)
    if isinstance(error, NotImplementedError) and not str(error):  # what stands in place of a solution
        return Result(task, "not attempted")
    found = f"{type(error).__name__}: {' '.join(str(error).split())}{_learners_line(task, error)}"
    patterns = [*task.errors.items(), *ERRORS.items()]
    slip = next((words for pattern, words in patterns if re.search(pattern, str(error))), "")
    return _refused(task, Wrong(found, "an answer that runs to its end", slip))


def _inputs_of_first_wrong(task: Task, observed: Observation) -> tuple[str, ...]:
    """The arguments of the first call of which something else came than of the solution."""
    pairs = zip(observed.rounds, task.observed(task.solution).rounds, strict=False)
    index = next((k for k, pair in enumerate(pairs) if not agrees(*pair, task.tolerance)), len(observed.rounds))
    with as_at_first():
        arguments: tuple[Any, ...] = next(iter([*task.inputs(Draw(PUBLIC))][index:]), ())
    names = [*inspect.signature(task.solution).parameters]
    if type(task).use is not Task.use:
        names = [*inspect.signature(task.use).parameters][1:]
    return tuple(f"{name} = {value!r}" for name, value in zip(names, arguments, strict=False))


def _refused(task: Task, wrong: Wrong) -> Result:
    findings = (("found", wrong.found), ("expected", wrong.expected), ("likely slip", wrong.slip))
    return Result(task, "incorrect", tuple((label, text) for label, text in findings if text))


def _learners_line(task: Task, error: Exception) -> str:
    """The innermost line of the traceback that is neither ours nor a library's."""
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        if not any(Path(frame.filename).is_relative_to(path) for path in (*NOT_LEARNERS, task.file)):
            return f"; in {frame.name}, line {frame.lineno} of your cell: {frame.line}"
    return "; when the check called it, or used what it returned"
