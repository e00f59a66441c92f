"""The explorer of a stack of layers, without a browser: what it says at first is torch's, and stays without scripts."""

import torch
from torch import nn

from course_lib.widgets import shape_explorer
from course_lib.widgets.page import module_source


def test_the_first_stack_is_torchs() -> None:
    page = shape_explorer()
    side, channels = page.state["side"], page.state["channels"]
    assert page.state["layers"] == ("conv3", "relu", "pool", "flatten", "dense")
    layers = nn.Sequential(nn.Conv2d(1, channels, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten())
    image = torch.zeros(1, 1, side, side)
    layers.append(nn.Linear(layers(image).shape[1], 10))
    total = sum(parameter.numel() for parameter in layers.parameters())
    shape = tuple(layers(image).shape)
    assert page.summary == f"5 layers turn {tuple(image.shape)} into {shape}, with {total:,} parameters."
    for count, layer in enumerate(layers, start=1):
        assert f"<td>{layer}</td><td>{tuple(layers[:count](image).shape)}</td>" in page.still


def test_without_scripts_a_picture_with_a_text_and_a_table_stay() -> None:
    page = shape_explorer()
    assert f'alt="{page.summary}"' in page.still
    assert page.still.count("<tr>") == 6
    assert page.html() == shape_explorer().html()
    assert len(page.html().encode()) < 100_000


def test_its_modules_travel_once_and_without_imports() -> None:
    source = module_source("shapes")
    assert "import {" not in source
    assert source.count("export function trace(") == source.count("export function short(") == 1
