"""A fork changes one table in pyproject.toml, and every badge and set-up cell follows."""

import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

from course_lib.authoring import exercise_sources, sources
from course_lib.authoring.links import ROOT, address, linked, with_badges, without_badges


@pytest.mark.parametrize("path", [ROOT / "README.md", *sources(), *exercise_sources()], ids=lambda path: path.stem)
def test_every_address_is_that_of_pyproject(path: Path) -> None:
    text = path.read_text()
    assert linked(text) == text, "run `course links`"


def test_badges_come_below_the_title_and_go_without_a_trace() -> None:
    cell = "# 1. A title\n\nA sentence."
    badged = with_badges(cell, ROOT / "notebooks" / "solutions" / "01_x.ipynb")
    assert badged.splitlines()[0] == "# 1. A title"
    assert "{}/{}/blob/{}/notebooks/solutions/01_x.ipynb".format(*address()) in badged.splitlines()[2]
    assert without_badges(badged) == cell
    assert without_badges(with_badges("# Alone", Path("01_x.ipynb"))) == "# Alone"


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        ('tag = "v0.1.0"', 'tag = "v0.2.0"', 'the version is 0.1.0; write "v0.1.0"'),
        ('owner = "your_account"', 'whose = "your_account"', "[tool.course] has no owner"),
    ],
)
def test_an_address_that_cannot_be_right_is_named(fork: Path, before: str, after: str, said: str) -> None:
    rewrite(fork / "pyproject.toml", before, after)
    assert said in links(fork)


def test_a_fork_is_relinked_whole_and_keeps_its_outputs(fork: Path) -> None:
    assert "0 files changed" in links(fork)
    rewrite(fork / "pyproject.toml", 'owner = "your_account"', 'owner = "Ada-L"')
    before = {path: outputs(path) for path in (fork / "notebooks").rglob("*.ipynb")}
    links(fork)
    assert "0 files changed" in links(fork)
    assert "your_account" not in (fork / "README.md").read_text()
    for path, saved in before.items():
        assert outputs(path) == saved
        assert path.read_text().count("Ada-L/cnn-course") == 3, path
        assert "your_account" not in path.read_text()


def test_a_notebook_that_says_something_else_is_not_relinked(fork: Path) -> None:
    rewrite(fork / "notebooks" / "source" / "02_building_pneumonia_cnn.py", "# # 2. ", "# # Two. ")
    rewrite(fork / "pyproject.toml", 'owner = "your_account"', 'owner = "Ada-L"')
    assert "02_building_pneumonia_cnn.ipynb: says something else" in links(fork)
    assert not [path for path in (fork / "notebooks").rglob("*.*") if path.is_file() and b"Ada-L" in path.read_bytes()]


@pytest.fixture
def fork(tmp_path: Path) -> Path:
    for name in ("pyproject.toml", "README.md"):
        shutil.copy(ROOT / name, tmp_path)
    for name in ("course_lib", "notebooks"):
        shutil.copytree(
            ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__", ".ipynb_checkpoints")
        )
    return tmp_path


def links(fork: Path) -> str:
    command = [sys.executable, "-m", "course_lib", "links"]
    done = subprocess.run(command, cwd=fork, capture_output=True, text=True, check=False)
    assert "Traceback" not in done.stderr
    return done.stdout + done.stderr


def rewrite(path: Path, before: str, after: str) -> None:
    assert before in path.read_text()
    path.write_text(path.read_text().replace(before, after))


def outputs(path: Path) -> list[object]:
    return [cell.get("outputs") for cell in nbformat.read(path, as_version=4).cells]
