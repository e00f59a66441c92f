import copy

import torch
from torch import nn

from course_lib.exercises.draw import Draw
from course_lib.exercises.task import Task, agrees, refuse


class UpdateAverage(Task):
    number, title, name, points = "04.4", "A running mean of the weights", "update_average", 2
    statement = """
While the rate is high the weights jump about; their running mean is nearer to a good point. Write the function that
goes after `optimizer.step()`. `average` began as a copy of `model` (`copy.deepcopy(model)`); each call brings it a
little closer to the model, in place. Every parameter and every buffer of floating-point numbers, so also the running
statistics of batch norm, becomes `decay` times its old value plus `1 - decay` times the model's; buffers of whole
numbers are copied. The function returns nothing and leaves the model alone. The check compares with
`torch.optim.swa_utils.AveragedModel`.
"""
    hints = (
        "`state_dict()` names all parameters and buffers. Its tensors are the network's own, without gradient.",
        "`mean = decay * mean + ...` makes a new tensor; `copy_`, `mul_` and `add_` write into the one that is there.",
        "`is_floating_point()` tells the two kinds of buffers apart.",
    )
    notice = "The mean forgets its start slowly: with a decay of 0.999, a good third of it is left after 1,000 steps."
    given = "a model with batch normalization, and three drawn decays"
    tolerance = 1e-5
    errors = {"requires grad": "Change weights under `torch.no_grad()`.", "Long": "Copy buffers of whole numbers."}

    def inputs(self, draw):
        for decays in ([0.9] * 3, draw.uniform(3).tolist()):
            layers = nn.Conv2d(2, 3, 1), nn.BatchNorm2d(3), nn.Flatten(), nn.Linear(3, 2)
            yield draw.filled(nn.Sequential(*layers)), decays, draw.number(0, 10**6)

    def shown(self, model, decays, seed):
        return f"steps with decay {', '.join(f'{decay:.2g}' for decay in decays)}"

    def use(self, answer, model, decays, seed):
        average, draw, states = copy.deepcopy(model), Draw(seed), []
        for decay in decays:
            draw.filled(model)
            model.state_dict()["1.num_batches_tracked"].add_(50)
            before = copy.deepcopy(model.state_dict())
            answer(average, model, decay)
            changed = not agrees(model.state_dict(), before, 0)
            slip = "Training goes on with it; write into `average`."
            refuse("a model as it was", (changed, "the model was changed", slip))
            states.append(copy.deepcopy(dict(average.state_dict())))
        return {"the state of `average` after each step": states}


# Answers


def update_average(average: nn.Module, model: nn.Module, decay: float) -> None:
    """One step of the running mean: average <- decay * average + (1 - decay) * model."""
    new_state = model.state_dict()
    for name, mean in average.state_dict().items():  # tensors without gradient, not copies
        if mean.is_floating_point():
            mean.mul_(decay).add_(new_state[name], alpha=1 - decay)
        else:
            mean.copy_(new_state[name])


def by_loading(average, model, decay):
    new, old = copy.deepcopy(model.state_dict()), average.state_dict()
    for name, tensor in new.items():
        if tensor.dtype == torch.float32:
            new[name] = decay * old[name] + (1 - decay) * tensor
    average.load_state_dict(new)


AVERAGE, COPY = "mean.mul_(decay).add_(new_state[name], alpha=1 - decay)", "mean.copy_(new_state[name])"
slips = [
    (lambda average, model, decay: None, "Nothing was written into `average`: `name = ...` makes another tensor."),
    ({"mean.is_floating_point()": "False"}, "That is a copy of the model; of the mean so far nothing is left."),
    (
        {AVERAGE: "mean.mul_(1 - decay).add_(new_state[name], alpha=decay)"},
        "Exchanged: `decay` goes with the old mean.",
    ),
    (
        {"        if": "        if name not in dict(model.named_parameters()):\n            continue\n        if"},
        "Only parameters were averaged; the running statistics of batch norm are buffers.",
    ),
    ({"if mean": "if 'running' not in name and mean"}, "The running statistics were copied: average them, too."),
    ({COPY: "pass"}, "The buffers of whole numbers were left out: copy them."),
    ({COPY: "mean.copy_(decay * mean + (1 - decay) * new_state[name])"}, "Whole numbers are not averaged but copied."),
]
also_wrong = [
    ({"mean.is_floating_point()": "True"}, "Copy buffers of whole numbers"),
    ({"state_dict().items()": "named_parameters()"}, "torch.no_grad()"),
    ({COPY: f"{COPY}\n    model.load_state_dict(average.state_dict())"}, "Training goes on with it"),
]
also_right = [by_loading, {AVERAGE: "mean.lerp_(new_state[name], 1 - decay)"}]
