"""The explorer of a convolution before any script runs: its first state, and images that it refuses."""

import pytest
import torch

from course_lib.widgets import convolution_explorer


def test_the_first_window_is_that_of_torch() -> None:
    image = torch.arange(35.0).view(5, 7).sqrt()
    page = convolution_explorer(image)
    conv = torch.nn.Conv2d(1, 1, 3, bias=False)
    conv.weight.data[:] = torch.tensor([-1.0, 0.0, 1.0])
    answer = conv(image[None, None])[0, 0, 0, 0].item()
    assert f"the sum of nine products is {answer:g}. The output has 3x5 numbers." in page.summary
    assert page.state["image"] == [image.tolist()]


def test_the_picture_says_in_words_what_it_shows() -> None:
    page = convolution_explorer()
    assert '<img src="data:image/png;base64,' in page.still
    assert page.still.count(page.summary.replace('"', "&quot;")) == 2  # for those who hear it, and below it
    assert page.html() == convolution_explorer().html()


@pytest.mark.parametrize("shape", [(8,), (2, 8), (13, 8), (4, 8, 8), (1, 1, 8, 8)])
def test_another_shape_is_refused_with_what_would_do(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"expected an image .* got \(.*; cut a piece out of it"):
        convolution_explorer(torch.zeros(shape))
