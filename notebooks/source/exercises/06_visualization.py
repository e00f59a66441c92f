# %% [markdown]
# # Exercises 6. Visualization
#
# To be done after [lesson 6](../06_visualization.ipynb). Each task asks for a function, and the cell below it checks
# yours with inputs of its own. Stuck? `hint("06.1")` helps a little, called again a little more, and
# `solution("06.1")` shows one way. How far you are is kept in `progress.json` beside this page.

# %% tags=["setup"]
from course_lib.exercises import check, hint, progress, solution

# %%
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from course_lib.runtime import evaluation_mode

# %% [markdown]
# ## 06.1 A heat map from 0 to 1
#
# Maps of different methods come in different units, so they are scaled before they are drawn beside each other. Write
# a function that moves and stretches each map of a batch so that its coldest pixel becomes 0 and its hottest 1. A flat
# map, all of whose pixels are equal, becomes 0 everywhere. The maps that were given in stay as they are.


# %%
def normalized(heat: Tensor) -> Tensor:
    """(N, height, width) to the same shape, each map from 0 to 1."""
    ### BEGIN SOLUTION
    low, high = heat.amin(dim=(1, 2), keepdim=True), heat.amax(dim=(1, 2), keepdim=True)
    return (heat - low) / (high - low).clamp(min=1e-12)
    ### END SOLUTION


# %%
check("06.1", normalized)

# %% [markdown]
# ## 06.2 The pointing game
#
# Does the hottest pixel of a map lie inside the disease? A map scores 1 for a hit and 0 for a miss. If several pixels
# share the hottest value, the map scores the fraction of *them* that lies in the mask. A flat map points nowhere and
# scores 0. Return one score for each map. How ties are settled matters: coarse maps and maps that were cut off at 0
# have many of them, and if you let the first one win, you measure the upper left corner.


# %%
def pointing_score(heat: Tensor, masks: Tensor) -> Tensor:
    """Heat (N, height, width) and masks of the same shape, bool, to float scores (N,)."""
    ### BEGIN SOLUTION
    flat, inside = heat.flatten(start_dim=1), masks.flatten(start_dim=1)
    hottest = flat == flat.amax(dim=1, keepdim=True)
    score = (hottest & inside).sum(dim=1) / hottest.sum(dim=1)
    return score * ~hottest.all(dim=1)
    ### END SOLUTION


# %%
check("06.2", pointing_score)

# %% [markdown]
# ## 06.3 The maps of any layer
#
# Return what `layer`, a part of `model`, puts out while the model looks at images in evaluation mode. The result is a
# copy without a graph: a later layer that works in place must not reach it. Afterwards your hook is gone, and a model
# that came in training mode is in training mode. All that also holds when the model fails on the way, in which case its
# error comes through to the caller. A tool that leaves traces changes what it was meant to show.


# %%
def maps_of(model: nn.Module, images: Tensor, layer: nn.Module) -> Tensor:
    """Images (N, channels, height, width) to the layer's output, (N, maps, rows, columns)."""
    ### BEGIN SOLUTION
    kept: list[Tensor] = []
    hook = layer.register_forward_hook(lambda _, inputs, output: kept.append(output.clone()))
    was_training = model.training
    model.eval()
    try:
        with torch.no_grad():
            model(images)
    finally:
        hook.remove()
        model.train(was_training)
    return kept[0]
    ### END SOLUTION


# %%
check("06.3", maps_of)

# %% [markdown]
# ## 06.4 Saliency without traces
#
# For each image of a batch, find how fast the logit of *its* class changes with each pixel: the absolute value of the
# gradient, the largest over the channels. `targets` holds a class for each image. The model comes in evaluation mode.
# It may be in the middle of a training step, so its parameters and the gradients stored in them have to stay as they
# are. So do the images, `requires_grad` included.


# %%
def saliency(model: nn.Module, images: Tensor, targets: Tensor) -> Tensor:
    """Images (N, channels, height, width), targets int64 (N,), to maps (N, height, width)."""
    ### BEGIN SOLUTION
    pixels = images.detach().clone().requires_grad_()
    own = model(pixels).gather(1, targets[:, None])  # (N, 1), the logit of each image's class
    (gradient,) = torch.autograd.grad(own.sum(), pixels)
    return gradient.abs().amax(dim=1)
    ### END SOLUTION


# %%
check("06.4", saliency)

# %% [markdown]
# ## 06.5 Grad-CAM for a batch
#
# The lesson's ten lines served one class and trusted the model to be in evaluation mode. Write Grad-CAM for a class of
# each image: every map of `layer` weighted by its mean gradient, summed over the maps, cut off below 0, and then
# enlarged to the size of the images with `mode="bilinear"`. Do not scale the result. The model may come in training
# mode: ask it in evaluation mode, and leave it without your hook, in its old mode, with its old gradients, also when it
# fails. The check compares with captum, to five decimals.


# %%
def grad_cam(model: nn.Module, images: Tensor, targets: Tensor, layer: nn.Module) -> Tensor:
    """Images (N, channels, height, width), targets int64 (N,), to maps (N, height, width)."""
    ### BEGIN SOLUTION
    kept: list[Tensor] = []
    hook = layer.register_forward_hook(lambda _, inputs, output: kept.append(output))
    was_training = model.training
    model.eval()
    try:
        logits = model(images)
    finally:
        hook.remove()
        model.train(was_training)
    (maps,) = kept
    (gradient,) = torch.autograd.grad(logits.gather(1, targets[:, None]).sum(), maps)
    weights = gradient.mean(dim=(2, 3), keepdim=True)  # (N, maps, 1, 1)
    heat = (weights * maps).sum(dim=1, keepdim=True).relu().detach()
    return F.interpolate(heat, images.shape[2:], mode="bilinear")[:, 0]
    ### END SOLUTION


# %%
check("06.5", grad_cam)

# %% [markdown]
# ## 06.6 Put a shortcut to the test
#
# A heat map glows in one corner. Does the answer depend on what lies there? Change only that corner and see. `model`
# gives two logits, class 1 being sick; `healthy` and `sick` are images of which that is known; `box` is a pair of
# slices, rows and columns. Return a dictionary of three fractions, as numbers from 0 to 1, in which only images count
# that the model predicts *correctly* before anything is pasted:
#
# - `"to_sick"`: healthy image `i` gets the box of sick image `i`. Of those predicted healthy before, how many are
#   now predicted sick?
# - `"to_healthy"`: sick image `i` gets the box of healthy image `i`. Of those predicted sick before, how many are
#   now predicted healthy?
# - `"control"`: each image gets the box of the next image of its own kind, the last that of the first. Of all images
#   predicted correctly before, both kinds in one heap, how many change their answer? That is what pasting alone does.
#
# If there are fewer donors than images, begin with the first donor again: `i % len(donors)`. Where no image counts, the
# fraction is 0. The model is asked in evaluation mode and left in the mode in which it came, and the images stay as
# they are.


# %%
def shortcut_test(
    model: nn.Module, healthy: Tensor, sick: Tensor, box: tuple[slice, slice]
) -> dict[str, float]:
    """Images (N, channels, height, width) and (M, channels, height, width) to three fractions."""
    ### BEGIN SOLUTION
    rows, columns = box

    def pasted(images: Tensor, donors: Tensor) -> Tensor:
        changed = images.clone()
        donor = torch.arange(len(images)) % len(donors)
        changed[:, :, rows, columns] = donors[donor][:, :, rows, columns]
        return changed

    def flips(images: Tensor, donors: Tensor, label: int) -> Tensor:
        """For each image that was predicted correctly: does its answer change?"""
        before, after = (model(x).argmax(dim=1) for x in (images, pasted(images, donors)))
        return (after != before)[before == label].float()

    def share(flipped: Tensor) -> float:
        return flipped.mean().item() if len(flipped) else 0.0

    with evaluation_mode(model), torch.no_grad():
        to_sick, to_healthy = flips(healthy, sick, 0), flips(sick, healthy, 1)
        among_healthy = flips(healthy, healthy.roll(-1, dims=0), 0)
        among_sick = flips(sick, sick.roll(-1, dims=0), 1)
    control = share(torch.cat([among_healthy, among_sick]))
    return {"to_sick": share(to_sick), "to_healthy": share(to_healthy), "control": control}
    ### END SOLUTION


# %%
check("06.6", shortcut_test)

# %% [markdown]
# The lesson's network that read letters is worth the test: `marker_box(64)` of `course_lib.data` is its box. A fraction
# far above the control is evidence of a shortcut. A fraction near the control speaks against one in *this* box only.

# %% [markdown]
# ## How far you are

# %%
progress(6)
