"""How hosts that are not at hand put an output into their pages, restated: the explorers come alive there as well."""

from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from browser.explorers import quiet
from browser.test_explorers import EXPLORERS

if TYPE_CHECKING:
    from playwright.sync_api import Page

# VS Code, extensions/notebook-renderers/src/index.ts, `domEval`: the HTML is set, then each script is made again with
# these attributes alone, added, and removed at once. Its optional policy allows inline scripts, nothing from elsewhere.
VS_CODE = """html => {
    const container = document.querySelector("main");
    container.innerHTML = html;
    for (const node of Array.from(container.getElementsByTagName("script"))) {
        const script = document.createElement("script");
        script.text = node.innerText;
        for (const key of ["type", "src", "nonce", "noModule", "async"]) {
            const value = node[key] || node.getAttribute(key);
            if (value) script.setAttribute(key, value);
        }
        container.appendChild(script).parentNode.removeChild(script);
    }
}"""
POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'unsafe-inline' 'unsafe-eval'"
# Colab: each output is a frame of its own, without the right to storage, in which `google.colab.output` can say how
# high it is (DefinitelyTyped, types/colab).
COLAB = """html => {
    const frame = document.createElement("iframe");
    frame.sandbox = "allow-scripts";
    window.resized = 0;
    window.addEventListener("message", () => (window.resized += 1));
    const told = "resizeIframeToContent: () => parent.postMessage(0, '*')";
    const stub = `<script>window.google = {colab: {output: {${told}}}}</` + "script>";
    frame.srcdoc = `<!doctype html><body>${stub}${html}`;
    frame.width = 900;
    frame.height = 500;
    document.querySelector("main").append(frame);
}"""


@pytest.mark.parametrize("call", EXPLORERS)
def test_vs_code(call: str, page: "Page", tmp_path: Path) -> None:
    quiet(page)
    file = tmp_path / "page.html"
    file.write_text(f'<!doctype html><meta http-equiv="Content-Security-Policy" content="{POLICY}"><main></main>')
    page.goto(file.as_uri())
    page.evaluate(VS_CODE, EXPLORERS[call].make().html())
    page.locator(".course-explorer [role=status]").first.wait_for(state="attached")
    assert not page.locator(".still").is_visible()


@pytest.mark.parametrize("call", EXPLORERS)
def test_colab(call: str, page: "Page", tmp_path: Path) -> None:
    quiet(page)
    file = tmp_path / "page.html"
    file.write_text("<!doctype html><main></main>")
    page.goto(file.as_uri())
    page.evaluate(COLAB, EXPLORERS[call].make().html())
    page.frame_locator("iframe").locator(".course-explorer [role=status]").first.wait_for(state="attached")
    page.wait_for_function("window.resized > 0")
