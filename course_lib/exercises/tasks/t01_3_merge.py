import torch
from torch import nn

from course_lib.exercises.task import Task, Wrong, agrees, call, shown


class Merge(Task):
    number, title, name, points = "01.3", "Two dense layers are one", "merge", 2
    statement = """
With nothing between them, two dense layers compute what a single one can. Write a function that takes two, such as
`nn.Linear(20, 10)` and `nn.Linear(10, 5)`, and returns that single one, here an `nn.Linear(20, 5)`, with both biases
included. Don't change the layers you are given. It shows what ReLU is for.

A dense layer computes `weight @ x + bias`, where `@` is the matrix product, and its weight has the shape (outputs,
inputs). Copy your numbers into a layer by `layer.weight.copy_(...)` under `torch.no_grad()`.
"""
    hints = (
        "Write both layers out: x becomes W2 (W1 x + b1) + b2. Take the brackets away.",
        "`layer.weight` has the shape (outputs, inputs); `@` multiplies matrices.",
        "A new `nn.Linear` starts with random numbers. Under `torch.no_grad()` you may `copy_` into its weight and bias.",
    )
    notice = (
        "Layers of 20, 10 and 5 units hold 265 parameters, merged 105. It can also cost: from 1,000 units to 10 and "
        "back they hold 21,010, merged 1,001,000. A narrow middle saves, and it restricts what can be computed."
    )
    given = "two drawn linear layers of other sizes"
    errors = {"must match": "`nn.Linear` takes the number of inputs first, and its weight has (outputs, inputs)."}

    def inputs(self, draw):
        for inputs, hidden, outputs in ((6, 6, 6), (20, 10, 5), *draw.whole(2, 9, 2, 3).tolist()):
            layers = draw.filled(nn.Linear(inputs, hidden)), draw.filled(nn.Linear(hidden, outputs))
            yield *layers, draw.normal(30, inputs)

    def use(self, answer, first, second, batch):
        merged, again = call(answer, first, second), answer(first, second)
        if not isinstance(merged, nn.Linear):
            kinds = {"NoneType": "Does the function end with `return`?", "Sequential": "These are still two layers."}
            slip = kinds.get(type(merged).__name__, "Make a new `nn.Linear` and put weight and bias into it.")
            raise Wrong(f"the answer is {shown(merged)}", "an nn.Linear", slip)
        for name, part in merged.named_parameters():
            if not agrees(part, getattr(again, name), 1e-6):
                slip = f"A new layer starts with random numbers: its {name} was not set."
                raise Wrong(f"two calls with the same layers gave another {name}", "the same both times", slip)
        sizes = merged.in_features, merged.out_features
        return {"the merged layer's (in_features, out_features)": sizes, "the merged layer's output": merged(batch)}


# Answers


def merge(first: nn.Linear, second: nn.Linear) -> nn.Linear:
    """Layers (inputs to hidden) and (hidden to outputs), both with a bias, to one (inputs to outputs)."""
    merged = nn.Linear(first.in_features, second.out_features)
    with torch.no_grad():
        merged.weight.copy_(second.weight @ first.weight)
        merged.bias.copy_(second.weight @ first.bias + second.bias)
    return merged


def by_asking(first, second):
    merged = nn.Linear(first.in_features, second.out_features)
    merged.bias.data = second(first(torch.zeros(first.in_features))).detach()
    merged.weight.data = (second(first(torch.eye(first.in_features))) - merged.bias).T.detach()
    return merged


PRODUCT, BIAS = "second.weight @ first.weight", "merged.bias.copy_(second.weight @ first.bias + second.bias)"
slips = [
    ({"second.weight @ first.bias +": ""}, "The first bias is lost: it goes through the second matrix, too."),
    ({" + second.bias": ""}, "The second bias is missing: it is added as it stands."),
    ({BIAS: "merged.bias.zero_()"}, "The biases are missing."),
    (
        {"second.weight @ first.bias": "first.bias[: len(second.bias)]"},
        "The first bias is added without the second matrix.",
    ),
    ({PRODUCT: "first.weight @ second.weight"}, "The matrices are exchanged: the one that acts last stands left."),
    ({PRODUCT: "second.weight * first.weight"}, "`*` multiplies entry by entry; `@` is the product of matrices."),
    ({PRODUCT: f"({PRODUCT}).T"}, "`nn.Linear` keeps (outputs, inputs): do not transpose."),
]
also_wrong = [
    ({"first.in_features, second.out": "second.out_features, first.in"}, "takes the number of inputs first"),
    (lambda first, second: nn.Linear(first.in_features, second.out_features), "its weight was not set"),
    ({BIAS: "pass"}, "its bias was not set"),
    (lambda first, second: nn.Sequential(first, second), "still two layers"),
    (lambda first, second: second.weight @ first.weight, "Make a new `nn.Linear`"),
    (
        {"nn.Linear(first.in_features, second.out_features)": "second", "weight.copy_": "weight = nn.Parameter"},
        "It may be in use",
    ),
    ({"no_grad": "enable_grad"}, "under `torch.no_grad()`"),
    ({f"merged.weight.copy_({PRODUCT})": f"merged.weight = {PRODUCT}"}, "wrap the tensor in one"),
]
also_right = [by_asking, {"second.weight @ first.bias": "first.bias @ second.weight.T"}]
