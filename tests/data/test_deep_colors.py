"""Colors of 16 bits a channel: files by tifffile and by the books of PNG and PPM, values by hand arithmetic."""

import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from course_lib.data import levels
from course_lib.data.decode import read_image

Values = np.ndarray
DARK, LIGHT = (400, 2000, 3200), (4095, 0, 1000)
COLORS = np.array([[DARK] * 4 + [LIGHT] * 4] * 8, np.uint16)  # 12 bits in 16
EXPECTED = [[25, 125, 199], [255, 0, 62]]  # 400 * 255 / 4095 = 24.9, ...


def seen(path: Path) -> list[list[int]]:
    image, size = read_image(path, image_size=8, channels=3)
    assert size == (8, 8)
    return image[:, 0, [0, 7]].T.tolist()


def with_fourth(value: int) -> Values:
    return np.concatenate([COLORS, np.full((8, 8, 1), value, np.uint16)], axis=2)


def chunk(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))


def png(path: Path, values: Values, extra: bytes = b"", *, interlaced: bool = False) -> Path:
    """A PNG by the book (PNG, third edition, sections 5, 8 and 11), with 16 bits a channel and no filter."""
    whole, adam7 = ((0, 0, 1, 1),), ((0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2))
    passes = (*adam7, (1, 0, 2, 1)) if interlaced else whole
    rows = [row for y, x, down, right in passes for row in values[y::down, x::right].astype(">u2")]
    (height, width), kind = values.shape[:2], {2: 4, 3: 2, 4: 6}[values.shape[2]]
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 16, kind, 0, 0, interlaced))
    data = chunk(b"IDAT", zlib.compress(b"".join(b"\0" + row.tobytes() for row in rows)))
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + head + extra + data + chunk(b"IEND", b""))
    return path


@pytest.mark.parametrize("byteorder", ["<", ">"])
@pytest.mark.parametrize("compression", [None, "zlib"])
@pytest.mark.parametrize("planarconfig", ["contig", "separate"])
@pytest.mark.parametrize("tile", [None, (16, 16)], ids=["strips", "tiles"])
def test_12_bits_in_16_of_a_color_tiff_are_not_read_as_black(
    tmp_path: Path, byteorder: str, compression: str | None, planarconfig: str, tile: tuple[int, int] | None
) -> None:
    path = tmp_path / "colors.tif"
    values = COLORS if planarconfig == "contig" else np.ascontiguousarray(np.moveaxis(COLORS, 2, 0))
    how = {"planarconfig": planarconfig, "compression": compression, "byteorder": byteorder, "tile": tile}
    tifffile.imwrite(path, values, photometric="rgb", **how)
    assert np.array_equal(tifffile.imread(path), values)  # the file says what it is meant to say
    assert seen(path) == EXPECTED


@pytest.mark.parametrize("order", ["<", ">"])
def test_separate_planes_need_tifffile_only_where_they_are_compressed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, order: str
) -> None:
    values = np.ascontiguousarray(np.moveaxis(COLORS, 2, 0))
    path = tmp_path / "planes.tif"
    tifffile.imwrite(path, values, photometric="rgb", planarconfig="separate", byteorder=order)
    monkeypatch.setattr(levels, "find_spec", lambda _name: None)
    assert seen(path) == EXPECTED
    tifffile.imwrite(path, 16 * values, photometric="rgb", planarconfig="separate", compression="zlib")
    assert seen(path) == [[value * 16 >> 8 for value in color] for color in (DARK, LIGHT)]  # by Pillow: the upper byte


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (COLORS.astype(np.int16), EXPECTED),
        ((COLORS.astype(np.int32) - 2048).astype(np.int16), EXPECTED),
        ((COLORS // 16).astype(np.uint8).view(np.int8) ^ np.int8(-128), [[25, 125, 200], [255, 0, 62]]),
        (COLORS.astype(np.uint32) << 20, EXPECTED),
        ((COLORS / 4095).astype(np.float32), EXPECTED),
    ],
    ids=["int16", "int16 below zero", "int8", "uint32", "float32"],
)
def test_signed_and_other_color_tiffs_show_the_same_picture(
    tmp_path: Path, values: Values, expected: list[list[int]]
) -> None:
    tifffile.imwrite(tmp_path / "colors.tif", values, photometric="rgb")
    assert seen(tmp_path / "colors.tif") == expected


@pytest.mark.parametrize(
    ("values", "extra"),
    [
        (COLORS, b""),
        (COLORS, chunk(b"sBIT", bytes([12, 12, 12]))),  # whether or not a writer has stretched what it calls 12 bits
        (COLORS * np.uint16(16) + (COLORS >> 8), chunk(b"sBIT", bytes([12, 12, 12]))),
        (with_fourth(65535), b""),
        (with_fourth(4095), b""),
    ],
    ids=["colors", "12 bits said", "12 bits said and stretched", "opaque", "opaque in 12 bits"],
)
@pytest.mark.parametrize("interlaced", [False, True])
def test_colors_of_a_16_bit_png_use_all_of_black_to_white(
    tmp_path: Path, values: Values, extra: bytes, interlaced: bool
) -> None:
    assert seen(png(tmp_path / "colors.png", values, extra, interlaced=interlaced)) == EXPECTED


@pytest.mark.parametrize(("maxval", "white"), [(65535, 4095), (4095, 4095), (8190, 8190)])
def test_white_is_what_the_header_of_a_ppm_says_or_where_it_says_16_bits_the_brightest_pixel(
    tmp_path: Path, maxval: int, white: int
) -> None:
    (tmp_path / "a.ppm").write_bytes(b"P6 8 8 %d\n" % maxval + COLORS.astype(">u2").tobytes())
    assert seen(tmp_path / "a.ppm") == [[round(value * 255 / white) for value in color] for color in (DARK, LIGHT)]


def test_what_a_deep_picture_does_not_show_is_black(tmp_path: Path) -> None:
    half = with_fourth(65535)
    half[:, :4, 3] = 0
    assert seen(png(tmp_path / "half.png", half)) == [[0, 0, 0], EXPECTED[1]]
    assert seen(png(tmp_path / "gray.png", half[..., [0, 3]])) == [[0, 0, 0], [255, 255, 255]]
    assert seen(png(tmp_path / "key.png", COLORS, chunk(b"tRNS", struct.pack(">3H", *DARK)))) == [
        [0, 0, 0],
        EXPECTED[1],
    ]
    tifffile.imwrite(tmp_path / "half.tif", half, photometric="rgb", extrasamples=["unassalpha"])
    assert seen(tmp_path / "half.tif") == [[0, 0, 0], EXPECTED[1]]


@pytest.mark.parametrize("kind", ["unspecified", "assocalpha"])
@pytest.mark.parametrize("planarconfig", ["contig", "separate"])
def test_a_fourth_channel_that_is_no_opacity_to_multiply_by_is_left_out(
    tmp_path: Path, kind: str, planarconfig: str
) -> None:
    values = with_fourth(100)
    values = values if planarconfig == "contig" else np.ascontiguousarray(np.moveaxis(values, 2, 0))
    tifffile.imwrite(tmp_path / "a.tif", values, photometric="rgb", extrasamples=[kind], planarconfig=planarconfig)
    assert seen(tmp_path / "a.tif") == EXPECTED


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("compression", [None, "zlib"])
def test_a_deep_tiff_is_turned_like_one_of_8_bits(tmp_path: Path, orientation: int, compression: str | None) -> None:
    corner = np.zeros((8, 16, 3), np.uint16)
    corner[:4, :8] = LIGHT
    shown = []
    for name, values in (("deep", corner), ("usual", np.round(corner * 255.0 / 4095).astype(np.uint8))):
        tags = [(274, "H", 1, orientation, True)]
        tifffile.imwrite(tmp_path / name, values, photometric="rgb", compression=compression, extratags=tags)
        image, size = read_image(tmp_path / name, image_size=8, channels=3)
        shown.append((image.tolist(), size))
    assert shown[0] == shown[1]


@pytest.mark.parametrize("values", [COLORS[:1], COLORS[:1].astype(np.int16), COLORS[:1, :, :1].astype(np.int64)])
def test_a_single_row_keeps_its_shape(tmp_path: Path, values: Values) -> None:
    tifffile.imwrite(tmp_path / "row.tif", values, photometric="rgb" if values.shape[2] == 3 else "minisblack")
    image, size = read_image(tmp_path / "row.tif", image_size=8, channels=3)
    assert size == (1, 8)
    assert image[0, 0, [0, 7]].tolist() == [25, 255]


def test_a_picture_of_8_bits_is_decoded_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Image.fromarray((COLORS // 16).astype(np.uint8)).save(tmp_path / "usual.png")
    opened, open_image = [], Image.open
    monkeypatch.setattr(Image, "open", lambda path: opened.append(path) or open_image(path))
    assert seen(tmp_path / "usual.png") == [[value // 16 for value in color] for color in (DARK, LIGHT)]
    assert len(opened) == 1
