"""What the feature explorer shows, computed beforehand: images, maps and Grad-CAM as small gray pictures."""

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from PIL import Image
from torch import Tensor, nn

from course_lib.explain import feature_maps, grad_cam
from course_lib.runtime import evaluation_mode

BUDGET = 276_000  # pixels of all pictures; a PNG needs about half a byte for each
MOST_CLASSES = 10


@dataclass(frozen=True)
class Preparation:
    """Which maps of a network are prepared for each image.

    Attributes:
        model: takes images, returns logits (N, num_classes).
        layers: by name.
        channels: of each layer, those whose maps are prepared.
        targets: the classes for which Grad-CAM is prepared.
    """

    model: nn.Module
    layers: dict[str, nn.Module]
    channels: list[list[int]]
    targets: list[int]

    def describe(self, images: Tensor, names: Sequence[str]) -> list[dict[str, Any]]:
        """For each image what the page needs: pictures (all maps of a layer one below the other), and numbers."""
        probs = probabilities(self.model, images)
        maps = feature_maps(self.model, images, *self.layers.values())
        targets = torch.tensor(self.targets).repeat(len(images))
        repeated = images.repeat_interleave(len(self.targets), dim=0)
        heats = [
            grad_cam(self.model, repeated, targets, layer=layer, enlarge=False).unflatten(0, (len(images), -1))
            for layer in self.layers.values()
        ]
        return [
            {
                "name": name,
                "picture": data_uri(images[n].clamp(0, 1)),
                "probs": [round(prob, 6) for prob in probs[n].tolist()],
                "layers": [
                    _layer(of_layer[n][channels], heat[n])
                    for of_layer, channels, heat in zip(maps, self.channels, heats, strict=True)
                ],
            }
            for n, name in enumerate(names)
        ]


def _layer(maps: Tensor, heats: Tensor) -> dict[str, Any]:
    """Of one layer: each channel's map scaled from its least to its largest number, and each class's heat from 0."""
    ranges = [[_rounded(float(values.min())), _rounded(float(values.max()))] for values in maps]
    relative = heats / heats.amax(dim=(1, 2), keepdim=True).clamp(min=1e-30)
    return {
        "maps": data_uri(torch.cat([scaled(values) for values in maps])),
        "ranges": ranges,
        "heats": data_uri(relative.flatten(0, 1)),
        "speaks": [bool(heat.any()) for heat in heats],
    }


def prepare(
    model: nn.Module, images: Tensor, layers: dict[str, nn.Module], num_classes: int
) -> tuple[Preparation, list[int]]:
    """As many maps and images as a page can hold, evenly chosen; each layer gets channels by the length of its sides.

    What is chosen depends on shapes alone (and the classes, if there are more than ten, on the probabilities), so that
    it is the same on each machine.

    Returns:
        the preparation, and which of the images are prepared.
    """
    targets = list(range(num_classes))
    if num_classes > MOST_CLASSES:
        targets = sorted(probabilities(model, images).mean(dim=0).topk(MOST_CLASSES).indices.tolist())
    shapes = [maps.shape[1:] for maps in feature_maps(model, images[:1], *layers.values())]
    always = images[0].numel() + len(targets) * sum(height * width for _, height, width in shapes)
    chosen = _evenly(len(images), BUDGET // (2 * always))
    share = (BUDGET / len(chosen) - always) / sum((height * width) ** 0.5 for _, height, width in shapes)
    channels = [_evenly(count, int(share / (height * width) ** 0.5)) for count, height, width in shapes]
    return Preparation(model, layers, channels, targets), chosen


def _evenly(total: int, most: int) -> list[int]:
    """At least one of 0..total-1, at most `most`, as far apart as they can be.

    >>> _evenly(16, 3)
    [0, 5, 10]
    """
    count = min(total, max(most, 1))
    return [number * total // count for number in range(count)]


def probabilities(model: nn.Module, images: Tensor) -> Tensor:
    """Of each class, (N, num_classes)."""
    with evaluation_mode(model), torch.no_grad():
        return model(images).softmax(dim=1)


def data_uri(values: Tensor) -> str:
    """Numbers in 0..1, (height, width), or (C, height, width) with one channel or three, as a PNG of 8 bits."""
    pixels = (values.detach().cpu() * 255).round().to(torch.uint8)
    if pixels.ndim == 3:
        pixels = pixels[0] if len(pixels) == 1 else pixels[:3].movedim(0, -1)
    buffer = io.BytesIO()
    Image.fromarray(pixels.contiguous().numpy()).save(buffer, format="png", optimize=True)
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()


def scaled(numbers: Tensor) -> Tensor:
    """From the least, which becomes 0, to the largest, 1; all 0 where they are equal."""
    low, high = numbers.min(), numbers.max()
    return (numbers - low) / (high - low).clamp(min=1e-30)


def _rounded(value: float) -> float:
    return float(f"{value:.4g}")
