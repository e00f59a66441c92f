"""A page in an output cell: everything inline, the same bytes each time, a picture where no script runs."""

import json
import re
from html.parser import HTMLParser

import pytest

from course_lib.widgets import Page
from course_lib.widgets.page import JS, module_source

MODULES = sorted(path.stem for path in JS.glob("*.js") if f'mount("{path.stem}"' in path.read_text(encoding="utf-8"))


class Scripts(HTMLParser):
    """The texts of the scripts, as a browser's parser cuts them."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.texts: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "script":
            self.texts.append("")

    def handle_data(self, data: str) -> None:
        if self.lasttag == "script" and self.texts:
            self.texts[-1] += data


@pytest.mark.parametrize("module", MODULES)
def test_a_module_carries_what_it_imports_once_and_asks_for_no_file(module: str) -> None:
    source = module_source(module)
    assert not re.search(r"^\s*import\b", source, flags=re.MULTILINE)
    assert source.count("export function element(") == 1
    assert "</script" not in source
    assert re.search(r"https?://(?!www\.w3\.org)", source) is None  # the name of SVG is no address


def test_a_state_cannot_end_its_script() -> None:
    state = {"text": "</script><script>alert(1)</script><!--"}
    page = Page("convolution", "a <b>title", state, "<p>still</p>", "It says so.")
    data, module = Scripts(page.html()).texts
    assert json.loads(data) == {"title": "a <b>title", **state}
    assert module == module_source("convolution")


def test_an_output_is_html_with_a_still_and_one_short_text() -> None:
    page = Page("convolution", "A title", {}, "<p>still</p>", "Nine products are added, and the sum is 0. " * 3)
    data = page._repr_mimebundle_()
    assert set(data) == {"text/html", "text/plain"}
    assert '<div class="still"><p><b>A title</b></p><p>still</p></div>' in data["text/html"]
    assert data["text/plain"].startswith("[Convolution: A title. Nine products")
    assert max(map(len, data["text/plain"].splitlines())) <= 100
    assert data == Page("convolution", "A title", {}, "<p>still</p>", page.summary)._repr_mimebundle_()
