"""Radiographs as clinics keep them: DICOM, by pydicom, which the extra `dicom` brings."""

from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from course_lib.data.levels import Values, to_8_bit


def read_dicom(path: Path) -> Image.Image:
    """The first frame of a DICOM file as a viewer shows it: rescaled, its first window applied, bone white.

    Without a window, white is what the stored bits can hold. MONOCHROME1, whose smallest value is white, is turned.

    Raises:
        ModuleNotFoundError: pydicom is not installed.
        ValueError: there is no image in the file.

    Source: DICOM PS3.3, C.7.6.3.1.2, C.11.1 and C.11.2.
    """
    import pydicom

    data = pydicom.dcmread(path, force=True)
    if "PixelData" not in data:
        raise ValueError("there is no image in it")
    pixels = pydicom.pixels.pixel_array(data, index=0)  # YBR becomes RGB
    kind = data.PhotometricInterpretation
    if kind == "PALETTE COLOR":
        pixels = pydicom.pixels.apply_color_lut(pixels, data)
        return Image.fromarray(to_8_bit(pixels, bits=8 * pixels.itemsize))
    if pixels.ndim == 3:
        return Image.fromarray(to_8_bit(pixels, bits=data.BitsStored))
    shown = _windowed(pixels, data)
    return Image.fromarray(255 - shown if kind == "MONOCHROME1" else shown)


def _windowed(pixels: Values, data: Any) -> Values:
    """Stored values to uint8, by the file's modality and window, smallest to 0."""
    from pydicom.pixels import apply_modality_lut, apply_voi, apply_windowing

    values = apply_modality_lut(pixels, data).astype(np.float64)
    stored = np.array([0, 2**data.BitsStored - 1])
    if data.get("WindowWidth") not in (None, "") and data.get("WindowCenter") not in (None, ""):
        values, ends = apply_windowing(values, data), apply_windowing(np.array([-1e12, 1e12]), data)
    elif data.get("VOILUTSequence"):
        values = apply_voi(apply_modality_lut(pixels, data), data)
        ends = np.array([0, 2 ** data.VOILUTSequence[0].LUTDescriptor[2] - 1])
    elif data.PixelRepresentation == 1 or "ModalityLUTSequence" in data:
        return to_8_bit(values, signed=True)
    else:
        ends = apply_modality_lut(stored, data)
    low, high = float(min(ends)), float(max(ends))
    return ((values - low) * 255 / max(high - low, 1e-12)).round().clip(0, 255).astype(np.uint8)
