from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from course_lib.data import ImageSet
from course_lib.data import cache as cache_module
from course_lib.data.cache import cached
from course_lib.files import data_dir

MakeSet = Callable[..., ImageSet]


class Maker:
    """Counts how often the images had to be made."""

    def __init__(self, made: ImageSet) -> None:
        self.made, self.calls = made, 0

    def __call__(self) -> ImageSet:
        self.calls += 1
        return self.made


def only_file() -> Path:
    (file,) = (data_dir() / "cache").iterdir()
    return file


def test_the_same_ingredients_are_made_once(make_set: MakeSet) -> None:
    maker = Maker(make_set(6))
    first, second = (cached("noise", (6, "px"), maker, groups=maker.made.groups) for _ in range(2))
    assert maker.calls == 1
    assert torch.equal(first.images, second.images)
    cached("noise", (7, "px"), maker, groups=maker.made.groups)
    assert maker.calls == 2


def test_a_cache_of_another_version_is_made_anew(make_set: MakeSet, monkeypatch: pytest.MonkeyPatch) -> None:
    maker = Maker(make_set(6))
    with monkeypatch.context() as patch:
        patch.setattr(cache_module, "VERSION", "0")
        cached("noise", 1, maker, groups=maker.made.groups)
    cached("noise", 1, maker, groups=maker.made.groups)
    assert maker.calls == 2
    cached("noise", 1, maker, groups=maker.made.groups)
    assert maker.calls == 2
    assert only_file().exists()  # the old file was replaced, not kept beside


def test_a_damaged_cache_is_made_anew(make_set: MakeSet) -> None:
    maker = Maker(make_set(6))
    cached("noise", 1, maker, groups=maker.made.groups)
    only_file().write_bytes(only_file().read_bytes()[:100])
    assert torch.equal(cached("noise", 1, maker, groups=maker.made.groups).images, maker.made.images)
    assert maker.calls == 2


def test_a_cache_that_lacks_what_it_should_hold_is_made_anew(make_set: MakeSet) -> None:
    maker = Maker(make_set(6))
    cached("noise", 1, maker, groups=maker.made.groups)
    save_file({"labels": torch.zeros(1)}, only_file(), metadata={"version": cache_module.VERSION, "words": "{}"})
    cached("noise", 1, maker, groups=maker.made.groups)
    assert maker.calls == 2


def test_a_folder_that_cannot_be_written_costs_only_the_cache(
    make_set: MakeSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("a file where a folder should be")
    monkeypatch.setenv("COURSE_DATA_DIR", str(tmp_path / "file"))
    maker = Maker(make_set(6))
    assert torch.equal(cached("noise", 1, maker, groups=maker.made.groups).images, maker.made.images)
    assert "Going on without a cache" in capsys.readouterr().err


def test_groups_are_those_of_the_caller_and_never_the_stored_ones(make_set: MakeSet) -> None:
    maker = Maker(make_set(6))
    assert cached("noise", 1, maker, groups=("a",) * 6).groups == ("a",) * 6
    assert cached("noise", 1, maker, groups=("b",) * 6).groups == ("b",) * 6
    assert maker.calls == 1


@pytest.mark.parametrize("name", ["a/b", "x" * 300, "\udcff \u00fc", "..", ""])
def test_a_name_of_any_kind_has_a_cache(make_set: MakeSet, name: str) -> None:
    maker = Maker(make_set(6))
    for _ in range(2):
        cached(name, 1, maker, groups=maker.made.groups)
    assert maker.calls == 1
    assert only_file().parent == data_dir() / "cache"
