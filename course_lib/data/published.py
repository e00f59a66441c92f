"""Published data sets in class folders: where they lie below a folder, and a line about what is there."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from course_lib.data.layout import SPLITS, split_of
from course_lib.data.tree import read_tree, summarize


def split_folders(folder: Path) -> dict[str, Path]:
    """The folders for train, val and test, by whatever usual name, that lie in a folder."""
    try:
        inside = sorted((path for path in folder.iterdir() if path.is_dir()), reverse=True)
    except OSError:
        return {}
    by_split = {split_of(path.name): path for path in inside} | {path.name: path for path in inside}
    return {split: by_split[split] for split in SPLITS if split in by_split}


def find_folder(root: Path, holds_it: Callable[[Path], bool], *likely: str) -> Path | None:
    """The first folder for which `holds_it`: `root`, one of the `likely` in it, or one up to three levels below it."""
    level, below = [root], [root / name for name in likely]
    for _ in range(4):
        if folder := next(filter(holds_it, [*level, *below]), None):
            return folder
        level, below = [path for folder in level for path in _subfolders(folder)][:1000], []
    return None


def find_splits(root: Path, name: str, classes: Sequence[str]) -> Path | None:
    """The folder that holds a set's splits, with a folder for one of its classes: `root`, or up to three below it.

    Looked at first are `root/NAME` and `root/NAME/NAME`, as an archive of that name is unpacked.
    """
    class_names = {class_name.lower() for class_name in classes}

    def holds_it(folder: Path) -> bool:
        below = (path.name.lower() for split in split_folders(folder).values() for path in _subfolders(split))
        return not class_names.isdisjoint(below)

    return find_folder(root, holds_it, name, f"{name}/{name}")


def _subfolders(folder: Path) -> list[Path]:
    try:
        return sorted(path for path in folder.iterdir() if not path.name.startswith((".", "__")) and path.is_dir())
    except OSError:
        return []


def describe_splits(splits: Mapping[str, Path], *, unit: str = "", val_joins_train: bool = False) -> str:
    """What lies in the folders of the splits, in a line.

    Args:
        splits: as `split_folders` finds them.
        unit: what validation is cut by, if not by image.
        val_joins_train: the images of the validation folder are added to those to train on.
    """
    counts, left_out = [], Counter[str]()
    for folder in splits.values():
        tree = read_tree(folder)
        taken = {name: len(subfolder.all_images()) for name, subfolder in tree.folders.items()}
        counts.append(f"{', '.join(f'{count} {name}' for name, count in taken.items()) or 'nothing'} in {folder.name}")
        left_out += tree.all_left_out()
        left_out["images outside of all class folders"] += len(tree.images)
    parts = ["; ".join(counts)]
    if "train" in splits:
        validation = f"validation is cut from {splits['train'].name}" + (f" by {unit}" if unit else "")
        added = f", with {splits['val'].name} added to it" if val_joins_train and "val" in splits else ""
        parts.append(validation + added)
    parts.append("" if "test" in splits else "no test images")
    parts.append(f"left out: {summarize(+left_out)}" if +left_out else "nothing left out")
    return "; ".join(filter(None, parts))
