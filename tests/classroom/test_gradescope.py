"""The archive for Gradescope, laid out and run as its container would."""

import json
import os
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import nbformat
import pytest
from classroom.importers import gradescope_results
from classroom.records import record
from nbformat import NotebookNode

from course_lib.classroom.assignment import Assignment
from course_lib.classroom.gradescope import autograder, main, results


@pytest.fixture(scope="module")
def container(released: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """/autograder once Gradescope has built it; this environment's Python stands for what setup.sh installs."""
    folder = tmp_path_factory.mktemp("autograder")
    archive = autograder(released)
    with zipfile.ZipFile(archive) as packed:
        packed.extractall(folder / "source")
    (folder / "run_autograder").write_bytes((folder / "source" / "run_autograder").read_bytes())
    (folder / "run_autograder").chmod(0o755)
    (folder / "results").mkdir()
    python = folder / "source" / "course" / ".venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    course = folder / "source" / "course"
    python.write_text(f'#!/bin/sh\nPYTHONPATH="{course}" exec "{sys.executable}" "$@"\n')
    python.chmod(0o755)
    return folder


def hand_in(container: Path, **files: str) -> Path:
    """Put files where Gradescope puts a submission; returns where it looks for results."""
    submission = container / "submission"
    submission.mkdir(exist_ok=True)
    for path in [*submission.iterdir(), *(container / "results").iterdir()]:
        path.unlink()
    for name, text in files.items():
        (submission / name).write_text(text)
    return container / "results" / "results.json"


def test_a_submission_gets_its_points_in_gradescopes_format(
    container: Path, solved: Callable[..., NotebookNode], sandboxed: None
) -> None:
    wrong = "def class_accuracy(logits, labels):\n    return torch.ones(logits.shape[1])"
    path = hand_in(container, **{"my_1_2_work.ipynb": nbformat.writes(solved(wrong)), "notes.txt": "x"})
    env = {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")}
    done = subprocess.run(["./run_autograder"], cwd=container, capture_output=True, text=True, env=env)
    assert done.returncode == 0, done.stderr
    output = json.loads(path.read_text())
    assert gradescope_results(output) == 12
    assert sum(test["max_score"] for test in output["tests"]) == 13
    assert [test["status"] for test in output["tests"]] == ["failed", *["passed"] * 5]
    assert "hint:" in output["tests"][0]["output"]


def test_what_is_no_notebook_gets_no_points_and_is_told_why(container: Path) -> None:
    path = hand_in(container, **{"essay.txt": "x"})
    main(container)
    output = json.loads(path.read_text())
    assert gradescope_results(output) == 0
    assert "essay.txt" in output["output"]


def test_an_end_without_a_verdict_is_no_zero(
    container: Path, page: Assignment, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = hand_in(container, **{"04_cifar10.ipynb": "{}"})
    graded = record(page, "submission", "submission", None, status="not graded", reasons=["the machine is full"])
    monkeypatch.setattr("course_lib.classroom.gradescope.grade", lambda *_, **__: [graded])
    with pytest.raises(SystemExit, match="the machine is full"):
        main(container)
    assert not path.exists()  # Gradescope then says that the autograder failed


def test_the_archive_holds_all_that_its_setup_installs(released: Path, container: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(autograder(released)) as archive:
        modes = {entry.filename: entry.external_attr >> 16 for entry in archive.infolist()}
    assert modes["setup.sh"] & modes["run_autograder"] & 0o111  # at the root of the archive, and executable
    subprocess.run(["bash", "-n", str(container / "source" / "setup.sh")], check=True)
    course = container / "source" / "course"
    helped = subprocess.run(
        [sys.executable, "-S", "-m", "course_lib.install", "--help"], cwd=course, capture_output=True
    )
    assert helped.returncode == 0, helped.stderr
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    built = subprocess.run(command, cwd=course, capture_output=True, text=True)
    assert built.returncode == 0, built.stderr
    with zipfile.ZipFile(next(tmp_path.glob("*.whl"))) as wheel:
        assert any(name.endswith("share/course-lib/exercises/04_cifar10.py") for name in wheel.namelist())


def test_one_release_is_needed(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="course release"):
        autograder(tmp_path)
    for name in ("01", "04"):
        (tmp_path / "release" / name).mkdir(parents=True)
        (tmp_path / "release" / name / f"{name}.ipynb").touch()
    with pytest.raises(ValueError, match="holds 01, 04"):
        autograder(tmp_path)


def test_what_a_submission_says_is_text_on_gradescope_too(page: Assignment) -> None:
    graded = record(page, "ann", "Ann", 12)
    graded["tasks"]["04.1"] |= {"findings": [("found", "<script>1</script>")], "public": "<img>"}
    output = results(graded, page, 3.2)
    assert "<script" not in output["tests"][0]["output"]
    assert "<img" not in output["tests"][0]["output"]
    gradescope_results(output)
