"""The class: who is in it, and what a student's submission may be called."""

import hashlib
import re
import unicodedata
from dataclasses import dataclass
from pathlib import Path

from course_lib.classroom.moodle import worksheet
from course_lib.classroom.tables import read_table

LONGEST = 100  # bytes of a name, so that files can have it


@dataclass(frozen=True)
class Student:
    """A row of the roster, or whoever else handed something in.

    Attributes:
        id: what grades and files are named by.
        name: as the roster writes it.
        keys: what this student's submission may be called by.
        row: its place in the roster's table.
        late: by how much the submission was late, in the words of Moodle's worksheet.
    """

    id: str
    name: str
    keys: frozenset[str] = frozenset()
    row: int = 0
    late: str = ""


def read_roster(path: str | Path) -> list[Student]:
    """Students of a CSV file: with the columns student and name, or Canvas's gradebook, or Moodle's grading worksheet.

    Raises:
        OSError: it cannot be read.
        ValueError: none of the three, no students in it, or two rows with the same student.
    """
    table = read_table(path)
    students = students_of(table)
    if not students and len(table) == 1:
        raise ValueError(f"{path}: no students; below its headings ({', '.join(table[0])}) there is no row. Add them.")
    if not students:
        columns = ", ".join(table[0]) if table else "none"
        raise ValueError(
            f"{path}: no students; a roster has the columns student and name, or is Canvas's exported gradebook or "
            f"Moodle's grading worksheet. Columns found: {columns}."
        )
    ids = [student.id.casefold() for student in students]  # as file systems compare them
    if twice := next((student.id for student in students if ids.count(student.id.casefold()) > 1), None):
        raise ValueError(f"{path}: {twice} is in two rows; each student needs a row of their own.")
    return students


TEST_STUDENT = "Student, Test"  # Canvas's own, for a teacher to look around as


def students_of(table: list[list[str]]) -> list[Student]:
    """The students of a roster's table, in its order."""
    if not table:
        return []
    if is_canvas(table):
        numbers = table[0].index("ID")
        student_rows = [index for index, row in enumerate(table) if row[numbers].isdigit() and TEST_STUDENT not in row]
        return [_canvas(table[0], table[index], index) for index in student_rows]
    header = [column.casefold() for column in table[0]]
    if "student" in header:
        rows = [dict(zip(header, row, strict=True)) | {"": str(index)} for index, row in enumerate(table)][1:]
        return [
            _student([row["student"]], row.get("name", ""), row.get("email", ""), row=int(row[""]))
            for row in rows
            if row["student"]
        ]
    if sheet := worksheet(table):
        email = [row[sheet.email] if sheet.email else "" for row in table]
        return [
            _student([email[index], digits(row[0])], row[sheet.name], row=index, late=sheet.late(row))
            for index, row in enumerate(table)
            if index
        ]
    return []


def is_canvas(table: list[list[str]]) -> bool:
    """Whether it is a gradebook that Canvas exported; Canvas does not translate these columns."""
    return bool(table) and {"ID", "Section"} <= set(table[0]) and table[0][0] in ("Student", "LastName")


def digits(identifier: str) -> str:
    """Moodle's number of a participant; the word before it depends on the language."""
    return re.sub(r"^.*?(\d+)$", r"\1", identifier)


def find(name: str, students: list[Student]) -> Student | None:
    """The one student that a name, an id or an address belongs to."""
    matches = [student for student in students if key(name) in student.keys]
    return matches[0] if len(matches) == 1 else None


def key(name: str) -> str:
    """A name without all that platforms and file systems change in it."""
    plain = unicodedata.normalize("NFKD", name.casefold())
    return "".join(letter for letter in plain if letter.isalnum())


def safe(name: str) -> str:
    """A student's name that a file can have."""
    plain = re.sub(r"[^\w.@-]", "_", name).strip("._") or "nameless"
    if len(plain.encode()) <= LONGEST:
        return plain
    return f"{plain.encode()[:LONGEST].decode(errors='ignore')}-{mark(name)}"


def mark(name: str) -> str:
    """A few letters that tell two names apart of which files can have the same part only."""
    return hashlib.sha256(name.encode(errors="replace")).hexdigest()[:8]


def _canvas(header: list[str], cells: list[str], index: int) -> Student:
    row = dict(zip(header, cells, strict=True))
    name = row.get("Student") or f"{row['LastName']}, {row['FirstName']}"
    return _student([row.get("SIS Login ID", ""), row["ID"], row.get("SIS User ID", "")], name, row=index)


def _student(ids: list[str], name: str, *others: str, row: int, late: str = "") -> Student:
    """A student named by the first id that there is; "Doe, Jane" may also be called Jane Doe or Doe Jane."""
    student_id = next(filter(None, ids), name)
    last, _, first = (part.strip() for part in name.partition(","))
    names = {name, f"{first} {last}", f"{last} {first}"}
    if not first and " " in name:
        names.add(f"{name.rpartition(' ')[2]} {name.rpartition(' ')[0]}")
    keys = frozenset(filter(None, map(key, [*ids, *names, *others])))
    return Student(safe(student_id), name or student_id, keys, row, late)
