"""An explorer of what a network sees in an image."""

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import ipywidgets
import torch
from matplotlib.figure import Figure
from torch import Tensor, nn

from course_lib.data.decode import read_image
from course_lib.explain import feature_maps, grad_cam
from course_lib.widgets.explorer import Explorer, choice, number


def feature_explorer(
    model: nn.Module, images: Tensor, classes: Sequence[str], *, layers: dict[str, nn.Module]
) -> Explorer:
    """A channel's map and Grad-CAM for one of some images, or for one of your own.

    Args:
        model: takes images, returns logits (N, num_classes).
        images: float (N, C, side, side) in 0..1; an image of your own is brought to their channels and size.
        classes: names of the logits.
        layers: whose maps are shown, by name.

    Raises:
        ValueError: no images, or a layer without maps.
    """
    pool = [image[None] for image in images]
    last = list(layers)[-1]
    channels = feature_maps(model, images[:1], layers[last])[0].shape[1]
    with torch.no_grad():
        called = int(model(images[:1]).argmax())
    upload = ipywidgets.FileUpload(
        accept="image/*", description="an image of your own", layout=ipywidgets.Layout(width="auto")
    )
    controls: dict[str, ipywidgets.Widget] = {
        "place": number("image", 0, len(images) - 1, 0),
        "layer": choice("layer", layers, last),
        "channel": number("channel", 0, channels - 1, 0),
        "target": choice("Grad-CAM for", [(name, place) for place, name in enumerate(classes)], called),
        "upload": upload,
    }

    def draw(
        place: int, layer: str, channel: int, target: int, upload: tuple[dict[str, Any], ...]
    ) -> tuple[Figure, str]:
        image = _opened(upload[0], images.shape[1:]).to(images.device) if upload else pool[place]
        found = feature_maps(model, image, layers[layer])[0][0]
        controls["channel"].max = len(found) - 1
        shown = min(channel, len(found) - 1)
        with torch.no_grad():
            probs = model(image).softmax(dim=1)[0]
        heat = grad_cam(model, image, target, layer=layers[layer])[0]
        figure = Figure(figsize=(9, 3.2))
        titles = ("the image", f"{layer}, channel {shown}", f"Grad-CAM for {classes[target]}")
        picture = image[0].cpu().movedim(0, -1).clamp(0, 1).numpy()
        for place, title in enumerate(titles):
            axis = figure.add_axes((place / 3 + 0.01, 0.02, 0.31, 0.86))
            axis.set_title(title, fontsize=10)
            axis.set_axis_off()
            if place != 1:
                axis.imshow(picture, cmap="gray", vmin=0, vmax=1)
            else:
                axis.imshow(found[shown].cpu().numpy(), cmap="gray")
            if place == 2:
                relative = (heat / heat.max().clamp(min=1e-12)).cpu().numpy()
                axis.imshow(relative, cmap="cividis", vmin=0, vmax=1, alpha=0.2 + 0.5 * relative)
        first = int(probs.argmax())
        said = (
            f"The network says {classes[first]}, {probs[first]:.2f}. Channel {shown} of {len(found)} has "
            f"{found.shape[1]}x{found.shape[2]} numbers from {found[shown].min():.2f} to {found[shown].max():.2f}."
        )
        return figure, said if heat.any() else f"{said} Nothing in this layer speaks for {classes[target]}."

    return Explorer("What a network sees", controls, draw)


def _opened(file: dict[str, Any], shape: Sequence[int]) -> Tensor:
    """An uploaded image as the network takes it: (1, C, H, W) in 0..1."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / Path(file["name"]).name
        path.write_bytes(file["content"])
        try:
            pixels, _ = read_image(path, image_size=shape[-1], channels=shape[0])
        except ValueError as error:
            raise ValueError(str(error).replace(f"{path}:", f"{path.name}:")) from error
    return pixels[None].float() / 255
