"""Random changes to a whole batch of images at once, that leave the answer as it is."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F


@dataclass(frozen=True)
class Augmentation:
    """For radiographs: each image of a batch moved, stretched, lit and blurred a little differently.

    The numbers are drawn from torch's global random numbers. There is no vertical flip, as no patient is X-rayed upside
    down; and no horizontal flip unless asked for, as the side of the heart is information. The result may leave 0..1 by
    a little.

    Args:
        degrees: largest rotation to either side.
        shift: largest shift along each side, as a share of it.
        scale: largest natural logarithm of the change of size.
        stretch: largest natural logarithm of the change of width, and of height, each drawn by itself. Images that were
            squeezed to a square show how wide the film was for its height; a random stretch blurs that trace.
        brightness: largest amount added to all pixels.
        contrast: largest relative change of the pixels' distance from their mean.
        gamma: largest natural logarithm of the exponent that pixels are raised to.
        shade: largest relative change of light from one border to the opposite one, with blotches of half as much.
        blur: largest share of each pixel that comes from its 3x3 neighborhood; half of the images stay sharp. Beyond
            the border the neighborhood is 0, so that the outermost pixels darken.
        noise: largest standard deviation of the noise added to each pixel.
        horizontal_flip: mirror half of the images.
    """

    degrees: float = 8
    shift: float = 0.06
    scale: float = 0.1
    stretch: float = 0.1
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
        angle, zoom = _draw(images, math.radians(self.degrees)).flatten(), _draw(images, self.scale).exp()
        wide, high = ((zoom * _draw(images, self.stretch).exp()).flatten() for _ in range(2))
        mirror = _draw(images, 1).flatten().sign() if self.horizontal_flip else 1
        across, down = _draw(images, 2 * self.shift).flatten(), _draw(images, 2 * self.shift).flatten()
        rows = [
            torch.stack([wide * angle.cos() * mirror, -wide * angle.sin(), across], dim=1),
            torch.stack([high * angle.sin() * mirror, high * angle.cos(), down], dim=1),
        ]
        grid = F.affine_grid(torch.stack(rows, dim=1), list(images.shape), align_corners=False)
        # Mirrored where the grid leaves the image: with black corners, which no other image has, the loss on validation
        # was half as large again.
        return F.grid_sample(images, grid, padding_mode="reflection", align_corners=False)

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


@dataclass(frozen=True)
class PhotoAugmentation:
    """For photographs: each image of a batch shifted, mirrored, recolored and partly covered, each its own way.

    The numbers are drawn from torch's global random numbers. The result may leave 0..1 by a little.

    Args:
        shift: largest shift along each side, in pixels; what comes into view is the picture mirrored at its border.
        flip: mirror half of the images, left to right.
        color: largest relative change of contrast and of each channel's strength.
        cutout: side of the square that covers a part of each image in gray, in pixels; its center lies anywhere.

    Source: DeVries and Taylor 2017, "Improved regularization of convolutional neural networks with cutout".
    """

    shift: int = 4
    flip: bool = True
    color: float = 0.0
    cutout: int = 0

    def __call__(self, images: Tensor) -> Tensor:
        """Float images (N, C, H, W) in 0..1 to changed ones of the same shape."""
        if self.shift or self.flip:
            images = self._move(images)
        if self.color:
            mean = images.mean(dim=(1, 2, 3), keepdim=True)
            images = mean + (images - mean) * (1 + _draw(images, self.color))
            images = images * (1 + _draw(images, self.color, channels=images.shape[1]))
        return self._cover(images) if self.cutout else images

    def _move(self, images: Tensor) -> Tensor:
        count, channels, height, width = images.shape
        rows = self._source_indices(count, height, images.device)[:, None, :, None]  # (N, 1, H, 1)
        columns = self._source_indices(count, width, images.device)
        if self.flip:
            mirrored = torch.rand(count, 1, device=images.device) < 0.5
            columns = torch.where(mirrored, columns.flip(1), columns)
        images = images.gather(2, rows.expand(-1, channels, -1, width))
        return images.gather(3, columns[:, None, None, :].expand(-1, channels, height, -1))

    def _source_indices(self, count: int, side: int, device: torch.device) -> Tensor:
        """Which pixel stands where after the shift, (N, side)."""
        shifts = torch.randint(-self.shift, self.shift + 1, (count, 1), device=device)
        indices = (torch.arange(side, device=device) + shifts).abs()  # mirrored at the first pixel,
        return side - 1 - (side - 1 - indices).abs()  # and at the last

    def _cover(self, images: Tensor) -> Tensor:
        count, _, height, width = images.shape
        inside = []
        for side in (height, width):
            center = torch.randint(0, side, (count, 1), device=images.device)
            first = center - self.cutout // 2
            index = torch.arange(side, device=images.device)
            inside.append((index >= first) & (index < first + self.cutout))
        covered = inside[0][:, None, :, None] & inside[1][:, None, None, :]  # (N, 1, H, W)
        return images.masked_fill(covered, 0.5)


def _draw(images: Tensor, limit: float, *, channels: int = 1) -> Tensor:
    """One number an image (or a channel), (N, channels, 1, 1), uniform between -limit and limit."""
    return (torch.rand(len(images), channels, 1, 1, device=images.device) * 2 - 1) * limit
