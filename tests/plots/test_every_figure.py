import numpy as np
import pytest
import torch
from matplotlib._pylab_helpers import Gcf
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from course_lib import plots
from course_lib.metrics import reliability


def drawn(figure: Figure) -> np.ndarray:
    """The picture that a reader sees, (H, W, 4)."""
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())


@pytest.mark.parametrize(
    "figure",
    [
        plots.plot_images(torch.rand(7, 1, 8, 8), list("abcdefg")),
        plots.plot_maps(torch.randn(3, 5, 5), list("abc")),
        plots.plot_overlay(torch.rand(1, 8, 8), torch.rand(8, 8), title="PNEUMONIA 0.93"),
        plots.plot_heat_maps(torch.rand(2, 1, 8, 8), {"saliency": torch.rand(2, 8, 8)}),
        plots.plot_seeds({"plain": [0.4, 0.5], "changed": [0.6]}, xlabel="accuracy"),
        plots.plot_history({"train_loss": [2.0, 1.0], "val_loss": [2.0, 1.5], "val_auc": [0.5, 0.7]}),
        plots.plot_confusion([[3, 1], [0, 4]], ["NORMAL", "PNEUMONIA"]),
        plots.plot_roc(torch.tensor([0.1, 0.4, 0.8]), torch.tensor([0, 1, 1]), threshold=0.5),
        plots.plot_reliability(
            dict.fromkeys(("before", "after"), reliability(torch.tensor([0.1, 0.4, 0.8]), torch.tensor([0, 1, 1])))
        ),
        plots.plot_panels([torch.rand(8, 8), torch.randn(20, 20), torch.rand(3, 8, 8)], list("abc"), columns=2),
        plots.plot_panels([torch.rand(9, 9) for _ in range(5)], ["step 0\nloss 3.5"] * 5, columns=5),
        plots.plot_panels([torch.rand(99, 99) for _ in range(5)], ["9x9\n81 products"] * 5, columns=5),
        plots.plot_walks({"kernel 2": [(0, 1), (1, 2)]}, size=3, paddings=[1]),
        plots.plot_shares(["convolution", "head"], {"weights": [1, 7]}),
        plots.plot_curves({"loss": ((1, 2), (0.7, 0.6))}, xlabel="epoch", ylabel="loss"),
        plots.plot_curve_panels({"here": {"loss": ((1, 2), (0.7, 0.6))}}, title="Two", xlabel="epoch", ylabel="loss"),
    ],
)
def test_every_figure_draws_something_and_cuts_nothing_off_and_pyplot_knows_nothing_of_it(figure: Figure) -> None:
    pixels = drawn(figure)
    assert pixels[..., :3].std() > 5
    assert all((edge == 255).all() for edge in (pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]))
    assert not Gcf.figs
