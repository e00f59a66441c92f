import io
import itertools
import time
from collections.abc import Callable
from functools import partial

import numpy as np
import torch
from PIL import Image
from torch import nn

from course_lib.exercises.task import Task, refuse
from course_lib.runtime import keep_profiler_quiet


class Loop:
    """The parts of a small training step, each of which takes a millisecond or so; a planted one takes far longer."""

    def __init__(self, inputs=64):
        self.model = nn.Linear(inputs, inputs)
        self.optimizer = torch.optim.AdamW(self.model.parameters())
        self.images, self.loss = torch.rand(1, inputs), torch.zeros(())

    def parts(self, **planted):
        usual = {
            "data": lambda: self.images + 0,
            "forward": self.forward,
            "backward": lambda: self.loss.backward(retain_graph=True),  # called twice, it is the order that is wrong
            "step": self.optimizer.step,
            "books": lambda: self.loss.item(),
        }
        return usual | planted

    def forward(self):
        self.optimizer.zero_grad()
        self.loss = self.model(self.images).square().mean()


def decoding(draw):
    grays = draw.uniform(9, 9).repeat_interleave(130, 0).repeat_interleave(130, 1)
    Image.fromarray((255 * grays).byte().numpy()).save(file := io.BytesIO(), "JPEG")
    return lambda: [np.asarray(Image.open(file).resize((32, 32))) for _ in range(4)]


def validation(steps):
    network, images, calls = nn.Conv2d(1, 16, 5), torch.rand(60, 1, 64, 64), iter(range(100))

    def books():
        if next(calls) % steps == 0:  # in the first step alone
            with torch.no_grad():
                for _ in range(4):
                    network(images).mean().item()

    return books


def pixel_by_pixel(loop):
    image = torch.rand(16, 32)

    def forward():
        loop.images = loop.images - 0 * min(float(pixel) for pixel in image.flatten())
        loop.forward()

    return forward


def sleeping(draw, steps):
    """Parts of which two sleep once, one of them longer."""
    names, calls = [f"part {number}" for number in range(draw.number(3, 6))], []
    slow, when = names[draw.number(1, len(names) - 1)], draw.number(0, steps - 1)

    def part(name):
        calls.append(name)
        if (calls.count(name) - 2) % steps == when and name in (slow, names[0]):  # the first call warms up
            time.sleep(0.05 if name == slow else 0.02)

    return slow, {name: lambda name=name: part(name) for name in names}


class TimeByPart(Task):
    number, title, name, points = "03.8", "Find the slow part", "time_by_part", 4
    statement = """
Part C of the lesson read a profiler's table. Write the function that makes one. It gets the parts of a training step,
functions without arguments by their names, and calls all of them in their order, once per step, for `steps` steps.
It returns for each name the fraction of the whole time that the part took, as plain numbers that sum to 1. Labels of
`torch.profiler` will do, and so will a stopwatch. The check plants four slow loops: files that are decoded for each
item, a validation that hides in the bookkeeping, a Python loop over pixels in the forward pass, and an optimizer that
moves millions of weights for one image. In each, your table must name the culprit.
"""
    hints = (
        "time.perf_counter() before and after each call, or torch.profiler.record_function(name) around it.",
        "Add up the seconds of each part over all steps first; divide by the sum of all parts at the end.",
    )
    notice = (
        "A GPU works while Python goes on: there a stopwatch needs `torch.cuda.synchronize()`, and the profiler "
        "`ProfilerActivity.CUDA`."
    )
    given = "parts of which one is slow in one step only"
    tolerance = 0.01

    def inputs(self, draw):
        steps, loop = 3, Loop()
        yield "files decoded for each item", "data", Loop().parts(data=decoding(draw)), steps
        yield "a validation hidden in the bookkeeping", "books", Loop().parts(books=validation(steps)), steps
        yield "a Python loop over pixels", "forward", loop.parts(forward=pixel_by_pixel(loop)), steps
        yield "millions of weights for one image", "step", Loop(2048).parts(), steps
        for steps in (1, 4):
            yield "a pause in one step", *sleeping(draw, steps), steps

    def shown(self, planted, slow, parts, steps):
        return f"{steps} steps with {planted}"

    def use(self, answer, planted, slow, parts, steps):
        keep_profiler_quiet()
        for part in parts.values():  # the first call of anything is slow
            part()
        for _ in range(steps - 1 if slow == "books" else 0):
            parts["books"]()  # back to the step in which it validates
        names, hits, misses = list(parts), 0, 0
        for _ in range(5):  # once if the machine leaves the parts alone; the best of three if the answer fails then
            calls, seconds = [], dict.fromkeys(names, 0.0)
            table = answer({name: partial(self.timed, name, parts[name], calls, seconds) for name in names}, steps)
            self.look_at_calls(calls, names, steps)
            self.look_at_table(table, names)
            slowest, largest = max(names, key=seconds.get), max(table, key=table.get)
            if slowest == slow:
                hits, misses = hits + (largest == slow), misses + (largest != slow)
            if hits > misses or misses == 2:
                break
        if slowest != slow and largest == slowest:  # the machine was slower than what was planted
            largest = slow
        found, late = f"most of the time in {largest}", largest == names[(names.index(slow) + 1) % len(names)]
        refuse(
            f"{slow}, with {planted}",
            (slow != "books" and late, found, "Each part's time is booked on the next one: read the clock twice."),
            (largest != slow == "books", found, "Do all steps count? This loop is slow in its first step alone."),
            (largest != slow, found, "Is each part's own time measured, around its call?"),
        )
        return {"the sum of all": sum(table.values()), "the slowest part": largest}

    def timed(self, name, part, calls, seconds):
        calls.append(name)
        started = time.perf_counter()
        part()
        seconds[name] += time.perf_counter() - started

    def look_at_calls(self, calls, names, steps):
        counts = {name: calls.count(name) for name in names}
        once, order = steps > 1 and set(counts.values()) == {1}, "The loop over the steps is the outer one."
        refuse(
            f"{steps} calls of each part",
            (once, "each part was called once", "Repeat the whole step `steps` times."),
            (any(count != steps for count in counts.values()), f"calls: {counts}", "One call of each part per step."),
        )
        refuse("one step after the other", (calls != names * steps, "the parts in another order", order))

    def look_at_table(self, table, names):
        keyed, kind = isinstance(table, dict) and list(table) == names, type(table).__name__
        refuse("a dictionary with the names of the parts", (not keyed, f"a {kind}", "Return a fraction per name."))
        plain = all(isinstance(value, int | float) for value in table.values())
        slip = "`float(...)` makes a plain number of a tensor."
        refuse("plain numbers", (not plain, "other values", slip))
        total, share = sum(table.values()), "These are no fractions yet: divide by the sum of all parts."
        refuse(
            "fractions that sum to 1",
            (abs(total - 100) < 1, "a sum of 100", "These are percentages: leave out the factor of 100."),
            (abs(total - 1) > 0.01, f"a sum of {total:.3g}", share),
        )


# Answers


# fmt: off
def time_by_part(parts: dict[str, Callable[[], object]], steps: int) -> dict[str, float]:
    """Functions by name to the fraction of the time that each takes."""
    with torch.profiler.profile(
        activities=[torch.profiler.ProfilerActivity.CPU], acc_events=True
    ) as profiler:
        for _ in range(steps):
            for name, part in parts.items():
                with torch.profiler.record_function(f"part {name}"):
                    part()
    spent = {event.key: event.cpu_time_total for event in profiler.key_averages()}
    total = sum(spent[f"part {name}"] for name in parts)
    return {name: spent[f"part {name}"] / total for name in parts}
# fmt: on


def stopwatch(parts, steps):
    seconds = dict.fromkeys(parts, 0.0)
    for _ in range(steps):
        for name, part in parts.items():
            started = time.perf_counter()
            part()
            seconds[name] += time.perf_counter() - started
    return {name: spent / sum(seconds.values()) for name, spent in seconds.items()}


def on_the_next(parts, steps):
    names, found = list(parts), stopwatch(parts, steps)
    return {name: found[names[place - 1]] for place, name in enumerate(names)}


def alike(parts, steps):
    stopwatch(parts, steps)
    return dict.fromkeys(parts, 1 / len(parts)) | {"backward": 1 / len(parts) + 1e-6}


turn = itertools.count()


def each_in_turn(parts, steps):
    stopwatch(parts, steps)
    named = list(parts)[next(turn) % len(parts)]
    return dict.fromkeys(parts, 1 / len(parts)) | {named: 1 / len(parts) + 1e-6}


STEPS, PARTS = "for _ in range(steps):", "for name, part in parts.items():"
also_wrong = [
    ({" / total": ""}, "divide by the sum of all parts"),
    ({" / total": " / total * 100"}, "leave out the factor of 100"),
    ({"range(steps)": "range(1)"}, "Repeat the whole step"),
    ({f"{STEPS}\n            {PARTS}": f"{PARTS}\n            {STEPS}"}, "the outer one"),
    (lambda parts, steps: [stopwatch(parts, 1) for _ in range(steps)][-1], "Do all steps count"),
    (on_the_next, "booked on the next one"),
    (alike, "around its call"),
    (each_in_turn, "most of the time in"),
    (lambda parts, steps: list(stopwatch(parts, steps).values()), "a fraction per name"),
]
also_right = [stopwatch]
