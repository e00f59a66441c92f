"""The model card of a run: what was trained on what, how well it did, and what it may not be used for."""

from typing import Any

LIMITS = {
    ("pneumonia", "real"): (
        "Not for diagnosis. The X-rays are of children aged one to five, from one hospital in Guangzhou; nothing shows "
        "that the scores hold for adults, other hospitals or other machines. The published test folder is drawn "
        "differently from the training folder, and validation images are cut from training: a validation score says "
        "little about the test score, and neither says much about a clinic."
    ),
    ("pneumonia", "simulated"): (
        "Not for diagnosis. Trained on simulated radiographs: the scores show that the method works, and nothing about "
        "patients. On real X-rays the network says nothing of meaning."
    ),
    ("cifar10", "real"): (
        "Photographs of 32 pixels in ten classes. An image of anything else is called one of the ten all the same, "
        "often with a high probability."
    ),
    ("cifar10", "simulated"): (
        "Trained on computed pictures of simple objects: the scores show that the method works. They say nothing about "
        "CIFAR-10, and the network says nothing of meaning on photographs."
    ),
    ("folder", "real"): (
        "The scores hold for images that come about as these did. Whether images of one person or one place lie in "
        "training and test alike was not looked at, and an image of anything else is called one of the classes too."
    ),
}


def model_card(config: dict[str, Any], evaluations: dict[str, dict[str, Any]]) -> str:
    """The card as Markdown.

    Args:
        config: what config.json of a finished run holds.
        evaluations: reports by a name such as "chest X-rays, test".
    """
    recipe, training = config["recipe"], config["training"]
    arguments = ", ".join(f"{name}={value!r}" for name, value in recipe["network_arguments"].items())
    splits = "\n".join(
        f"| {split} | {sum(counts.values())} | {', '.join(f'{n} {name}' for name, n in counts.items())} |"
        for split, counts in config["counts"].items()
    )
    scores = "\n".join(
        _scores(name, found)
        for name, found in {f"{config['data']['name']}, val": config["validation"], **evaluations}.items()
    )
    decision = (
        "the most probable class"
        if config["threshold"] is None
        else f"{config['classes'][1]} from probability {config['threshold']:.3f} on, chosen on validation by the "
        f"criterion {recipe['criterion']!r}"
    )
    versions = ", ".join(f"{name} {number}" for name, number in config["versions"].items())
    return f"""# Model card: {recipe["task"]}

{LIMITS[recipe["task"], recipe["data"]]}

## Data

{config["data"]["name"]} at {recipe["image_size"]}x{recipe["image_size"]} pixels. {config["data"]["licence"]}.

| split | images | classes |
| --- | --- | --- |
{splits}

## Network and training

{recipe["network"]}({arguments}), seed {recipe["seed"]}, {training["epochs"]} epochs, batches of {recipe["batch_size"]},
{recipe["optimizer_name"]}. Training took {training["seconds"]:.0f} s on {training["device"]} in
{training["precision"]}, by {training.get("processes", 1)} x {training["threads"]} threads. Made with {versions}.

## Scores

Called is {decision}. Logits are divided by the temperature {config["temperature"]:.2f}, fitted on
validation; ECE is the expected calibration error that is left. Brackets hold 95% intervals.

| images | n | AUC | balanced accuracy | accuracy | sensitivity | specificity | ECE |
| --- | --- | --- | --- | --- | --- | --- | --- |
{scores}

![Loss and validation score after each epoch](curves.png)
"""


def _scores(name: str, found: dict[str, Any]) -> str:
    def with_interval(score: str) -> str:
        if score not in found:
            return "-"
        low, high = found["ci95"].get(score, (None, None))
        return f"{found[score]:.3f}" + (f" [{low:.3f}, {high:.3f}]" if low is not None else "")

    names = ("auc", "balanced_accuracy", "accuracy", "sensitivity", "specificity", "ece")
    return f"| {name} | {found['n']} | {' | '.join(map(with_interval, names))} |"
