"""Which files are images, and what is the matter with one that cannot be read: by their names and their first bytes."""

import struct
from collections.abc import Callable
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from PIL import EpsImagePlugin, Image, UnidentifiedImageError

from course_lib.extras import how_to_install

HEAD = 4096  # bytes that tell a format
DICOM_SUFFIXES = (".dcm", ".dicom", ".dic", ".ima")
NAMED_ONLY = ("BUFR", "GRIB", "HDF5", "MPEG", "WMF", "PDF")  # Pillow knows their names and decodes none of them
CONTENTS = {  # enough to know an image by, where its name does not tell
    b"\xff\xd8\xff": "JPEG",
    b"\x89PNG\r\n\x1a\n": "PNG",
    b"GIF8": "GIF",
    b"II*\0": "TIFF",
    b"MM\0*": "TIFF",
    b"\0\0\0\x0cjP  ": "JPEG 2000",
}
TO_JPEG = "export it as JPEG or PNG"
TEXT_FORMATS = (b"Image type", b"P1", b"P2", b"P3", b"#define", b"/* XPM")  # pictures that begin as text
HEIC = "export it as JPEG (on an iPhone: Settings, Camera, Formats, Most Compatible)"
RAW_SUFFIXES = (".arw", ".cr2", ".cr3", ".dng", ".nef", ".orf", ".pef", ".raf", ".raw", ".rw2", ".srw")
ARCHIVES = (".zip", ".tar", ".gz", ".tgz", ".7z", ".rar", ".bz2", ".xz")
BY_SUFFIX = {  # formats that are not read, and what to do
    **dict.fromkeys((".heic", ".heif", ".hif"), ("HEIC", HEIC)),
    **dict.fromkeys(RAW_SUFFIXES, ("a camera's raw format", "develop it to JPEG")),
    **dict.fromkeys((".svg", ".svgz"), ("SVG, a drawing and no pixels", "export it as PNG")),
    **dict.fromkeys((".nii", ".nrrd", ".mha", ".mhd"), ("a volume of slices", "save its slices as PNG")),
    **dict.fromkeys((".npy", ".npz", ".mat"), ("arrays", "save them as PNG")),
    **dict.fromkeys((".eps", ".ps", ".pdf", ".ai"), ("pages to print", "export them as PNG")),
    **dict.fromkeys((".mp4", ".mov", ".avi", ".mkv", ".webm", ".mpg", ".mpeg"), ("a film", "save frames as PNG")),
    **dict.fromkeys(ARCHIVES, ("an archive", "unpack it")),
    ".jxl": ("JPEG XL", TO_JPEG),
    ".jxr": ("JPEG XR", TO_JPEG),
    ".exr": ("OpenEXR", TO_JPEG),
    ".avif": ("AVIF", "install a newer Pillow, or export it as JPEG"),  # where Pillow reads it, nobody looks here
}


def image_suffixes() -> frozenset[str]:
    """The suffixes, in lower case, of all formats that can be decoded here, those of Pillow's plug-ins included."""
    return _suffixes(frozenset(Image.registered_extensions().items()))


@cache
def _suffixes(registered: frozenset[tuple[str, str]]) -> frozenset[str]:
    known = dict(registered)
    usable = {suffix for suffix, name in known.items() if name in Image.OPEN and name not in NAMED_ONLY}
    if not EpsImagePlugin.has_ghostscript():
        usable -= {".eps", ".ps"}
    return frozenset(usable | set(DICOM_SUFFIXES if find_spec("pydicom") else ()))


def is_image(path: Path) -> bool:
    """Whether a file is to be read as an image: by its suffix, or by its first bytes where the suffix is unknown."""
    suffix = path.suffix.lower()
    if suffix in image_suffixes():
        return True
    if suffix in BY_SUFFIX or suffix in DICOM_SUFFIXES or suffix in (".part", ".tmp", ".crdownload", ".bak"):
        return False
    head = first_bytes(path)
    if is_dicom(path, head):
        return find_spec("pydicom") is not None
    return any(map(head.startswith, CONTENTS)) or (head[:4], head[8:12]) == (b"RIFF", b"WEBP")


def is_dicom(path: Path, head: bytes) -> bool:
    return head[128:132] == b"DICM" or path.suffix.lower() in DICOM_SUFFIXES


def first_bytes(path: Path) -> bytes:
    """Up to `HEAD` bytes; none where the file cannot be opened."""
    try:
        with open(path, "rb") as file:
            return file.read(HEAD)
    except (OSError, ValueError):
        return b""


def why_left_out(suffix: str) -> str:
    """What to do about files of a suffix that is not read; empty where there is nothing to do."""
    if suffix in DICOM_SUFFIXES:
        return how_to_install("dicom")
    return BY_SUFFIX.get(suffix, ("", ""))[1]


def may_hold_images(suffix: str) -> bool:
    """Whether files of a suffix that is not read are pictures all the same, or archives of them."""
    name = BY_SUFFIX.get(suffix, ("",))[0]
    return suffix in DICOM_SUFFIXES or name not in ("", "arrays", "pages to print", "a film")


def fault(path: Path, error: Exception) -> str:
    """What is the matter with a file that could not be decoded, and what to do about it."""
    if isinstance(error, PermissionError | IsADirectoryError) or getattr(error, "errno", None):
        return f"may not be opened ({getattr(error, 'strerror', error)}); give an image file that you may read"
    if isinstance(error, Image.DecompressionBombError):
        return "more pixels than are safe to open; make it smaller first"
    if isinstance(error, MemoryError):
        return "takes more memory than is free; make it smaller first, or close other programs"
    head = first_bytes(path)
    if not head:
        return "not a readable image: it is empty, 0 bytes; fetch it again or delete it"
    if unread := _unread_format(path, head, error):
        return "not a readable image: {}, a format that is not read; {}".format(*unread)
    unknown = isinstance(error, UnidentifiedImageError)
    if _is_text(head) or (unknown and not _begins_as_image(head)):
        return f"not a readable image: {_no_image(head)}"
    defect = "cut short" if _says_cut_short(error) or _ends_early(path, head) else "damaged"
    detail = "" if unknown else f" ({_first_sentence(error)})"
    return f"not a readable image: {defect}{detail}; fetch it again or delete it"


def _box(*brands: bytes) -> Callable[[bytes], bool]:
    """Tests whether a file of the MP4 family is of one of these brands."""
    return lambda head: head[4:8] == b"ftyp" and head[8:12] in brands


def _prefix(*beginnings: bytes) -> Callable[[bytes], bool]:
    return lambda head: head.startswith(beginnings)


def _begins_as_image(head: bytes) -> bool:
    """Whether a file begins as one of a format that is read, as far as it goes."""
    known = (
        *CONTENTS,
        b"RIFF",
        b"BM",
        b"8BPS",
        b"qoif",
        b"\xff\x4f\xff\x51",
        b"\0\0\1\0",
        b"icns",
        b"DDS ",
        b"Image type",
    )
    return head.startswith(known) or _box(b"avif", b"avis")(head) or any(start.startswith(head) for start in known)


_UNREAD: tuple[tuple[Callable[[bytes], bool], str], ...] = (
    (_box(b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"), ".heic"),
    (_box(b"crx "), ".cr3"),
    (_box(b"isom", b"iso2", b"mp41", b"mp42", b"qt  ", b"M4V "), ".mp4"),
    (_prefix(b"\xff\x0a", b"\0\0\0\x0cJXL "), ".jxl"),
    (_prefix(b"II\xbc"), ".jxr"),
    (_prefix(b"v/1\x01"), ".exr"),
    (_prefix(b"IIRO", b"IIU\0", b"FUJIFILMCCD-RAW", b"FOVb"), ".raw"),
    (lambda head: head[:4] == b"II*\0" and head[8:10] == b"CR", ".cr2"),
    (_prefix(b"%PDF", b"%!PS"), ".pdf"),
    (_prefix(b"PK\x03\x04", b"\x1f\x8b", b"7z\xbc\xaf", b"Rar!", b"BZh", b"\xfd7zXZ"), ".zip"),
    (_prefix(b"\x93NUMPY", b"MATLAB"), ".npy"),
    (_prefix(b"NRRD", b"ObjectType"), ".nrrd"),
    (lambda head: head[344:347] in (b"n+1", b"ni1"), ".nii"),
    (lambda head: b"<svg" in head, ".svg"),
)


def _unread_format(path: Path, head: bytes, error: Exception) -> tuple[str, str] | None:
    if is_dicom(path, head) and not any(map(head.startswith, CONTENTS)):
        if isinstance(error, ModuleNotFoundError):
            return "DICOM", f"pydicom reads it: {how_to_install('dicom')}"
        message = _first_sentence(error)
        unread = ("no image", "decompress", "decod", "not supported", "plugin")
        return ("this DICOM file", f"{message}; export it as PNG") if any(word in message for word in unread) else None
    by_content = next((suffix for begins, suffix in _UNREAD if begins(head)), None)
    if by_content:
        return BY_SUFFIX[by_content]
    if path.suffix.lower() in RAW_SUFFIXES:  # many begin as TIFF files do, and hold a small preview
        return BY_SUFFIX[".raw"]
    if _box(b"avif", b"avis")(head) and ".avif" not in image_suffixes():
        return BY_SUFFIX[".avif"]
    message = str(error)
    if head[:4] in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+") and isinstance(error, NotImplementedError):
        return f"TIFF ({message})", "save it as 8 or 16 bits per channel without compression"
    if "cannot find loader" in message or "Ghostscript" in message:
        return (Image.registered_extensions().get(path.suffix.lower()) or "a format that Pillow only names"), TO_JPEG
    if "text chunk" in message.lower() or "Decompressed data too large" in message:  # Pillow's guard against bombs
        return "PNG with a text larger than is safe to unpack", "save it again without its metadata"
    return None


def _first_sentence(error: Exception) -> str:
    text = " ".join(str(error).split())
    return text.partition(". ")[0][:200].rstrip(".") or type(error).__name__


def _no_image(head: bytes) -> str:
    start = head.lstrip()[:200].lower()
    if start.startswith((b"<!doctype html", b"<html")) or b"<html" in start:
        return "a web page was saved in its place; fetch the image itself"
    if start.startswith(b"version https://git-lfs"):
        return "a pointer of Git LFS; run `git lfs pull`"
    if not any(head):
        return "nothing but zeros, as an interrupted download leaves; fetch it again or delete it"
    if _is_text(head):
        return "it is text; leave it out, or fetch the image again if this is what arrived in its place"
    return "its first bytes are those of no format that is read; fetch it again, export it as PNG, or delete it"


def _is_text(head: bytes) -> bool:
    """Whether a file begins with lines of text, in ASCII or UTF-8."""
    if head.startswith(TEXT_FORMATS):
        return False
    try:
        text = head.decode()
    except UnicodeDecodeError as error:
        if len(head) < HEAD or error.start < HEAD - 3:
            return False
        text = head[: error.start].decode()  # the last bytes are a part of a letter
    return len(text) > 3 and text.translate(dict.fromkeys(map(ord, "\n\r\t\f\ufeff"))).isprintable()


def _says_cut_short(error: Exception) -> bool:
    message = str(error).lower()
    words = (
        "truncated",
        "not processed",
        "not enough",
        "less than expected",
        "unexpected end",
        "end of file",
        "reading past",
        "eof",
    )
    return isinstance(error, EOFError) or any(word in message for word in words)


def _ends_early(path: Path, head: bytes) -> bool:
    """Whether a file lacks the end that its format promises."""
    size = path.stat().st_size
    with open(path, "rb") as file:
        file.seek(max(0, size - HEAD))
        tail = file.read()
    if head.startswith((b"\xff\xd8", b"\xff\x4f\xff\x51")):
        return b"\xff\xd9" not in tail[-HEAD:]
    if head.startswith(b"\x89PNG"):
        return b"IEND" not in tail
    if head.startswith(b"GIF8"):
        return not tail.rstrip(b"\0").endswith(b";")
    if head.startswith((b"RIFF", b"BM", b"II*\0", b"MM\0*")):
        return len(head) < 12 or _stated_size(head) > size
    if head[4:8] in (b"ftyp", b"jP  "):
        return _boxes_end(path, size) > size
    return False


def _stated_size(head: bytes) -> int:
    """Bytes that the header says there are, at least."""
    if head.startswith(b"RIFF"):
        return int(struct.unpack("<I", head[4:8])[0]) + 8
    if head.startswith(b"BM"):
        return int(struct.unpack("<I", head[2:6])[0])
    return int(struct.unpack(">I" if head.startswith(b"MM") else "<I", head[4:8])[0]) + 2  # TIFF: its directory


def _boxes_end(path: Path, size: int) -> int:
    """Where the last of a file's boxes (as in MP4) ends."""
    offset = 0
    with open(path, "rb") as file:
        while offset < size:
            file.seek(offset)
            header = file.read(16)
            if len(header) < 8:
                return offset + 8
            length = struct.unpack(">I", header[:4])[0]
            if length == 0:  # up to the end
                return size
            if length == 1 and len(header) == 16:
                length = struct.unpack(">Q", header[8:])[0]
            offset += max(8, length)
    return offset
