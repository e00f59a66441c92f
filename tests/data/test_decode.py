from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from course_lib.data.decode import read_image, read_images


def saved(path: Path, array: np.ndarray, mode: str | None = None) -> Path:
    Image.fromarray(array, mode).save(path) if mode else Image.fromarray(array).save(path)
    return path


def test_an_8_bit_image_is_read_as_pillow_reads_it(tmp_path: Path) -> None:
    pixels = np.arange(64, dtype=np.uint8).reshape(8, 8) * 4
    image, size = read_image(saved(tmp_path / "grey.png", pixels), image_size=8, channels=1)
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
    pixels = np.zeros((8, 8), np.uint8)
    pixels[0] = 255  # a bright top edge
    exif = Image.Exif()
    exif[0x0112] = 6  # turn clockwise to see it upright
    Image.fromarray(pixels).save(tmp_path / "turned.png", exif=exif)
    image, _ = read_image(tmp_path / "turned.png", image_size=8, channels=1)
    assert bool((image[0, :, 7] == 255).all())


def test_a_truncated_jpeg_is_named_with_the_mend(tmp_path: Path) -> None:
    path = saved(tmp_path / "cut.jpeg", np.random.default_rng(0).integers(0, 255, (64, 64), dtype=np.uint8))
    path.write_bytes(path.read_bytes()[:900])
    with pytest.raises(ValueError, match=r"cut\.jpeg: not a readable image .* cut short: fetch it again or delete it"):
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
    images, sizes = read_images(paths, image_size=8, channels=1, name="greys")
    assert images[:, 0, 0, 0].tolist() == list(range(40))
    assert sizes.tolist() == [[4 + v, 6] for v in range(40)]
