"""Every explorer where readers meet it: in JupyterLab with a kernel, and reopened without one."""

from collections.abc import Callable
from typing import TYPE_CHECKING

import nbformat
import pytest
from browser import test_convolution
from browser.lab import Lab, expect, serious_faults

from course_lib.widgets import Page, convolution_explorer

if TYPE_CHECKING:
    from playwright.sync_api import Locator

EXPLORERS: dict[str, Callable[[], Page]] = {
    "convolution_explorer()": convolution_explorer,
}
USES: dict[str, Callable[["Locator"], None]] = {
    "convolution_explorer()": test_convolution.use,
}


def test_each_explorer_works_in_jupyterlab(lab: Lab) -> None:
    lab.new("all.ipynb", ["from course_lib.widgets import *", *USES])
    lab.run_all()
    for call, use in USES.items():
        explorer = lab.output(call).locator(".course-explorer")
        explorer.scroll_into_view_if_needed()
        lab.screenshot(call.split("(")[0], call)
        use(explorer)
    assert serious_faults(lab.page, ".course-explorer") == []
    assert len(lab._cells()) == len(USES) + 1, "keys that belong to the explorers reached the notebook"
    assert lab.console_errors == []


@pytest.mark.parametrize("trusted", [True, False])
def test_a_saved_explorer_is_alive_in_a_trusted_notebook_and_a_text_in_another(lab: Lab, trusted: bool) -> None:
    call = next(iter(USES))
    lab.new("saved.ipynb", ["from course_lib.widgets import *", call])
    lab.run_all()
    lab.page.evaluate("() => window.jupyterapp.commands.execute('docmanager:save')")
    expect(lab.page.locator(".jp-mod-dirty")).to_have_count(0)
    lab.end_kernels()
    path = lab.server.folder / "saved.ipynb"
    if not trusted:  # it is the content that is trusted, under every name
        notebook = nbformat.read(path, as_version=4)
        notebook.cells[0].source += "  # a change from outside"
        nbformat.write(notebook, path)
    lab.open("saved.ipynb")
    output = lab.output(call)
    if trusted:
        output.get_by_role("gridcell").nth(7).hover()
        expect(output.get_by_text("Output at row 1, column 1")).to_be_visible()
    else:
        expect(output.get_by_text("the sum of nine products").last).to_be_visible()
        expect(output.get_by_role("gridcell")).to_have_count(0)
    lab.screenshot(f"saved_{'trusted' if trusted else 'untrusted'}", call)
    assert lab.console_errors == []
