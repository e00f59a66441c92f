"""Downloads: verified by a checksum, with a progress bar, into the course's data folder."""

import sys
from dataclasses import dataclass
from pathlib import Path

import pooch
import requests

from course_lib.files import data_dir


@dataclass(frozen=True)
class Remote:
    """A file on the network.

    Attributes:
        url: where it lies.
        filename: what it is called on disk.
        md5: checksum that its publisher gives, in hexadecimal.
    """

    url: str
    filename: str
    md5: str


def answers(remote: Remote, *, seconds: float = 3) -> bool:
    """Whether the host of a file answers, waiting `seconds` at most for each step of the connection."""
    try:
        return requests.head(remote.url, timeout=seconds, allow_redirects=True).ok
    except requests.RequestException:
        return False


def download(remote: Remote) -> Path:
    """The file on disk, downloaded if it is not there yet.

    Raises:
        OSError: the network or the host does not answer; the message says what to do.
        ValueError: what arrived has another checksum.
    """
    folder = data_dir() / "downloads"
    try:
        return Path(
            pooch.retrieve(
                remote.url,
                known_hash=f"md5:{remote.md5}",
                fname=remote.filename,
                path=folder,
                downloader=pooch.HTTPDownloader(progressbar=sys.stderr.isatty(), timeout=30),
            )
        )
    except requests.RequestException as error:
        raise OSError(
            f"{remote.url}: cannot be downloaded ({type(error).__name__}); connect to the network and try again, or "
            f"put the file there yourself: {folder / remote.filename}."
        ) from error


def verify(path: Path, remote: Remote) -> None:
    """Check that a file is the published one.

    Raises:
        ValueError: it is not; the message names it, both checksums and the mend.
    """
    found = pooch.file_hash(str(path), alg="md5")
    if found != remote.md5:
        raise ValueError(
            f"{path}: not the published {remote.filename} (MD5 {found}, expected {remote.md5}); delete it and download "
            f"it again, or, if it is a set of your own, rename it and name the file itself as the root."
        )
