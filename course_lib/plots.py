"""Arrays in, a matplotlib `Figure` out. Nothing here computes a score or touches a network.

Every function builds its figure without `pyplot`, so that it is shown once in a notebook (as the cell's value) and
never leaks. Colours come from scales that colour-blind readers can tell apart.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from torch import Tensor

BLUE, ORANGE, GREY = "#0072B2", "#D55E00", "#666666"  # of Okabe and Ito's palette


def _picture(image: Tensor) -> tuple[np.ndarray, dict[str, Any]]:
    """(C, H, W) as imshow wants it; bytes are shown in 0..255, floats in 0..1."""
    array = image.detach().cpu().numpy()
    top = 255 if array.dtype == np.uint8 else 1
    if array.shape[0] == 3:
        return np.moveaxis(array, 0, -1).clip(0, top), {}
    return array[0], {"cmap": "gray", "vmin": 0, "vmax": top}


def _grid(count: int, columns: int, *, side: float, captions: bool) -> tuple[Figure, list[Any]]:
    rows = -(-count // columns)
    figure = Figure(figsize=(columns * side, rows * (side + 0.3 * captions)), layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False).ravel().tolist()
    for axis in axes:
        axis.set_axis_off()
    return figure, axes


def plot_images(
    images: Tensor, captions: Sequence[str] = (), *, columns: int = 6, masks: Tensor | None = None
) -> Figure:
    """A sheet of images.

    Args:
        images: uint8 or float in 0..1, (N, C, H, W) with one or three channels.
        captions: one an image, or none.
        masks: bool (N, 1, H, W), outlined in orange.
    """
    figure, axes = _grid(len(images), min(columns, len(images)), side=1.6, captions=bool(captions))
    for index, image in enumerate(images):
        picture, style = _picture(image)
        axes[index].imshow(picture, **style)
        if captions:
            axes[index].set_title(captions[index], fontsize=8)
        if masks is not None and bool(masks[index].any()):
            axes[index].contour(masks[index, 0].cpu().numpy(), levels=[0.5], colors=[ORANGE], linewidths=0.8)
    return figure


def plot_maps(maps: Tensor, captions: Sequence[str] = (), *, columns: int = 8) -> Figure:
    """Feature maps or kernels, (N, H, W), on one scale around zero: orange positive, purple negative."""
    figure, axes = _grid(len(maps), min(columns, len(maps)), side=1.3, captions=bool(captions))
    limit = max(float(maps.abs().max()), 1e-12)
    for index, values in enumerate(maps.detach().cpu().numpy()):
        drawn = axes[index].imshow(values, cmap="PuOr_r", vmin=-limit, vmax=limit)
        if captions:
            axes[index].set_title(captions[index], fontsize=8)
    figure.colorbar(drawn, ax=axes, shrink=0.7)
    return figure


def plot_overlay(image: Tensor, heat: Tensor, *, title: str = "", label: str = "evidence") -> Figure:
    """An image beside itself with a heat map laid over it.

    Args:
        image: (C, H, W), uint8 or float in 0..1.
        heat: float (H, W), not negative; shown relative to its maximum.
        title: what is explained, such as the class and its probability.
        label: what the scale measures.
    """
    figure = Figure(figsize=(7, 3.4), layout="constrained")
    plain, overlaid = figure.subplots(1, 2)
    picture, style = _picture(image)
    relative = (heat / heat.max().clamp(min=1e-12)).detach().cpu().numpy()
    for axis in (plain, overlaid):
        axis.imshow(picture, **style)
        axis.set_axis_off()
    drawn = overlaid.imshow(relative, cmap="cividis", vmin=0, vmax=1, alpha=0.2 + 0.5 * relative)
    figure.colorbar(drawn, ax=overlaid, shrink=0.8, label=label)
    figure.suptitle(title, fontsize=10)
    return figure


def plot_history(history: Mapping[str, Sequence[float]]) -> Figure:
    """Loss and validation score, epoch by epoch.

    Args:
        history: equally long columns; draws "train_loss" and "val_loss" on the left and "val_auc" or, without it,
            "val_accuracy" on the right.
    """
    figure = Figure(figsize=(8, 3), layout="constrained")
    left, right = figure.subplots(1, 2)
    epochs = range(1, len(history["train_loss"]) + 1)
    score = "val_auc" if "val_auc" in history else "val_accuracy"
    left.plot(epochs, history["train_loss"], color=BLUE, marker="o", markersize=3, label="training")
    left.plot(epochs, history["val_loss"], color=ORANGE, marker="s", markersize=3, label="validation")
    left.set(xlabel="epoch", ylabel="loss (nats)")
    left.legend()
    right.plot(epochs, history[score], color=ORANGE, marker="s", markersize=3)
    right.set(xlabel="epoch", ylabel=score.replace("val_", "validation ").replace("auc", "AUC"))
    return figure


def plot_confusion(matrix: Tensor | Sequence[Sequence[int]], classes: Sequence[str]) -> Figure:
    """A confusion matrix: true classes in rows, called classes in columns; colour is the share of the row."""
    counts = np.asarray(matrix)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    figure = Figure(figsize=(1.8 + 0.75 * len(classes), 1.4 + 0.65 * len(classes)), layout="constrained")
    axis = figure.subplots()
    drawn = axis.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    for (row, column), count in np.ndenumerate(counts):
        axis.text(
            column, row, str(count), ha="center", va="center", color="white" if shares[row, column] > 0.5 else "k"
        )
    axis.set_xticks(range(len(classes)), classes, rotation=30, ha="right")
    axis.set_yticks(range(len(classes)), classes)
    axis.set(xlabel="called", ylabel="true")
    figure.colorbar(drawn, ax=axis, shrink=0.8, label="share of the true class")
    return figure


def plot_roc(probs: Tensor, labels: Tensor, *, threshold: float | None = None) -> Figure:
    """The ROC curve of probabilities (N,) of class 1; the point in use is marked when `threshold` is given."""
    order = probs.argsort(descending=True)
    ranked, scores = labels[order].double(), probs[order]
    last = np.flatnonzero(np.append(np.diff(scores.numpy()) != 0, True))  # equal scores move the curve in one step
    hits = np.append(0, (ranked.cumsum(0) / ranked.sum()).numpy()[last])
    alarms = np.append(0, ((1 - ranked).cumsum(0) / (1 - ranked).sum()).numpy()[last])
    figure = Figure(figsize=(3.6, 3.4), layout="constrained")
    axis = figure.subplots()
    axis.plot([0, 1], [0, 1], color=GREY, linestyle=":", label="chance")
    axis.plot(alarms, hits, color=BLUE)
    if threshold is not None:
        called = probs >= threshold
        point = (float(called[labels == 0].double().mean()), float(called[labels == 1].double().mean()))
        axis.plot(*point, "o", color=ORANGE, label=f"threshold {threshold:.2f}")
    axis.set(xlabel="1 - specificity (false alarms)", ylabel="sensitivity (found)", aspect="equal")
    axis.legend(loc="lower right")
    return figure


def plot_reliability(promised: Tensor, observed: Tensor, counts: Tensor) -> Figure:
    """What `metrics.reliability` returns: on the diagonal, probabilities keep their promise. Dots grow with counts."""
    figure = Figure(figsize=(3.6, 3.4), layout="constrained")
    axis = figure.subplots()
    axis.plot([0, 1], [0, 1], color=GREY, linestyle=":", label="calibrated")
    filled = (counts > 0).numpy()
    area = 20 + 180 * (counts / counts.max()).numpy()
    axis.plot(promised.numpy()[filled], observed.numpy()[filled], color=BLUE)
    axis.scatter(promised.numpy()[filled], observed.numpy()[filled], s=area[filled], color=BLUE, alpha=0.6)
    axis.set(xlabel="mean predicted probability", ylabel="share of class 1", aspect="equal")
    axis.legend(loc="upper left")
    return figure
