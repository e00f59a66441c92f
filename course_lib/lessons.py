"""How a lesson starts: which images, which device, and how long it takes."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple, TypeVar

import torch

from course_lib.data import chest_xray, cifar10
from course_lib.files import as_path
from course_lib.runtime import host, keep_freed_memory, pick_device, seed_everything, unused_gpu

Choice = TypeVar("Choice")


class Images(NamedTuple):
    """What the lessons call a data set, real and simulated, and where it is looked for."""

    real: str
    simulated: str
    find: Callable[[Path | None], Path | None]
    name: str
    """For `course data get`."""
    folder: str
    kaggle: str
    """The data set to add on Kaggle."""


XRAYS = Images(
    "chest X-rays",
    "simulated radiographs, no patient's",
    chest_xray.find_chest_xray,
    "chest_xray",
    "chest_xray/",
    chest_xray.KAGGLE,
)
PHOTOS = Images(
    "CIFAR-10",
    "simulated objects, no photographs",
    cifar10.find_cifar10,
    "cifar10",
    "cifar10/ or its archive",
    cifar10.KAGGLE[0],
)


class Lesson(NamedTuple):
    """A lesson's title, the seconds that it computes on two cores with simulated and with real images, and its images.

    What is timed is `course run`: starting the kernel, and making simulated images for the first time, are included.
    """

    title: str
    seconds: int
    real_seconds: int
    images: tuple[Images, ...] = (XRAYS,)


# What README, the lessons' openings and `course doctor` say of times comes from here.
# Measured, and printed for pasting, by tests/benchmarks/lesson_times.py.
LESSONS = {
    1: Lesson("CNN anatomy", 14, 14),
    2: Lesson("Building PneumoniaCNN", 37, 18),
    3: Lesson("Training on GPU (and on what you have)", 83, 456),
    4: Lesson("CIFAR-10, ten times faster", 117, 480, (PHOTOS,)),
    5: Lesson("Transfer learning", 114, 552, (PHOTOS, XRAYS)),
    6: Lesson("Visualization", 102, 132),
}


def spoken(seconds: float) -> str:
    """A time for people.

    >>> spoken(83), spoken(456), spoken(480)
    ('83 s', '7.6 min', '8 min')
    """
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.2g} min"


def computing_time(lesson: Lesson) -> str:
    """What the opening of a lesson says of its time.

    >>> computing_time(LESSONS[2])
    'Computing takes 37 s on two cores (18 s with real images)'
    """
    real = "" if lesson.real_seconds == lesson.seconds else f" ({spoken(lesson.real_seconds)} with real images)"
    return f"Computing takes {spoken(lesson.seconds)} on two cores{real}"


@dataclass(frozen=True)
class Profile:
    """What a lesson works with here: its images, its device, and so how much it can do.

    Attributes:
        source: "simulated" for simulated images and short trainings, "real" for real ones at full length.
        device: where the networks compute.
    """

    source: Literal["simulated", "real"]
    device: torch.device

    def choose(self, *, simulated: Choice, real: Choice) -> Choice:
        """One of two sizes, such as a number of epochs, by the source of the images.

        >>> Profile("simulated", torch.device("cpu")).choose(simulated=3, real=12)
        3
        """
        return real if self.source == "real" else simulated


def lesson_environment(source: str | None = None, root: str | Path | None = None) -> dict[str, str]:
    """The environment variables with which a lesson works on the images asked for.

    Args:
        source: "simulated", "real" or "auto". Default: "real" if a root is given, else what is set already.
        root: folder that holds real images.

    Raises:
        FileNotFoundError: neither chest X-rays nor CIFAR-10 in `root`.
        ValueError: a root for simulated images.
    """
    if root is None:
        return {"COURSE_DATA": source} if source else {}
    root = as_path(root, "root")
    if source == "simulated":
        raise ValueError(f"simulated images lie in no folder, but the root {root} was given; leave one of them out.")
    if not any(images.find(root) for images in (XRAYS, PHOTOS)):
        raise FileNotFoundError(
            f"{root}: neither chest X-rays nor CIFAR-10 there; expected chest_xray/train/NORMAL/... or "
            "cifar10/train/airplane/... below it."
        )
    return {"COURSE_DATA": "real", "COURSE_DATA_ROOT": str(root.resolve())}


def start_lesson(number: int) -> Profile:
    """Seed everything, decide what the lesson works with, and say so.

    Real images are taken where they lie already, and simulated ones otherwise: a lesson never starts a download.
    `COURSE_DATA` (simulated, real or auto) decides otherwise, and `COURSE_DEVICE` names a device.

    Raises:
        FileNotFoundError: COURSE_DATA asks for real images, and there are none.
        ValueError: a lesson, a source or a device that is not known.
    """
    if number not in LESSONS:
        raise ValueError(f"lesson {number} is not known; the lessons are {', '.join(map(str, LESSONS))}.")
    asked = os.environ.get("COURSE_DATA", "auto")
    if asked not in ("auto", "real", "simulated"):
        raise ValueError(f"COURSE_DATA={asked!r} is not known; set it to simulated, real or auto.")
    lesson = LESSONS[number]
    found = {} if asked == "simulated" else {images: images.find(None) for images in lesson.images}
    absent = [images for images, place in found.items() if place is None]
    if asked == "real" and absent:
        raise FileNotFoundError(
            f"COURSE_DATA=real, but no {absent[0].real} are here; run `course data get {absent[0].name}`, or name the "
            f"folder that holds {absent[0].folder} in COURSE_DATA_ROOT."
        )
    seed_everything(0)
    keep_freed_memory()
    profile = Profile("real" if found and not absent else "simulated", pick_device())
    expected = profile.choose(simulated=lesson.seconds, real=lesson.real_seconds)
    where = "" if host() == "this machine" else f", on {host()}"
    if host() == "Kaggle" and absent:
        where += f" (real images: Add Input, {' and '.join(images.kaggle for images in absent)})"
    print(f"Lesson {number}: {lesson.title}{where}")
    for title, images in zip(("data:    ", "         "), lesson.images, strict=False):
        place = f"real {images.real} in {found.get(images)}"
        print(title, profile.choose(simulated=images.simulated, real=place))
    about = "a GPU is not needed" if profile.device.type == "cpu" else "results are alike from run to run, not the same"
    print("device:  ", profile.device.type, f"({unused_gpu(profile.device) or about})")
    print("profile: ", profile.choose(simulated="short trainings on small images", real="full length"))
    print(f"expected: {spoken(expected)} on two processor cores")
    return profile
