"""Checks of lesson 5: of stems, frozen parts and rates."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from course_lib.exercises.legacy import Wrong, agrees, expect, shown, task
from course_lib.runtime import evaluation_mode


def small_backbone() -> nn.Sequential:
    """Images (N, 3, height, width) to six maps, in training mode; with dropout, and statistics that have moved."""
    first = nn.Conv2d(3, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(), nn.Dropout(0.5)
    backbone = nn.Sequential(*first, nn.Conv2d(4, 6, 3, stride=2, padding=1), nn.BatchNorm2d(6))
    with torch.no_grad():
        for _ in range(9):
            backbone(torch.randn(8, 3, 8, 8) * 2 + 1)
    return backbone


@task(
    "05.1",
    "How much is left to learn?",
    "`model.parameters()` gives tensors; `numel()` is how many numbers one of them holds.",
    "Two sums, one of them with `if p.requires_grad`.",
)
def how_much_is_left_to_learn(answer: Callable[[nn.Module], float]) -> str:
    def learning(model: nn.Module, count: Callable[[Tensor], int] = Tensor.numel) -> int:
        return sum(count(p) for p in model.parameters() if p.requires_grad)

    def share(model: nn.Module, count: Callable[[Tensor], int] = Tensor.numel) -> float:
        return learning(model, count) / sum(count(p) for p in model.parameters())

    slips: list[tuple[Callable[[nn.Module], float], str]] = [
        (lambda m: 1 - share(m), "That is the fraction that is frozen."),
        (lambda m: share(m, lambda p: 1), "Tensors were counted: take how many numbers each holds, `numel()`."),
        (lambda m: share(m, len), "`len` is a tensor's first side only: `numel()` counts all its numbers."),
        (
            lambda m: learning(m) / sum(tensor.numel() for tensor in m.state_dict().values()),
            "`state_dict` also holds batch-norm statistics: count `parameters()`.",
        ),
        (lambda m: 1.0, "Frozen parameters were counted as if they learned: ask `requires_grad`."),
        (lambda m: 100 * share(m), "That is in percent: 1 stands for all."),
        (lambda m: share(m) / (1 - share(m) or 1), "Divide by the number of all parameters, not of the frozen ones."),
        (lambda m: share(m) // 1, "`//` drops what is behind the point: a fraction needs `/`."),
        (learning, "That is a number of parameters: divide it by the number of all."),
    ]
    frozen, headless = (nn.Sequential(small_backbone(), nn.Flatten(), nn.Linear(96, size)) for size in (5, 2))
    frozen[0].requires_grad_(False)
    frozen[0][5].weight.requires_grad = True  # type: ignore[index, union-attr]
    headless[2].requires_grad_(False)
    for model, what in (
        (frozen, "a network frozen except for its head and one more weight"),
        (headless, "a network whose head is frozen"),
        (nn.Linear(3, 2), "a layer that learns"),
        (small_backbone().requires_grad_(False), "a network that is all frozen"),
    ):
        said = [(mistaken(model), slip) for mistaken, slip in slips]
        expect(answer(model), share(model), of=f"trained_share() of {what}", slips=said)
    return "A fraction of exactly 0 or 1 after freezing is a warning: then the freezing met everything, or nothing."


@task(
    "05.2",
    "A stem for gray images",
    "`nn.Conv2d` takes `conv.stride`, `conv.padding` and so on as they are; whether there is a bias says `conv.bias`.",
    "$w_r x + w_g x + w_b x$: which axis of the weight (out, in, height, width) has to be added up?",
    "Inside `torch.no_grad()`, `copy_` writes numbers into a parameter of the new layer, and shares nothing.",
)
def a_stem_for_gray_images(answer: Callable[[nn.Conv2d], nn.Conv2d]) -> str:
    for conv in (
        nn.Conv2d(3, 5, 3, stride=2, padding=1),
        nn.Conv2d(3, 4, (3, 5), stride=(2, 1), padding=(0, 2), dilation=(1, 2), bias=False),
        nn.Conv2d(3, 4, 3, padding="same", dilation=2, padding_mode="reflect"),
    ):
        image, before = torch.rand(2, 1, 12, 14), [p.detach().clone() for p in conv.parameters()]
        wanted = conv(image.expand(-1, 3, -1, -1)).detach()
        gray = answer(conv)
        _looks_like(gray, conv)
        found = gray(image).detach()
        bias = torch.zeros(1) if conv.bias is None else conv.bias.detach()[:, None, None]
        own = bias if gray.bias is None else gray.bias.detach()[:, None, None]
        alone = conv(torch.cat([image, torch.zeros(2, 2, 12, 14)], dim=1)).detach()
        seen = conv(image * torch.tensor([0.299, 0.587, 0.114])[:, None, None]).detach()
        slips: list[tuple[Tensor, str]] = [
            ((wanted - bias) / 3 + bias, "The slices were averaged: a third of the strength. Add them up."),
            (wanted - bias + own, "The bias is not that of the old layer: copy it, too."),
            (alone, "One color's slice was taken alone: add up all three."),
            (seen, "Brightness to the eye is for turning color into gray; here the image is gray, so just add up."),
            (found, "The weights are not the sums over color: does the new layer keep its random ones?"),
        ]
        expect(found, wanted, of=f"gray_stem({conv})(image)", slips=slips)
        if asleep := [name for name, parameter in gray.named_parameters() if not parameter.requires_grad]:
            slip = "What `detach` or `no_grad` made asks for no gradient: put it into an `nn.Parameter`, or `copy_` it."
            raise Wrong(f"`requires_grad` is False for {', '.join(asleep)}", "a layer that can be trained", slip)
        with torch.no_grad():
            for parameter in gray.parameters():
                parameter.add_(1)
        if not agrees([p.detach() for p in conv.parameters()], before, 0):
            slip = "Both layers hold the same tensor: copy its numbers instead."
            raise Wrong("training the new layer changes the old one", "two layers that share nothing", slip)
    return "Exact for gray inputs alone: for anything in color, its filters have lost what told red from blue."


def _looks_like(gray: nn.Conv2d, conv: nn.Conv2d) -> None:
    """Go on if `gray` is another layer, for one channel, with the settings of `conv`."""
    if not isinstance(gray, nn.Conv2d):
        raise Wrong(f"gray_stem() gave {shown(gray)}", "an `nn.Conv2d`", "Return the layer, not its weights.")
    if gray is conv or conv.in_channels != 3 or conv.weight.shape[1] != 3:
        slip = "Build a new `nn.Conv2d`, or change a `copy.deepcopy`."
        raise Wrong("the layer that was given in was changed", "it as it was, and another layer", slip)
    shape = (conv.out_channels, 1, *conv.kernel_size)
    slip = "`sum(dim=1, keepdim=True)` keeps the axis of the colors, with length 1."
    expect(tuple(gray.weight.shape), shape, of="gray_stem().weight.shape", slips=[(tuple(gray.weight.shape), slip)])
    slip = "The weights are for one channel, but the layer says otherwise: set this, too."
    expect(gray.in_channels, 1, of="gray_stem().in_channels", slips=[(gray.in_channels, slip)])
    for name in ("stride", "padding", "dilation", "padding_mode"):
        kept, slip = getattr(gray, name), f"Hand over `conv.{name}` as it is, rows and columns included."
        expect(kept, getattr(conv, name), of=f"gray_stem({conv}).{name}", slips=[(kept, slip)])
    if (gray.bias is None) != (conv.bias is None):
        found, expected = ("no bias" if layer.bias is None else "a bias" for layer in (gray, conv))
        raise Wrong(f"gray_stem({conv}) has {found}", expected, "`bias=conv.bias is not None` says whether.")


@task(
    "05.3",
    "Frozen for good",
    "`requires_grad` keeps weights; statistics and dropout follow the mode, and a network's `train()` wakes its parts.",
    "`network.train()` calls `train(mode)` of each part: a part with a `train` of its own can stay as it is.",
)
def frozen_for_good(answer: Callable[[nn.Module], nn.Module]) -> str:
    backbone, images = small_backbone().train(), torch.rand(8, 3, 8, 8)
    with evaluation_mode(backbone), torch.no_grad():
        wanted = backbone(images)
    part = answer(backbone)
    if not isinstance(part, nn.Module):
        raise Wrong(f"frozen() gave {shown(part)}", "a module", "Does the function end with `return`?")
    before = {name: tensor.clone() for name, tensor in part.state_dict().items()}
    asleep = not any(module.training for module in part.modules())
    front, head = nn.Conv2d(3, 3, 1), nn.Linear(96, 2)
    model = nn.Sequential(front, part, nn.Flatten(), head)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, weight_decay=0.1)
    model.eval()
    for _ in range(2):  # epochs
        model.train()
        optimizer.zero_grad()
        model(images).square().sum().backward()
        optimizer.step()
        model.eval()
    _unchanged(before, part.state_dict(), asleep)
    if front.weight.grad is None or not front.weight.grad.any():
        slip = "`no_grad` or `detach` cuts the graph: frozen weights need neither, `requires_grad_(False)` is enough."
        raise Wrong("no gradient reached the layer in front", "a gradient that passes through", slip)
    model.train()
    first, second = part(images).detach(), part(images).detach()
    slips = [(first, "Batch norm standardizes by the batch at hand: it has to be in evaluation mode, too.")]
    if not agrees(first, second, 1e-5):
        slips = [(first, "Twice the same images, two answers: dropout is awake. Evaluation mode is for all parts.")]
    expect(first, wanted, of="the frozen backbone after model.train()", slips=slips)
    return "An optimizer skips weights without a gradient, weight decay included: its list may hold the frozen ones."


def _unchanged(before: dict[str, Tensor], after: dict[str, Tensor], asleep: bool) -> None:
    """Go on if a backbone is what it was; `asleep` says whether it was in evaluation mode once frozen."""
    changed = [name for name in before if name not in after or not torch.equal(before[name], after[name])]
    statistics_of = [name for name in changed if "running" in name or "batches" in name]
    weights = [name for name in changed if name not in statistics_of]
    if weights:
        slip = "Not a single parameter may learn, batch norm's scale and shift included: `requires_grad_(False)`."
        raise Wrong(f"training changed {', '.join(weights)}", "all weights as they were", slip)
    if statistics_of and asleep:
        slip = "`eval()` lasts until the next `train()` of the network around it: see that the backbone ignores that."
    else:
        slip = "`requires_grad` is for weights; statistics move in training mode, without any gradient."
    if all("batches" in name for name in statistics_of):
        slip = (
            "The means stand still, but in training mode batch norm does not use them: it has to be in evaluation mode."
        )
    if statistics_of:
        raise Wrong(f"training changed {', '.join(statistics_of)}", "all statistics as they were", slip)


@task(
    "05.4",
    "Smaller steps for earlier stages",
    "Go through `reversed(stages)` with a rate that shrinks; the head comes first.",
    "Skip a stage without parameters before the rate shrinks, a frozen one after.",
    "For what was taken already, a set of `id(parameter)`: `in` compares tensors by their numbers, which fails.",
)
def smaller_steps_for_earlier_stages(answer: Callable[..., list[dict[str, Any]]]) -> str:
    stem = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4))
    stem[0].weight.requires_grad = False
    cold, body = nn.Conv2d(4, 4, 3).requires_grad_(False), nn.Sequential(nn.Flatten(), nn.Linear(4, 4))
    head = nn.Sequential(nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 2))
    plain = [nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Linear(4, 2)]
    mixed = [stem, nn.MaxPool2d(2), nn.Conv2d(4, 4, 3), cold, nn.AvgPool2d(2), body, head]
    tied = [nn.Linear(4, 4), nn.Linear(4, 4), nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 2))]
    tied[2][0].weight = tied[0].weight  # type: ignore[index]
    for stages, rate, decay in ((plain, 0.01, 0.5), (mixed, 1e-2, 0.7), (tied, 0.1, 0.3), ([*plain[:2], head], 1, 1)):
        given = list(stages)
        found = _rates_found(answer(given, rate, decay), stages)
        if [id(stage) for stage in given] != [id(stage) for stage in stages]:
            raise Wrong("the list of stages had changed", "it as it was", "`reverse` works in place: use `reversed`.")
        slip = next((said for other, said in RATE_SLIPS if agrees(found, other(stages, rate, decay), 1e-6)), "")
        for key, right in _rates(stages, rate, decay).items():
            of = f"{_name(key, stages)}, of {len(stages)} stages, with rate {rate} and decay {decay},"
            expect(found[key], right, of=of, slips=[(found[key], slip)], tolerance=1e-6)
    return "With decay 0.7, the first of nine stages learns at a seventeenth of the head's rate: nearly frozen."


def _name(key: int, stages: Sequence[nn.Module]) -> str:
    """The last of a parameter's names, such as "0.weight of stages[2]"."""
    names = {id(p): f"{name} of stages[{k}]" for k, stage in enumerate(stages) for name, p in stage.named_parameters()}
    return names.get(key, "a tensor that is no parameter of the stages")


def _rates_found(groups: list[dict[str, Any]], stages: Sequence[nn.Module]) -> dict[int, float]:
    """The rate of each parameter in groups, by its id, if exactly those that learn are there, each once."""
    rates: dict[int, float] = {}
    if not isinstance(groups, list | tuple):
        raise Wrong(f"rate_groups() gave {shown(groups)}", "a list of dictionaries", "Does it end with `return`?")
    for group in groups:
        if not isinstance(group, dict) or not {"params", "lr"} <= group.keys():
            found = f"a group with the keys {shown(list(group))}" if isinstance(group, dict) else shown(group)
            raise Wrong(found, '"params" and "lr"', "An optimizer knows parameters and rate by these names.")
        own = [group["params"]] if isinstance(group["params"], Tensor) else list(group["params"])
        if not own:
            raise Wrong("a group without parameters", "no such group", "Add it only if something in the stage learns.")
        for parameter in own:
            if id(parameter) in rates:
                found = f"{_name(id(parameter), stages)} is there twice"
                raise Wrong(found, "each parameter once", "Stages may share one: note which were taken already.")
            rates[id(parameter)] = group["lr"]
            if not parameter.requires_grad:
                slip = "Of a stage, only some may be frozen: ask `requires_grad` of each parameter."
                raise Wrong(f"{_name(id(parameter), stages)} is there", "no frozen parameter", slip)
    for key in _rates(stages, 1, 1):
        if key not in rates:
            slip = "It learns: does another one of its stage hide it, or a comparison by numbers?"
            raise Wrong(f"{_name(key, stages)} is missing", "all parameters with `requires_grad`", slip)
    return rates


def _rates(
    stages: Sequence[nn.Module],
    rate: float,
    decay: float,
    *,
    counts: Callable[[list[nn.Parameter]], bool] = bool,
    most: int = 99,
    first: bool = False,
) -> dict[int, float]:
    """The rate of each parameter that learns, by its id; `first`: one that is shared belongs to its first stage."""
    rates: dict[int, float] = {}
    depth = 0
    for stage in reversed(stages):
        parameters = list(stage.parameters())
        for parameter in parameters:
            if parameter.requires_grad and (first or id(parameter) not in rates):
                rates[id(parameter)] = rate * decay ** min(depth, most)
        depth += counts(parameters)
    return rates


RATE_SLIPS: list[tuple[Callable[[Sequence[nn.Module], float, float], dict[int, float]], str]] = [
    (lambda s, r, d: _rates(s, r, 1), "All have one rate: multiply it by `decay` from stage to stage."),
    (lambda s, r, d: _rates(s, r * d, d), "The last stage begins with `rate` itself: shrink it afterwards."),
    (lambda s, r, d: _rates(s, r, d, counts=lambda p: True), "A stage without parameters, a pooling, is no step down."),
    (
        lambda s, r, d: _rates(s, r, d, counts=lambda p: any(q.requires_grad for q in p)),
        "A frozen stage is a step, too.",
    ),
    (lambda s, r, d: _rates(s, r, d, first=True), "A shared parameter belongs to the last of its stages."),
    (lambda s, r, d: _rates(s, r, d, most=1), "It shrank only once: multiply by `decay` at each stage."),
    (lambda s, r, d: _rates(s, r, 1 / d), "The rates grow toward the first stage: they have to shrink."),
    (lambda s, r, d: _rates(s[::-1], r, d, first=True), "The first stage got `rate`: the last has to, so begin there."),
]
