"""What one named GPU makes of the trainings of lesson 3: read from a file that tests/benchmarks/gpu.py writes."""

import json
from pathlib import Path
from typing import Any

from course_lib.plots import publish_caption
from course_lib.tables import Table

STORED = Path(__file__).parent / "gpu_times.json"
COMMAND = "python tests/benchmarks/gpu.py"


def on_gpu() -> None:
    """Show the measured times of one GPU beside those of a processor; without a measurement, say that there is none."""
    from IPython.display import publish_display_data  # only notebooks have it

    if not STORED.is_file():
        print(f"Not measured yet, so nothing is claimed. On a GPU, `{COMMAND}` does it.")
        return
    table, line = read(json.loads(STORED.read_text(encoding="utf-8")))
    publish_display_data({"text/html": table.html(), "text/plain": str(table)})
    publish_caption(line)


def read(stored: dict[str, Any]) -> tuple[Table, str]:
    """The column of a measurement as a table, and the line that says where it comes from."""
    rows = [(name, f"{row['images_per_second']:,.0f}", mfu(row)) for name, row in stored["rows"].items()]
    table = Table(f"Training on {stored['device']}", ("", "images per second", "MFU"), rows)
    return (
        table,
        f"{stored['device']}, torch {stored['torch']}, course {stored['course']}; `{COMMAND}`, {stored['date']}.",
    )


def mfu(row: dict[str, float | None]) -> str:
    return "" if row["mfu"] is None else f"{row['mfu']:.2f}"
