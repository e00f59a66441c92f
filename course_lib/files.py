"""Where the course keeps its files, and how it writes them so that a crash never leaves half of one."""

import contextlib
import os
import tempfile
from collections.abc import Callable
from pathlib import Path


def as_path(path: str | os.PathLike[str], name: str = "path") -> Path:
    """A path given as a string or as a `Path`; `~` is the home directory.

    Raises:
        TypeError: it is neither; the message says of which argument.

    >>> as_path("pets/cats").name
    'cats'
    """
    if not isinstance(path, str | os.PathLike):
        raise TypeError(
            f"{name} must be a path, a str or a pathlib.Path, got {type(path).__name__}; give one of these."
        )
    with contextlib.suppress(RuntimeError):  # no home
        return Path(path).expanduser()
    return Path(path)


def home() -> Path:
    """The home directory; for a user who has none, as in some containers, a folder among the temporary files."""
    with contextlib.suppress(RuntimeError):
        return Path.home()
    return Path(tempfile.gettempdir()) / f"home-{os.getuid() if hasattr(os, 'getuid') else 0}"


def data_dir() -> Path:
    """The folder for downloads and caches.

    `COURSE_DATA_DIR` if it is set; else `data/` of the clone that this package lies in; else, where the package was
    installed without a clone (Colab), a folder `course-data` in the home directory.
    """
    if chosen := os.environ.get("COURSE_DATA_DIR"):
        return as_path(chosen)
    clone = Path(__file__).parents[1]
    return clone / "data" if (clone / "pyproject.toml").is_file() else home() / "course-data"


def make_folder(path: Path, option: str) -> None:
    """Make a folder where there is none; `option` is how the user named it, such as "--out".

    Raises:
        OSError: it cannot be made, or written to.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=path):
            pass
    except OSError as error:
        reason = "this is a file" if path.is_file() else f"it cannot be one ({error.strerror})"
        raise OSError(f"{option} {path}: expected a folder to write to, and {reason}; name another.") from error


def write_text(path: str | os.PathLike[str], text: str) -> None:
    """Write a text as UTF-8, atomically; what UTF-8 cannot hold (a file name in an old encoding) is escaped."""
    content = text.encode("utf-8", errors="backslashreplace")
    write_atomically(path, lambda temporary: temporary.write_bytes(content))


def write_atomically(path: str | os.PathLike[str], write: Callable[[Path], object]) -> None:
    """Let `write` fill a temporary file beside `path`, then put it in place of `path` in one step.

    Whatever happens in between (a full disk, a kill), the file that was there before stays whole.

    Raises:
        OSError: the file could not be written; the message names it, and that the old one is kept.
    """
    path = as_path(path)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write(temporary)
        mask = os.umask(0)
        os.umask(mask)
        temporary.chmod(0o666 & ~mask)  # some libraries write files that nobody else may read
        with open(temporary, "r+b") as file:  # Windows flushes only what is open for writing
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        kept = "what was there is kept" if path.exists() else "nothing was written"
        raise OSError(
            f"{path}: cannot be written ({error.strerror or error}), {kept}; free some space, or choose a folder that "
            "you may write to."
        ) from error
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
