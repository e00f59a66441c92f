"""An explorer of a threshold: the errors that it makes, and what they cost."""

from typing import Any

import torch
from matplotlib.figure import Figure
from torch import Tensor

from course_lib.metrics import confusion
from course_lib.plots import BLUE, GRAY, ORANGE
from course_lib.widgets.page import Page, picture

START, MISS, ALARM = 0.5, 10, 1
MOST = 1500  # distinct probabilities that a page carries
DECIMALS = 3  # of a threshold, where there are more


def threshold_explorer(probs: Tensor | None = None, labels: Tensor | None = None) -> Page:
    """What a threshold does to the predictions, and what its errors cost.

    Args:
        probs: float (N,), in 0..1, probabilities of class 1, "sick"; default, made-up ones of 400 people. Up to 1,500
            distinct ones are kept as they are; more are counted in steps of 0.001, which is exact for thresholds of up
            to three decimals.
        labels: int (N,), 0 (healthy) or 1 (sick), both present.

    Raises:
        ValueError: only one of the two is given, or they are not as said.
    """
    if probs is None and labels is None:
        generator = torch.Generator().manual_seed(0)
        labels = (torch.arange(400) % 4 == 0).long()
        probs = torch.sigmoid(torch.randn(400, generator=generator) * 1.5 + 3 * labels - 1.5)
    if probs is None or labels is None:
        present, absent = ("labels", "probs") if probs is None else ("probs", "labels")
        raise ValueError(
            f"expected probs and labels, got {present} alone; give {absent} too, or neither for an example."
        )
    probs, labels = torch.as_tensor(probs).detach().cpu(), torch.as_tensor(labels).cpu()
    _check(probs, labels)
    if probs.dtype not in (torch.float32, torch.float64):
        probs = probs.float()
    scores = count_scores(probs, labels.long())
    matrix = confusion((probs >= START).long(), labels.long(), num_classes=2).tolist()
    (tn, fp), (fn, tp) = matrix
    summary = (
        f"Threshold {START}: of {tp + fn:,} sick, {tp:,} are predicted sick (sensitivity {tp / (tp + fn):.4g}); "
        f"of {tn + fp:,} healthy, {tn:,} are predicted healthy (specificity {tn / (tn + fp):.4g})."
    )
    state = {"scores": scores, "threshold": START, "miss": MISS, "alarm": ALARM}
    if scores["decimals"] == DECIMALS:
        state["note"] = (
            f"The {len(probs):,} probabilities are counted in steps of 0.001, which is exact for thresholds of up to "
            "three decimals."
        )
    still = picture(_figure(probs, labels, matrix), summary)
    return Page("threshold", "Threshold, errors and costs", state, still, summary)


def _check(probs: Tensor, labels: Tensor) -> None:
    column = "probs[:, 1]" if probs.ndim == 2 and probs.shape[1] == 2 else "probs.flatten()"
    if probs.ndim != 1:
        raise ValueError(f"expected probs of shape (N,), got {tuple(probs.shape)}; give {column}.")
    if labels.ndim != 1:
        raise ValueError(f"expected labels of shape (N,), got {tuple(labels.shape)}; give labels.flatten().")
    if len(probs) != len(labels):
        raise ValueError(
            f"expected as many labels as probs, got {len(labels)} labels for {len(probs)} probs; "
            "give one label for each."
        )
    if not probs.is_floating_point():
        raise ValueError(f"expected probs as floats, got {probs.dtype}; give probabilities, not predicted classes.")
    wrong = probs[~((probs >= 0) & (probs <= 1))]  # NaN too
    if len(wrong):
        raise ValueError(
            f"expected probs in 0..1, got {wrong[0].item():.4g} ({len(wrong)} such of {len(probs)}); "
            "apply softmax or sigmoid to logits first, and find out where a NaN comes from."
        )
    values = sorted(set(labels.tolist()))
    if values != [0, 1]:
        shown = ", ".join(f"{label:g}" for label in values[:5]) or "none"
        raise ValueError(
            f"expected labels with 0 (healthy) and 1 (sick), both present, got {shown}; give images of both classes."
        )


def count_scores(probs: Tensor, labels: Tensor) -> dict[str, Any]:
    """How many healthy and how many sick have each probability, for the page."""
    single, decimals = probs.dtype == torch.float32, 17
    if len(probs.unique()) > MOST:
        steps = torch.arange(10**DECIMALS + 1, dtype=torch.float64).div(10**DECIMALS).to(probs.dtype)
        probs, decimals = steps[torch.searchsorted(steps, probs, right=True) - 1], DECIMALS
    values, inverse = probs.unique(return_inverse=True)
    healthy, sick = (torch.bincount(inverse[labels == label], minlength=len(values)).tolist() for label in (0, 1))
    shortest = [float(str(value)) for value in values.numpy()]  # what a float32 is read from exactly, in few digits
    return {"values": shortest, "healthy": healthy, "sick": sick, "single": single, "decimals": decimals}


def _figure(probs: Tensor, labels: Tensor, matrix: list[list[int]]) -> Figure:
    """The histogram with the threshold, and the confusion matrix."""
    figure = Figure(figsize=(9, 3.4), layout="constrained")
    bars, table = figure.subplots(1, 2, width_ratios=(2, 1))
    edges = torch.linspace(0, 1, 41, dtype=probs.dtype)
    for label, (color, name) in enumerate(((BLUE, "healthy"), (ORANGE, "sick"))):
        heights = torch.histogram(probs[labels == label], edges).hist * (1, -1)[label]
        bars.stairs(
            heights.numpy(), edges.numpy(), fill=True, color=color, label=f"{name}, {('up', 'down')[label]}ward"
        )
    bars.axhline(0, color=GRAY, linewidth=1)
    bars.axvline(START, color="black")
    bars.set(xlabel="predicted probability of sick", title="How many have which predicted probability", yticks=[])
    bars.legend(loc="upper center")
    table.imshow(matrix, cmap="Blues", vmin=0, vmax=2 * len(labels))
    for row, line in enumerate(matrix):
        for column, count in enumerate(line):
            table.text(column, row, f"{count:,}", ha="center", va="center", fontsize=14)
    names = ("healthy", "sick")
    table.set(xticks=[0, 1], yticks=[0, 1], title="Confusion matrix", xlabel="predicted", ylabel="true")
    table.set_xticklabels(names)
    table.set_yticklabels(names, rotation=90, va="center")
    return figure
