import math

import torch
from torch import nn
from torch.nn import functional as F

from course_lib.exercises.task import Task, Wrong, call, shown


class BlurPoolTask(Task):
    number, title, name, points = "01.7", "Pooling without aliasing", "BlurPool", 4
    statement = """
This one needs Part E, and classes, which lesson 2 explains. Max pooling of 2x2 keeps other pixels when the image
moves by one. The remedy from signal processing is to blur before samples are dropped. Build a layer that can stand in
for `nn.MaxPool2d(2)`: first the maximum of each 2x2 window with stride 1 and no padding, then a fixed blur with
stride 2. (N, C, H, W) becomes (N, C, H // 2, W // 2).

- The blur has `blur` x `blur` weights (3, 5, ...; `blur=3` unless it is given), the products of a row of Pascal's
  triangle with itself: 1, 2, 1 for 3, and 1, 4, 6, 4, 1 for 5. Divide the table by its sum, so that a flat image stays
  flat.
- Mirror the map at its border, by `blur // 2` pixels (`F.pad` with `mode="reflect"`); zeros would darken it.
- Each channel is pooled by itself, and one module takes any number of channels, from call to call.
- The blur's weights aren't trained. Keep them by `self.register_buffer("table", table)`: training leaves them alone,
  and they move to a GPU with the network. `F.conv2d(..., groups=channels)` gives each channel its own kernel.
  Gradients pass through the layer to whatever stands before it.

Check it by hand first: with a blur of 3, an image of 4x4 that is black but for a 16 in row 1, column 1 (counted from
0) becomes the rows 16, 8 and 8, 4. Afterwards put the layer into the lesson's experiment on moving back: how much of
the change at odd shifts is left?
"""
    hints = (
        "Three steps: `F.max_pool2d(images, 2, stride=1)`; pad by blur // 2; one `F.conv2d` that blurs and steps by 2.",
        "A row of Pascal's triangle comes from `math.comb(blur - 1, place)`; `torch.outer` makes a table of two rows.",
        "`groups=channels` wants weights of shape (channels, 1, blur, blur); `expand` gives each channel the same table.",
        "`self.register_buffer(name, tensor)` in `__init__`, after `super().__init__()`; then `self.name` in `forward`.",
    )
    notice = (
        "In the lesson's experiment on moving back, 2x2 max pooling leaves a change of about 0.43 at odd shifts, a "
        "blur of 3 leaves 0.33 and one of 5 leaves 0.27: less, not nothing. Even shifts change the border alone."
    )
    given = "batches of 1 to 4 channels, and blurs of size 3 and 5"
    drawn = "blur", (3, 5, 7)
    errors = {
        "channels": "The module must take any number of channels: give each its own copy.",
        "weight": "`F.conv2d` wants weights of shape (channels, 1, blur, blur), one table for each channel.",
    }

    def inputs(self, draw):
        flash = torch.zeros(1, 1, 4, 4)
        flash[0, 0, 1, 1] = 16  # on the page, worked out by hand
        for blur in (3, 5):
            yield torch.full((1, 1, 8, 8), 2.0), blur
            yield draw.normal(2, draw.number(2, 4), 8, 10) - 2, blur
            yield draw.normal(1, draw.number(1, 4), 11, 9) - 2, blur
        yield flash, 3

    def shown(self, images, blur):
        return f"{self.name}({blur}) on images {tuple(images.shape)}"

    def use(self, answer, images, blur):
        pool = answer(blur)
        if not isinstance(pool, nn.Module):
            raise Wrong(f"the answer made {shown(pool)}", "an nn.Module", "Let the class inherit from `nn.Module`.")
        if weights := sum(parameter.numel() for parameter in pool.parameters()):
            slip = "Training would change them. Keep the blur as a buffer, and call `F.conv2d` with it in `forward`."
            raise Wrong(f"the module has {weights} parameters", "none, since the blur is fixed", slip)
        maps = call(pool, images.requires_grad_())
        if not list(pool.buffers()):
            slip = "A mere attribute, or a tensor made in `forward`, stays behind at `.to(device)`: register a buffer."
            raise Wrong("the module has no buffer", "the weights of the blur in one", slip)
        if not maps.requires_grad:
            slip = "`detach`, `.data` or `torch.no_grad()` cuts them off, and no layer before the pooling would learn."
            raise Wrong("no gradient comes back to the images", "gradients that flow", slip)
        gradient = torch.autograd.grad(maps.square().sum(), images)[0]
        return {"the output": maps, "the gradient of the images": gradient}


# Answers


class BlurPool(nn.Module):
    """Images (N, C, H, W) to (N, C, H // 2, W // 2)."""

    def __init__(self, blur: int = 3) -> None:
        super().__init__()
        self.border = blur // 2
        row = torch.tensor([float(math.comb(blur - 1, k)) for k in range(blur)])
        table = torch.outer(row, row)
        self.register_buffer("table", table / table.sum())

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        largest = F.max_pool2d(images, 2, stride=1)  # (N, C, H - 1, W - 1)
        padded = F.pad(largest, [self.border] * 4, mode="reflect")
        channels = images.shape[1]
        kernels = self.table.expand(channels, 1, -1, -1)  # the same for each channel
        return F.conv2d(padded, kernels, stride=2, groups=channels)


class OneWayAfterTheOther(nn.Module):
    def __init__(self, blur=3):
        super().__init__()
        row = torch.ones(1)
        for _ in range(blur - 1):
            row = F.pad(row, (1, 0)) + F.pad(row, (0, 1))
        self.register_buffer("row", row / row.sum(), persistent=False)
        self.max, self.mirror = nn.MaxPool2d(2, stride=1), nn.ReflectionPad2d(blur // 2)

    def forward(self, images):
        maps, n = self.mirror(self.max(images)), len(self.row)
        return ((maps.unfold(2, n, 2) * self.row).sum(dim=-1).unfold(3, n, 2) * self.row).sum(dim=-1)


BUFFER, LARGEST = 'self.register_buffer("table", table / table.sum())', "F.max_pool2d(images, 2, stride=1)"
PADDED, COPIES = 'F.pad(largest, [self.border] * 4, mode="reflect")', "expand(channels, 1, -1, -1)"
slips = [
    ({'"reflect"': '"constant"'}, "Zeros darken the border: mirror the map there."),
    ({'"reflect"': '"replicate"'}, "`reflect` does not repeat the outermost row."),
    ({"math.comb(blur - 1, k)": "1"}, "All weights are alike: take Pascal's triangle."),
    ({" / table.sum()": ""}, "A flat image gets brighter: divide the table by its sum, so that it adds up to 1."),
    ({"table.sum()": "row.sum()"}, "A flat image gets brighter: divide the table by its own sum, not by a row's."),
    (
        {"return F.conv2d(padded, kernels, stride=2, groups=channels)": "return largest[..., ::2, ::2]"},
        "Nothing is blurred before every second position is dropped.",
    ),
    ({"2, stride=1": "2", "stride=2": "stride=1"}, "The maximum drops samples before the blur: give it stride 1."),
    (
        {LARGEST: "images", "return F": "return F.max_pool2d(F", "stride=2, groups=channels)": "groups=channels), 2)"},
        "You blur before the maximum; take the maximum first.",
    ),
    ({"max_pool2d": "avg_pool2d"}, "That is the mean of each window, not its maximum."),
    ({LARGEST: "images"}, "The maximum is missing: this only blurs and steps."),
    ({"stride=2": "stride=1"}, "The step of 2 is missing: the map keeps its resolution."),
    ({"2, stride=1": "2"}, "Two steps of 2 make 4: max pooling has stride 1 here."),
    ({"2, stride=1": "2, 1, 1"}, "Max pooling has no padding here; the blur has."),
    ({PADDED: "largest"}, "The border is cut off: mirror the map first."),
    (
        {COPIES: "expand(1, channels, -1, -1)", ", groups=channels": ""},
        "The channels add up: `groups` keeps them apart.",
    ),
    (
        {COPIES: "expand(channels, channels, -1, -1)", ", groups=channels": ""},
        "All channels add up to each: see `groups`.",
    ),
    ({"        self.border": "        blur = 3\n        self.border"}, "The blur is 3x3 whatever `blur` says."),
]
also_wrong = [
    ({COPIES: "expand(1, 1, -1, -1)", ", groups=channels": ""}, "any number of channels"),
    ({COPIES: "expand(1, 1, -1, -1)"}, "one table for each channel"),
    ({BUFFER: "self.table = nn.Parameter(table / table.sum())"}, "Training would change them"),
    ({BUFFER: "self.table = table / table.sum()"}, "register a buffer"),
    ({"return F.conv2d(padded": "return F.conv2d(padded.detach()"}, "cuts them off"),
    ({"super().__init__()": "pass"}, "`super().__init__()` is missing"),
    ({"super().__init__()": "pass", BUFFER: "pass"}, "first line in the `__init__` of a module"),
    ({"blur: int = 3": "blur: int = 2"}, "Leave the page's defaults"),
    ({"(nn.Module)": "", BUFFER: "pass"}, "inherit from `nn.Module`"),
]
also_right = [
    OneWayAfterTheOther,
    {"stride=2, groups=channels)": "groups=channels)[:, :, ::2, ::2]"},
    {
        "(largest, [": "(largest.flatten(0, 1)[:, None], [",
        "expand(channels": "expand(1",
        "groups=channels)": "groups=1).reshape(*images.shape[:2], images.shape[2] // 2, -1)",
    },
]
