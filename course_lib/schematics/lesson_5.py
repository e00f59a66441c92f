"""The schematics of lesson 5. Stages and rates are those of the lesson's own network and recipe."""

from course_lib.plots.colors import BLUE, GRAY, GREEN, ORANGE
from course_lib.schematics.pen import CARD, INK, SMALL, Sketch

STAGES = ("stem", *(f"stage {number}" for number in range(1, 9)), "head")  # of EfficientNet-Lite0
DECAY = 0.7


def freeze_and_new_head() -> Sketch:
    pen = Sketch(
        "Freeze, and a new head",
        "Two rows. Above, the network as it was trained: a stem, four stages, and a head with 1,000 logits. "
        "Below, the same network with all of these in gray, locked, and the head exchanged for a new one with 10 "
        "logits, in orange, which learns.",
        height=260,
    )
    names = ("stem", "stage 1", "stage 2", "stage 3", "stage 4")
    for top, title, frozen in ((44, "trained on ImageNet", False), (158, "yours", True)):
        pen.text(16, top - 20, title, anchor="start", bold=True)
        for index, name in enumerate(names):
            x = 16 + 74 * index
            pen.box(x, top, 64, 46, fill=GRAY if frozen else BLUE, tint=0.22, rounded=6)
            pen.text(x + 32, top + 23, name, size=SMALL)
            pen.arrow((x + 64, top + 23), (x + 74, top + 23), line=1.5)
            if frozen:
                pen.box(x + 50, top - 8, 12, 10, fill=INK, tint=0.75, edge="none", rounded=2)  # a padlock
                pen.line([(x + 52, top - 8), (x + 52, top - 13), (x + 60, top - 13), (x + 60, top - 8)], color=INK)
        x = 16 + 74 * len(names)
        pen.box(x, top, 80, 46, fill=ORANGE if frozen else BLUE, tint=0.3, rounded=6)
        pen.text(x + 40, top + 14, "new head" if frozen else "head", size=SMALL)
        pen.text(x + 40, top + 33, "10" if frozen else "1,000", size=SMALL)
    pen.arrow((426, 98), (426, 150), color=ORANGE)
    pen.text(16, 236, "locks: requires_grad = False, so no optimizer moves them", anchor="start", size=SMALL)
    return pen


def features_once() -> Sketch:
    pen = Sketch(
        "Features once, then only the head",
        "Left, images go once through a large gray box, the frozen backbone. The result is a table, a row of features "
        "per image, which is kept. Right, a small orange box, the head, reads the table again and again, with an arrow "
        "that returns from its end to its beginning, marked: every epoch.",
        height=210,
    )
    for index in range(3):
        pen.box(16 + 6 * index, 66 + 6 * index, 44, 44, fill=BLUE, tint=0.25)
    pen.text(44, 140, "images", size=SMALL)
    pen.arrow((78, 94), (104, 94))
    pen.box(108, 46, 110, 96, fill=GRAY, tint=0.25, rounded=6)
    pen.text(163, 84, "backbone", bold=True)
    pen.text(163, 106, "frozen", size=SMALL)
    pen.arrow((222, 94), (248, 94))
    for row in range(6):
        for column in range(5):
            pen.box(254 + 14 * column, 52 + 14 * row, 14, 14, fill=GREEN, tint=0.12 + 0.1 * ((3 * row + column) % 5))
    pen.text(289, 154, "features, kept", size=SMALL)
    pen.arrow((330, 94), (364, 94))
    pen.box(368, 66, 84, 56, fill=ORANGE, tint=0.3, rounded=6)
    pen.text(410, 94, "head", bold=True)
    pen.arrow((410, 62), (410, 30), (289, 30), (289, 48), color=ORANGE)
    pen.text(350, 18, "every epoch", size=SMALL)
    pen.text(163, 180, "one pass", bold=True)
    pen.text(350, 180, "many passes, all cheap", size=SMALL)
    return pen


def read_it_sideways() -> Sketch:
    pen = Sketch(
        "Read it sideways",
        "Two rising curves of accuracy against the number of labels on a logarithmic axis, one above the other. A "
        "vertical arrow between them at one number of labels is marked: more accuracy. A horizontal orange "
        "arrow from the lower curve to the upper one at one height is marked: the same accuracy, fewer labels.",
        height=270,
    )
    left, right, base = 52, 452, 216
    upper = [(left + 400 * x / 40, base - 60 - 120 * (x / 40) ** 0.8) for x in range(41)]
    lower = [(left + 400 * x / 40, base - 14 - 72 * (x / 40) ** 1.4) for x in range(41)]
    pen.line([(left, 20), (left, base), (right, base)], line=1)
    pen.line(upper, color=BLUE, line=3)
    pen.line(lower, color=GRAY, line=3, dashed=True)
    at, height = lower[-2]
    reached = min(upper, key=lambda point: abs(point[1] - height))[0]
    pen.arrow((at, height), (reached + 5, height), color=ORANGE, line=3)
    for row, words in enumerate(("the same accuracy,", "fewer labels")):
        pen.text(192, height + 17 + 19 * row, words, bold=True)
    middle = 22
    pen.arrow((upper[middle][0], height - 10), (upper[middle][0], upper[middle][1] + 4), color=INK, line=1.5)
    pen.text(upper[middle][0] + 8, (height + upper[middle][1]) / 2, "more accuracy", anchor="start", size=SMALL)
    pen.text(170, 62, "borrowed features", bold=True, color=BLUE)
    pen.text(340, base - 18, "pixels", bold=True)
    for step, word in enumerate(("few", "4 times", "16 times", "64 times")):
        pen.text(left + 20 + 120 * step, base + 18, word, size=SMALL)
    pen.text(252, base + 40, "labeled images", size=SMALL)
    pen.text(16, 14, "accuracy", anchor="start", size=SMALL)
    return pen


def rates_per_stage() -> Sketch:
    rates = [DECAY**depth for depth in range(len(STAGES))][::-1]
    pen = Sketch(
        "A learning rate per stage",
        f"Ten bars from the stem over eight stages to the head, each the learning rate of its part. The head's is the "
        f"highest, and each part before it has {DECAY} of the next one's, so that the stem learns at {rates[0]:.2f} of "
        "the head's rate.",
        height=230,
    )
    base, wide = 172, 46
    for index, (name, rate) in enumerate(zip(STAGES, rates, strict=True)):
        x = 10 + wide * index
        pen.box(x + 5, base - 130 * rate, wide - 10, 130 * rate, fill=ORANGE if name == "head" else BLUE, tint=0.4)
        pen.text(x + wide / 2, base - 130 * rate - 12, f"{rate:.2f}", size=SMALL)
        pen.text(x + wide / 2, base + 16, name.replace("stage ", ""), size=SMALL)
    pen.box(10, base, 460, 0.5, fill=CARD)
    pen.text(240, base + 40, "stages; learning rate as a fraction of the head's", size=SMALL)
    return pen
