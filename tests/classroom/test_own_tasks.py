"""A teacher's own tasks: released without answers, checked where the teacher's folder is not, graded in the sandbox."""

import base64
import re
import shutil
import sys
import zlib
from pathlib import Path

import nbformat
import pytest
from classroom.cells import cell_of
from nbclient import NotebookClient
from nbformat import NotebookNode

from course_lib.classroom.assignment import assignment
from course_lib.classroom.grade import grade
from course_lib.classroom.gradescope import autograder
from course_lib.classroom.packed import pack, unpack
from course_lib.classroom.release import release
from course_lib.classroom.sandbox import PACKAGE, Sandbox
from course_lib.exercises import load
from course_lib.exercises.engine import result_of
from course_lib.exercises.proof import faults

RANGE = """
import math

from torch import Tensor

from course_lib.exercises.task import Task


class ValueRange(Task):
    number, title, name, points = "51.1", "How far values spread", "value_range", 1
    statement = "Return the largest value of an image minus its smallest, as a number."
    hints = ("Two calls are enough.", "`image.max()` is one.")
    notice = "One broken pixel decides it."
    given = "images of several sizes"

    def inputs(self, draw):
        for side in (3, 5):
            yield (draw.normal(side, side),)


# Answers


def value_range(image: Tensor) -> float:
    spread_of_it = image.max() - image.min()
    return math.fabs(spread_of_it.item())


slips = [
    (lambda image: image.max().item(), "That is the largest value alone."),
    (lambda image: image.std(correction=0 * 17).item(), "That is the standard deviation."),
]
also_wrong = [
    (lambda image: None, "does it end with `return`"),
    (lambda image: image.no_such_thing(), "'Tensor' object has no attribute 'no_such_thing'"),
]
also_right = [lambda image: (image.max() - image.min()).item()]
"""
SCALED = '''
import torch
from torch import Tensor, nn

from course_lib.exercises.task import Task, call


class ScaledSum(Task):
    number, title, name, points = "51.2", "A layer with a factor", "Scaled", 3
    statement = "Write a module `Scaled(factor)` that multiplies what it is given by `factor`, a parameter."
    hints = ("Keep the factor in an `nn.Parameter`.", "`forward` is one multiplication.")
    notice = "A normalization layer ends like this."
    given = "small tensors and factors"

    def inputs(self, draw):
        for _ in range(2):
            yield draw.number(2, 9), draw.normal(2, 3)

    def use(self, answer, factor, values):
        layer = answer(float(factor))
        return {"the output": call(layer, values), "the parameters": [p.item() for p in layer.parameters()]}


# Answers


class Scaled(nn.Module):
    """What it is given, times a factor that can be learned."""

    def __init__(self, factor: float) -> None:
        super().__init__()
        self.secret_factor = nn.Parameter(torch.tensor(factor))

    def forward(self, values: Tensor) -> Tensor:
        return values * self.secret_factor


slips = [
    ({"nn.Parameter(torch.tensor(factor))": "factor"}, "A number in an attribute is no parameter: wrap it."),
    ({"values * ": "values + "}, "That adds the factor."),
]
also_wrong = [
    ({"super().__init__()": "pass"}, "`super().__init__()` is missing"),
]
also_right = [{"values * self.secret_factor": "self.secret_factor * values"}]
'''
LARGEST = "def value_range(image):\n    return float(image.max())"
ADDS = """class Scaled(nn.Module):
    def __init__(self, factor):
        super().__init__()
        self.factor = nn.Parameter(torch.tensor(factor))
    def forward(self, values):
        return values + self.factor"""
SOLUTIONS, SECRETS = ("spread_of_it", "secret_factor"), ("0 * 17", "values + ", 'super().__init__()": "pass')


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The teacher's."""
    path = tmp_path_factory.mktemp("teacher") / "my tasks"
    path.mkdir()
    (path / "t51_1_value_range.py").write_text(RANGE)
    (path / "t51_2_scaled.py").write_text(SCALED)
    (path / "51.md").write_text("# Spread and scale\n\nDue on Friday.\n")
    return path


@pytest.fixture(scope="module")
def messages() -> list[str]:
    """What was said while it was released."""
    return []


@pytest.fixture(scope="module")
def students(tmp_path_factory: pytest.TempPathFactory, folder: Path, messages: list[str]) -> Path:
    """The notebook that students get."""
    return release("51", tmp_path_factory.mktemp("class"), own=folder, on_message=messages.append)


def answered(students: Path, *answers: str) -> NotebookNode:
    """A submission: the students' notebook with answers to its tasks in turn."""
    notebook = nbformat.read(students, as_version=4)
    for number, answer in enumerate(answers, start=1):
        cell_of(notebook, f"task-51-{number}").source = answer
    return notebook


def solved(students: Path, folder: Path) -> NotebookNode:
    page = assignment("51", own=folder)
    return answered(students, *(task.source for task in page.tasks.values()))


def with_packed(notebook: str) -> str:
    """All that a notebook holds, also where it is packed."""
    packed = re.findall(r'bring\(\\"([\w+/=]+)\\"\)', notebook)
    assert len(packed) == 1
    return notebook + zlib.decompress(base64.b64decode(packed[0])).decode()


def test_students_get_one_notebook_without_any_answer(students: Path) -> None:
    assert [path.name for path in students.parent.iterdir()] == ["51_exercises.ipynb"]
    text = with_packed(students.read_text())
    assert "def inputs(self, draw):" in text
    assert "That is the standard deviation." in text
    for secret in (*SOLUTIONS, *SECRETS, "my tasks", "grade_answer", "HIDDEN"):
        assert secret not in text
    cells = nbformat.read(students, as_version=4).cells
    assert cells[0].source.startswith("# Spread and scale\n\nDue on Friday.\n\nEach task asks")
    assert cells[0].source.count("Together 4 points") == 1
    assert "solution" not in cells[1].source.splitlines()[-5]
    assert cells[2].source == "import torch\nfrom torch import Tensor\nfrom torch import nn\nimport math"


def test_a_page_checks_answers_where_the_teachers_folder_is_not(
    students: Path, tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    notebook = solved(students, folder)
    more = [
        LARGEST,
        'check("51.1", value_range, show=True)',
        ADDS,
        'check("51.2", Scaled)',
        "def value_range(image):\n    return image.wrong",
        'check("51.1", value_range)',
        'hint("51.2"), hint("51.2"), hint("51.2")',
        "progress()",
    ]
    notebook.cells += [nbformat.v4.new_code_cell(code) for code in more]
    elsewhere = tmp_path / "student"
    elsewhere.mkdir()
    monkeypatch.setenv("COURSE_PROGRESS", str(elsewhere / "progress.json"))
    folder.rename(folder.parent / "gone")
    try:
        NotebookClient(notebook, timeout=60, resources={"metadata": {"path": str(elsewhere)}}).execute()
    finally:
        (folder.parent / "gone").rename(folder)
    texts = [
        " ".join(cell.outputs[0].data["text/plain"].split())
        for cell in notebook.cells
        if cell.cell_type == "code" and re.match(r"check|hint|progress", cell.source)
    ]
    assert texts[0] == "51.1 How far values spread: correct notice: One broken pixel decides it."
    assert texts[1].startswith("51.2 A layer with a factor: correct")
    assert "Lesson 51: 2 of 2 tasks correct" in texts[2]
    assert "51.1 How far values spread: incorrect" in texts[3]
    assert "likely slip: That is the largest value alone." in texts[3]
    assert " image = tensor([[" in texts[3]
    assert "likely slip: That adds the factor." in texts[4]
    assert "of your cell: return image.wrong" in texts[5]
    assert texts[6].count("Hint") == 2
    assert "solution" not in texts[6]
    assert "Lesson 1: 0 of" in texts[7]
    assert "Lesson 51: 0 of 2" in texts[7]


def test_own_tasks_are_graded_in_the_sandbox_as_they_are_now(
    students: Path, folder: Path, tmp_path: Path, sandboxed: None
) -> None:
    handed_in = {
        "right": solved(students, folder),
        "slips": answered(students, LARGEST, ADDS),
        "untouched": answered(students),
        "by-heart": answered(
            students, "known = iter([{0!r}, {1!r}] * 9)\ndef value_range(image):\n    return next(known)"
        ),
    }
    (first,), (second,) = ([t.detach() for t in arguments] for arguments in _inputs(folder))
    ranges = [(image.max() - image.min()).item() for image in (first, second)]
    cell = cell_of(handed_in["by-heart"], "task-51-1")
    cell.source = cell.source.format(*ranges)
    for student, notebook in handed_in.items():
        (tmp_path / "in" / student).mkdir(parents=True)
        nbformat.write(notebook, tmp_path / "in" / student / students.name)
    since = shutil.copytree(folder, tmp_path / "with other inputs since the release")
    (since / "t51_2_scaled.py").write_text(SCALED.replace("range(2)", "range(3)"))
    records = {record["student"]: record for record in grade("51", tmp_path / "in", tmp_path / "out", own=since)}
    assert {student: record["score"] for student, record in records.items()} == {
        "right": 4,
        "slips": 0,
        "untouched": 0,
        "by-heart": 0,
    }
    untouched = records.pop("untouched")
    assert untouched["reasons"] == ["it answers no task, as if another copy had been handed in"]
    assert [record["reasons"] for record in records.values()] == [[]] * 3
    by_heart = records["by-heart"]["tasks"]["51.1"]
    assert (by_heart["public"], by_heart["hidden"]) == ("correct", False)
    assert "images of several sizes. Not right: the result" in by_heart["reason"]
    page = (tmp_path / "out" / "feedback" / "slips.html").read_text()
    assert "That is the largest value alone." in page
    assert "That adds the factor." in page
    public = {task["public"] for task in untouched["tasks"].values()}
    assert public == {"not attempted"}


def _inputs(folder: Path) -> list[tuple]:
    from course_lib.exercises.draw import Draw

    return list(assignment("51", own=folder).tasks["51.1"].inputs(Draw(0)))


def test_the_sandbox_holds_no_answer_to_own_tasks(folder: Path, sandboxed: None) -> None:
    look = f"""
import os
from course_lib.exercises.load import FOLDER, find_task
task, files = find_task("51.1"), sorted(FOLDER.glob("*"))
secrets = [secret for file in files for secret in {(*SOLUTIONS, *SECRETS)} if secret in file.read_text()]
there = hasattr(task, "solution"), task.slips, os.path.exists({str(folder)!r})
raise ValueError([file.name for file in files], secrets, there)
"""
    with Sandbox("51", folder, seconds=10) as box:
        error = box.run([(0, look)], {}, seed=0)["errors"]["0"]
    assert error == "ValueError: (['t51_1_value_range.py', 't51_2_scaled.py'], [], (False, (), False))"


def test_own_tasks_may_not_lie_where_submissions_look(sandboxed: None) -> None:
    with pytest.raises(ValueError, match="which submissions can see; move it elsewhere"):
        Sandbox("51", Path(sys.prefix) / "my tasks", seconds=10)


def test_a_task_renamed_or_edited_on_the_page_is_another_release(folder: Path, tmp_path: Path) -> None:
    copied = shutil.copytree(folder, tmp_path / "copied")
    before = assignment("51", own=folder).fingerprint
    assert assignment("51", own=copied).fingerprint == before  # wherever the folder lies
    (copied / "t51_1_value_range.py").write_text(RANGE.replace("minus its smallest", "less its smallest"))
    assert assignment("51", own=copied).fingerprint != before


def test_nbgraders_own_grading_asks_the_hidden_check_too(
    folder: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The cell that nbgrader runs in place of the student's check, read from the source of the release."""
    monkeypatch.setattr(load, "_loaded", {})
    monkeypatch.setenv("COURSE_PROGRESS", str(tmp_path / "progress.json"))
    page = assignment("51", own=folder)
    load.offer(unpack(pack(page.tasks.values())))
    code = cell_of(page.source, "check-51-1").source
    space: dict = {}
    exec("from course_lib.exercises import check", space)
    exec(code, space | {"value_range": page.tasks["51.1"].solution})
    with pytest.raises(AssertionError, match="That is the largest value alone"):
        exec(code, space | {"value_range": page.tasks["51.1"].slips[0][0]})


def write(folder: Path, **files: str) -> Path:
    for name, text in files.items():
        (folder / f"{name}.py").write_text(text)
    return folder


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({}, r"no tasks of lesson 51 in there; a task is a file such as t51_1_name\.py"),
        ({"t52_1_value_range": RANGE}, "no tasks of lesson 51 in there; its tasks are of lesson 52"),
        ({"t04_1_value_range": RANGE}, r"t04_1_value_range\.py: lesson 04 is the course's; number your own from 51"),
        ({"t51_1_range": RANGE}, r"the file of task 51\.1, value_range, is called t51_1_value_range\.py"),
        (
            {"t51_1_value_range": RANGE, "t51_1_spread": RANGE.replace("value_range", "spread")},
            r"t51_1_value_range\.py: 51\.1 is also the number of t51_1_spread\.py; give one of them another",
        ),
        ({"t51_1_value_range": RANGE.replace("# Answers", "#")}, "no line `# Answers`"),
        (
            {"t51_1_value_range": RANGE.replace("image.max() - image.min()).item()]", "image.max() * 2).item()]")},
            r"nothing was released, .*\n51\.1: <lambda> in line \d+ is right, but refused: .*",
        ),
        (
            {"t51_1_value_range": RANGE.replace("image.max().item(),", "(image.max() - image.min()).item(),")},
            "should be refused with 'That is the largest value alone.', but is correct",
        ),
        (
            {
                "t51_1_value_range": RANGE.replace("import math\n", "").replace(
                    "# Answers\n", "# Answers\nimport math\n"
                )
            },
            r"51.1: its solution is refused on the page; .* imports above .*\n.*\n.*NameError: name 'math' is not",
        ),
        (
            {
                "t51_1_value_range": RANGE.replace("-> float", "-> np.ndarray").replace(
                    "# Answers\n", "# Answers\nimport numpy as np\n"
                )
            },
            r"the page fails: NameError: name 'np' is not defined; a student's page has PyTorch, the imports above",
        ),
        (
            {"t51_1_value_range": RANGE.replace("(3, 5)", "SIDES").replace("# Answers\n", "# Answers\nSIDES = 3, 5\n")},
            "name 'SIDES' is not defined",
        ),
    ],
)
def test_a_folder_that_cannot_be_released_is_told_what_is_wrong(
    tmp_path: Path, files: dict[str, str], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        release("51", tmp_path / "class", own=write(tmp_path, **files))
    assert not (tmp_path / "class").exists()


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="nowhere: a folder with files of tasks was expected"):
        assignment("51", own=tmp_path / "nowhere")
    with pytest.raises(ValueError, match=r"lesson 51: has no exercises; there are 01.*; of your own, say --tasks"):
        assignment("51")


def test_few_wrong_answers_are_told_and_no_reason_to_refuse_a_teacher(students: Path, messages: list[str]) -> None:
    assert students.is_file()
    assert messages == ["51.2: fewer than four wrong answers; what do learners do instead?"]


def test_gradescope_does_not_get_own_answers(students: Path) -> None:
    with pytest.raises(ValueError, match="whose answers students could read in Gradescope's containers"):
        autograder(students.parents[2])


def test_tasks_of_the_course_judge_alike_when_packed() -> None:
    """What a check says without answers, of the answers whose words are known."""
    for task in map(load.find_task, ("01.1", "01.2", "01.5", "05.4")):
        (packed,) = unpack(pack([task]))
        for answer in (task.solution, *(wrong for wrong, _ in (*task.slips, *task.also_wrong))):
            assert repr(result_of(packed, answer)) == repr(result_of(task, answer))


def test_the_example_in_the_page_for_teachers_is_a_whole_task(tmp_path: Path) -> None:
    text = (PACKAGE / "classroom" / "README.md").read_text()
    write(tmp_path, t51_1_value_range=text.partition("```python\n")[2].partition("```")[0])
    (task,) = assignment("51", own=tmp_path).tasks.values()
    assert faults(task) == []
