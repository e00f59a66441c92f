"""The data sets and how the course trains on them: one entry each, which everything else reads.

Nothing here imports torch, which takes seconds: a data set's images are read by its loader, `course_lib/data/NAME.py`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

from course_lib.backbones import OFFLINE

TRANSFER = "transfer"
"""The preset that begins from a backbone; the command asks for it by this name, and for what to learn by --task."""


class Kind(NamedTuple):
    """The real images of a data set, or the simulated ones that stand in for them."""

    title: str
    """What people call them."""
    limits: str
    """What the scores of a network that learned from them do not show, for its model card."""
    patients: str = ""
    """Whose images they are, where a prediction might be taken for a diagnosis; each then says that it is none."""


@dataclass(frozen=True, eq=False)  # so that it can be a key
class DataSet:
    """What the course knows of a data set.

    Attributes:
        name: what `course data get` calls it; that of its loader's file.
        task: what `course train` and run folders call learning it.
        license: the terms under which the images may be used.
        channels: 1 for gray images, 3 for color.
        augmentation: the class of `course_lib.data` that changes them at random.
        presets: the fields of a `runs.Recipe` by a preset's name, the default first; None names one that needs no name.
        layout: what is looked for in a folder of real images, in words.
        real, simulated: the two kinds of images; `simulated` is None where nothing stands in for real ones.
        kaggle: the data set to add on Kaggle.
        pixels: height and width of the images, where they all have one size and it is too small for a backbone, which
            enlarges them itself.
    """

    name: str
    task: str
    license: str
    channels: Literal[1, 3]
    augmentation: Literal["Augmentation", "PhotoAugmentation"]
    presets: Mapping[str | None, Mapping[str, Any]]
    layout: str
    real: Kind
    simulated: Kind | None = None
    kaggle: str = ""
    pixels: int | None = None

    def kind(self, source: str | None) -> Kind:
        """The images of a run: simulated ones, or else real ones."""
        return self.simulated if self.simulated and source == "simulated" else self.real

    @property
    def preset_names(self) -> list[str]:
        """The presets that --preset chooses from."""
        return [name for name in self.presets if name and name != TRANSFER]

    def preset(self, name: str | None) -> str | None:
        """The name of a preset; of the default one for None.

        Raises:
            ValueError: there is no such preset.
        """
        chosen = name or next(iter(self.presets))
        if chosen not in self.presets:
            names = ", ".join(self.preset_names) or "none, leave --preset out"
            raise ValueError(f"{self.task} has no preset {name!r}; its presets: {names}.")
        return chosen


_TUTORIAL: dict[str, Any] = {
    "epochs": 5,
    "learning_rate": 1e-3,
    "weight_decay": 0.0,
    "pct_start": None,
    "label_smoothing": 0.0,
    "plain": True,
}
_FAST: dict[str, Any] = {
    "image_size": 32,
    "network": "FastCNN",
    "network_arguments": {"widths": [64, 128, 256], "flip_tta": True},
    "epochs": 6,
    "batch_size": 500,
    "optimizer_name": "muon",
    "learning_rate": 0.2,
    "weight_decay": 0.0,
    "pct_start": 0.1,
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
_MOVED_ONLY = dict.fromkeys(("brightness", "contrast", "gamma", "shade", "blur", "noise"), 0)  # of `Augmentation`
_LEFT_ALONE = _MOVED_ONLY | dict.fromkeys(("degrees", "shift", "scale", "stretch", "horizontal_flip"), 0)

CHEST_XRAY = DataSet(
    name="chest_xray",
    task="pneumonia",
    license="Kermany, Zhang and Goldbaum 2018, doi 10.17632/rscbjbr9sj.2, CC BY 4.0",
    channels=1,
    augmentation="Augmentation",
    presets={
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
            "augmentation": _LEFT_ALONE,
            "criterion": "sensitivity",
        },
        TRANSFER: _TRANSFER
        | {
            "network_arguments": _TRANSFER["network_arguments"] | {"in_channels": 1},
            # Changed in light and sharpness as well, the images no longer suit the frozen batch norms.
            "augmentation": _MOVED_ONLY,
            "ema_decay": 0.995,  # the mean of the weights on the way from the probe stays closer to ImageNet's
            "criterion": "sensitivity",
            "calibrate_shifted": True,
        },
    },
    layout="chest_xray/train/NORMAL/... or a pneumoniamnist .npz file",
    real=Kind(
        "chest X-rays",
        "Not for diagnosis. The X-rays are of children aged one to five, from one hospital in Guangzhou; nothing shows "
        "that the scores hold for adults, other hospitals or other machines. The published test folder is drawn "
        "differently from the training folder, and validation images are cut from training: a validation score says "
        "little about the test score, and neither says much about a clinic.",
        patients="one hospital's children",
    ),
    simulated=Kind(
        "simulated radiographs, of no real patient",
        "Not for diagnosis. Trained on simulated radiographs: the scores show that the method works, and nothing about "
        "patients. On real X-rays its predictions mean nothing.",
        patients="simulated patients",
    ),
    kaggle="paultimothymooney/chest-xray-pneumonia",
)

CIFAR10 = DataSet(
    name="cifar10",
    task="cifar10",
    license="Krizhevsky 2009, 'Learning multiple layers of features from tiny images'; no formal license",
    channels=3,
    augmentation="PhotoAugmentation",
    presets={
        "fast": _FAST,
        "best": _FAST
        | {
            "network_arguments": {"widths": [64, 256, 256], "flip_tta": True},
            "epochs": 30,
            "weight_decay": 0.05,
            "augmentation": {"shift": 4, "cutout": 12},
        },
        TRANSFER: _TRANSFER | {"image_size": 96, "epochs": 2, "augmentation": {"shift": 2}},
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
    layout="cifar-10-python.tar.gz or cifar10/train/airplane/...",
    real=Kind(
        "CIFAR-10",
        "Photographs of 32 pixels in ten classes. For an image of anything else one of the ten is predicted all the "
        "same, often with a high probability.",
    ),
    simulated=Kind(
        "simulated objects, no photographs",
        "Trained on computed pictures of simple objects: the scores show that the method works. They say nothing about "
        "CIFAR-10, and predictions for photographs mean nothing.",
    ),
    kaggle="swaroopkml/cifar10-pngs-in-folders",
    pixels=32,
)

FASHION_MNIST = DataSet(
    name="fashion_mnist",
    task="fashion_mnist",
    license="Xiao, Rasul and Vollgraf 2017, arXiv 1708.07747, MIT license",
    channels=1,
    augmentation="PhotoAugmentation",
    presets={
        None: {
            "image_size": 28,
            "network": "CompactCNN",
            "network_arguments": {"in_channels": 1, "widths": [32, 64, 128]},
            "epochs": 8,
            "batch_size": 128,
            "augmentation": {"shift": 2},
        },
    },
    layout="train-images-idx3-ubyte.gz and three more files, in a folder such as fashion-mnist or FashionMNIST/raw",
    real=Kind(
        "Fashion-MNIST",
        "Pictures of 28 pixels of single articles of one shop, cut out and bright on black. A photograph looks "
        "different, and for an image of anything else one of the ten classes is predicted all the same.",
    ),
    pixels=28,
)

OWN_IMAGES = DataSet(
    name="folder",
    task="folder",
    license="your own",
    channels=3,
    augmentation="PhotoAugmentation",
    presets={TRANSFER: _TRANSFER},
    layout="a folder for each class",
    real=Kind(
        "images of your own",
        "The scores hold for images that come about as these did. Whether images of one person or one place are in "
        "both training and test was not checked, and for an image of anything else one of the classes is predicted "
        "too.",
    ),
)
"""Whatever images --root names, by `load_folder`; nothing to list, to get or to look for."""

DATA_SETS = {data_set.name: data_set for data_set in (CHEST_XRAY, CIFAR10, FASHION_MNIST)}
TASKS = {data_set.task: data_set for data_set in (*DATA_SETS.values(), OWN_IMAGES)}


def data_set_of(task: str) -> DataSet:
    """The data set of a task.

    Raises:
        ValueError: there is no such task; the message lists them.
    """
    if task not in TASKS:
        raise ValueError(f"task {task!r} is not known; choose one of: {', '.join(TASKS)}.")
    return TASKS[task]
