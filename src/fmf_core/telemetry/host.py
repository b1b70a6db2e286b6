"""What the host program has set up of OpenTelemetry; looked at without importing anything.

A provider can only have been set by somebody who imported the API.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

SCOPE = "frontier-model-framework"


class _Known:
    """The providers that were looked at last and what belongs to them, so that nothing is looked up twice."""

    provider: Any = None
    tracer: Any = None
    meter_provider: Any = None
    listens: bool = False
    logger_provider: Any = None
    logger: Any = None


class Api:
    """The parts of the API that every span needs; found by `learn` once there is a tracer."""

    traces: Any = None
    contexts: Any = None
    kinds: Mapping[str, Any] = {}

    @classmethod
    def learn(cls) -> None:
        """Import them: whoever set a tracer has them in memory."""
        from opentelemetry import context, trace

        cls.traces, cls.contexts = trace, context
        cls.kinds = {kind.name.lower(): kind for kind in trace.SpanKind}


def tracer() -> Any:
    """The host's tracer, or `None` when nobody set one up."""
    api = sys.modules.get("opentelemetry.trace")
    if api is None:
        return None
    try:
        provider = api.get_tracer_provider()
    except AttributeError:  # it is being imported right now
        return None
    if provider is not _Known.provider:
        silent = isinstance(provider, api.ProxyTracerProvider | api.NoOpTracerProvider)
        _Known.tracer = None if silent else provider.get_tracer(SCOPE)
        _Known.provider = provider
    return _Known.tracer


def meter_provider() -> Any:
    """The host's meter provider, or `None` when nobody set one up."""
    api = sys.modules.get("opentelemetry.metrics")
    if api is None:
        return None
    try:
        provider = api.get_meter_provider()
    except AttributeError:
        return None
    if provider is not _Known.meter_provider:
        # The stand-in for a provider that nobody has set yet has no public name.
        silent = isinstance(provider, api.NoOpMeterProvider) or type(provider).__name__ == "_ProxyMeterProvider"
        _Known.listens = not silent
        _Known.meter_provider = provider
    return provider if _Known.listens else None


def event_logger() -> Any:
    """Who takes events for the host's logs, or `None` when nobody does."""
    api = sys.modules.get("opentelemetry._logs")
    if api is None or not hasattr(api, "get_logger_provider"):
        return None
    provider = api.get_logger_provider()
    if provider is not _Known.logger_provider:
        silent = isinstance(provider, api.NoOpLoggerProvider) or type(provider).__name__ == "ProxyLoggerProvider"
        _Known.logger = None if silent else provider.get_logger(SCOPE)
        _Known.logger_provider = provider
    return _Known.logger
