"""The address of the course: [tool.course] in pyproject.toml, and the badges and set-up cells that repeat it."""

import re
import tomllib
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]
REPEATED = {  # what comes before an address and the address itself: what is written instead
    r"((?:colab\.research\.google\.com/github|src=https://github\.com)/)[^/\s]+/[^/\s]+/blob/[^/\s]+(?=/)": (
        "{owner}/{name}/blob/{tag}"
    ),
    r"(https://github\.com/)[^/\s]+/[^/\s}]+?(?=/issues/new|\.git\n|\}\n)": "{owner}/{name}",
    r'(course, tag = "https://github\.com/)[^"]+", "[^"]+(?=")': '{owner}/{name}", "{tag}',
}
COLAB = "https://colab.research.google.com/assets/colab-badge.svg"
KAGGLE = "https://kaggle.com/static/images/open-in-kaggle.svg"
BADGES = re.compile(r"\n\n\[!\[Open in Colab\][^\n]*")


class Address(NamedTuple):
    """Where the course is published.

    Attributes:
        owner: the account on GitHub.
        name: of the repository.
        tag: the release that notebooks opened on their own install; "v" and the package's version.
    """

    owner: str
    name: str
    tag: str


def address() -> Address:
    """The address in pyproject.toml.

    Raises:
        ValueError: a part is missing, or the tag is not that of the package's version.
    """
    written = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    said, version = written["tool"]["course"], written["project"]["version"]
    if missing := [part for part in Address._fields if part not in said]:
        raise ValueError(f"pyproject.toml: [tool.course] has no {', '.join(missing)}.")
    if said["tag"] != f"v{version}":
        raise ValueError(f'pyproject.toml: tag = "{said["tag"]}", but the version is {version}; write "v{version}".')
    return Address(**said)


def linked(text: str) -> str:
    """`text` with every address of the course in it replaced by that in pyproject.toml."""
    here = address()._asdict()
    for pattern, written in REPEATED.items():
        text = re.sub(pattern, lambda found, written=written: found[1] + written.format(**here), text)  # type: ignore[misc]
    return text


def with_badges(first_cell: str, notebook: Path) -> str:
    """The first cell of `notebook`, with the badges that open it in Colab and Kaggle below the title."""
    folder = f"{notebook.parent.name}/" if notebook.parent.name in ("exercises", "solutions") else ""
    place = "{}/{}/blob/{}".format(*address()) + f"/notebooks/{folder}{notebook.name}"
    badges = (
        f"[![Open in Colab]({COLAB})](https://colab.research.google.com/github/{place}) "
        f"[![Open in Kaggle]({KAGGLE})](https://kaggle.com/kernels/welcome?src=https://github.com/{place})"
    )
    title, line, rest = without_badges(first_cell).partition("\n")
    return f"{title}\n\n{badges}{line}{rest}"


def without_badges(first_cell: str) -> str:
    """The first cell as it is in the notebook's source."""
    return BADGES.sub("", first_cell, count=1)
