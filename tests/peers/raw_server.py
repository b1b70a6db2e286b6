"""A server on loopback that says exactly the bytes that a test wants, for what no well-behaved server says.

    with RawServer(ok(b"{}")) as server: ...                      # the same bytes for every request
    with RawServer([ok(b"one"), b"garbage"]) as server: ...       # one after the other, on whatever connection
    with RawServer(lambda peer: peer.send(peer.request())) as server: ...  # a function serves each connection

Every connection has a thread of its own.
"""

from __future__ import annotations

import contextlib
import gzip
import socket
import ssl
import struct
import threading
import time
from collections.abc import Callable, Sequence
from typing import Self


def ok(body: bytes = b"{}", *headers: str, status: str = "200 OK") -> bytes:
    """A whole reply with its length."""
    lines = "".join(f"{line}\r\n" for line in (*headers, f"content-length: {len(body)}"))
    return f"HTTP/1.1 {status}\r\n{lines}\r\n".encode("latin-1") + body


def chunked(*pieces: bytes, headers: str = "", trailers: str = "") -> bytes:
    """A whole reply in chunks."""
    body = b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces)
    return (
        f"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n{headers}\r\n".encode()
        + body
        + f"0\r\n{trailers}\r\n".encode()
    )


def packed(body: bytes) -> bytes:
    """A compressed body, the same at any time."""
    return gzip.compress(body, mtime=0)


class Peer:
    """The server's end of one connection."""

    def __init__(self, sock: socket.socket) -> None:
        self.socket = sock
        self.elsewhere = ""
        """The address of another server, for who sends clients there."""
        self._read = b""

    def head(self) -> bytes:
        """The head of the next request, or nothing when the client has closed the connection."""
        while b"\r\n\r\n" not in self._read:
            data = self.socket.recv(65536)
            if not data:
                return b""
            self._read += data
        head, _, self._read = self._read.partition(b"\r\n\r\n")
        return head

    def request(self) -> bytes:
        """The next request, its body included."""
        head = self.head()
        length = next((int(line[15:]) for line in head.split(b"\r\n") if line.startswith(b"content-length:")), 0)
        body, self._read = bytearray(self._read[:length]), self._read[length:]
        while len(body) < length and (data := self.socket.recv(min(1 << 20, length - len(body)))):
            body += data
        return head + b"\r\n\r\n" + body if head else b""

    def send(self, data: bytes) -> None:
        """Send it all."""
        self.socket.sendall(data)

    def wait_for_end(self) -> bool:
        """Wait until the client closes the connection."""
        with contextlib.suppress(OSError):
            while self.socket.recv(65536):
                pass
        return True

    def reset(self) -> None:
        """Break the connection off."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()


Answer = bytes | Sequence[bytes] | Callable[[Peer], object]


class RawServer:
    """Serves until the end of its context."""

    def __init__(
        self, answer: Answer = b"", *, tls: ssl.SSLContext | None = None, host: str = "127.0.0.1", port: int = 0
    ) -> None:
        self._serve = answer if callable(answer) else self._reply
        self._replies = [answer] if isinstance(answer, bytes) else [] if callable(answer) else list(answer)
        self.tls = tls
        """What connections speak from now on; `None` is plain TCP."""
        self._listener = socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
        self.port = self._listener.getsockname()[1]
        self.requests: list[bytes] = []
        """The requests that were answered from the list of replies."""
        self.connections = 0
        self.open_connections = 0
        self._peers: list[socket.socket] = []
        self._threads = [threading.Thread(target=self._accept, daemon=True)]

    @property
    def url(self) -> str:
        """What to give as `base_url`."""
        return f"{'https' if self.tls else 'http'}://127.0.0.1:{self.port}"

    def wait_for(self, condition: Callable[[RawServer], bool], timeout_s: float = 5.0) -> None:
        """Wait until `condition(server)` holds."""
        deadline = time.monotonic() + timeout_s
        while not condition(self):
            if time.monotonic() > deadline:
                raise AssertionError(f"not within {timeout_s} s; {self.connections} connections so far")
            time.sleep(0.002)

    def __enter__(self) -> Self:
        self._threads[0].start()
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._threads[0].join(5)
        self._listener.close()
        for sock in self._peers:
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
        for thread in self._threads[1:]:
            thread.join(5)

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                sock, _ = self._listener.accept()
                self.connections += 1
                self.open_connections += 1
                thread = threading.Thread(target=self._connected, args=(sock,), daemon=True)
                self._peers.append(sock)
                self._threads.append(thread)
                thread.start()

    def _connected(self, sock: socket.socket) -> None:
        plain = sock
        try:
            if self.tls is not None:
                sock = self.tls.wrap_socket(sock, server_side=True)
                self._peers.append(sock)
            self._serve(Peer(sock))
        except OSError:
            pass
        finally:
            sock.close()
            plain.close()
            self.open_connections -= 1  # last: who waits for it must find them closed

    def _reply(self, peer: Peer) -> None:
        while request := peer.request():
            self.requests.append(request)
            peer.send(self._replies.pop(0) if len(self._replies) > 1 else self._replies[0])
