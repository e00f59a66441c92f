import inspect
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from course_lib.anatomy import count_parameters
from course_lib.models import CompactCNN, FastCNN, PneumoniaCNN, PooledCNN, SimpleCNN, build_network


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


def test_pooled_cnn_has_the_blocks_of_pneumonia_cnn_and_the_mean_of_each_map() -> None:
    dense, pooled, images = PneumoniaCNN(64).eval(), PooledCNN().eval(), torch.rand(2, 1, 64, 64)
    blocks = dense.conv_block1, dense.conv_block2, dense.conv_block3
    for block, given in zip(pooled.blocks, blocks, strict=True):
        block.load_state_dict(given.state_dict())
    maps = nn.Sequential(*blocks)(images)
    torch.testing.assert_close(pooled(images), pooled.head(F.adaptive_avg_pool2d(maps, 1).flatten(1)))
    assert count_parameters(pooled) == 67_268_418 - 67_109_376 - (512 * 128 + 128) - (128 * 2 + 2) + (128 * 2 + 2)
    assert pooled(torch.rand(1, 1, 8, 50)).shape == (1, 2)
    with pytest.raises(ValueError, match=r"at least 8x8 pixels expected, got \(7, 8\)"):
        pooled(torch.rand(1, 1, 7, 8))


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


@pytest.mark.parametrize("model", [PneumoniaCNN(32), PooledCNN(), CompactCNN(), SimpleCNN(), FastCNN()])
def test_networks_return_logits_and_not_probabilities(model: nn.Module) -> None:
    channels = 3 if isinstance(model, SimpleCNN | FastCNN) else 1
    sums = model.eval()(torch.rand(8, channels, 32, 32)).sum(dim=1)
    assert not torch.allclose(sums, torch.ones(8))


def test_simple_cnn_has_the_parameters_of_both_tutorials_worked_out_by_hand() -> None:
    blocks = (3 * 9 * 32 + 32) + (32 * 9 * 64 + 64) + (64 * 9 * 128 + 128)
    assert count_parameters(SimpleCNN()) == blocks + (128 * 4 * 4 * 512 + 512) + (512 * 10 + 10)
    small = (3 * 9 * 16 + 16) + (16 * 9 * 32 + 32) + (32 * 8 * 8 * 128 + 128) + (128 * 10 + 10)
    assert count_parameters(SimpleCNN((16, 32), hidden=128, dropout=0)) == small
    assert count_parameters(SimpleCNN(batch_norm=True)) == count_parameters(SimpleCNN()) + 32 + 64 + 128


def test_simple_cnn_computes_what_its_layers_written_out_compute() -> None:
    torch.manual_seed(0)
    model, images = SimpleCNN((4, 6), hidden=5).eval(), torch.rand(2, 3, 32, 32)
    first, second = (layer for layer in model.features if isinstance(layer, nn.Conv2d))
    maps = F.max_pool2d(F.relu(F.conv2d(images * 2 - 1, first.weight, first.bias, padding=1)), 2)
    maps = F.max_pool2d(F.relu(F.conv2d(maps, second.weight, second.bias, padding=1)), 2)
    hidden = F.relu(F.linear(maps.reshape(2, 6 * 8 * 8), model.fc1.weight, model.fc1.bias))
    torch.testing.assert_close(model(images), F.linear(hidden, model.fc2.weight, model.fc2.bias))


def test_simple_cnn_names_both_sizes_when_they_differ() -> None:
    with pytest.raises(ValueError, match=r"images \(N, 3, 32, 32\) expected, got \(2, 3, 64, 64\); resize them"):
        SimpleCNN()(torch.rand(2, 3, 64, 64))


def test_fast_cnn_takes_any_size_and_its_file_is_short_enough_to_read() -> None:
    model = FastCNN((8, 16)).eval()
    for height, width in ((32, 32), (24, 40), (64, 64)):
        assert model(torch.rand(1, 3, height, width)).shape == (1, 10)
    assert len(Path(inspect.getfile(FastCNN)).read_text().splitlines()) <= 120


def test_mirroring_averages_the_logits_of_an_image_and_its_mirror_image_when_evaluating() -> None:
    torch.manual_seed(0)
    plain, mirrored = FastCNN((8, 16)), FastCNN((8, 16), flip_tta=True)
    mirrored.load_state_dict(plain.state_dict())
    images = torch.rand(3, 3, 16, 16)
    plain.eval(), mirrored.eval()
    torch.testing.assert_close(mirrored(images), (plain(images) + plain(images.flip(3))) / 2)
    torch.testing.assert_close(mirrored(images), mirrored(images.flip(3)))
    torch.testing.assert_close(mirrored.train()(images), plain.train()(images))


def test_an_unknown_network_is_named_with_those_that_exist() -> None:
    with pytest.raises(
        ValueError, match="'ResNet' is not known; choose one of: PneumoniaCNN, PooledCNN, CompactCNN, SimpleCNN, Fast"
    ):
        build_network("ResNet")
