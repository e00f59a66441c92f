"""The published recipe to compare with: CIFAR-10 to an accuracy of .94 in 2.6 seconds of an A100, on our loop.

Its network, optimizers, schedule and augmentation, in our words; the images are the caller's, as are the number format
and the processor. On the original images of CIFAR-10 it is published with .940; see there for what each part is for.

Source: Jordan 2024, "94% on CIFAR-10 in 3.29 seconds on a single GPU" and its code, airbench94_muon.py.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from course_lib.data import ImageSet, PhotoAugmentation
from course_lib.flops import TrainingFlops
from course_lib.muon import orthogonalize
from course_lib.runtime import Precision
from course_lib.training import train_one_epoch

EPOCHS, BATCH_SIZE, WIDTHS = 8, 2000, (64, 256, 256)
STEM_EPOCHS = 3  # in which the first layer's biases learn
FILTER_RATE, BIAS_RATE, HEAD_RATE = 0.24, 0.053, 0.67  # the last two for the sum of a batch's losses
DECAY = 2e-6  # of all but the filters, likewise


class PublishedCNN(nn.Module):
    """Fixed filters that whiten patches of 2x2 pixels, three groups of two convolutions, one dense layer."""

    def __init__(self, images: Tensor) -> None:
        """From training images (N, 3, 32, 32) in 0..1, whose patches are to be whitened."""
        super().__init__()
        self.stem = nn.Conv2d(3, 24, kernel_size=2)  # (N, 24, 31, 31)
        self.stem.weight = nn.Parameter(_whitening(_normalized(images)), requires_grad=False)
        layers: list[nn.Module] = [nn.GELU()]
        for before, after in zip((24, *WIDTHS), WIDTHS, strict=False):
            layers += [_conv(before, after), nn.MaxPool2d(2), _norm(after), nn.GELU()]
            layers += [_conv(after, after), _norm(after), nn.GELU()]
        self.layers = nn.Sequential(*layers, nn.MaxPool2d(3), nn.Flatten())  # (N, 256)
        self.head = nn.Linear(WIDTHS[-1], 10, bias=False)
        with torch.no_grad():
            self.head.weight /= self.head.weight.std()

    def forward(self, images: Tensor) -> Tensor:
        """Images (N, 3, 32, 32) in 0..1 to logits (N, 10); in evaluation mode the mean of six views."""
        if self.training:
            return self._logits(images)
        padded = F.pad(images, (1, 1, 1, 1), mode="reflect")
        views = [(0.5, images), (0.25, padded[:, :, :32, :32]), (0.25, padded[:, :, 2:, 2:])]
        return sum(
            (weight / 2 * (self._logits(view) + self._logits(view.flip(3))) for weight, view in views),
            start=torch.zeros((), device=images.device),
        )

    def _logits(self, images: Tensor) -> Tensor:
        return self.head(self.layers(self.stem(_normalized(images)))) / WIDTHS[-1]


def _normalized(images: Tensor) -> Tensor:
    mean, std = images.new_tensor([0.4914, 0.4822, 0.4465]), images.new_tensor([0.2470, 0.2435, 0.2616])
    return (images - mean[:, None, None]) / std[:, None, None]


def _whitening(images: Tensor) -> Tensor:
    """Filters (24, 3, 2, 2): the principal components of patches, each divided by its spread, and their negatives."""
    patches = F.unfold(images, kernel_size=2).transpose(1, 2).flatten(end_dim=1)  # (N * 31 * 31, 12)
    variances, components = torch.linalg.eigh(patches.T @ patches / len(patches))
    filters = (components / (variances + 5e-4).sqrt()).T.reshape(12, 3, 2, 2)
    return torch.cat([filters, -filters])


def _conv(before: int, after: int) -> nn.Conv2d:
    conv = nn.Conv2d(before, after, kernel_size=3, padding=1, bias=False)
    nn.init.dirac_(conv.weight[:before])
    return conv


def _norm(channels: int) -> nn.BatchNorm2d:
    norm = nn.BatchNorm2d(channels, momentum=0.4, eps=1e-12)
    norm.weight.requires_grad_(False)
    return norm


class PublishedOptimizer(torch.optim.SGD):
    """Muon in three iterations for filters, whose length is kept; SGD with Nesterov momentum for everything else."""

    def __init__(self, model: PublishedCNN) -> None:
        sgd = {  # our loss is the mean of a batch's losses, so the rates are larger by its size
            "lr": BIAS_RATE * BATCH_SIZE,
            "weight_decay": DECAY / BIAS_RATE,
            "momentum": 0.85,
        }
        biases = [bias for name, bias in model.named_parameters() if name.startswith("layers") and bias.ndim == 1]
        self.filters = [conv.weight for conv in model.layers if isinstance(conv, nn.Conv2d)]
        groups = [
            {"params": [model.stem.bias], **sgd},
            {"params": [bias for bias in biases if bias.requires_grad], **sgd},
            {"params": [model.head.weight], **sgd, "lr": HEAD_RATE * BATCH_SIZE, "weight_decay": DECAY / HEAD_RATE},
            {"params": self.filters, "lr": FILTER_RATE, "momentum": 0.6},
        ]
        super().__init__(groups, nesterov=True, momentum=0.85)

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> Any:  # type: ignore[override]
        group = self.param_groups[-1]
        for weight in self.filters:
            if weight.grad is None:
                continue
            mean = self.state[weight].setdefault("momentum_buffer", torch.zeros_like(weight))
            mean.mul_(group["momentum"]).add_(weight.grad)
            direction = weight.grad.add(mean, alpha=group["momentum"])
            weight.mul_(len(weight) ** 0.5 / weight.norm())
            weight.sub_(group["lr"] * orthogonalize(direction.flatten(start_dim=1), steps=3).view_as(weight))
            weight.grad = None  # so that SGD passes it by
        return super().step(closure)


@dataclass
class EveryOtherEpoch:
    """Whole batches in a new order each epoch, shifted; a half of the images mirrored, in the next the other half."""

    images: ImageSet
    epoch: int = 0

    def __post_init__(self) -> None:
        self.mirrored = torch.rand(len(self.images)) < 0.5
        self.shifted = PhotoAugmentation(shift=2, flip=False)

    def __len__(self) -> int:
        return len(self.images) // BATCH_SIZE

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        for chosen in torch.randperm(len(self.images)).split(BATCH_SIZE)[: len(self)]:
            images = self.images.images[chosen].float() / 255
            mirrored = self.mirrored[chosen] ^ (self.epoch % 2 == 1)
            yield (
                self.shifted(torch.where(mirrored[:, None, None, None], images.flip(3), images)),
                (self.images.labels[chosen]),
            )
        self.epoch += 1


def train_published(train: ImageSet, precision: Precision, seed: int, flops: TrainingFlops) -> nn.Module:
    """The trained network; its arithmetic is added to `flops`."""
    torch.manual_seed(seed)
    some = torch.randperm(len(train))[:5000]
    model = PublishedCNN(train.images[some].float() / 255).to(memory_format=torch.channels_last)
    optimizer, batches = PublishedOptimizer(model), EveryOtherEpoch(train)
    stem, whole = (partial(_share_left, steps=epochs * len(batches)) for epochs in (STEM_EPOCHS, EPOCHS))
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, [stem, whole, whole, whole])
    for epoch in range(EPOCHS):
        model.stem.requires_grad_(epoch < STEM_EPOCHS)
        model.stem.weight.requires_grad_(False)
        train_one_epoch(
            model,
            batches,
            optimizer,
            loss_function=lambda logits, labels: F.cross_entropy(logits, labels, label_smoothing=0.2),
            schedule=schedule,
            precision=precision,
            flops=flops,
        )
    return model


def _share_left(step: int, *, steps: int) -> float:
    return max(0.0, 1 - step / steps)
