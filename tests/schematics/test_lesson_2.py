"""What the schematics of lesson 2 say is so: torch counts the parameters and runs the layers that are drawn."""

import re
import xml.etree.ElementTree as ET

import pytest
import torch
from torch import nn

from course_lib.models import PneumoniaCNN
from course_lib.plots.colors import ORANGE
from course_lib.schematics import SCHEMATICS


def parts(name: str, kind: str) -> list[ET.Element]:
    return ET.fromstring(SCHEMATICS[name]().svg()).findall(f"{{http://www.w3.org/2000/svg}}{kind}")


def words(name: str) -> list[str]:
    return [(text.text or "").replace("−", "-") for text in parts(name, "text")]


def large() -> PneumoniaCNN:
    with torch.device("meta"):
        return PneumoniaCNN(256)


def size(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def test_each_set_of_images_has_one_use() -> None:
    answers = [word for word in words("who-may-look-when") if word in ("yes", "no")]
    by_set = [answers[start : start + 3] for start in (0, 3, 6)]
    assert by_set == [["yes", "no", "no"], ["no", "yes", "no"], ["no", "no", "yes"]]


def test_the_volumes_have_the_shapes_that_leave_the_blocks() -> None:
    model, maps = large(), torch.zeros(1, 1, 256, 256, device="meta")
    shapes = [maps.shape]
    for block in (model.conv_block1, model.conv_block2, model.conv_block3):
        maps = block(maps)
        shapes.append(maps.shape)
    said = words("pneumonia-volumes")
    assert [word for word in said if " × " in word and word[0].isdigit()] == [
        " × ".join(map(str, shape[1:])) for shape in shapes
    ]
    rows = [maps[0].numel(), *(layer.out_features for layer in (model.fc1, model.fc2, model.fc3))]
    assert [word for word in said if re.fullmatch(r"[\d,]{1,7}", word)][-4:] == [f"{count:,}" for count in rows]


def test_the_squares_are_as_large_as_the_layers_and_named_with_their_parameters() -> None:
    model, said = large(), words("two-heads")
    blocks = size(model.conv_block1) + size(model.conv_block2) + size(model.conv_block3)
    twin = size(nn.Linear(128, 2))
    for count in (blocks, *(size(layer) for layer in (model.fc1, model.fc2, model.fc3))):
        assert f"{count:,}" in said
    assert f"{size(model):,} parameters" in said
    assert f"{blocks + twin:,} parameters" in said
    squares = [box for box in parts("two-heads", "rect") if box.get("width") == box.get("height")]
    areas = sorted({float(box.get("width")) ** 2 for box in squares})
    assert areas[-1] / areas[-2] == pytest.approx(size(model.fc1) / blocks, rel=0.01)


def test_one_channel_of_each_image_is_lit() -> None:
    lit = [box for box in parts("batch-norm", "rect") if box.get("fill") == ORANGE and box.get("width") == "40"]
    assert len({box.get("x") for box in lit}) == 1
    assert len({box.get("y") for box in lit}) == len(lit) == 3


def test_the_five_lines_are_one_step_of_training() -> None:
    code = [word for word in words("five-steps") if "(" in word]
    calls = [re.sub(r".*= ", "", line).replace("...", "logits, labels") for line in code]
    model, labels = nn.Linear(4, 2), torch.tensor([0, 1])
    optimizer, images, before = torch.optim.SGD(model.parameters(), lr=0.1), torch.ones(2, 4), model.weight.clone()
    names = {"model": model, "optimizer": optimizer, "images": images, "labels": labels, "F": nn.functional}
    eval(calls[0], names)
    names["logits"] = eval(calls[1], names)
    names["loss"] = eval(calls[2], names)
    eval(calls[3], names)
    eval(calls[4], names)
    assert not torch.equal(model.weight, before)
