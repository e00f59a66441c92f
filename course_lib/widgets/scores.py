"""Explorers of a step size and of a threshold."""

import ipywidgets
import torch
from matplotlib.figure import Figure
from torch import Tensor

from course_lib.metrics import confusion
from course_lib.plots import BLUE, GREY, ORANGE
from course_lib.widgets.explorer import Explorer, number

CURVATURES = (1.0, 8.0)


def descent_explorer() -> Explorer:
    """Gradient descent on a long valley, (x^2 + 8 y^2) / 2: its way, and the loss after each step."""
    controls: dict[str, ipywidgets.Widget] = {
        "rate": number("learning rate", 0.01, 0.3, 0.05, step=0.01),
        "momentum": number("momentum", 0.0, 0.95, 0.0, step=0.05),
        "steps": number("steps", 1, 60, 20),
    }
    curvature = torch.tensor(CURVATURES)
    x, y = torch.meshgrid(torch.linspace(-4, 4, 60), torch.linspace(-3, 3, 60), indexing="xy")
    surface = (CURVATURES[0] * x**2 + CURVATURES[1] * y**2) / 2

    def draw(rate: float, momentum: float, steps: int) -> tuple[Figure, str]:
        place, speed = torch.tensor([-3.5, 2.0]), torch.zeros(2)
        way = [place]
        for _ in range(steps):
            speed = momentum * speed + curvature * place  # the gradient
            place = place - rate * speed
            way.append(place)
        track = torch.stack(way)
        losses = (track**2 @ curvature / 2).clamp(max=1e6)
        figure = Figure(figsize=(9, 3.2))
        valley, curve = figure.add_axes((0.06, 0.15, 0.42, 0.75)), figure.add_axes((0.58, 0.15, 0.4, 0.75))
        valley.contour(
            x.numpy(), y.numpy(), surface.numpy(), levels=[0.5, 2, 5, 10, 20, 35], colors=GREY, linewidths=0.7
        )
        valley.plot(*track.clamp(-1e3, 1e3).T.numpy(), color=BLUE, marker="o", markersize=3, linewidth=1)
        valley.set(xlim=(-4, 4), ylim=(-3, 3), title="the way down", xlabel="x", ylabel="y")
        curve.plot(losses.numpy(), color=ORANGE, marker="o", markersize=3)
        curve.set(yscale="log", title="loss", xlabel="step")
        largest = 2 * (1 + momentum) / max(CURVATURES)
        ends = "it grows" if losses[-1] > losses[0] else f"it is {losses[-1]:.3g}"
        said = (
            f"The loss begins at {losses[0]:.3g}; after {steps} steps {ends}. With this momentum, rates above "
            f"{largest:.2f} cannot settle: 2 x (1 + {momentum:g}) / {max(CURVATURES):g}, the steepest curvature."
        )
        return figure, said

    return Explorer("Learning rate and loss", controls, draw)


def threshold_explorer(probs: Tensor | None = None, labels: Tensor | None = None) -> Explorer:
    """What a threshold does to the answers, and what these cost.

    Args:
        probs: float (N,), probabilities of class 1; default, made-up ones of 400 people.
        labels: int64 (N,), 0 or 1.

    Raises:
        ValueError: only one of the two is given, or they do not fit.
    """
    if (probs is None) != (labels is None):
        raise ValueError("probs and labels belong together; give both, or neither.")
    if probs is None or labels is None:
        generator = torch.Generator().manual_seed(0)
        labels = (torch.arange(400) % 4 == 0).long()
        probs = torch.sigmoid(torch.randn(400, generator=generator) * 1.5 + 3 * labels - 1.5)
    known, truth = probs.detach().cpu(), labels.cpu()
    edges = torch.linspace(0, 1, 26)
    heights = [torch.histogram(known[truth == label].float(), edges).hist for label in (0, 1)]
    controls: dict[str, ipywidgets.Widget] = {
        "threshold": number("threshold", 0.0, 1.0, 0.5, step=0.01),
        "miss": number("cost of a miss", 1, 50, 10),
        "alarm": number("cost of a false alarm", 1, 50, 1),
    }
    places = torch.linspace(0, 1, 101)

    def counted(threshold: float) -> list[list[int]]:
        return confusion((known >= threshold).long(), truth, num_classes=2).tolist()

    counts = [counted(place) for place in places.tolist()]

    def draw(threshold: float, miss: int, alarm: int) -> tuple[Figure, str]:
        (tn, fp), (fn, tp) = counted(threshold)
        costs = [miss * missed + alarm * alarms for (_, alarms), (missed, _) in counts]
        figure = Figure(figsize=(9, 3.2))
        bars, table, curve = (figure.add_axes((left, 0.16, 0.26, 0.72)) for left in (0.05, 0.39, 0.73))
        for height, colour, name in zip(heights, (BLUE, ORANGE), ("healthy", "sick"), strict=True):
            bars.stairs(height.numpy(), edges.numpy(), fill=True, color=colour, alpha=0.6, label=name)
        bars.axvline(threshold, color="black")
        bars.set(xlabel="probability of sick", title="how many people")
        bars.legend(fontsize=8, loc="upper center")
        table.imshow([[tn, fp], [fn, tp]], cmap="Blues", vmin=0, vmax=2 * len(truth))
        for row, line in enumerate(((tn, fp), (fn, tp))):
            for column, count in enumerate(line):
                table.text(column, row, str(count), ha="center", va="center", fontsize=14)
        table.set(xticks=[0, 1], yticks=[0, 1], title="what they are called")
        table.set_xticklabels(["healthy", "sick"])
        table.set_yticklabels(["healthy", "sick"], rotation=90, va="center")
        table.set_ylabel("what they are")
        curve.plot(places.numpy(), costs, color=GREY)
        curve.plot(threshold, miss * fn + alarm * fp, marker="o", color="black")
        curve.set(xlabel="threshold", title="cost")
        cheapest = places[int(torch.tensor(costs).argmin())]
        said = (
            f"Of {tp + fn} sick {tp} are found (sensitivity {tp / max(tp + fn, 1):.2f}); of {tn + fp} healthy {tn} are "
            f"called so (specificity {tn / max(tn + fp, 1):.2f}). {fn} misses and {fp} false alarms cost "
            f"{miss * fn + alarm * fp}; the cheapest threshold is {cheapest:.2f}."
        )
        return figure, said

    return Explorer("Threshold, errors and costs", controls, draw)
