import tempfile
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional as F
from torch.utils.data import Dataset
from torchvision.transforms.v2 import functional as V  # noqa: F401  # some wrong answers use it

from course_lib.exercises.draw import Draw
from course_lib.exercises.files import broken_pngs
from course_lib.exercises.task import DEFAULTS, Task, Wrong, refuse

FILES = (  # in the order of the items, with Pillow's mode, height and width
    ("ant/1.png", "RGB", 32, 64),
    ("ant/2.JPG", "L", 64, 64),
    ("bee/1.png", "RGBA", 64, 32),
    ("cat/1.png", "I;16", 96, 64),
    ("cat/2.jpeg", "RGB", 32, 32),
    ("dog/1.png", "L", 16, 32),  # no smaller: what `resize` does at an edge would reach into the next square
    ("eel/1.png", "L", 48, 96),
)
CLASSES = ["ant", "bee", "cat", "dog", "eel"]
HIDDEN = "What begins with a dot is ignored, in the root and in the classes."


def write_images(root, draw):
    """Write each file as two rows of four blocks."""
    for number, (name, mode, height, width) in reversed(list(enumerate(FILES))):
        gray = 20 + 25 * np.arange(8).reshape(2, 4) + 5 * number + draw.number(0, 4)
        bands = (gray, 250 - gray, np.full_like(gray, 60), np.full_like(gray, 255))
        blocks = np.stack(bands[: len(mode) if mode.startswith("RGB") else 1], axis=2).astype(np.uint8)
        pixels = blocks.repeat(height // 2, axis=0).repeat(width // 4, axis=1).squeeze()
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels.astype(np.uint16) * 256 + 99 if mode == "I;16" else pixels).save(root / name)
    for hidden in (".cache/1.png", "cat/.DS_Store", "notes.txt"):
        (root / hidden).parent.mkdir(exist_ok=True)
        (root / hidden).write_bytes(b"no image")


def write_white(root):
    pixels = np.full((5, 9), 255, dtype=np.uint8)
    for name, white in (("L", pixels), ("RGB", np.stack([pixels] * 3, axis=2)), ("deep", np.uint16(257) * pixels)):
        (root / "white").mkdir(parents=True, exist_ok=True)
        Image.fromarray(white).save(root / "white" / f"{name}.png")


class FolderImagesTask(Task):
    number, title, name, points = "03.7", "Your own images", "FolderImages", 2
    statement = """
The real piece of work: a `Dataset` for images of your own. They lie in one folder for each class, as in
`root/cat/1.png` and `root/dog/7.JPG`. The attribute `classes` lists the names of these folders, sorted, and a label
is a position in that list. Items come class by class, within a class sorted by file name. Whatever begins with a dot
is ignored, and so are files that lie beside the class folders. All else in a class folder should be an image.

Item `i` is a pair: the image as a float32 tensor (channels, size, size) in 0..1, and its label as a whole number. The
whole picture is squeezed into the square, without cropping or a border. `channels` is 1 or 3, whatever the file is:
gray becomes three equal channels, color becomes gray with Pillow's usual weights, and the opacity of an RGBA file is
dropped. Files with 8 bits per channel end at 255, gray ones with 16 bits (Pillow's mode `"I;16"`) at 65535.

A folder may hold more than memory does, so a file is read when its item is asked for and not before. A file that
cannot be read then, because it is no image or was cut short, must raise an error whose message holds the file's name:
in the ninth hour of a training nobody wants to guess which of 40,000 it was.
"""
    hints = (
        "In __init__ only list: sorted(root.iterdir()) for the classes, and a list of (path, label) for the files.",
        "In __getitem__ look at opened.mode: divide 16 bits by 65535, or convert to L or RGB and divide by 255.",
        "F.interpolate with antialias=True resizes a batch (1, C, H, W); .expand makes three equal channels of one.",
    )
    notice = (
        "Palettes, rotation flags of cameras and CMYK wait in real folders: `read_image` in "
        "`course_lib.data.decode` handles them. Look at a few items of each class before you train."
    )
    given = "a folder with gray, colored and transparent images, hidden and broken files"
    tolerance = 0.02  # gray values may be rounded, and resized in several ways

    def inputs(self, draw):
        for kind in (3, 1, "white", "broken"):
            yield kind, draw.number(0, 10**6)

    def shown(self, kind, seed):
        return f"size=32 and channels={kind}" if isinstance(kind, int) else f"a folder with {kind} images"

    def use(self, answer, kind, seed):
        with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
            root = Path(folder) / "animals"
            if kind == "white":
                write_white(root)
                images = [answer(root, size=7)[index][0] for index in range(3)]
                return {"how far white is from 1, in percent": [100 - 100 * image for image in images]}
            write_images(root, Draw(seed))
            if kind == "broken":
                return {"whether errors name the file": self.errors_of(answer, root)}
            data = answer(root, size=32, channels=kind)
            classes = list(data.classes)
            slips = [(".cache" in classes, HIDDEN), ("notes.txt" in classes, "Only folders are classes: `is_dir()`.")]
            slips += [(sorted(classes) == CLASSES, "Folders come in the order of the disk: sort them.")]
            slip = next((words for holds, words in slips if holds), "")
            refuse(f"{CLASSES}", (classes != CLASSES, f"classes {classes}", slip))
            slip = HIDDEN if len(data) > 7 else "Names may end in .JPG or .jpeg, too: take all files."
            refuse("7 images", (len(data) != 7, f"a length of {len(data)}", slip))
            items = [data[index] for index in range(7)]
        observed = {"the number of a class": [label for _, label in items]}
        for (name, mode, *_), (image, _) in zip(FILES, items, strict=True):
            self.look_at(image, kind, f"the image of {name} (mode {mode})")
            observed[f"the image of {name} (mode {mode}), in the middle of 4 x 4 squares"] = image[:, 4::8, 4::8]
        return observed

    def look_at(self, image, channels, name):
        kind, slip = type(image).__name__, "Use `torch.from_numpy`."
        refuse("a tensor", (not isinstance(image, Tensor), f"{name} is of type {kind}", slip))
        shape, expected = tuple(image.shape), (channels, 32, 32)
        slip = {
            (32, 32, channels): "The channels come first: `permute(2, 0, 1)`.",
            (4, 32, 32): "The fourth channel of an RGBA file is its opacity: drop it.",
            (1, 32, 32): "A gray file must become three equal channels.",
            (3, 32, 32): "A file in color must become one channel of gray.",
        }.get(shape, "(channels, size, size) is the shape for each file, whatever its own.")
        refuse(f"{expected}", (shape != expected, f"{name} has shape {shape}", slip))
        slip = "`.float()` turns it into that."
        refuse("torch.float32", (image.dtype != torch.float32, f"{name} is {image.dtype}", slip))

    def errors_of(self, answer, root):
        whole = (root / "ant/1.png").read_bytes()
        broken = {"2.png": b"no image", "3.png": whole[: len(whole) // 2]} | broken_pngs()
        for name, content in broken.items():
            (root / "eel" / name).write_bytes(content)
        try:
            data = answer(root, size=32, channels=1)
        except (OSError, RuntimeError, SyntaxError, ValueError) as error:
            found = f"making the dataset read a broken file ({type(error).__name__})"
            slip = "Read a file in `__getitem__`: memory holds no 40,000 files, and one bad file would stop all."
            raise Wrong(found, "no file read", slip) from error
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
        return list(broken)


# Answers


# fmt: off
class FolderImages(Dataset):
    """Images in class folders: item i is float32 (channels, size, size) in 0..1 and a label."""

    def __init__(self, root: Path, *, size: int, channels: int = 1) -> None:
        folders = [folder for folder in sorted(root.glob("[!.]*")) if folder.is_dir()]
        self.classes = [folder.name for folder in folders]
        self.files = [(path, k) for k, f in enumerate(folders) for path in sorted(f.glob("[!.]*"))]
        self.size, self.channels = size, channels

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        path, label = self.files[index]
        try:
            with Image.open(path) as opened:
                deep = opened.mode.startswith("I")  # 16 bits: convert() would cut them off at 255
                usual = opened if deep else opened.convert("L" if self.channels == 1 else "RGB")
                pixels = np.array(usual, dtype=np.float32) / (65535 if deep else 255)
        except (OSError, SyntaxError, ValueError) as error:
            raise ValueError(f"{path} cannot be read as an image: {error}") from error
        image = torch.from_numpy(np.atleast_3d(pixels)).permute(2, 0, 1)  # (1 or 3, H, W)
        square = F.interpolate(image[None], (self.size,) * 2, mode="bilinear", antialias=True)[0]
        return square.expand(self.channels, -1, -1), label
# fmt: on


DEPTH, GRAY, ERRORS = (
    "65535 if deep else 255",
    '"L" if self.channels == 1 else "RGB"',
    "(OSError, SyntaxError, ValueError)",
)
SQUARE = 'F.interpolate(image[None], (self.size,) * 2, mode="bilinear", antialias=True)[0]'
AXES, EXPAND, LISTED = ".permute(2, 0, 1)", ".expand(self.channels, -1, -1)", 'f.glob("[!.]*")'
slips = [
    ({'opened.mode.startswith("I")': "False"}, "All is white: `convert` cuts off at 255. Divide by 65535 before."),
    ({DEPTH: "255"}, "16 bits end at 65535: divide by that."),
    ({DEPTH: "65535 if deep else 1"}, "8 bits end at 255: divide by that."),
    ({DEPTH: "65536 if deep else 256"}, "The largest number of 8 bits is 255, not 256."),
    ({"channels: int = 1": "channels: int = 3"}, DEFAULTS),
    ({DEPTH: "np.array(usual).max()"}, "A file's own maximum hides how it was exposed: divide by 255 or 65535."),
    ({AXES: f"{AXES}.flip(0)"}, "Red and blue are exchanged: Pillow reads RGB, OpenCV BGR."),
    ({AXES: ".permute(2, 1, 0)"}, "Rows and columns are exchanged: `permute(2, 0, 1)`."),
    ({AXES: ".reshape(-1, *pixels.shape[:2])"}, "`reshape` and `view` move no axis: `permute(2, 0, 1)` does."),
    (
        {GRAY: '"RGB"', "image[None]": "(image.mean(0, keepdim=True) if self.channels == 1 else image)[None]"},
        "Pillow's gray weighs green most and blue least: `convert('L')` does it.",
    ),
    (
        {SQUARE: "V.center_crop(V.resize(image, [self.size]), [self.size])"},
        "The sides of the picture are missing: squeeze it, do not crop it.",
    ),
    (
        {SQUARE: "V.resize(V.center_crop(image, [max(image.shape)]), [self.size] * 2)"},
        "There is a border where the picture should be: squeeze it, do not pad it.",
    ),
    ({DEPTH: "65535"}, "This file has 8 bits: divide by 255, not by 65535."),
    ({f"sorted({LISTED})": f"sorted({LISTED})[::-1]"}, "That is another file: sort a class's files by name."),
    ({"), label": "), self.classes[label]"}, "A label is a position in `classes`, not the name."),
]
also_wrong = [
    ({"return square": "return square.double()"}, "torch.float32"),
    ({GRAY: "opened.mode", EXPAND: ".expand(max(3, len(square)), -1, -1)"}, "is its opacity"),
    ({EXPAND: ""}, "three equal channels"),
    ({EXPAND: ".expand(3, -1, -1)"}, "must become one channel"),
    ({EXPAND: ".permute(1, 2, 0)"}, "The channels come first"),
    ({SQUARE: "V.resize(image, [self.size])"}, "whatever its own"),
    ({EXPAND: ".numpy()"}, "Use `torch.from_numpy`"),
    ({LISTED: "f.iterdir()"}, "begins with a dot"),
    ({LISTED: 'f.glob("*.png")'}, "take all files"),
    ({'sorted(root.glob("[!.]*"))': 'sorted(root.glob("[!.]*"), key=lambda f: f.name[::-1])'}, "order of the disk"),
    ({"if folder.is_dir()": ""}, "is_dir()"),
    (
        {"= size, channels": "= size, channels\n        [self[k] for k in range(len(self))]"},
        "Read a file in `__getitem__`",
    ),
    ({"{path} cannot": "it cannot"}, "Catch it where"),
    ({ERRORS: "OSError"}, "several errors"),
    (
        {'raise ValueError(f"{path} cannot be read as an image: {error}") from error': "pixels = np.zeros((9, 9))"},
        "must not pass",
    ),
]
also_right = [
    {SQUARE: "V.resize(image, [self.size] * 2, antialias=True)"},
    {
        f"convert({GRAY})": f"convert({GRAY}).resize((self.size, self.size))",
        f"np.array(usual, dtype=np.float32) / ({DEPTH})": "np.float32(np.array(usual) // (256 if deep else 1)) / 255",
    },
]
