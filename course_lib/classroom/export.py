"""Grades in the form that a learning platform imports."""

import csv
import json
from pathlib import Path
from typing import Literal

from course_lib.files import as_path, write_atomically

Format = Literal["canvas", "moodle", "csv"]
COLUMNS = {
    "canvas": ["Student", "ID", "SIS User ID", "SIS Login ID", "Section"],
    "moodle": ["Identifier", "Full name", "Email address"],
}


def export_grades(out: str | Path, form: Format) -> Path:
    """Write the grades in `out` as canvas.csv, moodle.csv or csv.csv, for upload.

    Canvas and Moodle know their students by columns of their own, so `course grade` must have been given their file as
    the roster.

    Raises:
        FileNotFoundError: nothing was graded there.
        ValueError: the roster was not that platform's.
    """
    out = as_path(out, "out")
    about = out / "grading.json"
    if not (out / "grades.csv").exists():
        raise FileNotFoundError(f"{out}: no grades there; `course grade` makes them.")
    held = json.loads(about.read_text(encoding="utf-8"))
    with (out / "grades.csv").open(newline="", encoding="utf-8") as file:
        grades = list(csv.DictReader(file))
    title = f"Exercises {int(held['lesson'])}"
    if form == "csv":
        header = ["student", "name", title]
        rows = [[grade["student"], grade["name"], grade["score"]] for grade in grades]
    else:
        from course_lib.classroom.submissions import roster_of

        score = {grade["student"]: grade["score"] for grade in grades}
        students = roster_of(held["roster"])
        columns = [column for column in COLUMNS[form] if students and column in students[0].row]
        if columns[:2] != COLUMNS[form][:2]:
            file_of = {"canvas": "Canvas's exported gradebook", "moodle": "Moodle's grading worksheet"}[form]
            raise ValueError(
                f"{out}: grade with --roster and {file_of}; {form} knows its students by that file's columns."
            )
        header = [*columns, title if form == "canvas" else "Grade"]
        rows = [[*(student.row[column] for column in columns), score[student.id]] for student in students]
        if form == "canvas":
            most = sum(held["points"].values())
            rows.insert(0, ["    Points Possible", *[""] * (len(columns) - 1), most])
    path = out / f"{form}.csv"

    def table(written: Path) -> None:
        with written.open("w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows([header, *rows])

    write_atomically(path, table)
    return path
