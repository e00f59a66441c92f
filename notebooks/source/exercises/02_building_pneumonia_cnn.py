# %% [markdown]
# # Exercises 2. Building PneumoniaCNN
#
# To be done after [lesson 2](../02_building_pneumonia_cnn.ipynb). Each task asks for a function or a class, and the
# cell below it checks yours with inputs of its own. Stuck? `hint("02.1")` helps a little, called again a little more,
# and `solution("02.1")` shows one way. How far you are is kept in `progress.json` beside this page.

# %% tags=["setup"]
from course_lib.exercises import check, hint, progress, solution

# %%
import hashlib
from collections import Counter, defaultdict
from pathlib import Path

import torch
from PIL import Image
from torch import nn
from torch.utils.hooks import RemovableHandle

# %% [markdown]
# ## 02.1 The heaviest layer
#
# In PneumoniaCNN nearly all parameters sit in one layer. Write a function that says of any model which fraction of its
# parameters the largest layer holds, as a number from 0 to 1. A layer is a module with parameters of its own, such as
# `nn.Conv2d`; its weight and its bias belong together, and frozen parameters count like the others. Blocks are no
# layers, but the layers inside them count, however deeply they are nested. A module can be both, a layer and a block:
# `nn.MultiheadAttention` has parameters of its own and a linear layer inside, and these are two layers.


# %%
def largest_share(model: nn.Module) -> float:
    """The parameters of the largest layer, divided by those of the whole model."""
    ### BEGIN SOLUTION
    sizes = [sum(p.numel() for p in m.parameters(recurse=False)) for m in model.modules()]
    return max(sizes) / sum(sizes)
    ### END SOLUTION


# %%
check("02.1", largest_share)

# %% [markdown]
# ## 02.2 Accuracy, and the two numbers beside it
#
# An accuracy says little without its company. Write a function that takes the predictions of a classifier and the true
# labels (both whole numbers, one for each image) and returns three numbers: the accuracy; the balanced accuracy, which
# is the fraction predicted correctly in each class, averaged over the classes that occur among the labels; and the
# accuracy of a constant answer, which gives every image the most common of these labels. Any number of classes should
# do.


# %%
def fair_scores(calls: torch.Tensor, labels: torch.Tensor) -> tuple[float, float, float]:
    """Long (N,) and long (N,) to (accuracy, balanced accuracy, accuracy of the constant)."""
    ### BEGIN SOLUTION
    correct = (calls == labels).float()
    of_classes = [correct[labels == label].mean() for label in labels.unique()]
    constant = labels.bincount().max() / len(labels)
    return correct.mean().item(), torch.stack(of_classes).mean().item(), constant.item()
    ### END SOLUTION


# %%
check("02.2", fair_scores)

# %% [markdown]
# ## 02.3 A block without the needless bias
#
# Batch norm subtracts the mean of each channel, so a bias that the convolution has added is gone at once. Write the
# block of the lesson without it: one `nn.Conv2d` with an odd kernel that keeps height and width, `nn.BatchNorm2d`,
# ReLU, and max pooling that halves both sides. The block is a module, and its convolution has a weight and no other
# parameter.


# %%
def lean_block(in_channels: int, out_channels: int, kernel: int = 3) -> nn.Module:
    """A module from (N, in_channels, H, W) to (N, out_channels, H // 2, W // 2)."""
    ### BEGIN SOLUTION
    return nn.Sequential(
        nn.Conv2d(in_channels, out_channels, kernel, padding=kernel // 2, bias=False),
        nn.BatchNorm2d(out_channels),
        nn.ReLU(),
        nn.MaxPool2d(2),
    )
    ### END SOLUTION


# %%
check("02.3", lean_block)

# %% [markdown]
# ## 02.4 A head that knows roughly where
#
# The mean over a whole map forgets where a pattern was; flattening keeps each position and fixes the image size. In
# between lies the mean over each of 4 x 4 regions. Write it as a class: `__init__` takes the number of channels and of
# classes, `forward` takes the maps of the last block, averages each map over 4 x 4 regions of (nearly) equal size, and
# gives the 16 numbers of all channels to one linear layer with a bias. It returns logits. Maps of any height and width
# should be taken: behind the three blocks of the lesson, images of 64 x 64 pixels arrive as maps of 8 x 8, and images
# of 100 x 180 as maps of 12 x 22.


# %%
class RegionHead(nn.Module):
    """Maps (N, channels, H, W) of any size to logits (N, num_classes)."""

    def __init__(self, channels: int, num_classes: int) -> None:
        ### BEGIN SOLUTION
        super().__init__()
        self.pool = nn.AdaptiveAvgPool2d(4)
        self.linear = nn.Linear(channels * 4 * 4, num_classes)
        ### END SOLUTION

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        ### BEGIN SOLUTION
        regions = self.pool(maps)  # (N, channels, 4, 4)
        return self.linear(regions.flatten(1))
        ### END SOLUTION


# %%
check("02.4", RegionHead)

# %% [markdown]
# ## 02.5 A guard at the door
#
# Images of 70 pixels slipped through a network that was built for 64. Write a function that makes any model refuse, by
# `register_forward_pre_hook`, whatever is not a batch of images (N, channels, height, width), with any N. A wrong input
# should raise a `ValueError` before the model has computed anything, and its message should say which shape was
# expected, which arrived, and what to do (the check looks for the numbers; the advice is yours). Return what the
# registration returns: its `remove()` takes the guard away again.


# %%
def guard_shape(model: nn.Module, channels: int, height: int, width: int) -> RemovableHandle:
    """Make `model` refuse all but (N, channels, height, width), until the handle is removed."""
    ### BEGIN SOLUTION
    expected = (channels, height, width)

    def refuse_others(module: nn.Module, inputs: tuple[torch.Tensor, ...]) -> None:
        arrived = tuple(inputs[0].shape)
        if arrived[1:] != expected:
            raise ValueError(
                f"images (N, {channels}, {height}, {width}) expected, got {arrived}; "
                "resize them, make them gray or color, or add the batch axis with images[None]."
            )

    return model.register_forward_pre_hook(refuse_others)
    ### END SOLUTION


# %%
check("02.5", guard_shape)

# %% [markdown]
# ## 02.6 Audit a folder
#
# Before any training, ask the dull questions of your own images. They lie in a folder of class folders, such as
# `xrays/NORMAL/1.png`; an image is a file directly in a class folder whose suffix is .png, .jpg or .jpeg, in small or
# capital letters. Other files may lie about, beside the class folders too, and do not count. Write
# `audit_folder(folder)`, which changes nothing and returns a dictionary with four entries:
#
# - `"counts"`: for each class the number of its images, readable or not; a class folder without images has 0.
# - `"unreadable"`: a list of the images that cannot be decoded to the last pixel, as texts like `"NORMAL/1.png"`.
# - `"duplicates"`: a list of groups, each a list of such texts: images whose files are equal byte by byte *and* lie in
#   more than one class. The whole group is listed.
# - `"modes"`: for each class a dictionary of the color modes of its readable images, such as `{"L": 40, "RGB": 2}`, as
#   they are stored (`image.mode`).
#
# An image in two classes has a wrong label in one of them, and a color mode that goes with a class gives the answer
# away. Once the check is content, run the function on images of your own, and write down what you would have to fix
# before training.


# %%
def audit_folder(folder: Path) -> dict:
    """A folder of class folders to {"counts", "unreadable", "duplicates", "modes"}."""
    ### BEGIN SOLUTION
    counts, modes = Counter(), {}
    unreadable, equal = [], defaultdict(list)
    for class_folder in sorted(path for path in folder.iterdir() if path.is_dir()):
        name = class_folder.name
        counts[name], modes[name] = 0, Counter()
        for file in sorted(class_folder.iterdir()):
            if file.suffix.lower() not in (".png", ".jpg", ".jpeg"):
                continue
            place = f"{name}/{file.name}"
            counts[name] += 1
            equal[hashlib.sha256(file.read_bytes()).digest()].append(place)
            try:
                with Image.open(file) as image:
                    image.load()  # open reads the header only
                    modes[name][image.mode] += 1
            except (OSError, SyntaxError, ValueError):  # according to what is broken
                unreadable.append(place)
    groups = [group for group in equal.values() if len({p.partition("/")[0] for p in group}) > 1]
    return {
        "counts": dict(counts),
        "unreadable": unreadable,
        "duplicates": groups,
        "modes": {name: dict(counter) for name, counter in modes.items()},
    }
    ### END SOLUTION


# %%
check("02.6", audit_folder)

# %% [markdown]
# ## How far you are

# %%
progress(2)
