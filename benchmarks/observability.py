"""CPU of one HTTP call with telemetry off, and with each part of it on: spans, metrics, log lines, both profiles."""

from __future__ import annotations

import asyncio
import os
import resource
import statistics
import sys
from collections.abc import Awaitable, Callable, Mapping
from time import perf_counter

from benchmarks import measure
from benchmarks.server import Server

CALLS = 4000
AT_ONCE = 64
ROUNDS = 7


PROMPT = "A line of a plain report about bicycles and their parts. " * 50
Ask = Callable[[], Awaitable[object]]


def ours(base_url: str) -> Ask:
    """A model as `create_chat_model` makes it."""
    from chatmodels import ChatRequest, create_chat_model

    model = create_chat_model("openai", base_url=base_url, api_key="key-of-nobody", model="bench")

    async def ask() -> object:
        return await model.complete_async(ChatRequest(prompt=PROMPT, temperature=0.0))

    return ask


def sdk(base_url: str) -> Ask:
    """The vendor's client."""
    from openai import AsyncOpenAI

    client = AsyncOpenAI(base_url=base_url, api_key="key-of-nobody", max_retries=0)

    async def ask() -> object:
        messages = [{"role": "user", "content": PROMPT}]
        return await client.chat.completions.create(model="bench", messages=messages, temperature=0.0)

    return ask


def cpu_s() -> float:
    """CPU of this process so far."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


async def many(ask: Ask, calls: int) -> None:
    """`calls` calls, `AT_ONCE` at a time."""
    todo = iter(range(calls))

    async def worker() -> None:
        for _ in todo:
            await ask()

    await asyncio.gather(*[worker() for _ in range(AT_ONCE)])


class Nowhere:
    """Takes what the SDK exports, and drops it: what a backend costs is not the question here."""

    def export(self, batch: object, **_: object) -> object:
        from opentelemetry.sdk.trace.export import SpanExportResult

        return SpanExportResult.SUCCESS

    def shutdown(self, *_: object, **__: object) -> None: ...

    def force_flush(self, *_: object, **__: object) -> bool:
        return True


def spans(sampled: float = 1.0) -> None:
    """Set up tracing as a host does: a batch processor before the exporter."""
    from opentelemetry import trace
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor
    from opentelemetry.sdk.trace.sampling import TraceIdRatioBased

    provider = TracerProvider(sampler=TraceIdRatioBased(sampled))
    # A queue that holds them all: dropping would be cheaper than exporting.
    provider.add_span_processor(BatchSpanProcessor(Nowhere(), max_queue_size=2 * CALLS))
    trace.set_tracer_provider(provider)


def metrics() -> None:
    """Set up metrics as a host does: a reader that exports periodically."""
    from opentelemetry import metrics as api
    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.sdk.metrics.export import MetricExporter, MetricExportResult, PeriodicExportingMetricReader

    class Dropped(Nowhere, MetricExporter):
        def export(self, *_: object, **__: object) -> object:
            return MetricExportResult.SUCCESS

    api.set_meter_provider(MeterProvider([PeriodicExportingMetricReader(Dropped(), export_interval_millis=1000)]))


def both() -> None:
    """Spans and metrics."""
    spans()
    metrics()


def api_alone() -> None:
    """The API is imported, and nobody has set up an SDK."""
    import opentelemetry.metrics
    import opentelemetry.trace  # noqa: F401


def lines(level: str) -> None:
    """Log lines of `level` and above, as JSON, to a file."""
    from fmf_core.logs import configure_logging

    configure_logging(level, stream=open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115 - as long as the process


VARIANTS: Mapping[str, tuple[Callable[[], object], Mapping[str, str]]] = {
    "off: OpenTelemetry is not imported": (lambda: None, {}),
    "the API alone, no SDK": (api_alone, {}),
    "log lines at INFO": (lambda: lines("INFO"), {}),
    "log lines at DEBUG, one a call": (lambda: lines("DEBUG"), {}),
    "spans, 1 % sampled": (lambda: spans(0.01), {}),
    "spans": (spans, {}),
    "metrics": (metrics, {}),
    "spans and metrics, profile released": (both, {}),
    "spans and metrics, profile genai-main": (both, {"CHATMODELS_OTEL_PROFILE": "genai-main"}),
    "spans and metrics, both profiles": (both, {"CHATMODELS_OTEL_PROFILE": "both"}),
}
FLOOR = "the SDK alone: the same span and records by hand"
SDK = "AsyncOpenAI, nothing on"


def by_hand(ask: Ask) -> Ask:
    """The least that the SDK must be told of a call: one span with its attributes, one duration, two token counts."""
    from opentelemetry import context, metrics, trace

    tracer, meter = trace.get_tracer("bench"), metrics.get_meter("bench")
    duration, tokens = meter.create_histogram("duration", unit="s"), meter.create_histogram("tokens")
    common: dict[str, str | int | float] = {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "openai",
        "gen_ai.request.model": "bench",
        "server.address": "127.0.0.1",
        "server.port": 8000,
    }
    begun = {**common, "openai.api.type": "chat_completions", "gen_ai.request.temperature": 0.0,
             "gen_ai.request.max_tokens": 1024}  # fmt: skip
    done = {**common, "gen_ai.response.model": "bench"}
    read, written = {**done, "gen_ai.token.type": "input"}, {**done, "gen_ai.token.type": "output"}
    told = {"gen_ai.response.model": "bench", "gen_ai.response.id": "chatcmpl-1", "gen_ai.usage.input_tokens": 400,
            "gen_ai.response.finish_reasons": ("stop",), "gen_ai.usage.output_tokens": 80}  # fmt: skip

    async def observed() -> object:
        started = perf_counter()
        span = tracer.start_span("chat bench", kind=trace.SpanKind.CLIENT, attributes=begun)
        token = context.attach(trace.set_span_in_context(span))
        answer = await ask()
        duration.record(perf_counter() - started, done)
        tokens.record(400, read)
        tokens.record(80, written)
        span.set_attributes(told)
        context.detach(token)
        span.end()
        return answer

    return observed


async def microseconds(base_url: str, variant: str) -> float:
    """CPU of one call."""
    ask, calls = (sdk(base_url), CALLS // 8) if variant == SDK else (ours(base_url), CALLS)
    if variant in VARIANTS:
        VARIANTS[variant][0]()
    elif variant == FLOOR:
        from chatmodels import metrics as own

        own.recording = lambda: False
        both()
        ask = by_hand(ask)
    await many(ask, 5 * AT_ONCE)
    started = cpu_s()
    await many(ask, calls)
    return (cpu_s() - started) / calls * 1e6


def main(rounds: int = ROUNDS) -> None:
    """Print the table."""
    wanted = [*VARIANTS, FLOOR, SDK]
    taken: dict[str, list[float]] = {name: [] for name in wanted}
    with Server(0) as base_url:
        for _ in range(rounds):
            for name in wanted:
                environment = VARIANTS[name][1] if name in VARIANTS else {}
                command = [sys.executable, "-m", "benchmarks.observability", base_url, name]
                taken[name].append(float(measure.run(command, environment=environment).output))
    off = statistics.median(taken[wanted[0]])
    rows = []
    for name in wanted:
        own = statistics.median(taken[name])
        more = "" if name == wanted[0] else f"{own - off:+.1f}"
        rows.append([name, f"{own:.1f} ({min(taken[name]):.1f}-{max(taken[name]):.1f})", more, f"{own / off:.2f}"])
    measure.table(
        f"CPU of one HTTP call of {AT_ONCE} in flight, by what observes it (median of {rounds}, lowest and highest)",
        ["observed by", "us a call", "more than off", "ratio"],
        rows,
    )


if __name__ == "__main__":
    print(asyncio.run(microseconds(sys.argv[1], sys.argv[2])))
