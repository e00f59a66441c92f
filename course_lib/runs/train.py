"""From a recipe to a run folder."""

import csv
import math
import os
import platform
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

from course_lib.checkpoint import save_weights
from course_lib.data import Batches, ImageSet, Splits
from course_lib.distributed import Team, gather, joined, wait_for_all
from course_lib.files import as_path, write_atomically, write_text
from course_lib.flops import peak_flops
from course_lib.metrics import (
    binary_report,
    choose_threshold,
    fit_temperature,
    fit_temperature_and_bias,
    multiclass_report,
)
from course_lib.models import TransferModel, parameter_groups
from course_lib.plots import plot_history
from course_lib.progress import duration, print_progress, printing_progress
from course_lib.runs.folder import calibrated, read_config, write_json
from course_lib.runs.model_card import model_card
from course_lib.runs.recipe import Recipe
from course_lib.runs.start import begin, same_recipe
from course_lib.runs.unlike import SHARE, make_reference, save_reference
from course_lib.runtime import Precision, naming_memory, pick_device
from course_lib.training import BatchSource, History, evaluate, extract_features, fit, linear_probe

MakeBatches = Callable[..., Batches]
"""`Batches` on the device, of which this process of the team gets its share."""


def train_run(recipe: Recipe, out: str | Path, *, resume: bool = False, verbose: bool = False) -> dict[str, Any]:
    """Train, choose temperature and threshold on validation, and write everything into the folder `out`.

    The test images are not read. Where `torchrun` started several processes, they train together, and the first of them
    writes.

    Args:
        recipe: what to train and how.
        out: the run folder; must not hold a run already unless `resume` is given.
        resume: go on with the run in `out`, by the recipe that it was started with. Another root may be given, when
            the same images have moved.
        verbose: say on stderr what is being done, each epoch's scores, and how long the rest will take.

    Returns:
        What config.json then holds.

    Raises:
        FileExistsError: `out` holds a run already.
        FileNotFoundError: nothing to resume in `out`.
        ValueError: to be resumed with another recipe or with other images than before.
        ValueError, OSError: from the data; see `load_chest_xray`.
        DivergenceError: the loss is NaN or infinite.
        ConnectionError: another process of the team has ended.
        MemoryError: the images, or a batch of them in the network, do not fit into memory.
    """
    size = recipe.image_size
    with (
        joined(pick_device()) as team,
        naming_memory(f"a training and its images of {size} x {size} pixels"),
        printing_progress(verbose and team.rank == 0),
    ):
        return _train_together(recipe, as_path(out, "out"), resume=resume, team=team)


def _train_together(recipe: Recipe, out: Path, *, resume: bool, team: Team) -> dict[str, Any]:
    if resume and "validation" in (finished := read_config(out)):
        same_recipe(out, recipe)
        return {"has_test": True} | finished  # older ones do not say
    recipe, splits, config = begin(recipe, out, resume=resume, team=team)
    model = recipe.build(len(splits.train.classes)).to(pick_device())
    make_batches = partial(Batches, device=pick_device(), rank=team.rank, world_size=team.size)
    training = _fit(model, recipe, splits, make_batches, out, resume=resume and (out / "state.pt").exists(), team=team)
    if team.rank == 0:
        save_weights(out / "weights.safetensors", model)
        reference, num_unlike = make_reference(model, splits.train, splits.val)
        save_reference(out / "reference.safetensors", reference)
        config["unlike"] = {"share": SHARE, "val": num_unlike}
    config |= _on_validation(model, recipe, splits.val, make_batches)
    config["training"] = training
    config["versions"] = {
        "python": platform.python_version(),
        **{name: version(name) for name in ("course-lib", "torch", "torchvision", "numpy")},
    }
    if team.rank == 0:
        write_json(out / "config.json", config)
        write_text(out / "model_card.md", model_card(config, {}))
    return config


def _fit(
    model: nn.Module, recipe: Recipe, splits: Splits, make_batches: MakeBatches, out: Path, *, resume: bool, team: Team
) -> dict[str, Any]:
    """Train `model`; what it took, for config.json."""
    device = pick_device()
    precision = Precision(device.type, None) if recipe.plain else Precision.best(device, model)
    groups = None
    if isinstance(model, TransferModel):
        if not resume:  # with a head that knows nothing, the first steps would spoil what the backbone knows
            print_progress(f"Fitting the head to the features of {recipe.backbone}, before the backbone learns.")
            batches = make_batches(splits.train, recipe.evaluation_batch_size)
            features = extract_features(model, batches, precision=precision)
            model.head = linear_probe(*features).to(device)
        groups = parameter_groups(model, recipe.learning_rate, decay=recipe.layer_decay or 1)
    print_progress(
        f"Training {recipe.backbone or recipe.network} on {len(splits.train)} images for {recipe.epochs} epochs."
    )
    wait_for_all()  # so that all processes measure together, as they will train
    peak = float(gather(torch.tensor([peak_flops(precision, device)])).sum())
    history = fit(
        model,
        _train_batches(recipe, splits.train, make_batches),
        make_batches(splits.val, recipe.evaluation_batch_size),
        epochs=recipe.epochs,
        precision=precision,
        memory_format=torch.contiguous_format if recipe.plain else torch.channels_last,
        seed=recipe.seed,
        state_path=out / "state.pt",
        resume=resume,
        parameter_groups=groups,
        on_epoch=partial(_note_epoch, out, recipe.epochs),
        **recipe.training_arguments(),
    )
    return {
        "epochs": len(history.train_loss),
        "seconds": round(sum(history.seconds), 1),
        **_arithmetic(history, peak),
        "device": str(device),
        "precision": precision.name,
        "processes": team.size,
        "threads": torch.get_num_threads(),
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
        "commit": _commit(),
    }


def _train_batches(recipe: Recipe, train: ImageSet, make_batches: MakeBatches) -> BatchSource:
    if not recipe.plain:
        return make_batches(train, recipe.batch_size, shuffle=True, augment=recipe.augment())
    # Helpers begun otherwise than by fork, which macOS has but cannot trust, load torch anew every epoch.
    helpers, method = (min(2, os.cpu_count() or 1), "fork") if sys.platform == "linux" else (0, None)
    return DataLoader(train, recipe.batch_size, shuffle=True, num_workers=helpers, multiprocessing_context=method)


def _on_validation(model: nn.Module, recipe: Recipe, val: ImageSet, make_batches: MakeBatches) -> dict[str, Any]:
    """Temperature, bias and threshold, chosen on validation, and the scores that it then has, for config.json."""
    predictions = evaluate(model, make_batches(val, recipe.evaluation_batch_size))
    if recipe.calibrate_shifted:
        augmented = make_batches(val, recipe.evaluation_batch_size, augment=recipe.augment())
        shifted = _shifted(model, augmented, recipe.seed)
        temperature, bias = fit_temperature_and_bias(*shifted)
    else:
        temperature, bias = fit_temperature(predictions.logits, predictions.labels), 0.0
    probs = calibrated(predictions.logits, temperature, bias)
    threshold = None
    if len(val.classes) == 2:
        threshold = choose_threshold(probs[:, 1], predictions.labels, criterion=recipe.criterion)
    scores = report(probs, predictions.labels, threshold)
    return {"temperature": temperature, "bias": bias, "threshold": threshold, "validation": scores}


def _shifted(model: nn.Module, augmented: Batches, seed: int) -> tuple[Tensor, Tensor]:
    """Logits and labels of validation images that are augmented anew four times, always with the same numbers."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        rounds = [evaluate(model, augmented) for _ in range(4)]
    logits = torch.cat([predictions.logits for predictions in rounds])
    return logits, torch.cat([predictions.labels for predictions in rounds])


def report(probs: Tensor, labels: Tensor, threshold: float | None) -> dict[str, Any]:
    """The scores of probabilities (N, C): a binary report with a threshold, a multiclass one without.

    Added are `mean_predicted` and `fraction_positive`, which are equal where probabilities can be believed on average:
    of class 1, or where there are more than two, of the predicted class.
    """
    if threshold is None:
        scores = multiclass_report(probs, labels).as_dict()
        predicted, positive = probs.amax(dim=1), probs.argmax(dim=1) == labels
    else:
        scores = binary_report(probs[:, 1], labels, threshold=threshold).as_dict()
        predicted, positive = probs[:, 1], labels == 1
    return scores | {
        "mean_predicted": float(predicted.double().mean()),
        "fraction_positive": float(positive.double().mean()),
    }


def _arithmetic(history: History, peak: float) -> dict[str, float]:
    """FLOP and seconds of the training steps, the team's peak in FLOP a second; nothing where not all was counted."""
    flops, seconds = sum(history.train_flops), sum(history.train_seconds)
    return {} if math.isnan(flops) else {"flops": flops, "train_seconds": round(seconds, 3), "peak_flops": peak}


def _commit() -> str | None:
    """What git says of the clone that this package lies in; None where it lies in none."""
    clone = Path(__file__).parents[2]
    if not (clone / ".git").exists():
        return None
    try:
        call = ["git", "-C", str(clone), "describe", "--always", "--dirty", "--tags"]
        return subprocess.run(call, capture_output=True, text=True, check=True, timeout=10).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return None


def _note_epoch(out: Path, epochs: int, history: History) -> None:
    _write_history(out, history)
    done = len(history.train_loss)
    columns = history.columns()
    scores = [name for name in columns if not name.endswith(("seconds", "flops"))]
    text = ", ".join(f"{name.replace('_', ' ')} {columns[name][-1]:.3f}" for name in scores)
    left = sum(history.seconds) / done * (epochs - done)
    print_progress(
        f"epoch {done}/{epochs}: {text}; {duration(history.seconds[-1])}"
        + (f", about {duration(left)} left" if done < epochs else "")
    )


def _write_history(out: Path, history: History) -> None:
    columns = history.columns()

    def write(path: Path) -> None:
        with open(path, "w", newline="", encoding="utf-8") as file:
            rows = csv.writer(file)
            rows.writerow(["epoch", *columns])
            for epoch, values in enumerate(zip(*columns.values(), strict=True), start=1):
                rows.writerow([epoch, *(f"{value:.6g}" for value in values)])

    write_atomically(out / "history.csv", write)
    write_atomically(out / "curves.png", lambda path: plot_history(columns).savefig(path, format="png", dpi=120))
