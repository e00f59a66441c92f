# %% [markdown]
# # 3. Training on GPU (and on what you have)
#
# You train PneumoniaCNN in one call. Then you write that call yourself, steer it by its curves, and find out where its
# time and memory go, on a processor or on a GPU. At the end you say which of three networks is best, how good it is,
# and how sure you can be. Numbers that decide something don't stand alone here: beside them are other seeds, an
# interval or a control.
#
# After this lesson you can
#
# - write the loops that train and evaluate a network, and name their classic faults,
# - find a learning rate by measuring, and choose a schedule,
# - read curves, find out why one leaps, and cure overfitting one change at a time,
# - profile a loop, move it to a GPU, choose a number format and save memory,
# - compare networks over seeds, choose a threshold on validation, and report with intervals,
# - calibrate, resume, and spread a training over processes.
#
# | part | time | you will have |
# | --- | --- | --- |
# | [A. A loop that learns](#part-a) | 28 min, core | your own loop, the same as the imported one |
# | [B. Learning rate, schedule, curves](#part-b) | 24 min, core | a measured rate, three stories, a cure |
# | [C. On a GPU: time, number formats, memory](#part-c) | 26 min, core | four slow lines found, and what 16 bits lose |
# | [D. Which network, and how good?](#part-d) | 24 min, core | three networks, three seeds, one test |
# | [E. What a score hides](#part-e) | 12 min, core | rare classes, a shortcut, the worst errors |
# | [F. Before others rely on it](#part-f) | 14 min, optional | calibration, resuming, two processes |
#
# You need lessons [1](01_cnn_anatomy.ipynb) and [2](02_building_pneumonia_cnn.ipynb): layers, logits, modes and
# parameters. Computing takes 70 s on two cores (11 min with real images).

# %% tags=["setup"]
from course_lib.lessons import get_real_images, start_lesson

profile = start_lesson(3)

# %% [markdown]
# <a id="part-a"></a>
#
# ## Part A. A loop that learns (28 min, core)
#
# - Say what one training step does, and why it clears the gradients first.
# - Feed a network with batches.
# - Write the training loop and the evaluation loop.
#
# ### It learns
#
# Here are the X-rays of lesson 2, shrunk to 32 pixels (64 for real ones), so that a laptop can train a network in
# seconds. On this page they are simulated; `get_real_images()` fetches real ones (21 MB). Files often come sorted by
# class, so we shuffle once, before anybody takes the first hundred of anything.

# %%
import torch
from torch import nn
from torch.nn import functional as F

from course_lib.data import load_chest_xray
from course_lib.real_results import on_real

size = profile.choose(simulated=32, real=64)  # pixels
splits = load_chest_xray(profile.source, image_size=size)
train, val = splits.train.subset(torch.randperm(len(splits.train))), splits.val
for name, images in (("train", train), ("val", val)):
    print(name, tuple(images.images.shape), images.images.dtype, images.counts())

# %% [markdown]
# Now the PneumoniaCNN that you built in lesson 2 is trained at last. *Training* means: show it all images, change its
# weights a little after each handful, and repeat. A handful is a *batch*, one pass over all training images is an
# *epoch*, and the learning rate, as in lesson 1, sets how far the weights move. `Batches` hands out 32 images at a
# time, and `fit` does the rest.

# %%
from course_lib import training
from course_lib.data import Batches
from course_lib.models import PneumoniaCNN

device = profile.device
on_train, on_val = Batches(train, 32, shuffle=True, device=device), Batches(val, 100, device=device)
epochs = profile.choose(simulated=5, real=8)
torch.manual_seed(0)
dense = PneumoniaCNN(size).to(device)
first = training.fit(dense, on_train, on_val, epochs=epochs, learning_rate=1e-3, seed=0)

# %% [markdown]
# Lesson 2 found that a network which only guesses between two equally common classes has a loss of $\ln 2 = 0.69$.
# Where three in four are sick, as among the real images, always answering 0.75 has a loss of 0.56. Where do the two
# curves start, and where do they end?

# %% tags=["tol-0.1"]
from course_lib.plots import plot_curves, show

passes = range(1, epochs + 1)
level = profile.choose(simulated=0.693, real=0.56)
guessing = ((1, epochs), (level, level))
losses = {"training": (passes, first.train_loss), "validation": (passes, first.val_loss)}
figure = plot_curves(losses | {"guessing": guessing}, xlabel="epoch", ylabel="loss (nats)")
show("it-learns", figure)
print(
    f"AUC on validation: {first.val_auc[0]:.2f} after one epoch, {first.val_auc[-1]:.2f} at the end"
)

# %% [markdown]
# It learns: both curves start near guessing and end well below it. (The loss is in *nats*, the unit that natural
# logarithms give.) Don't be surprised if validation lies *below* training. A point of the training curve is a mean over
# a whole epoch, with dropout on, and for most of that epoch the network knew less than at its end. Does it learn on
# real X-rays, too?

# %%
on_real("03.first", losses, val)

# %% [markdown]
# It does, and starts lower: guessing has 0.56 there, and one epoch holds nearly four times as many images. From here on
# you write what `fit` hides, piece by piece.
#
# ### One device
#
# A tensor lives in the memory of one *device*: the processor's (`cpu`), an NVIDIA GPU's (`cuda`) or an Apple GPU's
# (`mps`). A GPU has thousands of simple arithmetic units, which suits a convolution: the same small sum at every pixel.
# An operation needs all its tensors on one device, and `.to(device)` moves them. Below, `.to` is called on a tensor and
# on a network, and what it returns is thrown away. Which of the two has moved? (Every machine has the device `meta`,
# the one without numbers from lesson 2.)

# %%
images, network = torch.zeros(4, 1, 64, 64), PneumoniaCNN(64)
images.to("meta")
network.to("meta")
print("images: ", images.device)
print("network:", next(network.parameters()).device)
try:
    network(images)
except RuntimeError as error:
    print("RuntimeError:", error)

# %% [markdown]
# A tensor's `.to` returns a moved copy; a network's `.to` moves the network itself. So a loop has
# `images = images.to(device)` for every batch, and `model.to(device)` once, before the optimizer is made. The error is
# the one that you'll meet when you forget. Its wording differs from layer to layer; two device names in one message are
# what to look for. `pick_device()` in `course_lib.runtime` picks an NVIDIA GPU if there is one, else an Apple GPU, else
# the CPU. The set-up cell has already asked it.
#
# ### Steps add up
#
# Lesson 1 nudged a weight: if the loss changes by $g$ times the nudge, then $g$ is the *gradient*, and a step against
# it makes the loss smaller. That's *gradient descent*. Take one weight again. It predicts $w \cdot x$ for $x = 2$, the
# right answer is 6, and the loss is $(2w - 6)^2$. At $w = 1$ the loss is 16, and the gradient is
# $2 (2w - 6) \cdot 2 = -16$.

# %%
w = torch.tensor(1.0, requires_grad=True)
loss = (2 * w - 6) ** 2
loss.backward()  # fills w.grad
print("loss", loss.item(), " gradient", w.grad.item())
with torch.no_grad():  # the step itself is not part of what is differentiated
    w -= 0.1 * w.grad
print(f"w after one step {w.item():.1f}, loss {(2 * w.item() - 6) ** 2:.2f}")

# %% [markdown]
# From 16 to 0.64 in one step. Now call `backward()` a second time. At the new weight, 2.6, the gradient is
# $2 \cdot (-0.8) \cdot 2 = -3.2$.

# %%
from course_lib.widgets import Predict

Predict("3.1")

# %%
loss = (2 * w - 6) ** 2
loss.backward()
print(f"without clearing: {w.grad.item():.1f}")
w.grad = None
loss = (2 * w - 6) ** 2
loss.backward()
print(f"after clearing:   {w.grad.item():.1f}")

# %% [markdown]
# <details><summary>What happened, and why</summary>
#
# `backward()` adds to what is there. So each step of a training loop begins with `optimizer.zero_grad()`. It's left out
# on purpose only where one large batch is computed in pieces (*gradient accumulation*, in the exercises).
# </details>
#
# How large may the learning rate be? Take five steps from $w = 1$, at five rates. The gradient is written out,
# $4 (2w - 6)$. One arrives in a single step, one never arrives and never leaves, and one gets worse with every step.
# Which?

# %%
from course_lib.tables import Table

rows = []
for learning_rate in (0.02, 0.1, 0.125, 0.25, 0.3):
    w, path = 1.0, []
    for _ in range(5):
        w -= learning_rate * 4 * (2 * w - 6)
        path.append(f"{(2 * w - 6) ** 2:.3f}")
    rows.append((str(learning_rate), *path))
Table("The loss after each step", ("rate", "1", "2", "3", "4", "5"), rows)

# %% [markdown]
# A rate that is too small is slow, and one that is too large diverges. Where divergence begins is set by the
# *curvature*: here the gradient changes by 8 per unit of $w$, and any rate above $2 / 8$ overshoots further each time.
# A network has a curvature in every direction, it changes while it learns, and nobody knows it beforehand. In the
# valley below the curvature is 8 across and 1 along. Which rate is the largest that settles? Does *momentum*, which
# lets each step go on in part in the direction of the last, allow a larger one or a smaller one?

# %%
from course_lib.widgets import descent_explorer

descent_explorer()

# %% [markdown]
# <details><summary>Answer</summary>
#
# The steep direction decides: any rate below $2 / 8 = 0.25$ settles. Momentum allows a larger one. If a fraction
# $\beta$ of the last step carries over, the limit is $2 (1 + \beta) / 8$, so 0.475 for $\beta = 0.9$
# ([Goh 2017](https://doi.org/10.23915/distill.00006) draws why).
# </details>
#
# ### Batches
#
# One image gives a noisy gradient, and all of them together take long. A batch of some dozens is the usual compromise.
# PyTorch's way to make them has two parts:
#
# - A [`Dataset`](https://docs.pytorch.org/docs/stable/data.html) answers "how many?" and "give me number i". Our image
#   sets are such a dataset.
# - A `DataLoader` draws an order, collects items and stacks them.

# %%
from torch.utils.data import DataLoader

image, label = train[0]
print("one item:", tuple(image.shape), image.dtype, "label", label)
loader = DataLoader(train, batch_size=32, shuffle=True)
images, labels = next(iter(loader))
print("a batch: ", tuple(images.shape), tuple(labels.shape), "of", len(loader))

# %% [markdown]
# > **Workers.** With `num_workers=2` two helper processes fetch items while the network computes, which pays when each
# > item must be decoded from a file. They take time to start, in every epoch unless you say `persistent_workers=True`.
# > On Windows and macOS, and on Linux from Python 3.14 on, each is a fresh Python. It can't find a class that was
# > defined in a notebook's cell, and a script that makes workers needs `if __name__ == "__main__":`. Begin without.
#
# If all images fit into memory there is a simpler way: keep them as bytes in one tensor, and cut a batch out of it with
# one index.


# %%
def batches(images, labels, batch_size):
    """Images (N, C, H, W) as bytes to batches of floats in 0..1, in a new order each time."""
    for chosen in torch.randperm(len(images)).split(batch_size):
        yield images[chosen].to(device).float() / 255, labels[chosen].to(device)


# %% tags=["tol-x30"]
import time


def images_per_second(pipeline):
    started = time.perf_counter()
    seen = sum(len(labels) for _, labels in pipeline)
    return seen / (time.perf_counter() - started)


pipelines = {
    "DataLoader": DataLoader(train, batch_size=32, shuffle=True),
    "DataLoader, two workers": DataLoader(train, batch_size=32, shuffle=True, num_workers=2),
    "one tensor in memory": batches(train.images, train.labels, 32),
}
rows = [(name, f"{images_per_second(one):,.0f}") for name, one in pipelines.items()]
Table("One pass over the training images, on this machine", ("", "images per second"), rows)

# %% [markdown]
# These are the numbers of one machine. Nothing is decoded here, so workers have nothing to help with. The third way
# does the least work per image and will be ours; `Batches`, which you met above, is this function with a few
# conveniences.
#
# ### The loop
#
# Here is the whole of training, and the evaluation after each epoch. What differs between the two rows?

# %%
from course_lib.schematics import schematic

schematic("one-epoch")

# %% [markdown]
# The five calls are those of lesson 2. What's new is the bookkeeping: each batch's loss is weighted by its number of
# images, since the last batch is shorter and would otherwise count too much.


# %%
def train_one_epoch(model, train, optimizer, *, schedule=None):
    """One pass over the batches of `train`; returns the mean loss over its images."""
    model.train()
    total, seen = 0.0, 0
    for images, labels in train:
        optimizer.zero_grad()
        loss = F.cross_entropy(model(images), labels)  # the mean over the batch
        loss.backward()
        optimizer.step()
        if schedule is not None:  # Part B
            schedule.step()
        total += loss.item() * len(labels)
        seen += len(labels)
    return total / seen


# %% [markdown]
# `loss.item()` takes out the plain number. If you collect `loss` itself, each one keeps the record of its computation
# in memory. The evaluation loop leaves things out: no record for gradients, no step, and no training mode. It keeps
# logits and labels, since every score follows from these two.


# %%
@torch.no_grad()
def evaluate(model, data):
    """The logits (N, 2) and labels (N,) of all images of `data`."""
    model.eval()
    pairs = [(model(images), labels) for images, labels in data]
    logits, labels = zip(*pairs, strict=True)
    return torch.cat(logits).cpu(), torch.cat(labels).cpu()


# %% [markdown]
# ### Yours is the imported one
#
# [*AdamW*](https://arxiv.org/abs/1711.05101) is gradient descent in which each weight follows a running mean of its
# gradients, divided by how large they have been lately. *Weight decay* pulls every weight a little toward zero. Now
# give the same seed and the same 256 images to your loop and to the one in the package. How closely will the two losses
# agree?

# %% tags=["tol-0.003"]
small = train.subset(torch.arange(256))
both = {}
for name, loop in (("yours", train_one_epoch), ("imported", training.train_one_epoch)):
    torch.manual_seed(0)
    model = PneumoniaCNN(size).to(device)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    if name == "yours":
        data = batches(small.images, small.labels, 32)
    else:
        data = Batches(small, 32, shuffle=True, device=device)
    both[name] = loop(model, data, optimizer)
    print(f"{name}: training loss {both[name]:.3f}")

# %% [markdown]
# The loops are the same, and yet the two losses agree only to about 0.01. The package stores images in another order in
# memory (Part C), so sums round differently. AdamW's first steps then magnify that: each weight moves by about the
# learning rate, however small its gradient, and where the gradient is nearly zero, rounding decides its sign. Measured
# once: with the images in your order the two agree in every digit, and with 64-bit numbers in twelve.
#
# So you may let the package do it. `fit` runs both loops once per epoch, and adds
#
# - a schedule for the learning rate (Part B), and a weight decay of 0.05 instead of AdamW's 0.01,
# - the *fused* form of AdamW, which updates all weights in one call, and 16-bit arithmetic where the machine has it
#   (Part C),
# - saving and resuming (Part F), early stopping, and a history.
#
# ### Stop here
#
# A step clears, predicts, measures, computes gradients and moves the weights. Evaluation does only the second and the
# third, in evaluation mode. **To discuss:** delete one of the five lines of a step. Which deletions raise no error, and
# how does each curve look?
#
# <details><summary>One answer</summary>Without `zero_grad` the loss jumps around. Without `backward` there are no
# gradients, and without `step` nobody uses them: both losses stay flat. Without the prediction or the loss there is an
# error.</details>

# %% [markdown]
# <a id="part-b"></a>
#
# ## Part B. Learning rate, schedule, curves (24 min, core)
#
# - Find a learning rate by measuring.
# - Find out why a validation curve leaps.
# - Name underfitting and overfitting with their cures.
#
# ### The range test
#
# Start with a rate so small that nothing happens, raise it a little after every batch, and watch the loss: it stays,
# falls, and then turns unsteady. A good rate lies well below the one at which that begins. This is the *range test*
# ([Smith 2015](https://arxiv.org/abs/1506.01186)).


# %%
def range_test(model, rates):
    """The loss of one batch after another, each with the next of the rising `rates`."""
    optimizer = torch.optim.AdamW(model.parameters())
    model.train()
    losses = []
    while len(losses) < len(rates):
        for (images, labels), rate in zip(on_train, rates[len(losses) :], strict=False):
            optimizer.param_groups[0]["lr"] = rate
            optimizer.zero_grad()
            loss = F.cross_entropy(model(images), labels)
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
    return losses


# %% [markdown]
# From here on the network is `CompactCNN`, which opened lesson 1: five narrow blocks like those of PneumoniaCNN, a mean
# per map, and a first step that standardizes each image. Test it with and without its batch norm, from three seeds.
# Batch norm is said to allow higher rates. Does it here?

# %% tags=["tol-0.15"]
from course_lib.models import CompactCNN


def without_batch_norm():
    model = CompactCNN()
    for block in model.blocks:
        block[1] = nn.Identity()
    return model


rates = torch.logspace(-5, 0, 40).tolist()
tested, lowest = {}, {}
for name, build in (("with batch norm", CompactCNN), ("without", without_batch_norm)):
    tested[name] = {}
    for seed in range(3):
        torch.manual_seed(seed)
        found = torch.tensor(range_test(build().to(device), rates))
        smooth = found.unfold(0, 7, 1).mean(dim=1)  # a mean over seven batches
        tested[name][f"seed {seed}"] = (rates[3:-3], smooth.tolist())
        lowest.setdefault(name, []).append(smooth.nan_to_num(9).min().item())
    print(f"{name}: lowest loss", ", ".join(f"{loss:.2f}" for loss in lowest[name]))

# %%
from course_lib.plots import plot_curve_panels

figure = plot_curve_panels(
    tested,
    title="The range test, AdamW",
    xlabel="learning rate",
    ylabel="loss (nats), mean of seven batches",
    log_x=True,
    ylim=(0.4, 1.4),
)
show("range-test", figure)

# %% [markdown]
# Three things to read:
#
# - With batch norm the loss falls over a wide range of rates, so the network learns more in these few batches. Without
#   it, the loss hardly leaves guessing before it turns unsteady.
# - But it allows no clearly higher rate. On this page both networks fail somewhere between 0.01 and 0.1. AdamW has
#   already scaled the steps, as in lesson 2.
# - On the left, find the rate at which a curve first turns up: the seeds differ by a factor of ten and more. A constant
#   rate should stay below all of them: we take 0.001. The peak of a schedule lasts only for a moment and may lie above
#   the lowest of them: we take 0.01.
#
# The test gives an order of magnitude and no more, for the price of forty batches.
#
# ### A constant rate
#
# Now train CompactCNN with a careful constant rate, 0.001, and keep a copy of the network after every epoch. Three
# seeds, because one training is one draw: other first weights and another order of the images give another network.
# (`pct_start=None` tells `fit` to leave the rate as it is.)


# %%
import copy


def trained(build, rate, seed, *, pct_start=0.25):
    """A trained network, its history, and a copy of it after each epoch."""
    torch.manual_seed(seed)
    model, copies = build().to(device), []
    how = {"epochs": epochs, "learning_rate": rate, "pct_start": pct_start, "seed": seed}
    keep = {"on_epoch": lambda _: copies.append(copy.deepcopy(model))}
    history = training.fit(model, on_train, on_val, **how, **keep)
    return model, history, copies


constant = [trained(CompactCNN, 1e-3, seed, pct_start=None) for seed in range(3)]

# %%
panels = {"training": {}, "validation": {}}
for seed, (_, history, _) in enumerate(constant):
    panels["training"][f"seed {seed}"] = (passes, history.train_loss)
    panels["validation"][f"seed {seed}"] = (passes, history.val_loss)
axes = {"xlabel": "epoch", "ylabel": "loss (nats)"}
figure = plot_curve_panels(panels, title="CompactCNN at a constant rate of 0.001", **axes)
show("constant-rate", figure, source=profile.source)

# %% [markdown]
# The training loss falls smoothly. The validation loss, over the same images each time, leaps. Overfitting? A rate that
# is too high? There is a third suspect. Evaluation uses batch norm's running averages, which follow the layers with a
# delay of some ten batches, and the weights keep moving. That can be tested: take the copies, change no weight, and
# compute only the averages again, from training images.

# %%
Predict("3.2")

# %% tags=["tol-0.3"]
from torch.optim.swa_utils import update_bn

some = [images for images, _ in Batches(train.subset(torch.arange(300)), 100, device=device)]
renewed, leaps, rows = [], [], []
for seed, (_, history, copies) in enumerate(constant):
    for model in copies:
        update_bn(some, model)  # plain averages over `some`; no weight moves
    renewed.append([training.evaluate(model, on_val).loss for model in copies])
    worst = max(range(2, epochs), key=lambda epoch: history.val_loss[epoch])
    leaps.append((history.val_loss[worst], renewed[-1][worst]))
    rows.append((f"seed {seed}, epoch {worst + 1}", *(f"{loss:.2f}" for loss in leaps[-1])))
Table("Validation loss, worst epoch from the third on", ("", "as it was", "renewed"), rows)

# %% [markdown]
# <details><summary>What happened, and why</summary>
#
# With the same weights and fresh averages the leaps are gone: the averages were at fault, not the weights. What's left
# is the curve that tells you about the weights. It needn't fall in every epoch, and a rise that stays after renewal is
# real.
# </details>
#
# `update_bn` was made for averaged weights, and puts mode and momentum back as they were. Here are both curves of seed
# 0. Does the curve leap on real patients as well?

# %%
history = constant[0][1]
curves = {"training": (passes, history.train_loss), "validation": (passes, history.val_loss)}
curves |= {"guessing": guessing, "validation, averages renewed": (passes, renewed[0])}
on_real("03.curves", curves, val)

# %% [markdown]
# From seed 0 the recorded validation curve leaps as well, and the one with renewed averages is far calmer. (From the
# other two seeds it hardly leaps.)
#
# ### One cycle
#
# So far the rate stayed where it was. It needn't. The *one-cycle schedule* ([Smith
# 2017](https://arxiv.org/abs/1708.07120)) starts low while the first gradients are wild, rises to a peak, and falls to
# nearly nothing, so that the network settles and its averages catch up.

# %%
schematic("one-cycle")

# %% [markdown]
# In PyTorch it's one object, `torch.optim.lr_scheduler.OneCycleLR`, and one line in the loop: `schedule.step()` after
# each batch. Its `pct_start` is the fraction of the steps in which the rate rises, here a quarter. It also cycles
# AdamW's first beta, its momentum: 0.95, down to 0.85 at the peak, and back. `fit` does all this. What will the
# validation loss be at the end, at a peak ten times as high as the constant rate was?

# %% tags=["tol-0.4"]
cycle = [trained(CompactCNN, 1e-2, seed) for seed in range(3)]
ends = {"constant, 0.001": constant, "one cycle, peak 0.01": cycle}
rows = [
    (name, *(f"{history.val_loss[-1]:.2f}" for _, history, _ in runs))
    for name, runs in ends.items()
]
Table("Validation loss after the last epoch", ("", "seed 0", "seed 1", "seed 2"), rows)

# %%
panels = {"constant rate": {}, "one cycle": {}}
for name, runs in zip(panels, ends.values(), strict=True):
    for seed, (_, history, _) in enumerate(runs):
        panels[name][f"seed {seed}"] = (passes, history.val_loss)
show("constant-or-one-cycle", plot_curve_panels(panels, title="Validation loss", **axes))

# %% [markdown]
# The cycle is far off, too, while its rate is high, and comes to rest at its end. The price: the number of epochs must
# be fixed beforehand, since a cycle that is stopped early hasn't come to rest.
#
# Don't credit the schedule with the whole gain. Two things differ between the panels, schedule and peak, and a part of
# the constant rate's loss is the lag of its averages, as the renewed ones show. On real X-rays, which of the two ends
# lower once the lag is taken away?

# %%
as_it_was, with_new_averages = zip(*leaps, strict=True)
on_real(
    "03.lag",
    {
        "constant, worst epoch": as_it_was,
        "constant, that epoch, renewed": with_new_averages,
        "constant, last epoch": [history.val_loss[-1] for _, history, _ in constant],
        "constant, last epoch, renewed": [losses[-1] for losses in renewed],
        "one cycle, last epoch": [history.val_loss[-1] for _, history, _ in cycle],
    },
    val,
)

# %% [markdown]
# The cycle, in the mean; the ranges of the two just touch.
#
# ### Three stories
#
# Training and validation loss together tell three stories. To see them without the leaps of batch norm, take a plain
# network of three convolutions and two dense layers, and a far simpler one: a linear layer that sees 64 numbers, the
# means over an 8x8 grid.


# %%
def plain_network(dropout=0.0):
    """Three convolutions, three poolings, two dense layers, and no batch norm."""
    blocks, before = [nn.InstanceNorm2d(1)], 1  # standardizes each image
    for channels in (8, 16, 32):
        blocks += [nn.Conv2d(before, channels, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)]
        before = channels
    flat = 32 * (size // 8) ** 2
    head = [nn.Linear(flat, 64), nn.ReLU(), nn.Dropout(dropout), nn.Linear(64, 2)]
    return nn.Sequential(*blocks, nn.Flatten(), *head)


def few_means():
    means = [nn.InstanceNorm2d(1), nn.AdaptiveAvgPool2d(8)]
    return nn.Sequential(*means, nn.Flatten(), nn.Linear(64, 2))


# %%
def run(build, count, epochs, *, rate=2e-3, seed=0, augment=None, judge_from=0):
    """A network trained on `count` images, and its losses after each epoch, (training, validation)."""
    torch.manual_seed(seed)
    model, losses = build().to(device), []
    optimizer = torch.optim.AdamW(model.parameters(), lr=rate)
    few, batch_size = train.subset(torch.arange(count)), 16 if count < 500 else 32
    data = Batches(few, batch_size, shuffle=True, device=device, augment=augment)
    for epoch in range(epochs):
        seen = train_one_epoch(model, data, optimizer)
        if epoch >= judge_from:
            losses.append((seen, training.evaluate(model, on_val).loss))
    return model, losses


# %% [markdown]
# The simple one gets all images, the plain one first 128 and then all of them. Sketch the pair of curves for each.

# %%
few_epochs = profile.choose(simulated=6, real=3)
stories = {
    "64 means": run(few_means, len(train), few_epochs, rate=1e-2),
    "128 images": run(plain_network, 128, 30),
    "all images": run(plain_network, len(train), few_epochs),
}
panels = {}
for name, (_, losses) in stories.items():
    seen, unseen = zip(*losses, strict=True)
    steps = range(1, len(losses) + 1)
    panels[name] = {"training": (steps, seen), "validation": (steps, unseen)}
figure = plot_curve_panels(panels, title="Three trainings", ylim=(0, 1.2), **axes)
show("three-pairs-of-curves", figure)

# %% [markdown]
# - Left, **underfitting**: both losses are high and nearly equal. The network learns something and then hardly more.
#   More images or more epochs won't help; a larger network will.
# - Middle, **overfitting**: it memorizes its 128 images. From some epoch on, it learns about these images and not about
#   pneumonia.
# - Right, the same network with more images: hardly a gap, and validation lies below training for the reason given in
#   Part A.
#
# ### Early stopping
#
# *Early stopping* makes a rule of the middle panel: stop when there has been no new best for `patience` epochs, and go
# back to the best weights. Where will it stop?

# %% tags=["tol-0.25"]
unseen = [loss for _, loss in stories["128 images"][1]]
patience, best = 5, 0
for epoch in range(len(unseen)):
    if unseen[epoch] < unseen[best]:
        best = epoch
    if epoch - best >= patience:
        break
print(f"validation loss {unseen[best]:.2f} where it went back to, {unseen[-1]:.2f} at the end")
curves = {
    "validation": (range(1, len(unseen) + 1), unseen),
    "best so far": ((best + 1, best + 1), (0.4, max(unseen))),
    "stopped here": ((epoch + 1, epoch + 1), (0.4, max(unseen))),
}
show("early-stopping", plot_curves(curves, **axes))

# %% [markdown]
# The rule can't see what lies to the right of its second line: if a better minimum comes later, it's missed. And it has
# looked at the validation images many times. The best of many noisy numbers flatters, so report a score on images that
# had no part in any choice.
#
# ### Cures, one at a time
#
# What helps against overfitting? Take the 128 images again and change one thing at a time: *dropout* in the head, or
# copies that are shifted by up to three pixels and sometimes mirrored (lesson 4 calls that *augmentation*), or more
# images. The loss is the mean over the last five epochs (with all images: the last one), on validation, from three
# seeds. On simulated images all four take nearly the same number of steps: 240, and 228 with all images.


# %%
def moved(images):
    """A batch shifted by up to three pixels, and mirrored every other time."""
    down, right = torch.randint(-3, 4, (2,)).tolist()
    images = images.roll((down, right), dims=(2, 3))
    return images.flip(3) if torch.rand(()) < 0.5 else images


cures = {
    "128 images": (plain_network, 128, 30, {}),
    "+ dropout 0.5": (lambda: plain_network(dropout=0.5), 128, 30, {}),
    "+ moved copies": (plain_network, 128, 30, {"augment": moved}),
    "all images": (plain_network, len(train), few_epochs, {}),
}
cured = {}
for name, (build, count, length, change) in cures.items():
    last = 5 if count == 128 else 1  # epochs
    runs = [stories[name]] if name in stories else []  # seed 0 is known already
    for seed in range(len(runs), 3):
        runs.append(run(build, count, length, seed=seed, judge_from=length - last, **change))
    cured[name] = [sum(loss for _, loss in losses[-last:]) / last for _, losses in runs]

# %% tags=["tol-0.3"]
rows = [(name, *(f"{loss:.2f}" for loss in losses)) for name, losses in cured.items()]
Table("Validation loss at the end", ("", "seed 0", "seed 1", "seed 2"), rows)

# %% [markdown]
# Each of the three lowers the mean of the three seeds, and more images help most, from every seed. Between the two
# middle rows three seeds don't decide, even where one of them is ahead in all three: the differences are small and
# uneven. Lesson 4 shows how to judge that. Now on real X-rays: which ranges overlap?

# %%
on_real("03.cures", cured, val)

# %% [markdown]
# Only those of the two middle rows. Each cure helps by more than the seeds differ, and more images help most again.
# There, all images also took more steps, 417 instead of 240.
#
# ### Stop here
#
# A range test gives the order of magnitude of a rate. A validation curve that leaps and comes back may be batch norm's
# lag; one that leaves the training curve for good is overfitting. **To discuss:** validation loss rises for three
# epochs. Name three possible reasons, and for each the cheapest experiment that would show it.
#
# <details><summary>One answer</summary>Lag: renew the averages. Overfitting: does the training loss still fall? A rate
# that is too high: halve it.</details>

# %% [markdown]
# <a id="part-c"></a>
#
# ## Part C. On a GPU: time, number formats, memory (26 min, core)
#
# - Find the slow line of a loop with a profiler.
# - Say what changes on a GPU, and choose a number format.
# - Trade time for memory.
#
# ### Four loops, one slow line each
#
# Don't guess where time goes; ask the [*profiler*](https://docs.pytorch.org/docs/stable/profiler.html). It notes when
# each operation begins and ends, and with `record_function` you put labels of your own around parts of a loop. The last
# label, `books`, is for the bookkeeping.


# %%
from torch.profiler import ProfilerActivity, record_function

PARTS = ("data", "forward", "backward", "step", "books")


def profiled(model, next_batch, *, after=torch.Tensor.item, steps=2):
    """The fraction of the time that each part of a training step takes, on the processor."""
    optimizer = torch.optim.AdamW(model.train().parameters(), lr=1e-3)
    how = {"activities": [ProfilerActivity.CPU], "acc_events": True}
    with torch.profiler.profile(**how) as profiler:
        for _ in range(steps):
            with record_function("data"):
                images, labels = next_batch()
            optimizer.zero_grad()
            with record_function("forward"):
                loss = F.cross_entropy(model(images), labels)
            with record_function("backward"):
                loss.backward()
            with record_function("step"):
                optimizer.step()
            with record_function("books"):
                after(loss)
    spent = {event.key: event.cpu_time_total for event in profiler.key_averages()}
    return {part: spent[part] / sum(spent[one] for one in PARTS) for part in PARTS}


# %% [markdown]
# Here are four loops, each with one slow line. Read the code before the table: where will each of them spend its time?
# The first reads its images from files with a million pixels each.

# %%
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image

folder = Path(tempfile.mkdtemp())
paths = [folder / f"{number}.jpg" for number in range(16)]
for path, image in zip(paths, train.images, strict=False):
    Image.fromarray(image[0].numpy()).resize((1000, 1000)).save(path)
labels = train.labels[:16]


def shrunk(path):
    with Image.open(path) as opened:
        return torch.from_numpy(np.array(opened.resize((size, size)))).float() / 255


def from_files():
    return torch.stack([shrunk(path) for path in paths])[:, None], labels


# %%
class FromDarkest(CompactCNN):
    def forward(self, images):  # the darkest pixel of each image becomes 0
        darkest = [min(float(pixel) for pixel in image.flatten()) for image in images]
        return super().forward(images - torch.tensor(darkest).reshape(-1, 1, 1, 1))


def validate(loss):
    return loss.item(), training.evaluate(judged, Batches(val, 100)).loss


judged, sixteen = CompactCNN(), (train.images[:16].float() / 255, labels)
four = tuple(part[:4] for part in sixteen)
loops = {
    "1": profiled(CompactCNN(), from_files),
    "2": profiled(judged, lambda: sixteen, after=validate),
    "3": profiled(FromDarkest(), lambda: four, steps=1),
    "4": profiled(PneumoniaCNN(64), lambda: (torch.rand(1, 1, 64, 64), labels[:1]), steps=4),
    "a sound one": profiled(CompactCNN(), lambda: sixteen),
}

# %% [markdown]
# Here is what the profiler says. Which line of which loop is to blame?

# %% tags=["tol-0.4"]
rows = [
    (name, *(f"{fraction:.2f}" for fraction in fractions.values()))
    for name, fractions in loops.items()
]
Table("Fraction of the time", ("loop", *PARTS), rows)

# %% [markdown]
# <details><summary>Answer</summary>
#
# - Loop 1 decodes its files again for every batch: *data*. Decode once, keep bytes; or give the work to workers.
# - Loop 2 validates after each batch: *books*. Once per epoch is enough.
# - Loop 3 visits pixels one by one in Python: *forward*. `images.amin(dim=(2, 3), keepdim=True)` does it in one call.
# - Loop 4 takes batches of one image: *step*. The optimizer moves four million weights for each image. Take larger
#   batches.
# </details>
#
# In the sound loop, the forward and backward passes take most of the time, as they should. Fix the largest part first:
# if a part takes a fraction $f$ of the time, removing all of it makes the loop $1 / (1 - f)$ times as fast, and no more
# ([Amdahl's law](https://doi.org/10.1145/1465482.1465560)).
#
# ### What changes on a GPU
#
# The code doesn't: `device` is in every line that needs it. What changes is where the time goes. Python *hands over*
# work and goes on before it's done.

# %%
schematic("cpu-and-gpu")

# %% [markdown]
# Four things follow:
#
# - **A stopwatch needs `torch.cuda.synchronize()`**, or it measures the handing over (on a Mac,
#   `torch.mps.synchronize()`).
# - **`.item()` waits.** So do `print(loss)`, `.cpu()` and an `if` about a tensor. On a fast GPU with small batches, add
#   up `loss.detach()` and call `.item()` once per epoch.
# - **Moving costs.** From *pinned* memory (`pin_memory=True`) a GPU copies with `.to(device, non_blocking=True)` while
#   Python goes on. Pinning takes time of its own and memory that the system can't move, so it isn't free. In the
#   other direction it does harm: after `.to("cpu", non_blocking=True)` you may read numbers that haven't arrived. Or
#   let bytes wait on the GPU, as `Batches` can, and convert them there: a quarter of the traffic, or none.
# - **Some sums are added in another order each time**, so two runs agree closely at first and drift apart later.
#   PyTorch's page on [reproducibility](https://docs.pytorch.org/docs/stable/notes/randomness.html) says what can be
#   done about it, and what it costs.
#
# A network of small layers can leave a GPU waiting for Python however fast it is.
# [`torch.compile`](https://docs.pytorch.org/docs/stable/generated/torch.compile.html) fuses small operations into fewer
# large ones. *CUDA graphs* (`mode="reduce-overhead"`) record a whole step once and replay it with one call. Both need
# from seconds to a minute to start, so they pay in long trainings. Smaller switches: make a tensor where it's used
# (`torch.zeros(..., device=device)`); let cuDNN try its convolution routines and keep the fastest
# (`torch.backends.cudnn.benchmark = True`), which pays when all batches have one shape; and switch
# `torch.autograd.set_detect_anomaly` and the profiler off again.
#
# ### Faster, one change at a time
#
# Each row below keeps the changes above it. *Channels last* stores the numbers of one pixel side by side, which the
# fast convolution routines read anyway. A *larger batch* keeps the arithmetic units busy. *Lower precision* multiplies
# with 16 bits, where the machine has instructions for that.


# %%
from course_lib.runtime import Precision


def step_seconds(*, batch_size, layout=torch.contiguous_format, precision, compiled=False):
    """The median time of seven training steps, after one to warm up."""
    model = CompactCNN().to(device, memory_format=layout).train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    forward = torch.compile(model) if compiled else model
    images, labels = next(batches(train.images, train.labels, batch_size))
    images, seconds = images.to(memory_format=layout), []
    for _ in range(8):
        started = time.perf_counter()
        optimizer.zero_grad()
        with precision.autocast():
            loss = F.cross_entropy(forward(images), labels)
        loss.backward()
        optimizer.step()
        if device.type != "cpu":
            getattr(torch, device.type).synchronize()
        seconds.append(time.perf_counter() - started)
    return sorted(seconds[1:])[3]


# %% [markdown]
# How fast is fast? Count the floating-point operations of a step, and divide by what the machine could do in the same
# time at its best, in large matrix products and convolutions. That fraction is the *MFU*, model FLOPs utilization
# ([Chowdhery and others 2022](https://arxiv.org/abs/2204.02311)).

# %% tags=["tol-x20"]
from course_lib.flops import count_flops, peak_flops

exact, lower, last = Precision(device.type, None), Precision.best(device), torch.channels_last
changes = {
    "batches of 32, float32": {"batch_size": 32, "precision": exact},
    "+ channels last": {"batch_size": 32, "layout": last, "precision": exact},
    "+ batches of 128": {"batch_size": 128, "layout": last, "precision": exact},
    f"+ {lower.name}": {"batch_size": 128, "layout": last, "precision": lower},
}
if device.type == "cuda":
    changes["+ compiled"] = changes[f"+ {lower.name}"] | {"compiled": True}
one_image = train.images[:1].float() / 255
network = CompactCNN()
flops = count_flops(lambda: network.eval()(one_image).sum().backward())  # of one image
rows = []
for name, how in changes.items():
    speed = how["batch_size"] / step_seconds(**how)
    mfu = speed * flops / peak_flops(how["precision"], device)
    rows.append((name, f"{speed:,.0f}", f"{mfu:.2f}"))
Table(f"{flops / 1e6:.0f} million operations per image", ("", "images per second", "MFU"), rows)

# %% [markdown]
# How much each row brings depends on the machine, and a row may be slower than the one above. That's why you measure.
# Channels last changes no result apart from rounding. A larger batch means fewer steps per epoch and may need a higher
# rate or more epochs: judge it by the loss after a minute, not by images per second. An MFU far below one half, at a
# batch that fills the machine, says that something other than arithmetic takes the time.
#
# The 16-bit row is measured against the peak of 16-bit products. That peak is higher, so the MFU may fall while the
# images per second rise. (PyTorch's
# [tuning guide](https://docs.pytorch.org/tutorials/recipes/recipes/tuning_guide.html) lists more.)
#
# ### Number formats
#
# A computer stores the number 10 as $1.25 \cdot 2^3$: a sign, the *exponent* 3 and the *fraction* .25. A format says
# how many bits each of them gets.

# %%
schematic("number-formats")

# %% [markdown]
# More *exponent* bits mean a wider range, more *fraction* bits mean more digits. TF32 isn't a format to store numbers
# in: a GPU's matrix units read float32 and ignore its last 13 fraction bits. Weights and sums stay float32.

# %%
Predict("3.3")

# %% tags=["tol-x2"]


def tf32(numbers):
    """float32 with 10 fraction bits, rounded; the way TF32 reads it."""
    return ((numbers.view(torch.int32) + 0x1000) & ~0x1FFF).view(torch.float32)


formats = {
    "float32": torch.Tensor.float,
    "TF32": tf32,
    "bfloat16": torch.Tensor.bfloat16,
    "float16": torch.Tensor.half,
}
torch.manual_seed(0)
left, right = torch.randn(2, 256, 256)
right_answer, rows = left.double() @ right.double(), []
for name, to_format in formats.items():
    some = [to_format(torch.tensor([number])).item() for number in (1e-8, 257.0, 70_000.0)]
    product = to_format(left).float() @ to_format(right).float()  # sums in float32
    error = (product - right_answer).norm() / right_answer.norm()
    rows.append((name, *(f"{number:.3g}" for number in some), f"{error:.0e}"))
columns = ("", "1e-8", "257", "70,000", "error of a product")
Table("What becomes of three numbers, and of a matrix product", columns, rows)

# %% [markdown]
# <details><summary>What happened, and why</summary>
#
# float16 has five exponent bits. Its smallest number above 0 is 6e-8, and 1e-8 is nearer to 0; above 65,504 comes
# infinity. bfloat16 has float32's range but only eight significant bits. Above 256 it holds only every second whole
# number, so 257 becomes 256. TF32 and float16 have equally many fraction bits, so their products are equally exact.
# </details>
#
# *Mixed precision*, [`autocast`](https://docs.pytorch.org/docs/stable/amp.html), takes 16 bits for convolutions and
# matrix products, and keeps the weights and sensitive sums in float32. On recent NVIDIA GPUs one switch lets the
# remaining float32 products use TF32: `torch.set_float32_matmul_precision("high")`, in older code
# `torch.backends.cuda.matmul.allow_tf32 = True`.
#
# ### float16 needs a scaler
#
# Older GPUs, such as the T4 that Colab lends, have no fast bfloat16. In float16 small gradients vanish. So multiply the
# loss by a large number before `backward()`, and divide the gradients again before the step. That's a *gradient
# scaler*, and it runs on any machine. The weight below gets a gradient of 1e-8 through float16: because of `.half()`,
# the backward pass goes through 16 bits, too.

# %%
weight = nn.Parameter(torch.tensor(1.0))
optimizer = torch.optim.SGD([weight], lr=0.1)
for scale in (1.0, 65_536.0):
    scaler = torch.amp.GradScaler("cpu", init_scale=scale)
    optimizer.zero_grad()
    scaler.scale(1e-8 * weight.half().float()).backward()
    scaler.unscale_(optimizer)
    print(f"scale {scale:,.0f}: gradient {weight.grad.item():.1e}")

# %% [markdown]
# And if the scaled gradient becomes too large for float16? Give the weight a gradient of 10.

# %%
scaler = torch.amp.GradScaler("cpu", init_scale=65_536.0)
optimizer.zero_grad()
scaler.scale(10 * weight.half().float()).backward()
print("gradient:", weight.grad.item())
scaler.step(optimizer)
scaler.update()
print(f"weight after the step: {weight.item()}, scale now: {scaler.get_scale():,.0f}")

# %% [markdown]
# The gradient is infinite, so the scaler skips the step, leaves the weights alone, and halves its scale for the next
# one. With bfloat16 none of this is needed. `fit` takes bfloat16 where there are instructions for it, float16 with a
# scaler on GPUs that have only that, and float32 elsewhere.
#
# ### Memory
#
# The backward pass needs what every layer saw in the forward pass, the *activations* of lesson 2, for every image of
# the batch. How does their sum change with twice the batch? With half the bits?

# %% tags=["tol-0.5"]
from course_lib.anatomy import count_parameters, kept_megabytes

for batch_size, dtype in ((32, None), (64, None), (64, torch.bfloat16)):
    images = torch.zeros(batch_size, 1, 64, 64)
    with Precision("cpu", dtype).autocast():
        kept = kept_megabytes(CompactCNN().train(), images)
    print(f"batch of {batch_size}, {dtype or torch.float32}: {kept:.0f} MB kept")
states = 4 * 4 * count_parameters(CompactCNN()) / 1e6
print(f"weights, gradients and AdamW's two means: {states:.1f} MB")

# %% [markdown]
# Twice the batch, twice the memory. Half the bits leave more than half of it, because each max pooling also keeps
# *where* its maximum was, in whole numbers of 64 bits. When a GPU says "out of memory", reduce the batch, and add up
# the gradients of several small batches before a step if you want the effect of the large one.
#
# There is another way: keep only what goes into each block, and compute the rest again when the backward pass needs it.
# That is *activation checkpointing*
# ([Chen and others 2016](https://arxiv.org/abs/1604.06174)).

# %%
schematic("checkpointing")

# %% tags=["tol-0.5"]
from torch.utils.checkpoint import checkpoint


class Frugal(CompactCNN):
    def forward(self, images):
        maps = self.standardize(images)
        for block in self.blocks:
            maps = checkpoint(block, maps, use_reentrant=False)
        return self.head(maps.mean(dim=(2, 3)))


images = torch.rand(32, 1, 64, 64)
for build in (CompactCNN, Frugal):
    model = build().train()
    kept = kept_megabytes(model, images)
    step = count_flops(lambda model=model: model(images).sum().backward())
    print(f"{build.__name__}: {kept:.1f} MB kept, {step / 1e9:.1f} billion operations per step")

# %% [markdown]
# A tenth of the memory, for a third more arithmetic. One thing changes silently, though. What do batch norm's running
# averages do in such a step?

# %%
for build in (CompactCNN, Frugal):
    model = build().train()
    model(images).sum().backward()
    print(
        f"{build.__name__}: averages moved {model.blocks[0][1].num_batches_tracked} times in one step"
    )

# %% [markdown]
# <details><summary>Answer</summary>
#
# The forward pass runs twice, so the averages move twice, each time a tenth of the way toward the same batch. They lag
# less, and lean more on the last batches: as if momentum were 0.19, since 0.9 of the old average is kept twice, and
# $0.9^2 = 0.81$. Nothing warns you. To get the usual averages, keep the square root of 0.9 each time:
# `momentum=0.0513`.
# </details>
#
# ### On one named GPU
#
# One script, `tests/benchmarks/gpu.py`, measures what a GPU makes of all this. Its results stand here, with the GPU's
# name and the date, once there are any.

# %%
from course_lib.gpu_times import on_gpu

on_gpu()

# %% [markdown]
# In Colab choose *Runtime, Change runtime type, GPU*, in Kaggle *Settings, Accelerator*, and run all cells again: the
# tables above are then your GPU's.
#
# ### Stop here
#
# Profile first, then change one thing. A GPU runs behind Python, and `.item()` makes Python wait. 16 bits cost digits
# or range, checkpointing costs arithmetic. **To discuss:** a GPU that is ten times as fast made your training twice as
# fast. Where do you look, and in which order?
#
# <details><summary>One answer</summary>At the profile. At the data: time the loop over the batches alone. For waits:
# `.item()` and prints in the loop. At the batch: is it too small to fill the GPU?</details>

# %% [markdown]
# <a id="part-d"></a>
#
# ## Part D. Which network, and how good? (24 min, core)
#
# - Compare networks over seeds, and say what the comparison rests on.
# - Choose a threshold on the right images, and state rates with intervals.
# - Say what a score means in a waiting room.
#
# You can read this part by itself. To run it, run the cells above first: they train the networks.
#
# ### Three networks, three seeds
#
# Lesson 2 left a question open: PneumoniaCNN, its pooled twin PooledCNN, or CompactCNN? Train the twin and the other
# two seeds of PneumoniaCNN, with the same images, epochs and schedule. Each network has its own peak rate, chosen on
# validation images: 0.001 for PneumoniaCNN, 0.01 for the other two. CompactCNN's three trainings are the cycles of Part
# B.

# %%
from course_lib.models import PooledCNN

networks = {
    "PneumoniaCNN": [(dense, first)],
    "PooledCNN": [],
    "CompactCNN": [run[:2] for run in cycle],
}
for seed in range(1, 3):
    networks["PneumoniaCNN"].append(trained(lambda: PneumoniaCNN(size), 1e-3, seed)[:2])
for seed in range(3):
    networks["PooledCNN"].append(trained(PooledCNN, 1e-2, seed)[:2])

# %% [markdown]
# What does each of them cost? Memory is that of training with batches of 32: activations, and four numbers per
# parameter.

# %% tags=["tol-x8"]
rows = []
for name, runs in networks.items():
    model = runs[0][0]
    parameters = count_parameters(model)
    memory = kept_megabytes(model.train(), train.images[:32].to(device).float() / 255)
    seconds = [f"{sum(history.train_seconds):.1f}" for _, history in runs]
    rows.append((name, f"{parameters:,}", f"{memory + 16 * parameters / 1e6:.0f}", *seconds))
columns = ("", "parameters", "memory, MB", "seconds, seed 0", "seed 1", "seed 2")
Table(f"Training at {size} pixels", columns, rows)

# %% [markdown]
# > **One rule before you look.** The test images judge, and choose nothing: no rate, no epoch, no threshold. None was
# > chosen by them so far, and none will be.

# %%
Predict("3.4")

# %% tags=["tol-0.03"]
from course_lib.metrics import binary_auc

on_test = Batches(splits.test, 100, device=device)
said = {
    name: [
        (training.evaluate(model, on_val), training.evaluate(model, on_test)) for model, _ in runs
    ]
    for name, runs in networks.items()
}


def auc_of(outcome):
    return binary_auc(outcome.probs[:, 1], outcome.labels)


test_auc = {name: [auc_of(test) for _, test in pairs] for name, pairs in said.items()}
val_auc = {name: [auc_of(known) for known, _ in pairs] for name, pairs in said.items()}
rows = [
    (name, *(f"{auc:.3f}" for auc in test_auc[name]), f"{sum(val_auc[name]) / 3:.3f}")
    for name in said
]
columns = ("", "test, seed 0", "seed 1", "seed 2", "validation, mean")
Table("AUC", columns, rows)

# %% [markdown]
# <details><summary>What happened, and why</summary>
#
# CompactCNN comes first, from every seed. Between PneumoniaCNN and its twin the difference is smaller than the spread
# over the seeds, so the dense head with its million weights buys nothing here. More parameters alone don't make a
# better network.
# </details>
#
# Why is CompactCNN better? From PooledCNN it differs in two ways: it standardizes each image, and it has five narrow
# blocks instead of three wide ones, so it sees more of the picture. Before you write "because", take one away, and
# train again.

# %% tags=["tol-0.03"]


def without_standardizing():
    model = CompactCNN()
    model.standardize = nn.Identity()
    return model


ablated = [trained(without_standardizing, 1e-2, seed)[0] for seed in range(3)]
test_auc["CompactCNN, images as they are"] = [
    auc_of(training.evaluate(model, on_test)) for model in ablated
]
rows = [(name, *(f"{auc:.3f}" for auc in found)) for name, found in test_auc.items()]
Table("AUC on the test images", ("", "seed 0", "seed 1", "seed 2"), rows)

# %% [markdown]
# Most of the lead stays, so on these films the blocks matter more than the standardizing. Do real X-rays agree? Read
# the validation lines first, and then the test lines:

# %%
from course_lib.metrics import binary_report, choose_threshold

spread = {f"{name}, test": found for name, found in test_auc.items()}
spread |= {f"{name}, validation": found for name, found in val_auc.items()}
on_real("03.three", spread, splits.test)
seed_0 = {
    name: binary_report(pairs[0][1].probs[:, 1], pairs[0][1].labels) for name, pairs in said.items()
}
on_real("03.networks", seed_0, splits.test)

# %% [markdown]
# On validation CompactCNN comes first from every seed, though by less than .001. On the test folder the first two
# change places: PneumoniaCNN is ahead from every seed, by about .01. But all seeds share the same 312 test images, and
# the intervals overlap, so other patients might decide otherwise. Validation images from the training folder gave no
# hint of it.
#
# The recorded networks saw 64 pixels, where PneumoniaCNN has four million parameters. At 256 it has the 67 million of
# lesson 2. It was trained there six times: by the plain loop of most tutorials (a constant rate, float32, five epochs,
# images as they are), and by `fit` in one cycle, in 16 bits. Beside it stands CompactCNN as `course train pneumonia`
# trains it. What do sixteen times as many pixels buy?

# %%
on_real("03.tutorial")

# %% [markdown]
# No gain: none of the six reaches .950, the mean of the three at 64 pixels. (They had five epochs instead of eight, so
# don't blame the pixels alone.) Between the two loops three seeds decide nothing about the AUC, but `fit` needs less
# than half the time. And validation is as high as ever.
#
# So this is how the story of the 67 million parameters ends: half an hour by the plain loop, 8 GB of memory and more,
# and a small network with a better recipe is ahead of it from every seed. The recipe matters more than the network, for
# it's the same CompactCNN that lost to PneumoniaCNN above. It now sees 96 pixels, for 20 epochs, and training images
# that are changed at random; batch, rate and a little label smoothing differ, too. Part E takes one of the changes to
# the images away and measures what it was worth.
#
# The simulated test patients are drawn as the others were, so validation and test agree. The real validation images
# were cut out of the published train folder; the published test folder was put together in another way, and its labels
# were checked by a third expert. No choice on validation images can make up for what they don't contain. With the real
# data, the fall from validation to test is the most important result of the page. It's why a hospital should test a
# network on its own patients first.
#
# > **Change one thing.** Train all three at 64 pixels: `size = 64`, in the second cell of the page.
# > <details><summary>Answer</summary>Measured once, simulated, three seeds: CompactCNN .975, .972, .977; PneumoniaCNN
# > .942, .926, .866; PooledCNN .859, .837, .830. Now the twin comes last from every seed. A patch of 22 pixels is two
# > thirds of a small picture's side, and a third of a large one's, so the mean forgets more. That may be the reason;
# > this page doesn't test it.</details>
#
# ### A threshold, chosen before the test
#
# An AUC doesn't say who is sick. For that, a probability is compared with a *threshold*, and each threshold is a point
# of the *ROC curve*:

# %%
schematic("roc-and-threshold")

# %% [markdown]
# Which error is worse? A missed pneumonia. So demand that 95 of 100 sick patients *of the validation set* be found, and
# take the highest threshold that does it. (`choose_threshold` goes halfway down to the next score; the same patients
# are found, and the cut doesn't run through a patient.) Will CompactCNN's sensitivity on the test images be 0.95, too?

# %% tags=["tol-0.15"]
reports = {}
for seed, (known, test) in enumerate(said["CompactCNN"]):
    rule = {"criterion": "sensitivity", "target": 0.95}
    threshold = choose_threshold(known.probs[:, 1], known.labels, **rule)
    report = binary_report(test.probs[:, 1], test.labels, threshold=threshold)
    reports[f"seed {seed}"] = report
rows = [("threshold", *(f"{report.threshold:.2f}" for report in reports.values()))]
for name in ("sensitivity", "specificity", "balanced_accuracy"):
    found = [(getattr(report, name), *report.ci95[name]) for report in reports.values()]
    rows.append((name, *(f"{rate:.2f} [{low:.2f}, {high:.2f}]" for rate, low, high in found)))
Table("CompactCNN on the test images", ("", *reports), rows)

# %% [markdown]
# Close to it, but not exactly: these are other patients. The brackets are 95% *confidence intervals*: if we repeated
# the test many times, each time with new patients of the same kind, about 95 in 100 such intervals would contain the
# true rate. (For rates there's a formula, [Wilson's](https://doi.org/10.1080/01621459.1927.10502953). For the AUC,
# `binary_report` uses the [*bootstrap*](https://doi.org/10.1214/aos/1176344552): it draws many new sets from the same
# patients.) They leave out
#
# - the spread over seeds, which is chance in the training,
# - the chance in the threshold, which rests on the sick of the validation set,
# - several images of one child, which count as if they were different children,
# - the real test patients whose names are also in train, 97 of 252 in lesson 2's audit, who may flatter the score,
# - and everything that another hospital would do differently.
#
# To compare two networks on the same images, don't lay two intervals side by side. Count the images that one gets right
# and the other wrong ([McNemar 1947](https://doi.org/10.1007/BF02295996)), since most of the chance is common to both.
# Now the real X-rays. Read sensitivity and specificity together, and the last line, which is what you get without
# looking at any image. (Part F explains the calibration error.)

# %%
on_real("03.test", reports, splits.test)

# %% [markdown]
# The first network's answers, counted in a *confusion matrix*, and at all thresholds at once:

# %%
from course_lib.plots import plot_confusion, plot_roc

known, test = said["CompactCNN"][0]
report = reports["seed 0"]
show("confusion-of-test", plot_confusion(report.confusion, train.classes))
figure = plot_roc(test.probs[:, 1], test.labels, threshold=report.threshold)
show("roc-of-test", figure)

# %% [markdown]
# Moving along the curve trades false alarms for missed patients. On the real X-rays, look at the left edge: how many of
# the sick are found before the first false alarms?

# %%
outcomes = {
    f"seed {seed}": (test.probs[:, 1], test.labels)
    for seed, (_, test) in enumerate(said["CompactCNN"])
}
on_real("03.roc", outcomes, splits.test)

# %% [markdown]
# <details><summary>Answer</summary>About a quarter, against about three quarters of the simulated ones. A few healthy
# children get very high scores there, so no threshold finds most of the sick without a false alarm.</details>
#
# Which point is right depends on what the two errors cost, and no network can know that. Here are the validation
# images, on which a threshold may be chosen. Let a miss cost as much as ten false alarms, then as much as one. In which
# direction does the cheapest threshold move?

# %% tags=["tol-150"]
from course_lib.widgets import threshold_explorer

threshold_explorer(known.probs[:, 1], known.labels)

# %% [markdown]
# <details><summary>Answer</summary>
#
# Up. The cheaper a miss, the higher the cheapest threshold, and the fewer of the healthy are predicted sick.
# </details>
#
# ### The waiting room
#
# Sensitivity and specificity start from the disease and ask about the answer. A parent asks the other way round: the
# network says "sick"; is my child sick?

# %%
Predict("3.5")

# %%
schematic("thousand-children")

# %% [markdown]
# <details><summary>What happened, and why</summary>
#
# The healthy are so many that a small fraction of them outweighs the sick. Two of three alarms are false, though
# sensitivity and specificity are as good as before.
# </details>
#
# This *positive predictive value* ([Altman and Bland 1994](https://doi.org/10.1136/bmj.309.6947.102)) depends on who is
# examined. For the networks of this page, where half of the children are sick, and where one in twenty is:

# %% tags=["tol-0.15"]
from course_lib.metrics import predictive_values

rows, ppv = [], {}
for sick in (0.5, 0.05):
    ppv[sick] = [
        predictive_values(one.sensitivity, one.specificity, sick)[0] for one in reports.values()
    ]
    rows.append((f"{sick:.0%} sick", *(f"{value:.2f}" for value in ppv[sick])))
Table("Of those predicted sick, the fraction who are sick", ("", *reports), rows)

# %% [markdown]
# So a predictive value that was measured on a set with as many sick as healthy says nothing about a waiting room.
#
# ### Stop here
#
# Compare over seeds. Take a part away before you say why. Choose thresholds on validation, and report rates with their
# intervals. **To discuss:** network X has an AUC of .968 and Y one of .955, one training each, 312 patients. What do
# you write in the report?
#
# <details><summary>One answer</summary>Both numbers with their intervals and the number of patients, the paired
# difference, and that each network was trained once. No winner.</details>

# %% [markdown]
# <a id="part-e"></a>
#
# ## Part E. What a score hides (12 min, core)
#
# - Say what class weights move, and what they don't.
# - Plant a shortcut, and show that a network takes it.
# - Look at the worst errors.
#
# ### When one class is rare
#
# Suppose that one patient in ten is healthy, as in a ward where everybody coughs. A network that predicts that
# everybody is sick is right nine times in ten. The usual remedy is *class weights*,
# `F.cross_entropy(logits, labels, weight=weights)`: each class gets a factor in the loss, so that both count alike.
# Here are 60 healthy and 540 sick patients; from each of three seeds, one network is trained without weights and one
# with.

# %%
healthy, sick = ((train.labels == label).nonzero().flatten() for label in (0, 1))
ward = train.subset(torch.cat([healthy[:60], sick[:540]]))
settings = {"equal weights": None, "healthy count 9 times": torch.tensor([9.0, 1.0])}
weighted = {name: [] for name in settings}
for seed in range(3):
    for name, weights in settings.items():
        torch.manual_seed(seed)
        model = CompactCNN().to(device)
        on_ward = Batches(ward, 32, shuffle=True, device=device)
        how = {"epochs": 5, "learning_rate": 1e-2, "seed": seed}
        training.fit(model, on_ward, on_val, class_weights=weights, **how)
        weighted[name].append(training.evaluate(model, on_val))

# %% [markdown]
# What will the weights do to sensitivity and specificity at a threshold of 0.5? And to the ROC curve?

# %% tags=["tol-0.25"]
from course_lib.metrics import roc_points

panels, rates = {f"seed {seed}": {} for seed in range(3)}, {name: [] for name in settings}
for name, outcomes in weighted.items():
    for panel, outcome in zip(panels.values(), outcomes, strict=True):
        probs, labels = outcome.probs[:, 1], outcome.labels
        panel[name] = tuple(points.tolist() for points in roc_points(probs, labels))
        found = (probs[labels == 1] >= 0.5).double().mean().item()
        alarms = (probs[labels == 0] >= 0.5).double().mean().item()
        rates[name].append((found, 1 - alarms))
        panel[f"{name}, at 0.5"] = ([alarms], [found])
look = {"xlabel": "1 - specificity (false alarms)", "ylabel": "sensitivity (found)"}
figure = plot_curve_panels(panels, title="60 healthy and 540 sick patients", **look)
show("weights-on-the-curve", figure)

# %% [markdown]
# The weights move the *point*, a long way and from every seed: more of the healthy are recognized, fewer of the sick
# are found. But a threshold moves the point as well, and needs no training. Does weighting improve the *curve*, the
# order of the patients, and so the AUC? The answer of a ward of real X-rays:

# %%
ward_scores = {}
for name, outcomes in weighted.items():
    sensitivity, specificity = zip(*rates[name], strict=True)
    ward_scores |= {
        f"AUC, {name}": [auc_of(outcome) for outcome in outcomes],
        f"sensitivity at 0.5, {name}": sensitivity,
        f"specificity at 0.5, {name}": specificity,
    }
on_real("03.rare", dict(sorted(ward_scores.items())), val)

# %% [markdown]
# The point moves there, too, and the AUC doesn't rise.
#
# <details><summary>Nine seeds</summary>
#
# On the simulated images, AUC with weights minus AUC without, seeds 0 to 8, measured once: -.016, -.028, -.011, -.030,
# -.039, -.006, -.008, +.009, -.046. Their mean is -.019, with a 95% confidence interval from -.033 to -.006. Here the
# weights did some harm. The first three seeds agree, but a coin agrees with itself in one of four such trials, so
# three seeds are a beginning. And all nine share the same 60 healthy patients: what another ward would show, they
# don't say.
# </details>
#
# Two warnings. A weighted network reports probabilities for a ward where both classes are equally common, not for
# yours. And what sixty healthy patients can't teach, no weight can.
#
# ### A shortcut in the proportions
#
# A test set drawn like the training set can't show what a network goes by. Lesson 2 found a cue that survives squeezing
# into a square: the shape of the film, which shows in the proportions of the body. Would a network use such a
# *shortcut* ([Geirhos and others 2020](https://arxiv.org/abs/2004.07780))? Plant it and see. `framed` cuts each film to
# a shape of its own and squeezes what is left into the square again (`affine_grid` says which point each pixel is read
# from, and `grid_sample` reads there).
#
# With `lean=1` the films of the sick are wider, by twice as much as on the originals of the real set that we measured;
# with `lean=-1` those of the healthy are.


# %%
from dataclasses import replace


def framed(image_set, lean):
    """Films cut to random shapes, those of the sick wider (lean 1) or narrower (-1), then squeezed into squares."""
    log_ratio = 0.117 * lean * (2 * image_set.labels - 1) + 0.1 * torch.randn(len(image_set))
    wide = 0.8 * (log_ratio / 2).exp()  # the part of the width that is kept,
    high = 0.8 * (-log_ratio / 2).exp()  # and of the height
    kept = torch.diag_embed(torch.stack([wide, high], dim=1))  # (N, 2, 2)
    grid = F.affine_grid(F.pad(kept, (0, 1)), image_set.images.shape, align_corners=False)
    films = F.grid_sample(image_set.images.float(), grid, align_corners=False)
    return replace(image_set, images=films.round().byte(), masks=None, file_sizes=None)


torch.manual_seed(0)
leaning_train = framed(train.subset(torch.arange(profile.choose(simulated=600, real=1200))), 1)
judges = {"as in training": framed(val, 1), "the other way": framed(val, -1)}

# %% [markdown]
# Now train on these films, twice for each of three seeds: as they are, and with each image stretched at random every
# time the network sees it. Judge both on validation films that lean as in training, and on films of the same patients
# that lean the other way.

# %% tags=["tol-0.2"]
from course_lib.data import Augmentation

nothing = dict.fromkeys(vars(Augmentation()), 0)
arms = {"as they are": None, "stretched": Augmentation(**nothing | {"stretch": 0.2})}
films_auc = {}
for arm, augment in arms.items():
    for seed in range(3):
        torch.manual_seed(seed)
        model = CompactCNN().to(device)
        data = Batches(leaning_train, 32, shuffle=True, device=device, augment=augment)
        known = Batches(judges["as in training"], 100, device=device)
        training.fit(model, data, known, epochs=5, learning_rate=1e-2, seed=seed)
        for judge, films in judges.items():
            outcome = training.evaluate(model, Batches(films, 100, device=device))
            films_auc.setdefault((arm, judge), []).append(auc_of(outcome))
rows = [
    (f"{arm}; {judge}", *(f"{x:.2f}" for x in found)) for (arm, judge), found in films_auc.items()
]
Table("AUC: trained on films; judged on films leaning", ("", "seed 0", "seed 1", "seed 2"), rows)

# %% [markdown]
# On films that lean as in training both come close to 1, and that is all a validation set ever shows. On films that
# lean the other way the AUC falls, and it falls less for every network trained on stretched images. So the networks did
# use the shape of the film, and the stretch makes that cue worth less. It doesn't remove the cue: a shortcut is gone
# for good only when the images no longer hold it.
#
# The stretch is part of the recipe of `course train pneumonia`, half as large, since the cue of the real films is about
# half as strong. It's there because the cue is known, not because of a test score. With it and without it, on the real
# X-rays:

# %%
on_real("03.stretch")

# %% [markdown]
# Look at validation first: nobody would have noticed anything there. The published test folder was put together in
# another way, and there it makes a difference.
#
# ### The error gallery
#
# Scores say how many, pictures say which. Here are the worst errors of both kinds on the test images: the sick whom
# CompactCNN thought least likely to be sick, and the healthy whom it thought most likely. What do you expect, faint
# opacities or odd pictures?

# %%
from course_lib.plots import plot_images

probs, labels = said["CompactCNN"][0][1].probs[:, 1], splits.test.labels
predicted = (probs >= reports["seed 0"].threshold).long()
missed = ((predicted == 0) & (labels == 1)).nonzero().flatten()
alarms = ((predicted == 1) & (labels == 0)).nonzero().flatten()
missed = missed[probs[missed].argsort()][:5]
alarms = alarms[probs[alarms].argsort(descending=True)][:5]
worst = torch.cat([missed, alarms])
sharp = load_chest_xray(profile.source, image_size=profile.choose(simulated=128, real=64)).test
captions = [f"true {train.classes[labels[i]]}\nPNEUMONIA at {probs[i]:.2f}" for i in worst]
masks = None if sharp.masks is None else sharp.masks[worst]
show("worst-errors", plot_images(sharp.images[worst], captions, columns=5, masks=masks))

# %% [markdown]
# With simulated patients the outline shows what there was to find: faint opacities, mostly, and here several of them
# lie over the heart's shadow. (The patients are drawn at 128 pixels; the network saw 32.) Before you blame the network,
# ask of each sick patient whether you would have seen it, and of each healthy one what looks like an opacity. On real
# data such a page is where wrong labels and odd films come to light. What it can't show is *why* the network said so;
# lesson 6 asks that.
#
# ### Stop here
#
# Class weights move the point, as a threshold does. A score on data of the same kind hides shortcuts. A page of errors
# shows what no score does. **To discuss:** your network has a validation AUC of 0.99. Name two findings of this part
# that would make you doubt it.
#
# <details><summary>One answer</summary>A cue such as the film's shape, which the validation images share: judge on
# images without it. And errors that look like one kind of film or of patient.</details>

# %% [markdown]
# <a id="part-f"></a>
#
# ## Part F. Before others rely on it (14 min, optional)
#
# - Compare what probabilities promise with what happens.
# - Resume a training exactly.
# - Say what each process holds when several train together.
#
# Each of the three sections stands by itself.
#
# ### Does 0.9 mean nine in ten?
#
# A score that ranks well may still be overconfident. *Calibration* compares probability and outcome: of all images that
# were given about 0.9, are nine in ten really sick? *Temperature scaling* ([Guo and others
# 2017](https://arxiv.org/abs/1706.04599)) divides all logits by one number $T$, fitted on the validation images; $T$
# above 1 makes a network less sure of itself. Take the network of Part B that learned 128 patients by heart, and
# CompactCNN. Which of them is overconfident? Can dividing the logits change the AUC? Can it change which class is more
# probable?

# %% tags=["tol-0.15"]
from course_lib.metrics import TEMPERATURES, fit_temperature

memorizer = stories["128 images"][0]
judged = {
    "learned 128 by heart": [training.evaluate(memorizer, data) for data in (on_val, on_test)],
    "CompactCNN, seed 0": said["CompactCNN"][0],
}
promises, errors, rows = {}, {}, []
for name, (known, test) in judged.items():
    T = fit_temperature(known.logits, known.labels)
    promises[name] = [(test.logits / divisor).softmax(dim=1)[:, 1] for divisor in (1, T)]
    errors[name] = [binary_report(probs, test.labels).ece for probs in promises[name]]
    at_bound = any(abs(T / bound - 1) < 0.01 for bound in TEMPERATURES)
    shown = f"{T:.1f}" + ", the bound of the search" * at_bound
    rows.append((name, shown, *(f"{error:.2f}" for error in errors[name])))
Table("Calibration error on the test images", ("", "T", "before", "after"), rows)

# %%
from course_lib.metrics import reliability
from course_lib.plots import plot_reliability

diagrams = {
    title: reliability(probs, splits.test.labels, num_bins=15)
    for title, probs in zip(
        ("before scaling", "after scaling"), promises["learned 128 by heart"], strict=True
    )
}
show("reliability-of-memorizer", plot_reliability(diagrams))

# %% [markdown]
# The calibration error is the mean distance of the dots from the diagonal, weighted by their size. The network that
# knows its 128 images by heart is too sure about everybody else. One number pulls it back without changing a single
# prediction. Nor does it change the AUC: the difference of the two logits is divided by the same number for every
# patient, so their order stays. The network is as wrong as before, but says so more honestly. Two warnings:
#
# - The error is never zero, even for honest probabilities: in bins of forty patients, chance alone leaves a few
#   hundredths. So a change of a hundredth says nothing.
# - $T$ can only fix what the validation images show. For patients who differ from them, it may be wrong.
#
# ### When the session ends
#
# Colab and Kaggle end a session after some hours. What must be on disk so that a training can go on as if nothing had
# happened? The network's weights, certainly. What else does the next step depend on?

# %%
state_file = Path(tempfile.mkdtemp()) / "state.pt"


def run_epochs(*, killed_after=4, resume=False, with_optimizer=True):
    torch.manual_seed(0)
    model, begin = CompactCNN(widths=(8, 16, 32)).to(device), 0
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    if resume:
        state = torch.load(state_file, weights_only=True)
        model.load_state_dict(state["model"])
        begin = state["epochs_done"]
        if with_optimizer:
            optimizer.load_state_dict(state["optimizer"])
    for epoch in range(begin, killed_after):
        torch.manual_seed(1000 + epoch)  # the order of the images
        train_one_epoch(model, batches(train.images[:256], train.labels[:256], 32), optimizer)
        saved = {"model": model.state_dict(), "optimizer": optimizer.state_dict()}
        torch.save({**saved, "epochs_done": epoch + 1}, state_file)
    return torch.cat([parameter.detach().flatten() for parameter in model.parameters()])


# %% tags=["tol-x5"]
uninterrupted = run_epochs()
apart = {}
for with_optimizer in (True, False):
    run_epochs(killed_after=2)
    resumed = run_epochs(resume=True, with_optimizer=with_optimizer)
    apart[with_optimizer] = (resumed - uninterrupted).abs().max().item()
    print(
        f"optimizer restored: {with_optimizer}, largest difference of a weight: {apart[with_optimizer]:.4f}"
    )

# %% [markdown]
# With the whole *checkpoint* the resumed run ends with the same weights. Without the optimizer's state it's another
# run, because AdamW's running means start from zero again. A schedule, a gradient scaler and the random numbers are
# state too. `weights_only=True` keeps `torch.load` from running whatever program a pickled file contains. And if the
# power fails *while* the file is written, both the old and the new state are gone: `save_state` in
# `course_lib.checkpoint` writes beside the old file and then swaps the two in one step.
#
# ### Two processes
#
# When one GPU is too slow, or too small, take several.

# %%
schematic("copies-or-slices")

# %% [markdown]
# - **DDP**, [`DistributedDataParallel`](https://docs.pytorch.org/docs/stable/notes/ddp.html): each process holds a copy
#   of everything and computes gradients for its part of the batch. The gradients are averaged before the step, so the
#   copies stay equal.
# - **FSDP2**, [`fully_shard`](https://docs.pytorch.org/docs/stable/distributed.fsdp.fully_shard.html): each process
#   holds a *slice* of the weights, of the gradients and of the optimizer's state. A layer's weights are collected just
#   before they are needed. It's for networks that don't fit into one GPU, and costs traffic.
#
# `torchrun` starts the processes and tells each its number, its *rank*. Two processes on a laptop can do both; they
# talk through the backend `gloo`. The script must be a file, since each process starts from it. (`LazyLinear` is a
# linear layer that finds out its input size from its first input.)

# %%
script = """
import sys, torch
import torch.distributed as dist
from torch import nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard

def network():
    layers = [nn.Conv2d(1, 8, 5, stride=4), nn.ReLU(), nn.Flatten(), nn.LazyLinear(256), nn.ReLU(), nn.Linear(256, 2)]
    model = nn.Sequential(*layers)
    model(start["images"][:1])  # a lazy layer learns its size from the first input
    model.load_state_dict(start["model"])
    return model

def train(model):
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    for images, labels in zip(start["images"].split(64), start["labels"].split(64)):
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(images[rank::world]), labels[rank::world]).backward()
        optimizer.step()
    return optimizer
"""

# %% [markdown]
# So far that's a training like any other, except for one thing: each process takes every second image of a batch,
# `images[rank::world]`. Now train twice, by copies and by slices. What does each process hold in the end?

# %%
script += """
torch.compiler.reset()  # loads now what DistributedDataParallel would load late, when the group is there
dist.init_process_group("gloo")
rank, world, start = dist.get_rank(), dist.get_world_size(), torch.load(sys.argv[1], weights_only=True)
copies = nn.parallel.DistributedDataParallel(network())
train(copies)
sliced = fully_shard(network(), mesh=init_device_mesh("cpu", (world,)))
optimizer = train(sliced)
held = {"copies": sum(p.numel() for p in copies.parameters())}
held["slices"] = sum(p.to_local().numel() for p in sliced.parameters())
held["slices, AdamW's means"] = sum(s["exp_avg"].to_local().numel() for s in optimizer.state.values())
whole = {name: p.full_tensor().detach() for name, p in sliced.named_parameters()}  # collected from all
if rank == 0:
    torch.save({"copies": copies.module.state_dict(), "slices": whole, "held": held}, sys.argv[2])
dist.barrier()  # nobody leaves before all are done
del copies, sliced, optimizer  # they hold the group, which is to end now
dist.destroy_process_group()
"""
folder = Path(tempfile.mkdtemp())
written = (folder / "train_together.py").write_text(script, encoding="utf-8")

# %% [markdown]
# There, two processes take eight steps. Here, one process takes the same eight. How far apart will the weights be?

# %%
import subprocess
import sys

torch.manual_seed(0)
images, labels = (part.cpu() for part in next(batches(train.images, train.labels, 512)))
layers = [nn.Conv2d(1, 8, 5, stride=4), nn.ReLU(), nn.Flatten(), nn.LazyLinear(256), nn.ReLU()]
network = nn.Sequential(*layers, nn.Linear(256, 2))
network(images[:1])
start = {"model": network.state_dict(), "images": images, "labels": labels}
torch.save(start, folder / "start.pt")
torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
files = [str(folder / name) for name in ("train_together.py", "start.pt", "end.pt")]
how = {"capture_output": True, "text": True, "check": False, "timeout": 300}
done = subprocess.run([*torchrun, *files], **how)
assert done.returncode == 0, done.stderr
end = torch.load(folder / "end.pt", weights_only=True)

# %% tags=["tol-0.0002"]
optimizer = torch.optim.AdamW(network.parameters(), lr=1e-3)
for some, their in zip(images.split(64), labels.split(64), strict=True):
    optimizer.zero_grad()
    F.cross_entropy(network(some), their).backward()
    optimizer.step()
rows, differences = [], {}
for name in ("copies", "slices"):
    differences[name] = max(
        (end[name][key] - weights).abs().max().item()
        for key, weights in network.state_dict().items()
    )
    rows.append((name, f"{end['held'][name]:,}", f"{differences[name]:.4f}"))
Table("Two processes", ("", "parameters held by each", "largest difference of a weight"), rows)

# %% [markdown]
# The same weights, apart from the order in which floats were added. With slices, each process held half of the
# parameters, and half of AdamW's means as well.
#
# - This network has no batch norm on purpose: each process would standardize by its own part of a batch, which is
#   another computation. `nn.SyncBatchNorm` shares the statistics.
# - A `DistributedSampler` deals out the images of a `DataLoader`, on any device.
# - On GPUs the backend is `nccl`, and each process takes the GPU of its number, `LOCAL_RANK`. On several machines
#   `torchrun` is started on each, with `--nnodes` and a common address.
# - Don't expect two processes on two cores to beat one process with two threads.
#
# ### Stop here
#
# A temperature makes probabilities honest where validation is like the test. A checkpoint is more than weights. Copies
# if the network fits, slices if it doesn't. **To discuss:** which files do you need to go on tomorrow on another
# machine, and to tell a physician what 0.9 means?
#
# <details><summary>One answer</summary>The state: weights, optimizer, schedule, scaler, random numbers, epoch. The
# split of the patients. And T, with the images that it was fitted on.</details>
#
# ## Summary
#
# - A step clears, predicts, measures, computes gradients and moves the weights. `backward()` adds.
# - A rate comes from a range test, and should end near zero. A validation curve measures the weights only if batch
#   norm's averages keep up.
# - Underfitting wants a larger network, overfitting more images, moved copies or dropout.
# - Profile, then change one thing. A GPU runs behind Python. float16 needs a scaler, bfloat16 doesn't.
# - Five narrow blocks beat a dense head of a million weights on simulated films, from every seed. On the real test
#   folder the first two changed places, and validation gave no sign of it. A better recipe beat them all.
# - A score needs company: a baseline, an interval, the spread over seeds, a threshold chosen elsewhere, and test images
#   that had no part in any choice.
#
# None of these networks is for diagnosis.
#
# ## Quiz
#
# Click an answer, or reach it with Tab and press the space bar, and read why. First tries count, and your score is kept
# when you reload the page.

# %%
from course_lib.widgets import Quiz

Quiz(3)

# %% [markdown]
# ## Exercises
#
# [Exercises 3](exercises/03_training_on_gpu.ipynb) has eight tasks, from one line to a real piece of work. Each asks
# for a function, a cell below it checks yours at once, and hints come in steps.
#
# ## What you may now import
#
# - From `course_lib.training`: `train_one_epoch`, `evaluate` (it returns logits, labels and loss), `fit`,
#   `EarlyStopping`. From `course_lib.data`: `Batches`.
# - From `course_lib.models`: `PooledCNN`. From `course_lib.runtime`: `pick_device` and `Precision`. From
#   `course_lib.flops`: `count_flops` and `peak_flops`.
# - From `course_lib.checkpoint`: `save_state` and `load_state`. From `course_lib.metrics`: `binary_report`,
#   `choose_threshold`, `predictive_values`, `fit_temperature`, `reliability`.
#
# The same from the command line, at 96 pixels, with a model card and resumption: `course train pneumonia`.
#
# Does the page keep its word? Each line is a claim made above, with every seed in it.

# %%
assert first.val_auc[-1] > 0.85  # it learns
assert abs(both["yours"] - both["imported"]) < 0.01
assert max(cured["all images"]) < min(cured["128 images"])  # more images help, from every seed,
mean = {name: sum(losses) / 3 for name, losses in cured.items()}
ends = {name: [history.val_loss[-1] for _, history, _ in runs] for name, runs in ends.items()}
if profile.source == "simulated":
    assert max(lowest["with batch norm"]) < min(lowest["without"])  # the range test
    leaps = [max(history.val_loss[2:]) for _, history, _ in constant]
    assert max(leaps) > 0.5  # in one run at least,
    assert max(max(losses[2:]) for losses in renewed) < 0.45  # and not with averages renewed
    assert max(ends["one cycle, peak 0.01"]) < 0.35
    assert max(mean["+ dropout 0.5"], mean["+ moved copies"]) < mean["128 images"] - 0.05
    under = stories["64 means"][1][-1]
    good = stories["all images"][1][-1]
    assert good[1] + 0.1 < under[1] < 0.65
    assert unseen[-1] > unseen[best] + 0.05  # the end is worse than the best
    assert errors["learned 128 by heart"][1] < errors["learned 128 by heart"][0]
    assert min(test_auc["CompactCNN"]) > max(test_auc["PneumoniaCNN"] + test_auc["PooledCNN"])
    means = [sum(test_auc[name]) / 3 for name in ("PneumoniaCNN", "PooledCNN")]
    assert abs(means[0] - means[1]) < 0.03
    others = test_auc["PneumoniaCNN"] + test_auc["PooledCNN"]
    assert min(test_auc["CompactCNN, images as they are"]) > max(others)

# %%
blamed = ("data", "books", "forward", "step")
for part, fractions in zip(blamed, list(loops.values())[:4], strict=True):
    assert fractions[part] == max(fractions.values())
assert loops["a sound one"]["forward"] + loops["a sound one"]["backward"] > 0.6
assert torch.tensor(1e-8).half() == 0
assert weight.item() == 1  # the step was skipped,
assert scaler.get_scale() == 32_768  # and the scale halved
for (before, recognized), (after, with_weights) in zip(*rates.values(), strict=True):
    assert with_weights > recognized  # weights move the point
    assert after <= before
for auc in (films_auc["as they are", "as in training"], films_auc["stretched", "as in training"]):
    assert min(auc) > 0.9
assert max(films_auc["as they are", "the other way"]) < min(films_auc["stretched", "the other way"])
assert max(ppv[0.05]) < 0.5 < min(ppv[0.5])
for before, after in promises.values():
    assert torch.equal(before > 0.5, after > 0.5)  # not one prediction changed
assert apart[True] < (1e-6 if device.type == "cpu" else 1e-2)
assert apart[False] > 1e-3
assert max(differences.values()) < 1e-3
assert 2 * end["held"]["slices"] == end["held"]["copies"]
print("It does.")

# %% [markdown]
# ## Where to go next
#
# - [Lesson 4, CIFAR-10](04_cifar10.ipynb): the loop on color photographs in ten classes, made several times as fast.
# - [Lesson 6](06_visualization.ipynb): what such a network looked at.
# - An optimizer written from scratch, from momentum to Adam: fastai's
#   [chapter 16](https://github.com/fastai/fastbook/blob/master/16_accel_sgd.ipynb). A list of bugs, most of which raise
#   no error: the University of Amsterdam's
#   [debugging guide](https://uvadlc-notebooks.readthedocs.io/en/latest/tutorial_notebooks/guide3/Debugging_PyTorch.html).
# - Karpathy's [recipe for training networks](https://karpathy.github.io/2019/04/25/recipe/), and torch's
#   [tuning guide](https://docs.pytorch.org/tutorials/recipes/recipes/tuning_guide.html).
