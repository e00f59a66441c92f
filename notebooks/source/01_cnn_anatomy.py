# %% [markdown]
# # 1. CNN anatomy
#
# A convolutional network that sorts chest X-rays is made of about ten kinds of parts, and each is a few lines of
# arithmetic. In this lesson you work every part out on a few numbers, check it against PyTorch, and see what it does
# to pictures. At the end you put the parts together, and you can say before running it what shape each layer gives,
# how many parameters it has and how much of the image it sees.
#
# First, though, a network that works. Prerequisites: Python, and PyTorch tensors (indexing, shapes, arithmetic). No
# network is trained here and no GPU is needed. Computing takes 14 s on two cores; allow two hours of your own, with
# pencil and paper.

# %% tags=["setup"]
from course_lib.lessons import start_lesson

profile = start_lesson(1)

# %% [markdown]
# ## It works
#
# Here is a trained network. It came with the course, it is small (0.3 MB), and it has seen 1,200 simulated
# radiographs: pictures computed from the physics of X-rays, of no patient. Show it three patients that it has never
# seen. Each comes twice, healthy and with pneumonia, and nothing else about the two pictures differs.

# %%
import torch

from course_lib.data import twins
from course_lib.models import load_trained

network = load_trained("opening")
patients = [twins(seed).images.float() / 255 for seed in (3, 4, 5)]  # (2, 1, 64, 64) each
for name, images in zip("ABC", patients, strict=True):
    healthy, sick = network(images).softmax(dim=1)[:, 1].tolist()
    print(f"patient {name}: probability of pneumonia {healthy:.2f} healthy, {sick:.2f} sick")

# %% [markdown]
# Two of the three pneumonias are found, with hardly a doubt. The third is missed. We chose these patients by their
# numbers and not by their pictures, so the miss stays. Where did the network look? *Grad-CAM*, a method of lesson 6,
# shows which places spoke for pneumonia.

# %%
from course_lib.explain import grad_cam
from course_lib.plots import plot_heat_maps, show

sick = torch.cat([images[1:] for images in patients])  # (3, 1, 64, 64)
heat = grad_cam(network, sick, 1, layer=network.blocks[3][2])
masks = torch.cat([twins(seed).masks[1:] for seed in (3, 4, 5)])
show(
    plot_heat_maps(sick, {"Grad-CAM": heat}, masks=masks),
    "Three radiographs with pneumonia, A to C, opacities outlined in orange, and below each the map of the places that "
    "spoke for pneumonia, with a cross on the strongest.",
)

# %% [markdown]
# The orange lines surround the pneumonia; the network was never shown them. A map like this can point at the right
# place and it can miss: over 64 such patients its cross lay on the pneumonia, or within two pixels of it, in 29.
# Lesson 6 asks what such a picture is worth.
#
# By the end of lesson 6 you will have written every step of this: the network, its training, its test and the map.
# This lesson takes the network apart, down to a single sum.
#
# Nothing in this course is for diagnosis. The radiographs below are simulated too; if the first cell names real chest
# X-rays, yours will be those.
#
# From `course_lib` we take images and drawing; the parts of the network are built here, in view.

# %%
from skimage import data as photographs
from torch import Tensor, nn
from torch.nn import functional as F

from course_lib.data import load_chest_xray, simulate_radiographs
from course_lib.plots import plot_curves, plot_images, plot_panels, plot_walks
from course_lib.schematics import schematic

# %% [markdown]
# ## 1. An image is a table of numbers
#
# Before a computer can look for anything in a picture, somebody has to say what a picture is. For a grey one the
# answer is short: a table with one number for each pixel, 0 for black and the largest number for white.
#
# **Before you run the cell:** read the table and sketch the picture. What shape do you expect to see?

# %%
tiny = torch.tensor([[0, 9, 0], [9, 9, 9], [2, 9, 2]])
print("row 2, column 1:", tiny[2, 1].item(), "| row 1, column 2:", tiny[1, 2].item())
print("row 2, column 0:", tiny[2, 0].item(), "| row 0, column 2:", tiny[0, 2].item())
figure = plot_panels([tiny])
show(
    figure, "A white plus sign on black, 3 by 3 pixels. The two lower corners hold a 2: dark grey."
)

# %% [markdown]
# A plus sign, with two corners that are not quite black. Rows count downwards from 0, and the row comes before the
# column: the habit of tables, not the $(x, y)$ of geometry.
#
# A photograph is the same thing, only larger. **Before you run the cell:** a file spends one byte on each grey pixel.
# What are the darkest and the brightest number that a byte can hold? And what if you add 200 and 100 in bytes?

# %%
camera = torch.from_numpy(photographs.camera())  # (512, 512) uint8; CC0, by Lav Varshney
print("shape", tuple(camera.shape), "type", camera.dtype)
print("darkest", camera.min().item(), "brightest", camera.max().item())
two_hundred, hundred = torch.tensor([200, 100], dtype=torch.uint8)
print("200 + 100 in bytes:", (two_hundred + hundred).item())
head = camera[60:188, 170:298]  # (128, 128)
eye = head[82:92, 59:69]  # (10, 10)
boxes = {0: (60, 170, 128, 128), 1: (82, 59, 10, 10)}
captions = ["photograph", "in the box", "in the small box: 10x10 pixels"]
show(
    plot_panels([camera, head, eye], captions, boxes=boxes),
    "A man behind a film camera; a box marks his head. Beside it the head, with a small box at "
    "his eye, and the 10 by 10 pixels of that box as numbers: below 40 along the dark line of "
    "the lashes, mostly above 90 on the skin underneath.",
)

# %% [markdown]
# A byte counts from 0 to 255 (`torch.uint8`) and then starts again from 0: 300 becomes 300 - 256, and nobody is told.
# So before any arithmetic, bytes are turned into floats and divided by 255; a pixel then lies between 0 and 1. Where
# you see an eye, a network gets a hundred numbers and nothing else.
#
# A colour picture holds three numbers for each pixel: red, green and blue. Most libraries that read and draw pictures
# keep the three together, (height, width, channel). PyTorch wants *channels first*, (channel, height, width): three
# whole tables, one behind the other.
#
# **Before you run the cell:** `permute` and `reshape` both turn (512, 512, 3) into (3, 512, 512). Will they give the
# same picture?

# %%
astronaut = torch.from_numpy(photographs.astronaut())  # (512, 512, 3) uint8; NASA, public domain
photo = astronaut.permute(2, 0, 1).float() / 255  # (3, 512, 512) in 0..1
reshaped = astronaut.reshape(3, 512, 512).float() / 255  # (3, 512, 512) as well
print("one pixel, as loaded:         ", astronaut[400, 100].tolist())
print("the same pixel after permute: ", (photo[:, 400, 100] * 255).round().int().tolist())
print("the same place after reshape: ", (reshaped[:, 400, 100] * 255).round().int().tolist())
captions = ["permute", "red", "green", "blue", "reshape"]
figure = plot_panels([photo, *photo, reshaped], captions, columns=5)
show(
    figure,
    "An astronaut in an orange suit, and her red, green and blue channels in grey: the suit is "
    "bright in red and dark in blue. The last panel, made by reshape, is a smear of wrong "
    "colours.",
)

# %% [markdown]
# `permute` moves the axes and keeps each pixel's numbers together. `reshape` only cuts the same long row of numbers
# at other places: the shape is right, no error is raised, and the picture is gone. A right shape proves little.
#
# In the red channel the orange suit is bright, in the blue one dark. Keep that in mind; a filter will use it.
#
# A radiograph has one channel, since one thing is measured: how much of the beam came through. PyTorch still wants
# that axis, and one more in front that counts the images of a batch: $(N, C, H, W)$, for number, channels, height and
# width. Here are two small color pictures:

# %%
schematic("pixel-to-tensor")

# %% [markdown]
# **Before you run the cell:** what is the shape of one radiograph of 128x128 pixels, and of a batch of two?

# %%
if profile.source == "real":
    radiographs = load_chest_xray("real", image_size=128).train
else:
    radiographs = simulate_radiographs(16, image_size=128, seed=1)
normal, sick = (radiographs.images[radiographs.labels == label][0] for label in (0, 1))
batch = torch.stack([normal, sick]).float() / 255
print(radiographs.name, "| one image", tuple(normal.shape), "| a batch", tuple(batch.shape))
alt = profile.choose(
    simulated="Two simulated chest radiographs. Left: dark, clear lungs. Right: white clouds in "
    "the lungs, the largest at mid-height on the left of the picture.",
    real="Two radiographs of children's chests, labelled NORMAL on the left and PNEUMONIA on the right.",
)
show(plot_panels([*batch[:, 0]], radiographs.classes), alt)

# %% [markdown]
# Air lets the beam through and is dark; bone and fluid stop more of it and are bright. In pneumonia air spaces fill
# with fluid, so it may show as a bright cloud, an *opacity*, where the lung should be dark. The rest of the lesson
# asks how sums of products could find such a thing.
#
# ## 2. Why not connect everything to everything?
#
# A *dense* layer gives each of its units a weight for every pixel. The unit multiplies, adds up, and adds one number
# more, its *bias*. A convolutional layer does the same sum in a small window, and uses the same few weights at every
# place of the image. Such a set of weights, with its bias, is called a *filter*; its answers from all places form one
# *map*. Weights and biases are the *parameters*, the numbers that training will change, and counting them takes one
# line. The device `"meta"` builds a layer that has shapes but no memory behind it, however large it is.
#
# The two differ in two ways, which the drawing takes one at a time: six pixels in a row, four outputs.

# %%
schematic("three-wirings")

# %% [markdown]
# **Before you run the cell:** a grey image of 256x256 pixels goes into 1,000 dense units. How many parameters is
# that? How many have 32 filters of 3x3? That comparison is not quite fair, since the dense layer gives 1,000 numbers
# and the filters 32 maps of 254x254. So the cell also asks what those two million numbers would cost if each saw all
# pixels, and if each saw 3x3 pixels with weights of its own. Which saves more, looking at nine pixels only, or using
# the same weights everywhere?


# %%
def count_parameters(model: nn.Module, *, trainable_only: bool = False) -> int:
    return sum(p.numel() for p in model.parameters() if p.requires_grad or not trainable_only)


dense = nn.Linear(256 * 256, 1000, device="meta")
conv = nn.Conv2d(1, 32, kernel_size=3, device="meta")
for layer in (dense, conv):
    count = count_parameters(layer)
    print(f"{count:>10,} parameters, {count * 4 / 1e6:7.3f} MB: {layer}")

outputs = 32 * 254 * 254
print(f"\n{outputs:,} outputs, if ...")
print(f"each sees all pixels, own weights   {outputs * (256 * 256 + 1):>15,} parameters")
print(f"each sees 3x3 pixels, own weights   {outputs * (3 * 3 + 1):>15,} parameters")
print(f"3x3 pixels, weights shared in a map {32 * (3 * 3 + 1):>15,} parameters")

# %% [markdown]
# 65,536 weights and a bias for each of 1,000 units, against nine weights and a bias for each of 32 filters; a
# parameter takes four bytes. Looking locally divides the count by about 6,550, sharing by another 64,516, the number
# of places. Locality assumes that what belongs together lies together. Sharing assumes that what is worth finding
# here is worth finding there. For images both are good assumptions; for a table of ages, blood counts and postcodes
# they would be nonsense. (`trainable_only` will matter in lesson 5, where some parameters are frozen.)
#
# One often reads that dense layers fail because flattening an image, putting its rows one behind the other, destroys
# its geometry. Does it? **Before you run the cell:** the pixels of a radiograph are shuffled, and the columns of the
# weight matrix are shuffled in the same way. What happens to the output?

# %%
torch.manual_seed(0)
pixels = batch[0].flatten()  # (16384,)
order = torch.randperm(len(pixels))
layer = nn.Linear(len(pixels), 5)
shuffled = F.linear(pixels[order], layer.weight[:, order], layer.bias)
print("same five outputs:", torch.allclose(layer(pixels), shuffled, atol=1e-5))
print("flattening undone exactly:", torch.equal(pixels.reshape(128, 128), batch[0, 0]))
panels = [batch[0, 0], pixels[order].reshape(128, 128)]
figure = plot_panels(panels, ["a radiograph", "the same pixels, shuffled"])
show(figure, "A radiograph, and the same pixels in random order, which look like grey noise.")

# %% [markdown]
# Nothing was destroyed: flattening can be undone. But to a dense layer the two pictures are one and the same problem.
# No order of pixels is special to it, so it would have to learn from examples that neighbours belong together. A
# convolution has that built in.
#
# ## 3. One kernel, by hand
#
# Take a *kernel*, a small table of weights. Lay it on the image, multiply each pixel by the weight on top of it, add
# the products: one output pixel. Move the kernel by one pixel, do it again.

# %%
schematic("one-window")

# %% [markdown]
# **Before you run the cell:** a 2x2 kernel fits into a 3x3 image at four places. Work out the four sums on paper; one
# is negative. (Tables with a negative number in them are coloured: orange is positive, purple negative, white zero.)

# %%
image = torch.tensor([[1.0, 0, 2], [3, 5, 1], [0, 4, 2]])
kernel = torch.tensor([[1.0, 2], [0, -1]])
output = torch.zeros(2, 2)
output[0, 0] = 1 * 1 + 0 * 2 + 3 * 0 + 5 * -1
output[0, 1] = 0 * 1 + 2 * 2 + 5 * 0 + 1 * -1
output[1, 0] = 3 * 1 + 5 * 2 + 0 * 0 + 4 * -1
output[1, 1] = 5 * 1 + 1 * 2 + 4 * 0 + 2 * -1
boxes = {0: (0, 0, 2, 2), 2: (0, 0, 1, 1)}
figure = plot_panels([image, kernel, output], ["image", "kernel", "output"], boxes=boxes)
show(
    figure,
    "Three tables: a 3 by 3 image, a 2 by 2 kernel, and the 2 by 2 output -4, 3, 9, 5. A box "
    "marks the window in the upper left of the image and the output -4 that it gives.",
)

# %% [markdown]
# The boxed window gives $1 \cdot 1 + 0 \cdot 2 + 3 \cdot 0 + 5 \cdot (-1) = -4$. That is the whole operation;
# everything called convolution in this course is this sum, repeated. If the -1 were +1, by how much would each of the
# four outputs grow? You need no new sums of four to say it.
#
# The repetition is two loops: over the rows where the kernel fits, and over the columns. The next image is 5x5, dark
# on the left and bright on the right; the kernel is negative on its left and positive on its right. **Before you run
# the cell:** how large is the output, and where is it zero?


# %%
def slide(image: Tensor, kernel: Tensor) -> Tensor:
    height, width = image.shape[0] - kernel.shape[0] + 1, image.shape[1] - kernel.shape[1] + 1
    output = torch.zeros(height, width)
    for row in range(height):
        for column in range(width):
            window = image[row : row + kernel.shape[0], column : column + kernel.shape[1]]
            output[row, column] = (window * kernel).sum()
    return output


step = torch.tensor([[1.0, 1, 1, 7, 7]] * 5)
edge = torch.tensor([[-1.0, 0, 1]] * 3)
boxes = {0: (1, 1, 3, 3), 2: (1, 1, 1, 1)}
figure = plot_panels([step, edge, slide(step, edge)], ["image", "kernel", "output"], boxes=boxes)
show(
    figure,
    "A 5 by 5 image whose columns are 1, 1, 1, 7, 7; a 3 by 3 kernel with columns -1, 0, 1; the 3 "
    "by 3 output with columns 0, 18, 18. The boxed window in the middle gives the boxed 18.",
)

# %% [markdown]
# In the first column of the output the kernel saw three equal columns, and -1 and +1 cancelled. Where it straddles
# the step it answers $3 \cdot (7 - 1) = 18$. The kernel asks a question, here "brighter on the right than on the
# left?", and the output is a map of the answers, a *feature map*. Set the right column of the kernel to 0 and predict
# the output: does it still find the step?
#
# ### Is this a convolution?
#
# PyTorch's `F.conv2d` does the same for a whole batch. It wants the axes $(N, C, H, W)$ for the image and two extra
# axes for the kernel too, which section 6 explains; indexing with `None` adds an axis of length one.
#
# In signal processing, where the word comes from, a convolution first turns the kernel by 180 degrees. What we
# computed has another name there, *cross-correlation*. SciPy has both; unless told `mode="valid"` it also lets the
# kernel hang over the border, and gives a larger table. **Before you run the cell:** with which of the two will
# `F.conv2d` agree? And what does each make of an image with a single bright pixel?

# %%
from scipy.signal import convolve2d, correlate2d

by_torch = F.conv2d(image[None, None], kernel[None, None])[0, 0]  # from (1, 1, 2, 2)
print("conv2d = our sums:   ", torch.equal(by_torch, output))
print("conv2d = correlate2d:", (by_torch.numpy() == correlate2d(image, kernel, mode="valid")).all())
print("conv2d = convolve2d: ", (by_torch.numpy() == convolve2d(image, kernel, mode="valid")).all())
turned = kernel.flip(0, 1)
print("  with kernel turned:", (by_torch.numpy() == convolve2d(image, turned, mode="valid")).all())
flash = torch.tensor([[0, 0, 0], [0, 1, 0], [0, 0, 0]])
answers = [torch.from_numpy(operation(flash, kernel)) for operation in (convolve2d, correlate2d)]
captions = ["one bright pixel", "kernel", "convolve2d", "correlate2d"]
figure = plot_panels([flash, kernel, *answers], captions)
show(
    figure,
    "A single bright pixel and the kernel 1, 2, 0, -1. Its convolution is a copy of the kernel; "
    "its cross-correlation is the kernel turned by 180 degrees.",
)

# %% [markdown]
# `conv2d` is cross-correlation. A true convolution answers a single bright pixel with an upright copy of the kernel,
# which is why engineers turn it: their kernel *is* the response to a flash, the *impulse response*. For a network it
# makes no difference. Its weights are learnt, and with turned kernels it would learn the turned weights. It matters
# when you carry a filter from a signal-processing book into PyTorch: flip both axes first.
#
# ## 4. What does a kernel find?
#
# People designed kernels by hand long before networks learnt them. Here are four; the two for edges are Sobel's.
# **Before you run the cell:** a grey wall, 0.5 everywhere, goes through each of them. What comes out? The sum of the
# weights is all that you need.

# %%
kernels = {
    "vertical edges": torch.tensor([[-1.0, 0, 1], [-2, 0, 2], [-1, 0, 1]]),
    "horizontal edges": torch.tensor([[-1.0, -2, -1], [0, 0, 0], [1, 2, 1]]),
    "blur": torch.full((3, 3), 1 / 9),
    "sharpen": torch.tensor([[0.0, -1, 0], [-1, 5, -1], [0, -1, 0]]),
}
wall = torch.full((3, 3), 0.5)
for name, weights in kernels.items():
    answer = slide(wall, weights).item()
    print(f"{name:17} sum of weights {weights.sum():.1f}, answer to the wall {answer:.1f}")
figure = plot_panels([*kernels.values()], [*kernels])
show(
    figure, "Four kernels as tables: two Sobel edge kernels, a blur of ninths, a sharpening kernel."
)

# %% [markdown]
# Weights that add up to 0 ignore everything flat and report differences only. Weights that add up to 1 keep the
# brightness: blur replaces each pixel by the mean of nine, sharpen adds to each pixel its differences from its four
# neighbours. Now a photograph, and in the cell after it a radiograph.
#
# **Before you run the cells:** in the man's map of vertical edges, which outlines will be positive (orange) and which
# negative (purple)? And in a chest the ribs run mostly sideways, the sides of the chest up and down: which map will
# show which?

# %%
bank = torch.stack([*kernels.values()])[:, None]  # (4, 1, 3, 3): four kernels
head = camera[60:188, 170:298].float() / 255  # (128, 128)
answers = F.conv2d(head[None, None], bank)[0]  # (4, 126, 126): four maps
answers[2:] = answers[2:].clamp(0, 1)  # sharpening overshoots black and white
figure = plot_panels([head, *answers], ["photograph", *kernels], columns=3)
show(
    figure,
    "A man's head and its four feature maps. Vertical edges draw the front and back of his hair "
    "and his ear, horizontal edges the top of his head and his brow; blur softens, sharpen brings "
    "out single hairs.",
)

# %%
answers = F.conv2d(batch[1:], bank)[0]  # (4, 126, 126)
answers[2:] = answers[2:].clamp(0, 1)
figure = plot_panels([batch[1, 0], *answers], ["radiograph", *kernels], columns=3)
show(
    figure,
    "A radiograph and its four feature maps. Vertical edges show both sides of the chest, "
    "horizontal edges the ribs one below the other; blur softens, and sharpening brings out fine "
    "lines and grain.",
)

# %% [markdown]
# Orange is dark to bright from left to right: the front of his hair against the sky. Purple is the reverse: the sky
# against the back of his head. The top of the head is all but missing from the first map and strong in the second.
# Eighteen numbers drew these outlines; nobody told them what a head is.
#
# In the chest the first map follows what runs up and down, the second the ribs. Sharpening brings out the fine lines,
# and the noise with them, since noise is differences too. None of the four finds pneumonia: an opacity is a broad
# cloud, and a 3x3 window sees a speck of it. A network gets there by stacking, simple patterns in the first layer,
# arrangements of them in the next. And nobody designs its kernels: `nn.Conv2d` starts from small random numbers and
# training moves them. Lesson 6 looks at what they become. Try a kernel of your own: replace `sharpen` by
# `[[-1, -1, -1], [-1, 8, -1], [-1, -1, -1]]`, and predict first what it says to the wall.
#
# ### Can a kernel be learned?
#
# Suppose you have never seen Sobel's numbers, only his results: eight images of 12x12 pixels, and for each image the
# map that his kernel makes of it. Could you find the kernel? In the explorer below, two filters try. They start from
# the random numbers that `nn.Conv2d` draws after `torch.manual_seed(0)`, and repeat one step:
#
# 1. Slide both filters over all eight images.
# 2. Compare their maps with the target maps. The *loss* is the mean of the squared differences.
# 3. Move each of the 18 weights a little, in the direction in which the loss falls. The *learning rate* sets how far.
#
# Nobody tells the filters what an edge is. **Before you press Play:** will they end up with Sobel's numbers, or with
# other numbers that make similar maps? And what do you expect of a learning rate six times as large, 3 instead of 0.5?

# %%
from course_lib.widgets import training_explorer

training_explorer()

# %% [markdown]
# <details><summary>What happens, and why</summary>
#
# After some 300 steps every weight is within 0.05 of Sobel's, and another start (the button, or numbers that you type)
# ends there too. Each filter has nine weights, and 800 numbers of its target maps to match; no other nine numbers match
# them all. With a learning rate of 3 each step overshoots further than the one before, and the loss grows without end.
# Rates up to about 1.1 settle.
#
# </details>
#
# You can also type a kernel of your own as the target. This is all that training is: a target, a loss, many small
# steps. In a real network the target is a label such as PNEUMONIA, not a map, so nobody designs what a filter should
# become. Drawn for a single weight $w$ with the loss $(2w - 6)^2$ and a learning rate of 0.1, one step is this:

# %%
schematic("descent-step")

# %% [markdown]
# Lesson 3 says how the direction of a step is found, and what momentum does.
#
# ## 5. Where may the kernel stand?
#
# So far the kernel stayed inside the image: `padding=0`, also called "valid". How often is each pixel read then?
# PyTorch can count for us. If all weights are 1, the sum of all outputs contains each pixel as often as it was read,
# and if that pixel grows by 1, the sum grows by this number. How fast a result grows with one of its inputs is a
# *gradient*: `backward()` works it out for all inputs at once and leaves it in their `.grad`. Training will live on
# gradients; this lesson uses them to ask what an output depends on.
#
# **Before you run the cell:** 5x5 image, 3x3 kernel. How often is a corner read, and how often the middle? And with
# `padding=1`, a ring of zeros around the image? Last: what does blurring make of a white image, if the ring is black?

# %%
panels = []
for padding in (0, 1):
    white = torch.ones(1, 1, 5, 5, requires_grad=True)
    F.conv2d(white, torch.ones(1, 1, 3, 3), padding=padding).sum().backward()
    panels.append(white.grad[0, 0])
blur = bank[2:3]  # (1, 1, 3, 3)
panels.append(F.conv2d(white, blur, padding=1)[0, 0])
panels.append(F.conv2d(F.pad(white, (1, 1, 1, 1), mode="reflect"), blur)[0, 0])
captions = ["reads, padding=0", "reads, padding=1", "blur, zeros around", "blur, mirrored"]
figure = plot_panels(panels, captions)
show(
    figure,
    "Four 5 by 5 tables. Reads of each pixel without padding: 1 in the corners, 9 in the middle. "
    "With padding: 4 in the corners, 9 inside. A blurred white image falls to 0.44 in the corners "
    "with zeros; mirrored, it stays 1.",
)

# %% [markdown]
# Without padding the border has the smallest say, and the map shrinks to 3x3. With a ring of zeros the kernel can
# stand on every pixel, and the map keeps its size. But a zero is not "nothing": here it is black, and the black frame
# bleeds in. Mirroring (`padding_mode="reflect"`) avoids that. Most networks use zeros all the same, and since the
# answers near the border then differ, a network can tell where the border is.
#
# *Padding* is the number of zeros on each side. *Stride* is the step from one place to the next. *Dilation* spreads
# the weights apart: with dilation 2 the kernel reads every second pixel.

# %%
schematic("padding-stride-dilation")

# %% [markdown]
# Walking along one row of pixels shows all three. In the next drawing each row is one output pixel, blue cells are the
# pixels that it reads, and hatched ones the zeros of the padding.
#
# **Before you run the cell:** seven pixels, three weights; how many places are there in each case? Afterwards try
# `stride=3`: which pixel does nobody read?


# %%
def walk(size, kernel, *, stride=1, padding=0, dilation=1):
    places, start = [], 0
    while start + dilation * (kernel - 1) < size + 2 * padding:  # the last weight is still inside
        places.append([start + dilation * weight for weight in range(kernel)])
        start += stride
    return places


walks = {"plain": walk(7, 3), "stride=2": walk(7, 3, stride=2)}
walks |= {"padding=1": walk(7, 3, padding=1), "dilation=2": walk(7, 3, dilation=2)}
figure = plot_walks(walks, size=7, paddings=[0, 0, 1, 0])
show(
    figure,
    "Four grids, output pixels in rows and input pixels in columns; blue cells are read. Plain: "
    "five places. Stride 2: three. Padding 1: seven, the first and last on hatched zeros. "
    "Dilation 2: three, reading every second pixel.",
)

# %% [markdown]
# Now count without walking. Let a row have $s$ pixels and the kernel $k$ weights, with padding $p$, dilation $d$ and
# stride $t$. Padded, the row has $s + 2p$ pixels, and the kernel reaches over $d(k - 1) + 1$ of them. It starts at the
# first pixel and can move on until its last weight meets the last one: $s + 2p - d(k - 1) - 1$ steps of one pixel, or
# that many divided by $t$, rounded down. The start itself is one more place:
#
# $$\text{output} = \left\lfloor \frac{s + 2p - d(k - 1) - 1}{t} \right\rfloor + 1$$
#
# **Before you run the cell:** 224 pixels, a 7x7 kernel, stride 2, padding 3, the first layer of a well-known network,
# ResNet. What size comes out? One example proves little, so the cell then lets torch judge the formula on every
# combination of small settings.

# %%
from itertools import product


def conv_output_size(
    size: int, kernel: int, *, stride: int = 1, padding: int = 0, dilation: int = 1
) -> int:
    reach = dilation * (kernel - 1) + 1
    if reach > size + 2 * padding:
        raise ValueError(f"the kernel reaches over {reach} pixels; there are {size + 2 * padding}")
    return (size + 2 * padding - reach) // stride + 1


print("ResNet's first layer:", conv_output_size(224, 7, stride=2, padding=3))
checked = refused = 0
for size, k, t, p, d in product(range(1, 13), range(1, 6), (1, 2, 3), (0, 1, 2), (1, 2, 3)):
    how = {"stride": t, "padding": p, "dilation": d}
    try:
        by_torch = F.conv2d(torch.zeros(1, 1, size, size), torch.zeros(1, 1, k, k), **how)
    except RuntimeError:  # torch says that the kernel does not fit
        assert not walk(size, k, **how)
        refused += 1
        continue
    assert by_torch.shape[-1] == conv_output_size(size, k, **how) == len(walk(size, k, **how))
    checked += 1
print(f"{checked:,} settings agree with torch; {refused} do not fit, and torch refuses them too")

# %% [markdown]
# The formula also says how to keep the size. With stride 1 it asks for $2p = d(k - 1)$: one ring of zeros for a 3x3
# kernel, two for 5x5, and a ring and a half for 4x4, which is one reason why kernels have odd sides. Told
# `padding="same"`, PyTorch works it out itself.
#
# Now the loops can have stride and padding too. This is the version that the course keeps. **Before you run the
# cell:** a 32x32 patch, 3x3 kernel, stride 3. Which sizes, without padding and with one ring?


# %%
def conv2d_by_hand(image: Tensor, kernel: Tensor, *, stride: int = 1, padding: int = 0) -> Tensor:
    padded = F.pad(image, (padding, padding, padding, padding))
    height = conv_output_size(image.shape[0], kernel.shape[0], stride=stride, padding=padding)
    width = conv_output_size(image.shape[1], kernel.shape[1], stride=stride, padding=padding)
    output = torch.zeros(height, width)
    for row in range(height):
        for column in range(width):
            top, left = row * stride, column * stride
            window = padded[top : top + kernel.shape[0], left : left + kernel.shape[1]]
            output[row, column] = (window * kernel).sum()
    return output


patch = batch[1, 0, 40:72, 40:72]  # (32, 32) of the radiograph
for stride, padding in product((1, 2, 3), (0, 1)):
    by_hand = conv2d_by_hand(patch, edge, stride=stride, padding=padding)
    by_torch = F.conv2d(patch[None, None], edge[None, None], stride=stride, padding=padding)[0, 0]
    same = torch.allclose(by_hand, by_torch, atol=1e-5)
    print(f"stride {stride}, padding {padding}: {tuple(by_hand.shape)} agrees with torch: {same}")
five = nn.Conv2d(1, 1, kernel_size=5, padding="same")
print("5x5 kernel, padding='same':", tuple(five(patch[None, None]).shape))

# %% [markdown]
# Stride 3 leaves $\lfloor 29 / 3 \rfloor + 1$ places along each side, and one more with padding. The last choice is
# the size of the kernel. **Before you run the cell:** a blur of 3x3 costs 9 products for each output pixel. What does
# one of 21x21 cost? A 3x3 kernel with dilation 10 reaches just as far; will its picture look the same?

# %%
options = {"3x3": (3, {}), "9x9": (9, {}), "21x21": (21, {})}
options |= {"3x3, dilation 10": (3, {"dilation": 10}), "3x3, stride 4": (3, {"stride": 4})}
blurred, captions = [], []
for name, (k, how) in options.items():
    blurred.append(F.conv2d(head[None, None], torch.full((1, 1, k, k), 1 / k**2), **how)[0, 0])
    captions.append(f"{name}\n{k * k} products a pixel\n{blurred[-1].shape[1]} pixels wide")
show(
    plot_panels(blurred, captions, columns=5),
    "A man's head, blurred. Kernels of 3, 9 and 21 pixels blur more and more; with dilation 10 "
    "nine faint copies overlap; with stride 4 the picture is small and coarse.",
)

# %% [markdown]
# The cost of an output pixel grows with the square of the side. Dilation reaches far for nine products, but it looks
# at nine dots only, and the ghosts show it. Stride 4 keeps every fourth answer along each side: about a sixteenth of
# the work and of the pixels.
#
# Now put it all together. Point at a number of the output, or tap it: the window that made it lights up on the image,
# with its nine products and their sum. Drag the window, type into the kernel, or press Play. And before you set a
# stride of 2 and a padding of 1: how large will the output be?

# %%
from course_lib.widgets import convolution_explorer

convolution_explorer()

# %% [markdown]
# <details><summary>How large?</summary>
#
# $\lfloor (8 + 2 \cdot 1 - 3) / 2 \rfloor + 1 = 4$ numbers along each side.
# </details>
#
# Choose "horizontal edge": where is the output positive, where negative, and where 0? Say why before you go on. Then
# take three input channels. Each has a table of its own, and the three sums are added into one number: that is what the
# next section is about.
#
# ## 6. Channels: every filter reads all of them
#
# How does a 3x3 kernel read a color picture? Say what you expect before the next cell counts.

# %%
from course_lib.widgets import Predict

Predict("1.1")

# %%
torch.manual_seed(0)
conv = nn.Conv2d(in_channels=3, out_channels=8, kernel_size=3)
print("weight", tuple(conv.weight.shape), "bias", tuple(conv.bias.shape))
print("parameters", count_parameters(conv))
crop = photo[:, 240:264, 150:174]  # (3, 24, 24)
maps = conv(crop[None])  # (1, 8, 22, 22)
by_hand = sum(conv2d_by_hand(crop[i], conv.weight[5, i]) for i in range(3)) + conv.bias[5]
same = torch.allclose(by_hand, maps[0, 5], atol=1e-5)
print("maps", tuple(maps.shape), "| channel 5 by hand agrees:", same)
following = nn.Conv2d(8, 16, kernel_size=3)
print("next layer: weight", tuple(following.weight.shape), "maps", tuple(following(maps).shape))
try:
    conv(batch)  # the radiographs have one channel
except RuntimeError as error:
    print("\n" + str(error).replace(", but", ",\nbut"))

# %% [markdown]
# Channel 5 by hand is three loops, added, and a bias: a filter is not one kernel but a stack of kernels, one for each
# input channel, and one bias. The answers of the kernels are added, so each filter gives one map, however many channels
# come in. The number of filters is the number of output channels, and it is yours to choose. The number of input
# channels is not: it is what the layer before delivers, and the error message names both numbers when they differ.
# (`groups=1` in it says that every filter reads all channels, as usual.)

# %%
schematic("filter-stack")

# %% [markdown]
# The smallest filter is 1x1. It sees no neighbour; it mixes the channels of one pixel. **Before you run the cell:**
# the weights are 1 for red, -0.5 for green and -0.5 for blue. What does a grey pixel give, and what in the
# astronaut's picture lights up?

# %%
mix = torch.tensor([1.0, -0.5, -0.5]).reshape(1, 3, 1, 1)  # (1 filter, 3 channels, 1, 1)
redness = F.conv2d(photo[None], mix)[0, 0]  # (512, 512)
figure = plot_panels([photo, redness], ["photograph", "redness: one 1x1 filter"])
show(
    figure,
    "The astronaut, and the answer of the filter: her orange suit and the red stripes of the flag "
    "are strongly positive, white, grey and black things are near zero.",
)

# %% [markdown]
# Where red, green and blue are equal the weights cancel; the suit and the stripes of the flag stand out. A question
# about colour needs all channels at once, which is why every filter reads them all. In deeper layers the channels are
# no longer colours but maps of answers, and the sum over them combines findings: an edge here and a texture there.
#
# ## 7. Why a network needs ReLU
#
# After a convolution comes an *activation*, a fixed function of each number by itself. The usual one is ReLU:
# negative numbers become 0, the others stay. That looks like too little to matter, so leave it out and see. **Before
# you run the cell:** two convolutions in a row, from 1 channel to 4 and back to 1, have 77 parameters. How many does
# a single layer need to do the same?

# %%
torch.manual_seed(0)
stack = nn.Sequential(nn.Conv2d(1, 4, kernel_size=3), nn.Conv2d(4, 1, kernel_size=3))
window = torch.zeros(1, 1, 5, 5, requires_grad=True)  # what one output pixel sees
at_zero = stack(window)  # (1, 1, 1, 1): the bias of the merged layer
at_zero.sum().backward()
merged, bias = window.grad, at_zero.detach().flatten()  # one weight for each of the 25 pixels
same = torch.allclose(stack(batch), F.conv2d(batch, merged, bias), atol=1e-5)
print(f"one 5x5 kernel and a bias, {merged.numel() + bias.numel()} parameters, do what")
print(f"the {count_parameters(stack)} parameters of both layers do: {same}")

# %% [markdown]
# The trick is to ask the stack for its weights. How much its output changes with each of 25 pixels is the gradient,
# and for sums of products it is the same at every place and for every image. The two layers *are* one 5x5 kernel and
# a bias, and a hundred such layers without an activation would be one too. Dense layers collapse in the same way, by
# multiplying their matrices; that is an exercise.
#
# What can ReLU do that no sum can? Find an edge of either direction. **Before you run the cell:** kernel $(-1, 1)$ on
# the row below, and the kernel with its signs turned. What is the sum of the two answers without ReLU, and with it?
# And does the merged layer still do the work of the two, with ReLU between them?

# %%
row = torch.tensor([[0.0, 0, 1, 1, 0, 0]])
rise = conv2d_by_hand(row, torch.tensor([[-1.0, 1]]))
fall = conv2d_by_hand(row, torch.tensor([[1.0, -1]]))
print("row              ", row.int().tolist()[0])
print("rise             ", rise.int().tolist()[0])
print("sum without ReLU ", (rise + fall).int().tolist()[0])
print("sum with ReLU    ", (F.relu(rise) + F.relu(fall)).int().tolist()[0])
with_relu = nn.Sequential(stack[0], nn.ReLU(), stack[1])
same = torch.allclose(with_relu(batch), F.conv2d(batch, merged, bias), atol=1e-3)
print("with ReLU in between, the merged layer still does the same:", same)

# %% [markdown]
# Without ReLU the two answers cancel for every row that there is. With it, both ends of the bright stretch are found.
# No single kernel can do that: if it ignores flat areas and answers 1 to a rise from 0 to 1, it answers -1 to the
# fall. The kink at zero is what lets a second layer build something new from the first, and the bias moves the kink:
# with -0.5 added, only answers above 0.5 get through.
#
# ## 8. Pooling: fewer numbers, no weights
#
# A pooling layer cuts a map into windows and keeps one number of each: the largest, or the mean. **Before you run the
# cell:** write down both outputs for windows of 2x2. Which window has the larger answer, the one of fours or the one
# with the 9?

# %%
table = torch.tensor([[1.0, 3, 0, 0], [2, 8, 0, 1], [4, 4, 9, 0], [4, 4, 0, 0]])
# The stride is the window unless you say otherwise.
largest = F.max_pool2d(table[None], 2)[0]  # (2, 2)
mean = F.avg_pool2d(table[None], 2)[0]
windows = table.reshape(2, 2, 2, 2)  # (row of windows, row in it, column of windows, column in it)
print("maximum by hand:", torch.equal(windows.amax(dim=(1, 3)), largest))
print("mean by hand:   ", torch.equal(windows.mean(dim=(1, 3)), mean))
print("parameters:", count_parameters(nn.MaxPool2d(2)))
print("256 pixels become", conv_output_size(256, 2, stride=2))
boxes = {0: (2, 2, 2, 2), 1: (1, 1, 1, 1), 2: (1, 1, 1, 1)}
figure = plot_panels([table, largest, mean], ["map", "max pooling", "average pooling"], boxes=boxes)
show(
    figure,
    "A 4 by 4 map, its maxima 8, 1, 4, 9 and its means 3.5, 0.25, 4, 2.25. The boxed window holds "
    "a 9 and three zeros: its maximum is the largest of all, its mean is not.",
)

# %% [markdown]
# The boxed window holds a single bright pixel. By its maximum it is the strongest finding of all; by its mean it is
# less than the window of fours beside it. Neither rule keeps "the most important information": a maximum keeps the
# strongest answer, be it a finding or a speck of noise, and forgets where in the window it was. A mean is a blur with
# a stride. Pooling learns nothing; it treats each channel by itself, and its output size follows the formula that you
# have.
#
# ## 9. Does a shift change anything?
#
# Two words are often mixed up. An operation is *equivariant* to shifts if a shifted input gives the equally shifted
# output. It is *invariant* if a shifted input gives the same output.
#
# A bright pixel will move to the right one step at a time. Which of the three is equivariant, which invariant: the
# convolution; the convolution followed by max pooling with windows of two; the sum of all outputs of the convolution?

# %%
Predict("1.2")

# %%
weights = torch.tensor([[1.0, 5, 2]])
for position in range(2, 7):
    row = torch.zeros(1, 10)
    row[0, position] = 1
    answer = conv2d_by_hand(row, weights)  # (1, 8)
    pooled = F.max_pool2d(answer[None], (1, 2))  # (1, 1, 4)
    shown = answer.int().tolist()[0], pooled.int().flatten().tolist(), int(answer.sum())
    print(f"pixel at {position}: convolution {shown[0]}  pooled {shown[1]}  sum {shown[2]}")

# %% [markdown]
# The convolution is equivariant: the pattern 2, 5, 1 moves along unchanged. To call its filters "translation
# invariant", as is often done, is wrong. The sum is invariant, since it does not care where things are, as long
# as the whole pattern stays inside. And the pooled row is neither: a shift by two pixels moves it by one, but after a
# shift by one it holds other numbers.
#
# Real images have borders. **Before you run the cell:** the same scene is photographed twice, 40 pixels wide, the
# second time with everything 5 pixels further to the right. Both views go through padded 3x3 layers. (ReLU is left
# out: it works pixel by pixel and cannot disturb a shift.) Where the views overlap, which of the 35 columns differ
# after 1 layer, after 4, after 8?

# %%
torch.manual_seed(0)
scene = camera.double()[None, None] / 255  # (1, 1, 512, 512)
here, moved = scene[..., 120:160, 225:265], scene[..., 120:160, 220:260]  # column 0 is now column 5
differs = []
for depth in (1, 4, 8):
    layers = [nn.Conv2d(1, 8, 3, padding=1)] + [
        nn.Conv2d(8, 8, 3, padding=1) for _ in range(depth - 1)
    ]
    network = nn.Sequential(*layers).double()  # float64: what is left of rounding is below 1e-12
    gap = (network(moved)[..., 5:] - network(here)[..., :-5]).abs().amax(dim=(0, 1))  # (40, 35)
    differs.append((gap > 1e-12).float())
    columns = differs[-1].any(dim=0)
    print(f"layers: {depth}, columns that differ: {int(columns.sum())} of {len(columns)}")
show(
    plot_panels(differs, ["1 layer", "4 layers", "8 layers"]),
    "Where the two views differ, in white: a strip at the left and one at the right border, 1 "
    "pixel wide after one layer, 4 after four and 8 after eight. The black interior is equal.",
)

# %% [markdown]
# Inside, the two agree. From each side a strip grows by one pixel a layer, where one view met padding and the other
# met the scene. Equivariance holds in the interior, and a deep network on a small image has little interior.
#
# Now to pooling, which is said to make networks translation invariant. We take four edge maps of the photograph, each
# after ReLU, shift the view by 0 to 16 pixels, and measure how far the features move away from what they were,
# relative to their own size (both as the root of a sum of squares): 0 is no change, 1 is a change as large as they
# are. **Before you run the cell:** sketch four curves, for no pooling, for windows of 2, for windows of 8, and for
# the mean of the whole map.


# %%
def edges(shift: int) -> Tensor:  # of a view that is `shift` pixels further along
    view = scene[..., 59:189, 169 + shift : 299 + shift]
    both_signs = torch.cat([bank[:2], -bank[:2]]).double()
    return F.relu(F.conv2d(view, both_signs))  # (1, 4, 128, 128)


def change(after: Tensor, before: Tensor) -> float:
    return ((after - before).norm() / before.norm()).item()


pools = {"no pooling": nn.Identity(), "max, 2x2": nn.MaxPool2d(2), "max, 8x8": nn.MaxPool2d(8)}
pools["global average"] = nn.AdaptiveAvgPool2d(1)
curves = {}
for name, pool in pools.items():
    curve = [change(pool(edges(shift)), pool(edges(0))) for shift in range(17)]
    curves[name] = (range(17), curve)
    print(f"{name:15} change after 1 pixel {curve[1]:.2f}, 2 {curve[2]:.2f}, 8 {curve[8]:.2f}")
figure = plot_curves(
    curves, xlabel="shift of the view (pixels)", ylabel="relative change of features"
)
show(
    figure,
    "Change of features over the shift. Without pooling and with 2 by 2 max pooling it rises "
    "steeply to above 1; with 8 by 8 it rises more slowly; the global average stays below 0.1.",
)

# %% [markdown]
# Pooling of 2x2 softens a shift by one pixel and is soon little better than none. Windows of 8 buy more, and know a
# place only to 8 pixels. The mean of the whole map is nearly invariant; what still changes is the strip that enters
# at one side and leaves at the other. So invariance is no property of convolutions: it is bought by pooling, a little
# with each window, and most of it with the mean at the very end.
#
# Pooling has a price besides. **Before you run the cell:** shift the view by $s$ pixels, move the pooled map back by
# as many whole pixels of its own as fit best, and compare. For which $s$ can this be perfect?


# %%
def left_over(pool: nn.Module, stride: int, shift: int) -> float:
    before, after = pool(edges(0)), pool(edges(shift))
    moves = (shift // stride, -(-shift // stride))  # rounded down, and up
    width = before.shape[-1] - moves[1]
    return min(change(after[..., :width], before[..., move : move + width]) for move in moves)


curves = {}
for stride in (1, 2, 4):
    curve = [left_over(nn.MaxPool2d(stride), stride, shift) for shift in range(13)]
    curves[f"max, {stride}x{stride}" if stride > 1 else "no pooling"] = (range(13), curve)
figure = plot_curves(curves, xlabel="shift of the view (pixels)", ylabel="change after moving back")
show(
    figure,
    "Change that is left after moving back. Without pooling always 0. With 2 by 2 pooling 0 at "
    "even shifts and above 0.4 at odd ones. With 4 by 4 pooling 0 only at multiples of 4.",
)

# %% [markdown]
# Without pooling the map can always be moved back. After 2x2 pooling only even shifts are harmless: at odd ones the
# windows hold other pixels, and their maxima differ. Any stride does this, a strided convolution as well: whoever
# keeps every second answer keeps others after a shift by one. Signal processing knows the trouble as *aliasing*, detail
# finer than the step, and has a rule against it: blur before you drop samples. Zhang, "Making Convolutional Networks
# Shift-Invariant Again" (2019), applies the rule to networks, whose output can otherwise jump when an image moves by
# one pixel.
#
# ## 10. How much of the image does one output see?
#
# One 3x3 layer sees 3x3 pixels. A second one sees 3x3 of the first one's outputs, and so 5x5 pixels: its *receptive
# field*. In general a layer adds $d(k - 1)$ steps to the field. A step is one pixel at first, and every stride on the
# way multiplies it. Pooling is a layer of this kind, too: its window is its $k$.

# %%
schematic("receptive-field")

# %% [markdown]
# The function below turns the rule into a loop.

# %%
Predict("1.3")


# %%
def receptive_field(*layers: nn.Module) -> tuple[int, int]:
    size, step = 1, 1  # pixels seen, and pixels from one output to the next
    for layer in layers:
        if isinstance(layer, nn.Conv2d):
            size += layer.dilation[0] * (layer.kernel_size[0] - 1) * step
            step *= layer.stride[0]
        elif isinstance(layer, nn.MaxPool2d):
            size += (layer.kernel_size - 1) * step
            step *= layer.stride
    return size, step  # ReLU and batch normalisation look at one pixel and add nothing


torch.manual_seed(0)
first, halve = nn.Conv2d(1, 16, 3), nn.MaxPool2d(2)
second, third = nn.Conv2d(16, 16, 3), nn.Conv2d(16, 16, 3)
single = nn.Sequential(first)
halving = nn.Sequential(first, nn.ReLU(), halve, second, nn.ReLU(), halve, third)
plain = nn.Sequential(first)
for _ in range(8):
    plain.extend([nn.ReLU(), nn.Conv2d(16, 16, 3)])
networks = {"one layer": single, "three layers, two poolings": halving, "nine layers": plain}
for name, network in networks.items():
    size, step = receptive_field(*network)
    print(f"{name}: sees {size} x {size} pixels, neighbours are {step} apart")

# %% [markdown]
# Three convolutions with two poolings see almost as far as nine without, which is a better reason to pool than
# invariance. Small kernels pay as well: for one channel two 3x3 layers see as far as a 5x5 kernel with 18 weights
# instead of 25, and have room for a ReLU in between.
#
# A formula of this kind can be measured. Take one output pixel in the middle and ask for its gradient with respect to
# every input pixel: where it is not zero, the pixel counts. ReLU and max pooling let only some pixels through in any
# one image, so the cell averages over 100 random ones. In its pictures brighter pixels count more, and the box is
# drawn around all that count at all. **Before you run the cell:** how large will the boxes be, and will all pixels
# inside count equally?

# %%
views, boxes = [], {}
for index, network in enumerate(networks.values()):
    noise = torch.randn(100, 1, 40, 40, requires_grad=True)
    maps = network(noise)
    middle = maps[:, :, maps.shape[2] // 2, maps.shape[3] // 2]  # (100, 16): one pixel
    (middle * torch.randn(100, 16)).sum().backward()  # all its channels, in random mixtures
    weight = noise.grad.abs().mean(dim=(0, 1))  # (40, 40)
    rows, columns = weight.nonzero().unbind(dim=1)
    height, width = int(rows.max() - rows.min()) + 1, int(columns.max() - columns.min()) + 1
    boxes[index] = (int(rows.min()), int(columns.min()), height, width)
    views.append(weight / weight.max())
    print("measured:", height, "x", width, "pixels")
figure = plot_panels(views, [*networks], boxes=boxes)
show(
    figure,
    "Weight of each input pixel for one output, brighter is more. One layer: a 3 by 3 square. The "
    "other two: a bright spot in the middle of a box of 18 or 19 pixels, fading out towards its "
    "corners.",
)

# %% [markdown]
# The boxes have the sizes of the formula. Inside them the weight is not even, least of all in the deepest network:
# many paths lead from a central pixel to the output, and few from a corner. Luo and others, "Understanding the
# Effective Receptive Field in Deep Convolutional Neural Networks" (2016), found that what counts is a soft spot much
# smaller than the field. The formula is an upper bound on what an output can see, no promise that it looks.
#
# ## 11. Batch normalisation
#
# The numbers between two layers can be of any size, and they move while the weights change, which makes training
# delicate. Batch normalisation puts each channel back on one scale: subtract the mean, divide by the standard
# deviation, which is the root of the variance. Both are taken over all images of the batch, all rows and all columns,
# for each channel by itself. Then a learnt scale and a learnt offset give the channel whatever spread and mean serve
# it. (Why this helps training as much as it does is still debated.)
#
# In use there may be one image only, and its result must not depend on what else is in the batch. So in training the
# layer also keeps *running* statistics, and after `eval()` it uses those. They start at mean 0 and variance 1, and
# each batch moves them towards its own by a share called `momentum`, 0.1.
#
# **Before you run the cell:** a batch of two images of two pixels, 1 and 3, 5 and 7. What are mean and variance, and
# what becomes of the 7? What mean does the layer remember after this batch? And what will it then, in eval mode, make
# of the same 7?

# %%
values = torch.tensor([1.0, 3, 5, 7]).reshape(2, 1, 1, 2)  # (N, C, H, W)
every = (0, 2, 3)  # all axes but the channels
mean = values.mean(dim=every, keepdim=True)  # (1, C, 1, 1)
var = values.var(dim=every, correction=0, keepdim=True)  # squares over 4: the biased variance
unbiased = values.var(dim=every, correction=1, keepdim=True)  # squares over 4 - 1
print(f"mean {mean.item():.1f}, variance {var.item():.1f}, unbiased variance {unbiased.item():.2f}")
norm = nn.BatchNorm2d(1)  # with a scale of 1 and an offset of 0, until training moves them
scale, offset = norm.weight.reshape(1, -1, 1, 1), norm.bias.reshape(1, -1, 1, 1)
statistics = {"train": (mean, var), "eval": (0.9 * 0 + 0.1 * mean, 0.9 * 1 + 0.1 * unbiased)}
for mode, (centre, spread) in statistics.items():
    norm.train(mode == "train")
    result = norm(values)  # in train mode this also updates the running statistics
    by_hand = (values - centre) / (spread + norm.eps).sqrt() * scale + offset
    print(f"{mode} mode:", ", ".join(f"{value:.2f}" for value in result.flatten().tolist()))
    print("  the same by hand:", torch.allclose(result, by_hand, atol=1e-6))
print(f"remembered: mean {norm.running_mean.item():.2f}, variance {norm.running_var.item():.3f}")

# %% [markdown]
# In train mode the four numbers come out around 0. In eval mode they do not, since the layer has moved only a tenth
# of the way from 0 to 4: a network judged after its first few batches uses statistics that are plainly wrong, and an
# early validation score can be terrible for this reason alone. Two details trip up many who write this layer
# themselves. Training divides by the biased variance but remembers the unbiased one. And PyTorch's momentum is the
# share of the *new* value; in Keras it is that of the old. (The tiny `eps` guards against division by zero.)
#
# **Before you run the cell:** a radiograph passes through the layer beside a black image, then beside a white one.
# Does its own result change in train mode? In eval mode? And does eval mode undo a brighter exposure?

# %%
layer = nn.BatchNorm2d(1)
layer(batch)  # one batch, so that there is something to remember
black, white = torch.zeros_like(batch[:1]), torch.ones_like(batch[:1])
for mode in ("train", "eval"):
    layer.train(mode == "train")
    beside_black, beside_white = (
        layer(torch.cat([batch[:1], other]))[0] for other in (black, white)
    )
    same = torch.allclose(beside_black, beside_white)
    print(f"{mode} mode: same result beside black and white:", same)
brighter = layer(batch[:1] + 0.2) - layer(batch[:1])
print("eval mode, image brighter by 0.2: its result is brighter too:", brighter.min().item() > 0.1)

# %% [markdown]
# In train mode an image's result hangs on its neighbours. In eval mode the layer is a fixed line, $ax + b$ for each
# channel: it does *not* even out X-ray machines of different exposure, as is sometimes claimed. That takes a
# normalisation of each image by itself, or training on images of varied exposure. To forget `model.eval()` before a
# prediction is a common mistake, and no error message tells you.
#
# ## 12. Dropout
#
# Dropout sets numbers to 0 at random during training, each with probability $p$, so that no later unit can lean on
# one single finding. What remains is multiplied by $1 / (1 - p)$. In an image a lost pixel can be guessed from its
# neighbours, so `F.dropout2d` drops whole channels instead. The cell draws both kinds of mask on four channels, for
# which four copies of a radiograph stand in.
#
# **Before you run the cell:** four units, $p = 0.5$. Are always two of them off? And what is the mean over many
# draws, if the input is 1?

# %% tags=["tol-0.02"]
torch.manual_seed(0)
drop = nn.Dropout(p=0.5)
draws = drop(torch.ones(100_000, 4))
print(f"values that occur: {draws.unique().tolist()}, mean {draws.mean():.2f}")
for off in range(5):
    share = ((draws == 0).sum(dim=1) == off).double().mean()
    print(f"{off} of 4 units off in a share of {share:.2f} of the draws")
drop.eval()
print("in eval mode unchanged:", torch.equal(drop(torch.ones(4)), torch.ones(4)))
channels = batch[1:].expand(1, 4, 128, 128)
torch.manual_seed(0)
dropped = torch.cat([F.dropout(channels, 0.5)[0], F.dropout2d(channels, 0.5)[0]])[:, None]
dropped = dropped / 2  # as bright as before, for the eye
captions = [f"{name}, channel {i}" for name in ("dropout", "dropout2d") for i in range(4)]
show(
    plot_images(dropped, captions, columns=4),
    "Upper row: four channels of a radiograph, each with about half of its pixels black at "
    "random. Lower row: four channels of which some are black as a whole and the others complete.",
)

# %% [markdown]
# Each unit is drawn by itself, so exactly two of four are off in three draws out of eight, and now and then all are.
# Survivors are doubled, so the expected value is 1 in training and in use, and `eval()` has nothing to correct. In
# the upper row every neighbourhood keeps about half of its pixels, and what is lost can be filled in; a channel that
# is gone as a whole cannot be guessed from itself. Plain dropout therefore stands between dense layers, where no
# number has a neighbour that repeats it. Set $p$ to 0.8 in the first part: which values occur now?
#
# Pooling and dropout side by side: move the image one pixel to the right (drag it, or use the arrow keys), then two,
# with maxima and with means. **Before you do:** in which of the four cases do the pooled numbers stay where they are,
# and in which do they move along?

# %%
from course_lib.widgets import pooling_explorer

pooling_explorer()

# %% [markdown]
# One pixel to the right, the maxima of this image don't change at all, and the means do. (One pixel to the left, the
# maxima change too: it depends on where the window starts.) Two pixels are the window's own size, and both move along
# by one position. And with each new draw, dropout takes other numbers.
#
# ## 13. From maps to a decision
#
# After the last convolution there are, say, 128 maps of 32x32, and two classes want two numbers. One way is to
# flatten all maps into one row and add dense layers. The other takes the mean of each map, *global average pooling*
# (`nn.AdaptiveAvgPool2d(1)`), and feeds 128 numbers to the dense layers. What follows the maps is called the *head*.
#
# **Before you run the cell:** how many parameters has each, if the first dense layer has 512 units? And of two small
# networks made for 32x32 pixels, one of either kind, which can read an image of 48x40?

# %%
large = nn.Sequential(nn.Flatten(), nn.Linear(128 * 32 * 32, 512, device="meta"))
small = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(128, 512))
print(f"flatten {count_parameters(large):>11,} parameters")
print(f"average {count_parameters(small):>11,} parameters")
torch.manual_seed(0)
body = nn.Sequential(nn.Conv2d(1, 8, 3, padding=1), nn.ReLU(), nn.MaxPool2d(4))  # (N, 8, H/4, W/4)
flattening = nn.Sequential(body, nn.Flatten(), nn.Linear(8 * 8 * 8, 2))
averaging = nn.Sequential(body, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 2))
for name, network in {"flatten": flattening, "average": averaging}.items():
    for size in ((32, 32), (48, 40)):
        try:
            print(name, size, "->", tuple(network(torch.zeros(1, 1, *size)).shape))
        except RuntimeError as error:
            print(name, size, "->", error)

# %% [markdown]
# 67 million: the explosion that convolutions were to avoid comes back through the head. You will meet exactly this
# number in lesson 2. And "CNNs need images of a fixed size" is true of the flatten head only, whose matrix has a
# weight for each place. Convolution, ReLU, pooling and the mean take what comes. (That a size is accepted does not
# make the answer good: a network knows organs of the size that it learnt.)
#
# Averaging has its price. Shuffle the places of a map, and its mean is what it was: it knows how much of a finding
# there was, not where. The flatten head knows the place, pays for it with parameters, and can also learn by heart
# that some corner of the picture means pneumonia. For opacities, which may lie anywhere in a lung, the mean is a good
# first choice.
#
# ## 14. Logits, softmax, argmax
#
# The last layer gives one number for each class, of any size and sign: the *logits*. Softmax turns them into positive
# numbers that sum to 1: $p_i = e^{z_i} / \sum_j e^{z_j}$. Argmax is the number of the class whose value is largest.
#
# **Before you run the cell:** three patients, logits for NORMAL and PNEUMONIA. For whom does softmax change which
# class is the largest? Who is called ill if a probability of 0.3 is enough?

# %%
logits = torch.tensor([[2.0, 1.0], [0.5, 0.1], [-3.0, 2.0]])  # (3 patients, 2 classes)
probs = logits.exp() / logits.exp().sum(dim=1, keepdim=True)
print("agrees with F.softmax:      ", torch.allclose(probs, F.softmax(logits, dim=1)))
print("probability of PNEUMONIA:   ", ", ".join(f"{p:.2f}" for p in probs[:, 1].tolist()))
print("argmax of the logits:       ", logits.argmax(dim=1).tolist())
print("argmax of the probabilities:", probs.argmax(dim=1).tolist())
print("called ill from 0.3 upwards:", (probs[:, 1] >= 0.3).tolist())
sharper = F.softmax(3 * logits, dim=1)
print("PNEUMONIA, from logits times 3:", ", ".join(f"{p:.2f}" for p in sharper[:, 1].tolist()))

# %% [markdown]
# The exponential grows with its argument, and all classes of a patient share one sum, so the order never changes. You
# may read that argmax without softmax is a bug; it is the same answer with less work. What needs softmax is a
# probability to report, a threshold other than one half (who screens may prefer 0.3, and then the second patient is
# called ill), and calibration: of the patients who were given 0.7, are about seven in ten ill? Numbers that are
# positive and sum to 1 need not pass that test. The last line shows other probabilities with the same order, and only
# data can tell which are the honest ones.
#
# Take this along for lesson 2: PyTorch's training loss for classes, `F.cross_entropy`, applies softmax itself, so the
# network that you train ends with logits.
#
# ## 15. Where the idea came from
#
# From 1959 on, Hubel and Wiesel described cells in the visual cortex of cats that answered to a bar of light of one
# direction at one place, each looking at a small patch of the visual field, its receptive field: *simple cells*.
# *Complex cells* answered to the same bar anywhere in a somewhat larger patch. Fukushima's Neocognitron (1980)
# stacked layers of both kinds, which you have met as convolution and pooling. LeCun and others (1989) let
# backpropagation, the method of gradients, learn the weights, to read handwritten postcodes.
#
# The brain was where the idea came from, and it is no proof that the two work alike: each patch of cortex has
# synapses of its own, shared with no other, and whether it learns by anything like backpropagation is an open
# question. The arithmetic is that of signal processing: cross-correlation, impulse response and aliasing are its
# words. What is new is that the kernels are learnt instead of designed.
#
# ## 16. All parts in one network
#
# A network such as the one at the top of this page is a strip of blocks. Each block halves the map and widens it:

# %%
schematic("network-strip")

# %% [markdown]
# Two blocks of convolution, batch normalisation, ReLU and pooling; the mean; dropout; one dense layer. The first cell
# passes a radiograph of 128x128 through, layer by layer. The second lets `trace_shapes` from the course's package do
# the same. It works for any network, leaves it as it was, and also counts *multiply-adds*, each a product added to a
# sum.
#
# **Before you run the cells:** write down the shape after each layer. Why can the convolutions do without a bias
# here? Which layer does most of the work, and how much of the picture does an output of the second block see?


# %%
def block(in_channels: int, out_channels: int) -> list[nn.Module]:
    conv = nn.Conv2d(in_channels, out_channels, kernel_size=3, padding=1, bias=False)
    return [conv, nn.BatchNorm2d(out_channels), nn.ReLU(), nn.MaxPool2d(2)]


torch.manual_seed(0)
end = [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(0.5), nn.Linear(16, 2)]
tiny_cnn = nn.Sequential(*block(1, 8), *block(8, 16), *end).eval()
maps = batch[:1]  # (1, 1, 128, 128)
for layer in tiny_cnn:
    maps = layer(maps)
    print(f"{type(layer).__name__:18} {tuple(maps.shape)!s:20} {count_parameters(layer):>6,}")

# %%
from course_lib.anatomy import trace_shapes

trace = trace_shapes(tiny_cnn, (1, 1, 128, 128))
print(trace)
print("\nlast shape agrees with the loop:", trace.layers[-1].output_shape == tuple(maps.shape))
print("seen by one output of the second block:", receptive_field(*tiny_cnn[:8])[0], "of 128 pixels")
probs = F.softmax(tiny_cnn(batch), dim=1)
print("probabilities sum to 1:", torch.allclose(probs.sum(dim=1), torch.ones(2)))

# %% [markdown]
# Height and width halve at each pooling while the channels grow: less "where", more "what". Batch normalisation
# subtracts the mean, and any bias before it would go with it.
#
# The second convolution holds most of the parameters and does most of the work; pooling, ReLU, dropout and the mean
# hold nothing. The probabilities sum to 1 and mean nothing at all: the network is untrained. And one output of the
# second block sees less than a tenth of the picture's width, too little for a lung. That is a reason for more blocks,
# and lesson 2 builds them.
#
# Stack layers of your own below. Take "flatten" out (choose "nothing"): what becomes of the output shape? Put it back,
# choose "dense for 2048 inputs" as the last layer, and change the side of the image.

# %%
from course_lib.widgets import shape_explorer

shape_explorer()

# %% [markdown]
# Without flattening, the dense layer is applied to each row of each map, and no error appears: the shape alone tells.
# A dense layer for 2,048 inputs takes nothing else, and that is the trouble with heads that flatten.
#
# ## Summary
#
# An image is a table of numbers, $(N, C, H, W)$ in PyTorch. A convolution lays a small stack of kernels on every
# place and adds up products and a bias. It looks locally and shares its weights, and so 320 parameters fill 32 maps
# where a dense layer spends 65 million on a thousand numbers. Kernel size, stride, padding and dilation decide the
# output size by one formula. Each filter reads all input channels and gives one output channel. ReLU keeps layers
# from collapsing into one. Pooling shrinks maps without weights.
#
# Convolution is equivariant to shifts, up to the border and as long as nothing is skipped; invariance is bought by
# pooling, a little at each window and most at the global mean. The receptive field bounds what an output can see.
# Batch normalisation and dropout behave differently in `train()` and `eval()`. A flatten head fixes the image size
# and can hold nearly all parameters; a mean does neither, and forgets the place. Softmax turns logits into
# probabilities and leaves the argmax alone.
#
# ## Quiz
#
# Click an answer, or reach it with Tab and press the space bar, and read why. First tries count, and your score is
# kept when you reload the page.

# %%
from course_lib.widgets import Quiz

Quiz(1)

# %% [markdown]
# ## Exercises
#
# [Exercises 1](exercises/01_cnn_anatomy.ipynb) sets seven tasks, from one line to a real piece of work. Each asks for a
# function, a cell below it checks yours at once, and hints come in steps.
#
# And a question that only an experiment answers: in section 9, put the pooling of the last task in the place of max
# pooling. How much of the change at odd shifts is left, and what does it cost?
#
# ## What you may now import
#
# From here on `conv2d_by_hand`, `conv_output_size`, `receptive_field`, `count_parameters` and `trace_shapes` come
# from `course_lib.anatomy`. They are the functions that you have seen grow, with tests, and with errors where ours
# would be silently wrong: `receptive_field` refuses a layer that it does not know. The cell asks whether ours and
# theirs agree.

# %%
from course_lib import anatomy

both = [f(patch, edge, stride=2, padding=1) for f in (conv2d_by_hand, anatomy.conv2d_by_hand)]
print("conv2d_by_hand:  ", torch.equal(*both))
settings = [*product(range(5, 40), (1, 2, 3, 5), (1, 2, 3), (0, 1, 2))]
ours = [conv_output_size(s, k, stride=t, padding=p) for s, k, t, p in settings]
theirs = [anatomy.conv_output_size(s, k, stride=t, padding=p) for s, k, t, p in settings]
print("conv_output_size:", ours == theirs, "in", len(settings), "settings")
ours = [receptive_field(*network) for network in networks.values()]
theirs = [anatomy.receptive_field(*network) for network in networks.values()]
print("receptive_field: ", ours == theirs)
print("count_parameters:", count_parameters(tiny_cnn) == anatomy.count_parameters(tiny_cnn))
try:
    anatomy.receptive_field(nn.Flatten())
except ValueError as error:
    print(error)

# %% [markdown]
# Next: [lesson 2, Building PneumoniaCNN](02_building_pneumonia_cnn.ipynb), where these parts become a class, and
# where 67 million parameters wait to be found.
