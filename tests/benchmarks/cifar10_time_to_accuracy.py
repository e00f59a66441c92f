"""How long until CIFAR-10 is known as well as after the tutorial's five epochs? Prints a table, made in one run.

The tutorial's loop as a beginner writes it: SimpleCNN, PIL images through torchvision's transforms and a `DataLoader`
with two workers, batches of 64, Adam, float32. Against it one epoch of a narrow `FastCNN`, and presets of `course train
cifar10`. These also tell the C library to keep freed memory, and answer with the mean for the image and its mirror
image. All learn from the same images and are scored on the test images, on which nothing was tuned. The seconds of ours
include scoring the validation images after each epoch, those of the tutorial's loop only training. Each training has a
process of its own.

    python tests/benchmarks/cifar10_time_to_accuracy.py ROOT [--seeds 3] [--presets fast best]
"""

import argparse
import multiprocessing
import statistics
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import nn
from torch.utils.data import DataLoader, Dataset
from torchvision.transforms import ToTensor

from course_lib.data import Batches, ImageSet, load_cifar10
from course_lib.models import SimpleCNN
from course_lib.runs import Recipe
from course_lib.runtime import Precision, keep_freed_memory
from course_lib.training import evaluate, fit

SHORT: dict[str, Any] = {
    "network_arguments": {"widths": [32, 64, 128], "num_classes": 10, "mirror": True},
    "batch_size": 250,
    "augmentation": {"shift": 0},
}


class Photos(Dataset[tuple[torch.Tensor, int]]):
    """As torchvision's CIFAR10: one image at a time, as a PIL image, through a transform."""

    def __init__(self, images: ImageSet) -> None:
        self.pixels = images.images.permute(0, 2, 3, 1).contiguous().numpy()
        self.labels = images.labels.tolist()
        self.transform = ToTensor()

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, int]:
        return self.transform(Image.fromarray(self.pixels[index])), self.labels[index]


def tutorial(root: Path, seed: int, epochs: int = 5) -> tuple[float, float]:
    """Seconds of training and test accuracy of the loop as written."""
    splits = load_cifar10("real", root=root)
    torch.manual_seed(seed)
    model = SimpleCNN()  # its first step is the tutorial's Normalize
    loader = DataLoader(
        Photos(splits.train), batch_size=64, shuffle=True, num_workers=2, multiprocessing_context="fork"
    )
    criterion, optimizer = nn.CrossEntropyLoss(), torch.optim.Adam(model.parameters(), lr=0.001)
    started = time.perf_counter()
    for _ in range(epochs):
        running_loss = 0.0
        for images, labels in loader:
            optimizer.zero_grad()
            loss = criterion(model(images), labels)
            loss.backward()
            optimizer.step()
            running_loss += loss.item()
    seconds = time.perf_counter() - started
    return seconds, evaluate(model, Batches(splits.test, 500)).accuracy


def ours(recipe: Recipe) -> tuple[float, float]:
    """Seconds of training and test accuracy of a recipe."""
    keep_freed_memory()
    splits = recipe.splits()
    model = recipe.build(10)
    precision = Precision.best(torch.device("cpu"))
    history = fit(
        model,
        Batches(splits.train, recipe.batch_size, shuffle=True, augment=recipe.augment()),
        Batches(splits.val, 500),
        epochs=recipe.epochs,
        precision=precision,
        seed=recipe.seed,
        **recipe.training_arguments(),
    )
    return sum(history.seconds), evaluate(model, Batches(splits.test, 500), precision=precision).accuracy


def alone(work: Callable[[], tuple[float, float]]) -> tuple[float, float]:
    """What `work` finds in a new process, which nothing before it has warmed or slowed."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        return pool.submit(work).result()


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("root", type=Path)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--presets", nargs="*", default=["fast"])
    asked = parser.parse_args()
    splits = load_cifar10("real", root=asked.root)
    print(
        f"{len(splits.train):,} training and {len(splits.test):,} test images, {torch.get_num_threads()} threads, "
        f"ours in {Precision.best(torch.device('cpu')).name}"
    )
    table: dict[str, list[tuple[float, float]]] = {}
    for seed in range(asked.seeds):
        given = {"data": "real", "root": str(asked.root), "seed": seed}
        runs = {"tutorial's loop, 5 epochs": partial(tutorial, asked.root, seed)}
        runs["FastCNN 32-64-128, 1 epoch"] = partial(ours, Recipe.of("cifar10", epochs=1, **SHORT, **given))
        for preset in asked.presets:
            recipe = Recipe.of("cifar10", preset=preset, **given)
            runs[f"{preset}, {recipe.epochs} epochs"] = partial(ours, recipe)
        for name, run in runs.items():
            seconds, accuracy = alone(run)
            table.setdefault(name, []).append((seconds, accuracy))
            print(f"seed {seed}  {name:26} {seconds:7.1f} s  accuracy {accuracy:.4f}", flush=True)
    base = table["tutorial's loop, 5 epochs"]
    print(f"\nmean of {asked.seeds} seeds [smallest to largest]")
    for name, found in table.items():
        seconds, accuracies = zip(*found, strict=True)
        ratios = [took / tutorials for took, (tutorials, _) in zip(seconds, base, strict=True)]
        reached = sum(known >= goal for known, (_, goal) in zip(accuracies, base, strict=True))
        print(
            f"{name:26} {statistics.mean(seconds):7.1f} s [{min(seconds):.1f} to {max(seconds):.1f}]   "
            f"accuracy {statistics.mean(accuracies):.4f} [{min(accuracies):.4f} to {max(accuracies):.4f}]   "
            f"{statistics.mean(ratios):.3f} of the tutorial's time; its accuracy reached by {reached} of {len(found)}"
        )


if __name__ == "__main__":
    main()
