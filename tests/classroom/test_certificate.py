"""A certificate holds where its answers are right whatever the inputs, and nothing else that is done to it does."""

import hashlib
import inspect
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest import mock

import nbformat
import pytest
import torch
from classroom.attacks import FORGED
from nbformat import NotebookNode

from course_lib.classroom.assignment import Assignment, assignment
from course_lib.classroom.certificate import (
    LARGEST,
    Claim,
    make_certificate,
    read_certificate,
    sealed,
    verify_certificate,
)
from course_lib.classroom.sandbox import PACKAGE
from course_lib.cli import main
from course_lib.exercises.draw import Draw
from course_lib.exercises.engine import fault, result_of
from course_lib.exercises.page import cleared
from course_lib.exercises.task import PUBLIC, observation

WRONG = "def max_pool_by_hand(image, window):\n    return torch.ones(2, 2)"
NAME = "Zoë Müller"
PATIENT = 150  # seconds: where a machine is busy, right answers still come to a verdict
PATIENCE = ("--seconds", str(PATIENT))
Certificate = dict[str, Any]


def written(path: Path, notebook: NotebookNode | str) -> Path:
    path.write_text(notebook if isinstance(notebook, str) else nbformat.writes(notebook), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def page() -> Assignment:
    return assignment("01")


def handed_in(page: Assignment, pooling: str | None = None, *, empty: bool = False) -> NotebookNode:
    """The page, solved, with another answer to 01.2 if one is given; or empty."""
    notebook = nbformat.v4.new_notebook()
    for cell in page.source.cells:
        text = cleared(cell.source) if empty else cell.source
        is_pooling = pooling is not None and "def max_pool_by_hand" in text
        new = nbformat.v4.new_code_cell if cell.cell_type == "code" else nbformat.v4.new_markdown_cell
        notebook.cells.append(new(pooling if is_pooling else text))
    return notebook


@pytest.fixture(scope="module")
def honest(tmp_path_factory: pytest.TempPathFactory, page: Assignment, sandboxed: None) -> Path:
    """The certificate of a learner who has solved all of lesson 1."""
    folder = tmp_path_factory.mktemp("honest")
    notebook, path = written(folder / "page.ipynb", handed_in(page)), folder / "certificate.json"
    claims = make_certificate(NAME, [notebook], path, seconds=PATIENT)
    assert [(claim.claimed, claim.holds) for claim in claims] == [(True, True)] * 7, claims
    return path


def loaded(path: Path) -> Certificate:
    return dict(json.loads(path.read_text(encoding="utf-8")))


def with_first(certificate: Certificate, answer: str) -> Certificate:
    """The certificate with another answer to 01.2, and with the hash worked out anew, as anybody can."""
    (cell,) = (c for c in certificate["pages"][0]["cells"] if "def max_pool_by_hand" in "".join(c["source"]))
    cell["source"] = answer.splitlines(keepends=True)
    return sealed(certificate)


def holding(claims: list[Claim]) -> dict[str, bool | None]:
    return {claim.task.split()[0]: claim.holds for claim in claims}


def digests(folder: Path) -> dict[Path, str]:
    files = [path for path in folder.rglob("*") if path.is_file() and "__pycache__" not in path.parts]
    return {path: hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def key_of(image, window):
    return hashlib.sha256(repr((image.tolist(), window)).encode()).hexdigest()


OTHERS = {f"01.{number}": True for number in (1, 3, 4, 5, 6, 7)}
EXITS = "def max_pool_by_hand(image, window):\n    raise SystemExit(0)"
HARD_CODED = """
def max_pool_by_hand(image, window):
    return torch.tensor(known.get(key_of(image, window), [[0.0]]))
"""
HOSTILE = """
import os, socket
from pathlib import Path

def attempt(act, *given):
    try:
        act(*given)
    except OSError:
        pass

attempt(Path({secret!r}).write_text, "yours")
attempt(Path({secret!r}).unlink)
attempt((Path({secret!r}).parent / "left behind").write_text, "yours")
attempt((Path({package!r}) / "left behind.py").write_text, "yours")
attempt(os.kill, os.getppid(), 9)
attempt(socket.create_connection, ("1.1.1.1", 53), 1)
"""


def test_an_honest_certificate_verifies_and_is_of_the_learner_it_names(
    honest: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with (
        mock.patch("sys.argv", ["course", "certificate", "--verify", str(honest), "--name", NAME, *PATIENCE]),
        pytest.raises(SystemExit) as ended,
    ):
        main()
    output = capsys.readouterr().out
    assert ended.value.code == 0
    assert output.count(": holds") == 7
    assert "7 of 7 claimed tasks hold, on new inputs" in output
    assert "not who wrote it" in output


def test_the_file_is_small_and_says_what_it_is(honest: Path) -> None:
    certificate, text = loaded(honest), honest.read_text(encoding="utf-8")
    assert len(text) < 20_000
    assert list(certificate) == ["certificate", "about", "name", "date", "versions", "pages", "sha256"]
    assert "not who wrote it" in certificate["about"]
    rest = {key: value for key, value in certificate.items() if key != "sha256"}
    compact = json.dumps(rest, sort_keys=True, separators=(",", ":"))
    assert certificate["sha256"] == hashlib.sha256(compact.encode()).hexdigest()
    assert "Set-up" not in text


def test_a_wrong_answer_is_listed_and_not_claimed(tmp_path: Path, page: Assignment, sandboxed: None) -> None:
    (tmp_path / "pages").mkdir()
    written(tmp_path / "pages" / "page.ipynb", handed_in(page, WRONG))
    written(tmp_path / "pages" / "notes.ipynb", nbformat.v4.new_notebook())
    claims = make_certificate(NAME, [tmp_path / "pages"], tmp_path / "c.json", seconds=PATIENT)
    assert str(claims[1]).startswith("01.2 Max pooling by hand: not claimed (max_pool_by_hand(")
    assert read_certificate(tmp_path / "c.json", NAME)["pages"][0]["claims"] == list(OTHERS)


@pytest.fixture(scope="module")
def forged(honest: Path, page: Assignment) -> dict[str, bool | None]:
    """What holds of a certificate whose answer to 01.2 knows the old inputs, and in which 01.4 and 01.5 are swapped."""
    certificate, task = loaded(honest), page.tasks["01.2"]
    seed, known = certificate["pages"][0]["seed"], {}
    for drawn in (PUBLIC, seed):
        for image, window in task.inputs(Draw(drawn)):
            known[key_of(image, window)] = task.solution(image, window).tolist()
    answer = f"{inspect.getsource(key_of)}\nknown = {known}\n\n{HARD_CODED}"
    space: dict[str, Any] = {"torch": torch, "hashlib": hashlib}
    exec(answer, space)
    fake = space["max_pool_by_hand"]
    assert result_of(task, fake).state == "correct"
    assert fault(task, observation(task, fake, seed), observation(task, task.solution, seed), seed) == ""
    names = ("line_kernel", "pixels_seen")
    for cell in certificate["pages"][0]["cells"]:
        for name, other in (names, names[::-1]):
            if f"def {name}(" in "".join(cell["source"]):
                cell["source"] = [line.replace(f"def {name}(", f"def {other}(") for line in cell["source"]]
                break
    return holding(verify_certificate(with_first(certificate, f"import hashlib\n\n{answer}"), seconds=PATIENT))


def test_answers_that_know_the_old_inputs_do_not_hold_on_new_ones(forged: dict[str, bool | None]) -> None:
    assert forged["01.2"] is False


def test_swapped_answers_do_not_hold(forged: dict[str, bool | None]) -> None:
    assert (forged["01.4"], forged["01.5"]) == (False, False)


def test_answers_beside_those_hold(forged: dict[str, bool | None]) -> None:
    assert forged == {**OTHERS, "01.2": False, "01.4": False, "01.5": False}


def test_a_hostile_answer_reaches_nothing_and_a_run_without_a_verdict_is_not_verified(
    honest: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    secret = tmp_path / "secret.txt"
    secret.write_text("mine", encoding="utf-8")
    attempts = HOSTILE.format(secret=str(secret), package=str(PACKAGE))
    certificate = with_first(loaded(honest) | {"name": "\x1b[2JEve"}, f"{attempts}\n\n{EXITS}")
    written(tmp_path / "c.json", json.dumps(certificate))
    before = digests(PACKAGE)
    monkeypatch.setattr("sys.argv", ["course", "certificate", "--verify", str(tmp_path / "c.json"), *PATIENCE])
    with pytest.raises(SystemExit) as ended:
        main()
    output = capsys.readouterr().out
    assert ended.value.code == 1
    assert "\x1b" not in output
    assert ": not verified (the process ended while max_pool_by_hand ran)" in output
    assert "6 of 7 claimed tasks hold" in output
    assert secret.read_text(encoding="utf-8") == "mine"
    assert digests(PACKAGE) == before
    assert {path.name for path in tmp_path.iterdir()} == {"secret.txt", "c.json"}


def test_a_forged_report_proves_nothing(honest: Path) -> None:
    report = FORGED.replace("04.", "01.").replace("range(1, 7)", "range(1, 8)")
    holds = holding(verify_certificate(with_first(loaded(honest), report), seconds=PATIENT))
    assert sorted(holds) == [f"01.{number}" for number in range(1, 8)]
    assert not any(holds.values())


@pytest.fixture
def plain() -> Certificate:
    """A certificate that nobody needs to run."""
    cells = [{"cell_type": "code", "source": ["def merge(weights):\n", "    return 1"]}]
    metadata = {"course": {"lesson": "01", "variant": None}}
    pages = [{"claims": ["01.2"], "seed": 7, "metadata": metadata, "cells": cells}]
    return sealed({"certificate": 1, "about": "", "name": NAME, "date": "2026-01-01", "versions": {}, "pages": pages})


def change_name(certificate: Certificate) -> None:
    certificate["name"] = "Max Roe"


def change_answer(certificate: Certificate) -> None:
    certificate["pages"][0]["cells"][0]["source"][1] = "    return 2"


def claim_more(certificate: Certificate) -> None:
    certificate["pages"][0]["claims"].append("01.3")


def lose_the_hash(certificate: Certificate) -> None:
    del certificate["sha256"]


@pytest.mark.parametrize("change", [change_name, change_answer, claim_more, lose_the_hash])
def test_a_change_is_noticed(plain: Certificate, tmp_path: Path, change: Callable[[Certificate], None]) -> None:
    path = written(tmp_path / "c.json", json.dumps(plain))
    assert read_certificate(path)["name"] == NAME
    change(plain)
    with pytest.raises(ValueError, match="was changed after it was made"):
        read_certificate(written(path, json.dumps(plain)))


def test_a_hash_worked_out_anew_hides_a_change_but_not_whose_it_should_be(plain: Certificate, tmp_path: Path) -> None:
    change_name(plain)
    path = written(tmp_path / "c.json", json.dumps(sealed(plain)))
    assert read_certificate(path)["name"] == "Max Roe"  # as the file, the command and the teachers' page say
    with pytest.raises(ValueError, match="this is Max Roe's certificate, not Zoë Müller's; check the name"):
        read_certificate(path, NAME)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "this is not a certificate"),
        ("# Notes", "this is not a certificate"),
        ('{"cells": [], "metadata": {}}', "this is not a certificate"),
        ("[" * 100_000, "this is not a certificate"),
        (
            '{"certificate": 2, "pages": []}',
            "has format 2, and this version of the course reads formats up to 1; update",
        ),
        ('{"certificate": 1, "x": ' + "[" * 100_000, "broken or cut short"),
        (" " * (LARGEST + 1), "more than the 1,000,000 bytes"),
    ],
)
def test_what_is_no_certificate_is_said(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        read_certificate(written(tmp_path / "c.json", text))


def test_a_file_cut_short_anywhere_is_refused(plain: Certificate, tmp_path: Path) -> None:
    text = json.dumps(plain, indent=1)
    for length in range(30, len(text) - 1, 37):
        with pytest.raises(ValueError, match="cut short"):
            read_certificate(written(tmp_path / "c.json", text[:length]))


def test_a_page_of_no_lesson_is_said_in_plain_letters(plain: Certificate) -> None:
    plain["pages"][0]["metadata"]["course"]["lesson"] = "\x1b[2J"
    with pytest.raises(ValueError, match=r"lesson  \[2J: has no exercises"):
        verify_certificate(sealed(plain))


@pytest.mark.parametrize("lost", ["claims", "cells", "metadata"])
def test_a_page_that_lacks_a_part_is_said_and_nothing_is_run(plain: Certificate, lost: str) -> None:
    del plain["pages"][0][lost]
    with pytest.raises(ValueError, match="pages that the course did not write"):
        verify_certificate(sealed(plain))


def test_a_certificate_that_claims_nothing_is_no_success(plain: Certificate) -> None:
    with pytest.raises(ValueError, match="nothing to verify"):
        verify_certificate(sealed(plain | {"pages": []}))


def test_a_learners_certificate_is_made_in_the_folder_of_the_learner_wherever_the_command_is_called(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy, elsewhere = tmp_path / "my-notebooks", tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.setattr("course_lib.lab.COPY", copy)
    calls = []

    def make(name: str, paths: list[Path], out: Path, **_: Any) -> list[Claim]:
        calls.append((paths, out.resolve()))
        return []

    monkeypatch.setattr("course_lib.classroom.certificate.make_certificate", make)
    monkeypatch.setattr("sys.argv", ["course", "certificate", "--name", NAME])
    for folder in (elsewhere, elsewhere, copy):  # the first time without a clone, so without a copy
        monkeypatch.chdir(folder)
        with pytest.raises(SystemExit, match="0"):
            main()
        copy.mkdir(exist_ok=True)
    assert {tuple(paths) for paths, _ in calls} == {(copy / "exercises",)}
    assert [out for _, out in calls] == [elsewhere / "certificate.json", *[copy / "certificate.json"] * 2]


def test_what_no_certificate_is_made_of_is_said(tmp_path: Path, page: Assignment) -> None:
    empty, out = written(tmp_path / "page.ipynb", handed_in(page, empty=True)), tmp_path / "c.json"
    for name, path, target, words in (
        ("", empty, out, "add --name"),
        (NAME, empty, empty, "ends with .json"),
        (NAME, empty, out, "no answers to the course's exercises in it; solve a task"),
        (NAME, tmp_path / "nowhere", out, "nowhere: no such notebook or folder"),
        (NAME, written(tmp_path / "notes.ipynb", "{not json"), out, "no answers"),
    ):
        with pytest.raises((ValueError, FileNotFoundError), match=words):
            make_certificate(name, [path], target)
    assert not out.exists()
