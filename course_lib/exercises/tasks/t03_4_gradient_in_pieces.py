import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils import parameters_to_vector

from course_lib.exercises.task import Task, refuse
from course_lib.exercises.watched import Watched, leave_old_gradients, plain_number


class GradientInPieces(Task):
    number, title, name, points = "03.4", "A large batch in pieces", "gradient_in_pieces", 2
    statement = """
A batch that does not fit into the GPU's memory can be computed in pieces, since `backward()` adds to the gradients
that are there. Write a function that leaves in each parameter's `.grad` the gradient of the mean cross-entropy over
all N images, sends at most `piece_size` images through the network at a time, and gives the memory of each piece back
before the next one. The last piece may be shorter. Clear what an earlier batch left in `.grad`, make no step, and
return the mean loss over all images, as a plain number.
"""
    hints = (
        "The mean over N images is a sum of terms, each divided by N. `F.cross_entropy` has divided by the piece's length.",
        "Multiply a piece's loss by its fraction of the batch, and call `backward()` before the next piece begins.",
    )
    notice = "With batch norm the pieces do not equal the whole, since each is standardized by its own images alone."
    given = "batches that do not divide evenly"

    def inputs(self, draw):
        for count, size in ((10, 4), (7, 3), (11, 4)):
            model = leave_old_gradients(draw.filled(Watched(nn.Flatten(), nn.Linear(3, 2))))
            yield model, draw.normal(count, 3, 1, 1), draw.labels(count, 2), size

    def shown(self, model, images, labels, size):
        return f"{self.name}() of {len(images)} images, {size} in a piece,"

    def use(self, answer, model, images, labels, size):
        start = parameters_to_vector(model.parameters()).detach()
        loss = plain_number(answer(model, images, labels, size))
        largest = max((count for count, *_ in model.passes), default=0)
        moved = not torch.equal(start, parameters_to_vector(model.parameters()))
        left = [parameter.grad for parameter in model.parameters() if parameter.grad is not None]
        together, cut = "FF" in "".join(model.order), "`images.split(piece_size)` cuts a batch."
        alive = "Losses that wait keep the graphs of all pieces: call `backward()` inside the loop, for each piece."
        cleared = len(left) < 2 or not any(gradient.any() for gradient in left)
        refuse(f"{size} at most", (largest > size, f"{largest} images in one pass", cut))
        refuse("one at a time", (together, "a piece began before the last one's backward pass", alive))
        after = "Was it cleared after the last `backward()`?"
        refuse("that of the batch", (cleared, "no gradient is left", after))
        refuse(
            "the weights as they were", (moved, "the weights have moved", "Only the gradient is asked for, no step.")
        )
        return {"the gradient": parameters_to_vector(left), "the loss": loss}


# Answers


def gradient_in_pieces(model: nn.Module, images: Tensor, labels: Tensor, piece_size: int) -> float:
    """Images (N, C, H, W) and labels (N,) to the mean loss; fills the gradients."""
    model.zero_grad()
    total = 0.0
    for some, their in zip(images.split(piece_size), labels.split(piece_size), strict=True):
        share = len(some) / len(images)
        loss = F.cross_entropy(model(some), their) * share
        loss.backward()
        total += loss.item()
    return total


def pieces(factor=lambda piece, whole, number: piece / whole, clear="before", loss_of=F.cross_entropy, rest=True):
    """Pieces, with a mistake in what a piece counts; the loss is right where that does not tell."""

    def answer(model, images, labels, size):
        if clear == "before":
            model.zero_grad()
        total, parts = 0.0, list(zip(images.split(size), labels.split(size), strict=True))
        for some, their in parts if rest else parts[: len(images) // size]:
            if clear == "each":
                model.zero_grad()
            loss = loss_of(model(some), their)
            (loss * factor(len(some), len(images), len(parts))).backward()
            total += loss.item() * len(some) / len(images)
        if clear == "after":
            model.zero_grad()
        return total

    return answer


def with_loss(of_pieces):
    """An answer with the right gradient, and another loss made of those of all pieces."""

    def answer(model, images, labels, size):
        gradient_in_pieces(model, images, labels, size)
        with torch.no_grad():
            parts = zip(images.split(size), labels.split(size), strict=True)
            return of_pieces(torch.stack([F.cross_entropy(model(x), y) for x, y in parts])).item()

    return answer


def together(model, images, labels, size):
    model.zero_grad()
    parts = zip(images.split(size), labels.split(size), strict=True)
    loss = sum(F.cross_entropy(model(x), y, reduction="sum") for x, y in parts) / len(images)
    loss.backward()
    return loss.item()


def steps_too(model, *given):
    total = gradient_in_pieces(model, *given)
    torch.optim.SGD(model.parameters(), lr=0.1).step()
    return total


def softmaxed(logits, labels):
    return F.cross_entropy(logits.softmax(dim=1), labels)


def divided_at_the_end(model, images, labels, size):
    total = pieces(lambda piece, *_: piece)(model, images, labels, size)
    for parameter in model.parameters():
        parameter.grad /= len(images)
    return total


slips = [
    (pieces(clear="never"), "The gradient of an earlier batch is still in the sum: clear it before the loop."),
    (pieces(lambda *_: 1, clear="each"), "Only the last piece is left, and unscaled: clear once, before the loop."),
    (pieces(clear="each"), "Only the last piece is left: clear once, before the loop, not inside it."),
    (pieces(rest=False), "The images that fill no whole piece were left out."),
    (pieces(lambda *_: 1), "`backward()` adds: scale each piece's loss down before it."),
    (
        pieces(lambda piece, whole, number: 1 / number),
        "Pieces of unequal length count alike here: scale by length, not by the number of pieces.",
    ),
    (
        lambda m, x, y, size: pieces(lambda *_: 1 / size)(m, x, y, size),
        "`F.cross_entropy` has divided by the piece's length already: take its fraction of N.",
    ),
    (pieces(lambda piece, *_: piece), "That is the gradient of a sum over the images: divide by their number."),
    (pieces(loss_of=softmaxed), "`F.cross_entropy` applies softmax itself: give it the logits."),
    (with_loss(lambda losses: losses[-1]), "The gradient is right; the loss is that of the last piece."),
    (with_loss(torch.mean), "The gradient is right; in the loss, too, a piece counts by its length."),
    (with_loss(torch.sum), "The gradient is right; the losses were added up without scaling."),
]
also_wrong = [
    (lambda *given: torch.tensor(gradient_in_pieces(*given)), "makes a plain number of a tensor"),
    (together, "Losses that wait"),
    (lambda model, x, y, size: gradient_in_pieces(model, x, y, len(x)), "cuts a batch"),
    (steps_too, "no step"),
    (pieces(clear="after"), "that of the batch"),
]
also_right = [divided_at_the_end]
