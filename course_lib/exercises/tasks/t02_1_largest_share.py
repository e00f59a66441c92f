from collections import Counter

from torch import nn

from course_lib.exercises.task import Task, call
from course_lib.models import PneumoniaCNN


class LargestShare(Task):
    number, title, name, points = "02.1", "The heaviest layer", "largest_share", 1
    statement = """
In PneumoniaCNN nearly all parameters sit in one layer. Write a function that says of any model which fraction of its
parameters the largest layer holds, as a number from 0 to 1. A layer is a module with parameters of its own, such as
`nn.Conv2d`; its weight and its bias belong together, and frozen parameters count like the others. Blocks are no
layers, but the layers inside them count, however deeply they are nested. A module can be both, a layer and a block:
`nn.MultiheadAttention` has parameters of its own and a linear layer inside, and these are two layers.
"""
    hints = (
        "`model.modules()` goes through all modules at all depths, the model itself and its blocks among them.",
        "`module.parameters(recurse=False)` gives what a module holds itself: nothing for a block.",
        "Sum `numel()` of these for each module; divide the largest sum by the sum of all.",
    )
    notice = (
        "It is 99.8% for PneumoniaCNN at 256 pixels and 74% for VGG-16, which flattens as well. ResNet-18 takes "
        "the mean over each map, and its largest layer holds 20%."
    )
    given = "nested models, some of whose parameters are frozen"

    def inputs(self, draw):
        half_frozen = nn.Sequential(nn.Linear(50, 20), nn.Linear(20, 30), nn.Linear(30, 5))
        half_frozen[0].requires_grad_(False)
        blocks = nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.Sequential(nn.ReLU(), nn.Conv2d(8, 16, 3)))
        attention = nn.Sequential(nn.MultiheadAttention(8, 2), nn.Linear(8, 20))
        yield nn.Sequential(blocks, nn.Flatten(), nn.Linear(256, 4)), "a model with a block in a block"
        yield half_frozen, "a model with a frozen layer"
        yield PneumoniaCNN(32), "PneumoniaCNN(32)"
        yield nn.Sequential(nn.BatchNorm1d(100), nn.Linear(100, 1)), "a wide batch norm before a linear layer"
        yield nn.Linear(3, 2), "a single linear layer"
        yield attention, "an attention, which has parameters beside its linear layer"
        for a, b, c in draw.whole(2, 40, 4, 3).tolist():
            block = nn.Sequential(nn.Conv2d(a, b, 3), nn.Sequential(nn.BatchNorm2d(b), nn.Linear(b, c)))
            yield nn.Sequential(block.requires_grad_(a > 9), nn.Linear(draw.number(2, 60), b)), "a drawn model"

    def use(self, answer, model, name):
        return call(answer, model)

    def shown(self, model, name):
        return f"{self.name}({name})"


# Answers


def largest_share(model: nn.Module) -> float:
    """The parameters of the largest layer, divided by those of the whole model."""
    sizes = [sum(p.numel() for p in m.parameters(recurse=False)) for m in model.modules()]
    return max(sizes) / sum(sizes)


def by_name(model):
    sizes = Counter()
    for name, parameter in model.named_parameters():
        sizes[name.rpartition(".")[0]] += parameter.numel()
    return sizes.most_common(1)[0][1] / sizes.total()


OF_ALL = {"sum(sizes)": "sum(p.numel() for p in model.parameters())"}
slips = [
    ({" / sum(sizes)": ""}, "That is the number of its parameters; divide it by that of the whole model."),
    ({"max(sizes)": "100 * max(sizes)"}, "That is in percent; a fraction goes from 0 to 1."),
    (
        OF_ALL | {"recurse=False": ""},
        "`modules()` lists the model itself, too, and `parameters()` goes into its parts.",
    ),
    (OF_ALL | {"recurse=False": "", "model.modules()": "model.children()"}, "That is the largest block: look inside."),
    (OF_ALL | {"modules()": "children()"}, "Layers in blocks are missed: `children()` goes one level deep."),
    ({"max(sizes)": "max(p.numel() for p in model.parameters())"}, "That is a weight alone; add its layer's bias."),
    (
        {"modules()]": "modules() if not [*m.children()]]"},
        "A module with parts may have parameters of its own, too: ask every module.",
    ),
    (
        OF_ALL | {"modules()]": "modules() if isinstance(m, nn.Conv2d | nn.Linear)]"},
        "Not only convolutions and linear layers have parameters.",
    ),
    ({"recurse=False)": "False) if p.requires_grad"}, "Frozen parameters are left out; they count like the others."),
]
also_right = [by_name]
