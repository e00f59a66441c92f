"""Grading while other programs want the same processor: a submission's own time is what counts, and no doubt is a zero.

Each competitor is a session of its own, since Linux shares a processor among sessions first.
"""

import contextlib
import subprocess
import sys
from collections.abc import Iterator

import pytest

from course_lib.classroom.grade import processors
from course_lib.classroom.sandbox import Sandbox, StoppedError

SPINS = "import os, sys\nos.sched_setaffinity(0, {int(sys.argv[1])})\nwhile True:\n    pass"
WORKS = "import time\nend = time.process_time() + {}\nwhile time.process_time() < end:\n    pass"
pytestmark = pytest.mark.skipif(
    sys.platform != "linux", reason="only Linux says for how long a process had no processor"
)


@contextlib.contextmanager
def competitors(count: int) -> Iterator[None]:
    command = [sys.executable, "-c", SPINS, str(processors()[0])]
    started = [subprocess.Popen(command, start_new_session=True) for _ in range(count)]
    try:
        yield
    finally:
        for process in started:
            process.kill()
            process.wait()


@pytest.fixture(scope="module")
def box(sandboxed: None) -> Iterator[Sandbox]:
    with Sandbox("01", seconds=1, processor=processors()[0]) as sandbox:
        sandbox.run([], {}, seed=0)  # it starts while the machine is quiet
        yield sandbox


def test_a_cell_has_its_time_also_where_it_has_a_fifth_of_the_processor(box: Sandbox) -> None:
    with competitors(4):
        assert box.run([(0, WORKS.format(0.4))], {}, seed=0)["errors"] == {}  # two seconds by the clock


def test_a_task_has_its_time_also_where_it_has_a_fifth_of_the_processor(box: Sandbox) -> None:
    answer = f"""
def same_padding(kernel, dilation=1):
    global worked
    if not worked:
        {WORKS.format(0.4).replace(chr(10), chr(10) + 8 * " ")}
    worked = True
    return dilation * (kernel - 1) // 2

worked = False"""
    with competitors(4):
        report = box.run([(0, answer)], {"01.1": "same_padding"}, seed=0)["tasks"]["01.1"]
    assert report.keys() == {"public", "hidden"}


def test_a_cell_that_sleeps_or_works_too_long_is_stopped_as_ever(box: Sandbox) -> None:
    for code in ("import time\ntime.sleep(100)", "while True:\n    pass"):
        assert "ran for more than 1 s" in box.run([(0, code)], {}, seed=0)["errors"]["0"]


def test_a_submission_that_gets_no_processor_comes_to_no_verdict(box: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("course_lib.classroom.sandbox.PATIENCE", 0)
    with competitors(6), pytest.raises(StoppedError, match="other programs kept the processor from it"):
        box.run([(0, WORKS.format(0.6))], {}, seed=0)
