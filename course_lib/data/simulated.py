"""Chest radiographs computed from physics: nobody's data, and the truth about each picture is known.

`phantom` gives the path of each ray through soft tissue, lung and bone; here the beam is weakened along it, detected,
and shown as a radiograph is shown. Attenuation comes from published tables.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from course_lib.data.images import ImageSet
from course_lib.data.phantom import PARTS, Field, Patient, smooth, tissue_paths
from course_lib.progress import watched

SUPERSAMPLE = 2  # rays along one side of a pixel, averaged
MASK_SHARE = 0.3  # of the lesion's peak attenuation; a fainter edge counts as healthy

ENERGIES = (40.0, 60.0, 80.0)  # keV
ATTENUATION = {  # per cm, at these energies; lung as it is inflated, at a quarter of its solid density
    "soft": (0.285, 0.217, 0.193),
    "lung": (0.070, 0.053, 0.047),
    "bone": (1.278, 0.604, 0.428),
}


def transmission(paths: Mapping[str, Field], *, energy: float = 60.0) -> Field:
    """Share of the beam that reaches the detector: exp(-sum of attenuation times path), the law of Beer and Lambert.

    `paths` holds the cm of "soft", "lung" and "bone" along each ray; `energy` is the beam's, effective, 40 to 80 keV.

    Source: Hubbell and Seltzer, NIST Standard Reference Database 126, mass attenuation of the ICRU-44 materials.

    >>> float(transmission({"soft": np.array([10.0])}).round(3)[0])
    0.114
    """
    depths = [float(np.interp(energy, ENERGIES, ATTENUATION[tissue])) * path for tissue, path in paths.items()]
    return np.exp(-sum(depths, np.zeros_like(depths[0])))


def marker_box(image_size: int) -> tuple[slice, slice]:
    """Rows and columns, near the upper right corner, that hold every hospital marker."""
    side, edge = max(6, round(0.15 * image_size)), round(0.03 * image_size)
    return slice(edge, edge + side), slice(image_size - edge - side, image_size - edge)


def patients(num_images: int, seed: int) -> tuple[str, ...]:
    """The groups of `simulate_radiographs`: each image is of a patient of its own."""
    return tuple(f"simulated-{seed}-{i}" for i in range(num_images))


def simulate_radiographs(
    num_images: int,
    *,
    image_size: int = 64,
    seed: int = 0,
    prevalence: float = 0.5,
    difficulty: float = 0.5,
    marker_rates: tuple[float, float] = (0.0, 0.0),
    leave_out: str | None = None,
) -> ImageSet:
    """Frontal chest radiographs of simulated patients, one image each, with the mask of each pneumonia.

    Images are uint8 (N, 1, S, S) with bone white; `round(prevalence * num_images)` of the labels are PNEUMONIA.
    `difficulty` runs from 0 to 1: opacities become fainter and smaller, healthy distractors stronger. `marker_rates`
    are the shares of NORMAL and of PNEUMONIA images that carry a bright letter inside `marker_box`; they change
    nothing else. Equal arguments give equal images. Patient i of a seed keeps the anatomy at every image size, and
    prevalence 0 and 1 show the same patients in health and in disease.

    `leave_out` shows what each picture would have been without one part, all else equal to the last photon: without
    "opacities", "left opacities" or "right opacities" (the patient's left, which is on the right), "rib" (one, on both
    sides) or "marker". Breath, beam, noise, window and gray scale stay those of the picture with it, labels as well;
    the masks are those of the opacities that are left. Who has no such part looks the same, bit by bit.

    Raises:
        ValueError: an argument lies outside its range, or `leave_out` names no part.

    >>> simulate_radiographs(8, image_size=32, prevalence=0.25).counts()
    {'NORMAL': 6, 'PNEUMONIA': 2}
    """
    _check(num_images, image_size, seed, difficulty)
    if len(marker_rates) != 2:
        raise ValueError(f"marker_rates must be two fractions, got {marker_rates}; give (in NORMAL, in PNEUMONIA).")
    _check_shares(("prevalence", prevalence), *(("marker_rates", rate) for rate in marker_rates))
    if leave_out not in (None, "marker", *PARTS):
        raise ValueError(f"leave_out={leave_out!r} is no part of a picture; choose one of {', '.join(PARTS)}, marker.")
    without = ("",) if leave_out in (None, "marker") else ("", str(leave_out))
    labels = np.zeros(num_images, dtype=np.int64)
    labels[: round(prevalence * num_images)] = 1
    np.random.default_rng(seed).shuffle(labels)
    images = np.empty((num_images, 1, image_size, image_size), dtype=np.uint8)
    masks = np.zeros(images.shape, dtype=bool)
    for i, label in enumerate(watched(labels.tolist(), num_images, "simulating radiographs", "images")):
        states = [(bool(label), part) for part in without]
        pictures, lesions = _radiographs(seed, i, image_size, states, difficulty=difficulty)
        images[i], masks[i] = pictures[-1], lesions[-1]
        planting = _stream(seed, i, 2)
        if planting.uniform() < marker_rates[label] and leave_out != "marker":
            _plant_marker(images[i, 0], planting)
    return _image_set(images, labels, masks, patients(num_images, seed))


def twins(seed: int, image_size: int = 64, *, difficulty: float = 0.5) -> ImageSet:
    """One simulated patient twice, NORMAL and then PNEUMONIA; in nothing but the opacities do the two differ.

    Breath, stance, beam, photon noise and gray scale are the same, and so are the pixels that no opacity reaches. Near
    one, scattered rays and blur carry its shadow beyond the mask. The healthy image is the one of
    `simulate_radiographs(1, seed=seed, prevalence=0)`, whose arguments these are.

    Raises:
        ValueError: an argument lies outside its range.

    >>> twins(3).counts()
    {'NORMAL': 1, 'PNEUMONIA': 1}
    """
    _check(1, image_size, seed, difficulty)
    images, masks = _radiographs(seed, 0, image_size, [(False, ""), (True, "")], difficulty=difficulty)
    return _image_set(images[:, None], np.array([0, 1]), masks[:, None], 2 * patients(1, seed))


def _check(num_images: int, image_size: int, seed: int, difficulty: float) -> None:
    """Refuse what no simulation can take."""
    for name, number, least in (("num_images", num_images, 1), ("image_size", image_size, 16), ("seed", seed, 0)):
        if number < least:
            raise ValueError(f"{name} must be {least} or more, got {number}; ask for {name}={least} at least.")
    _check_shares(("difficulty", difficulty))


def _check_shares(*shares: tuple[str, float]) -> None:
    for name, share in shares:
        if not 0 <= share <= 1:
            raise ValueError(f"{name} must lie between 0 and 1, got {share}; write 30 percent as 0.3.")


def _image_set(images: NDArray[Any], labels: NDArray[Any], masks: NDArray[Any], groups: tuple[str, ...]) -> ImageSet:
    return ImageSet(
        images=torch.from_numpy(images),
        labels=torch.from_numpy(labels),
        classes=("NORMAL", "PNEUMONIA"),
        groups=groups,
        name="simulated chest radiographs",
        license="CC0: simulated, no patient",
        masks=torch.from_numpy(masks),
    )


def _stream(seed: int, patient: int, number: int) -> np.random.Generator:
    """Random numbers for one purpose, so that a letter or a photon more leaves the patient unchanged."""
    return np.random.default_rng([seed, patient, number])


def _radiographs(
    seed: int, number: int, image_size: int, states: Sequence[tuple[bool, str]], *, difficulty: float
) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """One patient under one exposure, in each of some states, (sick, without what): images and masks (N, S, S)."""
    physics = _stream(seed, number, 1)
    energy = physics.uniform(48, 70)
    rays = np.empty((2, len(states), image_size * SUPERSAMPLE, image_size * SUPERSAMPLE), dtype=np.float32)
    for i, (sick, without) in enumerate(states):
        anatomy = _stream(seed, number, 0)
        patient = Patient(anatomy, image_size * SUPERSAMPLE)
        paths, rays[1, i] = tissue_paths(patient, anatomy, sick=sick, difficulty=difficulty, without=without)
        rays[0, i] = transmission(paths, energy=energy)
    pixels = rays.reshape(2, len(states), image_size, SUPERSAMPLE, image_size, SUPERSAMPLE)
    beams, lesions = pixels.mean(axis=(3, 5))
    return _expose(beams, physics), lesions > np.maximum(MASK_SHARE * lesions.max(axis=(1, 2), keepdims=True), 1e-6)


def _expose(beams: Field, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Pictures of beams (N, S, S): scatter, blur, photon noise, logarithm, the first one's window, collimator."""
    size = beams.shape[-1]
    across, down, veil, blur = rng.normal(0, 0.12), rng.normal(0, 0.08), rng.uniform(0.05, 0.3), rng.uniform(0.35, 0.7)
    low, reach, gamma, dose = rng.uniform(0.3, 0.85), rng.uniform(1, 1.15), rng.uniform(0.85, 1.3), rng.uniform(1.5, 6)
    edges = rng.uniform(0, size / 16, 4) * (rng.uniform(size=4) < 0.3)
    ramp = np.linspace(-1, 1, size, dtype=np.float32)
    beams = beams * (1 + across * ramp + down * ramp[:, None])
    beams = smooth((1 - veil) * beams + veil * smooth(beams, size, 0.1), size, round(blur, 2) / size)
    photons = 1e4 * dose * beams
    # At these counts Poisson's law is a normal one; drawn as such, rounding on another processor moves no other pixel.
    photons += np.sqrt(photons) * rng.standard_normal((size, size), dtype=np.float32)
    depths = -np.log(np.maximum(photons / photons[0].max(), 1e-5))
    high = reach * float(np.quantile(depths[0][:, size // 8 : -size // 8], 0.99))
    shown = np.clip((depths - low) / (high - low), 0, 1) ** gamma
    top, bottom, left, right = edges.astype(int)
    pictures = np.zeros(beams.shape, dtype=np.uint8)
    lit = (slice(None), slice(top, size - bottom), slice(left, size - right))
    pictures[lit] = np.round(255 * shown[lit])
    return pictures


def _plant_marker(picture: NDArray[np.uint8], rng: np.random.Generator) -> None:
    """Draw a bright L, as technicians put it on the patient's left, somewhere inside `marker_box`."""
    box = picture[marker_box(len(picture))]
    tall, wide, stroke = round(0.7 * len(box)), round(0.5 * len(box)), max(1, round(0.17 * len(box)))
    top, left = rng.integers(0, len(box) - tall + 1), rng.integers(0, len(box) - wide + 1)
    box[top : top + tall, left : left + stroke] = 250
    box[top + tall - stroke : top + tall, left : left + wide] = 250
