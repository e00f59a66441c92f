"""Notebooks with planted faults must fail, by name, cell and difference, under nbval and without; good ones pass."""

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree

import nbformat
import pytest
from nbformat import NotebookNode

from course_lib.authoring import build, compare_notebook

TESTS = Path(__file__).parent
SOURCE = """
# %%
import io
import sys

import base64

import ipywidgets
from IPython.display import HTML, display, publish_display_data
from PIL import Image


def saved(picture):
    png = io.BytesIO()
    picture.save(png, "png")
    return png.getvalue()


def draw(picture):
    publish_display_data({"image/png": saved(picture), "text/plain": "a ramp"})


def explore(width=256, alt="a ramp", weight=0.5, script="draw(1)", style="p {}"):
    picture = base64.b64encode(saved(Image.linear_gradient("L").resize((width, 256)))).decode()
    page = f'<div class="still"><img src="data:image/png;base64,{picture}" alt="{alt}"></div>'
    page += f'<script type="application/json">{{"weight": [1, {weight}]}}</script>'
    display(HTML(page + f'<style>{style}</style><script type="module">{script}</script>'))


print("conv1 gives", (1, 32, 26, 26))

# %% tags=["tol-0.02"]
print("loss 0.693")

# %%
draw(Image.linear_gradient("L"))

# %%
explore()
ipywidgets.FileUpload()

# %%
print("done")
"""
Failures = dict[str, dict[int, str]]  # by notebook and cell
COLORS = re.compile(r"#x1B\[[\d;]*m")  # as junit writes them
SHAPE, LOSS, PICTURE, PAGE, LAST = range(5)  # the cells


def say(cell: int, text: str) -> Callable[[NotebookNode], None]:
    """The saved text output of a cell becomes `text`."""
    return lambda notebook: notebook.cells[cell].outputs[0].update(text=f"{text}\n")


def run(cell: int, source: str) -> Callable[[NotebookNode], None]:
    """The cell becomes another one, its saved output stays."""
    return lambda notebook: notebook.cells[cell].update(source=source)


def tag(cell: int, name: str) -> Callable[[NotebookNode], None]:
    return lambda notebook: notebook.cells[cell].metadata.update(tags=[name])


def drop_output(cell: int) -> Callable[[NotebookNode], None]:
    return lambda notebook: notebook.cells[cell].update(outputs=[])


def warned(notebook: NotebookNode) -> None:
    """The last cell warns, and did so when it was saved."""
    run(LAST, "print('careful', file=sys.stderr)")(notebook)
    notebook.cells[LAST].outputs = [nbformat.v4.new_output("stream", name="stderr", text="careful\n")]


def never_run(notebook: NotebookNode) -> None:
    for cell in notebook.cells:
        cell.update(execution_count=None, outputs=[])


def wider(notebook: NotebookNode) -> None:
    """A number in a column has become a digit wider, so the column's heading stands further to the right."""
    run(LOSS, "print('        here\\nloss  10.01')")(notebook)
    say(LOSS, "       here\nloss  9.995")(notebook)


TOO_LONG = "Timeout of 4 seconds exceeded|did not finish within 4 s"  # in nbval's words, or in ours
DIED = "Timeout of 4 seconds exceeded|the kernel died"
FAULTS = {
    "shape": (say(SHAPE, "conv1 gives (1, 32, 28, 28)"), SHAPE, "saved was 28, now came 26"),
    "last_digit": (run(SHAPE, SOURCE.split("# %%")[1].replace("26))", "27))")), SHAPE, "must agree exactly"),
    "words": (say(SHAPE, "conv2 gives (1, 32, 26, 26)"), SHAPE, "saved was 'conv2 gives (1, 32, 26, 26)'"),
    "beyond_tolerance": (
        say(LOSS, "loss 0.714"),
        LOSS,
        "saved was 0.714, now came 0.693, and they must agree within 0.02",
    ),
    "unknown_tolerance": (tag(LOSS, "tol-some"), LOSS, "write one tolerance, such as tol-0.02"),
    "ignored": (tag(LOSS, "nbval-ignore-output"), LOSS, "keeps this cell from being compared"),
    "ignored_by_comment": (
        run(LOSS, "# NBVAL_IGNORE_OUTPUT\nprint('loss 0.5')"),
        LOSS,
        "keeps this cell from being compared",
    ),
    "may_fail": (tag(LOSS, "raises-exception"), LOSS, "keeps this cell from being compared"),
    "skipped": (tag(LOSS, "nbval-skip"), LOSS, "keeps this cell from being compared"),
    "missing_picture": (run(PICTURE, "ramp = Image.linear_gradient('L')"), PICTURE, "now came nothing"),
    "unsaved_picture": (drop_output(PICTURE), PICTURE, "saved was nothing"),
    "blank_picture": (
        run(PICTURE, "draw(Image.new('L', (256, 256)))"),
        PICTURE,
        "new picture is blank",
    ),
    "small_picture": (run(PICTURE, "draw(Image.linear_gradient('L').resize((90, 256)))"), PICTURE, "now came 90x256"),
    "missing_page": (
        run(PAGE, "ipywidgets.FileUpload()"),
        PAGE,
        "saved was text/html with text/plain; now came nothing",
    ),
    "page_in_words": (run(PAGE, "explore(alt='a wave')"), PAGE, """ramp">', now came"""),
    "page_in_its_state": (run(PAGE, "explore(weight=0.25)"), PAGE, "saved was 0.5, now came 0.25"),
    "page_with_another_picture": (run(PAGE, "explore(width=90)"), PAGE, "saved was 256x256 pixels, now came 90x256"),
    "new_stderr": (run(LAST, "print('done')\nprint('beware', file=sys.stderr)"), LAST, "now came stdout, stderr"),
    "saved_stderr": (warned, LAST, "stderr was saved, 'careful\\n'; fix what warns"),
    "silent": (run(LAST, "x = 1"), LAST, "saved was stdout; now came nothing"),
    "exception": (run(LAST, "raise KeyError('lung')"), LAST, "KeyError: 'lung'"),
    "never_run": (never_run, SHAPE, "saved without having been run"),
    "endless": (run(LAST, "while True:\n    pass"), LAST, TOO_LONG),
    "dead_kernel": (run(LAST, "import os\nos._exit(1)"), LAST, DIED),
}
HARMLESS = {
    "within_tolerance": (say(LOSS, "loss 0.674"), LOSS),
    "wider_column": (wider, LOSS),
    "page_with_another_script": (run(PAGE, "explore(script='draw(2)', style='p { width: 9em }')"), PAGE),
    "page_with_another_picture_of_its_size": (run(PAGE, "explore(width=257)"), PAGE),
    "widget_beside_a_page": (run(PAGE, "explore()\ndisplay(ipywidgets.IntSlider(3))"), PAGE),
    "picture_by_a_pixel": (run(PICTURE, "draw(Image.linear_gradient('L').resize((257, 256)))"), PICTURE),
}


def packed(planted: dict[str, int], stem: str) -> dict[str, dict[int, str]]:
    """The notebooks, in each of which at most one thing is planted in a cell: by its stem, what is in which cell."""
    notebooks: list[dict[int, str]] = []
    for name, cell in planted.items():
        place = next((one for one in notebooks if cell not in one), None)
        if place is None:
            notebooks.append(place := {})
        place[cell] = name
    return {f"{stem}_{number}": cells for number, cells in enumerate(notebooks)}


ALONE = "never_run"  # it is a fault of all cells
FAULTY = packed({name: cell for name, (_, cell, _) in FAULTS.items() if name != ALONE}, "faulty")
FAULTY |= {ALONE: {SHAPE: ALONE}}
FINE = packed({name: cell for name, (_, cell) in HARMLESS.items()}, "fine") | {"unchanged": {}}


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the notebooks: those with faults, and those with what is none."""
    folder = tmp_path_factory.mktemp("planted")
    source = folder / "source" / "good.py"
    source.parent.mkdir()
    source.write_text(SOURCE.lstrip())
    (good,) = build(source)
    for stem, cells in {**FAULTY, **FINE}.items():
        notebook = nbformat.read(good, as_version=4)
        for name in cells.values():
            (FAULTS | HARMLESS)[name][0](notebook)
        nbformat.write(notebook, folder / f"{stem}.ipynb")
    return folder


def by_nbval(folder: Path) -> Failures:
    command = ["-m", "pytest", "--nbval", "--nbval-current-env", "--nbval-cell-timeout=4", "-p", "notebook_comparison"]
    report = folder / "report.xml"
    done = subprocess.run(
        [sys.executable, *command, "-p", "no:cacheprovider", f"--junitxml={report}", "--color=no", str(folder)],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(map(str, (TESTS, TESTS.parent)))},
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
    )
    assert report.exists(), done.stderr
    said: Failures = {}
    for case in ElementTree.parse(report).iter("testcase"):
        name, cell = case.attrib["classname"].split(".")[-2], int(case.attrib["name"].removeprefix("Cell "))
        said.setdefault(name, {})
        for failure in case.findall("failure"):
            said[name][cell] = COLORS.sub("", failure.text or "")
    return said


def plainly(folder: Path) -> Failures:
    found = {stem: compare_notebook(folder / f"{stem}.ipynb", cell_seconds=4) for stem in (*FAULTY, *FINE)}
    return {stem: {cell: "\n".join(said) for cell, said in cells.items()} for stem, cells in found.items()}


@pytest.fixture(scope="module", params=[by_nbval, plainly], ids=lambda front: front.__name__)
def failures(request: pytest.FixtureRequest, planted: Path) -> Failures:
    """For each planted notebook, what is said of each cell that is wrong."""
    return request.param(planted)


@pytest.mark.parametrize(
    ("stem", "cell", "name"), [(stem, cell, name) for stem, cells in FAULTY.items() for cell, name in cells.items()]
)
def test_a_planted_fault_is_caught_in_its_cell_and_named(stem: str, cell: int, name: str, failures: Failures) -> None:
    _, _, difference = FAULTS[name]
    assert any(words in failures[stem][cell] for words in difference.split("|"))


@pytest.mark.parametrize("stem", FINE)
def test_what_a_reader_would_not_mind_passes(stem: str, failures: Failures) -> None:
    assert failures[stem] == {}


@pytest.mark.parametrize("stem", [stem for stem in FAULTY if stem != ALONE])
def test_a_fault_spoils_no_other_cell(stem: str, failures: Failures) -> None:
    assert failures[stem].keys() == FAULTY[stem].keys()
