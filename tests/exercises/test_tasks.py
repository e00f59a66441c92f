"""Each task holds what it says, and what is wrong with a task's file is said."""

import ast
from collections import defaultdict
from pathlib import Path

import pytest

import course_lib
from course_lib.exercises.draw import Draw
from course_lib.exercises.load import FOLDER, LESSONS, LINE, TaskFileError, load, tasks_of, without_answers
from course_lib.exercises.page import cleared, marked, statement_with_default, with_default
from course_lib.exercises.proof import faults, hidden_fault
from course_lib.exercises.task import Task, decide, name_of, observation

TASKS = [task for lesson in LESSONS for task in tasks_of(lesson)]
each_task = pytest.mark.parametrize("task", TASKS, ids=lambda task: f"{task.number}-{task.name}")
SMALLEST = """
from course_lib.exercises.task import Task


class Double(Task):
    number, title, name, points = "01.9", "Twice as much", "double", 2
    statement = "Return twice the number."
    hints = ("Add it to itself.", "Or multiply.")
    notice = "Both are the same."
    given = "whole numbers"

    def inputs(self, draw):
        return [(number,) for number in draw.whole(1, 9, 5).tolist()]


# Answers


def double(number: int) -> int:
    return 2 * number


slips = [(lambda n: n, "That is the number itself."), (lambda n: n * n, "That is its square.")]
also_wrong = [(lambda n: None, "does it end with `return`"), (lambda n: f"{2 * n}", "return the number itself")]
also_right = [lambda n: n + n]
"""


@each_task
def test_right_answers_are_right_and_each_wrong_one_earns_its_words(task: Task) -> None:
    assert faults(task) == []


@each_task
def test_most_wrong_answers_are_refused_with_secret_inputs_too(task: Task) -> None:
    wrong = [answer for answer, _ in (*task.slips, *task.also_wrong)]
    passed = [name_of(answer) for answer in wrong if not hidden_fault(task, answer, seed=1)]
    assert len(passed) <= 0.5 * len(wrong), passed


@each_task
def test_what_the_sandbox_sees_holds_no_answer(task: Task, tmp_path: Path) -> None:
    (path,) = FOLDER.glob(f"t{task.number.replace('.', '_')}_*.py")
    bare = without_answers(path.read_text())
    (tmp_path / path.name).write_text(bare)
    assert task.source not in bare
    sandboxed = load(tmp_path / path.name, answers=False)
    assert not hasattr(sandboxed, "solution")
    assert (sandboxed.slips, sandboxed.also_wrong, sandboxed.also_right) == ((), (), ())
    observed = observation(sandboxed, task.solution, seed=5)
    assert observed.error is None
    decide(task, observed, observation(task, task.solution, seed=5), seed=5)


def test_the_tasks_of_a_lesson_are_numbered_from_1() -> None:
    for lesson in LESSONS:
        numbers = [task.number for task in tasks_of(lesson)]
        assert numbers == [f"{lesson:02}.{position}" for position in range(1, len(numbers) + 1)]
        assert 5 <= len(numbers) <= 8


def test_no_task_is_named_outside_of_its_file() -> None:
    library, sources = Path(course_lib.__file__).parent, Path(__file__).parents[2] / "notebooks" / "source"
    anywhere, machinery = texts_in(library, sources), texts_in(library / "exercises", library / "classroom")
    for task in TASKS:
        own_file = [path.name for path in FOLDER.glob(f"t{task.number.replace('.', '_')}_*.py")]
        assert [*anywhere[task.number]] == own_file
        assert [*machinery[task.name]] == own_file  # elsewhere the library's own `saliency` goes by that name


def texts_in(*folders: Path) -> dict[str, set[str]]:
    """The names of the files in which a text stands as a whole, by that text."""
    files_by_text = defaultdict(set)
    for path in (path for folder in folders for path in folder.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                files_by_text[node.value].add(path.name)
    return files_by_text


def test_one_file_is_a_whole_task(tmp_path: Path) -> None:
    task = load(write(tmp_path, SMALLEST))
    assert faults(task) == []
    assert cleared(marked(task.source)).splitlines() == [
        "def double(number: int) -> int:",
        "    # your code here",
        "    raise NotImplementedError",
    ]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("hints = (", "hint = (", "Double has no hints"),
        ('"01.9"', '"01.8"', r"the file of task 01.8, double, is called t01_8_double\.py"),
        ('("Add it to itself.", "Or multiply.")', '"Add it."', "two texts or more were expected"),
        ('"double", 2', '"double", "2"', "points = '2'; a whole number from 1 on was expected"),
        ("def inputs", "def input", "Double has no `inputs`"),
        ("# Answers", "# Solution", "no line `# Answers`"),
        ("def double(", "def twice(", "one function or class double, the solution, was expected below"),
        ("(Task)", "", "one class that inherits from Task was expected, found: none"),
        ('"That is its square.")', "3)", "a pair was expected"),
        ("lambda n: n + n", "7", "7 is no answer"),
        ("lambda n: n + n", '{"2 * m": "n"}', r"'2 \* m' stands 0 times in the solution, not once"),
        ("return [(number", "return [(number]", r"t01_9_double\.py, line 13: SyntaxError"),
        ("slips = [", "slips = [nothing, ", r"t01_9_double\.py, line 23: NameError"),
    ],
)
def test_a_wrong_file_is_told_what_is_wrong_with_it(tmp_path: Path, old: str, new: str, message: str) -> None:
    assert SMALLEST.count(old) == 1
    with pytest.raises(TaskFileError, match=message):
        load(write(tmp_path, SMALLEST.replace(old, new)))


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("lambda n: n + n", "lambda n: n + n + 1", "is right, but refused"),
        ("lambda n: n * n", "lambda n: n + n", "should be refused with 'That is its square.', but is correct"),
        ("lambda n: None", "lambda n: -n", "should be told 'does it end with `return`', but is"),
        ("That is its square.", "That is the number itself.", "two wrong answers earn the same words"),
        ('(lambda n: None, "does it end with `return`"), ', "", "fewer than four wrong answers"),
        ("also_right", "right_too", "no right answer in `also_right`"),
    ],
)
def test_a_task_that_does_not_hold_what_it_says_is_told_so(tmp_path: Path, old: str, new: str, message: str) -> None:
    assert SMALLEST.count(old) == 1
    assert message in "\n".join(faults(load(write(tmp_path, SMALLEST.replace(old, new)))))


def test_a_variant_has_another_default_and_the_solution_with_it(tmp_path: Path) -> None:
    drawing = SMALLEST.replace("def double(number: int)", "def double(number: int, more: int = 0)")
    drawing = drawing.replace('given = "', 'drawn = "more", (0, 1, 2)\n    given = "')
    with pytest.raises(TaskFileError, match="no `more=0` in the statement"):
        load(write(tmp_path, drawing))
    task = load(write(tmp_path, drawing.replace('statement = "', 'statement = "`more=0`. ')))
    assert with_default(task, 2).startswith("def double(number: int, more: int = 2) -> int:")
    assert with_default(task, None) == task.source
    assert statement_with_default(task, 2).startswith("`more=2`. ")
    with pytest.raises(TaskFileError, match=r"more is drawn among \(0, 1, 2\), but the solution has 7"):
        load(write(tmp_path, drawing.replace("more: int = 0", "more: int = 7")))


def write(folder: Path, text: str) -> Path:
    path = folder / "t01_9_double.py"
    path.write_text(text)
    return path


def test_what_is_drawn_follows_from_the_seed_alone() -> None:
    import torch

    torch.manual_seed(0)
    first = Draw(5).normal(3)
    torch.rand(7)
    assert torch.equal(Draw(5).normal(3), first)
    assert not torch.equal(Draw(6).normal(3), first)
    assert LINE.strip() == "# Answers"
