"""Submissions as learning platforms hand them out, and whose they are."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from course_lib.classroom.archives import BROKEN, File, files
from course_lib.classroom.plain import readable
from course_lib.classroom.platforms import (
    GRADESCOPE,
    NOBODYS,
    gradescope,
    is_named,
    link_or_text,
    origins,
    without_notebook,
)
from course_lib.classroom.rosters import Student, mark
from course_lib.classroom.versions import newest
from course_lib.files import as_path


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


def submissions(
    path: str | Path, roster: list[Student], stem: str, answered: Callable[[bytes], int] = lambda notebook: 0
) -> list[Submission]:
    """The submission of each student of the roster, and of everybody else who handed one in.

    Args:
        path: a folder or an archive, as a platform hands it out, or with a folder for each student; archives may hold
            archives.
        roster: of the class; empty if it does not matter.
        stem: of the notebook's name.
        answered: how many tasks a notebook answers; of several notebooks the newest that answers any is taken.

    Raises:
        FileNotFoundError: there is no such place, or nothing in it.
        ValueError: it is a file that is no archive that can be unpacked here, or a broken one.
    """
    path = as_path(path)
    if not path.exists():
        raise FileNotFoundError(f"{path}: no such folder or archive of submissions.")
    handed_in = sorted(files(path), key=lambda file: file.parts)
    if not handed_in:
        raise FileNotFoundError(f"{path}: no notebooks and no archives in it.")
    if broken := next((file for file in handed_in if file.parts[-1] in BROKEN and len(file.parts) == 1), None):
        reason = broken.remark or "this is no archive (zip or tar), or a broken one; name what your platform handed out"
        raise ValueError(f"{path}: expected submissions, and {reason}.")
    shared = _shared([_owner_parts(file) for file in handed_in])
    (*_, metadata) = (b"", *(file.content for file in handed_in if file.parts[-1] == GRADESCOPE and file.content))
    submitters = gradescope(metadata.decode("utf-8", errors="replace"))
    files_by_student: dict[Student, list[File]] = {}
    late: dict[Student, str] = {}
    named: dict[tuple[str, ...], str] = {}
    for file in handed_in:
        parts = _owner_parts(file)
        if len(parts) == shared + 1 and parts[-1] in NOBODYS:
            continue
        for origin in origins(parts, shared, roster, submitters):
            files_by_student.setdefault(origin.student, []).append(file)
            named[file.parts] = origin.named
            if origin.late:
                late[origin.student] = "late"
    result: list[Submission] = []
    taken: set[str] = set()
    for student in [*roster, *(student for student in files_by_student if student not in roster)]:
        all_files = files_by_student.get(student, [])
        remarks = list(dict.fromkeys(file.remark for file in all_files if file.remark))
        notebooks = [file for file in all_files if file.notebook]
        if roster and student not in roster:
            remarks.append("not in the roster")
        graded = newest(notebooks, stem, answered) if notebooks else None
        if len(notebooks) > 1 and graded:
            remarks.append(f"{len(notebooks)} notebooks, of which {graded.parts[-1]} was graded")
        beside = [link_or_text(file.parts[-1], file.content) for file in all_files if notebooks and not file.notebook]
        remarks += [f"beside the notebook, {item} was handed in" for item in dict.fromkeys(filter(None, beside))]
        if not notebooks and all_files:
            remarks.append(f"no notebook, but {without_notebook(all_files[0].parts[-1], all_files[0].content)}")
        twin = student.id.casefold() in taken  # two names that no file tells apart
        owner = replace(student, id=f"{student.id}-{mark(student.name)}") if twin else student
        taken.add(owner.id.casefold())
        content = graded.content if graded else None
        name = named[(graded or all_files[0]).parts] if all_files else ""
        was_late = readable(student.late or late.get(student, ""))
        result.append(Submission(owner, content, tuple(map(readable, remarks)), was_late, name))
    return result


def _owner_parts(file: File) -> tuple[str, ...]:
    """The parts of a file's name that say whose it is: none that a student chose within an archive."""
    return file.parts if file.outside == len(file.parts) else (*file.parts[: file.outside], "_")


def _shared(paths: list[tuple[str, ...]]) -> int:
    """How many outer folders or archives all files lie in, if they are of several students."""
    count = 0
    while len({parts[count] for parts in paths if len(parts) > count}) == 1 and min(map(len, paths)) > count + 1:
        inside = {parts[count + 1] for parts in paths}
        if is_named(paths[0][count]) or (len(inside) == 1 and not is_named(*inside)):
            break
        count += 1
    return count
