"""Submissions as learning platforms hand them out, and whose they are."""

import io
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from course_lib.classroom.plain import readable
from course_lib.classroom.platforms import GRADESCOPE, NOBODYS, gradescope, is_named, origins, without_notebook
from course_lib.classroom.rosters import Student, mark
from course_lib.files import as_path

LARGEST = 20_000_000  # bytes of a notebook
MOST = 2_000_000_000  # bytes that all archives may unpack to
DEEPEST = 4  # archives within archives


@dataclass(frozen=True)
class Submission:
    """A student and the notebook that is to be graded.

    Attributes:
        student: whose it is.
        notebook: its bytes; None if there is none.
        remarks: what the teacher should know.
        late: by how much it was late, if it was: in Moodle's words, or "late" where Canvas says so.
        file: the name of what was handed in, or of its folder, as the platform gave it.
    """

    student: Student
    notebook: bytes | None
    remarks: tuple[str, ...] = ()
    late: str = ""
    file: str = ""


def submissions(place: str | Path, roster: list[Student], stem: str) -> list[Submission]:
    """The submission of each student of the roster, and of everybody else who handed one in.

    Args:
        place: a folder or an archive, as Canvas or Moodle hands it out, or with a folder for each student; archives
            may hold archives.
        roster: of the class; empty if it does not matter.
        stem: of the notebook's name; of several notebooks one with this in its name is taken.

    Raises:
        FileNotFoundError: there is no such place, or nothing in it.
    """
    place = as_path(place, "place")
    if not place.exists():
        raise FileNotFoundError(f"{place}: no such folder or archive of submissions.")
    files = sorted(_files(place), key=lambda file: file[0])
    if not files:
        raise FileNotFoundError(f"{place}: no notebooks and no archives in it.")
    shared = _shared([parts for parts, _ in files])
    of: dict[Student, list[tuple[tuple[str, ...], bytes | None]]] = {}
    late: dict[Student, str] = {}
    named: dict[tuple[str, ...], str] = {}
    (*_, metadata) = (b"", *(content for parts, content in files if parts[-1] == GRADESCOPE and content))
    submitters = gradescope(metadata.decode("utf-8", errors="replace"))
    for parts, content in files:
        if len(parts) == shared + 1 and parts[-1] in NOBODYS:
            continue
        for origin in origins(parts, shared, roster, submitters):
            of.setdefault(origin.student, []).append((parts, content))
            named[parts] = origin.named
            if origin.late:
                late[origin.student] = "late"
    found: list[Submission] = []
    taken: set[str] = set()
    for student in [*roster, *(student for student in of if student not in roster)]:
        told = []
        notebooks = [file for file in of.get(student, []) if file[0][-1].endswith(".ipynb")]
        own = [file for file in notebooks if stem in file[0][-1]] or notebooks
        if roster and student not in roster:
            told.append("not in the roster")
        if len(own) > 1:
            told.append(f"{len(own)} notebooks, of which {own[-1][0][-1]} was graded")
        if not own and student in of:
            told.append(f"no notebook, but {without_notebook(of[student][0][0][-1], of[student][0][1])}")
        content = own[-1][1] if own else None
        if own and content is None:
            told.append(f"a notebook of more than {LARGEST // 1_000_000} MB")
        twin = student.id.casefold() in taken  # two names that no file tells apart
        owner = replace(student, id=f"{student.id}-{mark(student.name)}") if twin else student
        taken.add(owner.id.casefold())
        handed_in = of.get(student) and named[(own or of[student])[-1][0]]
        was_late = student.late or late.get(student, "")
        found.append(Submission(owner, content, tuple(map(readable, told)), readable(was_late), handed_in or ""))
    return found


def _shared(places: list[tuple[str, ...]]) -> int:
    """How many outer folders or archives all files lie in, if they are of several students."""
    count = 0
    while len({parts[count] for parts in places if len(parts) > count}) == 1 and min(map(len, places)) > count + 1:
        inside = {parts[count + 1] for parts in places}
        if is_named(places[0][count]) or (len(inside) == 1 and not is_named(*inside)):
            break
        count += 1
    return count


def _files(place: Path) -> Iterator[tuple[tuple[str, ...], bytes | None]]:
    """Each file as the names of the folders and archives that it lies in and its own, and its bytes if not too many."""
    budget = [MOST]
    if place.is_file():
        yield from _unpacked((), place.read_bytes(), budget, DEEPEST)
        return
    for path in place.rglob("*"):
        parts = path.relative_to(place).parts
        if path.is_symlink() or not path.is_file() or _beside(parts):
            continue
        if path.suffix.lower() == ".zip":
            yield from _unpacked((*parts[:-1], path.stem), path.read_bytes(), budget, DEEPEST)
        else:
            yield parts, path.read_bytes() if path.stat().st_size <= LARGEST else None


def _unpacked(
    parts: tuple[str, ...], content: bytes, budget: list[int], depth: int
) -> Iterator[tuple[tuple[str, ...], bytes | None]]:
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            for member in archive.infolist():
                inside = (*parts, *(part for part in Path(member.filename).parts if part not in ("..", "/")))
                if member.is_dir() or _beside(inside):
                    continue
                packed = inside[-1].lower().endswith(".zip")
                if member.file_size > (LARGEST if not packed else 10 * LARGEST) or member.file_size > budget[0]:
                    yield inside, None
                    continue
                budget[0] -= member.file_size
                data = archive.read(member)
                if packed and depth:
                    yield from _unpacked((*inside[:-1], Path(inside[-1]).stem), data, budget, depth - 1)
                else:
                    yield inside, data
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError):  # broken, or with a password
        yield (*parts, "unreadable archive"), None


def _beside(parts: tuple[str, ...]) -> bool:
    """Whether a file is one that programs leave beside what a person made."""
    return any(part.startswith(".") or part == "__MACOSX" for part in parts)
