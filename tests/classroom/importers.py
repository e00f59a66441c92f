"""What Moodle, Canvas and Gradescope accept, restated from their own source; no code of ours is used here."""

import csv
import io
import re
import zipfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

MOODLE = {  # lang/*/assign.php, lang/*/moodle.php: recordid, grade, lastmodifiedgrade, hiddenuser; feedback comments
    "en": ("Identifier", "Grade", "Last modified (grade)", "Participant ", "Feedback comments"),
    "de": ("ID", "Bewertung", "Zuletzt geändert (Bewertung)", "Teilnehmer/in", "Feedback als Kommentar"),
    "es": ("Identificador", "Calificación", "Última modificación (calificación)", "Participante", "Comentarios"),
    "ru": ("Идентификатор", "Оценка", "Последнее изменение оценки", "Участник", "Отзыв в виде комментария"),
    "zh": ("识别号", "成绩", "最后修改\uff08成绩\uff09", "参与人", "反馈评语"),
}


class RefusedError(Exception):
    """The platform would refuse the file."""


def moodle_grades(
    path: Path, language: str, max_grade: float, decimal: str = "."
) -> dict[int, tuple[float | None, str]]:
    """Grade and comment by participant, None where Moodle leaves the grade alone.

    Source: lib/csvlib.class.php, load_csv_content(); mod/assign/feedback/offline/importgradeslib.php, init() and
    next(); mod/assign/feedback/offline/locallib.php, process_import_grades(); lib/moodlelib.php, unformat_float().
    """
    identifier, grade, modified, hidden, comments = MOODLE[language]
    header, *rows = csv.reader(io.StringIO(path.read_bytes().decode("utf-8"), newline=""))
    if any(len(row) != len(header) for row in rows):
        raise RefusedError("csvweirdcolumns")
    if not {identifier, grade, modified} <= set(header):
        raise RefusedError("invalidgradeimport")
    grades = {}
    for row in rows:
        cell = row[header.index(grade)].strip()
        number = float(cell.replace(" ", "").replace(decimal, ".")) if cell else None
        if number is not None and not 0 <= number <= max_grade:
            raise RefusedError(f"{number} is out of range: skipped without a word")
        comment = row[header.index(comments)] if comments in header else ""
        grades[int(row[header.index(identifier)][len(hidden) :])] = (number, comment)
    return grades


def moodle_feedback(archive: Path, participants: Iterable[int]) -> dict[int, str]:
    """The file of each participant.

    Source: mod/assign/feedback/file/importziplib.php, is_valid_filename_for_import().
    """
    files = {}
    for name in zipfile.ZipFile(archive).namelist():
        if Path(name).name.startswith((".", "~")):
            continue
        parts = name.split("/")
        for index, part in enumerate(parts):
            info = part.split("_", 4)
            if len(info) < 4 or not info[1].isdigit() or int(info[1]) not in set(participants):
                continue
            if (info[2], info[3]) not in {("assignsubmission", "file"), ("assignfeedback", "file")}:
                continue
            files[int(info[1])] = "/".join([*info[4:], *parts[index + 1 :]]).strip("/")
            break
    return files


def canvas_grades(path: Path, assignments: dict[int, str], students: dict[int, str]) -> dict[str, Any]:
    """What Canvas would do: grades by student, the assignment that they belong to, its points.

    Source: lib/gradebook_importer.rb, row_has_student_headers?, update_column_count, parse_assignments, process_pp,
    process_student; app/models/assignment.rb, title_and_id.
    """
    header, *rows = csv.reader(io.StringIO(path.read_text(encoding="utf-8"), newline=""))
    named = "LastName" in header[0] and "FirstName" in header[1] and "ID" in header[2] and len(header) > 4
    if not ((len(header) > 3 and "Student" in header[0] and "ID" in header[1]) or named):
        raise RefusedError("invalid header row")
    names, columns = (4, 4) if named else (3, 3)
    if re.search(r"SIS\s+Login\s+ID", header[names - 1]):
        columns += 1
    elif re.search(r"SIS\s+User\s+ID", header[names - 1]) and re.search(r"SIS\s+Login\s+ID", header[names]):
        integration = bool(re.search(r"Integration\s+ID", header[names + 1]))
        columns += 2 + integration + bool(re.search(r"Root\s+Account", header[names + 1 + integration]))
    if "Section" not in header[columns - 1]:
        raise RefusedError("invalid header row")
    (column,) = header[columns:]
    match = re.fullmatch(r"(.*)\s\((\d+)\)", column)
    assignment = int(match[2]) if match and int(match[2]) in assignments else None
    if assignment is None:
        assignment = next((key for key, title in assignments.items() if title == column), None)
    done: dict[str, Any] = {"assignment": assignment, "new": column if assignment is None else None, "grades": {}}
    for row in rows:
        if "Points Possible" in row[0]:
            done["points"] = row[columns]
        elif not all(re.fullmatch(r"\s*(Muted|Manual Posting.*)?\s*", cell, re.IGNORECASE) for cell in row):
            student = int(row[2 if named else 1])
            if student not in students:
                raise RefusedError(f"a new student {row[0]}")
            done["grades"][student] = row[columns].strip()
    return done


def canvas_comments(archive: Path, attachments: dict[str, set[str]]) -> tuple[dict[str, str], list[str]]:
    """Whose submission each file is attached to, and the files that Canvas ignores.

    Args:
        archive: what the teacher uploads.
        attachments: ids of the files that each student, by id or anonymous id, handed in.

    Source: app/models/assignment.rb, infer_comment_context_from_filename().
    """
    attached, ignored = {}, []
    for name in zipfile.ZipFile(archive).namelist():
        parts = [part for part in Path(name).name.split("_") if part != "LATE"]
        if parts[0] == "anon":
            user, attachment = parts[1:3]
        else:
            numbers = [part for part in parts if part.isdigit()]
            user, attachment = [*numbers, "", ""][:2]
        if parts[-1].startswith("link") or attachment not in attachments.get(user, set()):
            ignored.append(name)
        else:
            attached[user] = name
    return attached, ignored


def canvas_late(score: float, possible: float, late_days: float, percent: float, lowest: float) -> float:
    """Points that Canvas takes off. Source: app/models/late_policy.rb, points_deducted()."""
    intervals = -(-late_days // 1)
    maximum_deduct = max(score * 100 / possible - lowest, 0)
    return possible * min(percent * intervals, maximum_deduct) / 100


def gradescope_results(output: dict[str, Any]) -> float:
    """The score that Gradescope shows. Source: its documentation, "Autograder Specifications", "Output format"."""
    formats, visible = {"text", "html", "simple_format", "md", "ansi"}, {"hidden", "after_due_date", "after_published"}
    top = {"score", "execution_time", "output", "output_format", "test_output_format", "test_name_format"}
    top |= {"visibility", "stdout_visibility", "extra_data", "tests", "leaderboard"}
    of_test = {"score", "max_score", "status", "name", "name_format", "number", "output", "output_format", "tags"}
    of_test |= {"visibility", "extra_data"}
    assert output.keys() <= top, output.keys() - top
    assert "score" in output or "tests" in output
    for part in (output, *output["tests"]):
        assert part.get("output_format", "text") in formats
        assert part.get("visibility", "visible") in visible | {"visible"}
        assert isinstance(part.get("output", ""), str)
    for test in output["tests"]:
        assert test.keys() <= of_test, test.keys() - of_test
        assert "score" in output or isinstance(test["score"], int | float)
        assert test.get("status", "passed") in {"passed", "failed"}
    return output.get("score", sum(test["score"] for test in output["tests"]))
