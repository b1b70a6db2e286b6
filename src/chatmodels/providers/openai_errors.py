"""What went wrong in a call over a wire format of OpenAI, as errors of the house."""

from __future__ import annotations

import re

from chatmodels.errors import ChatModelError
from chatmodels.json_values import library
from chatmodels.providers.call import MOST_SAID, Call, shown
from chatmodels.providers.http_errors import code_of_status, seconds_to_wait
from chatmodels.providers.rate_headers import rate_limit_status
from chatmodels.transport.seam import Reply, TransportFault
from fmf_core.errors import Code
from fmf_core.redact import bare_address, shortened

MOST_OF_AN_ADDRESS = 200
"""Characters of an address that an error repeats."""
OUT_OF_MONEY = frozenset({"insufficient_quota", "billing_hard_limit_reached", "billing_not_active"})
WITHHELD = frozenset(
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
    Code.NOT_FOUND: "check the model's name (or the deployment's) and {address_names}",
    Code.BUDGET: "check plan and billing of the account",
}
"""What to do about a refusal, with places for the facts of its call."""


def reported(error: object, call: Call, *, status: int = 0, retry_after: float | None = None) -> ChatModelError:
    """The error that a reply reports: `error` is its `error` object, or whatever stood in its place."""
    facts = error if isinstance(error, dict) else {}
    kinds = frozenset(str(facts[name]) for name in ("code", "type") if isinstance(facts.get(name), str | int))
    number = status or next((int(kind) for kind in kinds if re.fullmatch("[45][0-9][0-9]", kind)), 0)
    code = _code_of_kinds(kinds) or (code_of_status(number) if number else _code_without_status(kinds))
    told = facts.get("message")
    said = shortened(told, MOST_SAID) if isinstance(told, str) else ""
    said = said or (shown(error) if error else "no reason given")
    message = f"the provider answered {number or 'with an error'}: {said}"
    more = {"status": number} if number else {}
    return call.error(message, code, retry_after=retry_after, hint=HINTS.get(code, ""), fields=more)


def _code_of_kinds(kinds: frozenset[str]) -> Code | None:
    """What the error's own `code` and `type` say, where that counts more than its status."""
    if kinds & OUT_OF_MONEY:
        return Code.BUDGET
    return Code.REFUSED if kinds & WITHHELD else None


def _code_without_status(kinds: frozenset[str]) -> Code:
    if any(UNUSABLE_IMAGE.match(kind) for kind in kinds):
        return Code.INVALID
    return next((code for kind, code in KINDS.items() if kind in kinds), Code.BAD_REPLY)


def http_error(reply: Reply, call: Call) -> ChatModelError:
    """The error that a reply with any status but 200 reports; its cause is the bare status."""
    status = reply.status
    if 300 <= status < 400:
        target = shortened(bare_address(reply.headers.get("location", "nowhere")), MOST_OF_AN_ADDRESS)
        error = call.error(
            f"the server redirects to {target} (HTTP {status}), which is not followed",
            Code.INVALID,
            hint="set {address_names} to where the server really is",
        )
    else:
        error = reported(_error_in(reply.body), call, status=status, retry_after=seconds_to_wait(reply.headers))
        limits = rate_limit_status(reply.headers)
        if limits is not None:
            error.fields["rate_limit"] = limits
    error.__cause__ = TransportFault(f"HTTP {status}", error.code)
    return error


def _error_in(body: bytes) -> object:
    """What the body of a refusal says: its error object, its JSON, or its text."""
    try:
        payload = library().loads(body)
    except (ValueError, RecursionError):
        return body.decode("utf-8", "replace")
    return payload.get("error") or payload if isinstance(payload, dict) else payload
