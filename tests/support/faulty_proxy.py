"""A proxy before an object store, which spoils the answers that a test names."""

from __future__ import annotations

import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.client import HTTPConnection, HTTPException, HTTPResponse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

CODES = {
    "301": "PermanentRedirect",
    "400": "ExpiredToken",
    "403": "AccessDenied",
    "404": "NoSuchUpload",
    "409": "ConditionalRequestConflict",
    "412": "PreconditionFailed",
    "429": "TooManyRequests",
    "500": "InternalError",
    "501": "NotImplemented",
    "503": "SlowDown",
    "expired": "ExpiredToken",
    "malformed": "AuthorizationHeaderMalformed",
    "skewed": "RequestTimeTooSkewed",
}
STATUSES = {"expired": 400, "malformed": 400, "skewed": 403}
"""Of the faults that have no number for a name."""
PASSING = ("409", "412", "429", "500", "503", "reset", "lost", "cut", "slow", "late")
"""Faults that a client must survive.

A number: an answer of this status, and nothing done. `reset`: the connection is reset before the
request is read. `lost`: it is done, and the connection reset instead of an answer. `cut`: the
answer breaks off in its middle. `slow`: it is done at once, and answered when the client has given
up. `late`: it is done only after the client has given up.
"""


class FaultyProxy(ThreadingHTTPServer):
    """Passes requests on to a server of this machine, but for those for which `fault` names one."""

    daemon_threads = True

    def __init__(self, target: int) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.target = target
        self.fault: Callable[[int, str, str], str | None] = lambda *_: None
        """What befalls a request: from its number (from 0), method and path. None: nothing."""
        self.hidden: set[str] = set()
        """Names of headers, in small letters, that are not passed on."""
        self.wait_seconds = 0.0
        """How long `slow` and `late` take: longer than clients wait."""
        self.seen: list[str] = []
        self._lock = threading.Lock()

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def reset(self) -> None:
        """Count from 0 again, without faults."""
        self.fault, self.hidden, self.seen = (lambda *_: None), set(), []

    def number(self, method: str, path: str) -> int:
        with self._lock:
            self.seen.append(f"{method} {path}")
            return len(self.seen) - 1

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing: clients that go away are what this is for."""


@contextmanager
def faulty_proxy(target: int) -> Iterator[FaultyProxy]:
    """Run a proxy before a port."""
    with FaultyProxy(target) as proxy:
        thread = threading.Thread(target=proxy.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield proxy
        finally:
            proxy.shutdown()
            thread.join()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: FaultyProxy

    def _serve(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length") or 0))
        proxy = self.server
        fault = proxy.fault(proxy.number(self.command, self.path), self.command, self.path)
        if fault in CODES:
            code = f"<Error><Code>{CODES[fault]}</Code><Message>planned</Message></Error>"
            self._answer(STATUSES.get(fault) or int(fault), [], code.encode())
            return
        if fault == "reset":
            self._reset()
            return
        if fault == "late":
            time.sleep(proxy.wait_seconds)
        answer, content = self._passed_on(body)
        if fault == "slow":
            time.sleep(proxy.wait_seconds)
        if fault == "lost":
            self._reset()
            return
        cut = len(content) // 2 if fault == "cut" else None
        self._answer(answer.status, answer.getheaders(), content, cut)

    do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = _serve  # noqa: N815

    def _passed_on(self, body: bytes) -> tuple[HTTPResponse, bytes]:
        connection = HTTPConnection("127.0.0.1", self.server.target, timeout=60)
        hidden = self.server.hidden
        headers = {n: v for n, v in self.headers.items() if n.lower() not in hidden}
        try:
            connection.request(self.command, self.path, body or None, headers)
            answer = connection.getresponse()
            return answer, answer.read()
        except HTTPException as error:
            raise OSError from error
        finally:
            connection.close()

    def _answer(
        self, status: int, headers: list[tuple[str, str]], content: bytes, cut: int | None = None
    ) -> None:
        hidden = {"content-length", "transfer-encoding", "connection", "date", "server"}
        length = str(len(content))
        self.send_response(status)
        for name, value in headers:
            if name.lower() not in hidden:
                self.send_header(name, value)
            elif name.lower() == "content-length" and self.command == "HEAD":
                length = value
        self.send_header("content-length", length)
        self._headers_buffer.append(b"\r\n")  # headers and content leave in one piece
        head = b"".join(self._headers_buffer)
        self._headers_buffer = []
        shown = b"" if self.command == "HEAD" else content[:cut]
        if cut is not None:
            self.close_connection = True
            shown = shown if content else b""
            head = head if content else head[: len(head) // 2]
        self.wfile.write(head + shown)

    def _reset(self) -> None:
        linger = struct.pack("ii", 1, 0)  # closing sends a reset, not an orderly end
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        self.close_connection = True
        self.connection.close()

    def log_message(self, *_: object) -> None:
        """Say nothing."""
