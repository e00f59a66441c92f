"""The process that submissions run in: it loads torch once, then forks for each submission, and again for each task.

Nothing in this file is trusted once a submission runs. What a fork reports is read, checked and judged outside.
"""

import contextlib
import ctypes
import importlib
import io
import json
import os
import resource
import secrets
import select
import shutil
import signal
import socket
import sys
import time
import traceback
from pathlib import Path
from typing import Any

MOST_PRINTED = 200_000  # characters
REPORTS = 50_000_000  # bytes


def serve(control: socket.socket, lesson: str, sandboxed: bool) -> None:
    """Take a socket for each submission from `control`, one after the other, until it closes."""
    if sys.platform == "linux":  # where memory ends, the kernel ends submissions first
        with contextlib.suppress(OSError):
            Path("/proc/self/oom_score_adj").write_text("1000", encoding="utf-8")
    if sandboxed and os.geteuid() == 0:  # no limit counts the processes of root
        nobody = 60_000 + secrets.randbelow(5_000)  # of its own: the number of processes is counted for each user
        os.chown(".", nobody, nobody)
        os.setgroups([])
        os.setgid(nobody)
        os.setuid(nobody)
    _load(lesson)
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(4, 0)  # PR_SET_DUMPABLE: no submission reads or writes this process
    folder = Path.cwd()
    while True:
        _empty(folder)
        if any(folder.iterdir()) or (sandboxed and _shared_memory_is_left()):
            return  # what cannot be deleted goes with the sandbox; the grader makes another
        control.send(b"r")  # ready
        _, sockets, _, _ = socket.recv_fds(control, 1, 1)
        if not sockets:
            return
        child = os.fork()
        if not child:
            control.close()
            _run(socket.socket(fileno=sockets[0]))
            os._exit(0)
        os.close(sockets[0])
        os.waitpid(child, 0)
        _end_the_rest(child, sandboxed)


def _load(lesson: str) -> None:
    """Whatever is heavy and most submissions need."""
    import matplotlib.pyplot  # noqa: F401
    import torch
    from IPython.core.interactiveshell import InteractiveShell

    from course_lib.classroom.hidden import hidden_check
    from course_lib.exercises.tasks import tasks_of

    torch.set_num_threads(1)  # threads do not survive a fork
    for task in tasks_of(int(lesson)):
        hidden_check(task.number)
    for module in ("scipy.stats", "PIL.Image", "torchvision"):
        importlib.import_module(module)
    shell = InteractiveShell.instance(history_load_length=0, colors="NoColor")
    if shell.history_manager is not None:
        shell.history_manager.enabled = False


def _end_the_rest(child: int, sandboxed: bool) -> None:
    """End whatever the submission left running."""
    with contextlib.suppress(ProcessLookupError):
        if sandboxed:
            os.kill(-1, signal.SIGKILL)  # everything in the sandbox but this process
        else:
            os.killpg(child, signal.SIGKILL)
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG) != (0, 0):
            pass


def _empty(folder: Path) -> None:
    """Nobody finds traces of the submission before."""
    for path in folder.iterdir():
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink()


def _shared_memory_is_left() -> bool:
    """Whether there is shared memory, or another object of System V's, that outlives its process."""
    tables = [Path("/proc/sysvipc", kind) for kind in ("shm", "msg", "sem")]
    return any(len(table.read_text(encoding="utf-8").splitlines()) > 1 for table in tables if table.exists())


def _run(connection: socket.socket) -> None:
    """Run one submission: its cells in their order, then each task in a fork of its own."""
    os.setsid()
    job = json.loads(_received(connection))
    _limit(job)
    silence = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(silence, stream)
    sys.stdin, sys.stdout, sys.stderr = io.StringIO(), _Printed(), _Printed()
    from IPython.core.interactiveshell import InteractiveShell

    shell = InteractiveShell.instance()
    errors = {str(place): _cell(shell, code, job["seconds"]) for place, code in job["cells"]}
    tasks = {number: _in_a_fork(shell, number, name, job) for number, name in job["tasks"].items()}
    report = {"errors": {place: error for place, error in errors.items() if error}, "tasks": tasks}
    connection.sendall(json.dumps(report).encode())
    connection.close()


def _received(connection: socket.socket) -> bytes:
    return b"".join(iter(lambda: connection.recv(1 << 16), b""))


def _limit(job: dict[str, Any]) -> None:
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (job["file_bytes"],) * 2)
    if sys.platform == "linux":
        status = Path("/proc/self/status").read_text(encoding="utf-8")
        held = int(status.partition("VmSize:")[2].split()[0]) * 1024
        resource.setrlimit(resource.RLIMIT_AS, (held + job["memory_bytes"],) * 2)  # shared memory counts too
        resource.setrlimit(resource.RLIMIT_MSGQUEUE, (0, 0))  # outlives its process
        if job["sandboxed"]:  # outside, the user's other processes would count
            resource.setrlimit(resource.RLIMIT_NPROC, (job["processes"],) * 2)


class _Printed(io.StringIO):
    """What cells print, up to a limit."""

    def write(self, text: str) -> int:
        if self.tell() + len(text) > MOST_PRINTED:
            raise OSError(f"more than {MOST_PRINTED:,} characters were printed")
        return super().write(text)


def _cell(shell: Any, code: str, seconds: float) -> str:
    """Run a cell; says how it failed, if it did."""

    def stop(*_: object) -> None:
        raise TimeoutError(f"it ran for more than {seconds:g} s")

    signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        result = shell.run_cell(code)
        error = result.error_before_exec or result.error_in_exec
    except BaseException as escaped:
        error = escaped
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
    return "" if error is None else _told(error)


def _told(error: BaseException) -> str:
    return " ".join(traceback.format_exception_only(error)[-1].split())[:500]


def _in_a_fork(shell: Any, number: str, name: str, job: dict[str, Any]) -> dict[str, Any]:
    """Check one task; a fork that ends early, or takes too long, is said to have done so."""
    if name not in shell.user_ns:
        return {"stopped": f"{name} is not defined after all cells have run"}
    reader, writer = os.pipe()
    child = os.fork()
    if not child:
        os.setpgid(0, 0)
        os.close(reader)
        try:
            with os.fdopen(writer, "w") as report:
                json.dump(_judged(number, shell.user_ns[name], job["seed"]), report)
        finally:
            os._exit(0)
    os.close(writer)
    try:
        found = _read(reader, job["seconds"])
        return json.loads(found) if found else {"stopped": f"the process ended while {name} ran"}
    except TimeoutError:
        return {"stopped": f"{name} ran for more than {job['seconds']:g} s"}
    except ValueError as error:
        return {"stopped": f"what {name} left behind cannot be read: {error}"}
    finally:
        os.close(reader)
        for kill in (os.killpg, os.kill):
            with contextlib.suppress(ProcessLookupError):
                kill(child, signal.SIGKILL)
        os.waitpid(child, 0)


def _read(reader: int, seconds: float) -> bytes:
    found, end = b"", time.monotonic() + seconds
    while True:
        if not select.select([reader], [], [], max(0.0, end - time.monotonic()))[0]:
            raise TimeoutError
        piece = os.read(reader, 1 << 16)
        found += piece
        if not piece:
            return found
        if len(found) > REPORTS:
            raise ValueError("too much of it")


def _judged(number: str, answer: Any, seed: int) -> dict[str, Any]:
    """What the public check says of an answer, and what the hidden one observes."""
    from course_lib.classroom.hidden import hidden_check
    from course_lib.classroom.hidden.draw import Draw
    from course_lib.classroom.plain import to_json
    from course_lib.exercises.engine import judge
    from course_lib.exercises.tasks import find_task

    said = judge(find_task(number), answer)
    report: dict[str, Any] = {"state": said.state, "findings": [list(pair) for pair in said.findings]}
    if said.state == "not attempted":
        return report
    try:
        report["observed"] = to_json(hidden_check(number).observe(answer, Draw(seed)))
    except Exception as error:
        report["raised"] = type(error).__name__  # its text might tell the inputs
    return report


if __name__ == "__main__":
    serve(socket.socket(fileno=int(sys.argv[1])), sys.argv[2], sandboxed=sys.argv[3] == "sandboxed")
