import torch

from course_lib.exercises.task import Task, Wrong, expect_shape


class LineKernel(Task):
    number, title, name, points = "01.4", "A kernel for thin bright lines", "line_kernel", 2
    statement = """
Ribs are bright lines that run sideways. Design a kernel of `size` x `size` weights (3, 5 or 7) that finds such lines.
Laid on a window of its own size, it must answer

- 1 to a line of brightness 1 on black, one pixel thick, that fills the middle row;
- 0 or less if that line fills any other row;
- 0 to anything flat, to a vertical line in any column, and to a brightness that grows evenly from row to row;
- less than 0.5 to a single pixel of brightness 1 in the middle, since a dot is no line.

Begin with 5x5 on paper. Many kernels will do. When yours passes, try it in the lesson's X-ray cell.
"""
    hints = (
        "Rows that are alike from left to right: a column of weights is all that you have to design.",
        "Middle row positive, the others negative, and each column must add up to 0.",
        "Above and below the same weights: then a brightness that grows evenly downwards cancels.",
    )
    notice = (
        "With the same weights above and below, the rim of a broad bright band still gets half the answer of a line: "
        "a sum of products cannot say 'bright, and dark on both sides'. And a dark line gets -1; ReLU would drop it."
    )
    given = "kernels of size 3, 5 and 7"

    def inputs(self, draw):
        return [(5,), (3,), (7,)]

    def assert_correct(self, observed, reference, draw):
        for (size,), kernel in zip(self.inputs(draw), observed, strict=True):
            slips = {
                (5, 5): "The size is an argument: 3 and 7 are asked for, too.",
                (1, 1, size, size): "Return the bare table, without the two axes for `F.conv2d`.",
            }
            expect_shape(kernel, (size, size), self.shown(size), slips)
            self.assert_line(kernel.detach().double(), self.shown(size))

    def assert_line(self, kernel, name):
        rows, columns, middle = kernel.sum(dim=1), kernel.sum(dim=0), len(kernel) // 2
        flat, line, dot = kernel.sum().item(), rows[middle].item(), kernel[middle, middle].item()
        offsets = torch.arange(len(rows)) - middle
        ramp, other = (rows * offsets).sum().item(), rows[offsets != 0].max().item()
        vertical = columns[columns.abs().argmax()].item()
        no_line = "That finds edges; a line is brighter than what is above *and* below it."
        if columns[middle].abs() > 1e-4:
            no_line = "Rows and columns are exchanged: this kernel finds vertical lines."
        less, long = "less than half of what a line gets", "A line is long: use the whole middle row."
        cases = [
            (not kernel.isfinite().all(), "not all weights are", "finite numbers", "Was something divided by 0?"),
            (abs(flat) > 1e-4, f"a flat image of 1 gets {flat:.4g}", "0", "All weights together must add up to 0."),
            (abs(line) < 1e-4, "a horizontal line in the middle row gets 0", "1", no_line),
            (line < 0, f"a bright line gets {line:.4g}", "1", "The signs are turned: this kernel finds dark lines."),
            (
                abs(vertical) > 1e-4,
                f"a vertical line gets {vertical:.4g}",
                "0",
                "Each column by itself must add up to 0.",
            ),
            (abs(ramp) > 1e-4, f"brightness growing by 1 a row gets {ramp:.4g}", "0", "Weigh above and below alike."),
            (other > 1e-4, f"a line in another row gets {other:.4g}", "0 or less", "Only the middle row is positive."),
            (dot > line * 0.499, f"a single bright pixel gets {dot:.4g}", less, long),
            (abs(line - 1) > 1e-4, f"a line of brightness 1 gets {line:.4g}", "1", "The pattern is right; scale it."),
        ]
        for wrong, found, expected, slip in cases:
            if wrong:
                raise Wrong(f"{name}: {found}", expected, slip, found.partition(" gets")[0])


# Answers


def line_kernel(size: int) -> torch.Tensor:
    """An odd size to weights (size, size)."""
    column = torch.full((size, 1), -1 / (size - 1))
    column[size // 2] = 1
    return column.repeat(1, size) / size


def dot(size):
    kernel = torch.full((size, size), -1.0)
    kernel[size // 2, size // 2] = size**2 - 1
    return kernel / (size**2 - size)


def weighted_along_the_line(size):
    along = torch.hann_window(size + 2, periodic=False, dtype=torch.float64)[1:-1]
    return line_kernel(size).double() * (along / along.mean() if size > 3 else 1)


def others(weight, more="pass"):
    """Another weight for all rows but the middle one, or for its neighbors."""
    return {"-1 / (size - 1)": weight, "= 1\n": f"= 1\n    {more}\n"}


also_wrong = [
    (others("0.0"), "add up to 0."),
    ({"column.repeat(1, size)": "column.T.repeat(size, 1)"}, "vertical lines."),
    (
        {"torch.full((size, 1), -1 / (size - 1))": "torch.linspace(-1, 1, size)[:, None]", "= 1\n": "= 0\n"},
        "*and* below",
    ),
    ({"return column": "return -column"}, "dark lines"),
    (dot, "column by itself"),
    (others("0.0", "column[size // 2 - 1] = -1"), "above and below alike"),
    (others("-3 / (size - 3 or 1)", "column[size // 2 - 1 : size // 2 + 2] = 1"), "Only the middle row"),
    ({"column.repeat(1, size) / size": "column * torch.eye(size)[size // 2]"}, "A line is long"),
    (lambda size: (line_kernel(size) * size * (size - 1)).round().long(), "scale it"),
    (lambda size: line_kernel(5), "The size is an argument"),
    (lambda size: line_kernel(size).tolist(), "Return a tensor"),
    (lambda size: line_kernel(size).numpy(), "NumPy array"),
    (lambda size: torch.zeros(size, size) / 0, "divided by 0"),
    (lambda size: line_kernel(size)[None, None], "bare table"),
]
also_right = [others("0.0", "column[[size // 2 - 1, size // 2 + 1]] = -0.5"), weighted_along_the_line]
