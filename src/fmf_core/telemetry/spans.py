"""Spans: pieces of work on the host's trace."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Mapping
from time import time_ns
from types import TracebackType
from typing import Any, Literal, Self

from fmf_core.redact import redact
from fmf_core.telemetry import host
from fmf_core.telemetry.attributes import Plain, as_attribute, error_type, plain, text_of, type_name
from fmf_core.telemetry.events import emit
from fmf_core.telemetry.host import Api

Kind = Literal["internal", "client", "server", "producer", "consumer"]
Attributes = Mapping[str, Any] | Callable[[], Mapping[str, Any]] | None
EXCEPTION = "exception"


class Span:
    """One piece of work on the trace; made by `span`, used as a context manager.

    An exception that leaves the block is recorded, redacted, and marks the span as failed.
    """

    __slots__ = ("_attributes", "_began_ns", "_context", "_current", "_ended_ns", "_failed", "_kind", "_name",
                 "_recording", "_span", "_token")  # fmt: skip

    def __init__(self, name: str, kind: Kind, attributes: Attributes, current: bool) -> None:
        self._name = name
        self._kind = kind
        self._attributes = attributes
        self._current = current
        self._span: Any = None
        self._context: Any = None
        self._token: Any = None
        self._failed = False
        self._recording = False
        self._ended_ns: int | None = None

    @property
    def recording(self) -> bool:
        """Whether anybody will see what is set on this span: somebody listens, and the sampler chose it."""
        return self._recording

    @property
    def context(self) -> Any:
        """The OpenTelemetry context in which this span is the current one; `None` when nobody listens."""
        return self._context

    def set(self, key: str, value: Any) -> None:
        """Set one attribute; `None` is skipped, text is redacted, other objects become text."""
        if self._recording and value is not None:
            self._span.set_attribute(key, as_attribute(value))

    def set_all(self, attributes: Mapping[str, Any]) -> None:
        """Set many attributes at once, which costs far less than one by one."""
        if self._recording:
            self._span.set_attributes(plain(attributes))

    def stop(self, seconds: float) -> None:
        """Let the span have lasted `seconds`, so that it agrees with what metrics say; it ends with its block."""
        if self._recording:
            self._ended_ns = self._began_ns + round(seconds * 1e9)

    def error(self, error: BaseException, event: str = EXCEPTION) -> None:
        """Mark the span as failed by `error`, whose text and trace are redacted.

        Args:
            error: what happened; only the first one counts.
            event: the name of the event that tells of it. Any other than `exception` goes to the host's logs, where
                events of the conventions belong, and stays on the span only where the host takes no logs.
        """
        if self._span is None or self._failed:
            return
        self._failed = True
        if not self._recording and event == EXCEPTION:
            return
        message = redact(text_of(error))
        facts = Plain(
            {
                "exception.type": type_name(error),
                "exception.message": message,
                "exception.stacktrace": redact("".join(traceback.format_exception(error))),
            }
        )
        told = event != EXCEPTION and emit(event, facts, severity="WARN", context=self._context)
        if not self._recording:
            return
        from opentelemetry.trace import Status, StatusCode

        self._span.set_attribute("error.type", error_type(error))
        self._span.set_status(Status(StatusCode.ERROR, message))
        if not told:
            self._span.add_event(event, facts)

    def __enter__(self) -> Self:
        tracer = host.tracer()
        if tracer is not None:
            self._begin(tracer)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._span is None:
            return
        try:
            if error is not None and not isinstance(error, GeneratorExit):
                self.error(error)
        finally:
            if self._token is not None:
                Api.contexts.detach(self._token)
                self._token = None
            self._span.end(self._ended_ns)

    def _begin(self, tracer: Any) -> None:
        if not Api.kinds:
            Api.learn()
        given = self._attributes
        attributes = plain(given() if callable(given) else given)
        self._began_ns = time_ns()
        self._span = made = tracer.start_span(
            self._name,
            kind=Api.kinds[self._kind],
            attributes=attributes,
            start_time=self._began_ns,
            record_exception=False,
            set_status_on_exception=False,
        )
        self._recording = made.is_recording()
        self._context = Api.traces.set_span_in_context(made)
        if self._current:
            self._token = Api.contexts.attach(self._context)


def span(name: str, *, kind: Kind = "internal", attributes: Attributes = None, current: bool = True) -> Span:
    """Give the context manager of one span.

    Args:
        name: what is done, of few distinct values (`"chat gpt-4o-mini"`).
        kind: the OpenTelemetry span kind.
        attributes: known at the start, for samplers; or a function that gives them, called only when somebody listens.
        current: whether spans begun within the block become its children. Say no around a `yield`: a generator may be
            closed in another context than the one it was begun in.
    """
    return Span(name, kind, attributes, current)
