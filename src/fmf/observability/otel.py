"""OpenTelemetry for the command line: the SDK with OTLP exporters, and handing over what is left in the end."""

from __future__ import annotations

import logging
import os
import re
import threading
import time
from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any, Final
from urllib.parse import unquote

from fmf_core.errors import Code, ConfigurationError
from fmf_core.redact import SHORTEST_PART, add_secret, redact
from fmf_core.registry import install_hint
from fmf_core.secret_shapes import secret_name
from fmf_core.telemetry import host

END_S = 3.0
"""How long the end of the program waits for the collector at most, in seconds."""
SERVICE = "fmf"
"""The name of the service, where neither OTEL_SERVICE_NAME nor OTEL_RESOURCE_ATTRIBUTES gives one."""
_OTLP: Final = "opentelemetry.exporter.otlp.proto.http"
_DEFAULT_ENDPOINT: Final = "http://localhost:4318"
# What the SDK reads as one header: a name as the W3C has it, and printable ASCII without `"`, `,`, `;` and backslash.
_HEADER: Final = r"[ \t]*[!#-'*+.0-9A-Z^-z|~-]+[ \t]*=[ \t]*[ !#-+\--:<-\[\]-~]*"

Exporting = Callable[..., Any]


class _SetUp:
    """What this process has set up."""

    flushes: Mapping[str, Callable[[], Any]] = {}
    failed: dict[str, int] = {}  # noqa: RUF012 - one for the process


def start(environ: Mapping[str, str] | None = None) -> bool:
    """Set up traces, metrics and logs of OpenTelemetry with exporters that follow the OTEL_* variables.

    Nothing happens where the host program has set up OpenTelemetry by itself, where OTEL_SDK_DISABLED is true, and for
    signals whose exporter is `none` (OTEL_TRACES_EXPORTER, OTEL_METRICS_EXPORTER, OTEL_LOGS_EXPORTER).

    Returns:
        Whether telemetry of this process goes out through what was set up here, now or before.

    Raises:
        ConfigurationError: the extra `otel` is not installed, a variable asks for an exporter that is none of its, or
            the SDK refuses the value of one.
    """
    environ = os.environ if environ is None else environ
    if _SetUp.flushes:
        return True
    if environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true" or _host_listens():
        return False
    signals = [signal for signal in _SIGNALS if _wanted(signal, environ)]
    for variable in ("OTEL_EXPORTER_OTLP_HEADERS", *(f"OTEL_EXPORTER_OTLP_{name.upper()}_HEADERS" for name in signals)):
        _check_headers(variable, environ.get(variable, ""))
    try:
        resource = _resource(environ)
        _SetUp.flushes = {signal: _SIGNALS[signal](resource) for signal in signals}
    except ImportError as error:
        raise ConfigurationError(
            f"observability.otel.enabled is true, but {error.name or 'opentelemetry'} is not installed",
            op="observability.otel",
            code=Code.UNSUPPORTED,
            hint=f"{install_hint('otel')}, or set observability.otel.enabled to false",
        ) from error
    except (ValueError, RuntimeError, OSError) as error:
        raise ConfigurationError(
            f"OpenTelemetry cannot be set up: {redact(str(error))}",
            op="observability.otel",
            hint="correct the variable OTEL_... that it is about, or set observability.otel.enabled to false",
        ) from error
    return bool(_SetUp.flushes)


def hand_over(limit_s: float = END_S) -> str | None:
    """Send what is left to the collector, and wait for that no longer than `limit_s` seconds.

    Returns:
        What to tell people when not everything arrived; `None` when it did, and where nothing was set up.
    """
    if not _SetUp.flushes:
        return None
    ends_at = time.monotonic() + limit_s
    # Daemons, so that one that hangs never holds up the end of the process.
    threads = {
        signal: threading.Thread(target=flush, name=f"otel-{signal}", daemon=True)
        for signal, flush in _SetUp.flushes.items()
    }
    for thread in threads.values():
        thread.start()
    for thread in threads.values():
        thread.join(max(0.0, ends_at - time.monotonic()))
    late = [signal for signal, thread in threads.items() if thread.is_alive()]
    missing = [signal for signal in _SetUp.flushes if signal in late or signal in _SetUp.failed]
    _SetUp.failed.clear()
    if not missing:
        return None
    places = {_endpoint(signal): None for signal in missing}
    return (
        f"not all {', '.join(missing)} reached the collector at {' and '.join(places)}; see OTEL_EXPORTER_OTLP_ENDPOINT"
    )


def _host_listens() -> bool:
    return any(found is not None for found in (host.tracer(), host.meter_provider(), host.event_logger()))


def _wanted(signal: str, environ: Mapping[str, str]) -> bool:
    variable = f"OTEL_{signal.upper()}_EXPORTER"
    exporter = environ.get(variable, "").strip().lower() or "otlp"
    if exporter not in ("otlp", "none"):
        _refuse(variable, exporter, "otlp or none")
    for name in (f"OTEL_EXPORTER_OTLP_{signal.upper()}_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL"):
        protocol = environ.get(name, "").strip().lower()
        if protocol and exporter == "otlp":
            if protocol != "http/protobuf":
                _refuse(name, protocol, "http/protobuf, which collectors take on port 4318")
            break
    return exporter == "otlp"


def _check_headers(variable: str, value: str) -> None:
    """Have the headers blanked wherever they appear; the SDK would print one that it cannot read."""
    parts = [part for part in re.split(r"[ \t]*,[ \t]*", value) if part]
    for part in parts:
        name, *values = re.split(r"[=:]", part, maxsplit=1)
        for secret in values or [name]:
            _add_header(name, secret.strip())
            _add_header(name, unquote(secret).strip())
    if not all(re.fullmatch(_HEADER, part.strip()) for part in parts):
        raise ConfigurationError(
            f"{variable} cannot be read as headers",
            op="observability.otel",
            hint="write name=value,name=value, with whatever is no letter or digit in a value URL-encoded",
        )


def _add_header(name: str, value: str) -> None:
    if secret_name(name) or not value.isalpha():  # one plain word, such as `production`, would blank ordinary text
        add_secret(value)
    for part in re.split(r"[\s;:=]+", value):
        if len(part) >= SHORTEST_PART and not part.isalpha():
            add_secret(part)


def _refuse(variable: str, value: str, known: str) -> None:
    raise ConfigurationError(
        f"{variable} is {value!r}, which fmf does not have", op="observability.otel", hint=f"set it to {known}"
    )


def _resource(environ: Mapping[str, str]) -> Any:
    from opentelemetry.sdk.resources import Resource

    from fmf import __version__

    named = environ.get("OTEL_SERVICE_NAME") or "service.name=" in environ.get("OTEL_RESOURCE_ATTRIBUTES", "")
    return Resource.create({} if named else {"service.name": SERVICE, "service.version": __version__})


def _traces(resource: Any) -> Callable[[], Any]:
    from opentelemetry import trace
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    exporter = _exporter("traces", "trace_exporter", "OTLPSpanExporter")
    provider = TracerProvider(resource=resource, shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(exporter))
    trace.set_tracer_provider(provider)
    return provider.force_flush


def _metrics(resource: Any) -> Callable[[], Any]:
    from opentelemetry import metrics
    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader

    exporter = _exporter("metrics", "metric_exporter", "OTLPMetricExporter")
    reader = PeriodicExportingMetricReader(exporter)
    provider = MeterProvider([reader], resource=resource, shutdown_on_exit=False)
    metrics.set_meter_provider(provider)
    return provider.force_flush


def _logs(resource: Any) -> Callable[[], Any]:
    from opentelemetry import _logs as logs
    from opentelemetry.sdk._logs import LoggerProvider
    from opentelemetry.sdk._logs.export import BatchLogRecordProcessor

    exporter = _exporter("logs", "_log_exporter", "OTLPLogExporter")
    provider = LoggerProvider(resource=resource, shutdown_on_exit=False)
    provider.add_log_record_processor(BatchLogRecordProcessor(exporter))
    logs.set_logger_provider(provider)
    return provider.force_flush


_SIGNALS: Final[Mapping[str, Callable[[Any], Callable[[], Any]]]] = {
    "traces": _traces,
    "metrics": _metrics,
    "logs": _logs,
}


def _exporter(signal: str, module: str, name: str) -> Any:
    """The exporter of one signal; what it fails at is told once, in the end, and not line by line."""
    exporter = getattr(import_module(f"{_OTLP}.{module}"), name)()
    logging.getLogger(_OTLP).setLevel(logging.CRITICAL)
    export: Exporting = exporter.export

    def counted(*args: Any, **kwargs: Any) -> Any:
        result = export(*args, **kwargs)
        if result.name != "SUCCESS":
            _SetUp.failed[signal] = _SetUp.failed.get(signal, 0) + 1
        return result

    exporter.export = counted
    return exporter


def _endpoint(signal: str) -> str:
    own = os.environ.get(f"OTEL_EXPORTER_OTLP_{signal.upper()}_ENDPOINT")
    return redact(own or os.environ.get("OTEL_EXPORTER_OTLP_ENDPOINT") or _DEFAULT_ENDPOINT)
