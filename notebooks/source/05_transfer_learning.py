# %% [markdown]
# # 5. Transfer learning
#
# A network that has learnt a million photographs knows what edges, textures and parts look like. You will take such a
# network, give it a new head, and find out what its knowledge is worth: for photographs, for radiographs, with fifty
# labelled images and with a thousand. You will freeze layers and check that they stay frozen, choose among famous
# networks by what they cost, feed grey images into a network for colour, and store the result so that it runs without
# this course. Everything works without a connection to the network.
#
# Prerequisites: lessons 2 to 4 (chest X-rays, the training loop, CIFAR-10). Two minutes of computing on two cores, a
# quarter of an hour with real images, and about three hours of your own.

# %% tags=["setup"]
import importlib.util
import subprocess
import sys

if importlib.util.find_spec("course_lib") is None:  # on Colab or Kaggle: fetch the course first
    repository = "git+https://example.org/cnn-course.git"
    subprocess.run([sys.executable, "-m", "pip", "install", "--quiet", repository], check=True)
from course_lib.lessons import start_lesson

profile = start_lesson(5)

# %% [markdown]
# ## 1. A network that has seen a million photographs
#
# ImageNet is a collection of 1.28 million photographs in 1,000 classes, among them 120 breeds of dogs, espresso and
# tripods. Networks that were trained on it are published with their weights. The one below is EfficientNet-Lite0 (Tan
# and Le 2019): eight stages of the MBConv blocks that you built in lesson 4, without squeeze and excitation. Its
# weights were installed together with the course, so no download is needed. `None` says: keep the head for the 1,000
# classes.
#
# **Before you run the cell:** it will be shown four photographs that scikit-image ships. The camera picture is grey,
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
show(
    plot_images(torch.cat(list(pictures.values())).cpu(), list(pictures), columns=4),
    "Four photographs: the face of a ginger cat, a cup of coffee with a spoon, a grey picture of a man "
    "with a camera on a tripod, and a rocket on its launch pad at night.",
)

# %% [markdown]
# What is right here is right because the network has seen other cats and other cups. The camera is not even called a
# camera, though ImageNet has cameras: one word for a picture of several things is all it can give. And the rocket, for
# which there is no class, gets the nearest name, with little trust.

# %% [markdown]
# ## 2. The input that it expects
#
# A network only knows images as they were prepared when it learnt. This one wants 224 pixels, and numbers from -1 to 1:
# $(x - 0.5) / 0.5$ for bytes divided by 255. Others want ImageNet's mean and standard deviation taken out, colour by
# colour. Whoever forgets gets no error, only worse answers. `transfer_model` therefore makes the preparation a part of
# the network: it takes images in 0..1 of any size.
#
# **Before you run the cell:** which of these mistakes costs most?

# %%
four = torch.cat(list(pictures.values()))
mistakes = {
    "as it should be": four,
    "bytes from 0 to 255": 255 * four,
    "prepared twice": (four - 0.5) / 0.5,
    "not centred": four / 2 + 0.5,
    "red and blue exchanged": four.flip(1),
    "32 pixels, enlarged": F.interpolate(four, (32, 32), mode="bilinear", antialias=True),
    "upside down": four.flip(2),
}
with torch.no_grad():
    for name, given in mistakes.items():
        called = [names[label] for label in whole(given).argmax(dim=1)]
        print(f"{name:23} {', '.join(called)}")

# %% [markdown]
# Bytes are fatal, and so is too little detail for two of the four. The other mistakes cost one answer or none, and that
# is the trouble with them: nothing tells you that your network works below its strength.
#
# With torchvision's own networks you would prepare the images yourself: each set of weights knows how, as
# `weights.transforms()`. What is in older tutorials, `pretrained=True` and numbers typed in by hand, is how such
# mistakes come about.

# %% [markdown]
# ## 3. A new head, and features once
#
# The last layer of the network turns 1,280 numbers, the *features* of an image, into 1,000 logits. Your images have
# other classes: ten, for CIFAR-10 or the simulated objects of lesson 4. So the head goes, and a new one with ten logits
# takes its place. Everything before it can be *frozen*: left as it is. **Before you run the cell:** which share of the
# parameters will be left to learn?

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
def features_of(image_set):
    """Features (N, 1280) of all images of a set."""
    portions = image_set.images.to(device).split(128)
    return torch.cat([backbone.features(part.float() / 255).cpu() for part in portions])


started = time.perf_counter()
features, features_val = features_of(photos), features_of(photos_val)
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
# scikit-learn finds the best weights there are. `linear_probe` asks it, on features that were brought to mean 0 and
# standard deviation 1, and hands back an ordinary `nn.Linear`. The name says what it is for: a *probe* into what
# features know.

# %% tags=["tol-0.1"]
from course_lib.training import evaluate, extract_features, fit, linear_probe

found = linear_probe(features, photos.labels)
right = found(features_val).argmax(dim=1) == photos_val.labels
print(f"validation accuracy: {right.double().mean():.2f}")

# %% [markdown]
# ## 4. What is the knowledge worth?
#
# Compare three kinds of features under the same probe: the pixels themselves; those of the same network with *random*
# weights; and those of the trained one. Random features are no straw man: convolution and pooling alone already mix
# pixels usefully. Each with few labelled images and with more, and each three times with other images, since fifty
# images can be a lucky draw. **Before you run the cells:** sketch the three curves, accuracy against number of labelled
# images.


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


# %% tags=["tol-0.12"]
def pixels_of(image_set):
    return image_set.images.flatten(start_dim=1).float() / 255  # (N, C * H * W)


backbone = transfer_model(OFFLINE, None, image_size=size, weights="random").to(device).eval()
kinds = {
    "pixels": (pixels_of(photos), pixels_of(photos_val)),
    "random features": (features_of(photos), features_of(photos_val)),
    "ImageNet features": (features, features_val),
}
counts = profile.choose(simulated=(40, 160, 640), real=(40, 160, 640, 2000))
on_photos = probed(kinds, photos.labels, photos_val.labels, counts, accuracy)
assert min(on_photos["ImageNet features", 640]) > max(on_photos["pixels", 640])
assert min(on_photos["ImageNet features", 640]) > max(on_photos["random features", 640])


# %% [markdown]
# Each line gives the lowest and the highest of three draws. Their means as a picture:


# %%
def curves_of(scores):
    """Mean of the draws against the number of labelled images, by kind."""
    curves = {}
    for (kind, count), values in scores.items():
        numbers, means = curves.setdefault(kind, ([], []))
        numbers.append(count)
        means.append(sum(values) / len(values))
    return curves


show(
    plot_curves(
        curves_of(on_photos),
        xlabel="labelled images",
        ylabel="validation accuracy",
        log_x=True,
    ),
    "Validation accuracy against the number of labelled images for three kinds of features. The curve "
    "of ImageNet features lies far above those of pixels and of random features.",
)

# %% [markdown]
# Read the picture sideways: how many labelled images do pixels need to be as good as ImageNet features are with forty?
# That is what pretraining is worth in labels, and labels are what costs. The distance is there even for simulated
# objects, which no photograph of ImageNet resembles: what a texture is, and where something ends, the network can tell
# of anything. With real photographs the distance is larger still.

# %% [markdown]
# ## 5. Grey images, and where the knowledge helps less
#
# The X-rays of lessons 2 and 3 have one channel, and the first convolution wants three. One could copy the grey image
# three times. But then three filter slices are multiplied with the same numbers, and $w_r x + w_g x + w_b x = (w_r +
# w_g + w_b)\,x$: add up the weights over colour, once, and a third of the work remains. **Before you run the cell:**
# some take the mean of the three slices instead. What does that do to the output?

# %%
weight = backbone.stages.stem[0].weight.detach().cpu()  # (32, 3, 3, 3)
grey = torch.rand(2, 1, 64, 64)
copied = F.conv2d(grey.expand(-1, 3, -1, -1), weight, stride=2)
summed = F.conv2d(grey, weight.sum(dim=1, keepdim=True), stride=2)
averaged = F.conv2d(grey, weight.mean(dim=1, keepdim=True), stride=2)
print("sum equals three copies:", torch.allclose(summed, copied, atol=1e-5))
print(f"mean: {averaged.norm() / copied.norm():.2f} of the strength")

# %% [markdown]
# With a third of the strength, everything behind it gets input such as it has never seen. The sum is exact. (Where a
# network takes out another mean for each colour, it is exact up to a small constant.) `transfer_model(name, 2, 1)`
# builds the network for one channel so. Now the same comparison as before on chest X-rays, scored by the area under the
# ROC curve of lesson 3. **Before you run the cells:** larger distances than for photographs, or smaller?

# %% tags=["tol-0.1"]
from course_lib.metrics import binary_auc

xray_splits = load_chest_xray(profile.source, image_size=96)
xrays, xrays_val = (
    part.subset(torch.randperm(len(part))[:1500]) for part in (xray_splits.train, xray_splits.val)
)
kinds = {"pixels": (pixels_of(xrays), pixels_of(xrays_val))}
for kind, weights in (("random features", "random"), ("ImageNet features", "imagenet")):
    torch.manual_seed(0)
    backbone = transfer_model(OFFLINE, 2, 1, image_size=96, weights=weights).to(device).eval()
    kinds[kind] = (features_of(xrays), features_of(xrays_val))
on_xrays = probed(
    kinds,
    xrays.labels,
    xrays_val.labels,
    (40, 160, 640),
    lambda logits, labels: binary_auc(logits.softmax(dim=1)[:, 1], labels),
)

# %%
show(
    plot_curves(
        curves_of(on_xrays),
        xlabel="labelled X-rays",
        ylabel="area under the ROC curve",
        log_x=True,
    ),
    "Area under the ROC curve on validation X-rays against the number of labelled X-rays, for pixels, "
    "random features and ImageNet features.",
)

# %% [markdown]
# The features help here too, but look at the pixels: now they are worth something by themselves. All X-rays show the
# same thing from the same side at the same size, so that each place of the image has a meaning, as it never has in a
# photograph. And what sets the classes apart, cloudy against clear, is nothing for which one must have seen a million
# cats and cups. On the real X-rays, where you may run the same cells, pixels and features come close to each other:
# pneumonia in these children changes the brightness of whole regions. Transfer helps most where labels are few, and
# where what the backbone has learnt is what the task asks for. Measure it against pixels before you believe in it.

# %% [markdown]
# ## 6. Frozen is not frozen: batch norm
#
# `requires_grad = False` keeps the optimizer away from the weights. **Before you run the cell:** all parameters of the
# stages are frozen so, the network is in training mode, and eight batches pass through it, forward only. Is anything in
# the stages different afterwards?


# %%
def state_of(model):
    return {name: tensor.clone() for name, tensor in model.stages.state_dict().items()}


def changed_since(before, model):
    after = model.stages.state_dict()
    return [name for name in before if not torch.equal(before[name], after[name])]


torch.manual_seed(0)
model = transfer_model(OFFLINE, 10, image_size=size).to(device)
for parameter in model.stages.parameters():
    parameter.requires_grad = False
nn.Module.train(model)  # what `train()` does in an ordinary network
before = state_of(model)
with torch.no_grad():
    for images, _ in Batches(photos.subset(range(256)), 32, device=device):
        model(images)
changed = changed_since(before, model)
kinds = sorted({name.rsplit(".", 1)[1] for name in changed})
print(len(changed), "of", len(before), "tensors changed:", *kinds)

# %% [markdown]
# Each batch norm has moved its running mean and variance towards those of the new images. They are no parameters, so no
# gradient was needed. A network that was called frozen answers differently afterwards, and a head that was fitted to
# its features no longer fits. The mend: frozen layers belong in evaluation mode, and have to stay there when
# `model.train()` is called, as every training loop does. `freeze` and `unfreeze` see to both, stage by stage.

# %%
from course_lib.models import freeze, parameter_groups, unfreeze
from course_lib.runtime import Precision

FLOAT32 = Precision(device.type, None)
few_val = Batches(photos_val.subset(range(32)), 32, device=device)  # for `fit`, which wants some
freeze(model)
unfreeze(model, "stage7", "stage8")
before = state_of(model)
learning = [parameter for parameter in model.parameters() if parameter.requires_grad]
data = Batches(photos.subset(range(64)), 32, device=device)
fit(model, data, few_val, epochs=1, parameter_groups=[{"params": learning, "lr": 1e-3}])
changed = changed_since(before, model)
print("stages:", *dict(model.stages.named_children()))
print(len(changed), "tensors changed, in", *sorted({name.split(".")[0] for name in changed}))
assert all(name.startswith(("stage7", "stage8")) for name in changed)

# %% [markdown]
# Bit for bit the rest is what it was, weights and statistics.
#
# Should the statistics move at least in layers that learn? In training, batch norm standardises by the numbers of the
# batch at hand; in evaluation, by the running ones, which lag behind. In a long training they catch up. In a short one
# the network is trained on one kind of input and judged on another. **Before you run the cell:** the same short
# fine-tuning twice, from the same probe, on 160 images. How much do moving statistics cost?


# %%
PASSES = profile.choose(simulated=480, real=2000)  # images that each training may look at


def begin(head=None, weights="imagenet"):
    """The network for ten classes, with a probe as its head if there is one."""
    torch.manual_seed(0)
    model = transfer_model(OFFLINE, 10, image_size=size, weights=weights).to(device)
    if head is not None:
        model.head.load_state_dict(head.state_dict())
    return model


def tune(model, images, *, rate=1e-3, decay=1.0, passes=PASSES):
    """Train what is not frozen, until `passes` images were seen, however few there are."""
    data = Batches(images, 32, shuffle=True, augment=PhotoAugmentation(shift=2), device=device)
    groups = parameter_groups(model, rate, decay=decay)
    epochs = max(1, passes // len(images))
    fit(model, data, few_val, epochs=epochs, parameter_groups=groups, precision=FLOAT32)


on_val = Batches(photos_val, 250, device=device)

# %% tags=["tol-0.15"]
some = draw(photos.labels, 160, seed=0)
head = linear_probe(features[some], photos.labels[some])
found = {}
for name, frozen in (("moving statistics", False), ("frozen statistics", True)):
    model = begin(head)
    model.frozen_batch_norm = frozen
    tune(model, photos.subset(some), rate=5e-4, decay=0.7)
    found[name] = evaluate(model, on_val).accuracy
    print(f"{name}: {found[name]:.2f}")
print(f"the probe before: {accuracy(head(features_val), photos_val.labels):.2f}")
assert found["frozen statistics"] > found["moving statistics"]

# %% [markdown]
# The damage is not overfitting, and no smaller learning rate mends it: the statistics move at any rate. So
# `transfer_model` keeps the statistics of ImageNet in training as well (`frozen_batch_norm`), wherever ImageNet's
# weights were loaded. The scale and shift of each batch norm are ordinary parameters, and learn.

# %% [markdown]
# ## 7. Further than the head
#
# A probe leaves the features as they are. *Fine-tuning* changes them. How far, and where? Early layers know what all
# images share, edges and colours; late ones know ImageNet's classes. So early layers need less change, and a common
# recipe gives each stage a smaller learning rate than the one after it. An optimizer takes a list of *parameter groups*
# for that, each with its own rate:

# %%
model = begin()
parts = [model.head, *reversed(list(model.stages))]
by_hand = [
    {"params": list(part.parameters()), "lr": 1e-3 * 0.7**depth}
    for depth, part in enumerate(part for part in parts if any(True for _ in part.parameters()))
]
imported = parameter_groups(model, 1e-3, decay=0.7)
print(
    "the same as imported:", all(a["lr"] == b["lr"] for a, b in zip(by_hand, imported, strict=True))
)
print("rates from head to stem:", *(f"{group['lr']:.1g}" for group in by_hand))

# %% [markdown]
# Now a contest on equal budgets: each training may look at the same number of images, and the fewer labelled ones there
# are, the more often it sees each. *All at once* gives the new head and all stages one rate. *Layer-wise* starts from
# the probe and lets the rate fall towards the stem. *Gradual* starts from the probe, unfreezes the last three stages
# for the first half of the budget and three more for the second. *From scratch*, on the most images only, is the same
# network with random weights. Beside them stands the probe itself. **Before you run the cell:** which wins with forty
# images, and which with the most?


# %%
def all_at_once(images, head):
    model = begin()
    tune(model, images)
    return model


def layer_wise(images, head):
    model = begin(head)
    tune(model, images, rate=5e-4, decay=0.7)
    return model


def gradual(images, head):
    model = begin(head)
    freeze(model)
    for stages in (("stage6", "stage7", "stage8"), ("stage3", "stage4", "stage5")):
        unfreeze(model, *stages)
        tune(model, images, rate=5e-4, decay=0.7, passes=PASSES // 2)
    return model


# %% tags=["tol-0.15"]
counts = profile.choose(simulated=(40, 160, 480), real=(40, 160, 2000))
results = {}
for count in counts:
    some = draw(photos.labels, count, seed=0)
    head = linear_probe(features[some], photos.labels[some])
    results["probe alone", count] = [accuracy(head(features_val), photos_val.labels)]
    for method in (all_at_once, layer_wise, gradual):
        model = method(photos.subset(some), head)
        results[method.__name__.replace("_", " "), count] = [evaluate(model, on_val).accuracy]
for (name, count), (value,) in results.items():
    print(f"{name:12} {count:4} images: {value:.2f}")

model = begin(weights="random")
tune(model, photos.subset(some), rate=3e-3)
scratch = evaluate(model, on_val).accuracy
print(f"from scratch {count:4} images: {scratch:.2f}")
assert scratch < min(value for (_, count), (value,) in results.items() if count == counts[-1])

# %% [markdown]
# The lesson's picture, then: what each way makes of few labels and of more.

# %%
show(
    plot_curves(
        curves_of(results),
        xlabel="labelled images",
        ylabel="validation accuracy",
        log_x=True,
    ),
    "Validation accuracy against the number of labelled images for the probe and three ways of "
    "fine-tuning. Those that begin at the probe stay close to it; the one that begins with a new head "
    "falls behind where there are most images.",
)

# %% [markdown]
# One training each is one draw, so small distances say nothing. What can be said: all that begins at ImageNet ends far
# above the network that begins from nothing, which after so few looks has hardly left chance. And fine-tuning is no
# certain gain. *All at once* has to find its new head by small steps, while the gradients of a head that knows nothing
# pass through the whole network; the more images there are, the fewer looks at each it has for that. Those that begin
# at the probe are spared it, and stay near it on so small a budget. What fine-tuning costs is certain: gradients
# through the whole network, at each look. So the order of work is: probe first, in seconds; then fine-tune from the
# probe, and keep that only if validation says that it paid. With two thousand real photographs, and four looks at each,
# it does.

# %% [markdown]
# ## 8. What it knew before
#
# "Accuracy with forty labelled images" keeps quiet about the 1.28 million labels that ImageNet took. If your classes
# are among its thousand, the backbone has already been told the answer. **Before you run the cells:** can the whole
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
whole.image_size = size
probs = evaluate(whole, on_val).probs
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
# Names without sense: of simulated objects nothing can have leaked. Of photographs much does: dogs, ships and trucks
# are sorted without a label of yours. The curve of section 4 is honest about *your* labels, and says little of what
# would happen with classes that ImageNet never had. A second leak is worse: collections are gathered from the same web,
# so an image of your test set may lie in the backbone's training set, label and all. For medical images that were
# published before a backbone was trained, one has to ask. The third is what you do yourself: whoever tries seven
# backbones on the test images has chosen by them.

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
    if name != OFFLINE:
        meta = torchvision_models.get_model_weights(name).DEFAULT.meta
        published[name] = meta["_metrics"]["ImageNet-1K"]["acc@1"]
    trace = trace_shapes(
        networks[name], (1, 3, networks[name].image_size, networks[name].image_size)
    )
    print(
        f"{name:21} {networks[name].image_size} px, {published[name]:.1f} % on ImageNet,", end=" "
    )
    print(f"{trace.parameters / 1e6:4.1f} million parameters,", end=" ")
    print(f"{trace.multiply_adds / 1e9:4.2f} billion multiply-adds")


# %% tags=["tol-x8"]
def milliseconds(model, images, rounds=3):
    """The shortest of some passes."""
    times = []
    with torch.no_grad():
        for _ in range(rounds + 1):  # the first one warms up
            started = time.perf_counter()
            model(images).sum().item()  # `item` waits for a GPU
            times.append(time.perf_counter() - started)
    return 1000 * min(times[1:])


for name, model in networks.items():
    side = model.image_size
    model.to(memory_format=torch.channels_last)
    image = torch.rand(1, 3, side, side, device=device)
    image = image.contiguous(memory_format=torch.channels_last)
    print(f"{name:21} {milliseconds(model, image):6.1f} ms an image")

# %% [markdown]
# Multiply-adds and milliseconds do not come in the same order. A depthwise convolution reads much for little
# arithmetic, and a network of two hundred small layers waits for each of them. Nor does accuracy on ImageNet decide how
# well features serve *you*. Take the smallest that could do, probe it, and change to a larger one if the probe is not
# enough and validation says that the larger one is better.

# %% [markdown]
# ## 10. Taking it with you
#
# A trained network in Python needs this course, torch, and the source that built it. `torch.export` traces it into a
# graph of plain operations that can be stored in one file, and run wherever torch runs, in C++ and on telephones too.
# The preparation of the images is in the graph, since it is a part of the network. **Before you run the cell:** the
# example batch has two images. Will the stored program take five?

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
    difference = (stored(five) - final(five)).abs().max()
print(
    f"{megabytes:.0f} MB; five images, largest difference of a logit below 0.001: {difference < 1e-3}"
)
print("operations:", len([node for node in program.graph.nodes if node.op == "call_function"]))

# %% tags=["tol-x8"]
for name, model in (("as a module", final), ("as an exported program", stored)):
    print(f"{name:23} {milliseconds(model, five[:1]):6.1f} ms an image")

# %% [markdown]
# Equal within rounding, and about as fast: exporting is for independence, not for speed. What is *not* in the file is
# what the logits mean. The names of the classes, the threshold and the limits of use belong beside it, as in the run
# folder of lesson 3.

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
from course_lib.metrics import multiclass_report

few_test = splits.test.subset(torch.randperm(len(splits.test))[:1000])
report = multiclass_report(
    evaluate(final.to(device), Batches(few_test, 250, device=device)).probs, few_test.labels
)
low, high = report.ci95["accuracy"]
print(
    f"photographs: accuracy {report.accuracy:.2f}, 95% interval {low:.2f} to {high:.2f}, {report.n} images"
)

backbone.head = linear_probe(features_of(xrays), xrays.labels).to(device)
outcome = evaluate(backbone, Batches(xray_splits.test, 250, device=device))
area = binary_auc(outcome.probs[:, 1], outcome.labels)
print(f"X-rays: area under the ROC curve {area:.2f}, {len(outcome.labels)} images")

# %% [markdown]
# ## Summary
#
# A network that was trained on a million photographs carries features that serve other images: many times as many
# labels would be needed without it, where the images are photographs, and fewer where they are not. A new head is all
# it needs at first, and features are computed once. The preparation of the images belongs to the network. Frozen means
# weights and statistics, and in short trainings the statistics stay frozen everywhere. Early layers want small steps.
# Fine-tuning pays from some hundreds of images on, and begins at the probe. Grey images go in through weights that were
# summed over colour. What the backbone was told before counts as knowledge, and may be a leak. And what is finished can
# be exported, and checked.

# %% [markdown]
# ## Quiz
#
# **1.** You freeze all parameters of a network by `requires_grad = False` and train a new head for ten epochs in
# training mode. Then you load the head onto a fresh copy of the backbone. The accuracy drops. Why?
#
# <details><summary>Answer</summary>
#
# In training mode the batch norms moved their statistics. The head was fitted to features of a backbone that has
# changed, and the fresh copy gives other ones.
#
# </details>
#
# **2.** Why can features be computed once for a probe, but not for fine-tuning, and not with augmentation?
#
# <details><summary>Answer</summary>
#
# Fine-tuning changes the layers that compute them; augmentation changes the image at each look. In both cases the
# features of yesterday are those of something else.
#
# </details>
#
# **3.** A colleague divides bytes by 255 and by ImageNet's standard deviations, and passes them to a `TransferModel`.
# What happens?
#
# <details><summary>Answer</summary>
#
# They are prepared twice: the network takes images in 0..1 and prepares them itself. No error, worse answers.
#
# </details>
#
# **4.** With the slices of the first layer averaged instead of summed, a grey image gives a third of the output there.
# Could the next batch norm not repair that?
#
# <details><summary>Answer</summary>
#
# In evaluation mode it divides by the running standard deviation that it learnt with inputs three times as strong. Only
# with statistics that move would it adapt, over many batches.
#
# </details>
#
# **5.** Your features come from a backbone trained on the whole web, and your test images are from the web. What do you
# have to ask before you report the accuracy?
#
# <details><summary>Answer</summary>
#
# Whether test images, or near copies of them, were among the backbone's training images, and whether its classes
# contained yours.
#
# </details>
#
# **6.** Network A: 75 % on ImageNet and 5 million parameters. Network B: 80 % and 25 million. Which one for 300
# radiographs?
#
# <details><summary>Answer</summary>
#
# The numbers do not say. Probe both on a validation set, compare with pixels, and look at the latency on the machine
# that will do the work.
#
# </details>

# %% [markdown]
# ## Exercises
#
# **1.** *One line.* Repeat section 4 with `size = 96`. What do larger images bring, and what do they cost?
#
# **2.** *Another stage.* Take features after stage 4 instead of at the end (mean over each map). For which task are
# they better? What does that say about what the last stages know?
#
# **3.** *The rate.* Fine-tune from the probe with `decay` 0.5, 0.7 and 1.0 and three seeds each. Is there a difference
# beyond the seeds?
#
# **4.** *Which labels?* Choose the forty images that are to be labelled by their features, as far apart as possible,
# instead of by chance. Does the probe gain?
#
# **5.** *A real piece of work.* Collect fifty images of each of two things that you can tell apart and a friend cannot.
# Train by the command of section 11, and write four sentences on when the network may be trusted.

# %% [markdown]
# ## What you may now import
#
# From `course_lib.models`: `transfer_model`, `freeze`, `unfreeze`, `parameter_groups`, `BACKBONES`. From
# `course_lib.training`: `extract_features` and `linear_probe`. They are what you built here:

# %%
torch.manual_seed(0)
model = transfer_model(OFFLINE, 10, image_size=size).to(device)
imported, labels = extract_features(model, Batches(photos_val, 128, device=device))
backbone = model.eval()
print("same features:", torch.allclose(features_of(photos_val), imported, atol=1e-3))

# %% [markdown]
# Next, lesson 6: *what does the network see?* You will look inside, ask which pixels an answer rests on, and test
# whether such pictures tell the truth.
