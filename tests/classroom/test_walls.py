"""The filter of system calls, and what the grader reads of a submission."""

import json
import re
from pathlib import Path

import pytest

from course_lib.classroom.calls import CLONE, CLONE3, IOCTL, OF_X86_ALONE, REFUSED, SOCKET
from course_lib.classroom.plain import from_json, read_json

HEADERS = Path("/usr/include/x86_64-linux-gnu/asm/unistd_64.h"), Path("/usr/include/asm-generic/unistd.h")


def test_the_numbers_of_system_calls_are_the_kernels_own() -> None:
    """Against the kernel's headers, which Debian's linux-libc-dev installs; ARM's are the generic ones."""
    if not all(header.exists() for header in HEADERS):
        pytest.skip("the kernel's headers are not here: apt-get install linux-libc-dev, on x86-64")
    x86, arm = (
        {m[1]: int(m[2]) for m in re.finditer(r"#define __NR(?:3264)?_(\w+)\s+(\d+)", header.read_text())}
        for header in HEADERS
    )
    table = REFUSED | {"clone": CLONE, "clone3": CLONE3, "ioctl": IOCTL, "socket": SOCKET}
    assert table == {name: (x86[name], arm[name]) for name in table}
    assert {name: x86[name] for name in OF_X86_ALONE} == OF_X86_ALONE


@pytest.mark.parametrize(
    "content",
    [b"[" * 1_000_000, b"[" + b"[]," * 30_000 + b"[]]", b'{"a":' * 20_000, b"9" * 10_000, b"\xff\xfe[", b""],
    ids=["deep", "wide", "deep in dictionaries", "a long number", "no text", "nothing"],
)
def test_a_report_that_would_grow_is_none(content: bytes) -> None:
    with pytest.raises((ValueError, RecursionError)):
        read_json(content)


@pytest.mark.parametrize(
    "observed",
    [
        {"tensor": [1 << 40, 0], "numbers": "", "dtype": "float32"},
        {"tensor": [-1], "numbers": "", "dtype": "float32"},
        {"tensor": [2], "numbers": "", "dtype": "float32"},
        {"dict": [[k * (2**61 - 1), 0] for k in range(20_000)]},
        {"list": 7},
        {"dict": [[{"list": []}, 0]]},
    ],
)
def test_an_observation_that_to_json_does_not_write_is_none(observed: object) -> None:
    with pytest.raises((ValueError, TypeError)):
        from_json(json.loads(json.dumps(observed)))
