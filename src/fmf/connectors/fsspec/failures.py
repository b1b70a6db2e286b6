"""What a failed call of a file system says, whoever wrote that file system."""

from __future__ import annotations

from typing import Any, Final

from fmf.connectors.replies import code_of, retry_after
from fmf.errors import ConnectorError
from fmf_core.errors import Code
from fmf_core.redact import redact

_BY_KIND: Final[tuple[tuple[type[Exception], Code], ...]] = (
    (FileNotFoundError, Code.NOT_FOUND),
    (PermissionError, Code.REFUSED),
    (NotADirectoryError, Code.UNSUPPORTED),
    (IsADirectoryError, Code.UNSUPPORTED),
    (TimeoutError, Code.TIMEOUT),
    (OSError, Code.UNAVAILABLE),
    (EOFError, Code.UNAVAILABLE),
)
_HINTS: Final = {
    Code.NOT_FOUND: "look at the connector's 'url'; what was listed may have been deleted since",
    Code.REFUSED: "look at the permissions of whoever the connector's options sign in",
    Code.AUTH: "look at the connector's option_secrets",
    Code.TIMEOUT: "raise the connector's timeout_s, or look at the network",
    Code.RATE_LIMIT: "read less at once, or raise the connector's retry.max_attempts",
    Code.CONFLICT: "run again when nobody writes to it",
}


def told(error: Exception, op: str, what: str) -> ConnectorError:
    """What `error` means for who tried to do `what`."""
    error = _origin(error)
    return ConnectorError(
        f"{what} failed: {type(error).__name__}: {redact(str(error) or 'no reason given')}",
        op=op,
        code=_code(error),
        hint=_HINTS.get(_code(error), "look at the connector's 'url' and options, and at the service's status"),
        retry_after=_asked_to_wait(error),
    )


def _origin(error: Exception) -> Exception:
    """What really happened: the file system of the web says of each failure that there is no such file."""
    cause = error.__cause__
    if isinstance(error, FileNotFoundError) and isinstance(cause, Exception):
        known = _status(cause) is not None or _is_broken(cause) or isinstance(cause, OSError)
        return cause if known else error
    return error


def _code(error: Exception) -> Code:
    if (status := _status(error)) is not None:
        return code_of(status)
    for kind, code in _BY_KIND:
        if isinstance(error, kind):
            return code
    return Code.UNAVAILABLE if _is_broken(error) else Code.INTERNAL


def _is_broken(error: Exception) -> bool:
    # The clients of HTTP name what they raise so when a connection breaks.
    return any(parent.__name__ in {"ClientError", "RequestException"} for parent in type(error).__mro__)


def _status(error: Exception) -> int | None:
    """The status of HTTP, under the names that the file systems give it."""
    for name in ("status", "status_code", "code"):
        found = getattr(error, name, None)
        if isinstance(found, int) and 400 <= found < 600:
            return found
    return None


def _asked_to_wait(error: Exception) -> float | None:
    headers: Any = getattr(error, "headers", None)
    return retry_after(headers) if hasattr(headers, "get") else None
