"""The judge is DICOM's own arithmetic, PS3.3 C.7.6.3.1.2 and C.11.2.1.2.1, written out beside each case."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from course_lib.data.decode import read_image, read_images
from course_lib.data.formats import image_suffixes, is_image

pydicom = pytest.importorskip("pydicom")

STORED = np.array([[400, 2000]], np.uint16).repeat(8, axis=0).repeat(4, axis=1)


def dicom(path: Path, pixels: np.ndarray, photometric: str = "MONOCHROME2", **more: Any) -> Path:
    from pydicom.dataset import FileDataset, FileMetaDataset
    from pydicom.uid import ExplicitVRLittleEndian, generate_uid

    meta = FileMetaDataset()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.1.1"  # digital X-ray
    meta.MediaStorageSOPInstanceUID = generate_uid()
    data = FileDataset(str(path), {}, file_meta=meta, preamble=bytes(128))
    frames = pixels.ndim == 3 and photometric.startswith("MONO")
    data.Rows, data.Columns = pixels.shape[1:3] if frames else pixels.shape[:2]
    if frames:
        data.NumberOfFrames = len(pixels)
    data.SamplesPerPixel = 1 if photometric.startswith("MONO") else 3
    if data.SamplesPerPixel == 3:
        data.PlanarConfiguration = 0
    data.PhotometricInterpretation = photometric
    data.BitsAllocated = 8 * pixels.itemsize
    data.BitsStored = more.pop("BitsStored", 8 * pixels.itemsize)
    data.HighBit = data.BitsStored - 1
    data.PixelRepresentation = int(pixels.dtype.kind == "i")
    data.PixelData = pixels.tobytes()
    for name, value in more.items():
        setattr(data, name, value)
    data.save_as(path, enforce_file_format=True)
    return path


def ends(path: Path) -> list[int]:
    image, size = read_image(path, image_size=8, channels=1)
    assert size == (8, 8)
    return image[0, 0, [0, 7]].tolist()


def test_stored_bits_say_what_white_is(tmp_path: Path) -> None:
    shown = [round(400 / 4095 * 255), round(2000 / 4095 * 255)]
    assert ends(dicom(tmp_path / "a.dcm", STORED, BitsStored=12)) == shown


def test_monochrome1_is_turned(tmp_path: Path) -> None:
    shown = [255 - round(400 / 4095 * 255), 255 - round(2000 / 4095 * 255)]
    assert ends(dicom(tmp_path / "a.dcm", STORED, "MONOCHROME1", BitsStored=12)) == shown


def test_the_window_applies_to_rescaled_values(tmp_path: Path) -> None:
    # Hounsfield units -624 and 976; the window's center 176 and width 2001 give ((x - 175.5) / 2000 + 0.5) of white.
    path = dicom(
        tmp_path / "a.dcm",
        STORED,
        BitsStored=12,
        RescaleSlope=1,
        RescaleIntercept=-1024,
        WindowCenter=[176, 40],
        WindowWidth=[2001, 400],
    )
    assert ends(path) == pytest.approx([((x - 175.5) / 2000 + 0.5) * 255 for x in (-624, 976)], abs=1)


def test_a_window_of_a_monochrome1_file_is_applied_before_it_is_turned(tmp_path: Path) -> None:
    path = dicom(tmp_path / "a.dcm", STORED, "MONOCHROME1", BitsStored=12, WindowCenter=1200.5, WindowWidth=1601)
    assert ends(path) == pytest.approx([255, 0], abs=1)


def test_a_signed_scan_without_a_window_keeps_its_order(tmp_path: Path) -> None:
    dark, bright = ends(dicom(tmp_path / "a.dcm", STORED.astype(np.int16) - 1024))
    assert 0 < dark < bright < 255


def test_color_and_many_frames_are_read(tmp_path: Path) -> None:
    colors = np.full((8, 8, 3), (200, 100, 40), np.uint8)
    image, _ = read_image(dicom(tmp_path / "c.dcm", colors, "RGB"), image_size=8, channels=3)
    assert image[:, 0, 0].tolist() == [200, 100, 40]
    frames = np.stack([np.full((8, 8), 30, np.uint8), np.full((8, 8), 90, np.uint8)])
    assert ends(dicom(tmp_path / "f.dcm", frames)) == [30, 30]


def test_a_file_without_a_suffix_or_with_an_odd_one_is_known_by_its_content(tmp_path: Path) -> None:
    for name in ("IM0001", "1.2.840.113619.2.55", "scan.IMA"):
        path = dicom(tmp_path / name, STORED, BitsStored=12)
        assert is_image(path)
        assert ends(path)[0] < ends(path)[1]
    assert ".dcm" in image_suffixes()


def test_a_dicom_file_that_cannot_be_read_is_named_with_the_others(tmp_path: Path) -> None:
    whole = dicom(tmp_path / "a.dcm", STORED)
    short = dicom(tmp_path / "b.dcm", STORED)
    short.write_bytes(short.read_bytes()[:-60])
    report = dicom(tmp_path / "c.dcm", STORED)
    data = pydicom.dcmread(report)
    del data.PixelData
    data.save_as(report)
    with pytest.raises(ValueError, match="2 of 3 files cannot be read:") as raised:
        read_images([whole, short, report], image_size=8, channels=1, name="scans")
    assert "b.dcm: not a readable image: cut short" in str(raised.value)
    assert "c.dcm: not a readable image: this DICOM file, a format that is not read; there is no image in it" in str(
        raised.value
    )
