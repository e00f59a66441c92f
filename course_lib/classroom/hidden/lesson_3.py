"""Hidden checks of lesson 3, training."""

import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from course_lib.classroom.hidden import hidden
from course_lib.exercises.draw import Draw
from course_lib.exercises.files import broken_pngs
from course_lib.exercises.legacy import call
from course_lib.exercises.lesson_3.steps import Watched, leave_old_gradients


def _linear(draw: Draw) -> Watched:
    model = draw.filled(Watched(nn.Flatten(), nn.Linear(6, 3)))
    leave_old_gradients(model)
    return model


@hidden(
    "03.1",
    inputs="labels of 2, 3 and 6 classes",
    parts=("the weights", "the type of the weights"),
)
def class_weights(answer: Callable[[Tensor, int], Tensor], draw: Draw) -> object:
    inputs = [(draw.labels(40, num_classes), num_classes) for num_classes in (2, 3, 6)]
    found = [call(answer, *drawn) for drawn in inputs]
    return found, [str(weights.dtype) for weights in found]


@hidden(
    "03.2",
    inputs="three batches, some with gradients that must be clipped",
    parts=("the loss", "the model after the steps", "the kind of number it returns", "the mode it leaves"),
)
def train_step(answer: Callable[..., float], draw: Draw) -> object:
    model = _linear(draw)
    batches = [(3 * draw.normal(5, 6, 1, 1), draw.labels(5, 3)) for _ in range(3)]
    optimizer = torch.optim.SGD(model.parameters(), lr=0.3)
    limits = (0.05, 100.0, 0.2)
    losses = [answer(model, optimizer, *batch, limit) for batch, limit in zip(batches, limits, strict=True)]
    return losses, list(model.parameters()), all(isinstance(loss, float) for loss in losses), model.training


@hidden(
    "03.3",
    inputs="batches of unequal sizes, and a model in either mode",
    parts=(
        "the loss, the accuracy, or the mode in which the model is left",
        "the running statistics, which should stay as they were",
        "evaluation mode, without recording for gradients, while it runs",
    ),
)
def loss_and_accuracy(answer: Callable[..., tuple[float, float]], draw: Draw) -> object:
    layers = nn.Flatten(), nn.Linear(6, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(), nn.Linear(8, 3)
    model, found = draw.filled(Watched(*layers)), list[object]()
    batches = [(draw.normal(count, 6, 1, 1), draw.labels(count, 3)) for count in (15, 15, 8)]
    for mode in (True, False):
        found.append((tuple(answer(model.train(mode), batches)), model.training, torch.is_grad_enabled()))
    return found, list(model.buffers()), [any(ways) for ways in list(zip(*model.passes, strict=True))[1:]]


@hidden(
    "03.4",
    inputs="batches that do not divide evenly",
    parts=(
        "the loss",
        "the gradient",
        "the weights, which should stay as they were",
        "the size of the pieces, or that each is passed forward and backward by itself",
        "the kind of number it returns",
    ),
)
def gradient_in_pieces(answer: Callable[..., float], draw: Draw) -> object:
    model, losses = _linear(draw), []
    batches = [(draw.normal(count, 6, 1, 1), draw.labels(count, 3)) for count in (7, 11)]
    for (images, labels), size in zip(batches, (3, 4), strict=True):
        losses.append(answer(model, images, labels, size))
    fits = max(count for count, *_ in model.passes) <= 4 and "FF" not in "".join(model.order)
    gradients = [parameter.grad for parameter in model.parameters()]
    return losses, gradients, list(model.parameters()), fits, all(isinstance(loss, float) for loss in losses)


@hidden(
    "03.5",
    inputs="scores with ties, and sensitivities of 70 to 97 percent",
)
def specificity_at_sensitivity(answer: Callable[..., tuple[float, float]], draw: Draw) -> object:
    inputs = []
    for share in (draw.number(9, 15) / 16, 0.7, draw.number(9, 15) / 16, 0.97):
        labels = (draw.uniform(2, 45).argsort(dim=1) < 16).long()  # 16 of 45 are ill
        scores = (draw.uniform(2, 45) * 12).round() / 12
        inputs.append((scores[0], labels[0], scores[1], labels[1], share))
    return [tuple(call(answer, *drawn)) for drawn in inputs]


@hidden(
    "03.6",
    inputs="drawn losses with ties, and a patience of 1 to 3",
    of_each=("the epoch at which it stops", "the model that is restored"),
)
def early_stopping(answer: Callable[[int], Any], draw: Draw) -> object:
    found = []
    for patience in (1, 2, 3):
        losses = [loss / 8 for loss in (*draw.whole(4, 9, 3).tolist(), 3, 3, *draw.whole(4, 9, 3).tolist())]
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


def _draw_blocks(draw: Draw, path: Path, mode: str) -> None:
    """Write an image of 2 x 2 blocks, each of one color."""
    blocks = draw.whole(0, 255, 2, 2, len(mode) if mode.startswith("RGB") else 1).numpy().astype(np.uint8)
    pixels = blocks.repeat(draw.number(4, 12), axis=0).repeat(draw.number(4, 12), axis=1).squeeze()
    path.parent.mkdir(exist_ok=True)
    Image.fromarray(np.uint16(257) * pixels if mode == "I;16" else pixels).save(path)


@hidden(
    "03.7",
    tolerance=0.01,  # gray values may be rounded to whole ones, or not
    inputs="a folder with gray, colored and transparent images, hidden and broken files",
    of_each=("the classes", "an image, its label, or the error for a broken file"),
)
def folder_images(answer: Callable[..., Any], draw: Draw) -> object:
    found = []
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        for name in ("yak", "ape", "elk"):
            for mode in ("L", "RGB", "RGBA", "I;16"):
                _draw_blocks(draw, root / name / f"{draw.number(100, 999)}{len(mode)}.png", mode)
        Image.new("L", (5, 9), 255).save(root / "ape" / "white.png")
        broken = broken_pngs() | {"9.png": (root / "ape" / "white.png").read_bytes()[:50]}
        others = {"list.txt": b"list", "ape/.hidden": b""} | {f"elk/{name}": broken[name] for name in broken}
        for file, content in others.items():
            (root / file).write_bytes(content)
        for named in ({}, {"channels": 3}):
            images = answer(root, size=12, **named)
            found.append((list(images.classes), [_item(images, index, list(broken)) for index in range(len(images))]))
    return found


def _item(images: Any, index: int, broken: list[str]) -> object:
    try:
        image, label = images[index]
    except Exception as error:  # of any kind, if it names the file
        return [name in str(error) for name in broken]
    blocks, white, too_much = image[:, [3, 9]][..., [3, 9]], bool(image.min() > 0.998), bool(image.max() > 1.002)
    return image.shape, blocks, label, str(image.dtype), white, too_much


@hidden(
    "03.8",
    tolerance=0.01,  # of a sum of measured fractions
    inputs="parts of which one is slow in one step only",
    of_each=("the names", "the sum of all fractions", "the slowest part", "the order or number of calls"),
)
def time_by_part(answer: Callable[..., Any], draw: Draw) -> object:
    found = []
    for steps in (1, 4):
        names, calls = [f"part {number}" for number in range(draw.number(3, 6))], list[str]()
        slow, when = draw.number(1, len(names) - 1), draw.number(0, steps - 1)

        def part(name: str, calls: list[str] = calls, slow: str = names[slow], when: int = when) -> None:
            calls.append(name)
            if name in (slow, "part 0") and calls.count(name) == when + 1:
                time.sleep(0.05 if name == slow else 0.02)

        table = answer({name: partial(part, name) for name in names}, steps)
        found.append((list(table), sum(table.values()), max(table, key=lambda name: table[name]), calls))
    return found
