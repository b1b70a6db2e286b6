"""Values that can be kept and come back exactly as they were: JSON, and nothing that merely looks like it."""

from __future__ import annotations

import json
import math
from typing import Any, Final

from chatmodels.json_values import DEEPEST, exact, written
from fmf_core.redact import blank_known
from generative_ai_workflow.exceptions import Code, WorkflowError

MOST_DIGITS: Final = 4000
"""How long a whole number may be, in digits; Python itself reads no more than 4300 unless it is told to."""
_LARGEST: Final = 10**MOST_DIGITS
_PLAIN: Final = "give text, numbers, True, False, None, and lists and dicts of these"
_INSTEAD: Final = {
    "tuple": "list(value)",
    "set": "sorted(value)",
    "frozenset": "sorted(value)",
    "datetime": "value.isoformat()",
    "date": "value.isoformat()",
    "time": "value.isoformat()",
    "timedelta": "value.total_seconds()",
    "Decimal": "str(value)",
    "Fraction": "str(value)",
    "UUID": "str(value)",
    "bytes": "base64.b64encode(value).decode()",
    "bytearray": "base64.b64encode(value).decode()",
    "complex": "[value.real, value.imag]",
}


def text_of(value: Any, *, what: str, op: str) -> str:
    """`value` as JSON from which `value_from` makes the very same value again.

    Args:
        value: text, numbers, `True`, `False`, `None`, and lists and dicts of these, the dicts with text keys.
        what: what it is, for messages; places in it are named from here on (`output.rows[3].day`).
        op: where it is kept, for messages.

    Raises:
        WorkflowError: there is something else in it, or a known secret; the message names the place.
    """
    if told := _fault(value, what):
        raise WorkflowError(told[0], op=op, code=Code.INVALID, hint=told[1])
    text = written(value)
    refuse_secrets(text, value, what=what, op=op)
    return text


def value_from(text: str) -> Any:
    """The value that `text_of` was given."""
    try:
        return exact(text)
    except ValueError:
        return json.loads(text)  # a whole number that is beyond every float


def refuse_secrets(text: str, value: Any, *, what: str, op: str) -> None:
    """Refuse to keep `text` where it holds a known secret.

    Raises:
        WorkflowError: it does; the message names the place in `value`, and never the secret.
    """
    if blank_known(text) != text:
        raise WorkflowError(
            f"{_secret_place(value, what)} holds a known secret, which is never written to a file",
            op=op,
            code=Code.INVALID,
            hint="take the secret out: let the step that needs it read it from the settings or the environment",
        )


def _fault(value: Any, what: str) -> tuple[str, str] | None:
    """What of `value` cannot be kept, and what to do about it; the first such place from the front."""
    waiting: list[tuple[Any, str, int]] = [(value, what, 0)]
    while waiting:
        item, path, depth = waiting.pop()
        kind = type(item)
        if kind is dict or kind is list:
            if depth >= DEEPEST:
                return f"{what} is nested more than {DEEPEST} levels deep", "keep it flatter, or keep it as text"
            if kind is list:
                inner = [(one, f"{path}[{place}]", depth + 1) for place, one in enumerate(item)]
            else:
                if (told := _fault_of_keys(item, path)) is not None:
                    return told
                inner = [(one, _below(path, key), depth + 1) for key, one in item.items()]
            waiting += reversed(inner)
        elif (told := _fault_of_leaf(item, kind, path)) is not None:
            return told
    return None


def _fault_of_leaf(item: Any, kind: type, path: str) -> tuple[str, str] | None:
    told: tuple[str, str] | None = None
    if kind is str:
        if _has_half_characters(item):
            told = "holds half a character (a lone surrogate)", "decode it with errors='replace'"
    elif kind is float:
        if not math.isfinite(item):
            told = f"is {item}, and JSON has no such number", "return None, or a text that says so"
    elif kind is int:
        if not -_LARGEST < item < _LARGEST:
            told = f"is a whole number of more than {MOST_DIGITS} digits", "return hex(value)"
    elif item is not None and kind is not bool:
        told = f"is a {kind.__name__}, which would not come back as it is", _instead(item, kind)
    return told and (f"{path} {told[0]}", told[1])


def _fault_of_keys(item: dict[Any, Any], path: str) -> tuple[str, str] | None:
    for key in item:
        if type(key) is not str:
            name = type(key).__name__
            return f"{path} has a key that is a {name}, and in JSON keys are text", "write str(key)"
        if _has_half_characters(key):
            return f"{path} has a key with half a character (a lone surrogate)", "decode it with errors='replace'"
    return None


def _has_half_characters(text: str) -> bool:
    if text.isascii():
        return False
    try:
        text.encode()
    except UnicodeEncodeError:
        return True
    return False


def _instead(item: Any, kind: type) -> str:
    """What to return in its place."""
    better = next((_INSTEAD[base.__name__] for base in kind.__mro__ if base.__name__ in _INSTEAD), None)
    if hasattr(kind, "model_dump"):
        better = 'value.model_dump(mode="json")'
    elif hasattr(kind, "__dataclass_fields__"):
        better = "dataclasses.asdict(value)"
    elif hasattr(kind, "_value2member_map_"):
        better = "value.value"
    elif hasattr(kind, "tolist"):
        better = "value.tolist()"
    elif isinstance(item, dict | list | str | int | float):
        plain = next(base for base in (dict, list, str, int, float) if isinstance(item, base))
        better = f"{plain.__name__}(value)" if better is None else better
    elif hasattr(kind, "__fspath__"):
        better = "str(value)"
    return f"return {better}" if better else _PLAIN


def _below(path: str, key: str) -> str:
    return f"{path}.{key}" if key.isidentifier() else f"{path}[{key[:40]!r}]"


def _secret_place(value: Any, what: str) -> str:
    """Where in `value` a known secret stands; `what` where no single text holds it."""
    waiting: list[tuple[Any, str]] = [(value, what)]
    while waiting:
        item, path = waiting.pop()
        if isinstance(item, str) and blank_known(item) != item:
            return path
        if isinstance(item, dict):
            if any(blank_known(key) != key for key in item):
                return f"a key of {path}"
            waiting += [(one, _below(path, key)) for key, one in item.items()]
        elif isinstance(item, list):
            waiting += [(one, f"{path}[{place}]") for place, one in enumerate(item)]
    return what
