"""A file of the web, read in one request, so that all of its bytes are of one version."""

from __future__ import annotations

import re
from typing import Any, Final

import aiohttp
from fsspec.asyn import sync

from fmf.errors import ConnectorError
from fmf_core.errors import Code

_RANGE: Final = re.compile(r"bytes (\d+)-\d+/(\d+|\*)\s*$", re.IGNORECASE)


class WebFile:
    """What a web server answers of a file, from a byte on.

    fsspec's own files ask for each block anew, and take what they get for parts of one file.

    Args:
        system: fsspec's file system of the web.
        address: where the file is.
        timeout_s: how long the server may say nothing.
        start: the byte to begin with.
        before: what was answered for the first bytes, where these are to go on from it.

    Raises:
        ConnectorError: the server answers with another version, or with other bytes.
    """

    def __init__(
        self, system: Any, address: str, timeout_s: float, *, start: int = 0, before: WebFile | None = None
    ) -> None:
        self._loop = system.loop
        self._address = address
        headers = {**system.kwargs.get("headers", {}), "Accept-Encoding": "identity"}
        if start:
            headers["Range"] = f"bytes={start}-"
        # The client's own limit is on the whole of a download, however large it is.
        patience = aiohttp.ClientTimeout(total=None, sock_connect=timeout_s, sock_read=timeout_s)
        asked = {**system.kwargs, "headers": headers, "timeout": patience}

        async def reply() -> Any:
            session = await system.set_session()
            answer = await session.get(system.encode_url(address), **asked)
            answer.raise_for_status()
            return answer

        self._reply = sync(self._loop, reply)
        self.version = tuple(self._reply.headers.get(name) for name in ("ETag", "Last-Modified"))
        try:
            self.size, self.skipped = self._place(start)
            self._check(before)
        except BaseException:
            self.close()
            raise

    def read(self, count: int) -> bytes:
        """At least one byte and at most `count`; none at the end."""
        return bytes(sync(self._loop, self._reply.content.read, count))

    def close(self) -> None:
        """Let go of the connection."""
        self._loop.call_soon_threadsafe(self._reply.close)

    def _check(self, before: WebFile | None) -> None:
        if before is not None and (self.version, self.size) != (before.version, before.size):
            raise ConnectorError(
                f"{self._address} changed while it was read",
                op="fsspec.read",
                code=Code.CONFLICT,
                hint="run again when nobody writes to it",
            )

    def _place(self, start: int) -> tuple[int | None, int]:
        """How many bytes all of the file has, and how many come before `start`, where the server knows no ranges."""
        headers = self._reply.headers
        if self._reply.status != 206:
            packed = headers.get("Content-Encoding", "identity") not in {"identity", ""}
            length = headers.get("Content-Length", "")
            return (int(length) if length.isdigit() and not packed else None), start
        told = _RANGE.match(headers.get("Content-Range", ""))
        if told is None or int(told[1]) != start:
            raise ConnectorError(
                f"{self._address} was asked for from byte {start} on, and came as "
                f"{headers.get('Content-Range') or 'a part that does not say which'}",
                op="fsspec.read",
                code=Code.BAD_REPLY,
                hint="look at what lies between here and the web server",
            )
        return (None if told[2] == "*" else int(told[2])), 0
