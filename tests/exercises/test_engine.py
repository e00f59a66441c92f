"""What a learner sees of the engine: states, errors in their own line, hints in steps, a file that survives."""

import json
import linecache
import re
import threading
from pathlib import Path

import pytest

from course_lib.exercises import check, hint, progress, solution
from course_lib.exercises.draw import as_at_first
from course_lib.exercises.engine import UnsoundError, fault
from course_lib.exercises.load import find_task, tasks_of
from course_lib.exercises.page import cleared
from course_lib.exercises.task import Observation, observation


@pytest.fixture(autouse=True)
def progress_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "progress.json"
    monkeypatch.setenv("COURSE_PROGRESS", str(path))
    return path


def cell(code: str, name: str) -> object:
    """A function as a notebook's cell defines it: its lines can be looked up, and lie in no package."""
    linecache.cache["<cell>"] = (len(code), None, code.splitlines(keepends=True), "<cell>")
    space: dict[str, object] = {}
    exec(compile(code, "<cell>", "exec"), space)
    return space[name]


RIGHT = "def same_padding(kernel, dilation=1):\n    return dilation * (kernel - 1) // 2\n"


def test_a_right_answer_is_correct_and_what_to_notice_is_said_as_text_and_as_a_page() -> None:
    result = check("01.1", cell(RIGHT, "same_padding"))
    assert repr(result).startswith("01.1 The padding that keeps the size: correct\n  notice: ")
    assert "correct" in result._repr_html_()
    assert "even kernel" in result._repr_html_()


def test_a_task_not_begun_raises_nothing() -> None:
    stub = cleared("def f(kernel, dilation=1):\n    ### BEGIN SOLUTION\n    return 1\n    ### END SOLUTION\n")
    result = check("01.1", cell(stub, "f"))
    assert (result.state, result.findings) == ("not attempted", ())


def test_a_learners_error_is_reported_with_their_line() -> None:
    code = "def helper(x):\n    return x / 0\n\ndef f(kernel, dilation=1):\n    return helper(kernel)\n"
    assert "ZeroDivisionError: division by zero; in helper, line 2 of your cell: return x / 0" in repr(
        check("01.1", cell(code, "f"))
    ).replace("\n    ", " ")


def test_an_error_inside_of_a_library_is_reported_with_the_learners_line() -> None:
    code = "import torch\ndef f(image, window):\n    return torch.stack([])\n"
    assert "line 3 of your cell: return torch.stack([])" in " ".join(repr(check("01.2", cell(code, "f"))).split())


def test_wrong_arguments_an_unfinished_layer_and_a_missing_call_are_told_apart() -> None:
    assert "positional argument" in repr(check("01.1", cell("def f():\n    return 1\n", "f")))
    missing = cell("def f(kernel, dilation=1):\n    raise NotImplementedError('no such op')\n", "f")
    assert check("01.1", missing).state == "incorrect"
    assert "without a call" in repr(check("01.1", 3))


def test_what_is_printed_counts_for_nothing() -> None:
    code = "def f(kernel, dilation=1):\n    print(dilation * (kernel - 1) // 2)\n"
    result = check("01.1", cell(code, "f"))
    assert result.state == "incorrect"
    assert "does it end with `return`" in repr(result)


def test_markup_in_an_answer_is_shown_not_obeyed() -> None:
    page = check("01.1", cell("def f(kernel, dilation=1):\n    return '<script>'\n", "f"))._repr_html_()
    assert "&lt;script&gt;" in page
    assert "<script>" not in page


def test_code_in_feedback_is_shown_as_code() -> None:
    page = check("01.1", cell("def f(kernel, dilation=1):\n    return (kernel - 1) / 2\n", "f"))._repr_html_()
    assert "divide with <code>//</code>" in page


def test_what_a_large_tensor_held_is_found_and_what_it_should_hold_is_expected() -> None:
    code = (
        "def f(image, window):\n    return image.unfold(0, window, window).unfold(1, window, window).amax((2, 3)) + 1\n"
    )
    findings = dict(check("01.2", cell(code, "f")).findings)
    assert re.search(r"max_pool_by_hand\(.*\) gave a tensor of shape \(.*\) with -?\d.* at \[0, 0\]", findings["found"])
    assert re.fullmatch(r"-?[\d.]+ there", findings["expected"])


def test_the_inputs_of_the_first_wrong_call_are_shown_when_asked_for() -> None:
    without_dilation = cell("def f(kernel, dilation=1):\n    return kernel // 2\n", "f")
    assert "kernel = " not in repr(check("01.1", without_dilation))
    assert repr(check("01.1", without_dilation, show=True)).endswith("\n  kernel = 7\n  dilation = 2")
    failing = cell("def f(image, window):\n    return image[window:].missing\n", "f")
    page = check("01.2", failing, show=True)._repr_html_()
    assert "<pre>image = tensor([[" in page
    assert "window = 3</pre>" in page


def test_hints_come_in_steps_and_the_solution_is_that_of_the_page() -> None:
    steps = [repr(hint("01.1")) for _ in range(4)]
    assert [step[:11] for step in steps[:2]] == ["Hint 1 of 2", "Hint 2 of 2"]
    assert 'solution("01.1")' in steps[2]
    assert steps[3] == steps[0]
    assert repr(solution("01.1")).startswith("def same_padding(")
    assert "###" not in repr(solution("01.1"))


def test_progress_is_kept_in_a_file_that_a_person_can_read(progress_path: Path) -> None:
    check("01.1", cell(RIGHT, "same_padding"))
    hint("01.2")
    assert json.loads(progress_path.read_text()) == {
        "01.1": {"state": "correct", "checks": 1, "hints": 0},
        "01.2": {"state": "not attempted", "checks": 0, "hints": 1},
    }
    assert repr(progress(1)).startswith(f"Lesson 1: 1 of {len(tasks_of(1))} tasks correct\n  01.1 ")
    assert "Lesson 6: " in repr(progress())


def test_a_spoilt_progress_file_is_named_and_kept(progress_path: Path) -> None:
    progress_path.write_text("{ half")
    with pytest.raises(ValueError, match=r"progress\.json: no longer a progress file .* delete it"):
        check("01.1", cell(RIGHT, "same_padding"))
    assert progress_path.read_text() == "{ half"


@pytest.mark.parametrize("number", ["07.1", "01.99", "x", "1.1"])
def test_a_task_that_is_not_there_is_named(number: str) -> None:
    with pytest.raises(ValueError, match=f"task '{number}' is not known; the tasks are"):
        check(number, len)


def test_answers_are_observed_one_at_a_time_for_all_threads_share_the_random_numbers() -> None:
    inside = threading.Event()

    def enter() -> None:
        with as_at_first():
            inside.set()

    other = threading.Thread(target=enter)
    with as_at_first():
        other.start()
        assert not inside.wait(0.2)
    assert inside.wait(20)
    other.join()


def test_a_solution_that_fails_is_no_fault_of_the_answer() -> None:
    task = find_task("01.1")
    right = observation(task, task.solution, 1)
    with pytest.raises(UnsoundError, match=r"01.1: its own solution failed .* ZeroDivisionError"):
        fault(task, right, Observation([], ZeroDivisionError()), 1)
