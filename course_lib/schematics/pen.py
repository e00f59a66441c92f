"""A pen for schematics: boxes, tables of numbers, planes, arrows and words, written as SVG.

A sketch is 480 units wide. On a phone it shrinks to about two thirds of that, so no text is set smaller than `SMALL`.
Colors are the course's own; lighter ones are the same colors, thinner. The white card below makes a sketch legible on
dark pages, and `Sketch` closes with the words that a screen reader needs.
"""

import html
from collections.abc import Collection, Sequence

from course_lib.plots.colors import BLUE, GRAY

WIDTH = 480
TEXT, SMALL = 15, 14
INK, CARD = "#1A1A1A", "#FFFFFF"
FONTS = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif"

Point = tuple[float, float]


class Sketch:
    """A drawing that grows by calls; the last one is `svg`.

    Args:
        title: what the drawing is about, in a few words.
        alt: what is seen, in a sentence or three, for readers who cannot see it.
        height: in units of which the width has 480.
    """

    def __init__(self, title: str, alt: str, *, height: int) -> None:
        self.title, self.alt, self.height = title, alt, height
        self._parts: list[str] = []

    def svg(self) -> str:
        """The whole drawing as the text of a file: the same bytes each time."""
        card = f'<rect x=".5" y=".5" width="{WIDTH - 1}" height="{self.height - 1}" rx="10" fill="{CARD}"'
        return "\n".join(
            [
                f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {self.height}" width="{WIDTH}"'
                f' height="{self.height}" role="img" font-family="{FONTS}" font-size="{TEXT}" fill="{INK}"'
                ' text-anchor="middle">',
                f"<title>{html.escape(self.title)}</title>",
                f"<desc>{html.escape(self.alt)}</desc>",
                f'{card} stroke="{GRAY}" stroke-opacity=".35"/>',
                *self._parts,
                "</svg>\n",
            ]
        )

    def text(
        self,
        x: float,
        y: float,
        words: object,
        *,
        size: float = TEXT,
        anchor: str = "middle",
        bold: bool = False,
        color: str = INK,
    ) -> None:
        """Words whose middle line lies at `y`; `anchor` is "start", "middle" or "end". Minus signs are real ones."""
        shown = html.escape(str(words).replace("-", "−"), quote=False)
        look = "" if color == INK else f' fill="{color}"'
        look += "" if size == TEXT else f' font-size="{size:g}"'
        look += "" if anchor == "middle" else f' text-anchor="{anchor}"'
        look += ' font-weight="bold"' if bold else ""
        self._add(f'<text x="{_n(x)}" y="{_n(y + 0.35 * size)}"{look}>{shown}</text>')

    def box(
        self,
        x: float,
        y: float,
        width: float,
        height: float,
        *,
        fill: str = "none",
        tint: float = 1,
        edge: str = GRAY,
        line: float = 1,
        dashed: bool = False,
        rounded: float = 0,
    ) -> None:
        """A rectangle; `tint` is how much of `fill` covers the card, 1 for all of it."""
        look = f' fill="{fill}"' + (f' fill-opacity="{_n(tint)}"' if fill != "none" and tint < 1 else "")
        look += f' rx="{_n(rounded)}"' if rounded else ""
        size = f'x="{_n(x)}" y="{_n(y)}" width="{_n(width)}" height="{_n(height)}"'
        self._add(f"<rect {size}{look}{_stroke(edge, line, dashed)}/>")

    def line(self, points: Sequence[Point], *, color: str = GRAY, line: float = 1.5, dashed: bool = False) -> None:
        """A line through `points`."""
        self._add(f'<path d="{_path(points)}" fill="none"{_stroke(color, line, dashed)}/>')

    def arrow(self, *points: Point, color: str = GRAY, line: float = 2) -> None:
        """A line through `points` with its head at the last one."""
        (x0, y0), (x1, y1) = points[-2:]
        length = ((x1 - x0) ** 2 + (y1 - y0) ** 2) ** 0.5
        along, head = ((x1 - x0) / length, (y1 - y0) / length), 5 * line**0.5
        back = (x1 - 1.3 * head * along[0], y1 - 1.3 * head * along[1])
        sides = [(back[0] - s * 0.6 * head * along[1], back[1] + s * 0.6 * head * along[0]) for s in (1, -1)]
        self.line([*points[:-1], back], color=color, line=line)
        self._add(f'<path d="{_path([(x1, y1), *sides])}Z" fill="{color}"/>')

    def dot(self, x: float, y: float, radius: float, *, fill: str, tint: float = 1, edge: str = "none") -> None:
        """A disc."""
        opacity = f' fill-opacity="{_n(tint)}"' if tint < 1 else ""
        attributes = f'cx="{_n(x)}" cy="{_n(y)}" r="{_n(radius)}"'
        self._add(f'<circle {attributes} fill="{fill}"{opacity}{_stroke(edge, 1, False)}/>')

    def grid(self, x: float, y: float, rows: int, columns: int, *, cell: float, color: str = GRAY) -> None:
        """The lines of a table, its border thicker."""
        across = [[(x + i * cell, y), (x + i * cell, y + rows * cell)] for i in range(1, columns)]
        down = [[(x, y + i * cell), (x + columns * cell, y + i * cell)] for i in range(1, rows)]
        inside = "".join(map(_path, across + down))
        self._add(f'<path d="{inside}"{_stroke(color, 0.5, False)}/>')
        self.box(x, y, columns * cell, rows * cell, edge=color, line=1.5)

    def table(
        self,
        x: float,
        y: float,
        rows: Sequence[Sequence[float]],
        *,
        cell: float,
        fill: str = CARD,
        tint: float = 0.18,
        lit: Collection[tuple[int, int]] | None = None,
        bold: bool = False,
    ) -> None:
        """Numbers in a grid; the `lit` ones, as (row, column), or else all, stand on `fill`."""
        for row, numbers in enumerate(rows):
            for column, number in enumerate(numbers):
                left, top = x + column * cell, y + row * cell
                if fill != CARD and (lit is None or (row, column) in lit):
                    self.box(left, top, cell, cell, fill=fill, tint=tint, edge="none")
                self.text(left + cell / 2, top + cell / 2, f"{number:g}", bold=bold)
        self.grid(x, y, len(rows), len(rows[0]), cell=cell)

    def block(self, x: float, y: float, side: float, depth: float, *, fill: str, tint: float = 0.25) -> None:
        """A box seen from the front: a square of `side`, its upper left corner at (`x`, `y`), and `depth` behind it."""
        back = 0.7 * depth
        self.box(x, y, side, side, fill=fill, tint=tint)
        above = [(x, y), (x + depth, y - back), (x + side + depth, y - back), (x + side, y)]
        beside = [(x + side, y), above[2], (x + side + depth, y + side - back), (x + side, y + side)]
        for points, shade in ((above, tint / 2), (beside, 2 * tint)) if depth else ():
            self._add(f'<path d="{_path(points)}Z" fill="{fill}" fill-opacity="{_n(shade)}"{_stroke(GRAY, 1, False)}/>')

    def blocks(
        self, x: float, base: float, sizes: Sequence[Point], *, shapes: Sequence[str], steps: Sequence[str]
    ) -> float:
        """An image and the maps behind it, each a `block` of (side, depth) that stands on `base`; the right end.

        Its shape is written below each, and one of `steps` above the arrow to the next.
        """
        for at, ((side, depth), shape) in enumerate(zip(sizes, shapes, strict=True)):
            if at:
                self.arrow((x + 6, base - 30), (x + 46, base - 30))
                self.text(x + 25, base - 46, steps[at - 1], size=SMALL)
                x += 52
            self.block(x, base - side, side, depth, fill=BLUE if at else GRAY)
            self.text(x + (side + depth) / 2, base + 20, shape, size=SMALL)
            x += side + depth
        return x

    def _add(self, part: str) -> None:
        self._parts.append(part)


def _n(number: float) -> str:
    return f"{round(number, 2):g}"


def _path(points: Sequence[Point]) -> str:
    return "M" + "L".join(f"{_n(x)} {_n(y)}" for x, y in points)


def _stroke(color: str, line: float, dashed: bool) -> str:
    if color == "none":
        return ""
    return f' stroke="{color}" stroke-width="{_n(line)}"' + (' stroke-dasharray="4 3"' if dashed else "")
