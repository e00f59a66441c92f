# %% [markdown]
# # Exercises 4. CIFAR-10, ten times faster
#
# To be done after [lesson 4](../04_cifar10.ipynb). Each task asks for a function or a class, and the cell below it
# checks yours with inputs of its own. Stuck? `hint("04.1")` helps a little, called again a little more, and
# `solution("04.1")` shows one way. How far you are is kept in `progress.json` beside this page.

# %% tags=["setup"]
from course_lib.exercises import check, hint, progress, solution

# %%
import random
from collections import Counter
from collections.abc import Sequence

import torch
from scipy import stats
from torch import nn
from torch.nn import functional as F

# %% [markdown]
# ## 04.1 The accuracy of each class
#
# An accuracy of 0.8 can hide a class that is never found. Write a function that returns, for each class, the fraction
# of its images that are predicted correctly: one number for each column of the logits. A class without images gets
# `nan`, "not a number", because nothing is known about it. One or two lines are enough.


# %%
def class_accuracy(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Logits (N, classes) and labels (N,) to accuracies (classes,)."""
    ### BEGIN SOLUTION
    right = (logits.argmax(dim=1) == labels).float()
    return torch.stack([right[labels == label].mean() for label in range(logits.shape[1])])
    ### END SOLUTION


# %%
check("04.1", class_accuracy)

# %% [markdown]
# ## 04.2 The tutorials' network with batch normalization
#
# Adding batch normalization to `SimpleCNN` is a classic exercise of the tutorials. Write the network for images
# (N, 3, 32, 32): three blocks, each a 3x3 convolution with padding 1 and without bias, batch norm, ReLU, and max
# pooling over 2x2, with 32, 64 and 128 channels; then flatten, a dense layer of 512, ReLU, dropout of one half, and a
# dense layer of 10 logits. Whether you center the images first, as the lesson does, is up to you.


# %%
class SimpleCNNWithBatchNorm(nn.Module):
    """Images (N, 3, 32, 32) to logits (N, 10)."""

    def __init__(self) -> None:
        ### BEGIN SOLUTION
        super().__init__()
        layers = []
        for before, after in ((3, 32), (32, 64), (64, 128)):
            layers.append(nn.Conv2d(before, after, 3, padding=1, bias=False))
            layers += [nn.BatchNorm2d(after), nn.ReLU(), nn.MaxPool2d(2)]
        self.features = nn.Sequential(*layers)
        self.fc1, self.fc2 = nn.Linear(128 * 4 * 4, 512), nn.Linear(512, 10)
        self.dropout = nn.Dropout(0.5)
        ### END SOLUTION

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        ### BEGIN SOLUTION
        maps = self.features(images)  # (N, 128, 4, 4)
        hidden = F.relu(self.fc1(maps.flatten(start_dim=1)))  # (N, 512)
        return self.fc2(self.dropout(hidden))
        ### END SOLUTION


# %%
check("04.2", SimpleCNNWithBatchNorm)

# %% [markdown]
# ## 04.3 Shift and mirror, a whole batch at once
#
# Augmentation image by image is slow; the lesson does it for whole batches. Move each image of a batch by up to `shift`
# pixels along its height and along its width, in both directions, and mirror about half of the images left to right.
# Each image draws its own numbers from torch's global random numbers. The size stays; what comes into view at a border
# is the image reflected there, as `F.pad(..., mode="reflect")` does it. The input must stay as it was. It can be done
# without a loop over the images: think of which row and which column of the padded image each new pixel shows.


# %%
def shift_and_mirror(images: torch.Tensor, shift: int = 4) -> torch.Tensor:
    """Float images (N, C, H, W) to changed ones of the same shape."""
    ### BEGIN SOLUTION
    count, _, height, width = images.shape
    padded = F.pad(images, [shift] * 4, mode="reflect")
    rows = torch.randint(2 * shift + 1, (count, 1)) + torch.arange(height)  # (N, H)
    columns = torch.randint(2 * shift + 1, (count, 1)) + torch.arange(width)  # (N, W)
    columns = torch.where(torch.rand(count, 1) < 0.5, columns.flip(1), columns)
    of_image = torch.arange(count)[:, None, None]
    moved = padded[of_image, :, rows[:, :, None], columns[:, None, :]]  # (N, H, W, C)
    return moved.permute(0, 3, 1, 2)
    ### END SOLUTION


# %%
check("04.3", shift_and_mirror)

# %% [markdown]
# ## 04.4 A running mean of the weights
#
# While the rate is high the weights jump about; their running mean is nearer to a good point. Write the function that
# goes after `optimizer.step()`. `average` began as a copy of `model` (`copy.deepcopy(model)`); each call brings it a
# little closer to the model, in place. Every parameter and every buffer of floating-point numbers, so also the running
# statistics of batch norm, becomes `decay` times its old value plus `1 - decay` times the model's; buffers of whole
# numbers are copied. The function returns nothing and leaves the model alone. The check compares with
# `torch.optim.swa_utils.AveragedModel`.


# %%
def update_average(average: nn.Module, model: nn.Module, decay: float) -> None:
    """One step of the running mean: average <- decay * average + (1 - decay) * model."""
    ### BEGIN SOLUTION
    new_state = model.state_dict()
    for name, mean in average.state_dict().items():  # tensors without gradient, not copies
        if mean.is_floating_point():
            mean.mul_(decay).add_(new_state[name], alpha=1 - decay)
        else:
            mean.copy_(new_state[name])
    ### END SOLUTION


# %%
check("04.4", update_average)

# %% [markdown]
# ## 04.5 Does it help?
#
# In the lesson, two rows often lay closer together than two seeds of one row. How sure can you be of a change? You have
# trained with and without it, from the same seeds. Number i of each list is the accuracy from seed i, so the two belong
# together: a *paired* comparison. Return three things: the mean of the differences (`changed` minus `plain`), the
# standard error of that mean, and `True` if the 95% t interval of the mean excludes 0, `False` if not. The standard
# deviation of the differences is estimated from few numbers; `scipy.stats.t.ppf` knows how much wider that makes the
# interval.


# %%
def compare_settings(plain: Sequence[float], changed: Sequence[float]) -> tuple[float, float, bool]:
    """Accuracies from the same seeds to (mean difference, standard error, excludes 0)."""
    ### BEGIN SOLUTION
    pairs = torch.tensor([plain, changed], dtype=torch.float64)
    differences = pairs[1] - pairs[0]
    count = len(differences)
    mean = differences.mean().item()
    error = differences.std().item() / count**0.5  # std divides by count - 1
    reach = stats.t.ppf(0.975, df=count - 1) * error
    return mean, error, bool(abs(mean) > reach)
    ### END SOLUTION


# %%
check("04.5", compare_settings)

# %% [markdown]
# ## 04.6 No scene on both sides
#
# Photographs come in scenes: ten pictures of one cat, five of one street. A network that is validated on a scene it has
# trained on is asked what it remembers. Write the split: picture i shows class `labels[i]` and belongs to scene
# `scenes[i]`; return the indices of the training pictures and those of the validation pictures.
#
# - Every picture is on exactly one side, and every scene whole on one side, also a scene that shows several classes.
# - Validation holds `val_fraction` of the pictures of *each* class, give or take 5 percentage points. (The check's
#   scenes are small enough for that.) Scenes differ in size, and some classes have few.
# - The same arguments always give the same split, and another seed another one.
#
# One way: go through the scenes in random order and give each to validation if that brings the fractions closer to what
# is wanted; then go through them once more, and let each change sides if that helps.


# %%
def split_by_scene(
    labels: Sequence[int], scenes: Sequence[str], val_fraction: float = 0.2, seed: int = 0
) -> tuple[list[int], list[int]]:
    """The class and the scene of each picture to (training indices, validation indices)."""
    ### BEGIN SOLUTION
    total = Counter(labels)
    of_scene = {}  # how many pictures of each class it holds
    for label, scene in zip(labels, scenes, strict=True):
        of_scene.setdefault(scene, Counter())[label] += 1

    def error(chosen: set[str]) -> float:
        found = Counter()
        for scene in chosen:
            found.update(of_scene[scene])
        return sum((found[label] / total[label] - val_fraction) ** 2 for label in total)

    order = sorted(of_scene)
    random.Random(seed).shuffle(order)
    in_val, lowest = set(), error(set())
    for scene in order + order:  # the second time, a scene may also leave again
        changed = in_val ^ {scene}  # with the scene if it was not in, else without
        if error(changed) < lowest:
            in_val, lowest = changed, error(changed)
    train = [index for index, scene in enumerate(scenes) if scene not in in_val]
    val = [index for index, scene in enumerate(scenes) if scene in in_val]
    return train, val
    ### END SOLUTION


# %%
check("04.6", split_by_scene)

# %% [markdown]
# ## How far you are

# %%
progress(4)
