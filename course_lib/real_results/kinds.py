"""The kinds of results: what a cell hands over, what is kept of it, and how it is shown.

A kind has two functions. `values` makes numbers by name of what was found, and gets the names of the classes. `show`
makes tables and drawings of such values; it gets them by their source, the recorded ones first, and the result's text.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from typing import Any, NamedTuple

from matplotlib.figure import Figure

from course_lib.metrics import binary_auc, roc_points, wilson_interval
from course_lib.plots import plot_confusion, plot_curve_panels
from course_lib.tables import Table

Values = Mapping[str, Any]
Text = Mapping[str, Any]
BySource = Mapping[str, Values]
Rows = list[list[str]]
LARGE = 5  # from here on one digit after the point is enough: minutes, gigabytes
SCORES = {
    "auc": "AUC",
    "balanced_accuracy": "balanced accuracy",
    "accuracy": "accuracy",
    "sensitivity": "sensitivity",
    "specificity": "specificity",
    "ece": "calibration error (ECE)",
    "threshold": "threshold",
}


class Drawing(NamedTuple):
    """A figure, and in words what is on it."""

    figure: Figure
    alt: str


class Kind(NamedTuple):
    values: Callable[[Any, Sequence[str]], Values]
    show: Callable[[BySource, Text], list[Table | Drawing]]


def number(value: float | None) -> str:
    if value is None:
        return "not known"
    if isinstance(value, int):
        return f"{value:,}"
    return f"{value:.3f}" if abs(value) < LARGE else f"{value:.1f}"


def with_interval(value: float, interval: Sequence[float] | None) -> str:
    return number(float(value)) + (f" [{interval[0]:.3f}, {interval[1]:.3f}]" if interval else "")


def table(by_source: BySource, text: Text, columns: Sequence[str], rows: Callable[[Values], Rows]) -> Table:
    """The rows of each source below its name."""
    return Table(text["title"], columns, [row for source in by_source for row in ([source], *rows(by_source[source]))])


def first(values: Mapping[str, Any]) -> Any:
    return next(iter(values.values()))


# audit: a SplitAudit


def audit_values(audit: Any, classes: Sequence[str]) -> Values:
    return asdict(audit)


def show_audit(by_source: BySource, text: Text) -> list[Table | Drawing]:
    splits = list(first(by_source)["counts"])

    def rows(audit: Values) -> Rows:
        lines = {name: {split: audit["counts"][split][name] for split in splits} for name in first(audit["counts"])}
        lines |= {"patients": audit["groups"], "duplicates": audit["duplicates_within"]}
        lines |= {"AUC of the files' size alone": audit["size_auc"]}
        lines |= {"AUC of width over height alone": audit["shape_auc"]}
        pairs = [[f"patients in both {pair}", number(count)] for pair, count in audit["shared_groups"].items()]
        blank = [""] * (len(splits) - 1)
        return [[name, *(number(line[split]) for split in splits)] for name, line in lines.items()] + [
            [name, *blank, count] for name, count in pairs
        ]

    return [table(by_source, text, ["", *splits], rows)]


# counts: images of each class by split


def counts_values(by_split: Mapping[str, Mapping[str, int]], classes: Sequence[str]) -> Values:
    return {split: dict(counts) for split, counts in by_split.items()}


def show_counts(by_source: BySource, text: Text) -> list[Table | Drawing]:
    def rows(by_split: Values) -> Rows:
        return [
            [split, *map(number, counts.values()), max(counts, key=counts.__getitem__), number(largest_share(counts))]
            for split, counts in by_split.items()
        ]

    columns = ["", *first(first(by_source)), "always the answer", "is right in"]
    return [table(by_source, text, columns, rows)]


def largest_share(counts: Mapping[str, int]) -> float:
    return max(counts.values()) / sum(counts.values())


# scores: reports of course_lib.metrics by name


def scores_values(reports: Any, classes: Sequence[str]) -> Values:
    return {"classes": list(classes), "reports": {name: report.as_dict() for name, report in reports.items()}}


def show_scores(by_source: BySource, text: Text) -> list[Table | Drawing]:
    def rows(values: Values) -> Rows:
        reports, classes = list(values["reports"].values()), values["classes"]
        names = [name for name in text.get("scores", SCORES) if name in reports[0]]
        lines = [
            [SCORES[name], *(with_interval(report[name], report["ci95"].get(name)) for report in reports)]
            for name in names
        ]
        matrices = [report["confusion"] for report in reports]
        if "threshold" in names:
            lines += [
                [
                    f"{classes[true]} taken for {classes[not true]}",
                    *(f"{m[true][not true]} of {sum(m[true])}" for m in matrices),
                ]
                for true in (1, 0)
            ]
        totals = [dict(zip(classes, map(sum, matrix), strict=True)) for matrix in matrices]
        always = f"accuracy of always {max(totals[0], key=totals[0].__getitem__)}"
        return [*lines, [always, *(number(largest_share(of_class)) for of_class in totals)]]

    return [table(by_source, text, ["", *first(by_source)["reports"]], rows)]


# curves: x and y by name


def curves_values(curves: Mapping[str, Any], classes: Sequence[str]) -> Values:
    return {name: {"x": list(x), "y": list(y)} for name, (x, y) in curves.items()}


def show_curves(by_source: BySource, text: Text) -> list[Table | Drawing]:
    panels = {
        source: {name: (curve["x"], curve["y"]) for name, curve in curves.items()}
        for source, curves in by_source.items()
    }
    return [draw(panels, text)]


def draw(panels: Mapping[str, Any], text: Text, ranges: Mapping[str, Any] | None = None) -> Drawing:
    look = {name: text[name] for name in ("title", "xlabel", "ylabel", "log_x", "ylim") if name in text}
    figure = plot_curve_panels(panels, **look, ranges=ranges)
    summary = "; ".join(
        f"{name} from {y[0]:.2f} at {x[0]:g} to {y[-1]:.2f} at {x[-1]:g}" for name, (x, y) in first(panels).items()
    )
    axes = f"{text['ylabel']} against {text['xlabel']}"
    return Drawing(figure, f"{text['title']}: {axes}, {sources_in_words(panels, summary)}")


def sources_in_words(by_source: Mapping[str, Any], summary: str) -> str:
    """What is said of the first source, which is what is recorded, and that others stand beside it.

    The numbers of the others are not said: a saved page is compared word by word, and on another machine a training
    differs in the last digits.
    """
    first_source, *others = by_source
    return f"{first_source}: {summary}." + "".join(f" Beside it: {other}." for other in others)


# draws: by name and by a number such as that of labeled images, the scores of several draws


def draws_values(draws: Mapping[tuple[str, int], Sequence[float]], classes: Sequence[str]) -> Values:
    values: dict[str, dict[str, list[Any]]] = {}
    for (name, x), scores in draws.items():
        of_name = values.setdefault(name, {"x": [], "draws": []})
        of_name["x"].append(x)
        of_name["draws"].append(list(scores))
    return values


def show_draws(by_source: BySource, text: Text) -> list[Table | Drawing]:
    panels, ranges = {}, {}
    for source, values in by_source.items():
        panels[source] = {
            name: (series["x"], [sum(y) / len(y) for y in series["draws"]]) for name, series in values.items()
        }
        ranges[source] = {
            name: (list(map(min, series["draws"])), list(map(max, series["draws"]))) for name, series in values.items()
        }
    return [draw(panels, text, ranges)]


# roc: probabilities of class 1 and labels, by name


def roc_values(predictions: Mapping[str, Any], classes: Sequence[str]) -> Values:
    values = {}
    for name, (probs, labels) in predictions.items():
        points = roc_points(probs, labels)._asdict()
        values[name] = {**points, "auc": binary_auc(probs, labels)}
    return values


def show_roc(by_source: BySource, text: Text) -> list[Table | Drawing]:
    panels = {
        source: {name: (curve["false_positive_rate"], curve["true_positive_rate"]) for name, curve in values.items()}
        | {"chance": ([0, 1], [0, 1])}
        for source, values in by_source.items()
    }
    areas = "AUC " + ", ".join(f"{curve['auc']:.3f} for {name}" for name, curve in first(by_source).items())
    axes = {"xlabel": "1 - specificity (false alarms)", "ylabel": "sensitivity (found)"}
    return [Drawing(draw(panels, {**text, **axes}).figure, f"{text['title']}, {sources_in_words(by_source, areas)}")]


# confusion: a report, whose matrix is drawn and listed class by class


def confusion_values(report: Any, classes: Sequence[str]) -> Values:
    return {"classes": list(classes), "confusion": report.confusion}


def show_confusion(by_source: BySource, text: Text) -> list[Table | Drawing]:
    def rows(values: Values) -> Rows:
        lines = []
        for label, (name, counts) in enumerate(zip(values["classes"], values["confusion"], strict=True)):
            recall = with_interval(counts[label] / sum(counts), wilson_interval(counts[label], sum(counts)))
            most, other = max((count, other) for other, count in enumerate(counts) if other != label)
            lines.append([name, recall, f"{values['classes'][other]} ({most} of {sum(counts)})"])
        return lines

    shown: list[Table | Drawing] = []
    for source, values in by_source.items():
        matrix = values["confusion"]
        right, total = sum(row[label] for label, row in enumerate(matrix)), sum(map(sum, matrix))
        alt = f"{text['title']}, {source}: confusion matrix, {right:,} of {total:,} images on its diagonal."
        shown.append(Drawing(plot_confusion(matrix, values["classes"], title=source), alt))
    return [*shown, table(by_source, text, ["", "recall", "most often taken for"], rows)]


# seeds: a score of each seed, by name


def seeds_values(by_name: Mapping[str, Sequence[float]], classes: Sequence[str]) -> Values:
    return {name: list(scores) for name, scores in by_name.items()}


def show_seeds(by_source: BySource, text: Text) -> list[Table | Drawing]:
    def rows(values: Values) -> Rows:
        return [
            [name, number(sum(scores) / len(scores)), f"{number(min(scores))} to {number(max(scores))}"]
            for name, scores in values.items()
        ]

    return [table(by_source, text, ["", "mean", "over the seeds"], rows)]


KINDS = {
    "audit": Kind(audit_values, show_audit),
    "confusion": Kind(confusion_values, show_confusion),
    "counts": Kind(counts_values, show_counts),
    "curves": Kind(curves_values, show_curves),
    "draws": Kind(draws_values, show_draws),
    "roc": Kind(roc_values, show_roc),
    "scores": Kind(scores_values, show_scores),
    "seeds": Kind(seeds_values, show_seeds),
}
