"""The explorer of a convolution: its numbers are torch's, and mouse, fingers and keyboard do everything."""

import random
import re
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from browser.explorers import agree, call, expect_good_manners, open_page, said
from torch.nn import functional as F

from course_lib.widgets import convolution_explorer

if TYPE_CHECKING:
    from playwright.sync_api import Locator, Page


def test_its_convolution_is_torchs(page: "Page") -> None:
    draw, cases, wanted, sizes = random.Random(0), [], [], []
    for number in range(250):
        torch.manual_seed(number)
        channels, height, width = draw.randint(1, 3), draw.randint(7, 12), draw.randint(7, 12)
        image, kernel = torch.randn(channels, height, width) * 10 ** draw.uniform(-2, 2), torch.randn(channels, 3, 3)
        setting = {"stride": draw.randint(1, 3), "padding": draw.randint(0, 2), "dilation": draw.randint(1, 3)}
        padded = F.pad(image, [setting["padding"]] * 4)
        cases.append([padded.tolist(), kernel.tolist(), setting])
        wanted.append(F.conv2d(image[None], kernel[None], **setting)[0, 0])
        sizes.append(F.conv2d(image.abs()[None], kernel.abs()[None], **setting)[0, 0])
    found = call(page, "convolution", "convolve", cases)
    for answers, torchs, size in zip(found, wanted, sizes, strict=True):
        assert torch.tensor(answers).shape == torchs.shape
        assert agree([number for row in answers for number in row], torchs.flatten().tolist(), size.flatten().tolist())


def use(explorer: "Locator") -> None:
    """With mouse and keyboard: choose, drag, walk, type, change the setting; what cannot be is refused in words."""
    cells = explorer.get_by_role("gridcell")
    cells.nth(7).hover()
    assert said(explorer).startswith("Output at row 1, column 1: 1×(-1)")
    cells.nth(7).click()
    for key in ("ArrowRight", "ArrowDown", "End", "Control+Home"):
        explorer.page.keyboard.press(key)
    assert "row 0, column 0" in said(explorer)
    explorer.page.keyboard.press("ArrowRight")
    assert said(explorer).endswith(" = 8.")
    image = explorer.locator(".draggable").first
    box = image.bounding_box()
    explorer.page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    explorer.page.mouse.down()
    explorer.page.mouse.move(box["x"] + box["width"] - 2, box["y"] + box["height"] - 2, steps=4)
    explorer.page.mouse.up()
    assert "row 5, column 5" in said(explorer)
    explorer.get_by_role("button", name="Restart").click()
    explorer.get_by_role("button", name="Step").click()
    assert "row 0, column 1" in said(explorer)
    explorer.get_by_role("button", name="Play").click()
    explorer.get_by_text("Output at row 0, column 2").wait_for()
    explorer.get_by_role("button", name="Pause").click()
    explorer.get_by_label("weight 0, 0 of channel 0").fill("2.5")
    assert explorer.get_by_label("kernel", exact=True).evaluate("list => list.value") == "edited"
    assert "1×2.5" in said(explorer)
    stride = explorer.get_by_label("stride")
    stride.fill("99")
    assert said(explorer) == 'stride: a whole number from 1 to 3 is expected, but "99" was typed; 1 stays.'
    stride.press("Tab")
    assert stride.input_value() == "1"
    stride.press("ArrowUp")
    assert explorer.get_by_text("3×3 numbers").is_visible()
    explorer.get_by_label("input channels").select_option("3")
    assert said(explorer).endswith("the sums of 3 channels.")
    reset = explorer.get_by_role("button", name="Reset")
    reset.click()
    assert explorer.get_by_text("6×6 numbers").is_visible()
    assert reset.evaluate("button => button === document.activeElement")


def test_everything_works_without_kernel_and_network(page: "Page", tmp_path: Path) -> None:
    explorer = open_page(page, convolution_explorer(), tmp_path)
    use(explorer)
    expect_good_manners(page)


def test_orange_numbers_are_positive_purple_ones_negative_and_gray_ones_of_one_sign(
    page: "Page", tmp_path: Path
) -> None:
    explorer = open_page(page, convolution_explorer(), tmp_path)
    cells = explorer.get_by_role("gridcell")

    def shown() -> set[tuple[int, int]]:
        """The sign of each number, and that of red minus blue behind it."""
        read = "cells => cells.map(cell => [cell.textContent, getComputedStyle(cell).backgroundColor])"
        signs = set()
        for number, color in cells.evaluate_all(read):
            red, _, blue = map(int, re.findall(r"\d+", color))
            signs.add((sign(float(number)), sign(red - blue)))
        return signs

    assert shown() == {(1, 1), (0, 0), (-1, -1)}
    explorer.get_by_label("kernel", exact=True).select_option("sum of the neighborhood")
    assert shown() == {(1, 0)}


def sign(number: float) -> int:
    return (number > 0) - (number < 0)


def test_a_kernel_that_does_not_fit_is_refused_with_its_size(page: "Page", tmp_path: Path) -> None:
    explorer = open_page(page, convolution_explorer(torch.arange(16.0).view(4, 4)), tmp_path)
    explorer.get_by_label("dilation").fill("2")
    assert said(explorer) == "The kernel would cover 5 pixels, but the padded image has 4; dilation 1 stays."
    assert explorer.get_by_label("dilation").input_value() == "1"
    explorer.get_by_label("padding").fill("1")
    explorer.get_by_label("dilation").fill("2")
    assert explorer.get_by_text("2×2 numbers").is_visible()


def test_it_fits_a_laptops_screen(page: "Page", tmp_path: Path) -> None:
    explorer = open_page(page, convolution_explorer(), tmp_path)
    page.set_viewport_size({"width": 1000, "height": 620})  # what JupyterLab leaves of 1366x768
    explorer.get_by_label("input channels").select_option("3")
    explorer.get_by_label("padding").fill("1")
    assert explorer.bounding_box()["height"] <= 620
