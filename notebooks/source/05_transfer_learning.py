# %% [markdown]
# # 5. Transfer learning
#
# Labels are expensive. With forty labeled images and a borrowed network, in a few lines of PyTorch, you do better than
# a classifier on pixels with sixteen times as many. You find out when that holds, how it can go wrong silently, and how
# to tell whether fine-tuning has paid. Everything works without an internet connection.
#
# After this lesson you can
#
# - load torchvision's network with its weights and its own transforms, freeze it and give it a new head,
# - measure what its features are worth per label, on photographs and on X-rays,
# - prove that frozen is frozen, weights and statistics,
# - fine-tune from a probe, with a rate per stage, and say with seeds whether it paid,
# - ask what a backbone was told before it met your images,
# - choose a backbone, and hand the result on.
#
# | part | time | you will have |
# | --- | --- | --- |
# | [A. Borrow a network](#part-a) | 25 min, core | a frozen ResNet-18 with your head, and a probe |
# | [B. What is it worth?](#part-b) | 18 min, core | curves of accuracy per label, for two tasks |
# | [C. Frozen, and further than the head](#part-c) | 22 min, core | a fine-tuning that you can defend, or its refusal |
# | [D. What it knew before](#part-d) | 10 min, core | a leak, measured, and the test scores |
# | [E. Choosing, and taking it with you](#part-e) | 8 min, optional | a table of costs, and a network in a file |
#
# You need lessons [2](02_building_pneumonia_cnn.ipynb) to [4](04_cifar10.ipynb): chest X-rays, the training loop,
# blocks. Computing takes 61 s on two cores (9.2 min with real images).

# %% tags=["setup"]
from course_lib.lessons import get_real_images, start_lesson

profile = start_lesson(5)

# %% [markdown]
# <a id="part-a"></a>
#
# ## Part A. Borrow a network (25 min, core)
#
# - Name the four steps of transfer learning, and write them in plain PyTorch.
# - Use a network's weights with the transforms that belong to them.
# - Count what is left to learn.
#
# ### A network that has seen a million photographs
#
# [ImageNet](https://www.image-net.org/) is a collection of 14 million labeled photographs. A network "trained on
# ImageNet" has nearly always seen the part of it that a competition used, ILSVRC-2012: 1.28 million training images in
# 1,000 classes, among them 118 breeds of dogs ([Russakovsky and others 2014](https://arxiv.org/abs/1409.0575)). Many
# such networks are published with their weights.
#
# The one below is EfficientNet-Lite0, a smaller relative of [EfficientNet](https://arxiv.org/abs/1905.11946): seven
# stages of blocks like the MBConv of lesson 4, with ReLU6 (a ReLU cut off at 6) and without squeeze and excitation,
# then a 1x1 convolution. Its weights were installed together with the course. In the call, `None` in place of a number
# of classes keeps the head for the 1,000. Four photographs come with scikit-image.

# %%
import torch
from skimage import data as photographs
from torch import nn
from torch.nn import functional as F
from torchvision.models import ResNet18_Weights
from torchvision.transforms import functional

from course_lib.models import OFFLINE, transfer_model

device = profile.device
torch.manual_seed(0)
whole = transfer_model(OFFLINE, None).to(device).eval()
names = ResNet18_Weights.DEFAULT.meta["categories"]  # of the 1,000 classes, in their usual order


def square(name):
    """A photograph (1, 3, 224, 224) in 0..1: the short side becomes 256 pixels, the middle stays."""
    pixels = torch.from_numpy(getattr(photographs, name)()).float() / 255
    pixels = pixels.expand(3, -1, -1) if pixels.ndim == 2 else pixels.permute(2, 0, 1)
    small = functional.resize(pixels, [256], functional.InterpolationMode.BICUBIC)
    return functional.center_crop(small, [224, 224])[None].clamp(0, 1)


# %%
from course_lib.plots import plot_images, show

pictures = {name: square(name) for name in ("chelsea", "coffee", "camera", "rocket")}
figure = plot_images(torch.cat(list(pictures.values())), list(pictures), columns=4)
show("four-photographs", figure)

# %% [markdown]
# The third shows a man in a coat with a camera. For the fourth, ImageNet has no class. What will the network say about
# each? Its answer is the class with the largest probability:

# %% tags=["tol-0.1"]
from course_lib.tables import Table

with torch.no_grad():
    probs = whole(torch.cat(list(pictures.values())).to(device)).softmax(dim=1)
rows = [
    (name, names[said.argmax()], f"{said.max():.2f}")
    for name, said in zip(pictures, probs, strict=True)
]
Table("What the network says", ("photograph", "most probable class", "probability"), rows)

# %% [markdown]
# The network has seen other cats and other cups, and names a kind of cat and a kind of coffee. It doesn't name the
# camera, though ImageNet has cameras: the answer is one class, and the picture shows several things. The rocket gets
# the nearest name there is, with a low probability.
#
# ### Forty labels
#
# Now other classes, ten of them, and only forty labeled images. On this page they are the simulated objects of lesson
# 4, with CIFAR-10 beside them; `get_real_images()` fetches CIFAR-10 itself. Take the head away, and the network turns
# an image into 1,280 numbers, its *features*. Everything before the head is called the *backbone*. A *linear probe*
# ([Alain and Bengio 2016](https://arxiv.org/abs/1610.01644)) is one linear layer on these features, found by logistic
# regression.

# %%
from course_lib.data import Batches, load_cifar10
from course_lib.real_results import on_real
from course_lib.training import evaluate, extract_features, linear_probe

splits = load_cifar10(profile.source)
train, val = (  # in a new order, since files come sorted by class
    part.subset(torch.randperm(len(part))[:most])
    for part, most in ((splits.train, profile.choose(simulated=1600, real=2200)), (splits.val, 800))
)
size = profile.choose(simulated=64, real=128)  # pixels that the backbone gets; it learned at 224
backbone = transfer_model(OFFLINE, 10, image_size=size).to(device)
features, labels = extract_features(backbone, Batches(train, 100, device=device))
features_val, labels_val = extract_features(backbone, Batches(val, 100, device=device))
print(train.name, tuple(train.images.shape), "to features", tuple(features.shape))

# %% [markdown]
# A number from one draw of forty images may be luck, so draw forty five times, with equally many of each class:


# %%
def draw(labels, count, seed):
    """Positions of `count` images, equally many of each class."""
    order = torch.randperm(len(labels), generator=torch.Generator().manual_seed(seed))
    classes = labels.unique()
    return torch.cat([order[labels[order] == k][: count // len(classes)] for k in classes])


def accuracy(logits, labels):
    return (logits.argmax(dim=1) == labels).double().mean().item()


def five_draws(known, asked, count, labels, labels_val, score):
    """The scores of probes that get `count` labels, drawn five times."""
    draws = [draw(labels, count, seed) for seed in range(5)]
    heads = [linear_probe(known[some], labels[some]) for some in draws]
    return [score(head(asked).detach(), labels_val) for head in heads]


# %% tags=["tol-0.12"]
pixels, pixels_val = (part.images.flatten(start_dim=1).float() / 255 for part in (train, val))
of_labels = (labels, labels_val, accuracy)
opening = {
    "features, 40 labels": five_draws(features, features_val, 40, *of_labels),
    "pixels, 640 labels": five_draws(pixels, pixels_val, 640, *of_labels),
}
rows = []
for name, scores in opening.items():
    rows.append((name, *(f"{score:.2f}" for score in scores), f"{sum(scores) / 5:.2f}"))
Table(f"{val.name}: accuracy of probes", ("", *map(str, range(1, 6)), "mean"), rows)

# %% [markdown]
# One in ten would be right by guessing. With a sixteenth of the labels the features are ahead in each draw, though
# these objects look like nothing in ImageNet. Part B shows what happens with photographs. First, see how it's done
# without our package.
#
# ### Four steps, in plain PyTorch
#
# You'll meet these lines in other people's code, in one form or another.

# %%
from course_lib.schematics import schematic

schematic("freeze-and-new-head")

# %% [markdown]
# 1. Choose *weights*. They come with the transforms that their network learned with.
# 2. Build the network with them.
# 3. *Freeze* it: no parameter gets a gradient, so no optimizer moves it.
# 4. Replace the head. A new layer has `requires_grad=True`.
#
# With a connection, step 2 is `resnet18(weights=weights)`; torchvision downloads 45 MB and keeps them. This page was
# built without one, and `weights=None` gives the same network with random numbers. All that follows in this section is
# the same for both.

# %%
from torchvision.models import resnet18

weights = ResNet18_Weights.DEFAULT
model = resnet18(weights=None)  # with a connection: resnet18(weights=weights)
for parameter in model.parameters():
    parameter.requires_grad = False
model.fc = nn.Linear(model.fc.in_features, 10)
print(weights.transforms())

# %% [markdown]
# Only `model.fc.parameters()` go to the optimizer now. How many numbers is that?

# %%
from course_lib.widgets import Predict

Predict("5.1")

# %%
learn = [name for name, parameter in model.named_parameters() if parameter.requires_grad]
count = sum(parameter.numel() for parameter in model.fc.parameters())
total = sum(parameter.numel() for parameter in model.parameters())
print(f"{', '.join(learn)}: {count:,} of {total:,} numbers learn")

# %% [markdown]
# <details><summary>What happened, and why</summary>
#
# The head takes 512 features and returns ten logits: a weight for each pair, and a bias for each logit. Everything else
# is frozen.
# </details>
#
# ### What old code looks like
#
# Until torchvision 0.13 (2022) the call was `resnet18(pretrained=True)`. The installed torchvision still takes it. What
# does it say? (`False` gives the same message, and downloads nothing.)

# %%
import textwrap
import warnings

with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    resnet18(pretrained=False)
for one in caught:
    print(textwrap.fill(str(one.message), 95))

# %% [markdown]
# So old code runs, with a warning, until it's removed. What has changed is more than a name:
#
# | old | new | why |
# | --- | --- | --- |
# | `resnet18(pretrained=True)` | `resnet18(weights=ResNet18_Weights.DEFAULT)` | there may be several sets of weights |
# | mean and standard deviation typed by hand | `weights.transforms()` | each set knows its own size and numbers |
# | `pretrained=False` | `weights=None` | |
#
# `pretrained=True` means the *first* published set, and `DEFAULT` the best one. For ResNet-50 that's a difference:

# %%
from torchvision.models import ResNet50_Weights

for one in ResNet50_Weights:
    top = one.meta["_metrics"]["ImageNet-1K"]["acc@1"]
    print(f"{one.name}: {top:.1f}% of ImageNet's validation images")
print("DEFAULT is", ResNet50_Weights.DEFAULT.name)

# %% [markdown]
# ### One step, and what has moved
#
# Now train: one step on 16 images, with only the head's parameters in the optimizer. Then compare everything that the
# network holds with what it held before.

# %%
images = weights.transforms()(train.images[:16])  # bytes to standardized (16, 3, 224, 224)
before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
optimizer = torch.optim.AdamW(model.fc.parameters(), lr=1e-3)
model.train()
F.cross_entropy(model(images), train.labels[:16]).backward()
optimizer.step()
moved = [name for name, held in model.state_dict().items() if not torch.equal(held, before[name])]
print(f"{len(moved)} tensors have moved: {', '.join(moved[:2])} ... {', '.join(moved[-2:])}")

# %% [markdown]
# The last two are the head, and they should move. Sixty others moved as well, in layers whose parameters are all
# frozen. What are they, and do they matter? Part C answers that.
#
# ### The same in one call
#
# `transfer_model("resnet18", 10)` in `course_lib.models` does the four steps and two more things. The transforms are
# part of the network, which takes images in 0..1 of any size, and what is frozen stays as it is. Without a connection
# it stops with an error rather than give you random weights.
#
# ### Features once
#
# A frozen backbone gives the same features for an image each time. So there's no need to compute them in every epoch.

# %%
schematic("features-once")

# %% [markdown]
# Time both: a pass of all images through the backbone (measured on a hundred of them), and twenty epochs of a head on
# all features. Which takes longer?

# %% tags=["tol-x30"]
import time

started = time.perf_counter()
extract_features(backbone, Batches(train.subset(range(100)), 100, device=device))
one_pass = (time.perf_counter() - started) * len(train) / 100
started = time.perf_counter()
head = nn.Linear(features.shape[1], 10)
optimizer = torch.optim.AdamW(head.parameters(), lr=1e-3)
for _ in range(20):  # epochs
    for rows in torch.randperm(len(features)).split(100):
        optimizer.zero_grad()
        F.cross_entropy(head(features[rows]), labels[rows]).backward()
        optimizer.step()
twenty_epochs = time.perf_counter() - started
rows = [("one pass of all images", f"{one_pass:.1f}"), ("twenty epochs", f"{twenty_epochs:.1f}")]
Table("Backbone and head, on this machine", ("", "seconds"), rows)

# %% [markdown]
# Twenty epochs through the whole network would have taken twenty passes. The price: no augmentation, since each changed
# image would need features of its own.
#
# A linear layer under cross-entropy is logistic regression, and for that you need no loop and no learning rate.
# `linear_probe` asks scikit-learn for the weights that fit the training images best, under a penalty on large ones
# (`C=0.01`; a larger `C` is a smaller penalty), and hands back an ordinary `nn.Linear`. Are the two heads equally good?

# %% tags=["tol-0.1"]
probe = linear_probe(features, labels)
for name, one in (("twenty epochs of AdamW", head), ("linear_probe", probe)):
    print(f"{name}: accuracy {accuracy(one(features_val), labels_val):.2f}")

# %% [markdown]
# ### The input that it expects
#
# A network only knows images as they were prepared when it learned. This one wants numbers from -1 to 1, which is
# $(x - 0.5) / 0.5$ for bytes divided by 255. Others want ImageNet's mean and standard deviation taken out, color by
# color. Here are five classic mistakes, each made on 300 validation images and judged by the probe of the last cell.
# (Our network prepares its input itself, so `right_way / 2 + 0.5` is how numbers from 0 to 1 get through to its first
# layer.) Which one costs most, and which raises an error?

# %% tags=["tol-0.12"]
from course_lib.metrics import wilson_interval

right_way = val.images[:300].float() / 255
mistakes = {
    "as it should be": right_way,
    "bytes from 0 to 255": 255 * right_way,
    "prepared twice": (right_way - 0.5) / 0.5,
    "not centered": right_way / 2 + 0.5,
    "red and blue exchanged": right_way.flip(1),
    "upside down": right_way.flip(2),
}
hits, rows = {}, []
for name, given in mistakes.items():
    with torch.no_grad():
        logits = probe(backbone.eval().features(given.to(device)).cpu())
    hits[name] = int((logits.argmax(dim=1) == val.labels[:300]).sum())
    low, high = wilson_interval(hits[name], 300)
    rows.append((name, f"{hits[name] / 300:.2f} [{low:.2f}, {high:.2f}]"))
Table("300 images", ("", "accuracy [95% interval]"), rows)

# %% [markdown]
# None of them raises an error. With bytes the network only guesses, so you'd soon notice. The others are the trouble:
# accuracy is lost, and nothing tells you. Two of them cost so little here that their intervals overlap with that of the
# first row. How much a mistake costs depends on the images: where color tells classes apart, as it does for the
# simulated objects, exchanging red and blue costs a good part of the accuracy. That's why the preparation belongs to
# the weights, in torchvision as `weights.transforms()` and in `transfer_model` inside the network.
#
# ### Stop here
#
# Weights with their transforms, a frozen backbone, a new head, features computed once. **To discuss:** a colleague's
# transfer learning raises no error, and scores eight points less than yours. Name three silent causes, and a one-line
# check for each.
#
# <details><summary>One answer</summary>Another preparation: print the minimum and the maximum of a batch. Old weights:
# print `weights`. Layers that should be frozen and aren't: compare `state_dict()` before and after a
# step.</details>

# %% [markdown]
# <a id="part-b"></a>
#
# ## Part B. What is it worth? (18 min, core)
#
# - Read a curve of accuracy against labels sideways.
# - Say what the pixels alone know, and what the architecture alone is worth.
# - Say why X-rays are a different question from photographs.
#
# ### Three kinds of features
#
# A number without a control says little. So compare three kinds of features under the same probe, each with few labels
# and with more, from five draws:
#
# - the *pixels* themselves,
# - features of the same network with *random* weights,
# - features of the *trained* network.
#
# Read the result sideways, since it's labels that are expensive:

# %%
schematic("read-it-sideways")

# %% [markdown]
# To read sideways, you need all of these scores:


# %%
def probed(kinds, labels, labels_val, counts, score):
    """For each kind of features and each number of labels, the scores of five draws."""
    return {
        (kind, count): five_draws(*found, count, labels, labels_val, score)
        for kind, found in kinds.items()
        for count in counts
    }


def features_of(model, image_set):
    return extract_features(model.to(device), Batches(image_set, 100, device=device))[0]


# %%
torch.manual_seed(0)
untrained = transfer_model(OFFLINE, 10, image_size=size, weights="random")
kinds = {
    "pixels": (pixels, pixels_val),
    "random features": (features_of(untrained, train), features_of(untrained, val)),
    "ImageNet features": (features, features_val),
}
counts = profile.choose(simulated=(40, 160, 640), real=(40, 160, 640, 2000))
by_labels = probed(kinds, labels, labels_val, counts, accuracy)

# %% [markdown]
# Before you look at the trained features: what about the network that has never learned anything?

# %%
Predict("5.2")

# %%
rows = []
for kind in ("pixels", "random features"):
    scores = by_labels[kind, 640]
    rows.append((kind, *(f"{score:.2f}" for score in scores), f"{sum(scores) / 5:.2f}"))
Table(f"{val.name}: 640 labels", ("", *map(str, range(1, 6)), "mean"), rows)

# %% [markdown]
# <details><summary>What happened, and why</summary>
#
# Random filters mix the pixels, stage after stage, and the mean over positions forgets where things were. Nothing has
# learned to keep what tells the classes apart. (Which of the two costs more, this page doesn't test.)
# </details>
#
# Now all three. The lines are means of five draws, and the bands reach from the lowest to the highest.

# %%
from course_lib.plots import plot_curve_panels


def curves_of(scores):
    """Mean and range of the draws against the number of labels, by kind."""
    means, ranges = {}, {}
    for kind in dict.fromkeys(kind for kind, _ in scores):
        found = {count: draws for (name, count), draws in scores.items() if name == kind}
        means[kind] = (list(found), [sum(draws) / len(draws) for draws in found.values()])
        ranges[kind] = (list(map(min, found.values())), list(map(max, found.values())))
    return means, ranges


means, ranges = curves_of(by_labels)
figure = plot_curve_panels(
    {val.name: means},
    title="A probe on three kinds of features",
    xlabel="labeled images",
    ylabel="validation accuracy",
    log_x=True,
    ranges={val.name: ranges},
)
show("probe-on-objects", figure)

# %% [markdown]
# The trained features are ahead at every number of labels, even on objects that resemble no photograph in ImageNet. It
# isn't the *architecture* that does it: with random weights, the same architecture is worse than bare pixels. ImageNet
# holds photographs, so on CIFAR-10 its features should be worth more. Compare the distance from the upper curve to the
# others.

# %%
on_real("05.photos", by_labels, val)

# %% [markdown]
# ### Gray images
#
# The X-rays of lessons 2 and 3 have one channel, and the first convolution wants three. You could copy the gray image
# three times. But then three slices of each filter are multiplied by the same numbers:
#
# $$w_r x + w_g x + w_b x = (w_r + w_g + w_b)\,x$$
#
# So add up the weights over color, once, and a third of this layer's work remains. Some code takes the *mean* of the
# three slices instead. What does that do to the output?

# %%
weight = whole.stages.stem[0].weight.detach().cpu()  # (32, 3, 3, 3)
gray = torch.rand(2, 1, 64, 64)
copied = F.conv2d(gray.expand(-1, 3, -1, -1), weight, stride=2)
summed = F.conv2d(gray, weight.sum(dim=1, keepdim=True), stride=2)
averaged = F.conv2d(gray, weight.mean(dim=1, keepdim=True), stride=2)
print("sum equals three copies:", torch.allclose(summed, copied, atol=1e-5))
print(f"mean: {averaged.norm() / copied.norm():.2f} of the strength")

# %% [markdown]
# With a third of the strength, everything after it gets input of a kind that it has never seen. The sum is exact.
# (Where each color is standardized by its own mean and deviation, it's nearly exact.) `transfer_model(name, 2, 1)`
# builds a network for one channel in this way.
#
# ### X-rays
#
# The same comparison on chest X-rays, scored by the AUC of lesson 3. Will the pixels be as far behind?

# %%
from course_lib.data import load_chest_xray
from course_lib.metrics import binary_auc

side = profile.choose(simulated=64, real=96)  # pixels
xray_splits = load_chest_xray(profile.source, image_size=side)
xrays, xrays_val = (
    part.subset(torch.randperm(len(part))[:most])
    for part, most in ((xray_splits.train, 800), (xray_splits.val, 600))
)
torch.manual_seed(0)
xray_backbone = transfer_model(OFFLINE, 2, 1, image_size=side)
untrained = transfer_model(OFFLINE, 2, 1, image_size=side, weights="random")
xray_kinds = {
    "pixels": [part.images.flatten(start_dim=1).float() / 255 for part in (xrays, xrays_val)],
    "random features": [features_of(untrained, part) for part in (xrays, xrays_val)],
    "ImageNet features": [features_of(xray_backbone, part) for part in (xrays, xrays_val)],
}


# %%
def auc(logits, labels):
    return binary_auc(logits.softmax(dim=1)[:, 1], labels)


on_xrays = probed(xray_kinds, xrays.labels, xrays_val.labels, (40, 160, 640), auc)
means, ranges = curves_of(on_xrays)
figure = plot_curve_panels(
    {xrays_val.name: means},
    title="The same probe on X-rays",
    xlabel="labeled X-rays",
    ylabel="validation AUC",
    log_x=True,
    ranges={xrays_val.name: ranges},
)
show("probe-on-xrays", figure, source=profile.source)

# %% [markdown]
# Now the real X-rays. How close do the pixels come?

# %%
on_real("05.xrays", on_xrays, xrays_val)

# %% [markdown]
# An accuracy for ten classes and an AUC for two can't be compared, but numbers of labels can. For each task: with how
# few labels do ImageNet's features reach the mean that pixels reach with 640?

# %%
rows = []
for task, scores in ((val.name, by_labels), (xrays_val.name, on_xrays)):
    mean = {key: sum(draws) / len(draws) for key, draws in scores.items()}
    enough = [
        count
        for kind, count in scores
        if kind == "ImageNet features" and mean[kind, count] >= mean["pixels", 640]
    ]
    rows.append((task, str(min(enough, default="more than 640"))))
Table("As good as pixels with 640 labels", ("", "labels"), rows)

# %% [markdown]
# (Forty is the fewest that were tried.) On the simulated X-rays the features still save labels, but fewer. On the real
# ones, pixels do better, without any backbone: their mean is ahead at each number of labels. A likely reason: all these
# X-rays show a chest from the same side and at about the same size, so a position has a meaning, which it seldom has in
# photographs. A probe on pixels can use that, whether it's the disease or the way in which the pictures were taken.
# (Lesson 6 asks which.)
#
# What larger studies found about X-rays:
#
# - On two large medical tasks, starting from ImageNet brought little in accuracy, and small networks did about as well
#   as ImageNet's ([Raghu and others 2019](https://arxiv.org/abs/1902.07208)).
# - For 16 networks on CheXpert's adult chest X-rays, it did bring a significant gain, more for the smaller networks.
#   How good a network is on ImageNet said nothing about how good it was there
#   ([Ke and others 2021](https://arxiv.org/abs/2101.06871)).
#
# So before you believe in a backbone, measure it against pixels.
#
# ### Backbones that never saw a label
#
# ImageNet's 1.28 million labels cost a great deal, and tie the features to its 1,000 classes. *Self-supervised*
# learning needs none: it asks, for instance, that two crops of one image get similar features, and other images
# different ones. This page doesn't run it. Published:
#
# - A linear probe on DINO's features, learned without labels, reaches 80.1% on ImageNet itself, and the nearest
#   neighbors among the features of a smaller network 78.3% ([Caron and others 2021](https://arxiv.org/abs/2104.14294)).
# - First on ImageNet without labels, then on unlabeled X-rays, then fine-tuned: 1.1 points more mean AUC on chest
#   X-rays than from ImageNet's labels ([Azizi and others 2021](https://arxiv.org/abs/2101.05224)).
# - DINOv2's features of everyday photographs were a better start than ImageNet's labels on each of six collections,
#   which hold more than 800,000 chest X-rays together ([Tayebi Arasteh and others
#   2023](https://arxiv.org/abs/2308.07688)).
#
# The recipe of this lesson stays the same: another backbone, the same probe, the same curve.
#
# ### Stop here
#
# Trained features are worth many labels, on these objects and more so on photographs; on X-rays, pixels are a strong
# rival. **To discuss:** pixels do well on X-rays and badly on photographs. Is that good news?
#
# <details><summary>One answer</summary>Not by itself. A probe on pixels only knows how bright each position is. It
# may see the disease, or how the film was exposed and cropped, which may be different in the next hospital.</details>

# %% [markdown]
# <a id="part-c"></a>
#
# ## Part C. Frozen, and further than the head (22 min, core)
#
# - Keep a frozen network frozen.
# - Give each stage its own learning rate.
# - Decide by seeds whether fine-tuning has paid.
#
# ### What does freezing freeze?
#
# In Part A sixty tensors moved although nothing but the head could learn. Here are two helpers to find out what they
# are, for the network with ImageNet's weights:

# %%
on_val = Batches(val, 200, device=device)


def begin(head=None):
    """The network for ten classes, with a probe as its head if there is one."""
    model = transfer_model(OFFLINE, 10, image_size=size).to(device)
    if head is not None:
        model.head.load_state_dict(head.state_dict())
    return model


def state_of(model):
    return {name: tensor.clone() for name, tensor in model.stages.state_dict().items()}


# %% [markdown]
# Now freeze all of it, and let the probe be its head. Then eight batches pass through it in training mode.

# %%
Predict("5.3")

# %% tags=["tol-0.12"]
model = begin(probe)
for parameter in model.parameters():
    parameter.requires_grad = False
first, before = evaluate(model, on_val).accuracy, state_of(model)
nn.Module.train(model)  # what `train()` does in an ordinary network
with torch.no_grad():
    for images, _ in Batches(train.subset(range(256)), 32, device=device):
        model(images)
after = [name for name, held in state_of(model).items() if not torch.equal(held, before[name])]
last = evaluate(model, on_val).accuracy
kinds_moved = sorted({name.split(".")[-1] for name in after})
print(f"accuracy before {first:.2f}, after {last:.2f}")
print(f"{len(after)} tensors moved: {', '.join(kinds_moved)}")

# %% [markdown]
# <details><summary>What happened, and why</summary>
#
# Each batch norm keeps a running mean, a running variance and a count of batches. They are *buffers*, not parameters:
# they need no gradient to move, and `requires_grad` says nothing about them. In training mode every forward pass moves
# them, and the head was fitted to the features as they were before. So frozen isn't frozen.
# </details>
#
# Freezing has two halves: no gradients for the weights, and evaluation mode for the statistics. And every training loop
# calls `model.train()`, which puts all layers back into training mode. So a network that should keep its frozen stages
# needs a `train` of its own:


# %%
class Keeping(nn.Module):
    """Stages and a head; a stage without anything to learn stays in evaluation mode."""

    def __init__(self, stages, head):
        super().__init__()
        self.stages, self.head = stages, head

    def train(self, mode=True):
        super().train(mode)
        for stage in self.stages:
            if not any(parameter.requires_grad for parameter in stage.parameters()):
                stage.eval()
        return self


keeping = Keeping(model.stages, model.head).train()
print("head trains:", keeping.head.training, " stem trains:", keeping.stages.stem.training)

# %% [markdown]
# The networks of `transfer_model` have such a `train`, and `freeze` and `unfreeze` set `requires_grad` stage by stage.
#
# ### Statistics of layers that learn
#
# Should the statistics move at least where the layers learn? In training, batch norm standardizes by the batch at hand;
# in evaluation, by the running numbers, which lag behind. In a long training run they catch up. Here are short ones,
# each from a probe on the same few images, from three seeds, with moving statistics and with frozen ones. The cells
# below also train from a new head with random weights, and at two numbers of labels; a later question needs that.


# %%
from course_lib.data import PhotoAugmentation
from course_lib.models import parameter_groups
from course_lib.runtime import Precision
from course_lib.training import fit

few_val = Batches(val.subset(range(32)), 32, device=device)  # for `fit`, which wants some


def tune(model, images, *, seen, seed, rate=5e-4):
    """Train all of the network until `seen` images were seen, each as often as the others."""
    rounds = seen // len(images) + 1
    order = torch.cat([torch.randperm(len(images)) for _ in range(rounds)])[:seen]
    data = Batches(images.subset(order), 32, augment=PhotoAugmentation(shift=2), device=device)
    how = {"parameter_groups": parameter_groups(model, rate), "seed": seed}
    fit(model, data, few_val, epochs=1, precision=Precision(device.type, None), **how)
    return evaluate(model, on_val).accuracy


# %%
seen = profile.choose(simulated=320, real=480)
budgets = profile.choose(simulated=(40, 160), real=(160, 640))
ways, moving = {}, []
for count in budgets:
    for seed in range(3):
        torch.manual_seed(seed)
        some = draw(labels, count, seed)
        images, head = train.subset(some), linear_probe(features[some], labels[some])
        found = {"the probe": accuracy(head(features_val), labels_val)}
        found["tuned from the probe"] = tune(begin(head), images, seen=seen, seed=seed)
        found["tuned from a random head"] = tune(begin(), images, seen=seen, seed=seed)
        for way, score in found.items():
            ways.setdefault((way, count), []).append(score)
        if count == 160:
            model = begin(head)
            model.frozen_batch_norm = False
            moving.append(tune(model, images, seen=seen, seed=seed))

# %% [markdown]
# How much do moving statistics cost? The first row is the probe that both training runs began with.

# %% tags=["tol-0.15"]
at_160 = {
    "the probe": ways["the probe", 160],
    "tuned, moving statistics": moving,
    "tuned, frozen statistics": ways["tuned from the probe", 160],
}
seeds = ("", "seed 0", "seed 1", "seed 2")
rows = [(name, *(f"{score:.2f}" for score in scores)) for name, scores in at_160.items()]
Table(f"{val.name}: accuracy with 160 labels", seeds, rows)

# %% [markdown]
# On the simulated objects, the training with moving statistics ends far below the one with frozen statistics, from
# every seed. A smaller learning rate wouldn't help: you saw statistics move and do their damage with no learning at
# all. So `transfer_model` keeps ImageNet's statistics in training as well (`frozen_batch_norm`). The scale and shift of
# each batch norm are ordinary parameters, and learn. On CIFAR-10:

# %%
on_real("05.statistics", at_160, val)

# %% [markdown]
# ### A learning rate per stage
#
# A probe leaves the features as they are. *Fine-tuning* changes them. Early layers know what all images share, edges
# and colors; late ones know ImageNet's classes ([Yosinski and others 2014](https://arxiv.org/abs/1411.1792)). So a
# common recipe gives each stage a smaller rate than the one after it:

# %%
schematic("rates-per-stage")

# %% [markdown]
# An optimizer takes a list of *parameter groups* for that, each with its own rate:

# %%
model = begin()
parts = [model.head, *reversed(model.stages[:-1])]  # the last, the pooling, has no parameters
by_hand = [
    {"params": list(part.parameters()), "lr": 1e-3 * 0.7**depth} for depth, part in enumerate(parts)
]
optimizer = torch.optim.AdamW(by_hand)
print("rates from head to stem:", *(f"{group['lr']:.2g}" for group in optimizer.param_groups))

# %% [markdown]
# `parameter_groups(model, 1e-3, decay=0.7)` gives the same list, without what is frozen.
#
# ### Probe first, then tune
#
# Begin with a probe or with a new random head? With a random head the first gradients are those of a bad classifier,
# and they go through all layers. Fine-tuning from there can distort the features. Over ten datasets, a probe followed
# by tuning did better, most of all on images of another kind ([Kumar and others
# 2022](https://arxiv.org/abs/2202.10054)). The training runs above include both. Which row is best at which number of
# labels?

# %% tags=["tol-0.15"]
rows = []
for count in budgets:
    rows.append((f"{count} labels",))
    for way in dict.fromkeys(way for way, _ in ways):
        rows.append((way, *(f"{score:.2f}" for score in ways[way, count])))
Table(f"{val.name}: accuracy after {seen:,} images seen", seeds, rows)

# %% [markdown]
# On the simulated objects, with 160 labels, tuning from a random head ends below tuning from the probe, from every
# seed; with forty, three seeds can't tell the rows apart. And where the probe is good, this short tuning does harm:
# with 160 labels every seed ends below the probe that it began with. Is it any better on photographs?

# %%
on_real("05.ways", ways, val)

# %% [markdown]
# ### One pass, four, or sixteen
#
# So far each training saw a few hundred images. What if it saw more? Take 640 labeled images of CIFAR-10 at 64 pixels,
# start from the probe, and go through them once, four times, or sixteen times, at two learning rates, from three seeds.
# 2,000 validation images judge. This takes too long for a page, so its numbers are stored.

# %%
Predict("5.4")

# %%
on_real("05.length")

# %% [markdown]
# <details><summary>What happened, and why</summary>
#
# The first steps move the features away from the head that fitted them, and a higher rate moves them further. With more
# passes head and features come to fit again, and in the end better than before.
# </details>
#
# Three things to take from the curves:
#
# - A short training run says little about a long one. After one pass you might have given up.
# - The rate that looks worse after one pass may be the better one in the end, so compare rates at full length.
# - A gain has a price: sixteen passes with gradients are about fifty passes' worth of arithmetic, and the probe needs
#   one.
#
# With 2,000 labels at 128 pixels, and a recipe whose rate was chosen on validation, twelve epochs bring a probe from
# .734 to .837 on 2,000 test images, means of three seeds (`tests/benchmarks/transfer_learning.py`).
#
# ### The order of work
#
# 1. A probe. It costs one pass, and says what the features know.
# 2. Pixels and random weights under the same probe, as a control.
# 3. Fine-tune from the probe, statistics frozen, a rate per stage, for as long as you can afford.
# 4. Three seeds, each with its own draw of labels; compare pair by pair on the same validation images.
# 5. Keep it if every pair, or the paired interval of exercise 04.5, says that it paid.
#
# ### Stop here
#
# Frozen means weights and statistics. Fine-tuning begins at the probe, and a short one can't tell you whether a long
# one pays. **To discuss:** your fine-tuning gains two points on 400 validation images, with one seed. Do you keep it?
#
# <details><summary>One answer</summary>Not on this evidence. With 400 images a rate near one half is known to about
# five points either way; a paired comparison is sharper, but one seed is one draw of labels and of the order of images.
# Run two more.</details>

# %% [markdown]
# <a id="part-d"></a>
#
# ## Part D. What it knew before (10 min, core)
#
# - Say what a backbone was told before it met your images.
# - Name three leaks, and how to look for each.
# - Use the test images once, and report with intervals.
#
# ### No label of yours
#
# "Accuracy with forty labels" doesn't mention the 1.28 million labels of ImageNet. If your classes are among its
# thousand, the backbone has already been told the answer. So take the old head and no label at all: for each of our
# classes, add up the probabilities of the ImageNet classes that belong to it. ImageNet's order follows WordNet, so that
# animals of one kind stand together.

# %%
ranges = {
    "bird": [*range(7, 25), *range(80, 101), *range(127, 147)],
    "cat": range(281, 286),  # the domestic ones
    "deer": range(351, 354),  # antelopes: ImageNet has no deer
    "dog": range(151, 269),
    "frog": range(30, 33),
    "horse": range(339, 341),  # sorrel and zebra
}
for name, numbers in ranges.items():
    print(f"{name}: {len(numbers)}, {names[numbers[0]]} to {names[numbers[-1]]}")

# %% [markdown]
# Vehicles are spread over the list, so they are named:

# %%
words = {
    "airplane": "airliner, warplane, airship",
    "automobile": "ambulance, beach wagon, cab, convertible, jeep, limousine, minivan, Model T, racer, sports car",
    "ship": "aircraft carrier, canoe, catamaran, container ship, fireboat, gondola, lifeboat, liner, pirate, "
    "schooner, speedboat, submarine, trimaran, yawl",
    "truck": "fire engine, garbage truck, moving van, pickup, tow truck, trailer truck",
}
ranges |= {name: [names.index(word) for word in said.split(", ")] for name, said in words.items()}
groups = [list(ranges[name]) for name in sorted(ranges)]  # in CIFAR-10's own order, the alphabet's
with torch.no_grad():
    probs = whole.head(features_val.to(device)).softmax(dim=1).cpu()
summed = torch.stack([probs[:, group].sum(dim=1) for group in groups], dim=1)

# %% [markdown]
# On CIFAR-10, whatever comes out above one in ten was done without a label of yours. On simulated objects the names
# have nothing to do with the classes. That's a control: what should it give?

# %% tags=["tol-0.08"]
from course_lib.metrics import multiclass_report

report = multiclass_report(summed / summed.sum(dim=1, keepdim=True), val.labels)
low, high = report.ci95["accuracy"]
print(f"{val.name}: {report.accuracy:.2f}, 95% interval {low:.2f} to {high:.2f}, {report.n} images")

# %%
on_real("05.unlabeled", report, val)

# %% [markdown]
# So the curve of Part B counts *your* labels, and says little about classes that ImageNet never had. The size of the
# lists plays a part, too: 118 dogs add up more easily than five cats, and some errors in the table may be due to that.
#
# ### Three leaks
#
# - **Classes.** The backbone was taught them. Look for your classes in its list, as above, or in its data's
#   description.
# - **Images.** A test image, or its near copy, lies in the backbone's training set. CIFAR-10's source,
#   [80 Million Tiny Images](https://doi.org/10.1109/TPAMI.2008.128), and ImageNet were both collected by asking image
#   search engines for WordNet's nouns. For medical images that were published before a backbone was trained, ask.
# - **You.** You try seven backbones on the test images and report the best. This leak has nothing to do with
#   pretraining.
#
# ### The test images, once
#
# Here is the probe on all training images of this page, for both tasks. The X-rays' threshold is chosen on validation,
# and nothing on the page was chosen on these images. Write down what you expect.

# %%
from course_lib.metrics import binary_report, choose_threshold

backbone.head = probe.to(device)
test = splits.test.subset(torch.randperm(len(splits.test))[:1000])
outcome = evaluate(backbone, Batches(test, 200, device=device))
of_objects = multiclass_report(outcome.probs, outcome.labels)

xray_backbone.head = linear_probe(xray_kinds["ImageNet features"][0], xrays.labels).to(device)
known = evaluate(xray_backbone, Batches(xrays_val, 200, device=device))
threshold = choose_threshold(known.probs[:, 1], known.labels)
outcome = evaluate(xray_backbone, Batches(xray_splits.test, 200, device=device))
of_xrays = binary_report(outcome.probs[:, 1], outcome.labels, threshold=threshold)

# %% tags=["tol-0.1"]
asked = {
    test.name: (of_objects, ["accuracy"]),
    xrays.name: (of_xrays, ["auc", "sensitivity", "specificity"]),
}
rows = []
for name, (one, scores) in asked.items():
    for score in scores:
        low, high = one.ci95[score]
        told = f"{getattr(one, score):.2f} [{low:.2f}, {high:.2f}]"
        rows.append((f"{name}, {score.replace('auc', 'AUC')}", told, str(one.n)))
Table("Test", ("", "score [95% interval]", "images"), rows)

# %% [markdown]
# The threshold is the one with the largest sum of sensitivity and specificity on validation. The real test X-rays come
# from a different mixture of patients. Which of the two rates suffers?

# %%
on_real("05.test", {"probe": of_xrays}, xray_splits.test)

# %% [markdown]
# The specificity is the lower one, as in lesson 3. All X-rays here are of one kind: one hospital's children, or one
# simulation. The network is not for diagnosis.
#
# ### Stop here
#
# Your few labels may stand on somebody else's many. **To discuss:** which of your images could the backbone have seen,
# and how would you find out?
#
# <details><summary>One answer</summary>Those that were public before it was trained. Read its data sheet for sources
# and dates, search its training set for near copies if you can get it, and keep some images that were never
# online.</details>

# %% [markdown]
# <a id="part-e"></a>
#
# ## Part E. Choosing, and taking it with you (8 min, optional)
#
# - Choose a backbone by what it costs and by a probe.
# - Export a network, check the file, and say how long it will last.
#
# ### What does a backbone cost?
#
# Seven networks stand ready under one name each. Six are torchvision's, whose weights are downloaded at first use and
# verified by their hash. Accuracy on ImageNet is published with them. Cost can be measured without them, since random
# weights take as long to multiply. Of two networks with the same number of multiply-adds, which is slower: the one with
# a few large convolutions, or the one with many small ones?

# %%
from torchvision import models as torchvision_models

from course_lib.anatomy import trace_shapes
from course_lib.models import BACKBONES


def milliseconds(model, images, rounds=3):
    """The shortest of some passes; the first one warms up."""
    times = []
    with torch.no_grad():
        for _ in range(rounds + 1):
            started = time.perf_counter()
            model(images).sum().item()  # `item` waits for a GPU
            times.append(time.perf_counter() - started)
    return 1000 * min(times[1:])


def published(name):
    if name == OFFLINE:
        return 75.1  # by its authors
    weights = torchvision_models.get_model_weights(name).DEFAULT
    return weights.meta["_metrics"]["ImageNet-1K"]["acc@1"]


# %% tags=["tol-x30"]
rows = []
for name in BACKBONES:
    model = transfer_model(name, None, weights="random").to(device).eval()
    model.to(memory_format=torch.channels_last)
    side = model.image_size
    trace = trace_shapes(model, (1, 3, side, side))
    image = torch.rand(1, 3, side, side, device=device).to(memory_format=torch.channels_last)
    taken, work = milliseconds(model, image), trace.multiply_adds / 1e9
    numbers = (f"{published(name):.1f}", f"{trace.parameters / 1e6:.1f}", f"{work:.2f}")
    rows.append((name, str(side), *numbers, f"{taken:.0f}", f"{taken / work:.0f}"))
columns = ("", "pixels", "ImageNet %", "parameters (M)", "multiply-adds (G)", "ms", "ms per G")
Table("One image at a time, on this machine", columns, rows)

# %% [markdown]
# Compare the last column of the first three networks with ResNet-18's. A depthwise convolution reads a lot of memory
# for little arithmetic, so a billion multiply-adds take longer there.
#
# Is a better network on ImageNet better for you? On twelve datasets of photographs the two went closely together
# ([Kornblith and others 2018](https://arxiv.org/abs/1805.08974)). On chest X-rays no relationship was found
# ([Ke and others 2021](https://arxiv.org/abs/2101.06871)). So take the smallest that might do, probe it, and change to
# a larger one only if validation says that it's better.
#
# ### Taking it with you
#
# `torch.export` traces a network into a graph of plain operations, stored in one file that runs without the source that
# built it. The preparation is part of our network, so it's in the graph. The example below has two images. Will the
# stored program take five?

# %%
import tempfile
from pathlib import Path

torch.manual_seed(0)
final = begin(probe.cpu()).cpu().eval()
several = {"images": {0: torch.export.Dim("batch", min=1)}}  # any number of images
program = torch.export.export(final, (torch.rand(2, 3, 32, 32),), dynamic_shapes=several)
folder = Path(tempfile.mkdtemp())
torch.export.save(program, folder / "network.pt2")
stored = torch.export.load(folder / "network.pt2").module()
five = val.images[:5].float() / 255
with torch.no_grad():
    difference = (stored(five) - final(five)).abs().max().item()
print(f"{len(stored(five))} rows of logits; the module's, to 0.001: {difference < 1e-3}")

# %% [markdown]
# The number of images is free; their size, 32x32 pixels, is fixed in the file. How long will the file last? Ask torch:

# %%
said = " ".join(torch.export.save.__doc__.split())
begins = said.index("Under active development")
print(textwrap.fill(said[begins : said.index(".", begins) + 1], 95))

# %% [markdown]
# So it's a file to run a network now, without this course, and with the version of torch that wrote it. What lasts is
# *numbers with names*: a [safetensors](https://huggingface.co/docs/safetensors/index) file holds nothing but tensors,
# is read without running any code, and outlives versions. In return you need the source that builds the network. Keep
# both:

# %%
from safetensors.torch import load_file, save_file

save_file(final.state_dict(), folder / "network.safetensors")
again = begin().cpu().eval()
again.load_state_dict(load_file(folder / "network.safetensors"))
with torch.no_grad():
    print("the same logits:", torch.equal(again(five), final(five)))
for path in sorted(folder.iterdir()):
    print(f"{path.name}: {path.stat().st_size / 1e6:.0f} MB")

# %% [markdown]
# Neither file says what the logits mean. The names of the classes, the preparation, the threshold and the limits of use
# belong beside them, as in a run folder of `course train`.
#
# ### One command
#
# With a folder for each class, as in lesson 4:
#
#     course train transfer --task folder --root my-pictures --out runs/mine
#     course predict runs/mine some-picture.jpg
#
# The first command splits off validation and test images, fits a probe, fine-tunes from it with a rate per stage, and
# writes curves, scores and a model card. `--task pneumonia` and `--task cifar10` take the data of the course, and
# `--backbone` any name of the table above.
#
# ### Stop here
#
# Measure the cost, probe the worth, and store two files: one to run now, and one to keep. **To discuss:** in three
# years somebody wants to know what your network says about an image. What must you have kept?
#
# <details><summary>One answer</summary>The weights as safetensors, the source with its versions, the preparation, the
# names of the classes and the threshold, and one image with its logits, to check that all of it still agrees.</details>
#
# ## Summary
#
# - Four steps: weights with their transforms, the network, freezing, a new head.
# - Features of a frozen backbone are computed once. A linear probe shows what they know about your classes.
# - Read accuracy against labels sideways, beside pixels and random weights, with the spread of draws.
# - Frozen means weights and statistics. In short training runs, keep the statistics frozen everywhere.
# - Fine-tuning begins at the probe, and is judged over seeds once it has run long enough.
# - Gray images go in through weights summed over color.
# - What the backbone was told before counts, and may be a leak of your test.
# - An exported program is for today, safetensors with the source are for later.
#
# ## Quiz
#
# Click an answer, or reach it with Tab and press the space bar, and read why. First tries count, and your score is kept
# when you reload the page.

# %%
from course_lib.widgets import Quiz

Quiz(5)

# %% [markdown]
# ## Exercises
#
# [Exercises 5](exercises/05_transfer_learning.ipynb) has six tasks, from one line to a real piece of work. Each asks
# for a function, a cell below it checks yours at once, and hints come in steps.
#
# And three questions that only an experiment answers:
#
# - Repeat Part B with `size = 96`. What do larger images bring, and what do they cost?
# - Fine-tune from the probe with `decay` 0.5, 0.7 and 1.0, three seeds each. Is there a difference beyond the seeds?
# - Choose the forty images to be labeled as far apart in features as possible. Does the probe gain?
#
# ## What you may now import
#
# - From `course_lib.models`: `transfer_model`, `freeze`, `unfreeze`, `parameter_groups`, `BACKBONES`.
# - From `course_lib.training`: `extract_features` and `linear_probe`.
#
# Does the page keep its word? Each line is a claim made above, with every seed in it.

# %%
assert min(opening["features, 40 labels"]) > max(opening["pixels, 640 labels"])
for count in counts:  # ahead at every number of labels, in every draw
    assert min(by_labels["ImageNet features", count]) > max(by_labels["pixels", count])
assert min(by_labels["pixels", 640]) > max(by_labels["random features", 640])
assert hits["bytes from 0 to 255"] == min(hits.values())
assert len(moved) == 62  # three for each of twenty batch norms, and the head
assert last < first - 0.05  # frozen was not frozen
assert difference < 1e-3
if profile.source == "simulated":
    assert hits["red and blue exchanged"] < 0.8 * hits["as it should be"]
    tuned = {way: ways[way, 160] for way in found}
    assert max(moving) < min(tuned["tuned from the probe"]) - 0.05
    for before, after, random_head in zip(*tuned.values(), strict=True):
        assert random_head < after < before
    assert report.accuracy < 0.13  # names that mean nothing sort nothing
print("It does.")

# %% [markdown]
# ## Where to go next
#
# - [Lesson 6](06_visualization.ipynb): which pixels an answer rests on, and whether such pictures tell the truth.
# - torchvision's [models and weights](https://docs.pytorch.org/vision/stable/models.html), and
#   [timm](https://huggingface.co/docs/timm/index), with more than a thousand others and a card for each.
# - Fewer numbers to train in large networks: [LoRA](https://arxiv.org/abs/2106.09685).
