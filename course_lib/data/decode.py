"""Image files of any common kind to uint8 tensors of one shape."""

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor
from tqdm import tqdm

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".gif", ".tif", ".tiff", ".webp")


def read_image(path: Path, *, image_size: int, channels: int) -> tuple[Tensor, tuple[int, int]]:
    """One file as a square image, and the height and width that it had.

    The whole picture is squeezed into the square: nothing is cropped, and no border is added from which a network could
    read the aspect ratio. Palettes are looked up, transparency is laid over black, the camera's rotation is applied.
    16-bit files are scaled by the number of bits that their brightest pixel needs (at least 8), as scanners often store
    10 or 12 bits in 16; floating-point files in 0..1 are scaled from there.

    Args:
        path: PNG, JPEG or another format that Pillow reads.
        image_size: height and width of the result, in pixels.
        channels: 1 for grey, 3 for colour.

    Returns:
        uint8 (channels, image_size, image_size), and (height, width) of the file in pixels.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the file is not an image, or is cut short; the message names it.
    """
    mode = "L" if channels == 1 else "RGB"
    try:
        with Image.open(path) as opened:
            width, height = opened.size
            opened.draft(mode, (image_size, image_size))  # lets a large JPEG be decoded at a smaller scale
            upright = ImageOps.exif_transpose(opened)
            small = _as_8_bit(upright).convert(mode).resize((image_size, image_size), Image.Resampling.BILINEAR)
    except FileNotFoundError:
        raise FileNotFoundError(f"{path}: no such file; check the path.") from None
    except (PermissionError, IsADirectoryError) as error:
        raise ValueError(
            f"{path}: may not be opened ({error.strerror}); give an image file that you may read."
        ) from None
    except Image.DecompressionBombError:
        raise ValueError(f"{path}: more pixels than are safe to open; make it smaller first.") from None
    except (OSError, SyntaxError, ValueError) as error:
        raise ValueError(
            f"{path}: not a readable image ({error}); the file is damaged or cut short: fetch it again or delete it."
        ) from error
    pixels = torch.from_numpy(np.array(small))
    return pixels.reshape(image_size, image_size, channels).permute(2, 0, 1).contiguous(), (height, width)


def _as_8_bit(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I") or image.mode == "F":
        values = np.nan_to_num(np.asarray(image, dtype=np.float64), posinf=0).clip(min=0)
        brightest = float(values.max())
        top = 1 if image.mode == "F" and brightest <= 1 else 2 ** max(8, int(brightest).bit_length()) - 1
        return Image.fromarray((values * 255 / top).round().astype(np.uint8))
    if "transparency" in image.info or "A" in image.getbands() or "a" in image.getbands():
        colours = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", colours.size, "black"), colours)
    return image


def read_images(paths: Sequence[Path], *, image_size: int, channels: int, name: str) -> tuple[Tensor, Tensor]:
    """Many files at once, on all cores, with a progress bar on a terminal.

    Returns:
        uint8 (N, channels, image_size, image_size), and int64 (N, 2): height and width of each file.

    Raises:
        ValueError: as `read_image`, for the first file that cannot be read.
    """
    images = torch.empty((len(paths), channels, image_size, image_size), dtype=torch.uint8)
    sizes = torch.empty((len(paths), 2), dtype=torch.long)

    def read(index: int) -> None:
        image, size = read_image(paths[index], image_size=image_size, channels=channels)
        images[index] = image
        sizes[index] = torch.tensor(size)

    with ThreadPoolExecutor(os.cpu_count()) as threads:  # Pillow decodes without holding Python's lock
        jobs = threads.map(read, range(len(paths)))
        try:
            for _ in tqdm(jobs, total=len(paths), desc=f"reading {name}", unit=" images", disable=None):
                pass
        except BaseException:
            threads.shutdown(cancel_futures=True)
            raise
    return images, sizes
