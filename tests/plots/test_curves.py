import numpy as np
import pytest
import torch
from sklearn.metrics import roc_curve

from course_lib import plots
from course_lib.metrics import reliability


def test_curves_of_different_lengths_keep_all_their_points_and_show_few_markers() -> None:
    long, short = (range(300), range(300)), ((0, 299), (0.7, 0.7))
    lines = plots.plot_curves({"loss": long, "guessing": short}, xlabel="step", ylabel="loss").axes[0].lines
    assert [len(line.get_xdata()) for line in lines] == [300, 2]
    assert [len(line.get_xdata()) // line.get_markevery() for line in lines] == [20, 2]


def test_panels_share_their_height_and_a_curve_looks_alike_in_all_that_have_it() -> None:
    here = {"training": ((1, 2), (0.7, 0.6)), "validation": ((1, 2), (0.9, 0.8))}
    there = {"validation": ((1, 5), (0.5, 0.1))}
    ranges = {"there": {"validation": ([0.4, 0.0], [0.6, 0.2])}}
    figure = plots.plot_curve_panels(
        {"here": here, "there": there}, title="Losses", xlabel="epoch", ylabel="loss", ranges=ranges
    )
    left, right = figure.axes
    assert left.get_ylim() == right.get_ylim()
    assert [axis.get_title() for axis in figure.axes] == ["here", "there"]
    assert [line.get_color() for line in left.lines] == [line.get_color() for line in right.lines]
    np.testing.assert_allclose(right.lines[1].get_ydata(), [0.5, 0.1])
    band = right.collections[0].get_paths()[0].vertices
    assert (band[:, 1].min(), band[:, 1].max()) == (0.0, 0.6)
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["training", "validation"]


def test_two_epochs_are_ticked_as_1_and_2_and_fractions_where_x_has_them() -> None:
    def ticks(*x: float) -> list[float]:
        axis = plots.plot_curves({"loss": (x, x)}, xlabel="epoch", ylabel="loss").axes[0]
        low, high = axis.get_xlim()
        return [tick for tick in axis.get_xticks() if low <= tick <= high]

    assert ticks(1, 2) == [1, 2]
    assert len(ticks(0, 0.5, 1)) > 2


def test_learning_rates_are_told_apart_on_a_logarithmic_axis() -> None:
    rates = (1e-4, 1e-3, 1e-2)
    axis = plots.plot_curves({"loss": (rates, (3, 2, 1))}, xlabel="rate", ylabel="loss", log_x=True).axes[0]
    places = axis.transData.transform([(rate, 1) for rate in rates])[:, 0]
    np.testing.assert_allclose(places[1] - places[0], places[2] - places[1])


def test_few_places_of_a_logarithmic_axis_are_named_by_their_numbers() -> None:
    counts = (40, 160, 640)
    axis = plots.plot_curves({"probe": (counts, (1, 2, 3))}, xlabel="images", ylabel="accuracy", log_x=True).axes[0]
    assert [label.get_text() for label in axis.get_xticklabels()] == ["40", "160", "640"]
    assert len(axis.get_xticks(minor=True)) == 0


def test_a_single_curve_needs_no_legend() -> None:
    one = {"loss": ((1, 2), (0.7, 0.6))}
    figures = [
        plots.plot_curves(curves, xlabel="epoch", ylabel="loss") for curves in (one, {**one, "again": one["loss"]})
    ]
    assert [len(figure.legends) for figure in figures] == [0, 1]


def test_a_seventh_curve_is_refused_rather_than_dropped() -> None:
    with pytest.raises(ValueError, match="draw 6 at most"):
        plots.plot_curves(dict.fromkeys("abcdefg", ((1, 2), (1, 2))), xlabel="x", ylabel="y")


def test_the_roc_curve_passes_through_scikit_learns_points() -> None:
    generator = torch.Generator().manual_seed(0)
    probs = (torch.rand(200, generator=generator) * 20).round() / 20  # with ties
    labels = (torch.rand(200, generator=generator) < probs).long()
    line = plots.plot_roc(probs, labels, threshold=0.5).axes[0].lines[1]
    alarms, hits, _ = roc_curve(labels, probs, drop_intermediate=False)
    np.testing.assert_allclose(line.get_xdata(), alarms)
    np.testing.assert_allclose(line.get_ydata(), hits)


def test_reliability_diagrams_stand_beside_each_other_under_their_titles() -> None:
    labels = torch.tensor([0, 1, 1, 1])
    sure, unsure = torch.tensor([0.0, 0.0, 1.0, 1.0]), torch.tensor([0.4, 0.4, 0.6, 0.6])
    diagrams = {"before": reliability(sure, labels), "after": reliability(unsure, labels)}
    before, after = plots.plot_reliability(diagrams).axes
    assert (before.get_title(), after.get_title()) == ("before", "after")
    assert before.get_ylim() == after.get_ylim()
    for axis, probs in ((before, (0.0, 1.0)), (after, (0.4, 0.6))):
        np.testing.assert_allclose(axis.lines[1].get_xydata(), [(probs[0], 0.5), (probs[1], 1.0)], atol=1e-6)


def test_the_history_shows_auc_where_there_is_one_and_else_accuracy() -> None:
    columns = {"train_loss": [2.0, 1.0], "val_loss": [2.0, 1.5], "val_accuracy": [0.5, 0.6]}
    assert plots.plot_history(columns).axes[1].get_ylabel() == "validation accuracy"
    assert plots.plot_history({**columns, "val_auc": [0.5, 0.7]}).axes[1].get_ylabel() == "validation AUC"
