"""Submissions as learning platforms hand them out."""

import io
import zipfile
from pathlib import Path

import pytest

from course_lib.classroom.rosters import read_roster
from course_lib.classroom.submissions import Submission, submissions

STEM = "04_cifar10"
ROSTER = "student,name\njdoe,Jane Doe\nmroe,Max Roe\nzoe,Zoë Müller\n"


def found(place: Path, roster: str = ROSTER, tmp: Path | None = None) -> dict[str, Submission]:
    file = (tmp or place.parent) / "roster.csv"
    file.write_text(roster, encoding="utf-8")
    return {one.student.id: one for one in submissions(place, read_roster(file), STEM)}


def files(folder: Path, *names: str) -> Path:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    return folder


def packed(**members: bytes) -> bytes:
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return held.getvalue()


def test_a_folder_for_each_student_by_id_or_by_name(tmp_path: Path) -> None:
    got = found(files(tmp_path / "in", "jdoe/04_cifar10.ipynb", "Max Roe/week 4/04_cifar10.ipynb", "ZOE/x.ipynb"))
    assert {name: one.notebook for name, one in got.items()} == {
        "jdoe": b"jdoe/04_cifar10.ipynb",
        "mroe": b"Max Roe/week 4/04_cifar10.ipynb",
        "zoe": b"ZOE/x.ipynb",
    }


def test_moodle_and_canvas_names(tmp_path: Path) -> None:
    moodle = files(
        tmp_path / "moodle",
        "Jane Doe_1234567_assignsubmission_file_/04_cifar10.ipynb",
        "Max Roe_1234568_assignsubmission_file_04_cifar10.ipynb",
        "Jane Doe_1234567_assignsubmission_onlinetext_/onlinetext.html",
    )
    got = found(moodle, tmp=tmp_path)
    assert got["jdoe"].notebook
    assert got["mroe"].notebook
    assert got["zoe"].notebook is None
    canvas = files(tmp_path / "canvas", "doejane_71_8001_04_cifar10-2.ipynb", "mullerzoe_LATE_73_8003_04_cifar10.ipynb")
    got = found(canvas, tmp=tmp_path)
    assert got["jdoe"].notebook
    assert got["zoe"].notebook
    assert (got["zoe"].late, got["zoe"].remarks) == ("late", ())


def test_a_zip_of_zips_and_what_computers_leave_beside(tmp_path: Path) -> None:
    inner = packed(**{"homework/04_cifar10.ipynb": b"jane", "__MACOSX/homework/._04_cifar10.ipynb": b"no"})
    place = tmp_path / "all.zip"
    other = packed(**{"04_cifar10.ipynb": b"max", ".ipynb_checkpoints/04_cifar10-checkpoint.ipynb": b"old"})
    place.write_bytes(packed(**{"export/jdoe.zip": inner, "export/mroe.zip": other}))
    got = found(place)
    assert (got["jdoe"].notebook, got["mroe"].notebook) == (b"jane", b"max")


def test_a_broken_archive_a_huge_file_and_a_stranger_are_told(tmp_path: Path) -> None:
    folder = files(tmp_path / "in", "stranger/04_cifar10.ipynb", "zoe/essay.pdf")
    (folder / "jdoe.zip").write_bytes(b"PK no archive")
    (folder / "mroe.zip").write_bytes(packed(**{"04_cifar10.ipynb": bytes(30_000_000)}))
    got = found(folder)
    assert got["jdoe"].notebook is None
    assert got["jdoe"].remarks == ("no notebook, but unreadable archive",)
    assert got["mroe"].remarks == ("a notebook of more than 20 MB",)
    assert got["zoe"].remarks == ("no notebook, but essay.pdf",)
    assert got["stranger"].remarks == ("not in the roster",)


def test_a_path_that_climbs_out_of_its_archive_stays_inside(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "jdoe.zip").write_bytes(packed(**{"../../../04_cifar10.ipynb": b"jane"}))
    before = sorted(tmp_path.iterdir())
    assert found(tmp_path / "in", tmp=tmp_path / "in")["jdoe"].notebook == b"jane"
    assert sorted(tmp_path.iterdir()) == before


def test_of_several_notebooks_that_of_the_assignment_is_taken(tmp_path: Path) -> None:
    got = found(files(tmp_path / "in", "jdoe/04_cifar10.ipynb", "jdoe/zz_notes.ipynb", "mroe/04_cifar10.ipynb"))
    assert got["jdoe"].notebook == b"jdoe/04_cifar10.ipynb"


def test_moodles_worksheet_is_a_roster(tmp_path: Path) -> None:
    rows = [
        "Identifier,Full name,Email address,Status,Grade,Maximum grade,Last modified (grade)",
        "Participant 77,Ann Lee,ann@x.org,,,13,-",
        "Participant 78,Ann Lee,al@x.org,,,13,-",
    ]
    sheet = "\n".join(rows)
    folder = files(tmp_path / "in", "Ann Lee_78_assignsubmission_file_/04_cifar10.ipynb")
    got = found(folder, sheet)
    assert got["al@x.org"].notebook
    assert got["ann@x.org"].notebook is None


@pytest.mark.parametrize(
    ("roster", "message"),
    [("a,b\n1,2\n", "columns student and name"), ("student\nx\nx\n", "x is in two rows"), ("", "no students")],
)
def test_a_roster_that_is_none_is_refused(tmp_path: Path, roster: str, message: str) -> None:
    (tmp_path / "roster.csv").write_text(roster)
    with pytest.raises(ValueError, match=message):
        read_roster(tmp_path / "roster.csv")


def test_an_empty_place_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="no such folder"):
        submissions(tmp_path / "nowhere", [], STEM)
    with pytest.raises(FileNotFoundError, match="no notebooks"):
        submissions(tmp_path, [], STEM)


def test_names_that_a_file_cannot_tell_apart_stay_two_students(tmp_path: Path) -> None:
    folder = files(tmp_path / "in", "Jane Doe/04_cifar10.ipynb", "Jane_Doe/04_cifar10.ipynb")
    ids = [one.student.id for one in submissions(folder, [], STEM)]
    assert len(set(ids)) == 2


def test_without_a_roster_an_outer_folder_names_nobody(tmp_path: Path) -> None:
    folder = files(tmp_path / "in", "export/ann/04_cifar10.ipynb", "export/bob/04_cifar10.ipynb")
    assert [one.student.id for one in submissions(folder, [], STEM)] == ["ann", "bob"]
    assert found(folder, "student\nann\nbob\n")["bob"].notebook == b"export/bob/04_cifar10.ipynb"
