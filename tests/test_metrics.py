import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from sklearn import metrics as judge
from sklearn.calibration import calibration_curve
from sklearn.linear_model import LogisticRegression
from torch import Tensor

from course_lib.metrics import (
    Criterion,
    UndefinedMetricWarning,
    binary_auc,
    binary_report,
    choose_threshold,
    confusion,
    fit_temperature,
    fit_temperature_and_bias,
    multiclass_report,
    predictive_values,
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


def test_a_probability_equal_to_the_threshold_means_class_1() -> None:
    report = binary_report([0.25, 0.5], [0, 1], threshold=0.5)
    assert (report.confusion, report.n, report.threshold) == ([[1, 0], [0, 1]], 2, 0.5)


def test_probabilities_near_zero_are_not_taken_for_logits() -> None:
    probs, labels = torch.tensor([1e-9, 2e-9, 3e-9, 0.0]), torch.tensor([0, 1, 1, 0])
    assert binary_report(probs, labels).auc == 1


def test_logits_are_refused() -> None:
    with pytest.raises(ValueError, match=r"found from -1 to 2; apply softmax"):
        binary_report(torch.tensor([-1.0, 2.0]), torch.tensor([0, 1]))
    with pytest.raises(ValueError, match=r"found from 0\.5 to 1\.5; apply softmax"):
        binary_report(torch.tensor([0.5, 1.5]), torch.tensor([0, 1]))


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


def test_calibration_error_of_several_classes_looks_at_the_predicted_one() -> None:
    # Ten images with 0.8 for class 1, half of them of it, and two with 0.9 that are right.
    probs = torch.tensor([[0.1, 0.8, 0.1]] * 10 + [[0.9, 0.05, 0.05], [0.05, 0.05, 0.9]])
    report = multiclass_report(probs, torch.tensor([1] * 5 + [0] * 3 + [2] * 2 + [0, 2]))
    assert report.ece == pytest.approx((10 * 0.3 + 2 * 0.1) / 12, abs=1e-6)
    assert (report.n, report.as_dict()["ece"]) == (12, report.ece)
    # 0.87 and 0.92 are in one of 15 bins, from 13/15 to 14/15; one of them is right.
    probs = torch.tensor([[0.87, 0.13], [0.92, 0.08]])
    assert multiclass_report(probs, torch.tensor([0, 1])).ece == pytest.approx(0.895 - 0.5, abs=1e-6)


def test_rows_that_do_not_sum_to_1_are_refused() -> None:
    with pytest.raises(ValueError, match=r"rows .* sum to 1, found a sum of 1\.5; apply softmax"):
        multiclass_report(torch.tensor([[0.9, 0.6], [0.2, 0.8]]), torch.tensor([0, 1]))


def test_auc_interval_agrees_with_scipys_bootstrap() -> None:
    logits, labels = scored(120)
    probs = logits.sigmoid()
    report = binary_report(probs, labels)

    def auc(sick: np.ndarray, healthy: np.ndarray) -> float:
        return float(judge.roc_auc_score([1] * len(sick) + [0] * len(healthy), [*sick, *healthy]))

    groups = probs[labels == 1].numpy(), probs[labels == 0].numpy()
    drawn = stats.bootstrap(groups, auc, n_resamples=1000, vectorized=False, method="percentile", rng=1)
    assert report.ci95["auc"] == pytest.approx(tuple(drawn.confidence_interval), abs=0.01)


@pytest.mark.parametrize(
    ("probs", "labels", "reason"),
    [
        ([0.2, float("nan")], [0, 1], "AUC is not defined: a probability is NaN or infinite"),
        ([0.2, float("inf")], [0, 1], "AUC is not defined: a probability is NaN or infinite"),
        ([0.2, 0.4], [1, 1], "AUC is not defined: no image of class 0"),
        ([0.2, 0.4], [0, 0], "AUC is not defined: no image of class 1"),
        ([], [], "AUC is not defined: no image of class 0 or 1"),
    ],
)
def test_an_auc_that_is_not_defined_is_nan_and_the_reason_is_told(
    probs: list[float], labels: list[int], reason: str
) -> None:
    with pytest.warns(UndefinedMetricWarning, match=reason):
        assert np.isnan(binary_auc(torch.tensor(probs), torch.tensor(labels)))


def test_auc_counts_the_pairs_in_the_right_order() -> None:
    # Sick at 0.4 and 0.8, healthy at 0.2 and 0.6: three of four pairs; scores that are equal count half.
    assert binary_auc([0.2, 0.6, 0.4, 0.8], [0, 0, 1, 1]) == 0.75
    assert binary_auc([0.5, 0.5], [0, 1]) == 0.5
    with pytest.raises(ValueError, match="probs are 2, and labels 3"):
        binary_auc([0.5, 0.5], [0, 1, 1])


def test_predictive_values_are_those_of_a_crowd_that_is_counted() -> None:
    # Of 1,000 people 100 are sick: 90 of them are found, and 180 of the 900 healthy are called sick.
    assert predictive_values(0.9, 0.8, 0.1) == (pytest.approx(90 / 270), pytest.approx(720 / 730))
    assert predictive_values(0.5, 0.5, 0.5) == (0.5, 0.5)
    never_called_sick = predictive_values(0.0, 1.0, 0.1)
    assert np.isnan(never_called_sick[0])
    assert never_called_sick[1] == pytest.approx(0.9)


@pytest.mark.parametrize(
    ("predicted", "labels", "said"),
    [
        ([0, 3], [0, 1], "predicted run from 0 to 3, but num_classes=3"),
        ([0, 1], [-1, 1], "labels run from -1 to 1, but num_classes=3"),
        ([0, 1, 1], [0, 1], "predicted are 3, and labels 2"),
    ],
)
def test_a_class_outside_of_the_table_and_a_missing_prediction_are_named(
    predicted: list[int], labels: list[int], said: str
) -> None:
    with pytest.raises(ValueError, match=said):
        confusion(predicted, labels, num_classes=3)


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


def test_reliability_agrees_with_scikit_learn() -> None:
    logits, labels = scored()
    probs = logits.sigmoid()
    bins = reliability(probs, labels)
    observed, promised = calibration_curve(labels, probs, n_bins=10)
    assert bins.mean_predicted.tolist() == pytest.approx(promised.tolist())
    assert bins.fraction_positive.tolist() == pytest.approx(observed.tolist())
    assert reliability([0.05, 1.0], [0, 1]).counts.tolist() == [1] + [0] * 8 + [1]
    assert [len(values) for values in reliability([0.05, 0.15], [0, 1])] == [10, 10, 10]


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


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_threshold_tells_neighbors_among_the_numbers_apart(dtype: torch.dtype) -> None:
    low = torch.tensor(0.5, dtype=dtype)
    probs, labels = torch.stack([low, torch.nextafter(low, torch.ones_like(low))]), torch.tensor([0, 1])
    assert (probs >= choose_threshold(probs, labels)).tolist() == [False, True]
    moved = probs + 5e-8  # between two of float32's numbers, nearer to the upper one
    assert (moved >= choose_threshold(moved, labels)).tolist()[1] is True


def test_thresholds_outside_of_the_scores_and_bounds_of_the_target() -> None:
    probs, labels = torch.tensor([0.25, 0.5]), torch.tensor([1, 0])
    assert choose_threshold(probs, labels, criterion="sensitivity", target=1.0) == 0.125  # halfway from 0
    assert choose_threshold(probs, labels, criterion="sensitivity", target=0.0) == 0.375
    for target in (-0.01, 1.01):
        with pytest.raises(ValueError, match="must be a fraction of class 1"):
            choose_threshold(probs, labels, criterion="sensitivity", target=target)
    with pytest.raises(ValueError, match="choose one of: youden, sensitivity"):
        choose_threshold(probs, labels, criterion="f1")


@pytest.mark.parametrize("low", [1e-8, 0.5, 0.9999990])
@pytest.mark.parametrize("criterion", ["youden", "sensitivity"])
def test_scores_that_nearly_agree_are_still_told_apart(low: float, criterion: Criterion) -> None:
    step = 1e-8 if low < 0.1 else 1.2e-7  # about the spacing of float32 there
    probs = torch.tensor([low + step * number for number in range(4)])
    labels = torch.tensor([0, 0, 1, 1])
    threshold = choose_threshold(probs, labels, criterion=criterion)
    assert binary_report(probs, labels, threshold=threshold).balanced_accuracy == 1


@pytest.mark.parametrize(
    ("logits", "labels", "said"),
    [
        ([[0.0, float("nan")]], [0], "logits must be finite numbers of at least one image"),
        (torch.zeros(0, 2), [], "logits must be finite numbers of at least one image"),
        ([[0.0, 1.0]], [2], "labels run from 2 to 2, but logits have 2 columns"),
        ([[0.0, 1.0]], [-1], "labels run from -1 to -1, but logits have 2 columns"),
        ([[0.0, 1.0]], [0, 1], "logits are 1, and labels 2"),
        ([[0.0, 1.0, 2.0]], [0], "logits have 3 columns; a bias is fitted for two classes only"),
    ],
)
def test_logits_without_a_fit_are_told_apart(logits: object, labels: list[int], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        fit_temperature_and_bias(logits, torch.tensor(labels, dtype=torch.long))


def test_perfect_separation_does_not_make_probabilities_infinitely_sure() -> None:
    logits = torch.tensor([[3.0, 0.0], [2.0, 0.0], [0.0, 2.0], [0.0, 3.0]])
    labels = torch.tensor([0, 0, 1, 1])
    assert 0.19 < fit_temperature(logits, labels) < 0.21
    assert fit_temperature_and_bias(logits, labels)[0] == pytest.approx(0.2)
    assert fit_temperature_and_bias(logits, 1 - labels)[0] == pytest.approx(20)


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
    both = torch.stack([torch.full((2000,), 5.0).double(), margin + 5], dim=1)
    assert fit_temperature_and_bias(both, labels) == (
        pytest.approx(temperature, rel=1e-3),
        pytest.approx(bias, abs=1e-3),
    )


def test_temperature_lowers_the_calibration_error_of_a_network_that_is_too_sure() -> None:
    logits, labels = scored(4000, spread=4)
    two = torch.stack([torch.zeros_like(logits), logits], dim=1)
    before = binary_report(two.softmax(dim=1)[:, 1], labels)
    after = binary_report((two / fit_temperature(two, labels)).softmax(dim=1)[:, 1], labels)
    assert after.ece < before.ece / 3
    assert after.auc == pytest.approx(before.auc)
