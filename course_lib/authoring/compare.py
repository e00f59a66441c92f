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
    def of(cls, cell: Cell) -> "Tolerance":
        """The tolerance that a notebook cell declares in a tag.

        Raises:
            ValueError: a tag that starts like a tolerance and is none, or more than one.
        """
        tags = [tag for tag in cell["metadata"].get("tags", []) if tag.startswith("tol")]
        if not tags:
            return cls()
        read = re.fullmatch(r"tol-(x?)(\d+(?:\.\d+)?)", tags[0])
        if read is None or len(tags) > 1:
            raise ValueError(f"tags {', '.join(tags)}: write one tolerance, such as tol-0.02 or tol-x3.")
        return cls(factor=float(read[2])) if read[1] else cls(difference=float(read[2]))

    def allows(self, saved: str, new: str) -> bool:
        """Whether the number `new` may stand for `saved`; both as they were printed."""
        if saved == new:
            return True
        old, now = float(saved.replace(",", "")), float(new.replace(",", ""))
        if self.factor > 1:
            return old * now > 0 and max(old / now, now / old) <= self.factor
        return self.difference > 0 and abs(old - now) <= self.difference * (1 + 1e-9)

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
    return refusals(cell) or differences(cell["outputs"], new, Tolerance.of(cell))


def refusals(cell: Cell) -> list[str]:
    """Why a saved code cell is wrong whatever a new run of it gives; empty if it is not."""
    if cell["execution_count"] is None:
        return ["this cell was saved without having been run; build the notebook again."]
    tags = cell["metadata"].get("tags", [])
    if any(map(UNCOMPARED.fullmatch, tags)) or UNCOMPARED_COMMENT.search(cell["source"]):
        return ["a tag or comment keeps this cell from being compared; declare a tolerance instead."]
    try:
        Tolerance.of(cell)
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
        before, after = (", ".join(of) or "nothing" for of in kinds)
        return [f"saved was {before}; now came {after}."]
    found = []
    for old, now in zip(saved, new, strict=True):
        if old["output_type"] == "stream":
            found += _compare_text(old["name"], old["text"], now["text"], tolerance)
        elif old["output_type"] == "error":
            found += _compare_text("error", _error(old), _error(now), tolerance)
        else:
            found += _compare_display(old, now, tolerance)
    return found


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


def _compare_display(old: Output, now: Output, tolerance: Tolerance) -> list[str]:
    found = []
    for mime, value in old["data"].items():
        if mime in PICTURES:
            found += _compare_pictures(value, now["data"][mime])
        elif mime == "text/html":
            found += _compare_pages(mime, value, now["data"][mime], tolerance)
        elif isinstance(value, str):
            found += _compare_text(mime, value, now["data"][mime], tolerance)
    return found


def _compare_pages(name: str, old: str, now: str, tolerance: Tolerance) -> list[str]:
    before, after = _page_as_seen(old), _page_as_seen(now)
    found = _compare_text(name, INLINE.sub(r"data:image/\1", before), INLINE.sub(r"data:image/\1", after), tolerance)
    if not found:
        for was, came in zip(INLINE.finditer(before), INLINE.finditer(after), strict=True):
            found += _compare_pictures(was[2], came[2])
    return found


def _page_as_seen(page: str) -> str:
    """A page without its script and style, one tag, also of a drawing, or one value of an explorer's state a line."""
    page = DRAWING.sub(lambda drawn: base64.b64decode(drawn[0]).decode(), STYLE.sub("", SCRIPT.sub("", page)))
    return STATE.sub(_one_value_a_line, page).replace("<", "\n<")


def _one_value_a_line(state: re.Match[str]) -> str:
    return json.dumps(json.loads(state[0]), indent=0, ensure_ascii=False)


def _compare_text(name: str, old: str, now: str, tolerance: Tolerance) -> list[str]:
    old, now = PREFIX.sub("", old), PREFIX.sub("", now)
    if tolerance != Tolerance():
        old, now = ALIGNMENT.sub(" ", old), ALIGNMENT.sub(" ", now)
    if NUMBER.sub("\0", old) != NUMBER.sub("\0", now):
        for before, after in _lines(old, now):
            if NUMBER.sub("\0", before) != NUMBER.sub("\0", after):
                return [f"{name}: saved was {before!r}, now came {after!r}."]
    found = []
    for before, after in _lines(old, now):
        for number, again in zip(NUMBER.findall(before), NUMBER.findall(after), strict=True):
            if not tolerance.allows(number.strip(), again.strip()):
                found.append(
                    f"{name}: saved was {number.strip()}, now came {again.strip()}, and they must agree {tolerance}; "
                    f"saved line: {before!r}, now: {after!r}."
                )
    return found


def _lines(old: str, now: str) -> list[tuple[str, str]]:
    """Lines of both texts, the shorter one filled up with empty lines."""
    before, after = old.splitlines(), now.splitlines()
    length = max(len(before), len(after))
    before += [""] * (length - len(before))
    after += [""] * (length - len(after))
    return list(zip(before, after, strict=True))


def _compare_pictures(old: str, now: str) -> list[str]:
    before, after = _open(old), _open(now)
    found = []
    for when, picture in (("the saved", before), ("the new", after)):
        if all(low == high for low, high in picture.convert("RGB").getextrema()):  # type: ignore[misc]  # pairs, for RGB
            found.append(f"{when} picture is blank.")
    if any(abs(a - b) > SIZE_TOLERANCE for a, b in zip(before.size, after.size, strict=True)):
        found.append(f"picture: saved was {_size(before)} pixels, now came {_size(after)}.")
    return found


def _open(encoded: str) -> Image.Image:
    return Image.open(io.BytesIO(base64.b64decode(encoded)))


def _size(picture: Image.Image) -> str:
    return f"{picture.width}x{picture.height}"
