"""What went wrong in a call over the chat-completions protocol, as errors of the house."""

from __future__ import annotations

import re
from collections.abc import Mapping
from time import time

from chatmodels.errors import ChatModelError
from chatmodels.providers.call import Call, shown
from chatmodels.providers.rate_headers import rate_limit_status
from chatmodels.transport.seam import Reply, TransportFault
from fmf_core.errors import Code
from fmf_core.redact import shortened

OUT_OF_MONEY = frozenset({"insufficient_quota", "billing_hard_limit_reached", "billing_not_active"})
REFUSALS = frozenset(
    (
        "content_filter",
        "content_policy_violation",
        "moderation_blocked",
        "image_content_policy_violation",
        "bio_policy",
        "misalignment_policy_violation",
    )
)
KINDS = {"rate_limit_exceeded": Code.RATE_LIMIT, "server_error": Code.UNAVAILABLE, "invalid_prompt": Code.INVALID}
"""What an error without a status means, such as one in the middle of a stream; all others are bad replies."""
UNUSABLE_IMAGE = re.compile(r"invalid_(?:base64_)?image|image_|unsupported_image|empty_image|failed_to_download_image")
HINTS = {
    Code.AUTH: "check {key_names} and what it may use",
    Code.NOT_FOUND: "check the model's name and {address_names}",
    Code.BUDGET: "check plan and billing of the account",
}
"""What to do about a refusal; the names are those of the call."""
MOST_SAID = 1000
"""Characters of a provider's own message that an error repeats."""
STATUS_CODES = {
    401: Code.AUTH,
    402: Code.BUDGET,
    403: Code.AUTH,
    404: Code.NOT_FOUND,
    408: Code.TIMEOUT,
    409: Code.CONFLICT,
    429: Code.RATE_LIMIT,
}


def code_of_status(status: int, kinds: frozenset[str] = frozenset()) -> Code:
    """What a reply with this status means; `kinds` are the error's own `code` and `type`."""
    if kinds & OUT_OF_MONEY:
        return Code.BUDGET
    if kinds & REFUSALS:
        return Code.REFUSED
    if status >= 500:
        return Code.UNAVAILABLE
    if status < 400:
        return Code.BAD_REPLY
    return STATUS_CODES.get(status, Code.INVALID)


def reported(error: object, call: Call, *, status: int = 0, retry_after: float | None = None) -> ChatModelError:
    """The error that a reply reports: `error` is its `error` object, or whatever stood in its place."""
    facts = error if isinstance(error, dict) else {}
    kinds = frozenset(str(facts[name]) for name in ("code", "type") if isinstance(facts.get(name), str | int))
    number = status or next((int(kind) for kind in kinds if re.fullmatch("[45][0-9][0-9]", kind)), 0)
    code = code_of_status(number, kinds) if number or kinds & (OUT_OF_MONEY | REFUSALS) else _code_of_kinds(kinds)
    said = shortened(str(facts.get("message") or ""), MOST_SAID) or (shown(error) if error else "no reason given")
    message = f"the provider answered {number or 'with an error'}: {said}"
    more = {"status": number} if number else {}
    hint = HINTS.get(code, "").format(key_names=call.key_names, address_names=call.address_names)
    return call.error(message, code, retry_after=retry_after, hint=hint, fields=more)


def _code_of_kinds(kinds: frozenset[str]) -> Code:
    if any(UNUSABLE_IMAGE.match(kind) for kind in kinds):
        return Code.INVALID
    return next((code for kind, code in KINDS.items() if kind in kinds), Code.BAD_REPLY)


def refused(reply: Reply, call: Call) -> ChatModelError:
    """The error that a reply with any status but 200 reports; its cause is the bare status."""
    status = reply.status
    if 300 <= status < 400:
        target = reply.headers.get("location", "nowhere")
        error = call.error(
            f"the server redirects to {target} (HTTP {status}), which is not followed",
            Code.INVALID,
            hint="set base_url to where the server really is",
        )
    else:
        error = reported(_error_in(reply.body), call, status=status, retry_after=seconds_to_wait(reply.headers))
        limits = rate_limit_status(reply.headers)
        if limits is not None:
            error.fields["rate_limit"] = limits.model_dump(exclude_none=True)
    error.__cause__ = TransportFault(f"HTTP {status}", error.code)
    return error


def seconds_to_wait(headers: Mapping[str, str]) -> float | None:
    """How long the provider asks to wait, from `retry-after-ms` or `retry-after` (seconds or an HTTP date)."""
    for name, unit_s in (("retry-after-ms", 0.001), ("retry-after", 1.0)):
        text = headers.get(name, "").strip()
        if text.replace(".", "", 1).isdecimal():
            return float(text) * unit_s
    if not headers.get("retry-after"):
        return None
    from email.utils import parsedate_to_datetime

    try:
        return max(0.0, parsedate_to_datetime(headers["retry-after"]).timestamp() - time())
    except (ValueError, TypeError, IndexError):
        return None


def _error_in(body: bytes) -> object:
    """What the body of a refusal says: its error object, its JSON, or its text."""
    import orjson

    try:
        payload = orjson.loads(body)
    except ValueError:
        return body.decode("utf-8", "replace")
    return payload.get("error") or payload if isinstance(payload, dict) else payload
