import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from course_lib import metrics
from course_lib.arguments import as_labels, as_scores
from course_lib.data import ImageSet

PROBS, LABELS = [0.125, 0.625, 0.375, 0.875], [0, 0, 1, 1]
KINDS: list[Callable[[list[Any]], Any]] = [
    list,
    tuple,
    np.array,
    lambda values: np.array(values)[:, None],
    lambda values: np.array(values[::-1])[::-1],
    lambda values: np.array(values).astype(np.array(values).dtype.newbyteorder(">")),
    torch.tensor,
    lambda values: torch.tensor(values)[:, None],
]
INTEGERS = [torch.bool, torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64, torch.uint16]


@pytest.mark.parametrize("kind", KINDS)
def test_scores_are_the_same_of_tensors_arrays_and_lists_of_either_shape(kind: Callable[[list[Any]], Any]) -> None:
    probs, labels = torch.tensor(PROBS), torch.tensor(LABELS)
    assert metrics.binary_report(kind(PROBS), kind(LABELS)) == metrics.binary_report(probs, labels)
    assert metrics.binary_auc(kind(PROBS), kind(LABELS)) == metrics.binary_auc(probs, labels) == 0.75
    assert metrics.choose_threshold(kind(PROBS), kind(LABELS)) == metrics.choose_threshold(probs, labels)
    assert torch.equal(metrics.confusion(kind(LABELS), kind(LABELS), num_classes=2), torch.eye(2).long() * 2)
    assert torch.equal(metrics.reliability(kind(PROBS), kind(LABELS)).counts, metrics.reliability(probs, labels).counts)
    columns = np.stack([1 - np.array(PROBS), PROBS], axis=1)
    assert metrics.multiclass_report(columns.tolist(), kind(LABELS)).auc == pytest.approx(0.75)
    assert metrics.fit_temperature(np.log(columns), kind(LABELS)) > 0.2


@pytest.mark.parametrize("dtype", INTEGERS)
def test_labels_of_any_integer_kind_are_labels(dtype: torch.dtype) -> None:
    labels = torch.tensor(LABELS).to(dtype)
    assert as_labels(labels[:, None]).tolist() == LABELS
    assert metrics.binary_report(PROBS, labels).auc == 0.75
    images = torch.zeros(4, 1, 8, 8, dtype=torch.uint8)
    made = ImageSet(images.numpy(), labels[:, None], ["a", "b"], list("wxyz"), "zeros", "none")  # type: ignore[arg-type]
    assert (made.labels.dtype, made.counts(), made.groups) == (torch.int64, {"a": 2, "b": 2}, tuple("wxyz"))


def test_probabilities_with_gradients_or_of_half_precision_are_scored() -> None:
    for probs in (torch.tensor(PROBS, requires_grad=True), torch.tensor(PROBS, dtype=torch.bfloat16)):
        assert metrics.binary_report(probs, LABELS).auc == 0.75


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: metrics.binary_report(PROBS, [0.0, 0.0, 1.0, 1.0]), "labels must be whole numbers"),
        (lambda: metrics.binary_report(PROBS, ["a", "a", "b", "b"]), "labels must be numbers, as a tensor"),
        (lambda: metrics.binary_report(PROBS, None), "labels must be numbers"),
        (
            lambda: metrics.binary_report(PROBS, np.eye(4, dtype=int)),
            "labels must have shape (N,) or (N, 1), got (4, 4)",
        ),
        (lambda: metrics.binary_report(np.ones((4, 2)) / 2, LABELS), "probs must have shape (N,), one for each image"),
        (lambda: metrics.binary_report(PROBS, [0, 0, 1, -1]), "labels must be class indices from 0, found -1"),
        (lambda: metrics.binary_report(PROBS, LABELS[:3]), "probs are 4, and labels 3"),
        (lambda: metrics.binary_auc(PROBS, LABELS[:3]), "probs are 4, and labels 3"),
        (lambda: metrics.multiclass_report(PROBS, LABELS), "probs must have shape (N, C), a column for each class"),
        (lambda: metrics.confusion([0, 3], [0, 1], num_classes=2), "predicted run from 0 to 3, but num_classes=2"),
        (lambda: metrics.fit_temperature([[0.0, np.nan]], [1]), "logits must be finite numbers"),
        (lambda: metrics.fit_temperature([[0.0, 1.0]], [2]), "labels run from 2 to 2, but logits have 2 columns"),
        (lambda: metrics.binary_report(PROBS, LABELS, threshold=float("nan")), "threshold must be a number, got nan"),
        (
            lambda: metrics.choose_threshold(PROBS, LABELS, criterion="f1"),  # type: ignore[arg-type]
            "criterion 'f1' is not known; choose one of: youden, sensitivity",
        ),
        (lambda: metrics.choose_threshold(PROBS, LABELS, target=95), "target=95 must be a fraction"),
        (lambda: as_scores("many"), "probs must be numbers"),
    ],
)
def test_what_does_not_fit_is_named_by_its_argument(call: Callable[[], object], said: str) -> None:
    with pytest.raises((TypeError, ValueError), match=re.escape(said)):
        call()


@pytest.mark.parametrize(
    ("probs", "labels", "reason"),
    [
        ([0.1, 0.2], [0, 0], "no image of class 1"),
        ([0.1, 0.2], [1, 1], "no image of class 0"),
        ([], [], "no image of class 0 or 1"),
        ([0.1, float("nan")], [0, 1], "a probability is NaN or infinite"),
    ],
)
def test_an_auc_that_is_not_defined_is_nan_and_says_why(probs: list[float], labels: list[int], reason: str) -> None:
    with pytest.warns(metrics.UndefinedMetricWarning, match=f"AUC is not defined: {reason}"):
        auc = metrics.binary_auc(torch.tensor(probs), torch.tensor(labels, dtype=torch.long))
    assert np.isnan(auc)
