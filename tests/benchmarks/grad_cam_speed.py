"""Grad-CAM of 100 radiographs at 128 pixels by CompactCNN, beside one plain pass over them: prints seconds and factor.

python tests/benchmarks/grad_cam_speed.py
"""

import time
from collections.abc import Callable

import torch

from course_lib.explain import grad_cam
from course_lib.models import CompactCNN
from course_lib.runtime import keep_freed_memory


def seconds(work: Callable[[], object]) -> float:
    """The shortest of five times."""
    times = []
    for _ in range(5):
        started = time.perf_counter()
        work()
        times.append(time.perf_counter() - started)
    return min(times)


def main() -> None:
    keep_freed_memory()
    torch.manual_seed(0)
    model, images = CompactCNN().eval(), torch.rand(100, 1, 128, 128)

    def forward() -> None:
        with torch.no_grad():
            model(images)

    plain = seconds(forward)
    mapped = seconds(lambda: grad_cam(model, images, 1, layer=model.target_layer))
    print(f"{torch.get_num_threads()} threads, 100 images at 128 pixels")
    print(f"one pass {plain:.3f} s, Grad-CAM {mapped:.3f} s: {mapped / plain:.1f} times as long")


if __name__ == "__main__":
    main()
