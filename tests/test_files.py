import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from course_lib.files import data_dir, write_atomically, write_text


def test_a_failed_write_keeps_the_old_file_and_leaves_no_litter(tmp_path: Path) -> None:
    path = tmp_path / "weights"
    path.write_text("old")

    def half(temporary: Path) -> None:
        temporary.write_text("ne")
        raise OSError(28, "No space left on device")

    with pytest.raises(
        OSError, match=r"weights: cannot be written \(No space left on device\), what was there is kept"
    ):
        write_atomically(path, half)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_what_is_flushed_is_open_for_writing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    flushed = []
    monkeypatch.setattr("os.fsync", lambda number: flushed.append(os.write(number, b"")))  # Windows flushes no other
    write_atomically(tmp_path / "weights", lambda temporary: temporary.write_text("new"))
    assert flushed == [0]


def test_an_interrupted_write_keeps_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "weights"
    path.write_text("old")

    def stopped(temporary: Path) -> None:
        temporary.write_text("ne")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_atomically(path, stopped)
    assert path.read_text() == "old"


@pytest.mark.skipif(sys.platform == "win32", reason="Windows sets no limit on file sizes")
def test_a_disk_that_takes_no_more_leaves_the_old_checkpoint_whole(tmp_path: Path) -> None:
    program = f"""
import resource, signal
from pathlib import Path
import torch
from course_lib.checkpoint import load_state, save_state, save_weights
folder = Path({str(tmp_path)!r})
save_state(folder / "state.pt", {{"epoch": 1}})
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (65536, 65536))  # from here on no file can grow beyond 64 kB
for save in (lambda: save_state(folder / "state.pt", {{"big": torch.rand(100_000)}}),
             lambda: save_weights(folder / "w.safetensors", torch.nn.Linear(1000, 1000))):
    try:
        save()
    except OSError as error:
        print(error)
assert load_state(folder / "state.pt") == {{"epoch": 1}}
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    first, second = done.stdout.splitlines()
    assert "state.pt: cannot be written" in first
    assert "what was there is kept" in first
    assert "w.safetensors: cannot be written" in second
    assert "nothing was written" in second
    assert [path.name for path in tmp_path.iterdir()] == ["state.pt"]


def test_the_environment_moves_the_data_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COURSE_DATA_DIR", "~/somewhere")
    assert data_dir() == Path.home() / "somewhere"
    monkeypatch.delenv("COURSE_DATA_DIR")
    assert data_dir() == Path(__file__).parents[1] / "data"


WITHOUT_A_HOME = """
import os, pwd, runpy, sys
for name in ("HOME", "USER", "LOGNAME"):
    os.environ.pop(name, None)
def absent(*_):
    raise KeyError("getpwuid(): uid not found: 12345")
pwd.getpwuid = pwd.getpwnam = absent
sys.argv = ["course", *sys.argv[1:]]
runpy.run_module("course_lib", run_name="__main__")
"""


@pytest.mark.skipif(sys.platform == "win32", reason="there every user has a profile")
@pytest.mark.parametrize("command", ["data list", "doctor"])
def test_a_user_without_a_home_is_served(command: str) -> None:
    """As under `docker run --user 12345`, where the password file has no such user."""
    own = {name: value for name, value in os.environ.items() if not name.startswith(("COURSE_", "KAGGLEHUB"))}
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_A_HOME, *command.split()], capture_output=True, text=True, check=False, env=own
    )
    assert done.returncode == 0, done.stderr
    assert "chest_xray" in done.stdout


def test_without_a_home_and_a_clone_data_lie_among_the_temporary_files(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(Path, "home", absent)
    monkeypatch.delenv("COURSE_DATA_DIR")
    monkeypatch.setattr("course_lib.files.__file__", "/site-packages/course_lib/files.py")
    assert data_dir().is_relative_to(tempfile.gettempdir())


def test_a_text_with_a_name_in_an_old_encoding_is_written(tmp_path: Path) -> None:
    write_text(str(tmp_path / "card.md"), "R\udcf6ntgen \u00e9")
    assert (tmp_path / "card.md").read_text(encoding="utf-8") == "R\\udcf6ntgen \u00e9"
