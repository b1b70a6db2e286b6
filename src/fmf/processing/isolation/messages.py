"""Messages between processes over a socket: a kind, a length, bytes, and open files that go with them."""

from __future__ import annotations

import array
import os
import socket
import struct
from collections.abc import Sequence
from typing import Final

_HEAD: Final = struct.Struct("<cI")
_BLOCK: Final = 1 << 18


class BrokenOffError(Exception):
    """The other side has gone."""


def send(channel: socket.socket, kind: bytes, body: bytes = b"", files: Sequence[int] = ()) -> None:
    """Send one message.

    Args:
        channel: a Unix socket.
        kind: one byte.
        body: anything.
        files: descriptors that the other side gets copies of.

    Raises:
        BrokenOffError: nobody is there to take it.
    """
    head = _HEAD.pack(kind, len(body))
    try:
        sent = socket.send_fds(channel, [head, body], list(files)) if files else 0
        if sent < len(head) + len(body):
            channel.sendall((head + body)[sent:])
    except OSError as error:
        raise BrokenOffError(f"a message could not be sent: {error}") from error


def receive(channel: socket.socket) -> tuple[bytes, bytes, list[int]]:
    """The next message: kind, body, and the descriptors that came with it.

    Raises:
        BrokenOffError: the other side has gone.
        TimeoutError: the time-out of the socket is over.
    """
    head, files = _head(channel)
    try:
        kind, length = _HEAD.unpack(head)
        return kind, _exactly(channel, length), files
    except BaseException:
        for file in files:
            os.close(file)
        raise


def _head(channel: socket.socket) -> tuple[bytes, list[int]]:
    files = array.array("i")
    try:
        head, ancillary, _, _ = channel.recvmsg(_HEAD.size, socket.CMSG_SPACE(4 * files.itemsize))
    except TimeoutError:
        raise
    except OSError as error:
        raise BrokenOffError(f"no message came: {error}") from error
    for level, what, data in ancillary:
        if level == socket.SOL_SOCKET and what == socket.SCM_RIGHTS:
            files.frombytes(data[: len(data) - len(data) % files.itemsize])
    if not head:
        raise BrokenOffError("the other side has gone")
    return head + _exactly(channel, _HEAD.size - len(head)), list(files)


def _exactly(channel: socket.socket, length: int) -> bytes:
    if not length:
        return b""
    body = bytearray(length)
    view, done = memoryview(body), 0
    while done < length:
        try:
            got = channel.recv_into(view[done:], min(length - done, _BLOCK))
        except TimeoutError:
            raise
        except OSError as error:
            raise BrokenOffError(f"a message broke off: {error}") from error
        if not got:
            raise BrokenOffError("a message broke off")
        done += got
    return bytes(body)
