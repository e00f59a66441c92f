"""Several processes that train one network together, as `torchrun` starts them; a single process is a team of one.

Each process takes its share of every batch. What they add up on the way is the gradient (torch's
`DistributedDataParallel`), the statistics of batch norm and the loss, so that a team computes what one process would;
but for dropout, which draws the same units in each process.
"""

import contextlib
import os
from collections.abc import Iterator
from typing import Any, NamedTuple

import torch
from torch import Tensor, distributed, nn
from torch.nn.modules.batchnorm import _BatchNorm


class Team(NamedTuple):
    """The processes of a run."""

    rank: int
    """Which one this is, from 0; the first alone writes and prints."""
    size: int


def team() -> Team:
    """The team that this process belongs to.

    >>> team()
    Team(rank=0, size=1)
    """
    if distributed.is_available() and distributed.is_initialized():
        return Team(distributed.get_rank(), distributed.get_world_size())
    return Team(0, 1)


@contextlib.contextmanager
def joined(device: torch.device) -> Iterator[Team]:
    """Join the team that `torchrun` started, by nccl on GPUs and by gloo on processors; leave it at the end.

    Args:
        device: where each process computes; of several GPUs, each process takes the one of its own number.

    Raises:
        ValueError: there is not a GPU for each process, or `device` is of another kind.
        ConnectionError: another process of the team has ended.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) == 1 or distributed.is_initialized():
        yield team()
        return
    backend_name = backend(device, torch.cuda.device_count(), int(os.environ["LOCAL_WORLD_SIZE"]))
    if backend_name == "nccl":
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    distributed.init_process_group(backend_name)
    try:
        yield team()
        distributed.barrier()  # a process that leaves early would take the connection from the others
    except RuntimeError as error:
        if isinstance(error, distributed.DistError) or "gloo" in str(error).lower():
            raise ConnectionError(f"process {team().rank} lost the others of its run, as one has ended") from error
        raise
    finally:
        distributed.destroy_process_group()


def backend(device: torch.device, num_gpus: int, num_processes: int) -> str:
    """What the processes of one machine talk through.

    Raises:
        ValueError: there is not a GPU for each process, or `device` is of another kind.
    """
    if device.type == "cpu":
        return "gloo"
    if device.type == "cuda" and num_gpus >= num_processes:
        return "nccl"
    raise ValueError(
        f"{num_processes} processes cannot share the {device.type} device of this machine; start as many as it has "
        "GPUs, or set COURSE_DEVICE=cpu."
    )


def wait_for_all() -> None:
    """Return when every process of the team has come here."""
    if team().size > 1:
        distributed.barrier()


def sum_over_team(numbers: Tensor) -> Tensor:
    """The element-wise sum over the team of float tensors of one shape."""
    if team().size > 1:
        distributed.all_reduce(numbers)
    return numbers


def gather(tensor: Tensor) -> Tensor:
    """The tensors of all processes behind each other, along the first dimension, in which they may differ."""
    if team().size == 1:
        return tensor
    parts: list[Tensor] = [tensor] * team().size
    distributed.all_gather_object(parts, tensor)
    return torch.cat(parts)


def sharing_gradients(model: nn.Module) -> nn.Module:
    """`model`, wrapped so that each backward pass leaves the team's mean gradient in every process."""
    if team().size == 1:
        return model
    return nn.parallel.DistributedDataParallel(model)


@contextlib.contextmanager
def synchronized_batch_norm(model: nn.Module) -> Iterator[None]:
    """While inside, the batch norms of `model` use mean and variance of the whole team's batch.

    Torch's own `SyncBatchNorm` does so on GPUs only.
    """
    norms = [module for module in model.modules() if isinstance(module, _BatchNorm)] if team().size > 1 else []
    try:
        for norm in norms:
            norm.forward = lambda images, norm=norm: _normalize(norm, images)  # type: ignore[method-assign,misc]
        yield
    finally:
        for norm in norms:
            del norm.forward


def _normalize(norm: _BatchNorm, images: Tensor) -> Tensor:
    if not norm.training:
        return type(norm).forward(norm, images)
    dims = [0, *range(2, images.ndim)]
    wide = images.float()
    count = wide.new_full((1,), images.numel() / images.shape[1])  # filled in there: to send it would wait
    sums = _Sum.apply(torch.cat([wide.sum(dims), wide.square().sum(dims), count]))
    total, (mean, square) = sums[-1], (sums[:-1] / sums[-1]).chunk(2)
    variance = (square - mean.square()).clamp(min=0)
    with torch.no_grad():
        for running, value in ((norm.running_mean, mean), (norm.running_var, variance * total / (total - 1))):
            running.lerp_(value, norm.momentum)  # type: ignore[union-attr,arg-type]  # all the course's norms track
        norm.num_batches_tracked.add_(1)  # type: ignore[union-attr]
    scale = norm.weight * (variance + norm.eps).rsqrt()
    shape = (1, -1, *[1] * (images.ndim - 2))
    return (wide * scale.view(shape) + (norm.bias - mean * scale).view(shape)).to(images.dtype)


class _Sum(torch.autograd.Function):
    """The sum over the team; what one process learns of the sum's gradient, all must add up."""

    @staticmethod
    def forward(ctx: Any, numbers: Tensor) -> Tensor:
        return sum_over_team(numbers.clone())

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:  # type: ignore[override]
        return sum_over_team(gradient.clone())
