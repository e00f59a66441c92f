"""An explorer of pooling, of an image that moves, and of dropout on what is left."""

import torch
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from torch import Tensor
from torch.nn import functional as F

from course_lib.plots import ORANGE
from course_lib.widgets.convolution import number_table
from course_lib.widgets.page import Page, finite, picture

SIDES = (4, 16)  # of an image, smallest and largest: the largest window is 4
WINDOW = 2
P = 0.5


def pooling_explorer(image: Tensor | None = None) -> Page:
    """Pooling of an image that can be moved, and dropout on what is left, in training and in evaluation.

    Args:
        image: numbers (height, width), 4 to 16 on each side; default, a bright rectangle on a dark ground.

    Raises:
        ValueError: an image of another shape.
    """
    if image is None:
        image = torch.ones(8, 8)
        image[2:4, 2:5] = 9
    if image.ndim != 2 or not all(SIDES[0] <= side <= SIDES[1] for side in image.shape):
        raise ValueError(
            f"expected an image (height, width) of {SIDES[0]} to {SIDES[1]} pixels per side, got {tuple(image.shape)}; "
            "cut a piece out of it."
        )
    pixels = finite(image)
    pooled = F.max_pool2d(pixels[None], WINDOW)[0]
    kept = torch.rand(pooled.shape, generator=torch.Generator().manual_seed(0)) >= P  # one draw, for the picture
    dropped = pooled * kept / (1 - P)
    summary = (
        f"The largest numbers of {WINDOW}x{WINDOW} windows, {pooled.shape[0]}x{pooled.shape[1]} of them, with mean "
        f"{pooled.mean():.4g}. In one draw, dropout with p = {P} keeps {int(kept.sum())} of {kept.numel()} and "
        f"multiplies them by {1 / (1 - P):g}: the mean is {dropped.mean():.4g}, and over many draws "
        f"{pooled.mean():.4g} again."
    )
    still = picture(_figure(pixels, pooled, dropped), summary)
    return Page("pooling", "Pooling and dropout", {"image": pixels.tolist()}, still, summary)


def _figure(pixels: Tensor, pooled: Tensor, dropped: Tensor) -> Figure:
    figure = Figure(figsize=(9, 3.4))
    panels = {"image": pixels, f"max of {WINDOW}x{WINDOW}": pooled, "after dropout, one draw": dropped}
    for index, (title, values) in enumerate(panels.items()):
        axis = figure.add_axes((index / 3 + 0.01, 0.02, 0.31, 0.86))
        axis.set_title(title, fontsize=11)
        number_table(axis, values)
    for axis, side in zip(figure.axes, (WINDOW, 1, 1), strict=True):  # the output at row 1, column 1
        axis.add_patch(Rectangle((side - 0.5, side - 0.5), side, side, fill=False, edgecolor=ORANGE, linewidth=3))
    return figure
