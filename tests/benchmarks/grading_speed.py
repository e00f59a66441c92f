"""Seconds for grading a class: `course grade` against nbgrader's own autograde, on the same submissions.

python tests/benchmarks/grading_speed.py [--submissions 200]

Both give the same points, or the benchmark fails. nbgrader takes some 10 s a submission, so that all of it takes half
an hour.
"""

import argparse
import contextlib
import csv
import io
import os
import tempfile
import time
from pathlib import Path

import nbformat
from nbgrader.api import Gradebook

from course_lib.classroom.assignment import assignment
from course_lib.classroom.grade import grade
from course_lib.classroom.release import nbgrader, release


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--submissions", type=int, default=200)
    count = parser.parse_args().submissions
    with tempfile.TemporaryDirectory() as folder:
        out, given = Path(folder) / "class", Path(folder) / "submissions"
        write_submissions(release("04", out), given, count)
        started = time.perf_counter()
        grade("04", given, out)
        ours_s = time.perf_counter() - started
        with (out / "grades.csv").open(newline="") as file:
            ours = {row["student"]: float(row["score"] or "nan") for row in csv.DictReader(file)}
        os.environ["OMP_NUM_THREADS"] = "1"
        started = time.perf_counter()
        with contextlib.redirect_stderr(io.StringIO()):
            said = nbgrader(out).autograde("04", "*")
        theirs_s = time.perf_counter() - started
        assert said["success"], said
        with Gradebook(f"sqlite:///{out}/gradebook.db") as book:
            theirs = {student: book.find_submission("04", student).score for student in ours}
    assert ours == theirs, {
        student: (ours[student], theirs[student]) for student in ours if ours[student] != theirs[student]
    }
    for name, seconds in (("course grade", ours_s), ("nbgrader autograde", theirs_s)):
        print(f"{name:20} {seconds:8.1f} s in all {seconds / count:8.2f} s each")
    print(
        f"{count} submissions, the same points for each; {theirs_s / ours_s:.1f} times faster on {os.cpu_count()} cores"
    )


def write_submissions(released: Path, folder: Path, count: int) -> None:
    """Students who have solved all tasks, all but one of them, or none."""
    page = assignment("04")
    tasks = [place for place, cell in enumerate(page.source.cells) if cell.metadata.get("nbgrader", {}).get("solution")]
    for number in range(count):
        notebook = nbformat.read(released, as_version=4)
        left_out = number % (len(tasks) + 2) - 1  # none, each of them, all
        for task, place in enumerate(tasks):
            if left_out < len(tasks) and task != left_out:
                notebook.cells[place].source = page.source.cells[place].source
        path = folder / f"student-{number:03}" / released.name
        path.parent.mkdir(parents=True)
        nbformat.write(notebook, path)


if __name__ == "__main__":
    main()
