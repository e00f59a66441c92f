"""Hidden checks of lesson 2, building PneumoniaCNN."""

import re
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from course_lib.classroom.hidden import hidden
from course_lib.exercises.draw import Draw
from course_lib.exercises.files import broken_pngs
from course_lib.exercises.legacy import call
from course_lib.exercises.lesson_2.data import contents
from course_lib.exercises.lesson_2.networks import Recorder


@hidden(
    "02.1",
    inputs="nested models, some of whose parameters are frozen",
)
def largest_share(answer: Callable[[nn.Module], float], draw: Draw) -> object:
    sizes = draw.whole(2, 40, 6, 3).tolist()
    inside = [nn.Sequential(nn.Conv2d(a, b, 3), nn.Sequential(nn.BatchNorm2d(b), nn.Linear(b, c))) for a, b, c in sizes]
    models = [nn.Sequential(block, nn.Linear(draw.number(2, 60), draw.number(2, 60))) for block in inside]
    models[0][1].requires_grad_(False)
    models.append(nn.Sequential(nn.MultiheadAttention(draw.number(5, 9), 1), nn.Linear(9, 9)))
    return [call(answer, model) for model in models]


@hidden(
    "02.2",
    inputs="labels of 2, 3 and 5 classes, and calls that can be of one class more",
)
def fair_scores(answer: Callable[[Tensor, Tensor], Any], draw: Draw) -> object:
    inputs = [
        (draw.whole(0, classes + more, 30), draw.labels(30, classes)) for classes, more in ((2, 1), (3, 0), (5, -2))
    ]
    inputs.append((draw.whole(0, 1, 9), torch.tensor([0, 0, 1, 1, 1, 0, 1, 1, 2])))
    return [tuple(call(answer, *drawn)) for drawn in inputs]


@hidden(
    "02.3",
    inputs="drawn images and weights",
    of_each=("the result in evaluation", "the result in training", "the number of parameters"),
)
def lean_block(answer: Callable[..., nn.Module], draw: Draw) -> object:
    found = []
    for arguments in ((draw.number(1, 4), draw.number(5, 8)), (3, draw.number(4, 8), 5)):
        images = draw.normal(4, arguments[0], 8, 10)
        block = draw.filled(answer(*arguments))
        found.append((call(block.eval(), images), block.train()(images), sum(p.numel() for p in block.parameters())))
    return found


@hidden(
    "02.4",
    inputs="maps of drawn sizes, also small and odd ones",
    of_each=(
        "the result",
        "the result for sides that are no multiples of 4",
        "that every position counts",
        "the number of parameters",
    ),
)
def region_head(answer: Callable[[int, int], nn.Module], draw: Draw) -> object:
    found = []
    for height, width in draw.whole(1, 5, 3, 2).tolist():
        channels = draw.number(1, 4)
        head = answer(channels, 16 * channels)
        head(draw.normal(1, channels, 8, 8))  # a lazy layer learns its size
        with torch.no_grad():  # each logit is a region, in any order
            for parameter in head.parameters():
                one = 3 * torch.eye(16 * channels) if parameter.ndim > 1 else torch.ones(16 * channels)
                parameter.copy_(one.reshape(parameter.shape))
        uneven = torch.full((1, channels, 4 * height - 1, 4 * width - 3), 2.0, requires_grad=True)
        flat = head(uneven)
        flat.sum().backward()
        seen = uneven.grad.all().item() if uneven.grad is not None else False
        maps = draw.normal(3, channels, 4 * height, 4 * width)
        found.append((call(head, maps).sort(dim=1)[0], flat, seen, sum(p.numel() for p in head.parameters())))
    return found


@hidden(
    "02.5",
    inputs="images of a right and of several wrong shapes",
    parts=("what is let through or refused, or what the refusal says", "the model after the guard was removed"),
)
def guard_shape(answer: Callable[..., Any], draw: Draw) -> object:
    wanted = draw.number(2, 4), draw.number(5, 9), draw.number(5, 9)
    (c, h, w), model, found = wanted, Recorder(), list[object]()
    guard, n = answer(model, *wanted), draw.number(2, 4)
    right = [(n, *wanted), (1, *wanted)]
    for shape in [
        *right,
        wanted,
        (2, n, *wanted),
        (n, c, h + 1, w),
        (n, c, h, w - 1),
        (n, c, w + 5, h),
        (n, c - 1, h, w),
    ]:
        images = draw.normal(*shape)
        try:
            found.append(model(images) is images)
        except ValueError as error:
            numbers = re.findall(r"\d+", str(error))
            found.append((all(str(size) in numbers for size in (*wanted, *shape[-3:])), len(model.arrived)))
    guard.remove()
    return found, model(images) is images


@hidden(
    "02.6",
    inputs="a folder with broken files, doubles, an empty class and other suffixes",
)
def audit_folder(answer: Callable[[Path], Any], draw: Draw) -> object:
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        for name in ("ant", "bee", "cat", "cow"):
            for number in range(draw.number(2, 5)):
                draw.image(root / name / f"{number}.{'PNG' if number % 2 else 'png'}", ("L", "RGB")[draw.number(0, 1)])
        (root / "dodo").mkdir()
        for file, content in (("ant/notes.txt", b"notes"), ("list.txt", b"list"), ("cow/broken.jpeg", b"nothing")):
            (root / file).write_bytes(content)
        whole = (root / "bee/0.png").read_bytes()
        for twin, of in (("cow/twin.jpg", "bee/0.png"), ("cow/pair.png", "cat/0.png"), ("ant/same.png", "ant/0.png")):
            (root / twin).write_bytes((root / of).read_bytes())
        for name, content in broken_pngs().items():
            (root / "cow" / name).write_bytes(content)
        (root / "ant" / "short.png").write_bytes(whole[: -draw.number(40, 80)])
        before = contents(root)
        audit = answer(root)
        same = contents(root) == before
    return {
        "same": same,
        "counts": dict(audit["counts"]),
        "unreadable": sorted(map(str, audit["unreadable"])),
        "duplicates": sorted(sorted(map(str, group)) for group in audit["duplicates"]),
        "modes": {name: dict(modes) for name, modes in audit["modes"].items() if isinstance(modes, Mapping) and modes},
    }
