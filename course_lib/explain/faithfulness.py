"""Does a map tell the truth? Against a mask that is known, against the network's own answer, against random weights."""

import copy

import torch
from scipy.stats import rankdata
from torch import Tensor, nn
from torch.nn import functional as F

from course_lib.runtime import evaluation_mode


def pointing_hits(heat: Tensor, masks: Tensor, *, tolerance: int = 0) -> Tensor:
    """The pointing game: whether the hottest pixel of each map lies in the image's mask, or close to it.

    Args:
        heat: (N, H, W).
        masks: bool (N, H, W) or (N, 1, H, W).
        tolerance: how many pixels off, across or down, still count; the authors of the game allow 15, in photographs
            of some 500.

    Returns:
        float (N,): 1 for a hit and 0 for a miss; the share of hits where several pixels are equally hot; 0 where all
        are.

    Raises:
        ValueError: heat and masks of different images.

    Source: Zhang et al. 2018, "Top-down neural attention by excitation backprop".

    >>> pointing_hits(torch.tensor([[[0.0, 2.0], [1.0, 0.0]]]), torch.tensor([[[False, True], [True, False]]]))
    tensor([1.])
    """
    _check_fit(heat, masks)
    near = F.max_pool2d(masks.view(len(heat), 1, *heat.shape[1:]).float(), 2 * tolerance + 1, 1, tolerance)
    flat = heat.flatten(start_dim=1)
    peak = flat.amax(dim=1, keepdim=True)
    hottest = (flat == peak) & (peak > flat.amin(dim=1, keepdim=True))
    return (near.flatten(start_dim=1) * hottest).sum(dim=1) / hottest.sum(dim=1).clamp(min=1)


def energy_inside(heat: Tensor, masks: Tensor) -> Tensor:
    """The share of each map's positive heat that lies in the image's mask, (N,); 0 where no heat is positive.

    >>> energy_inside(torch.tensor([[[1.0, 3.0], [0.0, -5.0]]]), torch.tensor([[[False, True], [True, True]]]))
    tensor([0.7500])
    """
    _check_fit(heat, masks)
    positive = heat.flatten(start_dim=1).clamp(min=0)
    return (positive * masks.flatten(start_dim=1)).sum(dim=1) / positive.sum(dim=1).clamp(min=1e-12)


def deletion_curve(
    model: nn.Module, images: Tensor, heat: Tensor, targets: Tensor, *, fill: Tensor, steps: int = 16
) -> Tensor:
    """The probability of a class as the hottest pixels go first; it falls fast if they are what the network used.

    Args:
        model: takes images, returns logits (N, num_classes).
        images: float (N, C, H, W).
        heat: (N, H, W).
        targets: int64 (N,), whose probability.
        fill: float (N, C, H, W), what replaces the pixels, such as the images blurred.
        steps: in which all pixels go, equally many in each.

    Returns:
        float (steps + 1, N), from the whole image to nothing of it.

    Raises:
        ValueError: heat of other images.

    Source: after Petsiuk, Das and Saenko 2018, "RISE: randomized input sampling for explanation of black-box models",
    who delete to a constant.
    """
    return _replace_step_by_step(model, images, fill, heat, targets, steps)


def insertion_curve(
    model: nn.Module, images: Tensor, heat: Tensor, targets: Tensor, *, fill: Tensor, steps: int = 16
) -> Tensor:
    """The probability of a class as the hottest pixels come first, from `fill` to the whole image.

    It rises fast if they are what the network needs. Arguments, shape and source as in `deletion_curve`.
    """
    return _replace_step_by_step(model, fill, images, heat, targets, steps)


def randomize(model: nn.Module, layers: int) -> nn.Module:
    """A copy of a network in which the last layers forgot what they learned: weights and statistics as before training.

    Args:
        model: the original, which stays as it is.
        layers: how many, counted from the output, of the layers that hold weights; they must be registered in the order
            in which they run.

    Raises:
        ValueError: the network has fewer, or weights that no `reset_parameters` covers.

    Source: Adebayo et al. 2018, "Sanity checks for saliency maps".
    """
    randomized = copy.deepcopy(model)
    modules = randomized.named_modules()
    with_weights = {name: module for name, module in modules if any(True for _ in module.parameters(recurse=False))}
    if fixed := [name for name, module in with_weights.items() if not hasattr(module, "reset_parameters")]:
        raise ValueError(f"layer {fixed[0] or type(model).__name__} cannot forget: it has no reset_parameters().")
    if not 0 <= layers <= len(with_weights):
        raise ValueError(f"{layers} layers cannot forget; the network has {len(with_weights)} with weights.")
    for module in list(with_weights.values())[len(with_weights) - layers :]:
        module.reset_parameters()  # type: ignore[operator]  # all have it
    return randomized


def rank_correlation(first: Tensor, second: Tensor) -> Tensor:
    """Spearman's correlation of two maps of each image, over their pixels, (N,); NaN where a map is the same all over.

    Args:
        first, second: (N, H, W).

    >>> rising, falling = torch.tensor([[[0.0, 1.0, 5.0]]]), torch.tensor([[[9.0, 8.0, 1.0]]])
    >>> rank_correlation(rising, falling).round(decimals=6).tolist()
    [-1.0]
    """
    _check_fit(first, second)
    ranks = [torch.from_numpy(rankdata(maps.flatten(start_dim=1).cpu(), axis=1)) for maps in (first, second)]
    left, right = (rank - rank.mean(dim=1, keepdim=True) for rank in ranks)
    return (left * right).sum(dim=1) / (left.norm(dim=1) * right.norm(dim=1))


def _replace_step_by_step(
    model: nn.Module, before: Tensor, after: Tensor, heat: Tensor, targets: Tensor, steps: int
) -> Tensor:
    _check_fit(heat, before[:, 0])
    order = heat.flatten(start_dim=1).argsort(dim=1, descending=True, stable=True)  # (N, H * W), the hottest first
    rank = order.argsort(dim=1).view(len(heat), 1, *heat.shape[1:])
    probs = []
    with evaluation_mode(model), torch.no_grad():
        for step in range(steps + 1):
            images = torch.where(rank < rank[0].numel() * step / steps, after, before)
            probs.append(model(images).float().softmax(dim=1).gather(1, targets[:, None]).squeeze(1))
    return torch.stack(probs)


def _check_fit(heat: Tensor, masks: Tensor) -> None:
    if heat.ndim != 3 or masks.numel() != heat.numel() or masks.shape[-2:] != heat.shape[-2:]:
        raise ValueError(
            f"heat {tuple(heat.shape)} does not fit {tuple(masks.shape)}; give (N, H, W), a map for each image."
        )
