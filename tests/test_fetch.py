"""Downloads from hosts on this machine that cut, crawl, lie and refuse, and note what they were asked and sent."""

import hashlib
import io
import re
import socket
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from web_host import CONTENT, NAME, NOBODY, Host

from course_lib import fetch
from course_lib.fetch import Remote, download, reachable, verify

CHECKSUM = "md5:" + hashlib.md5(CONTENT, usedforsecurity=False).hexdigest()


@pytest.fixture
def downloads(tmp_path: Path) -> Path:
    folder = tmp_path / "course-data" / "downloads"
    folder.mkdir(parents=True)
    return folder


def remote(*hosts: Host | str, checksum: str = CHECKSUM) -> Remote:
    return Remote(tuple(host if isinstance(host, str) else host.url for host in hosts), NAME, checksum)


def kept(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_file_is_downloaded_once_in_silence(
    serve: Callable[..., Host], downloads: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    host = serve()
    path = download(remote(host))
    assert (path, path.read_bytes()) == (downloads / NAME, CONTENT)
    assert download(remote(host)) == path
    assert host.asked == [None]
    assert kept(downloads) == [NAME]
    assert capsys.readouterr().err == ""


def test_a_file_of_other_bytes_that_is_there_is_refused_and_left_alone(
    serve: Callable[..., Host], downloads: Path
) -> None:
    host = serve()
    (downloads / NAME).write_bytes(b"put there by hand")
    with pytest.raises(ValueError, match=r"xrays\.npz: not the published .*; delete it and download it again"):
        download(remote(host))
    assert (downloads / NAME).read_bytes() == b"put there by hand"
    assert host.asked == []


def test_a_cut_connection_is_taken_up_at_the_byte_reached(serve: Callable[..., Host], downloads: Path) -> None:
    host = serve(cut_after=5000)
    assert download(remote(host)).read_bytes() == CONTENT
    assert host.asked == [None, "bytes=5000-"]
    assert host.sent == len(CONTENT)
    assert kept(downloads) == [NAME]


def test_the_part_of_a_killed_download_is_gone_on_with(serve: Callable[..., Host], downloads: Path) -> None:
    (downloads / f".{NAME}.part").write_bytes(CONTENT[:7000])
    host = serve()
    assert download(remote(host)).read_bytes() == CONTENT
    assert (host.asked, host.sent) == (["bytes=7000-"], len(CONTENT) - 7000)


def test_an_interrupted_download_keeps_its_part(
    serve: Callable[..., Host], downloads: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Interrupted(fetch.tqdm):  # type: ignore[type-arg,name-defined]
        def update(self, n: float | None = 1) -> bool | None:
            raise KeyboardInterrupt

    host = serve(pause=0.01)
    with monkeypatch.context() as patch:
        patch.setattr(fetch, "tqdm", Interrupted)
        with pytest.raises(KeyboardInterrupt):
            download(remote(host))
    part = (downloads / f".{NAME}.part").read_bytes()
    assert 0 < len(part) < len(CONTENT)
    assert CONTENT.startswith(part)
    assert download(remote(host)).read_bytes() == CONTENT
    assert host.asked == [None, f"bytes={len(part)}-"]


def test_a_host_that_knows_no_ranges_starts_anew(serve: Callable[..., Host], downloads: Path) -> None:
    (downloads / f".{NAME}.part").write_bytes(b"?" * 30_000)  # longer than the file, too
    host = serve(ranges=False)
    assert download(remote(host)).read_bytes() == CONTENT
    assert (host.asked, host.sent) == (["bytes=30000-"], len(CONTENT))


def test_a_whole_part_is_put_in_place_without_another_byte(serve: Callable[..., Host], downloads: Path) -> None:
    (downloads / f".{NAME}.part").write_bytes(CONTENT)
    host = serve()  # answers 416: there is nothing after the last byte
    assert download(remote(host)).read_bytes() == CONTENT
    assert (host.asked, host.sent) == ([f"bytes={len(CONTENT)}-"], 0)


@pytest.mark.parametrize("size", [100, len(CONTENT), 30_000])
def test_a_part_of_another_file_is_dropped(serve: Callable[..., Host], downloads: Path, size: int) -> None:
    (downloads / f".{NAME}.part").write_bytes(b"?" * size)
    host = serve()
    assert download(remote(host)).read_bytes() == CONTENT
    assert host.asked == [f"bytes={size}-", None]


def test_wrong_bytes_send_it_to_the_next_mirror_from_the_start(serve: Callable[..., Host], downloads: Path) -> None:
    wrong, right = serve(content=b"sign in first"), serve()
    assert download(remote(wrong, right)).read_bytes() == CONTENT
    assert (wrong.asked, right.asked) == ([None], [None])


def test_wrong_bytes_everywhere_name_both_checksums_and_nothing_is_kept(
    serve: Callable[..., Host], downloads: Path
) -> None:
    page = b"sign in first"
    hosts = serve(content=page), serve(content=page)
    found = "md5:" + hashlib.md5(page, usedforsecurity=False).hexdigest()
    said = (
        rf"xrays\.npz: every host sent other bytes \({found}, expected {CHECKSUM}\), .* sign in, .* put the file there"
    )
    with pytest.raises(ValueError, match=said):
        download(remote(*hosts))
    assert [host.asked for host in hosts] == [[None], [None]]
    assert kept(downloads) == []


def test_wrong_bytes_beside_a_dead_host_are_a_fault_of_the_network(serve: Callable[..., Host], downloads: Path) -> None:
    with pytest.raises(OSError, match=r"ConnectionError, .*: other bytes, md5:[0-9a-f]{32}\); connect to the"):
        download(remote(NOBODY, serve(content=b"sign in first")))
    assert kept(downloads) == []


def test_a_host_of_wrong_bytes_that_always_cuts_is_given_up(serve: Callable[..., Host], downloads: Path) -> None:
    (downloads / f".{NAME}.part").write_bytes(CONTENT[:3000])
    host = serve(content=b"?" * 5000, cut_after=1000, num_cuts=100)
    with pytest.raises(ValueError, match="every host sent other bytes"):
        download(remote(host))
    assert host.asked == ["bytes=3000-", "bytes=4000-", None, *(f"bytes={at}-" for at in (1000, 2000, 3000, 4000))]


@pytest.mark.usefixtures("impatient")
def test_a_slow_mirror_is_left_and_the_next_goes_on_where_it_stopped(
    serve: Callable[..., Host], capsys: pytest.CaptureFixture[str]
) -> None:
    slow, quick = serve(pause=0.03), serve()
    assert download(remote(slow, quick)).read_bytes() == CONTENT
    assert slow.asked == [None]
    assert quick.asked[0] is not None
    first = int(quick.asked[0].removeprefix("bytes=").removesuffix("-"))
    assert 0 < first < len(CONTENT)
    assert quick.sent == len(CONTENT) - first
    line = rf"127\.0\.0\.1:{slow.port}: only \d+ kB/s; going on with 127\.0\.0\.1:{quick.port}\.\n"
    assert re.fullmatch(line, capsys.readouterr().err)


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize(("pauses", "turns"), [((0.03, 0.12), [2, 1]), ((0.12, 0.03), [1, 1])])
def test_when_all_are_slow_the_fastest_is_waited_for(
    serve: Callable[..., Host], pauses: tuple[float, ...], turns: list[int]
) -> None:
    hosts = [serve(pause=pause) for pause in pauses]
    assert download(remote(*hosts)).read_bytes() == CONTENT
    assert [len(host.asked) for host in hosts] == turns


@pytest.mark.usefixtures("impatient")
def test_a_slow_host_without_mirrors_is_waited_for(
    serve: Callable[..., Host], capsys: pytest.CaptureFixture[str]
) -> None:
    host = serve(pause=0.03)  # 0.6 s in all, twice the patience
    assert download(remote(host)).read_bytes() == CONTENT
    assert host.asked == [None]
    assert capsys.readouterr().err == ""


@pytest.mark.usefixtures("impatient")
def test_a_host_that_falls_silent_is_left(serve: Callable[..., Host]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:  # connects, and never answers
        host = serve()
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/{NAME}"
        began = time.monotonic()
        assert not reachable(remote(url), seconds=0.3)
        assert reachable(remote(url, host), seconds=0.3)
        assert download(remote(url, host)).read_bytes() == CONTENT
        assert time.monotonic() - began < 5


def test_a_dead_host_and_a_missing_file_send_it_to_the_next(
    serve: Callable[..., Host], capsys: pytest.CaptureFixture[str]
) -> None:
    without, host = serve(status=404), serve()
    assert not reachable(remote(NOBODY, without))
    assert reachable(remote(NOBODY, without, host))
    assert download(remote(NOBODY, without, host)).read_bytes() == CONTENT
    assert capsys.readouterr().err == ""


def test_no_host_at_all_lists_each_and_says_where_to_put_the_file(serve: Callable[..., Host], downloads: Path) -> None:
    without = serve(status=404)
    said = (
        rf"xrays\.npz: cannot be downloaded \(127.0.0.1:9: ConnectionError, 127.0.0.1:{without.port}: status 404\); "
        rf"connect to the network and try again, .*, or fetch {NOBODY} by a browser and put the file there yourself: "
        rf"{downloads / NAME}\."
    )
    with pytest.raises(OSError, match=said):
        download(remote(NOBODY, without))
    assert kept(downloads) == []


def test_a_connection_lost_for_good_keeps_what_arrived(serve: Callable[..., Host], downloads: Path) -> None:
    host = serve(cut_after=5000, later_status=503)
    with pytest.raises(OSError, match=r"status 503.*try again, which goes on from where this stopped"):
        download(remote(NOBODY, host))
    assert (downloads / f".{NAME}.part").read_bytes() == CONTENT[:5000]


def test_the_mirror_of_a_classroom_comes_first(serve: Callable[..., Host], monkeypatch: pytest.MonkeyPatch) -> None:
    near, official = serve(), serve()
    monkeypatch.setenv("COURSE_MIRROR", near.url.removesuffix(NAME))
    assert reachable(remote(NOBODY))
    assert download(remote(official)).read_bytes() == CONTENT
    assert (near.asked, official.asked) == ([None], [])


def test_a_classroom_mirror_that_is_no_address_is_passed_over(
    serve: Callable[..., Host], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COURSE_MIRROR", "fileserver")
    host = serve()
    assert reachable(remote(host))
    assert download(remote(host)).read_bytes() == CONTENT


def test_two_downloads_at_once_both_end_with_the_file(serve: Callable[..., Host], downloads: Path) -> None:
    hosts, results = (serve(pause=0.01, cut_after=9000), serve(pause=0.01, ranges=False)), []
    threads = [threading.Thread(target=lambda host=host: results.append(download(remote(host)))) for host in hosts]
    for thread in threads:
        thread.start()
        time.sleep(0.05)
    for thread in threads:
        thread.join()
    assert results == [downloads / NAME] * 2
    assert (downloads / NAME).read_bytes() == CONTENT
    assert kept(downloads) == [NAME]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full, a disk that is always full")
def test_a_full_disk_names_the_file_and_the_mend(serve: Callable[..., Host], downloads: Path) -> None:
    (downloads / f".{NAME}.part").symlink_to("/dev/full")
    said = r"xrays\.npz: cannot be written \(No space left on device\), .*; free some space"
    with pytest.raises(OSError, match=said):
        download(remote(serve()))
    assert not (downloads / NAME).exists()


def test_on_a_terminal_a_bar_starts_at_the_bytes_that_are_there(
    serve: Callable[..., Host], downloads: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    (downloads / f".{NAME}.part").write_bytes(CONTENT[: len(CONTENT) // 2])
    download(remote(serve()))
    drawn = terminal.getvalue().split("\r")
    assert "xrays.npz:  50%" in drawn[1]
    assert "xrays.npz: 100%" in drawn[-1]
    assert "20.5k/20.5k" in drawn[-1]


def test_a_wrong_file_on_disk_names_both_checksums_and_the_mend(tmp_path: Path) -> None:
    path = tmp_path / NAME
    path.write_bytes(b"something else")
    with pytest.raises(
        ValueError, match=rf"xrays\.npz: not the published .*expected {CHECKSUM}\); delete it and download it again\.$"
    ):
        verify(path, remote(NOBODY))


def test_who_asks_two_files_hears_whether_both_can_be_had(serve: Callable[..., Host]) -> None:
    here, gone = remote(serve()), remote(NOBODY, serve(status=404), checksum="md5:0")
    assert reachable(here, remote(serve(), checksum="md5:1"))
    assert not reachable(here, gone)


def test_the_first_answer_is_enough_and_the_silent_hosts_share_one_deadline(
    serve: Callable[..., Host], monkeypatch: pytest.MonkeyPatch
) -> None:
    waits = []

    class Silence(fetch.queue.SimpleQueue):  # type: ignore[type-arg,name-defined]
        def get(self, block: bool = True, timeout: float | None = None) -> object:
            waits.append(timeout)
            clock[0] += timeout or 0
            raise fetch.queue.Empty

    clock = [100.0]
    with socket.create_server(("127.0.0.1", 0)) as silent:  # connects, and never answers
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/{NAME}"
        assert reachable(remote(url, url, url, serve()), seconds=60)  # a test of 60 s, were the silent waited for
        monkeypatch.setattr(fetch.time, "monotonic", lambda: clock[0])
        monkeypatch.setattr(fetch.queue, "SimpleQueue", Silence)
        assert not reachable(remote(url, url, url), remote(url, checksum="md5:0"))
    assert waits == [3]


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("pause", [0.03, 60])
def test_whoever_is_not_patient_leaves_the_last_host_too_and_the_part_is_gone_on_with(
    pause: float, serve: Callable[..., Host], downloads: Path
) -> None:
    slow, quick = serve(pause=pause), serve()
    with pytest.raises(OSError, match=r"cannot be downloaded \(127\.0\.0\.1:\d+: (only \d+ kB/s|\w+Error)\)"):
        download(remote(slow), patient=False)
    assert len(slow.asked) == 1
    part = len((downloads / f".{NAME}.part").read_bytes())
    assert part < len(CONTENT)
    assert kept(downloads) == [f".{NAME}.part"]
    assert download(remote(quick)).read_bytes() == CONTENT
    assert quick.sent == len(CONTENT) - part


def test_in_a_notebook_the_bar_is_text_among_what_is_printed(
    serve: Callable[..., Host], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(fetch, "in_notebook", lambda: True)
    download(remote(serve()))
    shown = capsys.readouterr()
    assert "xrays.npz: 100%" in shown.out
    assert shown.err == ""
