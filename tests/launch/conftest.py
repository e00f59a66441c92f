"""The course as it would be published, and wheels of what pip would fetch besides it."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from launch.host import ABSENT, needed_by, write_wheel

from course_lib.authoring.links import ROOT, address


@pytest.fixture(scope="session")
def course(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files that git knows, as they are now, and as they would be had nobody published them."""
    if shutil.which("git") is None or not (ROOT / ".git").exists():
        pytest.skip("the course is not in a git repository here, so that nothing says what would be published")
    folder = tmp_path_factory.mktemp("files") / "course"
    listed = subprocess.run(["git", "ls-files", "-co", "--exclude-standard"], cwd=ROOT, capture_output=True, text=True)
    for name in listed.stdout.splitlines():
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)
    if owner := address().owner:
        project = folder / "pyproject.toml"
        project.write_text(project.read_text().replace(f'owner = "{owner}"', 'owner = ""'))
        _course_links(folder)
    return folder


@pytest.fixture(scope="session")
def published(course: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same, published by `course links`, in a commit with the tag."""
    folder = shutil.copytree(course, tmp_path_factory.mktemp("published") / "course")
    _course_links(folder, "--owner", "ada-lovelace")
    for command in (["init", "-q"], ["add", "."], ["commit", "-q", "-m", "release"], ["tag", address().tag]):
        subprocess.run(["git", "-c", "user.name=a", "-c", "user.email=a@example.org", *command], cwd=folder, check=True)
    return folder


def _course_links(folder: Path, *options: str) -> None:
    command = [sys.executable, "-m", "course_lib", "links", *options]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="session")
def index(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Wheels of what hosts lack, and of what builds the course."""
    folder = tmp_path_factory.mktemp("index")
    for name in {*ABSENT, *needed_by("hatchling")}:
        write_wheel(folder, name, code=True)
    return folder
