"""The two types that every loader returns: a set of images in memory, and its three splits."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Self

import torch
from torch import Tensor
from torch.utils.data import Dataset

from course_lib.arguments import as_labels, as_tensor


@dataclass(frozen=True)
class ImageSet(Dataset[tuple[Tensor, int]]):
    """Labeled images held in memory as bytes.

    It is also a torchvision-style data set: `image_set[i]` is `(image, label)` with the image as float32 (C, H, W)
    in 0..1, so a `torch.utils.data.DataLoader` takes it as it is.

    Args:
        images: uint8 (N, C, H, W), 0 is black.
        labels: int64 (N,), indices into `classes`; other integers, (N, 1) and arrays are converted.
        classes: one name a label.
        groups: one string an image; images that share it (one patient's) must not be split apart.
        name: what the images are, as shown to people; says so when they are simulated.
        license: the terms under which they may be used.
        masks: bool (N, 1, H, W), true on the lesion; only simulated images have them.
        file_sizes: int64 (N, 2), height and width in pixels of the files before they were resized, where known.

    Raises:
        ValueError: the parts do not belong together.
    """

    images: Tensor
    labels: Tensor
    classes: tuple[str, ...]
    groups: tuple[str, ...]
    name: str
    license: str
    masks: Tensor | None = None
    file_sizes: Tensor | None = None

    def __post_init__(self) -> None:
        for name in ("images", "masks", "file_sizes"):
            if (values := getattr(self, name)) is not None:
                object.__setattr__(self, name, as_tensor(values, name))
        object.__setattr__(self, "labels", as_labels(self.labels))
        for name in ("classes", "groups"):
            object.__setattr__(self, name, tuple(getattr(self, name)))
        if self.images.dtype != torch.uint8 or self.images.ndim != 4:
            raise ValueError(
                f"images must be uint8 (N, C, H, W), got {self.images.dtype} {tuple(self.images.shape)}; "
                "scale to 0..255 and call .to(torch.uint8)."
            )
        if not len(self.images) == len(self.labels) == len(self.groups):
            raise ValueError(
                f"{len(self.images)} images, {len(self.labels)} labels and {len(self.groups)} groups; "
                "give one label and one group for each image."
            )
        if len(self.labels) and not 0 <= int(self.labels.min()) <= int(self.labels.max()) < len(self.classes):
            raise ValueError(
                f"labels run from {int(self.labels.min())} to {int(self.labels.max())}, but there are "
                f"{len(self.classes)} classes; labels are indices into `classes`, counted from 0."
            )

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        return self.images[index].float() / 255, int(self.labels[index])

    def counts(self) -> dict[str, int]:
        """Number of images of each class, zero included."""
        per_label = torch.bincount(self.labels, minlength=len(self.classes)).tolist()
        return dict(zip(self.classes, per_label, strict=True))

    def subset(self, indices: Sequence[int] | Tensor) -> Self:
        """The images at `indices`, in that order, with everything that belongs to them.

        Raises:
            ValueError: a Boolean mask in place of indices.
        """
        index = torch.as_tensor(indices)
        if index.dtype == torch.bool:
            raise ValueError(
                "indices must be integers, got a Boolean mask; give `mask.nonzero().flatten()`, the indices where it "
                "is true."
            )
        index = index.long()
        return replace(
            self,
            images=self.images[index],
            labels=self.labels[index],
            groups=tuple(self.groups[i] for i in index.tolist()),
            masks=None if self.masks is None else self.masks[index],
            file_sizes=None if self.file_sizes is None else self.file_sizes[index],
        )


class Splits:
    """Train, validation and test images, each read when it is first asked for.

    So a training run never opens the test folder, and an evaluation on test needs no training images.
    """

    def __init__(
        self,
        *,
        train_and_val: Callable[[], tuple[ImageSet, ImageSet]],
        test: Callable[[], ImageSet],
        path: Path | None = None,
        has_test: bool = True,
    ) -> None:
        self.path = path
        """The folder or archive that holds the images; None for simulated ones."""
        self.has_test = has_test
        """Whether there are test images; without, `test` is an error that says so."""
        self._load_train_and_val = train_and_val
        self._load_test = test

    @cached_property
    def _train_and_val(self) -> tuple[ImageSet, ImageSet]:
        return self._load_train_and_val()

    @property
    def train(self) -> ImageSet:
        return self._train_and_val[0]

    @property
    def val(self) -> ImageSet:
        return self._train_and_val[1]

    @cached_property
    def test(self) -> ImageSet:
        return self._load_test()
