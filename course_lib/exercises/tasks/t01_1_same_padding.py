from course_lib.exercises.task import Task


class SamePadding(Task):
    number, title, name, points = "01.1", "The padding that keeps the size", "same_padding", 1
    statement = """
A convolution with stride 1 returns a map of the size of its image if the padding is right. Write a function that
returns that padding for an odd kernel, as one whole number for each side. Dilation counts; it is `dilation=1` unless
it is given.
"""
    hints = (
        "A kernel of 7 with dilation 2 spans more than 7 pixels. How many?",
        "With stride 1 an axis loses span - 1 pixels; padding gives two times its number back.",
    )
    notice = "An even kernel has no such padding with one number for both sides: it would need half a pixel."
    given = "odd kernel sizes and dilations"
    drawn = "dilation", (1, 2, 3, 4)

    def inputs(self, draw):
        for half, gap in [(1, 0), (3, 1), *draw.whole(0, 9, 7, 2).tolist()]:
            yield 2 * half + 1, gap + 1


# Answers


def same_padding(kernel: int, dilation: int = 1) -> int:
    return dilation * (kernel - 1) // 2


slips = [
    (lambda k, d=1: d * (k - 1), "Padding is added on both sides: half of it is enough."),
    (lambda k, d=1: k // 2, "Dilation spreads the kernel: it spans dilation * (kernel - 1) + 1 pixels."),
    (lambda k, d=1: d * (k // 2) + 1, "That is one too many: a window of one pixel needs no padding."),
    (lambda k, d=1: d * k // 2, "The span is dilation * (kernel - 1) + 1, not dilation * kernel."),
]
also_wrong = [
    (lambda k, d=1: None, "does it end with `return`"),
    (lambda k, d=1: d * (k - 1) / 2, "divide with `//`"),
    ({"dilation: int = 1": "dilation: int = 0"}, "Leave the page's defaults"),
]
also_right = [lambda kernel, dilation=1: int((dilation * (kernel - 1) + 1 - 1) / 2)]
