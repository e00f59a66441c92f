"""The progress file: which tasks were checked and with what result, and how many hints were taken."""

import html
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TypedDict

from course_lib.exercises.load import find_task, lessons, tasks_of
from course_lib.files import write_atomically


class Entry(TypedDict):
    """What the file holds about a task."""

    state: str
    checks: int
    hints: int


@dataclass(frozen=True)
class Note:
    """A few lines, shown as text by `print` and as they are in a notebook."""

    text: str

    def __repr__(self) -> str:
        return self.text

    def _repr_html_(self) -> str:
        return f"<pre style='white-space:pre-wrap;max-width:60em'>{html.escape(self.text)}</pre>"


def hint(number: str) -> Note:
    """The next hint for a task such as "04.2"; each call goes one step further.

    Raises:
        ValueError: there is no such task.
    """
    task, entries = find_task(number), _read()
    entry = entries.setdefault(number, _empty())
    if entry["hints"] == len(task.hints):
        entry["hints"] = 0
        _write(entries)
        suffix = f' solution("{number}") shows one.' if task.source else ""
        return Note(f"Those were all {len(task.hints)} hints; the next call begins again.{suffix}")
    entry["hints"] += 1
    _write(entries)
    return Note(f"Hint {entry['hints']} of {len(task.hints)}: {task.hints[entry['hints'] - 1]}")


def solution(number: str) -> Note:
    """One way to solve a task such as "04.2"; try two hints first.

    Raises:
        ValueError: there is no such task.
    """
    return Note(find_task(number).source or "Your teacher has the solution of this task.")


def progress(lesson: int | None = None) -> Note:
    """How far you are, in one lesson or in all.

    Raises:
        ValueError: there is no such lesson.
    """
    entries = _read()
    parts = []
    for number in lessons() if lesson is None else [lesson]:
        tasks = tasks_of(number)
        states = {task.number: entries.get(task.number, _empty())["state"] for task in tasks}
        parts.append(f"Lesson {number}: {list(states.values()).count('correct')} of {len(tasks)} tasks correct")
        parts += [f"  {task.number} {task.title}: {states[task.number]}" for task in tasks]
    return Note("\n".join(parts))


def note_check(number: str, state: str) -> None:
    """Count a check, and keep its result."""
    entries = _read()
    entry = entries.setdefault(number, _empty())
    entry["state"] = state
    entry["checks"] += 1
    _write(entries)


def _empty() -> Entry:
    return {"state": "not attempted", "checks": 0, "hints": 0}


def _path() -> Path:
    """`COURSE_PROGRESS`, or a file beside the notebook, whose folder a kernel runs in."""
    return Path(os.environ.get("COURSE_PROGRESS", "progress.json"))


def _read() -> dict[str, Entry]:
    path = _path()
    try:
        return dict(json.loads(path.read_text(encoding="utf-8"))) if path.is_file() else {}
    except ValueError as error:
        raise ValueError(
            f"{path}: no longer a progress file ({error}); fix it, or delete it and run your checks again."
        ) from error


def _write(entries: dict[str, Entry]) -> None:
    text = json.dumps(dict(sorted(entries.items())), indent=1) + "\n"
    write_atomically(_path(), lambda path: path.write_text(text, encoding="utf-8"))
