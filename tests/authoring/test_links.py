"""The course is published by one command, and every badge, set-up cell and README follows."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

from course_lib.authoring import links as links_module
from course_lib.authoring.links import ROOT, Address, linked, with_badges, without_badges
from course_lib.set_up import set_up_file, with_set_up, without_set_up

ADA = Address("Ada-L", "cnns", "v0.1.0")


@pytest.mark.parametrize("path", [ROOT / "README.md", set_up_file()], ids=lambda path: path.stem)
def test_every_address_is_that_of_pyproject(path: Path) -> None:
    text = path.read_text()
    assert linked(text) == text, "run `course links`"


def test_badges_come_below_the_title_and_go_without_a_trace(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(links_module, "address", lambda: ADA)
    cell = "# 1. A title\n\nA sentence."
    badged = with_badges(cell, ROOT / "notebooks" / "solutions" / "01_x.ipynb")
    assert badged.splitlines()[0] == "# 1. A title"
    assert badged.splitlines()[2].count("Ada-L/cnns/blob/v0.1.0/notebooks/solutions/01_x.ipynb)") == 2
    assert without_badges(badged) == cell
    assert without_badges(with_badges("# Alone", Path("01_x.ipynb"))) == "# Alone"


def test_an_unpublished_course_has_no_badges(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(links_module, "address", lambda: ADA._replace(owner=""))
    assert with_badges("# 1. A title\n\nA sentence.", Path("01_x.ipynb")) == "# 1. A title\n\nA sentence."
    readme = linked((ROOT / "README.md").read_text())
    assert "github.com" not in readme
    assert "badge.svg" not in readme
    assert 'COURSE, TAG = "", "v0.1.0"' in linked(set_up_file().read_text())


def test_publishing_and_taking_it_back_leaves_the_readme_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    before = linked((ROOT / "README.md").read_text())
    monkeypatch.setattr(links_module, "address", lambda: ADA)
    published = linked(before)
    assert "git clone https://github.com/Ada-L/cnns.git cnn-course\n" in published
    assert "[say which](https://github.com/Ada-L/cnns/issues/new)" in published
    assert "url    = {https://github.com/Ada-L/cnns}" in published
    assert published.count("](https://colab.research.google.com/github/Ada-L/cnns/blob/v0.1.0/notebooks/0") == 6
    monkeypatch.undo()
    assert linked(published) == before


def test_the_pages_own_lines_of_a_set_up_cell_come_back() -> None:
    own = "from course_lib.lessons import start_lesson\n\nprofile = start_lesson(1)"
    assert without_set_up(with_set_up(own)) == own
    assert without_set_up(own) == own


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        ('tag = "v0.1.0"', 'tag = "v0.2.0"', 'the version is 0.1.0; write "v0.1.0"'),
        ('name = "cnn-course"', 'called = "cnn-course"', "[tool.course] has no name"),
    ],
)
def test_an_address_that_cannot_be_right_is_named(
    before: str, after: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    rewrite(tmp_path / "pyproject.toml", before, after)
    monkeypatch.setattr(links_module, "ROOT", tmp_path)
    with pytest.raises(ValueError, match=re.escape(said)):
        links_module.address()


@pytest.mark.parametrize("owner", ["Ada L", "ada_l", "https://github.com/ada"])
def test_an_owner_that_github_cannot_know_is_refused(
    owner: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = Path(shutil.copy(ROOT / "pyproject.toml", tmp_path))
    before = path.read_bytes()
    monkeypatch.setattr(links_module, "ROOT", tmp_path)
    with pytest.raises(ValueError, match="no name on GitHub"):
        links_module.publish_at(owner, None)
    assert path.read_bytes() == before


def test_one_command_publishes_the_course_whole_keeps_its_outputs_and_lists_the_rest(fork: Path) -> None:
    before = {path: outputs(path) for path in (fork / "notebooks").rglob("*.ipynb")}
    unchanged, said, again = links(fork, [], ["--owner", "Ada-L", "--name", "cnns"], [])
    assert "0 files changed" in unchanged
    assert f"{len(before) + 2} files changed" in said
    for part in ("https://github.com/Ada-L/cnns, public", "git tag v0.1.0", "git push", "Pages"):
        assert part in said
    assert "0 files changed" in again
    for path, saved in before.items():
        assert outputs(path) == saved
        assert path.read_text().count("Ada-L/cnns") == 3, path  # two badges and the set-up cell
    assert set(re.findall(r"(?<=github\.com/)[\w-]+/[\w-]+", (fork / "README.md").read_text())) == {"Ada-L/cnns"}


def test_a_notebook_that_says_something_else_is_not_relinked(fork: Path) -> None:
    rewrite(fork / "notebooks" / "source" / "02_building_pneumonia_cnn.py", "# # 2. ", "# # Two. ")
    (said,) = links(fork, ["--owner", "Ada-L"])
    assert "02_building_pneumonia_cnn.ipynb: says something else" in said
    assert not [path for path in fork.rglob("*.*") if path.is_file() and b"Ada-L" in path.read_bytes()]


@pytest.fixture
def fork(tmp_path: Path) -> Path:
    for name in ("pyproject.toml", "README.md"):
        shutil.copy(ROOT / name, tmp_path)
    for name in ("course_lib", "notebooks"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns(".ipynb_checkpoints"))
    if owner := links_module.address().owner:
        rewrite(tmp_path / "pyproject.toml", f'owner = "{owner}"', 'owner = ""')
        links(tmp_path, [])
    return tmp_path


COMMANDS = """
import contextlib, json, sys
from course_lib.cli import main

for options in json.loads(sys.argv.pop()):
    sys.argv[1:] = ["links", *options]
    with contextlib.suppress(SystemExit):
        main()
    print("end", flush=True)
"""


def links(fork: Path, *commands: list[str]) -> list[str]:
    """What `course links` says with these options, of each command in turn."""
    ran = [sys.executable, "-c", COMMANDS, json.dumps(commands)]
    done = subprocess.run(ran, cwd=fork, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    assert "Traceback" not in done.stdout
    *said, rest = done.stdout.split("end\n")
    assert (len(said), rest) == (len(commands), "")
    return said


def rewrite(path: Path, before: str, after: str) -> None:
    assert before in path.read_text()
    path.write_text(path.read_text().replace(before, after))


def outputs(path: Path) -> list[object]:
    return [cell.get("outputs") for cell in nbformat.read(path, as_version=4).cells]
