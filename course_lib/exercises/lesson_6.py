"""The checks of lesson 6, visualization."""

from collections.abc import Callable
from contextlib import nullcontext, suppress
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from course_lib import explain
from course_lib.exercises.legacy import Wrong, agrees, compare, expect, shown, task
from course_lib.runtime import evaluation_mode

Pair = Callable[[Tensor, Tensor], Tensor]  # of logits and classes, or of heat and masks
TRACES = {
    "the number of hooks": "A hook stays behind and keeps what it stored: call its `remove()` in a `finally`.",
    "the mode": "Note `model.training` before `eval()`, and set it back in a `finally`.",
    "the gradients in the parameters": "`backward` adds to them, `zero_grad` deletes them: use `torch.autograd.grad`.",
    "requires_grad of the parameters": "They stay frozen, and training stands still: leave it as it is.",
    "the images": "Work on `images.detach().clone()`: the caller's were written into, or marked by `requires_grad_()`.",
}
OTHER_SCORES: list[tuple[Pair, str]] = [
    (lambda logits, t: logits[:, t].sum(), "`logits[:, targets]` takes all targets for each image, not each its own."),
    (lambda logits, t: logits.sum(), "The logits of all classes were summed: choose one for each image."),
    (lambda logits, t: logits.amax(dim=1).sum(), "That explains the most probable class, whatever `targets` says."),
    (lambda logits, t: own(logits.softmax(dim=1), t).sum(), "That is the gradient of a probability, not of a logit."),
]


def own(values: Tensor, targets: Tensor) -> Tensor:
    """(N, classes) to the value of each image's class, (N,)."""
    return values.gather(1, targets[:, None])[:, 0]


def network() -> nn.Sequential:
    """Small, for 3 classes, in training mode with gradients stored; with batch norm, dropout and a ReLU in place."""
    model = nn.Sequential(
        nn.Sequential(nn.Conv2d(2, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(inplace=True)),
        nn.Sequential(nn.Conv2d(4, 6, 3, padding=1), nn.Tanh(), nn.AvgPool2d(2)),
        nn.Sequential(nn.Flatten(), nn.Dropout(), nn.Linear(144, 16), nn.ReLU(), nn.Linear(16, 3)),
    )
    for parameter in model.parameters():
        parameter.grad = torch.ones_like(parameter)
        parameter.data *= 3  # so that heat is well above rounding errors
    return model


def state(model: nn.Module, arguments: tuple[Any, ...]) -> list[object]:
    """What `TRACES` lists, in its order."""
    parts, images = list(model.modules()), [given for given in arguments if isinstance(given, Tensor)]
    return [
        sum(len(hooks) for part in parts for name, hooks in vars(part).items() if name.endswith("_hooks")),
        [part.training for part in parts],
        [None if parameter.grad is None else parameter.grad.clone() for parameter in model.parameters()],
        [parameter.requires_grad for parameter in model.parameters()],
        [(image.detach().clone(), image.requires_grad) for image in images],
    ]


def asked(answer: Callable[..., Any], model: nn.Module, *arguments: Any, fails: bool = False) -> Any:
    """What an answer returns, if it asks the model in evaluation mode and leaves no trace, also if the model fails."""
    modes: set[bool] = set()

    def watch(module: nn.Module, _inputs: object, _logits: object) -> None:
        modes.add(module.training)
        if fails:
            raise RuntimeError("the model failed after its last layer")

    hook, found = model.register_forward_hook(watch), None
    before = state(model, arguments)
    with suppress(RuntimeError) if fails else nullcontext():
        found = answer(model, *arguments)
        if fails:
            raise Wrong("no error, though the model failed", "its error", "An `except` hides it; `finally` does not.")
    if True in modes:
        slip = "In training mode batch norm mixes the images, and dropout adds chance: call `model.eval()` first."
        raise Wrong("the model was asked in training mode", "asked in evaluation mode", slip)
    for (what, slip), was, now in zip(TRACES.items(), before, state(model, arguments), strict=True):
        if not agrees(now, was, 0):
            when = "after the model had failed" if fails else "after the call"
            raise Wrong(f"{when} {what} had changed", "the model and the images as they were before", slip)
    hook.remove()
    if isinstance(found, Tensor) and found.requires_grad:
        slip = "The graph keeps all maps of the pass in memory: detach the result, or compute it without gradients."
        raise Wrong("a tensor that is still part of its graph", "a tensor without a graph", slip)
    return found


def gradient(score: Pair, model: nn.Module, images: Tensor, targets: Tensor, *layer: nn.Module) -> tuple[Tensor, ...]:
    """The maps of a layer, or else the images, and the gradient of a score of the logits with respect to them."""
    kept = [images.clone().requires_grad_()]
    hooks = [part.register_forward_hook(lambda _, inputs, maps: kept.append(maps)) for part in layer]
    with evaluation_mode(model):
        score_of_all = score(model(kept[0]), targets)
    for hook in hooks:
        hook.remove()
    return kept[-1].detach(), *torch.autograd.grad(score_of_all, kept[-1])


@task(
    "06.1",
    "A heat map from 0 to 1",
    "`amin` and `amax` take several axes at once: which ones belong to one map? `keepdim=True` helps afterwards.",
    "(map - lowest) / (highest - lowest). What would a flat map divide by?",
)
def heat_map_from_0_to_1(answer: Callable[[Tensor], Tensor]) -> str:
    def scaled(heat: Tensor, over: tuple[int, ...] = (1, 2)) -> Tensor:
        low, high = heat.amin(over, keepdim=True), heat.amax(over, keepdim=True)
        return (heat - low) / (high - low)

    slips = [
        (lambda h: scaled(h, (0, 1, 2)), "The whole batch shares a lowest and a highest pixel: each map has its own."),
        (lambda h: scaled(h, (2,)), "Each row was scaled alone: a map has two axes."),
        (lambda h: h / h.amax((1, 2), keepdim=True), "The lowest pixel has to be taken away first."),
        (lambda h: h.relu() / h.amax((1, 2), keepdim=True), "Negative heat was cut off instead of moved."),
    ]
    maps = torch.randn(3, 5, 6) * torch.tensor([1, 20, 0.05]).view(3, 1, 1) + 0.5
    compare(answer, scaled, [(maps,)], slips=slips)
    maps = torch.tensor([[[0.3, 0.3]], [[0, 2]], [[0, 0]]])
    slips = [(scaled, "0 divided by 0 is nan: see to it that a flat map, such as the first, is not divided by 0.")]
    compare(answer, lambda h: scaled(h).nan_to_num(0), [(maps,)], slips=slips)
    return "Scaled maps compare in shape, not in strength: a map of nothing but rounding errors glows as brightly."


@task(
    "06.2",
    "The pointing game",
    "Compare each map with its own highest value: that marks all hottest pixels at once.",
    "Of these pixels, count those in the mask and divide by how many there are. Then see to maps that are all hottest.",
)
def the_pointing_game(answer: Pair) -> str:
    def ties(heat: Tensor) -> Tensor:
        return heat == heat.amax((1, 2), keepdim=True)

    def share(inside: Tensor, of: Tensor) -> Tensor:
        return inside.sum((1, 2)) / of.sum((1, 2))

    slips: list[tuple[Pair, str]] = [
        (lambda h, m: own(m.flatten(1), h.flatten(1).argmax(1)).float(), "`argmax` sees only the first of several."),
        (
            lambda h, m: (ties(h) & m).sum((1, 2)).clamp(max=1.0),
            "One hottest pixel inside gave a full score: share it.",
        ),
        (lambda h, m: share((h == h.max()) & m, h == h.max()), "One peak was sought in all maps: each has its own."),
        (lambda h, m: share(ties(h) & m, m), "Divide by the number of hottest pixels, not of those in the mask."),
        (lambda h, m: share(h * m, h), "That is the fraction of heat inside; here only the hottest pixels count."),
        (lambda h, m: explain.pointing_hits(h, m).mean(), "That is the mean of the scores: return one for each map."),
    ]
    heat, masks = torch.cat([torch.randint(0, 4, (5, 4, 5)), torch.randn(2, 4, 5) - 9]), torch.rand(7, 4, 5) < 0.4
    compare(answer, explain.pointing_hits, [(heat, masks), (heat[3:], ~masks[3:])], slips=slips)
    heat[2], heat[5] = 0, 0.7
    found, slip = answer(heat.clone(), masks), "Flat maps, here the third and the sixth, point nowhere and score 0."
    expect(found, explain.pointing_hits(heat, masks), of="pointing_score() for 7 maps", slips=[(found, slip)])
    return "Noise hits a mask that covers a fifth of the image once in five images: a score needs its chance beside it."


@task(
    "06.3",
    "The maps of any layer",
    "`layer.register_forward_hook(f)` calls f(layer, inputs, output) and returns a handle with `remove()`.",
    "What has to happen in any case belongs into the `finally` of a `try`.",
    "`detach()` cuts the graph but shares memory; only a `clone()` is out of reach of a ReLU that works in place.",
)
def the_maps_of_any_layer(answer: Callable[[nn.Module, Tensor, nn.Module], Tensor]) -> str:
    model, images = network(), torch.rand(3, 2, 8, 12)
    stem, body, _ = model
    for before, layer, after in ((stem[0], stem[1], stem[2]), (stem, body[0], body[1])):  # type: ignore[index]
        found = asked(answer, model, images, layer)
        came, wanted, went = explain.feature_maps(model, images, before, layer, after)  # type: ignore[arg-type]
        slips = [
            (went, "A layer that works in place reached the maps: `detach()` shares memory, `clone()` does not."),
            (came, "That is what came into the layer; what it returns is the hook's third argument."),
            ([wanted], "That is a list with the maps in it: return its element."),
        ]
        expect(found, wanted, of="maps_of() for a layer in the middle", slips=slips)
    asked(answer, model.eval(), images, body)
    asked(answer, model.train(), images, body, fails=True)
    return "`model.train()` wakes even a frozen batch norm; `evaluation_mode` of `course_lib.runtime` lets it sleep."


@task(
    "06.4",
    "Saliency without traces",
    "In evaluation mode images do not influence each other: one gradient of the sum of their logits serves them all.",
    "`gather` or `logits[range(N), targets]` picks one logit for each image.",
    "`torch.autograd.grad(number, pixels)` returns a tuple of one gradient; pixels is a copy that requires it.",
)
def saliency_without_traces(answer: Callable[[nn.Module, Tensor, Tensor], Tensor]) -> str:
    for targets in (torch.tensor([2, 0, 1, 2]), torch.tensor([1])):
        model, images = network().eval(), torch.rand(len(targets), 2, 8, 12)
        found = asked(answer, model, images, targets)
        _, slopes = gradient(lambda logits, t: own(logits, t).sum(), model, images, targets)
        slips = [
            (slopes.amax(dim=1), "A pixel that lowers the logit matters as much: take absolute values first."),
            (slopes.abs().mean(dim=1), "That is the mean over the channels; the largest is asked for."),
            (slopes.abs().sum(dim=1), "That is the sum over the channels; the largest is asked for."),
            *((gradient(score, model, images, targets)[1].abs().amax(dim=1), said) for score, said in OTHER_SCORES),
        ]
        right = explain.saliency(model, images, targets)
        expect(found, right, of=f"saliency() for {len(targets)} images", slips=slips, tolerance=1e-5)
    return "Where an answer is sure, the gradient of its probability is close to 0 everywhere: ask the logit instead."


@task(
    "06.5",
    "Grad-CAM for a batch",
    "Keep the layer's output in a hook, with its graph: not detached, since a gradient has to reach it.",
    "`torch.autograd.grad(sum of the chosen logits, maps)` has the maps' shape; a map's weight is its mean there.",
    "The order: weigh, sum over the maps, ReLU, enlarge. `interpolate` wants four axes.",
)
def grad_cam_for_a_batch(answer: Callable[[nn.Module, Tensor, Tensor, nn.Module], Tensor]) -> str:
    def large(heat: Tensor, mode: str = "bilinear", corners: bool | None = None) -> Tensor:
        return F.interpolate(heat[:, None], (8, 12), mode=mode, align_corners=corners)[:, 0]

    def cam(score: Pair, *inputs: Any) -> Tensor:
        maps, slopes = gradient(score, *inputs)
        return large((slopes.mean((2, 3), keepdim=True) * maps).sum(dim=1).relu())

    for place, targets in ((1, torch.tensor([2, 0, 1, 2])), (0, torch.tensor([1]))):
        model, images = network(), torch.rand(len(targets), 2, 8, 12)
        inputs = model, images, targets, model[place]
        found = asked(answer, *inputs)
        maps, slopes = gradient(lambda logits, t: own(logits, t).sum(), *inputs)  # type: ignore[arg-type]
        weights = slopes.mean((2, 3), keepdim=True)
        heat = (weights * maps).sum(dim=1)
        right = explain.grad_cam(model, images, targets, layer=model[place])  # type: ignore[arg-type]
        slips = [
            (large(heat), "Negative heat is still there: cut it off by ReLU."),
            (large(heat).relu(), "Cut off below 0 before enlarging, not after: pixels in between differ."),
            (heat.relu(), "That is as small as the layer's maps: enlarge it."),
            (
                large(heat.relu(), corners=True),
                "Leave `align_corners` at False: squares meet at edges, not centers.",
            ),
            (large(heat.relu(), "nearest"), "It was enlarged in blocks: ask for `bilinear`."),
            (large((slopes * maps).sum(dim=1).relu()), "Each position kept its own gradient: average them."),
            (large(heat.relu()) * maps[0, 0].numel(), "The gradients of a map were summed, not averaged."),
            (large(heat.relu()) / maps.shape[1], "The weighted maps were averaged, not summed."),
            (large((weights * maps).relu().sum(dim=1)), "ReLU comes after the sum, in which negative maps count too."),
            (large((weights.mean(dim=0) * maps).sum(dim=1).relu()), "The mean runs over the batch, too: images mix."),
            (right / right.amax((1, 2), keepdim=True), "Do not scale it: that hides how much a position adds."),
            *((cam(score, *inputs), said) for score, said in OTHER_SCORES),
        ]
        expect(found, right, of=f"grad_cam() for {len(targets)} images", slips=slips, tolerance=1e-5)
    asked(answer, *inputs, fails=True)
    return "Here enlarging made three of four pixels: how smooth a map looks says nothing about how exact it is."


@task(
    "06.6",
    "Put a shortcut to the test",
    "Write a function that returns a copy of some images with the box of their donors, and use it four times.",
    "`donors[torch.arange(len(images)) % len(donors)]` are all donors; `images.roll(-1, dims=0)` are the next images.",
    "One more function: which of the images predicted correctly before change their answer? `torch.cat` pools them.",
)
def put_a_shortcut_to_the_test(answer: Callable[..., dict[str, float]]) -> str:
    box, head, reads = (slice(1, 4), slice(9, 14)), nn.Linear(448, 2), torch.zeros(2, 2, 14, 16)
    reads[1, :, *box], reads[1, :, 5:] = 1 / 30, 1 / 288  # class 1, if the box and the lower rows are bright on average
    head.weight.data, head.bias.data = reads.flatten(start_dim=1), torch.tensor([1.3, 0])
    model = nn.Sequential(nn.Flatten(), head)
    healthy, sick = (torch.rand(count, 2, 14, 16) / 5 + torch.rand(count, 1, 14, 1) for count in (61, 97))
    sick[:, :, *box] += 0.2

    def flips(images: Tensor, donors: Tensor, label: int) -> tuple[Tensor, Tensor]:
        pasted = images.clone()
        pasted[:, :, *box] = donors[torch.arange(len(images)) % len(donors)][:, :, *box]
        before, after = (model(x).argmax(dim=1) for x in (images, pasted))
        return before == label, before != after

    def share(rightly: Tensor, flipped: Tensor) -> float:
        return flipped[rightly].double().mean().item()

    to_sick, to_healthy = flips(healthy, sick, 0), flips(sick, healthy, 1)
    kinds, turned = ([flips(x, x.roll(by, 0), kind) for kind, x in enumerate((healthy, sick))] for by in (-1, 1))
    control, before = ([torch.cat(parts) for parts in zip(*pair, strict=True)] for pair in (kinds, turned))
    heaps = {"to_sick": to_sick, "to_healthy": to_healthy, "control": control}
    special: dict[str, tuple[float, str]] = {
        "to_sick": (share(*to_healthy), "The two ways are exchanged."),
        "to_healthy": (0.0, "The sick got their own boxes back: the healthy had been pasted already."),
        "control": (0.0, "Each image got its own box back: take that of the next image."),
    }
    found = asked(answer, model, healthy, sick, box)
    keys = sorted(found or ())
    expect(keys, sorted(heaps), of="sorted(shortcut_test())", slips=[(keys, "Return a dictionary with these keys.")])
    for name, (rightly, flipped) in heaps.items():
        slips: list[tuple[object, str]] = [
            ((flipped & rightly).double().mean(), "Divide by the images predicted correctly before, not by all."),
            (flipped.double().mean(), "Images predicted wrongly before count here: leave them out."),
            ((flipped == rightly).double().mean(), "An image that was wrong all along did not flip: compare answers."),
            ((flipped & rightly).sum(), "That is a count: divide by the number of images predicted correctly before."),
            (share(rightly[:61], flipped[:61]), "Not all images were asked: where donors run out, begin again."),
            (sum(share(*kind) for kind in kinds) / 2, "That is the mean of two fractions: pool both kinds first."),
            (share(*before), "`roll(1)` brings the box of the image before; the next one's is asked for."),
            special[name],
        ]
        expect(found[name], share(rightly, flipped), of=f'shortcut_test()["{name}"]', slips=slips)
    nothing = dict.fromkeys(heaps, 0.0)
    if not agrees(found := asked(answer, model, healthy + 9, sick - 9, box), nothing, 0):
        raise Wrong(f"{shown(found)} where all are predicted wrongly", shown(nothing), "No image counts here: say 0.")
    asked(answer, model.train(), healthy, sick, box, fails=True)
    return "The control is what makes it a test: a fraction of 0.3 is a shortcut beside 0.02, and nothing beside 0.28."
