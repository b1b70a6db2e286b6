"""What HTTP says of a refusal, whichever client was told: the code of a status, and how long to wait."""

from __future__ import annotations

import time
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from typing import Final

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
