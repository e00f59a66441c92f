"""What long work says: lines in a pipe where a command asked for them, a bar on a terminal, nothing in a lesson."""

import sys
from itertools import count

import pytest

from course_lib.data import simulate_radiographs
from course_lib.data.objects import simulate_objects
from course_lib.progress import printing_progress, watched


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each look at the clock is two seconds after the last."""
    ticks = count(step=2)
    monkeypatch.setattr("course_lib.progress.time.monotonic", lambda: float(next(ticks)))


@pytest.mark.usefixtures("clock")
def test_a_pipe_is_told_every_five_seconds_how_far_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    with printing_progress():
        assert list(watched("abcdefgh", 8, "reading letters", "letters")) == list("abcdefgh")
    out, err = capsys.readouterr()
    assert out == ""
    assert err.splitlines() == [  # after 6 and 12 seconds: 3 and 6 of 8
        "reading letters: 3 of 8 letters, about 10 s left",
        "reading letters: 6 of 8 letters, about 4 s left",
    ]


@pytest.mark.usefixtures("clock")
def test_lessons_hear_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    simulate_radiographs(4, image_size=16)
    simulate_objects(40, image_size=16)
    assert capsys.readouterr() == ("", "")
    with printing_progress():
        simulate_radiographs(4, image_size=16)
        simulate_objects(40, image_size=16)
    told = capsys.readouterr().err.splitlines()
    assert [line.split(":")[0] for line in told] == ["simulating radiographs", "simulating objects, ten at once,"]


def test_a_terminal_has_a_bar_in_the_first_process_only(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    monkeypatch.setattr("course_lib.progress.BAR_AFTER", 0)
    assert list(watched(range(3), 3, "counting", "numbers")) == [0, 1, 2]
    assert "counting: " in capsys.readouterr().err
    monkeypatch.setenv("RANK", "1")
    assert list(watched(range(3), 3, "counting", "numbers")) == [0, 1, 2]
    assert capsys.readouterr().err == ""
