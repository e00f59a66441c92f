from collections.abc import Iterable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from course_lib.exercises.task import Task, refuse
from course_lib.exercises.watched import Watched


class LossAndAccuracy(Task):
    number, title, name, points = "03.3", "Judge, and leave no trace", "loss_and_accuracy", 2
    statement = """
Write the function that you will call after each epoch. It gets a network that returns logits (B, K) and a list of
batches, pairs of images (B, C, H, W) and labels (B,), the last of which may be shorter. Return the mean cross-entropy
and the accuracy, a fraction in 0..1, both over all images. Compute in evaluation mode and without a record for
gradients, and leave the network in the mode in which it came: a function that only measures should change nothing.
"""
    hints = (
        "`model.training` says in which mode the network is; `model.train(mode)` takes that value back.",
        "Sum the losses and the right answers of all images, count the images, and divide once, at the end.",
    )
    notice = (
        "`model.train(mode)` sets all layers alike. Where some are kept in evaluation mode on purpose, as frozen "
        "batch norms in lesson 5, each layer's own mode has to be noted."
    )
    given = "batches of unequal sizes, and a model in either mode"

    def inputs(self, draw):
        for training, sizes in ((True, [6, 6, 2]), (False, [6, 6, 2]), (True, [15, 15, 8])):
            layers = nn.Flatten(), nn.BatchNorm1d(3), nn.Dropout(), nn.Linear(3, 2)
            model, images = draw.filled(Watched(*layers)).eval(), draw.normal(sum(sizes), 3, 1, 1)
            labels = model(images).argmax(dim=1)
            labels[-5:] = 1 - labels[-5:]
            yield model.train(training), list(zip(images.split(sizes), labels.split(sizes), strict=True))

    def shown(self, model, batches):
        return f"{self.name}(model, batches)"

    def use(self, answer, model, batches):
        model.passes.clear()
        training, averages = model.training, [buffer.clone() for buffer in model.buffers()]
        result = answer(model, batches)
        self.leaves_no_trace(model, training)
        return {"the loss and the accuracy": result, "the averages of batch norm": [averages, list(model.buffers())]}

    def leaves_no_trace(self, model, training):
        moved, as_before = "the network is in another mode than before the call", "the mode in which it came"
        other = any(module.training != training for module in model.modules())
        drops = "Dropout drops and batch norm uses the batch: call `model.eval()` before the loop."
        record = "`eval()` changes layers only. Put the loop under `with torch.no_grad():`."
        ends = "`with` ends a `no_grad` by itself."
        trained, recorded = any(mode for _, mode, _ in model.passes), any(recording for *_, recording in model.passes)
        refuse("evaluation mode", (trained, "images were judged in training mode", drops))
        refuse("no such record", (recorded, "what gradients need was recorded", record))
        refuse("on, as before", (not torch.is_grad_enabled(), "gradients are still off", ends))
        refuse(
            as_before,
            (other and training, moved, "It stays in evaluation mode, and the next epoch would train so."),
            (other, moved, "`model.train()` at the end is a guess: note `model.training` first, and put that back."),
        )


# Answers


# fmt: off
def loss_and_accuracy(
    model: nn.Module, batches: Iterable[tuple[Tensor, Tensor]]
) -> tuple[float, float]:
    """Batches of images (B, C, H, W) and labels (B,) to the mean loss and the fraction of right answers."""
    was_training = model.training
    model.eval()
    loss, right, seen = 0.0, 0, 0
    with torch.no_grad():
        for images, labels in batches:
            logits = model(images)  # (B, K)
            loss += F.cross_entropy(logits, labels, reduction="sum").item()
            right += (logits.argmax(dim=1) == labels).sum().item()
            seen += len(labels)
    model.train(was_training)
    return loss / seen, right / seen
# fmt: on


@torch.inference_mode()
def all_at_once(model, batches):
    modes = {module: module.training for module in model.modules()}
    model.eval()
    logits, labels = (torch.cat(some) for some in zip(*[(model(x), y) for x, y in batches], strict=True))
    for module, mode in modes.items():
        module.training = mode
    return [F.cross_entropy(logits, labels), (logits.argmax(1) == labels).float().mean()]


ALIKE = "Batches of unequal length count alike here: "
MEAN_LOSS = {', reduction="sum"': "", "loss / seen": "loss / len(batches)"}
MEAN_RIGHT = {").sum()": ").float().mean()", "right / seen": "right / len(batches)"}
slips = [
    (MEAN_LOSS | MEAN_RIGHT, f"{ALIKE}weigh each by its length, in both numbers."),
    (MEAN_LOSS, f"{ALIKE}weigh the loss of each by its length."),
    (MEAN_RIGHT, f"{ALIKE}count the right answers over all images."),
    ({"right / seen": "100 * right / seen"}, "The accuracy is asked for as a fraction in 0..1, not in percent."),
    ({"loss / seen, right / seen": "right / seen, loss / seen"}, "The loss comes first, then the accuracy."),
    ({', reduction="sum"': ""}, "Means were added and divided by the number of images: sum up `loss * len(labels)`."),
    ({"loss / seen": "loss / len(batches)"}, "A sum over images was divided by the number of batches."),
    ({"(logits, l": "(logits.softmax(dim=1), l"}, "`F.cross_entropy` applies softmax itself: give it the logits."),
]
also_wrong = [
    ({"    model.eval()\n": ""}, "call `model.eval()` before"),
    ({"no_grad": "enable_grad"}, "`eval()` changes layers only"),
    ({"    model.train(was_training)\n": ""}, "stays in evaluation mode"),
    ({"model.train(was_training)": "model.train()"}, "at the end is a guess"),
    ({"with torch.no_grad():": "torch.set_grad_enabled(False)\n    if True:"}, "ends a `no_grad` by itself"),
]
also_right = [all_at_once]
