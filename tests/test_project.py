"""The project's own files agree with one another."""

import ast
import base64
import itertools
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import nbformat
import pytest
import yaml

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
    assert ours == "--no-deps -e ."
    found = {line for line in stated if isinstance(line, str)}
    assert found | set(from_pip) == wanted | {f"python{PROJECT['requires-python']}", "pip"}


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


@pytest.mark.parametrize("system", ["win32", "darwin"])
def test_only_the_sandbox_calls_what_a_system_lacks(system: str) -> None:
    command = [sys.executable, "-m", "mypy", "--config-file=", "--platform", system, "--cache-dir", os.devnull]
    command += ["--follow-imports=skip", "--ignore-missing-imports", "--check-untyped-defs", "course_lib"]
    said = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False).stdout
    assert "checked" in said, said
    lacking = {Path(line.split(":")[0]).name for line in said.splitlines() if "Module has no attribute" in line}
    assert lacking == ({"sandbox.py", "worker.py"} if system == "win32" else set())  # which say so on Windows


def test_the_picture_of_the_readme_is_one_that_lesson_6_draws() -> None:
    lesson = nbformat.read(ROOT / "notebooks" / "06_visualization.ipynb", as_version=4)
    outputs = [output for cell in lesson.cells for output in cell.get("outputs", ())]
    drawn = [
        base64.b64decode(output["data"]["image/png"]) for output in outputs if "image/png" in output.get("data", ())
    ]
    assert (ROOT / "notebooks" / "front.png").read_bytes() in drawn, "save the explorer's picture there anew"


@pytest.mark.parametrize(
    "page", ["README.md", "notebooks/README.md", "course_lib/README.md", "course_lib/classroom/README.md"]
)
def test_every_file_that_a_page_points_to_is_there(page: str) -> None:
    targets = re.findall(r"\]\(([^)#]+)", (ROOT / page).read_text())
    assert [
        at for at in targets if not at.startswith("https:") and not (ROOT / page).parent.joinpath(at).exists()
    ] == []


def faults_elsewhere(program: str) -> list[str]:
    """What in a program works on Linux and not on Windows, or not on macOS: line and reason."""
    faults = []
    for node in ast.walk(ast.parse(program)):
        if isinstance(node, ast.Constant) and re.match(r"/(tmp|dev/shm|home|bin|usr|etc)(/|$)", str(node.value)):
            faults.append((node.lineno, f"{node.value}: a folder of Linux"))
        if not isinstance(node, ast.Call):
            continue
        called = ast.unparse(node.func)
        given = {word.arg: ast.unparse(word.value) for word in node.keywords}
        mode = given.get("mode", ast.unparse(node.args[1]) if len(node.args) > 1 else "")
        text = called.endswith((".read_text", ".write_text")) or (called == "open" and "b" not in mode)
        if text and "encoding" not in given:
            faults.append((node.lineno, f"{called}: Windows reads and writes text in a code page of its own"))
        if given.get("shell") == "True" or called in ("os.system", "os.popen"):
            faults.append((node.lineno, f"{called}: each system has another shell"))
        if called.startswith("os.path.") or called in ("os.listdir", "os.getcwd"):
            faults.append((node.lineno, f"{called}: pathlib knows each system's paths"))
        if given.get("num_workers", "0") != "0" and "get_start_method" not in program:
            faults.append((node.lineno, "num_workers: helpers begin anew, and do not know what a notebook defines"))
        if called.endswith("use_deterministic_algorithms"):
            faults.append((node.lineno, f"{called}: MPS makes no such promise"))
    return [f"line {line}: {fault}" for line, fault in sorted(faults)]


@pytest.mark.parametrize(
    ("program", "reason"),
    [
        ("open('weights.json')", "code page"),
        ("Path('notes').write_text('x')", "code page"),
        ("subprocess.run('ls *.py', shell=True)", "shell"),
        ("os.path.join('a', 'b')", "pathlib"),
        ("Path('/tmp/run')", "folder of Linux"),
        ("DataLoader(train, num_workers=2)", "num_workers"),
        ("torch.use_deterministic_algorithms(True)", "MPS"),
    ],
)
def test_what_breaks_on_windows_or_macos_is_found(program: str, reason: str) -> None:
    (fault,) = faults_elsewhere(program)
    assert reason in fault


SOURCES = [path for folder in ("course_lib", "notebooks/source") for path in sorted((ROOT / folder).rglob("*.py"))]
ALLOWED = {
    "sandbox.py": "folder of Linux",  # grading says on Windows and macOS what it needs
    "worker.py": "folder of Linux",
    "03_training_on_gpu.py": "num_workers",  # the lesson on helpers; its data set is one that they can import
}


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_nothing_breaks_on_windows_or_macos(path: Path) -> None:
    faults = faults_elsewhere(path.read_text(encoding="utf-8"))
    allowed = ALLOWED.get(path.name)
    assert [fault for fault in faults if not (allowed and allowed in fault)] == []
