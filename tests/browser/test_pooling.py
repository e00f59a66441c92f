"""The explorer of pooling and dropout: its numbers are torch's, and mouse, fingers and keyboard do everything."""

import math
import random
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from browser.explorers import agree, call, expect_good_manners, open_page, said
from torch.nn import functional as F

from course_lib.widgets import pooling_explorer

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Locator, Page


def drawn_images(count: int) -> list[torch.Tensor]:
    draw = random.Random(0)
    images = []
    for number in range(count):
        torch.manual_seed(number)
        size = (draw.randint(4, 16), draw.randint(4, 16))
        whole = torch.randint(-2, 3, size).float()  # so that some are equal
        images.append(whole if number % 2 else torch.randn(size) * 10 ** draw.uniform(-2, 2))
    return images


def test_a_moved_image_is_torchs_roll(page: "Page") -> None:
    draw, images = random.Random(1), drawn_images(200)
    cases = [[image.tolist(), draw.randint(-15, 15), draw.randint(-15, 15)] for image in images]
    for (_, right, down), image, found in zip(cases, images, call(page, "pools", "moved", cases), strict=True):
        assert torch.equal(torch.tensor(found), image.roll((down, right), dims=(0, 1)))


def test_pooling_is_torchs_also_where_the_window_does_not_divide_the_image(page: "Page") -> None:
    draw, images = random.Random(2), drawn_images(250)
    windows = [draw.randint(2, 4) for _ in images]
    for kind, pool in (("max", F.max_pool2d), ("mean", F.avg_pool2d)):
        cases = [[image.tolist(), kind, window] for image, window in zip(images, windows, strict=True)]
        for image, window, found in zip(images, windows, call(page, "pools", "pool", cases), strict=True):
            torchs, sizes = pool(image[None], window)[0], F.avg_pool2d(image.abs()[None], window)[0]
            assert torch.tensor(found).shape == torchs.shape
            flat = [number for row in found for number in row]
            assert agree(flat, torchs.flatten().tolist(), sizes.flatten().tolist())


def test_the_winner_is_the_one_that_torchs_indices_name(page: "Page") -> None:
    draw, images = random.Random(3), drawn_images(250)
    cases, wanted = [], []
    for image in images:
        window = draw.randint(2, 4)
        indices = F.max_pool2d(image[None], window, return_indices=True)[1][0]
        row, column = draw.randrange(indices.shape[0]), draw.randrange(indices.shape[1])
        cases.append([image.tolist(), window, row, column])
        wanted.append(divmod(indices[row, column].item(), image.shape[1]))
    cells = call(page, "pools", "covered", cases)
    found = call(page, "pools", "winner", [[window] for window in cells])
    assert [(one["row"], one["column"]) for one in found] == wanted


def test_dropout_scales_as_torch_does(page: "Page") -> None:
    cases, wanted = [], []
    for number, image in enumerate(drawn_images(250)):
        torch.manual_seed(number)
        values, p = image.flatten() + 10_000, (0.0, 1.0, *torch.rand(8).tolist())[number % 10]  # none is 0 by itself
        after = F.dropout(values, p, training=True)
        cases.append([values.tolist(), (after != 0).tolist(), p])
        wanted.append(after.tolist())
    for found, torchs in zip(call(page, "pools", "dropped", cases), wanted, strict=True):
        assert agree(found, torchs, map(abs, torchs))


def test_a_draw_keeps_each_number_with_probability_1_minus_p_and_the_mean_stays(page: "Page") -> None:
    images, draw, number = drawn_images(6), random.Random(4), 64
    ps = [draw.uniform(0.05, 0.95) for _ in images]
    for p in ps:
        kept = call(page, "pools", "kept", [[k, number, p] for k in range(1000)])
        counts = torch.tensor(kept).double()
        spread = math.sqrt(p * (1 - p))
        assert abs(counts.mean() - (1 - p)) < 5 * spread / math.sqrt(1000 * number)
        assert (counts.mean(0) - (1 - p)).abs().max() < 5 * spread / math.sqrt(1000)  # at each place
        assert (counts.mean(1) - (1 - p)).abs().max() < 5 * spread / math.sqrt(number)  # in each draw
    cases = [[image.flatten().tolist(), p, 1000] for image, p in zip(images, ps, strict=True)]
    for (values, p, draws), found in zip(cases, call(page, "pools", "means", cases), strict=True):
        kept = torch.tensor(call(page, "pools", "kept", [[draw, len(values), p] for draw in range(draws)]))
        sums = (torch.tensor(values).double() * kept).sum(1)
        assert torch.allclose(sums / (1 - p) / len(values), torch.tensor(found).double())
        one_draw = math.sqrt(p / (1 - p) * sum(value**2 for value in values)) / len(values)  # by the binomial formula
        assert abs(sum(found) / draws - sum(values) / len(values)) < 5 * one_draw / math.sqrt(draws)


def use(explorer: "Locator") -> None:
    """With mouse and keyboard: move the image, point at outputs, change pooling and dropout, draw again."""
    page = explorer.page
    start = said(explorer)
    assert start.startswith("Draw 0: ")
    assert "multiplied by 1/(1 − 0.5) = 2. The mean was 2 and is " in start
    image = explorer.get_by_role("slider", name="image")
    drag(image, 1, 0)
    assert said(explorer) == "The image is moved 1 to the right; max of 2×2: 0 of 16 pooled numbers changed by moving."
    assert explorer.get_by_label("moved right").input_value() == "1"
    explorer.get_by_label("pooling", exact=True).select_option("mean")
    assert said(explorer).endswith("; mean of 2×2: 2 of 16 pooled numbers changed by moving.")
    image.focus()
    for key in ("ArrowRight", "ArrowDown", "ArrowDown", "ArrowUp"):
        page.keyboard.press(key)
    assert said(explorer).startswith("The image is moved 2 to the right and 1 down; mean of 2×2: ")
    assert explorer.locator(".changed").count() == int(said(explorer).split(": ")[1].split()[0]) > 0
    for _ in range(6):
        page.keyboard.press("ArrowRight")
    assert said(explorer) == "The image is 8 pixels wide; that is as far as it moves."
    explorer.get_by_label("moved right").fill("0")
    explorer.get_by_label("moved down").fill("0")
    assert explorer.locator(".changed").count() == 0

    cells = explorer.get_by_role("gridcell")
    cells.nth(6).hover()
    assert said(explorer).startswith(
        "Output at row 1, column 2: rows 2 to 3 and columns 4 to 5: (9 + 1 + 9 + 1)/4 = 5. "
    )
    assert explorer.get_by_role("slider").locator(".reached").count() == 4
    explorer.get_by_label("pooling", exact=True).select_option("max")
    cells.nth(6).click()
    page.keyboard.press("ArrowLeft")
    assert "the largest number in rows 2 to 3 and columns 2 to 3 is 9, at row 2, column 2." in said(explorer)
    assert explorer.locator(".winner").inner_text() == "9"
    window = explorer.get_by_label("window")
    window.fill("3")
    assert said(explorer).endswith("The last 2 rows and 2 columns of the image fill no window and are left out.")
    assert explorer.locator(".outside").count() == 64 - 36
    window.fill("5")
    assert said(explorer) == 'window: a whole number from 2 to 4 is expected, but "5" was typed; 3 stays.'
    window.fill("2")
    use_dropout(explorer)
    explorer.get_by_role("button", name="Reset").click()
    assert said(explorer) == start


def use_dropout(explorer: "Locator") -> None:
    again = explorer.get_by_role("button", name="Another draw")
    again.focus()
    explorer.page.keyboard.press("Space")
    assert said(explorer).startswith("Draw 1: ")
    kept = int(said(explorer).split()[2])
    assert explorer.locator(".dropped").count() == 16 - kept
    p = explorer.get_by_label("dropout p")
    p.focus()
    explorer.page.keyboard.press("ArrowUp")
    assert "1/(1 − 0.6) = 2.5" in said(explorer)
    p.fill("1")
    assert said(explorer) == "p = 1 drops everything: torch gives zeros, as nothing is left to be multiplied."
    assert explorer.locator(".dropped").count() == 16
    p.fill("1.1")
    assert said(explorer) == 'dropout p: a number from 0 to 1 is expected, but "1.1" was typed; 1 stays.'
    p.fill("0")
    assert "16 of 16 numbers are kept and multiplied by 1/(1 − 0) = 1. The mean was 2 and is 2; over" in said(explorer)
    p.fill("0.3")
    explorer.get_by_label("mode").select_option("evaluation")
    assert said(explorer) == "In evaluation mode dropout changes nothing: the mean stays 2."
    assert not explorer.get_by_role("img", name="histogram").is_visible()


def drag(image: "Locator", right: int, down: int) -> None:
    box, mouse = image.bounding_box(), image.page.mouse
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    mouse.move(x, y)
    mouse.down()
    mouse.move(x + right * box["width"] / 8, y + down * box["height"] / 8, steps=4)
    mouse.up()


def test_everything_works_without_kernel_and_network(page: "Page", tmp_path: Path) -> None:
    use(open_page(page, pooling_explorer(), tmp_path))
    expect_good_manners(page)


def test_a_finger_moves_the_image_and_not_the_page(browser: "Browser", tmp_path: Path) -> None:
    with browser.new_context(viewport={"width": 390, "height": 500}, has_touch=True) as context:
        explorer = open_page(context.new_page(), pooling_explorer(), tmp_path)
        box = explorer.get_by_role("slider").bounding_box()
        touch = context.new_cdp_session(explorer.page)
        x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
        for kind, by in (("touchStart", 0), ("touchMove", -0.5), ("touchMove", -2), ("touchMove", -3)):
            points = [{"x": x, "y": y + by * box["height"] / 8}]
            touch.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})
        touch.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
        assert said(explorer).startswith("The image is moved 3 up; max of 2×2")
        assert explorer.page.evaluate("scrollY") == 0
        for _ in range(20):  # a busy machine answers late, and Chromium then cancels the tap
            explorer.page.wait_for_timeout(500)  # a tap sooner would belong to the touch before it
            explorer.get_by_role("gridcell").nth(9).tap()
            explorer.page.wait_for_timeout(500)
            if said(explorer).startswith("Output at row 2, column 1"):
                break
        assert said(explorer).startswith("Output at row 2, column 1")


def test_the_largest_image_and_many_outputs_have_good_manners_too(page: "Page", tmp_path: Path) -> None:
    explorer = open_page(
        page, pooling_explorer(torch.randn(16, 16, generator=torch.Generator().manual_seed(0))), tmp_path
    )
    explorer.get_by_label("pooling", exact=True).select_option("mean")
    explorer.get_by_role("gridcell").nth(3).hover()
    expect_good_manners(page, narrowest=360)


def test_it_fits_a_laptops_screen(page: "Page", tmp_path: Path) -> None:
    explorer = open_page(page, pooling_explorer(), tmp_path)
    page.set_viewport_size({"width": 930, "height": 620})  # what JupyterLab leaves of 1366x768, for a cell's output
    assert explorer.bounding_box()["height"] <= 620
