"""Setting the course up: what is refused before anything is downloaded, and which PyTorch is taken.

In place of .venv's Python, of uv and of NVIDIA's driver stand programs that note how they were called.
"""

import ast
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from course_lib.supported import (
    CUDA_DISK_GB,
    CUDA_DOWNLOAD_GB,
    DISK_GB,
    DOWNLOAD_GB,
    MACOS_FIRST,
    MEMORY_GB,
    PYTHON_FIRST,
    PYTHON_LAST,
    unsupported,
)

ROOT = Path(__file__).parents[1]
NEEDED = ("course_lib/__init__.py", "course_lib/install.py", "course_lib/patience.py", "course_lib/supported.py")
NOTE = """\
#!{python}
import json, os, sys
asked = [os.path.basename(sys.argv[0]), *sys.argv[1:]]
with open({log!r}, "a") as log:
    print(json.dumps([asked, os.environ.get("UV_HTTP_TIMEOUT", "")]), file=log)
sys.exit({code})
"""
pytestmark = pytest.mark.skipif(os.name == "nt", reason="the stand-ins are scripts that begin with #!")


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """What of a clone is read before anything is installed, with a .venv that is there already and empty."""
    for name in (*NEEDED, "requirements.lock"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    for name in ("python", "pip"):
        stand_in(tmp_path, f".venv/bin/{name}")
    (tmp_path / "path").mkdir()
    return tmp_path


def stand_in(clone: Path, name: str, code: str = "0") -> None:
    place = clone / name
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_text(NOTE.format(python=sys.executable, log=str(clone / "log"), code=code))
    place.chmod(0o755)


def install(clone: Path, *arguments: str) -> tuple[subprocess.CompletedProcess[str], list[list[str]]]:
    """What was said, and the calls of pip and uv."""
    command = [sys.executable, "-m", "course_lib.install", *arguments]
    environment = {"PATH": str(clone / "path")}
    done = subprocess.run(command, cwd=clone, env=environment, capture_output=True, text=True, check=False)
    calls = [json.loads(line) for line in (clone / "log").read_text().splitlines()]
    hurried = [bool(seconds) for (name, *rest), seconds in calls if "--dry-run" in rest]
    assert all(hurried)
    return done, [call for call, _ in calls if "-c" not in call[1:2]]


def names(calls: list[list[str]]) -> list[str]:
    return ["uv looks" if "--dry-run" in call else call[0] for call in calls]


linux = pytest.mark.skipif(sys.platform != "linux", reason="elsewhere pip's PyTorch has no CUDA")


@linux
def test_without_a_gpu_uv_takes_pytorch_without_cuda_before_pip_takes_the_rest(clone: Path) -> None:
    stand_in(clone, "path/uv")
    done, calls = install(clone)
    assert done.returncode == 0, done.stderr
    assert names(calls) == ["python", "uv looks", "uv", "python"]
    backend = calls[2].index("--torch-backend")
    assert calls[2][backend + 1 :] == ["cpu", "-c", str(clone / "requirements.lock"), "torch", "torchvision"]
    assert calls[3][-1] == f"{clone}[notebooks]"
    assert "without CUDA, as no NVIDIA GPU is seen" in done.stdout
    assert f"{DOWNLOAD_GB} GB" in done.stdout
    assert "With CUDA: python3 -m course_lib.install --torch-backend auto" in done.stdout


@linux
def test_where_the_index_does_not_answer_pip_takes_its_own_pytorch(clone: Path) -> None:
    stand_in(clone, "path/uv", code="2")
    done, calls = install(clone)
    assert done.returncode == 0, done.stderr
    assert names(calls) == ["python", "uv looks", "python"]
    assert f"{CUDA_DOWNLOAD_GB} GB" in done.stdout
    assert "python3 -m course_lib.install --torch-backend cpu" in done.stdout


@linux
def test_uv_is_fetched_by_pip_where_there_is_none_and_done_without_if_it_cannot_be_had(clone: Path) -> None:
    done, calls = install(clone)
    assert done.returncode == 0, done.stderr
    assert [call[-1] for call in calls] == ["pip>=25.1", "uv", f"{clone}[notebooks]"]


@linux
def test_with_an_nvidia_gpu_pip_takes_pytorch_with_cuda(clone: Path) -> None:
    stand_in(clone, "path/uv")
    stand_in(clone, "path/nvidia-smi")
    done, calls = install(clone, "notebooks,site")
    assert names(calls) == ["python", "python"]
    assert calls[-1][-1] == f"{clone}[notebooks,site]"
    assert "for the NVIDIA GPU" in done.stdout


def test_a_pytorch_of_the_lock_is_left_alone_whatever_its_build(clone: Path) -> None:
    (locked,) = [line for line in (ROOT / "requirements.lock").read_text().splitlines() if line[:7] == "torch=="]
    stand_in(clone, "path/uv")
    stand_in(clone, ".venv/bin/python", code=f"print({locked!r}) if sys.argv[1] == '-c' else 0")
    done, calls = install(clone)
    assert names(calls) == ["python", "python"]
    assert "CUDA" not in done.stdout


def test_another_build_is_taken_when_it_is_asked_for(clone: Path) -> None:
    stand_in(clone, "path/uv")
    _, calls = install(clone, "--torch-backend", "cu130")
    assert names(calls) == ["python", "uv", "python"]
    assert {"cu130", "--reinstall-package=torch"} <= set(calls[1])


def test_a_failure_of_pip_is_one_of_the_whole(clone: Path) -> None:
    stand_in(clone, ".venv/bin/python", code="'-e' in sys.argv")
    done, _ = install(clone)
    assert done.returncode == 1
    assert "The course was not installed, pip's reason is above" in done.stderr


@pytest.mark.parametrize("version", [(3, 10, 13), (3, 15, 0)])
def test_an_unsupported_python_is_named_before_anything_is_made(
    version: tuple[int, int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.version_info", version)
    monkeypatch.setattr("platform.python_version", lambda: ".".join(map(str, version)))
    assert f"Python 3.11 to 3.14, and this is 3.{version[1]}" in unsupported()


@pytest.mark.parametrize(
    ("machine", "version", "reason"),
    [("x86_64", "15.1", "Intel Mac"), ("arm64", "13.6.9", "macOS 14 or newer"), ("arm64", "14.0", "")],
)
def test_a_mac_for_which_there_is_no_pytorch_is_named(
    machine: str, version: str, reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.platform", "darwin")
    monkeypatch.setattr("platform.machine", lambda: machine)
    monkeypatch.setattr("platform.mac_ver", lambda: (version, ("", "", ""), machine))
    assert (reason in unsupported()) if reason else unsupported() == ""


@pytest.mark.parametrize("name", NEEDED)
def test_an_old_python_can_read_what_refuses_it(name: str) -> None:
    tree = ast.parse((ROOT / name).read_text(), feature_version=(3, 6))  # Python's own parser, in its old grammar
    functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]
    hints = [hint for node in functions for hint in (node.returns, *(arg.annotation for arg in node.args.args)) if hint]
    assert all(isinstance(hint, ast.Name | ast.Constant) for hint in hints), "`list[str]` is no hint before Python 3.9"


def test_readme_says_what_is_supported_and_how_much_room_it_takes() -> None:
    readme = " ".join((ROOT / "README.md").read_text().split())
    assert "Python {}.{} to {}.{}".format(*PYTHON_FIRST, *PYTHON_LAST) in readme
    assert f"macOS {MACOS_FIRST} or newer" in readme
    assert f"downloads {DOWNLOAD_GB} GB and fills {DISK_GB} GB of the disk" in readme
    assert f"{CUDA_DOWNLOAD_GB} and {CUDA_DISK_GB} GB where PyTorch comes with CUDA" in readme
    assert f"more than {MEMORY_GB} GB of memory" in readme
