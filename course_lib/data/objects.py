"""Color pictures of simple objects, computed: ten classes that take texture, color and shape together to tell apart.

Ten pictures are painted at once, back to front: one of each class, in random order. Positions run from -1 to 1 to the
right and down; whatever is painted is given by the distance to its outline, which makes edges smooth at every size.
Colors are luma and two color differences (Y, Cb, Cr), so that a picture in gray holds no trace of them. All sizes,
colors and strengths are set by eye.
"""

import itertools
import math
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional as F

from course_lib.data.images import ImageSet
from course_lib.progress import watched

Field = NDArray[Any]  # float32; the first axis is that of the ten pictures

TEXTURES = {"striped": 0.0, "dotted": 1.0}  # whether there are dots
COLORS = {"warm": math.radians(128), "cool": math.radians(-52)}  # between red and yellow, between blue and green
SHAPES = {"disc": 60.0, "square": 4.0, "triangle": 3.0}  # corners; sixty cannot be told from a circle
CLASSES = [c for c in itertools.product(TEXTURES, COLORS, SHAPES) if (c[0], c[2]) != ("dotted", "triangle")]
TO_RGB = np.array([[1, 0, 1.402], [1, -0.344, -0.714], [1, 1.772, 0]], dtype=np.float32)  # ITU-R BT.601


def scenes(num_images: int, seed: int) -> tuple[str, ...]:
    """The groups of `simulate_objects`: each image is of a scene of its own."""
    return tuple(f"object-{seed}-{i}" for i in range(num_images))


def simulate_objects(num_images: int, *, image_size: int = 32, seed: int = 0, difficulty: float = 0.5) -> ImageSet:
    """Simulated color pictures of objects, in ten classes, for those who have no CIFAR-10 at hand.

    These are no photographs, and what a network scores on them says nothing about its score on CIFAR-10. Each shows one
    object before blotches of all colors: striped or dotted, warm or cool, a disc, a square or a triangle (no triangle
    is dotted). Two of these three cues are never enough for all classes, and two classes that a network confuses tell
    which cue it misses.

    Images are uint8 (N, 3, S, S), and each ten in a row hold each class once. `difficulty` runs from 0 to 1: how noisy,
    blurred, faint in texture and hidden behind a bar the harder pictures are. Image i of a seed is the same however
    many there are, and shows the same scene at every size and difficulty.

    Raises:
        ValueError: an argument lies outside its range.

    >>> simulate_objects(20).counts()["striped warm disc"]
    2
    """
    for name, number, least in (("num_images", num_images, 1), ("image_size", image_size, 16), ("seed", seed, 0)):
        if number < least:
            raise ValueError(f"{name} must be {least} or more, got {number}; ask for {name}={least} at least.")
    if not 0 <= difficulty <= 1:
        raise ValueError(f"difficulty must lie between 0 and 1, got {difficulty}; 0.5 is the usual one.")
    count = math.ceil(num_images / len(CLASSES))
    numbers = watched(range(count), count, "simulating objects, ten at once,", "tens")
    tens = [_paint_ten(seed, ten, image_size, difficulty) for ten in numbers]
    images, labels = (torch.from_numpy(np.concatenate(parts)[:num_images]) for parts in zip(*tens, strict=True))
    return ImageSet(
        images=images,
        labels=labels,
        classes=tuple(" ".join(cues) for cues in CLASSES),
        groups=scenes(num_images, seed),
        name="simulated objects",
        license="CC0: simulated, no photograph",
    )


class _Easel:
    """Ten canvases (10, 3, S, S), what is to be painted on each, and the random numbers for it."""

    def __init__(self, rng: np.random.Generator, image_size: int) -> None:
        self.rng = rng
        self.labels = rng.permutation(len(CLASSES)).astype(np.int64)
        ticks = (np.arange(image_size, dtype=np.float32) + 0.5) * 2 / image_size - 1
        self.x, self.y = ticks[None, None, :], ticks[None, :, None]
        self.canvas = np.zeros((len(CLASSES), 3, image_size, image_size), dtype=np.float32)

    def draw(self, low: float, high: float) -> Field:
        """One number a picture, (10, 1, 1)."""
        return self.rng.uniform(low, high, (len(CLASSES), 1, 1)).astype(np.float32)

    def paint(self, inside: Field, luma: Field, hue: Field, vivid: Field) -> None:
        """Cover all pixels whose distance `inside` the outline is positive, and the outline's own by halves."""
        color = np.stack([luma, vivid * np.cos(hue), vivid * np.sin(hue)], axis=1)  # (10, 3, 1, 1)
        cover = np.clip(inside * self.x.size / 2 + 0.5, 0, 1)[:, None]  # (10, 1, S, S), a pixel wide at the outline
        self.canvas += cover * (color - self.canvas)


def _paint_ten(seed: int, ten: int, image_size: int, difficulty: float) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Images (10, 3, S, S) and labels (10,) from random numbers of their own, whatever other images there are."""
    easel = _Easel(np.random.default_rng([seed, ten]), image_size)
    strain = 2 * difficulty * easel.draw(0, 1) ** 2  # squared: many easy pictures and a few hard ones
    for reach in (12.0, 0.8, 0.8, 0.8, 0.8, 0.8):  # blotches, of which the first fills the canvas
        x, y = easel.x - easel.draw(-1.1, 1.1), easel.y - easel.draw(-1.1, 1.1)
        _any_color(easel, reach * easel.draw(0.25, 1) - np.hypot(x, y))
    _object(easel, strain)
    turn, shift = easel.draw(-math.pi, math.pi), easel.draw(-0.8, 0.8)
    across = np.abs(np.cos(turn) * easel.x + np.sin(turn) * easel.y - shift)
    _any_color(easel, 0.15 * strain - 0.03 - across)  # a bar before the object
    return _photograph(easel, strain), easel.labels


def _any_color(easel: _Easel, inside: Field) -> None:
    easel.paint(inside, easel.draw(0.35, 0.65), easel.draw(-math.pi, math.pi), easel.draw(0.1, 0.25))


def _object(easel: _Easel, strain: Field) -> None:
    """Paint the object: its shape in one color, then stripes or dots in a second one of the same family."""
    words = zip(*(CLASSES[label] for label in easel.labels), strict=True)
    dotted, hue, corners = (
        np.array([cue[word] for word in column], dtype=np.float32).reshape(-1, 1, 1)
        for cue, column in zip((TEXTURES, COLORS, SHAPES), words, strict=True)
    )
    x, y, stretch = easel.x - easel.draw(-0.35, 0.35), easel.y - easel.draw(-0.35, 0.35), easel.draw(0.93, 1.07)
    # A regular polygon standing on its side, as seen from its middle; equal sizes mean equal areas, whatever the shape.
    half = math.pi / corners
    to_side = easel.draw(0.5, 0.68) * np.sqrt(half / np.tan(half))
    angle = np.arctan2(x * stretch, y / stretch) + easel.draw(-0.2, 0.2)
    outline = to_side - np.hypot(x * stretch, y / stretch) * np.cos(np.mod(angle + half, 2 * half) - half)
    turn, wave = easel.draw(-math.pi, math.pi), 2 * math.pi / easel.draw(0.29, 0.41)
    along = np.cos(wave * (np.cos(turn) * x + np.sin(turn) * y) + easel.draw(-math.pi, math.pi))
    athwart = np.cos(wave * (np.cos(turn) * y - np.sin(turn) * x) + easel.draw(-math.pi, math.pi))
    marks = np.where(dotted, along + athwart - 0.7, along) / wave
    contrast = easel.draw(0.44, 0.76) * (1 - np.minimum(0.8 * strain, 0.8))
    # Stripes cover half of the object, dots a quarter; seen from afar both kinds are equally bright.
    base = easel.draw(0.4, 0.6) - np.where(dotted, 0.26, 0.5) * contrast
    easel.paint(outline, base, hue + easel.draw(-0.95, 0.95), easel.draw(0.045, 0.15))
    easel.paint(np.minimum(outline, marks), base + contrast, hue + easel.draw(-0.95, 0.95), easel.draw(0.045, 0.15))


def _photograph(easel: _Easel, strain: Field) -> NDArray[np.uint8]:
    """The canvases in colored, uneven light, through a lens out of focus, on a noisy sensor."""
    easel.canvas[:, 1:] += np.stack([easel.draw(-0.09, 0.09), easel.draw(-0.09, 0.09)], axis=1)
    light = easel.draw(0.7, 1.3) * (1 + easel.draw(-0.3, 0.3) * easel.x + easel.draw(-0.3, 0.3) * easel.y)
    seen = torch.from_numpy(np.einsum("rc,ncyx->nryx", TO_RGB, easel.canvas) * light[:, None])
    blurred = F.avg_pool2d(seen, 3, stride=1, padding=1, count_include_pad=False)
    seen += torch.from_numpy(np.minimum(0.5 * strain, 1)[:, None]) * (blurred - seen)
    noise = easel.rng.standard_normal(seen.shape, dtype=np.float32)
    return np.round(255 * np.clip(seen.numpy() + (0.02 + 0.035 * strain[:, None]) * noise, 0, 1)).astype(np.uint8)
