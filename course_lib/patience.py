"""A sign of life from work that says nothing by itself. Readable by an old Python too, before anything is installed."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def dots(message: str) -> "Iterator[None]":
    """Print what is being done, and a dot every two seconds until it is."""
    done = threading.Event()

    def tick() -> None:
        while not done.wait(2):
            print(".", end="", flush=True)

    print(message, end=" ", flush=True)
    ticking = threading.Thread(target=tick, daemon=True)
    ticking.start()
    try:
        yield
    finally:
        done.set()
        ticking.join()
        print(flush=True)
