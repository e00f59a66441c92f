"""Fine-tuning on few real photographs, short and long, against the probe that it starts from. Lesson 5 shows it.

From each of three seeds 640 images of CIFAR-10 are labeled, seen at 64 pixels; each training goes from the probe
through them 1, 4 or 16 times, at one of two peak rates, and is scored on 2,000 validation images, the same for all.
The folder of the real images is named by COURSE_REAL_DATA. On one quiet core twelve minutes.

    COURSE_REAL_DATA=~/data python tests/benchmarks/tuning_length.py
"""

import os

import torch

from course_lib.data import Batches, ImageSet, PhotoAugmentation, load_cifar10
from course_lib.models import OFFLINE, parameter_groups, transfer_model
from course_lib.real_results import record
from course_lib.runtime import Precision, keep_freed_memory
from course_lib.training import evaluate, extract_features, fit, linear_probe

LABELED, PER_CLASS, SCORED, SIDE = 640, 64, 2000, 64
PASSES, RATES = (1, 4, 16), (5e-4, 2e-3)


def draw(images: ImageSet, seed: int) -> ImageSet:
    """As many images of each class."""
    order = torch.randperm(len(images), generator=torch.Generator().manual_seed(seed))
    return images.subset(torch.cat([order[images.labels[order] == k][:PER_CLASS] for k in range(10)]))


def main() -> None:
    keep_freed_memory()
    splits = load_cifar10("real", root=os.environ["COURSE_REAL_DATA"])
    shown = torch.randperm(len(splits.val), generator=torch.Generator().manual_seed(0))[:SCORED]
    val = Batches(splits.val.subset(shown), 250)
    few_val = Batches(splits.val.subset(shown[:32]), 32)  # for `fit`, which wants some
    found: dict[tuple[str, int], list[float]] = {}
    for seed in range(3):
        some = draw(splits.train, seed)
        for rate in RATES:
            for passes in PASSES:
                torch.manual_seed(seed)
                model = transfer_model(OFFLINE, 10, image_size=SIDE)
                model.head = linear_probe(*extract_features(model, Batches(some, 250)))
                if rate == RATES[0]:
                    found.setdefault(("the probe", passes * LABELED), []).append(evaluate(model, val).accuracy)
                fit(
                    model,
                    Batches(some, 32, shuffle=True, augment=PhotoAugmentation(shift=2)),
                    few_val,
                    epochs=passes,
                    parameter_groups=parameter_groups(model, rate),
                    precision=Precision("cpu", None),
                    seed=seed,
                )
                accuracy = evaluate(model, val).accuracy
                found.setdefault((f"tuned, peak rate {rate:g}", passes * LABELED), []).append(accuracy)
                print(f"seed {seed}, rate {rate:g}, {passes:2} passes: {accuracy:.3f}", flush=True)
    for (name, seen), scores in found.items():
        print(f"{name:24} {seen:6,} images seen:", *(f"{score:.3f}" for score in scores))
    command = "python tests/benchmarks/tuning_length.py"
    record("05.length", found, splits.val.subset(shown), command=command)


if __name__ == "__main__":
    main()
