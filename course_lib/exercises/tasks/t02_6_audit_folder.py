import hashlib
import tempfile
from collections import Counter, defaultdict
from collections.abc import Mapping
from itertools import combinations, pairwise  # noqa: F401  # some wrong answers use them
from pathlib import Path

from PIL import Image

from course_lib.exercises.draw import Draw
from course_lib.exercises.files import broken_pngs
from course_lib.exercises.task import Task, Wrong, refuse, shown

TWINS = ["NORMAL/twin.png", "PNEUMONIA/twin_1.png", "PNEUMONIA/twin_2.png"]
PETS = {"cat/1.png": "L", "cat/2.png": "L", "dog/1.png": "L", "dog/2.png": "RGB", "dog/3.png": "RGB", "eel/1.png": "P"}
CHESTS, CLEAN, ADDED = "a folder of chests", "a clean folder", "a folder after a class was added"


def draw_chests(folder, draw):
    names = "NORMAL/1.png NORMAL/2.JPG NORMAL/3.png NORMAL/half.png PNEUMONIA/1.png PNEUMONIA/half.jpg NORMAL/a.png"
    for name in [*names.split(), *TWINS]:
        draw.image(folder / name, side=24)
    for name in ("PNEUMONIA/2.jpeg", "PNEUMONIA/3.png"):
        draw.image(folder / name, "RGB", side=24)
    with Image.open(folder / "NORMAL/3.png") as image:
        image.save(folder / "PNEUMONIA/anew.png", compress_level=0)
    (folder / "UNKNOWN").mkdir()
    drawn = {name: (folder / name).read_bytes() for name in (TWINS[0], "NORMAL/a.png", *names.split())}
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


def draw_pets(folder, draw, added):
    for name, mode in PETS.items():
        draw.image(folder / name, mode, side=24)
    for number in range(draw.number(1, 4)):
        draw.image(folder / "ant" / f"{number}.{'PNG' if number % 2 else 'png'}", ("L", "RGB")[draw.number(0, 1)])
    if added:
        (folder / "cow").mkdir()
        (folder / "cow/7.png").write_bytes((folder / "cat/1.png").read_bytes())
        (folder / "cow/8.jpeg").write_bytes((folder / "eel/1.png").read_bytes())
        (folder / "cow/9.png").write_bytes((folder / "dog/3.png").read_bytes()[: -draw.number(40, 80)])
        for name, content in broken_pngs().items():
            (folder / "cow" / name).write_bytes(content)


def contents(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def names(files):
    if isinstance(files, int):
        raise Wrong(f"the number {files}", "a list", "Which files they are has to be said, not only how many.")
    return sorted(str(name).replace("\\", "/") for name in files)


IN_ORDER = {
    "counts": dict,
    "unreadable": names,
    "duplicates": lambda groups: sorted(map(names, groups)),
    "modes": lambda modes: {k: dict(n) if isinstance(n, Mapping) else n for k, n in dict(modes).items() if n},
}


class AuditFolder(Task):
    number, title, name, points = "02.6", "Audit a folder", "audit_folder", 4
    statement = """
Before any training, ask the dull questions of your own images. They lie in a folder of class folders, such as
`xrays/NORMAL/1.png`; an image is a file directly in a class folder whose suffix is .png, .jpg or .jpeg, in small or
capital letters. Other files may lie about, beside the class folders too, and do not count. Write
`audit_folder(folder)`, which changes nothing and returns a dictionary with four entries:

- `"counts"`: for each class the number of its images, readable or not; a class folder without images has 0.
- `"unreadable"`: a list of the images that cannot be decoded to the last pixel, as texts like `"NORMAL/1.png"`.
- `"duplicates"`: a list of groups, each a list of such texts: images whose files are equal byte by byte *and* lie in
  more than one class. The whole group is listed.
- `"modes"`: for each class a dictionary of the color modes of its readable images, such as `{"L": 40, "RGB": 2}`, as
  they are stored (`image.mode`).

An image in two classes has a wrong label in one of them, and a color mode that goes with a class gives the answer
away. Once the check is content, run the function on images of your own, and write down what you would have to fix
before training.
"""
    hints = (
        "`is_dir()` tells class folders from other things in `folder.iterdir()`; `file.suffix.lower()` tells images.",
        "`Image.open` reads the header only. `image.load()` decodes everything, and raises errors of several kinds.",
        "Collect the files in a dictionary with their bytes (or `hashlib.sha256` of them) as keys: equal files meet there.",
    )
    notice = (
        "Equal bytes are the least that duplicates can be: an image that was saved again, cropped or made "
        "brighter escapes. Of 1,566 real chest radiographs that were looked into, 85 are in color, all of them "
        "PNEUMONIA."
    )
    worth = dict.fromkeys(('the entry "unreadable"', 'the entry "duplicates"', 'the entry "modes"'), 1)
    given = "a folder with broken files, doubles, an empty class and other suffixes"

    def inputs(self, draw):
        for kind in (CHESTS, CLEAN, ADDED):
            yield kind, draw.number(0, 10**6)

    def shown(self, kind, seed):
        return f"{self.name}() of {kind}"

    def use(self, answer, kind, seed):
        with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as temporary:
            folder, draw = Path(temporary), Draw(seed)
            draw_chests(folder, draw) if kind == CHESTS else draw_pets(folder, draw, added=kind == ADDED)
            before = contents(folder)
            try:
                audit = answer(folder)
            except (OSError, SyntaxError, ValueError) as error:
                slip = "Neither a broken image nor a file beside the class folders may end it: open in a try, and ask is_dir()."
                if not isinstance(error, OSError):
                    slip = "Pillow has several errors for broken files; `except Exception` catches them all."
                raise Wrong(f"{type(error).__name__}: {error}", "an audit that goes on", slip) from None
            changed = "An audit reports, and tidies nothing away."
            refuse("the same files in it", (contents(folder) != before, "the folder has changed", changed))
        if not isinstance(audit, Mapping):
            raise Wrong(shown(audit), "a dictionary", "Does the function end with `return`?" if audit is None else "")
        entries = {}
        for key, in_order in IN_ORDER.items():
            keys = ", ".join(map(str, audit))
            refuse(f'also "{key}"', (key not in audit, f"the entries {keys}", "What you have is right so far."))
            entries[f'the entry "{key}"'] = in_order(audit[key])
        return entries


# Answers


def audit_folder(folder: Path) -> dict:
    """A folder of class folders to {"counts", "unreadable", "duplicates", "modes"}."""
    counts, modes = Counter(), {}
    unreadable, equal = [], defaultdict(list)
    for class_folder in sorted(path for path in folder.iterdir() if path.is_dir()):
        name = class_folder.name
        counts[name], modes[name] = 0, Counter()
        for file in sorted(class_folder.iterdir()):
            if file.suffix.lower() not in (".png", ".jpg", ".jpeg"):
                continue
            place = f"{name}/{file.name}"
            counts[name] += 1
            equal[hashlib.sha256(file.read_bytes()).digest()].append(place)
            try:
                with Image.open(file) as image:
                    image.load()  # open reads the header only
                    modes[name][image.mode] += 1
            except (OSError, SyntaxError, ValueError):  # according to what is broken
                unreadable.append(place)
    groups = [group for group in equal.values() if len({p.partition("/")[0] for p in group}) > 1]
    return {
        "counts": dict(counts),
        "unreadable": unreadable,
        "duplicates": groups,
        "modes": {name: dict(counter) for name, counter in modes.items()},
    }


def pixels(file):
    try:
        with Image.open(file) as image:
            return image.tobytes()
    except Exception:  # it cannot be read
        return file


BYTES, CLASSES = "hashlib.sha256(file.read_bytes()).digest()", 'len({p.partition("/")[0] for p in group})'
COUNTED, MODE, GROUPS = "counts[name] += 1", "modes[name][image.mode] += 1", "[group for group in equal.values()"
slips = [
    (
        {f"            {COUNTED}\n": "", "            if": f"            {COUNTED}\n            if"},
        "A text file is no image: look at the suffix.",
    ),
    ({".lower()": ""}, "2.JPG is missed: compare the suffix in small letters."),
    ({COUNTED: "pass", "image.load()": f"image.load(); {COUNTED}"}, "Images that cannot be read count as well."),
    (
        {"counts[name], modes[name] = 0, Counter()": "modes[name] = Counter()"},
        "A class folder without images counts 0, which an audit should tell.",
    ),
    ({MODE: "pass", "image.load()": f"{MODE}; image.load()"}, "Half an image has a header, so a mode: load() first."),
    ({"image.load()": "pass"}, "Two more have lost their ends, and open() reads the beginning only: load() them."),
    ({"image.load()": "image.verify()"}, "half.jpg has lost its end, which verify() does not notice: load() it."),
    ({"unreadable.append(place)": "unreadable.append(file.name)"}, "Which class is each in? Write class/name."),
    ({CLASSES: "len(group)"}, "a.png and b.png are in one class; asked for are groups in more than one."),
    ({BYTES: "pixels(file)"}, "3.png and anew.png have equal pixels but other bytes: compare the files."),
    ({BYTES: "file.name"}, "These have equal names; compare the bytes."),
    (
        {GROUPS: "[group for files in equal.values() for group in combinations(files, 2)"},
        "These are pairs; three equal files make one group.",
    ),
    (
        {GROUPS: "[group for files in equal.values() for group in pairwise(files)"},
        "A third file has the same bytes: keep a list of names for each content, not one name.",
    ),
    ({"[group for": "[group[1:] for"}, "The group lacks its first file: list all of it."),
    (
        {"{name: dict(counter) for name, counter in modes.items()}": "sum(modes.values(), Counter())"},
        "These are sums over all classes; count each class for itself.",
    ),
    ({"image.mode]": 'image.convert("RGB").mode]'}, "After convert() all have one mode; look before it."),
]
also_wrong = [
    ({'"unreadable": unreadable,': ""}, "so far"),
    ({'"unreadable": unreadable': '"unreadable": len(unreadable)'}, "not only how many"),
    ({"(OSError, SyntaxError, ValueError)": "ZeroDivisionError"}, "in a try"),
    ({"(OSError, SyntaxError, ValueError)": "OSError"}, "several errors"),
    ({'partition("/")[0]': 'partition("/")[0][0]'}, "after a class was added"),
    ({" if path.is_dir()": ""}, "Not a directory"),
    ({"unreadable.append(place)": "unreadable.append(place) or file.unlink()"}, "tidies nothing away"),
]
also_right = [
    {
        BYTES: "file.read_bytes()",
        '"counts": dict(counts)': '"seconds": 1.5, "counts": counts',
        '"unreadable": unreadable': '"unreadable": tuple(map(Path, unreadable))',
        '"duplicates": groups': '"duplicates": set(map(tuple, groups))',
        "{name: dict(counter) for name, counter in modes.items()}": "modes",
    },
]
