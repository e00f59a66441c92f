"""Points for what is right in a wrong answer, by `course grade` and by nbgrader's own rule."""

from pathlib import Path
from typing import Any

import pytest
from nbformat.v4 import new_code_cell, new_output
from nbgrader.utils import determine_grade

from course_lib.classroom.assignment import Assignment, assignment
from course_lib.classroom.grade import Grader
from course_lib.classroom.hidden import grade_answer
from course_lib.classroom.sandbox import Sandbox
from course_lib.exercises.load import find_task
from course_lib.exercises.proof import flaws

NEEDED = "needed = min(enough, default=None)"
# what is changed in the solution of 05.6: the points that are left of 4
CHANGES = [
    ({}, 4),
    ({NEEDED: "needed = max(enough, default=None)"}, 2),
    ({"a - b for": "b - a for"}, 2),
    ({NEEDED: "needed = max(enough, default=None)", "a - b for": "b - a for"}, 1),
    ({"statistics.stdev": "statistics.pstdev"}, 1),
    ({'return {"pretrained"': 'return {"Pretrained"'}, 0),
]


@pytest.fixture(scope="module")
def page() -> Assignment:
    return assignment("05")


def changed(changes: dict[str, str]) -> str:
    source = find_task("05.6").source
    for old, new in changes.items():
        assert source.count(old) == 1
        source = source.replace(old, new)
    return f"import statistics\nfrom collections.abc import Callable, Sequence\n\n{source}"


def test_course_grade_counts_the_parts_that_are_right(page: Assignment, sandboxed: None) -> None:
    grader, results = Grader(page, secret=3), []
    with Sandbox("05", seconds=10) as box:
        for changes, _ in CHANGES:
            report = box.run([(0, changed(changes))], {"05.6": "labels_needed"}, seed=7)["tasks"]["05.6"]
            results.append(grader._task(page, "05.6", report, 7))
    assert [task["points"] for task in results] == [points for _, points in CHANGES]
    assert results[1]["reason"].endswith('Right all the same: the entry "pretrained", the entry "gain"')
    assert [task["hidden"] for task in results] == [True] + 5 * [False]


@pytest.mark.parametrize(("changes", "points"), CHANGES)
def test_nbgrader_counts_the_same(
    changes: dict[str, str], points: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COURSE_PROGRESS", str(tmp_path / "progress.json"))
    space: dict[str, Any] = {}
    exec(changed(changes), space)
    cell = new_code_cell(metadata={"nbgrader": {"grade": True, "solution": False, "points": 4, "schema_version": 3}})
    try:
        returned = grade_answer("05.6", space["labels_needed"])
        output = {} if returned is None else {"text/plain": repr(returned)}
        cell.outputs = [new_output("execute_result", output)] if output else []
    except AssertionError:
        cell.outputs = [new_output("error", ename="AssertionError", evalue="", traceback=[])]
    assert determine_grade(cell) == (points, 4)


def test_the_page_says_what_a_part_is_worth(page: Assignment) -> None:
    (text,) = (cell.source for cell in page.source.cells if cell.source.startswith("## 05.6"))
    assert '**4 points** (if not all is right, 1 for the entry "pretrained", 1 for the entry "gain", ' in text


def test_points_for_a_part_that_is_not_there_are_a_flaw(monkeypatch: pytest.MonkeyPatch) -> None:
    task = find_task("05.6")
    monkeypatch.setattr(type(task), "worth", {"the entry": 5})
    first, second = flaws(task)
    assert first.startswith("05.6: worth 'the entry', but its parts are [")
    assert second == "05.6: its parts are worth more than its 4 points together"
