"""The networks of the course. Each takes float images in 0..1 and returns logits, never probabilities."""

from collections.abc import Callable
from typing import Any

from torch import nn

from course_lib.backbones import BACKBONES, OFFLINE
from course_lib.models.fast import FastCNN
from course_lib.models.pneumonia import CompactCNN, PneumoniaCNN, PooledCNN
from course_lib.models.simple import SimpleCNN
from course_lib.models.trained import load_trained
from course_lib.models.transfer import (
    TransferModel,
    freeze,
    parameter_groups,
    transfer_model,
    unfreeze,
)

__all__ = [
    "BACKBONES",
    "OFFLINE",
    "CompactCNN",
    "FastCNN",
    "PneumoniaCNN",
    "PooledCNN",
    "SimpleCNN",
    "TransferModel",
    "build_network",
    "freeze",
    "load_trained",
    "parameter_groups",
    "transfer_model",
    "unfreeze",
]

NETWORKS: dict[str, Callable[..., nn.Module]] = {
    network.__name__: network for network in (PneumoniaCNN, PooledCNN, CompactCNN, SimpleCNN, FastCNN, transfer_model)
}


def build_network(name: str, /, **arguments: Any) -> nn.Module:
    """A network by the name and arguments that a run folder keeps in its config.json.

    Raises:
        ValueError: there is no network of that name.
    """
    if name not in NETWORKS:
        raise ValueError(f"network {name!r} is not known; choose one of: {', '.join(NETWORKS)}.")
    return NETWORKS[name](**arguments)
