"""The bytes of one file: from the host that keeps them, without a token, resumed where they break off, and checked."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final, Protocol

import httpx

from fmf.connectors.body import BROKEN_OFF, Body
from fmf.connectors.replies import StrangeReplyError, code_of, extent_of, retry_after
from fmf.connectors.sharepoint.quick_xor import SIZE, QuickXorHash
from fmf.connectors.sharepoint.web import Web, address, fault
from fmf.errors import ConnectorError
from fmf_core.errors import Code
from fmf_core.redact import bare_address

OP: Final = "sharepoint.open"
MOST_REDIRECTS: Final = 5
_EXPIRED: Final = frozenset({401, 403, 404, 410})


@dataclass(frozen=True, slots=True)
class Location:
    """Where the bytes of a file are to be had for a while, and what is known of them."""

    url: str
    version: str | None
    size: int | None
    sha256: str = ""
    quick_xor: str = ""


class _Hash(Protocol):
    def update(self, block: bytes, /) -> None: ...

    def digest(self) -> bytes: ...


class Download:
    """One version of a file: asks its host for the bytes from any place on, and checks them at their end.

    Args:
        find: asks Graph where the bytes are; asked again when the address has expired.
        what: the file, for errors.
        web: how the host is reached.
        plain: whether the host may be on this machine, without TLS.
        check: whether size and hash must be those that Graph tells.

    Raises:
        ConnectorError: Graph does not say where the bytes are.
    """

    def __init__(self, find: Callable[[], Location], what: str, web: Web, *, plain: bool, check: bool) -> None:
        self._find = find
        self._what = what
        self._web = web
        self._plain = plain
        self._check = check
        self._is_begun = False
        self._total: int | None = None
        self._etag = ""
        self._location = find()
        self._hash, self._digest = _expected(self._location)

    def body(self) -> Body:
        """The file as a stream from its start to its end; to be called once.

        Raises:
            ConnectorError: the host does not give the bytes.
        """
        retries = self._web.retries
        pieces = retries.call(lambda: self.pieces_from(0))
        return Body(self._what, None, pieces, self.pieces_from, retries, patience_s=self._web.timeout_s)

    def pieces_from(self, start: int) -> Pieces:
        """The bytes from `start` on, of the same version; all before it must have been taken, in their order.

        Raises:
            ConnectorError: they cannot be had, or the file has changed.
        """
        response = self._answered(start)
        try:
            skip = self._skipped(response, start)
        except BaseException:
            response.close()
            raise
        self._is_begun = True
        return Pieces(response, self._checked(response, skip, start))

    def _checked(self, response: httpx.Response, skip: int, at: int) -> Iterator[bytes]:
        """The blocks of an answer; an error where they are not the whole file."""
        try:
            for block in _behind(response, skip):
                at += len(block)
                if self._hash is not None:
                    self._hash.update(block)
                yield block
        except httpx.HTTPError as error:
            raise fault(error, f"{self._what} broke off at byte {at}", OP) from error
        expected = self._location.size if self._total is None else self._total
        # Whether a body of unknown length that breaks off is an error of its own.
        tells_its_end = "chunked" in response.headers.get("transfer-encoding", "")
        promised = self._total is not None or self._check or not tells_its_end
        if promised and expected is not None and at < expected:
            ended = f"{self._what} ended after {at} of {expected} bytes"
            raise ConnectorError(ended, op=OP, code=Code.UNAVAILABLE, hint=BROKEN_OFF)
        self._check_any(at)
        if self._check:
            self._check_size(at)
            if self._hash is not None and self._hash.digest() != self._digest:
                raise self._other("its bytes do not have the hash that SharePoint lists")

    def _answered(self, start: int) -> httpx.Response:
        response = self._asked(start)
        if response.status_code in _EXPIRED and self._is_begun:
            # Addresses hold for an hour or so; a new one must lead to the same version.
            response.close()
            location = self._find()
            if location.version != self._location.version:
                raise self._changed("it has another version now")
            self._location = location
            response = self._asked(start)
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

    def _asked(self, start: int) -> httpx.Response:
        """The answer of the host, after its redirects; no token is sent, wherever they lead."""
        headers = {"accept-encoding": "identity"}
        if start:
            headers["range"] = f"bytes={start}-"
            if self._etag:
                headers["if-range"] = self._etag
        target = self._location.url
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
        raise self._strange("redirected without end")

    def _skipped(self, response: httpx.Response, start: int) -> int:
        """How many bytes of an answer lie before `start`."""
        headers = response.headers
        if headers.get("content-encoding", "identity").lower() != "identity":
            raise self._strange("its host sends it compressed")
        try:
            extent = extent_of(response.status_code, headers, start)
        except ValueError as error:
            raise self._strange(str(error)) from error
        etag = _strong(headers.get("etag", ""))
        if not start:
            self._etag, self._total = etag, extent.total
            self._check_any(extent.total)
            self._check_size(extent.total)
            return 0
        if etag != self._etag and (self._etag or response.status_code == 200):
            raise self._changed("its host sends another version")
        if None not in {self._total, extent.total} and extent.total != self._total:
            raise self._changed("it has another size now")
        if not self._etag and self._find().version != self._location.version:
            raise self._changed("it has another version now")
        return extent.skip

    def _check_any(self, size: int | None) -> None:
        """SharePoint makes some files larger or smaller as it hands them out, but none of them empty."""
        if size == 0 and self._location.size:
            raise self._strange(f"its host sends nothing where SharePoint lists {self._location.size} bytes")

    def _check_size(self, size: int | None) -> None:
        if self._check and size is not None and self._location.size is not None and size != self._location.size:
            raise self._other(f"its host sends {size} bytes where SharePoint lists {self._location.size}")

    def _changed(self, why: str) -> ConnectorError:
        hint = "run again when nobody writes to it"
        return ConnectorError(f"{self._what} changed while it was read: {why}", op=OP, code=Code.CONFLICT, hint=hint)

    def _strange(self, why: str) -> StrangeReplyError:
        hint = "check what lies between here and SharePoint, and whether the file opens in the browser"
        return StrangeReplyError(f"{self._what}: {why}", op=OP, hint=hint)

    def _other(self, why: str) -> ConnectorError:
        hint = (
            "read it again; where that does not help, SharePoint rewrites such files when it hands them out: "
            "set verify_downloads: false for the connector"
        )
        return ConnectorError(f"{self._what}: {why}", op=OP, code=Code.CONFLICT, hint=hint)


class Pieces:
    """The blocks of one answer."""

    def __init__(self, response: httpx.Response, blocks: Iterator[bytes]) -> None:
        self._response = response
        self._blocks = blocks

    def __iter__(self) -> Pieces:
        return self

    def __next__(self) -> bytes:
        return next(self._blocks)

    def close(self) -> None:
        """Give the connection back, or close it where the body was not read to its end."""
        self._response.close()


def _behind(response: httpx.Response, skip: int) -> Iterator[bytes]:
    for block in response.iter_raw():
        if skip < len(block):
            yield block[skip:]
        skip = max(skip - len(block), 0)


def _strong(etag: str) -> str:
    return "" if etag.startswith("W/") else etag


def _expected(location: Location) -> tuple[_Hash | None, bytes]:
    """What counts the hash that is known of a file, and its value; a malformed one counts as none."""
    try:
        if len(location.sha256) == 64:
            return hashlib.sha256(), bytes.fromhex(location.sha256)
        digest = base64.b64decode(location.quick_xor, validate=True)
    except ValueError:
        return None, b""
    return (QuickXorHash(), digest) if len(digest) == SIZE else (None, b"")
