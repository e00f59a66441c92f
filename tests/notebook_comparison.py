"""A pytest plugin: nbval runs the notebooks, and `course_lib.authoring` judges what it saw.

nbval knows no tolerance for numbers, passes a notebook that was never run, and does not look at pictures. It has no
hook for the comparison, so two methods of its cells are replaced; test_notebook_comparison.py holds faults that must
fail.
"""

import os
import tempfile
from collections.abc import Sequence
from typing import Any

import pytest
from nbval.plugin import IPyNbCell

from course_lib.authoring import CI_ENVIRONMENT, faults, refusals

run_cell = IPyNbCell.runtest
PROGRESS = tempfile.TemporaryDirectory()  # where exercises note their results; a learner's own file stays as it is


def compare_outputs(self: IPyNbCell, new: Sequence[Any], saved: Sequence[Any]) -> bool:
    self.comparison_traceback = faults(self.cell, new)
    return not self.comparison_traceback


def runtest(self: IPyNbCell) -> None:
    if refused := refusals(self.cell):  # nbval would compare no such cell
        self.raise_cell_error("\n".join(refused))
    run_cell(self)


def pytest_configure(config: pytest.Config) -> None:
    os.environ |= CI_ENVIRONMENT | {"COURSE_PROGRESS": f"{PROGRESS.name}/progress.json"}  # for the kernels
    IPyNbCell.compare_outputs = compare_outputs
    IPyNbCell.runtest = runtest
