"""Hidden checks of lesson 4, CIFAR-10."""

import copy
import inspect
from collections import Counter
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from course_lib.classroom.hidden import hidden
from course_lib.exercises.draw import Draw
from course_lib.exercises.legacy import agrees
from course_lib.models import SimpleCNN


@hidden(
    "04.1",
    inputs="2, 5 and 9 classes, and one more that no image is of",
)
def class_accuracy(answer: Callable[[Tensor, Tensor], Tensor], draw: Draw) -> object:
    inputs = [(draw.normal(40, classes + 1), draw.labels(40, classes)) for classes in (2, 5, 9)]
    return [torch.as_tensor(answer(logits, labels)) for logits, labels in inputs]


def _is_the_network(observed: Any, wanted: Any, draw: Draw) -> str:
    """Whether what reaches the first layer are the images, centered or not, and the logits are right for it."""
    given, logits, statistics, parameters = observed
    images, model = draw.normal(4, 3, 32, 32), draw.filled(SimpleCNN(batch_norm=True)).eval()
    for channel in range(3):
        ours, theirs = images[:, channel].flatten().double(), given[:, channel].flatten()
        if torch.stack([ours, theirs]).corrcoef()[0, 1] < 0.9999:
            return "what reaches the first layer: it should be the images, centered or not"
    with torch.no_grad():
        model.features[0].register_forward_pre_hook(lambda *_: given.float())
        right = model(images)
        model.train()(images)
    count = sum(parameter.numel() for parameter in model.parameters())
    if not agrees(parameters, count, tolerance=0):
        return "the number of parameters"
    if not agrees(logits, right, tolerance=1e-3):
        return "the logits in evaluation"
    return "" if agrees(statistics, _statistics(model), tolerance=1e-3) else "the running statistics after training"


def _statistics(model: nn.Module) -> list[Tensor]:
    norms = [module for module in model.modules() if isinstance(module, nn.BatchNorm2d)]
    norms.sort(key=lambda norm: norm.num_features)
    return [buffer for norm in norms for buffer in (norm.running_mean, norm.running_var) if buffer is not None]


@hidden(
    "04.2",
    _is_the_network,
    inputs="drawn images and weights",
)
def network_with_batch_norm(answer: Callable[[], nn.Module], draw: Draw) -> object:
    images, model, given = draw.normal(4, 3, 32, 32), draw.filled(answer()).eval(), []
    first = min((m for m in model.modules() if isinstance(m, nn.Conv2d)), key=lambda conv: conv.out_channels)
    hook = first.register_forward_pre_hook(lambda _, inputs: given.append(inputs[0]))
    logits = model(images)
    hook.remove()
    model.train()(images)
    return given[0], logits, _statistics(model), sum(parameter.numel() for parameter in model.parameters())


def _is_shifted(observed: Any, wanted: Any, draw: Draw) -> str:
    """Whether each image is one of the shifts, mirrored or not, and these are about equally common."""
    for shift, found in zip((wanted[0], 2), observed[1:], strict=True):
        images = draw.uniform(150, 2, 9, 11)
        if found.shape != images.shape:
            return "the shape"
        padded = F.pad(images, [shift] * 4, mode="reflect")
        windows = padded.unfold(2, 9, 1).unfold(3, 11, 1).flatten(2, 3).movedim(2, 1)  # (150, shifts, 2, 9, 11)
        either = torch.cat([windows, windows.flip(-1)], dim=1)
        which = (either - found[:, None]).abs().flatten(2).amax(dim=2)
        if which.amin(dim=1).max() > 1e-5:
            return "an image that is none of the shifted ones, mirrored or not"
        places = which.argmin(dim=1)
        mirrored, moves = places >= windows.shape[1], places % windows.shape[1]
        rows, columns = moves // (2 * shift + 1), moves % (2 * shift + 1)
        if not 45 < int(mirrored.sum()) < 105:
            return "how many are mirrored"
        if min(len(rows.unique()), len(columns.unique())) < 2 * shift:
            return "how far they are shifted"
    return ""


@hidden(
    "04.3",
    _is_shifted,
    inputs="150 images that are not square, and two values of `shift`",
)
def shift_and_mirror(answer: Callable[..., Tensor], draw: Draw) -> object:
    batches = [draw.uniform(150, 2, 9, 11) for _ in range(2)]
    return [_default(answer, "shift"), answer(batches[0]), answer(batches[1], 2)]


@hidden(
    "04.4",
    inputs="a model with batch normalization, and three drawn decays",
    parts=("the mean", "the model, which should stay as it was"),
)
def update_average(answer: Callable[..., None], draw: Draw) -> object:
    model = draw.filled(nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4)))
    average = copy.deepcopy(model)
    decays = draw.uniform(3).tolist()
    for decay in decays:
        draw.filled(model)
        model.state_dict()["1.num_batches_tracked"].add_(3)
        answer(average, model, decay)
    return average.state_dict(), model.state_dict()


@hidden(
    "04.5",
    inputs="3, 4 and 6 pairs",
)
def compare_settings(answer: Callable[..., tuple[float, float, bool]], draw: Draw) -> object:
    inputs = []
    for count in 10 * (3, 4, 6):
        plain = draw.uniform(count)
        inputs.append((plain.tolist(), (plain + 0.1 * draw.normal(count) + 0.2 * draw.normal(1)).tolist()))
    return [tuple(answer(*drawn)) for drawn in inputs]


def _default(answer: Callable[..., Any], name: str) -> object:
    parameter = inspect.signature(answer).parameters.get(name)
    return parameter and parameter.default


def _photographs(draw: Draw) -> tuple[list[int], list[str]]:
    """400 photographs of 4 classes in some 150 scenes, a few of which show several classes."""
    labels, rooms = draw.labels(400, 4).tolist(), draw.whole(0, 29, 400).tolist()
    mixed = draw.uniform(400).tolist()
    groups = [0 if share < 0.1 else label + 1 for label, share in zip(labels, mixed, strict=True)]
    return labels, [f"scene {30 * group + room}" for group, room in zip(groups, rooms, strict=True)]


def _is_split(observed: Any, wanted: Any, draw: Draw) -> str:
    labels, scenes = _photographs(draw)
    fractions = (wanted[0], wanted[0], 0.3, 0.3, 0.4)
    for fraction, (train, val) in zip(fractions, observed[1:], strict=True):
        if sorted([*train, *val]) != list(range(len(labels))):
            return "a picture that is on both sides, or on neither"
        if {scenes[i] for i in train} & {scenes[i] for i in val}:
            return "a scene that is on both sides"
        total, held = Counter(labels), Counter(labels[i] for i in val)
        if any(abs(held[label] / total[label] - fraction) > 0.05 + 1e-9 for label in total):
            return "the fraction of a class in validation"
    if observed[1] != observed[2]:
        return "the same arguments, which give another split the second time"
    return "" if observed[3] != observed[4] else "another seed, which gives the same split"


@hidden(
    "04.6",
    _is_split,
    inputs="400 labels in some 150 scenes, and other fractions and seeds",
)
def split_by_scene(answer: Callable[..., Any], draw: Draw) -> object:
    labels, scenes = _photographs(draw)
    calls: tuple[tuple[float, ...], ...] = ((), (), (0.3, 7), (0.3, 8), (0.4,))
    splits = [[list(map(int, side)) for side in answer(list(labels), list(scenes), *call)] for call in calls]
    return [_default(answer, "val_fraction"), *splits]
