"""Records: what one cell or script found on real images, and everything that has to be said about it."""

import json
import os
import re
import textwrap
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import date
from importlib import metadata
from pathlib import Path
from typing import Any

import torch

from course_lib.data import ImageSet
from course_lib.files import write_text
from course_lib.real_results.kinds import KINDS
from course_lib.runtime import pick_device

HERE = Path(__file__).parent
FOUND = "COURSE_RECORD"  # in the environment of a lesson that is recorded: the file that gets what its cells find
LINE = 110
LESSON = "course run "  # how the command of a lesson's record begins
Text = dict[str, Any]


@dataclass(frozen=True)
class Record:
    """One result on real images.

    Attributes:
        key: the lesson and a name, "03.test".
        kind: which of `KINDS` says what `values` are and how they are shown.
        values: numbers by name, to five digits.
        data: name of the data set.
        pixels: height and width of the images.
        split: which of them were scored.
        n: how many these are.
        seeds: of the trainings, or of the draws.
        versions: of the course and of torch.
        device: where it was computed, which matters for times.
        command: what computes it again.
        date: when, as 2026-01-31.
    """

    key: str
    kind: str
    values: dict[str, Any]
    data: str
    pixels: int
    split: str
    n: int
    seeds: list[int]
    versions: dict[str, str]
    device: str
    command: str
    date: str

    @property
    def from_lesson(self) -> bool:
        """Whether a lesson's cell found it, and not a script."""
        return self.command.startswith(LESSON)


def texts(lesson: int) -> dict[str, Text]:
    """What a lesson's results are called and how they are shown, by key; empty for a lesson that has none."""
    path = HERE / f"lesson_{lesson}.toml"
    return tomllib.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}


def text_of(key: str) -> Text:
    """The text of one result.

    Raises:
        ValueError: there is none for this key.
    """
    match = re.fullmatch(r"0(\d)\.\w+", key)
    known = texts(int(match[1])) if match else {}
    if key not in known:
        raise ValueError(
            f"expected the key of a result, such as 03.test, got {key!r}; describe it in "
            f"real_results/lesson_{match[1] if match else 'N'}.toml ({', '.join(known) or 'no key there yet'})."
        )
    return known[key]


def read(lesson: int) -> dict[str, Record]:
    """A lesson's records by key; empty where nothing was recorded."""
    path = HERE / f"lesson_{lesson}.json"
    return {row["key"]: Record(**row) for row in json.loads(path.read_text(encoding="utf-8"))} if path.is_file() else {}


def new(key: str, result: object, images: Sequence[ImageSet], *, command: str) -> Record:
    """What was found, with all that has to be said about it.

    Raises:
        ValueError: the key is not known, the images are simulated, or `result` holds NaN or infinity.
    """
    text, image_set = text_of(key), images[0]
    if is_simulated(images):
        names = ", ".join(image_set.name for image_set in images)
        raise ValueError(f"{key}: records are of real images, but these are {names}; add --data real --root DIR.")
    values = rounded(KINDS[text["kind"]].values(result, image_set.classes))
    try:
        json.dumps(values, allow_nan=False)
    except ValueError as error:
        raise ValueError(f"{key}: NaN or infinity is no result; leave it out or cut it: {values}") from error
    device, threads = pick_device().type, torch.get_num_threads()
    return Record(
        key=key,
        kind=text["kind"],
        values=values,
        data=image_set.name,
        pixels=image_set.images.shape[-1],
        split=text["split"],
        n=sum(map(len, images)),
        seeds=text.get("seeds", []),
        versions={"course": metadata.version("course-lib"), "torch": torch.__version__.split("+")[0]},
        device=f"CPU, {threads} thread{'s' * (threads > 1)}" if device == "cpu" else device,
        command=command,
        date=date.today().isoformat(),
    )


def is_simulated(images: Sequence[ImageSet]) -> bool:
    """Whether any of them are; their names say so."""
    return any("simulated" in image_set.name for image_set in images)


def record(key: str, result: object, *images: ImageSet, command: str) -> None:
    """Keep what a script found on real images in its lesson's file.

    Args:
        key: such as "03.stretch", described in `lesson_3.toml`.
        result: what the kind of this result takes, see `kinds.py`.
        images: those that were scored.
        command: how the script is called; no folder of this machine in it.

    Raises:
        ValueError: the key is not known, the images are simulated, or the command is that of a lesson.
    """
    if command.startswith(LESSON):
        raise ValueError(f"{key}: `{command}` is a lesson's command; give that of the script.")
    lesson = int(key[:2])
    write(lesson, read(lesson) | {key: new(key, result, images, command=command)})


def note(key: str, result: object, images: Sequence[ImageSet]) -> None:
    """Keep what a cell found until its lesson has passed; only where the lesson is being recorded."""
    if path := os.environ.get(FOUND):
        new_record = new(key, result, images, command=f"{LESSON}{key[:2]} --data real --root DIR --record")
        with open(path, "a", encoding="utf-8") as file:
            file.write(json.dumps(asdict(new_record)) + "\n")


def keep(lesson: int, path: Path) -> None:
    """Put what a lesson's cells noted in the place of what they found before; records of scripts stay."""
    lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
    noted = {row["key"]: Record(**row) for row in map(json.loads, lines)}
    write(lesson, {key: stored for key, stored in read(lesson).items() if not stored.from_lesson} | noted)


def write(lesson: int, records: Mapping[str, Record]) -> None:
    """Write a lesson's file in the order of its texts, atomically; nothing where nothing was found."""
    if records:
        ordered = [asdict(records[key]) for key in texts(lesson) if key in records]
        write_text(HERE / f"lesson_{lesson}.json", as_text(ordered))


def as_text(records: list[dict[str, Any]]) -> str:
    """JSON in which what fits into a line stands in one, so that a change shows as a few lines."""

    def run_on(match: re.Match[str]) -> str:
        line = f"{match[1]}{match[2]}{' '.join(match[3].split())}{match[4]}"
        if len(line) <= LINE:
            return line
        if '"' in match[3]:  # a word is not broken in two
            return match[0]
        indent = " " * (len(line) - len(line.lstrip()) + 2)
        return textwrap.fill(line, LINE, subsequent_indent=indent, break_on_hyphens=False)

    text = json.dumps(records, indent=1, ensure_ascii=False, allow_nan=False)
    innermost = r'^( *(?:"[^"\n]*": )?)([\[{])\s*([^\[\]{}]*?)\s*([\]}])'
    return re.sub(innermost, run_on, text, flags=re.MULTILINE) + "\n"


def rounded(values: Any) -> Any:
    """Numbers to five digits, tensors, tuples and mappings as JSON has them."""
    if isinstance(values, Mapping):
        return {str(name): rounded(value) for name, value in values.items()}
    if isinstance(values, torch.Tensor):
        return rounded(values.tolist())
    if isinstance(values, list | tuple | range):
        return [rounded(value) for value in values]
    return float(f"{values:.5g}") if isinstance(values, float) else values
