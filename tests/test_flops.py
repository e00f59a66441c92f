"""Counted arithmetic, against counts by hand and torch's own counter."""

import itertools
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

from course_lib import flops
from course_lib.anatomy import trace_shapes
from course_lib.flops import TrainingFlops, count_flops, describe_arithmetic, in_units, peak_flops
from course_lib.models import OFFLINE, CompactCNN, FastCNN, transfer_model
from course_lib.muon import orthogonalize
from course_lib.runtime import Precision

FLOAT32 = Precision("cpu", None)
# For two images of 3 x 8 x 8: 2 * 8 * 8 places times 4 * 3 * 3 * 3 weights, and two rows times 256 * 5 weights.
CONV, LINEAR = 2 * 128 * 108, 2 * 2 * 1280


def two_layers() -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.ReLU(), nn.Flatten(), nn.Linear(256, 5))


def test_a_small_network_costs_what_a_count_by_hand_says() -> None:
    model, images = two_layers(), torch.rand(2, 3, 8, 8)
    assert count_flops(lambda: model(images)) == CONV + LINEAR
    # Backward, each layer's weights and the dense layer's input; nothing needs the gradient of the images.
    assert count_flops(lambda: model(images).sum().backward()) == 2 * CONV + 3 * LINEAR
    images.requires_grad_()
    assert count_flops(lambda: model(images).sum().backward()) == 3 * CONV + 3 * LINEAR


def test_frozen_layers_cost_only_what_the_others_need_of_them() -> None:
    model, images = two_layers(), torch.rand(2, 3, 8, 8)
    model[0].requires_grad_(False)
    assert count_flops(lambda: model(images).sum().backward()) == CONV + 2 * LINEAR
    model[0].requires_grad_(True)
    model[3].requires_grad_(False)
    assert count_flops(lambda: model(images).sum().backward()) == 2 * CONV + 2 * LINEAR


@pytest.mark.parametrize(("model", "shape"), [(CompactCNN(), (2, 1, 48, 48)), (FastCNN((8, 16)), (3, 3, 16, 16))])
def test_a_forward_pass_is_two_flop_for_each_traced_multiply_add(model: nn.Module, shape: tuple[int, ...]) -> None:
    assert count_flops(lambda: model(torch.zeros(shape))) == 2 * trace_shapes(model, shape).multiply_adds


@pytest.mark.parametrize("layer", [nn.Conv1d, nn.Conv2d, nn.ConvTranspose2d])
@pytest.mark.parametrize("groups", [1, 2, 4])
def test_a_grouped_convolution_costs_as_much_as_its_groups_one_by_one(layer: type[nn.Module], groups: int) -> None:
    def torchs_count(channels: int) -> int:
        images = torch.rand(2, channels, *[9] * (1 if layer is nn.Conv1d else 2), requires_grad=True)
        with FlopCounterMode(display=False) as counter:
            layer(channels, channels, 3, stride=2)(images).sum().backward()
        return counter.get_total_flops()

    whole, images = layer(8, 8, 3, stride=2, groups=groups), torch.rand(2, 8, 9, 9, requires_grad=True)
    images = images[:, :, 0] if layer is nn.Conv1d else images
    assert count_flops(lambda: whole(images).sum().backward()) == groups * torchs_count(8 // groups)


def test_muons_update_is_counted_as_the_products_that_it_is() -> None:
    # Three products a step: a 4 x 27 matrix with its mirror image, 4 x 4 with 4 x 4, and 4 x 4 with 4 x 27.
    assert count_flops(lambda: orthogonalize(torch.rand(4, 27), steps=5)) == 5 * 2 * (4 * 27 * 4 + 4**3 + 4 * 4 * 27)


def test_operators_that_torch_must_take_apart_are_counted_where_no_training_depends_on_it() -> None:
    model, images = two_layers(), torch.rand(2, 3, 8, 8)
    with torch.inference_mode():
        assert count_flops(lambda: model(images)) == CONV + LINEAR


def training_step(model: nn.Module, images: Tensor) -> Callable[[], None]:
    return lambda: F.cross_entropy(model(images), torch.zeros(len(images), dtype=torch.long)).backward()


def test_steps_of_every_size_and_phase_are_counted_as_what_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    model, training, expected, counters = CompactCNN(widths=(4, 8)), TrainingFlops(), 0, []
    real = flops.FlopCounterMode
    for size, batches, frozen in ((16, (4, 4, 2), False), (8, (4, 4, 2), False), (16, (4, 4, 2), True)):
        model.blocks[0].requires_grad_(not frozen)
        for batch in batches:
            step = training_step(model, torch.rand(batch, 1, size, size))
            expected += count_flops(step)
            with monkeypatch.context() as patch:
                patch.setattr(flops, "FlopCounterMode", lambda **given: counters.append(real(**given)) or counters[-1])
                with training.step(model, torch.empty(batch, 1, size, size)):
                    step()
    assert training.spent == expected
    assert len(counters) == 6  # whole and short batches, three times


@pytest.mark.parametrize(
    "network",
    [lambda: FastCNN((8, 16)), lambda: transfer_model(OFFLINE, 10, image_size=32, weights="random")],
    ids=["FastCNN", OFFLINE],
)
def test_a_counted_step_does_the_same_as_any_other_to_the_last_bit(network: Callable[[], nn.Module]) -> None:
    def weights(counted: bool) -> list[Tensor]:
        torch.manual_seed(0)
        model, images, training = network(), torch.rand(4, 3, 16, 16), TrainingFlops()
        step = training_step(model, images)
        if counted:
            with training.step(model, images):
                step()
        else:
            step()
        return [*(p.grad for p in model.parameters()), *model.buffers()]

    assert all(torch.equal(a, b) for a, b in zip(weights(True), weights(False), strict=True))


def test_an_error_in_a_counted_step_leaves_nothing_behind() -> None:
    model = two_layers()
    with pytest.raises(RuntimeError, match="channels"):
        count_flops(lambda: model(torch.rand(2, 1, 8, 8)))
    assert not torch.nn.modules.module._global_forward_hooks
    assert count_flops(lambda: model(torch.rand(2, 3, 8, 8))) == CONV + LINEAR


@pytest.mark.filterwarnings("ignore:Using `torch.compile")  # which minds the hooks of the counter
def test_a_compiled_network_is_counted_as_written_and_compiled_afterwards() -> None:
    compiled = []

    def backend(graph: Any, inputs: Any) -> Any:
        compiled.append(graph)
        return graph.forward

    model, images = torch.compile(two_layers(), backend=backend), torch.rand(2, 3, 8, 8)
    assert count_flops(lambda: model(images).sum().backward()) == 2 * CONV + 3 * LINEAR
    assert not compiled
    model(images)
    assert len(compiled) == 1


@pytest.fixture
def half_seconds(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A clock by which everything takes half a second."""
    ticks = itertools.count()
    monkeypatch.setattr(flops.time, "perf_counter", lambda: next(ticks) / 2)


@pytest.mark.usefixtures("half_seconds")
def test_the_peak_is_the_flop_of_a_product_or_a_convolution_by_its_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    before = torch.get_rng_state()
    product = count_flops(lambda: torch.empty(512, 512) @ torch.empty(512, 512))  # larger ones would take longer still
    weight = torch.empty(256, 256, 3, 3)
    convolution = count_flops(lambda: F.conv2d(torch.empty(2, 256, 16, 16), weight, padding=1))
    assert flops._highest_rate(torch.device("cpu"), torch.float32)[0] == max(product, convolution) / 0.5
    monkeypatch.setattr(flops, "SIDES", (2048,))
    assert peak_flops(FLOAT32) == 64 * product / 0.5
    assert torch.equal(before, torch.get_rng_state())


def test_the_peak_is_measured_once_for_all_that_it_depends_on(monkeypatch: pytest.MonkeyPatch) -> None:
    measured = itertools.count(1)
    monkeypatch.setattr(flops, "_highest_rate", lambda device, dtype: (1e9 * next(measured), True))
    assert [peak_flops(FLOAT32) for _ in range(2)] == [1e9, 1e9]
    assert [peak_flops(Precision("cpu", torch.bfloat16)) for _ in range(2)] == [2e9, 2e9]
    monkeypatch.setattr(torch, "get_num_threads", lambda: 99)
    assert peak_flops(FLOAT32) == 3e9
    monkeypatch.setattr(torch, "__version__", "99.0")
    assert peak_flops(FLOAT32) == 4e9
    for name, peak in (("T4", 5e9), ("H200", 6e9), ("T4", 5e9)):
        monkeypatch.setattr(torch.cuda, "get_device_name", lambda device, name=name: name)
        assert peak_flops(Precision("cuda", torch.float16), "cuda") == peak


def test_a_peak_that_was_measured_on_a_busy_machine_is_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    measured = itertools.count(1)
    monkeypatch.setattr(flops, "_highest_rate", lambda device, dtype: (1e9 * next(measured), False))
    assert [peak_flops(FLOAT32) for _ in range(2)] == [1e9, 2e9]


@pytest.mark.parametrize(("worked", "undisturbed"), [(0.5, True), (0.1, False)])
@pytest.mark.usefixtures("half_seconds")
def test_a_product_is_undisturbed_where_its_threads_were_at_work(
    worked: float, undisturbed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    ticks = itertools.count()
    monkeypatch.setattr(flops.time, "process_time", lambda: next(ticks) * worked)
    assert flops._highest_rate(torch.device("cpu"), torch.float32)[1] is undisturbed


@pytest.mark.parametrize("damage", ["", "{", "[]", '{"flops_per_second": null}'])
def test_a_damaged_peak_is_measured_anew(damage: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(flops, "_highest_rate", lambda device, dtype: (1e9, True))
    peak_flops(FLOAT32)
    (path,) = (tmp_path / "course-data" / "cache").iterdir()
    path.write_text(damage)
    assert peak_flops(FLOAT32) == 1e9
    assert json.loads(path.read_text())["flops_per_second"] == 1e9


def test_where_no_cache_can_be_kept_the_peak_is_told_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("COURSE_DATA_DIR", str(tmp_path / "file"))
    monkeypatch.setattr(flops, "_highest_rate", lambda device, dtype: (1e9, True))
    assert peak_flops(FLOAT32) == 1e9
    assert "Going on without a cache" in capsys.readouterr().err


def test_arithmetic_is_told_with_two_digits_in_a_unit_that_suits() -> None:
    assert describe_arithmetic(4e12, seconds=2, peak=2e12) == "4 TFLOP, 100% of this machine's peak"
    assert describe_arithmetic(1e9, seconds=1, peak=3e11) == "1 GFLOP, 0.33% of this machine's peak"
    assert [in_units(flop) for flop in (0, 1e6, 9.96e14, 9.96e16)] == ["0 MFLOP", "1 MFLOP", "1 PFLOP", "100 PFLOP"]
