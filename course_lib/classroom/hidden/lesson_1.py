"""Hidden checks of lesson 1, CNN anatomy."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from course_lib.classroom.hidden import hidden
from course_lib.classroom.hidden.draw import Draw
from course_lib.exercises.tasks import by_hand, call


@hidden(
    "01.1",
    inputs="odd kernel sizes and dilations",
)
def same_padding(answer: Callable[..., int], draw: Draw) -> object:
    drawn = draw.whole(0, 9, 9, 2).tolist()
    return [(answer(2 * half + 1), answer(2 * half + 1, gap + 1)) for half, gap in drawn]


@hidden(
    "01.2",
    inputs="maps of odd sizes, most of them negative, and windows of 1 to 5",
)
def max_pool_by_hand(answer: Callable[[Tensor, int], Tensor], draw: Draw) -> object:
    inputs = [(draw.normal(draw.number(7, 12), draw.number(7, 12)) - 3, window) for window in (1, 2, 3, 5)]
    return [call(by_hand(answer, "torch[.]nn|pool", ""), *drawn) for drawn in inputs]


@hidden(
    "01.3",
    inputs="two drawn linear layers of other sizes",
    of_each=("the weight of the merged layer", "the bias of the merged layer"),
)
def merge(answer: Callable[[nn.Linear, nn.Linear], nn.Linear], draw: Draw) -> object:
    sizes = draw.whole(2, 9, 3, 3).tolist()
    layers = [(draw.filled(nn.Linear(a, b)), draw.filled(nn.Linear(b, c))) for a, b, c in sizes]
    merged = [call(answer, *pair) for pair in layers]
    return [(layer.weight, layer.bias) for layer in merged]


def _finds_lines(kernels: Any, wanted: Any, draw: Draw) -> str:
    for size, kernel in zip((3, 5, 7), kernels, strict=True):
        kernel, middle = kernel.double(), size // 2
        if kernel.shape != (size, size) or not kernel.isfinite().all():
            return "the shape of the kernel, or its numbers"
        if kernel[middle, middle] >= 0.5:
            return "a bright pixel on its own"
        lines, columns = kernel.sum(dim=1), kernel.sum(dim=0)
        flat = lines.sum().abs() + columns.abs().max() + (lines * (torch.arange(size) - middle)).sum().abs()
        others = torch.cat([lines[:middle], lines[middle + 1 :]])
        if flat > 1e-4:
            return "an even area, a ramp or a vertical edge"
        if (lines[middle] - 1).abs() > 1e-4 or others.max() > 1e-6:
            return "a horizontal line, or one beside the middle"
    return ""


@hidden(
    "01.4",
    _finds_lines,
    inputs="kernels of size 3, 5 and 7",
)
def line_kernel(answer: Callable[[int], Tensor], draw: Draw) -> object:
    return [answer(size) for size in (3, 5, 7)]


@hidden(
    "01.5",
    inputs="stacks of 1 to 5 layers with drawn kernels, strides and padding",
)
def pixels_seen(answer: Callable[..., tuple[int, int]], draw: Draw) -> object:
    inputs = []
    for count in (1, 2, 3, 5):
        shapes = zip(draw.whole(1, 7, count).tolist(), draw.whole(1, 3, count).tolist(), strict=True)
        inputs.append((draw.number(0, 40), [(kernel, stride, draw.number(0, 3)) for kernel, stride in shapes]))
    return [call(answer, *drawn) for drawn in inputs]


@hidden(
    "01.6",
    inputs="1 to 4 channels, kernels of size 1 to 3, and drawn strides, padding and dilations",
)
def depthwise_by_hand(answer: Callable[..., Tensor], draw: Draw) -> object:
    sizes = [(draw.number(1, 4), draw.number(8, 12), draw.number(8, 12), k) for k in (1, 2, 3, 2)]
    pairs = [(draw.normal(c, height, width), draw.normal(c, k, k)) for c, height, width, k in sizes]
    steps = (2, draw.number(0, 2), 1), (1, draw.number(0, 2), 2), (2, 1, 3), ()
    inputs = [(*pair, *step) for pair, step in zip(pairs, steps, strict=True)]
    return [call(by_hand(answer, "conv", ""), *drawn) for drawn in inputs]


@hidden(
    "01.7",
    inputs="batches of 1 to 4 channels, and filters of size 3 and 5",
    parts=("the pooled maps", "the gradient", "what is a parameter and what a buffer"),
)
def blur_pool(answer: Callable[..., nn.Module], draw: Draw) -> object:
    batches = [draw.normal(2, draw.number(1, 4), 10, 12) for _ in range(3)]
    layers = [answer(), answer(3), answer(5)]
    pooled = [layer(images.requires_grad_()) for layer, images in zip(layers, batches, strict=True)]
    slopes = [torch.autograd.grad(maps.square().sum(), images)[0] for maps, images in zip(pooled, batches, strict=True)]
    return pooled, slopes, [(len([*layer.parameters()]), bool([*layer.buffers()])) for layer in layers]
