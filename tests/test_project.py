"""The project's own files agree with one another."""

import base64
import itertools
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import nbformat
import pytest
import yaml
from typer.main import get_command

from course_lib.cli import app
from course_lib.supported import PYTHON_LAST

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
EXTRAS = PROJECT["optional-dependencies"]
ASKED = [line for line in [*PROJECT["dependencies"], *itertools.chain(*EXTRAS.values())] if "course-lib" not in line]
CONDA_NAMES = {"torch": "pytorch", "matplotlib": "matplotlib-base"}


def test_importing_the_package_loads_no_torch_and_prints_nothing() -> None:
    program = "import sys, course_lib; assert not {'torch', 'numpy', 'matplotlib'} & set(sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_help_of_the_command_loads_no_torch() -> None:
    program = (
        "import sys\nfrom course_lib.cli import app\ntry: app(['--help'])\nfinally: assert 'torch' not in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_environment_yml_asks_for_what_pyproject_asks_for() -> None:
    wanted = set()
    for line in ASKED:
        name, bound = re.fullmatch(r"([a-z0-9-]+)(>=.+)", line).groups()
        wanted.add(CONDA_NAMES.get(name, name) + bound)
    stated = yaml.safe_load((ROOT / "environment.yml").read_text())["dependencies"]
    *from_pip, ours = next(line["pip"] for line in stated if isinstance(line, dict))  # what conda-forge does not have
    assert ours == "-e ."
    found = {line for line in stated if isinstance(line, str)}
    assert found | set(from_pip) == wanted | {f"python{PROJECT['requires-python']},<3.{PYTHON_LAST[1] + 1}", "pip"}


def test_pip_takes_its_part_of_environment_yml_as_conda_hands_it_over(tmp_path: Path) -> None:
    # conda/env/installers/pip.py, _pip_install_via_requirements: requirements.write("\\n".join(specs)), then
    # `pip install -U -r FILE` in the folder of environment.yml. A stand-in lies there, whose builder is at hand.
    pytest.importorskip("pip", reason="this environment was made without pip")
    stated = yaml.safe_load((ROOT / "environment.yml").read_text())["dependencies"]
    specs = next(line["pip"] for line in stated if isinstance(line, dict))
    (tmp_path / "condaenv.requirements.txt").write_text("\n".join(specs))
    builder = 'requires = ["setuptools"]\nbuild-backend = "setuptools.build_meta"'
    project = f'name = "course-lib"\nversion = "{PROJECT["version"]}"'
    (tmp_path / "pyproject.toml").write_text(f"[build-system]\n{builder}\n[project]\n{project}\n")
    command = [sys.executable, "-m", "pip", "install", "--dry-run", "--no-deps", "--no-index", "--no-build-isolation"]
    command += ["-r", "condaenv.requirements.txt"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_the_lock_names_no_address_and_holds_every_dependency() -> None:
    lock = (ROOT / "requirements.lock").read_text()
    assert not re.search(r"https?:|file:|--(extra-)?index|--find-links", lock)
    locked = {line.split("==")[0] for line in lock.splitlines() if "==" in line}
    assert {re.match(r"[a-z0-9-]+", line).group() for line in ASKED} <= locked


def test_the_lock_keeps_torch_and_torchvision_of_one_release_together() -> None:
    lock = (ROOT / "requirements.lock").read_text()
    assert re.findall(r"^(?:torch|torchvision)==\S+", lock, re.M) == ["torch==2.14.1", "torchvision==0.29.1"]


@pytest.mark.parametrize(
    "top", ["README.md", "LICENSE", "environment.yml", "data/README.md", "Makefile", ".ci/run", "notebooks/README.md"]
)
def test_the_top_level_is_complete(top: str) -> None:
    assert (ROOT / top).stat().st_size > 0


def test_ci_runs_the_test_command_of_the_readme_and_no_other() -> None:
    ci = (ROOT / ".ci" / "run").read_text()
    commands = re.findall(r"^(?:exec |\$offline )?(make .*|pytest.*|.*-m pytest.*)$", ci, re.M)
    assert commands == ["make .venv/.notebooks,classroom,site,tests", "make test"]  # the first installs
    assert "make test" in (ROOT / "README.md").read_text()


def test_the_picture_of_the_readme_is_one_that_lesson_6_draws() -> None:
    lesson = nbformat.read(ROOT / "notebooks" / "06_visualization.ipynb", as_version=4)
    pages = [output.get("data", {}).get("text/html", "") for cell in lesson.cells for output in cell.get("outputs", ())]
    drawn = [
        base64.b64decode(data) for page in pages for data in re.findall(r'src="data:image/png;base64,([^"]+)', page)
    ]
    assert (ROOT / "notebooks" / "front.png").read_bytes() in drawn, "save the explorer's picture there anew"


@pytest.mark.parametrize(
    "page",
    [
        "README.md",
        "CONTRIBUTING.md",
        "data/README.md",
        "notebooks/README.md",
        "notebooks/source/README.md",
        "course_lib/README.md",
        "course_lib/classroom/README.md",
        "course_lib/exercises/README.md",
    ],
)
def test_every_file_and_heading_that_a_page_points_to_is_there(page: str) -> None:
    for path, heading in re.findall(r"\]\((?!https:)([^)#]*)(?:#([^)]+))?\)", (ROOT / page).read_text()):
        target = (ROOT / page).parent / path if path else ROOT / page
        assert target.exists(), path
        assert not heading or heading in headings(target), f"{path}#{heading}"


def headings(page: Path) -> list[str]:
    """What GitHub makes of a page's headings in addresses: small letters, hyphens for spaces, no other marks."""
    titles = re.findall(r"^#+ (.+)$", page.read_text(), re.M)
    return [re.sub(r"[^\w -]", "", title).lower().replace(" ", "-") for title in titles]


def test_every_file_and_target_that_contributing_names_is_there() -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text()
    named = re.findall(r"(?<![\w/.])(?:course_lib|data|notebooks|tests)/[\w./*]*", text)
    as_patterns = {re.sub(r"NN_K_name|NAME|NN|(?<=_)N(?=\.)", "*", name).rstrip("./") for name in named}
    assert len(as_patterns) > 20
    assert [name for name in as_patterns if not any(ROOT.glob(name))] == []
    targets = re.findall(r"^\.PHONY: (.*)", (ROOT / "Makefile").read_text(), re.M)[0].split()
    assert set(re.findall(r"make ([a-z-]+)", text)) <= set(targets)


@pytest.mark.parametrize("change", ["a sentence", "a task", "a dataset", "a backbone", "an explorer"])
def test_contributing_leads_to_each_change_in_six_steps_at_most_with_a_check_among_them(change: str) -> None:
    (steps,) = re.findall(rf"^## \w+ {change}\n(.*?)^## ", (ROOT / "CONTRIBUTING.md").read_text(), re.M | re.S)
    numbers = re.findall(r"^(\d)\. ", steps, re.M)
    assert numbers == list("123456")[: len(numbers)]
    assert len(re.findall(r"^ +pytest ", steps, re.M)) == 1


def commands_in_texts() -> list[str]:
    """Every call of `course` that a page, a lesson or a message shows as one."""
    texts = [path for kind in ("*.md", "*.py", "*.toml") for path in (ROOT / "course_lib").rglob(kind)]
    texts += [*ROOT.glob("*.md"), *(ROOT / "data").glob("*.md"), *(ROOT / "notebooks").rglob("*.md")]
    texts += (ROOT / "notebooks" / "source").rglob("*.py")
    shown = r"`course ([a-z][^`\n{|]*)`|^(?:#? {4,}|Example: |.*: )course ([a-z]+ [^`#\n{})\x22]*?)(?: {2,}#.*)?$"
    found = {one or other for text in texts for one, other in re.findall(shown, text.read_text(), re.M)}
    return sorted(call.strip() for call in found)


@pytest.mark.parametrize("call", commands_in_texts())
def test_every_call_of_course_that_is_shown_is_one_that_it_takes(call: str) -> None:
    command, words = get_command(app), call.split()
    while hasattr(command, "commands"):
        command = command.commands[words.pop(0)]
    options = {name for parameter in command.params for name in (*parameter.opts, *parameter.secondary_opts)}
    passed_on = {"--no-browser"} if command.name == "lab" else set()
    assert {word for word in words if word.startswith("-")} <= options | passed_on
