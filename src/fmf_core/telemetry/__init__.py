"""Spans, counters, histograms and events; silent and nearly free until the host program sets up OpenTelemetry."""

from fmf_core.telemetry import host
from fmf_core.telemetry.attributes import Plain as Plain
from fmf_core.telemetry.attributes import error_type as error_type
from fmf_core.telemetry.attributes import plain as plain
from fmf_core.telemetry.events import emit as emit
from fmf_core.telemetry.metrics import Counter as Counter
from fmf_core.telemetry.metrics import Histogram as Histogram
from fmf_core.telemetry.metrics import counter as counter
from fmf_core.telemetry.metrics import histogram as histogram
from fmf_core.telemetry.spans import Span as Span
from fmf_core.telemetry.spans import span as span


def metering() -> bool:
    """Whether anybody listens to metrics."""
    return host.meter_provider() is not None


def recording() -> bool:
    """Whether anybody listens to spans or metrics; ask before computing what only they need."""
    return host.tracer() is not None or host.meter_provider() is not None
