"""Pixels of any depth, sign and polarity to 8 bits, 0 for black."""

import logging
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms

from course_lib.data.deep_colors import OPACITY, has_separate_planes, read_deep_colors

Values = NDArray[Any]
BITS, PHOTOMETRIC, SAMPLE_FORMAT = 258, 262, 339  # tags of TIFF 6.0
MIN_IS_WHITE, SIGNED = 0, 2


def to_8_bit(values: Values, *, bits: int | None = None, signed: bool = False, inverted: bool = False) -> Values:
    """Values of any type, (H, W) or (H, W, C), to uint8.

    White is the largest number of as many bits as the brightest pixel, in whatever channel, needs, at least 8, as
    scanners often store 10 or 12 bits in 16; floating-point values up to 1 are scaled from there. Black is 0, or, where
    pixels lie below, the next power of two below the darkest. NaN and infinite pixels become black.

    Args:
        values: the pixels.
        bits: where it is known: how many each value has, if they are fewer than its type has room for.
        signed: the values of a file that can hold negative ones.
        inverted: the smallest value is white.

    >>> to_8_bit(np.array([0, 1023], np.uint16)).tolist(), to_8_bit(np.array([-128, 127], np.int8)).tolist()
    ([0, 255], [0, 255])
    """
    floating = np.issubdtype(values.dtype, np.floating)
    wide = np.nan_to_num(values.astype(np.float64), posinf=0, neginf=0)
    darkest, brightest = float(wide.min()), float(wide.max())
    if floating and brightest <= 1 and darkest >= -1:
        black, white = _power_below(darkest), 1.0
    elif signed and bits == 8:
        black, white = -128.0, 127.0
    else:
        least = bits or (7 if darkest < 0 else 8)
        black, white = _power_below(darkest), 2.0 ** max(least, int(brightest).bit_length()) - 1
    scaled = ((wide - black) * 255 / (white - black)).round().clip(0, 255).astype(np.uint8)
    return 255 - scaled if inverted else scaled


def _power_below(darkest: float) -> float:
    return -float(2 ** np.ceil(np.log2(-darkest))) if darkest < 0 else 0.0


def as_8_bit(image: Image.Image, path: Path) -> Image.Image:
    """A picture of any mode, opened from `path` and not yet decoded: 8 bits a channel, without transparency."""
    colors = read_deep_colors(image, path)
    if colors is not None:
        return _picture(colors)
    if has_separate_planes(image):
        with suppress(NotImplementedError):
            return read_tiff(path)
    image.load()
    deep = image.mode.startswith("I") or image.mode == "F"
    tags = getattr(image, "tag_v2", {})
    bits, signed = (tags.get(BITS) or (None,))[0], SIGNED in tags.get(SAMPLE_FORMAT, ())
    if deep or (signed and image.mode == "L"):
        values = np.asarray(image)
        if bits == 8:
            values = values.view(np.int8)
        elif bits == 32 and not signed and image.mode == "I":  # Pillow holds them as signed ones
            values = values.view(np.uint32)
        known = bits if bits in (8, 10, 12, 14) else None
        inverted = deep and tags.get(PHOTOMETRIC) == MIN_IS_WHITE
        return Image.fromarray(to_8_bit(values, bits=known, signed=signed, inverted=inverted))
    if image.mode == "LAB":
        profiles = ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB")
        return ImageCms.profileToProfile(image, *profiles, outputMode="RGB") or image
    if "transparency" in image.info or "A" in image.getbands() or "a" in image.getbands():
        return _over_black(image)
    return image


def _over_black(image: Image.Image) -> Image.Image:
    colors = image.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", colors.size, "black"), colors)


def _picture(values: Values, **kind: Any) -> Image.Image:
    """Values (H, W) or (H, W, C), the last of two or four channels being the opacity; of a `kind` as `to_8_bit` has."""
    if values.ndim == 3 and values.shape[2] == 1:
        values = values[..., 0]
    if values.ndim == 2 or values.shape[2] == 3:
        return Image.fromarray(to_8_bit(values, **kind))
    pixels = [to_8_bit(part, **kind) for part in (values[..., :-1], values[..., -1:])]
    return _over_black(Image.fromarray(np.concatenate(pixels, axis=2)))


def read_tiff(path: Path) -> Image.Image:
    """The first page of a TIFF file of a kind that Pillow does not know, such as 64-bit numbers.

    Raises:
        NotImplementedError: no package that is installed knows it either; the message says of which kind it is.
    """
    if find_spec("tifffile") is None:
        raise NotImplementedError("of a kind that Pillow does not know; `pip install tifffile` may read it")
    import tifffile

    logging.getLogger("tifffile").addHandler(logging.NullHandler())  # what it has to say is in the error
    with tifffile.TiffFile(path) as file:
        page: Any = file.pages[0]
        kind = f"{page.bitspersample} bits, {getattr(page.photometric, 'name', page.photometric)}"
        try:
            values = page.asarray()
        except (ImportError, NotImplementedError, ValueError) as error:
            raise NotImplementedError(f"{kind}: {str(error).partition(chr(10))[0]}") from error
        if page.planarconfig == 2 and values.ndim == 3:
            values = np.moveaxis(values, 0, -1)
        if values.ndim not in (2, 3) or np.issubdtype(values.dtype, np.complexfloating):
            raise NotImplementedError(f"{kind}, {values.dtype} {values.shape}")
        if values.ndim == 3 and values.shape[2] != 3:
            opaque = page.extrasamples[:1] != (OPACITY,)
            values = values[..., :1] if values.shape[2] < 3 else values[..., : 3 if opaque else 4]
        signed = np.issubdtype(values.dtype, np.signedinteger)
        bits = page.bitspersample if page.bitspersample in (8, 10, 12, 14) else None
        inverted = page.photometric == MIN_IS_WHITE
        return _picture(values, bits=bits, signed=bool(signed), inverted=inverted)
