"""Schematics: ideas that have a shape, drawn as small vector files in the course's colors.

To add one, write a function in the lesson's module that returns a `Sketch`. Its name is the schematic's, with "-" for
"_", and a lesson's cell shows it: `schematic("one-window")`. What is seen is said once, in the sketch's `alt`.
"""

import base64
import html
import textwrap
from collections.abc import Callable
from dataclasses import dataclass
from types import ModuleType

from course_lib.schematics import lesson_1, lesson_2, lesson_3, lesson_4, lesson_5, lesson_6
from course_lib.schematics.pen import WIDTH, Sketch

SHOWN_WIDTH = 640  # pixels, where the page has so many


@dataclass(frozen=True)
class Schematic:
    """A drawing, to be shown as the last line of a cell.

    As an `img` with its file inside it is drawn wherever a saved page is read. JupyterLab draws an output of type
    image/svg+xml in trusted notebooks only, GitHub gives one no text, and Colab ignores what is attached to a cell.
    """

    sketch: Sketch

    def _repr_mimebundle_(self, **_: object) -> dict[str, str]:
        text = f"[Schematic: {self.sketch.title}. {self.sketch.alt}]"
        return {"text/html": self.html(), "text/plain": textwrap.fill(text, 100)}

    def html(self) -> str:
        """The drawing as HTML: as wide as the page allows, and no wider than is good to read."""
        data, alt = base64.b64encode(self.sketch.svg().encode()).decode(), html.escape(self.sketch.alt)
        style = "max-width: 100%; height: auto"
        return f'<img src="data:image/svg+xml;base64,{data}" width="{SHOWN_WIDTH}" style="{style}" alt="{alt}">'


def schematic(name: str) -> Schematic:
    """The schematic of that name, such as "one-window".

    Raises:
        ValueError: there is no such schematic.
    """
    if name not in SCHEMATICS:
        names = ", ".join(f'"{known}"' for known in SCHEMATICS)
        raise ValueError(f"expected the name of a schematic ({names}), got {name!r}; take one of these.")
    return Schematic(SCHEMATICS[name]())


def _drawn_in(module: ModuleType) -> dict[str, Callable[[], Sketch]]:
    return {
        name.replace("_", "-"): draw
        for name, draw in vars(module).items()
        if callable(draw) and draw.__module__ == module.__name__ and not name.startswith("_")
    }


LESSONS = (lesson_1, lesson_2, lesson_3, lesson_4, lesson_5, lesson_6)
SCHEMATICS = {name: draw for lesson in LESSONS for name, draw in _drawn_in(lesson).items()}

__all__ = ["SCHEMATICS", "WIDTH", "Schematic", "Sketch", "schematic"]
