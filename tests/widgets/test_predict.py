"""The predictions: each has one answer with its reason, and slips that lead elsewhere; nothing tells it beforehand."""

import html
import math
import re
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import pytest
import torch
from scipy import stats
from torch import nn
from torch.nn import functional as F

from course_lib.data import simulate_radiographs
from course_lib.models import load_trained
from course_lib.real_results import read
from course_lib.widgets import Predict
from course_lib.widgets.questions import predictions

SOURCES = Path(__file__).parents[2] / "notebooks" / "source"
KNOWN = predictions()

each = pytest.mark.parametrize("number", KNOWN)


@each
def test_a_prediction_has_one_answer_and_a_reason_for_each_slip(number: str) -> None:
    asked = KNOWN[number]
    if "choice" in asked:
        assert [choice.get("right", False) for choice in asked["choice"]].count(True) == 1
        assert 3 <= len(asked["choice"]) <= 4
        slips = asked["choice"]
    else:
        assert len(asked["why"]) > 20
        slips = asked["slip"]
        assert len(slips) >= 2
    assert all(len(slip["why"]) > 20 for slip in slips)
    allowed = {"number", "text", "choice"} if "choice" in asked else {"number", "text", "answer", "why", "slip"}
    assert asked.keys() - {"tolerance"} == allowed


@each
def test_no_slip_is_taken_for_the_answer_or_for_another_slip(number: str) -> None:
    asked = KNOWN[number]
    values = [asked["answer"], *(slip["value"] for slip in asked["slip"])] if "slip" in asked else []
    for place, one in enumerate(values):
        for other in values[:place]:
            if isinstance(one, list):
                bare = [{re.sub(r"""[\s"'`]""", "", word.lower()) for word in words} for words in (one, other)]
                assert not bare[0] & bare[1]
            else:
                assert abs(one - other) > 2 * asked.get("tolerance", 0)


def fetched(gradients: list[float]) -> float:
    """What `grad` holds after a `backward` for each of these gradients."""
    weight = torch.ones((), requires_grad=True)
    for gradient in gradients:
        (gradient * weight).backward()
    return weight.grad.item()


def fraction_sick(found: Fraction, alarms: Fraction, sick: Fraction) -> float:
    """Bayes' rule."""
    return float(found * sick / (found * sick + alarms * (1 - sick)))


PICTURE = torch.tensor([[[[1.0, 0, 2], [3, 5, 1], [0, 4, 2]]]])
KERNEL = torch.tensor([[[[1.0, 2], [0, -1]]]])
LESSON_6 = Path(__file__).parents[2] / "notebooks" / "06_visualization.ipynb"
TRUTHS: dict[str, Callable[[], float]] = {
    "1.1": lambda: F.conv2d(PICTURE, KERNEL)[0, 0, 0, 0].item(),
    "1.4": lambda: F.conv2d(torch.zeros(1, 1, 32, 32), torch.zeros(1, 1, 3, 3), stride=3).shape[-1],
    "1.5": lambda: sum(p.numel() for p in nn.Conv2d(3, 8, 3).parameters()),
    "2.2": lambda: (1 + 0) / 2,
    "3.1": lambda: fetched([-16, -3.2]),
    "3.5": lambda: fraction_sick(Fraction(93, 100), Fraction(9, 100), Fraction(50, 1000)),
    "4.1": lambda: len(torch.zeros(3, 128, 8, 8).view(-1, 128 * 4 * 4)),
    "4.3": lambda: math.log(0.91 / 0.01),
    "4.4": lambda: stats.ttest_1samp([-0.137, -0.022], 0).confidence_interval(0.95).high + (0.137 + 0.022) / 2,
    "5.1": lambda: sum(p.numel() for p in nn.Linear(512, 10).parameters()),
    "6.5": lambda: float(  # its table
        re.search(r"truth: taken away.*?activation map, signed +(-?[\d.]+)", LESSON_6.read_text(), re.DOTALL)[1]
    ),
}


@each
def test_a_number_is_what_torch_or_the_rule_says(number: str) -> None:
    if isinstance(KNOWN[number].get("answer"), int | float):
        assert KNOWN[number]["answer"] == pytest.approx(TRUTHS[number](), abs=5e-4)


def test_the_twelve_letters_are_the_labels_and_the_last_slip_is_what_the_network_says() -> None:
    twelve = simulate_radiographs(12, image_size=64, seed=50)
    with torch.no_grad():
        predicted = load_trained("opening")(twelve.images.float() / 255).argmax(dim=1)
    labels, said = ("".join("NP"[one] for one in which) for which in (twelve.labels, predicted))
    assert KNOWN["2.1"]["answer"] == [labels]
    assert labels.count("P") == 6
    assert KNOWN["2.1"]["slip"][-1]["value"] == [said]
    assert f"{int((predicted == twelve.labels).sum())} of 12" in KNOWN["2.1"]["slip"][-1]["why"]


def test_on_photographs_one_pass_costs_and_sixteen_pay_from_every_seed() -> None:
    found = read(5)["05.length"].values
    probe, tuned = (found[name]["draws"] for name in ("the probe", "tuned, peak rate 0.002"))
    assert all(after < before for before, after in zip(probe[0], tuned[0], strict=True))
    assert all(after > before + 0.05 for before, after in zip(probe[-1], tuned[-1], strict=True))
    [right] = [choice["text"] for choice in KNOWN["5.4"]["choice"] if choice.get("right")]
    assert right == "Worse after one pass, better after sixteen."


def test_a_name_that_was_given_to_another_result_keeps_its_shape() -> None:
    x = torch.zeros(1, 512)
    x = nn.Linear(512, 128)(x)
    _ = nn.Linear(128, 2)(x)
    assert KNOWN["2.3"]["answer"][0] == str(tuple(x.shape))


def text_of(page: str) -> str:
    """A page's text as a browser shows it, without marks and in one line."""
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", page)).split())


@each
def test_before_it_is_unfolded_nothing_but_the_question_is_there(number: str) -> None:
    shown, asked = Predict(number)._repr_mimebundle_(), KNOWN[number]
    assert " ".join(shown["text/plain"].split()) == f"[Predict: Prediction {number}. {asked['text']}]"
    page = re.sub(r"(?s)<(script|style)\b.*?</\1>", "", shown["text/html"])
    choices = asked.get("choice", [])
    asks = [f"Prediction {number}", asked["text"], *(choice["text"] for choice in choices)]
    asked_html = re.sub(r"(?s)<details>.*?</details>", "", page)
    assert text_of(asked_html).replace(" ", "") == "".join(asks).replace("`", "").replace(" ", "")
    [folded] = re.findall(r"(?s)<details>(.*?)</details>", page)
    for one in choices if choices else [asked]:
        assert one["why"].replace("`", "").replace(" ", "") in text_of(folded).replace(" ", "")


@each
def test_a_prediction_stands_in_its_lesson_right_before_a_cell_that_runs(number: str) -> None:
    [source] = SOURCES.glob(f"0{number[0]}_*.py")
    cells = re.split(r"(?m)^# %%", source.read_text(encoding="utf-8"))
    [place] = [n for n, cell in enumerate(cells) if f'Predict("{number}")' in cell]
    assert not cells[place + 1].startswith(" [markdown]")


def test_a_prediction_that_is_not_there_is_named() -> None:
    with pytest.raises(ValueError, match=r'the number of a prediction \("1\.1", "1\.2", .*\), got 1\.3; take one'):
        Predict(1.3)  # type: ignore[arg-type]
