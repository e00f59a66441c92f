"""Running lessons as `course run` does."""

from pathlib import Path

import jupytext
import nbformat
import pytest

from course_lib.authoring import lessons, record_lesson, run_lesson
from course_lib.real_results import read, records


def write(path: Path, source: str) -> Path:
    nbformat.write(jupytext.reads(source, fmt="py:percent"), path)
    return path


def test_a_lesson_that_runs_is_passed_and_left_as_it_was(tmp_path: Path) -> None:
    path = write(tmp_path / "01_good.ipynb", "# %%\nimport os\n\n# %%\nassert os.environ['COURSE_DATA'] == 'real'\n")
    before = path.read_bytes()
    verdict = run_lesson(path, environment={"COURSE_DATA": "real"})
    assert (verdict.cells, verdict.error) == (2, None)
    assert verdict.seconds > 0
    assert path.read_bytes() == before


DECLARES = """\
# %%
import torch
from course_lib.data import ImageSet
from course_lib.real_results import on_real

pixels = torch.zeros(4, 1, 16, 16, dtype=torch.uint8)
images = ImageSet(pixels, [0, 1, 0, 1], ("NORMAL", "PNEUMONIA"), tuple("abcd"), "chest X-rays", "none")
on_real("03.curves", {"training": ([1, 2], [0.5, 0.25])}, images)

# %%
assert LAST
"""


@pytest.mark.parametrize("passes", [True, False])
def test_what_a_lesson_declares_is_kept_only_if_all_of_it_passes(
    passes: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "package"
    package.mkdir()
    (package / "lesson_3.toml").write_bytes((records.HERE / "lesson_3.toml").read_bytes())
    monkeypatch.setattr(records, "HERE", package)
    source = tmp_path / "03_declares.py"
    source.write_text(DECLARES.replace("LAST", str(passes)))
    verdict = record_lesson(source, environment={"COURSE_DATA": "real"})
    assert (verdict.error is None) == passes
    assert list(read(3)) == (["03.curves"] if passes else [])
    if passes:
        assert read(3)["03.curves"].values == {"training": {"x": [1, 2], "y": [0.5, 0.25]}}
        assert read(3)["03.curves"].n == 4


def test_simulated_images_are_not_recorded(tmp_path: Path) -> None:
    for environment in ({}, {"COURSE_DATA": "auto"}):
        with pytest.raises(ValueError, match=r"--record keeps what lessons find on real images.*add --data real"):
            record_lesson(tmp_path / "03_declares.py", environment=environment)


def test_a_range_that_is_missed_names_the_cell_and_the_reason(tmp_path: Path) -> None:
    path = write(tmp_path / "01_bad.ipynb", "# %%\nauc = 0.5\n\n# %%\nassert auc > 0.8, 'too low'\n")
    error = run_lesson(path, environment={}).error
    assert error == "code cell 1 (assert auc > 0.8, 'too low'): AssertionError: too low"


def test_an_endless_cell_ends_and_is_named(tmp_path: Path) -> None:
    path = write(tmp_path / "01_endless.ipynb", "# %%\nwhile True:\n    pass\n")
    error = run_lesson(path, environment={}, cell_seconds=2).error
    assert error == "code cell 0 (while True:): did not finish within 2 s"


def test_a_dead_kernel_is_named(tmp_path: Path) -> None:
    path = write(tmp_path / "01_dead.ipynb", "# %%\nimport os\n\n# %%\nos._exit(1)\n")
    assert "code cell 1 (os._exit(1)): the kernel died" in str(run_lesson(path, environment={}).error)


def test_a_lesson_is_found_by_its_number_with_or_without_the_zero(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("course_lib.authoring.kernel.NOTEBOOKS", tmp_path)
    for name in ("01_anatomy", "02_building", "10_more"):
        write(tmp_path / f"{name}.ipynb", "# %%\nimport os\n")
    assert [path.stem for path in lessons(["1"])] == ["01_anatomy"]
    assert [path.stem for path in lessons(["02", "10"])] == ["02_building", "10_more"]
    assert len(lessons()) == 3
    with pytest.raises(FileNotFoundError, match=r"lesson 77: .*there are: 01, 02, 10"):
        lessons(["77"])


def test_without_any_lesson_the_command_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("course_lib.authoring.kernel.NOTEBOOKS", tmp_path)
    with pytest.raises(FileNotFoundError, match="no lessons there; this command works in a clone"):
        lessons()
