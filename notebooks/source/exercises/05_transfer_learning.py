# %% [markdown]
# # Exercises 5. Transfer learning
#
# To be done after [lesson 5](../05_transfer_learning.ipynb). Each task asks for a function, and the cell below it
# checks yours with inputs of its own. Stuck? `hint("05.1")` helps a little, called again a little more, and
# `solution("05.1")` shows one way. How far you are is kept in `progress.json` beside this page.

# %% tags=["setup"]
from course_lib.exercises import check, hint, progress, solution

# %%
import statistics
from collections.abc import Callable, Iterable, Sequence

import torch
from torch import Tensor, nn

# %% [markdown]
# ## 05.1 How much is left to learn?
#
# After freezing, ask how much of a network an optimizer may still change. Return that as a fraction from 0 to 1: the
# numbers in parameters with `requires_grad`, divided by the numbers in all parameters. A weight tensor with 9,216
# numbers counts 9,216 times. Batch-norm statistics are no parameters. This one line shows at once whether the freezing
# reached what you meant.


# %%
def trained_share(model: nn.Module) -> float:
    """Any network to the fraction of its parameters that learn, from 0 to 1."""
    ### BEGIN SOLUTION
    learning = sum(p.numel() for p in model.parameters() if p.requires_grad)
    return learning / sum(p.numel() for p in model.parameters())
    ### END SOLUTION


# %%
check("05.1", trained_share)

# %% [markdown]
# ## 05.2 A stem for gray images
#
# Write a function that turns the first convolution of a color network into one for a single channel. For any gray
# image, the new layer gives what the old one gives for three copies of it. Stride, padding, dilation and bias are kept,
# also where a layer has none or where they differ between rows and columns. The layer that was given in stays as it is,
# and training the new one must not change it. So the weights of ImageNet serve X-rays, at a third of the work.


# %%
def gray_stem(conv: nn.Conv2d) -> nn.Conv2d:
    """A layer for (N, 3, height, width) to one for (N, 1, height, width), with the same output."""
    ### BEGIN SOLUTION
    gray = nn.Conv2d(
        1,
        conv.out_channels,
        conv.kernel_size,
        stride=conv.stride,
        padding=conv.padding,
        dilation=conv.dilation,
        bias=conv.bias is not None,
        padding_mode=conv.padding_mode,
    )
    with torch.no_grad():
        gray.weight.copy_(conv.weight.sum(dim=1, keepdim=True))
        if conv.bias is not None:
            gray.bias.copy_(conv.bias)
    return gray
    ### END SOLUTION


# %%
check("05.2", gray_stem)

# %% [markdown]
# ## 05.3 Frozen for good
#
# Write a function that freezes a backbone and returns it, ready to be built into a larger network. From then on the
# larger one may be trained, with `train()` called before each epoch as usual: the backbone's weights and its batch-norm
# statistics stay the same bit by bit, and it answers in training as it does in evaluation mode, without dropout.
# Gradients still pass *through* it, since a layer in front of it may want to learn. You may change the backbone that
# you are given, or return a module that wraps it.


# %%
def frozen(backbone: nn.Module) -> nn.Module:
    """Any network to one that gives the same output and never changes."""

    ### BEGIN SOLUTION
    class Frozen(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inside = backbone.requires_grad_(False)

        def train(self, mode: bool = True) -> nn.Module:
            return super().train(False)  # whatever the network around it asks for

        def forward(self, images: Tensor) -> Tensor:
            return self.inside(images)

    return Frozen().train()
    ### END SOLUTION


# %%
check("05.3", frozen)

# %% [markdown]
# ## 05.4 Smaller steps for earlier stages
#
# `stages` are the parts of a network in their order, the head last. Return what an optimizer takes: a list of
# dictionaries with `"params"` and `"lr"`. The last stage gets `rate`, and each stage before it `decay` times the rate
# of the stage after it. Frozen parameters are left out, and no group is empty. A stage without any parameters, such as
# a pooling, is no step down. A frozen stage is one, so that thawing it later changes nobody else's rate. A parameter
# that several stages share belongs to the last of them alone: optimizers refuse one that comes twice.


# %%
def rate_groups(
    stages: Sequence[nn.Module], rate: float, decay: float = 0.7
) -> list[dict[str, object]]:
    """Stages, the head last, to parameter groups in any order."""
    ### BEGIN SOLUTION
    groups, taken = [], set()
    for stage in reversed(stages):
        own = list(stage.parameters())
        if not own:
            continue
        learning = [p for p in own if p.requires_grad and id(p) not in taken]
        taken.update(map(id, learning))
        if learning:
            groups.append({"params": learning, "lr": rate})
        rate = decay * rate
    return groups
    ### END SOLUTION


# %%
check("05.4", rate_groups)

# %% [markdown]
# ## 05.5 Features once
#
# Pass all images through the backbone once, batch by batch, and keep the features, so that any number of heads can be
# trained on them. `batches` gives pairs of images (n, channels, height, width) and labels (n,). It may shuffle again
# each time it is gone through, so go through it once. The backbone gives maps; an image's feature is the mean of a map.
# Ask in evaluation mode and without a graph. Afterwards each part of the backbone is in the mode in which it was, which
# need not be the same for all, and gradients are switched on as before.


# %%
def features_of(
    backbone: nn.Module, batches: Iterable[tuple[Tensor, Tensor]]
) -> tuple[Tensor, Tensor]:
    """Batches of N images in all to features (N, maps) and labels (N,), in their order."""
    ### BEGIN SOLUTION
    modes = {part: part.training for part in backbone.modules()}
    backbone.eval()
    features, labels = [], []
    with torch.no_grad():
        for images, batch_labels in batches:
            features.append(backbone(images).mean(dim=(2, 3)))
            labels.append(batch_labels)
    for part, training in modes.items():
        part.training = training
    return torch.cat(features), torch.cat(labels)
    ### END SOLUTION


# %%
check("05.5", features_of)

# %% [markdown]
# ## 05.6 How many labels does a pretrained network save?
#
# "With ImageNet's weights, 160 labels do what took 640 without them": write the function that finds such a sentence.
# `pretrained` and `scratch` each train a network, `pretrained(n, seed)` with `n` labeled images, drawn by the seed,
# and return its accuracy. Training costs hours, so call each of the two once for each number in `counts` and each seed
# in `seeds`, and no more. Return a dictionary:
#
# - `"pretrained"` and `"scratch"`: dictionaries from `n` to a pair, the mean accuracy over the seeds and its spread.
#   The spread is the standard deviation with a divisor of one less than the number of seeds, and `None` for a single
#   seed.
# - `"gain"`: the same for the differences, `pretrained` minus `scratch` *with the same seed*. Both saw the same images,
#   so a lucky draw helps both and drops out of the difference.
# - `"needed"`: the smallest `n` for which the mean of `pretrained` is at least the mean that `scratch` has at the
#   largest `n`. `None` if there is no such `n`.
#
# The numbers in `counts` come in any order, and neither they nor the seeds may be changed.


# %%
def labels_needed(
    pretrained: Callable[[int, int], float],
    scratch: Callable[[int, int], float],
    counts: Sequence[int],
    seeds: Sequence[int],
) -> dict[str, object]:
    """Two functions from (n, seed) to accuracy, numbers of labels, and seeds, to four results."""

    ### BEGIN SOLUTION
    def summed_up(values: list[float]) -> tuple[float, float | None]:
        spread = statistics.stdev(values) if len(values) > 1 else None
        return statistics.fmean(values), spread

    with_it, without, gain = {}, {}, {}
    for n in sorted(counts):
        first = [pretrained(n, seed) for seed in seeds]
        second = [scratch(n, seed) for seed in seeds]
        with_it[n], without[n] = summed_up(first), summed_up(second)
        gain[n] = summed_up([a - b for a, b in zip(first, second, strict=True)])
    target, _ = without[max(counts)]
    enough = [n for n, (mean, _) in with_it.items() if mean >= target]
    needed = min(enough, default=None)
    return {"pretrained": with_it, "scratch": without, "gain": gain, "needed": needed}
    ### END SOLUTION


# %%
check("05.6", labels_needed)

# %% [markdown]
# Section 4 of the lesson has what you need to try it on: `draw` gives the images of a seed, and a probe on features
# against a probe on pixels are two such functions.

# %% [markdown]
# ## How far you are

# %%
progress(5)
