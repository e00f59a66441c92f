"""The part of a model card that says how good the predictions are, in words and in tables."""

from typing import Any

from course_lib.metrics import predictive_values

MOST_ROWS = 20  # classes in the table of errors
PREVALENCES = (0.1, 0.3)
MUCH_WORSE, WORTH_A_WORD = 1.5, 0.05  # an ECE as many times validation's, and not below this


def scores_section(classes: list[str], sets: dict[str, dict[str, Any]]) -> str:
    """Scores, errors, predictive values and calibration, as Markdown.

    Args:
        classes: their names.
        sets: reports by the name of the images, validation first.
    """
    binary = len(classes) == 2
    parts = [_table(sets), "### Errors"]
    for name, scores in sets.items():
        parts.append((_binary_errors if binary else _errors)(name, classes, scores))
    if binary:
        parts += ["### Predictive values", _predictive_values(classes, sets)]
    parts += ["### Calibration", _calibration(classes, sets)]
    return "\n\n".join(parts)


def _table(sets: dict[str, dict[str, Any]]) -> str:
    names = ("auc", "balanced_accuracy", "accuracy", "sensitivity", "specificity")
    shown = [name for name in names if any(name in scores for scores in sets.values())]
    head = ["images", "n", *("AUC" if name == "auc" else name.replace("_", " ") for name in shown)]
    rows = [
        [name, str(scores["n"]), *(with_interval(scores, score) for score in shown)] for name, scores in sets.items()
    ]
    return "Brackets hold 95% intervals.\n\n" + table(head, rows)


def _binary_errors(name: str, classes: list[str], scores: dict[str, Any]) -> str:
    """The confusion matrix as a physician reads it."""
    negative, positive = classes
    (tn, fp), (fn, tp) = scores["confusion"]
    low, high = scores["ci95"]["sensitivity"]
    of_100 = f"of 100 such images {100 * scores['sensitivity']:.0f} [{100 * low:.0f}, {100 * high:.0f}] are found"
    low, high = scores["ci95"]["specificity"]
    cleared = f"of 100 such images {100 * scores['specificity']:.0f} [{100 * low:.0f}, {100 * high:.0f}] are cleared"
    return (
        f"**{name}.** Of {fn + tp} images of {positive}, the network finds {tp} (true positives) and misses {fn} "
        f"(false negatives): {of_100}. Of {tn + fp} images of {negative}, it clears {tn} (true negatives) and predicts "
        f"{positive} for {fp} (false positives): {cleared}. Predicting {_larger(classes, scores)} for "
        f"every image would have an accuracy of {max(tn + fp, fn + tp) / scores['n']:.3f}."
    )


def _larger(classes: list[str], scores: dict[str, Any]) -> str:
    return max(zip(map(sum, scores["confusion"]), classes, strict=True))[1]


def _errors(name: str, classes: list[str], scores: dict[str, Any]) -> str:
    """For each class how many images are right, and what the others are most often taken for."""
    rows = []
    for label, counts in enumerate(scores["confusion"]):
        errors = [(count, other) for other, count in enumerate(counts) if other != label]
        most, other = max(errors)
        mistaken = f"{classes[other]} ({most})" if most else "-"
        rows.append((counts[label] / sum(counts), [classes[label], str(sum(counts)), str(counts[label]), mistaken]))
    shown = sorted(rows)[:MOST_ROWS]
    subset = f"the {MOST_ROWS} of {len(rows)} classes" if len(rows) > MOST_ROWS else "classes"
    head = ["class", "images", "predicted right", "most often mistaken for"]
    return f"**{name}**, {subset} with the most errors first:\n\n" + table(head, [row for _, row in shown])


def _predictive_values(classes: list[str], sets: dict[str, dict[str, Any]]) -> str:
    rows = []
    for name, scores in sets.items():
        own = sum(scores["confusion"][1]) / scores["n"]
        for prevalence, text in ((own, f"{own:.0%}, as in these images"), *((p, f"{p:.0%}") for p in PREVALENCES)):
            values = predictive_values(scores["sensitivity"], scores["specificity"], prevalence)
            rows.append([name, text, *(f"{value:.3f}" for value in values)])
    head = ["images", f"prevalence of {classes[1]}", f"{classes[1]} right (PPV)", f"{classes[0]} right (NPV)"]
    return (
        "How often a prediction is right depends on how common the disease is among those examined, the prevalence. "
        "By Bayes' theorem, with se for sensitivity, sp for specificity and p for prevalence, the positive predictive "
        "value is PPV = se p / (se p + (1 - sp)(1 - p)), and the negative one NPV = sp (1 - p) / (sp (1 - p) + "
        f"(1 - se) p).\n\n{table(head, rows)}"
    )


def _calibration(classes: list[str], sets: dict[str, dict[str, Any]]) -> str:
    of_class = f"of {classes[1]}" if len(classes) == 2 else "of the predicted class"
    fraction = f"fraction {classes[1]}" if len(classes) == 2 else "fraction right"
    keys = ("mean_predicted", "fraction_positive", "ece")
    rows = [[name, *(f"{scores[key]:.3f}" if key in scores else "-" for key in keys)] for name, scores in sets.items()]
    first, *others = sets.items()
    worse = [_warning(name, scores, first[1]["ece"]) for name, scores in others if _is_much_worse(scores, first[1])]
    note = "\n\n" + " ".join(worse) if worse else ""
    return (
        "How far to believe the probabilities: where they can be believed, their mean equals the fraction that came "
        "true. ECE, the expected calibration error, is the mean distance between the two over 15 groups of images of "
        f"similar probability.\n\n{table(['images', f'mean probability {of_class}', fraction, 'ECE'], rows)}{note}"
    )


def _is_much_worse(scores: dict[str, Any], val: dict[str, Any]) -> bool:
    return scores["ece"] > max(MUCH_WORSE * val["ece"], WORTH_A_WORD)


def _warning(name: str, scores: dict[str, Any], ece: float) -> str:
    return (
        f"**On {name} the probabilities are much less reliable than on validation**: off by "
        f"{100 * scores['ece']:.0f} percentage points on average, against {100 * ece:.0f}. Read them as a ranking, not "
        "as chances."
    )


def with_interval(scores: dict[str, Any], score: str) -> str:
    if score not in scores:
        return "-"
    low, high = scores["ci95"].get(score, (None, None))
    return f"{scores[score]:.3f}" + (f" [{low:.3f}, {high:.3f}]" if low is not None else "")


def table(head: list[str], rows: list[list[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
