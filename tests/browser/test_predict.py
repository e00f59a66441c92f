"""The predictions in a browser: nothing is told before one commits, then what it is, the likely slip and the reason."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from browser.explorers import call, expect_good_manners, open_page, reload_until
from browser.lab import Lab, expect

from course_lib.widgets import Predict
from course_lib.widgets.questions import Question, predictions

if TYPE_CHECKING:
    from playwright.sync_api import Locator, Page

KNOWN = predictions()

each = pytest.mark.parametrize("number", KNOWN)


def told(prediction: "Locator") -> str:
    return prediction.get_by_role("status").inner_text()


def answers(asked: Question) -> list[tuple[Any, bool, str]]:
    """What can be said: a value or a place, whether it is right, and the reason that it earns."""
    if "choice" in asked:
        return [(place, one.get("right", False), one["why"]) for place, one in enumerate(asked["choice"])]
    spellings = [
        (asked["answer"], True, asked["why"]),
        *((slip["value"], False, slip["why"]) for slip in asked["slip"]),
    ]
    return [
        (value, right, why)
        for values, right, why in spellings
        for value in (values if isinstance(values, list) else [values])
    ]


def commit(prediction: "Locator", said: Any, asked: Question) -> None:
    if "choice" in asked:
        prediction.get_by_text(asked["choice"][said]["text"].replace("`", "")).click()
    else:
        prediction.get_by_label("your prediction").fill(str(said))
        prediction.get_by_role("button", name="Commit").click()


@each
def test_each_answer_earns_its_reason(number: str, page: "Page", tmp_path: Path) -> None:
    asked = KNOWN[number]
    prediction = open_page(page, Predict(number), tmp_path)
    for said, right, why in answers(asked):
        commit(prediction, said, asked)
        assert told(prediction).startswith("✓ Right." if right else "✗ "), said
        assert why.replace("`", "") in told(prediction), said
        prediction.get_by_role("button", name="Start again").click()


@each
def test_nothing_is_told_before_one_commits(number: str, page: "Page", tmp_path: Path) -> None:
    asked = KNOWN[number]
    prediction = open_page(page, Predict(number), tmp_path)
    choices = [f"{'ABCD'[place]} {one['text']}" for place, one in enumerate(asked.get("choice", []))]
    controls = [] if choices else ["your prediction", "Commit"]
    seen = " ".join([f"Prediction {number}", asked["text"], *choices, *controls, "I don't know"])
    assert page.evaluate("document.body.innerText").split() == seen.replace("`", "").split()
    prediction.get_by_role("button", name="I don't know").click()
    assert told(prediction).startswith("No prediction this time.\n\nIt is ")
    reasons = [why for _, right, why in answers(asked) if right]
    assert all(why.replace("`", "") in told(prediction) for why in reasons)


def use(prediction: "Locator") -> None:
    """Prediction 1.1: by keyboard and by mouse a number that is none, a slip, the right one; then again."""
    field = prediction.get_by_label("your prediction")
    field.focus()
    prediction.page.keyboard.type("abc")
    prediction.page.keyboard.press("Enter")
    assert told(prediction) == 'A number such as 12 or 0.5 is expected, but "abc" was typed. Type one.'
    assert field.get_attribute("aria-invalid") == "true"
    field.fill("10")
    prediction.page.keyboard.press("Enter")
    assert told(prediction).startswith("✗ You said 10. It is -4.")
    prediction.page.keyboard.press("Tab")
    prediction.page.keyboard.press("Enter")  # "Start again", and the field has the focus
    prediction.page.keyboard.type("-4")
    prediction.page.keyboard.press("Tab")
    prediction.page.keyboard.press("Space")
    assert told(prediction).startswith("✓ Right.")
    assert not field.is_visible()
    prediction.get_by_role("button", name="Start again").click()
    assert told(prediction) == ""
    assert field.is_visible()


def test_everything_works_without_kernel_and_network(page: "Page", tmp_path: Path) -> None:
    use(open_page(page, Predict("1.1"), tmp_path))


@pytest.mark.parametrize("number", ["1.5", "1.2", "2.3"])
def test_its_manners_before_and_after(number: str, page: "Page", tmp_path: Path) -> None:
    prediction = open_page(page, Predict(number), tmp_path)
    expect_good_manners(page)
    commit(prediction, answers(KNOWN[number])[1][0], KNOWN[number])
    expect_good_manners(page)


def test_a_choice_is_made_by_keyboard_alone_and_once(page: "Page", tmp_path: Path) -> None:
    prediction = open_page(page, Predict("1.2"), tmp_path)
    for key in ("Tab", "Tab", "Enter"):
        page.keyboard.press(key)
    said = told(prediction)
    assert said.startswith("✗ Not this one.")
    assert "It is C." in said
    prediction.locator(".answer").nth(2).click(force=True)  # which is said to be disabled
    assert told(prediction) == said


@pytest.mark.parametrize(("number", "said"), [("1.5", 80), ("1.2", 0), ("2.3", "(1, 2)"), ("3.1", None)])
def test_a_commitment_survives_a_reload_until_one_starts_again(
    number: str, said: Any, page: "Page", tmp_path: Path
) -> None:
    prediction = open_page(page, Predict(number), tmp_path)
    if said is None:
        prediction.get_by_role("button", name="I don't know").click()
    else:
        commit(prediction, said, KNOWN[number])
    again = open_page(page.context.new_page(), Predict(number), tmp_path)
    assert told(prediction)
    reload_until(again.page, lambda: told(again), told(prediction))
    again.get_by_role("button", name="Start again").click()
    page.reload()
    reload_until(page, lambda: told(prediction), "")


def test_a_number_is_read_as_people_write_it(page: "Page", tmp_path: Path) -> None:
    open_page(page, Predict("1.5"), tmp_path)
    written = {
        "224": 224,
        " -4 ": -4,
        "\u22124": -4,
        "+.5": 0.5,
        "5.": 5,
        "1,341": 1341,
        "67,109,376": 67109376,
        "35%": 0.35,
    }
    written |= {"1e-8": 1e-8, "1,341.5": 1341.5, "0,35": None, "0,350": None, "1,34": None, "": None, "eight": None}
    assert call(page, "predict", "readNumber", [(text,) for text in written]) == list(written.values())


def test_a_number_is_right_within_its_tolerance_and_a_word_in_any_spelling(page: "Page", tmp_path: Path) -> None:
    open_page(page, Predict("1.5"), tmp_path)
    number = {"answer": 0.352, "tolerance": 0.05, "slip": [{"value": 0.93, "why": "turned round"}]}
    word = {"answer": ["fc1", "fc 1"], "slip": [{"value": ["conv1"], "why": "first"}]}
    cases = [(number, value) for value in (0.302, 0.402, 0.3, 0.93, 0.9, 0.5)]
    cases += [(word, said) for said in ("FC1", " 'fc1' ", "Conv1", "fc2")]
    found = [(one["right"], one["slip"]) for one in call(page, "predict", "judge", cases)]
    assert found[:6] == [(True, None)] * 2 + [
        (False, None),
        (False, "turned round"),
        (False, "turned round"),
        (False, None),
    ]
    assert found[6:] == [(True, None), (True, None), (False, "first"), (False, None)]


def test_running_all_cells_tells_no_result_before_a_click(lab: Lab) -> None:
    # JupyterLab sets `cell.outputHidden = false` whenever it runs a cell: packages/notebook/src/cellexecutor.ts
    lab.new("asked.ipynb", ['from course_lib.widgets import Predict\n\nPredict("1.1")', 'print("it is 9")\n"and that"'])
    lab.run_all()
    output = lab.output(1)
    expect(output.get_by_text("The result of prediction 1.1")).to_be_visible()
    for said in ("it is 9", "'and that'"):
        expect(output.get_by_text(said)).to_be_hidden()
    output.get_by_text("The result of prediction 1.1").click()
    for said in ("it is 9", "'and that'"):
        expect(output.get_by_text(said)).to_be_visible()
    assert lab.console_errors == []
