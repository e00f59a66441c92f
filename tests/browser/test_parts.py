"""A part of a lesson can be linked to in JupyterLab, as notebooks/source/README.md says."""

import nbformat
import pytest
from browser.lab import Lab, expect

PART = '<a id="part-b"></a>\n\n## Part B. Channels (28 min, core)'


@pytest.mark.parametrize(("page", "link"), [("one.ipynb", "#part-b"), ("two.ipynb", "one.ipynb#part-b")])
def test_a_link_leads_to_a_part(lab: Lab, page: str, link: str) -> None:
    long = "A paragraph.\n\n" * 40
    for name in ("one.ipynb", "two.ipynb"):
        cells = [nbformat.v4.new_markdown_cell(text) for text in (f"[to the part]({link})", long, PART, long)]
        notebook = nbformat.v4.new_notebook(cells=cells)
        notebook.metadata.kernelspec = {"name": "python3", "display_name": "Python 3", "language": "python"}
        nbformat.write(notebook, lab.server.folder / name)
    lab.open(page)
    heading = lab.page.locator(".jp-NotebookPanel:not(.lm-mod-hidden) h2", has_text="Part B")
    expect(heading).not_to_be_in_viewport()
    lab.page.get_by_role("link", name="to the part").click()
    expect(heading).to_be_in_viewport()
