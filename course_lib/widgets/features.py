"""An explorer of what a network sees in an image: its maps, and the places that speak for a class."""

import html
import importlib.util
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from matplotlib import colormaps
from matplotlib.figure import Figure
from torch import Tensor, nn

from course_lib.data.decode import read_image
from course_lib.explain import feature_maps, grad_cam
from course_lib.widgets.page import Page, picture
from course_lib.widgets.prepared import Preparation, prepare, probabilities, scaled

TITLE = "What a network sees"


def feature_explorer(
    model: nn.Module, images: Tensor, classes: Sequence[str], *, layers: dict[str, nn.Module]
) -> "FeatureExplorer":
    """The channels of a network's layers and Grad-CAM, for some images, and with a kernel for an image of your own.

    The page holds what it shows, and so works without a kernel. If that is too much for a page, it holds fewer images
    and channels, evenly chosen, and says so.

    Args:
        model: takes images, returns logits (N, num_classes).
        images: float (N, C, side, side) in 0..1, C 1 or 3; an image of your own is brought to their channels and size.
        classes: names of the logits.
        layers: whose maps are shown, by name.

    Raises:
        ValueError: images, classes or layers that are not as said, or a layer without maps.
    """
    _check(model, images, classes, layers)
    preparation, chosen = prepare(model, images, layers, len(classes))
    names = [f"image {number}" for number in chosen]
    state = {
        "classes": list(classes),
        "targets": preparation.targets,
        "layers": [
            {"name": name, "shape": list(maps.shape[1:]), "channels": channels}
            for name, maps, channels in zip(
                layers, feature_maps(model, images[:1], *layers.values()), preparation.channels, strict=True
            )
        ],
        "images": preparation.describe(images[chosen], names),
        "given": len(images),
        "own": 0,
        "chosen": 0,
    }
    still, summary = _still(preparation, images[:1], classes)
    return FeatureExplorer(Page("features", TITLE, state, still, summary), preparation, images)


class FeatureExplorer:
    """A page, and where a kernel runs, a button below it that puts an image of one's own among those of the page.

    Attributes:
        page: what is shown, and saved.
    """

    def __init__(self, page: Page, preparation: Preparation, images: Tensor) -> None:
        self.page, self._preparation, self._like = page, preparation, images[:1]
        self._shown: list[Any] = []  # IPython's handles of the page, wherever it is displayed

    def _repr_mimebundle_(self, **_: object) -> dict[str, str]:
        return self.page._repr_mimebundle_()

    def _ipython_display_(self) -> None:
        from IPython import get_ipython  # only notebooks have it
        from IPython.display import display

        self._shown.append(display(self.page, display_id=True))
        if importlib.util.find_spec("ipywidgets") and hasattr(get_ipython(), "kernel"):
            display(self.uploader())

    def uploader(self) -> Any:
        """The button, and below it a line for what cannot be done with a file: an ipywidgets.VBox."""
        import ipywidgets  # where it is not installed, the page is enough

        wide = ipywidgets.Layout(width="max-content")
        button = ipywidgets.FileUpload(
            accept="image/*", multiple=False, description="an image of your own", layout=wide
        )
        reply = ipywidgets.HTML()

        def answer(change: dict[str, Any]) -> None:
            reply.value = f'<p role="status">{html.escape(self.add(*uploaded(change["new"])))}</p>'

        button.observe(answer, names="value")
        return ipywidgets.VBox([button, reply])

    def add(self, name: str, content: bytes) -> str:
        """Put an image among those of the page, wherever it is displayed, and choose it; what came of it, in words."""
        try:
            image = _opened(name, content, self._like)
        except ValueError as error:
            return str(error)
        images = [*self.page.state["images"], *self._preparation.describe(image, [name])]
        state = {**self.page.state, "images": images, "own": self.page.state["own"] + 1, "chosen": len(images) - 1}
        self.page = Page(self.page.module, self.page.title, state, self.page.still, self.page.summary)
        for handle in self._shown:
            handle.update(self.page)
        return f"{name} is the last of the images above, and chosen."


def uploaded(value: Any) -> tuple[str, bytes]:
    """Name and content of the file that ipywidgets' FileUpload holds.

    Up to ipywidgets 7, its value is {name: {"content": bytes, ...}}; since 8, ({"name": ..., "content": memoryview},).
    """
    file = {"name": next(iter(value)), **next(iter(value.values()))} if isinstance(value, dict) else value[0]
    return file["name"], bytes(file["content"])


def _opened(name: str, content: bytes, like: Tensor) -> Tensor:
    """A file's image as the network takes it, (1, C, side, side) in 0..1."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "image"
        path.write_bytes(content)
        try:
            pixels, _ = read_image(path, image_size=like.shape[-1], channels=like.shape[1])
        except ValueError as error:
            raise ValueError(str(error).replace(str(path), name)) from error
    return pixels[None].to(like.device).float() / 255


def _check(model: nn.Module, images: Tensor, classes: Sequence[str], layers: dict[str, nn.Module]) -> None:
    fits = images.ndim == 4 and len(images) and images.shape[1] in (1, 3) and images.shape[2] == images.shape[3]
    if not fits or not images.is_floating_point():
        raise ValueError(
            f"expected images as floats (N, C, side, side), with C 1 or 3, got {images.dtype} {tuple(images.shape)}; "
            "add the batch dimension by image[None], and turn bytes into floats by .float() / 255."
        )
    low, high = float(images.min()), float(images.max())
    if not 0 <= low <= high <= 1:
        raise ValueError(
            f"expected images in 0..1, got {low:.4g} to {high:.4g}; leave normalization to the model, or divide by 255."
        )
    if not layers:
        raise ValueError(
            'expected at least one of the model\'s layers, got none; give layers={"block 1": model.blocks[0]}.'
        )
    logits = probabilities(model, images[:1])
    if not logits.isfinite().all():
        raise ValueError(
            "expected finite logits, got NaN or infinity; the network has diverged: train it again, with a smaller "
            "learning rate."
        )
    if logits.ndim != 2 or logits.shape[1] != len(classes):
        raise ValueError(
            f"expected a name for each of the {logits.shape[-1]} logits, got {len(classes)} classes; "
            "name them all, in order."
        )


def _still(preparation: Preparation, image: Tensor, classes: Sequence[str]) -> tuple[str, str]:
    """The first state for where no script runs: three pictures with their text, and what is seen."""
    name, layer = list(preparation.layers.items())[-1]
    channel = preparation.channels[-1][0]
    numbers = feature_maps(preparation.model, image, layer)[0][0, channel].cpu()
    probs = probabilities(preparation.model, image)[0]
    predicted = int(probs.argmax())
    heat = grad_cam(preparation.model, image, predicted, layer=layer)[0].cpu()
    summary = (
        f"For image 0 the network predicts {classes[predicted]} (probability {_chance(float(probs[predicted]))}). "
        f"In {name}, channel {channel} has {numbers.shape[0]}×{numbers.shape[1]} numbers from {numbers.min():.4g} to "
        f"{numbers.max():.4g}."
    )
    if not heat.any():
        summary += f" Nothing in {name} speaks for {classes[predicted]}."
    pictures = {
        "image 0": image[0].cpu(),
        f"{name}, channel {channel}": scaled(numbers)[None],
        f"Grad-CAM for {classes[predicted]} in {name}": _laid_over(image[0].cpu(), heat),
    }
    return picture(_figure(pictures), summary), summary


def _figure(pictures: dict[str, Tensor]) -> Figure:
    """Pictures (H, W) or (C, H, W) in 0..1 side by side, below their titles."""
    figure = Figure(figsize=(9, 3.3))
    for index, (title, values) in enumerate(pictures.items()):
        axis = figure.add_axes((index / len(pictures) + 0.01, 0.02, 1 / len(pictures) - 0.02, 0.88))
        axis.set_title(title, fontsize=11)
        axis.set_axis_off()
        axis.imshow(values.movedim(0, -1).numpy(), cmap="gray", vmin=0, vmax=1)
    return figure


def _chance(prob: float) -> str:
    return "above 0.999" if prob > 0.9995 else f"{prob:.3f}"


def _laid_over(image: Tensor, heat: Tensor) -> Tensor:
    """An image (C, H, W) under the colors of a heat map, which hide more of it where the heat is great."""
    part = heat / heat.max().clamp(min=1e-30)
    colors = torch.from_numpy(colormaps["cividis"](part.numpy())[..., :3]).movedim(-1, 0)
    return image + (0.2 + 0.5 * part) * (colors - image)
