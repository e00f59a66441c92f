"""Releasing: nbgrader makes the students' notebook from the teacher's."""

import os
import sysconfig
from pathlib import Path
from typing import Any

import nbformat
from traitlets.config import Config

from course_lib.classroom.assignment import assignment
from course_lib.files import as_path, write_atomically

STUB = "# your code here\nraise NotImplementedError"  # as `course_lib.exercises.page.cleared` leaves it


def release(lesson: str, out: str | Path, variant: int | None = None) -> Path:
    """Write the students' notebook of a lesson's exercises: without solutions and hidden tests, with points.

    Args:
        lesson: such as "04".
        out: a folder in nbgrader's layout, made if need be: `source/` holds the teacher's notebook, `release/` the
            students', `gradebook.db` nbgrader's records, and `nbgrader_config.py` lets nbgrader go on from there.
        variant: the seed of numbers for one section of a class; each variant is an assignment of its own.

    Returns:
        the students' notebook.

    Raises:
        ValueError: no such lesson, no variants of it, or nbgrader refuses.
    """
    out = as_path(out, "out")
    page = assignment(lesson, variant)
    source = out / "source" / page.name / f"{page.stem}.ipynb"
    source.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(source, lambda path: path.write_text(nbformat.writes(page.source), encoding="utf-8"))
    config = out / "nbgrader_config.py"
    if not config.exists():
        config.write_text(f"c = get_config()\nc.ClearSolutions.code_stub = {{'python': {STUB!r}}}\n", encoding="utf-8")
    said = nbgrader(out).generate_assignment(page.name)
    if not said["success"]:
        raise ValueError(f"nbgrader did not make {source}: {said.get('error') or said.get('log')}")
    return out / "release" / page.name / source.name


def nbgrader(folder: Path) -> Any:
    """nbgrader's own interface to a folder."""
    from nbgrader.apps import NbGraderAPI

    scripts = sysconfig.get_path("scripts")  # of this environment, active or not: nbgrader calls alembic by its name
    if scripts not in os.environ["PATH"].split(os.pathsep):
        os.environ["PATH"] = os.pathsep.join([scripts, os.environ["PATH"]])
    config = Config()
    config.CourseDirectory.root = str(folder.resolve())
    config.ClearSolutions.code_stub = {"python": STUB}
    config.Exchange.root = str(folder.resolve() / "exchange")
    return NbGraderAPI(config=config)
