"""Training from the first epoch to the last, and again from where a run was stopped."""

import math
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from course_lib import checkpoint
from course_lib.distributed import gather, sharing_gradients, synchronized_batch_norm, team
from course_lib.files import as_path
from course_lib.flops import TrainingFlops
from course_lib.muon import Muon
from course_lib.runtime import Precision
from course_lib.training.average import ExponentialAverage
from course_lib.training.epoch import LOWER_IT, BatchSource, DivergenceError, evaluate, train_one_epoch
from course_lib.training.history import EarlyStopping, History

OptimizerName = Literal["adamw", "muon"]


def fit(
    model: nn.Module,
    train: BatchSource,
    val: BatchSource,
    *,
    epochs: int,
    optimizer_name: OptimizerName = "adamw",
    learning_rate: float = 3e-3,
    parameter_groups: list[dict[str, Any]] | None = None,
    weight_decay: float = 0.05,
    pct_start: float | None = 0.25,
    class_weights: Tensor | None = None,
    label_smoothing: float = 0.0,
    ema_decay: float | None = None,
    early_stopping: EarlyStopping | None = None,
    precision: Precision | None = None,
    memory_format: torch.memory_format = torch.channels_last,
    seed: int = 0,
    state_path: str | Path | None = None,
    resume: bool = False,
    on_epoch: Callable[[History], None] | None = None,
) -> History:
    """Train `model` in place, by default with AdamW and a one-cycle learning rate; return what happened in each epoch.

    Every epoch seeds torch's global random numbers from `seed` and its own number, and restores them afterwards. So the
    order of the images is repeatable, and a run that was killed goes on as if it never stopped.

    The arithmetic of the training steps is counted; that of the answers on validation is not.

    Args:
        model: on the device to train on.
        train: batches to learn from.
        val: batches to validate on after each epoch.
        epochs: passes over `train`.
        optimizer_name: "adamw", or "muon" (see `course_lib.muon`).
        learning_rate: the peak of the cycle; Muon's is that of the filters, and everything else keeps its own.
        parameter_groups: what AdamW trains, each group with a peak "lr" of its own; default, all with `learning_rate`.
        weight_decay: of the weights that the learning rate is for.
        pct_start: fraction of the steps in which the learning rate rises; it falls in the rest. None: it never changes.
        class_weights: float (C,), factors of the loss; in one process only.
        label_smoothing: fraction of each label spread over all classes.
        ema_decay: if given, validate and return an exponential mean of the weights, keeping this fraction per step.
        early_stopping: stops early, and puts back the best epoch's weights.
        precision: default, the best that the device has.
        memory_format: of images and weights.
        seed: of the order of the images and of everything else that is drawn while training.
        state_path: where to save the state after each epoch. In a team of processes only the first saves.
        resume: go on from `state_path`, with the same arguments as before.
        on_epoch: called with the history after each epoch, once the state is saved; in the first process only.

    Raises:
        DivergenceError: the loss, in training or in validation, is NaN or infinite.
        MemoryError: a batch does not fit into memory.
        FileNotFoundError, ValueError: nothing to resume from, or a damaged state.
        ValueError: class weights in a team of processes, each of which would divide by the weights of its own images.
    """
    if class_weights is not None and team().size > 1:
        raise ValueError("class_weights are for one process; start it without torchrun, or leave them out.")
    for name, batches in (("train", train), ("val", val)):
        if not len(batches):
            raise ValueError(f"{name} holds no batch; give it one image at least.")
    state_path = None if state_path is None else as_path(state_path, "state_path")
    device = next(model.parameters()).device
    precision = precision or Precision.best(device, model)
    model.to(memory_format=memory_format)  # type: ignore[call-overload]  # torch's stubs lack this form
    optimizer = _optimizer(optimizer_name, model, learning_rate, weight_decay, parameter_groups)
    schedule = _schedule(optimizer, steps=max(2, epochs * len(train)), pct_start=pct_start)
    scaler = precision.scaler()
    average = None if ema_decay is None else ExponentialAverage(model, ema_decay)
    validated = model if average is None else average.module
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

    replica, flops = sharing_gradients(model), TrainingFlops()
    for epoch in range(len(history.train_loss), epochs):
        if early_stopping and epoch > 0 and early_stopping.should_stop(early_stopping.monitored(history)):
            break
        started, spent_before = time.perf_counter(), flops.spent
        forked = torch.random.fork_rng(devices=[device] if device.type == "cuda" else [])
        with forked, synchronized_batch_norm(model):
            torch.manual_seed(10_000 * seed + epoch)
            train_loss = train_one_epoch(
                replica,
                train,
                optimizer,
                loss_function=loss_function,
                schedule=schedule,
                precision=precision,
                scaler=scaler,
                average=average,
                flops=flops,
                memory_format=memory_format,
                description=f"epoch {epoch + 1}/{epochs}",
            )
        train_seconds = time.perf_counter() - started
        predictions = evaluate(validated, val, precision=precision, memory_format=memory_format)
        if not math.isfinite(predictions.loss):
            raise DivergenceError(
                f"the validation loss became {predictions.loss} after epoch {epoch + 1}, with learning rate "
                f"{learning_rate:.2g}; {LOWER_IT}"
            )
        history.add(
            train_loss,
            predictions,
            seconds=time.perf_counter() - started,
            train_seconds=train_seconds,
            train_flops=int(gather(torch.tensor([flops.spent - spent_before])).sum()),
        )
        if early_stopping and early_stopping.best_epoch(early_stopping.monitored(history)) == epoch:
            best = {name: tensor.detach().cpu().clone() for name, tensor in validated.state_dict().items()}
        if team().rank != 0:
            continue
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


def _optimizer(
    name: OptimizerName,
    model: nn.Module,
    learning_rate: float,
    weight_decay: float,
    groups: list[dict[str, Any]] | None,
) -> torch.optim.Optimizer:
    if name == "muon":
        if groups is not None:
            raise ValueError("parameter_groups are for AdamW; Muon makes its own groups: leave one of them out.")
        return Muon(model.parameters(), lr=learning_rate, weight_decay=weight_decay)
    trainable = groups or model.parameters()
    return torch.optim.AdamW(trainable, lr=learning_rate, weight_decay=weight_decay, fused=True)


def _schedule(
    optimizer: torch.optim.Optimizer, *, steps: int, pct_start: float | None
) -> torch.optim.lr_scheduler.LRScheduler:
    if pct_start is None:
        return torch.optim.lr_scheduler.ConstantLR(optimizer, factor=1, total_iters=steps)
    return torch.optim.lr_scheduler.OneCycleLR(
        optimizer,
        [group["lr"] for group in optimizer.param_groups],
        total_steps=steps,
        pct_start=max(pct_start, 1.5 / steps),  # torch divides by zero when the rise lasts exactly one step
    )


def _steps(schedule: dict[str, Any]) -> int:
    return schedule.get("total_steps") or schedule["total_iters"]


def _restore(parts: dict[str, Any], state: dict[str, Any], path: Path) -> tuple[History, dict[str, Tensor] | None]:
    try:
        if set(state) != {*parts, "history", "best"}:
            raise ValueError(f"it holds {', '.join(state)}")
        planned, expected = (_steps(schedule) for schedule in (state["schedule"], parts["schedule"].state_dict()))
        if planned != expected:
            raise ValueError(f"it planned {planned} steps, not {expected}")
        for name, part in parts.items():
            part.load_state_dict(state[name])
        history = History(**state["history"])
        for column in (history.train_seconds, history.train_flops):  # an older version filled neither
            column[:0] = [math.nan] * (len(history.train_loss) - len(column))
        return history, state["best"]
    except (AttributeError, KeyError, RuntimeError, TypeError, ValueError) as error:
        raise ValueError(
            f"{path}: the state of another network or recipe ({error}); resume with the arguments that the run was "
            "started with, or start it again without --resume."
        ) from error
