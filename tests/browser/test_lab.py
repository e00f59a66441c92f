"""The browser tests' own means: a notebook with widgets runs in JupyterLab, and follows the keyboard and the mouse."""

import pytest
from browser.lab import Lab, expect

WIDGETS = """\
import ipywidgets

count = ipywidgets.IntSlider(value=3, min=0, max=10, description="Count")
fruit = ipywidgets.Dropdown(options=["apples", "pears"], description="Fruit")
said = ipywidgets.HTML()


def say(change=None):
    said.value = f"<p>I have {count.value} {fruit.value}.</p>"


count.observe(say, names="value")
fruit.observe(say, names="value")
say()
ipywidgets.VBox([count, fruit, said])
"""


def test_widgets_follow_the_keyboard_and_the_mouse(lab: Lab) -> None:
    lab.new("widgets.ipynb", [WIDGETS])
    lab.run_all()
    output = lab.output(0)
    expect(output.get_by_text("I have 3 apples.")).to_be_visible()
    handle = output.locator(".noUi-handle")
    handle.press("ArrowRight")
    expect(output.get_by_text("I have 4 apples.")).to_be_visible()
    track = output.locator(".noUi-base").bounding_box()
    handle.hover()
    lab.page.mouse.down()
    lab.page.mouse.move(track["x"] + 0.8 * track["width"], track["y"], steps=5)
    lab.page.mouse.up()
    expect(output.get_by_text("I have 8 apples.")).to_be_visible()
    output.get_by_label("Fruit").select_option("pears")
    expect(output.get_by_text("I have 8 pears.")).to_be_visible()
    lab.screenshot("widgets", 0)
    assert lab.console_errors == []


def test_a_failing_cell_is_told(lab: Lab) -> None:
    lab.new("failing.ipynb", ["1", "divisor = 0\n1 / divisor", "2"])
    with pytest.raises(AssertionError, match=r"(?s)cell 1 failed:\ndivisor = 0\n.*ZeroDivisionError: division by zero"):
        lab.run_all()
