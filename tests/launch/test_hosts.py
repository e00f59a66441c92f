"""The course in the sets of packages of Colab, Kaggle and SageMaker: pip's own report of what it would do."""

import re
import shutil
import subprocess
import tomllib
from pathlib import Path
from zipfile import ZipFile

import pytest
from hosts.pins import pins
from launch.host import (
    ABSENT,
    HOSTS,
    build_wheel,
    dry_run,
    make_host,
    make_python,
    needed_by,
    would_install,
    write_wheel,
)
from packaging.specifiers import SpecifierSet

from course_lib.authoring.links import ROOT
from course_lib.models.trained import WEIGHTS
from course_lib.set_up import set_up_file

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
ADDED = {"course-lib", *ABSENT, "jedi"}  # IPython 7 needs jedi, which Colab has left out
OLD_BOUNDS = {"ipywidgets": ">=8.1", "scikit-learn": ">=1.8", "urllib3": ">=2.2"}

each_host = pytest.mark.parametrize("name", HOSTS)


@pytest.fixture(scope="module")
def newest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An index of all that the course needs, as installed here."""
    folder = tmp_path_factory.mktemp("newest")
    for name in needed_by("course-lib[lessons]") - {"course-lib"}:
        write_wheel(folder, name)
    return folder


@pytest.fixture(scope="module")
def hosts(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    _, pip = make_python(tmp_path_factory.mktemp("pip"))
    return {name: make_host(tmp_path_factory.mktemp(name), host, pip) for name, host in HOSTS.items()}


@pytest.fixture(scope="module")
def wheel(course: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_wheel(course, tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="module")
def old_wheel(course: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The course with bounds that it once had, which today's hosts do not meet."""
    folder = shutil.copytree(course, tmp_path_factory.mktemp("old") / "course")
    text = (folder / "pyproject.toml").read_text()
    for name, bound in OLD_BOUNDS.items():
        text, count = re.subn(rf'"{name}>=[\d.]+"', f'"{name}{bound}"', text)
        assert count == 1
    (folder / "pyproject.toml").write_text(text)
    return build_wheel(folder, tmp_path_factory.mktemp("old-wheel"))


def replaced(name: str, python: Path, wheel: Path, newest: Path, tmp_path: Path) -> tuple[set[str], set[str]]:
    """What `pip install` of the course would replace on a host, and what it would add."""
    command = [python, "-m", "pip", "install", f"course-lib[lessons] @ {wheel.as_uri()}"]
    environment = dry_run(newest, tmp_path / "report.json")
    subprocess.run(command, env=environment, check=True, capture_output=True)
    names = set(would_install(tmp_path / "report.json"))
    return names & HOSTS[name]["packages"].keys(), names - HOSTS[name]["packages"].keys()


def test_an_installed_course_has_what_the_lessons_found_on_real_images(wheel: Path) -> None:
    with ZipFile(wheel) as content:
        held = {name for name in content.namelist() if name.startswith("course_lib/real_results/")}
    folder = ROOT / "course_lib" / "real_results"
    assert {path.name for path in folder.glob("lesson_*")} == {Path(name).name for name in held if "/lesson_" in name}


def test_the_wheel_holds_the_networks_that_ship_with_the_course(wheel: Path) -> None:
    with ZipFile(wheel) as archive:
        packed = {name for name in archive.namelist() if name.startswith("course_lib/models/weights/")}
        assert packed == {f"course_lib/models/weights/{path.name}" for path in WEIGHTS.iterdir()}
        assert all(archive.read(name) == (ROOT / name).read_bytes() for name in packed)


@each_host
def test_a_hosts_python_is_one_that_the_course_runs_on(name: str) -> None:
    assert HOSTS[name]["python"] in SpecifierSet(PROJECT["requires-python"])


@each_host
def test_installing_into_a_hosts_set_adds_packages_and_replaces_none(
    name: str, hosts: dict[str, Path], wheel: Path, newest: Path, tmp_path: Path
) -> None:
    gone, new = replaced(name, hosts[name], wheel, newest, tmp_path)
    assert gone == set()
    assert "course-lib" in new
    assert new <= ADDED


@pytest.mark.parametrize(
    ("name", "gone"),
    [
        ("colab", {"ipywidgets", "jupyterlab-widgets", "widgetsnbextension", "scikit-learn"}),
        ("kaggle", {"scikit-learn"}),
        ("sagemaker", {"scikit-learn", "urllib3"}),
    ],
)
def test_with_its_old_bounds_it_would_replace_some(
    name: str, gone: set[str], hosts: dict[str, Path], old_wheel: Path, newest: Path, tmp_path: Path
) -> None:
    assert replaced(name, hosts[name], old_wheel, newest, tmp_path)[0] >= gone


def set_up(python: Path, environment: dict[str, str], folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [python, set_up_file()], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )


@each_host
def test_the_set_up_cell_replaces_nothing_of_a_hosts(
    name: str, hosts: dict[str, Path], wheel: Path, newest: Path, tmp_path: Path
) -> None:
    shutil.copy(wheel, tmp_path)
    done = set_up(hosts[name], dry_run(newest, tmp_path / "report.json"), tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert not would_install(tmp_path / "report.json").keys() & HOSTS[name]["packages"].keys()


def test_the_set_up_cell_stops_before_it_replaces_one_and_repeats_pips_reason_alone(
    hosts: dict[str, Path], old_wheel: Path, newest: Path, tmp_path: Path
) -> None:
    shutil.copy(old_wheel, tmp_path)
    done = set_up(hosts["colab"], dry_run(newest, tmp_path / "report.json"), tmp_path)
    assert not (tmp_path / "report.json").exists()
    assert re.search(r"depends on (\S+)>=\S+\nThe user requested \(constraint\) \1==", done.stderr), done.stderr
    assert "network" not in done.stderr


def test_the_environment_of_make_test_host_has_colabs_widgets_and_kernel_and_the_locked_torch() -> None:
    constraints = dict(line.split("==", 1) for line in pins("colab"))
    for name in ("ipywidgets", "ipykernel", "ipython", "scikit-learn", "numpy", "matplotlib", "pillow"):
        assert constraints[name] == HOSTS["colab"]["packages"][name]
    assert f"torch=={constraints['torch']}\n" in (ROOT / "requirements.lock").read_text()
