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


def right(m, k, s=1, p=0, d=1):
    """By matrix products."""
    size, how = k.shape[-1], {"stride": s, "padding": p, "dilation": d}
    windows = F.unfold(m[:, None], size, **how)  # (channels, size * size, places)
    rows = (m.shape[1] + 2 * p - d * (size - 1) - 1) // s + 1
    return (windows * k.reshape(len(k), size * size, 1)).sum(dim=1).reshape(len(m), rows, -1)


def four_loops(m, k, s=1, p=0, d=1):
    sides = [(side + 2 * p - d * (k.shape[1] - 1) - 1) // s + 1 for side in m.shape[1:]]
    out = torch.zeros(len(m), *sides)
    for row in range(sides[0]):
        for column in range(sides[1]):
            for i in range(k.shape[1]):
                for j in range(k.shape[1]):
                    y, x = row * s + i * d - p, column * s + j * d - p
                    if 0 <= y < m.shape[1] and 0 <= x < m.shape[2]:
                        out[:, row, column] += m[:, y, x] * k[:, i, j]
    return out


def with_windows(apart=None, step=None, dim=(1, 2), span=None):
    """An answer that cuts its windows in another way."""

    def answer(m, k, s=1, p=0, d=1):
        padded, reach = F.pad(m, [p] * 4), d * (k.shape[1] - 1) + 1
        rows, columns = ((side - (span or (lambda _: reach))(k)) // s + 1 for side in padded.shape[1:])
        out, width = torch.zeros(len(m), rows, columns), k.shape[1] if step else reach
        for row in range(rows):
            for column in range(columns):
                top, left = row * (apart or s), column * (apart or s)
                window = padded[:, top : top + width : step or d, left : left + width : step or d]
                out[:, row, column] = (window * k).sum(dim=dim)
        return out

    return answer


slips = [
    (lambda m, k, *a: right(m, k.flip(1, 2), *a), "The kernels are turned; cross-correlation does not."),
    (lambda m, k, *a: right(m, k.mT, *a), "Rows and columns of the kernels are exchanged."),
    (lambda m, k, *a: right(m, k, *a).sum(dim=0, keepdim=True), "The channels are added up; each stays by itself."),
    (
        lambda m, k, *a: right(m, k, *a).sum(dim=0),
        "The channels are added up, and their axis is gone; each stays by itself.",
    ),
    (with_windows(dim=(0, 1, 2)), "Sum over two axes only."),
    (with_windows(apart=1), "Positions are counted by `stride`, but windows begin side by side."),
    (with_windows(step=1), "The size is right for `dilation`, but the windows are not spread."),
    (lambda m, k, *a: right(m, k[:1].expand_as(k), *a), "All channels are given the first kernel."),
    (lambda m, k, s=1, p=0, d=1: right(m, k, 1, p, d), "`stride` is not used: windows begin that many pixels apart."),
    (lambda m, k, s=1, p=0, d=1: right(m, k, s, 0, d), "`padding` is not used: zeros belong around each map."),
    (lambda m, k, s=1, p=0, d=1: right(m, k, s, p, 1), "`dilation` is not used: it spreads the weights apart."),
    (lambda m, k, s=1, p=0, d=1: right(F.pad(m, (p, 0, p, 0)), k, s, 0, d), "Zeros belong on all four sides."),
    (
        lambda m, k, *a: right(m, k, *a)[:, :, : right(m, k, *a).shape[1]],
        "Maps need not be square: columns follow from the width.",
    ),
    (lambda m, k, *a: right(m, k, *a)[:, :-1, :-1], "The last position is left out: one more fits."),
    (lambda m, k, *a: right(m, k, *a) / k[0].numel(), "That is the mean of the products; take the sum."),
]
also_wrong = [
    (with_windows(span=lambda k: k.shape[1]), "differ in size"),
    (lambda m, k, s=2, p=0, d=1: right(m, k, s, p, d), DEFAULTS),
    (
        lambda m, k, s=1, p=0, d=1: F.conv2d(m, k[:, None], None, s, p, d, len(m)),
        "Multiply and add up each window yourself",
    ),
]
also_right = [right, four_loops]
