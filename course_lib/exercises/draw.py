"""Inputs that follow from a seed alone, whatever else uses random numbers or turns torch's switches meanwhile."""

import contextlib
import random
import threading
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

Module = TypeVar("Module", bound=nn.Module)
_ONE_AT_A_TIME = threading.RLock()  # the switches are those of all threads


@contextlib.contextmanager
def as_at_first() -> Iterator[None]:
    """Set what is global in torch, NumPy and Python as before anybody's first cell, and set it back afterwards.

    One thread at a time: another's random numbers would be among those of this one.
    """
    with _ONE_AT_A_TIME:
        settings = torch.get_default_dtype(), torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
        states = random.getstate(), np.random.get_state()
        try:
            torch.set_default_dtype(torch.float32)
            torch.set_num_threads(1)  # others do not survive a fork
            torch.use_deterministic_algorithms(False)
            random.seed(0)
            np.random.seed(0)
            with contextlib.ExitStack() as stack:
                stack.enter_context(torch.device("cpu"))
                stack.enter_context(torch.random.fork_rng(devices=[]))
                stack.enter_context(torch.inference_mode(False))
                stack.enter_context(torch.enable_grad())
                stack.enter_context(torch.autograd.set_detect_anomaly(False))
                stack.enter_context(np.errstate(all="warn"))
                stack.enter_context(warnings.catch_warnings())
                warnings.simplefilter("ignore")
                torch.manual_seed(0)
                yield
        finally:
            torch.set_default_dtype(settings[0])
            torch.set_num_threads(settings[1])
            torch.use_deterministic_algorithms(settings[2])
            random.setstate(states[0])
            np.random.set_state(states[1])


class Draw:
    """Random numbers of one seed."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self._generator = torch.Generator("cpu").manual_seed(seed)

    def whole(self, low: int, high: int, *shape: int) -> Tensor:
        """Whole numbers from `low` to `high`, both included."""
        return torch.randint(low, high + 1, shape, generator=self._generator, device="cpu")

    def number(self, low: int, high: int) -> int:
        """One whole number from `low` to `high`, both included."""
        return int(self.whole(low, high, 1))

    def uniform(self, *shape: int) -> Tensor:
        """Numbers in 0..1."""
        return torch.rand(shape, generator=self._generator, device="cpu", dtype=torch.float32)

    def normal(self, *shape: int) -> Tensor:
        """Numbers with mean 0 and standard deviation 1."""
        return torch.randn(shape, generator=self._generator, device="cpu", dtype=torch.float32)

    def labels(self, count: int, num_classes: int) -> Tensor:
        """A label for each of `count` images; each class occurs."""
        drawn = torch.cat(
            [torch.arange(num_classes, device="cpu"), self.whole(0, num_classes - 1, count - num_classes)]
        )
        return drawn[torch.randperm(count, generator=self._generator, device="cpu")]

    def filled(self, module: Module) -> Module:
        """The module with drawn weights and statistics, which depend on their shapes and not on the order of layers."""
        with torch.no_grad():
            for name, tensor in sorted(module.state_dict().items(), key=_shape_first):
                if tensor.is_floating_point():
                    drawn = self.uniform(*tensor.shape) + 0.5 if "running" in name else self.normal(*tensor.shape)
                    tensor.copy_(drawn if tensor.ndim < 2 else drawn / tensor[0].numel() ** 0.5)
        return module

    def image(self, path: Path, mode: str = "L", side: int = 12) -> None:
        """Write an image of noise."""
        path.parent.mkdir(parents=True, exist_ok=True)
        pixels = self.whole(0, 255, side * side * len(mode)).tolist()
        Image.frombytes(mode, (side, side), bytes(pixels)).save(path)


def _shape_first(item: tuple[str, Tensor]) -> tuple[tuple[int, ...], str]:
    return tuple(item[1].shape), item[0].rpartition(".")[2]
