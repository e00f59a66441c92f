"""A submitted notebook, read without running it."""

import re
from dataclasses import dataclass
from typing import Any

from course_lib.classroom.assignment import CHECK, Assignment, grade_id
from course_lib.classroom.plain import read_json, readable
from course_lib.exercises.page import cleared, marked, with_default

MOST_ITEMS = 3_000_000  # in a notebook, with all that its cells have shown
MOST_CELLS = 5_000
CHECK_CALL = re.compile(r"""\bcheck\(\s*["'](\d\d\.\d+)["']""")


class UnfitError(ValueError):
    """A submission cannot be graded; `status` says in two words why, the message in a sentence."""

    def __init__(self, status: str, message: str) -> None:
        super().__init__(message)
        self.status = status


@dataclass(frozen=True)
class Cell:
    """A cell as it was handed in: its index, "code" or another kind, its text, and what nbgrader noted about it."""

    index: int
    kind: str
    text: str
    metadata: dict[str, Any]


@dataclass(frozen=True)
class Answers:
    """What of a submission runs: its code, without cells that only check.

    Attributes:
        cells: place in the notebook and code of each.
        remarks: what is odd about the notebook.
    """

    cells: list[tuple[int, str]]
    remarks: list[str]


def read_answers(content: bytes, page: Assignment) -> Answers:
    """The cells of a submission that hold answers; calls of `check` within them do nothing where they run.

    Raises:
        UnfitError: not a notebook, or one of another assignment.
    """
    cells, metadata = read_cells(content)
    _refuse_another(cells, metadata, page)
    remarks, answers, checks = [], [], dict.fromkeys(page.tasks, 0)
    if bool(metadata.get("question")) != bool(page.question):
        released, graded = ("with", "without") if metadata.get("question") else ("without", "with")
        remarks.append(f"it was released {released} a question, and is graded {graded}: see --question")
    elif metadata.get("release") not in (None, page.fingerprint):
        remarks.append("it was released by another version of the course, or of its tasks")
    own_indices = {cell.index for cell in _own_work(cells, page)}
    for cell in cells:
        numbers = (
            [number for number in CHECK_CALL.findall(cell.text) if number in checks] if cell.kind == "code" else []
        )
        for number in numbers:
            checks[number] += 1
        marked = str(cell.metadata.get("grade_id", "")).removeprefix("check-").replace("-", ".")
        if cell.metadata.get("grade") is True and marked in checks and marked not in numbers:
            checks[marked] += 1
            remarks.append(f"the check of {marked} was changed, and does not count")
        if cell.index in own_indices and not CHECK.match(cell.text.strip()):
            answers.append((cell.index, cell.text))
            if cell.kind != "code":
                remarks.append(f"cell {cell.index} is no code cell, but holds an answer, and was run")
    for number, count in checks.items():
        if count != 1:
            remarks.append(f"the check of {number} is there {count} times")
    return Answers(answers, remarks)


def answered(content: bytes, page: Assignment) -> int:
    """How many tasks a notebook answers, be it right or wrong; -1 if it is none."""
    try:
        cells = _own_work(read_cells(content)[0], page)
    except UnfitError:
        return -1
    stubs = _stubs(page)
    own_cells = [cell for cell in cells if bare(cell.text) not in stubs]
    return sum(any(defines(cell.text, name) for cell in own_cells) for name in page.names.values())


def variant_of(content: bytes) -> int | None:
    """The variant that a release noted in its notebook; None for the course's own numbers, or where nothing is noted.

    Raises:
        UnfitError: not a notebook.
    """
    variant = read_cells(content)[1].get("variant")
    return variant if isinstance(variant, int) else None


def read_cells(content: bytes) -> tuple[list[Cell], dict[str, Any]]:
    """All cells, and what the release noted in the notebook.

    Raises:
        UnfitError: not a notebook.
    """
    try:
        notebook = read_json(content, MOST_ITEMS)
        sheets = notebook.get("worksheets", [notebook])  # nbformat 3 and 2 have several, and call code "input"
        raw_cells = [cell for sheet in sheets for cell in sheet["cells"]]
        if len(raw_cells) > MOST_CELLS:
            raise ValueError(f"more than {MOST_CELLS:,} cells")
        cells = [
            Cell(index, cell["cell_type"], _text(cell["input" if "input" in cell else "source"]), _nbgrader(cell))
            for index, cell in enumerate(raw_cells)
        ]
        return cells, _dictionary(_dictionary(notebook.get("metadata")).get("course"))
    except Exception as error:  # of whatever kind a stranger thought of
        reason = f"{type(error).__name__}: {readable(error, 80)}"
        raise UnfitError("unreadable", f"it is not a notebook ({reason})") from None


def _refuse_another(cells: list[Cell], metadata: dict[str, Any], page: Assignment) -> None:
    names_a_task = any(name in cell.text for cell in cells for name in page.names.values())
    if metadata.get("lesson", page.lesson) != page.lesson or not names_a_task:
        raise UnfitError(
            "wrong assignment", f"it is a notebook of lesson {readable(metadata.get('lesson', 'unknown'), 20)}"
        )
    if metadata.get("variant", page.variant) != page.variant:
        its_numbers, page_numbers = (
            "the course's own" if variant is None else f"those of variant {readable(variant, 20)}"
            for variant in (metadata["variant"], page.variant)
        )
        expected = f"expected are {page_numbers}: hand in the page that you were given"
        raise UnfitError("wrong assignment", f"its numbers are {its_numbers}, and {expected}")


def _own_work(cells: list[Cell], page: Assignment) -> list[Cell]:
    """Code, also in a cell that became text; a page's empty task only where nothing else answers it."""
    stubs, cells = _stubs(page), [cell for cell in cells if not is_prose(cell, page)]
    code = [cell for cell in cells if cell.kind == "code"]
    done = {n for n in page.names.values() for cell in code if defines(cell.text, n) and bare(cell.text) not in stubs}
    own_cells = []
    for cell in cells:
        defined = {name for name in page.names.values() if defines(cell.text, name)}
        empty = bare(cell.text) in stubs
        runs = not (empty and defined <= done) if cell.kind == "code" else bool(defined - done) and not empty
        if runs:
            own_cells.append(cell)
    return own_cells


def is_prose(cell: Cell, page: Assignment) -> bool:
    """Whether a cell is the one for the answer to the page's question."""
    return page.question is not None and cell.metadata.get("grade_id") == grade_id("task", page.question.number)


def _stubs(page: Assignment) -> frozenset[str]:
    """The tasks' cells as students get them, whatever number a page has drawn, without white space."""
    pairs = [(task, value) for task in page.tasks.values() for value in (task.drawn[1] if task.drawn else (None,))]
    return frozenset(bare(cleared(marked(with_default(task, value)))) for task, value in pairs)


def defines(text: str, name: str) -> bool:
    """Whether a cell's text defines a name."""
    return re.search(rf"^[ \t]*(?:async +def|def|class) +{name}\b|^{name} *=[^=]", text, re.MULTILINE) is not None


def bare(text: str) -> str:
    """A text without its white space."""
    return "".join(text.split())


def _text(source: Any) -> str:
    return source if isinstance(source, str) else "".join(source)


def _dictionary(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _nbgrader(cell: dict[str, Any]) -> dict[str, Any]:
    return _dictionary(_dictionary(cell.get("metadata")).get("nbgrader"))
