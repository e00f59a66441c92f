"""The process that submissions are forked from: it loads torch once, and runs none of their code itself.

A submission runs in a grandchild, behind the walls of `walls`, from where nothing of this process can be named. Before
each, the worker looks at itself: one that is not as it was at first ends, and the grader makes another.
"""

import contextlib
import gc
import importlib
import os
import resource
import select
import signal
import socket
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from course_lib.classroom import walls
from course_lib.classroom.runner import run

READY, ENDED, MEMORY, STARVED, KILL = b"r", b"e", b"m", b"s", b"k"  # said on the control socket


def serve(control: socket.socket, lesson: str, tasks: str, *, sandboxed: bool, processor: int, user: int) -> None:
    """Take a socket for each submission from `control`, one after the other, until it closes."""
    _load(lesson, tasks)
    if sandboxed:
        walls.call("prctl", walls.PR_SET_CHILD_SUBREAPER, 1)
        walls.call("prctl", walls.PR_SET_DUMPABLE, 0)
        if os.waitpid(_fork_walled(lambda: None, processor, user), 0)[1]:
            raise RuntimeError("no walls can be built around a submission")
    at_first = _portrait(sandboxed)
    while _portrait(sandboxed) == at_first:
        control.send(READY)
        connection = _next(control)
        if connection is None:
            return
        if sandboxed:
            child = _fork_walled(partial(_alone, connection), processor, user)
            connection.close()
            control.send(_watch(child, control, sandboxed))
        else:
            with tempfile.TemporaryDirectory(dir=".", ignore_cleanup_errors=True) as folder:
                child = _fork_open(connection, folder)
                connection.close()
                ending = _watch(child, control, sandboxed)
            control.send(ending)


def _next(control: socket.socket) -> socket.socket | None:
    while True:
        message, sockets, _, _ = socket.recv_fds(control, 1, 1)
        if sockets:
            return socket.socket(fileno=sockets[0])
        if not message:
            return None  # what else is said is for a submission that has ended meanwhile


def _load(lesson: str, tasks: str) -> None:
    """Whatever is heavy and most submissions need."""
    import matplotlib.pyplot  # noqa: F401
    import torch
    from IPython.core.interactiveshell import InteractiveShell

    from course_lib.exercises.load import offer, tasks_in

    torch.set_num_threads(1)  # threads do not survive a fork
    offer(tasks_in(Path(tasks), int(lesson), answers=False))
    for module in ("scipy.stats", "PIL.Image", "torchvision"):
        importlib.import_module(module)
    shell = InteractiveShell.instance(history_load_length=0, colors="NoColor")
    if shell.history_manager is not None:
        shell.history_manager.enabled = False
    gc.freeze()  # forks share what no collection touches


def _portrait(sandboxed: bool) -> list[object]:
    """All of this process that another process of the same user could change, and what one could leave behind."""
    limits = [resource.getrlimit(getattr(resource, name)) for name in dir(resource) if name.startswith("RLIMIT_")]
    state: list[object] = [limits, os.getpriority(os.PRIO_PROCESS, 0), signal.pthread_sigmask(signal.SIG_BLOCK, [])]
    if sandboxed:
        scheduling = Path("/proc/self/oom_score_adj").read_text(encoding="utf-8"), os.sched_getscheduler(0)
        tables = [Path("/proc/sysvipc", kind).read_text(encoding="utf-8") for kind in ("shm", "msg", "sem")]
        state += [os.sched_getaffinity(0), scheduling, tables, _processes(), sorted(os.listdir())]  # noqa: PTH208
    return state


def _processes() -> list[str]:
    return [name for name in os.listdir("/proc") if name.isdigit()]  # noqa: PTH208  # a thousand times a second


def _fork_walled(work: Callable[[], None], processor: int, user: int) -> int:
    """Do something in the first process of new namespaces; returns its number here."""
    reader, writer = os.pipe()
    outer = os.fork()
    if not outer:
        with _exit_after():
            os.close(reader)
            walls.limit(sandboxed=True)
            walls.leave(processor)
            inner = os.fork()
            if inner:
                os.write(writer, str(inner).encode())
            else:
                os.close(writer)
                walls.furnish(os.environ["HOME"], user)
                work()
    os.close(writer)
    with os.fdopen(reader) as pipe:
        inner = int(pipe.read() or 0)
    os.waitpid(outer, 0)
    if not inner:
        raise RuntimeError("no walls could be built around a submission")
    return inner


def _fork_open(connection: socket.socket, folder: str) -> int:
    """Run a submission without walls, as a process of the user who grades."""
    child = os.fork()
    if not child:
        with _exit_after():
            os.chdir(folder)
            os.setpgid(0, 0)
            walls.limit(sandboxed=False)
            _alone(connection)
    return child


@contextlib.contextmanager
def _exit_after() -> Iterator[None]:
    """End this process after what is done in it, whatever becomes of that."""
    status = 1
    try:
        yield
        status = 0
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(status)


def _alone(connection: socket.socket) -> None:
    """Run a submission with no file open but its own connection."""
    descriptor = os.dup(connection.fileno())
    silence = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(silence, stream)
    os.dup2(descriptor, 3)
    os.closerange(4, 1 << 16)
    run(socket.socket(fileno=3))


def _watch(child: int, control: socket.socket, sandboxed: bool) -> bytes:
    """Wait until a submission has ended, or end it: the grader says so, or all of it uses too much memory."""
    ending, own_memory, turn, started = ENDED, _memory(os.getpid()), 0, time.monotonic()
    while os.waitpid(child, os.WNOHANG) == (0, 0):
        turn += 1
        if select.select([control], [], [], 0.01)[0]:
            control.recv(1)
            ending = STARVED if _starved(_others() if sandboxed else [child], time.monotonic() - started) else ENDED
        elif not (sandboxed and turn % 10 == 0 and _used(own_memory) > walls.TOGETHER_BYTES):
            continue
        else:
            ending = MEMORY
        (os.kill if sandboxed else os.killpg)(child, signal.SIGKILL)  # and with it all that is in its namespace
        os.waitpid(child, 0)
        break
    if not sandboxed:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child, signal.SIGKILL)
    return ending


def _others() -> list[int]:
    """The processes of a submission: all but this one and the first in here."""
    return [int(name) for name in _processes() if int(name) not in (1, os.getpid())]


def _starved(processes: list[int], seconds: float) -> bool:
    """Whether one of them waited for a processor half of the time, while all together had it a quarter (`PATIENCE`)."""
    ran, waited = 0.0, 0.0
    for process in processes:
        with contextlib.suppress(OSError, ValueError):
            had, lacked, _ = Path("/proc", str(process), "schedstat").read_text(encoding="utf-8").split()
            ran, waited = ran + int(had) / 1e9, max(waited, int(lacked) / 1e9)
    return ran < seconds / 4 and waited > seconds / 2


def _used(own_memory: int) -> int:
    """Memory that all processes of a submission hold, without what they share with this process."""
    return sum(max(0, _memory(other) - own_memory) for other in _others())


def _memory(process: int) -> int:
    """Bytes of a process that are in no file."""
    with contextlib.suppress(OSError, ValueError, IndexError):
        status = Path("/proc", str(process), "status").read_text(encoding="utf-8")
        return 1024 * sum(int(status.partition(f"Rss{kind}:")[2].split()[0]) for kind in ("Anon", "Shmem"))
    return 0


if __name__ == "__main__":
    serve(
        socket.socket(fileno=int(sys.argv[1])),
        sys.argv[2],
        sys.argv[3],
        sandboxed=sys.argv[4] == "sandboxed",
        processor=int(sys.argv[5]),
        user=int(sys.argv[6]),
    )
