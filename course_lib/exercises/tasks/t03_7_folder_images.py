import tempfile
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor
from torch.nn import functional as F
from torch.utils.data import Dataset
from torchvision.transforms.v2 import functional as V

from course_lib.exercises.draw import Draw
from course_lib.exercises.files import broken_pngs
from course_lib.exercises.task import DEFAULTS, Task, Wrong, refuse

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
                return {
                    "how far white is from 1, in percent": [100 - 100 * answer(root, size=7)[k][0] for k in range(3)]
                }
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
        found = {"the number of a class": [label for _, label in items]}
        for (name, mode, *_), (image, _) in zip(FILES, items, strict=True):
            self.look_at(image, kind, f"the image of {name} (mode {mode})")
            found[f"the image of {name} (mode {mode}), in the middle of 4 x 4 squares"] = image[:, 4::8, 4::8]
        return found

    def look_at(self, found, channels, of):
        kind, slip = type(found).__name__, "Use `torch.from_numpy`."
        refuse("a tensor", (not isinstance(found, Tensor), f"{of} is of type {kind}", slip))
        shape, expected = tuple(found.shape), (channels, 32, 32)
        slip = {
            (32, 32, channels): "The channels come first: `permute(2, 0, 1)`.",
            (4, 32, 32): "The fourth channel of an RGBA file is its opacity: drop it.",
            (1, 32, 32): "A gray file must become three equal channels.",
            (3, 32, 32): "A file in color must become one channel of gray.",
        }.get(shape, "(channels, size, size) is the shape for each file, whatever its own.")
        refuse(f"{expected}", (shape != expected, f"{of} has shape {shape}", slip))
        slip = "`.float()` turns it into that."
        refuse("torch.float32", (found.dtype != torch.float32, f"{of} is {found.dtype}", slip))

    def errors_of(self, answer, root):
        whole = (root / "ant/1.png").read_bytes()
        broken = {"2.png": b"no image", "3.png": whole[: len(whole) // 2]} | broken_pngs()
        for name, content in broken.items():
            (root / "eel" / name).write_bytes(content)
        try:
            data = answer(root, size=32, channels=1)
        except (OSError, RuntimeError, SyntaxError, ValueError) as error:
            slip = (
                "Read a file in `__getitem__`: with 40,000 files memory would not do, and one bad file would stop all."
            )
            raise Wrong(
                f"making the dataset read a broken file ({type(error).__name__})", "no file read", slip
            ) from error
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


class Folder:
    """A right answer with torchvision; the others change a part of it."""

    def __init__(self, root, *, size, channels=1):
        self.classes = self.order(f.name for f in root.glob("[!.]*") if f.is_dir())
        found = [(path, k) for k, name in enumerate(self.classes) for path in self.listed(root / name)]
        self.paths, self.labels, self.size, self.channels = [p for p, _ in found], [k for _, k in found], size, channels

    order = staticmethod(sorted)

    def listed(self, folder):
        return sorted(folder.glob("[!.]*"))

    def __len__(self):
        return len(self.paths)

    def __getitem__(self, index):
        try:
            return self.image(self.paths[index]), self.labels[index]
        except Exception as error:
            raise RuntimeError(f"broken: {self.paths[index].name}") from error

    def image(self, path):
        return V.resize(self.read(path), [self.size, self.size], antialias=True).expand(self.channels, -1, -1)

    def read(self, path):
        """float (1 or channels, height, width)."""
        with Image.open(path) as opened:
            usual = opened if opened.mode == "I;16" else opened.convert("L" if self.channels == 1 else "RGB")
            return V.to_dtype(V.to_image(usual), torch.float32, scale=True)


def folder(**methods):
    return type("FolderImages", (Folder,), methods)


def changed(change):
    """An answer that changes the right image: a function of it and the data set."""
    return folder(image=lambda self, path: change(Folder.image(self, path), self))


def small(self, path, mode=None):
    with Image.open(path) as opened:
        gray, usual = opened.mode == "I;16" and mode == "F", "L" if self.channels == 1 else "RGB"
        return (opened if mode == "" else opened.convert("F" if gray else usual)).resize((self.size, self.size))


def tensor(picture):
    return torch.from_numpy(np.atleast_3d(np.array(picture, dtype=np.float32)) / 255).permute(2, 0, 1)


def deep_by_hand(self, path):
    with Image.open(path) as opened:
        deep = Image.fromarray((np.asarray(opened) // 256).astype("uint8")) if opened.mode == "I;16" else opened
        usual = deep.convert("L" if self.channels == 1 else "RGB").resize((self.size, self.size))
    return torch.tensor(np.array(usual) / 255).float().view(self.size, self.size, -1).movedim(2, 0)


def mean_of_colors(self, path):
    with Image.open(path) as opened:
        usual = opened if opened.mode in ("I;16", "L") else opened.convert("RGB")
        image = V.to_dtype(V.to_image(usual), torch.float32, scale=True)
    return image.mean(dim=0, keepdim=True) if self.channels == 1 else image


def cropped(self, path):
    image = V.center_crop(V.resize(self.read(path), [self.size]), [self.size, self.size])
    return image.expand(self.channels, -1, -1)


def padded(self, path):
    with Image.open(path) as opened:
        return tensor(ImageOps.pad(opened.convert("L" if self.channels == 1 else "RGB"), (self.size, self.size)))


def with_opacity(self, path):
    image = tensor(small(self, path, ""))
    return image if len(image) > 1 else image.expand(3, -1, -1)


class Color(Folder):
    def __init__(self, root, *, size, channels=3):
        super().__init__(root, size=size, channels=channels)


class FilesAreClasses(Folder):
    def __init__(self, root, **given):
        super().__init__(root, **given)
        self.classes = sorted(path.name for path in root.glob("[!.]*"))


class AllAtOnce(Folder):
    def __init__(self, root, **given):
        super().__init__(root, **given)
        self.images = [self.image(path) for path in self.paths]

    def __getitem__(self, index):
        return self.images[index], self.labels[index]


class NamesForLabels(Folder):
    def __getitem__(self, index):
        image, label = super().__getitem__(index)
        return image, self.classes[label]


class NamesNoFile(Folder):
    def __getitem__(self, index):
        return self.image(self.paths[index]), self.labels[index]


class OneError(Folder):
    def __getitem__(self, index):
        try:
            return self.image(self.paths[index]), self.labels[index]
        except OSError as error:
            raise ValueError(f"broken: {self.paths[index].name}") from error


class Zeros(Folder):
    def __getitem__(self, index):
        try:
            return super().__getitem__(index)
        except RuntimeError:
            return torch.zeros(self.channels, self.size, self.size), self.labels[index]


slips = [
    (
        folder(image=lambda self, path: tensor(small(self, path))),
        "All is white: `convert` cuts 16 bits off at 255. Divide by 65535 before.",
    ),
    (
        folder(image=lambda self, path: tensor(small(self, path, "F")).expand(self.channels, -1, -1)),
        "16 bits end at 65535: divide by that.",
    ),
    (changed(lambda image, _: image * 255), "8 bits end at 255: divide by that."),
    (changed(lambda image, _: image * 255 / 256), "The largest number of 8 bits is 255, not 256."),
    (Color, DEFAULTS),
    (
        changed(lambda image, _: image / image.max()),
        "A file's own maximum hides how it was exposed: divide by 255 or 65535.",
    ),
    (changed(lambda image, _: image.flip(0)), "Red and blue are exchanged: Pillow reads RGB, OpenCV BGR."),
    (changed(lambda image, _: image.mT), "Rows and columns are exchanged: `permute(2, 0, 1)`."),
    (
        changed(lambda image, self: image.permute(1, 2, 0).reshape(image.shape)),
        "`reshape` and `view` move no axis, they cut it up again: `permute(2, 0, 1)` moves them.",
    ),
    (folder(read=mean_of_colors), "Pillow's gray weighs green most and blue least: `convert('L')` does it."),
    (folder(image=cropped), "The sides of the picture are missing: squeeze it, do not crop it."),
    (folder(image=padded), "There is a border where the picture should be: squeeze it, do not pad it."),
    (changed(lambda image, _: image * 255 / 65535), "This file has 8 bits: divide by 255, not by 65535."),
    (
        folder(listed=lambda self, path: sorted(path.glob("[!.]*"))[::-1]),
        "That is another file: sort a class's files by name.",
    ),
    (NamesForLabels, "A label is a position in `classes`, not the name."),
]
also_wrong = [
    (changed(lambda image, _: image.double()), "torch.float32"),
    (folder(image=with_opacity), "is its opacity"),
    (changed(lambda image, _: image[:1] if torch.equal(image[0], image[-1]) else image), "three equal channels"),
    (changed(lambda image, _: image.expand(3, -1, -1)), "must become one channel"),
    (changed(lambda image, _: image.permute(1, 2, 0)), "The channels come first"),
    (
        folder(image=lambda self, path: V.resize(self.read(path), [self.size]).expand(self.channels, -1, -1)),
        "whatever its own",
    ),
    (folder(image=small), "Use `torch.from_numpy`"),
    (folder(listed=lambda self, path: sorted(path.iterdir())), "begins with a dot"),
    (folder(listed=lambda self, path: sorted(path.glob("*.png"))), "take all files"),
    (folder(order=staticmethod(lambda names: sorted(names, key=lambda name: name[::-1]))), "order of the disk"),
    (FilesAreClasses, "is_dir()"),
    (AllAtOnce, "Read a file in `__getitem__`"),
    (NamesNoFile, "Catch it where"),
    (OneError, "several errors"),
    (Zeros, "must not pass"),
]
also_right = [Folder, folder(image=deep_by_hand)]
