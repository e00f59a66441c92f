"""Explorers of single layers and of stacks of them."""

import html
from collections.abc import Iterator, Sequence

import ipywidgets
import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from torch import Tensor, nn
from torch.nn import functional as F

from course_lib.anatomy import conv_output_size, receptive_field, trace_shapes
from course_lib.plots import ORANGE
from course_lib.widgets.explorer import Explorer, choice, number

KERNELS = {
    "vertical edge": (-1, 0, 1, -1, 0, 1, -1, 0, 1),
    "horizontal edge": (-1, -1, -1, 0, 0, 0, 1, 1, 1),
    "sum of the neighbourhood": (1, 1, 1, 1, 1, 1, 1, 1, 1),
    "sharpen": (0, -1, 0, -1, 5, -1, 0, -1, 0),
    "the pixel itself": (0, 0, 0, 0, 1, 0, 0, 0, 0),
}
CELLS = [f"w{row}{column}" for row in range(1, 4) for column in range(1, 4)]


def convolution_explorer(image: Tensor | None = None) -> Explorer:
    """One window of a convolution: the pixels under it, the products with the kernel, and where their sum goes.

    Args:
        image: whole numbers (height, width), at most 12 on each side; default, a bright square on a dark ground.

    Raises:
        ValueError: an image of another shape.
    """
    if image is None:
        image = torch.ones(8, 8)
        image[2:6, 3:7] = 9
    if image.ndim != 2 or max(image.shape) > 12:
        raise ValueError(f"an image (height, width) of at most 12 pixels a side expected, got {tuple(image.shape)}.")
    pixels = image.float()
    small = {"layout": ipywidgets.Layout(width="8em"), "style": {"description_width": "3em"}}
    cells = {
        name: ipywidgets.FloatText(
            value, description=f"{name[1]}, {name[2]}", tooltip="a weight of the kernel", **small
        )
        for name, value in zip(CELLS, KERNELS["vertical edge"], strict=True)
    }
    settings = {
        "stride": number("stride", 1, 3, 1),
        "padding": number("padding", 0, 2, 0),
        "dilation": number("dilation", 1, 3, 1),
        "position": number("window", 0, 35, 0),
    }

    def draw(stride: int, padding: int, dilation: int, position: int, **weights: float) -> tuple[Figure, str]:
        height, width = (
            conv_output_size(side, 3, stride=stride, padding=padding, dilation=dilation) for side in pixels.shape
        )
        settings["position"].max = height * width - 1
        row, column = divmod(min(position, height * width - 1), width)
        kernel = torch.tensor([weights[name] for name in CELLS]).view(3, 3)
        padded = F.pad(pixels, [padding] * 4)
        answers = F.conv2d(padded[None, None], kernel[None, None], stride=stride, dilation=dilation)[0, 0]
        reach = 2 * dilation + 1
        top, left = row * stride, column * stride
        window = padded[top : top + reach : dilation, left : left + reach : dilation]
        terms = [
            f"{p:g}x{w:g}" if w >= 0 else f"{p:g}x({w:g})"
            for p, w in zip(window.flatten().tolist(), kernel.flatten().tolist(), strict=True)
        ]
        figure = Figure(figsize=(9, 3.6))
        left_axis, middle, right = _panels(
            figure, ("the image, padded" if padding else "the image", "products", "output")
        )
        _numbers(left_axis, padded, [[f"{value:g}" for value in line] for line in padded.tolist()])
        for r in range(3):
            for c in range(3):
                _outline(left_axis, top + r * dilation, left + c * dilation)
        _numbers(middle, window * kernel, [terms[start : start + 3] for start in (0, 3, 6)])
        _numbers(right, answers, [[f"{value:g}" for value in line] for line in answers.tolist()])
        _outline(right, row, column)
        said = (
            f"Window at row {row}, column {column}: {' + '.join(terms)} = {answers[row, column]:g}. "
            f"The output has {height}x{width} numbers."
        )
        return figure, said

    preset = choice("kernel", KERNELS)
    grid = ipywidgets.GridBox(list(cells.values()), layout=ipywidgets.Layout(grid_template_columns="repeat(3, 9em)"))
    rest = ipywidgets.VBox([preset, *settings.values()])
    explorer = Explorer(
        "Convolution, one window at a time", {**cells, **settings}, draw, rows=[ipywidgets.HBox([rest, grid])]
    )
    preset.observe(
        lambda change: explorer.set(**dict(zip(CELLS, map(float, KERNELS[change["new"]]), strict=True))), names="value"
    )
    return explorer


LAYERS: dict[str, str] = {
    "nothing": "",
    "convolution 3x3, padding 1": "conv3",
    "convolution 5x5, stride 2": "conv5",
    "max pooling 2": "pool",
    "ReLU": "relu",
    "flatten": "flatten",
    "mean over each map": "mean",
    "dense, 10 outputs": "dense",
    "dense for 2048 inputs": "dense2048",
}


def shape_explorer() -> Explorer:
    """A stack of layers: shape, parameters and receptive field after each, or why it does not fit."""
    begin = ("conv3", "relu", "pool", "flatten", "dense")
    controls: dict[str, ipywidgets.Widget] = {
        "size": number("image side", 4, 128, 32, step=4),
        "channels": number("channels", 1, 64, 8),
    }
    controls |= {f"layer{n}": choice(f"layer {n}", LAYERS.items(), kind) for n, kind in enumerate(begin, start=1)}

    def draw(size: int, channels: int, **kinds: str) -> tuple[str, str]:
        layers = nn.Sequential()
        shape: tuple[int, ...] = (1, 1, size, size)
        for place, kind in enumerate(filter(None, kinds.values()), start=1):
            layer = _layer(kind, shape, channels)
            try:
                with torch.no_grad():
                    shape = tuple(layer(torch.zeros(shape)).shape)
            except RuntimeError as error:
                raise ValueError(
                    f"Layer {place}, {layer}, does not fit what arrives, {shape}: {str(error).splitlines()[0]}"
                ) from error
            layers.append(layer)
        if not len(layers):
            raise ValueError("There is no layer yet; choose one.")
        trace = trace_shapes(layers, (1, 1, size, size))
        fields = list(_fields(layers))
        rows = [("the image", str(trace.input_shape), "", "")]
        for layer, row, field in zip(layers, trace.layers, fields, strict=True):
            rows.append((str(layer), str(row.output_shape), f"{row.parameters:,}", field))
        said = f"{len(layers)} layers turn {trace.input_shape} into {shape}, with {trace.parameters:,} parameters."
        return _table(("layer", "output shape", "parameters", "receptive field"), rows), said

    return Explorer("Shapes through a stack of layers", controls, draw)


def pooling_explorer(image: Tensor | None = None) -> Explorer:
    """Pooling of a moving image, and dropout on what is left, in training and in use.

    Args:
        image: (height, width), at most 16 on each side; default, a bright square on a dark ground.
    """
    if image is None:
        image = torch.zeros(8, 8)
        image[2:4, 2:5] = 8
    pixels = image.float()
    controls: dict[str, ipywidgets.Widget] = {
        "kind": choice("pooling", ("max", "mean")),
        "window": number("window", 2, 4, 2),
        "shift": number("image moved by", 0, 4, 0),
        "rate": number("dropout", 0.0, 0.9, 0.5, step=0.1),
        "draw_number": number("draw", 1, 20, 1),
        "mode": choice("mode", ("training", "evaluation")),
    }

    def draw(kind: str, window: int, shift: int, rate: float, draw_number: int, mode: str) -> tuple[Figure, str]:
        moved = pixels.roll(shift, dims=1)
        pool = F.max_pool2d if kind == "max" else F.avg_pool2d
        before, now = (pool(picture[None], window)[0] for picture in (pixels, moved))
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(draw_number)
            drawn = torch.rand(now.shape) >= rate  # F.dropout draws otherwise in another torch, or on another processor
        kept = now * drawn / (1 - rate) if mode == "training" else now
        figure = Figure(figsize=(9, 3.2))
        titles = (
            "the image",
            f"{kind} of {window}x{window}",
            f"dropout, draw {draw_number}" if mode == "training" else "dropout, evaluation",
        )
        for axis, picture in zip(_panels(figure, titles), (moved, now, kept), strict=True):
            _numbers(axis, picture, [[f"{value:.3g}" for value in line] for line in picture.tolist()])
        changed = int((before != now).sum())
        said = (
            f"Moving the image by {shift} changed {changed} of {now.numel()} pooled numbers. Dropout: the mean was "
            f"{now.mean():.2f} and is {kept.mean():.2f}; "
        )
        if mode == "training":
            return figure, said + f"what is kept is multiplied by {1 / (1 - rate):.2f}."
        return figure, said + "in evaluation nothing is dropped."

    return Explorer("Pooling and dropout", controls, draw)


def _layer(kind: str, shape: tuple[int, ...], channels: int) -> nn.Module:
    """A layer for what arrives; where its kind cannot know that, one that will say so."""
    inputs = shape[1]
    return {
        "conv3": lambda: nn.Conv2d(inputs, channels, 3, padding=1),
        "conv5": lambda: nn.Conv2d(inputs, channels, 5, stride=2),
        "pool": lambda: nn.MaxPool2d(2),
        "relu": nn.ReLU,
        "flatten": nn.Flatten,
        "mean": lambda: nn.AdaptiveAvgPool2d(1),
        "dense": lambda: nn.Linear(shape[-1], 10),
        "dense2048": lambda: nn.Linear(2048, 10),
    }[kind]()


def _fields(layers: nn.Sequential) -> Iterator[str]:
    """The receptive field after each layer, along one side; behind a flatten or a mean it is the whole image."""
    for count in range(1, len(layers) + 1):
        try:
            yield f"{receptive_field(*layers[:count]).size} pixels"
        except ValueError:
            yield "whole image"


def _table(head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    cells = "".join(f"<th scope='col' style='text-align:left;padding:0 1em 0 0'>{name}</th>" for name in head)
    body = "".join(
        "<tr>" + "".join(f"<td style='padding:0 1em 0 0'>{html.escape(cell)}</td>" for cell in row) + "</tr>"
        for row in rows
    )
    return f"<table><thead><tr>{cells}</tr></thead><tbody>{body}</tbody></table>"


def _panels(figure: Figure, titles: tuple[str, ...]) -> list[Axes]:
    share = 1 / len(titles)
    axes = []
    for place, title in enumerate(titles):
        axis = figure.add_axes((place * share + 0.01, 0.02, share - 0.02, 0.86))
        axis.set_title(title, fontsize=10)
        axis.set(xticks=[], yticks=[])
        axes.append(axis)
    return axes


def _numbers(axis: Axes, values: Tensor, texts: list[list[str]]) -> None:
    """A grey picture with a text in each cell."""
    array = values.numpy()
    axis.imshow(array, cmap="gray")
    middle = (array.min() + array.max()) / 2
    size = 11 if len(texts) <= 4 else 8 if len(texts) <= 9 else 6
    for (row, column), value in np.ndenumerate(array):
        colour = "white" if value <= middle else "black"
        axis.text(column, row, texts[row][column], ha="center", va="center", color=colour, fontsize=size)


def _outline(axis: Axes, row: int, column: int) -> None:
    axis.add_patch(Rectangle((column - 0.5, row - 0.5), 1, 1, fill=False, edgecolor=ORANGE, linewidth=2))
