"""What scores and labels must be before anything is computed from them."""

from typing import Any

import torch
from torch import Tensor

from course_lib.arguments import as_labels

Numbers = Any  # a tensor, an array or a list of numbers, as torch.as_tensor takes them


def same_length(scores: Tensor, labels: Tensor, name: str = "probs") -> None:
    """Refuse scores and labels of different numbers of images."""
    if len(scores) != len(labels):
        raise ValueError(f"{name} are {len(scores)}, and labels {len(labels)}; give one of each for every image.")


def checked(probs: Tensor, labels: Numbers, *, num_classes: int) -> tuple[Tensor, Tensor]:
    """Probabilities and labels that fit one another, every class present."""
    labels = as_labels(labels).cpu()
    same_length(probs, labels)
    if not len(probs) or not 0 <= float(probs.min()) <= float(probs.max()) <= 1:
        actual = f"from {float(probs.min()):.3g} to {float(probs.max()):.3g}" if len(probs) else "nothing"
        raise ValueError(f"probabilities in 0..1 expected in probs, found {actual}; apply softmax to logits first.")
    if int(labels.min()) < 0:
        raise ValueError(f"labels must be class indices from 0, found {int(labels.min())}; take those images out.")
    counts = torch.bincount(labels, minlength=num_classes)
    if len(counts) > num_classes or not bool(counts.all()):
        raise ValueError(f"every one of {num_classes} classes must occur, found counts {counts.tolist()}; add images.")
    return probs, labels
