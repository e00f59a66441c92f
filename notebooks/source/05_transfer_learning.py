# %% [markdown]
# # 5. Transfer learning
#
# A network that has learned from a million photographs knows what edges, textures and parts look like. You will take
# such a network, give it a new head, and find out what its knowledge is worth: for photographs, for radiographs, with
# fifty labeled images and with a thousand. You will freeze layers and check that they stay frozen, choose among famous
# networks by what they cost, feed gray images into a network for color, and store the result so that it runs without
# this course. Everything works without a connection to the network.
#
# Prerequisites: lessons 2 to 4 (chest X-rays, the training loop, CIFAR-10). Computing takes 115 s on two cores (9.2 min
# with real images); allow three hours of your own.

# %% tags=["setup"]
from course_lib.lessons import get_real_images, start_lesson

profile = start_lesson(5)

# %% [markdown]
# ## 1. A network that has seen a million photographs
#
# ImageNet is a collection of 1.28 million photographs in 1,000 classes, among them more than a hundred breeds of dogs,
# espresso and tripods. Networks that were trained on it are published with their weights. The one below is
# EfficientNet-Lite0 (Google 2020, after Tan and Le 2019): seven stages of blocks like the MBConv that you built in
# lesson 4, with ReLU6 and without squeeze and excitation, then a 1x1 convolution. Its weights were installed together
# with the course, so no download is needed. `None` says: keep the head for the 1,000 classes.
#
# **Before you run the cell:** it will be shown four photographs that scikit-image ships. The camera picture is gray,
# and shows a man in a coat with a camera on a stand. What will the network say of it?

# %%
import torch
from skimage import data as photographs
from torch import nn
from torch.nn import functional as F
from torchvision.models import ResNet18_Weights
from torchvision.transforms import functional

from course_lib.models import OFFLINE, transfer_model
from course_lib.plots import plot_curves, plot_images, show
from course_lib.real_results import on_real

device = profile.device
torch.manual_seed(0)
whole = transfer_model(OFFLINE, None).to(device).eval()
names = ResNet18_Weights.DEFAULT.meta["categories"]  # of the 1,000 classes, in their usual order


# %%
def square(name):
    """A photograph (1, 3, 224, 224) in 0..1: the short side becomes 256 pixels, the middle stays."""
    pixels = torch.from_numpy(getattr(photographs, name)()).float() / 255
    pixels = pixels.expand(3, -1, -1) if pixels.ndim == 2 else pixels.permute(2, 0, 1)
    small = functional.resize(pixels, [256], functional.InterpolationMode.BICUBIC)
    return functional.center_crop(small, [224, 224])[None].clamp(0, 1).to(device)


def best_guess(logits):
    prob, label = logits.softmax(dim=1)[0].max(dim=0)
    return f"{names[label]} ({prob:.2f})"


# %% [markdown]
# The network takes the preparation from there. Its guess is the class with the largest probability:

# %% tags=["tol-0.1"]
pictures = {name: square(name) for name in ("chelsea", "coffee", "camera", "rocket")}
with torch.no_grad():
    said = [best_guess(whole(picture)) for picture in pictures.values()]
for name, guess in zip(pictures, said, strict=True):
    print(f"{name:8} {guess}")

# %%
figure = plot_images(torch.cat(list(pictures.values())).cpu(), list(pictures), columns=4)
show("four-photographs", figure)

# %% [markdown]
# What is right here is right because the network has seen other cats and other cups. The camera is not even called a
# camera, though ImageNet has cameras: the guess is one word, and the picture shows several things. And the rocket, for
# which there is no class, gets the nearest name, with a low probability.

# %% [markdown]
# ## 2. The input that it expects
#
# A network only knows images as they were prepared when it learned. This one wants 224 pixels, and numbers from -1 to
# 1: $(x - 0.5) / 0.5$ for bytes divided by 255. Others want ImageNet's mean and standard deviation taken out, color by
# color. If you forget, there is no error, only worse answers. `transfer_model` therefore makes the preparation a part
# of the network: it takes images in 0..1 of any size.
#
# **Before you run the cell:** which of these mistakes costs most?

# %%
four = torch.cat(list(pictures.values()))
mistakes = {
    "as it should be": four,
    "bytes from 0 to 255": 255 * four,
    "prepared twice": (four - 0.5) / 0.5,
    "not centered": four / 2 + 0.5,
    "red and blue exchanged": four.flip(1),
    "32 pixels, enlarged": F.interpolate(four, (32, 32), mode="bilinear", antialias=True),
    "upside down": four.flip(2),
}
with torch.no_grad():
    for name, given in mistakes.items():
        called = [names[label] for label in whole(given).argmax(dim=1)]
        print(f"{name:23} {', '.join(called)}")

# %% [markdown]
# Bytes leave one answer of four standing. Of the small pictures only a cat is left, and turning them upside down costs
# two answers. The other mistakes cost one or none here, and that is the trouble with them: no error, nothing that would
# tell you that your network works below its strength. By how much, only a set of labeled images can say.
#
# With torchvision's own networks you would prepare the images yourself: each set of weights knows how, as
# `weights.transforms()`. Numbers typed in by hand from an older tutorial are how such mistakes come about.

# %% [markdown]
# ## 3. A new head, and features once
#
# The last layer of the network turns 1,280 numbers, the *features* of an image, into 1,000 logits. Your images have
# other classes: ten, for CIFAR-10 or the simulated objects of lesson 4. So the head goes, and a new one with ten logits
# takes its place. Everything before it, the *backbone*, can be left as it is, which is called *freezing*. The network
# takes images of any size, since it averages its last maps over all positions; 64 pixels instead of 224 cost a twelfth
# of the time, and some accuracy. **Before you run the cell:** which fraction of the parameters will be left to learn?

# %%
import time

from course_lib.anatomy import count_parameters
from course_lib.data import Batches, PhotoAugmentation, load_chest_xray, load_cifar10

splits = load_cifar10(profile.source)
photos, photos_val = (  # in a new order, and of the real ones a part
    part.subset(torch.randperm(len(part))[:most])
    for part, most in ((splits.train, 2500), (splits.val, 1000))
)
size = profile.choose(simulated=64, real=128)
backbone = transfer_model(OFFLINE, None, image_size=size).to(device).eval()
for parameter in backbone.stages.parameters():
    parameter.requires_grad = False  # no gradient, so no optimizer will move it
head = nn.Linear(backbone.head.in_features, 10)
print(f"frozen stages: {count_parameters(backbone.stages):9,} parameters")
print(f"new head:      {count_parameters(head):9,} parameters")

# %% [markdown]
# Frozen layers give the same features for an image each time. So there is no need to compute them in every epoch: pass
# all images once, keep the features, and train the head on those.


# %%
@torch.no_grad()
def features_of(model, image_set):
    """Features (N, 1280) of all images of a set."""
    portions = image_set.images.to(device).split(128)
    return torch.cat([model.features(part.float() / 255).cpu() for part in portions])


started = time.perf_counter()
features, features_val = features_of(backbone, photos), features_of(backbone, photos_val)
extraction = time.perf_counter() - started
started = time.perf_counter()
optimizer = torch.optim.AdamW(head.parameters(), lr=1e-3)
for _ in range(20):  # epochs
    for rows in torch.randperm(len(features)).split(100):
        loss = F.cross_entropy(head(features[rows]), photos.labels[rows])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
training = time.perf_counter() - started
print("features:", tuple(features.shape))

# %% [markdown]
# **Before you run the cell:** the pass through the backbone and the twenty epochs of the head, which took longer?

# %% tags=["tol-x8"]
print(f"features of {len(features) + len(features_val):,} images: {extraction:5.1f} s")
print(f"twenty epochs of the head:    {training:5.1f} s")

# %% tags=["tol-0.1"]
right = head(features_val).argmax(dim=1) == photos_val.labels
print(f"validation accuracy: {right.double().mean():.2f}")
assert right.double().mean() > 0.3

# %% [markdown]
# Twenty epochs through the whole network would have taken twenty passes. The price: no augmentation, since each changed
# image would need features of its own. `extract_features` in `course_lib.training` is the function above for any
# network with `features` and any batches.
#
# A head on given features is logistic regression, and for that there is no need of a loop with a learning rate:
# scikit-learn finds the weights that fit the training images best, under a penalty on large ones (`C=0.01`; a larger
# `C` is a smaller penalty). `linear_probe` asks it, on features that were brought to mean 0 and standard deviation 1,
# and hands back an ordinary `nn.Linear`. Such a head is called a *linear probe*: it shows what the features know.

# %% tags=["tol-0.1"]
from course_lib.training import evaluate, extract_features, fit, linear_probe

probe = linear_probe(features, photos.labels)
right = probe(features_val).argmax(dim=1) == photos_val.labels
print(f"validation accuracy: {right.double().mean():.2f}")

# %% [markdown]
# ## 4. What is the knowledge worth?
#
# Compare three kinds of features under the same probe: the pixels themselves; those of the same network with *random*
# weights; and those of the trained one. Each with few labeled images and with
# more, and each three times with other images, since fifty images can be a lucky draw.


# %%
def draw(labels, count, seed):
    """Positions of `count` images, equally many of each class."""
    order = torch.randperm(len(labels), generator=torch.Generator().manual_seed(seed))
    classes = labels.unique()
    return torch.cat([order[labels[order] == k][: count // len(classes)] for k in classes])


def probed(kinds, labels, labels_val, counts, score):
    """For each kind of features and each number of images, the scores of three draws."""
    scores = {}
    for kind, (known, asked) in kinds.items():
        for count in counts:
            rows = [draw(labels, count, seed) for seed in range(3)]
            heads = [linear_probe(known[some], labels[some]) for some in rows]
            scores[kind, count] = [score(head(asked).detach(), labels_val) for head in heads]
            low, high = min(scores[kind, count]), max(scores[kind, count])
            print(f"{kind:18} {count:5} images: {low:.2f} to {high:.2f}")
    return scores


def accuracy(logits, labels):
    return (logits.argmax(dim=1) == labels).double().mean().item()


# %%
def pixels_of(image_set):
    return image_set.images.flatten(start_dim=1).float() / 255  # (N, C * H * W)


torch.manual_seed(0)
random = transfer_model(OFFLINE, None, image_size=size, weights="random").to(device).eval()
kinds = {
    "pixels": (pixels_of(photos), pixels_of(photos_val)),
    "random features": (features_of(random, photos), features_of(random, photos_val)),
    "ImageNet features": (features, features_val),
}

# %% [markdown]
# Each line will give the lowest and the highest of three draws.

# %%
from course_lib.widgets import Predict

Predict("5.1")

# %% tags=["tol-0.12"]
counts = profile.choose(simulated=(40, 160, 640), real=(40, 160, 640, 2000))
on_photos = probed(kinds, photos.labels, photos_val.labels, counts, accuracy)
assert min(on_photos["ImageNet features", 640]) > max(on_photos["pixels", 640])
assert min(on_photos["ImageNet features", 640]) > max(on_photos["random features", 640])


# %% [markdown]
# Their means as a picture:


# %%
def curves_of(scores):
    """Mean of the draws against the number of labeled images, by kind."""
    curves = {}
    for (kind, count), values in scores.items():
        numbers, means = curves.setdefault(kind, ([], []))
        numbers.append(count)
        means.append(sum(values) / len(values))
    return curves


figure = plot_curves(
    curves_of(on_photos), xlabel="labeled images", ylabel="validation accuracy", log_x=True
)
show("probe-on-objects", figure)

# %% [markdown]
# ImageNet holds photographs. On CIFAR-10 its features should be worth more than on simulated objects: compare the
# distance from the upper curve to the others in both panels.

# %%
on_real("05.photos", on_photos, photos_val)

# %% [markdown]
# Read the picture sideways, since labels are what costs: with how many labeled images are the features as good as
# pixels are with 640? And with how many are pixels as good as features with forty? The distance is there even for
# simulated objects, which no photograph of ImageNet resembles. And the shape of the network alone is worth little: what
# random weights make of the pixels serves the probe hardly better than the pixels themselves, or worse.

# %% [markdown]
# ## 5. Gray images, and where the knowledge helps less
#
# The X-rays of lessons 2 and 3 have one channel, and the first convolution wants three. One could copy the gray image
# three times. But then three filter slices are multiplied with the same numbers, and $w_r x + w_g x + w_b x = (w_r +
# w_g + w_b)\,x$: add up the weights over color, once, and a third of this layer's work remains.
# **Before you run the cell:**
# some take the mean of the three slices instead. What does that do to the output?

# %%
weight = whole.stages.stem[0].weight.detach().cpu()  # (32, 3, 3, 3)
gray = torch.rand(2, 1, 64, 64)
copied = F.conv2d(gray.expand(-1, 3, -1, -1), weight, stride=2)
summed = F.conv2d(gray, weight.sum(dim=1, keepdim=True), stride=2)
averaged = F.conv2d(gray, weight.mean(dim=1, keepdim=True), stride=2)
print("sum equals three copies:", torch.allclose(summed, copied, atol=1e-5))
print(f"mean: {averaged.norm() / copied.norm():.2f} of the strength")

# %% [markdown]
# With a third of the strength, everything behind it gets input that it has never seen. The sum is exact. (Where a
# network is given other means and deviations for each color, it is nearly so.) `transfer_model(name, 2, 1)` builds the
# network for one channel in this way. Now the same comparison as before on chest X-rays, scored by the AUC of lesson 3.
# **Before you run the cells:** will pixels be as far behind as they were for photographs?

# %%
from course_lib.metrics import binary_auc

xray_splits = load_chest_xray(profile.source, image_size=96)
xrays, xrays_val = (
    part.subset(torch.randperm(len(part))[:1500]) for part in (xray_splits.train, xray_splits.val)
)
torch.manual_seed(0)
xray_backbone = transfer_model(OFFLINE, 2, 1, image_size=96).to(device).eval()
xray_kinds = {"pixels": (pixels_of(xrays), pixels_of(xrays_val))}
random = transfer_model(OFFLINE, 2, 1, image_size=96, weights="random").to(device).eval()
for kind, model in (("random features", random), ("ImageNet features", xray_backbone)):
    xray_kinds[kind] = (features_of(model, xrays), features_of(model, xrays_val))


# %% tags=["tol-0.1"]
def area(logits, labels):
    return binary_auc(logits.softmax(dim=1)[:, 1], labels)


on_xrays = probed(xray_kinds, xrays.labels, xrays_val.labels, (40, 160, 640), area)
assert min(on_xrays["ImageNet features", 640]) > max(on_xrays["random features", 640])

# %% [markdown]
# The means of the three draws:

# %%
figure = plot_curves(
    curves_of(on_xrays), xlabel="labeled X-rays", ylabel="validation AUC", log_x=True
)
show("probe-on-xrays", figure, source=profile.source)

# %% [markdown]
# And on the real X-rays, look at how close the pixels come, and at how wide the bands are with forty labels.

# %%
on_real("05.xrays", on_xrays, xrays_val)

# %% [markdown]
# The accuracy for ten classes and the AUC for two cannot be compared, but numbers of labels can. For each task: with
# how few labeled images do ImageNet features reach what pixels reach with 640?

# %%
for task, scores in (("photographs", on_photos), ("X-rays", on_xrays)):
    mean = {key: sum(values) / len(values) for key, values in scores.items()}
    enough = [
        count
        for (kind, count) in scores
        if kind == "ImageNet features" and mean[kind, count] >= mean["pixels", 640]
    ]
    print(f"{task:11} {min(enough, default='more than 640')} labels instead of 640")

# %% [markdown]
# The features help here too, but look at the pixels: now they are worth something by themselves. All X-rays show the
# same thing from the same side at the same size, so that each position in the image has a meaning, as it never has in a
# photograph. A probe on pixels can use that, whether it is the disease or the way in which the pictures were taken
# (lesson 6 asks which). What a backbone is worth depends on the task, so measure it against pixels before you believe
# in it.

# %% [markdown]
# ## 6. When is a network frozen?
#
# `requires_grad = False` keeps the optimizer away from the weights. Is that enough? Here are two functions to find out,
# one that remembers all that the stages hold and one that lists what has changed since, and a network to try them on:


# %%
def state_of(model):
    return {name: tensor.clone() for name, tensor in model.stages.state_dict().items()}


def changed_since(before, model):
    after = model.stages.state_dict()
    return [name for name in before if not torch.equal(before[name], after[name])]


def begin(head=None, weights="imagenet"):
    """The network for ten classes, with a probe as its head if there is one."""
    torch.manual_seed(0)
    model = transfer_model(OFFLINE, 10, image_size=size, weights=weights).to(device)
    if head is not None:
        model.head.load_state_dict(head.state_dict())
    return model


# %% [markdown]
# All parameters of the stages are frozen, and the head is the probe of section 3. Then eight batches pass through the
# network in training mode.

# %%
Predict("5.2")

# %% tags=["tol-0.12"]
from course_lib.runtime import Precision

FLOAT32 = Precision(device.type, None)
on_val = Batches(photos_val, 250, device=device)
model = begin(probe)
for parameter in model.stages.parameters():
    parameter.requires_grad = False
print(f"accuracy before: {evaluate(model, on_val).accuracy:.2f}")
before = state_of(model)
nn.Module.train(model)  # what `train()` does in an ordinary network
with torch.no_grad():
    for images, _ in Batches(photos.subset(range(256)), 32, device=device):
        model(images)
changed = changed_since(before, model)
print(
    len(changed),
    "of",
    len(before),
    "tensors changed:",
    *sorted({n.rsplit(".", 1)[1] for n in changed}),
)
after = evaluate(model, on_val).accuracy
print(f"accuracy after:  {after:.2f}")

# %% [markdown]
# The names in the list are the running mean and variance of each batch norm, and its count of batches. They are no
# parameters, so they need no gradient to move, and `requires_grad` says nothing about them. The head was fitted to the
# features as they were before. The fix: frozen layers belong in evaluation mode, and have to stay there when
# `model.train()` is called, as every training loop does. So a network that should keep its frozen stages needs a
# `train` of its own:


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
assert after < accuracy(probe(features_val), photos_val.labels) - 0.05

# %% [markdown]
# The networks of `transfer_model` have such a `train`; `freeze` and `unfreeze` set `requires_grad` stage by stage.
# **Before you run the cell:** with two stages unfrozen and all batch norms left free to move, what changes in one
# epoch?

# %%
from course_lib.models import freeze, parameter_groups, unfreeze

few_val = Batches(photos_val.subset(range(32)), 32, device=device)  # for `fit`, which wants some
model = begin(probe)
model.frozen_batch_norm = False  # the next paragraphs say what this is
freeze(model)
unfreeze(model, "stage7", "stage8")
before = state_of(model)
data = Batches(photos.subset(range(64)), 32, device=device)
groups = parameter_groups(model, 1e-3)
fit(model, data, few_val, epochs=1, parameter_groups=groups, precision=FLOAT32)
changed = changed_since(before, model)
moved = [name for name in changed if "running" in name]
print("stages:", *dict(model.stages.named_children()))
print(len(changed), "tensors changed, in", *sorted({name.split(".")[0] for name in changed}))
print(len(moved), "of them batch-norm statistics")
assert moved
assert all(name.startswith(("stage7", "stage8")) for name in changed)

# %% [markdown]
# Bit for bit the rest is what it was, weights and statistics.

# %% [markdown]
# Should the statistics move at least in layers that learn? In training, batch norm standardizes by the numbers of the
# batch at hand; in evaluation, by the running ones, which lag behind. In a long training they catch up. In a short one
# the network is trained on one kind of input and judged on another. **Before you run the cell:** the same short
# fine-tuning twice, from the same probe, on 160 images. How much do moving statistics cost?


# %%
LOOKS = profile.choose(simulated=480, real=2000)  # how many images each training may look at


def tune(model, images, *, rate=5e-4, decay=0.7, looks=LOOKS):
    """Train what is not frozen, until `looks` images were seen, each as often as the others."""
    rounds = -(-looks // len(images))
    order = torch.cat([torch.randperm(len(images)) for _ in range(rounds)])[:looks]
    changed = PhotoAugmentation(shift=2)
    data = Batches(images.subset(order), 32, augment=changed, device=device)
    groups = parameter_groups(model, rate, decay=decay)
    fit(model, data, few_val, epochs=1, parameter_groups=groups, precision=FLOAT32)


# %% tags=["tol-0.15"]
some = draw(photos.labels, 160, seed=0)
head = linear_probe(features[some], photos.labels[some])
tuned = {}
for name, frozen in (("moving statistics", False), ("frozen statistics", True)):
    model = begin(head)
    model.frozen_batch_norm = frozen
    tune(model, photos.subset(some))
    tuned[name] = evaluate(model, on_val).accuracy
    print(f"{name}: {tuned[name]:.2f}")
print(f"the probe before: {accuracy(head(features_val), photos_val.labels):.2f}")
assert tuned["frozen statistics"] > tuned["moving statistics"]

# %% [markdown]
# A smaller learning rate does not fix it: as the first cell of this section showed, statistics move and do their damage
# with no learning at all. So `transfer_model` keeps the statistics of ImageNet in training as well
# (`frozen_batch_norm`), wherever ImageNet's weights were loaded. With frozen statistics, fine-tuning does the probe
# little harm here, and little good; there is more on that below. The scale and shift of each batch norm are ordinary
# parameters, and learn.

# %% [markdown]
# ## 7. Further than the head
#
# A probe leaves the features as they are. *Fine-tuning* changes them. How far, and where? Early layers know what all
# images share, edges and colors; late ones know ImageNet's classes. So early layers need less change, and a common
# recipe gives each stage a smaller learning rate than the one after it. An optimizer takes a list of *parameter groups*
# for that, each with its own rate:

# %%
model = begin()
parts = [model.head, *reversed(model.stages[:-1])]  # the last, the pooling, has no parameters
by_hand = [
    {"params": list(part.parameters()), "lr": 1e-3 * 0.7**depth} for depth, part in enumerate(parts)
]
for mine, imported in zip(by_hand, parameter_groups(model, 1e-3, decay=0.7), strict=True):
    assert mine["lr"] == imported["lr"]
    assert all(p is q for p, q in zip(mine["params"], imported["params"], strict=True))
print("rates from head to stem:", *(f"{group['lr']:.2g}" for group in by_hand))

# %% [markdown]
# Now a contest. *Head only* trains the new head and leaves the stages frozen, in the loop, with augmentation.
# *Layer-wise* starts from the probe and trains all, the rate falling toward the stem. *Gradual* starts from the probe,
# unfreezes the last three stages for the first half of the time and three more for the second. *From scratch* is the
# same network with random weights, all of it trained.
#
# The budgets of these four are equal: each may look at the same number of images, and the fewer labeled ones there are,
# the more often it sees each. Beside them stand the two probes of section 4, on ImageNet's features and on random ones,
# which look at each image once. **Before you run the cell:** which wins with forty images, and which with the most?


# %%
def head_only(images, probe):
    model = begin()
    freeze(model)
    tune(model, images, rate=5e-3)
    return model


def layer_wise(images, probe):
    model = begin(probe)
    tune(model, images)
    return model


def gradual(images, probe):
    model = begin(probe)
    freeze(model)
    for stages in (("stage6", "stage7", "stage8"), ("stage3", "stage4", "stage5")):
        unfreeze(model, *stages)
        tune(model, images, looks=LOOKS // 2)
    return model


# %% [markdown]
# A network from scratch needs statistics of its own images, and in a training as short as this one the running ones lag
# behind. So `update_bn` recomputes them at the end, from one more pass:

# %%
from torch.optim.swa_utils import update_bn


def from_scratch(images, probe):
    model = begin(weights="random")
    tune(model, images, rate=3e-3, decay=1.0)
    update_bn(Batches(images, 32, device=device), model)
    return model


# %% tags=["tol-0.15"]
contest = {}
seconds = {}
for count in profile.choose(simulated=(40, 160, 480), real=(40, 160, 2000)):
    some = draw(photos.labels, count, seed=0)
    for name, kind in (("probe", "ImageNet features"), ("random probe", "random features")):
        known, asked = kinds[kind]
        found = linear_probe(known[some], photos.labels[some])
        contest[name, count] = [accuracy(found(asked), photos_val.labels)]
        head = found if name == "probe" else head
    for method in (head_only, layer_wise, gradual, from_scratch):
        started = time.perf_counter()
        model = method(photos.subset(some), head)
        name = method.__name__.replace("_", " ")
        seconds[name] = time.perf_counter() - started
        contest[name, count] = [evaluate(model, on_val).accuracy]
for (name, count), (value,) in contest.items():
    print(f"{name:12} {count:4} images: {value:.2f}")
for name in ("head only", "layer wise", "gradual"):
    assert contest[name, count] > contest["from scratch", count]

# %% [markdown]
# The lesson's picture, then: what each way makes of few labels and of more.

# %%
figure = plot_curves(
    curves_of(contest), xlabel="labeled images", ylabel="validation accuracy", log_x=True
)
show("six-ways-to-use-labels", figure)

# %% [markdown]
# With photographs, at full length: which ways still gain when there are more labels, and does any of them leave the
# probe behind?

# %%
on_real("05.contest", contest, photos_val)

# %% [markdown]
# What each way costs:

# %% tags=["tol-x8"]
for name, taken in seconds.items():
    print(f"{name:12} {taken:5.1f} s for {LOOKS} images seen")

# %% [markdown]
# One training each is one draw, and the draws of section 4 tell how far apart draws lie, so small distances say
# nothing. What can be said: all that begins at ImageNet ends far above what begins at random weights, which after so
# few images are hardly better than chance.
#
# And tuning is no certain gain over the probe, which costs seconds for all of these budgets together, while the others
# pay for each image that they see: a forward pass for the head only, gradients for the others. So the order of work is:
# probe first; then fine-tune from the probe, for as long as you can afford, and keep that only if validation says that
# it paid.

# %% [markdown]
# ## 8. What it knew before
#
# "Accuracy with forty labeled images" keeps quiet about the 1.28 million labels that ImageNet took. If your classes
# are among its thousand, the backbone has already been told the answer. (ImageNet has no deer, only its relatives.)
# **Before you run the cells:** can the whole
# network, with its old head, sort your images without a single label of yours? For photographs, add up what it gives to
# the names that belong to each class. For simulated objects there are no such names, so look at what it calls them.

# %%
OURS = {
    "airplane": "airliner, warplane, airship",
    "automobile": "convertible, sports car, minivan, cab, beach wagon, limousine, jeep, racer, Model T",
    "bird": "cock, hen, ostrich, goldfinch, robin, jay, magpie, bald eagle, vulture, hummingbird, flamingo",
    "cat": "tabby, tiger cat, Persian cat, Siamese cat, Egyptian cat",
    "deer": "impala, gazelle, hartebeest, ibex",
    "dog": "beagle, Chihuahua, Maltese dog, pug, golden retriever, German shepherd, toy poodle, Pekinese",
    "frog": "bullfrog, tree frog, tailed frog",
    "horse": "sorrel, zebra",
    "ship": "container ship, liner, speedboat, schooner, pirate, trimaran, fireboat, lifeboat",
    "truck": "trailer truck, garbage truck, moving van, tow truck, pickup, fire engine",
}


def without_labels(probs):
    """The class of ours whose names get most, (N,)."""
    groups = [[names.index(name) for name in listed.split(", ")] for listed in OURS.values()]
    return torch.stack([probs[:, group].sum(dim=1) for group in groups], dim=1).argmax(dim=1)


# %% tags=["tol-0.2"]
probs = evaluate(transfer_model(OFFLINE, None, image_size=size).to(device), on_val).probs
if profile.source == "real":
    answers = without_labels(probs)
    right = answers == photos_val.labels
    for label, name in enumerate(photos.classes):
        print(f"{name:11} {right[photos_val.labels == label].double().mean():.2f} without a label")
    print(f"{'all':11} {right.double().mean():.2f}")
else:
    for label, name in enumerate(photos.classes[:4]):
        calls = probs[photos_val.labels == label].argmax(dim=1)
        print(
            f"{name:22}",
            names[calls.mode().values],
            f"{(calls == calls.mode().values).double().mean():.2f}",
        )

# %% [markdown]
# Of simulated objects nothing can have leaked: the names have nothing to do with the classes. Of photographs, whatever
# is sorted better than chance, .10, was sorted without a label of yours. The curve of section 4 counts *your* labels,
# and says little of what would happen with classes that ImageNet never had.
#
# A second leak is worse: collections are gathered from the same web, so an image of your test set may lie in the
# backbone's training set, label and all. For medical images that were published before a backbone was trained, one has
# to ask. And one leak has nothing to do with pretraining: if you try seven backbones on the test images, you have
# chosen by them.

# %% [markdown]
# ## 9. Choosing a backbone
#
# Seven networks stand ready under one name each. Six are torchvision's, and their weights come from its server at first
# use: verified by their hash, kept in the course's data folder, and fetched further if the connection breaks. Accuracy
# on ImageNet is published with them. Cost can be measured without weights, since random ones multiply as slowly.
# **Before you run the cell:** of two networks with as many multiply-adds, which is slower: the one with large
# convolutions, or the one with many small ones?

# %%
from torchvision import models as torchvision_models

from course_lib.anatomy import trace_shapes
from course_lib.models import BACKBONES

published = {OFFLINE: 75.1}  # by its authors; the others' accuracies are torchvision's
networks = {}
for name in BACKBONES:
    networks[name] = transfer_model(name, None, weights="random").to(device).eval()
    networks[name].to(memory_format=torch.channels_last)
    if name != OFFLINE:
        meta = torchvision_models.get_model_weights(name).DEFAULT.meta
        published[name] = meta["_metrics"]["ImageNet-1K"]["acc@1"]


def milliseconds(model, images, rounds=3):
    """The shortest of some passes."""
    times = []
    with torch.no_grad():
        for _ in range(rounds + 1):  # the first one warms up
            started = time.perf_counter()
            model(images).sum().item()  # `item` waits for a GPU
            times.append(time.perf_counter() - started)
    return 1000 * min(times[1:])


# %% tags=["tol-x8"]
print("                                    million   billion")
print("backbone               px  ImageNet  param.  mult-adds     ms/image    ms/billion")
for name, model in networks.items():
    side = model.image_size
    trace = trace_shapes(model, (1, 3, side, side))
    image = torch.rand(1, 3, side, side, device=device).to(memory_format=torch.channels_last)
    taken, work = milliseconds(model, image), trace.multiply_adds / 1e9
    print(f"{name:21} {side:3}   {published[name]:.1f} % {trace.parameters / 1e6:7.1f}", end=" ")
    print(f"{work:10.2f} {taken:12.1f} {taken / work:13.1f}")

# %% [markdown]
# Look at the last column: a billion multiply-adds take several times as long in the networks of depthwise convolutions,
# the first three, as in ResNet-18. A depthwise convolution reads much for little arithmetic. (One image at a time, on
# the device of this page, the best of three.) Accuracies mix network and recipe: ResNet-50's weights are from a newer
# training than ResNet-18's. And accuracy on ImageNet does not decide how well features serve *you*. Take the smallest
# that could do, probe it, and change to a larger one if validation says that it is better.

# %% [markdown]
# ## 10. Taking it with you
#
# A trained network in Python needs this course, torch, and the source that built it. `torch.export` traces it into a
# graph of plain operations that is stored in one file, and loaded by any Python with torch, without this course. (Tools
# for C++ and telephones, AOTInductor and ExecuTorch, start from the same graph.) The preparation of the images is in
# the graph, since it is a part of the network. **Before you run the cell:** the example batch has two images. Will the
# stored program take five?

# %%
import tempfile
from pathlib import Path

torch.manual_seed(0)
final = transfer_model(OFFLINE, 10, image_size=size).eval()
final.head = linear_probe(features, photos.labels).eval()
example = torch.rand(2, 3, 32, 32)
several = {"images": {0: torch.export.Dim("batch", min=1)}}  # any number of images
program = torch.export.export(final, (example,), dynamic_shapes=several)
with tempfile.TemporaryDirectory() as folder:
    path = Path(folder) / "photos.pt2"
    torch.export.save(program, path)
    megabytes = path.stat().st_size / 1e6
    stored = torch.export.load(path).module()
five = photos_val.images[:5].float() / 255
with torch.no_grad():
    torch.testing.assert_close(stored(five), final(five), atol=1e-3, rtol=0)
print(f"{megabytes:.0f} MB; five images give the logits of the module, to 0.001")
print("operations:", len([node for node in program.graph.nodes if node.op == "call_function"]))

# %% tags=["tol-x8"]
for name, model in (("as a module", final), ("as an exported program", stored)):
    print(f"{name:23} {milliseconds(model, five[:1]):6.1f} ms per image")

# %% [markdown]
# Equal within rounding, and, run as it is, about as fast. (Faster than in the table of section 9: there the images had
# 224 pixels.) The number of images is free, their 32x32 pixels are fixed in the file. What is *not* in it is what the
# logits mean. The names of the classes, the threshold and the limits of use belong beside it, as in the run folder of
# lesson 3.

# %% [markdown]
# ## 11. Your own images in one command
#
# With a folder for each class, as in lesson 4:
#
#     course train transfer --task folder --root my-pictures --out runs/mine
#     course predict runs/mine some-picture.jpg
#
# The first command cuts validation and test, fits a probe, fine-tunes from it with layer-wise rates, and writes curves,
# scores and a model card. `--task pneumonia` and `--task cifar10` do so with the data of the course, and `--backbone`
# takes any name from section 9.
#
# ## 12. The test images, once
#
# For photographs: the probe on all images of this page. For X-rays likewise. Nothing was chosen on these images.
# **Before you run the cell:** write down what you expect.

# %% tags=["tol-0.1"]
from course_lib.metrics import binary_report, choose_threshold, multiclass_report

few_test = splits.test.subset(torch.randperm(len(splits.test))[:1000])
report = multiclass_report(
    evaluate(final.to(device), Batches(few_test, 250, device=device)).probs, few_test.labels
)
low, high = report.ci95["accuracy"]
print(
    f"photographs: accuracy {report.accuracy:.2f}, 95% interval {low:.2f} to {high:.2f}, {report.n} images"
)

xray_backbone.head = linear_probe(xray_kinds["ImageNet features"][0], xrays.labels).to(device)
probs_val = evaluate(xray_backbone, Batches(xrays_val, 250, device=device)).probs[:, 1]
threshold = choose_threshold(probs_val, xrays_val.labels)
outcome = evaluate(xray_backbone, Batches(xray_splits.test, 250, device=device))
report = binary_report(outcome.probs[:, 1], outcome.labels, threshold=threshold)
print(f"X-rays, {report.n} images, {outcome.labels.double().mean():.2f} of them with pneumonia:")
for name in ("auc", "accuracy", "sensitivity", "specificity"):
    low, high = report.ci95[name]
    print(f"  {name:11} {getattr(report, name):.2f}, 95% interval {low:.2f} to {high:.2f}")

# %% [markdown]
# The real test X-rays come from another mixture of patients than those that the threshold was chosen on. Look at
# sensitivity and specificity: which of the two pays for it?

# %%
on_real("05.test", {"probe": report}, xray_splits.test)

# %% [markdown]
# The threshold was chosen on validation, for the largest sum of sensitivity and specificity. All X-rays are of one
# kind: one hospital's children, or one simulation. The network is not for diagnosis.

# %% [markdown]
# ## Summary
#
# A network that was trained on a million photographs carries features that serve other images: without it many times as
# many labels would be needed. A new head is all it needs at first, and features are computed once. The preparation of
# the images belongs to the network. Frozen means weights and statistics, and in short trainings the statistics stay
# frozen everywhere.
#
# Fine-tuning begins at the probe, costs gradients for each image, and is kept if validation says that it paid. Gray
# images go in through weights that were summed over color. What the backbone was told before counts as knowledge, and
# may be a leak. And what is finished can be exported, and checked.

# %% [markdown]
# ## Quiz
#
# Click an answer, or reach it with Tab and press the space bar, and read why. First tries count, and your score is
# kept when you reload the page.

# %%
from course_lib.widgets import Quiz

Quiz(5)

# %% [markdown]
# ## Exercises
#
# [Exercises 5](exercises/05_transfer_learning.ipynb) sets six tasks, from one line to a real piece of work. Each asks
# for a function, a cell below it checks yours at once, and hints come in steps.
#
# And four questions that only an experiment answers. Repeat section 4 with `size = 96`: what do larger images bring,
# and what do they cost? Take features after stage 4, the mean over each map: for which task are they better? Fine-tune
# from the probe with `decay` 0.5, 0.7 and 1.0, three seeds each: is there a difference beyond the seeds? And choose the
# forty images to be labeled as far apart in features as possible: does the probe gain?

# %% [markdown]
# ## What you may now import
#
# From `course_lib.models`: `transfer_model`, `freeze`, `unfreeze`, `parameter_groups`, `BACKBONES`. From
# `course_lib.training`: `extract_features` and `linear_probe`. The features are those that you computed here:

# %%
torch.manual_seed(0)
model = transfer_model(OFFLINE, 10, image_size=size).to(device)
imported, labels = extract_features(model, Batches(photos_val, 128, device=device))
print("same features:", torch.allclose(features_val, imported, atol=1e-3))

# %% [markdown]
# Next, lesson 6: *what does the network see?* You will look inside, ask which pixels an answer rests on, and test
# whether such pictures tell the truth.
