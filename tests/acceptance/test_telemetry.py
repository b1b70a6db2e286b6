"""Telemetry of the command line, from outside: a real collector on loopback, a dead one, and one that hangs."""

from __future__ import annotations

import time

import pytest

from acceptance.outside import chain_yaml, fmf_yaml
from peers.collector import Collector

CONFIG = fmf_yaml(
    inference={"options": {"responses": {"default": "an answer of the model"}}},
    observability={"otel": {"enabled": True}},
)


@pytest.fixture
def observed(project):
    chain = chain_yaml({"id": "s", "prompt": "inline: ${chunk.text}"})
    return project.write({"fmf.yaml": CONFIG, "data/a.txt": "words of a document", "chain.yaml": chain})


@pytest.fixture
def collector():
    with Collector() as collector:
        yield collector


@pytest.fixture
def into(observed, collector):
    def call(*args, **environment):
        observed.environment = {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.endpoint, **environment}
        return observed.fmf(*args)

    return call


def test_spans_and_metrics_of_a_question_reach_the_collector(into, collector):
    told = into("infer", "Say hello").well()
    assert told.stdout == "an answer of the model\n"
    assert "warning" not in told.stderr
    ((name, attributes),) = [span for span in collector.spans if span[0].startswith("chat")]
    assert (name, attributes["gen_ai.provider.name"]) == ("chat mock", "mock")
    assert "gen_ai.client.operation.duration" in collector.metrics
    assert collector.resources[0]["service.name"] == "fmf"
    assert not any("messages" in key for key in attributes)


def test_a_run_is_one_trace_of_workflows_steps_and_calls(into, collector):
    into("run", "--chain", "chain.yaml", OTEL_SERVICE_NAME="nightly").well()
    names = {name.partition(" ")[0] for name, _ in collector.spans}
    assert names == {"invoke_workflow", "step", "chat"}
    assert collector.resources[0]["service.name"] == "nightly"


def test_content_is_told_where_the_configuration_says_so_and_the_environment_does_not_forbid_it(into, collector):
    capture = ("--set", "observability.capture_content=true")
    into("infer", "Say hello", *capture).well()
    into("infer", "Say hello", *capture, OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT="NO_CONTENT").well()
    with_content, without = [attributes for name, attributes in collector.spans if name == "chat mock"]
    assert "Say hello" in with_content["gen_ai.input.messages"]
    assert "an answer of the model" in with_content["gen_ai.output.messages"]
    assert "gen_ai.input.messages" not in without


def test_a_failed_command_is_told_too(into, collector):
    fails = "inference.options={fail_with: auth}"
    into("infer", "Say hello", "--set", fails).refused(3)
    assert collector.spans[0][1]["error.type"] == "auth"
    assert collector.events == ["gen_ai.client.operation.exception"]


@pytest.mark.parametrize(
    ("environment", "paths"),
    [
        ({"OTEL_SDK_DISABLED": "true"}, set()),
        ({"OTEL_METRICS_EXPORTER": "none"}, {"/v1/traces"}),
        ({"OTEL_TRACES_EXPORTER": "none"}, {"/v1/metrics"}),
    ],
)
def test_the_variables_of_opentelemetry_hold(into, collector, environment, paths):
    into("infer", "Say hello", **environment).well()
    assert set(collector.bodies) == paths


def test_nothing_is_set_up_unless_it_is_wanted(into, collector):
    into("infer", "Say hello", "--set", "observability.otel.enabled=false").well()
    into("--version").well()
    assert collector.bodies == {}


@pytest.mark.parametrize("environment", [{"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}, {"OTEL_TRACES_EXPORTER": "console"}])
def test_an_exporter_that_is_not_there_is_refused(into, collector, environment):
    error = into("infer", "Say hello", **environment).refused(2)
    ((variable, value),) = environment.items()
    assert variable in error
    assert repr(value) in error
    assert collector.bodies == {}


def test_headers_and_values_that_the_sdk_cannot_use_are_one_error(into, collector):
    headers = "Authorization: Bearer qx-9917-violet-harbor"
    error = into("infer", "Say hello", OTEL_EXPORTER_OTLP_HEADERS=headers).refused(2)
    assert "OTEL_EXPORTER_OTLP_HEADERS" in error
    assert "violet" not in error
    for variable in (
        "OTEL_BSP_MAX_EXPORT_BATCH_SIZE",
        "OTEL_METRIC_EXPORT_INTERVAL",
        "OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT",
    ):
        assert "OpenTelemetry cannot be set up" in into("infer", "Say hello", **{variable: "-1"}).refused(2)
    assert collector.bodies == {}


def test_a_dead_collector_costs_seconds_and_no_result(observed):
    with Collector(hang=True) as hanging:
        for endpoint in ("http://127.0.0.1:9", hanging.endpoint):
            observed.environment = {"OTEL_EXPORTER_OTLP_ENDPOINT": endpoint}
            begun = time.monotonic()
            told = observed.fmf("infer", "Say hello").well()
            assert time.monotonic() - begun < 30
            assert told.stdout == "an answer of the model\n"
            (warning,) = [line for line in told.stderr.splitlines() if line.startswith("warning:")]
            assert endpoint in warning
            assert "traces" in warning
            assert "Traceback" not in told.stderr
