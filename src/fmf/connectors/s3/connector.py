"""The connector: what is listed of a bucket, and which version of an object is read."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Final, cast

from fmf.config.connectors import S3ConnectorConfig
from fmf.connectors.base import Keys
from fmf.connectors.body import Body
from fmf.connectors.notices import Notices
from fmf.connectors.retries import Retries
from fmf.connectors.s3.access import Access, reach
from fmf.connectors.s3.failures import BOTO, OBSTORE, of_boto, of_obstore
from fmf.connectors.s3.listing import Pages
from fmf.connectors.selection import NO_PATH, Selection, checked_id, is_path
from fmf.errors import ConnectorError
from fmf.types import ResourceRef
from fmf_core.errors import Code
from fmf_core.forks import Lock

if TYPE_CHECKING:
    from obstore import GetResult, ObjectMeta

PIECE: Final = 1 << 18
"""Bytes of one piece of an object; what was received of it is lost where a connection breaks."""
_KMS = frozenset({"aws:kms", "aws:kms:dsse"})


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
        self._access: Access | None = None
        self._lock = Lock()

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
        start = len(self._config.prefix)
        folder = self._config.prefix + selection.folder
        pages = iter(
            Pages(self._reached(), self._config.bucket, folder, lambda key: selection.wants(key[start:]), self._retries)
        )
        first = next(pages, [])
        return self._refs(chain([first], pages), selection)

    def open(self, ref: ResourceRef) -> BinaryIO:
        """The object's bytes; see `DataConnector.open`."""
        key = self._key(ref, "s3.open")
        self._reached()
        if self._config.kms_required:
            self._check_kms(ref, key)
        result, whole = self._retries.call(lambda: self._first(ref, key))
        if whole is not None:
            return io.BytesIO(whole)
        size, etag = result.range[1], ref.etag or result.meta["e_tag"]

        def pieces_from(start: int) -> Iterator[bytes]:
            return self._pieces(ref, self._get(ref, key, etag, start))

        body = Body(ref.uri, size, self._pieces(ref, result), pieces_from, self._retries)
        return cast("BinaryIO", io.BufferedReader(body, PIECE))

    def info(self, ref: ResourceRef) -> ResourceRef:
        """Size, time and version of the object now; see `DataConnector.info`."""
        key, access = self._key(ref, "s3.info"), self._reached()

        def head() -> ObjectMeta:
            try:
                return access.store.head(key)
            except OBSTORE as error:
                raise of_obstore(error, "s3.info", f"looking at {ref.uri}") from error

        return self._ref(ref.id, self._retries.call(head))

    def _key(self, ref: ResourceRef, op: str) -> str:
        return self._config.prefix + checked_id(ref.id, self.name, op)

    def _reached(self) -> Access:
        with self._lock():
            if self._access is None:
                self._access = reach(self._config, self._secrets, self._retries)
            return self._access

    def _refs(self, pages: Iterator[Sequence[ObjectMeta]], selection: Selection) -> Iterator[ResourceRef]:
        start = len(self._config.prefix)
        for page in pages:
            for found in page:
                resource_id = found["path"][start:]
                if resource_id.endswith("/") or not resource_id:
                    continue
                if not is_path(resource_id):
                    self.notices.count(NO_PATH)
                elif selection.wants(resource_id):
                    yield self._ref(resource_id, found)

    def _ref(self, resource_id: str, found: ObjectMeta) -> ResourceRef:
        return ResourceRef(
            id=resource_id,
            uri=f"s3://{self._config.bucket}/{self._config.prefix}{resource_id}",
            name=resource_id.rpartition("/")[2],
            size=found["size"],
            modified_at=found["last_modified"],
            etag=found["e_tag"],
        )

    def _get(self, ref: ResourceRef, key: str, etag: str | None, start: int) -> GetResult:
        options: dict[str, Any] = {"if_match": etag} if etag else {}
        if start:
            options["range"] = {"offset": start}
        try:
            return self._reached().store.get(key, options=options)  # type: ignore[arg-type]
        except OBSTORE as error:
            told = of_obstore(error, "s3.open", f"reading {ref.uri}")
            if told.code is Code.CONFLICT:
                raise self._changed(ref, "its version is another one") from error
            raise told from error

    def _first(self, ref: ResourceRef, key: str) -> tuple[GetResult, bytes | None]:
        """The reply to the first request, and all its bytes where they are few: taken at once, they cost least."""
        result = self._get(ref, key, ref.etag, 0)
        # Without a range in the request, that of the reply ends with the object.
        size = result.range[1]
        if ref.size is not None and size != ref.size:
            raise self._changed(ref, f"it had {ref.size} bytes, and has {size}")
        if size > PIECE:
            return result, None
        try:
            whole = bytes(result.bytes())
        except OBSTORE as error:
            raise of_obstore(error, "s3.read", f"reading {ref.uri}") from error
        if len(whole) != size:
            raise ConnectorError(
                f"{ref.uri} ended after {len(whole)} bytes of {size}",
                op="s3.read",
                code=Code.UNAVAILABLE,
                hint="run again; if it happens again, look at what lies between here and the service",
            )
        return result, whole

    def _pieces(self, ref: ResourceRef, result: GetResult) -> Iterator[bytes]:
        try:
            yield from result.stream(min_chunk_size=PIECE)
        except OBSTORE as error:
            raise of_obstore(error, "s3.read", f"reading {ref.uri}") from error

    def _changed(self, ref: ResourceRef, how: str) -> ConnectorError:
        return ConnectorError(
            f"{ref.uri} has changed since it was listed: {how}",
            op="s3.open",
            code=Code.CONFLICT,
            hint="run again when nobody writes to it",
        )

    def _check_kms(self, ref: ResourceRef, key: str) -> None:
        """Refuse an object without a KMS key; only boto3 tells how an object is encrypted."""

        def head() -> dict[str, Any]:
            wanted = {"IfMatch": ref.etag} if ref.etag else {}
            try:
                return dict(self._reached().client.head_object(Bucket=self._config.bucket, Key=key, **wanted))
            except BOTO as error:
                told = of_boto(error, "s3.open", f"looking at {ref.uri}")
                raise (
                    self._changed(ref, "its version is another one") if told.code is Code.CONFLICT else told
                ) from error

        found = self._retries.call(head).get("ServerSideEncryption")
        if found not in _KMS:
            raise ConnectorError(
                f"{ref.uri} is not encrypted with a KMS key ({found or 'no encryption is told'}), "
                f"and connector {self.name!r} has kms_required",
                op="s3.open",
                code=Code.REFUSED,
                hint="encrypt the object with a KMS key, or set kms_required: false",
            )
