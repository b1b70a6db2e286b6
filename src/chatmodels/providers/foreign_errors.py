"""Failures of other people's HTTP clients, told by their status and by the names of their classes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any, Final, NamedTuple

from chatmodels.providers.http_errors import code_of_status, seconds_to_wait
from fmf_core.errors import Code

_KINDS: Final[Mapping[str, Code]] = {
    **dict.fromkeys(
        (
            "TimeoutError", "TimeoutException", "Timeout", "ReadTimeout", "ConnectTimeout", "PoolTimeout",
            "WriteTimeout", "ReadTimeoutError", "ConnectTimeoutError", "ServerTimeoutError", "APITimeoutError",
            "DeadlineExceeded",
        ),
        Code.TIMEOUT,
    ),
    **dict.fromkeys(
        ("SSLCertVerificationError", "CertificateError", "SSLError", "ClientSSLError"),
        Code.INVALID,
    ),
    **dict.fromkeys(
        (
            "ConnectionError", "gaierror", "herror", "URLError", "NetworkError", "ConnectError", "ReadError",
            "WriteError", "CloseError", "ProtocolError", "RemoteProtocolError", "ProxyError", "ChunkedEncodingError",
            "NewConnectionError", "MaxRetryError", "IncompleteRead", "BadStatusLine", "ClientConnectionError",
            "ClientPayloadError", "APIConnectionError", "HTTPClientError", "ServiceUnavailable",
        ),
        Code.UNAVAILABLE,
    ),
}  # fmt: skip
"""Names of classes, wherever they come from, to the code that fits."""


class Reading(NamedTuple):
    """What a foreign exception says: which code fits, and how long to wait."""

    code: Code
    retry_after: float | None = None


def reading_of(error: BaseException) -> Reading:
    """What `error` says by its status, else by the names of its classes and of what led to it; else `INTERNAL`."""
    if not isinstance(error, Exception):
        return Reading(Code.INTERNAL)
    status = _status(error)
    if status is not None:
        return Reading(code_of_status(status), _wait(error))
    codes = [code for found in _with_reasons(error) if (code := _named(found)) is not None]
    # A library's word for "not reached" may stand around a time-out: what lies deeper says more.
    return Reading(next((code for code in codes if code is not Code.UNAVAILABLE), codes[0] if codes else Code.INTERNAL))


def _named(error: BaseException) -> Code | None:
    return next((_KINDS[kind.__name__] for kind in type(error).__mro__ if kind.__name__ in _KINDS), None)


def _status(error: BaseException) -> int | None:
    """The status of the reply that `error` tells of."""
    response = _told(error, "response")
    for holder in (error, response):
        for name in ("status_code", "status", "code"):
            if isinstance(status := _told(holder, name), int) and 400 <= status <= 599:
                return int(status)
    if isinstance(response, Mapping):  # as boto3 has it
        facts = response.get("ResponseMetadata")
        status = facts.get("HTTPStatusCode") if isinstance(facts, Mapping) else None
        return status if isinstance(status, int) and 400 <= status <= 599 else None
    return None


def _wait(error: BaseException) -> float | None:
    for holder in (error, _told(error, "response")):
        headers: Any = _told(holder, "headers")
        with suppress(Exception):  # nobody knows what a foreign object does when it is asked
            return seconds_to_wait({str(name).lower(): str(value) for name, value in headers.items()})
    return None


def _told(thing: object, name: str) -> Any:
    """An attribute of a foreign object; `None` where there is none, or where asking for it fails."""
    try:
        return getattr(thing, name, None)
    except Exception:  # noqa: BLE001 - nobody knows what it does
        return None


def _with_reasons(error: BaseException) -> Iterator[BaseException]:
    """`error`, and what it gives as its reason or is raised from: so others say what happened."""
    yield error
    for inner in (_told(error, "reason"), *error.args[:1], error.__cause__):
        if isinstance(inner, BaseException) and inner is not error:
            yield inner
            if isinstance(deeper := _told(inner, "reason"), BaseException):
                yield deeper
