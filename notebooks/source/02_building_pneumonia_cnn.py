# %% [markdown]
# # 2. Building PneumoniaCNN
#
# You compete with a network on twelve X-rays, and find out how much a dataset gives away before anybody looks at a
# lung. Then you build PneumoniaCNN, find its 67 million parameters and a way around them, and measure what the first
# weights, batch norm and dropout do. Each part of a network is said to be there for a reason. Here you take parts away,
# and see what breaks and what doesn't.
#
# After this lesson you can
#
# - audit a medical dataset, and state the baseline before any accuracy,
# - write a network as an `nn.Module`, and say what it registers,
# - verify shapes, and read a "mat1 and mat2" error,
# - say where a network's parameters, arithmetic and memory are, and turn logits into a decision,
# - explain initialization, batch norm and dropout from measurements,
# - recognize a wiring fault by its loss curve.
#
# | part | time | you will have |
# | --- | --- | --- |
# | [A. Look before you model](#part-a) | 30 min, core | your own score, an audit, a baseline |
# | [B. The network as a class](#part-b) | 24 min, core | PneumoniaCNN, its shapes verified |
# | [C. The head: from maps to an answer](#part-c) | 20 min, core | the 67 million, and a twin without them |
# | [D. First weights, batch norm, dropout](#part-d) | 28 min, core | a table of what learns and what doesn't |
# | [E. Two modes, and the first test](#part-e) | 20 min, core | a network that passes, three that fail |
#
# You need [lesson 1](01_cnn_anatomy.ipynb) and [Python classes](https://docs.python.org/3/tutorial/classes.html).
# Computing takes 35 s on two cores (30 s with real images).

# %% tags=["setup"]
from course_lib.lessons import get_real_images, start_lesson

profile = start_lesson(2)

# %% [markdown]
# <a id="part-a"></a>
#
# ## Part A. Look before you model (30 min, core)
#
# - Say what is white in a healthy chest X-ray.
# - Find a data leak.
# - State the baseline that any model has to beat.
#
# ### Twelve patients
#
# Here are twelve simulated patients. Six have pneumonia, and all you have to go on is a hint from lesson 1: a broad
# bright cloud where a lung should be dark. Write down an N (NORMAL) or a P (PNEUMONIA) for each. Your opponent is the
# network that opened lesson 1; it has never seen them either.

# %%
import torch

from course_lib.data import simulate_radiographs
from course_lib.models import load_trained
from course_lib.plots import plot_images, show

network = load_trained("opening")  # trained on 1,200 simulated X-rays
twelve = simulate_radiographs(12, image_size=64, seed=50)
numbers = [str(number) for number in range(1, 13)]
show("twelve-without-labels", plot_images(twelve.images, numbers))

# %% [markdown]
# Commit to your twelve letters here. The cell after that has the labels, and what the network says.

# %%
from course_lib.widgets import Predict

Predict("2.1")

# %%
with torch.no_grad():
    probs = network(twelve.images.float() / 255).softmax(dim=1)[:, 1]
hits = int(((probs >= 0.5) == twelve.labels).sum())
print("labels: ", "".join("NP"[label] for label in twelve.labels))
print("network:", "".join("NP"[int(prob >= 0.5)] for prob in probs), f"({hits} of 12)")

# %% [markdown]
# <details><summary>What happened, and why</summary>
#
# Count your hits: that's a human baseline, on twelve images and without any training. The network has seen 1,200
# patients and makes two errors here. It sees pneumonia in patient 7, a *false alarm*, and misses it in patient 12.
# </details>
#
# How much is a score on twelve images worth? A coin gets six on average, and often more.

# %%
from math import comb

from course_lib.metrics import wilson_interval

for least in (8, 9, 10):
    chance = sum(comb(12, k) for k in range(least, 13)) / 2**12
    print(f"a coin gets {least} or more of 12 in {chance:.0%} of all tries")
low, high = wilson_interval(hits, 12)
print(
    f"the network's rate, with a 95% confidence interval: {hits / 12:.2f} [{low:.2f}, {high:.2f}]"
)

# %% [markdown]
# The brackets hold the rates that fit what we saw. Twelve images can't tell a mediocre network from an excellent one.
# Keep that in mind whenever somebody shows you a score on a small number of images.
#
# ### What pneumonia looks like
#
# An X-ray image is a shadow, shown as a negative: black where the beam came through, white where tissue stopped it. Air
# stops almost nothing, so a healthy lung is dark. In pneumonia, air sacs fill with fluid and cells, which stop X-rays
# about as well as muscle does. Here are four patients, three times each: healthy, sick, and sick with the pneumonia
# outlined. They are simulated, which is why we can have the same patient in health and in disease. What is white even
# in a healthy chest?

# %%
how = {"image_size": 128, "seed": 40, "difficulty": 0.2}
healthy = simulate_radiographs(4, prevalence=0, **how)  # nobody is sick
sick = simulate_radiographs(4, prevalence=1, **how)  # the same patients, all of them sick
pictures = torch.cat([healthy.images, sick.images, sick.images])  # (12, 1, 128, 128)
outlines = torch.cat([healthy.masks, torch.zeros_like(sick.masks), sick.masks])
captions = ["healthy"] * 4 + ["pneumonia"] * 4 + ["pneumonia, outlined"] * 4
show("four-patients-three-times", plot_images(pictures, captions, columns=4, masks=outlines))

# %% [markdown]
# The heart and the great vessels are white, and so are the spine, the ribs, the collarbones and the abdomen under the
# diaphragm. You face the patient, so the heart is on your right. White alone isn't a sign of pneumonia. The sign is a
# soft-edged white cloud, an *opacity*, **where the lung should be dark**: a pattern and its surroundings, which is what
# layers of convolutions are made for. Now look at the twelve again:

# %%
answers = [f"{n} {twelve.classes[label]}" for n, label in zip(numbers, twelve.labels, strict=True)]
show("twelve-with-labels", plot_images(twelve.images, answers, masks=twelve.masks))

# %% [markdown]
# They are harder than the four above, on purpose: fainter clouds, and stronger vessels that can pass for clouds. Real
# X-rays come without outlines. Their label says that there is pneumonia, not where. And outside a simulation the sign
# isn't the disease: a collapsed piece of lung can look the same, and an early pneumonia may not show at all.
#
# ### Who is in the images
#
# Now the images to train on, shrunk to 64x64 pixels so that a laptop can keep up. On this page they are simulated. On
# Colab and Kaggle the set-up cell fetches real ones by itself; elsewhere `get_real_images()` does (21 MB).

# %%
from course_lib.data import Splits, audit_splits, load_chest_xray
from course_lib.real_results import on_real

splits = load_chest_xray(profile.source, image_size=64)
train = splits.train
print(f"{train.name}: {tuple(train.images.shape)} {train.images.dtype}, classes {train.classes}")

# %% [markdown]
# Label 0 is NORMAL and 1 is PNEUMONIA. *Positive* means sick, as in a clinic, and has nothing to do with good. What's
# known about the real ones ([Kermany and others 2018](https://doi.org/10.1016/j.cell.2018.02.010)):
#
# - They show **children aged one to five, from one hospital in Guangzhou**. A child's chest isn't a small adult's.
# - Two expert physicians graded each X-ray. The images for evaluation were checked by a third expert, so the test
#   labels were made with more care than the labels you train on.
# - One hospital means a few machines and one habit of taking pictures.
#   [Zech and others (2018)](https://doi.org/10.1371/journal.pmed.1002683) found that networks for pneumonia
#   often did worse on X-rays from hospitals they hadn't seen.
# - The simulated bodies are even further from a clinic. A score on them says something about the network and nothing
#   about medicine.
#
# ### Who may look when
#
# The weights of a network are fitted on the *training set*. Choices are made on the *validation set*. The *test set* is
# for the final score; no choice may depend on it.

# %%
from course_lib.schematics import schematic

schematic("who-may-look-when")

# %% [markdown]
# None of that helps if the same picture, or the same child, is in two sets: memory would pass for skill. This is a
# *data leak*, and `audit_splits` looks for it. In its report, a *group* is a patient, and a *duplicate* is an image
# that has exactly the pixels of another. Skip the lines with AUC for now; they are explained below. Which of the counts
# should be zero?

# %%
audit = audit_splits(splits)
print(audit)

# %% [markdown]
# Every number in the last three lines should be zero: no patient in two sets, and no picture either. Here that's easy,
# since each simulated patient has one image. On real images, `load_chest_xray` keeps train and validation apart by
# splitting by patient and not by image. Each lesson also shows what the same cells found on real images, recorded once
# and kept with the course. Which lines are zero here and not there?

# %%
on_real("02.audit", audit, splits.train, splits.val, splits.test)

# %% [markdown]
# The recording used the splits of this course, with half of the published test folder. Here are counts over all the
# published files:
#
# | in the published files | what to do about it |
# | --- | --- |
# | several images of many children | split by patient; `load_chest_xray` does |
# | a validation folder of 16 images, so each counts six percentage points | put them into train, and split off more |
# | 30 pictures stored more than once, never in two folders (the audit counts every copy) | know about them |
# | 170 of the 427 patient names in the test folder are also in train | report it; leave the test set as it is |
# | MedMNIST's small copy, which `get_real_images()` fetches, names no patients | don't trust its zeros |
#
# No source says whether the same name always means the same child.
#
# Would the audit notice a fault? Here is a validation set that starts ten images too early.

# %%
order = torch.randperm(len(train), generator=torch.Generator().manual_seed(1))
first, second = train.subset(order[:200]), train.subset(order[190:250])  # 190 should be 200
faulty = Splits(train_and_val=lambda: (first, second), test=lambda: splits.test)
print(audit_splits(faulty))

# %% [markdown]
# Only the line about train and val gives it away: ten images in both, and their patients with them. There is no error,
# and sizes and fractions are plausible, and yet one validation image in six is also in train. That's what leaks look
# like, and why we search for them with a program.
#
# ### The baseline
#
# The published train folder holds 1,341 NORMAL images and 3,875 PNEUMONIA. Imagine a classifier that always answers
# PNEUMONIA. Score it by *accuracy*, the fraction that is right, and by *balanced accuracy*, the mean of two numbers:
#
# - the *sensitivity*, the fraction of the sick that it finds,
# - the *specificity*, the fraction of the healthy that it recognizes as healthy.

# %%
Predict("2.2")

# %%
from course_lib.tables import Table

counted = {
    "published train": {"NORMAL": 1341, "PNEUMONIA": 3875},
    "published test": {"NORMAL": 234, "PNEUMONIA": 390},
    "train, on this page": train.counts(),
}
rows = []
for name, counts in counted.items():
    right = {"NORMAL": 0, "PNEUMONIA": counts["PNEUMONIA"]}  # always PNEUMONIA
    accuracy = sum(right.values()) / sum(counts.values())
    balanced = sum(right[label] / counts[label] for label in counts) / 2
    rows.append((name, f"{accuracy:.3f}", f"{balanced:.3f}"))
Table("Always PNEUMONIA", ("images", "accuracy", "balanced accuracy"), rows)

# %% [markdown]
# <details><summary>What happened, and why</summary>
#
# The accuracy of a constant answer is the fraction of that class. On the published train folder, the constant answer
# looks like a decent model, and from train to test its accuracy drops by more than ten points, though the "model"
# didn't change. Its balanced accuracy doesn't move.
# </details>
#
# Such a score is a *baseline*. Whenever you read an accuracy, ask first what the constant answer would score. Here it
# is for the splits that you train and test on. How far does the last column move from train to test?

# %%
on_real(
    "02.counts",
    {"train": train.counts(), "validation": splits.val.counts(), "test": splits.test.counts()},
    train,
    splits.val,
    splits.test,
)

# %% [markdown]
# ### What the file gives away
#
# The files of the real data differ in size, and not at random. How much does the size alone tell? The *AUC* measures
# that. Of all pairs of one sick and one healthy image, it's the fraction that a score puts in the right order, where a
# tie counts one half. It's also the area under the *ROC curve*, which lesson 3 draws. Take six invented files, with the
# height as the score. In how many of the nine pairs is the healthy file taller?

# %%
normal_heights, pneumonia_heights = [1900, 1500, 1300], [1400, 1000, 800]  # pixels
pairs = [(normal, ill) for normal in normal_heights for ill in pneumonia_heights]
taller = sum(normal > ill for normal, ill in pairs)
print(f"the healthy file is taller in {taller} of {len(pairs)} pairs")
print(f"AUC of the height alone, no pixel looked at: {taller / len(pairs):.2f}")

# %% [markdown]
# The audit asks whether the *sick* file is larger, and would say one ninth, 0.11. Both are equally bad: what counts is
# the distance from 0.5. In the recording above, all files had been brought to one size, so every pair is a tie, and the
# AUC is 0.500. The original files hold three such cues:
#
# - **Size.** It alone separates the classes with an AUC of 0.92, since NORMAL files are larger. A loader that pads
#   small files with black hands the answer to the network.
# - **Color.** Of the 1,566 originals that we examined, 85 are stored in color, and every one of them is PNEUMONIA. A
#   loader that keeps color gives it away.
# - **Shape.** Films of sick children are wider in relation to their height. On 20 originals, ten of each class, width
#   over height alone has an AUC of 0.81 (95% confidence interval 0.58 to 0.98).
#
# So the loader makes every file gray, and squeezes it into the same square. That leaves no black borders and no color.
# In a square every film has the same shape, so the third cue should be gone, too. Is it? Put the same round disc on a
# narrow film and on a wide one, and squeeze both.


# %%
from torch.nn import functional as F


def squeezed_disc(width, height):
    """A film with a disc of 120 pixels in its middle, squeezed into a square."""
    across, down = torch.arange(width) - width / 2, torch.arange(height)[:, None] - height / 2
    film = (across**2 + down**2 < 60**2).float()
    return F.interpolate(film[None, None], size=(200, 200), mode="area")  # (1, 1, 200, 200)


films = torch.cat([squeezed_disc(256, 200), squeezed_disc(286, 200)])
show("squeezed-discs", plot_images(films, ["the narrow film, squeezed", "the wide film, squeezed"]))

# %% [markdown]
# The shape of the film has moved into the body that it shows. A heart isn't a disc, but heart, ribs and chest together
# tell a network enough. This cue can't be removed, but it can be made unreliable: stretch each training image a little,
# in both directions, by an amount that is drawn again each time. Then few proportions belong to one class alone. Take a
# hundred copies of each film, and measure the disc:

# %%
from course_lib.data import Augmentation
from course_lib.metrics import binary_auc

rest = ("degrees", "shift", "scale", "brightness", "contrast", "gamma", "shade", "blur", "noise")
stretch = Augmentation(stretch=0.2, **dict.fromkeys(rest, 0))  # all other random changes are off
copies, wide_film = films.repeat_interleave(100, dim=0), torch.arange(200) >= 100


def auc_of_proportions(pictures):
    discs = pictures[:, 0] > 0.5  # (200, 200, 200)
    wide = discs.any(dim=1).sum(dim=1)  # the columns that the disc reaches
    high = discs.any(dim=2).sum(dim=1)  # and the rows
    return binary_auc(high / (wide + high), wide_film)


torch.manual_seed(0)
squeezed, stretched = auc_of_proportions(copies), auc_of_proportions(stretch(copies))
print(
    f"AUC of the disc's proportions: as they are {squeezed:.2f}, stretched at random {stretched:.2f}"
)

# %% [markdown]
# What separated the films perfectly is now a much weaker hint. A cue that goes with the label but not with the disease
# is called a *shortcut*. [Lesson 3](03_training_on_gpu.ipynb) plants this one in its images, and shows what the stretch
# changes on the real X-rays; lesson 6 asks what a trained network looked at.
#
# One last cue: how bright a picture is overall, which depends mostly on the exposure. Take the mean of all pixels as
# the score, and choose a *threshold* on train: a score that reaches it counts as PNEUMONIA. Then judge it on the other
# two sets.

# %% tags=["tol-0.05"]
from course_lib.metrics import binary_report, choose_threshold


def brightness(images):
    return images.images.float().mean(dim=(1, 2, 3)) / 255  # (N,)


threshold = choose_threshold(brightness(train), train.labels)
by_brightness = {
    name: binary_report(brightness(part), part.labels, threshold=threshold)
    for name, part in (("validation", splits.val), ("test", splits.test))
}
on_real("02.brightness", by_brightness, splits.val, splits.test)

# %% [markdown]
# Any network has to beat this, and by far. On the real X-rays the AUC's interval contains 0.5 on validation and lies
# below it on test: brightness goes with the label differently in the two folders. A score that rests on that isn't
# knowledge of pneumonia.
#
# ### Stop here
#
# Look at the images, search for leaks with a program, and state the baseline first. Size, color and shape of a file
# can give the answer away. **To discuss:** a paper reports an accuracy of 0.93 on these data. Which three numbers do
# you ask for before you are impressed?
#
# <details><summary>One answer</summary>The accuracy of the constant answer; sensitivity and specificity, with the
# number of images; and how many patients are in both train and test.</details>

# %% [markdown]
# <a id="part-b"></a>
#
# ## Part B. The network as a class (24 min, core)
#
# - Say what `nn.Module` registers, and how a layer escapes it.
# - Write a network as `__init__` and `forward`.
# - Verify its shapes without any data.
#
# ### The smallest module
#
# A network has to *remember* numbers between calls, hand them to the *optimizer* (the program that changes them in
# training), save them, move them to a GPU, and be a part of a larger network. You could write all that yourself, but
# [`nn.Module`](https://docs.pytorch.org/docs/stable/generated/torch.nn.Module.html) already does it. The smallest one
# worth having subtracts a level from a picture and multiplies by a gain. Work out the middle pixel and the lower left
# one by hand.


# %%
from torch import nn


class Exposure(nn.Module):
    def __init__(self):
        super().__init__()
        self.gain = nn.Parameter(torch.tensor(2.0))  # training will change it
        self.register_buffer("level", torch.tensor(0.5))  # remembered, but not trained

    def forward(self, picture):
        return self.gain * (picture - self.level)


film = torch.tensor([[0.5, 0.5, 0.5], [0.5, 1.0, 0.5], [0.0, 0.5, 0.5]])
exposure = Exposure()
print(exposure(film).detach())  # the numbers alone, without their history

# %% [markdown]
# Middle: $2 \cdot (1.0 - 0.5) = 1$. Lower left: $2 \cdot (0 - 0.5) = -1$. You wrote two methods. Here is what came with
# them:

# %%
nested = nn.Sequential(exposure, nn.Linear(3, 1))
rows = [
    ("parameters(), for the optimizer", ", ".join(name for name, _ in exposure.named_parameters())),
    ("state_dict(), for saving", ", ".join(exposure.state_dict())),
    (".to(torch.float64) also moves level", str(exposure.to(torch.float64).level.dtype)),
    (".eval(), then .training", str(exposure.eval().training)),
    ("state_dict() of a module around it", ", ".join(nested.state_dict())),
]
Table("What nn.Module gives", ("asked", "answer"), rows)

# %% [markdown]
# - A *parameter* is what the optimizer gets. A *buffer* is saved and moved along, but not trained; batch norm (Part D)
#   keeps its running averages in buffers.
# - `.to` takes a data type or a device, and changes a module in place. A tensor's `.to` returns a new tensor instead,
#   so write `images = images.to("cuda")`.
# - `.train()` and `.eval()` set a flag that some layers read. Part E is about it.
# - A module inside a module is found automatically, and its numbers are listed under a dotted name.

# %%
schematic("module-register")

# %% [markdown]
# Call `model(images)`, not `model.forward(images)`. Both give the same numbers, but only the call runs *hooks*:
# functions that you attach to a module, and that PyTorch runs after it. The shape trace below relies on them, and so
# does lesson 6.
#
# ### Two ways to hide a layer
#
# All this works because `nn.Module` notices what is assigned to `self`. Forget `super().__init__()`, and a layer has
# nowhere to be registered:


# %%
class NoSuper(nn.Module):
    def __init__(self):
        self.fc = nn.Linear(4, 2)  # super().__init__() is missing


try:
    NoSuper()
except AttributeError as error:
    print("AttributeError:", error)

# %% [markdown]
# That mistake is loud. The next one is silent. How many of its 45 numbers will training change?


# %%
from course_lib.anatomy import count_parameters


class HiddenInAList(nn.Module):
    def __init__(self):
        super().__init__()
        self.hidden = [nn.Linear(4, 4), nn.Linear(4, 4)]  # a plain list: 2 * (16 + 4) numbers
        self.head = nn.Linear(4, 1)  # 5 numbers


model = HiddenInAList()
torch.optim.AdamW(model.parameters())
print("built, and the optimizer is content; it has", count_parameters(model), "numbers")

# %% [markdown]
# <details><summary>What happened, and how to fix it</summary>
#
# Five. The two layers in the plain list would run, but nobody finds them. They keep their random weights, they aren't
# saved, and no error appears. `nn.ModuleList([...])` around the list fixes it. (If *nothing* is registered, the
# optimizer does complain: "optimizer got an empty parameter list".)
# </details>
#
# ### When `nn.Sequential` is enough
#
# If each layer feeds the next and nothing else happens, no class is needed. ReLU comes in two forms, the module
# `nn.ReLU` and the function `F.relu`. They compute the same thing. Which of them can stand in such a chain?

# %%
row = torch.tensor([[-1.0, 0.0, 2.0]])  # (1, 3)
print("nn.ReLU and F.relu agree:", torch.equal(nn.ReLU()(row), F.relu(row)))
try:
    nn.Sequential(nn.Linear(3, 3), F.relu)
except TypeError as error:
    print("TypeError:", error)

# %% [markdown]
# Only the module. In a `forward` of your own, the function is shorter. One rule is enough: whatever has parameters, or
# acts differently in training, is a module, declared in `__init__`. Anything else may be a function. A chain is no
# longer enough where data takes two paths. `return maps + self.inner(maps)` is a *skip connection*, the idea behind the
# networks of lesson 5, and needs a class.
#
# ### The block
#
# The plan: three blocks that look for patterns, and dense layers that weigh them. A block is convolution, batch norm,
# ReLU and pooling. The only new one is *batch norm*, which brings each channel to one scale; Part D takes it apart. A
# 64x64 image goes into a block with 32 output channels. What comes out, and how many parameters does it have? (Batch
# norm has two per channel.)


# %%
def conv_block(in_channels, out_channels):
    return nn.Sequential(
        nn.Conv2d(in_channels, out_channels, kernel_size=3, padding=1),
        nn.BatchNorm2d(out_channels),
        nn.ReLU(),
        nn.MaxPool2d(kernel_size=2),
    )


block = conv_block(1, 32)
print(tuple(block(torch.zeros(1, 1, 64, 64)).shape), "with", count_parameters(block), "parameters")

# %% [markdown]
# $32 \cdot (9 + 1) + 32 \cdot 2 = 384$ parameters, and half the height and width. After each block the maps are
# smaller, and there are more channels: early patterns are simple, and there are few kinds of them; later ones are
# combinations, and there are many.
#
# > **Change one thing.** Make the kernel 5x5. Which padding keeps the shape, and how many parameters are there?
# > <details><summary>Answer</summary>A padding of 2, and 32 * (25 + 1) + 64 = 896 parameters.</details>
#
# ### The network
#
# Three blocks with 32, 64 and 128 channels. Then `Flatten` puts all numbers of the last maps in one row, and three
# dense layers go from there to 512, to 128 and to 2. Between them, *dropout* sets numbers to 0 at random during
# training; Part D takes it apart, too.

# %%
schematic("pneumonia-volumes")

# %% [markdown]
# Read the class as two halves. `__init__` declares what exists, and `forward` connects it; each line of `forward` says
# what shape leaves it ($S$ is the image size).


# %%
from course_lib.anatomy import conv_output_size


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
        maps = self.conv_block3(self.conv_block2(self.conv_block1(images)))  # (N, 128, S/8, S/8)
        features = self.flatten(maps)  # (N, 128 * S/8 * S/8)
        features = self.dropout1(F.relu(self.fc1(features)))  # (N, 512)
        features = self.dropout2(F.relu(self.fc2(features)))  # (N, 128)
        return self.fc3(features)  # (N, num_classes) logits


# %% [markdown]
# It ends with logits, without softmax, since the loss of Part C applies softmax itself. `in_channels` and `num_classes`
# are arguments, so the class also serves color images and ten classes.
#
# ### A dry run
#
# A *dry run* passes an input of the right shape through the network and prints what arrives where. The numbers don't
# matter, so we can do without any: tensors on PyTorch's [`meta` device](https://docs.pytorch.org/docs/stable/meta.html)
# have a shape and a data type and no memory behind them. That's welcome, since this network is big at 256 pixels.

# %%
with torch.device("meta"):  # shapes only: no weight is stored, nothing is computed
    large = PneumoniaCNN(256)
    images = torch.zeros(1, 1, 256, 256)

maps = images
for name in ("conv_block1", "conv_block2", "conv_block3"):
    maps = getattr(large, name)(maps)
    print(f"after {name}: {tuple(maps.shape)}")
features = large.flatten(maps)
print(f"after flatten:     {tuple(features.shape)}")

# %% [markdown]
# The first block makes *eight times as many* numbers out of the input: it describes each position in more words. Only
# after that do they become fewer. Here is a dry run of the head, shortened, as you may find it online. Something in it
# is wrong.

# %%
Predict("2.3")

# %%
x = F.relu(large.fc1(features))
x = F.relu(large.fc2(x))
logits = large.fc3(x)
print("output shape (logits):", tuple(x.shape))

# %% [markdown]
# <details><summary>What happened, and why</summary>
#
# The logits went to another name, so `x` is still what `fc2` made. What a `print` calls a tensor proves nothing.
# </details>
#
# A copy of `forward` with prints in it also has to be kept up to date by hand. `trace_shapes` from lesson 1 puts hooks
# on all layers instead, and lets the network report on itself. Which layer has the most parameters, and which the most
# multiply-adds?

# %%
from course_lib.anatomy import trace_shapes

trace = trace_shapes(large, (1, 1, 256, 256))
trace.table()

# %% [markdown]
# `fc1` has the most parameters. Two convolutions share first place in multiply-adds. Part C looks into that. The two
# ReLUs of the head are missing, because functions carry no hooks.
#
# ### When shapes don't fit
#
# Now plant a bug that everybody meets sooner or later: the first dense layer of a 64-pixel network is sized for
# 128-pixel images. Building the network and calling it are two steps. At which one does it fail?

# %%
broken = PneumoniaCNN(64)
broken.fc1 = nn.Linear(128 * 16 * 16, 512)  # 8 x 8 would be right
print("built without complaint")
try:
    broken(torch.zeros(2, 1, 64, 64))
except RuntimeError as error:
    print("RuntimeError:", error)

# %% [markdown]
# Only when data arrives. A dense layer multiplies two matrices. `mat1` is what arrived: 2 images with 8,192 numbers
# each. `mat2` is the layer's weight: 32,768 numbers in, 512 out. The two inner numbers must be equal. The one that
# arrived is the fact; the other one is your claim. So the message holds the fix, `in_features=8192`.
#
# Four more inputs that a 64-pixel network for gray images should refuse. It refuses three. Which one gets through?

# %%
small = PneumoniaCNN(64).eval()
inputs = {"color": (2, 3, 64, 64), "72 pixels": (2, 1, 72, 72)}
inputs |= {"70 pixels": (2, 1, 70, 70), "no batch": (1, 64, 64)}
for what, shape in inputs.items():
    try:
        print(f"{what}: accepted, logits {tuple(small(torch.zeros(shape)).shape)}")
    except (RuntimeError, ValueError) as error:
        print(f"{what}: {error}".replace(", but", ",\n    but"))

# %% [markdown]
# | | how to read it | what to do |
# | --- | --- | --- |
# | color | weight `[32, 1, 3, 3]`: 32 filters over 1 channel; the input has 3 | make it gray, or `in_channels=3` |
# | 72 pixels | `mat1` holds 10,368 = 128 x 9 x 9 numbers: larger images | resize, or `PneumoniaCNN(72)` |
# | no batch | batch norm wants four axes | add one: `image[None]` or `image.unsqueeze(0)` |
# | 70 pixels | *no message*: pooling drops an odd last row, 70, 35, 17, 8 | check the shape yourself |
#
# Everything from 64 to 71 pixels passes, and the last rows and columns hardly count. A shape that fits proves little.
#
# ### Stop here
#
# A module registers what you assign to `self`; `__init__` declares, `forward` connects, and a trace shows the shapes.
# In an error, `mat1` is what arrived. **To discuss:** a network for 256 pixels accepts 263 and refuses 264. What does
# that tell you about its layers?
#
# <details><summary>One answer</summary>Three halvings that round down, then a flatten: 263 and 256 both end at 32, and
# 264 ends at 33. Of an image of 263 pixels, the last rows and columns hardly count, and nothing says so.</details>

# %% [markdown]
# <a id="part-c"></a>
#
# ## Part C. The head: from maps to an answer (20 min, core)
#
# - Say where parameters, arithmetic and memory are.
# - Replace a head, and say what the new one forgets.
# - Turn logits into a probability and a decision.
#
# ### Where the 67 million are
#
# The part of a network that turns maps into an answer is its *head*. Look at the trace above, at its last two columns.
# What fraction of all parameters is in `fc1`, and what fraction of all multiply-adds?

# %%
from course_lib.plots import plot_shares

weighty = [layer for layer in trace.layers if layer.multiply_adds]
quantities = {
    "parameters": [layer.parameters for layer in weighty],
    "multiply-adds": [layer.multiply_adds for layer in weighty],
}
figure = plot_shares([layer.name for layer in weighty], quantities)
show("parameters-and-multiply-adds", figure)

# %% [markdown]
# `fc1` has practically all of the parameters and a tenth of the arithmetic. A kernel's weights are used again at every
# position; a weight of a dense layer is used once per image. *Parameters* say how much has to be stored,
# *multiply-adds* roughly how long it takes.
#
# There is some irony in this. Lesson 1 counted 65 million parameters in a dense layer from an image's 65,536 pixels to
# 1,000 outputs, where a convolution made do with 320. Then the convolutions handed over 131,072 numbers, twice as many
# as there were pixels, and a dense layer was put on *those*. There is a way out, and it's a small change.

# %%
schematic("two-heads")

# %% [markdown]
# ### One number per map
#
# Why does the head want all 32x32 values of a map? To know *where* a pattern was. If it's enough to know *how much* of
# it there was, take the mean of each map, the *global average pooling* of lesson 1
# ([Lin and others 2013](https://arxiv.org/abs/1312.4400)): 128 numbers, whatever the size of the image. What it forgets
# is easy to see: the mean of 1, 3, 0 and 4 is 2, and so is the mean of 0, 0, 8 and 0.


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
for height, width in ((64, 64), (70, 70), (100, 180), (256, 256)):
    print(f"{height} x {width}: logits {tuple(pooled(torch.zeros(1, 1, height, width)).shape)}")

# %% [markdown]
# It accepts all of them. "A CNN needs images of one fixed size" is true of a head that flattens, not of convolutions.
# It needs at least eight pixels, or nothing is left after three poolings. And that it *runs* at another size doesn't
# mean that it's as good there.
#
# Now measure what the mean forgets. Take the last maps of an X-ray, shuffle their 8x8 positions in the same way in all
# maps, and give both heads the shuffled maps.

# %%
torch.manual_seed(0)
dense = PneumoniaCNN(64).eval()


def from_means(maps):
    return pooled.head(maps.mean(dim=(2, 3)))


def from_positions(maps):
    return dense.fc1(maps.flatten(1))


with torch.no_grad():
    maps = pooled.blocks(twelve.images[:1].float() / 255)  # (1, 128, 8, 8)
    shuffled = maps.flatten(2)[..., torch.randperm(8 * 8)].reshape(maps.shape)
    for head in (from_means, from_positions):
        same = torch.allclose(head(maps), head(shuffled), atol=1e-5)
        print(f"{head.__name__}: the same answer, {same}")

# %% [markdown]
# The mean can't tell the two apart. The pooled twin knows how much of each pattern there is, and not where. What counts
# as a pattern still depends on its close surroundings. The dense head has weights of its own for each position, which
# is why it has so many. How does their number grow with the image?

# %%
rows = []
for size in (32, 64, 128, 256):
    with torch.device("meta"):
        counts = [count_parameters(PneumoniaCNN(size)), count_parameters(PooledCNN())]
    rows.append((f"{size} pixels", *(f"{count:,}" for count in counts)))
Table("Parameters", ("image", "PneumoniaCNN", "PooledCNN"), rows)

# %% [markdown]
# Twice the side, four times the inputs of `fc1`. The twin doesn't notice: nothing in it counts positions. Between the
# two lies a head that keeps a coarse grid of means; you'll write it in an exercise.
#
# ### What each costs in training
#
# - *Weights*: float32, 4 bytes each.
# - *Weights x 4*: [AdamW](https://arxiv.org/abs/1711.05101), this course's optimizer, keeps each weight, its gradient
#   and two running averages.
# - *Activations*: the results of the *forward pass*. The *backward pass*, from the last layer to the first, needs them
#   to compute gradients, so they're kept for every image of the batch. `kept_megabytes` asks PyTorch how much.

# %%
Predict("2.4")

# %%
from course_lib.anatomy import kept_megabytes

rows = []
for model in (PneumoniaCNN(256), PooledCNN()):
    traced = trace_shapes(model, (1, 1, 256, 256))
    weights = 4 * traced.parameters / 1e6
    activations = 32 * kept_megabytes(model.train(), torch.zeros(1, 1, 256, 256))
    numbers = [weights, 4 * weights, activations, traced.multiply_adds / 1e6]
    rows.append(
        (type(model).__name__, f"{traced.parameters:,}", *(f"{one:,.0f}" for one in numbers))
    )
columns = (
    "",
    "parameters",
    "weights, MB",
    "weights x 4",
    "activations, MB",
    "million multiply-adds",
)
Table("Images of 256 pixels, activations for a batch of 32", columns, rows)

# %% [markdown]
# <details><summary>What happened, and why</summary>
#
# Parameters fall from 67 million to 93 thousand, and the memory for weights, gradients and averages from a gigabyte to
# almost nothing. Arithmetic falls by a tenth, and activations hardly at all: both live in the convolutions, which
# stayed. If you run out of memory while training the pooled twin, a smaller head won't help. Smaller images or a
# smaller batch will.
# </details>
#
# ### Which one is better?
#
# Only training can decide that. But one limit is known in advance. Work out the receptive field after three blocks,
# each a 3x3 convolution and a pooling by 2.

# %%
from course_lib.anatomy import receptive_field

field = receptive_field(*pooled.blocks)
print(f"each value of the last maps sees {field.size} x {field.size} pixels of the image")
for size in (32, 64, 256):
    print(f"    of {size} pixels along a side: {field.size / size:.0%}")

# %% [markdown]
# The first block sees $1 + 2 + 1 = 4$ pixels. After it, one step is 2 pixels, so the second adds $4 + 2$, and the third
# $8 + 4$. A mean over patches of that size can judge texture, but hardly shape. Only a dense head puts the whole
# picture together. So a network that pools globally wants more blocks, not fewer; `CompactCNN`, which opened lesson 1,
# has five.
#
# > **Left open here, on purpose.** PneumoniaCNN, PooledCNN or CompactCNN: which is better, at which image size, and how
# > sure may you be? [Lesson 3](03_training_on_gpu.ipynb) trains them.
#
# ### From logits to probabilities
#
# The two numbers that leave the head are *logits*: any size, either sign. *Softmax* turns them into probabilities:
# $e^{z_1} / (e^{z_0} + e^{z_1})$ for PNEUMONIA. Divide numerator and denominator by $e^{z_1}$, and you get
# $1 / (1 + e^{-(z_1 - z_0)})$, the *sigmoid* of the difference. For the logits 1 and 2 that's
# $7.389 / (2.718 + 7.389) = 0.731$. What changes if 100 is added to both? If both are doubled?

# %% tags=["tol-0.02"]
for pair in ([1.0, 2.0], [101.0, 102.0], [2.0, 4.0]):
    logits = torch.tensor(pair)
    prob, sigmoid = logits.softmax(dim=0)[1], (logits[1] - logits[0]).sigmoid()
    print(f"logits {pair}: PNEUMONIA {prob:.3f}, sigmoid of the difference {sigmoid:.3f}")

# %% [markdown]
# Only the *difference* counts. Doubling it makes the network more confident without any new evidence, so a probability
# from a softmax is the network's opinion. Whether you should believe it is a question for lesson 3, with trained
# networks.
#
# To decide, take the larger logit, or predict PNEUMONIA whenever its probability reaches a threshold, such as 0.3 in
# screening. Which of these needs the softmax? Test it on a thousand made-up pairs of logits:

# %%
from math import log

torch.manual_seed(0)
logits = 5 * torch.randn(1000, 2)  # (1000, 2)
probs = logits.softmax(dim=1)  # along the classes: each row sums to 1
predicted = probs[:, 1] >= 0.3
gaps = logits[:, 1] - logits[:, 0]
print("argmax the same before softmax:", torch.equal(logits.argmax(dim=1), probs.argmax(dim=1)))
print("the same if the logit is at least 0.3:", torch.equal(logits[:, 1] >= 0.3, predicted))
same = torch.equal(gaps >= log(0.3 / 0.7), predicted)
print(f"the same if the difference is at least {log(0.3 / 0.7):.2f}:", same)
print("argmax without dim=1:", tuple(logits.argmax().shape), "instead of", tuple(predicted.shape))

# %% [markdown]
# - Softmax keeps the order, so `argmax` doesn't need it.
# - A threshold of 0.3 belongs to the probability. For the difference of the logits, the same threshold is
#   $\ln(0.3 / 0.7) = -0.85$. Comparing a single logit with 0.3 is a bug.
# - Leaving out `dim=1` is a bug, too. It gives one number for the whole batch, and no error.
#
# ### The loss, and where it starts
#
# The usual loss for classes is the
# [*cross-entropy*](https://docs.pytorch.org/docs/stable/generated/torch.nn.CrossEntropyLoss.html): $-\ln p$ of the
# probability $p$ that softmax gives to the true class, averaged over the images. `F.cross_entropy` takes *logits*, and
# applies softmax itself. A network that knows nothing gives each of two classes about one half, so its loss is about
# $\ln 2 = 0.693$. What if the last layer is *loud*, with weights a hundred times too large?

# %% tags=["tol-0.02"]
torch.manual_seed(0)
model = PneumoniaCNN(64).eval()
classes = [(train.labels == label).nonzero().flatten() for label in (0, 1)]
some = train.subset(torch.cat([members[:16] for members in classes]))  # 16 of each class
images, labels = some.images.float() / 255, some.labels  # (32, 1, 64, 64) in 0..1, and (32,)
with torch.no_grad():
    fresh_logits = model(images)  # (32, 2)
    by_hand = -fresh_logits.softmax(dim=1)[range(32), labels].log().mean()
    fresh = F.cross_entropy(fresh_logits, labels)
    model.fc3.weight *= 100
    loud = F.cross_entropy(model(images), labels)
    model.fc3.weight /= 100
print(f"fresh {fresh:.3f}, by hand {by_hand:.3f}; with a loud last layer {loud:.2f}")
four = fresh_logits[:4].softmax(dim=1)[:, 1].tolist()
print("the fresh network on four X-rays:", ", ".join(f"{prob:.2f}" for prob in four))

# %% [markdown]
# A fresh network starts very close to $\ln 2$, and says about one half for everybody. That isn't suspicion. It's
# ignorance, in the form of a probability. A loud network bets before it has learned anything, and pays for it. So look
# at the first loss of every training. With ten classes it should be about $\ln 10 = 2.3$. If it's far from the
# logarithm of the number of classes, find out why before you go on.
#
# ### Stop here
#
# A flattened head holds the parameters; the convolutions hold the arithmetic and the activations. The mean of each map
# frees the network from a fixed image size, and limits it to its receptive field. **To discuss:** you halve the
# parameters, and you still run out of memory. Why, and what would help?
#
# <details><summary>One answer</summary>The activations fill the memory. Smaller images or a smaller batch help, and so
# does computing activations twice instead of keeping them
# ([checkpointing](https://docs.pytorch.org/docs/stable/checkpoint.html)).</details>

# %% [markdown]
# <a id="part-d"></a>
#
# ## Part D. First weights, batch norm, dropout (28 min, core)
#
# - Say what the first weights do to the signal and the gradients.
# - Compute batch norm in both modes, and say what it buys.
# - Say what dropout leaves unchanged.
#
# ### Ten layers, four starts
#
#
# Before training, weights are random numbers. How they are drawn is called the *initialization*. How large should they
# be? An output is a sum of $n$ products; 16 channels with 9 weights each make $n = 144$. If the weights are
# independent, with mean 0 and variance $v$, the mean square of the sum is $n v$ times that of the inputs. The sum is
# negative as often as positive, so ReLU takes half of that away.
#
# So each layer multiplies the mean square by $n v / 2$, and the signal keeps its size if $v = 2 / n$.
# [He and others (2015)](https://arxiv.org/abs/1502.01852) proposed this; PyTorch calls it Kaiming, the first author's
# given name.
#
# Take ten convolutions with 16 channels, two of them with stride 2 to save time, and four starts: Kaiming's weights,
# the same times 1/4 and times 3, and what `nn.Conv2d` draws by default.


# %%
def ten_layers(start, *, batch_norm=False):
    layers, channels = [], 1
    for depth in range(10):
        conv = nn.Conv2d(channels, 16, 3, stride=2 if depth in (1, 3) else 1, padding=1)
        start(conv)
        layers += [conv, nn.BatchNorm2d(16), nn.ReLU()] if batch_norm else [conv, nn.ReLU()]
        channels = 16
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(16, 2))


def kaiming(factor):
    def start(conv):
        nn.init.kaiming_normal_(conv.weight, nonlinearity="relu")
        conv.weight.data *= factor
        nn.init.zeros_(conv.bias)

    return start


def untouched(conv):
    """PyTorch's own."""


starts = {"Kaiming / 4": kaiming(1 / 4), "Kaiming": kaiming(1), "Kaiming x 3": kaiming(3)}
starts["PyTorch's own"] = untouched

# %% [markdown]
# Send 32 X-rays of 32 pixels through each, and measure the signal after each ReLU: the root of its mean square. With
# Kaiming's weights divided by 4, what is $n v / 2$, and what's left of the signal after ten layers?

# %%
from course_lib.plots import plot_curves


def signal_and_gradient(model, images, labels):
    sizes, maps = [], images
    for layer in model:
        maps = layer(maps)
        if isinstance(layer, nn.ReLU):
            sizes.append(maps.square().mean().sqrt().item())
    F.cross_entropy(maps, labels).backward()
    convs = [layer for layer in model if isinstance(layer, nn.Conv2d)]
    return sizes, [conv.weight.grad.norm().item() for conv in convs]


# %%
tiny = F.interpolate(images, size=32, mode="area")  # (32, 1, 32, 32)
tiny = (tiny - tiny.mean()) / tiny.std()
signals, gradients = {}, {}
for name, start in starts.items():
    torch.manual_seed(0)
    sizes, norms = signal_and_gradient(ten_layers(start), tiny, labels)
    signals[name], gradients[name] = (range(1, 11), sizes), (range(1, 11), norms)
how = {"xlabel": "layer", "log_y": True}
show("signal-through-ten-layers", plot_curves(signals, ylabel="size of the signal", **how))

# %% [markdown]
# <details><summary>Answer</summary>
#
# Weights a quarter as large have a sixteenth of the variance, so $n v / 2$ is 1/16 instead of 1. Ten layers leave
# $16^{-10}$ of the mean square, about a millionth of the size. Weights three times as large multiply the size by
# $3^{10}$, about 59,000. PyTorch's own start has a variance of $1 / (3 n)$, a sixth of Kaiming's, for historical
# reasons: the signal shrinks to the level of the random biases.
# </details>
#
# On this logarithmic axis, a straight line means that each layer multiplies the signal by the same factor. The three
# Kaiming lines end at about an eighth of what the formula says. Most of that is chance: the formula gives a mean over
# many draws, and this is one draw, with 16 channels. Over 20 draws the mean square at the end is 0.6 instead of 1, and
# 1.1 if the border is mirrored (measured once): with zeros around the image, kernels at the border have less to sum.
#
# ### And the gradients?
#
# You often read that with small weights "the first layers don't learn". Take the gradient of each layer's weights, in
# the network with Kaiming's weights divided by 4. Backpropagation makes that gradient from two factors: the signal that
# comes into the layer, and the gradient that comes back from the loss.

# %%
Predict("2.5")

# %%
figure = plot_curves(gradients, ylabel="size of the weights' gradient", **how)
show("gradient-through-ten-layers", figure)
for name, (_, norms) in gradients.items():
    print(f"{name:14} layer 1: {norms[0]:8.1e}   layer 10: {norms[9]:8.1e}")

# %% [markdown]
# <details><summary>What happened, and why</summary>
#
# The gradient of a layer's weights is the product of the two. With small weights the signal shrinks from front to back,
# and the returning gradient from back to front, by the same factor. The product stays level. Nothing singles out the
# first layers: *all* of them are starved. In PyTorch's own start the biases keep the signal alive, and there the first
# layers do get the smallest gradients.
# </details>
#
# One remedy is a better start. Is there also a layer that puts the sizes right by itself?
#
# ### Batch norm, by hand
#
# *Batch normalization* ([Ioffe and Szegedy 2015](https://arxiv.org/abs/1502.03167)) puts each channel on one scale:
# subtract the mean, and divide by the standard deviation, or *spread*. Both are taken over all images of the batch, all
# rows and all columns. Then a learned scale and a learned offset give the channel whatever spread and mean work best.

# %%
schematic("batch-norm")

# %% [markdown]
# In use there may be only one image, and its result must not depend on other patients. So in training the layer also
# keeps *running averages*, and after `eval()` it uses those. They start at mean 0 and variance 1, and each batch moves
# them toward its own by a fraction called `momentum`, 0.1. Take a batch of two images of two pixels, 1 and 3, 5 and 7.
# What becomes of the 7 in each mode?

# %%
values = torch.tensor([1.0, 3, 5, 7]).reshape(2, 1, 1, 2)  # (N, C, H, W)
mean, var = values.mean(), values.var(correction=0)  # squares over 4: the biased variance
unbiased = values.var(correction=1)  # squares over 4 - 1
norm = nn.BatchNorm2d(1)  # with a scale of 1 and an offset of 0, until training moves them
statistics = {"train": (mean, var), "eval": (0.9 * 0 + 0.1 * mean, 0.9 * 1 + 0.1 * unbiased)}
for mode, (center, spread) in statistics.items():
    norm.train(mode == "train")
    result = norm(values)  # in training mode this also moves the running averages
    by_hand = (values - center) / (spread + norm.eps).sqrt()
    shown = ", ".join(f"{value:.2f}" for value in result.flatten().tolist())
    print(f"{mode:5} {shown}   the same by hand: {torch.allclose(result, by_hand, atol=1e-6)}")

# %% [markdown]
# In evaluation mode the four numbers aren't around 0, since the layer has moved only a tenth of the way from 0 to the
# mean of 4. A network judged after its first few batches uses averages that are plainly wrong. Two details trip up many
# people who write this layer themselves. Training divides by the biased variance and remembers the unbiased one. And
# PyTorch's momentum is the weight of the *new* value; in Keras it's that of the old.
#
# ### Does it train?
#
# Now take fifty steps from each start, with and without batch norm, with three seeds. Each step sees the same 32
# X-rays, shrunk to 16 pixels to be quick, so the network only has to memorize them. The learning rate is 0.1, and
# gradient descent has a *momentum*, which lesson 3 explains; it isn't batch norm's. Guessing gives a loss of 0.69. A
# run counts as a success if the mean loss of its last ten steps is below 0.35. Which of the four starts succeed without
# batch norm? Which with it?


# %%
tinier = F.interpolate(tiny, size=16, mode="area")  # (32, 1, 16, 16)


def loss_after(model, optimizer, steps=50):
    losses = []
    for _ in range(steps):
        optimizer.zero_grad()
        loss = F.cross_entropy(model(tinier), labels)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return sum(losses[-10:]) / 10


def sgd(parameters, lr):
    return torch.optim.SGD(parameters, lr=lr, momentum=0.9)


def three_seeds(start, batch_norm, rate, optimizer=sgd):
    losses = []
    for seed in (0, 1, 2):
        torch.manual_seed(seed)
        model = ten_layers(start, batch_norm=batch_norm)
        losses.append(loss_after(model, optimizer(model.parameters(), lr=rate)))
    return losses


# %%
from itertools import product


def memorized(losses):
    return f"{sum(loss < 0.35 for loss in losses)} of 3 seeds"


by_start = {
    (name, batch_norm): three_seeds(starts[name], batch_norm, rate=0.1)
    for name, batch_norm in product(starts, (False, True))
}
rows = [(name, *(memorized(by_start[name, one]) for one in (False, True))) for name in starts]
Table("Loss below 0.35 after 50 steps", ("start", "plain", "with batch norm"), rows)

# %% [markdown]
# Without batch norm no start succeeds in fifty steps. The loss of the two small ones stays at $\ln 2$, that of the
# large one explodes (a cell at the end of the page checks both), and Kaiming's, with its healthy signal, doesn't get
# there either. With batch norm all four succeed, with every seed: after each convolution the channels have the same
# scale, almost whatever the weights were. Only a signal with a variance below `eps`, $10^{-5}$, stays small.
#
# Does any start behave differently on 32 real X-rays?

# %%
last_losses = {
    f"{name}, {'with batch norm' if one else 'plain'}": [
        loss if loss < 9 else 9.0
        for loss in losses  # 9 for NaN, too
    ]
    for (name, one), losses in by_start.items()
}
on_real("02.starts", last_losses, train.subset(torch.arange(32)))

# %% [markdown]
# None does: without batch norm no mean comes near 0.35, and with it all four are nearly 0.
#
# ### Higher rates
#
# Batch norm is said to allow higher learning rates ([Bjorck and others 2018](https://arxiv.org/abs/1806.02375)). Take
# Kaiming's start at three rates, the largest fifty times the smallest.

# %%
rates = (0.01, 0.1, 0.5)
by_rate = {(0.1, one): by_start["Kaiming", one] for one in (False, True)}  # known already
for rate, one in product((0.01, 0.5), (False, True)):
    by_rate[rate, one] = three_seeds(starts["Kaiming"], one, rate)
rows = [(str(rate), *(memorized(by_rate[rate, one]) for one in (False, True))) for rate in rates]
Table("Loss below 0.35 after 50 steps", ("learning rate", "plain", "with batch norm"), rows)

# %% [markdown]
# With batch norm, all three rates work. Without it, none does, not even the lowest. So batch norm forgives the rate as
# it forgives the start, but this table can't say whether the highest rate that works is higher. It isn't the only cure.
# *AdamW* divides each weight's step by the recent size of its gradients. Kaiming's start, 50 steps at a rate of 0.001:

# %%
by_adam = {
    one: three_seeds(starts["Kaiming"], one, 0.001, torch.optim.AdamW) for one in (False, True)
}
print("AdamW, plain:", memorized(by_adam[False]), "| with batch norm:", memorized(by_adam[True]))

# %% [markdown]
# Here the plain network gets by without batch norm. What a part buys depends on what else is there.
#
# ### Does it regularize?
#
# It's also said to *regularize*: to work against *overfitting*, where a network memorizes its training images instead
# of learning what they share ([Luo and others 2018](https://arxiv.org/abs/1809.00846)). The reason given is a kind of
# noise: in training mode, an image's result depends on the company it happens to be in, the other images of its batch.
# Is that noise large? Send one X-ray through a network in 50 random batches, and compare.

# %% tags=["tol-0.05"]
torch.manual_seed(0)
network = ten_layers(starts["Kaiming"], batch_norm=True).train()


def shrunk(part):
    return F.interpolate((part.images.float() / 255 - 0.5) / 0.25, size=16, mode="area")


pool = shrunk(train)  # (N, 1, 16, 16)
companies = [torch.randperm(len(pool))[:31] for _ in range(50)]
with torch.no_grad():
    batches = [
        network(torch.cat([pool[:1], pool[company]])) for company in companies
    ]  # (32, 2) each
gaps = torch.stack(batches).diff(dim=2)[..., 0]  # (50, 32): logit 1 minus logit 0
print(f"one X-ray in 50 batches: spread {gaps[:, 0].std():.3f}")
print(f"different X-rays in one batch: spread {gaps[:, 1:].std(dim=1).mean():.3f}")

# %% [markdown]
# The company moves one X-ray's answer by about a quarter of what separates different X-rays, so the noise is real. Does
# it make a network better on *new* images? Train with and without batch norm on 64 X-rays, until they are memorized,
# and test on validation, with five seeds. Which network is right more often? Which has the lower loss?

# %%
torch.manual_seed(0)
some = torch.randperm(len(train))[:64]
known, new = (pool[some], train.labels[some]), (shrunk(splits.val), splits.val.labels)


def tested(model, images, labels):
    """The fraction right and the loss."""
    with torch.no_grad():
        logits = model.eval()(images)
    right = (logits.argmax(dim=1) == labels).double().mean()
    return right.item(), F.cross_entropy(logits, labels).item()


def memorize_64(batch_norm, seed):
    torch.manual_seed(seed)
    model = ten_layers(starts["Kaiming"], batch_norm=batch_norm)
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.001)
    for _ in range(150):
        drawn = torch.randint(64, (32,))
        optimizer.zero_grad()
        F.cross_entropy(model(known[0][drawn]), known[1][drawn]).backward()
        optimizer.step()
    return tested(model, *known)[0], *tested(model, *new)


# %% tags=["tol-0.1"]
trained = {kind: [memorize_64(kind, seed) for seed in range(5)] for kind in (False, True)}
rows = [
    (
        name,
        *(", ".join(f"{one:.2f}" for one in found) for found in zip(*trained[kind], strict=True)),
    )
    for name, kind in (("plain", False), ("batch norm", True))
]
Table("Five seeds", ("", "right of the 64", "right of validation", "loss on validation"), rows)

# %% [markdown]
# Both know their 64 images. On new ones the network with batch norm is right *less* often, and its loss is far lower
# all the same: it is less sure of its errors. Both losses are still worse than guessing, 0.69. And on real X-rays?

# %%
regularized = {}
for name, kind in (("plain", False), ("batch norm", True)):
    _, right, loss = zip(*trained[kind], strict=True)
    regularized |= {f"right of validation, {name}": right, f"loss on validation, {name}": loss}
on_real("02.regularizes", regularized, splits.val)

# %% [markdown]
# The loss is lower there, too. The network with batch norm is right more often in four of five seeds, but the ranges
# overlap. So by the loss, batch norm regularizes. By the accuracy, it depends on the images.
#
# ### What it doesn't do
#
# In evaluation mode the layer is a fixed formula, $ax + b$ for each channel. So it does *not* even out the exposure of
# different X-ray machines: a brighter image stays brighter. Send an image through the layer from above, and then the
# same image with 0.2 added to every pixel:

# %%
norm.eval()
brighter = norm(images[:1] + 0.2) - norm(images[:1])
print(f"0.2 brighter going in, {brighter.min():.2f} to {brighter.max():.2f} coming out")

# %% [markdown]
# ### Dropout, by hand
#
# *Dropout* ([Srivastava and others 2014](https://jmlr.org/papers/v15/srivastava14a.html)) sets numbers to 0 at random
# during training, each with probability $p$, so that no later layer can rely on any single one. What remains is
# multiplied by $1 / (1 - p)$. Take four of these numbers, or *units*, and $p = 0.5$: are exactly two of them always
# off?

# %% tags=["tol-0.02"]
torch.manual_seed(0)
draws = nn.Dropout(p=0.5)(torch.ones(100_000, 4))
print(f"values that occur: {draws.unique().tolist()}, mean {draws.mean():.2f}")
for off in range(5):
    fraction = ((draws == 0).sum(dim=1) == off).double().mean()
    print(f"{off} of 4 units off in a fraction of {fraction:.2f} of the draws")

# %% [markdown]
# Each unit is drawn on its own, so two of four are off in three draws out of eight, and now and then all are. Survivors
# are doubled, so the expected value is 1 in training and in use, and `eval()` has nothing to correct.
#
# > **Change one thing.** With `p=0.8`, which values occur?
# > <details><summary>Answer</summary>0 and 5, since 1 / (1 - 0.8) = 5. The mean stays 1.</details>
#
# In an image, a lost pixel can be guessed from its neighbors. So plain dropout is for dense layers; for maps there is
# `F.dropout2d`, which drops whole channels. Below, four copies of an X-ray stand in for four channels.

# %%
channels = images[:1].expand(1, 4, -1, -1)
torch.manual_seed(0)
dropped = torch.cat([F.dropout(channels, 0.5)[0], F.dropout2d(channels, 0.5)[0]])[:, None]
names = [f"{name}, channel {i}" for name in ("dropout", "dropout2d") for i in range(4)]
show("dropout-masks", plot_images(dropped / 2, names, columns=4))  # as bright as before

# %% [markdown]
# Pooling and dropout side by side: move the image one pixel to the right (drag it, or use the arrow keys), then two,
# each with maxima and with means. In which of the four cases do the pooled numbers stay, and in which do they move
# along? Then draw again.

# %%
from course_lib.widgets import pooling_explorer

pooling_explorer()

# %% [markdown]
# <details><summary>Answer</summary>
#
# One pixel to the right, the maxima of this image don't change at all, and the means do. (One pixel to the left, the
# maxima change too: it depends on where the window starts.) Two pixels are the window's own size, and both move along
# by one position. And with each new draw, dropout picks other numbers.
# </details>
#
# ### Stop here
#
# Weights of variance $2 / n$ keep the signal alive, and batch norm forgives those that don't. Dropout changes single
# numbers and keeps their expected value. **To discuss:** a colleague's deep network without batch norm stays at a loss
# of 0.69. Name three possible causes, and a check for each.
#
# <details><summary>One answer</summary>A dead signal: print its size after each layer. A wrong learning rate: try
# three, far apart. A wiring fault: the test of Part E.</details>

# %% [markdown]
# <a id="part-e"></a>
#
# ## Part E. Two modes, and the first test (20 min, core)
#
# - Tell the mode and `no_grad` apart.
# - Put a network through the first test it has to pass.
# - Recognize a wiring fault by its loss curve.
#
# ### Who else was X-rayed this morning?
#
# A network is built in training mode. An image goes into PneumoniaCNN twice. Does it get the same logits both times, in
# training mode and in evaluation mode? Then it goes through the first block, which has no dropout: once alone, and once
# as one of eight. Does its result depend on the other seven?

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
# In training mode dropout draws new random numbers at each call, and batch norm uses all the patients in the batch. A
# patient's result must not depend on who else was X-rayed that morning. So outside training, always switch to
# evaluation mode.
#
# ### Two switches
#
# That cell also used `torch.no_grad()`, which is often mistaken for the same thing. Which of the two switches decides
# whether gradients can be computed, and which one decides whether batch norm's running averages move?

# %%
torch.manual_seed(0)
rows = []
for training, record in product((True, False), (True, False)):
    model.train(training)
    before = model.conv_block1[1].running_mean.clone()
    with torch.set_grad_enabled(record):  # False is what no_grad() does
        logits = model(images[:2])
    moved = not torch.equal(before, model.conv_block1[1].running_mean)
    rows.append((str(training), str(record), str(moved), str(logits.requires_grad)))
columns = ("training mode", "gradients enabled", "averages moved", "backward() possible")
Table("Two switches, four settings", columns, rows)

# %% [markdown]
# The mode decides what layers *compute*; `no_grad` decides whether PyTorch *records* it for gradients, which saves
# memory and changes no number. Look at the second row: with `no_grad` alone, batch norm's averages moved. If you
# evaluate like that, the validation images leak into the network. To get predictions, use both: `model.eval()` and
# `torch.no_grad()` (or `torch.inference_mode()`, the stricter form).
#
# Part B had a rule for what must be a module. See what happens if it's broken: `F.dropout` is a function and belongs to
# no module. Does it stop in evaluation mode?


# %%
class AlwaysDropping(nn.Module):
    def forward(self, features):
        return F.dropout(features, 0.5)  # with training=self.training it would obey


torch.manual_seed(0)
ones = torch.ones(64)
print("nn.Dropout in evaluation mode: ones become", nn.Dropout(0.5).eval()(ones).unique().tolist())
print("F.dropout  in evaluation mode: ones become", AlwaysDropping().eval()(ones).unique().tolist())

# %% [markdown]
# It keeps dropping, since nobody tells it the mode. Whatever acts differently in training should be a module.
#
# ### Overfit one batch
#
# Before you spend hours on training, spend seconds on this. Give the network 16 images, again and again. It has more
# than a million weights; if its wiring is right, it must be able to learn them by heart, and the loss must fall to
# nearly zero. That's overfitting, on purpose. If it can't, more data won't help. Each step has five lines:

# %%
schematic("five-steps")

# %% [markdown]
# - *Clear*: `backward()` would add to the gradients of the step before.
# - *Predict* and *measure*: the forward pass, and one number for how wrong it is.
# - *Gradients*: the backward pass, one gradient per weight.
# - *Step*: the optimizer moves the weights that it was given, and no others.
#
# Lesson 3 takes them apart. Dropout is meant to make memorizing hard, so its layers go into evaluation mode and the
# rest into training mode.


# %%
def overfit_one_batch(model, optimizer, *, images, labels, steps=20, clear=True):
    model.train()
    for module in model.modules():
        if isinstance(module, nn.Dropout):
            module.eval()
    losses = []
    for _ in range(steps):
        if clear:
            optimizer.zero_grad()
        logits = model(images)
        loss = F.cross_entropy(logits, labels)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


def fresh_network():
    torch.manual_seed(0)  # the same first weights each time
    return PneumoniaCNN(32).to(profile.device)


# %% [markdown]
# Eight images of each class, shrunk to 32 pixels to be quick, and on the same device as the network. Where does the
# loss start, and are twenty steps enough to bring it below 0.05?


# %% tags=["tol-0.02"]
def adam(network, rate=2e-4):
    return torch.optim.AdamW(network.parameters(), lr=rate)


sixteen = train.subset(torch.cat([members[:8] for members in classes]))  # 8 of each class
batch = {
    "images": F.interpolate(sixteen.images.float() / 255, size=32, mode="area").to(profile.device),
    "labels": sixteen.labels.to(profile.device),
}
sound_network = fresh_network()
sound = overfit_one_batch(sound_network, adam(sound_network), **batch)
print(f"first loss {sound[0]:.2f}, last loss {sound[-1]:.2f}")

# %% [markdown]
# It passes. A test is worth what it catches, so here are three faults, each a single slip:
#
# - The network ends with a softmax, and `F.cross_entropy` applies its own to the result.
# - The optimizer holds the weights of *another* network. That happens when you build yours again after making the
#   optimizer.
# - `zero_grad` is missing, so the gradients of all steps pile up.
#
# Sketch the three loss curves. For two of them you can work out where they end. A hint for the softmax: at best it
# returns 0 and 1. What is the cross-entropy of the "logits" 0 and 1?

# %%
doubled = nn.Sequential(fresh_network(), nn.Softmax(dim=1))
orphan, other, piling = fresh_network(), fresh_network(), fresh_network()
runs = {
    "sound": sound,
    "softmax twice": overfit_one_batch(doubled, adam(doubled), **batch),
    "another's optimizer": overfit_one_batch(orphan, adam(other), **batch),
    "zero_grad forgotten": overfit_one_batch(piling, adam(piling), **batch, clear=False),
}

# %% tags=["tol-0.02"]
steps = range(1, 21)
curves = {name: (steps, [min(loss, 1.5) for loss in losses]) for name, losses in runs.items()}
show("four-runs-on-one-batch", plot_curves(curves, xlabel="step", ylabel="loss, cut at 1.5"))
floor = log(1 + 1 / torch.e)  # cross-entropy of the "logits" 0 and 1
print(f"softmax twice ends at {runs['softmax twice'][-1]:.2f}; its floor is {floor:.2f}")

# %% [markdown]
# Each fault leaves its own signature. Softmax twice settles at $-\ln(e / (e + 1)) = 0.31$. With another network's
# optimizer nothing moves at all. Without `zero_grad`, each step follows the sum of all gradients so far, and the loss
# lurches. That one is treacherous: on an easy batch it may happen to be near 0 at the end. Look at the whole curve, not
# at its last point. Now on 16 real X-rays. Are the signatures the same?

# %%
on_real("02.wired", curves, sixteen)

# %% [markdown]
# They are, down to the floor of 0.31.
#
# ### A page to keep: faults and their signatures
#
# | symptom | likely cause | how to tell |
# | --- | --- | --- |
# | first loss far from $\ln$(number of classes) | loud last layer, or inputs far too large | print the first logits |
# | flat at $\ln$(number of classes), signal dead | first weights too small, no batch norm | its size after each layer |
# | flat at $\ln$(number of classes), no weight moves | another network's optimizer; tiny rate | do weights change? |
# | one batch of two classes, flat at 0.31 | softmax twice | is there a softmax in the network? |
# | the loss lurches | `zero_grad` missing; rate too large | clear the gradients by hand; try a tenth of the rate |
# | the loss is NaN | rate or first weights too large | in which layer is the signal infinite first? |
# | training loss falls, validation stays at guessing | labels of other images | look at a batch with its labels |
# | validation far too good | a data leak | the audit of Part A |
# | good in training mode, bad in evaluation mode | running averages lag | pass more batches in training mode |
# | one image, different logits each time | `eval()` missing, or `F.dropout` | call twice, and compare |
# | a layer's weights never change | in a plain list, frozen, or never called | `named_parameters()`, shape trace |
# | "mat1 and mat2 shapes cannot be multiplied" | images of another size | `mat1` is what arrived |
#
# ### What a pass proves
#
# Now toss a coin for the label of each of the 16 images, once, and keep these labels for every step. There is nothing
# to be learned about lungs.

# %%
Predict("2.6")

# %% tags=["tol-0.02"]
coin = torch.tensor([0, 1, 1, 0, 1, 0, 0, 1, 1, 1, 0, 0, 0, 1, 0, 1], device=profile.device)
network = fresh_network()
memorized_coin = overfit_one_batch(network, adam(network), images=batch["images"], labels=coin)
print(f"tosses that agree with the diagnosis: {int((coin == batch['labels']).sum())} of 16")
print(f"last loss {memorized_coin[-1]:.2f}")

# %% [markdown]
# <details><summary>What happened, and why</summary>
#
# It memorizes the coin tosses as readily as the diagnoses. Passing shows the *wiring*: loss, gradients and optimizer
# are connected, and the network has room. It shows nothing about *learning*: being right on images that the network has
# never seen. [Zhang and others (2017)](https://arxiv.org/abs/1611.03530) found much the same with a million photos.
# </details>
#
# ### When a fault isn't one
#
# The wiring can be right, and the learning rate wrong. Does the sound network pass at a hundredth of its rate? At three
# hundred times the rate?

# %%
wrong_rates = {}
for rate in (2e-6, 6e-2):
    network = fresh_network()
    wrong_rates[rate] = overfit_one_batch(network, adam(network, rate), **batch)
    print(f"rate {rate}: {'passes' if wrong_rates[rate][-1] < 0.05 else 'fails'}")

# %% [markdown]
# It fails at both. So when this test fails, try two or three learning rates, far apart, before you search for a bug.
#
# One more thing looks like a fault. Here is the sound network after its twenty steps, on the very images that it has
# memorized, with batch norm in both modes:


# %% tags=["tol-0.2"]
def loss_with_batch_norm(training):
    for module in sound_network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.train(training)
    with torch.no_grad():
        return F.cross_entropy(sound_network(batch["images"]), batch["labels"]).item()


lagging, at_hand = loss_with_batch_norm(False), loss_with_batch_norm(True)
for _ in range(50):
    loss_with_batch_norm(True)  # no step is taken: only the running averages move
renewed = loss_with_batch_norm(False)
print(f"evaluation mode {lagging:.2f}, training mode {at_hand:.2f}")
print(f"evaluation mode, after 50 more forward passes: {renewed:.2f}")

# %% [markdown]
# In evaluation mode it seemed to have learned little. The weights are the same for all three losses; what lagged were
# the running averages. They began at 0 and 1, each step moved them a tenth of the way, and the weights moved as well.
# Fifty forward passes without a step let them catch up. Lesson 3 shows what the lag can do to a validation loss.
#
# ### Stop here
#
# The mode decides what layers compute, and `no_grad` what is recorded. A network that can't memorize 16 images is wired
# wrongly, or its learning rate is wrong. **To discuss:** the test passes. Name two faults that it can't see.
#
# <details><summary>One answer</summary>Labels that belong to other images, and a leak between train and test. Neither
# keeps a network from memorizing 16 images.</details>
#
# ## Summary
#
# - Pneumonia is white where the lung should be dark. Before any modeling, count classes, patients, duplicates and
#   leaks, and state what a constant answer scores. Size, color and shape of a file can give the answer away.
# - `nn.Module` registers what you assign to `self`, once `super().__init__()` has run. A dry run on `meta` and a trace
#   show shapes; `mat1` in an error is what arrived.
# - Nearly all of PneumoniaCNN's parameters are in `fc1`, most of its arithmetic and memory in the convolutions. The
#   mean of each map removes the 67 million, and limits the network to its receptive field.
# - Only the difference of two logits counts. A threshold belongs to the probability. A fresh classifier of two classes
#   starts near $\ln 2$.
# - Weights of variance $2 / n$ keep a signal alive, and batch norm forgives those that don't. Dropout keeps the
#   expected value.
# - The mode decides what layers compute, `no_grad` what is recorded. A network that can't memorize one batch is wired
#   wrongly, or its learning rate is wrong. One that can has done the least you can ask of it.
#
# None of this is for diagnosis.
#
# ## Quiz
#
# Click an answer, or reach it with Tab and press the space bar, and read why. First tries count, and your score is kept
# when you reload the page.

# %%
from course_lib.widgets import Quiz

Quiz(2)

# %% [markdown]
# ## Exercises
#
# [Exercises 2](exercises/02_building_pneumonia_cnn.ipynb) has six tasks, from one line to a real piece of work. Each
# asks for a function, a cell below it checks yours at once, and hints come in steps. The last one audits a folder: run
# it on images of your own.
#
# ## What you may now import
#
# `PneumoniaCNN` is in `course_lib.models` from now on, with your names and your signature. It checks the shape of the
# images before it begins. `load_chest_xray`, `simulate_radiographs` and `audit_splits` are in `course_lib.data`, as
# before. Does the imported network agree with yours?

# %%
from course_lib import models

torch.manual_seed(0)
ours = PneumoniaCNN(64).eval()
torch.manual_seed(0)
imported = models.PneumoniaCNN(64).eval()
with torch.no_grad():
    assert torch.equal(ours(images), imported(images))  # same seed, same logits
    imported.load_state_dict(models.PneumoniaCNN(64).state_dict())
    assert not torch.equal(ours(images), imported(images))
    imported.load_state_dict(
        dict(reversed(ours.state_dict().items()))
    )  # names count, not the order
    assert torch.equal(ours(images), imported(images))
try:
    imported(torch.zeros(2, 1, 70, 70))
except ValueError as error:
    print("ValueError:", str(error).replace("; ", ";\n    "))

# %% [markdown]
# And does the page keep its word? Each line is a claim made above, with every seed in it.

# %%
assert squeezed == 1  # the film's shape is in the body,
assert stretched < 0.8  # and the stretch hides it
for seed in (0, 1, 2):
    torch.manual_seed(seed)
    sizes, norms = signal_and_gradient(ten_layers(starts["Kaiming / 4"]), tiny, labels)
    assert sizes[9] < 1e-5 * sizes[0]  # the signal dies,
    assert 0.1 < norms[0] / norms[9] < 10  # and no layer's gradient is singled out,
    sizes, norms = signal_and_gradient(ten_layers(untouched), tiny, labels)
    assert norms[0] < 0.05 * norms[9]  # as they are with PyTorch's own start
for (_, batch_norm), losses in (by_start | by_rate).items():
    assert all((loss < 0.35) == batch_norm for loss in losses)
for name in ("Kaiming / 4", "PyTorch's own"):
    assert all(abs(loss - log(2)) < 0.02 for loss in by_start[name, False])  # they don't move
assert not any(loss < 10 for loss in by_start["Kaiming x 3", False])  # it explodes, often to nan
assert max(by_adam[False]) < 0.35
for plain, normed in zip(*trained.values(), strict=True):
    assert normed[2] < plain[2]  # less sure of its errors,
    assert profile.source == "real" or normed[1] < plain[1]  # and less often right
assert gaps[:, 0].std() > 0.1 * gaps[:, 1:].std(dim=1).mean()  # the noise of the company

# %%
assert abs(fresh - log(2)) < 0.05
assert loud > fresh + 0.05
assert max(sound[-1], memorized_coin[-1]) < 0.05
assert abs(runs["softmax twice"][-1] - floor) < 0.02
assert max(abs(loss - log(2)) for loss in runs["another's optimizer"]) < 0.05
assert max(runs["zero_grad forgotten"][5:]) > 0.2
assert min(losses[-1] for losses in wrong_rates.values()) > 0.05
assert max(at_hand, renewed) < 0.05 < 0.2 < lagging  # running averages lag behind
print("It does.")

# %% [markdown]
# ## Where to go next
#
# - [Lesson 3, Training on GPU](03_training_on_gpu.ipynb): the loop that makes a correctly wired network learn, and the
#   answer to Part C's open question.
# - What happens when such networks meet another hospital:
#   [Zech and others (2018)](https://doi.org/10.1371/journal.pmed.1002683) on pneumonia,
#   [DeGrave and others (2021)](https://doi.org/10.1038/s42256-021-00338-7) on shortcuts.
