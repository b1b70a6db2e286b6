"""What HTTP says, whichever client was told: the code of a status, how long to wait, and which bytes a reply holds."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from typing import Final, NamedTuple

from fmf.errors import ConnectorError
from fmf_core.errors import Code

_BY_STATUS: Final[Mapping[int, Code]] = {
    400: Code.INVALID,
    401: Code.AUTH,
    403: Code.REFUSED,
    404: Code.NOT_FOUND,
    408: Code.TIMEOUT,
    409: Code.CONFLICT,
    410: Code.NOT_FOUND,
    412: Code.CONFLICT,
    416: Code.CONFLICT,
    423: Code.CONFLICT,
    429: Code.RATE_LIMIT,
    501: Code.UNSUPPORTED,
    504: Code.TIMEOUT,
    509: Code.RATE_LIMIT,
}

_RANGE = re.compile(r"bytes (\d{1,19})-(\d{1,19})/(\d{1,19}|\*)", re.ASCII)


def code_of(status: int) -> Code:
    """What a status that is no success means."""
    return _BY_STATUS.get(status, Code.UNAVAILABLE if status >= 500 else Code.BAD_REPLY)


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds that the other side asked to wait, given as a number or as a date; None where it did not."""
    given = str(headers.get("Retry-After") or headers.get("retry-after") or "").strip()
    if given.isascii() and given.isdigit():
        return float(given[:9])
    try:
        return max(parsedate_to_datetime(given).timestamp() - time.time(), 0.0) if given else None
    except (ValueError, OverflowError):
        return None


class StrangeReplyError(ConnectorError):
    """A reply that the service itself would not give, such as a proxy's page: the next one may be right."""

    default_code = Code.BAD_REPLY

    @property
    def retryable(self) -> bool:
        """Always: a request that was answered by somebody else is worth another one."""
        return True


class Extent(NamedTuple):
    """Which bytes of a resource a reply holds."""

    skip: int
    """How many of the reply's bytes lie before those that were asked for."""
    total: int | None
    """How many bytes the resource has; None where the reply does not say."""
    length: int | None
    """How many bytes the reply itself announces, those to skip included; None where it does not say."""


def extent_of(status: int, headers: Mapping[str, str], start: int) -> Extent:
    """Which bytes came when all from `start` on were asked for: a range only where that is more than 0.

    Args:
        status: 200 or 206.
        headers: those of the reply.
        start: the first byte that was asked for.

    Raises:
        ValueError: the reply holds other bytes than those; the text says which, as part of a sentence.
    """
    given = str(headers.get("content-length") or "").strip()
    length = int(given[:19]) if given.isascii() and given.isdigit() else None
    if status != 206:
        return Extent(start, length, length)
    told = str(headers.get("content-range") or "").strip()
    match = _RANGE.fullmatch(told)
    if match is None:
        raise ValueError(f"a part of it came, of which nobody says where it lies ({told[:60]!r})")
    first, last = int(match[1]), int(match[2])
    total = None if match[3] == "*" else int(match[3])
    is_rest = total is None or last == total - 1
    if first != start or not is_rest or (length is not None and length != last - first + 1):
        raise ValueError(f"another part of it came than was asked for ({told[:60]!r}, from byte {start} on)")
    return Extent(0, total, length)


def same_version(one: str | None, other: str | None) -> bool:
    """Whether two ETags name one version, however they are written; without one of them nobody knows, so it is not."""
    return bool(one) and _bare(one) == _bare(other)


def _bare(etag: str | None) -> str:
    return (etag or "").strip().removeprefix("W/").strip('"')
