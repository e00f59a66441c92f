"""What every lesson keeps to. That its outputs are right is nbval's part: see notebook_comparison.py."""

import base64
import re
import tomllib
from pathlib import Path

import nbformat
import pytest

from course_lib.authoring import Tolerance, edition_of, lessons, sources, stale

ROOT = Path(__file__).parents[1]
REPOSITORY = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["course"]["repository"]
CODE_LINES = 25
WIDTH = 1000  # pixels; a page of JupyterLab or GitHub shows that much

each_lesson = pytest.mark.parametrize("path", lessons(), ids=lambda path: path.stem)


@pytest.mark.parametrize("source", sources(), ids=lambda path: path.stem)
def test_a_lesson_is_what_its_source_says(source: Path) -> None:
    assert stale(source) == []


def test_every_notebook_has_a_source() -> None:
    assert [edition_of(source) for source in sources()] == lessons()


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
            text = output.get("text", "") + output.get("data", {}).get("text/plain", "") * (
                "image/png" not in str(output)
            )
            assert not re.search(r"/tmp/|/home/|/root/|site-packages|0x[0-9a-f]{6}", text), text
            assert max(map(len, text.splitlines()), default=0) <= 105, text


@each_lesson
def test_a_cell_that_measures_time_or_trains_declares_how_far_its_numbers_may_move(path: Path) -> None:
    for cell in nbformat.read(path, as_version=4).cells:
        said = "".join(output.get("text", "") for output in cell.get("outputs", []))
        if re.search(r"\d s\b|seconds|images a second|images/s", said):
            assert Tolerance.of(cell) != Tolerance(), cell.source


@each_lesson
def test_a_lesson_is_light_enough_to_open(path: Path) -> None:
    assert path.stat().st_size < 3e6
