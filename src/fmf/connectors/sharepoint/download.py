"""The bytes of one file: from the host that keeps them, without a token, resumed where they break off, and checked."""

from __future__ import annotations

import base64
import hashlib
import io
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final, Protocol

import httpx

from fmf.connectors.sharepoint.quick_xor import SIZE, QuickXorHash
from fmf.connectors.sharepoint.web import Web, address, code_of, fault, retry_after
from fmf.errors import ConnectorError
from fmf_core.errors import Code
from fmf_core.redact import bare_address

OP: Final = "sharepoint.open"
BLOCK: Final = 1 << 16
MOST_REDIRECTS: Final = 5
_EXPIRED: Final = frozenset({401, 403, 404, 410})
_RANGE = re.compile(r"bytes (\d+)-\d+/(\d+|\*)")


@dataclass(frozen=True, slots=True)
class Place:
    """Where the bytes of a file are to be had for a while, and what is known of them."""

    url: str
    version: str | None
    size: int | None
    sha256: str = ""
    quick_xor: str = ""


class _Hash(Protocol):
    def update(self, block: bytes, /) -> None: ...

    def digest(self) -> bytes: ...


class Download(io.RawIOBase):
    """A file as a stream from its start to its end, checked at its end.

    Args:
        find: asks Graph where the bytes are; asked again when the address has expired.
        what: the file, for errors.
        web: how the host is reached.
        plain: whether the host may be on this machine, without TLS.
        check: whether size and hash must be those that Graph tells.

    Raises:
        ConnectorError: the bytes cannot be had.
    """

    def __init__(self, find: Callable[[], Place], what: str, web: Web, *, plain: bool, check: bool) -> None:
        super().__init__()
        self._find = find
        self._what = what
        self._web = web
        self._plain = plain
        self._check = check
        self._response: httpx.Response | None = None
        self._rest = memoryview(b"")
        self._position = 0
        self._total: int | None = None
        self._etag = ""
        self._failures = 0
        self._failed_at = 0
        self._place = find()
        self._hash, self._digest = _expected(self._place)
        try:
            self._blocks = self._connected()
        except BaseException:
            self.close()
            raise

    def readable(self) -> bool:
        """Yes."""
        return True

    def readinto(self, buffer: Any) -> int:
        """The next bytes; none at the end of the whole file.

        Raises:
            ConnectorError: the rest cannot be had, or what came is not the file.
        """
        if not self._rest:
            block = self._next()
            if not block:
                return 0
            self._rest = memoryview(block)
        count = min(len(buffer), len(self._rest))
        buffer[:count] = self._rest[:count]
        self._rest = self._rest[count:]
        return count

    def close(self) -> None:
        """Give the connection back, or close it where the body was not read to its end."""
        response, self._response = self._response, None
        if response is not None:
            response.close()
        super().close()

    def _next(self) -> bytes:
        """The next block; empty at the end, once all is checked."""
        while True:
            try:
                block = next(self._blocks, b"")
            except httpx.HTTPError as error:
                self._resume(fault(error, f"{self._what} broke off at byte {self._position}", OP), error)
                continue
            if block:
                self._position += len(block)
                if self._hash is not None:
                    self._hash.update(block)
                return block
            expected = self._place.size if self._total is None else self._total
            promised = self._total is not None or self._check or not self._tells_its_end()
            if expected is None or self._position >= expected or not promised:
                self._checked()
                return b""
            ended = f"{self._what} ended after {self._position} of {expected} bytes"
            self._resume(ConnectorError(ended, op=OP, code=Code.UNAVAILABLE))

    def _tells_its_end(self) -> bool:
        """Whether a body of unknown length that breaks off is an error of its own."""
        return self._response is not None and "chunked" in self._response.headers.get("transfer-encoding", "")

    def _resume(self, error: ConnectorError, cause: Exception | None = None) -> None:
        """Go on from the byte where the body broke off, unless that has been tried often enough without success."""
        if self._response is not None:
            self._response.close()
        self._failures = self._failures + 1 if self._position - self._failed_at < BLOCK else 1
        self._failed_at = self._position
        try:
            self._web.retries.wait(self._failures, error)
        except ConnectorError as final:
            # The file is shorter than it was promised to be, whatever the reason of the last failure.
            final.code, final.hint = Code.TRUNCATED, "run again later; is there a proxy that cuts long downloads?"
            raise final from cause
        self._blocks = self._connected()

    def _connected(self) -> Iterator[bytes]:
        """The blocks from the current position on."""
        self._response = self._web.retries.call(self._answered)
        return self._from_here(self._response)

    def _answered(self) -> httpx.Response:
        response = self._asked()
        if response.status_code in _EXPIRED and self._response is not None:
            # Addresses hold for an hour or so; a new one must lead to the same version.
            response.close()
            place = self._find()
            if place.version != self._place.version:
                raise self._changed("it has another version now")
            self._place = place
            response = self._asked()
        if response.status_code in (200, 206):
            return response
        response.close()
        raise ConnectorError(
            f"{self._what}: its host answered {response.status_code}",
            op=OP,
            code=Code.REFUSED if response.status_code == 401 else code_of(response.status_code),
            retry_after=retry_after(response.headers),
            hint="it may be checked out, blocked or deleted: look at it in SharePoint",
            fields={"status": response.status_code},
        )

    def _asked(self) -> httpx.Response:
        """The answer of the host, after its redirects; no token is sent, wherever they lead."""
        headers = {"accept-encoding": "identity"}
        if self._position:
            headers["range"] = f"bytes={self._position}-"
            if self._etag:
                headers["if-range"] = self._etag
        target = self._place.url
        for _ in range(MOST_REDIRECTS + 1):
            url = address(target, plain=self._plain)
            if url is None:
                place = bare_address(target)[:200]
                raise ConnectorError(
                    f"{self._what}: its bytes are said to be at {place!r}, which is no https address",
                    op=OP,
                    code=Code.REFUSED,
                    hint="tell the administrator of the library, or of the gateway in front of Graph",
                )
            try:
                response = self._web.send(url, headers)
            except (httpx.HTTPError, httpx.InvalidURL) as error:
                raise fault(error, self._what, OP) from error
            if not response.has_redirect_location:
                return response
            response.close()
            try:
                target = str(url.join(response.headers["location"]))
            except httpx.InvalidURL as error:
                raise fault(error, self._what, OP) from error
        raise ConnectorError(f"{self._what}: redirected without end", op=OP, code=Code.BAD_REPLY)

    def _from_here(self, response: httpx.Response) -> Iterator[bytes]:
        """The blocks of an answer that belong to the current position and behind it."""
        headers = response.headers
        if headers.get("content-encoding", "identity").lower() != "identity":
            response.close()
            raise ConnectorError(f"{self._what}: its host sends it compressed", op=OP, code=Code.BAD_REPLY)
        etag, skip = _strong(headers.get("etag", "")), 0
        if not self._position:
            self._etag, self._total = etag, _whole(response)
            self._check_size(self._total)
        elif response.status_code == 206:
            match = _RANGE.fullmatch(headers.get("content-range", ""))
            if match is None or int(match[1]) != self._position or (self._etag and etag and etag != self._etag):
                raise self._changed("its host sends another part")
            if self._total is not None and match[2] not in ("*", str(self._total)):
                raise self._changed("it has another size now")
        elif (etag, _whole(response)) == (self._etag, self._total):
            skip = self._position  # a host that knows no ranges sends everything again
        else:
            raise self._changed("its host sends another version")
        return _behind(response, skip)

    def _check_size(self, size: int | None) -> None:
        if self._check and size is not None and self._place.size is not None and size != self._place.size:
            raise self._other(f"its host sends {size} bytes where SharePoint lists {self._place.size}")

    def _checked(self) -> None:
        if not self._check:
            return
        self._check_size(self._position)
        if self._hash is not None and self._hash.digest() != self._digest:
            raise self._other("its bytes do not have the hash that SharePoint lists")

    def _changed(self, why: str) -> ConnectorError:
        if self._response is not None:
            self._response.close()
        hint = "run again when nobody writes to it"
        return ConnectorError(f"{self._what} changed while it was read: {why}", op=OP, code=Code.CONFLICT, hint=hint)

    def _other(self, why: str) -> ConnectorError:
        hint = (
            "read it again; where that does not help, SharePoint rewrites such files when it hands them out: "
            "set verify_downloads: false for the connector"
        )
        return ConnectorError(f"{self._what}: {why}", op=OP, code=Code.CONFLICT, hint=hint)


def _behind(response: httpx.Response, skip: int) -> Iterator[bytes]:
    for block in response.iter_raw():
        if skip < len(block):
            yield block[skip:]
        skip = max(skip - len(block), 0)


def _whole(response: httpx.Response) -> int | None:
    """How many bytes an answer announces."""
    if response.status_code == 206:
        match = _RANGE.fullmatch(response.headers.get("content-range", ""))
        return int(match[2]) if match and match[2] != "*" else None
    length = response.headers.get("content-length", "")
    return int(length) if length.isascii() and length.isdigit() else None


def _strong(etag: str) -> str:
    return "" if etag.startswith("W/") else etag


def _expected(place: Place) -> tuple[_Hash | None, bytes]:
    """What counts the hash that is known of a file, and its value; a malformed one counts as none."""
    try:
        if len(place.sha256) == 64:
            return hashlib.sha256(), bytes.fromhex(place.sha256)
        digest = base64.b64decode(place.quick_xor, validate=True)
    except ValueError:
        return None, b""
    return (QuickXorHash(), digest) if len(digest) == SIZE else (None, b"")
