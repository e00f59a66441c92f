"""Every explorer where readers meet it: in JupyterLab with a kernel, and reopened without one."""

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

import nbformat
import pytest
from browser import (
    test_convolution,
    test_descent,
    test_features,
    test_pooling,
    test_predict,
    test_quiz,
    test_shapes,
    test_threshold,
    test_training,
)
from browser.lab import Lab, expect, serious_faults

from course_lib import widgets

if TYPE_CHECKING:
    from playwright.sync_api import Locator


class Explorer(NamedTuple):
    """How one is made, and how it is used by mouse and keyboard."""

    make: Callable[[], widgets.Page]
    use: Callable[["Locator"], None]


EXPLORERS = {
    "convolution_explorer()": Explorer(widgets.convolution_explorer, test_convolution.use),
    "training_explorer()": Explorer(widgets.training_explorer, test_training.use),
    "pooling_explorer()": Explorer(widgets.pooling_explorer, test_pooling.use),
    "shape_explorer()": Explorer(widgets.shape_explorer, test_shapes.use),
    "descent_explorer()": Explorer(widgets.descent_explorer, test_descent.use),
    "threshold_explorer()": Explorer(widgets.threshold_explorer, test_threshold.use),
    "feature_explorer(...).page": Explorer(lambda: test_features.made().page, test_features.use),
    "Quiz(1)": Explorer(lambda: widgets.Quiz(1), test_quiz.use),
    'Predict("1.1")': Explorer(lambda: widgets.Predict("1.1"), test_predict.use),
}


def test_each_explorer_works_in_jupyterlab(lab: Lab) -> None:
    calls = [call for call in EXPLORERS if "..." not in call]  # what needs an image of one's own has a test of its own
    lab.new("all.ipynb", ["from course_lib.widgets import *", *calls])
    lab.page.set_viewport_size({"width": 1366, "height": 768})
    lab.run_all()
    for call in calls:
        explorer = lab.output(call).locator(".course-explorer")
        explorer.scroll_into_view_if_needed()
        lab.screenshot(call.split("(")[0], call)
        EXPLORERS[call].use(explorer)
    assert serious_faults(lab.page, ".course-explorer") == []
    assert len(lab._cells()) == len(calls) + 1, "keys that belong to the explorers reached the notebook"
    assert lab.console_errors == []


@pytest.mark.parametrize("trusted", [True, False])
def test_a_saved_explorer_is_alive_in_a_trusted_notebook_and_a_picture_in_another(lab: Lab, trusted: bool) -> None:
    call = next(iter(EXPLORERS))
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
        expect(output.get_by_role("img", name="the sum of nine products")).to_be_visible()
        expect(output.get_by_role("gridcell")).to_have_count(0)
    assert lab.console_errors == []
