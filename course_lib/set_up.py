"""The set-up cell, first in every notebook: it installs the course where that is not there, and is folded away."""

import sysconfig
from pathlib import Path
from typing import Any

TITLE = "#@title Set-up"  # Colab shows this line in place of the code
LAST = "invalidate_caches()\n"
FOLDED: dict[str, Any] = {"cellView": "form", "jupyter": {"source_hidden": True}}  # for Colab, and for JupyterLab


def set_up_file() -> Path:
    """What every set-up cell begins with: the file of the clone, else that installed with the wheel."""
    clone = Path(__file__).parents[1] / "notebooks" / "source" / "set_up.py"
    return clone if clone.is_file() else Path(sysconfig.get_path("data")) / "share" / "course-lib" / "set_up.py"


def with_set_up(source: str) -> str:
    """A notebook's set-up cell, from the lines that are the page's own."""
    return f"{TITLE}\n{set_up_file().read_text(encoding='utf-8')}\n{without_set_up(source)}"


def without_set_up(source: str) -> str:
    """The lines of a set-up cell that are the page's own."""
    return source.partition(LAST)[2].lstrip() if source.startswith(TITLE) else source
