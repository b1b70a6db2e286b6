"""The connector: what is listed of a bucket, and which version of an object is read."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from datetime import datetime
from email.utils import parsedate_to_datetime
from itertools import chain
from pathlib import Path
from typing import Any, BinaryIO, Final, NamedTuple, cast

from urllib3.response import BaseHTTPResponse

from fmf.config.connectors import S3ConnectorConfig
from fmf.connectors.base import Keys
from fmf.connectors.body import Body, Pace
from fmf.connectors.notices import Notices
from fmf.connectors.replies import StrangeReplyError, extent_of, same_version
from fmf.connectors.retries import Retries
from fmf.connectors.s3.access import reach
from fmf.connectors.s3.listing import Found, Pages
from fmf.connectors.s3.wire import PIECE, Wire, blocks
from fmf.connectors.selection import NO_PATH, Selection, checked_id, is_path
from fmf.errors import ConnectorError
from fmf.types import ResourceRef
from fmf_core.errors import Code
from fmf_core.forks import Lock, in_forked_child

_KMS = frozenset({"aws:kms", "aws:kms:dsse"})

_HINT: Final = "look at endpoint_url, and at what lies between here and the service: is there a proxy?"


class _Begun(NamedTuple):
    """An object whose first reply has come."""

    reply: BaseHTTPResponse
    size: int | None
    etag: str | None
    whole: bytes | None
    """All its bytes where they are few: taken at once, they cost least."""


class S3Connector:
    """Lists and reads the objects of a bucket below a prefix; may be used by many threads.

    Ids are keys relative to the prefix. Keys that end with `/` are the folders of consoles, and no files. An object
    that has changed since it was listed is refused; one whose bytes break off is read on from there.

    Args:
        config: the entry of `connectors:`.
        secrets: where `AWS_ACCESS_KEY_ID` and `AWS_SECRET_ACCESS_KEY` are looked for before boto3's own chain.
    """

    concurrency: Final = 8
    """How many objects are best read at once: most of the time goes into waiting."""

    def __init__(self, config: S3ConnectorConfig, secrets: Keys) -> None:
        self.name = config.name
        self.notices = Notices()
        """What the listings left out, by reason."""
        self._config = config
        self._secrets = secrets
        self._selection = Selection(config.include, config.exclude)
        self._retries = Retries(config.name, config.retry)
        self._wire: Wire | None = None
        self._lock = Lock()
        in_forked_child(self._drop)

    @classmethod
    def from_config(cls, config: Any, *, base: Path, secrets: Keys) -> S3Connector:  # noqa: ARG003
        """The connector for an entry of `connectors:` of type `s3`."""
        return cls(config, secrets)

    @property
    def retries(self) -> int:
        """How many requests were made again."""
        return self._retries.count

    def list(self, select: Sequence[str] = ()) -> Iterator[ResourceRef]:
        """The objects that match, sorted by id; see `DataConnector.list`. One page is held in memory."""
        selection = self._selection.narrowed(select)
        folder = self._config.prefix + selection.folder
        pages = iter(Pages(self._reached(), self._config.bucket, folder, self._retries))
        first = next(pages, [])
        return self._refs(chain([first], pages), selection)

    def open(self, ref: ResourceRef) -> BinaryIO:
        """The object's bytes; see `DataConnector.open`."""
        key = self._key(ref, "s3.open")
        begun = self._retries.call(lambda: self._begin(ref, key))
        if begun.whole is not None:
            return io.BytesIO(begun.whole)

        def pieces_from(start: int) -> Iterator[bytes]:
            return self._pieces(ref, *self._get(ref, key, begun, start))

        pieces = self._pieces(ref, begun.reply, 0)
        body = Body(ref.uri, begun.size, pieces, pieces_from, self._retries, patience_s=self._config.timeout_s)
        return cast("BinaryIO", io.BufferedReader(body, PIECE))

    def info(self, ref: ResourceRef) -> ResourceRef:
        """Size, time and version of the object now; see `DataConnector.info`."""
        key, wire = self._key(ref, "s3.info"), self._reached()

        def head() -> Found:
            reply = wire.ask("HEAD", key, {}, "s3.info", f"looking at {ref.uri}")
            reply.release_conn()
            headers = reply.headers
            size = extent_of(200, headers, 0).total
            if size is None:
                raise StrangeReplyError(f"looking at {ref.uri} failed: no size is told", op="s3.info", hint=_HINT)
            return Found(key, size, _time(headers.get("last-modified")), headers.get("etag"))

        return self._ref(ref.id, self._retries.call(head))

    def _key(self, ref: ResourceRef, op: str) -> str:
        return self._config.prefix + checked_id(ref.id, self.name, op)

    def _reached(self) -> Wire:
        with self._lock():
            if self._wire is None:
                self._wire = reach(self._config, self._secrets, self._retries)
            return self._wire

    def _drop(self) -> None:
        # The connections belong to the parent: they are left alone, not closed.
        self._wire = None

    def _refs(self, pages: Iterator[Sequence[Found]], selection: Selection) -> Iterator[ResourceRef]:
        start = len(self._config.prefix)
        for page in pages:
            for found in page:
                resource_id = found.key[start:]
                if resource_id.endswith("/") or not resource_id:
                    continue
                if not is_path(resource_id):
                    self.notices.count(NO_PATH)
                elif selection.wants(resource_id):
                    yield self._ref(resource_id, found)

    def _ref(self, resource_id: str, found: Found) -> ResourceRef:
        return ResourceRef(
            id=resource_id,
            uri=f"s3://{self._config.bucket}/{self._config.prefix}{resource_id}",
            name=resource_id.rpartition("/")[2],
            size=found.size,
            modified_at=found.modified_at,
            etag=found.etag,
        )

    def _begin(self, ref: ResourceRef, key: str) -> _Begun:
        """The reply to the first request, once it is sure that it is the object as it was listed."""
        known = _Begun(cast("BaseHTTPResponse", None), ref.size, ref.etag, None)
        reply, _ = self._get(ref, key, known, 0)
        try:
            self._check_kms(ref, reply)
            size = extent_of(reply.status, reply.headers, 0).total
            size = ref.size if size is None else size
            whole = self._whole(ref, reply, size) if size is not None and size <= PIECE else None
        except BaseException:
            reply.close()
            raise
        return _Begun(reply, size, ref.etag or reply.headers.get("etag"), whole)

    def _whole(self, ref: ResourceRef, reply: BaseHTTPResponse, size: int) -> bytes:
        pace, pieces = Pace(ref.uri, self._config.timeout_s), self._pieces(ref, reply, 0)
        whole = b"".join(iter(lambda: pace.next(pieces), b""))
        if len(whole) != size:
            raise self._odd(ref, f"{len(whole)} bytes came of {size}", Code.UNAVAILABLE)
        return whole

    def _get(self, ref: ResourceRef, key: str, known: _Begun, start: int) -> tuple[BaseHTTPResponse, int]:
        """A reply with the bytes from `start` on, of the version that is known, and how many lie before them."""
        headers = {"range": f"bytes={start}-"} if start else {}
        if known.etag:
            if not (known.etag.isascii() and known.etag.isprintable()):
                raise self._odd(ref, f"its version is listed as {known.etag!r}, which no request can name")
            headers["if-match"] = known.etag
        try:
            reply = self._reached().ask("GET", key, headers, "s3.open", f"reading {ref.uri}")
        except ConnectorError as error:
            if error.code is Code.CONFLICT:
                raise self._changed(ref, "its version is another one") from error
            raise
        try:
            return reply, self._skipped(ref, reply, known, start)
        except BaseException:
            reply.close()
            raise

    def _skipped(self, ref: ResourceRef, reply: BaseHTTPResponse, known: _Begun, start: int) -> int:
        """How many bytes of a reply lie before `start`, once it is sure that it is of the version that is known.

        Not every service heeds `If-Match`; that its reply is of another version, it says nevertheless.
        """
        try:
            extent = extent_of(reply.status, reply.headers, start)
        except ValueError as error:
            raise StrangeReplyError(f"reading {ref.uri} failed: {error}", op="s3.open", hint=_HINT) from error
        etag = reply.headers.get("etag")
        if start and not (known.etag and etag):
            raise self._changed(ref, "nobody says whether the rest is of the same version")
        if known.etag and etag and not same_version(etag, known.etag):
            raise self._changed(ref, f"its version was {known.etag}, and is {etag}")
        if None not in {known.size, extent.total} and extent.total != known.size:
            raise self._changed(ref, f"it had {known.size} bytes, and has {extent.total}")
        return extent.skip

    def _pieces(self, ref: ResourceRef, reply: BaseHTTPResponse, skip: int) -> Iterator[bytes]:
        try:
            for block in blocks(reply, "s3.read", f"reading {ref.uri}"):
                if skip < len(block):
                    yield block[skip:]
                skip = max(skip - len(block), 0)
        finally:
            reply.close()

    def _check_kms(self, ref: ResourceRef, reply: BaseHTTPResponse) -> None:
        """Refuse an object without a KMS key, before a byte of it is read."""
        found = reply.headers.get("x-amz-server-side-encryption")
        if self._config.kms_required and found not in _KMS:
            raise ConnectorError(
                f"{ref.uri} is not encrypted with a KMS key ({found or 'no encryption is told'}), "
                f"and connector {self.name!r} has kms_required",
                op="s3.open",
                code=Code.REFUSED,
                hint="encrypt the object with a KMS key, or set kms_required: false",
            )

    def _odd(self, ref: ResourceRef, why: str, code: Code = Code.BAD_REPLY) -> ConnectorError:
        return ConnectorError(f"reading {ref.uri} failed: {why}", op="s3.read", code=code, hint=_HINT)

    def _changed(self, ref: ResourceRef, how: str) -> ConnectorError:
        return ConnectorError(
            f"{ref.uri} has changed since it was listed: {how}",
            op="s3.open",
            code=Code.CONFLICT,
            hint="run again when nobody writes to it",
        )


def _time(told: str | None) -> datetime | None:
    try:
        return parsedate_to_datetime(told) if told else None
    except ValueError:
        return None
