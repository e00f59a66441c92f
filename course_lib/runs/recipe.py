"""What decides a run: its data, its network and how it is trained. Stored in the run folder as config.json."""

import copy
import json
import shlex
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any, Literal, Self

import torch
from torch import nn

from course_lib.data import Augmentation, PhotoAugmentation, Splits, load_chest_xray, load_cifar10, load_folder
from course_lib.data.source import Source
from course_lib.metrics import Criterion
from course_lib.models import OFFLINE, build_network
from course_lib.options import own_images
from course_lib.training import OptimizerName

Preset = Literal["tutorial", "fast", "best", "transfer"]


@dataclass(frozen=True)
class Recipe:
    """Everything that a run depends on, besides the images themselves.

    Attributes:
        task: "pneumonia", "cifar10", or "folder" for class folders of one's own.
        data: where the images come from; None leaves it to the loader. A run folder holds what was taken.
        root: the folder that holds real images; None leaves it to the loader.
        image_size: height and width that the network sees, in pixels.
        network: name of a class in `course_lib.models`, or "transfer_model".
        network_arguments: its arguments, besides the number of classes.
        layer_decay: how much slower each stage of a backbone learns than the next; None where there is no backbone.
        epochs, optimizer_name, learning_rate, weight_decay, warmup, label_smoothing, average_decay: see `training.fit`.
        batch_size: images in a batch, over all processes together.
        augmentation: arguments of `Augmentation`, or for photographs of `PhotoAugmentation`.
        plain: train as tutorials do: images through a `DataLoader` one by one, in float32, channels first.
        criterion: how the threshold is chosen on validation; see `choose_threshold`. Two classes only.
        calibrate_shifted: fit temperature and a bias on validation images that are augmented as in training, since
            images of another clinic or year will differ; otherwise the temperature alone, on validation as it is. Two
            classes only.
        preset: which of the task's recipes this was at first.
        seed: of the cut, the first weights and the order of the images.
        classes, subfolder: which folders of one's own hold the images; see `load_folder`.
    """

    task: str
    image_size: int
    network: str
    network_arguments: dict[str, Any]
    epochs: int
    data: Source | None = None
    root: str | None = None
    batch_size: int = 64
    optimizer_name: OptimizerName = "adamw"
    learning_rate: float = 4e-3
    weight_decay: float = 0.05
    warmup: float | None = 0.25
    label_smoothing: float = 0.05
    average_decay: float | None = None
    layer_decay: float | None = None
    augmentation: dict[str, Any] = field(default_factory=lambda: asdict(Augmentation()))
    plain: bool = False
    criterion: Criterion = "youden"
    calibrate_shifted: bool = False
    preset: Preset | None = None
    seed: int = 0
    classes: list[str] | None = None
    subfolder: str | None = None

    @classmethod
    def of(cls, task: str, *, preset: Preset | None = None, backbone: str | None = None, **changes: Any) -> Self:
        """A recipe of a task, its first one by default, with some of its values changed; None changes nothing.

        `backbone` is for the preset "transfer", one of `course_lib.models.BACKBONES`.

        Raises:
            ValueError: there is no such task, or no such preset of it.
        """
        if task not in PRESETS:
            raise ValueError(f"task {task!r} is not known; choose one of: {', '.join(PRESETS)}.")
        chosen = preset or next(iter(PRESETS[task]))
        if chosen not in PRESETS[task]:
            there = ", ".join(name for name in PRESETS[task] if name not in (None, "transfer"))
            there = there or "none, leave --preset out"
            raise ValueError(f"{task} has no preset {preset!r}; its presets: {there}.")
        changed = {name: value for name, value in changes.items() if value is not None}
        recipe = replace(cls(task=task, preset=chosen, **copy.deepcopy(PRESETS[task][chosen])), **changed)
        if "image_size" in recipe.network_arguments:  # a network for images of one size
            recipe.network_arguments["image_size"] = recipe.image_size
        if backbone is not None:
            recipe.network_arguments["name"] = backbone
        return recipe

    @property
    def backbone(self) -> str | None:
        return self.network_arguments.get("name")

    @property
    def command(self) -> str:
        """What starts such a run."""
        return f"course train transfer --task {self.task}" if self.preset == "transfer" else f"course train {self.task}"

    def command_line(self) -> tuple[str, list[str]]:
        """The whole command that trains by this recipe, and the fields that no option of it gives."""
        usual = Recipe.of(self.task, preset=self.preset)
        preset = None if self.preset in ("transfer", Recipe.of(self.task).preset) else self.preset
        given = {
            name: getattr(self, name)
            for name in ("backbone", "epochs", "image_size", "seed", "classes", "subfolder")
            if getattr(self, name) != getattr(usual, name)
        }
        again = Recipe.of(self.task, preset=self.preset, data=self.data, root=self.root, **given)
        mine, theirs = (json.loads(json.dumps(asdict(recipe))) for recipe in (self, again))
        options: dict[str, Any] = {
            "preset": preset,
            "data": None if self.task == "folder" else self.data,
            "root": None if self.data == "simulated" else "FOLDER",
            **given,
            "classes": ",".join(self.classes) if self.classes else None,
        }
        words = self.command.split()
        for name, value in options.items():
            words += [f"--{name.replace('_', '-')}", str(value)] if value is not None else []
        return shlex.join(words), [name for name, value in mine.items() if value != theirs[name]]

    @property
    def channels(self) -> int:
        return 1 if self.task == "pneumonia" else 3

    @property
    def stored_size(self) -> int:
        """Height and width of the images in memory. CIFAR-10's own are small, and backbones enlarge them themselves."""
        return 32 if self.task == "cifar10" and self.preset == "transfer" else self.image_size

    def splits(self) -> Splits:
        root = None if self.root is None else Path(self.root)
        if self.task == "folder":
            return load_folder(
                own_images(root),
                image_size=self.stored_size,
                channels=self.channels,
                seed=self.seed,
                classes=self.classes,
                subfolder=self.subfolder,
            )
        load = load_cifar10 if self.task == "cifar10" else load_chest_xray
        return load(self.data, root=root, image_size=self.stored_size, seed=self.seed)

    def augment(self) -> Augmentation | PhotoAugmentation:
        return (Augmentation if self.task == "pneumonia" else PhotoAugmentation)(**self.augmentation)

    def training_arguments(self) -> dict[str, Any]:
        """What `training.fit` is to be told, besides batches, epochs and seed."""
        return {
            "optimizer_name": self.optimizer_name,
            "learning_rate": self.learning_rate,
            "weight_decay": self.weight_decay,
            "warmup": self.warmup,
            "label_smoothing": self.label_smoothing,
            "average_decay": self.average_decay,
        }

    def build(self, num_classes: int, *, trained: bool = False) -> nn.Module:
        """The network with its first weights, drawn from the seed; torch's random numbers are left as they were.

        Args:
            num_classes: of the images.
            trained: trained weights take their place, so none of a backbone are looked for.
        """
        arguments = self.network_arguments | {"num_classes": num_classes}
        if trained and self.network == "transfer_model":
            arguments["weights"] = "random"
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.seed)
            return build_network(self.network, **arguments)


_FAST: dict[str, Any] = {
    "image_size": 32,
    "network": "FastCNN",
    "network_arguments": {"widths": [64, 128, 256], "mirror": True},
    "epochs": 7,
    "batch_size": 500,
    "optimizer_name": "muon",
    "learning_rate": 0.2,
    "weight_decay": 0.0,
    "warmup": 0.1,
    "label_smoothing": 0.1,
    "augmentation": {"shift": 2},
}
_TRANSFER: dict[str, Any] = {
    "image_size": 128,
    "network": "transfer_model",
    "network_arguments": {"name": OFFLINE, "in_channels": 3, "image_size": 128, "weights": "imagenet"},
    "epochs": 5,
    "batch_size": 64,
    "learning_rate": 1e-3,
    "layer_decay": 0.7,
    "label_smoothing": 0.1,
    "augmentation": {"shift": 8},
}
_TUTORIAL: dict[str, Any] = {
    "epochs": 5,
    "learning_rate": 1e-3,
    "weight_decay": 0.0,
    "warmup": None,
    "label_smoothing": 0.0,
    "plain": True,
}
PRESETS: dict[str, dict[Preset | None, dict[str, Any]]] = {
    "pneumonia": {
        None: {
            "image_size": 96,
            "network": "CompactCNN",
            "network_arguments": {"in_channels": 1, "widths": [16, 32, 64, 96, 96]},
            "epochs": 20,
            "criterion": "sensitivity",
            "calibrate_shifted": True,
        },
        "tutorial": _TUTORIAL
        | {
            "image_size": 256,
            "network": "PneumoniaCNN",
            "network_arguments": {"image_size": 256},
            "augmentation": dict.fromkeys((one.name for one in fields(Augmentation)), 0),
            "criterion": "sensitivity",
        },
        "transfer": _TRANSFER
        | {
            "network_arguments": _TRANSFER["network_arguments"] | {"in_channels": 1},
            # Moved only. Changed in light and sharpness as well, the images no longer suit the frozen batch norms.
            "augmentation": {"brightness": 0, "contrast": 0, "gamma": 0, "shade": 0, "blur": 0, "noise": 0},
            "average_decay": 0.995,  # the mean of the weights on the way from the probe stays closer to ImageNet's
            "criterion": "sensitivity",
            "calibrate_shifted": True,
        },
    },
    "folder": {"transfer": _TRANSFER},
    "cifar10": {
        "fast": _FAST,
        "best": _FAST
        | {
            "network_arguments": {"widths": [64, 256, 256], "mirror": True},
            "epochs": 36,
            "weight_decay": 0.05,
            "augmentation": {"shift": 4, "cutout": 12},
        },
        "transfer": _TRANSFER | {"image_size": 96, "epochs": 2, "augmentation": {"shift": 2}},
        "tutorial": _TUTORIAL
        | {
            "image_size": 32,
            "network": "SimpleCNN",
            "network_arguments": {
                "channels": [32, 64, 128],
                "hidden": 512,
                "dropout": 0.5,
                "batch_norm": False,
                "image_size": 32,
            },
            "augmentation": {"shift": 0, "flip": False},
        },
    },
}
