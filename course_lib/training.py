"""The training loop. It receives a network and batches, and knows nothing of where either comes from."""

import math
import sys
import time
from collections.abc import Callable, Iterable, Sized
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from tqdm import tqdm

from course_lib import checkpoint
from course_lib.metrics import binary_auc
from course_lib.runtime import Precision

LossFunction = Callable[[Tensor, Tensor], Tensor]


class BatchSource(Sized, Iterable[tuple[Tensor, Tensor]], Protocol):
    """Anything that gives (images, labels) anew at each iteration: a `DataLoader`, or `course_lib.data.Batches`."""


class Outcome(NamedTuple):
    """What a network says of every image of a set."""

    logits: Tensor
    """float32 (N, C), on the CPU."""
    labels: Tensor
    """int64 (N,), on the CPU."""
    loss: float
    """Mean cross-entropy over the images, in nats."""

    @property
    def probs(self) -> Tensor:
        return self.logits.softmax(dim=1)

    @property
    def accuracy(self) -> float:
        return float((self.logits.argmax(dim=1) == self.labels).double().mean())


@dataclass
class History:
    """One entry an epoch in each column."""

    train_loss: list[float] = field(default_factory=list)
    val_loss: list[float] = field(default_factory=list)
    val_accuracy: list[float] = field(default_factory=list)
    val_auc: list[float] = field(default_factory=list)
    """Empty when there are more than two classes."""
    seconds: list[float] = field(default_factory=list)

    def columns(self) -> dict[str, list[float]]:
        """The columns that were filled, by name."""
        return {name: values for name, values in asdict(self).items() if values}


@dataclass
class EarlyStopping:
    """Stops training when a validation column of the history has not improved for `patience` epochs.

    `fit` then puts back the weights of the best epoch. Losses should fall, everything else should rise.

    >>> stop = EarlyStopping("val_loss", patience=2)
    >>> [stop.should_stop([3.0, 2.0, 2.5, 2.1][: epoch + 1]) for epoch in range(4)]
    [False, False, False, True]
    """

    monitor: str = "val_loss"
    patience: int = 5

    def best_epoch(self, values: list[float]) -> int:
        """Index of the best value; of equal ones the first."""
        return values.index(min(values) if self.monitor.endswith("loss") else max(values))

    def should_stop(self, values: list[float]) -> bool:
        return len(values) - 1 - self.best_epoch(values) >= self.patience


class DivergenceError(ArithmeticError):
    """The loss became NaN or infinite."""


def train_one_epoch(
    model: nn.Module,
    train: BatchSource,
    optimizer: torch.optim.Optimizer,
    *,
    loss_function: LossFunction = F.cross_entropy,
    schedule: torch.optim.lr_scheduler.LRScheduler | None = None,
    precision: Precision | None = None,
    scaler: torch.amp.GradScaler | None = None,
    clip_norm: float | None = None,
    average: AveragedModel | None = None,
    description: str = "",
) -> float:
    """Pass once over `train`, taking a step of `optimizer` and of `schedule` after each batch.

    Args:
        model: put into training mode, and left in it.
        train: batches on the model's device.
        optimizer: over the model's parameters.
        loss_function: from logits (N, C) and labels (N,) to a mean over the batch.
        schedule: stepped once a batch.
        precision: of the forward pass; float32 by default.
        scaler: for float16, kept from epoch to epoch.
        clip_norm: largest norm of all gradients together.
        average: a running mean of the weights, updated after each step.
        description: stands before the progress bar, which appears on a terminal only.

    Returns:
        The mean of the batches' losses, each counted by its images.

    Raises:
        DivergenceError: the loss is NaN or infinite.
    """
    precision = precision or Precision("cpu", None)
    scaler = scaler or precision.scaler()
    model.train()
    total, seen, started = 0.0, 0, time.perf_counter()
    bar = tqdm(train, desc=description, unit="batch", disable=None, leave=False, file=sys.stderr)
    for number, (images, labels) in enumerate(bar, start=1):
        images = images.contiguous(memory_format=torch.channels_last)
        optimizer.zero_grad(set_to_none=True)
        with precision.autocast():
            loss = loss_function(model(images).float(), labels)
        value = loss.item()
        if not math.isfinite(value):
            rate = optimizer.param_groups[0]["lr"]
            raise DivergenceError(
                f"the loss became {value} at batch {number} of {description or 'the epoch'}, with learning rate "
                f"{rate:.2g}; lower the learning rate, set clip_norm=1, or look for NaN in the images."
            )
        scaler.scale(loss).backward()
        if clip_norm is not None:
            scaler.unscale_(optimizer)
            nn.utils.clip_grad_norm_(model.parameters(), clip_norm)
        scaler.step(optimizer)
        scaler.update()
        if schedule is not None:
            schedule.step()
        if average is not None:
            average.update_parameters(model)
        total, seen = total + value * len(labels), seen + len(labels)
        bar.set_postfix_str(f"loss {total / seen:.3f}, {seen / (time.perf_counter() - started):.0f} images/s")
    return total / seen


@torch.no_grad()
def evaluate(model: nn.Module, data: BatchSource, *, precision: Precision | None = None) -> Outcome:
    """What `model` says of every image of `data`, in evaluation mode; its mode is restored afterwards."""
    precision = precision or Precision("cpu", None)
    modes = {module: module.training for module in model.modules()}
    logits, labels = [], []
    try:
        model.eval()
        for images, batch_labels in data:
            with precision.autocast():
                batch_logits = model(images.contiguous(memory_format=torch.channels_last))
            logits.append(batch_logits.float().cpu())
            labels.append(batch_labels.cpu())
    finally:
        for module, training in modes.items():
            module.training = training
    all_logits, all_labels = torch.cat(logits), torch.cat(labels)
    return Outcome(all_logits, all_labels, float(F.cross_entropy(all_logits, all_labels)))


def fit(
    model: nn.Module,
    train: BatchSource,
    val: BatchSource,
    *,
    epochs: int,
    learning_rate: float = 3e-3,
    weight_decay: float = 0.05,
    warmup: float = 0.25,
    class_weights: Tensor | None = None,
    label_smoothing: float = 0.0,
    clip_norm: float | None = None,
    average_decay: float | None = None,
    early_stopping: EarlyStopping | None = None,
    precision: Precision | None = None,
    seed: int = 0,
    state_path: Path | None = None,
    resume: bool = False,
    on_epoch: Callable[[History], None] | None = None,
) -> History:
    """Train `model` in place with AdamW and a one-cycle learning rate; return what happened, epoch by epoch.

    Every epoch seeds torch's global random numbers from `seed` and its own number, and restores them afterwards. So the
    order of the images is repeatable, and a run that was killed goes on as if it never stopped.

    Args:
        model: on the device that the batches come on.
        train: batches to learn from.
        val: batches to validate on after each epoch.
        epochs: passes over `train`.
        learning_rate: the peak of the cycle.
        weight_decay: of AdamW.
        warmup: share of the steps in which the learning rate rises.
        class_weights: float (C,), factors of the loss.
        label_smoothing: share of each label spread over all classes.
        clip_norm: largest norm of all gradients together.
        average_decay: if given, validate and return an exponential mean of the weights, with this share kept a step.
        early_stopping: stops early, and puts back the best epoch's weights.
        precision: default, the best that the device has.
        seed: of the order of the images and of everything else that is drawn while training.
        state_path: where to save the state after each epoch.
        resume: go on from `state_path`, with the same arguments as before.
        on_epoch: called with the history after each epoch, once the state is saved.

    Raises:
        DivergenceError: the loss is NaN or infinite.
        FileNotFoundError, ValueError: nothing to resume from, or a damaged state.
    """
    device = next(model.parameters()).device
    precision = precision or Precision.best(device)
    model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # torch's stubs lack this form
    optimizer = torch.optim.AdamW(model.parameters(), lr=learning_rate, weight_decay=weight_decay, fused=True)
    steps = max(2, epochs * len(train))
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer,
        learning_rate,
        total_steps=steps,
        pct_start=max(warmup, 1.5 / steps),  # torch divides by zero when the rise lasts exactly one step
    )
    scaler = precision.scaler()
    average = None
    if average_decay is not None:
        average = AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(average_decay), use_buffers=True)
    judged = model if average is None else average.module
    weights = None if class_weights is None else class_weights.to(device)

    def loss_function(logits: Tensor, labels: Tensor) -> Tensor:
        return F.cross_entropy(logits, labels, weight=weights, label_smoothing=label_smoothing)

    parts: dict[str, Any] = {"model": model, "optimizer": optimizer, "schedule": schedule, "scaler": scaler}
    if average is not None:
        parts["average"] = average
    history, best = History(), None
    if resume:
        if state_path is None:
            raise ValueError("resume=True needs a state_path; give the file that the state was saved to.")
        history, best = _restore(parts, checkpoint.load_state(state_path), state_path)

    for epoch in range(len(history.train_loss), epochs):
        if early_stopping and history.train_loss and early_stopping.should_stop(_column(history, early_stopping)):
            break
        started = time.perf_counter()
        with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
            torch.manual_seed(10_000 * seed + epoch)
            train_loss = train_one_epoch(
                model,
                train,
                optimizer,
                loss_function=loss_function,
                schedule=schedule,
                precision=precision,
                scaler=scaler,
                clip_norm=clip_norm,
                average=average,
                description=f"epoch {epoch + 1}/{epochs}",
            )
        outcome = evaluate(judged, val, precision=precision)
        history.train_loss.append(train_loss)
        history.val_loss.append(outcome.loss)
        history.val_accuracy.append(outcome.accuracy)
        if outcome.logits.shape[1] == 2:
            history.val_auc.append(binary_auc(outcome.probs[:, 1], outcome.labels))
        history.seconds.append(time.perf_counter() - started)
        if early_stopping and early_stopping.best_epoch(_column(history, early_stopping)) == epoch:
            best = {name: tensor.detach().cpu().clone() for name, tensor in judged.state_dict().items()}
        if state_path is not None:
            state = {name: part.state_dict() for name, part in parts.items()}
            checkpoint.save_state(state_path, {**state, "history": asdict(history), "best": best})
        if on_epoch is not None:
            on_epoch(history)
    if best is not None:
        model.load_state_dict(best)
    elif average is not None:
        model.load_state_dict(average.module.state_dict())
    return history


def _column(history: History, early_stopping: EarlyStopping) -> list[float]:
    columns = history.columns()
    if early_stopping.monitor not in columns:
        raise ValueError(f"cannot monitor {early_stopping.monitor!r}; choose one of: {', '.join(columns)}.")
    return columns[early_stopping.monitor]


def _restore(parts: dict[str, Any], state: dict[str, Any], path: Path) -> tuple[History, dict[str, Tensor] | None]:
    try:
        if set(state) != {*parts, "history", "best"}:
            raise ValueError(f"it holds {', '.join(state)}")
        if state["schedule"]["total_steps"] != parts["schedule"].total_steps:
            raise ValueError(
                f"it planned {state['schedule']['total_steps']} steps, not {parts['schedule'].total_steps}"
            )
        for name, part in parts.items():
            part.load_state_dict(state[name])
        return History(**state["history"]), state["best"]
    except (AttributeError, KeyError, RuntimeError, TypeError, ValueError) as error:
        raise ValueError(
            f"{path}: the state of another network or recipe ({error}); resume with the arguments that the run was "
            "started with, or start it again without --resume."
        ) from error
