import copy

import pytest
import torch
from torch import nn

from course_lib.models import FastCNN
from course_lib.muon import Muon, orthogonalize


@pytest.mark.parametrize("shape", [(16, 64), (64, 16), (32, 32)])
def test_orthogonalizing_keeps_the_directions_and_evens_out_the_strengths(shape: tuple[int, int]) -> None:
    torch.manual_seed(0)
    left, _, right = torch.linalg.svd(torch.randn(shape), full_matrices=False)
    strengths = torch.logspace(0, -1.5, min(shape))
    found = orthogonalize(left @ torch.diag(strengths) @ right)
    inside = left.T @ found @ right.T  # in the matrix's own directions
    assert 0.6 < float(inside.diagonal().min()) < float(inside.diagonal().max()) < 1.3
    assert float((inside - torch.diag(inside.diagonal())).abs().max()) < 0.05


@pytest.mark.skipif(not hasattr(torch.optim, "Muon"), reason="torch has a Muon to compare with from 2.9 on")
@pytest.mark.parametrize("out_channels", [8, 64])
def test_filters_take_the_steps_of_torchs_muon_on_the_same_matrix(out_channels: int) -> None:
    torch.manual_seed(0)
    filters = nn.Parameter(torch.randn(out_channels, 3, 3, 3))
    matrix = nn.Parameter(filters.detach().flatten(1).clone())
    start = matrix.detach().clone()
    ours = Muon([filters], lr=0.05, momentum=0.6, weight_decay=0.1)
    theirs = torch.optim.Muon([matrix], lr=0.05, momentum=0.6, weight_decay=0.1)
    for _ in range(3):
        gradient = torch.randn_like(matrix)
        filters.grad, matrix.grad = gradient.view_as(filters).clone(), gradient
        ours.step()
        theirs.step()
    way, theirs_way = (found.detach().flatten(1) - start for found in (filters, matrix))
    assert float((way - theirs_way).norm() / theirs_way.norm()) < 0.03  # both compute in bfloat16


def test_everything_but_filters_takes_the_steps_of_adamw() -> None:
    torch.manual_seed(0)
    dense, same = nn.Linear(4, 3), nn.Linear(4, 3)
    same.load_state_dict(dense.state_dict())
    ours = Muon(dense.parameters(), adamw_lr=0.01)
    theirs = torch.optim.AdamW(same.parameters(), lr=0.01, weight_decay=0.0)
    for _ in range(3):
        images = torch.randn(5, 4)
        for layer, optimizer in ((dense, ours), (same, theirs)):
            optimizer.zero_grad()
            layer(images).square().sum().backward()
            optimizer.step()
    torch.testing.assert_close(dense.weight, same.weight)


def test_frozen_filters_stay_and_a_stored_state_goes_on_alike() -> None:
    torch.manual_seed(0)
    model, images = FastCNN((8, 16)), torch.rand(4, 3, 16, 16)
    model.stem.requires_grad_(False)
    stem = model.stem.weight.clone()
    optimizer = Muon(model.parameters())

    def step(network: nn.Module, by: Muon) -> None:
        by.zero_grad()
        network(images).square().sum().backward()
        by.step()

    step(model, optimizer)
    twin = FastCNN((8, 16))
    twin.stem.requires_grad_(False)
    twin.load_state_dict(model.state_dict())
    resumed = Muon(twin.parameters())
    resumed.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    step(model, optimizer)
    step(twin, resumed)
    assert torch.equal(model.stem.weight, stem)
    for name, tensor in model.state_dict().items():
        assert torch.equal(tensor, twin.state_dict()[name]), name


def test_a_closure_is_called_before_anything_moves() -> None:
    torch.manual_seed(0)
    model = FastCNN((8, 16))
    same = copy.deepcopy(model)
    images = torch.rand(4, 3, 16, 16)
    ours, theirs = Muon(model.parameters()), Muon(same.parameters())

    def closure() -> float:
        ours.zero_grad()
        loss = model(images).square().sum()
        loss.backward()
        return loss.item()

    for _ in range(2):
        said = ours.step(closure)
        theirs.zero_grad()
        loss = same(images).square().sum()
        loss.backward()
        theirs.step()
        assert said == loss.item()
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), same.parameters(), strict=True))
