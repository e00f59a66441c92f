"""What works on Linux and not on Windows, or not on macOS, is found here, where neither is at hand."""

import ast
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SOURCES = [path for folder in ("course_lib", "notebooks/source") for path in sorted((ROOT / folder).rglob("*.py"))]
ALLOWED = {
    "sandbox.py": ("folder of Linux",),  # grading says on Windows and macOS what it needs
    "walls.py": ("folder of Linux",),
    "worker.py": ("folder of Linux", "os.listdir"),  # of /proc, a thousand times a second
    "fashion_mnist.py": ("folder of Linux",),  # where Debian's package puts it; looked at where it is
    "draw.py": ("use_deterministic_algorithms",),  # switched off, whoever switched it on
    "extras.py": ("metadata.distribution",),  # which knows the code page of its own files
    "03_training_on_gpu.py": ("num_workers",),  # the lesson on helpers; its data set is one that they can import
}


@pytest.mark.parametrize("system", ["win32", "darwin"])
def test_only_the_sandbox_calls_what_a_system_lacks(system: str) -> None:
    command = [sys.executable, "-m", "mypy", "--config-file=", "--platform", system, "--cache-dir", os.devnull]
    command += ["--follow-imports=skip", "--ignore-missing-imports", "--check-untyped-defs", "course_lib"]
    said = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False).stdout
    assert "checked" in said, said
    lacking = {Path(line.split(":")[0]).name for line in said.splitlines() if "Module has no attribute" in line}
    only_linux = {"walls.py", "worker.py"}  # the sandbox's, which says elsewhere what it needs
    assert lacking == (only_linux | {"runner.py", "sandbox.py"} if system == "win32" else only_linux)


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
        asked = "get_start_method" in program or "multiprocessing_context" in given
        if given.get("num_workers", "0") != "0" and not asked:
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


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_nothing_breaks_on_windows_or_macos(path: Path) -> None:
    faults = faults_elsewhere(path.read_text(encoding="utf-8"))
    allowed = ALLOWED.get(path.name, ())
    assert [fault for fault in faults if not any(reason in fault for reason in allowed)] == []
