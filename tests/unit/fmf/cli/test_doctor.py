from __future__ import annotations

import json
import threading

import pytest

from fmf.cli import checks
from fmf.cli.session import Session
from fmf.connectors.base import connectors

FILE = "connectors: [{name: docs, type: local, root: data}]\ninference: {provider: mock}\n"


@pytest.fixture
def well(tmp_path):
    (tmp_path / "fmf.yaml").write_text(FILE)
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "a.md").write_text("x")
    return tmp_path


def states(result):
    return {line.split("\t")[0]: line.split("\t")[1] for line in result.stdout.splitlines()}


def test_all_that_is_needed_is_well(fmf, well):
    result = fmf("doctor")
    assert result.exit_code == 0, result.output
    found = states(result)
    assert {
        found[name] for name in ("fmf", "configuration", "secrets", "connector docs", "inference", "artefacts")
    } == {"ok"}


def test_json_has_every_check(fmf, well):
    found = json.loads(fmf("doctor", "--json").stdout)
    assert found["ok"] is True
    assert "extra openai" in {check["name"] for check in found["checks"]}


@pytest.mark.parametrize(
    ("change", "check", "status"),
    [
        ("connectors.0.root=nowhere", "connector docs", 4),
        ("inference.provider=openai", "inference", 3),
        ("inference.provider=azure_openai", "configuration", 2),
        ("connectors.0.type=ftp", "configuration", 2),
        ("artefacts_dir=s3://b/x", "artefacts", 2),
    ],
)
def test_what_is_missing_fails_with_the_status_of_its_kind(fmf, well, change, check, status):
    result = fmf("doctor", "--set", change)
    assert result.exit_code == status
    assert states(result)[check] == "failed"


def test_artefacts_are_looked_for_where_a_run_puts_them(fmf, well, monkeypatch):
    monkeypatch.setenv("HOME", str(well / "home"))
    found = {
        check["name"]: check
        for check in json.loads(fmf("doctor", "--set", "artefacts_dir=~/x", "--json").stdout)["checks"]
    }
    assert found["artefacts"]["detail"] == str(well / "home" / "x")


def test_missing_weights_say_how_to_get_them(fmf, well, monkeypatch):
    monkeypatch.setenv("FMF_MODEL_DIR", str(well / "models"))
    result = fmf("doctor", "--set", "inference.provider=local")
    assert result.exit_code == 6
    assert "fmf models pull" in result.output


def test_settings_without_effect_are_a_warning(fmf, well):
    result = fmf("doctor", "--set", "auth.aws_secrets.region=eu-west-1")
    assert result.exit_code == 0
    assert "auth.aws_secrets" in result.stdout


def test_a_check_that_hangs_is_given_up(well):
    never = threading.Event()

    class Slow:
        @classmethod
        def from_config(cls, config, *, base, secrets):
            never.wait()

    connectors.add("slow", Slow)
    try:
        session = Session(sets=("connectors.0.type=slow",))
        found = {check.name: check for check in checks.checks(session, limit_s=1.0)}
    finally:
        connectors.remove("slow")
        never.set()
    assert found["connector docs"].state == "failed"
    assert "no answer within 1 s" in found["connector docs"].detail
    assert found["artefacts"].state == "ok"


@pytest.mark.parametrize(
    ("connector", "extra"),
    [
        ("{name: docs, type: s3, bucket: b, endpoint_url: 'http://127.0.0.1:9', retry: {max_attempts: 1}}", "aws"),
        ("{name: docs, type: fsspec, url: 'memory://nowhere'}", "fsspec"),
    ],
)
def test_the_packages_of_the_connectors_are_needed(fmf, well, monkeypatch, connector, extra):
    (well / "fmf.yaml").write_text(f"connectors: [{connector}]\ninference: {{provider: mock}}\n")
    monkeypatch.setattr(checks, "missing_of", lambda name: ["a-package"] if name == extra else [])
    result = fmf("doctor")
    assert states(result)[f"extra {extra}"] == "failed"
    assert f".[{extra}]" in result.output
    assert states(result)["connector docs"] == "failed"
