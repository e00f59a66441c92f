"""The question that is answered in prose: released for nbgrader, found in submissions, graded by hand, never a zero."""

import csv
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nbformat
import pytest
from classroom.cells import cell_of, solve
from classroom.importers import canvas_grades, gradescope_results
from nbformat import NotebookNode
from nbgrader.api import Gradebook

from course_lib.classroom.assignment import Assignment, assignment
from course_lib.classroom.export import export_grades
from course_lib.classroom.grade import grade
from course_lib.classroom.gradescope import results
from course_lib.classroom.prose import STUB, read_prose
from course_lib.classroom.release import nbgrader, release, release_each
from course_lib.exercises.load import LESSONS

STEM = "04_cifar10.ipynb"
PROSE = "Five seeds each, and the interval of their differences."
HOSTILE = "</pre></section><script>alert(1)</script><img src=x onerror=alert(2)> \u202e\x1b[31m `a < b`"
Edit = Callable[[NotebookNode], None]


@pytest.fixture(scope="module")
def asking() -> Assignment:
    return assignment("04", question=True)


@pytest.fixture(scope="module")
def students(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The notebook that students get, in a class that asks lesson 4's question."""
    return release("04", tmp_path_factory.mktemp("class"), question=True)


def prose_cell(notebook: NotebookNode) -> NotebookNode:
    return cell_of(notebook, "task-04-text")


def prose_index(notebook: NotebookNode) -> int:
    return notebook.cells.index(prose_cell(notebook))


def write_into(text: str, kind: str = "markdown") -> Edit:
    def edit(notebook: NotebookNode) -> None:
        prose_cell(notebook).update(source=text, cell_type=kind, outputs=[], execution_count=None)

    return edit


def beside(offset: int, kind: str = "markdown", text: str = PROSE) -> Edit:
    """A cell of the student's own, so many after the one for the answer."""

    def edit(notebook: NotebookNode) -> None:
        new = nbformat.v4.new_code_cell(text) if kind == "code" else nbformat.v4.new_markdown_cell(text)
        notebook.cells.insert(prose_index(notebook) + offset, new)

    return edit


def into_the_question(notebook: NotebookNode) -> None:
    notebook.cells[prose_index(notebook) - 1].source += f"\n\n{PROSE}"


def without_metadata(notebook: NotebookNode) -> None:
    prose_cell(notebook).source = f"{STUB}\n\n{PROSE}"
    for cell in notebook.cells:
        cell.metadata = nbformat.from_dict({})


def deleted(notebook: NotebookNode) -> None:
    del notebook.cells[prose_index(notebook)]


def deleted_but_answered(notebook: NotebookNode) -> None:
    beside(0)(notebook)
    deleted(notebook)


def nothing(notebook: NotebookNode) -> None:
    pass


def read(students: Path, asking: Assignment, *edits: Edit) -> dict[str, Any]:
    notebook = nbformat.read(students, as_version=4)
    for edit in edits:
        edit(notebook)
    return read_prose(nbformat.writes(notebook).encode(), asking)


@pytest.mark.parametrize("lesson", [f"{lesson:02}" for lesson in LESSONS])
def test_each_page_asks_a_question_if_it_is_wanted_and_is_as_before_if_not(lesson: str, tmp_path: Path) -> None:
    plain, asking = assignment(lesson), assignment(lesson, question=True)
    question = asking.question
    assert question
    released = nbformat.read(release(lesson, tmp_path, question=True), as_version=4)
    nbformat.validate(released)
    (answer,) = (c for c in released.cells if c.metadata.get("nbgrader", {}).get("grade_id") == f"task-{lesson}-text")
    metadata = {key: answer.metadata.nbgrader[key] for key in ("grade", "solution", "locked", "task", "points")}
    expected = {"grade": True, "solution": True, "locked": False, "task": False, "points": question.points}
    assert metadata == expected  # nbgrader's manually graded cell
    assert (answer.cell_type, answer.source) == ("markdown", STUB)
    statement = released.cells[released.cells.index(answer) - 1].source
    assert statement.startswith(f"## {lesson}.text {question.title}\n\n**{question.points} points**")
    text = "\n".join(cell.source for cell in released.cells)
    assert "SOLUTION" not in text
    assert question.expected.splitlines()[0] not in text
    assert f"Together {sum(plain.points.values()) + question.points} points" in text
    sources, last = [cell.source for cell in asking.source.cells], released.cells.index(answer)
    assert [*sources[1 : last - 1], *sources[last + 1 :]] == [cell.source for cell in plain.source.cells[1:]]


@pytest.mark.parametrize(
    ("edits", "answer"),
    [
        ([write_into(PROSE)], PROSE),
        ([write_into(f"{STUB}\n{PROSE}")], PROSE),
        ([write_into(PROSE, "code")], PROSE),
        ([write_into(PROSE, "raw")], PROSE),
        ([beside(1)], PROSE),
        ([beside(0)], PROSE),
        ([beside(1, "code", f"# {PROSE}")], f"# {PROSE}"),
        ([write_into("First."), beside(1, text="Second.")], "First.\n\nSecond."),
        ([into_the_question], PROSE),
        ([without_metadata], PROSE),
        ([deleted_but_answered], PROSE),
        (
            [write_into("def class_accuracy(logits, labels):\n    return 1")],
            "def class_accuracy(logits, labels):\n    return 1",
        ),
    ],
)
def test_an_answer_is_found_wherever_it_was_written(
    edits: list[Edit], answer: str, students: Path, asking: Assignment
) -> None:
    result = read(students, asking, *edits)
    assert (result["answer"], result["points"], result["reason"]) == (answer, None, "")


@pytest.mark.parametrize("edit", [nothing, write_into(""), write_into(" \n\n")])
def test_an_answer_that_nobody_wrote_has_no_points(edit: Edit, students: Path, asking: Assignment) -> None:
    result = read(students, asking, edit)
    assert (result["points"], result["answer"]) == (0, "")
    assert result["reason"].startswith("not answered")


def test_doubt_is_for_the_teacher_to_settle(students: Path, asking: Assignment) -> None:
    result = read(students, asking, deleted)
    assert result["points"] is None
    assert "its cell is not in the notebook" in result["reason"]
    result = read(students, asking, lambda notebook: notebook.cells.insert(3, nbformat.v4.new_markdown_cell(PROSE)))
    assert (result["points"], result["answer"]) == (None, PROSE)
    assert "in other cells" in result["reason"]


def test_a_long_answer_is_cut_and_said_to_be(students: Path, asking: Assignment) -> None:
    result = read(students, asking, write_into("Lorem ipsum\n" * 90_000))
    assert len(result["answer"]) <= 20_000
    assert re.fullmatch(r"the first 20,000 of 1,079,999 characters", result["reason"])


@pytest.fixture(scope="module")
def graded(students: Path, asking: Assignment, sandboxed: None) -> Path:
    """The folder of the class, graded: ann is right and answers, bo too and with HTML, cy untouched, di unreadable."""
    out = students.parents[2]
    submissions = out.parent / f"{out.name}-submissions"
    solved = nbformat.read(students, as_version=4)
    for cell, source_cell in zip(solved.cells, asking.source.cells, strict=True):
        if cell.cell_type == "code" and "### BEGIN SOLUTION" in source_cell.source:
            cell.source = source_cell.source
    for student, edit in {"ann": write_into(PROSE), "bo": write_into(HOSTILE), "cy": nothing, "di": None}.items():
        notebook = nbformat.from_dict(solved)
        if edit:
            edit(notebook)
        (submissions / student).mkdir(parents=True)
        (submissions / student / STEM).write_text(nbformat.writes(notebook) if edit else "{")
        prose_cell(notebook).source = STUB
    grade("04", submissions, out, question=True)
    return out


def rows(out: Path) -> dict[str, dict[str, str]]:
    with (out / "grades.csv").open(newline="") as file:
        return {row["student"]: row for row in csv.DictReader(file)}


def graded_again(out: Path) -> dict[str, dict[str, str]]:
    """grades.csv after the next grading, which runs nothing."""
    ran = []
    grade("04", out.parent / f"{out.name}-submissions", out, question=True, on_graded=ran.append)
    assert ran == []
    return rows(out)


def gradebook(out: Path) -> Gradebook:
    return Gradebook(f"sqlite:///{out}/gradebook.db")


def test_what_is_to_be_graded_by_hand_counts_neither_way_until_then(graded: Path) -> None:
    got = {
        name: [row[key] for key in ("score", "max_score", "04.text", "status")] for name, row in rows(graded).items()
    }
    assert got == {
        "ann": ["13", "13", "", "to grade by hand"],
        "bo": ["13", "13", "", "to grade by hand"],
        "cy": ["13", "16", "0", "graded"],  # nothing was written: as with nbgrader, that is no point
        "di": ["", "16", "", "unreadable"],
    }
    exported = export_grades(graded, "csv")
    assert exported.files[0].read_text().splitlines() == [
        "student,name,Exercises 4",
        "ann,ann,",
        "bo,bo,",
        "cy,cy,13",
        "di,di,",
    ]
    assert exported.notes == ["left blank: 2 to grade by hand: ann, bo", "left blank: 1 unreadable: di"]
    text = (graded / "summary.md").read_text()
    assert "4 students, 1 graded, 2 to grade by hand" in text
    assert "Without 04.text: mean 13.0, median 13 of 13 points." in text
    assert "Not answered by `cy`" in text
    page = (graded / "feedback" / "ann.html").read_text()
    assert "13 of 13 points without 04.text, which is still to be graded by hand" in page
    assert PROSE in page


def test_no_answer_is_run_or_shown_as_html(graded: Path) -> None:
    for page in (graded / "feedback" / "bo.html", graded / "answers.html"):
        text = page.read_text()
        assert "&lt;script&gt;alert(1)" in text
        assert not re.search(r"<script|<img|\x1b|\u202e", text)
    notebook = nbformat.read(graded / "autograded" / "bo" / "04" / STEM, as_version=4)
    assert prose_cell(notebook).source.startswith("< /pre>< /section>< script>alert(1)")
    assert prose_cell(notebook).source.endswith("`a < b`")


def test_nbgraders_form_grader_lists_what_is_to_be_graded_by_hand(graded: Path, asking: Assignment) -> None:
    api = nbgrader(graded)
    listed = {submission["student"]: submission for submission in api.get_notebook_submissions("04", "04_cifar10")}
    by_hand = {name: submission["needs_manual_grade"] for name, submission in listed.items() if submission["id"]}
    assert by_hand == {"ann": True, "bo": True, "cy": False}
    assert {name: listed[name]["code_score"] for name in by_hand} == dict.fromkeys(by_hand, 13)
    assert api.get_assignment("04")["num_submissions"] == 4
    with gradebook(graded) as book:
        grades = {grade.name: grade for grade in book.find_submission_notebook("04_cifar10", "04", "ann").grades}
        assert [name for name, grade in grades.items() if grade.needs_manual_grade] == ["task-04-text"]
        assert {name: grade.auto_score for name, grade in grades.items()} == {
            **{f"check-04-{number[3:]}": asking.points[number] for number in asking.tasks},
            "task-04-text": None,
        }
    notebook = nbformat.read(graded / "autograded" / "ann" / "04" / STEM, as_version=4)
    assert prose_cell(notebook).source == PROSE
    assert "class_accuracy" in cell_of(notebook, "task-04-1").source


def test_points_come_from_the_form_grader_or_from_overrides(graded: Path, asking: Assignment) -> None:
    with gradebook(graded) as book:
        by_hand = book.find_grade("task-04-text", "04_cifar10", "04", "ann")
        by_hand.manual_score, by_hand.needs_manual_grade = 2.5, False  # as its page does when points are typed in
        book.find_comment("task-04-text", "04_cifar10", "04", "ann").manual_comment = "And the <price>?"
        book.db.commit()
    assert export_grades(graded, "csv").notes[0].startswith("gradebook.db was changed after these grades")
    (graded / "overrides.csv").write_text("student,task,points,comment\nbo,04.text,1,Too short\nann,04.2,,Neat\n")
    got = graded_again(graded)
    assert [got["ann"][key] for key in ("score", "max_score", "04.text", "status")] == ["15.5", "16", "2.5", "graded"]
    assert got["ann"]["comment"] == "04.2: Neat; 04.text: And the <price>?"
    assert [got["bo"][key] for key in ("score", "04.text", "comment")] == ["14", "1", "04.text: Too short"]
    assert "And the &lt;price&gt;?" in (graded / "feedback" / "ann.html").read_text()
    assert "(2.5 of 3)" in (graded / "answers.html").read_text()
    assert export_grades(graded, "csv").notes == ["left blank: 1 unreadable: di"]
    assert graded_again(graded) == got
    api = nbgrader(graded)
    assert {entry["student"]: entry["score"] for entry in api.get_submissions("04") if entry["id"]}["ann"] == 15.5

    (graded / "overrides.csv").write_text("student,task,points,comment\nann,04.text,3,\n")
    got = graded_again(graded)
    assert (got["ann"]["04.text"], got["bo"]["status"]) == ("3", "to grade by hand")  # the file counts first
    (graded / "overrides.csv").unlink()

    file = graded.parent / f"{graded.name}-submissions" / "ann" / STEM
    before, notebook = file.read_text(), nbformat.read(file, as_version=4)
    prose_cell(notebook).source = "Another answer."
    file.write_text(nbformat.writes(notebook))
    grade("04", file.parents[1], graded, question=True)
    assert rows(graded)["ann"]["status"] == "to grade by hand"  # the points were for what stood there before
    with gradebook(graded) as book:
        assert book.find_grade("task-04-text", "04_cifar10", "04", "ann").needs_manual_grade
        book.find_grade("check-04-1", "04_cifar10", "04", "bo").manual_score = 7
        book.db.commit()
    with pytest.raises(ValueError, match=r"bo, 04.1: points '7', expected a number from 0 to 1"):
        grade("04", file.parents[1], graded, question=True)
    file.write_text(before)


def test_canvas_keeps_what_it_has_for_those_who_wait(
    tmp_path: Path, students: Path, asking: Assignment, sandboxed: None
) -> None:
    roster = tmp_path / "gradebook.csv"
    roster.write_text("Student,ID,SIS Login ID,Section,Exercises 4 (77)\nPoints Possible,,,,16\nLee,501,ann,A,5\n")
    notebook = nbformat.read(students, as_version=4)
    write_into(PROSE)(notebook)
    (tmp_path / "in" / "ann").mkdir(parents=True)
    (tmp_path / "in" / "ann" / STEM).write_text(nbformat.writes(notebook))
    (record,) = grade("04", tmp_path / "in", tmp_path / "out", roster=roster, question=True)
    assert (record["score"], record["max_score"], record["status"]) == (0, 13, "to grade by hand")
    assert "it answers no task" not in " ".join(record["reasons"])
    assert not (tmp_path / "out" / "gradebook.db").exists()  # nothing was released there: overrides.csv is the way
    path = export_grades(tmp_path / "out", "canvas").files[0]
    assert canvas_grades(path, {77: "Exercises 4"}, {501: "Lee"})["grades"] == {501: "5"}
    output = results(record, asking, 1)
    assert gradescope_results(output) == 0
    assert (len(output["tests"]), "04.text is graded by hand" in output["output"]) == (6, True)


def test_each_students_own_page_may_ask_it_too(tmp_path: Path, asking: Assignment, sandboxed: None) -> None:
    roster, out = tmp_path / "class.csv", tmp_path / "out"
    roster.write_text("student,name\nann,Ann Lee\nbo,Bo Lee\n")
    for path in release_each("04", out, roster, question=True)[0]:
        notebook = nbformat.read(path, as_version=4)
        if "ann" in path.parts:
            solve(notebook, asking.tasks.values())
            write_into(PROSE)(notebook)
        (tmp_path / "in" / path.parts[-3]).mkdir(parents=True)
        (tmp_path / "in" / path.parts[-3] / STEM).write_text(nbformat.writes(notebook))
    for points, ann in ((None, ("13", "", "to grade by hand")), (2, ("15", "2", "graded"))):
        if points:
            (out / "overrides.csv").write_text(f"student,task,points,comment\nann,04.text,{points},\n")
        grade("04", tmp_path / "in", out, variant="each", roster=roster, question=True)
        got = rows(out)
        assert tuple(got["ann"][key] for key in ("score", "04.text", "status")) == ann
        assert (got["bo"]["score"], got["bo"]["status"]) == ("0", "graded")
    assert PROSE in (out / "answers.html").read_text()
    assert not (out / "gradebook.db").exists()  # nbgrader knows one page for all


def test_grading_with_and_without_the_question_is_not_mixed_up(
    graded: Path, students: Path, tmp_path: Path, sandboxed: None
) -> None:
    submissions = graded.parent / f"{graded.name}-submissions"
    with pytest.raises(ValueError, match=r"04_cifar10.ipynb is with a question; add --question"):
        grade("04", submissions, graded)
    (record,) = grade("04", submissions / "cy", tmp_path / "out")
    assert "it was released with a question, and is graded without: see --question" in record["reasons"]
    with pytest.raises(ValueError, match="out holds grades of a page without a question; leave out --question"):
        grade("04", submissions / "cy", tmp_path / "out", question=True)


def test_a_teachers_own_page_may_ask_one(tmp_path: Path) -> None:
    from classroom.test_own_tasks import RANGE

    folder = tmp_path / "tasks"
    folder.mkdir()
    (folder / "t51_1_value_range.py").write_text(RANGE)
    with pytest.raises(
        FileNotFoundError, match=r"there is no .*51-question.md; write it: it begins `# Title \(3 points"
    ):
        release("51", tmp_path / "class", own=folder, question=True)
    (folder / "51-question.md").write_text("# Why? (1 point)\n\nSay why.\n\n# Answers\n\nBecause.\n")
    messages: list[str] = []
    release("51", tmp_path / "plain", own=folder, on_message=messages.append)
    assert any("51-question.md is not asked; say --question" in text for text in messages)
    text = release("51", tmp_path / "class", own=folder, question=True).read_text()
    assert '## 51.text Why?\\n",\n    "\\n",\n    "**1 point**, graded by hand' in text
    assert "Because" not in text


@pytest.mark.parametrize(
    "text", ["# Why?\n\nSo?\n\n# Answers\n\nX", "# Why? (0 points)\n\nSo?\n# Answers\nX", "# Why? (1 point)\n\nSo?", ""]
)
def test_a_question_that_is_not_written_as_one_is_named(text: str, tmp_path: Path) -> None:
    from classroom.test_own_tasks import RANGE

    (tmp_path / "t51_1_value_range.py").write_text(RANGE)
    (tmp_path / "51-question.md").write_text(text)
    with pytest.raises(ValueError, match=r"51-question.md: not written as a question is"):
        assignment("51", own=tmp_path, question=True)
    (tmp_path / "51-question.md").write_bytes(b"# Why\xff (1 point)")
    with pytest.raises(ValueError, match="save it as UTF-8"):
        assignment("51", own=tmp_path, question=True)
