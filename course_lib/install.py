"""Set the course up in .venv, with the versions that the tests ran with: `python -m course_lib.install`.

Needs Python and its standard library alone. What is there already is left alone, so that it can be called again. No
step is silent for long: pip and uv show their bars, and what says nothing by itself shows dots.
"""

import argparse
import os
import shutil
import subprocess
import sys
from pathlib import Path

from course_lib.patience import dots
from course_lib.supported import CUDA_DISK_GB, CUDA_DOWNLOAD_GB, DISK_GB, DOWNLOAD_GB, unsupported

ROOT = Path(__file__).resolve().parents[1]
BIN = ROOT / ".venv" / ("Scripts" if os.name == "nt" else "bin")
LOCK = ROOT / "requirements.lock"
OTHER = f"{'python' if os.name == 'nt' else 'python3'} -m course_lib.install --torch-backend"
HASTE = {"UV_HTTP_TIMEOUT": "3", "UV_HTTP_CONNECT_TIMEOUT": "3", "UV_HTTP_RETRIES": "0"}
TORCH_THERE = "from importlib.metadata import version; print('torch==' + version('torch').partition('+')[0])"


def main() -> None:
    """Make .venv, install PyTorch's build for this machine, then the course with all else."""
    parser = argparse.ArgumentParser(prog="python -m course_lib.install", description="Set the course up in .venv.")
    parser.add_argument("extras", nargs="?", default="notebooks", help="such as notebooks,site; default: notebooks")
    parser.add_argument(
        "--torch-backend", metavar="NAME", help="replace PyTorch: by cpu, auto, cu130, ... (uv's names)"
    )
    arguments = parser.parse_args()
    if unsupported():
        sys.exit(unsupported())
    if not _tool("pip"):
        with dots("Making .venv"):
            failed = subprocess.call([sys.executable, "-m", "venv", str(BIN.parent)])
        if failed:
            sys.exit("No .venv was made, Python's reason is above; fix that, and call this again.")
    _pip("pip>=25.1")  # the first that shows how far it is while it installs
    if arguments.torch_backend:
        replaced = ("--reinstall-package=torch", "--reinstall-package=torchvision")
        if not _get_uv() or subprocess.call(_uv(arguments.torch_backend, *replaced)):
            sys.exit("PyTorch was not replaced, the reason is above; what was there is kept.")
    elif not _torch_is_there():
        _choose_torch()
    if not _pip("-c", str(LOCK), "-e", f"{ROOT}[{arguments.extras}]"):
        sys.exit("The course was not installed, pip's reason is above; the same command goes on where it stopped.")
    print(f"The course is installed. To open lesson 1: make lab, or {(BIN / 'course').relative_to(ROOT)} lab")


def _choose_torch() -> None:
    """Say which PyTorch is to come; where it is one without CUDA that pip would not take, install it."""
    cuda = f"about {CUDA_DOWNLOAD_GB} GB to come, {CUDA_DISK_GB} GB on the disk"
    other = f"about {DOWNLOAD_GB} GB to come, {DISK_GB} GB on the disk"
    if sys.platform != "linux":
        print(f"PyTorch comes without CUDA: {other}. With CUDA, on Windows: {OTHER} auto", flush=True)
    elif shutil.which("nvidia-smi"):
        print(f"PyTorch comes with CUDA, for the NVIDIA GPU: {cuda}. Without: stop this, then {OTHER} cpu", flush=True)
    elif _get_uv() and _finds_without_cuda():
        print(f"PyTorch comes without CUDA, as no NVIDIA GPU is seen: {other}. With CUDA: {OTHER} auto", flush=True)
        if subprocess.call(_uv("cpu")):
            print(f"uv did not get it, so PyTorch comes with CUDA: {cuda}", flush=True)
    else:
        print(f"The index of PyTorch without CUDA does not answer, so it comes with CUDA: {cuda}.", end=" ")
        print(f"To have it without once the index answers: delete .venv, then {OTHER} cpu", flush=True)


def _finds_without_cuda() -> bool:
    """Whether PyTorch's index answers uv within about three seconds, and has what the lock asks for."""
    with dots("Looking for PyTorch without CUDA"):
        command, settings = _uv("cpu", "--dry-run"), {**os.environ, **HASTE}
        done = subprocess.run(command, env=settings, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return done.returncode == 0


def _torch_is_there() -> bool:
    """Whether .venv holds PyTorch in the version of the lock, in whatever build."""
    done = subprocess.run([_tool("python"), "-c", TORCH_THERE], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    return done.stdout.decode().strip() in LOCK.read_text(encoding="utf-8").split()


def _tool(name: str) -> str:
    """A program of .venv, or the user's own uv; empty where there is none."""
    return shutil.which(name, path=str(BIN)) or (name == "uv" and shutil.which(name)) or ""


def _pip(*arguments: str) -> bool:
    command = [_tool("python"), "-m", "pip", "install", "--disable-pip-version-check", *arguments]
    return subprocess.call(command) == 0


def _get_uv() -> bool:
    return bool(_tool("uv") or (_pip("uv") and _tool("uv")))


def _uv(backend: str, *arguments: str) -> "list[str]":
    """The command with which uv installs PyTorch's build `backend`."""
    into = ["--python", _tool("python"), "--torch-backend", backend, "-c", str(LOCK)]
    return [_tool("uv"), "pip", "install", *into, *arguments, "torch", "torchvision"]


if __name__ == "__main__":
    main()
