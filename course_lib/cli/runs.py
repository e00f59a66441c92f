"""The commands that train, score and use a network."""

import json
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer

from course_lib.backbones import OFFLINE
from course_lib.cli.options import OF_EACH, Backbone, Data, Preset, Root, Task, What
from course_lib.data_sets import TRANSFER
from course_lib.options import Split, check_predict, check_train, config_path
from course_lib.progress import printing_progress


def train(
    what: Annotated[What, typer.Argument(help="What to learn from nothing; or transfer, from a pretrained backbone.")],
    task: Annotated[
        Task | None,
        typer.Option(help="Of transfer: what to learn; folder: class folders of your own.", show_default=False),
    ] = None,
    backbone: Annotated[
        Backbone | None,
        typer.Option(help=f"Of transfer: default {OFFLINE}, which needs no network.", show_default=False),
    ] = None,
    data: Data = None,
    root: Root = None,
    out: Annotated[Path | None, typer.Option(help="Run folder; default runs/TASK-SEED.", show_default=False)] = None,
    epochs: Annotated[int | None, typer.Option(min=1, help="Passes over the images.", show_default=False)] = None,
    learning_rate: Annotated[
        float | None, typer.Option(min=0, help="Its peak, if not the preset's.", show_default=False)
    ] = None,
    patience: Annotated[
        int | None,
        typer.Option(min=1, help="Stop after so many epochs without a lower validation loss.", show_default=False),
    ] = None,
    image_size: Annotated[int | None, typer.Option(min=1, help="Pixels per side.", show_default=False)] = None,
    seed: Annotated[
        int | None,
        typer.Option(min=0, max=2**31, help="Of the split, the weights and the order; default 0.", show_default=False),
    ] = None,
    preset: Annotated[
        Preset | None,
        typer.Option(help=f"How it is trained, if not as the task's default: {OF_EACH}.", show_default=False),
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with a run that was stopped.")] = False,
    classes: Annotated[
        str | None,
        typer.Option(metavar="A,B", help="Of --task folder: the class folders, if not all are.", show_default=False),
    ] = None,
    subfolder: Annotated[
        str | None,
        typer.Option(help="Of --task folder: where a class keeps its images, if beside others.", show_default=False),
    ] = None,
) -> None:
    """Train a network; the run folder then holds weights, history, curves and a model card.

    Example: course train pneumonia --data real --root ~/data --out runs/first

    Your own images, in a folder for each class: course train transfer --task folder --root ~/pets

    With several processes: torchrun --standalone --nproc-per-node 2 -m course_lib train cifar10 --root ~/data
    """
    folder = out or Path("runs") / "-".join(filter(None, (what, task, str(seed or 0))))
    check_train(
        what,
        task,
        backbone=backbone,
        preset=preset,
        data=data,
        root=root,
        out=folder,
        resume=resume,
        classes=classes,
        subfolder=subfolder,
    )
    from functools import partial

    from course_lib.runs import Recipe, arithmetic, stored_recipe, train_run
    from course_lib.runtime import keep_freed_memory

    keep_freed_memory()
    find_recipe = partial(stored_recipe, folder) if resume else Recipe.for_task
    recipe = find_recipe(
        task or what,
        preset=TRANSFER if task else preset,
        backbone=backbone,
        data=data,
        root=None if root is None else str(root.resolve()),
        epochs=epochs,
        learning_rate=learning_rate,
        patience=patience,
        image_size=image_size,
        seed=seed,
        classes=None if classes is None else classes.split(","),
        subfolder=subfolder,
    )
    with _saying_how_to_go_on(folder):
        config = train_run(recipe, folder, resume=resume, verbose=True)
    if int(os.environ.get("RANK", "0")) > 0:  # in a team of processes the first speaks
        return
    print_scores({"data": config["data"]["name"], "split": "val", "classes": config["classes"], **config["validation"]})
    split = "" if config["has_test"] else " --split val"
    spent = ", ".join(filter(None, (f"{config['training']['seconds']:.0f} s", arithmetic(config["training"]))))
    print(f"\n{folder}: trained in {spent}; now: course evaluate {folder}{split}")


@contextmanager
def _saying_how_to_go_on(folder: Path) -> Iterator[None]:
    """End the command in one sentence where the training into `folder` is stopped."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # torchrun sends it when another process has ended
    try:
        yield
    except (KeyboardInterrupt, ConnectionError) as error:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)  # once is enough
        kept = (folder / "state.pt").exists()
        advice = f"{folder} keeps the last whole epoch, go on with --resume" if kept else "before the first epoch ended"
        print(f"course: {str(error) or 'stopped'}; {advice}.", file=sys.stderr)
        raise SystemExit(130) from None


def evaluate(
    run: Annotated[Path, typer.Argument(help="Run folder.")],
    data: Data = None,
    root: Root = None,
    split: Annotated[Split, typer.Option(help="Which images to score.")] = "test",
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Score a trained network on a split, with 95% intervals.

    Example: course evaluate runs/first --root ~/data
    """
    config_path(run)
    from course_lib.runs import evaluate_run

    with printing_progress():
        scores = evaluate_run(run, data=data, root=root, split=split)
    if as_json:
        print(json.dumps(scores))
    else:
        print_scores(scores)


def predict(
    run: Annotated[Path, typer.Argument(help="Run folder.")],
    images: Annotated[list[Path], typer.Argument(help="Image files of any size.", readable=False)],
    explain: Annotated[
        Path | None, typer.Option(metavar="PNG", help="Draw which parts of the one image spoke for the answer.")
    ] = None,
) -> None:
    """Classify images, and say which are unlike those that the network learned from.

    A file that cannot be read is named, and the others are still classified.

    Example: course predict runs/first scan1.png scan2.jpeg
    """
    check_predict(run, images, explain)
    from functools import partial

    from course_lib.files import write_atomically
    from course_lib.runs import draw_explanation, load_run
    from course_lib.runs import predict as predict_one

    trained, failed = load_run(run), 0
    for path in images:
        try:
            prediction = predict_one(trained, path)
        except Exception as error:  # whatever it is, it is this image's, and the others are still answered
            expected = isinstance(error, OSError | ValueError)
            print(f"course: {error if expected else f'{path}: {type(error).__name__}: {error}'}", file=sys.stderr)
            failed += 1
            continue
        rule = "" if prediction.threshold is None else f" (threshold {prediction.threshold:.3f}, chosen on validation)"
        print(f"{path}: {prediction.predicted}, probability of {prediction.prob_of} {prediction.prob:.3f}{rule}")
        if prediction.notice:
            print(f"  {prediction.notice}; the answer may mean nothing")
        if explain:
            write_atomically(explain, partial(draw_explanation(trained, prediction).savefig, format="png", dpi=150))
            print(f"{explain}: what spoke for {prediction.predicted}, by Grad-CAM")
    if trained.reference is None:
        print("This run is of an older version: it cannot tell images that are unlike those it learned from.")
    if patients := trained.recipe.data_set.kind(trained.recipe.data).patients:
        print(f"Not for diagnosis: a teaching model of {patients}; see model_card.md in the run folder.")
    raise SystemExit(1 if failed else 0)


def print_scores(scores: dict[str, Any]) -> None:
    """A report as a table: each score with its 95% interval, the fraction of unlike images, the confusion matrix."""
    print(f"{scores['data']}, {scores['split']}: {scores['n']} images")
    for name in ("auc", "balanced_accuracy", "accuracy", "sensitivity", "specificity", "ece", "threshold", "unlike"):
        if scores.get(name) is not None:
            low, high = scores["ci95"].get(name, (None, None))
            print(f"  {name:18} {scores[name]:.3f}" + (f"   [{low:.3f}, {high:.3f}]" if low is not None else ""))
    for name, row in zip(scores["classes"], scores["confusion"], strict=True):
        print(f"  true {name:13} {' '.join(f'{count:5}' for count in row)}")
