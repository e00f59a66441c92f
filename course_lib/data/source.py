"""Which images a loader takes: real ones or simulated ones."""

import os
import sys
import textwrap
from pathlib import Path
from typing import Literal, get_args

from course_lib.distributed import team
from course_lib.files import as_path
from course_lib.options import check_source
from course_lib.runtime import in_notebook

KAGGLE_INPUT = Path("/kaggle/input")
Source = Literal["auto", "real", "simulated"]


def choose_source(source: Source | None, root: Path | None) -> Source:
    """The source asked for; else "real" if a root is given; else the environment's COURSE_DATA; else "auto".

    Raises:
        ValueError: an unknown source, or a root for simulated images.
    """
    chosen = source or ("real" if root else os.environ.get("COURSE_DATA", "auto"))
    if chosen not in get_args(Source):
        raise ValueError(f"source {chosen!r} is not known; choose one of: {', '.join(get_args(Source))}.")
    check_source(chosen, root)
    return chosen  # type: ignore[return-value]  # mypy does not see that get_args narrows


def say(what: str) -> None:
    """Print which images were taken, once in a team: on stderr, but in a notebook, where that looks bad, on stdout."""
    if team().rank == 0:
        shown = what.encode("utf-8", errors="backslashreplace").decode()  # a file's name may be in an old encoding
        if in_notebook():  # where a long line cannot be read without scrolling
            print(textwrap.fill(f"Data: {shown}.", 100, subsequent_indent="      "))
        else:
            print(f"Data: {shown}.", file=sys.stderr)


def for_real_ones(name: str) -> str:
    """How to get real images of a data set: by a call in a notebook, by an option or a command elsewhere."""
    how = "get_real_images()" if in_notebook() else f"--root DIR, COURSE_DATA_ROOT, or `course data get {name}`"
    return f"for real ones: {how}"


def named_root() -> list[Path]:
    """The folder that the environment's COURSE_DATA_ROOT names, if it is set."""
    return [as_path(root)] if (root := os.environ.get("COURSE_DATA_ROOT")) else []


def kaggle_inputs(*data_sets: str) -> list[Path]:
    """Where Kaggle mounts data sets such as "owner/slug": by the slug, or, since 2026, by owner and slug."""
    places = [(KAGGLE_INPUT / name.split("/")[1], KAGGLE_INPUT / "datasets" / name) for name in data_sets]
    return [place for both in places for place in both if place.is_dir()]
