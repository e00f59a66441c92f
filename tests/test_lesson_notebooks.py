"""What every lesson keeps to. That its outputs are right is nbval's part: see notebook_comparison.py."""

import base64
import io
import re
import tomllib
from itertools import pairwise
from pathlib import Path

import nbformat
import pytest
from nbformat import NotebookNode
from PIL import Image

from course_lib.authoring import Tolerance, editions_of, exercise_sources, lessons, sources, stale
from course_lib.authoring.compare import PICTURES, WIDGET
from course_lib.widgets import page

ROOT = Path(__file__).parents[1]
COURSE = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["course"]
NOTEBOOKS = ROOT / "notebooks"
CODE_LINES = 25
WIDTH = 1000  # pixels; a page of JupyterLab or GitHub shows that much


def outputs(path: Path) -> list[NotebookNode]:
    return [output for cell in nbformat.read(path, as_version=4).cells for output in cell.get("outputs", [])]


each_lesson = pytest.mark.parametrize("path", lessons(), ids=lambda path: path.stem)


@pytest.mark.parametrize(
    "source", [*sources(), *exercise_sources()], ids=lambda path: f"{path.parent.name}-{path.stem}"
)
def test_a_notebook_is_what_its_source_says(source: Path) -> None:
    assert stale(source) == []


@pytest.mark.parametrize(
    "source", [*sources(), *exercise_sources()], ids=lambda path: f"{path.parent.name}-{path.stem}"
)
def test_every_saved_explorer_has_the_script_and_the_style_of_today(source: Path) -> None:
    for output in [output for edition in editions_of(source) for output in outputs(edition)]:
        saved = output.get("data", {}).get("text/html", "")
        if explorer := re.search(r'class="course-explorer-root" data-explorer="([^"]+)"', saved):
            script = f'<script type="module">{page.module_source(explorer[1])}</script>'
            assert f"<style>{page.style_source(explorer[1])}</style>{script}" in saved, "run `course build --scripts`"


@pytest.mark.parametrize("path", sorted(NOTEBOOKS.rglob("*.ipynb")), ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_no_notebook_holds_a_widget(path: Path) -> None:
    assert set(nbformat.read(path, as_version=4).metadata) == {"kernelspec", "language_info"}
    assert not [output for output in outputs(path) if WIDGET in output.get("data", {})]


def test_every_notebook_has_a_source() -> None:
    built = {edition for source in (*sources(), *exercise_sources()) for edition in editions_of(source)}
    assert built == {path for path in lessons()[0].parent.rglob("*.ipynb") if ".ipynb_checkpoints" not in path.parts}


@pytest.mark.parametrize("source", exercise_sources(), ids=lambda path: path.stem)
def test_no_task_is_attempted_on_a_learners_page_and_all_are_solved_on_that_with_solutions(source: Path) -> None:
    for edition, state in zip(editions_of(source), ("not attempted", "correct"), strict=True):
        cells = nbformat.read(edition, as_version=4).cells
        checks = [cell for cell in cells if cell.cell_type == "code" and cell.source.startswith("check(")]
        assert len(checks) >= 5
        for cell in checks:
            assert cell.outputs[0].data["text/plain"].splitlines()[0].endswith(f": {state}"), cell.source


def test_every_notebook_begins_with_its_badges_and_the_same_set_up_cell_folded() -> None:
    setups = set()
    for path in sorted(NOTEBOOKS.rglob("*.ipynb")):
        title, setup = nbformat.read(path, as_version=4).cells[:2]
        place = f"blob/{COURSE['tag']}/{path.relative_to(NOTEBOOKS.parent).as_posix()})"
        assert title.source.count(place) == (2 if COURSE["owner"] else 0), path  # Colab and Kaggle
        assert setup.metadata == {"tags": ["setup"], "cellView": "form", "jupyter": {"source_hidden": True}}
        assert setup.source.startswith("#@title Set-up\n")
        common, last_import, *rest = re.split(r"(?m)^(?=from course_lib)", setup.source)
        assert not rest
        assert ("start_lesson" in last_import) == (path.parent == NOTEBOOKS)
        setups.add(common)
    assert len(setups) == 1


@each_lesson
def test_cells_are_short_and_explained(path: Path) -> None:
    cells = nbformat.read(path, as_version=4).cells
    kinds = "".join("c" if cell.cell_type == "code" else "m" for cell in cells)
    assert "ccc" not in kinds, f"three code cells in a row from cell {kinds.index('ccc')}"
    for number, cell in enumerate(cells):
        if cell.cell_type == "code" and "setup" not in cell.metadata.get("tags", ()):  # that one is folded
            assert len(cell.source.splitlines()) <= CODE_LINES, f"cell {number} is too long"


@each_lesson
def test_every_picture_has_its_own_alt_text_and_fits_the_page(path: Path) -> None:
    alts = []
    for output in outputs(path):
        for kind in {*PICTURES} & output.get("data", {}).keys():
            alts.append(output.metadata[kind]["alt"])
            assert Image.open(io.BytesIO(base64.b64decode(output.data[kind]))).width <= WIDTH, alts[-1]
    assert all(len(alt) >= 40 for alt in alts), min(alts, key=len)
    assert len(set(alts)) == len(alts)


@each_lesson
def test_outputs_hold_no_warning_no_path_and_no_wide_line(path: Path) -> None:
    for output in outputs(path):
        assert output.get("name") != "stderr", output.text
        data = output.get("data", {})
        text = output.get("text", "") + (data.get("text/plain", "") if {*PICTURES}.isdisjoint(data) else "")
        assert not re.search(r"/(tmp|home|root|Users)/|site-packages|0x[0-9a-f]{6}", text), text
        assert max(map(len, text.splitlines()), default=0) <= 105, text


@each_lesson
def test_a_cell_that_prints_a_measured_time_declares_how_far_it_may_move(path: Path) -> None:
    for cell in nbformat.read(path, as_version=4).cells:
        said = "".join(output.get("text", "") for output in cell.get("outputs", []))
        told = "setup" in cell.metadata.get("tags", ())  # there a lesson says how long it takes, from a table
        if not told and re.search(r"\d s\b|seconds|images per second|images/s", said):
            assert Tolerance.from_cell(cell) != Tolerance(), cell.source


@each_lesson
def test_a_lesson_is_light_enough_to_open(path: Path) -> None:
    assert path.stat().st_size < 1.5e6


@each_lesson
def test_what_a_prediction_asks_is_folded_away_below_it(path: Path) -> None:
    code = [cell for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "code"]
    tells = [cell for asks, cell in pairwise(code) if re.search(r"^Predict\(", asks.source, re.MULTILINE)]
    assert len(tells) >= 2
    # In place of a folded output JupyterLab shows the first line of its first part (`_getOutputPlaceholderText` in
    # packages/cells/src/widget.ts), preferring HTML to plain text.
    for cell in tells:
        assert re.fullmatch(r"The result of prediction [\d.]+", cell.outputs[0].data["text/plain"])
        assert list(cell.outputs[0].data) == ["text/plain"]
    assert all(cell.metadata["jupyter"]["outputs_hidden"] for cell in tells)  # JupyterLab's word for it
    assert all(cell.metadata["collapsed"] for cell in tells)  # nbformat's older one, which JupyterLab writes as well
