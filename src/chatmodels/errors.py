"""Chat-model errors, and the one function that turns a vendor's exceptions into them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from fmf_core.errors import Code, FrameworkError
from fmf_core.redact import redact


class ChatModelError(FrameworkError):
    """A chat model could not answer.

    `op` says where (`"openai.complete"`), `code` what to do, `__cause__` why, `fields` with which provider and model.
    """


class ProviderAuthError(ChatModelError):
    """The provider refused the credentials, or there are none."""

    default_code = Code.AUTH


def chat_model_error(message: str, *, op: str, code: Code, **more: Any) -> ChatModelError:
    """The error of the class that fits `code`, with every known secret blanked in its text."""
    kind = ProviderAuthError if code is Code.AUTH else ChatModelError
    return kind(redact(message), op=op, code=code, **more)


@contextmanager
def translated(op: str, error_map: Mapping[type[BaseException], Code], **fields: Any) -> Iterator[None]:
    """Raise vendor exceptions as `ChatModelError`; the map is searched along each exception's class order.

    An exception that the map does not know becomes `Code.INTERNAL`, so that nothing of a vendor's escapes a provider.
    """
    try:
        yield
    except FrameworkError:
        raise
    except Exception as error:
        code = next((error_map[kind] for kind in type(error).__mro__ if kind in error_map), Code.INTERNAL)
        message = f"{type(error).__name__}: {error}"
        raise chat_model_error(message, op=op, code=code, fields=fields) from error
