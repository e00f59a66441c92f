import os
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from random import Random

import numpy as np
import pytest
import torch
from PIL import Image
from sklearn.model_selection import StratifiedGroupKFold

from course_lib.data import ImageSet, load_folder
from course_lib.data.folder import read_class_folders, train_val_split

MakeSet = Callable[..., ImageSet]


def write(folder: Path, count: int, *, value: int = 0) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for index in range(count):
        Image.fromarray(np.full((8, 8, 3), value + index, np.uint8)).save(folder / f"{index}.png")


def read(folder: Path) -> ImageSet:
    return read_class_folders(folder, image_size=8, channels=3, name="pets", license="own")


def test_classes_are_the_folders_in_the_order_of_their_names(tmp_path: Path) -> None:
    write(tmp_path / "dogs", 2, value=100)
    write(tmp_path / "cats", 3)
    (tmp_path / "cats" / "notes.txt").write_text("not an image")
    (tmp_path / "cats" / ".hidden.png").write_text("nor this")
    (tmp_path / ".ipynb_checkpoints").mkdir()
    write(tmp_path / "cats" / ".ipynb_checkpoints", 2)
    data = read(tmp_path)
    assert (data.classes, data.counts()) == (("cats", "dogs"), {"cats": 3, "dogs": 2})
    assert data.images[:, 0, 0, 0].tolist() == [0, 1, 2, 100, 101]


def test_an_empty_class_folder_is_named(tmp_path: Path) -> None:
    write(tmp_path / "cats", 1)
    (tmp_path / "dogs").mkdir()
    with pytest.raises(ValueError, match=r"dogs: an empty class, no image in it"):
        read(tmp_path)


def test_one_class_only_is_named(tmp_path: Path) -> None:
    write(tmp_path / "cats", 1)
    with pytest.raises(ValueError, match=r"one class only \(cats\); a classifier needs two or more"):
        read(tmp_path)


def test_a_folder_without_class_folders_is_named(tmp_path: Path) -> None:
    write(tmp_path, 1)
    with pytest.raises(FileNotFoundError, match="no class folders in it"):
        read(tmp_path)
    with pytest.raises(FileNotFoundError, match="gone: no such folder"):
        read(tmp_path / "gone")


def test_the_second_reading_comes_from_the_cache_until_a_file_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pets = tmp_path / "pets"
    for name in ("cats", "dogs"):
        write(pets / name, 2)
    first = read(pets)
    with monkeypatch.context() as patch:
        patch.setattr("course_lib.data.folder.read_images", lambda *_, **__: pytest.fail("decoded again"))
        again = read(pets)
    assert torch.equal(first.images, again.images)
    assert torch.equal(first.file_sizes, again.file_sizes)
    assert (first.groups, first.classes) == (again.groups, again.classes)
    write(pets / "dogs", 1, value=50)
    assert int(read(pets).images[2, 0, 0, 0]) == 50


def test_a_split_separates_groups_and_keeps_the_proportions(make_set: MakeSet) -> None:
    labels = torch.tensor([0] * 60 + [1] * 180)
    groups = tuple(f"{label}-{index // 3}" for index, label in enumerate(labels.tolist()))
    data = replace(make_set(240), labels=labels, groups=groups)
    first, second = train_val_split(data, fraction=0.2, seed=0)
    assert not set(first.groups) & set(second.groups)
    assert len(first) + len(second) == 240
    assert second.counts() == {"class 0": 12, "class 1": 36}
    again, other = (train_val_split(data, fraction=0.2, seed=seed)[1] for seed in (0, 1))
    assert again.groups == second.groups != other.groups


def cases_of_patients(num_classes: int) -> tuple[list[int], list[str]]:
    """Labels and groups of 400 patients with 1 to 16 images each, mostly of one class, as in the chest X-rays."""
    draw, labels, groups = Random(num_classes), [], []
    for patient in range(400):
        usual = int(draw.random() ** 2 * num_classes)  # class 0 is the commonest
        for _ in range(1 + int(16 * draw.random() ** 3)):
            labels.append(usual if draw.random() < 0.9 else int(draw.random() * num_classes))
            groups.append(f"patient {patient}")
    return labels, groups


@pytest.mark.parametrize("num_classes", [2, 3, 10])
def test_a_cut_is_within_two_images_as_even_as_scikit_learns(make_set: MakeSet, num_classes: int) -> None:
    labels, groups = cases_of_patients(num_classes)
    data = replace(make_set(len(labels), num_classes=num_classes), labels=torch.tensor(labels), groups=tuple(groups))

    def images_off(chosen: list[int]) -> float:
        return max(abs(chosen.count(label) - 0.2 * labels.count(label)) for label in set(labels))

    for seed in range(5):
        first, second = train_val_split(data, fraction=0.2, seed=seed)
        assert not set(first.groups) & set(second.groups)
        assert len(first) + len(second) == len(data)
        judge = StratifiedGroupKFold(5, shuffle=True, random_state=seed).split(labels, labels, groups)
        theirs = max(images_off([labels[index] for index in fold]) for _, fold in judge)
        assert images_off(second.labels.tolist()) <= theirs + 2


def test_a_cut_is_the_same_with_every_release_of_every_library(make_set: MakeSet) -> None:
    groups = tuple(f"patient {index // 2}" for index in range(60))
    _, second = train_val_split(replace(make_set(60), groups=groups), fraction=0.2, seed=3)
    assert second.groups[::2] == tuple(f"patient {number}" for number in (5, 6, 9, 15, 21, 25))


@pytest.mark.parametrize("fraction", [-0.1, 0, 0.8])
def test_a_share_that_cannot_be_cut_off_is_refused(make_set: MakeSet, fraction: float) -> None:
    with pytest.raises(ValueError, match="must be above 0 and at most"):
        train_val_split(make_set(40), fraction=fraction, seed=0)


def test_too_few_images_to_cut_are_counted(make_set: MakeSet) -> None:
    with pytest.raises(ValueError, match=r"class class 0 has only 2 images \(or patients\), and 5 are needed"):
        train_val_split(make_set(4), fraction=0.2, seed=0)


def test_a_folder_of_ones_own_is_cut_into_three_without_overlap(tmp_path: Path) -> None:
    for number, name in enumerate(("cats", "dogs")):
        write(tmp_path / "pets" / name, 40, value=number * 100)
    splits = load_folder(tmp_path / "pets", image_size=8)
    parts = [set(part.groups) for part in (splits.train, splits.val, splits.test)]
    assert [len(part) for part in parts] == [56, 12, 12]  # 15 % to test on, and as many to validate
    assert len(parts[0] | parts[1] | parts[2]) == 80


def test_a_test_folder_is_kept_as_it_is(tmp_path: Path) -> None:
    for split, count in (("train", 20), ("test", 3)):
        for name in ("cats", "dogs"):
            write(tmp_path / "pets" / split / name, count)
    splits = load_folder(tmp_path / "pets", image_size=8)
    assert (len(splits.test), len(splits.train) + len(splits.val)) == (6, 40)


def test_a_path_is_a_string_as_well(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("cats", "dogs"):
        write(tmp_path / "pets" / name, 40)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    sets = [load_folder(root, image_size=8).train for root in ("pets", "./pets/", "~/pets", tmp_path / "pets")]
    assert all(torch.equal(each.images, sets[0].images) for each in sets)
    with pytest.raises(TypeError, match=r"root must be a path, .*got NoneType"):
        load_folder(None)  # type: ignore[arg-type]


def test_the_cache_notices_bytes_that_changed_under_the_same_name_length_and_time(tmp_path: Path) -> None:
    for name in ("cats", "dogs"):
        write(tmp_path / name, 2)
    path = tmp_path / "cats" / "0.bmp"
    for value in (100, 250):
        Image.fromarray(np.full((8, 8, 3), value, np.uint8)).save(path)
        os.utime(path, ns=(10**18, 10**18))
        assert int(read(tmp_path).images[:3].max()) == value


def test_groups_follow_their_rule_and_not_the_cache(tmp_path: Path) -> None:
    for name in ("cats", "dogs"):
        write(tmp_path / name, 2)
    for rule in (lambda path: path.name, lambda path: path.parent.name):
        data = read_class_folders(tmp_path, image_size=8, channels=3, name="pets", license="own", group_of=rule)
        files = sorted(tmp_path.glob("*/*.png"))
        assert data.groups == tuple(map(rule, files))


def test_a_class_of_a_further_folder_that_the_first_has_not_is_named(tmp_path: Path) -> None:
    for name in ("train/cats", "train/dogs", "val/birds", "val/cats"):
        write(tmp_path / name, 2)
    with pytest.raises(ValueError, match=r"val/birds: a class that .*train has not, where there are cats, dogs"):
        read_class_folders(
            tmp_path / "train", image_size=8, channels=3, name="pets", license="own", more=[tmp_path / "val"]
        )


@pytest.mark.skipif(sys.platform != "linux", reason="other systems refuse such names")
def test_names_in_an_old_encoding_are_read_cached_and_told(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    root = Path(os.fsdecode(os.fsencode(tmp_path) + b"/Bl\xfcten"))
    for name in ("cats", os.fsdecode(b"b\xe4ume")):
        write(root / name, 40)
    for _ in range(2):
        assert len(load_folder(root, image_size=8).train) == 56
    assert r"Bl\udcfcten" in capfd.readouterr().err
