"""What a folder of class folders means: which folders are splits, which are classes, and which images are whose.

What can be read in two ways is not guessed: the error shows both readings and how to choose one.
"""

import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from course_lib.data.class_folders import EVERY, Classes, Layout, align_classes, choice, class_images, has_all
from course_lib.data.formats import ARCHIVES
from course_lib.data.tree import Folder, read_tree, summarize

SPLITS = ("train", "val", "test")
WORDS = {
    "train": ("train", "training", "trn"),
    "val": ("val", "valid", "validation", "validate", "dev", "devel"),
    "test": ("test", "testing", "tst", "eval", "evaluation", "holdout", "heldout"),
}
FILLERS = {"set", "sets", "data", "dataset", "image", "images", "img", "imgs", "folder", "split", "seg", "the", "my"}
UNLABELED = {"pred", "predict", "prediction", "predictions", "unlabelled", "unlabeled", "submission"}


def split_of(name: str) -> str | None:
    """The split that a folder's name stands for, if any.

    >>> [split_of(name) for name in ("Training", "TEST_SET", "seg_train", "valid", "cats")]
    ['train', 'test', 'train', 'val', None]
    """
    spaced = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name)
    words = [word for word in re.split(r"[^a-z]+", spaced.lower()) if word and word not in FILLERS]
    if words == ["hold", "out"]:
        return "test"
    if len(words) != 1:
        return None
    endings = "|".join(FILLERS)
    for split, names in WORDS.items():
        if re.fullmatch(rf"({'|'.join(names)})({endings})?", words[0]):
            return split
    return None


def find_layout(root: Path, *, classes: Sequence[str] | None = None, subfolder: str | None = None) -> Layout:
    """Splits and classes of the images below a folder.

    Args:
        root: the folder, or one that holds it alone.
        classes: the names of the class folders, where not every folder is a class.
        subfolder: of class folders that hold several kinds of files, the one whose files are the images ("images"); "."
            for those that lie in the class folder itself, "*" for all.

    Raises:
        FileNotFoundError: no such folder, or no class folders in it.
        ValueError: an empty class, a single class, splits of different classes, or a folder with two readings.
    """
    _check_root(root)
    tree = everything = read_tree(root)
    if subfolder not in (None, EVERY, "."):
        tree = _keep_only(tree, str(subfolder))
    top = _unwrapped(tree, classes)
    _refuse_without_classes(top, root)
    if classes is not None and has_all(top, classes):
        folders = {"all": top}
    else:
        folders = _split_folders(top, classes) or {"all": top}
    if set(folders) == {"all"} and classes is None and (inner := _splits_within_classes(top)):
        layout = Layout(root, names={split: split for split in inner}, splits=inner)
    else:
        layout = Layout(
            root,
            names={split: str(folder.path.relative_to(tree.path)) for split, folder in folders.items()},
            splits={split: class_images(folder, classes, subfolder) for split, folder in folders.items()},
        )
    align_classes(layout)
    taken = {path for by_class in layout.splits.values() for paths in by_class.values() for path in paths}
    layout.left_out = everything.all_left_out()
    for path in everything.all_images():
        if path not in taken:
            layout.left_out[_whereabouts(path, top, subfolder)] += 1
    return layout


def _whereabouts(path: Path, top: Folder, subfolder: str | None) -> str:
    """Of an image that belongs to no class, the folder that it lies in."""
    if subfolder is not None:
        return f"images in {path.parent.name}"
    inside = path.relative_to(top.path).parts[:-1] if path.is_relative_to(top.path) else ()
    return f"images in {inside[0]}" if inside else "images outside of all class folders"


def read_class_folder(folder: Path, *, several: bool = True) -> Classes:
    """The images of each class folder of a folder; no folder in it is taken for a split.

    `several`: a single class is an error.

    Raises:
        FileNotFoundError, ValueError: see `find_layout`.
    """
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder}: no such folder; expected one folder for each class in it.")
    layout = Layout(folder, splits={"all": class_images(read_tree(folder), None, None)})
    if not layout.splits["all"]:
        raise FileNotFoundError(f"{folder}: no class folders in it; put the images of each class in a folder.")
    align_classes(layout, several=several)
    return layout.splits["all"]


def _check_root(root: Path) -> None:
    if root.is_file():
        advice = "unpack it and name the folder" if root.suffix.lower() in ARCHIVES else "name the folder"
        raise ValueError(f"{root}: a file, where a folder of class folders is expected; {advice}.")
    if not root.is_dir():
        raise FileNotFoundError(f"{root}: no such folder; expected one folder for each class in it.")


def _keep_only(tree: Folder, name: str) -> Folder:
    """The tree without what lies beside the folders of this name, and without these in the paths."""
    if all(folder.path.name.lower() != name.lower() for folder in tree.walk()):
        below = sorted({name_below for folder in tree.walk() for name_below in folder.folders})
        raise ValueError(
            f"{tree.path}: no folder below is called {name!r}, as subfolder says; there are {', '.join(below[:12])}."
        )

    def pruned(folder: Folder) -> Folder:
        chosen = next(
            (inner for inner_name, inner in folder.folders.items() if inner_name.lower() == name.lower()), None
        )
        if chosen is not None:
            return Folder(folder.path, chosen.images, chosen.folders, chosen.left_out, chosen.empty, chosen.without)
        inner = {inner_name: pruned(inner) for inner_name, inner in folder.folders.items()}
        return Folder(folder.path, folder.images, inner, folder.left_out, folder.empty, folder.without)

    return pruned(tree)


def _unwrapped(tree: Folder, classes: Sequence[str] | None, *, split: str | None = None) -> Folder:
    """The folder itself, or the one that it does nothing but hold: pets/pets/, or within `split` train/train/."""
    while len(tree.folders) == 1 and not tree.empty:
        ((name, only),) = tree.folders.items()
        if not only.folders or split_of(name) not in (None, split) or (classes is not None and name in classes):
            break
        tree = only
    return tree


def _refuse_without_classes(top: Folder, root: Path) -> None:
    if top.folders:
        return
    files = top.all_left_out()
    if archives := sum(count for suffix, count in files.items() if suffix in ARCHIVES):
        raise FileNotFoundError(f"{root}: no class folders in it, but {archives} archives; unpack them there.")
    if top.images:
        tables = " A table of labels is not read." if files[".csv"] or files[".json"] or files[".xlsx"] else ""
        raise FileNotFoundError(
            f"{root}: no class folders in it, its {len(top.images)} images lie side by side; put the images of each "
            f"class in a folder: {top.path / 'cats'}, {top.path / 'dogs'}.{tables}"
        )
    if top.empty:
        raise ValueError(f"{top.path / top.empty[0]}: an empty class, no image in it; add images or remove the folder.")
    if files:
        raise FileNotFoundError(f"{root}: no image in it that is read, but {summarize(files)}.")
    raise FileNotFoundError(f"{root}: no class folders in it; put the images of each class in a folder.")


def _split_folders(top: Folder, classes: Sequence[str] | None) -> dict[str, Folder]:
    """The folders of the splits, unwrapped; none if the folders are classes. Two readings are an error."""
    named = _named_as_splits(top)
    named = {split: named[split] for split in SPLITS if split in named}
    inner = {split: _unwrapped(folder, classes, split=split) for split, folder in named.items()}
    holding = {split: folder for split, folder in named.items() if inner[split].folders}
    others = {name: folder for name, folder in top.folders.items() if folder not in named.values()}
    rivals = [name for name in others if name.lower() not in UNLABELED]
    if not named or (not holding and others):
        _refuse_splits_below(top, classes)
        return {}  # folders such as train, car, plane, with images in each
    if not holding:
        first = next(iter(named.values()))
        raise FileNotFoundError(
            f"{first.path}: no class folders in it, its {len(first.images)} images lie side by side; put the images of "
            f"each class in a folder: {first.path / 'cats'}, {first.path / 'dogs'}. If "
            f"{' and '.join(folder.path.name for folder in named.values())} are the classes, say so: "
            f"{choice('classes', ','.join(folder.path.name for folder in named.values()))}."
        )
    inside = {name.lower() for split in holding for name in inner[split].folders}
    doubtful = rivals if len(holding) == 1 else [name for name in others if name.lower() in inside]
    if classes is None and doubtful:
        _refuse_two_readings(top, next(iter(holding)), sorted(inner[next(iter(holding))].folders), doubtful)
    return {split: inner[split] for split in holding}


def _refuse_two_readings(top: Folder, split: str, inside: list[str], doubtful: list[str]) -> None:
    how = choice("classes", ",".join(inside))
    if set(inside) <= set(top.folders):  # their names say nothing
        how = f"then move {', '.join(doubtful)} to another place"
    raise ValueError(
        f"{top.path}: can be read in two ways. Either {', '.join(top.folders)} are the classes: "
        f"{choice('classes', ','.join(top.folders))}. Or there are images for {split} of the classes "
        f"{', '.join(inside)}, and {', '.join(doubtful)} something else: {how}."
    )


def _named_as_splits(top: Folder) -> dict[str, Folder]:
    """The folders whose names stand for a split, or do so but for words that all of them share (brain_train)."""
    names = list(top.folders)
    by_name = {name: split for name in names if (split := split_of(name))}
    if not by_name and len(names) > 1:
        words_of = {name: [word for word in re.split(r"[^a-z]+", name.lower()) if word] for name in names}
        shared = set.intersection(*map(set, words_of.values()))
        rest = {
            name: split_of(" ".join(word for word in words if word not in shared)) for name, words in words_of.items()
        }
        by_name = {name: split for name, split in rest.items() if split} if all(rest.values()) else {}
    twice = [split for split, count in Counter(by_name.values()).items() if count > 1]
    if twice:
        both = [name for name, split in by_name.items() if split == twice[0]]
        raise ValueError(
            f"{top.path}: {' and '.join(both)} are both names for {twice[0]}; rename or move one, or say by "
            f"{choice('classes', ','.join(names))} that these are the classes."
        )
    return {split: top.folders[name] for name, split in by_name.items()}


def _refuse_splits_below(top: Folder, classes: Sequence[str] | None) -> None:
    """What looks like several data sets side by side is not taken for classes."""
    for name, folder in top.folders.items():
        inner = _unwrapped(folder, classes)
        below = (
            {split: part for split, part in _named_as_splits(inner).items() if part.folders} if inner.folders else {}
        )
        if below and classes is None:
            raise ValueError(
                f"{top.path}: can be read in two ways. Either {', '.join(top.folders)} are the classes: "
                f"{choice('classes', ','.join(top.folders))}. Or {name} is a dataset of its own, with "
                f"{' and '.join(part.path.name for part in below.values())} in it: name that folder, {folder.path}."
            )


def _splits_within_classes(top: Folder) -> dict[str, Classes]:
    """Where each class folder holds splits of its own (cats/train, cats/test), the images by split and class."""
    by_class = {name: _named_as_splits(folder) for name, folder in top.folders.items() if not folder.images}
    if len(by_class) < 2 or len(by_class) < len(top.folders):
        return {}
    splits = set(by_class[next(iter(by_class))])
    same = all(set(own) == splits and len(own) == len(top.folders[name].folders) for name, own in by_class.items())
    if not same or not splits or any(own.folders for by_split in by_class.values() for own in by_split.values()):
        return {}
    return {split: {name: own[split].images for name, own in by_class.items()} for split in SPLITS if split in splits}
