import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils import parameters_to_vector

from course_lib.exercises.task import Task, refuse
from course_lib.exercises.watched import leave_old_gradients, plain_number


class TrainStep(Task):
    number, title, name, points = "03.2", "One step, with a limit", "train_step", 2
    statement = """
A single odd batch can have a huge gradient, and one step along it can undo an hour of training. Clipping shortens such
a gradient before it is used. Write one training step for a network that returns logits (B, K): clear the old gradients,
compute the cross-entropy, differentiate, shorten the gradient to a length of at most `max_norm` (`max_norm=1.0` unless
it is given), and step. The length is that of all parameters' gradients together, as one long vector; a shorter gradient
stays as it is. Return the mean loss of the batch before the step, as a plain number (a Python `float`).
"""
    hints = (
        "The order: zero_grad, loss, backward, clip, step.",
        "nn.utils.clip_grad_norm_ takes the parameters and the largest length; it changes the gradients in place.",
    )
    notice = (
        "`clip_grad_norm_` returns the length before clipping. Plotted over a training it shows where the limit "
        "belongs: a little above the usual length, so that only outliers are shortened."
    )
    given = "three batches, some with gradients that must be clipped"
    drawn = "max_norm", (0.5, 1.0, 2.0, 5.0)

    def inputs(self, draw):
        for max_norm in (0.1, 100.0, 0.2):
            model = leave_old_gradients(draw.filled(nn.Sequential(nn.Flatten(), nn.Linear(3, 2))))
            yield model, [(draw.normal(count, 3, 1, 1), draw.labels(count, 2)) for count in (8, 4)], max_norm

    def shown(self, model, batches, max_norm):
        return f"two steps and max_norm={max_norm:g}"

    def use(self, answer, model, batches, max_norm):
        start = parameters_to_vector(model.parameters()).detach()
        optimizer = torch.optim.SGD(model.parameters(), lr=0.5)
        losses = [plain_number(answer(model, optimizer, *batch, max_norm)) for batch in batches]
        end = parameters_to_vector(model.parameters()).detach()
        bare = all(p.grad is None or not p.grad.any() for p in model.parameters())
        slip = "Are gradients cleared between `backward()` and `step()`?" if bare else "Is `optimizer.step()` missing?"
        refuse("a step", (torch.equal(start, end), "no weight has moved", slip))
        left = "the network was left in evaluation mode"
        refuse("training mode", (not model.training, left, "A step has no `eval()`."))
        return {"the losses and weights": [losses, end]}


# Answers


# fmt: off
def train_step(
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    images: Tensor,
    labels: Tensor,
    max_norm: float = 1.0,
) -> float:
    """Images (B, C, H, W) and labels (B,) to the loss; moves the weights once."""
    optimizer.zero_grad()
    loss = F.cross_entropy(model(images), labels)
    loss.backward()
    nn.utils.clip_grad_norm_(model.parameters(), max_norm)
    optimizer.step()
    return loss.item()
# fmt: on


def by_hand(parameters, max_norm, most=1.0):
    gradients = [parameter.grad for parameter in parameters]
    torch._foreach_mul_(gradients, min(most, max_norm / parameters_to_vector(gradients).norm().item()))


ZERO, STEP, CLIP = "optimizer.zero_grad()", "optimizer.step()", "nn.utils.clip_grad_norm_(model.parameters(), max_norm)"
slips = [
    ({ZERO: "pass", STEP: f"{STEP}; {ZERO}"}, "Gradients from before the call got into the step: clear them first."),
    ({ZERO: "pass"}, "The first step's gradient is still in that of the second: `zero_grad()` is missing."),
    ({CLIP: "pass"}, "No gradient was shortened: clip after `backward()` and before `step()`."),
    ({"clip_grad_norm_": "clip_grad_value_"}, "That limits each number, which turns the gradient: limit its length."),
    (
        {CLIP: "[nn.utils.clip_grad_norm_(p, max_norm) for p in model.parameters()]"},
        "Each parameter was clipped for itself; clip them all together, as one long vector.",
    ),
    (
        {CLIP: "by_hand(model.parameters(), max_norm, most=1e9)"},
        "A gradient shorter than `max_norm` was stretched to that length; leave it as it is.",
    ),
    ({"(images)": "(images).softmax(dim=1)"}, "`F.cross_entropy` applies softmax itself: give it the logits."),
    ({", labels)": ', labels, reduction="sum")'}, "That loss is the sum over the batch; take the mean."),
    (
        {"return loss": "return F.cross_entropy(model(images), labels)"},
        "That is the loss after the step: return the one that `backward()` was called on.",
    ),
]
also_wrong = [
    ({"loss.item()": "loss.detach()"}, "makes a plain number of a tensor"),
    ({"model(images)": "model.eval()(images)"}, "has no `eval()`"),
    ({"max_norm: float = 1.0": "max_norm: float = 10.0"}, "Leave the page's defaults"),
    ({STEP: "pass"}, "Is `optimizer.step()`"),
    ({STEP: f"{ZERO}; {STEP}"}, "cleared between"),
    ({"loss.item()": "loss"}, "kept fill the memory"),
    ({"return loss.item()": "return None"}, "end with `return`"),
]
also_right = [{"nn.utils.clip_grad_norm_": "by_hand"}]
