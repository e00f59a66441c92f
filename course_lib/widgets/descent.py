"""An explorer of gradient descent: where it goes, and whether it settles."""

import torch
from matplotlib.figure import Figure
from torch import Tensor

from course_lib.plots import BLUE, GRAY
from course_lib.widgets.page import Page, picture

CURVATURES = (1.0, 8.0)
EXTENT = (4, 3)  # of the picture, from the middle
START = (-3.5, 2.0)
RATE, STEPS = 0.05, 20


def descent_explorer() -> Page:
    """Gradient descent on a long valley, (x^2 + 8 y^2) / 2: its path, and the loss after each step."""
    path = _descend()
    losses = path**2 @ torch.tensor(CURVATURES, dtype=path.dtype) / 2
    summary = (
        f"From x = {START[0]:g}, y = {START[1]:g}, with learning rate {RATE:g}, the loss falls from {losses[0]:.3g} to "
        f"{losses[-1]:.3g} in {STEPS} steps."
    )
    state = {"curvatures": CURVATURES, "extent": EXTENT, "start": START, "rate": RATE, "momentum": 0, "steps": STEPS}
    return Page("descent", "Gradient descent in a valley", state, picture(_figure(path, losses), summary), summary)


def _descend() -> Tensor:
    """Float64 (STEPS + 1, 2): the start and the place after each step."""
    point = torch.tensor(START, dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.SGD([point], lr=RATE)
    path = [point.detach().clone()]
    for _ in range(STEPS):
        optimizer.zero_grad()
        (point**2 @ torch.tensor(CURVATURES, dtype=point.dtype) / 2).backward()
        optimizer.step()
        path.append(point.detach().clone())
    return torch.stack(path)


def _figure(path: Tensor, losses: Tensor) -> Figure:
    figure = Figure(figsize=(8, 3))
    valley, curve = figure.add_axes((0.06, 0.15, 0.42, 0.75)), figure.add_axes((0.58, 0.15, 0.4, 0.75))
    x, y = torch.meshgrid(torch.linspace(-4, 4, 80), torch.linspace(-3, 3, 80), indexing="xy")
    heights = (CURVATURES[0] * x**2 + CURVATURES[1] * y**2) / 2
    lines = valley.contour(
        x.numpy(), y.numpy(), heights.numpy(), levels=[0.5, 2, 5, 10, 20, 35], colors=GRAY, linewidths=0.7
    )
    valley.clabel(lines, fontsize=7)
    valley.plot(*path.T.numpy(), color=BLUE, marker="o", markersize=3, linewidth=1)
    valley.set(title="the valley from above, and the path", xlabel="x", ylabel="y", aspect="equal")
    curve.plot(losses.numpy(), color=BLUE, marker="o", markersize=3)
    curve.set(yscale="log", title="the loss after each step", xlabel="step", ylabel="loss")
    return figure
