from collections.abc import Iterable

import torch
from torch import Tensor, nn

from course_lib.exercises.task import Task, Wrong, refuse, shown
from course_lib.exercises.watched import small_backbone
from course_lib.runtime import evaluation_mode


class Shuffling:
    """Pairs of images and labels in a new order each time; counts how often it is gone through."""

    def __init__(self, images, labels, sizes):
        self.images, self.labels, self.sizes, self.passes = images, labels, sizes, 0

    def __iter__(self):
        self.passes += 1
        order = torch.randperm(len(self.images), generator=torch.Generator().manual_seed(self.passes))
        return iter([(self.images[rows], self.labels[rows]) for rows in order.split(self.sizes)])


class FeaturesOf(Task):
    number, title, name, points = "05.5", "Features once", "features_of", 2
    statement = """
Pass all images through the backbone once, batch by batch, and keep the features, so that any number of heads can be
trained on them. `batches` gives pairs of images (n, channels, height, width) and labels (n,). It may shuffle again
each time it is gone through, so go through it once. The backbone gives maps; an image's feature is the mean of a map.
Ask in evaluation mode and without a graph. Afterwards each part of the backbone is in the mode in which it was, which
need not be the same for all, and gradients are switched on as before.
"""
    hints = (
        "One loop: in it, append a batch's features to one list and its labels to another; `torch.cat` at the end.",
        "`mean(dim=(2, 3))` is the mean over rows and columns; `torch.no_grad()` spares the graph.",
        "Before `eval()`, note `part.training` for each part in `backbone.modules()`.",
    )
    notice = (
        "These features stand for the images as they were: with augmentation, each look would need a pass of its own."
    )
    given = "batches of unequal sizes, and a backbone of which parts are in training"

    def inputs(self, draw):
        for sizes in ([4, 4, 3], [5, 1, 5], [draw.number(2, 4), 6]):
            backbone = small_backbone(draw).train()
            backbone[1].eval()  # as a frozen layer is
            count = sum(sizes)
            yield backbone, Shuffling(draw.uniform(count, 3, 8, 8), draw.whole(0, 3, count), sizes)

    def shown(self, backbone, batches):
        return f"{len(batches.images)} images"

    def use(self, answer, backbone, batches):
        modes, calls = [part.training for part in backbone.modules()], []
        averages = [buffer.clone() for buffer in backbone.buffers()]
        stem = backbone[0]  # the network itself might be asked by `backbone.forward`, past its hooks
        hook = stem.register_forward_hook(lambda part, inputs, _: calls.append((part.training, len(inputs[0]))))
        result = answer(backbone, batches)
        hook.remove()
        off = not torch.is_grad_enabled()
        parts = result if isinstance(result, tuple | list) else ()
        if len(parts) != 2 or not all(isinstance(part, Tensor) for part in parts):
            slip = "Return both, each joined by `torch.cat`."
            raise Wrong(f"features_of() gave {shown(result)}", "two tensors, features and labels", slip)
        awake, sizes = any(training for training, _ in calls), [size for _, size in calls]
        slip = "Batch norm would move, and dropout draw: call `eval()` first."
        refuse("asked in evaluation mode", (awake, "the backbone was asked in training mode", slip))
        slip = "Batches are shuffled again each time, so labels of a second pass belong to other images."
        refuse("one", (batches.passes != 1, f"{batches.passes} passes through the batches", slip))
        slip = "All at once may not fit into memory, and twice takes twice as long."
        other = sorted(sizes) != sorted(batches.sizes)
        refuse(f"calls with {batches.sizes}", (other, f"calls with {sizes} images", slip))
        after, slip = [part.training for part in backbone.modules()], "It was in training mode before: set that back."
        if any(after):
            slip = "`train()` wakes all parts, also one that was frozen: give each its own `training` back."
        refuse("each part in its old mode", (after != modes, "afterwards the modes had changed", slip))
        off = off or not all(parameter.requires_grad for parameter in backbone.parameters())
        slip = "Use `with torch.no_grad():`, which ends by itself, and leave `requires_grad` alone."
        refuse("switched on as before", (off, "afterwards gradients were switched off", slip))
        slip = "The graph keeps all maps of all batches in memory: ask inside `torch.no_grad()`."
        refuse("features without one", (result[0].requires_grad, "features that are still part of a graph", slip))
        statistics = [averages, list(backbone.buffers())]
        return {
            "the features of the images": result[0],
            "the labels of the images": result[1],
            "the running statistics": statistics,
        }


# Answers


# fmt: off
def features_of(
    backbone: nn.Module, batches: Iterable[tuple[Tensor, Tensor]]
) -> tuple[Tensor, Tensor]:
    """Batches of N images in all to features (N, maps) and labels (N,), in their order."""
    modes = {part: part.training for part in backbone.modules()}
    backbone.eval()
    features, labels = [], []
    with torch.no_grad():
        for images, batch_labels in batches:
            features.append(backbone(images).mean(dim=(2, 3)))
            labels.append(batch_labels)
    for part, training in modes.items():
        part.training = training
    return torch.cat(features), torch.cat(labels)
# fmt: on


def pooled_by_torch(backbone, batches):
    pool, pairs = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten()), list(batches)
    with evaluation_mode(backbone), torch.inference_mode():
        features = [pool(backbone(images)) for images, _ in pairs]
    return [torch.cat(features).clone(), torch.cat([labels for _, labels in pairs])]


MEAN, MODES, RESULT = ".mean(dim=(2, 3))", "part.training = training", "torch.cat(features), torch.cat(labels)"
slips = [
    ({MEAN: ""}, "Those are the maps: take the mean of each, over rows and columns."),
    ({MEAN: ".flatten(1)"}, "The maps were flattened: take the mean of each instead."),
    ({".mean(": ".amax("}, "That is the largest number of each map; the mean is asked for."),
    ({MEAN: ".mean(dim=1).flatten(1)"}, "The mean ran over the maps: it belongs over their rows and columns."),
    ({"(2, 3)": "(2, 3), keepdim=True"}, "Two axes of length 1 are left over: the shape is (N, maps)."),
    ({RESULT: "torch.cat(labels), torch.cat(features)"}, "The labels came first: return features, then labels."),
    ({RESULT: "torch.cat(features[:-1]), torch.cat(labels[:-1])"}, "The last batch is missing: it counts, too."),
    ({RESULT: "features[-1], labels[-1]"}, "That is the last batch alone: collect all of them in a list."),
]
also_wrong = [
    ({"    backbone.eval()\n": ""}, "asked in training mode"),
    ({MODES: "pass"}, "set that back"),
    ({MODES: "part.train()"}, "wakes all parts"),
    ({"no_grad": "enable_grad"}, "still part of a graph"),
    ({"with torch.no_grad():": "torch.set_grad_enabled(False)\n    if True:"}, "ends by itself"),
    ({"torch.cat(labels)": "torch.cat([labels for _, labels in batches])"}, "second pass belong"),
    ({"in batches": "in [tuple(map(torch.cat, zip(*batches)))]"}, "All at once"),
    ({", torch.cat(labels)": ""}, "Return both"),
]
also_right = [pooled_by_torch, {"backbone(images)": "backbone.forward(images)"}]
