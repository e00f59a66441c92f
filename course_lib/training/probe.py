"""A head for features that stay as they are."""

from typing import Any

import torch
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler
from torch import nn

from course_lib.arguments import as_labels, as_scores


def linear_probe(features: Any, labels: Any, *, C: float = 0.01) -> nn.Linear:  # noqa: N803  # scikit-learn's name
    """The dense layer (F to K logits) that logistic regression finds, the best there is rather than the last of a loop.

    It regresses on standardized features; the layer that comes back takes them as they are.

    Args:
        features: float (N, F), as `extract_features` gives them.
        labels: integers (N,) or (N, 1), of K classes, 0 to K - 1, each of which must occur.
        C: how much the images count against the penalty on large weights.

    Raises:
        ValueError: a class without images.
    """
    labels = as_labels(labels).cpu()
    wide = (
        as_scores(features, "features", columns=True).double().numpy()
    )  # in float32 scikit-learn 1.8 does not always converge
    scaler = StandardScaler().fit(wide)
    regression = LogisticRegression(C=C, solver="newton-cg", tol=1e-6).fit(scaler.transform(wide), labels.numpy())
    if regression.classes_.tolist() != list(range(len(regression.classes_))):
        raise ValueError(f"the labels are {regression.classes_.tolist()}; each class from 0 on needs an image.")
    weight = torch.from_numpy(regression.coef_ / scaler.scale_).float()
    bias = torch.from_numpy(regression.intercept_).float() - weight @ torch.from_numpy(scaler.mean_).float()
    if len(weight) == 1:  # of two classes scikit-learn gives the difference alone
        weight, bias = torch.cat([-weight, weight]) / 2, torch.cat([-bias, bias]) / 2
    head = nn.Linear(weight.shape[1], len(weight))
    head.load_state_dict({"weight": weight, "bias": bias})
    return head
