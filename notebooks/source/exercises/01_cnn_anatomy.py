# %% [markdown]
# # Exercises 1. CNN anatomy
#
# Do these after [lesson 1](../01_cnn_anatomy.ipynb). Each task asks for a function, and the cell below it checks yours
# with inputs of its own. Stuck? `hint("01.1")` helps a little, called again a little more, and `solution("01.1")` shows
# one way. Your progress is kept in `progress.json` beside this page.

# %% tags=["setup"]
from course_lib.exercises import check, hint, progress, solution

# %%
import math

import torch
from torch import nn
from torch.nn import functional as F

# %% [markdown]
# ## 01.1 The padding that keeps the size
#
# A convolution with stride 1 returns a map of the size of its image if the padding is right. Write a function that
# returns that padding for an odd kernel, as one whole number for each side. Dilation counts.


# %%
def same_padding(kernel: int, dilation: int = 1) -> int:
    ### BEGIN SOLUTION
    return dilation * (kernel - 1) // 2
    ### END SOLUTION


# %%
check("01.1", same_padding)

# %% [markdown]
# ## 01.2 Max pooling by hand
#
# Write 2-dimensional max pooling by hand, without `torch.nn`; two loops will do. It returns the largest number of each
# window, where the windows lie side by side. Drop leftover rows and columns that don't fill a window.


# %%
def max_pool_by_hand(image: torch.Tensor, window: int) -> torch.Tensor:
    """(height, width) to (height // window, width // window)."""
    ### BEGIN SOLUTION
    height, width = (side // window for side in image.shape)
    pooled = torch.empty(height, width)
    for row in range(height):
        for column in range(width):
            top, left = row * window, column * window
            pooled[row, column] = image[top : top + window, left : left + window].max()
    return pooled
    ### END SOLUTION


# %%
check("01.2", max_pool_by_hand)

# %% [markdown]
# ## 01.3 Two dense layers are one
#
# With nothing between them, two dense layers compute what a single one can. Write a function that takes two, such as
# `nn.Linear(20, 10)` and `nn.Linear(10, 5)`, and returns that single one, here an `nn.Linear(20, 5)`, with both biases
# included. Don't change the layers you are given. It shows what ReLU is for.
#
# A dense layer computes `weight @ x + bias`, where `@` is the matrix product, and its weight has the shape (outputs,
# inputs). Copy your numbers into a layer by `layer.weight.copy_(...)` under `torch.no_grad()`.


# %%
def merge(first: nn.Linear, second: nn.Linear) -> nn.Linear:
    """Layers (inputs to hidden) and (hidden to outputs), both with a bias, to one (inputs to outputs)."""
    ### BEGIN SOLUTION
    merged = nn.Linear(first.in_features, second.out_features)
    with torch.no_grad():
        merged.weight.copy_(second.weight @ first.weight)
        merged.bias.copy_(second.weight @ first.bias + second.bias)
    return merged
    ### END SOLUTION


# %%
check("01.3", merge)

# %% [markdown]
# ## 01.4 A kernel for thin bright lines
#
# Ribs are bright lines that run sideways. Design a kernel of `size` x `size` weights (3, 5 or 7) that finds such lines.
# Laid on a window of its own size, it must answer
#
# - 1 to a line of brightness 1 on black, one pixel thick, that fills the middle row;
# - 0 or less if that line fills any other row;
# - 0 to anything flat, to a vertical line in any column, and to a brightness that grows evenly from row to row;
# - less than 0.5 to a single pixel of brightness 1 in the middle, since a dot is no line.
#
# Begin with 5x5 on paper. Many kernels will do. When yours passes, try it in the lesson's X-ray cell.


# %%
def line_kernel(size: int) -> torch.Tensor:
    """An odd size to weights (size, size)."""
    ### BEGIN SOLUTION
    column = torch.full((size, 1), -1 / (size - 1))
    column[size // 2] = 1
    return column.repeat(1, size) / size
    ### END SOLUTION


# %%
check("01.4", line_kernel)

# %% [markdown]
# ## 01.5 Which pixels does an output see?
#
# The receptive field says how many pixels an output sees; now say which. Think of a single row of pixels. `layers`
# lists (kernel, stride, padding) for each layer, the one next to the image first, and `output` is a position in the
# last layer's map. Return the first and the last pixel that this output depends on. Number the padding too: -1 is the
# zero just left of pixel 0. For one layer, `pixels_seen(4, [(3, 1, 0)])` is `(4, 6)`. You need this to find out which
# part of an image a network saw.


# %%
def pixels_seen(output: int, layers: list[tuple[int, int, int]]) -> tuple[int, int]:
    """A position in the last map and (kernel, stride, padding) of each layer to (first, last) pixel."""
    ### BEGIN SOLUTION
    first = last = output
    for kernel, stride, padding in reversed(layers):
        first = first * stride - padding
        last = last * stride - padding + kernel - 1
    return first, last
    ### END SOLUTION


# %%
check("01.5", pixels_seen)

# %% [markdown]
# ## 01.6 One kernel per channel
#
# In the lesson every filter reads all channels. A *depthwise* convolution has one kernel per channel and adds nothing
# across channels: map 0 and kernel 0 give map 0, and so on. Lay the kernels on as they are, without turning them, with
# the number of zeros on each side (`padding`), the step from position to position (`stride`) and the distance between
# neighboring weights (`dilation`), for maps that need not be square. Write it by hand, without PyTorch's convolutions:
# loops, slices and sums are enough, and `F.pad` adds the zeros. Once you can write this, no output size of a
# convolution will surprise you again.


# %%
def depthwise_by_hand(
    maps: torch.Tensor, kernels: torch.Tensor, stride: int = 1, padding: int = 0, dilation: int = 1
) -> torch.Tensor:
    """Maps (channels, height, width) and kernels (channels, k, k) to (channels, rows, columns)."""
    ### BEGIN SOLUTION
    padded = F.pad(maps, (padding, padding, padding, padding))
    span = dilation * (kernels.shape[1] - 1) + 1
    rows, columns = ((side - span) // stride + 1 for side in padded.shape[1:])
    answers = torch.empty(len(maps), rows, columns)
    for row in range(rows):
        for column in range(columns):
            top, left = row * stride, column * stride
            window = padded[:, top : top + span : dilation, left : left + span : dilation]
            answers[:, row, column] = (window * kernels).sum(dim=(1, 2))
    return answers
    ### END SOLUTION


# %%
check("01.6", depthwise_by_hand)

# %% [markdown]
# ## 01.7 Pooling without aliasing
#
# This one needs Part E, and classes, which lesson 2 explains. Max pooling of 2x2 keeps other pixels when the image
# moves by one. The remedy from signal processing is to blur before samples are dropped. Build a layer that can stand in
# for `nn.MaxPool2d(2)`: first the maximum of each 2x2 window with stride 1 and no padding, then a fixed blur with
# stride 2. (N, C, H, W) becomes (N, C, H // 2, W // 2).
#
# - The blur has `blur` x `blur` weights (3, 5, ...), the products of a row of Pascal's triangle with itself: 1, 2, 1
#   for 3, and 1, 4, 6, 4, 1 for 5. Divide the table by its sum, so that a flat image stays flat.
# - Mirror the map at its border, by `blur // 2` pixels (`F.pad` with `mode="reflect"`); zeros would darken it.
# - Each channel is pooled by itself, and one module takes any number of channels, from call to call.
# - The blur's weights aren't trained. Keep them by `self.register_buffer("table", table)`: training leaves them alone,
#   and they move to a GPU with the network. `F.conv2d(..., groups=channels)` gives each channel its own kernel.
#   Gradients pass through the layer to whatever stands before it.
#
# Check it by hand first: an image of 4x4 that is black but for a 16 in row 1, column 1 (counted from 0) becomes the
# rows 16, 8 and 8, 4. Afterwards put the layer into the lesson's experiment on moving back: how much of the change at
# odd shifts is left?


# %%
class BlurPool(nn.Module):
    """Images (N, C, H, W) to (N, C, H // 2, W // 2)."""

    def __init__(self, blur: int = 3) -> None:
        ### BEGIN SOLUTION
        super().__init__()
        self.border = blur // 2
        row = torch.tensor([float(math.comb(blur - 1, k)) for k in range(blur)])
        table = torch.outer(row, row)
        self.register_buffer("table", table / table.sum())
        ### END SOLUTION

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        ### BEGIN SOLUTION
        largest = F.max_pool2d(images, 2, stride=1)  # (N, C, H - 1, W - 1)
        padded = F.pad(largest, [self.border] * 4, mode="reflect")
        channels = images.shape[1]
        kernels = self.table.expand(channels, 1, -1, -1)  # the same for each channel
        return F.conv2d(padded, kernels, stride=2, groups=channels)
        ### END SOLUTION


# %%
check("01.7", BlurPool)

# %% [markdown]
# ## How far you are

# %%
progress(1)
