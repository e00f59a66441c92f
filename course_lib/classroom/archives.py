"""The files of submissions, in folders and archives: notebooks are read, and nothing else unpacked but archives."""

import bz2
import calendar
import contextlib
import gzip
import json
import lzma
import re
import tarfile
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from typing import IO, Any

LARGEST = 20_000_000  # bytes of a notebook
MOST = 100_000_000  # bytes of notebooks and archives that one student's archive may hold
MOST_FILES = 10_000  # in it
MOST_AT_ONCE = 8_000_000  # bytes; an archive reads its table of contents at once
DEEPEST = 4  # archives within archives
TEXTS = (".html", ".txt", ".url", ".webloc", ".md", ".yml")
KEPT = 1_000_000  # bytes of such a text
HEAD = 1 << 16
TOO_LARGE = f"its archive unpacks to more than {MOST // 1_000_000} MB, and not all of it was read"
ARCHIVE = re.compile(r"\.(zip|7z|rar|(tar(\.(gz|bz2|xz))?)|tgz|tbz2?|txz)$", re.IGNORECASE)
COMPRESSED: dict[bytes, Any] = {b"\x1f\x8b": gzip.open, b"BZh": bz2.open, b"\xfd7zXZ\x00": lzma.open}  # by first bytes
FOREIGN = {b"7z\xbc\xaf\x27\x1c": "7z", b"Rar!\x1a\x07": "rar"}
BROKEN = ("unreadable archive", *(f"{kind} archive" for kind in FOREIGN.values()))  # in place of a file's name
INSIDE = re.compile(r'"(cells|worksheets|nbformat)"\s*:')


@dataclass(frozen=True)
class File:
    """A file that was handed in.

    Attributes:
        parts: names of the folders and archives that it lies in, and its own.
        outside: how many of these the teacher or the platform gave; the others, in a student's archive, the student.
        time: when it was changed, in seconds; 0 if nothing says so.
        notebook: whether it holds one, whatever its name is.
        content: of a notebook, or of a text beside it; None if it is neither, or too large.
        remark: what is odd about the archive that it is in.
    """

    parts: tuple[str, ...]
    outside: int
    time: float = 0
    notebook: bool = False
    content: bytes | None = None
    remark: str = ""


class _Limits:
    """What is left of the limits of one student's archive, and of those within it."""

    def __init__(self) -> None:
        self.bytes, self.files = MOST, MOST_FILES


class _ForeignError(Exception):
    """An archive of a kind that needs a program of its own; the message says which."""


class _LargeError(Exception):
    """An archive unpacks to more than it may."""


@dataclass(frozen=True)
class _Member:
    name: str
    time: float
    open: Callable[[], IO[bytes]]


class _Frugal:
    """A file, as `zipfile` and `tarfile` read it, that gives only so much at once: a list of contents can be huge."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file

    def read(self, count: int = -1) -> bytes:
        content = self._file.read(min(count, MOST_AT_ONCE + 1) if count >= 0 else MOST_AT_ONCE + 1)
        if len(content) > MOST_AT_ONCE:
            raise zipfile.BadZipFile("its list of contents is too long")
        return content

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)


def files(source: Path) -> Iterator[File]:
    """The files of a folder or an archive; or a notebook. An archive in them is one student's, if there is more."""
    if source.is_file():
        with source.open("rb") as file:
            if source.suffix.lower() == ".ipynb":
                yield _read((source.name,), 1, source.stat().st_mtime, file, _Limits())
            else:
                yield from _unpacked((), file, None, DEEPEST)
        return
    paths = [path for path in sorted(source.rglob("*")) if path.is_file() and not path.is_symlink()]
    paths = [path for path in paths if not _beside(path.relative_to(source).parts)]
    for path in paths:
        parts = path.relative_to(source).parts
        with path.open("rb") as file:
            if _is_archive(parts):
                limits = None if len(paths) == 1 else _Limits()
                yield from _unpacked(_stemmed(parts), file, limits, DEEPEST, len(parts))
            else:
                yield _read(parts, len(parts), path.stat().st_mtime, file, _Limits())


def _unpacked(
    parts: tuple[str, ...], packed: IO[bytes], limits: _Limits | None, depth: int, outside: int = 0
) -> Iterator[File]:
    """What an archive holds, first its files, then the archives in it; without `limits`, it is the whole class's."""
    try:
        with _opened(packed, limits) as contents:
            members = [(_is_archive(inside), member, inside) for member, inside in _members(contents, parts)]
            for nested, member, inside in sorted(members, key=lambda each: each[0]):
                if limits and limits.files <= 0:
                    yield File(parts, outside, remark=f"its archive holds more than {MOST_FILES:,} files")
                    return
                if limits:
                    limits.files -= 1
                yield from _member(member, inside, nested, limits, depth, outside, alone=len(members) == 1)
    except _ForeignError as kind:
        remark = f"a {kind} archive cannot be unpacked here: unpack it, and put the notebook in its place"
        yield File((*parts, f"{kind} archive"), outside or len(parts) + 1, remark=remark)
    except _LargeError:
        yield File(parts, outside or len(parts), remark=TOO_LARGE)
    except Exception:  # broken, with a password, or made to do harm
        yield File((*parts, BROKEN[0]), outside or len(parts) + 1)


@contextlib.contextmanager
def _opened(packed: IO[bytes], limits: _Limits | None) -> Iterator[Iterator[_Member]]:
    """The files of an archive, whose kind its first bytes say: zip, or tar, compressed or not.

    Raises:
        _ForeignError: it is of another kind.
        _LargeError: there is no room for it.
    """
    packed.seek(0)
    head = packed.read(6)
    packed.seek(0)
    if kind := FOREIGN.get(head):
        raise _ForeignError(kind)
    frugal: Any = _Frugal(packed) if limits else packed
    if head.startswith(b"PK"):
        with zipfile.ZipFile(frugal) as archive:
            members = (member for member in archive.infolist() if not member.is_dir())
            yield (
                _Member(entry.filename, calendar.timegm((*entry.date_time, 0, 0, 0)), partial(archive.open, entry))
                for entry in members
            )
    elif unpack := next((unpack for magic, unpack in COMPRESSED.items() if head.startswith(magic)), None):
        with tempfile.TemporaryFile() as plain:
            if not _copied(unpack(packed), plain, limits):
                raise _LargeError
            with _opened(plain, limits) as contents:
                yield contents
    else:
        with tarfile.open(fileobj=frugal, mode="r:") as tar:
            max_members = MOST_FILES + 1 if limits else None
            yield (
                _Member(entry.name, entry.mtime, partial(tar.extractfile, entry))  # type: ignore[arg-type]
                for entry in islice(tar, max_members)
                if entry.isfile()
            )


def _member(
    member: _Member,
    inside: tuple[str, ...],
    nested: bool,
    limits: _Limits | None,
    depth: int,
    outside: int,
    *,
    alone: bool,
) -> Iterator[File]:
    own_limits = limits or (None if nested and alone else _Limits())
    try:
        with member.open() as file:
            if not nested:
                yield _read(inside, outside if limits else len(inside), member.time, file, own_limits or _Limits())
            elif depth:
                with tempfile.TemporaryFile() as unpacked:
                    if _copied(file, unpacked, own_limits):
                        around = outside if limits else len(inside) if own_limits else 0
                        yield from _unpacked(_stemmed(inside), unpacked, own_limits, depth - 1, around)
                    else:
                        yield File(inside, outside or len(inside), remark=TOO_LARGE)
    except Exception:
        yield File((*inside, BROKEN[0]) if nested else inside, outside or len(inside))


def _copied(file: IO[bytes], target: IO[bytes], limits: _Limits | None) -> bool:
    """Whether there was room for all of it."""
    while piece := file.read(1 << 20):
        target.write(piece)
        if limits:
            limits.bytes -= len(piece)
            if limits.bytes < 0:
                return False
    return True


def _read_up_to(count: int, file: IO[bytes]) -> bytes:
    pieces = []
    while count > 0 and (piece := file.read(min(count, 1 << 20))):
        pieces.append(piece)
        count -= len(piece)
    return b"".join(pieces)


def _read(parts: tuple[str, ...], outside: int, time: float, file: IO[bytes], limits: _Limits) -> File:
    head = file.read(HEAD)
    if parts[-1].lower().endswith(".ipynb") or _begins_a_notebook(head):
        room = max(0, min(LARGEST, limits.bytes))
        content = head + _read_up_to(room + 1 - len(head), file)
        limits.bytes -= len(content)
        if len(content) > room:
            remark = TOO_LARGE if room < LARGEST else f"a notebook of more than {LARGEST // 1_000_000} MB"
            return File(parts, outside, time, notebook=True, remark=remark)
        return File(parts, outside, time, notebook=True, content=content)
    is_text = outside == len(parts) and parts[-1].lower().endswith(TEXTS)
    return File(parts, outside, time, content=head + _read_up_to(KEPT, file) if is_text else None)


def _begins_a_notebook(head: bytes) -> bool:
    text = head.decode(json.detect_encoding(head), errors="replace").lstrip("\ufeff \t\r\n")
    return text.startswith("{") and INSIDE.search(text) is not None


def _members(contents: Iterator[_Member], parts: tuple[str, ...]) -> Iterator[tuple[_Member, tuple[str, ...]]]:
    for member in contents:
        inner_parts = tuple(part for part in Path(member.name).parts if part not in ("..", "/"))
        if inner_parts and not _beside(inner_parts):
            yield member, (*parts, *inner_parts)


def _is_archive(parts: tuple[str, ...]) -> bool:
    return ARCHIVE.search(parts[-1]) is not None


def _stemmed(parts: tuple[str, ...]) -> tuple[str, ...]:
    return (*parts[:-1], ARCHIVE.sub("", parts[-1]))


def _beside(parts: tuple[str, ...]) -> bool:
    """Whether a file is one that programs leave beside what a person made."""
    return any(part.startswith(".") or part == "__MACOSX" for part in parts)
