"""The checks of lesson 3, training."""

import math
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils import clip_grad_norm_, clip_grad_value_, parameters_to_vector

from course_lib.exercises.tasks import Wrong, compare, expect, refuse, task

Loss = Callable[[Tensor, Tensor], Tensor]
SOFTMAX = "`F.cross_entropy` applies softmax itself: give it the logits."
ALIKE = "Batches of unequal length count alike here: "


@task(
    "03.1",
    "Weights for rare classes",
    "torch.bincount counts how often each label occurs.",
    "With the weight s / count, each class adds s to the sum over all images. For which s is that sum N?",
)
def class_weights(answer: Callable[[Tensor, int], Tensor]) -> str:
    def right(labels: Tensor, num_classes: int) -> Tensor:
        return len(labels) / (num_classes * labels.bincount())

    slips = [
        (lambda y, k: y.bincount() / len(y), "These are the shares of the classes: the rarest must weigh most."),
        (lambda y, k: 1 / y.bincount(), "The weights are not scaled yet: their mean over the images is far below 1."),
        (lambda y, k: len(y) / y.bincount(), "Their mean over the images is the number of classes, not 1."),
        (lambda y, k: y.bincount().max() / y.bincount(), "The commonest class has weight 1, so the mean exceeds 1."),
        (lambda y, k: right(y, k) / right(y, k).sum(), "They sum to 1 over the classes; look at the mean over images."),
        (
            lambda y, k: right(y, k) * k / right(y, k).sum(),
            "Their mean over the classes is 1, not that over the images.",
        ),
        (lambda y, k: right(y, k).tolist(), "That is a list; the loss takes its weights as a tensor."),
        (lambda y, k: right(y, k)[y], "That is one weight for each image; the loss wants one for each class."),
    ]
    labels = torch.tensor([0] * 3 + [1] * 12 + [2] * 45)
    compare(answer, right, [(labels[torch.randperm(60)], 3), (labels[:15].flip(0), 2)], slips=slips)
    return "`F.cross_entropy` with `weight=` divides by the sum of the batch's weights: there a common factor cancels."


def _network() -> nn.Sequential:
    torch.manual_seed(1)
    return nn.Sequential(nn.Flatten(), nn.Linear(3, 2))


def _batch(count: int) -> tuple[Tensor, Tensor]:
    """Images (count, 3, 1, 1) and labels, the same ones at each call."""
    torch.manual_seed(2)
    return torch.randn(count, 3, 1, 1), torch.arange(count) // 2 % 2


def _softmaxed(logits: Tensor, labels: Tensor) -> Tensor:
    return F.cross_entropy(logits.softmax(dim=1), labels)


def _number(loss: Any) -> Any:
    graph = isinstance(loss, Tensor) and loss.requires_grad
    refuse("the loss, as a number", (loss is None, "nothing came back", "Does the function end with `return`?"))
    refuse(
        "a plain number",
        (graph, "a loss that drags its graph along", "`loss.item()` is one. Graphs that are kept fill the memory."),
    )
    return loss


def _each_alone(parameters: Iterable[nn.Parameter], norm: float) -> None:
    for parameter in parameters:
        clip_grad_norm_(parameter, norm)


def _stretch(parameters: Iterable[nn.Parameter], norm: float) -> None:
    gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
    torch._foreach_mul_(gradients, norm / parameters_to_vector(gradients).norm().item())


def _step(
    clip: Callable[..., object] = clip_grad_norm_, loss: Loss = F.cross_entropy, clear: bool = True, late: bool = False
) -> Callable[..., float]:
    """A training step, right by default."""

    def step(model: nn.Module, optimizer: torch.optim.Optimizer, images: Tensor, labels: Tensor, norm: float) -> float:
        if clear:
            optimizer.zero_grad()
        value = loss(model(images), labels)
        value.backward()
        clip(model.parameters(), norm)
        optimizer.step()
        return (loss(model(images), labels) if late else value).item()

    return step


def _two_steps(step: Callable[..., Any]) -> Callable[[float], tuple[list[Any], Tensor]]:
    def losses_and_weights_after_two_steps(max_norm: float) -> tuple[list[Any], Tensor]:
        model, (images, labels) = _network(), _batch(12)
        start = parameters_to_vector(model.parameters()).detach()
        optimizer = torch.optim.SGD(model.parameters(), lr=0.5)
        parts = (slice(8), slice(8, 12))
        losses = [_number(step(model, optimizer, images[part], labels[part], max_norm)) for part in parts]
        end = parameters_to_vector(model.parameters()).detach()
        bare = all(p.grad is None or not p.grad.any() for p in model.parameters())
        slip = "Are gradients cleared between `backward()` and `step()`?" if bare else "Is `optimizer.step()` missing?"
        refuse("a step", (torch.equal(start, end), "no weight has moved", slip))
        return losses, end

    return losses_and_weights_after_two_steps


@task(
    "03.2",
    "One step, with a limit",
    "The order: zero_grad, loss, backward, clip, step.",
    "nn.utils.clip_grad_norm_ takes the parameters and the largest length; it changes the gradients in place.",
)
def train_step(answer: Callable[..., Any]) -> str:
    ways = [
        (_step(clear=False), "The first step's gradient is still in that of the second: `zero_grad()` is missing."),
        (_step(clip=lambda *_: None), "No gradient was shortened: clip after `backward()` and before `step()`."),
        (_step(clip=clip_grad_value_), "That limits each number alone, which turns the gradient; limit its length."),
        (_step(clip=_each_alone), "Each parameter was clipped for itself; clip them all together, as one long vector."),
        (_step(clip=_stretch), "A gradient shorter than `max_norm` was stretched to that length; leave it as it is."),
        (_step(loss=_softmaxed), SOFTMAX),
        (_step(loss=nn.CrossEntropyLoss(reduction="sum")), "That loss is the sum over the batch; take the mean."),
        (_step(late=True), "That is the loss after the step: return the one that `backward()` was called on."),
    ]
    slips = [(_two_steps(step), said) for step, said in ways]
    compare(_two_steps(answer), _two_steps(_step()), [(0.1,), (100.0,)], slips=slips)
    return (
        "`clip_grad_norm_` returns the length before clipping. Plotted over a training it shows where the limit "
        "belongs: a little above the usual length, so that only outliers are shortened."
    )


class _Watched(nn.Module):
    """A network that notes each pass: size, mode, recording; and in which order those with a graph went (F, B)."""

    def __init__(self, *layers: nn.Module) -> None:
        super().__init__()
        self.body = nn.Sequential(*layers)
        self.passes: list[tuple[int, bool, bool]] = []
        self.order: list[str] = []

    def forward(self, images: Tensor) -> Tensor:
        self.passes.append((len(images), self.training, torch.is_grad_enabled()))
        logits: Tensor = self.body(images)
        if logits.requires_grad:
            self.order.append("F")
            logits.register_hook(lambda _: self.order.append("B"))
        return logits


@task(
    "03.3",
    "Judge, and leave no trace",
    "`model.training` says in which mode the network is; `model.train(mode)` takes that value back.",
    "Sum the losses and the right answers of all images, count the images, and divide once, at the end.",
)
def loss_and_accuracy(answer: Callable[..., Any]) -> str:
    model = _Watched(nn.Flatten(), nn.BatchNorm1d(3), nn.Dropout(), nn.Linear(3, 2))
    images = torch.randn(14, 3, 1, 1)
    logits = model.eval()(images).detach()
    labels = logits.argmax(dim=1)
    labels[9:] = 1 - labels[9:]
    batches = list(zip(images.split(6), labels.split(6), strict=True))  # 6, 6 and 2
    loss, share = F.cross_entropy(logits, labels), 9 / 14
    single = F.cross_entropy(logits, labels, reduction="none").split(6)
    mean = torch.stack([part.mean() for part in single]).mean()
    slips = [
        ((mean, 0.5), f"{ALIKE}weigh each by its length, in both numbers."),
        ((mean, share), f"{ALIKE}weigh the loss of each by its length."),
        ((loss, 0.5), f"{ALIKE}count the right answers over all images."),
        ((loss, 100 * share), "The accuracy is asked for as a share in 0..1, not in percent."),
        ((share, loss), "The loss comes first, then the accuracy."),
        (
            (mean * 3 / 14, share),
            "Means of batches were added and divided by the number of images: sum up `loss * len(labels)`.",
        ),
        ((loss * 14 / 3, share), "A sum over images was divided by the number of batches."),
        ((_softmaxed(logits, labels), share), SOFTMAX),
    ]
    for training in (True, False):
        model.train(training).passes.clear()
        found = answer(model, batches)
        _leaves_no_trace(model, training)
        expect(found, (loss, share), of="loss_and_accuracy(model, batches)", slips=slips)
    return (
        "`model.train(mode)` sets all layers alike. Where some are kept in evaluation mode on purpose, as frozen batch "
        "norms in lesson 5, each layer's own mode has to be noted."
    )


def _leaves_no_trace(model: _Watched, training: bool) -> None:
    moved, as_before = "the network is in another mode than before the call", "the mode in which it came"
    other = any(module.training != training for module in model.modules())
    drops = "Dropout drops and batch norm uses the batch: call `model.eval()` before the loop."
    record = "`eval()` changes layers only. Put the loop under `with torch.no_grad():`."
    refuse("evaluation mode", (any(mode for _, mode, _ in model.passes), "images were judged in training mode", drops))
    refuse("no such record", (any(kept for *_, kept in model.passes), "what gradients need was recorded", record))
    refuse(
        "on, as before", (not torch.is_grad_enabled(), "gradients are still off", "`with` ends a `no_grad` by itself.")
    )
    refuse(
        as_before,
        (other and training, moved, "It stays in evaluation mode, and the next epoch would train so."),
        (other, moved, "`model.train()` at the end is a guess: note `model.training` first, and put that back."),
    )


def _after_pieces(fill: Callable[..., Any], size: int, images: Tensor, labels: Tensor) -> tuple[Any, Tensor]:
    model = _Watched(*_network())
    for parameter in model.parameters():
        parameter.grad = torch.ones_like(parameter)  # of an earlier batch
    start = parameters_to_vector(model.parameters()).detach()
    loss = _number(fill(model, images, labels, size))
    largest = max((count for count, *_ in model.passes), default=0)
    moved = not torch.equal(start, parameters_to_vector(model.parameters()))
    gradients = [parameter.grad for parameter in model.parameters() if parameter.grad is not None]
    alive = "Losses that wait keep the graphs of all pieces: call `backward()` inside the loop, for each piece."
    refuse(
        f"{size} at most", (largest > size, f"{largest} images in one pass", "`images.split(piece_size)` cuts a batch.")
    )
    refuse("one at a time", ("FF" in "".join(model.order), "a piece began before the last one's backward pass", alive))
    refuse(
        "that of the batch", (len(gradients) < 2, "no gradient is left", "Was it cleared after the last `backward()`?")
    )
    refuse("the weights as they were", (moved, "the weights have moved", "Only the gradient is asked for, no step."))
    return loss, parameters_to_vector(gradients)


def _loss_and_gradient(images: Tensor, labels: Tensor, loss: Loss = F.cross_entropy) -> tuple[Tensor, Tensor]:
    model = _network()
    value = loss(model(images), labels)
    return value.detach(), parameters_to_vector(torch.autograd.grad(value, list(model.parameters())))


@task(
    "03.4",
    "A large batch in pieces",
    "The mean over N images is a sum of terms, each divided by N. `F.cross_entropy` has divided by the piece's length.",
    "Multiply a piece's loss by its share of the batch, and call `backward()` before the next piece begins.",
)
def gradient_in_pieces(answer: Callable[..., Any]) -> str:
    for count, size in ((10, 4), (7, 3)):
        batch = _batch(count)
        found = _after_pieces(answer, size, *batch)
        each = [_loss_and_gradient(*part) for part in zip(*(some.split(size) for some in batch), strict=True)]
        losses, gradients = (torch.stack(column) for column in zip(*each, strict=True))  # (P,) and (P, 8)
        shares = torch.tensor([len(part) / count for part in batch[1].split(size)])
        right = shares @ gradients
        slips = [
            (right + 1, "The gradient of an earlier batch is still in the sum: clear it before the loop."),
            (gradients[-1], "Only the last piece is left, and unscaled: clear once, before the loop."),
            (shares[-1] * gradients[-1], "Only the last piece is left: clear once, before the loop, not inside it."),
            (shares[:-1] @ gradients[:-1], "The images that fill no whole piece were left out."),
            (gradients[:-1].mean(dim=0), "The images that fill no whole piece were left out."),
            (gradients.sum(dim=0), "`backward()` adds: scale each piece's loss down before it."),
            (
                gradients.mean(dim=0),
                "Pieces of unequal length count alike here: scale by length, not by the number of pieces.",
            ),
            (
                gradients.sum(dim=0) / size,
                "`F.cross_entropy` has divided by the piece's length already: take its share of N.",
            ),
            (right * count, "That is the gradient of a sum over the images: divide by their number."),
            (_loss_and_gradient(*batch, _softmaxed)[1], SOFTMAX),
        ]
        expect(found[1], right, of="the gradient left by the function", slips=slips)
        slips = [
            (losses[-1], "The gradient is right; the loss is that of the last piece."),
            (losses.mean(), "The gradient is right; in the loss, too, a piece counts by its length."),
            (losses.sum(), "The gradient is right; the losses were added up without scaling."),
        ]
        expect(found[0], shares @ losses, of="the function", slips=slips)
    return "With batch norm the pieces do not equal the whole, since each is standardised by its own images alone."


def _operating_point(
    val: Tensor, val_sick: Tensor, test: Tensor, sick: Tensor, share: float, *, lowest: bool = False
) -> tuple[float, float]:
    cuts = [cut for cut in val.unique().tolist() if (val[val_sick == 1] >= cut).double().mean() >= share - 1e-9]
    return _at(cuts[0] if lowest else cuts[-1], test, sick)


def _at(cut: Any, test: Tensor, sick: Tensor) -> tuple[float, float]:
    return float(cut), (test[sick == 0] < cut).double().mean().item()


@task(
    "03.5",
    "A threshold, chosen before the test",
    "Only the sick validation patients decide on the threshold; only the healthy test patients on the specificity.",
    "Each sick patient's score is a candidate. Which share of the sick has at least that score?",
)
def specificity_at_sensitivity(answer: Callable[..., Any]) -> str:
    right = _operating_point

    def of_test(v: Tensor, y: Tensor, t: Tensor, z: Tensor, s: float) -> tuple[float, float]:
        cut = right(v, y, t, z, s)[0]
        return cut, (t[z == 1] >= cut).double().mean().item()

    def alarms(v: Tensor, y: Tensor, t: Tensor, z: Tensor, s: float) -> tuple[float, float]:
        cut, specificity = right(v, y, t, z, s)
        return cut, 1 - specificity

    def strict(v: Tensor, y: Tensor, t: Tensor, z: Tensor, s: float) -> tuple[float, float]:
        cut = right(v, y, t, z, s)[0]
        return cut, (t[z == 0] <= cut).double().mean().item()

    def too_far(v: Tensor, y: Tensor, t: Tensor, z: Tensor, s: float) -> tuple[float, float]:
        return _at(v[y == 1].sort(descending=True).values[math.ceil(s * int(y.sum()) - 1e-9)], t, z)

    def too_few(v: Tensor, y: Tensor, t: Tensor, z: Tensor, s: float) -> tuple[float, float]:
        return _at(v[y == 1].sort(descending=True).values[int(s * int(y.sum())) - 1], t, z)

    slips = [
        (lambda v, y, t, z, s: right(t, z, t, z, s), "The test patients chose the threshold; let validation do it."),
        (lambda v, y, t, z, s: _at(right(v, y, t, z, s)[0], v, y), "That is the specificity on validation."),
        (of_test, "That is the sensitivity on test."),
        (alarms, "That is the share of the healthy who are called ill: take the others."),
        (strict, "A score equal to the threshold means ill, so that only scores below it count as healthy."),
        (too_few, "Too few of the sick are found: where the share is no whole number of patients, round up."),
        (too_far, "One patient too far: in a sorted list, place k has k patients before it."),
        (lambda *a: right(*a, lowest=True), "A higher threshold finds enough of the sick, too."),
        (lambda v, y, t, z, s: _at(v[y == 1].quantile(1 - s), t, z), "`quantile` interpolates between two patients."),
        (lambda v, y, t, z, s: _at(v.quantile(1 - s), t, z), "The share is one of the sick, not of all patients."),
        (lambda v, y, t, z, s: _at(0.5, t, z), "0.5 finds whom it finds; the threshold depends on the sick."),
        (
            answer,
            "Count with five sick patients: how many of them must be found, and which score is the last of these?",
        ),
    ]
    inputs = []
    for sick, share in ((15, 0.85), (40, 0.88), (13, 0.76)):
        sides = []
        for count in (60, 70):
            labels = (torch.randperm(count) < sick).long()
            sides += [((torch.rand(count) + 0.3 * labels) * 70).round() / 100, labels]
        inputs.append((*sides, share))
    compare(answer, right, inputs, slips=slips)
    return (
        "The sensitivity on test will not be exactly what was asked for: the threshold rests on a few sick validation "
        "patients. Report it with its interval, as section 11 does."
    )


def _stopping(losses: list[float], patience: int, *, against: str = "best", reset: bool = True) -> dict[str, int]:
    """Epochs at the end of a training with early stopping."""
    best, waited, kept, epoch = math.inf, 0, 0, 0
    for epoch, loss in enumerate(losses, 1):
        last = losses[epoch - 2] if epoch > 1 else math.inf
        if loss < (last if against == "last" else best) or (against == "ties" and loss == best):
            best, kept, waited = loss, epoch, 0 if reset else waited
        else:
            waited += 1
        if waited >= patience:
            break
    return _ended(epoch, kept, kept)


def _ended(stopped: int, weights: int, averages: int) -> dict[str, int]:
    return {"stopped after": stopped, "weights from": weights, "averages from": averages}


def _training(stopping_class: Callable[[int], Any]) -> Callable[[list[float], int], dict[str, int]]:
    def training(losses: list[float], patience: int) -> dict[str, int]:
        model, stopping = nn.Sequential(nn.Linear(1, 1), nn.BatchNorm1d(1)), stopping_class(patience)
        for epoch, loss in enumerate(losses, 1):
            for tensor in model.state_dict().values():
                tensor.fill_(epoch)
            if stopping.stop(loss, model):
                break
        try:
            stopping.restore(model)
        except NotImplementedError:
            raise
        except (TypeError, AttributeError, RuntimeError) as error:
            slip = "Was a state kept? The first loss is a new best, however large: begin with float('inf')."
            raise Wrong(f"restore(model) raised {error!r}", "the state of the best epoch", slip) from error
        state = model.state_dict()
        return _ended(epoch, int(state["0.weight"]), int(state["1.running_mean"]))

    return training


@task(
    "03.6",
    "Stop in time",
    "Keep three things: the best loss, the state of its epoch, and how many epochs have passed since.",
    "`state_dict()` holds the living tensors, which the next step changes: copy.deepcopy takes a picture of them.",
)
def early_stopping(answer: Callable[[int], Any]) -> str:
    def living(losses: list[float], patience: int) -> dict[str, int]:
        return _ended(*[_stopping(losses, patience)["stopped after"]] * 3)

    def weights_only(losses: list[float], patience: int) -> dict[str, int]:
        return _stopping(losses, patience) | {"averages from": living(losses, patience)["averages from"]}

    slips = [
        (lambda x, p: _stopping(x, p + 1), "One epoch too late: stop when `patience` epochs in a row were no better."),
        (lambda x, p: _stopping(x, p - 1), "One epoch too early: the best epoch itself is not one of the `patience`."),
        (lambda x, p: _stopping(x, p, reset=False), "A new best must set the count of waiting epochs back to 0."),
        (lambda x, p: _stopping(x, p, against="ties"), "A loss equal to the best is no new best."),
        (lambda x, p: _stopping(x, p, against="last"), "Compare with the best loss so far, not with the last one."),
        (lambda x, p: _stopping(x, 99), "It never says stop: does `stop` return its verdict?"),
        (living, "The last epoch's state is there: copy the state at each best, and load that into the model."),
        (weights_only, "Batch norm's averages were not kept: `parameters()` lacks them, `state_dict()` does not."),
    ]
    inputs = [([3, 2, 2.5, 1.8, 1.9, 1.7, 1.7, 1.75, 1.76, 1.6], 2), ([2, 1, 1.4, 1.3, 1.2, 0.9], 3), ([5, 6, 7], 1)]
    compare(_training(answer), _stopping, inputs, slips=slips)
    return "The best of many noisy losses flatters: report a score on images that did not choose the epoch."


FILES = (  # in the order of the items, with Pillow's mode, height and width
    ("ant/1.png", "RGB", 32, 64),
    ("ant/2.JPG", "L", 64, 64),
    ("bee/1.png", "RGBA", 64, 32),
    ("cat/1.png", "I;16", 96, 64),
    ("cat/2.jpeg", "RGB", 32, 32),
    ("dog/1.png", "L", 8, 16),
    ("eel/1.png", "L", 48, 96),
)
CLASSES = ["ant", "bee", "cat", "dog", "eel"]


def _levels(number: int, mode: str) -> np.ndarray[Any, Any]:
    """uint8 (2, 4, bands): what a file shows, two rows of four blocks."""
    grey = (20 + 25 * np.arange(8) + 5 * number).reshape(2, 4)
    bands = (grey, 250 - grey, np.full_like(grey, 60), np.full_like(grey, 255))
    return np.stack(bands[: len(mode) if mode.startswith("RGB") else 1], axis=2).astype(np.uint8)


def _write_images(root: Path) -> None:
    for number, (name, mode, height, width) in reversed(list(enumerate(FILES))):
        pixels = _levels(number, mode).repeat(height // 2, axis=0).repeat(width // 4, axis=1).squeeze()
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels.astype(np.uint16) * 256 + 99 if mode == "I;16" else pixels).save(root / name)
    for hidden in (".cache/1.png", "cat/.DS_Store", "notes.txt"):
        (root / hidden).parent.mkdir(exist_ok=True)
        (root / hidden).write_bytes(b"no image")


def _shown(number: int, channels: int) -> Tensor:
    """float (channels, 2, 4): what item `number` should show in the middle of each block."""
    colours = torch.from_numpy(_levels(number, FILES[number][1])[..., :3]).permute(2, 0, 1) / 255
    if channels < len(colours):
        colours = torch.einsum("chw,c->hw", colours, torch.tensor([0.299, 0.587, 0.114]))[None]
    return colours.expand(channels, -1, -1)


def _judge_image(found: Any, number: int, channels: int) -> None:
    of = f"the image of {FILES[number][0]} (mode {FILES[number][1]}), size=32 and channels={channels},"
    refuse(
        "a tensor",
        (not isinstance(found, Tensor), f"{of} is of type {type(found).__name__}", "Use `torch.from_numpy`."),
    )
    shape, wanted = tuple(found.shape), (channels, 32, 32)
    slip = {
        (32, 32, channels): "The channels come first: `permute(2, 0, 1)`.",
        (4, 32, 32): "The fourth channel of an RGBA file is its opacity: drop it.",
        (1, 32, 32): "A grey file must become three equal channels.",
        (3, 32, 32): "A file in colour must become one channel of grey.",
    }.get(shape, "(channels, size, size) is the shape for each file, whatever its own.")
    refuse(f"{wanted}", (shape != wanted, f"{of} has shape {shape}", slip))
    refuse("torch.float32", (found.dtype != torch.float32, f"{of} is {found.dtype}", "`.float()` turns it into that."))
    right = _shown(number, channels)
    blocks = found[:, [4, 28]][:, :, [4, 12, 20, 28]]
    deep = FILES[number][1] == "I;16"
    bits = "16 bits end at 65535: divide by that." if deep else "8 bits end at 255: divide by that."
    plain = torch.from_numpy(_levels(number, FILES[number][1])[..., :3] / 255).float().permute(2, 0, 1)
    large = right.repeat_interleave(16, dim=1).repeat_interleave(8, dim=2)
    scrambled = large.permute(1, 2, 0).reshape(channels, 32, 32)[:, [4, 28]][:, :, [4, 12, 20, 28]]
    dark = "This file has 8 bits: divide by 255, not by 65535."
    if not blocks.any():
        dark = "There is a border where the picture should be: squeeze it, do not pad it."
    slips = [
        (torch.ones_like(right), "All is white: `convert` cuts 16 bits off at 255. Divide by 65535 before."),
        *((right * factor, bits) for factor in (255, 65535)),
        (right * 0, dark),
        (right / right.max(), "A file's own maximum hides how it was exposed: divide by 255 or 65535."),
        (right.flip(0), "Red and blue are exchanged: Pillow reads RGB, OpenCV BGR."),
        (right[:, [0, 0, 1, 1]][..., [0, 3]].mT, "Rows and columns are exchanged: `permute(2, 0, 1)`."),
        (scrambled, "`reshape` and `view` move no axis, they cut anew: `permute(2, 0, 1)` moves them."),
        (plain.mean(dim=0, keepdim=True), "Pillow's grey weighs green most and blue least: `convert('L')` does it."),
        (right[..., [1, 1, 2, 2]], "The sides of the picture are missing: squeeze it, do not crop it."),
        *((_shown(other, channels), "That is another file: sort a class's files by name.") for other in range(7)),
    ]
    expect(blocks, right, of=f"{of} in the middle of 2 x 4 blocks,", slips=slips, tolerance=0.02)


def _judge_broken(answer: Callable[..., Any], root: Path) -> None:
    whole = (root / "ant/1.png").read_bytes()
    for name, content in (("eel/2.png", b"no image"), ("eel/3.png", whole[: len(whole) // 2])):
        (root / name).write_bytes(content)
    early = "Read a file in `__getitem__`: with 40,000 files memory would not do, and one bad file would stop all."
    try:
        data = answer(root, size=32, channels=1)
    except (OSError, RuntimeError, SyntaxError, ValueError) as error:
        raise Wrong(
            f"making the data set read a broken file ({type(error).__name__})", "no file read", early
        ) from error
    for index, name in ((7, "eel/2.png"), (8, "eel/3.png")):
        try:
            data[index]
            found, slip = f"item {index}, {name}, was returned", "A broken file must not pass as an image."
        except Exception as error:  # of whatever type, if it names the file
            found = f"{name}, which is {'no image' if index == 7 else 'cut short'}, raised {error!r}"
            slip = "Catch it where the file is decoded, and raise a ValueError with the path in its message."
            if name.partition("/")[2] in str(error):
                continue
        raise Wrong(found, "an error whose message holds the file's name", slip)


@task(
    "03.7",
    "Your own images",
    "In __init__ only list: sorted(root.iterdir()) for the classes, and a list of (path, label) for the files.",
    "In __getitem__ look at opened.mode: divide 16 bits by 65535, or convert to L or RGB and divide by 255.",
    "F.interpolate with antialias=True resizes a batch (1, C, H, W); .expand makes three equal channels of one.",
)
def folder_images(answer: Callable[..., Any]) -> str:
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        root = Path(folder)
        _write_images(root)
        for channels in (3, 1):
            data = answer(root, size=32, channels=channels)
            classes = list(data.classes)
            hidden = "What begins with a dot is ignored, in the root and in the classes."
            slips = [(".cache" in classes, hidden), ("notes.txt" in classes, "Only folders are classes: `is_dir()`.")]
            slips += [(sorted(classes) == CLASSES, "Folders come in the order of the disk: sort them.")]
            slip = next((said for holds, said in slips if holds), "")
            refuse(f"{CLASSES}", (classes != CLASSES, f"classes {classes}", slip))
            sizes = [(8, hidden), *((less, "Names may end in .JPG or .jpeg, too: take all files.") for less in (5, 6))]
            expect(len(data), 7, of="len of a data set with 7 images", slips=sizes)
            items = [data[index] for index in range(7)]
            labels = [CLASSES.index(name[:3]) for name, *_ in FILES]
            names = [(names := [name[:3] for name, *_ in FILES], "A label is a place in `classes`, not the name.")]
            expect([label for _, label in items], labels, of="the labels of all items", slips=names)
            for number, (image, _) in enumerate(items):
                _judge_image(image, number, channels)
        _judge_broken(answer, root)
    return (
        "Palettes, rotation flags of cameras and CMYK wait in real folders: `read_image` in `course_lib.data.decode` "
        "handles them. Look at a few items of each class before you train."
    )
