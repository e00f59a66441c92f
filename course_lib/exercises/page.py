"""A page of exercises, made from its frame and its tasks."""

import ast
import inspect
import re
import sysconfig
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from course_lib.exercises.load import tasks_of
from course_lib.exercises.task import Task

BEGIN, END = "### BEGIN SOLUTION", "### END SOLUTION"  # nbgrader's own marks
REGION = re.compile(rf"^( *){BEGIN}\n.*?^ *{END}$", re.DOTALL | re.MULTILINE)
TASKS_MARK = "# %% tasks\n"  # in a frame, where the tasks stand


@dataclass(frozen=True)
class Cell:
    """A cell of a page: of its frame, or of a task, whose number is there: its statement, its answer or its check.

    A page that is graded may also ask a question; "prose" is where the answer to it goes.
    """

    kind: Literal["frame", "statement", "answer", "check", "question", "prose"]
    number: str
    text: str


def frames() -> dict[str, Path]:
    """The frame of each page by lesson, such as "04": those of the clone, else those installed with the wheel."""
    clone = Path(__file__).parents[2] / "notebooks" / "source" / "exercises"
    installed = Path(sysconfig.get_path("data")) / "share" / "course-lib" / "exercises"
    folder = clone if clone.is_dir() else installed
    return {path.name[:2]: path for path in sorted(folder.glob("[0-9][0-9]_*.py"))}


def cells(frame: str, tasks: Iterable[Task], defaults: dict[str, object] | None = None) -> list[Cell]:
    """The cells of a page, like its frame a percent script of jupytext; `defaults` are those that a variant drew."""
    before, _, after = frame.partition(TASKS_MARK)
    page_cells = [Cell("frame", "", text) for text in _split(before)]
    for task in tasks:
        default = (defaults or {}).get(task.number)
        heading = f"## {task.number} {task.title}\n\n{statement_with_default(task, default).strip()}"
        answer = marked(with_default(task, default))
        page_cells.append(Cell("statement", task.number, f"# %% [markdown]\n{commented(heading)}\n"))
        page_cells.append(Cell("answer", task.number, f"# %%\n{answer}\n"))
        page_cells.append(Cell("check", task.number, f'# %%\ncheck("{task.number}", {task.name})\n'))
    return page_cells + [Cell("frame", "", text) for text in _split(after)]


def page_text(frame: Path) -> str:
    """A page of the course as a percent script."""
    return script(cells(frame.read_text(encoding="utf-8"), tasks_of(int(frame.name[:2]))))


def commented(text: str) -> str:
    """Markdown as a percent script has it."""
    return "\n".join(f"# {line}".rstrip() for line in text.splitlines())


def script(cells: list[Cell]) -> str:
    """Cells as a percent script, laid out as a formatter would."""
    around = {"statement": "\n\n", "answer": "\n\n"}
    return "".join(cell.text + around.get(cell.kind, "\n") for cell in cells).rstrip("\n") + "\n"


def cleared(code: str) -> str:
    """Code with each solution replaced by an error that means "not attempted"."""
    return REGION.sub(r"\1# your code here\n\1raise NotImplementedError", code)


def with_default(task: Task, value: object) -> str:
    """The solution's source, with another default of the parameter that a variant draws unless `value` is None."""
    if value is None or task.drawn is None:
        return task.source
    lines = task.source.splitlines(keepends=True)
    functions = (part for part in ast.walk(ast.parse(task.source)) if isinstance(part, ast.FunctionDef))
    signature = next(function.args for function in functions if function.name in (task.name, "__init__"))
    optional = [*signature.args[len(signature.args) - len(signature.defaults) :], *signature.kwonlyargs]
    defaults = dict(
        zip((parameter.arg for parameter in optional), [*signature.defaults, *signature.kw_defaults], strict=True)
    )
    node = defaults[task.drawn[0]]
    assert node is not None
    line = lines[node.lineno - 1]
    lines[node.lineno - 1] = line[: node.col_offset] + repr(value) + line[node.end_col_offset :]
    return "".join(lines)


def statement_with_default(task: Task, value: object) -> str:
    """The statement, which names the default that a variant draws, with another one unless `value` is None."""
    if value is None or task.drawn is None:
        return task.statement
    name = task.drawn[0]
    current = inspect.signature(task.solution).parameters[name].default
    return task.statement.replace(f"`{name}={current!r}`", f"`{name}={value!r}`")


def marked(source: str) -> str:
    """A solution, with nbgrader's marks around each body that a learner writes; signature and docstring are given."""
    lines = source.splitlines()
    (answer,) = ast.parse(source).body
    bodies = [part for part in ast.walk(answer) if isinstance(part, ast.FunctionDef)]
    if isinstance(answer, ast.ClassDef):
        bodies = [part for part in answer.body if isinstance(part, ast.FunctionDef)]
    else:
        bodies = bodies[:1]
    for body in reversed(bodies):
        first = body.body[0]
        documented = isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant)
        start, end = (first.end_lineno if documented else first.lineno - 1), body.end_lineno
        assert start is not None
        start += next(k for k, line in enumerate(lines[start:end]) if line)  # a blank line stays before the mark
        indent = " " * first.col_offset
        lines[start:end] = [indent + BEGIN, *lines[start:end], indent + END]
    return "\n".join(lines)


def _split(text: str) -> list[str]:
    """The cells of a percent script."""
    return [f"# %%{cell}".rstrip("\n") + "\n" for cell in re.split(r"^# %%", text, flags=re.MULTILINE)[1:]]
