"""What the teacher reads after grading."""

from collections import Counter
from statistics import fmean, median
from typing import Any

from course_lib.classroom.assignment import Assignment
from course_lib.classroom.feedback import heading
from course_lib.classroom.likeness import Answer, read_answer
from course_lib.classroom.overrides import BY_HAND
from course_lib.classroom.prose import NOT_ANSWERED
from course_lib.exercises.page import cleared

Record = dict[str, Any]
Answers = dict[str, dict[str, Answer | None]]  # of each student, by task
STRANGER = "not in the roster"
MOST_NAMED = 8
ALIKE = """\
The same code, once names, comments, layout and types are taken away. What most of a class wrote is what a short task
leads to; an answer that two of many share deserves a question."""


def summary(records: list[Record], page: Assignment, answers: Answers) -> str:
    """How points are distributed, which tasks were hard, which answers are alike, what needs a look."""
    waiting = [record for record in records if record["status"] == BY_HAND]
    scored = [record for record in records if record["score"] is not None]
    by_hand = f", {len(waiting)} to grade by hand" if waiting else ""
    lines = [f"# {heading(page)}: {len(records)} students, {len(scored) - len(waiting)} graded{by_hand}", ""]
    lines += _prose(scored, len(waiting), page)
    if scored:
        counting = [*page.tasks] if waiting else [*page.points]  # with the question once everybody has points for it
        scores = [_score(record, counting) if waiting else record["score"] for record in scored]
        max_points = sum(page.points[number] for number in counting)
        mean = f"Without {page.question.number}: mean" if waiting and page.question else "Mean"
        lines += [f"{mean} {fmean(scores):.1f}, median {median(scores):g} of {max_points} points.", ""]
        counts = Counter(scores)
        lines += _table(["points", "students"], [[f"{score:g}", counts[score]] for score in sorted(counts)[::-1]])
    return "\n".join([*lines, *_tasks(records, page), *_odd(records), *_alike(records, page, answers)]) + "\n"


def _score(record: Record, numbers: list[str]) -> float:
    return sum(record["tasks"][number]["points"] for number in numbers)


def _prose(scored: list[Record], waiting: int, page: Assignment) -> list[str]:
    """How many answers to the question are to be graded, and who has given none."""
    if not page.question:
        return []
    number, title = page.question.number, page.question.title
    none = [record["student"] for record in scored if record["tasks"][number]["reason"] == NOT_ANSWERED]
    lines = [f"{number} {title}: {waiting} to grade by hand; all answers are in answers.html."]
    return [*lines, *([f"Not answered by {_names(none)}."] if none else []), ""]


def _tasks(records: list[Record], page: Assignment) -> list[str]:
    rows = []
    for number, task in page.tasks.items():
        results = [record["tasks"][number] for record in records if record["score"] is not None]
        solved = sum(result["points"] > 0 for result in results)
        passed = [sum(result["public"] == "correct" for result in results), sum(result["hidden"] for result in results)]
        rows.append([f"{number} {task.title}", solved, *passed])
    header = ["task, the hardest first", "solved", "public checks passed", "hidden checks passed"]
    return _table(header, sorted(rows, key=lambda row: row[1]))


def _odd(records: list[Record]) -> list[str]:
    """Who is a stranger, who was not graded, and what else the grader noticed; each student once."""
    lines = []
    strangers = [record for record in records if STRANGER in record["reasons"]]
    enrolled = [record for record in records if STRANGER not in record["reasons"]]
    for title, chosen in {
        "Not graded": [record for record in enrolled if record["score"] is None],
        "Not in the roster": strangers,
        "To look at": [record for record in enrolled if record["score"] is not None and record["reasons"]],
    }.items():
        rows = [[record["student"], record["status"], code("; ".join(_reasons(record)))] for record in chosen]
        lines += [f"## {title}", "", *_table(["student", "status", "reason"], rows)] if rows else []
    return lines


def _reasons(record: Record) -> list[str]:
    """What grades.csv and the student are told, and whose page it is, which is for the teacher alone."""
    owner = record.get("page_of")
    reasons = [reason for reason in record["reasons"] if reason != STRANGER]  # the heading says that
    return [*reasons, *([f"it is the page of {owner}"] if owner else [])]


def _alike(records: list[Record], page: Assignment, answers: Answers) -> list[str]:
    """Groups of students with the same answer, the rarest answers first; and answers that call the course's code."""
    cells = [cell.source for cell in page.source.cells if cell.cell_type == "code"]
    stubs = [cleared(cell) for cell in cells]
    alike, imported, unseen = [], [], []
    for number, task in page.tasks.items():
        drawn = (task.drawn or (None,))[0]
        solution, stub = read_answer(cells, task.name, drawn), read_answer(stubs, task.name, drawn)
        answer_of = {student: by_task[number] for student, by_task in answers.items() if by_task[number] != stub}
        groups: dict[str, list[str]] = {}
        for student, answer in answer_of.items():
            if answer is None:
                unseen.append([number, student])
                continue
            groups.setdefault(answer.form, []).append(student)
            if extra := answer.course - (solution.course if solution else frozenset()):
                imported.append([number, student, code(", ".join(sorted(extra)))])
        for form, students in groups.items():
            if len(students) > 1:
                share = f"{len(students)} of {len(answer_of)}"
                note = " (the solution)" if solution and form == solution.form else ""
                alike.append([number, share + note, _names(students), len(students) / len(answer_of)])
    alike.sort(key=lambda row: (row[-1], row[0]))
    lines = []
    if alike:
        lines += ["## Answers that are alike", "", ALIKE, ""]
        lines += _table(["task", "students with this answer", "who"], [row[:-1] for row in alike])
    if imported:
        lines += ["## Answered by the course's own code", ""]
        lines += _table(["task", "student", "what the answer uses"], imported)
    if unseen := [[number, student] for number, student in unseen if _solved(records, student, number)]:
        lines += ["## Answers that are not in plain sight", "", *_table(["task", "student"], unseen)]
    return lines


def _solved(records: list[Record], student: str, number: str) -> bool:
    return any(record["student"] == student and record["tasks"][number]["points"] for record in records)


def _names(students: list[str]) -> str:
    named = ", ".join(code(student) for student in students[:MOST_NAMED])
    return named + (f" and {len(students) - MOST_NAMED} more" if len(students) > MOST_NAMED else "")


def code(text: str) -> str:
    """A stranger's text as Markdown's code in a table: no link, no image and no HTML comes out of it."""
    plain = text.replace("`", "'").replace("|", "\\|")
    return f"`{plain}`" if plain.strip() else ""


def _table(header: list[str], rows: list[list[Any]]) -> list[str]:
    lines = [header, ["---"] * len(header), *rows]
    return [*(f"| {' | '.join(map(str, line))} |" for line in lines), ""]
