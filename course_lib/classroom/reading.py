"""A submitted notebook, read without running it."""

import json
from dataclasses import dataclass
from typing import Any

from course_lib.classroom.assignment import CHECK, Assignment
from course_lib.classroom.plain import readable


class UnfitError(ValueError):
    """A submission cannot be graded; `status` says in two words why, the message in a sentence."""

    def __init__(self, status: str, message: str) -> None:
        super().__init__(message)
        self.status = status


@dataclass(frozen=True)
class Answers:
    """What of a submission runs: its code cells, without those that check or tell.

    Attributes:
        cells: place in the notebook and code of each.
        remarks: what is odd about the notebook.
    """

    cells: list[tuple[int, str]]
    remarks: list[str]


def read_answers(content: bytes, page: Assignment) -> Answers:
    """The cells of a submission that hold answers.

    Raises:
        UnfitError: not a notebook, or one of another assignment.
    """
    try:
        notebook = json.loads(content)
        cells = [(cell["cell_type"], _text(cell["source"]), _nbgrader(cell)) for cell in notebook["cells"]]
    except (ValueError, KeyError, TypeError, RecursionError, AttributeError) as error:
        raise UnfitError(
            "unreadable", f"it is not a notebook ({type(error).__name__}: {readable(error, 80)})"
        ) from None
    about = _dictionary(_dictionary(notebook.get("metadata")).get("course"))
    code = [(place, text, says) for place, (kind, text, says) in enumerate(cells) if kind == "code"]
    known = any(name in text for _, text, _ in code for name in page.names.values())
    if about.get("lesson", page.lesson) != page.lesson or not known:
        raise UnfitError(
            "wrong assignment", f"it is a notebook of lesson {readable(about.get('lesson', 'unknown'), 20)}"
        )
    if about.get("variant", page.variant) != page.variant:
        raise UnfitError(
            "wrong assignment",
            f"it is variant {readable(about.get('variant'), 20)}, and graded is variant {page.variant}",
        )
    remarks, answers, checks = [], [], dict.fromkeys(page.tasks, 0)
    if about.get("release") not in (None, page.fingerprint):
        remarks.append("it was released by another version of the course")
    for place, text, says in code:
        match = CHECK.match(text.strip())
        number = match[1] if match else str(says.get("grade_id", "")).removeprefix("check-").replace("-", ".")
        if match and number in page.tasks and match[2] == page.names[number]:
            checks[number] += 1
        elif says.get("grade") is True and number in page.tasks:
            checks[number] += 1
            remarks.append(f"the check of {number} was changed, and does not count")
        elif not text.startswith("progress("):
            answers.append((place, text))
    for number, count in checks.items():
        if count != 1:
            remarks.append(f"the check of {number} is there {count} times")
    return Answers(answers, remarks)


def _text(source: Any) -> str:
    return source if isinstance(source, str) else "".join(source)


def _dictionary(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _nbgrader(cell: dict[str, Any]) -> dict[str, Any]:
    return _dictionary(_dictionary(cell.get("metadata")).get("nbgrader"))
