"""How much arithmetic is done, and how much this machine could do in the same time."""

import contextlib
import hashlib
import json
import math
import os
import platform
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

from course_lib.distributed import team
from course_lib.files import data_dir, write_text
from course_lib.runtime import Precision, wait_for

SIDES = (512, 1024, 2048, 4096, 8192)  # of square matrices
BATCHES = (2, 8, 32, 128, 512)  # of maps that are convolved
REPEATS = 20  # of each
MOST = 0.75  # of the time that a product or convolution takes
SHORT = 0.002  # seconds, up to which a larger one is tried
Work = tuple[int, Callable[[], object]]  # its FLOP, and itself
UNITS = {"PFLOP": 1e15, "TFLOP": 1e12, "GFLOP": 1e9, "MFLOP": 1e6}


def count_flops(work: Callable[[], object]) -> int:
    """Floating-point operations (FLOP) of the convolutions and matrix products in one call of `work`.

    Torch's own counter counts them. A multiply-add, the unit of `trace_shapes`, is 2 FLOP. The backward pass takes
    about twice the forward pass: as much again for the gradient of a layer's weights, and for that of its input. What
    torch skips does not count: the first layer's gradient of its input, and what frozen layers do not need.

    Everything else counts 0: biases, batch norm, activations, pooling, and operators that torch's counter does not
    know.

    >>> layer, images = nn.Conv2d(3, 4, kernel_size=3, padding=1), torch.zeros(2, 3, 8, 8)
    >>> count_flops(lambda: layer(images)) == 2 * (2 * 8 * 8) * (4 * 3 * 3 * 3)  # places, weights
    True
    """
    with _counting() as counter:
        work()
    return counter.get_total_flops()


class TrainingFlops:
    """What all steps of one training spend; torch counts the first of each kind, and the others are as much again.

    Of one kind are steps on batches of one shape that train the same parameters. So smaller images, a short last batch
    and layers that are frozen on the way are counted as what they are.

    Attributes:
        spent: FLOP of all steps so far, each with its forward pass, its backward pass and the optimizer's update.
    """

    def __init__(self) -> None:
        self.spent = 0
        self._of_kind: dict[tuple[Any, ...], int] = {}

    @contextlib.contextmanager
    def step(self, model: nn.Module, images: Tensor) -> Iterator[None]:
        """Add the step of `model` on a batch that is taken inside."""
        kind = (images.shape, tuple(parameter.requires_grad for parameter in model.parameters()))
        if kind in self._of_kind:
            yield
        else:
            with _counting() as counter:
                counter.flop_registry = _Formulas(counter.flop_registry)
                yield
            self._of_kind[kind] = counter.get_total_flops()
        self.spent += self._of_kind[kind]


class _Formulas(dict[Any, Any]):
    """Formulas by operator, which claim to know all: torch takes those apart that it does not know.

    In parts a step rounds otherwise, and a resumed training, which counts anew, would leave the path of a whole one.
    """

    def __contains__(self, operator: object) -> bool:
        return isinstance(operator, torch._ops.OpOverload) or super().__contains__(operator)


@contextlib.contextmanager
def _counting() -> Iterator[FlopCounterMode]:
    # Compiled while it is counted, a network would stay slow; so it runs as it was written.
    with (
        torch.compiler.set_stance("force_eager"),
        FlopCounterMode(
            display=False, custom_mapping={torch.ops.aten.convolution_backward: _backward_flops}
        ) as counter,
    ):
        yield counter


def _backward_flops(
    gradient: Sequence[int],
    images: Sequence[int],
    weight: Sequence[int],
    _bias: object,
    _stride: object,
    _padding: object,
    _dilation: object,
    transposed: bool,
    _output_padding: object,
    _groups: object,
    needed: Sequence[bool],
    **_: object,
) -> int:
    """FLOP of a convolution's backward pass, from shapes: those of the forward pass for each gradient that is needed.

    It stands in for torch's own formula, which up to 2.14 counts the gradient of a grouped convolution's weights once
    for each group: hundreds of times too much in a depthwise one.
    """
    batch, _channels, *spatial = images if transposed else gradient
    of_input, of_weight, _of_bias = needed
    return 2 * batch * math.prod(spatial) * math.prod(weight) * (of_input + of_weight)


def peak_flops(precision: Precision, device: torch.device | str = "cpu") -> float:
    """FLOP a second of a large matrix product or convolution in a precision: about the most that this machine does.

    Measured once, in about a second, and kept in the course's cache folder for this machine, device, precision, number
    of threads, number of processes and version of torch. Other programs that keep the machine busy meanwhile can make
    it too low; a measurement in which they took a processor away is not kept. In a team all processes ask at the same
    time, and each gets its own peak.
    """
    device = torch.device(device)
    conditions = {
        "machine": f"{platform.node()}, {os.cpu_count()} {platform.processor() or platform.machine()}",
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else device.type,
        "precision": precision.name,
        "threads": torch.get_num_threads(),
        "processes": team().size,
        "torch": torch.__version__,
        "of": "products and convolutions",
    }
    key = hashlib.sha256(repr(conditions).encode()).hexdigest()[:16]
    path = data_dir() / "cache" / f"peak-{key}.json"
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):  # absent, or damaged
        return float(json.loads(path.read_text(encoding="utf-8"))["flops_per_second"])
    peak, undisturbed = _highest_rate(device, precision.dtype or torch.float32)
    if not undisturbed:
        return peak
    try:
        write_text(path, json.dumps({**conditions, "flops_per_second": peak}, indent=2) + "\n")
    except OSError as error:
        print(f"Going on without a cache: {error}", file=sys.stderr)
    return peak


def _highest_rate(device: torch.device, dtype: torch.dtype) -> tuple[float, bool]:
    """FLOP a second of the fastest of many products and convolutions, larger and larger as long as these take no time.

    And whether it had the processors to itself: each thread was at work during most of it. One of many goes undisturbed
    even where other programs want the processor too.
    """
    rate, at_work = 0.0, 0.0
    for works in (_products(device, dtype), _convolutions(device, dtype)):
        for flops, work in works:
            fastest, worked = min(_seconds(work, device) for _ in range(REPEATS))
            if flops / fastest > rate:
                rate, at_work = flops / fastest, worked / fastest
            if fastest > SHORT:
                break
    return rate, device.type != "cpu" or at_work > MOST * torch.get_num_threads()


def _products(device: torch.device, dtype: torch.dtype) -> Iterator[Work]:
    """Of random matrices, with numbers of their own: products of zeros are faster."""
    draw = torch.Generator(device).manual_seed(0)
    for side in SIDES:
        left, right = (torch.rand(side, side, device=device, dtype=dtype, generator=draw) for _ in range(2))
        yield 2 * side**3, partial(torch.mm, left, right, out=left @ right)


def _convolutions(device: torch.device, dtype: torch.dtype) -> Iterator[Work]:
    """Some processors do twice as much in these, since their library for products is made for other processors."""
    draw, channels, side = torch.Generator(device).manual_seed(0), 256, 16
    random = partial(torch.rand, device=device, dtype=dtype, generator=draw)
    weight = random(channels, channels, 3, 3).contiguous(memory_format=torch.channels_last)
    for count in BATCHES:
        maps = random(count, channels, side, side).contiguous(memory_format=torch.channels_last)
        yield 2 * count * side**2 * weight.numel(), partial(F.conv2d, maps, weight, padding=1)


def _seconds(work: Callable[[], object], device: torch.device) -> tuple[float, float]:
    """How long it takes, and how long the processors were at work for it, all threads together."""
    wait_for(device)
    started, worked = time.perf_counter(), time.process_time()
    work()
    wait_for(device)
    return time.perf_counter() - started, time.process_time() - worked


def describe_arithmetic(flops: float, seconds: float, peak: float) -> str:
    """What was spent, and its fraction of what the machine does at its peak in as many seconds.

    The fraction is known as MFU, model FLOPs utilization.

    >>> describe_arithmetic(1.31e14, seconds=180, peak=1.77e12)
    "0.13 PFLOP, 41% of this machine's peak"
    """
    return f"{in_units(flops)}, {_two_digits(100 * flops / seconds / peak)}% of this machine's peak"


def in_units(flops: float) -> str:
    """FLOP in the unit that suits them.

    >>> in_units(1.31e14), in_units(7.2e12), in_units(1.2e15)
    ('0.13 PFLOP', '7.2 TFLOP', '1.2 PFLOP')
    """
    name, unit = next((item for item in UNITS.items() if flops >= item[1] / 100), ("MFLOP", 1e6))
    return f"{_two_digits(flops / unit)} {name}"


def _two_digits(number: float) -> str:
    return f"{float(f'{number:.2g}'):,g}"
