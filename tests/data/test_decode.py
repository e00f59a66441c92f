import re
import struct
from pathlib import Path

import numpy as np
import pytest
import tifffile
import torch
from PIL import Image, ImageCms

from course_lib.data import decode as decode_module
from course_lib.data.decode import read_image, read_images
from course_lib.data.formats import is_image
from course_lib.data.levels import to_8_bit


def saved(path: Path, array: np.ndarray, mode: str | None = None) -> Path:
    Image.fromarray(array, mode).save(path) if mode else Image.fromarray(array).save(path)
    return path


def test_an_8_bit_image_is_read_as_pillow_reads_it(tmp_path: Path) -> None:
    pixels = np.arange(64, dtype=np.uint8).reshape(8, 8) * 4
    image, size = read_image(saved(tmp_path / "gray.png", pixels), image_size=8, channels=1)
    assert torch.equal(image, torch.from_numpy(pixels)[None])
    assert size == (8, 8)


def test_height_comes_before_width(tmp_path: Path) -> None:
    image, size = read_image(saved(tmp_path / "wide.png", np.zeros((4, 9), np.uint8)), image_size=8, channels=1)
    assert (image.shape, size) == ((1, 8, 8), (4, 9))


@pytest.mark.parametrize(("brightest", "bits"), [(200, 8), (1000, 10), (4000, 12), (65535, 16)])
def test_16_bit_files_are_scaled_by_the_bits_in_use(tmp_path: Path, brightest: int, bits: int) -> None:
    pixels = np.full((8, 8), brightest, np.uint16)
    image, _ = read_image(saved(tmp_path / "deep.png", pixels), image_size=8, channels=1)
    assert int(image[0, 0, 0]) == round(brightest * 255 / (2**bits - 1))


@pytest.mark.parametrize("brightest", [1.0, 255.0, 4095.0])
def test_floating_point_files_are_not_read_as_black(tmp_path: Path, brightest: float) -> None:
    pixels = np.linspace(0, brightest, 64, dtype=np.float32).reshape(8, 8)
    pixels[0, 0] = np.inf  # a dead pixel
    image, _ = read_image(saved(tmp_path / "float.tiff", pixels), image_size=8, channels=1)
    assert (int(image[0, 0, 0]), int(image.max())) == (0, 255)
    assert int(image[0, 4, 0]) == pytest.approx(255 * 32 / 63, abs=1)


def test_a_folder_is_not_called_a_damaged_image(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="may not be opened"):
        read_image(tmp_path, image_size=8, channels=1)


def test_an_image_too_large_to_open_safely_is_not_called_damaged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 20)
    with pytest.raises(ValueError, match="more pixels than are safe to open"):
        read_image(saved(tmp_path / "huge.png", np.zeros((8, 8), np.uint8)), image_size=8, channels=1)


def test_transparency_is_laid_over_black(tmp_path: Path) -> None:
    pixels = np.full((8, 8, 4), 255, np.uint8)
    pixels[:, :4, 3] = 0  # the left half is see-through
    image, _ = read_image(saved(tmp_path / "clear.png", pixels), image_size=8, channels=1)
    assert (int(image[0, 0, 0]), int(image[0, 0, 7])) == (0, 255)


def test_a_palette_is_looked_up_and_not_shown_as_indices(tmp_path: Path) -> None:
    picture = Image.fromarray(np.tile(np.array([0, 1], np.uint8), (8, 4)))
    picture.putpalette([10, 20, 30, 200, 100, 50])
    picture.save(tmp_path / "palette.png")
    image, _ = read_image(tmp_path / "palette.png", image_size=8, channels=3)
    assert image[:, 0, 0].tolist() == [10, 20, 30]
    assert image[:, 0, 1].tolist() == [200, 100, 50]


@pytest.mark.parametrize(("channels", "mode"), [(1, "RGB"), (3, "L"), (1, "CMYK"), (3, "1"), (1, "LA")])
def test_any_mode_becomes_the_channels_asked_for(tmp_path: Path, channels: int, mode: str) -> None:
    suffix = "jpeg" if mode in ("CMYK", "RGB") else "png"
    Image.new("RGB", (20, 20), "white").convert(mode).save(tmp_path / f"image.{suffix}")
    image, _ = read_image(tmp_path / f"image.{suffix}", image_size=16, channels=channels)
    assert image.shape == (channels, 16, 16)
    assert int(image.min()) > 250


def test_the_cameras_rotation_is_applied(tmp_path: Path) -> None:
    pixels = np.zeros((8, 16), np.uint8)
    pixels[0] = 255  # a bright top edge
    exif = Image.Exif()
    exif[0x0112] = 6  # turn clockwise to see it upright
    Image.fromarray(pixels).save(tmp_path / "turned.png", exif=exif)
    image, size = read_image(tmp_path / "turned.png", image_size=8, channels=1)
    assert bool((image[0, :, 7] == 255).all())
    assert size == (16, 8)  # height and width as it is shown


def test_a_truncated_jpeg_is_named_with_the_mend(tmp_path: Path) -> None:
    path = saved(tmp_path / "cut.jpeg", np.random.default_rng(0).integers(0, 255, (64, 64), dtype=np.uint8))
    path.write_bytes(path.read_bytes()[:900])
    with pytest.raises(ValueError, match=r"cut\.jpeg: not a readable image: cut short .*; fetch it again or delete it"):
        read_image(path, image_size=64, channels=1)


@pytest.mark.parametrize("content", [b"", b"not an image", b"\x89PNG\r\n\x1a\n"])
def test_a_file_that_is_no_image_is_named(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "odd.png").write_bytes(content)
    with pytest.raises(ValueError, match=r"odd\.png: not a readable image"):
        read_image(tmp_path / "odd.png", image_size=8, channels=1)


def test_an_absent_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"gone\.png: no such file"):
        read_image(tmp_path / "gone.png", image_size=8, channels=1)


def test_many_files_come_in_their_order(tmp_path: Path) -> None:
    paths = [saved(tmp_path / f"{v}.png", np.full((4 + v, 6), v, np.uint8)) for v in range(40)]
    images, sizes = read_images(paths, image_size=8, channels=1, name="grays")
    assert images[:, 0, 0, 0].tolist() == list(range(40))
    assert sizes.tolist() == [[4 + v, 6] for v in range(40)]


def gray_tiff(path: Path, values: np.ndarray, photometric: int, *, order: str = "<", bits: int | None = None) -> Path:
    """A TIFF of one channel by the book (TIFF 6.0, section 2): header, pixels, one directory."""
    data, (height, width) = values.astype(values.dtype.newbyteorder(order)).tobytes(), values.shape
    sample_format = {"u": 1, "i": 2, "f": 3}[values.dtype.kind]
    entries = [(256, 3, width), (257, 3, height), (258, 3, bits or 8 * values.itemsize), (259, 3, 1)]
    entries += [(262, 3, photometric), (273, 4, 8), (277, 3, 1), (278, 3, height), (279, 4, len(data))]
    entries += [(339, 3, sample_format)]
    out = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(f"{order}I", 8 + len(data)) + data
    out += struct.pack(f"{order}H", len(entries))
    for tag, kind, value in entries:
        out += struct.pack(f"{order}HHI", tag, kind, 1) + struct.pack(
            f"{order}HH" if kind == 3 else f"{order}I", *((value, 0) if kind == 3 else (value,))
        )
    path.write_bytes(out + bytes(4))
    return path


LEVELS = np.array([[40, 200]], np.uint8).repeat(8, axis=0).repeat(4, axis=1)  # dark on the left


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize(
    ("values", "photometric"),
    [
        (LEVELS, 1),
        (255 - LEVELS, 0),
        (LEVELS * np.uint16(257), 1),
        (65535 - LEVELS * np.uint16(257), 0),
        (LEVELS * np.uint32(2**24 + 2**16 + 2**8 + 1), 1),
        ((LEVELS.astype(np.int16) - 128).astype(np.int8), 1),
        ((LEVELS * np.int32(257) - 2**15).astype(np.int16), 1),
        (-1 - (LEVELS * np.int32(257) - 2**15).astype(np.int16), 0),
        ((LEVELS * np.int64(2**24 + 2**16 + 2**8 + 1) - 2**31).astype(np.int32), 1),
        ((LEVELS / 255).astype(np.float16), 1),
        ((LEVELS / 255).astype(np.float32), 1),
        ((1 - LEVELS / 255).astype(np.float32), 0),
        (LEVELS / 255, 1),
    ],
)
def test_every_depth_sign_and_polarity_of_tiff_shows_the_same_picture(
    tmp_path: Path, values: np.ndarray, photometric: int, order: str
) -> None:
    path = gray_tiff(tmp_path / "scan.tif", values, photometric, order=order)
    judge = tifffile.imread(path).astype(float)  # the file says what it is meant to say
    assert (judge[0, 0] < judge[0, 7]) == (photometric == 1)
    image, _ = read_image(path, image_size=8, channels=1)
    assert image[0, 0, [0, 7]].tolist() == pytest.approx([40, 200], abs=1)


def test_a_few_pixels_below_zero_do_not_wash_out_a_signed_scan() -> None:
    values = np.array([[-3, 0, 2048, 4095]], np.int16)
    assert to_8_bit(values, signed=True).tolist() == [[0, 0, 128, 255]]


def test_a_lab_picture_is_read_in_its_colors(tmp_path: Path) -> None:
    lab = ImageCms.profileToProfile(
        Image.new("RGB", (8, 8), (200, 40, 60)),
        ImageCms.createProfile("sRGB"),
        ImageCms.createProfile("LAB"),
        outputMode="LAB",
    )
    lab.save(tmp_path / "lab.tif")
    image, _ = read_image(tmp_path / "lab.tif", image_size=8, channels=3)
    assert image[:, 0, 0].tolist() == pytest.approx([200, 40, 60], abs=4)


def test_a_photo_with_an_odd_tag_is_read_and_still_turned(tmp_path: Path) -> None:
    exif = struct.pack("<2sHI", b"II", 42, 8) + struct.pack("<H", 2) + struct.pack("<HHII", 274, 3, 1, 6)
    exif += struct.pack("<HHII", 282, 10, 1, 38) + struct.pack("<I", 0) + struct.pack("<ii", -1, 0)  # a rational, -1/0
    pixels = np.zeros((32, 32), np.uint8)
    pixels[:16] = 255
    Image.fromarray(pixels).save(tmp_path / "phone.jpg", exif=b"Exif\0\0" + exif)
    image, _ = read_image(tmp_path / "phone.jpg", image_size=8, channels=1)
    assert bool((image[0, :, 7] > 240).all() and (image[0, :, 0] < 15).all())


@pytest.mark.parametrize("suffix", ["jfif", "ppm", "jp2", "tga", "pcx", "qoi", "webp"])
def test_what_pillow_writes_is_read(tmp_path: Path, suffix: str) -> None:
    Image.new("RGB", (16, 16), (200, 100, 40)).save(tmp_path / f"a.{suffix}", "JPEG" if suffix == "jfif" else None)
    assert is_image(tmp_path / f"a.{suffix}")
    image, _ = read_image(str(tmp_path / f"a.{suffix}"), image_size=8, channels=3)
    assert image[:, 0, 0].tolist() == pytest.approx([200, 100, 40], abs=4)


def box(brand: bytes) -> bytes:
    """The head of a file of the MP4 family (ISO/IEC 14496-12, 4.3)."""
    return struct.pack(">I", 24) + b"ftyp" + brand + bytes(8) + bytes(50)


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.heic", box(b"heic"), "HEIC, a format that is not read; export it as JPEG"),
        ("a.jpg", box(b"mif1"), "HEIC, a format that is not read"),
        ("a.cr3", box(b"crx "), "a camera's raw format, a format that is not read; develop it"),
        ("a.nef", b"MM\0*" + bytes(60), "a camera's raw format"),
        ("a.jxl", b"\xff\x0a" + bytes(20), "JPEG XL, a format that is not read"),
        ("a.svg", b'<?xml version="1.0"?><svg/>', "SVG, a drawing and no pixels, a format that is not read"),
        ("a.pdf", b"%PDF-1.7", "pages to print, a format that is not read"),
        ("a.png", b"PK\x03\x04" + bytes(40), "an archive, a format that is not read; unpack it"),
        ("a.jpg", b"\n<!DOCTYPE html><html>", "a web page was saved in its place"),
        ("a.png", b"version https://git-lfs.github.com/spec/v1\noid", "a pointer of Git LFS; run `git lfs pull`"),
        ("a.png", b"", "it is empty, 0 bytes"),
        ("a.png", bytes(900), "nothing but zeros"),
        ("a.png", b"\x89PNG\r\n", "cut short"),
    ],
)
def test_what_is_no_image_or_is_not_read_is_not_called_damaged(
    tmp_path: Path, name: str, content: bytes, said: str
) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match=re.escape(f"{name}: not a readable image: {said}")) as raised:
        read_image(tmp_path / name, image_size=8, channels=1)
    assert "damaged" not in str(raised.value)


@pytest.mark.parametrize("suffix", ["png", "jpg", "gif", "bmp", "tif", "webp", "ppm", "jp2"])
def test_half_a_file_is_cut_short_and_a_spoilt_one_is_damaged(tmp_path: Path, suffix: str) -> None:
    pixels = np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8)
    path = saved(tmp_path / f"a.{suffix}", pixels)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ValueError, match=r": not a readable image: cut short .*; fetch it again or delete it\.$"):
        read_image(path, image_size=8, channels=3)
    if suffix == "png":
        path.write_bytes(whole[:60] + bytes(900) + whole[960:])
        with pytest.raises(ValueError, match=r": not a readable image: damaged .*; fetch it again or delete it\.$"):
            read_image(path, image_size=8, channels=3)


@pytest.mark.parametrize(
    "error", [MemoryError(), RecursionError(), struct.error("odd"), RuntimeError("no"), KeyError(3)]
)
def test_whatever_happens_to_a_file_names_it_and_spares_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    paths = [saved(tmp_path / f"{v}.png", np.full((8, 8), v, np.uint8)) for v in range(3)]
    decode, read = decode_module._decode, []

    def spoilt(path: Path, *rest: object) -> object:
        read.append(path)
        if path == paths[1]:
            raise error
        return decode(path, *rest)

    monkeypatch.setattr(decode_module, "_decode", spoilt)
    with pytest.raises(ValueError, match=r"1\.png: "):
        read_images(paths, image_size=8, channels=1, name="grays")
    assert sorted(read) == paths


def test_files_that_cannot_be_read_are_listed_at_once_up_to_twenty(tmp_path: Path) -> None:
    paths = [saved(tmp_path / f"{v:02}.png", np.full((40, 40), v, np.uint8)) for v in range(30)]
    for path in paths[:25]:
        path.write_bytes(path.read_bytes()[:48])
    with pytest.raises(ValueError, match="25 of 30 files cannot be read:") as raised:
        read_images(paths, image_size=8, channels=1, name="grays")
    lines = str(raised.value).splitlines()
    assert all(f"{index:02}.png: not a readable image: cut short" in line for index, line in enumerate(lines[1:21]))
    assert lines[21:] == ["  and 5 more"]


def test_images_that_do_not_fit_into_memory_name_the_image_size(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.png", np.zeros((8, 8), np.uint8))
    with pytest.raises(MemoryError, match=r"do not fit into memory; take a smaller image_size \(--image-size\)"):
        read_images([path] * 9, image_size=2**24, channels=3, name="grays")


@pytest.mark.parametrize(("image_size", "channels"), [(0, 1), (8, 2), (8, 4)])
def test_a_size_or_channels_that_cannot_be_are_named(tmp_path: Path, image_size: int, channels: int) -> None:
    with pytest.raises(ValueError, match=f"channels={channels} and image_size={image_size}"):
        read_image(tmp_path / "a.png", image_size=image_size, channels=channels)
