"""Where submissions run: bubblewrap's sandbox around `worker`, which builds walls around each."""

import itertools
import json
import os
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from course_lib.classroom.plain import read_json, readable
from course_lib.classroom.walls import FOLDER_BYTES, TOGETHER_BYTES
from course_lib.classroom.worker import KILL, MEMORY, READY, STARVED
from course_lib.exercises.load import FOLDER, files_of, without_answers

PACKAGE = Path(__file__).parents[1]
START_S = 180  # to load torch from a slow disk
TIDY_S = 10
LARGEST_REPORT = 2_000_000  # bytes
MOST_LINES = 10_000
MOST_TRIES = 8
PATIENCE = 4  # times what a cell may take, by the clock: a busy machine is slow
MOST_TIMES = 40  # what a cell may take, by the clock, for all of a submission
_users = itertools.count(secrets.randbelow(2_000))  # each submission is a user of its own, if root grades


class StoppedError(RuntimeError):
    """A submission did not come to its end; the message says why.

    Attributes:
        location: the place of the cell or the number of the task where it was, by its own words.
        retriable: whether the same may come out better another time: it did not just run too long.
    """

    def __init__(self, message: str, location: int | str | None, *, retriable: bool) -> None:
        super().__init__(message)
        self.location, self.retriable = location, retriable


class Sandbox:
    """A process that forks submissions to one lesson's exercises, one at a time, each behind walls of its own.

    In the sandbox there is no network; of the disk only the programs can be seen, and none of them be changed; one
    folder can be written, which no other submission sees. Of the exercises there is what is above `# Answers`.

    Args:
        lesson: such as "04".
        tasks: the folder of its tasks.
        seconds: the longest that a cell or a task may run, without the time in which it had no processor.
        sandboxed: False to run submissions as the user's own programs, which can read and change what the user can.
        processor: where its submissions run, and no other sandbox's should.

    Raises:
        FileNotFoundError: there is no bubblewrap here.
        ValueError: submissions could see a teacher's own tasks where they are.
        OSError: from `run`, no sandbox can be made here.
    """

    def __init__(
        self, lesson: str, tasks: Path = FOLDER, *, seconds: float, sandboxed: bool = True, processor: int = 0
    ) -> None:
        self._lesson, self._tasks, self._seconds, self._processor = lesson, tasks.resolve(), seconds, processor
        self._sandboxed = sandboxed
        self._process: subprocess.Popen[bytes] | None = None
        if not hasattr(os, "fork"):
            raise OSError("grading needs a system that forks processes: Linux, macOS, or on Windows WSL.")
        if sandboxed and shutil.which("bwrap") is None:
            raise FileNotFoundError(
                "submissions are strangers' programs, and there is no sandbox here to run them in: install bubblewrap "
                "(Linux: `apt-get install bubblewrap`), or, if you trust every one of them, say --no-sandbox."
            )
        visible = [path for path in visible_paths() if self._tasks.is_relative_to(path.resolve())]
        if sandboxed and tasks != FOLDER and visible:
            raise ValueError(f"--tasks {tasks}: lies in {visible[0]}, which submissions can see; move it elsewhere.")

    def __enter__(self) -> "Sandbox":
        return self

    def __exit__(self, *_: object) -> None:
        self._end()

    def run(self, cells: list[tuple[int, str]], tasks: dict[str, str], seed: int) -> dict[str, Any]:
        """Run a submission's cells, then check its tasks.

        One that comes to no end is run again in a fresh sandbox; without the cell, but for its definitions, or without
        the task that ended it twice or could not be stopped.

        Args:
            cells: place and code of each.
            tasks: number and name of what is checked.
            seed: of the hidden checks' inputs.

        Returns:
            what the process said, which may be a lie: "errors" of cells by place, "tasks" by number.

        Raises:
            StoppedError: it came to no end however often it was tried.
        """
        end, blamed = time.monotonic() + MOST_TIMES * self._seconds, _Blamed(cells, tasks)
        while True:
            try:
                return blamed.with_left_out(self._once(blamed.cells(), blamed.tasks(), seed, end))
            except StoppedError as stopped:
                if time.monotonic() > end or not blamed.learns_from(stopped):
                    raise
                if not blamed.anything:
                    self._end()  # it may have been the worker's fault

    def _once(self, cells: list[tuple[int, str, bool]], tasks: dict[str, str], seed: int, end: float) -> dict[str, Any]:
        if self._process is None or self._process.poll() is not None:
            self._start()
        job = {"cells": cells, "tasks": tasks, "seed": seed, "seconds": self._seconds}
        grader_end, worker_end = socket.socketpair()
        with grader_end:
            reader = _ReportReader(grader_end, self._seconds, end)
            try:
                with worker_end:
                    socket.send_fds(self._control, [b"j"], [worker_end.fileno()])
                report = reader.report(json.dumps(job).encode(), tasks)
            except TimeoutError:
                if self._tidied() == STARVED:
                    raise StoppedError("other programs kept the processor from it", None, retriable=True) from None
                raise StoppedError(
                    "it ran too long, and could not be stopped", reader.location, retriable=False
                ) from None
            except (ValueError, KeyError, TypeError, AttributeError, RecursionError, OSError):
                reason = f"it used more than {TOGETHER_BYTES >> 30} GB of memory"
                reason = reason if self._tidied() == MEMORY else "it ended its process"
                raise StoppedError(reason, reader.location, retriable=True) from None
            self._tidied()
        return report

    def _start(self) -> None:
        self._control, worker_end = socket.socketpair()
        self._folder = tempfile.TemporaryDirectory(prefix="course-grade-", ignore_cleanup_errors=True)
        user = 60_000 + next(_users) % 5_000
        command = [sys.executable, "-m", "course_lib.classroom.worker", str(worker_end.fileno()), self._lesson]
        tasks, mode = (FOLDER, "sandboxed") if self._sandboxed else (self._tasks, "open")
        command += [str(tasks), mode, str(self._processor), str(user)]
        home = "/box" if self._sandboxed else self._folder.name
        settings = {
            "HOME": home,
            "TMPDIR": home,
            "IPYTHONDIR": f"{home}/.ipython",
            "MPLCONFIGDIR": f"{home}/.matplotlib",
        }
        settings |= {"OMP_NUM_THREADS": "1", "MPLBACKEND": "agg", "COURSE_DATA": "simulated", "COURSE_DEVICE": "cpu"}
        settings |= {"PATH": os.environ["PATH"], "LANG": "C.UTF-8", "PYTHONPATH": str(PACKAGE.parent)}
        if self._sandboxed:
            command = [*bubblewrap(self._tasks_without_answers()), *command]
        with worker_end, tempfile.TemporaryFile() as output:
            self._process = subprocess.Popen(
                command,
                env=settings,
                cwd=self._folder.name,
                pass_fds=[worker_end.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
            )
            worker_end.close()
            if not self._receives(READY, START_S):
                self._end()
                raise OSError(_did_not_start(output))

    def _tasks_without_answers(self) -> Path:
        """A folder with the files of the tasks as the sandbox may see them."""
        folder = Path(self._folder.name) / "tasks"
        folder.mkdir()
        for path in files_of(int(self._lesson), self._tasks):
            text = without_answers(path.read_text(encoding="utf-8"))
            (folder / path.name).write_text(text, encoding="utf-8")
        return folder

    def _receives(self, expected: bytes, seconds: float) -> bool:
        self._control.settimeout(seconds)
        try:
            return self._control.recv(1) == expected
        except OSError:
            return False

    def _tidied(self) -> bytes:
        """End what is left of a submission; returns how it ended, once the worker has proved fresh. Else that ends."""
        self._control.settimeout(TIDY_S)
        ending = b""
        try:
            self._control.send(KILL)
            ending = self._control.recv(1)
        except OSError:
            pass
        if not self._receives(READY, TIDY_S):
            self._end()
        return ending

    def _end(self) -> None:
        if self._process is not None:
            self._process.kill()  # and with it, in a sandbox, all that runs in there
            self._process.wait()
            self._control.close()
            self._folder.cleanup()
            self._process = None


def _did_not_start(output: IO[bytes]) -> str:
    output.seek(0)
    lines = output.read(1 << 20).decode(errors="replace").strip().splitlines()
    return (
        f"the process for submissions did not start; it said: {readable(' / '.join(lines[-2:]))}. If bubblewrap or the "
        "process may not make namespaces here, ask for unprivileged user namespaces; or, if you trust every "
        "submission, say --no-sandbox."
    )


class _ReportReader:
    """What a submission says: lines of JSON, the last of which is its report."""

    def __init__(self, connection: socket.socket, seconds: float, end: float) -> None:
        self._connection, self._patience, self._end = connection, PATIENCE * seconds + 2, end
        self.location: int | str | None = None

    def report(self, job: bytes, tasks: dict[str, str]) -> dict[str, Any]:
        """Send what is to be done, and listen until the report.

        Raises:
            TimeoutError: a cell or a task took too long, or all together.
            ValueError, KeyError, TypeError, AttributeError, RecursionError, OSError: it said something else.
        """
        self._connection.settimeout(self._patience)
        self._connection.sendall(job)
        self._connection.shutdown(socket.SHUT_WR)
        for line in self._lines():
            message = read_json(line)
            if "tasks" in message:
                if not isinstance(message["errors"], dict) or message["tasks"].keys() != tasks.keys():
                    raise ValueError("no report")
                return dict(message)
            self.location = message["at"] if isinstance(message["at"], int | str) else None
        raise ValueError("no report")

    def _lines(self) -> Iterator[bytes]:
        buffer, length = bytearray(), 0
        for _ in range(MOST_LINES):
            deadline = min(self._end, time.monotonic() + self._patience)
            while b"\n" not in buffer[-1:]:
                self._connection.settimeout(max(0.01, deadline - time.monotonic()))
                piece = self._connection.recv(1 << 16)
                length += len(piece)
                if not piece or length > LARGEST_REPORT:
                    return
                buffer += piece
                if time.monotonic() > deadline:
                    raise TimeoutError
            yield from bytes(buffer).splitlines()
            buffer.clear()


class _Blamed:
    """Which cells and tasks of a submission have kept it from its end, and what is left to be tried."""

    def __init__(self, cells: list[tuple[int, str]], tasks: dict[str, str]) -> None:
        self._cells, self._tasks = dict(cells), tasks
        self._times: dict[int | str, int] = {}
        self._reasons: dict[int | str, str] = {}
        self._last: StoppedError | None = None
        self._tries = 1

    def cells(self) -> list[tuple[int, str, bool]]:
        """Place and code of each that runs, and whether all of it does, or its definitions only."""
        return [
            (index, code, index not in self._reasons)
            for index, code in self._cells.items()
            if self._num_stops(index) < 2
        ]

    def tasks(self) -> dict[str, str]:
        return {number: name for number, name in self._tasks.items() if number not in self._reasons}

    @property
    def anything(self) -> bool:
        return bool(self._reasons)

    def learns_from(self, stopped: StoppedError) -> bool:
        """Whether another try could end better, the same if it is the first time, or with something left out."""
        location, last = stopped.location, self._last
        self._last, self._tries = stopped, self._tries + 1
        if self._tries > MOST_TRIES:
            return False
        if stopped.retriable and (last is None or last.location != location):
            return True
        if location is None or not (location in self._tasks or location in self._cells):
            return False
        self._times[location] = self._num_stops(location) + 1
        self._reasons[location] = str(stopped)
        return True

    def with_left_out(self, report: dict[str, Any]) -> dict[str, Any]:
        """A report, with what was left out."""
        left_out = {number: {"stopped": reason} for number, reason in self._reasons.items() if number in self._tasks}
        failed = {str(index): reason for index, reason in self._reasons.items() if index in self._cells}
        return report | {"tasks": report["tasks"] | left_out, "errors": report["errors"] | failed}

    def _num_stops(self, location: int | str) -> int:
        return self._times.get(location, 0)


def visible_paths() -> list[Path]:
    """What of the disk submissions can see."""
    system = ("/usr", "/bin", "/lib", "/lib64", "/etc/ld.so.cache", "/etc/alternatives", "/etc/fonts")
    return list(dict.fromkeys([*map(Path, system), Path(sys.base_prefix), Path(sys.prefix), PACKAGE]))


def bubblewrap(tasks: Path) -> list[str]:
    """The command that shows programs only, and `tasks` in place of the exercises, and runs what follows it."""
    command = ["bwrap", "--unshare-ipc", "--unshare-pid", "--unshare-net", "--unshare-uts", "--unshare-cgroup-try"]
    command += ["--unshare-user"] if os.geteuid() else []
    command += ["--die-with-parent", "--new-session", "--proc", "/proc", "--dev", "/dev"]
    for folder in dict.fromkeys(parent for path in visible_paths() for parent in _parents(path)):
        command += ["--perms", "0755", "--dir", str(folder)]
    for path in visible_paths():
        if path.is_symlink() and path.parent == Path("/"):
            command += ["--symlink", str(path.readlink()), str(path)]
        elif path.exists():
            command += ["--ro-bind", str(path), str(path)]
    command += ["--ro-bind", str(tasks), str(FOLDER)]
    command += ["--perms", "0755", "--size", str(FOLDER_BYTES), "--tmpfs", "/box"]
    command += ["--remount-ro", "/dev", "--remount-ro", "/"]  # else a user's own, to fill without limit
    return [*command, "--chdir", "/box"]


def _parents(path: Path) -> Iterator[Path]:
    """Folders in which `path` lies, the outermost first, but the root."""
    yield from list(path.parents)[-2::-1]
