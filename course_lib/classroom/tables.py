"""Tables as spreadsheets and learning platforms save them."""

import csv
import io
from collections.abc import Iterable
from pathlib import Path

from course_lib.files import as_path, write_atomically

FORMULA = ("=", "+", "-", "@", "\t", "\r")
LONGEST = 10_000_000  # characters of a cell: a text handed in on Moodle may hold images


def read_table(path: str | Path) -> list[list[str]]:
    """The rows of a CSV file, each as long as the first, in any encoding and with any separator that Excel writes.

    Raises:
        ValueError: an Excel workbook.
    """
    content = as_path(path).read_bytes()
    if content.startswith(b"PK"):
        raise ValueError(f"{path}: needs a CSV file, got an Excel workbook; in Excel save it as CSV.")
    if content[:2] in (b"\xff\xfe", b"\xfe\xff"):
        text = content.decode("utf-16", errors="replace")
    else:
        try:
            text = content.decode("utf-8-sig")
        except UnicodeDecodeError:
            text = content.decode("cp1252", errors="replace")
    first, _, rest = text.partition("\n")
    text = rest if first.startswith("sep=") else text  # Excel's own line
    csv.field_size_limit(LONGEST)
    rows = max((_rows(text, separator) for separator in ",;\t"), key=lambda rows: len(rows[0]) if rows else 0)
    return [[*row, *[""] * (len(rows[0]) - len(row))] for row in rows]


def _rows(text: str, separator: str) -> list[list[str]]:
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator)
    return [[cell.strip() for cell in row] for row in reader if any(cell.strip() for cell in row)]


def write_table(path: Path, rows: Iterable[Iterable[object]]) -> None:
    """A CSV file, separated by commas and in UTF-8."""

    def write(written: Path) -> None:
        with written.open("w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows(rows)

    write_atomically(path, write)


def harmless(cell: object) -> object:
    """A text that no spreadsheet takes for a formula."""
    return f"'{cell}" if isinstance(cell, str) and cell.startswith(FORMULA) else cell


def unquoted(cell: str) -> str:
    """The text that `harmless` was given."""
    return cell[1:] if cell.startswith(tuple(f"'{sign}" for sign in FORMULA)) else cell
