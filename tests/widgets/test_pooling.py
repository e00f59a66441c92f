"""The explorer of pooling and dropout, without a browser: what it says at first is torch's; images that do not fit."""

import pytest
import torch
from torch.nn import functional as F

from course_lib.widgets import pooling_explorer


def test_the_first_picture_is_torchs_pooling() -> None:
    page = pooling_explorer()
    image = torch.tensor(page.state["image"])
    pooled = F.max_pool2d(image[None], 2)[0]
    assert page.summary.startswith(f"The largest numbers of 2x2 windows, 4x4 of them, with mean {pooled.mean():g}. ")
    assert f'alt="{page.summary}"' in page.still
    assert page.html() == pooling_explorer().html()
    assert len(page.html().encode()) < 100_000


def test_moved_by_one_pixel_maxima_stay_and_means_do_not_and_by_a_window_both_move() -> None:
    image = torch.tensor(pooling_explorer().state["image"])[None]
    by_one, by_two = image.roll(1, dims=2), image.roll(2, dims=2)
    assert torch.equal(F.max_pool2d(image, 2), F.max_pool2d(by_one, 2))
    assert not torch.equal(F.avg_pool2d(image, 2), F.avg_pool2d(by_one, 2))
    for pool in (F.max_pool2d, F.avg_pool2d):
        assert torch.equal(pool(image, 2).roll(1, dims=2), pool(by_two, 2))


def test_an_image_of_ones_own_is_taken_as_it_is() -> None:
    image = torch.arange(35.0).view(5, 7)
    assert pooling_explorer(image).state["image"] == image.tolist()


@pytest.mark.parametrize("shape", [(3, 8), (8, 17), (1, 8, 8), (8,)])
def test_an_image_that_does_not_fit_is_refused_with_its_shape(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"expected an image .* 4 to 16 .*, got \(.*; cut a piece out of it"):
        pooling_explorer(torch.zeros(shape))
