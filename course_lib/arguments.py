"""Arguments as people have them, tensors, arrays, columns or lists, to the tensors that the course computes with."""

from typing import Any

import numpy as np
import torch
from torch import Tensor


def as_tensor(values: Any, name: str) -> Tensor:
    """A tensor of numbers, detached; `name` is that of the argument, for errors.

    Raises:
        TypeError: `values` are no numbers.
    """
    if isinstance(values, Tensor):
        return values.detach()
    try:
        array = np.array(values)
        if array.dtype.kind not in "biuf":
            raise TypeError(f"{array.dtype} has no numbers")
        return torch.from_numpy(array.astype(array.dtype.newbyteorder("=")))
    except (TypeError, ValueError, RuntimeError) as error:
        raise TypeError(
            f"{name} must be numbers, as a tensor, an array or a list, got {type(values).__name__} ({error}); convert "
            "names to their numbers first."
        ) from None


def as_labels(labels: Any, name: str = "labels") -> Tensor:
    """Labels of any integer or bool kind, (N,) or (N, 1), as int64 (N,), where they are.

    Raises:
        TypeError, ValueError: other numbers or another shape; the message names the argument.

    >>> as_labels([[True], [False]]).tolist()
    [1, 0]
    """
    tensor = as_tensor(labels, name)
    if tensor.ndim == 2 and tensor.shape[1] == 1:
        tensor = tensor[:, 0]
    if tensor.is_complex() or (tensor.is_floating_point() and tensor.numel()):
        raise ValueError(
            f"{name} must be whole numbers, class indices from 0, got {tensor.dtype}; call .long() on them."
        )
    if tensor.ndim != 1:
        raise ValueError(
            f"{name} must have shape (N,) or (N, 1), got {tuple(tensor.shape)}; of one-hot rows take .argmax(dim=1)."
        )
    return tensor.long()


def as_scores(scores: Any, name: str = "probs", *, columns: bool = False) -> Tensor:
    """Probabilities or logits on the CPU, without gradients: (N,), also from (N, 1), or with `columns` (N, C).

    Raises:
        TypeError, ValueError: no numbers or another shape; the message names the argument.
    """
    tensor = as_tensor(scores, name).cpu()
    if tensor.dtype not in (torch.float32, torch.float64):
        tensor = tensor.float()
    if columns and tensor.ndim != 2:
        raise ValueError(f"{name} must have shape (N, C), a column for each class, got {tuple(tensor.shape)}.")
    if not columns and tensor.ndim == 2 and tensor.shape[1] == 1:
        tensor = tensor[:, 0]
    if not columns and tensor.ndim != 1:
        raise ValueError(
            f"{name} must have shape (N,), one for each image, got {tuple(tensor.shape)}; take the column of class 1, "
            f"{name}[:, 1]."
        )
    return tensor
