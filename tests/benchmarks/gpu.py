"""What one GPU makes of the trainings of lesson 3: prints a column, and writes the file that the lesson's page reads.

Images are random; each row changes one thing in the row that it names. No row takes longer than `SECONDS`, compiling
apart, and no row is begun after `LIMIT`, so that the whole takes six minutes at most.

    python tests/benchmarks/gpu.py [--out FILE]
"""

import argparse
import contextlib
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import date
from importlib import metadata
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from course_lib.flops import count_flops, peak_flops
from course_lib.gpu_times import STORED, read
from course_lib.models import CompactCNN, PneumoniaCNN
from course_lib.runtime import Precision, pick_device

SECONDS, LIMIT = 4.0, 270.0
WARM_UP = 3  # steps
IMAGES = 4096  # that are drawn once, as bytes

Feed = Callable[[Tensor, int, torch.device], Iterator[Tensor]]


def on_device(images: Tensor, batch_size: int, device: torch.device) -> Iterator[Tensor]:
    """Bytes wait on the device, and become floats there."""
    there = images.to(device)
    while True:
        for chosen in torch.randperm(len(there), device=device).split(batch_size):
            yield there[chosen].float() / 255


def from_memory(images: Tensor, batch_size: int, device: torch.device) -> Iterator[Tensor]:
    """Floats are made by the processor, and sent."""
    while True:
        for chosen in torch.randperm(len(images)).split(batch_size):
            yield (images[chosen].float() / 255).to(device)


def pinned(images: Tensor, batch_size: int, device: torch.device) -> Iterator[Tensor]:
    """Bytes are pinned once, sent without waiting, and become floats on the device."""
    held = images.pin_memory() if device.type == "cuda" else images
    while True:
        for start in range(0, len(held) - batch_size + 1, batch_size):
            yield held[start : start + batch_size].to(device, non_blocking=True).float() / 255


@dataclass(frozen=True)
class Setting:
    """One row of the column."""

    network: Callable[[], nn.Module] = CompactCNN
    size: int = 64
    batch_size: int = 128
    dtype: torch.dtype | None = None
    tf32: bool = False
    layout: torch.memory_format = torch.contiguous_format
    compiled: str = ""  # the mode of torch.compile
    feed: Feed = on_device
    waits: bool = False  # calls .item() in every step


def settings(lower: torch.dtype | None) -> dict[str, Setting]:
    """The rows, in the order of the page."""
    plain = Setting()
    lowered = replace(plain, tf32=True, dtype=lower, layout=torch.channels_last)
    large = replace(plain, network=lambda: PneumoniaCNN(256), size=256, batch_size=32)
    name = str(lower or torch.float32).removeprefix("torch.")
    return {
        "CompactCNN, 64 pixels, batches of 128: float32": plain,
        "+ TF32": replace(plain, tf32=True),
        "+ channels last": replace(plain, tf32=True, layout=torch.channels_last),
        f"+ {name}": lowered,
        "+ compiled": replace(lowered, compiled="default"),
        "+ CUDA graphs": replace(lowered, compiled="reduce-overhead"),
        f"{name}, batches of 32": replace(lowered, batch_size=32),
        f"{name}, batches of 1,024": replace(lowered, batch_size=1024),
        f"{name}, batches of 32, .item() in every step": replace(lowered, batch_size=32, waits=True),
        f"{name}, floats sent from memory": replace(lowered, feed=from_memory),
        f"{name}, bytes sent from pinned memory": replace(lowered, feed=pinned),
        "PneumoniaCNN, 256 pixels, batches of 32: float32": large,
        f"PneumoniaCNN, + TF32, channels last, {name}": replace(
            large, tf32=True, dtype=lower, layout=torch.channels_last
        ),
    }


def measure(setting: Setting, device: torch.device, *, seconds: float = SECONDS) -> dict[str, float | None]:
    """Images per second through whole training steps, and the fraction of the device's peak."""
    precision = Precision(device.type, setting.dtype)
    model = setting.network().to(device, memory_format=setting.layout).train()  # type: ignore[call-overload]
    images = torch.randint(0, 256, (max(IMAGES, setting.batch_size), 1, setting.size, setting.size), dtype=torch.uint8)
    labels = torch.arange(setting.batch_size, device=device) % 2
    feed = setting.feed(images, setting.batch_size, device)
    forward = torch.compile(model, mode=setting.compiled) if setting.compiled else model
    optimizer, scaler = torch.optim.AdamW(model.parameters(), fused=True), precision.scaler()

    def step() -> None:
        batch = next(feed).to(memory_format=setting.layout)
        optimizer.zero_grad()
        with precision.autocast():
            loss = F.cross_entropy(forward(batch).float(), labels[: len(batch)])
        scaler.scale(loss).backward()
        scaler.step(optimizer)
        scaler.update()
        if setting.waits:
            loss.item()

    with matmul_precision("high" if setting.tf32 else "highest"):
        for _ in range(WARM_UP):
            step()
        wait_for(device)
        steps, started = 0, time.perf_counter()
        while time.perf_counter() - started < seconds:
            for _ in range(10):
                step()
            wait_for(device)
            steps += 10
        speed = steps * setting.batch_size / (time.perf_counter() - started)
    example = torch.zeros(1, 1, setting.size, setting.size, device=device)
    flops = count_flops(lambda: model.eval()(example).sum().backward())
    known = setting.dtype is not None or not setting.tf32  # the peak of TF32 isn't measured
    return {"images_per_second": speed, "mfu": speed * flops / peak_flops(precision, device) if known else None}


@contextlib.contextmanager
def matmul_precision(wanted: str) -> Iterator[None]:
    """TF32 for matrix products and convolutions, or not."""
    before, convolutions = torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32
    try:
        torch.set_float32_matmul_precision(wanted)
        torch.backends.cudnn.allow_tf32 = wanted == "high"
        yield
    finally:
        torch.set_float32_matmul_precision(before)
        torch.backends.cudnn.allow_tf32 = convolutions


def wait_for(device: torch.device) -> None:
    if device.type != "cpu":
        getattr(torch, device.type).synchronize()


def column(device: torch.device, rows: dict[str, Setting], *, seconds: float = SECONDS) -> dict[str, Any]:
    """All rows that there is time for, and where they come from."""
    started, found = time.perf_counter(), {}
    for name, setting in rows.items():
        if time.perf_counter() - started > LIMIT:
            print(f"{name}: left out, no time is left")
            continue
        found[name] = measure(setting, device, seconds=seconds)
        print(f"{name}: {found[name]['images_per_second']:,.0f} images per second", flush=True)
    return {
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else device.type,
        "torch": torch.__version__.split("+")[0],
        "course": metadata.version("course-lib"),
        "date": date.today().isoformat(),
        "rows": found,
    }


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--out", type=Path, default=STORED)
    out, device = parser.parse_args().out, pick_device()
    if device.type != "cuda":
        raise SystemExit(f"expected a CUDA GPU, got {device.type}; run this where there is one.")
    measured = column(device, settings(Precision.best(device).dtype))
    out.write_text(json.dumps(measured, indent=1) + "\n", encoding="utf-8")
    print(read(measured)[0])
    print(f"written to {out}; build lesson 3 again.")


if __name__ == "__main__":
    main()
