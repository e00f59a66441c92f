"""Image files that are broken in ways of their own."""

import io
from zlib import crc32

from PIL import Image


def broken_pngs() -> dict[str, bytes]:
    """PNG files by name for which Pillow raises neither an OSError nor the same error."""
    whole = io.BytesIO()
    Image.new("L", (300, 300)).save(whole, "PNG", compress_level=0)  # in two chunks
    first, last = whole.getvalue().rsplit(b"IDAT", 1)
    header = b"IHDR" + bytes(5)
    return {
        "chunk.png": first + b"\0DAT" + last,  # a SyntaxError when it is decoded
        "header.png": first[:8]
        + (5).to_bytes(4)
        + header
        + crc32(header).to_bytes(4),  # a ValueError when it is opened
    }
