"""What all tests share: no network, caches of their own, one thread, and a tiny data set in Kaggle's layout."""

import json
import os
import shutil
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from filelock import FileLock
from PIL import Image
from web_host import Host, hosts

from course_lib import fetch
from course_lib.data import ImageSet

LAUNCH = ("launch", "call")  # what a test of a launch has to tell, and when


def pytest_configure() -> None:
    torch.set_num_threads(1)  # two test processes on two cores: more threads would only get in each other's way


def pytest_terminal_summary(terminalreporter: "pytest.TerminalReporter") -> None:
    reports = [report for some in terminalreporter.stats.values() for report in some if hasattr(report, "duration")]
    told = [text for report in reports for name, text in report.user_properties if (name, report.when) == LAUNCH]
    if told:
        terminalreporter.section("launches")
        terminalreporter.write_line("\n".join(map(str, sorted(told))))
    spent: Counter[str] = Counter()
    for report in reports:
        spent[report.nodeid.partition("::")[0]] += report.duration
    if spent.total() > 60:
        terminalreporter.section("where the minutes went, of all processes together")
        rows = [*spent.most_common(20), ("all", spent.total())]
        terminalreporter.write_line("\n".join(f"{seconds / 60:6.1f}  {file}" for file, seconds in rows))


@pytest.fixture(scope="session", autouse=True)
def _simulated_data(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("COURSE_DATA", "simulated")
        patch.setenv("COURSE_DATA_DIR", str(tmp_path_factory.mktemp("course-data")))
        yield


@pytest.fixture(autouse=True)
def _empty_caches(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("COURSE_DATA_DIR", str(tmp_path / "course-data"))
    monkeypatch.setenv("KAGGLEHUB_CACHE", str(tmp_path / "kagglehub"))


@pytest.fixture
def serve() -> Iterator[Callable[..., Host]]:
    """Starts a web host of the given behavior."""
    with hosts() as start:
        yield start


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetch, "PATIENCE", 0.3)


@pytest.fixture(scope="session")
def real_data() -> Path:
    folder = os.environ.get("COURSE_REAL_DATA")
    if not folder:
        pytest.skip("the real images are not here; COURSE_REAL_DATA names the folder that holds chest_xray/")
    return Path(folder)


@pytest.fixture(scope="session")
def real_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder that the tests on real images share, so that they decode them once."""
    return tmp_path_factory.mktemp("real-cache")


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """The pages of the web site, in a folder of its own; the first of several processes builds it for all."""
    from course_lib.authoring.site import build_site

    root = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        root = root.parent
    built = root / "site.json"
    with FileLock(root / "site.lock"):  # which torch needs
        if not built.exists():
            (root / "site").mkdir()
            built.write_text(json.dumps([str(path) for path in build_site(root / "site" / "out")]))
    return [Path(path) for path in json.loads(built.read_text())]


def write_radiograph(path: Path, *, sick: bool, seed: int, mode: str = "L") -> None:
    """A gray noisy square; a bright blob in it when `sick`."""
    pixels = np.random.default_rng(seed).normal(90, 12, (48, 40))
    if sick:
        pixels[18:34, 10:24] += 90
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).convert(mode).save(path)


@pytest.fixture(scope="session")
def kaggle_images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """chest_xray/{train,test}/{NORMAL,PNEUMONIA}: 40 + 40 and 10 + 10 images, two of each patient."""
    root = tmp_path_factory.mktemp("kaggle")
    for split, count, first in (("train", 40, 0), ("test", 10, 500)):
        for index in range(first, first + count):
            patient, shot = index // 2, index % 2
            base = root / "chest_xray" / split
            write_radiograph(base / "NORMAL" / f"IM-{patient:04}-000{shot}.jpeg", sick=False, seed=index)
            write_radiograph(
                base / "PNEUMONIA" / f"person{patient}_virus_{index}.jpeg", sick=True, seed=index + 1000, mode="RGB"
            )
    return root


@pytest.fixture
def kaggle_root(kaggle_images: Path, tmp_path: Path) -> Path:
    """A copy of `kaggle_images`, for one test to use and to spoil."""
    return shutil.copytree(kaggle_images, tmp_path / "images")


@pytest.fixture
def make_set() -> Callable[..., ImageSet]:
    """Builds a set of `count` noise images; those of class 1 are brighter in one corner."""

    def make(count: int = 32, *, size: int = 16, channels: int = 1, num_classes: int = 2) -> ImageSet:
        generator = torch.Generator().manual_seed(0)
        images = torch.randint(0, 120, (count, channels, size, size), generator=generator, dtype=torch.uint8)
        labels = torch.arange(count) % num_classes
        images[labels == 1, :, : size // 2, : size // 2] += 100
        classes = tuple(f"class {number}" for number in range(num_classes))
        return ImageSet(images, labels, classes, tuple(map(str, range(count))), "noise", "none")

    return make
