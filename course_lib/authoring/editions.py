"""From a source (jupytext's py:percent) to notebooks with outputs, and back.

A lesson has one notebook. A page of exercises has two: the learner's, without the solutions, and that with them.
"""

import hashlib
import re
import tempfile
from itertools import pairwise
from pathlib import Path

import jupytext
import nbformat
from nbformat import NotebookNode

from course_lib.authoring.compare import PICTURES, SCRIPT, STYLE, Tolerance, differences, without_widgets
from course_lib.authoring.kernel import CI_ENVIRONMENT, NOTEBOOKS, execute, lesson_files
from course_lib.authoring.links import ROOT, linked, publish_at, with_badges, without_badges
from course_lib.exercises.load import files_of, tasks_of
from course_lib.exercises.page import cleared, page_text
from course_lib.exercises.proof import faults
from course_lib.files import write_atomically
from course_lib.set_up import FOLDED, set_up_file, with_set_up, without_set_up
from course_lib.widgets import page

CELL_SECONDS = 300
PREDICTION = re.compile(r"^Predict\(", re.MULTILINE)
EXPLORER = re.compile(r'<div class="course-explorer-root" data-explorer="([\w-]+)">')
METADATA = {
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}


def sources(numbers: list[str] | None = None) -> list[Path]:
    """The lessons' sources, as `lessons` gives their notebooks."""
    return lesson_files(NOTEBOOKS / "source", "py", numbers)


def exercise_sources(numbers: list[str] | None = None) -> list[Path]:
    """The sources of the exercises of these lessons."""
    return lesson_files(NOTEBOOKS / "source" / "exercises", "py", numbers)


def editions_of(source: Path) -> list[Path]:
    """The notebooks that `source` is built into; that which says all that the source does comes last."""
    if _is_page(source):
        return [source.parents[2] / folder / f"{source.stem}.ipynb" for folder in ("exercises", "solutions")]
    return [source.parents[1] / f"{source.stem}.ipynb"]


def _is_page(source: Path) -> bool:
    """Whether a source is the frame of a page of exercises, not a lesson."""
    return source.parent.name == "exercises"


def build(source: Path) -> list[Path]:
    """Execute `source` and write it, with its outputs, as a notebook, or as two.

    Where all numbers agree with those saved before, within the tolerances of their cells, and the pictures are the
    same, the numbers keep their saved values: a difference in the file is a difference in what the lesson says.

    Raises:
        CellError: a cell failed; the notebook that was there is kept.
        ValueError: the notebook was edited in Jupyter since, and the edit is not in `source`; or a task of the page
            does not hold what it says.
    """
    if _is_page(source):
        problems = [problem for task in tasks_of(int(source.name[:2])) for problem in faults(task)]
        if problems:
            raise ValueError("\n".join(problems))
    for edition in editions_of(source):
        _build(source, edition)
    return editions_of(source)


def _build(source: Path, edition: Path) -> None:
    notebook = _read(source, edition)
    saved = nbformat.read(edition, as_version=4) if edition.is_file() else None
    source_files = [source, *(files_of(int(source.name[:2])) if _is_page(source) else ())]
    if (
        saved is not None
        and _own_texts(saved) != _own_texts(notebook)
        and all(_is_newer(edition, file) for file in source_files)
    ):
        how = "into its tasks by hand" if _is_page(source) else "with `course build --pull`"
        raise ValueError(
            f"{edition}: was edited after {source.name}, and building would drop that; take it over {how}, or delete "
            "the notebook."
        )
    edition.parent.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        environment = {**CI_ENVIRONMENT, "COURSE_PROGRESS": f"{folder}/progress.json"}
        execute(notebook, environment=environment, cell_seconds=CELL_SECONDS, folder=edition.parent)
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs = nbformat.from_dict(without_widgets(cell.outputs))
    if saved is not None:
        _keep_what_agrees(saved, notebook)
    _take_present_scripts(notebook)
    notebook.metadata |= METADATA
    write_atomically(edition, lambda path: path.write_text(_text(notebook), encoding="utf-8"))


def refresh_scripts(source: Path) -> list[Path]:
    """Bring the explorers' present scripts and style into the notebooks of `source`, and run nothing.

    Returns:
        the notebooks that changed.
    """
    changed = []
    for edition in editions_of(source):
        notebook = nbformat.read(edition, as_version=4)
        _take_present_scripts(notebook)
        if _rewrite(edition, _text(notebook)):
            changed.append(edition)
    return changed


def _take_present_scripts(notebook: NotebookNode) -> None:
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            saved = output.get("data", {}).get("text/html", "")
            if explorer := EXPLORER.match(saved):
                styled = page.style_source(explorer[1]).join(STYLE.split(saved, maxsplit=1))
                output.data["text/html"] = page.module_source(explorer[1]).join(SCRIPT.split(styled, maxsplit=1))


def pull(source: Path) -> bool:
    """Take the cells of a notebook that was edited in Jupyter back into `source`; say whether that changed it.

    Raises:
        FileNotFoundError: the notebook has not been built yet.
        ValueError: `source` was edited since the notebook was, or the page is one of exercises.
    """
    if _is_page(source):
        raise ValueError(
            f"{source}: a page of exercises is made of its tasks; edit them in course_lib/exercises/tasks."
        )
    edition = editions_of(source)[-1]
    if not edition.is_file():
        raise FileNotFoundError(f"{edition}: no such notebook; build it first.")
    notebook = nbformat.read(edition, as_version=4)
    for cell, (_, own_text) in zip(notebook.cells, _own_texts(notebook), strict=True):
        cell.source = own_text
    notebook.metadata = nbformat.from_dict(
        {"jupytext": {"notebook_metadata_filter": "-all", "cell_metadata_filter": "tags,-all"}}
    )
    text = jupytext.writes(notebook, fmt="py:percent")
    if text == source.read_text(encoding="utf-8"):
        return False
    if _is_newer(source, edition):
        raise ValueError(
            f"{source}: was edited after {edition.name}, and pulling would drop that; build the notebook, or save it "
            "in Jupyter once more if its text is the one to keep."
        )
    write_atomically(source, lambda path: path.write_text(text, encoding="utf-8"))
    return True


def stale(source: Path) -> list[str]:
    """Where a notebook of `source` says something else than `source` does, outputs aside; empty if nowhere."""
    problems = []
    for edition in editions_of(source):
        name = f"{edition.parent.name}/{edition.name}"
        if not edition.is_file():
            problems.append(f"{name}: missing; run `course build`.")
            continue
        expected, notebook = _read(source, edition), nbformat.read(edition, as_version=4)
        if len(expected.cells) != len(notebook.cells):
            problems.append(f"{name}: {len(notebook.cells)} cells, {source.name} has {len(expected.cells)}.")
        for number, (expected_cell, cell) in enumerate(zip(expected.cells, notebook.cells, strict=False)):
            for part in ("cell_type", "source", "metadata", "id"):
                if expected_cell[part] != cell[part]:
                    problems.append(f"{name}, cell {number}: another {part} than in {source.name}.")
    return problems


def relink(owner: str | None = None, name: str | None = None) -> list[Path]:
    """Bring the address in pyproject.toml into README, set-up cell and every notebook; outputs stay as they are.

    Args:
        owner: to be written into pyproject.toml first: the account on GitHub.
        name: likewise, the repository's name.

    Returns:
        the files that changed.

    Raises:
        ValueError: a notebook differs from its source in more than the address, or the address cannot be right;
            nothing has changed.
    """
    pairs = [(source, edition) for source in (*sources(), *exercise_sources()) for edition in editions_of(source)]
    for source, edition in pairs:
        if _own_texts(nbformat.read(edition, as_version=4)) != _own_texts(_read(source, edition)):
            raise ValueError(f"{edition}: says something else than {source}; run `course build` first.")
    publish_at(owner, name)
    repeating = (ROOT / "README.md", set_up_file())
    changed = [path for path in repeating if _rewrite(path, linked(path.read_text(encoding="utf-8")))]
    for source, edition in pairs:
        notebook = nbformat.read(edition, as_version=4)
        for cell, source_cell in zip(notebook.cells, _read(source, edition).cells, strict=True):
            cell.source = source_cell.source
        if _rewrite(edition, _text(notebook)):
            changed.append(edition)
    return changed


def _rewrite(path: Path, text: str) -> bool:
    if path.read_text(encoding="utf-8") == text:
        return False
    write_atomically(path, lambda temporary: temporary.write_text(text, encoding="utf-8"))
    return True


def _text(notebook: NotebookNode) -> str:
    return str(nbformat.writes(notebook, version=4)) + "\n"


def _own_texts(notebook: NotebookNode) -> list[tuple[str, str]]:
    """The cells as they are in the source: without badges, and without what all set-up cells share."""
    return [(cell.cell_type, without_set_up(without_badges(cell.source))) for cell in notebook.cells]


def _is_newer(path: Path, other: Path) -> bool:
    return path.stat().st_mtime_ns > other.stat().st_mtime_ns


def _read(source: Path, edition: Path) -> NotebookNode:
    """An edition without outputs; cell ids follow from the source's text, so that they change only with it."""
    text = page_text(source) if _is_page(source) else source.read_text(encoding="utf-8")
    notebook = jupytext.reads(text, fmt="py:percent")
    used: set[str] = set()
    for cell in notebook.cells:
        digest = hashlib.sha256(cell.source.encode()).hexdigest()
        cell.id = next(digest[i : i + 8] for i in range(0, 56) if digest[i : i + 8] not in used)
        used.add(cell.id)
        if edition.parent.name == "exercises" and cell.cell_type == "code":
            cell.source = cleared(cell.source)
        if "setup" in cell.metadata.get("tags", ()):
            cell.source = with_set_up(cell.source)
            cell.metadata |= FOLDED
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    for cell, next_cell in pairwise(code):  # what a prediction asks is not to be seen below it
        if PREDICTION.search(cell.source):
            next_cell.metadata |= {"collapsed": True, "jupyter": {"outputs_hidden": True}}  # older hosts read the first
    if notebook.cells[0].cell_type == "markdown":
        notebook.cells[0].source = with_badges(notebook.cells[0].source, edition)
    notebook.nbformat_minor = 5
    notebook.metadata = nbformat.from_dict(METADATA)
    return notebook


def _keep_what_agrees(saved: NotebookNode, new: NotebookNode) -> None:
    """Put the saved texts back if all of them agree and no picture changed: a page tells of one run, not of two."""
    before, after = ([cell for cell in notebook.cells if cell.cell_type == "code"] for notebook in (saved, new))
    if [cell.source for cell in before] != [cell.source for cell in after]:
        return
    for old, cell in zip(before, after, strict=True):
        if differences(old.outputs, cell.outputs, Tolerance.from_cell(cell)) or _pictures(old) != _pictures(cell):
            return
    for old, cell in zip(before, after, strict=True):
        for saved_output, output in zip(old.outputs, cell.outputs, strict=True):
            if output.output_type == "stream":
                output.text = saved_output.text
            elif "data" in output:
                output.data |= {mime: value for mime, value in saved_output.data.items() if mime.startswith("text/")}


def _pictures(cell: NotebookNode) -> list[str]:
    return [value for output in cell.outputs for kind, value in output.get("data", {}).items() if kind in PICTURES]
