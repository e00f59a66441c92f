"""The site's extension of Sphinx: formulas as MathML, headings in the navigation, and anchors that last."""

import re
from typing import Any

from docutils import nodes
from furo.navigation import get_navigation_tree
from latex2mathml.converter import convert
from myst_parser.mdit_to_docutils.base import default_slugify
from sphinx.application import Sphinx

PART = re.compile(r"Part ([A-Z])\. ")


def setup(app: Sphinx) -> dict[str, Any]:
    """Sphinx calls this."""
    app.add_html_math_renderer("mathml", (_inline_math, None), (_display_math, None))
    app.connect("doctree-read", _name_parts, priority=400)  # before Sphinx collects the headings
    app.connect("html-page-context", _show_headings, priority=600)  # after Furo
    return {"parallel_read_safe": True}


def heading_anchor(title: str) -> str:
    """The anchor of a heading: that of GitHub, and for a part one that outlives its title and its minutes.

    >>> heading_anchor("Part B. Channels (28 min, core)"), heading_anchor("What you may now import")
    ('part-b', 'what-you-may-now-import')
    """
    part = PART.match(title)
    return f"part-{part[1].lower()}" if part else default_slugify(title)


def _name_parts(app: Sphinx, doctree: nodes.document) -> None:
    for section in doctree.findall(nodes.section):
        if PART.match(section[0].astext()):
            anchor = heading_anchor(section[0].astext())
            section["ids"] = [anchor, *(other for other in section["ids"] if other != anchor)]


def _show_headings(app: Sphinx, page: str, template: str, context: dict[str, Any], doctree: object) -> None:
    """Put the headings of each page below it in the navigation, where Furo has pages only."""
    tree = context["toctree"](collapse=False, titles_only=False, maxdepth=2, includehidden=True)
    context["furo_navigation_tree"] = get_navigation_tree(tree)


def _inline_math(writer: Any, node: nodes.math) -> None:
    writer.body.append(convert(node.astext()))
    raise nodes.SkipNode


def _display_math(writer: Any, node: nodes.math_block) -> None:
    writer.body.append(convert(node.astext(), display="block"))
    raise nodes.SkipNode
