"""The site's page of all results on real images, made from the records as the lessons' cells make theirs."""

import base64
import re

import nbformat
from nbformat import NotebookNode

from course_lib.authoring.kernel import lessons
from course_lib.authoring.site_sphinx import heading_anchor
from course_lib.lessons import LESSONS
from course_lib.markup import with_code
from course_lib.plots import encode
from course_lib.real_results.kinds import KINDS, Drawing
from course_lib.real_results.page import heading, source_line
from course_lib.real_results.records import Record, read, text_of
from course_lib.tables import Table

OPENING = """\
# Results on real images

Here is everything that the lessons found on real chest X-rays and on CIFAR-10. Below each result stand the number of
images, the split and the seeds, and the command that computes it again. None of it is for diagnosis."""


def results_page() -> NotebookNode:
    """A notebook with all records, lesson by lesson, as tables and figures."""
    cells = [nbformat.v4.new_markdown_cell(OPENING)]
    for number, lesson in LESSONS.items():
        if records := read(number).values():
            cells.append(nbformat.v4.new_markdown_cell(f"## {number}. {lesson.title}"))
            links = _links(number)
            for record in records:
                title = f"### {text_of(record.key)['title']}\n\nDiscussed in lesson {number}, {links[record.key]}."
                cells += [nbformat.v4.new_markdown_cell(title), _result(record)]
    return nbformat.v4.new_notebook(cells=cells, metadata={"language_info": {"name": "python"}})


def _links(number: int) -> dict[str, str]:
    """By its key, a link to the section of the lesson that shows a result."""
    path = lessons([str(number)])[0]
    links: dict[str, str] = {}
    link = ""
    for cell in nbformat.read(path, as_version=4).cells:
        for section in re.findall(r"^##+ (.*)", cell.source, re.MULTILINE) if cell.cell_type == "markdown" else ():
            link = f"[{section}]({path.name}#{heading_anchor(section.replace('`', ''))})"
        links |= dict.fromkeys(re.findall(r'on_real\(\s*"([\w.]+)"', cell.source), link)
    return links


def _result(record: Record) -> NotebookNode:
    """A cell without its code, with what the record's kind shows and where it comes from."""
    text = text_of(record.key) | {"title": f"{record.n:,} {record.split} images"}  # its own title stands above it
    items = KINDS[record.kind].show({heading(record): record.values}, text)
    outputs = [_html(item.html()) if isinstance(item, Table) else _picture(item) for item in items]
    outputs.append(_html(f"<p><small>{with_code(source_line(record))}</small></p>"))
    source = f'on_real("{record.key}")'  # a cell without any would be left out, with its outputs
    return nbformat.v4.new_code_cell(source, outputs=outputs, metadata={"tags": ["remove-input"]})


def _html(html: str) -> NotebookNode:
    return nbformat.v4.new_output("display_data", {"text/html": html})


def _picture(drawing: Drawing) -> NotebookNode:
    kind, picture = encode(drawing.figure)
    data = {kind: base64.b64encode(picture).decode()}
    return nbformat.v4.new_output("display_data", data, metadata={kind: {"alt": drawing.alt}})
