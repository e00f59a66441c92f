"""Seconds for grading a class: `course grade` against nbgrader's own autograde, on the same submissions.

    python tests/benchmarks/grading_speed.py [--submissions 200] [--by-nbgrader 20]

Both give the same points, or the benchmark fails. nbgrader takes some 10 s a submission, so it grades only the first
of them.
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
    parser.add_argument("--by-nbgrader", type=int, default=20)
    counts = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        out, given = Path(folder) / "class", Path(folder) / "submissions"
        write_submissions(release("04", out), given, counts.submissions)
        started = time.perf_counter()
        grade("04", given, out)
        ours_s = (time.perf_counter() - started) / counts.submissions
        with (out / "grades.csv").open(newline="") as file:
            ours = {row["student"]: float(row["score"] or "nan") for row in csv.DictReader(file)}
        first = sorted(ours)[: counts.by_nbgrader]
        os.environ["OMP_NUM_THREADS"] = "1"
        by_nbgrader = nbgrader(out)
        started = time.perf_counter()
        with contextlib.redirect_stderr(io.StringIO()):
            said = [by_nbgrader.autograde("04", student) for student in first]
        theirs_s = (time.perf_counter() - started) / len(first)
        assert all(one["success"] for one in said), said
        with Gradebook(f"sqlite:///{out}/gradebook.db") as book:
            theirs = {student: book.find_submission("04", student).score for student in first}
    different = {student: (ours[student], theirs[student]) for student in first if ours[student] != theirs[student]}
    assert not different, different
    print(f"course grade         {ours_s:8.2f} s each, of {counts.submissions}")
    print(f"nbgrader autograde   {theirs_s:8.2f} s each, of {len(first)}")
    print(f"the same points for each of these; {theirs_s / ours_s:.1f} times faster on {os.cpu_count()} cores")


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
