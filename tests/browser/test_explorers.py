"""Every explorer in JupyterLab: each control, by keyboard and by mouse, changes what is drawn; nobody is shut out."""

import io
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import skimage.data
from browser.lab import Lab, expect, serious_faults
from PIL import Image

if TYPE_CHECKING:
    from playwright.sync_api import Locator

NOTEBOOKS = Path(__file__).parents[2] / "notebooks"
FEATURES = """\
import torch
from course_lib.data import simulate_radiographs
from course_lib.models import CompactCNN
from course_lib.widgets import feature_explorer

torch.manual_seed(0)
model = CompactCNN(widths=(4, 8)).eval()
radiographs = simulate_radiographs(4, image_size=64, seed=0)
layers = {f"block {number}": block for number, block in enumerate(model.blocks, start=1)}
feature_explorer(model, radiographs.images.float() / 255, radiographs.classes, layers=layers)
"""


def drawn(output: "Locator") -> str:
    """What stands below the controls: a picture, or a table, and sentences."""
    return output.locator(".widget-html-content").last.inner_html()


def expect_a_change(output: "Locator", before: str) -> None:
    last = output.locator(".widget-html-content").last
    for _ in range(300):
        if (now := last.inner_html()) != before and now:
            return
        last.page.wait_for_timeout(50)
    raise AssertionError(f"nothing changed below the controls: {last.inner_text()}")


def move_every_control(lab: Lab, cell: int | str) -> None:
    """First all of them by keyboard, then all by mouse."""
    output = lab.output(cell)
    output.scroll_into_view_if_needed()
    for field in output.locator("input[type=number]").all():
        before = drawn(output)
        field.press("ArrowDown" if field.input_value() == field.get_attribute("max") else "ArrowUp")
        expect_a_change(output, before)
    for picked in output.locator("select").all():
        before = drawn(output)
        at_the_end = picked.evaluate("list => list.selectedIndex === list.length - 1")
        for arrow in ("ArrowUp", "ArrowDown") if at_the_end else ("ArrowDown", "ArrowUp"):  # there and back
            picked.focus()
            for key in ("Space", arrow, "Enter"):  # JupyterLab takes the arrow keys for itself where no list is open
                lab.page.keyboard.press(key)
            expect_a_change(output, before)
            before = drawn(output)
    for field in output.locator("input[type=number]").all():
        before, box = drawn(output), field.bounding_box()
        up = field.input_value() != field.get_attribute("max")
        field.hover()
        field.click(position={"x": box["width"] - 10, "y": box["height"] * (0.3 if up else 0.7)})
        expect_a_change(output, before)
    for picked in output.locator("select").all():
        before = drawn(output)
        first = picked.evaluate("list => list.selectedIndex") == 0
        picked.select_option(index=1 if first else 0)
        expect_a_change(output, before)


def run_lesson(lab: Lab, lesson: str, *, through: str) -> None:
    shutil.copy(NOTEBOOKS / lesson, lab.server.folder)
    lab.open(lesson)
    lab.run_through(through)


def move_explorers(lab: Lab, *calls: str) -> None:
    for call in calls:
        lab.screenshot(call.strip("("), call)
        move_every_control(lab, call)
        lab.screenshot(call.strip("(") + "_moved", call)
    assert lab.console_errors == []


def test_lesson_1_its_explorers_and_its_quiz(lab: Lab) -> None:
    run_lesson(lab, "01_cnn_anatomy.ipynb", through="Quiz(1)")
    move_explorers(lab, "convolution_explorer(", "pooling_explorer(", "shape_explorer(")
    output = lab.output("Quiz(1)")
    letters = output.get_by_role("button")
    letters.nth(0).focus()
    lab.page.keyboard.press("Tab")
    lab.page.keyboard.press("Space")
    reply = output.get_by_role("status")
    expect(reply).to_have_count(1)
    said = reply.inner_text()
    letters.nth(2).click()
    expect(reply).not_to_have_text(said)
    lab.screenshot("quiz", "Quiz(1)")
    assert serious_faults(lab.page, ".jp-Cell-outputWrapper:has(button)") == []
    assert lab.console_errors == []


def test_lesson_3_its_explorer_of_descent(lab: Lab) -> None:
    run_lesson(lab, "03_training_on_gpu.ipynb", through="descent_explorer(")
    move_explorers(lab, "descent_explorer(")


def test_lesson_6_its_explorer_and_an_image_of_ones_own(lab: Lab) -> None:
    run_lesson(lab, "06_visualization.ipynb", through="feature_explorer(")
    move_explorers(lab, "feature_explorer(")
    output = lab.output("feature_explorer(")
    photograph = io.BytesIO()
    Image.fromarray(skimage.data.coffee()).save(photograph, format="png")
    before = drawn(output)
    upload(output, b"no image")
    expect(output.get_by_text("notes.png: not a readable image")).to_be_visible()
    upload(output, photograph.getvalue())
    expect(output.locator("img")).to_be_visible()
    assert drawn(output) != before
    lab.screenshot("own", "feature_explorer(")
    assert lab.console_errors == []


def upload(output: "Locator", content: bytes) -> None:
    with output.page.expect_file_chooser() as chooser:
        output.get_by_role("button").click()
    chooser.value.set_files({"name": "notes.png", "mimeType": "image/png", "buffer": content})


def test_no_explorer_shuts_anybody_out(lab: Lab) -> None:
    names = ("convolution", "pooling", "shape", "descent", "threshold")
    lab.new("all.ipynb", ["from course_lib.widgets import *", *(f"{name}_explorer()" for name in names), FEATURES])
    lab.run_all()
    expect(lab.output(6).locator("img")).to_be_visible()
    assert serious_faults(lab.page, ".jp-Cell-outputWrapper") == []
    # Here, since the cells before it in lesson 3 train for longer than all of these tests may take.
    lab.screenshot("threshold", "threshold_explorer(")
    move_every_control(lab, "threshold_explorer(")
    assert lab.console_errors == []
