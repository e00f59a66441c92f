"""Where submissions run: bubblewrap's sandbox around `worker`, and limits on all that it may use."""

import json
import os
import select
import shutil
import socket
import subprocess
import sys
import sysconfig
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

PACKAGE = Path(__file__).parents[1]
START_S = 180  # to load torch from a slow disk
TIDY_S = 10
LARGEST_REPORT = 100_000_000  # bytes
LIMITS = {"memory_bytes": 2 << 30, "file_bytes": 50_000_000, "folder_bytes": 200_000_000, "processes": 64}


class StoppedError(RuntimeError):
    """A submission did not come to its end; the message says why."""


class Sandbox:
    """A process that runs submissions to one lesson's exercises, each in a fork, one at a time.

    In the sandbox there is no network; of the disk only the programs can be seen, and none of them be changed; one
    folder of its own can be written, and is emptied after each submission. The exercises' solutions are not there.

    Args:
        lesson: such as "04".
        seconds: the longest that a cell or a task may run; five times that for all of a submission.
        sandboxed: False to run submissions as the user's own programs, which can read and change what the user can.

    Raises:
        FileNotFoundError: there is no bubblewrap here.
        OSError: from `run`, bubblewrap may not make a sandbox here.
    """

    def __init__(self, lesson: str, *, seconds: float, sandboxed: bool = True) -> None:
        self._lesson, self._seconds, self._sandboxed = lesson, seconds, sandboxed
        self._process: subprocess.Popen[bytes] | None = None
        if not hasattr(os, "fork"):
            raise OSError("grading needs a system that forks processes: Linux, macOS, or on Windows WSL.")
        if sandboxed and shutil.which("bwrap") is None:
            raise FileNotFoundError(
                "submissions are strangers' programs, and there is no sandbox here to run them in: install bubblewrap "
                "(Linux: `apt-get install bubblewrap`), or, if you trust every one of them, say --no-sandbox."
            )

    def __enter__(self) -> "Sandbox":
        return self

    def __exit__(self, *_: object) -> None:
        self._end()

    def run(self, cells: list[tuple[int, str]], tasks: dict[str, str], seed: int) -> dict[str, Any]:
        """Run a submission's cells, then check its tasks.

        Args:
            cells: place and code of each.
            tasks: number and name of what is checked.
            seed: of the hidden checks' inputs.

        Returns:
            what the process said, which may be a lie: "errors" of cells by place, "tasks" by number.

        Raises:
            StoppedError: it ran too long, ended itself, or said something else.
        """
        if self._process is None or self._process.poll() is not None:
            self._start()
        ours, theirs = socket.socketpair()
        with ours:
            socket.send_fds(self._control, [b"j"], [theirs.fileno()])
            theirs.close()
            job = {"cells": cells, "tasks": tasks, "seed": seed, "seconds": self._seconds, **LIMITS}
            try:
                said = self._talk(ours, json.dumps(job | {"sandboxed": self._sandboxed}).encode())
                report = json.loads(said)
                if not isinstance(report["errors"], dict) or report["tasks"].keys() != tasks.keys():
                    raise ValueError
            except TimeoutError:
                self._end()
                raise StoppedError(f"it ran for more than {5 * self._seconds:g} s in all") from None
            except (ValueError, KeyError, TypeError, AttributeError, RecursionError, OSError):
                raise StoppedError("its process ended before its cells had run") from None
            finally:
                self._expect_ready(TIDY_S)
        return dict(report)

    def _talk(self, connection: socket.socket, job: bytes) -> bytes:
        end = time.monotonic() + 5 * self._seconds
        connection.settimeout(5 * self._seconds)
        connection.sendall(job)
        connection.shutdown(socket.SHUT_WR)
        pieces, length = [], 0
        while True:
            connection.settimeout(max(0.01, end - time.monotonic()))
            piece = connection.recv(1 << 20)
            pieces.append(piece)
            length += len(piece)
            if not piece:
                return b"".join(pieces)
            if length > LARGEST_REPORT:
                raise ValueError("it said too much")

    def _start(self) -> None:
        self._control, theirs = socket.socketpair()
        self._folder = tempfile.TemporaryDirectory(prefix="course-grade-", ignore_cleanup_errors=True)
        command = [sys.executable, "-m", "course_lib.classroom.worker", str(theirs.fileno()), self._lesson]
        command.append("sandboxed" if self._sandboxed else "open")
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
            command = [*bubblewrap(), *command]
        self._process = subprocess.Popen(
            command, env=settings, cwd=self._folder.name, pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL
        )
        theirs.close()
        self._expect_ready(START_S)
        if self._process is None:
            raise OSError(
                "the process for submissions did not start; what it said stands above. If bubblewrap may not make "
                "namespaces here, ask for unprivileged user namespaces; or, if you trust every submission, say "
                "--no-sandbox."
            )

    def _expect_ready(self, seconds: float) -> None:
        """Wait until the process is ready for the next submission; one that is not, in time, is ended."""
        if self._process is None:
            return
        if select.select([self._control], [], [], seconds)[0]:
            try:
                if self._control.recv(1) == b"r":
                    return
            except OSError:
                pass
        self._end()

    def _end(self) -> None:
        if self._process is not None:
            self._process.kill()  # and with it, in a sandbox, all that runs in there
            self._process.wait()
            self._control.close()
            self._folder.cleanup()
            self._process = None


def bubblewrap() -> list[str]:
    """The command that shows programs only, and runs what follows it."""
    shown = [
        Path(folder)
        for folder in ("/usr", "/bin", "/lib", "/lib64", "/etc/ld.so.cache", "/etc/alternatives", "/etc/fonts")
    ]
    shown += [Path(sys.base_prefix), Path(sys.prefix), PACKAGE]
    command = ["bwrap", "--unshare-ipc", "--unshare-pid", "--unshare-net", "--unshare-uts", "--unshare-cgroup-try"]
    command += ["--unshare-user"] if os.geteuid() else []
    command += ["--die-with-parent", "--new-session", "--proc", "/proc", "--dev", "/dev"]
    for folder in dict.fromkeys(parent for path in shown for parent in _parents(path)):
        command += ["--perms", "0755", "--dir", str(folder)]
    for path in dict.fromkeys(shown):
        if path.is_symlink() and path.parent == Path("/"):
            command += ["--symlink", str(path.readlink()), str(path)]
        elif path.exists():
            command += ["--ro-bind", str(path), str(path)]
    solutions = Path(sysconfig.get_path("data")) / "share" / "course-lib"
    command += ["--tmpfs", str(solutions)] if solutions.is_dir() else []
    command += ["--perms", "0755", "--size", str(LIMITS["folder_bytes"]), "--tmpfs", "/box"]
    command += ["--remount-ro", "/dev", "--remount-ro", "/"]  # else a user's own, to fill without limit
    return [*command, "--chdir", "/box"]


def _parents(path: Path) -> Iterator[Path]:
    """Folders in which `path` lies, the outermost first, but the root."""
    yield from list(path.parents)[-2::-1]
