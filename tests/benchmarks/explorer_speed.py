"""How long an explorer takes from an event to the frame that shows it, in Chromium, beside a widget that asks a kernel.

    python tests/benchmarks/explorer_speed.py

Each explorer alone on a page from the file system: 60 events on the first of its cells, sliders and fields each. The
widget is a field of ipywidgets in JupyterLab whose kernel draws the same tables with matplotlib.
"""

import statistics
import sys
import tempfile
from pathlib import Path

from playwright.sync_api import sync_playwright

sys.path.insert(0, str(Path(__file__).parents[1]))

from browser.conftest import CHROMIUM, FLAGS
from browser.explorers import open_page
from browser.lab import Lab, serve
from browser.test_explorers import EXPLORERS

EVENTS = 60
MEASURE = """async (events) => {
    const root = document.querySelector(".course-explorer");
    const ways = [];
    const cells = root.querySelectorAll('[role="gridcell"]');
    const slider = root.querySelector('[role="slider"]');
    const field = root.querySelector('input[type="number"]:not([disabled])');
    const radios = root.querySelectorAll('input[type="radio"], button[aria-pressed]');
    const move = (on) => on.dispatchEvent(new PointerEvent("pointermove", {bubbles: true}));
    const press = (on, key) => on.dispatchEvent(new KeyboardEvent("keydown", {key, bubbles: true, cancelable: true}));
    const options = root.querySelectorAll('[role="option"]');
    if (options.length > 1) ways.push((n) => options[n % 2].click());
    if (cells.length > 1) ways.push((n) => move(cells[n % 2]));
    if (slider) ways.push((n) => press(slider, n % 2 ? "ArrowLeft" : "ArrowRight"));
    if (radios.length > 1) ways.push((n) => radios[n % 2].click());
    if (field) {
        const [one, step] = [Number(field.value), Number(field.step) || 0.01];
        const other = one + step <= Number(field.max || Infinity) ? one + step : one - step;
        const type = (number) => {
            field.value = number;
            field.dispatchEvent(new Event("input", {bubbles: true}));
        };
        ways.push((n) => type(n % 2 ? one : other));
    }
    const shown = () => new Promise((done) => requestAnimationFrame(() => {
        const {port1, port2} = new MessageChannel();  // its message comes after the frame was drawn
        port1.onmessage = done;
        port2.postMessage(0);
    }));
    const script = [], frame = [];
    for (const way of ways) for (let n = 0; n < events; n += 1) {
        await shown();
        const started = performance.now();
        way(n);
        script.push(performance.now() - started);
        await shown();
        frame.push(performance.now() - started);
    }
    return {script, frame};
}"""
WIDGET = """\
import base64, io
import ipywidgets
from matplotlib.figure import Figure
from course_lib.widgets.convolution import _figure
import torch

position, shown = ipywidgets.IntText(description="position"), ipywidgets.HTML()

def draw(change=None):
    written = io.BytesIO()
    pixels = torch.arange(64.0).view(8, 8) + position.value
    _figure(pixels, torch.ones(3, 3), pixels[:6, :6]).savefig(written, format="png", dpi=100)
    shown.value = f"<img src='data:image/png;base64,{base64.b64encode(written.getvalue()).decode()}'>"

position.observe(draw, names="value")
draw()
ipywidgets.VBox([position, shown])
"""
ASK = """async ([cell, number]) => {
    const field = cell.querySelector("input"), shown = cell.querySelector(".widget-html-content, .widget-html");
    const changed = new Promise((done) => new MutationObserver(done).observe(shown, {childList: true, subtree: true}));
    const started = performance.now();
    field.value = number;
    for (const kind of ["input", "change"]) field.dispatchEvent(new Event(kind, {bubbles: true}));
    await changed;
    return performance.now() - started;
}"""


def told(name: str, milliseconds: list[float]) -> float:
    middle = statistics.median(milliseconds)
    print(f"{name:46} median {middle:6.1f} ms, slowest {max(milliseconds):6.1f} ms", flush=True)
    return middle


def main() -> None:
    with sync_playwright() as started, tempfile.TemporaryDirectory() as folder:
        browser = started.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        medians = []
        for name, explorer in EXPLORERS.items():
            if name.startswith("Predict"):  # it is answered once
                continue
            tab = browser.new_page(viewport={"width": 1280, "height": 960})
            open_page(tab, explorer.make(), Path(folder))
            tab.wait_for_timeout(500)  # pictures are decoded first
            found = tab.evaluate(MEASURE, EVENTS)
            told(f"{name}: script", found["script"])
            medians.append(told(f"{name}: until drawn", found["frame"]))
            tab.context.close()
        with serve(Path(folder) / "lab") as server:
            lab = Lab(browser.new_page(viewport={"width": 1280, "height": 960}), server)
            lab.new("widget.ipynb", [WIDGET])
            lab.run_all()
            cell = lab.output(0).element_handle()
            asked = told(
                "a widget that asks the kernel", [lab.page.evaluate(ASK, [cell, n]) for n in range(1, EVENTS + 1)]
            )
            lab.end_kernels()
        browser.close()
    print(f"the kernel takes {asked / max(medians):.0f} times as long as the slowest explorer, by medians")


if __name__ == "__main__":
    main()
