"""One submission, one wall: attacks beside honest students; and honest work, in whatever way it comes."""

import os
import resource
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nbformat
import pytest
from classroom.cells import cell_of
from classroom.crossings import CROSSINGS
from classroom.variants import TYPED, hand_in
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell

from course_lib.classroom.grade import grade

Make = Callable[..., NotebookNode]
STEM = "04_cifar10.ipynb"
HONEST = 10


def write(folder: Path, student: str, notebook: NotebookNode) -> None:
    (folder / student).mkdir(parents=True)
    (folder / student / STEM).write_text(nbformat.writes(notebook))


def own_state() -> list[object]:
    limits = [resource.getrlimit(getattr(resource, name)) for name in dir(resource) if name.startswith("RLIMIT_")]
    left = [Path("/proc/sysvipc", kind).read_text() for kind in ("shm", "msg", "sem")]
    left = [*left, *sorted(Path("/dev/shm").iterdir())]
    return [limits, os.getpriority(os.PRIO_PROCESS, 0), os.sched_getaffinity(0), left]


@pytest.fixture(scope="module")
def beside_attacks(tmp_path_factory: pytest.TempPathFactory, solved: Make, sandboxed: None) -> dict[str, Any]:
    """Records of a class in which every honest student follows several attacks."""
    folder = tmp_path_factory.mktemp("beside")
    every = len(CROSSINGS) // HONEST
    for number, codes in enumerate(CROSSINGS.values()):
        notebook = solved()
        first = notebook.cells.index(cell_of(notebook, "task-04-1"))
        notebook.cells[first:first] = [new_code_cell(code) for code in codes]
        write(folder / "in", f"{number:02}-attack", notebook)
        if number % every == every - 1 and number // every < HONEST:
            write(folder / "in", f"{number:02}-honest", solved())
    before = own_state()
    records = grade("04", folder / "in", folder / "out", seconds=2)
    assert own_state() == before
    return {record["student"]: record for record in records}


def test_ten_honest_students_keep_their_points_beside_every_attack(beside_attacks: dict[str, Any]) -> None:
    honest = {name: record for name, record in beside_attacks.items() if name.endswith("honest")}
    assert len(honest) == HONEST
    assert {name: (r["score"], r["status"], r["reasons"]) for name, r in honest.items()} == dict.fromkeys(
        honest, (13, "graded", [])
    )


@pytest.mark.parametrize(("number", "name"), list(enumerate(CROSSINGS)))
def test_an_attack_is_a_number_only_with_a_verdict(beside_attacks: dict[str, Any], number: int, name: str) -> None:
    record = beside_attacks[f"{number:02}-attack"]
    assert (record["score"] is None) == (record["status"] != "graded")
    assert record["status"] in ("graded", "not graded")


@pytest.fixture(scope="module")
def honest(
    tmp_path_factory: pytest.TempPathFactory, solved: Make, released: Path, sandboxed: None
) -> dict[str, dict[str, Any]]:
    folder = tmp_path_factory.mktemp("honest")
    empty = nbformat.read(released / "release" / "04" / STEM, as_version=4)
    hand_in(folder / "in", solved, empty)
    for name, change in TYPED.items():
        write(folder / "in", name.replace(" ", "-"), change(solved, empty))
    records = grade("04", folder / "in", folder / "out", seconds=2)
    return {record["student"]: record for record in records}


@pytest.mark.parametrize("name", TYPED)
def test_right_work_gets_all_points_however_it_is_typed(honest: dict[str, Any], name: str) -> None:
    record = honest[name.replace(" ", "-")]
    assert record["score"] == 13, (record["reasons"], {n: t["reason"] for n, t in record["tasks"].items()})


def test_right_work_gets_all_points_however_it_is_handed_in(honest: dict[str, Any]) -> None:
    handed_in = {name: record for name, record in honest.items() if name not in {n.replace(" ", "-") for n in TYPED}}
    assert len(handed_in) == 21
    assert {name: (r["score"], r["reasons"]) for name, r in handed_in.items() if r["score"] != 13} == {}
