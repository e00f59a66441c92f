"""The explorer of a threshold without a browser: its first sentence is true, its faults are sentences."""

import numpy as np
import pytest
import torch
from sklearn.metrics import confusion_matrix

from course_lib.widgets import threshold_explorer

PROBS, LABELS = torch.tensor([0.2, 0.5, 0.6, 0.9]), torch.tensor([0, 0, 1, 1])


def test_its_first_sentence_is_scikit_learns() -> None:
    generator = torch.Generator().manual_seed(1)
    labels, probs = torch.randint(0, 2, (60,), generator=generator), torch.rand(60, generator=generator)
    (tn, fp), (fn, tp) = confusion_matrix(labels, probs >= 0.5)
    said = threshold_explorer(probs, labels).summary
    assert f"of {tp + fn} sick, {tp} are predicted sick (sensitivity {tp / (tp + fn):.4g})" in said
    assert f"of {tn + fp} healthy, {tn} are predicted healthy (specificity {tn / (tn + fp):.4g})" in said


def test_each_float32_is_kept_exactly_in_few_digits() -> None:
    probs = torch.rand(1500, generator=torch.Generator().manual_seed(0))
    page = threshold_explorer(probs, torch.arange(1500) % 2)
    kept = np.array(page.state["scores"]["values"])
    assert (kept.astype(np.float32) == probs.unique().numpy()).all()
    assert len(page.html()) < 100_000


def test_no_more_values_than_a_page_holds_are_kept_and_the_page_says_so() -> None:
    probs = torch.rand(50_000, generator=torch.Generator().manual_seed(0))
    page = threshold_explorer(probs, torch.arange(50_000) % 2)
    assert len(page.state["scores"]["values"]) <= 1001
    assert page.state["note"].startswith("The 50,000 probabilities are counted in steps of 0.001")
    assert "note" not in threshold_explorer().state


def test_the_same_call_gives_the_same_bytes_and_a_picture_for_where_no_script_runs() -> None:
    page = threshold_explorer()
    assert page.html() == threshold_explorer().html()
    assert '<img src="data:image/png;base64,' in page.still
    assert page.summary in page.still


@pytest.mark.parametrize(
    ("probs", "labels", "message"),
    [
        (PROBS, None, "expected probs and labels, got probs alone; give labels too"),
        (None, LABELS, "expected probs and labels, got labels alone; give probs too"),
        (PROBS[:, None], LABELS, r"expected probs of shape \(N,\), got \(4, 1\); give probs.flatten\(\)"),
        (PROBS[:, None].expand(4, 2), LABELS, r"expected probs of shape \(N,\), got \(4, 2\); give probs\[:, 1\]"),
        (PROBS, LABELS[:, None], r"expected labels of shape \(N,\), got \(4, 1\); give labels.flatten\(\)"),
        (PROBS, LABELS[:3], "as many labels as probs, got 3 labels for 4 probs; give one label for each"),
        (LABELS, LABELS, "expected probs as floats, got torch.int64; give probabilities"),
        (PROBS * 4 - 2, LABELS, r"expected probs in 0..1, got -1.2 \(2 such of 4\); apply softmax"),
        (PROBS.log() * torch.nan, LABELS, r"expected probs in 0..1, got nan \(4 such of 4\)"),
        (PROBS, LABELS * 0, "expected labels with 0 .* and 1 .*, both present, got 0; give images of both classes"),
        (PROBS, LABELS + 1, "expected labels with 0 .* and 1 .*, got 1, 2; give"),
        (PROBS[:0], LABELS[:0], "got none; give images of both classes"),
    ],
)
def test_what_does_not_fit_is_said_with_what_arrived_and_what_to_do(
    probs: torch.Tensor | None, labels: torch.Tensor | None, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        threshold_explorer(probs, labels)
