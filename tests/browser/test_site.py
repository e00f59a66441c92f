"""The reading edition in a browser, from the file system: quiet console, search, light and dark, a phone's width."""

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from browser.explorers import quiet, said
from browser.test_explorers import EXPLORERS

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page


@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (390, "dark")])
def test_every_page_fits_and_loads_without_an_error(
    site: list[Path], browser: "Browser", width: int, scheme: str
) -> None:
    context = browser.new_context(viewport={"width": width, "height": 1000}, color_scheme=scheme, offline=True)
    page, errors = context.new_page(), []
    page.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("requestfailed", lambda request: errors.append(request.url))
    background = "getComputedStyle(document.body).backgroundColor"
    for path in site:
        page.goto(path.as_uri())
        assert page.evaluate("document.documentElement.scrollWidth") <= width, path
        dark = sum(map(int, page.evaluate(f"{background}.match(/\\d+/g)")[:3])) < 128 * 3
        assert dark == (scheme == "dark")
        if folder := os.environ.get("COURSE_SCREENSHOTS"):
            page.screenshot(path=Path(folder) / f"site_{path.parent.name}_{path.stem}_{width}.png")
    assert errors == []
    context.close()


UNREAD = """() => [...document.querySelectorAll('article pre')].filter(pre => {
    const {lineHeight, paddingTop, paddingBottom} = getComputedStyle(pre);
    const height = pre.clientHeight - parseFloat(paddingTop) - parseFloat(paddingBottom);
    const lines = pre.innerText.replace(/\\n$/, '').split('\\n');
    const broken = Math.round(height / parseFloat(lineHeight)) > lines.length;
    return pre.scrollWidth > pre.clientWidth || (broken && lines.every(line => line.length <= 100));
}).map(pre => pre.innerText)"""


def test_no_code_is_cut_off_or_broken_up_to_100_characters_at_1200_pixels(site: list[Path], browser: "Browser") -> None:
    context = browser.new_context(viewport={"width": 1200, "height": 1000}, offline=True)
    page = context.new_page()
    for path in site:
        page.goto(path.as_uri())
        page.evaluate("document.querySelectorAll('details').forEach(folded => folded.open = true)")
        assert page.evaluate(UNREAD) == [], path
    context.close()


SHRUNK = """() => [...document.querySelectorAll('.cell_output > img')]
    .filter(image => image.naturalWidth >= 850 && image.width < 0.6 * image.naturalWidth)
    .map(image => [image.alt, image.width])"""
CUT = """() => [...document.querySelectorAll('.cell_output pre')].filter(pre => pre.scrollWidth > pre.clientWidth)
    .map(pre => pre.innerText)"""
LOWERED = """() => [...document.querySelectorAll('msub')].map(sub => {
    const [base, index] = [...sub.children].map(part => part.getBoundingClientRect());
    return (index.bottom - base.bottom) / base.height;
})"""


def test_a_phone_shows_wide_figures_legible_and_what_was_printed_whole(site: list[Path], browser: "Browser") -> None:
    context = browser.new_context(viewport={"width": 390, "height": 844}, offline=True)
    page = context.new_page()
    for path in site:
        page.goto(path.as_uri())
        page.evaluate("document.querySelectorAll('details').forEach(folded => folded.open = true)")
        page.evaluate("Promise.all([...document.images].map(image => image.decode()))")
        assert page.evaluate(SHRUNK) == [], path
        assert page.evaluate(CUT) == [], path
    context.close()


def test_subscripts_stand_lower_than_their_letters(site: list[Path], page: "Page") -> None:
    page.goto(next(path for path in site if path.stem == "06_visualization").as_uri())
    lowered = page.evaluate(LOWERED)
    assert lowered
    assert min(lowered) > 0.05


@pytest.mark.parametrize(
    ("lesson", "call"),
    [
        ("01_cnn_anatomy", "convolution_explorer()"),
        ("01_cnn_anatomy", "training_explorer()"),
        ("02_building_pneumonia_cnn", "pooling_explorer()"),
        ("01_cnn_anatomy", "shape_explorer()"),
        ("01_cnn_anatomy", "Quiz(1)"),
        ("01_cnn_anatomy", 'Predict("1.1")'),
        ("03_training_on_gpu", "descent_explorer()"),
        ("06_visualization", "feature_explorer(...).page"),
    ],
)
def test_each_explorer_works_without_kernel_and_network(site: list[Path], page: "Page", lesson: str, call: str) -> None:
    quiet(page)
    page.goto(next(path for path in site if path.stem == lesson).as_uri())
    module = EXPLORERS[call].make().module
    explorer = page.locator(f'[data-explorer="{module}"] .course-explorer').first
    explorer.scroll_into_view_if_needed()
    EXPLORERS[call].use(explorer)


def test_the_threshold_moves_on_the_page_of_lesson_3(site: list[Path], page: "Page") -> None:
    quiet(page)
    page.goto(next(path for path in site if path.stem == "03_training_on_gpu").as_uri())
    explorer = page.locator('[data-explorer="threshold"] .course-explorer')
    explorer.get_by_role("slider", name="threshold", exact=True).press("Home")
    assert re.match(r"Threshold 0: of (\d+) sick, \1 are predicted sick", said(explorer))


def test_search_finds_a_lesson_and_a_solution_unfolds(site: list[Path], page: "Page") -> None:
    page.goto(site[0].as_uri())
    page.get_by_placeholder("Search").fill("receptive field")
    page.keyboard.press("Enter")
    page.locator("#search-results a", has_text="CNN anatomy").first.click()
    page.wait_for_url("**/01_cnn_anatomy.html*")
    page.locator(".next-page").click()
    page.wait_for_url("**/02_building_pneumonia_cnn.html")
    page.locator(".prev-page").click()
    page.wait_for_url("**/01_cnn_anatomy.html")
    page.goto(next(path for path in site if path.parent.name == "exercises").as_uri())
    solution = page.locator("details").first
    assert not solution.locator("pre").is_visible()
    solution.locator("summary").click()
    assert "return" in solution.locator("pre").inner_text()
