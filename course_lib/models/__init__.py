"""The networks of the course. Each takes float images in 0..1 and returns logits, never probabilities."""

from typing import Any

from torch import nn

from course_lib.models.fast import FastCNN
from course_lib.models.pneumonia import CompactCNN, PneumoniaCNN
from course_lib.models.simple import SimpleCNN

__all__ = ["CompactCNN", "FastCNN", "PneumoniaCNN", "SimpleCNN", "build_network"]

NETWORKS: dict[str, type[nn.Module]] = {
    network.__name__: network for network in (PneumoniaCNN, CompactCNN, SimpleCNN, FastCNN)
}


def build_network(name: str, **arguments: Any) -> nn.Module:
    """A network by the name and arguments that a run folder keeps in its config.json.

    Raises:
        ValueError: there is no network of that name.
    """
    if name not in NETWORKS:
        raise ValueError(f"network {name!r} is not known; choose one of: {', '.join(NETWORKS)}.")
    return NETWORKS[name](**arguments)
