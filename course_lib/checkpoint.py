"""Weights as safetensors, the state of a run as a torch file; written atomically, read without running code."""

import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from course_lib.files import as_path, write_atomically


def save_weights(path: str | Path, model: nn.Module) -> None:
    """Write parameters and buffers of `model` as safetensors, with the name of its architecture.

    Wrappers (`DataParallel`, `torch.compile`) leave no trace in the names. A tensor that the network knows by several
    names is written once; the file's metadata tell the other names, as those of `safetensors.torch.save_model` do.

    Raises:
        OSError: the disk is full or the folder cannot be written; a file that was there is kept.
    """
    tensors: dict[str, Tensor] = {}
    metadata = {"architecture": type(_unwrapped(model)).__name__}
    first_names: dict[tuple[Any, ...], str] = {}
    for name, tensor in _bare(model.state_dict()).items():
        same = (tensor.device, tensor.data_ptr(), tensor.shape, tensor.stride(), tensor.dtype)
        if tensor.numel() and same in first_names:
            metadata[name] = first_names[same]
        else:
            first_names[same] = name
            tensors[name] = tensor.detach().cpu().clone(memory_format=torch.contiguous_format)

    def write(temporary: Path) -> None:
        try:
            save_file(tensors, temporary, metadata=metadata)
        except SafetensorError as error:  # how safetensors reports a full disk
            raise OSError(str(error)) from error

    write_atomically(path, write)


def load_weights(path: str | Path, model: nn.Module) -> None:
    """Read weights that `save_weights` wrote into `model`, in place; either may be wrapped, and the other not.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the file is not safetensors (pickles are refused, because opening one can run any program), or the
            weights are those of another architecture.
    """
    path = as_path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such weights; train first, or give the run folder that holds them.")
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            tensors = _bare({name: file.get_tensor(name) for name in file.keys()})  # noqa: SIM118  # not a dict
    except SafetensorError as error:
        raise ValueError(
            f"{path}: not a whole safetensors file ({error}). Pickled weights (.pt, .pth, .pkl) are refused, since "
            "opening one can run any program; have them saved again as safetensors."
        ) from error
    architecture = metadata.get("architecture", "an unnamed network")
    tensors |= {
        name: tensors[kept] for name, kept in _bare(metadata).items() if kept in tensors and name not in tensors
    }
    own = model.state_dict()
    expected = {name: tuple(tensor.shape) for name, tensor in _bare(own).items()}
    stored = {name: tuple(tensor.shape) for name, tensor in tensors.items()}
    if expected != stored:
        odd = next(name for name in [*expected, *stored] if expected.get(name) != stored.get(name))
        raise ValueError(
            f"{path}: holds weights of {architecture}, which do not fit this {type(_unwrapped(model)).__name__}: {odd} "
            f"is {stored.get(odd, 'absent')} in the file and {expected.get(odd, 'absent')} in the network; build the "
            "network with the arguments that it was trained with, or train it again if the course has changed it since."
        )
    model.load_state_dict({name: tensors[bare] for name, bare in zip(own, _bare(own), strict=True)})


Content = TypeVar("Content")


def _bare(named: Mapping[str, Content]) -> dict[str, Content]:
    """The same under the names that a network without wrappers has, in the same order."""
    bare = {name.replace("_orig_mod.", ""): content for name, content in named.items()}
    while bare and all(name.startswith("module.") for name in bare):
        bare = {name.removeprefix("module."): content for name, content in bare.items()}
    return bare


def _unwrapped(model: nn.Module) -> nn.Module:
    """The network inside `DataParallel`, `torch.compile` and the like."""
    inner = getattr(model, "_orig_mod", None)
    if inner is None and isinstance(model, nn.DataParallel | nn.parallel.DistributedDataParallel):
        inner = model.module
    return _unwrapped(inner) if isinstance(inner, nn.Module) else model


def save_state(path: str | Path, state: dict[str, Any]) -> None:
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


def load_state(path: str | Path) -> dict[str, Any]:
    """Read what `save_state` wrote, on the CPU.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the file is damaged, or holds more than tensors, numbers and strings.
    """
    path = as_path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file; there is nothing to resume from, so start again.")
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, ValueError) as error:
        raise ValueError(
            f"{path}: not a state that this course saved, or cut short; delete it, and the run starts from its "
            "first epoch."
        ) from error
