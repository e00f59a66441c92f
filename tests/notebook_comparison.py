"""A pytest plugin: nbval runs the notebooks, and what it saw is compared as `course_lib.authoring` compares.

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

from course_lib.authoring import CI_ENVIRONMENT, Tolerance, differences

run_cell = IPyNbCell.runtest
PROGRESS = tempfile.TemporaryDirectory()  # where exercises note their results; a learner's own file stays as it is


def compare_outputs(self: IPyNbCell, new: Sequence[Any], saved: Sequence[Any]) -> bool:
    self.comparison_traceback = differences(saved, new, Tolerance.of(self.cell))
    return not self.comparison_traceback


def runtest(self: IPyNbCell) -> None:
    if self.cell.execution_count is None:
        self.raise_cell_error("this cell was saved without having been run; build the notebook again")
    if not self.options["check"] or self.options["skip"] or self.options["check_exception"]:
        self.raise_cell_error("a tag or comment keeps this cell from being compared; declare a tolerance instead")
    try:
        Tolerance.of(self.cell)
    except ValueError as error:
        self.raise_cell_error(str(error))
    run_cell(self)


def pytest_configure(config: pytest.Config) -> None:
    os.environ |= CI_ENVIRONMENT | {"COURSE_PROGRESS": f"{PROGRESS.name}/progress.json"}  # for the kernels
    IPyNbCell.compare_outputs = compare_outputs
    IPyNbCell.runtest = runtest
