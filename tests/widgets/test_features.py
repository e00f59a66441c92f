"""The explorer of features without a browser: its pictures hold the maps, and a file of either ipywidgets is read."""

import base64
import io
import itertools
import random
import re
from typing import Any

import numpy as np
import pytest
import torch
from captum.attr import LayerGradCam
from IPython.display import DisplayHandle
from PIL import Image
from torch import Tensor, nn

from course_lib.explain import feature_maps
from course_lib.models import CompactCNN
from course_lib.widgets import FeatureExplorer, feature_explorer
from course_lib.widgets.features import uploaded

CLASSES = ("NORMAL", "PNEUMONIA")


def network(*, in_channels: int = 1, widths: tuple[int, ...] = (16, 32, 64, 96)) -> CompactCNN:
    torch.manual_seed(0)
    return CompactCNN(in_channels=in_channels, widths=widths).eval()


def blocks(model: CompactCNN) -> dict[str, nn.Module]:
    return {f"block {number}": block[2] for number, block in enumerate(model.blocks, start=1)}


@pytest.fixture(scope="module")
def lesson_6() -> tuple[CompactCNN, Tensor, FeatureExplorer]:
    model, images = network(), torch.rand(8, 1, 96, 96)
    return model, images, feature_explorer(model, images, CLASSES, layers=blocks(model))


def numbers(uri: str) -> Tensor:
    """What a PNG holds, from 0 to 1."""
    head, data = uri.split(",")
    assert head == "data:image/png;base64"
    return torch.from_numpy(np.array(Image.open(io.BytesIO(base64.b64decode(data))))) / 255


def test_its_pictures_hold_the_maps_that_torch_computes(lesson_6: tuple[CompactCNN, Tensor, FeatureExplorer]) -> None:
    model, images, explorer = lesson_6
    state = explorer.page.state
    places = [
        (image, layer, channel)
        for image, layer in itertools.product(range(len(state["images"])), range(4))
        for channel in range(len(state["layers"][layer]["channels"]))
    ]
    for image, layer, channel in random.Random(0).choices(places, k=250):
        shown = state["images"][image]
        number = int(shown["name"].removeprefix("image "))
        (maps,) = feature_maps(model, images[number : number + 1], model.blocks[layer][2])
        exact = maps[0, state["layers"][layer]["channels"][channel]]
        low, high = shown["layers"][layer]["ranges"][channel]
        assert (low, high) == (float(f"{exact.min():.4g}"), float(f"{exact.max():.4g}"))
        relative = (exact - exact.min()) / (exact.max() - exact.min()).clamp(min=1e-30)
        found = numbers(shown["layers"][layer]["maps"]).unflatten(0, (-1, exact.shape[0]))[channel]
        assert (found - relative).abs().max() <= 1 / 255
        assert (numbers(shown["picture"]) - images[number, 0]).abs().max() <= 1 / 255


def test_its_heat_maps_are_captums(lesson_6: tuple[CompactCNN, Tensor, FeatureExplorer]) -> None:
    model, images, explorer = lesson_6
    for image, layer, target in itertools.product(range(4), range(4), range(2)):
        shown = explorer.page.state["images"][image]
        number = int(shown["name"].removeprefix("image "))
        cam = LayerGradCam(model, model.blocks[layer][2])
        exact = cam.attribute(images[number : number + 1], target=target, relu_attributions=True)[0, 0].detach()
        found = numbers(shown["layers"][layer]["heats"]).unflatten(0, (2, -1))[target]
        assert shown["layers"][layer]["speaks"][target] == bool(exact.any())
        assert (found - exact / exact.max().clamp(min=1e-30)).abs().max() <= 1 / 255
        assert shown["probs"][target] == pytest.approx(model(images)[number].softmax(0)[target].item(), abs=1e-5)


def test_it_holds_no_more_than_a_page_can_and_says_how_much(
    lesson_6: tuple[CompactCNN, Tensor, FeatureExplorer],
) -> None:
    _, _, explorer = lesson_6
    assert [len(layer["channels"]) for layer in explorer.page.state["layers"]] == [2, 4, 8, 16]
    assert [layer["shape"][0] for layer in explorer.page.state["layers"]] == [16, 32, 64, 96]
    assert [image["name"] for image in explorer.page.state["images"]] == ["image 0", "image 2", "image 4", "image 6"]
    small = network(widths=(4, 8))
    state = feature_explorer(small, torch.rand(3, 1, 32, 32), CLASSES, layers=blocks(small)).page.state
    assert [len(layer["channels"]) for layer in state["layers"]] == [4, 8]
    assert len(state["images"]) == state["given"] == 3


def test_of_many_classes_grad_cam_is_prepared_for_the_likeliest() -> None:
    torch.manual_seed(0)
    model, images = CompactCNN(num_classes=30, widths=(4, 8)).eval(), torch.rand(3, 1, 32, 32)
    state = feature_explorer(model, images, [f"class {n}" for n in range(30)], layers=blocks(model)).page.state
    with torch.no_grad():
        means = model(images).softmax(1).mean(0)
    assert sorted(means.topk(10).indices.tolist()) == state["targets"]


def test_its_first_sentence_is_that_of_image_0(
    lesson_6: tuple[CompactCNN, Tensor, FeatureExplorer],
) -> None:
    model, images, explorer = lesson_6
    logits, page = model(images[:1]), explorer.page
    assert f"the network predicts {CLASSES[int(logits.argmax())]} (prob" in page.summary
    (maps,) = feature_maps(model, images[:1], model.blocks[3][2])
    assert f"12×12 numbers from {maps[0, 0].min():.4g} to {maps[0, 0].max():.4g}" in page.summary
    assert re.findall(r'<img src="data:image/\w+;base64,[^"]+" alt="([^"]+)"', page.still) == [page.summary]
    assert page.still in explorer._repr_mimebundle_()["text/html"]


def png(image: Image.Image) -> bytes:
    written = io.BytesIO()
    image.save(written, "png")
    return written.getvalue()


@pytest.mark.parametrize("in_channels", [1, 3])
def test_an_image_of_ones_own_stands_among_the_others_and_is_chosen(in_channels: int) -> None:
    model = network(in_channels=in_channels, widths=(4, 8))
    explorer = feature_explorer(model, torch.rand(3, in_channels, 32, 32), CLASSES, layers=blocks(model))
    red = Image.new("RGB", (50, 40), (200, 30, 30))
    assert explorer.add("mine.png", png(red)) == "mine.png is the last of the images above, and chosen."
    state = explorer.page.state
    assert [image["name"] for image in state["images"]] == ["image 0", "image 1", "image 2", "mine.png"]
    assert (state["chosen"], state["own"]) == (3, 1)
    wanted = np.array(red.convert("L" if in_channels == 1 else "RGB"))[0, 0] / 255
    assert np.abs(numbers(state["images"][3]["picture"])[0, 0].numpy() - wanted).max() <= 1 / 255


def test_a_file_that_is_no_image_is_named_and_nothing_is_lost() -> None:
    model = network(widths=(4, 8))
    explorer = feature_explorer(model, torch.rand(1, 1, 32, 32), CLASSES, layers=blocks(model))
    before = explorer.page
    said = explorer.add("notes.txt", b"hello")
    assert said.startswith("notes.txt: not a readable image: it is text; ")
    cut = png(Image.effect_noise((64, 64), 50))[:900]
    assert explorer.add("<cut>.png", cut).startswith("<cut>.png: ")
    assert explorer.page is before


# As ipywidgets 7.7.1 and 8.1.9 hand it over: `FileUpload.on_incr_counter`, and `_deserialize_single_file`.
SEVEN = {
    "a b.png": {"metadata": {"name": "a b.png", "type": "image/png", "size": 3, "lastModified": 0}, "content": b"abc"}
}
EIGHT = ({"name": "a b.png", "type": "image/png", "size": 3, "content": memoryview(b"abc"), "last_modified": None},)


@pytest.mark.parametrize("value", [SEVEN, EIGHT])
def test_an_uploaded_file_is_read_as_each_ipywidgets_hands_it_over(value: Any) -> None:
    assert uploaded(value) == ("a b.png", b"abc")


def sent(button: Any, name: str, content: bytes) -> None:
    """What the button's front end does when a file was chosen."""
    if hasattr(button, "_counter"):  # ipywidgets 7
        button.metadata, button.data = [{"name": name, "type": "", "size": len(content), "lastModified": 0}], [content]
        button._counter += 1
    else:
        file = {"name": name, "type": "", "size": len(content), "content": memoryview(content), "last_modified": 0}
        button.set_state({"value": [file]})


def test_a_file_that_arrives_updates_every_place_where_the_page_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("ipywidgets")
    updated: list[str] = []
    monkeypatch.setattr(
        DisplayHandle, "update", lambda self, page: updated.append(f"{self.display_id} {page.state['chosen']}")
    )
    model = network(widths=(4, 8))
    explorer = feature_explorer(model, torch.rand(1, 1, 32, 32), CLASSES, layers=blocks(model))
    explorer._shown += [DisplayHandle("first"), DisplayHandle("second")]
    button, reply = explorer.uploader().children
    sent(button, "<i>.txt", b"hello")
    assert reply.value.startswith('<p role="status">&lt;i&gt;.txt: not a readable image: it is text; ')
    assert updated == []
    sent(button, "mine.png", png(Image.new("L", (9, 9), 90)))
    assert updated == ["first 1", "second 1"]
    assert "mine.png is the last of the images above" in reply.value


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"images": torch.rand(1, 32, 32)},
            r"expected images as floats .*, got torch.float32 \(1, 32, 32\); add the batch",
        ),
        ({"images": torch.rand(1, 1, 32, 40)}, r"got torch.float32 \(1, 1, 32, 40\)"),
        ({"images": torch.rand(0, 1, 32, 32)}, r"got torch.float32 \(0, 1, 32, 32\)"),
        ({"images": torch.zeros(1, 1, 32, 32).byte()}, r"got torch.uint8 .*; .* by .float\(\) / 255"),
        ({"images": torch.full((1, 1, 32, 32), 2.0)}, "expected images in 0..1, got 2 to 2; leave normalization"),
        ({"images": torch.full((1, 1, 32, 32), torch.nan)}, "expected images in 0..1, got nan to nan"),
        ({"layers": {}}, "expected at least one of the model's layers, got none; give layers="),
        ({"classes": ("one",)}, "expected a name for each of the 2 logits, got 1 classes; name them all"),
        ({"layers": {"head": network(widths=(4, 8)).head}}, "layer Linear runs 0 times"),
    ],
)
def test_what_does_not_fit_is_said_with_what_arrived_and_what_to_do(change: dict[str, Any], message: str) -> None:
    model = network(widths=(4, 8))
    given = {"images": torch.rand(1, 1, 32, 32), "classes": CLASSES, "layers": blocks(model), **change}
    with pytest.raises(ValueError, match=message):
        feature_explorer(model, given.pop("images"), given.pop("classes"), **given)


def test_the_same_call_gives_the_same_bytes_and_the_networks_mode_stays() -> None:
    model, images = network(widths=(4, 8)).train(), torch.rand(2, 1, 32, 32)
    pages = [feature_explorer(model, images, CLASSES, layers=blocks(model)).page.html() for _ in range(2)]
    assert pages[0] == pages[1]
    assert model.training
