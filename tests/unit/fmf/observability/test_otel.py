from __future__ import annotations

import pytest

from fmf.errors import exit_status
from fmf.observability import otel
from fmf_core.errors import ConfigurationError
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
