"""Weights as safetensors, the state of a run as a torch file; written atomically, read without running code."""

import pickle
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import nn

from course_lib.files import write_atomically


def save_weights(path: Path, model: nn.Module) -> None:
    """Write parameters and buffers of `model` as safetensors, with the name of its architecture.

    Raises:
        OSError: the disk is full or the folder cannot be written; a file that was there is kept.
    """
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in model.state_dict().items()}
    metadata = {"architecture": type(model).__name__}

    def write(temporary: Path) -> None:
        try:
            save_file(tensors, temporary, metadata=metadata)
        except SafetensorError as error:  # how safetensors reports a full disk
            raise OSError(str(error)) from error

    write_atomically(path, write)


def load_weights(path: Path, model: nn.Module) -> None:
    """Read weights that `save_weights` wrote into `model`, in place.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the file is not safetensors (pickles are refused, because opening one can run any program), or the
            weights are those of another architecture.
    """
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such weights; train first, or give the run folder that holds them.")
    try:
        with safe_open(path, framework="pt") as file:
            architecture = (file.metadata() or {}).get("architecture", "an unnamed network")
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  # not a dict
    except SafetensorError as error:
        raise ValueError(
            f"{path}: not a whole safetensors file ({error}). Pickled weights (.pt, .pth, .pkl) are refused, since "
            "opening one can run any program; have them saved again as safetensors."
        ) from error
    wanted = {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}
    found = {name: tuple(tensor.shape) for name, tensor in tensors.items()}
    if wanted != found:
        odd = next(name for name in [*wanted, *found] if wanted.get(name) != found.get(name))
        raise ValueError(
            f"{path}: holds weights of {architecture}, which do not fit this {type(model).__name__}: {odd} is "
            f"{found.get(odd, 'absent')} in the file and {wanted.get(odd, 'absent')} in the network; build the network "
            "with the arguments that it was trained with."
        )
    model.load_state_dict(tensors)


def save_state(path: Path, state: dict[str, Any]) -> None:
    """Write what a run needs in order to go on: tensors, numbers and strings in dicts and lists.

    Raises:
        OSError: the disk is full or the folder cannot be written; a file that was there is kept.
    """

    def write(temporary: Path) -> None:
        try:
            torch.save(state, temporary)
        except RuntimeError as error:  # how torch reports a full disk
            raise OSError(str(error)) from error

    write_atomically(path, write)


def load_state(path: Path) -> dict[str, Any]:
    """Read what `save_state` wrote, on the CPU.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the file is damaged, or holds more than tensors, numbers and strings.
    """
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file; there is nothing to resume from, so start anew.")
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, ValueError) as error:
        raise ValueError(
            f"{path}: not a state that this course saved, or cut short; delete it, and the run starts from its "
            "first epoch."
        ) from error
