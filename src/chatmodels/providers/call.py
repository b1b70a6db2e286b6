"""One call to a provider: who asks whom for what, and the errors that tell of it."""

from __future__ import annotations

from typing import Any, NamedTuple

from chatmodels.errors import ChatModelError, chat_model_error
from chatmodels.types import ChatRequest
from fmf_core.errors import Code
from fmf_core.redact import MOST_REDACTED, shortened

MOST_SAID = 1000
"""Characters of a provider's own message that an error repeats."""
MOST_SHOWN = 200
"""Characters of a reply that an error repeats."""
HINTS = {
    Code.INVALID: "change the request as the provider's words say",
    Code.RATE_LIMIT: "call again {later}, ask less at once (rate_limit), or allow more waiting (retry)",
    Code.TIMEOUT: "call again {later}, raise timeout_s, or ask for less",
    Code.UNAVAILABLE: "call again {later}",
    Code.BAD_REPLY: "call again; if it stays so, check {address_names}",
    Code.TRUNCATED: "raise max_tokens",
    Code.REFUSED: "change the prompt, or ask another model",
}
"""What to do about an error that nobody knows more about, with places for the facts of its call."""


class Call(NamedTuple):
    """Who asks whom for what: the facts that every error of one call carries."""

    provider: str
    op: str
    request: ChatRequest
    key_names: str = "the key"
    """Where the key may be given, as hints say it."""
    address_names: str = "the address"
    """Where the address may be given, as hints say it."""

    @property
    def fields(self) -> dict[str, Any]:
        """Provider and model, as error fields."""
        return {"provider": self.provider, "model": self.request.model}

    def error(self, message: str, code: Code, **more: Any) -> ChatModelError:
        """The error of this call.

        Args:
            message: what went wrong.
            code: what kind of failure it is.
            more: further arguments of `ChatModelError`; in a `hint`, `{key_names}` and `{address_names}` are where they
                may be given, and `{later}` is when to call again.
        """
        fields = {**self.fields, **more.pop("fields", {})}
        more["hint"] = self._filled(more.get("hint") or HINTS.get(code, ""), more.get("retry_after"))
        return chat_model_error(
            f"model {self.request.model!r}: {message}", op=self.op, code=code, fields=fields, **more
        )

    def bad_reply(self, what: str, seen: object) -> ChatModelError:
        """The error for a reply that is no answer, with the beginning of what was seen."""
        return self.error(f"{what}; the reply begins {shown(seen)}", Code.BAD_REPLY)

    def _filled(self, hint: str, retry_after: float | None) -> str:
        later = "later" if retry_after is None else f"in {retry_after:g} s"
        facts = {"later": later, "key_names": self.key_names, "address_names": self.address_names}
        for name, said in facts.items():
            hint = hint.replace(f"{{{name}}}", said)
        return hint


def shown(seen: object) -> str:
    """The beginning of a reply, quoted and without secrets."""
    try:
        text = seen[:MOST_REDACTED].decode("utf-8", "replace") if isinstance(seen, bytes) else str(seen)
    except RecursionError:
        return f"a {type(seen).__name__} that is nested too deep to be shown"
    return repr(shortened(text, MOST_SHOWN))
