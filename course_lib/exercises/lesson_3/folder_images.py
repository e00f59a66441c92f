"""Checks of lesson 3: of a data set of one's own images."""

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from course_lib.exercises.files import broken_pngs
from course_lib.exercises.legacy import DEFAULTS, Wrong, expect, refuse, task

FILES = (  # in the order of the items, with Pillow's mode, height and width
    ("ant/1.png", "RGB", 32, 64),
    ("ant/2.JPG", "L", 64, 64),
    ("bee/1.png", "RGBA", 64, 32),
    ("cat/1.png", "I;16", 96, 64),
    ("cat/2.jpeg", "RGB", 32, 32),
    ("dog/1.png", "L", 8, 16),
    ("eel/1.png", "L", 48, 96),
)
CLASSES = ["ant", "bee", "cat", "dog", "eel"]


def _levels(number: int, mode: str) -> np.ndarray[Any, Any]:
    """uint8 (2, 4, bands): what a file shows, two rows of four blocks."""
    gray = (20 + 25 * np.arange(8) + 5 * number).reshape(2, 4)
    bands = (gray, 250 - gray, np.full_like(gray, 60), np.full_like(gray, 255))
    return np.stack(bands[: len(mode) if mode.startswith("RGB") else 1], axis=2).astype(np.uint8)


def _write_images(root: Path) -> None:
    for number, (name, mode, height, width) in reversed(list(enumerate(FILES))):
        pixels = _levels(number, mode).repeat(height // 2, axis=0).repeat(width // 4, axis=1).squeeze()
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels.astype(np.uint16) * 256 + 99 if mode == "I;16" else pixels).save(root / name)
    for hidden in (".cache/1.png", "cat/.DS_Store", "notes.txt"):
        (root / hidden).parent.mkdir(exist_ok=True)
        (root / hidden).write_bytes(b"no image")


def _shown(number: int, channels: int) -> Tensor:
    """float (channels, 2, 4): what item `number` should show in the middle of each block."""
    colors = torch.from_numpy(_levels(number, FILES[number][1])[..., :3]).permute(2, 0, 1) / 255
    if channels < len(colors):
        colors = torch.einsum("chw,c->hw", colors, torch.tensor([0.299, 0.587, 0.114]))[None]
    return colors.expand(channels, -1, -1)


def _judge_image(found: Any, number: int, channels: int) -> None:
    of = f"the image of {FILES[number][0]} (mode {FILES[number][1]}), size=32 and channels={channels},"
    refuse(
        "a tensor",
        (not isinstance(found, Tensor), f"{of} is of type {type(found).__name__}", "Use `torch.from_numpy`."),
    )
    shape, wanted = tuple(found.shape), (channels, 32, 32)
    slip = {
        (32, 32, channels): "The channels come first: `permute(2, 0, 1)`.",
        (4, 32, 32): "The fourth channel of an RGBA file is its opacity: drop it.",
        (1, 32, 32): "A gray file must become three equal channels.",
        (3, 32, 32): "A file in color must become one channel of gray.",
    }.get(shape, "(channels, size, size) is the shape for each file, whatever its own.")
    refuse(f"{wanted}", (shape != wanted, f"{of} has shape {shape}", slip))
    refuse("torch.float32", (found.dtype != torch.float32, f"{of} is {found.dtype}", "`.float()` turns it into that."))
    right = _shown(number, channels)
    blocks = found[:, [4, 28]][:, :, [4, 12, 20, 28]]
    deep = FILES[number][1] == "I;16"
    bits = "16 bits end at 65535: divide by that." if deep else "8 bits end at 255: divide by that."
    plain = torch.from_numpy(_levels(number, FILES[number][1])[..., :3] / 255).float().permute(2, 0, 1)
    large = right.repeat_interleave(16, dim=1).repeat_interleave(8, dim=2)
    scrambled = large.permute(1, 2, 0).reshape(channels, 32, 32)[:, [4, 28]][:, :, [4, 12, 20, 28]]
    dark = "This file has 8 bits: divide by 255, not by 65535."
    if not blocks.any():
        dark = "There is a border where the picture should be: squeeze it, do not pad it."
    slips = [
        (torch.ones_like(right), "All is white: `convert` cuts 16 bits off at 255. Divide by 65535 before."),
        *((right * factor, bits) for factor in (255, 65535)),
        (right * 0, dark),
        (right / right.max(), "A file's own maximum hides how it was exposed: divide by 255 or 65535."),
        (right.flip(0), "Red and blue are exchanged: Pillow reads RGB, OpenCV BGR."),
        (right[:, [0, 0, 1, 1]][..., [0, 3]].mT, "Rows and columns are exchanged: `permute(2, 0, 1)`."),
        (scrambled, "`reshape` and `view` move no axis, they cut it up again: `permute(2, 0, 1)` moves them."),
        (plain.mean(dim=0, keepdim=True), "Pillow's gray weighs green most and blue least: `convert('L')` does it."),
        (right[..., [1, 1, 2, 2]], "The sides of the picture are missing: squeeze it, do not crop it."),
        *((_shown(other, channels), "That is another file: sort a class's files by name.") for other in range(7)),
    ]
    expect(blocks, right, of=f"{of} in the middle of 2 x 4 blocks,", slips=slips, tolerance=0.02)


def _judge_broken(answer: Callable[..., Any], root: Path) -> None:
    whole = (root / "ant/1.png").read_bytes()
    broken = {"2.png": b"no image", "3.png": whole[: len(whole) // 2]} | broken_pngs()
    for name, content in broken.items():
        (root / "eel" / name).write_bytes(content)
    early = "Read a file in `__getitem__`: with 40,000 files memory would not do, and one bad file would stop all."
    try:
        data = answer(root, size=32, channels=1)
    except (OSError, RuntimeError, SyntaxError, ValueError) as error:
        raise Wrong(f"making the dataset read a broken file ({type(error).__name__})", "no file read", early) from error
    for index, name in enumerate(broken, 7):
        try:
            data[index]
            found, slip = f"item {index}, eel/{name}, was returned", "A broken file must not pass as an image."
        except Exception as error:  # of whatever type, if it names the file
            found = f"eel/{name}, which is {'no image' if index == 7 else 'broken'}, raised {error!r}"
            slip = "Catch it where the file is decoded, and raise a ValueError with the path in its message."
            if index > 8:
                slip = "Pillow has several errors for broken files; `except Exception` catches them all."
            if name in str(error):
                continue
        raise Wrong(found, "an error whose message holds the file's name", slip)


def _judge_white(answer: Callable[..., Any], root: Path) -> None:
    """White shows what a file was divided by to the last digit, whatever method resizes it."""
    pixels = np.full((5, 9), 255, dtype=np.uint8)
    for name, white in (("L", pixels), ("RGB", np.stack([pixels] * 3, axis=2)), ("deep", np.uint16(257) * pixels)):
        (root / "white").mkdir(parents=True, exist_ok=True)
        Image.fromarray(white).save(root / "white" / f"{name}.png")
    one = torch.ones(1, 7, 7)
    slips = [(one * 255 / 256, "The largest number of 8 bits is 255, not 256."), (one.expand(3, -1, -1), DEFAULTS)]
    for image, _ in (answer(root, size=7)[index] for index in range(3)):
        expect(image, one, of="a white image with size=7", slips=slips, tolerance=1e-3)


@task(
    "03.7",
    "Your own images",
    "In __init__ only list: sorted(root.iterdir()) for the classes, and a list of (path, label) for the files.",
    "In __getitem__ look at opened.mode: divide 16 bits by 65535, or convert to L or RGB and divide by 255.",
    "F.interpolate with antialias=True resizes a batch (1, C, H, W); .expand makes three equal channels of one.",
)
def folder_images(answer: Callable[..., Any]) -> str:
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        root = Path(folder) / "animals"
        _write_images(root)
        for channels in (3, 1):
            data = answer(root, size=32, channels=channels)
            classes = list(data.classes)
            hidden = "What begins with a dot is ignored, in the root and in the classes."
            slips = [(".cache" in classes, hidden), ("notes.txt" in classes, "Only folders are classes: `is_dir()`.")]
            slips += [(sorted(classes) == CLASSES, "Folders come in the order of the disk: sort them.")]
            slip = next((said for holds, said in slips if holds), "")
            refuse(f"{CLASSES}", (classes != CLASSES, f"classes {classes}", slip))
            sizes = [(8, hidden), *((less, "Names may end in .JPG or .jpeg, too: take all files.") for less in (5, 6))]
            expect(len(data), 7, of="len of a dataset with 7 images", slips=sizes)
            items = [data[index] for index in range(7)]
            labels = [CLASSES.index(name[:3]) for name, *_ in FILES]
            names = [(names := [name[:3] for name, *_ in FILES], "A label is a position in `classes`, not the name.")]
            expect([label for _, label in items], labels, of="the labels of all items", slips=names)
            for number, (image, _) in enumerate(items):
                _judge_image(image, number, channels)
        _judge_white(answer, Path(folder) / "papers")
        _judge_broken(answer, root)
    return (
        "Palettes, rotation flags of cameras and CMYK wait in real folders: `read_image` in `course_lib.data.decode` "
        "handles them. Look at a few items of each class before you train."
    )
