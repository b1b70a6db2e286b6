"""The numbers of `RunMetrics` for Prometheus: served over HTTP, or collected by a registry of the host's own."""

from __future__ import annotations

from collections.abc import Iterator
from types import TracebackType
from typing import Any, Self

from fmf_core.errors import Code, ConfigurationError
from fmf_core.registry import install_hint
from generative_ai_workflow.observability.run_metrics import BUCKETS_S, Durations, RunMetrics, Used

PORT = 9464
"""Where exporters of OpenTelemetry metrics are scraped."""
MOST_WAIT_S = 10.0


class PrometheusExporter:
    """Serves `http://HOST:PORT/metrics` from a thread, until it is closed.

        with PrometheusExporter(metrics) as exporter:
            print(exporter.url)

    The numbers are those of `metrics` at the moment of each scrape, whatever the program does with OpenTelemetry. The
    labels are names of workflows, steps and models, status and kind of tokens, and nothing else; there are no more of
    them than `RunMetrics(max_names=)` allows. Nobody is asked who they are: any but a loopback address should stand
    behind something that asks.

    Args:
        metrics: what is told.
        port: 0 takes any that is free, see `port`.
        host: the address that is listened on.

    Raises:
        ConfigurationError: the extra `prometheus` is not installed, or the port cannot be had.
    """

    def __init__(self, metrics: RunMetrics, port: int = PORT, host: str = "127.0.0.1") -> None:
        client = _client()
        registry = client.CollectorRegistry(auto_describe=False)
        registry.register(RunCollector(metrics))
        try:
            self._server, self._thread = client.start_http_server(port, addr=host, registry=registry)
        except (OSError, OverflowError) as error:
            raise ConfigurationError(
                f"{host}:{port} cannot be listened on: {error}",
                op="prometheus.start",
                hint="give another port, or 0 for any that is free",
            ) from error
        self.host = host
        self.port: int = self._server.server_port
        self._closed = False

    @property
    def url(self) -> str:
        """What Prometheus is to scrape."""
        return f"http://{f'[{self.host}]' if ':' in self.host else self.host}:{self.port}/metrics"

    def close(self) -> None:
        """Stop listening; a second call does nothing."""
        if not self._closed:
            self._closed = True
            self._server.shutdown()
            self._server.server_close()
            self._thread.join(MOST_WAIT_S)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()


class RunCollector:
    """What a `CollectorRegistry` of `prometheus_client` takes, for a program that serves its own metrics already.

        prometheus_client.REGISTRY.register(RunCollector(metrics))

    Args:
        metrics: what is told.
    """

    def __init__(self, metrics: RunMetrics) -> None:
        _client()
        from prometheus_client import core

        self._families = core
        self._metrics = metrics

    def collect(self) -> Iterator[Any]:
        """The metrics as they are now."""
        yield from self._of_runs("genai_workflow", ("workflow",), {(n,): s for n, s in self._metrics.workflows.items()})
        yield from self._of_runs("genai_workflow_step", ("workflow", "step"), self._metrics.steps)
        models = {(name,): used for name, used in self._metrics.models.items()}
        yield from self._of_use("genai_model", ("model",), models)

    def _of_runs(self, name: str, labels: tuple[str, ...], table: Any) -> Iterator[Any]:
        what = "steps" if "step" in labels else "runs"
        ended = self._families.CounterMetricFamily(
            f"{name}_runs", f"How many {what} ended how.", labels=[*labels, "status"]
        )
        took = self._families.HistogramMetricFamily(f"{name}_duration_seconds", f"How long {what} took.", labels=labels)
        asked = self._families.CounterMetricFamily(
            f"{name}_requests", "Requests to models, retries included.", labels=labels
        )
        for names, sums in table.items():
            for status, count in sums.by_status.items():
                ended.add_metric([*names, status], count)
            took.add_metric(names, _cumulated(sums.durations), sums.durations.sum_s)
            asked.add_metric(names, sums.requests)
        yield from (ended, took, asked)
        yield from self._of_use(name, labels, {names: sums.used for names, sums in table.items()})

    def _of_use(self, name: str, labels: tuple[str, ...], table: dict[Any, Used]) -> Iterator[Any]:
        tokens = self._families.CounterMetricFamily(
            f"{name}_tokens", "Tokens of model calls.", labels=[*labels, "type"]
        )
        cost = self._families.CounterMetricFamily(f"{name}_cost_usd", "Estimated cost in US dollars.", labels=labels)
        unpriced = self._families.CounterMetricFamily(
            f"{name}_unpriced", "Uses that have no known price.", labels=labels
        )
        for names, used in table.items():
            tokens.add_metric([*names, "input"], used.prompt_tokens)
            tokens.add_metric([*names, "output"], used.completion_tokens)
            cost.add_metric(names, used.cost_usd)
            unpriced.add_metric(names, used.unpriced)
        yield from (tokens, cost, unpriced)


def _cumulated(durations: Durations) -> list[tuple[str, int]]:
    told, below = [], 0
    for bound, inside in zip((*BUCKETS_S, None), durations.buckets, strict=True):
        below += inside
        told.append(("+Inf" if bound is None else str(bound), below))
    return told


def _client() -> Any:
    try:
        import prometheus_client
    except ImportError as error:
        raise ConfigurationError(
            f"the exporter for Prometheus needs a package that is not installed: {error.name or 'prometheus_client'}",
            op="prometheus.start",
            code=Code.UNSUPPORTED,
            hint=install_hint("prometheus"),
        ) from error
    return prometheus_client
