"""Checks of lesson 1: of layers to build."""

import math
from collections.abc import Callable
from copy import deepcopy
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from course_lib.exercises.lesson_1.arithmetic import call_answer
from course_lib.exercises.tasks import Mistakes, Wrong, agrees, compare, expect, expect_shape, shown, task


@task(
    "01.3",
    "Two dense layers are one",
    "Write both layers out: x becomes W2 (W1 x + b1) + b2. Take the brackets away.",
    "`layer.weight` has the shape (outputs, inputs); `@` multiplies matrices.",
    "A new `nn.Linear` starts with random numbers. Under `torch.no_grad()` you may `copy_` into its weight and bias.",
)
def merge(answer: Callable[[nn.Linear, nn.Linear], nn.Linear]) -> str:
    for inputs, hidden, outputs in ((6, 6, 6), (20, 10, 5)):
        layers = nn.Sequential(nn.Linear(inputs, hidden), nn.Linear(hidden, outputs))
        kept = deepcopy(layers)
        merged, again = (answer(*layers) for _ in range(2))
        if not isinstance(merged, nn.Linear):
            kinds = {"NoneType": "Does the function end with `return`?", "Sequential": "These are still two layers."}
            slip = kinds.get(type(merged).__name__, "Make a new `nn.Linear` and put weight and bias into it.")
            raise Wrong(f"the answer is {shown(merged)}", f"an nn.Linear({inputs}, {outputs})", slip)
        if not agrees(layers.state_dict(), kept.state_dict(), 1e-6):
            raise Wrong("a given layer was changed", "both as they were", "Write into a new layer; they may be in use.")
        for name, part, other in (("weight", merged.weight, again.weight), ("bias", merged.bias, again.bias)):
            if part is not None and not agrees(part, other, 1e-6):
                slip = f"A new layer starts with random numbers: its {name} was not set."
                raise Wrong(f"two calls with the same layers gave another {name}", "the same both times", slip)
        swapped = [((outputs, inputs), "`nn.Linear` takes the number of inputs first.")]
        sizes = merged.in_features, merged.out_features
        expect(sizes, (inputs, outputs), of="the merged layer's (in_features, out_features)", slips=swapped)
        batch = torch.randn(8, inputs)
        of = f"the layer merged from {inputs}, {hidden} and {outputs} units"
        expect(merged(batch), kept(batch), of=of, slips=_merging_slips(batch, *kept.state_dict().values()))
    return (
        "Layers of 20, 10 and 5 units hold 265 parameters, merged 105. It can also cost: from 1,000 units to 10 and "
        "back they hold 21,010, merged 1,001,000. A narrow middle saves, and it restricts what can be computed."
    )


def _merging_slips(batch: Tensor, w1: Tensor, b1: Tensor, w2: Tensor, b2: Tensor) -> list[tuple[Tensor, str]]:
    product, moved = w2 @ w1, w2 @ b1
    slips = [
        (F.linear(batch, product, b2), "The first bias is lost: it goes through the second matrix, as the inputs do."),
        (F.linear(batch, product, moved), "The second bias is missing: it is added as it stands."),
        (F.linear(batch, product), "The biases are missing."),
    ]
    if w1.shape == w2.shape:
        slips += [
            (F.linear(batch, product, b1 + b2), "b1 is added unchanged, but the second matrix multiplies it, too."),
            (F.linear(batch, w1 @ w2, moved + b2), "The matrices are exchanged: the one that acts last stands left."),
            (F.linear(batch, w2 * w1, moved + b2), "`*` multiplies entry by entry; `@` is the product of matrices."),
            (F.linear(batch, product.T, moved + b2), "`nn.Linear` keeps (outputs, inputs): do not transpose."),
        ]
    return slips


@task(
    "01.4",
    "A kernel for thin bright lines",
    "Rows that are alike from left to right: a column of weights is all that you have to design.",
    "Middle row positive, the others negative, and each column must add up to 0.",
    "Above and below the same weights: then a brightness that grows evenly downwards cancels.",
)
def line_kernel(answer: Callable[[int], Tensor]) -> str:
    for size in (5, 3, 7):
        found = answer(size)
        slips: list[tuple[object, str]] = [
            ((5, 5), "The size is an argument: 3 and 7 are asked for, too."),
            ((1, 1, size, size), "Return the bare table; the two axes for `F.conv2d` are added where it is used."),
        ]
        expect_shape(found, (size, size), of=f"line_kernel({size})", slips=slips)
        _expect_line_kernel(found.detach().double(), f"line_kernel({size})")
    return (
        "With the same weights above and below, the rim of a broad bright band still gets half the answer of a line: "
        "a sum of products cannot say 'bright, and dark on both sides'. And a dark line gets -1; ReLU would drop it."
    )


def _expect_line_kernel(kernel: Tensor, name: str) -> None:
    rows, columns, middle = kernel.sum(dim=1), kernel.sum(dim=0), len(kernel) // 2
    flat, line, dot = kernel.sum().item(), rows[middle].item(), kernel[middle, middle].item()
    places = torch.arange(len(rows)) - middle
    ramp, other = (rows * places).sum().item(), rows[places != 0].max().item()
    vertical = columns[columns.abs().argmax()].item()
    no_line = "That finds edges; a line is brighter than what is above *and* below it."
    if columns[middle].abs() > 1e-4:
        no_line = "Rows and columns are exchanged: this kernel finds vertical lines."
    less = "less than half of what a line gets"
    cases = [
        (not kernel.isfinite().all(), "not all weights are finite", "finite numbers", "Was something divided by 0?"),
        (abs(flat) > 1e-4, f"a flat image of 1 gets {flat:.4g}", "0", "All weights together must add up to 0."),
        (abs(line) < 1e-4, "a horizontal line in the middle row gets 0", "1", no_line),
        (line < 0, f"a bright line gets {line:.4g}", "1", "The signs are turned: this kernel finds dark lines."),
        (abs(vertical) > 1e-4, f"a vertical line gets {vertical:.4g}", "0", "Each column must add up to 0 by itself."),
        (abs(ramp) > 1e-4, f"brightness growing by 1 a row gets {ramp:.4g}", "0", "Weigh above and below alike."),
        (other > 1e-4, f"a line in another row gets {other:.4g}", "0 or less", "Only the middle row is positive."),
        (
            dot > line * 0.499,
            f"a single bright pixel gets {dot:.4g}",
            less,
            "A line is long: use the whole middle row.",
        ),
        (abs(line - 1) > 1e-4, f"a line of brightness 1 gets {line:.4g}", "1", "The pattern is right; scale it."),
    ]
    for wrong, found, wanted, slip in cases:
        if wrong:
            raise Wrong(f"{name}: {found}", wanted, slip)


def _pascal(blur: int) -> Tensor:
    return torch.tensor([float(math.comb(blur - 1, place)) for place in range(blur)]) / 2 ** (blur - 1)


def _blurred(maps: Tensor, row: Tensor, stride: int = 2, mode: str = "reflect") -> Tensor:
    kernels = torch.outer(row, row).expand(maps.shape[1], 1, -1, -1)
    padded = F.pad(maps, [len(row) // 2] * 4, mode=mode)
    return F.conv2d(padded, kernels, stride=stride, groups=maps.shape[1])


def _peaks(images: Tensor) -> Tensor:
    return F.max_pool2d(images, 2, stride=1)


@task(
    "01.7",
    "Pooling without aliasing",
    "Three steps: `F.max_pool2d(images, 2, stride=1)`; pad by blur // 2; one `F.conv2d` that blurs and steps by 2.",
    "A row of Pascal's triangle comes from `math.comb(blur - 1, place)`; `torch.outer` makes a table of two rows.",
    "`groups=channels` wants weights of shape (channels, 1, blur, blur); `expand` gives each channel the same table.",
    "`self.register_buffer(name, tensor)` in `__init__`, after `super().__init__()`; then `self.name` in `forward`.",
)
def blur_pool(answer: Callable[..., nn.Module]) -> str:
    pool = answer()
    if not isinstance(pool, nn.Module):
        raise Wrong(f"the answer made {shown(pool)}", "an nn.Module", "Let the class inherit from `nn.Module`.")
    weights = sum(parameter.numel() for parameter in pool.parameters())
    if weights:
        slip = "Training would change them. Keep the blur as a buffer, and call `F.conv2d` with it in `forward`."
        raise Wrong(f"the module has {weights} parameters", "none, since the blur is fixed", slip)
    flash = torch.zeros(1, 1, 4, 4)
    flash[0, 0, 1, 1] = 16  # on the page, worked out by hand
    flat, random = torch.full((1, 1, 8, 8), 2.0), [torch.randn(2, 3, 8, 10) - 2, torch.randn(1, 5, 11, 9) - 2]
    _expect_pooled(answer(), 3, [flat, flash, *random])
    _expect_pooled(answer(5), 5, [flat, *random])
    if not list(pool.buffers()):
        slip = "A mere attribute, or a tensor made in `forward`, stays behind at `.to(device)`: register a buffer."
        raise Wrong("the module has no buffer", "the weights of the blur in one", slip)
    images = random[1].requires_grad_()
    found, wanted = answer()(images), _blurred(_peaks(images), _pascal(3))
    if not found.requires_grad:
        slip = "`detach`, `.data` or `torch.no_grad()` cuts them off, and no layer before the pooling would learn."
        raise Wrong("no gradient comes back to the images", "gradients that flow", slip)
    weight = torch.randn_like(wanted)
    gradients = [torch.autograd.grad((maps * weight).sum(), images)[0] for maps in (found, wanted)]
    expect(gradients[0], gradients[1], of="the gradient of the images")
    return (
        "In the lesson's experiment on moving back, 2x2 max pooling leaves a change of about 0.43 at odd shifts, a "
        "blur of 3 leaves 0.33 and one of 5 leaves 0.27: less, not nothing. Even shifts change the border alone."
    )


def _expect_pooled(pool: nn.Module, blur: int, batches: list[Tensor]) -> None:
    said = {
        "channels": "The module must take any number of channels: give each its own copy.",
        "weight": "`F.conv2d` wants weights of shape (channels, 1, blur, blur), one table for each channel.",
    }
    row = _pascal(blur)

    def pooled(images: Tensor) -> Any:
        return call_answer(pool, images, said=said)

    def right(images: Tensor) -> Tensor:
        return _blurred(_peaks(images), row)

    def mixed(images: Tensor) -> Tensor:
        return right(images).sum(dim=1, keepdim=True)

    pooled.__name__ = f"{type(pool).__name__}({blur})"
    whole = "A flat image changes its brightness: divide the table by its sum, so that it adds up to 1."
    slips: Mistakes = [
        (lambda x: _blurred(_peaks(x), row, mode="constant"), "Zeros darken the border: mirror the map there."),
        (lambda x: _blurred(_peaks(x), row, mode="replicate"), "`reflect` does not repeat the outermost row."),
        (lambda x: _blurred(_peaks(x), torch.ones(blur) / blur), "All weights are alike: take Pascal's triangle."),
        (lambda x: right(x) * 4 ** (blur - 1), whole),
        (lambda x: right(x) * 2 ** (blur - 1), whole),
        (lambda x: _peaks(x)[..., ::2, ::2], "Nothing is blurred before every second position is dropped."),
        (
            lambda x: _blurred(F.max_pool2d(x, 2), row, 1),
            "The maximum drops samples before the blur: give it stride 1.",
        ),
        (lambda x: F.max_pool2d(_blurred(x, row, 1), 2), "You blur before the maximum; take the maximum first."),
        (lambda x: _blurred(F.avg_pool2d(x, 2, 1), row), "That is the mean of each window, not its maximum."),
        (lambda x: _blurred(x, row), "The maximum is missing: this only blurs and steps."),
        (lambda x: _blurred(_peaks(x), row, 1), "The step of 2 is missing: the map keeps its resolution."),
        (lambda x: _blurred(F.max_pool2d(x, 2), row), "Two steps of 2 make 4: max pooling has stride 1 here."),
        (lambda x: _blurred(F.max_pool2d(x, 2, 1, 1), row), "Max pooling has no padding here; the blur has."),
        (lambda x: _blurred(_peaks(x), row, 1)[..., 1:-1:2, 1:-1:2], "The border is cut off: mirror the map first."),
        (mixed, "The channels are added up: `groups` keeps them apart."),
        (lambda x: mixed(x).expand(-1, x.shape[1], -1, -1), "Each channel gets the sum of all; see `groups`."),
        (lambda x: _blurred(_peaks(x), _pascal(3)), "The blur has 3x3 weights whatever `blur` says."),
    ]
    compare(pooled, right, [(images,) for images in batches], slips=slips)
