"""Submissions as learning platforms hand them out."""

import io
import subprocess
import tarfile
import zipfile
from pathlib import Path

import pytest
from classroom.variants import zipped

from course_lib.classroom.archives import File
from course_lib.classroom.rosters import read_roster
from course_lib.classroom.submissions import Submission, submissions
from course_lib.classroom.versions import newest as newest_of

STEM = "04_cifar10"
ROSTER = "student,name\njdoe,Jane Doe\nmroe,Max Roe\nzoe,Zoë Müller\n"


def by_student(path: Path, roster: str = ROSTER, tmp: Path | None = None) -> dict[str, Submission]:
    file = (tmp or path.parent) / "roster.csv"
    file.write_text(roster, encoding="utf-8")
    return {submission.student.id: submission for submission in submissions(path, read_roster(file), STEM)}


def files(folder: Path, *names: str) -> Path:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    return folder


def packed(**members: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def test_a_folder_for_each_student_by_id_or_by_name(tmp_path: Path) -> None:
    got = by_student(files(tmp_path / "in", "jdoe/04_cifar10.ipynb", "Max Roe/week 4/04_cifar10.ipynb", "ZOE/x.ipynb"))
    assert {name: submission.notebook for name, submission in got.items()} == {
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
    got = by_student(moodle, tmp=tmp_path)
    assert got["jdoe"].notebook
    assert got["mroe"].notebook
    assert got["zoe"].notebook is None
    canvas = files(tmp_path / "canvas", "doejane_71_8001_04_cifar10-2.ipynb", "mullerzoe_LATE_73_8003_04_cifar10.ipynb")
    got = by_student(canvas, tmp=tmp_path)
    assert got["jdoe"].notebook
    assert got["zoe"].notebook
    assert (got["zoe"].late, got["zoe"].remarks) == ("late", ())


def test_a_zip_of_zips_and_what_computers_leave_beside(tmp_path: Path) -> None:
    inner = packed(**{"homework/04_cifar10.ipynb": b"jane", "__MACOSX/homework/._04_cifar10.ipynb": b"no"})
    path = tmp_path / "all.zip"
    other = packed(**{"04_cifar10.ipynb": b"max", ".ipynb_checkpoints/04_cifar10-checkpoint.ipynb": b"old"})
    path.write_bytes(packed(**{"export/jdoe.zip": inner, "export/mroe.zip": other}))
    got = by_student(path)
    assert (got["jdoe"].notebook, got["mroe"].notebook) == (b"jane", b"max")


def test_a_broken_archive_a_huge_file_and_a_stranger_are_told(tmp_path: Path) -> None:
    folder = files(tmp_path / "in", "stranger/04_cifar10.ipynb", "zoe/essay.pdf")
    (folder / "jdoe.zip").write_bytes(b"PK no archive")
    (folder / "mroe.zip").write_bytes(packed(**{"04_cifar10.ipynb": bytes(30_000_000)}))
    got = by_student(folder)
    assert got["jdoe"].notebook is None
    assert got["jdoe"].remarks == ("no notebook, but unreadable archive",)
    assert got["mroe"].remarks == ("a notebook of more than 20 MB",)
    assert got["zoe"].remarks == ("no notebook, but essay.pdf",)
    assert got["stranger"].remarks == ("not in the roster",)


@pytest.mark.parametrize(
    ("suffix", "flags"), [("tar", "cf"), ("tar.gz", "czf"), ("tgz", "czf"), ("tar.bz2", "cjf"), ("tar.xz", "cJf")]
)
def test_archives_of_the_program_tar(tmp_path: Path, suffix: str, flags: str) -> None:
    """GNU tar's own, by whatever name: what is in a file says its first bytes."""
    folder = files(tmp_path / "made", "homework/04_cifar10.ipynb", "homework/._04_cifar10.ipynb")
    (folder / "link.ipynb").symlink_to("/etc/passwd")
    (tmp_path / "in").mkdir()
    for student, ending in (("jdoe", suffix), ("mroe", "zip")):
        target = tmp_path / "in" / f"{student}.{ending}"
        command = ["tar", flags, str(target), "-C", str(folder), "homework", "link.ipynb"]
        subprocess.run(command, check=True)
    got = by_student(tmp_path / "in", tmp=tmp_path)
    assert (got["jdoe"].notebook, got["jdoe"].remarks) == (b"homework/04_cifar10.ipynb", ())
    assert got["mroe"].notebook == b"homework/04_cifar10.ipynb"


@pytest.mark.parametrize("whole", [True, False])
def test_a_class_in_a_tar_archive_and_one_student_who_fills_it(tmp_path: Path, whole: bool) -> None:
    bomb, many = tmp_path / "bomb.tar.gz", tmp_path / "many.tar"
    (tmp_path / "data.bin").write_bytes(bytes(150_000_000))
    subprocess.run(["tar", "czf", str(bomb), "-C", str(tmp_path), "data.bin"], check=True)
    with tarfile.open(many, "w") as archive:
        for number in range(12_000):
            archive.addfile(tarfile.TarInfo(f"{number}.txt"))
    folder = files(tmp_path / "in", "zoe/04_cifar10.ipynb")
    (folder / "jdoe.tar.gz").write_bytes(bomb.read_bytes())
    (folder / "mroe.tar").write_bytes(many.read_bytes())
    if whole:
        subprocess.run(["tar", "cf", str(tmp_path / "all.tar"), "-C", str(folder), "."], check=True)
    got = by_student(tmp_path / "all.tar" if whole else folder, tmp=tmp_path)
    assert got["zoe"].notebook == b"zoe/04_cifar10.ipynb"
    assert "unpacks to more than 100 MB" in got["jdoe"].remarks[0]
    assert "more than 10,000 files" in got["mroe"].remarks[0]


@pytest.mark.parametrize(("kind", "begins"), [("7z", b"7z\xbc\xaf\x27\x1c\0\4"), ("rar", b"Rar!\x1a\x07\x01\0")])
def test_an_archive_of_another_kind_is_named_with_the_mend(tmp_path: Path, kind: str, begins: bytes) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / f"jdoe.{kind}").write_bytes(begins + bytes(100))
    (remark, *_) = by_student(tmp_path / "in", tmp=tmp_path)["jdoe"].remarks
    assert remark == f"a {kind} archive cannot be unpacked here: unpack it, and put the notebook in its place"


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("grades.csv", b"student,name", "this is no archive"),
        ("all.zip", b"PK\3\4" + bytes(100), "or a broken one; name what your platform handed out"),
        ("all.7z", b"7z\xbc\xaf\x27\x1c\0\4" + bytes(100), "a 7z archive cannot be unpacked here: unpack it"),
    ],
)
def test_a_file_with_no_submissions_in_it_is_no_student(name: str, content: bytes, words: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match=f"{name}: expected submissions, and .*{words}"):
        submissions(tmp_path / name, [], "04_cifar10")


def test_a_path_that_climbs_out_of_its_archive_stays_inside(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "jdoe.zip").write_bytes(packed(**{"../../../04_cifar10.ipynb": b"jane"}))
    before = sorted(tmp_path.iterdir())
    assert by_student(tmp_path / "in", tmp=tmp_path / "in")["jdoe"].notebook == b"jane"
    assert sorted(tmp_path.iterdir()) == before


def test_of_several_notebooks_that_of_the_assignment_is_taken(tmp_path: Path) -> None:
    got = by_student(files(tmp_path / "in", "jdoe/04_cifar10.ipynb", "jdoe/zz_notes.ipynb", "mroe/04_cifar10.ipynb"))
    assert got["jdoe"].notebook == b"jdoe/04_cifar10.ipynb"


def test_moodles_worksheet_is_a_roster(tmp_path: Path) -> None:
    rows = [
        "Identifier,Full name,Email address,Status,Grade,Maximum grade,Last modified (grade)",
        "Participant 77,Ann Lee,ann@x.org,,,13,-",
        "Participant 78,Ann Lee,al@x.org,,,13,-",
    ]
    sheet = "\n".join(rows)
    folder = files(tmp_path / "in", "Ann Lee_78_assignsubmission_file_/04_cifar10.ipynb")
    got = by_student(folder, sheet)
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
    ids = [submission.student.id for submission in submissions(folder, [], STEM)]
    assert len(set(ids)) == 2


def test_without_a_roster_an_outer_folder_names_nobody(tmp_path: Path) -> None:
    folder = files(tmp_path / "in", "export/ann/04_cifar10.ipynb", "export/bob/04_cifar10.ipynb")
    assert [submission.student.id for submission in submissions(folder, [], STEM)] == ["ann", "bob"]
    assert by_student(folder, "student\nann\nbob\n")["bob"].notebook == b"export/bob/04_cifar10.ipynb"


def test_what_one_archive_unpacks_to_costs_no_other_student(tmp_path: Path) -> None:
    """As in the case that made all later notebooks of a class unreadable: a zip of zeros before honest ones."""
    time = (2026, 1, 1, 0, 0, 0)
    bomb = zipped({f"{number}.ipynb": (bytes(19_000_000), time) for number in range(30)})
    deep = zipped({"x.zip": (zipped({"zeros.zip": (bytes(190_000_000), time)}), time)})
    path = tmp_path / "all.zip"
    path.write_bytes(packed(**{"export/amy.zip": bomb, "export/bob.zip": deep, "export/jdoe.ipynb": b"jane"}))
    got = by_student(path, "student\namy\nbob\njdoe\n")
    assert got["jdoe"].notebook == b"jane"
    assert got["jdoe"].remarks == ()
    assert any("its archive unpacks to more than 100 MB" in remark for remark in got["amy"].remarks)
    assert any("its archive unpacks to more than 100 MB" in remark for remark in got["bob"].remarks)


def test_data_beside_a_notebook_counts_for_nothing(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    for student in ("jdoe", "mroe"):
        time = (2026, 1, 1, 0, 0, 0)
        content = zipped({"data.bin": (bytes(400_000_000), time), "04_cifar10.ipynb": (student, time)})
        (tmp_path / "in" / f"{student}.zip").write_bytes(content)
    got = by_student(tmp_path / "in", tmp=tmp_path)
    assert [(got[student].notebook, got[student].remarks) for student in ("jdoe", "mroe")] == [
        (b"jdoe", ()),
        (b"mroe", ()),
    ]


def test_too_many_files_and_a_long_table_of_contents_are_told(tmp_path: Path) -> None:
    many = {f"{number}": b"" for number in range(12_000)}
    long = {f"{number:05}" + "x" * 1000: b"" for number in range(9_000)}
    folder = files(tmp_path / "in", "zoe/04_cifar10.ipynb")
    (folder / "jdoe.zip").write_bytes(packed(**many))
    (folder / "mroe.zip").write_bytes(packed(**long))
    got = by_student(folder)
    assert "its archive holds more than 10,000 files" in got["jdoe"].remarks
    assert got["mroe"].remarks == ("no notebook, but unreadable archive",)
    assert got["zoe"].notebook


def test_no_name_within_an_archive_or_folder_says_whose_it_is(tmp_path: Path) -> None:
    """Names that a student chose, each of a classmate, in an archive or a folder of their own."""
    names = ("Max Roe_78_assignsubmission_file_/04.ipynb", "mroe/04_cifar10.ipynb", "roemax_78_9_04_cifar10.ipynb")
    folder = files(tmp_path / "in", "mroe/04_cifar10.ipynb", *(f"jdoe/{name}" for name in names))
    (folder / "stranger.zip").write_bytes(packed(**dict.fromkeys(names, b"forged")))
    got = by_student(folder)
    assert got["mroe"].notebook == b"mroe/04_cifar10.ipynb"
    assert got["mroe"].remarks == ()


def test_a_name_of_any_length_is_a_file_of_its_own(tmp_path: Path) -> None:
    folder = files(tmp_path / "in", f"{'é' * 120}a/04_cifar10.ipynb", f"{'é' * 120}b/04_cifar10.ipynb")
    ids = [submission.student.id for submission in submissions(folder, [], STEM)]
    assert len(set(ids)) == 2
    assert max(len(f"{name}.html.part".encode()) for name in ids) < 255
    for same in ("Ann", "ann"):  # one name where case does not count
        files(tmp_path / "case", f"{same}/04_cifar10.ipynb")
    assert len({submission.student.id.casefold() for submission in submissions(tmp_path / "case", [], STEM)}) == 2


@pytest.mark.parametrize(
    ("names", "newest"),
    [
        (("04_cifar10.ipynb", "04_cifar10 (1).ipynb", "04_cifar10 (10).ipynb", "04_cifar10 (9).ipynb"), 2),
        (("04_cifar10-Copy10.ipynb", "04_cifar10-Copy9.ipynb", "04_cifar10.ipynb"), 0),
        (("doejane_71_1001_04_cifar10.ipynb", "doejane_71_999_04_cifar10-2.ipynb"), 0),
        (("04_cifar10.ipynb.txt", "notes.ipynb"), 0),
    ],
)
def test_of_versions_without_times_the_highest_number_is_taken(names: tuple[str, ...], newest: int) -> None:
    versions = [File((name,), 1, 0, notebook=True, content=b"x") for name in names]
    for order in (versions, versions[::-1]):
        assert newest_of(order, STEM, lambda content: 3) is versions[newest]


def test_a_time_counts_more_than_a_number_and_work_more_than_a_time() -> None:
    old, new, untouched = (
        File((name,), 1, time, notebook=True, content=content)
        for name, time, content in (("x (2).ipynb", 0, b"a"), ("x.ipynb", 1000, b"b"), ("x (3).ipynb", 5000, b""))
    )
    assert newest_of([old, new, untouched], STEM, len) is new
    assert newest_of([old, untouched], STEM, len) is old
    assert newest_of([untouched], STEM, len) is untouched
