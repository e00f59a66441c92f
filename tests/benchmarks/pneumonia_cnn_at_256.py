"""Lesson 2's PneumoniaCNN at 256 pixels on the real X-rays, by the plain loop of most tutorials and by `fit`.

Beside it CompactCNN as `course train pneumonia` trains it; each training in a process of its own. The folder of the
real images is named by COURSE_REAL_DATA; finished runs in OUT are not trained again. On one quiet core PneumoniaCNN
takes 25 minutes and 10 GB of memory for each seed, CompactCNN 4 minutes. The result goes into lesson 3.

    COURSE_REAL_DATA=~/data OMP_NUM_THREADS=1 python tests/benchmarks/pneumonia_cnn_at_256.py OUT
"""

import json
import multiprocessing
import os
import resource
import sys
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

from course_lib.real_results import record
from course_lib.runs import Recipe, evaluate_run, train_run
from course_lib.runtime import keep_freed_memory

ARMS: dict[str, tuple[str, dict[str, Any]]] = {
    "plain": ("PneumoniaCNN, plain loop", {"preset": "tutorial"}),
    "cycle": ("PneumoniaCNN, one cycle", {"preset": "tutorial", "plain": False, "pct_start": 0.25}),
    "compact": ("CompactCNN, 96 pixels", {}),
}


def train(recipe: Recipe, run: Path) -> None:
    """Train, and write down the peak of the process's memory, in GB."""
    keep_freed_memory()
    train_run(recipe, run, resume=run.exists())
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6  # Linux counts in kB
    (run / "memory.json").write_text(json.dumps(peak), encoding="utf-8")


def outcome(recipe: Recipe, run: Path) -> dict[str, float]:
    """What came of a run, trained if need be."""
    if not (run / "memory.json").exists():
        with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as alone:
            alone.submit(train, recipe, run).result()
    config, test = json.loads((run / "config.json").read_text(encoding="utf-8")), evaluate_run(run)
    return {
        "AUC, test": test["auc"],
        "AUC, validation": config["validation"]["auc"],
        "balanced accuracy, test": test["balanced_accuracy"],
        "calibration error, test": test["ece"],
        "minutes": config["training"]["seconds"] / 60,
        "memory in GB": json.loads((run / "memory.json").read_text(encoding="utf-8")),
    }


def main() -> None:
    out, root = Path(sys.argv[1]), str(Path(os.environ["COURSE_REAL_DATA"]).resolve())
    outcomes: dict[str, dict[str, list[float]]] = {}
    for arm, (title, changes) in ARMS.items():
        for seed in range(3):
            recipe = Recipe.for_task("pneumonia", data="real", root=root, seed=seed, **changes)
            for score, value in outcome(recipe, out / f"{arm}-{seed}").items():
                outcomes.setdefault(score, {}).setdefault(title, []).append(value)
            print(
                f"{title}, seed {seed}",
                *(f"{name} {values[title][-1]:.3f}" for name, values in outcomes.items()),
                sep="  ",
            )
    record(
        "03.tutorial",
        {f"{score}, {title}": values for score, by_title in outcomes.items() for title, values in by_title.items()},
        Recipe.for_task("pneumonia", data="real", root=root, **ARMS["plain"][1]).splits().test,
        command="python tests/benchmarks/pneumonia_cnn_at_256.py OUT",
    )


if __name__ == "__main__":
    main()
