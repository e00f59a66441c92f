"""Colors of 16 bits a channel, for which Pillow has no mode: by itself it keeps the upper byte of each value."""

import sys
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

BITS, PLANAR, EXTRA = 258, 284, 338  # tags of TIFF 6.0
SEPARATE, OPACITY = 2, 2
# Pillow's letters for the order of a value's bytes: B, the upper one first; L, the lower; N, as the computer has them.
OTHER = {"B": "L", "L": "B", "N": "B" if sys.byteorder == "little" else "L"}


def read_deep_colors(image: Any, path: Path) -> NDArray[np.uint16] | None:
    """The values of a color picture with 16 bits a channel, from PNG, TIFF or binary PPM; None for any other picture.

    Told that the bytes come in the other order, Pillow keeps the lower one: the file is decoded twice.

    Args:
        image: opened and not yet decoded; where the answer is not None, it is decoded.
        path: of the same file.

    Returns:
        uint16 (H, W, C), where C is 3, or 4 with the opacity, or 2 for gray with the opacity.
    """
    order = _order(image)
    if not order:
        return None
    if _arguments(image.tile[0])[0] == "LA;16B":  # four bytes a pixel, as RGBA has
        return _decoded(image, "").view(">u2").astype(np.uint16)
    with Image.open(path) as again:
        values = _decoded(image, order) * np.uint16(256) + _decoded(again, OTHER[order])
    if isinstance(clear := image.info.get("transparency"), tuple):  # the one color of a PNG that is not shown
        values[(values == clear).all(axis=2)] = 0
    extra = getattr(image, "tag_v2", {}).get(EXTRA, (OPACITY,))
    return values if extra[0] == OPACITY else values[..., :3]  # multiplied already, or something else


def has_separate_planes(image: Any) -> bool:
    """Whether a picture is a color TIFF with 16 bits a channel, one channel stored after the other."""
    tags = getattr(image, "tag_v2", {})
    deep = image.mode in ("RGB", "RGBA") and (tags.get(BITS) or (0,))[0] == 16
    return deep and tags.get(PLANAR) == SEPARATE


def _order(image: Any) -> str:
    """The order of the bytes as a letter; empty for a picture of another kind."""
    if image.format not in ("PNG", "PPM", "TIFF") or not image.tile:
        return ""
    decoder, arguments = image.tile[0][0], _arguments(image.tile[0])
    if decoder == "ppm":
        return "B" if arguments == ("RGB", 65535) else ""
    if has_separate_planes(image):  # libtiff takes the upper bytes of these, whatever it is told
        return ("L" if image.tag_v2.prefix == b"II" else "B") if decoder == "raw" else ""
    kind, _, order = str(arguments[0]).partition(";16")
    return order if kind in ("RGB", "RGBX", "RGBA", "RGBa", "LA") else ""


def _arguments(tile: Any) -> tuple[Any, ...]:
    """What Pillow tells the decoder of a part of the picture: first, how values lie in the file, such as "RGB;16B"."""
    return tile[3] if isinstance(tile[3], tuple) else (tile[3],)


def _decoded(image: Any, order: str) -> NDArray[np.uint8]:
    """The upper bytes of all values, or the lower ones where another order than the file's is given."""
    tiles = []
    for tile in image.tile:
        decoder, box, offset, _ = tile
        letters, *others = _arguments(tile)
        letters = str(letters).partition(";")[0].upper()  # RGBa would be divided by its opacity
        mode = f"{letters};16{order}" if order else "RGBA"
        made = ("raw", box, offset, (mode,)) if decoder == "ppm" else (decoder, box, offset, (mode, *others))
        if letters:  # a plane of no meaning has none
            tiles.append(getattr(tile, "_make", tuple)(made))  # plain tuples before Pillow 11
    image.tile = tiles
    image.load()
    return np.array(image)
