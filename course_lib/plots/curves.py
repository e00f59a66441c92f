"""Figures of training and of scores."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from course_lib.plots.colors import BLUE, GRAY, GREEN, ORANGE, PURPLE

Curve = tuple[Sequence[float], Sequence[float]]
Curves = Mapping[str, Curve]
LOOKS = (
    (BLUE, "-", "o"),
    (ORANGE, "--", "s"),
    (GRAY, "-.", "^"),
    ("black", ":", "v"),
    (GREEN, "-", "D"),
    (PURPLE, "--", "P"),
)


def plot_curves(curves: Curves, *, xlabel: str, ylabel: str, log_x: bool = False, log_y: bool = False) -> Figure:
    """Up to six curves, x and y by name, told apart by color, line and marker; they need not be equally long.

    The names stand below the figure; that of a single curve is left out, as the axes say what it is.

    Raises:
        ValueError: more than six.
    """
    figure = Figure(figsize=(6, 3.4), layout="constrained")
    axis = figure.subplots()
    _draw_curves(axis, curves, {})
    axis.set(xlabel=xlabel, ylabel=ylabel)
    _scale(axis, curves, log_x=log_x, log_y=log_y)
    if len(curves) > 1:
        figure.legend(loc="outside lower center", ncols=3, fontsize=9)
    return figure


def plot_curve_panels(
    panels: Mapping[str, Curves],
    *,
    title: str,
    xlabel: str,
    ylabel: str,
    log_x: bool = False,
    ylim: Sequence[float] | None = None,
    ranges: Mapping[str, Mapping[str, Curve]] | None = None,
) -> Figure:
    """The same curves from several places, a panel for each, with one height and one legend.

    Args:
        panels: by its heading, what `plot_curves` takes; curves of one name look alike.
        title: of the figure.
        xlabel, ylabel: what both axes measure.
        log_x: whether the horizontal axis is logarithmic.
        ylim: lowest and highest value that the vertical axis shows, if not those of the curves.
        ranges: by panel and curve, the lowest and the highest value at each x, drawn as a band.

    Raises:
        ValueError: more than six names.
    """
    figure = Figure(figsize=(min(9.0, 1.5 + 4.5 * len(panels)), 3.9), layout="constrained")
    axes = figure.subplots(1, len(panels), sharey=True, squeeze=False)[0]
    names = list(dict.fromkeys(name for curves in panels.values() for name in curves))
    for axis, (heading, curves) in zip(axes, panels.items(), strict=True):
        of_all = {name: curves.get(name, ((), ())) for name in names}
        _draw_curves(axis, of_all, (ranges or {}).get(heading, {}))
        axis.set(xlabel=xlabel)
        axis.set_title(heading, fontsize=9)
        _scale(axis, curves, log_x=log_x, log_y=False)
    axes[0].set_ylabel(ylabel)
    if ylim:
        axes[0].set_ylim(*ylim)
    figure.suptitle(title, fontsize=10)
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=3, fontsize=9)
    return figure


def _draw_curves(axis: Axes, curves: Curves, ranges: Curves) -> None:
    if len(curves) > len(LOOKS):
        raise ValueError(f"{len(curves)} curves cannot be told apart in one picture; draw {len(LOOKS)} at most.")
    for (name, (x, y)), (color, line, marker) in zip(curves.items(), LOOKS, strict=False):
        sparse = max(1, len(x) // 20)  # so that the markers of a long curve do not hide its line
        axis.plot(x, y, color=color, linestyle=line, marker=marker, markersize=4, markevery=sparse, label=name)
        if name in ranges:
            axis.fill_between(x, *ranges[name], color=color, alpha=0.15, linewidth=0)


def _scale(axis: Axes, curves: Curves, *, log_x: bool, log_y: bool) -> None:
    axis.set(xscale="log" if log_x else "linear", yscale="log" if log_y else "linear")
    ticks = sorted({float(value) for x, _ in curves.values() for value in x})
    if log_x and len(ticks) <= 6:  # 40, 160, 640 instead of powers of ten
        axis.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
        axis.minorticks_off()
    if not log_x and all(float(value).is_integer() for x, _ in curves.values() for value in x):
        axis.locator_params(axis="x", integer=True)  # no epoch 1.2


def plot_seeds(scores: Mapping[str, Sequence[float]], *, xlabel: str) -> Figure:
    """A row of dots for each setting, one for each seed, joined by a line.

    Args:
        scores: by the name of the setting, one a seed.
        xlabel: what they measure.
    """
    figure = Figure(figsize=(6, 1 + 0.35 * len(scores)), layout="constrained")
    axis = figure.subplots()
    for row, values in enumerate(scores.values()):
        axis.plot(values, [row] * len(values), color=ORANGE, marker="o", markersize=5)
    axis.set(xlabel=xlabel, yticks=range(len(scores)), yticklabels=list(scores))
    axis.grid(axis="x", color=GRAY, alpha=0.3)
    axis.invert_yaxis()
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


def plot_confusion(matrix: Tensor | Sequence[Sequence[int]], classes: Sequence[str], *, title: str = "") -> Figure:
    """A confusion matrix: true classes in rows, predicted classes in columns; color is the fraction of the row."""
    counts = np.asarray(matrix)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    width = min(9, 1.8 + 0.75 * len(classes))
    figure = Figure(figsize=(width, 1.4 + 0.65 * len(classes)), layout="constrained")
    axis = figure.subplots()
    mappable = axis.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    for (row, column), count in np.ndenumerate(counts):
        axis.text(
            column, row, str(count), ha="center", va="center", color="white" if shares[row, column] > 0.5 else "k"
        )
    axis.set_xticks(range(len(classes)), classes, rotation=30, ha="right")
    axis.set_yticks(range(len(classes)), classes)
    axis.set(xlabel="predicted", ylabel="true")
    figure.suptitle(title, fontsize=10)
    figure.colorbar(mappable, ax=axis, shrink=0.8, label="fraction of the true class")
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
    axis.plot([0, 1], [0, 1], color=GRAY, linestyle=":", label="chance")
    axis.plot(alarms, hits, color=BLUE)
    if threshold is not None:
        predicted = probs >= threshold
        point = (float(predicted[labels == 0].double().mean()), float(predicted[labels == 1].double().mean()))
        axis.plot(*point, "o", color=ORANGE, label=f"threshold {threshold:.2f}")
    axis.set(xlabel="1 - specificity (false alarms)", ylabel="sensitivity (found)", aspect="equal")
    axis.legend(loc="lower right")
    return figure


def plot_reliability(
    diagrams: Mapping[str, tuple[Tensor, Tensor, Tensor]], *, ylabel: str = "fraction of positives"
) -> Figure:
    """Reliability diagrams beside each other: on the diagonal, probabilities keep their promise. Dots grow with counts.

    Args:
        diagrams: by the title of its panel, what `metrics.reliability` returns.
        ylabel: what is counted against the probabilities.
    """
    figure = Figure(figsize=(0.5 + 3.2 * len(diagrams), 3.6), layout="compressed")
    axes = figure.subplots(1, len(diagrams), sharey=True, squeeze=False)[0]
    for axis, (title, (predicted, positive, counts)) in zip(axes, diagrams.items(), strict=True):
        axis.plot([0, 1], [0, 1], color=GRAY, linestyle=":", label="calibrated")
        filled = (counts > 0).numpy()
        area = 20 + 180 * (counts / counts.max()).numpy()
        axis.plot(predicted.numpy()[filled], positive.numpy()[filled], color=BLUE)
        axis.scatter(predicted.numpy()[filled], positive.numpy()[filled], s=area[filled], color=BLUE, alpha=0.6)
        axis.set(xlabel="mean predicted probability", aspect="equal")
        axis.set_title(title, fontsize=10)
    axes[0].set_ylabel(ylabel)
    axes[0].legend(loc="upper left")
    return figure
