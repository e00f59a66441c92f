"""The networks of lessons 2 and 3: a dense head on three blocks, its pooled twin, and a compact one of five blocks."""

from torch import Tensor, nn
from torch.nn import functional as F

from course_lib.anatomy import conv_output_size


def _block(in_channels: int, out_channels: int) -> nn.Sequential:
    """Convolution, batch norm, ReLU, and pooling that halves height and width."""
    return nn.Sequential(
        nn.Conv2d(in_channels, out_channels, kernel_size=3, padding=1),
        nn.BatchNorm2d(out_channels),
        nn.ReLU(),
        nn.MaxPool2d(kernel_size=2),
    )


def _check_large_enough(images: Tensor, *, blocks: int) -> None:
    smallest = 2**blocks
    if min(images.shape[2:]) < smallest:
        raise ValueError(
            f"images of at least {smallest}x{smallest} pixels expected, got {tuple(images.shape[2:])}; "
            "enlarge them or use fewer blocks."
        )


class PneumoniaCNN(nn.Module):
    """Three convolution blocks and a dense head, for square images of one fixed size.

    At 256 pixels it has 67,268,418 parameters, of which 67,109,376 sit in `fc1`, the first dense layer.

    Args:
        image_size: height and width of the images, in pixels; fixes the size of `fc1`.
        in_channels: 1 for gray images, 3 for color.
        num_classes: number of logits.

    Raises:
        ValueError: from `forward`, images of another shape.
    """

    def __init__(self, image_size: int = 256, *, in_channels: int = 1, num_classes: int = 2) -> None:
        super().__init__()
        self.image_shape = (in_channels, image_size, image_size)
        self.conv_block1 = _block(in_channels, 32)
        self.conv_block2 = _block(32, 64)
        self.conv_block3 = _block(64, 128)
        side = image_size
        for _ in range(3):
            side = conv_output_size(side, 2, stride=2)
        self.flatten = nn.Flatten()
        self.fc1 = nn.Linear(128 * side * side, 512)
        self.dropout1 = nn.Dropout(0.5)
        self.fc2 = nn.Linear(512, 128)
        self.dropout2 = nn.Dropout(0.5)
        self.fc3 = nn.Linear(128, num_classes)

    @property
    def target_layer(self) -> nn.Module:
        """The last layer whose output is maps, for `explain.grad_cam`."""
        return self.conv_block3[2]

    def forward(self, images: Tensor) -> Tensor:
        """Images (N, in_channels, image_size, image_size) to logits (N, num_classes)."""
        if tuple(images.shape[1:]) != self.image_shape:
            raise ValueError(
                f"images (N, {', '.join(map(str, self.image_shape))}) expected, got {tuple(images.shape)}; "
                "resize them, or build PneumoniaCNN(image_size=...) for the size that you have."
            )
        maps = self.conv_block1(images)  # (N, 32, S/2, S/2)
        maps = self.conv_block2(maps)  # (N, 64, S/4, S/4)
        maps = self.conv_block3(maps)  # (N, 128, S/8, S/8)
        features = self.flatten(maps)  # (N, 128 * S/8 * S/8)
        features = self.dropout1(F.relu(self.fc1(features)))  # (N, 512)
        features = self.dropout2(F.relu(self.fc2(features)))  # (N, 128)
        return self.fc3(features)  # (N, num_classes)


class PooledCNN(nn.Module):
    """The blocks of `PneumoniaCNN`, then the mean of each map and one dense layer: any image size, 93,122 parameters.

    Args:
        in_channels: 1 for gray images, 3 for color.
        num_classes: number of logits.

    Raises:
        ValueError: from `forward`, images too small to be halved three times.
    """

    def __init__(self, *, in_channels: int = 1, num_classes: int = 2) -> None:
        super().__init__()
        self.blocks = nn.Sequential(_block(in_channels, 32), _block(32, 64), _block(64, 128))
        self.head = nn.Linear(128, num_classes)

    @property
    def target_layer(self) -> nn.Module:
        """The last layer whose output is maps, for `explain.grad_cam`."""
        return self.blocks[-1][2]  # type: ignore[index]  # a block is a Sequential

    def forward(self, images: Tensor) -> Tensor:
        """Images (N, in_channels, H, W) to logits (N, num_classes)."""
        _check_large_enough(images, blocks=3)
        pooled = self.blocks(images).mean(dim=(2, 3))  # (N, 128)
        return self.head(pooled)  # (N, num_classes)


class CompactCNN(nn.Module):
    """Convolution blocks, then the mean of each map instead of a flattened head: any image size, few parameters.

    Its first step standardizes each image by its own mean and spread, channel by channel, so that exposure does not
    matter; nothing has to be remembered between training and use.

    Args:
        in_channels: 1 for gray images, 3 for color.
        num_classes: number of logits.
        widths: channels of each block; the last is also the number of features. Each block halves the image.

    Raises:
        ValueError: from `forward`, images too small to be halved once for each block.
    """

    classes: tuple[str, ...]
    image_size: int
    """Names of the logits and height of the images that it was trained on, in a network that `load_trained` made."""

    def __init__(
        self, *, in_channels: int = 1, num_classes: int = 2, widths: tuple[int, ...] = (16, 32, 64, 96, 96)
    ) -> None:
        super().__init__()
        self.standardize = nn.InstanceNorm2d(in_channels)
        self.blocks = nn.Sequential(
            *(_block(before, after) for before, after in zip((in_channels, *widths), widths, strict=False))
        )
        self.head = nn.Linear(widths[-1], num_classes)

    @property
    def target_layer(self) -> nn.Module:
        """The last layer whose output is maps, for `explain.grad_cam`."""
        return self.blocks[-1][2]  # type: ignore[index]  # a block is a Sequential

    def forward(self, images: Tensor) -> Tensor:
        """Images (N, in_channels, H, W) to logits (N, num_classes)."""
        _check_large_enough(images, blocks=len(self.blocks))
        maps = self.blocks(self.standardize(images))  # (N, 96, H/32, W/32)
        pooled = maps.mean(dim=(2, 3))  # (N, 96)
        return self.head(pooled)  # (N, num_classes)
