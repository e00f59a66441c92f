"""What a model card says of errors, predictive values and calibration."""

import shlex
from dataclasses import asdict, replace
from typing import Any

import pytest

from course_lib.metrics import predictive_values
from course_lib.runs import Recipe
from course_lib.runs.card_scores import scores_section

VAL: dict[str, Any] = {
    "n": 200,
    "confusion": [[90, 10], [5, 95]],
    "accuracy": 0.925,
    "balanced_accuracy": 0.925,
    "auc": 0.98,
    "sensitivity": 0.95,
    "specificity": 0.9,
    "ece": 0.03,
    "mean_predicted": 0.52,
    "fraction_positive": 0.5,
    "ci95": {"sensitivity": (0.888, 0.978), "specificity": (0.826, 0.945)},
}


def test_predictive_values_are_those_of_counted_patients() -> None:
    # Of 1,000 people 100 are ill: 95 of them are found. Of 900 healthy ones 90 are false alarms.
    assert predictive_values(0.95, 0.9, 0.1) == (pytest.approx(95 / 185), pytest.approx(810 / 815))


def test_errors_are_told_in_words_and_predictive_values_at_stated_prevalences() -> None:
    card = scores_section(["NORMAL", "PNEUMONIA"], {"scans, val": VAL})
    for expected in (
        "Of 100 images of PNEUMONIA, the network finds 95 (true positives) and misses 5 (false negatives): of 100 such "
        "images 95 [89, 98] are found.",
        "Of 100 images of NORMAL, it clears 90 (true negatives) and predicts PNEUMONIA for 10 (false positives)",
        "| scans, val | 50%, as in these images | 0.905 | 0.947 |",  # 95 / 105, 90 / 95
        "| scans, val | 10% | 0.514 | 0.994 |",
        "| scans, val | 30% | 0.803 | 0.977 |",
        "| scans, val | 0.520 | 0.500 | 0.030 |",
    ):
        assert expected in card, expected


@pytest.mark.parametrize(("ece", "warned"), [(0.03, False), (0.045, False), (0.12, True)])
def test_a_calibration_that_is_much_worse_than_on_validation_is_said(ece: float, warned: bool) -> None:
    card = scores_section(["NORMAL", "PNEUMONIA"], {"scans, val": VAL, "scans, test": VAL | {"ece": ece}})
    assert ("On scans, test the probabilities are much less reliable" in card) == warned


def test_of_many_classes_the_most_mistaken_comes_first_with_what_it_is_taken_for() -> None:
    found = VAL | {"n": 30, "confusion": [[9, 1, 0], [3, 5, 2], [0, 0, 10]]}
    card = scores_section(["cat", "dog", "frog"], {"pets, val": found})
    assert "| dog | 10 | 5 | cat (3) |\n| cat | 10 | 9 | dog (1) |\n| frog | 10 | 10 | - |" in card


def test_the_command_on_the_card_gives_the_recipe_back() -> None:
    recipe = Recipe.for_task("cifar10", preset="best", data="real", root="images", epochs=3, seed=2)
    line, changed = recipe.command_line()
    assert line == "course train cifar10 --preset best --data real --root FOLDER --epochs 3 --seed 2"
    assert changed == []
    line, changed = Recipe.for_task("pneumonia", data="simulated", learning_rate=1e-4, patience=3).command_line()
    assert line == "course train pneumonia --data simulated --learning-rate 0.0001 --patience 3"
    assert changed == []
    assert replace(recipe, batch_size=7).command_line()[1] == ["batch_size"]
    folder = Recipe.for_task("folder", root="my pets", classes=["big cats", "dogs"], backbone="resnet18")
    assert shlex.split(folder.command_line()[0])[2:] == [
        "transfer", "--task", "folder", "--root", "FOLDER", "--backbone", "resnet18", "--classes", "big cats,dogs",
    ]  # fmt: skip
    assert asdict(folder)["classes"] == ["big cats", "dogs"]
