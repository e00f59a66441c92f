"""How a lesson starts, and how long it is said to take."""

import re
import shutil
from pathlib import Path

import pytest
import torch

from course_lib.authoring import sources
from course_lib.data.cifar10 import find_cifar10
from course_lib.lessons import LESSONS, computing_time, format_seconds, lesson_environment, start_lesson

ROOT = Path(__file__).parents[1]


def test_a_lesson_says_its_data_device_profile_and_minutes(capsys: pytest.CaptureFixture[str]) -> None:
    profile = start_lesson(3)
    said = capsys.readouterr().out
    assert profile.source == "simulated"
    for fact in (
        "Training on GPU",
        "simulated radiographs",
        "cpu",
        "short trainings",
        f"expected: {format_seconds(LESSONS[3].seconds)} on two processor cores",
    ):
        assert fact in said
    assert profile.choose(simulated=3, real=12) == 3


@pytest.mark.parametrize("kind", ["cuda", "mps"])
def test_no_gpu_is_said_to_repeat_itself(
    kind: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("course_lib.lessons.pick_device", lambda: torch.device(kind))
    start_lesson(1)
    assert f"device:   {kind} (results are alike from run to run, not the same)" in capsys.readouterr().out


def test_real_images_that_lie_there_are_taken_without_being_asked_for(
    kaggle_root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("COURSE_DATA")
    monkeypatch.setenv("COURSE_DATA_ROOT", str(kaggle_root))
    profile = start_lesson(2)
    assert profile.source == "real"
    assert "full length" in capsys.readouterr().out
    assert profile.choose(simulated=3, real=12) == 12


def test_on_a_machine_of_ones_own_a_lesson_never_starts_a_download(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("COURSE_DATA")
    monkeypatch.setattr("course_lib.fetch.reachable", lambda *_: pytest.fail("asked the network"))
    assert start_lesson(2).source == "simulated"


@pytest.mark.parametrize(("value", "error"), [("real", FileNotFoundError), ("genuine", ValueError)])
def test_images_that_cannot_be_had_are_an_error_that_says_what_to_do(
    value: str, error: type[Exception], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COURSE_DATA", value)
    with pytest.raises(error, match=r"course data get chest_xray|set it to simulated, real or auto"):
        start_lesson(1)


def test_a_lesson_looks_for_its_own_images(
    kaggle_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("COURSE_DATA")
    monkeypatch.setenv("COURSE_DATA_ROOT", str(kaggle_root))
    assert start_lesson(4).source == "simulated"
    assert "simulated objects" in capsys.readouterr().out
    (kaggle_root / "cifar10" / "train" / "airplane").mkdir(parents=True)
    assert start_lesson(4).source == "real"


@pytest.mark.parametrize("mount", ["", "datasets/paultimothymooney/"])
def test_on_kaggle_both_mounts_are_found_and_else_a_line_says_what_to_add(
    mount: str, kaggle_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("COURSE_DATA")
    monkeypatch.setenv("KAGGLE_KERNEL_RUN_TYPE", "Interactive")
    monkeypatch.setattr("course_lib.data.source.KAGGLE_INPUT", tmp_path / "input")
    monkeypatch.setattr("course_lib.real_images.reachable", lambda *_: False)
    assert start_lesson(2).source == "simulated"
    said = " ".join(capsys.readouterr().out.split())
    assert "real ones: no host answers; get_real_images() tries again; or Add Input, paultimothymooney/chest" in said
    place = tmp_path / "input" / f"{mount}chest-xray-pneumonia"
    shutil.copytree(kaggle_root, place)
    assert start_lesson(2).source == "real"
    first, second, *_ = capsys.readouterr().out.splitlines()
    assert first.endswith("on Kaggle")
    assert str(place / "chest_xray") in second


@pytest.mark.parametrize("mount", ["", "datasets/{owner}/"])
@pytest.mark.parametrize(
    ("owner", "path"),
    [
        ("swaroopkml", "cifar10-pngs-in-folders/cifar10/cifar10"),
        ("swaroopkml", "cifar10-pngs-in-folders/cifar10"),
        ("pankrzysiu", "cifar10-python/cifar-10-python.tar.gz"),
    ],
)
def test_on_kaggle_known_copies_of_cifar10_are_found(
    mount: str, owner: str, path: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("course_lib.data.source.KAGGLE_INPUT", tmp_path)
    place = tmp_path / mount.format(owner=owner) / path
    if place.suffix:
        place.parent.mkdir(parents=True)
        place.touch()
    else:
        (place / "train" / "airplane").mkdir(parents=True)
    assert find_cifar10() == place


def test_an_unknown_lesson_is_named() -> None:
    with pytest.raises(ValueError, match="lesson 9 is not known"):
        start_lesson(9)


def test_the_environment_of_a_root_is_that_of_real_images(kaggle_root: Path, tmp_path: Path) -> None:
    assert lesson_environment(None, kaggle_root) == {"COURSE_DATA": "real", "COURSE_DATA_ROOT": str(kaggle_root)}
    assert lesson_environment("simulated") == {"COURSE_DATA": "simulated"}
    with pytest.raises(FileNotFoundError, match="neither chest X-rays nor CIFAR-10 there"):
        lesson_environment("real", tmp_path / "nowhere")
    with pytest.raises(ValueError, match="leave one of them out"):
        lesson_environment("simulated", kaggle_root)


@pytest.mark.parametrize("number", LESSONS)
def test_both_readmes_and_the_lessons_opening_give_the_times_of_the_table(number: int) -> None:
    lesson, source = LESSONS[number], sources([str(number)])[0]
    (row,) = re.findall(rf"^\| \[{number} .*$", (ROOT / "README.md").read_text(), re.M)
    times = [cell.strip() for cell in row.split("|")[3:5]]
    assert times == [format_seconds(lesson.seconds), "" if number == 1 else format_seconds(lesson.real_seconds)]
    opening = source.read_text().partition("\n# %%")[0].replace("\n# ", " ")
    assert computing_time(lesson) in opening
    if parts := re.findall(r"\| (\d+) min, (?:core|optional) \|", opening):
        own = f"{sum(map(int, parts)) / 60:.0f} h"
    else:
        own = {"two": "2 h", "three": "3 h"}[re.search(r"; allow (two|three) hours", opening)[1]]
    on_real = "" if number == 1 else f" ({format_seconds(lesson.real_seconds)})"
    front = (ROOT / "notebooks" / "README.md").read_text().replace("&nbsp;", " ")
    assert re.search(
        rf"^\| \[{number}\. .* \| {own} \| {re.escape(format_seconds(lesson.seconds) + on_real)} \|$", front, re.M
    )
