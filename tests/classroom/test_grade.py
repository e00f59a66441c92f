"""Grading end to end: submissions that are right, partly right, empty, broken and hostile."""

import csv
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import nbformat
import pytest
from classroom.attacks import ATTACKS
from classroom.cells import cell_of, solve
from classroom.importers import canvas_comments, canvas_grades, moodle_feedback, moodle_grades
from nbformat import NotebookNode
from nbgrader.api import Gradebook

from course_lib.classroom.assignment import Assignment, assignment
from course_lib.classroom.export import export_grades
from course_lib.classroom.grade import grade
from course_lib.classroom.release import nbgrader, release, release_each
from course_lib.classroom.sandbox import PACKAGE, Sandbox, StoppedError, bubblewrap

Make = Callable[..., NotebookNode]
WRONG = "def class_accuracy(logits, labels):\n    return torch.ones(logits.shape[1])"
STEM = "04_cifar10.ipynb"


def write(folder: Path, student: str, notebook: NotebookNode | str) -> None:
    file = folder / student / STEM
    file.parent.mkdir(parents=True)
    file.write_text(notebook if isinstance(notebook, str) else nbformat.writes(notebook))


def digests(folder: Path) -> dict[str, str]:
    files = [path for path in folder.rglob("*") if path.is_file()]
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def rows(out: Path) -> dict[str, dict[str, str]]:
    with (out / "grades.csv").open(newline="") as file:
        return {row["student"]: row for row in csv.DictReader(file)}


@pytest.fixture(scope="module")
def graded(tmp_path_factory: pytest.TempPathFactory, released: Path, solved: Make, sandboxed: None) -> Path:
    """The folder with submissions/ and, beside them, what `grade` made of them in out/."""
    folder = tmp_path_factory.mktemp("graded")
    submissions = folder / "submissions"
    write(submissions, "right", solved())
    write(submissions, "partly", solved(WRONG))
    write(submissions, "empty", nbformat.read(released / "release" / "04" / STEM, as_version=4))
    for name, (answer, *_) in ATTACKS.items():
        write(submissions, name.replace(" ", "-"), solved(answer))
    deleted, changed, other = solved(), solved(WRONG), solved()
    deleted.cells = [cell for cell in deleted.cells if "SimpleCNNWithBatchNorm" not in cell.source]
    cell_of(changed, "check-04-1").source = 'print("correct")'
    changed.cells += [cell_of(changed, "check-04-2"), nbformat.v4.new_code_cell('check("04.6", lambda *a: None)')]
    other.metadata["course"]["lesson"] = "05"
    write(submissions, "deleted", deleted)
    write(submissions, "changed", changed)
    write(submissions, "other", other)
    write(submissions, "no-notebook", "{not json")
    before, around = digests(submissions), digests(Path.cwd() / "course_lib")
    grade("04", submissions, folder / "out", seconds=2)
    assert digests(submissions) == before, "a submission was changed"
    assert digests(Path.cwd() / "course_lib") == around
    assert {path.name for path in folder.iterdir()} == {"submissions", "out"}
    return folder


@pytest.mark.parametrize(
    ("student", "score", "status", "reason"),
    [
        ("right", 13, "graded", ""),
        ("partly", 12, "graded", ""),
        ("empty", 0, "graded", "it answers no task, as if another copy had been handed in"),
        ("deleted", 11, "graded", "the check of 04.2 is there 0 times"),
        ("changed", 12, "graded", "the check of 04.1 was changed"),
        ("other", "", "wrong assignment", "lesson 05"),
        ("no-notebook", "", "unreadable", "not a notebook"),
        *((name.replace(" ", "-"), *expected) for name, (_, *expected) in ATTACKS.items()),
    ],
)
def test_each_submission_gets_the_points_it_earned(
    graded: Path, student: str, score: int | str, status: str, reason: str
) -> None:
    row = rows(graded / "out")[student]
    page = (graded / "out" / "feedback" / f"{student}.html").read_text()
    assert (row["score"], row["status"]) == (str(score) if status == "graded" else "", status), row
    assert reason in row["reason"] + page
    assert "### BEGIN" not in page
    assert "grade_answer(" not in page


def test_public_and_hidden_checks_are_told_apart(graded: Path) -> None:
    page = (graded / "out" / "feedback" / "inputs-of-the-page.html").read_text()
    assert "Public checks: passed. Hidden checks: not passed." in page
    assert "2, 5 and 9 classes, and one more that no image is of. Not right: the result." in page
    assert "hint:" in page
    assert "hint:" not in (graded / "out" / "feedback" / "right.html").read_text()


def test_the_summary_names_what_needs_a_look(graded: Path) -> None:
    text = (graded / "out" / "summary.md").read_text()
    assert "| no-verdict | not graded |" in text
    assert "29 students, 26 graded" in text  # but for another lesson's, no notebook, and no verdict
    assert "| other | wrong assignment |" in text


def test_a_cell_that_failed_is_named_as_it_begins(graded: Path) -> None:
    assert "the cell `import ctypes` failed: it ended its process" in rows(graded / "out")["dead-kernel"]["reason"]


def test_grading_again_grades_nothing_again(graded: Path) -> None:
    before, again = digests(graded / "out"), []
    grade("04", graded / "submissions", graded / "out", on_graded=again.append)
    assert [record["student"] for record in again] == ["no-verdict"]  # it could have been the machine
    assert digests(graded / "out") == before


def test_one_task_graded_again_leaves_the_others(graded: Path, tmp_path: Path, solved: Make) -> None:
    write(tmp_path / "in", "ada", solved(WRONG))
    out = tmp_path / "out"
    grade("04", tmp_path / "in", out)
    record = out / "records" / "ada.json"
    stored = json.loads(record.read_text())
    stored["tasks"]["04.3"]["points"], stored["tasks"]["04.1"]["points"] = 0, 1  # as if graded by an older check
    record.write_text(json.dumps(stored))
    grade("04", tmp_path / "in", out, task="04.3")
    assert [rows(out)["ada"][number] for number in ("04.1", "04.3", "score")] == ["1", "2", "13"]
    (tmp_path / "in" / "ada" / STEM).write_text(nbformat.writes(solved(WRONG + "\n")))
    grade("04", tmp_path / "in", out, task="04.3")
    assert rows(out)["ada"]["score"] == "12"  # it has changed: all of it is graded


@pytest.fixture(scope="module")
def box(sandboxed: None) -> Iterator[Sandbox]:
    with Sandbox("04", seconds=10) as sandbox:
        yield sandbox


def test_a_submission_leaves_nothing_to_the_next(box: Sandbox) -> None:
    spy = "import os\nraise OSError(f'{os.listdir()} {[p for p in os.listdir(\"/proc\") if p.isdigit()]}')"
    leave = "import os, subprocess\nos.mkdir('mine')\nopen('mine/x', 'w').close()\nos.chmod('mine', 0)\n"
    leave += "subprocess.Popen(['sleep', '100'])"
    before = box.run([(0, spy)], {}, seed=0)["errors"]["0"]
    assert box.run([(0, leave)], {}, seed=0)["errors"] == {}
    after = box.run([(0, spy)], {}, seed=0)["errors"]["0"]
    assert "mine" not in after
    assert after.count("'") == before.count("'"), (before, after)  # as many processes as before


def test_no_shared_memory_that_outlives_its_process_can_be_made(box: Sandbox) -> None:
    segment = "import ctypes\nif ctypes.CDLL(None).shmget(42, 4096, 0o1666) < 0: raise OSError('no segment')"
    assert "no segment" in box.run([(0, segment)], {}, seed=0)["errors"]["0"]


def test_one_folder_can_be_written_by_whoever_grades(sandboxed: None, tmp_path: Path) -> None:
    # As the user who grades, root or not: the worker's change to a user of its own is one wall more.
    folders = ["/", "/dev", "/dev/shm", "/usr", str(PACKAGE), sys.prefix, "/box"]
    write = f"""
import pathlib
for place in {folders}:
    try:
        pathlib.Path(place, "left behind").write_text("x")
        print(place)
    except OSError:
        pass
"""
    command = [*bubblewrap(tmp_path), sys.executable, "-c", write]
    ran = subprocess.run(command, capture_output=True, text=True, check=True)
    assert ran.stdout.split() == ["/box"]


def test_a_submission_does_not_see_solutions_grades_or_others(box: Sandbox) -> None:
    look = (
        "from pathlib import Path\nimport course_lib\nproject = Path(course_lib.__file__).parents[1]\n"
        "raise OSError(f'{sorted(p.name for p in project.iterdir())} {sorted(p.name for p in Path(\"/\").iterdir())}')"
    )
    error = box.run([(0, look)], {}, seed=0)["errors"]["0"]
    assert "notebooks" not in error
    assert "tests" not in error


def test_without_a_sandbox_grading_refuses_and_can_be_told_to_go_on(
    tmp_path: Path, solved: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path / "in", "ada", solved(WRONG))
    monkeypatch.setattr("shutil.which", lambda name: None)
    with pytest.raises(FileNotFoundError, match="bubblewrap"):
        grade("04", tmp_path / "in", tmp_path / "out")
    (record,) = grade("04", tmp_path / "in", tmp_path / "out", sandboxed=False)
    assert record["score"] == 12


def test_what_a_process_reports_is_not_believed(box: Sandbox) -> None:
    garbage = """
import os
for number in range(3, 64):
    try:
        os.write(number, b'[[[')
    except OSError:
        pass
os._exit(0)
"""
    assert box.run([(0, garbage)], {}, seed=0) == {"errors": {"0": "it ended its process"}, "tasks": {}}
    with pytest.raises(StoppedError, match="it ended its process"):
        box.run([(0, garbage.replace("[[[", '{"at": 7}\\n'))], {}, seed=0)
    assert box.run([(0, "1")], {}, seed=0) == {"errors": {}, "tasks": {}}


@pytest.mark.parametrize("each", [False, True], ids=["one-page", "a-page-for-each"])
def test_a_killed_grading_goes_on_to_the_same_grades(
    each: bool, tmp_path: Path, page: Assignment, released: Path, sandboxed: None
) -> None:
    submissions, roster = tmp_path / "in", tmp_path / "roster.csv"
    students = [f"student-{number}" for number in range(9)]
    roster.write_text("\n".join(["student", *students]))
    pages = release_each("04", tmp_path / "class", roster)[0] if each else [released / "release" / "04" / STEM] * 9
    for number, student in enumerate(students):
        notebook = nbformat.read(pages[number], as_version=4)
        if number % 3:
            solve(notebook, page.tasks.values())
        if number % 3 == 1:
            cell_of(notebook, "task-04-1").source = WRONG
        del notebook.cells[
            notebook.cells.index(cell_of(notebook, "task-04-2")) + 1 :
        ]  # two tasks are enough, and quick
        write(submissions, student, notebook)
    options = ["--variant", "each", "--roster", str(roster)] if each else []
    command = [sys.executable, "-m", "course_lib", "grade", "04", str(submissions), *options, "--out"]
    whole = subprocess.run([*command, str(tmp_path / "whole")], check=True, capture_output=True, text=True)
    process = subprocess.Popen([*command, str(tmp_path / "out")], stdout=subprocess.PIPE, text=True)
    records, end = tmp_path / "out" / "records", time.monotonic() + 120
    while time.monotonic() < end and len(list(records.glob("*.json"))) < 3:
        time.sleep(0.02)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    done = {path.stem for path in records.glob("*.json")}
    assert 3 <= len(done) < 9
    again = subprocess.run([*command, str(tmp_path / "out")], check=True, capture_output=True, text=True)
    graded = {line.split()[0] for line in again.stdout.splitlines() if line.startswith("student-")}
    assert graded == set(students) - done
    got = rows(tmp_path / "out")
    assert got == rows(tmp_path / "whole")
    assert [got[student]["score"] for student in students] == ["0", "2", "3"] * 3
    assert len(whole.stdout.splitlines()) == 10


def test_nbgrader_grades_alike(released: Path, graded: Path, page: Assignment) -> None:
    """nbgrader's own validate and autograde, on our release and on submissions as `grade` lays them out."""
    students = ("right", "partly")
    for student in students:
        shutil.copytree(graded / "out" / "submitted" / student, released / "submitted" / student)
    api = nbgrader(released)
    scores = {}
    for student in students:
        result = api.autograde("04", student)
        assert result["success"], result
        with Gradebook(f"sqlite:///{released}/gradebook.db") as book:
            scores[student] = book.find_submission("04", student).score
    expected = rows(graded / "out")
    assert scores == {student: float(expected[student]["score"]) for student in students}
    command = [sys.executable, "-m", "nbgrader", "validate", str(released / "source" / "04" / STEM)]
    validated = subprocess.run(command, capture_output=True, text=True, cwd=released)
    assert "Success" in validated.stdout, validated


def test_a_canvas_zip_becomes_grades_and_feedback_to_upload(tmp_path: Path, solved: Make, sandboxed: None) -> None:
    roster = tmp_path / "gradebook.csv"
    roster.write_text(
        "Student,ID,SIS User ID,SIS Login ID,Section,Exercises 4 (77)\n    Points Possible,,,,,26\n"
        '"Doe, Jane",501,u501,jdoe,A,\n"Roe, Max",502,u502,mroe,A,\n"Ek, Bo",503,u503,bek,A,\n'
    )
    link = '<meta http-equiv="Refresh" content="0; url=https://colab.research.google.com/drive/1x">'
    with zipfile.ZipFile(tmp_path / "all.zip", "w") as archive:
        archive.writestr("doejane_LATE_501_9901_04_cifar10.ipynb", nbformat.writes(solved(WRONG)))
        archive.writestr("roemax_502_link.html", link)
    out = tmp_path / "out"
    grade("04", tmp_path / "all.zip", out, roster=roster)
    got = rows(out)
    assert (got["jdoe"]["score"], got["jdoe"]["late"]) == ("12", "late")
    assert (got["mroe"]["score"], got["mroe"]["04.1"], got["mroe"]["status"]) == ("", "", "unreadable")
    assert "a link to Google Colab, not the notebook" in got["mroe"]["reason"]
    assert (got["bek"]["score"], got["bek"]["status"]) == ("", "missing")
    exported = export_grades(out, "canvas")
    students = {501: "Doe, Jane", 502: "Roe, Max", 503: "Ek, Bo"}
    read = canvas_grades(exported.files[0], {77: "Exercises 4"}, students)
    assert (read["assignment"], read["points"]) == (77, "26")
    assert read["grades"] == {501: "24", 502: "", 503: ""}
    assert canvas_comments(exported.files[1], {"501": {"9901"}})[0].keys() == {"501"}
    text = (out / "summary.md").read_text()
    assert "3 students, 1 graded" in text
    assert "Mean 12.0" in text


def test_a_moodle_zip_becomes_grades_and_feedback_to_upload(tmp_path: Path, solved: Make, sandboxed: None) -> None:
    sheet, date = tmp_path / "worksheet.csv", '"Friday, 27 November 2026, 9:12 AM"'
    sheet.write_text(
        "Identifier,Full name,Email address,Status,Grade,Maximum grade,Grade can be changed,"
        "Last modified (submission),Last modified (grade),Feedback comments\n"
        f"Participant 78,Ann Lee,ann@x.org,Submitted for grading - 1 day 2 hours late,,100.00,Yes,{date},-,\n",
        encoding="utf-8-sig",
    )
    with zipfile.ZipFile(tmp_path / "all.zip", "w") as archive:
        archive.writestr("Ann Lee_78_assignsubmission_file/04_cifar10.ipynb", nbformat.writes(solved()))
    out = tmp_path / "out"
    out.mkdir()
    (out / "late.toml").write_text("percent_per_day = 10")
    (out / "overrides.csv").write_text("student,task,points,comment\nann@x.org,04.1,0.5,See my note\n")
    grade("04", tmp_path / "all.zip", out, roster=sheet)
    exported = export_grades(out, "moodle")
    ((score, comment),) = moodle_grades(exported.files[0], "en", 100).values()
    assert score == pytest.approx((12.5 - 2.6) / 13 * 100, abs=0.005)
    assert "04.1: 0.5 by hand, 1 by the checks" in comment
    assert "2 days late: 2.6 points off" in comment
    assert "04.1: See my note" in comment
    assert moodle_feedback(exported.files[1], [78]) == {78: "feedback.html"}


def test_a_variant_is_graded_by_its_own_numbers(tmp_path: Path, sandboxed: None) -> None:
    page = assignment("05", variant=1)
    default = page.solutions()["05.4"].__defaults__
    assert default != assignment("05").solutions()["05.4"].__defaults__
    students = nbformat.read(release("05", tmp_path / "class", variant=1), as_version=4)
    for source_cell, cell in zip(page.source.cells, students.cells, strict=True):
        cell.source = source_cell.source if "### BEGIN SOLUTION" in source_cell.source else cell.source
    other = nbformat.from_dict(students)
    (tmp_path / "in" / "own").mkdir(parents=True)
    (tmp_path / "in" / "own" / "05.ipynb").write_text(nbformat.writes(students))
    for cell in other.cells:
        cell.source = cell.source.replace(f"decay: float = {default[0]}", "decay: float = 0.7")
    (tmp_path / "in" / "others").mkdir()
    (tmp_path / "in" / "others" / "05.ipynb").write_text(nbformat.writes(other))
    grade("05", tmp_path / "in", tmp_path / "out", variant=1)
    got = rows(tmp_path / "out")
    assert (got["own"]["05.4"], got["others"]["05.4"]) == ("2", "0")
    assert got["own"]["score"] == got["own"]["max_score"]
    with pytest.raises(ValueError, match="holds grades of lesson 05, variant 1"):
        grade("05", tmp_path / "in", tmp_path / "out")
