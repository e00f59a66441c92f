"""Checks of lesson 2: of networks and their parts."""

import re
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from course_lib.anatomy import count_parameters
from course_lib.exercises.legacy import Wrong, call, expect, expect_shape, shown, task
from course_lib.models import PneumoniaCNN


@task(
    "02.1",
    "The heaviest layer",
    "`model.modules()` goes through all modules at all depths, the model itself and its blocks among them.",
    "`module.parameters(recurse=False)` gives what a module holds itself: nothing for a block.",
    "Sum `numel()` of these for each module; divide the largest sum by the sum of all.",
)
def largest_share(answer: Callable[[nn.Module], float]) -> str:
    blocks = nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.Sequential(nn.ReLU(), nn.Conv2d(8, 16, 3)))
    half_frozen = nn.Sequential(nn.Linear(50, 20), nn.Linear(20, 30), nn.Linear(30, 5))
    half_frozen[0].requires_grad_(False)
    models = {
        "a model with a block in a block": nn.Sequential(blocks, nn.Flatten(), nn.Linear(256, 4)),
        "a model with a frozen layer": half_frozen,
        "PneumoniaCNN(32)": PneumoniaCNN(32),
        "a wide batch norm before a linear layer": nn.Sequential(nn.BatchNorm1d(100), nn.Linear(100, 1)),
        "a single linear layer": nn.Linear(3, 2),
        "an attention, which has parameters beside its linear layer,": nn.Sequential(
            nn.MultiheadAttention(8, 2), nn.Linear(8, 20)
        ),
    }
    for name, model in models.items():
        total, own = count_parameters(model), [_own(module) for module in model.modules()]
        parts = list(model.children()) or [model]
        movable = [_own(m) for m in model.modules() if all(p.requires_grad for p in m.parameters(recurse=False))]
        leaves = [_own(module) for module in model.modules() if not [*module.children()]]
        usual = [_own(module) for module in model.modules() if isinstance(module, nn.Conv2d | nn.Linear)]
        slips = [
            (max(own), "That is the number of its parameters; divide it by that of the whole model."),
            (100 * max(own) / total, "That is in percent; a fraction goes from 0 to 1."),
            (1.0, "`modules()` lists the model itself as well, and `parameters()` goes into its parts."),
            (max(map(count_parameters, parts)) / total, "That is the largest block, which is no layer: look inside."),
            (max(map(_own, parts)) / total, "Layers in blocks are missed: `children()` goes one level deep."),
            (max(p.numel() for p in model.parameters()) / total, "That is a weight alone; add the bias of its layer."),
            (max(leaves) / sum(leaves), "A module with parts may hold parameters of its own, too: ask every module."),
            (max(usual) / total, "Not only convolutions and linear layers have parameters."),
            (max(movable) / sum(movable), "Frozen parameters are left out; they count like the others."),
        ]
        expect(call(answer, model), max(own) / total, of=f"{answer.__name__}({name})", slips=slips)
    return (
        "It is 99.8% for PneumoniaCNN at 256 pixels and 74% for VGG-16, which flattens as well. ResNet-18 takes the "
        "mean over each map, and its largest layer holds 20%."
    )


def _own(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters(recurse=False))


@task(
    "02.3",
    "A block without the needless bias",
    "`nn.Conv2d` has an argument `bias`; batch norm keeps its own offset.",
    "The padding that keeps the size depends on the kernel: 1 for 3, 2 for 5.",
    "In the order of the lesson: convolution, batch norm, ReLU, pooling.",
)
def lean_block(answer: Callable[..., nn.Module]) -> str:
    judged = []
    for arguments in ((3, 6), (2, 4, 5), (1, 5, 1)):
        block = answer(*arguments)
        if not isinstance(block, nn.Module):
            raise Wrong(shown(block), "a module", "Does the function end with `return` and an nn.Sequential?")
        block.eval()
        layers = [[m for m in block.modules() if isinstance(m, kind)] for kind in (nn.Conv2d, nn.BatchNorm2d)]
        expect(tuple(map(len, layers)), (1, 1), of=f"in {answer.__name__}{arguments}, nn.Conv2d and nn.BatchNorm2d,")
        conv, norm = layers[0][0], layers[1][0]
        if conv.bias is not None:
            slip = "" if conv.bias.any() else "A bias of zeros is still a parameter. "
            slip += "`bias=False` leaves it out."
            raise Wrong(f"a convolution with {conv.bias.numel()} biases", "one with a weight alone", slip)
        inputs, outputs, kernel = (*arguments, 3)[:3]
        swapped = [((inputs, outputs, kernel, kernel), "`nn.Conv2d` takes the number of input channels first.")]
        of = f"the convolution's weight in {answer.__name__}{arguments}"
        expect_shape(conv.weight, (outputs, inputs, kernel, kernel), of=of, slips=swapped)
        if norm.num_features != conv.out_channels:
            slip = "It stands behind the convolution, and so sees out_channels."
            raise Wrong(f"nn.BatchNorm2d({norm.num_features})", f"nn.BatchNorm2d({conv.out_channels})", slip)
        if norm.bias is None:
            slip = "Its offset takes over from the bias of the convolution, so `affine` stays True."
            raise Wrong("a batch norm without scale and offset", "one with both", slip)
        if norm.running_mean is None:
            slip = "Without running statistics the other images of a batch change a prediction: leave the default."
            raise Wrong("a batch norm without running mean and variance", "one with both", slip)
        for numbers in norm.state_dict().values():
            if numbers.is_floating_point():
                nn.init.uniform_(numbers, 0.2, 1.2)
        with torch.no_grad():
            norm.bias -= 1  # so that ReLU has something to do
            norm.weight[0] *= -1  # and the place of the pooling matters
            _judge_block(block, conv, norm, f"{answer.__name__}{arguments}")
        judged.append((block, conv, norm, f"{answer.__name__}{arguments}"))
    for parts in judged:
        _judge_training(*parts)
    return (
        "The gradient of such a bias is zero in training mode, up to rounding, so training would never move it. No "
        "convolution of torchvision's ResNets has one."
    )


def _judge_block(block: nn.Module, conv: nn.Conv2d, norm: nn.Module, name: str) -> None:
    images, keeps = torch.randn(4, conv.in_channels, 9, 12), conv.kernel_size[0] // 2
    norm = norm.eval()

    def conved(padding: int, stride: int = 1) -> Tensor:
        return F.conv2d(images, conv.weight, padding=padding, stride=stride)

    active = norm(conved(keeps)).relu()
    slips = [
        (F.max_pool2d(norm(conved(keeps)), 2), "ReLU is missing: negative numbers come through."),
        (F.avg_pool2d(active, 2), "That pools by the mean; the largest number of each window is asked for."),
        (F.max_pool2d(norm(conved(keeps).relu()), 2), "ReLU belongs behind batch norm, not before it."),
        (norm(F.max_pool2d(conved(keeps), 2)).relu(), "Pooling comes last; before batch norm it chooses others."),
        (norm(F.max_pool2d(conved(keeps).relu(), 2)), "Batch norm belongs directly behind the convolution."),
        (active, "Pooling is missing."),
        (norm(conved(keeps, 2)).relu(), "A stride of 2 skips every second position; pooling looks at all of them."),
        (F.max_pool2d(norm(conved(0)).relu(), 2), "Without padding the convolution shrinks the maps."),
        (F.max_pool2d(norm(conved(1)).relu(), 2), "A padding of 1 fits a kernel of 3; let it grow with the kernel."),
    ]
    of = f"the module {name}, on images {tuple(images.shape)},"
    expect(call(block, images), F.max_pool2d(active, 2), of=of, slips=slips)


def _judge_training(block: nn.Module, conv: nn.Conv2d, norm: nn.Module, name: str) -> None:
    images = torch.randn(4, conv.in_channels, 9, 12)
    block.train()
    with torch.no_grad():
        conved = F.conv2d(images, conv.weight, padding=conv.kernel_size[0] // 2)
        found, wanted = block(images), F.max_pool2d(norm(conved).relu(), 2)
    slip = "In evaluation mode it was right. What acts in training alone? The block of the lesson has no dropout."
    expect(found, wanted, of=f"the module {name} in training mode", slips=[(found, slip)])


@task(
    "02.4",
    "A head that knows roughly where",
    "`nn.AdaptiveAvgPool2d(4)` averages over 4 x 4 regions of whatever arrives.",
    "Its output is (N, channels, 4, 4); `flatten(1)` lays all numbers of an image in one row and keeps the batch.",
    "The linear layer takes channels * 16 numbers. As in every class of modules, `super().__init__()` comes first.",
)
def region_head(answer: Callable[[int, int], nn.Module]) -> str:
    head = answer(6, 3).eval()
    slip = "In the message mat1 is what arrived: it should have a row for each image, of 6 * 4 * 4 numbers."
    for shape in ((5, 6, 8, 8), (2, 6, 12, 22), (1, 6, 5, 9), (3, 6, 2, 2)):
        try:
            logits = head(100 * torch.randn(shape))
        except NotImplementedError:  # forward is still to be written
            raise
        except RuntimeError as error:
            raise Wrong(f"maps {shape} ended in RuntimeError: {error}", f"logits ({shape[0]}, 3)", slip) from None
        of = f"the head on maps {shape}"
        expect_shape(logits, (shape[0], 3), of=of, slips=[((3,), "The batch axis is gone.")])
        if not logits.isfinite().all():
            empty = "The mean of an empty region is NaN: on small maps regions must share values."
            raise Wrong(f"maps {shape} gave logits that are not finite", "finite numbers", empty)
        slip = "8 x 8 maps were taken: a pooling with a fixed window makes more than 4 x 4 regions of larger ones."
    logits = head(100 * torch.randn(64, 6, 8, 8))
    if (logits >= 0).all():
        slip = "A softmax or sigmoid makes probabilities; the loss and the reader want logits."
        slip = slip if (logits <= 1).all() else "Leave out the ReLU behind the last layer: logits may be negative."
        raise Wrong("no number below 0 for 64 inputs", "logits of either sign", slip)
    counts = [
        (21, "One number per map is the mean over all of it."),
        (0, "A plain list hides it from nn.Module."),
        (288, "The linear layer has no bias: leave `bias` at its default."),
    ]
    expect(count_parameters(head), 291, of="count_parameters for 6 channels, 3 classes", slips=counts)
    for window in ((2, 2), (3, 5)):
        maps = torch.randn(4, 6, 4 * window[0], 4 * window[1])
        slips = [
            (head(F.max_pool2d(maps, window)), "That takes the largest number of each region; take their mean."),
            (head(maps[..., :: window[0], :: window[1]]), "That takes one number of each region; take their mean."),
            (head(F.avg_pool2d(maps.relu(), window)), "A ReLU before the mean changes it; the block has its own."),
        ]
        of = f"the head on maps {tuple(maps.shape)}, compared with the means of its regions as maps of 4 x 4,"
        expect(call(head, maps), head(F.avg_pool2d(maps, window)).detach(), of=of, slips=slips)
    maps = torch.full((1, 6, 9, 15), 2.0, requires_grad=True)
    flat, of = head(maps), "the head on maps that are 2 everywhere, compared with such maps of 4 x 4,"
    expect(flat, head(maps[:, :, :4, :4]).detach(), of=of, slips=[(flat, "Divide a region by its own size.")])
    unseen = int((torch.autograd.grad(flat.sum(), maps)[0] == 0).sum()) if flat.requires_grad else maps.numel()
    if unseen:
        slip = "Each row and column belongs to a region, also where 4 does not divide their number."
        raise Wrong(f"{unseen} of {maps.numel()} numbers do not matter", "regions that cover the whole map", slip)
    return (
        "Behind 128 channels and with two classes it has 4,098 parameters, where the mean has 258 and the dense layers "
        "for 256 pixels have 67 million. Maps below 4 x 4 are taken, too: some regions then share a value."
    )


class Recorder(nn.Module):
    """Takes everything and keeps what arrived."""

    def __init__(self) -> None:
        super().__init__()
        self.arrived: list[object] = []

    def forward(self, images: object) -> object:
        self.arrived.append(images)
        return images


WRONG_SHAPES = {
    (5, 1, 40, 56): "Compare the channels, too.",
    (5, 3, 56, 40): "Height and width are exchanged: their order counts.",
    (5, 3, 46, 62): "Larger images, like the 70 pixels of the lesson, are wrong as well.",
    (5, 3, 32, 48): "Smaller images are wrong as well.",
    (3, 40, 56): "That is one image without the batch axis: compare the shape without N, not its last three numbers.",
    (2, 5, 3, 40, 56): "One axis too many: compare the shape without N, not its last three numbers.",
}


@task(
    "02.5",
    "A guard at the door",
    "The hook is called as `hook(module, inputs)`; `inputs` is the tuple of arguments, so the images are `inputs[0]`.",
    "N may be anything: compare `tuple(images.shape[1:])`.",
    "What a pre-hook returns replaces the input, so yours returns nothing. Your function returns the handle.",
)
def guard_shape(answer: Callable[[nn.Module, int, int, int], Any]) -> str:
    model = Recorder()
    handle = answer(model, 3, 40, 56)
    if not callable(getattr(handle, "remove", None)):
        slip = "`register_forward_pre_hook` returns a handle: return it."
        raise Wrong(f"{answer.__name__} returned {shown(handle)}", "something with remove()", slip)
    for images in (torch.zeros(5, 3, 40, 56), torch.zeros(1, 3, 40, 56)):
        error = _refusal(model, images)
        slip = "The hook gets the arguments as a tuple, the images as its first element."
        slip = slip if "tuple" in str(error) else "N may be anything: leave the first axis out of the comparison."
        if error:
            raise Wrong(f"{tuple(images.shape)} ended in {type(error).__name__}: {error}", "accepted", slip)
        if model.arrived[-1] is not images:
            slip = "What a pre-hook returns takes the place of the input: return nothing."
            raise Wrong(f"the model received {shown(model.arrived[-1])}", "the images as they were", slip)
    model.arrived.clear()
    errors = {shape: _refusal(model, torch.zeros(shape)) for shape in WRONG_SHAPES}
    accepted = [shape for shape, error in errors.items() if error is None]
    if accepted:
        slip = "Nothing is refused: does the hook `raise` the error, or only print or return something?"
        slip = WRONG_SHAPES[accepted[0]] if len(accepted) < len(errors) else slip
        raise Wrong(f"shape {accepted[0]} was accepted", "a ValueError, since (N, 3, 40, 56) is asked for", slip)
    for shape, error in errors.items():
        _judge_error(shape, error)
    if model.arrived:
        slip = "A forward hook runs after the model; batch norm would have taken up the images by then."
        raise Wrong("the model ran before the error", "an error before it", slip)
    handle.remove()
    if _refusal(model, torch.zeros(5, 1, 40, 56)):
        slip = "Register one hook, and return the handle of that one."
        raise Wrong("shape (5, 1, 40, 56) is refused after remove(), too", "accepted, as before the guard", slip)
    return (
        "A call by keyword, model(images=...), reaches such a hook with an empty tuple, unless it was registered with "
        "with_kwargs=True; and model.forward(images) runs no hook of the model at all."
    )


def _refusal(model: nn.Module, images: Tensor) -> Exception | None:
    try:
        model(images)
    except Exception as error:
        return error
    return None


def _judge_error(shape: tuple[int, ...], error: Exception | None) -> None:
    found, slip = f"for shape {shape} {type(error).__name__}: {error}", ""
    numbers = set(map(int, re.findall(r"\d+", str(error))))
    if not isinstance(error, ValueError):
        slip = "`raise ValueError(...)`; an assert is for what cannot happen, and `python -O` leaves it out."
    elif "unpack" in str(error):
        slip = "That is Python's message: a shape of three or five numbers does not unpack into four."
    elif missing := [size for size in (3, 40, 56) if size not in numbers]:
        slip = f"The message does not say what was expected: {missing[0]} is not in it."
    elif missing := [size for size in shape[-3:] if size not in numbers]:
        slip = f"The message does not say what arrived: {missing[0]} is not in it."
    if slip:
        raise Wrong(found, "a ValueError with both shapes in its message", slip)
