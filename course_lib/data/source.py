"""Which images a loader takes: real ones or simulated ones, and what each loader's file offers."""

import os
import sys
import textwrap
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import get_args

from course_lib.data.images import Splits
from course_lib.data_sets import DataSet
from course_lib.distributed import team
from course_lib.fetch import Remote, download, reachable
from course_lib.files import as_path
from course_lib.options import Source, check_source
from course_lib.runtime import in_notebook

KAGGLE_INPUT = Path("/kaggle/input")


@dataclass(frozen=True)
class Loader:
    """What the file of a data set, `course_lib/data/NAME.py`, offers as `LOADER`.

    Attributes:
        load: from a source, with root, image_size and seed by name, to the splits.
        find: where real images lie: in or below a folder, or for None where they usually are.
        remotes: the files to download for images of a size, the smallest that will do.
        too_small: whether what was found holds smaller images than a size, and `remotes` larger ones.
        get: downloads the images as they were published, where `remotes` holds others.
    """

    load: Callable[..., Splits]
    find: Callable[[Path | None], Path | None]
    remotes: Callable[[int], Sequence[Remote]]
    too_small: Callable[[Path, int], bool] = lambda path, image_size: False
    get: Callable[[], Path] | None = None

    def fetch(self, image_size: int = 128, *, patient: bool = True) -> Path | None:
        """Download real images of a size and verify them; see `fetch.download`."""
        for remote in self.remotes(image_size):
            download(remote, patient=patient)
        return self.find(None)


def loader_of(data_set: DataSet) -> Loader:
    """What the data set's file offers; imported when it is asked for, as entries are read without torch."""
    return import_module(f"course_lib.data.{data_set.name}").LOADER


def locate(
    data_set: DataSet, source: Source | None, root: str | Path | None, image_size: int, *, stand_in: str = ""
) -> Path | None:
    """Where the real images of a data set lie, downloaded if need be; None where simulated ones are to be taken.

    Args:
        data_set: whose.
        source, root: as its loader was given them.
        image_size: that a download must have at least, in pixels.
        stand_in: what the simulated images are called, to say that they are taken.

    Raises:
        FileNotFoundError: no such images below `root`.
        OSError: they must be downloaded and no host answers.
        ValueError: an unknown source, a root for simulated images, or a data set that has none.
    """
    root = None if root is None else as_path(root, "root")
    chosen, loader = choose_source(source, root, data_set), loader_of(data_set)
    if chosen == "simulated":
        print_source(f"{stand_in}; {how_to_get_real_images(data_set.name)}")
        return None
    if path := loader.find(root):
        return path
    if root is not None:
        raise FileNotFoundError(f"{root}: no {data_set.real.title} there; expected {data_set.layout}.")
    if chosen == "auto" and data_set.simulated and not reachable(*loader.remotes(image_size)):
        print_source(f"{stand_in} (no network); {how_to_get_real_images(data_set.name)}")
        return None
    return loader.fetch(image_size)


def choose_source(source: Source | None, root: Path | None, data_set: DataSet) -> Source:
    """The source asked for; else "real" if a root is given; else the environment's COURSE_DATA; else "auto".

    Raises:
        ValueError: an unknown source, a root for simulated images, or simulated images of a data set that has none.
    """
    chosen = source or ("real" if root else os.environ.get("COURSE_DATA", "auto"))
    if chosen not in get_args(Source):
        raise ValueError(f"source {chosen!r} is not known; choose one of: {', '.join(get_args(Source))}.")
    check_source(chosen, root, data_set)
    return chosen  # type: ignore[return-value]  # mypy does not see that get_args narrows


def print_source(message: str) -> None:
    """Print which images were taken, once in a team: on stderr, but in a notebook, where that looks bad, on stdout."""
    if team().rank == 0:
        text = message.encode("utf-8", errors="backslashreplace").decode()  # a file's name may be in an old encoding
        if in_notebook():  # where a long line cannot be read without scrolling
            print(textwrap.fill(f"Data: {text}.", 100, subsequent_indent="      "))
        else:
            print(f"Data: {text}.", file=sys.stderr)


def how_to_get_real_images(name: str) -> str:
    """How to get real images of a data set: by a call in a notebook, by an option or a command elsewhere."""
    call = "get_real_images()" if in_notebook() else f"--root DIR, COURSE_DATA_ROOT, or `course data get {name}`"
    return f"for real ones: {call}"


def named_root() -> list[Path]:
    """The folder that the environment's COURSE_DATA_ROOT names, if it is set."""
    return [as_path(root)] if (root := os.environ.get("COURSE_DATA_ROOT")) else []


def kaggle_inputs(*data_sets: str) -> list[Path]:
    """Where Kaggle mounts data sets such as "owner/slug": by the slug, or, since 2026, by owner and slug."""
    pairs = [(KAGGLE_INPUT / name.split("/")[1], KAGGLE_INPUT / "datasets" / name) for name in data_sets]
    return [path for pair in pairs for path in pair if path.is_dir()]
