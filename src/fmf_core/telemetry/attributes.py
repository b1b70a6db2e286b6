"""Attributes of telemetry: fit to go out, and what failures are called."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fmf_core.errors import FrameworkError
from fmf_core.redact import redact, redact_value


class Plain(dict[str, Any]):
    """Attributes that may go out as they are, because `plain` or their maker has looked at them before.

    Made once and used for many records, they save the look at each value.
    """

    __slots__ = ()


def plain(attributes: Mapping[str, Any] | None) -> Plain:
    """`attributes` fit to go out: `None` left out, text redacted, other objects as text."""
    if type(attributes) is Plain:
        return attributes
    return Plain({key: as_attribute(value) for key, value in (attributes or {}).items() if value is not None})


def type_name(error: BaseException) -> str:
    """The full name of the error's class, as the conventions want it."""
    return f"{type(error).__module__}.{type(error).__qualname__}".removeprefix("builtins.")


def text_of(thing: object) -> str:
    """The text of an exception or of any other object, also of one that fails to give it."""
    try:
        return str(thing)
    except Exception as failure:  # noqa: BLE001 - what is told of a failure must not replace it
        return f"<{type_name(failure)} in its __str__>"


def error_type(error: BaseException) -> str:
    """What telemetry calls a failure: the code of one of our errors, else the exception's class."""
    return str(error.code) if isinstance(error, FrameworkError) else type_name(error)


def as_attribute(value: Any) -> Any:
    """`value` as OpenTelemetry takes it: text redacted, sequences of one kind, anything else as text."""
    if isinstance(value, str):
        return redact(value)
    if isinstance(value, bool | int | float):
        return value
    clean = redact_value(value)
    if isinstance(clean, list | tuple):
        if all(isinstance(item, str) for item in clean):
            return [str(item) for item in clean]
        kinds = {type(item) for item in clean}
        if len(kinds) == 1 and kinds <= {int, float, bool}:  # of mixed kinds none would arrive
            return list(clean)
    return redact(text_of(clean))
