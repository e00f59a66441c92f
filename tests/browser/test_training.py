"""The explorer of training: its numbers are torch's, it learns from every start, all means of input do all."""

import random
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import torch
from browser.explorers import call, expect_good_manners, open_page, said
from torch import Tensor, nn
from torch.nn import functional as F

from course_lib.widgets import training_explorer

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Locator, Page

STATE = training_explorer().state


def numbers(nested: Sequence[Any]) -> Tensor:
    return torch.tensor(nested, dtype=torch.float64)


def drawn_cases(count: int) -> list[tuple[Tensor, Tensor, Tensor, dict[str, float]]]:
    """Images (N, 1, H, W), targets (N, 2, H - 2, W - 2), weights (2, 1, 3, 3), and a setting."""
    draw, cases = random.Random(0), []
    for seed in range(count):
        generator = torch.Generator().manual_seed(seed)

        def normal(*shape: int, by: Any = generator) -> Tensor:
            return torch.randn(shape, generator=by, dtype=torch.float64)

        images = normal(draw.randint(1, 8), 1, draw.randint(3, 12), draw.randint(3, 12)) * 10 ** draw.uniform(-1, 1)
        setting = {"rate": 10 ** draw.uniform(-3, 0.5), "momentum": draw.choice([0, draw.uniform(0, 0.99)])}
        cases.append((images, F.conv2d(images, normal(2, 1, 3, 3)), normal(2, 1, 3, 3), setting))
    return cases


def test_loss_and_gradient_are_those_of_torchs_autograd(page: "Page") -> None:
    cases = drawn_cases(250)
    plain = [(images[:, 0].tolist(), targets.tolist(), weight[:, 0].tolist()) for images, targets, weight, _ in cases]
    maps = call(page, "training", "forward", [(images, weight) for images, _, weight in plain])
    losses = call(page, "training", "loss", [(made, one[1]) for made, one in zip(maps, plain, strict=True)])
    given = [(one[0], made, one[1]) for made, one in zip(maps, plain, strict=True)]
    gradients = call(page, "training", "gradient", given)
    for made, loss, gradient, (images, targets, weight, _) in zip(maps, losses, gradients, cases, strict=True):
        weight.requires_grad_()
        wanted = F.conv2d(images, weight)
        F.mse_loss(wanted, targets).backward()
        sizes = F.conv2d(images.abs(), weight.abs()).detach()
        assert bool(((numbers(made) - wanted).abs() <= 1e-6 * sizes).all())
        apart = sizes + targets.abs()
        assert abs(loss - F.mse_loss(wanted, targets).item()) <= 1e-6 * (apart**2).mean().item()
        sums = F.conv2d(images.abs().transpose(0, 1), apart.transpose(0, 1))[0]  # (2, 3, 3): images as channels
        assert bool(((numbers(gradient) - weight.grad[:, 0]).abs() <= 1e-6 * 2 / targets.numel() * sums).all())


def test_weights_after_some_steps_are_those_of_torchs_sgd(page: "Page") -> None:
    cases = drawn_cases(250)
    steps = [1 + number % 8 for number in range(len(cases))]
    given = [
        (images[:, 0].tolist(), targets.tolist(), {"filters": weight[:, 0].tolist()}, setting, count)
        for (images, targets, weight, setting), count in zip(cases, steps, strict=True)
    ]
    found = call(page, "training", "train", given)
    for result, count, (images, targets, weight, setting) in zip(found, steps, cases, strict=True):
        weight.requires_grad_()
        optimizer = torch.optim.SGD([weight], lr=setting["rate"], momentum=setting["momentum"])
        for _ in range(count):
            before = weight.detach().clone()
            optimizer.zero_grad()
            F.mse_loss(F.conv2d(images, weight), targets).backward()
            optimizer.step()
        moved = optimizer.state[weight].get("momentum_buffer", weight.grad) if setting["momentum"] else weight.grad
        sizes = before.abs() + setting["rate"] * moved.abs()
        sizes = sizes.amax(dim=(1, 2, 3), keepdim=True)  # a weight near 0 is a sum of parts as large as its neighbors
        assert bool(((numbers(result["filters"]) - weight[:, 0]).abs() <= 1e-6 * sizes[:, 0]).all())
        assert len(result["losses"]) == count
        assert result["losses"][-1] == pytest.approx(F.mse_loss(F.conv2d(images, weight), targets).item(), rel=1e-6)


def test_a_seed_is_torchs(page: "Page") -> None:
    seeds = [*range(200), 9999]
    for seed, filters in zip(seeds, call(page, "training", "drawFilters", [(seed, 2) for seed in seeds]), strict=True):
        torch.manual_seed(seed)
        assert torch.allclose(torch.tensor(filters), nn.Conv2d(1, 2, 3).weight[:, 0], rtol=0, atol=1e-7)


def first_targets() -> list[Any]:
    kernels = numbers([STATE["kernels"][index]["table"] for index in STATE["targets"]])
    return F.conv2d(numbers(STATE["images"])[:, None], kernels[:, None]).tolist()


def test_from_twenty_starts_it_learns_both_kernels_in_320_steps(page: "Page") -> None:
    starts = call(page, "training", "drawFilters", [(seed, 2) for seed in range(20)])
    setting = {"rate": STATE["rate"], "momentum": STATE["momentum"]}
    given = [(STATE["images"], first_targets(), {"filters": start}, setting, 320) for start in starts]
    designed = numbers([STATE["kernels"][index]["table"] for index in STATE["targets"]])
    apart = [(numbers(one["filters"]) - designed).abs().max() for one in call(page, "training", "train", given)]
    assert max(apart) < 0.05


def test_the_largest_curvature_is_the_hessians_and_decides_what_settles(page: "Page") -> None:
    images, start = numbers(STATE["images"])[:, None], torch.zeros(2, 1, 3, 3, dtype=torch.float64)

    def loss(weight: Tensor) -> Tensor:
        return F.mse_loss(F.conv2d(images, weight), numbers(first_targets()))

    hessian = torch.autograd.functional.hessian(loss, start).reshape(18, 18)
    ((curvature),) = call(page, "training", "largestCurvature", [(STATE["images"], start[:, 0].tolist())])
    assert curvature == pytest.approx(torch.linalg.eigvalsh(hessian).max().item(), rel=1e-6)
    for momentum in (0, 0.5):
        bound = 2 * (1 + momentum) / curvature
        settings = [{"rate": bound * part, "momentum": momentum} for part in (0.98, 1.02)]
        given = [(STATE["images"], first_targets(), {"filters": start[:, 0].tolist()}, one, 2000) for one in settings]
        below, above = (one["losses"][-1] for one in call(page, "training", "train", given))
        assert below < 1e-6
        assert above > 1e6


def use(explorer: "Locator") -> None:
    """With mouse and keyboard: train, stop, start elsewhere, type a start and a target; advice on divergence."""
    keyboard = explorer.page.keyboard
    first = said(explorer)
    assert first.startswith(
        "Step 0: loss 1.61. Largest difference from the designed kernel: 1.911 in filter 0 (vertical"
    )
    step, play = (explorer.get_by_role("button", name=name) for name in ("Step", "Play"))
    step.click()
    assert said(explorer).startswith("Step 1: loss ")
    explorer.get_by_label("steps per frame").fill("10")
    play.focus()
    keyboard.press("Enter")
    explorer.get_by_text("learned. No weight is more than 0.01").wait_for()
    play.wait_for()  # it has stopped by itself
    assert explorer.locator("[role=status]").get_attribute("aria-live") == "polite"
    weights = [explorer.get_by_label(f"filter 0, weight 0, {column}", exact=True) for column in range(3)]
    assert [float(one.input_value()) for one in weights] == pytest.approx([-1, 0, 1], abs=0.011)
    explorer.get_by_role("button", name="Restart").click()
    assert said(explorer) == first
    explorer.get_by_role("button", name="Another start").click()
    assert said(explorer).startswith("Random start 1. Step 0: loss ")
    seed = explorer.get_by_label("seed")
    seed.fill("-1")
    assert said(explorer) == 'seed: a whole number from 0 to 9999 is expected, but "-1" was typed; 1 stays.'
    seed.fill("0")
    assert said(explorer) == f"Random start 0. {first}"
    weights[0].fill("0.5")
    assert said(explorer).startswith("A start of your own. Step 0: loss ")
    weights[0].press("ArrowUp")
    assert weights[0].input_value() == "0.6"
    step.click()
    explorer.get_by_role("button", name="Restart").click()
    assert weights[0].input_value() == "0.6"
    rate = explorer.get_by_label("learning rate")
    rate.fill("1000")
    assert said(explorer) == 'learning rate: a number from 0 to 100 is expected, but "1000" was typed; 0.5 stays.'
    rate.fill("0")
    assert said(explorer).endswith("With a learning rate of 0 no weight moves.")
    rate.fill("3")
    assert said(explorer) == "From step 0 on: learning rate 3, momentum 0."
    play.click()
    explorer.get_by_text("the learning rate 3 is too large. Below 2(1 + 0)/1.7").wait_for()
    play.wait_for()
    assert said(explorer).endswith("Choose a smaller one, then Restart.")
    rate.fill("0.5")
    step.click()
    assert said(explorer) == "The loss is too large to go on from here; Restart begins again at step 0."
    explorer.get_by_label("momentum").fill("0.9")
    explorer.get_by_role("button", name="Restart").click()
    explorer.get_by_label("designed kernel 1, weight 1, 1").fill("3")
    assert explorer.get_by_label("designed kernel for filter 1").evaluate("list => list.value") == "edited"
    assert said(explorer).startswith("A new target. Step 0: loss ")
    explorer.get_by_label("designed kernel for filter 0").select_option("blur")
    play.click()
    explorer.get_by_text("learned.").wait_for()
    assert explorer.get_by_label("filter 1, weight 1, 1", exact=True).input_value() in ("2.99", "3", "3.01")
    assert explorer.get_by_label("filter 0, weight 2, 2", exact=True).input_value() in ("0.1", "0.11", "0.12")
    explorer.get_by_label("image 0", exact=True).and_(explorer.get_by_role("radio")).focus()
    keyboard.press("ArrowRight")
    assert said(explorer).startswith("Image 1 is shown. Step ")
    explorer.get_by_role("radio", name="image 5").click()
    assert explorer.get_by_role("img", name="target map of filter 0 for image 5").is_visible()
    explorer.get_by_role("button", name="Reset").click()
    assert said(explorer) == first


def test_everything_works_without_kernel_and_network(page: "Page", tmp_path: Path) -> None:
    explorer = open_page(page, training_explorer(), tmp_path)
    use(explorer)
    expect_good_manners(page)
    for _ in range(20):
        explorer.get_by_role("button", name="Step").click()
    expect_good_manners(page)


def test_while_it_plays_it_does_not_talk(page: "Page", tmp_path: Path) -> None:
    explorer = open_page(page, training_explorer(), tmp_path)
    explorer.get_by_role("button", name="Play").click()
    assert explorer.locator("[role=status]").get_attribute("aria-live") == "off"
    explorer.get_by_label("filter 1, weight 2, 2", exact=True).focus()  # to be typed into, it has to hold still
    assert said(explorer).startswith("Stopped. Step ")
    assert explorer.locator("[role=status]").get_attribute("aria-live") == "polite"


@pytest.mark.parametrize("less", [True, False])
def test_with_less_motion_it_is_drawn_once_in_a_second(browser: "Browser", less: bool, tmp_path: Path) -> None:
    with browser.new_context(reduced_motion="reduce" if less else "no-preference") as context:
        explorer = open_page(context.new_page(), training_explorer(), tmp_path)
        explorer.page.clock.install()
        explorer.get_by_role("button", name="Play").click()
        explorer.page.clock.run_for(900)
        assert said(explorer).startswith("Step 0: ") == less
        explorer.page.clock.run_for(200)
        assert not said(explorer).startswith("Step 0: ")


def test_it_fits_a_laptops_screen(page: "Page", tmp_path: Path) -> None:
    explorer = open_page(page, training_explorer(), tmp_path)
    page.set_viewport_size({"width": 930, "height": 620})  # what JupyterLab leaves of 1366x768 beside its list of files
    explorer.get_by_label("learning rate").fill("3")
    explorer.get_by_label("steps per frame").fill("10")
    explorer.get_by_role("button", name="Play").click()
    explorer.get_by_text("too large").wait_for()
    assert explorer.bounding_box()["height"] <= 620
