"""What the course runs on and how much room it takes; asked before anything is downloaded.

The standard library alone, in words that Python 3.6 understands: also a Python that is too old is to read and say this.
"""

import platform
import sys

PYTHON_FIRST, PYTHON_LAST = (3, 11), (3, 14)
MACOS_FIRST = 14
MEMORY_GB = 2.5  # for the largest lesson, with simulated images
DOWNLOAD_GB, DISK_GB = 0.7, 2.2  # `make install`, with PyTorch without CUDA
CUDA_DOWNLOAD_GB, CUDA_DISK_GB = 3.2, 6.5  # the same with CUDA's libraries


def unsupported() -> str:
    """Why the course cannot run here, in one sentence; empty if it can."""
    first, last = (".".join(map(str, version)) for version in (PYTHON_FIRST, PYTHON_LAST))
    if not PYTHON_FIRST <= sys.version_info[:2] <= PYTHON_LAST:
        return (
            f"The course needs Python {first} to {last}, and this is {platform.python_version()}; "
            f"install one of those, and call it by name, such as: make lab PYTHON=python{last}"
        )
    if sys.platform != "darwin":
        return ""
    if platform.machine() != "arm64":
        return (
            f"PyTorch needs a Mac with Apple silicon, and this Python is built for {platform.machine()}; on such a Mac "
            "install the Python that is built for it, on an Intel Mac open the notebooks in Colab."
        )
    version = platform.mac_ver()[0]
    if int(version.split(".")[0]) < MACOS_FIRST:
        return f"PyTorch needs macOS {MACOS_FIRST} or newer, and this is {version}; update it, or use Colab."
    return ""
