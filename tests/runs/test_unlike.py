"""Images that are unlike those a network learned from: scikit-learn measures the distances too, and odd pictures are
named, by a network for simulated radiographs and, where they are at hand, by one for real ones."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from odd_pictures import hand, lateral_chest, odd_pictures
from PIL import Image
from sklearn.decomposition import PCA
from torch import nn
from torch.nn import functional as F

from course_lib.data import ImageSet, simulate_radiographs
from course_lib.models import CompactCNN, FastCNN, PneumoniaCNN, SimpleCNN, load_trained, transfer_model
from course_lib.runs import Recipe, TrainedRun, draw_explanation, evaluate_run, load_run, predict, train_run
from course_lib.runs.unlike import (
    contrast,
    describe,
    is_colored,
    load_reference,
    make_reference,
    recording_features,
    save_reference,
)


def small_network() -> CompactCNN:
    torch.manual_seed(0)
    return CompactCNN(widths=(8, 16))


def test_distances_are_those_of_scikit_learns_probabilistic_pca(make_set: Callable[..., ImageSet]) -> None:
    model, train, val = small_network(), make_set(300), make_set(100)
    reference, _ = make_reference(model, train, val)
    draw = torch.Generator().manual_seed(0)
    features = describe(model, train.subset(torch.randperm(300, generator=draw)))
    standardized = ((features - reference.mean) / reference.std).numpy()
    judge = PCA(64, random_state=0).fit(standardized)
    precision = judge.get_precision()
    others = ((describe(model, val) - reference.mean) / reference.std).numpy() - judge.mean_
    expected = np.sqrt(np.einsum("nd,de,ne->n", others, precision, others))
    np.testing.assert_allclose(reference.distances(describe(model, val)).numpy(), expected, rtol=1e-2)


def test_one_validation_image_in_a_hundred_lies_beyond_the_limit() -> None:
    model, train = small_network(), simulate_radiographs(60, image_size=32)
    val = simulate_radiographs(200, image_size=32, seed=1)
    reference, num_far = make_reference(model, train, val)
    distances = reference.distances(describe(model, val)).sort().values
    assert num_far == int(reference.is_far(describe(model, val)).sum()) == 1  # the limit is the second largest itself
    assert reference.limit == pytest.approx(float(distances[-2]))
    assert int(reference.is_unlike(describe(model, val), val.images).sum()) == 1
    assert reference.is_unlike(describe(model, val), torch.zeros_like(val.images)).all()  # plain, if not far


def test_features_are_the_means_in_nine_fields_of_the_image_and_of_the_last_maps_of_each_size() -> None:
    model, images = small_network().eval(), torch.rand(2, 1, 24, 24)
    with torch.no_grad(), recording_features(model) as found:
        model(images)
        first = model.blocks[0][:3](model.standardize(images))
        second = model.blocks[1][:3](model.blocks[0][3](first))
        last = model.blocks[1][3](second)
    expected = [F.avg_pool2d(maps, maps.shape[2] // 3).flatten(1) for maps in (images, first, second, last)]
    torch.testing.assert_close(found[0], torch.cat(expected, dim=1))
    assert not any(layer._forward_hooks for layer in model.modules())


@pytest.mark.parametrize(
    "model",
    [
        PneumoniaCNN(32, in_channels=3),
        SimpleCNN(),
        FastCNN(flip_tta=True),
        transfer_model("resnet18", 2, image_size=32, weights="random"),
        transfer_model("densenet121", 2, image_size=32, weights="random"),
        transfer_model("mobilenet_v3_small", 2, image_size=32, weights="random"),
    ],
    ids=lambda model: type(model).__name__,
)
def test_every_network_of_the_course_is_described(model: nn.Module, make_set: Callable[..., ImageSet]) -> None:
    images = make_set(12, size=32, channels=3)
    reference, num_far = make_reference(model.train(), images, images)
    assert num_far == 0
    assert reference.mean.shape[0] > 9 * 3
    assert model.training
    black = torch.zeros(1, 3, 32, 32)
    with torch.no_grad(), recording_features(model.eval()) as found:
        model(black)
    assert reference.is_far(found[0]).all()


def test_contrast_is_the_standard_deviation_within_a_channel() -> None:
    image = torch.tensor([[[0, 200], [0, 200]], [[50, 50], [50, 50]], [[0, 0], [0, 4]]], dtype=torch.uint8)
    assert contrast(image) == pytest.approx((100 + 0 + np.std([0, 0, 0, 4])) / 3)


@pytest.mark.parametrize("color", ["white", "black", "gray", "red"])
@pytest.mark.parametrize("num_images", [2, 60])
def test_an_image_of_one_color_is_unlike_whatever_the_network(
    color: str, num_images: int, tmp_path: Path, make_set: Callable[..., ImageSet]
) -> None:
    images = make_set(num_images, size=32, channels=3)
    model = FastCNN()
    reference, num_unlike = make_reference(model, images, images)
    reference = replace(reference, limit=np.inf)  # as of a network to which nothing is far
    recipe = Recipe.for_task("cifar10")
    trained = TrainedRun(recipe, model.eval(), tuple("0123456789"), None, 1.0, reference=reference)
    assert num_unlike == 0
    assert not reference.is_plain(images.images).any()  # the least of them is its own measure
    Image.new("RGB", (40, 30), color).save(tmp_path / "one_color.png")
    assert predict(trained, tmp_path / "one_color.png").notice.endswith("it has less contrast than any of them")


def test_a_number_that_is_none_is_far(make_set: Callable[..., ImageSet]) -> None:
    reference, _ = make_reference(small_network(), make_set(), make_set())
    assert reference.is_far(torch.full((1, len(reference.mean)), torch.nan)).all()


def test_a_tint_is_color_and_the_noise_of_a_jpeg_is_not(tmp_path: Path) -> None:
    gray = np.random.default_rng(0).integers(0, 256, (64, 64), dtype=np.uint8)
    Image.fromarray(gray).convert("RGB").save(tmp_path / "x.jpg", quality=30)
    with Image.open(tmp_path / "x.jpg") as picture:
        assert not is_colored(torch.from_numpy(np.array(picture)).permute(2, 0, 1))
    assert is_colored(torch.from_numpy(np.stack([gray, gray * 0.9, gray * 0.8])))


def test_a_reference_comes_back_from_its_file_and_a_damaged_one_is_named(
    tmp_path: Path, make_set: Callable[..., ImageSet]
) -> None:
    model, path = small_network(), tmp_path / "reference.safetensors"
    reference, _ = make_reference(model, make_set(), make_set())
    save_reference(path, reference)
    again = load_reference(path)
    assert again is not None
    assert (again.limit, again.gray, again.contrast) == (reference.limit, True, reference.contrast)
    torch.testing.assert_close(
        again.distances(describe(model, make_set())), reference.distances(describe(model, make_set()))
    )
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(ValueError, match=r"reference\.safetensors: damaged .* train again, or delete this file"):
        load_reference(path)


@pytest.fixture(scope="module")
def simulated_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run on simulated radiographs, 400 to train and 200 to validate."""
    train, val, test = (simulate_radiographs(n, image_size=64, seed=seed) for seed, n in enumerate((400, 200, 200)))
    splits = type("Splits", (), {"train": train, "val": val, "test": test, "path": None, "has_test": True})
    folder = tmp_path_factory.mktemp("unlike") / "run"
    recipe = Recipe.for_task("pneumonia", data="simulated", image_size=64, epochs=2)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Recipe, "splits", lambda _self: splits)
        train_run(recipe, folder)
        evaluate_run(folder)
    return folder


def check_odd_pictures(trained: TrainedRun, images: ImageSet, folder: Path, besides: set[str]) -> None:
    """Every odd picture made of the radiographs is told, whichever is taken; at most one in twenty of those is."""
    radiographs = [Image.fromarray(image[0].numpy()) for image in images.images]

    def notice(picture: Image.Image) -> str:
        picture.save(folder / "picture.png")
        return predict(trained, folder / "picture.png").notice

    assert sum(bool(notice(picture)) for picture in radiographs) <= len(radiographs) / 20
    for radiograph in radiographs[:5]:
        unnoticed = {name for name, odd in odd_pictures(radiograph).items() if not notice(odd)}
        assert unnoticed <= besides
    for seed in range(1, 5):
        assert notice(hand(seed))
        assert notice(lateral_chest(seed))
    for name in ("cat", "tinted"):
        assert "it is in color, and those were gray" in notice(odd_pictures(radiographs[0])[name])


def test_a_network_for_simulated_radiographs_knows_odd_pictures(simulated_run: Path, tmp_path: Path) -> None:
    images = simulate_radiographs(200, image_size=64, seed=7)
    check_odd_pictures(load_run(simulated_run), images, tmp_path, set())


@pytest.mark.real_data
def test_a_network_for_real_radiographs_knows_odd_pictures(
    real_data: Path, real_cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COURSE_DATA_DIR", str(real_cache))
    recipe = Recipe.for_task("pneumonia", data="real", root=str(real_data))
    model, splits = load_trained("opening", source="real"), recipe.splits()  # trained by this recipe
    reference, _ = make_reference(model, splits.train, splits.val)
    trained = TrainedRun(recipe, model, splits.train.classes, 0.5, 1.0, reference=reference)
    # Upside down, one in twenty passes: the rib cage is a rib cage still.
    check_odd_pictures(trained, splits.test, tmp_path, {"upside down"})


def test_the_rates_stand_on_the_model_card(simulated_run: Path) -> None:
    config: dict[str, Any] = json.loads((simulated_run / "config.json").read_text())
    assert config["unlike"] == {"share": 0.01, "val": 1}
    (scores,) = json.loads((simulated_run / "evaluations.json").read_text()).values()
    assert 0 <= scores["unlike"] <= 0.05
    card = (simulated_run / "model_card.md").read_text()
    assert "It says so of 1 of 200 validation images; of simulated chest radiographs, test, " in card
    assert f", {scores['unlike']:.1%} of 200." in card


def test_an_explanation_says_that_the_image_is_unlike(simulated_run: Path, tmp_path: Path) -> None:
    Image.new("L", (64, 64), 90).save(tmp_path / "blank.png")
    trained = load_run(simulated_run)
    found = predict(trained, tmp_path / "blank.png")
    assert found.notice.startswith("unlike the images that the network learned from: it lies farther")
    assert "unlike the images that the network learned from" in draw_explanation(trained, found).get_suptitle()
    before = replace(trained, reference=None)
    assert replace(found, notice="") == predict(before, tmp_path / "blank.png")
