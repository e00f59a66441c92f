"""What a run begins with: its recipe, its images and its first config.json."""

import hashlib
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from course_lib.data import ImageSet, Splits
from course_lib.distributed import Team, wait_for_all
from course_lib.options import check_out
from course_lib.runs.folder import FORMAT, read_config, write_json
from course_lib.runs.recipe import RECIPE_OPTIONS, Recipe


def begin(recipe: Recipe, out: Path, *, resume: bool, team: Team) -> tuple[Recipe, Splits, dict[str, Any]]:
    """The recipe with the images that it found, these images, and what config.json in `out` then holds.

    Raises:
        FileExistsError: `out` holds a run already.
        FileNotFoundError: nothing to resume in `out`.
        ValueError: to be resumed with another recipe or with other images than before; or more processes than the
            recipe or the validation images are for.
        ValueError, OSError: from the data.
    """
    before: dict[str, Any] = {}
    if resume:
        before = read_config(out)
        recipe = same_recipe(out, recipe)
    else:
        check_out(out)
    if recipe.plain and team.size > 1:
        raise ValueError(f"preset {recipe.preset!r} trains in one process; start it without torchrun.")
    splits = _load(recipe, team)
    if team.size > len(splits.val):
        raise ValueError(f"{team.size} processes cannot share {len(splits.val)} validation images; start fewer.")
    source_fields = {"data": "real", "root": str(splits.path)} if splits.path else {"data": "simulated", "root": None}
    recipe = replace(recipe, **source_fields)  # type: ignore[arg-type]  # mypy sees no keys
    train, val = splits.train, splits.val
    config: dict[str, Any] = {
        "format": FORMAT,
        "recipe": asdict(recipe),
        "classes": list(train.classes),
        "data": {"name": train.name, "license": train.license, "fingerprint": _fingerprint(train, val)},
        "counts": {"train": train.counts(), "val": val.counts()},
        "has_test": splits.has_test,
    }
    if resume and before["data"]["fingerprint"] != config["data"]["fingerprint"]:
        if splits.path is None:
            raise ValueError(
                f"{out}: was started on other simulated images than the course makes now; start again with another "
                "--out."
            )
        raise ValueError(f"{out}: was started on other images than those found now; give their folder by --root.")
    wait_for_all()  # before the first writes what the others look for
    if team.rank == 0:
        write_json(out / "config.json", config)
    return recipe, splits, config


def _load(recipe: Recipe, team: Team) -> Splits:
    """The images; the first process fetches and decodes them, and the others find what it found."""
    if team.rank > 0:
        wait_for_all()
    splits = recipe.splits()
    if team.rank == 0:
        wait_for_all()
    return splits


def same_recipe(out: Path, recipe: Recipe) -> Recipe:
    """The recipe of the run in `out`, with the root that `recipe` names; refuses another recipe."""
    names = ("data", "root", "preset", *RECIPE_OPTIONS)
    return stored_recipe(out, recipe.task, **{name: getattr(recipe, name) for name in names})


def stored_recipe(out: Path, task: str, *, root: str | None = None, **requested: Any) -> Recipe:
    """The recipe of the run in `out`, with the root that is asked for; None asks for nothing.

    Args:
        out: the run folder.
        task: what the run learns.
        root: where its images have moved to.
        requested: fields that the recipe must have.

    Raises:
        FileNotFoundError: nothing to resume in `out`.
        ValueError: something else is asked for than the recipe holds.
    """
    stored = Recipe(**read_config(out)["recipe"])
    if task != stored.task:
        raise ValueError(f"{out}: holds a run of {stored.task}, not of {task}; choose another --out.")
    for name, value in requested.items():
        stored_value = getattr(stored, name)
        if value not in (None, stored_value, "auto"):
            raise ValueError(f"{out}: was started with {name}={stored_value}, not {value}; resume without changing it.")
    return replace(stored, root=root or stored.root)


def _fingerprint(*sets: ImageSet) -> str:
    """Tells whether two runs saw the same images with the same labels, in the same order."""
    digest = hashlib.sha256()
    for image_set in sets:
        digest.update(image_set.images.contiguous().numpy().data)
        digest.update(image_set.labels.numpy().tobytes())
    return digest.hexdigest()[:16]
