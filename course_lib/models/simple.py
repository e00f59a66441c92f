"""The network that tutorials train on CIFAR-10: convolution blocks and a dense head."""

from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn import functional as F


class SimpleCNN(nn.Module):
    """Blocks of convolution, ReLU and pooling, then two dense layers, for square images of one fixed size.

    With 32-64-128 channels and 512 hidden units it has 1,147,466 parameters; with 16-32 channels and 128 hidden units,
    `SimpleCNN((16, 32), hidden=128, dropout=0)`, 268,650.

    Args:
        channels: of each block; each block halves the image.
        hidden: units of the dense layer between the maps and the logits.
        dropout: share of the hidden units that is silenced in training.
        batch_norm: normalize each channel over the batch, between convolution and ReLU.
        image_size: height and width of the images, in pixels.
        num_classes: number of logits.

    Raises:
        ValueError: from `forward`, images of another shape.
    """

    def __init__(
        self,
        channels: Sequence[int] = (32, 64, 128),
        *,
        hidden: int = 512,
        dropout: float = 0.5,
        batch_norm: bool = False,
        image_size: int = 32,
        num_classes: int = 10,
    ) -> None:
        super().__init__()
        self.image_shape = (3, image_size, image_size)
        layers: list[nn.Module] = []
        for before, after in zip((3, *channels), channels, strict=False):
            layers.append(nn.Conv2d(before, after, kernel_size=3, padding=1, bias=not batch_norm))
            if batch_norm:
                layers.append(nn.BatchNorm2d(after))
            layers += [nn.ReLU(), nn.MaxPool2d(kernel_size=2)]
        self.features = nn.Sequential(*layers)
        side = image_size // 2 ** len(channels)
        self.fc1 = nn.Linear(channels[-1] * side * side, hidden)
        self.dropout = nn.Dropout(dropout)
        self.fc2 = nn.Linear(hidden, num_classes)

    @property
    def target_layer(self) -> nn.Module:
        """The last layer whose output is maps, for `explain.grad_cam`."""
        return self.features[-2]

    def forward(self, images: Tensor) -> Tensor:
        """Images (N, 3, S, S) in 0..1 to logits (N, num_classes)."""
        if tuple(images.shape[1:]) != self.image_shape:
            raise ValueError(
                f"images (N, {', '.join(map(str, self.image_shape))}) expected, got {tuple(images.shape)}; "
                "resize them, or build SimpleCNN(image_size=...) for the size that you have."
            )
        maps = self.features((images - 0.5) / 0.5)  # (N, 128, S/8, S/8)
        hidden = F.relu(self.fc1(maps.flatten(start_dim=1)))  # (N, 512)
        return self.fc2(self.dropout(hidden))  # (N, num_classes)
