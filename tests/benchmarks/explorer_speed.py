"""How long each explorer takes to follow a control, in the kernel: median and slowest of 60 changes, in milliseconds.

python tests/benchmarks/explorer_speed.py
"""

import time

import torch

from course_lib.data import simulate_radiographs
from course_lib.models import CompactCNN
from course_lib.widgets import (
    convolution_explorer,
    descent_explorer,
    feature_explorer,
    pooling_explorer,
    shape_explorer,
    threshold_explorer,
)


def main() -> None:
    torch.manual_seed(0)
    model = CompactCNN(widths=(16, 32, 64, 96)).eval()
    radiographs = simulate_radiographs(4, image_size=96, seed=0)
    layers = {f"block {number}": block for number, block in enumerate(model.blocks, start=1)}
    features = feature_explorer(model, radiographs.images.float() / 255, radiographs.classes, layers=layers)
    for explorer, control in (
        (convolution_explorer(), "position"),
        (shape_explorer(), "channels"),
        (pooling_explorer(), "draw_number"),
        (descent_explorer(), "steps"),
        (threshold_explorer(), "miss"),
        (features, "channel"),
    ):
        moved, taken = explorer.controls[control], []
        for change in range(60):
            started = time.perf_counter()
            moved.value = moved.min + (1 - change % 2) * moved.step
            taken.append(1000 * (time.perf_counter() - started))
        taken.sort()
        print(f"{explorer.title:40} median {taken[len(taken) // 2]:4.0f} ms, slowest {taken[-1]:4.0f} ms")


if __name__ == "__main__":
    main()
