"""Chat-model errors, with every known secret blanked in their texts."""

from __future__ import annotations

from typing import Any

from fmf_core.errors import Code, FrameworkError
from fmf_core.redact import redact


class ChatModelError(FrameworkError):
    """A chat model could not answer.

    `op` says where (`"openai.complete"`), `code` what to do, `__cause__` why, `fields` with which provider and model.
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
