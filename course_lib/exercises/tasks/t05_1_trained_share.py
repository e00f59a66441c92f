import torch
from torch import Tensor, nn

from course_lib.exercises.task import Task, call
from course_lib.exercises.watched import small_backbone


class TrainedShare(Task):
    number, title, name, points = "05.1", "How much is left to learn?", "trained_share", 1
    statement = """
After freezing, ask how much of a network an optimizer may still change. Return that as a fraction from 0 to 1: the
numbers in parameters with `requires_grad`, divided by the numbers in all parameters. A weight tensor with 9,216
numbers counts 9,216 times. Batch-norm statistics are no parameters. This one line shows at once whether the freezing
reached what you meant.
"""
    hints = (
        "`model.parameters()` gives tensors; `numel()` is how many numbers one of them holds.",
        "Two sums, one of them with `if p.requires_grad`.",
    )
    notice = "A fraction of exactly 0 or 1 after freezing is a warning: then the freezing met everything, or nothing."
    given = "models whose layers are frozen by chance"

    def inputs(self, draw):
        frozen, headless = (nn.Sequential(small_backbone(draw), nn.Flatten(), nn.Linear(96, size)) for size in (5, 2))
        frozen[0].requires_grad_(False)
        frozen[0][5].weight.requires_grad = True
        headless[2].requires_grad_(False)
        yield frozen, "a network frozen except for its head and one more weight"
        yield headless, "a network whose head is frozen"
        yield nn.Linear(3, 2), "a layer that learns"
        yield small_backbone(draw).requires_grad_(False), "a network that is all frozen"
        for a, b in draw.whole(2, 9, 3, 2).tolist():
            block = nn.Sequential(nn.Conv2d(a, b, 1), nn.BatchNorm2d(b))
            drawn = nn.Sequential(nn.Conv2d(2, a, 3), block, nn.Linear(b, 2))
            for parameter in drawn.parameters():
                parameter.requires_grad_(draw.number(0, 2) > 0)
            yield drawn, "a network whose layers are frozen by chance"

    def use(self, answer, model, what):
        return call(answer, model)

    def shown(self, model, what):
        return f"{self.name}() of {what}"


# Answers


def trained_share(model: nn.Module) -> float:
    """Any network to the fraction of its parameters that learn, from 0 to 1."""
    learning = sum(p.numel() for p in model.parameters() if p.requires_grad)
    return learning / sum(p.numel() for p in model.parameters())


def learning(model, count=Tensor.numel):
    return sum(count(p) for p in model.parameters() if p.requires_grad)


def share(model, count=Tensor.numel):
    return learning(model, count) / sum(count(p) for p in model.parameters())


def of_the_state(model):
    return learning(model) / sum(tensor.numel() for tensor in model.state_dict().values())


def with_torch(model):
    sizes = torch.tensor([[p.numel(), p.numel() * p.requires_grad] for p in model.parameters()]).sum(dim=0)
    return sizes[1] / sizes[0]


slips = [
    (lambda m: 1 - share(m), "That is the fraction that is frozen."),
    (lambda m: share(m, lambda p: 1), "Tensors were counted: take how many numbers each holds, `numel()`."),
    (lambda m: share(m, len), "`len` is a tensor's first side only: `numel()` counts all its numbers."),
    (of_the_state, "`state_dict` also holds batch-norm statistics: count `parameters()`."),
    (lambda m: 1.0, "Frozen parameters were counted as if they learned: ask `requires_grad`."),
    (lambda m: 100 * share(m), "That is in percent: 1 stands for all."),
    (lambda m: share(m) / (1 - share(m) or 1), "Divide by the number of all parameters, not of the frozen ones."),
    (lambda m: share(m) // 1, "`//` drops what is behind the point: a fraction needs `/`."),
    (learning, "That is a number of parameters: divide it by the number of all."),
]
also_right = [with_torch]
