"""Cells that reach for other submissions, for the process that these are forked from, or for all of the machine.

Each stands in a notebook that is otherwise right. Whatever it does to itself, its classmates keep their points.
"""

LIBC = "import ctypes, os\nlibc = ctypes.CDLL(None, use_errno=True)\n"
EVERYONE = "\nfor process in [os.getppid(), 1, 2, 3, *range(2, 300)]:\n    try:\n        "
END = "\n    except (OSError, ValueError):\n        pass\n"


def _writes(data: str, *, ends: bool = True) -> str:
    """A cell that writes to every open file, among them what the grader reads; and ends, or goes on writing."""
    writes = f"os.write(number, {data})" if ends else f"while True:\n            os.write(number, {data})"
    return f"""
import os
for number in range(3, 128):
    try:
        {writes}
    except OSError:
        pass
os._exit(0)"""


# What one process may do to another of the same user, for each that can be named:
TO_EVERYONE = {
    "prlimit memory": "resource.prlimit(process, resource.RLIMIT_AS, (1 << 30, 1 << 30))",
    "prlimit time": "resource.prlimit(process, resource.RLIMIT_CPU, (1, 1))",
    "prlimit files": "resource.prlimit(process, resource.RLIMIT_NOFILE, (3, 3))",
    "prlimit file size": "resource.prlimit(process, resource.RLIMIT_FSIZE, (0, 0))",
    "prlimit processes": "resource.prlimit(process, resource.RLIMIT_NPROC, (0, 0))",
    "prlimit stack": "resource.prlimit(process, resource.RLIMIT_STACK, (4096, 4096))",
    "kill": "process != os.getpid() and os.kill(process, signal.SIGKILL)",
    "stop": "process != os.getpid() and os.kill(process, signal.SIGSTOP)",
    "alarm": "process != os.getpid() and os.kill(process, signal.SIGALRM)",
    "kill by handle": "process != os.getpid() and signal.pidfd_send_signal(os.pidfd_open(process), 9)",
    "nice": "os.setpriority(os.PRIO_PROCESS, process, 19)",
    "nice of a user": "os.setpriority(os.PRIO_USER, os.getuid(), 19)",
    "idle": "os.sched_setscheduler(process, os.SCHED_IDLE, os.sched_param(0))",
    "affinity": "os.sched_setaffinity(process, {max(os.sched_getaffinity(process))})",
    "first to be ended": "open(f'/proc/{process}/oom_score_adj', 'w').write('1000')",
    "memory through a file": "open(f'/proc/{process}/mem', 'r+b').seek(0)",
    "trace": "libc.ptrace(16, process, 0, 0)",
    "trace from birth": "libc.ptrace(0x4206, process, 0, 0)",
    "disk priority": "libc.syscall(251, 1, process, 3 << 13)",
    "write into memory": "libc.process_vm_writev(process, bytes(16), 1, bytes(16), 1, 0)",
    "take a file": "libc.syscall(438, os.pidfd_open(process), 3, 0)",
    "move its memory": "libc.syscall(256, process, 64, bytes(8), bytes(8))",
    "its namespaces": "libc.setns(os.open(f'/proc/{process}/ns/mnt', 0), 0)",
    "its group": "os.setpgid(process, process)",
}
ALONE = {
    "fork bomb": "import os\nwhile True:\n    os.fork()",
    "fork bomb in sessions": "import os\nfor _ in range(5000):\n    if not os.fork():\n        os.setsid()",
    "busy forever": """
import os
for _ in range(50):
    if not os.fork():
        os.setsid()
        while True:
            pass""",
    "kill everything": "import os, signal\nos.kill(-1, signal.SIGKILL)\nos.kill(0, signal.SIGKILL)",
    "limits of its own": "import resource\nresource.setrlimit(resource.RLIMIT_CPU, (1, 1))\nwhile True:\n    pass",
    "memory of many": """
import os, time
for _ in range(20):
    if not os.fork():
        held = bytearray(os.urandom(1 << 20) * 1500)
        time.sleep(1000)
time.sleep(1000)""",
    "memory of files": """
import ctypes
libc = ctypes.CDLL(None)
for number in range(1000):
    file = libc.memfd_create(b"x", 0)
    if file < 0:
        break
    for _ in range(40):
        libc.write(file, bytes(1 << 20), 1 << 20)""",
    "disk": """
import itertools, os
for place in (".", "/tmp", "/dev/shm", "/var/tmp", "/run"):
    try:
        for number in itertools.count():
            with open(f"{place}/{number}", "wb") as file:
                file.write(bytes(40 << 20))
    except OSError:
        pass""",
    "a million files": """
import itertools
try:
    for number in itertools.count():
        open(f"{number}" + "x" * 200, "w").close()
except OSError:
    pass""",
    "deep folders": "import os\nfor _ in range(3000):\n    os.mkdir('d' * 200)\n    os.chdir('d' * 200)",
    "names that cannot be listed": """
import os
open(b'\\xff\\xfe\\n' + b'x' * 200, 'w').close()
os.mkdir('m')
os.chmod('m', 0)""",
    "links": """
import os
for place in ('/', '/proc', '/work', '/root'):
    os.symlink(place, place.replace('/', 'l'))""",
    "System V": LIBC
    + """
for key in range(1, 2000):
    libc.shmget(key, 1 << 20, 0o1666)
    libc.semget(key, 100, 0o1666)
    libc.msgget(key, 0o1666)""",
    "message queues": LIBC
    + "for number in range(2000):\n    libc.syscall(240, f'q{number}'.encode(), 0o102, 0o666, 0)",
    "keys": LIBC
    + """
for ring in (-3, -4, -5):
    for number in range(300):
        libc.syscall(248, b"user", f"k{number}".encode(), bytes(1000), 1000, ring)
    libc.syscall(250, 3, ring)""",
    "io_uring": LIBC + "for _ in range(500):\n    libc.syscall(425, 4096, bytes(120))",
    "own users": LIBC + "if not libc.unshare(0x10000000):\n    open('/proc/self/setgroups', 'w').write('deny')",
    "own users by clone": LIBC + "libc.syscall(56, 0x10000000 | 17, 0, 0, 0, 0) or os._exit(0)",
    "mounts": LIBC
    + "libc.mount(b'x', b'/usr', b'tmpfs', 0, None)\nlibc.umount2(b'/box', 2)\nlibc.umount2(b'/proc', 2)",
    "control groups": """
from pathlib import Path
for file in [*Path("/sys/fs/cgroup").rglob("cgroup.procs"), *Path("/proc/sys/kernel").rglob("*")]:
    try:
        file.write_text("1")
    except OSError:
        pass""",
    "signals in a queue": LIBC
    + """
import signal
signal.pthread_sigmask(signal.SIG_BLOCK, [40])
for _ in range(200_000):
    if libc.sigqueue(os.getpid(), 40, 0):
        break""",
    "locked memory": LIBC + "import mmap\nlibc.mlockall(3)",
    "descriptors in flight": """
import socket
pairs = []
try:
    while True:
        pairs.append(socket.socketpair())
        for _ in range(50):
            socket.send_fds(pairs[-1][0], [b"x"], [pairs[0][0].fileno()] * 200)
except OSError:
    pass""",
    "sockets and pipes": """
import fcntl, os, socket
held = []
try:
    while True:
        held.append(socket.socketpair())
        held[-1][0].setblocking(False)
        try:
            while True:
                held[-1][0].send(bytes(1 << 16))
        except BlockingIOError:
            pass
except OSError:
    pass
try:
    while True:
        held.append(os.pipe())
        fcntl.fcntl(held[-1][1], 1031, 1 << 20)
except OSError:
    pass""",
    "a port": "import socket\ns = socket.socket()\ns.bind(('127.0.0.1', 8888))\ns.listen()\nimport os\nos.fork()",
    "out by a virtual machine's socket": "import socket\nsocket.socket(40, socket.SOCK_STREAM).connect((2, 22))",
    "names in a network": """
import os, socket
s = socket.socket(socket.AF_UNIX)
s.bind('\\0course')
s.listen()
os.fork()""",
    "terminals": """
import os
held = []
try:
    while True:
        held.append(os.openpty())
except OSError:
    pass""",
    "watches": LIBC + "for _ in range(5000):\n    libc.inotify_init()",
    "a report that never ends": _writes('b"[" * (1 << 16)', ends=False),
    "a report of lists": _writes("""b'{"errors":{},"tasks":[' + b'[],' * 600_000 + b'[]]}\\n'"""),
    "a report of equal hashes": """
import json
keys = [[k * (2**61 - 1), 0] for k in range(20_000)]
said = {"state": "correct", "findings": [], "observed": {"dict": keys}}
line = json.dumps({"errors": {}, "tasks": {f"04.{k}": said for k in range(1, 7)}}).encode() + b"\\n"
"""
    + _writes("line"),
    "a deep report": _writes('b"[" * 900_000 + b"]" * 900_000 + b"\\n"'),
    "places that never end": _writes("""b'{"at": 1}\\n' * 1000""", ends=False),
    "output": """
import os
os.system('yes | head -c 300000000')
for stream in (1, 2):
    os.write(stream, b'x' * 10_000_000)""",
    "patched forks": "import os, signal\nos.fork = os._exit = os.waitpid = None\nsignal.setitimer = None",
    "the clock": LIBC + "import time\ntry:\n    time.clock_settime(time.CLOCK_REALTIME, 0)\nexcept OSError:\n    pass",
    "core files": "import ctypes, os\nif not os.fork():\n    ctypes.string_at(0)",
}
# name: cells of one notebook
CROSSINGS = {name: [code] for name, code in ALONE.items()}
EACH = [f"{LIBC}import resource, signal\n{EVERYONE}{call}{END}" for call in TO_EVERYONE.values()]
CROSSINGS |= {f"to everyone, {start}": EACH[start : start + 5] for start in range(0, len(EACH), 5)}
