"""A part of a lesson can be linked to in JupyterLab, as notebooks/source/README.md says."""

import nbformat
import pytest
from browser.lab import Lab, expect

PART = '<a id="part-b"></a>\n\n## Part B. Channels (28 min, core)'


@pytest.fixture
def parted(lab: Lab) -> Lab:
    """JupyterLab with a page whose part is far down, and another that links to it."""
    long = "A paragraph.\n\n" * 40
    for name, link in (("one.ipynb", "#part-b"), ("two.ipynb", "one.ipynb#part-b")):
        cells = [nbformat.v4.new_markdown_cell(text) for text in (f"[to the part]({link})", long, PART, long)]
        notebook = nbformat.v4.new_notebook(cells=cells)
        notebook.metadata.kernelspec = {"name": "python3", "display_name": "Python 3", "language": "python"}
        nbformat.write(notebook, lab.server.folder / name)
    return lab


def test_a_link_leads_to_a_part_of_its_own_page(parted: Lab) -> None:
    parted.open("one.ipynb")
    expect(parted.page.get_by_role("heading", name="Part B")).not_to_be_in_viewport()
    parted.page.get_by_role("link", name="to the part").click()
    expect(parted.page.get_by_role("heading", name="Part B")).to_be_in_viewport()


def test_a_link_leads_to_a_part_of_another_page_that_is_open(parted: Lab) -> None:
    page = parted.page
    parted.open("two.ipynb")
    for _ in range(2):  # the first opens the page, at its top: its cells are not drawn yet
        page.get_by_role("tab", name="two.ipynb").click()
        page.locator("a:visible", has_text="to the part").click()
        expect(page.get_by_role("tab", name="one.ipynb", selected=True)).to_be_visible()
        expect(page.locator("h2:visible", has_text="Part B")).to_have_count(1)
    expect(page.locator("h2:visible", has_text="Part B")).to_be_in_viewport()
