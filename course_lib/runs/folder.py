"""A run folder: config.json, weights and reference, state.pt, history.csv, curves.png, model_card.md."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from course_lib.checkpoint import load_weights
from course_lib.files import as_path, write_atomically
from course_lib.options import config_path
from course_lib.runs.recipe import Recipe
from course_lib.runs.unlike import Reference, load_reference
from course_lib.runtime import pick_device


def write_json(path: Path, content: dict[str, Any]) -> None:
    write_atomically(
        path, lambda temporary: temporary.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    )


FORMAT = 1  # of config.json; raise it when a key changes its meaning


def read_config(run: Path) -> dict[str, Any]:
    """What config.json of a run folder says.

    Raises:
        FileNotFoundError: this is not a run folder.
        ValueError: config.json is damaged.
    """
    path = config_path(run)
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
        if config["format"] != FORMAT:
            raise ValueError(f"format {config['format']}, this version reads {FORMAT}")
        Recipe(**config["recipe"])
    except (TypeError, KeyError, ValueError) as error:
        raise ValueError(f"{path}: damaged, or of another version of the course ({error}); train again.") from error
    return config


def calibrated(logits: Tensor, temperature: float, bias: float) -> Tensor:
    """Probabilities (N, C) of logits (N, C): divided by the temperature, the bias added to class 1, then softmax."""
    shift = torch.zeros_like(logits[0])
    shift[1] = bias
    return (logits / temperature + shift).softmax(dim=1)


@dataclass(frozen=True)
class TrainedRun:
    """A trained network with what is needed to use it.

    Attributes:
        recipe: how it was trained.
        model: the network, in evaluation mode.
        classes: one name for each logit.
        threshold: from this calibrated probability on class 1 is predicted; None with more than two classes.
        temperature: logits are divided by it before softmax.
        bias: added to the logit of class 1 afterwards.
        reference: tells images that are unlike those of the training; None in runs of older versions.
    """

    recipe: Recipe
    model: nn.Module
    classes: tuple[str, ...]
    threshold: float | None
    temperature: float
    bias: float = 0.0
    reference: Reference | None = None

    def probs(self, logits: Tensor) -> Tensor:
        """Calibrated probabilities (N, C)."""
        return calibrated(logits, self.temperature, self.bias)


def load_run(run: str | Path, *, device: torch.device | None = None) -> TrainedRun:
    """The trained network of a run folder.

    Raises:
        FileNotFoundError, ValueError: not a run folder, damaged, or not trained to its end.
    """
    run = as_path(run, "run")
    config = read_config(run)
    recipe = Recipe(**config["recipe"])
    if "validation" not in config:
        raise ValueError(f"{run}: its training did not end; go on with `{recipe.command} --out {run} --resume`.")
    model = recipe.build(len(config["classes"]), trained=True)
    load_weights(run / "weights.safetensors", model)
    model.to(device or pick_device()).eval()
    reference = load_reference(run / "reference.safetensors")
    return TrainedRun(
        recipe,
        model,
        tuple(config["classes"]),
        config["threshold"],
        config["temperature"],
        config.get("bias", 0.0),  # older runs have none
        reference,
    )
