"""What long work says while it lasts: a bar on a terminal; elsewhere, where a command asked for it, lines."""

import contextlib
import os
import sys
import time
from collections.abc import Iterable, Iterator
from contextvars import ContextVar
from typing import TypeVar

from tqdm import tqdm

EVERY = 5.0  # seconds between two lines
BAR_AFTER = 0.5  # seconds; what is done sooner needs no bar
_prints = ContextVar("prints", default=False)

Item = TypeVar("Item")


@contextlib.contextmanager
def printing_progress(enabled: bool = True) -> Iterator[None]:
    """While inside, long work prints lines to stderr where that is no terminal; in lessons it is silent there."""
    before = _prints.set(enabled)
    try:
        yield
    finally:
        _prints.reset(before)


def print_progress(line: str) -> None:
    """Print a line to stderr, at once, if a command asked for it."""
    if _prints.get():
        print(line, file=sys.stderr, flush=True)


def watched(items: Iterable[Item], total: int, doing: str, unit: str) -> Iterator[Item]:
    """The same items, while a bar or lines say how many of `total` have passed, and how long the rest will take.

    Args:
        items: as many as `total`; 0 where that is not known.
        doing: what is done with them, such as "reading chest X-rays".
        unit: what they are, in the plural.
    """
    if sys.stderr.isatty() and os.environ.get("RANK", "0") == "0":  # of several processes the first
        yield from tqdm(items, total=total, desc=doing, unit=f" {unit}", delay=BAR_AFTER, leave=False)
        return
    started = printed = time.monotonic()
    for number, item in enumerate(items, start=1):
        yield item
        now = time.monotonic()
        if now - printed >= EVERY and number < total:
            printed = now
            left = (now - started) / number * (total - number)
            print_progress(f"{doing}: {number} of {total} {unit}, about {duration(left)} left")


def duration(seconds: float) -> str:
    """Seconds in words.

    >>> duration(42.4), duration(165), duration(7330)
    ('42 s', '2 min 45 s', '2 h 2 min')
    """
    minutes, remainder = divmod(round(seconds), 60)
    if not minutes:
        return f"{remainder} s"
    return f"{minutes} min {remainder} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"
