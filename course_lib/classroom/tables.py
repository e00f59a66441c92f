"""Tables as spreadsheets and learning platforms save them."""

import csv
import io
from collections.abc import Iterable
from pathlib import Path

from course_lib.files import as_path, write_atomically

FORMULA = ("=", "+", "-", "@", "\t", "\r")
LONGEST = 10_000_000  # characters of a cell: a text handed in on Moodle may hold images


def read_file(path: str | Path, expected: str) -> bytes:
    """What a file of the teacher's holds; `expected` says what it should be.

    Raises:
        OSError: it cannot be read.
    """
    path = as_path(path)
    try:
        return path.read_bytes()
    except OSError as error:
        problem, remedy = f"it cannot be read ({error.strerror})", "see to its permissions"
        if path.is_dir():
            problem, remedy = "this is a folder", "name the file"
        elif not path.exists():
            problem, remedy = "there is no such file", "check its name"
        raise OSError(f"{path}: expected {expected}, and {problem}; {remedy}") from error


def read_table(path: str | Path) -> list[list[str]]:
    """The rows of a CSV file, each as long as the first, in any encoding and with any separator that Excel writes.

    Raises:
        OSError: it cannot be read.
        ValueError: an Excel workbook, no text, or a row with more cells than the first.
    """
    content = read_file(path, "a CSV file")
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
    if "\0" in text:
        raise ValueError(f"{path}: needs a CSV file, and this is no text; in a spreadsheet save the table as CSV.")
    rows = max((_rows(text, separator) for separator in ",;\t"), key=lambda rows: len(rows[0]) if rows else 0)
    for number, row in enumerate(rows, start=1):
        if len(row) > len(rows[0]):
            raise ValueError(
                f"{path}, row {number}: {len(row)} cells, and the first row has {len(rows[0])}; where a text holds the "
                "separator, put it in double quotes."
            )
    return [[*row, *[""] * (len(rows[0]) - len(row))] for row in rows]


def _rows(text: str, separator: str) -> list[list[str]]:
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator)
    rows = [[cell.strip() for cell in row] for row in reader if any(cell.strip() for cell in row)]
    columns = len(rows[0]) if rows else 0
    return [row[:columns] if not any(row[columns:]) else row for row in rows]


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
