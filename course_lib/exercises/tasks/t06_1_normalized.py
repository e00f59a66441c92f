import torch
from torch import Tensor

from course_lib.exercises.task import Task


class Normalized(Task):
    number, title, name, points = "06.1", "Heat maps on one scale", "normalized", 1
    statement = """
Maps of different methods come in different units, so they are scaled before they are drawn beside each other. Write
a function that moves and stretches each map of a batch so that its coldest pixel becomes 0 and its hottest `top`,
`top=1` unless it is given. (A picture of bytes goes up to 255.) A flat map, all of whose pixels are equal, becomes 0
everywhere. The maps that were given in stay as they are.
"""
    hints = (
        "`amin` and `amax` take several axes at once: which ones belong to one map? `keepdim=True` helps afterwards.",
        "(map - lowest) / (highest - lowest) goes from 0 to 1. What would a flat map divide by?",
    )
    notice = "Scaled maps compare in shape, not in strength: a map of nothing but rounding errors glows as brightly."
    given = "maps of very different scales, one of them constant"
    drawn = "top", (1, 10, 100, 255)

    def inputs(self, draw):
        yield (draw.normal(3, 5, 6) * torch.tensor([1, 20, 0.05]).view(3, 1, 1) + 0.5, 1)
        yield (torch.tensor([[[0.3, 0.3]], [[0, 2]], [[0, 0]]]), 1)
        heat = draw.normal(4, 5, 7) * 10 ** draw.normal(4, 1, 1)
        heat[draw.number(0, 3)] = float(draw.normal(1))
        yield heat, draw.number(2, 255)


# Answers


def normalized(heat: Tensor, top: float = 1) -> Tensor:
    """(N, height, width) to the same shape, each map from 0 to `top`."""
    low, high = heat.amin(dim=(1, 2), keepdim=True), heat.amax(dim=(1, 2), keepdim=True)
    return top * (heat - low) / (high - low).clamp(min=1e-12)


def one_by_one(heat, top=1):
    spans = [(one, one.max() - one.min()) for one in heat]
    return top * torch.stack([(one - one.min()) / span if span > 0 else torch.zeros_like(one) for one, span in spans])


CLAMP, SCALED = ".clamp(min=1e-12)", "(heat - low) / (high - low)"
slips = [
    ({CLAMP: ""}, "0 divided by 0 is nan: see to it that a flat map, such as the first, is not divided by 0."),
    (
        {"    return": "    low, high = heat.min(), heat.max()\n    return"},
        "The whole batch shares a lowest and a highest pixel: each map has its own.",
    ),
    (
        {"    return": "    low, high = heat.amin(2, keepdim=True), heat.amax(2, keepdim=True)\n    return"},
        "Each row was scaled alone: a map has two axes.",
    ),
    ({SCALED: "heat / high"}, "The lowest pixel has to be taken away first."),
    ({SCALED: "heat.relu() / high"}, "Negative heat was cut off instead of moved."),
    ({"top * ": ""}, "`top` is not used: the hottest pixel always becomes 1."),
]
also_wrong = [
    ({"    return top * (heat - low)": "    heat -= low\n    return top * heat"}, "write into the caller's tensor"),
    ({"top: float = 1": "top: float = 2"}, "Leave the page's defaults"),
]
also_right = [one_by_one, {f"(high - low){CLAMP}": "(high - low + 1e-8)"}]
