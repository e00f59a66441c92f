"""Networks that note what is done with them, and what a training step must return."""

from typing import Any

import torch
from torch import Tensor, nn

from course_lib.exercises.draw import Draw
from course_lib.exercises.task import refuse


class Watched(nn.Module):
    """A network that notes each pass: size, mode, recording; and in which order those with a graph went (F, B)."""

    def __init__(self, *layers: nn.Module) -> None:
        super().__init__()
        self.body = nn.Sequential(*layers)
        self.passes: list[tuple[int, bool, bool]] = []
        self.order: list[str] = []

    def forward(self, images: Tensor) -> Tensor:
        self.passes.append((len(images), self.training, torch.is_grad_enabled()))
        logits: Tensor = self.body(images)
        if logits.requires_grad:
            self.order.append("F")
            logits.register_hook(lambda _: self.order.append("B"))
        return logits


def leave_old_gradients(model: nn.Module) -> nn.Module:
    """The model, with gradients as an earlier batch has left them."""
    for parameter in model.parameters():
        parameter.grad = torch.ones_like(parameter)
    return model


def plain_number(loss: Any) -> float:
    """The loss that came back, if it is a plain number.

    Raises:
        Wrong: it is not.
    """
    graph = isinstance(loss, Tensor) and loss.requires_grad
    refuse("the loss, as a number", (loss is None, "nothing came back", "Does the function end with `return`?"))
    refuse(
        "a plain number",
        (graph, "a loss that drags its graph along", "`loss.item()` is one. Graphs that are kept fill the memory."),
        (not isinstance(loss, float), f"a {type(loss).__name__}", "`loss.item()` makes a plain number of a tensor."),
    )
    return float(loss)


def small_backbone(draw: Draw) -> nn.Sequential:
    """Images (N, 3, height, width) to six maps, in training mode; with dropout, and statistics that have moved."""
    first = nn.Conv2d(3, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(), nn.Dropout(0.5)
    return draw.filled(nn.Sequential(*first, nn.Conv2d(4, 6, 3, stride=2, padding=1), nn.BatchNorm2d(6)))
