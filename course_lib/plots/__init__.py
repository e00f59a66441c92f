"""Arrays in, a matplotlib `Figure` out. Nothing here computes a score or touches a network.

Every function builds its figure without `pyplot`, so that nothing is shown twice and nothing leaks; `show` puts a
figure on a notebook's page, with its texts from `texts/lesson_N.toml`. Colors come from scales that color-blind
readers can tell apart.
"""

from course_lib.plots.colors import BLUE, GRAY, ORANGE
from course_lib.plots.curves import (
    plot_confusion,
    plot_curve_panels,
    plot_curves,
    plot_history,
    plot_reliability,
    plot_roc,
    plot_seeds,
)
from course_lib.plots.diagrams import plot_shares, plot_walks
from course_lib.plots.images import encode, plot_heat_maps, plot_images, plot_maps, plot_overlay, plot_panels
from course_lib.plots.shown import publish, publish_caption, show

__all__ = [
    "BLUE",
    "GRAY",
    "ORANGE",
    "encode",
    "plot_confusion",
    "plot_curve_panels",
    "plot_curves",
    "plot_heat_maps",
    "plot_history",
    "plot_images",
    "plot_maps",
    "plot_overlay",
    "plot_panels",
    "plot_reliability",
    "plot_roc",
    "plot_seeds",
    "plot_shares",
    "plot_walks",
    "publish",
    "publish_caption",
    "show",
]
