"""Checking an answer: what comes of it, in plain text and as a page."""

import html
import re
import sysconfig
import textwrap
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch

from course_lib.exercises import record
from course_lib.exercises.tasks import Task, Wrong, find_task
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
OURS = [Path(__file__).parents[1], *(Path(sysconfig.get_path(name)) for name in ("stdlib", "purelib", "platlib"))]


@dataclass(frozen=True)
class Result:
    """What came of a check; a notebook shows it as a page, `print` as text.

    Attributes:
        task: what was checked.
        state: "not attempted", "incorrect" or "correct".
        findings: (what, text): found, expected and perhaps the likely slip; or what to notice.
    """

    task: Task
    state: State
    findings: tuple[tuple[str, str], ...] = ()

    def __repr__(self) -> str:
        lines = [f"{self.task.number} {self.task.title}: {self.state}"]
        for what, text in self.findings:
            lines += textwrap.wrap(f"{what}: {text}", 96, initial_indent="  ", subsequent_indent="    ")
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        title = html.escape(f"{self.task.number} {self.task.title}")
        rows = "".join(
            f"<div style='margin-top:.3em'><b>{what}:</b> {with_code(text)}</div>" for what, text in self.findings
        )
        return (
            f"<div role='status' style='border-left:.4em solid {COLORS[self.state]};padding:.4em .8em;max-width:60em'>"
            f"<b>{title}: <span style='color:{COLORS[self.state]}'>{self.state}</span></b>{rows}</div>"
        )


def check(number: str, answer: Callable[..., object]) -> Result:
    """Call an answer with inputs of the check's own, say what came of it, and note that in the progress file.

    Args:
        number: of the task, such as "04.2".
        answer: the function or class that the task asks for; itself, not what it returns.

    Raises:
        ValueError: there is no such task.
    """
    task = find_task(number)
    result = judge(task, answer)
    record.note_check(number, result.state)
    return result


def judge(task: Task, answer: Callable[..., object]) -> Result:
    if not callable(answer):
        expected = f'the function itself, without a call: check("{task.number}", name)'
        return Result(task, "incorrect", (("found", f"{type(answer).__name__}, a value"), ("expected", expected)))
    try:
        with torch.random.fork_rng(devices=[]), torch.enable_grad():
            torch.manual_seed(0)
            notice = task.judge(answer)
    except Wrong as wrong:
        findings = (("found", wrong.found), ("expected", wrong.expected), ("likely slip", wrong.slip))
        return Result(task, "incorrect", tuple((what, text) for what, text in findings if text))
    except Exception as error:
        if isinstance(error, NotImplementedError) and not str(error):  # what stands in place of a solution
            return Result(task, "not attempted")
        found = f"{type(error).__name__}: {' '.join(str(error).split())}{_learners_line(error)}"
        slip = next((said for pattern, said in ERRORS.items() if re.search(pattern, str(error))), "")
        findings = (("found", found), ("expected", "an answer that runs to its end"), ("likely slip", slip))
        return Result(task, "incorrect", tuple((what, text) for what, text in findings if text))
    return Result(task, "correct", (("notice", notice),))


def _learners_line(error: Exception) -> str:
    """The innermost line of the traceback that is neither ours nor a library's."""
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        if not any(Path(frame.filename).is_relative_to(folder) for folder in OURS):
            return f"; in {frame.name}, line {frame.lineno} of your cell: {frame.line}"
    return "; when the check called it, or used what it returned"
