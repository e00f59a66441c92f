"""Drawings of what a network does: where a kernel stands, and what costs how much."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure

from course_lib.plots.colors import BLUE, GRAY, ORANGE


def plot_walks(walks: Mapping[str, Sequence[Sequence[int]]], *, size: int, paddings: Sequence[int]) -> Figure:
    """Where a kernel stands along one row of pixels, one panel a setting.

    Args:
        walks: for each caption, the pixels read at each place, counted from the first padded pixel.
        size: pixels of the row without padding.
        paddings: zeros added on either side, one number a setting.
    """
    figure = Figure(figsize=(9, 9 / len(walks)), layout="constrained")
    axes = figure.subplots(1, len(walks), squeeze=False)[0]
    for axis, (caption, positions), padding in zip(axes, walks.items(), paddings, strict=True):
        reads = np.zeros((len(positions), size + 2 * padding))
        for position, pixels in enumerate(positions):
            reads[position, list(pixels)] = 1
        axis.pcolormesh(reads, cmap="Blues", vmin=0, vmax=1.4, edgecolors=GRAY, linewidth=0.8)
        for zeros in (0, padding + size) if padding else ():
            axis.axvspan(zeros, zeros + padding, facecolor="none", hatch="///", edgecolor=ORANGE, linewidth=0)
        axis.set_xticks(np.arange(size + 2 * padding) + 0.5, range(-padding, size + padding), fontsize=8)
        axis.set_yticks(np.arange(len(positions)) + 0.5, range(len(positions)), fontsize=8)
        axis.set(aspect="equal", xlabel="input pixel", ylim=(len(positions), 0))
        axis.set_title(caption, fontsize=9)
    axes[0].set_ylabel("output pixel")
    return figure


def plot_shares(names: Sequence[str], counts: Mapping[str, Sequence[float]]) -> Figure:
    """Bars, one panel a quantity: which fraction of its total each name has, in percent.

    Raises:
        ValueError: more than three quantities.
    """
    colors = (ORANGE, BLUE, GRAY)
    if len(counts) > len(colors):
        raise ValueError(f"{len(counts)} quantities do not fit beside each other; draw {len(colors)} at most.")
    figure = Figure(figsize=(8, 0.9 + 0.3 * len(names)), layout="constrained")
    panels = figure.subplots(1, len(counts), sharey=True, squeeze=False)[0]
    for axis, (quantity, values), color in zip(panels, counts.items(), colors, strict=False):
        shares = [100 * value / sum(values) for value in values]
        axis.bar_label(axis.barh(list(names), shares, color=color), fmt="%.1f %%", padding=3, fontsize=9)
        axis.set(xlim=(0, 125), xticks=range(0, 101, 25), xlabel=f"fraction of all {quantity} (%)")
    panels[0].invert_yaxis()
    return figure
