"""Files altered at random: whatever a decoder does with them, the error is one that names the file.

500 files in each run of the tests, 5,000 by `COURSE_ALTERED_FILES=5000 pytest tests/data/test_altered_files.py`.
"""

import io
import os
from pathlib import Path
from random import Random

import numpy as np
import pytest
from PIL import Image, features

from course_lib.data.decode import read_image

COUNT = int(os.environ.get("COURSE_ALTERED_FILES", "500"))
SLOPE = (np.add.outer(np.arange(40), np.arange(60)) * 2 % 256).astype(np.uint8)
COLORS = np.stack([SLOPE, 255 - SLOPE, SLOPE // 2], axis=2)
EXIF = Image.Exif()
EXIF.update({0x0112: 6, 0x010F: "a camera", 0x011A: 72.0})
KINDS = {
    "png": (COLORS, {}),
    "16-bit.png": (SLOPE * np.uint16(257), {}),
    "jpg": (COLORS, {"exif": EXIF}),
    "progressive.jpg": (COLORS, {"progressive": True}),
    "gif": (SLOPE, {}),
    "bmp": (COLORS, {}),
    "tif": (COLORS, {}),
    "16-bit.tif": (SLOPE * np.uint16(257), {}),
    "float.tif": ((SLOPE / 255).astype(np.float32), {}),
    "lzw.tif": (COLORS, {"compression": "tiff_lzw"}),
    "jpeg.tif": (COLORS, {"compression": "jpeg"}),
    "webp": (COLORS, {"exif": EXIF}),
    "ppm": (COLORS, {}),
    "jp2": (COLORS, {}),
    "tga": (COLORS, {}),
    "pcx": (COLORS, {}),
    "sgi": (COLORS, {}),
    "ico": (COLORS, {}),
    "dds": (COLORS, {}),
    "im": (COLORS, {}),
    "icns": (COLORS, {}),
    **({"avif": (COLORS, {"exif": EXIF})} if features.check("avif") else {}),
}


def whole_files() -> dict[str, bytes]:
    files = {}
    for name, (pixels, options) in KINDS.items():
        buffer = io.BytesIO()
        Image.fromarray(pixels).save(buffer, Image.registered_extensions()[Path(f"a.{name}").suffix], **options)
        files[name] = buffer.getvalue()
    return files


def altered(content: bytes, random: Random) -> bytes:
    """The file with bytes changed, in the header or anywhere, cut out, zeroed or put in, or without its end."""
    data = bytearray(content)
    place = random.randrange(len(data))
    how = random.randrange(6)
    if how < 2:
        reach = len(data) if how else min(64, len(data))
        for _ in range(random.randint(1, 20)):
            data[random.randrange(reach)] = random.randrange(256)
    elif how == 2:
        del data[place:]
    elif how == 3:
        del data[place : place + random.randint(1, 200)]
    elif how == 4:
        data[place : place + 200] = bytes(len(data[place : place + 200]))
    else:
        data[place:place] = random.randbytes(random.randint(1, 50))
    return bytes(data)


@pytest.mark.filterwarnings("ignore::UserWarning:PIL")
def test_an_altered_file_is_read_or_named_and_nothing_else(tmp_path: Path) -> None:
    random, files, named = Random(0), whole_files(), 0
    for number in range(COUNT):
        name = random.choice(list(files))
        path = tmp_path / f"{number}.{name}"
        path.write_bytes(altered(files[name], random))
        said = None
        try:
            image, _ = read_image(path, image_size=16, channels=3)
        except ValueError as error:
            said = str(error)
        assert image.shape == (3, 16, 16) if said is None else said.startswith(f"{path}: ") and said.endswith(".")
        named += said is not None
        path.unlink()
    assert named > COUNT / 4


@pytest.mark.parametrize("name", KINDS)
def test_an_unaltered_file_is_read(tmp_path: Path, name: str) -> None:
    path = tmp_path / f"whole.{name}"
    path.write_bytes(whole_files()[name])
    assert float(read_image(path, image_size=16, channels=3)[0].float().std()) > 10
