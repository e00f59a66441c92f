"""What is cheap among the stored results is computed again where the real images are."""

import copy
import hashlib
from collections import Counter
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Any

import pytest
from sklearn.metrics import confusion_matrix, roc_auc_score

from course_lib.data import Splits, load_chest_xray
from course_lib.data.chest_xray import find_chest_xray, patient_of
from course_lib.data.cifar10 import find_cifar10
from course_lib.real_results import Record, read

pytestmark = pytest.mark.real_data
STORED = {key: record for lesson in range(2, 7) for key, record in read(lesson).items()}
XRAY_TESTS = [key for key in ("03.test", "05.test", "06.border", "06.network") if key in STORED]
SAME_PIXELS = 0.005  # another release of Pillow may decode and resize a JPEG by one gray level differently
Values = dict[str, Any]


@pytest.fixture(scope="module")
def xrays(real_data: Path, real_cache: Path) -> Splits:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("COURSE_DATA_DIR", str(real_cache))
        splits = load_chest_xray("real", root=real_data, image_size=64)
        assert splits.train is not None
        assert splits.test is not None  # read now, while the cache is the one that tests share
    return splits


def files(folder: Path) -> dict[str, list[Path]]:
    """The image files of each class folder, by its name."""
    return {one.name: [path for path in one.iterdir() if path.is_file()] for one in sorted(folder.iterdir())}


def audit_faults(audit: Values, xrays: Splits, real_data: Path) -> Iterator[str]:
    """By counting files and their names, and by Python's own comparison of bytes."""
    folder = find_chest_xray(real_data)
    by_class = {split: files(folder / split) for split in ("train", "test")}
    of_folders = {split: {name: len(paths) for name, paths in of.items()} for split, of in by_class.items()}
    counts = audit["counts"]
    if {name: counts["train"][name] + counts["val"][name] for name in counts["train"]} != of_folders["train"]:
        yield "train and validation together are not the images of the published train folder"
    if counts["test"] != of_folders["test"]:
        yield "test is not the published test folder"
    for split in ("train", "val", "test"):
        images = getattr(xrays, split)
        times = Counter(hashlib.md5(image.numpy().tobytes()).digest() for image in images.images)
        again = {name: int((images.labels == label).sum()) for label, name in enumerate(images.classes)}
        if again != counts[split]:
            yield f"{split}: {again} images"
        if sum(count for count in times.values() if count > 1) != audit["duplicates_within"][split]:
            yield f"{split}: another number of duplicates"
    patients = {split: {patient_of(path) for path in chain(*of.values())} for split, of in by_class.items()}
    if len(patients["test"]) != audit["groups"]["test"]:
        yield "another number of patients in test"
    if len(patients["train"]) != audit["groups"]["train"] + audit["groups"]["val"]:
        yield "another number of patients in train and validation"
    shared = audit["shared_groups"]
    if len(patients["train"] & patients["test"]) != shared["train and test"] + shared["val and test"]:
        yield "another number of patients in both"


def brightness_faults(values: Values, xrays: Splits) -> Iterator[str]:
    """By NumPy's mean and scikit-learn's AUC and confusion matrix."""
    for split, images in (("validation", xrays.val), ("test", xrays.test)):
        report, labels = values["reports"][split], images.labels.numpy()
        mean = images.images.numpy().reshape(len(labels), -1).mean(axis=1) / 255
        if abs(roc_auc_score(labels, mean) - report["auc"]) > SAME_PIXELS:
            yield f"{split}: AUC {roc_auc_score(labels, mean):.4f}"
        again = confusion_matrix(labels, mean >= report["threshold"])
        if abs(again - report["confusion"]).max() > SAME_PIXELS * len(labels):
            yield f"{split}: confusion {again.tolist()}"


def test_the_audit_is_that_of_the_files(xrays: Splits, real_data: Path) -> None:
    audit = STORED["02.audit"].values
    assert list(audit_faults(audit, xrays, real_data)) == []
    assert STORED["02.counts"].values == {
        "train": audit["counts"]["train"],
        "validation": audit["counts"]["val"],
        "test": audit["counts"]["test"],
    }


def test_the_brightness_alone_tells_as_much_as_is_stored(xrays: Splits) -> None:
    assert list(brightness_faults(STORED["02.brightness"].values, xrays)) == []


@pytest.mark.parametrize("key", XRAY_TESTS)
def test_what_was_scored_are_the_published_test_images(key: str, real_data: Path) -> None:
    published = [len(paths) for paths in files(find_chest_xray(real_data) / "test").values()]
    for report in STORED[key].values["reports"].values():
        assert [sum(row) for row in report["confusion"]] == published


@pytest.mark.parametrize("key", [key for key in ("03.curves",) if key in STORED])
def test_a_curve_is_of_the_validation_images(key: str, xrays: Splits) -> None:
    assert STORED[key].n == len(xrays.val)


@pytest.mark.parametrize("key", [key for key in ("04.test", "04.classes") if key in STORED])
def test_photographs_are_counted_as_their_folders_hold_them(key: str, real_data: Path) -> None:
    record, folder = STORED[key], find_cifar10(real_data)
    whole = [len(paths) for paths in files(folder / ("test" if key == "04.test" else "train")).values()]
    (confusion,) = matrices(record)
    share = 1 if key == "04.test" else sum(map(sum, confusion)) / sum(whole)  # validation is cut from train
    assert [sum(row) for row in confusion] == pytest.approx([share * count for count in whole], abs=1)


def matrices(record: Record) -> list[list[list[int]]]:
    if "reports" in record.values:
        return [report["confusion"] for report in record.values["reports"].values()]
    return [record.values["confusion"]]


@pytest.mark.parametrize(
    ("key", "path", "by"),
    [
        ("02.audit", ("counts", "train", "NORMAL"), 1),
        ("02.audit", ("counts", "test", "PNEUMONIA"), -1),
        ("02.audit", ("duplicates_within", "train"), 2),
        ("02.audit", ("groups", "test"), 1),
        ("02.audit", ("groups", "val"), 1),
        ("02.audit", ("shared_groups", "train and test"), -1),
        ("02.brightness", ("reports", "validation", "auc"), 0.02),
        ("02.brightness", ("reports", "test", "threshold"), 0.05),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, tuple) else None,
)
def test_a_planted_wrong_number_is_found(
    key: str, path: tuple[str, ...], by: float, xrays: Splits, real_data: Path
) -> None:
    values = copy.deepcopy(STORED[key].values)
    *way, last = path
    spoiled = values
    for step in way:
        spoiled = spoiled[step]
    spoiled[last] += by
    faults = audit_faults(values, xrays, real_data) if key == "02.audit" else brightness_faults(values, xrays)
    assert list(faults)
