"""One run from data to model card, on forty tiny images of each class."""

import csv
import inspect
import json
import multiprocessing
import os
import shutil
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file
from sklearn.metrics import balanced_accuracy_score, roc_auc_score
from torch.nn import functional as F
from torch.utils.data import DataLoader

from course_lib.data import ImageSet, Splits, load_chest_xray
from course_lib.data.cifar10 import CLASSES as CIFAR_CLASSES
from course_lib.distributed import Team
from course_lib.models import NETWORKS, OFFLINE
from course_lib.runs import (
    Recipe,
    arithmetic,
    draw_explanation,
    evaluate_run,
    load_run,
    predict,
    stored_recipe,
    train_run,
)
from course_lib.runs.start import begin


@pytest.fixture
def recipe(kaggle_root: Path) -> Recipe:
    return tiny_recipe(kaggle_root)


def tiny_recipe(root: Path) -> Recipe:
    return Recipe.for_task(
        "pneumonia",
        data="real",
        root=str(root),
        image_size=32,
        epochs=6,
        batch_size=16,
        network_arguments={"widths": (8, 16)},
    )


@pytest.fixture(scope="module")
def trained(kaggle_images: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("trained") / "run"
    train_run(tiny_recipe(kaggle_images), folder)
    return folder


@pytest.fixture
def run(trained: Path, tmp_path: Path) -> Path:
    """A copy of a finished run, for one test to use and to spoil."""
    return shutil.copytree(trained, tmp_path / "run")


def test_a_run_folder_holds_what_it_promises(run: Path) -> None:
    assert {path.name for path in run.iterdir()} == {
        "config.json", "weights.safetensors", "reference.safetensors", "state.pt", "history.csv", "curves.png",
        "model_card.md",
    }  # fmt: skip
    rows = list(csv.DictReader((run / "history.csv").open()))
    assert [row["epoch"] for row in rows] == [str(epoch) for epoch in range(1, 7)]
    assert float(rows[-1]["train_loss"]) < float(rows[0]["train_loss"])
    with Image.open(run / "curves.png") as curves:
        assert curves.size[0] > 500


def test_the_model_card_states_data_limits_scores_and_versions(run: Path) -> None:
    card, config = (run / "model_card.md").read_text(), json.loads((run / "config.json").read_text())
    for expected in (
        "Not for diagnosis", "one hospital", "CC BY 4.0", "| train | 68 |", "| val | 12 |", "ECE", "95% intervals",
        f"torch {torch.__version__.split('+')[0]}", f"{config['validation']['auc']:.3f} [",
        f"{config['threshold']:.3f}",
    ):  # fmt: skip
        assert expected in card, expected


def test_the_arithmetic_spent_stands_in_history_config_and_card(run: Path) -> None:
    training = json.loads((run / "config.json").read_text())["training"]
    rows = list(csv.DictReader((run / "history.csv").open()))
    # Multiply-adds of an image: 32 x 32 places of 8 filters of 9 weights, 16 x 16 of 16 of 72, and 16 features to 2
    # logits. All are done forward and for the weights, and but for the first convolution for the input.
    first, rest = 32**2 * 8 * 9, 16**2 * 16 * 72 + 16 * 2
    assert training["flops"] == 6 * 68 * 2 * (2 * first + 3 * rest)  # epochs, images
    assert [float(row["train_flops"]) for row in rows] == [pytest.approx(training["flops"] / 6, rel=1e-5)] * 6
    assert training["train_seconds"] < training["seconds"] + 0.05  # which is rounded
    share = 100 * training["flops"] / training["train_seconds"] / training["peak_flops"]
    assert (
        f"| arithmetic | 0.84 GFLOP, {float(f'{share:.2g}'):g}% of this machine's peak"
        in (run / "model_card.md").read_text()
    )


def test_a_run_of_an_older_version_that_did_not_count_is_used_all_the_same(run: Path, kaggle_root: Path) -> None:
    config = json.loads((run / "config.json").read_text())
    for name in ("flops", "train_seconds", "peak_flops"):
        del config["training"][name]
    (run / "config.json").write_text(json.dumps(config))
    assert evaluate_run(run)["n"] == 20
    assert predict(load_run(run), next((kaggle_root / "chest_xray" / "test" / "NORMAL").iterdir())).predicted
    card = (run / "model_card.md").read_text()
    assert "| training time |" in card
    assert "arithmetic" not in card
    assert arithmetic(config["training"]) == ""


def test_evaluation_agrees_with_scikit_learn_on_the_stored_weights(run: Path, kaggle_root: Path) -> None:
    scores = evaluate_run(run)
    loaded = load_run(run, device=torch.device("cpu"))
    test = load_chest_xray("real", root=kaggle_root, image_size=32).test
    with torch.no_grad():
        logits = loaded.model(test.images.float() / 255)
    probs = ((logits[:, 1] - logits[:, 0]) / loaded.temperature + loaded.bias).sigmoid()
    assert scores["auc"] == pytest.approx(roc_auc_score(test.labels, probs))
    called = probs >= scores["threshold"]
    assert scores["balanced_accuracy"] == pytest.approx(balanced_accuracy_score(test.labels, called))
    assert {
        "task",
        "data",
        "split",
        "n",
        "classes",
        "confusion",
        "accuracy",
        "sensitivity",
        "specificity",
        "ece",
    } <= set(scores)
    assert set(scores["ci95"]) == {"accuracy", "balanced_accuracy", "auc", "sensitivity", "specificity"}


def test_the_validation_scores_of_training_are_those_of_evaluating_on_val(run: Path) -> None:
    stored = json.loads((run / "config.json").read_text())["validation"]
    again = evaluate_run(run, split="val")
    assert (again["confusion"], again["threshold"]) == (stored["confusion"], stored["threshold"])
    assert (again["auc"], again["ece"]) == (pytest.approx(stored["auc"]), pytest.approx(stored["ece"], abs=1e-6))


def test_an_evaluation_is_noted_on_the_model_card(run: Path) -> None:
    scores = evaluate_run(run)
    assert f"| chest X-rays, test | 20 | {scores['auc']:.3f} [" in (run / "model_card.md").read_text()


def test_training_never_opens_the_test_folder(recipe: Recipe, kaggle_root: Path, tmp_path: Path) -> None:
    for path in (kaggle_root / "chest_xray" / "test").rglob("*.jpeg"):
        path.write_bytes(b"must not be read")
    train_run(replace(recipe, epochs=1), tmp_path / "run")


def test_the_same_recipe_gives_the_same_weights_and_another_seed_gives_others(recipe: Recipe, tmp_path: Path) -> None:
    def weights(name: str, **changes: Any) -> dict[str, torch.Tensor]:
        train_run(replace(recipe, epochs=1, **changes), tmp_path / name)
        return load_file(tmp_path / name / "weights.safetensors")

    first, same, other = weights("a"), weights("b"), weights("c", seed=1)
    assert all(torch.equal(first[name], same[name]) for name in first)
    assert not torch.equal(first["head.weight"], other["head.weight"])


def test_a_folder_that_holds_a_run_is_not_overwritten(run: Path, recipe: Recipe) -> None:
    before = (run / "weights.safetensors").read_bytes()
    with pytest.raises(FileExistsError, match="run: holds a run already; choose another --out, or go on"):
        train_run(recipe, run)
    assert (run / "weights.safetensors").read_bytes() == before


def test_a_run_that_did_not_end_says_how_to_go_on(run: Path) -> None:
    config = json.loads((run / "config.json").read_text())
    del config["validation"]
    (run / "config.json").write_text(json.dumps(config))
    with pytest.raises(ValueError, match=r"its training did not end; go on with `course train pneumonia .* --resume`"):
        evaluate_run(run)


def test_a_folder_that_is_no_run_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"not a run folder, it has no config\.json"):
        load_run(tmp_path)
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(ValueError, match=r"config\.json: damaged, or of another version of the course"):
        load_run(tmp_path)


def test_a_run_states_its_whole_network_and_where_its_images_came_from(run: Path, kaggle_images: Path) -> None:
    stored = json.loads((run / "config.json").read_text())
    assert (stored["recipe"]["data"], stored["recipe"]["root"]) == ("real", str(kaggle_images / "chest_xray"))
    presets = [Recipe.for_task("cifar10", preset=preset) for preset in ("tutorial", "fast", "best")]
    for defaults in (Recipe.for_task("pneumonia"), Recipe.for_task("folder"), *presets):
        stated = {"num_classes", *defaults.network_arguments}
        assert stated == set(inspect.signature(NETWORKS[defaults.network]).parameters)


def change_data(run: Path, **data: str) -> None:
    config = json.loads((run / "config.json").read_text())
    config["data"] |= data
    (run / "config.json").write_text(json.dumps(config))


def test_a_run_is_not_resumed_on_other_images(recipe: Recipe, tmp_path: Path, kaggle_root: Path) -> None:
    out = tmp_path / "stopped"
    begin(recipe, out, resume=False, team=Team(0, 1))
    change_data(out, license="in other words")
    begin(recipe, out, resume=True, team=Team(0, 1))
    changed = next((kaggle_root / "chest_xray" / "train" / "NORMAL").iterdir())
    shutil.copy(next((kaggle_root / "chest_xray" / "train" / "PNEUMONIA").iterdir()), changed)
    with pytest.raises(ValueError, match="stopped: was started on other images than those found now"):
        train_run(recipe, out, resume=True)


def test_a_run_is_not_resumed_on_images_of_another_simulator(tmp_path: Path, make_set: Callable[..., ImageSet]) -> None:
    images = make_set(8)
    splits = Splits(train_and_val=lambda: (images, images), test=lambda: images)
    recipe, out = Recipe.for_task("pneumonia", data="simulated"), tmp_path / "stopped"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Recipe, "splits", lambda _self: splits)
        begin(recipe, out, resume=False, team=Team(0, 1))
        change_data(out, fingerprint="of another simulator")
        with pytest.raises(ValueError, match=r"other simulated images than the course makes now; start again .*--out"):
            begin(recipe, out, resume=True, team=Team(0, 1))


def test_more_processes_than_validation_images_are_refused(recipe: Recipe, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="13 processes cannot share 12 validation images; start fewer"):
        begin(recipe, tmp_path / "run", resume=False, team=Team(rank=0, size=13))


@pytest.mark.parametrize("change", [{"seed": 9}, {"epochs": 7}, {"image_size": 64}, {"data": "simulated"}])
def test_a_run_is_not_resumed_with_another_recipe(run: Path, recipe: Recipe, change: dict[str, Any]) -> None:
    (name,) = change
    with pytest.raises(ValueError, match=f"run: was started with {name}=.*resume without changing it"):
        train_run(replace(recipe, **change), run, resume=True)
    with pytest.raises(ValueError, match="holds a run of pneumonia, not of cifar10"):
        train_run(Recipe.for_task("cifar10"), run, resume=True)


def test_patience_ends_a_run_and_keeps_its_best_epoch(recipe: Recipe, tmp_path: Path) -> None:
    config = train_run(replace(recipe, epochs=60, learning_rate=0.03, patience=2), tmp_path / "run")
    with open(tmp_path / "run" / "history.csv") as file:
        losses = [float(row["val_loss"]) for row in csv.DictReader(file)]
    assert len(losses) == config["training"]["epochs"] < 60
    assert losses.index(min(losses)) == len(losses) - 3
    val = recipe.splits().val
    logits = load_run(tmp_path / "run").model(val.images.float() / 255)
    assert F.cross_entropy(logits, val.labels).item() == pytest.approx(min(losses), rel=0.01)  # may be bfloat16's


def test_resuming_a_finished_run_changes_nothing(run: Path, recipe: Recipe) -> None:
    evaluate_run(run)
    before = {path.name: path.read_bytes() for path in run.iterdir()}
    train_run(recipe, run, resume=True)
    assert {path.name: path.read_bytes() for path in run.iterdir()} == before


@pytest.mark.parametrize("damage", ["{", "[]", '{"x": 1}'])
def test_scores_are_not_lost_when_they_cannot_be_noted(
    run: Path, damage: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (run / "evaluations.json").write_text(damage)
    assert evaluate_run(run)["n"] == 20
    assert "The scores are not noted in the run folder" in capsys.readouterr().err


def test_without_a_root_the_images_are_looked_for_where_training_found_them(run: Path) -> None:
    for data in (None, "real", "auto"):
        assert evaluate_run(run, data=data)["n"] == 20
    assert evaluate_run(run, data="simulated")["n"] == 600


def test_evaluations_on_two_folders_stand_side_by_side(run: Path, kaggle_root: Path) -> None:
    evaluate_run(run)
    shutil.rmtree(kaggle_root / "chest_xray" / "train")
    for path in (kaggle_root / "chest_xray" / "test" / "NORMAL").glob("*0.jpeg"):
        path.unlink()
    evaluate_run(run, root=kaggle_root)
    assert sorted(found["n"] for found in json.loads((run / "evaluations.json").read_text()).values()) == [15, 20]


def test_a_config_of_another_version_is_refused(run: Path) -> None:
    config = json.loads((run / "config.json").read_text())
    (run / "config.json").write_text(json.dumps({**config, "format": 0}))
    with pytest.raises(
        ValueError, match=r"config\.json: damaged, or of another version .*format 0, this version reads"
    ):
        load_run(run)


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """cifar10/{train,test}: 10 and 2 noisy images of each class, each class in a shade of its own."""
    root, draw = tmp_path_factory.mktemp("photos"), np.random.default_rng(0)
    for split, count in (("train", 10), ("test", 2)):
        for number, name in enumerate(CIFAR_CLASSES):
            folder = root / "cifar10" / split / name
            folder.mkdir(parents=True)
            for index in range(count):
                pixels = draw.integers(0, 60, (32, 32, 3)) + 19 * number
                Image.fromarray(pixels.astype(np.uint8)).save(folder / f"{index}.png")
    return root


def test_ten_classes_go_the_same_way(photos: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    train_run(Recipe.for_task("cifar10", root=str(photos), epochs=1), out)
    scores = evaluate_run(out)
    assert (scores["n"], len(scores["confusion"])) == (20, 10)
    assert set(scores["ci95"]) == {"accuracy", "balanced_accuracy", "auc"}
    assert "ten classes" in (out / "model_card.md").read_text()
    found = predict(load_run(out), photos / "cifar10" / "test" / "frog" / "0.png")
    assert found.predicted in CIFAR_CLASSES
    assert found.threshold is None
    trained = load_run(out)
    figure = draw_explanation(trained, found)
    assert found.predicted in figure.get_suptitle()
    assert "diagnosis" not in figure.get_suptitle()
    assert trained.model.flip_tta  # looks twice again


@pytest.fixture(scope="module")
def transferred(photos: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of the offline backbone on two folders of one's own, shades of gray."""
    pets, out = tmp_path_factory.mktemp("pets"), tmp_path_factory.mktemp("transferred") / "run"
    for name, shade in (("cats", "airplane"), ("dogs", "truck")):
        shutil.copytree(photos / "cifar10" / "train" / shade, pets / name)
    train_run(Recipe.for_task("folder", root=str(pets), epochs=1, image_size=32, batch_size=8), out)
    return out


def test_a_backbone_learns_a_folder_of_ones_own(transferred: Path, photos: Path) -> None:
    config = json.loads((transferred / "config.json").read_text())
    assert config["classes"] == ["cats", "dogs"]
    assert config["recipe"]["network_arguments"]["name"] == OFFLINE
    assert evaluate_run(transferred)["accuracy"] == 1
    found = predict(load_run(transferred), photos / "cifar10" / "test" / "truck" / "0.png")
    assert found.predicted == "dogs"
    assert "Whether images of one person" in (transferred / "model_card.md").read_text()
    with pytest.raises(ValueError, match="no simulated images stand in for images of your own"):
        evaluate_run(transferred, data="simulated")


def test_a_trained_backbone_is_loaded_without_the_weights_it_began_with(
    transferred: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("course_lib.models.transfer.imagenet_weights", lambda *_: pytest.fail("looked for weights"))
    assert load_run(transferred).classes == ("cats", "dogs")


def test_the_head_is_fitted_before_the_backbone_learns(photos: Path, tmp_path: Path) -> None:
    recipe = Recipe.for_task(
        "cifar10", preset="transfer", root=str(photos), epochs=1, image_size=32, learning_rate=1e-9
    )
    train_run(recipe, tmp_path / "run")
    assert evaluate_run(tmp_path / "run", split="train")["accuracy"] > 0.3  # one in ten with a head that knows nothing


def test_a_run_is_not_resumed_with_another_backbone(transferred: Path) -> None:
    other = Recipe.for_task("folder", backbone="resnet18", epochs=1, image_size=32)
    with pytest.raises(ValueError, match=f"was started with backbone={OFFLINE}, not resnet18; resume without"):
        train_run(other, transferred, resume=True)


def test_a_folder_of_ones_own_must_be_named() -> None:
    with pytest.raises(ValueError, match=r"whose images\? Name the folder that holds a folder for each class"):
        Recipe.for_task("folder").splits()


@pytest.mark.parametrize(("task", "images"), [("cifar10", "photos"), ("pneumonia", "kaggle_root")])
def test_the_tutorial_preset_is_the_tutorials_loop_step_by_step(
    task: str, images: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    root = str(request.getfixturevalue(images))
    recipe = Recipe.for_task(task, preset="tutorial", root=root, image_size=32, epochs=1, seed=3)
    config = train_run(recipe, tmp_path / "run")
    assert config["training"]["precision"] == "float32"

    model = recipe.build(len(config["classes"])).train()
    torch.manual_seed(10_000 * 3)
    loader = DataLoader(recipe.splits().train, batch_size=64, shuffle=True)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.001)
    losses = []
    for images, labels in loader:
        optimizer.zero_grad()
        loss = F.cross_entropy(model(images), labels)
        loss.backward()
        optimizer.step()
        losses += [loss.item()] * len(labels)
    row = next(csv.DictReader((tmp_path / "run" / "history.csv").open()))
    assert float(row["train_loss"]) == pytest.approx(np.mean(losses), rel=1e-4)
    # Weights alone would not do: batch norm takes a bias before it out again, so that rounding decides its steps.
    pixels, trained = recipe.splits().train.images.float() / 255, load_run(tmp_path / "run", device=torch.device("cpu"))
    with torch.no_grad():
        torch.testing.assert_close(trained.model(pixels), model.eval()(pixels), atol=1e-3, rtol=1e-3)


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere helpers cannot be copies of this process")
@pytest.mark.parametrize("default", ["fork", "forkserver"])  # of Linux: until Python 3.13, and from 3.14 on
def test_the_tutorials_loop_has_two_helpers_whatever_pythons_default_is(
    default: str, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    item, usual = ImageSet.__getitem__, multiprocessing.get_start_method()

    def noted(images: ImageSet, index: int) -> tuple[torch.Tensor, int]:
        (tmp_path / f"{os.getpid()}.pid").touch()
        return item(images, index)

    monkeypatch.setattr(ImageSet, "__getitem__", noted)
    multiprocessing.set_start_method(default, force=True)
    try:
        train_run(Recipe.for_task("cifar10", preset="tutorial", root=str(photos), epochs=1), tmp_path / "run")
    finally:
        multiprocessing.set_start_method(usual, force=True)
    fetched_by = {int(path.stem) for path in tmp_path.glob("*.pid")}
    assert len(fetched_by) == 2
    assert os.getpid() not in fetched_by


def test_a_preset_that_the_task_does_not_have_is_named_with_those_it_has() -> None:
    with pytest.raises(ValueError, match="pneumonia has no preset 'fast'; its presets: tutorial"):
        Recipe.for_task("pneumonia", preset="fast")
    with pytest.raises(ValueError, match="cifar10 has no preset 'slow'; its presets: fast, best, tutorial"):
        Recipe.for_task("cifar10", preset="slow")


def test_a_run_is_not_resumed_by_another_preset(photos: Path, tmp_path: Path) -> None:
    recipe = Recipe.for_task("cifar10", preset="tutorial", root=str(photos), epochs=1)
    train_run(recipe, tmp_path / "run")
    with pytest.raises(ValueError, match="was started with preset=tutorial, not best; resume without"):
        train_run(Recipe.for_task("cifar10", preset="best"), tmp_path / "run", resume=True)
    with pytest.raises(ValueError, match="was started with preset=tutorial, not fast"):  # the default one, by its name
        stored_recipe(tmp_path / "run", "cifar10", preset="fast")
    assert stored_recipe(tmp_path / "run", "cifar10", preset=None).preset == "tutorial"


def test_a_recipe_leaves_the_dictionary_that_it_is_given() -> None:
    arguments = {"name": "resnet18"}
    recipe = Recipe.for_task("pneumonia", preset="transfer", network_arguments=arguments, backbone="resnet50")
    assert (arguments, recipe.backbone) == ({"name": "resnet18"}, "resnet50")


def test_an_image_size_reaches_a_network_that_is_built_for_one() -> None:
    recipe = Recipe.for_task("cifar10", preset="tutorial", image_size=64)
    assert recipe.build(10)(torch.rand(1, 3, 64, 64)).shape == (1, 10)


def test_weights_swapped_for_a_pickle_are_refused(run: Path) -> None:
    torch.save({"anything": 1}, run / "weights.safetensors")
    with pytest.raises(ValueError, match=r"weights\.safetensors: not a whole safetensors file .* refused"):
        evaluate_run(run)


def test_images_of_other_classes_are_refused(run: Path, kaggle_root: Path) -> None:
    config = json.loads((run / "config.json").read_text())
    config["classes"] = ["cats", "dogs"]
    (run / "config.json").write_text(json.dumps(config))
    with pytest.raises(ValueError, match="trained on the classes cats, dogs, but the images are of NORMAL, PNEUMONIA"):
        evaluate_run(run)


def test_prediction_takes_any_size_and_mode_and_follows_the_threshold(
    run: Path, kaggle_root: Path, tmp_path: Path
) -> None:
    loaded = load_run(run)
    test = kaggle_root / "chest_xray" / "test"
    sick, well = (next((test / name).iterdir()) for name in ("PNEUMONIA", "NORMAL"))
    larger = tmp_path / "larger.png"
    with Image.open(sick) as picture:
        picture.convert("RGBA").resize((300, 360)).save(larger)
    for path, expected in ((sick, "PNEUMONIA"), (larger, "PNEUMONIA"), (well, "NORMAL")):
        found = predict(loaded, path)
        assert found.predicted == expected
        assert (found.prob >= found.threshold) == (expected == "PNEUMONIA")
        title = draw_explanation(loaded, found).get_suptitle()
        assert title.startswith(f"{path.name}: {expected}, probability of PNEUMONIA {found.prob:.3f} (threshold")
        assert title.endswith("CompactCNN, trained on real images; not for diagnosis")


def test_an_unknown_task_names_the_known_ones() -> None:
    with pytest.raises(ValueError, match="task 'cats' is not known; choose one of: pneumonia, cifar10, "):
        Recipe.for_task("cats")


@pytest.mark.parametrize(("image_size", "count"), [(32, 256), (128, 256), (181, 128), (256, 64), (512, 16), (4096, 1)])
def test_large_images_are_evaluated_in_small_batches_that_hold_no_more_pixels(image_size: int, count: int) -> None:
    assert Recipe.for_task("pneumonia", image_size=image_size).evaluation_batch_size == count
