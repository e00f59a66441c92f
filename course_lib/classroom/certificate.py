"""A certificate: a learner's answers in one file, which anybody can run again on inputs that are drawn anew.

The file is JSON: `certificate`, the number of its format; `about`, what it proves; `name` of the learner, `date` and
`versions`; `pages`, each a notebook without texts and outputs, with the tasks that it `claims` to solve and the `seed`
of the inputs that they were checked with; and `sha256`, a hash of all this.
"""

import contextlib
import datetime
import hashlib
import json
import platform
import secrets
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch

from course_lib import __version__
from course_lib.classroom.archives import File, files
from course_lib.classroom.assignment import Assignment, assignment
from course_lib.classroom.grade import Grader, Record, processors
from course_lib.classroom.plain import read_json, readable
from course_lib.classroom.reading import answered, read_answers, variant_of
from course_lib.classroom.rosters import Student
from course_lib.classroom.sandbox import Sandbox
from course_lib.classroom.submissions import Submission
from course_lib.classroom.versions import newest
from course_lib.exercises.page import frames
from course_lib.files import as_path, write_text
from course_lib.set_up import without_set_up

FORMAT = 1
LARGEST = 1_000_000  # bytes
LONGEST = 100  # letters of a name
ABOUT = (
    "The code on these pages solves the tasks that they claim; `course certificate --verify FILE` tries it again, on "
    "other inputs. If the file was changed, its hash no longer fits, unless a new one was computed. "
    "This proves what the code does, not who wrote it."
)


@dataclass(frozen=True)
class Claim:
    """What came of a task: whether it is claimed, whether it holds (None if no verdict came), and why not."""

    task: str
    claimed: bool
    holds: bool | None
    reason: str

    def __str__(self) -> str:
        verdict = "holds" if self.holds else "not verified" if self.holds is None else "does not hold"
        verdict = verdict if self.claimed else "not claimed"
        return f"{self.task}: {verdict}" + (f" ({self.reason})" if self.reason else "")


def make_certificate(
    name: str, paths: Sequence[Path], out: str | Path, *, seconds: float = 20, sandboxed: bool = True
) -> list[Claim]:
    """Check a learner's answers as grading does, and write the pages on which a task is solved.

    Args:
        name: of the learner.
        paths: notebooks, and folders of notebooks; of several with the same exercises the newest counts.
        out: the file to write.
        seconds: the longest that a cell or a task may run, without the time in which it had no processor.
        sandboxed: False to run the answers as your own programs.

    Raises:
        FileNotFoundError: no such notebook or folder, or no sandbox.
        ValueError: no name, no answers, none that is right, or more than a certificate holds.
    """
    name, out = readable(name.strip(), LONGEST), as_path(out, "out")
    if not name:
        raise ValueError('a certificate names the learner, and no name was given; add --name "Your Name".')
    if out.suffix != ".json":
        raise ValueError(f"--out {out}: a certificate is a JSON file; choose a name that ends with .json.")
    pages, claims = [], list[Claim]()
    for page, content in _answered_pages(paths):
        codes = [without_set_up(code).strip() for _, code in read_answers(content, page).cells]
        page_content, page_claims = _run_page(
            page, [code.splitlines(keepends=True) for code in codes if code], None, seconds, sandboxed
        )
        pages += [page_content] if page_content["claims"] else []
        claims += page_claims
    if not pages:
        raise ValueError(f"no task is solved yet, so there is nothing to certify: {'; '.join(map(str, claims))}.")
    versions = {"course": __version__, "python": platform.python_version(), "torch": str(torch.__version__)}
    header = {"certificate": FORMAT, "about": ABOUT, "name": name, "date": datetime.date.today().isoformat()}
    text = json.dumps(sealed({**header, "versions": versions, "pages": pages}), indent=1) + "\n"
    if len(text) > LARGEST:
        raise ValueError(
            f"a certificate may have {LARGEST:,} bytes, and this one would have {len(text):,}; delete long cells."
        )
    write_text(out, text)
    return claims


def read_certificate(path: str | Path, name: str = "") -> dict[str, Any]:
    """What a certificate holds, if it is as it was written, and of the learner with this name, if one is given.

    Raises:
        ValueError: no such file, or no certificate, a changed one, another learner's, or one of a newer format.
    """
    path, name, certificate = as_path(path), readable(name.strip(), LONGEST), None
    if not path.is_file() or path.stat().st_size > LARGEST:
        problem = "this is a folder" if path.is_dir() else "there is no such file"
        problem = (
            f"this file has more than the {LARGEST:,} bytes that a certificate may have" if path.is_file() else problem
        )
        raise ValueError(f"{path}: {problem}; name the certificate to verify.")
    content = path.read_bytes()
    with contextlib.suppress(ValueError, RecursionError):
        certificate = read_json(content, LARGEST)
    if certificate is None and b'"certificate"' in content[:200]:
        raise ValueError(f"{path}: this certificate is broken or cut short; ask for the whole file.")
    if not isinstance(certificate, dict) or not isinstance(certificate.get("certificate"), int):
        raise ValueError(f"{path}: this is not a certificate; name a file that `course certificate` wrote.")
    if certificate["certificate"] > FORMAT:
        raise ValueError(
            f"{path}: this certificate has format {certificate['certificate']}, and this version of the course reads "
            f"formats up to {FORMAT}; update the course."
        )
    if sealed(certificate) != certificate:
        raise ValueError(f"{path}: this certificate was changed after it was made; ask for the original file.")
    if name not in ("", certificate.get("name")):
        owner = readable(certificate.get("name"))
        raise ValueError(f"{path}: this is {owner}'s certificate, not {name}'s; check the name, or ask for {name}'s.")
    return certificate


def verify_certificate(certificate: dict[str, Any], *, seconds: float = 20, sandboxed: bool = True) -> list[Claim]:
    """Run the answers of a certificate in the sandbox of grading, on inputs drawn anew, and say what came of each task.

    Args:
        certificate: from `read_certificate`.
        seconds: the longest that a cell or a task may run, without the time in which it had no processor.
        sandboxed: False to run what a stranger wrote as your own programs.

    Raises:
        FileNotFoundError: no sandbox.
        ValueError: it claims nothing, or has a page that the course did not write.
    """
    try:
        with_metadata = [(page, page["metadata"]["course"]) for page in certificate["pages"]]
        pages = [assignment(readable(metadata["lesson"], 10), metadata["variant"]) for _, metadata in with_metadata]
        sources = [[cell["source"] for cell in page["cells"]] for page, _ in with_metadata]
        runs = list(zip(pages, sources, [set(page["claims"]) for page, _ in with_metadata], strict=True))
    except (KeyError, TypeError, AttributeError):
        raise ValueError(
            "this certificate has pages that the course did not write; ask for the original file."
        ) from None
    claims = [claim for run in runs for claim in _run_page(*run, seconds, sandboxed)[1]]
    if not any(claim.claimed for claim in claims):
        raise ValueError("this certificate claims no solved task, so there is nothing to verify; ask for another.")
    return claims


def sealed(content: dict[str, Any]) -> dict[str, Any]:
    """The content of a certificate with its hash. There is no secret in it: anybody can do the same."""
    content = {key: value for key, value in content.items() if key != "sha256"}
    canonical = json.dumps(content, sort_keys=True, separators=(",", ":"))
    return {**content, "sha256": hashlib.sha256(canonical.encode()).hexdigest()}


def _answered_pages(paths: Sequence[Path]) -> Iterator[tuple[Assignment, bytes]]:
    """Each page that is answered in any of the places, and the newest notebook that does."""
    pages, files_by_lesson = [assignment(lesson) for lesson in frames()], dict[str, list[File]]()
    for path in paths:
        if not path.exists():
            raise FileNotFoundError(f"{path}: no such notebook or folder; name the one with your answers.")
        notebooks = [file for file in files(path) if file.notebook]
        answered_files = [
            (page.lesson, file) for file in notebooks for page in pages if answered(file.content or b"", page) > 0
        ]
        if not answered_files:
            raise ValueError(
                f"{path}: no answers to the course's exercises in it; solve a task, or name the notebook with yours."
            )
        for lesson, file in answered_files:
            files_by_lesson.setdefault(lesson, []).append(file)
    for page in (page for page in pages if page.lesson in files_by_lesson):
        content = newest(files_by_lesson[page.lesson], page.stem, partial(answered, page=page)).content or b""
        yield assignment(page.lesson, variant_of(content)), content


def _run_page(
    page: Assignment, sources: list[Any], claimed: set[str] | None, seconds: float, sandboxed: bool
) -> tuple[dict[str, Any], list[Claim]]:
    """Answers as a page that claims what grading, on inputs drawn anew, finds solved; and what came of each task."""
    cells = [{"cell_type": "code", "source": source} for source in sources]
    notebook = {"metadata": {"course": {"lesson": page.lesson, "variant": page.variant}}, "cells": cells}
    grader, handed_in = Grader(page, secrets.randbits(62)), Submission(Student("", ""), json.dumps(notebook).encode())
    with Sandbox(page.lesson, seconds=seconds, sandboxed=sandboxed, processor=processors()[0]) as box:
        record = grader.record(box, handed_in, None, page=page, only=None)
    solved = [number for number in page.tasks if record["tasks"][number]["points"]]
    claimed = set(solved) if claimed is None else claimed
    numbers = [*page.tasks, *sorted(claimed - set(page.tasks), key=str)]
    claims = [_claim(page, number, record, number in claimed) for number in numbers]
    return {"claims": solved, "seed": grader.seed(record["submission"]), **notebook}, claims


def _claim(page: Assignment, number: str, record: Record, claimed: bool) -> Claim:
    """What grading says of a task. A run without a verdict says nothing against the answer."""
    if number not in page.tasks:
        return Claim(readable(number, 10), claimed, None, "no task of this version of the course")
    result, task = record["tasks"][number], f"{number} {page.tasks[number].title}"
    if record["status"] != "graded":
        return Claim(task, claimed, None, record["reasons"][0])
    if result["points"]:
        return Claim(task, claimed, True, "")
    reason = dict(result["findings"]).get("found", "") if result["public"] == "incorrect" else result["reason"]
    refused = result["public"] in ("incorrect", "not attempted") or (result["public"] == "correct" and result["reason"])
    return Claim(task, claimed, False if refused else None, reason or result["public"])
