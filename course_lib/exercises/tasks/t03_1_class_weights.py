import numpy as np
import torch
from torch import Tensor

from course_lib.exercises.task import Task, call


class ClassWeights(Task):
    number, title, name, points = "03.1", "Weights for rare classes", "class_weights", 1
    statement = """
Part E of the lesson let each healthy patient count nine times. Write the general rule in one line: for labels (N,)
from `num_classes` classes, each of which occurs, return one weight for each class as a float32 tensor. A weight is
inversely proportional to how often its class occurs, and all are scaled such that the weights of the N images have
the mean 1. Then each class as a whole counts alike, and the weighted loss stays about as large as the plain one.
"""
    hints = (
        "torch.bincount counts how often each label occurs.",
        "With the weight s / count, each class adds s to the sum over all images. For which s is that sum N?",
    )
    notice = (
        "`F.cross_entropy` with `weight=` divides by the sum of the batch's weights: there a common factor cancels."
    )
    given = "labels of 2, 3 and 6 classes"
    otherwise = {"the type of the weights": "The loss takes weights of the same type as its logits: `.float()`."}

    def inputs(self, draw):
        labels = torch.tensor([0] * 3 + [1] * 12 + [2] * 45)
        yield labels[draw.uniform(60).argsort()], 3
        yield labels[:15].flip(0), 2
        for num_classes in (2, 3, 6):
            yield draw.labels(40, num_classes), num_classes

    def use(self, answer, labels, num_classes):
        weights = call(answer, labels, num_classes)
        return {"the answer itself": weights, "the type of the weights": str(getattr(weights, "dtype", None))}


# Answers


def class_weights(labels: Tensor, num_classes: int) -> Tensor:
    """int (N,) to float (num_classes,)."""
    return len(labels) / (num_classes * torch.bincount(labels, minlength=num_classes))


def one_by_one(labels, num_classes):
    weights = torch.zeros(num_classes)
    for k in range(num_classes):
        weights[k] = 1 / ((labels == k).float().mean() * num_classes)
    return weights


right = class_weights
slips = [
    (lambda y, k: y.bincount() / len(y), "These are the fractions of the classes: the rarest must weigh most."),
    (lambda y, k: 1 / y.bincount(), "The weights are not scaled yet: their mean over the images is far below 1."),
    ({"(num_classes * ": "("}, "Their mean over the images is the number of classes, not 1."),
    (lambda y, k: y.bincount().max() / y.bincount(), "The most common class has weight 1, so the mean exceeds 1."),
    (lambda y, k: right(y, k) / right(y, k).sum(), "They sum to 1 over the classes; look at the mean over images."),
    (lambda y, k: right(y, k) / right(y, k).mean(), "Their mean over the classes is 1, not that over the images."),
    (lambda y, k: right(y, k).tolist(), "That is a list; the loss takes its weights as a tensor."),
    (lambda y, k: right(y, k)[y], "That is one weight for each image; the loss wants one for each class."),
]
also_wrong = [
    (lambda y, k: right(y, k).double(), "`.float()`"),
    (lambda y, k: len(y) / (k * np.bincount(y.numpy())), "NumPy array"),
]
also_right = [one_by_one]
