from __future__ import annotations

import pytest

from fmf.errors import exit_status
from fmf.observability import otel
from fmf_core.errors import ConfigurationError
from fmf_core.redact import redact
from observed import Observed


@pytest.fixture(autouse=True)
def _nothing_set_up(monkeypatch):
    monkeypatch.setattr(otel._SetUp, "flushes", {})


def test_a_missing_package_is_one_clear_error(monkeypatch):
    def missing(name):
        raise ModuleNotFoundError(f"No module named {name!r}", name=name)

    monkeypatch.setattr(otel, "import_module", missing)
    with pytest.raises(ConfigurationError) as caught:
        otel.start({})
    assert "opentelemetry.exporter.otlp.proto.http" in caught.value.message
    assert "pip install -e '.[otel]'" in caught.value.hint
    assert exit_status(caught.value) == 2
    assert otel.hand_over() is None


def test_what_a_host_program_has_set_up_stays(monkeypatch):
    host = Observed(monkeypatch)
    assert otel.start({}) is False
    assert otel.hand_over() is None
    assert host is not None


def test_what_hangs_or_fails_is_told_once(monkeypatch):
    released = otel.threading.Event()
    monkeypatch.setattr(otel._SetUp, "flushes", {"traces": released.wait, "metrics": bool, "logs": bool})
    monkeypatch.setattr(otel._SetUp, "failed", {"logs": 2})
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://u:secret-of-mine@collector:4318")
    try:
        told = otel.hand_over(0.01)
        assert told.startswith("not all traces, logs reached the collector at ")
        assert "secret-of-mine" not in told
    finally:
        released.set()
    monkeypatch.setattr(otel._SetUp, "flushes", {"metrics": bool})
    assert otel.hand_over() is None


@pytest.mark.parametrize("variable", ["OTEL_EXPORTER_OTLP_HEADERS", "OTEL_EXPORTER_OTLP_LOGS_HEADERS"])
@pytest.mark.parametrize(
    "value", ["Authorization: Bearer {}", "a=b,Authorization: Bearer {}", "Authorization={};", "ké={}", "={}"]
)
def test_headers_that_cannot_be_read_are_refused_and_not_told(variable, value):
    key = "qm-7731-winter-orchard"
    with pytest.raises(ConfigurationError) as caught:
        otel.start({variable: value.format(key)})
    assert variable in caught.value.message
    assert key not in f"{caught.value} {caught.value.hint}"
    assert key not in redact(f"a line of the SDK: {key}")


def test_headers_that_can_be_read_are_secret(monkeypatch):
    monkeypatch.setattr(otel, "_SIGNALS", {"traces": lambda _: bool})
    assert otel.start({"OTEL_EXPORTER_OTLP_HEADERS": "authorization=Bearer%20pq-5512-amber-lake , x-team = orangery,"})
    assert redact("it was pq-5512-amber-lake in the orangery").endswith(" in the orangery")
    assert "pq-5512-amber-lake" not in redact("it was pq-5512-amber-lake")


def test_the_warning_names_the_place_of_each_signal(monkeypatch):
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://all:4318")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://traces:4318/v1/traces")
    for failed, places in (
        ({"traces": 1}, "http://traces:4318/v1/traces;"),
        ({"metrics": 1, "logs": 1}, "http://all:4318;"),
        ({"traces": 1, "logs": 1}, "http://traces:4318/v1/traces and http://all:4318;"),
    ):
        monkeypatch.setattr(otel._SetUp, "flushes", {"traces": bool, "metrics": bool, "logs": bool})
        monkeypatch.setattr(otel._SetUp, "failed", dict(failed))
        assert f"reached the collector at {places}" in otel.hand_over()
