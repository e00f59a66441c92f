from course_lib.exercises.task import Task


class PixelsSeen(Task):
    number, title, name, points = "01.5", "Which pixels does an output see?", "pixels_seen", 2
    statement = """
The receptive field says how many pixels an output sees; now say which. Think of a single row of pixels. `layers`
lists (kernel, stride, padding) for each layer, the one next to the image first, and `output` is a position in the
last layer's map. Return the first and the last pixel that this output depends on. Number the padding too: -1 is the
zero just left of pixel 0. For one layer, `pixels_seen(4, [(3, 1, 0)])` is `(4, 6)`. You need this to find out which
part of an image a network saw.
"""
    hints = (
        "One layer: output x begins at x * stride - padding and reads `kernel` positions from there. Where is the last?",
        "Two layers: ask the last which outputs of the first it reads. Where does the first of these begin, the last end?",
        "So go through the layers from the last to the first, with two numbers in hand.",
    )
    notice = (
        "Last minus first plus 1 is the receptive field, the same for every output: 27 pixels behind the first four "
        "layers of a ResNet. From output to output it moves by 4 pixels there, the strides' product."
    )
    given = "stacks of 1 to 5 layers with drawn kernels, strides and padding"

    def inputs(self, draw):
        yield 4, [(3, 1, 0)]
        yield 0, [(5, 2, 1), (3, 1, 2), (2, 2, 0)]
        yield 3, [(5, 2, 1), (3, 3, 2)]
        yield 28, [(7, 2, 3), (3, 2, 1), (3, 1, 1), (3, 1, 1)]
        for count in (1, 2, 3, 5):
            sizes = zip(draw.whole(1, 7, count).tolist(), draw.whole(1, 3, count).tolist(), strict=True)
            yield draw.number(0, 40), [(kernel, stride, draw.number(0, 3)) for kernel, stride in sizes]


# Answers


def pixels_seen(output: int, layers: list[tuple[int, int, int]]) -> tuple[int, int]:
    """A position in the last map and (kernel, stride, padding) of each layer to (first, last) pixel."""
    first = last = output
    for kernel, stride, padding in reversed(layers):
        first = first * stride - padding
        last = last * stride - padding + kernel - 1
    return first, last


def by(step):
    """The same way through the layers, with another step."""

    def walk(output, layers):
        first = last = output
        for layer in reversed(layers):
            first, last = step(first, last, *layer)
        return first, last

    return walk


def by_size_and_step(output, layers):
    size, step, start = 1, 1, 0
    for kernel, stride, padding in layers:
        start, size, step = start - padding * step, size + (kernel - 1) * step, step * stride
    return [start + output * step, start + output * step + size - 1]


slips = [
    ({"+ kernel - 1": "+ kernel"}, "A kernel of 3 at position 4 reads 4, 5 and 6, not 7."),
    (by(lambda f, e, k, s, p: (f * s, e * s + k - 1)), "Padding is left out: it moves everything toward the front."),
    (by(lambda f, e, k, s, p: (f * s + p, e * s + p + k - 1)), "Position 0 lies in the padding: subtract it."),
    (by(lambda f, e, k, s, p: (f - p, e - p + k - 1)), "Stride is left out: windows of neighbors lie that far apart."),
    ({"last * stride - padding": "last * stride"}, "Padding moves the last pixel as well as the first."),
    (by(lambda f, e, k, s, p: (f * s - p, f * s - p + k - 1)), "Only one window is followed; the last one ends later."),
    (by(lambda f, e, k, s, p: ((f - p) * s, (e - p) * s + k - 1)), "Padding is counted in pixels: multiply first."),
    ({"reversed(layers)": "layers"}, "You begin with the first layer; the output belongs to the last."),
    ({"return first, last": "return first, last + 1"}, "That is one behind the last pixel: return the last."),
    ({"return first, last": "return last - first + 1"}, "That is how many pixels it sees, not which."),
    ({"return first, last": "return max(0, first), last"}, "Keep negative numbers: they lie in the padding."),
]
also_wrong = [
    ({"    first = last": "    layers.reverse()\n    first = last", "reversed(layers)": "layers"}, "leaves it alone"),
    ({"return first, last": "return float(first), float(last)"}, "divide with `//`"),
]
also_right = [by_size_and_step]
