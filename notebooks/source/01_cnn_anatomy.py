# %% [markdown]
# # 1. CNN anatomy
# A *CNN*, a convolutional neural network, is a chain of simple steps, its *layers*. Their numbers are learned from
# examples. You'll run one in the first minute, take it apart, and watch an edge detector grow out of random numbers.
#
# After this lesson you can
#
# - say what each axis of an image tensor holds,
# - work out a convolution and its output size by hand,
# - learn a kernel by gradient descent,
# - count any layer's parameters,
# - say what ReLU, pooling and depth each add,
# - trace a network's shapes.
#
# | part | time | you will have |
# | --- | --- | --- |
# | [A. From a picture to a learned filter](#part-a) | 24 min, core | a convolution by hand, and a learned one |
# | [B. How a kernel learns](#part-b) | 28 min, core | gradient descent in PyTorch, on nine weights |
# | [C. Where the kernel goes, and how many channels](#part-c) | 28 min, core | the size formula; parameters per layer |
# | [D. From maps to an answer](#part-d) | 29 min, core | a network, traced layer by layer |
# | [E. Shifts, borders and history](#part-e) | 10 min, optional | what moves along with an image, and what doesn't |
#
# You need Python, the basics of [tensors](https://docs.pytorch.org/tutorials/beginner/basics/tensorqs_tutorial.html),
# pencil and paper, and no GPU. Computing takes 20 s on two cores.

# %% tags=["setup"]
from course_lib.lessons import start_lesson

profile = start_lesson(1)

# %% [markdown]
# <a id="part-a"></a>
#
# ## Part A. From a picture to a learned filter (24 min, core)
#
# - Read a picture as a table of numbers.
# - Work out a convolution's sum by hand.
# - Tell from a kernel's weights what it finds.
#
# ### It works
#
# This trained network ships with the course. It learned from 1,200 *simulated* X-rays, computed by a physical model.
# Here are three new patients, each once healthy and once with pneumonia; nothing else differs.

# %%
import torch

from course_lib.data import twins
from course_lib.models import load_trained

network = load_trained("opening")
patients = [twins(seed).images.float() / 255 for seed in (3, 4, 5)]  # each (2, 1, 64, 64)
for name, pictures in zip("ABC", patients, strict=True):
    healthy, sick = network(pictures).softmax(dim=1)[:, 1].tolist()
    print(f"patient {name}, probability of pneumonia: {healthy:.2f} healthy, {sick:.2f} sick")

# %% [markdown]
# It finds two of the three pneumonias and misses B's. (Patients 3 to 5, unselected.) Pneumonia shows as a bright cloud
# in a lung. Orange outlines below show where it is. All three are in the left lung, on the right in the picture:
# halfway up in A, at the bottom in B, above the heart in C.
#
# Where did the network look? [Grad-CAM](https://arxiv.org/abs/1610.02391) estimates that, and marks the peak with a
# cross. Lesson 6 tests it.

# %%
from course_lib.explain import grad_cam
from course_lib.plots import plot_heat_maps, show
from course_lib.real_results import on_real

sick = torch.cat([pictures[1:] for pictures in patients])  # (3, 1, 64, 64)
masks = torch.cat([twins(seed).masks[1:] for seed in (3, 4, 5)])  # where the pneumonia is
heat = grad_cam(network, sick, 1, layer=network.blocks[3][2])  # (3, 64, 64)
names = ["patient A", "patient B", "patient C"]
show("opening-heat-maps", plot_heat_maps(sick, {"Grad-CAM": heat}, names, masks=masks))
on_real("01.opening")

# %% [markdown]
# Only one cross lies on the pneumonia. The table is about a network of the same kind, trained on 4,434 *real* X-rays
# ([Kermany 2018](https://doi.org/10.17632/rscbjbr9sj.2)) and tested on 312 others, some perhaps of the same children
# (see lesson 2). *Recall* is the fraction of a class that it recognizes. Brackets hold a 95% confidence interval:
# roughly, what so few images can't rule out. By the end of lesson 6 you'll have written all this.
#
# > **Not for diagnosis.** Nothing in this course is.
#
# ### A picture is a table of numbers
#
# To a computer, a gray picture is a table with one number per pixel. 0 is black; the largest is white.

# %%
from course_lib.plots import plot_panels

tiny = torch.tensor([[0, 9, 0], [9, 9, 9], [2, 9, 2]])
print("row 2, column 0:", tiny[2, 0].item())
show("plus-sign", plot_panels([tiny]))

# %% [markdown]
# Rows count down and columns to the right, both from 0. The row comes first.
#
# ### One small sum
#
# A *kernel* is a small table of *weights*. Lay it on the picture, multiply each pixel by the weight on top of it, and
# add the products: that is one output pixel. Move by one pixel, and repeat.

# %%
from course_lib.schematics import schematic

schematic("one-window")

# %% [markdown]
# Repeated at every position, this sum is a *convolution*: in code, a loop over rows and one over columns. Work out the
# first sum before the loops do.

# %%
from course_lib.widgets import Predict

Predict("1.1")


# %%
def slide(image, kernel):
    rows, columns = image.shape[0] - kernel.shape[0] + 1, image.shape[1] - kernel.shape[1] + 1
    output = torch.zeros(rows, columns)
    for row in range(rows):
        for column in range(columns):
            window = image[row : row + kernel.shape[0], column : column + kernel.shape[1]]
            output[row, column] = (window * kernel).sum()
    return output


image = torch.tensor([[1.0, 0, 2], [3, 5, 1], [0, 4, 2]])
kernel = torch.tensor([[1.0, 2], [0, -1]])
panels = [image, kernel, slide(image, kernel)]
show("four-sums", plot_panels(panels, ["image", "kernel", "output"]))

# %% [markdown]
# ### A kernel that finds edges
# Irwin Sobel designed the kernel below by hand in 1968. Its left column is negative and its right one positive: it asks
# of every window whether it's brighter on the right.

# %%
from skimage import data as photographs

camera = torch.from_numpy(photographs.camera())  # 512 x 512 pixels; CC0, by Lav Varshney
head = camera[60:188, 170:298] / 255  # 128 x 128 pixels, between 0 and 1
sobel = torch.tensor([[-1.0, 0, 1], [-2, 0, 2], [-1, 0, 1]])
edges = slide(head, sobel)
show("sobel-edges", plot_panels([head, sobel, edges], ["photo", "kernel", "feature map"]))

# %% [markdown]
# The answers from all positions form a *feature map*.
#
# ### A kernel that nobody designed
# If you had only Sobel's feature maps, could you find his weights? Below, two kernels try, for vertical and for
# horizontal edges; the explorer calls them *filters*. They start as random numbers and repeat three steps:
#
# 1. Slide over eight small images.
# 2. Compare their maps with Sobel's, the *targets*. The *loss* is the mean of the squared differences.
# 3. Move each weight a little, so that the loss falls. The *learning rate* sets how far.
#
# Set *steps per frame* to 10 and press Play. Then restart with a learning rate of 3. (Leave seed and momentum alone.)

# %%
from course_lib.widgets import training_explorer

training_explorer()

# %% [markdown]
# <details><summary>What happens, and why</summary>
#
# At a learning rate of 0.5, every weight is within about 0.05 of the designed one after 300 steps, whatever the start.
# Each filter has nine weights and 800 target numbers to match, 100 in the map of each image, and no other nine weights
# match them all. At a rate of 3, each step overshoots farther than the one before, and the loss explodes. On these
# images, training settles at rates up to about 1.1.
# </details>

# %% [markdown]
# Nobody told the filters what an edge is. A target, a loss and many small steps: that's training. In a real network the
# target is a label such as PNEUMONIA, so nobody decides what its filters become.
#
# ### What does a kernel find?
#
# You can often tell from the weights alone. Here are four designed kernels. Before you open the answer, imagine a
# picture of a gray wall that is 0.5 everywhere. What does each kernel give on it? The sum of its weights is all you
# need.

# %%
kernels = {
    "vertical edges": sobel,
    "horizontal edges": sobel.T,
    "blur": torch.full((3, 3), 1 / 9),
    "sharpen": torch.tensor([[0.0, -1, 0], [-1, 5, -1], [0, -1, 0]]),
}
show("four-kernels", plot_panels([*kernels.values()], [*kernels]))

# %% [markdown]
# <details><summary>Answer</summary>
#
# The kernels give 0, 0, 0.5 and 0.5. On a flat wall, every product is 0.5 times a weight, so the output is 0.5 times
# the sum of the weights. Weights that add up to 0 ignore everything flat and report only differences. Weights that add
# up to 1 keep the brightness: blur takes the mean of nine pixels, and sharpen adds to each pixel its differences from
# four neighbors.
# </details>

# %% [markdown]
# Now try an X-ray. In a chest, the ribs run mostly sideways, and the sides of the chest run up and down.

# %%
from course_lib.data import load_chest_xray, simulate_radiographs

if profile.source == "real":
    xrays = load_chest_xray("real", image_size=128).train
else:
    xrays = simulate_radiographs(16, image_size=128, seed=1)
batch = torch.stack([xrays.images[xrays.labels == label][0] for label in (0, 1)]) / 255
xray = batch[1, 0]  # 128 x 128 pixels, labeled PNEUMONIA
maps = [slide(xray, weights) for weights in kernels.values()]
maps[2:] = [one.clamp(0, 1) for one in maps[2:]]  # sharpening overshoots black and white
figure = plot_panels([xray, *maps], [f"{profile.source} X-ray", *kernels], columns=3)
show("xray-maps", figure, source=profile.source)

# %% [markdown]
# The first map follows what runs up and down; the second follows the ribs. Sharpening brings out fine lines, and noise
# along with them. No kernel here finds pneumonia. Pneumonia shows as a broad bright cloud, an *opacity*, where a lung
# should be dark, and a 3x3 window sees only a speck of it. A network gets there by stacking layers: the first find
# simple patterns, and later ones find arrangements of them.
#
# > **Change one thing.** What does `[[-1, -1, -1], [-1, 8, -1], [-1, -1, -1]]` give on the gray wall, and what does it
# > find?
# > <details><summary>Answer</summary>Its weights add up to 0, so the wall gives 0. It responds wherever a pixel differs
# > from the mean of its neighbors: edges in every orientation, and single specks.</details>
#
# ### The axes of a tensor
#
# So far, every picture has been a table with two axes. PyTorch's layers expect four, $(N, C, H, W)$: the number of
# images that are processed together (a *batch*), the number of channels, the height and the width. An X-ray has one
# channel. A color photo has three: red, green and blue.

# %%
schematic("pixel-to-tensor")

# %% [markdown]
# There are two traps in images loaded from files. First, each number is usually a *byte*, which counts from 0 to 255
# and then starts over at 0. Second, most libraries keep the three color values of a pixel together, (H, W, C), while
# PyTorch wants one whole table per channel, (C, H, W). Two functions turn (512, 512, 3) into (3, 512, 512): `permute`
# and `reshape`. Only one of them keeps the picture.

# %%
two_hundred, hundred = torch.tensor([200, 100], dtype=torch.uint8)
print("200 + 100 in bytes:", (two_hundred + hundred).item())
astronaut = torch.from_numpy(photographs.astronaut())  # (512, 512, 3); NASA, public domain
photo = astronaut.permute(2, 0, 1) / 255  # (3, 512, 512), between 0 and 1
reshaped = astronaut.reshape(3, 512, 512) / 255  # also (3, 512, 512)
titles = ["permute", "red", "green", "blue", "reshape"]
show("permute-or-reshape", plot_panels([photo, *photo, reshaped], titles, columns=5))

# %% [markdown]
# 300 became 44, which is 300 - 256, without a warning. That's why the cells above divide by 255 before they do
# arithmetic. `permute(2, 0, 1)` names the old axes in their new order and keeps each pixel's numbers together.
# `reshape` cuts the same long row of numbers at different points: the shape is right, no error appears, and the picture
# is gone. The right shape proves little.

# %%
print("one X-ray:", tuple(batch[0].shape), "| a batch of two:", tuple(batch.shape))
print("a color photo as a batch of one:", tuple(photo[None].shape))

# %% [markdown]
# Indexing with `None` adds an axis of length one, which you'll see whenever one picture has to become a batch.
#
# ### Stop here
#
# A convolution lays a small table of weights on every position and adds up the products. The weights decide what it
# finds, and they can be learned. **To discuss:** a kernel's weights add up to 0. What can its feature map never tell
# you?
#
# <details><summary>One answer</summary>How bright the picture is overall. Add the same number to every pixel, and the
# map stays the same.
# </details>

# %% [markdown]
# <a id="part-b"></a>
#
# ## Part B. How a kernel learns (28 min, core)
#
# - Say what a gradient is, and check one with a nudge.
# - Learn a kernel's nine weights in PyTorch.
# - Say why shared weights need so few examples.
#
# ### Nudge one weight
#
# The explorer moved each weight "so that the loss falls." How did it know which way to go? Take the smallest model
# there is: one weight $w$, the input 2, and the prediction $2w$. The target is 6, so the loss is $(2w - 6)^2$. Start at
# $w = 1$, and nudge the weight by a thousandth.


# %%
def loss_at(w):
    return (2 * w - 6) ** 2


before, after = loss_at(1), loss_at(1.001)
print(f"loss {before:.3f}, after the nudge {after:.3f}")
print(f"change per unit of w: {(after - before) / 0.001:.2f}")

# %% [markdown]
# Raising $w$ lowers the loss, at a rate of 16 per unit of $w$. As the nudge shrinks, this ratio approaches a fixed
# value, here $-16$: the *gradient*. PyTorch finds it without a nudge: `requires_grad=True` says that we'll ask for it,
# `backward()` works it out (*backpropagation*), and `.grad` holds it.

# %%
w = torch.tensor(1.0, requires_grad=True)
loss_at(w).backward()
print("gradient:", w.grad.item())
stepped = 1 - 0.1 * w.grad.item()
print(f"one step at a learning rate of 0.1: w = {stepped:.1f}, loss {loss_at(stepped):.2f}")

# %% [markdown]
# Subtract the gradient times the learning rate from the weight, and the loss falls. Repeat this, and you have *gradient
# descent*. If a step is too long, it lands higher up on the other side of the curve. That's why the explorer's loss
# exploded at a learning rate of 3.

# %%
schematic("descent-step")

# %% [markdown]
# ### Nine weights
#
# A kernel has nine weights, so `backward()` finds nine gradients. Now you can write what the explorer does. The image
# is random noise, and the target is Sobel's feature map of it. `F.conv2d`, PyTorch's own convolution, slides a kernel
# over a whole batch. It wants four axes for the kernel too; Part C explains why. `torch.manual_seed` sets the *seed*,
# from which random numbers are computed, so that yours are this page's.

# %%
from torch.nn import functional as F

sobel4 = sobel[None, None]  # (1, 1, 3, 3)
torch.manual_seed(100)
noise = torch.rand(1, 1, 32, 32) - 0.5
target = F.conv2d(noise, sobel4)  # (1, 1, 30, 30)
by_loops = slide(noise[0, 0], sobel)
print("the same as our loops:", torch.allclose(target[0, 0], by_loops, atol=1e-5))


# %% [markdown]
# The loop has five lines, and two more that keep a record; `detach().clone()` makes a copy that later steps don't
# change.


# %%
def learn(image, target, *, seed, rate, steps):
    torch.manual_seed(seed)
    kernel = torch.randn(1, 1, 3, 3, requires_grad=True)
    kernels, losses = [], []
    for _ in range(steps + 1):
        loss = (F.conv2d(image, kernel) - target).square().mean()
        loss.backward()  # fills kernel.grad
        kernels.append(kernel.detach().clone())
        losses.append(loss.item())
        with torch.no_grad():  # PyTorch need not track the step itself for gradients
            kernel -= rate * kernel.grad
        kernel.grad = None  # the next backward() would add to it
    return kernels, losses


# %%
kernels_seen, losses = learn(noise, target, seed=0, rate=3, steps=10)
steps = [0, 1, 2, 5, 10]
panels = [kernels_seen[step][0, 0] for step in steps]
titles = [f"step {step}\nloss {losses[step]:.2g}" for step in steps]
show("nine-weights", plot_panels(panels, titles, columns=5))

# %% [markdown]
# The kernel starts as random numbers, and ten steps later it is nearly Sobel's. Why didn't the loss explode at a rate
# of 3, as it did in the explorer? How large the rate can be depends on the images. These pixels average out to about 0.
# Where all pixels are bright, changing any of the nine weights moves the output in the same direction. Nine small
# changes add up to a large one, and only a lower rate keeps it from overshooting. Was it a lucky start? Try five:

# %%
for seed in range(5):
    last = learn(noise, target, seed=seed, rate=3, steps=10)[0][-1]
    off = (last - sobel4).abs().max().item()
    print(f"start {seed}: no weight is off by more than {off:.3f}")
    assert off < 0.01

# %% [markdown]
# ### The same on a photo
# Now learn from a photo instead of noise. The target is Sobel's map of the photo, and the loop is the same. The highest
# safe learning rate is much lower here, so we take 0.16.

# %%
Predict("1.2")

# %%
crop = camera[None, None, 64:192, 192:320] / 255  # (1, 1, 128, 128)
photo_target = F.conv2d(crop, sobel4)
steps = [0, 1, 10, 100, 1000]
photo_runs = [learn(crop, photo_target, seed=seed, rate=0.16, steps=1000) for seed in range(5)]
kernels_seen, losses = photo_runs[0]
panels = [kernels_seen[step][0, 0] for step in steps]
titles = [f"step {step}\nloss {losses[step]:.2g}" for step in steps]
show("photo-kernel", plot_panels(panels, titles, columns=5))
for seed, (seen, of_seed) in enumerate(photo_runs):
    off = (seen[-1] - sobel4).abs().max()
    print(f"start {seed}: loss {of_seed[0]:.2f} to {of_seed[-1]:.4f}, off by up to {off:.2f}")

# %% [markdown]
# <details><summary>What happened, and why</summary>
#
# The first steps bring the sum of the weights close to 0, so that flat areas give about 0, as they should. Then the
# loss falls slowly. After 1,000 steps the map is nearly Sobel's, but the weights are not: in a photo, neighboring
# pixels are nearly equal, so different kernels can give nearly the same map. In noise, every weight leaves its own
# trace.
# </details>
#
# > **What is learned depends on what is shown.** You'll meet this sentence again when a network learns a shortcut
# > instead of its task.
#
# The kernel that learned from noise got all nine weights right, so it also works on pictures it has never seen:

# %%
learned = learn(noise, target, seed=0, rate=3, steps=10)[0][-1]
ours, designed = (F.conv2d(xray[None, None], kernel)[0, 0] for kernel in (learned, sobel4))
titles = [f"{profile.source} X-ray", "learned from noise", "Sobel's"]
show("learned-on-xray", plot_panels([xray, ours, designed], titles), source=profile.source)

# %% [markdown]
# ### What if nothing is shared?
#
# An older building block is the *dense* layer. Each of its outputs has its own weight for every pixel, plus one number
# that is added to the sum, the *bias*. A convolution differs in two ways: each output looks only at nearby pixels, and
# all positions share the same weights.

# %%
schematic("three-wirings")

# %% [markdown]
# Weights and biases are a layer's *parameters*: the numbers that training changes. Take an image of 256x256 pixels. A
# dense layer turns it into 1,000 numbers. A convolution has 32 kernels of 3x3, each with a bias; a 3x3 kernel fits at
# 254 rows and 254 columns, so the layer makes 32 maps of 254x254. `numel()` counts the numbers in a tensor, and
# `device="meta"` builds a layer without using memory for them.

# %%
from torch import nn


def count_parameters(model, *, trainable_only=False):
    return sum(p.numel() for p in model.parameters() if p.requires_grad or not trainable_only)


dense = nn.Linear(256 * 256, 1000, device="meta")  # 1,000 outputs
conv = nn.Conv2d(1, 32, kernel_size=3, device="meta")  # 32 maps of 254 x 254 outputs
print(f"dense {count_parameters(dense):,} | convolution {count_parameters(conv):,}")

# %% [markdown]
# The dense layer has 65,536 weights and a bias for each of its thousand outputs; the convolution has nine weights and a
# bias for each of its 32 kernels. To see what each of the two ideas saves, count what the convolution's two million
# outputs would need without them.

# %%
from course_lib.tables import Table

outputs = 32 * 254 * 254
rows = [
    ("every pixel, own weights", f"{outputs * (256 * 256 + 1):,}"),
    ("3x3 pixels, own weights", f"{outputs * (3 * 3 + 1):,}"),
    ("3x3 pixels, shared weights", f"{32 * (3 * 3 + 1):,}"),
]
Table("Parameters for 32 maps of 254x254", ("each output reads", "parameters"), rows)

# %% [markdown]
# Looking locally divides the count by about 6,550. Sharing divides it by another 64,516, the number of positions. Each
# idea is an assumption: *what belongs together lies together*, and *what is worth finding here is worth finding there*.
# For images, both are good. For a table of ages, blood counts and zip codes they would be nonsense.
#
# ### Fewer parameters, fewer examples
#
# Does the difference matter if memory is cheap? Let both kinds of layer learn Sobel's map from small crops of one
# photo, 16x16 pixels each. The convolution has ten parameters, and the dense layer has 50,372. Then judge them on
# another photo. The error is the mean squared difference, scaled so that answering 0 everywhere gives an error of 1.
#
# One function cuts crops at random places, and one measures a layer's error on them:


# %%
def crops_of(picture, count, seed):
    generator = torch.Generator().manual_seed(seed)  # this function's own random numbers
    corners = torch.randint(0, 512 - 16, (count, 2), generator=generator)
    return torch.stack([picture[None, y : y + 16, x : x + 16] for y, x in corners.tolist()])


def error(model, crops):  # crops: (N, 1, 16, 16)
    target = F.conv2d(crops, sobel4)  # (N, 1, 14, 14)
    gap = model(crops).reshape(target.shape) - target
    return gap.square().mean() / target.square().mean()


# %% [markdown]
# A third one trains the layer. An *optimizer* does what the end of our loop did: `step()` moves the weights, and
# `zero_grad()` clears the gradients.


# %%
def fitted(model, crops, rate):
    optimizer = torch.optim.Adam(model.parameters(), lr=rate)  # refined gradient descent
    for _ in range(600):
        optimizer.zero_grad()
        error(model, crops).backward()
        optimizer.step()
    return model


# %% [markdown]
# Both learn from one crop and then from a hundred, with three seeds each time. In the code, `nn.Flatten` writes all
# pixels into one long row, `nn.Linear` is a dense layer, and `nn.Sequential` runs layers one after the other. 16x16 =
# 256 pixels go in, and 14x14 = 196 numbers come out.

# %%
Predict("1.3")

# %% tags=["tol-0.05"]
from collections import defaultdict
from itertools import product

other, crop_errors = crops_of(photo.mean(dim=0), 500, seed=99), defaultdict(list)
for count, seed in product((1, 100), (1, 2, 3)):
    torch.manual_seed(seed)
    crops = crops_of(camera / 255, count, seed)
    conv = fitted(nn.Conv2d(1, 1, 3), crops, rate=0.03)
    dense = fitted(nn.Sequential(nn.Flatten(), nn.Linear(256, 196)), crops, rate=0.003)
    crop_errors[f"convolution, {count}"].append(error(conv, other).item())
    crop_errors[f"dense, {count}"].append(error(dense, other).item())
rows = [(name, *(f"{one:.2f}" for one in found)) for name, found in crop_errors.items()]
Table("Error on another photo", ("layer, crops", "seed 1", "seed 2", "seed 3"), rows)

# %% [markdown]
# <details><summary>What happened, and why</summary>
#
# One crop taught the convolution a kernel that gives nearly Sobel's map. It taught the dense layer that crop and
# nothing else: the layer learns each position separately, and would need to see every pattern at every position. A
# hundred crops bring it to about half the error of answering 0.
# </details>

# %% [markdown]
# You may read that dense layers fail because flattening an image destroys its geometry. It doesn't, since flattening
# can be undone. What's true is that a dense layer can't see geometry in the first place. Shuffle the pixels of an
# X-ray, put each output's weights in the same new order, and all outputs stay the same:

# %%
torch.manual_seed(0)
layer = nn.Linear(128 * 128, 5)
pixels = xray.flatten()  # (16384,)
order = torch.randperm(len(pixels))
shuffled = F.linear(pixels[order], layer.weight[:, order], layer.bias)
print("same five outputs:", torch.allclose(layer(pixels), shuffled, atol=1e-5))
panels = [xray, pixels[order].reshape(128, 128)]
titles = [f"{profile.source} X-ray", "its pixels, shuffled"]
show("shuffled", plot_panels(panels, titles), source=profile.source)

# %% [markdown]
# To a dense layer, these two pictures are one and the same problem. A convolution has the layout of the image built in.
#
# ### Stop here
#
# A gradient says how fast the loss changes with a weight; a small enough step against it lowers the loss. Nine shared
# weights can be learned from one varied picture, because every position teaches the same nine numbers. **To discuss:**
# you learn a kernel from pictures of vertical fences only. What can these pictures teach about its nine weights?
#
# <details><summary>One answer</summary>Only the sum of each of the kernel's columns: three numbers. In such a picture
# all rows are equal, so no single weight can be determined.</details>

# %% [markdown]
# <a id="part-c"></a>
#
# ## Part C. Where the kernel goes, and how many channels (28 min, core)
#
# - Say what padding does to an image's border.
# - Give the output size of any convolution.
# - Count a layer's parameters from its channels.
#
# ### Borders
#
# So far the kernel has stayed inside the image, so a 3x3 kernel read a corner pixel once and a pixel in the middle nine
# times. *Padding* adds a ring of zeros around the image, so that the kernel can also be centered on border pixels.
#
# How often is each pixel read then? Let gradients count. A pixel can have a gradient too: it says how fast a result
# grows with that pixel. Set all weights to 1, and take the sum of all outputs. The sum contains a pixel once for each
# time that it is read, so the pixel's gradient is the number of reads.

# %%
reads = []
for padding in (0, 1):
    white = torch.ones(1, 1, 5, 5, requires_grad=True)
    F.conv2d(white, torch.ones(1, 1, 3, 3), padding=padding).sum().backward()
    reads.append(white.grad[0, 0])
show("border-reads", plot_panels(reads, ["reads, padding=0", "reads, padding=1"]))

# %% [markdown]
# With a ring of zeros, the map keeps its size, and the border gets a larger say. But a zero isn't "nothing": it is
# black. Blur a white image, and the black frame bleeds in. If the ring mirrors the pixels inside instead, it doesn't:

# %%
blur = kernels["blur"][None, None]  # (1, 1, 3, 3)
white = torch.ones(1, 1, 5, 5)
mirrored = F.pad(white, (1, 1, 1, 1), mode="reflect")
panels = [F.conv2d(white, blur, padding=1)[0, 0], F.conv2d(mirrored, blur)[0, 0]]
show("border-blur", plot_panels(panels, ["blur, zeros around", "blur, mirrored border"]))

# %% [markdown]
# Most networks use zeros anyway. Since the outputs near the border differ, a network can tell where the border is.
#
# ### Padding, stride, dilation
#
# - *Padding*: how many zeros are added on each side.
# - *Stride*: how far the kernel moves from one position to the next.
# - *Dilation*: how far apart the weights are. With dilation 2, the kernel reads every second pixel.

# %%
schematic("padding-stride-dilation")

# %% [markdown]
# Now walk along a single row of seven pixels with a kernel of three weights. In the grids below, each row is one
# output, and the blue cells are the pixels that it reads.


# %%
from course_lib.plots import plot_walks


def walk(size, kernel, *, stride=1, padding=0, dilation=1):
    positions, start = [], 0
    while start + dilation * (kernel - 1) < size + 2 * padding:  # the last weight is inside
        positions.append([start + dilation * weight for weight in range(kernel)])
        start += stride
    return positions


walks = {"plain": walk(7, 3), "stride=2": walk(7, 3, stride=2)}
walks |= {"padding=1": walk(7, 3, padding=1), "dilation=2": walk(7, 3, dilation=2)}
show("walks", plot_walks(walks, size=7, paddings=[0, 0, 1, 0]))

# %% [markdown]
# > **Change one thing.** With `stride=3`, which pixel is never read?
# > <details><summary>Answer</summary>The last one. The kernel starts at pixels 0 and 3 and reads up to pixel 5. Pixel 6
# > is dropped, and no error says so.</details>
#
# ### The formula
#
# Let a row have $s$ pixels and the kernel $k$ weights, with padding $p$, stride $t$ and dilation $d$. The padded row
# has $s + 2p$ pixels, and the kernel covers $d(k - 1) + 1$ of them. So it can move another $s + 2p - d(k - 1) - 1$
# pixels from its first position. Divide by $t$ and round down to get the number of steps, and add 1 for the first
# position. The output size is
#
# $$\left\lfloor \frac{s + 2p - d(k - 1) - 1}{t} \right\rfloor + 1.$$


# %%
def conv_output_size(size, kernel, *, stride=1, padding=0, dilation=1):
    covered = dilation * (kernel - 1) + 1
    if covered > size + 2 * padding:
        raise ValueError(f"the kernel covers {covered} pixels; there are {size + 2 * padding}")
    return (size + 2 * padding - covered) // stride + 1


side = conv_output_size(224, 7, stride=2, padding=3)
print("224 pixels, kernel 7, stride 2, padding 3:", side)

# %% [markdown]
# Those are the settings of the first layer of [ResNet](https://arxiv.org/abs/1512.03385), a well-known network; the
# layer halves the side of an image. One example is no proof, so let PyTorch check both the formula and the walk, on
# every combination of small settings:

# %%
agreed = refused = 0
for size, k, t, p, d in product(range(1, 13), range(1, 6), (1, 2, 3), (0, 1, 2), (1, 2, 3)):
    options = {"stride": t, "padding": p, "dilation": d}
    try:
        output = F.conv2d(torch.zeros(1, 1, size, size), torch.zeros(1, 1, k, k), **options)
    except RuntimeError:  # PyTorch says that the kernel doesn't fit
        assert not walk(size, k, **options)
        refused += 1
    else:
        size_found = conv_output_size(size, k, **options)
        assert output.shape[-1] == size_found == len(walk(size, k, **options))
        agreed += 1
print(f"{agreed:,} settings agree; in the other {refused}, the kernel doesn't fit")

# %% [markdown]
# The formula also says how to keep the size at stride 1: $2p = d(k - 1)$. That takes one ring of zeros for a 3x3
# kernel, two for 5x5, and one and a half for 4x4, which is impossible: one reason why kernels usually have odd sides.
# `padding="same"` works it out for you.

# %%
Predict("1.4")


# %%
def conv2d_by_hand(image, kernel, *, stride=1, padding=0):
    padded = F.pad(image, (padding, padding, padding, padding))
    rows = conv_output_size(image.shape[0], kernel.shape[0], stride=stride, padding=padding)
    columns = conv_output_size(image.shape[1], kernel.shape[1], stride=stride, padding=padding)
    output = torch.zeros(rows, columns)
    for row, column in product(range(rows), range(columns)):
        top, left = row * stride, column * stride
        window = padded[top : top + kernel.shape[0], left : left + kernel.shape[1]]
        output[row, column] = (window * kernel).sum()
    return output


patch = xray[40:72, 40:72]  # 32 x 32 pixels
print("stride 3, no padding:", tuple(conv2d_by_hand(patch, sobel, stride=3).shape))

# %% [markdown]
# This is the version of the loops that the course will keep. Does it agree with PyTorch?

# %%
settings = [{"stride": t, "padding": p} for t in (1, 2, 3) for p in (0, 1)]
for how in settings:
    by_torch = F.conv2d(patch[None, None], sobel4, **how)[0, 0]
    assert torch.allclose(conv2d_by_hand(patch, sobel, **how), by_torch, atol=1e-5)
print("It does, in", len(settings), "settings.")

# %% [markdown]
# Now play with all of it. Point at a number in the output, and the window that it comes from lights up, with its nine
# products and their sum. Drag the window, type into the kernel, or press Play.
#
# - The image has 8x8 pixels. Work out the output size for a stride of 2 and a padding of 1, then set them.
# - Choose "horizontal edge." Where is the output positive, where is it negative, and where is it 0?
# - Take three input channels. What is added to what?

# %%
from course_lib.widgets import convolution_explorer

convolution_explorer()

# %% [markdown]
# <details><summary>Answers</summary>
#
# - $\lfloor (8 + 2 \cdot 1 - 3) / 2 \rfloor + 1 = 4$ numbers along each side.
# - Positive where the image gets brighter downward, negative where it gets darker, and 0 where the rows are equal.
# - Each channel has its own table. The three sums are added up to one number; more on that in a moment.
# </details>
#
# ### Large kernels cost
#
# A larger kernel sees more, but its cost grows with the square of its side. Dilation and stride save work, each in its
# own way. Here, each kernel takes the mean of the pixels that it reads:

# %%
options = {"3x3": (3, {}), "9x9": (9, {}), "21x21": (21, {})}
options |= {"3x3, dilation 10": (3, {"dilation": 10}), "3x3, stride 4": (3, {"stride": 4})}
maps, titles = [], []
for name, (k, how) in options.items():
    mean = torch.full((1, 1, k, k), 1 / k**2)
    maps.append(F.conv2d(head[None, None], mean, **how)[0, 0])
    titles.append(f"{name}\n{k * k} products per pixel")
show("large-kernels", plot_panels(maps, titles, columns=5))

# %% [markdown]
# With dilation 10, nine products reach as far as 441 do without it. But they look at only nine dots, and you see
# ghosts. Stride 4 keeps every fourth output along each side. That takes a sixteenth of the work, and leaves a sixteenth
# of the pixels.
#
# ### A filter is a stack
#
# How does a 3x3 kernel read a color photo? Sliding one table over all three channels would treat red and blue alike.
# Instead, a *filter* has **one table per input channel**. Each table slides over its own channel. The results are
# added, position by position, and one bias is added at the end. However many channels go in, one filter gives one map.

# %%
schematic("filter-stack")

# %% [markdown]
# A layer has many such filters, each with its own stack and bias.

# %%
Predict("1.5")

# %%
torch.manual_seed(0)
conv = nn.Conv2d(in_channels=3, out_channels=8, kernel_size=3)
print("weight:", tuple(conv.weight.shape), "| bias:", tuple(conv.bias.shape))
print("parameters:", count_parameters(conv))

# %% [markdown]
# Read the weight's shape from left to right: *filters, input channels, height, width*. PyTorch keeps this order in
# every [`nn.Conv2d`](https://docs.pytorch.org/docs/stable/generated/torch.nn.Conv2d.html). To compute one filter by
# hand, add up the results of three of our loops, and add a bias:

# %%
crop = photo[:, 240:264, 150:174]  # (3, 24, 24)
maps = conv(crop[None])  # (1, 8, 22, 22)
by_hand = sum(conv2d_by_hand(crop[c], conv.weight[5, c]) for c in range(3)) + conv.bias[5]
print("maps:", tuple(maps.shape))
print("filter 5 by hand agrees:", torch.allclose(by_hand, maps[0, 5], atol=1e-5))

# %% [markdown]
# The number of filters is the number of output channels, and it's yours to choose. The number of input channels isn't:
# it has to match what the layer before hands over. If the two differ, the error names both (*groups* stays at 1 in this
# lesson):

# %%
try:
    conv(batch)  # X-rays have one channel
except RuntimeError as problem:
    print(str(problem).replace(", but", ",\nbut"))

# %% [markdown]
# ### The smallest filter
#
# A 1x1 filter sees no neighbors. It mixes the channels of one pixel, so it can ask about color. These weights ask: is
# the pixel redder than it is green or blue?

# %%
mix = torch.tensor([1.0, -0.5, -0.5]).reshape(1, 3, 1, 1)  # (filters, channels, 1, 1)
redness = F.conv2d(photo[None], mix)[0, 0]  # (512, 512)
show("redness", plot_panels([photo, redness], ["photo", "redness, one 1x1 filter"]))

# %% [markdown]
# Where red, green and blue are equal, the weights cancel. In deeper layers the channels aren't colors anymore. They are
# feature maps, and the sum over them combines what earlier filters found, such as an edge and a texture.
#
# > **Change one thing.** Which weights would find the blue of the flag?
# > <details><summary>One answer</summary>[-0.5, -0.5, 1.0] finds blue, wherever it is. A 1x1 filter knows color and
# > nothing about shape.</details>
#
# ### Stop here
#
# Padding, stride and dilation decide which pixels a kernel reads, and one formula gives the output size. A filter is a
# stack of tables and one bias; it reads all input channels and writes one map. **To discuss:** a layer's weight has the
# shape (64, 32, 5, 5). What does that tell you about the layer before it, and what doesn't it tell you?
#
# <details><summary>One answer</summary>It hands over 32 channels. You know nothing about its image size, stride,
# padding or kernel.</details>

# %% [markdown]
# <a id="part-d"></a>
#
# ## Part D. From maps to an answer (29 min, core)
#
# - Say what ReLU makes possible.
# - Tell how much of the image an output sees.
# - Trace a network from image to probability.
#
# ### Two layers are one
# Networks stack convolutions. Without something in between, that would be pointless. Take two 3x3 layers in a row, from
# 1 channel to 4 and back to 1. They have 4 x (9 + 1) + (4 x 9 + 1) = 77 parameters, and each final output reads 3x3
# numbers of the first layer's maps, and through them 5x5 pixels. A single 5x5 kernel with a bias does the same with 26.
#
# How can we find that kernel? If a pixel's weight is 5, making the pixel brighter by 1 raises the output by 5. So the
# gradients of one output with respect to its 25 pixels *are* the merged kernel. The output for a black window is its
# bias.

# %%
torch.manual_seed(0)
stack = nn.Sequential(nn.Conv2d(1, 4, kernel_size=3), nn.Conv2d(4, 1, kernel_size=3))
window = torch.zeros(1, 1, 5, 5, requires_grad=True)  # the 25 pixels that one output sees
bias = stack(window)  # of a black window: what the biases add up to
bias.sum().backward()
merged = window.grad  # (1, 1, 5, 5): how much the output grows with each pixel
same = torch.allclose(stack(batch), F.conv2d(batch, merged, bias.detach().flatten()), atol=1e-5)
print(f"one 5x5 kernel and a bias, {merged.numel() + 1} parameters, do the same: {same}")

# %% [markdown]
# A stack that only multiplies by fixed weights and adds has the same gradient at every position and for every image, so
# the two layers *are* one 5x5 kernel. A hundred such layers would merge into one kernel too, a larger one. With
# padding, stack and kernel agree only away from the border, because the stack also pads the maps between its layers.
# Dense layers collapse in the same way, by multiplying their matrices; that's an exercise.
#
# ### What ReLU adds
#
# That's why a layer is usually followed by an *activation*, a fixed function that is applied to each number. The usual
# one is [ReLU](https://docs.pytorch.org/docs/stable/generated/torch.nn.ReLU.html): negative numbers become 0, and the
# others stay as they are. That looks like too little to matter. Here is a row with a bright stretch, one kernel for its
# rise and one for its fall:

# %%
row = torch.tensor([[0.0, 0, 1, 1, 0, 0]])
rise = conv2d_by_hand(row, torch.tensor([[-1.0, 1]]))
fall = conv2d_by_hand(row, torch.tensor([[1.0, -1]]))
print("row             ", row.int().tolist()[0])
print("rise, fall      ", rise.int().tolist()[0], fall.int().tolist()[0])
print("sum without ReLU", (rise + fall).int().tolist()[0])
print("sum with ReLU   ", (F.relu(rise) + F.relu(fall)).int().tolist()[0])

# %% [markdown]
# Without ReLU, the two cancel, whatever the row. With it, both ends are found. No single kernel that ignores flat
# stretches can do that: if it answers 1 to a rise, it answers -1 to a fall.
#
# Can training find this, too? The target is the strength of an edge, whether it is a rise or a fall: Sobel's map
# without its minus signs. The network has a few filters, then ReLU or nothing, and then a 1x1 filter that adds up their
# maps. Again the error is scaled: always answering the target's mean gives an error of 1.


# %%
def edge_error(filters, activation, seed):
    torch.manual_seed(seed)
    images = torch.rand(32, 1, 16, 16) - 0.5
    target = F.conv2d(images, sobel4).abs()
    model = nn.Sequential(nn.Conv2d(1, filters, 3), activation, nn.Conv2d(filters, 1, 1))
    optimizer = torch.optim.Adam(model.parameters(), lr=0.03)
    for _ in range(400):
        optimizer.zero_grad()
        loss = (model(images) - target).square().mean() / target.var()
        loss.backward()
        optimizer.step()
    return loss.item()


# %% [markdown]
# Two filters with ReLU can do it: one for rises and one for falls. We train one, two and eight of them, from three
# random starts each. For comparison, we train one and eight without ReLU; `nn.Identity`, which changes nothing, takes
# its place.

# %%
Predict("1.6")

# %% tags=["tol-0.02"]
linear, relu = nn.Identity(), nn.ReLU()
networks = {"1 filter": (1, linear), "8 filters": (8, linear)}
networks |= {f"{n} with ReLU": (n, relu) for n in (1, 2, 8)}
relu_errors = {
    name: [edge_error(*made, seed) for seed in (0, 1, 2)] for name, made in networks.items()
}
rows = [(name, *(f"{error:.2f}" for error in found)) for name, found in relu_errors.items()]
Table("Error left after 400 steps", ("network", "seed 0", "seed 1", "seed 2"), rows)

# %% [markdown]
# <details><summary>What happened, and why</summary>
#
# There are two answers here. Without ReLU, more filters gain nothing, since they merge into one. And with too few
# filters, the random start decides: two would be enough, but not every start gets there. Eight filters get there from
# all three.
# </details>

# %% [markdown]
# That is why this course trains from several seeds before it compares anything.
#
# ### Pooling: fewer numbers, no weights
#
# *Pooling* cuts a map into windows and keeps one number for each: the largest, or the mean. Here are both, with windows
# of 2x2.

# %%
table = torch.tensor([[1.0, 3, 0, 0], [2, 8, 0, 1], [4, 4, 9, 0], [4, 4, 0, 0]])
largest, mean = F.max_pool2d(table[None], 2)[0], F.avg_pool2d(table[None], 2)[0]
titles = ["map", "max pooling", "average pooling"]
show("pooling", plot_panels([table, largest, mean], titles, top=9))

# %% [markdown]
# Look at the window with the single 9. Judged by its maximum, it is the strongest of the four. Judged by its mean, it
# is weaker than the window of fours beside it. Neither rule keeps "the most important information." The maximum keeps
# the strongest answer, whether that is a real feature or a speck of noise, and forgets where in the window it was. The
# mean is a blur with a stride. Pooling learns nothing, and its output size follows your formula.
#
# ### Equivariant, invariant
#
# Two words are often mixed up. An operation is *equivariant* to shifts if shifting its input shifts its output by as
# much. It is *invariant* to shifts if shifting its input leaves its output as it was. Move one bright pixel to the
# right, one position per line. Each line prints the output of a convolution, that output after max pooling in pairs,
# and its sum:

# %%
weights = torch.tensor([[1.0, 5, 2]])
for position in range(2, 6):
    row = torch.zeros(1, 10)
    row[0, position] = 1
    answer = conv2d_by_hand(row, weights)  # (1, 8)
    pooled = F.max_pool2d(answer[None], (1, 2)).int().flatten().tolist()
    print(answer.int().tolist()[0], "pooled", pooled, "sum", int(answer.sum()))

# %% [markdown]
# - The convolution is equivariant: its pattern 2, 5, 1 moves along, unchanged. The order is the reverse of the
#   kernel's, since its last weight is the first to reach the bright pixel.
# - The sum is invariant: it doesn't care where the pattern is, as long as all of it is inside.
# - The pooled row is neither. A shift of two moves it by one position, and a shift of one changes its numbers.
#
# Translation is another word for shift, so the common claim that a CNN's filters are "translation invariant" is wrong.
# Part E measures how far invariance goes.
#
# ### How much does one output see?
# An output of one 3x3 layer sees 3x3 pixels. An output of a second one sees 3x3 outputs of the first, and through them
# 5x5 pixels: its *receptive field*.
#
# To find its side, start with 1 pixel. Each layer adds $d(k - 1)$ times the distance, in pixels of the image, between
# neighboring numbers of its input. That distance is 1 at first, and every stride multiplies it for the layers that
# follow. A pooling of 2x2 has $k = 2$ and a stride of 2. In the drawing, the first convolution adds 2 and the pooling
# adds 1. The inputs of the second convolution are 2 pixels apart, so it adds 2 x 2: in all, 1 + 2 + 1 + 4 = 8.

# %%
schematic("receptive-field")


# %%
def receptive_field(*layers):
    size, step = 1, 1  # pixels seen, and pixels from one output to the next
    for layer in layers:
        if isinstance(layer, nn.Conv2d):
            size += layer.dilation[0] * (layer.kernel_size[0] - 1) * step
            step *= layer.stride[0]
        elif isinstance(layer, nn.MaxPool2d):
            size += (layer.kernel_size - 1) * step
            step *= layer.stride
    return size, step  # ReLU looks at one number and adds nothing


# %% [markdown]
# Compare three networks: a single layer, three layers with two poolings in between, and nine layers without pooling.

# %%
relu, halve = nn.ReLU(), nn.MaxPool2d(2)
torch.manual_seed(0)
first, second, third = nn.Conv2d(1, 16, 3), nn.Conv2d(16, 16, 3), nn.Conv2d(16, 16, 3)
pooling = [first, relu, halve, second, relu, halve, third]
nine_layers = [first] + [layer for _ in range(8) for layer in (relu, nn.Conv2d(16, 16, 3))]
networks = {"one layer": [first], "three, two poolings": pooling, "nine": nine_layers}
rows = [(name, *map(str, receptive_field(*layers))) for name, layers in networks.items()]
Table("Pixels", ("3x3 layers", "seen along a side", "from one output to the next"), rows)

# %% [markdown]
# Three layers with two poolings see almost as far as nine without. That's a better reason to pool than invariance.
#
# Such a formula can be checked. Take one output in the middle, and find its gradient with respect to every input pixel:
# where the gradient isn't zero, the pixel counts. ReLU and max pooling let different pixels through in different
# images, so the cell takes 100 random ones.

# %%
views, boxes = [], {}
for index, layers in enumerate(networks.values()):
    images = torch.randn(100, 1, 40, 40, requires_grad=True)
    maps = nn.Sequential(*layers)(images)
    maps[:, 0, maps.shape[2] // 2, maps.shape[3] // 2].sum().backward()  # one output per image
    weight = images.grad.abs().mean(dim=(0, 1))  # (40, 40)
    rows, columns = weight.nonzero().unbind(dim=1)
    height, width = int(rows.max() - rows.min()) + 1, int(columns.max() - columns.min()) + 1
    boxes[index] = (int(rows.min()), int(columns.min()), height, width)
    views.append(weight / weight.max())
    assert height == width == receptive_field(*layers)[0]
show("receptive-fields", plot_panels(views, [*networks], boxes=boxes))

# %% [markdown]
# The boxes have the formula's sizes, 3, 18 and 19 pixels. Inside, the pixels don't count equally: many paths lead from
# a central pixel to the output, and few from a corner. [Luo and others (2016)](https://arxiv.org/abs/1701.04128) found
# that the region that really counts is much smaller than the receptive field. The formula says what an output *can*
# see, not what it makes use of.
#
# ### All parts in one network
# Now put the parts together: blocks of convolution, ReLU and pooling, then the mean of each map (*global average
# pooling*, in PyTorch `nn.AdaptiveAvgPool2d(1)`), and a dense layer with one output per class. These outputs are called
# *logits*. [Softmax](https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.softmax.html) turns them into
# probabilities that add up to 1; lesson 2 takes it apart. The drawing starts with 32x32 pixels and the code with
# 128x128; the same layers take both.

# %%
schematic("network-strip")


# %%
def block(in_channels, out_channels):
    return [nn.Conv2d(in_channels, out_channels, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)]


torch.manual_seed(0)
blocks = [*block(1, 8), *block(8, 16), *block(16, 32)]
tiny_cnn = nn.Sequential(*blocks, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(32, 2))
maps = batch  # (2, 1, 128, 128)
for layer in tiny_cnn:
    maps = layer(maps)
    print(f"{type(layer).__name__:18} {tuple(maps.shape)}")

# %% [markdown]
# Height and width halve at each pooling, while the number of channels grows: the maps say less about where something
# is, and more about what it is. For each of the two images, two logits come out. They mean nothing yet, since the
# network is untrained.
#
# `trace_shapes` from the course's package does the same for any network. Try it on the one that opened this page:

# %%
from course_lib.anatomy import trace_shapes

trace_shapes(network, (1, 1, 64, 64))

# %% [markdown]
# You know every kind of layer here except two. `InstanceNorm2d` and `BatchNorm2d` bring maps to a common scale; lesson
# 2 shows why. The mean of each map, taken just before `head`, has no row, because it's a function call and not a layer.
# The *multiply-adds* count each product that is added to a sum. Finally, look again at patient A from the first cell,
# and at the 16 kernels of the first layer:

# %%
from course_lib.plots import plot_maps

with torch.no_grad():
    logits = network(patients[0])  # (2, 2): healthy and sick, two classes each
for name, pair in zip(["healthy", "sick"], logits, strict=True):
    print(f"{name}: logits {pair[0]:.2f} and {pair[1]:.2f}, ", end="")
    print(f"probability of pneumonia {pair.softmax(dim=0)[1]:.2f}")
show("opening-filters", plot_maps(network.blocks[0][0].weight[:, 0]))

# %% [markdown]
# The 0.97 of the first cell comes from two logits and a softmax. And nobody designed these kernels.
#
# Stack layers of your own below. Replace "flatten" by "nothing": what happens to the output shape? Put it back, choose
# "dense for 2048 inputs" as the last layer, and change the side of the image. What happens now?

# %%
from course_lib.widgets import shape_explorer

shape_explorer()

# %% [markdown]
# <details><summary>Answer</summary>
#
# The explorer sizes "dense, 10 outputs" to whatever comes in. Without flattening, it is applied to each row of each
# map. No error appears; only the shape gives it away. A dense layer for 2,048 inputs accepts nothing else, and you get
# PyTorch's error. That's the trouble with networks that flatten whole maps: they fix the size of the image. The mean of
# each map works at any size.
# </details>
#
# ### Stop here
#
# ReLU keeps layers from collapsing into one. Pooling makes maps small. Depth and pooling let one output see far. The
# mean of each map and a dense layer turn maps into one number per class. **To discuss:** ten 3x3 layers see 21x21
# pixels, and three with two poolings see 18x18. When would you still choose the ten?
#
# <details><summary>One answer</summary>When position matters: their neighboring outputs are one pixel apart, not four.
# And nine ReLUs can build more than two can.</details>

# %% [markdown]
# <a id="part-e"></a>
#
# ## Part E. Shifts, borders and history (10 min, optional)
#
# - Tell the effects of border, stride and pooling apart.
# - Translate between signal processing and PyTorch.
#
# ### Two views of one scene
#
# Real images have borders. Take two views of the same scene, each 40 pixels wide. In the second, everything lies 5
# pixels farther to the right. Both views go through padded 3x3 layers. ReLU is left out, since it works pixel by pixel
# and can't disturb a shift. Then the second result is moved back by 5 pixels. The pictures show where it differs from
# the first.

# %%
torch.manual_seed(0)
scene = camera.double()[None, None] / 255  # (1, 1, 512, 512)
here, moved = scene[..., 120:160, 225:265], scene[..., 120:160, 220:260]  # column 0 is now 5
differs = []
for depth in (1, 4, 8):
    layers = [nn.Conv2d(8 if i else 1, 8, 3, padding=1) for i in range(depth)]
    padded = nn.Sequential(*layers).double()  # float64, whose rounding is below 1e-12
    gap = (padded(moved)[..., 5:] - padded(here)[..., :-5]).abs().amax(dim=(0, 1))  # (40, 35)
    differs.append((gap > 1e-12).float())
    assert differs[-1].any(dim=0).sum() == 2 * depth
show("border-strips", plot_panels(differs, ["1 layer", "4 layers", "8 layers"]))

# %% [markdown]
# Inside, the two agree. From the left and from the right, a strip grows by one pixel per layer, where one view met
# padding and the other met the scene. At the top and bottom, both met the same padding. Equivariance holds in the
# interior, and a deep network on a small image has little interior.
#
# ### Does pooling make it invariant?
#
# Take edge maps of the photo, shift the view by 0 to 16 pixels, and measure how much the features change, relative to
# their own size. The size of a change, and of the features, is the square root of the sum of squares, `norm()`. 0 is no
# change, and 1 is a change as large as the features themselves.


# %%
def edges_of(shift):  # of a view that is `shift` pixels further along
    view = scene[..., 59:189, 169 + shift : 299 + shift]
    both_signs = torch.stack([sobel, -sobel, sobel.T, -sobel.T])[:, None].double()
    return F.relu(F.conv2d(view, both_signs))  # (1, 4, 128, 128)


def change(after, before):
    return ((after - before).norm() / before.norm()).item()


# %%
from course_lib.plots import plot_curves

pools = {"no pooling": nn.Identity(), "max, 2x2": nn.MaxPool2d(2), "max, 8x8": nn.MaxPool2d(8)}
pools["global average"] = nn.AdaptiveAvgPool2d(1)
curves = {}
for name, pool in pools.items():
    changes = [change(pool(edges_of(shift)), pool(edges_of(0))) for shift in range(17)]
    curves[name] = (range(17), changes)
labels = {"xlabel": "shift of the view (pixels)", "ylabel": "relative change of features"}
show("shift-curves", plot_curves(curves, **labels))
assert curves["global average"][1][16] < 0.1 < curves["max, 8x8"][1][1]

# %% [markdown]
# 2x2 pooling softens a shift of one to three pixels; for larger ones it is hardly better than no pooling. 8x8 windows
# help more, but they know positions only to within 8 pixels. The mean of the whole map is nearly invariant: all that
# changes is that one strip of the scene enters on one side and another leaves on the other. Invariance isn't a property
# of convolutions. Pooling brings it, a little with each window and most of it with the mean at the very end.
#
# ### The price: aliasing
#
# Shift the view by some pixels, and pool its edge maps. Then move the pooled maps back, by the whole number of
# positions that fits best, and compare them with those of the first view. What is left is damage that no shift can
# undo.


# %%
def left_over(stride, shift):
    before, after = (nn.MaxPool2d(stride)(edges_of(by)) for by in (0, shift))
    moves = {shift // stride, (shift + stride - 1) // stride}  # rounded down, and up
    width = before.shape[-1] - max(moves)
    return min(change(after[..., :width], before[..., move : move + width]) for move in moves)


shifts = range(13)
curves = {
    f"max, {stride}x{stride}": (shifts, [left_over(stride, shift) for shift in shifts])
    for stride in (2, 4)
}
labels["ylabel"] = "change after moving back"
show("aliasing", plot_curves(curves, **labels))

# %% [markdown]
# After 2x2 pooling, only even shifts are harmless: at odd ones, the windows hold different pixels, with different
# maxima. Any stride greater than 1 does this, in a convolution too. Signal processing calls it *aliasing*: detail finer
# than the samples can carry shows up as coarse patterns that aren't there. Here the maxima of fine edges depend on
# where the windows happen to lie. The remedy is to blur before you drop samples. [Zhang
# (2019)](https://arxiv.org/abs/1904.11486) applies this to networks, and so does the last exercise.
#
# ### Is this a convolution?
#
# In signal processing, where the word comes from, a convolution turns the kernel by 180 degrees first. What PyTorch
# computes is called *cross-correlation* there. SciPy has both. The two are easiest to tell apart on a single bright
# pixel. SciPy adds a ring of zeros unless told otherwise, so 3x3 pixels give 4x4 outputs:

# %%
from scipy.signal import convolve2d, correlate2d

flash = torch.tensor([[0, 0, 0], [0, 1, 0], [0, 0, 0]])
by_torch = F.conv2d(image[None, None], kernel[None, None])[0, 0].numpy()
print("conv2d = correlate2d:", (by_torch == correlate2d(image, kernel, mode="valid")).all())
print("conv2d = convolve2d: ", (by_torch == convolve2d(image, kernel, mode="valid")).all())
stamps = [torch.from_numpy(stamp(flash, kernel)) for stamp in (convolve2d, correlate2d)]
titles = ["one bright pixel", "kernel", "convolution", "cross-correlation"]
show("flash", plot_panels([flash, kernel, *stamps], titles))

# %% [markdown]
# Slide a kernel over one bright pixel, and its weights appear in reverse order, as in Part D. If it is turned first, an
# upright copy appears. That's what engineers want: their kernel *is* the response to a flash, the *impulse response*.
# To a network it makes no difference, since it would just learn the turned weights. When you take a kernel from a
# signal-processing textbook to PyTorch, flip both axes first.
#
# ### Where the idea came from
#
# - In [1959](https://doi.org/10.1113/jphysiol.1959.sp006308), Hubel and Wiesel described cells in the visual cortex of
#   cats that respond to a bar of one orientation. In [1962](https://doi.org/10.1113/jphysiol.1962.sp006837) they
#   distinguished two kinds. *Simple cells* respond to the bar at one position; *complex cells* respond to it anywhere
#   in a larger patch.
# - Fukushima's [Neocognitron](https://doi.org/10.1007/BF00344251) (1980) stacked layers modeled on both kinds. Those
#   layers are the forerunners of convolution and pooling.
# - [LeCun and others](https://doi.org/10.1162/neco.1989.1.4.541) (1989) learned the weights by gradient descent, to
#   read zip codes on envelopes.
#
# The idea came from the brain, but that doesn't prove that the two work alike. Each patch of cortex has its own
# connections, shared with no other patch, and whether it learns by anything like gradient descent is an open question.
#
# ### Stop here
#
# Padding disturbs a shift from the border inward, strides and pooling disturb it everywhere, and only the final mean
# comes close to ignoring it. **To discuss:** "CNNs are translation invariant." Write the sentence that is true.
#
# <details><summary>One answer</summary>A convolution is equivariant to shifts, at stride 1 and away from the border;
# the mean over each map makes the network's answer nearly invariant.</details>
#
# ## Summary
#
# - An image is a tensor $(N, C, H, W)$. A convolution lays a stack of tables on every position and adds up the products
#   and a bias.
# - It looks locally and shares its weights: 320 parameters fill 32 maps, while a dense layer spends 65 million on a
#   thousand numbers. It also learns from one crop what a dense layer can't learn from a hundred.
# - Training moves the weights against the gradient of the loss. What they become depends on what is shown.
# - Kernel, stride, padding and dilation decide the output size by one formula.
# - ReLU keeps layers from collapsing into one. Pooling shrinks maps without weights. Depth, stride and pooling widen
#   the receptive field, which limits what an output can see.
# - Convolution is equivariant to shifts, at stride 1 and away from the border. Near-invariance comes with the final
#   mean.
#
# ## Quiz
#
# Click an answer, or move to it with Tab and press the space bar, and read why it is right or wrong. Only first tries
# count, and your score is kept when you reload the page.

# %%
from course_lib.widgets import Quiz

Quiz(1)

# %% [markdown]
# ## Exercises
#
# [Exercises 1](exercises/01_cnn_anatomy.ipynb) has seven tasks, from one line to a real piece of work. Each asks for a
# function. There, a cell below each task checks yours at once, and hints come in steps.
#
# ## What you may now import
#
# From here on, `conv2d_by_hand`, `conv_output_size`, `receptive_field`, `count_parameters` and `trace_shapes` come from
# `course_lib.anatomy`. They are the functions that you've met here, with tests, and with errors where ours would be
# silently wrong. Do the two versions agree?

# %%
from course_lib import anatomy

how = {"stride": 2, "padding": 1}
imported = anatomy.conv2d_by_hand(patch, sobel, **how)
assert torch.equal(conv2d_by_hand(patch, sobel, **how), imported)
assert conv_output_size(35, 3, **how) == anatomy.conv_output_size(35, 3, **how)
assert receptive_field(*pooling) == anatomy.receptive_field(*pooling)
assert count_parameters(tiny_cnn) == anatomy.count_parameters(tiny_cnn)
print("They agree.")

# %% [markdown]
# And does the page keep its word? Each line checks a claim made above, and those about several seeds over all of them.

# %%
for seen, of_seed in photo_runs:
    assert of_seed[-1] < of_seed[0] / 100  # learned on a photo: a small loss,
    assert (seen[-1] - sobel4).abs().max() > 0.5  # and other weights
assert (ours - designed).abs().max() < 0.02 * designed.abs().max()  # from noise: Sobel's map
assert max(crop_errors["convolution, 1"]) < 0.1 < 1 < min(crop_errors["dense, 1"])
assert max(crop_errors["dense, 100"]) < 1
assert min(relu_errors["8 filters"]) > 0.9 > 0.05 > max(relu_errors["8 with ReLU"])
assert min(relu_errors["2 with ReLU"]) < 0.05 < 0.5 < max(relu_errors["2 with ReLU"])
print("It does.")

# %% [markdown]
# ## Where to go next
#
# - [Lesson 2, Building PneumoniaCNN](02_building_pneumonia_cnn.ipynb): these parts become a class, and you find out
#   where its 67 million parameters are.
# - The same parts do other work: finding objects ([Faster R-CNN](https://arxiv.org/abs/1506.01497)), outlining organs
#   ([U-Net](https://arxiv.org/abs/1505.04597)), recognizing faces ([FaceNet](https://arxiv.org/abs/1503.03832)), and,
#   with kernels along a single axis, reading sentences ([Kim 2014](https://arxiv.org/abs/1408.5882)).
