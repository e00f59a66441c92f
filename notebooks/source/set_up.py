import os
import re
import site
import socket
import subprocess
import sys
import tempfile
from importlib import invalidate_caches, metadata
from pathlib import Path
from shutil import unpack_archive
from zipfile import ZipFile, is_zipfile

# Where the course is published, and its release.
COURSE, TAG = "", "v0.1.0"
# What the host's page and its kernel depend on stays as it is.
KEEP = """torch torchvision numpy scipy scikit-learn pandas matplotlib pillow ipywidgets jupyterlab-widgets
    widgetsnbextension ipython ipykernel jupyter-client jupyter-server comm tornado traitlets"""
names = {
    found: re.sub(r"[-_.]+", "-", str(found.name)).lower() for found in metadata.distributions()
}
here = {name: found.version for found, name in reversed(names.items())}  # the first counts


class SetUpError(Exception):
    def _render_traceback_(self):
        return [str(self)]  # what IPython shows in place of a traceback


def is_file(path):
    try:
        return path.is_file()
    except OSError:  # in a folder where one may not look
        return False


def course_beside(*folders):
    """A wheel, a zip or a folder of the course in or around these folders; None where there is none."""
    marker, inside = "course_lib/__init__.py", [path for one in folders for path in one.glob("*")]
    for path in [*folders, *Path.cwd().parents[:2], *sorted(inside)]:
        if path.match("course_lib-*.whl") or is_file(path / marker):
            return path
        if is_file(path) and is_zipfile(path) and marker in " ".join(ZipFile(path).namelist()):
            unpack_archive(path, unpacked := Path(tempfile.mkdtemp()), "zip")
            return course_beside(unpacked)


if here.get("course-lib") != TAG[1:]:
    kaggle = Path("/kaggle/input")  # Colab and Kaggle: where they put what one uploads
    beside = course_beside(
        Path.cwd(), Path("/content"), *kaggle.glob("*"), *kaggle.glob("datasets/*/*")
    )
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
    kept = "".join(f"{name}=={here[name]}\n" for name in KEEP.split() if name in here)
    keep.write_text(kept, encoding="utf-8")
    pip = [sys.executable, "-m", "pip", "install", "--no-input", "--constraint", str(keep)]
    silent = {
        "env": {**os.environ, "GIT_TERMINAL_PROMPT": "0"},
        "capture_output": True,
        "text": True,
    }
    done = subprocess.run([*pip, f"course-lib[lessons] @ {what}"], **silent)
    if done.returncode:
        said = (done.stdout + done.stderr).splitlines()
        told = r"ERROR:|error: externally|fatal:|No module named|depends on|\(constraint\)"
        reason = [line.strip() for line in said if re.search(told, line)] or said[-3:]
        mend = "Fix that, and run this cell again."
        if re.search(r"resolve host|[Cc]onnect|timed out|No matching distribution", "".join(said)):
            try:
                socket.create_connection(("github.com", 443), timeout=3).close()
            except OSError:
                mend = "There is no network: github.com does not answer. (Kaggle: Settings, Internet on.)"
        source = beside or COURSE
        raise SetUpError(
            "\n".join([f"pip could not install the course from {source}:", *reason, mend])
        )
if site.ENABLE_USER_SITE:
    site.addsitedir(site.getusersitepackages())  # it may be new
invalidate_caches()
