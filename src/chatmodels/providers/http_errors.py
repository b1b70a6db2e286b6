"""What HTTP itself says of a refusal, whoever refuses: the code of a status, and how long to wait."""

from __future__ import annotations

from collections.abc import Mapping
from time import time
from typing import Final

from chatmodels.providers.rate_headers import seconds_in
from fmf_core.errors import Code

STATUS_CODES: Final[Mapping[int, Code]] = {
    401: Code.AUTH,
    402: Code.BUDGET,
    403: Code.AUTH,
    404: Code.NOT_FOUND,
    408: Code.TIMEOUT,
    409: Code.UNAVAILABLE,  # somebody else holds a lock for a moment
    424: Code.UNAVAILABLE,  # what the server itself relies on has failed
    429: Code.RATE_LIMIT,
}


def code_of_status(status: int) -> Code:
    """What a reply with this status means, when it is no answer."""
    if status >= 500:
        return Code.UNAVAILABLE
    if status < 400:
        return Code.BAD_REPLY
    return STATUS_CODES.get(status, Code.INVALID)


def seconds_to_wait(headers: Mapping[str, str]) -> float | None:
    """How long the provider asks to wait, from `retry-after-ms` or `retry-after` (seconds or an HTTP date)."""
    for name, unit_s in (("retry-after-ms", 0.001), ("retry-after", 1.0)):
        number = seconds_in(headers.get(name))
        if number is not None:
            return number * unit_s
    if not headers.get("retry-after"):
        return None
    from email.utils import parsedate_to_datetime

    try:
        return max(0.0, parsedate_to_datetime(headers["retry-after"]).timestamp() - time())
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
