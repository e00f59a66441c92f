import re
from html.parser import HTMLParser

from course_lib.tables import Table

TABLE = Table("A < B", ["", "seed 0", "seed 1"], [["recorded"], ["AUC", "0.961", "1"], ["a long name", "2", "3,000"]])


def test_a_printed_table_lines_its_columns_up() -> None:
    title, head, section, *rows = str(TABLE).splitlines()
    assert (title, section) == ("A < B", "recorded")
    assert len({len(line) for line in (head, *rows)}) == 1
    assert rows[0].split() == ["AUC", "0.961", "1"]


def test_a_table_on_the_page_has_its_cells_headings_and_caption() -> None:
    cells: dict[str, list[str]] = {}

    class Reader(HTMLParser):
        tag = ""

        def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
            self.tag = f"{tag} {dict(attributes).get('scope', '')}".strip()

        def handle_data(self, data: str) -> None:
            cells.setdefault(self.tag, []).append(data)

    Reader().feed(TABLE._repr_mimebundle_()["text/html"])
    assert cells == {
        "b": ["A < B"],
        "th col": ["seed 0", "seed 1"],
        "th colgroup": ["recorded"],
        "th row": ["AUC", "a long name"],
        "td": ["0.961", "1", "2", "3,000"],
    }


def test_a_table_wider_than_its_page_scrolls_by_itself() -> None:
    assert re.match(r'<div [^>]*style="overflow-x: auto"><table>.*</table></div>$', TABLE.html())
