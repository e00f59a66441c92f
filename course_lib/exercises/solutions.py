"""The solutions, as they stand in the source of each exercise page."""

import re
import sysconfig
from pathlib import Path

from course_lib.exercises.record import Note
from course_lib.exercises.tasks import find_task

BEGIN, END = "### BEGIN SOLUTION", "### END SOLUTION"  # nbgrader's own marks
REGION = re.compile(rf"^( *){BEGIN}\n.*?^ *{END}$", re.DOTALL | re.MULTILINE)


def pages() -> list[Path]:
    """The sources of the exercise pages: those of the clone, else those installed with the wheel."""
    clone = Path(__file__).parents[2] / "notebooks" / "source" / "exercises"
    installed = Path(sysconfig.get_path("data")) / "share" / "course-lib" / "exercises"
    return sorted((clone if clone.is_dir() else installed).glob("[0-9][0-9]_*.py"))


def cleared(code: str) -> str:
    """Code with each solution replaced by an error that means "not attempted"."""
    return REGION.sub(r"\1# your code here\n\1raise NotImplementedError", code)


def solution(number: str) -> Note:
    """One way to solve a task such as "04.2"; try two hints first.

    Raises:
        ValueError: there is no such task.
    """
    code = solution_code(find_task(number).number)
    return Note("\n".join(line for line in code.splitlines() if line.strip() not in (BEGIN, END)))


def solution_code(number: str) -> str:
    """The cell before the check of a task, marks included."""
    (page,) = (page for page in pages() if page.name[:2] == number[:2])
    cells = re.split(r"^# %%", page.read_text(encoding="utf-8"), flags=re.MULTILINE)
    place = next(place for place, cell in enumerate(cells) if f'check("{number}"' in cell)
    return cells[place - 1].partition("\n")[2].strip() + "\n"
