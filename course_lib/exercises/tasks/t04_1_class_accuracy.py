import numpy as np
import torch
from torch.nn import functional as F

from course_lib.exercises.task import Task, call


class ClassAccuracy(Task):
    number, title, name, points = "04.1", "The accuracy of each class", "class_accuracy", 1
    statement = """
An accuracy of 0.8 can hide a class that is never found. Write a function that returns, for each class, the fraction
of its images that are predicted correctly: one number for each column of the logits. A class without images gets
`nan`, "not a number", because nothing is known about it. One or two lines are enough.
"""
    hints = (
        "First, which images are predicted correctly? `logits.argmax(dim=1) == labels` says it, one answer for each image.",
        "Then, for each class, look only at the images whose label it is. The mean of no numbers is nan already.",
    )
    notice = (
        "Their plain mean is the balanced accuracy, in which a rare class counts as much as a common one. "
        "Weighted by the number of images they give the ordinary accuracy back."
    )
    given = "2, 5 and 9 classes, and one more that no image is of"

    def inputs(self, draw):
        for count, classes in ((5, 4), (40, 4), (40, 2), (40, 5), (40, 9)):  # the wrong axis fits the first, too
            logits, labels = draw.normal(count, classes + 1), draw.labels(count, classes)
            logits[range(count), labels] += 1
            yield logits, labels

    def use(self, answer, logits, labels):
        accuracies = call(answer, logits, labels)
        return torch.as_tensor(accuracies) if isinstance(accuracies, list | tuple | np.ndarray) else accuracies


# Answers


def class_accuracy(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Logits (N, classes) and labels (N,) to accuracies (classes,)."""
    right = (logits.argmax(dim=1) == labels).float()
    return torch.stack([right[labels == label].mean() for label in range(logits.shape[1])])


def by_matrix(logits, labels):
    right = (logits.argmax(dim=1) == labels).float()
    classes = F.one_hot(labels, logits.shape[1]).float()
    return (right @ classes) / classes.sum(dim=0)


slips = [
    ({"dim=1": "dim=0"}, "`dim=0` looks for the surest image of each class; take the maximum of each row."),
    ({".mean()": ".mean().nan_to_num()"}, "0 would mean that all were wrong; for no images use nan."),
    ({"range(logits.shape[1])": "labels.unique()"}, "Classes without images are left out; they have a column, too."),
    (
        {"labels == label": "logits.argmax(dim=1) == label"},
        "That is the precision: group by the labels, not by predictions.",
    ),
    ({".mean()": ".sum() / len(labels)"}, "You divide by the number of all images; divide by that of the class."),
    (lambda z, y: (z.argmax(dim=1) == y).float().mean(), "That is one accuracy over all classes together."),
]
also_right = [
    by_matrix,
    lambda z, y: class_accuracy(z, y).tolist(),
    lambda z, y: np.array(class_accuracy(z, y)),
]
