"""Hidden checks of lesson 5, transfer learning."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from course_lib.classroom.hidden import hidden
from course_lib.exercises.draw import Draw


def _stages(draw: Draw) -> list[nn.Module]:
    a, b, c = draw.whole(2, 9, 3).tolist()
    blocks = nn.Conv2d(2, a, 3), nn.Sequential(nn.Conv2d(a, b, 1), nn.BatchNorm2d(b)), nn.MaxPool2d(2)
    return [*blocks, nn.Conv2d(b, c, 1, bias=False), nn.Linear(c, 2)]


@hidden(
    "05.1",
    inputs="models whose layers are frozen by chance",
)
def trained_share(answer: Callable[[nn.Module], float], draw: Draw) -> object:
    models = [nn.Sequential(*_stages(draw)) for _ in range(4)]
    for model in models:
        for parameter in model.parameters():
            parameter.requires_grad_(draw.number(0, 2) > 0)
    return [answer(model) for model in models]


@hidden(
    "05.2",
    inputs="convolutions with strides, dilation, padding, with and without bias",
    parts=("the result for gray images", "whether there is a bias", "the given layer, which should stay as it was"),
)
def gray_stem(answer: Callable[[nn.Conv2d], nn.Conv2d], draw: Draw) -> object:
    gray = draw.normal(2, 1, 15, 17)
    a, b = draw.whole(3, 7, 2).tolist()
    convs = [
        draw.filled(nn.Conv2d(3, a, 3, stride=(2, 1), padding=1, bias=False)),
        draw.filled(nn.Conv2d(3, b, (3, 5), padding=(0, 2), dilation=(2, 1))),
    ]
    stems = [answer(conv) for conv in convs]
    return [stem(gray) for stem in stems], [stem.bias is None for stem in stems], [conv.weight for conv in convs]


@hidden(
    "05.3",
    inputs="three steps of training with weight decay",
    parts=(
        "the maps, or the gradient before the backbone",
        "the backbone, which should stay as it was",
        "the layer before the backbone",
    ),
)
def frozen(answer: Callable[[nn.Module], nn.Module], draw: Draw) -> object:
    backbone = draw.filled(nn.Sequential(nn.Conv2d(2, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Dropout()))
    before = draw.filled(nn.Conv2d(1, 2, 1))
    batches = [draw.normal(3, 1, 7, 8) for _ in range(3)]
    model = nn.Sequential(before, answer(backbone))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, weight_decay=0.1)
    found = []
    for images in batches:
        model.train()
        optimizer.zero_grad()
        maps = model(images)
        maps.square().mean().backward()
        found.append((maps, before.weight.grad.clone()))  # type: ignore[union-attr]
        optimizer.step()
    return found, backbone.state_dict(), before.state_dict()


@hidden(
    "05.4",
    inputs="stages of which one is frozen, and drawn rates and decays",
    of_each=("the rate of a stage, or which parameters are in a group", "a group without parameters"),
)
def rate_groups(answer: Callable[..., list[dict[str, Any]]], draw: Draw) -> object:
    found = []
    for arguments in ((0.01,), (draw.number(1, 9) / 100, 0.5), (0.1, draw.number(3, 9) / 10)):
        stages = _stages(draw)
        stages[draw.number(0, 1)].requires_grad_(False)
        owner = {id(p): place for place, stage in enumerate(stages) for p in stage.parameters()}
        groups = answer(stages, *arguments)
        given = [
            ([group["params"]] if isinstance(group["params"], Tensor) else list(group["params"])) for group in groups
        ]
        pairs = [(p, group["lr"]) for group, own in zip(groups, given, strict=True) for p in own]
        found.append((sorted((owner[id(p)], p.numel(), rate) for p, rate in pairs), all(given)))
    return found


@hidden(
    "05.5",
    inputs="batches of unequal sizes, and a backbone of which parts are in training",
    parts=(
        "the features",
        "the labels",
        "the mode in which the backbone is left",
        "the running statistics, which should stay as they were",
    ),
)
def features_of(answer: Callable[..., tuple[Tensor, Tensor]], draw: Draw) -> object:
    backbone = draw.filled(nn.Sequential(nn.Conv2d(2, 5, 3), nn.BatchNorm2d(5), nn.Dropout(), nn.ReLU()))
    batches = [(draw.normal(count, 2, 6, 7), draw.labels(count, 2)) for count in (4, 4, 3)]
    backbone.train()[1].eval()
    features, labels = answer(backbone, iter(batches))
    return features, labels, [part.training for part in backbone.modules()], list(backbone.buffers())


@hidden(
    "05.6",
    inputs="counts in any order, and one or three seeds",
    of_each=("a mean or a gain", "the count that is needed", "which models were trained"),
)
def labels_needed(answer: Callable[..., dict[str, Any]], draw: Draw) -> object:
    found = []
    for seeds in ([0, 1, 2], [4]):
        counts = [10 * count for count in sorted(set(draw.whole(1, 30, 5).tolist()), key=lambda n: n % 7)]
        table = draw.uniform(2, 400, 5)
        calls: list[tuple[int, int, int]] = []

        def trained(
            row: int, n: int, seed: int, table: Tensor = table, calls: list[tuple[int, int, int]] = calls
        ) -> float:
            calls.append((row, n, seed))
            return float(table[row, n, seed] + n / 300 + (row == 0) / 5)

        said = answer(lambda n, s, t=trained: t(0, n, s), lambda n, s, t=trained: t(1, n, s), list(counts), list(seeds))
        rows = [[tuple(said[name][n]) for n in counts] for name in ("pretrained", "scratch", "gain")]
        found.append((rows, said["needed"], sorted(calls)))
    return found
