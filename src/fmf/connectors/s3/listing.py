"""The keys of a bucket, page by page: obstore's where it tells them apart, boto3's where it does not."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Final

from obstore.exceptions import InvalidPathError

from fmf.connectors.retries import Retries
from fmf.connectors.s3.access import Access
from fmf.connectors.s3.failures import BOTO, OBSTORE, of_boto, of_obstore
from fmf.errors import ConnectorError
from fmf_core.errors import Code

if TYPE_CHECKING:
    from obstore import ObjectMeta

PAGE: Final = 1000
"""Keys of one page, as many as S3 gives at most."""


class Pages:
    """The pages of the keys below a folder, in their order.

    obstore is fast, but it takes the `/` from the end of a key, so that the folders of consoles look like empty
    objects, and it fails at keys that are no paths. Where that may be, boto3 gives the page instead.

    Args:
        access: the bucket.
        bucket: its name.
        folder: where the keys begin, with a `/` at its end; or empty.
        is_wanted: whether it matters what a key stands for.
        retries: makes failed requests again.
    """

    def __init__(
        self, access: Access, bucket: str, folder: str, is_wanted: Callable[[str], bool], retries: Retries
    ) -> None:
        self._access = access
        self._bucket = bucket
        self._folder = folder
        self._is_wanted = is_wanted
        self._retries = retries
        self._after = ""
        self._stream: Iterator[Sequence[ObjectMeta]] | None = None

    def __iter__(self) -> Iterator[Sequence[ObjectMeta]]:
        while page := self._retries.call(self._page):
            self._after = page[-1]["path"]
            yield page

    def _page(self) -> Sequence[ObjectMeta]:
        try:
            if self._stream is None:
                store = self._access.store
                self._stream = iter(store.list(self._folder or None, offset=self._after or None, chunk_size=PAGE))
            page = next(self._stream, ())
        except InvalidPathError:
            return self._exact_page()
        except OBSTORE as error:
            self._stream = None
            raise of_obstore(error, "s3.list", self._what) from error
        return self._exact_page() if self._is_doubtful(page) else page

    @property
    def _what(self) -> str:
        return f"listing s3://{self._bucket}/{self._folder}"

    def _is_doubtful(self, page: Sequence[ObjectMeta]) -> bool:
        last = self._after
        for one in page:
            key = one["path"]
            if key <= last or (not one["size"] and self._is_wanted(key)):
                return True
            last = key
        return False

    def _exact_page(self) -> Sequence[ObjectMeta]:
        self._stream = None
        try:
            reply = self._access.client.list_objects_v2(
                Bucket=self._bucket, Prefix=self._folder, StartAfter=self._after, MaxKeys=PAGE
            )
        except BOTO as error:
            raise of_boto(error, "s3.list", self._what) from error
        self._check_order([one["Key"] for one in reply.get("Contents", ())])
        return [
            {
                "path": one["Key"],
                "size": one["Size"],
                "last_modified": one["LastModified"],
                "e_tag": one.get("ETag"),
                "version": None,
            }
            for one in reply.get("Contents", ())
        ]

    def _check_order(self, keys: Sequence[str]) -> None:
        """Refuse a page that is not sorted or begins anew: objects would be listed twice, or not at all."""
        last = self._after
        for key in keys:
            if key <= last:
                raise ConnectorError(
                    f"{self._what} failed: {key!r} came behind {last!r}, and listings are sorted",
                    op="s3.list",
                    code=Code.BAD_REPLY,
                    hint="look at endpoint_url: this service does not list as S3 does (S3 Express does not either)",
                )
            last = key
