import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as judge
from sklearn.linear_model import LogisticRegression
from torch import Tensor

from course_lib.metrics import (
    Criterion,
    binary_report,
    choose_threshold,
    confusion,
    fit_temperature,
    fit_temperature_and_bias,
    multiclass_report,
    reliability,
    roc_points,
)


def scored(count: int = 400, *, seed: int = 0, spread: float = 1.0) -> tuple[Tensor, Tensor]:
    """Calibrated logits of class 1 and labels drawn from them."""
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(count, generator=generator) * 2
    labels = (torch.rand(count, generator=generator) < logits.sigmoid()).long()
    return logits * spread, labels


@pytest.mark.parametrize("threshold", [0.2, 0.5, 0.9])
def test_binary_report_agrees_with_scikit_learn(threshold: float) -> None:
    logits, labels = scored()
    probs = logits.sigmoid()
    report = binary_report(probs, labels, threshold=threshold)
    called = (probs >= threshold).long()
    assert report.confusion == judge.confusion_matrix(labels, called).tolist()
    assert report.accuracy == pytest.approx(judge.accuracy_score(labels, called))
    assert report.balanced_accuracy == pytest.approx(judge.balanced_accuracy_score(labels, called))
    assert report.sensitivity == pytest.approx(judge.recall_score(labels, called))
    assert report.specificity == pytest.approx(judge.recall_score(labels, called, pos_label=0))
    assert report.auc == pytest.approx(judge.roc_auc_score(labels, probs))


def test_roc_points_are_points_of_scikit_learns_curve_and_keep_its_area() -> None:
    logits, labels = scored(2000)
    probs = logits.sigmoid()
    alarms, found, _ = judge.roc_curve(labels, probs, drop_intermediate=False)
    thinned = roc_points(probs, labels)
    assert 50 <= len(thinned.false_positive_rate) <= 60
    pairs = zip(*(values.tolist() for values in thinned), strict=True)
    whole = np.stack([alarms, found], axis=1)
    assert all(np.abs(whole - pair).max(axis=1).min() < 1e-6 for pair in pairs)
    assert judge.auc(*thinned) == pytest.approx(judge.roc_auc_score(labels, probs), abs=0.002)
    few = roc_points(probs[:20], labels[:20])
    assert judge.auc(*few) == pytest.approx(judge.roc_auc_score(labels[:20], probs[:20]))


def test_probabilities_near_zero_are_not_taken_for_logits() -> None:
    probs, labels = torch.tensor([1e-9, 2e-9, 3e-9, 0.0]), torch.tensor([0, 1, 1, 0])
    assert binary_report(probs, labels).auc == 1


def test_logits_are_refused() -> None:
    with pytest.raises(ValueError, match=r"found from -1 to 2; apply softmax"):
        binary_report(torch.tensor([-1.0, 2.0]), torch.tensor([0, 1]))


def test_an_absent_class_is_named() -> None:
    with pytest.raises(ValueError, match=r"every one of 2 classes must occur, found counts \[0, 2\]"):
        binary_report(torch.tensor([0.1, 0.2]), torch.tensor([1, 1]))


def test_wilson_interval_of_a_published_example() -> None:
    # Newcombe 1998, table I, 81 of 263: Wilson without continuity correction gives 0.2553 to 0.3662.
    labels = torch.cat([torch.ones(263), torch.zeros(10)]).long()
    probs = torch.cat(
        [
            torch.ones(81),
            torch.zeros(192),
        ]
    ).float()
    low, high = binary_report(probs, labels).ci95["sensitivity"]
    assert (round(low, 4), round(high, 4)) == (0.2553, 0.3662)


def test_auc_interval_covers_the_true_auc_about_as_often_as_it_says() -> None:
    # Two normals one unit apart have AUC Phi(1 / sqrt 2) = 0.7602.
    inside = 0
    for seed in range(60):
        generator = np.random.default_rng(seed)
        scores = np.concatenate([generator.normal(0, 1, 60), generator.normal(1, 1, 60)])
        labels = torch.cat([torch.zeros(60), torch.ones(60)]).long()
        low, high = binary_report(torch.from_numpy(scores).sigmoid(), labels).ci95["auc"]
        inside += low <= 0.7602 <= high
    assert 51 <= inside <= 60  # 57 expected; fewer than 51 has probability below 0.01


def test_auc_interval_holds_the_middle_95_percent_of_scikit_learns_auc_on_its_draws() -> None:
    logits, labels = scored(80)
    generator = torch.Generator().manual_seed(0)
    own = [(labels == label).nonzero().squeeze(1) for label in (0, 1)]
    drawn = [each[torch.randint(len(each), (1000, len(each)), generator=generator)] for each in own]
    areas = [judge.roc_auc_score(labels[rows], logits[rows]) for rows in torch.cat(drawn, dim=1)]
    expected = np.quantile(areas, [0.025, 0.975])
    assert binary_report(logits.sigmoid(), labels).ci95["auc"] == pytest.approx(tuple(expected), abs=1e-9)


def test_intervals_hold_their_scores_and_are_repeatable() -> None:
    logits, labels = scored()
    report = binary_report(logits.sigmoid(), labels)
    assert report == binary_report(logits.sigmoid(), labels)
    for name, (low, high) in report.ci95.items():
        assert low < getattr(report, name) < high


def test_multiclass_report_agrees_with_scikit_learn() -> None:
    generator = torch.Generator().manual_seed(1)
    labels = torch.randint(4, (300,), generator=generator)
    probs = (torch.randn(300, 4, generator=generator) + 1.5 * torch.eye(4)[labels]).softmax(dim=1)
    report = multiclass_report(probs, labels)
    called = probs.argmax(dim=1)
    assert report.confusion == judge.confusion_matrix(labels, called).tolist()
    assert report.accuracy == pytest.approx(judge.accuracy_score(labels, called))
    assert report.balanced_accuracy == pytest.approx(judge.balanced_accuracy_score(labels, called))
    assert report.auc == pytest.approx(judge.roc_auc_score(labels, probs, multi_class="ovr"), abs=1e-6)
    for name in ("accuracy", "balanced_accuracy", "auc"):
        low, high = report.ci95[name]
        assert low < getattr(report, name) < high


def test_confusion_has_true_classes_in_rows() -> None:
    assert confusion(torch.tensor([1, 1]), torch.tensor([0, 2]), num_classes=3).tolist() == [
        [0, 1, 0], [0, 0, 0], [0, 1, 0],
    ]  # fmt: skip


def test_calibration_error_by_hand() -> None:
    # Ten images of probability 0.8, five of them sick: predicted 0.8, and 0.5 of them positive.
    probs, labels = torch.full((10,), 0.8), torch.tensor([0, 1] * 5)
    assert binary_report(probs, labels).ece == pytest.approx(0.3, abs=1e-6)
    bins = reliability(probs, labels, num_bins=5)
    assert bins.counts.tolist() == [0, 0, 0, 0, 10]
    assert (float(bins.mean_predicted[4]), float(bins.fraction_positive[4])) == (pytest.approx(0.8), 0.5)
    assert bool(bins.mean_predicted[:4].isnan().all())


@settings(max_examples=100, deadline=None)
@given(data=st.lists(st.tuples(st.integers(0, 20), st.booleans()), min_size=2, max_size=30))
def test_youden_finds_the_best_of_all_thresholds(data: list[tuple[int, bool]]) -> None:
    labels = torch.tensor([int(sick) for _, sick in data])
    if len(labels.unique()) < 2:
        return
    probs = torch.tensor([score / 20 for score, _ in data], dtype=torch.float64)

    def youden(threshold: float) -> float:
        called = probs >= threshold
        return float(called[labels == 1].double().mean() - called[labels == 0].double().mean())

    best = max(youden(threshold) for threshold in [*probs.tolist(), 1.1])
    assert youden(choose_threshold(probs, labels)) == pytest.approx(best)


def test_the_sensitivity_criterion_takes_the_highest_threshold_that_reaches_the_target() -> None:
    probs = torch.tensor([0.05, 0.3, 0.55, 0.6, 0.7, 0.8, 0.9])
    labels = torch.tensor([0, 0, 1, 0, 1, 1, 1])
    assert choose_threshold(probs, labels, criterion="sensitivity", target=0.75) == pytest.approx(0.65)
    assert choose_threshold(probs, labels, criterion="sensitivity", target=1.0) == pytest.approx(0.425)


@pytest.mark.parametrize("low", [1e-8, 0.5, 0.9999990])
@pytest.mark.parametrize("criterion", ["youden", "sensitivity"])
def test_scores_that_nearly_agree_are_still_told_apart(low: float, criterion: Criterion) -> None:
    step = 1e-8 if low < 0.1 else 1.2e-7  # about the spacing of float32 there
    probs = torch.tensor([low + step * number for number in range(4)])
    labels = torch.tensor([0, 0, 1, 1])
    threshold = choose_threshold(probs, labels, criterion=criterion)
    assert binary_report(probs, labels, threshold=threshold).balanced_accuracy == 1


def test_perfect_separation_does_not_make_probabilities_infinitely_sure() -> None:
    logits = torch.tensor([[3.0, 0.0], [2.0, 0.0], [0.0, 2.0], [0.0, 3.0]])
    assert 0.19 < fit_temperature(logits, torch.tensor([0, 0, 1, 1])) < 0.21


def test_a_perfect_score_on_few_images_is_not_certain() -> None:
    report = binary_report(torch.tensor([0.1] * 6 + [0.9] * 6), torch.tensor([0] * 6 + [1] * 6))
    # Wilson for 6 of 6 starts at 0.6097; the mean of two such recalls falls short by 0.3903 * sqrt(2) / 2.
    assert report.ci95["balanced_accuracy"] == (pytest.approx(1 - 0.3903 / 2**0.5, abs=1e-3), 1)


@pytest.mark.parametrize("spread", [0.6, 1.0, 3.0, 8.0])
def test_temperature_recovers_the_factor_by_which_logits_were_stretched(spread: float) -> None:
    logits, labels = scored(8000, spread=spread)
    two = torch.stack([torch.zeros_like(logits), logits], dim=1)
    assert fit_temperature(two, labels) == pytest.approx(spread, rel=0.06)


@pytest.mark.parametrize("moved", [-2.0, 0.0, 1.5])
def test_temperature_and_bias_are_those_of_scikit_learns_logistic_regression(moved: float) -> None:
    drawn = torch.Generator().manual_seed(0)
    margin = 3 * torch.randn(2000, generator=drawn).double()
    labels = (torch.rand(2000, generator=drawn) < (margin / 2 + moved).sigmoid()).long()
    temperature, bias = fit_temperature_and_bias(torch.stack([torch.zeros(2000).double(), margin], dim=1), labels)
    regression = LogisticRegression(C=float("inf")).fit(margin[:, None].numpy(), labels.numpy())
    assert 1 / temperature == pytest.approx(regression.coef_.item(), rel=1e-3)
    assert bias == pytest.approx(regression.intercept_.item(), abs=1e-3)


def test_temperature_lowers_the_calibration_error_of_a_network_that_is_too_sure() -> None:
    logits, labels = scored(4000, spread=4)
    two = torch.stack([torch.zeros_like(logits), logits], dim=1)
    before = binary_report(two.softmax(dim=1)[:, 1], labels)
    after = binary_report((two / fit_temperature(two, labels)).softmax(dim=1)[:, 1], labels)
    assert after.ece < before.ece / 3
    assert after.auc == pytest.approx(before.auc)
