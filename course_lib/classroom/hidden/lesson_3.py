"""Hidden checks of lesson 3, training."""

import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from course_lib.classroom.hidden import hidden
from course_lib.classroom.hidden.draw import Draw


def _network(draw: Draw) -> nn.Sequential:
    layers = nn.Flatten(), nn.Linear(6, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(), nn.Linear(8, 3)
    return draw.filled(nn.Sequential(*layers))


@hidden("03.1")
def class_weights(answer: Callable[[Tensor, int], Tensor], draw: Draw) -> object:
    inputs = [(draw.labels(40, num_classes), num_classes) for num_classes in (2, 3, 6)]
    return [answer(*drawn) for drawn in inputs]


@hidden("03.2")
def train_step(answer: Callable[..., float], draw: Draw) -> object:
    model = draw.filled(nn.Sequential(nn.Flatten(), nn.Linear(6, 3)))
    batches = [(3 * draw.normal(5, 6, 1, 1), draw.labels(5, 3)) for _ in range(3)]
    optimizer = torch.optim.SGD(model.parameters(), lr=0.3)
    limits = (0.05, 100.0, 0.2)
    losses = [answer(model, optimizer, *batch, limit) for batch, limit in zip(batches, limits, strict=True)]
    return losses, list(model.parameters())


@hidden("03.3")
def loss_and_accuracy(answer: Callable[..., tuple[float, float]], draw: Draw) -> object:
    model = _network(draw)
    batches = [(draw.normal(count, 6, 1, 1), draw.labels(count, 3)) for count in (5, 5, 3)]
    scores = [tuple(answer(model.train(mode), batches)) for mode in (True, False)]
    return scores, list(model.buffers()), model.training


@hidden("03.4")
def gradient_in_pieces(answer: Callable[..., float], draw: Draw) -> object:
    model = draw.filled(nn.Sequential(nn.Flatten(), nn.Linear(6, 3)))
    batches = [(draw.normal(count, 6, 1, 1), draw.labels(count, 3)) for count in (7, 11)]
    losses = [answer(model, images, labels, size) for (images, labels), size in zip(batches, (3, 4), strict=True)]
    return losses, [parameter.grad for parameter in model.parameters()], list(model.parameters())


@hidden("03.5")
def specificity_at_sensitivity(answer: Callable[..., tuple[float, float]], draw: Draw) -> object:
    inputs = []
    for percent in (70, 85, 97):
        sides = [((draw.uniform(count) * 60).round() / 60, draw.labels(count, 2)) for count in (40, 50)]
        inputs.append((*sides[0], *sides[1], percent / 100))
    return [tuple(answer(*drawn)) for drawn in inputs]


@hidden("03.6")
def early_stopping(answer: Callable[[int], Any], draw: Draw) -> object:
    found = []
    for patience in (1, 2, 3):
        losses = [loss / 8 for loss in draw.whole(1, 8, 9).tolist()]
        model, stopping = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2)), answer(patience)
        said = []
        for loss in losses:
            draw.filled(model)
            said.append(bool(stopping.stop(loss, model)))
            if said[-1]:
                break
        stopping.restore(model)
        found.append((said, model.state_dict()))
    return found


@hidden("03.7", tolerance=0.01)  # gray values may be rounded to whole ones, or not
def folder_images(answer: Callable[..., Any], draw: Draw) -> object:
    found = []
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        for name in ("yak", "ape", "elk"):
            for number in range(draw.number(2, 4)):
                draw.image(root / name / f"{number}.png", ("L", "RGB", "RGBA")[draw.number(0, 2)], side=8)
        for file in ("list.txt", "ape/.hidden", "elk/9.png"):
            (root / file).write_bytes(b"no image")
        for channels in (1, 3):
            images = answer(root, size=8, channels=channels)
            found.append((list(images.classes), [_item(images, place) for place in range(len(images))]))
    return found


@hidden("03.8", tolerance=0.01)  # of a sum of measured fractions
def time_by_part(answer: Callable[..., Any], draw: Draw) -> object:
    found = []
    for steps in (1, 4):
        names, calls = [f"part {number}" for number in range(draw.number(3, 6))], list[str]()
        slow, when = draw.number(0, len(names) - 1), draw.number(0, steps - 1)

        def part(name: str, calls: list[str] = calls, slow: str = names[slow], when: int = when) -> None:
            calls.append(name)
            if name == slow and calls.count(name) == when + 1:
                time.sleep(0.05)

        table = answer({name: partial(part, name) for name in names}, steps)
        found.append((list(table), sum(table.values()), max(table, key=lambda name: table[name]), calls))
    return found


def _item(images: Any, place: int) -> object:
    try:
        image, label = images[place]
    except Exception as error:  # of any kind, if it names the file
        return "9.png" in str(error)
    return image, label
