"""A JupyterLab server, a headless Chromium, and a `Lab` for each test: what the tests in this folder share."""

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from course_lib.authoring.links import COLAB, KAGGLE

if TYPE_CHECKING:
    from browser.lab import Lab, Server
    from playwright.sync_api import Browser, Page

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"]
FLAGS += ["--disable-background-networking", "--disable-component-update", "--disable-dev-shm-usage"]
SVG = '<svg xmlns="http://www.w3.org/2000/svg"/>'
UNUSED_S = 900  # then the server ends by itself, should this process not have lived to end it
# All cells are in the page, also those far down; and no box asks, in front of them, whether one wants news.
SETTINGS = {
    "@jupyterlab/notebook-extension/tracker": {"windowingMode": "none"},
    "@jupyterlab/apputils-extension/notification": {"fetchNews": "false"},
}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker("browser")


@pytest.fixture(scope="session")
def lab_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator["Server"]:
    """A server of its own, with simulated data; it knows nothing of the user's settings, and asks nobody outside."""
    from browser.lab import Server

    home = tmp_path_factory.mktemp("jupyter")
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


# Of a module, not of the session: while Playwright is at work, its event loop runs, and what runs a notebook in this
# process (nbclient, nbval) would find it running.
@pytest.fixture(scope="module")
def browser() -> Iterator["Browser"]:
    playwright = pytest.importorskip("playwright.sync_api", reason="Playwright is not here: pip install playwright")
    if CHROMIUM is None:
        pytest.skip("Chromium is not here: apt-get install chromium, or Google Chrome")
    with playwright.sync_playwright() as started:
        browser = started.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def page(browser: "Browser") -> Iterator["Page"]:
    """An empty page of a browser that remembers nothing."""
    context = browser.new_context(viewport={"width": 1280, "height": 960}, locale="en-GB", reduced_motion="reduce")
    context.set_default_timeout(60_000)
    for badge in (COLAB, KAGGLE):  # all that a notebook asks of a network, which is not there in these tests
        context.route(badge, lambda route: route.fulfill(content_type="image/svg+xml", body=SVG))
    yield context.new_page()
    context.close()


@pytest.fixture
def lab(page: "Page", lab_server: "Server") -> Iterator["Lab"]:
    """JupyterLab in `page`; its kernels end with the test."""
    from browser.lab import Lab

    lab = Lab(page, lab_server)
    yield lab
    lab.end_kernels()
