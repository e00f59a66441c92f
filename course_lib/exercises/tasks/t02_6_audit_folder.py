import contextlib
import hashlib
import tempfile
from collections import Counter, defaultdict
from collections.abc import Mapping
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


def names(found):
    if isinstance(found, int):
        raise Wrong(f"the number {found}", "a list", "Which files they are has to be said, not only how many.")
    return sorted(str(name).replace("\\", "/") for name in found)


IN_ORDER = {
    "counts": dict,
    "unreadable": names,
    "duplicates": lambda groups: sorted(map(names, groups)),
    "modes": lambda modes: {
        name: dict(of) if isinstance(of, Mapping) else of for name, of in dict(modes).items() if of
    },
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
    given = "a folder with broken files, doubles, an empty class and other suffixes"

    def inputs(self, draw):
        for kind in (CHESTS, CLEAN, ADDED):
            yield kind, draw.number(0, 10**6)

    def shown(self, kind, seed):
        return f"{self.name}() of {kind}"

    def use(self, answer, kind, seed):
        with tempfile.TemporaryDirectory() as place:
            folder, draw = Path(place), Draw(seed)
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
        found = {}
        for key, in_order in IN_ORDER.items():
            there = ", ".join(map(str, audit))
            refuse(f'also "{key}"', (key not in audit, f"the entries {there}", "What you have is right so far."))
            found[f'the entry "{key}"'] = in_order(audit[key])
        return found


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


def images(folder, lower=True):
    for path in sorted(folder.glob("*/*")):
        if (path.suffix.lower() if lower else path.suffix) in (".png", ".jpg", ".jpeg"):
            yield path


def named(path):
    return f"{path.parent.name}/{path.name}"


def mode_of(path, decode=lambda image: image.load()):
    try:
        with Image.open(path) as image:
            mode = image.mode
            decode(image)
            return mode
    except Exception:  # it cannot be read
        return None


def equal(folder, key=Path.read_bytes, are_wrong=lambda group: len({path.parent for path in group}) > 1):
    groups = defaultdict(list)
    for path in images(folder):
        groups[key(path)].append(path)
    return [list(map(named, group)) for group in groups.values() if are_wrong(group)]


def in_four_passes(folder):
    files, kinds = list(images(folder)), [path.name for path in folder.iterdir() if path.is_dir()]
    found = [(path.parent.name, mode_of(path)) for path in files]
    return {
        "counts": {kind: sum(path.parent.name == kind for path in files) for kind in kinds},
        "unreadable": tuple(path.relative_to(folder) for path in files if mode_of(path) is None),
        "duplicates": {tuple(group) for group in equal(folder)},
        "modes": {kind: Counter(mode for k, mode in found if k == kind and mode) for kind in kinds},
        "seconds": 1.5,
    }


def auditing(**entries):
    """An answer with another entry, made of the folder and the right audit."""
    return lambda folder: (right := audit_folder(folder)) | {key: of(folder, right) for key, of in entries.items()}


def total(modes):
    return sum(map(Counter, modes.values()), Counter())


def pixels(path):
    if mode_of(path) is None:
        return path
    with Image.open(path) as image:
        return image.tobytes()


def pairs(folder, forget=False):
    found, seen = [], defaultdict(list)
    for path in images(folder):
        others = seen[path.read_bytes()]
        found += [[named(other), named(path)] for other in others[-1:] if forget and other.parent != path.parent]
        found += [[named(other), named(path)] for other in others if not forget and other.parent != path.parent]
        others.append(path)
    return found


def header_modes(folder, right):
    modes = defaultdict(Counter)
    for path in images(folder):
        if mode := mode_of(path, lambda image: None):
            modes[path.parent.name][mode] += 1
    return modes


def stops(folder):
    for path in images(folder):
        Image.open(path).load()


def one_error(folder):
    for path in images(folder):
        with contextlib.suppress(OSError):
            Image.open(path).load()
    return audit_folder(folder)


def deletes(folder):
    found = audit_folder(folder)
    for name in found["unreadable"]:
        (folder / name).unlink()
    return found


def unreadable_by(decode):
    return lambda folder, right: [named(path) for path in images(folder) if mode_of(path, decode) is None]


def several(group):
    return len(group) > 1


slips = [
    (
        auditing(counts=lambda f, _: Counter(p.parent.name for p in f.glob("*/*"))),
        "A text file is no image: look at the suffix.",
    ),
    (
        auditing(counts=lambda f, a: {k: sum(p.parent.name == k for p in images(f, lower=False)) for k in a["counts"]}),
        "2.JPG is missed: compare the suffix in small letters.",
    ),
    (
        auditing(counts=lambda f, a: {k: total({k: a["modes"][k]}).total() for k in a["counts"]}),
        "Images that cannot be read count as well.",
    ),
    (
        auditing(counts=lambda f, a: {k: n for k, n in a["counts"].items() if n}),
        "A class folder without images counts 0, which an audit should tell.",
    ),
    (
        auditing(unreadable=unreadable_by(lambda image: None)),
        "Two more have lost their ends, and open() reads the beginning only: load() them.",
    ),
    (
        auditing(unreadable=unreadable_by(lambda image: image.verify())),
        "half.jpg has lost its end, and verify() does not notice that in a JPEG: load() it.",
    ),
    (
        auditing(unreadable=lambda f, a: [Path(name).name for name in a["unreadable"]]),
        "Which class is each in? Write class/name.",
    ),
    (
        auditing(duplicates=lambda f, _: equal(f, are_wrong=several)),
        "a.png and b.png are in one class; asked for are groups in more than one.",
    ),
    (
        auditing(duplicates=lambda f, _: equal(f, pixels)),
        "3.png and anew.png have equal pixels but other bytes: compare the files.",
    ),
    (
        auditing(duplicates=lambda f, _: equal(f, lambda path: path.name, several)),
        "These have equal names; compare the bytes.",
    ),
    (auditing(duplicates=lambda f, _: pairs(f)), "These are pairs; three equal files make one group."),
    (
        auditing(duplicates=lambda f, _: pairs(f, forget=True)),
        "A third file has the same bytes: keep a list of names for each content, not one name.",
    ),
    (
        auditing(duplicates=lambda f, a: [sorted(group)[1:] for group in a["duplicates"]]),
        "The group lacks its first file: list all of it.",
    ),
    (auditing(modes=header_modes), "Half an image has a header, so a mode: load() first."),
    (auditing(modes=lambda f, a: total(a["modes"])), "These are sums over all classes; count each class for itself."),
    (
        auditing(modes=lambda f, a: {k: {"RGB": total({k: of}).total()} for k, of in a["modes"].items() if of}),
        "After convert() all have one mode; look before it.",
    ),
]
also_wrong = [
    (lambda folder: {"counts": audit_folder(folder)["counts"]}, "so far"),
    (auditing(unreadable=lambda f, a: len(a["unreadable"])), "not only how many"),
    (stops, "in a try"),
    (one_error, "several errors"),
    (
        auditing(duplicates=lambda f, _: equal(f, are_wrong=lambda g: len({p.parent.name[0] for p in g}) > 1)),
        "after a class was added",
    ),
    (lambda folder: [list(path.iterdir()) for path in folder.iterdir()], "Not a directory"),
    (deletes, "tidies nothing away"),
]
also_right = [in_four_passes]
