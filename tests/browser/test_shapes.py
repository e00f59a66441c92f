"""The explorer of a stack of layers: all that it says is torch's, and every hand can use it."""

import math
import random
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from browser.explorers import call, expect_good_manners, open_page, said
from torch import Tensor, nn

from course_lib.anatomy import receptive_field, trace_shapes
from course_lib.authoring.compare import PREFIX
from course_lib.widgets import shape_explorer

if TYPE_CHECKING:
    from playwright.sync_api import Locator, Page

KINDS = ["nothing", "conv3", "conv5", "depthwise", "conv1", "pool"]
KINDS += ["batchnorm", "relu", "flatten", "mean", "dense", "dense2048"]
Stack = tuple[list[str], int, int]  # kinds, side of the image, channels of the convolutions


def made(kind: str, shape: tuple[int, ...], channels: int) -> nn.Module:
    """The layer as one would write it, for what arrives."""
    inputs = shape[1]
    return {
        "nothing": nn.Identity,
        "conv3": lambda: nn.Conv2d(inputs, channels, 3, padding=1),
        "conv5": lambda: nn.Conv2d(inputs, channels, 5, stride=2),
        "depthwise": lambda: nn.Conv2d(inputs, inputs, 3, padding=1, groups=inputs),
        "conv1": lambda: nn.Conv2d(inputs, channels, 1),
        "pool": lambda: nn.MaxPool2d(2),
        "batchnorm": lambda: nn.BatchNorm2d(inputs),
        "relu": nn.ReLU,
        "flatten": nn.Flatten,
        "mean": lambda: nn.AdaptiveAvgPool2d(1),
        "dense": lambda: nn.Linear(shape[-1], 10),
        "dense2048": lambda: nn.Linear(2048, 10),
    }[kind]().eval()


def stacks(count: int, seed: int) -> Iterator[Stack]:
    draw = random.Random(seed)
    yield ["conv3", "relu", "pool", "flatten", "dense2048"], 32, 8  # the sizes for which this layer is made
    for _ in range(count):
        kinds = draw.choices(KINDS, weights=[1, 3, 2, 2, 2, 4, 1, 2, 1, 1, 2, 0.5], k=draw.randint(1, 8))
        yield kinds, draw.choice((draw.randint(4, 48), 32, 64)), draw.choice((1, 2, 4, 8))


def torchs(kinds: list[str], side: int, channels: int) -> tuple[nn.Sequential, list[tuple[int, ...]], str | None]:
    """The layers up to the one that fails, the shapes between them, and torch's message."""
    layers, shapes = nn.Sequential(), [(1, 1, side, side)]
    for kind in kinds:
        layers.append(made(kind, shapes[-1], channels))
        try:
            with torch.no_grad():
                shapes.append(tuple(layers[-1](torch.zeros(shapes[-1])).shape))
        except (RuntimeError, ValueError) as error:
            return layers, shapes, PREFIX.sub("", str(error).splitlines()[0])
    return layers, shapes, None


def test_shapes_counts_and_messages_are_torchs(page: "Page") -> None:
    drawn = list(stacks(400, seed=0))
    messages = set()
    for (kinds, side, channels), found in zip(drawn, call(page, "stack", "trace", drawn), strict=True):
        layers, shapes, error = torchs(kinds, side, channels)
        assert len(found) == len(layers)
        assert [row["output"] for row in found if "output" in row] == [list(shape) for shape in shapes[1:]], kinds
        assert found[-1].get("error") == error, kinds
        for row, layer in zip(found, layers, strict=True):
            printed, cut, _ = row["layer"]["torch"].partition("…")
            assert str(layer).startswith(printed) if cut else str(layer) == printed
            assert row["layer"]["parameters"] == sum(p.numel() for p in layer.parameters())
            assert str(eval(row["layer"]["code"], vars(nn) | {"Identity": nn.Identity})) == str(layer)
        passed = layers[: len(shapes) - 1]
        counted = [row.multiply_adds for row in trace_shapes(passed, shapes[0]).layers] if len(passed) else []
        assert [row["multiplyAdds"] for row in found[: len(passed)]] == counted
        messages.add(re.sub(r"\d+", "N", error or "fits"))
    assert len(messages) == 7  # each kind of failure has occurred


def with_a_gradient(layers: nn.Sequential, side: int, index: list[int]) -> Tensor:
    """Where the image's pixels reach one output: weights and pixels are positive, and means stand for maxima."""
    image = torch.ones(1, 1, side, side, dtype=torch.float64, requires_grad=True)
    for parameter in layers.double().parameters():
        nn.init.ones_(parameter)
    through = nn.Sequential(*(nn.AvgPool2d(2) if isinstance(one, nn.MaxPool2d) else one for one in layers))
    through(image)[tuple(index)].backward()
    return image.grad[0, 0] != 0


def test_an_output_in_the_middle_sees_what_its_gradient_says(page: "Page") -> None:
    drawn = [one for one in stacks(500, seed=1) if torchs(*one)[2] is None]
    assert len(drawn) >= 200
    rows = call(page, "stack", "trace", drawn)
    asked = [[found, len(found) - 1] for found in rows]
    whole = partly = 0
    for (kinds, side, channels), found, area in zip(drawn, rows, call(page, "stack", "seen", asked), strict=True):
        layers = torchs(kinds, side, channels)[0]
        reached = with_a_gradient(layers, side, area["index"])
        places = reached.nonzero()
        extents = [[places[:, axis].min().item(), places[:, axis].max().item()] for axis in (0, 1)]
        assert [area["rows"], area["columns"]] == extents, (kinds, side)
        unused = 2 ** sum(kind in ("conv5", "pool") for kind in kinds)  # more than rounding down leaves out at the end
        for (first, last), field in zip(extents, found[-1]["fields"], strict=True):
            inside = first > 0 and last < side - unused  # else the image's border may have cut some off
            assert last - first + 1 == field if inside else last - first + 1 <= field
            whole += inside
        partly += found[-1]["fields"][0] < found[-1]["fields"][1] == math.inf
    assert whole > 100
    assert partly > 10  # dense without flatten: some rows, all columns


def test_the_receptive_field_is_the_one_of_the_course_where_that_is_known(page: "Page") -> None:
    drawn = [one for one in stacks(500, seed=2) if torchs(*one)[2] is None]
    compared = 0
    for stack, found in zip(drawn, call(page, "stack", "trace", drawn), strict=True):
        try:
            wanted = receptive_field(*torchs(*stack)[0]).size
        except ValueError:
            continue
        assert found[-1]["fields"] == [wanted, wanted]
        compared += 1
    assert compared >= 100


def use(explorer: "Locator") -> None:
    """With mouse and keyboard: point at layers, walk along them, change, add, move and remove; what fails is shown."""
    keyboard = explorer.page.keyboard
    boxes = explorer.get_by_role("option", name="layer")  # the lists of kinds have options too, but none is named so
    lines = explorer.locator("tbody tr")
    assert said(explorer) == "5 layers turn (1, 1, 32, 32) into (1, 10), with 20,570 parameters."
    boxes.nth(0).hover()
    assert said(explorer) == (
        "Layer 0, Conv2d(1, 8, 3, padding=1): each side (32 + 2×1 − 3)/1 + 1 = 32; 8 channels; 8×(1×3×3 + 1) = "
        "80 parameters. Its output [0, 4, 16, 16], in the middle, sees rows 15 to 17 of 32 and columns 15 to 17 of 32."
    )
    assert "lit" in lines.nth(1).get_attribute("class")
    lines.nth(3).hover()
    assert said(explorer).startswith("Layer 2, MaxPool2d(2): each side (32 − 2)/2 + 1 = 16; 8 channels as before; no")
    assert boxes.nth(2).get_attribute("aria-selected") == "true"
    boxes.nth(2).click()
    keyboard.press("ArrowRight")
    assert "8×16×16 = 2,048 numbers in one row" in said(explorer)
    keyboard.press("End")
    assert said(explorer).endswith("sees the whole image.")
    keyboard.press("Home")
    assert said(explorer) == "The image: 1 channel of 32×32 pixels."

    last = explorer.get_by_label("layer 4", exact=True)
    last.select_option("dense for 2048 inputs")
    assert said(explorer).startswith("5 layers turn")
    channels = explorer.get_by_label("channels of a convolution")
    channels.focus()
    for _ in range(4):
        keyboard.press("ArrowDown")
    message = "mat1 and mat2 shapes cannot be multiplied (1x1024 and 2048x10)"
    assert said(explorer) == f"Layer 4, Linear(2048, 10), does not fit what arrives, (1, 1024): {message}."
    assert explorer.get_by_role("cell", name=f"✗ {message}").is_visible()
    assert explorer.locator(".link.broken").count() == 2
    assert explorer.get_by_role("option", name="layer 4, dense: does not fit").is_visible()
    assert lines.nth(4).get_by_role("cell", name="(1, 1024)").is_visible()  # the table stays, up to the line that fails
    channels.fill("8")
    explorer.get_by_label("layer 3", exact=True).select_option("nothing")
    assert "(128x16 and 2048x10)" in said(explorer)
    last.focus()
    keyboard.press("ArrowUp")  # from the list's last kind to "dense, 10 outputs"
    assert said(explorer) == "4 layers turn (1, 1, 32, 32) into (1, 8, 16, 10), with 250 parameters."
    boxes.last.hover()
    assert said(explorer).endswith("sees rows 15 to 18 of 32 and all columns.")
    assert explorer.get_by_role("cell", name="4 rows, all columns").is_visible()

    side = explorer.get_by_label("image side")
    side.fill("129")
    assert said(explorer) == 'image side: a whole number from 4 to 128 is expected, but "129" was typed; 32 stays.'
    side.fill("33")
    lines.nth(3).hover()
    assert "(33 − 2)/2 + 1 = 16.5, rounded down: 16" in said(explorer)
    add_move_and_remove(explorer)
    explorer.get_by_role("button", name="Reset").click()
    assert said(explorer) == "5 layers turn (1, 1, 32, 32) into (1, 10), with 20,570 parameters."


def add_move_and_remove(explorer: "Locator") -> None:
    """By keyboard alone; the focus stays with the line that moves."""
    keyboard = explorer.page.keyboard
    focused = "document.activeElement.getAttribute('aria-label')"
    explorer.get_by_role("button", name="Add a layer").focus()
    keyboard.press("Enter")
    assert said(explorer) == "Layer 5 is new and does nothing yet; choose its kind."
    keyboard.press("ArrowDown")
    assert explorer.get_by_label("layer 5", exact=True).evaluate("list => list.value") == "convolution 3×3, padding 1"
    assert said(explorer).startswith("5 layers turn (1, 1, 33, 33) into (1, 8, 16, 10), with 834 parameters")
    keyboard.press("Tab")
    keyboard.press("Space")
    assert explorer.page.evaluate(focused) == "move layer 4 up"
    assert said(explorer).startswith("5 layers turn (1, 1, 33, 33) into (1, 8, 16, 10), with 834 parameters")
    explorer.get_by_label("move layer 0 up").press("Enter")
    assert said(explorer) == "Layer 0 is the first one; it stays there."
    for _ in range(6):
        explorer.get_by_label("remove layer 0").press("Enter")
    assert explorer.page.evaluate(focused) == "remove layer 0"
    assert said(explorer) == "One layer has to stay; choose another kind for it."
    for _ in range(8):
        explorer.get_by_role("button", name="Add a layer").click()
    assert said(explorer) == "At most 8 layers are drawn here; remove one first."
    explorer.get_by_label("layer 0", exact=True).select_option("nothing")
    assert said(explorer) == "There is no layer yet; choose one."


def test_everything_works_without_kernel_and_network(page: "Page", tmp_path: Path) -> None:
    shown = shape_explorer()
    explorer = open_page(page, shown, tmp_path)
    assert said(explorer) == shown.summary
    use(explorer)
    expect_good_manners(page)


def test_what_does_not_fit_has_good_manners_too(page: "Page", tmp_path: Path) -> None:
    explorer = open_page(page, shape_explorer(), tmp_path)
    explorer.get_by_label("layer 2", exact=True).select_option("dense for 2048 inputs")
    explorer.get_by_role("option", name="layer 4, dense: not reached").hover()
    assert said(explorer) == "Layer 4 is not reached, since layer 2 does not fit."
    expect_good_manners(page)


def test_eight_layers_fit_a_laptops_screen(page: "Page", tmp_path: Path) -> None:
    explorer = open_page(page, shape_explorer(), tmp_path)
    page.set_viewport_size({"width": 930, "height": 620})  # what JupyterLab leaves of 1366x768, for a cell's output
    for _ in range(3):
        explorer.get_by_role("button", name="Add a layer").click()
        explorer.locator("select").last.select_option("dense for 2048 inputs")
    assert explorer.bounding_box()["height"] <= 620
