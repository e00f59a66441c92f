"""What every lesson keeps to. That its outputs are right is nbval's part: see notebook_comparison.py."""

import base64
import os
import re
import subprocess
import sys
import sysconfig
import tomllib
from pathlib import Path

import nbformat
import pytest

from course_lib.authoring import Tolerance, editions_of, exercise_sources, lessons, sources, stale

ROOT = Path(__file__).parents[1]
REPOSITORY = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["course"]["repository"]
CODE_LINES = 25
WIDTH = 1000  # pixels; a page of JupyterLab or GitHub shows that much

each_lesson = pytest.mark.parametrize("path", lessons(), ids=lambda path: path.stem)


@pytest.mark.parametrize(
    "source", [*sources(), *exercise_sources()], ids=lambda path: f"{path.parent.name}-{path.stem}"
)
def test_a_notebook_is_what_its_source_says(source: Path) -> None:
    assert stale(source) == []


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


def test_all_lessons_begin_with_the_same_ten_lines() -> None:
    setups = set()
    for number, path in enumerate(lessons(), start=1):
        (setup,) = [
            cell for cell in nbformat.read(path, as_version=4).cells if "setup" in cell.metadata.get("tags", [])
        ]
        assert f"start_lesson({number})" in setup.source
        assert f'"{REPOSITORY}"' in setup.source
        assert len([line for line in setup.source.splitlines() if line]) <= 10
        setups.add(setup.source.replace(f"({number})", "(N)"))
    assert len(setups) == 1


def test_where_the_course_is_missing_the_set_up_cell_fetches_it_and_goes_on(tmp_path: Path) -> None:
    """As in Colab: torch and the rest are there, the course is not, and a stand-in for pip brings it."""
    (tmp_path / "pip.py").write_text(
        "import pathlib, sys\n"
        "pathlib.Path('asked').write_text(' '.join(sys.argv[1:]))\n"
        f"pathlib.Path('installed/course_lib').symlink_to({str(ROOT / 'course_lib')!r})\n"
    )
    (tmp_path / "installed").mkdir()
    cells = nbformat.read(lessons()[0], as_version=4).cells
    (tmp_path / "cell.py").write_text(next(cell.source for cell in cells if "setup" in cell.metadata.get("tags", [])))
    path = os.pathsep.join([str(tmp_path), str(tmp_path / "installed"), sysconfig.get_path("purelib")])
    command = [sys.executable, "-S", "cell.py"]  # -S: the editable installation of the course is not seen
    environment = {**os.environ, "PYTHONPATH": path, "COURSE_DATA": "simulated"}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert "Lesson 1: CNN anatomy" in done.stdout, done.stderr
    assert (tmp_path / "asked").read_text() == f"install --quiet {REPOSITORY}"


@each_lesson
def test_cells_are_short_and_explained(path: Path) -> None:
    cells = nbformat.read(path, as_version=4).cells
    kinds = "".join("c" if cell.cell_type == "code" else "m" for cell in cells)
    assert "ccc" not in kinds, f"three code cells in a row from cell {kinds.index('ccc')}"
    for number, cell in enumerate(cells):
        if cell.cell_type == "code":
            assert len(cell.source.splitlines()) <= CODE_LINES, f"cell {number} is too long"


@each_lesson
def test_every_picture_has_its_own_alt_text_and_fits_the_page(path: Path) -> None:
    alts = []
    for cell in nbformat.read(path, as_version=4).cells:
        for output in cell.get("outputs", []):
            if "image/png" in output.get("data", {}):
                alts.append(output.metadata["image/png"]["alt"])
                png = base64.b64decode(output.data["image/png"])
                assert int.from_bytes(png[16:20], "big") <= WIDTH, alts[-1]
    assert all(len(alt) >= 40 for alt in alts), min(alts, key=len)
    assert len(set(alts)) == len(alts)


@each_lesson
def test_outputs_hold_no_warning_no_path_and_no_wide_line(path: Path) -> None:
    for cell in nbformat.read(path, as_version=4).cells:
        for output in cell.get("outputs", []):
            assert output.get("name") != "stderr", output.text
            data = output.get("data", {})
            text = output.get("text", "") + ("" if "image/png" in data else data.get("text/plain", ""))
            assert not re.search(r"/(tmp|home|root|Users)/|site-packages|0x[0-9a-f]{6}", text), text
            assert max(map(len, text.splitlines()), default=0) <= 105, text


@each_lesson
def test_a_cell_that_prints_a_measured_time_declares_how_far_it_may_move(path: Path) -> None:
    for cell in nbformat.read(path, as_version=4).cells:
        said = "".join(output.get("text", "") for output in cell.get("outputs", []))
        if re.search(r"\d s\b|seconds|images a second|images/s", said):
            assert Tolerance.of(cell) != Tolerance(), cell.source


@each_lesson
def test_a_lesson_is_light_enough_to_open(path: Path) -> None:
    assert path.stat().st_size < 3e6
