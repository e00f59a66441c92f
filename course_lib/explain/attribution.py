"""Which pixels speak for a class: batches of images in, one map for each image out.

Each method looks at a network in evaluation mode and leaves it as it was: no hook stays, no mode changes, no gradient
of a parameter is written.
"""

import contextlib
import math
from collections.abc import Callable, Iterator, Mapping, Sequence

import torch
from captum import attr
from torch import Tensor, nn
from torch.nn import functional as F

from course_lib.arguments import as_tensor
from course_lib.explain.features import layer_name, only_maps
from course_lib.runtime import evaluation_mode

Targets = int | Tensor | Sequence[int] | None


def saliency(model: nn.Module, images: Tensor, targets: Targets = None) -> Tensor:
    """How much the logit of a class would change with each pixel: the gradient's size, largest over the channels.

    Args:
        model: takes images, returns logits (N, num_classes), or one logit an image that speaks for class 1.
        images: float (N, C, H, W).
        targets: the class to explain, one for all or one for each image, integers (N,); default, the most probable one.

    Returns:
        float32 (N, H, W), not negative.

    Raises:
        ValueError: images of another shape, or targets that do not fit them.

    Source: Simonyan, Vedaldi and Zisserman 2013, "Deep inside convolutional networks".
    """
    with explaining(model):
        logits_of, images, targets = _checked(model, images, targets)
        return attr.Saliency(logits_of).attribute(images, target=targets).detach().float().amax(dim=1)


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
    standardize their input change their answer within the first hundredths of the way from a uniform baseline: give
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
    with explaining(model):
        logits_of, images, targets = _checked(model, images, targets)
        method = attr.IntegratedGradients(logits_of)
        start = baseline if isinstance(baseline, Tensor) else torch.full_like(images, baseline)
        few = max(1, 256 // steps)  # images at a time, as each becomes as many as there are steps
        parts = [
            method.attribute(batch, baselines=begin, target=target, n_steps=steps)
            for batch, begin, target in zip(images.split(few), start.split(few), targets.split(few), strict=True)
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
    with evaluation_mode(model), torch.inference_mode(False), torch.no_grad():
        logits_of, images, targets = _checked(model, images, targets)
        window, steps = (images.shape[1], side, side), (images.shape[1], stride, stride)
        cover = images.mean(dim=(2, 3), keepdim=True).expand_as(images) if fill is None else fill
        maps = attr.Occlusion(logits_of).attribute(images, window, strides=steps, baselines=cover, target=targets)
        return maps.float().mean(dim=1)


def grad_cam(
    model: nn.Module, images: Tensor, targets: Targets = None, *, layer: nn.Module, enlarge: bool = True
) -> Tensor:
    """Where the maps of a layer speak for a class: their sum, each weighted by its mean gradient, cut off below zero.

    Takes one forward pass and the backward pass down to the layer; two passes more, of one image, where a layer has as
    many channels as rows and columns, and so only a smaller image tells which is which.

    Args:
        model, images, targets: see `saliency`.
        layer: a part of the model that turns each image into maps once; the networks of the course name their last
            one `target_layer`.
        enlarge: whether the result is enlarged (bilinear) from the size of the layer's maps to that of the images.

    Returns:
        float32 (N, H, W), not negative.

    Raises:
        ValueError: besides the faults of `saliency`, a layer that does not give maps, one set for each image, or gives
            them with the channels last.

    Source: Selvaraju et al. 2017, "Grad-CAM: visual explanations from deep networks via gradient-based localization".
    """
    name = layer_name(model, layer)
    with explaining(model):
        images = _as_images(images)
        outputs, logits = outputs_of(layer, lambda: class_logits(model(images), len(images)))
        maps = only_maps(outputs, name, images)
        _refuse_channels_last(model, layer, name, maps, images)
        gradients = gradient_of(logits.gather(1, _as_targets(logits, targets)[:, None]), maps, name)
        heat = (gradients.mean(dim=(2, 3), keepdim=True) * maps).sum(dim=1, keepdim=True).relu().detach().float()
        if enlarge:
            heat = F.interpolate(heat, images.shape[2:], mode="bilinear")
        return heat.squeeze(1)


def outputs_of(layer: nn.Module, answer: Callable[[], Tensor]) -> tuple[list[object], Tensor]:
    """What a layer puts out while an answer is computed, before anything changes it in place; and the answer."""
    outputs: list[object] = []

    def keep(_layer: nn.Module, _inputs: object, output: object) -> object:
        outputs.append(output)
        return output.clone() if isinstance(output, Tensor) else output

    hook = layer.register_forward_hook(keep)
    try:
        return outputs, answer()
    finally:
        hook.remove()


def gradient_of(answers: Tensor, maps: Tensor, name: str) -> Tensor:
    """The gradient of the answers' sum with respect to a layer's maps.

    Raises:
        ValueError: the answers do not use them.
    """
    (gradient,) = torch.autograd.grad(answers.sum(), maps, allow_unused=True) if maps.requires_grad else (None,)
    if gradient is None:
        raise ValueError(f"no gradient of the classes reaches layer {name}; choose a layer that the answer uses.")
    return gradient


def _refuse_channels_last(model: nn.Module, layer: nn.Module, name: str, maps: Tensor, images: Tensor) -> None:
    """Refuse maps (N, H, W, C), whose mean over the last two axes is none over places.

    Height and width of maps are in the proportion of the image's. Where the last two axes are not nearer to it than the
    first two (8 channels of 8 x 8 are as near), an image of half the height tells: height is what becomes smaller.
    """
    if _keeps_channels_first(layer):
        return
    first, second, third = maps.shape[1:]
    aspect = math.log(images.shape[2] / images.shape[3])
    as_first, as_last = (abs(math.log(high / wide) - aspect) for high, wide in ((second, third), (first, second)))
    if as_first < as_last - 1e-6:
        return
    axis = _height_axis(model, layer, images)
    if axis == 1 or (axis is None and as_last < as_first - 1e-6):
        raise ValueError(
            f"layer {name} returns {tuple(maps.shape)}: its channels come last, and Grad-CAM needs maps (N, channels, "
            "height, width); choose a layer before them or after their permute(0, 3, 1, 2)."
        )


def _keeps_channels_first(layer: nn.Module) -> bool:
    """Whether a layer is made of convolutions and of torch's own norms, activations and poolings around them."""
    parts, others = list(layer.modules()), nn.Linear | nn.LayerNorm | nn.Flatten | nn.Unflatten
    plain = all(type(part).__module__.startswith("torch.nn.") and not isinstance(part, others) for part in parts)
    return plain and any(isinstance(part, nn.Conv2d) for part in parts)


@torch.no_grad()
def _height_axis(model: nn.Module, layer: nn.Module, images: Tensor) -> int | None:
    """The axis of a layer's maps that becomes smaller when the image loses half its height; None if none does."""
    shapes: list[torch.Size] = []
    for batch in (images[:1], images[:1, :, : images.shape[2] // 2]):
        hook = layer.register_forward_hook(lambda _layer, _inputs, output: shapes.append(output.shape))
        try:
            with contextlib.suppress(Exception):  # a network for one size of image has nothing more to say
                model(batch)
        finally:
            hook.remove()
    if len(shapes) < 2 or len(shapes[0]) != len(shapes[-1]):
        return None
    return next((axis for axis in range(1, 4) if shapes[-1][axis] < shapes[0][axis]), None)


@contextlib.contextmanager
def explaining(model: nn.Module) -> Iterator[None]:
    """A model in evaluation mode, and gradients, whatever the caller has switched off.

    Raises:
        ValueError: the network was made under inference_mode, where no weight can ever have a gradient.
    """
    if any(tensor.is_inference() for tensor in (*model.parameters(), *model.buffers())):
        raise ValueError(
            "the network was built or loaded under torch.inference_mode, and so has no gradients; build it outside."
        )
    with evaluation_mode(model), torch.inference_mode(False), torch.enable_grad():
        yield


def class_logits(output: object, count: int) -> Tensor:
    """A network's answer as logits (N, classes).

    Taken are tensors, and what holds them as `.logits` or `["logits"]` (transformers, Inception). A single logit an
    image, (N,) or (N, 1), speaks for class 1 where it is positive, and its negative for class 0.
    """
    logits = output if isinstance(output, Tensor) else getattr(output, "logits", None)
    if logits is None and isinstance(output, Mapping):
        logits = output.get("logits")
    if not isinstance(logits, Tensor) or logits.ndim not in (1, 2) or len(logits) != count:
        actual = f"{tuple(logits.shape)}" if isinstance(logits, Tensor) else f"a {type(output).__name__} without logits"
        raise ValueError(
            f"the network must return logits ({count}, classes), it returns {actual}; wrap it in a module that returns "
            "the logits alone."
        )
    if logits.ndim == 1 or logits.shape[1] == 1:
        return torch.stack([-logits.flatten(), logits.flatten()], dim=1)
    return logits


def _as_images(images: Tensor) -> Tensor:
    """Images that a gradient can reach."""
    if not isinstance(images, Tensor) or images.ndim != 4 or not len(images) or not images.is_floating_point():
        actual = f"{images.dtype} {tuple(images.shape)}" if isinstance(images, Tensor) else type(images).__name__
        raise ValueError(
            f"float images (N, C, H, W) expected, got {actual}; add the batch dimension by image[None], and turn bytes "
            "into floats by .float() / 255."
        )
    return images.detach().clone().requires_grad_()


def _as_targets(logits: Tensor, targets: Targets) -> Tensor:
    """One class for each image, int64 (N,)."""
    if targets is None:
        return logits.argmax(dim=1)
    indices = as_tensor(targets, "targets").to(logits.device)
    if indices.ndim:
        indices = indices.squeeze(1) if indices.ndim == 2 and indices.shape[1] == 1 else indices
    if indices.shape not in ((), (len(logits),)) or indices.is_floating_point():
        raise ValueError(
            f"targets {indices.dtype} {tuple(indices.shape)} for {len(logits)} images; give one class, or a whole "
            "number for each image."
        )
    if not 0 <= int(indices.min()) <= int(indices.max()) < logits.shape[1]:
        raise ValueError(
            f"targets run from {int(indices.min())} to {int(indices.max())}, but there are {logits.shape[1]} classes."
        )
    return indices.long().expand(len(logits))


def _checked(model: nn.Module, images: Tensor, targets: Targets) -> tuple[Callable[[Tensor], Tensor], Tensor, Tensor]:
    """What gives logits (N, classes), images that a gradient can reach, and one class for each."""

    def logits_of(batch: Tensor) -> Tensor:
        return class_logits(model(batch), len(batch))

    images = _as_images(images)
    with torch.no_grad():
        logits = logits_of(images)
    return logits_of, images, _as_targets(logits, targets)
