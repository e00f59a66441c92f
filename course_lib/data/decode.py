"""Image files of any kind to uint8 tensors of one shape."""

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import torch
from PIL import Image, UnidentifiedImageError
from torch import Tensor

from course_lib.data.dicom import read_dicom
from course_lib.data.formats import CONTENTS, RAW_SUFFIXES, fault, first_bytes, is_dicom
from course_lib.data.levels import as_8_bit, read_tiff
from course_lib.files import as_path
from course_lib.progress import watched
from course_lib.runtime import naming_memory

NAMED_AT_ONCE = 20  # files that cannot be read
TURNS = {  # the EXIF orientation, and what brings the picture upright
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def read_image(path: str | Path, *, image_size: int, channels: int) -> tuple[Tensor, tuple[int, int]]:
    """One file as a square image, and the height and width that it had.

    The whole picture is squeezed into the square: nothing is cropped, and no border is added from which a network could
    read the aspect ratio. Palettes are looked up, transparency is laid over black, the camera's rotation is applied; of
    a file with many pages or frames the first is taken. How more than 8 bits become 8 is told at `levels.to_8_bit`.
    Color files that state a depth below 16 bits (AVIF, JPEG 2000, PPM) are scaled by that. The upper 8 of 16 bits are
    kept in CMYK, in the palette of a TIFF, in SGI, in color JPEG 2000, and in color PPM written as text.

    Args:
        path: PNG, JPEG or another format that Pillow reads; DICOM where pydicom is installed.
        image_size: height and width of the result, in pixels.
        channels: 1 for gray, 3 for color.

    Returns:
        uint8 (channels, image_size, image_size), and (height, width) of the file in pixels.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the file cannot be read; the message names it, and says whether it is damaged, cut short, no image,
            or of a format that is not read, and what to do.
    """
    path = as_path(path)
    if channels not in (1, 3) or image_size < 1:
        raise ValueError(
            f"channels={channels} and image_size={image_size}; give 1 (gray) or 3 (color) channels and 1 pixel or more."
        )
    mode = "L" if channels == 1 else "RGB"
    try:
        picture, (width, height) = _decode(path, mode, image_size)
        small = picture.convert(mode).resize((image_size, image_size), Image.Resampling.BILINEAR)
    except FileNotFoundError:
        raise FileNotFoundError(f"{path}: no such file; check the path.") from None
    except Exception as error:  # a decoder may fail by any: whatever it is, it is this file's
        raise ValueError(f"{path}: {fault(path, error)}.") from error
    pixels = torch.from_numpy(np.array(small))
    return pixels.reshape(image_size, image_size, channels).permute(2, 0, 1).contiguous(), (height, width)


def _decode(path: Path, mode: str, image_size: int) -> tuple[Image.Image, tuple[int, int]]:
    """A picture of 8 bits a channel, upright, and the width and height that the file's picture has so."""
    head = first_bytes(path)
    if is_dicom(path, head) and not head.startswith(tuple(CONTENTS)):
        picture = read_dicom(path)
        return picture, picture.size
    try:
        with Image.open(path) as opened:
            if path.suffix.lower() in RAW_SUFFIXES and opened.format == "TIFF":
                raise UnidentifiedImageError("only a preview")
            size = opened.size
            opened.draft(mode, (image_size, image_size))  # lets a large JPEG be decoded at a smaller scale
            picture = as_8_bit(opened, path)
            turn = TURNS.get(orientation := _orientation(opened))
            if turn is None:
                return picture, size
            return picture.transpose(turn), size[::-1] if orientation > 4 else size
    except UnidentifiedImageError:
        if not head.startswith((b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")) or path.suffix.lower() in RAW_SUFFIXES:
            raise
    picture = read_tiff(path)
    return picture, picture.size


def _orientation(opened: Image.Image) -> int:
    try:
        return int(opened.getexif().get(274, 1))
    except Exception:  # among a camera's notes anything may be odd
        return 1


def read_images(paths: Sequence[str | Path], *, image_size: int, channels: int, name: str) -> tuple[Tensor, Tensor]:
    """Many files at once, on all cores, with a progress bar on a terminal (see `course_lib.progress`).

    Returns:
        uint8 (N, channels, image_size, image_size), and int64 (N, 2): height and width of each file.

    Raises:
        ValueError: files that cannot be read: the first twenty with what is the matter, the others counted.
        MemoryError: the images do not fit into memory.
    """
    with naming_memory(f"{len(paths)} images of {channels} x {image_size} x {image_size} pixels"):
        images = torch.empty((len(paths), channels, image_size, image_size), dtype=torch.uint8)
    sizes = torch.empty((len(paths), 2), dtype=torch.long)

    def read(index: int) -> Exception | None:
        try:
            image, size = read_image(paths[index], image_size=image_size, channels=channels)
        except (OSError, ValueError) as error:
            return error
        images[index] = image
        sizes[index] = torch.tensor(size)
        return None

    with ThreadPoolExecutor(os.cpu_count()) as threads:  # Pillow decodes without holding Python's lock
        jobs = threads.map(read, range(len(paths)))
        try:
            outcomes = list(watched(jobs, len(paths), f"reading {name}", "images"))
        except BaseException:
            threads.shutdown(cancel_futures=True)
            raise
    errors = [error for error in outcomes if error is not None]
    if len(errors) == 1:
        raise errors[0]
    if errors:
        listed = "\n".join(f"  {error}" for error in errors[:NAMED_AT_ONCE])
        more = f"\n  and {len(errors) - NAMED_AT_ONCE} more" if len(errors) > NAMED_AT_ONCE else ""
        raise ValueError(f"{len(errors)} of {len(paths)} files cannot be read:\n{listed}{more}")
    return images, sizes
