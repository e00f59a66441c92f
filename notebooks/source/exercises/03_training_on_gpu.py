# %% [markdown]
# # Exercises 3. Training on GPU
#
# To be done after [lesson 3](../03_training_on_gpu.ipynb). Each task asks for a function, and the cell below it checks
# yours with inputs of its own. Stuck? `hint("03.1")` helps a little, called again a little more, and
# `solution("03.1")` shows one way. How far you are is kept in `progress.json` beside this page.

# %% tags=["setup"]
from course_lib.exercises import check, hint, progress, solution

# %%
import copy
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import Dataset

# %% [markdown]
# ## 03.1 Weights for rare classes
#
# Part E of the lesson let each healthy patient count nine times. Write the general rule in one line: for labels (N,)
# from `num_classes` classes, each of which occurs, return one weight for each class as a float32 tensor. A weight is
# inversely proportional to how often its class occurs, and all are scaled such that the weights of the N images have
# the mean 1. Then each class as a whole counts alike, and the weighted loss stays about as large as the plain one.


# %%
def class_weights(labels: Tensor, num_classes: int) -> Tensor:
    """int (N,) to float (num_classes,)."""
    ### BEGIN SOLUTION
    return len(labels) / (num_classes * torch.bincount(labels, minlength=num_classes))
    ### END SOLUTION


# %%
check("03.1", class_weights)

# %% [markdown]
# ## 03.2 One step, with a limit
#
# A single odd batch can have a huge gradient, and one step along it can undo an hour of training. Clipping shortens
# such a gradient before it is used. Write one training step for a network that returns logits (B, K): clear the old
# gradients, compute the cross-entropy, differentiate, shorten the gradient to a length of at most `max_norm`, and step.
# The length is that of all parameters' gradients together, as one long vector; a shorter gradient stays as it is.
# Return the mean loss of the batch before the step, as a plain number (a Python `float`).


# %%
def train_step(
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    images: Tensor,
    labels: Tensor,
    max_norm: float,
) -> float:
    """Images (B, C, H, W) and labels (B,) to the loss; moves the weights once."""
    ### BEGIN SOLUTION
    optimizer.zero_grad()
    loss = F.cross_entropy(model(images), labels)
    loss.backward()
    nn.utils.clip_grad_norm_(model.parameters(), max_norm)
    optimizer.step()
    return loss.item()
    ### END SOLUTION


# %%
check("03.2", train_step)

# %% [markdown]
# ## 03.3 Judge, and leave no trace
#
# Write the function that you will call after each epoch. It gets a network that returns logits (B, K) and a list of
# batches, pairs of images (B, C, H, W) and labels (B,), the last of which may be shorter. Return the mean cross-entropy
# and the accuracy, a fraction in 0..1, both over all images. Compute in evaluation mode and without a record for
# gradients, and leave the network in the mode in which it came: a function that only measures should change nothing.


# %%
def loss_and_accuracy(
    model: nn.Module, batches: Iterable[tuple[Tensor, Tensor]]
) -> tuple[float, float]:
    """Batches of images (B, C, H, W) and labels (B,) to the mean loss and the fraction of right answers."""
    ### BEGIN SOLUTION
    was_training = model.training
    model.eval()
    loss, right, seen = 0.0, 0, 0
    with torch.no_grad():
        for images, labels in batches:
            logits = model(images)  # (B, K)
            loss += F.cross_entropy(logits, labels, reduction="sum").item()
            right += (logits.argmax(dim=1) == labels).sum().item()
            seen += len(labels)
    model.train(was_training)
    return loss / seen, right / seen
    ### END SOLUTION


# %%
check("03.3", loss_and_accuracy)

# %% [markdown]
# ## 03.4 A large batch in pieces
#
# A batch that does not fit into the GPU's memory can be computed in pieces, since `backward()` adds to the gradients
# that are there. Write a function that leaves in each parameter's `.grad` the gradient of the mean cross-entropy over
# all N images, sends at most `piece_size` images through the network at a time, and gives the memory of each piece back
# before the next one. The last piece may be shorter. Clear what an earlier batch left in `.grad`, make no step, and
# return the mean loss over all images, as a plain number.


# %%
def gradient_in_pieces(model: nn.Module, images: Tensor, labels: Tensor, piece_size: int) -> float:
    """Images (N, C, H, W) and labels (N,) to the mean loss; fills the gradients."""
    ### BEGIN SOLUTION
    model.zero_grad()
    total = 0.0
    for some, their in zip(images.split(piece_size), labels.split(piece_size), strict=True):
        share = len(some) / len(images)
        loss = F.cross_entropy(model(some), their) * share
        loss.backward()
        total += loss.item()
    return total
    ### END SOLUTION


# %%
check("03.4", gradient_in_pieces)

# %% [markdown]
# ## 03.5 A threshold, chosen before the test
#
# A patient is predicted sick if the score is at least the threshold. Take the highest threshold that finds at least the
# fraction `sensitivity` of the sick validation patients (label 1); it is the score of one of them. Then report what
# this threshold costs on the test patients: the specificity, which is the fraction of the healthy (label 0) who are
# predicted healthy. Return the threshold and the specificity. Scores may occur more than once, and the test patients
# choose nothing.


# %%
def specificity_at_sensitivity(
    val_scores: Tensor,
    val_labels: Tensor,
    test_scores: Tensor,
    test_labels: Tensor,
    sensitivity: float,
) -> tuple[float, float]:
    """Scores (V,) and (T,) in 0..1 with labels 0 or 1, to the threshold and the specificity on test."""
    ### BEGIN SOLUTION
    sick = val_scores[val_labels == 1]
    found = torch.stack([(sick >= score).float().mean() for score in sick])
    threshold = sick[found >= sensitivity].max()
    healthy = test_scores[test_labels == 0]
    return threshold.item(), (healthy < threshold).float().mean().item()
    ### END SOLUTION


# %%
check("03.5", specificity_at_sensitivity)

# %% [markdown]
# ## 03.6 Stop in time
#
# In the lesson early stopping looked at a finished list of losses. In a training the losses come one by one. Write a
# class with two methods: `stop(loss, model)` is called after each epoch with its validation loss and says whether the
# last `patience` epochs in a row brought no new best; `restore(model)` puts the model back to how it was after the best
# epoch, its batch norm averages included. A loss that only equals the best one is no new best.


# %%
class EarlyStopping:
    """Says when validation loss has not improved for `patience` epochs; keeps the best state."""

    def __init__(self, patience: int) -> None:
        ### BEGIN SOLUTION
        self.patience, self.waited = patience, 0
        self.best, self.state = float("inf"), {}
        ### END SOLUTION

    def stop(self, loss: float, model: nn.Module) -> bool:
        """Note the loss of an epoch; True when it is time to stop."""
        ### BEGIN SOLUTION
        self.waited += 1
        if loss < self.best:
            self.best, self.waited = loss, 0
            self.state = copy.deepcopy(model.state_dict())
        return self.waited >= self.patience
        ### END SOLUTION

    def restore(self, model: nn.Module) -> None:
        """Give the model the state of the best epoch."""
        ### BEGIN SOLUTION
        model.load_state_dict(self.state)
        ### END SOLUTION


# %%
check("03.6", EarlyStopping)

# %% [markdown]
# ## 03.7 Your own images
#
# The real piece of work: a `Dataset` for images of your own. They lie in one folder for each class, as in
# `root/cat/1.png` and `root/dog/7.JPG`. The attribute `classes` lists the names of these folders, sorted, and a label
# is a position in that list. Items come class by class, within a class sorted by file name. Whatever begins with a dot
# is ignored, and so are files that lie beside the class folders. All else in a class folder should be an image.
#
# Item `i` is a pair: the image as a float32 tensor (channels, size, size) in 0..1, and its label as a whole number. The
# whole picture is squeezed into the square, without cropping or a border. `channels` is 1 or 3, whatever the file is:
# gray becomes three equal channels, color becomes gray with Pillow's usual weights, and the opacity of an RGBA file is
# dropped. Files with 8 bits per channel end at 255, gray ones with 16 bits (Pillow's mode `"I;16"`) at 65535.
#
# A folder may hold more than memory does, so a file is read when its item is asked for and not before. A file that
# cannot be read then, because it is no image or was cut short, must raise an error whose message holds the file's name:
# in the ninth hour of a training nobody wants to guess which of 40,000 it was.


# %%
class FolderImages(Dataset):
    """Images in class folders: item i is float32 (channels, size, size) in 0..1 and a label."""

    def __init__(self, root: Path, *, size: int, channels: int = 1) -> None:
        ### BEGIN SOLUTION
        folders = [folder for folder in sorted(root.glob("[!.]*")) if folder.is_dir()]
        self.classes = [folder.name for folder in folders]
        self.files = [(path, k) for k, f in enumerate(folders) for path in sorted(f.glob("[!.]*"))]
        self.size, self.channels = size, channels
        ### END SOLUTION

    def __len__(self) -> int:
        ### BEGIN SOLUTION
        return len(self.files)
        ### END SOLUTION

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        ### BEGIN SOLUTION
        path, label = self.files[index]
        try:
            with Image.open(path) as opened:
                deep = opened.mode.startswith("I")  # 16 bits: convert() would cut them off at 255
                usual = opened if deep else opened.convert("L" if self.channels == 1 else "RGB")
                pixels = np.array(usual, dtype=np.float32) / (65535 if deep else 255)
        except (OSError, SyntaxError, ValueError) as error:
            raise ValueError(f"{path} cannot be read as an image: {error}") from error
        image = torch.from_numpy(np.atleast_3d(pixels)).permute(2, 0, 1)  # (1 or 3, H, W)
        square = F.interpolate(image[None], (self.size,) * 2, mode="bilinear", antialias=True)[0]
        return square.expand(self.channels, -1, -1), label
        ### END SOLUTION


# %%
check("03.7", FolderImages)

# %% [markdown]
# ## 03.8 Find the slow part
#
# Part C of the lesson read a profiler's table. Write the function that makes one. It gets the parts of a training step,
# functions without arguments by their names, and calls all of them in their order, once per step, for `steps` steps.
# It returns for each name the fraction of the whole time that the part took, as plain numbers that sum to 1. Labels of
# `torch.profiler` will do, and so will a stopwatch. The check plants four slow loops: files that are decoded for each
# item, a validation that hides in the bookkeeping, a Python loop over pixels in the forward pass, and an optimizer that
# moves millions of weights for one image. In each, your table must name the culprit.


# %%
def time_by_part(parts: dict[str, Callable[[], object]], steps: int) -> dict[str, float]:
    """Functions by name to the fraction of the time that each takes."""
    ### BEGIN SOLUTION
    with torch.profiler.profile(
        activities=[torch.profiler.ProfilerActivity.CPU], acc_events=True
    ) as profiler:
        for _ in range(steps):
            for name, part in parts.items():
                with torch.profiler.record_function(f"part {name}"):
                    part()
    spent = {event.key: event.cpu_time_total for event in profiler.key_averages()}
    total = sum(spent[f"part {name}"] for name in parts)
    return {name: spent[f"part {name}"] / total for name in parts}
    ### END SOLUTION


# %%
check("03.8", time_by_part)

# %% [markdown]
# ## How far you are

# %%
progress(3)
