# %% [markdown]
# # 2. Building PneumoniaCNN
#
# You will look at chest radiographs before you model them, build a network for them as a class of your own, check every
# shape in it, count what it costs and where, and put it through the first test that a network has to pass. At the end
# it is wired correctly and has learned nothing yet; you will be able to say exactly what that means.
#
# Prerequisites: lesson 1 (layers, output sizes, logits) and Python classes. Computing takes 31 s on two cores (18 s
# with real images); allow two hours of your own.

# %% tags=["setup"]
from course_lib.lessons import get_real_images, start_lesson

profile = start_lesson(2)

# %% [markdown]
# What lesson 1 built by hand is imported from now on: the output size of a layer, the receptive field, the parameter
# count and the shape trace.

# %%
import math

import torch
from torch import nn
from torch.nn import functional as F

from course_lib.anatomy import conv_output_size, count_parameters, receptive_field, trace_shapes
from course_lib.data import Splits, audit_splits, load_chest_xray, simulate_radiographs
from course_lib.plots import plot_curves, plot_images, plot_shares, plot_volumes, show
from course_lib.real_results import on_real

# %% [markdown]
# ## 1. What the pictures show
#
# A radiograph is a shadow shown as a negative. Where most of the beam came through, the picture is black; where tissue
# stopped it, white. Air stops almost nothing, so a healthy lung is dark. In pneumonia air sacs of the lung fill with
# fluid and cells, which stop X-rays about as well as muscle does: a white, soft-edged cloud, an *opacity*, in lung that
# should be dark. You look at the patients from the front, so their left is on your right, and there lies the heart.
#
# The next cell shows four patients three times: healthy, with pneumonia, and with the pneumonia outlined. They are
# simulated: nobody's bodies, computed from the physics of X-rays, which is why the same patient can be had in health
# and in disease. **Before you run the cell:** name three things in a healthy chest that you expect to be white, too.
# Then cover the last row with your hand and search the middle one.

# %%
how = {"image_size": 128, "seed": 40, "difficulty": 0.2}
healthy = simulate_radiographs(4, prevalence=0, **how)  # no one is sick
sick = simulate_radiographs(4, prevalence=1, **how)  # the same patients, all of them sick
pictures = torch.cat([healthy.images, sick.images, sick.images])  # (12, 1, 128, 128)
outlines = torch.cat([healthy.masks, torch.zeros_like(sick.masks), sick.masks])
captions = ["healthy"] * 4 + ["pneumonia"] * 4 + ["pneumonia, outlined"] * 4
show("four-patients-three-times", plot_images(pictures, captions, columns=4, masks=outlines))

# %% [markdown]
# The heart and the great vessels are white, the spine behind them, the ribs that cross the lungs, the collarbones, the
# diaphragm with the abdomen below it. So "white" is not the sign. The sign is white *where the lung should be dark*,
# with a soft edge, and it can lie behind a rib or beside the heart. That is a statement about a pattern and its
# surroundings, and for such statements layers of convolutions were made.
#
# The orange line surrounds the fluid that the simulation put there. The real radiographs of this course come without
# it: their label says that there is pneumonia, not where. And outside a simulation the sign is not the disease. A
# collapsed piece of lung or a bleeding can look the same, and an early pneumonia may not be seen at all. Physicians
# know of the cough and the fever, too; the network gets a picture.
#
# Now the images that this course trains on, shrunk to 64x64 pixels so that a laptop can follow. On this page they are
# simulated as well. On Colab and Kaggle the set-up cell fetches real ones by itself; elsewhere `get_real_images()` does
# (21 MB), and the same cells show those. The first line of the output says which you are looking at.

# %%
splits = load_chest_xray(profile.source, image_size=64)
train = splits.train
print(f"{train.name}: {tuple(train.images.shape)} {train.images.dtype}, classes {train.classes}")

# %% [markdown]
# One channel, whole numbers from 0 (black) to 255 (white), one label per image: 0 for NORMAL, 1 for PNEUMONIA. Positive
# means sick, as in a clinic, and has nothing to do with good.
#
# **Before you run the cells:** take paper. Twelve images follow without labels; write down an N or a P for each before
# you run the second cell, which tells. You have seen four patients, four more than the network has when it starts.

# %%
order = torch.randperm(len(train), generator=torch.Generator().manual_seed(1))
twelve = train.subset(order[:12])
numbers = [str(i + 1) for i in range(12)]
show("twelve-without-labels", plot_images(twelve.images, numbers))

# %%
answers = [f"{i + 1} {twelve.classes[label]}" for i, label in enumerate(twelve.labels.tolist())]
show("twelve-with-labels", plot_images(twelve.images, answers, masks=twelve.masks))

# %% [markdown]
# Count your hits and keep the number: a human baseline, if a small one. The simulated set is harder than the four
# patients above, on purpose: fainter clouds, and stronger vessels that pass for clouds. Its outlines show what you
# missed; on the real images of this course nothing does.
#
# ### Who is in them
#
# The real images behind this lesson, and behind much of what has been published on the subject, are those of Kermany,
# Zhang and Goldbaum (2018): front views of **children aged one to five, from one hospital in Guangzhou**. The label is
# what two physicians read from the picture. A child's chest is not a small adult's: the heart takes up more of it, it
# does not hold its breath when told to, arms and chin get into the picture. One hospital means a few machines and one
# habit of taking pictures. Nothing learned here transfers to adults, to another hospital or to another machine by
# itself, and nothing in this course is for diagnosis. The simulated images are further away still: their bodies are no
# particular child's, their proportions were set by eye, and a score on them says something about the network and
# nothing about medicine.
#
# ### Which images for what
#
# A network is fitted on the *training set* (train), choices are made on the *validation set* (val), and the *test set*
# is asked once, at the end. That is worth nothing if the same picture, or the same child, sits on two sides: memory
# would pass for skill. That is called a *data leak*. `audit_splits` asks the dull questions that are so often left out;
# a *group* in its report is a patient. It fits nothing, so it may look at the test images. **Before you run the cell:**
# which of its counts should be zero?

# %%
audit = audit_splits(splits)
print(audit)

# %% [markdown]
# The first line names the data; if it says *simulated*, nothing below it is a statement about patients. Then comes a
# paragraph for each split: how many images of how many patients, the fraction of each class, the duplicates, and a
# score, the *AUC*, which you will work out on six files below; 0.5 is harmless. The last lines each compare two splits,
# and there every number should be zero. Between train and val it must be, so `load_chest_xray` cuts val out of the real
# train folder by patient and not by image. The small copy that `get_real_images()` fetches (MedMNIST) has a val of its
# own, and tells neither patients nor the files' sizes. Each image of it counts as a group, so that its zeros for groups
# say nothing: children may be on both sides, and a score on its val may be too good.
#
# The real data make these lines worth reading. Their train folder has about three PNEUMONIA images for each NORMAL one,
# and several images of many children. The published files contain *duplicates*, images that are equal pixel by pixel:
# 30 groups of them, mostly pairs, none across the published folders. (The audit counts the images, both of a pair; a
# copy that was compressed once more is not equal and escapes it.) Each weighs double in every average, and a careless
# split could put twins on two sides. And 170 of the 427 patient names in the published test folder also occur in train.
# Nobody has said whether equal names mean equal children, and the published test folder should stay as it is, for the
# sake of comparison. So this line is not zero. Report such a thing; do not tidy it away.
#
# The published val folder holds 16 images. One image is six percentage points there, so it can choose nothing; this
# course puts those 16 into train, where they are at hand, and cuts a larger val from it.
#
# From here on, each lesson also shows what the same cells found on real images: recorded once, and kept with the
# course. Here are the audit's counts of the real X-rays, and below them those of this page. Which lines are zero in one
# and not in the other?

# %%
on_real("02.audit", audit, splits.train, splits.val, splits.test)

# %% [markdown]
# Would the audit notice a fault? The split below starts ten images too early. (`Splits` holds the three sets.) **Before
# you run the cell:** which numbers will differ from zero, and will anything else look wrong?

# %%
first, second = train.subset(order[:200]), train.subset(order[190:250])  # 190 should be 200
faulty = Splits(train_and_val=lambda: (first, second), test=lambda: splits.test)
print(audit_splits(faulty))

# %% [markdown]
# The line about train and val gives it away: ten images are in both, and with them their patients (on real data a few
# patients more, since a split by image tears the images of one child apart). Nothing else looks wrong. There is no
# error, sizes and fractions are plausible, and yet one val image in six is an image that the network is fitted on. This
# is what leaks look like, and why one looks for them with a program.
#
# ### The baseline: what you get without looking
#
# Take a classifier that always answers with the most common class, and score it twice: by its accuracy, and by its
# *balanced* accuracy, the mean of the fraction found among the sick (the *sensitivity*) and the fraction found among
# the healthy (the *specificity*).

# %%
from course_lib.widgets import Predict

Predict("2.1")

# %%
all_counts = {
    "published train": {"NORMAL": 1341, "PNEUMONIA": 3875},
    "published test": {"NORMAL": 234, "PNEUMONIA": 390},
    "train, here": train.counts(),
}
for name, counts in all_counts.items():
    majority = max(counts, key=counts.get)
    accuracy = counts[majority] / sum(counts.values())
    found = [float(label == majority) for label in counts]  # fraction of each that is right
    balanced = sum(found) / len(found)
    print(f"{name:16} always {majority:9}  accuracy {accuracy:.3f}  balanced {balanced:.3f}")

# %% [markdown]
# The accuracy of a constant answer is the fraction of the more common class: on the published train folder it looks
# like a decent model, and between train and test it drops by more than ten points although the "model" did not change
# at all. Its balanced accuracy does not move. Whenever you read an accuracy, ask first what a constant would have. Here
# are the splits that you train and test on: look at how far the last column moves from train to test.

# %%
on_real(
    "02.counts",
    {"train": train.counts(), "validation": splits.val.counts(), "test": splits.test.counts()},
    train,
    splits.val,
    splits.test,
)

# %% [markdown]
# ### What the network must not see
#
# The files of the real data differ in size, and not at random. How much does a size give away? The AUC (the area under
# the ROC curve, which lesson 3 draws) answers: of all pairs of one sick and one healthy, it is the fraction that a
# score puts in the right order, and a tie counts half. Take six invented files, and the height of each as the score.
# **Before you run the cell:** there are nine pairs; in how many is the healthy file the taller one?

# %%
normal_heights, pneumonia_heights = [1900, 1500, 1300], [1400, 1000, 800]  # pixels
pairs = [(normal, ill) for normal in normal_heights for ill in pneumonia_heights]
taller = sum(normal > ill for normal, ill in pairs)
print(f"the healthy file is taller in {taller} of {len(pairs)} pairs")
print(f"AUC of the height alone, no pixel looked at: {taller / len(pairs):.2f}")

# %% [markdown]
# The audit asks whether the *sick* file is the larger one and would say one ninth, 0.11. Both are equally bad: what
# counts is the distance from 0.5. (A copy of the data whose files have all been brought to one size gives nothing but
# ties, and 0.500.) The line below it in the audit asks the same of width over height.
#
# In the original files of Kermany, Zhang and Goldbaum the size of the picture alone separates the classes with an AUC
# of 0.92; NORMAL files are larger. And of 1,566 originals that were looked into for this course, 85 are stored in
# color (RGB), every one of them PNEUMONIA. Neither says anything about lungs. Yet a loader that pads small files with
# black up to a common square, or that keeps color where there is some, hands the answer to the network, and the
# network takes it: a file-format detector with a fine test score.
#
# So the loader of this course squeezes every file into the same square, and makes all of them gray. That keeps borders
# and color out for good. It does not remove everything: a small file that was enlarged is softer than a large one that
# was shrunk. And it leaves a trace that is easy to miss. Films differ in shape too: those of sick children are wider
# for their height. On 20 originals, ten of each class, width over height alone has an AUC of 0.81 (95% interval 0.58 to
# 0.98). In the square every film has the same shape, so that cue should be gone. Is it? Put the same round disc on a
# narrow film and on a wide one, and squeeze both. **Before you run the cell:** what will have become of the discs?


# %%
def squeezed_disc(width, height):
    """A film with a disc of 120 pixels in its middle, squeezed into a square."""
    across, down = torch.arange(width) - width / 2, torch.arange(height)[:, None] - height / 2
    film = (across**2 + down**2 < 60**2).float()
    return F.interpolate(film[None, None], size=(200, 200), mode="area")  # (1, 1, 200, 200)


films = torch.cat([squeezed_disc(256, 200), squeezed_disc(286, 200)])
for width, disc in zip((256, 286), films[:, 0] > 0.5, strict=True):
    wide, high = disc.any(dim=0).sum(), disc.any(dim=1).sum()
    print(
        f"width over height of the film {width / 200:.2f}; height over width of its disc {high / wide:.2f}"
    )
show("squeezed-discs", plot_images(films, ["the narrow film, squeezed", "the wide film, squeezed"]))

# %% [markdown]
# The ratio has only moved, from the edge of the film into the body that it shows. A heart is no disc, but ribs, heart
# and chest together tell a network enough. This cue can't be hidden. It can be made worthless: stretch each training
# image a little, in both directions, by an amount drawn afresh each time the network sees it. Then no proportion
# belongs to one class. `Augmentation` in `course_lib.data` does that, and lesson 3 shows what it changes. Lesson 6 asks
# what a trained network really looked at.
#
# How bright a picture is on the whole depends mostly on the exposure. Take the mean of all pixels as the score, choose
# the threshold on train, and judge it on the other two splits.

# %% tags=["tol-0.05"]
from course_lib.metrics import binary_report, choose_threshold


def brightness(images):
    return images.images.float().mean(dim=(1, 2, 3)) / 255  # (N,)


threshold = choose_threshold(brightness(train), train.labels)
by_brightness = {
    name: binary_report(brightness(part), part.labels, threshold=threshold)
    for name, part in (("validation", splits.val), ("test", splits.test))
}
for name, report in by_brightness.items():
    print(f"{name}: AUC of the mean brightness {report.auc:.2f}")

# %% [markdown]
# A network has to beat this, too. On the real X-rays, look at whether the interval of each AUC holds 0.5, and whether
# the two splits agree.

# %% tags=["tol-0.05"]
on_real("02.brightness", by_brightness, splits.val, splits.test)

# %% [markdown]
# Where they do not agree, the two folders differ in how the pictures were taken. A score that rests on that would be
# no knowledge of pneumonia, whichever way it points.
#
# ## 2. Why a class, and what `nn.Module` gives
#
# A network could be a function: images in, logits out. But a network also has to *remember* numbers between calls, list
# them for the *optimizer* (the program that changes them in training), save them, move them to a GPU, know whether it
# is being trained, and be a part of a larger network. You could write all that yourself. `nn.Module` is the class that
# has written it.
#
# The smallest one worth having: subtract a level from a 3x3 picture and multiply by a gain. **Before you run the
# cell:** work out the middle pixel and the lower left one by hand.


# %%
class Exposure(nn.Module):
    def __init__(self):
        super().__init__()
        self.gain = nn.Parameter(torch.tensor(2.0))  # training will change it
        self.register_buffer("level", torch.tensor(0.5))  # remembered, but not trained

    def forward(self, picture):
        return self.gain * (picture - self.level)


film = torch.tensor([[0.5, 0.5, 0.5], [0.5, 1.0, 0.5], [0.0, 0.5, 0.5]])
exposure = Exposure()
print(exposure(film).detach())  # the numbers alone: we need no gradient of them

# %% [markdown]
# Middle: $2 \cdot (1.0 - 0.5) = 1$. Lower left: $2 \cdot (0 - 0.5) = -1$. You wrote two methods; the next cell shows
# what came with them.
#
# **Before you run the cell:** which of `gain` and `level` does `parameters()` list, and which is in the `state_dict()`,
# the dictionary of all that gets saved? At the end a *hook* is attached, a function of yours that runs each time the
# module has run, and the module is used in two ways. Will the hook notice both?

# %%
print("parameters():", [name for name, _ in exposure.named_parameters()])
print("state_dict():", {name: value.item() for name, value in exposure.state_dict().items()})
print(".to(float64):", exposure.to(torch.float64).level.dtype)
print(".to(float32):", exposure.to(torch.float32).level.dtype)
print(".eval(): training is", exposure.eval().training, "| .train():", exposure.train().training)
print("nested:", list(nn.Sequential(exposure, nn.Linear(3, 1)).state_dict()))

handle = exposure.register_forward_hook(lambda module, inputs, output: print("    the hook ran"))
print("exposure(film)")
called = exposure(film)
print("exposure.forward(film)")
bypassed = exposure.forward(film)
handle.remove()
print("same numbers:", torch.equal(called, bypassed))

# %% [markdown]
# An `nn.Parameter` is what the optimizer gets. A *buffer* is saved and moved along but not trained: batch norm keeps
# its running averages in buffers. `.to` takes a data type or a device (`model.to("cuda")`) and moves both kinds, in
# place; a tensor is not changed by its own `.to`, so there one writes `images = images.to("cuda")`. `.train()` and
# `.eval()` set a flag that some layers read. The line of the nested module is the modularity that people praise: a
# module inside a module is found without being told, its numbers listed under a dotted name. That is why a block
# written once can be used three times, as you will do shortly.
#
# And you call `model(images)`, not `model.forward(images)`. The numbers agree, so nobody notices the difference, until
# a tool that relies on hooks (the shape trace below, Grad-CAM in lesson 6) sees nothing.
#
# All this works because `nn.Module` notices what is assigned to `self`. Two ways to keep it from noticing follow, and
# both are common. **Before you run the cell:** one of them ends in an error, the other in silence. Which?


# %%
class NoSuper(nn.Module):
    def __init__(self):
        self.fc = nn.Linear(4, 2)  # super().__init__() was forgotten


class HiddenInAList(nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = [nn.Linear(4, 4), nn.Linear(4, 2)]  # a plain list


try:
    NoSuper()
except AttributeError as error:
    print("AttributeError:", error)
print("parameters found in the list:", count_parameters(HiddenInAList()))

# %% [markdown]
# `super().__init__()` creates the registers into which layers are entered; without it there is nowhere to enter them,
# and PyTorch says so. (Older code writes `super(NoSuper, self).__init__()`; Python has not needed that for many years.)
# The plain list is worse: no error, and an optimizer that is given none of the thirty numbers. `nn.ModuleList` around
# the list fixes it. Change it and run the cell again.
#
# ### When `nn.Sequential` is enough
#
# If each layer feeds the next and nothing else happens, no class is needed: `nn.Sequential` calls them in order. ReLU
# comes in two forms, the module `nn.ReLU` and the function `F.relu`. **Before you run the cell:** do they compute the
# same, and which of them can stand in an `nn.Sequential`?

# %%
torch.manual_seed(0)
chain = nn.Sequential(nn.Linear(3, 3), nn.ReLU(), nn.Linear(3, 3))
row = torch.tensor([[-1.0, 0.0, 2.0]])  # (1, 3)
one_by_one = chain[2](chain[1](chain[0](row)))
print("a chain is one call after the other:", torch.equal(chain(row), one_by_one))
print("nn.ReLU and F.relu agree:", torch.equal(nn.ReLU()(row), F.relu(row)))
try:
    nn.Sequential(nn.Linear(3, 3), F.relu)
except TypeError as error:
    print("TypeError:", error)

# %% [markdown]
# They compute the same, but in a Sequential only a module can stand, and only a module can carry a hook or appear in a
# shape trace. In a `forward` of your own the function is shorter. Keep one rule: what has parameters or a mode
# (convolution, linear, batch norm, dropout) is a module, declared in `__init__`; what has neither may be a function.
# Section 8 shows what happens to those who use `F.dropout` in the way they use `F.relu`.
#
# A chain ends where data takes two paths. `return features + self.inner(features)` adds what went in to what came out,
# a *skip connection*, the idea behind the residual networks of lesson 5. It takes a class with a `forward`, if only of
# this one line. Most networks mix the two: chains for the blocks, a class to connect them. So will yours.
#
# ## 3. The network, block by block
#
# The plan: three blocks that look for patterns, each seeing more of the picture and keeping more kinds of patterns,
# then dense layers that weigh them. A block is convolution, batch norm, ReLU and pooling, in their usual order, and it
# is written once. Batch norm is the one layer here that lesson 1 left out: it puts each channel on one scale. Section 7
# takes it apart, and dropout with it, which switches off numbers at random during training.
#
# **Before you run the cell:** a 64x64 image goes into a block with 32 output channels. The kernel is 3, the padding 1,
# the pooling 2. What shape comes out, and how many parameters are there? (9 weights and a bias for each filter; batch
# norm has a scale and an offset for each channel.)


# %%
def conv_block(in_channels, out_channels):
    """Convolution, batch norm, ReLU, and pooling that halves height and width."""
    return nn.Sequential(
        nn.Conv2d(in_channels, out_channels, kernel_size=3, padding=1),
        nn.BatchNorm2d(out_channels),
        nn.ReLU(),
        nn.MaxPool2d(kernel_size=2),
    )


block = conv_block(1, 32)
print(tuple(block(torch.zeros(1, 1, 64, 64)).shape), "with", count_parameters(block), "parameters")

# %% [markdown]
# $32 \cdot (9 + 1) + 32 \cdot 2 = 384$, and half the side in each direction. Three of them, with 32, 64 and 128
# channels: the side is halved three times, the channels grow. Why grow? Early patterns are simple (an edge, a spot) and
# there are few kinds; later ones are combinations, and there are many. And smaller maps leave room for more of them:
# twice the channels, in and out, on a quarter of the pixels take the same arithmetic, as the table in section 4 will
# show. The exact numbers 32, 64 and 128 are habit. One thing to change: make the kernel 5x5, and the padding such that
# the shape stays; predict the number of parameters first.
#
# Now the class. Read it as two halves: `__init__` declares what exists, `forward` connects it, and each line of
# `forward` carries the shape that leaves it ($S$ is the image size). Behind the blocks comes the head: `Flatten` lays
# all numbers of the last maps in one row, and three linear layers go from there to 512, 128 and 2. **Before you run the
# cell:** the first linear layer has to know how many numbers arrive. How many, for 64x64 and for 256x256 images?


# %%
class PneumoniaCNN(nn.Module):
    def __init__(self, image_size=256, *, in_channels=1, num_classes=2):
        super().__init__()
        self.conv_block1 = conv_block(in_channels, 32)
        self.conv_block2 = conv_block(32, 64)
        self.conv_block3 = conv_block(64, 128)
        side = image_size
        for _ in range(3):
            side = conv_output_size(side, 2, stride=2)  # the pooling; the convolution keeps it
        self.flatten = nn.Flatten()
        self.fc1 = nn.Linear(128 * side * side, 512)
        self.dropout1 = nn.Dropout(0.5)
        self.fc2 = nn.Linear(512, 128)
        self.dropout2 = nn.Dropout(0.5)
        self.fc3 = nn.Linear(128, num_classes)

    def forward(self, images):
        maps = self.conv_block1(images)  # (N, 32, S/2, S/2)
        maps = self.conv_block2(maps)  # (N, 64, S/4, S/4)
        maps = self.conv_block3(maps)  # (N, 128, S/8, S/8)
        features = self.flatten(maps)  # (N, 128 * S/8 * S/8)
        features = self.dropout1(F.relu(self.fc1(features)))  # (N, 512)
        features = self.dropout2(F.relu(self.fc2(features)))  # (N, 128)
        return self.fc3(features)  # (N, num_classes) logits


# %% [markdown]
# The side of 64 pixels becomes 32, 16 and 8, and 128 maps of 8x8 are 8,192 numbers; from 256 pixels it becomes 32, and
# 128 maps of 32x32 are 131,072.
#
# Three decisions in the class. It ends with logits, without softmax, since the loss of section 7 applies softmax
# itself. `in_channels` and `num_classes` are arguments, so the class would serve color images and ten classes as well.
# And after the linear layers stands `F.relu`, while the blocks, being Sequentials, hold `nn.ReLU`.
#
# ## 4. Do the shapes fit? Three ways to look
#
# A *dry run* passes an input of the right shape through the network and prints what arrives where. The content does not
# matter, so it may be zeros. It may even be nothing: tensors on PyTorch's `meta` device have a shape and a data type
# and no numbers, and a network built there takes no memory. That is welcome here, since at 256 pixels this network is
# big.
#
# **Before you run the cell:** write down the five shapes before you see them.

# %%
with torch.device("meta"):  # shapes only: no weight is stored, nothing is computed
    large = PneumoniaCNN(256)
    images = torch.zeros(1, 1, 256, 256)

shapes = {"input": images.shape[1:]}
maps = images
for name in ("conv_block1", "conv_block2", "conv_block3"):
    maps = getattr(large, name)(maps)
    shapes[name] = maps.shape[1:]
    print(f"after {name}: {tuple(maps.shape)}")
features = large.flatten(maps)
print(f"after flatten:     {tuple(features.shape)}")
print(f"output:            {tuple(large(images).shape)}")
show("volumes-of-blocks", plot_volumes(shapes))

# %% [markdown]
# Taller means more pixels, wider means more channels. The picture turns from one large sheet into many small ones. Note
# that the first block makes *eight times as many* numbers out of the input; only then do they become fewer. It does not
# compress from the start: it first describes each position in more words.
#
# A dry run by hand looks simpler. Here is one, shortened, as it can be found in tutorials.

# %%
Predict("2.2")

# %%
x = F.relu(large.fc1(features))
x = F.relu(large.fc2(x))
logits = large.fc3(x)
print("output shape (logits):", tuple(x.shape))

# %% [markdown]
# What a `print` calls a tensor proves nothing, and a copy of `forward` with prints in it has to be kept up to date by
# hand. So let the network report by itself, with a hook on each part. `report(name)` makes a hook that knows its name,
# and `named_children()` lists the parts that you assigned to `self`. **Before you run the cell:** in which order will
# the parts appear: as they are declared, or as they run? Are those different here?

# %%
seen = {}


def report(name):
    return lambda module, inputs, output: seen.update({name: tuple(output.shape)})


handles = [part.register_forward_hook(report(name)) for name, part in large.named_children()]
large(images)
for handle in handles:
    handle.remove()  # else each later call would go on reporting
for name, shape in seen.items():
    print(f"{name:12} {shape}")

# %% [markdown]
# As they run. Here that is also the order of declaration, but nothing enforces it: you may declare in any order, and a
# part that is declared and never called would simply be missing from the list. The two ReLUs of the head are missing,
# too: functions carry no hooks.
#
# The third way is the tool of lesson 1, which does just this for every layer, and counts parameters and *multiply-adds*
# (a product added to a sum, the unit of a network's work). **Before you run the cell:** which row will have the most
# parameters, and which the most multiply-adds? Are they the same?

# %%
trace = trace_shapes(large, (1, 1, 256, 256))
print(trace)

# %% [markdown]
# They are not, and section 6 looks into it. First the shapes: this is how it looks when all of them fit.
#
# ## 5. When they do not fit
#
# Now plant a bug that everybody meets sooner or later: the first dense layer of a 64-pixel network is sized for
# 128-pixel images. **Before you run the cell:** building the network and calling it are two steps. At which one does it
# fail?

# %%
broken = PneumoniaCNN(64)
broken.fc1 = nn.Linear(128 * 16 * 16, 512)  # 8 x 8 would be right
print("built without complaint")
try:
    broken(torch.zeros(2, 1, 64, 64))
except RuntimeError as error:
    print("RuntimeError:", error)

# %% [markdown]
# Only when data arrives. Read the message like this: a linear layer multiplies two matrices. `mat1` is what arrived: 2
# images, 8192 numbers each. `mat2` is the layer's weight: 32768 numbers in, 512 out. The two inner numbers must be
# equal. The one that arrived is the fact; the other one is your claim. So if the images are as they should be, the
# message contains the fix: `in_features=8192`, and $8192 = 128 \cdot 8 \cdot 8$ tells you what the maps really were.
#
# Four more inputs that a 64-pixel network for gray images should refuse. **Before you run the cell:** it refuses three.
# Which one gets through?

# %%
small = PneumoniaCNN(64).eval()
inputs = {
    "color": (2, 3, 64, 64),
    "72 pixels": (2, 1, 72, 72),
    "70 pixels": (2, 1, 70, 70),
    "no batch": (1, 64, 64),
}
for what, shape in inputs.items():
    try:
        print(f"{what}: accepted, logits {tuple(small(torch.zeros(shape)).shape)}")
    except (RuntimeError, ValueError) as error:
        print(f"{what}: {error}".replace(", but", ",\n    but"))

# %% [markdown]
# *Color*: the weight `[32, 1, 3, 3]` reads: 32 filters over 1 channel, 3x3 each. The input has 3. Either make the
# image gray or build `PneumoniaCNN(64, in_channels=3)`.
#
# *72 pixels*: `mat1` again; 10368 is $128 \cdot 9 \cdot 9$, so the images were larger than those that the network was
# built for.
#
# *70 pixels* gets through. Pooling drops an odd last row and column: 70, 35, 17, 8. The last maps are 8x8 as they
# should be, and the last six rows and columns of each picture hardly count, silently. Everything from 64 to 71 passes.
#
# *No batch*: the convolution would take a single image without the batch axis; batch norm will not. The shape of one
# image is (1, 1, 64, 64), and `image[None]` or `image.unsqueeze(0)` adds the missing dimension.
#
# A shape that fits proves little, then. The version of this class in `course_lib` checks the shape of the images first
# and says what it expected; you will meet it at the end.
#
# ## 6. Where the 67 million sit
#
# Look at the trace of section 4 again, at its last column but one and its last. **Before you run the cell:** estimate
# from it which fraction of all parameters is in `fc1`, and which fraction of all multiply-adds, each in percent.

# %%
weighty = [layer for layer in trace.layers if layer.multiply_adds]
fc1 = next(layer for layer in weighty if layer.name == "fc1")
print(f"fc1 holds {fc1.parameters:,} of {trace.parameters:,} parameters")
names = [layer.name for layer in weighty]
quantities = {
    "parameters": [layer.parameters for layer in weighty],
    "multiply-adds": [layer.multiply_adds for layer in weighty],
}
show("parameters-and-multiply-adds", plot_shares(names, quantities))

# %% [markdown]
# `fc1` owns practically all of the parameters and a tenth of the arithmetic; the second and third convolutions own next
# to no parameters and most of the arithmetic. The weights of a kernel are used again at every pixel; a weight of a
# linear layer is used once per image. *Parameters* say how much has to be stored, *multiply-adds* roughly how long it
# takes: two questions, two answers.
#
# There is some irony here. Lesson 1 refused to put a dense layer with 1,000 outputs on the 65,536 pixels of an image,
# because it would need 65 million weights. Then the convolutions handed over 131,072 numbers, twice as many as there
# were pixels, and a dense layer was put on *those*. The architecture is common in tutorials all the same. There is a
# way out, and it is a small change.
#
# ### One number per map
#
# Why does the head want all 32x32 values of a map? To know where a pattern was. If it is enough to know *how much* of
# it there was, take the mean of each map, the global average pooling of lesson 1: 128 numbers, whatever the size of the
# image. The price is easily seen on maps of 2x2. The mean of 1, 3, 0 and 4 is 2, and so is the mean of 0, 0, 8 and 0: a
# pattern spread out and a single strong spot look alike, and the spot's position is gone.
#
# Below is what it buys. **Before you run the cell:** the network keeps the three blocks and has a single linear layer.
# How many parameters does that layer have? And which of these image sizes will it accept?


# %%
class PooledCNN(nn.Module):
    def __init__(self, *, in_channels=1, num_classes=2):
        super().__init__()
        chain = conv_block(in_channels, 32), conv_block(32, 64), conv_block(64, 128)
        self.blocks = nn.Sequential(*chain)
        self.head = nn.Linear(128, num_classes)

    def forward(self, images):
        maps = self.blocks(images)  # (N, 128, H/8, W/8)
        pooled = maps.mean(dim=(2, 3))  # (N, 128)
        return self.head(pooled)  # (N, num_classes) logits


pooled = PooledCNN().eval()
print("parameters of the head:", count_parameters(pooled.head))
for height, width in ((64, 64), (70, 70), (100, 180), (256, 256)):
    print(f"{height} x {width}: logits {tuple(pooled(torch.zeros(1, 1, height, width)).shape)}")

# %% [markdown]
# It accepts all of them. "A CNN needs images of one fixed size" is true of a flatten-and-dense head, not of
# convolutions, which slide over whatever is there. (Eight pixels are the least, or nothing is left after three
# poolings. And that it *runs* on another size does not mean that it is as good there: a lung of twice as many pixels
# looks different to a 3x3 kernel.)
#
# What do the two cost in training? Weights are float32, 4 bytes each. AdamW, the optimizer of this course, keeps four
# numbers for each weight: itself, its gradient (how the loss changes with it) and two running averages. And gradients
# are computed in the *backward pass*, from the last layer to the first, out of results of the *forward pass*, the
# *activations*, which have to be kept for every image of the batch. That can be measured: autograd, the part of PyTorch
# that computes gradients, reports each tensor that it keeps.
#
# **Before you run the cells:** the pooled network has some seven hundred times fewer parameters. Guess how many times
# less arithmetic it does for an image of 256 pixels, and how many times less memory its activations take.


# %%
def kept_megabytes(model, images):
    """Megabytes (10^6 bytes) that autograd keeps for the backward pass, the parameters not counted."""
    own, kept = {parameter.data_ptr() for parameter in model.parameters()}, {}

    def note(tensor):
        address = tensor.data_ptr()  # in memory, so that nothing is counted twice
        if address not in own:
            kept[address] = tensor.nbytes
        return tensor.detach()  # the same memory, without its history

    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        model(images)
    return sum(kept.values()) / 1e6


# %%
print("256 pixels     parameters   weights   weights x 4   activations   multiply-adds")
print("                                 MB            MB  MB, batch 32   million/image")
for model in (PneumoniaCNN(256), PooledCNN()):
    traced = trace_shapes(model, (1, 1, 256, 256))
    weights = 4 * traced.parameters / 1e6
    activations = 32 * kept_megabytes(model.train(), torch.zeros(1, 1, 256, 256))
    print(
        f"{type(model).__name__:13}{traced.parameters:12,}{weights:10.1f}{4 * weights:14.1f}"
        f"{activations:14.0f}{traced.multiply_adds / 1e6:16.1f}"
    )

# %% [markdown]
# Parameters fall from 67 million to 93 thousand, and the memory for weights, gradients and averages from a gigabyte to
# almost nothing. Arithmetic falls by a tenth and activations hardly at all, since both live in the convolutions, which
# stayed. If you run out of memory while training the pooled network, a smaller head will not help; smaller images or a
# smaller batch will.
#
# Is the small one better? Training has to decide that. But one limit is known beforehand. **Before you run the cell:**
# three blocks, each a 3x3 convolution and a pooling by 2. Work out the receptive field of a value in the last maps.

# %%
field = receptive_field(*pooled.blocks)
print(f"each value of the last maps sees {field.size} x {field.size} pixels of the image")

# %% [markdown]
# The first block sees $1 + 2 + 1 = 4$ pixels; behind it one step is 2 pixels, so the second adds $4 + 2$, and the
# third, with steps of 4, adds $8 + 4$.
#
# Of a 64-pixel image that is a third of the side, a good part of a lung. Of a 256-pixel image it is less than a tenth
# of the side, and the mean over such patches can judge texture and hardly shape. The dense head was the only part of
# PneumoniaCNN that could see the whole picture. So a network that pools globally wants more blocks, not fewer: the
# course's `CompactCNN` in `course_lib.models`, which lesson 3 trains, has five.
#
# ## 7. The first weights
#
# Before training, the weights are random numbers, and how they are drawn is called the *initialization*. How large
# should they be? Follow random images through ten convolutions with ReLU, and measure the size of the signal after
# each: the root of its mean square. All that differs is the standard deviation of the weights: too small; too large; as
# Kaiming He and colleagues proposed in 2015 ($\sqrt{2 / n}$, where $n$, the *fan-in*, is how many products each output
# sums: here $64 \cdot 9$), and what `nn.Conv2d` does if you say nothing.
#
# The reasoning is short. A sum of $n$ products with independent weights of mean zero and variance $v$ has, in mean
# square, $n v$ times the mean square of the inputs; it is negative as often as positive, so ReLU takes half of that
# away. Each layer multiplies the mean square by $n v / 2$, and ten layers by its tenth power. It stays put when $v = 2
# / n$. **Before you run the cells:** with a standard deviation of 0.02, $v$ is 0.0004. Is $n v / 2$ above or below 1,
# and roughly what is left of the signal after ten layers?


# %%
def sizes_through_layers(initialize, *, batch_norm=False):
    torch.manual_seed(0)
    maps, sizes = torch.randn(8, 64, 16, 16), []
    for _ in range(10):
        conv = nn.Conv2d(64, 64, kernel_size=3, padding=1)
        initialize(conv)
        norm = nn.BatchNorm2d(64) if batch_norm else nn.Identity()  # Identity: does nothing
        with torch.no_grad():
            maps = F.relu(norm(conv(maps)))
        sizes.append(maps.square().mean().sqrt().item())
    return sizes


def normal_weights(std):
    def initialize(conv):
        nn.init.normal_(conv.weight, std=std)
        nn.init.zeros_(conv.bias)

    return initialize


# %%
kaiming = math.sqrt(2 / (64 * 9))
ways = {
    "std 0.02": normal_weights(0.02),
    "std 0.2": normal_weights(0.2),
    f"Kaiming, std {kaiming:.3f}": normal_weights(kaiming),
    "torch's default": lambda conv: None,
}
sizes = {name: sizes_through_layers(initialize) for name, initialize in ways.items()}
for name, values in sizes.items():
    print(f"{name:20} layers 1, 5, 10: {values[0]:9.2g} {values[4]:9.2g} {values[9]:9.2g}")
layers = range(1, 11)
curves = {name: (layers, [math.log10(value) for value in sizes[name]]) for name in sizes}
figure = plot_curves(curves, xlabel="layer", ylabel="signal size, power of ten")
show("signal-through-ten-layers", figure)

# %% [markdown]
# With 0.02, $n v / 2 = 0.115$; ten layers leave $0.115^{10} = 4 \cdot 10^{-10}$ of the mean square and its root, $2
# \cdot 10^{-5}$, of the size. (The cell finds a little less: at the border, kernels sum padded zeros.) The gradient,
# which comes back through the same weights, shrinks in the same way, and the first layers would hardly learn. Too
# large, and the signal explodes. Kaiming's stays near one. (`nn.init.kaiming_normal_(conv.weight, nonlinearity="relu")`
# draws it for you.) One thing to change: replace 0.2 by 0.1, and predict with $n v / 2$ how high the curve ends.
#
# And the default? `nn.Conv2d` draws its weights uniformly with a variance of $1 / (3 n)$, six times less than
# Kaiming's, for historical reasons. The signal does shrink, down to the level of the random biases. Yet PneumoniaCNN
# trains as it is, as section 10 will show. **Before you run the cell:** what in its blocks repairs this?

# %%
repaired = sizes_through_layers(lambda conv: None, batch_norm=True)
print("default weights and batch norm, layers 1, 5, 10:", end=" ")
print(f"{repaired[0]:.2f} {repaired[4]:.2f} {repaired[9]:.2f}")

# %% [markdown]
# Batch norm makes the mean square 1 after each convolution, whatever the weights are, and ReLU leaves half: $\sqrt{1 /
# 2} = 0.71$. That is much of its use. Deep networks without it need care with their first weights.
#
# One number tells whether a fresh classifier starts sanely. The usual loss for classes is the *cross-entropy*: $-\ln p$
# of the probability $p$ that softmax gives to the true class, averaged over the images. `F.cross_entropy` takes
# *logits*, and applies softmax itself. A network that knows nothing should give each of two classes about one half, a
# loss of $-\ln 0.5 = \ln 2 = 0.693$ nats (the unit that natural logarithms give); with ten classes, $\ln 10 = 2.3$.
# **Before you run the cell:** what happens to that number if the last layer's weights are a hundred times too large?

# %% tags=["tol-0.02"]
torch.manual_seed(0)
model = PneumoniaCNN(64).eval()
classes = [(train.labels == label).nonzero().flatten() for label in (0, 1)]
some = train.subset(torch.cat([members[:16] for members in classes]))  # 16 of each class
images, labels = some.images.float() / 255, some.labels  # (32, 1, 64, 64) in 0..1, and (32,)
with torch.no_grad():
    by_hand = -model(images).softmax(dim=1)[range(32), labels].log().mean().item()
    fresh = F.cross_entropy(model(images), labels).item()
    model.fc3.weight *= 100
    loud = F.cross_entropy(model(images), labels).item()
    model.fc3.weight /= 100
assert abs(fresh - math.log(2)) < 0.05, "a fresh two-class network should start near ln 2"
assert loud > fresh + 0.05, "bets without knowledge cost something"
print(f"ln 2 = {math.log(2):.3f}; loss of the fresh network {fresh:.3f}, by hand {by_hand:.3f}")
print(f"with a loud last layer {loud:.2f}")

# %% [markdown]
# A fresh network starts within a whisker of ln 2. A loud one bets heavily before it has learned anything, pays for it,
# and spends its first steps unlearning that. So look at the very first loss of every training run: it costs nothing,
# and if it is far from the logarithm of the number of classes, find out why before you go on.
#
# ### Batch normalization, by hand
#
# Batch norm puts each channel on one scale: subtract the mean, divide by the standard deviation, the root of the
# variance. Both are taken over all images of the batch, all rows and all columns, for each channel by itself. Then a
# learned scale and a learned offset give the channel whatever spread and mean serve it.
#
# In use there may be one image only, and its result must not depend on what else is in the batch. So in training the
# layer also keeps *running* statistics, and after `eval()` it uses those. They start at mean 0 and variance 1, and each
# batch moves them toward its own by a fraction called `momentum`, 0.1.
#
# Take a batch of two images of two pixels, 1 and 3, 5 and 7. What are mean and variance, and what becomes of the 7?

# %%
values = torch.tensor([1.0, 3, 5, 7]).reshape(2, 1, 1, 2)  # (N, C, H, W)
mean, var = values.mean(), values.var(correction=0)  # squares over 4: the biased variance
unbiased = values.var(correction=1)  # squares over 4 - 1
norm = nn.BatchNorm2d(1)  # with a scale of 1 and an offset of 0, until training moves them
statistics = {"train": (mean, var), "eval": (0.9 * 0 + 0.1 * mean, 0.9 * 1 + 0.1 * unbiased)}
for mode, (center, spread) in statistics.items():
    norm.train(mode == "train")
    result = norm(values)  # in training mode this also updates the running statistics
    by_hand = (values - center) / (spread + norm.eps).sqrt()
    print(f"{mode:5}", ", ".join(f"{value:.2f}" for value in result.flatten().tolist()), end="")
    print("  the same by hand:", torch.allclose(result, by_hand, atol=1e-6))

# %% [markdown]
# In training mode the four numbers come out around 0. In evaluation mode they don't, since the layer has moved only a
# tenth of the way from 0 to the mean of 4: a network judged after its first few batches uses statistics that are
# plainly wrong. Two details trip up many who write this layer themselves. Training divides by the biased variance but
# remembers the unbiased one. And PyTorch's momentum is the weight of the *new* value; in Keras it is that of the old.
#
# In evaluation mode the layer is a fixed line, $ax + b$ for each channel. So it does *not* even out X-ray machines of
# different exposure: a brighter image stays a brighter one.

# %%
norm.eval()
brighter = norm(images[:1] + 0.2) - norm(images[:1])
print(f"0.2 brighter going in, {brighter.min():.2f} to {brighter.max():.2f} coming out")

# %% [markdown]
# ### Dropout, by hand
#
# Dropout sets numbers to 0 at random during training, each with probability $p$, so that no later unit can lean on one
# single finding. What remains is multiplied by $1 / (1 - p)$. Four units and $p = 0.5$: are always two of them off?

# %% tags=["tol-0.02"]
torch.manual_seed(0)
draws = nn.Dropout(p=0.5)(torch.ones(100_000, 4))
print(f"values that occur: {draws.unique().tolist()}, mean {draws.mean():.2f}")
for off in range(5):
    fraction = ((draws == 0).sum(dim=1) == off).double().mean()
    print(f"{off} of 4 units off in a fraction of {fraction:.2f} of the draws")

# %% [markdown]
# Each unit is drawn by itself, so exactly two of four are off in three draws out of eight, and now and then all are.
# Survivors are doubled, so the expected value is 1 in training and in use, and `eval()` has nothing to correct.
#
# In an image, a lost pixel can be guessed from its neighbors. So plain dropout stands between dense layers, and
# `F.dropout2d` drops whole channels instead. Below, four copies of an X-ray stand in for four channels.

# %%
channels = images[:1].expand(1, 4, -1, -1)
torch.manual_seed(0)
dropped = torch.cat([F.dropout(channels, 0.5)[0], F.dropout2d(channels, 0.5)[0]])[:, None]
names = [f"{name}, channel {i}" for name in ("dropout", "dropout2d") for i in range(4)]
show("dropout-masks", plot_images(dropped / 2, names, columns=4))  # as bright as before

# %% [markdown]
# In the upper row every neighborhood keeps about half of its pixels, and what is lost can be filled in. A channel that
# is gone as a whole can't be guessed from itself.
#
# Pooling and dropout side by side: move the image one pixel to the right (drag it, or use the arrow keys), then two,
# with maxima and with means. In which of the four cases do the pooled numbers stay, and in which do they move along?
# Then draw anew.

# %%
from course_lib.widgets import pooling_explorer

pooling_explorer()

# %% [markdown]
# <details><summary>Answer</summary>
#
# One pixel to the right, the maxima of this image don't change at all, and the means do. (One pixel to the left, the
# maxima change too: it depends on where the window starts.) Two pixels are the window's own size, and both move along
# by one position. And with each new draw, dropout takes other numbers.
# </details>
#
# ## 8. Two modes, and one thing that is not a mode
#
# A network is in training mode when it is built. In it, dropout drops and batch norm uses the statistics of the batch
# at hand. **Before you run the cell:** an image goes into the network twice. Same logits, in training mode and in
# evaluation mode? Then it goes through the first block, which has no dropout, alone and as one of eight. Does its
# result depend on the seven others?

# %%
torch.manual_seed(0)
block = model.conv_block1
for mode in (True, False):
    model.train(mode)
    with torch.no_grad():
        same = torch.equal(model(images[:1]), model(images[:1]))
        alone, together = block(images[:1])[0], block(images[:8])[0]
    changed = not torch.allclose(alone, together, atol=1e-5)
    print(f"training={mode!s:5}  same logits twice: {same!s:5}  depends on the others: {changed}")

# %% [markdown]
# In training mode dropout draws new random numbers at each call, and batch norm standardizes with the mean and spread
# of all the patients in the batch. A patient's result must not depend on who else was X-rayed that morning, so:
# evaluation mode, always, outside training. Batch norm then uses its running averages, and the answer is as good as
# they are. While the weights move, the averages lag behind; lesson 3 shows what that can do to a validation loss.
#
# `torch.no_grad()` stood in that cell, and it is often taken for the same thing. It is not. **Before you run the
# cell:** fill in the four lines. Which of the two switches decides whether gradients can be computed, and which decides
# what dropout and batch norm do?

# %%
torch.manual_seed(0)
for training in (True, False):
    for record in (True, False):
        model.train(training)
        before = model.conv_block1[1].running_mean.clone()
        with torch.set_grad_enabled(record):  # False is what no_grad() does
            logits = model(images[:2])
        moved = not torch.equal(before, model.conv_block1[1].running_mean)
        print(f"training={training!s:5} grad={record!s:5}", end="  ")
        print(f"running averages moved: {moved!s:5}  gradient possible: {logits.requires_grad}")

# %% [markdown]
# Two independent switches. The mode decides what the layers *compute*; `no_grad` decides whether PyTorch *records* it
# for gradients. To go without the record saves memory and time and changes no number. Look at the second line: with
# `no_grad` alone, in training mode, batch norm's averages moved. If you evaluate like that, the validation images leak
# into the network. For an answer you want both: `model.eval()` and `torch.no_grad()` (or `torch.inference_mode()`, the
# stricter form, whose results cannot be used for gradients later).
#
# A trap from section 2 is due. `F.dropout` is a function; it belongs to no module and has no mode to read. **Before you
# run the cell:** what does the second line print?


# %%
class AlwaysDropping(nn.Module):
    def forward(self, features):
        return F.dropout(features, 0.5)  # with training=self.training it would obey


torch.manual_seed(0)
ones = torch.ones(64)
obedient, deaf = nn.Dropout(0.5).eval(), AlwaysDropping().eval()
print("nn.Dropout in evaluation mode makes of ones:", obedient(ones).unique().tolist())
print("F.dropout  in evaluation mode makes of ones:", deaf(ones).unique().tolist())

# %% [markdown]
# It goes on dropping: some ones become zero, the others are doubled to make up for them. `F.dropout` drops unless it is
# told not to; `F.batch_norm` has the same argument with the opposite default. What has a mode should be a module.
#
# ## 9. From logits to a probability to an answer
#
# The two numbers that leave `fc3` are *logits*: any size, either sign, no fixed sum. Softmax makes probabilities of
# them: $e^{z_1} / (e^{z_0} + e^{z_1})$. By hand, for logits 1.0 (NORMAL) and 2.0 (PNEUMONIA): $e^2 / (e^1 + e^2)$ is
# $7.389 / (2.718 + 7.389) = 0.731$. Divide above and below by $e^{z_1}$, and it is $1 / (1 + e^{-(z_1 - z_0)})$, the
# *sigmoid* of the difference.
#
# **Before you run the cell:** what changes if 100 is added to both logits? If both are doubled? And if PNEUMONIA is to
# be predicted from a probability of 0.3 on, can the 0.3 be compared with the logit instead?

# %% tags=["tol-0.02"]
for pair in ([1.0, 2.0], [101.0, 102.0], [2.0, 4.0]):
    logits = torch.tensor(pair)
    prob, sigmoid = logits.softmax(dim=0)[1], (logits[1] - logits[0]).sigmoid()
    print(f"logits {pair}: PNEUMONIA {prob:.3f}, sigmoid of the difference {sigmoid:.3f}")

torch.manual_seed(0)
logits = 5 * torch.randn(1000, 2)  # a thousand invented answers, (1000, 2)
probs = logits.softmax(dim=1)  # along the classes: each row sums to 1
called = probs[:, 1] >= 0.3
print("same predictions from a logit of 0.3:", torch.equal(logits[:, 1] >= 0.3, called))
cut, gaps = math.log(0.3 / 0.7), logits[:, 1] - logits[:, 0]
print(f"same predictions from a difference of {cut:.2f}:", torch.equal(gaps >= cut, called))
best = logits.argmax(dim=1)
print("argmax the same before and after softmax:", torch.equal(best, probs.argmax(dim=1)))
print("argmax with dim=1:", tuple(best.shape), "and without:", tuple(logits.argmax().shape))
with torch.no_grad():
    untrained = model.eval()(images[:4]).softmax(dim=1)[:, 1]
print("the untrained network on four radiographs:", [round(prob, 2) for prob in untrained.tolist()])

# %% [markdown]
# Only the *difference* of the logits counts. Doubling it makes the network surer without any new evidence, so a
# probability that comes out of a softmax is the network's opinion; whether it deserves belief (whether it is
# *calibrated*) is a question for trained networks and later lessons.
#
# Softmax keeps the order, so the argmax needs none. Two things are bugs: leaving out `dim=1`, which gives one number
# for the whole batch, and comparing a logit with a threshold that was meant for a probability. In screening, PNEUMONIA
# may be predicted from 0.3 on, to miss fewer patients; that threshold belongs to the probability, or, turned back by
# $\ln(0.3 / 0.7) = -0.85$, to the difference of the logits.
#
# And put the last line in its place: the untrained network says about one half for everyone. That is not a suspicion.
# It is the absence of knowledge, in the form of a probability.
#
# ## 10. The first test: overfit one batch
#
# Before you spend hours on training, spend seconds on this. Give the network 16 images, again and again. It has
# millions of weights; if its wiring is right, it must be able to learn them by heart, which is called *overfitting*,
# and the loss must go to nearly zero. If it cannot, more data will not help.
#
# Dropout is noise, meant to make memorizing hard, so its layers are put into evaluation mode and the rest into training
# mode. The loop has five steps that lesson 3 takes apart: clear the old gradients, predict, measure, compute gradients,
# step. `lr`, the learning rate, says how far a step goes. `.to(profile.device)` sends the network and the images to the
# same device; they must meet there. **Before you run the cells:** where does the loss start (section 7), and will
# twenty steps be enough to bring it below 0.05?


# %%
def overfit_one_batch(model, optimizer, *, images, labels, steps=20):
    model.train()
    for module in model.modules():
        if isinstance(module, nn.Dropout):
            module.eval()
    losses = []
    for _ in range(steps):
        optimizer.zero_grad()
        logits = model(images)
        loss = F.cross_entropy(logits, labels)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


# %% tags=["tol-0.02"]
def fresh_network():
    torch.manual_seed(0)  # the same first weights each time
    return PneumoniaCNN(64).to(profile.device)


def adam(network):
    return torch.optim.AdamW(network.parameters(), lr=2e-4)


sixteen = train.subset(torch.cat([members[:8] for members in classes]))  # 8 of each class
batch = {
    "images": (sixteen.images.float() / 255).to(profile.device),
    "labels": sixteen.labels.to(profile.device),
}
network = fresh_network()
sound = overfit_one_batch(network, adam(network), **batch)
assert sound[-1] < 0.05, "a network that is wired correctly memorizes 16 images"
print(f"first loss {sound[0]:.2f}, last loss {sound[-1]:.2f}")

# %% [markdown]
# It passes. A test is worth as much as what it catches, so here are three faults, each a single slip. The network ends
# with a softmax, and `F.cross_entropy` applies its own to the result. The optimizer holds the weights of another
# network, as happens when you build yours again after making the optimizer. And `zero_grad` is missing, so the
# gradients of all steps pile up.
#
# **Before you run the cells:** predict for each of them what the curve will do. Two have an exact answer. A softmax
# offers 0 and 1 at best; what is the cross-entropy of the "logits" 0 and 1?


# %%
doubled = nn.Sequential(fresh_network(), nn.Softmax(dim=1))
orphan, other = fresh_network(), fresh_network()
piling = fresh_network()
forgetful = adam(piling)
forgetful.zero_grad = lambda: None  # as if the line were missing
runs = {
    "sound": sound,
    "softmax twice": overfit_one_batch(doubled, adam(doubled), **batch),
    "another's optimizer": overfit_one_batch(orphan, adam(other), **batch),
    "zero_grad forgotten": overfit_one_batch(piling, forgetful, **batch),
}

# %% tags=["tol-0.02"]
for name, losses in runs.items():
    passes = sum(losses[-5:]) / 5 < 0.05
    print(f"{name:20} {'passes' if passes else 'FAILS'}")
    assert passes == (name == "sound"), f"{name} should have given the other result"
floor = math.log(1 + math.exp(-1))  # cross-entropy of the "logits" 0 and 1
doubled_end, orphan_end = runs["softmax twice"][-1], runs["another's optimizer"][-1]
assert abs(doubled_end - floor) < 0.02, "a second softmax keeps the loss above its floor"
assert abs(orphan_end - sound[0]) < 0.02, "weights that no optimizer holds do not move"
assert max(runs["zero_grad forgotten"][5:]) > 0.2, "a pile of gradients should overshoot"
print(f"softmax twice ends at {doubled_end:.2f}; its floor is {floor:.2f}")
print(f"another's optimizer ends at {orphan_end:.2f}, where it began")
steps = range(1, 21)
curves = {name: (steps, [min(loss, 1.5) for loss in runs[name]]) for name in runs}
show("four-runs-on-one-batch", plot_curves(curves, xlabel="step", ylabel="loss (nats), cut at 1.5"))

# %% [markdown]
# Each fault fails, and each in its own handwriting. Softmax twice settles at $-\ln(e / (e + 1)) = 0.31$: a loss that
# gets stuck at this number has a softmax too many. With another network's optimizer nothing moves at all, since the
# steps are taken elsewhere. Without `zero_grad`, every step follows the sum of all gradients so far, and the loss
# lurches. That fault is the treacherous one: on an easy batch such a run may happen to stand near zero at the end, so
# look at the whole curve and not at its last point.
#
# So a failure tells you a lot. What does a pass tell? Give the 16 images labels by the toss of a coin, the same at
# every step, so that there is nothing to be learned about lungs. **Before you run the cell:** passes or fails?

# %% tags=["tol-0.02"]
coin = torch.tensor([0, 1, 1, 0, 1, 0, 0, 1, 1, 1, 0, 0, 0, 1, 0, 1], device=profile.device)
network = fresh_network()
memorized = overfit_one_batch(network, adam(network), images=batch["images"], labels=coin)
assert memorized[-1] < 0.05, "sixteen arbitrary labels can be memorized, too"
print(f"tosses that agree with the diagnosis: {int((coin == batch['labels']).sum())} of 16")
print(f"last loss {memorized[-1]:.2f}")

# %% [markdown]
# It memorizes the coin as readily as the diagnoses. So passing this test shows the *wiring*: loss, gradients and
# optimizer are connected, and the network has room. It would not notice labels that belong to other images, and it
# shows nothing about *learning*, which means being right on images that the network has never seen. That takes many
# images, a validation set and patience: lesson 3.
#
# One thing to change: put `lr=1e-6` into `adam`. Nothing is wired wrongly then; does the test fail? When it does, try
# two or three learning rates before you search for a bug.
#
# ## Summary
#
# Pneumonia is white where lung should be dark, among much that is white by right. The real images are of young children
# from one hospital. Before any modeling you counted classes, patients, duplicates and leaks, worked out the score of a
# constant answer, and saw why the size and the color of a file must stay out of sight.
#
# `nn.Module` remembers, lists, saves, moves and nests what you assign to `self`, once `super().__init__()` has run;
# `__init__` declares, `forward` connects, and you call the model, not `forward`. A dry run, hooks and `trace_shapes`
# show shapes; `mat1` in an error is what arrived. In PneumoniaCNN nearly all parameters sit in `fc1` and most of the
# arithmetic in the convolutions. The mean over each map removes the former, frees the network from a fixed image size,
# and limits what it can see to its receptive field.
#
# Weights of variance 2 over fan-in keep a signal alive, batch norm forgives those that do not, and a fresh classifier
# of two classes starts near ln 2. The mode decides what layers compute, `no_grad` what is recorded. Argmax needs no
# softmax; a threshold on a probability does. And a network that memorizes one batch is wired, which is the least that
# it must be.
#
# None of this is for diagnosis.
#
# ## Quiz
#
# Click an answer, or reach it with Tab and press the space bar, and read why. First tries count, and your score is
# kept when you reload the page.

# %%
from course_lib.widgets import Quiz

Quiz(2)

# %% [markdown]
# ## Exercises
#
# [Exercises 2](exercises/02_building_pneumonia_cnn.ipynb) sets six tasks, from one line to a real piece of work. Each
# asks for a function, a cell below it checks yours at once, and hints come in steps.
#
# And a question that only your own images answer: run the audit of the last task on a folder of them, and write four
# sentences on what you would have to fix before training.

# %% [markdown]
# ## What you may now import
#
# `PneumoniaCNN` is in `course_lib.models` from now on, with the names and the signature that you wrote. It differs in
# one respect: it checks the images before it begins. **Before you run the cell:** which must agree for one network's
# weights to fit into the other: the names, the shapes, or the order? And will 70 pixels slip through again?

# %%
from course_lib import models

torch.manual_seed(0)
by_hand = PneumoniaCNN(64).eval()
torch.manual_seed(0)
imported = models.PneumoniaCNN(64).eval()
probe = torch.rand(4, 1, 64, 64)
with torch.no_grad():
    print("same seed, same logits:", torch.equal(by_hand(probe), imported(probe)))
    imported.load_state_dict(models.PneumoniaCNN(64).state_dict())
    print("other weights, same logits:", torch.equal(by_hand(probe), imported(probe)))
    imported.load_state_dict(dict(reversed(by_hand.state_dict().items())))
    print("my weights, in reverse, same logits:", torch.equal(by_hand(probe), imported(probe)))
try:
    imported(torch.zeros(2, 1, 70, 70))
except ValueError as error:
    print("ValueError:", str(error).replace("; ", ";\n    "))

# %% [markdown]
# Names and shapes must agree: a state dict is a dictionary, and its order plays no part.
#
# Also yours from now on: `load_chest_xray`, `simulate_radiographs` and `audit_splits` from `course_lib.data`, and
# `trace_shapes` for every network that you meet.
#
# Next, [lesson 3](03_training_on_gpu.ipynb): the loop that makes a wired network learn, on the device that you have.
