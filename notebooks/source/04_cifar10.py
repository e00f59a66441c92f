# %% [markdown]
# # 4. CIFAR-10, ten times faster
#
# You train a network on ten classes in seconds. Then you find out why the usual loop takes so much longer, and learn to
# tell a change that helps from luck. You take the errors apart, and build the blocks that famous networks are made of.
# One question runs through it all: what does an accuracy cost?
#
# After this lesson you can
#
# - price a training run in arithmetic, in seconds, and as a fraction of what the machine can do,
# - find where a training loop spends its time, and augment a whole batch at once, as one tensor,
# - judge a change by a paired interval over seeds,
# - read a classifier's errors and probabilities, and find wrong labels and copies in a dataset,
# - build a residual, an Inception, a dense and an MBConv block, and say what a skip connection buys,
# - train on a folder of your own.
#
# | part | time | you will have |
# | --- | --- | --- |
# | [A. A network, a number, a price](#part-a) | 21 min, core | the textbook network, its accuracy and its cost |
# | [B. Make every second count](#part-b) | 18 min, core | the same training, faster, and the reason why |
# | [C. Make every picture count](#part-c) | 26 min, core | a verdict on each change, with its interval |
# | [D. What is still wrong](#part-d) | 26 min, core | errors by kind, faults in the data, one test score |
# | [E. Blocks and skip connections](#part-e) | 23 min, optional | six blocks, and an experiment on depth |
#
# You need lessons [1](01_cnn_anatomy.ipynb) to [3](03_training_on_gpu.ipynb): layers, the training loop, schedules,
# number formats, intervals. Computing takes 80 s on two cores (13 min with real images).

# %% tags=["setup"]
from course_lib.lessons import get_real_images, start_lesson

profile = start_lesson(4)

# %% [markdown]
# <a id="part-a"></a>
#
# ## Part A. A network, a number, a price (21 min, core)
#
# - State the floors below which no score counts.
# - Say why a convolutional network beats a dense one with as many parameters.
# - Count what a training costs.
#
# ### Ten classes, in seconds
#
# CIFAR-10 holds 60,000 color photographs of ten kinds of things, 32 pixels wide and high: 50,000 to train on and 10,000
# to test ([Krizhevsky 2009](https://www.cs.toronto.edu/~kriz/learning-features-2009-TR.pdf)). Students labeled them.
# They were picked from MIT's *80 Million Tiny Images*, a collection gathered by search words and
# [withdrawn in 2020](https://groups.csail.mit.edu/vision/TinyImages/).
#
# This page was made without them. Its pictures are *simulated objects*, drawn in a few seconds, in ten other classes,
# so that the lesson runs anywhere. `get_real_images()` fetches the real ones (170 MB); then run the lesson again. Every
# cell works on both.

# %%
import torch
from torch import nn
from torch.nn import functional as F

from course_lib.data import Batches, load_cifar10
from course_lib.real_results import on_real

device = profile.device
splits = load_cifar10(profile.source)
train, val = (  # in a new order, as files come sorted by class
    part.subset(torch.randperm(len(part))) for part in (splits.train, splits.val)
)
for name, images in (("train", train), ("val", val)):
    print(name, tuple(images.images.shape), "of each class:", *set(images.counts().values()))

# %% [markdown]
# Here is the network that you'll understand by the end of Part C, trained by one call. (`muon` and `label_smoothing`
# are explained there, too; `pct_start` is the fraction of the steps in which the rate rises, as in lesson 3.)

# %%
from course_lib.models import FastCNN
from course_lib.training import evaluate, fit

on_val = Batches(val, 500, device=device)
size, rate = profile.choose(simulated=50, real=500), profile.choose(simulated=0.05, real=0.2)
muon = {"optimizer_name": "muon", "pct_start": 0.1, "label_smoothing": 0.1, "weight_decay": 0.0}
epochs = profile.choose(simulated=2, real=4)
torch.manual_seed(0)
widths = profile.choose(simulated=(16, 32, 64), real=(64, 128, 256))
fast = FastCNN(widths, flip_tta=True).to(device)
on_train = Batches(train, size, shuffle=True, device=device)
fast_history = fit(fast, on_train, on_val, epochs=epochs, learning_rate=rate, **muon)

# %% tags=["tol-0.12"]
from course_lib.plots import plot_images, show

outcome = evaluate(fast, on_val)
names = [train.classes[label].replace(" ", "\n", 1) for label in outcome.probs.argmax(dim=1)[:20]]
show("first-answers", plot_images(val.images[:20], names, columns=10), source=profile.source)
print(f"accuracy on {len(val):,} validation pictures: {outcome.accuracy:.2f}")

# %% [markdown]
# A simulated class is a texture, a color and a shape together, so two classes may differ in the outline alone. Nothing
# in the background helps. In a photograph the background often does: ships stand on blue. And on CIFAR-10? A wider
# version of this network, after four passes over the photographs, gets 87 in 100 right; its errors wait in Part D.
#
# ### What color alone knows
#
# A score means little until you know what can be had for nothing. Always giving the same answer is right for one
# picture in ten. And color alone? Here are two classifiers that learn nothing about shapes:
#
# - **Mean color**: give each picture the class whose mean color is nearest to its own.
# - **Histogram**: count how often each of 216 colors occurs, wherever it stands, and copy the answer of the training
#   picture whose counts are most alike.


# %%
def histograms(images):
    """How often each of 6 x 6 x 6 colors occurs in each picture, (N, 216)."""
    red, green, blue = (images.long() * 6 // 256).unbind(dim=1)  # 0 to 5 each
    colors = (36 * red + 6 * green + blue).flatten(start_dim=1)  # (N, 1024)
    counts = torch.zeros(len(images), 216)
    return counts.scatter_add_(1, colors, torch.ones(colors.shape))


# %% tags=["tol-0.03"]
from course_lib.tables import Table

colors, of_val = (part.images.float().mean(dim=(2, 3)) for part in (train, val))  # (N, 3)
centers = torch.stack([colors[train.labels == label].mean(dim=0) for label in range(10)])
few = slice(4000)
distances = torch.cdist(histograms(val.images), histograms(train.images[few]), p=1)
answers = {
    "always the same": torch.zeros(len(val)),
    "mean color": torch.cdist(of_val, centers).argmin(dim=1),
    "color histogram": train.labels[few][distances.argmin(dim=1)],
}
rows = [(name, f"{(said == val.labels).float().mean():.2f}") for name, said in answers.items()]
Table("Accuracy without knowing a shape", ("", "validation"), rows)

# %% [markdown]
# Those are the floors. They say how far color alone gets you, not that the rest is shape: a network may use texture, or
# the background, and still never see an outline.
#
# ### The textbook network
#
# Three blocks of convolution, ReLU and pooling, then two dense layers: many first courses train this network, with 32,
# 64 and 128 channels or a smaller sibling with 16 and 32. The first line of `forward` scales the pixels. Many do that
# in the loader instead (`transforms.Normalize`), where it can be forgotten when the network is used.


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


# %%
from course_lib.anatomy import trace_shapes

trace_shapes(SimpleCNN(), (1, 3, 32, 32))

# %% [markdown]
# `fc1` holds nine tenths of the parameters and does a tenth of the work; the convolutions the other way round. It's
# PneumoniaCNN's story from lesson 2 on a smaller scale.
#
# ### A trap in `view`
#
# Older code flattens with `maps.view(-1, 128 * 4 * 4)` instead. The `-1` leaves the number of rows to torch.

# %%
from course_lib.widgets import Predict

Predict("4.1")

# %%
maps = torch.zeros(3, 128, 8, 8)  # three images of 64 pixels, halved three times
print("view(-1, 128 * 4 * 4):", tuple(maps.view(-1, 128 * 4 * 4).shape))
print("flatten(start_dim=1): ", tuple(maps.flatten(start_dim=1).shape))
try:
    SimpleCNN()(torch.zeros(3, 3, 64, 64))
except RuntimeError as error:
    print("RuntimeError:", error)

# %% [markdown]
# <details><summary>What happened, and why</summary>
#
# `view` fills rows of 2,048 numbers, and nobody notices until predictions and labels are counted. `flatten` keeps one
# row per picture, and the next layer refuses what doesn't fit. It's this dense head that wants images of one size; the
# convolutions before it take any.
# </details>
#
# ### A rival without convolutions
#
# A *dense network* (a multilayer perceptron) looks at all 3,072 numbers of a picture at once and doesn't know which
# pixels are neighbors. Give it about as many parameters.


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


# %% [markdown]
# The pictures come to both in the usual way: a *dataset* gives one picture at a time, a *transform* makes a tensor of
# it, and a `DataLoader` collects a batch. `torchvision.datasets.CIFAR10` and `ImageFolder` are such datasets, and so is
# this one:

# %%
from PIL import Image
from torch.utils.data import DataLoader, Dataset
from torchvision.transforms import v2


class Photos(Dataset):
    """One picture at a time, as a PIL image, through `transform`."""

    def __init__(self, image_set, transform):
        self.pixels = image_set.images.permute(0, 2, 3, 1).contiguous().numpy()  # (N, 32, 32, 3)
        self.labels, self.transform = image_set.labels.tolist(), transform

    def __len__(self):
        return len(self.labels)

    def __getitem__(self, index):
        return self.transform(Image.fromarray(self.pixels[index])), self.labels[index]


# %% [markdown]
# `v2.ToImage` and `v2.ToDtype` turn the picture into floats from 0 to 1. (Older code says `transforms.ToTensor()`;
# torchvision now recommends [transforms v2](https://docs.pytorch.org/vision/stable/transforms.html).) The loop is yours
# from lesson 3, imported: five calls per batch, here with Adam at a constant rate and in float32. Both networks get two
# epochs, and about the same number of parameters. Which will win?

# %% tags=["tol-0.12"]
import time

from course_lib.flops import TrainingFlops
from course_lib.training import train_one_epoch

to_tensor = v2.Compose([v2.ToImage(), v2.ToDtype(torch.float32, scale=True)])
batch = profile.choose(simulated=16, real=64)  # a tenth as many pictures: smaller batches
league, curves = {}, {}
for name, build in (("SimpleCNN", SimpleCNN), ("dense network", DenseNetwork)):
    torch.manual_seed(0)
    model, flops, seconds = build().to(device), TrainingFlops(), 0.0
    optimizer, curves[name] = torch.optim.Adam(model.parameters(), lr=0.001), [(0.0, 0.1)]
    for _ in range(2):
        started = time.perf_counter()
        train_one_epoch(
            model, DataLoader(Photos(train, to_tensor), batch, shuffle=True), optimizer, flops=flops
        )
        seconds += time.perf_counter() - started
        curves[name].append((seconds, evaluate(model, on_val).accuracy))
    league[name] = (curves[name][-1][1], flops.spent, seconds)
    print(f"{name:13} accuracy:", ", ".join(f"{accuracy:.2f}" for _, accuracy in curves[name][1:]))

# %% [markdown]
# With as many parameters, the CNN is ahead. (Compare both with the floors above: on the simulated objects, the dense
# network doesn't even reach the color histogram.) That's one seed each, two epochs and one rate; the race in Part C
# shows the same order on photographs. The CNN knows beforehand what the dense network would have to learn from
# examples, for each position by itself: that a pattern means the same wherever it stands, and that neighboring pixels
# belong together. "Dense networks have too many parameters" can't be the reason here.
#
# ### What did it cost?
#
# `flops` has counted the arithmetic. This is how: torch's own counter watches one step, and every other step of that
# shape costs the same. A multiplication and an addition are two *floating-point operations*, FLOP for short.

# %%
from torch.utils.flop_counter import FlopCounterMode

model, one = SimpleCNN().to(device), train.images[:1].to(device).float() / 255
with FlopCounterMode(display=False) as forward:
    logits = model(one)
with FlopCounterMode(display=False) as backward:
    logits.sum().backward()
once, back = forward.get_total_flops() / 1e6, backward.get_total_flops() / 1e6
print(f"forward pass:  {once:.1f} million FLOP per picture")
print(f"backward pass: {back:.1f} million, {back / once:.2f} times as many")
by_layer = trace_shapes(SimpleCNN(), (1, 3, 32, 32)).multiply_adds / 1e6
print(f"multiply-adds in the table of layers: {by_layer:.1f} million, 2 FLOP each")

# %% [markdown]
# So training on one picture costs nearly three forward passes. Not quite three, since the first layer needs no gradient
# for its input: nobody changes the picture. From here on every training run has a price, in a league table:

# %% tags=["tol-x8"]
from course_lib.flops import in_units, peak_flops
from course_lib.runtime import Precision

FLOAT32 = Precision(device.type, None)
peak = peak_flops(FLOAT32, device)  # FLOP per second of large products and convolutions


def league_table(title):
    columns = ("", "accuracy", "arithmetic", "seconds", "of peak")
    rows = [
        (
            name,
            f"{accuracy:.2f}",
            in_units(flops),
            f"{seconds:.1f}",
            f"{flops / seconds / peak:.0%}",
        )
        for name, (accuracy, flops, seconds) in league.items()
    ]
    return Table(title, columns, rows)


league_table("The league so far, two epochs each")

# %% [markdown]
# Two networks with as many parameters, and the CNN does more than ten times the arithmetic: it uses each filter again
# at every position.
#
# ### Stop here
#
# Accuracy needs a floor beside it, and a training run has a price that can be counted beforehand. **To discuss:** two
# networks have a million parameters each, and one does more than ten times the arithmetic of the other. How can that
# be, and which would you rather train?
#
# <details><summary>One answer</summary>A dense layer uses each weight once per picture, a convolution once per
# position. Arithmetic costs time, parameters cost memory. If both fit, ask which one learns more per picture and per
# second, and let validation pictures say.</details>

# %% [markdown]
# <a id="part-b"></a>
#
# ## Part B. Make every second count (18 min, core)
#
# - Say what fraction of the machine's peak a training run reaches.
# - Find the slow part of a loop by timing.
# - Change a whole batch of pictures at once, each in its own way.
#
# ### Two knobs
#
# The last column of the league is known as *MFU*, model FLOPs utilization ([Chowdhery
# 2022](https://arxiv.org/abs/2204.02311)). The arithmetic, the peak and this fraction make the seconds:

# %%
from course_lib.schematics import schematic

schematic("two-knobs")

# %% [markdown]
# Part B raises the fraction. Part C lowers the arithmetic that an accuracy needs. The peak is the machine's: other
# hardware, or fewer bits.
#
# ### Where does the time go?
#
# Time the parts by themselves: the loader without a network, the forward pass on batches that are there already, and
# whole steps. `shortest_times` lets them take turns and keeps the shortest of three rounds, so that a busy moment of
# the machine doesn't single out one of them.

# %% tags=["tol-x8"]
from functools import partial

from course_lib.runtime import shortest_times

few = train.subset(range(512))
loader = DataLoader(Photos(few, to_tensor), batch_size=64)
waiting = list(loader)
model = SimpleCNN().to(device)
adam = torch.optim.Adam(model.parameters(), lr=0.001)
parts = {
    "loader alone": lambda: list(loader),
    "forward pass alone": lambda: [model(images.to(device)) for images, _ in waiting],
    "whole steps": lambda: train_one_epoch(model, waiting, adam),
}
rows = [(name, f"{1e6 * t / len(few):,.0f}") for name, t in shortest_times(parts, device).items()]
Table("Microseconds per picture", ("", "here"), rows)

# %% [markdown]
# Without a helper process, loader and steps take turns, so their times add up. On a processor the network is the larger
# part. A GPU shrinks the steps to a fraction and leaves the loader as it is; then it may spend most of its time
# waiting.
#
# And inside the network? Time its layers one by one, each with its backward pass.

# %%
Predict("4.2")


# %% tags=["tol-x8"]
def there_and_back(layer, given):
    output = layer(given)
    output.backward(torch.ones_like(output))


maps, works = torch.cat([images for images, _ in waiting]).to(device)[:256], {}
for number, layer in enumerate([*model.features, nn.Flatten(), model.fc1, nn.ReLU(), model.fc2]):
    given = maps.detach().requires_grad_()
    maps = layer(given)
    works[type(layer).__name__, number] = partial(there_and_back, layer, given)
times = shortest_times(works, device)
rows = []
for kind in ("Conv2d", "Linear", "MaxPool2d", "ReLU"):
    of_kind = sum(seconds for (name, _), seconds in times.items() if name == kind)
    rows.append((kind, f"{100 * of_kind / sum(times.values()):.0f}"))
Table("Percent of the layers' time", ("", "here"), rows)

# %% [markdown]
# <details><summary>What happened, and why</summary>
#
# Pooling and ReLU have to read and write whole maps, as a convolution does, and that takes time whether or not anything
# is multiplied. Counting FLOP alone wouldn't have told you. `FastCNN` pools *before* it normalizes, so that its cheap
# layers touch a quarter of the pixels.
# </details>
#
# ### A shift is a list of positions
#
# All pictures fit into memory, so opening and stacking them one by one can go. But pictures are also *augmented*: each
# time one is shown, it's shifted a little differently and perhaps mirrored, so that the network can't learn pixels by
# heart. How is that done to 500 pictures at once, each in its own way?
#
# Take one row of six pixels and shift it by two. At the right, two pixels are missing; the row is mirrored there.

# %%
row = torch.tensor([10, 20, 30, 40, 50, 60])
moved = torch.arange(6) + 2  # 2 3 4 5 6 7: the last two do not exist
mirrored = 5 - (5 - moved).abs()  # 2 3 4 5 4 3
print("read from     ", mirrored.tolist(), "->", row[mirrored].tolist())
print("read backwards", mirrored.flip(0).tolist(), "->", row[mirrored.flip(0)].tolist())

# %% [markdown]
# A shift and a flip are both a list of positions to read from. With one list per picture, `gather` reads them all:
# `images.gather(2, rows)` takes for each output pixel the row that `rows` names.


# %%
def positions(count, side, shift):
    """For each of `count` pictures, which pixel is read where along one side, (count, side)."""
    moved = torch.randint(-shift, shift + 1, (count, 1), device=device)
    moved = (torch.arange(side, device=device) + moved).abs()  # mirrored at the first pixel,
    return side - 1 - (side - 1 - moved).abs()  # and at the last


def crop_and_flip(images, shift=4):
    """Float images (N, C, H, W), each shifted by up to `shift` pixels, and half of them mirrored."""
    count, channels, height, width = images.shape
    rows, columns = positions(count, height, shift), positions(count, width, shift)
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
# `PhotoAugmentation` in `course_lib.data` is this function as an object. With the same seed it gives the same pictures,
# and if asked it also varies color (`color`) and covers a square (`cutout`).
#
# torchvision's transforms work on a whole batch, too. But look at what they draw. Six pictures, eight calls: how many
# of the six are mirrored each time?

# %%
from course_lib.data import PhotoAugmentation

images = train.images[:6].to(device).float() / 255
torch.manual_seed(0)
for name, change in (
    ("v2, on the batch", v2.RandomHorizontalFlip()),
    ("ours", PhotoAugmentation(shift=0)),
):
    changed = [
        (change(images) != images).flatten(start_dim=1).any(dim=1).sum().item() for _ in range(8)
    ]
    print(f"{name:16} mirrors", *changed)

# %% [markdown]
# All or none: `v2` draws once per call. Inside a dataset, where a call sees one picture, that's right. On a batch all
# pictures share one draw, so there is less variety, and no error says so.
#
# What does it cost to do the same work one by one, and at once?

# %% tags=["tol-x8"]
crop = [v2.RandomCrop(32, padding=4, padding_mode="reflect"), v2.RandomHorizontalFlip()]
pipelines = {
    "one by one, unchanged": DataLoader(Photos(few, to_tensor), 64),
    "one by one, cropped and flipped": DataLoader(Photos(few, v2.Compose([*crop, to_tensor])), 64),
    "as one tensor, unchanged": Batches(few, 64, device=device),
    "as one tensor, cropped and flipped": Batches(
        few, 64, augment=PhotoAugmentation(), device=device
    ),
}
works = {name: partial(list, pipeline) for name, pipeline in pipelines.items()}
rows = [
    (name, f"{len(few) / seconds:,.0f}") for name, seconds in shortest_times(works, device).items()
]
Table("Pictures per second, without a network", ("", "here"), rows)

# %% [markdown]
# > **An augmentation must never change the answer.** A mirrored truck is a truck. A mirrored b is a d, and
# > on a chest X-ray the side of the heart is information. Validation pictures stay as they are.
#
# ### One change at a time
#
# Now the same network and the same loop, with one change after another; each row keeps those above it. All were
# explained in lesson 3. Which row will bring most?


# %%
def contestant(data, *, last=True, precision=FLOAT32, fused=False):
    """A function that trains a new `SimpleCNN` once over the 512 pictures of `data`."""
    layout = torch.channels_last if last else torch.contiguous_format
    model = SimpleCNN().to(device, memory_format=layout)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.001, fused=fused)
    return partial(
        train_one_epoch, model, data, optimizer, precision=precision, memory_format=layout
    )


best = Precision.best(device)
augmented = partial(Batches, few, shuffle=True, augment=PhotoAugmentation(), device=device)
rows = {
    "as a beginner writes it": contestant(
        DataLoader(Photos(few, to_tensor), 64, shuffle=True), last=False
    ),
    "+ batches in memory": contestant(Batches(few, 64, shuffle=True, device=device), last=False),
    "+ cropped and flipped": contestant(augmented(64), last=False),
    "+ channels last": contestant(augmented(64)),
    "+ lower precision, if it pays": contestant(augmented(64), precision=best),
    "+ fused Adam": contestant(augmented(64), precision=best, fused=True),
    "+ batches of 256": contestant(augmented(256), precision=best, fused=True),
}

# %% tags=["tol-x8"]
speeds = {name: len(few) / seconds for name, seconds in shortest_times(rows, device).items()}
first, per_picture = speeds["as a beginner writes it"], league["SimpleCNN"][1] / (2 * len(train))
table = [
    (name, f"{speed:,.0f}", f"{speed / first:.2f}", f"{speed * per_picture / peak:.0%}")
    for name, speed in speeds.items()
]
Table(
    "Each row keeps the changes above it",
    ("", "pictures per second", "times the first", "of the float32 peak"),
    table,
)

# %% [markdown]
# On the machine that made this page, lower precision brought most, and batches in memory hardly anything: you have just
# seen that the loader took a tenth of the time. Yours may say otherwise. Three things to read with care:
#
# - The last factor is that of all changes together, since each row keeps those above it.
# - Lower precision pays only where the processor multiplies 16-bit numbers in hardware; elsewhere that row repeats the
#   one above. With it, the fraction of the float32 peak may pass 100%.
# - Larger batches mean fewer steps per epoch. Whether fewer steps teach as much, only an accuracy can tell.
#
# > **Before the first row.** On Linux, `start_lesson` has told the C library to keep freed memory for the next tensor
# > (`keep_freed_memory` in `course_lib.runtime`). Otherwise it goes back to the system and is fetched again, page by
# > page, in every step.
#
# ### Stop here
#
# Time the parts, change the slowest one, time again. **To discuss:** your new GPU is ten times as fast, and your
# training twice. What has happened to the fraction of the peak that you use, and where do you look?
#
# <details><summary>One answer</summary>The peak has grown tenfold and the speed twofold, so the fraction has fallen to
# a fifth. Something waits: most often the GPU, for the loader. Time the loader alone, then a step on a batch that's
# already there.</details>

# %% [markdown]
# <a id="part-c"></a>
#
# ## Part C. Make every picture count (26 min, core)
#
# - Say what label smoothing and averaged weights do, with a number.
# - Judge a change by its paired interval over seeds.
# - Know when augmentation pays, and split a speed-up into its two factors.
#
# ### Label smoothing
#
# *Label smoothing* asks for a little less than certainty ([Szegedy 2015](https://arxiv.org/abs/1512.00567)). With ten
# classes and a smoothing of 0.1, the right class should get 0.91 and each other one 0.01. Say the right logit lies
# above all the others, which are equal, by some *margin*. The plain cross-entropy falls forever as the margin grows.

# %%
Predict("4.3")

# %%
margins = torch.linspace(0, 12, 241)
logits = torch.zeros(len(margins), 10)
logits[:, 3] = margins
truth = torch.full((len(margins),), 3)
smoothed = F.cross_entropy(logits, truth, label_smoothing=0.1, reduction="none")
lowest = smoothed.argmin()
print(f"lowest smoothed loss: {smoothed[lowest]:.2f}, at a margin of {margins[lowest]:.1f}")

# %% [markdown]
# <details><summary>What happened, and why</summary>
#
# The loss is lowest where the softmax gives just 0.91, so the margin is $\ln(0.91 / 0.01)$. Beyond it, overconfidence
# costs. The floor isn't 0 either: never compare a smoothed loss with a plain one.
# </details>
#
# ### Averaged weights
#
# While the rate is high, the weights jump around a good point rather than rest there. A running mean of them is nearer
# to it ([Polyak 1992](https://doi.org/10.1137/0330046)). After each step $m \leftarrow d\,m + (1 - d)\,w$, which is
# about the mean of the last $1 / (1 - d)$ steps. Let a weight jump between 1 and 3, with $d = 0.9$. How far from 2 will
# the mean swing?

# %%
mean = 1.0
for step in range(60):
    weight = 1.0 if step % 2 else 3.0
    mean = 0.9 * mean + 0.1 * weight
    if step >= 56:
        print(f"weight {weight:.0f}, mean {mean:.2f}")

# %% [markdown]
# A twentieth of the swing is left. `fit` does this when it gets `ema_decay`. *Test-time augmentation* is the same
# idea for pictures: average the answers for a picture and its mirror image. It costs a second forward pass and no
# training, and `FastCNN(flip_tta=True)` does it by itself.
#
# ### Did it help?
#
# Four settings of the smaller network, each from the same five seeds and at one learning rate: four passes over 2,000
# pictures, or three over 10,000 photographs.


# %%
settings = {  # batch norm, label smoothing, augmentation
    "plain": (False, 0.0, None),
    "+ batch norm": (True, 0.0, None),
    "+ label smoothing": (True, 0.1, None),
    "+ crop and flip": (True, 0.1, PhotoAugmentation()),
}
learn = train.subset(range(profile.choose(simulated=2000, real=10_000)))
some_val = Batches(val.subset(range(200)), 200, device=device)  # for `fit`, which wants some


def train_small(name, seed):
    """The validation accuracy of one training."""
    batch_norm, smoothing, augment = settings[name]
    torch.manual_seed(seed)
    model = SimpleCNN((16, 32), hidden=128, dropout=0.0, batch_norm=batch_norm).to(device)
    data = Batches(learn, 32, shuffle=True, augment=augment, device=device)
    passes = profile.choose(simulated=4, real=3)
    fit(
        model, data, some_val, epochs=passes, seed=seed, weight_decay=0.0, label_smoothing=smoothing
    )
    return evaluate(model, on_val).accuracy


# %% tags=["tol-0.2"]
from course_lib.plots import plot_seeds

accuracies = {name: [train_small(name, seed) for seed in range(5)] for name in settings}
show("changes", plot_seeds(accuracies, xlabel="validation accuracy"))
for name, found in accuracies.items():
    print(f"{name:18}", *(f"{accuracy:.2f}" for accuracy in found))

# %% [markdown]
# Which differences are more than luck? Number i of each row comes from seed i, so subtract seed by seed: a *paired*
# comparison. The mean difference has a *standard error*, the standard deviation of the differences divided by the
# square root of their number, and an interval reaches a few of those to each side. How many? About two if there are
# many seeds. With few, their spread itself is hardly known, and *Student's t* says how much wider the interval must be.

# %%
from scipy import stats

for seeds in (2, 3, 5, 20):
    print(f"{seeds:2} seeds: {stats.t.ppf(0.975, df=seeds - 1):.1f} standard errors to each side")

# %% [markdown]
# So with two seeds, an interval must be very wide. How wide?

# %%
Predict("4.4")

# %%
pair = torch.tensor([-0.137, -0.022])
error = pair.std() / len(pair) ** 0.5
reach = stats.t.ppf(0.975, df=1) * error
print(f"mean {pair.mean():.3f}, standard error {error:.3f}, 95% interval reaches {reach:.2f}")

# %% [markdown]
# <details><summary>What happened, and why</summary>
#
# With two seeds the interval runs from about -0.8 to 0.65. It says nothing at all, although both seeds agree. Two runs
# are an anecdote.
# </details>
#
# Here are the verdicts on our settings. SciPy computes the interval in one call, and exercise 04.5 asks you to write
# it.


# %%
def verdict(before, after):
    """Mean difference of paired accuracies, its 95% interval, and what they allow one to say."""
    low, high = stats.ttest_rel(after, before).confidence_interval(0.95)
    differences = torch.tensor(after) - torch.tensor(before)
    said = "helps" if low > 0 else "hurts" if high < 0 else "not known"
    return f"{differences.mean():+.3f}", f"[{low:+.3f}, {high:+.3f}]", said


# %% tags=["tol-0.25"]
names = list(settings)
rows = [
    (names[row], *verdict(accuracies[names[row - 1]], accuracies[names[row]])) for row in (1, 2, 3)
]
assert rows[0][3] == "helps", "batch norm, on simulated objects and on photographs"
Table("Against the row before", ("", "difference", "95% interval", "verdict"), rows)

# %% [markdown]
# Batch norm helps: its interval stays clear of 0. Smoothing can't be told from another seed. Crop and flip, the usual
# advice against overfitting, costs accuracy here; look how close its interval comes to 0. A likely reason: after four
# epochs this network hasn't learned its pictures by heart. It's still learning the first things, and augmentation makes
# its task harder. The next section shows the opposite case.
#
# > **Fixed, tested, in the way.** All rows share one learning rate. The best rate may differ from row to row, so each
# > verdict means "at this rate". The [tuning playbook](https://github.com/google-research/tuning_playbook) calls the
# > rate a *nuisance hyperparameter*: one that you'd have to tune for each row before a fair verdict.
#
# And on photographs? Which of the ranges don't overlap with the row before?

# %%
on_real("04.changes", accuracies, val)

# %% [markdown]
# Those of batch norm, which helps, and of crop and flip, which costs accuracy there as well.
#
# ### The case that augmentation is made for
#
# Few pictures, seen many times: 300 pictures, 24 epochs, three seeds. How far will the accuracy on these 300 be from
# that on new ones?


# %%
def train_on_few(augment, seed):
    """Accuracy on the 300 pictures and on new ones."""
    torch.manual_seed(seed)
    model = FastCNN((8, 16, 32)).to(device)
    data = Batches(handful, 30, shuffle=True, augment=augment, device=device)
    fit(model, data, some_val, epochs=24, learning_rate=0.05, seed=seed, **muon)
    on_handful = Batches(handful, 300, device=device)
    return evaluate(model, on_handful).accuracy, evaluate(model, on_val).accuracy


# %% tags=["tol-0.2"]
handful, on_new, rows = train.subset(range(300)), {}, []
for name, augment in (("as they are", None), ("crop and flip", PhotoAugmentation())):
    known, on_new[name] = zip(*(train_on_few(augment, seed) for seed in range(3)), strict=True)
    rows.append(
        (name, *(", ".join(f"{one:.2f}" for one in found) for found in (known, on_new[name])))
    )
assert min(on_new["crop and flip"]) > max(on_new["as they are"]), "augmentation helps"
Table("Accuracy, three seeds", ("trained on pictures", "on these 300", "on new ones"), rows)

# %% [markdown]
# Now augmentation helps, from every seed. So before you augment, ask the question of lesson 3: is there a gap between
# the training pictures and new ones?
#
# ### The race, priced
#
# `FastCNN`, which opened the page, is half a page of code in `course_lib/models/fast.py`:

# %%
schematic("fast-cnn")

# %% [markdown]
# Its filters are trained with *Muon* ([Jordan 2024](https://kellerjordan.github.io/posts/muon/)). The gradient of a
# layer's filters is a matrix with strong and weak directions; Muon makes all equally strong before it steps. (Part E
# shows what it does to a gradient.) How little of all this is enough to get where the textbook network was after two
# epochs? Try a single short cycle: over half of the simulated objects, or over all photographs with a narrower network.

# %% tags=["tol-0.15"]
half = train.subset(range(profile.choose(simulated=len(train) // 2, real=len(train))))
torch.manual_seed(0)
sprinter = FastCNN(profile.choose(simulated=(16, 32, 64), real=(32, 64, 128)), flip_tta=True)
sprint = Batches(half, size // 2, shuffle=True, augment=PhotoAugmentation(shift=0), device=device)
short = fit(sprinter.to(device), sprint, some_val, epochs=1, learning_rate=rate, **muon)
for name, model, history in (("short cycle", sprinter, short), ("FastCNN", fast, fast_history)):
    accuracy = evaluate(model, on_val).accuracy
    league[name] = (accuracy, sum(history.train_flops), sum(history.train_seconds))
    print(f"{name:11} accuracy {accuracy:.2f}")
print(f"SimpleCNN   accuracy {league['SimpleCNN'][0]:.2f}")
assert league["short cycle"][0] >= league["SimpleCNN"][0], "one short cycle is enough"

# %% tags=["tol-x8"]
league_table("The league")

# %% [markdown]
# How many times fewer seconds does the short cycle take than the textbook network? The factor is a product: how many
# times less arithmetic it needs, times how many times larger a fraction of the peak it reaches:

# %% tags=["tol-x8"]
_, flops, seconds = league["SimpleCNN"]
_, fewer_flops, fewer_seconds = league["short cycle"]
faster, less = seconds / fewer_seconds, flops / fewer_flops
print(f"{faster:.1f} times as fast:")
print(f"{less:.1f} times less arithmetic, at {faster / less:.1f} times the fraction of the peak")

# %% [markdown]
# That's the lesson's title, taken apart. Most of the factor is arithmetic that wasn't needed: a network and an
# optimizer that learn more from each picture. The short cycle is also ahead in accuracy, so it would do with less. It's
# one seed, on simulated objects, and it depends on the machine and on what else it's doing.
#
# On photographs the two factors change places: there the short cycle runs a wider network over all pictures, which is
# about as much arithmetic as two epochs of `SimpleCNN`, and the gain is in the fraction of the peak. How large the
# whole factor is depends on where the textbook loop stops. Against five epochs of it, with three seeds and two cores,
# it was 9 on one machine and 13 on another (`course_lib/README.md`).
#
# Here is the race in one picture, and then the same on CIFAR-10. There the textbook loop stops earlier than in that
# benchmark, so expect a smaller factor. Read it off the ends of two curves, the textbook CNN and the short cycle:

# %%
from course_lib.plots import plot_curves

so_far = torch.tensor([0.0, *fast_history.seconds]).cumsum(dim=0).tolist()
curves["FastCNN"] = list(zip(so_far, [0.1, *fast_history.val_accuracy], strict=True))
curves["short cycle"] = [(0.0, 0.1), (sum(short.seconds), league["short cycle"][0])]
race = {name: tuple(zip(*points, strict=True)) for name, points in curves.items()}
show("race", plot_curves(race, xlabel="seconds of training", ylabel="validation accuracy"))
on_real("04.race", race, val)

# %% [markdown]
# ### What accuracy costs on CIFAR-10
#
# | training | arithmetic | test accuracy |
# | --- | --- | --- |
# | the textbook network and loop, 5 epochs | 0.015 PFLOP | .726 [.724, .728] |
# | `course train cifar10 --preset fast`, 6 epochs | 0.13 PFLOP | .886 [.883, .889] |
# | the published recipe of the last row, 8 epochs | 0.24 PFLOP | .905 [.903, .908] |
# | `course train cifar10 --preset best`, 30 epochs | 1.2 PFLOP | .915 |
# | [published](https://github.com/KellerJordan/cifar10-airbench), on the original pictures | 0.29 PFLOP | .940 |
#
# A PFLOP is $10^{15}$ FLOP, and brackets hold the smallest and the largest of three seeds (`best` was trained once).
# The first four rows were measured on JPEG copies of the pictures, which have lost detail: they cost the published
# recipe more than three points. For its arithmetic it gets more than ours. And each point has its price: nine times the
# arithmetic, from 0.015 to 0.13 PFLOP, buys 16 points; nine times more buys 3.
#
# ### Stop here
#
# A change is judged by paired differences over seeds, and its price belongs beside it. **To discuss:** a paper reports
# +0.4 points from one run each. What do you ask for, and what would you answer if the paper were yours?
#
# <details><summary>One answer</summary>Ask for paired runs over at least five seeds, the interval of the difference,
# equal arithmetic, and a learning rate that was tuned for both. If it were mine: I'd run them, and report the interval
# even if it contains 0.</details>

# %% [markdown]
# <a id="part-d"></a>
#
# ## Part D. What is still wrong (26 min, core)
#
# - Read recall, precision and a confusion matrix, and name what the errors have in common.
# - Find wrong labels, and copies on both sides of a split.
# - Test an explanation by taking one cause away, and ask the test pictures once.
#
# ### By class
#
# An accuracy is one number for many decisions. Take apart that of `fast`, the network that opened the page, on the
# validation pictures.

# %%
from course_lib.metrics import multiclass_report
from course_lib.plots import plot_confusion

probs, labels = outcome.probs, outcome.labels
report = multiclass_report(probs, labels)
matrix = torch.tensor(report.confusion)  # (10, 10): rows are true classes, columns predicted ones
show("confusion-of-ten", plot_confusion(matrix, train.classes))

# %% tags=["tol-0.25"]
right = matrix.diagonal()
recalls, precisions = right / matrix.sum(dim=1), right / matrix.sum(dim=0).clamp(min=1)
rows = [
    (name, f"{recall:.2f}", f"{precision:.2f}")
    for name, recall, precision in zip(train.classes, recalls, precisions, strict=True)
]
Table(
    "By class", ("", "recall: of its pictures, found", "precision: of its predictions, right"), rows
)

# %% [markdown]
# *Recall* is what lesson 3 called sensitivity, and *precision* is the positive predictive value. Errors aren't spread
# evenly. Which class is taken for which tells you what the network doesn't see. Sort the errors by what the two classes
# have in common: for simulated objects, which single cue was mistaken; for photographs, whether an animal was taken for
# an animal.


# %%
def what_was_mistaken(true, predicted):
    """Which cue tells the two classes apart; of photographs, which kinds of things they are."""
    if profile.source == "simulated":
        pairs = zip(("texture", "color", "shape"), true.split(), predicted.split(), strict=True)
        differing = [cue for cue, one, other in pairs if one != other]
        return differing[0] if len(differing) == 1 else "more than one"
    vehicles = [name in ("airplane", "automobile", "ship", "truck") for name in (true, predicted)]
    return ("animals", "one of each", "vehicles")[sum(vehicles)]


# %% tags=["tol-30"]
predicted = probs.argmax(dim=1)
wrong = (predicted != labels).nonzero().flatten()
found = [what_was_mistaken(train.classes[labels[i]], train.classes[predicted[i]]) for i in wrong]
for cue in profile.choose(
    simulated=("texture", "color", "shape", "more than one"),
    real=("animals", "vehicles", "one of each"),
):
    print(f"{cue:13} {100 * found.count(cue) / len(wrong):3.0f}% of {len(wrong)} errors")

# %% [markdown]
# Among the simulated objects, texture is hardly ever mistaken: stripes and dots fill the whole object and survive every
# shift. Color is harder, since the light itself changes color from picture to picture, and an outline is a matter of a
# few pixels. On photographs, look for the class that's found least often, and for two classes that are taken for each
# other:

# %%
on_real("04.classes", report, val)

# %% [markdown]
# ### The surest mistakes
#
# Here are the mistakes that the network was surest of. Ask of each picture whether you would have known.

# %%
surest = wrong[probs[wrong].amax(dim=1).argsort(descending=True)][:10]
captions = [
    f"{train.classes[labels[i]]}\n-> {train.classes[predicted[i]]}\nat {probs[i].max():.2f}"
    for i in surest
]
show("surest-mistakes", plot_images(val.images[surest], captions, columns=5))

# %% [markdown]
# ### Is the label wrong, or the network?
#
# Labels have errors, too. Of CIFAR-10's test labels about 0.54% are estimated to be wrong
# ([Northcutt 2021](https://arxiv.org/abs/2103.14749)). You can find such labels with a network that never trained on
# them. Put it to the test: give twenty validation pictures a wrong label, and look at the forty highest losses.

# %% tags=["tol-8"]
torch.manual_seed(0)
planted = torch.randperm(len(val))[:20]
claimed = labels.clone()
claimed[planted] = (labels[planted] + torch.randint(1, 10, (20,))) % 10
losses = F.cross_entropy(outcome.logits, claimed, reduction="none")
suspects = losses.argsort(descending=True)[:40]
print(
    f"of the 20 wrong labels, {torch.isin(planted, suspects).sum()} are among the 40 highest losses"
)

# %% [markdown]
# A page of suspects costs a person ten minutes and finds most of them. The others among the forty are the network's own
# mistakes, and it doesn't know which are which.
#
# The second fault is worse: copies on both sides of a split. Of CIFAR-10's test pictures 3.25% have a near-duplicate in
# the training set ([Barz and Denzler 2020](https://doi.org/10.3390/jimaging6060041)), so a network may remember them.
# Plant twenty again: training pictures, moved by one pixel, darkened and put among the validation pictures. Comparing
# pixel by pixel finds none of them. Shrunk, gray and without brightness, they're alike:


# %%
def small_and_gray(images):
    """What is left of pictures at 8x8 in gray, brightness and contrast taken out, (N, 64)."""
    gray = F.adaptive_avg_pool2d(images.float().mean(dim=1, keepdim=True), 8).flatten(start_dim=1)
    return F.normalize(gray - gray.mean(dim=1, keepdim=True))


# %% tags=["tol-4"]
copies = (0.8 * train.images[:20].roll(1, dims=3)).byte()
mixed = torch.cat([val.images, copies])
same = (mixed.flatten(1)[-20:, None] == train.images[:20].flatten(1)).all(dim=2).any(dim=1)
alike = (small_and_gray(mixed) @ small_and_gray(train.images).T).max(dim=1).values
suspects = alike.argsort(descending=True)[:20]
print(f"the same in every pixel: {same.sum()} of 20 copies")
print(f"of the 20 most alike pairs, {(suspects >= len(val)).sum()} are copies")

# %% [markdown]
# Most are found, and some are missed, because different pictures can be as alike as copies. `audit_splits` in
# `course_lib.data`, which you met in lesson 2, only finds copies that agree in every pixel. Where a set was gathered
# from the web, look for near-duplicates, too.
#
# ### Does it know when it doesn't know?
#
# With ten classes, take the probability of the predicted class, and ask how often the prediction was right. The
# temperature of lesson 3 is fitted on one half of the validation pictures and judged on the other.


# %%
from course_lib.metrics import fit_temperature, reliability
from course_lib.plots import plot_reliability

middle = len(val) // 2
on_half = Batches(half, size, shuffle=True, device=device)  # for the question below


def sure_and_right(logits):
    """For the second half: the probability of the prediction, and whether it was right."""
    sure, said = logits[middle:].softmax(dim=1).max(dim=1)
    return sure, (said == labels[middle:]).long()


# %% tags=["tol-0.15"]
temperature = fit_temperature(outcome.logits[:middle], labels[:middle])
scaled = {"before": outcome.logits, "after scaling": outcome.logits / temperature}
for name, logits in scaled.items():
    sure, right = sure_and_right(logits)
    print(f"{name:13} predicted {sure.mean():.2f}, right {right.double().mean():.2f}")
diagrams = {name: reliability(*sure_and_right(one)) for name, one in scaled.items()}
show("reliability-of-classes", plot_reliability(diagrams, ylabel="fraction correct"))

# %% [markdown]
# The network is right more often than it says: it's *under*confident, and its temperature is below 1. Why? Three causes
# come to mind: label smoothing, the mean over two mirrored answers, and the last line of `FastCNN`, which divides the
# logits by 9 to keep the first steps calm.

# %%
Predict("4.5")

# %% tags=["tol-0.3"]


class Undivided(FastCNN):
    def _logits(self, images):
        return 9 * super()._logits(images)


def temperature_of(build=FastCNN, *, flip_tta=True, **changes):
    """The temperature after a short training run on half of the images, apart from the changes."""
    torch.manual_seed(0)
    model = build(profile.choose(simulated=(16, 32, 64), real=(32, 64, 128)), flip_tta=flip_tta).to(
        device
    )
    fit(model, on_half, some_val, epochs=2, learning_rate=rate, **(muon | changes))
    found = evaluate(model, on_val)
    return f"{fit_temperature(found.logits, found.labels):.2f}", f"{found.accuracy:.2f}"


rows = [
    ("as it was", *temperature_of()),
    ("without smoothing", *temperature_of(label_smoothing=0.0)),
    ("without the mirror", *temperature_of(flip_tta=False)),
    ("without the division by 9", *temperature_of(Undivided)),
]
Table("One cause taken away at a time", ("", "temperature", "accuracy"), rows)

# %% [markdown]
# <details><summary>What happened, and why</summary>
#
# No cause explains it alone: whichever is taken away, the temperature stays well below 1. Smoothing, the cause that
# comes to mind first, hardly moves it. Taking away the division moves it most, and still not to 1. Perhaps it's that
# all four were trained for a short time; this page doesn't test that. Trained for long and without smoothing, networks
# become *over*confident, and the temperature rises above 1 ([Guo 2017](https://arxiv.org/abs/1706.04599)). One seed
# each, so don't rank the causes.
# </details>
#
# ### Pictures of your own
#
# `load_folder` takes a folder with one folder per class: `my-pictures/cat/1.jpg`, `my-pictures/coffee/a.png`, of any
# size, in any of the usual formats, and says in one line what it found and what it left out. As an example, cut pieces
# of random size and position out of three photographs that scikit-image ships.

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

# %%
from course_lib.data import load_folder

own = load_folder(folder, image_size=32, val_fraction=0.15)
for name, images in (("train", own.train), ("val", own.val), ("test", own.test)):
    print(name, tuple(images.images.shape), images.counts())
captions = [own.train.classes[label] for label in own.train.labels[::9]]
show("pieces-of-three-photographs", plot_images(own.train.images[::9], captions, columns=10))

# %% [markdown]
# Train a small `FastCNN` on them; the number of classes is the one thing to change. What accuracy do you expect from 84
# pictures?

# %% tags=["tol-0.2"]
torch.manual_seed(0)
model = FastCNN((16, 32, 64), num_classes=len(own.train.classes)).to(device)
data = Batches(own.train, 16, shuffle=True, augment=PhotoAugmentation(), device=device)
fit(model, data, Batches(own.val, 64, device=device), epochs=10, learning_rate=0.05, **muon)
own_accuracy = evaluate(model, Batches(own.test, 64, device=device)).accuracy
print(f"test accuracy {own_accuracy:.2f} of {len(own.test)} pictures")
assert own_accuracy > 0.6, "three photographs are easy to tell apart"

# %% [markdown]
# Don't trust that number. All pieces of the cat are pieces of one photograph, so training and test pictures overlap.
# The network can tell this photograph from two others; whether it knows a cat, nobody has tested. Pictures of the same
# thing, the same patient or the same minute of a film must stay on one side of the split. `load_folder` can't know
# that. If you make `train/` and `test/` folders yourself, it keeps to them (exercise 04.6 writes such a split).
#
# It does notice a folder without pictures:

# %%
(folder / "dog").mkdir()
try:
    load_folder(folder).train  # noqa: B018  # it reads the files when they are asked for
except ValueError as error:
    message = str(error).replace(str(folder), "my-pictures")
    print("ValueError:", message.replace("; ", ";\n    "))

# %% [markdown]
# Without the error the network would have a fourth logit for a class that it never sees, and you'd learn of the wrong
# folder name much later.
#
# ### The test pictures, once
#
# All choices of this page were made on validation pictures. Now the test pictures, for the network that opened the
# page. Will the accuracy be above or below that on validation?

# %% tags=["tol-0.12"]
on_test = evaluate(fast, Batches(splits.test, 500, device=device))
final = multiclass_report(on_test.probs, on_test.labels)
low, high = final.ci95["accuracy"]
print(f"validation {report.accuracy:.3f}")
print(f"test       {final.accuracy:.3f}, 95% interval {low:.3f} to {high:.3f}, {final.n} pictures")

# %%
on_real("04.test", {"FastCNN": final}, splits.test)

# %% [markdown]
# Test and validation agree within the interval, as they should where both were drawn alike. The interval comes from the
# number of pictures alone. It says nothing about pictures that were taken in another way, as lesson 3 has shown, nor
# about another seed. The simulated test objects are drawn as the validation objects were. Those of CIFAR-10 come from
# one collection, near-duplicates included, so both of its numbers are a little too good.
#
# ### Stop here
#
# Errors have kinds, labels have errors, and an explanation counts only after you've switched its cause off. **To
# discuss:** 54 of 10,000 test pictures have a wrong label. How high can an honest accuracy be, and what does .996 tell
# you?
#
# <details><summary>One answer</summary>A network that knows every picture scores .9946, since the wrong labels count
# against the right answers. With .996 some of the wrong labels were "known", so the network has seen them, or something
# like them: look for copies.</details>

# %% [markdown]
# <a id="part-e"></a>
#
# ## Part E. Blocks and skip connections (23 min, optional)
#
# - Draw and count the blocks that famous networks are made of.
# - Say what a skip connection buys, and what it doesn't.
#
# You'll meet these blocks again in lesson 5.
#
# ### Six blocks
#
# The networks whose names you meet everywhere are chains, each of one block repeated. Build these blocks for maps of 64
# channels, each reduced to its idea. The yardstick is one 3x3 convolution with batch norm and ReLU, the link of *VGG*
# ([Simonyan 2014](https://arxiv.org/abs/1409.1556), which had no batch norm yet): a plain chain, up to 19 layers deep.


# %%
def conv(before, after, kernel=3, *, groups=1, act=nn.ReLU):
    """Convolution, batch norm, activation; maps keep their size."""
    return nn.Sequential(
        nn.Conv2d(before, after, kernel, padding=kernel // 2, groups=groups, bias=False),
        nn.BatchNorm2d(after),
        act(),
    )


# %% [markdown]
# **ResNet** ([He 2015](https://arxiv.org/abs/1512.03385)) adds a block's input to its output, by a *skip connection*,
# also called a *residual connection*. The block then learns the *residual*, what has to be changed, and doing nothing
# is easy: all weights zero. The *basic* block has two 3x3 convolutions; the *bottleneck* first narrows to a quarter of
# the channels, and widens again at the end.

# %%
schematic("residual-blocks")


# %%
class Residual(nn.Module):
    def __init__(self, *layers):
        super().__init__()
        self.layers = nn.Sequential(*layers)

    def forward(self, maps):
        return F.relu(maps + self.layers(maps))  # the skip connection


blocks = {
    "plain 3x3": conv(64, 64),
    "residual, basic": Residual(conv(64, 64), conv(64, 64, act=nn.Identity)),
    "residual, bottleneck": Residual(
        conv(64, 16, 1), conv(16, 16), conv(16, 64, 1, act=nn.Identity)
    ),
}

# %% [markdown]
# **Inception** ([Szegedy 2014](https://arxiv.org/abs/1409.4842)) doesn't choose a kernel size: it runs several side by
# side and stacks their maps. 1x1 convolutions before the wide kernels keep the price down.

# %%
schematic("inception-and-dense")


# %%
class Inception(nn.Module):
    def __init__(self):
        super().__init__()
        pool = nn.MaxPool2d(3, stride=1, padding=1)
        self.branches = nn.ModuleList(
            [
                conv(64, 16, 1),
                nn.Sequential(conv(64, 16, 1), conv(16, 32, 3)),
                nn.Sequential(conv(64, 8, 1), conv(8, 8, 5)),
                nn.Sequential(pool, conv(64, 8, 1)),
            ]
        )

    def forward(self, maps):
        outputs = [branch(maps) for branch in self.branches]  # of 16, 32, 8 and 8 channels
        return torch.cat(outputs, dim=1)  # (N, 64, H, W)


# %% [markdown]
# **DenseNet** ([Huang 2016](https://arxiv.org/abs/1608.06993)) stacks where ResNet adds: each layer sees the maps of
# all layers before it and contributes a few of its own. Nothing is ever overwritten, and so the number of maps grows.


# %%
class DenseBlock(nn.Module):
    def __init__(self, growth=16, num_layers=4):
        super().__init__()
        self.layers = nn.ModuleList(conv(64 + i * growth, growth) for i in range(num_layers))

    def forward(self, maps):
        for layer in self.layers:
            maps = torch.cat([maps, layer(maps)], dim=1)
        return maps  # (N, 128, H, W)


# %% [markdown]
# **EfficientNet** ([Tan 2019](https://arxiv.org/abs/1905.11946)) is known for scaling depth, width and image size
# together, from a small network that an automatic search had found. Its block, the *MBConv*, joins two older ideas:
#
# - The *inverted bottleneck* of MobileNetV2 ([Sandler 2018](https://arxiv.org/abs/1801.04381)): widen, here four times;
#   filter each map by itself (a *depthwise* convolution, `groups=channels`); narrow again, without an activation.
# - *Squeeze and excitation* ([Hu 2017](https://arxiv.org/abs/1709.01507)): take the mean of each map, and multiply the
#   map by a factor between 0 and 1 that a small dense network makes of the means.
#
# The 3x3 works on 256 channels here. How can that be affordable?

# %%
schematic("mbconv")


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


# %%
blocks |= {"Inception": Inception(), "dense, 4 layers of 16": DenseBlock(), "MBConv": MBConv()}
rows = []
for name, block in blocks.items():
    trace, made = trace_shapes(block, (1, 64, 32, 32)), block.eval()(torch.zeros(1, 64, 32, 32))
    millions = f"{trace.multiply_adds / 1e6:.1f}"
    rows.append((name, str(made.shape[1]), f"{trace.parameters:,}", millions))
columns = ("", "channels out", "parameters", "million multiply-adds")
Table("What each block makes of 64 maps of 32x32", columns, rows)

# %% [markdown]
# The bottleneck does a fraction of the basic block's work. The MBConv has 256 channels inside, and yet fewer
# multiply-adds than the plain 3x3: its 3x3 no longer mixes channels, and nearly all of its work is in the two 1x1
# convolutions that do.
#
# The whole networks are in torchvision. Built on the device `meta` they have shapes but no numbers, so nothing is
# downloaded and nothing computed. Sort them by parameters, then by work. Is it the same order?

# %%
from torchvision import models as famous

with torch.device("meta"):
    networks = {
        "VGG-16": famous.vgg16(),
        "GoogLeNet": famous.googlenet(init_weights=False, aux_logits=False),
        "ResNet-18": famous.resnet18(),
        "ResNet-50": famous.resnet50(),
        "DenseNet-121": famous.densenet121(),
        "EfficientNet-B0": famous.efficientnet_b0(),
    }
rows = []
for name, network in networks.items():
    trace = trace_shapes(network, (1, 3, 224, 224))
    rows.append((name, f"{trace.parameters / 1e6:.1f}", f"{trace.multiply_adds / 1e9:.2f}"))
columns = ("", "million parameters", "billion multiply-adds")
Table("Famous networks, for one picture of 224 pixels", columns, rows)

# %% [markdown]
# It isn't. DenseNet-121 has fewer parameters than ResNet-18 and does more. And little arithmetic doesn't mean little
# time: depthwise convolutions, like Part B's pooling, read a lot of memory for the little that they compute. Time a
# network on the machine that will do the work.
#
# ### What a skip connection buys
#
# "Gradients vanish in deep networks, and skip connections prevent it." Test that sentence. Four chains of twenty 3x3
# convolutions with 16 channels: plain; plain, with the larger initial weights of *He initialization*, which keep a
# signal's strength through ReLU layers; with batch norm; and with a skip connection around each layer.


# %%
class Chain(nn.Module):
    def __init__(self, kind, num_layers=20, channels=16):
        super().__init__()
        self.skip = kind == "skip connections"
        self.stem, self.head = nn.Conv2d(3, channels, 4, stride=4), nn.Linear(channels, 10)
        convs = [nn.Conv2d(channels, channels, 3, padding=1) for _ in range(num_layers)]
        if kind == "He initialization":
            for layer in convs:
                nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
                nn.init.zeros_(layer.bias)
        norm = nn.BatchNorm2d if kind == "batch norm" else nn.Identity
        self.layers = nn.ModuleList(nn.Sequential(layer, norm(channels)) for layer in convs)

    def forward(self, images):
        maps = self.stem((images - 0.5) / 0.25)  # (N, 16, 8, 8)
        for layer in self.layers:
            change = layer(F.relu(maps))
            maps = maps + change if self.skip else change
        return self.head(maps.mean(dim=(2, 3)))


# %% [markdown]
# First the gradients, before any training: one backward pass, and the norm of each layer's weight gradient.

# %% tags=["tol-x4"]
chains = ("plain", "He initialization", "batch norm", "skip connections")
images, labels = next(iter(Batches(train, 64, device=device)))
norms = {}
for kind in chains:
    torch.manual_seed(0)
    model = Chain(kind).to(device)
    F.cross_entropy(model(images), labels).backward()
    norms[kind] = (range(1, 21), [layer[0].weight.grad.norm().item() for layer in model.layers])
    print(f"{kind:18} first layer {norms[kind][1][0]:.1e}, last layer {norms[kind][1][-1]:.1e}")
axes = {"xlabel": "layer, counted from the image", "ylabel": "norm of the gradient", "log_y": True}
show("gradient-norms", plot_curves(norms, **axes))
assert norms["plain"][1][0] < 1e-4 * norms["batch norm"][1][0], "only the plain one vanishes"

# %% [markdown]
# In the plain chain the gradient does vanish, by many orders of magnitude. Each of the three remedies is enough to keep
# it. So which of the chains learn?

# %%
Predict("4.6")

# %% tags=["tol-0.5"]
part = Batches(train.subset(range(3000)), 32, device=device)


def loss_after_one_pass(kind, rate, seed):
    torch.manual_seed(seed)
    model = Chain(kind).to(device)
    train_one_epoch(model, part, torch.optim.AdamW(model.parameters(), lr=rate))
    return evaluate(model, on_val).loss


rates = (1e-3, 3e-3)
rows, lost = [], {}
for kind in chains:
    lost[kind] = [[loss_after_one_pass(kind, rate, seed) for seed in range(3)] for rate in rates]
    rows.append((kind, *(", ".join(f"{loss:.2f}" for loss in losses) for losses in lost[kind])))
columns = ("", *(f"rate {rate:g}, three seeds" for rate in rates))
Table("Validation loss after one pass; guessing has 2.30", columns, rows)

# %% [markdown]
# <details><summary>What happened, and why</summary>
#
# Batch norm and skip connections learn at both rates, from every seed. He initialization still guesses, at both rates,
# though its gradients were fine at the start: a gradient that arrives is needed, and isn't enough. The plain chain
# guesses everywhere.
# </details>
#
# So twenty layers don't *need* a skip connection, and vanishing gradients aren't what it's for. The authors say so
# themselves: their plain networks had batch norm, and vanishing was "unlikely"
# ([He 2015](https://arxiv.org/abs/1512.03385), section 4.1). Still, their plain network of 56 layers was worse than
# that of 20, even *on the training pictures*. What a skip connection buys, together with batch norm, is depth:
#
# > **Change one thing.** Build the last two chains with `num_layers=56`, and one with both. Which learn at rate 0.001?
# > <details><summary>Answer</summary>Measured once, three seeds each. Batch norm alone: 2.33, 2.35, 2.33. Skip
# > connections alone: 2.29, 2.30, 2.30. Both together: 2.20, 2.42, 2.23, so two of three have begun to learn, where
# > neither remedy alone does.</details>
#
# ### What Muon does to a gradient
#
# A matrix stretches some directions more than others. Its *singular values* say how strongly it stretches each. Here
# are those of the gradient of one convolution in a new `FastCNN`, and of the step that Muon makes of it:

# %% tags=["tol-0.3"]
from course_lib.muon import orthogonalize

torch.manual_seed(0)
model = FastCNN((16, 32, 64)).to(device)
F.cross_entropy(model(images), labels).backward()
gradient = model.groups[1].conv2.weight.grad.flatten(start_dim=1).cpu()  # (32, 288)
for name, matrix in (("gradient", gradient / gradient.norm()), ("step", orthogonalize(gradient))):
    values = torch.linalg.svdvals(matrix)[[0, 1, 3, 7, 15, 31]].tolist()
    print(f"{name:9} singular values 1, 2, 4, 8, 16, 32:", *(f"{value:.2f}" for value in values))

# %% [markdown]
# In the gradient the strongest direction is several times as strong as the weakest. In the step all are about alike, as
# near to 1 as five rounds of cheap matrix products bring them. Muon is for filters; biases, batch norm and the last
# layer go to AdamW.
#
# ### Stop here
#
# Blocks are short programs, and their cost can be counted before anything is trained. **To discuss:** "Skip connections
# solve vanishing gradients." Which rows of your table speak against it?
#
# <details><summary>One answer</summary>Batch norm learns without a skip connection, so skips aren't needed against it
# at twenty layers. With He initialization, gradients don't vanish either, and yet nothing is learned, so a gradient
# that arrives isn't enough.</details>

# %% [markdown]
# ## Summary
#
# - Seconds are arithmetic, divided by the machine's peak and by the fraction of it that you use.
# - Time goes to the network, to the loader, and to layers that multiply nothing. Batches made as one tensor, channels
#   last, lower precision, fused updates and larger batches raise the fraction.
# - A better network and optimizer need less arithmetic for the same accuracy; on this page that was the larger factor.
# - A change is judged by paired differences over seeds. Two seeds say next to nothing.
# - A convolutional network beats a dense one of the same size. A likely reason: it knows beforehand which pixels are
#   neighbors.
# - Errors gather in a few pairs of classes. Labels have errors, and splits have copies; look for both.
# - A skip connection isn't needed at twenty layers. Together with batch norm it buys depth.
# - The test pictures were used once, at the end.
#
# ## Quiz
#
# Click an answer, or reach it with Tab and press the space bar, and read why. First tries count, and your score is kept
# when you reload the page.

# %%
from course_lib.widgets import Quiz

Quiz(4)

# %% [markdown]
# ## Exercises
#
# [Exercises 4](exercises/04_cifar10.ipynb) sets six tasks, from one line to a real piece of work. Each asks for a
# function, a cell below it checks yours at once, and hints come in steps.
#
# And three questions that only an experiment answers:
#
# - Draw one permutation of the 1,024 pixel positions and apply it to all pictures. Does `SimpleCNN` or the dense
#   network lose more?
# - Add a setting to Part C: rotation by up to 15 degrees for a whole batch (`F.affine_grid` and `F.grid_sample`). What
#   is its verdict over five seeds?
# - Train on photographs of your own, in at least three classes, with no scene on both sides of the split. Look at the
#   surest mistakes: what would you collect next?
#
# ## What you may now import
#
# `SimpleCNN` and `FastCNN` from `course_lib.models`, `PhotoAugmentation` and `load_folder` from `course_lib.data`,
# `multiclass_report` from `course_lib.metrics`, and `fit`'s `optimizer_name="muon"`, `label_smoothing`, `ema_decay`
# and `pct_start`. The imported `SimpleCNN` knows the size of its pictures and says so when another arrives:

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
if profile.source == "simulated":  # prediction 4.6
    for kind in ("batch norm", "skip connections"):
        assert max(map(max, lost[kind])) < min(map(min, lost["plain"])) - 0.02, f"{kind} learns"
    assert min(lost["He initialization"][1]) > max(map(max, lost["batch norm"]))

# %% [markdown]
# The whole training from the command line, with real photographs, a run folder and a model card, is `course train
# cifar10 --preset fast`; `--preset tutorial` is the textbook network and loop, `--preset best` a longer training of a
# wider network.
#
# Where to go from here:
#
# - The blocks of Part E trained and compared: the University of Amsterdam's
#   [tutorial 5](https://uvadlc-notebooks.readthedocs.io/en/latest/tutorial_notebooks/tutorial5/Inception_ResNet_DenseNet.html).
#   What a skip connection does to the loss surface, in pictures:
#   [Li and others 2018](https://arxiv.org/abs/1712.09913). A ResNet-34 that you write until it takes torchvision's
#   weights: [ARENA](https://github.com/callummcdougall/ARENA_2.0), chapter 0.3.
# - *Detection*, where in the picture and how many: [torchvision's
#   tutorial](https://docs.pytorch.org/tutorials/intermediate/torchvision_tutorial.html).
# - *Segmentation*, a class for each pixel: the [U-Net](https://arxiv.org/abs/1505.04597).
# - *Vision transformers*, which see patches ([ViT](https://arxiv.org/abs/2010.11929)), and what of them is good for a
#   CNN ([ConvNeXt](https://arxiv.org/abs/2201.03545)).
#
# Next, lesson 5: *transfer learning*. There the network doesn't start from nothing: it has seen a million photographs
# before it sees the first of yours.
