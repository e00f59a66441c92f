"""The networks that ship with the course. The judges are hashlib, safetensors and scikit-learn."""

import hashlib
import json
import shutil
from dataclasses import asdict
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from sklearn.metrics import roc_auc_score

from course_lib.anatomy import count_parameters
from course_lib.authoring import trained as maker
from course_lib.data import ImageSet, load_chest_xray, simulate_radiographs
from course_lib.models import CompactCNN, load_trained
from course_lib.models import trained as shipped
from course_lib.runs import Recipe, load_run, train_run

SOURCES = ("simulated", "real")


def about(source: str) -> dict[str, object]:
    return json.loads((shipped.WEIGHTS / f"opening-{source}.json").read_text())


def auc(model: CompactCNN, images: ImageSet) -> float:
    with torch.no_grad():
        logits = model(images.images.float() / 255)
    return roc_auc_score(images.labels, logits[:, 1] - logits[:, 0])


@pytest.fixture
def weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the folder of weights, to spoil."""
    folder = shutil.copytree(shipped.WEIGHTS, tmp_path / "weights")
    for module in (shipped, maker):
        monkeypatch.setattr(module, "WEIGHTS", folder)
    return folder


@pytest.mark.parametrize("source", SOURCES)
def test_a_shipped_network_comes_ready_to_answer(source: str) -> None:
    model = load_trained("opening", source=source)
    assert isinstance(model, CompactCNN)
    assert not any(part.training for part in model.modules())
    assert (model.classes, model.image_size) == (("NORMAL", "PNEUMONIA"), {"simulated": 64, "real": 96}[source])
    assert {tensor.dtype for tensor in model.parameters()} == {torch.float32}
    assert all(tensor.isfinite().all() for tensor in model.state_dict().values())


@pytest.mark.parametrize("source", SOURCES)
def test_its_file_is_small_and_holds_the_numbers_of_the_network_in_16_bits(source: str) -> None:
    path, state = shipped.WEIGHTS / f"opening-{source}.safetensors", load_trained("opening", source=source).state_dict()
    assert path.stat().st_size < 350_000
    with safe_open(path, framework="numpy") as file:
        arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  # not a dict
    assert arrays.keys() == state.keys()
    for name, array in arrays.items():
        assert array.dtype == ("int64" if name.endswith("num_batches_tracked") else "float16")
        assert (array == state[name].numpy()).all()
    assert sum(array.size for name, array in arrays.items() if name.endswith(("weight", "bias"))) == count_parameters(
        load_trained("opening", source=source)
    )


@pytest.mark.parametrize("source", SOURCES)
def test_how_it_was_made_stands_beside_it_and_names_no_folder_of_a_machine(source: str) -> None:
    text, told = (shipped.WEIGHTS / f"opening-{source}.json").read_text(), about(source)
    assert (
        hashlib.sha256((shipped.WEIGHTS / f"opening-{source}.safetensors").read_bytes()).hexdigest() == told["sha256"]
    )
    assert {"commands", "recipe", "data", "counts", "validation", "training", "versions"} <= told.keys()
    assert {"python", "torch", "numpy"} <= told["versions"].keys()
    assert "root" not in told["recipe"]
    assert '"/' not in text
    assert (" CC BY 4.0" if source == "real" else "CC0") in told["data"]["license"]


def test_it_has_the_validation_auc_that_is_stated_and_keeps_it_on_new_patients() -> None:
    model = load_trained("opening")
    validation = simulate_radiographs(300, image_size=64, seed=1)  # those of `load_chest_xray("simulated")`
    assert auc(model, validation) == pytest.approx(about("simulated")["validation"]["auc"], abs=0.003)
    assert auc(model, simulate_radiographs(300, seed=900)) > 0.95


@pytest.mark.real_data
def test_trained_on_real_x_rays_it_has_the_validation_auc_that_is_stated(real_data: Path) -> None:
    splits = load_chest_xray("real", root=real_data, image_size=96)
    assert auc(load_trained("opening", source="real"), splits.val) == pytest.approx(
        about("real")["validation"]["auc"], abs=0.003
    )


@pytest.mark.parametrize("kept", [0, 1000, 300_000])
def test_a_file_cut_short_is_named_with_both_checksums(weights: Path, kept: int) -> None:
    path = weights / "opening-simulated.safetensors"
    path.write_bytes(path.read_bytes()[:kept])
    arrived = hashlib.sha256(path.read_bytes()).hexdigest()
    with pytest.raises(ValueError, match=rf"opening-simulated\.safetensors: SHA-256 \w{{64}} expected, got {arrived};"):
        load_trained("opening")


def test_one_wrong_byte_and_an_absent_file_are_named(weights: Path) -> None:
    path = weights / "opening-simulated.safetensors"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"opening-simulated\.safetensors: SHA-256 .* install the course again"):
        load_trained("opening")
    path.unlink()
    with pytest.raises(ValueError, match=r"opening-simulated\.safetensors: SHA-256 .* install the course again"):
        load_trained("opening")


@pytest.mark.parametrize("spoiled", ["", "{}", "[]", '{"sha256": "0"'])
def test_a_damaged_account_of_how_it_was_made_is_named(weights: Path, spoiled: str) -> None:
    (weights / "opening-simulated.json").write_text(spoiled)
    with pytest.raises(ValueError, match=r"opening-simulated\.json: damaged \(.*\); install the course again"):
        load_trained("opening")


@pytest.mark.parametrize(("name", "source"), [("closing", "simulated"), ("opening", "drawn")])
def test_an_unknown_network_is_named_with_those_that_ship(name: str, source: str) -> None:
    with pytest.raises(ValueError, match=f"{name}-{source} ships .*choose one of: opening-real, opening-simulated"):
        load_trained(name, source=source)


def test_what_is_shipped_is_the_run_rounded_to_16_bits(weights: Path, kaggle_root: Path, tmp_path: Path) -> None:
    recipe = Recipe.for_task("pneumonia", data="real", root=str(kaggle_root), image_size=32, epochs=1)
    train_run(recipe, tmp_path / "run")
    maker.ship("small", tmp_path / "run")
    run, small = load_run(tmp_path / "run").model, load_trained("small", source="real")
    for name, tensor in run.state_dict().items():
        torch.testing.assert_close(small.state_dict()[name], tensor, rtol=2**-11, atol=1e-7)
    text = (weights / "small-real.json").read_text()
    command, _ = json.loads(text)["commands"]
    assert command == "course train pneumonia --data real --image-size 32 --epochs 1 --seed 0 --out RUN"
    assert str(tmp_path) not in text


def test_what_make_trained_makes_is_what_ships() -> None:
    recipe = asdict(maker.RECIPES["opening"])
    assert about("simulated")["recipe"] == {key: value for key, value in recipe.items() if key != "root"}
    assert about("simulated")["commands"] == ["python -m course_lib.authoring.trained opening"]
