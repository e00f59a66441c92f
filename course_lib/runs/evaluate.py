"""Scores of a trained run on a split, and its predictions for single images."""

import copy
import json
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from matplotlib.figure import Figure
from torch import Tensor, nn

from course_lib.data import Batches, ImageSet
from course_lib.data.decode import read_image
from course_lib.explain import grad_cam
from course_lib.files import as_path, write_text
from course_lib.options import Source, Split, check_source
from course_lib.plots import plot_overlay
from course_lib.runs.folder import TrainedRun, load_run, read_config, write_json
from course_lib.runs.model_card import model_card
from course_lib.runs.train import report
from course_lib.runs.unlike import SHARE, is_colored, recording_features
from course_lib.training import evaluate


def evaluate_run(
    run: str | Path, *, data: Source | None = None, root: str | Path | None = None, split: Split = "test"
) -> dict[str, Any]:
    """Score the network of a run folder on a split, in float32, at the threshold that validation chose.

    Only that split is read: `split="test"` needs no training images. The scores are also noted in the run folder
    (evaluations.json) and on its model card, where these can be written.

    Args:
        run: the run folder.
        data: where the images come from; default, as the run was trained.
        root: the folder that holds real ones; default, where the run found them.
        split: "test", "val" or "train".

    Returns:
        task, data, split, n, classes, confusion, accuracy, balanced_accuracy, auc, sensitivity, specificity, threshold,
        ece, ci95 with an interval for each rate, mean_predicted and fraction_positive (see `report`), and unlike, the
        share of images that are unlike those of the training; None where the run cannot tell.

    Raises:
        FileNotFoundError, ValueError: not a trained run, images of other classes than it was trained on, or simulated
            images of a data set that has none.
    """
    run = as_path(run, "run")
    trained = load_run(run)
    recipe = trained.recipe
    check_source(data, None, recipe.data_set)
    if root or data:
        kept = None if data == "simulated" else recipe.root
        recipe = replace(recipe, data=data, root=str(root) if root else kept)
    splits = recipe.splits()
    images: ImageSet = getattr(splits, split)
    if images.classes != trained.classes:
        raise ValueError(
            f"{run}: trained on the classes {', '.join(trained.classes)}, but the images are of "
            f"{', '.join(images.classes)}; name the class folders as in training."
        )
    device = next(trained.model.parameters()).device
    with recording_features(trained.model) as features:
        predictions = evaluate(trained.model, Batches(images, trained.recipe.evaluation_batch_size, device=device))
    unlike = None
    if trained.reference is not None:
        unlike = trained.reference.is_unlike(torch.cat(features), images.images)
    scores = {
        "task": recipe.task,
        "data": images.name,
        "split": split,
        "classes": list(images.classes),
        **report(trained.probs(predictions.logits), predictions.labels, trained.threshold),
        "unlike": None if unlike is None else float(unlike.double().mean()),
    }
    try:
        _note(run, scores, location=f" in {splits.path}" if root else "")
    except (OSError, ValueError, TypeError, KeyError) as error:
        print(f"The scores are not noted in the run folder: {error}", file=sys.stderr)
    return scores


def _note(run: Path, scores: dict[str, Any], *, location: str) -> None:
    path = run / "evaluations.json"
    evaluations = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    evaluations[f"{scores['data']}{location}, {scores['split']}"] = scores
    card = model_card(read_config(run), evaluations)
    write_json(path, evaluations)
    write_text(run / "model_card.md", card)


@dataclass(frozen=True)
class Prediction:
    """What a network predicts for one image.

    Attributes:
        path: of the image.
        predicted: the name of the class.
        prob: the calibrated probability of `prob_of`.
        prob_of: the predicted class where there are many classes, class 1 where there are two.
        threshold: from this probability on class 1 is predicted; None with more than two classes.
        notice: in words, how the image is unlike those that the network learned from; empty where it is not, or where
            the run cannot tell (`TrainedRun.reference` is None).
    """

    path: Path
    predicted: str
    prob: float
    prob_of: str
    threshold: float | None
    notice: str


def predict(trained: TrainedRun, path: str | Path) -> Prediction:
    """What the network of a run predicts for an image file of any size and mode.

    Raises:
        FileNotFoundError, ValueError: the file is absent or not an image.
    """
    path = as_path(path)
    image = _image(trained, path)
    with torch.no_grad(), recording_features(trained.model) as features:
        probs = trained.probs(trained.model(image).cpu())[0]
    notice = _notice(trained, path, image, features[0])
    if trained.threshold is None:
        best = int(probs.argmax())
        return Prediction(path, trained.classes[best], float(probs[best]), trained.classes[best], None, notice)
    label = int(probs[1] >= trained.threshold)
    return Prediction(path, trained.classes[label], float(probs[1]), trained.classes[1], trained.threshold, notice)


def _notice(trained: TrainedRun, path: Path, image: Tensor, features: Tensor) -> str:
    reference, reasons = trained.reference, []
    if reference is None:
        return ""
    if reference.gray:
        colors, _ = read_image(path, image_size=trained.recipe.stored_size, channels=3)
        if is_colored(colors):
            reasons.append("it is in color, and those were gray")
    if bool(reference.is_far(features)):
        reasons.append(f"it lies farther from them than {1 - SHARE:.0%} of the validation images")
    if bool(reference.is_plain((255 * image).round().byte().cpu())):
        reasons.append("it has less contrast than any of them")
    return f"unlike the images that the network learned from: {' and '.join(reasons)}" if reasons else ""


def draw_explanation(trained: TrainedRun, prediction: Prediction) -> Figure:
    """An image as the network sees it, and over it what Grad-CAM finds to speak for the predicted class.

    Raises:
        ValueError: from `grad_cam`.
    """
    model = copy.copy(trained.model)
    if getattr(model, "flip_tta", False):
        model.flip_tta = False  # type: ignore[assignment]  # one look at the image: a map of two would be of neither
    image = _image(trained, prediction.path)
    layer: nn.Module = model.target_layer  # type: ignore[assignment]  # each network of the course names them
    predicted = prediction.predicted
    heat = grad_cam(model, image, trained.classes.index(predicted), layer=layer)
    rule = "" if prediction.threshold is None else f" (threshold {prediction.threshold:.3f})"
    title = f"{prediction.path.name}: {predicted}, probability of {prediction.prob_of} {prediction.prob:.3f}{rule}\n"
    if prediction.notice:
        title += "unlike the images that the network learned from: the answer may mean nothing\n"
    title += f"{trained.recipe.backbone or trained.recipe.network}, trained on {trained.recipe.data} images"
    if trained.recipe.data_set.kind(trained.recipe.data).patients:
        title += "; not for diagnosis"
    return plot_overlay(image[0], heat[0], title=title, label=f"Grad-CAM for {predicted}, of its peak")


def _image(trained: TrainedRun, path: Path) -> Tensor:
    """The image of a file, (1, C, S, S) in 0..1, on the network's device."""
    recipe = trained.recipe
    image, _ = read_image(path, image_size=recipe.stored_size, channels=recipe.channels)
    return image[None].to(next(trained.model.parameters()).device).float() / 255
