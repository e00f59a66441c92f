"""The schematics of lesson 4: what makes a training's seconds, and the blocks of famous networks."""

from course_lib.plots.colors import BLUE, GRAY, GREEN, ORANGE
from course_lib.schematics.pen import CARD, SMALL, Sketch

CHANNEL = 0.5  # width of a bar in units per channel


def two_knobs() -> Sketch:
    pen = Sketch(
        "Seconds of a training",
        "A fraction. Above the line: the arithmetic that the training needs, in FLOP; Part C makes it smaller. Below "
        "the line: the machine's peak in FLOP per second, times the fraction of it that is used; Part B makes the "
        "fraction larger.",
        height=180,
    )
    pen.text(60, 84, "seconds  =", bold=True)
    pen.line([(116, 84), (464, 84)], line=2)
    pen.box(124, 24, 214, 44, fill=ORANGE, tint=0.2, rounded=6)
    pen.text(231, 46, "arithmetic needed (FLOP)")
    pen.box(124, 100, 170, 44, fill=GRAY, tint=0.12, rounded=6)
    pen.text(209, 122, "peak (FLOP per s)")
    pen.text(308, 122, "×")
    pen.box(322, 100, 142, 44, fill=BLUE, tint=0.2, rounded=6)
    pen.text(393, 122, "fraction used")
    pen.text(350, 46, "Part C: down", anchor="start", size=SMALL)
    pen.text(393, 162, "Part B: up", size=SMALL)
    pen.text(209, 162, "the machine's", size=SMALL)
    return pen


def fast_cnn() -> Sketch:
    widths, sides = (3, 24, 64, 128, 256), (32, 32, 16, 8, 4)
    shapes = [f"{c} × {s} × {s}" for c, s in zip(widths, sides, strict=True)]
    pen = Sketch(
        "FastCNN as volumes",
        f"A color picture of {shapes[0]} becomes {shapes[1]} by one convolution, and passes three groups: {shapes[2]}, "
        f"{shapes[3]}, {shapes[4]}. A group is a convolution, max pooling, batch norm, activation, then a second "
        "convolution, batch norm, activation. At the end the largest value of each map, and one dense layer to 10 "
        "logits.",
        height=262,
    )
    pen.text(240, 22, "each group, 1 to 3, is", size=SMALL)
    steps = (
        ("conv", BLUE),
        ("pool", GREEN),
        ("norm", GRAY),
        ("act", GRAY),
        ("conv", BLUE),
        ("norm", GRAY),
        ("act", GRAY),
    )
    for index, (name, color) in enumerate(steps):
        x = 24 + 62 * index
        pen.box(x, 40, 52, 32, fill=color, tint=0.25, rounded=5)
        pen.text(x + 26, 56, name, size=SMALL)
        if index:
            pen.arrow((x - 9, 56), (x - 1, 56))
    captions = [(c, f"{s} × {s}") for c, s in zip(widths, sides, strict=True)]
    boxes = zip((12, 100, 188, 276, 364), (44, 44, 32, 24, 18), (6, 12, 22, 34, 46), captions, strict=True)
    for index, (x, side, depth, shape) in enumerate(boxes):
        pen.block(x + 8, 176 - side, side, depth / 2, fill=BLUE if index else GRAY)
        pen.text(x + 36, 194, shape[0], size=SMALL, bold=True)
        pen.text(x + 36, 212, shape[1], size=SMALL)
        if index:
            pen.arrow((x - 20, 150), (x + 2, 150))
    for x, word in ((80, "conv"), (176, "1"), (264, "2"), (352, "3")):
        pen.text(x + 8, 130, word, size=SMALL)
    pen.text(240, 242, "then the largest value of each map, and a dense layer", size=SMALL)
    return pen


def residual_blocks() -> Sketch:
    pen = Sketch(
        "Two residual blocks",
        "Bars whose widths are numbers of channels, from top to bottom. Basic block: 64, a 3 by 3 convolution to 64, "
        "another to 64. Bottleneck: 64, a 1 by 1 convolution to 16, a 3 by 3 to 16, a 1 by 1 to 64. In both an arrow "
        "leads from the input around the convolutions to a plus sign at the output.",
        height=300,
    )
    for middle, name, bars in (
        (112, "basic", ((64, ""), (64, "3 × 3"), (64, "3 × 3"))),
        (352, "bottleneck", ((64, ""), (16, "1 × 1"), (16, "3 × 3"), (64, "1 × 1"))),
    ):
        pen.text(middle, 22, name, bold=True)
        pitch = 150 / (len(bars) - 1)
        for index, (channels, kernel) in enumerate(bars):
            y = 44 + pitch * index
            _bar(pen, middle, y, 1.4 * channels, channels)
            if index:
                pen.arrow((middle, y - pitch + 22), (middle, y - 1))
                pen.text(middle + 8, y - pitch / 2 + 10, kernel, anchor="start", size=SMALL)
        end = 44 + 150 + 20
        pen.arrow((middle - 45, 54), (middle - 84, 54), (middle - 84, end + 24), (middle - 12, end + 24), color=ORANGE)
        pen.arrow((middle, end + 2), (middle, end + 12))
        pen.dot(middle, end + 24, 11, fill=CARD, edge=GRAY)
        pen.text(middle, end + 24, "+", bold=True)
    pen.text(232, 278, "orange: the skip connection; a bar's width: its channels", size=SMALL)
    return pen


def inception_and_dense() -> Sketch:
    pen = Sketch(
        "Inception and dense block",
        "Left, Inception: 64 channels go to four branches side by side: 1 by 1; 1 by 1 then 3 by 3; 1 by 1 then 5 by "
        "5; pooling then 1 by 1. Their 16, 32, 8 and 8 channels are stacked to 64. Right, a dense block: a bar that "
        "grows by 16 channels with each of four layers, from 64 to 128.",
        height=286,
    )
    pen.text(112, 22, "Inception: side by side", bold=True)
    _bar(pen, 112, 40, 128, 64)
    branches = (("1 × 1", "", 16), ("1 × 1", "3 × 3", 32), ("1 × 1", "5 × 5", 8), ("pool", "1 × 1", 8))
    for index, (first, second, channels) in enumerate(branches):
        x = 36 + 52 * index
        pen.arrow((x, 64), (x, 82))
        for row, word in enumerate((first, second)):
            if word:
                pen.box(x - 23, 84 + 38 * row, 46, 28, fill=BLUE, tint=0.2, rounded=5)
                pen.text(x, 98 + 38 * row, word, size=SMALL)
        pen.arrow((x, 150 if second else 112), (x, 178))
        pen.text(x, 190, channels, size=SMALL)
    pen.arrow((112, 202), (112, 216))
    _bar(pen, 112, 218, 128, "64 stacked")
    pen.line([(236, 20), (236, 246)], line=1, dashed=True)
    pen.text(358, 22, "dense: each adds 16", bold=True)
    for layer in range(5):
        y, left = 40 + 44 * layer, 264
        pen.box(left, y, 96, 22, fill=BLUE, tint=0.3)
        for added in range(layer):
            pen.box(left + 96 + 24 * added, y, 24, 22, fill=ORANGE if added == layer - 1 else BLUE, tint=0.5)
        pen.text(left + 48, y + 11, 64 + 16 * layer, bold=True)
        if layer:
            pen.arrow((left + 60, y - 20), (left + 84 + 24 * layer, y - 20), (left + 84 + 24 * layer, y - 1))
    pen.text(240, 268, "orange: what the layer has added; nothing is overwritten", size=SMALL)
    return pen


def mbconv() -> Sketch:
    pen = Sketch(
        "MBConv, an inverted bottleneck",
        "From left to right, bars whose heights are numbers of channels: 64; a 1 by 1 convolution widens to 256; a "
        "depthwise 3 by 3 keeps 256; squeeze and excitation multiplies each map by a factor from 0 to 1; a 1 by 1 "
        "convolution narrows to 64. A skip connection leads from the first bar around all to a plus sign.",
        height=250,
    )
    middle = 128
    bars = ((32, 64, ""), (122, 256, "1 × 1"), (232, 256, "depthwise"), (332, 256, "squeeze,"), (416, 64, "1 × 1"))
    for index, (x, channels, word) in enumerate(bars):
        tall = CHANNEL * channels
        pen.box(x - 16, middle - tall / 2, 32, tall, fill=BLUE, tint=0.3)
        pen.text(x, middle, channels, size=SMALL, bold=True)
        if index:
            before = bars[index - 1][0]
            pen.arrow((before + 18, middle), (x - 18, middle))
            pen.text((before + x) / 2, middle - 18, word, size=SMALL)
    pen.text(177, middle + 18, "3 × 3", size=SMALL)
    pen.text(282, middle + 18, "excite", size=SMALL)
    pen.arrow((32, middle - 18), (32, 34), (456, 34), (456, middle - 12), color=ORANGE)
    pen.arrow((434, middle), (446, middle))
    pen.dot(456, middle, 10, fill=CARD, edge=GRAY)
    pen.text(456, middle, "+", bold=True)
    pen.text(240, 22, "skip connection between the narrow ends", size=SMALL)
    pen.text(240, 226, "a bar's height: its channels", size=SMALL)
    return pen


def _bar(pen: Sketch, middle: float, y: float, width: float, words: object) -> None:
    pen.box(middle - width / 2, y, width, 20, fill=BLUE, tint=0.3)
    pen.text(middle, y + 10, words, size=SMALL, bold=True)
