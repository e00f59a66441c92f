"""How much faster is `fit` than the loop that a beginner writes? Prints images a second, side by side in one process.

PneumoniaCNN at 256 pixels on random images; the loop: float32, Adam, batches of 16 from a `DataLoader`. Both train the
same number of images in turn, several rounds, so that a machine that is busy for a while is busy for both.

    python tests/benchmarks/training_speed.py [ROUNDS]
"""

import statistics
import sys
import time
from collections.abc import Callable

import torch
from torch import nn
from torch.utils.data import DataLoader

from course_lib.data import Batches, ImageSet
from course_lib.models import PneumoniaCNN
from course_lib.runtime import Precision, pick_device
from course_lib.training import fit

NUM_IMAGES = 256


def random_images(count: int) -> ImageSet:
    images = torch.randint(0, 256, (count, 1, 256, 256), dtype=torch.uint8)
    names = tuple(map(str, range(count)))
    return ImageSet(images, torch.arange(count) % 2, ("NORMAL", "PNEUMONIA"), names, "random", "none")


def plain_loop(model: nn.Module, data: ImageSet, device: torch.device) -> None:
    loss_function = nn.CrossEntropyLoss()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    model.train()
    for images, labels in DataLoader(data, batch_size=16, shuffle=True):
        images, labels = images.to(device), labels.to(device)
        optimizer.zero_grad()
        loss = loss_function(model(images), labels)
        loss.backward()
        optimizer.step()


def through_fit(model: nn.Module, data: ImageSet, device: torch.device, precision: Precision) -> None:
    val = data.subset([0, 1])
    train = Batches(data, 16, shuffle=True, device=device)
    fit(model, train, Batches(val, 2, device=device), epochs=1, precision=precision)


def main() -> None:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 3
    device = pick_device()
    data = random_images(NUM_IMAGES)
    contestants: dict[str, Callable[[nn.Module], None]] = {
        "plain loop, float32": lambda model: plain_loop(model, data, device)
    }
    for precision in {Precision(device.type, None), Precision.best(device)}:
        contestants[f"fit, {precision.name}"] = lambda model, precision=precision: through_fit(
            model, data, device, precision
        )
    speeds: dict[str, list[float]] = {name: [] for name in contestants}
    for number in range(rounds + 1):
        for name, train in contestants.items():
            model = PneumoniaCNN().to(device)
            started = time.perf_counter()
            train(model)
            if number:  # the first round warms up
                speeds[name].append(NUM_IMAGES / (time.perf_counter() - started))
    print(f"{device}, {torch.get_num_threads()} threads, median of {rounds} rounds of {NUM_IMAGES} images")
    base = speeds["plain loop, float32"]
    for name, found in speeds.items():
        ratios = [ours / theirs for ours, theirs in zip(found, base, strict=True)]
        print(
            f"{name:22} {statistics.median(found):7.1f} images/s   {statistics.median(ratios):.2f} times the plain "
            f"loop [{min(ratios):.2f} to {max(ratios):.2f}]"
        )


if __name__ == "__main__":
    main()
