"""From a recipe to a run folder."""

import csv
import hashlib
import platform
from dataclasses import asdict, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from course_lib.checkpoint import save_weights
from course_lib.data import Augmentation, Batches, ImageSet
from course_lib.files import write_atomically
from course_lib.metrics import binary_report, choose_threshold, fit_temperature, multiclass_report
from course_lib.plots import plot_history
from course_lib.runs.folder import FORMAT, read_config, write_json
from course_lib.runs.model_card import model_card
from course_lib.runs.recipe import Recipe
from course_lib.runtime import Precision, pick_device
from course_lib.training import History, evaluate, fit


def train_run(recipe: Recipe, out: Path, *, resume: bool = False) -> dict[str, Any]:
    """Train, choose temperature and threshold on validation, and write everything into the folder `out`.

    The test images are not read.

    Args:
        recipe: what to train and how.
        out: the run folder; must not hold a run already unless `resume` is given.
        resume: go on with the run in `out`, by the recipe that it was started with. Another root may be given, when
            the same images have moved.

    Returns:
        What config.json then holds.

    Raises:
        FileExistsError: `out` holds a run already.
        FileNotFoundError: nothing to resume in `out`.
        ValueError: to be resumed with another recipe or with other images than before.
        ValueError, OSError: from the data; see `load_chest_xray`.
    """
    before: dict[str, Any] = {}
    if resume:
        before = read_config(out)
        recipe = _same_recipe(Recipe(**before["recipe"]), recipe, out)
        if "validation" in before:
            return before
    elif (out / "config.json").exists():
        raise FileExistsError(f"{out}: holds a run already; choose another --out, or go on with it by --resume.")
    splits = recipe.splits()
    train, val = splits.train, splits.val
    recipe = replace(
        recipe, data="real" if splits.found else "simulated", root=str(splits.found) if splits.found else None
    )
    config: dict[str, Any] = {
        "format": FORMAT,
        "recipe": asdict(recipe),
        "classes": list(train.classes),
        "data": {"name": train.name, "licence": train.licence, "fingerprint": _fingerprint(train, val)},
        "counts": {"train": train.counts(), "val": val.counts()},
    }
    if resume and before["data"] != config["data"]:
        raise ValueError(f"{out}: was started on other images than those found now; give their folder by --root.")
    write_json(out / "config.json", config)

    device = pick_device()
    precision = Precision.best(device)
    model = recipe.build().to(device)
    augment = Augmentation(**recipe.augmentation)
    history = fit(
        model,
        Batches(train, recipe.batch_size, shuffle=True, augment=augment, device=device),
        Batches(val, 256, device=device),
        epochs=recipe.epochs,
        learning_rate=recipe.learning_rate,
        weight_decay=recipe.weight_decay,
        label_smoothing=recipe.label_smoothing,
        precision=precision,
        seed=recipe.seed,
        state_path=out / "state.pt",
        resume=resume and (out / "state.pt").exists(),
        on_epoch=lambda history: _write_history(out, history),
    )
    save_weights(out / "weights.safetensors", model)

    outcome = evaluate(model, Batches(val, 256, device=device))
    temperature = fit_temperature(outcome.logits, outcome.labels)
    probs = (outcome.logits / temperature).softmax(dim=1)
    threshold = None
    if len(train.classes) == 2:
        threshold = choose_threshold(probs[:, 1], outcome.labels, criterion=recipe.criterion)
    config |= {
        "temperature": temperature,
        "threshold": threshold,
        "validation": report(probs, outcome.labels, threshold),
        "training": {
            "epochs": len(history.train_loss),
            "seconds": round(sum(history.seconds), 1),
            "device": str(device),
            "precision": precision.name,
            "threads": torch.get_num_threads(),
        },
        "versions": {
            "python": platform.python_version(),
            **{name: version(name) for name in ("course-lib", "torch", "torchvision", "numpy")},
        },
    }
    write_json(out / "config.json", config)
    write_atomically(out / "model_card.md", lambda path: path.write_text(model_card(config, {})))
    return config


def report(probs: Tensor, labels: Tensor, threshold: float | None) -> dict[str, Any]:
    """The scores of probabilities (N, C): a binary report with a threshold, a multiclass one without."""
    if threshold is None:
        return multiclass_report(probs, labels).as_dict()
    return binary_report(probs[:, 1], labels, threshold=threshold).as_dict()


def _same_recipe(stored: Recipe, asked: Recipe, out: Path) -> Recipe:
    """The stored recipe, with the root that was asked for; refuses what was asked for otherwise and differs."""
    if asked.task != stored.task:
        raise ValueError(f"{out}: holds a run of {stored.task}, not of {asked.task}; choose another --out.")
    usual = Recipe.of(stored.task)
    for name in ("data", "image_size", "epochs", "seed"):
        wanted, had = getattr(asked, name), getattr(stored, name)
        if wanted not in (getattr(usual, name), had, "auto"):
            raise ValueError(f"{out}: was started with {name}={had}, not {wanted}; resume without changing it.")
    return replace(stored, root=asked.root or stored.root)


def _fingerprint(*sets: ImageSet) -> str:
    """Tells whether two runs saw the same images with the same labels, in the same order."""
    digest = hashlib.sha256()
    for image_set in sets:
        digest.update(image_set.images.numpy().tobytes())
        digest.update(image_set.labels.numpy().tobytes())
    return digest.hexdigest()[:16]


def _write_history(out: Path, history: History) -> None:
    columns = history.columns()

    def write(path: Path) -> None:
        with open(path, "w", newline="") as file:
            rows = csv.writer(file)
            rows.writerow(["epoch", *columns])
            for epoch, values in enumerate(zip(*columns.values(), strict=True), start=1):
                rows.writerow([epoch, *(f"{value:.6g}" for value in values)])

    write_atomically(out / "history.csv", write)
    write_atomically(out / "curves.png", lambda path: plot_history(columns).savefig(path, format="png", dpi=120))
