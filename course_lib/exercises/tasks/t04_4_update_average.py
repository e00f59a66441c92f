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
            changed, goes_on = (
                not agrees(model.state_dict(), before, 1e-6),
                "Training goes on with it; write into `average`.",
            )
            refuse("a model as it was", (changed, "the model was changed", goes_on))
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


def averaging(copied=("num_batches_tracked",), skipped=("nothing",), exchanged=False):
    """A running mean of some tensors, with others copied or skipped."""

    def answer(average, model, decay):
        for (name, mean), new in zip(average.state_dict().items(), model.state_dict().values(), strict=True):
            share = 1 - decay if exchanged else decay
            if not name.endswith(skipped):
                mean.copy_(new if name.endswith(copied) else share * mean + (1 - share) * new)

    return answer


def names_only(average, model, decay):
    for mean, new in zip(average.parameters(), model.parameters(), strict=True):
        mean = decay * mean + (1 - decay) * new


def in_place_for_all(average, model, decay):
    for name, mean in average.state_dict().items():
        mean.mul_(decay).add_((1 - decay) * model.state_dict()[name])


def with_gradient(average, model, decay):
    for mean, new in zip(average.parameters(), model.parameters(), strict=True):
        mean.mul_(decay).add_(new, alpha=1 - decay)


def into_the_model(average, model, decay):
    update_average(average, model, decay)
    model.load_state_dict(average.state_dict())


@torch.no_grad()
def by_lerp(average, model, decay):
    for mean, new in zip(average.parameters(), model.parameters(), strict=True):
        mean.lerp_(new, 1 - decay)
    for mean, new in zip(average.buffers(), model.buffers(), strict=True):
        mean.copy_(decay * mean + (1 - decay) * new if mean.is_floating_point() else new)


def by_loading(average, model, decay):
    new, old = copy.deepcopy(model.state_dict()), average.state_dict()
    for name, tensor in new.items():
        if tensor.dtype == torch.float32:
            new[name] = decay * old[name] + (1 - decay) * tensor
    average.load_state_dict(new)


buffers = "running_mean", "running_var", "num_batches_tracked"
slips = [
    (names_only, "Nothing was written into `average`: a name that is bound to a new tensor leaves it as it was."),
    (
        lambda a, m, decay: a.load_state_dict(m.state_dict()),
        "That is a copy of the model; of the mean so far nothing is left.",
    ),
    (averaging(exchanged=True), "The weights are exchanged: `decay` belongs to the old mean."),
    (averaging(skipped=buffers), "Only parameters were averaged; the running statistics of batch norm are buffers."),
    (averaging(copied=buffers), "The running statistics were copied; average them like the weights."),
    (averaging(skipped=buffers[2:]), "The buffers of whole numbers were left out: copy them."),
    (averaging(copied=("nothing",)), "Whole numbers are not averaged but copied."),
]
also_wrong = [
    (in_place_for_all, "Copy buffers of whole numbers"),
    (with_gradient, "torch.no_grad()"),
    (into_the_model, "Training goes on with it"),
]
also_right = [by_lerp, by_loading]
