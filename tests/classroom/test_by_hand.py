"""What a teacher sets by hand: late work, extensions, overrides."""

import csv
import itertools
import re
import textwrap
from pathlib import Path
from typing import Any

import pytest
from classroom.importers import canvas_late
from classroom.records import record

from course_lib.classroom.assignment import Assignment
from course_lib.classroom.late import Policy, after_late_policy, hours, read_policy
from course_lib.classroom.results import Results
from course_lib.classroom.sandbox import PACKAGE

PAGE = PACKAGE / "classroom" / "README.md"


def results(out: Path, page: Assignment, *records: dict[str, Any]) -> dict[str, dict[str, str]]:
    """grades.csv, as `Results` writes it."""
    Results(out, page, {entry["student"] for entry in records}).write(list(records))
    with (out / "grades.csv").open(newline="") as file:
        return {row["student"]: row for row in csv.DictReader(file)}


@pytest.mark.parametrize(
    ("score", "days", "percent", "lowest"),
    list(itertools.product((13, 6, 0), (0.1, 1, 2.5, 30), (10, 33), (0, 40))),
)
def test_late_work_costs_what_canvas_would_take(
    score: int, days: float, percent: float, lowest: float, page: Assignment
) -> None:
    policy = Policy(percent_per_day=percent, lowest_percent=lowest, days_late={"ann": days})
    result = after_late_policy(record(page, "ann", "Ann", score), policy)
    expected = canvas_late(score, 13, days, percent, lowest)
    assert result["penalty"] == pytest.approx(expected, abs=0.005)
    assert result["score"] == pytest.approx(score - expected, abs=0.005)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2 days 3 hours late", 51),
        ("2 Tage 3 Stunden zu spät", 51),
        ("1 jour 1 heure en retard", 25),
        ("2 días 3 horas después", 51),
        ("1 giorno 4 ore in ritardo", 28),
        ("2天 3小时之后", 51),
        ("2 dagen 3 uren te laat", 51),
        ("2 dias 3 horas atrasado", 51),
        ("2 дня 3 часов назад", 51),
        ("45 mins 10 secs late", 0.75),
        ("1 year 1 day late", 366 * 24),
        ("3 zile mai târziu", None),
        ("late", None),
    ],
)
def test_moodles_words_for_lateness_become_hours(text: str, expected: float | None) -> None:
    assert hours(text) == (expected if expected is None else pytest.approx(expected, abs=0.01))


def test_grace_and_extensions_are_given_before_anything_is_taken(tmp_path: Path, page: Assignment) -> None:
    (tmp_path / "late.toml").write_text("percent_per_day = 10\ngrace_hours = 2\n[extension_days]\nbo = 3\n")
    got = results(
        tmp_path,
        page,
        record(page, "ann", "Ann", 13, late="1 hour 59 mins late"),
        record(page, "bo", "Bo", 13, late="3 days 1 hour late"),
        record(page, "cy", "Cy", 13, late="3 days 3 hours late"),
        record(page, "di", "Di", 13, late="late"),
        record(page, "ed", "Ed", None, status="missing", late="9 days late"),
    )
    assert [row["score"] for row in got.values()] == ["13", "13", "7.8", "13", ""]
    assert got["cy"]["penalty"] == "5.2"
    assert got["cy"]["late"] == "3 days 3 hours late"
    assert "4 days late: 5.2 points off, 13 before" in (tmp_path / "feedback" / "cy.html").read_text()
    assert "nothing was taken off" in got["di"]["reason"]


@pytest.mark.parametrize(
    ("late", "policy", "reason"),
    [
        ("1 hour late", Policy(10), "1 day late: 1.3 points off, 13 before"),
        (
            "11 days 3 hours late",
            Policy(10, extension_days={"ann": 10}),
            "2 days late: 2.6 points off, 13 before",
        ),
        (
            "4 days late",
            Policy(30, lowest_percent=40),
            "4 days late: 7.8 points off, 13 before; late work keeps 40% of all points",
        ),
        ("late", Policy(10), "late, by how much is not known: nothing was taken off; see [days_late]"),
    ],
)
def test_a_late_student_is_told_what_was_taken_off_and_why(
    late: str, policy: Policy, reason: str, page: Assignment
) -> None:
    assert after_late_policy(record(page, "ann", "Ann", 13, late=late), policy)["reasons"] == [reason]


def test_the_examples_of_the_teachers_page_are_heeded(tmp_path: Path, page: Assignment) -> None:
    blocks = re.findall(r"(?:^    .*\n|^\n(?=    ))+", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    for name, start in {"late.toml": "    percent_per_day", "overrides.csv": "    student,task"}.items():
        (block,) = (block.lstrip("\n") for block in blocks if block.lstrip("\n").startswith(start))
        (tmp_path / name).write_text(textwrap.dedent(block))
    late = {"jdoe@uni.example": "4 days late", "mroe@uni.example": "late"}
    records = [record(page, name, name, 10, late=lateness) for name, lateness in late.items()]
    got = results(tmp_path, page, *records)
    assert [(row["score"], row["penalty"]) for row in got.values()] == [("10.7", "1.3"), ("9", "0")]


def test_without_a_policy_late_work_is_only_named(tmp_path: Path, page: Assignment) -> None:
    row = results(tmp_path, page, record(page, "ann", "Ann", 13, late="2 days late"))["ann"]
    assert (row["score"], row["late"], row["reason"]) == ("13", "2 days late", "")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[extension_days]\na@b.example = 1", "a name with @ or a space stands in quotes"),
        ("percent = 3", "no setting 'percent'; there are percent_per_day"),
        ("percent_per_day = -1", "not negative"),
        ("percent_per_day = true", "expected a number"),
        ("[extension_days]\nnobody = 1", "no student 'nobody'"),
        ("extension_days = 3", r"write \[extension_days\]"),
        ("percent_per_day 10", "not TOML"),
    ],
)
def test_a_slip_in_the_policy_is_named(text: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "late.toml").write_text(text)
    with pytest.raises(ValueError, match=message):
        read_policy(tmp_path / "late.toml", {"ann"})


def test_overrides_change_points_and_leave_what_the_checks_gave_in_sight(tmp_path: Path, page: Assignment) -> None:
    (tmp_path / "overrides.csv").write_bytes(
        "student;task;points;comment\nann;04.1;0,5;Schön\nann;04.2;;<b>only a word</b>\nbo;total;9;\n".encode("cp1252")
    )
    got = results(tmp_path, page, record(page, "ann", "Ann", 12), record(page, "bo", "Bo", 13))
    assert (got["ann"]["score"], got["ann"]["04.1"], got["bo"]["score"]) == ("12.5", "0.5", "9")
    assert got["ann"]["reason"] == "04.1: 0.5 by hand, 0 by the checks"
    assert got["bo"]["reason"] == "9 points by hand, 13 by the checks"
    assert got["ann"]["comment"] == "04.1: Schön; 04.2: <b>only a word</b>"
    page_of_ann = (tmp_path / "feedback" / "ann.html").read_text(encoding="utf-8")
    assert "(0.5 of 1; 0 by the checks)" in page_of_ann
    assert "Your teacher:</b> Schön" in page_of_ann
    assert "<b>only" not in page_of_ann


def test_who_was_not_graded_is_once_all_tasks_or_the_total_are_set(tmp_path: Path, page: Assignment) -> None:
    rows = [*(f"ann,{number},1," for number in page.tasks), "bo,total,4,By mail", "cy,04.1,1,"]
    (tmp_path / "overrides.csv").write_text("\n".join(["student,task,points,comment", *rows]))
    records = [record(page, name, name, None, status="not graded") for name in ("ann", "bo", "cy")]
    got = results(tmp_path, page, *records)
    assert [(row["score"], row["status"]) for row in got.values()] == [
        ("6", "graded"),
        ("4", "graded"),
        ("", "not graded"),
    ]


def test_each_student_is_listed_once_in_the_summary(tmp_path: Path, page: Assignment) -> None:
    records = [
        record(page, "ann", "Ann", 13, reasons=["a cell failed"]),
        record(page, "bo", "Bo", 13, reasons=["not in the roster"]),
        record(page, "cy", "Cy", None, status="unreadable", reasons=["not in the roster", "no notebook"]),
        record(page, "di", "Di", None, status="missing", reasons=["nothing was handed in"]),
    ]
    results(tmp_path, page, *records)
    parts = re.split(r"^## ", (tmp_path / "summary.md").read_text(), flags=re.MULTILINE)
    row = re.compile(r"^\| (\w+) \| [a-z ]+ \| (.*) \|$", re.MULTILINE)
    tables = {part.partition("\n")[0]: row.findall(part)[1:] for part in parts}
    assert {title: tables[title] for title in ("Not graded", "Not in the roster", "To look at")} == {
        "Not graded": [("di", "`nothing was handed in`")],
        "Not in the roster": [("bo", ""), ("cy", "`no notebook`")],
        "To look at": [("ann", "`a cell failed`")],
    }


def test_a_folder_in_place_of_a_file_set_by_hand_is_named(tmp_path: Path, page: Assignment) -> None:
    for name in ("late.toml", "overrides.csv"):
        (tmp_path / name).mkdir()
        with pytest.raises(OSError, match=rf"{name}: expected .*, and this is a folder"):
            Results(tmp_path, page, {"ann"})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("student,task,points,comment\nann,04.1,1,Good, but late", "row 2: 5 cells, and the first row has 4"),
        ("student,task\nann,04.1", "needs the columns"),
        ("student,task,points\nanne,04.1,1", r"row 2: no student 'anne'"),
        ("student,task,points\nann,4.1,1", r"no task '4.1' on this page; it has 04.1"),
        ("student,task,points\nann,04.1,2", "from 0 to 1"),
        ("student,task,points\nann,04.1,-1", "from 0 to 1"),
        ("student,task,points\nann,04.1,nan", "from 0 to 1"),
        ("student,task,points\nann,04.1,1\nann,04.1,0", "row 3: ann, 04.1 is there twice"),
    ],
)
def test_a_slip_in_the_overrides_is_named(text: str, message: str, tmp_path: Path, page: Assignment) -> None:
    (tmp_path / "overrides.csv").write_text(text)
    with pytest.raises(ValueError, match=message):
        Results(tmp_path, page, {"ann"})


def test_tasks_that_nobody_judged_are_no_zeros_where_the_total_is_set_by_hand(tmp_path: Path, page: Assignment) -> None:
    (tmp_path / "overrides.csv").write_text("student,task,points,comment\nann,total,9,Read on paper\nann,04.2,,Neat\n")
    nothing = {number: {"points": 0, "public": "not run", "hidden": False, "findings": []} for number in page.tasks}
    tasks = {number: task | {"reason": "nothing was run"} for number, task in nothing.items()}
    row = results(tmp_path, page, record(page, "ann", "Ann", None, status="unreadable", tasks=tasks))["ann"]
    assert [row["score"], row["04.1"], row["04.2"], row["04.6"]] == ["9", "", "0", ""]
    text = (tmp_path / "feedback" / "ann.html").read_text()
    assert re.findall(r"<h2>(\d\d\.\d)", text) == ["04.2"]  # of which the teacher says something
    assert "Read on paper" in text
