"""Ways in which right work comes: as it is typed, and as it is handed in. Each deserves all points."""

import io
import json
import zipfile
from collections.abc import Callable
from pathlib import Path

import nbformat
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_markdown_cell, new_raw_cell

Make = Callable[..., NotebookNode]
SLOW = "import time\nfor epoch in range(1000):\n    time.sleep(0.1)"
# Scratch cells, as they stand before the answers
SCRATCH = {
    "double precision": "torch.set_default_dtype(torch.float64)",
    "a device without numbers": "torch.set_default_device('meta')",
    "no gradients": "torch.set_grad_enabled(False)",
    "inference": "torch.inference_mode().__enter__()",
    "seeds": "import numpy\ntorch.manual_seed(7)\nnumpy.random.seed(7)\nrandom.seed(7)",
    "threads": "torch.set_num_threads(4)\nimages = torch.randn(600, 600) @ torch.randn(600, 600)",
    "deterministic": "torch.use_deterministic_algorithms(True)\ntorch.backends.cudnn.benchmark = False",
    "strict warnings": "import warnings, numpy\nwarnings.simplefilter('error')\nnumpy.seterr(all='raise')",
    "printing": "torch.set_printoptions(precision=2)\nimport numpy\nnumpy.set_printoptions(precision=2)",
    "anomalies": "torch.autograd.set_detect_anomaly(True)",
    "another folder": "import os\nos.makedirs('work')\nos.chdir('work')\nopen('w.pt', 'wb').write(bytes(10**7))",
    "an error": "model.fit(data)",
    "no Python": "Here I try something:",
    "an exit": "exit()",
    "a crash": "import ctypes\nctypes.string_at(0)",
    "an end": "import os\nos._exit(1)",
    "workers": "from torch.utils.data import DataLoader\nlist(DataLoader(range(20), num_workers=2))",
    "a thread": "import threading, time\nthreading.Thread(target=time.sleep, args=(300,), daemon=True).start()",
    "much output": "for step in range(10**7):\n    print(step, 'loss', 0.1)",
    "a question": "name = input('What is your name?')",
    "Colab": "from google.colab import drive\ndrive.mount('/content/drive')\n!pip install timm\n%cd /content",
    "open files": "held = [open(torch.__file__) for _ in range(1000)]",
    "a figure": "import matplotlib.pyplot as plt\nplt.plot([1, 2])\nplt.show()",
    "a child left behind": "import subprocess\nsubprocess.Popen(['sleep', '1000'])",
}


def _answers(notebook: NotebookNode) -> list[int]:
    return [index for index, cell in enumerate(notebook.cells) if cell.metadata.get("nbgrader", {}).get("solution")]


def _scratch(*codes: str) -> Callable[[Make, NotebookNode], NotebookNode]:
    def change(solved: Make, empty: NotebookNode) -> NotebookNode:
        notebook = solved()
        index = _answers(notebook)[0]
        notebook.cells[index:index] = [new_code_cell(code) for code in codes]
        return notebook

    return change


def _slow_training(solved: Make, empty: NotebookNode) -> NotebookNode:
    notebook = solved()
    for index in reversed(_answers(notebook)):
        notebook.cells.insert(index + 1, new_code_cell(SLOW))
    return notebook


def _merged_with_checks(solved: Make, empty: NotebookNode) -> NotebookNode:
    """Each answer in one cell with its check, which keeps the metadata of the check."""
    notebook = solved()
    for index in reversed(_answers(notebook)):
        notebook.cells[index + 1].source = f"{notebook.cells[index].source}\n\n{notebook.cells[index + 1].source}"
        del notebook.cells[index]
    return notebook


def _typed_into_checks(solved: Make, empty: NotebookNode) -> NotebookNode:
    """The task's cell stays empty; the answer is typed where the check was."""
    notebook = solved()
    for index in _answers(notebook):
        notebook.cells[index + 1].source = notebook.cells[index].source
        notebook.cells[index].source = empty.cells[index].source
    return notebook


def _check_first(solved: Make, empty: NotebookNode) -> NotebookNode:
    notebook = solved()
    for index in _answers(notebook):
        cell = notebook.cells[index]
        cell.source = f"progress(4)\n{notebook.cells[index + 1].source}\n{cell.source}"
    return notebook


def _in_one_cell(solved: Make, empty: NotebookNode) -> NotebookNode:
    notebook = solved()
    code = [cell.source for cell in notebook.cells if cell.cell_type == "code" and "import" not in cell.source[:40]]
    imports = [cell for cell in notebook.cells if cell.cell_type == "code" and "import" in cell.source[:40]]
    notebook.cells = [*imports, new_code_cell("\n\n".join(code))]
    return notebook


def _failing_between(solved: Make, empty: NotebookNode) -> NotebookNode:
    """All answers in one cell, and after each a line that fails, or never ends."""
    notebook = solved()
    answers = [notebook.cells[index].source for index in _answers(notebook)]
    imports = [cell for cell in notebook.cells if cell.cell_type == "code" and "import" in cell.source[:40]]
    notebook.cells = [*imports, new_code_cell("\n\nmodel.fit(images)\n\n".join(answers))]
    return notebook


def _moved_to_the_end(solved: Make, empty: NotebookNode) -> NotebookNode:
    """Answers in cells of their own below everything, in reversed order; the tasks' cells stay empty."""
    notebook = solved()
    sources = [notebook.cells[index].source for index in _answers(notebook)]
    for index in _answers(notebook):
        notebook.cells[index].source = empty.cells[index].source
    notebook.cells += [new_code_cell(code) for code in reversed(sources)]
    return notebook


def _moved_up(solved: Make, empty: NotebookNode) -> NotebookNode:
    """Answers above the tasks' cells, which stay empty below them."""
    notebook = solved()
    for index in reversed(_answers(notebook)):
        answer = new_code_cell(notebook.cells[index].source)
        notebook.cells[index].source = empty.cells[index].source
        notebook.cells.insert(index, answer)
    return notebook


def _as_text(solved: Make, empty: NotebookNode) -> NotebookNode:
    """Two answers in cells that are no code cells any more."""
    notebook = solved()
    first, second = _answers(notebook)[:2]
    notebook.cells[first] = new_markdown_cell(notebook.cells[first].source)
    notebook.cells[second] = new_raw_cell(notebook.cells[second].source)
    return notebook


def _split(solved: Make, empty: NotebookNode) -> NotebookNode:
    """A helper of an answer stands in a cell below it."""
    answer = (
        "def class_accuracy(logits, labels):\n    return torch.stack([_of(logits, labels, c) for c in _all(logits)])"
    )
    notebook = solved(answer)
    index = _answers(notebook)[0]
    helper = "def _of(logits, labels, c):\n    return (logits.argmax(1) == labels)[labels == c].float().mean()"
    notebook.cells.insert(index + 2, new_code_cell("def _all(logits):\n    return range(logits.shape[1])"))
    notebook.cells.append(new_code_cell(helper))
    return notebook


def _timed(solved: Make, empty: NotebookNode) -> NotebookNode:
    notebook = solved()
    for index in _answers(notebook):
        notebook.cells[index].source = "%%time\n" + notebook.cells[index].source
        notebook.cells[index + 1].source = "%time " + notebook.cells[index + 1].source
    return notebook


def _asserted(solved: Make, empty: NotebookNode) -> NotebookNode:
    """Checks whose result is used, above an answer in the same cell."""
    notebook = solved()
    for index in _answers(notebook):
        check = notebook.cells[index + 1].source
        notebook.cells[index].source += f'\n\nassert {check}.state == "correct"'
    return notebook


def _bare(solved: Make, empty: NotebookNode) -> NotebookNode:
    notebook = solved()
    notebook.metadata = {}
    for cell in notebook.cells:
        cell.metadata = {}
    return notebook


TYPED: dict[str, Callable[[Make, NotebookNode], NotebookNode]] = {
    **{name: _scratch(code) for name, code in SCRATCH.items()},
    "all switches": _scratch(*list(SCRATCH.values())[:10]),
    "slow training": _slow_training,
    "merged with checks": _merged_with_checks,
    "typed into checks": _typed_into_checks,
    "check first": _check_first,
    "one cell": _in_one_cell,
    "failing between": _failing_between,
    "moved to the end": _moved_to_the_end,
    "moved up": _moved_up,
    "as text": _as_text,
    "split": _split,
    "timed": _timed,
    "asserted": _asserted,
    "bare": _bare,
}


def hand_in(folder: Path, solved: Make, empty: NotebookNode) -> list[str]:
    """Write right work into a folder for each student, as files that come in many ways; returns the students."""
    right, untouched = nbformat.writes(solved()), nbformat.writes(empty)
    older, newer = (2026, 11, 1, 12, 0, 0), (2026, 11, 2, 12, 0, 0)
    third = nbformat.writes(nbformat.convert(solved(), 3), version=3)
    cells = json.loads(right)
    cells["cells"][0]["attachments"] = {"x.png": {"image/png": "A" * 2_000_000}}
    handed_in: dict[str, dict[str, str | bytes]] = {
        "browser": {"04_cifar10.ipynb": untouched, "04_cifar10 (1).ipynb": right},
        "jupyter": {"04_cifar10.ipynb": untouched, "04_cifar10-Copy1.ipynb": right},
        "other-name": {"04_cifar10.ipynb": untouched, "homework.ipynb": right},
        "tenth": {f"04_cifar10 ({number}).ipynb": right if number == 10 else untouched for number in range(1, 11)},
        "safari": {"04_cifar10.ipynb.txt": right},
        "moodle": {"04_cifar10.json": right},
        "capitals": {"04_CIFAR10.IPYNB": right},
        "no-suffix": {"04_cifar10": right},
        "python": {"04_cifar10.py": right},
        "third-format": {"04_cifar10.ipynb": third},
        "marked": {"04_cifar10.ipynb": b"\xef\xbb\xbf" + right.encode()},
        "wide": {"04_cifar10.ipynb": right.encode("utf-16")},
        "picture": {"04_cifar10.ipynb": json.dumps(cells)},
        "deep": {"a/b/c/04_cifar10.ipynb": right, "a/.ipynb_checkpoints/04_cifar10-checkpoint.ipynb": untouched},
        "with-data": {
            "work.zip": zipped({"data.bin": (bytes(120_000_000), newer), "04_cifar10.ipynb": (right, newer)})
        },
        "newer": {"w.zip": zipped({"b/04_cifar10.ipynb": (untouched, newer), "a/04_cifar10.ipynb": (right, newer)})},
        "dated": {"w.zip": zipped({"04_cifar10 (1).ipynb": (BROKEN, older), "04_cifar10.ipynb": (right, newer)})},
        "old-copy": {"w.zip": zipped({"a.ipynb": (BROKEN, older), "old/04_cifar10.ipynb": (right, newer)})},
        "nested": {
            "w.zip": zipped({"x.zip": (zipped({"y.zip": (zipped({"04.ipynb": (right, newer)}), newer)}), newer)})
        },
        "n" * 220: {"04_cifar10.ipynb": right},
        "long-name": {"x" * 200 + " 04_cifar10.ipynb": right},
    }
    for student, files in handed_in.items():
        for name, content in files.items():
            path = folder / student / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content.encode() if isinstance(content, str) else content)
    return list(handed_in)


BROKEN = json.dumps(
    {
        "cells": [{"cell_type": "code", "source": "def class_accuracy(logits, labels):\n    return 0", "metadata": {}}],
        "metadata": {},
        "nbformat": 4,
        "nbformat_minor": 5,
    }
)  # an answer, and a wrong one


def zipped(members: dict[str, tuple[str | bytes, tuple[int, ...]]]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, (content, time) in members.items():
            archive.writestr(zipfile.ZipInfo(name, time), content, zipfile.ZIP_DEFLATED)
    return buffer.getvalue()
