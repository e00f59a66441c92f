import copy

import torch
from torch import Tensor, nn

from course_lib.exercises.task import Task, Wrong, agrees, refuse, shown
from course_lib.exercises.watched import small_backbone


class Frozen(Task):
    number, title, name, points = "05.3", "Frozen for good", "frozen", 2
    statement = """
Write a function that freezes a backbone and returns it, ready to be built into a larger network. That network then
trains: it is in training mode from the start, and `train()` is called again before each epoch. All the while the
backbone's weights and its batch-norm statistics stay the same bit by bit, and it answers in training as it does in
evaluation mode, without dropout. Gradients still pass *through* it, since a layer in front of it may want to learn.
You may change the backbone that you are given, or return a module that wraps it.
"""
    hints = (
        "`requires_grad` keeps weights; statistics and dropout follow the mode, and a network's `train()` wakes its parts.",
        "`network.train()` calls `train(mode)` of each part: a part with a `train` of its own can stay as it is.",
    )
    notice = "An optimizer skips weights without a gradient, weight decay included: its list may hold the frozen ones."
    given = "three steps of training with weight decay"
    otherwise = {
        "the output after model.train()": "Batch norm standardizes by the batch at hand: it has to be in evaluation mode, too."
    }

    def inputs(self, draw):
        for _ in range(2):
            layers = small_backbone(draw).train(), draw.filled(nn.Conv2d(3, 3, 1)), draw.filled(nn.Linear(96, 2))
            yield *layers, draw.uniform(8, 3, 8, 8)

    def shown(self, backbone, front, head, images):
        return "a small backbone"

    def use(self, answer, backbone, front, head, images):
        part = answer(backbone)
        if not isinstance(part, nn.Module):
            raise Wrong(f"frozen() gave {shown(part)}", "a module", "Does the function end with `return`?")
        before = {name: tensor.clone() for name, tensor in part.state_dict().items()}
        asleep = not any(module.training for module in part.modules())
        model = nn.Sequential(front, part, nn.Flatten(), head)  # in training mode, as anything new
        optimizer = torch.optim.SGD(model.parameters(), lr=0.01, weight_decay=0.1)
        for _ in range(2):  # epochs
            optimizer.zero_grad()
            model(images).square().sum().backward()
            optimizer.step()
            model.eval()
            model.train()
        self.look_at_changes(before, part.state_dict(), asleep)
        hint = "`no_grad` or `detach` cuts the graph: frozen weights need neither, `requires_grad_(False)` is enough."
        blocked = front.weight.grad is None or not front.weight.grad.any()
        refuse("a gradient that passes through", (blocked, "no gradient reached the layer in front", hint))
        first, second = part(images).detach(), part(images).detach()
        slip = "Twice the same images, two answers: dropout is awake. Evaluation mode is for all parts."
        refuse("one output", (not agrees(first, second, 1e-5), "two outputs for the same images", slip))
        return {"the output after model.train()": first, "the layer in front": front.weight.grad.sign()}

    def look_at_changes(self, before, after, asleep):
        """Go on if a backbone is what it was; `asleep` says whether it was in evaluation mode once frozen."""
        changed = [name for name in before if name not in after or not torch.equal(before[name], after[name])]
        moved = [name for name in changed if "running" in name or "batches" in name]
        weights = [name for name in changed if name not in moved]
        slip = "Not a single parameter may learn, batch norm's scale and shift included: `requires_grad_(False)`."
        refuse("all weights as they were", (bool(weights), f"training changed {', '.join(weights)}", slip))
        slip = "`requires_grad` is for weights; statistics move in training mode, without any gradient."
        if asleep:
            slip = "`eval()` lasts until the next `train()` of the network around it: the backbone has to ignore that."
        if all("batches" in name for name in moved):
            slip = "The means stand still, but in training mode batch norm does not use them: it has to be in evaluation mode."
        refuse("all statistics as they were", (bool(moved), f"training changed {', '.join(moved)}", slip))


# Answers


def frozen(backbone: nn.Module) -> nn.Module:
    """Any network to one that gives the same output and never changes."""

    class Frozen(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inside = backbone.requires_grad_(False)

        def train(self, mode: bool = True) -> nn.Module:
            return super().train(False)  # whatever the network around it asks for

        def forward(self, images: Tensor) -> Tensor:
            return self.inside(images)

    return Frozen().train()


def without_train(backbone):
    backbone.requires_grad_(False).eval()
    backbone.train = lambda mode=True: backbone
    return backbone


def before_each_pass(backbone):
    backbone.requires_grad_(False)
    backbone.register_forward_pre_hook(lambda part, images: part.eval() and None)
    return backbone


def norms(change):
    """An answer that freezes the weights, and does something to each batch norm."""

    def answer(backbone):
        for part in backbone.requires_grad_(False).modules():
            if isinstance(part, nn.BatchNorm2d):
                change(part)
        return backbone

    return answer


def sleeps(part):
    part.eval().train = lambda mode=True: part


def of_the_batch(part):
    part.track_running_stats = False
    part.forward = lambda x: nn.functional.batch_norm(x, None, None, part.weight, part.bias, True)


def without_chance(backbone):
    backbone[3].p = 0
    return norms(of_the_batch)(backbone)


also_wrong = [
    (lambda backbone: backbone.requires_grad_(False), "statistics move in training mode"),
    (lambda backbone: backbone.requires_grad_(False).eval(), "lasts until the next"),
    ({".requires_grad_(False)": ""}, "all weights as they were"),
    ({"return self": "with torch.no_grad():\n                return self"}, "passes through"),
    ({"Frozen().train()": "Frozen()"}, "in training mode, without any gradient"),
    (norms(sleeps), "dropout is awake"),
    (without_chance, "batch at hand"),
    (norms(lambda part: setattr(part, "momentum", 0)), "The means stand still"),
    (lambda backbone: None, "end with `return`"),
]
also_right = [without_train, before_each_pass, lambda backbone: without_train(copy.deepcopy(backbone))]
