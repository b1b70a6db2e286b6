"""Chat-model errors, with every known secret blanked in their texts, and questions about any error."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fmf_core.errors import RETRYABLE, Code, FrameworkError, chain_of
from fmf_core.redact import redact

if TYPE_CHECKING:
    from chatmodels.types import TokenUsage

_SERVER_FAILURES = frozenset({Code.UNAVAILABLE, Code.TIMEOUT})
_REFUSALS = frozenset(
    {Code.INVALID, Code.NOT_FOUND, Code.CONFLICT, Code.UNSUPPORTED, Code.AUTH, Code.RATE_LIMIT, Code.BUDGET}
)
_GATEWAYS = frozenset({408, 409, 424, 499, 502, 504, *range(520, 528)})
"""Statuses of a server that stands before another one, which may have gone on and charged for it."""
_OWN_FAILURES = frozenset({Code.CANCELLED, Code.BUDGET, Code.INTERNAL, Code.UNSUPPORTED})


class ChatModelError(FrameworkError):
    """A chat model could not answer.

    `op` says where (`"openai.complete"`), `code` what to do, `__cause__` why, `fields` with which provider and model.
    """

    was_asked: bool = True
    """Whether a provider was asked. What was refused on this side says nothing about one, and costs it nothing."""
    was_sent: bool = True
    """Whether the request may have left this process; a server that could not be reached has charged nothing."""
    closed_for_s: float | None = None
    """For how many seconds the same call will be refused on this side, so that it is in vain to ask again earlier.

    It is not in `retry_after`: the provider did not say it, and whoever learns from the provider must not believe so.
    """

    def __init__(self, message: str, **more: Any) -> None:
        super().__init__(redact(message), **more)


class ProviderAuthError(ChatModelError):
    """The provider refused the credentials, or there are none."""

    default_code = Code.AUTH


def chat_model_error(message: str, *, op: str, code: Code, **more: Any) -> ChatModelError:
    """The error of the class that fits `code`."""
    kind = ProviderAuthError if code is Code.AUTH else ChatModelError
    return kind(message, op=op, code=code, **more)


def was_asked(error: BaseException) -> bool:
    """Whether a provider was asked, as far as `error` tells."""
    return not isinstance(error, ChatModelError) or error.was_asked


def server_is_well(error: BaseException) -> bool | None:
    """What a failed call says of the server: all who learn from failures ask here.

    Returns:
        False when the server has too much to do or is not there; true when somebody answered, if only to refuse; `None`
        when it says nothing: the failure is of this side, or nobody was asked.
    """
    if not isinstance(error, FrameworkError) or error.code in _OWN_FAILURES or not was_asked(error):
        return None
    return error.code not in _SERVER_FAILURES


def requests_in(error: BaseException) -> int:
    """How many requests were made in a failed call: what it tells in `fields`, or one where a provider was asked."""
    told = error.fields.get("attempts") if isinstance(error, FrameworkError) else None
    return int(was_asked(error)) if told is None else int(told)


def charges_in(error: BaseException) -> tuple[TokenUsage, ...]:
    """What the provider charged for in a failed call, request by request, the last one at the end.

    An error tells it in `fields`: `usage` of the request that failed with it, `failed_usage` of those before. A
    cancellation that came between two attempts has `failed_usage` as an attribute.
    """
    from chatmodels.types import TokenUsage  # only here: most who know errors need no values

    if not isinstance(error, FrameworkError):
        told: tuple[TokenUsage, ...] = getattr(error, "failed_usage", ())
        return told
    usage = error.fields.get("usage")
    earlier: tuple[TokenUsage, ...] = error.fields.get("failed_usage", ())
    return (*earlier, usage) if isinstance(usage, TokenUsage) else earlier


def is_free(error: BaseException) -> bool:
    """Whether a failed request, which brought no piece of an answer, is known to have cost nothing beside `charges_in`.

    So are requests that never left, and those that the provider refused or failed at with a status. After a time-out, a
    lost connection, or an answer that could not be read, nobody knows.
    """
    if not isinstance(error, ChatModelError):
        return False
    if not (error.was_asked and error.was_sent):
        return True
    status = error.fields.get("status")
    if isinstance(status, int) and status >= 400:
        return status not in _GATEWAYS
    return error.code in _REFUSALS


def code_of(error: BaseException | None) -> Code | None:
    """The code of the failed model call in the chain of `error`; else that of its first `FrameworkError`; else `None`.

    A workflow's or a chain's own error may wrap a model's: the model's says what happened, and so it counts.
    """
    known = [found for found in chain_of(error) if isinstance(found, FrameworkError)]
    first = next((found for found in known if isinstance(found, ChatModelError)), known[0] if known else None)
    return first.code if first else None


def is_retryable(error: BaseException | None) -> bool:
    """Whether the same call may succeed later."""
    return code_of(error) in RETRYABLE


def is_rate_limit_error(error: BaseException | None) -> bool:
    """Whether the provider said that this was too much at once."""
    return code_of(error) is Code.RATE_LIMIT


def is_timeout_error(error: BaseException | None) -> bool:
    """Whether no answer came in time."""
    return code_of(error) is Code.TIMEOUT


def is_auth_error(error: BaseException | None) -> bool:
    """Whether the credentials are missing or were refused."""
    return code_of(error) is Code.AUTH


def is_quota_error(error: BaseException | None) -> bool:
    """Whether there is no money left: the account's plan or a budget is spent."""
    return code_of(error) is Code.BUDGET


def is_invalid_request_error(error: BaseException | None) -> bool:
    """Whether the request itself must be changed: a wrong value, or something that this model cannot do."""
    return code_of(error) in (Code.INVALID, Code.UNSUPPORTED)
