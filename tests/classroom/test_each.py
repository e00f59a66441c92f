"""A page for each student: released, handed out by Moodle, and graded by the student's own numbers."""

import csv
import zipfile
from pathlib import Path

import nbformat
import pytest
from classroom.cells import cell_of, solve
from classroom.importers import moodle_feedback, moodle_grades
from nbformat import NotebookNode

from course_lib.classroom.assignment import Assignment
from course_lib.classroom.export import export_grades
from course_lib.classroom.grade import grade
from course_lib.classroom.gradescope import autograder
from course_lib.classroom.release import release_each

CLASS = {71: "ann", 72: "bob", 73: "cyd", 74: "dee", 75: "eve", 76: "fay"}
DATE = '"Friday, 27 November 2026, 9:12 AM"'
STEM = "04_cifar10.ipynb"


@pytest.fixture(scope="module")
def worksheet(tmp_path_factory: pytest.TempPathFactory) -> Path:
    sheet = tmp_path_factory.mktemp("moodle") / "worksheet.csv"
    rows = [
        f"Participant {number},{name.title()} Lee,{name}@x.org,Submitted for grading,,100.00,Yes,{DATE},-,"
        for number, name in CLASS.items()
    ]
    header = (
        "Identifier,Full name,Email address,Status,Grade,Maximum grade,Grade can be changed,"
        "Last modified (submission),Last modified (grade),Feedback comments"
    )
    sheet.write_text("\n".join([header, *rows, ""]), encoding="utf-8-sig")
    return sheet


@pytest.fixture(scope="module")
def released(tmp_path_factory: pytest.TempPathFactory, worksheet: Path) -> Path:
    folder = tmp_path_factory.mktemp("class")
    notebooks, archive = release_each("04", folder, worksheet)
    assert [path.relative_to(folder) for path in notebooks] == [
        Path("release", f"{name}@x.org", "04", STEM) for name in CLASS.values()
    ]
    assert archive == folder / "release-moodle-04.zip"
    return folder


def page_of(released: Path, name: str) -> NotebookNode:
    return nbformat.read(released / "release" / f"{name}@x.org" / "04" / STEM, as_version=4)


@pytest.fixture(scope="module")
def graded(released: Path, worksheet: Path, page: Assignment, sandboxed: None) -> Path:
    """All that `released` was graded to, in its folder `out`."""
    pages = {name: page_of(released, name) for name in CLASS.values()}
    for name in CLASS.values():
        if name != "eve":
            solve(pages[name], page.tasks.values())
    pages["zoe"] = pages["ann"]  # who is not in the roster
    pages["bob"] = pages["ann"]
    for key in ("task-04-3", "task-04-6"):  # the whole page is Dee's own, but the answers are Ann's with her numbers
        assert cell_of(pages["dee"], key).source != cell_of(pages["ann"], key).source
        cell_of(pages["dee"], key).source = cell_of(pages["ann"], key).source
    del pages["fay"]
    with zipfile.ZipFile(released / "all.zip", "w") as archive:
        for number, name in [*CLASS.items(), (99, "zoe")]:
            if name in pages:
                file = f"{name.title()} Lee_{number}_assignsubmission_file/{STEM}"
                archive.writestr(file, nbformat.writes(pages[name]))
    grade("04", released / "all.zip", released / "out", variant="each", roster=worksheet, seconds=10)
    return released


def rows(out: Path) -> dict[str, dict[str, str]]:
    with (out / "grades.csv").open(newline="") as file:
        return {row["student"].partition("@")[0]: row for row in csv.DictReader(file)}


def test_moodle_hands_each_student_the_own_page(released: Path, worksheet: Path) -> None:
    archive = released / "release-moodle-04.zip"
    assert moodle_feedback(archive, CLASS) == dict.fromkeys(CLASS, STEM)
    with zipfile.ZipFile(archive) as packed:
        for name in packed.namelist():
            path = released / "release" / f"{CLASS[int(name.split('_')[1])]}@x.org" / "04" / STEM
            assert packed.read(name) == path.read_bytes()


def test_a_second_release_is_the_same_to_the_byte(released: Path, worksheet: Path, tmp_path: Path) -> None:
    again, _ = release_each("4", tmp_path, worksheet)
    assert len({path.read_bytes() for path in again}) == len(CLASS)
    for path in again:
        assert path.read_bytes() == (released / path.relative_to(tmp_path)).read_bytes()


def test_own_numbers_earn_all_points(graded: Path) -> None:
    got = rows(graded / "out")
    assert [(got[name]["score"], got[name]["reason"]) for name in ("ann", "cyd")] == [("13", ""), ("13", "")]


def test_a_page_of_another_is_not_graded_and_the_teacher_alone_reads_whose_it_is(graded: Path) -> None:
    row = rows(graded / "out")["bob"]
    assert (row["score"], row["status"]) == ("", "wrong assignment")
    assert "hand in the page that you were given" in row["reason"]
    (line,) = (line for line in (graded / "out" / "summary.md").read_text().splitlines() if "| bob@x.org |" in line)
    assert "it is the page of ann@x.org" in line
    page = (graded / "out" / "feedback" / "bob@x.org.html").read_text()
    assert "hand in the page that you were given" in page
    for text in (page, row["reason"]):
        assert "ann" not in text.lower()


def test_answers_with_a_classmates_numbers_lose_their_points_and_are_told_why(graded: Path) -> None:
    row, page = rows(graded / "out")["dee"], (graded / "out" / "feedback" / "dee@x.org.html").read_text()
    assert (row["04.3"], row["04.6"], row["score"]) == ("0", "0", "7")
    assert page.count("Not right: the default of") == 2
    text = (graded / "out" / "summary.md").read_text()
    (line,) = (line for line in text.splitlines() if line.startswith("| 04.3 | 3 of 3 (the solution)"))
    assert all(f"`{name}@x.org`" in line for name in ("ann", "cyd", "dee"))


def test_untouched_missing_and_unknown_are_told_apart(graded: Path) -> None:
    got = rows(graded / "out")
    assert (got["eve"]["score"], got["fay"]["status"]) == ("0", "missing")
    assert "it answers no task" in got["eve"]["reason"]
    (zoe,) = (row for name, row in got.items() if name.startswith("Zoe"))
    assert (zoe["score"], zoe["status"]) == ("", "not graded")
    assert "who is not in the roster has no page" in zoe["reason"]


def test_what_is_set_by_hand_is_exported_without_a_word_of_others(graded: Path, worksheet: Path) -> None:
    out, again = graded / "out", []
    (out / "overrides.csv").write_text("student,task,points,comment\nbob@x.org,total,6,We have talked\n")
    grade("04", graded / "all.zip", out, variant="each", roster=worksheet, on_graded=again.append)
    assert [record["status"] for record in again] == ["not graded"]  # Zoe, who may be in the roster by now
    exported = export_grades(out, "moodle")
    got = moodle_grades(exported.files[0], "en", 100)
    scores = {71: 100, 72: 46.15, 73: 100, 74: 53.85, 75: 0, 76: None}
    assert {number: score for number, (score, _) in got.items()} == scores
    assert "We have talked" in got[72][1]
    assert "ann" not in got[72][1].lower()
    assert moodle_feedback(exported.files[1], CLASS).keys() == {71, 72, 73, 74, 75}
    (out / "overrides.csv").unlink()


def test_without_the_roster_or_for_another_release_it_is_said(graded: Path, worksheet: Path) -> None:
    with pytest.raises(ValueError, match=r"--variant each: whose page .* --roster FILE"):
        grade("04", graded / "all.zip", graded / "out", variant="each")
    with pytest.raises(ValueError, match=r"holds grades of lesson 04, variant each; .* variant None"):
        grade("04", graded / "all.zip", graded / "out", roster=worksheet)
    with pytest.raises(ValueError, match="a page for each student, and in Gradescope's containers there is no roster"):
        autograder(graded)
