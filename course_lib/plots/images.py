"""Figures that hold images, feature maps and tables of numbers; and `encode`, for any figure."""

import io
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from PIL import Image
from torch import Tensor, uint8

from course_lib.plots.colors import GRAY, ORANGE


def encode(figure: Figure, *, dpi: int = 110) -> tuple[str, bytes]:
    """A figure as a file, PNG or JPEG, whichever is smaller: a drawing the one, photographs and noisy maps the other.

    Returns:
        "image/png" or "image/jpeg", and the file's bytes: the same bytes for the same figure.
    """
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=dpi)
    picture = Image.open(buffer).convert("RGB")
    gray = picture.convert("L")
    if gray.convert("RGB") == picture:
        picture = gray
    files = {"image/png": io.BytesIO(), "image/jpeg": io.BytesIO()}
    _palette(picture).save(files["image/png"], "png", optimize=True)
    # Quality 85 with the colors at full resolution: text and thin lines stay sharp.
    picture.save(files["image/jpeg"], "jpeg", quality=85, subsampling="4:4:4", optimize=True, progressive=True)
    kind = min(files, key=lambda kind: len(files[kind].getvalue()))
    return kind, files[kind].getvalue()


def _palette(picture: Image.Image) -> Image.Image:
    """A drawing in 256 colors, one byte a pixel; a picture in gray, or in very many colors, as it is."""
    if picture.mode == "L" or picture.getcolors(maxcolors=2**14) is None:
        return picture
    # Without k-means, which moves the 256 colors to where they are missed, the ends of color bars turn gray.
    return picture.quantize(256, kmeans=1)


def plot_images(
    images: Tensor,
    captions: Sequence[str] = (),
    *,
    columns: int = 6,
    rows: Sequence[str] = (),
    masks: Tensor | None = None,
) -> Figure:
    """A sheet of images.

    Args:
        images: uint8 or float in 0..1, (N, C, H, W) with one or three channels.
        captions: one an image, or none.
        columns: images in a row.
        rows: what stands on the left of each row, or nothing.
        masks: bool (N, 1, H, W), outlined in orange.
    """
    figure, axes = _grid(len(images), min(columns, len(images)), side=min(1.6, 9 / columns), captions=captions)
    for index, image in enumerate(images):
        picture, style = _picture(image)
        axes[index].imshow(picture, **style)
        if captions:
            axes[index].set_title(captions[index], fontsize=8)
        if masks is not None and bool(masks[index].any()):
            axes[index].contour(masks[index, 0].cpu().numpy(), levels=[0.5], colors=[ORANGE], linewidths=0.8)
    for axis, name in zip(axes[::columns], rows, strict=bool(rows)):
        axis.text(-0.06, 0.5, name, transform=axis.transAxes, rotation=90, ha="right", va="center", fontsize=8)
    return figure


def plot_maps(maps: Tensor, captions: Sequence[str] = (), *, columns: int = 8) -> Figure:
    """Feature maps or kernels, (N, H, W), on one scale around zero: orange positive, purple negative."""
    figure, axes = _grid(len(maps), min(columns, len(maps)), side=min(1.3, 9 / columns), captions=captions)
    maps = maps.detach().cpu()
    limit = max(float(maps.abs().max()), 1e-12)
    for index, values in enumerate(maps.numpy()):
        mappable = axes[index].imshow(values, cmap="PuOr_r", vmin=-limit, vmax=limit)
        if captions:
            axes[index].set_title(captions[index], fontsize=8)
    figure.colorbar(mappable, ax=axes, shrink=0.7)
    return figure


def plot_overlay(image: Tensor, heat: Tensor, *, title: str = "", label: str = "evidence") -> Figure:
    """An image beside itself with a heat map laid over it.

    Args:
        image: (C, H, W), uint8 or float in 0..1.
        heat: float (H, W), not negative; shown relative to its maximum.
        title: what is explained, such as the class and its probability.
        label: what the scale measures.
    """
    figure = Figure(figsize=(7, 3.4), layout="constrained")
    plain, overlaid = figure.subplots(1, 2)
    picture, style = _picture(image)
    relative = (heat / heat.max().clamp(min=1e-12)).detach().cpu().numpy()
    for axis in (plain, overlaid):
        axis.imshow(picture, **style)
        axis.set_axis_off()
    mappable = overlaid.imshow(relative, cmap="cividis", vmin=0, vmax=1, alpha=0.2 + 0.5 * relative)
    figure.colorbar(mappable, ax=overlaid, shrink=0.8, label=label)
    figure.suptitle(title, fontsize=10)
    return figure


def plot_heat_maps(
    images: Tensor, heat: Mapping[str, Tensor], captions: Sequence[str] = (), *, masks: Tensor | None = None
) -> Figure:
    """Images in a row, and below each its heat map by each method, with a cross on the hottest pixel.

    Where several are equally hot it stands in their middle, and nowhere where all are.

    Args:
        images: uint8 or float in 0..1, (N, C, H, W).
        heat: by method, float (N, H, W), not negative; each map is shown relative to its maximum.
        captions: one an image, or none.
        masks: bool (N, 1, H, W), outlined in orange in every row.
    """
    side = min(1.5, 8 / len(images))
    figure = Figure(figsize=(side * len(images) + 1, side * (1 + len(heat))), layout="compressed")
    grid = figure.subplots(1 + len(heat), len(images), squeeze=False)
    for axis, image in zip(grid[0], images, strict=True):
        picture, style = _picture(image)
        axis.imshow(picture, **style)
    for axis, caption in zip(grid[0], captions, strict=False):
        axis.set_title(caption, fontsize=9)
    for axes, maps in zip(grid[1:], heat.values(), strict=True):
        for axis, values in zip(axes, maps.detach().cpu().numpy(), strict=True):
            mappable = axis.imshow(values / max(float(values.max()), 1e-12), cmap="cividis", vmin=0, vmax=1)
            if values.max() > values.min():
                row, column = np.argwhere(values == values.max()).mean(axis=0)
                axis.plot(column, row, marker="x", color="white", markersize=6, markeredgewidth=1.5)
    for axis, name in zip(grid[:, 0], ("", *heat), strict=True):
        axis.set_ylabel(name, fontsize=8)
    for index, axis in enumerate(grid.flat):
        axis.set(xticks=[], yticks=[])
        axis.spines[:].set_visible(False)
        if masks is not None and bool(masks[index % len(images)].any()):
            outline = masks[index % len(images), 0].cpu().numpy()
            axis.contour(outline, levels=[0.5], colors=[ORANGE], linewidths=0.8)
    figure.colorbar(mappable, ax=grid[1:], shrink=0.5, label="fraction of the peak")
    return figure


def plot_panels(
    panels: Sequence[Tensor],
    captions: Sequence[str] = (),
    *,
    columns: int = 4,
    top: float | None = None,
    boxes: Mapping[int, tuple[int, int, int, int]] | None = None,
) -> Figure:
    """Pictures, maps and small tables of numbers beside each other, each on its own scale or all on that of `top`.

    A panel with a negative value is drawn around zero, orange positive and purple negative; any other in gray from zero
    to its maximum (bytes: to 255). Up to 12 columns wide, it shows its numbers, and tables in one row have cells of one
    size.

    Args:
        panels: numbers (H, W), or colors (3, H, W) in 0..1.
        captions: one a panel, or none.
        columns: panels in a row.
        top: the number at which the colors of all panels end; default, the largest of each.
        boxes: for the panel of that index, the rectangle (top, left, height, width) in pixels to outline.
    """
    columns = min(columns, len(panels))
    figure, axes = _grid(len(panels), columns, side=min(2.8, 9 / columns), captions=captions)
    widths, heights = [panel.shape[-1] for panel in panels], [panel.shape[-2] for panel in panels]
    if max(widths) <= 12 and columns == len(panels):
        _set_on_one_grid(figure, axes, widths, heights, captions)
    elif any(panel.ndim == 2 and panel.shape[1] > 12 and bool(panel.min() < 0) for panel in panels):
        figure.set_figheight(0.88 * figure.get_figheight())  # as the color bars leave less width
    for index, panel in enumerate(panels):
        axis, values = axes[index], panel.detach().cpu().double().numpy()
        axis.set_axis_on()
        axis.set(xticks=[], yticks=[])
        axis.spines[:].set_color(GRAY)
        if values.ndim == 3:
            axis.imshow(np.moveaxis(values, 0, -1).clip(0, 1))
        else:
            limit = top or (255.0 if panel.dtype == uint8 else max(float(np.abs(values).max()), 1e-12))
            signed = bool(values.min() < 0)
            style = {"cmap": "PuOr_r", "vmin": -limit} if signed else {"cmap": "gray", "vmin": 0}
            mappable = axis.imshow(values, vmax=limit, **style)
            if values.shape[1] <= 12:
                _write_numbers(axis, values, dark=np.abs(values) > 0.6 * limit if signed else values < 0.5 * limit)
            elif signed:
                figure.colorbar(mappable, ax=axis, shrink=0.6)
        if captions:
            axis.set_title(captions[index], fontsize=9)
        if boxes and index in boxes:
            row, column, height, width = boxes[index]
            box = Rectangle((column - 0.5, row - 0.5), width, height, fill=False, edgecolor=ORANGE, clip_on=False)
            box.set(linewidth=2.5 if values.shape[-1] <= 12 else 1.5, zorder=3)
            axis.add_patch(box)
    return figure


def _picture(image: Tensor) -> tuple[np.ndarray, dict[str, Any]]:
    """(C, H, W) as imshow wants it; bytes are shown in 0..255, floats in 0..1."""
    array = image.detach().cpu().numpy()
    top = 255 if array.dtype == np.uint8 else 1
    if array.shape[0] == 3:
        return np.moveaxis(array, 0, -1).clip(0, top), {}
    return array[0], {"cmap": "gray", "vmin": 0, "vmax": top}


def _grid(count: int, columns: int, *, side: float, captions: Sequence[str]) -> tuple[Figure, list[Any]]:
    rows = -(-count // columns)
    figure = Figure(figsize=(columns * side, rows * (side + _height(captions))), layout="compressed")
    axes = figure.subplots(rows, columns, squeeze=False).ravel().tolist()
    for axis in axes:
        axis.set_axis_off()
    return figure, axes


def _height(captions: Sequence[str]) -> float:
    """Inches above a row of panels, for the caption that has most lines."""
    return max((0.15 + 0.15 * len(caption.splitlines()) for caption in captions), default=0)


def _set_on_one_grid(
    figure: Figure, axes: Sequence[Any], widths: Sequence[int], heights: Sequence[int], captions: Sequence[str]
) -> None:
    gap = 0.3  # inches
    cell = min(0.55, (9 - gap * len(widths)) / sum(widths))
    across, down = sum(widths) * cell + gap * len(widths), max(heights) * cell + _height(captions) + 0.1
    figure.set_layout_engine("none")
    figure.set_size_inches(across, down)
    left = gap / 2
    for axis, width, height in zip(axes, widths, heights, strict=True):
        bottom = 0.05 + (max(heights) - height) * cell / 2
        axis.set_position((left / across, bottom / down, width * cell / across, height * cell / down))
        left += width * cell + gap


def _write_numbers(axis: Any, values: np.ndarray, *, dark: np.ndarray) -> None:
    rows, columns = values.shape
    axis.hlines(np.arange(1, rows) - 0.5, -0.5, columns - 0.5, color=GRAY, linewidth=0.4)
    axis.vlines(np.arange(1, columns) - 0.5, -0.5, rows - 0.5, color=GRAY, linewidth=0.4)
    for (row, column), value in np.ndenumerate(values):
        color = "white" if dark[row, column] else "black"
        size = 11 if columns <= 6 else 7
        axis.text(column, row, f"{round(value, 2) + 0.0:g}", ha="center", va="center", color=color, fontsize=size)
