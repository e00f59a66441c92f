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
        together, split_hint = "FF" in "".join(model.order), "`images.split(piece_size)` cuts a batch."
        alive = "Losses that wait keep the graphs of all pieces: call `backward()` inside the loop, for each piece."
        cleared = len(left) < 2 or not any(gradient.any() for gradient in left)
        refuse(f"{size} at most", (largest > size, f"{largest} images in one pass", split_hint))
        refuse("one at a time", (together, "a piece began before the last one's backward pass", alive))
        after = "Was it cleared after the last `backward()`?"
        refuse("that of the batch", (cleared, "no gradient is left", after))
        refuse("the weights as they were", (moved, "the weights have moved", "Only the gradient is needed, no step."))
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


ZERO, BACKWARD, ADD = "model.zero_grad()", "loss.backward()", "total += loss.item()"
NUMBER = "-(-len(images) // piece_size)"  # of pieces
slips = [
    ({ZERO: "pass"}, "The gradient of an earlier batch is still in the sum: clear it before the loop."),
    ({ZERO: "pass", BACKWARD: f"{ZERO}; (loss / share).backward()"}, "The last piece is left, unscaled: clear once."),
    ({ZERO: "pass", BACKWARD: f"{ZERO}; {BACKWARD}"}, "Only the last piece is left: clear once, before the loop."),
    (
        {"zip(": "list(zip(", "strict=True)": "strict=True))[: len(images) // piece_size]"},
        "The images that fill no whole piece were left out.",
    ),
    ({BACKWARD: "(loss / share).backward()"}, "`backward()` adds: scale each piece's loss down before it."),
    (
        {BACKWARD: f"(loss / share / {NUMBER}).backward()"},
        "Pieces of unequal length count alike here: scale by length, not by the number of pieces.",
    ),
    (
        {BACKWARD: "(loss / share / piece_size).backward()"},
        "`F.cross_entropy` has divided by the piece's length already: take its fraction of N.",
    ),
    ({BACKWARD: "(loss * len(images)).backward()"}, "That is the gradient of a sum: divide by the number of images."),
    ({"(some), t": "(some).softmax(dim=1), t"}, "`F.cross_entropy` applies softmax itself: give it the logits."),
    ({ADD: "total = loss.item() / share"}, "The gradient is right; the loss is that of the last piece."),
    ({ADD: f"{ADD} / share / {NUMBER}"}, "The gradient is right; in the loss, too, a piece counts by its length."),
    ({ADD: f"{ADD} / share"}, "The gradient is right; the losses were added up without scaling."),
]
also_wrong = [
    ({"return total": "return torch.tensor(total)"}, "makes a plain number of a tensor"),
    (
        {BACKWARD: "pass", "loss.item()": "loss", "return total": "total.backward()\n    return total.item()"},
        "Losses that wait",
    ),
    ({"images.split(piece_size), labels.split(piece_size)": "[images], [labels]"}, "cuts a batch"),
    ({"return": "torch.optim.SGD(model.parameters(), lr=0.1).step()\n    return"}, "no step"),
    ({"return": f"{ZERO}\n    return"}, "that of the batch"),
]
also_right = [
    {
        BACKWARD: "(loss * len(images)).backward()",
        "return": "for parameter in model.parameters():\n        parameter.grad /= len(images)\n    return",
    },
]
