"""Submissions as learning platforms hand them out, and whose they are."""

import csv
import io
import re
import unicodedata
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

from course_lib.classroom.plain import readable
from course_lib.files import as_path

LARGEST = 20_000_000  # bytes of a notebook
MOST = 2_000_000_000  # bytes that all archives may unpack to
DEEPEST = 4  # archives within archives
# Canvas: doejane_LATE_12345_67890_04_cifar10-1.ipynb; Moodle: Jane Doe_12345_assignsubmission_file_/04_cifar10.ipynb
CANVAS = re.compile(r"^(?P<name>[^_]+)_(?P<late>LATE_)?(?P<id>\d+)_\d+_.+")
MOODLE = re.compile(r"^(?P<name>.+)_(?P<id>\d+)_assignsubmission_\w+", re.DOTALL)


@dataclass(frozen=True)
class Student:
    """A row of the roster.

    Attributes:
        id: what grades and files are named by.
        name: as the roster writes it.
        keys: what this student's submission may be called by.
        row: the roster's columns, for the export.
    """

    id: str
    name: str
    keys: frozenset[str] = frozenset()
    row: dict[str, str] = field(default_factory=dict, hash=False)


@dataclass(frozen=True)
class Submission:
    """A student and the notebook that is to be graded.

    Attributes:
        student: whose it is.
        notebook: its bytes; None if there is none.
        remarks: what the teacher should know, such as that it was late.
    """

    student: Student
    notebook: bytes | None
    remarks: tuple[str, ...] = ()


def read_roster(path: str | Path) -> list[Student]:
    """Students of a CSV file: with the columns student and name, or Canvas's gradebook, or Moodle's grading worksheet.

    Raises:
        ValueError: none of the three, or two rows with the same student.
    """
    path = as_path(path)
    with path.open(newline="", encoding="utf-8-sig") as file:
        rows = [{key: (value or "").strip() for key, value in row.items() if key} for row in csv.DictReader(file)]
    students = roster_of(rows)
    if not students:
        columns = ", ".join(rows[0]) if rows else "none"
        raise ValueError(
            f"{path}: no students; a roster has the columns student and name, or is Canvas's exported gradebook or "
            f"Moodle's grading worksheet. Columns found: {columns}."
        )
    ids = [student.id for student in students]
    if twice := next((student for student in ids if ids.count(student) > 1), None):
        raise ValueError(f"{path}: {twice} is in two rows; each student needs a row of their own.")
    return students


def roster_of(rows: list[dict[str, str]]) -> list[Student]:
    """The students of a roster's rows."""
    return [student for row in rows if (student := _student(row))]


def _student(row: dict[str, str]) -> Student | None:
    known = {key.casefold(): value for key, value in row.items()}
    participant = re.sub(r"\D", "", known.get("identifier", ""))
    canvas = known.get("id", "") if "sis login id" in known or "student" in known else ""
    is_canvas = "id" in known and "student" in known
    given = known.get("sis login id") if is_canvas else known.get("student") or known.get("email address")
    own = given or canvas or participant
    if not own or (is_canvas and not canvas):  # Canvas's second row holds the points that can be had
        return None
    name = known.get("student", "") if is_canvas else known.get("name") or known.get("full name") or own
    last, _, first = (part.strip() for part in name.partition(","))
    called = {own, name, canvas, participant, known.get("email address", ""), f"{first} {last}", f"{last} {first}"}
    if not first and " " in name:
        called.add(f"{name.rpartition(' ')[2]} {name.rpartition(' ')[0]}")
    return Student(safe(own), name, frozenset(filter(None, map(_key, called))), row)


def safe(name: str) -> str:
    """A student's name that a file can have."""
    return re.sub(r"[^\w.@-]", "_", name).strip("._") or "nameless"


def _key(name: str) -> str:
    plain = unicodedata.normalize("NFKD", name.casefold())
    return "".join(letter for letter in plain if letter.isalnum())


def submissions(place: str | Path, roster: list[Student], stem: str) -> list[Submission]:
    """The submission of each student of the roster, and of everybody else who handed one in.

    Args:
        place: a folder or an archive, as Canvas or Moodle hands it out, or with a folder for each student; archives
            may hold archives.
        roster: of the class; empty if it does not matter.
        stem: of the notebook's name; of several notebooks one with this in its name is taken.

    Raises:
        FileNotFoundError: there is no such place, or nothing in it.
    """
    place = as_path(place, "place")
    if not place.exists():
        raise FileNotFoundError(f"{place}: no such folder or archive of submissions.")
    files = sorted(_files(place), key=lambda file: file[0])
    if not files:
        raise FileNotFoundError(f"{place}: no notebooks and no archives in it.")
    shared = _shared([parts for parts, _ in files])
    of: dict[Student, list[tuple[tuple[str, ...], bytes | None]]] = {}
    remarks: dict[Student, list[str]] = {}
    for parts, content in files:
        student, late = _owner(parts, shared, roster)
        of.setdefault(student, []).append((parts, content))
        if late and "late" not in remarks.setdefault(student, []):
            remarks[student].append("late")
    found: list[Submission] = []
    for student in [*roster, *(student for student in of if student not in roster)]:
        told = remarks.get(student, [])
        notebooks = [file for file in of.get(student, []) if file[0][-1].endswith(".ipynb")]
        own = [file for file in notebooks if stem in file[0][-1]] or notebooks
        if roster and student not in roster:
            told.append("not in the roster")
        if len(own) > 1:
            told.append(f"{len(own)} notebooks, of which {own[-1][0][-1]} was graded")
        if not own and student in of:
            told.append(f"no notebook, but {of[student][0][0][-1]}")
        content = own[-1][1] if own else None
        if own and content is None:
            told.append(f"a notebook of more than {LARGEST // 1_000_000} MB")
        twins = any(one.student.id == student.id for one in found)  # two names that no file tells apart
        named = replace(student, id=f"{student.id}-{len(found)}") if twins else student
        found.append(Submission(named, content, tuple(map(readable, told))))
    return found


def _shared(places: list[tuple[str, ...]]) -> int:
    """How many outer folders or archives all files lie in, if they are of several students."""
    count = 0
    while len({parts[count] for parts in places if len(parts) > count}) == 1 and min(map(len, places)) > count + 1:
        if _named(places[0][count]) or len({parts[count + 1] for parts in places}) == 1:
            break
        count += 1
    return count


def _named(part: str) -> re.Match[str] | None:
    return MOODLE.match(part) or CANVAS.match(part)


def _owner(parts: tuple[str, ...], shared: int, roster: list[Student]) -> tuple[Student, bool]:
    """Whose a file is, and whether Canvas calls it late; nobody is called by the `shared` outer folders."""
    for part in parts:
        if match := _named(part):
            late = bool(match.groupdict().get("late"))
            for called in (match["id"], match["name"]):
                if student := _find(called, roster):
                    return student, late
            return Student(safe(f"{match['name']}_{match['id']}"), match["name"]), late
    for part in parts:
        if student := _find(Path(part).stem if part == parts[-1] else part, roster):
            return student, False
    own = parts[shared] if len(parts) > shared + 1 else Path(parts[shared]).stem
    return Student(safe(own), own), False


def _find(called: str, roster: list[Student]) -> Student | None:
    found = [student for student in roster if _key(called) in student.keys]
    return found[0] if len(found) == 1 else None


def _files(place: Path) -> Iterator[tuple[tuple[str, ...], bytes | None]]:
    """Each file as the names of the folders and archives that it lies in and its own, and its bytes if not too many."""
    budget = [MOST]
    if place.is_file():
        yield from _unpacked((), place.read_bytes(), budget, DEEPEST)
        return
    for path in place.rglob("*"):
        parts = path.relative_to(place).parts
        if path.is_symlink() or not path.is_file() or _beside(parts):
            continue
        if path.suffix.lower() == ".zip":
            yield from _unpacked((*parts[:-1], path.stem), path.read_bytes(), budget, DEEPEST)
        else:
            yield parts, path.read_bytes() if path.stat().st_size <= LARGEST else None


def _unpacked(
    parts: tuple[str, ...], content: bytes, budget: list[int], depth: int
) -> Iterator[tuple[tuple[str, ...], bytes | None]]:
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            for member in archive.infolist():
                inside = (*parts, *(part for part in Path(member.filename).parts if part not in ("..", "/")))
                if member.is_dir() or _beside(inside):
                    continue
                packed = inside[-1].lower().endswith(".zip")
                if member.file_size > (LARGEST if not packed else 10 * LARGEST) or member.file_size > budget[0]:
                    yield inside, None
                    continue
                budget[0] -= member.file_size
                data = archive.read(member)
                if packed and depth:
                    yield from _unpacked((*inside[:-1], Path(inside[-1]).stem), data, budget, depth - 1)
                else:
                    yield inside, data
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError):  # broken, or with a password
        yield (*parts, "unreadable archive"), None


def _beside(parts: tuple[str, ...]) -> bool:
    """Whether a file is one that programs leave beside what a person made."""
    return any(part.startswith(".") or part == "__MACOSX" for part in parts)
