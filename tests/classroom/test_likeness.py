"""Answers that are the same under other names, and answers that the course itself gave."""

import html
import re
from collections.abc import Callable
from pathlib import Path

import nbformat
import pytest
from classroom.records import record
from markdown_it import MarkdownIt
from nbformat import NotebookNode

from course_lib.classroom.assignment import Assignment
from course_lib.classroom.likeness import read_answer
from course_lib.classroom.results import Results

PLAIN = """
import torch

def helper(scores):
    return scores.argmax(dim=1)

def class_accuracy(logits, labels):
    predicted = helper(logits)
    return torch.stack([(predicted[labels == k] == k).float().mean() for k in range(logits.shape[1])])
"""
ALIKE = [
    PLAIN.replace("predicted", "p").replace("helper", "_best").replace("scores", "z"),
    PLAIN.replace("logits, labels", "logits: torch.Tensor, labels: torch.Tensor").replace("):\n", "):  # mine\n\n\n"),
    PLAIN.replace("import torch\n", "import torch as th\n").replace("torch.stack", "th.stack"),
    PLAIN.replace("    predicted =", '    """What I do."""\n    predicted ='),
    PLAIN.replace("    predicted =", "    predicted: torch.Tensor\n    predicted: torch.Tensor ="),
    PLAIN.replace("import torch\n", "import torch.linalg\n"),
    "%matplotlib inline\n" + PLAIN,
    "def class_accuracy(a, b):\n    return 1\n" + PLAIN,
]
UNLIKE = [
    PLAIN.replace("argmax", "argmin"),
    PLAIN.replace("dim=1", "dim=0"),
    PLAIN.replace("scores.argmax", "scores.abs().argmax"),
    PLAIN.replace(".mean()", ".sum()"),
    PLAIN.replace("helper(logits)", "helper(labels)"),
]


@pytest.mark.parametrize("code", ALIKE)
def test_names_comments_layout_and_types_make_no_other_answer(code: str) -> None:
    assert read_answer([code], "class_accuracy").form == read_answer([PLAIN], "class_accuracy").form


@pytest.mark.parametrize("code", UNLIKE)
def test_other_code_is_another_answer(code: str) -> None:
    assert read_answer([code], "class_accuracy").form != read_answer([PLAIN], "class_accuracy").form


def test_a_default_that_pages_draw_makes_no_other_answer_and_any_other_number_does() -> None:
    first = (
        "class Pool(nn.Module):\n    def __init__(self, side=2, *, blur: int = 3):\n        self.row = range(blur, 5)\n"
    )
    second = first.replace("blur: int = 3", "blur: int = 7")
    assert read_answer([first], "Pool", "blur").form == read_answer([second], "Pool", "blur").form
    assert read_answer([first], "Pool").form != read_answer([second], "Pool").form
    for other in (first.replace("side=2", "side=4"), first.replace("5", "7")):
        assert read_answer([first], "Pool", "blur").form != read_answer([other], "Pool", "blur").form
    by_place = "def shifted(images, shift=4):\n    return images[shift:]\n"
    assert (
        read_answer([by_place], "shifted", "shift").form
        == read_answer([by_place.replace("4", "6")], "shifted", "shift").form
    )


def test_classes_are_compared_without_the_names_of_their_parts() -> None:
    first = "class Net(nn.Module):\n    def __init__(self):\n        self.conv = nn.Conv2d(3, 8, 3)\n"
    second = first.replace("self.conv", "self.c1")
    assert read_answer([first], "Net").form == read_answer([second], "Net").form
    assert read_answer([first], "Net").form != read_answer([first.replace("8", "16")], "Net").form


@pytest.mark.parametrize(
    ("code", "used"),
    [
        ("from course_lib.explain import grad_cam as f", "course_lib.explain.grad_cam"),
        ("import course_lib.models as m\nf = lambda: m.SimpleCNN(batch_norm=True)", "course_lib.models"),
        ("from course_lib.models import SimpleCNN\ndef f():\n    return SimpleCNN()", "course_lib.models.SimpleCNN"),
        ("from course_lib.exercises.load import find_task\nr = find_task('04.1')\nf = r.assert_correct", "find_task"),
        ("def f(x):\n    from course_lib import explain\n    return explain.y(x)", "course_lib.explain"),
        ("import importlib\nf = importlib.import_module('course_lib.explain').y", "course_lib.explain"),
        ("from course_lib.explain import *\ndef f(x):\n    return grad_cam(x)", "course_lib.explain.grad_cam"),
        ("import sys\ndef f(x):\n    return sys._getframe(1)", "_getframe"),
    ],
)
def test_an_answer_that_calls_the_course_says_what(code: str, used: str) -> None:
    assert used in " ".join(read_answer([code], "f").course)


def test_ones_own_names_and_pythons_are_not_the_courses() -> None:
    star = "from course_lib.explain import *\ndef g(x):\n    y = len(x)\n    return y\ndef f(x):\n    return g(x)"
    assert read_answer([star], "f").course == frozenset()


def test_what_is_not_in_plain_sight_or_no_python_is_no_answer() -> None:
    assert read_answer(["globals()['f'] = print", "def f(:", "!!"], "f") is None
    assert read_answer(["def f():\n    return " + "(" * 5000], "f") is None


def test_the_summary_lists_who_shares_a_rare_answer_beside_how_common_it_is(
    tmp_path: Path, page: Assignment, solved: Callable[..., NotebookNode]
) -> None:
    loop = PLAIN.replace("torch.stack", "torch.hstack")
    answers = {f"own{k}": PLAIN.replace("float()", f"float().mul(1.{k})") for k in range(5)}
    answers |= {"ada": loop, "bob": loop.replace("predicted", "guess"), "cy": None}
    answers["eve"] = (
        "from course_lib.exercises.load import find_task\nclass_accuracy = find_task('04.1').assert_correct"
    )
    for student, code in answers.items():
        path = tmp_path / "submitted" / student / "04" / "04_cifar10.ipynb"
        path.parent.mkdir(parents=True)
        path.write_text(nbformat.writes(solved(code)))
    Results(tmp_path, page, set(answers)).write([record(page, student, student, 13) for student in answers])
    text = (tmp_path / "summary.md").read_text()
    assert "| 04.1 | 2 of 9 | `ada`, `bob` |" in text
    assert "| 04.2 | 9 of 9 (the solution) | `own0`, `own1`" in text
    assert "and 1 more |" in text
    assert "| 04.1 | eve | `course_lib.exercises.load.find_task` |" in text


def test_no_link_or_image_of_a_submission_comes_out_of_the_summary(tmp_path: Path, page: Assignment) -> None:
    """Judged by the Markdown that GitHub speaks, as markdown-it reads it."""
    evil = "![p](http://evil.example/p.png) [click](http://evil.example) <img src=x> `` ` ``` | \\| <http://e.x> *b*"
    Results(tmp_path, page, {"ann"}).write([record(page, "ann", "Ann", 13, reasons=[f"cell 3 failed: {evil}"])])
    text = MarkdownIt("gfm-like", {"linkify": False}).render((tmp_path / "summary.md").read_text())
    assert set(re.findall(r"<(\w+)", text)) <= {"h1", "h2", "p", "table", "thead", "tbody", "tr", "th", "td", "code"}
    assert "![p](http://evil.example/p.png)" in html.unescape(text)


def test_mean_and_median_are_of_who_was_graded(tmp_path: Path, page: Assignment) -> None:
    scores = {"a": 13, "b": 10, "c": None, "d": None}
    records = [
        record(page, name, name, score, status="graded" if score else "missing") for name, score in scores.items()
    ]
    records.append(record(page, "e", "e", 4, reasons=["not in the roster"]))
    Results(tmp_path, page, set("abcde")).write(records)
    text = (tmp_path / "summary.md").read_text()
    assert "5 students, 3 graded" in text
    assert "Mean 9.0, median 10 of 13 points." in text
    assert text.index("## Not graded") < text.index("| c | missing |") < text.index("## Not in the roster\n")
