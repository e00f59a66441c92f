"""What the schematics of lesson 4 say is so: torchvision's own blocks and FastCNN have these channels and sizes."""

import re
import xml.etree.ElementTree as ET
from itertools import pairwise

import torch
from torch import nn
from torchvision.models import resnet50
from torchvision.models.mobilenetv3 import InvertedResidual, InvertedResidualConfig

from course_lib.models import FastCNN
from course_lib.models.fast import Group
from course_lib.schematics import SCHEMATICS


def words(name: str) -> list[str]:
    found = ET.fromstring(SCHEMATICS[name]().svg()).findall("{http://www.w3.org/2000/svg}text")
    return [text.text or "" for text in found]


def test_the_volumes_of_fast_cnn_are_what_leaves_its_groups() -> None:
    shapes: list[tuple[int, ...]] = []
    model = FastCNN().eval()
    for part in (model.stem, *model.groups):
        part.register_forward_hook(lambda part, given, maps: shapes.append(tuple(maps.shape[1:])))
    model(torch.zeros(1, 3, 32, 32))
    said = words("fast-cnn")
    written = [(int(channels), size) for channels, size in pairwise(said) if re.fullmatch(r"\d+ × \d+", size)]
    assert written == [(3, "32 × 32"), *((c, f"{h} × {w}") for c, h, w in shapes)]


def test_a_group_of_fast_cnn_pools_before_it_normalizes() -> None:
    group = Group(4, 8)
    seen: list[str] = []
    for name, layer in group.named_children():
        layer.register_forward_hook(lambda layer, given, maps, name=name: seen.append(f"{name} {maps.shape[-1]}"))
    group(torch.zeros(2, 4, 16, 16))
    assert seen == ["conv1 16", "norm1 8", "conv2 8", "norm2 8"]
    assert words("fast-cnn")[1:8] == ["conv", "pool", "norm", "act", "conv", "norm", "act"]


def test_the_bottleneck_narrows_to_a_quarter_as_resnet_50s_does() -> None:
    block = resnet50(weights=None).layer1[1]
    convs = [block.conv1, block.conv2, block.conv3]
    widths = [convs[0].in_channels, *(conv.out_channels for conv in convs)]
    said = words("residual-blocks")
    mine = [int(word) for word in said[said.index("bottleneck") :] if word.isdigit()]
    assert [4 * width for width in mine] == widths
    kernels = [word for word in said[said.index("bottleneck") :] if "×" in word]
    assert kernels == [f"{conv.kernel_size[0]} × {conv.kernel_size[1]}" for conv in convs]


def test_the_branches_stack_to_what_came_in_and_the_dense_block_doubles() -> None:
    said = words("inception-and-dense")
    branches = [int(word) for word in said if word.isdigit()][1:5]
    assert sum(branches) == 64
    assert [int(word) for word in said if word.isdigit()][5:] == [64, 80, 96, 112, 128]


def test_the_mbconv_has_the_order_and_widths_of_torchvisions() -> None:
    config = InvertedResidualConfig(64, 3, 256, 64, True, "HS", 1, 1, 1)
    block = InvertedResidual(config, nn.BatchNorm2d)
    layers = [layer for layer in block.modules() if isinstance(layer, nn.Conv2d)]
    expand, depthwise, *_, project = layers
    assert (depthwise.groups, expand.out_channels, project.out_channels) == (256, 256, 64)
    assert [int(word) for word in words("mbconv") if word.isdigit()] == [64, 256, 256, 256, 64]
