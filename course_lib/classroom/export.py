"""Grades and feedback in the form that a learning platform imports."""

import html
import json
import re
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from course_lib.classroom.moodle import feedback_name, worksheet
from course_lib.classroom.overrides import BY_HAND
from course_lib.classroom.platforms import ANONYMOUS, CANVAS
from course_lib.classroom.rosters import digits, is_canvas, students_of
from course_lib.classroom.summary import STRANGER
from course_lib.classroom.tables import read_file, read_table, unquoted, write_table
from course_lib.files import as_path, write_atomically

Format = Literal["canvas", "moodle", "csv"]
Grade = dict[str, str]
Table = list[list[str]]
NEEDED = ("student", "name", "score", "max_score", "status", "reason", "comment", "file")  # columns of grades.csv
# lib/gradebook_importer.rb: what comes before the assignments; all else of a gradebook stays at home
CANVAS_ABOUT = {
    *("Student", "LastName", "FirstName", "ID", "SIS User ID", "SIS Login ID", "Integration ID", "Root Account"),
    "Section",
}


@dataclass(frozen=True)
class Exported:
    """The files to upload, and what the teacher must know of them."""

    files: list[Path]
    notes: list[str]


def export_grades(out: str | Path, form: Format, column: str | None = None) -> Exported:
    """Write the grades in `out` as canvas.csv, moodle.csv or csv.csv, and feedback-canvas.zip or feedback-moodle.zip.

    Canvas and Moodle know their students by columns of their own, so `course grade` must have been given their file as
    the roster. Who was not graded, or is still to be graded by hand, keeps what that file holds, which is nothing in a
    new assignment.

    Args:
        out: the folder of `course grade`.
        form: who is to read it.
        column: of Canvas's gradebook, such as "Homework 4 (5555)"; needed if it is not called Exercises.

    Raises:
        FileNotFoundError: nothing was graded there.
        ValueError: the roster was not that platform's, or has no such column; or a file in `out` is broken.
    """
    out = as_path(out, "out")
    if not (out / "grades.csv").exists():
        raise FileNotFoundError(f"{out}: no grades there; `course grade` makes them.")
    try:
        grading = json.loads(read_file(out / "grading.json", "what `course grade` writes there"))
    except ValueError as error:
        raise ValueError(f"{out / 'grading.json'}: is broken ({error}); grade again, into another folder.") from None
    header, *rows = read_table(out / "grades.csv") or [[]]
    if missing := [name for name in NEEDED if name not in header]:
        raise ValueError(
            f"{out / 'grades.csv'}: no column {missing[0]!r}; run `course grade` again, which writes it anew."
        )
    grades = [dict(zip(header, map(unquoted, row), strict=True)) for row in rows]
    for grade in grades:
        if grade["status"] == BY_HAND:
            grade["score"] = ""  # it is not out of all points yet
    title, path, notes = f"Exercises {int(grading['lesson'])}", out / f"{form}.csv", [*_newer(out), *_notes(grades)]
    if form == "csv":
        names = ("student", "name", "score")
        write_table(path, [["student", "name", title], *([grade[name] for name in names] for grade in grades)])
        return Exported([path], notes)
    graded = {grade["student"]: grade for grade in grades if grade["score"]}
    if form == "canvas":
        write_table(path, _canvas(out, grading["roster"], graded, title, column))
    else:
        sheet, with_comment = _moodle(out, grading["roster"], graded, title)
        write_table(path, sheet)
        if with_comment:
            notes.append(
                f"your own comment stays in the worksheet, and ours is not beside it: {', '.join(with_comment)}"
            )
    if form == "canvas" and graded and _canvas_column(grading["roster"][0], title, column) is None:
        notes.append(f'no "{title}" in the gradebook, so Canvas will make a new assignment; for yours say --column')
    ids = {student.id: digits(grading["roster"][student.row][0]) for student in students_of(grading["roster"])}
    pages, nowhere = {}, []
    for grade in grades:
        name = _canvas_name(grade) if form == "canvas" else _moodle_name(grade, ids)
        if name and grade["file"]:
            pages[name] = out / "feedback" / f"{grade['student']}.html"
        elif grade["file"]:
            nowhere.append(grade["student"])
    archive = out / f"feedback-{form}.zip"
    pack_files(archive, pages)
    notes += [f"no file on {form.title()} to which this feedback belongs: {', '.join(nowhere)}"] if nowhere else []
    return Exported([path, archive], notes)


def _newer(out: Path) -> list[str]:
    """What was set by hand since the grades were written."""
    written = (out / "grades.csv").stat().st_mtime
    sources = [out / name for name in ("overrides.csv", "late.toml", "gradebook.db")]
    changed = [path.name for path in sources if path.exists() and path.stat().st_mtime > written]
    return [f"{name} was changed after these grades; run `course grade` again, and then this" for name in changed]


def _notes(grades: list[Grade]) -> list[str]:
    """How many have no grade, and why; who is no student of the roster."""
    notes = []
    reasons: dict[str, list[str]] = {}
    for grade in grades:
        if not grade["score"]:
            reasons.setdefault(grade["status"], []).append(grade["student"])
    for status, students in reasons.items():
        notes.append(f"left blank: {len(students)} {status}: {', '.join(students)}")
    strangers = [grade["student"] for grade in grades if STRANGER in grade["reason"].split("; ")]
    if strangers:
        notes.append(f"not in the roster, so not exported: {', '.join(strangers)}")
    return notes


def _moodle(out: Path, table: Table, graded: dict[str, Grade], title: str) -> tuple[Table, list[str]]:
    """The teacher's worksheet with grades, out of its own maximum, and with comments where there were none.

    Also the students who have a comment of the teacher's own there, which stays.
    """
    sheet = worksheet(table)
    if sheet is None:
        raise _other_roster(out, "Moodle's grading worksheet")
    rows, with_comment = [list(row) for row in table], []
    for student in students_of(table):
        if grade := graded.get(student.id):
            row = rows[student.row]
            row[sheet.grade] = sheet.scaled(row, float(grade["score"]) / float(grade["max_score"]))
            if sheet.feedback is None:
                continue
            if row[sheet.feedback].partition(":")[0] in ("", title):
                row[sheet.feedback] = _comment(grade, title)
            else:
                with_comment.append(student.id)
    return rows, with_comment


def _comment(grade: Grade, title: str) -> str:
    tasks = ", ".join(f"{name}: {cell}" for name, cell in grade.items() if cell and re.fullmatch(r"\d\d\.\w+", name))
    parts = [f"{grade['score']} of {grade['max_score']} points", tasks, grade["reason"], grade["comment"]]
    sentences = [part[:1].upper() + part[1:] + "." * (part[-1] not in ".!?") for part in parts if part]
    return f"{title}: {_escaped(' '.join(sentences))}"


def _escaped(text: str) -> str:
    return html.escape(text, quote=False).replace("\\", "&#92;")  # before a quote, PHP reads a backslash as an escape


def _canvas(out: Path, table: Table, graded: dict[str, Grade], title: str, column: str | None) -> Table:
    """The gradebook's columns that say who a student is, and the assignment's own column, or else a new one."""
    if not is_canvas(table):
        raise _other_roster(out, "Canvas's exported gradebook")
    header = table[0]
    student_columns = [index for index, name in enumerate(header) if name in CANVAS_ABOUT]
    target = _canvas_column(header, title, column)
    max_score = float(next(iter(graded.values()))["max_score"]) if graded else 0
    points_row = next((row for row in table if "Points Possible" in row[0]), None)
    points = points_row[target] if points_row and target is not None else ""
    if "read only" in points:
        raise ValueError(f"Canvas's column {header[target or 0]!r} is read only; name another one with --column.")
    possible = float(points) if re.fullmatch(r"\d+(\.\d+)?", points) else max_score
    rows = [[*(header[index] for index in student_columns), title if target is None else header[target]]]
    rows.append(["    Points Possible", *[""] * (len(student_columns) - 1), f"{possible:g}"])
    for student in students_of(table):
        row, grade = table[student.row], graded.get(student.id)
        previous = "" if target is None else row[target]
        score = f"{round(float(grade['score']) * possible / max_score, 2):g}" if grade else previous
        rows.append([*(row[index] for index in student_columns), score])
    return rows


def _canvas_column(header: list[str], title: str, column: str | None) -> int | None:
    """Where the assignment's column is; None if there is none, and Canvas will make a new assignment."""
    titles = [re.sub(r"\s\(\d+\)$", "", name).casefold() for name in header]  # Assignment.title_and_id
    target = (column or title).casefold()
    matches = [index for index, name in enumerate(header) if target in (name.casefold(), titles[index])]
    if len(matches) > 1:
        several = ", ".join(header[index] for index in matches)
        raise ValueError(f"the gradebook has {len(matches)} columns {target!r}: {several}; name one with --column.")
    if column and not matches:
        raise ValueError(f"--column {column!r}: not in the gradebook; it has {', '.join(header)}.")
    return matches[0] if matches else None


def _other_roster(out: Path, needed: str) -> ValueError:
    return ValueError(
        f"{out}: graded without {needed}, by whose columns it knows its students; grade again with --roster and that "
        "file: what is graded already stays as it is."
    )


def _moodle_name(grade: Grade, ids: dict[str, str]) -> str:
    """A name with Moodle's number of the student; "" for whoever is not in the worksheet."""
    number = ids.get(grade["student"])
    return feedback_name(grade["name"], number, "feedback.html") if number else ""


def _canvas_name(grade: Grade) -> str:
    """A name with the numbers of student and file, by which Canvas knows what is uploaded again."""
    match = ANONYMOUS.match(grade["file"]) or CANVAS.match(grade["file"])
    if not match or not match["attachment"]:
        return ""
    return f"{grade['file'][: match.end('attachment')]}_feedback.html"


def pack_files(archive: Path, files: dict[str, Path]) -> None:
    """Write a zip with each file under a name of its own."""

    def write(path: Path) -> None:
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as packed:
            for name, file in files.items():
                packed.write(file, name)

    write_atomically(archive, write)
