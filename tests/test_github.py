"""GitHub shows a notebook without its scripts: every figure, explorer and quiz must be there all the same.

GitHub renders by nbconvert, 7.16.6 as its errors say (github.com/jupyter/jupyter.github.io/issues/787), and sanitizes
what comes out; it takes away `style` and `id` (github.com/ipython/nbconvert/issues/204).
"""

import re
from collections import Counter
from html.parser import HTMLParser
from pathlib import Path

import nbformat
import pytest
from nbconvert import HTMLExporter
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_notebook, new_output

from course_lib.authoring import lessons
from course_lib.schematics import schematic
from course_lib.widgets.questions import questions

# From html-pipeline, in which GitHub published its rules (lib/html/pipeline/sanitization_filter.rb): an element that is
# not on the list goes and leaves what is in it, but a script goes whole; `src` and `alt` stay. That `style` goes whole
# too, and that a picture may be data, every rendered notebook with a figure shows.
ELEMENTS = re.compile(
    "h[1-8]|br|b|i|strong|em|a|pre|code|img|tt|div|ins|del|sup|sub|p|ol|ul|table|thead|tbody|tfoot|blockquote|dl|dt|dd|"
    "kbd|q|samp|var|hr|ruby|rt|rp|li|tr|td|th|s|strike|summary|details"
)
NO_WORDS = "No description has been provided for this image"  # nbconvert's alt where there is none
PNG = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR4nGNgAAAAAgABSK+kcQAAAABJRU5ErkJggg=="
VIEW = "application/vnd.jupyter.widget-view+json"
STATE = "application/vnd.jupyter.widget-state+json"


class Page(HTMLParser):
    """What GitHub's sanitizer leaves of a page: elements of each kind, and pictures' words by source."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.pictures: dict[str, str] = {}
        self.elements: Counter[str] = Counter()
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if ELEMENTS.fullmatch(tag):  # what is in a script or a style is no element to the parser either
            self.elements[tag] += 1
        if tag == "img":
            said = dict(attrs)
            self.pictures["".join((said.get("src") or "").split())] = said.get("alt") or NO_WORDS


def missing_on_github(notebook: NotebookNode) -> list[str]:
    """What a reader on GitHub does not see of each code cell, in the notebook's order; empty if nothing."""
    missing, exporter = [], HTMLExporter()
    for number, cell in enumerate(notebook.cells):
        outputs = [output for output in cell.get("outputs", []) if "data" in output]
        if not outputs:
            continue
        html, _ = exporter.from_notebook_node(new_notebook(cells=[cell], metadata=notebook.metadata))
        page = Page(html)
        figures = {
            f"data:{kind};base64,{''.join(data.split())}"
            for output in outputs
            for kind, data in output.data.items()
            if kind.startswith("image/")
        }
        missing += [f"cell {number}: a figure"] * len(figures - page.pictures.keys())
        stills = [words for source, words in page.pictures.items() if source not in figures and words != NO_WORDS]
        if re.search(r"_explorer\(", cell.source) and not stills:
            missing.append(f"cell {number}: the explorer's picture with its words")
        if re.search(r"^schematic\(", cell.source, re.MULTILINE) and not stills:
            missing.append(f"cell {number}: the schematic with its words")
        if asked := len(re.findall(r"^Predict\(", cell.source, re.MULTILINE)):
            missing += [f"cell {number}: a prediction's folded answer"] * (asked - page.elements["details"])
        if quiz := re.search(r"^Quiz\((\d)\)", cell.source, re.MULTILINE):
            folded = len(questions(int(quiz[1]))) - page.elements["details"]
            missing += [f"cell {number}: {folded} folded answers"] if folded else []
    return missing


@pytest.mark.parametrize("path", lessons(), ids=lambda path: path.stem)
def test_github_shows_every_figure_explorer_and_quiz_of_a_lesson(path: Path) -> None:
    assert missing_on_github(nbformat.read(path, as_version=4)) == []


def explorer(still: str, script: str = "") -> str:
    root = f'<div class="course-explorer-root" data-explorer="x"><div class="still">{still}</div>'
    return f'{root}<style>p {{}}</style><script type="module">{script}</script></div>'


STILL = f'<img src="data:image/png;base64,{PNG}" alt="A still.">'
ANSWERS = "<details><summary>Answer</summary><p>B</p></details>" * len(questions(1))
DRAWN = schematic("one-window").html()
FIGURE = {"image/png": PNG, "text/plain": "[Figure]"}


@pytest.mark.parametrize(
    ("source", "data", "missing"),
    [
        ("show(figure)", FIGURE, []),
        ("show(figure)", {**FIGURE, "text/html": "<b>a table</b>"}, ["cell 0: a figure"]),
        ("x_explorer()", {"text/html": explorer(STILL)}, []),
        ("x_explorer()", {"text/html": explorer(STILL.replace("A still.", ""))}, ["cell 0: the explorer's picture"]),
        ("x_explorer()", {"text/html": explorer("", f"draw('{STILL}')")}, ["cell 0: the explorer's picture"]),
        ("x_explorer()", {"text/plain": "[Explorer]"}, ["cell 0: the explorer's picture"]),
        ("x_explorer()", {"text/html": explorer(STILL), VIEW: {"model_id": "7"}}, ["cell 0: the explorer's picture"]),
        ('schematic("x")', {"text/html": DRAWN}, []),
        ('schematic("x")', {"text/html": DRAWN.replace(" alt=", " title=")}, ["cell 0: the schematic"]),
        ('schematic("x")', {"text/html": schematic("one-window").sketch.svg()}, ["cell 0: the schematic"]),
        (
            'schematic("x")',
            {"image/svg+xml": schematic("one-window").sketch.svg()},
            ["cell 0: a figure", "cell 0: the schematic"],
        ),
        ("Quiz(1)", {"text/html": ANSWERS}, []),
        ("Quiz(1)", {"text/html": explorer(ANSWERS)}, []),
        ("Quiz(1)", {"text/html": ANSWERS.replace("<details>", "<div>", 1)}, ["cell 0: 1 folded answers"]),
        ("Quiz(1)", {"text/html": f"<script>{ANSWERS}</script>"}, [f"cell 0: {len(questions(1))} folded answers"]),
    ],
)
def test_what_github_does_not_show_is_found(source: str, data: dict[str, object], missing: list[str]) -> None:
    model = {"model_name": "HTMLModel", "model_module": "controls", "model_module_version": "2", "state": {}}
    widgets = {STATE: {"version_major": 2, "version_minor": 0, "state": {"7": model}}}
    cell = new_code_cell(source, outputs=[new_output("display_data", data)], execution_count=1)
    notebook = new_notebook(cells=[cell], metadata={"widgets": widgets} if VIEW in data else {})
    assert [said.removesuffix(" with its words") for said in missing_on_github(notebook)] == missing
