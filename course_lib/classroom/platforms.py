"""Whose a file is, and what was handed in, by the names that learning platforms give to it."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from course_lib.classroom.rosters import Student, find, safe

# mod/assign/classes/downloader.php: Jane Doe_12345_assignsubmission_file_/04_cifar10.ipynb
MOODLE = re.compile(r"^(?P<name>.+)_(?P<id>\d+)_assignsubmission_\w+", re.DOTALL)
# lib/content_zipper.rb: doejane_LATE_12345_67890_04_cifar10-1.ipynb, doejane_12345_link.html, anon_aB3x9_67890_04.ipynb
CANVAS_FILE = r"(?:(?P<attachment>\d+)_.+|(?:text|link)(?:-\d+)?\.html)$"
ANONYMOUS = re.compile(rf"^(?P<late>LATE_)?(?P<id>(?P<name>anon_[^\W_]+))_{CANVAS_FILE}")
CANVAS = re.compile(rf"^(?P<name>.+?)_(?P<late>LATE_)?(?P<id>\d+)_{CANVAS_FILE}")
# Blackboard Learn's "Assignment File Download": Exercises204_jdoe_attempt_2026-11-30-15-00-00_04_cifar10.ipynb
BLACKBOARD = re.compile(r"^(?P<name>.+)_attempt_\d{4}(?:-\d\d){5}(?:_.+|\.txt)?$")
# Brightspace's folders: 12345-67890 - Jane Doe - Nov 30, 2026 1159 PM
BRIGHTSPACE = re.compile(r"^\d+-\d+ - (?P<name>.+) - [^-]*\d{4}[^-]*$")
# Google Classroom's copies, one for each student: Jane Doe - 04_cifar10.ipynb
GOOGLE = re.compile(r"^(?P<name>[^\W\d_][^_]*?) - .+\.(?:ipynb|json|txt|zip|py)$")
PATTERNS = (MOODLE, ANONYMOUS, CANVAS, BLACKBOARD, BRIGHTSPACE, GOOGLE)

GRADESCOPE = "submission_metadata.yml"  # says who handed in which of its folders
NOBODYS = ("index.html", GRADESCOPE)  # beside the students' folders of Brightspace and Gradescope
COLAB = "colab.research.google.com"
TEXTS = (".html", ".txt", ".url", ".webloc", ".md")
URL = re.compile(r"https?://[^\s\"'<>)]+")


@dataclass(frozen=True)
class Origin:
    """Who handed a file in.

    Attributes:
        student: of the roster, or made from the file's name.
        late: whether the name says that it was late.
        named: the file or folder whose name says so.
    """

    student: Student
    late: bool
    named: str


def is_named(part: str) -> bool:
    """Whether a platform gave this name to what a student handed in."""
    return any(pattern.match(part) for pattern in PATTERNS)


def origins(
    parts: Sequence[str], shared: int, roster: list[Student], submitters: Mapping[str, list[tuple[str, ...]]]
) -> list[Origin]:
    """Who handed in a file, several if a group did.

    Args:
        parts: names of the folders and archives that it lies in, and its own.
        shared: how many of these, from the outside, hold the files of several students.
        roster: of the class.
        submitters: see `gradescope`.
    """
    for part in parts[: shared + 1]:
        if student := find(Path(part).stem if part == parts[-1] else part, roster):
            return [Origin(student, False, part)]
        if part in submitters:
            return [Origin(_student(ids, ids[0], roster), False, part) for ids in submitters[part]]
        if match := next(filter(None, (pattern.match(part) for pattern in PATTERNS)), None):
            groups = match.groupdict()
            name, own_id = match["name"], groups.get("id", "")
            words = name.split("_") if match.re is BLACKBOARD else []
            tails = ["_".join(words[start:]) for start in range(len(words))]
            ids = [own_id, name, *tails, *(name.split(" - ") if match.re is BRIGHTSPACE else [])]
            own_id = words[-1] if words else name if own_id in ("", name) else f"{name}_{own_id}"
            return [Origin(_student(ids, own_id, roster, name), bool(groups.get("late")), part)]
    deeper = (find(Path(part).stem if part == parts[-1] else part, roster) for part in parts[shared + 1 :])
    own_id = parts[shared] if len(parts) > shared + 1 else Path(parts[shared]).stem
    return [Origin(next(filter(None, deeper), None) or Student(safe(own_id), own_id), False, parts[shared])]


def _student(ids: Sequence[str], fallback_id: str, roster: list[Student], name: str = "") -> Student:
    matches = (find(identifier, roster) for identifier in ids if identifier)
    return next(filter(None, matches), None) or Student(safe(fallback_id), name or fallback_id)


def gradescope(metadata: str) -> dict[str, list[tuple[str, ...]]]:
    """Name, email address and number of whoever handed in each folder of Gradescope's export."""
    submitters = {}
    for block in re.split(r"^(?=[^\s:-][^\n]*:\s*$)", metadata, flags=re.MULTILINE):
        people = block.partition(":submitters:")[2].partition(":created_at:")[0].split("- :name:")[1:]
        values = [re.findall(r"(?:^|:(?:sid|email):) *([^\n]*)", person) for person in people]
        plain = [tuple(value.strip(" '\"").replace("''", "'") for value in ids if value.strip()) for ids in values]
        submitters[block.partition(":")[0].strip()] = list(filter(None, plain))
    return submitters


def without_notebook(name: str, content: bytes | None) -> str:
    """What was handed in instead of a notebook."""
    description = link_or_text(name, content)
    if description == f"a link to {COLAB}":
        return "a link to Google Colab, not the notebook: there, File, Download, Download .ipynb makes one"
    return f"{description}, not the notebook" if description.startswith("a link") else description or name


def link_or_text(name: str, content: bytes | None) -> str:
    """What a text that was handed in is: "a link to" a host, or "a text" that was typed in; empty for another file."""
    match = ANONYMOUS.match(name) or CANVAS.match(name)
    is_text = name == "onlinetext.html" or (match is not None and not match["attachment"])
    text = (content or b"").decode("utf-8", errors="replace") if name.endswith(TEXTS) else ""
    links = [urlsplit(url).hostname or "" for url in URL.findall(text)]
    host = next((host for host in links if host != "www.w3.org"), "")  # a page's own first line
    return f"a link to {host}" if host else "a text" if is_text else ""
