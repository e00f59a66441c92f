"""The model card of a run: what was trained on what, how well it did, and what it may not be used for."""

from typing import Any

from course_lib.flops import describe_arithmetic, in_units
from course_lib.metrics import SENSITIVITY_TARGET
from course_lib.runs.card_scores import scores_section, table
from course_lib.runs.recipe import Recipe

CRITERIA = {  # of metrics.choose_threshold, in words; {positive} is the name of class 1
    "youden": (
        "the threshold with the largest sum of sensitivity and specificity (Youden's index), so that a missed image "
        "of either class weighs the same within its class"
    ),
    "sensitivity": (
        f"the highest threshold at which at least {SENSITIVITY_TARGET:.0%} of the validation images of {{positive}} "
        "are found; what specificity remains is the price"
    ),
}
STANDARDIZED = {  # what a network does with values in 0..1 before its first convolution
    "CompactCNN": "The network then gives each image a mean of 0 and a standard deviation of 1, so brightness and "
    "contrast do not matter.",
    "FastCNN": "The network then maps 0..1 to -2..2.",
    "SimpleCNN": "The network then maps 0..1 to -1..1.",
    "transfer_model": "The network then resizes the image to the size that its backbone works at, and standardizes it "
    "by the mean and standard deviation of the backbone's own training images.",
}


def model_card(config: dict[str, Any], evaluations: dict[str, dict[str, Any]]) -> str:
    """The card as Markdown.

    Args:
        config: what config.json of a finished run holds.
        evaluations: reports by a name such as "chest X-rays, test".
    """
    recipe = Recipe(**config["recipe"])
    sets = {f"{config['data']['name']}, val": config["validation"], **evaluations}
    rows = [
        [split, str(sum(counts.values())), ", ".join(f"{count} {name}" for name, count in counts.items())]
        for split, counts in config["counts"].items()
    ]
    return f"""# Model card: {recipe.task}

{recipe.data_set.kind(recipe.data).limits}

## How well it predicts

{_decision(config, recipe)}

{scores_section(config["classes"], sets)}

## Images of another kind

{_unlike(config, evaluations)}

## Data

{config["data"]["name"]}. {config["data"]["license"]}. Validation images chose threshold and temperature; the network
learned from the training images alone.

{table(["split", "images", "classes"], rows)}

{_preprocessing(recipe)}

## Network and training

{_training(config, recipe)}

{_repeat(config, recipe)}

![Loss and validation score after each epoch](curves.png)
"""


def _decision(config: dict[str, Any], recipe: Recipe) -> str:
    if config["threshold"] is None:
        rule = "The most probable class is predicted."
    else:
        negative, positive = config["classes"]
        aim = CRITERIA.get(recipe.criterion, "").format(positive=positive)
        rule = (
            f"{positive} is predicted where its probability is {config['threshold']:.3f} or more, otherwise "
            f"{negative}. The criterion {recipe.criterion!r} chose this threshold on validation: {aim}."
        )
    fitted = (
        f"plus {config['bias']:.2f} for {config['classes'][1]}; both were fitted on validation images that were "
        "changed at random as in training, since images of another clinic or year differ too."
        if recipe.calibrate_shifted
        else "which was fitted on validation."
    )
    return (
        f"{rule} Probabilities are the softmax of the network's logits divided by a temperature, "
        f"{config['temperature']:.2f}, {fitted}"
    )


def _unlike(config: dict[str, Any], evaluations: dict[str, dict[str, Any]]) -> str:
    if "unlike" not in config:
        return "This run is of an older version: it cannot tell images that are unlike those it learned from."
    count, n = config["unlike"]["val"], config["validation"]["n"]
    measured = "".join(
        f"; of {name}, {scores['unlike']:.1%} of {scores['n']}"
        for name, scores in evaluations.items()
        if scores.get("unlike") is not None
    )
    return (
        "`course predict` says so where an image is unlike those that the network learned from: in color where they "
        "were gray, of less contrast than any of them, or farther from them, in the network's own features, than a "
        f"limit that at most {config['unlike']['share']:.0%} of the validation images exceed. It says so of {count} of "
        f"{n} validation images{measured}. An image without this notice may still be of a kind that the network has "
        "never seen."
    )


def _preprocessing(recipe: Recipe) -> str:
    mode = "gray" if recipe.channels == 1 else "color"
    size = recipe.stored_size
    return (
        f"Each file is read in {mode}, with 8 bits per channel, squeezed to {size}x{size} pixels (nothing is cropped, "
        f"the aspect ratio is lost) and scaled to 0..1. {STANDARDIZED.get(recipe.network, '')}".strip()
    )


def _training(config: dict[str, Any], recipe: Recipe) -> str:
    training = config["training"]
    arguments = ", ".join(f"{name}={value!r}" for name, value in recipe.network_arguments.items())
    parameters = f", {training['parameters']:,} parameters" if "parameters" in training else ""
    versions = ", ".join(f"{name} {number}" for name, number in config["versions"].items())
    commit = f" (commit {training['commit']})" if training.get("commit") else ""
    processes = training.get("processes", 1)
    by = f"processes: {processes}, threads in each: {training['threads']}"
    rows = [
        ["network", f"{recipe.network}({arguments}){parameters}"],
        [
            "optimizer",
            f"{recipe.optimizer_name}, peak learning rate {recipe.learning_rate:g}, "
            f"weight decay {recipe.weight_decay:g}, label smoothing {recipe.label_smoothing:g}",
        ],
        ["epochs, batch size, seed", f"{training['epochs']}, {recipe.batch_size}, {recipe.seed}"],
        ["training time", f"{training['seconds']:.0f} s on {training['device']} in {training['precision']}; {by}"],
        ["made with", versions + commit],
    ]
    if spent := arithmetic(training):
        peak = f"{in_units(training['peak_flops'])} a second in {training['precision']}"
        rows.insert(-1, ["arithmetic", f"{spent} ({peak}); of the training steps alone, without validation"])
    return table(["what", "value"], rows)


def arithmetic(training: dict[str, Any]) -> str:
    """What config.json says that the training spent, in words; empty where it was not counted (older versions)."""
    if "flops" not in training:
        return ""
    return describe_arithmetic(training["flops"], training["train_seconds"], training["peak_flops"])


def _repeat(config: dict[str, Any], recipe: Recipe) -> str:
    line, changed = recipe.command_line()
    also = f" What no option gives, and config.json holds: {', '.join(changed)}." if changed else ""
    where = " FOLDER is the one that holds the images." if "FOLDER" in line else ""
    return f"To repeat the training:\n\n    {line}\n\n{where.strip()}{also}".rstrip()
