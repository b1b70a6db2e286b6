"""The interfaces of OpenAI by name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from chatmodels.providers.openai_wire import CHAT
from chatmodels.providers.responses_wire import RESPONSES
from chatmodels.providers.wire import Wire
from fmf_core.errors import ConfigurationError

APIS: Final[Mapping[str, Wire]] = {"chat": CHAT, "responses": RESPONSES}


def wire_of(api: str, provider: str) -> Wire:
    """The wire format of the interface called `api`.

    Raises:
        ConfigurationError: there is no such interface.
    """
    if api not in APIS:
        raise ConfigurationError(
            f"{provider} has no interface {api!r}",
            op=f"{provider}.create",
            hint=f"api is one of: {', '.join(APIS)}",
        )
    return APIS[api]
