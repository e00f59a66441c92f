"""The explorers without a browser: what they say is true, their faults are sentences, a still picture goes along."""

import io
import re
from datetime import UTC, datetime

import pytest
import torch
from PIL import Image
from sklearn.metrics import confusion_matrix
from torch import nn
from torch.nn import functional as F

from course_lib.models import CompactCNN
from course_lib.widgets import (
    Explorer,
    convolution_explorer,
    descent_explorer,
    feature_explorer,
    pooling_explorer,
    shape_explorer,
    threshold_explorer,
)


@pytest.fixture
def features() -> Explorer:
    torch.manual_seed(0)
    model = CompactCNN(widths=(4, 8)).eval()
    layers = {f"block {number}": block for number, block in enumerate(model.blocks, start=1)}
    return feature_explorer(model, torch.rand(3, 1, 32, 32), ("NORMAL", "PNEUMONIA"), layers=layers)


EXPLORERS = {
    "convolution": convolution_explorer,
    "shape": shape_explorer,
    "pooling": pooling_explorer,
    "descent": descent_explorer,
    "threshold": threshold_explorer,
}


@pytest.mark.parametrize("name", EXPLORERS)
def test_each_change_of_a_control_changes_picture_or_text(name: str) -> None:
    explorer = EXPLORERS[name]()
    for key, control in explorer.controls.items():
        if key == "alarm":
            explorer.set(threshold=0.1)  # so that there are false alarms to pay for
        before = explorer.view.children[-1].value
        if hasattr(control, "options"):
            control.index = (control.index + 1) % len(control.options)
        elif hasattr(control, "min") and control.value + control.step > control.max:
            control.value -= control.step
        else:
            control.value += getattr(control, "step", None) or 1
        assert explorer.view.children[-1].value != before, key


def test_the_convolution_is_torchs_with_every_setting() -> None:
    explorer = convolution_explorer(torch.arange(49.0).view(7, 7))
    weights = [1, -2, 0.5, 0, 3, 0, 1, 1, -1]
    explorer.set(**{f"w{n // 3 + 1}{n % 3 + 1}": value for n, value in enumerate(weights)})
    explorer.set(stride=2, padding=1, dilation=2, position=4)
    kernel = torch.tensor(weights).view(1, 1, 3, 3)
    wanted = F.conv2d(torch.arange(49.0).view(1, 1, 7, 7), kernel, stride=2, padding=1, dilation=2)[0, 0]
    assert wanted.shape == (3, 3)
    assert f"= {wanted[1, 1].item():g}. The output has 3x3 numbers." in explorer.said
    terms = explorer.said.partition(": ")[2].partition(" = ")[0]
    assert eval(terms.replace("x", "*")) == wanted[1, 1]


def test_a_preset_fills_the_kernel_and_draws_once() -> None:
    explorer = convolution_explorer()
    preset = explorer.view.children[1].children[0].children[0]
    drawn = []
    explorer.view.children[-1].observe(lambda change: drawn.append(change["new"]), names="value")
    preset.label = "sum of the neighbourhood"
    assert len(drawn) == 1
    assert [explorer.controls[f"w{n // 3 + 1}{n % 3 + 1}"].value for n in range(9)] == [1] * 9


def test_the_window_stays_on_the_output_when_it_shrinks() -> None:
    explorer = convolution_explorer()
    explorer.set(position=35)
    explorer.set(stride=3)
    assert "row 1, column 1" in explorer.said


def test_shapes_and_parameters_are_those_of_torch() -> None:
    explorer = shape_explorer()
    explorer.set(size=20, channels=3, layer1="conv5", layer2="conv3", layer3="mean", layer4="flatten", layer5="dense")
    built = nn.Sequential(nn.Conv2d(1, 3, 5, 2), nn.Conv2d(3, 3, 3, 1, 1), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    total = sum(p.numel() for p in built.parameters()) + 3 * 10 + 10
    assert explorer.said == f"5 layers turn (1, 1, 20, 20) into (1, 10), with {total:,} parameters."
    page = explorer.view.children[-1].value
    assert "(1, 3, 8, 8)" in page
    assert "9 pixels" in page
    assert page.count("whole image") == 3


def test_layers_that_do_not_fit_are_named_with_what_arrives() -> None:
    explorer = shape_explorer()
    explorer.set(layer5="dense2048", size=32, channels=4)
    assert "Layer 5, Linear(in_features=2048" in explorer.said
    assert "does not fit what arrives, (1, 1024)" in explorer.said
    explorer.set(channels=8)
    assert "5 layers turn" in explorer.said
    explorer.set(size=4, layer1="pool", layer2="pool", layer3="pool")
    assert "Layer 3, MaxPool2d" in explorer.said
    explorer.set(**{f"layer{number}": "" for number in range(1, 6)})
    assert explorer.said == "There is no layer yet; choose one."


def test_dropout_scales_in_training_and_rests_in_evaluation() -> None:
    explorer = pooling_explorer()
    explorer.set(rate=0.5)
    assert "multiplied by 2.00" in explorer.said
    explorer.set(mode="evaluation", shift=1)
    before, after = re.findall(r"was ([\d.]+) and is ([\d.]+)", explorer.said)[0]
    assert before == after
    explorer.set(shift=2, window=2)
    image = torch.zeros(1, 8, 8)
    image[:, 2:4, 2:5] = 8
    changed = (F.max_pool2d(image, 2) != F.max_pool2d(image.roll(2, 2), 2)).sum()
    assert f"changed {changed} of 16" in explorer.said


def test_the_way_down_is_that_of_torchs_sgd_and_beyond_the_bound_it_grows() -> None:
    explorer = descent_explorer()
    explorer.set(rate=0.1, momentum=0.5, steps=7)
    place = torch.tensor([-3.5, 2.0], requires_grad=True)
    optimizer = torch.optim.SGD([place], lr=0.1, momentum=0.5)
    for _ in range(7):
        optimizer.zero_grad()
        ((place**2 * torch.tensor([1.0, 8.0])).sum() / 2).backward()
        optimizer.step()
    loss = (place.detach() ** 2 * torch.tensor([1.0, 8.0])).sum() / 2
    assert f"after 7 steps it is {loss:.3g}." in explorer.said
    explorer.set(rate=0.26, momentum=0.0, steps=60)
    assert "it grows" in explorer.said
    explorer.set(rate=0.24)
    assert "it grows" not in explorer.said


def test_threshold_counts_are_scikit_learns() -> None:
    generator = torch.Generator().manual_seed(1)
    labels = torch.randint(0, 2, (60,), generator=generator)
    probs = torch.rand(60, generator=generator)
    explorer = threshold_explorer(probs, labels)
    explorer.set(threshold=0.3, miss=7, alarm=2)
    _, fp, fn, tp = confusion_matrix(labels, probs >= 0.3).ravel()
    assert f"Of {tp + fn} sick {tp} are found (sensitivity {tp / (tp + fn):.2f})" in explorer.said
    assert f"{fn} misses and {fp} false alarms cost {7 * fn + 2 * fp};" in explorer.said
    with pytest.raises(ValueError, match="give both"):
        threshold_explorer(probs)


def uploaded(name: str, content: bytes) -> tuple[dict[str, object]]:
    """What the browser sends."""
    now = datetime.now(UTC)
    return ({"name": name, "type": "", "size": len(content), "content": memoryview(content), "last_modified": now},)


def test_an_image_of_ones_own_is_brought_to_the_networks_size_and_a_bad_one_is_named(features: Explorer) -> None:
    written = io.BytesIO()
    Image.new("RGB", (50, 40), (200, 30, 30)).save(written, "png")
    before = features.view.children[-1].value
    features.set(upload=uploaded("mine.png", written.getvalue()))
    assert features.view.children[-1].value != before
    assert "The network says" in features.said
    features.set(upload=uploaded("notes.txt", b"hello"))
    assert features.said.startswith("notes.txt: not a readable image")


def test_the_channel_stays_within_the_layer_and_grad_cam_may_say_nothing(features: Explorer) -> None:
    features.set(channel=7)
    assert "Channel 7 of 8" in features.said
    features.set(layer="block 1")
    assert "Channel 3 of 4" in features.said


def test_where_nothing_moves_a_picture_with_its_alt_text_or_a_table_is_shown(features: Explorer) -> None:
    data, metadata = features._repr_mimebundle_()
    assert data["image/png"].startswith(b"\x89PNG")
    assert features.said in metadata["image/png"]["alt"]
    data, metadata = shape_explorer()._repr_mimebundle_()
    assert "<table>" in data["text/html"]
    assert max(map(len, data["text/plain"].splitlines())) <= 100
