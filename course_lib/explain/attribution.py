"""Which pixels speak for a class: batches of images in, one map for each image out.

Each method looks at a network in evaluation mode and leaves it as it was: no hook stays, no mode changes, no gradient
of a parameter is written.
"""

import torch
from captum import attr
from torch import Tensor, nn

from course_lib.explain.features import feature_maps
from course_lib.runtime import evaluation_mode

Targets = int | Tensor | None


def saliency(model: nn.Module, images: Tensor, targets: Targets = None) -> Tensor:
    """How much the logit of a class would change with each pixel: the gradient's size, largest over the channels.

    Args:
        model: takes images, returns logits (N, num_classes).
        images: float (N, C, H, W).
        targets: the class to explain, one for all or one for each image, int64 (N,); default, the most probable one.

    Returns:
        float32 (N, H, W), not negative.

    Raises:
        ValueError: images of another shape, or targets that do not fit them.

    Source: Simonyan, Vedaldi and Zisserman 2013, "Deep inside convolutional networks".
    """
    with evaluation_mode(model), torch.enable_grad():
        images, targets = _checked(model, images, targets)
        return attr.Saliency(model).attribute(images, target=targets).detach().float().amax(dim=1)


def integrated_gradients(
    model: nn.Module,
    images: Tensor,
    targets: Targets = None,
    *,
    baseline: float | Tensor = 0.0,
    steps: int = 32,
) -> Tensor:
    """What each pixel adds to the logit of a class, on the straight way from a baseline to the image.

    The values of an image sum to its logit less that of the baseline, up to the coarseness of the steps. Networks that
    standardise their input change their answer within the first hundredths of the way from a uniform baseline: give
    them a blurred image instead, or many steps.

    Args:
        model, images, targets: see `saliency`.
        baseline: images without what is to be explained, (N, C, H, W); or the value of uniform ones, 0 being black.
        steps: where on the way the gradient is taken.

    Returns:
        float32 (N, H, W); positive speaks for the class, negative against it.

    Raises:
        ValueError: see `saliency`.

    Source: Sundararajan, Taly and Yan 2017, "Axiomatic attribution for deep networks".
    """
    with evaluation_mode(model), torch.enable_grad():
        images, targets = _checked(model, images, targets)
        method = attr.IntegratedGradients(model)
        start = baseline if isinstance(baseline, Tensor) else torch.full_like(images, baseline)
        few = max(1, 256 // steps)  # images at a time, as each becomes as many as there are steps
        parts = [
            method.attribute(some, baselines=begin, target=target, n_steps=steps)
            for some, begin, target in zip(images.split(few), start.split(few), targets.split(few), strict=True)
        ]
        return torch.cat(parts).detach().float().sum(dim=1)


def occlusion(
    model: nn.Module,
    images: Tensor,
    targets: Targets = None,
    *,
    side: int = 16,
    stride: int = 8,
    fill: float | None = None,
) -> Tensor:
    """How much the logit of a class falls when a square is covered; each pixel has the mean of the squares over it.

    Args:
        model, images, targets: see `saliency`.
        side: of the square, in pixels.
        stride: between squares, in pixels.
        fill: the square's value; default, the mean of each channel of each image.

    Returns:
        float32 (N, H, W); negative where covering raises the logit.

    Raises:
        ValueError: besides the faults of `saliency`, squares that do not cover the image.

    Source: Zeiler and Fergus 2014, "Visualizing and understanding convolutional networks".
    """
    if not 0 < stride <= side <= min(images.shape[-2:]):
        raise ValueError(
            f"side={side} and stride={stride} do not cover images of {tuple(images.shape[-2:])} pixels; "
            "the square must fit into the image, and the stride into the square."
        )
    with evaluation_mode(model), torch.no_grad():
        images, targets = _checked(model, images, targets)
        window, steps = (images.shape[1], side, side), (images.shape[1], stride, stride)
        cover = images.mean(dim=(2, 3), keepdim=True).expand_as(images) if fill is None else fill
        maps = attr.Occlusion(model).attribute(images, window, strides=steps, baselines=cover, target=targets)
        return maps.float().mean(dim=1)


def grad_cam(
    model: nn.Module, images: Tensor, targets: Targets = None, *, layer: nn.Module, enlarge: bool = True
) -> Tensor:
    """Where the maps of a layer speak for a class: their sum, each weighted by its mean gradient, cut off below zero.

    Args:
        model, images, targets: see `saliency`.
        layer: a part of the model that turns each image into maps once; the networks of the course name their last
            one `last_maps`.
        enlarge: whether the result is enlarged (bilinear) from the size of the layer's maps to that of the images.

    Returns:
        float32 (N, H, W), not negative.

    Raises:
        ValueError: besides the faults of `saliency`, a layer that does not give maps, one set for each image.

    Source: Selvaraju et al. 2017, "Grad-CAM: visual explanations from deep networks via gradient-based localization".
    """
    with evaluation_mode(model), torch.enable_grad():
        images, targets = _checked(model, images, targets)
        feature_maps(model, images, layer)  # for its errors
        maps = attr.LayerGradCam(model, layer).attribute(images, target=targets, relu_attributions=True)
        if enlarge:
            maps = attr.LayerAttribution.interpolate(maps, images.shape[2:], "bilinear")
        return maps.detach().float().squeeze(1)


def _checked(model: nn.Module, images: Tensor, targets: Targets) -> tuple[Tensor, Tensor]:
    """Images that a gradient can reach, and one class for each."""
    if images.ndim != 4 or not len(images) or not images.is_floating_point():
        raise ValueError(
            f"float images (N, C, H, W) expected, got {images.dtype} {tuple(images.shape)}; "
            "add the batch dimension by image[None], and turn bytes into floats by .float() / 255."
        )
    with torch.no_grad():
        logits = model(images)
    if targets is None:
        targets = logits.argmax(dim=1)
    targets = torch.as_tensor(targets, device=logits.device)
    if targets.shape not in ((), (len(images),)) or targets.is_floating_point():
        raise ValueError(
            f"targets {targets.dtype} {tuple(targets.shape)} for {len(images)} images; give one class, or a whole "
            "number for each image."
        )
    if not 0 <= int(targets.min()) <= int(targets.max()) < logits.shape[1]:
        raise ValueError(
            f"targets run from {int(targets.min())} to {int(targets.max())}, but there are {logits.shape[1]} classes."
        )
    return images.detach().clone().requires_grad_(), targets.expand(len(images))
