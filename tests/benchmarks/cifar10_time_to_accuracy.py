"""How long until CIFAR-10 is known as well as after the tutorial's five epochs? Prints a table, made in one run.

The tutorial's loop as a beginner writes it: SimpleCNN, PIL images through torchvision's transforms and a `DataLoader`
with two workers, batches of 64, Adam, float32. Against it one epoch of a narrow `FastCNN`, presets of `course train
cifar10`, and a published recipe (see cifar10_yardstick.py), which says how much of an accuracy is the images' own. Ours
tell the C library to keep freed memory, and answer with the mean for the image and its mirror image. All learn from the
same images and are scored on the test images, on which nothing was tuned. The seconds of ours include scoring the
validation images after each epoch, the others' are of training alone. PFLOP is the arithmetic of the training steps,
MFU the fraction of it that the machine's peak would have done in the seconds of these steps. Each training has a
process of its own.

    python tests/benchmarks/cifar10_time_to_accuracy.py ROOT [--seeds 3] [--presets fast best] [--results FILE]

With `--results` each training is written down there, and none that stands there already is made again.
"""

import argparse
import json
import multiprocessing
import statistics
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import torch
from cifar10_yardstick import train_published
from PIL import Image
from torch import nn
from torch.utils.data import DataLoader, Dataset
from torchvision.transforms import ToTensor

from course_lib.data import Batches, ImageSet, load_cifar10
from course_lib.flops import TrainingFlops, peak_flops
from course_lib.models import SimpleCNN
from course_lib.runs import Recipe
from course_lib.runtime import Precision, keep_freed_memory
from course_lib.training import evaluate, fit

TUTORIAL = "tutorial's loop, 5 epochs"
SHORT: dict[str, Any] = {
    "network_arguments": {"widths": [32, 64, 128], "num_classes": 10, "flip_tta": True},
    "batch_size": 250,
    "augmentation": {"shift": 0},
}


class Training(NamedTuple):
    """What a training took, and what came of it on the test images."""

    seconds: float
    accuracy: float
    flops: float
    mfu: float


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


def tutorial(root: Path, seed: int, epochs: int = 5) -> Training:
    """The loop as written, but for the count of its arithmetic."""
    peak = peak_flops(Precision("cpu", None))
    splits = load_cifar10("real", root=root)
    torch.manual_seed(seed)
    model = SimpleCNN()  # its first step is the tutorial's Normalize
    loader = DataLoader(
        Photos(splits.train), batch_size=64, shuffle=True, num_workers=2, multiprocessing_context="fork"
    )
    criterion, optimizer = nn.CrossEntropyLoss(), torch.optim.Adam(model.parameters(), lr=0.001)
    flops, started = TrainingFlops(), time.perf_counter()
    for _ in range(epochs):
        running_loss = 0.0
        for images, labels in loader:
            with flops.step(model, images):
                optimizer.zero_grad()
                loss = criterion(model(images), labels)
                loss.backward()
                optimizer.step()
                running_loss += loss.item()
    seconds = time.perf_counter() - started
    accuracy = evaluate(model, Batches(splits.test, 500)).accuracy
    return Training(seconds, accuracy, flops.spent, flops.spent / seconds / peak)


def ours(recipe: Recipe) -> Training:
    """A recipe as `course train` follows it."""
    keep_freed_memory()
    splits = recipe.splits()
    model = recipe.build(10)
    precision = Precision.best(torch.device("cpu"))
    peak = peak_flops(precision)
    history = fit(
        model,
        Batches(splits.train, recipe.batch_size, shuffle=True, augment=recipe.augment()),
        Batches(splits.val, 500),
        epochs=recipe.epochs,
        precision=precision,
        seed=recipe.seed,
        **recipe.training_arguments(),
    )
    accuracy = evaluate(model, Batches(splits.test, 500), precision=precision).accuracy
    flops = sum(history.train_flops)
    return Training(sum(history.seconds), accuracy, flops, flops / sum(history.train_seconds) / peak)


def published(root: Path, seed: int) -> Training:
    """The published recipe, on our loop."""
    keep_freed_memory()
    splits, precision, flops = load_cifar10("real", root=root), Precision.best(torch.device("cpu")), TrainingFlops()
    peak = peak_flops(precision)
    started = time.perf_counter()
    model = train_published(splits.train, precision, seed, flops)
    seconds = time.perf_counter() - started
    accuracy = evaluate(model, Batches(splits.test, 500), precision=precision).accuracy
    return Training(seconds, accuracy, flops.spent, flops.spent / seconds / peak)


def alone(work: Callable[[], Training]) -> Training:
    """What `work` finds in a new process, which nothing before it has warmed or slowed."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        return pool.submit(work).result()


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("root", type=Path)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--presets", nargs="*", default=["fast"])
    parser.add_argument("--results", type=Path)
    asked = parser.parse_args()
    splits = load_cifar10("real", root=asked.root)
    print(
        f"{len(splits.train):,} training and {len(splits.test):,} test images, {torch.get_num_threads()} threads, "
        f"ours in {Precision.best(torch.device('cpu')).name}"
    )
    kept = asked.results.read_text(encoding="utf-8").splitlines() if asked.results and asked.results.exists() else []
    done = {(name, seed): Training(*found) for name, seed, found in map(json.loads, kept)}
    table: dict[str, list[Training]] = {}
    for seed in range(asked.seeds):
        given = {"data": "real", "root": str(asked.root), "seed": seed}
        runs = {TUTORIAL: partial(tutorial, asked.root, seed)}
        runs["published recipe, 8 epochs"] = partial(published, asked.root, seed)
        runs["FastCNN 32-64-128, 1 epoch"] = partial(ours, Recipe.for_task("cifar10", epochs=1, **SHORT, **given))
        for preset in asked.presets:
            recipe = Recipe.for_task("cifar10", preset=preset, **given)
            runs[f"{preset}, {recipe.epochs} epochs"] = partial(ours, recipe)
        for name, run in runs.items():
            found = done.get((name, seed)) or alone(run)
            if asked.results and (name, seed) not in done:
                with asked.results.open("a", encoding="utf-8") as file:
                    print(json.dumps([name, seed, found]), file=file)
            table.setdefault(name, []).append(found)
            print(f"seed {seed}  {name:26} {found.seconds:7.1f} s  accuracy {found.accuracy:.4f}", flush=True)
    base = table[TUTORIAL]
    print(f"\nmean of {asked.seeds} seeds [smallest to largest]")
    for name, trainings in table.items():
        seconds, accuracies, flops, mfus = zip(*trainings, strict=True)
        pairs = list(zip(trainings, base, strict=True))
        ratio = statistics.mean(training.seconds / tutorials.seconds for training, tutorials in pairs)
        reached = sum(training.accuracy >= tutorials.accuracy for training, tutorials in pairs)
        print(
            f"{name:26} {statistics.mean(seconds):7.1f} s [{min(seconds):.1f} to {max(seconds):.1f}]   "
            f"accuracy {statistics.mean(accuracies):.4f} [{min(accuracies):.4f} to {max(accuracies):.4f}]   "
            f"{statistics.mean(flops) / 1e15:.3f} PFLOP   MFU {statistics.mean(mfus):.0%}   "
            f"{ratio:.3f} of the tutorial's time; its accuracy reached by {reached} of {len(trainings)}"
        )


if __name__ == "__main__":
    main()
