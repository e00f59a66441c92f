"""Downloads: resumed where they stopped, from the first mirror that is quick enough, verified by a checksum."""

import hashlib
import math
import os
import queue
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import requests
from tqdm import tqdm
from urllib3.exceptions import HTTPError, IncompleteRead

from course_lib.files import as_path, data_dir
from course_lib.runtime import in_notebook

SLOW = 100_000  # bytes a second: a slower mirror is left for the next one
PATIENCE = 10.0  # seconds to measure that over, and to wait for an answer or for the next byte


@dataclass(frozen=True)
class Remote:
    """A file on the network.

    Attributes:
        urls: where it lies: the official host first, then mirrors with the same bytes.
        filename: what it is called on disk.
        checksum: that its publisher gives, such as "md5:c58f..." or "sha256:f370..."; the beginning of it is enough.
        size: in bytes; said before a download, and not checked.
    """

    urls: tuple[str, ...]
    filename: str
    checksum: str
    size: int = 0


@dataclass
class _Mirror:
    url: str
    received: int = 0  # bytes, in all its turns
    seconds: float = 0  # that they took
    again: bool = False  # whether another turn may bring more
    fault: str = ""  # of its last turn
    other_checksum: str = ""  # of the file that it gave, if that was not the published one

    @property
    def speed(self) -> float:
        """Bytes a second; as fast as can be until it is known."""
        return self.received / self.seconds if self.seconds else math.inf

    @property
    def host(self) -> str:
        return urlsplit(self.url).netloc


class _SlowError(Exception): ...


def reachable(*remotes: Remote, seconds: float = 3) -> bool:
    """Whether for each of these files some host answers; all are asked at once, and none is waited for any longer."""
    replies: queue.SimpleQueue[tuple[Remote, bool]] = queue.SimpleQueue()

    def ask(remote: Remote, url: str) -> None:
        try:
            replies.put((remote, requests.head(url, timeout=seconds, allow_redirects=True).ok))
        except requests.RequestException:
            replies.put((remote, False))

    pairs = [(remote, url) for remote in remotes for url in urls_of(remote)]
    for pair in pairs:
        threading.Thread(target=ask, args=pair, daemon=True).start()  # one that hangs ends with the process
    silent, end = set(remotes), time.monotonic() + seconds
    for _ in pairs:
        try:
            remote, answered = replies.get(timeout=max(0, end - time.monotonic()))
        except queue.Empty:
            break
        if answered:
            silent.discard(remote)
        if not silent:
            break
    return not silent


def download(remote: Remote, *, patient: bool = True) -> Path:
    """The file on disk, downloaded if it is not there yet.

    A file that is there is verified and returned; one with another checksum, perhaps put there by hand, is refused but
    never deleted. Bytes arrive in a hidden `.part` file beside it, from whose end an interrupted download goes on; only
    a verified part is put in place. Two processes at the same time write the same bytes to the same places of the part,
    and the later one takes the file that the earlier put in place.

    `COURSE_MIRROR`, where it is set, is the address of a folder on a web host, say one in the classroom, which is tried
    before the file's own hosts.

    Args:
        remote: the file.
        patient: wait for the last host, however slow, and six times as long where it is silent; else all are left that
            are slower than `SLOW`, or silent, for `PATIENCE`.

    Raises:
        OSError: no host gave the whole file, or the disk did not take it; the message says what to do.
        ValueError: the file that is there, or what every host sent, has another checksum.
    """
    target = data_dir() / "downloads" / remote.filename
    part = target.with_name(f".{target.name}.part")
    mirrors = [_Mirror(url) for url in urls_of(remote)]
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        for mirror, rival in _turns(mirrors):
            if target.is_file():  # since an earlier download, or another process was quicker
                break
            if _fetch(mirror, part, rival, patient) and _is_published(part, mirror, remote):
                part.replace(target)
                return target
    except OSError as error:
        if not target.is_file():
            raise OSError(
                f"{target}: cannot be written ({error.strerror or error}), what has arrived is kept; free some space, "
                "or name a folder that you may write to in COURSE_DATA_DIR."
            ) from error
    if not target.is_file():
        raise _failure(mirrors, target, remote)
    verify(target, remote)
    return target


def verify(path: str | Path, remote: Remote) -> None:
    """Check that a file is the published one.

    Raises:
        ValueError: it is not; the message names it and both checksums, and says what to do.
    """
    path = as_path(path)
    checksum = _checksum(path, remote)
    if checksum != remote.checksum:
        raise ValueError(
            f"{path}: not the published {remote.filename} ({checksum}, expected {remote.checksum}); delete it and "
            "download it again."
        )


def urls_of(remote: Remote) -> tuple[str, ...]:
    """Where a file is asked for, in this order."""
    near = os.environ.get("COURSE_MIRROR")
    return (f"{near.rstrip('/')}/{remote.filename}", *remote.urls) if near else remote.urls


def _turns(mirrors: list[_Mirror]) -> Iterator[tuple[_Mirror, _Mirror | None]]:
    """Each mirror once, with the one to leave it for if it is slow; then the fastest, for as long as it gives bytes."""
    for mirror, following in zip(mirrors, [*mirrors[1:], None], strict=True):
        yield mirror, following or _fastest(mirrors)
    while fastest := _fastest(mirrors):
        yield fastest, None


def _fastest(mirrors: list[_Mirror]) -> _Mirror | None:
    return max((mirror for mirror in mirrors if mirror.again), key=lambda mirror: mirror.speed, default=None)


def _fetch(mirror: _Mirror, part: Path, rival: _Mirror | None, patient: bool) -> bool:
    """Whether the part now reaches to the end of the file; if not, the mirror remembers how its turn went."""
    size, began = _size(part), time.monotonic()
    # As the bytes lie on the host: what it compresses on the way cannot be gone on with in the middle.
    headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={size}-"} if size else {})
    waits = (PATIENCE, 6 * PATIENCE if patient and not rival else PATIENCE)  # to connect, and between two bytes
    least_speed = min(SLOW, rival.speed) if rival else 0 if patient else SLOW
    try:
        with requests.get(mirror.url, headers=headers, stream=True, timeout=waits) as reply:
            if size and reply.status_code == 416:  # nothing comes after the part: it is whole, or of another file
                start = size
            else:
                reply.raise_for_status()
                start = size if reply.status_code == 206 else 0  # a host that knows no ranges sends everything
                _copy(reply.raw, part, start, least_speed)
    except _SlowError as error:
        mirror.fault = str(error)
        if rival:
            print(f"{mirror.host}: {error}; going on with {rival.host}.", file=sys.stderr)
    except (requests.RequestException, HTTPError) as error:
        answer = getattr(error, "response", None)
        mirror.fault = type(error).__name__ if answer is None else f"status {answer.status_code}"
    else:
        mirror.again = start > 0  # then some bytes may be older, or another mirror's
        return True
    mirror.received += _size(part) - size
    mirror.seconds += time.monotonic() - began
    mirror.again = _size(part) > size and (patient or mirror.seconds < PATIENCE or mirror.speed >= SLOW)
    return False


def _copy(source: Any, part: Path, start: int, least_speed: float) -> None:
    """Write the bytes from `start` on into their places in the part, as they arrive."""
    part.touch()
    total = start + source.length_remaining if source.length_remaining else None
    shown = {"file": sys.stdout, "mininterval": 0.5} if in_notebook() else {"disable": None}  # stderr is red there
    bar = tqdm(desc=part.stem[1:], total=total, initial=start, unit="B", unit_scale=True, **shown)
    with bar, open(part, "r+b") as file:
        since, before = time.monotonic(), file.seek(start)
        while chunk := source.read(2**14, decode_content=False):
            file.write(chunk)
            bar.update(len(chunk))
            seconds = time.monotonic() - since
            if seconds >= PATIENCE:
                speed = (file.tell() - before) / seconds
                if speed < least_speed:
                    raise _SlowError(f"only {speed / 1000:.0f} kB/s")
                since, before = time.monotonic(), file.tell()
        if total and file.tell() < total:  # the host hung up; urllib3 1.26 does not say so itself
            raise IncompleteRead(file.tell() - start, total - file.tell())
        file.truncate()


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _checksum(path: Path, remote: Remote) -> str:
    """The file's own checksum, of the kind and the length that the remote's has."""
    kind = remote.checksum.partition(":")[0]
    with open(path, "rb") as file:
        digest = hashlib.file_digest(file, lambda: hashlib.new(kind, usedforsecurity=False)).hexdigest()
    return f"{kind}:{digest}"[: len(remote.checksum)]


def _is_published(part: Path, mirror: _Mirror, remote: Remote) -> bool:
    """Whether a finished part has the right checksum; if not, it is deleted."""
    checksum = _checksum(part, remote)
    if checksum == remote.checksum:
        return True
    part.unlink()
    mirror.again = mirror.again and not mirror.other_checksum  # judged by bytes all its own, or by its second attempt
    mirror.other_checksum, mirror.fault = checksum, f"other bytes, {checksum}"
    return False


def _failure(mirrors: list[_Mirror], target: Path, remote: Remote) -> Exception:
    by_hand = f"put the file there yourself: {target}."
    if all(mirror.other_checksum for mirror in mirrors):
        checksums = " and ".join(sorted({mirror.other_checksum for mirror in mirrors}))
        return ValueError(
            f"{remote.filename}: every host sent other bytes ({checksums}, expected {remote.checksum}), none is kept; "
            f"if your network wants you to sign in, do that in a browser and try again, or {by_hand}"
        )
    faults = ", ".join(f"{mirror.host}: {mirror.fault}" for mirror in mirrors)
    return OSError(
        f"{remote.filename}: cannot be downloaded ({faults}); connect to the network and try again, which goes on from "
        f"where this stopped, or fetch {remote.urls[0]} by a browser and {by_hand}"
    )
