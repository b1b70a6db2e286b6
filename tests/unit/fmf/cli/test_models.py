from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from chatmodels import weights


def test_ls_lists_providers_and_models(fmf):
    result = fmf("models", "ls")
    assert result.exit_code == 0
    names = {tuple(line.split("\t")[:2]) for line in result.stdout.splitlines()}
    assert {("provider", "mock"), ("provider", "openai"), ("model", "smollm2-135m-instruct")} <= names
    found = json.loads(fmf("models", "ls", "--json").stdout)
    assert {item["name"] for item in found["providers"]} >= {"mock", "openai", "local"}


@pytest.mark.parametrize("name", ["mock", "smollm2-135m-instruct"])
def test_info_describes_one(fmf, name):
    assert json.loads(fmf("models", "info", name, "--json").stdout)["name"] == name
    assert f"name\t{name}\n" in fmf("models", "info", name).stdout


@pytest.mark.parametrize(
    ("name", "price"),
    [("gpt-4o-mini-2024-07-18", 0.15), ("us.anthropic.claude-haiku-4-5-20251001-v1:0", 1.1), ("claude-sonnet-4", 3.0)],
)
def test_info_tells_list_prices_and_how_old_they_are(fmf, name, price):
    facts = json.loads(fmf("models", "info", name, "--json").stdout)
    assert (facts["kind"], facts["name"], facts["input_per_1m"]) == ("price", name, price)
    assert facts["as_of"] > "2025"
    assert facts["source"].startswith("https://")
    assert facts.get("up_to_prompt_tokens") == (200_000 if "sonnet" in name else None)


def test_info_tells_how_old_a_providers_prices_are(fmf):
    assert json.loads(fmf("models", "info", "openai", "--json").stdout)["prices_as_of"] > "2025"
    assert "prices_as_of" not in json.loads(fmf("models", "info", "mock", "--json").stdout)


def test_unknown_names_list_the_known(fmf):
    result = fmf("models", "info", "nope")
    assert result.exit_code == 2
    assert "smollm2-135m-instruct" in result.stderr
    assert "'nope'" in result.stderr
    assert (pulled := fmf("models", "pull", "nope")).exit_code == 2
    assert (pulled.stdout, pulled.stderr) == ("", result.stderr)


def test_ls_tells_how_old_the_prices_are(fmf):
    assert "list prices are of 20" in fmf("models", "ls").stderr
    assert json.loads(fmf("models", "ls", "--json").stdout)["prices_as_of"]["openai"] > "2025"


def test_pull_gives_the_path_on_stdout_and_progress_on_stderr(fmf, monkeypatch, tmp_path):
    def fetched(name, *, report):
        for stage in ("download", "download", "verify", "ready"):
            report(weights.PullProgress(stage=stage, done_bytes=1, total_bytes=93_000_000))
        return tmp_path / "it.gguf"

    monkeypatch.setattr(weights, "pull", fetched)
    result = fmf("models", "pull", "smollm2-135m-instruct")
    assert result.stdout == f"{tmp_path / 'it.gguf'}\n"
    assert result.stderr.splitlines() == [
        "smollm2-135m-instruct: download (93 MB)",
        "smollm2-135m-instruct: verify (93 MB)",
    ]
    assert fmf("models", "pull", "smollm2-135m-instruct", "-q").stderr == ""
    found = json.loads(fmf("models", "pull", "smollm2-135m-instruct", "--json").stdout)
    assert found == {"name": "smollm2-135m-instruct", "path": str(tmp_path / "it.gguf")}


def test_ls_tells_of_a_plugin_that_cannot_be_loaded(tmp_path):
    facts = tmp_path / "theirs-1.0.dist-info"
    facts.mkdir()
    (facts / "METADATA").write_text("Metadata-Version: 2.1\nName: theirs\nVersion: 1.0\n", encoding="utf-8")
    broken = "[chatmodels.providers]\nbroken = nowhere_to_be_found:Model\n"
    (facts / "entry_points.txt").write_text(broken, encoding="utf-8")
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), *filter(None, sys.path)])}
    command = [sys.executable, "-m", "fmf", "models", "ls"]
    shown = subprocess.run(command, check=True, env=environment, cwd=tmp_path, capture_output=True, text=True).stdout
    assert "provider\tbroken\tcannot be loaded" in shown
    assert "provider\tmock\tready" in shown
