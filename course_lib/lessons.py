"""How a lesson starts: which images, which device, and how long it takes."""

import os
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple, TypeVar

import torch

from course_lib.data.source import loader_of
from course_lib.data_sets import CHEST_XRAY, CIFAR10, DataSet
from course_lib.files import as_path
from course_lib.options import check_source
from course_lib.real_images import button, fetch, megabytes, show_widget, to_fetch
from course_lib.runtime import (
    host,
    keep_freed_memory,
    keep_profiler_quiet,
    pick_device,
    seed_everything,
    unused_gpu,
)

Choice = TypeVar("Choice")


class Lesson(NamedTuple):
    """A lesson's title, the seconds that it computes on two cores with simulated and with real images, and its images.

    What is timed is `course run`: starting the kernel, and making simulated images for the first time, are included.
    """

    title: str
    seconds: int
    real_seconds: int
    image_size: int
    """Of the largest X-rays that it loads, in pixels."""
    data_sets: tuple[DataSet, ...] = (CHEST_XRAY,)
    gains: bool = True
    """Whether real images are worth a download."""


# What README, the lessons' openings and `course doctor` say of times comes from here.
# Measured, and printed for pasting, by tests/benchmarks/lesson_times.py.
LESSONS = {
    1: Lesson("CNN anatomy", 20, 20, 128, gains=False),
    2: Lesson("Building PneumoniaCNN", 35, 30, 64),
    3: Lesson("Training on GPU (and on what you have)", 70, 684, 64),
    4: Lesson("CIFAR-10, ten times faster", 80, 770, 32, (CIFAR10,)),
    5: Lesson("Transfer learning", 61, 552, 96, (CIFAR10, CHEST_XRAY)),
    6: Lesson("Visualization", 72, 132, 96),
}
HOSTED = ("Colab", "Kaggle")
_started = (0, "")  # this kernel's lesson, and the source of its images


def format_seconds(seconds: float) -> str:
    """A time for people.

    >>> format_seconds(83), format_seconds(456), format_seconds(480)
    ('83 s', '7.6 min', '8 min')
    """
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.2g} min"


def computing_time(lesson: Lesson) -> str:
    """What the opening of a lesson says of its time.

    >>> computing_time(Lesson("Building PneumoniaCNN", 37, 18, image_size=64))
    'Computing takes 37 s on two cores (18 s with real images)'
    """
    real = "" if lesson.real_seconds == lesson.seconds else f" ({format_seconds(lesson.real_seconds)} with real images)"
    return f"Computing takes {format_seconds(lesson.seconds)} on two cores{real}"


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
    check_source(source, root)
    data_sets = dict.fromkeys(data_set for lesson in LESSONS.values() for data_set in lesson.data_sets)
    if not any(loader_of(data_set).find(root) for data_set in data_sets):
        titles, layouts = zip(*((data_set.real.title, data_set.layout) for data_set in data_sets), strict=True)
        raise FileNotFoundError(
            f"{root}: neither {' nor '.join(titles)} there; expected {', or '.join(layouts)} below it."
        )
    return {"COURSE_DATA": "real", "COURSE_DATA_ROOT": str(root.resolve())}


def start_lesson(number: int) -> Profile:
    """Seed everything, decide what the lesson works with, and say so.

    Real images are taken where they lie already. On Colab and Kaggle, a lesson that gains by them fetches them, if a
    host answers within 3 seconds; elsewhere it takes simulated ones, and says how to get real ones. `COURSE_DATA`
    (simulated, real or auto) decides otherwise, and `COURSE_DEVICE` names a device.

    Raises:
        FileNotFoundError: COURSE_DATA asks for real images, and there are none.
        ValueError: a lesson, a source or a device that is not known.
    """
    global _started
    lesson, source = _lesson(number), os.environ.get("COURSE_DATA", "auto")
    if source not in ("auto", "real", "simulated"):
        raise ValueError(f"COURSE_DATA={source!r} is not known; set it to simulated, real or auto.")
    print(f"Lesson {number}: {lesson.title}" + ("" if host() == "this machine" else f", on {host()}"))
    stock = _Stock() if source == "simulated" else _stock(lesson, fetches=lesson.gains or source == "real")
    if source == "real" and stock.absent:
        first, reason = stock.absent[0], f" ({stock.failure})" if stock.failure else ""
        raise FileNotFoundError(
            f"COURSE_DATA=real, but no {first.real.title} are here{reason}; call get_real_images({number}), run "
            f"`course data get {first.name}`, or name the folder that holds {first.layout} in COURSE_DATA_ROOT."
        )
    seed_everything(0)
    keep_freed_memory()
    keep_profiler_quiet()
    profile = Profile("real" if stock.paths and not stock.absent else "simulated", pick_device())
    _started = number, profile.source
    for title, data_set in zip(("data:    ", "         "), lesson.data_sets, strict=False):
        path = f"real {data_set.real.title} in {stock.paths.get(data_set)}"
        print(title, profile.choose(simulated=data_set.kind("simulated").title, real=path))
    download = None
    if stock.needed and lesson.gains:
        size = megabytes(stock.needed, lesson.image_size)
        if host() not in HOSTED:
            download = button(f"Get the real images ({size})", get_real_images)
        print(_filled(_how_to_get(stock, size, below=download is not None), " " * 10))
    note = "a GPU is not needed" if profile.device.type == "cpu" else "results are alike from run to run, not the same"
    print("device:  ", profile.device.type, f"({unused_gpu(profile.device) or note})")
    print("profile: ", profile.choose(simulated="short trainings on small images", real="full length"))
    expected = profile.choose(simulated=lesson.seconds, real=lesson.real_seconds)
    print(f"expected: {format_seconds(expected)} on two processor cores")
    if download:
        show_widget(download)
    return profile


def get_real_images(number: int | None = None) -> None:
    """Download what a lesson needs of real images, where it is not here yet, and say in a sentence what to do then.

    An interrupted download goes on where it stopped when this is called again.

    Args:
        number: of the lesson. Default: the one that was started in this kernel.

    Raises:
        ValueError: a lesson that is not known, or none given and none started.
    """
    number = number or _started[0]
    if not number:
        raise ValueError("get_real_images() was called before a lesson was started; give its number, such as 3.")
    lesson = _lesson(number)
    needed = to_fetch(lesson.data_sets, lesson.image_size)
    if failure := fetch(needed, lesson.image_size, patient=True):
        print(_filled(f"Not all of the real images are here: {failure}"))
        return
    if os.environ.get("COURSE_DATA") == "simulated":
        advice = "COURSE_DATA is set to simulated, so lessons leave them alone until you unset it."
    elif not needed and _started == (number, "real"):
        advice = "This lesson works on them."
    else:
        advice = "Restart the kernel and run all cells, and the lesson works on them."
    locations = " and ".join(
        f"{data_set.real.title} in {loader_of(data_set).find(None)}" for data_set in lesson.data_sets
    )
    print(_filled(f"{'Here are' if needed else 'Here already are'} real {locations}. {advice}"))


class _Stock(NamedTuple):
    """What a lesson has of real images: where each set lies, which it lacks or has too small, and why that is so."""

    paths: dict[DataSet, Path | None] = {}  # noqa: RUF012  # never written to
    needed: Sequence[DataSet] = ()
    failure: str = ""

    @property
    def absent(self) -> list[DataSet]:
        return [data_set for data_set, path in self.paths.items() if path is None]


def _stock(lesson: Lesson, *, fetches: bool) -> _Stock:
    """Look for real images, and on a host fetch what is wanting."""
    needed, failure = to_fetch(lesson.data_sets, lesson.image_size), ""
    if needed and fetches and host() in HOSTED:
        failure = fetch(needed, lesson.image_size, patient=False)
        needed = to_fetch(lesson.data_sets, lesson.image_size)
    return _Stock({data_set: loader_of(data_set).find(None) for data_set in lesson.data_sets}, needed, failure)


def _how_to_get(stock: _Stock, size: str, *, below: bool) -> str:
    """How to get the images that are wanting, and why they were not fetched."""
    call = "get_real_images(), or the button below," if below else "get_real_images()"
    how = f"{stock.failure}; {call} tries again" if stock.failure else f"{call} fetches them, {size}"
    add = f"; or Add Input, {' and '.join(data_set.kaggle for data_set in stock.needed)}" if host() == "Kaggle" else ""
    return f"{'real' if stock.absent else 'larger'} ones: {how}{add}"


def _lesson(number: int) -> Lesson:
    if number not in LESSONS:
        raise ValueError(f"lesson {number} is not known; the lessons are {', '.join(map(str, LESSONS))}.")
    return LESSONS[number]


def _filled(text: str, indent: str = "") -> str:
    """As wide as a page shows it."""
    return textwrap.fill(text, 100, initial_indent=indent, subsequent_indent=indent, break_long_words=False)
