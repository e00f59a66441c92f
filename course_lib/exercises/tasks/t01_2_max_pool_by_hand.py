import torch

from course_lib.exercises.task import Task


class MaxPoolByHand(Task):
    number, title, name, points = "01.2", "Max pooling by hand", "max_pool_by_hand", 2
    statement = """
Write 2-dimensional max pooling by hand, without `torch.nn`; two loops will do. It returns the largest number of each
window, where the windows lie side by side. Drop leftover rows and columns that don't fill a window.
"""
    hints = (
        "How many whole windows fit along each axis? What is left over is dropped.",
        "Window (row, column) begins at pixel (row * window, column * window).",
    )
    notice = "Only one pixel of each window gets a gradient: the one that won."
    given = "maps of odd sizes, most of them negative, and windows of 1 to 5"
    forbidden = (
        "torch[.]nn|pool",
        "The task asks for it without `torch.nn`: take the largest number of each window yourself, in two loops.",
    )

    def inputs(self, draw):
        yield draw.normal(10, 13) - 2, 3
        yield draw.normal(6, 6).double() - 1000, 2
        for window in (1, 2, 3, 5):
            yield draw.normal(draw.number(7, 12), draw.number(7, 12)) - 3, window


# Answers


def max_pool_by_hand(image: torch.Tensor, window: int) -> torch.Tensor:
    """(height, width) to (height // window, width // window)."""
    height, width = (side // window for side in image.shape)
    pooled = torch.empty(height, width)
    for row in range(height):
        for column in range(width):
            top, left = row * window, column * window
            pooled[row, column] = image[top : top + window, left : left + window].max()
    return pooled


slips = [
    ({".max()": ".mean()"}, "That is the mean of each window; the largest number is asked for."),
    (
        {"side // window for": "side - window + 1 for", "row * window, column * window": "row, column"},
        "The windows overlap: each begins where the last one ends.",
    ),
    ({"side // window for": "-(-side // window) for"}, "A window that does not fit whole is left out."),
    ({".max()": ".max().clamp(min=0)"}, "A maximum that begins at 0 loses negative numbers."),
    ({"return pooled": "return pooled.T"}, "Rows and columns are exchanged."),
]
also_wrong = [
    ({"range(height)": "range(height + 1)"}, "only what fits whole"),
    ({"return pooled": "image[:] = 0\n    return pooled"}, "write into the caller's tensor"),
    (lambda image, window: torch.nn.functional.max_pool2d(image[None], window)[0], "without `torch.nn`"),
    ({"return pooled": "return pooled.numpy()"}, "NumPy array"),
    ({".max()": ".max().clamp(min=-100)"}, "-100.0"),
]
also_right = [lambda image, window: image.unfold(0, window, window).unfold(1, window, window).amax(dim=(2, 3))]
