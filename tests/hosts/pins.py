"""A host's versions as constraints for pip; torch and what comes with it stay those of requirements.lock.

Example: python tests/hosts/pins.py colab
"""

import re
import sys
import tomllib
from pathlib import Path

HERE = Path(__file__).parent
TORCH = ("torch", "torchvision", "triton", "setuptools")
NEEDS_PYTHON_312 = ("tifffile",)


def pins(host: str) -> list[str]:
    packages = tomllib.loads((HERE / f"{host}.toml").read_text())["packages"]
    lock = (HERE.parents[1] / "requirements.lock").read_text()
    return [
        f"{name}=={version}" + ('; python_version >= "3.12"' if name in NEEDS_PYTHON_312 else "")
        for name, version in packages.items()
        if name not in TORCH
    ] + re.findall(rf"^(?:{'|'.join(TORCH)})==.+", lock, re.MULTILINE)


if __name__ == "__main__":
    print(*pins(sys.argv[1]), sep="\n")
