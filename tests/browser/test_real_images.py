"""The button below a lesson's first output, and the call, in JupyterLab: real images are one click away."""

import hashlib
import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from browser.lab import Lab, expect
from web_host import Host

PREPARE = """\
import os
from dataclasses import replace

os.environ["COURSE_DATA"] = {source!r}
os.environ["COURSE_DATA_DIR"] = {folder!r}
from course_lib.data import chest_xray

chest_xray.PNEUMONIA_MNIST[64] = replace(
    chest_xray.PNEUMONIA_MNIST[64], urls=({url!r},), checksum={checksum!r}
)
"""
START = "from course_lib.lessons import get_real_images, start_lesson\n\nprofile = start_lesson(2)"
LOAD = """\
from course_lib.data import load_chest_xray

images = load_chest_xray(profile.source, image_size=64).test
print(profile.source, images.name, len(images))"""


@pytest.fixture
def cells(serve: Callable[..., Host], tmp_path: Path) -> Callable[..., list[str]]:
    """A page that starts lesson 2, for which a host on this machine stands in."""
    generator, arrays = np.random.default_rng(0), {}
    for split in ("train", "val", "test"):
        arrays[f"{split}_images"] = generator.integers(0, 255, (40, 64, 64), dtype=np.uint8)
        arrays[f"{split}_labels"] = (np.arange(40) % 2)[:, None].astype(np.uint8)
    np.savez(file := io.BytesIO(), **arrays)
    checksum = "md5:" + hashlib.md5(file.getvalue(), usedforsecurity=False).hexdigest()

    def make(source: str = "auto", **behavior: object) -> list[str]:
        url = serve(content=file.getvalue(), **behavior).url
        prepare = PREPARE.format(source=source, folder=str(tmp_path / "data"), url=url, checksum=checksum)
        return [prepare, START, LOAD]

    return make


def test_a_click_fetches_the_real_images_and_a_restarted_lesson_works_on_them(
    lab: Lab, cells: Callable[..., list[str]]
) -> None:
    lab.new("click.ipynb", cells(pause=0.005))
    lab.run_all()
    expect(lab.output(1)).to_contain_text("real ones: get_real_images(), or the button below, fetches them, 21 MB")
    expect(lab.output(2)).to_contain_text("simulated simulated chest radiographs 600")
    button = lab.output(1).get_by_role("button", name="Get the real images (21 MB)")
    lab.screenshot("real-images-before", 1)
    button.click()
    expect(lab.output(1)).to_contain_text("Restart the kernel and run all cells, and the lesson works on them.")
    expect(lab.output(1)).to_contain_text("pneumoniamnist_64.npz: 100%")
    lab.screenshot("real-images-after", 1)
    lab.page.evaluate("() => window.jupyterapp.shell.currentWidget.sessionContext.session.kernel.restart()")
    lab.run_all()
    expect(lab.output(2)).to_contain_text("real chest X-rays 40")
    expect(lab.output(1).get_by_role("button")).to_have_count(0)
    assert lab.console_errors == []


def test_a_stopped_download_is_gone_on_with_by_the_next_click(lab: Lab, cells: Callable[..., list[str]]) -> None:
    lab.new("stopped.ipynb", cells(pause=0.05)[:2])
    lab.run_all()
    button = lab.output(1).get_by_role("button", name="Get the real images (21 MB)")
    button.click()
    expect(lab.output(1)).to_contain_text("pneumoniamnist_64.npz: ")
    lab.page.evaluate("() => window.jupyterapp.shell.currentWidget.sessionContext.session.kernel.interrupt()")
    expect(lab.output(1)).to_contain_text("the download was stopped; what has arrived is kept")
    button.click()
    expect(lab.output(1)).to_contain_text("Restart the kernel and run all cells")
    assert lab.console_errors == []


def test_where_no_host_answers_the_click_says_so_and_the_page_stays_simulated(
    lab: Lab, cells: Callable[..., list[str]]
) -> None:
    lab.new("alone.ipynb", cells(status=404)[:2])
    lab.run_all()
    lab.output(1).get_by_role("button", name="Get the real images (21 MB)").click()
    expect(lab.output(1)).to_contain_text("Not all of the real images are here")
    expect(lab.output(1)).to_contain_text("status 404")
    assert lab.console_errors == []


def test_a_page_that_was_told_to_simulate_has_no_button(lab: Lab, cells: Callable[..., list[str]]) -> None:
    lab.new("simulated.ipynb", cells("simulated")[:2])
    lab.run_all()
    expect(lab.output(1)).to_contain_text("data:     simulated radiographs")
    assert lab.output(1).get_by_role("button").count() == 0
    assert all(set(output.get("data", {})) <= {"text/plain"} for cell in lab._cells() for output in cell["outputs"])
