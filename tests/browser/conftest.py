"""A JupyterLab server, a headless Chromium, and a `Lab` for each test: what the tests in this folder share."""

import shutil
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


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker("browser")


@pytest.fixture(scope="session")
def lab_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator["Server"]:
    from browser.lab import serve

    with serve(tmp_path_factory.mktemp("jupyter")) as server:
        yield server


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
