"""Class folders: whose images they hold, and what in them is no image of the class."""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from course_lib.data.formats import may_hold_images
from course_lib.data.tree import Folder, summarize

Classes = dict[str, list[Path]]
OTHER_THAN_IMAGES = {"mask", "masks", "segmentation", "segmentations", "annotation", "annotations", "label", "labels"}
OTHER_THAN_IMAGES |= {"groundtruth", "gt", "heatmap", "heatmaps", "overlay", "overlays", "thumbnail", "thumbnails"}
IMAGES = {"image", "images", "img", "imgs", "photo", "photos", "picture", "pictures", "scan", "scans", "originals"}
EVERY = "*"


@dataclass
class Layout:
    """The images of a folder by split and class.

    Attributes:
        root: the folder.
        classes: their names, in order.
        splits: the images of each class, by split; "all" alone where there are no split folders.
        names: of the folders of the splits, as they lie on the disk.
        left_out: how many files were not taken, by what they are.
    """

    root: Path
    classes: tuple[str, ...] = ()
    splits: dict[str, Classes] = field(default_factory=dict)
    names: dict[str, str] = field(default_factory=dict)
    left_out: Counter[str] = field(default_factory=Counter)

    def num_images(self, split: str) -> int:
        return sum(map(len, self.splits[split].values()))


def has_all(top: Folder, classes: Sequence[str]) -> bool:
    return set(classes) <= {*top.folders, *top.empty}


def class_images(top: Folder, classes: Sequence[str] | None, subfolder: str | None) -> Classes:
    """The images of each class folder; folders that hold images and something else are refused."""
    known = {*top.folders, *top.empty, *top.without}
    if absent := [name for name in classes or () if name not in known]:
        raise FileNotFoundError(
            f"{top.path}: no folder {absent[0]!r}, as classes says; there are {', '.join(top.folders) or 'none'}."
        )
    chosen = {name: folder for name, folder in top.folders.items() if classes is None or name in classes}
    for name in top.empty:
        if classes is None or name in classes:
            raise ValueError(f"{top.path / name}: an empty class, no image in it; add images or remove the folder.")
    for name, files in top.without.items():
        if any(map(may_hold_images, files)) if classes is None else name in classes:
            raise ValueError(
                f"{top.path / name}: an empty class, no image in it that is read, but {summarize(files)}. If it is no "
                f"class, say which are: {choice('classes', ','.join(chosen or top.folders))}."
            )
    if classes is None:
        _refuse_images_beside_masks(top)
    if subfolder is None:
        _refuse_several_kinds(top, chosen)
    if subfolder == ".":
        return {name: list(folder.images) for name, folder in chosen.items()}
    return {name: folder.all_images() for name, folder in chosen.items()}


def _refuse_images_beside_masks(top: Folder) -> None:
    """Folders called images and masks are no classes."""
    kinds = {name: re.sub(r"[\W\d_]+", "", name.lower()) for name in top.folders}
    images = [name for name, kind in kinds.items() if kind in IMAGES]
    others = [name for name, kind in kinds.items() if kind in OTHER_THAN_IMAGES]
    for name, kind in kinds.items():  # benign, malignant, benign_masks
        if own := [other for other, its in kinds.items() if any(kind == its + word for word in OTHER_THAN_IMAGES)]:
            rest = ",".join(other for other in top.folders if other != name)
            raise ValueError(
                f"{top.path}: can be read in two ways. Either {name} holds something else than images for {own[0]}: "
                f"{choice('classes', rest)}. Or it is a class too: {choice('classes', ','.join(top.folders))}."
            )
    if images and others:
        raise ValueError(
            f"{top.path}: can be read in two ways. Either {images[0]} holds the images, in class folders, and "
            f"{' and '.join(others)} something else: {choice('subfolder', images[0])}. Or these are the classes: "
            f"{choice('classes', ','.join(top.folders))}."
        )


def _refuse_several_kinds(top: Folder, chosen: dict[str, Folder]) -> None:
    """Refuse class folders with sub-folders that recur from class to class, such as images and masks.

    Sub-folders whose names differ by their numbers alone (patient1, patient2) are one kind.
    """
    kinds: dict[str, dict[str, str]] = {}  # of each class, by what they are, an example of the sub-folders
    for name, folder in chosen.items():
        paths = [inner.path.relative_to(folder.path).as_posix() for inner in folder.walk() if inner.images]
        kinds[name] = {re.sub(r"[\W\d_]+", "", path.lower()) if path != "." else ".": path for path in paths}
    counts = Counter(kind for of_class in kinds.values() for kind in of_class)
    several = [of_class for of_class in kinds.values() if len(of_class) > 1]
    recurring = [kind for of_class in several for kind in of_class if counts[kind] > 1 and kind != "."]
    no_images = [
        kind for of_class in several for kind in of_class if any(kind.endswith(word) for word in OTHER_THAN_IMAGES)
    ]
    if not recurring and not no_images:
        return
    example = next(name for name, its in kinds.items() if len(its) > 1 and {*recurring, *no_images} & set(its))
    subfolders = sorted(kinds[example].values())
    parts = "its own images" if "." in subfolders else ""
    shown = ", ".join([*([parts] if parts else []), *(subfolder for subfolder in subfolders if subfolder != ".")][:6])
    choices = " or ".join(choice("subfolder", subfolder.rpartition("/")[2]) for subfolder in subfolders[:3])
    raise ValueError(
        f"{top.path}: can be read in two ways, as {example} holds {shown}. Either one of these holds the images of the "
        f"class, and the others something else, such as masks: choose it by {choices}. Or all are images of the class: "
        f"{choice('subfolder', EVERY)}. If {', '.join(list(chosen)[:4])} are no classes, name a folder further down."
    )


def choice(argument: str, value: str) -> str:
    shown = str(value.split(",")) if argument == "classes" else f'"{value}"'
    return f"{argument}={shown} (--{argument} '{value}')"


def align_classes(layout: Layout, *, several: bool = True) -> None:
    """Give all splits the classes of the first, in its spelling and order; refuse others, a single one, and doubles."""
    first = next(iter(layout.splits))
    spelled: dict[str, str] = {}  # in the first split
    for split, classes in layout.splits.items():
        own: dict[str, str] = {}
        for name in classes:
            if (key := name.strip().lower()) in own:
                inside = "" if split == "all" else f" in {layout.names[split]}"
                raise ValueError(
                    f"{layout.root}: {own[key]} and {name} are two folders of one name{inside}; rename one."
                )
            own[key] = name
        spelled = spelled or own
        if unmatched := [*(own[key] for key in own.keys() - spelled), *(spelled[key] for key in spelled.keys() - own)]:
            known = ", ".join(layout.splits[first])
            common = ",".join(sorted(spelled[key] for key in spelled if key in own))
            raise ValueError(
                f"{layout.root}: {layout.names[first]} holds the classes {known}, and {layout.names[split]} "
                f"{', '.join(classes) or 'none'}; {sorted(unmatched)[0]} must be in both or in neither"
                + (f", or name those to read: {choice('classes', common)}." if common else ".")
            )
        layout.splits[split] = {spelled[key]: classes[own[key]] for key in sorted(spelled)}
        for name, paths in layout.splits[split].items():
            if not paths:
                raise ValueError(f"{layout.root}: class {name} has no image in {layout.names.get(split, split)}.")
    layout.classes = tuple(sorted(spelled.values()))
    layout.splits = {
        split: {name: classes[name] for name in layout.classes} for split, classes in layout.splits.items()
    }
    if several and len(layout.classes) == 1:
        raise ValueError(
            f"{layout.root}: one class only ({layout.classes[0]}); a classifier needs two or more class folders."
        )
