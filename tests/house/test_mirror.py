"""Every module of the two lower storeys has tests of its own, or stands in this list with the file that tests it."""

from __future__ import annotations

from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
UNIT = ROOT / "tests" / "unit"
STOREYS = ("fmf_core", "chatmodels")
TESTED_IN = {
    "chatmodels/caches/single_flight": "chatmodels/wrappers/test_cached.py",
    "chatmodels/call_attributes": "chatmodels/test_metrics.py",
    "chatmodels/cassette/on_tape": "chatmodels/cassette/test_replay.py",
    "chatmodels/cassette/tape": "chatmodels/cassette/test_replay.py",
    "chatmodels/cassette/yaml_tape": "chatmodels/cassette/test_replay.py",
    "chatmodels/config": "chatmodels/test_factory.py",
    "chatmodels/ecma_patterns": "chatmodels/test_json_schema.py",
    "chatmodels/families": "chatmodels/test_capabilities.py",
    "chatmodels/guard": "chatmodels/testing/test_forbidding.py",
    "chatmodels/instruments": "chatmodels/test_metrics.py",
    "chatmodels/json_keywords": "chatmodels/test_json_schema.py",
    "chatmodels/lifetime": "chatmodels/test_factory.py",
    "chatmodels/pacing/crew": "chatmodels/wrappers/test_adaptive.py",
    "chatmodels/pacing/waiter": "chatmodels/wrappers/test_breaker.py",
    "chatmodels/protocols": "chatmodels/test_annotations.py",
    "chatmodels/providers/apis": "chatmodels/providers/test_openai.py",
    "chatmodels/providers/bedrock/answer": "chatmodels/providers/bedrock/test_wire.py",
    "chatmodels/providers/bedrock/client": "chatmodels/providers/bedrock/test_model.py",
    "chatmodels/providers/bedrock/errors": "chatmodels/providers/bedrock/test_model.py",
    "chatmodels/providers/bedrock/line": "chatmodels/providers/bedrock/test_model.py",
    "chatmodels/providers/bedrock/models": "chatmodels/providers/bedrock/test_wire.py",
    "chatmodels/providers/bedrock/prompts": "chatmodels/providers/bedrock/test_invoke.py",
    "chatmodels/providers/call": "chatmodels/providers/test_openai.py",
    "chatmodels/providers/characters": "chatmodels/providers/test_openai_wire.py",
    "chatmodels/providers/completions": "chatmodels/providers/test_openai.py",
    "chatmodels/providers/local_engine": "chatmodels/providers/test_local.py",
    "chatmodels/providers/mock_answers": "chatmodels/providers/test_mock.py",
    "chatmodels/providers/openai_errors": "chatmodels/providers/test_openai.py",
    "chatmodels/providers/time_limits": "chatmodels/providers/test_openai.py",
    "chatmodels/providers/token_counts": "chatmodels/providers/test_openai.py",
    "chatmodels/providers/tool_calls": "chatmodels/providers/test_openai_wire.py",
    "chatmodels/providers/wire": "chatmodels/providers/test_openai_wire.py",
    "chatmodels/settings_given": "chatmodels/test_factory.py",
    "chatmodels/spending": "chatmodels/testing/test_budget.py",
    "chatmodels/structured/telling": "chatmodels/structured/test_asking.py",
    "chatmodels/structured/wanted": "chatmodels/structured/test_asking.py",
    "chatmodels/testing/exam_checks": "chatmodels/testing/test_exam.py",
    "chatmodels/transport/body": "chatmodels/transport/test_connection.py",
    "chatmodels/transport/pool": "chatmodels/transport/test_http.py",
    "chatmodels/transport/seam": "chatmodels/transport/test_http.py",
    "chatmodels/wrappers/gate": "chatmodels/wrappers/test_adaptive.py",
    "chatmodels/wrappers/hedge_budget": "chatmodels/wrappers/test_hedging.py",
    "chatmodels/wrappers/reservation": "chatmodels/wrappers/test_budgeted.py",
    "chatmodels/wrappers/retry_lines": "chatmodels/wrappers/test_retrying.py",
    "chatmodels/wrappers/shared_circuit": "chatmodels/wrappers/test_breaker.py",
    "fmf_core/background": "fmf_core/test_portal.py",
    "fmf_core/faults": "fmf_core/test_settings.py",
    "fmf_core/layers": "fmf_core/test_settings.py",
    "fmf_core/personal/checksums": "fmf_core/personal/test_national_ids.py",
    "fmf_core/personal/national_checks": "fmf_core/personal/test_national_ids.py",
    "fmf_core/personal/nearby": "fmf_core/personal/test_national_ids.py",
    "fmf_core/secret_shapes": "fmf_core/test_redact.py",
    "fmf_core/shapes": "fmf_core/test_settings.py",
    "fmf_core/telemetry/attributes": "fmf_core/telemetry/test_telemetry.py",
    "fmf_core/telemetry/events": "fmf_core/telemetry/test_telemetry.py",
    "fmf_core/telemetry/host": "fmf_core/telemetry/test_telemetry.py",
    "fmf_core/telemetry/spans": "fmf_core/telemetry/test_telemetry.py",
}
"""A module that is a part of another one to the file that tests both."""


def test_every_module_is_tested_somewhere() -> None:
    modules = {
        path.relative_to(ROOT / "src").with_suffix("").as_posix(): path.stem
        for storey in STOREYS
        for path in (ROOT / "src" / storey).rglob("*.py")
        if path.stem != "__init__"
    }
    without = {module for module, name in modules.items() if not (UNIT / module).with_name(f"test_{name}.py").exists()}
    assert set(TESTED_IN) == without, "give the module tests of its own, or list it with the file that tests it"


@pytest.mark.parametrize("home", sorted(set(TESTED_IN.values())))
def test_the_tests_are_there(home: str) -> None:
    assert (UNIT / home).exists()
