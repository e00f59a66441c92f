import pytest

from course_lib import plots


def test_a_walk_marks_the_pixels_that_each_output_reads() -> None:
    plain, padded = plots.plot_walks(
        {"kernel 2": [(0, 1), (1, 2)], "padded, stride 2": [(0, 1), (2, 3)]}, size=3, paddings=[0, 1]
    ).axes
    assert plain.collections[0].get_array().tolist() == [[1, 1, 0], [0, 1, 1]]
    assert padded.collections[0].get_array().tolist() == [[1, 1, 0, 0, 0], [0, 0, 1, 1, 0]]


def test_a_walk_counts_from_the_first_real_pixel_and_hatches_the_zeros() -> None:
    plain, padded = plots.plot_walks({"plain": [(0,)], "padded": [(0,)]}, size=2, paddings=[0, 2]).axes
    assert [label.get_text() for label in padded.get_xticklabels()] == ["-2", "-1", "0", "1", "2", "3"]
    hatched = [(patch.get_bbox().x0, patch.get_bbox().x1) for patch in padded.patches]
    assert hatched == [(0, 2), (4, 6)]
    assert not plain.patches


def test_bars_are_as_long_as_their_shares_in_percent() -> None:
    panels = plots.plot_shares(["convolution", "head"], {"weights": [1, 7], "multiply-adds": [300, 100]}).axes
    assert [[bar.get_width() for bar in axis.patches] for axis in panels] == [[12.5, 87.5], [75, 25]]
    assert [text.get_text() for text in panels[0].texts] == ["12.5 %", "87.5 %"]
    assert panels[0].get_ylim()[0] > panels[0].get_ylim()[1]  # the first name on top


def test_a_fourth_quantity_is_refused_rather_than_left_blank() -> None:
    with pytest.raises(ValueError, match="draw 3 at most"):
        plots.plot_shares(["fc1"], dict.fromkeys("abcd", (1.0,)))
