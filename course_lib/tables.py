"""Tables that print in a terminal and are drawn on a notebook's page."""

import html
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass

WIDTH = 100  # characters; a page of JupyterLab or GitHub shows that many


@dataclass(frozen=True)
class Table:
    """Rows of text under their columns; as the last line of a cell, or by `display`, a table on the page.

    Attributes:
        title: stands above.
        columns: the first one names the rows.
        rows: as many cells as there are columns; a row of a single cell is a heading for those below it.

    >>> print(Table("Two classes", ("", "images"), [("NORMAL", "1,341"), ("PNEUMONIA", "3,875")]))
    Two classes
                images
    NORMAL       1,341
    PNEUMONIA    3,875
    """

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]

    def __str__(self) -> str:
        lined_up = [self.columns, *(row for row in self.rows if len(row) > 1)]
        widths = [max(map(len, column)) for column in zip(*lined_up, strict=True)]
        lines = [textwrap.fill(self.title, WIDTH)]
        for row in (self.columns, *self.rows):
            cells = [cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=False)]
            lines.append("   ".join([row[0].ljust(widths[0]), *cells]).rstrip())
        return "\n".join(lines)

    def html(self) -> str:
        """The same for a page; where the page is narrower than its columns, the table scrolls by itself."""
        head = "".join(f'<th scope="col">{html.escape(column)}</th>' for column in self.columns)
        body = "".join(f"<tr>{self._row(row)}</tr>" for row in self.rows)
        return (
            '<div class="course-table" style="overflow-x: auto">'
            f'<table><caption style="text-align: left"><b>{html.escape(self.title)}</b></caption>'
            f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"
        )

    def _row(self, row: Sequence[str]) -> str:
        if len(row) == 1:
            span = f'<th scope="colgroup" colspan="{len(self.columns)}" style="text-align: left">'
            return f"{span}{html.escape(row[0])}</th>"
        cells = "".join(f"<td>{html.escape(cell)}</td>" for cell in row[1:])
        return f'<th scope="row" style="text-align: left">{html.escape(row[0])}</th>{cells}'

    def _repr_mimebundle_(self, **_: object) -> dict[str, str]:
        return {"text/html": self.html(), "text/plain": str(self)}
