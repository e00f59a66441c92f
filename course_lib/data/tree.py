"""What lies in a folder: images, other files, folders; without what systems, tools and the course leave there."""

import json
import os
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from course_lib.data.formats import is_image, why_left_out

SYSTEM_FOLDERS = {"lost+found", "system volume information", "$recycle.bin", "#recycle", "#snapshot", "@eadir"}
SYSTEM_FILES = {"thumbs.db", "desktop.ini", "ehthumbs.db", "icon\r"}
RUN_FILES = {"weights.safetensors", "state.pt", "history.csv", "curves.png", "model_card.md", "evaluations.json"}
MASK_ENDINGS = ("mask", "masks", "seg", "segmentation", "gt", "groundtruth", "label", "labels", "annotation")


@dataclass
class Folder:
    """A folder with the images in it, the folders in it that hold images somewhere below, and what else there is.

    Attributes:
        path: of the folder, as it was reached (through links, where there are any).
        images: in the order of their names.
        folders: by name, in its order.
        left_out: how many other files there are here, by what they are.
        empty: folders in it that hold no file at all, by name.
        without: folders in it that hold files and no image, by name, with these files.
    """

    path: Path
    images: list[Path] = field(default_factory=list)
    folders: dict[str, "Folder"] = field(default_factory=dict)
    left_out: Counter[str] = field(default_factory=Counter)
    empty: list[str] = field(default_factory=list)
    without: dict[str, Counter[str]] = field(default_factory=dict)

    def walk(self) -> Iterator["Folder"]:
        yield self
        for folder in self.folders.values():
            yield from folder.walk()

    def all_images(self) -> list[Path]:
        return [path for folder in self.walk() for path in folder.images]

    def all_left_out(self) -> Counter[str]:
        counters = (Counter[str](self.left_out), *self.without.values())
        return sum(
            (folder.all_left_out() for folder in self.folders.values()), start=sum(counters, start=Counter[str]())
        )


def read_tree(root: Path) -> Folder:
    """Everything below a folder; links are followed, but not round in circles.

    Raises:
        ValueError: a folder that may not be opened.
    """
    return _read(root, frozenset())


def _read(path: Path, above: frozenset[tuple[int, int]]) -> Folder:
    folder = Folder(path)
    try:
        stat = path.stat()
        with os.scandir(path) as scan:
            entries = sorted(scan, key=lambda entry: entry.name)
    except OSError as error:
        raise ValueError(
            f"{path}: this folder may not be opened ({error.strerror}); change its permissions, or take it away."
        ) from None
    inside = above | {(stat.st_dev, stat.st_ino)}
    for entry in entries:
        entry_path = path / entry.name
        if _is_system_file(entry.name):
            continue
        if entry.is_dir():
            entry_stat = entry_path.stat()
            if (entry_stat.st_dev, entry_stat.st_ino) not in inside and not _is_tool_folder(entry_path):
                _take(folder, entry.name, _read(entry_path, inside))
        elif not entry.is_file():
            folder.left_out["a link to nothing" if entry.is_symlink() else "no file"] += 1
        elif is_image(entry_path):
            folder.images.append(entry_path)
        else:
            folder.left_out[entry_path.suffix.lower() or "without a suffix"] += 1
    _set_masks_apart(folder)
    return folder


def _take(parent: Folder, name: str, folder: Folder) -> None:
    if folder.folders or folder.images:
        parent.folders[name] = folder
    elif files := folder.all_left_out():
        parent.without[name] = files
    else:
        with os.scandir(folder.path) as entries:
            if folder.empty or not any(entries):  # but not one that holds run folders alone
                parent.empty.append(name)


def _is_system_file(name: str) -> bool:
    """Hidden, or what macOS, Windows and disk stations put beside people's files."""
    return name.startswith((".", "__")) or name.lower() in SYSTEM_FOLDERS | SYSTEM_FILES


def _is_tool_folder(path: Path) -> bool:
    """Whether a folder is a run of the course, a cache that says so, or a virtual environment."""
    names = {inside.name for inside in path.iterdir()} if os.access(path, os.R_OK | os.X_OK) else set()
    if names & {"CACHEDIR.TAG", "pyvenv.cfg"} or len(names & RUN_FILES) > 1:
        return True
    if "config.json" not in names:
        return False
    try:
        return {"format", "recipe"} <= set(json.loads((path / "config.json").read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return False


def _set_masks_apart(folder: Folder) -> None:
    """Leave out `scan_mask.png` where `scan.png` lies beside it: it is drawn over that image."""
    stems = {path.stem.lower() for path in folder.images}
    endings = "|".join(MASK_ENDINGS)

    def is_mask(path: Path) -> bool:
        match = re.fullmatch(rf"(.+?)[\s_.-]+({endings})[\s_.-]*\d*", path.stem.lower())
        return match is not None and match[1] in stems

    if masks := set(filter(is_mask, folder.images)):
        folder.left_out["masks of images beside them"] += len(masks)
        folder.images = [path for path in folder.images if path not in masks]


def summarize(left_out: Counter[str], *, most: int = 6) -> str:
    """What was left out, the most frequent first: "200 .heic (export it as JPEG ...), 3 .txt"."""
    parts = [
        f"{count} {kind}" + (f" ({why})" if (why := why_left_out(kind)) else "")
        for kind, count in left_out.most_common(most)
    ]
    rest = left_out.total() - sum(count for _, count in left_out.most_common(most))
    return ", ".join(parts + ([f"{rest} others"] if rest else []))
