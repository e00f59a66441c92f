"""The schematics of lesson 6. The numbers in them are drawn from small sums that a reader can do."""

from course_lib.plots.colors import BLUE, GRAY, GREEN, ORANGE
from course_lib.schematics.pen import CARD, INK, SMALL, Sketch

WITH, WITHOUT = 4.5, -2.5  # log-odds of the patient of `twin_patients`
MAPS, WEIGHTS = (((2, 0), (0, 1)), ((0, 1), (3, 0)), ((1, 1), (0, 0))), (1, 2, -3)


def twin_patients() -> Sketch:
    pen = Sketch(
        "The same patient with and without an opacity",
        f"Two drawings of one chest, left with an opacity in a lung, right without it, all else the same. Below each "
        f"stands the network's answer in log-odds, {WITH:g} and {WITHOUT:g}, and an arrow between them says what the "
        f"opacity is worth: {WITH - WITHOUT:g}.",
        height=262,
    )
    for index, (title, answer) in enumerate((("with", WITH), ("without", WITHOUT))):
        x = 40 + 250 * index
        pen.text(x + 75, 20, title, bold=True)
        pen.box(x, 36, 150, 140, fill=GRAY, tint=0.35, rounded=8)
        for lung in (x + 18, x + 86):
            pen.box(lung, 52, 46, 100, fill=CARD, rounded=20)
        if index == 0:
            pen.dot(x + 110, 122, 17, fill=ORANGE, tint=0.7)
        pen.text(x + 75, 196, f"log\u2010odds {answer:g}")
    pen.text(240, 100, "take away", size=SMALL)
    pen.arrow((204, 116), (276, 116))
    pen.arrow((115, 212), (115, 228), (365, 228), (365, 212), color=INK)
    pen.text(240, 246, f"what it is worth: {WITH:g} - ({WITHOUT:g}) = {WITH - WITHOUT:g}", bold=True)
    return pen


def a_hook() -> Sketch:
    pen = Sketch(
        "A hook on a layer",
        "Four blocks in a row, from the image to the answer. A dashed line leads from the output of the third block "
        "down to a list, in which a copy of its maps is kept. The forward pass itself goes on as before.",
        height=190,
    )
    pen.text(26, 60, "image", size=SMALL)
    for block in range(4):
        x = 68 + 90 * block
        pen.box(x, 40, 66, 40, fill=BLUE, tint=0.22, rounded=6)
        pen.text(x + 33, 60, f"block {block + 1}", size=SMALL)
        pen.arrow((x - 16, 60), (x - 2, 60))
    pen.arrow((406, 60), (422, 60))
    pen.text(450, 60, "answer", size=SMALL)
    pen.line([(322, 60), (322, 110)], color=ORANGE, dashed=True)
    pen.arrow((322, 110), (322, 124), color=ORANGE)
    pen.text(312, 100, "hook: copies what passes", anchor="end", size=SMALL)
    pen.box(240, 126, 168, 34, fill=ORANGE, tint=0.22)
    pen.text(322, 143, "kept = [maps]")
    pen.text(240, 176, "remove it afterward, whatever happens", size=SMALL)
    return pen


def two_baselines() -> Sketch:
    pen = Sketch(
        "Integrated gradients from two baselines",
        "Two paths of five dots lead to the same image, one from a black picture, one from a blurred copy. At each dot "
        "the gradient is taken. The path from black is much longer than that from the blurred copy, so the values "
        "along it add up to another number.",
        height=214,
    )
    for y, name, start, color in ((56, "black", 96, BLUE), (156, "blurred", 236, ORANGE)):
        end = 380
        pen.box(start - 56, y - 28, 56, 56, fill=INK if name == "black" else GRAY, tint=1 if name == "black" else 0.4)
        pen.text(start - 28, y + 42, name, size=SMALL)
        pen.arrow((start + 6, y), (end, 106), color=color)
        for step in range(5):
            part = (step + 0.5) / 5
            pen.dot(start + 6 + part * (end - start - 6), y + part * (106 - y), 5, fill=color)
    pen.box(384, 76, 60, 60, fill=GRAY, tint=0.35)
    pen.dot(426, 118, 9, fill=ORANGE, tint=0.7)
    pen.text(414, 152, "the image", size=SMALL)
    pen.text(464, 24, "a gradient at each dot,", anchor="end", size=SMALL)
    pen.text(464, 42, "times the way to the next", anchor="end", size=SMALL)
    return pen


def weighted_sum() -> Sketch:
    weights = ", ".join(map(str, WEIGHTS))
    total = [[sum(w * m[r][c] for w, m in zip(WEIGHTS, MAPS, strict=True)) for c in range(2)] for r in range(2)]
    kept = [[max(number, 0) for number in row] for row in total]
    pen = Sketch(
        "A weighted sum of maps",
        f"Three maps of two by two numbers, with weights {weights}. Their weighted sum is the "
        f"class activation map {total[0]} and {total[1]}. With negative values cut off it is the Grad-CAM map "
        f"{kept[0]} and {kept[1]}, which is then enlarged to the size of the image.",
        height=232,
    )
    for index, (numbers, weight) in enumerate(zip(MAPS, WEIGHTS, strict=True)):
        x = 40 + 112 * index
        sign = "-" if weight < 0 else "+" if index else ""
        pen.text(x - 22, 50, f"{sign} {abs(weight)} ·".strip(), bold=True)
        pen.table(x, 16, numbers, cell=34, fill=BLUE)
        pen.text(x + 34, 98, f"map {index + 1}", size=SMALL)
    for row, words in enumerate(("weights: of the", "dense layer, or", "mean gradients")):
        pen.text(468, 36 + 18 * row, words, anchor="end", size=SMALL)
    pen.text(20, 162, "=", bold=True)
    pen.table(40, 128, total, cell=34, fill=GREEN)
    pen.text(74, 210, "signed: adds up", size=SMALL)
    pen.arrow((124, 162), (226, 162))
    pen.text(175, 146, "cut at 0", size=SMALL)
    pen.table(234, 128, kept, cell=34, fill=ORANGE)
    pen.text(268, 210, "Grad\u2010CAM", size=SMALL)
    pen.arrow((310, 162), (372, 162))
    pen.text(341, 146, "enlarge", size=SMALL)
    pen.box(378, 118, 88, 88, fill=ORANGE, tint=0.3)
    pen.text(422, 162, "image", size=SMALL)
    return pen


def shortcut() -> Sketch:
    pen = Sketch(
        "A shortcut as a graph",
        "The hospital points to the letter on the film and to the patients it treats, who are mostly sick or mostly "
        "healthy. The disease points to the fluid in the lung. Letter and fluid both point to the film, and the film "
        "to the network. The network can read either of the two.",
        height=216,
    )
    boxes = {
        "hospital": (20, 24, GRAY),
        "disease": (20, 150, GRAY),
        "letter": (176, 24, ORANGE),
        "fluid": (176, 150, BLUE),
        "film": (300, 87, GRAY),
        "network": (392, 87, GREEN),
    }
    for name, (x, y, color) in boxes.items():
        pen.box(x, y, 76, 36, fill=color, tint=0.22, rounded=6)
        pen.text(x + 38, y + 18, name)
    pen.arrow((96, 42), (174, 42))
    pen.text(134, 28, "adds", size=SMALL)
    pen.arrow((58, 62), (58, 148))
    pen.text(66, 104, "whom it treats", anchor="start", size=SMALL)
    pen.arrow((96, 168), (174, 168))
    pen.text(134, 186, "causes", size=SMALL)
    pen.arrow((252, 42), (326, 85), color=ORANGE)
    pen.arrow((252, 168), (326, 125), color=BLUE)
    pen.arrow((376, 105), (390, 105))
    return pen


def roar() -> Sketch:
    pen = Sketch(
        "Remove and retrain",
        "A loop of four boxes: a map for each image; remove the hottest squares in all images; train a new network on "
        "what is left; its AUC on test images with squares removed in the same way. A low AUC speaks for the map. A "
        "dashed arrow from the removed squares to the new network asks what else it could learn.",
        height=180,
    )
    steps = (("a map", "per image"), ("remove the", "hottest 30%"), ("train a new", "network"), ("AUC on", "the rest"))
    for index, (first, second) in enumerate(steps):
        x = 16 + 116 * index
        pen.box(x, 24, 96, 52, fill=ORANGE if index == 1 else BLUE, tint=0.22, rounded=6)
        pen.text(x + 48, 40, first, size=SMALL)
        pen.text(x + 48, 60, second, size=SMALL)
        if index:
            pen.arrow((x - 18, 50), (x - 2, 50))
    pen.text(468, 96, "low: a good map", anchor="end", size=SMALL)
    pen.line([(180, 78), (180, 124), (296, 124)], dashed=True)
    pen.arrow((296, 124), (296, 80))
    pen.text(240, 142, "what else could the new", size=SMALL)
    pen.text(240, 162, "network learn from this?", size=SMALL)
    return pen
