# %% [markdown]
# # 4. CIFAR-10, ten times faster
#
# You will take the network and the loop that most tutorials start with, measure what they cost, and change one thing at
# a time until the same accuracy takes a fraction of the time. What each change does to the speed, and what it does to
# the accuracy, is measured, and those that bring nothing are reported too. Then you will look at what is still wrong,
# build the blocks that famous networks are made of, see why they need skip connections, and train on a folder of
# pictures of your own.
#
# Prerequisites: lessons 1 to 3 (layers, the training loop, schedules, precision). Computing takes 97 s on two cores (13
# min with real images); allow three hours of your own.

# %% tags=["setup"]
from course_lib.lessons import get_real_images, start_lesson

profile = start_lesson(4)

# %% [markdown]
# ## 1. Ten classes, 32 pixels
#
# CIFAR-10 holds 60,000 color photographs, 32 pixels wide and high, of ten kinds of things: airplane, automobile, bird,
# cat, deer, dog, frog, horse, ship, truck. They were collected and labeled at the University of Toronto (Krizhevsky
# 2009); 50,000 are published for training and 10,000 for testing. Most tutorials train
# their first network for color pictures on it.
#
# The pictures on this page are not those. They are *simulated objects*, computed in a few seconds, in ten other
# classes, so that the lesson runs anywhere. On Colab and Kaggle the set-up cell fetches the real ones by itself;
# elsewhere `get_real_images()` does (170 MB), and you run the lesson again. Every cell below works on both, on the real
# ones at more length.

# %%
import torch
from torch import nn
from torch.nn import functional as F

from course_lib.data import load_cifar10
from course_lib.plots import (
    plot_confusion,
    plot_curves,
    plot_images,
    plot_steps,
    show,
)
from course_lib.real_results import on_real

device = profile.device
splits = load_cifar10(profile.source)
train, val = (  # in a new order, as files come sorted by class
    part.subset(torch.randperm(len(part))) for part in (splits.train, splits.val)
)
for name, images in (("train", train), ("val", val)):
    counts = images.counts().values()
    print(name, tuple(images.images.shape), f"{min(counts)} to {max(counts)} of each class")

# %%
of_each = [(train.labels == label).nonzero().flatten()[:3] for label in range(10)]
chosen = torch.stack(of_each).T.flatten()  # a row of ten, three times
captions = [train.classes[label].replace(" ", "\n", 1) for label in train.labels[chosen]]
show("ten-classes", plot_images(train.images[chosen], captions, columns=10), source=profile.source)

# %% [markdown]
# A simulated class is a texture, a color and a shape together: two classes share their texture and color and differ
# in the outline alone. Nothing in the background helps. In a photograph a cue of that kind would be a beak or a wheel,
# and the background often does help: ships stand on blue.
#
# **Before you run the cell:** what does a network score that always gives the same answer? And what does the mean
# color of a picture alone tell? The second question can be answered without a network: give each validation picture
# the class whose mean color (over all its training pictures) is nearest to its own.


# %% tags=["tol-0.02"]
def mean_colors(images):
    return torch.cat([part.float().mean(dim=(2, 3)) for part in images.split(500)])  # (N, 3)


colors = mean_colors(train.images)
centers = torch.stack([colors[train.labels == label].mean(dim=0) for label in range(10)])
nearest = torch.cdist(mean_colors(val.images), centers).argmin(dim=1)
print(f"always the same answer: {(val.labels == 0).float().mean():.2f}")
print(f"nearest mean color:     {(nearest == val.labels).float().mean():.2f}")

# %% [markdown]
# One in ten is chance, and the floor against which everything below is to be read. The mean color hardly lifts it for
# simulated objects, and a little for photographs; whatever a network does beyond that, it owes to where in the picture
# the colors stand.

# %% [markdown]
# ## 2. The network of the tutorials, and a rival without convolutions
#
# Three blocks of convolution, ReLU and pooling, then two dense layers: tutorials train this network with 32, 64 and
# 128 channels, or a smaller sibling with 16 and 32. Both are one class with other arguments. The first line of
# `forward` is what tutorials do in the loader (`Normalize`); inside the network nobody can forget it at prediction
# time.


# %%
class SimpleCNN(nn.Module):
    def __init__(self, channels=(32, 64, 128), *, hidden=512, dropout=0.5, batch_norm=False):
        super().__init__()
        layers = []
        for before, after in zip((3, *channels), channels, strict=False):
            layers.append(nn.Conv2d(before, after, 3, padding=1, bias=not batch_norm))
            if batch_norm:
                layers.append(nn.BatchNorm2d(after))
            layers += [nn.ReLU(), nn.MaxPool2d(2)]
        self.features = nn.Sequential(*layers)
        side = 32 // 2 ** len(channels)  # each block halves the image
        self.fc1 = nn.Linear(channels[-1] * side * side, hidden)
        self.dropout = nn.Dropout(dropout)
        self.fc2 = nn.Linear(hidden, 10)

    def forward(self, images):
        maps = self.features((images - 0.5) / 0.5)  # (N, 128, 4, 4)
        hidden = F.relu(self.fc1(maps.flatten(start_dim=1)))  # (N, 512)
        return self.fc2(self.dropout(hidden))  # (N, 10)


# %% [markdown]
# **Before you run the cell:** in which layer do most of the parameters sit, and in which most of the multiply-adds?

# %%
from course_lib.anatomy import count_parameters, trace_shapes


def small_network(**changes):
    """The smaller sibling: two blocks, no dropout unless asked for."""
    return SimpleCNN((16, 32), **({"hidden": 128, "dropout": 0.0} | changes))


print(trace_shapes(SimpleCNN(), (1, 3, 32, 32)))
print(f"\nthe smaller one: {count_parameters(small_network()):,} parameters")

# %% [markdown]
# `fc1` holds nine tenths of the parameters and does a tenth of the work; the convolutions the other way round. It is
# PneumoniaCNN's story from lesson 2 on a smaller scale.
#
# The tutorials flatten with `x.view(-1, 128 * 4 * 4)`. The `-1` leaves the number of rows to torch.

# %%
from course_lib.widgets import Predict

Predict("4.1")

# %%
maps = torch.zeros(2, 128, 8, 8)  # two images of 64 pixels, after three halvings
print("view(-1, 128 * 4 * 4):", tuple(maps.view(-1, 128 * 4 * 4).shape))
print("flatten(start_dim=1): ", tuple(maps.flatten(start_dim=1).shape))
try:
    SimpleCNN()(torch.zeros(2, 3, 64, 64))
except RuntimeError as error:
    print("RuntimeError:", error)

# %% [markdown]
# `flatten(start_dim=1)` keeps one row for each picture, and the next layer refuses what does not fit. The line of the
# tutorials refuses nothing as long as the numbers fill whole rows, and nobody notices until the answers are counted. It
# is this dense head that wants images of one size; the convolutions before it take any.
#
# Now the rival: a *dense network* (a multilayer perceptron) with about as many parameters, which looks at all 3,072
# numbers of a picture at once and knows nothing of neighbors.


# %%
class DenseNetwork(nn.Module):
    """Two hidden layers and no convolution; centered input and dropout as in `SimpleCNN`."""

    def __init__(self, hidden=340):
        super().__init__()
        self.fc1, self.fc2 = nn.Linear(3 * 32 * 32, hidden), nn.Linear(hidden, hidden)
        self.dropout, self.fc3 = nn.Dropout(0.5), nn.Linear(hidden, 10)

    def forward(self, images):
        hidden = F.relu(self.fc1(((images - 0.5) / 0.5).flatten(start_dim=1)))  # (N, 340)
        return self.fc3(self.dropout(F.relu(self.fc2(hidden))))  # (N, 10)


for name, network in (("SimpleCNN", SimpleCNN()), ("dense", DenseNetwork())):
    trace = trace_shapes(network, (1, 3, 32, 32))
    print(f"{name:9} {trace.parameters:9,} parameters, {trace.multiply_adds:10,} multiply-adds")

# %% [markdown]
# The dense network multiplies each weight once for a picture; the CNN uses its few filter weights again at every pixel,
# and does ten times the arithmetic. "The same budget" therefore needs a word: the two get the same number of
# parameters, the same pictures, the same number of epochs. **Before you look further:** which one will win, and by how
# much?

# %% [markdown]
# ## 3. The loop as a beginner writes it
#
# In tutorials, a dataset gives one picture at a time as a PIL image, transforms turn it into a tensor, and a
# `DataLoader` collects 64 of them. The class below does what torchvision's `CIFAR10` does.

# %%
from PIL import Image
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms


class Photos(Dataset):
    """One picture at a time, as a PIL image, through `transform`."""

    def __init__(self, image_set, transform):
        self.pixels = image_set.images.permute(0, 2, 3, 1).contiguous().numpy()  # (N, 32, 32, 3)
        self.labels = image_set.labels.tolist()
        self.transform = transform

    def __len__(self):
        return len(self.labels)

    def __getitem__(self, index):
        return self.transform(Image.fromarray(self.pixels[index])), self.labels[index]


# %% [markdown]
# The loop is the five calls of lesson 3, with Adam at a constant rate of 0.001 and float32 throughout. It is written to
# take any batches, network and optimizer, since the rest of the lesson changes those one by one; `precision` and
# `layout` wait for section 5.

# %%
import math
import sys
import time
from functools import partial

from course_lib.data import Batches
from course_lib.runtime import Precision
from course_lib.training import evaluate, fit

FLOAT32 = Precision(device.type, None)


def one_pass(model, data, optimizer, *, precision=FLOAT32, layout=torch.contiguous_format):
    """Train once over `data`."""
    model.train()
    for images, labels in data:
        images, labels = images.to(device, memory_format=layout), labels.to(device)
        optimizer.zero_grad()
        with precision.autocast():
            loss = F.cross_entropy(model(images).float(), labels)
        loss.backward()
        optimizer.step()
        loss.item()  # tutorials print it


# %% [markdown]
# A `DataLoader` may have helpers (`num_workers=2`). A class that is defined in a notebook cell reaches them only where
# new processes begin as copies of this one (`fork`, which only Linux can be asked for). So the short profile fetches in
# this process, and the long one asks for two helpers where they can be had.
#
# Three epochs, first the CNN, then the dense network. There are a tenth as many simulated pictures as photographs, so
# their batches hold 16 instead of 64: otherwise there would be too few steps. The clock counts training only; accuracy
# is measured on the validation pictures. (Tutorials print the accuracy on the test images after each training. Once you
# choose anything by that number, you have used up the test images. Ours wait until section 12.)

# %% tags=["tol-0.12"]
workers = profile.choose(simulated=0, real=2 if sys.platform == "linux" else 0)
batch_size = profile.choose(simulated=16, real=64)
photos = DataLoader(
    Photos(train, transforms.ToTensor()),
    batch_size,
    shuffle=True,
    num_workers=workers,
    multiprocessing_context="fork" if workers else None,
)
on_val = Batches(val, 500, device=device)
beginner = {}
for name, build in (("CNN", SimpleCNN), ("dense", DenseNetwork)):
    torch.manual_seed(0)
    model = build().to(device)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.001)
    beginner[name] = [(0.0, 0.1)]  # seconds so far, accuracy; chance before the first epoch
    for _ in range(3):
        started = time.perf_counter()
        one_pass(model, photos, optimizer)
        seconds = beginner[name][-1][0] + time.perf_counter() - started
        beginner[name].append((seconds, evaluate(model, on_val).accuracy))
    print(f"{name:5} accuracy:", ", ".join(f"{accuracy:.2f}" for _, accuracy in beginner[name][1:]))
assert beginner["CNN"][-1][1] > 0.15, "better than chance after three epochs"
assert beginner["CNN"][-1][1] > beginner["dense"][-1][1], "and better than the dense network"

# %% [markdown]
# With as many parameters, and having seen each picture as often, the CNN is ahead and still climbing; of the simulated
# objects the dense network learns hardly anything after its first epoch. What the CNN knows beforehand is that a
# pattern means the same wherever it stands, and that neighboring pixels belong together. The dense network would have
# to learn both from examples, separately for every position. That it has too many parameters, as tutorials say of dense
# networks, cannot be the reason: here it has as many as the CNN.
#
# What did it cost?

# %% tags=["tol-x8"]
seconds = beginner["CNN"][-1][0]
print(f"the CNN: {3 * len(train) / seconds:,.0f} images per second, in batches of {batch_size}")

# %% [markdown]
# Where does the time go? Time the parts, in the tutorials' batches of 64: the loader without a network, and the network
# on one batch that is already there; then whole steps, with the backward pass and the update. **Before you run the
# cell:** which fraction of the time will the loader take?


# %%
def best_of(rounds, *works):
    """Shortest time of each work in seconds; they take turns, so that a disturbance hits all."""
    times = [[] for _ in works]
    for _ in range(rounds):
        for work, found in zip(works, times, strict=True):
            started = time.perf_counter()
            work()
            if device.type != "cpu":  # a GPU works on while Python has gone ahead
                getattr(torch, device.type).synchronize()
            found.append(time.perf_counter() - started)
    return [min(found) for found in times]


# %% tags=["tol-x8"]
few = train.subset(range(512))
waiting = list(DataLoader(Photos(few, transforms.ToTensor()), batch_size=64))
model = SimpleCNN().to(device)
optimizer = torch.optim.Adam(model.parameters(), lr=0.001)
parts = best_of(
    3,
    lambda: list(DataLoader(Photos(few, transforms.ToTensor()), batch_size=64)),
    lambda: [model(images.to(device)) for images, _ in waiting],
    lambda: one_pass(model, waiting, optimizer),
)
for name, seconds in zip(("loader alone", "forward alone", "whole steps"), parts, strict=True):
    print(f"{name:14} {1e6 * seconds / len(few):6,.0f} microseconds per image")
whole_epochs = 5 * 50_000 * (parts[0] + parts[2]) / len(few)
print(f"five epochs of 50,000 photographs at this speed: {whole_epochs / 60:.1f} minutes")

# %% [markdown]
# The loader's microseconds and those of the steps add up, where no helper works beside the network. A whole step is the
# forward pass, the backward pass and the update. By arithmetic the backward pass is twice the forward pass: one
# gradient for the weights and one for the layer's input, each as many multiply-adds as the layer itself. The clock need
# not agree, since multiplying is not all that is done.
#
# And inside the network? Take its layers one by one, each with its backward pass. **Before you run the cell:** pooling
# and ReLU do not multiply at all. Which fraction of the time do they take?

# %% tags=["tol-x8"]
maps = torch.cat([images for images, _ in waiting]).to(device)[:256]
layers = [*model.features, nn.Flatten(), model.fc1, nn.ReLU(), model.fc2]
shares = dict.fromkeys(("Conv2d", "ReLU", "MaxPool2d", "Linear"), 0.0)
for layer in layers:
    given = maps.detach().requires_grad_()
    maps = layer(given)
    gradient = torch.ones_like(maps)
    (seconds,) = best_of(3, lambda layer=layer, x=given, g=gradient: layer(x).backward(g))
    if type(layer).__name__ in shares:
        shares[type(layer).__name__] += seconds
for kind, seconds in shares.items():
    print(f"{kind:10} {100 * seconds / sum(shares.values()):3.0f} % of the layers' time")

# %% [markdown]
# On a processor the network is the larger part, and the loader what one could save at most by making batches otherwise.
# On a GPU the steps shrink to a fraction while the loader stays as it is, and most of the time is waiting. Inside the
# network, the layers without a single multiplication take a good part of the time, pooling above all. Counting
# multiply-adds alone would not have told you.

# %% [markdown]
# ## 4. Batches that are made as one tensor
#
# The pictures fit into memory: 60,000 of 3,072 bytes are 184 MB. So the loader's work, opening and stacking one picture
# at a time in Python, can go. But tutorials also *augment*: each time a picture is shown it is cut out a little
# differently and perhaps mirrored, so that the network cannot learn pixels by heart. They do it picture by picture. How
# is it done to 500 pictures at once, each in its own way?
#
# Take one row of six pixels, to be shifted by two. **Before you run the cell:** which pixels stand where? The new ones
# at the right are the picture mirrored at its border.

# %%
row = torch.tensor([10, 20, 30, 40, 50, 60])
moved = torch.arange(6) + 2  # 2 3 4 5 6 7: the last two do not exist
mirrored = 5 - (5 - moved).abs()  # 2 3 4 5 4 3
print("read from      ", mirrored.tolist(), "->", row[mirrored].tolist())
print("read backwards  ", mirrored.flip(0).tolist(), "->", row[mirrored.flip(0)].tolist())

# %% [markdown]
# A shift and a flip are both a list of positions to read from. With one list for each picture, `gather` reads them all:
# `images.gather(2, rows)` takes for each output pixel the row that stands in `rows` at the same position.


# %%
def places(count, side, shift):
    """For each of `count` pictures, which pixel is read where along one side, (count, side)."""
    moved = torch.randint(-shift, shift + 1, (count, 1), device=device)
    moved = (torch.arange(side, device=device) + moved).abs()  # mirrored at the first pixel,
    return side - 1 - (side - 1 - moved).abs()  # and at the last


def crop_and_flip(images, shift=4):
    """Float images (N, C, H, W), each shifted by up to `shift` pixels, and half of them mirrored."""
    count, channels, height, width = images.shape
    rows, columns = places(count, height, shift), places(count, width, shift)
    flipped = torch.rand(count, 1, device=device) < 0.5
    columns = torch.where(flipped, columns.flip(1), columns)
    images = images.gather(2, rows[:, None, :, None].expand(-1, channels, -1, width))
    return images.gather(3, columns[:, None, None, :].expand(-1, channels, height, -1))


# %%
torch.manual_seed(1)
one = train.images[:1].to(device).float() / 255
versions = crop_and_flip(one.expand(7, -1, -1, -1))
figure = plot_images(torch.cat([one, versions]), ["original"] + 7 * ["augmented"], columns=8)
show("augmented-versions", figure)

# %% [markdown]
# `PhotoAugmentation` in `course_lib.data` is this function as an object, with two more changes that it makes if asked:
# `color` varies contrast and the strength of each channel, `cutout` covers a square in gray, so that no single part of
# a picture may be relied upon. First: is it the same? Then: what does it cost, against transforms that do it picture by
# picture (with the rotation and color jitter of tutorials as well)?

# %%
from course_lib.data import PhotoAugmentation

images = train.images[:100].to(device).float() / 255
torch.manual_seed(0)
by_hand = crop_and_flip(images, shift=4)
torch.manual_seed(0)
print("same seed, same pictures:", torch.equal(by_hand, PhotoAugmentation(shift=4)(images)))

# %% tags=["tol-x8"]
crop = [transforms.RandomCrop(32, padding=4), transforms.RandomHorizontalFlip()]
more = [transforms.RandomRotation(15), transforms.ColorJitter(brightness=0.2, contrast=0.2)]
roads = {
    "one by one: no change": DataLoader(Photos(few, transforms.ToTensor()), 64),
    "one by one: crop, flip": DataLoader(
        Photos(few, transforms.Compose([*crop, transforms.ToTensor()])), 64
    ),
    "one by one: the tutorials' four": DataLoader(
        Photos(few, transforms.Compose([*crop, *more, transforms.ToTensor()])), 64
    ),
    "as one tensor: crop, flip": Batches(few, 64, augment=PhotoAugmentation()),
    "as one tensor: also color, cutout": Batches(
        few, 64, augment=PhotoAugmentation(color=0.2, cutout=8)
    ),
}
times = best_of(3, *(lambda road=road: [None for _ in road] for road in roads.values()))
for name, seconds in zip(roads, times, strict=True):
    print(f"{name:35} {len(few) / seconds:8,.0f} images per second")

# %% [markdown]
# Compare the fourth row with the second, and the fifth with the third: the same kind of work, many times as fast, with
# one process and no helpers. What an augmentation must never do is change the answer. A mirrored truck is a truck; a
# mirrored letter is not, and on a chest X-ray the side of the heart is information.
#
# Color may vary by a fifth because a cool blue varied by a fifth is still cool. The list of tutorials rotates by up to
# 15 degrees as well, which leaves black corners; whether it helps is a question for an experiment, and in section 6 you
# will make such experiments. None of this is done to validation pictures.

# %% [markdown]
# ## 5. Faster: one change at a time
#
# Now the same network at the same loop, with one change after another. All of them were explained in lesson 3 but one:
# *fused* Adam does the update of a layer's weights in one sweep through memory instead of one sweep for each term of
# its formula. Every row keeps the changes above it. **Before you run the cell:** which row brings most?


# %%
def contestant(
    *, made="cropped", layout=torch.channels_last, precision=FLOAT32, fused=False, batch_size=64
):
    """A function that trains a new `SimpleCNN` once over 512 pictures."""
    model = SimpleCNN().to(device, memory_format=layout)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.001, fused=fused)
    augment = PhotoAugmentation() if made == "cropped" else None
    data = Batches(few, batch_size, shuffle=True, augment=augment, device=device)
    if made == "one by one":
        data = DataLoader(Photos(few, transforms.ToTensor()), batch_size, shuffle=True)
    return lambda: one_pass(model, data, optimizer, precision=precision, layout=layout)


plain = torch.contiguous_format
best = Precision.best(device)
rows = {
    "as a beginner writes it": contestant(made="one by one", layout=plain),
    "+ batches in memory": contestant(made="in memory", layout=plain),
    "+ cropped and flipped": contestant(layout=plain),
    "+ channels last": contestant(),
    "+ lower precision, if it pays": contestant(precision=best),
    "+ fused Adam": contestant(precision=best, fused=True),
    "+ batches of 256": contestant(precision=best, fused=True, batch_size=256),
}

# %% tags=["tol-x6"]
speeds = [len(few) / seconds for seconds in best_of(3, *rows.values())]
factors = {name: speed / speeds[0] for name, speed in zip(rows, speeds, strict=True)}
for (name, factor), speed in zip(factors.items(), speeds, strict=True):
    print(f"{name:31} {speed:7,.0f} images per second, {factor:5.2f} times the first row")

# %% [markdown]
# The rows build on each other, so the last factor is that of all changes together. Lower precision has its factor only
# where the processor has instructions for it; elsewhere that row repeats the one above. Larger batches are the change
# to distrust: whatever they bring in images per second, the pass takes a quarter of the steps.
#
# What those teach, the next section measures. One more change came before the first row and helps every row: on Linux,
# `start_lesson` has told the C library to keep freed memory for the next tensor (`keep_freed_memory` in
# `course_lib.runtime`), which it would otherwise give back to the system and fetch again page by page in every step.

# %% [markdown]
# ## 6. Better: one change at a time
#
# Speed is half of the matter. The other half is how much each picture teaches. What follows compares changes at an
# equal number of epochs, with the smaller network, each from two seeds, since one lucky start proves nothing; a second
# table gives the time of each training, relative to the first row's. Three of the changes need a word.
#
# **Label smoothing** asks for a little less than certainty. Of ten classes, and with a smoothing of 0.1, the right one
# should get 0.91 and each other 0.01. **Before you run the cell:** the right logit stands above all others by a margin.
# The plain loss falls forever as the margin grows. Where is the smoothed loss lowest?

# %%
for margin in (0, 2, 4, 4.5, 5, 8, 12):
    logits = torch.zeros(1, 10)
    logits[0, 3] = margin
    plain_loss, smoothed = (
        F.cross_entropy(logits, torch.tensor([3]), label_smoothing=share).item()
        for share in (0, 0.1)
    )
    print(f"margin {margin:4}: plain {plain_loss:.2f}, smoothed {smoothed:.2f}")

# %% [markdown]
# At $\ln(0.91 / 0.01) = 4.5$, where the softmax gives just 0.91. Beyond it, overconfidence costs. The floor is 0.50 and
# not 0, so never compare a smoothed loss with a plain one.
#
# **Averaging weights.** While the rate is high, the weights jump around a good point rather than rest there. A running
# mean of them is nearer to it: after each step, $m \leftarrow d\,m + (1 - d)\,w$, which is about the mean of the last
# $1 / (1 - d)$ steps. Training goes on with $w$; the answer is given with $m$. **Before you run the cell:** one weight
# jumps between 1 and 3. With $d = 0.9$, how far from 2 will the mean swing, once it has arrived?

# %%
mean = 1.0
for step in range(60):
    weight = 1.0 if step % 2 else 3.0
    mean = 0.9 * mean + 0.1 * weight
    if step >= 56:
        print(f"weight {weight:.0f}, mean {mean:.2f}")

# %% [markdown]
# A twentieth of the swing is left. **Test-time flip**, the simplest *test-time augmentation*, is the same idea for
# pictures: ask about the picture and about its mirror image, and average the logits. It costs a second forward pass and
# no training.


# %%
@torch.no_grad()
def flip_accuracy(model):
    """Validation accuracy of the mean answer for a picture and its mirror image."""
    model.eval()
    right = 0
    for images, labels in on_val:
        logits = model(images) + model(images.flip(3))
        right += (logits.argmax(dim=1) == labels).sum().item()
    return right / len(val)


# %% [markdown]
# The first four rows add up. The others are each added to row four alone, so that none has to answer for another.
# **Before you run the cell:** which will help in so short a training? Which will not, and why?

# %%
crop_flip = PhotoAugmentation()
CYCLE = {"learning_rate": 3e-3, "warmup": 0.25}
SMOOTH = CYCLE | {"label_smoothing": 0.1}
CONSTANT = {"learning_rate": 1e-3, "warmup": None}
NORM = {"batch_norm": True}
changes = {  # network, augmentation, arguments of fit
    "Adam, constant rate": ({}, None, CONSTANT),
    "+ one cycle, peak 0.003": ({}, None, CYCLE),
    "+ batch norm": (NORM, None, CYCLE),
    "+ label smoothing": (NORM, None, SMOOTH),
    "row 4, dropout": (NORM | {"dropout": 0.5}, None, SMOOTH),
    "row 4, crop and flip": (NORM, crop_flip, SMOOTH),
    "row 4, color": (NORM, PhotoAugmentation(shift=0, flip=False, color=0.2), SMOOTH),
    "row 4, cutout": (NORM, PhotoAugmentation(shift=0, flip=False, cutout=8), SMOOTH),
    "row 4, weights averaged": (NORM, None, SMOOTH | {"average_decay": 0.98}),
    "row 4, lower precision": (NORM, None, SMOOTH | {"precision": best}),
    "row 4, batches of 128": (NORM, None, SMOOTH),
}

# %%
learn = train.subset(range(profile.choose(simulated=2000, real=10_000)))
some_val = Batches(val.subset(range(200)), 200, device=device)  # for `fit`, which wants some
accuracies, seconds = {name: [] for name in changes}, dict.fromkeys(changes, 0.0)
flipped = accuracies["row 4, test-time flip"] = []
for name, (network, augment, arguments) in changes.items():
    batch_size = 128 if "128" in name else 32
    arguments = {"precision": FLOAT32, "weight_decay": 0.0} | arguments
    for seed in range(2):
        torch.manual_seed(seed)
        model = small_network(**network).to(device)
        data = Batches(learn, batch_size, shuffle=True, augment=augment, device=device)
        history = fit(model, data, some_val, epochs=4, seed=seed, **arguments)
        seconds[name] += sum(history.seconds)
        accuracies[name].append(evaluate(model, on_val).accuracy)
        if name == "+ label smoothing":
            flipped.append(flip_accuracy(model))

# %% [markdown]
# Accuracy first, then time:

# %% tags=["tol-0.2"]
mean = {name: sum(found) / 2 for name, found in accuracies.items()}
for name, found in accuracies.items():
    print(f"{name:24} {mean[name]:.2f}  (seeds: {min(found):.2f} to {max(found):.2f})")
assert mean["+ batch norm"] > mean["+ one cycle, peak 0.003"], "batch norm helps"
assert mean["row 4, dropout"] < mean["+ label smoothing"], "dropout comes too early"
assert mean["row 4, crop and flip"] < mean["+ label smoothing"], "and so does augmentation"

# %% tags=["tol-x4"]
for name, its in seconds.items():
    print(f"{name:24} {its / seconds['Adam, constant rate']:.2f} times the first row's seconds")

# %% [markdown]
# All steps of the last two sections in one picture, factors above and accuracies below:

# %%
figure = plot_steps(
    factors,
    accuracies,
    first="images per second, relative to the first row",
    second="validation accuracy",
)
show("every-step", figure)

# %% [markdown]
# Read the upper panel as a product: each row keeps the changes above it. Read the lower one with the length of its
# lines in mind. Where two seeds of one row lie further apart than two rows, the rows say nothing about each other.
#
# And on photographs? Compare the order of the rows with that in the table above.

# %%
on_real("04.changes", accuracies, val)

# %% [markdown]
# On the simulated objects batch norm is the change that clearly helps, as tutorials say it does. Smoothing, the
# averaged weights and the test-time flip move the result by a few hundredths, about as much as another seed. (Averaging
# has little to do here: the one cycle ends at a rate of nearly 0, where the weights no longer jump.) Lower precision
# costs no accuracy that two seeds could show. Batches of 128 take a quarter of the steps and pay for it: with so few
# steps each one counts, and larger batches want a larger rate or more epochs.
#
# Dropout *lowers* it, and so do shifted and mirrored pictures; other colors and covered squares change little. Dropout
# against overfitting, augmentation as if there were more pictures: so tutorials recommend them, and it is good advice
# for a network that has begun to learn its pictures by heart. After four epochs this one has not; it is still learning
# the first things, and both make its task harder. With photographs and more epochs the rows may come in another order.
# The method stays: one change, equal effort, several seeds, and the courage to strike out what does not help.

# %% [markdown]
# ## 7. Another network, another optimizer
#
# What does the smaller network still do badly? Its dense head learns each position of a map by itself: a wheel that it
# knows at the left it must learn again at the right. `FastCNN`, in `course_lib/models/fast.py`, is half a page to read:
# convolutions with batch norm as you know them, in each group a pooling step *before* the first normalization, so that
# the cheap operations touch a quarter of the pixels, and at the end the largest value of each map, wherever it is,
# instead of a flattened head. It takes pictures of any size. With `mirror=True` it does the test-time flip itself.

# %%
from course_lib.models import FastCNN

widths = profile.choose(simulated=(16, 32, 64), real=(64, 128, 256))
print(trace_shapes(FastCNN((16, 32, 64)), (1, 3, 32, 32)))

# %% [markdown]
# The optimizer is **Muon** (Jordan and others 2024). The gradient of a layer's filters is a matrix, one row for each
# filter, and it has strong directions and weak ones: along the strong ones the step is long, along the weak ones little
# happens. Muon takes the running mean of the gradients and makes all directions equally strong before it steps.
#
# How strong a matrix is along each of its own directions is told by its *singular values*, sorted from the largest to
# the smallest. **Before you run the cell:** the first line are those of the gradient of one convolution in a new
# network. What will they be after Muon's treatment?

# %% tags=["tol-0.3"]
from course_lib.muon import Muon, orthogonalize

torch.manual_seed(0)
model = FastCNN((16, 32, 64)).to(device)
images, labels = next(iter(Batches(train, 128, device=device)))
F.cross_entropy(model(images), labels).backward()
gradient = model.groups[1].conv2.weight.grad.flatten(start_dim=1).cpu()  # (32, 288)
for name, matrix in (("gradient", gradient / gradient.norm()), ("step", orthogonalize(gradient))):
    values = torch.linalg.svdvals(matrix)[[0, 1, 3, 7, 15, 31]].tolist()
    print(f"{name:9} singular values 1, 2, 4, 8, 16 and 32:", *(f"{value:.2f}" for value in values))

# %% [markdown]
# In the gradient the strongest direction is several times as strong as the weakest; in the step all are about alike
# (roughly between 0.7 and 1.2, which is as near to 1 as five rounds of cheap matrix products bring them). Muon is for
# filters only; biases, batch norm and the last layer go to AdamW.
#
# Everything together: batches as one tensor, channels last, lower precision where it pays, one cycle, smoothing, Muon.
# **Before you run the cell:** after which epoch will it have passed the beginner's third one?

# %% tags=["tol-0.12"]
torch.manual_seed(0)
fast = FastCNN(widths, mirror=True).to(device)
batch_size = profile.choose(simulated=50, real=500)
muon = {"optimizer_name": "muon", "warmup": 0.1, "label_smoothing": 0.1, "weight_decay": 0.0}
history = fit(
    fast,
    Batches(train, batch_size, shuffle=True, augment=PhotoAugmentation(shift=2), device=device),
    on_val,
    epochs=4,
    learning_rate=profile.choose(simulated=0.05, real=0.2),
    **muon,
)
print("accuracy after each epoch:", ", ".join(f"{value:.2f}" for value in history.val_accuracy))
assert history.val_accuracy[-1] > beginner["CNN"][-1][1] + 0.05, "better than the beginner's loop"

# %% [markdown]
# That is far beyond the beginner's CNN. Now the other way round, the question in the title of this lesson: how little
# is enough to be where the beginner's loop was after its three epochs? One short cycle over the pictures, or over half
# of the simulated ones, with a narrower network for the photographs. **Before you run the cells:** which factor between
# the two times do you expect?

# %% tags=["tol-0.15"]
torch.manual_seed(0)
sprinter = FastCNN(profile.choose(simulated=(16, 32, 64), real=(32, 64, 128)), mirror=True)
sprint = Batches(
    train.subset(range(profile.choose(simulated=len(train) // 2, real=len(train)))),
    profile.choose(simulated=25, real=250),
    shuffle=True,
    augment=PhotoAugmentation(shift=0),  # mirrored only: no picture is shown twice
    device=device,
)
rate = profile.choose(simulated=0.05, real=0.2)
started = time.perf_counter()
fit(sprinter.to(device), sprint, some_val, epochs=1, learning_rate=rate, **muon)
sprint_seconds = time.perf_counter() - started
sprint_accuracy = evaluate(sprinter, on_val).accuracy
goal_seconds, goal = beginner["CNN"][-1]
print(f"accuracy {sprint_accuracy:.2f} after the short cycle, {goal:.2f} by the beginner's loop")
assert sprint_accuracy >= goal, "one short cycle is enough"

# %% tags=["tol-x8"]
print(f"{sprint_seconds:.1f} s instead of {goal_seconds:.1f} s", end=": ")
print(f"{goal_seconds / sprint_seconds:.1f} times as fast")

# %% [markdown]
# The whole race in one picture. **Before you look:** where is the beginner's CNN when the long fast training finishes?

# %%
seconds = torch.tensor([0.0, *history.seconds]).cumsum(dim=0).tolist()
curves = {
    "FastCNN, four epochs": list(zip(seconds, [0.1, *history.val_accuracy], strict=True)),
    "FastCNN, short cycle": [(0.0, 0.1), (sprint_seconds, sprint_accuracy)],
    "beginner's CNN": beginner["CNN"],
    "beginner's dense": beginner["dense"],
}
race = {name: tuple(zip(*points, strict=True)) for name, points in curves.items()}
show("race", plot_curves(race, xlabel="seconds of training", ylabel="validation accuracy"))

# %% [markdown]
# The same race on CIFAR-10: where on its axis does each of the four end, and how high?

# %%
on_real("04.race", race, val)

# %% [markdown]
# On the simulated objects the beginner's CNN is still under way when the long fast training finishes. Two things work
# together here: more images pass in each second (section 5), and more is learned from each, which comes from the
# network and its optimizer and not from the processor. The clock was not kind to the fast pipeline: its seconds include
# scoring validation pictures, and those of the beginner's do not.
#
# It was unkind to the beginner in the short profile, whose small batches cost time. And remember what section 6 has
# said about one seed: the factor is one draw. A training of this kind from the command line, with the real photographs,
# six epochs, a run folder and a model card:
#
#     course train cifar10 --preset fast
#
# `--preset tutorial` is the network and the optimizer of the tutorials, with pictures one by one through a
# `DataLoader`; `--preset best` is a longer training of a wider network.
#
# And augmentation, which lost in section 6? Give it the case that it is made for: few pictures, seen many times. The
# cell trains a narrow `FastCNN` on 400 pictures for 20 epochs. **Before you run the cell:** how far will the accuracy
# on these 400 be from that on new ones, without and with shifts and flips?

# %% tags=["tol-0.2"]
handful = train.subset(range(400))
gaps, accuracy_on_new = {}, {}
for name, augment in (("as they are", None), ("crop and flip", crop_flip)):
    torch.manual_seed(0)
    model = FastCNN((8, 16, 32)).to(device)
    data = Batches(handful, 40, shuffle=True, augment=augment, device=device)
    fit(model, data, some_val, epochs=20, learning_rate=0.05, **muon)
    known = evaluate(model, Batches(handful, 400, device=device)).accuracy
    new = evaluate(model, on_val).accuracy
    gaps[name] = known - new
    print(f"{name:13} accuracy {known:.2f} on its 400 pictures, {new:.2f} on new ones")
    accuracy_on_new[name] = new
assert gaps["crop and flip"] < gaps["as they are"], "augmentation narrows the gap"
assert accuracy_on_new["crop and flip"] > accuracy_on_new["as they are"], "and helps on new ones"

# %% [markdown]
# Without augmentation the network knows its 400 pictures and far less about others. With it, it knows its own less well
# and the others better. So the question before you augment is the one of lesson 3: is there a gap?
#
# ### How fast could it be?
#
# A training step is mostly multiply-adds, so compare with what this processor does when it does nothing else. The
# yardsticks are one large matrix product, in the same precision, and the network's convolutions, each by itself.
# **Before you run the cell:** which fraction of the matrix product's rate does the training reach?


# %%
def convolutions_alone(model, images, dtype):
    """Multiply-adds and works, forward and backward, of all convolutions for one batch."""
    inputs, multiply_adds, works = [], 0, []
    convs = [module for module in model.modules() if isinstance(module, nn.Conv2d)]
    hooks = [
        c.register_forward_pre_hook(lambda conv, given: inputs.append(given[0])) for c in convs
    ]
    with torch.no_grad():
        model(images)
    for hook in hooks:
        hook.remove()
    for number, (conv, given) in enumerate(zip(convs, inputs, strict=True)):
        given = given.to(dtype, memory_format=torch.channels_last).requires_grad_(number > 0)
        weight = conv.weight.detach().to(dtype).requires_grad_()
        gradient = torch.ones_like(F.conv2d(given, weight, padding=1))
        passes = 3 if number else 2  # forward, for the weights, and (not in the first) the input
        multiply_adds += passes * gradient.numel() * weight[0].numel()
        works.append(lambda g=given, w=weight, d=gradient: F.conv2d(g, w, padding=1).backward(d))
    return multiply_adds, works


# %% tags=["tol-x20"]
images, labels = next(iter(Batches(train, 256, device=device)))
model = FastCNN(widths).to(device, memory_format=torch.channels_last).train()
optimizer = Muon(model.parameters())
dtype = best.dtype or torch.float32
multiply_adds, works = convolutions_alone(model, images, dtype)
left = torch.rand(4096, 1024, device=device).to(dtype)
right = torch.rand(1024, 1024, device=device).to(dtype)
step = partial(one_pass, model, precision=best, layout=torch.channels_last)
plain_sgd = torch.optim.SGD(model.parameters(), lr=0.0)  # an update that costs next to nothing
batches = Batches(train.subset(range(256)), 256, augment=PhotoAugmentation(shift=2), device=device)
product, whole, without_muon, making, *alone = best_of(
    4,
    lambda: left @ right,
    lambda: step([(images, labels)], optimizer),
    lambda: step([(images, labels)], plain_sgd),
    lambda: list(batches),
    *works,
)
product_rate, alone_rate = left.numel() * 1024 / product, multiply_adds / sum(alone)
print(f"one matrix product:     {product_rate / 1e9:6.0f} billion multiply-adds per second")
print(f"the convolutions alone: {alone_rate / 1e9:6.0f}, {alone_rate / product_rate:4.0%} of that")
print(f"whole training steps:   {multiply_adds / whole / 1e9:6.0f}")

# %% [markdown]
# Which part of a step takes the time? **Before you run the cell:** the convolutions are nearly all of the
# multiply-adds. Are they nearly all of the time?

# %% tags=["tol-40"]
muon_time = max(0.0, whole - without_muon)
rest = max(0.0, without_muon - sum(alone))
parts = {
    "convolutions": sum(alone),
    "Muon": muon_time,
    "making the batch": making,
    "the rest": rest,
}
for name, seconds in parts.items():
    print(f"{name:17} {100 * seconds / (whole + making):3.0f} % of a step")

# %% [markdown]
# Two losses, one after the other. The convolutions alone fall short of the matrix product because their matrices are
# narrow (some dozens of channels) and must first be gathered from the maps.
#
# The whole step falls short of the convolutions: the last lines say by how much, and where. "The rest" is pooling,
# batch norm, activations, changes of format and Python; Muon does multiply, but its products are not counted in the
# network's. (Convolutions timed by themselves are a little faster or slower than inside a step, so the percentages need
# not add up to 100.) What you should take along is the way of asking: not "is it fast?" but "which fraction of what
# this machine can do, and where is the rest?".

# %% [markdown]
# ## 8. What is still wrong?
#
# An accuracy is one number for many decisions. Take it apart, on the validation pictures. First by class. **Before you
# run the cell:** which classes should be hardest, by what you have seen of them?

# %% tags=["tol-0.2"]
from course_lib.metrics import multiclass_report

outcome = evaluate(fast, on_val)
probs, labels = outcome.probs, outcome.labels
report = multiclass_report(probs, labels)
matrix = torch.tensor(report.confusion)  # (10, 10): rows are true classes, columns predicted ones
right = matrix.diagonal()
recalls, precisions = right / matrix.sum(dim=1), right / matrix.sum(dim=0).clamp(min=1)
for name, recall, precision in zip(train.classes, recalls, precisions, strict=True):
    print(f"{name:22} {recall:.2f} of them found, {precision:.2f} of its predictions right")

# %%
show("confusion-of-ten", plot_confusion(matrix, train.classes))

# %% [markdown]
# The first column is the *recall* of a class, sensitivity in the medical word of lesson 3; the second its *precision*,
# the positive predictive value. Errors are not spread evenly over the matrix. Which classes are mistaken for each other
# says what the network does not see. The next cell sorts the errors by what the two classes have in common: for
# simulated objects, which single cue was mistaken; for photographs, whether an animal was taken for another animal.
# **Before you run the cell:** guess the order.


# %%
def what_was_mistaken(true, called):
    """Which cue tells the two classes apart; of photographs, which kinds of things they are."""
    if profile.source == "simulated":
        pairs = zip(cues, true.split(), called.split(), strict=False)
        differing = [cue for cue, one, other in pairs if one != other]
        return differing[0] if len(differing) == 1 else "more than one"
    vehicles = [name in ("airplane", "automobile", "ship", "truck") for name in (true, called)]
    return ("animals", "one of each", "vehicles")[sum(vehicles)]


# %% tags=["tol-30"]
simulated = ("texture", "color", "shape", "more than one")
cues = profile.choose(simulated=simulated, real=("animals", "vehicles", "one of each"))
called = probs.argmax(dim=1)
wrong = (called != labels).nonzero().flatten()
found = [what_was_mistaken(train.classes[labels[i]], train.classes[called[i]]) for i in wrong]
for cue in cues:
    print(f"{cue:13} {100 * found.count(cue) / len(wrong):3.0f} % of the errors")

# %% [markdown]
# Nearly every error is about one cue alone. On the simulated objects texture is hardly ever mistaken: stripes and dots
# fill the whole object and survive every shift. Color is judged against a light whose own color changes from picture
# to picture, and an outline is a matter of a few pixels.
#
# And on photographs? Look for the class that is found least, and for two classes that are taken for each other.

# %%
on_real("04.classes", report, val)

# %% [markdown]
# And the pictures themselves: the mistakes of which the network was surest. **Before you look:** would you expect odd
# pictures, or plain ones?

# %%
surest = wrong[probs[wrong].amax(dim=1).argsort(descending=True)][:10]
captions = [
    f"{train.classes[labels[i]]}\n-> {train.classes[called[i]]}\nat {probs[i].max():.2f}"
    for i in surest
]
show("surest-mistakes", plot_images(val.images[surest], captions, columns=5))

# %% [markdown]
# Ask of each picture whether you would have known. Where you would not either, no network of this kind can be expected
# to; where you would, there is something to be gained. In real data such a page is also where wrong labels come to
# light.
#
# ### Does it know when it does not know?
#
# With ten classes, take the probability of the predicted class, and ask how often the prediction was right. The
# temperature is fitted on one half of the validation pictures and judged on the other, since a number looks best on the
# pictures it was fitted to.

# %%
Predict("4.2")

# %% tags=["tol-0.15"]
from course_lib.metrics import fit_temperature, reliability

half = len(val) // 2
temperature = fit_temperature(outcome.logits[:half], labels[:half])
print(f"temperature {temperature:.2f}")
curves, judged = {}, labels[half:]
for name, divisor in (("before", 1.0), ("after", temperature)):
    scaled = (outcome.logits[half:] / divisor).softmax(dim=1)
    sure, right = scaled.max(dim=1).values, (scaled.argmax(dim=1) == judged).long()
    bins = reliability(sure, right, num_bins=10)
    enough = bins.counts >= 10  # a fraction of fewer says nothing
    curves[name] = (bins.promised[enough].tolist(), bins.observed[enough].tolist())
    error = multiclass_report(scaled, judged).ece
    print(f"{name:6} predicted {sure.mean():.2f}, right {right.double().mean():.2f}", end=", ")
    print(f"error {error:.2f}")

# %% [markdown]
# The same as a picture, before and after all logits were divided by the temperature:

# %%
curves["calibrated"] = ((0, 1), (0, 1))
figure = plot_curves(
    curves, xlabel="mean probability of the predicted class", ylabel="fraction correct"
)
show("reliability-of-classes", figure)

# %% [markdown]
# A temperature below 1: this network is not overconfident but underconfident. It is right more often than its
# probabilities say. Label smoothing is one reason, a mean over two answers and so short a training are others. After
# scaling, the points lie nearer to the diagonal, and no prediction has changed.

# %% [markdown]
# ## 9. Blocks that made history
#
# The networks whose names you meet everywhere are chains of one block each. What did each block add? Build them, each
# reduced to its idea, for maps of 64 channels and 32x32 pixels, and count. The measure is a plain 3x3 convolution with
# batch norm and ReLU.


# %%
def conv(before, after, kernel=3, *, groups=1, act=nn.ReLU):
    """Convolution, batch norm, activation; maps keep their size."""
    return nn.Sequential(
        nn.Conv2d(before, after, kernel, padding=kernel // 2, groups=groups, bias=False),
        nn.BatchNorm2d(after),
        act(),
    )


def cost(name, block):
    """Print what a block makes of 64 maps of 32x32, and what it costs."""
    trace = trace_shapes(block, (1, 64, 32, 32))
    shape = tuple(block.eval()(torch.zeros(2, 64, 32, 32)).shape)
    print(f"{name:22} {shape!s:17} {trace.parameters:7,} parameters,", end=" ")
    print(f"{trace.multiply_adds:11,} multiply-adds")


cost("plain 3x3", conv(64, 64))

# %% [markdown]
# **ResNet** (2015) adds the input to the output, by a skip connection of the kind that is also called a *residual
# connection*. The block then learns the *residual*, what is to be changed, and doing nothing is easy: all weights zero.
# The basic block has two 3x3 convolutions. The *bottleneck* narrows to a quarter first, and widens after. **Before you
# run the cell:** which of the two is cheaper, and by how much?


# %%
class Residual(nn.Module):
    def __init__(self, *layers):
        super().__init__()
        self.layers = nn.Sequential(*layers)

    def forward(self, maps):
        return F.relu(maps + self.layers(maps))  # the skip connection


cost("residual, basic", Residual(conv(64, 64), conv(64, 64, act=nn.Identity)))
cost(
    "residual, bottleneck",
    Residual(conv(64, 16, 1), conv(16, 16), conv(16, 64, 1, act=nn.Identity)),
)

# %% [markdown]
# A 1x1 convolution mixes channels pixel by pixel. At a quarter of the channels, the 3x3 in the middle costs a
# sixteenth. In ResNet-50 the bottleneck is used the other way: for the price of a basic block, four times the channels
# pass.
#
# **Inception** (GoogLeNet, 2014) does not choose a kernel size: it runs several side by side and stacks their maps. 1x1
# convolutions before the wide kernels keep the price down.


# %%
class Inception(nn.Module):
    def __init__(self):
        super().__init__()
        self.branches = nn.ModuleList(
            [
                conv(64, 16, 1),
                nn.Sequential(conv(64, 16, 1), conv(16, 32, 3)),
                nn.Sequential(conv(64, 8, 1), conv(8, 8, 5)),
                nn.Sequential(nn.MaxPool2d(3, stride=1, padding=1), conv(64, 8, 1)),
            ]
        )

    def forward(self, maps):
        outputs = [branch(maps) for branch in self.branches]  # of 16, 32, 8 and 8 channels
        return torch.cat(outputs, dim=1)  # (N, 64, H, W)


cost("Inception", Inception())

# %% [markdown]
# **DenseNet** (2016) stacks where ResNet adds: each layer sees the maps of all layers before it and contributes a few
# of its own, here 16. Nothing is ever overwritten, and so the maps grow. **Before you run the cell:** four layers, 64
# channels in; how many come out?


# %%
class DenseBlock(nn.Module):
    def __init__(self, growth=16, num_layers=4):
        super().__init__()
        self.layers = nn.ModuleList(
            conv(64 + number * growth, growth) for number in range(num_layers)
        )

    def forward(self, maps):
        for layer in self.layers:
            maps = torch.cat([maps, layer(maps)], dim=1)
        return maps  # (N, 128, H, W)


cost("dense, 4 layers of 16", DenseBlock())

# %% [markdown]
# **EfficientNet** (2019) is known for how it was found, by an automatic search, and for widening, deepening and
# enlarging the images in fixed proportion. Its block, the *MBConv*, is older (MobileNetV2). It turns the bottleneck
# inside out: widen, here four times; filter each map by itself (a *depthwise* convolution, `groups=channels`); and
# narrow again, without an activation. In between, *squeeze and excitation* looks at the mean of each map and multiplies
# the map by a factor between 0 and 1. **Before you run the cells:** the 3x3 works on 256 channels here. How can that be
# affordable?


# %%
class SqueezeExcite(nn.Module):
    def __init__(self, channels, squeezed):
        super().__init__()
        self.squeeze = nn.Conv2d(channels, squeezed, 1)
        self.excite = nn.Conv2d(squeezed, channels, 1)

    def forward(self, maps):
        means = maps.mean(dim=(2, 3), keepdim=True)  # (N, C, 1, 1)
        return maps * self.excite(F.silu(self.squeeze(means))).sigmoid()


# %% [markdown]
# Now the block around it. The skip connection joins the two narrow ends.


# %%
class MBConv(nn.Module):
    def __init__(self, channels=64, widened=256):
        super().__init__()
        self.layers = nn.Sequential(
            conv(channels, widened, 1, act=nn.SiLU),
            conv(widened, widened, 3, groups=widened, act=nn.SiLU),
            SqueezeExcite(widened, channels // 4),
            conv(widened, channels, 1, act=nn.Identity),
        )

    def forward(self, maps):
        return maps + self.layers(maps)


cost("MBConv", MBConv())
for name, groups in (("depthwise", 256), ("full", 1)):
    trace = trace_shapes(nn.Conv2d(256, 256, 3, padding=1, groups=groups), (1, 256, 32, 32))
    print(f"a {name} 3x3 on its 256 channels: {trace.multiply_adds:,} multiply-adds")

# %% [markdown]
# 256 channels, and yet fewer multiply-adds than the plain block: the 3x3 no longer mixes channels, and nearly all
# multiply-adds are in the two 1x1 convolutions that do.
#
# The whole networks are in torchvision. Built on the device `meta` they have shapes but no numbers, so nothing is
# downloaded and nothing computed. **Before you run the cell:** sort them by parameters, then by multiply-adds for one
# picture of 224 pixels. Will it be the same order?

# %%
from torchvision import models as famous

with torch.device("meta"):
    networks = {
        "ResNet-18": famous.resnet18(),
        "ResNet-50": famous.resnet50(),
        "GoogLeNet": famous.googlenet(init_weights=False, aux_logits=False),
        "DenseNet-121": famous.densenet121(),
        "EfficientNet-B0": famous.efficientnet_b0(),
    }
for name, network in networks.items():
    trace = trace_shapes(network, (1, 3, 224, 224))
    print(f"{name:16} {trace.parameters / 1e6:5.1f} million parameters,", end=" ")
    print(f"{trace.multiply_adds / 1e9:4.2f} billion multiply-adds")

# %% [markdown]
# Few parameters do not mean little work: DenseNet-121 has fewer than ResNet-18 and does more. Nor do few multiply-adds
# mean little time: depthwise convolutions read much memory for little arithmetic, and a GPU waits for the memory.
# Measure on the machine that will do the work.

# %% [markdown]
# ## 10. Why twenty layers need a skip connection
#
# It is often said that the gradients of deep networks vanish, and that skip connections prevent it. Look at it.
# Twenty 3x3 convolutions of 16 channels, no batch norm, once as a plain chain and once with the input of each added to
# its output; the first weights are the same. After one backward pass, how large is the gradient of each layer's
# weights? **Before you run the cell:** a layer whose output is half as strong as its input passes on half the gradient.
# What is left after twenty?


# %%
class Deep(nn.Module):
    def __init__(self, *, skip, num_layers=20):
        super().__init__()
        self.skip = skip
        self.stem = nn.Conv2d(3, 16, 4, stride=4)
        self.layers = nn.ModuleList(nn.Conv2d(16, 16, 3, padding=1) for _ in range(num_layers))
        self.head = nn.Linear(16, 10)

    def forward(self, images):
        maps = self.stem((images - 0.5) / 0.25)  # (N, 16, 8, 8)
        for layer in self.layers:
            change = layer(F.relu(maps))
            maps = maps + change if self.skip else change
        return self.head(maps.mean(dim=(2, 3)))


def gradient_norms(model):
    """The length of each layer's gradient after one backward pass, first layer first."""
    images, labels = next(iter(Batches(train, 64, device=device)))
    F.cross_entropy(model(images), labels).backward()
    return [layer.weight.grad.norm().item() for layer in model.layers]


# %% [markdown]
# A third network joins the two, to see what the first weights have to do with it: the plain chain with larger ones,
# drawn by He's rule, just so large that ReLU layers keep the strength of their signal.


# %%
def deep_network(name):
    """One of the three, from the same seed."""
    model = Deep(skip=name == "with skip connections")
    if name == "plain, He's first weights":
        for layer in model.layers:
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
    return model


# %% tags=["tol-x4"]
norms = {}
for name in ("plain", "plain, He's first weights", "with skip connections"):
    torch.manual_seed(0)
    norms[name] = gradient_norms(deep_network(name).to(device))
    print(f"{name:26} first layer {norms[name][0]:.1e}, last layer {norms[name][-1]:.1e}")
ratio = norms["with skip connections"][0] / norms["plain"][0]
assert ratio > 1e5, "the skip connection passes the gradient on"

# %% [markdown]
# Layer by layer, on a logarithmic axis:

# %%
curves = {name: (range(1, 21), values) for name, values in norms.items()}
figure = plot_curves(
    curves, xlabel="layer, counted from the image", ylabel="norm of the gradient", log_y=True
)
show("gradient-norms", figure)

# %% [markdown]
# Twenty halvings leave about a millionth, and the plain chain does worse. With skip connections the curve is nearly
# level: the derivative of $x + f(x)$ is $1 + f'(x)$, and the 1 passes the gradient on, whatever $f$ does.
#
# The third curve keeps the story honest. With He's first weights the plain chain passes gradients on, too, at the
# start. (PyTorch's own first weights are smaller.) Batch norm is a third remedy. Gradients at the start are not
# everything, though. **Before you run the cell:** which of the three will learn?

# %% tags=["tol-0.5"]
part = Batches(train.subset(range(3000)), 32, device=device)
losses = {}
for name in norms:
    losses[name] = []
    for seed in range(2):
        torch.manual_seed(seed)
        model = deep_network(name).to(device)
        one_pass(model, part, torch.optim.AdamW(model.parameters(), lr=3e-3))
        losses[name].append(evaluate(model, on_val).loss)
    print(f"{name:26} validation loss from two seeds:", *(f"{loss:.2f}" for loss in losses[name]))
print(f"guessing: {math.log(10):.2f}")
assert max(losses["with skip connections"]) < min(losses["plain"] + [2.3]), "it has begun to learn"

# %% [markdown]
# With skip connections the network has begun to learn; both plain chains still guess after their 94 steps. He's weights
# alone are not hopeless, but they need more care: try a third of the rate (`lr=1e-3`) and more seeds. That is what skip
# connections buy in practice: a network that learns without everything being just right. The authors of ResNet (He and
# others 2015) had batch norm and good first weights already, and still their plain network of 56 layers was worse than
# that of 20, *on the training pictures*.

# %% [markdown]
# ## 11. Pictures of your own
#
# `load_folder` takes a folder with one folder for each class: `my-pictures/cat/1.jpg`, `my-pictures/coffee/a.png`, of
# any size, in any of the usual formats, and says in one line what it found and what it left out. To have an example,
# cut pieces of random size and position out of three photographs that scikit-image ships, and save them in this way.

# %%
import tempfile
from pathlib import Path

from skimage import data as photographs

folder = Path(tempfile.mkdtemp()) / "my-pictures"
torch.manual_seed(0)
for name, picture in (("cat", "chelsea"), ("coffee", "coffee"), ("rocket", "rocket")):
    (folder / name).mkdir(parents=True)
    pixels = getattr(photographs, picture)()  # (height, width, 3)
    for number in range(40):
        side = int(torch.randint(60, 160, ()))
        top, left = (int(torch.randint(0, length - side, ())) for length in pixels.shape[:2])
        piece = Image.fromarray(pixels[top : top + side, left : left + side])
        piece.save(folder / name / f"{number}.png")

# %% [markdown]
# **Before you run the cell:** of 40 pictures in each class, how many will be in each of the three parts, if 15 in 100
# are for validation and as many for the test?

# %%
from course_lib.data import load_folder

own = load_folder(folder, image_size=32, val_fraction=0.15)
for name, images in (("train", own.train), ("val", own.val), ("test", own.test)):
    print(name, tuple(images.images.shape), images.counts())
captions = [own.train.classes[label] for label in own.train.labels[::9]]
show("pieces-of-three-photographs", plot_images(own.train.images[::9], captions, columns=10))

# %% [markdown]
# Train the small `FastCNN` on them. The number of classes is the one thing to change. **Before you run the cell:** what
# accuracy do you expect from 84 pictures?

# %% tags=["tol-0.2"]
torch.manual_seed(0)
model = FastCNN((16, 32, 64), num_classes=len(own.train.classes)).to(device)
data = Batches(own.train, 16, shuffle=True, augment=PhotoAugmentation(), device=device)
own_history = fit(
    model, data, Batches(own.val, 64, device=device), epochs=10, learning_rate=0.05, **muon
)
own_accuracy = evaluate(model, Batches(own.test, 64, device=device)).accuracy
print(f"test accuracy {own_accuracy:.2f} of {len(own.test)} pictures")
assert own_accuracy > 0.6, "three photographs are easy to tell apart"

# %% [markdown]
# Do not be proud of that number. All pieces of the cat are pieces of one photograph, and so training and test pictures
# overlap. The network can tell this photograph from two others; whether it knows a cat nobody has tested. Where several
# pictures show the same thing, the same patient, or the same minute of a film, they must stay on one side of the split
# (lesson 2). `load_folder` cannot know that and treats each file as a case of its own; make `train/` and `test/`
# folders yourself, and it will keep to them (validation is cut from `train/`, file by file, unless there is a `val/`).
#
# What it does notice is a folder without pictures. **Before you run the cell:** a class with nothing in it: should that
# be an error?

# %%
(folder / "dog").mkdir()
try:
    load_folder(folder).train  # noqa: B018  # it reads the files when they are asked for
except ValueError as error:
    message = str(error).replace(str(folder), "my-pictures")
    print("ValueError:", message.replace("; ", ";\n    "))

# %% [markdown]
# Without the error the network would have a fourth logit for a class that it never sees, and you would learn of the
# wrong folder name much later. For your own pictures, put the path of your folder in place of `folder` and run the
# section again.

# %% [markdown]
# ## 12. The test pictures, once
#
# All choices of this page are made, and they were made on validation pictures. Now the test pictures, for the fast
# network as it stands after section 7. **Before you run the cell:** will the accuracy be above or below that on
# validation, and by how much?

# %% tags=["tol-0.12"]
on_test = evaluate(fast, Batches(splits.test, 500, device=device))
final = multiclass_report(on_test.probs, on_test.labels)
low, high = final.ci95["accuracy"]
print(f"validation {report.accuracy:.3f}")
print(f"test       {final.accuracy:.3f}, 95% interval {low:.3f} to {high:.3f}, {final.n} pictures")
assert final.accuracy > 0.3

# %% [markdown]
# Here is the same test on CIFAR-10. The interval is narrower where more pictures were scored.

# %%
on_real("04.test", {"FastCNN": final}, splits.test)

# %% [markdown]
# The interval comes from the number of pictures alone: another set of as many, drawn in the same way, would give
# another number. It says nothing about pictures that were taken in another way, as lesson 3 has shown. Validation and
# test pictures come from one source here, so the two numbers should differ by chance and by the little that choosing
# has cost.

# %% [markdown]
# ## Summary
#
# A beginner's loop was taken apart. It spends its time in the network, in the loader, and in operations that multiply
# nothing; batches as one tensor, channels last, lower precision, fused updates and larger batches make each second do
# more. A better network and optimizer make each picture teach more, and that was the larger factor here. Of the changes
# that everybody recommends some help and some do not, depending on how long you train: equal effort and several seeds
# tell.
#
# Errors gather in few pairs of classes. Convolutions beat a dense network of the same size because they know what a
# neighbor is. Famous blocks are short programs, and their costs can be counted before anything is trained. A skip
# connection keeps the gradient alive through twenty layers. Your own pictures need nothing but folders, and care with
# the split. And the test pictures were asked once.

# %% [markdown]
# ## Quiz
#
# Click an answer, or reach it with Tab and press the space bar, and read why. First tries count, and your score is
# kept when you reload the page.

# %%
from course_lib.widgets import Quiz

Quiz(4)

# %% [markdown]
# ## Exercises
#
# [Exercises 4](exercises/04_cifar10.ipynb) sets six tasks, from one line to a real piece of work. Each asks for a
# function, a cell below it checks yours at once, and hints come in steps.
#
# And three questions that only an experiment answers. Draw one permutation of the 1,024 pixel positions and apply it to
# all pictures: does `SimpleCNN` or the dense network lose more? Add a row to section 6, rotation by up to 15 degrees
# for a whole batch (`F.affine_grid` and `F.grid_sample`), over three seeds. And train on photographs of your own, in at
# least three classes with no scene on both sides of the split; look at the surest mistakes: what would you collect
# next?

# %% [markdown]
# ## What you may now import
#
# `SimpleCNN` and `FastCNN` from `course_lib.models`, `PhotoAugmentation` and `load_folder` from `course_lib.data`,
# `multiclass_report` from `course_lib.metrics`; and everything of sections 5 to 7 through arguments of `fit`:
# `optimizer_name="muon"`, `label_smoothing`, `average_decay`, `warmup`. The imported `SimpleCNN` knows the size of its
# pictures and says so when another arrives. For the rest it is yours:

# %%
from course_lib import models

torch.manual_seed(0)
by_hand = SimpleCNN((16, 32), hidden=128, batch_norm=True).eval()
torch.manual_seed(0)
imported = models.SimpleCNN((16, 32), hidden=128, batch_norm=True).eval()
probe = torch.rand(4, 3, 32, 32)
with torch.no_grad():
    print("same seed, same logits:", torch.equal(by_hand(probe), imported(probe)))
try:
    imported(torch.zeros(2, 3, 64, 64))
except ValueError as error:
    print("ValueError:", str(error).replace("; ", ";\n    "))

# %% [markdown]
# Next, lesson 5: *transfer learning*. There the network does not start from nothing: it has seen a million photographs
# before it sees its first of yours.
