"""What must hold in every record of course_lib/real_results, by other programs' rules than the course's own.

Each function returns sentences that say what is wrong. They are asked about the stored records, and about records with
a planted fault.
"""

import math
import re
from collections.abc import Iterator
from datetime import date
from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np
from scipy.stats import binomtest
from sklearn import metrics as judge

from course_lib.real_results import Record

DIGITS = 1e-4  # records hold five digits
Values = dict[str, Any]


def faults(record: Record, text: Values) -> list[str]:
    """All that is wrong with a record; `text` is its entry in lesson_N.toml."""
    of_kind = {
        "audit": audit_faults,
        "confusion": confusion_faults,
        "counts": counts_faults,
        "curves": curves_faults,
        "draws": draws_faults,
        "roc": roc_faults,
        "scores": scores_faults,
        "seeds": partial(seeds_faults, title=text["title"]),
    }[record.kind]
    return [f"{record.key}: {fault}" for fault in (*label_faults(record, text), *of_kind(record))]


def label_faults(record: Record, text: Values) -> Iterator[str]:
    if record.data not in ("chest X-rays", "CIFAR-10"):
        yield f"{record.data} is no set of real images"
    if not (record.n > 0 and 16 <= record.pixels <= 1024 and record.split):
        yield "n, pixels and split must say which images were scored"
    if (record.kind, record.split, record.seeds) != (text["kind"], text["split"], text.get("seeds", [])):
        yield "kind, split or seeds are others than the lesson's toml has"
    if not re.fullmatch(r"[\w./ -]+", record.command) or re.search(r"(^| )[/~]", record.command):
        yield f"the command {record.command!r} names a folder of one machine, or is none"
    numbered = all(re.match(r"\d+\.\d+", version) for version in record.versions.values())
    if set(record.versions) != {"course", "torch"} or not numbered:
        yield "versions of course and torch are missing"
    if date.fromisoformat(record.date) < date(2026, 1, 1):
        yield f"{record.date} is a date before the course was there"
    if not all(math.isfinite(number) for number in numbers(record.values)):
        yield "not every number is finite"


def numbers(values: Any) -> Iterator[float]:
    """Every number in a record's values."""
    if isinstance(values, dict | list):
        for value in values.values() if isinstance(values, dict) else values:
            yield from numbers(value)
    elif isinstance(values, int | float):
        yield values


def differs(name: str, stored: float, again: float, tolerance: float = DIGITS) -> Iterator[str]:
    if not abs(stored - again) <= tolerance:
        yield f"{name} is {stored}, recomputed {again:.5f}"


def told(confusion: list[list[int]]) -> tuple[np.ndarray, np.ndarray]:
    """Labels and predictions, image by image, that give this confusion matrix."""
    counts = np.array(confusion)
    true, predicted = np.indices(counts.shape)
    return np.repeat(true.ravel(), counts.ravel()), np.repeat(predicted.ravel(), counts.ravel())


def wilson(hits: int, trials: int) -> tuple[float, float]:
    return tuple(binomtest(int(hits), int(trials)).proportion_ci(0.95, method="wilson"))


def mean_recall_interval(confusion: list[list[int]]) -> tuple[float, float]:
    """Zou and Donner 2008, formula 3 for a mean: distances of the bounds add up as squares."""
    hits, totals = np.diag(confusion), np.sum(confusion, axis=1)
    bounds = np.array([wilson(hit, total) for hit, total in zip(hits, totals, strict=True)])
    recalls = hits / totals
    below, above = np.sqrt(((bounds - recalls[:, None]) ** 2).sum(axis=0)) / len(recalls)
    return recalls.mean() - below, recalls.mean() + above


def scores_faults(record: Record) -> Iterator[str]:
    reports = record.values["reports"]
    scored = [report["n"] for report in reports.values()]
    if record.n not in {sum(scored), *(scored if len(set(scored)) == 1 else ())}:
        yield f"n is {record.n}, but the reports are of {scored} images"
    for name, report in reports.items():
        yield from (f"{name}: {fault}" for fault in report_faults(report))


def report_faults(report: Values) -> Iterator[str]:
    confusion, ci95 = report["confusion"], report["ci95"]
    labels, predicted = told(confusion)
    yield from differs("n", report["n"], len(labels), 0)
    again = {
        "accuracy": judge.accuracy_score(labels, predicted),
        "balanced_accuracy": judge.balanced_accuracy_score(labels, predicted),
    }
    (right, images) = int(np.trace(confusion)), len(labels)
    intervals = {"accuracy": wilson(right, images), "balanced_accuracy": mean_recall_interval(confusion)}
    if "sensitivity" in report:
        for name, label in (("specificity", 0), ("sensitivity", 1)):
            again[name] = judge.recall_score(labels, predicted, pos_label=label)
            intervals[name] = wilson(confusion[label][label], sum(confusion[label]))
    for name, value in again.items():
        yield from differs(name, report[name], value)
        for bound, stored, computed in zip(("low", "high"), ci95[name], intervals[name], strict=True):
            yield from differs(f"the {bound} bound of {name}", stored, computed)
    if not all(low <= report[name] <= high for name, (low, high) in ci95.items()):
        yield "an interval does not hold its value"
    if set(ci95) != {*again, "auc"} or not all(0 <= report[name] <= 1 for name in ("auc", "ece")):
        yield "AUC or calibration error are no fractions, or an interval is missing"


def roc_faults(record: Record) -> Iterator[str]:
    for name, curve in record.values.items():
        alarms, found = curve["false_positive_rate"], curve["true_positive_rate"]
        ends = (alarms[0], found[0], alarms[-1], found[-1])
        rises = all(a <= b for values in (alarms, found) for a, b in pairwise(values))
        if ends != (0, 0, 1, 1) or not rises or not 3 <= len(alarms) <= 60:
            yield f"{name}: no ROC curve of 3 to 60 points from (0, 0) to (1, 1)"
        else:  # thinned, so the trapezoids cut corners
            yield from differs(f"{name}: AUC", curve["auc"], judge.auc(alarms, found), 0.005)


def confusion_faults(record: Record) -> Iterator[str]:
    confusion = np.array(record.values["confusion"])
    if confusion.shape != (len(record.values["classes"]),) * 2 or confusion.min() < 0:
        yield "the matrix has another shape than the list of classes"
    yield from differs("n", record.n, confusion.sum(), 0)


def counts_faults(record: Record) -> Iterator[str]:
    yield from differs("n", record.n, sum(sum(counts.values()) for counts in record.values.values()), 0)


def audit_faults(record: Record) -> Iterator[str]:
    audit = record.values
    yield from differs("n", record.n, sum(sum(counts.values()) for counts in audit["counts"].values()), 0)
    for split, counts in audit["counts"].items():
        if not 0 < audit["groups"][split] <= sum(counts.values()) >= audit["duplicates_within"][split] != 1:
            yield f"{split}: more patients or duplicates than images"
        if audit["size_auc"][split] is not None and not 0 <= audit["size_auc"][split] <= 1:
            yield f"{split}: an AUC outside 0 to 1"
    for pair, shared in audit["shared_groups"].items():
        if not 0 <= shared <= min(audit["groups"][split] for split in pair.split(" and ")):
            yield f"{pair}: more patients in both than in one"


def curves_faults(record: Record) -> Iterator[str]:
    for name, curve in record.values.items():
        if not len(curve["x"]) == len(curve["y"]) > 1 or any(a > b for a, b in pairwise(curve["x"])):
            yield f"{name}: x must rise, with a y for each"
        if min(curve["y"]) < 0:
            yield f"{name}: a loss, an accuracy or a probability below 0"


def draws_faults(record: Record) -> Iterator[str]:
    for name, of_name in record.values.items():
        if len(of_name["x"]) != len(of_name["draws"]) or any(a >= b for a, b in pairwise(of_name["x"])):
            yield f"{name}: x must rise, with draws for each"
        for scores in of_name["draws"]:
            yield from score_faults(name, scores, record.seeds)


def seeds_faults(record: Record, title: str) -> Iterator[str]:
    for name, scores in record.values.items():
        unbounded = re.search(r"loss|minutes|memory in GB", f"{title} {name}")
        yield from score_faults(name, scores, record.seeds, most=math.inf if unbounded else 1)


def score_faults(name: str, scores: list[float], seeds: list[int], most: float = 1) -> Iterator[str]:
    if len(scores) != len(seeds) or not all(0 <= score <= most for score in scores):
        kind = "fraction" if most == 1 else "number from 0 up"
        yield f"{name}: {scores} are not a {kind} for each of the seeds {seeds}"
