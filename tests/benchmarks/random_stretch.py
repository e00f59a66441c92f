"""What the random stretch of `Augmentation` does to the classifier of real X-rays: three seeds with it, three without.

The folder of the real images is named by COURSE_REAL_DATA; finished runs in OUT are not trained again. On two quiet
cores twenty minutes. The result goes into lesson 3.

    COURSE_REAL_DATA=~/data python tests/benchmarks/random_stretch.py OUT
"""

import os
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

from course_lib.data import Augmentation
from course_lib.real_results import record
from course_lib.runs import Recipe, evaluate_run, train_run
from course_lib.runtime import keep_freed_memory

SCORES = {"auc": "AUC", "balanced_accuracy": "balanced accuracy", "ece": "calibration error"}


def main() -> None:
    keep_freed_memory()
    out, root = Path(sys.argv[1]), str(Path(os.environ["COURSE_REAL_DATA"]).resolve())
    found: dict[str, list[Any]] = {}
    for arm, stretch in (("stretched", Augmentation().stretch), ("as they are", 0.0)):
        for seed in range(3):
            run = out / f"{arm.replace(' ', '-')}-{seed}"
            augmentation = asdict(Augmentation(stretch=stretch))
            recipe = Recipe.for_task("pneumonia", data="real", root=root, seed=seed, augmentation=augmentation)
            config = train_run(recipe, run, resume=run.exists())
            print(f"{run.name}: {config['training']['seconds']:.0f} s of training", flush=True)
            for split, scores in (("validation", config["validation"]), ("test", evaluate_run(run))):
                for score, name in SCORES.items():
                    found.setdefault(f"{name}, {split}, {arm}", []).append(scores[score])
    for name, values in sorted(found.items()):
        print(f"{name:45}", *(f"{value:.3f}" for value in values))
    record(
        "03.stretch",
        dict(sorted(found.items())),
        recipe.splits().test,
        command="python tests/benchmarks/random_stretch.py OUT",
    )


if __name__ == "__main__":
    main()
