"""`show` puts a figure on a notebook's page, with the alt text and the caption that `texts/lesson_N.toml` has for it.

What a program computes, and so has no name there, is put on a page by `publish` and `publish_caption`.
"""

import textwrap
import tomllib
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from course_lib.markup import with_code
from course_lib.plots.images import encode

TEXTS = Path(__file__).parent / "texts"


def show(name: str, figure: Figure, *, source: str | None = None) -> None:
    """Display a figure below a notebook's cell, and its caption below the figure.

    Args:
        name: of the figure's table in `texts/lesson_N.toml`.
        figure: any matplotlib figure.
        source: "simulated" or "real", where the texts depend on which images the figure is about.

    Raises:
        ValueError: there is no figure of that name, or no text of it for that source.
    """
    text = text_of(name, source)
    publish(figure, text["alt"])
    publish_caption(text["caption"])


def publish(figure: Figure, alt: str) -> None:
    """Display a figure below a notebook's cell, in few bytes.

    Args:
        figure: any matplotlib figure.
        alt: what the figure shows, in a sentence or two, for readers who cannot see it.

    Raises:
        ValueError: `alt` is empty.
    """
    from IPython.display import publish_display_data  # only notebooks have it

    if not alt.strip():
        raise ValueError("alt is empty; say in a sentence what the figure shows.")
    kind, picture = encode(figure)
    publish_display_data({kind: picture, "text/plain": f"[Figure: {alt}]"}, metadata={kind: {"alt": alt}})


def publish_caption(caption: str) -> None:
    """Display a line or two in small letters; what stands between backticks is code."""
    from IPython.display import publish_display_data

    small = f"<p><small>{with_code(caption)}</small></p>"
    publish_display_data({"text/html": small, "text/plain": textwrap.fill(caption, 100)})


def text_of(name: str, source: str | None = None) -> dict[str, str]:
    """A figure's "alt" and "caption".

    Raises:
        ValueError: there is no figure of that name, or no text of it for that source.
    """
    texts = {name: text for figures in texts_by_lesson().values() for name, text in figures.items()}
    if name not in texts:
        near = ", ".join(map(repr, get_close_matches(name, texts))) or "nothing like it is there"
        raise ValueError(
            f"expected the name of a figure (near: {near}), got {name!r}; correct it, or add [{name}] with its alt and "
            f"caption to course_lib/plots/texts/lesson_N.toml."
        )
    text = texts[name]
    sources: list[str | None] = [key for key in text if key not in ("alt", "caption")] or [None]
    if source not in sources:
        expected = " or ".join(map(repr, sources))
        raise ValueError(
            f"{name}: expected source={expected}, got source={source!r}; pass that, or change the texts under [{name}] "
            f"in course_lib/plots/texts."
        )
    return text if source is None else text[source]


def texts_by_lesson() -> dict[int, dict[str, dict[str, Any]]]:
    """For each lesson its figures' texts, by name; those that depend on the images' source lie one level deeper."""
    files = sorted(TEXTS.glob("lesson_*.toml"))
    return {int(file.stem.split("_")[1]): tomllib.loads(file.read_text(encoding="utf-8")) for file in files}
