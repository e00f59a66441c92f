"""Grading: each submission runs in a sandbox, and is judged outside of it."""

import hashlib
import json
import os
import queue
import secrets
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

from course_lib.classroom.assignment import EACH, Assignment, assignment, own_pages
from course_lib.classroom.feedback import NOT_RUN
from course_lib.classroom.overrides import counted
from course_lib.classroom.plain import from_json, readable
from course_lib.classroom.prose import read_prose, ungraded
from course_lib.classroom.reading import UnfitError, answered, read_answers, variant_of
from course_lib.classroom.results import Results
from course_lib.classroom.rosters import read_roster
from course_lib.classroom.sandbox import PACKAGE, Sandbox, StoppedError
from course_lib.classroom.submissions import Submission, submissions
from course_lib.classroom.tables import read_table
from course_lib.exercises.engine import UnsoundError, fault, right_parts, verdict
from course_lib.exercises.task import Observation, Wrong, observation
from course_lib.files import as_path, make_folder, write_atomically

Record = dict[str, Any]
NOT_GRADED = "not graded"
MAX_FAILED_CELLS = 5  # named in the reasons
NO_PAGE = (
    "each student's page has other numbers, and who is not in the roster has no page: add a row with the id or name "
    "that the submission goes by, and grade again"
)


def grade(
    lesson: str,
    path: str | Path,
    out: str | Path,
    *,
    roster: str | Path | None = None,
    variant: int | Literal["each"] | None = None,
    task: str | None = None,
    own: str | Path | None = None,
    question: bool = False,
    seconds: float = 20,
    sandboxed: bool = True,
    on_graded: Callable[[Record], None] = lambda record: None,
) -> list[Record]:
    """Grade all submissions to the exercises of a lesson; what was graded before, and has not changed, is kept.

    Args:
        lesson: such as "04".
        path: the submissions, as `course_lib.classroom.submissions` takes them; they are only read.
        out: gets grades.csv, summary.md, a page of feedback for each student, and the submissions in nbgrader's layout;
            an overrides.csv or late.toml of the teacher's in it is heeded.
        roster: CSV file of the class; see `read_roster`.
        variant: of the release; "each" if each student of the roster has numbers of their own.
        task: grade this one again, and leave the others as they were, unless the submission has changed.
        own: the folder of a teacher's own tasks, if the release was of these.
        question: whether the release asks the page's question, which is graded by hand.
        seconds: the longest that a cell or a task may run, without the time in which it had no processor.
        sandboxed: False to run without a sandbox what strangers wrote.
        on_graded: called with each record as it comes.

    Returns:
        a record for each student: what the checks gave, as it is in `out`/records, with overrides and the late policy.
        The score is None for whoever was not graded; of those who are "to grade by hand" it is that of the tasks.

    Raises:
        OSError: no submissions, no sandbox, a file that cannot be read, or `out` cannot be written to.
        ValueError: no such lesson or task, no roster for "each", submissions in no archive, `out` holds something else,
            or overrides.csv or late.toml has a slip.
    """
    path, out = as_path(path), as_path(out, "out")
    page = assignment(lesson, None if variant == EACH else variant, own, question=question)
    if task is not None and task not in page.tasks:
        raise ValueError(f"task {task}: not in lesson {page.lesson}; its tasks are {', '.join(page.tasks)}.")
    if variant == EACH and not roster:
        raise ValueError("--variant each: whose page is whose follows from the roster; name it, --roster FILE.")
    students = read_roster(roster) if roster else []
    pages = own_pages(lesson, [student.id for student in students], own, question=question) if variant == EACH else None
    handed_in = submissions(path, students, page.stem, lambda notebook: _answered(notebook, page))
    grader = Grader(page, secret=_prepare(out, path, page, variant, read_table(roster) if roster else []))
    # slips are named before it runs
    results = Results(out, page, {submission.student.id for submission in handed_in}, pages)
    todo, done = [], []
    for submission in handed_in:
        record = _read_record(out, submission)
        settled = record and record["status"] != NOT_GRADED and record["submission"] == _digest(submission)
        if record and settled and task is None:
            done.append(record)
        else:
            todo.append((submission, record))
    records = {record["student"]: record for record in done}
    if todo:
        allowed = processors()[: len(todo)]
        with ExitStack() as stack, ThreadPoolExecutor(len(allowed)) as pool:
            writing = threading.Lock()
            boxes: queue.SimpleQueue[Sandbox] = queue.SimpleQueue()
            for number in allowed:
                box = Sandbox(page.lesson, page.folder, seconds=seconds, sandboxed=sandboxed, processor=number)
                boxes.put(stack.enter_context(box))

            def work(item: tuple[Submission, Record | None]) -> Record:
                box = boxes.get()
                student_page = page if pages is None else pages.get(item[0].student.id)
                try:
                    record = grader.record(box, *item, page=student_page, only=task)
                finally:
                    boxes.put(box)
                with writing:
                    _write_record(out, record, page, item[0].notebook)
                    on_graded(record)
                return record

            try:
                records |= {record["student"]: record for record in pool.map(work, todo)}
            except BaseException:
                pool.shutdown(cancel_futures=True)  # what is under way comes to its end, and the rest waits
                raise
    owners = {student_page.variant: student for student, student_page in (pages or {}).items()}
    for submission in handed_in:
        record = records[submission.student.id] = records[submission.student.id] | {
            "late": submission.late,
            "file": submission.file,
        }
        if record["status"] == "wrong assignment" and submission.notebook:
            owner = owners.get(variant_of(submission.notebook))
            record["page_of"] = owner if owner != submission.student.id else None
    return results.write([records[submission.student.id] for submission in handed_in])


def processors() -> list[int]:
    """Those that this process may use: each gets a sandbox, so that no submission takes another's time."""
    allowed = getattr(os, "sched_getaffinity", None)
    return sorted(allowed(0)) if allowed else list(range(os.cpu_count() or 1))


class Grader:
    """Says what a submission earns: knows the right observations, which no submission gets to see.

    Args:
        page: what all students were given, but perhaps for the numbers that a variant draws.
        secret: the inputs of hidden checks follow from it.
    """

    def __init__(self, page: Assignment, secret: int) -> None:
        self._page, self._secret, self._solutions = page, secret, page.solutions()

    def record(
        self,
        box: Sandbox,
        submission: Submission,
        previous: Record | None,
        *,
        page: Assignment | None,
        only: str | None,
    ) -> Record:
        """Grade one submission, or `only` one task of it if the others were graded `before`.

        `page` is the student's own; None if there is none for this student.
        """
        names = self._page.names
        record: Record = {
            "student": submission.student.id,
            "name": submission.student.name,
            "submission": _digest(submission),
            "status": "graded",
            "reasons": list(submission.remarks),
            "tasks": {number: _no_points(NOT_RUN) for number in self._page.tasks},
        }
        if self._page.question:
            record["tasks"][self._page.question.number] = ungraded(NOT_RUN)
        if only and previous and previous["score"] is not None and previous["submission"] == record["submission"]:
            record["tasks"], names = previous["tasks"], {only: names[only]}
        try:
            if submission.notebook is None:
                status = "missing" if not submission.remarks else "unreadable"
                raise UnfitError(status, "nothing was handed in" if status == "missing" else "")
            if page is None:
                raise UnfitError(NOT_GRADED, NO_PAGE)
            answers = read_answers(submission.notebook, page)
            record["reasons"] += answers.remarks
            if page.question:
                record["tasks"][page.question.number] = read_prose(submission.notebook, page)
            if not _answered(submission.notebook, page):
                record["reasons"].append("it answers no task, as if another copy had been handed in")
            seed = self.seed(record["submission"])
            report = box.run(answers.cells, names, seed)
            code = {str(index): readable(text.strip().partition("\n")[0], 40) for index, text in answers.cells}
            failed = [
                f"the cell `{code[index]}` failed: {readable(error)}"
                for index, error in report["errors"].items()
                if index in code
            ]
            record["reasons"] += failed[:MAX_FAILED_CELLS] + ["and more"] * (len(failed) > MAX_FAILED_CELLS)
            record["tasks"] |= {number: self._task(page, number, report["tasks"][number], seed) for number in names}
        except UnfitError as unfit:
            record["status"] = unfit.status
            record["reasons"] = [*filter(None, [str(unfit)]), *record["reasons"]]
        except StoppedError as stopped:
            record["status"] = NOT_GRADED
            record["reasons"].insert(0, f"it came to no end, tried again in fresh sandboxes: {stopped}")
        except UnsoundError as unsound:
            record["status"] = NOT_GRADED
            record["reasons"].insert(0, str(unsound))
        return counted(record, self._page.points)

    def seed(self, digest: str) -> int:
        """Of a submission's own: whatever it finds out of its inputs helps neither another student nor its next try."""
        return int.from_bytes(hashlib.sha256(f"{self._secret} {digest}".encode()).digest()[:7])

    def _task(self, page: Assignment, number: str, report: Any, seed: int) -> dict[str, Any]:
        """Points and reasons of one task; what the sandbox said of it may be anything."""
        try:
            if "stopped" in report:
                return _no_points(readable(report["stopped"]))
            public, findings = self._public(number, report)
            if "raised" in report:
                name = readable(report["raised"], 40)
                reason = f"with other inputs it raised {name}" if name != "Wrong" else "with other inputs it was wrong"
                return _no_points(reason, public=public, findings=findings)
            if "hidden" not in report:
                return _no_points("", public=public, findings=findings)
            hidden = _read_observation(report["hidden"])
        except Exception:  # of whatever kind a stranger thought of
            return _no_points("what its process reported is no report")
        task = page.tasks[number]
        reference = observation(task, self._solutions[number], seed)
        reference = replace(reference, default=page.defaults.get(number, reference.default))
        wrong = fault(task, hidden, reference, seed)
        checks = {"public": public, "hidden": not wrong, "reason": wrong, "findings": findings}
        if not wrong and public == "correct":
            return {"points": page.points[number]} | checks
        parts = right_parts(task, hidden, reference)
        reason = ". ".join(filter(None, [wrong, f"Right all the same: {', '.join(parts)}" if parts else ""]))
        return {"points": sum(task.worth[part] for part in parts)} | checks | {"reason": reason}

    def _public(self, number: str, report: Any) -> tuple[str, list[tuple[str, str]]]:
        """The verdict of the page's own check, and what is to be said of it."""
        observed = _read_observation(report["public"])
        if "state" in report:  # it failed in there
            findings = {label: readable(text, 600) for label, text in report["findings"]}
            failure: Exception = Wrong(
                findings.get("found", ""), findings.get("expected", ""), findings.get("likely slip", "")
            )
            failure = NotImplementedError() if report["state"] == "not attempted" else failure
            observed = replace(observed, error=failure)
        result = verdict(self._page.tasks[number], observed)
        return result.state, [(label, readable(text, 600)) for label, text in result.findings]


def _read_observation(encoded: Any) -> Observation:
    """What a sandbox says it has observed."""
    rounds, default = from_json(encoded)
    return Observation(list(rounds), None, default)


def _no_points(reason: str, *, public: str = "not run", findings: Iterable[Any] = ()) -> dict[str, Any]:
    return {"points": 0, "public": public, "hidden": False, "reason": reason, "findings": list(findings)}


def _answered(notebook: bytes, page: Assignment) -> int:
    """How many tasks, and the question, a notebook answers; -1 if it is none."""
    count = answered(notebook, page)
    return count + bool(page.question and count >= 0 and read_prose(notebook, page)["answer"])


def _digest(submission: Submission) -> str:
    return hashlib.sha256(repr(submission.remarks).encode() + (submission.notebook or b"")).hexdigest()


def _prepare(
    out: Path, submissions_path: Path, page: Assignment, variant: int | str | None, roster: list[list[str]]
) -> int:
    """Make the folder; returns the secret from which hidden checks draw, the same whenever the grading goes on."""
    for protected in (PACKAGE.parent / "notebooks", submissions_path):
        if out.resolve().is_relative_to(protected.resolve()):
            raise ValueError(f"--out {out}: lies in {protected}, where nothing should be written; name another folder.")
    released = out / "release" / page.name / f"{page.stem}.ipynb"
    if released.is_file():
        metadata = json.loads(released.read_text(encoding="utf-8"))["metadata"].get("course", {})
        _refuse_other_question(metadata, page, f"{released} is")
    make_folder(out, "--out")
    grading: Record = {"lesson": page.lesson, "variant": variant, "release": page.fingerprint}
    grading |= {"question": True} if page.question else {}
    grading_path = out / "grading.json"
    if grading_path.exists():
        stored = json.loads(grading_path.read_text(encoding="utf-8"))
        _refuse_other_question(stored, page, f"{out} holds grades of a page")
        if {key: stored[key] for key in grading} != grading:
            other = ["variant"] if stored["variant"] != grading["variant"] else ["release"]
            keys = ["lesson"] if stored["lesson"] != grading["lesson"] else ["lesson", *other]
            existing, requested = (", ".join(f"{key} {a[key]}" for key in keys) for a in (stored, grading))
            raise ValueError(f"{out}: holds grades of {existing}; name another folder for {requested}.")
        grading["secret"] = stored["secret"]
        roster = roster or stored["roster"]
    grading = {"secret": secrets.randbits(62)} | grading | {"roster": roster, "points": page.points}
    _write(grading_path, json.dumps(grading, indent=1).encode())
    grading_path.chmod(0o600)
    return int(grading["secret"])


def _refuse_other_question(metadata: Record, page: Assignment, subject: str) -> None:
    if bool(metadata.get("question")) != bool(page.question):
        has, remedy = ("without", "leave out") if page.question else ("with", "add")
        raise ValueError(f"{subject} {has} a question; {remedy} --question.")


def _read_record(out: Path, submission: Submission) -> Record | None:
    path = out / "records" / f"{submission.student.id}.json"
    return dict(json.loads(path.read_text(encoding="utf-8"))) if path.exists() else None


def _write_record(out: Path, record: Record, page: Assignment, notebook: bytes | None) -> None:
    """Where nbgrader looks for it, what was handed in; and last the record: it says that this is done."""
    student = record["student"]
    path = out / "submitted" / student / page.name / f"{page.stem}.ipynb"
    if notebook is not None and not (path.exists() and path.read_bytes() == notebook):
        _write(path, notebook)
    _write(out / "records" / f"{student}.json", json.dumps(record, indent=1).encode())


def _write(path: Path, content: bytes) -> None:
    write_atomically(path, lambda written: written.write_bytes(content))
