# %% [markdown]
# # 6. Visualization
#
# You write four kinds of heat maps and find out what each one claims, in the network's own units. In a simulated
# patient you can take the disease away. So for once you know the right answer, and can measure how far each map is from
# it.
#
# After this lesson you can
#
# - look inside a network with hooks: filters, maps, what makes a channel answer,
# - write saliency, occlusion, integrated gradients and Grad-CAM, and say in one sentence what each asks,
# - score maps against controls that never ask the network, with n and intervals,
# - build a counterfactual, and state a map's error in log-odds,
# - find a shortcut, prove it, repair it, and prove the repair,
# - say what the chest X-ray literature found, and what a map may be used for.
#
# | part | time | you will have |
# | --- | --- | --- |
# | [A. Looking inside](#part-a) | 11 min, core | filters, maps by your own hook, what a channel answers to |
# | [B. Four maps, four questions](#part-b) | 18 min, core | four methods, by hand and checked |
# | [C. Is it true?](#part-c) | 20 min, core | controls, intervals, each map's error in log-odds |
# | [D. A network that cheats, and its repair](#part-d) | 20 min, core | a shortcut found, proved and repaired |
# | [E. Tests without a truth](#part-e) | 19 min, optional | deletion, retraining, forgetting; what the clinics found |
#
# You need lessons [2](02_building_pneumonia_cnn.ipynb) and [3](03_training_on_gpu.ipynb), and for one figure
# [5](05_transfer_learning.ipynb). Computing takes 72 s on two cores (2.2 min with real images).

# %% tags=["setup"]
from course_lib.lessons import get_real_images, start_lesson

profile = start_lesson(6)

# %% [markdown]
# ## Two networks, one disease
#
# Nearly everything here uses simulated radiographs, even if you have real ones. (The exceptions are a test of the
# image's border in Part D and the last section of Part E.) They come with the truth: we know where fluid fills the
# lung, and can make the same patient again without it. Here are two small networks, each trained on labels alone, on
# patients of its own hospitals. (Training both takes about twenty seconds.)


# %%
import torch
from torch.nn import functional as F

from course_lib.data import Augmentation, Batches, simulate_radiographs
from course_lib.models import CompactCNN
from course_lib.training import evaluate, fit

device, SIZE = profile.device, 64
moved = Augmentation(brightness=0, contrast=0, gamma=0, shade=0, blur=0, noise=0)


def trained(train, val, *, epochs, widths=(16, 32, 64, 96), seed=0):
    torch.manual_seed(seed)
    model = CompactCNN(widths=widths).to(device)
    shuffled = Batches(train, 32, shuffle=True, augment=moved, device=device)
    on_val = Batches(val, 100, device=device)
    fit(model, shuffled, on_val, epochs=epochs, learning_rate=4e-3, label_smoothing=0.05)
    return model.eval()


# %% tags=["tol-0.06"]
def patients(count, seed, **how):
    return simulate_radiographs(count, image_size=SIZE, seed=seed, difficulty=0, **how)


def hospitals(count, seed, rates=(0.05, 0.95), **how):
    return simulate_radiographs(count, image_size=SIZE, seed=seed, marker_rates=rates, **how)


def accuracy(model, image_set):
    return evaluate(model, Batches(image_set, 100, device=device)).accuracy


train, val, test = patients(900, 1), patients(160, 2), patients(160, 3)
at_b, same = hospitals(500, 11), hospitals(160, 12)
network_a, network_b = trained(train, val, epochs=12), trained(at_b, same, epochs=5)
print(f"A: accuracy {accuracy(network_a, val):.2f} on 160 validation patients of its own hospitals")
print(
    f"B: accuracy {accuracy(network_b, same):.2f} on 160 validation patients of its own hospitals"
)

# %% [markdown]
# Three sick patients of B's hospitals, and below each what *Grad-CAM*, a method of Part B, says that the two networks
# looked at. Orange lines surround the pneumonia; the networks never got them. We chose three in whom both maps point at
# the pneumonia.


# %%
from course_lib.explain import grad_cam, pointing_hits
from course_lib.plots import plot_heat_maps, show


def floats(image_set):
    return image_set.images.to(device).float() / 255


sick_b = (same.labels == 1).nonzero().flatten()
x, outlines = floats(same)[sick_b], same.masks[sick_b]
glow = {
    name: grad_cam(model, x, 1, layer=model.target_layer)
    for name, model in (("network A", network_a), ("network B", network_b))
}
on_it = [pointing_hits(maps.cpu(), outlines, tolerance=3) for maps in glow.values()]
three = (on_it[0] * on_it[1]).nonzero().flatten()[:3]
glow = {name: maps[three] for name, maps in glow.items()}
show("two-networks", plot_heat_maps(x[three], glow, masks=outlines[three]))

# %% [markdown]
# A question before we go on. We measure an answer in *log-odds*, $\ln\frac{p}{1-p}$, which is the difference of the two
# logits: 0 means "even", and 3 means 20 to 1. Click an answer first, and look at the result after that.

# %%
from course_lib.widgets import Predict

Predict("6.1")

# %% tags=["tol-20"]
from course_lib.explain import effect
from course_lib.tables import Table

healed = hospitals(160, 12, leave_out="opacities")  # the same films, without the pneumonia
rows = []
for name, model in (("network A", network_a), ("network B", network_b)):
    fall = effect(model, floats(same)[sick_b], floats(healed)[sick_b])
    rows.append((name, f"{fall.mean():.2f}", f"{(fall < 1).sum()} of {len(fall)}"))
columns = ("", "mean fall of the log-odds", "patients with a fall below 1")
Table("The same sick patients, with and without their pneumonia", columns, rows)

# %% [markdown]
# <details><summary>What happened, and why</summary>
#
# Take the pneumonia away and A's answer falls by several units. B's hardly moves, so it's mostly about something else.
# Part D finds out what it was about. The two rows of maps didn't tell.
# </details>
#
# That's the lesson. A map answers a question of its own. The truth is what the network's answer does when the thing is
# taken away, in log-odds.

# %%
from course_lib.schematics import schematic

schematic("twin-patients")

# %% [markdown]
# <a id="part-a"></a>
#
# ## Part A. Looking inside (11 min, core)
#
# - Take any layer's output with a hook that leaves no trace.
# - Say what you can learn from a filter, a map, a patch.
#
# ### First filters
#
# We look into network A. The filters of its first layer meet the pixels themselves, so they can be drawn as small
# pictures: of all patches of equal strength, the one that looks like the filter gets the largest answer. They began as
# random numbers. What will sixteen 3×3 filters look like after training?

# %%
from course_lib.plots import plot_images, plot_maps

model = network_a
torch.manual_seed(0)
untrained = CompactCNN(widths=(16, 32, 64, 96)).eval()
before = untrained.blocks[0][0].weight.detach()  # (16, 1, 3, 3)
after = model.blocks[0][0].weight.detach().cpu()
captions = ["before"] * 8 + ["after"] * 8
show("filters-before-and-after", plot_maps(torch.cat([before[:8, 0], after[:8, 0]]), captions))

# %% [markdown]
# Not much to see: nine weights hold an edge or a spot at best, and most filters stayed close to where chance put them.
# A network that saw more than a million photographs had more to learn from. Here are the first filters of lesson 5's
# backbone:

# %%
from course_lib.explain import filters
from course_lib.models import OFFLINE, transfer_model

lite = transfer_model(OFFLINE, None, image_size=160).to(device).eval()
stem = filters(lite).cpu()  # (32, 3, 3, 3)
low, high = stem.amin((1, 2, 3), keepdim=True), stem.amax((1, 2, 3), keepdim=True)
show("filters-of-backbone", plot_images((stem - low) / (high - low), columns=16))

# %% [markdown]
# Edges in several orientations, spots, and colors against their opposites. From the second layer on, filters look at
# maps, not at pixels, and a picture of their weights says nothing. There you look at what makes a filter answer
# ([Zeiler and Fergus 2014](https://arxiv.org/abs/1311.2901) show one way).
#
# ### Hooks and maps
#
# A layer's output is gone as soon as the next layer has read it. A *hook* is a function that PyTorch calls whenever a
# layer has run, with the layer, its input and its output
# ([`register_forward_hook`](https://docs.pytorch.org/docs/stable/generated/torch.nn.Module.html)). Remove it again,
# even if something goes wrong in between: a forgotten hook keeps running, and keeps alive whatever it stored.

# %%
schematic("a-hook")


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
# Here is one sick patient, with the two channels of each block that vary most. What is lost from block to block, and
# what is left?

# %%
from course_lib.plots import plot_panels

patient = (test.labels == 1).nonzero().flatten()[1]
image = floats(test)[patient][None]  # (1, 1, 64, 64)
shown, names = [], []
for number, block in enumerate(model.blocks, start=1):
    maps = maps_of(model, image, block[2])  # after ReLU, before pooling
    most = maps[0].std(dim=(1, 2)).topk(2).indices
    shown.append(F.interpolate(maps[:, most], (SIZE, SIZE))[0].cpu())  # each number a square
    names.append(f"block {number}, {maps.shape[2]}×{maps.shape[3]}")
figure = plot_panels([maps[channel] for channel in (0, 1) for maps in shown], names * 2)
show("maps-through-depth", figure)

# %% [markdown]
# Detail gets lost; for each square of a coarse grid, a rough answer to "is it here?" is left. `feature_maps` of
# `course_lib.explain` is your function for several layers at once.
#
# ### What makes a channel answer?
#
# Go through many images and cut out the patches to which a channel answered most, each as large as the channel's
# *receptive field* ([lesson 1](01_cnn_anatomy.ipynb)). Here are five channels after block 3, whose receptive field is
# 18 pixels wide. What would you expect a pneumonia network to look for?

# %%
from course_lib.explain import top_patches

sought = range(0, 64, 13)
patches = top_patches(model, floats(train)[:400], model.blocks[2][2], sought, side=18, count=8)
names = [f"channel {number}" for number in sought]
show("patches-of-channels", plot_images(patches.flatten(0, 1).cpu(), columns=8, rows=names))

# %% [markdown]
# Pure black lies outside the image: some channels answer to its edge. The patches of a row have something in common,
# but seldom anything that a physician would name: a border at a certain slant, crossing ribs. A channel is a piece of a
# computation, not a finding.
#
# Another way looks at all channels at once: which images are close to each other *in feature space*? The features are
# the means of the last maps, 96 numbers per image. Will the five nearest neighbors of an image have its label? Chance
# would be one half.


# %% tags=["tol-0.1"]
def neighbors(rows, count=5):
    """For each row the numbers of the rows closest to it, by the angle between them."""
    rows = F.normalize(rows - rows.mean(dim=0), dim=1)
    return (rows @ rows.T).fill_diagonal_(-1).topk(count).indices.cpu()  # (N, count)


by_features = neighbors(maps_of(model, floats(val), model.blocks).mean(dim=(2, 3)))
by_pixels = neighbors(floats(val).flatten(start_dim=1))
for name, near in (("features", by_features), ("pixels", by_pixels)):
    agree = (val.labels[near] == val.labels[:, None]).float().mean()
    print(f"of the five nearest by {name:9} {agree:.2f} have the image's own label")

# %% [markdown]
# By pixels, the neighbors agree no more often than chance. By features, most of them share the label. Looking at the
# neighbors of a wrong answer is a good way to understand it, and needs no gradient.
#
# > **A third way.** Start from gray and change the *pixels* along the gradient of a channel until it answers more:
# > `feature_visualization` does it, and [Olah and others 2017](https://distill.pub/2017/feature-visualization/) show
# > what comes out. Such images show one thing that excites a channel, not all.
#
# ### Stop here
#
# A hook shows what any layer returns, and must be removed. Only the filters of the first layer can be read as pictures;
# later ones are known by what they answer to. **To discuss:** a channel's top patches are all ribs. May you call it a
# rib detector?
#
# <details><summary>One answer</summary>Not yet. You have seen what it answers to most, not what it does on everything
# else. It may answer to every bright stripe, and ribs are the brightest. Show it stripes that aren't ribs.</details>

# %% [markdown]
# <a id="part-b"></a>
#
# ## Part B. Four maps, four questions (18 min, core)
#
# - Write saliency, occlusion, integrated gradients and Grad-CAM.
# - Say what each asks, what it costs, and what it adds up to.
#
# ### Which number do we explain?
#
# A network with two classes has two logits, and the probability depends on their difference alone. If you explain one
# logit, as is common, you leave out what the other one does. So all maps of this lesson explain the difference, the
# log-odds of pneumonia.


# %% tags=["tol-12"]
class LogOdds(torch.nn.Module):
    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, images):
        logits = self.model(images)
        return logits[:, 1] - logits[:, 0]  # (N,)


answer = LogOdds(model)
with torch.no_grad():
    found = ((answer(floats(test)) > 0).cpu() & (test.labels == 1)).nonzero().flatten()
print(f"{len(found)} of {(test.labels == 1).sum()} sick test patients are predicted sick")
found = found[:60]  # enough, and as many on every machine
x, masks = floats(test)[found], test.masks[found].to(device)

# %% [markdown]
# ### Saliency: what if one pixel changed a little?
#
# The first idea is the gradient again: how much would the answer change with a pixel? Its size is the *saliency*
# ([Simonyan and others 2013](https://arxiv.org/abs/1312.6034)). Compute it with `torch.autograd.grad` rather than
# `backward()`, which would also write a gradient into each weight.


# %%
def saliency_by_hand(answer, images):
    images = images.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(answer(images).sum(), images)
    return gradient.abs().amax(dim=1)  # (N, H, W)


# %% [markdown]
# The sum over the batch is a trick: image 3 has no influence on the answer for image 5, so one call gives all
# gradients. In training mode it would be wrong, as batch norm ties the images together.
#
# ### Occlusion: what if a square were covered?
#
# The second idea needs no gradient: cover a square, and see how far the answer falls
# ([Zeiler and Fergus 2014](https://arxiv.org/abs/1311.2901)). What you cover it with is part of the question. Here it's
# the mean of the image. That isn't neutral: in a dark lung it's a bright patch, just as fluid is.


# %%
def occlusion_by_hand(answer, images, side=8):
    """How far the answer falls when a square is covered: (N, rows, columns)."""
    cover, squares = images.mean(dim=(2, 3), keepdim=True), SIZE // side
    falls = torch.zeros(len(images), squares, squares)
    with torch.no_grad():
        whole = answer(images)
        for row in range(squares):
            for column in range(squares):
                covered = images.clone()
                there = (
                    slice(row * side, (row + 1) * side),
                    slice(column * side, (column + 1) * side),
                )
                covered[:, :, *there] = cover
                falls[:, row, column] = whole - answer(covered)
    return falls


# %% [markdown]
# Ask both about the same four sick patients. Which will be easier to read?

# %%
four, outlines = x[:4], masks[:4].cpu()
squares = F.interpolate(occlusion_by_hand(answer, four)[:, None], (SIZE, SIZE))[:, 0]
hand_made = {"saliency": saliency_by_hand(answer, four), "occlusion": squares.clamp(min=0)}
show("saliency-and-occlusion", plot_heat_maps(four, hand_made, masks=outlines))

# %% [markdown]
# The cross marks the hottest pixel, or the middle of several. Saliency is a spray of single pixels. In real films a
# pixel hardly ever changes without its neighbors, so what the answer would do if one did is a question far from any
# radiograph. Occlusion asks a question that a person might ask, at the price of one pass per square.
#
# ### Integrated gradients: what did each pixel add on the way?
#
# *Integrated gradients* ([Sundararajan and others 2017](https://arxiv.org/abs/1703.01365)) take the mean of the
# gradients along the path from an image that says nothing, the *baseline*, to this one. Multiplied by how far each
# pixel goes, these means add up to the change of the answer.

# %%
schematic("two-baselines")


# %% tags=["tol-6"]
def blurred(images):
    """Means of squares of 8 pixels, with smooth passages between them."""
    return F.interpolate(F.avg_pool2d(images, 8), images.shape[2:], mode="bilinear")


def integrated_gradients_by_hand(answer, images, baseline, steps=50):
    mean = torch.zeros_like(images)
    for step in range(steps):
        along = (step + 0.5) / steps  # the middle of each step of the path, from 0 to 1
        point = (baseline + along * (images - baseline)).requires_grad_()
        (gradient,) = torch.autograd.grad(answer(point).sum(), point)
        mean += gradient / steps
    return (mean * (images - baseline)).sum(dim=1)  # (N, height, width)


parts = integrated_gradients_by_hand(answer, four, blurred(four))
with torch.no_grad():
    change = answer(four) - answer(blurred(four))
assert torch.allclose(parts.sum(dim=(1, 2)), change, atol=0.2), "completeness"
rows = [
    (f"patient {number}", f"{total:.2f}", f"{wanted:.2f}")
    for number, (total, wanted) in enumerate(zip(parts.sum(dim=(1, 2)), change, strict=True))
]
columns = ("", "sum of the map", "change of the answer")
Table("Integrated gradients from a blurred copy, in log-odds", columns, rows)

# %% [markdown]
# That is *completeness*, and it holds for any baseline. (Hundredths are off because the path has finitely many steps.)
# Which baseline is right? Black is usual. But `CompactCNN` standardizes each image, so black with a hint of the lung
# already looks like the lung. Part C measures what the choice costs.
#
# ### Grad-CAM in ten lines
#
# `CompactCNN` ends with the mean of each map and one dense layer. So an answer is $\sum_k w_k \cdot \mathrm{mean}(A_k)$
# plus a bias, for maps $A_k$ and weights $w_k$. Take the mean last, and the answer is the mean over all positions of
# $\sum_k w_k A_k$: one number per position, which says what that position adds. This is a *class activation map*
# ([Zhou and others 2016](https://arxiv.org/abs/1512.04150)).

# %%
schematic("weighted-sum")

# %% [markdown]
# *Grad-CAM* ([Selvaraju and others 2017](https://arxiv.org/abs/1610.02391)) replaces $w_k$ by something that any
# network has: the gradient of the answer with respect to the map, averaged over the positions. Negative sums are cut
# off.


# %%
def grad_cam_by_hand(answer, images, layer):
    kept = []
    hook = layer.register_forward_hook(lambda module, inputs, output: kept.append(output))
    try:
        answers = answer(images)
    finally:
        hook.remove()
    (gradient,) = torch.autograd.grad(answers.sum(), kept[0])
    weights = gradient.mean(dim=(2, 3), keepdim=True)  # (N, channels, 1, 1)
    heat = F.relu((weights * kept[0]).sum(dim=1, keepdim=True))  # (N, 1, height, width)
    return F.interpolate(heat, images.shape[2:], mode="bilinear")[:, 0].detach()


# %% [markdown]
# Is the map of `course_lib.explain` the same? And does the class activation map, before its negative values are cut
# off, add up to the answer?

# %%
last = model.blocks[3][3]  # after pooling, right before the mean
mine = grad_cam_by_hand(answer, four, last)
torch.testing.assert_close(mine, grad_cam(answer, four, 1, layer=last), atol=1e-5, rtol=0)
weights = (model.head.weight[1] - model.head.weight[0]).detach()
bias = (model.head.bias[1] - model.head.bias[0]).item()
activation = torch.einsum("k,nkhw->nhw", weights, maps_of(model, four, last)) / 16  # (4, 4, 4)
with torch.no_grad():
    torch.testing.assert_close(activation.sum(dim=(1, 2)) + bias, answer(four), atol=1e-3, rtol=0)
print("yes, to three decimals; grid", tuple(activation.shape[1:]))

# %% [markdown]
# So this map, with its sign, is in log-odds, and can be checked against the truth. `activation_times_gradient` makes
# such a map for any layer; it adds up to the answer only for the last maps, before their pooling or after it. (For the
# layer before the pooling, `model.target_layer`, the grid is twice as fine. Its mean gradients are a quarter as large,
# since pooling passes each one on to a single winner of four.)
#
# ### Which layer?
#
# Any layer that returns maps can be asked. Early ones have fine maps that know little; the grid of late ones is coarse,
# and each of its squares sees a wide part of the image. A map points well, here, if its hottest pixel lies inside the
# mask: the *pointing game* ([Zhang and others 2018](https://arxiv.org/abs/1608.00507)). The masks are cut where the
# fluid has 30% of its peak; a fainter rim counts as a miss.

# %%
Predict("6.2")

# %% tags=["tol-0.25"]
from course_lib.metrics import wilson_interval


def hit_rate(maps, regions, tolerance=0):
    """The rate of hits, and its 95% interval."""
    hits = round(pointing_hits(maps, regions, tolerance=tolerance).sum().item())
    low, high = wilson_interval(hits, len(maps))
    return hits / len(maps), f"{hits / len(maps):.2f} [{low:.2f}, {high:.2f}]"


rows, by_block = [("chance", "", f"{masks.float().mean():.2f}")], []
for number, block in enumerate(model.blocks, start=1):
    maps = grad_cam(answer, x, 1, layer=block[2])
    by_block.append(hit_rate(maps, masks)[0])
    grid = SIZE // 2 ** (number - 1)
    rows.append((f"block {number}", f"{grid}×{grid}", hit_rate(maps, masks)[1]))
Table(f"Grad-CAM, n = {len(x)} patients", ("", "grid", "hits, with 95% interval"), rows)

# %% [markdown]
# <details><summary>What happened, and why</summary>
#
# The two late blocks point far better than the two early ones. Which of the late two is better, this table can't say:
# their intervals overlap widely. The last layer is the usual choice; each network of this course names its own as
# `model.target_layer`.
# </details>
#
# Look for yourself, at the sick patients of whom the network is surest, or at an image of your own. How does Grad-CAM
# change from block to block?

# %% tags=["tol-5"]
from course_lib.widgets import feature_explorer

with torch.no_grad():
    surest = found[answer(x).argsort(descending=True)[:4].cpu()]
blocks = {f"block {number}": block[2] for number, block in enumerate(model.blocks, start=1)}
feature_explorer(model, floats(test)[surest], test.classes, layers=blocks)

# %% [markdown]
# Here is what you have now:
#
# | method | the question | passes | adds up to |
# | --- | --- | --- | --- |
# | saliency | what if one pixel changed a little? | 1 and a gradient | nothing |
# | occlusion | what if this square were covered? | one per square | nothing |
# | integrated gradients | what did each pixel add on the way? | a gradient per step | answer minus the baseline's |
# | Grad-CAM | where do maps respond that raise the answer? | 1 and a gradient | nothing: negatives are cut off |
# | class activation map, signed | what does each position of the last maps add? | 1 | answer minus bias |
#
# ### Stop here
#
# Four methods ask four questions. What you cover with, and where a path begins, belong to the question. Two of the maps
# add up to the answer, less the baseline's or less the bias: integrated gradients, and the class activation map, which
# is Grad-CAM with its sign. **To discuss:** each map is a correct answer to its own question. Which question does a
# physician have?
#
# <details><summary>One answer</summary>"Would you still say pneumonia if this shadow weren't there?" None of the four
# asks that. Covering comes closest, but a gray square is not a healthy lung.</details>

# %% [markdown]
# <a id="part-c"></a>
#
# ## Part C. Is it true? (20 min, core)
#
# - Give a score a rival that could win.
# - Simulate a counterfactual.
# - State a map's error in log-odds.
#
# ### A score needs rivals
#
# Grad-CAM hits the disease in most patients. Is that a lot? A rival that can't win proves nothing: a random network, or
# the center of the image, where there is no lung. Here are two that could win, and a third for comparison. None of them
# asks the network:
#
# - *brightness*: how much brighter a pixel is than its surroundings, weighted by how often lesions lie there in the
#   training masks, which no network got,
# - the *mean mask* of the training patients, the same for everybody,
# - one pixel in the *corner*, always the same (it can't win here; in Part D it can).


# %%
from course_lib.explain import integrated_gradients, occlusion, saliency

mean_mask = train.masks.float().mean(dim=0).to(device)  # (1, 64, 64)


def local_mean(images, side):
    return F.avg_pool2d(images, side, 1, side // 2, count_include_pad=False)


def brightness(images):
    return ((local_mean(images, 5) - local_mean(images, 25)).clamp(min=0) * mean_mask)[:, 0]


corner = torch.zeros(len(x), SIZE, SIZE, device=device)
corner[:, 5, 58] = 1

# %% [markdown]
# And the maps of the four methods, all for the same patients:

# %%
heat = {
    "Grad-CAM": grad_cam(answer, x, 1, layer=model.target_layer),
    "occlusion": occlusion(answer, x, 1, side=12, stride=6).clamp(min=0),
    "integrated gradients": integrated_gradients(answer, x, 1, baseline=blurred(x), steps=16).clamp(
        min=0
    ),
    "saliency": saliency(answer, x, 1),
}
controls = {
    "brightness": brightness(x),
    "mean mask": mean_mask.expand(len(x), -1, -1),
    "corner": corner,
}

# %% [markdown]
# Now one of the controls, before you see any score:

# %%
Predict("6.3")

# %% tags=["tol-0.25"]
pointing = {name: hit_rate(maps, masks) for name, maps in (heat | controls).items()}
rows = [("these ask the network",)]
for name, maps in (heat | controls).items():
    if name == "brightness":
        rows.append(("these never do",))
    rows.append((name, pointing[name][1], hit_rate(maps, masks, tolerance=2)[1]))
columns = ("", "in the mask", "or within 2 pixels")
Table(f"Hottest pixel, n = {len(x)} patients, 95% intervals", columns, rows)

# %% [markdown]
# <details><summary>What happened, and why</summary>
#
# Brightness, without any network, lies in the mask more often than each of the four methods, and their intervals don't
# even overlap with its own. Within 2 pixels all five are alike. So pointing well at bright lesions is no evidence that
# a map asks the network. This is why [Adebayo and others 2018](https://arxiv.org/abs/1810.03292) set an edge detector
# beside the maps.
# </details>
#
# Three of these patients:

# %%
few = {name: maps[:3] for name, maps in (heat | {"brightness": controls["brightness"]}).items()}
show("four-methods", plot_heat_maps(x[:3], few, masks=masks[:3].cpu()))

# %% [markdown]
# ### Take it away
#
# Pointing asks where the *disease* is. A map is *faithful* if it shows what the *network* goes by, and for that there's
# a truth. The simulator makes the same patient again with air where fluid was, with the same anatomy, the same exposure
# and the same photons. That is the *counterfactual*. How far do the log-odds fall?

# %% tags=["tol-1.5"]
without = floats(patients(160, 3, leave_out="opacities"))[found]
truth = effect(model, x, without)
print(f"{len(x)} patients: the log-odds fall by {truth.mean():.2f} on average")
print(f"(from {truth.min():.1f} to {truth.max():.1f})")
with torch.no_grad():
    print(f"still predicted sick without their pneumonia: {(answer(without) > 0).sum()}")

# %%
worst = truth.argsort(descending=True)[:3]
with_, bare = x[worst], without[worst]
rows = ["with", "without", "difference"]
show("with-and-without", plot_images(torch.cat([with_, bare, with_ - bare]), columns=3, rows=rows))

# %% [markdown]
# Where do the two pictures differ? Fluid also scatters the beam, so a faint veil reaches beyond the masks. From here on
# the *region* is all pixels that change by 3 gray levels or more. Is that enough? Take the fluid out of those pixels
# only, and see which fraction of the effect you get. The masks are there for comparison:

# %% tags=["tol-0.1"]
region = ((x - without).abs() > 2.5 / 255).any(dim=1, keepdim=True)  # (N, 1, 64, 64)
for name, part in (("region", region), ("mask", masks)):
    carried = effect(model, x, torch.where(part, without, x)).mean() / truth.mean()
    print(f"{name}: {part.float().mean():.2f} of the image, {carried:.2f} of the effect")

# %% [markdown]
# As a healthy control, here are all 160 test patients without one *rib* on each side. A rib is no disease. Is its
# effect zero?

# %% tags=["tol-0.4"]
ribless = floats(patients(160, 3, leave_out="rib"))
rib = effect(model, floats(test), ribless)
print(
    f"a rib is worth {rib.mean():.2f} on average, n = {len(rib)} (standard deviation {rib.std():.2f})"
)

# %% [markdown]
# Not quite. To the network, a patient with a missing rib looks a little sicker than before. That's the truth about the
# network, not about the patient, and no map was needed to learn it.
#
# ### Do the parts add up?
#
# Some patients have fluid in both lungs. Take it out of the left lung, out of the right, and out of both. Will the
# first two numbers sum to the third?

# %% tags=["tol-1.5"]
sides = [
    floats(patients(160, 3, leave_out=f"{side} opacities"))[found] for side in ("left", "right")
]
apart = [effect(model, x, without_side) for without_side in sides]
both = (apart[0] != 0) & (apart[1] != 0)
print(f"{int(both.sum())} patients with fluid in both lungs")
print(f"left {apart[0][both].mean():.2f}, right {apart[1][both].mean():.2f}, ", end="")
print(f"as a sum {sum(apart)[both].mean():.2f}, together {truth[both].mean():.2f}")

# %% [markdown]
# Not exactly: the network isn't linear. So no map whose values add up can be right about left, right and both at once.
# One number per pixel is a simplification, however it's made.
#
# ### Every map in log-odds
#
# Now each method gets the same question: *what is the fluid worth?* A map's answer is the sum of its values inside the
# region. Covering has an answer, too: cover the region, and see how far the log-odds fall. And a control says the same
# for everybody, the mean of the truth.

# %%
from course_lib.explain import activation_times_gradient, gradient_times_change, inside

black = torch.zeros_like(x)
mean_fill = x.mean(dim=(2, 3), keepdim=True).expand_as(x)


def path_from(baseline, steps=16):
    return inside(integrated_gradients(answer, x, 1, baseline=baseline, steps=steps), region)


says = {"the same for all (control)": truth.mean().expand(len(x))}
for name, fill in (("mean", mean_fill), ("blurred", blurred(x)), ("other lung", x.flip(-1))):
    says[f"covering: {name}"] = effect(model, x, torch.where(region, fill, x))
for name, baseline in (("blurred", blurred(x)), ("black", black), ("the twin (check)", without)):
    says[f"integrated gradients: {name}"] = path_from(baseline)
says["gradient times image"] = inside(gradient_times_change(model, x, black), region)
says["gradient times true change"] = inside(gradient_times_change(model, x, without), region)
signed = activation_times_gradient(model, x, layer=model.target_layer)
says["class activation map, signed"] = inside(signed, region)

# %% [markdown]
# Each row below has its mean answer, its *mean absolute error* over the patients, how much larger that is than the
# control's, patient by patient, and its correlation r with the truth. Brackets are 95% intervals.

# %%
Predict("6.4")


# %% tags=["tol-12"]
def mean_interval(values):
    """The mean's 95% interval around it: from, mean, to."""
    half = 1.96 * values.std() / len(values) ** 0.5
    return values.mean() - half, values.mean(), values.mean() + half


errors, rows = {}, []
control_error = (truth.mean() - truth).abs()
for name, said in says.items():
    error = (said - truth).abs()
    errors[name], paired = mean_interval(error), error - control_error
    against = "{1:+.2f} [{0:+.2f}, {2:+.2f}]".format(*mean_interval(paired)) if paired.any() else ""
    r = torch.corrcoef(torch.stack([said, truth]))[0, 1] if said.std() > 1e-4 else None
    interval = "{1:.2f} [{0:.2f}, {2:.2f}]".format(*errors[name])
    rows.append((name, f"{said.mean():.2f}", interval, against, "" if r is None else f"{r:.2f}"))
title = f"What is the fluid worth? Truth {truth.mean():.2f}, n = {len(x)}; error with 95% interval"
Table(title, ("", "says", "mean absolute error", "against the control", "r"), rows)

# %% [markdown]
# <details><summary>What happened, and why</summary>
#
# Black as a baseline puts many times the truth on the region. Completeness holds for the whole image only: other
# regions get as much with the other sign.
# </details>
#
# Read the table slowly.
#
# - *Integrated gradients from the twin* hit the truth. That is completeness, and a good check of the code.
# - Two of the methods, covering with the mean and integrated gradients from a blurred copy, have a smaller mean error
#   than the control that says the same for everybody. Compare patient by patient, as in lesson 3: that's the column
#   "against the control". Where its interval contains 0, don't call it proved.
# - The signed class activation map ranks patients as well as any method does (r), and is still off by half. It says
#   what is there, not what would be there instead.
# - In a *linear* network the two rows that use the twin, integrated gradients from it and gradient times true change,
#   agree with the truth to four decimals; a test of this course checks it. The other rows ask about another change:
#   from gray, from a blur, from black. So their errors have two sources, the network's being nonlinear and the fill or
#   baseline.
#
# ### A region without disease
#
# Take patients whose region doesn't meet its mirror image, and ask about the mirrored region, in the healthy lung. The
# truth is 0, since nothing was taken away there.

# %% tags=["tol-0.6"]
one_sided = ~(region & region.flip(-1)).flatten(1).any(dim=1)
mirrored = region.flip(-1)
rumors = {
    "covering: mean": effect(model, x, torch.where(mirrored, mean_fill, x)),
    "covering: blurred": effect(model, x, torch.where(mirrored, blurred(x), x)),
    "class activation map, signed": inside(signed, mirrored),
}
rumors = {name: said[one_sided] for name, said in rumors.items()}
rows = [(name, f"{said.mean():.2f}", f"{said.abs().mean():.2f}") for name, said in rumors.items()]
title = f"The mirrored region of the healthy lung, n = {int(one_sided.sum())}"
Table(title, ("", "says, mean", "size, mean"), rows)

# %% [markdown]
# All three are negative. For covering that means: the answer *rises* when healthy lung is covered, since gray on a
# healthy lung looks like disease. The fill is an intervention of its own, and its name belongs beside every occlusion
# map.
#
# ### Stop here
#
# A score needs a control that could win. The truth about a network is what its answer does when the thing is taken
# away, and that judges a map, in log-odds. **To discuss:** a map adds up to the answer exactly. Why can it still be
# wrong about every region?
#
# <details><summary>One answer</summary>Adding up fixes one number, the total. How it's distributed is the method's
# choice: move 40 units from one lung to the other, and the sum is the same.</details>

# %% [markdown]
# <a id="part-d"></a>
#
# ## Part D. A network that cheats, and its repair (20 min, core)
#
# - Suspect a shortcut, and prove it.
# - Repair it, and prove the repair.
#
# ### A letter
#
# Some hospitals put a letter into the corner of their films. Network B's training set came from two hospitals: 95 of
# 100 sick patients carry a bright L near the upper right corner, and 5 of 100 healthy ones. Nobody told the network.
# Now the same patients without letters, and with the hospitals exchanged, so that the healthy carry the letter. How
# often will it be right?

# %%
schematic("shortcut")

# %% tags=["tol-0.25"]
cheat = network_b
unmarked, exchanged = hospitals(160, 12, (0, 0)), hospitals(160, 12, (0.95, 0.05))
worlds = {"as in training": same, "no letters": unmarked, "exchanged": exchanged}


def in_three_worlds(model):
    return [accuracy(model, images) for images in worlds.values()]


rows = [("network B", *(f"{right:.2f}" for right in in_three_worlds(cheat)))]
Table("Accuracy, n = 160 patients, always the same ones", ("", *worlds), rows)

# %% [markdown]
# It follows the letter, and the exchanged letter points to the wrong side. A score far below chance is a clear sign of
# a shortcut.
#
# Could the validation set have told? A few of its patients carry a letter that misleads, or lack one. If you suspect
# the letter, you can count them separately:

# %% tags=["tol-0.35"]
letter = same.images != unmarked.images  # the pixels that the letter changed, (160, 1, 64, 64)
carries = letter.flatten(start_dim=1).any(dim=1)
misled = carries != (same.labels == 1)
right = evaluate(cheat, Batches(same, 100, device=device)).probs.argmax(dim=1).cpu() == same.labels
print(
    f"{misled.sum()} of {len(same)} patients are misled; {right[misled].sum()} of them come out right"
)

# %% [markdown]
# ### On the letter, exactly
#
# Would the maps have told? Here the mask is exact: the letter covers 20 of 4,096 pixels. Beside the four methods stands
# a control that lights one constant pixel in the middle of the corner, for everybody.

# %% tags=["tol-0.3"]
lettered = (carries & (same.labels == 1)).nonzero().flatten()
x, on_letter = floats(same)[lettered], letter[lettered].to(device)
asked = LogOdds(cheat)
heat = {
    "Grad-CAM": grad_cam(asked, x, 1, layer=cheat.target_layer),
    "occlusion": occlusion(asked, x, 1, side=12, stride=6).clamp(min=0),
    "integrated gradients": integrated_gradients(asked, x, 1, baseline=blurred(x), steps=16),
    "saliency": saliency(asked, x, 1),
    "one constant pixel (control)": corner[:1].expand(len(x), -1, -1),
}
pointing_b = {name: hit_rate(maps, on_letter)[0] for name, maps in heat.items()}
rows = [
    (name, *(hit_rate(maps, on_letter, tolerance=t)[1] for t in (0, 2)))
    for name, maps in heat.items()
]
columns = ("", "on the letter", "or within 2 pixels")
Table(f"Hottest pixel, network B, n = {len(x)} letters, 95% intervals", columns, rows)

# %%
few = {name: maps[:3].clamp(min=0) for name, maps in list(heat.items())[:4]}
show("maps-of-a-cheat", plot_heat_maps(x[:3], few, masks=same.masks[lettered[:3]]))

# %% [markdown]
# Integrated gradients and saliency find it. The peaks of Grad-CAM and occlusion lie elsewhere, and come within 2 pixels
# of it less often than a constant pixel does. Each square of Grad-CAM's grid sees 38×38 of the 64×64 pixels, so many
# squares can report the letter, and the hottest isn't the one that holds it. If you didn't know about the letter, you
# could take the glow for the top of the lung.
#
# > **Why does occlusion miss it?** Its peak lies in the very corner of the image.
# > <details><summary>Likely answer</summary>Each pixel gets the mean of the squares that cover it. In the corner only
# > one square lies over it, and that one covers the letter. Nearer the letter, squares that miss most of it dilute the
# > mean. Try `side=6, stride=2`.</details>
#
# ### What the letter is worth
#
# Now the test that needs no map: take away the letter, or the fluid.

# %%
fluidless = floats(healed)[lettered]
fluid = ((x - fluidless).abs() > 2.5 / 255).any(dim=1, keepdim=True)
letter_worth = effect(cheat, x, floats(unmarked)[lettered])
fluid_worth = effect(cheat, x, fluidless)
activations = activation_times_gradient(cheat, x, layer=cheat.target_layer)
path = heat["integrated gradients"]

# %% [markdown]
# The activation map adds up to the answer, as Part B checked. So how much of the letter's worth does it put on the
# letter?

# %%
Predict("6.5")

# %% tags=["tol-1.5"]
rows = [
    ("truth: taken away", f"{letter_worth.mean():.2f}", f"{fluid_worth.mean():.2f}"),
    *(
        (name, *(f"{inside(maps, part).mean():.2f}" for part in (on_letter, fluid)))
        for name, maps in (
            ("integrated gradients, blurred", path),
            ("class activation map, signed", activations),
        )
    ),
]
Table("Worth in log-odds, means of all letters", ("network B", "letter", "fluid"), rows)

# %% [markdown]
# <details><summary>What happened, and why</summary>
#
# The map adds up to the answer, looks right, and puts next to nothing on the letter. Squares elsewhere report the
# letter, and the map shows its worth in those squares.
# </details>
#
# Which of the two causes does each patient's map name as the larger one?

# %% tags=["tol-20"]
blames_fluid = (inside(activations, fluid) > inside(activations, on_letter)).sum()
print(
    f"the letter is worth more than the fluid in {(letter_worth > fluid_worth).sum()} of {len(x)}"
)
print(f"the activation map says the fluid is worth more in {blames_fluid} of {len(x)}")

# %% [markdown]
# So the map blames the fluid in most patients, and is wrong in each of them. One map proves nothing, least of all that
# a network does *not* cheat. What found the shortcut was a suspicion and an experiment.
#
# Where did the letter's part go? Subtract the activation map without the letter from that with it. The difference sums
# to what the letter is worth, exactly.

# %% tags=["tol-1.5"]
bare = activation_times_gradient(cheat, floats(unmarked)[lettered], layer=cheat.target_layer)
landed = activations - bare
print(
    f"sum {landed.sum(dim=(1, 2)).mean():.2f}, on the letter {inside(landed, on_letter).mean():.2f}"
)
titles = ["the film"] * 3 + ["the difference"] * 3
show("where-the-letter-landed", plot_panels([*x[:3, 0], *landed[:3]], titles, columns=3))

# %% [markdown]
# It landed on the squares below the corner and to its left, where the lung begins, and hardly on the letter itself.
#
# ### Repair
#
# Three repairs, one training each:
#
# - *cover*: the corner is black in every image, with letter or without, in training and in use,
# - *swap*: during preparation each image gets the corner of a random other patient,
# - *balance*: letters are pasted until half of both classes carry one.


# %%
from dataclasses import replace

from course_lib.data import marker_box

there = (slice(None), slice(None), *marker_box(SIZE))


def cover(image_set):
    images = image_set.images.clone()
    images[there] = 0
    return replace(image_set, images=images)


def swap(image_set):
    images = image_set.images.clone()
    images[there] = images[torch.randperm(len(images))][there]
    return replace(image_set, images=images)


repaired = {
    "network B": cheat,
    "cover": trained(cover(at_b), cover(same), epochs=5),
    "swap": trained(swap(at_b), swap(same), epochs=5),
    "balance": trained(hospitals(500, 11, (0.5, 0.5)), hospitals(160, 12, (0.5, 0.5)), epochs=5),
}

# %% [markdown]
# A repair is judged as the fault was: by the same three worlds and the same counterfactual. (A network that was trained
# with covered corners gets covered corners.)

# %% tags=["tol-1.5"]
worth, rows = {}, []
for name, model_ in repaired.items():
    seen = cover if name == "cover" else (lambda image_set: image_set)
    with_, no_letter, no_fluid = (floats(seen(some))[lettered] for some in (same, unmarked, healed))
    worth[name] = [effect(model_, with_, bare).mean().item() for bare in (no_letter, no_fluid)]
    scores = [accuracy(model_, seen(images)) for images in worlds.values()]
    rows.append(
        (name, *(f"{score:.2f}" for score in scores), *(f"{one:.2f}" for one in worth[name]))
    )
columns = ("", *worlds, "letter worth", "fluid worth")
Table("Accuracy in three worlds, and log-odds when taken away; one seed each", columns, rows)

# %% [markdown]
# Two things to remember. The honest networks score *lower* on the hospitals' own validation set, where the letter
# helped: the network with the higher score was the worse one. And where the letter isn't covered but only made useless,
# a remainder may stay. The counterfactual measures it, and needs no map, so that's the acceptance test. (One seed each,
# so don't rank the repairs.)
#
# ### What the border gives away
#
# We planted this letter. In real collections such cues come by themselves:
#
# - A network could tell from which hospital a film came, and sorting films by hospital alone gave an AUC of .86 for
#   pneumonia ([Zech and others 2018](https://doi.org/10.1371/journal.pmed.1002683)).
# - Networks for COVID-19 read letters and borders, and external test data need not uncover it ([DeGrave and others
#   2021](https://doi.org/10.1038/s42256-021-00338-7)).
#
# A simple control looks for such cues: let a classifier see only what should hardly matter, the outermost pixels. What
# will it reach on simulated films, where nothing was planted there?

# %% tags=["tol-0.05"]
from course_lib.data import load_chest_xray
from course_lib.metrics import binary_report
from course_lib.real_results import on_real
from course_lib.training import linear_probe

xrays = load_chest_xray(profile.source, image_size=32)
border = torch.ones(32, 32, dtype=torch.bool)
border[2:-2, 2:-2] = False
seeing = {}
for name, keep in (("border", border), ("middle", ~border)):
    pixels = [part.images.float()[:, 0, keep] / 255 for part in (xrays.train, xrays.test)]
    head = linear_probe(pixels[0], xrays.train.labels)
    with torch.no_grad():
        probs = head(pixels[1]).softmax(dim=1)[:, 1]
    report = seeing[name] = binary_report(probs, xrays.test.labels, threshold=0.5)
    low, high = report.ci95["auc"]
    print(f"{name}: AUC {report.auc:.2f} [{low:.2f}, {high:.2f}], n = {report.n}")

# %% [markdown]
# No more than guessing would, as it should be. And on real X-rays? The border holds shoulders, arms and belly, and
# hardly any lung.

# %%
on_real("06.border", seeing, xrays.test)

# %% [markdown]
# The border of a real film tells a good deal. Read every score on this collection beside that one.
#
# ### Stop here
#
# Suspect a shortcut, prove it by taking the cue away, repair, and prove again. The honest network scores lower at home.
# **To discuss:** your network passes on the hospital next door. Which two experiments would you still do?
#
# <details><summary>One answer</summary>Take the suspected cue away from films that have it, and put it into films that
# don't, and measure the log-odds. And train on the border alone, at both hospitals: they may share the
# shortcut.</details>

# %% [markdown]
# <a id="part-e"></a>
#
# ## Part E. Tests without a truth (19 min, optional)
#
# - Say what deletion, retraining and forgetting can show without masks.
# - See the winner change with the test.
#
# ### Deletion and insertion
#
# Real films have no twins. One test needs none: replace the hottest squares by a blurred copy, then the next hottest,
# and so on, and watch the probability. If the map found what the answer needs, the probability falls at once:
# *deletion* ([Petsiuk and others 2018](https://arxiv.org/abs/1806.07421), who replaced by a constant). *Insertion*
# begins with the blurred copy and brings the squares back, the hottest first.

# %%
from course_lib.explain import deletion_curve, insertion_curve

x = floats(test)[found[:40]]
targets = torch.ones(len(x), dtype=torch.int64, device=device)
torch.manual_seed(0)
orders = {
    "Grad-CAM": grad_cam(answer, x, 1, layer=model.target_layer),
    "integrated gradients": integrated_gradients(answer, x, 1, baseline=blurred(x), steps=16),
    "saliency": saliency(answer, x, 1),
    "brightness": brightness(x),
    "noise": torch.rand(len(x), SIZE, SIZE).to(device),
}


def in_squares(maps, side=8):
    """The mean heat of each square, in all its pixels."""
    return F.interpolate(F.avg_pool2d(maps[:, None], side), (SIZE, SIZE))[:, 0]


# %%
from course_lib.plots import plot_curve_panels

panels = {"deletion": {}, "insertion": {}}
fractions = [step / 16 for step in range(17)]
for name, order in orders.items():
    for title, curve in (("deletion", deletion_curve), ("insertion", insertion_curve)):
        probs = curve(model, x, in_squares(order), targets, fill=blurred(x)).mean(dim=1)
        panels[title][name] = (fractions, probs.tolist())
figure = plot_curve_panels(
    panels,
    title=f"Mean of {len(x)} patients",
    xlabel="fraction of the image, hottest squares first",
    ylabel="probability of pneumonia",
)
show("deletion-and-insertion", figure)

# %% [markdown]
# By the network's own maps the probability falls sooner than by brightness, which won the pointing game. But the test
# adds something of its own: a film with blurred squares is an image that the network has never seen, and part of every
# change is surprise. Even the film that is blurred all over, at the right end, is far from 0: the network finds some
# sickness in the blur.
#
# ### Remove and retrain
#
# *ROAR* ([Hooker and others 2019](https://arxiv.org/abs/1806.10758)) takes the surprise away: remove the hottest 30% of
# the squares in *all* images, train again, and look at the AUC. If a map had found what matters, little is left to
# learn, and the AUC falls far.

# %%
schematic("roar")

# %%
from course_lib.metrics import binary_auc


def without_hottest(image_set, maps, fraction=0.3):
    """The hottest 4-pixel squares of each image replaced by its mean."""
    squares = F.avg_pool2d(maps[:, None], 4).flatten(start_dim=1)
    count = round(fraction * squares.shape[1])
    gone = torch.zeros_like(squares).scatter(1, squares.topk(count).indices, 1)
    gone = F.interpolate(gone.view(-1, 1, SIZE // 4, SIZE // 4), (SIZE, SIZE)).bool().cpu()
    mean = image_set.images.float().mean(dim=(2, 3), keepdim=True).byte()
    return replace(image_set, images=torch.where(gone, mean, image_set.images))


def maps_for(name, image_set):
    images = floats(image_set)
    if name == "noise":
        return torch.rand(len(images), SIZE, SIZE).to(device)
    if name == "saliency":
        return saliency(answer, images, 1)
    return brightness(images) if name == "brightness" else grad_cam(answer, images, 1, layer=last)


# %% [markdown]
# Four orders, three seeds each, 400 patients to learn from and 160 to judge:

# %% tags=["tol-0.2"]
learners, roar, rows = train.subset(torch.arange(400)), {}, []
for name in ("noise", "brightness", "Grad-CAM", "saliency"):
    torch.manual_seed(0)
    bare, judged = (without_hottest(some, maps_for(name, some)) for some in (learners, test))
    roar[name] = []
    for seed in range(3):
        outcome = evaluate(
            trained(bare, val, epochs=4, seed=seed), Batches(judged, 100, device=device)
        )
        roar[name].append(binary_auc(outcome.probs[:, 1], outcome.labels))
    rows.append((name, *(f"{auc:.2f}" for auc in roar[name])))
columns = ("the hottest 30% by ... removed", "seed 0", "seed 1", "seed 2")
Table("AUC after retraining, n = 160; lower is better for a map", columns, rows)

# %% [markdown]
# Three things to see, each the same from every seed:
#
# - Saliency, that spray of single pixels, is the best map by this test.
# - Brightness, which won the pointing game and lost at deletion, is second.
# - After Grad-CAM's squares are gone, the new network is *better* than after random ones. Perhaps the holes themselves
#   tell the class. The next section looks at that.
#
# ### Cut out the disease itself
#
# Cut the *exact* disease out of all sick images, and train again. Nothing of the pneumonia is left. What's the AUC?

# %%
Predict("6.6")


# %% tags=["tol-0.1"]
def holes(image_set, masks):
    mean = image_set.images.float().mean(dim=(2, 3), keepdim=True).byte()
    return replace(image_set, images=torch.where(masks, mean, image_set.images))


def borrowed(image_set):
    """Its own mask for each sick patient, and for each healthy one that of some sick patient."""
    masks, sick = image_set.masks.clone(), (image_set.labels == 1).nonzero().flatten()
    well = (image_set.labels == 0).nonzero().flatten()
    masks[well] = masks[sick[torch.arange(len(well)) % len(sick)]]
    return masks


cut = {}
for name, mask_of in (("the sick only", lambda some: some.masks), ("everybody", borrowed)):
    bare, judged = (holes(some, mask_of(some)) for some in (learners, test))
    outcome = evaluate(trained(bare, val, epochs=4), Batches(judged, 100, device=device))
    cut[name] = binary_auc(outcome.probs[:, 1], outcome.labels)
    print(f"disease cut out, holes in {name}: AUC {cut[name]:.2f}")

# %% [markdown]
# <details><summary>What happened, and why</summary>
#
# The hole tells the class: only the sick have one. With borrowed holes in the healthy, most of the advantage is gone.
# What is left may be the rim beyond the masks, which hold less than nine tenths of the effect (Part C). So a retraining
# test measures the maps *and* their outlines ([Rong and others 2022](https://arxiv.org/abs/2202.00449)), and smooth
# maps may come out well or badly just for being smooth ([Song and others 2023](https://arxiv.org/abs/2304.13836)).
# </details>
#
# ### Make it forget
#
# A last test needs neither masks nor pixels. If a map explains what was *learned*, it must change when the layers get
# random weights, from the head down ([Adebayo and others 2018](https://arxiv.org/abs/1810.03292)). Each dot below is
# one forgetting, the mean over 20 patients. The measure is the size of Spearman's rank correlation, without its sign:
# an inverted map is still the same map.

# %% tags=["tol-40"]
from course_lib.explain import randomize, rank_correlation

few, empty = x[:20], 0
whole = {
    "Grad-CAM": grad_cam(answer, few, 1, layer=model.target_layer),
    "saliency": saliency(answer, few, 1),
}
forgot = {name: {} for name in whole}
for depth in (1, 4, 9):  # the head; block 4 and its neighbors as well; all
    for seed in range(6):
        torch.manual_seed(seed)
        blank = randomize(model, depth)
        maps = {
            "Grad-CAM": grad_cam(LogOdds(blank), few, 1, layer=blank.target_layer),
            "saliency": saliency(LogOdds(blank), few, 1),
        }
        for name, heat_ in maps.items():
            same_order = rank_correlation(whole[name], heat_).abs()
            empty += int(same_order.isnan().sum())
            forgot[name].setdefault(depth, []).append(same_order.nanmean().item())
print(f"{empty} maps were empty, and have no correlation")

# %% tags=["tol-0.4"]
rows = [
    (f"{name}, last {depth}", *(f"{one:.2f}" for one in found_))
    for name, depths in forgot.items()
    for depth, found_ in depths.items()
]
columns = ("", *(f"seed {seed}" for seed in range(6)))
Table("Size of the rank correlation with the trained map (nan: all maps empty)", columns, rows)

# %% [markdown]
# The same as dots, one per seed:

# %%
from course_lib.plots import plot_seeds

dots = {
    f"{name}, last {depth}": found_ for name in forgot for depth, found_ in forgot[name].items()
}
figure = plot_seeds(dots, xlabel="size of the rank correlation")
show("maps-that-forget", figure)

# %% [markdown]
# With everything forgotten, both maps have changed, so both pass, if a small correlation is all that is asked. With the
# head alone forgotten the seeds lie far apart: Grad-CAM is then a random mix of the same maps, and one draw may come
# out much like the trained one. A mean of signed correlations over three seeds would have hidden that. The test itself
# is disputed: the order of the layers, noise and the measure of likeness decide who passes
# ([Binder and others 2022](https://arxiv.org/abs/2211.12486),
# [Hedström and others 2024](https://arxiv.org/abs/2401.06465)).
#
# ### What the clinics found
#
# There are chest X-rays with boxes and outlines drawn by radiologists, and maps were judged by them:
#
# - Seven methods, Grad-CAM the best of them, all located findings worse than radiologists did, and small findings worst
#   of all ([Saporta and others 2022](https://doi.org/10.1038/s42256-022-00536-x)).
# - Each of eight methods failed at least one of four criteria, such as giving the same map after another training
#   ([Arun and others 2021](https://doi.org/10.1148/ryai.2021200267)). If you want boxes, train a detector.
#
# ### On real X-rays
#
# What about the maps of a network trained on real X-rays? If you have those, the next cell trains one first, which
# takes a few minutes. Otherwise it uses network A and simulated films.

# %%
network, pictures = model, test
if profile.source == "real":
    real = load_chest_xray("real", image_size=96)
    network, pictures = trained(real.train, real.val, epochs=6), real.test
outcome = evaluate(network, Batches(pictures, 100, device=device))
surest = outcome.probs[:, 1].topk(4).indices.cpu()
shown = floats(pictures)[surest]
maps = {
    "Grad-CAM": grad_cam(network, shown, 1, layer=network.target_layer),
    "occlusion": occlusion(network, shown, 1, side=16, stride=8).clamp(min=0),
}
show("maps-without-outlines", plot_heat_maps(shown, maps))

# %% [markdown]
# Without outlines every map looks convincing. Read the network's scores before its maps:

# %%
report = binary_report(outcome.probs[:, 1], pictures.labels)
on_real("06.network", {"CompactCNN": report}, pictures)

# %% [markdown]
# Deletion needs no outlines, so it works here, too, beside two orders that know nothing. Look first at the right end,
# where the whole film is blurred.

# %% tags=["tol-0.2"]
judged = ((outcome.probs[:, 1] > 0.5).cpu() & (pictures.labels == 1)).nonzero().flatten()[:40]
x = floats(pictures)[judged]
size = x.shape[-1]
rows_ = torch.linspace(-1, 1, size, device=device)
orders = {
    "Grad-CAM": grad_cam(network, x, 1, layer=network.target_layer),
    "occlusion": occlusion(network, x, 1, side=16, stride=8).clamp(min=0),
    "noise": torch.rand(len(x), size, size).to(device),
    "center": (2 - torch.hypot(rows_[:, None], rows_)).expand(len(x), -1, -1),
}
targets, falls = torch.ones(len(x), dtype=torch.int64, device=device), {}
for name, order in orders.items():
    order = F.interpolate(F.avg_pool2d(order[:, None], 8), (size, size))[:, 0]
    curve = deletion_curve(network, x, order, targets, fill=blurred(x)).mean(dim=1)
    falls[name] = (fractions, curve.tolist())
on_real("06.deletion", falls, pictures.subset(judged))

# %% [markdown]
# Deletion takes it for granted that a blurred film says nothing. Where a curve ends as high as it began, that isn't so:
# the network predicts disease from the blur, too. A test of maps must itself be tested on the images that it's used
# for.
#
# ### Stop here
#
# Deletion surprises the network, retraining learns the holes, and forgetting depends on the draw. Brightness wins the
# pointing game, and Grad-CAM, good by deletion, is worst by retraining. **To discuss:** you may report one test of maps
# in a paper. Choose one, and defend it in three sentences.
#
# <details><summary>One answer</summary>The counterfactual, wherever one can be made, even for one cue: it has a truth
# and a unit. Elsewhere deletion, with the brightness control and two fills, and with the network's answer to a fully
# blurred image beside it.</details>
#
# ## What a heat map may and may not be used for
#
# It may be used
#
# - to find faults: a map that glows on a letter or on the black beside the body is a reason to look at the data,
# - to debug: maps that are the same for every image point to a fault in the code,
# - to form a guess, which you then test by changing the images. The test is the evidence; the map was the idea.
#
# It may not be used
#
# - as a proof that a network is right, or that it looks at the disease,
# - to show a physician where the disease is,
# - if you looked at several methods and layers first, and chose the picture that pleases.
#
# `course predict runs/first some_scan.png --explain why.png` draws one for a network trained by `course train`. It says
# "not for diagnosis", and now you know why.
#
# ## Summary
#
# - Only the filters of the first layer can be read as pictures. Later ones are known by what they answer to.
# - Saliency, occlusion, integrated gradients and Grad-CAM ask four questions. Fill and baseline are part of the
#   question.
# - Pointing at the disease is no evidence: brightness, which never asks the network, points at it, too.
# - The truth is what the answer does when the thing is taken away. In log-odds, you can say by how much a map is wrong.
# - A map can add up to the answer and blame the wrong cause.
# - A shortcut is proved, and its repair accepted, by counterfactuals. Not for diagnosis.
#
# ## Quiz
#
# Click an answer, or reach it with Tab and press the space bar, and read why. First tries count, and your score is kept
# when you reload the page.

# %%
from course_lib.widgets import Quiz

Quiz(6)

# %% [markdown]
# ## Exercises
#
# [Exercises 6](exercises/06_visualization.ipynb) has six tasks, from one line to a real piece of work. Each asks for a
# function, a cell below it checks yours at once, and hints come in steps.
#
# ## What you may now import
#
# - From `course_lib.explain`: `filters`, `feature_maps`, `top_patches`, `feature_visualization`, `saliency`,
#   `integrated_gradients`, `occlusion`, `grad_cam`.
# - To judge them: `LogOdds`, `effect`, `inside`, `gradient_times_change`, `activation_times_gradient`, `pointing_hits`,
#   `energy_inside`, `deletion_curve`, `insertion_curve`, `randomize`, `rank_correlation`.
# - From `course_lib.data`: `simulate_radiographs` with `leave_out=`.
#
# What you wrote by hand and what you import agree:

# %%
from course_lib import explain

exact = {"atol": 1e-3, "rtol": 1e-3}
torch.testing.assert_close(saliency_by_hand(answer, four), saliency(answer, four, 1), **exact)
torch.testing.assert_close(maps_of(model, four, last), explain.feature_maps(model, four, last)[0])
imported = integrated_gradients(answer, four, 1, baseline=blurred(four), steps=50)
torch.testing.assert_close(parts, imported, atol=0.01, rtol=0.05)
imported = occlusion(answer, four, 1, side=8, stride=8)
torch.testing.assert_close(squares, imported.cpu(), **exact)
imported = activation_times_gradient(model, four, layer=last)[:, ::16, ::16] * 256
torch.testing.assert_close(activation, imported, **exact)
print("the same saliency, maps, integrated gradients, occlusion and class activation map")

# %% [markdown]
# Does the page keep its word? Each line is a claim made above.

# %%
assert errors["integrated gradients: the twin (check)"][2] < 0.2  # completeness
assert errors["integrated gradients: black"][0] > 10  # black is no small matter
for name in ("covering: mean", "integrated gradients: blurred"):
    assert errors[name][1] < errors["the same for all (control)"][1]
assert pointing["brightness"][0] > max(pointing[name][0] for name in ("Grad-CAM", "saliency"))
assert min(by_block[2:]) > max(by_block[:2])
assert (letter_worth > fluid_worth).all()
assert blames_fluid > len(lettered) / 2
assert pointing_b["integrated gradients"] > 0.9 > 0.5 > pointing_b["Grad-CAM"]
accuracies = in_three_worlds(cheat)
assert accuracies[0] > 0.9 > 0.7 > accuracies[1] > 0.3 > accuracies[2]
assert worth["cover"][0] == 0  # what can't be seen is worth nothing
assert all(
    abs(worth[name][0]) < 0.3 * worth["network B"][0] for name in ("cover", "swap", "balance")
)
assert min(roar["noise"]) > max(roar["saliency"])
assert cut["the sick only"] > 0.9 > cut["everybody"]
print("It does.")

# %% [markdown]
# ## Where to go next
#
# - [captum](https://captum.ai/docs/algorithms) has the methods of Part B and many more;
#   [Quantus](https://quantus.readthedocs.io/) has some thirty tests of maps.
# - [TCAV](https://arxiv.org/abs/1711.11279) asks about concepts instead of pixels.
# - A question of your own, and images to put it to. You have built networks from a single kernel upward, trained and
#   measured them, borrowed what others had learned, and asked what they see.
