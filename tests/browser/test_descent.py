"""The explorer of gradient descent: its steps are torch's, what it says of them is true, all means of input do all."""

import random
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import torch
from browser.explorers import call, expect_good_manners, open_page, said

from course_lib.widgets import descent_explorer

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Locator, Page


def draw_setting(draw: random.Random) -> dict[str, Any]:
    """One case in five has a learning rate at which torch's own descent diverges."""
    return {
        "start": [draw.uniform(-4, 4), draw.uniform(-3, 3)],
        "curvatures": [1, 8],
        "rate": 10 ** draw.uniform(-3, 0),
        "momentum": draw.choice([0, draw.uniform(0, 0.99)]),
        "steps": draw.randint(1, 100),
    }


def descend(setting: dict[str, Any]) -> tuple[torch.Tensor, torch.Tensor]:
    """The places after each step of torch.optim.SGD, and the sizes of what was added up for them in that step."""
    rate, momentum = setting["rate"], setting["momentum"]
    curvatures = torch.tensor(setting["curvatures"], dtype=torch.float64)
    place = torch.tensor(setting["start"], dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.SGD([place], lr=rate, momentum=momentum)
    path, sizes, velocity = [place.detach().clone()], [place.detach().abs()], torch.zeros(2, dtype=torch.float64)
    for _ in range(setting["steps"]):
        optimizer.zero_grad()
        (place**2 @ curvatures / 2).backward()
        optimizer.step()
        sizes.append(path[-1].abs() + rate * (momentum * velocity.abs() + curvatures * path[-1].abs()))
        velocity = momentum * velocity + curvatures * path[-1]
        path.append(place.detach().clone())
    return torch.stack(path), torch.stack(sizes)


def test_its_steps_are_those_of_torchs_sgd(page: "Page") -> None:
    draw = random.Random(0)
    settings = [draw_setting(draw) for _ in range(250)]
    found = call(page, "descent", "descend", [[setting] for setting in settings])
    diverged = 0
    for steps, setting in zip(found, settings, strict=True):
        path, sizes = descend(setting)
        mine = torch.tensor([step["place"] for step in steps], dtype=torch.float64)
        assert mine.shape == path.shape
        assert bool(((mine - path).abs() <= 1e-6 * sizes + 1e-30).all()), setting
        diverged += bool(path[-1].abs().max() > 10)
    assert diverged > 40


def test_the_factor_of_a_direction_is_the_largest_eigenvalue_of_a_step(page: "Page") -> None:
    draw = random.Random(1)
    settings = [draw_setting(draw) for _ in range(200)]
    found = call(page, "descent", "fate", [[setting["curvatures"][1], setting] for setting in settings])
    for fate, setting in zip(found, settings, strict=True):
        momentum, pull = setting["momentum"], setting["rate"] * setting["curvatures"][1]
        step = torch.tensor([[1 - pull, -momentum], [pull, momentum]], dtype=torch.float64)  # of z and rate x velocity
        values = torch.linalg.eigvals(step)
        largest = values[values.abs().argmax()]
        assert abs(fate["factor"]) == pytest.approx(largest.abs().item(), rel=1e-6)
        assert fate["swings"] == bool(abs(largest.imag) > 1e-12 or largest.real < 0)


def test_a_path_that_goes_far_keeps_its_direction_where_it_is_cut(page: "Page") -> None:
    path = [[0, 1], [1, -2], [-1, 1e30], [3, 4]]
    ((first, second, third),) = call(page, "descent", "visible", [[path, [4, 3]]])
    assert [first, second] == path[:2]
    assert third[1] > 3
    assert (third[0] - 1) / (third[1] + 2) == pytest.approx((-1 - 1) / (1e30 + 2))


def place(start: "Locator") -> list[float]:
    """Where the handle is, as a screen reader has it."""
    return [float(part.split()[1]) for part in start.get_attribute("aria-valuetext").split(", ")]


def use(explorer: "Locator") -> None:
    """With mouse and keyboard: set, slide, click and drag the start, step through; divergence is said and drawn."""
    keyboard, mouse = explorer.page.keyboard, explorer.page.mouse
    assert said(explorer).startswith("The loss falls from 22.13 to 0.7871 in 20 steps. Along x and y it settles.")
    first = said(explorer)
    assert "below" not in first  # the bound is what the lesson asks for
    rate = explorer.get_by_label("learning rate", exact=True)
    rate.fill("0.28")
    assert said(explorer).startswith("The loss grows from 22.13 to ")
    assert "the path leaves the picture at step 2. Along x it settles; along y it diverges." in said(explorer)
    assert explorer.get_by_text("leaves the picture at step 2").first.is_visible()
    rate.fill("0.25")
    assert "along y it oscillates forever" in said(explorer)
    rate.fill("0")
    assert said(explorer) == 'learning rate: a number from 0.001 to 1 is expected, but "0" was typed; 0.25 stays.'
    rate.press("Tab")
    assert rate.input_value() == "0.25"
    keyboard.press("Home")  # on the slider
    assert rate.input_value() == "0.001"
    rate.fill("0.125")
    assert "along y it arrives in one step" in said(explorer)
    explorer.get_by_label("momentum").fill("0.9")
    assert said(explorer).endswith("below 2(1 + 0.9)/8 = 0.475.")
    assert explorer.get_by_text("Dashed: the same learning rate without momentum.").is_visible()
    start = explorer.get_by_role("slider", name="start")
    start.focus()
    for key in ("ArrowRight", "ArrowUp", "Shift+ArrowRight"):
        keyboard.press(key)
    assert start.get_attribute("aria-valuetext") == "x -2.4, y 2.1"
    keyboard.press("Shift+ArrowUp")
    assert said(explorer) == "The picture ends at y = 3; the start stays."
    valley = explorer.locator(".pointed")
    valley.scroll_into_view_if_needed()
    box = valley.bounding_box()
    (x, y), scale = (box["x"], box["y"]), box["width"] / 462
    valley.click(position={"x": 354 * scale, "y": 122 * scale})
    assert place(start) == pytest.approx([2, 1], abs=0.05)
    mouse.move(x + 354 * scale, y + 122 * scale)
    mouse.down()
    mouse.move(x + 254 * scale, y + 172 * scale, steps=4)
    mouse.up()
    assert place(start) == pytest.approx([0, 0], abs=0.05)
    explorer.get_by_label("start x").fill("0")
    explorer.get_by_label("start y").fill("1")
    assert "Along x it stays at 0; along y it oscillates and settles." in said(explorer)
    explorer.get_by_label("momentum").fill("0")
    explorer.get_by_label("steps").fill("3")
    explorer.get_by_role("button", name="Step").click()
    assert said(explorer).startswith(
        "Step 1 of 3: the gradient is (0, 8); (0, 1) \N{MINUS SIGN} 0.125 × (0, 8) = (0, 0)"
    )
    explorer.get_by_role("button", name="Play").click()
    explorer.get_by_text("Step 3 of 3").wait_for()
    explorer.get_by_role("button", name="Play").wait_for()
    explorer.get_by_role("button", name="Step").click()
    assert said(explorer) == "Step 3 was the last; Restart begins again at the start."
    explorer.get_by_role("button", name="Play").click()
    explorer.get_by_text("Start: (0, 1), loss 4.").wait_for()
    explorer.get_by_role("button", name="Restart").click()
    assert said(explorer) == "Start: (0, 1), loss 4."
    explorer.get_by_role("button", name="Reset").click()
    assert said(explorer) == first


def test_everything_works_without_kernel_and_network(page: "Page", tmp_path: Path) -> None:
    explorer = open_page(page, descent_explorer(), tmp_path)
    use(explorer)
    expect_good_manners(page)
    explorer.get_by_label("momentum").fill("0.99")
    explorer.get_by_label("learning rate", exact=True).fill("1")
    explorer.get_by_label("steps").fill("100")
    assert explorer.get_by_text("above the picture").is_visible()
    expect_good_manners(page)


def test_a_finger_taps_or_drags_the_start_and_scrolls_elsewhere(browser: "Browser", tmp_path: Path) -> None:
    context = browser.new_context(viewport={"width": 390, "height": 500}, has_touch=True, is_mobile=True)
    tab = context.new_page()
    explorer = open_page(tab, descent_explorer(), tmp_path)
    tab.evaluate("document.head.innerHTML += '<meta name=viewport content=width=device-width>'")
    start, valley = explorer.get_by_role("slider", name="start"), explorer.locator(".pointed")
    valley.scroll_into_view_if_needed()
    box = valley.bounding_box()
    scale = box["width"] / 462
    tab.touchscreen.tap(box["x"] + 354 * scale, box["y"] + 122 * scale)
    assert place(start) == pytest.approx([2, 1], abs=0.05)
    session = context.new_cdp_session(tab)

    def swipe(x: float, y: float, to_x: float, to_y: float) -> None:
        """Like a finger, in the drawing's units: down, in ten moves, up."""
        for n, kind in enumerate(["touchStart", *["touchMove"] * 10, "touchEnd"]):
            part = min(n, 10) / 10
            at = {"x": box["x"] + (x + part * (to_x - x)) * scale, "y": box["y"] + (y + part * (to_y - y)) * scale}
            session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": [] if kind == "touchEnd" else [at]})
            tab.wait_for_timeout(20)

    swipe(354, 122, 154, 222)
    assert place(start) == pytest.approx([-2, -1], abs=0.05)
    before = tab.evaluate("scrollY")
    swipe(300, 300, 300, 100)
    assert tab.evaluate("scrollY") > before
    assert place(start) == pytest.approx([-2, -1], abs=0.05)
    context.close()


def test_it_fits_a_laptops_screen(page: "Page", tmp_path: Path) -> None:
    explorer = open_page(page, descent_explorer(), tmp_path)
    page.set_viewport_size({"width": 930, "height": 620})  # what JupyterLab leaves of 1366x768 beside its list of files
    explorer.get_by_label("momentum").fill("0.9")
    explorer.get_by_role("button", name="Step").click()
    explorer.get_by_role("button", name="Step").click()
    assert explorer.bounding_box()["height"] <= 620
