"""Running a notebook from top to bottom in a kernel of its own."""

import os
import re
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import jupytext
import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError
from nbformat import NotebookNode

from course_lib import real_results
from course_lib.authoring.compare import faults, refusals

NOTEBOOKS = Path(__file__).parents[2] / "notebooks"
CI_ENVIRONMENT = {  # the settings under which outputs are saved and compared, on every machine
    "COURSE_DATA": "simulated",
    "COURSE_DEVICE": "cpu",
    "OMP_NUM_THREADS": "1",  # CI runs a notebook on each core
}
COLORS = re.compile(r"\x1b\[[\d;]*m")


class CellError(RuntimeError):
    """A cell failed, ran too long, or took the kernel down with it; the message names cell and error.

    Attributes:
        cell: its place among the code cells, from 0; -1 where the kernel did not start.
    """

    def __init__(self, cell: int, source: str, reason: str) -> None:
        cell_name = f"code cell {cell} ({source.splitlines()[0]})" if source else "before the first cell"
        super().__init__(f"{cell_name}: {reason}")
        self.cell = cell


def lessons(numbers: list[str] | None = None) -> list[Path]:
    """The lessons' notebooks in their order, or those whose names start with one of `numbers`.

    Raises:
        FileNotFoundError: there is no such lesson, or none at all.
    """
    return lesson_files(NOTEBOOKS, "ipynb", numbers)


def lesson_files(folder: Path, kind: str, numbers: list[str] | None) -> list[Path]:
    """Files of `folder` named NN_*.`kind`, in their order; as `lessons`, of which it is the general case."""
    paths = {path.name[:2]: path for path in sorted(folder.glob(f"[0-9][0-9]_*.{kind}"))}
    if not paths:
        raise FileNotFoundError(f"{folder}: no lessons there; this command works in a clone of the course.")
    for number in numbers or []:
        if number.zfill(2) not in paths:
            raise FileNotFoundError(f"lesson {number}: not in {folder}; there are: {', '.join(paths)}.")
    return [path for number, path in paths.items() if not numbers or number in {n.zfill(2) for n in numbers}]


def execute(
    notebook: NotebookNode, *, environment: dict[str, str], cell_seconds: int, folder: Path = NOTEBOOKS
) -> None:
    """Run every cell of `notebook` in place, with the kernel of this Python environment.

    Args:
        notebook: gets the outputs.
        environment: variables that the kernel sees besides those of this process.
        cell_seconds: the longest that one cell may run.
        folder: where the kernel runs.

    Raises:
        CellError: a cell failed; outputs up to it are in the notebook.
    """
    number, source = -1, ""

    def note(cell: NotebookNode, cell_index: int) -> None:
        nonlocal number, source
        number, source = sum(before.cell_type == "code" for before in notebook.cells[:cell_index]), cell.source

    client = NotebookClient(
        notebook,
        timeout=cell_seconds,
        kernel_name="python3",
        resources={"metadata": {"path": str(folder)}},
        record_timing=False,
        store_widget_state=False,
        coalesce_streams=True,
        on_cell_execute=note,
        extra_arguments=["--IPKernelApp.log_level=ERROR"],  # it warns that its sockets are not encrypted
    )
    try:
        os.environ["JUPYTER_PREFER_ENV_PATH"] = "1"  # else a kernel that the user installed from elsewhere wins
        client.execute(env={**os.environ, **environment})
    except CellExecutionError as error:
        reason = f"{error.ename}: {' '.join(COLORS.sub('', error.evalue).split())}"
        raise CellError(number, source, reason) from error
    except CellTimeoutError as error:
        raise CellError(number, source, f"did not finish within {cell_seconds} s") from error
    except DeadKernelError as error:
        raise CellError(number, source, "the kernel died, perhaps for want of memory") from error
    except RuntimeError as error:  # jupyter_client's word for a kernel that does not start
        raise CellError(number, source, str(error)) from error


@dataclass(frozen=True)
class Verdict:
    """How the run of one lesson ended; `error` is None if it passed."""

    cells: int
    seconds: float
    error: str | None


def run_lesson(path: Path, *, environment: dict[str, str], cell_seconds: int = 1800) -> Verdict:
    """Run a lesson in place of a reader, from its notebook or its source; the file stays as it is."""
    notebook, error, started = _without_outputs(path), None, time.perf_counter()
    try:
        execute(notebook, environment=environment, cell_seconds=cell_seconds, folder=path.parent)
    except CellError as failed:
        error = str(failed)
    return Verdict(len(_code_cells(notebook)), time.perf_counter() - started, error)


def record_lesson(source: Path, *, environment: dict[str, str]) -> Verdict:
    """Run a lesson on real images, and if all of it passes, keep what its `on_real` cells found in the package.

    Raises:
        ValueError: the environment does not ask for real images.
    """
    if environment.get("COURSE_DATA", os.environ.get("COURSE_DATA")) != "real":
        raise ValueError(
            "--record keeps what lessons find on real images, but simulated ones may be taken here; add --data real, "
            "and --root DIR for the folder that holds them."
        )
    with tempfile.TemporaryDirectory() as folder:
        records_path = Path(folder) / "found.jsonl"
        verdict = run_lesson(source, environment={**environment, real_results.FOUND: str(records_path)})
        if verdict.error is None:
            real_results.keep(int(source.name[:2]), records_path)
    return verdict


def compare_notebook(path: Path, *, cell_seconds: int = 300) -> dict[int, list[str]]:
    """Run a notebook as it was built, and say which of its saved outputs are wrong; its file stays as it is.

    Returns:
        by a code cell's place, from 0, what is wrong with it, as `faults` says it. Of cells below one that fails only
        what needs no run is said.
    """
    saved, notebook, stopped = _code_cells(nbformat.read(path, as_version=4)), _without_outputs(path), None
    with tempfile.TemporaryDirectory() as folder:
        environment = {**CI_ENVIRONMENT, "COURSE_PROGRESS": f"{folder}/progress.json"}
        try:
            execute(notebook, environment=environment, cell_seconds=cell_seconds, folder=path.parent)
        except CellError as failed:
            stopped = failed
    messages = {}
    for number, (cell, new_cell) in enumerate(zip(saved, _code_cells(notebook), strict=True)):
        if stopped is None or number < stopped.cell:
            messages[number] = faults(cell, new_cell.outputs)
        else:
            messages[number] = refusals(cell) or [str(stopped)] * (number == max(stopped.cell, 0))
    return {number: cell_messages for number, cell_messages in messages.items() if cell_messages}


def _code_cells(notebook: NotebookNode) -> list[NotebookNode]:
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def _without_outputs(path: Path) -> NotebookNode:
    notebook = jupytext.read(path)
    for cell in _code_cells(notebook):
        cell.outputs, cell.execution_count = [], None
    return notebook
