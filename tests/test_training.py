import copy
import io
import math
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import Tensor, nn
from torch.nn import functional as F
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.data import DataLoader

from course_lib.checkpoint import load_state, save_state
from course_lib.data import Augmentation, Batches, ImageSet, PhotoAugmentation, simulate_radiographs
from course_lib.flops import TrainingFlops
from course_lib.metrics import UndefinedMetricWarning
from course_lib.models import CompactCNN, PneumoniaCNN
from course_lib.muon import Muon
from course_lib.runtime import Precision
from course_lib.training import (
    DivergenceError,
    EarlyStopping,
    evaluate,
    extract_features,
    fit,
    linear_probe,
    train_one_epoch,
)
from course_lib.training.average import ExponentialAverage
from course_lib.training.epoch import _EpochLoss

FLOAT32 = Precision("cpu", None)
MakeSet = Callable[..., ImageSet]


def small_network(seed: int = 0) -> CompactCNN:
    torch.manual_seed(seed)
    return CompactCNN(widths=(8, 16))


def same_weights(first: nn.Module, second: nn.Module) -> bool:
    pairs = zip(first.state_dict().values(), second.state_dict().values(), strict=True)
    return all(torch.equal(a, b) for a, b in pairs)


def test_epoch_loss_counts_a_short_last_batch_by_its_samples(make_set: MakeSet) -> None:
    data = make_set(10)
    model = nn.Sequential(nn.Flatten(), nn.Linear(256, 2))
    frozen = torch.optim.SGD(model.parameters(), lr=0.0)
    loss = train_one_epoch(model, Batches(data, 4), frozen)  # batches of 4, 4 and 2
    expected = F.cross_entropy(model(data.images.float() / 255), data.labels)
    assert loss == pytest.approx(expected.item(), rel=1e-6)


def test_a_terminal_sees_the_epoch_its_loss_and_its_speed(
    make_set: MakeSet, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    terminal = io.StringIO()
    monkeypatch.setattr(terminal, "isatty", lambda: True, raising=False)
    monkeypatch.setattr(sys, "stderr", terminal)
    model = nn.Sequential(nn.Flatten(), nn.Linear(256, 2))
    frozen = torch.optim.SGD(model.parameters(), lr=0.0)
    loss = train_one_epoch(model, Batches(make_set(10), 10), frozen, description="epoch 2/3")
    assert "epoch 2/3:" in terminal.getvalue()
    assert re.search(rf"loss {loss:.3f}, \d+ images/s", terminal.getvalue())
    assert capsys.readouterr().out == ""


def test_one_epoch_takes_the_same_steps_as_the_loop_written_out(make_set: MakeSet) -> None:
    data = make_set(24)
    ours, theirs = small_network(), small_network()
    train_one_epoch(ours, Batches(data, 8), torch.optim.SGD(ours.parameters(), lr=0.1))
    optimizer = torch.optim.SGD(theirs.parameters(), lr=0.1)
    theirs.train()
    for start in range(0, 24, 8):
        logits = theirs(data.images[start : start + 8].float() / 255)
        optimizer.zero_grad()
        F.cross_entropy(logits, data.labels[start : start + 8]).backward()
        optimizer.step()
    for a, b in zip(ours.parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(a, b)


def test_one_batch_can_be_overfitted(make_set: MakeSet) -> None:
    data, model = make_set(16), small_network()
    fit(model, Batches(data, 16), Batches(data, 16), epochs=40, learning_rate=0.01, precision=FLOAT32)
    assert evaluate(model, Batches(data, 16)).accuracy == 1


def test_a_torch_data_loader_serves_as_well_as_batches(make_set: MakeSet) -> None:
    data, model = make_set(16), small_network()
    history = fit(model, DataLoader(data, 8, shuffle=True), DataLoader(data, 8), epochs=2)
    assert len(history.val_auc) == 2


def test_evaluation_agrees_with_torch_and_restores_each_modules_mode(make_set: MakeSet) -> None:
    data, model = make_set(10), small_network().train()
    model.blocks[0][1].eval()
    outcome = evaluate(model, Batches(data, 4))
    assert model.training
    assert not model.blocks[0][1].training
    logits = model.eval()(data.images.float() / 255)
    torch.testing.assert_close(outcome.logits, logits)
    assert outcome.loss == pytest.approx(F.cross_entropy(logits, data.labels).item(), rel=1e-5)
    assert outcome.accuracy == (logits.argmax(dim=1) == data.labels).float().mean().item()


def test_history_holds_the_auc_that_scikit_learn_finds(make_set: MakeSet) -> None:
    data, model = make_set(32), small_network()
    history = fit(model, Batches(data, 8, shuffle=True), Batches(data, 32), epochs=1, precision=FLOAT32)
    outcome = evaluate(model, Batches(data, 32))
    assert history.val_auc == [pytest.approx(roc_auc_score(data.labels, outcome.probs[:, 1]))]
    assert history.val_accuracy == [outcome.accuracy]


def test_many_classes_have_no_auc_in_the_history(make_set: MakeSet) -> None:
    data = make_set(12, channels=3, num_classes=3)
    model = CompactCNN(in_channels=3, num_classes=3, widths=(4,))
    assert "val_auc" not in fit(model, Batches(data, 6), Batches(data, 6), epochs=1).columns()


def test_the_learning_rate_rises_and_falls_as_one_cycle(make_set: MakeSet) -> None:
    rates: list[float] = []

    class Watched(torch.optim.AdamW):
        def step(self, closure: None = None) -> None:
            rates.append(self.param_groups[0]["lr"])
            super().step(closure)

    data = make_set(32)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch.optim, "AdamW", Watched)
        fit(small_network(), Batches(data, 4), Batches(data, 32), epochs=5, learning_rate=0.01, pct_start=0.25)
    assert len(rates) == 40
    assert rates.index(max(rates)) == 9  # a quarter of 40 steps
    assert max(rates) == pytest.approx(0.01)
    assert rates[-1] < 1e-6


@pytest.mark.parametrize("count", range(1, 9))
def test_any_number_of_steps_has_a_schedule(make_set: MakeSet, count: int) -> None:
    data = make_set(2 * count)
    fit(small_network(), Batches(data, 2), Batches(data, 8), epochs=1)


def test_class_weights_and_label_smoothing_reach_the_loss(make_set: MakeSet) -> None:
    data, weights = make_set(8), torch.tensor([1.0, 3.0])
    model = small_network()
    first = small_network().train()(data.images.float() / 255)
    expected = F.cross_entropy(first, data.labels, weight=weights, label_smoothing=0.1)
    history = fit(
        model,
        Batches(data, 8),
        Batches(data, 8),
        epochs=1,
        class_weights=weights,
        label_smoothing=0.1,
        precision=FLOAT32,
    )
    assert history.train_loss[0] == pytest.approx(expected.item(), rel=1e-5)


def test_averaged_weights_are_those_that_validation_sees_and_fit_returns(make_set: MakeSet) -> None:
    data, plain, averaged = make_set(32), small_network(), small_network()
    fit(plain, Batches(data, 8), Batches(data, 32), epochs=2, precision=FLOAT32)
    history = fit(averaged, Batches(data, 8), Batches(data, 32), epochs=2, ema_decay=0.9, precision=FLOAT32)
    assert not same_weights(plain, averaged)
    assert history.val_loss[-1] == pytest.approx(evaluate(averaged, Batches(data, 32)).loss, rel=1e-5)


def test_averaged_weights_are_those_of_torchs_exponential_mean() -> None:
    model = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4))
    ours = ExponentialAverage(model, 0.9)
    judge = AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(0.9), use_buffers=True)
    for _ in range(5):
        model(torch.rand(6, 3))
        for parameter in model.parameters():
            parameter.data.add_(torch.randn_like(parameter))
        ours.update_parameters(model)
        judge.update_parameters(model)
    for name, tensor in judge.state_dict().items():
        assert torch.equal(ours.state_dict()[name], tensor) or name.endswith("num_batches_tracked"), name
    assert int(ours.module[1].num_batches_tracked) == 5  # torch's rounds it down at each step


@pytest.mark.parametrize("ema_decay", [None, 0.5])
@pytest.mark.parametrize("pct_start", [None, 0.4])
@pytest.mark.parametrize("name", ["adamw", "muon"])
def test_fit_is_the_loop_written_out(
    make_set: MakeSet, name: Any, pct_start: float | None, ema_decay: float | None
) -> None:
    data, weights = make_set(20), torch.tensor([1.0, 3.0])
    train, val = Batches(data, 8, shuffle=True), Batches(data, 20)
    torch.manual_seed(0)
    # No bias before the batch norm: its gradient is a rounding error, which the optimizers make as large as any other.
    layers = nn.Conv2d(1, 4, 3, bias=False), nn.BatchNorm2d(4), nn.ReLU(), nn.AdaptiveAvgPool2d(2), nn.Flatten()
    ours = nn.Sequential(*layers, nn.Linear(16, 2))
    theirs = copy.deepcopy(ours)
    history = fit(
        ours, train, val, epochs=3, seed=4, optimizer_name=name, learning_rate=0.02, weight_decay=0.1,
        pct_start=pct_start, class_weights=weights, label_smoothing=0.2, ema_decay=ema_decay, precision=FLOAT32,
    )  # fmt: skip

    optimizers = {"adamw": torch.optim.AdamW, "muon": Muon}
    optimizer = optimizers[name](theirs.parameters(), lr=0.02, weight_decay=0.1)
    schedule = pct_start and torch.optim.lr_scheduler.OneCycleLR(
        optimizer, [group["lr"] for group in optimizer.param_groups], total_steps=9, pct_start=pct_start
    )
    mean = AveragedModel(theirs, multi_avg_fn=get_ema_multi_avg_fn(0.5), use_buffers=True)
    validated, train_losses, val_losses = theirs if ema_decay is None else mean.module, [0.0] * 3, []
    for epoch in range(3):
        torch.manual_seed(40_000 + epoch)
        theirs.train()
        for images, labels in train:
            loss = F.cross_entropy(theirs(images), labels, weight=weights, label_smoothing=0.2)
            train_losses[epoch] += loss.item() * len(labels) / 20
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            mean.update_parameters(theirs)
            if schedule:
                schedule.step()
        with torch.no_grad():
            logits = validated.eval()(data.images.float() / 255)
        val_losses.append(F.cross_entropy(logits, data.labels).item())
        validated.train()
    near = {"adamw": 1e-5, "muon": 2e-3}[name]  # Muon computes in bfloat16
    assert history.train_loss == pytest.approx(train_losses, rel=near)
    assert history.val_loss == pytest.approx(val_losses, rel=near)
    for found, expected in zip(ours.parameters(), validated.parameters(), strict=True):
        torch.testing.assert_close(found, expected, rtol=0, atol=near)  # of steps of 0.02


def test_the_defaults_of_fit_are_those_of_its_signature(make_set: MakeSet) -> None:
    data, plain, said = make_set(16), small_network(), small_network()
    fit(plain, Batches(data, 4, shuffle=True), Batches(data, 16), epochs=1)
    more = {"optimizer_name": "adamw", "learning_rate": 3e-3, "weight_decay": 0.05, "pct_start": 0.25, "seed": 0}
    fit(said, Batches(data, 4, shuffle=True), Batches(data, 16), epochs=1, **more)
    assert same_weights(plain, said)


def test_early_stopping_returns_the_best_epochs_weights(make_set: MakeSet) -> None:
    train, model = make_set(32), small_network()
    val = make_set(32)
    val.labels.copy_(val.labels.flip(0)[torch.randperm(32, generator=torch.Generator().manual_seed(1))])  # noise
    stopping = EarlyStopping("val_loss", patience=2)
    history = fit(
        model, Batches(train, 8), Batches(val, 32), epochs=30, learning_rate=0.02, early_stopping=stopping,
        precision=FLOAT32,
    )  # fmt: skip
    assert len(history.val_loss) < 30
    assert len(history.val_loss) - 1 - stopping.best_epoch(history.val_loss) == 2
    assert evaluate(model, Batches(val, 32)).loss == pytest.approx(min(history.val_loss), rel=1e-5)


def test_early_stopping_on_an_unknown_column_names_the_known_ones(make_set: MakeSet) -> None:
    data = make_set(8)
    with pytest.raises(ValueError, match=r"cannot monitor 'val_f1'; choose one of: train_loss, val_loss"):
        fit(small_network(), Batches(data, 8), Batches(data, 8), epochs=2, early_stopping=EarlyStopping("val_f1"))


def test_a_nan_loss_stops_with_the_batch_and_the_mend(make_set: MakeSet) -> None:
    class Poisoned(Batches):
        def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
            for number, (images, labels) in enumerate(super().__iter__()):
                yield (images * float("nan") if number == 2 else images), labels

    data = make_set(32)
    with pytest.raises(DivergenceError, match=r"became nan at batch 3 of epoch 1/2, .*lower the learning rate"):
        fit(small_network(), Poisoned(data, 8), Batches(data, 8), epochs=2)


def test_the_weights_stay_as_before_the_batch_whose_loss_is_nan(make_set: MakeSet) -> None:
    data, model, other = make_set(16), small_network(), small_network()
    images, labels = data.images.float() / 255, data.labels
    good, bad = (images[:8], labels[:8]), (images[8:] * math.nan, labels[8:])
    with pytest.raises(DivergenceError, match="at batch 2"):
        train_one_epoch(model, [good, bad], torch.optim.SGD(model.parameters(), lr=0.1))
    train_one_epoch(other, [good], torch.optim.SGD(other.parameters(), lr=0.1))
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), other.parameters(), strict=True))


def test_losses_read_late_name_the_batch_that_was_lost_and_its_learning_rate() -> None:
    losses = _EpochLoss("epoch 1/2")
    for value, rate in ((1.0, 0.1), (math.inf, 0.25), (math.nan, 0.5)):
        losses.add(torch.tensor([value * 4, 4]), rate)
    with pytest.raises(DivergenceError, match=r"became inf at batch 2 of epoch 1/2, with learning rate 0\.25"):
        losses.read()


class WaitsForDevice(TorchDispatchMode):
    """Refuses to send a tensor to the device while somebody waits; that none is read, the device `meta` refuses."""

    def __torch_dispatch__(self, operator: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        found = operator(*args, **kwargs)
        source = args[1] if operator is torch.ops.aten.copy_.default else args[0] if args else None
        moves = operator in (torch.ops.aten.copy_.default, torch.ops.aten._to_copy.default)
        if moves and source.device.type == "cpu" and found.device.type == "meta" and not kwargs.get("non_blocking"):
            raise AssertionError(f"{tuple(source.shape)} is sent")
        return found


@pytest.mark.parametrize("optimizer", [torch.optim.AdamW, Muon])
@pytest.mark.parametrize("augment", [Augmentation(), PhotoAugmentation(color=0.1, cutout=4)])
def test_no_step_waits_for_the_device(augment: Any, optimizer: Any) -> None:
    """On `meta` there are no numbers: torch raises where one is read."""
    model = CompactCNN(widths=(4, 8)).to("meta")
    images, labels = torch.rand(8, 1, 16, 16, device="meta"), torch.zeros(8, dtype=torch.long, device="meta")
    weights = optimizer(model.parameters(), lr=0.1)
    steps = 0

    def batches() -> Iterator[tuple[Tensor, Tensor]]:
        nonlocal steps
        for _ in range(10):
            yield augment(images), labels
            steps += 1
        raise Killed  # before the losses are read

    with WaitsForDevice(), pytest.raises(Killed):
        train_one_epoch(
            model,
            batches(),  # type: ignore[arg-type]  # not sized
            weights,
            schedule=torch.optim.lr_scheduler.OneCycleLR(weights, 0.1, total_steps=20),
            average=ExponentialAverage(model, 0.9),
            flops=TrainingFlops(),
        )
    assert steps == 10


class Killed(BaseException):
    """Stands for a kill: nothing in the loop may catch it."""


class DiesIn(Batches):
    """Batches that end the process in the middle of one epoch, counted from 0."""

    epoch = 2
    passes = -1

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        type(self).passes += 1
        for number, batch in enumerate(super().__iter__()):
            if type(self).passes == self.epoch and number == 2:
                raise Killed
            yield batch


@pytest.mark.parametrize("options", [{}, {"ema_decay": 0.9}, {"early_stopping": EarlyStopping("val_loss", 99)}])
def test_a_killed_run_resumes_to_the_same_weights(
    make_set: MakeSet, tmp_path: Path, options: dict[str, object]
) -> None:
    data, augment = make_set(32), Augmentation()
    DiesIn.passes = -1

    def trained(model: nn.Module, batches: type[Batches], **more: object) -> tuple[list[float], list[float]]:
        train = batches(data, 8, shuffle=True, augment=augment)
        history = fit(model, train, Batches(data, 32), epochs=4, **options, **more)
        return history.train_loss, history.train_flops

    whole, killed, resumed = small_network(), small_network(), small_network(seed=5)
    found = trained(whole, Batches)
    with pytest.raises(Killed):
        trained(killed, DiesIn, state_path=tmp_path / "state.pt")
    assert trained(resumed, Batches, state_path=tmp_path / "state.pt", resume=True) == found
    assert same_weights(whole, resumed)


def test_each_epoch_counts_the_arithmetic_of_its_steps_and_none_of_validation(make_set: MakeSet) -> None:
    model = nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), nn.Flatten(), nn.Linear(1024, 2))
    history = fit(model, Batches(make_set(10), 4), Batches(make_set(32), 8), epochs=2)  # batches of 4, 4 and 2
    # Two FLOP for each of ten images' multiply-adds: the convolution forward and for its weights, the dense layer also
    # for its input.
    assert history.train_flops == [2 * 10 * (2 * 256 * 4 * 9 + 3 * 1024 * 2)] * 2
    assert all(0 < train < whole for train, whole in zip(history.train_seconds, history.seconds, strict=True))


def test_a_state_of_an_older_version_goes_on_with_what_it_did_not_count_unknown(
    make_set: MakeSet, tmp_path: Path
) -> None:
    data, path, model = make_set(32), tmp_path / "state.pt", small_network()
    DiesIn.passes = -1
    with pytest.raises(Killed):
        fit(model, DiesIn(data, 8), Batches(data, 8), epochs=4, state_path=path)
    state = load_state(path)
    del state["history"]["train_flops"], state["history"]["train_seconds"]
    save_state(path, state)
    history = fit(model, Batches(data, 8), Batches(data, 8), epochs=4, state_path=path, resume=True)
    assert [math.isnan(flops) for flops in history.train_flops] == [True, True, False, False]
    assert [math.isnan(seconds) for seconds in history.train_seconds] == [True, True, False, False]


def test_the_state_of_another_network_is_refused(make_set: MakeSet, tmp_path: Path) -> None:
    data, path = make_set(16), tmp_path / "state.pt"
    fit(small_network(), Batches(data, 8), Batches(data, 8), epochs=1, state_path=path)
    with pytest.raises(ValueError, match=r"state\.pt: the state of another network or recipe"):
        fit(PneumoniaCNN(16), Batches(data, 8), Batches(data, 8), epochs=2, state_path=path, resume=True)


def test_a_state_of_another_plan_is_refused(make_set: MakeSet, tmp_path: Path) -> None:
    data, path = make_set(16), tmp_path / "state.pt"
    fit(small_network(), Batches(data, 8), Batches(data, 8), epochs=2, state_path=path)
    for changes, message in (
        ({"epochs": 3}, "it planned 4 steps, not 6"),
        ({"epochs": 2, "ema_decay": 0.9}, "it holds model, optimizer, schedule, scaler, history, best"),
    ):
        with pytest.raises(ValueError, match=message):
            fit(small_network(), Batches(data, 8), Batches(data, 8), state_path=path, resume=True, **changes)
    with pytest.raises(ValueError, match="needs a state_path"):
        fit(small_network(), Batches(data, 8), Batches(data, 8), epochs=2, resume=True)


def test_a_compact_cnn_learns_the_simulated_pneumonia_that_a_linear_model_does_not() -> None:
    train, val = (simulate_radiographs(n, seed=seed) for n, seed in ((1200, 100), (300, 101)))
    torch.manual_seed(0)
    model = CompactCNN()
    train_batches = Batches(train, 64, shuffle=True, augment=Augmentation())
    history = fit(model, train_batches, Batches(val, 256), epochs=12, learning_rate=4e-3)
    assert history.val_auc[-1] > 0.93


def test_training_leaves_torchs_random_numbers_as_they_were(make_set: MakeSet) -> None:
    data, model = make_set(16), small_network()
    before = torch.get_rng_state()
    fit(model, Batches(data, 8, shuffle=True), Batches(data, 8), epochs=1)
    assert torch.equal(before, torch.get_rng_state())


def test_the_seed_decides_the_order_and_nothing_else_does(make_set: MakeSet) -> None:
    data = make_set(32)

    def loss(seed: int) -> float:
        torch.rand(seed + 7)  # what was drawn before does not matter
        batches = Batches(data, 4, shuffle=True)
        return fit(small_network(), batches, Batches(data, 8), epochs=1, seed=seed).train_loss[0]

    assert loss(1) == loss(1) != loss(2)


def test_training_in_bfloat16_stays_close_to_float32_and_keeps_float32_weights(make_set: MakeSet) -> None:
    data, losses = make_set(32), []
    for dtype in (None, torch.bfloat16):
        model = small_network()
        history = fit(model, Batches(data, 8), Batches(data, 32), epochs=1, precision=Precision("cpu", dtype))
        losses.append(history.train_loss[0])
        assert all(p.dtype == torch.float32 for p in model.parameters())
    assert losses[0] == pytest.approx(losses[1], abs=0.05)


@pytest.mark.parametrize("classes", [2, 10])
def test_a_linear_probe_answers_as_scikit_learns_pipeline(classes: int) -> None:
    pixels, labels = load_digits(n_class=classes, return_X_y=True)
    head = linear_probe(torch.from_numpy(pixels).float(), torch.from_numpy(labels), C=0.1)
    judge = make_pipeline(StandardScaler(), LogisticRegression(C=0.1, tol=1e-10, max_iter=20_000)).fit(pixels, labels)
    with torch.no_grad():
        probs = head(torch.from_numpy(pixels).float()).softmax(dim=1)
    np.testing.assert_allclose(probs, judge.predict_proba(pixels), atol=1e-4)
    with pytest.raises(ValueError, match=r"the labels are \[0, 2\]; each class from 0 on needs an image"):
        linear_probe(torch.rand(4, 3), torch.tensor([0, 2, 0, 2]))


def test_features_are_those_of_the_network_in_evaluation_mode(make_set: Callable[..., ImageSet]) -> None:
    class Network(nn.Sequential):
        def features(self, images: Tensor) -> Tensor:
            return self[:4](images)

    model = Network(nn.Conv2d(1, 3, 3), nn.BatchNorm2d(3), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(3, 2))
    images = make_set(10)
    found, labels = extract_features(model, Batches(images, 4))
    assert model.training
    assert torch.equal(labels, images.labels)
    with torch.no_grad():
        torch.testing.assert_close(found, model.eval().features(images.images.float() / 255))


def test_parameter_groups_keep_their_own_rates(make_set: Callable[..., ImageSet]) -> None:
    model = nn.Sequential(nn.Flatten(), nn.Linear(256, 4), nn.ReLU(), nn.Linear(4, 2))
    before = [parameter.detach().clone() for parameter in model.parameters()]
    groups = [{"params": list(model[1].parameters()), "lr": 0.0}, {"params": list(model[3].parameters()), "lr": 0.01}]
    batches = Batches(make_set(), 8)
    fit(model, batches, batches, epochs=1, parameter_groups=groups)
    moved = [not torch.equal(old, new) for old, new in zip(before, model.parameters(), strict=True)]
    assert moved == [False, False, True, True]
    with pytest.raises(ValueError, match="parameter_groups are for AdamW; Muon makes its own"):
        fit(model, batches, batches, epochs=1, parameter_groups=groups, optimizer_name="muon")


def test_a_validation_set_of_one_class_has_no_auc_and_no_best_epoch(make_set: MakeSet) -> None:
    data = make_set(16)
    alone = data.subset((data.labels == 0).nonzero().flatten())
    with pytest.warns(UndefinedMetricWarning, match="no image of class 1"):
        history = fit(small_network(), Batches(data, 8), Batches(alone, 8), epochs=2)
    assert all(map(math.isnan, history.val_auc))
    with (
        pytest.warns(UndefinedMetricWarning),
        pytest.raises(ValueError, match="val_auc is not defined for these validation images"),
    ):
        fit(small_network(), Batches(data, 8), Batches(alone, 8), epochs=2, early_stopping=EarlyStopping("val_auc"))


def test_nan_is_never_the_best_epoch() -> None:
    nan = math.nan
    assert EarlyStopping("val_auc").best_epoch([nan, 0.6, nan, 0.8, 0.7]) == 3
    assert EarlyStopping("val_loss").best_epoch([nan, 0.6, nan, 0.4]) == 3


def test_a_loss_that_is_lost_in_validation_stops_the_training(make_set: MakeSet) -> None:
    data = make_set(8)
    with pytest.raises(DivergenceError, match=r"the validation loss became (nan|inf) after epoch 1"):
        fit(small_network(), Batches(data, 8), Batches(data, 8), epochs=3, learning_rate=1e30)


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int32, torch.bool])
def test_labels_as_medmnist_gives_them_are_learned_and_scored(make_set: MakeSet, dtype: torch.dtype) -> None:
    data = make_set(16)
    pairs = [(image, label.to(dtype).view(1)) for image, label in zip(data.images / 255, data.labels, strict=True)]
    loader: DataLoader[Any] = DataLoader(pairs, 8)  # type: ignore[arg-type]  # (B, 1), of any integer kind
    torch.manual_seed(0)
    found = fit(small_network(), loader, loader, epochs=2)
    torch.manual_seed(0)
    plain = fit(small_network(), Batches(data, 8), Batches(data, 8), epochs=2)
    assert found.train_loss == pytest.approx(plain.train_loss)
    assert found.val_auc == pytest.approx(plain.val_auc)


def test_no_images_and_a_last_batch_of_one_are_named(make_set: MakeSet) -> None:
    data, none = make_set(9), make_set(0)
    for train, val, name in ((none, data, "train"), (data, none, "val")):
        with pytest.raises(ValueError, match=f"{name} holds no batch; give it one image at least"):
            fit(small_network(), Batches(train, 8), Batches(val, 8), epochs=1)
    narrow = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.BatchNorm2d(1), nn.Flatten(), nn.Linear(1, 2))
    with pytest.raises(
        ValueError, match=r"batch norm cannot learn from 1 image of 16 x 16 pixels, .* choose a batch_size"
    ):
        fit(narrow, Batches(data, 8), Batches(data, 8), epochs=1)


def test_a_batch_that_does_not_fit_into_memory_names_the_image_size(make_set: MakeSet) -> None:
    class Greedy(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = nn.Parameter(torch.ones(1))

        def forward(self, images: Tensor) -> Tensor:
            return torch.ones(2**50) * self.weight

    data = make_set(8)
    with pytest.raises(
        MemoryError, match=r"a batch of 8 x 1 x 16 x 16 do not fit into memory; take a smaller image_size"
    ):
        fit(Greedy(), Batches(data, 8), Batches(data, 8), epochs=1)
