"""A web host on this machine that cuts, crawls, lies and refuses, and notes what it was asked and sent."""

import http.server
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial

CONTENT = bytes(range(256)) * 80  # 20,480 bytes, no two places alike within a stretch of 256
NAME = "xrays.npz"
NOBODY = f"http://127.0.0.1:9/{NAME}"
BLOCK = 1024


@dataclass
class Host:
    """A host that serves one file, and how."""

    content: bytes = CONTENT
    ranges: bool = True  # whether it can start in the middle
    cut_after: int | None = None  # bytes
    num_cuts: int = 1  # first answers that are cut
    pause: float = 0  # seconds before each block of 1,024 bytes
    status: int = 200
    later_status: int = 200  # of all answers but the first
    port: int = 0
    asked: list[str | None] = field(default_factory=list)  # the Range header of each GET
    sent: int = 0  # bytes of bodies

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/{NAME}"


class Handler(http.server.BaseHTTPRequestHandler):
    def __init__(self, host: Host, *args: object) -> None:
        self.host = host
        super().__init__(*args)  # type: ignore[arg-type]

    def log_message(self, *_: object) -> None: ...

    def do_HEAD(self) -> None:
        self.send_response(self.host.status)
        self.end_headers()

    def do_GET(self) -> None:
        host, asked = self.host, self.headers["Range"]
        host.asked.append(asked)
        first = int(asked.removeprefix("bytes=").removesuffix("-")) if asked and host.ranges else 0
        status = host.status if len(host.asked) == 1 else host.later_status
        if status == 200 and first:
            status = 206 if first < len(host.content) else 416
        body = host.content[first:] if status < 300 else b""
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        cut = host.cut_after if len(host.asked) <= host.num_cuts else None
        try:
            for at in range(0, len(body[:cut]), BLOCK):
                time.sleep(host.pause)
                block = body[:cut][at : at + BLOCK]
                host.sent += len(block)
                self.wfile.write(block)
        except OSError:  # the reader has gone
            return


class Server(http.server.ThreadingHTTPServer):
    block_on_close = False  # a crawling answer need not be waited for


@contextmanager
def hosts() -> Iterator[Callable[..., Host]]:
    """Starts hosts of the given behavior, and ends them."""
    servers = []

    def start(**behavior: object) -> Host:
        host = Host(**behavior)  # type: ignore[arg-type]
        server = Server(("127.0.0.1", 0), partial(Handler, host))
        host.port = server.server_port
        threading.Thread(target=partial(server.serve_forever, poll_interval=0.01), daemon=True).start()
        servers.append(server)
        return host

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()
