"""Do two runs of a cell say the same? Text exactly, numbers within the cell's tolerance, pictures by kind and size.

`faults` is the whole judgment of a cell. Two programs run the cells and ask it: `course run --compare`, and nbval with
tests/notebook_comparison.py.
"""

import base64
import io
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from PIL import Image

PICTURES = ("image/png", "image/jpeg")
WIDGET = "application/vnd.jupyter.widget-view+json"
STYLE = re.compile(r"(?<=<style>).*?(?=</style>)", re.DOTALL)
SCRIPT = re.compile(r'(?<=<script type="module">).*?(?=</script>)', re.DOTALL)
STATE = re.compile(r'(?<=<script type="application/json">).*?(?=</script>)', re.DOTALL)
DRAWING = re.compile(r"(?<=data:image/svg\+xml;base64,)[A-Za-z0-9+/=]+")
INLINE = re.compile(r"data:image/(png|jpeg|gif|webp);base64,([A-Za-z0-9+/=]+)")
SIZE_TOLERANCE = 8  # pixels a side: other fonts make other margins
# Digits inside a name (conv2d, float32) are text; so are the spaces that keep a column straight no part of the number.
PREFIX = re.compile(r"\baddmm: (?=mat1 and mat2 shapes)")  # before this error's words, from torch 2.15 on
UNCOMPARED = re.compile(r"nbval-.*|raises-exception|skip-execution")  # tags
UNCOMPARED_COMMENT = re.compile(r"^\s*#+\s*(NBVAL|PYTEST_VALIDATE)_", re.MULTILINE)
NUMBER = re.compile(r" *(?<![A-Za-z_\d.])[-+]?(?:\d+(?:,\d{3})*(?:\.\d*)?|\.\d+)(?:[eE][-+]?\d+)?")
ALIGNMENT = re.compile(r"  +")  # goes with the widest number of a column, so it may change where numbers may

Output = Mapping[str, Any]
Cell = Mapping[str, Any]


@dataclass(frozen=True)
class Tolerance:
    """How far a number may lie from the saved one; the default is not at all.

    Attributes:
        difference: largest absolute difference, from a tag such as `tol-0.02`.
        factor: largest ratio, from a tag such as `tol-x3`.
    """

    difference: float = 0.0
    factor: float = 1.0

    @classmethod
    def from_cell(cls, cell: Cell) -> "Tolerance":
        """The tolerance that a notebook cell declares in a tag.

        Raises:
            ValueError: a tag that starts like a tolerance and is none, or more than one.
        """
        tags = [tag for tag in cell["metadata"].get("tags", []) if tag.startswith("tol")]
        if not tags:
            return cls()
        match = re.fullmatch(r"tol-(x?)(\d+(?:\.\d+)?)", tags[0])
        if match is None or len(tags) > 1:
            raise ValueError(f"tags {', '.join(tags)}: write one tolerance, such as tol-0.02 or tol-x3.")
        return cls(factor=float(match[2])) if match[1] else cls(difference=float(match[2]))

    def allows(self, saved: str, new: str) -> bool:
        """Whether the number `new` may stand for `saved`; both as they were printed."""
        if saved == new:
            return True
        saved_value, new_value = float(saved.replace(",", "")), float(new.replace(",", ""))
        if self.factor > 1:
            return saved_value * new_value > 0 and max(saved_value / new_value, new_value / saved_value) <= self.factor
        return self.difference > 0 and abs(saved_value - new_value) <= self.difference * (1 + 1e-9)

    def __str__(self) -> str:
        if self.factor > 1:
            return f"within a factor of {self.factor:g}"
        return f"within {self.difference:g}" if self.difference else "exactly"


def faults(cell: Cell, new: Sequence[Output]) -> list[str]:
    """What is wrong with a code cell as it was saved, a sentence for each; empty if nothing.

    Args:
        cell: as the notebook file holds it.
        new: outputs of a new run, streams merged.
    """
    return refusals(cell) or differences(cell["outputs"], new, Tolerance.from_cell(cell))


def refusals(cell: Cell) -> list[str]:
    """Why a saved code cell is wrong whatever a new run of it gives; empty if it is not."""
    if cell["execution_count"] is None:
        return ["this cell was saved without having been run; build the notebook again."]
    tags = cell["metadata"].get("tags", [])
    if any(map(UNCOMPARED.fullmatch, tags)) or UNCOMPARED_COMMENT.search(cell["source"]):
        return ["a tag or comment keeps this cell from being compared; declare a tolerance instead."]
    try:
        Tolerance.from_cell(cell)
    except ValueError as error:
        return [str(error)]
    warned = [output["text"] for output in cell["outputs"] if output.get("name") == "stderr"]
    return [f"stderr was saved, {text!r}; fix what warns, and build the notebook again." for text in warned]


def differences(saved: Sequence[Output], new: Sequence[Output], tolerance: Tolerance) -> list[str]:
    """What a reader of the saved outputs of one cell was told wrongly, a sentence for each; empty if nothing.

    Args:
        saved: outputs as the notebook file holds them, streams merged.
        new: outputs of the run that is judged; no page holds its widgets, which need a kernel.
        tolerance: for every number in them.
    """
    new = without_widgets(new)
    kinds = [[_kind(output) for output in outputs] for outputs in (saved, new)]
    if kinds[0] != kinds[1]:
        saved_kinds, new_kinds = (", ".join(names) or "nothing" for names in kinds)
        return [f"saved was {saved_kinds}; now came {new_kinds}."]
    problems = []
    for saved_output, new_output in zip(saved, new, strict=True):
        if saved_output["output_type"] == "stream":
            problems += _compare_text(saved_output["name"], saved_output["text"], new_output["text"], tolerance)
        elif saved_output["output_type"] == "error":
            problems += _compare_text("error", _error(saved_output), _error(new_output), tolerance)
        else:
            problems += _compare_display(saved_output, new_output, tolerance)
    return problems


def without_widgets(outputs: Sequence[Output]) -> list[Output]:
    """What a page can show without a kernel: no view of a widget, and no output that is nothing but one."""
    shown: list[Output] = []
    for output in outputs:
        data = {mime: value for mime, value in output.get("data", {}).items() if mime != WIDGET}
        if WIDGET not in output.get("data", {}):
            shown.append(output)
        elif data.keys() - {"text/plain"}:
            shown.append({**output, "data": data})
    return shown


def _error(output: Output) -> str:
    return f"{output['ename']}: {output['evalue']}"


def _kind(output: Output) -> str:
    if output["output_type"] == "stream":
        return str(output["name"])
    if output["output_type"] == "error":
        return "error"
    return " with ".join(sorted(output["data"]))


def _compare_display(saved: Output, new: Output, tolerance: Tolerance) -> list[str]:
    problems = []
    for mime, value in saved["data"].items():
        if mime in PICTURES:
            problems += _compare_pictures(value, new["data"][mime])
        elif mime == "text/html":
            problems += _compare_pages(mime, value, new["data"][mime], tolerance)
        elif isinstance(value, str):
            problems += _compare_text(mime, value, new["data"][mime], tolerance)
    return problems


def _compare_pages(name: str, saved: str, new: str, tolerance: Tolerance) -> list[str]:
    before, after = _page_as_seen(saved), _page_as_seen(new)
    problems = _compare_text(name, INLINE.sub(r"data:image/\1", before), INLINE.sub(r"data:image/\1", after), tolerance)
    if not problems:
        for saved_picture, new_picture in zip(INLINE.finditer(before), INLINE.finditer(after), strict=True):
            problems += _compare_pictures(saved_picture[2], new_picture[2])
    return problems


def _page_as_seen(page: str) -> str:
    """A page without its script and style, one tag, also of a drawing, or one value of an explorer's state a line."""
    page = DRAWING.sub(lambda match: base64.b64decode(match[0]).decode(), STYLE.sub("", SCRIPT.sub("", page)))
    return STATE.sub(_one_value_a_line, page).replace("<", "\n<")


def _one_value_a_line(state: re.Match[str]) -> str:
    return json.dumps(json.loads(state[0]), indent=0, ensure_ascii=False)


def _compare_text(name: str, saved: str, new: str, tolerance: Tolerance) -> list[str]:
    saved, new = PREFIX.sub("", saved), PREFIX.sub("", new)
    if tolerance != Tolerance():
        saved, new = ALIGNMENT.sub(" ", saved), ALIGNMENT.sub(" ", new)
    if NUMBER.sub("\0", saved) != NUMBER.sub("\0", new):
        for before, after in _lines(saved, new):
            if NUMBER.sub("\0", before) != NUMBER.sub("\0", after):
                return [f"{name}: saved was {before!r}, now came {after!r}."]
    problems = []
    for before, after in _lines(saved, new):
        for saved_number, new_number in zip(NUMBER.findall(before), NUMBER.findall(after), strict=True):
            if not tolerance.allows(saved_number.strip(), new_number.strip()):
                problems.append(
                    f"{name}: saved was {saved_number.strip()}, now came {new_number.strip()}, and they must agree "
                    f"{tolerance}; saved line: {before!r}, now: {after!r}."
                )
    return problems


def _lines(saved: str, new: str) -> list[tuple[str, str]]:
    """Lines of both texts, the shorter one filled up with empty lines."""
    before, after = saved.splitlines(), new.splitlines()
    length = max(len(before), len(after))
    before += [""] * (length - len(before))
    after += [""] * (length - len(after))
    return list(zip(before, after, strict=True))


def _compare_pictures(saved: str, new: str) -> list[str]:
    before, after = _open(saved), _open(new)
    problems = []
    for when, picture in (("the saved", before), ("the new", after)):
        if all(low == high for low, high in picture.convert("RGB").getextrema()):  # type: ignore[misc]  # pairs, for RGB
            problems.append(f"{when} picture is blank.")
    if any(abs(a - b) > SIZE_TOLERANCE for a, b in zip(before.size, after.size, strict=True)):
        problems.append(f"picture: saved was {_size(before)} pixels, now came {_size(after)}.")
    return problems


def _open(encoded: str) -> Image.Image:
    return Image.open(io.BytesIO(base64.b64decode(encoded)))


def _size(picture: Image.Image) -> str:
    return f"{picture.width}x{picture.height}"
