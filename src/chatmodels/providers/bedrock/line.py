"""Connections of boto3 that another thread can cut, so that nobody waits for a call that nobody wants any more."""

from __future__ import annotations

import socket
import threading
from collections.abc import Generator, Iterator
from contextlib import contextmanager, suppress
from typing import Any, Final

from botocore.awsrequest import (
    AWSHTTPConnection,
    AWSHTTPConnectionPool,
    AWSHTTPSConnection,
    AWSHTTPSConnectionPool,
)
from urllib3.response import HTTPResponse

from chatmodels.providers.bedrock.errors import TooLongError
from chatmodels.transport.seam import MAX_REPLY_BYTES

EVENT_STREAM: Final = "eventstream"


class Line:
    """The connection that one call uses, which any thread may cut."""

    def __init__(self) -> None:
        self.is_cut = False
        self._lock = threading.Lock()
        self._connection: Any = None

    def use(self, connection: Any) -> None:
        """From now on the call uses `connection`; raises when it was cut before."""
        with self._lock:
            if self.is_cut:
                raise ConnectionAbortedError("nobody waits for this call any more")
            self._connection = connection

    def leave(self) -> None:
        """The call is over: its connection may serve another one."""
        with self._lock:
            self._connection = None

    def cut(self) -> None:
        """End whatever the call is waiting for."""
        with self._lock:
            self.is_cut = True
            sock = getattr(self._connection, "sock", None)
            if sock is not None:
                # Closing it would not wake who reads from it; and below TLS, since its farewell would have to be read.
                with suppress(OSError, TypeError):
                    socket.socket.shutdown(sock, socket.SHUT_RDWR)


_here = threading.local()


class _Cuttable:
    """Tells the call of its thread which connection it uses, and keeps replies to a length."""

    def connect(self) -> Any:
        connected = super().connect()  # type: ignore[misc]
        self._tell()
        return connected

    def request(self, *args: Any, **kwargs: Any) -> Any:
        self._tell()
        return super().request(*args, **kwargs)  # type: ignore[misc]

    def getresponse(self, *args: Any, **kwargs: Any) -> Any:
        response = super().getresponse(*args, **kwargs)  # type: ignore[misc]
        if type(response) is HTTPResponse and EVENT_STREAM not in response.headers.get("content-type", ""):
            # Not by an attribute that wraps its own `stream`: such a circle would keep the connections open.
            response.__class__ = _WholeResponse
        return response

    def _tell(self) -> None:
        line: Line | None = getattr(_here, "line", None)
        if line is not None:
            line.use(self)


def check_length(length: int | str | None) -> None:
    """Refuse a reply of that many bytes, or with such a length in its head, when no answer can be as long."""
    if isinstance(length, str):
        length = int(length) if length.isdecimal() else None
    if length is not None and length > MAX_REPLY_BYTES:
        raise TooLongError(f"the reply is longer than {MAX_REPLY_BYTES} bytes")


class _WholeResponse(HTTPResponse):
    """A reply whose body is neither cut short nor endless."""

    def stream(self, *args: Any, **kwargs: Any) -> Generator[bytes, None, None]:
        """The body in pieces; a connection with a rest of it that nobody will read is closed."""
        try:
            yield from self._measured(*args, **kwargs)
        except BaseException:
            self.close()
            raise

    def _measured(self, *args: Any, **kwargs: Any) -> Generator[bytes, None, None]:
        promised, length = self.headers.get("content-length", ""), 0
        check_length(promised)
        for piece in super().stream(*args, **kwargs):
            length += len(piece)
            check_length(length)
            yield piece
        if promised.isdecimal() and length < int(promised):
            raise ConnectionResetError(f"the reply broke off after {length} of {promised} bytes")


class _Connection(_Cuttable, AWSHTTPConnection):  # type: ignore[misc]
    pass


class _SecureConnection(_Cuttable, AWSHTTPSConnection):  # type: ignore[misc]
    pass


class _Cutting:
    """Takes a connection that has done its work from the call, before another call may get it."""

    def _put_conn(self, connection: Any) -> None:
        line: Line | None = getattr(_here, "line", None)
        if line is not None:
            line.leave()
        super()._put_conn(connection)  # type: ignore[misc]


class _Pool(_Cutting, AWSHTTPConnectionPool):  # type: ignore[misc]
    ConnectionCls = _Connection


class _SecurePool(_Cutting, AWSHTTPSConnectionPool):  # type: ignore[misc]
    ConnectionCls = _SecureConnection


@contextmanager
def using(line: Line) -> Iterator[None]:
    """Let the connections that this thread uses inside the block be those of `line`."""
    _here.line = line
    try:
        yield
    finally:
        line.leave()
        _here.line = None


def make_cuttable(client: Any) -> None:
    """Have `client`, fresh from boto3, open such connections."""
    http = getattr(getattr(client, "_endpoint", None), "http_session", None)
    classes = getattr(http, "_pool_classes_by_scheme", None)
    if isinstance(classes, dict):
        classes.update({"http": _Pool, "https": _SecurePool})
