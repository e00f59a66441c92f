"""What a network sees, which pixels speak for its answer, and whether such a map tells the truth.

Tensors in, tensors out; `plots` draws them. Every function leaves the network as it was.
"""

from course_lib.explain.attribution import grad_cam, integrated_gradients, occlusion, saliency
from course_lib.explain.counterfactual import LogOdds, activation_times_gradient, effect, gradient_times_change, inside
from course_lib.explain.faithfulness import (
    deletion_curve,
    energy_inside,
    insertion_curve,
    pointing_hits,
    randomize,
    rank_correlation,
)
from course_lib.explain.features import feature_maps, feature_visualization, filters, top_patches

__all__ = [
    "LogOdds",
    "activation_times_gradient",
    "deletion_curve",
    "effect",
    "energy_inside",
    "feature_maps",
    "feature_visualization",
    "filters",
    "grad_cam",
    "gradient_times_change",
    "insertion_curve",
    "inside",
    "integrated_gradients",
    "occlusion",
    "pointing_hits",
    "randomize",
    "rank_correlation",
    "saliency",
    "top_patches",
]
