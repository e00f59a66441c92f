"""Hidden checks of lesson 2, building PneumoniaCNN."""

import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from course_lib.classroom.hidden import hidden
from course_lib.classroom.hidden.draw import Draw


@hidden("02.1")
def largest_share(answer: Callable[[nn.Module], float], draw: Draw) -> object:
    sizes = draw.whole(2, 40, 6, 3).tolist()
    inside = [nn.Sequential(nn.Conv2d(a, b, 3), nn.Sequential(nn.BatchNorm2d(b), nn.Linear(b, c))) for a, b, c in sizes]
    models = [nn.Sequential(block, nn.Linear(draw.number(2, 60), draw.number(2, 60))) for block in inside]
    models[0][1].requires_grad_(False)
    return [answer(model) for model in models]


@hidden("02.2")
def fair_scores(answer: Callable[[Tensor, Tensor], Any], draw: Draw) -> object:
    inputs = [(draw.whole(0, classes, 30), draw.labels(30, classes)) for classes in (2, 3, 5)]
    return [tuple(answer(calls, labels)) for calls, labels in inputs]


@hidden("02.3")
def lean_block(answer: Callable[..., nn.Module], draw: Draw) -> object:
    found = []
    for arguments in ((draw.number(1, 4), draw.number(5, 8)), (3, draw.number(4, 8), 5)):
        images = draw.normal(4, arguments[0], 8, 10)
        block = draw.filled(answer(*arguments))
        found.append((block.eval()(images), block.train()(images), sum(p.numel() for p in block.parameters())))
    return found


@hidden("02.4")
def region_head(answer: Callable[[int, int], nn.Module], draw: Draw) -> object:
    found = []
    for height, width in draw.whole(4, 23, 4, 2).tolist():
        channels, num_classes = draw.number(1, 5), draw.number(2, 6)
        maps, row, bias = draw.normal(2, channels, height, width), draw.normal(num_classes, 1), draw.normal(num_classes)
        head = answer(channels, num_classes)
        head(maps)  # a lazy layer learns its size
        with torch.no_grad():  # one weight for all regions: their order is free
            for parameter in head.parameters():
                weight = row.reshape(-1, *[1] * (parameter.ndim - 1))
                parameter.copy_(bias if parameter.ndim == 1 else weight.expand_as(parameter))
        found.append((head(maps), sum(p.numel() for p in head.parameters())))
    return found


@hidden("02.5")
def guard_shape(answer: Callable[..., Any], draw: Draw) -> object:
    channels, height, width = draw.number(1, 4), draw.number(5, 9), draw.number(5, 9)
    model = draw.filled(nn.Conv2d(channels, 2, 3))
    right = (draw.number(1, 3), channels, height, width)
    shapes = [right, (channels, height, width), (2, channels, height + 1, width), (2, channels, width + 5, height)]
    images = [draw.normal(*shape) for shape in shapes]
    guard = answer(model, channels, height, width)
    found: list[object] = []
    for given in images:
        try:
            found.append(model(given))
        except ValueError as error:
            sizes = (height, width, *given.shape[-2:])
            found.append(all(str(size) in str(error) for size in sizes))
    guard.remove()
    return found, model(images[2])


@hidden("02.6")
def audit_folder(answer: Callable[[Path], Any], draw: Draw) -> object:
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        for name in ("ant", "bee", "cow"):
            for number in range(draw.number(2, 5)):
                draw.image(root / name / f"{number}.{'PNG' if number % 2 else 'png'}", ("L", "RGB")[draw.number(0, 1)])
        (root / "dodo").mkdir()
        for file, content in (("ant/notes.txt", b"notes"), ("list.txt", b"list"), ("cow/broken.jpeg", b"nothing")):
            (root / file).write_bytes(content)
        whole = (root / "bee" / "0.png").read_bytes()
        (root / "cow" / "twin.jpg").write_bytes(whole)
        (root / "ant" / "short.png").write_bytes(whole[: -draw.number(40, 80)])
        audit = answer(root)
    return {
        "counts": dict(audit["counts"]),
        "unreadable": sorted(map(str, audit["unreadable"])),
        "duplicates": sorted(sorted(map(str, group)) for group in audit["duplicates"]),
        "modes": {name: dict(modes) for name, modes in audit["modes"].items() if isinstance(modes, Mapping) and modes},
    }
