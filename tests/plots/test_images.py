import io
from copy import deepcopy

import numpy as np
import pytest
import skimage.data
import torch
from matplotlib.colors import to_rgb
from matplotlib.contour import QuadContourSet
from matplotlib.figure import Figure
from PIL import Image
from skimage.metrics import structural_similarity

from course_lib import plots


def drawn(figure: Figure) -> np.ndarray:
    """The figure as matplotlib itself writes it at `show`'s resolution, (H, W, 3).

    Drawing a figure once more may move its layout.
    """
    png = io.BytesIO()
    deepcopy(figure).savefig(png, format="png", dpi=110)
    return np.asarray(Image.open(png).convert("RGB"))


def opened(picture: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(picture)).convert("RGB"))


def photographs() -> list[torch.Tensor]:
    """A man behind a camera in gray, and an astronaut in color."""
    color = torch.from_numpy(skimage.data.astronaut()).movedim(2, 0) / 255
    return [torch.from_numpy(skimage.data.camera()), color]


@pytest.mark.parametrize("panel", [torch.eye(20) - 0.5, photographs()[1]], ids=["drawing", "photograph"])
def test_a_figure_has_the_same_bytes_each_time_and_no_version_of_matplotlib(panel: torch.Tensor) -> None:
    (kind, first), (_, second) = (plots.encode(plots.plot_panels([panel])) for _ in range(2))
    assert first == second
    assert kind == ("image/png" if panel.ndim == 2 else "image/jpeg")
    assert not {"Software", "comment", "exif"} & set(Image.open(io.BytesIO(first)).info)


def test_a_drawing_in_gray_keeps_every_pixel() -> None:
    figure = plots.plot_panels([torch.arange(16.0).view(4, 4)])
    kind, png = plots.encode(figure)
    assert kind == "image/png"
    assert Image.open(io.BytesIO(png)).mode == "L"
    assert np.array_equal(opened(png), drawn(figure))


@pytest.mark.parametrize("photograph", photographs(), ids=["gray", "color"])
def test_a_photograph_looks_as_it_did_in_less_than_half_the_bytes_of_a_png(photograph: torch.Tensor) -> None:
    figure = plots.plot_images(photograph[None] if photograph.ndim == 3 else photograph[None, None])
    pixels, png = drawn(figure), io.BytesIO()
    Image.fromarray(pixels).convert("RGB" if photograph.ndim == 3 else "L").save(png, "png", optimize=True)
    kind, jpeg = plots.encode(figure)
    assert kind == "image/jpeg"
    assert len(jpeg) < len(png.getvalue()) / 2
    # Wang et al. 2004, "Image Quality Assessment: From Error Visibility to Structural Similarity"; 1 is no difference.
    assert structural_similarity(pixels, opened(jpeg), channel_axis=-1) > 0.97


def test_a_color_bar_and_thin_lines_beside_photographs_keep_their_colors() -> None:
    gray = photographs()[0].float() / 255
    images = torch.stack([gray[:96, :96], gray[60:156, 200:296], gray[200:296, 100:196], gray[300:396, 300:396]])[
        :, None
    ]
    edges = images.diff(dim=3, prepend=images[..., :1]).abs()[:, 0]
    masks = torch.zeros_like(images, dtype=torch.bool)
    masks[..., 30:60, 20:70] = True
    figure = plots.plot_heat_maps(images, {"edges": edges, "squared": edges**2}, masks=masks)
    pixels, shown = drawn(figure).astype(int), opened(plots.encode(figure)[1]).astype(int)
    bar = figure.axes[-1].get_position()
    rows = slice(*(int(len(pixels) * (1 - y)) + shift for y, shift in ((bar.y1, 3), (bar.y0, -3))))
    columns = slice(*(int(pixels.shape[1] * x) + shift for x, shift in ((bar.x0, 3), (bar.x1, -3))))
    assert np.abs(shown - pixels)[rows, columns].mean() < 4  # of 255
    before, after = (len(np.unique(seen[rows, columns.start], axis=0)) for seen in (pixels, shown))
    assert after > 0.9 * before > 100  # 256 colors for all of the figure leave bands
    outlined = (np.abs(pixels - np.array(to_rgb(plots.ORANGE)) * 255) < 30).all(axis=-1)
    assert outlined.sum() > 500
    assert np.abs(shown - pixels)[outlined].mean() < 10


def test_images_are_shown_on_the_scale_of_their_type() -> None:
    gray = torch.tensor([[[[0, 128, 255]]]], dtype=torch.uint8)
    axis = plots.plot_images(gray).axes[0]
    assert axis.images[0].get_clim() == (0, 255)
    assert plots.plot_images(gray.float() / 255).axes[0].images[0].get_clim() == (0, 1)


def test_color_images_keep_their_colors() -> None:
    red = torch.zeros(1, 3, 4, 4)
    red[:, 0] = 1
    assert plots.plot_images(red).axes[0].images[0].get_array()[0, 0].tolist() == [1, 0, 0]


def test_a_mask_is_outlined_and_an_empty_one_is_not() -> None:
    images, masks = torch.zeros(2, 1, 8, 8), torch.zeros(2, 1, 8, 8, dtype=torch.bool)
    masks[1, 0, 2:5, 2:5] = True
    axes = plots.plot_images(images, ["healthy", "sick"], masks=masks).axes
    assert [len(axis.collections) for axis in axes] == [0, 1]


def test_maps_share_one_scale_around_zero() -> None:
    axes = plots.plot_maps(torch.tensor([[[1.0, -4.0]], [[2.0, 0.5]]])).axes
    assert axes[0].images[0].get_clim() == axes[1].images[0].get_clim() == (-4, 4)


def test_a_heat_map_of_zeros_draws_nothing_rather_than_noise() -> None:
    overlay = plots.plot_overlay(torch.rand(1, 8, 8), torch.zeros(8, 8)).axes[1].images[1]
    assert float(overlay.get_array().max()) == 0


def test_heat_maps_stand_below_their_images_with_a_cross_on_the_hottest_pixel() -> None:
    heat = torch.zeros(2, 4, 6)
    heat[0, 3, 1], heat[1, 0, 5] = 7.0, 0.1
    masks = torch.tensor([True, False]).view(2, 1, 1, 1) & (torch.arange(6) > 2).expand(2, 1, 4, 6)
    figure = plots.plot_heat_maps(torch.rand(2, 1, 4, 6), {"first": heat, "second": heat}, masks=masks)
    grid = figure.axes[:6]  # three rows of two; then the scale
    assert [axis.get_ylabel() for axis in grid[::2]] == ["", "first", "second"]
    assert [line.get_xydata().tolist() for axis in grid for line in axis.lines] == 2 * [[[1.0, 3.0]], [[5.0, 0.0]]]
    assert all(float(axis.images[0].get_array().max()) == 1 for axis in grid[2:])
    outlined = [any(isinstance(drawn, QuadContourSet) for drawn in axis.collections) for axis in grid]
    assert outlined == [True, False] * 3


def test_the_name_of_a_row_stands_at_its_left_and_none_is_cut_off() -> None:
    names = ["Grad-CAM", "integrated gradients", "saliency", "occlusion"]
    images = torch.ones(12, 1, 8, 8)
    sheet = plots.plot_images(images, columns=3, rows=names)
    assert [[text.get_text() for text in axis.texts] for axis in sheet.axes[::3]] == [[name] for name in names]
    maps = plots.plot_heat_maps(images[:3], dict.fromkeys(names, images[:3, 0]))
    for figure in (sheet, maps):
        pixels = drawn(figure)
        assert (pixels[:, :3] == 255).all()  # a margin,
        assert (pixels[:, 3:20] < 128).any()  # and then the names


@pytest.mark.parametrize(
    ("panel", "limits"),
    [
        (torch.tensor([[1.0, -4.0]]), (-4, 4)),
        (torch.tensor([[1.0, 4.0]]), (0, 4)),
        (torch.tensor([[1, 4]], dtype=torch.uint8), (0, 255)),
    ],
)
def test_a_panel_is_drawn_around_zero_where_it_is_signed_and_from_zero_else(
    panel: torch.Tensor, limits: tuple[float, float]
) -> None:
    assert plots.plot_panels([panel, torch.full((1, 2), 9.0)]).axes[0].images[0].get_clim() == limits


def test_panels_with_a_common_top_give_one_gray_to_one_number() -> None:
    figure = plots.plot_panels([torch.tensor([[4.0, 9.0]]), torch.tensor([[4.0, 1.0]])], top=9)
    first, second = (axis.images[0].to_rgba([4.0])[0].tolist() for axis in figure.axes)
    assert first == second


def test_a_small_table_shows_its_rounded_numbers_and_a_wide_one_only_colors() -> None:
    small, wide = plots.plot_panels([torch.tensor([[1.0, -0.125], [1 / 3, 2.0]]), torch.ones(2, 13)]).axes
    assert [text.get_text() for text in small.texts] == ["1", "-0.12", "0.33", "2"]
    assert not wide.texts


def test_numbers_are_white_on_dark_cells_and_black_on_light_ones() -> None:
    [gray] = plots.plot_panels([torch.tensor([[0.0, 1.0]])]).axes
    [signed] = plots.plot_panels([torch.tensor([[-1.0, 0.1, 1.0]])]).axes
    assert [text.get_color() for text in gray.texts] == ["white", "black"]
    assert [text.get_color() for text in signed.texts] == ["white", "black", "white"]


def test_tables_in_one_row_have_cells_of_one_size() -> None:
    figure = plots.plot_panels([torch.ones(5, 5), torch.ones(3, 3), torch.ones(2, 4)])
    cells = [
        axis.get_position().size * figure.get_size_inches() / axis.images[0].get_array().shape[::-1]
        for axis in figure.axes
    ]
    np.testing.assert_allclose(cells, np.full((3, 2), cells[0][0]))


def test_panels_fill_rows_under_their_captions_and_hide_the_place_left_over() -> None:
    axes = plots.plot_panels([torch.ones(3, 3)] * 3, ["a", "b", "c"], columns=2).axes
    assert [axis.get_title() for axis in axes] == ["a", "b", "c", ""]
    assert [axis.axison for axis in axes] == [True, True, True, False]


def test_a_box_encloses_the_pixels_that_it_names() -> None:
    plain, boxed, other = plots.plot_panels([torch.ones(8, 8)] * 3, boxes={1: (2, 3, 4, 1)}).axes
    assert [axis.images[0].get_clim() for axis in (plain, boxed, other)] == [(0, 1)] * 3  # it changes no color
    assert not plain.patches
    box = boxed.patches[0].get_bbox()
    assert (box.x0, box.x1, box.y0, box.y1) == (2.5, 3.5, 1.5, 5.5)  # column 3 and rows 2 to 5: pixels reach half out
