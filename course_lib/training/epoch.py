"""One pass over the images, to learn from them or to be scored on them."""

import contextlib
import math
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sized
from operator import length_hint
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.optim.swa_utils import AveragedModel
from tqdm import tqdm

from course_lib.arguments import as_labels
from course_lib.distributed import gather, sum_over_team, team
from course_lib.flops import TrainingFlops
from course_lib.progress import watched
from course_lib.runtime import Precision, evaluation_mode, naming_memory, to_device

LossFunction = Callable[[Tensor, Tensor], Tensor]
READ_EVERY = 50  # batches, on any device but the CPU
LOWER_IT = "lower the learning rate (--learning-rate), or look for NaN in the images."


class BatchSource(Sized, Iterable[tuple[Tensor, Tensor]], Protocol):
    """Anything that gives (images, labels) anew at each iteration: a `DataLoader`, or `course_lib.data.Batches`."""


class Predictions(NamedTuple):
    """Of a network, for every image of a set."""

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


class DivergenceError(ArithmeticError):
    """The loss became NaN or infinite."""


class _EpochLoss:
    """The losses of an epoch's batches. They stay on the device until they are read, as reading waits for a GPU."""

    def __init__(self, epoch: str) -> None:
        self.epoch, self.num_batches = epoch, 0
        self.total, self.num_images = 0.0, 0.0
        self._unread: list[tuple[float, Tensor]] = []

    def add(self, summed_and_count: Tensor, learning_rate: float) -> None:
        """Keep those of a batch: the sum over its images and their number, (2,)."""
        self._unread.append((learning_rate, summed_and_count))

    def read(self) -> None:
        """Add up what was kept since the last reading.

        Raises:
            DivergenceError: the loss of a batch is NaN or infinite.
        """
        unread, self._unread = self._unread, []
        if not unread:
            return
        rates, batches = zip(*unread, strict=True)
        for rate, (summed, count) in zip(rates, torch.stack(batches).tolist(), strict=True):
            self.num_batches += 1
            if not math.isfinite(summed / count):
                batch = f"batch {self.num_batches} of {self.epoch}"
                raise DivergenceError(
                    f"the loss became {summed / count} at {batch}, with learning rate {rate:.2g}; {LOWER_IT}"
                )
            self.total, self.num_images = self.total + summed, self.num_images + count

    @property
    def mean(self) -> float:
        return self.total / self.num_images


def train_one_epoch(
    model: nn.Module,
    train: BatchSource,
    optimizer: torch.optim.Optimizer,
    *,
    loss_function: LossFunction = F.cross_entropy,
    schedule: torch.optim.lr_scheduler.LRScheduler | None = None,
    precision: Precision | None = None,
    scaler: torch.amp.GradScaler | None = None,
    average: AveragedModel | None = None,
    flops: TrainingFlops | None = None,
    memory_format: torch.memory_format = torch.channels_last,
    description: str = "",
) -> float:
    """Pass once over `train`, taking a step of `optimizer` and of `schedule` after each batch.

    A GPU is never waited for but every `READ_EVERY` batches, when their losses are read; on the CPU, where reading is
    free, each loss is read before the step.

    Args:
        model: put into training mode, and left in it.
        train: batches, of images on any device.
        optimizer: over the model's parameters.
        loss_function: from logits (N, C) and labels (N,) to a mean over the batch.
        schedule: stepped once a batch.
        precision: of the forward pass; float32 by default.
        scaler: for float16, kept from epoch to epoch.
        average: a running mean of the weights, updated after each step.
        flops: adds up the arithmetic of each step.
        memory_format: of the images; with the channels last, convolutions are faster almost everywhere.
        description: stands before the progress bar, which appears on a terminal only.

    Returns:
        The mean of the batches' losses, each counted by its images.

    Raises:
        DivergenceError: the loss is NaN or infinite. On the CPU the weights are then as before that batch.
    """
    precision = precision or Precision("cpu", None)
    scaler = scaler or precision.scaler()
    device = next(model.parameters()).device
    model.train()
    losses, started = _EpochLoss(description or "the epoch"), time.perf_counter()
    read_every = 1 if device.type == "cpu" else READ_EVERY
    silent = None if team().rank == 0 else True  # None: on a terminal only
    bar = tqdm(train, desc=description, unit="batch", disable=silent, leave=False, file=sys.stderr)
    for number, (images, labels) in enumerate(bar, start=1):
        images, labels = to_device(images, device, memory_format), to_device(_as_targets(labels), device)
        with flops.step(model, images) if flops else contextlib.nullcontext():
            optimizer.zero_grad(set_to_none=True)
            with precision.autocast(), _explained(images):
                loss = loss_function(model(images).float(), labels)
            own_count = loss.new_full((), len(labels))
            # With the whole team's images: gradients are averaged over processes, whose shares may differ in length.
            batch = sum_over_team(torch.stack([loss.detach() * own_count, own_count]))
            losses.add(batch, optimizer.param_groups[0]["lr"])
            with _explained(images):
                scaler.scale(loss * (own_count * team().size / batch[1])).backward()
            if number % read_every == 0:
                losses.read()
                speed = losses.num_images / (time.perf_counter() - started)
                bar.set_postfix_str(f"loss {losses.mean:.3f}, {speed:.0f} images/s")
            scaler.step(optimizer)
            scaler.update()
            if schedule is not None:
                schedule.step()
            if average is not None:
                average.update_parameters(model)
    losses.read()
    if not losses.num_images:
        raise ValueError("train holds no batch; give it one image at least.")
    return losses.mean


def _as_targets(labels: Any) -> Tensor:
    """Labels of any integer kind, (B,) or (B, 1), as int64 (B,); soft ones, for a loss that takes them, as they are."""
    return labels if isinstance(labels, Tensor) and labels.is_floating_point() else as_labels(labels)


@contextlib.contextmanager
def _explained(images: Tensor) -> Iterator[None]:
    """Give an error inside a network the words of those who chose the images."""
    try:
        with naming_memory(f"a batch of {' x '.join(map(str, images.shape))}"):
            yield
    except ValueError as error:
        if "more than 1 value per channel" not in str(error):
            raise
        raise ValueError(
            f"batch norm cannot learn from {len(images)} image of {images.shape[2]} x {images.shape[3]} pixels, as one "
            "value per channel is left of it; choose a batch_size that leaves no last batch of one, or larger images."
        ) from error


def evaluate(
    model: nn.Module,
    data: BatchSource,
    *,
    precision: Precision | None = None,
    memory_format: torch.memory_format = torch.channels_last,
) -> Predictions:
    """Logits, labels and loss of every image of `data`, in evaluation mode; the mode of `model` is restored afterwards.

    In a team of processes each gives its share of the images, and all get the predictions of the whole.
    """
    logits, labels = _outputs(model, model, data, precision, memory_format)
    return Predictions(logits, labels, float(F.cross_entropy(logits, labels)))


def extract_features(
    model: nn.Module,
    data: BatchSource,
    *,
    precision: Precision | None = None,
    memory_format: torch.memory_format = torch.channels_last,
) -> tuple[Tensor, Tensor]:
    """The features (N, F) that `model.features` finds in every image of `data`, and the labels (N,), on the CPU.

    As long as the layers that find them stay frozen, one pass is enough for any number of trainings of the head.
    """
    return _outputs(model, model.features, data, precision, memory_format)  # type: ignore[arg-type]  # callable


@torch.no_grad()
def _outputs(
    model: nn.Module,
    forward: Callable[[Tensor], Tensor],
    data: BatchSource,
    precision: Precision | None,
    memory_format: torch.memory_format,
) -> tuple[Tensor, Tensor]:
    """What `forward`, maybe a part of `model`, returns for every image, in evaluation mode; float32, on the CPU."""
    precision = precision or Precision("cpu", None)
    device = next(model.parameters()).device
    outputs, labels = [], []
    with evaluation_mode(model):
        for images, batch_labels in watched(data, length_hint(data), "asking the network", "batches"):
            with precision.autocast(), _explained(images):
                batch_outputs = forward(to_device(images, device, memory_format))
            outputs.append(batch_outputs.float().cpu())
            labels.append(as_labels(batch_labels).cpu())
    if not labels:
        raise ValueError("data holds no batch; give it one image at least.")
    return gather(torch.cat(outputs)), gather(torch.cat(labels))
