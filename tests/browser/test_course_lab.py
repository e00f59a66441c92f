"""`course lab` as a learner meets it: what the terminal says, and what the browser shows first."""

import os
import re
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Page

ROOT = Path(__file__).parents[2]
TRUSTED = """() => {
    const cells = [...window.jupyterapp.shell.currentWidget.model.cells];
    return cells.filter(cell => cell.type === 'code').every(cell => cell.trusted);
}"""
ASIDE = shutil.ignore_patterns("__pycache__", ".ipynb_checkpoints")


class Terminal(NamedTuple):
    """What `course lab` said until it waited, and the folder that it ran in."""

    words: str
    clone: Path


@pytest.fixture(scope="module")
def terminal(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Terminal]:
    """`course lab --no-browser` in a clone of its own, of a user whose environment is not activated."""
    clone = tmp_path_factory.mktemp("lab") / "clone"
    for name in ("course_lib", "notebooks"):
        shutil.copytree(ROOT / name, clone / name, ignore=ASIDE)
    elsewhere = [folder for folder in os.environ["PATH"].split(os.pathsep) if not (Path(folder) / "course").exists()]
    folders = {"CONFIG": "config", "DATA": "data", "RUNTIME": "runtime"}
    environment = os.environ | {f"JUPYTER_{name}_DIR": str(clone.parent / folder) for name, folder in folders.items()}
    environment |= {"PATH": os.pathsep.join(elsewhere), "COURSE_DATA": "simulated", "OMP_NUM_THREADS": "1"}
    environment |= {"JUPYTERLAB_SETTINGS_DIR": str(clone.parent / "settings")}
    environment |= {"JUPYTERLAB_WORKSPACES_DIR": str(clone.parent / "workspaces")}
    command = [sys.executable, "-m", "course_lib", "lab", "--no-browser", "--LabApp.expose_app_in_browser=True"]
    command += ["--ServerApp.shutdown_no_activity_timeout=600"]
    process = subprocess.Popen(command, cwd=clone, env=environment, stdout=subprocess.PIPE, text=True)
    words = ""
    for line in process.stdout:
        words += line
        if "For the command `course`" in line:
            break
    yield Terminal(words, clone)
    process.terminate()
    process.wait()


def test_the_last_words_say_what_is_open_how_to_stop_and_how_to_call_course(terminal: Terminal) -> None:
    started, address, pages, command = terminal.words.splitlines()
    assert started.startswith("Starting JupyterLab on my-notebooks/")
    assert re.fullmatch(r"For lesson 1 open http://localhost:\d+/lab/tree/01_cnn_anatomy\.ipynb\?token=\w+", address)
    assert "Ctrl-C" in pages
    activate = command.rpartition(" ")[2]
    asked = f"PATH=/usr/bin:/bin; . '{activate}' && command -v course"
    if Path(activate).exists():  # an environment that conda made has another
        found = subprocess.run(["sh", "-c", asked], capture_output=True, text=True, check=False).stdout
        assert Path(found.strip()).parent == Path(sysconfig.get_path("scripts"))


def test_the_browser_shows_lesson_1_trusted_and_asks_nothing(terminal: Terminal, page: "Page") -> None:
    page.goto(terminal.words.split(" open ")[1].split()[0])
    page.get_by_role("tab", name="01_cnn_anatomy.ipynb").wait_for()
    page.get_by_role("heading", name="1. CNN anatomy").wait_for()
    page.locator(".jp-Notebook-ExecutionIndicator[data-status='idle']").wait_for()
    assert page.get_by_text("Launcher", exact=True).count() == 0
    assert page.get_by_text("official Jupyter news").count() == 0
    assert page.evaluate(TRUSTED)
    if folder := os.environ.get("COURSE_SCREENSHOTS"):
        page.screenshot(path=Path(folder) / "course_lab.png")
