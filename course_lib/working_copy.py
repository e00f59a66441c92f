"""The learner's copy of the notebooks, which git leaves alone, brought up to date with the course's at each start.

A page that the learner has not changed is replaced when the course has a new version. One that was changed is kept, and
the new version is put beside it. What counts is the text of the cells: running a page, which writes outputs into it, is
no change. Nothing else in the folder is touched.
"""

import hashlib
import json
import shutil
import subprocess
from functools import partial
from itertools import count
from pathlib import Path
from typing import TypedDict

import nbformat
from nbformat.sign import NotebookNotary

from course_lib.files import write_atomically

PAGES = ("[0-9][0-9]_*.ipynb", "exercises/*.ipynb", "solutions/*.ipynb", "README.md", "front.png")
PROGRESS = "exercises/progress.json"
MANIFEST = ".course.json"


class Entry(TypedDict):
    """What the manifest holds about a file of the copy: which version of the course's it answers, and its text then."""

    course: str
    text: str


UNKNOWN = Entry(course="", text="")


def bring_up_to_date(course: Path, copy: Path) -> list[str]:
    """Add the course's new pages to `copy`, replace those that the learner has not changed, and keep the others.

    Args:
        course: folder of the course's notebooks.
        copy: folder of the learner's; made if need be.

    Returns:
        a sentence for each page that the learner changed and that has a new version, which now lies beside it.
    """
    manifest, edited, notary, messages = _read(copy), _edited_in_place(course), NotebookNotary(), []
    for page in sorted(path for pattern in PAGES for path in course.glob(pattern)):
        name, version = page.relative_to(course).as_posix(), _digest(page.read_bytes())
        before = manifest.get(name, UNKNOWN)
        if before["course"] == version and (copy / name).exists():
            continue
        target = name
        if (copy / name).exists() and _text(copy / name) not in (before["text"], _text(page)):
            target = _name_beside(page, name, copy, manifest)
            messages.append(f"{copy.name}/{name}: kept, as you changed it; the course's new version is {target}")
            manifest[name] = Entry(course=version, text=before["text"])
        write_atomically(copy / target, partial(shutil.copyfile, page))
        if page.suffix == ".ipynb":  # trusted, so that what its outputs hold comes to life at the first opening
            notary.sign(nbformat.read(page, as_version=4))
        manifest[target] = Entry(course=version, text="" if name in edited else _text(page))
    if (course / PROGRESS).is_file() and not (copy / PROGRESS).exists():  # of a release that had no copy
        shutil.copyfile(course / PROGRESS, copy / PROGRESS)
    text = json.dumps(manifest, indent=1) + "\n"
    write_atomically(copy / MANIFEST, lambda path: path.write_text(text, encoding="utf-8"))
    return messages


def _name_beside(page: Path, name: str, copy: Path, manifest: dict[str, Entry]) -> str:
    """A name for the new version of a page: one that is free, or holds it already, or an earlier one as it was."""
    stem, dot, kind = name.rpartition(".")
    for number in count(1):
        beside = f"{stem}_updated{'' if number == 1 else f'_{number}'}{dot}{kind}"
        if not (copy / beside).exists() or _text(copy / beside) in (manifest.get(beside, UNKNOWN)["text"], _text(page)):
            break
    return beside


def _read(copy: Path) -> dict[str, Entry]:
    """The manifest; empty if it is not there or not whole: then what differs from the course's counts as changed."""
    try:
        return dict(json.loads((copy / MANIFEST).read_text(encoding="utf-8")))
    except (OSError, ValueError):
        return {}


def _text(page: Path) -> str:
    """A digest of a notebook's cells without their outputs, or of another file's bytes."""
    return _text_of(page.read_bytes())


def _text_of(whole: bytes) -> str:
    try:
        cells = json.loads(whole)["cells"]
        return _digest(json.dumps([(cell["cell_type"], "".join(cell["source"])) for cell in cells]).encode())
    except (ValueError, KeyError, TypeError):
        return _digest(whole)


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _edited_in_place(course: Path) -> set[str]:
    """The course's own pages that somebody has changed: an answer in them is to outlast the next version."""

    def git(*arguments: str) -> bytes:
        return subprocess.run(["git", *arguments], cwd=course, capture_output=True, check=False).stdout

    try:
        names = git("diff", "--name-only", "--diff-filter=M", "--relative", "HEAD", "--", ".").decode().splitlines()
        # A page that was only run has other outputs, and the same cells.
        return {name for name in names if _text_of(git("show", f"HEAD:./{name}")) != _text(course / name)}
    except OSError:  # no git
        return set()
