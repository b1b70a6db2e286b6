"""Structured log lines: an event with fields, as JSON or for people, redacted, with the context of their run."""

from __future__ import annotations

import logging
import math
import sys
from collections.abc import Mapping
from contextvars import ContextVar
from datetime import UTC, datetime
from functools import lru_cache
from types import TracebackType
from typing import Any, Literal, Protocol

from fmf_core.errors import ConfigurationError
from fmf_core.forks import Lock
from fmf_core.redact import harmless, redact, redact_value
from fmf_core.secret_shapes import secret_key

LEVELS = {"DEBUG": 10, "INFO": 20, "WARNING": 30, "ERROR": 40, "CRITICAL": 50}
_NAMES = {number: name.lower() for name, number in LEVELS.items()}
_RESERVED = frozenset({"event", "level", "timestamp", "logger"})
_SIMPLE = frozenset({int, float, bool, type(None), datetime})
_JSON_OPTIONS = 128 | 1024
"""Of orjson, which is imported late: timestamps end with Z, lines with a line feed."""
_NO_FIELDS: Mapping[str, Any] = {}

_context: ContextVar[Mapping[str, Any]] = ContextVar("fmf_core.logs.context", default=_NO_FIELDS)
correlation: ContextVar[str | None] = ContextVar("fmf_core.logs.correlation", default=None)
"""The id of what goes on, on every line as `correlation_id`; apart from other fields, for every run sets it."""


class Stream(Protocol):
    """Where lines go: anything with `write`."""

    def write(self, text: str, /) -> object:
        """Take one line, which ends with a line feed."""


class _Output:
    """Where and from which level on lines are written once `configure_logging` was called."""

    __slots__ = ("as_json", "least", "stream", "threshold")

    def __init__(self, threshold: int, as_json: bool, stream: Stream | None, least: Mapping[str, int]) -> None:
        self.threshold = threshold
        self.least = least
        self.as_json = as_json
        self.stream = stream


class _State:
    """What `configure_logging` set, and the lock around the stream."""

    __slots__ = ("lock", "output")

    def __init__(self) -> None:
        self.output: _Output | None = None
        self.lock = Lock()


_state = _State()


def configure_logging(
    level: str | int = "INFO",
    format: Literal["json", "human"] = "json",  # noqa: A002 - the word users know
    stream: Stream | None = None,
    *,
    least: Mapping[str, str] | None = None,
) -> None:
    """Write the log lines of this framework from `level` on, one a line; the host's own logging is left as it is.

    Args:
        level: DEBUG, INFO, WARNING, ERROR or CRITICAL, in any case.
        format: `json`, one object a line, or `human`.
        stream: where lines go; `None` is whatever `sys.stderr` is when a line is written.
        least: top-level logger name to a higher level of its own (`{"generative_ai_workflow": "WARNING"}`).

    Raises:
        ConfigurationError: the level or the format is none of these.
    """
    threshold = _number(level)
    if format not in ("json", "human"):
        raise ConfigurationError(f"Invalid log format {format!r}", op="logs.configure", hint="use json or human")
    higher = {name: _number(own) for name, own in (least or {}).items()}
    _state.output = _Output(threshold, format == "json", stream, higher)


def _number(level: str | int) -> int:
    number = LEVELS.get(_NAMES.get(level, "").upper() if isinstance(level, int) else str(level).strip().upper())
    if number is None:
        raise ConfigurationError(
            f"Invalid log level {level!r}", op="logs.configure", hint=f"use one of {', '.join(LEVELS)}"
        )
    return number


def reset_logging() -> None:
    """Return to the state before `configure_logging`: lines go to the host's `logging`, if it listens."""
    _state.output = None


class log_context:  # noqa: N801 - used like a function
    """Add fields to every line logged within the block, also in the tasks and threads begun there.

    `with log_context(correlation_id="c-1"): ...`
    """

    __slots__ = ("_before", "_fields")

    def __init__(self, **fields: Any) -> None:
        self._fields = fields
        self._before: Mapping[str, Any] = _NO_FIELDS

    def __enter__(self) -> None:
        self._before = _context.get()
        _context.set({**self._before, **self._fields})

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # Not reset(token): a generator may be closed in another context than the one it was begun in.
        _context.set(self._before)


class Logger:
    """Logs events under one name, with fields of its own.

    Args:
        name: dotted, as with the standard library's `logging`.
        fields: added to every line.
    """

    __slots__ = ("_fields", "_host", "_top", "name")

    def __init__(self, name: str, fields: Mapping[str, Any] = _NO_FIELDS) -> None:
        self.name = name
        self._fields = fields
        self._host = logging.getLogger(name)
        self._top = name.partition(".")[0]

    def bind(self, **fields: Any) -> Logger:
        """Return a logger that adds `fields` to every line."""
        return Logger(self.name, {**self._fields, **fields})

    def enabled(self, level: str | int) -> bool:
        """Whether a line at `level` would be written; ask before building costly fields."""
        number = level if isinstance(level, int) else LEVELS[level.upper()]
        output = _state.output
        if output is None:
            return self._host.isEnabledFor(number)
        return number >= output.threshold and (not output.least or number >= output.least.get(self._top, 0))

    def debug(self, event: str, /, **fields: Any) -> None:
        """Log what helps to find a fault."""
        if self.enabled(10):
            self._log(10, event, fields)

    def info(self, event: str, /, **fields: Any) -> None:
        """Log what happened as it should."""
        if self.enabled(20):
            self._log(20, event, fields)

    def warning(self, event: str, /, **fields: Any) -> None:
        """Log what went on in spite of something."""
        if self.enabled(30):
            self._log(30, event, fields)

    def error(self, event: str, /, **fields: Any) -> None:
        """Log what failed; a field may hold the exception."""
        if self.enabled(40):
            self._log(40, event, fields)

    def _log(self, level: int, event: str, fields: dict[str, Any]) -> None:
        output = _state.output
        if output is None:
            self._to_host(level, event, fields)
            return
        record: dict[str, Any] = {
            "event": event,
            "level": _NAMES[level],
            "timestamp": datetime.now(UTC),
            "logger": self.name,
        }
        for source in (_surroundings(), self._fields, fields):
            if source:
                record.update(source if _RESERVED.isdisjoint(source) else _renamed(source))
        _write(output, _json_line(record) if output.as_json else _human_line(record))

    def _to_host(self, level: int, event: str, fields: dict[str, Any]) -> None:
        merged = redact_value({**_surroundings(), **self._fields, **fields})
        text = redact(event) + _pairs(merged)
        self._host.log(level, "%s", text, extra={"event": redact(event), "fields": merged}, stacklevel=4)


def get_logger(name: str = "generative_ai_workflow") -> Logger:
    """Return the logger called `name`; until `configure_logging`, its lines go to `logging.getLogger(name)`."""
    top = logging.getLogger(name.partition(".")[0])
    if not top.handlers:
        # Without any handler the standard library prints warnings on stderr by itself.
        top.addHandler(logging.NullHandler())
    return Logger(name)


def _surroundings() -> Mapping[str, Any]:
    """What every line logged here and now says."""
    fields, current = _context.get(), correlation.get()
    return fields if current is None else {"correlation_id": current, **fields}


def _renamed(fields: Mapping[str, Any]) -> dict[str, Any]:
    return {f"{key}_" if key in _RESERVED else key: value for key, value in fields.items()}


@lru_cache(maxsize=1024)
def _no_secrets_under(keys: tuple[str, ...]) -> bool:
    return not any(map(secret_key, keys))


def _json_line(record: dict[str, Any]) -> str:
    import orjson

    if not _no_secrets_under(tuple(record)):
        return _careful_line(record)
    for value in record.values():
        kind = type(value)
        if not harmless(value) if kind is str else kind not in _SIMPLE:
            return _careful_line(record)
    try:
        return orjson.dumps(record, option=_JSON_OPTIONS).decode()
    except TypeError:  # a whole number beyond 64 bits, half a surrogate pair
        return _careful_line(record)


def _careful_line(record: dict[str, Any]) -> str:
    import json

    import orjson

    clean = redact_value(record)
    options = orjson.OPT_UTC_Z | orjson.OPT_APPEND_NEWLINE | orjson.OPT_NON_STR_KEYS
    try:
        return orjson.dumps(clean, default=_text, option=options).decode()
    except TypeError:
        clean["timestamp"] = _stamp(record["timestamp"])
        return json.dumps(_keyed(clean), default=_text) + "\n"


def _keyed(value: Any) -> Any:
    """Keys as text and numbers as JSON knows them, all the way down."""
    if isinstance(value, dict):
        return {str(key): _keyed(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_keyed(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def _human_line(record: dict[str, Any]) -> str:
    clean = redact_value(record)
    event = clean.pop("event")
    shown = event if event.isprintable() else repr(event)
    head = f"{clean.pop('timestamp'):%H:%M:%S} {clean.pop('level').upper():<7} {shown}"
    del clean["logger"]
    return f"{head}{_pairs(clean)}\n"


def _pairs(fields: Mapping[str, Any]) -> str:
    return "".join(f" {key}={_shown(value)}" for key, value in fields.items() if value is not None)


def _shown(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.6g}"
    text = value if isinstance(value, str) else _text(value)
    # One event, one line; and nothing in a field may drive the terminal.
    return text if text.isprintable() and text and " " not in text else repr(text)


def _text(value: Any) -> str:
    try:
        return redact(str(value))
    except Exception:  # noqa: BLE001 - a broken __str__ must not cost the line
        return f"<{type(value).__name__}>"


def _stamp(moment: datetime) -> str:
    return moment.isoformat().replace("+00:00", "Z")


def _ascii(line: str, as_json: bool) -> str:
    import json

    return json.dumps(json.loads(line)) + "\n" if as_json else line.encode("ascii", "backslashreplace").decode()


def _write(output: _Output, line: str) -> None:
    stream = output.stream if output.stream is not None else sys.stderr
    if stream is None:
        return
    try:
        with _state.lock():
            try:
                stream.write(line)
            except UnicodeEncodeError:
                stream.write(_ascii(line, output.as_json))
    except (OSError, ValueError):
        # The stream is closed or its reader is gone: work must not fail because nobody reads its log.
        return
