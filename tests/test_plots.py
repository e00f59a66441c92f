import numpy as np
import pytest
import torch
from matplotlib._pylab_helpers import Gcf
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from sklearn.metrics import roc_curve

from course_lib import plots
from course_lib.metrics import reliability


def drawn(figure: Figure) -> np.ndarray:
    """The picture that a reader sees, (H, W, 4)."""
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())


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


def test_the_roc_curve_passes_through_scikit_learns_points() -> None:
    generator = torch.Generator().manual_seed(0)
    probs = (torch.rand(200, generator=generator) * 20).round() / 20  # with ties
    labels = (torch.rand(200, generator=generator) < probs).long()
    line = plots.plot_roc(probs, labels, threshold=0.5).axes[0].lines[1]
    alarms, hits, _ = roc_curve(labels, probs, drop_intermediate=False)
    np.testing.assert_allclose(line.get_xdata(), alarms)
    np.testing.assert_allclose(line.get_ydata(), hits)


def test_the_history_shows_auc_where_there_is_one_and_else_accuracy() -> None:
    columns = {"train_loss": [2.0, 1.0], "val_loss": [2.0, 1.5], "val_accuracy": [0.5, 0.6]}
    assert plots.plot_history(columns).axes[1].get_ylabel() == "validation accuracy"
    assert plots.plot_history({**columns, "val_auc": [0.5, 0.7]}).axes[1].get_ylabel() == "validation AUC"


@pytest.mark.parametrize(
    "figure",
    [
        plots.plot_images(torch.rand(7, 1, 8, 8), list("abcdefg")),
        plots.plot_maps(torch.randn(3, 5, 5), list("abc")),
        plots.plot_overlay(torch.rand(1, 8, 8), torch.rand(8, 8), title="PNEUMONIA 0.93"),
        plots.plot_history({"train_loss": [2.0, 1.0], "val_loss": [2.0, 1.5], "val_auc": [0.5, 0.7]}),
        plots.plot_confusion([[3, 1], [0, 4]], ["NORMAL", "PNEUMONIA"]),
        plots.plot_roc(torch.tensor([0.1, 0.4, 0.8]), torch.tensor([0, 1, 1]), threshold=0.5),
        plots.plot_reliability(*reliability(torch.tensor([0.1, 0.4, 0.8]), torch.tensor([0, 1, 1]))),
    ],
)
def test_every_figure_draws_something_and_pyplot_knows_nothing_of_it(figure: Figure) -> None:
    pixels = drawn(figure)
    assert pixels[..., :3].std() > 5
    assert not Gcf.figs


def test_a_heat_map_of_zeros_draws_nothing_rather_than_noise() -> None:
    overlay = plots.plot_overlay(torch.rand(1, 8, 8), torch.zeros(8, 8)).axes[1].images[1]
    assert float(overlay.get_array().max()) == 0
