"""An explorer of training: two filters learn what two kernels designed by hand do."""

import torch
from matplotlib.figure import Figure
from torch import Tensor
from torch.nn import functional as F

from course_lib.plots import BLUE
from course_lib.widgets.page import Page, picture

KERNELS = {
    "vertical edges": [[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]],
    "horizontal edges": [[-1, -2, -1], [0, 0, 0], [1, 2, 1]],
    "blur": [[1 / 9] * 3] * 3,
    "sharpen": [[0, -1, 0], [-1, 5, -1], [0, -1, 0]],
}
TARGETS = (0, 1)  # which of them the two filters learn at first
RATE, SEED, STEPS = 0.5, 0, 400


def training_explorer() -> Page:
    """Two 3x3 filters start from random numbers and learn two kernels designed by hand, on 12x12 images, in the page.

    The target maps are what the designed kernels make of the images. The loss is the mean squared difference between
    them and the filters' maps; the batch is all images.
    """
    images = _images()
    filters, losses = _train(images)
    designed = _designed()
    apart = (filters[-1] - designed).abs().max()
    summary = (
        f"Two filters of random numbers have a loss of {losses[0]:.3g}; {STEPS} steps later it is {losses[-1]:.1g}, "
        f"and no weight is more than {apart:.2f} from the kernels that were designed by hand."
    )
    state = {
        "images": [[[round(pixel, 2) for pixel in row] for row in image] for image in images.tolist()],
        "kernels": [{"name": name, "table": table} for name, table in KERNELS.items()],
        "targets": TARGETS,
        "rate": RATE,
        "momentum": 0,
        "seed": SEED,
    }
    still = picture(_figure(filters[0], filters[-1], losses), summary)
    return Page("training", "Two filters learn", state, still, summary)


def _images(count: int = 8, size: int = 12) -> Tensor:
    """Float64 (count, size, size) in 0..1, to two decimals: three bright rectangles on dark ground, and noise."""
    generator = torch.Generator().manual_seed(0)
    images = torch.full((count, size, size), 0.1)
    for image in images:
        for _ in range(3):
            top, left = torch.randint(0, size - 3, (2,), generator=generator).tolist()
            height, width = torch.randint(1, 8, (2,), generator=generator).tolist()
            image[top : top + height, left : left + width] = 0.9
    noise = 0.1 * torch.randn(images.shape, generator=generator)
    return (images + noise).clamp(0, 1).double().mul(100).round().div(100)


def _designed() -> Tensor:
    """Float64 (2, 3, 3)."""
    return torch.tensor([list(KERNELS.values())[index] for index in TARGETS], dtype=torch.float64)


def _train(images: Tensor) -> tuple[Tensor, Tensor]:
    """The filters (STEPS + 1, 2, 3, 3), and their losses, from the start on."""
    inputs = images[:, None]  # (N, 1, 12, 12)
    targets = F.conv2d(inputs, _designed()[:, None])  # (N, 2, 10, 10)
    weight = torch.empty(2, 1, 3, 3).uniform_(-1 / 3, 1 / 3, generator=torch.Generator().manual_seed(SEED))
    weight = weight.double().requires_grad_()  # as nn.Conv2d(1, 2, 3) begins
    optimizer = torch.optim.SGD([weight], lr=RATE)
    filters, losses = [], []
    for _ in range(STEPS + 1):
        optimizer.zero_grad()
        loss = F.mse_loss(F.conv2d(inputs, weight), targets)
        loss.backward()
        filters.append(weight.detach()[:, 0].clone())
        losses.append(loss.item())
        optimizer.step()
    return torch.stack(filters), torch.tensor(losses)


def _figure(start: Tensor, end: Tensor, losses: Tensor) -> Figure:
    figure = Figure(figsize=(8, 3.2))
    limit = float(_designed().abs().max())
    columns = {"start": start, f"after {STEPS} steps": end, "designed by hand": _designed()}
    for column, (title, filters) in enumerate(columns.items()):
        for row, weights in enumerate(filters):
            axis = figure.add_axes((0.03 + 0.17 * column, 0.5 - 0.46 * row, 0.16, 0.4))
            axis.imshow(weights.numpy(), cmap="PuOr_r", vmin=-limit, vmax=limit)
            axis.set(xticks=[], yticks=[])
            axis.set_title(title if row == 0 else "", fontsize=10)
            axis.set_ylabel(f"filter {row}" if column == 0 else "")
            for (r, c), weight in _cells(weights):
                color = "white" if abs(weight) > 0.6 * limit else "black"
                axis.text(c, r, f"{weight:z.2f}", ha="center", va="center", color=color, fontsize=9)
    curve = figure.add_axes((0.63, 0.16, 0.35, 0.74))
    curve.plot(losses.numpy(), color=BLUE)
    curve.set(yscale="log", xlabel="step", ylabel="mean squared difference")
    curve.set_title("loss", fontsize=10)
    return figure


def _cells(weights: Tensor) -> list[tuple[tuple[int, int], float]]:
    return [((r, c), weight) for r, line in enumerate(weights.tolist()) for c, weight in enumerate(line)]
