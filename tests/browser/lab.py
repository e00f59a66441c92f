"""JupyterLab as a reader sees it: open a notebook, run it, look at the outputs and use what is in them."""

import contextlib
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import nbformat
import pytest

if TYPE_CHECKING:
    from playwright.sync_api import ConsoleMessage, Locator, Page, expect
else:
    expect = pytest.importorskip("playwright.sync_api", reason="Playwright is not here: pip install playwright").expect

expect.set_options(timeout=30_000)

UNUSED_S = 900  # then the server ends by itself, should this process not have lived to end it
# All cells are in the page, also those far down; and no box asks, in front of them, whether one wants news.
SETTINGS = {
    "@jupyterlab/notebook-extension/tracker": {"windowingMode": "none"},
    "@jupyterlab/apputils-extension/notification": {"fetchNews": "false"},
}
OPENED = """path => {
    const panel = window.jupyterapp?.shell.currentWidget;
    return panel?.context?.path === path && panel.context.isReady
        && panel.sessionContext.session?.kernel?.status === 'idle';
}"""
# An error outside of any cell, as in the callback of a widget, shows nowhere in the page.
LISTEN = """() => window.jupyterapp.shell.currentWidget.sessionContext.iopubMessage.connect((_, {header, content}) => {
    if (header.msg_type === 'error') console.error(`in the kernel: ${content.ename}: ${content.evalue}`);
})"""
RUN_ALL = "() => window.jupyterapp.commands.execute('notebook:run-all-cells')"
RUN_ABOVE = """cell => {
    window.jupyterapp.shell.currentWidget.content.activeCellIndex = cell;
    return window.jupyterapp.commands.execute('notebook:run-all-above');
}"""
CELLS = "() => window.jupyterapp.shell.currentWidget.model.sharedModel.toJSON().cells"
END_KERNELS = "() => window.jupyterapp?.serviceManager.sessions.shutdownAll()"


class Server(NamedTuple):
    """Where a JupyterLab answers, and the folder that it shows."""

    url: str
    folder: Path


@contextlib.contextmanager
def serve(home: Path) -> Iterator[Server]:
    """A server of its own, with simulated data; it knows nothing of the user's settings, and asks nobody outside."""
    for name, values in SETTINGS.items():
        file = home / "settings" / f"{name}.jupyterlab-settings"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(values))
    folders = {"CONFIG": "config", "DATA": "data", "RUNTIME": "runtime"}
    environment = os.environ | {f"JUPYTER_{name}_DIR": str(home / folder) for name, folder in folders.items()}
    environment |= {"JUPYTERLAB_SETTINGS_DIR": str(home / "settings"), "IPYTHONDIR": str(home / "ipython")}
    environment |= {"JUPYTERLAB_WORKSPACES_DIR": str(home / "workspaces"), "JUPYTER_PREFER_ENV_PATH": "1"}
    environment |= {"COURSE_DATA": "simulated", "COURSE_DATA_DIR": str(home / "course-data")}
    environment |= {"COURSE_DEVICE": "cpu"}
    if "PYTEST_XDIST_WORKER" in os.environ:  # more threads would get in the way of the other tests
        environment |= {"OMP_NUM_THREADS": "1"}
    (home / "notebooks").mkdir()
    command = [sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root", "--IdentityProvider.token="]
    command += ["--LabApp.news_url=None", "--LabApp.expose_app_in_browser=True"]
    command += [f"--ServerApp.root_dir={home / 'notebooks'}", f"--ServerApp.shutdown_no_activity_timeout={UNUSED_S}"]
    command += [f"--MappingKernelManager.cull_idle_timeout={UNUSED_S}"]
    with (home / "log").open("w") as log:
        process = subprocess.Popen(command, env=environment, cwd=home, stdout=log, stderr=subprocess.STDOUT)
    try:
        yield Server(_address(process, home), home / "notebooks")
    finally:
        process.terminate()  # the server ends its kernels; a kernel whose server is gone ends itself
        try:
            process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _address(process: "subprocess.Popen[bytes]", home: Path, limit_s: float = 90) -> str:
    """The address of the server, once it answers; it takes the first free port, and writes it down when it listens."""
    written = home / "runtime" / f"jpserver-{process.pid}.json"
    end = time.monotonic() + limit_s
    while time.monotonic() < end and process.poll() is None:
        try:
            return str(json.loads(written.read_text())["url"])
        except (FileNotFoundError, json.JSONDecodeError):
            time.sleep(0.1)
    raise RuntimeError(f"JupyterLab did not start in {limit_s:.0f} s:\n{(home / 'log').read_text()}")


class Lab:
    """JupyterLab in a page.

    Attributes:
        page: the page, for what `Lab` has no name for.
        console_errors: what the browser's console reported as an error, and each error in the kernel.
    """

    def __init__(self, page: "Page", server: Server) -> None:
        self.page, self.server = page, server
        self.console_errors: list[str] = []
        page.on("console", self._note)
        page.on("pageerror", lambda error: self.console_errors.append(f"{error.name}: {error.message}\n{error.stack}"))

    def new(self, name: str, cells: Sequence[str]) -> None:
        """Write a notebook of code cells into the server's folder, and open it."""
        notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
        notebook.metadata.kernelspec = {"name": "python3", "display_name": "Python 3", "language": "python"}
        nbformat.write(notebook, self.server.folder / name)
        self.open(name)

    def open(self, name: str) -> None:
        """Open a notebook of the server's folder; wait until its kernel is ready."""
        self.page.goto(f"{self.server.url}lab/tree/{name}?reset")
        self.page.wait_for_function(OPENED, arg=name)
        self.page.evaluate(LISTEN)

    def run_all(self) -> None:
        """Run all cells to the end; an AssertionError says which cell failed, and how."""
        self.page.evaluate(RUN_ALL)
        self._expect_no_error()

    def run_through(self, cell: int | str) -> None:
        """Run the cells up to this one, by its index or by a piece of its source, and it; errors as in `run_all`."""
        self.page.evaluate(RUN_ABOVE, self._index(cell) + 1)
        self._expect_no_error()

    def _expect_no_error(self) -> None:
        for index, cell in enumerate(self._cells()):
            for output in cell.get("outputs", []):
                if output["output_type"] == "error":
                    told = re.sub(r"\x1b\[[0-9;]*m", "", "\n".join(output["traceback"]))
                    raise AssertionError(f"cell {index} failed:\n{cell['source']}\n{told}")

    def output(self, cell: int | str) -> "Locator":
        """The outputs of a cell, by its index or by a piece of its source."""
        return self.page.locator(f".jp-Notebook .jp-Cell >> nth={self._index(cell)} >> .jp-Cell-outputWrapper")

    def screenshot(self, name: str, cell: int | str | None = None) -> None:
        """Keep a picture of the page, or of a cell's outputs, in the folder that COURSE_SCREENSHOTS names, if any."""
        if folder := os.environ.get("COURSE_SCREENSHOTS"):
            shown = self.page if cell is None else self.output(cell)
            shown.screenshot(path=Path(folder) / f"{name}.png")

    def end_kernels(self) -> None:
        self.page.evaluate(END_KERNELS)

    def _cells(self) -> list[dict]:
        return self.page.evaluate(CELLS)

    def _index(self, cell: int | str) -> int:
        if isinstance(cell, int):
            return cell
        found = [index for index, one in enumerate(self._cells()) if cell in one["source"]]
        assert len(found) == 1, f"{len(found)} cells hold {cell!r}"
        return found[0]

    def _note(self, message: "ConsoleMessage") -> None:
        if message.type == "error":
            self.console_errors.append(f"{message.text} ({message.location['url']})")


def serious_faults(page: "Page", selector: str) -> list[str]:
    """What axe-core finds serious or critical within `selector`: one readable text for each element at fault."""
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="pip install axe-playwright-python")
    found = axe.Axe().run(page, context=selector).response["violations"]
    return [
        f"{fault['impact']}: {fault['id']}: {fault['help']}: {node['html']}"
        for fault in found
        if fault["impact"] in ("serious", "critical")
        for node in fault["nodes"]
    ]
