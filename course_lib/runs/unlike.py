"""How far an image lies from those that a network learned from, in the network's own features."""

import contextlib
import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from sklearn.decomposition import PCA
from torch import Tensor, nn
from torch.nn import functional as F

from course_lib.data import Batches, ImageSet
from course_lib.files import write_atomically
from course_lib.progress import watched
from course_lib.runtime import evaluation_mode

MOST_IMAGES = 2000  # of the training images; more would make the description hardly better
CHANNELS, GRID, AXES = 96, 3, 64  # how fine the description is
SHARE = 0.01  # of the validation images that may lie beyond the limit
COLOR = 5.0  # of 255: an image whose channels differ by more, on average over its pixels, is in color


@dataclass(frozen=True)
class Reference:
    """The training images of a run as a cloud of features, and how far from its middle an image may lie.

    Features are standardized; along the cloud's longest axes distances are measured by the cloud's own spread, and in
    all other directions by one common spread. A distance is the root of the sum of squares (Mahalanobis's distance,
    with the covariance of probabilistic principal component analysis).

    Attributes:
        mean, std: (D,), of each feature over the training images.
        axes: (K, D), orthonormal.
        variances: (K + 1,), along each axis, and at last in any other direction.
        limit: a distance; farther images are unlike.
        gray: no training image was in color.
        contrast: the lowest of a training image; images with less are unlike. Features tell a blank image from those
            of a varied set by too little.

    Source: Tipping and Bishop 1999, "Probabilistic principal component analysis"; Lee, Lee, Lee and Shin 2018, "A
    simple unified framework for detecting out-of-distribution samples and adversarial attacks".
    """

    mean: Tensor
    std: Tensor
    axes: Tensor
    variances: Tensor
    limit: float
    gray: bool
    contrast: float

    def distances(self, features: Tensor) -> Tensor:
        """Distance of each image (N,), from its features (N, D) as `recording_features` gives them."""
        centered = (features - self.mean) / self.std
        along = centered @ self.axes.T  # (N, K)
        rest = (centered.square().sum(dim=1) - along.square().sum(dim=1)).clamp(min=0)
        return ((along.square() / self.variances[:-1]).sum(dim=1) + rest / self.variances[-1]).sqrt()

    def is_far(self, features: Tensor) -> Tensor:
        """Bool (N,): images beyond the limit, or of features that are no finite numbers."""
        return ~(self.distances(features) <= self.limit)

    def is_plain(self, images: Tensor) -> Tensor:
        """Bool (N,): images, uint8 (N, C, H, W), of less contrast than any training image."""
        return torch.tensor([contrast(image) < self.contrast for image in images])

    def is_unlike(self, features: Tensor, images: Tensor) -> Tensor:
        """Bool (N,): images, uint8 (N, C, H, W), that are far by their features (N, D), or plain.

        Color is not asked for: in memory images have the channels of the network. `predict` reads it from the file.
        """
        return self.is_far(features) | self.is_plain(images)


@contextlib.contextmanager
def recording_features(model: nn.Module) -> Iterator[list[Tensor]]:
    """While inside, every call of `model` adds to a list what it sees in its images: float32 (N, D), on the CPU.

    Of the images and of the last maps of each size that layers put out, that is the mean in each of 3x3 fields of each
    channel (of at most 96 of them): what is there, and where.
    """
    features: list[Tensor] = []
    last: dict[torch.Size, Tensor] = {}

    def keep(_layer: nn.Module, _inputs: object, output: object) -> None:
        if isinstance(output, Tensor) and output.ndim == 4:
            last[output.shape[2:]] = output

    def finish(_model: nn.Module, inputs: tuple[Tensor, ...], _output: object) -> None:
        fields = [_fields(maps) for maps in (inputs[0], *last.values())]
        features.append(torch.cat(fields, dim=1).cpu())
        last.clear()

    hooks = [layer.register_forward_hook(keep) for layer in model.modules() if layer is not model]
    hooks.append(model.register_forward_hook(finish))
    try:
        yield features
    finally:
        for hook in hooks:
            hook.remove()


def _fields(maps: Tensor) -> Tensor:
    """Maps (N, C, H, W) to (N, D)."""
    chosen = maps.detach().float()[:, :: -(-maps.shape[1] // CHANNELS)]
    return F.adaptive_avg_pool2d(chosen, min(GRID, *chosen.shape[2:])).flatten(start_dim=1)


@torch.no_grad()
def describe(model: nn.Module, images: ImageSet, *, doing: str = "comparing images") -> Tensor:
    """The features (N, D) of all images, as `recording_features` gives them, in evaluation mode."""
    batches = Batches(images, 128, device=next(model.parameters()).device)
    with evaluation_mode(model), recording_features(model) as features:
        for batch, _ in watched(batches, len(batches), doing, "batches"):
            model(batch)
    return torch.cat(features)


def make_reference(model: nn.Module, train: ImageSet, val: ImageSet) -> tuple[Reference, int]:
    """Where the training images lie, with the limit that at most 1% of the validation images exceed.

    Of many training images 2,000 are drawn, always the same.

    Returns:
        The reference, and how many of the validation images are unlike the training images.
    """
    draw = torch.Generator().manual_seed(0)
    sample = train.subset(torch.randperm(len(train), generator=draw)[:MOST_IMAGES])
    features = describe(model, sample, doing="noting what the images are like").double()
    spread = features.std(dim=0, correction=0)
    std = spread.clamp(min=max(0.1 * float(spread.mean()), 1e-6))  # or silent channels, once heard, outweigh all
    mean = features.mean(dim=0)
    count = max(1, min(AXES, len(features) // 4))
    pca = PCA(count, random_state=0).fit(((features - mean) / std).float().numpy())
    variances = np.append(pca.explained_variance_, pca.noise_variance_).clip(min=1e-6)
    reference = Reference(
        mean=mean.float(),
        std=std.float(),
        axes=torch.from_numpy(pca.components_).float(),
        variances=torch.from_numpy(variances).float(),
        limit=math.inf,
        gray=not any(is_colored(image) for image in sample.images),
        contrast=min(contrast(image) for image in sample.images),
    )
    features = describe(model, val, doing="comparing the validation images with that")
    limit = float(np.quantile(reference.distances(features).numpy(), 1 - SHARE, method="higher"))
    reference = replace(reference, limit=limit)
    return reference, int(reference.is_unlike(features, val.images).sum())


def contrast(image: Tensor) -> float:
    """The standard deviation of the pixels of an image, uint8 (C, H, W), within a channel; the mean over channels."""
    return float(image.double().std(dim=(1, 2), correction=0).mean())


def is_colored(image: Tensor) -> bool:
    """Whether an image, uint8 (C, H, W), is in color: its channels differ by more than 5 of 255 on average."""
    wide = image.float()
    return float((wide.amax(dim=0) - wide.amin(dim=0)).mean()) > COLOR


def save_reference(path: Path, reference: Reference) -> None:
    """Write a reference as safetensors, atomically.

    Raises:
        OSError: it cannot be written.
    """
    tensors = {name: getattr(reference, name).contiguous() for name in ("mean", "std", "axes", "variances")}
    for name in ("limit", "gray", "contrast"):
        number = getattr(reference, name)
        tensors[name] = torch.tensor(number, dtype=torch.bool if name == "gray" else torch.float64)

    def write(temporary: Path) -> None:
        try:
            save_file(tensors, temporary)
        except SafetensorError as error:  # how safetensors reports a full disk
            raise OSError(str(error)) from error

    write_atomically(path, write)


def load_reference(path: Path) -> Reference | None:
    """The reference of a run folder; None where there is none, as in runs of older versions.

    Raises:
        ValueError: the file is damaged.
    """
    if not path.is_file():
        return None
    try:
        tensors = load_file(path)
        limit, gray = float(tensors.pop("limit")), bool(tensors.pop("gray"))
        lowest = float(tensors.pop("contrast", 0))  # older ones hold none
        return Reference(**tensors, limit=limit, gray=gray, contrast=lowest)
    except (SafetensorError, KeyError, TypeError, OSError) as error:
        raise ValueError(
            f"{path}: damaged ({error}); train again, or delete this file, and unlike images go unnoticed."
        ) from error
