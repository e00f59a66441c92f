"""What decides a run: its data, its network and how it is trained. Stored in the run folder as config.json."""

import copy
import json
import shlex
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Self

import torch
from torch import nn

from course_lib.data import Augmentation, PhotoAugmentation, Splits, load_folder
from course_lib.data.source import loader_of
from course_lib.data_sets import OWN_IMAGES, TRANSFER, DataSet, data_set_of
from course_lib.metrics import Criterion
from course_lib.models import build_network
from course_lib.options import Source, own_images
from course_lib.training import EarlyStopping, OptimizerName

RECIPE_OPTIONS = (  # fields that `course train` has options for
    "backbone", "epochs", "learning_rate", "patience", "image_size", "seed", "classes", "subfolder",
)  # fmt: skip
AUGMENTATIONS = {augmentation.__name__: augmentation for augmentation in (Augmentation, PhotoAugmentation)}


@dataclass(frozen=True)
class Recipe:
    """Everything that a run depends on, besides the images themselves.

    Attributes:
        task: of a data set, such as "pneumonia", or "folder" for class folders of one's own.
        data: where the images come from; None leaves it to the loader. A run folder holds what was taken.
        root: the folder that holds real images; None leaves it to the loader.
        image_size: height and width that the network sees, in pixels.
        network: name of a class in `course_lib.models`, or "transfer_model".
        network_arguments: its arguments, besides the number of classes.
        layer_decay: how much slower each stage of a backbone learns than the next; None where there is no backbone.
        patience: if given, epochs without a lower validation loss after which training stops; see `EarlyStopping`.
        epochs, optimizer_name, learning_rate, weight_decay, pct_start, label_smoothing, ema_decay: see `training.fit`.
        batch_size: images in a batch, over all processes together.
        augmentation: arguments of the data set's augmentation, such as `Augmentation`.
        plain: train as tutorials do: images through a `DataLoader` one by one, in float32, channels first.
        criterion: how the threshold is chosen on validation; see `choose_threshold`. Two classes only.
        calibrate_shifted: fit temperature and a bias on validation images that are augmented as in training, since
            images of another clinic or year will differ; otherwise the temperature alone, on validation as it is. Two
            classes only.
        preset: which of the task's recipes this was at first.
        seed: of the split, the first weights and the order of the images.
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
    pct_start: float | None = 0.25
    label_smoothing: float = 0.05
    ema_decay: float | None = None
    layer_decay: float | None = None
    patience: int | None = None
    augmentation: dict[str, Any] = field(default_factory=dict)
    plain: bool = False
    criterion: Criterion = "youden"
    calibrate_shifted: bool = False
    preset: str | None = None
    seed: int = 0
    classes: list[str] | None = None
    subfolder: str | None = None

    def __post_init__(self) -> None:
        data_set_of(self.task)  # an unknown one is refused here, also from a run folder

    @classmethod
    def for_task(cls, task: str, *, preset: str | None = None, backbone: str | None = None, **changes: Any) -> Self:
        """A recipe of a task, its first one by default, with some of its values changed; None changes nothing.

        `backbone` is for the preset "transfer", one of `course_lib.models.BACKBONES`.

        Raises:
            ValueError: there is no such task, or no such preset of it.
        """
        data_set = data_set_of(task)
        chosen = data_set.preset(preset)
        defaults = {"augmentation": asdict(AUGMENTATIONS[data_set.augmentation]())}
        changed = {name: value for name, value in changes.items() if value is not None}
        fields = copy.deepcopy(defaults | dict(data_set.presets[chosen]) | changed)
        recipe = cls(task=task, preset=chosen, **fields)
        if "image_size" in recipe.network_arguments:  # a network for images of one size
            recipe.network_arguments["image_size"] = recipe.image_size
        if backbone is not None:
            recipe.network_arguments["name"] = backbone
        return recipe

    @property
    def data_set(self) -> DataSet:
        return data_set_of(self.task)

    @property
    def backbone(self) -> str | None:
        return self.network_arguments.get("name")

    @property
    def command(self) -> str:
        """What starts such a run."""
        return f"course train transfer --task {self.task}" if self.preset == TRANSFER else f"course train {self.task}"

    def command_line(self) -> tuple[str, list[str]]:
        """The whole command that trains by this recipe, and the fields that no option of it gives."""
        defaults = Recipe.for_task(self.task, preset=self.preset)
        preset = None if self.preset in (TRANSFER, Recipe.for_task(self.task).preset) else self.preset
        changed = {
            name: getattr(self, name) for name in RECIPE_OPTIONS if getattr(self, name) != getattr(defaults, name)
        }
        rebuilt = Recipe.for_task(self.task, preset=self.preset, data=self.data, root=self.root, **changed)
        fields, rebuilt_fields = (json.loads(json.dumps(asdict(recipe))) for recipe in (self, rebuilt))
        options: dict[str, Any] = {
            "preset": preset,
            "data": None if self.data_set is OWN_IMAGES else self.data,
            "root": None if self.data == "simulated" else "FOLDER",
            **changed,
            "classes": ",".join(self.classes) if self.classes else None,
        }
        words = self.command.split()
        for name, value in options.items():
            words += [f"--{name.replace('_', '-')}", str(value)] if value is not None else []
        return shlex.join(words), [name for name, value in fields.items() if value != rebuilt_fields[name]]

    @property
    def channels(self) -> int:
        return self.data_set.channels

    @property
    def evaluation_batch_size(self) -> int:
        """Images in a batch that is evaluated: 256, and of those above 128 pixels as many as hold as many pixels."""
        return max(1, min(256, 256 * 128**2 // self.image_size**2))

    @property
    def stored_size(self) -> int:
        """Height and width of the images in memory. Small ones stay as they are; backbones enlarge them themselves."""
        return (self.data_set.pixels if self.preset == TRANSFER else None) or self.image_size

    def splits(self) -> Splits:
        root = None if self.root is None else Path(self.root)
        if self.data_set is OWN_IMAGES:
            return load_folder(
                own_images(root),
                image_size=self.stored_size,
                channels=self.channels,
                seed=self.seed,
                classes=self.classes,
                subfolder=self.subfolder,
            )
        loader = loader_of(self.data_set)
        return loader.load(self.data, root=root, image_size=self.stored_size, seed=self.seed)

    def augment(self) -> Augmentation | PhotoAugmentation:
        return AUGMENTATIONS[self.data_set.augmentation](**self.augmentation)

    def training_arguments(self) -> dict[str, Any]:
        """What `training.fit` is to be told, besides batches, epochs and seed."""
        return {
            "optimizer_name": self.optimizer_name,
            "learning_rate": self.learning_rate,
            "weight_decay": self.weight_decay,
            "pct_start": self.pct_start,
            "label_smoothing": self.label_smoothing,
            "ema_decay": self.ema_decay,
            "early_stopping": None if self.patience is None else EarlyStopping(patience=self.patience),
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
