from __future__ import annotations

import socket
import sys
import threading
import urllib.request

import prometheus_client
import pytest
from prometheus_client.parser import text_string_to_metric_families

from chatmodels.types import ChatResponse
from generative_ai_workflow import (
    ConfigurationError,
    LLMStep,
    MockLLMProvider,
    PrometheusExporter,
    RunCollector,
    RunMetrics,
    TokenUsage,
    Workflow,
    WorkflowEngine,
)

USAGE = TokenUsage(prompt_tokens=1_000_000, completion_tokens=2_000_000, model="gpt-4o-mini", provider="openai")


def scraped(url: str) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    with urllib.request.urlopen(url, timeout=10) as reply:
        text = reply.read().decode()
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def used_metrics() -> RunMetrics:
    metrics = RunMetrics()
    model = MockLLMProvider([ChatResponse(content="x", model="gpt-4o-mini", usage=USAGE)])
    engine = WorkflowEngine().use(metrics)
    for _ in range(2):
        engine.run(Workflow([LLMStep("ask", "the secret text", model)], name='tri"age'))
    return metrics


def test_what_runs_took_is_served_over_http() -> None:
    metrics = used_metrics()
    before = set(threading.enumerate())
    with PrometheusExporter(metrics, port=0) as exporter:
        assert exporter.url == f"http://127.0.0.1:{exporter.port}/metrics"
        found = scraped(exporter.url)
        workflow, model = ("workflow", 'tri"age'), ("model", "gpt-4o-mini")
        assert found["genai_workflow_runs_total", (("status", "completed"), workflow)] == 2
        assert found["genai_workflow_duration_seconds_count", (workflow,)] == 2
        assert found["genai_workflow_duration_seconds_bucket", (("le", "+Inf"), workflow)] == 2
        assert found["genai_workflow_step_runs_total", (("status", "completed"), ("step", "ask"), workflow)] == 2
        assert found["genai_model_tokens_total", (model, ("type", "output"))] == 4_000_000
        assert found["genai_model_cost_usd_total", (model,)] == pytest.approx(2.7)
        assert found["genai_workflow_cost_usd_total", (workflow,)] == pytest.approx(2.7)
        assert not any("secret" in str(key) for key in found)
        metrics.reset()
        assert not any(labels for _, labels in scraped(exporter.url)), "each scrape tells the numbers of its moment"
    exporter.close()
    with pytest.raises(OSError):
        urllib.request.urlopen(exporter.url, timeout=2)
    for thread in set(threading.enumerate()) - before:
        thread.join(10)
        assert not thread.is_alive()


def test_it_stands_beside_what_the_host_serves_itself() -> None:
    registry = prometheus_client.CollectorRegistry()
    registry.register(RunCollector(used_metrics()))
    assert b"genai_workflow_runs_total" in prometheus_client.generate_latest(registry)
    assert b"genai_workflow" not in prometheus_client.generate_latest()


def test_a_port_that_is_taken_is_told() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(ConfigurationError, match="cannot be listened on") as caught:
            PrometheusExporter(RunMetrics(), port=taken.getsockname()[1])
    assert "another port" in caught.value.hint


def test_without_the_extra_an_error_names_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "prometheus_client", None)
    with pytest.raises(ConfigurationError, match="prometheus") as caught:
        PrometheusExporter(RunMetrics(), port=0)
    assert caught.value.code == "unsupported"
    assert "pip install" in caught.value.hint
    assert "[prometheus]" in caught.value.hint
