"""An explorer of one convolution, window by window."""

import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from torch import Tensor
from torch.nn import functional as F

from course_lib.plots import ORANGE
from course_lib.widgets.page import Page, finite, picture

Table = list[list[float]]
KERNELS: dict[str, list[Table]] = {  # a table for each channel; one alone serves all channels
    "vertical edge": [[[-1, 0, 1], [-1, 0, 1], [-1, 0, 1]]],
    "horizontal edge": [[[-1, -1, -1], [0, 0, 0], [1, 1, 1]]],
    "sum of the neighborhood": [[[1, 1, 1], [1, 1, 1], [1, 1, 1]]],
    "sharpen": [[[0, -1, 0], [-1, 5, -1], [0, -1, 0]]],
    "the pixel itself": [[[0, 0, 0], [0, 1, 0], [0, 0, 0]]],
    "channel 0 minus the others": [[[0, 0, 0], [0, middle, 0], [0, 0, 0]] for middle in (1, -0.5, -0.5)],
}
LARGEST = 12
MOST_CHANNELS = 3


def convolution_explorer(image: Tensor | None = None) -> Page:
    """One window of a convolution: the pixels under it, the products with the kernel, and where their sum goes.

    Args:
        image: numbers (height, width) or (channels, height, width), at most 12 pixels a side and 3 channels; default, a
            bright square on a dark ground, which other channels see moved.

    Raises:
        ValueError: an image of another shape, or smaller than the kernel.
    """
    if image is None:
        square = torch.ones(8, 8)
        square[2:6, 3:7] = 9
        image = torch.stack([square, square.roll(1, dims=0), square.roll(-2, dims=1)])
    channels = image[None] if image.ndim == 2 else image
    if channels.ndim != 3 or len(channels) > MOST_CHANNELS or not all(3 <= n <= LARGEST for n in channels.shape[1:]):
        raise ValueError(
            f"expected an image (height, width) or (channels, height, width), of 3 to {LARGEST} pixels per side and "
            f"with at most {MOST_CHANNELS} channels, got {tuple(image.shape)}; cut a piece out of it."
        )
    pixels = finite(channels)
    name, tables = next(iter(KERNELS.items()))
    output = F.conv2d(pixels[:1, None], torch.tensor(tables).float()[:, None])[0, 0]
    summary = (
        f'The kernel "{name}" at row 0, column 0: the sum of nine products is {output[0, 0]:g}. '
        f"The output has {output.shape[0]}x{output.shape[1]} numbers."
    )
    state = {
        "image": pixels.tolist(),
        "kernels": [{"name": key, "tables": kernel_tables} for key, kernel_tables in KERNELS.items()],
    }
    still = picture(_figure(pixels[0], torch.tensor(tables[0]), output), summary)
    return Page("convolution", "Convolution, one window at a time", state, still, summary)


def _figure(pixels: Tensor, kernel: Tensor, output: Tensor) -> Figure:
    """The window at the upper left: image, products and output."""
    figure = Figure(figsize=(9, 3.4))
    panels = {"image": pixels, "products with the kernel": pixels[:3, :3] * kernel, "output": output}
    for index, (title, values) in enumerate(panels.items()):
        axis = figure.add_axes((index / 3 + 0.01, 0.02, 0.31, 0.86))
        axis.set_title(title, fontsize=11)
        number_table(axis, values)
    for axis, side in ((figure.axes[0], 3), (figure.axes[2], 1)):
        axis.add_patch(Rectangle((-0.5, -0.5), side, side, fill=False, edgecolor=ORANGE, linewidth=3))
    return figure


def number_table(axis: Axes, values: Tensor) -> None:
    """A picture with its number in each cell: gray, or around zero, orange positive and purple negative."""
    limit, signed = values.abs().max().item(), bool(values.min() < 0)
    axis.imshow(values.numpy(), **({"cmap": "PuOr_r", "vmin": -limit, "vmax": limit} if signed else {"cmap": "gray"}))
    axis.set(xticks=[], yticks=[])
    middle = (values.min() + values.max()) / 2
    dark = values.abs() > 0.6 * limit if signed else values <= middle
    for row, line in enumerate(values.tolist()):
        for column, value in enumerate(line):
            color = "white" if dark[row, column] else "black"
            axis.text(column, row, f"{value:.3g}", ha="center", va="center", color=color, fontsize=9)
