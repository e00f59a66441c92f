"""The explorer of training, from Python: its first picture and sentence are torch's."""

import re

import torch
from torch import nn
from torch.nn import functional as F

from course_lib.widgets import training_explorer


def test_its_first_sentence_is_what_torch_learns() -> None:
    page = training_explorer()
    images = torch.tensor(page.state["images"])[:, None]
    designed = torch.tensor([page.state["kernels"][index]["table"] for index in page.state["targets"]])[:, None]
    torch.manual_seed(page.state["seed"])
    model = nn.Conv2d(1, 2, 3, bias=False)
    optimizer = torch.optim.SGD(model.parameters(), lr=page.state["rate"], momentum=page.state["momentum"])
    losses = []
    for _ in range(400):
        optimizer.zero_grad()
        losses.append(F.mse_loss(model(images), F.conv2d(images, designed.float())))
        losses[-1].backward()
        optimizer.step()
    assert f"random numbers have a loss of {losses[0].item():.3g}; 400 steps later" in page.summary
    apart = float(re.search(r"more than (0\.\d+) from", page.summary).group(1))
    assert abs((model.weight - designed).abs().max().item() - apart) <= 0.005
    assert f'alt="{page.summary}"' in page.still


def test_the_same_page_comes_twice_and_no_seed_is_touched() -> None:
    torch.manual_seed(5)
    first, drawn = training_explorer().html(), torch.rand(1)
    torch.manual_seed(5)
    assert training_explorer().html() == first
    torch.manual_seed(5)
    assert torch.equal(drawn, torch.rand(1))
    assert len(first) < 110_000
