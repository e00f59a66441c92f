"""What all explorers share: a page of its own in an output cell, alive without a kernel, a picture without scripts.

The output holds everything inline: a picture with its text, the first state, the style and one JavaScript module. Where
scripts run (JupyterLab, VS Code, Colab, a web page from the file system), the module puts the explorer in the picture's
place; where they are taken out (GitHub, print), the picture stays.
"""

import base64
import html
import json
import re
import textwrap
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure
from torch import Tensor

from course_lib.plots import encode

JS = Path(__file__).parent / "js"
IMPORT = re.compile(r'^import \{[^}]*\} from "\./(\w+)\.js";\n', flags=re.MULTILINE)


@dataclass(frozen=True)
class Page:
    """An explorer, a quiz or a prediction, to be shown as the last line of a cell.

    Attributes:
        module: which of `js/*.js` draws it.
        title: what is explored.
        state: what the module starts from, as JSON takes it; `title` is added.
        still: HTML for where no script runs.
        summary: one or two sentences on what is seen at first; for the terminal.
    """

    module: str
    title: str
    state: dict[str, Any] = field(repr=False)
    still: str = field(repr=False)
    summary: str

    def _repr_mimebundle_(self, **_: object) -> dict[str, str]:
        text = f"[{self.module.capitalize()}: {self.title}. {self.summary}]"
        return {"text/html": self.html(), "text/plain": textwrap.fill(text, 100)}

    def html(self) -> str:
        """All of it, for the output of a cell: the same bytes for the same state."""
        state = json.dumps({"title": self.title, **self.state}, ensure_ascii=False, allow_nan=False).replace(
            "<", "\\u003c"
        )
        return (
            f'<div class="course-explorer-root" data-explorer="{self.module}">'
            f'<div class="still"><p><b>{html.escape(self.title)}</b></p>{self.still}</div>'
            f'<script type="application/json">{state}</script>'
            f"<style>{style_source(self.module)}</style>"
            f'<script type="module">{module_source(self.module)}</script></div>'
        )


def module_source(name: str) -> str:
    """The text of `js/NAME.js`, in front of it that of each module from which it imports, each once.

    In a page there are no files beside it to import from.
    """
    return "\n".join(IMPORT.sub("", _read(f"{module}.js")) for module in _with_imports(name)).replace(
        "</script", "<\\/script"
    )


def style_source(name: str) -> str:
    """The style of all explorers, then what `js/NAME.css` and those of the modules it imports add."""
    own = [module for module in _with_imports(name) if (JS / f"{module}.css").is_file()]
    return "".join(_read(f"{module}.css") for module in ("explorer", *own))


def _with_imports(name: str) -> list[str]:
    """A module's name, before it those of the modules that it imports."""
    order: list[str] = []

    def visit(module: str) -> None:
        for imported in IMPORT.findall(_read(f"{module}.js")):
            visit(imported)
        if module not in order:
            order.append(module)

    visit(name)
    return order


def picture(figure: Figure, alt: str) -> str:
    """A figure as HTML, with a text that says what is seen."""
    kind, encoded = encode(figure, dpi=80)
    data = base64.b64encode(encoded).decode()
    return f'<img src="data:{kind};base64,{data}" alt="{html.escape(alt, quote=True)}"><p>{html.escape(alt)}</p>'


def finite(image: Tensor) -> Tensor:
    """An image's numbers for a page: float32, on the CPU, without a gradient.

    Raises:
        ValueError: NaN or infinity among them.
    """
    pixels = image.detach().cpu().float()
    if not pixels.isfinite().all():
        raise ValueError("expected an image of finite numbers, got NaN or infinity; replace them, say by nan_to_num().")
    return pixels


def _read(name: str) -> str:
    return (JS / name).read_text(encoding="utf-8")
