"""What ImageNet's weights give on real images, without a network. Prints scores on the test images over seeds.

Pneumonia: `course train transfer --task pneumonia` as it comes, its threshold chosen on validation; seconds from the
first image to the written run. CIFAR-10: 2,000 labeled images, seen at 128 pixels; a probe on features of ImageNet's
weights and of random ones, and twelve epochs of fine-tuning from the first; scored on 2,000 test images. The steps'
size and the mean of the weights were chosen on 2,000 validation images.

    python tests/benchmarks/transfer_learning.py ROOT [--seeds 3] [--tasks pneumonia cifar10]
"""

import argparse
import tempfile
import time
from pathlib import Path

import torch

from course_lib.data import Batches, PhotoAugmentation, load_cifar10
from course_lib.models import OFFLINE, parameter_groups, transfer_model
from course_lib.runs import Recipe, evaluate_run, train_run
from course_lib.runtime import Precision, keep_freed_memory
from course_lib.training import evaluate, extract_features, fit, linear_probe

Scores = dict[str, float]


def pneumonia(root: Path, seed: int) -> Scores:
    with tempfile.TemporaryDirectory() as folder:
        run = Path(folder) / "run"
        started = time.perf_counter()
        train_run(Recipe.for_task("pneumonia", preset="transfer", data="real", root=str(root), seed=seed), run)
        seconds = time.perf_counter() - started
        scores = evaluate_run(run)
    return {"seconds": seconds} | {name: scores[name] for name in ("auc", "accuracy", "sensitivity", "specificity")}


def cifar10(root: Path, seed: int, *, labeled: int = 2000, scored: int = 2000, epochs: int = 12) -> Scores:
    splits = load_cifar10("real", root=root)
    order = torch.randperm(len(splits.train), generator=torch.Generator().manual_seed(seed))
    few, val = splits.train.subset(order[:labeled]), Batches(splits.val.subset(range(500)), 250)
    shown = torch.randperm(len(splits.test), generator=torch.Generator().manual_seed(0))[:scored]
    test = Batches(splits.test.subset(shown), 250)
    scores: Scores = {}
    for name, weights in (("random probe", "random"), ("probe", "imagenet")):
        torch.manual_seed(seed)
        model = transfer_model(OFFLINE, len(few.classes), image_size=128, weights=weights)
        model.head = linear_probe(*extract_features(model, Batches(few, 250)))
        scores[name] = evaluate(model, test).accuracy
    started = time.perf_counter()
    batches = Batches(few, 64, shuffle=True, augment=PhotoAugmentation(shift=2))
    groups = parameter_groups(model, 4e-3)
    precision = Precision.best(torch.device("cpu"), model)
    fit(
        model,
        batches,
        val,
        epochs=epochs,
        parameter_groups=groups,
        label_smoothing=0.1,
        ema_decay=0.99,
        precision=precision,
        seed=seed,
    )
    scores["seconds of fine-tuning"] = time.perf_counter() - started
    return scores | {"fine-tuned": evaluate(model, test).accuracy}


def main() -> None:
    tasks = {"pneumonia": pneumonia, "cifar10": cifar10}
    parser = argparse.ArgumentParser()
    parser.add_argument("root", type=Path)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--tasks", nargs="*", choices=tasks, default=list(tasks))
    asked = parser.parse_args()
    keep_freed_memory()
    print(f"{torch.get_num_threads()} threads")
    for task in asked.tasks:
        found = []
        for seed in range(asked.seeds):
            found.append(tasks[task](asked.root, seed))
            print(f"{task}, seed {seed}: " + ", ".join(f"{k} {v:.3f}" for k, v in found[-1].items()), flush=True)
        for name in found[0]:
            values = [scores[name] for scores in found]
            mean = sum(values) / len(values)
            print(f"{task}: {name:22} {mean:8.3f} [{min(values):.3f} to {max(values):.3f}]")


if __name__ == "__main__":
    main()
