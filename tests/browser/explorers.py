"""What the tests of the explorers share: an explorer on a page from the file system, and its module's functions."""

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from browser.lab import serious_faults

from course_lib.widgets.page import Page, module_source

if TYPE_CHECKING:
    from playwright.sync_api import Locator
    from playwright.sync_api import Page as Tab

CALL = """async ({source, name, cases}) => {
    const module = await import(URL.createObjectURL(new Blob([source], {type: "text/javascript"})));
    return cases.map((given) => module[name](...given));
}"""

OVERLAPS = """() => [...document.querySelectorAll(".chart")].flatMap((chart) => {
    const words = [...chart.querySelectorAll(".chart-text text")];
    const placed = words.map((one) => [one.textContent, one.getBoundingClientRect()]);
    return placed.flatMap(([word, a], n) => placed.slice(n + 1).filter(([, b]) =>
        a.left < b.right && b.left < a.right && a.top < b.bottom && b.top < a.bottom).map(([other]) => [word, other]));
})"""


def open_page(tab: "Tab", shown: Page, folder: Path) -> "Locator":
    """The explorer alone on a web page from the file system, without a network; errors in the console fail the test."""
    file = folder / "page.html"
    file.write_text(f'<!doctype html><html lang="en"><meta charset="utf-8"><title>-</title><main>{shown.html()}</main>')
    quiet(tab)
    tab.goto(file.as_uri())
    return tab.locator(".course-explorer")


def quiet(tab: "Tab") -> None:
    """No network from now on, and what the console reports fails the test."""
    tab.context.set_offline(True)
    tab.on("pageerror", lambda error: _fail(f"{error.name}: {error.message}\n{error.stack}"))
    tab.on("console", lambda message: _fail(message.text) if message.type in ("error", "warning") else None)


def _fail(text: str) -> None:
    raise AssertionError(f"in the browser: {text}")


def call(tab: "Tab", module: str, function: str, cases: Sequence[Sequence[Any]]) -> list[Any]:
    """What a function that `js/MODULE.js` exports returns for each list of arguments."""
    return list(tab.evaluate(CALL, {"source": module_source(module), "name": function, "cases": cases}))


def said(explorer: "Locator") -> str:
    """The sentence below the explorer."""
    return explorer.locator("[role=status]").inner_text()


def reload_until(tab: "Tab", read: Callable[[], str], wanted: str) -> None:
    """Fails if `read` never comes to say what is wanted: what one tab stores reaches another a moment later."""
    for _ in range(20):
        if read() == wanted:
            break
        tab.wait_for_timeout(250)
        tab.reload()
    assert read() == wanted


def expect_good_manners(tab: "Tab", *, narrowest: int = 290) -> None:
    """Nothing that axe-core finds serious, in light and in dark; no word of a chart on another; nothing sticks out.

    290 pixels are what JupyterLab leaves on a phone, and 800 what a page of the site has on a desk.
    """
    for scheme, text, ground in (("light", "#111", "#fff"), ("dark", "#eee", "#111")):
        tab.evaluate(
            "([text, ground]) => Object.assign(document.body.style, {color: text, background: ground})", [text, ground]
        )
        tab.wait_for_timeout(50)
        assert serious_faults(tab, ".course-explorer") == [], scheme
    assert tab.evaluate(OVERLAPS) == []
    before = tab.viewport_size
    for width in (narrowest, 390, 800):
        tab.set_viewport_size({"width": width, "height": 844})
        assert tab.evaluate("document.documentElement.scrollWidth") <= width
    tab.set_viewport_size(before)


def agree(found: Iterable[float], wanted: Iterable[float], sizes: Iterable[float]) -> bool:
    """Whether numbers of the page are torch's: to 1e-6 of the sum of their products' sizes, as float32 adds up."""
    return all(abs(a - b) <= 1e-6 * size + 1e-30 for a, b, size in zip(found, wanted, sizes, strict=True))
