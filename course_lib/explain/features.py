"""What the layers of a network look for: their filters, their maps, and what makes a channel answer most."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from course_lib.runtime import evaluation_mode

STEP_SIZE = 0.02  # how far the pixels move in a step of `feature_visualization`, on average


def filters(model: nn.Module) -> Tensor:
    """A copy of the weights of the first convolution: (out_channels, in_channels, height, width).

    Raises:
        ValueError: the network has no convolution.
    """
    conv = next((module for module in model.modules() if isinstance(module, nn.Conv2d)), None)
    if conv is None:
        raise ValueError(f"{type(model).__name__} has no Conv2d, and so no filters to look at.")
    return conv.weight.detach().clone()


def feature_maps(model: nn.Module, images: Tensor, *layers: nn.Module) -> list[Tensor]:
    """What layers put out while the network looks at images, in evaluation mode; copies, in float32.

    Args:
        model: takes images.
        images: float (N, C, H, W).
        layers: parts of the model that turn each image into maps.

    Returns:
        for each layer its maps (N, channels, height, width).

    Raises:
        ValueError: a layer that runs not once, or gives no maps.
    """
    outputs: list[list[object]] = [[] for _ in layers]
    hooks = [layer.register_forward_hook(_keep(kept)) for layer, kept in zip(layers, outputs, strict=True)]
    try:
        with evaluation_mode(model), torch.no_grad():
            model(images)
    finally:
        for hook in hooks:
            hook.remove()
    return [only_maps(kept, layer_name(model, layer), images) for layer, kept in zip(layers, outputs, strict=True)]


def layer_name(model: nn.Module, layer: nn.Module) -> str:
    return next((name for name, module in model.named_modules() if module is layer), type(layer).__name__)


def only_maps(outputs: Sequence[object], name: str, images: Tensor) -> Tensor:
    """The one output that a layer had, if it is maps, one set for each image.

    Raises:
        ValueError: the layer ran not once, or its output is none.
    """
    if len(outputs) != 1:
        raise ValueError(f"layer {name} runs {len(outputs)} times for an image, not once; choose another one.")
    (maps,) = outputs
    if not isinstance(maps, Tensor) or maps.ndim != 4 or len(maps) != len(images):
        actual = tuple(maps.shape) if isinstance(maps, Tensor) else f"a {type(maps).__name__}"
        raise ValueError(
            f"layer {name} returns {actual}, not maps ({len(images)}, channels, height, width); "
            "choose a convolution or a block of them."
        )
    return maps


def top_patches(
    model: nn.Module, images: Tensor, layer: nn.Module, channels: Sequence[int], *, side: int, count: int = 8
) -> Tensor:
    """The patches of images that some channels of a layer answer most to, at most one of each image.

    Args:
        model: takes images.
        layer: a part of the model that turns each image into maps.
        images: float (N, C, H, W), at least `count` of them.
        channels: which of the layer's.
        side: of a patch, in pixels; the layer's receptive field shows all that the answer depends on.
        count: of patches for each channel.

    Returns:
        (channels, count, C, side, side), the strongest first; black where a patch reaches over the border.

    Raises:
        ValueError: besides the faults of `feature_maps`, a channel that the layer has not.
    """
    peaks, indices = [], []
    for batch in images.split(64):
        (maps,) = feature_maps(model, batch, layer)
        _check_channels(channels, maps)
        best = maps[:, channels].flatten(start_dim=2).max(dim=2)  # over the positions
        peaks.append(best.values)
        indices.append(best.indices)
        height, width = maps.shape[2:]
    strongest = torch.cat(peaks).topk(count, dim=0).indices  # (count, channels)
    positions = torch.cat(indices).gather(0, strongest)
    padded = F.pad(images, [side // 2, side - side // 2] * 2)
    patches = []
    for image_indices, patch_positions in zip(strongest.T.tolist(), positions.T.tolist(), strict=True):
        for image, position in zip(image_indices, patch_positions, strict=True):
            top = round((position // width + 0.5) * images.shape[2] / height)  # of the patch, in the padded image
            left = round((position % width + 0.5) * images.shape[3] / width)
            patches.append(padded[image, :, top : top + side, left : left + side])
    return torch.stack(patches).unflatten(0, (len(channels), count))


def feature_visualization(
    model: nn.Module,
    layer: nn.Module,
    channels: Sequence[int],
    *,
    image_shape: tuple[int, int, int],
    steps: int = 128,
    seed: int = 0,
) -> Tensor:
    """For each channel of a layer an image that it answers much to, found by climbing its gradient from gray noise.

    Each step the image is shifted a little and smoothed, so that what the channel likes at many places survives.

    Args:
        model: takes images.
        layer: a part of the model that turns each image into maps.
        channels: which of the layer's.
        image_shape: (C, H, W).
        steps: of the ascent.
        seed: of the noise and the shifts.

    Returns:
        float (channels, C, H, W) in 0..1.

    Raises:
        ValueError: besides the faults of `feature_maps`, a channel that the layer has not.

    Source: Erhan, Bengio, Courville and Vincent 2009; Olah, Mordvintsev and Schubert 2017, "Feature visualization".
    """
    device = next(model.parameters()).device
    random = torch.Generator().manual_seed(seed)
    images = (0.5 + 0.05 * torch.randn(len(channels), *image_shape, generator=random)).to(device)
    name = layer_name(model, layer)
    captured: list[object] = []
    hook = layer.register_forward_hook(
        lambda _layer, _inputs, maps: captured.append(maps.clone() if isinstance(maps, Tensor) else maps)
    )
    try:
        with evaluation_mode(model), torch.enable_grad():
            for _ in range(steps):
                shift = torch.randint(-4, 5, (2,), generator=random).tolist()
                images = images.roll(shift, dims=(2, 3)).requires_grad_()
                model(images)
                maps = only_maps(captured, name, images)
                captured.clear()
                _check_channels(channels, maps)
                activations = maps[range(len(channels)), list(channels)].mean(dim=(1, 2))
                (gradient,) = torch.autograd.grad(activations.sum(), images)
                climb = gradient / gradient.abs().mean(dim=(1, 2, 3), keepdim=True).clamp(min=1e-12)
                images = _smooth((images.detach() + STEP_SIZE * climb).clamp(0, 1))
                images = images.roll([-step for step in shift], dims=(2, 3))
    finally:
        hook.remove()
    return images


def _check_channels(channels: Sequence[int], maps: Tensor) -> None:
    num_channels = maps.shape[1]
    if absent := [channel for channel in channels if not 0 <= channel < num_channels]:
        raise ValueError(f"there is no channel {absent[0]}; the layer has {num_channels}, numbered from 0.")


def _smooth(images: Tensor) -> Tensor:
    """A tenth of each pixel from its 3x3 neighborhood."""
    return 0.9 * images + 0.1 * F.avg_pool2d(F.pad(images, [1] * 4, mode="replicate"), 3, stride=1)


def _keep(outputs: list[object]) -> Callable[[nn.Module, object, object], None]:
    def hook(_layer: nn.Module, _inputs: object, output: object) -> None:
        outputs.append(output.detach().float().clone() if isinstance(output, Tensor) else output)

    return hook
