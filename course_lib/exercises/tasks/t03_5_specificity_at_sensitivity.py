import numpy as np
import torch
from sklearn.metrics import roc_curve
from torch import Tensor

from course_lib.exercises.task import RESULT, Task


class SpecificityAtSensitivity(Task):
    number, title, name, points = "03.5", "A threshold, chosen before the test", "specificity_at_sensitivity", 2
    statement = """
A patient is predicted sick if the score is at least the threshold. Take the highest threshold that finds at least the
fraction `sensitivity` of the sick validation patients (label 1), `sensitivity=0.95` unless it is given; it is the score
of one of them. Then report what this threshold costs on the test patients: the specificity, which is the fraction of
the healthy (label 0) who are predicted healthy. Return the threshold and the specificity. Scores may occur more than
once, and the test patients choose nothing.
"""
    hints = (
        "Only the sick validation patients decide on the threshold; only the healthy test patients on the specificity.",
        "Each sick patient's score is a candidate. Which fraction of the sick has at least that score?",
    )
    notice = (
        "The sensitivity on test will not be exactly what was asked for: the threshold rests on a few sick "
        "validation patients. Report it with its interval, as Part D does."
    )
    given = "scores with ties, and sensitivities of 70 to 97 percent"
    drawn = "sensitivity", (0.9, 0.92, 0.95, 0.98)
    otherwise = {
        RESULT: "Count with five sick patients: how many of them must be found, and which score is the last of these?"
    }

    def inputs(self, draw):
        shares = (15, 0.85), (40, 0.88), (13, 0.76), (20, 0.75), (16, draw.number(9, 15) / 16), (16, 0.7), (16, 0.97)
        for sick, share in shares:
            sides = []
            for count in (60, 70):
                labels = (draw.uniform(count).argsort() < sick).long()
                sides += [((draw.uniform(count) + 0.3 * labels) * 70).round() / 100, labels]
            yield *sides, share


# Answers


# fmt: off
def specificity_at_sensitivity(
    val_scores: Tensor,
    val_labels: Tensor,
    test_scores: Tensor,
    test_labels: Tensor,
    sensitivity: float = 0.95,
) -> tuple[float, float]:
    """Scores (V,) and (T,) in 0..1 with labels 0 or 1, to the threshold and the specificity on test."""
    sick = val_scores[val_labels == 1]
    found = torch.stack([(sick >= score).float().mean() for score in sick])
    threshold = sick[found >= sensitivity].max()
    healthy = test_scores[test_labels == 0]
    return threshold.item(), (healthy < threshold).float().mean().item()
# fmt: on


def by_roc_curve(v, y, t, z, sensitivity=0.95):
    _, found, thresholds = roc_curve(y.numpy(), v.numpy(), drop_intermediate=False)
    threshold = thresholds[np.argmax(found >= sensitivity)]
    return float(threshold), float(((t < threshold) & (z == 0)).sum() / (z == 0).sum())


THRESHOLD, BELOW = "sick[found >= sensitivity].max()", "healthy < threshold"
PLACE = "int((1 - sensitivity) * len(sick) + 1e-9)"
slips = [
    ({"val_scores[val_": "test_scores[test_"}, "The test patients chose the threshold; let validation do it."),
    ({"test_scores[test_": "val_scores[val_"}, "That is the specificity on validation."),
    ({"test_labels == 0": "test_labels == 1", BELOW: "healthy >= threshold"}, "That is the sensitivity on test."),
    ({BELOW: "healthy >= threshold"}, "That is the fraction of the healthy who are predicted sick: take the others."),
    ({BELOW: "healthy <= threshold"}, "A score equal to the threshold means ill: only scores below it are healthy."),
    (
        {THRESHOLD: "sick.sort().values[len(sick) - int(sensitivity * len(sick))]"},
        "Too few of the sick are found: where it is no whole number of patients, round up.",
    ),
    ({THRESHOLD: f"sick.sort().values[{PLACE} - 1]"}, "One patient too far: position k has k patients before it."),
    ({"found >= sensitivity": "found > sensitivity"}, "Exactly the fraction is enough: `>=`."),
    ({".max()": ".min()"}, "A higher threshold finds enough of the sick, too."),
    ({THRESHOLD: "sick.quantile(1 - sensitivity)"}, "`quantile` interpolates between two patients."),
    ({THRESHOLD: "val_scores.quantile(1 - sensitivity)"}, "The fraction is one of the sick, not of all patients."),
    ({THRESHOLD: "torch.tensor(0.5)"}, "0.5 finds whom it finds; the threshold depends on the sick."),
]
also_wrong = [
    ({THRESHOLD: 'sick.quantile(1 - sensitivity, interpolation="lower")'}, "Count with five"),
    ({"sensitivity: float = 0.95": "sensitivity: float = 0.5"}, "Leave the page's defaults"),
]
also_right = [{THRESHOLD: f"sick.sort().values[{PLACE}]"}, by_roc_curve]
