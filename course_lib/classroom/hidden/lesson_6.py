"""Hidden checks of lesson 6, visualization."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from course_lib.classroom.hidden import hidden
from course_lib.exercises.draw import Draw


def _network(draw: Draw) -> nn.Sequential:
    body = nn.Sequential(nn.Conv2d(2, 5, 3, padding=1), nn.BatchNorm2d(5), nn.ReLU(inplace=True), nn.Dropout())
    head = nn.Sequential(nn.Conv2d(5, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(16, 3))
    return draw.filled(nn.Sequential(body, head))


@hidden(
    "06.1",
    inputs="maps of very different scales, one of them constant",
    parts=("the result", "the given map, which should stay as it was"),
)
def normalized(answer: Callable[[Tensor], Tensor], draw: Draw) -> object:
    heat = draw.normal(4, 5, 7) * 10 ** draw.normal(4, 1, 1)
    heat[draw.number(0, 3)] = float(draw.normal(1))
    return answer(heat), heat


@hidden(
    "06.2",
    inputs="maps with ties, and masks of which one may be empty",
)
def pointing_score(answer: Callable[[Tensor, Tensor], Tensor], draw: Draw) -> object:
    heat, masks = draw.whole(0, 3, 12, 4, 5).float(), draw.uniform(12, 4, 5) < 0.4
    heat[draw.number(0, 11)] = 2
    return answer(heat, masks)


@hidden(
    "06.3",
    inputs="a network in training and in evaluation, and three of its layers",
    of_each=(
        "the maps",
        "whether the maps carry a gradient",
        "the number of hooks left behind",
        "the mode in which the model is left",
        "the running statistics, which should stay as they were",
    ),
)
def maps_of(answer: Callable[..., Tensor], draw: Draw) -> object:
    found = []
    for place in (0, 1, 2):
        model, images = _network(draw), draw.normal(3, 2, 6, 8)
        model.train(place == 1)
        maps = answer(model, images, model[0][place])  # type: ignore[index]
        hooks = sum(len(part._forward_hooks) + len(part._forward_pre_hooks) for part in model.modules())
        found.append((maps, maps.requires_grad, hooks, model.training, list(model.buffers())))
    return found


@hidden(
    "06.4",
    inputs="drawn images, targets and weights",
    parts=("the result", "whether the images carry a gradient", "a gradient left in the weights"),
)
def saliency(answer: Callable[..., Tensor], draw: Draw) -> object:
    model, images, targets = _network(draw).eval(), draw.normal(4, 2, 6, 8), draw.whole(0, 2, 4)
    slopes = answer(model, images, targets)
    return slopes, images.requires_grad, [parameter.grad is None for parameter in model.parameters()]


@hidden(
    "06.5",
    inputs="a network in training and in evaluation, and a layer of 4 channels",
    of_each=(
        "the map",
        "the number of hooks left behind",
        "the mode in which the model is left",
        "the running statistics, which should stay as they were",
    ),
)
def grad_cam(answer: Callable[..., Tensor], draw: Draw) -> object:
    found = []
    for training in (False, True):
        model, images, targets = _network(draw).train(training), draw.normal(4, 2, 6, 8), draw.whole(0, 2, 4)
        heat = answer(model, images, targets, model[1][0])  # type: ignore[index]
        hooks = sum(len(part._forward_hooks) + len(part._backward_hooks) for part in model.modules())
        found.append((heat.detach(), hooks, model.training, list(model.buffers())))
    return found


@hidden(
    "06.6",
    inputs="unequal groups, and a patch at a drawn place",
    of_each=("a fraction", "the mode in which the model is left", "the images, which should stay as they were"),
)
def shortcut_test(answer: Callable[..., dict[str, float]], draw: Draw) -> object:
    found = []
    for healthy, sick in ((14, 9), (6, 15)):
        model = draw.filled(nn.Sequential(nn.Flatten(), nn.Linear(2 * 5 * 6, 2))).train()
        row, column = draw.number(0, 2), draw.number(0, 3)
        images = draw.normal(healthy, 2, 5, 6), draw.normal(sick, 2, 5, 6)
        with torch.no_grad():
            model[1].bias.zero_()  # type: ignore[operator, union-attr]
        shares = answer(model, *images, (slice(row, row + 3), slice(column, column + 3)))
        found.append((dict(shares), model.training, images))
    return found
