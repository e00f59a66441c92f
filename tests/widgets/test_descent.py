"""The explorer of gradient descent, from Python: its first picture and sentence are torch's."""

import torch

from course_lib.widgets import descent_explorer


def test_its_first_sentence_is_that_of_torchs_sgd() -> None:
    page = descent_explorer()
    place = torch.tensor(page.state["start"], requires_grad=True)
    curvatures = torch.tensor(page.state["curvatures"])
    optimizer = torch.optim.SGD([place], lr=page.state["rate"], momentum=page.state["momentum"])
    first = (place**2 @ curvatures / 2).item()
    for _ in range(page.state["steps"]):
        optimizer.zero_grad()
        (place**2 @ curvatures / 2).backward()
        optimizer.step()
    last = (place**2 @ curvatures / 2).item()
    assert f"the loss falls from {first:.3g} to {last:.3g} in 20 steps" in page.summary
    assert f'alt="{page.summary}"' in page.still


def test_the_same_page_comes_twice() -> None:
    assert descent_explorer().html() == descent_explorer().html()
