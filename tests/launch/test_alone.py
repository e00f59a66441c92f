"""Each notebook as Colab opens it: one file in an empty folder, a host that has torch, and no course.

The host's versions here are those of this environment; test_hosts.py has those of the hosts.
"""

import json
import re
import shutil
import socket
import subprocess
import sysconfig
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from typing import NamedTuple

import nbformat
import pytest
from launch.host import ABSENT, build_wheel, make_python, offline

from course_lib.authoring import exercise_sources, lessons
from course_lib.authoring.editions import editions_of
from course_lib.authoring.links import ROOT, address

PAGES = [*lessons(), *(editions_of(source)[0] for source in exercise_sources())]
RUN = """\
import importlib, json, os, sys, time, types

sys.modules["google"] = types.ModuleType("google")
sys.modules["google.colab"] = types.ModuleType("google.colab")
from IPython.core.interactiveshell import InteractiveShell


def run(page):
    shell = InteractiveShell.instance(history_load_length=0)
    sections = 0
    for cell in json.load(open(page, encoding="utf-8"))["cells"]:
        source = "".join(cell["source"])
        if cell["cell_type"] == "code":
            for _ in range(2 if "setup" in cell["metadata"].get("tags", []) else 1):  # the set-up works again
                if not shell.run_cell(source).success:
                    return 1
        sections += source.startswith("## ") or "\\n## " in source
        if sections == 2:
            break
    return 0


if len(sys.argv) > 2:  # each page begins in a process that has loaded what most need, and nothing of the course
    for name in ("torch", "torchvision", "matplotlib.pyplot", "scipy.stats", "sklearn.metrics", "IPython.display"):
        importlib.import_module(name)
for page in sys.argv[1:]:
    started = time.perf_counter()
    child = os.fork()
    if not child:
        os.chdir(os.path.dirname(page))
        said = os.open(f"{page}.said", os.O_WRONLY | os.O_CREAT)
        os.dup2(said, 1)
        os.dup2(said, 2)
        status = 1
        try:
            status = run(page)
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(status)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    open(f"{page}.came", "w").write(json.dumps([status, time.perf_counter() - started]))
"""


class Ran(NamedTuple):
    """What came of a page: the status, all that it said, and how long it took."""

    status: int
    said: str
    seconds: float


Run = Callable[..., Ran]


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Python of a host: what is installed here, but for the course and three packages that Colab lacks."""
    python, packages = make_python(tmp_path_factory.mktemp("host"))
    absent = {file.parts[0] for name in ("course-lib", *ABSENT) for file in metadata.files(name) or ()}
    for path in Path(sysconfig.get_path("purelib")).iterdir():
        if path.name not in absent and not (packages / path.name).exists():
            (packages / path.name).symlink_to(path)
    return python


def run_pages(pages: list[Path], home: Path, host: Path, index: Path, git: Path | None) -> list[Ran]:
    """Run pages up to their second section; the course's address leads to `git`, or git to a port nobody serves."""
    (home / "run.py").write_text(RUN)
    environment = offline(index) | {"HOME": str(home), "OMP_NUM_THREADS": "1"}
    key = f"url.{git.as_uri()}.insteadOf" if git else "http.proxy"
    value = f"https://github.com/ada-lovelace/{address().name}" if git else "http://127.0.0.1:9"
    environment |= {"GIT_CONFIG_COUNT": "1", "GIT_CONFIG_KEY_0": key, "GIT_CONFIG_VALUE_0": value}
    environment |= {"COURSE_DATA": "simulated", "MPLBACKEND": "agg"}
    subprocess.run([host, home / "run.py", *pages], env=environment, check=True)
    came = [json.loads(Path(f"{page}.came").read_text()) for page in pages]
    said = [Path(f"{page}.said").read_text() for page in pages]
    return [Ran(status, text, seconds) for (status, seconds), text in zip(came, said, strict=True)]


@pytest.fixture
def content(tmp_path: Path) -> Path:
    """The folder that the notebook lies in."""
    folder = tmp_path / "content"
    folder.mkdir()
    return folder


@pytest.fixture
def run(host: Path, index: Path, content: Path, tmp_path: Path) -> Run:
    def run_page(page: Path, git: Path | None = None) -> Ran:
        return run_pages([Path(shutil.copy(page, content))], tmp_path, host, index, git)[0]

    return run_page


class Opened(NamedTuple):
    """What came of each page, and the host's packages before and after."""

    ran: dict[Path, Ran]
    before: dict[str, str]
    after: dict[str, str]


@pytest.fixture(scope="module")
def opened(host: Path, index: Path, published: Path, tmp_path_factory: pytest.TempPathFactory) -> Opened:
    """Each published page alone in a folder: the first fetches the course, the others find it."""
    home, copies = tmp_path_factory.mktemp("opened"), []
    for page in PAGES:
        folder = home / f"{page.parent.name}-{page.stem}" / "content"
        folder.mkdir(parents=True)
        copies.append(Path(shutil.copy(published / page.relative_to(ROOT), folder)))
    remove(host)
    before = versions(host)
    ran = run_pages(copies, home, host, index, published)
    return Opened(dict(zip(PAGES, ran, strict=True)), before, versions(host))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: f"{page.parent.name}-{page.stem}")
def test_a_published_notebook_opened_alone_runs(
    page: Path, opened: Opened, record_property: Callable[[str, object], None]
) -> None:
    done = opened.ran[page]
    record_property("launch", f"{page.parent.name}/{page.name:32} as on Colab {done.seconds:5.0f} s")
    assert done.status == 0, done.said
    assert not re.search("Collecting|Requirement|Successfully|WARNING|notice", done.said)
    assert ("Installing the course" in done.said) == (page == PAGES[0])
    if page.parent.name == "notebooks":
        assert ", on Colab" in done.said
        assert "Change runtime type" in done.said


def test_a_published_notebook_fetches_the_course_and_what_the_host_lacks(opened: Opened) -> None:
    assert "course-lib" not in opened.before
    assert opened.after["course-lib"] == address().tag[1:]
    assert opened.after.keys() - opened.before.keys() <= {"course-lib", *ABSENT}


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
    assert done.status == 0, done.said
    first, second, *_ = done.said.splitlines()
    assert (first, second) == ("Installing the course: about a minute.", "Lesson 1: CNN anatomy, on Colab")
    assert versions(host)["course-lib"] == address().tag[1:]


def test_an_unpublished_notebook_alone_says_so_and_what_to_do(
    run: Run, host: Path, course: Path, tmp_path: Path
) -> None:
    remove(host)
    done = run(with_set_up_alone(course / PAGES[0].relative_to(ROOT), tmp_path))
    assert done.status == 1
    said = plain(done.said)
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
    assert done.status == 1
    said = plain(done.said)
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
