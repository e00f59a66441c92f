"""What counts as the same output. Faults in whole notebooks are planted in tests/test_notebook_comparison.py."""

import base64
import io

import pytest
from PIL import Image

from course_lib.authoring import Tolerance, differences


def printed(text: str) -> list[dict[str, str]]:
    return [{"output_type": "stream", "name": "stdout", "text": text}]


def test_a_number_may_move_by_the_declared_difference_and_no_more() -> None:
    tolerance = Tolerance(difference=0.02)
    assert differences(printed("AUC 0.93"), printed("AUC 0.95"), tolerance) == []
    assert differences(printed("AUC 0.93"), printed("AUC 0.951"), tolerance) != []


def test_a_number_may_change_by_the_declared_factor_and_no_more() -> None:
    tolerance = Tolerance(factor=3)
    assert differences(printed("1,200 images/s"), printed("400 images/s"), tolerance) == []
    assert differences(printed("1,200 images/s"), printed("399 images/s"), tolerance) != []
    assert differences(printed("2.0"), printed("-2.0"), tolerance) != []


def test_without_a_tolerance_even_another_way_of_writing_a_number_differs() -> None:
    assert differences(printed("0.50"), printed("0.5"), Tolerance()) != []


def test_a_digit_inside_a_name_is_text_whatever_the_tolerance() -> None:
    assert differences(printed("fc1: 512"), printed("fc2: 512"), Tolerance(difference=5)) != []


def test_a_column_may_shift_with_the_length_of_its_numbers() -> None:
    assert differences(printed("loss   9.98"), printed("loss  10.01"), Tolerance(difference=0.1)) == []


@pytest.mark.parametrize("number", ["nan", "inf"])
def test_a_loss_that_became_no_number_differs(number: str) -> None:
    assert differences(printed("loss 0.693"), printed(f"loss {number}"), Tolerance(difference=100)) != []


def test_a_line_more_or_less_differs() -> None:
    assert differences(printed("one\ntwo\n"), printed("one\n"), Tolerance()) == [
        "stdout: saved was 'two', now came ''."
    ]


def test_stderr_does_not_stand_in_for_stdout() -> None:
    now = [{"output_type": "stream", "name": "stderr", "text": "one"}]
    assert differences(printed("one"), now, Tolerance()) == ["saved was stdout; now came stderr."]


def test_a_schematic_that_says_another_number_differs_and_the_number_is_named() -> None:
    def display(number: int) -> list[dict[str, object]]:
        file = base64.b64encode(f"<svg><text>{number}</text></svg>".encode()).decode()
        page = f'<img src="data:image/svg+xml;base64,{file}" alt="A number.">'
        return [{"output_type": "display_data", "data": {"text/html": page}}]

    assert differences(display(8), display(8), Tolerance()) == []
    (said,) = differences(display(8), display(9), Tolerance())
    assert "'<text>8', now: '<text>9'" in said


def test_an_alt_text_is_compared_too() -> None:
    def display(alt: str) -> list[dict[str, object]]:
        return [{"output_type": "display_data", "data": {"text/plain": alt}}]

    assert differences(display("[Figure: a lung]"), display("[Figure: a heart]"), Tolerance()) != []


def test_a_picture_within_a_page_is_no_text_though_base64_holds_digits() -> None:
    def display(color: int, kind: str = "png") -> list[dict[str, object]]:
        written = io.BytesIO()
        ramp = Image.linear_gradient("L").point(lambda value: value // color)
        ramp.save(written, kind)
        page = f'<img src="data:image/{kind};base64,{base64.b64encode(written.getvalue()).decode()}">'
        return [{"output_type": "display_data", "data": {"text/html": page}}]

    assert differences(display(1), display(2), Tolerance()) == []
    assert differences(display(1), display(256), Tolerance()) == ["the new picture is blank."]
    assert "data:image/jpeg" in differences(display(1), display(1, "jpeg"), Tolerance())[0]


def test_a_number_in_a_pages_state_may_move_by_the_tolerance_and_is_told_without_the_rest() -> None:
    def display(weight: float) -> list[dict[str, object]]:
        page = f'<script type="application/json">{{"image": [1,200,3], "weight": {weight}}}</script>'
        return [{"output_type": "display_data", "data": {"text/html": page}}]

    assert differences(display(0.5), display(0.51), Tolerance(difference=0.02)) == []
    [said] = differences(display(0.5), display(0.6), Tolerance(difference=0.02))
    assert said.endswith("""saved line: '"weight": 0.5', now: '"weight": 0.6'.""")


@pytest.mark.parametrize("tags", [["tol-"], ["tol-0.1.2"], ["tolerance-3"], ["tol-1", "tol-2"]])
def test_a_tag_that_is_no_tolerance_is_refused(tags: list[str]) -> None:
    with pytest.raises(ValueError, match=r"write one tolerance, such as tol-0\.02"):
        Tolerance.from_cell({"metadata": {"tags": tags}})


def test_tolerances_are_read_from_tags() -> None:
    assert Tolerance.from_cell({"metadata": {"tags": ["setup", "tol-0.02"]}}) == Tolerance(difference=0.02)
    assert Tolerance.from_cell({"metadata": {"tags": ["tol-x3"]}}) == Tolerance(factor=3)
    assert Tolerance.from_cell({"metadata": {}}) == Tolerance()


def test_one_error_that_two_releases_of_torch_word_differently_is_the_same() -> None:
    words = "RuntimeError: {}mat1 and mat2 shapes cannot be multiplied (2x8192 and {}x512)"
    saved = [{"output_type": "stream", "name": "stdout", "text": words.format("", 2048)}]
    for prefix, rows, faults in (("addmm: ", 2048, 0), ("addmm: ", 4096, 1), ("addmv: ", 2048, 1)):
        now = [{"output_type": "stream", "name": "stdout", "text": words.format(prefix, rows)}]
        assert len(differences(saved, now, Tolerance())) == faults
