"""A release of lesson 4's exercises, and submissions to it."""

import shutil
import subprocess
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import nbformat
import pytest
from classroom.cells import cell_of
from nbformat import NotebookNode

from course_lib.classroom.assignment import Assignment, assignment
from course_lib.classroom.release import release
from course_lib.classroom.sandbox import Sandbox
from course_lib.exercises.load import FOLDER

IDLE = 4  # sandboxes that wait for the next grading, in each of pytest's processes


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
        for source_cell, cell in zip(page.source.cells, notebook.cells, strict=True):
            if source_cell.metadata.get("nbgrader", {}).get("solution"):
                cell.source = source_cell.source
        if answer is not None:
            cell_of(notebook, "task-04-1").source = answer
        return notebook

    return make


@pytest.fixture(scope="session")
def sandboxed() -> None:
    if shutil.which("bwrap") is None:
        pytest.skip("bubblewrap is not here: apt-get install bubblewrap")
    probe = subprocess.run(["bwrap", "--unshare-pid", "--ro-bind", "/", "/", "true"], capture_output=True, text=True)
    if probe.returncode:
        pytest.skip(f"bubblewrap may not make a sandbox here: {probe.stderr}")


@pytest.fixture(scope="session", autouse=True)
def warm_sandboxes() -> Iterator[None]:
    """A grading takes over the sandbox of an earlier one, as it does within a class, instead of loading torch again."""
    start, end, idle, lock = Sandbox._start, Sandbox._end, list[Sandbox](), threading.Lock()

    def start_warm(self: Sandbox) -> None:
        same = ("_lesson", "_tasks", "_sandboxed", "_processor")
        with lock:
            alike = (one for one in idle if all(getattr(one, name) == getattr(self, name) for name in same))
            earlier = next(alike, None)
            if earlier:
                idle.remove(earlier)
        if earlier is None:
            threads.submit(start, self).result()  # a sandbox ends with the thread that made it
        else:
            self._process, self._control, self._folder = earlier._process, earlier._control, earlier._folder

    def exit_warm(self: Sandbox, *_: object) -> None:
        if self._process is None or self._process.poll() is not None or self._tasks != FOLDER:
            end(self)
            return
        with lock:
            idle.append(self)
            oldest = idle.pop(0) if len(idle) > IDLE else None
        if oldest:
            end(oldest)

    with pytest.MonkeyPatch.context() as patch, ThreadPoolExecutor(2) as threads:
        patch.setattr(Sandbox, "_start", start_warm)
        patch.setattr(Sandbox, "__exit__", exit_warm)
        yield
        for sandbox in idle:
            end(sandbox)
