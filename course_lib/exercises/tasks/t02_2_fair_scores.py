import torch

from course_lib.exercises.task import Task


class FairScores(Task):
    number, title, name, points = "02.2", "Accuracy, and the two numbers beside it", "fair_scores", 2
    statement = """
An accuracy says little without its company. Write a function that takes the predictions of a classifier and the true
labels (both whole numbers, one for each image) and returns three numbers: the accuracy; the balanced accuracy, which
is the fraction predicted correctly in each class, averaged over the classes that occur among the labels; and the
accuracy of a constant answer, which gives every image the most common of these labels. Any number of classes should
do.
"""
    hints = (
        "`labels == label` marks the images of one class; among these, count how many were predicted so.",
        "`labels.unique()` lists the classes that occur. Average their recalls without weights.",
        "The constant answer is right for every image of the most common class, and for no other.",
    )
    notice = (
        "A constant has a balanced accuracy of 1 divided by the number of classes, however common they are. A "
        "model can lie below it in accuracy and still know more, since the constant finds none of the rarer "
        "classes."
    )
    given = "labels of 2, 3 and 5 classes, and calls that can be of one class more"

    def inputs(self, draw):
        few_sick = [0, 1, 0, 0, 0, 0, 1, 0, 0, 0], [0, 0, 0, 0, 0, 0, 1, 1, 1, 0]
        many_sick = [1, 1, 0, 0, 0, 1], [1, 1, 1, 1, 0, 0]
        four_of_six_classes = [4, 0, 1, 1, 3, 4, 4, 5, 3], [4, 0, 1, 4, 3, 4, 3, 4, 3]
        never_predicted = [0, 1, 1, 0, 0, 1, 0], [0, 2, 1, 0, 2, 1, 0]
        for pair in (few_sick, many_sick, four_of_six_classes, never_predicted):
            yield tuple(map(torch.tensor, pair))
        for classes, more in ((2, 1), (3, 0), (5, -2)):
            yield draw.whole(0, classes + more, 30), draw.labels(30, classes)

    def shown(self, calls, labels):
        return f"{self.name}({calls.tolist()}, {labels.tolist()})"


# Answers


def fair_scores(calls: torch.Tensor, labels: torch.Tensor) -> tuple[float, float, float]:
    """Long (N,) and long (N,) to (accuracy, balanced accuracy, accuracy of the constant)."""
    correct = (calls == labels).float()
    of_classes = [correct[labels == label].mean() for label in labels.unique()]
    constant = labels.bincount().max() / len(labels)
    return correct.mean().item(), torch.stack(of_classes).mean().item(), constant.item()


def by_a_matrix(calls, labels):
    num_classes = int(max(calls.max(), labels.max())) + 1
    matrix = (labels * num_classes + calls).bincount(minlength=num_classes**2).reshape(num_classes, num_classes)
    sizes = matrix.sum(dim=1)
    there = sizes > 0
    recalls = matrix.diagonal()[there] / sizes[there]
    return [matrix.diagonal().sum() / sizes.sum(), recalls.mean(), sizes.max() / sizes.sum()]


SECOND, ALL_CLASSES = "torch.stack(of_classes).mean()", {"labels.unique()": "range(max(*calls, *labels) + 1)"}
slips = [
    ({SECOND: "correct.mean()"}, "The second is the accuracy again: average class by class."),
    (
        {"correct[labels == label].mean()": "correct[calls == label].mean().nan_to_num()"},
        "The second divides by the calls (precision); divide by the labels.",
    ),
    ({SECOND: "of_classes[-1]"}, "The second is the recall of one class only: average over all."),
    (ALL_CLASSES, "A class without labels gives 0 / 0: leave it out of the average."),
    (ALL_CLASSES | {"() for": "().nan_to_num() for"}, "A class that no label has should not count as missed."),
    ({SECOND: "(sum(of_classes) / 2)"}, "There may be more than two classes: divide by their number."),
    ({"labels.bincount()": "calls.bincount()"}, "The constant is the most common label, not prediction."),
    (
        {"labels.bincount().max() / len(labels)": "1 / torch.tensor(len(labels.unique()))"},
        "The third would be right if all classes were equally common.",
    ),
    ({"bincount().max()": "bincount()[0]"}, "The most common class need not be class 0."),
]
also_wrong = [
    ({"    correct =": "    torch.zeros(int(calls.max()) + 1)[labels]\n    correct ="}, "index 2 is out of bounds"),
]
also_right = [by_a_matrix]
