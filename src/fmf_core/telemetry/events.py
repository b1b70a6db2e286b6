"""Events: facts that belong to the host's logs."""

from __future__ import annotations

from collections.abc import Mapping
from time import time_ns
from typing import Any, Literal

from fmf_core.redact import redact_value
from fmf_core.telemetry import host
from fmf_core.telemetry.attributes import Plain

Severity = Literal["DEBUG", "INFO", "WARN", "ERROR"]


def emit(name: str, attributes: Mapping[str, Any] | None, *, severity: Severity = "INFO", context: Any = None) -> bool:
    """Send one event to the host's logs.

    Args:
        name: the event, as the conventions call it.
        attributes: its facts; mappings and sequences may be nested. As with spans, text is redacted unless `Plain`.
        severity: of the log record.
        context: the OpenTelemetry context that it belongs to; `None` is the current one.

    Returns:
        Whether a host takes logs.
    """
    logger = host.event_logger()
    if logger is None:
        return False
    from opentelemetry import _logs

    facts = attributes if type(attributes) is Plain else redact_value(dict(attributes or {}))
    number = _logs.SeverityNumber[severity]
    try:
        record = _logs.LogRecord(
            timestamp=time_ns(),
            context=context,
            severity_number=number,
            severity_text=severity,
            attributes=facts,
            event_name=name,
        )
    except TypeError:  # an API older than events
        return False
    logger.emit(record)
    return True
