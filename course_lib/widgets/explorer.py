"""What all explorers share: controls, a drawing that follows them, and a still picture for where nothing moves."""

import base64
import gc
import html
import io
import textwrap
from collections.abc import Callable, Mapping
from typing import Any

import ipywidgets
from matplotlib.figure import Figure

VIEW = "application/vnd.jupyter.widget-view+json"
STYLE = {"description_width": "11em"}
Drawing = Callable[..., tuple[Figure | str, str]]


class Explorer:
    """Controls above a drawing. On GitHub, in print and wherever no kernel runs, the page shows the first drawing.

    Args:
        title: what is explored.
        controls: by the name of the argument that `draw` gets its value as.
        draw: returns a figure, or a table in HTML, and sentences on what it shows; an error of the values
            (ValueError) is shown in its place.
        rows: which controls stand beside each other; default, all of them, as many as fit.
    """

    def __init__(
        self,
        title: str,
        controls: Mapping[str, ipywidgets.Widget],
        draw: Drawing,
        *,
        rows: list[ipywidgets.Widget] | None = None,
    ) -> None:
        self.title, self.controls, self._draw = title, dict(controls), draw
        self._drawing, self._held = ipywidgets.HTML(), False
        wrapped = ipywidgets.Layout(flex_flow="row wrap")
        shown = rows or [ipywidgets.Box(list(self.controls.values()), layout=wrapped)]
        self.view = ipywidgets.VBox([ipywidgets.HTML(f"<b>{html.escape(title)}</b>"), *shown, self._drawing])
        for control in self.controls.values():
            control.observe(self._redraw, names="value")
        self._redraw()
        gc.freeze()  # each drawing leaves cycles; collecting them need not search torch's objects, for 0.2 s, too

    def set(self, **values: Any) -> None:
        """Set several controls, then draw once."""
        self._held = True
        try:
            for name, value in values.items():
                self.controls[name].value = value
        finally:
            self._held = False
        self._redraw()

    @property
    def said(self) -> str:
        """The sentences below the drawing."""
        return self._said

    def _redraw(self, change: object = None) -> None:
        if self._held:
            return
        self._held = True  # a drawing may set the limits of a control, and so its value
        try:
            drawn, self._said = self._draw(**{name: control.value for name, control in self.controls.items()})
        except ValueError as error:
            drawn, self._said = "", str(error)
        finally:
            self._held = False
        self._png = _png(drawn) if isinstance(drawn, Figure) else b""
        picture = _image(self._png, self._said) if isinstance(drawn, Figure) else drawn
        self._drawing.value = f"{picture}<p style='line-height:1.4;max-width:60em'>{html.escape(self._said)}</p>"

    def _repr_mimebundle_(self, **_: object) -> tuple[dict[str, Any], dict[str, Any]]:
        said = f"{self.title}: {self._said}"
        view = {"version_major": 2, "version_minor": 0, "model_id": self.view.model_id}
        still = {"image/png": self._png} if self._png else {"text/html": self._drawing.value}
        return {VIEW: view, "text/plain": textwrap.fill(f"[Explorer: {said}]", 100), **still}, {
            "image/png": {"alt": said}
        } if self._png else {}


def number(label: str, first: float, last: float, value: float, *, step: float = 1) -> ipywidgets.Widget:
    """A number between two others, whole if all of them are: typed, or stepped by arrow keys and by the field's arrows.

    A slider would be nicer to drag, but the handle of ipywidgets' sliders has no name for a screen reader.
    """
    whole = all(isinstance(given, int) for given in (first, last, value, step))
    kind = ipywidgets.BoundedIntText if whole else ipywidgets.BoundedFloatText
    return kind(value, min=first, max=last, step=step, description=label, layout=_layout(), style=STYLE)


def choice(label: str, options: Any, value: Any = None) -> ipywidgets.Dropdown:
    """One of several, by a list from which one is picked."""
    options = list(options)
    first = options[0][1] if isinstance(options[0], tuple) else options[0]
    picked = first if value is None else value
    return ipywidgets.Dropdown(options=options, value=picked, description=label, layout=_layout(), style=STYLE)


def _layout() -> ipywidgets.Layout:
    return ipywidgets.Layout(width="24em")


def _png(figure: Figure) -> bytes:
    written = io.BytesIO()
    figure.savefig(written, format="png", dpi=100)
    return written.getvalue()


def _image(png: bytes, alt: str) -> str:
    data = base64.b64encode(png).decode()
    return f"<img src='data:image/png;base64,{data}' alt='{html.escape(alt, quote=True)}' style='max-width:100%'>"
