"""`pytest --only-changed` leaves out what passed before and nothing has changed since; `--cache-clear` forgets all.

A file of tests can depend on any file of the project, a notebook on itself and the package; both on what is installed
and on where the real images are. A file of which something failed, or was skipped, runs again.
"""

import hashlib
import os
import platform
import subprocess
import sys
from importlib.metadata import distributions
from pathlib import Path

import pytest

PASSED = "course/passed"  # in pytest's cache: what each file depended on when it passed
OF_NOTEBOOKS = ("course_lib/", "conftest.py", "pyproject.toml", "tests/notebook_comparison.py")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--only-changed", action="store_true", help="leave out what passed and cannot have changed")


def pytest_configure(config: pytest.Config) -> None:
    if config.option.only_changed and hasattr(config, "cache"):
        config.pluginmanager.register(Unchanged(config), "unchanged files")


class Unchanged:
    def __init__(self, config: pytest.Config) -> None:
        assert config.cache is not None
        self.config, self.files, self.around = config, hashes(config.rootpath), around()
        self.passed: dict[str, str] = config.cache.get(PASSED, {})
        self.left_out: set[str] = set()
        self.ran: set[str] = set()
        self.not_passed: set[str] = set()

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        kept = [item for item in items if not self.is_unchanged(item.nodeid.partition("::")[0])]
        if left_out := [item for item in items if item not in set(kept)]:
            self.config.hook.pytest_deselected(items=left_out)
            items[:] = kept

    def is_unchanged(self, file: str) -> bool:
        return file in self.passed and self.passed[file] == self.state(file)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        file = report.nodeid.partition("::")[0]
        self.ran.add(file)
        if report.outcome != "passed":
            self.not_passed.add(file)

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.failed:
            self.not_passed.add(report.nodeid.partition("::")[0])

    def pytest_sessionfinish(self, session: pytest.Session, exitstatus: int) -> None:
        if exitstatus == pytest.ExitCode.NO_TESTS_COLLECTED and any(map(self.is_unchanged, self.passed)):
            session.exitstatus = pytest.ExitCode.OK
        chosen = (
            self.config.option.keyword or self.config.option.markexpr or any("::" in arg for arg in self.config.args)
        )
        if hasattr(self.config, "workerinput") or chosen or exitstatus > pytest.ExitCode.TESTS_FAILED:
            return  # a part of a file says nothing about all of it
        assert self.config.cache is not None
        known = {file: state for file, state in self.passed.items() if file not in self.not_passed}
        known |= {file: self.state(file) for file in self.ran - self.not_passed}
        self.config.cache.set(PASSED, known)

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        if count := sum(map(self.is_unchanged, self.passed)):
            told = f"{count} files passed before, and nothing they depend on has changed: left out (--cache-clear: all)"
            terminalreporter.write_line(told)

    def state(self, file: str) -> str:
        """What a file of tests depends on, as it was when pytest began."""
        own = (file, *OF_NOTEBOOKS) if file.endswith(".ipynb") else ("",)
        return hashlib.sha256(
            repr([self.around, *(one for one in self.files if one[0].startswith(own))]).encode()
        ).hexdigest()


def hashes(root: Path) -> list[tuple[str, str]]:
    """The files that git knows, or would add, each with a hash of what it holds."""
    command = ["git", "ls-files", "-co", "--exclude-standard"]
    paths = sorted(subprocess.run(command, cwd=root, capture_output=True, text=True, check=True).stdout.splitlines())
    return [(path, hashlib.sha256((root / path).read_bytes()).hexdigest()) for path in paths if (root / path).is_file()]


def around() -> str:
    """Python, what is installed, and where the real images are."""
    packages = sorted(f"{one.metadata['Name']} {one.version}" for one in distributions())
    return repr((sys.version, platform.machine(), packages, os.environ.get("COURSE_REAL_DATA")))
