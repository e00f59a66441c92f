"""Checks of lesson 3: of a threshold and of when to stop."""

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from course_lib.exercises.legacy import Wrong, compare, task


def _operating_point(
    val: Tensor, val_sick: Tensor, test: Tensor, sick: Tensor, share: float, *, lowest: bool = False
) -> tuple[float, float]:
    cuts = [cut for cut in val.unique().tolist() if (val[val_sick == 1] >= cut).double().mean() >= share - 1e-9]
    return _at(cuts[0] if lowest else cuts[-1], test, sick)


def _at(cut: Any, test: Tensor, sick: Tensor) -> tuple[float, float]:
    return float(cut), (test[sick == 0] < cut).double().mean().item()


@task(
    "03.5",
    "A threshold, chosen before the test",
    "Only the sick validation patients decide on the threshold; only the healthy test patients on the specificity.",
    "Each sick patient's score is a candidate. Which fraction of the sick has at least that score?",
)
def specificity_at_sensitivity(answer: Callable[..., Any]) -> str:
    right = _operating_point

    def of_test(v: Tensor, y: Tensor, t: Tensor, z: Tensor, s: float) -> tuple[float, float]:
        cut = right(v, y, t, z, s)[0]
        return cut, (t[z == 1] >= cut).double().mean().item()

    def alarms(v: Tensor, y: Tensor, t: Tensor, z: Tensor, s: float) -> tuple[float, float]:
        cut, specificity = right(v, y, t, z, s)
        return cut, 1 - specificity

    def strict(v: Tensor, y: Tensor, t: Tensor, z: Tensor, s: float) -> tuple[float, float]:
        cut = right(v, y, t, z, s)[0]
        return cut, (t[z == 0] <= cut).double().mean().item()

    def too_far(v: Tensor, y: Tensor, t: Tensor, z: Tensor, s: float) -> tuple[float, float]:
        return _at(v[y == 1].sort(descending=True).values[math.ceil(s * int(y.sum()) - 1e-9)], t, z)

    def too_few(v: Tensor, y: Tensor, t: Tensor, z: Tensor, s: float) -> tuple[float, float]:
        return _at(v[y == 1].sort(descending=True).values[int(s * int(y.sum())) - 1], t, z)

    slips = [
        (lambda v, y, t, z, s: right(t, z, t, z, s), "The test patients chose the threshold; let validation do it."),
        (lambda v, y, t, z, s: _at(right(v, y, t, z, s)[0], v, y), "That is the specificity on validation."),
        (of_test, "That is the sensitivity on test."),
        (alarms, "That is the fraction of the healthy who are predicted sick: take the others."),
        (strict, "A score equal to the threshold means ill, so that only scores below it count as healthy."),
        (too_few, "Too few of the sick are found: where it is no whole number of patients, round up."),
        (too_far, "One patient too far: in a sorted list, position k has k patients before it."),
        (lambda v, y, t, z, s: right(v, y, t, z, s + 1e-6), "Exactly the fraction is enough: `>=`."),
        (lambda *a: right(*a, lowest=True), "A higher threshold finds enough of the sick, too."),
        (lambda v, y, t, z, s: _at(v[y == 1].quantile(1 - s), t, z), "`quantile` interpolates between two patients."),
        (lambda v, y, t, z, s: _at(v.quantile(1 - s), t, z), "The fraction is one of the sick, not of all patients."),
        (lambda v, y, t, z, s: _at(0.5, t, z), "0.5 finds whom it finds; the threshold depends on the sick."),
        (
            answer,
            "Count with five sick patients: how many of them must be found, and which score is the last of these?",
        ),
    ]
    inputs = []
    for sick, share in ((15, 0.85), (40, 0.88), (13, 0.76), (20, 0.75)):
        sides = []
        for count in (60, 70):
            labels = (torch.randperm(count) < sick).long()
            sides += [((torch.rand(count) + 0.3 * labels) * 70).round() / 100, labels]
        inputs.append((*sides, share))
    compare(answer, right, inputs, slips=slips)
    return (
        "The sensitivity on test will not be exactly what was asked for: the threshold rests on a few sick validation "
        "patients. Report it with its interval, as Part D does."
    )


def _stopping(losses: list[float], patience: int, *, against: str = "best", reset: bool = True) -> dict[str, int]:
    """Epochs at the end of a training with early stopping."""
    best, waited, kept, epoch = math.inf, 0, 0, 0
    for epoch, loss in enumerate(losses, 1):
        last = losses[epoch - 2] if epoch > 1 else math.inf
        if loss < (last if against == "last" else best) or (against == "ties" and loss == best):
            best, kept, waited = loss, epoch, 0 if reset else waited
        else:
            waited += 1
        if waited >= patience:
            break
    return _ended(epoch, kept, kept)


def _ended(stopped: int, weights: int, averages: int) -> dict[str, int]:
    return {"stopped after": stopped, "weights from": weights, "averages from": averages}


def _training(stopping_class: Callable[[int], Any]) -> Callable[[list[float], int], dict[str, int]]:
    def training(losses: list[float], patience: int) -> dict[str, int]:
        model, stopping = nn.Sequential(nn.Linear(1, 1), nn.BatchNorm1d(1)), stopping_class(patience)
        for epoch, loss in enumerate(losses, 1):
            for tensor in model.state_dict().values():
                tensor.fill_(epoch)
            if stopping.stop(loss, model):
                break
        try:
            stopping.restore(model)
        except NotImplementedError:
            raise
        except (TypeError, AttributeError, RuntimeError) as error:
            slip = "Was a state kept? The first loss is a new best, however large: begin with float('inf')."
            raise Wrong(f"restore(model) raised {error!r}", "the state of the best epoch", slip) from error
        state = model.state_dict()
        return _ended(epoch, int(state["0.weight"]), int(state["1.running_mean"]))

    return training


@task(
    "03.6",
    "Stop in time",
    "Keep three things: the best loss, the state of its epoch, and how many epochs have passed since.",
    "`state_dict()` holds the living tensors, which the next step changes: copy.deepcopy takes a picture of them.",
)
def early_stopping(answer: Callable[[int], Any]) -> str:
    def living(losses: list[float], patience: int) -> dict[str, int]:
        return _ended(*[_stopping(losses, patience)["stopped after"]] * 3)

    def weights_only(losses: list[float], patience: int) -> dict[str, int]:
        return _stopping(losses, patience) | {"averages from": living(losses, patience)["averages from"]}

    slips = [
        (lambda x, p: _stopping(x, p + 1), "One epoch too late: stop when `patience` epochs in a row were no better."),
        (lambda x, p: _stopping(x, p - 1), "One epoch too early: the best epoch itself is not one of the `patience`."),
        (lambda x, p: _stopping(x, p, reset=False), "A new best must set the count of waiting epochs back to 0."),
        (lambda x, p: _stopping(x, p, against="ties"), "A loss equal to the best is no new best."),
        (lambda x, p: _stopping(x, p, against="last"), "Compare with the best loss so far, not with the last one."),
        (lambda x, p: _stopping(x, 99), "It never says stop: does `stop` return its verdict?"),
        (living, "The last epoch's state is there: copy the state at each best, and load that into the model."),
        (weights_only, "Batch norm's averages were not kept: `parameters()` lacks them, `state_dict()` does not."),
    ]
    inputs = [([3, 2, 2.5, 1.8, 1.9, 1.7, 1.7, 1.75, 1.76, 1.6], 2), ([2, 1, 1.4, 1.3, 1.2, 0.9], 3), ([5, 6, 7], 1)]
    compare(_training(answer), _stopping, inputs, slips=slips)
    return "The best of many noisy losses flatters: report a score on images that did not choose the epoch."
