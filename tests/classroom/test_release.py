"""What students are given: no solutions and no hidden tests, points, and nothing that needs nbgrader."""

import ast
import itertools
import os
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import nbformat
import pytest

from course_lib.classroom.assignment import assignment, own_pages
from course_lib.classroom.release import release, release_each
from course_lib.exercises.engine import fault, result_of
from course_lib.exercises.load import LESSONS
from course_lib.exercises.task import observation


def texts(notebook: nbformat.NotebookNode) -> str:
    return "\n".join(cell.source for cell in notebook.cells)


@pytest.mark.parametrize("lesson", [f"{lesson:02}" for lesson in LESSONS])
def test_nbgrader_takes_every_page(lesson: str, tmp_path: Path) -> None:
    page = assignment(lesson)
    notebook = nbformat.read(release(lesson, tmp_path), as_version=4)
    nbformat.validate(notebook)
    text = texts(notebook)
    assert "SOLUTION" not in text
    assert "HIDDEN" not in text
    assert "grade_answer" not in text
    assert "solution(" not in text
    metadata = [cell.metadata.nbgrader for cell in notebook.cells if "nbgrader" in cell.metadata]
    assert sum(cell_metadata.points for cell_metadata in metadata if cell_metadata.grade) == sum(page.points.values())
    assert sum(cell_metadata.solution for cell_metadata in metadata) == len(page.tasks)
    for number, points in page.points.items():
        assert f"## {number} {page.tasks[number].title}\n\n**{points} point" in text
        assert f'check("{number}", {page.names[number]})' in text
    assert notebook.metadata.course.release == page.fingerprint
    for cell in notebook.cells:
        if cell.cell_type == "code":
            ast.parse(cell.source)


def test_a_release_runs_where_nbgrader_is_not(tmp_path: Path) -> None:
    """Top to bottom, as Colab would: each check says "not attempted"."""
    path = release("01", tmp_path)
    cells = [cell.source for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "code"]
    lines = [f"print({cell})" if cell.startswith("check(") else cell for cell in cells]
    hide = "import sys\nsys.modules['nbgrader'] = None\n"
    env = os.environ | {"COURSE_PROGRESS": str(tmp_path / "progress.json")}
    done = subprocess.run([sys.executable, "-c", hide + "\n".join(lines)], capture_output=True, text=True, env=env)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("not attempted") == len(assignment("01").tasks)


def test_the_same_release_has_the_same_hash_and_a_variant_another() -> None:
    assert assignment("04").fingerprint == assignment("4").fingerprint
    assert assignment("04", variant=1).fingerprint != assignment("04").fingerprint


def test_variants_draw_other_numbers_for_text_and_solution_alike() -> None:
    drawn = set()
    for variant in range(12):
        page = assignment("04", variant)
        line = next(line for line in texts(page.source).splitlines() if line.startswith("def shift_and_mirror"))
        default = int(line.partition("= ")[2].partition(")")[0])
        assert page.solutions()["04.3"].__defaults__ == (default,)
        drawn.add(default)
    assert drawn == {3, 4, 5, 6}


@pytest.mark.parametrize("lesson", [f"{lesson:02}" for lesson in LESSONS])
def test_each_student_has_numbers_that_the_page_names_and_only_they_are_right(lesson: str) -> None:
    pages = own_pages(lesson, [f"student-{number}@x.org" for number in range(8)])
    drawn = {number: task for number, task in assignment(lesson).tasks.items() if task.drawn}
    assert drawn
    for number, task in drawn.items():
        name, choices = task.drawn
        drawn_for = {student: page.defaults[number] for student, page in pages.items()}
        assert len(set(drawn_for.values())) > 1
        assert set(drawn_for.values()) <= set(choices)
        for student, page in pages.items():
            named = re.findall(rf"`{name}=([\d.]+)`", texts(page.source))
            assert named == [repr(drawn_for[student])]
        observations = {}
        for student, page in list(pages.items())[:3]:
            answer = page.solutions()[number]
            assert result_of(task, answer).state == "correct"
            observations[drawn_for[student]] = observation(task, answer, seed=1)
        for default, other in itertools.product(observations, observations):
            wrong = fault(task, observations[default], replace(observations[other], default=other), seed=1)
            assert (
                wrong == "" if default == other else f"the default of `{name}`, which is {other} on the page" in wrong
            )


def test_a_page_for_each_needs_a_roster_and_a_number_to_draw(tmp_path: Path) -> None:
    (tmp_path / "twice.csv").write_text("student,name\nAnn@x.org,Ann\nann@x.org,Ann\n")
    with pytest.raises(ValueError, match="is in two rows"):
        release_each("04", tmp_path / "class", tmp_path / "twice.csv")
    for options in (["--variant", "each"], ["--roster", str(tmp_path / "twice.csv")], ["--variant", "east"]):
        command = [sys.executable, "-m", "course_lib", "release", "04", "--out", str(tmp_path / "class"), *options]
        done = subprocess.run(command, capture_output=True, text=True)
        assert done.returncode == 1
        assert re.fullmatch(r"course: --variant e(ach and --roster FILE go together|ast: expected).*\n", done.stderr)
    assert not (tmp_path / "class").exists()


def test_a_file_in_place_of_the_folder_to_write_to_is_named(tmp_path: Path) -> None:
    (tmp_path / "class").write_text("")
    for out in (tmp_path / "class", tmp_path / "class" / "04"):
        with pytest.raises(OSError, match=rf"--out {out}: expected a folder to write to, and .*; name another"):
            release("04", out)


def test_what_cannot_be_released_is_said() -> None:
    with pytest.raises(ValueError, match="lesson 09: has no exercises; there are 01, 02"):
        assignment("9")
