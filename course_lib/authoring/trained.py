"""Makes the networks that ship with the course: a run's weights in 16 bits, and beside them how they were made.

Examples: python -m course_lib.authoring.trained opening
          python -m course_lib.authoring.trained opening --run runs/real
"""

import argparse
import hashlib
import tempfile
from dataclasses import asdict
from pathlib import Path

from course_lib.checkpoint import save_weights
from course_lib.data import Augmentation
from course_lib.data_sets import CHEST_XRAY
from course_lib.models import CompactCNN, load_trained
from course_lib.models.trained import WEIGHTS
from course_lib.runs import Recipe, load_run, train_run
from course_lib.runs.folder import read_config, write_json

RECIPES = {
    "opening": Recipe.for_task(
        CHEST_XRAY.task,
        data="simulated",
        image_size=64,
        epochs=5,
        augmentation=dict.fromkeys(asdict(Augmentation()), 0),  # no two simulated patients look alike anyway
    )
}


def ship(name: str, run: Path) -> CompactCNN:
    """Put the network of a run folder among those that `load_trained` loads, and load it from there.

    Raises:
        FileNotFoundError, ValueError: not a run folder, damaged, not trained to its end, or of another network.
    """
    model, config = load_run(run).model, read_config(run)
    recipe = config["recipe"]
    if not isinstance(model, CompactCNN):
        raise ValueError(
            f"{run}: CompactCNN expected, got {recipe['network']}; give a run of `course train {CHEST_XRAY.task}`."
        )
    config["recipe"] = {key: value for key, value in recipe.items() if key != "root"}  # a folder of this machine
    path = WEIGHTS / f"{name}-{recipe['data']}.safetensors"
    save_weights(path, model.half())
    by_itself = name in RECIPES and recipe == asdict(RECIPES[name])
    commands = [
        f"course train {recipe['task']} --data {recipe['data']} --image-size {recipe['image_size']} "
        f"--epochs {recipe['epochs']} --seed {recipe['seed']} --out RUN",
        f"python -m course_lib.authoring.trained {name} --run RUN",
    ]
    about = {
        "commands": [f"python -m course_lib.authoring.trained {name}"] if by_itself else commands,
        "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
    }
    write_json(path.with_suffix(".json"), about | config)
    return load_trained(name, source=recipe["data"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name", choices=RECIPES, help="of the network")
    parser.add_argument("--run", type=Path, help="take this finished run, and train none")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        if arguments.run is None:
            train_run(RECIPES[arguments.name], Path(folder) / "run")
        ship(arguments.name, arguments.run or Path(folder) / "run")


if __name__ == "__main__":
    main()
