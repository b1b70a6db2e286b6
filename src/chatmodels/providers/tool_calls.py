"""Tool calls as providers write them: names, and arguments as JSON text or as an object."""

from __future__ import annotations

import re
from typing import Final

from chatmodels.json_values import exact, fault_of, written
from chatmodels.providers.call import Call
from chatmodels.providers.characters import whole_characters
from chatmodels.providers.checks import string
from chatmodels.types import ToolCall
from fmf_core.errors import Code, ConfigurationError

LONGEST_NAME: Final = 64
"""Characters of a name that all providers take."""


def name_for(given: str, default: str) -> str:
    """`given` as a name that all providers take: letters, digits, `_` and `-`, and not too many of them."""
    return re.sub(r"[^A-Za-z0-9_-]", "_", given)[:LONGEST_NAME] or default


def arguments_text(call: ToolCall) -> str:
    """The arguments of a tool call as JSON text.

    Raises:
        ConfigurationError: they are no JSON.
    """
    try:
        return written(call.arguments)
    except (TypeError, ValueError, RecursionError) as error:
        raise ConfigurationError(
            f"the arguments of tool call {call.name!r} cannot be written as JSON: {error}",
            op="chatmodels.request",
            hint="give JSON values as arguments: texts, numbers, true, false, null, and lists and mappings of them",
        ) from error


def tool_call_of(call_id: object, name: object, arguments: object, finish: str, call: Call) -> ToolCall:
    """The tool call that a reply holds.

    Args:
        call_id: without one the tool's name is its id.
        name: the tool's name.
        arguments: JSON text or an object; nothing is no arguments.
        finish: why the answer ended; `length` may have cut the arguments.
        call: the call that was answered.

    Raises:
        ChatModelError: `BAD_REPLY` where it is none, `TRUNCATED` where it was cut.
    """
    called = string(name)
    if called is None:
        raise call.bad_reply("a tool call names no function", {"id": call_id, "arguments": arguments})
    given = arguments
    if isinstance(given, str):
        try:
            given = exact(whole_characters(given)) if given.strip() else {}
        except ValueError as error:
            if finish == "length":
                message = f"max_tokens ({call.request.max_tokens}) cut the arguments of tool call {called!r}"
                raise call.error(message, Code.TRUNCATED, hint="raise max_tokens") from error
            raise call.bad_reply(f"the arguments of tool call {called!r} are no valid JSON", arguments) from error
    if not isinstance(given, dict | None):
        raise call.bad_reply(f"the arguments of tool call {called!r} are no JSON object", arguments)
    if fault := fault_of(given):
        seen = arguments if isinstance(arguments, str) else called
        raise call.bad_reply(f"the arguments of tool call {called!r} cannot be used: {fault}", seen)
    return ToolCall(id=string(call_id) or called, name=called, arguments=given or {})
