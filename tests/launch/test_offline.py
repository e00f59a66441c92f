"""That everything else ran without a network, where `.ci/run` could take it away."""

import socket
from collections.abc import Callable

import pytest


def test_all_tests_and_lessons_of_this_run_are_offline(record_property: Callable[[str, object], None]) -> None:
    others = [name for _, name in socket.if_nameindex() if not name.startswith("lo")]
    if others:
        pytest.skip(
            f"this run has a network ({', '.join(others)}); .ci/run takes it away where it can make a namespace"
        )
    with pytest.raises(OSError, match="unreachable"):
        socket.create_connection(("192.0.2.1", 80), timeout=3)  # RFC 5737: an address for examples
    record_property("launch", f"{'all tests and all lessons':43} without a network")
