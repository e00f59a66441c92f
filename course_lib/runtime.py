"""What this machine offers: its device, its precision, and seeds that make a run repeatable."""

import contextlib
import ctypes
import os
import random
import shutil
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor, nn


def pick_device(name: str | None = None) -> torch.device:
    """The device to train on: CUDA if there is one, else Apple's MPS, else the CPU.

    Args:
        name: take this one instead, such as "cpu" or "cuda:1". Default: the environment's COURSE_DEVICE, if set.

    Raises:
        ValueError: the named device is not available here.

    >>> pick_device("cpu")
    device(type='cpu')
    """
    available = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    name = name or os.environ.get("COURSE_DEVICE")
    if not name:
        return torch.device(next(kind for kind in ("cuda", "mps", "cpu") if available[kind]))
    kind = name.split(":")[0]
    if not available.get(kind, False):
        names = ", ".join(kind for kind, present in available.items() if present)
        raise ValueError(f"device {name!r} is not available; this machine has: {names}.")
    return torch.device(name)


def host() -> str:
    """Where this runs: "Colab", "Kaggle", "Binder" or "this machine"."""
    if "KAGGLE_KERNEL_RUN_TYPE" in os.environ:  # first: Kaggle's image is made of Colab's, google.colab included
        return "Kaggle"
    if "google.colab" in sys.modules:  # find_spec would raise where there is no package google
        return "Colab"
    return "Binder" if "BINDER_LAUNCH_HOST" in os.environ else "this machine"


def in_notebook() -> bool:
    """Whether what is printed is shown by a notebook; asked of the shell's kernel, as Colab has a shell of its own."""
    shell = sys.modules["IPython"].get_ipython() if "IPython" in sys.modules else None
    return hasattr(shell, "kernel")


def unused_gpu(device: torch.device) -> str:
    """How to get a GPU that could be had here and is not used; empty if there is none, or `device` is one.

    It is empty, too, where COURSE_DEVICE names a device.
    """
    if device.type != "cpu" or "COURSE_DEVICE" in os.environ:
        return ""
    if host() == "Colab":
        return "Colab lends a GPU: Runtime, Change runtime type, T4 GPU"
    if host() == "Kaggle":
        return "Kaggle lends a GPU: Settings, Accelerator"
    if shutil.which("nvidia-smi") is None:
        return ""
    reason = "its driver does not answer" if torch.backends.cuda.is_built() else "this torch is built without CUDA"
    return (
        f"there is an NVIDIA GPU here, but {reason}; one that fits: python3 -m course_lib.install --torch-backend auto"
    )


def seed_everything(seed: int) -> torch.Generator:
    """Seed Python, NumPy and torch, and return a CPU generator with the same seed.

    On one machine the same seed then gives the same CPU run; other processors round differently, and so drift apart.
    A GPU (CUDA, MPS) adds in no fixed order, so that even one machine's runs come out alike and not the same.

    >>> torch.equal(torch.rand(2, generator=seed_everything(7)), torch.rand(2, generator=seed_everything(7)))
    True
    """
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)
    return torch.Generator().manual_seed(seed)


@dataclass(frozen=True)
class Precision:
    """The number format in which a network multiplies; its weights stay float32.

    Attributes:
        device_type: "cpu", "cuda" or "mps".
        dtype: what autocast computes in; None leaves everything in float32.
    """

    device_type: str
    dtype: torch.dtype | None

    @classmethod
    def best(cls, device: torch.device, model: nn.Module | None = None) -> "Precision":
        """bfloat16 where the processor or GPU multiplies it in hardware, float16 on older GPUs, else float32.

        Processors without such instructions emulate bfloat16 and become slower with it, so they are asked, not assumed.
        Even those with them train a `model` of depthwise convolutions faster in float32.
        """
        if device.type == "cuda":
            major, _ = torch.cuda.get_device_capability(device)
            return cls("cuda", torch.bfloat16 if major >= 8 else torch.float16 if major == 7 else None)
        convs = [module for module in model.modules() if isinstance(module, nn.Conv2d)] if model else []
        depthwise = any(conv.groups > 1 for conv in convs)
        lower = device.type == "cpu" and not depthwise and _cpu_has_bfloat16()
        return cls(device.type, torch.bfloat16 if lower else None)

    @property
    def name(self) -> str:
        return str(self.dtype or torch.float32).removeprefix("torch.")

    def autocast(self) -> contextlib.AbstractContextManager[Any]:
        """The context in which to run the forward pass and the loss."""
        if self.dtype is None:
            return contextlib.nullcontext()
        return torch.autocast(self.device_type, self.dtype)

    def scaler(self) -> torch.amp.GradScaler:
        """Keeps small float16 gradients from vanishing; does nothing in the other formats."""
        return torch.amp.GradScaler(self.device_type, enabled=self.dtype is torch.float16)


def _cpu_has_bfloat16() -> bool:
    try:
        return bool(torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported())
    except AttributeError:  # private names: a torch without them is treated as a processor without bfloat16
        return False


@contextlib.contextmanager
def evaluation_mode(model: nn.Module) -> Iterator[None]:
    """Put a model into evaluation mode for a while; each of its parts gets its own mode back, whatever happens."""
    modes = {module: module.training for module in model.modules()}
    try:
        model.eval()
        yield
    finally:
        for module, training in modes.items():
            module.training = training


def keep_freed_memory() -> None:
    """Have the C library keep the memory of freed tensors for the next ones, where it is Linux's (glibc); else nothing.

    It gives large pieces back to the system by default, and fetching them anew, page by page, costs up to a third of a
    training step on a CPU. The memory in use stays at its peak until the process ends.

    Source: the GNU C Library manual, "Malloc Tunable Parameters".
    """
    trim_threshold, mmap_max = -1, -4  # the numbers that malloc.h gives these names
    with contextlib.suppress(AttributeError, OSError, TypeError):
        library = ctypes.CDLL(None)
        library.mallopt(mmap_max, 0)
        library.mallopt(trim_threshold, 2**31 - 1)


def keep_profiler_quiet() -> None:
    """Have torch's profiler write nothing to stderr; on a machine without a GPU it calls each start an error.

    Its library reads this when the first profile begins.
    """
    os.environ.setdefault("KINETO_LOG_LEVEL", "99")


Name = TypeVar("Name")


def shortest_times(
    works: Mapping[Name, Callable[[], object]], device: torch.device, *, rounds: int = 3
) -> dict[Name, float]:
    """The shortest time of each work in seconds; they take turns, so that a disturbance hits all."""
    times: dict[Name, list[float]] = {name: [] for name in works}
    for _ in range(rounds):
        for name, work in works.items():
            wait_for(device)
            started = time.perf_counter()
            work()
            wait_for(device)
            times[name].append(time.perf_counter() - started)
    return {name: min(seconds) for name, seconds in times.items()}


def to_device(
    batch: Tensor, device: torch.device, memory_format: torch.memory_format = torch.preserve_format
) -> Tensor:
    """A batch on a device. A GPU fetches it from pinned memory while Python goes on; from other memory both wait.

    Source: PyTorch's documentation, "CUDA semantics", "Use pinned memory buffers".
    """
    if device.type != "cuda" or batch.device.type != "cpu":
        return batch.to(device, memory_format=memory_format)
    return batch.pin_memory().to(device, memory_format=memory_format, non_blocking=True)


def wait_for(device: torch.device) -> None:
    """Until a GPU has done what it was given: it works on while Python goes ahead."""
    if device.type != "cpu":
        getattr(torch, device.type).synchronize()


@contextlib.contextmanager
def naming_memory(content: str) -> Iterator[None]:
    """Turn any failure to get memory, which each library reports in its own way, into one kind of `MemoryError`.

    Args:
        content: does not fit into memory, such as "60 images of 3 x 2048 x 2048 pixels".
    """
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        message = str(error)
        signs = ("alloc", "out of memory", "not enough memory")
        if isinstance(error, RuntimeError) and not any(sign in message.lower() for sign in signs):
            raise
        if isinstance(error, MemoryError) and "do not fit into memory" in message:  # said already, further in
            raise
        raise MemoryError(
            f"{content} do not fit into memory; take a smaller image_size (--image-size), a smaller batch_size or "
            "fewer images, or close other programs."
        ) from error
