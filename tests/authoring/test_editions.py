"""Sources become notebooks, byte for byte the same each time, and edits find their way back."""

import io
import os
import shutil
from pathlib import Path

import nbformat
import numpy as np
import PIL.Image
import pytest

from course_lib.authoring import CellError, build, editions_of, pull, refresh_scripts, stale
from course_lib.authoring import editions as editions_module
from course_lib.exercises import load
from course_lib.widgets import page

SOURCE = """\
# %% [markdown]
# # One question
#
# How long does $2 + 2$ take?

# %%
import time

import ipywidgets
from IPython.display import HTML, display

print(2 + 2)

# %% tags=["tol-x1000000"]
print(f"{time.time() % 1000 + 1:.9f} s")

# %%
display(HTML("<b>a page</b>"))
ipywidgets.IntSlider(description="kernel")
"""
VIEW = "application/vnd.jupyter.widget-view+json"


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "source" / "01_time.py"
    path.parent.mkdir()
    path.write_text(SOURCE)
    return path


def test_a_second_build_writes_the_same_bytes_though_it_measured_another_time(source: Path) -> None:
    first = build(source)[0].read_bytes()
    assert build(source)[0].read_bytes() == first


def test_a_notebook_holds_outputs_counts_and_the_plain_kernel_and_no_path_or_date(source: Path) -> None:
    (edition,) = build(source)
    notebook = nbformat.read(edition, as_version=4)
    nbformat.validate(notebook)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in code] == [1, 2, 3]
    assert code[0].outputs[0].text == "4\n"
    assert notebook.metadata.kernelspec.name == "python3"
    text = edition.read_text()
    assert str(source.parent) not in text
    assert "iopub" not in text


def test_no_widget_is_saved_and_of_an_output_with_a_picture_beside_its_view_the_picture(source: Path) -> None:
    both = {VIEW: {"model_id": "7"}, "text/html": "<i>still</i>", "text/plain": "[still]"}
    source.write_text(SOURCE + f"\n# %%\ndisplay({both!r}, raw=True)\n")
    notebook = nbformat.read(build(source)[0], as_version=4)
    assert "widgets" not in notebook.metadata
    page, still = notebook.cells[-2].outputs, notebook.cells[-1].outputs
    assert [output.data["text/html"] for output in page] == ["<b>a page</b>"]
    assert [output.data for output in still] == [{"text/html": "<i>still</i>", "text/plain": "[still]"}]


def test_a_module_that_changed_is_renewed_in_saved_pages_with_nothing_else_and_no_run(
    source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    explorer = (
        '<div class="course-explorer-root" data-explorer="shapes"><div class="still">still</div>'
        '<script type="application/json">{"at": 1}</script>'
        '<style>p {}</style><script type="module">draw("\\\\n<style>")</script></div>'
    )
    source.write_text(f"# %%\nfrom IPython.display import HTML\n\nHTML({explorer!r})\n")
    monkeypatch.setattr(page, "style_source", lambda name: "b {}")
    monkeypatch.setattr(page, "module_source", lambda name: f"draw({name!r}, '\\\\1<\\\\/script>')")

    def saved() -> str:
        return nbformat.read(edition, as_version=4).cells[0].outputs[0].data["text/html"]

    (edition,) = build(source)
    before = edition.read_bytes()
    monkeypatch.setattr(page, "style_source", lambda name: "i {}")
    assert refresh_scripts(source) == [edition]
    assert edition.read_bytes() == before.replace(b"b {}", b"i {}")
    assert saved() == explorer.replace("p {}", "i {}").replace(
        'draw("\\\\n<style>")', "draw('shapes', '\\\\1<\\\\/script>')"
    )
    assert refresh_scripts(source) == []
    assert build(source) == [edition]
    assert b"i {}" in edition.read_bytes()  # though the page agrees with that saved


def test_a_number_beyond_its_tolerance_is_saved_anew(source: Path) -> None:
    source.write_text("# %%\nprint(open('number').read())\n")
    number = source.parents[1] / "number"
    number.write_text("1")
    build(source)
    number.write_text("2")
    assert nbformat.read(build(source)[0], as_version=4).cells[0].outputs[0].text == "2\n"


def test_where_one_number_or_picture_changed_the_whole_page_is_of_the_last_run(source: Path) -> None:
    pictured = "# %%\nfrom IPython.display import Image\nImage(open('picture', 'rb').read(), format='png')\n"
    source.write_text("# %% tags=['tol-9']\nprint(open('number').read())\n\n" + pictured)
    number, picture = (source.parents[1] / name for name in ("number", "picture"))
    png = [_png(color) for color in (1, 2)]

    def printed() -> str:
        return nbformat.read(build(source)[0], as_version=4).cells[0].outputs[0].text

    number.write_text("1")
    picture.write_bytes(png[0])
    assert printed() == "1\n"
    number.write_text("2")
    assert printed() == "1\n"
    picture.write_bytes(png[1])
    assert printed() == "2\n"
    number.write_text("3")
    source.write_text(source.read_text().replace("print(", "print( "))
    assert printed() == "3\n"


def _png(value: int) -> bytes:
    buffer = io.BytesIO()
    pixels = np.tile(np.arange(64, dtype=np.uint8) * value, (64, 1))
    PIL.Image.fromarray(pixels).save(buffer, "png")
    return buffer.getvalue()


def test_a_cell_that_fails_is_named_and_the_old_notebook_is_kept(source: Path) -> None:
    before = build(source)[0].read_bytes()
    source.write_text(SOURCE + "\n# %%\nlungs = {}\nlungs['left']\n")
    with pytest.raises(CellError, match=r"code cell 3 \(lungs = \{\}\): KeyError: 'left'"):
        build(source)
    assert editions_of(source)[0].read_bytes() == before


def test_an_edit_in_jupyter_is_pulled_into_the_source(source: Path) -> None:
    (edition,) = build(source)
    assert stale(source) == []
    assert not pull(source)
    notebook = nbformat.read(edition, as_version=4)
    notebook.cells[0].source = "# Another question"
    notebook.cells[2].source = "print(3)"
    notebook.cells[2].metadata["trusted"] = True  # as JupyterLab adds
    nbformat.write(notebook, edition)
    os.utime(edition, (source.stat().st_mtime + 10,) * 2)
    assert any("another source" in problem for problem in stale(source))
    assert pull(source)
    assert "# # Another question\n" in source.read_text()
    assert '# %% tags=["tol-x1000000"]\nprint(3)\n' in source.read_text()
    assert "trusted" not in source.read_text()


@pytest.mark.parametrize(
    ("before", "after", "problem"),
    [
        ("2 + 2)", "2 + 3)", "another source"),
        ('tags=["tol-x1000000"]', "", "another metadata"),
        ("# # One question", "# # One answer", "another source"),
        ("ipywidgets.Int", "1\n\n# %%\nipywidgets.Int", "has 5"),
    ],
)
def test_a_source_that_was_edited_makes_its_notebook_stale(source: Path, before: str, after: str, problem: str) -> None:
    build(source)
    source.write_text(SOURCE.replace(before, after))
    assert any(problem in found for found in stale(source))


def test_neither_building_nor_pulling_drops_an_edit_that_the_other_file_lacks(source: Path) -> None:
    (edition,) = build(source)
    now = edition.stat().st_mtime
    notebook = nbformat.read(edition, as_version=4)
    notebook.cells[0].source = "# Another question"
    nbformat.write(notebook, edition)
    os.utime(edition, (now + 10, now + 10))
    with pytest.raises(ValueError, match="course build --pull"):
        build(source)
    source.write_text(SOURCE.replace("One question", "One answer"))
    os.utime(source, (now + 20, now + 20))
    with pytest.raises(ValueError, match="pulling would drop that"):
        pull(source)
    assert "One answer" in source.read_text()
    assert "Another question" in edition.read_text()


def test_a_page_follows_its_tasks_and_an_edit_of_the_page_itself_is_not_dropped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(load, "FOLDER", shutil.copytree(load.FOLDER, tmp_path / "tasks"))
    monkeypatch.setattr(load, "_loaded", {})
    monkeypatch.setattr(editions_module, "execute", lambda *_, **__: None)  # what comes out of the cells is not asked
    frame, task = tmp_path / "source" / "exercises" / "01_page.py", next((tmp_path / "tasks").glob("t01_1_*.py"))
    frame.parent.mkdir(parents=True)
    frame.write_text("# %% [markdown]\n# # A page\n\n# %% tasks\n")
    pages = build(frame)
    _write_at(100, frame, *(tmp_path / "tasks").glob("*.py"))
    _write_at(200, *pages)
    task.write_text(task.read_text().replace('title, name, points = "01.1", "', 'title, name, points = "01.1", "New: '))
    _write_at(300, task)
    monkeypatch.setattr(load, "_loaded", {})
    assert "New: " in build(frame)[0].read_text()
    pages[0].write_text(pages[0].read_text().replace("New: ", "Newer: "))
    _write_at(400, pages[0])
    with pytest.raises(ValueError, match=r"was edited after 01_page\.py, .* take it over into its tasks by hand"):
        build(frame)


def _write_at(seconds: int, *paths: Path) -> None:
    for path in paths:
        os.utime(path, (seconds, seconds))


def test_a_missing_notebook_is_stale_and_cannot_be_pulled(source: Path) -> None:
    assert "missing" in stale(source)[0]
    with pytest.raises(FileNotFoundError, match="build it first"):
        pull(source)
