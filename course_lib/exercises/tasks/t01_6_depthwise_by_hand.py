from itertools import product

import torch
from torch.nn import functional as F

from course_lib.exercises.task import DEFAULTS, Task

DIFFER = (
    "A window and its kernel differ in size. Rows go with the height, columns with the width; with dilation, the slice "
    "and the number of positions follow from the span dilation * (k - 1) + 1; and all of them come from the padded maps."
)


class DepthwiseByHand(Task):
    number, title, name, points = "01.6", "One kernel per channel", "depthwise_by_hand", 2
    statement = """
In the lesson every filter reads all channels. A *depthwise* convolution has one kernel per channel and adds nothing
across channels: map 0 and kernel 0 give map 0, and so on. Lay the kernels on as they are, without turning them, with
the number of zeros on each side (`padding`), the step from position to position (`stride`) and the distance between
neighboring weights (`dilation`), for maps that need not be square. Write it by hand, without PyTorch's convolutions:
loops, slices and sums are enough, and `F.pad` adds the zeros. Once you can write this, no output size of a
convolution will surprise you again.
"""
    hints = (
        "Pad first, and from then on think of the padded maps only.",
        "A kernel spans dilation * (k - 1) + 1 pixels; whole spans only, `stride` apart.",
        "A slice may have a step: `maps[:, top : top + span : dilation]`. `sum(dim=(1, 2))` keeps the channels.",
    )
    notice = (
        "PyTorch calls it `groups=channels`. For 64 channels of 3x3 it takes 576 weights where 64 full filters take "
        "36,864; with a 1x1 convolution after it, which mixes the channels, it is the main part of MobileNet."
    )
    given = "1 to 4 channels, kernels of size 1 to 3, and drawn strides, padding and dilations"
    forbidden = "conv", "Multiply and add up each window yourself."
    errors = {"must match": DIFFER}

    def inputs(self, draw):
        ways = [(3, 1, 0, 1), (3, 2, 1, 1), (3, 1, 0, 2), (3, 3, 2, 2), (2, 2, 1, 3)]  # k, stride, padding, dilation
        ways += [(k, draw.number(1, 2), draw.number(0, 2), draw.number(1, 2)) for k in (1, 2, 3)]
        for channels, (k, *way) in enumerate(ways, 2):
            channels = 2 + channels % 3
            maps = draw.normal(channels, draw.number(8, 10), draw.number(11, 13))
            yield maps.double(), draw.normal(channels, k, k).double(), *way
        yield draw.normal(1, 5, 4), draw.normal(1, 3, 3)


# Answers


# fmt: off
def depthwise_by_hand(
    maps: torch.Tensor, kernels: torch.Tensor, stride: int = 1, padding: int = 0, dilation: int = 1
) -> torch.Tensor:
    """Maps (channels, height, width) and kernels (channels, k, k) to (channels, rows, columns)."""
    padded = F.pad(maps, (padding, padding, padding, padding))
    span = dilation * (kernels.shape[1] - 1) + 1
    rows, columns = ((side - span) // stride + 1 for side in padded.shape[1:])
    answers = torch.empty(len(maps), rows, columns)
    for row in range(rows):
        for column in range(columns):
            top, left = row * stride, column * stride
            window = padded[:, top : top + span : dilation, left : left + span : dilation]
            answers[:, row, column] = (window * kernels).sum(dim=(1, 2))
    return answers
# fmt: on


def by_matrix_products(maps, kernels, stride=1, padding=0, dilation=1):
    size = kernels.shape[-1]
    windows = F.unfold(maps[:, None], size, stride=stride, padding=padding, dilation=dilation)
    rows = (maps.shape[1] + 2 * padding - dilation * (size - 1) - 1) // stride + 1
    return (windows * kernels.reshape(len(maps), size * size, 1)).sum(dim=1).reshape(len(maps), rows, -1)


def four_loops(maps, kernels, stride=1, padding=0, dilation=1):
    size, (_, height, width) = kernels.shape[1], maps.shape
    rows, columns = ((side + 2 * padding - dilation * (size - 1) - 1) // stride + 1 for side in (height, width))
    out = torch.zeros(len(maps), rows, columns)
    for row, column, i, j in product(range(rows), range(columns), range(size), range(size)):
        y, x = row * stride + i * dilation - padding, column * stride + j * dilation - padding
        if 0 <= y < height and 0 <= x < width:
            out[:, row, column] += maps[:, y, x] * kernels[:, i, j]
    return out


SLICES = "top : top + span : dilation, left : left + span : dilation"
slips = [
    ({"window * kernels": "window * kernels.flip(1, 2)"}, "The kernels are turned; cross-correlation does not."),
    ({"window * kernels": "window * kernels.mT"}, "Rows and columns of the kernels are exchanged."),
    ({"return answers": "return answers.sum(0, keepdim=True)"}, "The channels are added up; each stays by itself."),
    (
        {"return answers": "return answers.sum(0)"},
        "The channels are added up, and their axis is gone: keep them apart.",
    ),
    ({"dim=(1, 2)": "dim=(0, 1, 2)"}, "Sum over two axes only."),
    (
        {"row * stride, column * stride": "row, column"},
        "Positions are counted by `stride`; windows begin side by side.",
    ),
    (
        {SLICES: "top : top + len(kernels[0]), left : left + len(kernels[0])"},
        "The size is right for `dilation`, but the windows are not spread.",
    ),
    ({"window * kernels": "window * kernels[:1]"}, "All channels are given the first kernel."),
    ({"    padded": "    stride = 1\n    padded"}, "`stride` is not used: windows begin that many pixels apart."),
    ({"    padded": "    padding = 0\n    padded"}, "`padding` is not used: zeros belong around each map."),
    ({"    padded": "    dilation = 1\n    padded"}, "`dilation` is not used: it spreads the weights apart."),
    ({"padding, padding, padding, padding": "padding, 0, padding, 0"}, "Zeros belong on all four sides."),
    ({"return answers": "return answers[:, :, :rows]"}, "Maps need not be square: columns follow from the width."),
    ({"return answers": "return answers[:, :-1, :-1]"}, "The last position is left out: one more fits."),
    ({".sum(": ".mean("}, "That is the mean of the products; take the sum."),
]
also_wrong = [
    ({"dilation * (kernels.shape[1] - 1) + 1": "kernels.shape[1]"}, "differ in size"),
    ({"stride: int = 1": "stride: int = 2"}, DEFAULTS),
    (lambda maps, kernels, *given: F.conv2d(maps, kernels[:, None], None, *given, len(maps)), "each window yourself"),
]
also_right = [by_matrix_products, four_loops]
