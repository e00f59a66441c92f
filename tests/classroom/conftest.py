"""A release of lesson 4's exercises, and submissions to it."""

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import nbformat
import pytest
from classroom.cells import cell_of
from nbformat import NotebookNode

from course_lib.classroom.assignment import Assignment, assignment
from course_lib.classroom.release import release


@pytest.fixture(scope="session")
def page() -> Assignment:
    return assignment("04")


@pytest.fixture(scope="session")
def released(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a release; `release/04/04_cifar10.ipynb` is what students get."""
    folder = tmp_path_factory.mktemp("class")
    release("04", folder)
    return folder


@pytest.fixture(scope="session")
def solved(released: Path, page: Assignment) -> Callable[..., NotebookNode]:
    """Makes a submission: the students' notebook, solved, with another answer to 04.1 if one is given."""
    students = nbformat.read(released / "release" / "04" / "04_cifar10.ipynb", as_version=4)

    def make(answer: str | None = None) -> NotebookNode:
        notebook = nbformat.from_dict(students)
        notebook.cells = [nbformat.from_dict(cell) for cell in students.cells]
        for ours, theirs in zip(page.source.cells, notebook.cells, strict=True):
            if ours.metadata.get("nbgrader", {}).get("solution"):
                theirs.source = ours.source
        if answer is not None:
            cell_of(notebook, "task-04-1").source = answer
        return notebook

    return make


@pytest.fixture(scope="session")
def sandboxed() -> None:
    if shutil.which("bwrap") is None:
        pytest.skip("bubblewrap is not here: apt-get install bubblewrap")
    tried = subprocess.run(["bwrap", "--unshare-pid", "--ro-bind", "/", "/", "true"], capture_output=True, text=True)
    if tried.returncode:
        pytest.skip(f"bubblewrap may not make a sandbox here: {tried.stderr}")
