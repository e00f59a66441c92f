"""Random changes to a whole batch of images at once, that leave the diagnosis as it is."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F


@dataclass(frozen=True)
class Augmentation:
    """Each image of a batch moved, lit and blurred a little differently, drawn from torch's global random numbers.

    There is no vertical flip, as no patient is X-rayed upside down; and no horizontal flip unless asked for, as the
    side of the heart is information. The result may leave 0..1 by a little.

    Args:
        degrees: largest rotation to either side.
        shift: largest shift along each side, as a share of it.
        scale: largest natural logarithm of the change of size.
        brightness: largest amount added to all pixels.
        contrast: largest relative change of the pixels' distance from their mean.
        gamma: largest natural logarithm of the exponent that pixels are raised to.
        shade: largest relative change of light from one border to the opposite one, with blotches of half as much.
        blur: largest share of each pixel that comes from its 3x3 neighbourhood; half of the images stay sharp.
        noise: largest standard deviation of the noise added to each pixel.
        horizontal_flip: mirror half of the images.
    """

    degrees: float = 8
    shift: float = 0.06
    scale: float = 0.1
    brightness: float = 0.1
    contrast: float = 0.2
    gamma: float = 0.4
    shade: float = 0.3
    blur: float = 1.0
    noise: float = 0.1
    horizontal_flip: bool = False

    def __call__(self, images: Tensor) -> Tensor:
        """Float images (N, C, H, W) in 0..1 to changed ones of the same shape."""
        return self._degrade(self._light(self._move(images)))

    def _move(self, images: Tensor) -> Tensor:
        angle, zoom = _draw(images, math.radians(self.degrees)).flatten(), _draw(images, self.scale).exp().flatten()
        mirror = _draw(images, 1).flatten().sign() if self.horizontal_flip else 1
        across, down = _draw(images, 2 * self.shift).flatten(), _draw(images, 2 * self.shift).flatten()
        rows = [
            torch.stack([zoom * angle.cos() * mirror, -zoom * angle.sin(), across], dim=1),
            torch.stack([zoom * angle.sin() * mirror, zoom * angle.cos(), down], dim=1),
        ]
        grid = F.affine_grid(torch.stack(rows, dim=1), list(images.shape), align_corners=False)
        return F.grid_sample(images, grid, padding_mode="zeros", align_corners=False)

    def _light(self, images: Tensor) -> Tensor:
        mean = images.mean(dim=(1, 2, 3), keepdim=True)
        lit = mean + (images - mean) * (1 + _draw(images, self.contrast)) + _draw(images, self.brightness)
        lit = lit.clamp(0, 1) ** _draw(images, self.gamma).exp()
        height, width = (torch.linspace(-1, 1, side, device=images.device) for side in images.shape[2:])
        tilt = _draw(images, self.shade) * height[:, None] + _draw(images, self.shade) * width
        coarse = torch.randn(len(images), 1, 4, 4, device=images.device) * self.shade / 2
        return lit * (1 + tilt) + F.interpolate(coarse, size=images.shape[2:], mode="bicubic")

    def _degrade(self, images: Tensor) -> Tensor:
        share = _draw(images, self.blur).clamp(min=0)  # negative, and so 0, for half of the images
        blurred = images + share * (F.avg_pool2d(images, 3, stride=1, padding=1) - images)
        return blurred + torch.randn_like(images) * _draw(images, self.noise)


def _draw(images: Tensor, limit: float) -> Tensor:
    """One number an image, (N, 1, 1, 1), uniform between -limit and limit."""
    return (torch.rand(len(images), 1, 1, 1, device=images.device) * 2 - 1) * limit
