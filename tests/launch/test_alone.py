"""Each notebook as Colab opens it: one file in an empty folder, a host that has torch, and no course.

The host's versions here are those of this environment; test_hosts.py has those of the hosts.
"""

import json
import re
import shutil
import socket
import subprocess
import sysconfig
import time
from collections.abc import Callable
from importlib import metadata
from pathlib import Path

import nbformat
import pytest
from launch.host import ABSENT, build_wheel, make_python, offline

from course_lib.authoring import exercise_sources, lessons
from course_lib.authoring.editions import editions_of
from course_lib.authoring.links import ROOT, address

PAGES = [*lessons(), *(editions_of(source)[0] for source in exercise_sources())]
RUN = """\
import json, sys, types

sys.modules["google"] = types.ModuleType("google")
sys.modules["google.colab"] = types.ModuleType("google.colab")
from IPython.core.interactiveshell import InteractiveShell

shell = InteractiveShell.instance(history_load_length=0)
sections = 0
for cell in json.load(open(sys.argv[1], encoding="utf-8"))["cells"]:
    source = "".join(cell["source"])
    if cell["cell_type"] == "code":
        for _ in range(2 if "setup" in cell["metadata"].get("tags", []) else 1):  # the set-up works again
            if not shell.run_cell(source).success:
                sys.exit(1)
    sections += source.startswith("## ") or "\\n## " in source
    if sections == 2:
        break
"""
Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Python of a host: what is installed here, but for the course and three packages that Colab lacks."""
    python, packages = make_python(tmp_path_factory.mktemp("host"))
    absent = {file.parts[0] for name in ("course-lib", *ABSENT) for file in metadata.files(name) or ()}
    for path in Path(sysconfig.get_path("purelib")).iterdir():
        if path.name not in absent and not (packages / path.name).exists():
            (packages / path.name).symlink_to(path)
    return python


@pytest.fixture
def content(tmp_path: Path) -> Path:
    """The folder that the notebook lies in."""
    folder = tmp_path / "content"
    folder.mkdir()
    return folder


@pytest.fixture
def run(host: Path, index: Path, content: Path, tmp_path: Path) -> Run:
    """Run a page up to its second section; the course's address leads to `git`, or git to a port that nobody serves."""

    def run_page(page: Path, git: Path | None = None) -> subprocess.CompletedProcess[str]:
        shutil.copy(page, content)
        (tmp_path / "run.py").write_text(RUN)
        environment = offline(index) | {"HOME": str(tmp_path), "OMP_NUM_THREADS": "1"}
        key = f"url.{git.as_uri()}.insteadOf" if git else "http.proxy"
        value = f"https://github.com/ada-lovelace/{address().name}" if git else "http://127.0.0.1:9"
        environment |= {"GIT_CONFIG_COUNT": "1", "GIT_CONFIG_KEY_0": key, "GIT_CONFIG_VALUE_0": value}
        environment |= {"COURSE_DATA": "simulated", "MPLBACKEND": "agg"}
        command = [host, tmp_path / "run.py", page.name]
        return subprocess.run(command, cwd=content, env=environment, capture_output=True, text=True, check=False)

    return run_page


@pytest.mark.parametrize("page", PAGES, ids=lambda page: f"{page.parent.name}-{page.stem}")
def test_a_published_notebook_opened_alone_fetches_the_course_and_runs(
    page: Path, run: Run, host: Path, published: Path, record_property: Callable[[str, object], None]
) -> None:
    before = versions(host)
    started = time.perf_counter()
    done = run(published / page.relative_to(ROOT), git=published)
    record_property("launch", f"{page.parent.name}/{page.name:32} as on Colab {time.perf_counter() - started:5.0f} s")
    assert done.returncode == 0, done.stdout + done.stderr
    assert not re.search("Collecting|Requirement|Successfully|WARNING|notice", done.stdout + done.stderr)
    if page.parent.name == "notebooks":
        assert ", on Colab" in done.stdout
        assert "Change runtime type" in done.stdout
    after = versions(host)
    assert after["course-lib"] == address().tag[1:]
    assert after.keys() - before.keys() <= {"course-lib", *ABSENT}


@pytest.mark.parametrize("kind", ["wheel", "zip of GitHub's", "zip made on a Mac", "folder"])
def test_an_unpublished_notebook_takes_the_course_that_lies_beside_it(
    kind: str, run: Run, host: Path, course: Path, content: Path, tmp_path: Path
) -> None:
    remove(host)
    if kind == "wheel":
        build_wheel(course, content)
    elif kind == "folder":
        shutil.copytree(course, content / "cnn-course-main")
    else:
        shutil.copytree(course, tmp_path / "zip" / "cnn-course-main")
        if kind == "zip made on a Mac":  # the Finder adds a folder of its own
            (tmp_path / "zip" / "__MACOSX" / "cnn-course-main").mkdir(parents=True)
            (tmp_path / "zip" / "__MACOSX" / "cnn-course-main" / "._pyproject.toml").write_bytes(b"\0")
        shutil.make_archive(str(content / "cnn-course-main"), "zip", tmp_path / "zip")
    done = run(with_set_up_alone(course / PAGES[0].relative_to(ROOT), tmp_path))
    assert done.returncode == 0, done.stdout + done.stderr
    first, second, *_ = done.stdout.splitlines()
    assert (first, second) == ("Installing the course: about a minute.", "Lesson 1: CNN anatomy, on Colab")
    assert versions(host)["course-lib"] == address().tag[1:]


def test_an_unpublished_notebook_alone_says_so_and_what_to_do(
    run: Run, host: Path, course: Path, tmp_path: Path
) -> None:
    remove(host)
    done = run(with_set_up_alone(course / PAGES[0].relative_to(ROOT), tmp_path))
    assert done.returncode == 1
    said = plain(done.stdout + done.stderr)
    assert said[0].startswith("Nobody has published this copy of the course yet")
    assert any("as a zip" in line for line in said)
    assert len(said) <= 4


@pytest.mark.parametrize("kind", ["no connection", "no such repository"])
def test_where_pip_fails_its_reason_is_repeated_and_the_network_named_only_if_it_is_the_matter(
    kind: str, run: Run, host: Path, published: Path, tmp_path: Path
) -> None:
    remove(host)
    page = with_set_up_alone(published / PAGES[0].relative_to(ROOT), tmp_path)
    done = run(page, git=tmp_path / "nowhere" if kind == "no such repository" else None)
    assert done.returncode == 1
    said = plain(done.stdout + done.stderr)
    assert f"pip could not install the course from https://github.com/ada-lovelace/{address().name}:" in said
    assert any(line.startswith("fatal: ") for line in said)
    assert len(said) <= 6, said
    blamed = any(line.startswith("There is no network") for line in said)
    assert blamed == (kind == "no connection" and not reaches_github())


def reaches_github() -> bool:
    try:
        socket.create_connection(("github.com", 443), timeout=3).close()
    except OSError:
        return False
    return True


def with_set_up_alone(page: Path, folder: Path) -> Path:
    """The page without the cells after its set-up."""
    notebook = nbformat.read(page, as_version=4)
    notebook.cells = notebook.cells[:2]
    nbformat.write(notebook, folder / page.name)
    return folder / page.name


def remove(host: Path) -> None:
    """Have the host lack the course again."""
    if "course-lib" in versions(host):
        subprocess.run([host, "-m", "pip", "uninstall", "-q", "-y", "course-lib"], check=True, capture_output=True)


def plain(text: str) -> list[str]:
    return [line for line in re.sub(r"\x1b\[[\d;]*m", "", text).splitlines() if line.strip()]


def versions(python: Path) -> dict[str, str]:
    code = "import json, importlib.metadata as m; print(json.dumps({f.name: f.version for f in m.distributions()}))"
    return dict(json.loads(subprocess.run([python, "-c", code], capture_output=True, text=True, check=True).stdout))
