"""One submission: its cells in their order, then each task in a fork of its own.

Nothing in this file is trusted once a submission runs. What it reports is read, checked and judged outside.
"""

import ast
import contextlib
import io
import json
import os
import re
import resource
import select
import signal
import socket
import sys
import time
import traceback
from pathlib import Path
from typing import Any

MOST_PRINTED = 200_000  # characters
MOST_REPORTED = 1_900_000  # bytes, of which one task may use about half
IN_ALL = (
    5  # times the longest that a cell may run; what comes then has a twentieth of that, until twice as much is over
)


def run(connection: socket.socket) -> None:
    """Run one submission; says on the connection where it is, and at last what came of it."""
    job = json.loads(b"".join(iter(lambda: connection.recv(1 << 16), b"")))
    sys.stdin, sys.stdout, sys.stderr = io.StringIO(), _Printed(), _Printed()
    _silence_the_page()
    from IPython.core.interactiveshell import InteractiveShell

    shell, started, process = InteractiveShell.instance(), clock(), os.getpid()
    errors = {}
    for index, code, whole in job["cells"]:
        _send(connection, {"at": index})
        ran = clock() - started
        if ran > 2 * IN_ALL * job["seconds"]:
            errors[index] = "it was not run: the cells before it took all the time there is"
            continue
        seconds = job["seconds"] if ran < IN_ALL * job["seconds"] else job["seconds"] / 20
        errors[index] = _cell(shell, code, seconds, whole)
        if os.getpid() != process:
            os._exit(0)  # a copy that the cell has made
    with contextlib.suppress(OSError, ValueError):
        hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))  # cells may have left all files open that they may
    tasks, left = {}, MOST_REPORTED
    for number, name in job["tasks"].items():
        _send(connection, {"at": number})
        tasks[number], size = _in_a_fork(shell, number, name, job, min(left, MOST_REPORTED // 2))
        left -= size
    _send(connection, {"errors": {index: error for index, error in errors.items() if error}, "tasks": tasks})


def clock(process: int | str = "self") -> float:
    """Seconds, not counting those in which a process was ready but had no processor: others' work costs it no time.

    Where the system does not say (only Linux does), they count.
    """
    withheld = 0.0
    with contextlib.suppress(OSError, ValueError, IndexError):
        withheld = int(Path(f"/proc/{process}/schedstat").read_text(encoding="utf-8").split()[1]) / 1e9
    return time.monotonic() - withheld


def _send(connection: socket.socket, message: dict[str, Any]) -> None:
    connection.sendall(json.dumps(message).encode() + b"\n")


def _silence_the_page() -> None:
    """Make the page's own calls do nothing, wherever a student has put them: each task is checked once, at the end."""
    import course_lib.exercises as page
    from course_lib.classroom import packed

    for module, name in (*((page, name) for name in ("check", "hint", "progress", "solution")), (packed, "bring")):
        setattr(module, name, lambda *_, **__: None)


class _Printed(io.StringIO):
    """What cells print, up to a limit."""

    def write(self, text: str) -> int:
        if self.tell() + len(text) > MOST_PRINTED:
            raise OSError(f"more than {MOST_PRINTED:,} characters were printed")
        return super().write(text)


def _cell(shell: Any, code: str, seconds: float, whole: bool) -> str:
    """Run a cell; says how it failed, if it did. What it defines below the line that failed is defined all the same."""
    if not whole:  # it has ended its process before
        _executed(shell, _definitions(shell, code, after=0), seconds)
        return ""
    error = _executed(shell, code, seconds)
    if error is None:
        return ""
    rest = _definitions(shell, code, after=_line(error))
    if rest:
        _executed(shell, rest, seconds)
    return _error_text(error)


def _executed(shell: Any, code: str, seconds: float) -> BaseException | None:
    started = clock()

    def stop(*_: object) -> None:
        left = seconds - (clock() - started)
        if left <= 0:
            raise TimeoutError(f"it ran for more than {seconds:g} s")
        signal.setitimer(signal.ITIMER_REAL, left + 0.001)

    signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        result = shell.run_cell(code)
        return result.error_before_exec or result.error_in_exec
    except BaseException as escaped:
        return escaped
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)


def _line(error: BaseException) -> int:
    """The line of a cell that failed; of one that did not begin to run, none."""
    walked = traceback.walk_tb(error.__traceback__)
    return next((line for frame, line in walked if frame.f_code.co_name == "<module>"), sys.maxsize)


def _definitions(shell: Any, code: str, after: int) -> str:
    """The functions, classes and imports of a cell that begin below a line."""
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Import, ast.ImportFrom)
    with contextlib.suppress(Exception):
        body = ast.parse(shell.transform_cell(re.sub(r"^\s*%%.*\n", "", code))).body
        rest: list[ast.stmt] = [part for part in body if isinstance(part, kinds) and part.lineno > after]
        return ast.unparse(ast.Module(rest, type_ignores=[]))
    return ""


def _error_text(error: BaseException) -> str:
    return " ".join(traceback.format_exception_only(error)[-1].split())[:500]


def _in_a_fork(shell: Any, number: str, name: str, job: dict[str, Any], max_bytes: int) -> tuple[dict[str, Any], int]:
    """Check one task; a fork that ends early, or takes too long, is said to have done so. Also its report's size."""
    if name not in shell.user_ns:
        return {"stopped": f"{name} is not defined after all cells have run"}, 0
    reader, writer = os.pipe()
    child = os.fork()
    if not child:
        os.setpgid(0, 0)
        os.close(reader)
        try:
            with os.fdopen(writer, "w") as stream:
                json.dump(_observed(number, shell.user_ns[name], job["seed"]), stream)
        finally:
            os._exit(0)
    os.close(writer)
    try:
        report = _read(reader, child, job["seconds"], max_bytes)
        return (json.loads(report) if report else {"stopped": f"the process ended while {name} ran"}), len(report)
    except TimeoutError:
        return {"stopped": f"{name} ran for more than {job['seconds']:g} s"}, 0
    except (ValueError, RecursionError) as error:
        return {"stopped": f"what {name} returned cannot be read: {error}"}, 0
    finally:
        os.close(reader)
        for kill in (os.killpg, os.kill):
            with contextlib.suppress(ProcessLookupError):
                kill(child, signal.SIGKILL)
        os.waitpid(child, 0)


def _read(reader: int, child: int, seconds: float, max_bytes: int) -> bytes:
    content, end = b"", clock(child) + seconds
    while True:
        left = end - clock(child)
        if left <= 0:
            raise TimeoutError
        if not select.select([reader], [], [], left)[0]:
            continue
        piece = os.read(reader, 1 << 16)
        content += piece
        if not piece:
            return content
        if len(content) > max_bytes:
            raise ValueError("it is too much")


def _observed(number: str, answer: Any, seed: int) -> dict[str, Any]:
    """What is observed of an answer with the inputs of the page, and then with secret ones; it is judged outside."""
    from course_lib.classroom.plain import to_json
    from course_lib.exercises.engine import failed
    from course_lib.exercises.load import find_task
    from course_lib.exercises.task import observation

    task = find_task(number)
    observed = observation(task, answer)
    report: dict[str, Any] = {"public": to_json([observed.rounds, observed.default])}
    if observed.error:
        result = failed(task, observed.error)
        report |= {"state": result.state, "findings": [list(pair) for pair in result.findings]}
        if result.state == "not attempted":
            return report
    hidden = observation(task, answer, seed)
    if hidden.error:
        return report | {"raised": type(hidden.error).__name__}  # its text might tell the inputs
    return report | {"hidden": to_json([hidden.rounds, hidden.default])}
