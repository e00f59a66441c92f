"""Every stored record is whole, says where it comes from, stands on its lesson's page, and agrees with itself."""

import copy
import json
import re
from collections.abc import Callable, Iterator
from dataclasses import asdict, replace
from typing import Any

import pytest
import torch
from result_checks import faults

from course_lib.authoring import sources
from course_lib.data import ImageSet, audit_splits
from course_lib.data.images import Splits
from course_lib.metrics import binary_report, multiclass_report
from course_lib.real_results import Record, read, texts
from course_lib.real_results.kinds import KINDS
from course_lib.real_results.records import HERE, as_text, new

LESSONS = [lesson for lesson in range(1, 7) if texts(lesson)]
STORED = {key: record for lesson in LESSONS for key, record in read(lesson).items()}
each_lesson = pytest.mark.parametrize("lesson", LESSONS)


def called_by(lesson: int) -> list[str]:
    """The keys of the on_real cells of a lesson's source."""
    source = sources([str(lesson)])[0].read_text(encoding="utf-8")
    return re.findall(r'^on_real\(\s*"([^"]+)"', source, flags=re.MULTILINE)


def test_every_lesson_has_real_results() -> None:
    assert LESSONS == [1, 2, 3, 4, 5, 6]


@each_lesson
def test_each_result_stands_once_on_its_page_in_the_order_of_its_texts(lesson: int) -> None:
    assert called_by(lesson) == list(texts(lesson))


@each_lesson
def test_every_result_of_a_page_is_recorded_and_no_other(lesson: int) -> None:
    command = f"course run 0{lesson} --data real --root DIR --record"
    assert list(read(lesson)) == list(texts(lesson)), f"run `{command}`"


@each_lesson
def test_a_lessons_file_is_small_and_as_the_course_writes_it(lesson: int) -> None:
    path = HERE / f"lesson_{lesson}.json"
    if not path.is_file():
        pytest.skip("nothing is recorded yet, which another test says")
    assert path.stat().st_size < 20_000
    assert path.read_text("utf-8") == as_text([asdict(record) for record in read(lesson).values()])


@pytest.mark.parametrize("record", STORED.values(), ids=STORED)
def test_a_record_is_labeled_and_agrees_with_itself(record: Record) -> None:
    assert faults(record, texts(int(record.key[:2]))[record.key]) == []


def test_records_of_the_same_images_agree_with_one_another() -> None:
    of_test = [list(STORED["02.counts"].values["test"].values())]
    for record in STORED.values():
        if (record.kind, record.data, record.split) == ("scores", "chest X-rays", "test"):
            of_test += [[sum(row) for row in report["confusion"]] for report in record.values["reports"].values()]
    assert of_test == of_test[:1] * len(of_test)
    assert STORED["02.counts"].values["validation"] == STORED["02.audit"].values["counts"]["val"]
    if "03.roc" in STORED:
        areas = {name: report["auc"] for name, report in STORED["03.test"].values["reports"].items()}
        assert areas == {name: curve["auc"] for name, curve in STORED["03.roc"].values.items()}


@each_lesson
def test_a_record_calls_its_curves_what_the_page_calls_them(lesson: int) -> None:
    # or those of a reader with real images stand beside them as others: more than six cannot be drawn
    source = sources([str(lesson)])[0].read_text(encoding="utf-8")
    for key, record in read(lesson).items():
        if record.kind in ("curves", "draws", "roc") and f'on_real("{key}")' not in source:
            assert [name for name in record.values if f'"{name}"' not in source] == [], key


# The test of the test: one record of each kind, made of noise, with one wrong number after the other.


def noise(count: int, num_classes: int = 2) -> ImageSet:
    generator = torch.Generator().manual_seed(count)
    pixels = torch.randint(0, 255, (count, 1, 16, 16), generator=generator, dtype=torch.uint8)
    groups = tuple(str(index // 2) for index in range(count))
    classes = tuple(f"class {label}" for label in range(num_classes))
    return ImageSet(pixels, torch.arange(count) % num_classes, classes, groups, "chest X-rays", "none")


def examples() -> Iterator[tuple[str, Record]]:
    """A right record of each kind."""
    test, ten = noise(120), noise(200, 10)
    torch.manual_seed(0)
    probs = (test.labels + torch.randn(120)).sigmoid()
    reports = {"seed 0": binary_report(probs, test.labels, threshold=0.6)}
    many = multiclass_report((ten.images.flatten(1)[:, :10].float() / 50).softmax(dim=1), ten.labels)
    splits = Splits(train_and_val=lambda: (noise(90), noise(60)), test=lambda: test)
    by_split = {"train": noise(90).counts(), "test": test.counts()}
    found: dict[str, tuple[Any, tuple[ImageSet, ...]]] = {
        "02.audit": (audit_splits(splits), (splits.train, splits.val, test)),
        "02.counts": (by_split, (noise(90), test)),
        "03.curves": ({"validation": (range(1, 4), [0.7, 0.5, 0.4])}, (test,)),
        "03.test": (reports, (test,)),
        "03.roc": ({"seed 0": (probs, test.labels)}, (test,)),
        "04.changes": ({"batch norm": [0.5, 0.6, 0.5, 0.6, 0.5]}, (ten,)),
        "04.classes": (many, (ten,)),
        "04.test": ({"seed 0": many}, (ten,)),
        "05.photos": ({("pixels", 40): [0.2, 0.3, 0.4, 0.3, 0.2], ("pixels", 160): [0.3, 0.4, 0.5, 0.4, 0.3]}, (ten,)),
    }
    for key, (what, images) in found.items():
        yield key, new(key, what, images, command="course run 0 --record")


RIGHT = dict(examples())


def planted(values: Any, path: str = "") -> Iterator[tuple[str, Callable[[Any], None]]]:
    """For every number in a record's values, where it is and a function that makes it wrong."""
    for key, value in values.items() if isinstance(values, dict) else enumerate(values):
        where = f"{path}.{key}"
        if isinstance(value, dict | list):
            for deeper, spoil in planted(value, where):
                yield deeper, lambda top, key=key, spoil=spoil: spoil(top[key])
        elif isinstance(value, int | float):
            wrong = value + 3 if isinstance(value, int) else value - 0.3 if value > 0.5 else value + 0.6
            yield where, lambda top, key=key, wrong=wrong: top.__setitem__(key, wrong)


def test_there_is_a_right_record_of_each_kind_to_plant_faults_in() -> None:
    assert {record.kind for record in RIGHT.values()} == set(KINDS)
    for key, record in RIGHT.items():
        assert faults(record, texts(int(key[:2]))[key]) == []


@pytest.mark.parametrize("key", ["03.test", "04.test", "03.roc", "04.classes", "02.counts"])
def test_each_wrong_number_in_scores_curves_and_counts_is_found(key: str) -> None:
    unproven = re.compile(r"\.(threshold|ece|auc)$|ci95\.auc\.\d$" if key.endswith("test") else r"^$")
    missed = []
    for where, spoil in planted(RIGHT[key].values):
        values = copy.deepcopy(RIGHT[key].values)
        spoil(values)
        if not faults(replace(RIGHT[key], values=values), texts(int(key[:2]))[key]):
            missed.append(where)
    assert [where for where in missed if not unproven.search(where)] == []


@pytest.mark.parametrize(
    ("key", "spoil"),
    [
        ("03.test", lambda values: values["reports"]["seed 0"]["ci95"].update(auc=[0.1, 0.2])),
        ("03.test", lambda values: values["reports"]["seed 0"].update(auc=1.2)),
        ("03.roc", lambda values: values["seed 0"].update(auc=values["seed 0"]["auc"] + 0.02)),
        ("03.roc", lambda values: values["seed 0"]["true_positive_rate"].reverse()),
        ("03.curves", lambda values: values["validation"]["y"].pop()),
        ("03.curves", lambda values: values["validation"].update(y=[0.7, float("nan"), 0.4])),
        ("04.changes", lambda values: values["batch norm"].append(0.6)),
        ("04.changes", lambda values: values["batch norm"].__setitem__(0, 1.5)),
        ("05.photos", lambda values: values["pixels"]["draws"][0].pop()),
        ("05.photos", lambda values: values["pixels"]["draws"][0].__setitem__(0, 20)),
        ("02.audit", lambda values: values["counts"]["train"].update({"class 0": 44})),
        ("02.audit", lambda values: values["shared_groups"].update({"train and val": 31})),
        ("02.audit", lambda values: values["duplicates_within"].update(val=61)),
        ("02.audit", lambda values: values["size_auc"].update(val=1.5)),
    ],
)
def test_a_planted_fault_is_found(key: str, spoil: Callable[[Any], object]) -> None:
    values = copy.deepcopy(RIGHT[key].values)
    spoil(values)
    assert faults(replace(RIGHT[key], values=values), texts(int(key[:2]))[key])


@pytest.mark.parametrize(
    "wrong",
    [
        {"data": "simulated objects"},
        {"n": 119},
        {"split": "validation"},
        {"seeds": [0]},
        {"pixels": 0},
        {"command": "course run 03 --data real --root /home/me --record"},
        {"versions": {"course": "0.1.0"}},
        {"date": "2020-02-02"},
    ],
    ids=lambda wrong: next(iter(wrong)),
)
def test_a_wrong_label_is_found(wrong: dict[str, Any]) -> None:
    assert faults(replace(RIGHT["03.test"], **wrong), texts(3)["03.test"])


def test_a_record_survives_its_file() -> None:
    for key, record in RIGHT.items():
        assert Record(**json.loads(as_text([asdict(record)]))[0]) == record, key
