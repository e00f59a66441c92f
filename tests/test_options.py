"""Options that cannot be are refused before torch is imported, which takes seconds."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

LOADED = """
import sys
from course_lib.cli import main
try:
    main()
finally:
    print("torch" in sys.modules)
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Holds a run, as far as can be told without torch, and an image."""
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "config.json").write_text("{}")
    (tmp_path / "scan.png").write_bytes(b"")
    return tmp_path


@pytest.mark.parametrize(
    ("command", "message"),
    [
        ("predict run scan.png scan.png --explain why.png", "--explain draws one image, but 2 are named"),
        ("predict run scan.png --explain absent/why.png", "there is no folder absent; make it first"),
        ("predict run scan.png --explain why.jpg", "a PNG file is written; give a name such as why.png"),
        ("predict absent scan.png", "absent: not a run folder, it has no config.json"),
        ("predict run a.png b.png", "a.png, b.png: no such file; check the path"),
        ("evaluate absent", "absent: not a run folder, it has no config.json"),
        ("train transfer", "needs --task pneumonia, cifar10 or folder"),
        ("train transfer --task cifar10 --preset fast", "has no --preset"),
        ("train transfer --task folder", "whose images?"),
        ("train pneumonia --preset fast", "pneumonia has no preset 'fast'"),
        ("train fashion_mnist --preset fast", "its presets: none, leave --preset out"),
        ("train fashion_mnist --data simulated", "no simulated images stand in for Fashion-MNIST, but --data or"),
        ("train pneumonia --backbone resnet18", "are for `course train transfer`, not for"),
        ("train cifar10 --classes a,b", "--classes and --subfolder are for"),
        ("train cifar10 --data simulated --root .", "simulated images lie in no folder"),
        ("train cifar10 --root absent", "absent: no such folder"),
        ("train cifar10 --out run", "run: holds a run already"),
        ("train cifar10 --out absent --resume", "absent: not a run folder"),
    ],
)
def test_what_cannot_be_is_said_before_torch_is_imported(command: str, message: str, folder: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}
    call = [sys.executable, "-c", LOADED, *command.split()]
    done = subprocess.run(call, capture_output=True, text=True, check=False, cwd=folder, env=environment)
    assert done.returncode == 1
    assert message in done.stderr
    assert (len(done.stderr.splitlines()), done.stdout) == (1, "False\n")
