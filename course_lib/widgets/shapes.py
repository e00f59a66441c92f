"""An explorer of a stack of layers: shapes, parameters, what does not fit, and what one output sees."""

import html
import math

from matplotlib.axes import Axes
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure
from matplotlib.patches import Polygon
from torch import nn

from course_lib.anatomy import ShapeTrace, trace_shapes
from course_lib.plots import BLUE, GRAY
from course_lib.widgets.page import Page, picture

SIDE = 32
CHANNELS = 8
KINDS = ("conv3", "relu", "pool", "flatten", "dense")  # of the layers at first, as js/shapes.js names them


def shape_explorer() -> Page:
    """A stack of layers to edit: the network as volumes in a row, and the shape, parameters, multiply-adds and
    receptive field behind each layer, up to the first that does not fit, with torch's own message.
    """
    layers = nn.Sequential(
        nn.Conv2d(1, CHANNELS, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(CHANNELS * (SIDE // 2) ** 2, 10),
    )
    trace = trace_shapes(layers, (1, 1, SIDE, SIDE))
    summary = (
        f"{len(layers)} layers turn {trace.input_shape} into {trace.layers[-1].output_shape}, "
        f"with {trace.parameters:,} parameters."
    )
    state = {"side": SIDE, "channels": CHANNELS, "layers": KINDS}
    still = picture(_figure(trace), summary) + _table(layers, trace)
    return Page("shapes", "Shapes through a stack of layers", state, still, summary)


def _figure(trace: ShapeTrace) -> Figure:
    """Maps as boxes, their front to scale and their depth by channels; flattened numbers as bars."""
    figure = Figure(figsize=(9, 2.3))
    axis = figure.add_axes((0, 0, 1, 1))
    shapes = [("image", trace.input_shape), *((row.kind, row.output_shape) for row in trace.layers)]
    for index, (name, shape) in enumerate(shapes):
        left = 2 * index
        _volume(axis, left, shape, GRAY if index == 0 else BLUE)
        words = "x".join(f"{length:,}" for length in shape[1:])
        axis.text(left + 0.5, -0.15, f"{name}\n{words}", ha="center", va="top", fontsize=10)
        if index:
            axis.annotate("", (left - 0.1, 0.3), (left - 0.5, 0.3), arrowprops={"arrowstyle": "->"})
    axis.set(xlim=(-0.3, 2 * len(shapes) - 0.4), ylim=(-0.7, 1.5), aspect="equal")
    axis.set_axis_off()
    return figure


def _volume(axis: Axes, left: float, shape: tuple[int, ...], color: str) -> None:
    if len(shape) == 2:
        bottom, top = 0.0, 0.15 + 0.2 * math.log10(shape[1])
        _face(axis, [(left + 0.4, bottom), (left + 0.6, bottom), (left + 0.6, top), (left + 0.4, top)], color)
        return
    _, channels, height, width = shape
    right, top, deep = left + width / SIDE, height / SIDE, 0.05 * math.sqrt(channels)
    _face(axis, [(left, top), (left + deep, top + deep), (right + deep, top + deep), (right, top)], color, alpha=0.3)
    _face(axis, [(right, 0), (right + deep, deep), (right + deep, top + deep), (right, top)], color, alpha=0.3)
    _face(axis, [(left, 0), (right, 0), (right, top), (left, top)], color)


def _face(axis: Axes, corners: list[tuple[float, float]], color: str, *, alpha: float = 0.6) -> None:
    axis.add_patch(Polygon(corners, facecolor=to_rgba(color, alpha), edgecolor="black"))


def _table(layers: nn.Sequential, trace: ShapeTrace) -> str:
    rows = [("<b>layer</b>", "<b>output shape</b>", "<b>parameters</b>", "<b>multiply-adds</b>")]
    rows += [
        (html.escape(str(layer)), str(row.output_shape), f"{row.parameters:,}", f"{row.multiply_adds:,}")
        for layer, row in zip(layers, trace.layers, strict=True)
    ]
    return "<table>" + "".join(f"<tr>{''.join(f'<td>{text}</td>' for text in row)}</tr>" for row in rows) + "</table>"
