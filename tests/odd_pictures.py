"""Pictures that are no frontal chest radiographs: what a network for those should be said to know nothing of.

Radiographs of other parts are simulated, by the attenuation that `course_lib.data.simulated` computes with.
"""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from skimage import data

from course_lib.data.simulated import transmission

SIZE = 320  # pixels along one side
Field = NDArray[Any]


def odd_pictures(radiograph: Image.Image) -> dict[str, Image.Image]:
    """By name: pictures of other things, and what can be done to a frontal radiograph to make it another thing."""
    gray = radiograph.convert("L")
    noise = np.random.default_rng(0).integers(0, 256, (SIZE, SIZE), dtype=np.uint8)
    tinted = Image.merge("RGB", [gray.point(lambda value, by=by: int(value * by)) for by in (1.0, 0.75, 0.5)])
    photographs = {name: getattr(data, name)() for name in ("camera", "coins", "text", "page", "brick", "moon", "cell")}
    return {
        "cat": Image.fromarray(data.chelsea()),
        "gray cat": Image.fromarray(data.chelsea()).convert("L"),
        "astronaut": Image.fromarray(data.astronaut()).convert("L"),
        **{name: Image.fromarray(np.asarray(picture)).convert("L") for name, picture in photographs.items()},
        "tinted": tinted,
        "inverted": gray.point(lambda value: 255 - value),
        "upside down": gray.transpose(Image.Transpose.ROTATE_180),
        "on its side": gray.transpose(Image.Transpose.ROTATE_90),
        "noise": Image.fromarray(noise),
        "blank": Image.new("L", (SIZE, SIZE), 128),
        "screenshot": screenshot(),
        "hand": hand(),
        "lateral chest": lateral_chest(),
    }


def hand(seed: int = 0) -> Image.Image:
    """A radiograph of a hand, fingers up: phalanges, metacarpals, wrist and the ends of the forearm's bones."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0 : 20 : SIZE * 1j, -8 : 8 : SIZE * 1j]  # cm
    soft, bone = np.zeros_like(x), np.zeros_like(x)
    fingers = [(-3.2, -42, 5.2), (-2.0, -8, 8.0), (-0.3, 0, 8.8), (1.3, 8, 8.0), (2.6, 18, 6.2)]  # thumb first
    for root, angle, length in fingers:
        lean = math.radians(angle + rng.normal(0, 2))
        place, heading = np.array([root * 0.55, 15.0]), np.array([math.sin(lean), -math.cos(lean)])
        parts = [0.75 * length, 0.5 * length, 0.32 * length, 0.22 * length]
        for part, radius in zip(parts, (0.5, 0.42, 0.36, 0.3), strict=True):
            end = place + part * heading
            away = _from_segment(x, y, place + 0.25 * heading, end - 0.25 * heading)
            bone += _hollow(away, radius)
            soft = np.maximum(soft, _chord(away, radius + 0.5))
            place = end
    palm = _from_segment(x, y, np.array([0.0, 11.5]), np.array([0.0, 14.0]))
    soft = np.maximum(soft, 0.35 * _chord(palm, 3.6))
    for dx, dy in ((-1.4, 15.4), (-0.4, 15.2), (0.6, 15.2), (1.5, 15.4), (-1.0, 16.3), (0.1, 16.3), (1.1, 16.3)):
        bone += 0.6 * _chord(np.hypot(x - dx, y - dy), 0.55)
    for dx, radius in ((-0.9, 0.8), (1.1, 0.6)):
        away = _from_segment(x, y, np.array([dx, 17.4]), np.array([dx, 22.0]))
        bone += _hollow(away, radius)
        soft = np.maximum(soft, _chord(away, 2.2))
    return _developed({"soft": np.maximum(soft - bone, 0), "bone": bone}, rng)


def lateral_chest(seed: int = 0) -> Image.Image:
    """A chest radiograph from the side: the spine behind, the heart and the breast bone in front, both lungs over one
    another, the domes of the diaphragm below.
    """
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0 : 30 : SIZE * 1j, -13 : 13 : SIZE * 1j]  # cm; the patient looks to the right
    trunk = 1 - (np.abs(x + 0.3) / (8.6 + 0.08 * y)) ** 2.6 - (np.clip(5 - y, 0, 9) / 9) ** 2
    soft = 26 * np.sqrt(np.maximum(trunk, 0))
    chest = 1 - (np.abs(x - 0.4) / (6.2 - 0.6 * np.clip(6 - y, 0, 6))) ** 2.4 - (np.clip(9 - y, 0, 9) / 8.2) ** 3
    dome = 17.5 + 1.6 * (x / 6) ** 2 - 0.55 * x
    lung = 18 * np.sqrt(np.maximum(chest, 0)) * np.clip((dome - y) / 0.8 + 0.5, 0, 1)
    heart = 9 * np.sqrt(np.maximum(1 - ((x - 2.6) / 3.6) ** 2 - ((y - 14.6) / 4.2) ** 2, 0))
    vessels = 5 * np.sqrt(np.maximum(1 - ((x - 0.6) / 2.2) ** 2 - ((y - 8.5) / 3.0) ** 2, 0))
    lung = np.maximum(lung - np.maximum(heart, vessels), 0)
    spine_at = -5.4 - 0.012 * (y - 13) ** 2 + 1.2
    phase = (y / 1.9) % 1 - 0.5
    bone = _chord(x - spine_at, 1.4) * (0.15 + 0.25 * (np.abs(phase) < 0.38))
    bone += 0.7 * _hollow(x - 6.1 + 0.08 * (y - 10), 0.45) * (np.abs(y - 11) < 6)
    for rib in range(9):
        level = y - (4 + 1.7 * rib) - 0.3 * (x + 5) - 0.02 * (x + 5) ** 2
        bone += 0.8 * _hollow(level, 0.42) * (np.abs(x) < 6.2)
    away = _from_segment(x, y, np.array([1.0, 3.0]), np.array([6.0, -3.0]))  # the arms, lifted
    soft = np.maximum(soft, 1.6 * _chord(away, 3.2))
    soft = np.maximum(soft - lung - bone, 0)
    return _developed({"soft": soft, "lung": lung, "bone": bone * (trunk > 0)}, rng)


def screenshot() -> Image.Image:
    """A page with windows, lines of text and buttons."""
    page = Image.new("RGB", (640, 400), "white")
    draw = ImageDraw.Draw(page)
    draw.rectangle((0, 0, 640, 28), fill=(230, 230, 230))
    draw.rectangle((0, 28, 130, 400), fill=(245, 245, 245))
    for row in range(16):
        draw.text((145, 40 + 21 * row), f"line {row}: the quick brown fox jumps over the lazy dog", fill=(40, 40, 40))
        draw.text((10, 40 + 21 * row), f"folder {row}", fill=(90, 90, 90))
    return page.convert("L")


def _developed(paths: dict[str, Field], rng: np.random.Generator) -> Image.Image:
    photons = 3e4 * transmission(paths)
    photons += np.sqrt(photons) * rng.standard_normal(photons.shape)
    depth = -np.log(np.maximum(photons / 3e4, 1e-5))
    shown = np.clip(depth / float(np.quantile(depth, 0.99)), 0, 1)
    return Image.fromarray(np.round(255 * shown).astype(np.uint8))


def _chord(distance: Field, radius: float) -> Field:
    return 2 * np.sqrt(np.maximum(radius**2 - distance**2, 0))


def _hollow(distance: Field, radius: float) -> Field:
    return _chord(distance, radius) - 0.75 * _chord(distance, 0.7 * radius)


def _from_segment(x: Field, y: Field, start: Field, end: Field) -> Field:
    """Distance of each ray from the segment between two points."""
    (ax, ay), (dx, dy) = start, end - start
    along = np.clip(((x - ax) * dx + (y - ay) * dy) / (dx**2 + dy**2), 0, 1)
    return np.hypot(x - ax - along * dx, y - ay - along * dy)
