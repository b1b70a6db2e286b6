"""One function for each logger: it is given a stream and gives what writes the same line at INFO, as JSON."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

EVENT = "step.completed"
RUN = "0b9f4c9e-7f1d-4a3e-9d55-2f6a1c0e8b47"
FIELDS = {
    "workflow": "bench",
    "workflow_id": "5d0c2b6e-8a43-4c59-b1a7-93e1d8f0a6c2",
    "step": "summary",
    "duration_ms": 12.345,
    "tokens": 480,
}
Write = Callable[[], object]


@dataclass(frozen=True)
class Logger:
    """A logger and where it lives."""

    name: str
    make: Callable[[Any], Write]
    environment: str | None = None
    distribution: str = ""


def ours(stream: Any) -> Write:
    """Ours, which also blanks secrets."""
    from fmf_core.logs import log_context
    from generative_ai_workflow.observability.logging import configure_logging, get_logger

    configure_logging("INFO", stream=stream)
    log_context(correlation_id=RUN).__enter__()
    log = get_logger("generative_ai_workflow")
    return lambda: log.info(EVENT, **FIELDS)


def _structlog(stream: Any, factory: Any, *renderers: Any) -> Write:
    import logging

    import structlog

    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            *renderers,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=factory(stream),
        cache_logger_on_first_use=True,
    )
    structlog.contextvars.bind_contextvars(correlation_id=RUN)
    log: Any = structlog.get_logger()
    return lambda: log.info(EVENT, **FIELDS)


def structlog_plain(stream: Any) -> Write:
    """structlog with its JSON renderer."""
    import structlog

    return _structlog(stream, structlog.WriteLoggerFactory, structlog.processors.JSONRenderer())


def structlog_fast(stream: Any) -> Write:
    """structlog as its page on performance has it: bytes from orjson."""
    import orjson
    import structlog

    renderer = structlog.processors.JSONRenderer(serializer=orjson.dumps)
    return _structlog(stream, structlog.BytesLoggerFactory, renderer)


def standard(stream: Any) -> Write:
    """The standard library's logging with the formatter of python-json-logger."""
    import logging

    from pythonjsonlogger.json import JsonFormatter

    run = ContextVar("run", default="")
    run.set(RUN)

    def add_run(record: Any) -> bool:
        record.correlation_id = run.get()
        return True

    handler = logging.StreamHandler(stream)
    handler.setFormatter(
        JsonFormatter(
            "%(message)s%(levelname)s", rename_fields={"message": "event", "levelname": "level"}, timestamp=True
        )
    )
    handler.addFilter(add_run)
    log = logging.getLogger("bench")
    log.propagate = False
    log.setLevel(logging.INFO)
    log.addHandler(handler)
    return lambda: log.info(EVENT, extra=FIELDS)


def check(line: str | bytes) -> None:
    """Raise `ValueError` unless `line` says what it should."""
    said = json.loads(line)
    wanted = {"event": EVENT, "level": "info", "correlation_id": RUN, **FIELDS}
    lacking = {key for key in wanted if str(said.get(key)).lower() != str(wanted[key]).lower()}
    if lacking or not said.get("timestamp"):
        raise ValueError(f"a wrong line: {line!r}")


OURS = "generative_ai_workflow"
LOGGERS = (
    Logger(OURS, ours),
    Logger("structlog, JSON renderer", structlog_plain, "log_lines", "structlog"),
    Logger("structlog, bytes from orjson", structlog_fast, "log_lines", "structlog"),
    Logger("logging, python-json-logger", standard, "log_lines", "python-json-logger"),
)
