"""The keys of a bucket, page by page; a page that may hide some is refused."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Final, NamedTuple
from urllib.parse import quote, unquote_plus
from xml.etree.ElementTree import Element, ParseError, XMLParser

from fmf.connectors.replies import StrangeReplyError
from fmf.connectors.retries import Retries
from fmf.connectors.s3.failures import of_error_in_success
from fmf.connectors.s3.wire import Wire
from fmf.errors import ConnectorError

PAGE: Final = 1000
"""Keys of one page, as many as S3 gives at most."""
EMPTY_PAGES: Final = 1000
"""So many pages without a key one after the other are taken: buckets with many delete markers have some."""
OP: Final = "s3.list"


class Found(NamedTuple):
    """What a listing tells of one object."""

    key: str
    size: int
    modified_at: datetime | None
    etag: str | None


class _Page(NamedTuple):
    found: Sequence[Found]
    token: str
    """Where the next page begins; empty behind the last one."""


class Pages:
    """The pages of the keys below a folder, in their order; a failed one is asked for again.

    Args:
        wire: asks the bucket.
        bucket: its name.
        folder: where the keys begin, with a `/` at its end; or empty.
        retries: makes failed requests again.
    """

    def __init__(self, wire: Wire, bucket: str, folder: str, retries: Retries) -> None:
        self._wire = wire
        self._folder = folder
        self._retries = retries
        self._what = f"listing s3://{bucket}/{folder}"
        self._after = ""
        self._token = ""

    def __iter__(self) -> Iterator[Sequence[Found]]:
        seen: set[str] = set()
        empty = 0
        while True:
            page = self._retries.call(self._page)
            if page.found:
                self._after, empty, seen = page.found[-1].key, 0, set()
                yield page.found
            else:
                empty += 1
            if not page.token:
                return
            if page.token in seen or empty > EMPTY_PAGES:
                raise self._strange(
                    "its pages go round in a circle" if page.token in seen else f"{empty} pages in a row are empty"
                )
            seen.add(page.token)
            self._token = page.token

    def _page(self) -> _Page:
        query = f"encoding-type=url&list-type=2&max-keys={PAGE}&prefix={_quoted(self._folder)}"
        if self._token:  # parts of a query are signed in their order
            query = f"continuation-token={_quoted(self._token)}&{query}"
        elif self._after:
            query = f"{query}&start-after={_quoted(self._after)}"
        try:
            return self._read(self._wire.whole(query, OP, self._what))
        except ConnectorError:
            if self._after:  # a token may be what the service did not like; what comes behind a key it knows for sure
                self._token = ""
            raise

    def _read(self, body: bytes) -> _Page:
        root = self._parsed(body)
        told: dict[str, str] = {}
        entries = []
        for each in root:
            name = _name(each)
            if name == "Contents":
                entries.append({_name(one): one.text or "" for one in each})
            else:
                told[name] = each.text or ""
        is_encoded = told.get("EncodingType") == "url"
        found = [self._found(entry, is_encoded=is_encoded) for entry in entries]
        self._check_order(found)
        count = told.get("KeyCount", "")
        if count.isascii() and count.isdigit() and int(count) > len(found):
            raise self._strange(f"the reply has {len(found)} keys and says that there are {count}")
        is_truncated, token = told.get("IsTruncated", "").strip().lower(), told.get("NextContinuationToken", "")
        if is_truncated not in {"true", "false"}:
            raise self._strange("the reply does not say whether there are more keys")
        if is_truncated == "true" and not token:
            raise self._strange("there are more keys, and the reply does not say how to go on")
        return _Page(found, token if is_truncated == "true" else "")

    def _parsed(self, body: bytes) -> Element:
        if b"<!" in body.partition(b"<Contents")[0]:
            raise self._strange("the reply is no list of keys")
        parser = XMLParser()  # noqa: S314 - without a document type there is nothing to expand
        try:
            parser.feed(body)
            root = parser.close()
        except (ParseError, ValueError, LookupError) as error:
            raise self._strange(f"the reply cannot be read ({error})") from error
        if _name(root) == "Error":
            raise of_error_in_success(body, OP, self._what)
        if _name(root) != "ListBucketResult":
            raise self._strange("the reply is no list of keys")
        return root

    def _found(self, entry: dict[str, str], *, is_encoded: bool) -> Found:
        key, size = entry.get("Key", ""), entry.get("Size", "").strip()
        key = unquote_plus(key) if is_encoded else key
        if not key.startswith(self._folder) or not key or not (size.isascii() and size.isdigit()):
            raise self._strange(f"{key!r} is no key below the folder, or has no size")
        return Found(key, int(size[:20]), _time(entry.get("LastModified", "")), entry.get("ETag") or None)

    def _check_order(self, found: Sequence[Found]) -> None:
        """Refuse a page that is not sorted or begins anew: objects would be listed twice, or not at all."""
        last = self._after
        for one in found:
            if one.key <= last:
                raise self._strange(
                    f"{one.key!r} came behind {last!r}, and listings are sorted",
                    "look at endpoint_url: this service does not list as S3 does (S3 Express does not either)",
                )
            last = one.key

    def _strange(self, why: str, hint: str | None = None) -> StrangeReplyError:
        return StrangeReplyError(
            f"{self._what} failed: {why}",
            op=OP,
            hint=hint or "look at endpoint_url, and at what lies between here and the service: is there a proxy?",
        )


def _quoted(text: str) -> str:
    return quote(text, safe="-_.~")


def _name(element: Element) -> str:
    """An element's name without its namespace, of which services have several."""
    return str(element.tag).rpartition("}")[2]


def _time(text: str) -> datetime | None:
    try:
        found = datetime.fromisoformat(text.strip())
    except ValueError:
        return None
    return found if found.tzinfo else None
