"""Checks of lesson 1: of sizes, windows and places."""

from collections.abc import Callable
from functools import partial, wraps
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from course_lib.exercises.tasks import DEFAULTS, Mistakes, Wrong, by_hand, compare, task

Layers = list[tuple[int, int, int]]


def call_answer(answer: Callable[..., Any], *arguments: Any, said: dict[str, str]) -> Any:
    """Call an answer; of its errors, turn those whose text holds certain words into a verdict with a sentence."""
    try:
        return answer(*arguments)
    except RuntimeError as error:
        slip = next((sentence for words, sentence in said.items() if words in str(error)), "")
        if not slip:  # among them NotImplementedError
            raise
        raise Wrong(f"RuntimeError: {error}", "no error", slip) from error


@task(
    "01.1",
    "The padding that keeps the size",
    "A kernel of 7 with dilation 2 spans more than 7 pixels. How many?",
    "With stride 1 an axis loses span - 1 pixels; padding gives two times its number back.",
)
def same_padding(answer: Callable[..., int]) -> str:
    slips = [
        (lambda k, d: d * (k - 1), "Padding is added on both sides: half of it is enough."),
        (lambda k, d: k // 2, "Dilation spreads the kernel: it spans dilation * (kernel - 1) + 1 pixels."),
        (lambda k, d: d * (k // 2) + 1, "That is one too many: a window of one pixel needs no padding."),
        (lambda k, d: d * k // 2, "The span is dilation * (kernel - 1) + 1, not dilation * kernel."),
    ]
    compare(answer, lambda k, d: d * (k - 1) // 2, [(3, 1), (7, 2), (5, 3), (1, 4)], slips=slips)
    compare(answer, lambda k: (k - 1) // 2, [(3,), (9,)], slips=[(answer, DEFAULTS)])
    return "An even kernel has no such padding with one number for both sides: it would need half a pixel."


@task(
    "01.2",
    "Max pooling by hand",
    "How many whole windows fit along each axis? What is left over is dropped.",
    "Window (row, column) begins at pixel (row * window, column * window).",
)
def max_pool_by_hand(answer: Callable[[Tensor, int], Tensor]) -> str:
    def pooled(image: Tensor, window: int) -> Tensor:
        return F.max_pool2d(image[None], window)[0]

    slips = [
        (lambda i, w: F.avg_pool2d(i[None], w)[0], "That is the mean of each window; the largest number is asked for."),
        (lambda i, w: F.max_pool2d(i[None], w, 1)[0], "The windows overlap: each begins where the last one ends."),
        (lambda i, w: F.max_pool2d(i[None], w, ceil_mode=True)[0], "A window that does not fit whole is left out."),
        (lambda i, w: pooled(i, w).clamp(min=0), "A maximum that begins at 0 loses negative numbers."),
        (lambda i, w: pooled(i, w).T, "Rows and columns are exchanged."),
    ]
    inputs = [(torch.randn(10, 13) - 2, 3), (torch.randn(6, 6).double() - 1000, 2), (torch.randn(3, 2), 1)]
    loops = "The task asks for it without `torch.nn`: take the largest number of each window yourself, in two loops."
    compare(by_hand(answer, "torch[.]nn|pool", loops), pooled, inputs, slips=slips)
    return "Only one pixel of each window gets a gradient: the one that won."


@task(
    "01.5",
    "Which pixels does an output see?",
    "One layer: output x begins at x * stride - padding and reads `kernel` positions from there. Where is the last?",
    "Two layers: ask the last which outputs of the first it reads. Where does the first of these begin, the last end?",
    "So go through the layers from the last to the first, with two numbers in hand.",
)
def pixels_seen(answer: Callable[[int, Layers], tuple[int, int]]) -> str:
    def right(output: int, layers: Layers) -> tuple[int, int]:
        seen = {output}
        for kernel, stride, padding in reversed(layers):
            seen = {place * stride - padding + weight for place in seen for weight in range(kernel)}
        return min(seen), max(seen)

    def walk(output: int, layers: Layers, step: Callable[..., tuple[int, int]]) -> tuple[int, int]:
        first = last = output
        for layer in reversed(layers):
            first, last = step(first, last, *layer)
        return first, last

    steps: Mistakes = [
        (lambda f, e, k, s, p: (f * s - p, e * s - p + k), "A kernel of 3 at position 4 reads 4, 5 and 6, not 7."),
        (lambda f, e, k, s, p: (f * s, e * s + k - 1), "Padding is left out: it moves everything toward the front."),
        (lambda f, e, k, s, p: (f * s + p, e * s + p + k - 1), "Position 0 lies in the padding: subtract it."),
        (lambda f, e, k, s, p: (f - p, e - p + k - 1), "Stride is left out: windows of neighbors lie that far apart."),
        (lambda f, e, k, s, p: (f * s - p, e * s + k - 1), "Padding moves the last pixel as well as the first."),
        (lambda f, e, k, s, p: (f * s - p, f * s - p + k - 1), "Only one window is followed; the last one ends later."),
        (lambda f, e, k, s, p: ((f - p) * s, (e - p) * s + k - 1), "Padding is counted in pixels: multiply first."),
    ]
    slips: Mistakes = [(partial(walk, step=step), said) for step, said in steps]
    slips += [
        (lambda o, la: right(o, la[::-1]), "You begin with the first layer; the output belongs to the last."),
        (lambda o, la: (right(o, la)[0], right(o, la)[1] + 1), "That is one behind the last pixel: return the last."),
        (lambda o, la: right(o, la)[1] - right(o, la)[0] + 1, "That is how many pixels it sees, not which."),
        (lambda o, la: (max(0, right(o, la)[0]), right(o, la)[1]), "Keep negative numbers: they lie in the padding."),
    ]
    resnet = [(7, 2, 3), (3, 2, 1), (3, 1, 1), (3, 1, 1)]
    inputs = [(4, [(3, 1, 0)]), (0, [(5, 2, 1), (3, 1, 2), (2, 2, 0)]), (3, [(5, 2, 1), (3, 3, 2)]), (28, resnet)]
    compare(answer, right, inputs, slips=slips)
    return (
        "Last minus first plus 1 is the receptive field, the same for every output: 27 pixels in the last case "
        "of the check, how a ResNet begins. From output to output it moves by 4 pixels there, the strides' product."
    )


@task(
    "01.6",
    "One kernel per channel",
    "Pad first, and from then on think of the padded maps only.",
    "A kernel spans dilation * (k - 1) + 1 pixels; whole spans only, `stride` apart.",
    "A slice may have a step: `maps[:, top : top + span : dilation]`. `sum(dim=(1, 2))` keeps the channels.",
)
def depthwise(answer: Callable[..., Tensor]) -> str:
    def right(maps: Tensor, kernels: Tensor, stride: int, padding: int, dilation: int) -> Tensor:
        return F.conv2d(maps[None], kernels[:, None], None, stride, padding, dilation, len(maps))[0]

    def cut(m: Tensor, k: Tensor, s: int, p: int, d: int, *mistaken: int) -> Tensor:
        _, rows, columns = right(m, k, s, p, d).shape
        return right(m, k, *mistaken)[:, :rows, :columns]

    said = {
        "must match": "A window and its kernel differ in size. Rows go with the height, columns with the width; with "
        "dilation, the slice and the number of positions follow from the span dilation * (k - 1) + 1; and all of them "
        "belong to the padded maps."
    }
    added = "The channels are added up; here each stays by itself."

    @wraps(answer)
    def called(*arguments: Any) -> Any:
        return call_answer(by_hand(answer, "conv", "Multiply and add up each window yourself."), *arguments, said=said)

    slips: Mistakes = [
        (lambda m, k, s, p, d: right(m, k.flip(1, 2), s, p, d), "The kernels are turned; cross-correlation does not."),
        (lambda m, k, s, p, d: right(m, k.mT, s, p, d), "Rows and columns of the kernels are exchanged."),
        (lambda m, k, s, p, d: right(m, k, s, p, d).sum(dim=0), added),
        (lambda m, k, s, p, d: right(m, k, s, p, d).sum(dim=0, keepdim=True), added),
        (
            lambda m, k, s, p, d: right(m, k, s, p, d).sum(dim=0).expand_as(right(m, k, s, p, d)),
            "Sum over two axes only.",
        ),
        (
            lambda m, k, s, p, d: cut(m, k, s, p, d, 1, p, d),
            "Positions are counted by `stride`, but windows begin side by side.",
        ),
        (
            lambda m, k, s, p, d: cut(m, k, s, p, d, s, p, 1),
            "The size is right for `dilation`, but the windows are not spread.",
        ),
        (lambda m, k, s, p, d: right(m, k[:1].expand_as(k), s, p, d), "All channels are given the first kernel."),
        (lambda m, k, s, p, d: right(m, k, 1, p, d), "`stride` is not used: windows begin that many pixels apart."),
        (lambda m, k, s, p, d: right(m, k, s, 0, d), "`padding` is not used: zeros belong around each map."),
        (lambda m, k, s, p, d: right(m, k, s, p, 1), "`dilation` is not used: it spreads the weights apart."),
        (lambda m, k, s, p, d: right(F.pad(m, (p, 0, p, 0)), k, s, 0, d), "Zeros belong on all four sides."),
        (lambda *a: right(*a)[:, :, : right(*a).shape[1]], "Maps need not be square: columns follow from the width."),
        (lambda m, k, s, p, d: right(m, k, s, p, d)[:, :-1, :-1], "The last position is left out: one more fits."),
        (lambda m, k, s, p, d: right(m, k, s, p, d) / k[0].numel(), "That is the mean of the products; take the sum."),
    ]
    ways = [(3, 1, 0, 1), (3, 2, 1, 1), (3, 1, 0, 2), (3, 3, 2, 2), (2, 2, 1, 3)]  # k, stride, padding, dilation
    inputs = [
        (torch.randn(c, 8, 11).double(), torch.randn(c, k, k).double(), *way) for c, (k, *way) in enumerate(ways, 2)
    ]
    compare(called, right, inputs, slips=slips)
    plain = torch.randn(1, 5, 4), torch.randn(1, 3, 3)
    compare(called, lambda m, k: right(m, k, 1, 0, 1), [plain], slips=[(called, DEFAULTS)])
    return (
        "PyTorch calls it `groups=channels`. For 64 channels of 3x3 it takes 576 weights where 64 full filters take "
        "36,864; with a 1x1 convolution after it, which mixes the channels, it is the main part of MobileNet."
    )
