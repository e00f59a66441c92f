"""A small network that is asked for maps and gradients, and what an answer may not leave behind in it."""

from contextlib import nullcontext, suppress
from typing import Any

import torch
from torch import Tensor, nn

from course_lib.exercises.draw import Draw
from course_lib.exercises.task import Answer, Wrong, refuse
from course_lib.exercises.values import agrees

TRACES = {
    "the number of hooks": "A hook stays behind and keeps what it stored: call its `remove()` in a `finally`.",
    "the mode": "Note `model.training` before `eval()`, and set it back in a `finally`.",
    "the gradients in the parameters": "`backward` adds to them, `zero_grad` deletes them: use `torch.autograd.grad`.",
    "requires_grad of the parameters": "They stay frozen, and training stands still: leave it as it is.",
    "the images": "Work on `images.detach().clone()`: the caller's were written into, or marked by `requires_grad_()`.",
}
OTHER_SCORES = (  # in place of `logits.gather(1, targets[:, None]).sum()`
    ("logits[:, targets].sum()", "`logits[:, targets]` takes all targets for each image, not each its own."),
    ("logits.sum()", "The logits of all classes were summed: choose one for each image."),
    ("logits.amax(dim=1).sum()", "That explains the most probable class, whatever `targets` says."),
    (
        "logits.softmax(dim=1).gather(1, targets[:, None]).sum()",
        "That is the gradient of a probability, not of a logit.",
    ),
)


def network(draw: Draw) -> nn.Sequential:
    """Small, for 3 classes, in training mode with gradients stored; with batch norm, dropout and a ReLU in place."""
    model = nn.Sequential(
        nn.Sequential(nn.Conv2d(2, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(inplace=True)),
        nn.Sequential(nn.Conv2d(4, 6, 3, padding=1), nn.Tanh(), nn.AvgPool2d(2)),
        nn.Sequential(nn.Flatten(), nn.Dropout(), nn.Linear(144, 16), nn.ReLU(), nn.Linear(16, 3)),
    )
    for parameter in draw.filled(model).parameters():
        parameter.grad = torch.ones_like(parameter)
        parameter.data *= 3  # so that heat is well above rounding errors
    return model


def call_without_trace(answer: Answer, model: nn.Module, *arguments: Any, fails: bool = False) -> Any:
    """What an answer returns, if it asks the model in evaluation mode and leaves no trace, also if the model fails.

    Raises:
        Wrong: it does not.
    """
    modes: set[bool] = set()

    def watch(module: nn.Module, _inputs: object, _logits: object) -> None:
        modes.add(module.training)
        if fails:
            raise RuntimeError("the model failed after its last layer")

    hook, result = model.register_forward_hook(watch), None
    before = _state(model, arguments)
    with suppress(RuntimeError) if fails else nullcontext():
        result = answer(model, *arguments)
        if fails:
            raise Wrong("no error, though the model failed", "its error", "An `except` hides it; `finally` does not.")
    slip = "In training mode batch norm mixes the images, and dropout adds chance: call `model.eval()` first."
    refuse("asked in evaluation mode", (True in modes, "the model was asked in training mode", slip))
    for (name, slip), old, new in zip(TRACES.items(), before, _state(model, arguments), strict=True):
        moment = "after the model had failed" if fails else "after the call"
        changed = f"{moment} {name} had changed"
        refuse("the model and the images as they were before", (not agrees(new, old, 0), changed, slip))
    hook.remove()
    slip = "The graph keeps all maps of the pass in memory: detach the result, or compute it without gradients."
    graph = isinstance(result, Tensor) and result.requires_grad
    refuse("a tensor without a graph", (graph, "a tensor that is still part of its graph", slip))
    return result


def _state(model: nn.Module, arguments: tuple[Any, ...]) -> list[object]:
    """What `TRACES` lists, in its order."""
    parts, images = list(model.modules()), [argument for argument in arguments if isinstance(argument, Tensor)]
    return [
        sum(len(hooks) for part in parts for name, hooks in vars(part).items() if name.endswith("_hooks")),
        [part.training for part in parts],
        [None if parameter.grad is None else parameter.grad.clone() for parameter in model.parameters()],
        [parameter.requires_grad for parameter in model.parameters()],
        [(image.detach().clone(), image.requires_grad) for image in images],
    ]
