"""Every schematic where readers meet it: its words clear of each other, drawn on every host, no wider than a phone."""

from pathlib import Path
from typing import TYPE_CHECKING

import nbformat
import pytest
from browser.explorers import quiet
from browser.lab import Lab, expect
from browser.test_hosts import COLAB, POLICY, VS_CODE

from course_lib.schematics import SCHEMATICS, schematic

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Frame, Page

ALL = "".join(schematic(name).html() for name in SCHEMATICS)
DRAWN = "() => [...document.images].map(image => image.complete && image.naturalWidth > 0)"
TEXTS = """() => [...document.querySelectorAll("text")].map(text => {
    const {x, y, width, height} = text.getBBox();
    return [text.textContent, x, y + 0.2 * height, x + width, y + 0.8 * height];
})"""

CROSSED = """() => [...document.querySelectorAll("text")].filter(text => {
    const {x, y, width, height} = text.getBBox(), lines = [...document.querySelectorAll("path, rect, circle")];
    return [...Array(369).keys()].some(at => {
        const [column, row] = [at % 41, Math.floor(at / 41)];
        const point = new DOMPoint(x + width * column / 40, y + height * (0.25 + row / 16));
        return lines.some(line => line.isPointInStroke(point));
    });
}).map(text => text.textContent)"""


@pytest.fixture(scope="module")
def card(browser: "Browser") -> "Page":
    """A page to put one drawing after the other into."""
    return browser.new_page(viewport={"width": 1280, "height": 960})


@pytest.mark.parametrize("name", SCHEMATICS)
def test_no_line_runs_through_words(name: str, card: "Page") -> None:
    card.set_content(SCHEMATICS[name]().svg())
    assert card.evaluate(CROSSED) == []


@pytest.mark.parametrize("name", SCHEMATICS)
def test_no_words_leave_the_card_or_touch_each_other(name: str, card: "Page") -> None:
    # in DejaVu Sans, among the widest of the fonts that a system may show
    card.set_content(SCHEMATICS[name]().svg())
    texts = card.evaluate(TEXTS)
    assert [words for words, left, _, right, _ in texts if left < 4 or right > 476] == []
    touching = [
        (one[0], other[0])
        for at, one in enumerate(texts)
        for other in texts[at + 1 :]
        if one[1] < other[3] and other[1] < one[3] and one[2] < other[4] and other[2] < one[4]
    ]
    assert touching == []


@pytest.mark.parametrize(("way", "width"), [("file", 1200), ("file", 390), ("VS Code", 900), ("Colab", 1200)])
def test_a_host_draws_every_schematic_within_its_page(way: str, width: int, page: "Page", tmp_path: Path) -> None:
    quiet(page)
    page.set_viewport_size({"width": width, "height": 900})
    file, policy = tmp_path / "page.html", POLICY if way == "VS Code" else "default-src 'unsafe-inline' data:"
    head = f'<!doctype html><meta http-equiv="Content-Security-Policy" content="{policy}">'
    file.write_text(f"{head}<main>{ALL if way == 'file' else ''}</main>")
    page.goto(file.as_uri())
    if way != "file":
        page.evaluate({"VS Code": VS_CODE, "Colab": COLAB}[way], ALL)
    frame: Frame = page.frames[-1]
    frame.locator("img").nth(len(SCHEMATICS) - 1).wait_for()
    frame.wait_for_function(f"({DRAWN})().every(Boolean)")
    assert len(frame.evaluate(DRAWN)) == len(SCHEMATICS)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert frame.evaluate("Math.max(...[...document.images].map(image => image.width))") <= min(640, width)


def test_an_untrusted_notebook_in_jupyterlab_shows_it_with_its_words(lab: Lab) -> None:
    # an output of type image/svg+xml is not drawn there: packages/rendermime/src/factories.ts, safe: false
    cell, shown = 'schematic("one-window")', schematic("one-window")
    output = nbformat.v4.new_output("execute_result", shown._repr_mimebundle_(), execution_count=1)
    cells = [nbformat.v4.new_code_cell(cell, outputs=[output], execution_count=1)]
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}  # or JupyterLab asks for one
    notebook = nbformat.v4.new_notebook(cells=cells, metadata={"kernelspec": kernel})
    nbformat.write(notebook, lab.server.folder / "drawn.ipynb")
    lab.open("drawn.ipynb")
    image = lab.output(cell).get_by_role("img", name=shown.sketch.alt)
    expect(image).to_be_visible()
    assert image.evaluate("image => image.complete && image.naturalWidth > 0")
