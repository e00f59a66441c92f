"""Names of files as each platform's own code makes them: one student each, and nobody who is none."""

import re
from pathlib import Path

import pytest

from course_lib.classroom.platforms import origins, without_notebook
from course_lib.classroom.rosters import Student, key, read_roster
from course_lib.classroom.submissions import Submission, submissions

STEM = "04_cifar10"
NOTE = "04_cifar10.ipynb"
PEOPLE = {"jdoe": "Jane Doe", "mc_lean": "Bob Mc_Lean", "zoe": "Zoë O'Brien-Müller", "x12": "2 Pac"}
ROSTER = "student,name\n" + "".join(f"{login},{name}\n" for login, name in PEOPLE.items())


def handed_in(folder: Path, *names: str, content: str = "{}") -> dict[str, Submission]:
    """Submissions in files of these names, with a roster of Jane, Bob, Zoë and 2 Pac."""
    for name in names:
        path = folder / "in" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    (folder / "roster.csv").write_text(ROSTER, encoding="utf-8")
    return {
        submission.student.id: submission
        for submission in submissions(folder / "in", read_roster(folder / "roster.csv"), STEM)
    }


def graded(by_student: dict[str, Submission]) -> set[str]:
    return {student for student, submission in by_student.items() if submission.notebook}


def canvas_name(sortable: str, user: int, attachment: int, *, late: bool = False, file: str = NOTE) -> str:
    """A name as lib/content_zipper.rb makes it: sanitize_user_name(), get_filename(), add_upload_submission()."""
    name = re.sub(r"_(\d+)_", r"\1", sortable).lower()
    prefix = re.sub(r"[^\w]", "", "_".join([name, *["LATE"] * late, str(user)]))
    return f"{prefix}_{attachment}_" + re.sub(r'[\x00/\\:*?"<>|]+', "_", file)


def test_canvas_names_with_underscores_numbers_and_accents(tmp_path: Path) -> None:
    by_student = handed_in(
        tmp_path,
        canvas_name("Doe, Jane", 71, 801, file="04_cifar10-1.ipynb"),
        canvas_name("Mc_Lean, Bob", 72, 802, late=True, file="04_cifar10_12_34_final.ipynb"),
        canvas_name("O'Brien-Müller, Zoë", 73, 803),
        canvas_name("Pac, 2", 74, 804),
    )
    assert by_student.keys() == PEOPLE.keys() == graded(by_student)
    assert by_student["mc_lean"].late == "late"
    assert by_student["jdoe"].file == "doejane_71_801_04_cifar10-1.ipynb"


@pytest.mark.parametrize("late", ["", "LATE_"])
def test_anonymous_canvas_names_are_a_student_each(late: str, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    for number in ("aB3x9", "12345"):
        (tmp_path / "in" / f"{late}anon_{number}_801_{NOTE}").write_text("{}")
    handed_in = submissions(tmp_path / "in", [], STEM)
    assert {submission.student.id for submission in handed_in} == {"anon_aB3x9", "anon_12345"}
    assert {submission.late for submission in handed_in} == {"late" if late else ""}


def test_a_link_or_a_text_beside_a_notebook_is_said(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    for student, text in {"Ann_71": "<p>https://x.org/a and https://x.org/b</p>", "Bo_72": "<p>Sorry.</p>"}.items():
        for plugin, name, content in (("file", NOTE, "{}"), ("onlinetext", "onlinetext.html", text)):
            path = folder / f"{student}_assignsubmission_{plugin}" / name
            path.parent.mkdir(parents=True)
            path.write_text(content)
    (folder / "Cy_73_assignsubmission_file").mkdir()
    (folder / "Cy_73_assignsubmission_file" / NOTE).write_text("{}")
    remarks = {submission.student.name: submission.remarks for submission in submissions(folder, [], STEM)}
    beside = "beside the notebook, {} was handed in"
    assert remarks == {"Ann": (beside.format("a link to x.org"),), "Bo": (beside.format("a text"),), "Cy": ()}


def test_a_link_or_a_text_on_canvas_is_said_and_no_stranger(tmp_path: Path) -> None:
    by_student = handed_in(tmp_path, "doejane_71_link.html", "mc_leanbob_LATE_72_text.html", content="https://x.org/a")
    assert by_student.keys() == PEOPLE.keys()
    assert by_student["jdoe"].remarks == ("no notebook, but a link to x.org, not the notebook",)
    assert (by_student["mc_lean"].late, by_student["zoe"].remarks) == ("late", ())


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("doejane_71_link.html", '<!DOCTYPE "http://www.w3.org/TR"><a href="https://github.com/x">', "link to github"),
        ("doejane_71_link.html", "https://colab.research.google.com/drive/1", "link to Google Colab"),
        ("onlinetext.html", "<p>my answer</p>", "a text"),
        ("onlinetext.html", "<p>https://colab.research.google.com/drive/1</p>", "link to Google Colab"),
        ("Untitled.url", "[InternetShortcut]\nURL=https://colab.research.google.com/x", "link to Google Colab"),
        ("essay.pdf", "http://x.org", "essay.pdf"),
    ],
)
def test_what_was_handed_in_instead_of_a_notebook_is_named(name: str, content: str, words: str) -> None:
    assert words in without_notebook(name, content.encode())


def test_blackboard_has_one_student_for_each_name_and_no_text_files(tmp_path: Path) -> None:
    """Names as in the documentation of nbgrader's zip collect, with Blackboard's text beside each attempt."""
    names = []
    for user in ("jdoe", "mc_lean", "zoe"):
        attempt = f"Exercises204_{user}_attempt_2026-11-30-15-00-00"
        names += [f"{attempt}.txt", f"{attempt}_{NOTE}"]
    by_student = handed_in(tmp_path, *names)
    assert by_student.keys() == PEOPLE.keys()
    assert graded(by_student) == {"jdoe", "mc_lean", "zoe"}


def test_brightspace_has_one_student_for_each_name_and_no_index(tmp_path: Path) -> None:
    date = "Nov 30, 2026 1159 PM"
    by_student = handed_in(
        tmp_path,
        f"11-900 - Jane Doe - {date}/{NOTE}",
        f"11-900 - Jane Doe - Nov 29, 2026 1001 AM/{NOTE}",
        f"12-900 - Zoë O'Brien-Müller - {date}/work_3_4_x.ipynb",
        "index.html",
    )
    assert by_student.keys() == PEOPLE.keys()
    assert graded(by_student) == {"jdoe", "zoe"}
    assert "2 notebooks" in by_student["jdoe"].remarks[0]


def test_google_classroom_has_one_student_for_each_copy(tmp_path: Path) -> None:
    by_student = handed_in(tmp_path, f"Homework/Jane Doe - {NOTE}", f"Homework/Bob Mc_Lean - {NOTE}")
    assert "jdoe" in graded(by_student)
    flat = submissions(tmp_path / "in", [], STEM)
    assert "Jane_Doe" in {submission.student.id for submission in flat}


METADATA = """---
submission_31:
  :submitters:
  - :name: Jane Doe
    :sid: '4711'
    :email: jane@x.org
  - :name: 'Zo\u00eb O''Brien-M\u00fcller'
    :sid:
    :email: zoe@x.org
  :created_at: 2026-11-30 12:00:00.000000000 Z
  :score: 0.0
submission_32:
  :submitters:
  - :name: Stranger
    :sid: '4712'
    :email: s@x.org
  :created_at: !ruby/object:ActiveSupport::TimeWithZone
    utc: 2026-11-30 12:00:00
"""


def test_gradescope_says_who_is_in_each_folder_also_in_groups(tmp_path: Path) -> None:
    folder = tmp_path / "in" / "assignment_5_export"
    folder.mkdir(parents=True)
    (folder / "submission_metadata.yml").write_text(METADATA, encoding="utf-8")
    by_student = handed_in(tmp_path, f"{folder.name}/submission_31/{NOTE}", f"{folder.name}/submission_32/{NOTE}")
    assert by_student.keys() == {*PEOPLE, "Stranger"}
    assert {"jdoe", "Stranger"} <= graded(by_student)
    assert by_student["zoe"].remarks == by_student["jdoe"].remarks == ()
    assert by_student["zoe"].notebook


def test_a_name_with_two_numbers_in_a_students_folder_makes_no_stranger(tmp_path: Path) -> None:
    by_student = handed_in(tmp_path, "jdoe/lesson_04_2_final.ipynb", "zoe/hw_1_2_x.ipynb")
    assert graded(by_student) == {"jdoe", "zoe"}
    alone = submissions(tmp_path / "in", [], STEM)
    assert {submission.student.id for submission in alone} == {"jdoe", "zoe"}


def test_whoever_is_in_the_roster_is_found_by_any_of_their_names() -> None:
    jane = Student("jdoe", "Doe, Jane", frozenset({key("Doe, Jane"), key("Jane Doe"), "501"}))
    for name in ("doejane_501_9_x.ipynb", "Jane Doe_501_assignsubmission_file_", "jane  DOE"):
        assert [origin.student.id for origin in origins([name, "x.ipynb"], 0, [jane], {})] == ["jdoe"], name
