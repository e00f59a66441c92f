import os
import re
import socket
import subprocess
import sys
import tempfile
from importlib import invalidate_caches, metadata
from pathlib import Path
from zipfile import ZipFile, is_zipfile

# Where the course is published, and its release.
COURSE, TAG = "", "v0.1.0"
# What the host's page and its kernel depend on stays as it is.
KEEP = """torch torchvision numpy scipy scikit-learn pandas matplotlib pillow ipywidgets jupyterlab-widgets
    widgetsnbextension ipython ipykernel jupyter-client jupyter-server comm tornado traitlets"""
COURSE_FILE = "course_lib/__init__.py"


class SetUpError(Exception):
    def _render_traceback_(self):
        return [str(self)]  # what IPython shows in place of a traceback


def version(name):
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def course_in(path):
    """The wheel or folder of the course that `path` is or, as a zip, holds; None if it is something else."""
    if (
        path.suffix == ".zip"
        and is_zipfile(path)
        and COURSE_FILE in " ".join(ZipFile(path).namelist())
    ):
        unpacked = tempfile.mkdtemp()
        ZipFile(path).extractall(unpacked)
        path = next(Path(unpacked).rglob("pyproject.toml")).parent
    is_wheel = path.suffix == ".whl" and path.name.startswith("course_lib-")
    return path if is_wheel or (path / COURSE_FILE).is_file() else None


def course_beside():
    """The course in the notebook's folder or around it, or where Colab and Kaggle put what one uploads."""
    kaggle = Path("/kaggle/input")
    folders = [Path.cwd(), Path("/content"), *kaggle.glob("*"), *kaggle.glob("datasets/*/*")]
    inside = [path for folder in folders for path in sorted(folder.glob("*"))]
    return next(filter(None, map(course_in, [*folders, *Path.cwd().parents[:2], *inside])), None)


def answers(host):
    try:
        socket.create_connection((host, 443), timeout=3).close()
    except OSError:
        return False
    return True


if version("course-lib") != TAG[1:]:
    beside = course_beside()
    if not (beside or COURSE):
        raise SetUpError(
            "Nobody has published this copy of the course yet, so there is no address to install it from.\n"
            "Put the course beside this notebook, as a zip (on GitHub: Code, Download ZIP), a wheel or a folder, and "
            "run this cell again.\n"
            "Colab: the folder at the left, Upload. Kaggle: Add Input, Upload. On a computer of your own: README."
        )
    print("Installing the course: about a minute.")
    what = beside.resolve().as_uri() if beside else f"git+{COURSE}@{TAG}"
    keep = Path(tempfile.mkdtemp()) / "keep.txt"
    keep.write_text("".join(f"{name}=={version(name)}\n" for name in KEEP.split() if version(name)))
    pip = [sys.executable, "-m", "pip", "install", "--no-input", "--constraint", str(keep)]
    done = subprocess.run(
        [*pip, f"course-lib[lessons] @ {what}"],
        env={**os.environ, "GIT_TERMINAL_PROMPT": "0"},
        capture_output=True,
        text=True,
    )
    if done.returncode:
        said = (done.stdout + done.stderr).splitlines()
        told = r"ERROR:|fatal:|No module named|depends on|\(constraint\)"
        reason = [line.strip() for line in said if re.search(told, line)] or said[-3:]
        mend = "Mend that, and run this cell again."
        unreachable = r"resolve host|[Cc]onnect|timed out|No matching distribution"
        if re.search(unreachable, "".join(said)) and not answers("github.com"):
            mend = "There is no network: github.com does not answer within 3 seconds. (Kaggle: Settings, Internet on.)"
        raise SetUpError(
            "\n".join([f"pip could not install the course from {beside or COURSE}:", *reason, mend])
        )
invalidate_caches()
