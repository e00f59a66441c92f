import copy

import torch
from torch import Tensor, nn

from course_lib.exercises.task import Task
from course_lib.exercises.traces import OTHER_SCORES, asked, network, own


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
    tolerance = 1e-5

    def inputs(self, draw):
        for count in (4, 1, 5):
            yield network(draw).eval(), draw.uniform(count, 2, 8, 12), draw.whole(0, 2, count)

    def shown(self, model, images, targets):
        return f"{self.name}() for {len(images)} images"

    def use(self, answer, model, images, targets):
        return {"the saliency maps": asked(answer, model, images, targets)}


# Answers


def saliency(model: nn.Module, images: Tensor, targets: Tensor) -> Tensor:
    """Images (N, channels, height, width), targets int64 (N,), to maps (N, height, width)."""
    pixels = images.detach().clone().requires_grad_()
    own = model(pixels).gather(1, targets[:, None])  # (N, 1), the logit of each image's class
    (gradient,) = torch.autograd.grad(own.sum(), pixels)
    return gradient.abs().amax(dim=1)


def of(channels, score=lambda logits, targets: own(logits, targets).sum()):
    """Another summary of the channels, or the gradient of another score."""

    def answer(model, images, targets):
        pixels = images.detach().clone().requires_grad_()
        return channels(torch.autograd.grad(score(model(pixels), targets), pixels)[0])

    return answer


def largest(slopes):
    return slopes.abs().amax(dim=1)


def by_backward(freeze=False):
    def answer(model, images, targets):
        pixels = images.clone().requires_grad_()
        own((model.requires_grad_(False) if freeze else model)(pixels), targets).sum().backward()
        return largest(pixels.grad)

    return answer


def marking(model, images, targets):
    images.requires_grad_()
    return largest(torch.autograd.grad(own(model(images), targets).sum(), images)[0])


def in_a_copy(model, images, targets):
    return by_backward()(copy.deepcopy(model), images.detach(), targets)


def one_by_one(model, images, targets):
    return torch.cat([saliency(model, x[None], t[None]) for x, t in zip(images, targets, strict=True)])


slips = [
    (
        of(lambda slopes: slopes.amax(dim=1)),
        "A pixel that lowers the logit matters as much: take absolute values first.",
    ),
    (of(lambda slopes: slopes.abs().mean(dim=1)), "That is the mean over the channels; the largest is asked for."),
    (of(lambda slopes: slopes.abs().sum(dim=1)), "That is the sum over the channels; the largest is asked for."),
    *((of(largest, score), words) for score, words in OTHER_SCORES),
]
also_wrong = [
    (by_backward(), "gradients in the parameters"),
    (by_backward(freeze=True), "training stands still"),
    (marking, "the images had changed"),
]
also_right = [in_a_copy, one_by_one, of(largest)]
