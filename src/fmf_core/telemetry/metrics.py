"""Counters and histograms of the host's meter provider.

What is recorded waits in this process until enough of it has come together, or until the provider collects: many
measurements in a row cost the SDK less than each on its own between other work, and those of a counter become one sum.
Nothing is lost by that: a measurement keeps its attributes and its context, and a collection begins with taking all.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from typing import Any
from weakref import WeakSet

from fmf_core.forks import in_forked_child
from fmf_core.telemetry import host
from fmf_core.telemetry.attributes import Plain, plain
from fmf_core.telemetry.host import SCOPE

MOST_WAITING = 64
"""How many measurements wait at most, but for those that other threads add meanwhile."""
SDK = "opentelemetry.sdk.metrics"

_waiting: deque[tuple[Instrument, float, Plain, Any]] = deque()
_heard: WeakSet[Any] = WeakSet()
"""The providers that tell when they collect."""


class Instrument:
    """A counter or a histogram, made when it is first used."""

    __slots__ = ("_buckets", "_description", "_made", "_name", "_provider", "_unit", "_waits")

    def __init__(self, name: str, unit: str, description: str, buckets: Sequence[float] | None = None) -> None:
        self._name = name
        self._unit = unit
        self._description = description
        self._buckets = buckets
        self._provider: Any = None
        self._waits = False
        self._made: Any = None

    def _take(self, value: float, attributes: Mapping[str, Any] | None, context: Any) -> None:
        provider = host.meter_provider()
        if provider is None:
            return
        if provider is not self._provider:
            flush()
            self._made = self._make(provider.get_meter(SCOPE))
            self._waits = _listen(provider)
            self._provider = provider
        if not self._waits:
            self._put(value, plain(attributes), context)
            return
        if context is None:
            from opentelemetry.context import get_current

            context = get_current()
        _waiting.append((self, value, plain(attributes), context))
        if len(_waiting) >= MOST_WAITING:
            flush()

    def _make(self, meter: Any) -> Any:  # noqa: ARG002 - each kind of instrument has its own
        raise AssertionError

    def _put(self, value: float, attributes: Plain, context: Any) -> None:  # noqa: ARG002 - as above
        raise AssertionError


class Histogram(Instrument):
    """A distribution of measured values."""

    __slots__ = ()

    def record(self, value: float, attributes: Mapping[str, Any] | None = None, *, context: Any = None) -> None:
        """Record one value.

        Args:
            value: what was measured.
            attributes: of few distinct values each; `None` values are left out.
            context: the OpenTelemetry context that it belongs to (`Span.context`); `None` is the current one.
        """
        self._take(value, attributes, context)

    def _put(self, value: float, attributes: Plain, context: Any) -> None:
        self._made.record(value, attributes, context)

    def _make(self, meter: Any) -> Any:
        told = {"unit": self._unit, "description": self._description}
        try:
            return meter.create_histogram(self._name, **told, explicit_bucket_boundaries_advisory=self._buckets)
        except TypeError:  # an API older than bucket advice
            return meter.create_histogram(self._name, **told)


class Counter(Instrument):
    """A sum that only grows."""

    __slots__ = ()

    def add(self, value: float = 1, attributes: Mapping[str, Any] | None = None, *, context: Any = None) -> None:
        """Add `value`; `attributes` and `context` as with `Histogram.record`."""
        self._take(value, attributes, context)

    def _put(self, value: float, attributes: Plain, context: Any) -> None:
        self._made.add(value, attributes, context)

    def _make(self, meter: Any) -> Any:
        return meter.create_counter(self._name, unit=self._unit, description=self._description)


def histogram(name: str, *, unit: str = "", description: str = "", buckets: Sequence[float] | None = None) -> Histogram:
    """Give a histogram; `buckets` are the boundaries advised to the backend."""
    return Histogram(name, unit, description, buckets)


def counter(name: str, *, unit: str = "", description: str = "") -> Counter:
    """Give a counter."""
    return Counter(name, unit, description)


def flush() -> None:
    """Hand over all measurements that wait; those of a counter under the same attributes as one sum."""
    sums: dict[tuple[int, int], tuple[Instrument, float, Plain, Any]] = {}
    while _waiting:
        try:
            instrument, value, attributes, context = _waiting.popleft()
        except IndexError:  # another thread was quicker
            break
        if isinstance(instrument, Counter):
            key = (id(instrument), id(attributes))
            before = sums.get(key)
            sums[key] = (instrument, value + (before[1] if before else 0), attributes, context)
        else:
            instrument._put(value, attributes, context)  # noqa: SLF001 - of this module
    for instrument, value, attributes, context in sums.values():
        instrument._put(value, attributes, context)  # noqa: SLF001


def _listen(provider: Any) -> bool:
    """Whether measurements may wait: the provider says when it collects. Only of the SDK's own is that known."""
    if not type(provider).__module__.startswith(SDK):
        return False
    if provider not in _heard:
        _heard.add(provider)
        # Its callback is the call for whatever waits; it observes nothing itself, so no metric comes of it.
        provider.get_meter(SCOPE).create_observable_counter("fmf.telemetry.waiting", callbacks=[_collected])
    return True


def _collected(_: Any) -> Iterable[Any]:
    flush()
    return ()


# What waits in a child was taken by its parent, who hands it over.
in_forked_child(_waiting.clear)
