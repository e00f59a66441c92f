"""The call that adds what a command lacks is one that pip takes, wherever the course came from."""

import json
import tomllib
from pathlib import Path
from unittest import mock

import pytest
from packaging.requirements import Requirement
from typer.main import get_command

from course_lib.cli import app
from course_lib.extras import NEEDS, how_to_install

ROOT = Path(__file__).parents[1]
EXTRAS = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
COMMIT = "7921be1537eac1e97bc40179a57f0349c2aee67d"


def test_every_command_and_every_extra_of_the_table_exists() -> None:
    assert set(NEEDS) <= set(get_command(app).commands)
    assert {extra for extras in NEEDS.values() for extra in extras.split(",")} <= set(EXTRAS)


def test_in_a_clone_the_clone_is_installed_from_any_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    assert how_to_install("site").endswith(f' -m pip install -c "{ROOT / "requirements.lock"}" -e "{ROOT}[site]"')


@pytest.mark.parametrize(  # in the words of PEP 610, "Example direct_url.json"
    ("noted", "url"),
    [
        ({"url": "https://a.example/c.zip", "archive_info": {}}, "https://a.example/c.zip"),
        (
            {"url": "https://a.example/c.git", "vcs_info": {"vcs": "git", "commit_id": COMMIT}},
            f"git+https://a.example/c.git@{COMMIT}",
        ),
    ],
)
def test_outside_a_clone_the_address_is_that_which_pip_noted(
    noted: dict[str, object], url: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    asked = Requirement(outside(noted, monkeypatch, tmp_path))
    assert (asked.name, asked.extras, asked.url) == ("course-lib", {"notebooks", "site"}, url)


def test_outside_a_clone_a_file_on_the_disk_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    wheel = tmp_path / "a folder" / "course_lib-0.1.0-py3-none-any.whl"
    noted = {"url": wheel.as_uri(), "archive_info": {}}
    assert outside(noted, monkeypatch, tmp_path) == f"{wheel}[notebooks,site]"


def test_where_pip_noted_nothing_the_reader_is_asked_for_the_file(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert "where FILE is the course's zip or wheel" in outside({}, monkeypatch, tmp_path)


def outside(noted: dict[str, object], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> str:
    """What pip is told to install where the course is not a clone."""
    monkeypatch.setattr("course_lib.extras.CLONE", tmp_path)
    with mock.patch("course_lib.extras.metadata.distribution") as distribution:
        distribution.return_value.read_text.return_value = json.dumps(noted) if noted else None
        return how_to_install("notebooks,site").partition(" install ")[2].removeprefix('"').removesuffix('"')
