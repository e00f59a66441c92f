"""What this machine has, what is missing for the course, and how to mend it."""

import os
import platform
import shutil
import socket
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement

from course_lib.data_sets import DATA_SETS, DataSet
from course_lib.extras import NEEDS, how_to_install
from course_lib.files import data_dir
from course_lib.supported import MEMORY_GB, unsupported

GITHUB = ("github.com", 443)  # where a host fetches the course from
PATIENCE_S = 3


def examine() -> tuple[str, bool]:
    """A page on this machine, and whether the course can run on it."""
    lines = [("system", f"Python {platform.python_version()} on {platform.platform(terse=True)}")]
    if problem := unsupported():
        return f"{lines[0][1]}\n{problem}", False
    if problems := missing_packages("lessons"):
        lines += [("packages", problem) for problem in problems]
        lines.append(("mend", how_to_install("notebooks")))
    else:
        versions = (f"{name} {metadata.version(name)}" for name in ("course-lib", "torch", "torchvision"))
        lines += [("packages", ", ".join(versions) + "; no lesson lacks anything"), *_extras(), *_machine()]
    return "\n".join(f"{name:13} {text}" for name, text in lines), not problems


def missing_packages(extra: str) -> list[str]:
    """What the course with an extra needs and is not installed, or older than the course asks for."""
    problems = []
    for requirement in map(Requirement, metadata.requires("course-lib") or ()):
        marker = requirement.marker
        if marker and not marker.evaluate({"extra": extra}):
            continue
        try:
            installed = metadata.version(requirement.name)
        except metadata.PackageNotFoundError:
            problems.append(f"{requirement.name} is missing")
        else:
            if not requirement.specifier.contains(installed, prereleases=True):
                problems.append(f"{requirement.name} {installed} is too old, {requirement.specifier} is needed")
    return problems


def _extras() -> list[tuple[str, str]]:
    """A line for each set of commands that need more than the lessons do: that they work here, or how to make them."""
    lines = []
    for extras in dict.fromkeys(NEEDS.values()):
        commands = "course " + ", ".join(command for command, needed in NEEDS.items() if needed == extras)
        missing = [problem for extra in extras.split(",") for problem in missing_packages(extra)]
        verdict = f"{missing[0]}; run: {how_to_install(extras)}" if missing else "can be used"
        lines.append(("commands", f"{commands}: {verdict}"))
    return lines


def _machine() -> list[tuple[str, str]]:
    import psutil
    import torch

    from course_lib.data.source import loader_of
    from course_lib.lessons import LESSONS, format_seconds
    from course_lib.runtime import Precision, host, pick_device, unused_gpu

    device = pick_device()
    repeats = "repeats itself" if device.type == "cpu" else "comes out alike, not the same"
    gpu = torch.cuda.get_device_name(device) if device.type == "cuda" else "Apple's" if device.type == "mps" else ""
    memory, data_folder = psutil.virtual_memory(), data_dir()
    enough = "" if memory.available > MEMORY_GB * 1e9 else ", which is too little: close other programs"
    disk = shutil.disk_usage(next(folder for folder in (data_folder, *data_folder.parents) if folder.exists()))
    all_lessons = format_seconds(sum(lesson.seconds for lesson in LESSONS.values()))
    return [
        ("place", f"{host()}, the course is in {Path(__file__).parents[1]}"),
        ("device", f"{device}, trains in {Precision.best(device).name}; a run with the same seed {repeats}"),
        ("GPU", gpu or unused_gpu(device) or "none, and none is needed"),
        ("processor", f"{os.cpu_count()} cores; all lessons take {all_lessons} on two, with simulated images"),
        (
            "memory",
            f"{memory.total / 1e9:.0f} GB, {memory.available / 1e9:.1f} GB free{enough}; lessons need {MEMORY_GB} GB",
        ),
        ("data folder", f"{data_folder}, {disk.free / 1e9:.0f} GB free"),
        *(
            (data_set.name, str(loader_of(data_set).find(None) or _how_to_get(data_set)))
            for data_set in DATA_SETS.values()
        ),
        ("network", _network()),
        ("sandbox", shutil.which("bwrap") or "absent; teachers who grade need bubblewrap: apt-get install bubblewrap"),
    ]


def _how_to_get(data_set: DataSet) -> str:
    alternative = "simulated images serve, or: " if data_set.simulated else ""
    return f"absent; {alternative}course data get {data_set.name}"


def _network() -> str:
    try:
        socket.create_connection(GITHUB, timeout=PATIENCE_S).close()
    except OSError:
        return f"{GITHUB[0]} does not answer; the lessons do without it, `course data get` and other backbones do not"
    return f"{GITHUB[0]} answers"
