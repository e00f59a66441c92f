"""Muon: gradient steps for convolution filters in which every direction counts alike."""

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn

COEFFICIENTS = (3.4445, -4.7750, 2.0315)  # of a polynomial that pushes singular values towards 1


def orthogonalize(matrix: Tensor, *, steps: int = 5) -> Tensor:
    """The matrix with its singular values brought near 1 (0.7 to 1.2) and its directions kept.

    A matrix (M, N) with singular value decomposition U S V becomes about U V, by products of matrices alone
    (Newton-Schulz iteration), in bfloat16.

    Source: Jordan et al. 2024, "Muon: an optimizer for hidden layers in neural networks".
    """
    a, b, c = COEFFICIENTS
    tall = matrix.shape[0] > matrix.shape[1]
    x = matrix.bfloat16()
    x = x.T if tall else x
    x = x / x.norm().clamp(min=1e-7)
    for _ in range(steps):
        gram = x @ x.T
        x = a * x + (b * gram + c * gram @ gram) @ x
    return (x.T if tall else x).to(matrix.dtype)


class Muon(torch.optim.AdamW):
    """Muon for the filters of convolutions, AdamW for everything else (biases, batch norm, dense layers).

    The gradient of a layer's filters is a matrix (out_channels, in_channels * kernel * kernel), and mostly one of few
    strong directions. Muon takes its running mean and makes all directions equally strong, so that the weak ones are
    learned as fast. Weights shrink by `learning rate * weight_decay` a step.

    Args:
        parameters: of the network.
        lr: of the filters; relative to weights whose singular values are about 1.
        adamw_lr: of everything else.
        momentum: share of the running mean that is kept each step (Nesterov's way).
        weight_decay: of the filters; everything else has none.
    """

    def __init__(
        self,
        parameters: Iterable[nn.Parameter],
        *,
        lr: float = 0.05,
        adamw_lr: float = 4e-3,
        momentum: float = 0.6,
        weight_decay: float = 0.0,
    ) -> None:
        trainable = [parameter for parameter in parameters if parameter.requires_grad]
        others = {
            "params": [p for p in trainable if p.ndim != 4],
            "lr": adamw_lr,
            "weight_decay": 0.0,
            "momentum": None,
        }
        filters = {"params": [p for p in trainable if p.ndim == 4], "lr": lr, "momentum": momentum}
        super().__init__([others, filters], weight_decay=weight_decay)

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> Any:  # type: ignore[override]
        """Move all parameters that have a gradient; the filters' gradients are used up."""
        loss = None if closure is None else torch.enable_grad()(closure)()
        for group in self.param_groups:
            if group["momentum"] is None:
                continue
            for parameter in group["params"]:
                if parameter.grad is not None:
                    self._move(parameter, parameter.grad, group)
                    parameter.grad = None  # so that AdamW passes it by
        super().step()
        return loss

    def _move(self, parameter: nn.Parameter, gradient: Tensor, group: dict[str, Any]) -> None:
        state = self.state[parameter]
        if not state:
            state.update(step=torch.tensor(0.0), momentum=torch.zeros_like(gradient))  # AdamW looks for a step
        mean = state["momentum"]
        mean.lerp_(gradient, 1 - group["momentum"])
        direction = gradient.lerp(mean, group["momentum"])
        step = orthogonalize(direction.flatten(start_dim=1)).view_as(direction)
        tall = max(1, len(parameter) / direction[0].numel()) ** 0.5
        parameter.mul_(1 - group["lr"] * group["weight_decay"]).add_(step, alpha=-group["lr"] * tall)
