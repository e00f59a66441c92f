"""How a lesson starts: which images, which device, and how long it takes."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeVar

import torch

from course_lib.data.chest_xray import find_chest_xray
from course_lib.runtime import pick_device, seed_everything

Choice = TypeVar("Choice")

LESSONS = {  # title; minutes on two cores with simulated radiographs, and with real ones
    1: ("CNN anatomy", 1, 1),
    2: ("Building PneumoniaCNN", 1, 1),
    3: ("Training on GPU (and on what you have)", 2, 8),
}


@dataclass(frozen=True)
class Profile:
    """What a lesson works with here: its images, its device, and so how much it can do.

    Attributes:
        source: "simulated" for small images and short trainings, "real" for the chest X-rays at full length.
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


def lesson_environment(source: str | None = None, root: Path | None = None) -> dict[str, str]:
    """The environment variables with which a lesson works on the images asked for.

    Args:
        source: "simulated", "real" or "auto". Default: "real" if a root is given, else what is set already.
        root: folder that holds real images.

    Raises:
        FileNotFoundError: no chest X-rays in `root`.
        ValueError: a root for simulated images.
    """
    if root is None:
        return {"COURSE_DATA": source} if source else {}
    if source == "simulated":
        raise ValueError(f"simulated images lie in no folder, but the root {root} was given; leave one of them out.")
    if find_chest_xray(root) is None:
        raise FileNotFoundError(f"{root}: no chest X-rays there; expected chest_xray/train/NORMAL/... below it.")
    return {"COURSE_DATA": "real", "COURSE_DATA_ROOT": str(root.resolve())}


def start_lesson(number: int) -> Profile:
    """Seed everything, decide what the lesson works with, and say so.

    Real chest X-rays are taken where they lie already, and simulated radiographs otherwise: a lesson never starts a
    download. `COURSE_DATA` (simulated, real or auto) decides otherwise, and `COURSE_DEVICE` names a device.

    Raises:
        FileNotFoundError: COURSE_DATA asks for real images, and there are none.
        ValueError: a lesson, a source or a device that is not known.
    """
    if number not in LESSONS:
        raise ValueError(f"lesson {number} is not known; the lessons are {', '.join(map(str, LESSONS))}.")
    asked = os.environ.get("COURSE_DATA", "auto")
    if asked not in ("auto", "real", "simulated"):
        raise ValueError(f"COURSE_DATA={asked!r} is not known; set it to simulated, real or auto.")
    found = None if asked == "simulated" else find_chest_xray()
    if asked == "real" and found is None:
        raise FileNotFoundError(
            "COURSE_DATA=real, but no chest X-rays are here; run `course data get chest_xray`, or name the folder that "
            "holds chest_xray/ in COURSE_DATA_ROOT."
        )
    seed_everything(0)
    profile = Profile("real" if found else "simulated", pick_device())
    title, *minutes = LESSONS[number]
    expected = profile.choose(simulated=minutes[0], real=minutes[1])
    print(f"Lesson {number}: {title}")
    print("data:    ", f"real chest X-rays in {found}" if found else "simulated radiographs, no patient's")
    print("device:  ", profile.device.type, "" if profile.device.type != "cpu" else "(a GPU is not needed)")
    print("profile: ", profile.choose(simulated="short trainings on small images", real="full length"))
    print(f"expected: about {expected} {'minute' if expected == 1 else 'minutes'} on two processor cores")
    return profile
