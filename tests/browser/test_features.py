"""The explorer of features: its enlarging is torch's, mouse and keyboard do everything, a file is shown too."""

import io
import random
import re
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from browser.explorers import CALL, agree, call, expect_good_manners, open_page, said
from browser.lab import expect
from PIL import Image
from torch.nn import functional as F

from course_lib.models import CompactCNN
from course_lib.widgets import FeatureExplorer, feature_explorer
from course_lib.widgets.page import module_source
from course_lib.widgets.prepared import data_uri

if TYPE_CHECKING:
    from browser.lab import Lab
    from playwright.sync_api import Locator, Page

MAKE = """\
import torch
from course_lib.models import CompactCNN
from course_lib.widgets import feature_explorer

torch.manual_seed(0)
model = CompactCNN(widths=(16, 32, 64)).eval()
layers = {f"block {number}": block[2] for number, block in enumerate(model.blocks, start=1)}
explorer = feature_explorer(model, torch.rand(8, 1, 96, 96), ("NORMAL", "PNEUMONIA"), layers=layers)
"""


def made() -> FeatureExplorer:
    names: dict = {}
    exec(MAKE, names)  # as the notebook below does
    return names["explorer"]


def test_its_enlarging_is_torchs(page: "Page") -> None:
    draw, cases, wanted = random.Random(0), [], []
    for number in range(220):
        torch.manual_seed(number)
        rows = torch.rand(draw.randint(1, 12), draw.randint(1, 12)) * 255
        size = (draw.randint(1, 40), draw.randint(1, 40))
        cases.append([rows.tolist(), *size])
        wanted.append(F.interpolate(rows[None, None].double(), size, mode="bilinear")[0, 0])
    for found, exact in zip(call(page, "features", "enlarge", cases), wanted, strict=True):
        assert torch.tensor(found).shape == exact.shape
        flat = exact.flatten().tolist()
        assert agree(np.array(found).flatten().tolist(), flat, [abs(value) + 255 for value in flat])


def test_the_page_reads_from_a_png_what_python_wrote(page: "Page") -> None:
    pixels = torch.randint(0, 256, (3 * 7, 5), generator=torch.Generator().manual_seed(0))
    given = {"source": module_source("features"), "uri": data_uri(pixels / 255)}
    read = CALL.replace("{source, name, cases}", "{source, uri}").replace(
        "cases.map((given) => module[name](...given))",
        "module.pixelsOf(uri).then((pixels) => [0, 1, 2].map((index) => module.rowsOf(pixels, index, 7)))",
    )
    assert page.evaluate(read, given) == pixels.unflatten(0, (3, 7)).tolist()


def use(explorer: "Locator") -> None:
    """Choose layer, class, image and channel, by mouse and by keyboard; every picture follows, and the sentence."""
    keyboard = explorer.page.keyboard
    expect(explorer.get_by_role("status")).to_contain_text("For image 0 the network predicts")
    first, pictures = said(explorer), explorer.get_by_role("img")
    expect(pictures).to_have_count(3)
    images, channels = explorer.get_by_role("listbox", name="images"), explorer.get_by_role("listbox", name="channels")
    before = drawn(explorer)
    channels.get_by_role("option").nth(3).click()
    number = re.search(r"channel (\d+)", channels.get_by_role("option").nth(3).get_attribute("aria-label"))[1]
    assert f"channel {number} has" in said(explorer)
    assert changed(before, explorer) == [False, True, False]
    channels.get_by_role("option", selected=True).focus()
    for key, place in {"ArrowRight": 4, "Home": 0, "End": -1, "ArrowLeft": -2, "ArrowUp": None}.items():
        keyboard.press(key)
        if place is not None:
            assert channels.get_by_role("option").nth(place).get_attribute("aria-selected") == "true"
    before = drawn(explorer)
    images.get_by_role("option", selected=True).focus()
    keyboard.press("ArrowRight")
    assert images.get_by_role("option").nth(1).get_attribute("aria-selected") == "true"
    assert images.get_by_role("option").nth(1).evaluate("one => one === document.activeElement")
    assert not said(explorer).startswith("For image 0 ")
    assert changed(before, explorer) == [True, True, True]
    before, name = (
        drawn(explorer),
        explorer.get_by_label("Grad-CAM for", exact=True).evaluate("list => list.selectedIndex"),
    )
    explorer.get_by_label("Grad-CAM for", exact=True).select_option(index=1 - name)
    assert changed(before, explorer)[:2] == [False, False]
    explorer.get_by_label("layer").select_option("block 1")
    assert re.search(r"In block 1, channel 0 has (96×96|64×64) numbers from ", said(explorer))
    assert re.search(r"\d+ of 16 channels of block 1 are prepared", explorer.inner_text())
    explorer.get_by_role("button", name="Reset").click()
    expect(explorer.get_by_role("status")).to_have_text(first)


def drawn(explorer: "Locator") -> list[str]:
    """The three large pictures."""
    return explorer.locator("canvas[role=img]").evaluate_all("all => all.map((one) => one.toDataURL())")


def changed(before: list[str], explorer: "Locator") -> list[bool]:
    return [a != b for a, b in zip(before, drawn(explorer), strict=True)]


def test_everything_works_without_kernel_and_network(page: "Page", tmp_path: Path) -> None:
    shown = made().page
    explorer = open_page(page, shown, tmp_path)
    use(explorer)
    assert said(explorer).startswith(shown.summary)
    expect_good_manners(page)


def test_a_layer_in_which_nothing_speaks_for_a_class_says_so(page: "Page", tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = CompactCNN(widths=(4, 8)).eval()
    torch.nn.init.zeros_(model.head.weight[0])  # no gradient reaches the maps from the logit of class 0
    shown = feature_explorer(model, torch.rand(1, 1, 32, 32), ("A", "B"), layers={"last": model.blocks[1][2]}).page
    explorer = open_page(page, shown, tmp_path)
    explorer.get_by_label("Grad-CAM for", exact=True).select_option("A")
    expect(explorer.get_by_role("status")).to_contain_text("Nothing in last speaks for A.")
    image, _, overlay = drawn(explorer)
    assert image == overlay


def test_it_fits_a_laptops_screen(page: "Page", tmp_path: Path) -> None:
    explorer = open_page(page, made().page, tmp_path)
    expect(explorer.get_by_role("status")).to_contain_text("For image 0")
    page.set_viewport_size({"width": 1000, "height": 620})  # what JupyterLab leaves of 1366x768
    assert explorer.bounding_box()["height"] <= 620


def test_with_a_kernel_an_image_of_ones_own_is_shown_and_a_bad_file_is_named(lab: "Lab") -> None:
    lab.new("features.ipynb", [MAKE + "explorer"])
    lab.run_all()
    output = lab.output(0)
    explorer = output.locator(".course-explorer")
    use(explorer)
    upload(output, "notes.txt", b"no image")
    expect(output.get_by_text("notes.txt: not a readable image: it is text")).to_be_visible()
    assert said(explorer).startswith("For image 0 ")
    written = io.BytesIO()
    Image.radial_gradient("L").save(written, format="png")
    upload(output, "mine.png", written.getvalue())
    expect(explorer.get_by_role("status")).to_contain_text("For mine.png the network predicts")
    expect(explorer.get_by_role("option", name="mine.png")).to_have_attribute("aria-selected", "true")
    lab.screenshot("features_own", 0)
    explorer.get_by_role("option", name="image 0").click()
    assert said(explorer).startswith("For image 0 ")
    assert lab.console_errors == []


def upload(output: "Locator", name: str, content: bytes) -> None:
    with output.page.expect_file_chooser() as chooser:
        output.get_by_role("button", name="an image of your own").click()
    chooser.value.set_files({"name": name, "mimeType": "", "buffer": content})
