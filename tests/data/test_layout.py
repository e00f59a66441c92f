"""Folders as people have them; each case names the data set or the tool that its shape comes from."""

import os
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from course_lib.data import load_folder
from course_lib.data.class_folders import Layout
from course_lib.data.layout import find_layout, split_of


def write(root: Path, **counts: int) -> Path:
    """Images by the folder that they lie in: write(root, cats=3) or write(root, **{"train/cats": 3})."""
    for folder, count in counts.items():
        (root / folder).mkdir(parents=True, exist_ok=True)
        for index in range(count):
            Image.fromarray(np.full((8, 8), index, np.uint8)).save(root / folder / f"{index}.png")
    return root


def counted(layout: Layout) -> dict[str, dict[str, int]]:
    return {split: {name: len(paths) for name, paths in classes.items()} for split, classes in layout.splits.items()}


CATS_AND_DOGS = {"cats": 2, "dogs": 3}


@pytest.mark.parametrize(
    ("train", "test"),
    [
        ("train", "test"),
        ("Training", "Testing"),  # Kaggle's brain tumors
        ("TRAIN", "TEST"),
        ("training_set", "test_set"),  # the cats and dogs of many courses
        ("seg_train/seg_train", "seg_test/seg_test"),  # Intel's landscapes
        ("Train Data", "Test Data"),
        ("trainset", "testset"),
        ("brain_train", "brain_test"),
        ("train_images", "eval"),
        ("1-train", "2-test"),
        ("TrainingSet", "TestingSet"),
    ],
)
@pytest.mark.parametrize("wrapper", [".", "pets", "archive/pets"])
def test_split_folders_are_known_by_any_usual_name(tmp_path: Path, wrapper: str, train: str, test: str) -> None:
    for split in (train, test):
        write(tmp_path / wrapper / split, **CATS_AND_DOGS)
    layout = find_layout(tmp_path)
    assert layout.classes == ("cats", "dogs")
    assert counted(layout) == {"train": CATS_AND_DOGS, "test": CATS_AND_DOGS}


@pytest.mark.parametrize("name", ["val", "Valid", "validation", "dev", "val_set"])
def test_a_validation_folder_is_used_and_a_missing_test_is_said(
    tmp_path: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    for split in ("train", name):
        write(tmp_path / split, **CATS_AND_DOGS)
    splits = load_folder(str(tmp_path), image_size=8)
    assert (len(splits.train), len(splits.val), splits.has_test) == (5, 5, False)
    assert f"5 images to train in train, 5 images to validate in {name}; 2 classes (cats, dogs); no test images" in (
        capsys.readouterr().err
    )
    with pytest.raises(FileNotFoundError, match=rf"no images for test, only train and {name}; .* \(--split val\)"):
        _ = splits.test


def test_splits_within_each_class_are_splits(tmp_path: Path) -> None:
    for name, count in CATS_AND_DOGS.items():
        write(tmp_path / name, train=count, test=1)
    assert counted(find_layout(tmp_path)) == {"train": CATS_AND_DOGS, "test": {"cats": 1, "dogs": 1}}


def test_names_of_classes_are_matched_whatever_their_case(tmp_path: Path) -> None:
    write(tmp_path, **{"train/Cats": 2, "train/dogs": 2, "test/cats": 1, "test/Dogs": 1})
    assert counted(find_layout(tmp_path)) == {"train": {"Cats": 2, "dogs": 2}, "test": {"Cats": 1, "dogs": 1}}


def test_a_class_that_is_called_as_a_split_is_a_class(tmp_path: Path) -> None:
    assert find_layout(write(tmp_path, train=2, car=2, plane=2)).classes == ("car", "plane", "train")


def test_valid_and_invalid_are_classes(tmp_path: Path) -> None:
    assert find_layout(write(tmp_path, valid=2, invalid=2)).classes == ("invalid", "valid")


def test_sub_folders_of_patients_belong_to_their_class(tmp_path: Path) -> None:
    write(tmp_path, **{"sick/patient 1": 2, "sick/patient 2": 1, "well/patient 3": 2, "well/patient 1": 4})
    assert counted(find_layout(tmp_path)) == {"all": {"sick": 3, "well": 6}}


@pytest.mark.parametrize(
    "counts",
    [
        {"COVID/images": 2, "COVID/masks": 2, "Normal/images": 2, "Normal/masks": 2},  # COVID-19 Radiography Database
        {"COVID/images": 2, "COVID/lung masks": 2, "Normal/images": 2},
        {"COVID": 2, "COVID/masks": 2, "Normal": 2, "Normal/masks": 2},
        {"COVID": 2, "COVID/Segmentation": 2, "Normal": 2},
        {"COVID/p1/images": 2, "COVID/p1/masks": 2, "Normal/p1/images": 2, "Normal/p1/masks": 2},
        {"train/COVID/images": 2, "train/COVID/masks": 2, "train/Normal/images": 2, "train/Normal/masks": 2},
        {"fold_a/COVID": 2, "fold_a/Normal": 2, "fold_b/COVID": 2, "fold_b/Normal": 2},
        {"Entrenamiento/si": 2, "Entrenamiento/no": 2, "Prueba/si": 2, "Prueba/no": 2},
        {"images": 2, "masks": 2},
        {"benign": 2, "malignant": 2, "benign_masks": 2},
        {"train/0": 2, "train/1": 2, "0": 2, "1": 2},
        {"images/COVID": 2, "images/Normal": 2, "masks/COVID": 2, "masks/Normal": 2},
        {"train/a": 2, "train/b": 2, "car": 2, "plane": 2},
        {"train/a": 2, "train/b": 2, "car/c": 2, "plane/d": 2},
        {"first/train/a": 2, "first/train/b": 2, "second/test/a": 2, "second/test/b": 2},
    ],
)
def test_what_has_two_readings_is_asked_with_both_and_how_to_choose(tmp_path: Path, counts: dict[str, int]) -> None:
    with pytest.raises(ValueError, match=r"can be read in two ways.* Either .* Or ") as raised:
        find_layout(write(tmp_path, **counts))
    assert "classes=" in str(raised.value) or "subfolder=" in str(raised.value)


def test_the_sub_folder_that_is_named_holds_the_images(tmp_path: Path) -> None:
    write(tmp_path, **{"COVID/images": 2, "COVID/masks": 2, "Normal/images": 3, "Normal/masks": 3})
    layout = find_layout(tmp_path, subfolder="Images")
    assert counted(layout) == {"all": {"COVID": 2, "Normal": 3}}
    assert layout.left_out == {"images in masks": 5}
    assert counted(find_layout(tmp_path, subfolder="*")) == {"all": {"COVID": 4, "Normal": 6}}
    with pytest.raises(
        ValueError, match="no folder below is called 'image', as subfolder says; there are COVID, Normal, "
    ):
        find_layout(tmp_path, subfolder="image")


def test_a_dot_takes_the_images_beside_the_sub_folders(tmp_path: Path) -> None:
    write(tmp_path, **{"COVID": 2, "COVID/masks": 2, "Normal": 3, "Normal/masks": 3})
    assert counted(find_layout(tmp_path, subfolder=".")) == {"all": {"COVID": 2, "Normal": 3}}


def test_the_folder_of_images_beside_one_of_masks_is_chosen_too(tmp_path: Path) -> None:
    write(tmp_path, **{"images/COVID": 2, "images/Normal": 3, "masks/COVID": 2, "masks/Normal": 3})
    assert counted(find_layout(tmp_path, subfolder="images")) == {"all": {"COVID": 2, "Normal": 3}}


def test_classes_that_are_named_decide_the_reading(tmp_path: Path) -> None:
    write(tmp_path, **{"train/a": 2, "train/b": 2, "car": 3, "plane": 4})
    assert counted(find_layout(tmp_path, classes=["train", "car", "plane"])) == {
        "all": {"car": 3, "plane": 4, "train": 4}
    }
    assert counted(find_layout(tmp_path, classes=["a", "b"])) == {"train": {"a": 2, "b": 2}}
    with pytest.raises(FileNotFoundError, match=r"no folder 'c', as classes says; there are "):
        find_layout(tmp_path, classes=["a", "c"])


def test_masks_beside_their_images_are_left_out_and_counted(tmp_path: Path) -> None:
    for name in ("benign", "normal"):  # Breast Ultrasound Images Dataset
        (tmp_path / name).mkdir()
        for file in (f"{name} (1)", f"{name} (1)_mask", f"{name} (1)_mask_1", f"{name} (2)"):
            Image.new("L", (8, 8)).save(tmp_path / name / f"{file}.png")
    layout = find_layout(tmp_path)
    assert counted(layout) == {"all": {"benign": 2, "normal": 2}}
    assert layout.left_out == {"masks of images beside them": 4}


def test_what_systems_tools_and_the_course_leave_is_no_class(tmp_path: Path) -> None:
    write(tmp_path, **CATS_AND_DOGS)
    junk = (
        "__MACOSX",
        ".ipynb_checkpoints",
        "@eaDir",
        "lost+found",
        "System Volume Information",
        "$RECYCLE.BIN",
        "cache",
    )
    for folder in (*junk, "runs/first", "runs/second", "cats/.thumbnails"):
        write(tmp_path, **{folder: 2})
    (tmp_path / "cache" / "CACHEDIR.TAG").write_text("Signature: 8a477f597d28d172789f06886806bc55")
    (tmp_path / "runs" / "first" / "config.json").write_text('{"format": 1, "recipe": {}}')
    for name in ("history.csv", "curves.png"):
        (tmp_path / "runs" / "second" / name).touch()
    for name in ("Thumbs.db", "desktop.ini", ".DS_Store", "._0.png"):
        (tmp_path / "cats" / name).touch()
    layout = find_layout(tmp_path)
    assert (counted(layout), layout.left_out) == ({"all": CATS_AND_DOGS}, {})


def test_files_left_out_are_counted_by_suffix_with_what_to_do(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(tmp_path, **{"cats": 20, "dogs": 20, "docs": 0})
    for name in ("cats/1.HEIC", "cats/2.heic", "dogs/3.dng", "dogs/list.txt", "docs/paper.pdf", "labels.csv"):
        (tmp_path / name).write_bytes(b"not read")
    load_folder(tmp_path, image_size=8)
    said = capsys.readouterr().err
    assert len(said.splitlines()) == 1
    assert said.startswith(
        f"Data: {tmp_path.name}: 40 images; 2 classes (cats, dogs); validation and test are cut from them; "
    )
    assert "left out: 2 .heic (export it as JPEG" in said
    assert "1 .dng (develop it to JPEG)" in said
    assert "1 .txt" in said


def test_a_class_of_files_that_are_not_read_is_named_with_what_to_do(tmp_path: Path) -> None:
    write(tmp_path, **{"cats": 2, "birds": 2, "dogs": 0})
    (tmp_path / "dogs" / "1.heic").write_bytes(b"not read")
    for classes in (None, ["cats", "dogs"]):
        with pytest.raises(
            ValueError, match=r"dogs: an empty class, no image in it that is read, but 1 \.heic \(export it"
        ):
            find_layout(tmp_path, classes=classes)
    with pytest.raises(FileNotFoundError, match=r"no folder 'cows', as classes says; there are birds, cats"):
        find_layout(tmp_path, classes=["dogs", "cows"])
    assert find_layout(tmp_path, classes=["cats", "birds"]).classes == ("birds", "cats")


@pytest.mark.parametrize(
    ("files", "said"),
    [
        (["cat.0.jpg", "dog.1.jpg"], "no class folders in it, its 2 images lie side by side; put the images of each"),
        (["1.jpg", "labels.csv"], r"lie side by side; .* A table of labels is not read\."),
        (["train/1.jpg", "test/2.jpg"], r"train: no class folders in it, .* If train and test are the classes"),
        (["cats.zip", "dogs.zip"], "no class folders in it, but 2 archives; unpack them there"),
        (["cats/1.heic", "dogs/2.heic"], r"no image in it that is read, but 2 \.heic"),
        (["readme.txt"], r"no image in it that is read, but 1 \.txt"),
        ([], "no class folders in it; put the images of each class in a folder"),
    ],
)
def test_a_folder_without_labels_is_told_how_to_get_them(tmp_path: Path, files: list[str], said: str) -> None:
    for name in files:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"\xff\xd8\xff" if name.endswith("jpg") else b"x")
    with pytest.raises(FileNotFoundError, match=said):
        find_layout(tmp_path)


def test_a_file_or_an_archive_in_place_of_a_folder_is_named(tmp_path: Path) -> None:
    (tmp_path / "pets.zip").write_bytes(b"PK")
    with pytest.raises(ValueError, match=r"pets\.zip: a file, where a folder of class folders is expected; unpack it"):
        find_layout(tmp_path / "pets.zip")


@pytest.mark.parametrize("split", ["val", "test"])
def test_splits_of_different_classes_are_refused(tmp_path: Path, split: str) -> None:
    write(tmp_path, **{"train/cats": 2, "train/dogs": 2, f"{split}/cats": 2, f"{split}/dogs": 2, f"{split}/birds": 2})
    with pytest.raises(
        ValueError, match=rf"train holds the classes cats, dogs, and {split} birds, cats, dogs; birds must"
    ):
        find_layout(tmp_path)


def test_unlabeled_test_images_are_left_out_aloud(tmp_path: Path) -> None:
    layout = find_layout(write(tmp_path, **{"train/cats": 2, "train/dogs": 2, "test": 7}))
    assert (counted(layout), layout.left_out) == ({"train": {"cats": 2, "dogs": 2}}, {"images in test": 7})


def test_two_folders_for_one_split_or_one_class_are_refused(tmp_path: Path) -> None:
    write(tmp_path, **{f"{split}/{name}": 1 for split in ("val", "valid", "train") for name in ("cats", "dogs")})
    with pytest.raises(ValueError, match="val and valid are both names for val"):
        find_layout(tmp_path)
    if sys.platform == "linux":
        with pytest.raises(ValueError, match="Cats and cats are two folders of one name"):
            find_layout(write(tmp_path / "more", Cats=1, cats=1, dogs=1))
        write(tmp_path / "splits", **{f"{split}/{name}": 1 for split in ("train", "test") for name in ("cats", "dogs")})
        with pytest.raises(ValueError, match="Cats and cats are two folders of one name in test"):
            find_layout(write(tmp_path / "splits", **{"test/Cats": 1}))


@pytest.mark.skipif(sys.platform == "win32", reason="links need rights there")
def test_links_are_followed_and_never_in_circles(tmp_path: Path) -> None:
    write(tmp_path / "store", a=2, b=3)
    pets = tmp_path / "pets"
    pets.mkdir()
    (pets / "cats").symlink_to(tmp_path / "store" / "a")
    (pets / "dogs").symlink_to(tmp_path / "store" / "b")
    (tmp_path / "store" / "a" / "again").symlink_to(pets)
    (tmp_path / "store" / "b" / "gone.png").symlink_to(tmp_path / "nowhere")
    layout = find_layout(pets)
    assert {name: count >= CATS_AND_DOGS[name] for name, count in counted(layout)["all"].items()} == {
        "cats": True,
        "dogs": True,
    }
    assert layout.left_out["a link to nothing"] >= 1


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may open every folder")
def test_a_folder_that_may_not_be_opened_is_named(tmp_path: Path) -> None:
    write(tmp_path, **CATS_AND_DOGS)
    (tmp_path / "dogs").chmod(0)
    with pytest.raises(ValueError, match=r"dogs: this folder may not be opened"):
        find_layout(tmp_path)


def test_only_names_of_splits_stand_for_splits() -> None:
    for name in ("cats", "trains", "contest", "protest", "invalid", "training shoes", "device", "testis", "data", ""):
        assert split_of(name) is None, name
