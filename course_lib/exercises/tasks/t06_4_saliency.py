import copy

import torch
from torch import Tensor, nn

from course_lib.exercises.task import Task
from course_lib.exercises.traces import OTHER_SCORES, call_without_trace, network


class Saliency(Task):
    number, title, name, points = "06.4", "Saliency without traces", "saliency", 2
    statement = """
For each image of a batch, find how fast the logit of *its* class changes with each pixel: the absolute value of the
gradient, the largest over the channels. `targets` holds a class for each image. The model comes in evaluation mode.
It may be in the middle of a training step, so its parameters and the gradients stored in them have to stay as they
are. So do the images, `requires_grad` included.
"""
    hints = (
        "In evaluation mode images do not influence each other: one gradient of the sum of their logits serves them all.",
        "`gather` or `logits[range(N), targets]` picks one logit for each image.",
        "`torch.autograd.grad(number, pixels)` returns a tuple of one gradient; pixels is a copy that requires it.",
    )
    notice = "Where an answer is sure, the gradient of its probability is close to 0 everywhere: ask the logit instead."
    given = "drawn images, targets and weights"
    tolerance = 1e-3  # float32 gradients of a pass with one image and of one with many differ by 1e-5

    def inputs(self, draw):
        for count in (4, 1, 5):
            yield network(draw).eval(), draw.uniform(count, 2, 8, 12), draw.whole(0, 2, count)

    def shown(self, model, images, targets):
        return f"{self.name}() for {len(images)} images"

    def use(self, answer, model, images, targets):
        return {"the saliency maps": call_without_trace(answer, model, images, targets)}


# Answers


def saliency(model: nn.Module, images: Tensor, targets: Tensor) -> Tensor:
    """Images (N, channels, height, width), targets int64 (N,), to maps (N, height, width)."""
    pixels = images.detach().clone().requires_grad_()
    own = model(pixels).gather(1, targets[:, None])  # (N, 1), the logit of each image's class
    (gradient,) = torch.autograd.grad(own.sum(), pixels)
    return gradient.abs().amax(dim=1)


def one_by_one(model, images, targets):
    return torch.cat([saliency(model, x[None], t[None]) for x, t in zip(images, targets, strict=True)])


BY_BACKWARD = {
    "(gradient,) = torch.autograd.grad(own.sum(), pixels)": "own.sum().backward()",
    "gradient.abs()": "pixels.grad.abs()",
}
slips = [
    ({".abs()": ""}, "A pixel that lowers the logit matters as much: take absolute values first."),
    ({".amax(": ".mean("}, "That is the mean over the channels; the largest is asked for."),
    ({".amax(": ".sum("}, "That is the sum over the channels; the largest is asked for."),
    *(
        ({"own = model(pixels).gather(1, targets[:, None])": "logits = model(pixels)", "own.sum()": score}, words)
        for score, words in OTHER_SCORES
    ),
]
also_wrong = [
    (BY_BACKWARD, "gradients in the parameters"),
    (BY_BACKWARD | {"model(pixels)": "model.requires_grad_(False)(pixels)"}, "training stands still"),
    ({"images.detach().clone()": "images"}, "the images had changed"),
]
also_right = [one_by_one, lambda model, *given: saliency(copy.deepcopy(model), *given)]
