import pytest
import torch
from torch import nn

from course_lib.anatomy import count_parameters
from course_lib.models import CompactCNN, PneumoniaCNN, build_network


def test_pneumonia_cnn_has_the_parameters_worked_out_by_hand() -> None:
    with torch.device("meta"):  # counted without 270 MB of weights
        model = PneumoniaCNN(256)
    blocks = (1 * 9 * 32 + 32 + 64) + (32 * 9 * 64 + 64 + 128) + (64 * 9 * 128 + 128 + 256)
    head = (128 * 32 * 32 * 512 + 512) + (512 * 128 + 128) + (128 * 2 + 2)
    assert count_parameters(model) == blocks + head == 67_268_418
    assert count_parameters(model.fc1) == 67_109_376


@pytest.mark.parametrize("size", [8, 50, 64, 100])
def test_pneumonia_cnn_works_out_its_dense_layer_from_any_image_size(size: int) -> None:
    assert PneumoniaCNN(size).eval()(torch.rand(2, 1, size, size)).shape == (2, 2)


def test_pneumonia_cnn_names_both_sizes_when_they_differ() -> None:
    with pytest.raises(ValueError, match=r"images \(N, 1, 64, 64\) expected, got \(2, 1, 32, 32\); resize them"):
        PneumoniaCNN(64)(torch.rand(2, 1, 32, 32))


def test_compact_cnn_is_compact_and_takes_any_size() -> None:
    model = CompactCNN().eval()
    assert count_parameters(model) < 200_000
    for height, width in ((32, 32), (64, 96), (224, 224)):
        assert model(torch.rand(1, 1, height, width)).shape == (1, 2)


def test_compact_cnn_says_when_an_image_is_too_small() -> None:
    with pytest.raises(ValueError, match=r"at least 32x32 pixels expected, got \(8, 8\)"):
        CompactCNN()(torch.rand(1, 1, 8, 8))


def test_compact_cnn_does_not_see_exposure() -> None:
    model, image = CompactCNN().eval(), torch.rand(1, 1, 64, 64)
    torch.testing.assert_close(model(image), model(image * 0.5 + 0.2), atol=1e-3, rtol=1e-3)


@pytest.mark.parametrize("model", [PneumoniaCNN(32), CompactCNN()])
def test_networks_return_logits_and_not_probabilities(model: nn.Module) -> None:
    sums = model.eval()(torch.rand(8, 1, 32, 32)).sum(dim=1)
    assert not torch.allclose(sums, torch.ones(8))


def test_an_unknown_network_is_named_with_those_that_exist() -> None:
    with pytest.raises(ValueError, match=r"'ResNet' is not known; choose one of: PneumoniaCNN, CompactCNN"):
        build_network("ResNet")
