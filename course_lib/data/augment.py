"""Random changes to a whole batch of images at once, that leave the diagnosis as it is."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F


@dataclass(frozen=True)
class Augmentation:
    """Each image of a batch moved and lit a little differently, drawn from torch's global random numbers.

    There is no vertical flip, as no patient is X-rayed upside down; and no horizontal flip unless asked for, as the
    side of the heart is information.

    Args:
        degrees: largest rotation to either side.
        shift: largest shift along each side, as a share of it.
        scale: largest relative change of size.
        brightness: largest amount added to all pixels, in 0..1.
        contrast: largest relative change of the pixels' distance from their mean.
        gamma: largest natural logarithm of the exponent that pixels are raised to.
        horizontal_flip: mirror half of the images.
    """

    degrees: float = 8
    shift: float = 0.06
    scale: float = 0.1
    brightness: float = 0.1
    contrast: float = 0.2
    gamma: float = 0.4
    horizontal_flip: bool = False

    def __call__(self, images: Tensor) -> Tensor:
        """Float images (N, C, H, W) in 0..1 to changed ones of the same shape and range."""

        def draw(limit: float) -> Tensor:
            return (torch.rand(len(images), device=images.device) * 2 - 1) * limit

        def each(values: Tensor) -> Tensor:
            return values.view(-1, 1, 1, 1)

        angle, zoom = draw(math.radians(self.degrees)), torch.exp(draw(self.scale))
        mirror = torch.sign(draw(1)) if self.horizontal_flip else torch.ones_like(angle)
        rows = [
            torch.stack([zoom * angle.cos() * mirror, -zoom * angle.sin(), draw(2 * self.shift)], dim=1),
            torch.stack([zoom * angle.sin() * mirror, zoom * angle.cos(), draw(2 * self.shift)], dim=1),
        ]
        grid = F.affine_grid(torch.stack(rows, dim=1), list(images.shape), align_corners=False)
        moved = F.grid_sample(images, grid, padding_mode="zeros", align_corners=False)
        mean = moved.mean(dim=(1, 2, 3), keepdim=True)
        lit = mean + (moved - mean) * each(1 + draw(self.contrast)) + each(draw(self.brightness))
        return lit.clamp(0, 1) ** each(torch.exp(draw(self.gamma)))
