import torch
from torch import Tensor, nn
from torch.nn import functional as F

from course_lib.exercises.task import Task
from course_lib.exercises.traces import OTHER_SCORES, call_without_trace, network
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
        cases = (1, 4, True, False), (0, 1, True, False), (1, 5, False, False), (0, 1, True, True)
        for place, count, training, fails in cases:
            yield network(draw).train(training), draw.uniform(count, 2, 8, 12), draw.whole(0, 2, count), place, fails

    def shown(self, model, images, targets, place, fails):
        return f"{self.name}() for {len(images)} images"

    def use(self, answer, model, images, targets, place, fails):
        heat = call_without_trace(answer, model, images, targets, model[place], fails=fails)
        return {"the error of the model": True} if fails else {"the heat maps": heat}


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
            torch.autograd.grad(model(pixels).gather(1, targets[:, None]).sum(), pixels)
    finally:
        for hook in hooks:
            hook.remove()
    heat = torch.einsum("nk,nkhw->nhw", slopes[0].mean((-2, -1)), kept[0].detach()).relu()
    return nn.Upsample(tuple(images.shape[2:]), mode="bilinear")(heat[:, None])[:, 0]


SCORE, SUM = "logits.gather(1, targets[:, None]).sum()", "(weights * maps).sum(dim=1, keepdim=True).relu()"
RETURN = 'return F.interpolate(heat, images.shape[2:], mode="bilinear")[:, 0]'
slips = [
    ({".relu()": ""}, "Negative heat is still there: cut it off by ReLU."),
    ({".relu()": "", RETURN: f"{RETURN}.relu()"}, "Cut off below 0 before enlarging: pixels in between differ."),
    ({RETURN: "return heat[:, 0]"}, "That is as small as the layer's maps: enlarge it."),
    (
        {'"bilinear"': '"bilinear", align_corners=True'},
        "Leave `align_corners` at False: a pixel is a square, not a point.",
    ),
    ({'"bilinear"': '"nearest"'}, "It was enlarged in blocks: ask for `bilinear`."),
    ({"weights * maps": "gradient * maps"}, "Each position kept its own gradient: average them."),
    ({"gradient.mean(": "gradient.sum("}, "The gradients of a map were summed, not averaged."),
    ({"maps).sum(": "maps).mean("}, "The weighted maps were averaged, not summed."),
    (
        {SUM: "(weights * maps).relu().sum(dim=1, keepdim=True)"},
        "ReLU comes after the sum, so that negative maps count too.",
    ),
    ({"dim=(2, 3)": "dim=(0, 2, 3)"}, "The mean runs over the batch, too: images mix."),
    (
        {RETURN: f"large ={RETURN[6:]}\n    return large / large.amax((1, 2), keepdim=True)"},
        "Do not scale it: that hides how much a position adds.",
    ),
    *(({SCORE: score}, words) for score, words in OTHER_SCORES),
]
also_wrong = [
    (
        {
            f"(gradient,) = torch.autograd.grad({SCORE}, maps)": f"maps.retain_grad(); {SCORE}.backward(); gradient = maps.grad"
        },
        "`zero_grad` deletes",
    ),
    ({"    return": "    model(images)\n    return"}, "asked in training mode"),
    ({".detach()": ""}, "still part of its graph"),
    (
        {"        hook.remove()\n": "", "    (maps,)": "    hook.remove()\n    (maps,)"},
        "after the model had failed the number of hooks",
    ),
]
also_right = [one_by_one, by_hooks]
