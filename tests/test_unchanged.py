"""`--only-changed` in a small project of its own: what ran is what the tests wrote down."""

import subprocess
import sys
from pathlib import Path

import pytest

NOTES = """
def note(name):
    with open("ran", "a") as ran:
        ran.write(name + " ")
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / ".gitignore").write_text("ran\n.pytest_cache\n__pycache__\n")
    (tmp_path / "notes.py").write_text(NOTES)
    (tmp_path / "test_a.py").write_text("from notes import note\n\ndef test_a():\n    note('a')\n")
    (tmp_path / "test_b.py").write_text("from notes import note\n\ndef test_b():\n    note('b')\n")
    subprocess.run(["git", "init", "-q"], cwd=tmp_path, check=True)
    return tmp_path


def ran(project: Path, *options: str, ends: int = 0) -> str:
    """The tests that ran when pytest was called from the command line, each a letter."""
    (project / "ran").unlink(missing_ok=True)
    command = [sys.executable, "-m", "pytest", "-p", "unchanged", "-q", "--only-changed", *options]
    path = {"PYTHONPATH": f"{Path(__file__).parent}:{project}", "PATH": "/usr/bin:/bin"}
    assert subprocess.run(command, cwd=project, env=path, capture_output=True).returncode == ends
    return "".join(sorted((project / "ran").read_text().split())) if (project / "ran").exists() else ""


def test_what_passed_is_left_out_until_anything_changes(project: Path) -> None:
    assert ran(project) == "ab"
    assert ran(project) == ""
    (project / "notes.py").write_text(NOTES + "# changed\n")
    assert ran(project) == "ab"
    (project / "new.txt").write_text("git would add it")
    assert ran(project) == "ab"
    assert ran(project, "--cache-clear") == "ab"


@pytest.mark.parametrize(("line", "ends"), [("raise ValueError", 1), ("import pytest; pytest.skip('not here')", 0)])
def test_what_failed_or_was_skipped_runs_again(project: Path, line: str, ends: int) -> None:
    (project / "test_b.py").write_text(f"from notes import note\n\ndef test_b():\n    note('b')\n    {line}\n")
    assert ran(project, ends=ends) == "ab"
    assert ran(project, ends=ends) == "b"


def test_a_part_of_a_file_is_not_all_of_it(project: Path) -> None:
    assert ran(project, "-k", "test_a") == "a"
    assert ran(project, "test_b.py::test_b") == "b"
    assert ran(project) == "ab"


def test_two_processes_leave_out_the_same(project: Path) -> None:
    assert ran(project, "-n", "2") == "ab"
    assert ran(project, "-n", "2") == ""
    (project / "test_a.py").write_text("from notes import note\n\ndef test_a():\n    note('a')\n\n# changed\n")
    assert ran(project, "-n", "2") == "ab"


def test_other_settings_are_a_change(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from unchanged import around

    before = around()
    monkeypatch.setenv("COURSE_REAL_DATA", "/elsewhere")
    assert around() != before
