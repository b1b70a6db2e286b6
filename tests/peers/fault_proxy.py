"""A proxy on loopback before a real server, which breaks what a test wants broken and passes on everything else.

    with FaultProxy(server.url) as proxy:
        proxy.answer(503, times=2)              # the next two requests are refused without asking the server
        proxy.cut(after=100_000)                # the next reply's body ends with a closed connection
        proxy.shorten(to=10)                    # the next reply's body ends early, and says that this is its end

`where` narrows a fault to requests whose line (`GET /bucket?list-type=2`) holds that text.
"""

from __future__ import annotations

import contextlib
import http.client
import socket
import threading
from collections.abc import Callable
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Self
from urllib.parse import urlsplit

REFUSALS = {
    403: ("AccessDenied", "Access Denied"),
    429: ("TooManyRequests", "Please reduce your request rate."),
    503: ("SlowDown", "Please reduce your request rate."),
}
_OF_ONE_CONNECTION = {"connection", "keep-alive", "transfer-encoding", "content-length"}


@dataclass
class Fault:
    """What happens to the requests that it is meant for."""

    left: int
    where: str
    status: int | None = None
    headers: tuple[tuple[str, str], ...] = ()
    cut_after: int | None = None
    shorten_to: int | None = None
    hang: bool = False
    drip_s: float | None = None
    before: Callable[[], object] | None = None


class FaultProxy:
    """Passes on requests until the end of its context."""

    def __init__(self, upstream: str) -> None:
        self.upstream = urlsplit(upstream)
        self.requests: list[tuple[str, dict[str, str]]] = []
        """Every request: its method and path, and its headers by their names in small letters."""
        self._faults: list[Fault] = []
        self._lock = threading.Lock()
        self._over = threading.Event()
        proxy = self

        class Handler(_Handler):
            owner = proxy

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def answer(
        self, status: int, *, times: int = 1, where: str = "", headers: tuple[tuple[str, str], ...] = ()
    ) -> None:
        """Answer the next requests with an error."""
        self._faults.append(Fault(times, where, status=status, headers=headers))

    def cut(self, after: int, *, times: int = 1, where: str = "") -> None:
        """Close the connection after so many bytes of the body."""
        self._faults.append(Fault(times, where, cut_after=after))

    def shorten(self, to: int, *, times: int = 1, where: str = "") -> None:
        """End the body after so many bytes, as if that was all of it."""
        self._faults.append(Fault(times, where, shorten_to=to))

    def hang(self, *, times: int = 1, where: str = "") -> None:
        """Never answer."""
        self._faults.append(Fault(times, where, hang=True))

    def drip(self, pause_s: float, *, times: int = 1, where: str = "") -> None:
        """Send the body byte by byte, with a pause after each."""
        self._faults.append(Fault(times, where, drip_s=pause_s))

    def meanwhile(self, happens: Callable[[], object], *, where: str = "") -> None:
        """Let something happen on the server before the next request reaches it."""
        self._faults.append(Fault(1, where, before=happens))

    def __enter__(self) -> Self:
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(5)

    def fault_for(self, line: str, headers: dict[str, str]) -> Fault | None:
        """Note a request, and take the fault that is meant for it."""
        with self._lock:
            self.requests.append((line, headers))
            for fault in self._faults:
                if fault.left and fault.where in line:
                    fault.left -= 1
                    return fault
        return None

    def wait_for_end(self, timeout_s: float = 60) -> bool:
        """Wait until the proxy is stopped; whether it is."""
        return self._over.wait(timeout_s)


class _Handler(BaseHTTPRequestHandler):
    owner: FaultProxy
    protocol_version = "HTTP/1.1"

    def _handle(self) -> None:
        headers = {name.lower(): value for name, value in self.headers.items()}
        body = self.rfile.read(int(headers.get("content-length", 0)))
        fault = self.owner.fault_for(f"{self.command} {self.path}", headers)
        if fault is not None and fault.before is not None:
            fault.before()
        if fault is not None and fault.hang:
            self.owner.wait_for_end()
            self.close_connection = True
            return
        if fault is not None and fault.status is not None:
            code, message = REFUSALS.get(fault.status, ("InternalError", "We encountered an internal error."))
            told = f'<?xml version="1.0"?><Error><Code>{code}</Code><Message>{message}</Message></Error>'
            self._send(fault.status, [*fault.headers], told.encode())
            return
        self._pass_on(headers, body, fault)

    def __getattr__(self, name: str) -> Callable[[], None]:
        if name.startswith("do_"):
            return self._handle
        raise AttributeError(name)

    def _pass_on(self, headers: dict[str, str], body: bytes, fault: Fault | None) -> None:
        upstream = http.client.HTTPConnection(self.owner.upstream.netloc, timeout=30)
        try:
            passed = {name: value for name, value in headers.items() if name not in _OF_ONE_CONNECTION}
            upstream.request(self.command, self.path, body, passed)
            reply = upstream.getresponse()
            content = reply.read()
            kept = [(name, value) for name, value in reply.getheaders() if name.lower() not in _OF_ONE_CONNECTION]
            length = reply.getheader("content-length") if self.command == "HEAD" else None
            self._send(reply.status, kept, content, fault, length)
        finally:
            upstream.close()

    def _send(
        self,
        status: int,
        headers: list[tuple[str, str]],
        content: bytes,
        fault: Fault | None = None,
        length: str | None = None,
    ) -> None:
        if fault is not None and fault.shorten_to is not None:
            content = content[: fault.shorten_to]
        self.send_response_only(status)
        for name, value in headers:
            self.send_header(name, value)
        self.send_header("content-length", length or str(len(content)))
        self.end_headers()
        if fault is not None and fault.cut_after is not None:
            self.wfile.write(content[: fault.cut_after])
            self.wfile.flush()
            self.connection.shutdown(socket.SHUT_RDWR)
            self.close_connection = True
        elif fault is not None and fault.drip_s is not None:
            self.close_connection = True
            with contextlib.suppress(OSError):
                for number in range(len(content)):
                    self.wfile.write(content[number : number + 1])
                    if self.owner.wait_for_end(fault.drip_s):
                        return
        elif self.command != "HEAD":
            self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        pass
