"""The explorer of a threshold: its counts are scikit-learn's, and mouse, fingers and keyboard do everything."""

import re
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from browser.explorers import call, expect_good_manners, open_page, said
from sklearn.metrics import confusion_matrix, roc_auc_score, roc_curve
from torch import Tensor

from course_lib.widgets import threshold_explorer
from course_lib.widgets.threshold import count_scores

if TYPE_CHECKING:
    from playwright.sync_api import Locator, Page


def drawn(number: int) -> tuple[Tensor, Tensor, float]:
    """Probabilities, often with ties, labels with both classes, and a threshold, often one of the probabilities."""
    generator = torch.Generator().manual_seed(number)
    count = int(torch.randint(2, 60, (1,), generator=generator))
    probs = torch.rand(count, generator=generator, dtype=(torch.float32, torch.float64)[number % 2])
    if number % 3 == 0:
        probs = probs.mul(10).round().div(10)  # 0.7 as a float32 is less than 0.7, and torch compares float32s
    labels = torch.randint(0, 2, (count,), generator=generator)
    labels[:2] = torch.tensor([0, 1])
    threshold = torch.rand(1, generator=generator).mul(100).round().div(100).item()
    return probs, labels, probs[0].item() if number % 5 == 0 else round(threshold, 1 + number % 2)


DRAWN = [drawn(number) for number in range(300)]
SCORES = [count_scores(probs, labels) for probs, labels, _ in DRAWN]


def test_its_confusion_matrix_is_scikit_learns_of_what_torch_compares(page: "Page") -> None:
    cases = [[scores, threshold] for scores, (_, _, threshold) in zip(SCORES, DRAWN, strict=True)]
    for found, (probs, labels, threshold) in zip(call(page, "threshold", "confusion", cases), DRAWN, strict=True):
        assert found == confusion_matrix(labels, probs >= threshold, labels=[0, 1]).tolist()


def test_its_roc_curve_is_scikit_learns(page: "Page") -> None:
    curves = call(page, "threshold", "matrices", [[scores] for scores in SCORES])
    areas = call(page, "threshold", "auc", [[scores] for scores in SCORES])
    for matrices, area, (probs, labels, _) in zip(curves, areas, DRAWN, strict=True):
        points = [(fp / (tn + fp), tp / (fn + tp)) for (tn, fp), (fn, tp) in matrices]
        fpr, tpr, _ = roc_curve(labels, probs, drop_intermediate=False)
        np.testing.assert_allclose(points[::-1], np.stack([fpr, tpr], axis=1), atol=1e-12)
        assert abs(area - roc_auc_score(labels, probs)) < 1e-12


def test_no_threshold_is_cheaper_than_the_cheapest(page: "Page") -> None:
    prices = [{"miss": number % 13, "alarm": number % 7} for number in range(300)]
    cases = [[scores, price] for scores, price in zip(SCORES, prices, strict=True)]
    for found, price, (probs, labels, _) in zip(call(page, "threshold", "cheapest", cases), prices, DRAWN, strict=True):
        fpr, tpr, _ = roc_curve(labels, probs, drop_intermediate=False)
        num_sick = labels.sum().item()
        costs = price["miss"] * (1 - tpr) * num_sick + price["alarm"] * fpr * (len(labels) - num_sick)
        within = costs if probs.max() < 1 else costs[1:]  # scikit-learn's first threshold is infinite: nobody is sick
        assert abs(found["cost"] - within.min()) < 1e-9
        (_, alarms), (misses, _) = confusion_matrix(labels, probs >= found["threshold"], labels=[0, 1])
        assert found["cost"] == misses * price["miss"] + alarms * price["alarm"]
        assert 0 <= found["threshold"] <= 1


def test_many_probabilities_are_counted_exactly_at_each_thousandth(page: "Page") -> None:
    generator = torch.Generator().manual_seed(0)
    probs = torch.cat([torch.rand(4000, generator=generator), torch.arange(1001) / 1000])
    labels = torch.randint(0, 2, (5001,), generator=generator)
    scores = count_scores(probs, labels)
    thresholds = [step / 1000 for step in range(1001)]
    found = call(page, "threshold", "confusion", [[scores, threshold] for threshold in thresholds])
    assert found == [confusion_matrix(labels, probs >= threshold).tolist() for threshold in thresholds]


def middle(one: "Locator") -> tuple[float, float]:
    one.scroll_into_view_if_needed()
    box = one.bounding_box()
    return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2


def use(explorer: "Locator") -> None:
    """Drag the line and the point, walk by keys, type, change the costs; what cannot be is refused in words."""
    mouse, keyboard = explorer.page.mouse, explorer.page.keyboard
    first = said(explorer)
    line = explorer.get_by_role("slider", name="threshold", exact=True)
    point = explorer.get_by_role("slider", name="along the ROC curve")
    field = explorer.get_by_role("spinbutton", name="threshold")
    before = point.bounding_box()
    x, y = middle(line)
    mouse.move(x, y)
    mouse.down()
    mouse.move(x - 90, y, steps=4)
    mouse.up()
    dragged = float(field.input_value())
    assert 0.2 < dragged < 0.4
    assert said(explorer).startswith(f"Threshold {dragged:g}: ")
    assert point.bounding_box()["y"] < before["y"]  # more of the sick are found
    for key, by in {"ArrowRight": 0.01, "ArrowDown": -0.01, "PageUp": 0.1, "PageDown": -0.1}.items():
        keyboard.press(key)  # the line has the focus
        dragged += by
        assert abs(float(line.get_attribute("aria-valuenow")) - dragged) < 1e-9
    keyboard.press("End")
    assert said(explorer).startswith("Threshold 1: of 100 sick, 0 are predicted sick (sensitivity 0)")
    keyboard.press("Home")
    assert explorer.get_by_role("row", name=re.compile("^healthy")).locator("b").all_inner_texts() == ["0", "300"]
    x, y = middle(point)  # at the upper right
    mouse.move(x, y)
    mouse.down()
    mouse.move(x - 100, y, steps=4)
    mouse.up()
    assert 0.1 < float(field.input_value()) < 0.9
    number = int(point.get_attribute("aria-valuenow"))
    keyboard.press("ArrowRight")
    assert point.get_attribute("aria-valuenow") == str(number + 1)
    keyboard.press("End")
    assert line.get_attribute("aria-valuenow") == "0"
    field.fill("1.5")
    assert said(explorer) == 'threshold: a number from 0 to 1 is expected, but "1.5" was typed; 0 stays.'
    field.fill("0.25")
    assert line.get_attribute("aria-valuetext").startswith("0.25: sensitivity 0.9")
    explorer.get_by_role("button", name="cheapest").click()
    assert said(explorer).endswith("no threshold costs less.")
    explorer.get_by_label("cost of a miss").fill("1")
    dear = float(re.search(r"the cheapest threshold, ([\d.]+),", said(explorer))[1])
    assert dear > float(field.input_value())  # the cheaper a miss, the higher
    explorer.get_by_role("img", name="cost at each threshold").click()
    assert abs(float(field.input_value()) - 0.45) < 0.05
    explorer.get_by_role("button", name="Reset").click()
    assert said(explorer) == first


def test_everything_works_without_kernel_and_network(page: "Page", tmp_path: Path) -> None:
    shown = threshold_explorer()
    explorer = open_page(page, shown, tmp_path)
    assert said(explorer).startswith(shown.summary)
    use(explorer)
    expect_good_manners(page)


def test_a_finger_drags_the_line_and_the_point(page: "Page", tmp_path: Path) -> None:
    explorer = open_page(page, threshold_explorer(), tmp_path)
    fingers = page.context.new_cdp_session(page)
    fingers.send("Emulation.setTouchEmulationEnabled", {"enabled": True})
    line = explorer.get_by_role("slider", name="threshold", exact=True)
    point = explorer.get_by_role("slider", name="along the ROC curve")
    for one, by in ((line, (-80, 0)), (point, (80, -10))):
        before, (x, y) = line.get_attribute("aria-valuenow"), middle(one)
        fingers.send("Input.dispatchTouchEvent", {"type": "touchStart", "touchPoints": [{"x": x, "y": y}]})
        for part in (0.25, 0.5, 0.75, 1):
            place = {"x": x + part * by[0], "y": y + part * by[1]}
            fingers.send("Input.dispatchTouchEvent", {"type": "touchMove", "touchPoints": [place]})
        fingers.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
        assert float(line.get_attribute("aria-valuenow")) < float(before) - 0.05


def test_too_fine_a_threshold_is_refused_where_probabilities_are_counted_in_steps(page: "Page", tmp_path: Path) -> None:
    probs = torch.rand(3000, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    explorer = open_page(page, threshold_explorer(probs, torch.arange(3000) % 2), tmp_path)
    assert explorer.get_by_text("The 3,000 probabilities are counted in steps of 0.001").is_visible()
    explorer.get_by_role("spinbutton", name="threshold").fill("0.1234")
    assert said(explorer) == "threshold: at most 3 decimals are expected here, but 0.1234 was typed; 0.5 stays."


def test_it_fits_a_laptops_screen(page: "Page", tmp_path: Path) -> None:
    explorer = open_page(page, threshold_explorer(), tmp_path)
    page.set_viewport_size({"width": 1000, "height": 620})  # what JupyterLab leaves of 1366x768
    assert explorer.bounding_box()["height"] <= 620
