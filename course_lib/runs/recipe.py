"""What decides a run: its data, its network and how it is trained. Stored in the run folder as config.json."""

from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Self

import torch
from torch import nn

from course_lib.data import Augmentation, Splits, load_chest_xray, load_cifar10
from course_lib.data.chest_xray import Source
from course_lib.metrics import Criterion
from course_lib.models import build_network


@dataclass(frozen=True)
class Recipe:
    """Everything that a run depends on, besides the images themselves.

    Attributes:
        task: "pneumonia" or "cifar10".
        data: where the images come from; None leaves it to `load_chest_xray`. A run folder holds what was taken.
        root: the folder that holds real images; None leaves it to the loader.
        image_size: height and width, in pixels.
        network: name of a class in `course_lib.models`.
        network_arguments: its arguments.
        epochs, batch_size, learning_rate, weight_decay, label_smoothing: see `training.fit`.
        augmentation: arguments of `Augmentation`.
        criterion: how the threshold is chosen on validation; see `choose_threshold`. Two classes only.
        seed: of the cut, the first weights and the order of the images.
    """

    task: str
    data: Source | None
    image_size: int
    network: str
    network_arguments: dict[str, Any]
    epochs: int
    root: str | None = None
    batch_size: int = 64
    learning_rate: float = 4e-3
    weight_decay: float = 0.05
    label_smoothing: float = 0.05
    augmentation: dict[str, Any] = field(default_factory=lambda: asdict(Augmentation()))
    criterion: Criterion = "youden"
    seed: int = 0

    @classmethod
    def of(cls, task: str, **changes: Any) -> Self:
        """The default recipe of a task, with some of its values changed; None changes nothing.

        Raises:
            ValueError: there is no such task.
        """
        if task not in DEFAULTS:
            raise ValueError(f"task {task!r} is not known; choose one of: {', '.join(DEFAULTS)}.")
        return replace(cls(**DEFAULTS[task]), **{name: value for name, value in changes.items() if value is not None})

    def splits(self) -> Splits:
        root = None if self.root is None else Path(self.root)
        if self.task == "cifar10":
            if self.data == "simulated":
                raise ValueError("there is no simulated CIFAR-10; leave out --data, or give --data real.")
            return load_cifar10(root=root, image_size=self.image_size, seed=self.seed)
        return load_chest_xray(self.data, root=root, image_size=self.image_size, seed=self.seed)

    def build(self) -> nn.Module:
        """The network with first weights drawn from the seed; torch's random numbers are left as they were."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.seed)
            return build_network(self.network, **self.network_arguments)


DEFAULTS: dict[str, dict[str, Any]] = {
    "pneumonia": {
        "task": "pneumonia",
        "data": None,
        "image_size": 96,
        "network": "CompactCNN",
        "network_arguments": {"in_channels": 1, "num_classes": 2, "widths": [16, 32, 64, 96, 96]},
        "epochs": 20,
        "criterion": "sensitivity",
    },
    "cifar10": {
        "task": "cifar10",
        "data": None,
        "image_size": 32,
        "network": "CompactCNN",
        "network_arguments": {"in_channels": 3, "num_classes": 10, "widths": [32, 64, 128]},
        "epochs": 10,
        "augmentation": asdict(
            Augmentation(degrees=0, shift=0.12, gamma=0, shade=0, blur=0, noise=0, horizontal_flip=True)
        ),
    },
}
