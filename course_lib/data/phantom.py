"""The body that a simulated radiograph shows: the path of each X-ray through each tissue, by organ.

Lengths are centimeters in the patient's own frame: x runs to the right of the picture, the patient's left; y runs down
from the apex of the lungs; the beam runs along z, from back to front. Each organ is a path length along the beam.
Proportions, and how much they vary, are set by eye.
"""

import math
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

Field = NDArray[Any]  # (S, S) float32, one value a ray; paths in cm
FRAME = 30.0  # cm along one side of the detector
PARTS = ("opacities", "left opacities", "right opacities", "rib")  # that a patient can be shown without
MIDDLE_RIB = 7  # the ring that "rib" leaves out, on both sides


class Patient:
    """One patient's proportions, the stand before the detector, and so x and y of each ray."""

    def __init__(self, rng: np.random.Generator, size: int) -> None:
        self.width = rng.uniform(9.3, 10.9)  # half of the rib cage from side to side
        self.depth = rng.uniform(4.6, 6.2)  # half of it from back to front
        self.height = rng.uniform(12.5, 18.0)  # of the lungs, less when breath is not held
        self.fat = rng.uniform(0.8, 3.1)  # from ribs to skin
        self.spacing = rng.uniform(1.75, 2.1) * (self.height / 16) ** 0.5  # of vertebrae, and so of ribs
        self.turn = rng.normal(0, 0.7)  # shift of the front of the body to the right of the picture
        self.lean = rng.normal(0, 0.04)  # radians
        self.scale = size / FRAME * rng.uniform(1.02, 1.28)  # rays per cm
        self.size, self.left, self.top = size, rng.normal(0, 0.6), rng.uniform(3.2, 5.2)
        ticks = (np.arange(size, dtype=np.float32) + 0.5) / self.scale
        across, down = ticks[None, :] - size / self.scale / 2 - self.left, ticks[:, None] - self.top
        self.x, self.y = across + self.lean * (down - 10), down - self.lean * across

    def cage(self, x: Field, wall: float = 0.0) -> Field:
        """Path inside the rib cage as a share of the longest one; `wall` moves its border out by as many cm."""
        waist = 0.8 * self.height
        up = np.clip((waist - self.y) / (waist + 1 + wall), 0, 1)
        down = np.clip((self.y - waist) / (3 * self.height), 0, 1)
        return np.maximum(1 - up**2.3 - down**2 - np.abs(x / (self.width + wall)) ** 2.6, 0) ** 0.45


def tissue_paths(
    p: Patient, rng: np.random.Generator, *, sick: bool, difficulty: float, without: str = ""
) -> tuple[dict[str, Field], Field]:
    """Path through each tissue, and through lung that is filled with fluid; `without` is one of `PARTS`, or none."""
    x, y = p.x, p.y
    # Smooth noise of deviation 1 (hence the 2.1), coarse to fine, the same at every image size.
    noise: list[Field] = [rng.standard_normal((cells, cells), dtype=np.float32) for cells in (5, 9, 22)]
    uneven, wobble, texture = (2.1 * smooth(coarse, p.size, 0.6 / len(coarse)) for coarse in noise)
    soft, bone = _trunk(p, rng)
    missing = MIDDLE_RIB if without == "rib" else -1
    bone += _spine(p, rng) + _ribs(p, wobble, rng, missing) + _clavicles(p, rng)
    soft *= 1 + (0.02 + 0.04 * difficulty) * uneven

    # The domes of the diaphragm rise into the lungs, the right one higher, and leave deep sulci at the back and sides.
    base = p.height + rng.uniform(0.2, 1.4) * np.heaviside(x, 0) + 0.15 * wobble
    dome = base + rng.uniform(2.6, 4.4) * (np.abs(np.abs(x) / p.width - 0.45) / 0.55) ** 2.4
    lung = 2 * np.maximum(p.depth * p.cage(x) - np.sqrt(rng.uniform(9, 16) * np.maximum(y - dome, 0)), 0)
    lung *= _step(lung / 1.6)
    # Heart, great vessels, aortic knob and mediastinum overlap: the longest path counts, rounded off where two meet.
    bulk = rng.uniform(0.88, 1.15) * p.width / 10
    middle = [
        _ellipsoid(x - p.turn - 2.0, y - 0.77 * p.height, (6.0 * bulk, 4.6 * bulk, 4.2), rng.uniform(0.5, 0.9)),
        _ellipsoid(x - 0.5 * p.turn - 0.3, y - 0.5 * p.height, (rng.uniform(2.5, 3.3), 0.4 * p.height, 3.8)),
        _ellipsoid(x - 0.3 * p.turn - 1.8, y - 0.27 * p.height, (1.4, 1.8, 2.2)),
        p.depth * _chord((x - 0.3 * p.turn) / (rng.uniform(1.4, 2.0) + 0.06 * np.maximum(y, 0)), 1.0),
    ]
    lung = np.maximum(lung - np.cbrt(sum((path**3 for path in middle), np.zeros_like(lung))), 0)

    gas = _chord(x - 0.2 * p.turn, rng.uniform(0.6, 0.85)) * _step(0.3 * p.height - y)  # in the windpipe
    for _ in range(rng.integers(0, 5)):  # in stomach and bowel
        dx, dy = x - 4.5 - rng.normal(0, 1.2), y - p.height - 3 - abs(rng.normal(0, 1.5))
        gas = np.maximum(gas, _ellipsoid(dx + 0.3 * wobble, dy, (rng.uniform(0.7, 2.2), rng.uniform(0.6, 1.5), 1.2)))
    blood = np.minimum(rng.uniform(0.8, 1.3 + difficulty) * _vessels(p, rng) * (1 + 0.25 * wobble), 0.5 * lung)
    fluid = np.minimum(_lesion(p, lung, texture, rng, difficulty), lung - blood) if sick else np.zeros_like(lung)
    fluid = np.where(_emptied(x, without), 0, fluid)
    bone *= soft > 0.5
    soft = np.maximum(soft - lung + blood + fluid - gas - bone, 0)
    return {"soft": soft, "lung": (lung - blood - fluid) * (1 + 0.04 * texture), "bone": bone}, fluid


def _emptied(x: Field, without: str) -> NDArray[np.bool_]:
    """Where no fluid is left. The patient's left lung is on the right of the picture."""
    sides = {"opacities": np.isfinite(x), "left opacities": x > 0, "right opacities": x < 0}
    return sides.get(without, np.zeros(x.shape, dtype=bool))


def _trunk(p: Patient, rng: np.random.Generator) -> tuple[Field, Field]:
    """Soft tissue of torso, neck, chin and arms, as if they held no lung, and the bones of the arms."""
    y, side = p.y, np.abs(p.x)
    flank, slope, neck = p.width + p.fat, rng.uniform(2.5, 4.5), rng.uniform(2.9, 3.8)
    shoulder = flank + rng.uniform(0.5, 2.5)
    half = neck + (shoulder - neck) * _step((y + slope + 1) / (slope + 2.5)) - (shoulder - flank) * _step((y - 3) / 5)
    front = 0.45 + 0.55 * _step((y + 3.5) / 8)
    soft = 2 * (p.depth + p.fat) * front * np.sqrt(np.maximum(1 - (side / half) ** 2.6, 0))
    breast = np.hypot(side - 0.62 * p.width, 1.2 * (y - rng.uniform(0.55, 0.9) * p.height)) / 3.6
    soft += rng.uniform(0, 0.7) * p.fat * _step(2.2 - 1.6 * breast)
    chin = _ellipsoid(p.x - p.turn, y + rng.uniform(5.0, 10.0), (4.2, 3.6, 5.0))
    joint = (shoulder - 1.2, rng.uniform(1.2, 2.0))
    elbow = (joint[0] + rng.uniform(3.5, 7.0), joint[1] + rng.uniform(1.0, 15.0))
    side = side + rng.normal(0, 0.5) * np.sign(p.x)  # the two arms are not held alike
    arm = _off_axis(side, y, joint, elbow)
    soft = np.maximum(np.maximum(soft, chin), _chord(arm, 2.2 + 0.5 * p.fat))
    bone = 0.5 * _hollow(arm, 0.85) + 0.25 * _chord(np.hypot(side - joint[0], y - joint[1]), 1.3)
    blade = _off_axis(side, y, (joint[0] - 1.2, joint[1] + 0.8), (p.width + rng.uniform(-1.8, 0.2), 8.5))
    return soft, bone + 0.8 * _hollow(blade, 0.6) + 0.2 * _step(1.4 - blade / 3) + 0.12 * chin


def _spine(p: Patient, rng: np.random.Generator) -> Field:
    """Vertebral bodies with discs between them, pedicles and spinous processes."""
    x = p.x + 0.4 * p.turn + rng.normal(0, 0.35) * np.sin(p.y / rng.uniform(5, 9) + rng.uniform(0, 6))
    phase = (p.y / p.spacing) % 1 - 0.5  # -0.5 and 0.5 at the discs
    below, edge = phase * p.spacing, np.abs(phase)
    body = _chord(x, rng.uniform(1.25, 1.5) - 0.15 * np.cos(2 * np.pi * phase))
    bone = body * (0.10 + 0.12 * _step((0.47 - edge) / 0.1) + 0.12 * np.exp(-(((edge - 0.36) / 0.07) ** 2)))
    bone += 0.35 * np.exp(-(((np.abs(x) - 0.85) / 0.25) ** 2) - ((below + 0.15) / 0.35) ** 2)
    return bone + 0.35 * np.exp(-((x / 0.22) ** 2) - ((below - 0.25) / 0.45) ** 2)


def _ribs(p: Patient, wobble: Field, rng: np.random.Generator, missing: int) -> Field:
    """Rings tilted forwards round the cage: from the front, each shows a posterior and an anterior arc."""
    bone = np.zeros_like(wobble)
    drop = rng.uniform(2.6, 4.2)
    for front, first, weight, gristle in ((-1, 1.2, 0.9, 0.05), (1, 1.8, 0.6, 0.38)):
        x = p.x - front * 0.6 * p.turn
        arc = p.cage(x, 0.5)  # 1 at the midline, 0 where the ring turns from back to front
        steep = np.minimum(drop * np.abs(x) / (p.width**2 * np.maximum(arc, 0.15)), 3.0)
        level = (p.y - front * drop * arc) / p.spacing + 0.12 * wobble + 3
        ring = np.clip(level, 0, 19).astype(np.int64)
        middle = ring + rng.normal(0.5, 0.06, 20).astype(np.float32)[ring]
        radius = rng.uniform(0.44, 0.6, 20).astype(np.float32)[ring]
        path = _hollow((level - middle) * p.spacing / np.sqrt(1 + steep**2), radius) * (1 + 0.5 * steep)
        seen = (arc > 0) & (level > first) & (level < 13) & (ring != missing)
        bone += weight * path * seen * _step((np.abs(x) / p.width - gristle) / 0.2)
    return bone


def _clavicles(p: Patient, rng: np.random.Generator) -> Field:
    x = p.x - 1.3 * p.turn
    along = (np.abs(x) - 1.3) / p.width  # 0 at the breast bone, 1 at the shoulder
    rise, bow = rng.uniform(0.8, 3.0) + rng.normal(0, 0.4) * np.sign(x), rng.uniform(0.3, 0.8)
    middle = rng.uniform(0.6, 2.6) - rise * along + bow * np.sin(2 * np.pi * along)
    steep = (2 * np.pi * bow * np.cos(2 * np.pi * along) - rise) / p.width
    radius = 0.5 + 0.2 * (2 * along - 1) ** 2
    return 1.6 * _hollow((p.y - middle) / np.sqrt(1 + steep**2), radius) * _step(along / 0.15) * _step(4 - 4 * along)


def _vessels(p: Patient, rng: np.random.Generator) -> Field:
    """Blood in the trees that branch outwards from the two hila, finer with each of five generations."""
    blood = np.zeros_like(p.x)
    stems = np.linspace(-1.25, 1.45, 11)
    angle = np.concatenate([stems, np.pi - stems]) + rng.normal(0, 0.12, 22)  # points are x + iy
    root = np.repeat([2.6, -2.6], 11) + 0.5 * p.turn + 0.46j * p.height + rng.normal(0, 0.45, (22, 2)) @ [1, 1j]
    length, radius = 0.15 * p.height, 0.33
    for _ in range(5):
        step = length / 40 * rng.uniform(0.7, 1.3, (len(root), 1)) * np.ones(40)
        bend = angle[:, None] + rng.normal(0, 0.35, (len(root), 1)) * np.linspace(0, 1, 40)
        points = root[:, None] + np.cumsum(step * np.exp(1j * bend), axis=1)
        framed = ((points + 10 * p.lean) / (1 - 1j * p.lean) + p.left + 1j * p.top) * p.scale + p.size / 2
        hit = (abs(framed.real - p.size / 2) < p.size / 2) & (abs(framed.imag - p.size / 2) < p.size / 2)
        ray = framed.imag[hit].astype(int) * p.size + framed.real[hit].astype(int)
        path = np.bincount(ray, math.pi * radius**2 * p.scale**2 * step[hit], p.x.size)  # volume over a ray's area
        blood += smooth(path.reshape(p.x.shape).astype(np.float32), p.size, 0.6 * radius / FRAME)
        angle = np.repeat(bend[:, -1], 2) + np.tile([-1, 1], len(root)) * rng.uniform(0.15, 0.6, 2 * len(root))
        root, length, radius = np.repeat(points[:, -1], 2), 0.84 * length, 0.74 * radius
    return blood


def _lesion(p: Patient, lung: Field, texture: Field, rng: np.random.Generator, difficulty: float) -> Field:
    """Path of lung filled with fluid: clusters of soft-edged opacities, mostly in the lower and middle zones."""
    severity = rng.uniform(0.65, 1.05) - 0.35 * (difficulty - 0.5)
    zone = np.exp(-(((p.y / p.height - 0.66) / 0.24) ** 2)) * np.maximum(lung - 2, 0)
    healthy = np.ones_like(lung)
    first = rng.choice([-1, 1])
    for side in (first, -first) if rng.uniform() < 0.35 * severity else (first,):
        odds = np.cumsum(zone * (side * p.x > 0.3 * p.width))
        spot = int(np.searchsorted(odds, rng.uniform(0.02, 0.98) * odds[-1]))
        for _ in range(rng.integers(3, 7)):
            dx, dy = p.x - p.x.flat[spot] - rng.normal(0, 1.3), p.y - p.y.flat[spot] - rng.normal(0, 1.6)
            wide, tall = rng.uniform(0.9, 2.2, 2).tolist()
            spread = 0.6 + 0.5 * severity
            healthy *= 1 - 0.7 * np.exp(-0.5 * ((dx / wide) ** 2 + (dy / tall) ** 2) / spread**2)
    return 0.85 * severity * lung * _step(((1 - healthy) * (1 + 0.35 * texture) - 0.12) / 0.9)


def _chord(distance: Field, radius: float | Field) -> Field:
    """Path through a ball or cylinder that the ray passes at `distance` from its middle."""
    return 2 * np.sqrt(np.maximum(radius**2 - distance**2, 0))


def _hollow(distance: Field, radius: float | Field) -> Field:
    """Path through a long bone, counting a quarter of the sparse bone within its compact wall."""
    return _chord(distance, radius) - 0.75 * _chord(distance, 0.72 * radius)


def _ellipsoid(dx: Field, dy: Field, axes: tuple[float, float, float], angle: float = 0.0) -> Field:
    """Path through an ellipsoid with half axes along x, y and z, the first two turned by `angle` in radians."""
    cos, sin = math.cos(angle), math.sin(angle)
    squared = ((cos * dx + sin * dy) / axes[0]) ** 2 + ((cos * dy - sin * dx) / axes[1]) ** 2
    return 2 * axes[2] * np.sqrt(np.maximum(1 - squared, 0))


def _off_axis(x: Field, y: Field, start: tuple[float, float], end: tuple[float, float]) -> Field:
    """Distance of each ray from the segment between two points."""
    ex, ey = end[0] - start[0], end[1] - start[1]
    along = np.clip(((x - start[0]) * ex + (y - start[1]) * ey) / (ex**2 + ey**2), 0, 1)
    return np.hypot(x - start[0] - along * ex, y - start[1] - along * ey)


def _step(t: Field) -> Field:
    """0 below 0, 1 above 1, smooth between."""
    t = np.clip(t, 0, 1)
    return t * t * (3 - 2 * t)


@lru_cache(maxsize=256)
def _weights(size: int, cells: int, sigma: float) -> Field:
    away = (np.arange(size)[:, None] + 0.5) / size - (np.arange(cells) + 0.5) / cells
    weights = np.exp(-0.5 * (away / sigma) ** 2)
    return (weights / weights.sum(axis=1, keepdims=True)).astype(np.float32)


def smooth(field: Field, size: int, sigma: float) -> Field:
    """`field` (or each of several) resampled to (size, size) through a Gaussian of `sigma`, in sides of the frame."""
    weights = _weights(size, field.shape[-1], sigma)
    return weights @ field @ weights.T
