import hashlib
import http.server
import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from course_lib.data.fetch import Remote, answers, download, verify

CONTENT = b"x-rays" * 1000
MD5 = hashlib.md5(CONTENT, usedforsecurity=False).hexdigest()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[str]:
    """A host on this machine that serves one file."""
    (tmp_path / "www").mkdir()
    (tmp_path / "www" / "xrays.npz").write_bytes(CONTENT)

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None: ...

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=tmp_path / "www")) as host:
        threading.Thread(target=host.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{host.server_port}/xrays.npz"
        host.shutdown()


def test_a_file_is_downloaded_once_and_verified(server: str) -> None:
    remote = Remote(server, "xrays.npz", MD5)
    assert answers(remote)
    path = download(remote)
    assert path.read_bytes() == CONTENT
    changed = path.stat().st_mtime_ns
    assert download(remote) == path
    assert path.stat().st_mtime_ns == changed


def test_a_download_with_the_wrong_checksum_is_refused_and_not_kept(server: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"MD5 hash of downloaded file .*does not match the known hash"):
        download(Remote(server, "xrays.npz", "0" * 32))
    assert not [path for path in (tmp_path / "course-data").rglob("*") if path.is_file()]


def test_no_network_says_where_to_put_the_file(tmp_path: Path) -> None:
    remote = Remote("http://127.0.0.1:9/xrays.npz", "xrays.npz", MD5)
    assert not answers(remote)
    with pytest.raises(OSError, match=r"cannot be downloaded \(ConnectionError\); .*downloads/xrays\.npz"):
        download(remote)


def test_a_wrong_file_on_disk_names_both_checksums_and_the_mend(tmp_path: Path) -> None:
    path = tmp_path / "xrays.npz"
    path.write_bytes(b"something else")
    with pytest.raises(ValueError, match=rf"xrays\.npz: not the published .*expected {MD5}\); delete it and download"):
        verify(path, Remote("http://127.0.0.1:9/", "xrays.npz", MD5))
