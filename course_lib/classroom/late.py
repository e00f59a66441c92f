"""Late work: late.toml says what it costs, and who was given more time.

    percent_per_day = 10    # of all points, for each day begun
    lowest_percent = 40     # what late work keeps, if it had earned it
    grace_hours = 2         # this late is not late

    [extension_days]
    "jdoe@uni.example" = 3

    [days_late]             # where the platform says no more than "late"
    "mroe@uni.example" = 1

The rule is that of Canvas (app/models/late_policy.rb), so that the same numbers in both give the same grades.
"""

import math
import re
import tomllib
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from course_lib.classroom.tables import read_file

Record = dict[str, Any]
HOURS = {  # how words for lengths of time begin in the languages of many classes
    365 * 24: ("year", "jahr", "an", "año", "jaar"),
    24: ("day", "tag", "jour", "día", "dia", "giorn", "dag", "день", "дня", "дней", "天"),
    1: ("hour", "stunde", "std", "heure", "hora", "ora", "ore", "uur", "uren", "час", "小时"),
    1 / 60: ("min", "мин", "分"),
    1 / 3600: ("sec", "sek", "seg", "сек", "秒"),
}


@dataclass(frozen=True)
class Policy:
    """What late.toml says."""

    percent_per_day: float = 0
    lowest_percent: float = 0
    grace_hours: float = 0
    extension_days: dict[str, float] = field(default_factory=dict)
    days_late: dict[str, float] = field(default_factory=dict)


def read_policy(path: Path, students: set[str]) -> Policy:
    """The policy of late.toml; without that file late work costs nothing.

    Raises:
        OSError: it cannot be read.
        ValueError: not TOML, a setting that there is not, a number that cannot be, or a student who is not there.
    """
    if not path.exists():
        return Policy()
    try:
        settings = tomllib.loads(read_file(path, "the policy for late work").decode("utf-8-sig"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{path}: not TOML ({error}); a name with @ or a space stands in quotes.") from None
    names = [setting.name for setting in fields(Policy)]
    for name, value in settings.items():
        if name not in names:
            raise ValueError(f"{path}: no setting {name!r}; there are {', '.join(names)}.")
        numbers = value if name in names[3:] else {name: value}
        if not isinstance(numbers, dict):
            raise ValueError(f"{path}: {name} is a table of students: write [{name}], and a line for each below it.")
        for key, number in numbers.items():
            if isinstance(number, bool) or not isinstance(number, int | float) or number < 0:
                raise ValueError(f"{path}: {key} = {number!r}, expected a number that is not negative.")
            if numbers is value and key not in students:
                raise ValueError(f"{path}: [{name}] no student {key!r}; take the names of grades.csv's first column.")
    return Policy(**settings)


def hours(late: str) -> float | None:
    """How late "2 days 3 hours late" is, in hours; None if it does not say, or in words that are not known here."""
    total, pairs = 0.0, re.findall(r"(\d+)\s*([^\W\d_]+)", late.casefold())
    for number, word in pairs:
        unit = next((unit for unit, starts in HOURS.items() if word.startswith(starts)), None)
        if unit is None:
            return None
        total += int(number) * unit
    return total if pairs else None


def after_late_policy(record: Record, policy: Policy) -> Record:
    """A record with the penalty taken off its score; the reasons say how much, and from what."""
    student, score = record["student"], record["score"]
    days_late = policy.days_late.get(student)
    late = days_late * 24 if days_late is not None else hours(record["late"])
    record = {**record, "penalty": 0, "reasons": list(record["reasons"])}
    if not policy.percent_per_day or record["status"] != "graded" or record.get("final"):
        return record
    if late is None:
        if record["late"]:
            record["reasons"].append("late, by how much is not known: nothing was taken off; see [days_late]")
        return record
    late -= policy.extension_days.get(student, 0) * 24
    if late <= policy.grace_hours:
        return record
    days, max_score = math.ceil(round(late / 24, 6)), record["max_score"]
    above = max(0.0, score - max_score * policy.lowest_percent / 100)
    penalty = round(min(days * max_score * policy.percent_per_day / 100, above), 2)
    days_text = "1 day" if days == 1 else f"{days} days"
    floor_note = f"; late work keeps {policy.lowest_percent:g}% of all points" if penalty == round(above, 2) else ""
    record["reasons"].append(f"{days_text} late: {penalty:g} points off, {score:g} before{floor_note}")
    left = round(score - penalty, 2)
    return record | {"penalty": penalty, "score": int(left) if left == int(left) else left}
