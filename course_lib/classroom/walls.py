"""The walls around one submission, which its own process builds before any of its code runs.

bubblewrap's sandbox stands around all of them together; inside of it nothing of a submission runs but behind these:
namespaces of its own for processes, files, network, System V's objects and users, limits, and a filter of system calls.
"""

import contextlib
import ctypes
import fcntl
import os
import resource
import socket
import struct
import sys
from pathlib import Path

from course_lib.classroom.calls import NAMESPACES, close_calls

MEMORY_BYTES = 2 << 30  # of a process
TOGETHER_BYTES = 4 << 30  # of all processes of a submission
FILE_BYTES, FOLDER_BYTES, SHARED_BYTES = 50_000_000, 200_000_000, 64_000_000
PROCESSES, FILES, SIGNALS = 64, 256, 256
RESERVED = 32  # files more, for the checks after the cells
PR_SET_DUMPABLE, PR_SET_CHILD_SUBREAPER = 4, 36
NEW_USER = 0x10000000
PRIVATE, NO_SETUID, NO_DEVICES, NO_PROGRAMS = 0x4000 | 0x40000, 2, 4, 8  # flags of mount


def call(name: str, *arguments: int | bytes | None) -> None:
    """Call a function of libc.

    Raises:
        OSError: it failed.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    if getattr(libc, name)(*arguments) < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{name}: {os.strerror(number)}")


def limit(*, sandboxed: bool) -> None:
    """Limit what this process, and each that it starts, may use; a namespace made after it inherits the limits."""
    _set_limit(resource.RLIMIT_CORE, 0)
    _set_limit(resource.RLIMIT_FSIZE, FILE_BYTES)
    if sys.platform != "linux":
        return
    call("prctl", PR_SET_DUMPABLE, 1)  # else /proc/self is root's
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("1000", encoding="utf-8")  # where memory ends, this ends first
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    used = int(status.partition("VmSize:")[2].split()[0]) * 1024
    _set_limit(resource.RLIMIT_AS, used + MEMORY_BYTES)  # shared memory counts too
    if sandboxed:  # outside, the user's other processes would count
        _set_limit(resource.RLIMIT_NPROC, PROCESSES)
        _set_limit(resource.RLIMIT_NOFILE, FILES + RESERVED)
        hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(FILES, hard), hard))
        _set_limit(resource.RLIMIT_SIGPENDING, SIGNALS)
        for resource_id in (
            resource.RLIMIT_MSGQUEUE,
            resource.RLIMIT_MEMLOCK,
            resource.RLIMIT_RTPRIO,
            resource.RLIMIT_NICE,
        ):
            _set_limit(resource_id, 0)


def _set_limit(resource_id: int, value: int) -> None:
    hard = resource.getrlimit(resource_id)[1]
    value = value if hard == resource.RLIM_INFINITY else min(value, hard)
    resource.setrlimit(resource_id, (value, value))


def leave(processor: int) -> None:
    """Leave the namespaces of the worker, and stay on one processor; the next fork is the first process in its own.

    Root needs no namespace of users to do so, and instead `furnish` makes it a user of its own.
    """
    os.sched_setaffinity(0, {processor})
    user, group, root = os.getuid(), os.getgid(), os.geteuid() == 0
    call("unshare", NAMESPACES - (NEW_USER if root else 0))
    if not root:
        for file, text in (("setgroups", "deny"), ("uid_map", f"{user} {user} 1"), ("gid_map", f"{group} {group} 1")):
            Path("/proc/self", file).write_text(text, encoding="utf-8")


def furnish(folder: str, user: int) -> None:
    """Give this process, the first in its namespaces, a folder, /proc and a network of its own; then close the door.

    Args:
        folder: to be written in, empty.
        user: whom root becomes.
    """
    root = os.geteuid() == 0
    owner = f",uid={user},gid={user}" if root else ""
    call("mount", None, b"/", None, PRIVATE, None)
    safe = NO_SETUID | NO_DEVICES
    call("mount", b"proc", b"/proc", b"proc", safe | NO_PROGRAMS, None)
    for path, size in ((folder, FOLDER_BYTES), ("/dev/shm", SHARED_BYTES)):
        call("mount", b"tmpfs", path.encode(), b"tmpfs", safe, f"mode=700,size={size},nr_inodes=20000{owner}".encode())
    os.chdir(folder)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:  # the loopback, up and running
        fcntl.ioctl(any_socket, 0x8914, struct.pack("16sh14x", b"lo", 0x41))
    if root:
        os.setgroups([])
        os.setresgid(user, user, user)
        os.setresuid(user, user, user)
    call("capset", struct.pack("=Ii", 0x20080522, 0), bytes(24))
    call("prctl", PR_SET_DUMPABLE, 1)
    close_calls()
