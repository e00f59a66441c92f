import io
from typing import Any

import numpy as np
import pytest
import torch
from matplotlib.contour import QuadContourSet
from matplotlib.figure import Figure
from PIL import Image

from course_lib import plots


@pytest.fixture
def published(monkeypatch: pytest.MonkeyPatch) -> list[tuple[dict[str, Any], dict[str, Any]]]:
    """The data and the metadata of each display since the test began."""
    calls: list[tuple[dict[str, Any], dict[str, Any]]] = []
    monkeypatch.setattr("IPython.display.publish_display_data", lambda data, metadata: calls.append((data, metadata)))
    return calls


def saved(*panels: torch.Tensor) -> np.ndarray:
    """The panels as matplotlib itself writes them at `show`'s resolution, (H, W, 3)."""
    png = io.BytesIO()
    plots.plot_panels(panels).savefig(png, format="png", dpi=110)
    return np.asarray(Image.open(png).convert("RGB")).astype(int)


def test_show_gives_a_picture_and_its_words_to_those_who_cannot_see_it(published: list[Any]) -> None:
    plots.show(plots.plot_maps(torch.eye(3)[None]), "A diagonal.")
    [(data, metadata)] = published
    assert Image.open(io.BytesIO(data.pop("image/png"))).format == "PNG"
    assert data == {"text/plain": "[Figure: A diagonal.]"}
    assert metadata == {"image/png": {"alt": "A diagonal."}}


def test_show_refuses_a_picture_without_words(published: list[Any]) -> None:
    with pytest.raises(ValueError, match="alt is empty"):
        plots.show(Figure(), " ")
    assert not published


def test_show_writes_the_same_bytes_twice_and_no_version_of_matplotlib(published: list[Any]) -> None:
    for _ in range(2):
        plots.show(plots.plot_panels([torch.eye(20) - 0.5]), "A diagonal.")
    first, second = (data["image/png"] for data, _ in published)
    assert first == second
    assert not Image.open(io.BytesIO(first)).text  # type: ignore[attr-defined]  # a PNG's comments


def test_show_changes_no_pixel_of_grey_figures_and_of_photographs_in_colour(published: list[Any]) -> None:
    photograph = torch.rand(3, 200, 200, generator=torch.Generator().manual_seed(0))
    for panel, mode in ((photograph[0], "L"), (photograph, "RGB")):
        plots.show(plots.plot_panels([panel]), "Noise.")
        shown = Image.open(io.BytesIO(published[-1][0]["image/png"]))
        assert shown.mode == mode
        assert np.array_equal(np.asarray(shown.convert("RGB")), saved(panel))


def test_show_keeps_the_colours_of_a_map_beside_a_grey_photograph(published: list[Any]) -> None:
    generator = torch.Generator().manual_seed(0)
    edges = torch.randn(128, 128, generator=generator) ** 3  # strong colours are rare, as in a map of edges
    panels = torch.rand(128, 128, generator=generator), edges
    plots.show(plots.plot_panels(panels), "Noise and edges.")
    shown = Image.open(io.BytesIO(published[0][0]["image/png"]))
    assert shown.mode == "P"
    error = np.abs(np.asarray(shown.convert("RGB")).astype(int) - saved(*panels)).max(axis=-1)
    assert error.mean() < 1
    assert error.max() < 64  # of 255; a palette of the frequent colours only is off by more than 100


def test_images_are_shown_on_the_scale_of_their_type() -> None:
    grey = torch.tensor([[[[0, 128, 255]]]], dtype=torch.uint8)
    axis = plots.plot_images(grey).axes[0]
    assert axis.images[0].get_clim() == (0, 255)
    assert plots.plot_images(grey.float() / 255).axes[0].images[0].get_clim() == (0, 1)


def test_colour_images_keep_their_colours() -> None:
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


def test_a_small_table_shows_its_rounded_numbers_and_a_wide_one_only_colours() -> None:
    small, wide = plots.plot_panels([torch.tensor([[1.0, -0.125], [1 / 3, 2.0]]), torch.ones(2, 13)]).axes
    assert [text.get_text() for text in small.texts] == ["1", "-0.12", "0.33", "2"]
    assert not wide.texts


def test_numbers_are_white_on_dark_cells_and_black_on_light_ones() -> None:
    [grey] = plots.plot_panels([torch.tensor([[0.0, 1.0]])]).axes
    [signed] = plots.plot_panels([torch.tensor([[-1.0, 0.1, 1.0]])]).axes
    assert [text.get_color() for text in grey.texts] == ["white", "black"]
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
    plain, boxed = plots.plot_panels([torch.ones(8, 8)] * 2, boxes={1: (2, 3, 4, 1)}).axes
    assert not plain.patches
    box = boxed.patches[0].get_bbox()
    assert (box.x0, box.x1, box.y0, box.y1) == (2.5, 3.5, 1.5, 5.5)  # column 3 and rows 2 to 5: pixels reach half out
