"""The schematics of lesson 1. Every result in them is computed from the numbers beside it."""

from collections.abc import Sequence
from math import exp

from course_lib.anatomy import conv_output_size
from course_lib.plots.colors import BLUE, GRAY, GREEN, ORANGE, PURPLE
from course_lib.schematics.pen import CARD, INK, SMALL, Sketch

Table = Sequence[Sequence[float]]


def pixel_to_tensor() -> Sketch:
    picture = [[0, 30, 60, 30, 0], [30, 120, 220, 140, 30], [40, 160, 255, 180, 50], [0, 50, 90, 60, 0]]
    rows, columns, row, column, images, channels = len(picture), len(picture[0]), 1, 3, 2, 3
    shape = (images, channels, rows, columns)
    pixel = picture[row][column]
    pen = Sketch(
        "From one pixel to a batch",
        f"A gray picture as a table of {rows} rows and {columns} columns; the pixel in row {row}, column {column} is "
        f"the number {pixel}. A color picture is {channels} such tables, one per channel. {images} color pictures "
        f"make a batch, a tensor of shape {shape}: images, channels, rows, columns.",
        height=362,
    )
    left, top, cell = 78, 50, 34
    for r, numbers in enumerate(picture):
        for c, number in enumerate(numbers):
            x, y = left + c * cell, top + r * cell
            pen.box(x, y, cell, cell, fill=INK, tint=1 - number / 255, edge="none")
            pen.text(x + cell / 2, y + cell / 2, number, size=SMALL, color=CARD if number < 110 else INK)
    pen.grid(left, top, rows, columns, cell=cell)
    pen.box(left + column * cell, top + row * cell, cell, cell, edge=ORANGE, line=4)
    pen.text(left + columns * cell / 2, 22, f"W = {columns} columns")
    _bracket(pen, (left, top - 6), (left + columns * cell, top - 6))
    pen.text(34, 108, f"H = {rows}")
    pen.text(34, 127, "rows")
    _bracket(pen, (left - 6, top), (left - 6, top + rows * cell))
    pen.box(left, 199, 14, 14, edge=ORANGE, line=3)
    pen.text(left + 22, 206, f"row {row}, column {column}: {pixel}", anchor="start")
    pen.arrow((260, 118), (290, 118))
    for index, (color, letter) in reversed(list(enumerate(((ORANGE, "R"), (GREEN, "G"), (BLUE, "B"))))):
        x, y = 306 + 22 * index, 98 - 22 * index
        pen.box(x, y, 110, 88, fill=CARD, edge="none")
        pen.box(x, y, 110, 88, fill=color, tint=0.3, edge="none")
        pen.grid(x, y, rows, columns, cell=22)
        pen.text(x + 11, y + 11, letter, bold=True)
    pen.text(383, 22, f"C = {channels} channels")
    for index in range(images):
        for plane, color in reversed(list(enumerate((ORANGE, GREEN, BLUE)))):
            rectangle = (left + 92 * index + 9 * plane, 270 - 9 * plane, 60, 48)
            pen.box(*rectangle, fill=CARD, edge="none")
            pen.box(*rectangle, fill=color, tint=0.3)
    pen.text(left + 85, 340, f"N = {images} images")
    pen.arrow((260, 286), (290, 286))
    pen.text(319, 278, "(", size=24)
    for index, (size, axis) in enumerate(zip(shape, "NCHW", strict=True)):
        pen.text(336 + 32 * index, 278, size, size=24, bold=True)
        pen.text(336 + 32 * index, 306, axis, color=BLUE, bold=True)
        pen.text(336 + 32 * index + 15, 281, "," if index < 3 else ")", size=24)
    pen.text(384, 340, "the batch's shape")
    return pen


def one_window() -> Sketch:
    image = [[2, 1, 0, 3], [1, 4, 2, 0], [0, 4, 5, 1], [2, 0, 1, 6]]
    kernel = [[1, 0, -1], [2, 0, -2], [1, 0, -1]]
    output, (row, column) = _slide(image, kernel), (0, 1)
    window = [line[column : column + 3] for line in image[row : row + 3]]
    sums = [sum(a * b for a, b in zip(*pair, strict=True)) for pair in zip(window, kernel, strict=True)]
    pen = Sketch(
        "One window, one sum, one output pixel",
        f"A {_size(image)} input, in it a 3 by 3 window; a 3 by 3 kernel; a {_size(output)} output. Each of the "
        "window's nine numbers is multiplied by the kernel's number at the same position. The products of the three "
        f"rows add up to {_listed(sums)}, together {output[row][column]}, and that is the output pixel in row {row}, "
        f"column {column}.",
        height=340,
    )
    cell = 34
    lit = {(row + r, column + c) for r in range(3) for c in range(3)}
    for x, words in ((86, "input"), (250, "kernel"), (410, "output")):
        pen.text(x, 24, words, bold=True)
    pen.table(18, 42, image, cell=cell, fill=BLUE, lit=lit)
    pen.box(18 + column * cell, 42 + row * cell, 3 * cell, 3 * cell, edge=BLUE, line=3.5)
    pen.text(176, 93, "×", size=22)
    pen.table(199, 42, kernel, cell=cell)
    pen.arrow((316, 93), (360, 93))
    pen.text(337, 74, "sum")
    pen.table(376, 59, output, cell=cell, fill=ORANGE, lit={(row, column)})
    pen.box(376 + column * cell, 59 + row * cell, cell, cell, edge=ORANGE, line=3.5)
    for r, y in enumerate((214, 242, 270)):
        for c in range(3):
            x = 46 + 108 * c
            pen.text(x, y, window[r][c], color=BLUE, bold=True)
            pen.text(x + 19, y, "×")
            pen.text(x + 48, y, _signed(kernel[r][c]))
            pen.text(x + 80, y, "+" if c < 2 else "=")
        pen.text(390, y, sums[r], anchor="end")
    pen.line([(352, 288), (396, 288)], color=INK)
    pen.text(340, 310, "the output pixel", anchor="end")
    pen.box(356, 296, 40, 28, fill=ORANGE, tint=0.18, edge=ORANGE, line=2.5)
    pen.text(376, 310, output[row][column], bold=True)
    return pen


def descent_step() -> Sketch:
    def loss(w: float) -> float:
        return (2 * w - 6) ** 2

    start, rate = 1.0, 0.1
    gradient = 4 * (2 * start - 6)
    end = start - rate * gradient
    pen = Sketch(
        "One step down the loss",
        f"The loss (2w - 6) squared as a parabola over the weight w. At w = {start:g} the loss is {loss(start):g} and "
        f"the tangent falls by {-gradient:g} per unit of w: the gradient is {gradient:g}. One step at learning rate "
        f"{rate:g} moves the weight by {end - start:g} to w = {end:g}, where the loss is {loss(end):.2g}.",
        height=342,
    )

    def point(w: float, height: float) -> tuple[float, float]:
        return 60 + 76 * (w - 0.4), 280 - 10.5 * height

    pen.arrow(point(0.4, 0), point(5.8, 0), color=INK, line=1.5)
    pen.arrow(point(0.4, 0), point(0.4, 24.5), color=INK, line=1.5)
    pen.text(462, 300, "w", bold=True)
    pen.text(72, 18, "loss = (2w - 6)²", anchor="start", bold=True)
    pen.line([point(0.6 + 0.1 * i, loss(0.6 + 0.1 * i)) for i in range(49)], color=BLUE, line=3)
    tangent = [start - 0.4, start - loss(start) / gradient]
    pen.line([point(w, loss(start) + gradient * (w - start)) for w in tangent], color=ORANGE, line=2)
    for w in (start, end):
        pen.line([point(w, 0), point(w, loss(w))], dashed=True)
        pen.text(point(w, 0)[0], 298, f"{w:g}")
        pen.dot(*point(w, loss(w)), 6, fill=BLUE, edge=CARD)
    pen.line([point(0.4, loss(start)), point(start, loss(start))], dashed=True)
    pen.text(50, point(0, loss(start))[1], f"{loss(start):g}", anchor="end")
    pen.arrow((point(start, 0)[0], 316), (point(end, 0)[0], 316), color=ORANGE, line=3)
    pen.text(point(end, 0)[0] + 12, 318, f"step -{rate:g} × ({gradient:g}) = {end - start:g}", anchor="start")
    x = point(1.62, 0)[0]
    pen.text(x, 50, f"at w = {start:g} the loss is {loss(start):g}", anchor="start")
    pen.text(x, 72, f"the tangent falls {-gradient:g} per unit of w:", anchor="start")
    pen.text(x, 94, f"the gradient is {gradient:g}", anchor="start")
    pen.text(x + 32, 162, f"at w = {end:g}", anchor="start")
    pen.text(x + 32, 184, f"the loss is {loss(end):.2g}", anchor="start")
    pen.line([(x + 66, 198), (point(end, 0)[0] + 3, point(0, loss(end))[1] - 11)])
    return pen


def three_wirings() -> Sketch:
    inputs, width = 6, 3
    outputs = conv_output_size(inputs, width)
    counts = {"dense": inputs * outputs, "local": width * outputs, "shared": width}
    pen = Sketch(
        "Dense, local, shared",
        f"Three times the same {inputs} pixels in a row and {outputs} outputs below. Dense: every pixel is wired to "
        f"every output, {counts['dense']} weights. Local: each output reads {width} neighbors through weights of its "
        f"own, {counts['local']} weights. Shared: the same wires, but every output uses the same {width} weights, one "
        "color each.",
        height=262,
    )
    words = {
        "dense": ("every output reads", "every pixel"),
        "local": ("every output reads", f"{width} neighbors"),
        "shared": (f"the same {width} weights", "for every output"),
    }
    for (name, count), middle in zip(counts.items(), (82, 240, 398), strict=True):
        pen.text(middle, 24, name, bold=True)
        pen.text(middle, 46, f"{count} weights")
        above = [(middle + 24 * (i - (inputs - 1) / 2), 80) for i in range(inputs)]
        below = [(middle + 24 * (i - (outputs - 1) / 2), 182) for i in range(outputs)]
        for o, end in enumerate(below):
            for i, begin in enumerate(above):
                if name == "dense" or 0 <= i - o < width:
                    shared = name == "shared"
                    color = (BLUE, ORANGE, GREEN)[i - o] if shared else GRAY
                    pen.line([begin, end], color=color, line=2.5 if shared else 1)
        for x, y in above:
            pen.box(x - 9, y - 9, 18, 18, fill=CARD, edge=INK, line=1.5)
        for x, y in below:
            pen.dot(x, y, 9, fill=CARD, edge=INK)
        for line, y in zip(words[name], (216, 236), strict=True):
            pen.text(middle, y, line, size=SMALL)
    return pen


def padding_stride_dilation() -> Sketch:
    size, kernel = 5, 3
    sizes = [
        conv_output_size(size, kernel, padding=1),
        conv_output_size(size, kernel, stride=2),
        conv_output_size(size, kernel, dilation=2),
    ]
    pen = Sketch(
        "Padding, stride, dilation",
        f"Three {size} by {size} images under a {kernel} by {kernel} kernel. Padding 1 puts a border of zeros around "
        f"the image, and the output is {sizes[0]} by {sizes[0]}. Stride 2 moves the kernel two pixels at a time: "
        f"{sizes[1]} by {sizes[1]}. Dilation 2 spreads the kernel's nine readings, one pixel left out between them: "
        f"{sizes[2]} by {sizes[2]}.",
        height=282,
    )
    cell, top = 20, 78
    notes = [("a border", "of zeros"), ("moves two", "pixels at a time"), ("reads every", "second pixel")]
    for panel, (name, middle) in enumerate((("padding 1", 82), ("stride 2", 240), ("dilation 2", 398))):
        left = middle - size * cell / 2
        taps = {(r, c) for r in range(kernel) for c in range(kernel)}
        if panel == 0:
            for r in range(-1, size + 1):
                for c in range(-1, size + 1):
                    if r in (-1, size) or c in (-1, size):
                        pen.text(left + (c + 0.5) * cell, top + (r + 0.5) * cell, 0, size=SMALL, color=GRAY)
            pen.box(left - cell, top - cell, (size + 2) * cell, (size + 2) * cell, dashed=True)
            taps = {(r - 1, c - 1) for r, c in taps}
        elif panel == 2:
            taps = {(2 * r, 2 * c) for r, c in taps}
        for r, c in sorted(taps):
            pen.box(left + c * cell, top + r * cell, cell, cell, fill=BLUE, tint=0.4, edge="none")
        pen.grid(left, top, size, size, cell=cell)
        side = cell * (max(r for r, _ in taps) - min(taps)[0] + 1)
        pen.box(left + min(taps)[1] * cell, top + min(taps)[0] * cell, side, side, edge=BLUE, line=3)
        if panel == 1:
            pen.box(left + 2 * cell, top, 3 * cell, 3 * cell, fill=ORANGE, tint=0.2, edge=ORANGE, line=3, dashed=True)
            pen.arrow((left + 1.5 * cell, top - 13), (left + 3.5 * cell, top - 13), color=ORANGE)
        pen.text(middle, 24, name, bold=True)
        for line, y in zip(notes[panel], (214, 233), strict=True):
            pen.text(middle, y, line, size=SMALL)
        pen.text(middle, 260, f"{size} × {size} → {sizes[panel]} × {sizes[panel]}", bold=True)
    return pen


def filter_stack() -> Sketch:
    channels = [
        [[1, 0, 2], [0, 1, 1], [2, 1, 0]],
        [[0, 2, 1], [1, 0, 0], [1, 1, 2]],
        [[2, 1, 0], [1, 1, 0], [0, 2, 1]],
    ]
    tables = [[[1, 0], [0, -1]], [[0, 1], [1, 0]], [[-1, 0], [1, 1]]]
    bias = 1
    maps = [_slide(channel, table) for channel, table in zip(channels, tables, strict=True)]
    output = [[sum(m[r][c] for m in maps) + bias for c in range(2)] for r in range(2)]
    added = [m[0][0] for m in maps]
    pen = Sketch(
        "One filter over three channels",
        "Three input channels, each 3 by 3. One filter is a stack of three 2 by 2 tables and a bias. Each table slides "
        "over its own channel and gives a 2 by 2 map. The three maps are added, position by position, and the bias is "
        f"added once: one output map. In its upper left corner {_listed(added)} and the bias {bias} make "
        f"{output[0][0]}.",
        height=404,
    )
    for x, words in ((58, "3 channels"), (180, "1 filter"), (302, "3 maps"), (422, "1 output")):
        pen.text(x, 24, words, bold=True)
    pen.text(422, 43, "map", bold=True)
    pen.box(142, 46, 76, 340, fill=PURPLE, tint=0.12, edge=PURPLE, line=2, rounded=10)
    for index, color in enumerate((ORANGE, GREEN, BLUE)):
        middle = 98 + 100 * index
        pen.table(19, middle - 39, channels[index], cell=26, fill=color)
        pen.arrow((106, middle), (136, middle))
        pen.table(154, middle - 26, tables[index], cell=26, fill=color)
        pen.arrow((226, middle), (266, middle))
        pen.table(276, middle - 26, maps[index], cell=26, fill=color)
        if index:
            pen.text(302, middle - 50, "+", size=20)
        pen.box(276, middle - 26, 26, 26, edge=INK, line=2.5)
        pen.line([(338, middle), (358, middle)])
    pen.line([(358, 98), (358, 298)])
    pen.arrow((358, 198), (388, 198))
    pen.table(396, 172, output, cell=26, fill=PURPLE, tint=0.25, bold=True)
    pen.box(396, 172, 26, 26, edge=INK, line=2.5)
    pen.text(180, 364, f"bias {bias}")
    pen.arrow((218, 364), (422, 364), (422, 232), color=PURPLE)
    pen.text(312, 349, f"+ {bias} at every position", size=SMALL)
    framed = " + ".join(map(str, (*added, bias)))
    pen.text(340, 386, f"framed: {framed} = {output[0][0]}")
    return pen


def receptive_field() -> Sketch:
    steps = [("convolution,", "3 wide", 3, 1), ("pooling,", "2 wide", 2, 2), ("convolution,", "3 wide", 3, 1)]
    cell, lengths, sees, pitches, begins = 24, [10], [1], [24.0], [240 - 10 * 24 / 2 + 24 / 2]
    for _, _, kernel, stride in steps:
        lengths.append((lengths[-1] - kernel) // stride + 1)
        sees.append(sees[-1] + (kernel - 1) * round(pitches[-1] / cell))
        begins.append(begins[-1] + pitches[-1] * (kernel - 1) / 2)
        pitches.append(pitches[-1] * stride)
    lit = [1]
    for _, _, kernel, stride in reversed(steps):
        lit.insert(0, (lit[0] - 1) * stride + kernel)
    pen = Sketch(
        "The receptive field grows",
        f"Four rows of squares, one above the other: {lengths[0]} pixels of the image, {lengths[1]} outputs of a "
        f"convolution 3 wide, {lengths[2]} of a pooling 2 wide, {lengths[3]} of a second convolution 3 wide. Each "
        f"output sees {sees[1]}, {sees[2]} and {sees[3]} pixels of the image. The second convolution adds "
        f"{sees[3] - sees[2]}, the first only {sees[1] - sees[0]}, because the inputs of the second lie "
        f"{pitches[2] / cell:g} pixels apart.",
        height=326,
    )
    ends: list[tuple[float, float]] = []
    for level, (length, begin, pitch) in enumerate(zip(lengths, begins, pitches, strict=True)):
        y = 256 - 74 * level
        for index in range(length):
            fill, tint = (ORANGE, 0.45) if index < lit[level] else (CARD, 1)
            pen.box(begin + index * pitch - 11, y, 22, 22, fill=fill, tint=tint, line=1.2)
        ends.append((begin - 11, begin + (lit[level] - 1) * pitch + 11))
        pen.text(468, y + 11, f"each sees {sees[level]}" if level else "the image", anchor="end")
        if level:
            for lower, upper in zip(*ends[-2:], strict=True):
                pen.line([(upper, y + 24), (lower, y + 72)], color=ORANGE)
            for line, below in zip(steps[level - 1], (40, 58), strict=False):
                pen.text(12, y + below, line, size=SMALL, anchor="start")
    pen.text(240, 302, f"orange: the {sees[3]} pixels behind the first output at the top")
    return pen


def network_strip() -> Sketch:
    side, channels = 32, [1, 8, 16, 32]
    sides = [side]
    for _ in channels[1:]:
        sides.append(conv_output_size(conv_output_size(sides[-1], 3, padding=1), 2, stride=2))
    logits = (-0.6, 1.4)
    probabilities = [exp(logit) / sum(map(exp, logits)) for logit in logits]
    shapes = [f"{c} × {s} × {s}" for c, s in zip(channels, sides, strict=True)]
    pen = Sketch(
        "A small network, block by block",
        f"An image of shape {shapes[0]} passes three blocks, each a 3 by 3 convolution, ReLU and a 2 by 2 pooling: "
        f"{shapes[1]}, {shapes[2]}, {shapes[3]}. The maps grow in number and shrink in size. Their means are "
        f"{channels[-1]} numbers; a dense layer turns them into two logits, {logits[0]} and {logits[1]}; softmax "
        f"turns these into the probabilities {probabilities[0]:.2f} and {probabilities[1]:.2f}.",
        height=350,
    )
    pen.text(240, 24, "a block: convolution 3 × 3, ReLU, pooling 2 × 2")
    x = pen.blocks(16, 136, ((76, 0), (50, 16), (36, 28), (26, 46)), shapes=shapes, steps=["block"] * 3)
    pen.arrow((x - 36, 170), (x - 36, 190), (26, 190), (26, 262), (130, 262))
    pen.text(78, 246, "mean of", size=SMALL)
    pen.text(78, 280, "each map", size=SMALL)
    pen.box(140, 214, 16, 96, fill=GREEN, tint=0.3)
    for index in range(1, channels[-1]):
        pen.line([(140, 214 + 3 * index), (156, 214 + 3 * index)], line=0.5)
    pen.text(148, 330, f"{channels[-1]} means", size=SMALL)
    pen.arrow((166, 262), (230, 262))
    pen.text(196, 246, "dense", size=SMALL)
    pen.arrow((302, 262), (372, 262))
    pen.text(335, 246, "softmax", size=SMALL)
    for x, numbers, words, color in (
        (240, logits, "2 logits", PURPLE),
        (382, probabilities, "2 probabilities", ORANGE),
    ):
        for y, number in zip((231, 263), numbers, strict=True):
            pen.box(x, y, 52, 30, fill=color, tint=0.2)
            pen.text(x + 26, y + 15, f"{number:.2g}", bold=True)
        pen.text(x + 26, 330, words, size=SMALL)
    return pen


def _slide(image: Table, kernel: Table) -> list[list[float]]:
    """What a kernel finds at every position where it fits."""
    across, down = len(kernel[0]), len(kernel)
    return [
        [
            sum(kernel[r][c] * image[top + r][left + c] for r in range(down) for c in range(across))
            for left in range(len(image[0]) - across + 1)
        ]
        for top in range(len(image) - down + 1)
    ]


def _bracket(pen: Sketch, begin: tuple[float, float], end: tuple[float, float]) -> None:
    pen.arrow(begin, end, line=1.2)
    pen.arrow(end, begin, line=1.2)


def _size(table: Table) -> str:
    return f"{len(table)} by {len(table[0])}"


def _listed(numbers: Sequence[float]) -> str:
    return ", ".join(f"{number:g}" for number in numbers[:-1]) + f" and {numbers[-1]:g}"


def _signed(number: float) -> str:
    return f"({number:g})" if number < 0 else f"{number:g}"
