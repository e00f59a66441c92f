"""Batches cut straight from the images in memory, without worker processes."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from course_lib.data.images import ImageSet
from course_lib.runtime import naming_memory, to_device


@dataclass(frozen=True)
class Batches:
    """Iterate over a set in batches of float images (B, C, H, W) in 0..1 and labels (B,), on `device`.

    Bytes become floats, and are augmented, one batch at a time and as one tensor. Every iteration draws its order (and
    the augmentation its numbers) from torch's global random numbers, so that a seed set before it repeats it.

    Args:
        images: what to iterate over.
        batch_size: images in a batch; the last may be shorter.
        shuffle: in a new order each time.
        augment: applied to each float batch.
        device: where the batches are wanted.
        rank, world_size: in a team of processes, which one this is of how many; each takes its share of every batch.
            All augment the whole batch, with the same numbers, so that a team sees what one process would see.

    Raises:
        ValueError: `batch_size` is not positive.

    >>> zeros = torch.zeros(5, 1, 8, 8, dtype=torch.uint8)
    >>> five = ImageSet(zeros, torch.zeros(5, dtype=torch.long), ("NORMAL",), tuple("abcde"), "zeros", "none")
    >>> [len(labels) for _, labels in Batches(five, 2)]
    [2, 2, 1]
    """

    images: ImageSet
    batch_size: int
    shuffle: bool = False
    augment: Callable[[Tensor], Tensor] | None = None
    device: torch.device | str = "cpu"
    rank: int = 0
    world_size: int = 1

    def __post_init__(self) -> None:
        if self.batch_size < 1:
            raise ValueError(f"batch_size={self.batch_size} must be at least 1.")

    def __len__(self) -> int:
        return -(-len(self.images) // self.batch_size)

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        count, device = len(self.images), torch.device(self.device)
        order = torch.randperm(count) if self.shuffle else torch.arange(count)
        for indices in order.split(self.batch_size):
            with naming_memory(f"batches of {len(indices)} x {' x '.join(map(str, self.images.images.shape[1:]))}"):
                images = to_device(self.images.images[indices], device).float() / 255
                if self.augment is not None:
                    images = self.augment(images)
            labels = to_device(self.images.labels[indices], device)
            too_few_to_share = self.shuffle and len(indices) < self.world_size  # all processes must take a step
            share = slice(None) if too_few_to_share else slice(self.rank, None, self.world_size)
            if len(labels[share]):
                yield images[share], labels[share]
