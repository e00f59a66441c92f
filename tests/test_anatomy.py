import re

import pytest
import torch
import torchinfo
import torchvision
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

from course_lib.anatomy import (
    conv2d_by_hand,
    conv_output_size,
    count_parameters,
    kept_megabytes,
    receptive_field,
    trace_shapes,
)
from course_lib.models import CompactCNN, PneumoniaCNN

sizes = st.integers(1, 7)


@settings(max_examples=300, deadline=None)
@given(size=st.integers(1, 40), kernel=sizes, stride=sizes, padding=st.integers(0, 4), dilation=st.integers(1, 3))
def test_output_size_agrees_with_torch(size: int, kernel: int, stride: int, padding: int, dilation: int) -> None:
    layer = nn.Conv2d(1, 1, kernel, stride=stride, padding=padding, dilation=dilation)
    try:
        expected = layer(torch.zeros(1, 1, size, size)).shape[-1]
    except RuntimeError:  # torch: the kernel does not fit
        with pytest.raises(ValueError, match="covers"):
            conv_output_size(size, kernel, stride=stride, padding=padding, dilation=dilation)
    else:
        assert conv_output_size(size, kernel, stride=stride, padding=padding, dilation=dilation) == expected


def test_a_stride_of_zero_is_refused() -> None:
    with pytest.raises(ValueError, match="stride=0"):
        conv_output_size(8, 3, stride=0)


@st.composite
def chains(draw: st.DrawFn) -> nn.Sequential:
    layers: list[nn.Module] = []
    for _ in range(draw(st.integers(1, 4))):
        kernel, stride = draw(st.integers(1, 3)), draw(st.integers(1, 2))
        if draw(st.booleans()):
            layer = nn.Conv2d(1, 1, kernel, stride=stride, dilation=draw(st.integers(1, 2)), bias=False)
            nn.init.ones_(layer.weight)
            layers += [layer, nn.ReLU()]
        else:
            layers.append(nn.AvgPool2d(kernel, stride=stride))
    return nn.Sequential(*layers)


@settings(max_examples=200, deadline=None)
@given(chain=chains())
def test_receptive_field_is_where_the_gradient_of_one_output_pixel_reaches(chain: nn.Sequential) -> None:
    image = torch.ones(1, 1, 160, 160, requires_grad=True)
    output = chain(image)

    def span_of(pixel: int) -> tuple[int, int]:
        (gradient,) = torch.autograd.grad(output[0, 0, pixel, pixel], image, retain_graph=True)
        touched = gradient[0, 0].sum(dim=1).nonzero().flatten()
        return int(touched.min()), int(touched.max())

    first, last = span_of(1)
    field = receptive_field(*chain)
    assert field.size == last - first + 1
    assert field.stride == span_of(2)[0] - first


def test_receptive_field_of_vgg_like_blocks_by_hand() -> None:
    # 3x3 sees 3; pooling adds 1 and doubles the step; the next 3x3 adds 2 steps of 2: 3 + 1 + 4 = 8.
    assert receptive_field(nn.Conv2d(1, 1, 3), nn.MaxPool2d(2), nn.Conv2d(1, 1, 3)) == (8, 2)


def test_receptive_field_names_a_layer_that_it_does_not_know() -> None:
    with pytest.raises(ValueError, match="reach of a AdaptiveAvgPool2d is not known"):
        receptive_field(nn.Conv2d(1, 1, 3), nn.AdaptiveAvgPool2d(1))


@pytest.mark.parametrize(("model", "shape"), [(PneumoniaCNN(64), (2, 1, 64, 64)), (CompactCNN(), (2, 1, 48, 48))])
def test_trace_agrees_with_torchinfo_layer_by_layer(model: nn.Module, shape: tuple[int, ...]) -> None:
    trace = trace_shapes(model, shape)
    judged = torchinfo.summary(model, input_size=shape, verbose=0)
    leaves = [layer for layer in judged.summary_list if layer.is_leaf_layer]
    assert [row.output_shape for row in trace.layers] == [tuple(layer.output_size) for layer in leaves]
    assert [row.parameters for row in trace.layers] == [layer.num_params for layer in leaves]
    assert trace.parameters == judged.total_params == count_parameters(model)


@pytest.mark.parametrize(("model", "shape"), [(PneumoniaCNN(32), (3, 1, 32, 32)), (CompactCNN(), (1, 1, 32, 32))])
def test_multiply_adds_are_half_of_torchs_flops(model: nn.Module, shape: tuple[int, ...]) -> None:
    with FlopCounterMode(display=False) as counter:
        model.eval()(torch.zeros(shape))
    assert trace_shapes(model, shape).multiply_adds == counter.get_total_flops() // 2


@pytest.mark.parametrize("name", ["resnet18", "convnext_tiny", "vit_b_16"])
def test_no_parameter_of_a_published_network_is_lost(name: str) -> None:
    with torch.device("meta"):
        model = torchvision.models.get_model(name)
    trace = trace_shapes(model, (1, 3, 224, 224))
    assert trace.parameters == sum(p.numel() for p in model.parameters())
    published = {"resnet18": 11_689_512, "convnext_tiny": 28_589_128, "vit_b_16": 86_567_656}
    assert trace.parameters == published[name]


def test_multiply_adds_of_a_transposed_convolution_are_half_of_torchs_flops() -> None:
    model = nn.Sequential(nn.ConvTranspose2d(3, 5, 3, stride=2))
    with FlopCounterMode(display=False) as counter:
        model(torch.zeros(2, 3, 7, 7))
    assert trace_shapes(model, (2, 3, 7, 7)).multiply_adds == counter.get_total_flops() // 2


def test_multiply_adds_of_a_convolution_by_hand() -> None:
    # Each of 2x5x5 outputs takes 3x3 products over 4 / 2 = 2 channels of its group.
    layer = nn.Conv2d(4, 2, 3, groups=2)
    assert trace_shapes(nn.Sequential(layer), (1, 4, 7, 7)).multiply_adds == 2 * 5 * 5 * 3 * 3 * 2


def test_tracing_leaves_mode_statistics_and_hooks_as_they_were() -> None:
    model = CompactCNN().train()
    model.blocks[0][1].eval()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    trace_shapes(model, (2, 1, 32, 32))
    assert model.training
    assert not model.blocks[0][1].training
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
    assert not any(module._forward_hooks for module in model.modules())


def test_tracing_cleans_up_after_an_error() -> None:
    model = PneumoniaCNN(32).train()
    with pytest.raises(ValueError, match="expected"):
        trace_shapes(model, (1, 1, 64, 64))
    assert model.training
    assert not any(module._forward_hooks for module in model.modules())


def test_the_text_table_ends_with_the_totals() -> None:
    text = str(trace_shapes(nn.Sequential(nn.Conv2d(1, 32, 3)), (1, 1, 8, 8)))
    assert text.splitlines()[-1].split() == ["total", "320", f"{32 * 36 * 9:,}"]


def test_a_page_shows_the_trace_as_a_table_with_a_row_for_each_layer() -> None:
    trace = trace_shapes(nn.Sequential(nn.Conv2d(1, 32, 3), nn.ReLU()), (1, 1, 8, 8))
    page = trace._repr_mimebundle_()["text/html"]
    assert re.findall(r'<th scope="row"[^>]*>([^<]+)', page) == ["0: Conv2d", "1: ReLU", "total"]
    assert "<td>(1, 32, 6, 6)</td><td>320</td>" in page


def test_frozen_parameters_can_be_left_out_of_the_count() -> None:
    model = nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 2))
    model[0].requires_grad_(requires_grad=False)
    assert (count_parameters(model), count_parameters(model, trainable_only=True)) == (26, 10)


def test_what_is_kept_is_counted_once_and_without_the_parameters() -> None:
    images = torch.zeros(2, 1, 8, 8)
    model = nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), nn.ReLU(), nn.Flatten(), nn.Linear(256, 3))
    # by torch's derivatives.yaml: a convolution keeps its input, ReLU its result, which is the input of the last layer
    assert kept_megabytes(model, images) == 4 * (2 * 64 + 2 * 256) / 1e6


@settings(max_examples=40, deadline=None)
@given(
    height=st.integers(3, 9), width=st.integers(3, 9), kernel=st.integers(1, 3), stride=st.integers(1, 3),
    padding=st.integers(0, 2),
)  # fmt: skip
def test_convolution_by_hand_gives_torchs_numbers(
    height: int, width: int, kernel: int, stride: int, padding: int
) -> None:
    image, weights = torch.randn(height, width), torch.randn(kernel, kernel)
    by_hand = conv2d_by_hand(image, weights, stride=stride, padding=padding)
    judge = F.conv2d(image[None, None], weights[None, None], stride=stride, padding=padding)[0, 0]
    torch.testing.assert_close(by_hand, judge)
