"""One call leads from an empty folder to real images, on a host by itself; whatever goes wrong, the lesson runs."""

import hashlib
import io
import os
import pickle
import re
import shutil
import socket
import tarfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from web_host import NOBODY, Host

from course_lib import fetch
from course_lib.data import chest_xray, cifar10, load_chest_xray, load_cifar10
from course_lib.lessons import LESSONS, get_real_images, start_lesson
from course_lib.real_images import button

GAIN = [number for number in LESSONS if number > 1]
Hosts = dict[str, Host]


def mnist(size: int) -> bytes:
    """A file in MedMNIST's layout."""
    generator, arrays = np.random.default_rng(size), {}
    for split, count in (("train", 12), ("val", 4), ("test", 6)):
        arrays[f"{split}_images"] = generator.integers(0, 255, (count, size, size), dtype=np.uint8)
        arrays[f"{split}_labels"] = (np.arange(count) % 2)[:, None].astype(np.uint8)
    np.savez(file := io.BytesIO(), **arrays)
    return file.getvalue()


def cifar() -> bytes:
    """An archive in the layout of Toronto's, 20 images a batch."""
    generator, file = np.random.default_rng(0), io.BytesIO()
    with tarfile.open(fileobj=file, mode="w:gz") as tar:
        for name in (*(f"data_batch_{number}" for number in range(1, 6)), "test_batch"):
            pixels = generator.integers(0, 256, (20, 3072), dtype=np.uint8)
            content = pickle.dumps({b"data": pixels, b"labels": [index % 10 for index in range(20)]}, protocol=2)
            member = tarfile.TarInfo(f"cifar-10-batches-py/{name}")
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return file.getvalue()


@pytest.fixture(autouse=True)
def _on_a_machine_of_ones_own(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("COURSE_DATA")
    monkeypatch.setattr("course_lib.data.source.KAGGLE_INPUT", tmp_path / "input")
    monkeypatch.setattr("course_lib.lessons._started", (0, ""))


@pytest.fixture
def publish(monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str, bytes], None]:
    """Makes an address and content those of a published file, by the file's name."""

    def change(name: str, url: str, content: bytes) -> None:
        known = {"urls": (url,), "checksum": "md5:" + hashlib.md5(content, usedforsecurity=False).hexdigest()}
        if name == "cifar":
            monkeypatch.setattr(cifar10, "ARCHIVE", replace(cifar10.ARCHIVE, **known))
        else:
            remote = replace(chest_xray.PNEUMONIA_MNIST[int(name)], **known)
            monkeypatch.setitem(chest_xray.PNEUMONIA_MNIST, int(name), remote)

    return change


@pytest.fixture
def web(serve: Callable[..., Host], publish: Callable[[str, str, bytes], None]) -> Hosts:
    """The hosts that the lessons fetch from."""
    contents = {"64": mnist(64), "128": mnist(128), "cifar": cifar()}
    started = {name: serve(content=content) for name, content in contents.items()}
    for name, content in contents.items():
        publish(name, started[name].url, content)
    return started


@pytest.fixture(params=["Colab", "Kaggle"])
def hosted(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setattr("course_lib.lessons.host", lambda: request.param)
    return request.param


def expect_real_images(number: int) -> None:
    assert start_lesson(number).source == "real"
    if number != 4:
        splits = load_chest_xray("real", image_size=LESSONS[number].image_size)
        assert [len(part) for part in (splits.train, splits.val, splits.test)] == [12, 4, 6]
        assert splits.train.name == "chest X-rays"
    if number in (4, 5):
        splits = load_cifar10("real")
        assert [len(part) for part in (splits.train, splits.val, splits.test)] == [90, 10, 20]


def arrived() -> list[str]:
    folder = Path(os.environ["COURSE_DATA_DIR"]) / "downloads"
    return sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []


def printed(capsys: pytest.CaptureFixture[str]) -> str:
    """What was printed, on one line: where lines are broken depends on the length of the folder's name."""
    return " ".join(capsys.readouterr().out.split())


def asked(web: Hosts) -> list[str]:
    return [name for name, host in web.items() if host.asked]


@pytest.mark.parametrize("number", GAIN)
def test_one_call_leads_to_the_real_images_of_the_lesson(
    number: int, web: Hosts, capsys: pytest.CaptureFixture[str]
) -> None:
    assert start_lesson(number).source == "simulated"
    assert asked(web) == []  # on a machine of one's own nothing is downloaded unasked
    wanted = {2: ["64"], 3: ["64"], 4: ["cifar"], 5: ["128", "cifar"]}.get(number, ["128"])
    megabytes = round(sum({"64": 20.6, "128": 75.5, "cifar": 170.5}[name] for name in wanted))
    assert f"real ones: get_real_images() fetches them, {megabytes} MB" in printed(capsys)
    get_real_images()
    assert "Restart the kernel and run all cells, and the lesson works on them." in printed(capsys)
    assert asked(web) == wanted
    expect_real_images(number)
    capsys.readouterr()
    get_real_images()
    assert re.match(r"Here already are real .* This lesson works on them\.", printed(capsys))
    assert all(len(web[name].asked) == 1 for name in wanted)


@pytest.mark.parametrize("number", LESSONS)
def test_on_a_host_a_lesson_that_gains_by_real_images_fetches_them_by_itself(
    number: int, hosted: str, web: Hosts, capsys: pytest.CaptureFixture[str]
) -> None:
    if number in GAIN:
        expect_real_images(number)
        assert f", on {hosted} Fetching " in printed(capsys)
    else:
        assert start_lesson(number).source == "simulated"
        assert asked(web) == []


def test_what_kaggle_mounts_comes_before_a_download(
    kaggle_root: Path, tmp_path: Path, web: Hosts, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("course_lib.lessons.host", lambda: "Kaggle")
    shutil.copytree(kaggle_root, tmp_path / "input" / "datasets" / chest_xray.KAGGLE)
    assert start_lesson(3).source == "real"
    assert asked(web) == []


@pytest.mark.usefixtures("hosted")
def test_simulated_images_asked_for_are_not_put_aside_by_a_download(
    web: Hosts, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COURSE_DATA", "simulated")
    assert start_lesson(2).source == "simulated"
    assert "real" not in printed(capsys).replace("no real patient", "")
    assert asked(web) == []
    get_real_images()
    assert "COURSE_DATA is set to simulated" in printed(capsys)


@pytest.mark.usefixtures("hosted")
def test_real_images_asked_for_are_fetched_on_a_host_and_else_an_error_with_the_reason(
    web: Hosts, publish: Callable[[str, str, bytes], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COURSE_DATA", "real")
    assert start_lesson(1).source == "real"
    assert asked(web) == ["128"]
    publish("cifar", NOBODY, b"")
    with pytest.raises(FileNotFoundError, match=r"no CIFAR-10 are here \(no host answers\); call get_real_images\(4\)"):
        start_lesson(4)


@pytest.fixture
def silent() -> Iterator[str]:
    """The address of a host that connects, and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"http://127.0.0.1:{server.getsockname()[1]}/x"


@pytest.mark.usefixtures("hosted", "impatient")
@pytest.mark.parametrize(
    ("behavior", "reason"),
    [
        ({"status": 404}, "no host answers"),
        ({"content": b"sign in first"}, r"pneumoniamnist_64\.npz: every host sent other bytes .*, none is kept"),
        ({"cut_after": 999, "later_status": 503}, r"pneumoniamnist_64\.npz: cannot be downloaded .* status 503\)"),
        ({"pause": 60}, r"pneumoniamnist_64\.npz: cannot be downloaded \(127\.0\.0\.1:\d+: \w+Error\)"),
        ({"pause": 0.03}, r"pneumoniamnist_64\.npz: cannot be downloaded \(127\.0\.0\.1:\d+: only \d+ kB/s\)"),
    ],
)
def test_a_download_that_fails_leaves_a_lesson_on_simulated_images_with_the_reason(
    behavior: dict[str, object],
    reason: str,
    serve: Callable[..., Host],
    publish: Callable[[str, str, bytes], None],
    capsys: pytest.CaptureFixture[str],
) -> None:
    content = mnist(64)
    publish("64", serve(**({"content": content} | behavior)).url, content)
    assert start_lesson(2).source == "simulated"
    line = re.search(r"data: +simulated .*\n(( {10}.*\n)+)device:", capsys.readouterr().out)
    assert line
    assert re.match(rf"real ones: {reason}; get_real_images\(\) tries again", " ".join(line[1].split()))
    assert set(arrived()) <= {".pneumoniamnist_64.npz.part"}
    assert chest_xray.find_chest_xray() is None


@pytest.mark.usefixtures("hosted")
def test_a_host_that_connects_and_is_silent_is_waited_for_three_seconds_in_all(
    silent: str,
    publish: Callable[[str, str, bytes], None],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    publish("128", silent, b"")
    publish("cifar", silent, b"")
    clock, waits = [0.0], []

    class Silence(fetch.queue.SimpleQueue):  # type: ignore[type-arg,name-defined]
        def get(self, block: bool = True, timeout: float | None = None) -> object:
            waits.append(timeout)
            clock[0] += timeout or 0
            raise fetch.queue.Empty

    monkeypatch.setattr(fetch.time, "monotonic", lambda: clock[0])
    monkeypatch.setattr(fetch.queue, "SimpleQueue", Silence)
    assert start_lesson(5).source == "simulated"
    assert "real ones: no host answers; get_real_images() tries again" in printed(capsys)
    assert waits == [3]
    assert arrived() == []


@pytest.mark.usefixtures("hosted")
@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full, a disk that is always full")
def test_a_full_disk_is_the_reason(web: Hosts, capsys: pytest.CaptureFixture[str]) -> None:
    folder = Path(os.environ["COURSE_DATA_DIR"]) / "downloads"
    folder.mkdir(parents=True)
    (folder / ".pneumoniamnist_64.npz.part").symlink_to("/dev/full")
    assert start_lesson(2).source == "simulated"
    assert "cannot be written (No space left on device)" in printed(capsys)


def test_what_is_stopped_goes_on_where_it_was(
    web: Hosts, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class Stopped(fetch.tqdm):  # type: ignore[type-arg,name-defined]
        def update(self, n: float | None = 1) -> bool | None:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(fetch, "tqdm", Stopped)
        get_real_images(2)
        assert "Not all of the real images are here: the download was stopped" in printed(capsys)
        patch.setattr("course_lib.lessons.host", lambda: "Colab")
        assert start_lesson(2).source == "simulated"
        assert "real ones: the download was stopped" in printed(capsys)
    get_real_images()
    assert [one is not None for one in web["64"].asked] == [False, True, True]
    expect_real_images(2)


def test_a_smaller_file_serves_until_a_larger_one_is_fetched(web: Hosts, capsys: pytest.CaptureFixture[str]) -> None:
    get_real_images(2)
    capsys.readouterr()
    assert start_lesson(6).source == "real"
    assert "larger ones: get_real_images() fetches them, 76 MB" in printed(capsys)
    get_real_images()
    assert arrived() == ["pneumoniamnist_128.npz", "pneumoniamnist_64.npz"]
    assert start_lesson(6).source == "real"
    assert "get_real_images" not in printed(capsys)


def test_where_no_lesson_was_started_the_call_wants_its_number() -> None:
    with pytest.raises(ValueError, match="before a lesson was started; give its number, such as 3"):
        get_real_images()
    with pytest.raises(ValueError, match="lesson 9 is not known"):
        get_real_images(9)


def test_outside_of_a_notebook_there_is_no_button() -> None:
    assert button("anything", get_real_images) is None
