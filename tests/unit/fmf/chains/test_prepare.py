from __future__ import annotations

import pytest

from fmf.chains.prepare import chain_path
from fmf.errors import AuthError, ConfigError, exit_status

STEP = {"id": "one", "prompt": "inline: x"}


def test_the_chain_says_what_is_read(project):
    work = project()
    work.config["run"] = {"inputs": {"connector": "docs", "select": ["*.txt"]}}
    chain = {"name": "c", "inputs": {"connector": "docs", "select": ["*.md"]}, "steps": [STEP]}
    assert work.prepare(chain).select == ("*.md",)
    assert work.prepare({"name": "c", "inputs": {"connector": "docs"}, "steps": [STEP]}).select == ("*.txt",)


def test_the_configuration_says_it_where_the_chain_does_not(project):
    work = project()
    work.config["connectors"].append({"name": "other", "type": "local", "root": "data"})
    work.config["run"] = {"inputs": {"connector": "docs", "select": ["*.txt"]}}
    prepared = work.prepare({"name": "c", "steps": [STEP]})
    assert (prepared.connector.name, prepared.select) == ("docs", ("*.txt",))
    prepared = work.prepare({"name": "c", "inputs": {"connector": "other"}, "steps": [STEP]})
    assert (prepared.connector.name, prepared.select) == ("other", ())


def test_somebody_has_to_say_it(project):
    with pytest.raises(ConfigError, match="names no connector") as caught:
        project().prepare({"name": "c", "steps": [STEP]})
    assert "known: docs" in caught.value.hint


def test_an_unknown_connector(project):
    with pytest.raises(ConfigError, match="'dcos'"):
        project().prepare({"name": "c", "inputs": {"connector": "dcos"}, "steps": [STEP]})


def test_a_missing_key_is_told_before_anything_is_read(project, monkeypatch):
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
    work = project()
    work.config["inference"] = {"provider": "openai"}
    with pytest.raises(AuthError) as caught:
        work.prepare({"name": "c", "inputs": {"connector": "docs"}, "steps": [STEP]})
    assert exit_status(caught.value) == 3


def test_which_chain_is_meant(project, monkeypatch, tmp_path_factory):
    work = project()
    work.write("chains/c.yaml", "x")
    loaded = work.loaded()
    monkeypatch.chdir(tmp_path_factory.mktemp("elsewhere"))
    assert chain_path(loaded, "chains/c.yaml") == work.root / "chains/c.yaml"
    assert str(chain_path(loaded, "nope.yaml")) == "nope.yaml"
    with pytest.raises(ConfigError, match=r"--chain nor run\.chain_config"):
        chain_path(loaded, None)
    work.config["run"] = {"chain_config": "chains/c.yaml"}
    assert chain_path(work.loaded(), None) == work.root / "chains/c.yaml"
