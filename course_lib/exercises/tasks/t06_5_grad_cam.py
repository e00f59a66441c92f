import torch
from torch import Tensor, nn
from torch.nn import functional as F

from course_lib.exercises.task import Task
from course_lib.exercises.traces import OTHER_SCORES, asked, network, own
from course_lib.runtime import evaluation_mode


class GradCam(Task):
    number, title, name, points = "06.5", "Grad-CAM for a batch", "grad_cam", 2
    statement = """
The lesson's ten lines served one class and trusted the model to be in evaluation mode. Write Grad-CAM for a class of
each image: every map of `layer` weighted by its mean gradient, summed over the maps, cut off below 0, and then
enlarged to the size of the images with `mode="bilinear"`. Do not scale the result. The model may come in training
mode: ask it in evaluation mode, and leave it without your hook, in its old mode, with its old gradients, also when it
fails. The check compares with captum, to five decimals.
"""
    hints = (
        "Keep the layer's output in a hook, with its graph: not detached, since a gradient has to reach it.",
        "`torch.autograd.grad(sum of the chosen logits, maps)` has the maps' shape; a map's weight is its mean there.",
        "The order: weigh, sum over the maps, ReLU, enlarge. `interpolate` wants four axes.",
    )
    notice = "Here enlarging made three of four pixels: how smooth a map looks says nothing about how exact it is."
    given = "a network in training and in evaluation, and a layer of 4 channels"
    tolerance = 1e-5

    def inputs(self, draw):
        for place, count, training, fails in (
            (1, 4, True, False),
            (0, 1, True, False),
            (1, 5, False, False),
            (0, 1, True, True),
        ):
            yield network(draw).train(training), draw.uniform(count, 2, 8, 12), draw.whole(0, 2, count), place, fails

    def shown(self, model, images, targets, place, fails):
        return f"{self.name}() for {len(images)} images"

    def use(self, answer, model, images, targets, place, fails):
        found = asked(answer, model, images, targets, model[place], fails=fails)
        return {"the error of the model": True} if fails else {"the heat maps": found}


# Answers


def grad_cam(model: nn.Module, images: Tensor, targets: Tensor, layer: nn.Module) -> Tensor:
    """Images (N, channels, height, width), targets int64 (N,), to maps (N, height, width)."""
    kept: list[Tensor] = []
    hook = layer.register_forward_hook(lambda _, inputs, output: kept.append(output))
    was_training = model.training
    model.eval()
    try:
        logits = model(images)
    finally:
        hook.remove()
        model.train(was_training)
    (maps,) = kept
    (gradient,) = torch.autograd.grad(logits.gather(1, targets[:, None]).sum(), maps)
    weights = gradient.mean(dim=(2, 3), keepdim=True)  # (N, maps, 1, 1)
    heat = (weights * maps).sum(dim=1, keepdim=True).relu().detach()
    return F.interpolate(heat, images.shape[2:], mode="bilinear")[:, 0]


def large(heat, mode="bilinear", corners=None):
    return F.interpolate(heat[:, None], (8, 12), mode=mode, align_corners=corners)[:, 0]


def weighed(maps, slopes):
    return slopes.mean((2, 3), keepdim=True) * maps


def heat_of(maps, slopes):
    return weighed(maps, slopes).sum(1).relu()


def cam(finish, score=lambda logits, targets: own(logits, targets).sum()):
    """Grad-CAM of another score, or made otherwise of maps and gradients."""

    def answer(model, images, targets, layer):
        kept = []
        hook = layer.register_forward_hook(lambda module, inputs, output: kept.append(output))
        try:
            with evaluation_mode(model):
                logits = model(images)
        finally:
            hook.remove()
        (slopes,) = torch.autograd.grad(score(logits, targets), kept[0])
        return finish(kept[0].detach(), slopes)

    return answer


def scaled(maps, slopes):
    heat = large(heat_of(maps, slopes))
    return heat / heat.amax((1, 2), keepdim=True)


def by_backward(model, images, targets, layer):
    """As most tutorials do it."""
    kept, slopes, before = [], [], model.training
    hooks = [
        layer.register_forward_hook(lambda module, inputs, output: kept.append(output.detach())),
        layer.register_full_backward_hook(lambda module, given, output: slopes.append(output[0])),
    ]
    try:
        own(model.eval()(images), targets).sum().backward()
    finally:
        model.train(before)
        for hook in hooks:
            hook.remove()
    return large(heat_of(kept[0], slopes[0]))


def awake(model, images, targets, layer):
    found = grad_cam(model, images, targets, layer)
    model(images)
    return found


def careless(detach):
    def answer(model, images, targets, layer):
        kept = []
        hook = layer.register_forward_hook(lambda module, inputs, output: kept.append(output))
        with evaluation_mode(model):
            logits = model(images)
        hook.remove()
        heat = large(heat_of(kept[0], torch.autograd.grad(own(logits, targets).sum(), kept[0])[0]))
        return heat.detach() if detach else heat

    return answer


def one_by_one(model, images, targets, layer):
    pairs = zip(images, targets, strict=True)
    return torch.cat([grad_cam(model, image[None], target[None], layer) for image, target in pairs])


def by_hooks(model, images, targets, layer):
    kept, slopes = [], []
    hooks = [
        layer.register_forward_hook(lambda module, inputs, output: kept.append(output)),
        layer.register_full_backward_hook(lambda module, given, output: slopes.append(output[0])),
    ]
    try:
        with evaluation_mode(model):
            pixels = images.clone().requires_grad_()
            torch.autograd.grad(own(model(pixels), targets).sum(), pixels)
    finally:
        for hook in hooks:
            hook.remove()
    heat = torch.einsum("nk,nkhw->nhw", slopes[0].mean((-2, -1)), kept[0].detach()).relu()
    return nn.Upsample(tuple(images.shape[2:]), mode="bilinear")(heat[:, None])[:, 0]


slips = [
    (cam(lambda m, s: large(weighed(m, s).sum(1))), "Negative heat is still there: cut it off by ReLU."),
    (
        cam(lambda m, s: large(weighed(m, s).sum(1)).relu()),
        "Cut off below 0 before enlarging, not after: pixels in between differ.",
    ),
    (cam(heat_of), "That is as small as the layer's maps: enlarge it."),
    (
        cam(lambda m, s: large(heat_of(m, s), corners=True)),
        "Leave `align_corners` at False: squares meet at edges, not centers.",
    ),
    (cam(lambda m, s: large(heat_of(m, s), "nearest")), "It was enlarged in blocks: ask for `bilinear`."),
    (cam(lambda m, s: large((s * m).sum(1).relu())), "Each position kept its own gradient: average them."),
    (cam(lambda m, s: large(heat_of(m, s)) * m[0, 0].numel()), "The gradients of a map were summed, not averaged."),
    (cam(lambda m, s: large(heat_of(m, s)) / m.shape[1]), "The weighted maps were averaged, not summed."),
    (
        cam(lambda m, s: large(weighed(m, s).relu().sum(1))),
        "ReLU comes after the sum, in which negative maps count too.",
    ),
    (
        cam(lambda m, s: large((s.mean((0, 2, 3), keepdim=True) * m).sum(1).relu())),
        "The mean runs over the batch, too: images mix.",
    ),
    (cam(scaled), "Do not scale it: that hides how much a position adds."),
    *((cam(lambda m, s: large(heat_of(m, s)), score), words) for score, words in OTHER_SCORES),
]
also_wrong = [
    (by_backward, "`zero_grad` deletes"),
    (awake, "asked in training mode"),
    (careless(detach=False), "still part of its graph"),
    (careless(detach=True), "after the model had failed the number of hooks"),
]
also_right = [one_by_one, by_hooks, cam(lambda m, s: large(heat_of(m, s)))]
