from __future__ import annotations

from fmf.config.models import FmfConfig
from fmf.config.planned import PLANNED, ineffective
from fmf.config.schema import leaves


def test_defaults_are_never_told():
    assert ineffective(FmfConfig()) == []


def test_settings_with_an_effect_are_never_told():
    made = {
        "project": "p",
        "connectors": [{"name": "a", "type": "local", "root": "."}],
        "inference": {"provider": "mock", "cache": {"enabled": True, "path": "elsewhere"}},
    }
    assert ineffective(FmfConfig.model_validate(made)) == []


def test_each_planned_thing_is_told_once_with_its_names():
    made = {
        "auth": {"aws_secrets": {"region": "eu-west-1"}},
        "connectors": [{"name": "c", "type": "local", "root": "."}],
        "export": {
            "default_sink": "s",
            "sinks": [
                {"name": "s", "type": "local", "path": "out/"},
                {"name": "t", "type": "local", "path": "in/"},
            ],
        },
    }
    told = ineffective(FmfConfig.model_validate(made))
    assert len(told) == 3
    assert any(line.startswith("auth.aws_secrets.region: set, but") for line in told)
    assert any(line.startswith("export.sinks (s), export.sinks (t): set, but") for line in told)
    assert any(line.startswith("export.default_sink: set, but") for line in told)


def test_every_planned_path_is_a_path_of_the_schema():
    known = list(leaves())
    for path in PLANNED:
        assert any(leaf == path or leaf.startswith((f"{path}.", f"{path}[")) for leaf in known), path
