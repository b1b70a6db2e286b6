from __future__ import annotations

import json

import pytest


@pytest.fixture(autouse=True)
def _file(tmp_path):
    (tmp_path / ".env").write_text("FIRST_KEY=value-one-11\nSECOND_KEY=value-two-22\n")


def test_a_secret_that_is_there(fmf):
    result = fmf("keys", "test", "FIRST_KEY")
    assert (result.exit_code, result.stdout, result.stderr) == (0, "FIRST_KEY=**** OK\n", "")


def test_without_names_all_of_the_file_are_tested(fmf):
    assert fmf("keys", "test").stdout == "FIRST_KEY=**** OK\nSECOND_KEY=**** OK\n"


def test_a_missing_one_is_named_and_the_others_are_tested(fmf):
    result = fmf("keys", "test", "NOPE", "FIRST_KEY")
    assert result.exit_code == 3
    assert result.stdout == "NOPE MISSING\nFIRST_KEY=**** OK\n"
    assert "NOPE" in result.stderr
    assert ".env" in result.stderr


def test_json_is_all_of_stdout(fmf):
    result = fmf("keys", "test", "--json", "FIRST_KEY", "NOPE")
    assert json.loads(result.stdout) == {"secrets": [{"name": "FIRST_KEY", "ok": True}, {"name": "NOPE", "ok": False}]}
    assert result.exit_code == 3


def test_no_value_is_ever_shown(fmf):
    for args in (["keys", "test", "-v"], ["keys", "test", "--json"], ["doctor", "-v"], ["config", "show", "--json"]):
        assert "value-one-11" not in fmf(*args).output


def test_a_provider_that_is_planned_is_refused_as_such(fmf):
    result = fmf("keys", "test", "A", "--set", "auth.provider=aws_secrets")
    assert result.exit_code == 3
    assert "aws_secrets" in result.stderr
