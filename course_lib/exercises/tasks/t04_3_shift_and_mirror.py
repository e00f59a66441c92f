import random
from itertools import product

import torch
from torch.nn import functional as F

from course_lib.data import PhotoAugmentation
from course_lib.exercises.task import Task, Wrong, expect_shape, refuse


def matches(moved, padded, axis):
    """Where in the padded image each image lies and whether it is reversed along an axis, (N, 3); nan for nowhere."""
    moves = torch.full((len(moved), 3), torch.nan)
    height, width = moved.shape[2:]
    reach = (padded.shape[2] - height) // 2
    for down, right, mirrored in product(range(2 * reach + 1), range(2 * reach + 1), (0, 1)):
        window = padded[:, :, down : down + height, right : right + width]
        same = torch.isclose(moved, window.flip(axis) if mirrored else window, atol=1e-4).flatten(1).all(dim=1)
        moves[same] = torch.tensor([down - reach, right - reach, mirrored]).float()
    return moves


def moves_of(moved, images, shift):
    """How far each image was moved down and right, and whether it was mirrored, (N, 3)."""
    padded = {mode: F.pad(images, [shift] * 4, mode=mode) for mode in ("reflect", "constant", "circular", "replicate")}
    moves = matches(moved, padded["reflect"], 3)
    if moves.isnan().any():
        jumbled = "All rows of an image need one shift, and all its columns; rows are axis 2, columns axis 3."
        channels, of_channels = (part.flatten(0, 1)[:, None] for part in (moved, padded["reflect"]))
        slips = [
            (matches(moved, padded["constant"], 3), "What comes into view is black; reflect the image there."),
            (matches(moved, padded["circular"], 3), "The image wraps around, as in `torch.roll`; reflect instead."),
            (matches(moved, padded["replicate"], 3), "What comes into view repeats the last pixel; reflect instead."),
            (matches(moved, padded["reflect"], 2), "They are upside down; left and right belong to the last axis."),
            (matches(channels, of_channels, 3), "The channels of an image move apart."),
        ]
        slip = next((words for move, words in slips if not move.isnan().any()), jumbled)
        found, part = "some images are not the old ones, shifted and mirrored", "all pixels from one window"
        raise Wrong(found, part, slip, part)
    return moves


class ShiftAndMirror(Task):
    number, title, name, points = "04.3", "Shift and mirror, a whole batch at once", "shift_and_mirror", 2
    statement = """
Augmentation image by image is slow; the lesson does it for whole batches. Move each image of a batch by up to `shift`
pixels (`shift=4` unless it is given) along its height and along its width, in both directions, and mirror about half
of the images left to right.
Each image draws its own numbers from torch's global random numbers. The size stays; what comes into view at a border
is the image reflected there, as `F.pad(..., mode="reflect")` does it. The input must stay as it was. It can be done
without a loop over the images: think of which row and which column of the padded image each new pixel shows.
"""
    hints = (
        "Pad by `shift` on all sides; then each image is a window of the padded one, at a position of its own.",
        "Draw the windows' first rows with `torch.randint(2 * shift + 1, (N, 1))`; adding `torch.arange(H)` gives (N, H).",
        "Mirroring reverses an image's columns: `torch.where` with a condition (N, 1) chooses for each image.",
    )
    notice = (
        "With shift=4 an image comes in 9 * 9 * 2 = 162 versions, and Python does the same few steps for any batch."
    )
    given = "60 images that are not square, and two values of `shift`"
    drawn = "shift", (3, 4, 5, 6)

    def inputs(self, draw):
        return [(draw.uniform(60, 2, 7, 8), shift) for shift in (3, 3, 3, 3, 3, 3, 2)]

    def use(self, answer, images, shift):
        copy = images.clone()
        moved = answer(copy, shift)
        changed = not torch.equal(copy, images)
        refuse("an input that stays as it was", (changed, "the input was changed", "Write into a copy."))
        if shift != 2:
            return [moved, True]
        repeated = []
        for _ in range(2):
            torch.manual_seed(1)
            repeated.append(answer(images.clone(), shift))
        return [moved, torch.equal(*repeated)]

    def assert_correct(self, observed, reference, draw):
        calls = []
        for (images, shift), (moved, _) in zip(self.inputs(draw), observed, strict=True):
            larger = (60, 2, 7 + 2 * shift, 8 + 2 * shift)
            slips = {larger: "Cut windows of the old size out of the padded."}
            expect_shape(moved, (60, 2, 7, 8), f"{self.name}(images, {shift})", slips)
            calls.append(moves_of(moved.float(), images, shift))
        moves = torch.stack(calls[:-1])  # (calls, images, 3): down, right, mirrored
        shares = moves[:, :, 2].mean(dim=1)
        values = min((moves[..., axis].unique() for axis in (0, 1)), key=len).tolist()
        alike = bool((moves[:, :1, :2] == moves[:, :, :2]).all())
        tied, whole = torch.equal(moves[..., 0], moves[..., 1]), set(shares.tolist()) <= {0, 1}
        share, fixed = shares.mean().item(), bool((moves[:, :, 2] == moves[0, :, 2]).all())
        other = "after the same `torch.manual_seed`, two calls drew other numbers"
        refuse(
            "for each image its own shifts from -3 to 3, along height and width, and its own mirror",
            (torch.equal(moves[0], moves[1]), "two calls drew the same numbers", "Set no seed in the function."),
            (alike, "all images of a batch were shifted alike", "Draw N shifts, not one: `(N, 1)`."),
            (share == 0, "no image was mirrored", "Reverse half of the images along their last axis."),
            (whole, "each batch was mirrored whole or not at all", "One draw decides for all images: draw N."),
            (fixed, "the same images were mirrored in each call", "Draw which to mirror, too."),
            (tied, "images move as far down as to the right", "Height and width need a draw each."),
            (len(values) == 1, "images move along one axis only", "Shift the other axis, too."),
            (
                values[0] == 0 or values[-1] == 0,
                f"all shifts are in {values}",
                "Images move one way only; draw on both sides of 0.",
            ),
            (len(values) < 7, f"all shifts are in {values}", "`randint` leaves out its upper end."),
            (abs(share - 0.5) > 0.12, f"{share:.0%} of the images were mirrored", "Half of them should be."),
            (not observed[-1][1], other, "Draw from torch: `torch.randint` and `torch.rand`."),
        )


# Answers


def shift_and_mirror(images: torch.Tensor, shift: int = 4) -> torch.Tensor:
    """Float images (N, C, H, W) to changed ones of the same shape."""
    count, _, height, width = images.shape
    padded = F.pad(images, [shift] * 4, mode="reflect")
    rows = torch.randint(2 * shift + 1, (count, 1)) + torch.arange(height)  # (N, H)
    columns = torch.randint(2 * shift + 1, (count, 1)) + torch.arange(width)  # (N, W)
    columns = torch.where(torch.rand(count, 1) < 0.5, columns.flip(1), columns)
    of_image = torch.arange(count)[:, None, None]
    moved = padded[of_image, :, rows[:, :, None], columns[:, None, :]]  # (N, H, W, C)
    return moved.permute(0, 3, 1, 2)


def one_by_one(images, shift=4):
    (_, _, height, width), changed = images.shape, []
    for image in F.pad(images, [shift] * 4, mode="reflect"):
        top, left = torch.randint(2 * shift + 1, (2,))
        window = image[:, top : top + height, left : left + width]
        changed.append(window.flip(2) if torch.rand(()) < 0.5 else window)
    return torch.stack(changed)


def from_python(count):
    return torch.tensor([[random.random()] for _ in range(count)])


MIRROR = "columns = torch.where(torch.rand(count, 1) < 0.5, columns.flip(1), columns)"
ROWS, COLUMNS = (f"{axis} = torch.randint(2 * shift + 1, (count, 1))" for axis in ("rows", "columns"))
RETURN = "return moved.permute(0, 3, 1, 2)"


def drawn_by(draw):
    """Rows and columns drawn in another way."""
    return {ROWS: f"rows = {draw}", COLUMNS: f"columns = {draw}"}


also_wrong = [
    ({'"reflect"': '"constant"'}, "black"),
    ({'"reflect"': '"circular"'}, "wraps around"),
    ({'"reflect"': '"replicate"'}, "repeats the last pixel"),
    ({MIRROR: MIRROR.replace("columns", "rows")}, "upside down"),
    (lambda x, shift=4: shift_and_mirror(x.flatten(0, 1)[:, None], shift).reshape(x.shape), "of an image move apart"),
    ({"(count, 1)) + torch.arange(height)": "(count, height)) + torch.arange(height)"}, "need one shift"),
    ({RETURN: "images[:] = moved.permute(0, 3, 1, 2)\n    return images"}, "Write into a copy"),
    ({"    count, _": "    torch.manual_seed(0)\n    count, _"}, "Set no seed"),
    (drawn_by("torch.randint(2 * shift + 1, (1, 1))"), "Draw N shifts"),
    ({"< 0.5": "< 0"}, "along their last axis"),
    ({"torch.rand(count, 1)": "torch.rand(1, 1)"}, "One draw decides"),
    ({"torch.rand(count, 1) < 0.5": "torch.arange(count)[:, None] % 2 == 0"}, "which to mirror"),
    ({COLUMNS: "columns = rows[:, :1]"}, "a draw each"),
    ({ROWS: "rows = torch.full((count, 1), shift)"}, "the other axis"),
    (drawn_by("torch.randint(shift + 1, (count, 1))"), "one way only"),
    (drawn_by("torch.randint(2 * shift, (count, 1))"), "upper end"),
    ({"< 0.5": "< 0.1"}, "Half of them"),
    ({"torch.rand(count, 1)": "from_python(count)"}, "Draw from torch"),
    ({RETURN: "return padded"}, "Cut windows"),
]
also_right = [one_by_one, lambda images, shift=4: PhotoAugmentation(shift=shift)(images)]
