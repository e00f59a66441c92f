import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from sklearn.metrics import roc_auc_score

from course_lib.data import Splits, audit_splits, load_chest_xray
from course_lib.data.chest_xray import find_chest_xray, get_chest_xray, patient_of

CUT_SHORT = 400  # bytes


def test_validation_is_cut_from_train_by_patient(kaggle_root: Path) -> None:
    splits = load_chest_xray("real", root=kaggle_root, image_size=32)
    assert len(splits.train) + len(splits.val) == 80
    assert not set(splits.train.groups) & set(splits.val.groups)
    assert len(set(splits.train.groups) | set(splits.val.groups)) == 40  # two images of each patient
    assert 0.4 < splits.val.labels.float().mean() < 0.6


def test_images_are_gray_and_labels_follow_the_folders(kaggle_root: Path) -> None:
    test = load_chest_xray("real", root=kaggle_root, image_size=32).test
    assert test.images.shape == (20, 1, 32, 32)
    assert (test.classes, test.counts()) == (("NORMAL", "PNEUMONIA"), {"NORMAL": 10, "PNEUMONIA": 10})
    blob = test.images[:, 0, 13:22, 9:18].float().mean(dim=(1, 2))
    assert bool(blob[test.labels == 1].min() > blob[test.labels == 0].max())


@pytest.mark.parametrize("nested", ["", "chest_xray", "chest_xray/chest_xray"])
def test_the_kaggle_folder_is_found_at_any_usual_depth(kaggle_root: Path, tmp_path: Path, nested: str) -> None:
    place = tmp_path / "unpacked"
    shutil.copytree(kaggle_root / "chest_xray", place / nested)
    assert find_chest_xray(place) == place / nested


def test_a_test_folder_alone_can_be_read(kaggle_root: Path) -> None:
    shutil.rmtree(kaggle_root / "chest_xray" / "train")
    splits = load_chest_xray("real", root=kaggle_root, image_size=16)
    assert len(splits.test) == 20
    with pytest.raises(FileNotFoundError, match="train: no such folder"):
        _ = splits.train


def test_the_test_folder_is_not_opened_for_training(kaggle_root: Path) -> None:
    for path in (kaggle_root / "chest_xray" / "test").rglob("*.jpeg"):
        path.write_bytes(b"must not be read")
    splits = load_chest_xray("real", root=kaggle_root, image_size=16)
    assert len(splits.train) > 0
    with pytest.raises(ValueError, match="not a readable image"):
        _ = splits.test


def test_the_published_validation_images_are_added_to_train(kaggle_root: Path) -> None:
    published = kaggle_root / "chest_xray" / "val" / "NORMAL"
    published.mkdir(parents=True)
    shutil.copy(next((kaggle_root / "chest_xray" / "test" / "NORMAL").iterdir()), published / "IM-0900-0001.jpeg")
    splits = load_chest_xray("real", root=kaggle_root, image_size=16)
    assert len(splits.train) + len(splits.val) == 81


def test_a_truncated_jpeg_is_named(kaggle_root: Path) -> None:
    path = kaggle_root / "chest_xray" / "train" / "NORMAL" / "IM-0003-0001.jpeg"
    path.write_bytes(path.read_bytes()[:CUT_SHORT])
    with pytest.raises(ValueError, match=r"IM-0003-0001\.jpeg: not a readable image"):
        _ = load_chest_xray("real", root=kaggle_root, image_size=16).train


def test_other_class_folders_are_named(kaggle_root: Path) -> None:
    (kaggle_root / "chest_xray" / "test" / "NORMAL").rename(kaggle_root / "chest_xray" / "test" / "HEALTHY")
    with pytest.raises(ValueError, match=r"class folders NORMAL and PNEUMONIA expected, found HEALTHY, PNEUMONIA"):
        _ = load_chest_xray("real", root=kaggle_root, image_size=16).test


def test_patients_are_read_from_file_names() -> None:
    names = {
        "person1_bacteria_2.jpeg": "person1",
        "person10_virus_35.jpeg": "person10",
        "IM-0115-0001.jpeg": "IM-0115",
        "IM-0467-0001-0002.jpeg": "IM-0467",
        "NORMAL2-IM-0383-0001.jpeg": "NORMAL2-IM-0383",
        "scan.jpeg": "scan.jpeg",
    }
    assert {name: patient_of(Path(name)) for name in names} == names


def write_npz(path: Path, *, size: int = 28, channels: int | None = None) -> Path:
    generator = np.random.default_rng(0)
    arrays = {}
    for split, count in (("train", 12), ("val", 4), ("test", 6)):
        shape = (count, size, size) if channels is None else (count, size, size, channels)
        arrays[f"{split}_images"] = generator.integers(0, 255, shape, dtype=np.uint8)
        arrays[f"{split}_labels"] = (np.arange(count) % 2)[:, None].astype(np.uint8)
    np.savez(path, **arrays)
    return path


def test_a_medmnist_file_named_as_the_root_is_read_as_it_is(tmp_path: Path) -> None:
    path = write_npz(tmp_path / "my_xrays.npz")
    splits = load_chest_xray("real", root=path, image_size=28)
    assert [len(part) for part in (splits.train, splits.val, splits.test)] == [12, 4, 6]
    assert torch.equal(splits.test.images[:, 0], torch.from_numpy(np.load(path)["test_images"]))
    assert load_chest_xray("real", root=path, image_size=64).train.images.shape == (12, 1, 64, 64)


def test_a_file_that_calls_itself_official_must_have_the_official_checksum(tmp_path: Path) -> None:
    write_npz(tmp_path / "pneumoniamnist.npz")
    with pytest.raises(
        ValueError,
        match=r"pneumoniamnist\.npz: not the published .* expected md5:28209eda.*; delete it .* Or, if it is a set",
    ):
        load_chest_xray("real", root=tmp_path)


def test_an_archive_cut_short_is_named(tmp_path: Path) -> None:
    path = write_npz(tmp_path / "my_xrays.npz")
    path.write_bytes(path.read_bytes()[:CUT_SHORT])
    with pytest.raises(
        ValueError, match=r"my_xrays\.npz: not a whole \.npz archive .*; delete it and download it again"
    ):
        _ = load_chest_xray("real", root=path).train


def test_an_archive_of_another_layout_is_named(tmp_path: Path) -> None:
    np.savez(tmp_path / "other.npz", images=np.zeros(3))
    with pytest.raises(ValueError, match=r"other\.npz: .*expected MedMNIST's layout with train_images"):
        _ = load_chest_xray("real", root=tmp_path / "other.npz").train
    with pytest.raises(ValueError, match=r"train_images must be gray"):
        _ = load_chest_xray("real", root=write_npz(tmp_path / "color.npz", channels=3)).train


def test_an_archive_of_deeper_pixels_or_of_one_class_is_refused(tmp_path: Path) -> None:
    for name, images, labels in (
        ("deep", np.zeros((4, 28, 28), np.uint16), [0, 1, 0, 1]),
        ("alone", np.zeros((4, 28, 28), np.uint8), [1, 1, 1, 1]),
    ):
        np.savez(tmp_path / f"{name}.npz", test_images=images, test_labels=np.array(labels)[:, None])
    with pytest.raises(ValueError, match=r"deep\.npz: test_images must be gray bytes, .* found torch\.uint16"):
        _ = load_chest_xray("real", root=tmp_path / "deep.npz").test
    with pytest.raises(ValueError, match=r"alone\.npz: test_labels must hold 0 and 1, both, found \[1\]"):
        _ = load_chest_xray("real", root=tmp_path / "alone.npz").test


def test_a_root_given_means_real_images_whatever_the_environment_says(kaggle_root: Path) -> None:
    assert len(load_chest_xray(root=kaggle_root, image_size=16).test) == 20  # COURSE_DATA says simulated
    with pytest.raises(ValueError, match="simulated images lie in no folder, but the root"):
        load_chest_xray("simulated", root=kaggle_root)


def test_split_folders_of_any_usual_name_are_found_further_below(
    kaggle_root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    place = tmp_path / "unpacked" / "archive (1)" / "X-rays"
    for old, new in (("train", "Training"), ("test", "TEST")):
        shutil.copytree(kaggle_root / "chest_xray" / old, place / new)
    (place / "TEST" / "NORMAL" / "notes.txt").touch()
    splits = load_chest_xray(root=str(tmp_path / "unpacked"), image_size=16)
    assert (len(splits.train) + len(splits.val), len(splits.test)) == (80, 20)
    said = capsys.readouterr().err
    assert f"{place}: 40 NORMAL, 40 PNEUMONIA in Training; 10 NORMAL, 10 PNEUMONIA in TEST; validation is cut" in said
    assert "by patient; left out: 1 .txt" in said


def test_other_sets_of_medmnist_and_objects_in_place_of_labels_are_named(tmp_path: Path) -> None:
    path = write_npz(tmp_path / "breastmnist_128.npz")
    with pytest.raises(ValueError, match="MedMNIST's breastmnist holds other images"):
        load_chest_xray(root=path)
    np.savez(tmp_path / "odd.npz", train_images=np.zeros((2, 8, 8), np.uint8), train_labels=np.array(["a", None]))
    with pytest.raises(ValueError, match=r"odd\.npz: .* must hold numbers, found Python objects, which are refused"):
        _ = load_chest_xray(root=tmp_path / "odd.npz").train


def test_a_class_in_the_published_validation_folder_alone_is_named(kaggle_root: Path) -> None:
    folder = kaggle_root / "chest_xray"
    shutil.copytree(folder / "test" / "NORMAL", folder / "val" / "COVID")
    with pytest.raises(ValueError, match=r"val/COVID: a class that .*train has not"):
        _ = load_chest_xray(root=kaggle_root, image_size=16).train


def test_an_empty_root_says_what_was_expected(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"no chest X-rays there; expected chest_xray/train/NORMAL/"):
        load_chest_xray("real", root=tmp_path)


def test_an_unknown_source_names_the_known_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COURSE_DATA", "mine")
    with pytest.raises(ValueError, match="source 'mine' is not known; choose one of: auto, real, simulated"):
        load_chest_xray()


def test_auto_takes_real_images_that_are_there(
    kaggle_root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COURSE_DATA_DIR", str(kaggle_root))
    assert len(load_chest_xray("auto", image_size=16).test) == 20
    assert "Data: real chest X-rays in" in capsys.readouterr().err


def test_auto_without_network_says_that_it_simulates_and_how_to_get_real_ones(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("course_lib.data.source.reachable", lambda *_: False)
    load_chest_xray("auto", image_size=16)
    said = "simulated chest radiographs (no network); for real ones: "
    assert f"{said}--root DIR, COURSE_DATA_ROOT, or `course data get chest_xray`." in capsys.readouterr().err
    monkeypatch.setattr("course_lib.data.source.in_notebook", lambda: True)
    load_chest_xray("auto", image_size=16)
    assert f"{said}get_real_images()." in capsys.readouterr().out


def test_the_environment_chooses_the_simulation_and_its_parts_share_no_patient() -> None:
    splits = load_chest_xray(image_size=16)
    parts = [splits.train, splits.val, splits.test]
    assert [len(part) for part in parts] == [1200, 300, 600]
    assert len({group for part in parts for group in part.groups}) == 2100
    assert all("simulated" in part.name for part in parts)
    assert splits.train.masks is not None


def test_kagglehub_is_used_where_it_is_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "kagglehub.py").write_text("def dataset_download(name): return '/kaggle/' + name")
    monkeypatch.syspath_prepend(tmp_path)
    assert get_chest_xray() == Path("/kaggle/paultimothymooney/chest-xray-pneumonia")


def test_what_kagglehub_downloaded_is_found(tmp_path: Path, kaggle_root: Path) -> None:
    place = tmp_path / "kagglehub" / "datasets" / "paultimothymooney" / "chest-xray-pneumonia" / "versions" / "2"
    shutil.copytree(kaggle_root, place)
    assert find_chest_xray() == place / "chest_xray"


def test_the_audit_finds_planted_duplicates_shared_patients_and_telling_sizes(kaggle_root: Path) -> None:
    train, test = kaggle_root / "chest_xray" / "train", kaggle_root / "chest_xray" / "test"
    shutil.copy(test / "NORMAL" / "IM-0250-0000.jpeg", test / "NORMAL" / "IM-0999-0000.jpeg")
    shutil.copy(train / "PNEUMONIA" / "person3_virus_6.jpeg", test / "PNEUMONIA" / "person3_virus_99.jpeg")
    for path in (test / "PNEUMONIA").iterdir():
        picture = Image.open(path).convert("L")
        picture.resize((100, 100)).save(path) if "person3_" not in path.name else None
    audit = audit_splits(load_chest_xray("real", root=kaggle_root, image_size=16))
    assert audit.counts["test"] == {"NORMAL": 11, "PNEUMONIA": 11}
    assert audit.duplicates_within["test"] == 2
    shared = {pair: count for pair, count in audit.shared_groups.items() if "test" in pair}
    assert sum(shared.values()) == 1
    assert sum(count for pair, count in audit.duplicates_across.items() if "test" in pair) == 1
    assert audit.shared_groups["train and val"] == 0
    assert audit.size_auc["test"] == pytest.approx(10 / 11 + 0.5 / 11)  # ten of eleven are larger, one is as large
    assert "test: 22 images of 12 groups" in str(audit)


@pytest.mark.real_data
def test_the_real_training_set_has_its_published_size_and_known_patients(
    real_data: Path, real_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COURSE_DATA_DIR", str(real_cache))
    splits = load_chest_xray("real", root=real_data, image_size=64)
    together = {name: splits.train.counts()[name] + splits.val.counts()[name] for name in splits.train.classes}
    assert together == {"NORMAL": 1341, "PNEUMONIA": 3875}
    assert not set(splits.train.groups) & set(splits.val.groups)
    share = splits.val.counts()["PNEUMONIA"] / len(splits.val)
    assert share == pytest.approx(3875 / 5216, abs=0.02)
    assert splits.test.counts() == {"NORMAL": 117, "PNEUMONIA": 195}


@pytest.mark.real_data
def test_the_shared_npz_is_not_taken_for_the_official_one(real_data: Path, tmp_path: Path) -> None:
    shutil.copy(real_data / "pneumoniamnist_balanced_28.npz", tmp_path / "pneumoniamnist.npz")
    with pytest.raises(ValueError, match=r"not the published pneumoniamnist\.npz"):
        load_chest_xray("real", root=tmp_path)
    assert len(load_chest_xray("real", root=real_data / "pneumoniamnist_balanced_28.npz", image_size=28).test) == 468


@pytest.mark.real_data
def test_in_the_originals_size_and_shape_of_the_files_tell_the_class(real_data: Path) -> None:
    from course_lib.data.folder import read_class_folders

    originals = read_class_folders(
        real_data / "chest_xray_originals", image_size=64, channels=1, name="originals", license="CC BY 4.0"
    )
    assert originals.counts() == {"NORMAL": 10, "PNEUMONIA": 10}
    audit = audit_splits(Splits(train_and_val=lambda: (originals, originals), test=lambda: originals))
    assert originals.file_sizes is not None
    sick = originals.labels.numpy()
    height, width = originals.file_sizes.numpy().T
    assert audit.size_auc["test"] == pytest.approx(roc_auc_score(sick, height * width), abs=1e-6)
    assert audit.shape_auc["test"] == pytest.approx(roc_auc_score(sick, width / height), abs=1e-6)
    assert audit.size_auc["test"] < 0.2  # pneumonia has the smaller files,
    assert audit.shape_auc["test"] > 0.7  # and the wider ones
