# %% [markdown]
# # 6. Visualization
#
# A network says "pneumonia, 0.93", and the next question is always the same: why? You will look at its filters and
# maps, find the images that make a channel answer, and draw *heat maps* of the pixels that an answer rests on, one of
# them written in ten lines. Then you will put them to a test: since the truth about simulated
# radiographs is known, you will measure whether the maps point at the disease, and whether they uncover a network that
# cheats.
#
# Prerequisites: lessons 2 to 5. Computing takes 109 s on two cores (2.2 min with real images); allow three hours
# of your own.

# %% tags=["setup"]
from course_lib.lessons import get_real_images, start_lesson

profile = start_lesson(6)

# %% [markdown]
# ## 1. A network worth asking
#
# An explanation is checked best where the truth is known. So this page works on simulated radiographs, also when
# you have real ones: each comes with a mask of the pixels in which fluid fills the lung, and nothing else tells the
# sick from the healthy. The network is trained on labels alone, as always; it never sees a mask.

# %%
import torch
from torch.nn import functional as F

from course_lib.data import Augmentation, Batches, simulate_radiographs
from course_lib.metrics import binary_auc
from course_lib.models import CompactCNN
from course_lib.plots import plot_curves, plot_images, plot_maps, plot_panels, show
from course_lib.real_results import on_real
from course_lib.training import evaluate, fit

device = profile.device
SIZE = 96
train = simulate_radiographs(900, image_size=SIZE, seed=1, difficulty=0)
val = simulate_radiographs(160, image_size=SIZE, seed=2, difficulty=0)
test = simulate_radiographs(160, image_size=SIZE, seed=3, difficulty=0)

# %%
sick = (val.labels == 1).nonzero().flatten()[:6]
show("six-sick-patients", plot_images(val.images[sick], masks=val.masks[sick]))
print(f"a mask covers {val.masks[val.labels == 1].float().mean():.3f} of a sick patient's picture")

# %% [markdown]
# The network is `CompactCNN` with four blocks, so that its last maps are not too coarse; more of that in section 6. Its
# images are turned and moved while it learns, but their brightness and contrast are left alone, unlike in lesson 3: no
# other hospital will send any. A copy of the network as it was before training will be needed, too.

# %% tags=["tol-0.06"]
import copy

moved = Augmentation(brightness=0, contrast=0, gamma=0, shade=0, blur=0, noise=0)


def trained(model, train, val, *, epochs):
    """The network after some epochs, in evaluation mode."""
    shuffled = Batches(train, 32, shuffle=True, augment=moved, device=device)
    on_val = Batches(val, 100, device=device)
    fit(model, shuffled, on_val, epochs=epochs, learning_rate=4e-3, label_smoothing=0.05)
    return model.eval()


torch.manual_seed(0)
model = CompactCNN(widths=(16, 32, 64, 96)).to(device)
untrained = copy.deepcopy(model).eval()
model = trained(model, train, val, epochs=15)
outcome = evaluate(model, Batches(val, 100, device=device))
auc = binary_auc(outcome.probs[:, 1], outcome.labels)
print(f"validation: AUC {auc:.2f}, accuracy {outcome.accuracy:.2f}")
assert auc > 0.9

# %% [markdown]
# ## 2. What does the first layer look for?
#
# The filters of the first layer meet the pixels themselves, so they can be looked at as small pictures: a patch of the
# image that looks like the filter gets the largest answer. **Before you run the cell:** the weights began as random
# numbers. What will sixteen 3x3 filters look like after training?

# %%
before = untrained.blocks[0][0].weight.detach().cpu()  # (16, 1, 3, 3)
after = model.blocks[0][0].weight.detach().cpu()
captions = ["before"] * 8 + ["after"] * 8
show("filters-before-and-after", plot_maps(torch.cat([before[:8, 0], after[:8, 0]]), captions))

# %% tags=["tol-0.1"]
alike = F.cosine_similarity(before.flatten(1), after.flatten(1))
print(f"cosine between a filter before and after: median {alike.median():.2f}")

# %% [markdown]
# Not much to see: nine weights hold an edge or a spot at best, and most filters are still close to where chance put
# them, so the layers behind seem to use what there was. A network that saw a million photographs had longer
# to learn. The first filters of lesson 5's backbone, each scaled to the range of a picture:

# %%
from course_lib.explain import filters
from course_lib.models import OFFLINE, transfer_model

lite = transfer_model(OFFLINE, None, image_size=160).to(device).eval()
stem = filters(lite).cpu()  # (32, 3, 3, 3)
low, high = stem.amin((1, 2, 3), keepdim=True), stem.amax((1, 2, 3), keepdim=True)
stem = (stem - low) / (high - low)
show("filters-of-backbone", plot_images(stem, columns=16))

# %% [markdown]
# Edges in several directions, spots, and colors against their opposites: what an image is made of at the scale of
# three pixels. From the second layer on filters look at maps, not at pixels, and a picture of their weights says
# nothing. There one looks at what they answer to.

# %% [markdown]
# ## 3. Maps through depth
#
# A layer's output is gone as soon as the next one has read it. A *hook* is a function that PyTorch calls whenever a
# layer has run, with the layer, its input and its output. It must be removed again, also when something goes wrong in
# between: a forgotten one keeps running, and keeps alive whatever it stored.


# %%
def maps_of(model, images, layer):
    """What `layer` returns while the model looks at images: (N, channels, height, width)."""
    kept = []
    hook = layer.register_forward_hook(
        lambda module, inputs, output: kept.append(output.detach().clone())
    )
    try:
        with torch.no_grad():
            model(images)
    finally:
        hook.remove()
    return kept[0]


# %% [markdown]
# **Before you run the cell:** for one sick patient (the second above), two channels after each block. What will be lost
# from block to block, and what will be left?

# %%
image = val.images[sick[1]][None].to(device).float() / 255  # (1, 1, 96, 96)
shown, names = [], []
for number, block in enumerate(model.blocks, start=1):
    maps = maps_of(
        model, image, block[2]
    )  # after ReLU, before pooling: (1, channels, height, width)
    most = maps[0].std(dim=(1, 2)).topk(2).indices  # the two channels that vary most
    shown.append(F.interpolate(maps[:, most], (SIZE, SIZE))[0].cpu())  # each number a square
    names.append(f"block {number}, {maps.shape[2]}x{maps.shape[3]}")
figure = plot_panels([maps[channel] for channel in (0, 1) for maps in shown], names * 2)
show("maps-through-depth", figure)

# %% [markdown]
# What is lost is position and detail; what is left is a rough answer to "is it there?". The same with a photograph, all
# channels of a stage together, and the network that knows a million of them. `feature_maps` of `course_lib.explain` is
# the function above for several layers at once:

# %%
from skimage import data as photographs
from torchvision.transforms import functional

from course_lib.explain import feature_maps

cat = torch.from_numpy(photographs.chelsea()).permute(2, 0, 1)[:, :, 80:380].float() / 255
cat = functional.resize(cat, [160, 160])[None].to(device)
stages = dict(lite.stages.named_children())
names = ["stem", "stage2", "stage3", "stage5", "stage7"]
panels = [cat[0].cpu()]
for maps in feature_maps(lite, cat, *(stages[name] for name in names)):
    strength = maps.abs().mean(dim=1, keepdim=True)  # of all channels, at each position
    panels.append(F.interpolate(strength, (160, 160))[0, 0].cpu())
show("stages-of-cat", plot_panels(panels, ["the photograph", *names], columns=6))

# %% [markdown]
# ## 4. What makes a channel answer?
#
# Two ways to find out. One is to go through many images and cut out the patches to which a channel answered most, each
# as large as the channel's receptive field (lesson 1). The other is to start from gray with a little noise and climb:
# the gradient of the channel's answer with respect to the *pixels* says how to change them so that it answers more.
#
# **Before you run the cell:** six channels after block 3, whose receptive field is 18 pixels wide. What would you
# expect a pneumonia network to look for?

# %%
from course_lib.explain import top_patches

many = train.images[:400].to(device).float() / 255
sought = range(0, 64, 11)
patches = top_patches(
    model, many, model.blocks[2][2], sought, side=18, count=8
)  # (6, 8, 1, 18, 18)
names = [f"channel {number}" for number in sought]
show("patches-of-six-channels", plot_images(patches.flatten(0, 1).cpu(), columns=8, rows=names))

# %% [markdown]
# Pure black lies outside of the image: some channels answer to its edge. The rows have something in common, and it is
# seldom what a physician would name: a border at a certain slant, crossing ribs, an edge. A channel is a piece of a
# computation, not a finding. Now the climb, in the network that knows photographs, for four channels of an early stage
# and four of a later one:

# %%
from course_lib.explain import feature_visualization

dreams = [
    feature_visualization(
        lite, stages[name], range(0, 24, 6), image_shape=(3, 96, 96), steps=32, step_size=0.03
    )
    for name in ("stage2", "stage5")
]
captions = ["stage 2"] * 4 + ["stage 5"] * 4
show("images-by-ascent", plot_images(torch.cat(dreams).cpu(), captions, columns=8))

# %% [markdown]
# Textures early, larger patterns later. Such images are strange because nothing asks them to be natural; they
# show one thing that excites a channel, not all.
#
# A third way looks at all channels at once: which images are close to each other *in feature space*? The features are
# the means of the last maps, 96 numbers per image. **Before you run the cell:** will the neighbors of a sick patient's
# image be sick?


# %%
def normalized(rows):
    return F.normalize(rows - rows.mean(dim=0), dim=1)


def neighbors(rows, count=5):
    """For each row the numbers of the rows closest to it, by the angle between them."""
    alike = normalized(rows) @ normalized(rows).T
    return alike.fill_diagonal_(-1).topk(count).indices  # (N, count)


images_val = val.images.to(device).float() / 255
by_features = neighbors(maps_of(model, images_val, model.blocks).mean(dim=(2, 3))).cpu()
by_pixels = neighbors(images_val.flatten(start_dim=1)).cpu()

# %% [markdown]
# How many of the five nearest have the same label? Chance would be one half.

# %% tags=["tol-0.1"]
for name, near in (("features", by_features), ("pixels", by_pixels)):
    same = (val.labels[near] == val.labels[:, None]).float().mean()
    print(f"of the five nearest by {name:9} {same:.2f} have the image's own label")

# %%
wrong = outcome.probs.argmax(dim=1) != val.labels
surest_mistake = (outcome.probs[:, 1] * wrong).argmax()  # healthy, and predicted sick
patient = sick[1]
rows = torch.cat(
    [
        torch.stack([asked, *near[asked]])
        for asked, near in (
            (patient, by_features),
            (patient, by_pixels),
            (surest_mistake, by_features),
        )
    ]
)
titles = [
    f"asked: {val.classes[label]}" if place % 6 == 0 else val.classes[label]
    for place, label in enumerate(val.labels[rows])
]
near_by = ["by features", "by pixels", "a mistake,\nby features"]
figure = plot_images(val.images[rows], titles, columns=6, rows=near_by, masks=val.masks[rows])
show("nearest-neighbors", figure)

# %% [markdown]
# By pixels, neighbors are people of the same build in the same light. By features, build matters less and the disease
# more; the numbers say so for all images, the picture for one patient. The last row asks about a mistake, the healthy
# patient whom the network predicts to be sick with the highest probability: its neighbors are the images that the
# network took it to be like. To look at them is a good way to understand a wrong answer, and needs no gradient.

# %% [markdown]
# ## 5. Which pixels does one answer rest on?
#
# The first idea is the gradient again: how much would the logit of "pneumonia" change if a pixel changed a little? Its
# size, pixel by pixel, is called *saliency*. Take it by `torch.autograd.grad`, not by `backward()`, which would also
# write a gradient into each weight.


# %%
def saliency_by_hand(model, images, target):
    images = images.clone().requires_grad_()
    logits = model(images)
    (gradient,) = torch.autograd.grad(logits[:, target].sum(), images)
    return gradient.abs().amax(dim=1)  # (N, H, W)


# %% [markdown]
# (The sum over the batch is a trick: image 3 has no influence on the logit of image 5, so one call gives all
# gradients. In training mode that would be wrong, as batch norm ties the images together.)
#
# The probability depends on the difference of the two logits. It is usual to explain one of them alone, which leaves
# out what the other would say.
#
# The second idea needs no gradient: cover a square and see what happens to the logit. What the square is filled with
# matters, since black or white is itself something to see. Here it is the mean of the image. That is not neutral
# either: in a dark lung it is a bright patch, as fluid is, and can raise the logit.
#
# **Before you run the cell:** both are asked about the same four sick patients. Which of the two will be easier to
# read?


# %%
def occlusion_by_hand(model, images, target, side=12):
    """How much the logit falls when a square is covered: (N, rows, columns), one number per square."""
    cover = images.mean(dim=(2, 3), keepdim=True)
    places = SIZE // side
    falls = torch.zeros(len(images), places, places)
    with torch.no_grad():
        whole = model(images)[:, target]
        for row in range(places):
            for column in range(places):
                covered = images.clone()
                covered[
                    :, :, row * side : (row + 1) * side, column * side : (column + 1) * side
                ] = cover
                falls[:, row, column] = whole - model(covered)[:, target]
    return falls


# %%
from course_lib.plots import plot_heat_maps

called = outcome.probs[:, 1] > 0.5
found = (called & (val.labels == 1)).nonzero().flatten()  # sick, and predicted sick
four = images_val[found[:4]]
hand_made = {
    "saliency": saliency_by_hand(model, four, 1),
    "occlusion": F.interpolate(occlusion_by_hand(model, four, 1)[:, None], (SIZE, SIZE))[
        :, 0
    ].clamp(min=0),
}
show("saliency-and-occlusion", plot_heat_maps(four, hand_made, masks=val.masks[found[:4]]))

# %% [markdown]
# The cross marks the hottest pixel, or the middle of several. Saliency is a spray of single pixels. Neighboring pixels
# of an image hardly ever change alone, and how the logit would react if one did is a question about the network far
# from any radiograph. Occlusion asks a question that means something, at the price of one pass for each square, and
# answers it as coarsely as the squares are.
#
# *Integrated gradients* (Sundararajan, Taly and Yan 2017) ask more than one gradient: those on the way from an image
# that says nothing to this one. Multiplied by how far each pixel goes, they add up to the change of the logit. Black is
# the usual beginning, but `CompactCNN` standardizes each image, and black with a hint of the lung looks to it like the
# lung. So begin with a blurred copy, in which no border can be seen.

# %% tags=["tol-0.3"]
from course_lib.explain import integrated_gradients


def blurred(images):
    """Means of squares of 12 pixels, with smooth passages between them."""
    return F.interpolate(F.avg_pool2d(images, 12), images.shape[2:], mode="bilinear")


parts = integrated_gradients(model, four, 1, baseline=blurred(four))
with torch.no_grad():
    change = (model(four) - model(blurred(four)))[:, 1]
for total, wanted in zip(parts.sum(dim=(1, 2)).tolist(), change.tolist(), strict=True):
    print(f"the map's sum is {total / wanted:.2f} of the change of the logit")

# %% [markdown]
# ## 6. Grad-CAM in ten lines
#
# `CompactCNN` ends with the mean of each map and one dense layer. So the logit of class $c$ is $\sum_k w_{ck} \cdot
# \mathrm{mean}(A_k)$, for maps $A_k$ and weights $w_{ck}$, plus a bias. A mean of a weighted sum can be taken in the
# other order: it is the mean over all positions of $\sum_k w_{ck} A_k$, one number for each position, which says how
# much that position adds. This is a *class activation map* (Zhou et al. 2016), and needs no gradient at all.
#
# Other networks do more between maps and logits. Grad-CAM (Selvaraju et al. 2017) replaces $w_{ck}$ by something that
# any network has: the gradient of the logit with respect to the map $A_k$, averaged over the positions. Where the head
# is mean and dense layer, that is $w_{ck}$ divided by the number of positions, and so the same picture. Negative sums
# are cut off: what speaks against the class is not shown.


# %%
def grad_cam_by_hand(model, images, target, layer):
    kept = []
    hook = layer.register_forward_hook(lambda module, inputs, output: kept.append(output))
    try:
        logits = model(images)
    finally:
        hook.remove()
    (gradient,) = torch.autograd.grad(logits[:, target].sum(), kept[0])
    weights = gradient.mean(dim=(2, 3), keepdim=True)  # (N, channels, 1, 1)
    heat = F.relu((weights * kept[0]).sum(dim=1, keepdim=True))  # (N, 1, height, width)
    return F.interpolate(heat, images.shape[2:], mode="bilinear")[:, 0].detach()


# %% [markdown]
# **Before you run the cell:** is the map of `course_lib.explain`, which asks the library captum, the same to five
# decimals? And the class activation map, which needs no gradient, apart from its scale?

# %%
from course_lib.explain import grad_cam

last = model.blocks[3][3]  # after pooling, right before the mean
mine = grad_cam_by_hand(model, four, 1, last)
torch.testing.assert_close(mine, grad_cam(model, four, 1, layer=last), atol=1e-5, rtol=0)
maps = maps_of(model, four, last)  # (4, 96, 6, 6)
activation = torch.einsum(
    "k,nkhw->nhw", model.head.weight[1].detach(), maps
)  # the class activation map
enlarged = F.interpolate(F.relu(activation)[:, None], (SIZE, SIZE), mode="bilinear")[:, 0]
torch.testing.assert_close(mine * maps[0, 0].numel(), enlarged, atol=1e-4, rtol=0)
print(
    "hand-written Grad-CAM, captum's and the class activation map agree; grid",
    tuple(maps.shape[2:]),
)

# %% [markdown]
# ### Which layer?
#
# Any layer that returns maps can be asked. Early ones have fine maps that know little; late ones know what the answer
# rests on, but their grid is coarse, and each of their squares looks at a wide part of the image, the *receptive
# field*. Nothing says that what a square reports lies in its middle. **Before you run the cell:** which layer of the
# four, taken before its pooling, will point best at the disease?
#
# To point well: the hottest pixel of a map lies inside the mask. This is the *pointing game* (Zhang et al. 2018), whose
# authors also let a miss by a little count, 15 pixels in photographs of some 500. For ours that makes 3.

# %% tags=["tol-0.25"]
from course_lib.anatomy import receptive_field
from course_lib.explain import pointing_hits

NEAR = 3  # pixels
x, masks = images_val[found], val.masks[found].to(device)
print("         grid   receptive field   in the mask   within 3 pixels")
for number, block in enumerate(model.blocks):
    heat = grad_cam(model, x, 1, layer=block[2])
    hit, near = (pointing_hits(heat, masks, tolerance=t).mean() for t in (0, NEAR))
    grid, field = SIZE // 2**number, receptive_field(*model.blocks[:number], block[:3]).size
    print(f"block {number + 1}  {grid}x{grid} {field:12} pixels {hit:13.2f} {near:17.2f}")

# %% [markdown]
# Early layers point hardly better than chance would. The two late ones point well, and too few patients were asked to
# rank these two. The last layer is the usual choice, each network of this course names its own as `model.last_maps`,
# and the next section keeps to it. (Before its pooling the grid is twice as fine as in the cell above, where the two
# maps were the same; the weights are the same, too, since pooling passes each gradient on to one winner.)
#
# Look for yourself, at the sick patients of whom the network is surest or at an image of your own: how does Grad-CAM
# change from block to block?

# %% tags=["tol-5"]
from course_lib.widgets import feature_explorer

surest = found[outcome.probs[found, 1].argsort(descending=True)[:4]]
blocks = {f"block {number}": block[2] for number, block in enumerate(model.blocks, start=1)}
feature_explorer(model, images_val[surest], val.classes, layers=blocks)

# %% [markdown]
# ## 7. Is it faithful?
#
# A map always looks like an explanation: our eyes find a reason for whatever glows. So ask for more than a glance. Four
# methods are asked about all sick test patients that the network predicts to be sick, and stand beside three maps that
# explain nothing: the center of the image, a network with random weights (`untrained`, from the beginning), and noise.
# Negative values, which speak against the class, are left out, as in Grad-CAM.
#
# **Before you run the cell:** write down an order of the seven. Next to the hits the cell prints which fraction of a
# map's heat lies inside the mask; chance would be the fraction of the image that the mask covers.

# %%
from course_lib.explain import energy_inside, occlusion, saliency

outcome = evaluate(model, Batches(test, 100, device=device))
chosen = ((outcome.probs[:, 1] > 0.5) & (test.labels == 1)).nonzero().flatten()
x, masks = test.images[chosen].to(device).float() / 255, test.masks[chosen].to(device)
rows = torch.linspace(-1, 1, SIZE, device=device)
middle = -torch.hypot(rows[:, None], rows).expand(len(x), -1, -1)  # hottest in the center
torch.manual_seed(0)
heat = {
    "Grad-CAM": grad_cam(model, x, 1, layer=model.last_maps),
    "integrated gradients": integrated_gradients(model, x, 1, baseline=blurred(x), steps=16).clamp(
        min=0
    ),
    "saliency": saliency(model, x, 1),
    "occlusion": occlusion(model, x, 1, side=16, stride=8).clamp(min=0),
    "Grad-CAM, random weights": grad_cam(untrained, x, 1, layer=untrained.last_maps),
    "noise": torch.rand(len(x), SIZE, SIZE).to(device),
    "center": middle - middle.min(),
}

# %% [markdown]
# Every method on the same patients:

# %% tags=["tol-0.25"]
hits = {}
print(f"the masks cover {masks.float().mean():.2f}")
print("                          in the mask   within 3 pixels   heat inside")
for name, map_ in heat.items():
    strict = pointing_hits(map_, masks).mean()
    hits[name] = pointing_hits(map_, masks, tolerance=NEAR).mean()
    print(f"{name:25} {strict:11.2f} {hits[name]:17.2f} {energy_inside(map_, masks).mean():13.2f}")
assert hits["Grad-CAM"] >= 0.8
assert hits["Grad-CAM"] >= 2 * hits["center"]

# %%
names = ["Grad-CAM", "integrated gradients", "saliency", "occlusion"]
figure = plot_heat_maps(x[:3], {name: heat[name][:3] for name in names}, masks=masks[:3])
show("four-methods", figure)

# %% [markdown]
# Hits say whether a map finds the disease. They mix two things: whether the *network* looks there, and whether the
# *map* shows where the network looks. Few real collections come with masks, and without them only the second can be
# asked. One way: replace the hottest positions by a blurred copy of the image, some more, and so on, and watch the
# probability.
#
# If the map found what the answer needs, it falls at once (*deletion*, after Petsiuk et al. 2018, who replaced by a
# constant). Or begin with the blurred image and put the hottest positions back first (*insertion*): it rises at once.
# Here whole squares of 8 pixels go and come, by their mean heat: single pixels all over a picture would be speckles, an
# image still stranger than one with blurred squares.

# %%
from course_lib.explain import deletion_curve, insertion_curve

few = x[:40]
targets = torch.ones(len(few), dtype=torch.int64, device=device)
smooth = blurred(few)


def in_squares(maps):
    """The mean heat of each square of 8 pixels, in all its pixels."""
    return F.interpolate(F.avg_pool2d(maps[:, None], 8), (SIZE, SIZE))[:, 0]


fall, rise = {}, {}
for name in [*names, "noise", "center"]:
    order = in_squares(heat[name][:40])
    fall[name] = deletion_curve(model, few, order, targets, fill=smooth).mean(dim=1).cpu()
    rise[name] = insertion_curve(model, few, order, targets, fill=smooth).mean(dim=1).cpu()

# %% [markdown]
# Sixteen steps, the mean of forty patients; first deletion, then insertion:

# %%
from course_lib.plots import plot_curve_panels

shares = [step / 16 for step in range(17)]
panels = {
    title: {name: (shares, curve.tolist()) for name, curve in curves.items()}
    for title, curves in (("deletion: squares blurred", fall), ("insertion: put back", rise))
}
figure = plot_curve_panels(
    panels,
    title="Mean of forty patients",
    xlabel="fraction of the image, hottest squares first",
    ylabel="probability of pneumonia",
)
show("deletion-and-insertion", figure)

# %% tags=["tol-0.2"]
print("                       an eighth deleted   inserted")
for name in fall:
    print(f"{name:22} {fall[name][2]:17.2f} {rise[name][2]:10.2f}")
assert fall["Grad-CAM"][2] < min(fall["noise"][2], fall["center"][2])

# %% [markdown]
# The sooner it falls or rises, the better a map found what the answer needs. The right part says little: there cold
# squares go, in no particular order. And note what the test itself does: a radiograph with blurred squares is an image
# that the network has never seen, and part of every change is surprise.
#
# The second test needs neither masks nor pixels: make the network forget. If a map explains what was *learned*, it must
# change when layers are given random weights, from the head downwards (Adebayo et al. 2018). **Before you run the
# cell:** a map that stays the same, what does it show?

# %%
from course_lib.explain import randomize


def correlation(a, b):
    """Pearson's, between the pixels of two maps; mean over the images."""
    flat = [m.flatten(start_dim=1) for m in (a, b)]
    first, second = (F.normalize(m - m.mean(dim=1, keepdim=True), dim=1) for m in flat)
    return (first * second).sum(dim=1).mean().item()


depths = range(10)  # four convolutions, four batch norms and the head hold weights
kept = {"Grad-CAM": [0.0] * 10, "saliency": [0.0] * 10}
for depth in depths:
    for seed in range(3):  # the mean of three kinds of forgetting
        torch.manual_seed(seed)
        forgetful = randomize(model, depth)
        cam = grad_cam(forgetful, few, 1, layer=forgetful.last_maps)
        kept["Grad-CAM"][depth] += correlation(heat["Grad-CAM"][:40], cam) / 3
        kept["saliency"][depth] += (
            correlation(heat["saliency"][:40], saliency(forgetful, few, 1)) / 3
        )

# %% [markdown]
# A correlation of 1 is the same map, 0 is one that has nothing to do with the first.

# %%
figure = plot_curves(
    {name: (depths, values) for name, values in kept.items()},
    xlabel="layers given random weights, from the head down",
    ylabel="correlation with the trained map",
)
show("maps-that-forget", figure)

# %% tags=["tol-0.3"]
for depth in (1, 9):
    print(
        f"{depth} forgotten: Grad-CAM {kept['Grad-CAM'][depth]:.2f}, saliency {kept['saliency'][depth]:.2f}"
    )
assert kept["Grad-CAM"][0] > 0.99
assert max(abs(values[-1]) for values in kept.values()) < 0.5

# %% [markdown]
# With all nine layers forgotten hardly anything is left of either map, so both pass. On the way there saliency keeps
# more: its gradient still comes through the lower layers, which have forgotten nothing yet. Adebayo and colleagues
# found that guided backpropagation, then in wide use, hardly changed.

# %% [markdown]
# ## 8. A network that cheats
#
# Some hospitals put a letter into the corner of their pictures. Suppose that the sick come from such a hospital,
# mostly. In the next training set 95 of 100 sick patients carry a bright L near the upper right corner, and 5 of 100
# healthy ones. The network is not told.

# %% tags=["tol-0.1"]
from course_lib.data import marker_box


def hospitals(count, seed, rates):
    return simulate_radiographs(count, image_size=64, seed=seed, marker_rates=rates)


marked_train = hospitals(500, 11, (0.05, 0.95))
same = hospitals(160, 12, (0.05, 0.95))
torch.manual_seed(0)
cheat = CompactCNN(widths=(16, 32, 64)).to(device)
cheat = trained(cheat, marked_train, same, epochs=5)
accuracy = evaluate(cheat, Batches(same, 100, device=device)).accuracy
print(f"validation accuracy {accuracy:.2f}")
assert accuracy > 0.85

# %% [markdown]
# A good network, says the score, and every curve on the way there looked healthy. Now the same patients without
# letters, and with the hospitals exchanged, so that the healthy carry the letter:

# %%
from course_lib.widgets import Predict

Predict("6.1")

# %% tags=["tol-0.25"]
unmarked = hospitals(160, 12, (0, 0))
exchanged = hospitals(160, 12, (0.95, 0.05))
scores = {}
for name, images in (("as in training", same), ("no letters", unmarked), ("exchanged", exchanged)):
    outcome = evaluate(cheat, Batches(images, 100, device=device))
    scores[name] = outcome.accuracy
    area = binary_auc(outcome.probs[:, 1], outcome.labels)
    print(f"{name:15} accuracy {outcome.accuracy:.2f}, AUC {area:.2f}")

# %% [markdown]
# It learned the letter first of all. Without it the ranking still knows a little of the disease (the AUC), and the
# answers know nothing (the accuracy). Did the validation set of the same two hospitals know? Its one number hid it. A
# few patients in it carry a letter that misleads, or none where one is expected, and if you suspect the letter, you can
# count them apart:

# %% tags=["tol-0.35"]
carries = (same.images != unmarked.images).flatten(start_dim=1).any(dim=1)
misled = carries != (same.labels == 1)
right = evaluate(cheat, Batches(same, 100, device=device)).probs.argmax(dim=1) == same.labels
print(f"{misled.sum()} of {len(same)} patients are misled by their letter, or by having none")
print(f"of these {right[misled].float().mean():.2f} are predicted correctly")
assert scores["no letters"] < 0.7
assert scores["exchanged"] < 0.3

# %% [markdown]
# Would the maps? The letter is seven pixels high and lies in the corner. **Before you run the cells:** which of
# the four methods will point into its box?

# %%
lettered = (carries & (same.labels == 1)).nonzero().flatten()[:50]
x, outlines = same.images[lettered].to(device).float() / 255, same.masks[lettered]
rows, columns = marker_box(64)
box = torch.zeros(len(x), 64, 64, dtype=torch.bool, device=device)
box[:, rows, columns] = True
cheated = {
    "Grad-CAM": grad_cam(cheat, x, 1, layer=cheat.last_maps),
    "integrated gradients": integrated_gradients(cheat, x, 1, baseline=blurred(x), steps=16).clamp(
        min=0
    ),
    "saliency": saliency(cheat, x, 1),
    "occlusion": occlusion(cheat, x, 1, side=12, stride=4).clamp(min=0),
}


# %% tags=["tol-0.2"]
def on_letter(maps):
    """The fraction of maps whose hottest pixel lies in the letter's box, or within 2 pixels of it (15 of 500)."""
    return pointing_hits(maps, box, tolerance=2).mean().item()


print(f"{len(x)} letters")
for name, maps in cheated.items():
    print(f"{name:22} {on_letter(maps):.2f} on the letter")
    assert on_letter(maps) >= 0.8

# %% [markdown]
# All four uncover it, in almost every image. So would any network's maps? The same training once more, with a fourth
# block as in section 1:

# %%
Predict("6.2")

# %% tags=["tol-0.4"]
torch.manual_seed(0)
deeper = trained(CompactCNN(widths=(16, 32, 64, 96)).to(device), marked_train, same, epochs=5)
cheated["Grad-CAM, one block more"] = grad_cam(deeper, x, 1, layer=deeper.last_maps)
for name, images in (("as in training", same), ("exchanged", exchanged)):
    print(
        f"{name:15} accuracy {evaluate(deeper, Batches(images, 100, device=device)).accuracy:.2f}"
    )
others = {
    "Grad-CAM, block 3": grad_cam(deeper, x, 1, layer=deeper.blocks[2][2]),
    "saliency": saliency(deeper, x, 1),
    "occlusion": occlusion(deeper, x, 1, side=12, stride=4).clamp(min=0),
}
for name, maps in {"Grad-CAM, block 4": cheated["Grad-CAM, one block more"], **others}.items():
    print(f"{name:17} {on_letter(maps):.2f} on the letter")

# %% [markdown]
# Three of these patients, with the maps of the first network and, in the last row, Grad-CAM of the deeper one:

# %%
three = {name: maps[:3] for name, maps in cheated.items()}
show("maps-of-a-cheat", plot_heat_maps(x[:3], three, masks=outlines[:3]))

# %% [markdown]
# The deeper network cheats just as much, and its Grad-CAM glows beside the letter. Each square of its grid sees 38x38
# of the 64x64 pixels, so the letter can be noticed from many squares, and the hottest is not the one that holds it.
# Without knowing of the letter, one could take the glow for the top of the lung. The other methods, asked about the
# same network, do better. One map proves nothing, least of all that a network does *not* cheat.

# %% [markdown]
# ## 9. What the border gives away
#
# The cheat was planted. In real collections it comes by itself, and a simple baseline looks for it: let a classifier
# see only what should hardly matter. The outermost pixels of a chest X-ray show mostly shoulders, arms, belly and
# black, and little lung. **Before you run the cell:** how well can the border alone tell healthy from sick?

# %% tags=["tol-0.05"]
from course_lib.data import load_chest_xray
from course_lib.metrics import binary_report
from course_lib.training import linear_probe

xrays = load_chest_xray(profile.source, image_size=32)


def pixels(image_set, keep):
    return image_set.images.float()[:, :, keep].flatten(start_dim=1) / 255


border = torch.ones(32, 32, dtype=torch.bool)
border[2:-2, 2:-2] = False
print(f"{xrays.test.name}, {len(xrays.test)} test images")
seeing = {}
for name, keep in (("border", border), ("middle", ~border)):
    head = linear_probe(pixels(xrays.train, keep), xrays.train.labels)
    with torch.no_grad():
        probs = head(pixels(xrays.test, keep)).softmax(dim=1)[:, 1]
    report = seeing[name] = binary_report(probs, xrays.test.labels, threshold=0.5)
    low, high = report.ci95["auc"]
    print(f"{name}: AUC {report.auc:.2f}, 95% interval {low:.2f} to {high:.2f}")

# %% [markdown]
# A simulated border knows nothing of the disease, as it was made to: an AUC of 0.5 lies within the interval. Does the
# border of a real X-ray know nothing, either?

# %%
on_real("06.border", seeing, xrays.test)

# %% [markdown]
# Whatever a network scores on a collection has to be read beside the number of its border.

# %% [markdown]
# And the maps of a network that was trained on these images? With real ones the next cell trains it first, which takes
# a few minutes; with simulated ones it takes the network of section 1.

# %%
network, pictures = model, test
if profile.source == "real":
    real = load_chest_xray("real", image_size=SIZE)
    torch.manual_seed(0)
    network, pictures = CompactCNN(widths=(16, 32, 64, 96)).to(device), real.test
    network = trained(network, real.train, real.val, epochs=6)
outcome = evaluate(network, Batches(pictures, 100, device=device))
surest = outcome.probs[:, 1].topk(5).indices
x = pictures.images[surest].to(device).float() / 255
maps = {
    "Grad-CAM": grad_cam(network, x, 1, layer=network.last_maps),
    "occlusion": occlusion(network, x, 1, side=16, stride=8).clamp(min=0),
}
show("maps-without-outlines", plot_heat_maps(x, maps))

# %% [markdown]
# These are the surest answers, and so the easiest images; and without outlines every map looks convincing. That is the
# whole difficulty: this page could say what maps are worth because the truth was known, and with real images it is not.
#
# How good is a network that was trained on real X-rays in so short a time? Read its scores before its maps.

# %%
report = binary_report(outcome.probs[:, 1], pictures.labels)
on_real("06.network", {"CompactCNN": report}, pictures)

# %% [markdown]
# Deletion needs no outlines, so it can be asked of real X-rays, too: forty sick test patients who were predicted sick,
# and two maps beside two orders that know nothing.

# %% tags=["tol-0.2"]
found = ((outcome.probs[:, 1] > 0.5) & (pictures.labels == 1)).nonzero().flatten()[:40]
x = pictures.images[found].to(device).float() / 255
orders = {
    "Grad-CAM": grad_cam(network, x, 1, layer=network.last_maps),
    "occlusion": occlusion(network, x, 1, side=16, stride=8).clamp(min=0),
    "noise": torch.rand(len(x), SIZE, SIZE).to(device),
    "center": (middle[:1] - middle.min()).expand(len(x), -1, -1),
}
targets, falls = torch.ones(len(x), dtype=torch.int64, device=device), {}
for name, order in orders.items():
    curve = deletion_curve(network, x, in_squares(order), targets, fill=blurred(x)).mean(dim=1)
    falls[name] = (shares, curve.tolist())
    print(f"{name:9} {curve[2]:.2f} with an eighth of the image blurred")

# %% [markdown]
# A map that found what the answer needs makes the probability fall sooner than noise and center do. On the real X-rays,
# look first at the right end, where all of the image is blurred: what does the network say of an X-ray without detail?

# %%
on_real("06.deletion", falls, pictures.subset(found))

# %% [markdown]
# Deletion takes it for granted that a blurred image says nothing. Where a curve ends as high as it began, that is not
# so: the network finds its sickness in the blur, too, and what lies between says more about blurred X-rays than about
# the maps. A test of maps has to be tested on the images that it is used for.

# %% [markdown]
# ## 10. What a heat map may and may not be used for
#
# It may be used to find fault. A map that glows on a letter, on the collimator's edge or on the black beside the body
# is a reason to look at the data, and section 8 shows that it works, if you ask more than one method.
#
# It may be used to debug: maps that are the same for every image point to a fault in the code, and maps that survive
# forgetting to a method that does not ask the network. And it may be used to formulate a guess, which is then tested by
# changing the images, as the exchange of the hospitals tested the letter. The test is the evidence; the map was the
# idea.
#
# It may not be used as a proof that a network is right, nor that it looks at the disease: a network can look at the
# disease and still be wrong, or look at it in one image and at the corner in the next.
#
# It may not be used to show a physician where the disease is: on this page, where the simulation makes it as plain as
# it can, the hottest pixel of every method misses it in some patients. It may not be chosen after looking, among
# methods and layers, by which picture pleases. And it says nothing at all about the images for which it was not drawn.

# %% [markdown]
# ## 11. A map for an answer, in one command
#
# For a network of lesson 3 or 5, trained by `course train`, the command below draws the image as the network sees it
# and Grad-CAM of the predicted class, with probability, threshold and network in the title:
#
#     course predict runs/first some_scan.png --explain why.png
#
# It says "not for diagnosis", and after this page you know why.

# %% [markdown]
# ## Summary
#
# Filters can be looked at in the first layer only; later ones are known by what they answer to: maps, the patches and
# the climbed images that excite them, the neighbors in feature space. Heat maps say which pixels an answer rests on,
# each by another question: saliency asks what a small change of a pixel would do, occlusion what is missed when a
# square is covered, Grad-CAM which positions of a layer's maps speak for the class.
#
# Whether a map tells the truth can be measured: against masks where they are known, by deletion where not, and by
# making the network forget. A network can have a high score and look at the wrong thing, and a map can look at the
# right thing and be wrong about the network. Not for diagnosis.

# %% [markdown]
# ## Quiz
#
# Click an answer, or reach it with Tab and press the space bar, and read why. First tries count, and your score is
# kept when you reload the page.

# %%
from course_lib.widgets import Quiz

Quiz(6)

# %% [markdown]
# ## Exercises
#
# [Exercises 6](exercises/06_visualization.ipynb) sets six tasks, from one line to a real piece of work. Each asks for a
# function, a cell below it checks yours at once, and hints come in steps.
#
# And three questions that only an experiment answers. Repeat the occlusion of section 7 with `fill=0.0` and `fill=1.0`:
# how do the hits change, and why? Let 0.3 and 0.7 of healthy and sick carry the letter: at which difference do the maps
# begin to leave it for the disease? And in a network trained on images of your own, find a suspicion in its maps and
# test it by changing the images; write down what you expected before you look.

# %% [markdown]
# ## What you may now import
#
# From `course_lib.explain`: `filters`, `feature_maps`, `top_patches`, `feature_visualization`, `saliency`,
# `integrated_gradients`, `occlusion`, `grad_cam`, and to test them `pointing_hits`, `energy_inside`, `deletion_curve`,
# `insertion_curve`, `randomize`. What you wrote by hand and what you import agree:

# %%
torch.testing.assert_close(
    saliency_by_hand(model, four, 1), saliency(model, four, 1), atol=1e-5, rtol=1e-3
)
torch.testing.assert_close(maps_of(model, four, last), feature_maps(model, four, last)[0])
squares = occlusion_by_hand(model, four[:1], 1).repeat_interleave(12, 1).repeat_interleave(12, 2)
torch.testing.assert_close(
    squares, occlusion(model, four[:1], 1, side=12, stride=12), atol=1e-4, rtol=1e-3
)
print("the same saliency, maps and occlusion")

# %% [markdown]
# This was the last lesson. You have built networks from a single kernel upwards, trained and measured them, borrowed
# what others had learned, and asked what they see. What remains is a question of your own, and images to put it to.
