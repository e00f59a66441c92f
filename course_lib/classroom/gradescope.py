"""Gradescope: an autograder archive that grades a release there, and the program that runs in its container.

Source of names and formats: Gradescope's documentation, "Autograder Specifications".
"""

import json
import shutil
import subprocess
import sys
import tempfile
import time
import zipfile
from pathlib import Path
from typing import Any

from course_lib.classroom.assignment import Assignment, assignment
from course_lib.classroom.feedback import task_feedback
from course_lib.classroom.grade import grade
from course_lib.classroom.sandbox import PACKAGE
from course_lib.exercises.page import frames
from course_lib.files import as_path, write_atomically

SETUP = """\
#!/usr/bin/env bash
set -e
apt-get update
apt-get install -y python3-venv bubblewrap
cd "$(dirname "$0")/course"
python3 -m course_lib.install notebooks,classroom
"""
RUN = """\
#!/usr/bin/env bash
cd "$(dirname "$(readlink -f "$0")")"
exec source/course/.venv/bin/python -m course_lib.classroom.gradescope
"""
NEEDED = ("course_lib", "notebooks/source", "pyproject.toml", "requirements.lock", "README.md", "LICENSE")
STUDENTS = ("missing", "unreadable", "wrong assignment")  # whoever hands in can mend these, and hand in again


def autograder(out: str | Path) -> Path:
    """Write the autograder of the release in `out` as gradescope-NAME.zip.

    Raises:
        FileNotFoundError: nothing was released there, or the course's files are not here.
        ValueError: several assignments were released there.
    """
    out, clone = as_path(out, "out"), PACKAGE.parent
    released = sorted((out / "release").glob("*/*.ipynb"))
    if not released:
        if any((out / "release").glob("*/*/*.ipynb")):
            raise ValueError(
                f"{out}: holds a page for each student, and in Gradescope's containers there is no roster; release one "
                "for all, or grade what Gradescope exports by `course grade --variant each`."
            )
        raise FileNotFoundError(f"{out}: no release there; `course release` makes one.")
    if len(released) > 1:
        names = ", ".join(path.parent.name for path in released)
        raise ValueError(f"{out}: holds {names}; release the one for Gradescope into a folder of its own.")
    if missing := [name for name in NEEDED if not (clone / name).exists()]:
        raise FileNotFoundError(f"{clone}: no {missing[0]}; make the archive in a clone of the course.")
    metadata = json.loads(released[0].read_text(encoding="utf-8"))["metadata"]["course"]
    if metadata["lesson"] not in frames():
        raise ValueError(
            f"{out}: holds tasks of your own, whose answers students could read in Gradescope's containers; "
            "use `course grade --tasks`."
        )
    files = [path for name in NEEDED for path in [clone / name, *sorted((clone / name).rglob("*"))] if path.is_file()]
    archive = out / f"gradescope-{released[0].parent.name}.zip"

    def write(path: Path) -> None:
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as packed:
            for name, text in {
                "setup.sh": SETUP,
                "run_autograder": RUN,
                "assignment.json": json.dumps(metadata),
            }.items():
                entry = zipfile.ZipInfo(name, time.localtime()[:6])
                entry.external_attr = 0o100755 << 16
                packed.writestr(entry, text)
            for file in files:
                if "__pycache__" not in file.parts:
                    packed.write(file, Path("course") / file.relative_to(clone))

    write_atomically(archive, write)
    return archive


def results(record: dict[str, Any], page: Assignment, seconds: float) -> dict[str, Any]:
    """A record in the form of Gradescope's results.json."""
    tests = [
        {
            "number": number,
            "name": f"{number} {page.tasks[number].title}",
            "score": result["points"],
            "max_score": page.points[number],
            "status": "passed" if result["points"] else "failed",
            "output": task_feedback(number, result, page),
            "output_format": "html",
        }
        for number, result in record["tasks"].items()
        if number in page.tasks
    ]
    by_hand = [f"{page.question.number} is graded by hand."] if page.question else []
    output = "\n".join([*(record["reasons"] or ["Every task was checked."]), *by_hand])
    return {"output": output, "output_format": "text", "execution_time": round(seconds), "tests": tests}


def main(folder: Path) -> None:
    """Grade `folder`/submission by `folder`/source/assignment.json, and write `folder`/results/results.json, last.

    Without results Gradescope tells student and teacher that the autograder failed: no points are lost by that.
    """
    metadata, start = json.loads((folder / "source" / "assignment.json").read_text(encoding="utf-8")), time.monotonic()
    with tempfile.TemporaryDirectory() as temporary:
        work = Path(temporary)
        shutil.copytree(folder / "submission", work / "in" / "submission", ignore=_links)
        (work / "roster.csv").write_text("student\nsubmission\n", encoding="utf-8")
        (record,) = grade(
            metadata["lesson"],
            work / "in",
            work / "out",
            roster=work / "roster.csv",
            variant=metadata["variant"],
            question=bool(metadata.get("question")),
            sandboxed=_makes_sandboxes(),
        )
    if record["score"] is None and record["status"] not in STUDENTS:
        sys.exit(f"not graded ({record['status']}): {'; '.join(record['reasons'])}")
    page = assignment(metadata["lesson"], metadata["variant"], question=bool(metadata.get("question")))
    text = json.dumps(results(record, page, time.monotonic() - start))
    (folder / "results").mkdir(exist_ok=True)
    write_atomically(folder / "results" / "results.json", lambda path: path.write_text(text, encoding="utf-8"))


def _links(folder: str, names: list[str]) -> list[str]:
    return [name for name in names if Path(folder, name).is_symlink()]


def _makes_sandboxes() -> bool:
    """Whether bubblewrap may make a sandbox in this container; each submission has a container of its own anyway."""
    if not shutil.which("bwrap"):
        return False
    return not subprocess.run(["bwrap", "--unshare-pid", "--ro-bind", "/", "/", "true"], capture_output=True).returncode


if __name__ == "__main__":
    main(Path.cwd())
