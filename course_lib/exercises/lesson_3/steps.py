"""Checks of lesson 3: of what happens in a training step and after it."""

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils import clip_grad_norm_, clip_grad_value_, parameters_to_vector

from course_lib.exercises.legacy import compare, expect, refuse, task

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
        (lambda y, k: y.bincount() / len(y), "These are the fractions of the classes: the rarest must weigh most."),
        (lambda y, k: 1 / y.bincount(), "The weights are not scaled yet: their mean over the images is far below 1."),
        (lambda y, k: len(y) / y.bincount(), "Their mean over the images is the number of classes, not 1."),
        (lambda y, k: y.bincount().max() / y.bincount(), "The most common class has weight 1, so the mean exceeds 1."),
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
    dtype, slip = answer(labels, 3).dtype, "The loss takes weights of the same type as its logits: `.float()`."
    refuse("torch.float32", (dtype != torch.float32, f"weights of type {dtype}", slip))
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
        (not isinstance(loss, float), f"a {type(loss).__name__}", "`loss.item()` makes a plain number of a tensor."),
    )
    return loss


def _each_alone(parameters: Iterable[nn.Parameter], norm: float) -> None:
    for parameter in parameters:
        clip_grad_norm_(parameter, norm)


def _stretch(parameters: Iterable[nn.Parameter], norm: float) -> None:
    gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
    torch._foreach_mul_(gradients, norm / parameters_to_vector(gradients).norm().item())


def _step(
    clip: Callable[..., object] = clip_grad_norm_,
    loss: Loss = F.cross_entropy,
    clear: str = "first",
    late: bool = False,
) -> Callable[..., float]:
    """A training step, right by default."""

    def step(model: nn.Module, optimizer: torch.optim.Optimizer, images: Tensor, labels: Tensor, norm: float) -> float:
        if clear == "first":
            optimizer.zero_grad()
        value = loss(model(images), labels)
        value.backward()
        clip(model.parameters(), norm)
        optimizer.step()
        if clear == "last":
            optimizer.zero_grad()
        return (loss(model(images), labels) if late else value).item()

    return step


def _two_steps(step: Callable[..., Any]) -> Callable[[float], tuple[list[Any], Tensor]]:
    def losses_and_weights_after_two_steps(max_norm: float) -> tuple[list[Any], Tensor]:
        model, (images, labels) = _network(), _batch(12)
        leave_old_gradients(model)
        start = parameters_to_vector(model.parameters()).detach()
        optimizer = torch.optim.SGD(model.parameters(), lr=0.5)
        parts = (slice(8), slice(8, 12))
        losses = [_number(step(model, optimizer, images[part], labels[part], max_norm)) for part in parts]
        end = parameters_to_vector(model.parameters()).detach()
        bare = all(p.grad is None or not p.grad.any() for p in model.parameters())
        slip = "Are gradients cleared between `backward()` and `step()`?" if bare else "Is `optimizer.step()` missing?"
        refuse("a step", (torch.equal(start, end), "no weight has moved", slip))
        refuse(
            "training mode", (not model.training, "the network was left in evaluation mode", "A step has no `eval()`.")
        )
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
        (
            _step(clear="last"),
            "Gradients that were there before the call got into the step: clear before `backward()`.",
        ),
        (_step(clear="never"), "The first step's gradient is still in that of the second: `zero_grad()` is missing."),
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


def leave_old_gradients(model: nn.Module) -> None:
    for parameter in model.parameters():
        parameter.grad = torch.ones_like(parameter)  # of an earlier batch


class Watched(nn.Module):
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
    model = Watched(nn.Flatten(), nn.BatchNorm1d(3), nn.Dropout(), nn.Linear(3, 2))
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
        ((loss, 100 * share), "The accuracy is asked for as a fraction in 0..1, not in percent."),
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


def _leaves_no_trace(model: Watched, training: bool) -> None:
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
    model = Watched(*_network())
    leave_old_gradients(model)
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
    "Multiply a piece's loss by its fraction of the batch, and call `backward()` before the next piece begins.",
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
                "`F.cross_entropy` has divided by the piece's length already: take its fraction of N.",
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
    return "With batch norm the pieces do not equal the whole, since each is standardized by its own images alone."
