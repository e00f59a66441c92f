"""Fashion-MNIST: its files against torchvision's own reader, and through training by the command."""

import gzip
import hashlib
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from torchvision.datasets import FashionMNIST
from web_host import Host

from course_lib.cli import main
from course_lib.data import load_fashion_mnist
from course_lib.data.fashion_mnist import CLASSES, FILES, find_fashion_mnist
from course_lib.fetch import Remote


def write_idx(path: Path, values: NDArray[np.uint8]) -> None:
    """Two zeros, 8 for unsigned bytes, the number of axes; each axis in four bytes, the highest first; the bytes."""
    head = bytes([0, 0, 8, values.ndim]) + b"".join(length.to_bytes(4, "big") for length in values.shape)
    path.write_bytes(head + values.tobytes())


@pytest.fixture
def raw(tmp_path: Path) -> Path:
    """As torchvision unpacks the files: 20 noisy images of each class to train and 2 to test, each class in a shade."""
    folder, draw = tmp_path / "images" / "FashionMNIST" / "raw", np.random.default_rng(0)
    folder.mkdir(parents=True)
    for split, count in (("train", 200), ("test", 20)):
        labels = (np.arange(count) % 10).astype(np.uint8)
        pixels = draw.integers(0, 40, (count, 28, 28), dtype=np.uint8) + 21 * labels[:, None, None]
        for name, values in zip(FILES[split], (pixels, labels), strict=True):
            write_idx(folder / name, values)
    return folder


def pack(folder: Path) -> None:
    for path in list(folder.iterdir()):
        path.with_name(f"{path.name}.gz").write_bytes(gzip.compress(path.read_bytes()))
        path.unlink()


@pytest.mark.parametrize("packed", [False, True])
def test_the_files_are_read_as_torchvision_reads_them(raw: Path, packed: bool) -> None:
    theirs = {split: FashionMNIST(raw.parents[1], train=split == "train") for split in FILES}
    if packed:
        pack(raw)
    splits = load_fashion_mnist(root=raw.parents[1])
    assert (splits.path, splits.has_test) == (raw, True)
    assert splits.test.classes == tuple(theirs["test"].classes)
    assert torch.equal(splits.test.images[:, 0], theirs["test"].data)
    assert torch.equal(splits.test.labels, theirs["test"].targets)
    assert (len(splits.train), splits.val.counts()) == (180, dict.fromkeys(CLASSES, 2))
    places = [int(group.partition("-")[2]) for group in (*splits.train.groups, *splits.val.groups)]
    assert sorted(places) == list(range(200))
    assert torch.equal(torch.cat([splits.train.images, splits.val.images])[:, 0], theirs["train"].data[places])
    assert torch.equal(torch.cat([splits.train.labels, splits.val.labels]), theirs["train"].targets[places])


def test_other_sets_with_files_of_these_names_are_not_taken_for_it(raw: Path) -> None:
    root = raw.parents[1]
    raw.parent.rename(root / "MNIST")  # torchvision's, and KMNIST's and QMNIST's
    assert find_fashion_mnist(root) is None
    assert find_fashion_mnist(root / "MNIST" / "raw") == root / "MNIST" / "raw"  # unless it is named


@pytest.mark.parametrize(
    ("name", "change", "said"),
    [
        ("t10k-images-idx3-ubyte", lambda content: content[:-1], r"got 15695 bytes that begin with 00000803"),
        ("t10k-images-idx3-ubyte", lambda content: b"<html>", r"along 3 axes in IDX format expected, got 6 bytes"),
        ("t10k-labels-idx1-ubyte", lambda content: b"", r"along 1 axes in IDX format expected, got 0 bytes"),
        ("t10k-labels-idx1-ubyte", lambda content: content[:-1] + b"\x0a", r"20 labels from 0 to 10; fetch all four"),
        (
            "t10k-labels-idx1-ubyte",
            lambda content: content[:7] + b"\x13" + content[9:],
            r"got \(20, 28, 28\) and 19 labels",
        ),
        ("t10k-images-idx3-ubyte.gz", lambda _: gzip.compress(b"pixels")[:-9], r"ubyte\.gz: cannot be unpacked"),
        ("t10k-images-idx3-ubyte.gz", lambda _: b"<html>", r"ubyte\.gz: cannot be unpacked \(Not a gzipped file"),
    ],
)
def test_a_damaged_file_is_named(raw: Path, name: str, change: Callable[[bytes], bytes], said: str) -> None:
    path = raw / name
    path.write_bytes(change(path.read_bytes() if path.exists() else b""))
    with pytest.raises(ValueError, match=f"t10k-.*{said}"):
        _ = load_fashion_mnist(root=raw).test


def test_what_there_is_not_is_refused(raw: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValueError, match="image_size=64, but the images have 28 pixels; leave it out"):
        load_fashion_mnist(root=raw, image_size=64)
    with pytest.raises(ValueError, match="no simulated images stand in for Fashion-MNIST"):
        load_fashion_mnist()  # the environment of the tests asks for simulated ones


def test_the_files_are_downloaded_where_they_are_found_again(
    raw: Path, serve: Callable[..., Host], monkeypatch: pytest.MonkeyPatch
) -> None:
    pack(raw)
    remotes = []
    for path in raw.iterdir():
        content = path.read_bytes()
        checksum = f"md5:{hashlib.md5(content, usedforsecurity=False).hexdigest()}"
        remotes.append(Remote((serve(content=content).url,), f"fashion-mnist/{path.name}", checksum))
    monkeypatch.setattr("course_lib.data.fashion_mnist.REMOTES", remotes)
    monkeypatch.setattr("course_lib.data.fashion_mnist.DEBIAN", raw / "absent")
    monkeypatch.delenv("COURSE_DATA")
    assert len(load_fashion_mnist().test) == 20


def test_the_command_trains_on_it_evaluates_and_predicts(
    raw: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def course(*arguments: object) -> str:
        monkeypatch.setattr("sys.argv", ["course", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            main()
        said = capsys.readouterr()
        assert not ended.value.code, said.err
        return said.out

    run, scan = tmp_path / "run", tmp_path / "scan.png"
    course("train", "fashion_mnist", "--root", raw, "--out", run, "--epochs", 1)
    scores = json.loads(course("evaluate", run, "--json"))
    assert (scores["task"], scores["data"], scores["n"]) == ("fashion_mnist", "Fashion-MNIST", 20)
    Image.new("RGB", (300, 400), "gray").save(scan)
    said = course("predict", run, scan)
    assert any(f"{scan}: {name}, probability of {name}" in said for name in CLASSES)
    assert "diagnosis" not in said
    card = (run / "model_card.md").read_text()
    assert "squeezed to 28x28 pixels" in card
    assert "    course train fashion_mnist --data real --root FOLDER --epochs 1\n" in card
