"""System calls that no answer needs, closed to submissions: a filter in the kernel's own small language (seccomp).

Namespaces hide what a submission must not reach; the filter keeps it from making new ones, from parts of the kernel
that know no namespaces, such as keys and virtual machines' sockets, and from calls that are newer than this table.
"""

import ctypes
import platform
import struct
from errno import EAFNOSUPPORT, ENOSYS, EPERM

NEWEST = 462  # mseal, of Linux 6.10: what comes after it is not there
AUDIT = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
# name: numbers on x86_64 and on aarch64, from the kernel's asm/unistd_64.h and asm-generic/unistd.h
REFUSED = {
    "ptrace": (101, 117),  # other processes
    "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271),
    "process_madvise": (440, 440),
    "process_mrelease": (448, 448),
    "pidfd_getfd": (438, 438),
    "kcmp": (312, 272),
    "migrate_pages": (256, 238),
    "move_pages": (279, 239),
    "sched_setaffinity": (203, 122),  # processors and ranks
    "sched_setscheduler": (144, 119),
    "sched_setparam": (142, 118),
    "sched_setattr": (314, 274),
    "ioprio_set": (251, 30),
    "add_key": (248, 217),  # what outlives a process
    "request_key": (249, 218),
    "keyctl": (250, 219),
    "shmget": (29, 194),
    "shmctl": (31, 195),
    "shmat": (30, 196),
    "semget": (64, 190),
    "semctl": (66, 191),
    "semop": (65, 193),
    "semtimedop": (220, 192),
    "msgget": (68, 186),
    "msgctl": (71, 187),
    "msgsnd": (69, 189),
    "msgrcv": (70, 188),
    "mq_open": (240, 180),
    "mq_unlink": (241, 181),
    "memfd_create": (319, 279),  # memory that belongs to no process
    "memfd_secret": (447, 447),
    "unshare": (272, 97),  # namespaces, mounts, roots
    "setns": (308, 268),
    "mount": (165, 40),
    "umount2": (166, 39),
    "pivot_root": (155, 41),
    "chroot": (161, 51),
    "open_tree": (428, 428),
    "move_mount": (429, 429),
    "fsopen": (430, 430),
    "fsconfig": (431, 431),
    "fsmount": (432, 432),
    "fspick": (433, 433),
    "mount_setattr": (442, 442),
    "name_to_handle_at": (303, 264),
    "open_by_handle_at": (304, 265),
    "io_uring_setup": (425, 425),  # large parts of the kernel, and often its faults
    "io_uring_enter": (426, 426),
    "io_uring_register": (427, 427),
    "bpf": (321, 280),
    "perf_event_open": (298, 241),
    "userfaultfd": (323, 282),
    "fanotify_init": (300, 262),
    "lookup_dcookie": (212, 18),
    "quotactl": (179, 60),
    "quotactl_fd": (443, 443),
    "personality": (135, 92),
    "vmsplice": (278, 75),
    "acct": (163, 89),  # the machine
    "reboot": (169, 142),
    "kexec_load": (246, 104),
    "kexec_file_load": (320, 294),
    "init_module": (175, 105),
    "finit_module": (313, 273),
    "delete_module": (176, 106),
    "swapon": (167, 224),
    "swapoff": (168, 225),
    "syslog": (103, 116),
    "settimeofday": (164, 170),
    "clock_settime": (227, 112),
    "clock_adjtime": (305, 266),
    "adjtimex": (159, 171),
    "sethostname": (170, 161),
    "setdomainname": (171, 162),
    "vhangup": (153, 58),
}
OF_X86_ALONE = {"iopl": 172, "ioperm": 173, "modify_ldt": 154, "uselib": 134, "ustat": 136, "_sysctl": 156}
CLONE, CLONE3, SOCKET, IOCTL = (56, 220), (435, 435), (41, 198), (16, 29)
NAMESPACES = 0x7E020000  # flags of clone and unshare: cgroup, IPC, mount, network, process, user, and host name
FAMILIES = (1, 2, 10, 16)  # unix, IPv4, IPv6, and netlink, which looks up addresses
TERMINALS = (0x5412, 0x541C)  # TIOCSTI and TIOCLINUX type into a terminal
LOAD, EQUAL, AT_LEAST, ANY_OF, RETURN = 0x20, 0x15, 0x35, 0x45, 0x06  # of the kernel's linux/bpf_common.h
ALLOW, REFUSE = 0x7FFF0000, 0x00050000
NUMBER, ARCHITECTURE, FIRST, SECOND = 0, 4, 16, 24  # where the kernel puts them


def close_calls() -> None:
    """Refuse this process and all that it starts the calls of this file, for good.

    Raises:
        OSError: the kernel takes no filter, or the processor is not in the table.
    """
    program = _program()
    buffer = ctypes.create_string_buffer(program, len(program))

    class Filter(ctypes.Structure):
        _fields_ = (("length", ctypes.c_ushort), ("start", ctypes.c_void_p))

    filter_program = Filter(len(program) // 8, ctypes.addressof(buffer))
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(38, 1, 0, 0, 0) or libc.prctl(
        22, 2, ctypes.byref(filter_program), 0, 0
    ):  # no new privileges, then the filter
        raise OSError(ctypes.get_errno(), "the kernel takes no filter of system calls (seccomp)")


def _program() -> bytes:
    """The filter, eight bytes an instruction; each test skips what follows it, up to its own verdict, if it fails."""
    machine = platform.machine()
    if machine not in AUDIT:
        raise OSError(f"no filter of system calls is known for {machine}; for {' and '.join(AUDIT)} there is one.")
    column = list(AUDIT).index(machine)
    steps = [_step(LOAD, ARCHITECTURE), _step(EQUAL, AUDIT[machine], yes=1), _refuse(ENOSYS)]
    steps += [_step(LOAD, NUMBER), _step(AT_LEAST, NEWEST + 1, no=1), _refuse(ENOSYS)]  # also x86's second numbering
    others = {} if column else OF_X86_ALONE
    for number in [*(numbers[column] for numbers in REFUSED.values()), *others.values()]:
        steps += [_step(EQUAL, number, no=1), _refuse(EPERM)]
    steps += [_step(EQUAL, CLONE3[column], no=1), _refuse(ENOSYS)]  # its flags cannot be read; libc then uses clone
    steps += [_step(EQUAL, CLONE[column], no=4), _step(LOAD, FIRST)]
    steps += [_step(ANY_OF, NAMESPACES, no=1), _refuse(EPERM), _step(RETURN, ALLOW)]
    steps += [_step(EQUAL, IOCTL[column], no=5), _step(LOAD, SECOND)]
    steps += [_step(EQUAL, TERMINALS[0], yes=1), _step(EQUAL, TERMINALS[1], no=1), _refuse(EPERM)]
    steps += [_step(RETURN, ALLOW)]
    steps += [_step(EQUAL, SOCKET[column], no=len(FAMILIES) + 2), _step(LOAD, FIRST)]
    steps += [_step(EQUAL, family, yes=len(FAMILIES) - index) for index, family in enumerate(FAMILIES)]
    steps += [_refuse(EAFNOSUPPORT), _step(RETURN, ALLOW)]
    return b"".join(steps)


def _step(code: int, value: int, yes: int = 0, no: int = 0) -> bytes:
    return struct.pack("=HBBI", code, yes, no, value)


def _refuse(error: int) -> bytes:
    return _step(RETURN, REFUSE | error)
