"""Python functions as tools: the name, the description and the JSON Schema of the arguments that one shows."""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

from pydantic import PydanticUserError

from chatmodels.openai_values import tool_of
from chatmodels.python_types import schema_of
from fmf_core.errors import ConfigurationError

_OP = "chatmodels.tool"
_KINDS = "give a function, a pydantic model, a Tool, or a mapping with name, description and parameters"
_NAME = r"[A-Za-z0-9_-]{1,64}"
_CHOICES = ("auto", "none", "required")
_SECTION = re.compile(r"^(\w+):\s*$")
_ARGUMENT = re.compile(r"^(\s+)\*{0,2}(\w+)(?:\s*\([^)]*\))?:\s*(.*)$")


def check_name(name: str) -> str:
    """`name`, if all providers take it for a tool.

    Raises:
        ValueError: they do not.
    """
    if re.fullmatch(_NAME, name) is None:
        raise ValueError(f"the name of a tool is 1 to 64 letters, digits, '_' and '-', and not {name[:64]!r}")
    return name


def check_choice(choice: str | None, tools: Collection[Any]) -> None:
    """Make sure that a model with these `tools` can keep to `choice`.

    Raises:
        ValueError: it cannot.
    """
    if choice is None:
        return
    names = [tool.name for tool in tools]
    if choice in _CHOICES:
        if choice == "required" and not names:
            raise ValueError("tool_choice 'required' asks for a call, and there are no tools: give tools as well")
        return
    if choice not in names:
        given = f"those given are {', '.join(names)}" if names else "and there are no tools"
        meant = "; 'required' makes a model call any of them" if choice == "any" else ""
        raise ValueError(
            f"tool_choice {choice!r} is neither 'auto', 'none' or 'required' nor the name of a tool: {given}{meant}"
        )


def check_turns(messages: Sequence[Any]) -> None:
    """Make sure that every turn of role `tool` says which call it answers.

    Raises:
        ValueError: one does not; the message tells which one.
    """
    for number, message in enumerate(messages):
        if message.role == "tool" and not message.tool_call_id:
            raise ValueError(f"the message at index {number} of role tool needs tool_call_id: the call that it answers")


def tools_of(tools: Any, kind: type) -> Any:
    """`tools` as tools of `kind`, or as mappings of what it takes; what is no list is left as it is.

    Raises:
        ValueError: something is no tool, or one tool stands where a list should; the message tells what to write.
    """
    if not isinstance(tools, list | tuple):
        if isinstance(tools, Mapping | kind) or callable(tools):
            name = getattr(tools, "__name__", "...")
            raise ValueError(f"one tool where a list should be: give tools=[{name}]")  # noqa: TRY004 - pydantic tells it
        return tools
    found = []
    for number, tool in enumerate(tools):
        try:
            found.append(tool if isinstance(tool, kind) else described(tool))
        except ConfigurationError as error:
            raise ValueError(f"the tool at index {number}: {error.message}; {error.hint}") from error
    return tuple(found)


def described(tool: Any) -> dict[str, Any]:
    """Name, description and parameters of the tool that a function, a pydantic model or OpenAI's mapping stands for.

    The docstring's first paragraph is the description; what it says of the arguments, in Google's style, stands beside
    them. A default makes an argument optional.

    Raises:
        ConfigurationError: it is something else, an argument has no annotation or takes any number of values, or is of
            a type that JSON cannot express.
    """
    if isinstance(tool, Mapping):
        try:
            found = tool_of(tool)
            check_name(found["name"])
        except ValueError as error:
            raise ConfigurationError(f"a mapping that is no tool: {error}", op=_OP, hint=_KINDS) from None
        return found
    if not callable(tool):
        raise ConfigurationError(f"{type(tool).__name__} is no tool", op=_OP, hint=_KINDS)
    name, told = _name_and_docstring(tool)
    try:
        check_name(name)
    except ValueError as error:
        raise ConfigurationError(
            f"no tool can be made of {name!r}: {error}", op=_OP, hint="give a function with a name of its own (def)"
        ) from None
    parameters = schema_of(tool) if isinstance(tool, type) else _schema(name, tool)
    try:
        json.dumps(parameters, allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        raise _unusable(name, f"its arguments hold what is no JSON, perhaps as a default: {error}") from error
    parameters.pop("title", None)
    parameters.pop("description", None)
    for argument, text in _arguments(told).items():
        if argument in parameters.get("properties", {}):
            parameters["properties"][argument].setdefault("description", text)
    description = re.split(r"\n\s*\n", told, maxsplit=1)[0]
    return {"name": name, "description": " ".join(description.split()), "parameters": parameters}


def _name_and_docstring(tool: Callable[..., Any]) -> tuple[str, str]:
    kind = type(tool).__name__
    try:
        name, told = getattr(tool, "__name__", kind), inspect.getdoc(tool)
    except Exception as error:  # the attributes of a callable may be code of its own
        raise _unusable(kind, _why(error)) from error
    return name if isinstance(name, str) else kind, told if isinstance(told, str) else ""


def _schema(name: str, function: Callable[..., Any]) -> dict[str, Any]:
    from pydantic import TypeAdapter

    try:
        arguments = inspect.signature(function).parameters.values()
    except Exception as error:  # a callable may have a signature of its own making
        raise _unusable(name, "its arguments cannot be seen") from error
    for argument in arguments:
        if argument.kind in (argument.VAR_POSITIONAL, argument.VAR_KEYWORD, argument.POSITIONAL_ONLY):
            raise _unusable(name, f"a model gives arguments by name, and {argument} takes none")
        if argument.annotation is argument.empty:
            raise _unusable(name, f"the argument {argument.name!r} has no annotation")
    if not arguments:
        return {"type": "object", "properties": {}}
    whole: Any = function
    try:
        return schema_of(TypeAdapter(whole))
    except ConfigurationError:
        raise
    except Exception as error:  # an annotation in quotes is an expression, and may fail with anything
        raise _unusable(name, _why(error)) from error


def _why(error: Exception) -> str:
    said = str(error).partition("\n")[0]
    return said if isinstance(error, NameError | PydanticUserError) else f"{type(error).__name__}: {said}"


def _arguments(told: str) -> dict[str, str]:
    """What a docstring in Google's style says of each argument."""
    found: dict[str, str] = {}
    section, indent, last = "", 0, ""
    for line in told.splitlines():
        if started := _SECTION.match(line):
            section, indent = started[1], 0
        elif section in ("Args", "Arguments", "Parameters") and (named := _ARGUMENT.match(line)):
            indent = indent or len(named[1])
            if len(named[1]) == indent:
                last = named[2]
                found[last] = named[3].strip()
            else:
                found[last] = f"{found[last]} {line.strip()}"
        elif section and last and line.startswith(" " * (indent + 1)) and last in found:
            found[last] = f"{found[last]} {line.strip()}".strip()
    return found


def _unusable(name: str, why: str) -> ConfigurationError:
    return ConfigurationError(
        f"no tool can be made of {name!r}: {why}",
        op=_OP,
        hint="annotate each argument with a type that JSON can express, or give Tool(name=..., parameters={...})",
    )
