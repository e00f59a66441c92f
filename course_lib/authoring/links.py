"""The address of the course: [tool.course] in pyproject.toml, and what repeats it: badges, set-up cell and README."""

import re
import tomllib
from pathlib import Path
from typing import NamedTuple

from course_lib.files import write_atomically

ROOT = Path(__file__).parents[2]
REPEATED = {  # in README.md or the set-up cell, and what stands there as long as nobody has published the course
    "git clone https://github.com/OWNER/NAME.git cnn-course": (
        "git clone ADDRESS cnn-course  # nobody has published this copy yet: ADDRESS is where you have it from"
    ),
    "[say which](https://github.com/OWNER/NAME/issues/new)": "tell the person who gave you the course",
    "url    = {https://github.com/OWNER/NAME}": "url    = {not published yet}",
    'COURSE, TAG = "https://github.com/OWNER/NAME", "RELEASE"': 'COURSE, TAG = "", "RELEASE"',
}
COLAB = "https://colab.research.google.com/assets/colab-badge.svg"
KAGGLE = "https://kaggle.com/static/images/open-in-kaggle.svg"
BADGES = re.compile(r"(?:\n\n| )\[!\[Open in Colab\][^\n|]*\)")
LESSON = re.compile(r"^(\| \[[^]]*\]\((notebooks/[^)]*)\))", re.MULTILINE)
REMAINING = """\
What is left to do:
  1. make the repository https://github.com/{owner}/{name}, public and empty
  2. git commit --all --message "Publish at {owner}/{name}"
  3. git tag {tag}
  4. git push https://github.com/{owner}/{name}.git HEAD:main {tag}
  5. open a notebook by its badge in Colab, and run its first cell
  6. for the web pages: `course site`, and publish the folder `site`, say with GitHub's Settings, Pages"""


class Address(NamedTuple):
    """Where the course is published.

    Attributes:
        owner: the account on GitHub, or "" as long as nobody has published this copy.
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
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    fields, version = {"owner": "", **project["tool"]["course"]}, project["project"]["version"]
    if missing := [part for part in Address._fields if part not in fields]:
        raise ValueError(f"pyproject.toml: [tool.course] has no {', '.join(missing)}.")
    if fields["tag"] != f"v{version}":
        raise ValueError(f'pyproject.toml: tag = "{fields["tag"]}", but the version is {version}; write "v{version}".')
    return Address(**fields)


def publish_at(owner: str | None, name: str | None) -> None:
    """Write the owner and the repository's name, those that are given, into pyproject.toml.

    Raises:
        ValueError: no account or repository on GitHub can have such a name.
    """
    path = ROOT / "pyproject.toml"
    text = path.read_text(encoding="utf-8")
    for part, value, allowed in (("owner", owner, r"[A-Za-z\d]+(-[A-Za-z\d]+)*"), ("name", name, r"[A-Za-z\d_.-]+")):
        if value is not None:
            if not re.fullmatch(allowed, value):
                raise ValueError(f"{part} {value!r}: no name on GitHub; take it from https://github.com/OWNER/NAME.")
            text = re.sub(rf'(?ms)(^\[tool\.course\].*?^{part} = )"[^"]*"', rf'\g<1>"{value}"', text)
    write_atomically(path, lambda temporary: temporary.write_text(text, encoding="utf-8"))


def remaining() -> str:
    """What `course links` cannot do itself."""
    course = address()
    return (
        REMAINING.format(**course._asdict())
        if course.owner
        else "Nobody has published it yet: course links --owner NAME"
    )


def linked(text: str) -> str:
    """`text` with every address of the course in it replaced by that in pyproject.toml."""
    course = address()
    for published, unpublished in REPEATED.items():
        patterns = [re.escape(form) for form in (published, unpublished)]
        pattern = "|".join(patterns).replace("OWNER/NAME", r"[\w-]+/[\w.-]+?").replace("RELEASE", r"v[\w.]+")
        new = published if course.owner else unpublished
        new = new.replace("OWNER/NAME", f"{course.owner}/{course.name}").replace("RELEASE", course.tag)
        text = re.sub(pattern, lambda _, new=new: new, text)  # type: ignore[misc]
    return LESSON.sub(lambda row: row[1] + _badges(row[2], before=" "), without_badges(text))


def with_badges(first_cell: str, notebook: Path) -> str:
    """The first cell of `notebook`, below its title the badges that open it in Colab and Kaggle, once published."""
    folder = f"{notebook.parent.name}/" if notebook.parent.name in ("exercises", "solutions") else ""
    title, line, rest = without_badges(first_cell).partition("\n")
    return title + _badges(f"notebooks/{folder}{notebook.name}", before="\n\n") + line + rest


def without_badges(text: str) -> str:
    """A text as it is before `with_badges` or `linked`."""
    return BADGES.sub("", text)


def _badges(file: str, *, before: str) -> str:
    course = address()
    if not course.owner:
        return ""
    path = f"{course.owner}/{course.name}/blob/{course.tag}/{file}"
    return (
        f"{before}[![Open in Colab]({COLAB})](https://colab.research.google.com/github/{path}) "
        f"[![Open in Kaggle]({KAGGLE})](https://kaggle.com/kernels/welcome?src=https://github.com/{path})"
    )
