"""What is known of data sets and backbones stands in one entry, and everything else reads it."""

import ast
import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from course_lib.backbones import BACKBONES
from course_lib.data.source import loader_of
from course_lib.data_sets import DATA_SETS, OWN_IMAGES, TASKS, TRANSFER, DataSet
from course_lib.runs import Recipe, load_run

PACKAGE = Path(__file__).parents[1] / "course_lib"
ENTRIES = {**dict.fromkeys(BACKBONES, "backbones.py"), **dict.fromkeys([*DATA_SETS, *TASKS], "data_sets.py")}
del ENTRIES[OWN_IMAGES.task]  # "folder", which is a word of its own
RECIPES = [(task, preset) for task, data_set in TASKS.items() for preset in data_set.presets]


def strings(path: Path) -> Iterator[str]:
    """The string constants of a module, docstrings left out."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    alone = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in alone:
            yield node.value


@pytest.fixture(scope="module")
def package() -> dict[str, list[str]]:
    return {path.relative_to(PACKAGE).as_posix(): list(strings(path)) for path in sorted(PACKAGE.rglob("*.py"))}


@pytest.mark.parametrize(("name", "home"), ENTRIES.items())
def test_the_name_of_a_data_set_or_a_backbone_stands_in_its_entry_alone(
    name: str, home: str, package: dict[str, list[str]]
) -> None:
    word = re.compile(rf"(?<![\w/-]){name}(?![\w-]|\.\w)")  # but not as a part of an address or of a file's name
    assert [path for path, found in package.items() if any(map(word.search, found))] == [home]
    assert package[home].count(name) == (name in BACKBONES) + (name in DATA_SETS) + (name in TASKS)


@pytest.mark.parametrize("data_set", DATA_SETS.values(), ids=DATA_SETS)
def test_a_data_set_has_a_loader_that_knows_its_files(data_set: DataSet, tmp_path: Path) -> None:
    loader = loader_of(data_set)
    remotes = loader.remotes(64)
    assert all(re.fullmatch(r"md5:[0-9a-f]{32}|sha256:[0-9a-f]{64}", remote.checksum) for remote in remotes)
    assert all(remote.size > 0 for remote in remotes)
    assert loader.find(tmp_path) is None
    with pytest.raises(
        FileNotFoundError, match=re.escape(f"no {data_set.real.title} there; expected {data_set.layout}")
    ):
        loader.load(root=tmp_path)


@pytest.mark.parametrize(("task", "preset"), RECIPES)
def test_the_network_of_a_preset_takes_the_images_of_its_data_set(task: str, preset: str | None) -> None:
    recipe = Recipe.for_task(task, preset=preset)
    images = torch.rand(2, recipe.channels, recipe.stored_size, recipe.stored_size)
    with torch.no_grad():
        assert recipe.build(3, trained=True).eval()(recipe.augment()(images)).shape == (2, 3)


@pytest.mark.parametrize("task", [task for task, preset in RECIPES if preset == "tutorial"])
def test_the_tutorial_preset_leaves_the_images_as_they_are(task: str) -> None:
    images = torch.rand(4, TASKS[task].channels, 32, 32)
    torch.testing.assert_close(Recipe.for_task(task, preset="tutorial").augment()(images), images, atol=1e-5, rtol=0)


def test_a_run_of_a_task_that_is_not_known_is_never_taken_for_another(tmp_path: Path) -> None:
    recipe = {"task": "cats", "image_size": 32, "network": "CompactCNN", "network_arguments": {}, "epochs": 1}
    (tmp_path / "config.json").write_text(json.dumps({"format": 1, "recipe": recipe}))
    with pytest.raises(ValueError, match=f"task 'cats' is not known; choose one of: {', '.join(TASKS)}"):
        load_run(tmp_path)


@pytest.mark.parametrize(
    ("call", "names"),
    [
        ("data get", [*DATA_SETS]),
        ("data audit", [*DATA_SETS]),
        ("train", [*(data_set.task for data_set in DATA_SETS.values()), TRANSFER]),
        ("train transfer --backbone", [*BACKBONES]),
        ("train transfer --task", [task for task, data_set in TASKS.items() if TRANSFER in data_set.presets]),
    ],
)
def test_the_command_takes_the_names_of_the_entries_and_lists_them_for_any_other(
    call: str, names: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from course_lib.cli import main

    monkeypatch.setattr("sys.argv", ["course", *call.split(), "nosuch"])
    with pytest.raises(SystemExit):
        main()
    listed = re.search(r"'nosuch' is not one of (.*)\.", capsys.readouterr().err)
    assert listed
    assert re.findall(r"'(\w+)'", listed.group(1)) == names
