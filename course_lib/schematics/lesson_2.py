"""The schematics of lesson 2. Every number in them is computed from the layers that are drawn."""

from itertools import pairwise

from course_lib.anatomy import conv_output_size
from course_lib.plots.colors import BLUE, GRAY, GREEN, ORANGE, PURPLE
from course_lib.schematics.pen import CARD, INK, SMALL, Sketch

CHANNELS, SIDE, UNITS = (1, 32, 64, 128), 256, (512, 128, 2)  # of PneumoniaCNN, and its dense layers


def who_may_look_when() -> Sketch:
    sets = ("training", "validation", "test")
    uses = {
        "fit the weights": ("training",),
        "make choices": ("validation",),
        "report, once": ("test",),
    }
    pen = Sketch(
        "Three sets of images, three uses",
        "A table with a column each for the training, the validation and the test images, and three rows in order of "
        "time. The weights are fitted on the training images. Choices, such as the learning rate or the threshold, are "
        "made on the validation images. The test images are used once, at the end, for the report. No patient is in "
        "two columns.",
        height=290,
    )
    left, width, top = 150, 104, 66
    for index, (name, color) in enumerate(zip(sets, (BLUE, GREEN, ORANGE), strict=True)):
        x = left + index * width
        pen.text(x + width / 2, 24, name, bold=True)
        for row, looks in enumerate(uses.values()):
            shown = name in looks
            pen.box(x + 4, top + 56 * row, width - 8, 46, fill=color if shown else CARD, tint=0.3, rounded=6)
            pen.text(x + width / 2, top + 56 * row + 23, "yes" if shown else "no", bold=shown)
        if index:
            pen.line([(x, 40), (x, top + 162)], dashed=True)
    for row, words in enumerate(uses):
        pen.text(138, top + 56 * row + 23, words, anchor="end")
    pen.arrow((16, 70), (16, 226))
    pen.text(8, 52, "time", size=SMALL, anchor="start")
    pen.text(left + 1.5 * width, 252, "no patient on two sides of a dashed line", size=SMALL)
    pen.text(left + 1.5 * width, 272, "learning rate, threshold: both are choices", size=SMALL)
    return pen


def module_register() -> Sketch:
    rows = {
        "parameters": ("gain = 2.0", BLUE),
        "buffers": ("level = 0.5", GREEN),
        "modules": ("other modules", PURPLE),
    }
    pen = Sketch(
        "What nn.Module registers",
        "A module as a box with three drawers: parameters, here gain, 2.0; buffers, here level, 0.5; modules, which "
        "are boxes of the same kind. The optimizer gets the parameters. Saving and moving take parameters and buffers. "
        "All of them also look into the modules inside. A plain Python list lies outside the drawers, and nothing "
        "looks there.",
        height=290,
    )
    pen.box(16, 40, 214, 178, fill=GRAY, tint=0.1, rounded=8)
    pen.text(123, 22, "self", bold=True)
    for index, (name, (content, color)) in enumerate(rows.items()):
        y = 52 + 55 * index
        pen.box(26, y, 194, 46, fill=color, tint=0.2, rounded=5)
        pen.text(36, y + 14, name, size=SMALL, anchor="start")
        pen.text(210, y + 32, content, anchor="end", bold=True)
    pen.text(372, 22, "who reads it", bold=True)
    pen.box(300, 46, 164, 34, fill=CARD, rounded=5)
    pen.text(382, 63, "optimizer")
    pen.box(300, 98, 164, 50, fill=CARD, rounded=5)
    pen.text(382, 113, "state_dict: saving")
    pen.text(382, 134, ".to(device): moving")
    pen.arrow((226, 68), (294, 63), color=BLUE)
    pen.arrow((226, 82), (294, 112), color=BLUE)
    pen.arrow((226, 130), (294, 126), color=GREEN)
    pen.arrow((226, 185), (258, 185), (258, 206), (294, 206), color=PURPLE)
    pen.text(302, 197, "the same, one level", anchor="start", size=SMALL)
    pen.text(302, 214, "down, and so on", anchor="start", size=SMALL)
    pen.box(26, 236, 194, 36, dashed=True, rounded=5)
    pen.text(123, 254, "a plain list")
    pen.text(302, 254, "nobody looks here", anchor="start")
    pen.line([(228, 254), (294, 254)], dashed=True)
    return pen


def pneumonia_volumes() -> Sketch:
    sides = _sides()
    shapes = [f"{c} × {s} × {s}" for c, s in zip(CHANNELS, sides, strict=True)]
    flat = CHANNELS[-1] * sides[-1] ** 2
    rows = [flat, *UNITS]
    pen = Sketch(
        "PneumoniaCNN as volumes",
        f"A gray image of {shapes[0]} passes three blocks: {shapes[1]}, {shapes[2]}, {shapes[3]}. Each block halves "
        f"the sides, and the channels grow. Flattened, the last maps are one row of {flat:,} numbers. Three dense "
        f"layers, fc1, fc2 and fc3, take it to {UNITS[0]}, {UNITS[1]} and {UNITS[2]} numbers, the logits.",
        height=330,
    )
    pen.text(240, 22, "a block: convolution 3 × 3, batch norm, ReLU, pooling 2 × 2", size=SMALL)
    x = pen.blocks(18, 140, ((80, 2), (50, 16), (34, 32), (20, 48)), shapes=shapes, steps=("1", "2", "3"))
    pen.arrow((x - 34, 176), (x - 34, 200), (44, 200), (44, 224))
    pen.text(200, 190, "flatten", size=SMALL)
    for index, (count, center, tall) in enumerate(zip(rows, (44, 182, 306, 420), (70, 44, 28, 16), strict=True)):
        pen.box(center - 9, 266 - tall / 2, 18, tall, fill=ORANGE if index else BLUE, tint=0.4)
        pen.text(center, 316, f"{count:,}", bold=index == 3)
        if index < 3:
            pen.arrow((center + 18, 266), ((182, 306, 420)[index] - 18, 266))
            pen.text((center + (182, 306, 420)[index]) / 2, 250, f"fc{index + 1}", size=SMALL)
    return pen


def two_heads() -> Sketch:
    side, maps = _sides()[-1], CHANNELS[-1]
    inputs = maps * side**2
    dense = [(before + 1) * after for before, after in zip((inputs, *UNITS), UNITS, strict=False)]
    blocks = sum(9 * a * b + b + 2 * b for a, b in pairwise(CHANNELS))  # weights, biases, batch norm
    small = (maps + 1) * UNITS[-1]
    scale = 150 / dense[0] ** 0.5
    pen = Sketch(
        "Two heads on the same blocks",
        f"Squares whose areas are numbers of parameters. PneumoniaCNN: three blocks with {blocks:,}, a tiny square; "
        f"fc1 with {dense[0]:,}, a huge one; fc2 with {dense[1]:,}; fc3 with {dense[2]:,}. Its pooled twin: the same "
        f"three blocks, the mean of each of the {maps} maps, and one dense layer with {small:,}. Together "
        f"{blocks + sum(dense):,} against {blocks + small:,}.",
        height=400,
    )
    upper, lower = 122, 308
    for top, middle, name, head, end, words in (
        (24, upper, "PneumoniaCNN", sum(dense), 138, "flatten"),
        (252, lower, "its pooled twin", small, 196, "mean per map"),
    ):
        pen.text(16, top, name, anchor="start", bold=True)
        pen.text(464, top, f"{blocks + head:,} parameters", anchor="end")
        _area(pen, 56, middle, blocks, scale, BLUE, "3 blocks")
        pen.arrow((92, middle), (end, middle))
        pen.text(46 + end / 2, middle + 18, words, size=SMALL)
    pen.box(150, upper - 75, 150, 150, fill=ORANGE, tint=0.35)
    pen.text(225, upper - 10, "fc1", bold=True)
    pen.text(225, upper + 12, f"{dense[0]:,}", bold=True)
    pen.arrow((308, upper), (338, upper))
    _area(pen, 366, upper, dense[1], scale, ORANGE, "fc2")
    pen.arrow((388, upper), (418, upper))
    _area(pen, 442, upper, dense[2], scale, ORANGE, "fc3")
    pen.line([(16, 226), (464, 226)], line=1)
    pen.text(256, lower, f"{maps} numbers")
    pen.arrow((316, lower), (418, lower))
    _area(pen, 442, lower, small, scale, ORANGE, "head")
    pen.text(240, 378, "the area of a square is its number of parameters", size=SMALL)
    return pen


def batch_norm() -> Sketch:
    images, channels, lit = 3, 4, 1
    pen = Sketch(
        "Batch norm works channel by channel",
        f"A batch of {images} images with {channels} channels each, as a grid of maps. A frame holds one channel of "
        f"all {images} images. In training, the mean and the spread of the framed maps together bring the channel to "
        "mean 0 and spread 1. In evaluation, the running averages do, and the batch plays no part. Then a learned "
        "scale and a learned offset follow.",
        height=302,
    )
    left, top, cell, pitch = 72, 52, 10, 48
    for row in range(images):
        pen.text(63, top + 52 * row + 20, f"image {row + 1}", anchor="end", size=SMALL)
        for column in range(channels):
            fill, tint = (ORANGE, 0.45) if column == lit else (CARD, 1)
            pen.box(left + pitch * column, top + 52 * row, 4 * cell, 4 * cell, fill=fill, tint=tint)
            pen.grid(left + pitch * column, top + 52 * row, 4, 4, cell=cell)
    pen.text(left + 92, 24, f"{channels} channels", bold=True)
    pen.box(left + pitch * lit - 3, top - 5, 4 * cell + 6, 3 * 52 - 2, edge=ORANGE, line=2.5, rounded=5)
    pen.box(276, 46, 188, 70, fill=ORANGE, tint=0.15, rounded=6)
    for y, words in ((62, "training:"), (82, "mean and spread of"), (101, "the framed maps")):
        pen.text(370, y, words, bold=y == 62)
    pen.box(276, 136, 188, 70, fill=BLUE, tint=0.15, rounded=6)
    for y, words in ((152, "evaluation:"), (172, "running averages,"), (191, "whatever the batch")):
        pen.text(370, y, words, bold=y == 152)
    pen.arrow((260, 82), (275, 82))
    pen.arrow((370, 118), (370, 134))
    pen.text(240, 240, "(number - mean) / spread, the same for the whole channel")
    pen.text(240, 270, "then × a learned scale, + a learned offset")
    return pen


def five_steps() -> Sketch:
    steps = [
        ("1  clear", "optimizer.zero_grad()"),
        ("2  predict", "logits = model(images)"),
        ("3  measure", "loss = F.cross_entropy(...)"),
        ("4  gradients", "loss.backward()"),
        ("5  step", "optimizer.step()"),
    ]
    pen = Sketch(
        "One training step in five lines",
        "Five boxes in a loop. One: clear the old gradients, zero_grad. Two: predict, model of images. Three: measure, "
        "cross-entropy of logits and labels. Four: compute the gradients, backward. Five: the optimizer moves the "
        "weights, step. From there an arrow leads back to the first box, for the next step.",
        height=296,
    )
    for index, (name, code) in enumerate(steps):
        y = 18 + 54 * index
        pen.box(120, y, 320, 40, fill=(GRAY, BLUE, PURPLE, ORANGE, GREEN)[index], tint=0.18, rounded=6)
        pen.text(132, y + 20, name, anchor="start", bold=True)
        pen.text(430, y + 20, code, anchor="end", size=SMALL)
        if index:
            pen.arrow((280, y - 14), (280, y - 1))
    pen.arrow((120, 254), (70, 254), (70, 38), (114, 38), color=INK)
    pen.text(56, 138, "next", anchor="end")
    pen.text(56, 158, "batch", anchor="end")
    return pen


def _sides() -> list[int]:
    """The side of the maps, from the image to the last block."""
    sides = [SIDE]
    for _ in CHANNELS[1:]:
        sides.append(conv_output_size(conv_output_size(sides[-1], 3, padding=1), 2, stride=2))
    return sides


def _area(pen: Sketch, x: float, y: float, count: int, scale: float, color: str, name: str) -> None:
    """A square of `count` parameters with its middle at (x, y), its name above and the number below."""
    side = max(count**0.5 * scale, 1)
    pen.box(x - side / 2, y - side / 2, side, side, fill=color, edge=color)
    pen.text(x, y - 26, name, bold=True)
    pen.text(x, y + 26, f"{count:,}", size=SMALL)
