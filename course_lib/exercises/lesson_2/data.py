"""Checks of lesson 2: of scores and of folders of images."""

import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from statistics import mode
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from course_lib.exercises.files import broken_pngs
from course_lib.exercises.legacy import Wrong, call, expect, shown, task


@task(
    "02.2",
    "Accuracy, and the two numbers beside it",
    "`labels == label` marks the images of one class; among these, count how many were predicted so.",
    "`labels.unique()` lists the classes that occur. Average their recalls without weights.",
    "The constant answer is right for every image of the most common class, and for no other.",
)
def fair_scores(answer: Callable[[Tensor, Tensor], tuple[float, float, float]]) -> str:
    few_sick = [0, 1, 0, 0, 0, 0, 1, 0, 0, 0], [0, 0, 0, 0, 0, 0, 1, 1, 1, 0]
    many_sick = [1, 1, 0, 0, 0, 1], [1, 1, 1, 1, 0, 0]
    four_of_six_classes = [4, 0, 1, 1, 3, 4, 4, 5, 3], [4, 0, 1, 4, 3, 4, 3, 4, 3]
    never_predicted = [0, 1, 1, 0, 0, 1, 0], [0, 2, 1, 0, 2, 1, 0]
    for calls, labels in (few_sick, many_sick, four_of_six_classes, never_predicted):
        there, total = sorted(set(labels)), len(labels)
        hits = [sum(call == label == k for call, label in zip(calls, labels, strict=True)) for k in there]
        shares = [hit / labels.count(k) for hit, k in zip(hits, there, strict=True)]
        accuracy, balanced, constant = sum(hits) / total, sum(shares) / len(there), labels.count(mode(labels)) / total
        precision = sum(hit / max(1, calls.count(k)) for hit, k in zip(hits, there, strict=True)) / len(there)
        second = [
            (accuracy, "The second is the accuracy again: average class by class."),
            (precision, "The second divides by the calls (precision); divide by the labels."),
            (shares[-1], "The second is the recall of one class only: average over all."),
            (sum(shares) / (max(calls + labels) + 1), "A class that no label has should not count as missed."),
            (sum(shares) / 2, "There may be more than two classes: divide by their number."),
        ]
        third = [
            (calls.count(mode(calls)) / total, "The constant is the most common label, not prediction."),
            (1 / len(there), "The third would be right if all classes were equally common."),
            (labels.count(0) / total, "The most common class need not be class 0."),
        ]
        slips = [((accuracy, value, constant), said) for value, said in second]
        slips += [((accuracy, balanced, value), said) for value, said in third]
        found, of = call(answer, torch.tensor(calls), torch.tensor(labels)), f"{answer.__name__}({calls}, {labels})"
        if "nan" in shown(found):
            slip = "A class without labels gives 0 / 0: leave it out of the average."
            raise Wrong(f"{of} gave {shown(found)}", shown((accuracy, balanced, constant)), slip)
        expect(found, (accuracy, balanced, constant), of=of, slips=slips)
    return (
        "A constant has a balanced accuracy of 1 divided by the number of classes, however common they are. A model "
        "can lie below it in accuracy and still know more, since the constant finds none of the rarer classes."
    )


@task(
    "02.6",
    "Audit a folder",
    "`is_dir()` tells class folders from other things in `folder.iterdir()`; `file.suffix.lower()` tells images.",
    "`Image.open` reads the header only. `image.load()` decodes everything, and raises errors of several kinds.",
    "Collect the files in a dictionary with their bytes (or `hashlib.sha256` of them) as keys: equal files meet there.",
)
def audit_folder(answer: Callable[[Path], dict[str, Any]]) -> str:
    modes = {"cat": {"L": 2}, "dog": {"L": 1, "RGB": 2}, "eel": {"P": 1}}
    wanted = {"counts": {"cat": 2, "dog": 3, "eel": 1}, "unreadable": [], "duplicates": [], "modes": modes}
    with tempfile.TemporaryDirectory() as chests, tempfile.TemporaryDirectory() as pets:
        _draw_chests(Path(chests))
        _judge_audit(answer, Path(chests), WANTED, of="")
        for place in ("cat/1L", "cat/2L", "dog/1L", "dog/2RGB", "dog/3RGB", "eel/1P"):
            _draw(Path(pets) / f"{place}.png", place[5:])
        _judge_audit(answer, Path(pets), wanted, of=" of a clean folder")
        (Path(pets) / "cow").mkdir()
        (Path(pets) / "cow/7.png").write_bytes((Path(pets) / "cat/1L.png").read_bytes())
        for name, content in broken_pngs().items():
            (Path(pets) / "cow" / name).write_bytes(content)
        _judge_audit(answer, Path(pets), _with_a_cow(wanted), of=" after a class was added")
    return (
        "Equal bytes are the least that duplicates can be: an image that was saved again, cropped or made brighter "
        "escapes. Of 1,566 real chest radiographs that were looked into, 85 are in color, all of them PNEUMONIA."
    )


TWINS = ["NORMAL/twin.png", "PNEUMONIA/twin_1.png", "PNEUMONIA/twin_2.png"]
WITHIN, ANEW = ["NORMAL/a.png", "NORMAL/b.png"], ["NORMAL/3.png", "PNEUMONIA/anew.png"]
BROKEN = ["NORMAL/half.png", "PNEUMONIA/half.jpg", "PNEUMONIA/text.png"]
WANTED = {
    "counts": {"NORMAL": 7, "PNEUMONIA": 8, "UNKNOWN": 0},
    "unreadable": BROKEN,
    "duplicates": [TWINS],
    "modes": {"NORMAL": {"L": 6}, "PNEUMONIA": {"L": 4, "RGB": 2}},
}
SLIPS = [  # of all entries: no two have values of the same kind
    ({"NORMAL": 8, "PNEUMONIA": 8, "UNKNOWN": 1}, "A text file is no image: look at the suffix."),
    ({"NORMAL": 6, "PNEUMONIA": 8, "UNKNOWN": 0}, "2.JPG is missed: compare the suffix in small letters."),
    ({"NORMAL": 6, "PNEUMONIA": 6, "UNKNOWN": 0}, "Images that cannot be read count as well."),
    ({"NORMAL": 7, "PNEUMONIA": 8}, "A class folder without images counts 0, which an audit should tell."),
    (BROKEN[2:], "Two more have lost their ends, and open() reads the beginning only: load() them."),
    (BROKEN[::2], "half.jpg has lost its end, and verify() does not notice that in a JPEG: load() it."),
    (["half.jpg", "half.png", "text.png"], "Which class is each in? Write class/name."),
    ([WITHIN, TWINS], "a.png and b.png are in one class; asked for are groups in more than one."),
    ([ANEW, TWINS], "3.png and anew.png have equal pixels but other bytes: compare the files."),
    ([[f"{c}/{n}.png" for c in ("NORMAL", "PNEUMONIA")] for n in (1, 3)], "These have equal names; compare the bytes."),
    ([TWINS[:2], TWINS[::2]], "These are pairs; three equal files make one group."),
    ([TWINS[:2]], "A third file has the same bytes: keep a list of names for each content, not one name."),
    ([TWINS[1:]], "The group lacks its first file: list all of it."),
    ({"NORMAL": {"L": 7}, "PNEUMONIA": {"L": 5, "RGB": 2}}, "Half an image has a header, so a mode: load() first."),
    ({"L": 10, "RGB": 2}, "These are sums over all classes; count each class for itself."),
    ({"NORMAL": {"RGB": 6}, "PNEUMONIA": {"RGB": 6}}, "After convert() all have one mode; look before it."),
]


def _draw(path: Path, mode: str = "L") -> bytes:
    """Write an image of noise; returns the bytes of the file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = torch.randint(256, (24 * 24 * len(mode),)).tolist()
    Image.frombytes(mode, (24, 24), bytes(noise)).save(path)
    return path.read_bytes()


def _with_a_cow(wanted: dict[str, Any]) -> dict[str, Any]:
    return {
        "counts": wanted["counts"] | {"cow": 3},
        "unreadable": [f"cow/{name}" for name in broken_pngs()],
        "duplicates": [["cat/1L.png", "cow/7.png"]],
        "modes": wanted["modes"] | {"cow": {"L": 1}},
    }


def _draw_chests(folder: Path) -> None:
    names = "NORMAL/1.png NORMAL/2.JPG NORMAL/3.png NORMAL/half.png PNEUMONIA/1.png PNEUMONIA/half.jpg NORMAL/a.png"
    drawn = {name: _draw(folder / name) for name in [*names.split(), *TWINS]}
    for name in ("PNEUMONIA/2.jpeg", "PNEUMONIA/3.png"):
        _draw(folder / name, "RGB")
    with Image.open(folder / ANEW[0]) as image:
        image.save(folder / ANEW[1], compress_level=0)
    (folder / "UNKNOWN").mkdir()
    contents = dict.fromkeys(TWINS, drawn[TWINS[0]]) | {
        "NORMAL/b.png": drawn["NORMAL/a.png"],
        "NORMAL/half.png": drawn["NORMAL/half.png"][:-300],
        "PNEUMONIA/half.jpg": drawn["PNEUMONIA/half.jpg"][:-100],
        "PNEUMONIA/text.png": b"no image",
        "NORMAL/notes.txt": b"notes",
        "UNKNOWN/notes.txt": b"no notes",
        "README.txt": b"chests",
    }
    for name, content in contents.items():
        (folder / name).write_bytes(content)


def _names(found: Any) -> list[str]:
    if isinstance(found, int):
        raise Wrong(f"the number {found}", "a list", "Which files they are has to be said, not only how many.")
    return sorted(str(name).replace("\\", "/") for name in found)


IN_ORDER: dict[str, Callable[[Any], object]] = {
    "counts": dict,
    "unreadable": _names,
    "duplicates": lambda groups: sorted(map(_names, groups)),
    "modes": lambda modes: {name: counts for name, counts in dict(modes).items() if counts},
}


def _judge_audit(answer: Callable[[Path], Any], folder: Path, wanted: dict[str, Any], *, of: str) -> None:
    before = contents(folder)
    try:
        audit = answer(folder)
    except (OSError, SyntaxError, ValueError) as error:
        slip = "Neither a broken image nor a file beside the class folders may end it: open in a try, and ask is_dir()."
        if not isinstance(error, OSError):
            slip = "Pillow has several errors for broken files; `except Exception` catches them all."
        raise Wrong(f"{type(error).__name__}: {error}", "an audit that goes on", slip) from None
    if contents(folder) != before:
        raise Wrong("the folder has changed", "the same files in it", "An audit reports, and tidies nothing away.")
    if not isinstance(audit, Mapping):
        raise Wrong(shown(audit), "a dictionary", "Does the function end with `return`?" if audit is None else "")
    for key, value in wanted.items():
        if key not in audit:
            raise Wrong(f"the entries {', '.join(map(str, audit))}", f'also "{key}"', "What you have is right so far.")
        expect(IN_ORDER[key](audit[key]), value, of=f'"{key}"{of}', slips=SLIPS)


def contents(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
