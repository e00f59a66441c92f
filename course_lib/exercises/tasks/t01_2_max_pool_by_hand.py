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


def windows(image, size, step=None):
    return image.unfold(0, size, step or size).unfold(1, size, step or size)


def pooled(image, window):
    return windows(image, window).amax(dim=(2, 3))


def with_leftovers(image, window):
    rows = [strip.split(window, dim=1) for strip in image.split(window)]
    return torch.stack([torch.stack([part.max() for part in row]) for row in rows])


def past_the_end(image, window):
    found = torch.empty(image.shape[0] // window, image.shape[1] // window)
    for row in range(0, image.shape[0], window):
        for column in range(0, image.shape[1], window):
            found[row // window, column // window] = image[row : row + window, column : column + window].max()
    return found


def into_the_image(image, window):
    found = pooled(image, window)
    image[:] = 0
    return found


slips = [
    (lambda i, w: windows(i, w).mean(dim=(2, 3)), "That is the mean of each window; the largest number is asked for."),
    (lambda i, w: windows(i, w, 1).amax(dim=(2, 3)), "The windows overlap: each begins where the last one ends."),
    (with_leftovers, "A window that does not fit whole is left out."),
    (lambda i, w: pooled(i, w).clamp(min=0), "A maximum that begins at 0 loses negative numbers."),
    (lambda i, w: pooled(i, w).T, "Rows and columns are exchanged."),
]
also_wrong = [
    (past_the_end, "only what fits whole"),
    (into_the_image, "write into the caller's tensor"),
    (lambda i, w: torch.nn.functional.max_pool2d(i[None], w)[0], "without `torch.nn`"),
    (lambda i, w: pooled(i, w).numpy(), "NumPy array"),
    (lambda i, w: pooled(i, w).clamp(min=-100), "-100.0"),
]
also_right = [pooled]
