"""What a network sees, which pixels speak for its answer, and whether such a map tells the truth.

Tensors in, tensors out; `plots` draws them. Every function leaves the network as it was.
"""

from course_lib.explain.attribution import grad_cam, integrated_gradients, occlusion, saliency
from course_lib.explain.faithfulness import deletion_curve, energy_inside, insertion_curve, pointing_hits, randomize
from course_lib.explain.features import feature_maps, feature_visualization, filters, top_patches

__all__ = [
    "deletion_curve",
    "energy_inside",
    "feature_maps",
    "feature_visualization",
    "filters",
    "grad_cam",
    "insertion_curve",
    "integrated_gradients",
    "occlusion",
    "pointing_hits",
    "randomize",
    "saliency",
    "top_patches",
]
