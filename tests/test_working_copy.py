"""The learner's copy of the notebooks: nothing of the learner's is lost, and the course's new versions arrive."""

import json
import shutil
import subprocess
from pathlib import Path

import nbformat
import pytest
from nbformat.sign import NotebookNotary

from course_lib.working_copy import MANIFEST, bring_up_to_date

ROOT = Path(__file__).parents[1]
LESSON, EXERCISES = "01_cnn_anatomy.ipynb", "exercises/01_cnn_anatomy.ipynb"
UPDATED = "exercises/01_cnn_anatomy_updated.ipynb"


@pytest.fixture(autouse=True)
def _own_signatures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JUPYTER_DATA_DIR", str(tmp_path / "jupyter"))


@pytest.fixture
def course(tmp_path: Path) -> Path:
    """The course's notebooks, cut down to a lesson and its exercises."""
    folder = tmp_path / "clone" / "notebooks"
    for name in (LESSON, EXERCISES):
        write(folder / name, "print('one')", output="one\n")
    (folder / "README.md").write_text("# Lessons\n")
    write(folder / "source" / "Untitled.ipynb", "of an author")
    return folder


@pytest.fixture
def mine(course: Path) -> Path:
    copy = course.parent / "my-notebooks"
    assert bring_up_to_date(course, copy) == []
    return copy


def write(path: Path, *cells: str, output: str = "") -> None:
    """A notebook of these cells, the first with an output."""
    notebook = nbformat.v4.new_notebook(
        cells=[nbformat.v4.new_code_cell(cell, id=f"cell-{number}") for number, cell in enumerate(cells)]
    )
    notebook.cells[0].outputs = [nbformat.v4.new_output("stream", text=output)]
    path.parent.mkdir(parents=True, exist_ok=True)
    nbformat.write(notebook, path)


def files(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def test_pages_for_learners_are_copied_and_authors_sources_are_not(course: Path, mine: Path) -> None:
    assert files(mine) == {LESSON, EXERCISES, "README.md", MANIFEST}
    assert (mine / LESSON).read_bytes() == (course / LESSON).read_bytes()


def test_jupyter_trusts_what_was_copied_and_nothing_else(course: Path, mine: Path) -> None:
    notary = NotebookNotary()  # as JupyterLab asks when it opens a page
    assert notary.check_signature(nbformat.read(mine / LESSON, as_version=4))
    write(mine / LESSON, "print('one')", output="another's\n")
    assert not notary.check_signature(nbformat.read(mine / LESSON, as_version=4))


def test_running_a_page_is_no_change_and_its_next_version_replaces_it(course: Path, mine: Path) -> None:
    write(mine / LESSON, "print('one')", output="run by me\n")
    assert bring_up_to_date(course, mine) == []
    assert "run by me" in (mine / LESSON).read_text()
    write(course / LESSON, "print('two')")
    write(course / "02_next.ipynb", "new")
    assert bring_up_to_date(course, mine) == []
    assert "print('two')" in (mine / LESSON).read_text()
    assert files(mine) == {LESSON, EXERCISES, "README.md", MANIFEST, "02_next.ipynb"}


def test_an_answer_is_kept_and_the_next_version_lies_beside_it(course: Path, mine: Path) -> None:
    write(mine / EXERCISES, "my answer")
    write(course / EXERCISES, "print('two')")
    (said,) = bring_up_to_date(course, mine)
    assert "you changed it" in said
    assert UPDATED in said
    assert "my answer" in (mine / EXERCISES).read_text()
    assert "print('two')" in (mine / UPDATED).read_text()
    assert bring_up_to_date(course, mine) == []  # once is enough


def test_a_version_beside_is_replaced_by_the_next_unless_it_was_changed_too(course: Path, mine: Path) -> None:
    write(mine / EXERCISES, "my answer")
    for version in ("two", "three"):
        write(course / EXERCISES, version)
        bring_up_to_date(course, mine)
    assert files(mine) == {LESSON, EXERCISES, UPDATED, "README.md", MANIFEST}
    assert "three" in (mine / UPDATED).read_text()
    write(mine / UPDATED, "my answer to three")
    write(course / EXERCISES, "four")
    (said,) = bring_up_to_date(course, mine)
    assert "my answer to three" in (mine / UPDATED).read_text()
    assert "four" in (mine / "exercises/01_cnn_anatomy_updated_2.ipynb").read_text()
    assert "updated_2" in said


def test_a_page_that_was_deleted_comes_back_as_it_was(course: Path, mine: Path) -> None:
    write(mine / EXERCISES, "my answer")
    (mine / EXERCISES).unlink()
    assert bring_up_to_date(course, mine) == []
    assert (mine / EXERCISES).read_bytes() == (course / EXERCISES).read_bytes()


@pytest.mark.parametrize("manifest", [None, "{", "[]"])
def test_without_a_whole_manifest_what_differs_is_kept(course: Path, mine: Path, manifest: str | None) -> None:
    (mine / MANIFEST).unlink() if manifest is None else (mine / MANIFEST).write_text(manifest)
    write(mine / EXERCISES, "my answer")
    (said,) = bring_up_to_date(course, mine)
    assert EXERCISES in said
    assert "my answer" in (mine / EXERCISES).read_text()
    assert not (mine / "01_cnn_anatomy_updated.ipynb").exists()


def test_a_page_that_is_no_longer_a_notebook_is_kept(course: Path, mine: Path) -> None:
    (mine / EXERCISES).write_text("half of a page")
    write(course / EXERCISES, "print('two')")
    assert len(bring_up_to_date(course, mine)) == 1
    assert (mine / EXERCISES).read_text() == "half of a page"


def test_progress_and_answers_of_a_clone_without_a_copy_are_carried_over(course: Path) -> None:
    def git(*arguments: str) -> None:
        who = ("-c", "user.name=a", "-c", "user.email=a@example.org")
        subprocess.run(["git", *who, *arguments], cwd=course.parent, check=True, capture_output=True)

    if shutil.which("git") is None:
        pytest.skip("git is not here")
    git("init"), git("add", "."), git("commit", "-m", "release")
    write(course / EXERCISES, "my answer, in the course's own page")
    (course / "exercises" / "progress.json").write_text(json.dumps({"01.1": {"state": "correct"}}))
    mine = course.parent / "my-notebooks"
    bring_up_to_date(course, mine)
    git("checkout", "notebooks")
    write(course / EXERCISES, "print('two')")
    bring_up_to_date(course, mine)
    assert "my answer" in (mine / EXERCISES).read_text()
    assert "correct" in (mine / "exercises" / "progress.json").read_text()
    (mine / "exercises" / "progress.json").write_text("{}")
    bring_up_to_date(course, mine)
    assert (mine / "exercises" / "progress.json").read_text() == "{}"


def test_git_does_not_see_the_copy() -> None:
    asked = ["git", "check-ignore", "my-notebooks/01_cnn_anatomy.ipynb"]
    if shutil.which("git") is None or not (ROOT / ".git").exists():
        pytest.skip("the course is not in a git repository here")
    assert subprocess.run(asked, cwd=ROOT, capture_output=True, check=False).returncode == 0
