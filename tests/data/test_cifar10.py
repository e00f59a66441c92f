import hashlib
import os
import pickle
import tarfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.datasets import CIFAR10

from course_lib.data import load_cifar10
from course_lib.data.cifar10 import ARCHIVE, find_cifar10
from course_lib.data.cifar10_batches import read_batches

NAMES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")


def write_folders(root: Path) -> Path:
    generator = np.random.default_rng(0)
    for split, count in (("train", 20), ("test", 2)):
        for name in NAMES:
            folder = root / "cifar10" / split / name
            folder.mkdir(parents=True)
            for index in range(count):
                Image.fromarray(generator.integers(0, 255, (32, 32, 3), dtype=np.uint8)).save(folder / f"{index}.png")
    return root


def test_class_folders_are_read_and_validation_is_cut_from_train(tmp_path: Path) -> None:
    splits = load_cifar10(root=write_folders(tmp_path))
    assert splits.test.classes == NAMES
    assert (len(splits.train), len(splits.val), len(splits.test)) == (180, 20, 20)
    assert splits.val.counts() == dict.fromkeys(NAMES, 2)
    assert splits.train.images.shape[1:] == (3, 32, 32)


@pytest.mark.parametrize("place", ["cifar10/cifar10", "archive/cifar10", "CIFAR-10-images-master"])
def test_class_folders_are_found_further_below(tmp_path: Path, place: str) -> None:
    (tmp_path / place).parent.mkdir(parents=True, exist_ok=True)
    (write_folders(tmp_path / "made") / "cifar10").rename(tmp_path / place)
    assert find_cifar10(str(tmp_path)) == tmp_path / place
    assert len(load_cifar10(root=str(tmp_path)).test) == 20


def test_class_folders_of_something_else_are_refused(tmp_path: Path) -> None:
    root = write_folders(tmp_path)
    (root / "cifar10" / "test" / "frog").rename(root / "cifar10" / "test" / "toad")
    with pytest.raises(ValueError, match="the ten class folders of CIFAR-10 expected"):
        _ = load_cifar10(root=root).test


def test_an_archive_with_the_wrong_checksum_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "cifar-10-python.tar.gz").write_bytes(b"something else")
    with pytest.raises(
        ValueError, match=r"cifar-10-python\.tar\.gz: not the published .*c58f30108f718f92721af3b95e74349a"
    ):
        load_cifar10(root=tmp_path)
    assert capsys.readouterr().out == ""


@pytest.fixture
def archive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An archive built as the official one, with 20 images in each of its batches, and taken for it; and its folder."""
    generator = np.random.default_rng(0)
    parts = [*(f"data_batch_{number}" for number in range(1, 6)), "test_batch"]
    folder = tmp_path / "cifar-10-batches-py"
    folder.mkdir()
    contents = {"batches.meta": {"label_names": list(NAMES)}}
    for name in parts:
        pixels = generator.integers(0, 256, (20, 3072), dtype=np.uint8)
        contents[name] = {"data": pixels, "labels": [index % 10 for index in range(20)]}
    checksums = {}
    for name, content in contents.items():
        (folder / name).write_bytes(pickle.dumps(content))
        checksums[name] = hashlib.md5((folder / name).read_bytes(), usedforsecurity=False).hexdigest()
    path = tmp_path / "downloads" / ARCHIVE.filename
    path.parent.mkdir()
    with tarfile.open(path, "w:gz") as tar:
        tar.add(folder, folder.name)
    monkeypatch.setattr(CIFAR10, "train_list", [[name, checksums[name]] for name in parts[:5]])
    monkeypatch.setattr(CIFAR10, "test_list", [["test_batch", checksums["test_batch"]]])
    monkeypatch.setattr(CIFAR10, "meta", {**CIFAR10.meta, "md5": checksums["batches.meta"]})
    published = hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest()
    monkeypatch.setattr("course_lib.data.cifar10.ARCHIVE", replace(ARCHIVE, checksum=f"md5:{published}"))
    return path


def test_the_archive_is_read_as_torchvision_reads_it_and_nothing_is_unpacked(archive: Path, tmp_path: Path) -> None:
    for root in (archive, archive.parent, tmp_path):
        splits = load_cifar10(root=root)
        assert splits.path == archive
    assert (len(splits.train), len(splits.val), len(splits.test)) == (90, 10, 20)
    assert list(archive.parent.iterdir()) == [archive]
    judge = CIFAR10(str(tmp_path), train=False)
    assert splits.test.classes == tuple(judge.classes)
    assert splits.test.labels.tolist() == judge.targets
    np.testing.assert_array_equal(splits.test.images.permute(0, 2, 3, 1), judge.data)
    all_train = torch.cat([splits.train.images, splits.val.images]).permute(0, 2, 3, 1)
    theirs = CIFAR10(str(tmp_path), train=True).data
    assert sorted(image.tobytes() for image in all_train.numpy()) == sorted(image.tobytes() for image in theirs)


@pytest.mark.parametrize("place", ["", "archive/cifar10"])
def test_the_unpacked_archive_is_read_as_torchvision_reads_it(archive: Path, tmp_path: Path, place: str) -> None:
    archive.unlink()
    root = tmp_path / "unpacked"
    folder = root / place / "cifar-10-batches-py"
    folder.parent.mkdir(parents=True)
    (tmp_path / "cifar-10-batches-py").rename(folder)
    for named in (root, folder):
        assert find_cifar10(named) == folder
        splits = load_cifar10(root=named)
        assert (len(splits.train), len(splits.val), len(splits.test)) == (90, 10, 20)
    judge = CIFAR10(str(folder.parent), train=False)
    assert splits.test.labels.tolist() == judge.targets
    np.testing.assert_array_equal(splits.test.images.permute(0, 2, 3, 1), judge.data)
    all_train = torch.cat([splits.train.images, splits.val.images]).permute(0, 2, 3, 1)
    theirs = CIFAR10(str(folder.parent), train=True).data
    assert sorted(image.tobytes() for image in all_train.numpy()) == sorted(image.tobytes() for image in theirs)


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("kind", [str, str.encode])
def test_a_batch_of_any_pythons_is_read(archive: Path, tmp_path: Path, protocol: int, kind: Callable) -> None:
    batch = tmp_path / "cifar-10-batches-py" / "test_batch"
    content = pickle.loads(batch.read_bytes())
    batch.write_bytes(pickle.dumps({kind(key): value for key, value in content.items()}, protocol=protocol))
    test = load_cifar10(root=batch.parent).test
    np.testing.assert_array_equal(test.images.flatten(start_dim=1), content["data"])
    assert test.labels.tolist() == content["labels"]


class Program:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.system, ("touch was-run",)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (pickle.dumps({"data": Program(), "labels": [0]}), r"it asks for \w+\.system, which is refused"),
        (pickle.dumps({"data": np.zeros((2, 3072), np.uint8), "labels": [0]}), r"found uint8 \(2, 3072\) and \(1,\)"),
        (pickle.dumps({"data": np.zeros((1, 784), np.uint8), "labels": [0]}), r"must hold images as uint8 \(N, 3072\)"),
        (pickle.dumps({"data": np.zeros((1, 3072), np.uint8), "labels": [0]})[:500], "cannot be read"),
        (b"", "cannot be read"),
    ],
    ids=["program", "labels", "pixels", "cut", "empty"],
)
def test_a_batch_that_is_none_is_named_and_runs_nothing(
    content: bytes, said: str, archive: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    batch = tmp_path / "cifar-10-batches-py" / "test_batch"
    batch.write_bytes(content)
    with pytest.raises(ValueError, match=rf"test_batch .*{said}"):
        _ = load_cifar10(root=batch.parent).test
    assert not (tmp_path / "was-run").exists()


@pytest.fixture
def competition(tmp_path: Path) -> Path:
    """The files of Kaggle's competition: images by number, and their labels in a table; test images have none."""
    generator, lines = np.random.default_rng(0), ["id,label"]
    for split in ("train", "test"):
        (tmp_path / "kaggle" / split).mkdir(parents=True)
    for number in range(1, 201):
        lines.append(f"{number},{NAMES[number * 7 % 10]}")
        pixels = generator.integers(0, 255, (32, 32, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / "kaggle" / "train" / f"{number}.png")
    Image.fromarray(pixels).save(tmp_path / "kaggle" / "test" / "1.png")
    (tmp_path / "kaggle" / "trainLabels.csv").write_text("\n".join(lines))
    return tmp_path / "kaggle"


def test_the_files_of_kaggles_competition_are_read_by_their_table(competition: Path, tmp_path: Path) -> None:
    assert find_cifar10(tmp_path) == competition
    splits = load_cifar10(root=tmp_path)
    assert (len(splits.train), len(splits.val), splits.has_test) == (180, 20, False)
    assert splits.val.counts() == dict.fromkeys(NAMES, 2)
    labels = dict(line.split(",") for line in (competition / "trainLabels.csv").read_text().split()[1:])
    for image, path in zip(splits.val.images, splits.val.groups, strict=True):
        np.testing.assert_array_equal(image.permute(1, 2, 0), np.asarray(Image.open(path)))
    assert [splits.val.classes[label] for label in splits.val.labels] == [
        labels[Path(path).stem] for path in splits.val.groups
    ]
    with pytest.raises(FileNotFoundError, match=r"no labels for the test images, .*--split val"):
        _ = splits.test


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ("id,label\n1,toad", "found id '1' with label 'toad'"),
        ("id,label\n1,", "found id '1' with label ''"),
        ("number,name\n1,frog", "found id None with label None"),
        ("", "found no line"),
    ],
)
def test_a_table_of_something_else_is_refused(competition: Path, table: str, said: str) -> None:
    (competition / "trainLabels.csv").write_text(table)
    with pytest.raises(ValueError, match=rf"trainLabels\.csv: lines with id and label expected, .*{said}"):
        load_cifar10(root=competition)


def test_class_folders_of_fastais_copy_are_found_beside_their_labels(tmp_path: Path) -> None:
    root = write_folders(tmp_path)
    (root / "cifar10" / "labels.txt").write_text("\n".join(NAMES))  # as its archive cifar10.tgz holds
    for named in (root, root / "cifar10"):
        assert find_cifar10(named) == root / "cifar10"
        assert len(load_cifar10(root=named).test) == 20


def test_an_absent_batch_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="data_batch_3 is absent; unpack the official archive again"):
        read_batches(tmp_path, ["data_batch_3"])


def test_an_empty_root_says_what_was_expected(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"no CIFAR-10 there; expected cifar-10-python\.tar\.gz or"):
        load_cifar10(root=tmp_path)
    assert find_cifar10(tmp_path) is None


@pytest.mark.real_data
def test_the_shared_copy_has_its_test_images(real_data: Path) -> None:
    assert load_cifar10(root=real_data).test.counts() == dict.fromkeys(NAMES, 500)


def test_auto_without_network_simulates_and_says_so(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("COURSE_DATA")
    monkeypatch.setattr("course_lib.data.source.reachable", lambda *_: False)
    splits = load_cifar10()
    assert "simulated objects, not CIFAR-10 (no network)" in capsys.readouterr().err
    assert splits.path is None
    assert splits.test.name == "simulated objects"
    assert (len(splits.train), len(splits.val), len(splits.test)) == (4000, 1000, 2000)


def test_a_root_for_simulated_images_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"simulated images lie in no folder, but the root .* was given"):
        load_cifar10("simulated", root=tmp_path)


def test_real_images_are_found_where_the_environment_names_their_root(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COURSE_DATA_ROOT", str(write_folders(tmp_path)))
    assert find_cifar10() == tmp_path / "cifar10"
    assert load_cifar10("real").path == tmp_path / "cifar10"
