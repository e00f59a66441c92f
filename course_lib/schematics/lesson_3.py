"""The schematics of lesson 3. What can be computed in them is computed: the cycle, the formats, the rates."""

import math

import torch

from course_lib.metrics import predictive_values
from course_lib.plots.colors import BLUE, GRAY, GREEN, ORANGE, PURPLE
from course_lib.schematics.pen import CARD, INK, SMALL, Sketch

FORMATS = {"float32": (8, 23), "TF32": (8, 10), "bfloat16": (8, 7), "float16": (5, 10)}  # bits of exponent, fraction
CHILDREN, SICK, SENSITIVITY, SPECIFICITY = 1000, 50, 0.93, 0.91


def one_epoch() -> Sketch:
    rows = {
        "training": (BLUE, ["clear", "predict", "measure", "gradients", "step"]),
        "validation": (GREEN, ["predict", "measure"]),
    }
    pen = Sketch(
        "One epoch: a training pass and a validation pass",
        "Two rows of boxes. Training, in training mode, for each batch of the training images: clear, predict, "
        "measure, gradients, step; then the next batch, while books add up the loss. Validation, in evaluation mode "
        "and with no_grad, for each batch of the validation images: predict, measure. The losses of both are written "
        "down, and the next epoch begins.",
        height=300,
    )
    modes = ("model.train()", "model.eval(), no_grad()")
    for row, (name, (color, steps)) in enumerate(rows.items()):
        y = 34 + 134 * row
        pen.text(16, y - 14, name, anchor="start", bold=True)
        pen.text(464, y - 14, modes[row], anchor="end", size=SMALL)
        for index, step in enumerate(steps):
            x = 16 + 91 * (index if row == 0 else index + 1)
            pen.box(x, y, 80, 38, fill=color, tint=0.22, rounded=6)
            pen.text(x + 40, y + 19, step, size=SMALL)
            if index:
                pen.arrow((x - 10, y + 19), (x - 1, y + 19))
        right, left = (420, 56) if row == 0 else (238, 147)
        pen.arrow((right, y + 40), (right, y + 60), (left, y + 60), (left, y + 42), color=INK)
        pen.text((right + left) / 2, y + 74, "the next batch, until all images were seen", size=SMALL)
    pen.line([(16, 130), (464, 130)], line=1, dashed=True)
    pen.text(240, 268, "after both, note two losses; then the next epoch", bold=True)
    return pen


def one_cycle() -> Sketch:
    rate, beta = _cycle()
    peak = rate.index(max(rate))
    pen = Sketch(
        "The one-cycle schedule",
        f"Two curves over the steps of a training. The learning rate starts at a twenty-fifth of its peak, rises for "
        f"the first {peak / (len(rate) - 1):.0%} of the steps, and falls to nearly nothing. Momentum does the reverse: "
        f"{max(beta):.2f}, down to {min(beta):.2f} at the peak, and back to {max(beta):.2f}.",
        height=250,
    )
    left, right, base, tall = 40, 464, 196, 150
    across = [left + (right - left) * index / (len(rate) - 1) for index in range(len(rate))]
    pen.line([(left, base - tall - 16), (left, base), (right, base)], line=1)
    pen.line([(x, base - tall * value / max(rate)) for x, value in zip(across, rate, strict=True)], color=BLUE, line=3)
    low, high = min(beta), max(beta)
    path = [
        (x, base - tall * (0.1 + 0.6 * (value - low) / (high - low))) for x, value in zip(across, beta, strict=True)
    ]
    pen.line(path, color=ORANGE, line=3, dashed=True)
    pen.line([(across[peak], base), (across[peak], base - tall)], dashed=True)
    pen.text(across[peak] + 6, base - tall - 12, "peak", anchor="start", size=SMALL)
    pen.text(232, base - 140, "learning rate", anchor="start", color=BLUE, bold=True)
    pen.text(right, base - tall * 0.7 - 16, f"momentum {low:.2f} to {high:.2f}", anchor="end", size=SMALL)
    pen.text(left, base + 18, "first step", anchor="start", size=SMALL)
    pen.text(right, base + 18, "last step", anchor="end", size=SMALL)
    pen.text(252, base + 40, "low at first, and low again so that averages catch up", size=SMALL)
    return pen


def cpu_and_gpu() -> Sketch:
    pen = Sketch(
        "Python hands over, the GPU works",
        "Two timelines, each with a row for Python and one for the GPU. Above, without item: Python hands over steps "
        "1, 2 and 3 in short boxes one after the other, and the GPU works without a gap. Below, with item after each "
        "step: Python hands over a step and waits for its result; the GPU has gaps while Python prepares the next.",
        height=300,
    )
    for top, title, waits in ((40, "no .item() in the loop", False), (180, ".item() after each step", True)):
        pen.text(16, top - 18, title, anchor="start", bold=True)
        for row, name in enumerate(("Python", "GPU")):
            pen.text(16, top + 22 + 46 * row, name, anchor="start", size=SMALL)
        for step in range(3):
            start = 80 + (130 if waits else 46) * step
            works = start + 30 if waits else 110 + 90 * step
            pen.box(start, top + 4, 40, 34, fill=BLUE, tint=0.4)
            pen.text(start + 20, top + 21, step + 1, size=SMALL)
            pen.box(works, top + 50, 86, 34, fill=ORANGE, tint=0.4)
            pen.text(works + 43, top + 67, step + 1, size=SMALL)
            if waits:
                pen.box(start + 42, top + 4, 74, 34, dashed=True)
                pen.text(start + 79, top + 21, "waits", size=SMALL)
    pen.line([(16, 142), (464, 142)], line=1, dashed=True)
    pen.arrow((80, 286), (464, 286))
    pen.text(16, 286, "time", anchor="start", size=SMALL)
    return pen


def number_formats() -> Sketch:
    largest = {name: 2.0 ** (2 ** (e - 1) - 1) * (2 - 2.0**-f) for name, (e, f) in FORMATS.items()}
    layouts = "; ".join(f"{name}: 1 sign bit, {e} of exponent, {f} of fraction" for name, (e, f) in FORMATS.items())
    pen = Sketch(
        "Four number formats, bit by bit",
        f"Four rows of bits. {layouts}. The exponent sets the range: up to about 3e38 with 8 bits, 65,504 with 5.",
        height=262,
    )
    width = 9.4
    for row, (name, (exponent, fraction)) in enumerate(FORMATS.items()):
        y, x = 40 + 52 * row, 84.0
        pen.text(76, y + 13, name, anchor="end", bold=True)
        for color, bits in ((GRAY, 1), (ORANGE, exponent), (BLUE, fraction)):
            for _ in range(bits):
                pen.box(x, y, width, 26, fill=color, tint=0.5, line=0.7)
                x += width
        limit = f"{largest[name]:,.0f}" if largest[name] < 1e6 else f"{largest[name]:.0e}".replace("e+", "e")
        beside = (x + 8, y + 13, "start") if row else (84 + 32 * width, y - 14, "end")  # the longest has no room
        pen.text(beside[0], beside[1], f"up to {limit}", anchor=beside[2])
    for x, color, word in ((84, GRAY, "sign"), (150, ORANGE, "exponent: range"), (300, BLUE, "fraction: digits")):
        pen.box(x, 242, 12, 12, fill=color, tint=0.5)
        pen.text(x + 18, 248, word, anchor="start", size=SMALL)
    return pen


def checkpointing() -> Sketch:
    pen = Sketch(
        "Activation checkpointing",
        "Two rows of five blocks. Above, as usual: all of each block's activations are kept until the backward pass "
        "has used them. Below, with checkpointing: only each block's input is kept, the rest is dropped, and the "
        "backward pass, from the last block to the first, computes it a second time, one block at a time.",
        height=292,
    )
    for top, title, kept in (
        (44, "as usual: everything is kept", True),
        (162, "checkpointing: only inputs are kept", False),
    ):
        pen.text(16, top - 22, title, anchor="start", bold=True)
        for block in range(5):
            x = 16 + 91 * block
            pen.box(x, top, 84, 60, fill=CARD, rounded=6)
            for part in range(4):
                held = kept or part == 0
                fill = BLUE if held else CARD
                pen.box(x + 8 + 18 * part, top + 22, 14, 30, fill=fill, tint=0.6, edge=GRAY, dashed=not held)
            pen.text(x + 42, top + 11, f"block {block + 1}", size=SMALL)
    pen.arrow((464, 238), (16, 238), color=ORANGE)
    pen.text(240, 256, "backward pass: block by block, each computed a second time", size=SMALL)
    pen.text(240, 276, "filled: kept in memory; dashed: dropped", size=SMALL)
    return pen


def roc_and_threshold() -> Sketch:
    points = [_rates(threshold) for threshold in (1.4, 0.0, -1.4)]
    summary = ", ".join(f"{sensitivity:.0%} found and {alarms:.0%} false alarms" for alarms, sensitivity in points)
    pen = Sketch(
        "A threshold, and its point on the ROC curve",
        "Left, two hills of scores, one of the healthy and one of the sick, which overlap, and three thresholds, high, "
        "middle and low. Right, the ROC curve with a point for each threshold, from lower left to upper right: "
        f"{summary}.",
        height=270,
    )
    base, names = 196, "ABC"
    for middle, color, word in ((-1.1, BLUE, "healthy"), (1.1, ORANGE, "sick")):
        hill = [(x / 20, 90 * math.exp(-((x / 20 - middle) ** 2) / 2)) for x in range(-72, 73)]
        pen.line([(124 + 30 * x, base - y) for x, y in hill], color=color, line=2.5)
        pen.text(124 + 46 * middle, base - 106, word, bold=True)
    pen.arrow((16, base), (232, base))
    pen.text(124, base + 40, "score", size=SMALL)
    for name, threshold in zip(names, (1.4, 0.0, -1.4), strict=True):
        pen.line([(124 + 30 * threshold, base - 88), (124 + 30 * threshold, base + 4)], color=INK, dashed=True)
        pen.text(124 + 30 * threshold, base + 18, name, bold=True)
    left, side = 288, 172
    pen.box(left, base - side, side, side)
    pen.line([(left, base), (left + side, base - side)], dashed=True)
    curve = [_rates(threshold / 10) for threshold in range(50, -51, -1)]
    pen.line([(left + side * x, base - side * y) for x, y in curve], color=PURPLE, line=2.5)
    for name, (alarms, sensitivity) in zip(names, points, strict=True):
        pen.dot(left + side * alarms, base - side * sensitivity, 5, fill=INK)
        pen.text(left + side * alarms + 14, base - side * sensitivity + 14, name, bold=True)
    pen.text(left + side / 2, base + 18, "false alarms", size=SMALL)
    pen.text(left + side / 2, base + 38, "up: sick who are found", size=SMALL)
    pen.text(240, 256, "a lower threshold: more found, more false alarms", size=SMALL)
    return pen


def thousand_children() -> Sketch:
    hits, missed = round(SICK * SENSITIVITY), SICK - round(SICK * SENSITIVITY)
    alarms = round((CHILDREN - SICK) * (1 - SPECIFICITY))
    exact, _ = predictive_values(SENSITIVITY, SPECIFICITY, SICK / CHILDREN)
    pen = Sketch(
        f"{CHILDREN:,} children, {SICK} of them sick",
        f"A grid of {CHILDREN:,} cells, one per child. {hits} of the {SICK} sick are found, {missed} are missed. "
        f"{alarms} healthy children are predicted sick, all others not. Of {hits + alarms} predicted sick, {hits} "
        f"are sick, {exact:.2f}.",
        height=310,
    )
    kinds = [(ORANGE, 0.75, hits), (ORANGE, 0.3, missed), (BLUE, 0.75, alarms), (BLUE, 0.1, CHILDREN - SICK - alarms)]
    words = ("sick, predicted sick", "sick, missed", "healthy, predicted sick", "healthy, predicted healthy")
    first = 0
    for index, ((color, tint, count), word) in enumerate(zip(kinds, words, strict=True)):
        for column in range(first // 20, (first + count - 1) // 20 + 1):
            begin, end = max(first, 20 * column), min(first + count, 20 * column + 20)
            pen.box(15 + 9 * column, 18 + 9 * (begin % 20), 9, 9 * (end - begin), fill=color, tint=tint, edge="none")
        first += count
        x, y = 16 + 216 * (index % 2), 220 + 24 * (index // 2)
        pen.box(x, y, 12, 12, fill=color, tint=tint)
        pen.text(x + 18, y + 6, f"{count} {word}", anchor="start", size=SMALL)
    pen.grid(15, 18, 20, 50, cell=9)
    pen.text(240, 288, f"predicted sick: {hits + alarms}; of these sick: {hits}, or {exact:.2f}", bold=True)
    return pen


def copies_or_slices() -> Sketch:
    pen = Sketch(
        "DDP keeps copies, FSDP2 keeps slices",
        "Two processes, twice. With DDP each process holds all four parts of weights, gradients and optimizer state, "
        "and the two exchange the mean of their gradients. With FSDP2 each holds two of the four parts of everything, "
        "and the two exchange weights before each layer and gradients after it.",
        height=292,
    )
    for side, (title, exchange) in enumerate((("DDP: copies", "gradients"), ("FSDP2: slices", "weights, gradients"))):
        left = 16 + 236 * side
        pen.text(left + 106, 22, title, bold=True)
        for process in range(2):
            y = 44 + 122 * process
            pen.box(left, y, 212, 86, fill=CARD, rounded=6)
            pen.text(left + 106, y + 13, f"process {process + 1}", size=SMALL)
            for row, (name, color) in enumerate((("weights", BLUE), ("gradients", ORANGE), ("optimizer", GREEN))):
                pen.text(left + 8, y + 34 + 20 * row, name, anchor="start", size=SMALL)
                for part in range(4):
                    held = side == 0 or part // 2 == process
                    fill = color if held else CARD
                    pen.box(left + 84 + 30 * part, y + 26 + 20 * row, 26, 15, fill=fill, tint=0.5, dashed=not held)
        pen.arrow((left + 30, 132), (left + 30, 164), color=INK)
        pen.arrow((left + 50, 164), (left + 50, 132), color=INK)
        pen.text(left + 62, 148, exchange, anchor="start", size=SMALL)
    pen.text(240, 276, "each process works on its own part of every batch", size=SMALL)
    return pen


def _cycle(steps: int = 60) -> tuple[list[float], list[float]]:
    """Learning rate and first beta of AdamW at each step, from torch's own schedule."""
    optimizer = torch.optim.AdamW([torch.nn.Parameter(torch.zeros(1))], lr=1)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=1, total_steps=steps, pct_start=0.25)
    rates, betas = [], []
    for step in range(steps):
        rates.append(float(optimizer.param_groups[0]["lr"]))
        betas.append(float(optimizer.param_groups[0]["betas"][0]))
        optimizer.step()
        if step < steps - 1:
            schedule.step()
    return rates, betas


def _rates(threshold: float) -> tuple[float, float]:
    """False alarms and found of scores that are normal, healthy around -1.1 and sick around 1.1."""

    def above(middle: float) -> float:
        return 0.5 * math.erfc((threshold - middle) / math.sqrt(2))

    return above(-1.1), above(1.1)
