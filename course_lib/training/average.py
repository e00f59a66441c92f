"""A running mean of a network's weights."""

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel


class ExponentialAverage(AveragedModel):
    """Torch's `AveragedModel` with an exponential mean of weights and buffers, whose update waits for no GPU.

    Torch's own update sends its count of steps to the GPU, and Python waits until the count is there.

    Args:
        model: whose weights are averaged.
        decay: fraction of the mean that an update keeps; the first one keeps nothing.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        super().__init__(model, use_buffers=True)
        self.decay = decay

    @torch.no_grad()
    def update_parameters(self, model: nn.Module) -> None:
        """Move the mean towards the weights of `model`; whole numbers, such as counts of batches, are copied."""
        means, values = ([*network.parameters(), *network.buffers()] for network in (self.module, model))
        averaged: tuple[list[Tensor], list[Tensor]] = ([], [])
        for mean, value in zip(means, values, strict=True):
            if self.n_averaged > 0 and mean.is_floating_point():
                averaged[0].append(mean)
                averaged[1].append(value)
            else:
                mean.copy_(value)
        if averaged[0]:
            torch._foreach_lerp_(*averaged, 1 - self.decay)
        self.n_averaged += 1
