"""The course's words, from `terms.toml`: the glossary, and what readers should not meet."""

import re
import tomllib
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from course_lib.authoring.kernel import lessons

TERMS = Path(__file__).parents[1] / "terms.toml"
CODE = re.compile(r"(`+)(?!`).+?(?<!`)\1(?!`)", re.S)


class Term(NamedTuple):
    """An entry of the glossary.

    Attributes:
        lesson: in which it is first met.
        link: where to read on.
    """

    name: str
    lesson: int
    definition: str
    link: str

    @property
    def anchor(self) -> str:
        """Its name in an address.

        >>> Term("Grad-CAM", 6, "", "").anchor, Term("receptive field", 1, "", "").anchor
        ('grad-cam', 'receptive-field')
        """
        return self.name.lower().replace(" ", "-")


def glossary() -> list[Term]:
    """All terms, by name."""
    return sorted((Term(**entry) for entry in _read()["term"]), key=lambda term: term.name.lower())


def glossary_page() -> str:
    """The glossary as MyST Markdown, beside the lessons; `glossary.html#receptive-field` leads to that term."""
    pages = {int(lesson.name[:2]): lesson.name for lesson in lessons()}
    entries = (
        f"({term.anchor})=\n**{term.name}**: {term.definition}\n"
        f"([Lesson {term.lesson}]({pages[term.lesson]}), [read on]({term.link}))\n"
        for term in glossary()
    )
    return "\n".join(["# Glossary\n", "Each term, and the lesson in which you first meet it.\n", *entries])


def wrong_words(text: str) -> list[str]:
    """What in a text should be said otherwise, each with what stands around it and what to write.

    What stands between backticks is code, and may be called anything.

    >>> wrong_words("The slope of `slope` is steep.")
    ['The [slope] of ` ` is steep.: write gradient, or derivative']
    """
    text = " ".join(CODE.sub("` `", text).split())
    return [
        f"{text[max(0, hit.start() - 40) : hit.start()]}[{hit[0]}]{text[hit.end() : hit.end() + 30]}: write {standard}"
        for pattern, standard in _patterns()
        for hit in pattern.finditer(text)
    ]


@cache
def _patterns() -> list[tuple[re.Pattern[str], str]]:
    return [(re.compile(rf"(?<!\w)(?:{word})(?!\w)", re.I), standard) for word, standard in _read()["instead"].items()]


@cache
def _read() -> dict[str, Any]:
    return tomllib.loads(TERMS.read_text(encoding="utf-8"))
