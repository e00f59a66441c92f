"""Check of lesson 3: of where a loop's time goes."""

import contextlib
import io
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import nn
from torch.nn import functional as F

from course_lib.exercises.legacy import refuse, task
from course_lib.runtime import keep_profiler_quiet

Parts = dict[str, Callable[[], object]]
STEPS = 3


class _Loop:
    """The parts of a small training step, each of which takes a millisecond or so; a planted one takes far longer."""

    def __init__(self, inputs: int = 64) -> None:
        self.model = nn.Linear(inputs, inputs)
        self.optimizer = torch.optim.AdamW(self.model.parameters())
        self.images, self.loss = torch.rand(1, inputs), torch.zeros(())

    def parts(self, **planted: Callable[[], object]) -> Parts:
        usual: Parts = {
            "data": lambda: self.images + 0,
            "forward": self.forward,
            "backward": self.backward,
            "step": self.optimizer.step,
            "books": lambda: self.loss.item(),
        }
        return usual | planted

    def forward(self) -> None:
        self.optimizer.zero_grad()
        self.loss = self.model(self.images).square().mean()

    def backward(self) -> None:
        self.loss.backward(retain_graph=True)  # called twice, it is the order that is wrong


def _decode(files: list[bytes]) -> list[np.ndarray]:
    return [np.asarray(Image.open(io.BytesIO(file)).resize((32, 32))) for file in files]


def _file() -> bytes:
    grays = torch.rand(1, 1, 9, 9)
    image = Image.fromarray((255 * F.interpolate(grays, size=(1200, 1200))[0, 0]).byte().numpy())
    image.save(file := io.BytesIO(), "JPEG")
    return file.getvalue()


def _validation() -> Callable[[], object]:
    network, images, calls = nn.Conv2d(1, 16, 5), torch.rand(60, 1, 64, 64), iter(range(100))

    def books() -> None:
        if next(calls) % STEPS == 0:  # in the first step alone
            with torch.no_grad():
                for _ in range(4):
                    network(images).mean().item()

    return books


def _pixel_by_pixel(loop: _Loop) -> Callable[[], object]:
    image = torch.rand(32, 64)

    def forward() -> None:
        darkest = min(float(pixel) for pixel in image.flatten())
        loop.images = loop.images - 0 * darkest
        loop.forward()

    return forward


def _loops() -> Iterator[tuple[str, str, Parts]]:
    """What is planted, the slow part, and the parts."""
    file = _file()
    yield "files decoded for each item", "data", _Loop().parts(data=lambda: _decode([file] * 4))
    yield "a validation hidden in the bookkeeping", "books", _Loop().parts(books=_validation())
    loop = _Loop()
    yield "a Python loop over pixels", "forward", loop.parts(forward=_pixel_by_pixel(loop))
    yield "millions of weights for one image", "step", _Loop(2048).parts()


def _watched(parts: Parts) -> tuple[Parts, list[str], dict[str, float]]:
    """The parts, the names in the order in which they get called, and the seconds that each takes."""
    calls: list[str] = []
    seconds = dict.fromkeys(parts, 0.0)

    def watch(name: str, part: Callable[[], object]) -> Callable[[], object]:
        def called() -> object:
            calls.append(name)
            started = time.perf_counter()
            given = part()
            seconds[name] += time.perf_counter() - started
            return given

        return called

    return {name: watch(name, part) for name, part in parts.items()}, calls, seconds


@contextlib.contextmanager
def _one_thread() -> Iterator[None]:
    """On a busy machine threads wait for each other, in any part and for longer than the planted one takes."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


@task(
    "03.8",
    "Find the slow part",
    "time.perf_counter() before and after each call, or torch.profiler.record_function(name) around it.",
    "Add up the seconds of each part over all steps first; divide by the sum of all parts at the end.",
)
def time_by_part(answer: Callable[[Parts, int], Any]) -> str:
    keep_profiler_quiet()
    for planted, culprit, parts in _loops():
        for part in parts.values():  # the first call of anything is slow
            part()
        for _ in range(STEPS - 1):
            parts["books"]()  # back to the step in which it validates
        for _ in range(5):  # until the machine leaves the parts alone
            watched, calls, seconds = _watched(parts)
            with _one_thread():
                found = answer(watched, STEPS)
            if max(parts, key=lambda name: seconds[name]) == culprit:
                break
        _check_calls(calls, list(parts))
        _check_table(found, list(parts))
        largest = max(found, key=lambda name: found[name])
        names, of = list(parts), f"most of the time in {largest}"
        late = culprit != "books" and largest == names[(names.index(culprit) + 1) % len(names)]
        refuse(
            f"{culprit}, with {planted}",
            (late, of, "Each part's time is booked on the next one: read the clock twice."),
            (
                largest != culprit == "books",
                of,
                "Do all steps count? This loop is slow in its first step alone.",
            ),
            (largest != culprit, of, "Is each part's own time measured, around its call?"),
        )
    return (
        "A GPU works while Python goes on: there a stopwatch needs `torch.cuda.synchronize()`, and the profiler "
        "`ProfilerActivity.CUDA`."
    )


def _check_calls(calls: list[str], names: list[str]) -> None:
    counts = {name: calls.count(name) for name in names}
    once = f"{STEPS} calls of each part"
    refuse(
        once,
        (set(counts.values()) == {1}, "each part was called once", "Repeat the whole step `steps` times."),
        (any(count != STEPS for count in counts.values()), f"calls: {counts}", "One call of each part per step."),
    )
    order = calls != names * STEPS
    refuse(
        "one step after the other", (order, "the parts in another order", "The loop over the steps is the outer one.")
    )


def _check_table(found: Any, names: list[str]) -> None:
    keyed = isinstance(found, dict) and list(found) == names
    refuse(
        "a dictionary with the names of the parts",
        (not keyed, f"a {type(found).__name__}", "Return a fraction per name."),
    )
    plain = all(isinstance(value, int | float) for value in found.values())
    refuse("plain numbers", (not plain, "other values", "`float(...)` makes a plain number of a tensor."))
    total = sum(found.values())
    refuse(
        "fractions that sum to 1",
        (abs(total - 100) < 1, "a sum of 100", "These are percentages: leave out the factor of 100."),
        (abs(total - 1) > 0.01, f"a sum of {total:.3g}", "These are no fractions yet: divide by the sum of all parts."),
    )
