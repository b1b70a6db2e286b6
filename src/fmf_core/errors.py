"""One error shape for the whole house: where (op), what to do (code, hint), with which values (fields), why (cause)."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping
from enum import StrEnum
from typing import Any


class Code(StrEnum):
    """Kinds of failure, grouped by what the caller should do next."""

    # change the input
    INVALID = "invalid"
    NOT_FOUND = "not_found"
    CONFLICT = "conflict"
    UNSUPPORTED = "unsupported"
    # change the credentials
    AUTH = "auth"
    # wait, then try again
    RATE_LIMIT = "rate_limit"
    TIMEOUT = "timeout"
    UNAVAILABLE = "unavailable"
    # look at the reply: it is no usable answer
    BAD_REPLY = "bad_reply"
    TRUNCATED = "truncated"
    REFUSED = "refused"
    # somebody decided to stop
    CANCELLED = "cancelled"
    BUDGET = "budget"
    # report it
    INTERNAL = "internal"


RETRYABLE = frozenset({Code.RATE_LIMIT, Code.TIMEOUT, Code.UNAVAILABLE})


class FrameworkError(Exception):
    """Root of every error the house raises on purpose.

    Args:
        message: what was attempted and what was wrong, with the value.
        op: where it happened, as `room.verb` (`"openai.complete"`).
        code: what kind of failure it is; decides whether a retry makes sense and the exit status of `fmf`.
        hint: the next action for the reader, with the known names where a name was unknown.
        retry_after: seconds the other side asked to wait, when it said so.
        fields: further facts for logs and records (`{"model": ..., "attempts": 3}`); never secrets.
    """

    default_code = Code.INTERNAL

    def __init__(
        self,
        message: str,
        *,
        op: str = "",
        code: Code | None = None,
        hint: str = "",
        retry_after: float | None = None,
        fields: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.op = op
        self.code = Code(code) if code is not None else self.default_code
        self.hint = hint
        self.retry_after = retry_after
        self.fields: dict[str, Any] = dict(fields or {})

    @property
    def retryable(self) -> bool:
        """Whether the same call may succeed later."""
        return self.code in RETRYABLE

    def __str__(self) -> str:
        where = f"{self.op}: " if self.op else ""
        advice = f" Hint: {self.hint}" if self.hint else ""
        return f"{where}{self.message} [{self.code}]{advice}"

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild, (type(self), self.message, self.__dict__)


def _rebuild(kind: type[FrameworkError], message: str, state: dict[str, Any]) -> FrameworkError:
    """Unpickle an error whatever the signature of its subclass."""
    error = kind.__new__(kind, message)
    error.args = (message,)
    error.__dict__.update(state)
    return error


class ConfigurationError(FrameworkError, ValueError):
    """A setting, a definition or a file that holds them is missing or wrong."""

    default_code = Code.INVALID


class PluginError(FrameworkError):
    """A plugin could not be found, registered or run."""


class PluginNotFoundError(PluginError, ConfigurationError):
    """Nothing is registered under that name; the hint lists what is."""

    default_code = Code.NOT_FOUND


class PluginRegistrationError(PluginError, ConfigurationError):
    """The name is taken, or the thing is not of the kind that this registry holds."""

    default_code = Code.CONFLICT


def chain_of(error: BaseException | None) -> Iterator[BaseException]:
    """`error` and what led to it: its causes and contexts, and the members of groups, nearest first, each once."""
    seen: set[int] = set()
    waiting = deque([error])
    while waiting:
        found = waiting.popleft()
        if found is None or id(found) in seen:
            continue
        seen.add(id(found))
        yield found
        if isinstance(found, BaseExceptionGroup):
            waiting.extend(found.exceptions)
        waiting.append(found.__cause__ if found.__cause__ or found.__suppress_context__ else found.__context__)
