"""What this machine has, what is missing for the course, and how to mend it."""

import os
import platform
import shutil
from importlib.metadata import PackageNotFoundError, version

from course_lib.files import data_dir


def examine() -> tuple[str, bool]:
    """A page on this machine, and whether the course can run on it."""
    lines, healthy = [f"{'python':12} {platform.python_version()} on {platform.platform()}"], True
    for package in ("course-lib", "torch", "torchvision", "matplotlib", "jupyterlab", "ipywidgets"):
        try:
            lines.append(f"{package:12} {version(package)}")
        except PackageNotFoundError:
            healthy = False
            lines.append(f"{package:12} missing; mend it with: make install")
    if not healthy:
        return "\n".join(lines), healthy

    import torch

    from course_lib.data.chest_xray import find_chest_xray
    from course_lib.data.cifar10 import find_cifar10
    from course_lib.runtime import Precision, host, pick_device, unused_gpu

    device = pick_device()
    what = torch.cuda.get_device_name(device) if device.type == "cuda" else f"{os.cpu_count()} cores"
    lines.append(f"{'device':12} {device} ({what}), trains in {Precision.best(device).name}")
    if hint := unused_gpu(device):
        lines.append(f"{'gpu':12} {hint}")
    lines.append(f"{'place':12} {host()}")
    lines.append(f"{'memory':12} {_memory()}")
    place = data_dir()
    free = shutil.disk_usage(next(folder for folder in (place, *place.parents) if folder.exists())).free
    lines.append(f"{'data folder':12} {place} ({free / 1e9:.0f} GB free)")
    for name, found in (("chest_xray", find_chest_xray()), ("cifar10", find_cifar10(place))):
        lines.append(f"{name:12} {found or f'absent; the simulated images serve, or: course data get {name}'}")
    sandbox = shutil.which("bwrap") or "absent; teachers who grade need bubblewrap: apt-get install bubblewrap"
    lines.append(f"{'sandbox':12} {sandbox}")
    return "\n".join(lines), healthy


def _memory() -> str:
    try:
        return f"{os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 1e9:.0f} GB"
    except (AttributeError, ValueError):  # Windows has no sysconf
        return "not known on this system"
