from __future__ import annotations

import json

import jsonschema
import pytest

from fmf.auth.base import secret_providers
from fmf.cli.extras import EXTRAS
from fmf_core.yaml_text import load_yaml

FILE = "project: mine\nconnectors: [{name: docs, type: local, root: data}]\ninference: {provider: mock}\n"
STEPS = "steps: [{id: s, prompt: 'inline: x {{ text }}', inputs: {text: '${chunk.text}'}}]"
CHAIN = f"name: c\ninputs: {{connector: docs}}\n{STEPS}\n"


def test_show_gives_value_and_origin_of_every_setting(fmf, tmp_path):
    (tmp_path / "fmf.yaml").write_text(FILE)
    rows = {line.split("\t")[0]: line.split("\t")[1:] for line in fmf("config", "show").stdout.splitlines()}
    assert rows["project"] == ["mine", "fmf.yaml:1:10"]
    assert rows["artefacts_dir"] == ["artefacts", "default"]
    assert rows["connectors[0].root"][0] == "data"
    set_row = fmf("config", "show", "--set", "project=other", "--json")
    found = {item["key"]: item for item in json.loads(set_row.stdout)["settings"]}
    assert found["project"]["value"] == "other"
    assert "--set" in found["project"]["origin"]


def test_show_masks_secrets_and_nothing_else(fmf, tmp_path):
    options = "{aws_secret_access_key: hushhush, region: eu}"
    (tmp_path / "fmf.yaml").write_text(
        f"export: {{sinks: [{{name: d, type: delta, path: t, storage_options: {options}}}]}}\n"
    )
    shown = fmf("config", "show").stdout
    assert "hushhush" not in shown
    assert "storage_options.region\teu" in shown
    assert "auth.aws_secrets.source\tsecretsmanager" in shown


def test_check_tells_what_it_checked(fmf, tmp_path):
    (tmp_path / "fmf.yaml").write_text(FILE + "profiles: {fast: {project: other}}\n")
    result = fmf("config", "check")
    assert result.exit_code == 0
    assert result.stdout == f"ok: {tmp_path / 'fmf.yaml'}\nok: profile fast\n"


def test_check_tells_every_fault_with_its_place(fmf, tmp_path):
    (tmp_path / "fmf.yaml").write_text("connectors: [{name: a, type: ftp}]\ninferense: {}\n")
    result = fmf("config", "check")
    assert result.exit_code == 2
    assert "connectors[0].type" in result.stderr
    assert "'ftp'" in result.stderr
    assert "did you mean 'inference'" in result.stderr
    assert "Traceback" not in result.stderr


def test_check_warns_of_settings_without_effect(fmf, tmp_path):
    (tmp_path / "fmf.yaml").write_text(FILE + "auth: {aws_secrets: {region: eu-west-1}}\n")
    result = fmf("config", "check", "--json")
    assert result.exit_code == 0
    assert len(json.loads(result.stdout)["without_effect"]) == 1
    assert "auth.aws_secrets" in result.stderr


def test_a_fault_in_a_profile_that_is_not_active_is_found(fmf, tmp_path):
    (tmp_path / "fmf.yaml").write_text(FILE + "profiles: {slow: {inference: {timeout: 3}}}\n")
    result = fmf("config", "check")
    assert result.exit_code == 2
    assert "slow" in result.stderr
    assert "timeout_s" in result.stderr


def test_the_schema_accepts_the_file(fmf, tmp_path):
    schema = json.loads(fmf("config", "schema").stdout)
    jsonschema.validate(load_yaml(FILE, source="fmf.yaml").data, schema)


@pytest.mark.parametrize(
    ("kind", "fine", "wrong"),
    [
        (
            "chain",
            "name: c\ninputs: {connector: docs, select: a.txt}\nsteps: [{id: s, prompt: p#v1, output: k, retry: 2}]",
            "name: c\nsteps: [{id: s, type: parallel}]",
        ),
        (
            "workflow",
            "input: {text: string}\nsteps: [{id: s, prompt: 'inline: {{ text }}'}]",
            "steps: [{id: s, type: parallel}]",
        ),
    ],
)
def test_chains_and_workflow_files_have_schemas_as_well(fmf, kind, fine, wrong):
    schema = json.loads(fmf("config", "schema", kind).stdout)
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.validate(load_yaml(fine, source="x").data, schema)
    assert not jsonschema.Draft202012Validator(schema).is_valid(load_yaml(wrong, source="x").data)
    assert fmf("config", "schema", "nothing").exit_code == 2


def test_check_loads_the_chain_that_the_file_names(fmf, tmp_path):
    (tmp_path / "fmf.yaml").write_text(FILE + "run: {chain_config: chains/c.yaml}\n")
    missing = fmf("config", "check")
    assert missing.exit_code == 2
    assert "c.yaml" in missing.stderr
    (tmp_path / "chains").mkdir()
    (tmp_path / "chains" / "c.yaml").write_text(CHAIN)
    assert "c, 1 step" in fmf("config", "check").stdout
    (tmp_path / "chains" / "c.yaml").write_text(CHAIN.replace("docs", "dcos"))
    assert "did you mean 'docs'" in fmf("config", "check").stderr


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("steps: [{id: s, prompt: 'inline: x {{ text }}', inputs: {text: '${steps.nobody}'}}]", "nobody"),
        ("steps: [{id: s, prompt: 'inline: x {{ text }} {{ more }}', inputs: {text: '${chunk.text}'}}]", "more"),
        (STEPS + "\noutputs: [{save: r.jsonl, from: nobody}]", "nobody"),
        ("steps: [{id: s, prompt: 'nowhere#v1'}]", "nowhere"),
        ("steps: [{id: s, type: parallel, steps: [{id: a}]}]", "steps[0].type: type 'parallel' holds steps"),
    ],
)
def test_check_and_doctor_refuse_the_chains_that_a_run_refuses(fmf, tmp_path, line, told):
    (tmp_path / "fmf.yaml").write_text(FILE + "run: {chain_config: c.yaml}\n")
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "a.md").write_text("x")
    (tmp_path / "c.yaml").write_text(CHAIN.replace(STEPS, line))
    refused = fmf("run")
    checked = fmf("config", "check")
    assert checked.exit_code == refused.exit_code == fmf("doctor").exit_code
    assert checked.exit_code in {2, 8}
    assert told in checked.stderr
    assert checked.stderr == refused.stderr


def test_check_asks_for_no_secret(fmf, tmp_path):
    (tmp_path / "fmf.yaml").write_text(FILE.replace("mock", "openai") + "run: {chain_config: c.yaml}\n")
    (tmp_path / "c.yaml").write_text(CHAIN)
    result = fmf("config", "check")
    assert (result.exit_code, result.stderr) == (0, "")


@pytest.mark.parametrize("key", ["token", "sas_token", "my_password"])
def test_the_value_of_a_misspelt_key_that_sounds_secret_is_masked(fmf, key):
    result = fmf("config", "check", "--set", f"inference.openai.{key}=hunter2pwhunter")
    assert result.exit_code == 2
    assert "hunter2" not in result.stdout + result.stderr


def test_a_key_in_an_address_is_masked(fmf):
    result = fmf("config", "show", "--set", "inference.openai.base_url=http://h/v1?key=hunter2pwhunter")
    assert "hunter2" not in result.stdout


HEADERS = "default_headers: {X-Api-Key: hunter2k}"
SECOND = f"{{base_url: 'http://u:hunter2pw@h/v1', api_key: '${{SECOND:-hunter2pwhunter}}', {HEADERS}}}"


def test_keys_of_fallbacks_are_masked(fmf, tmp_path):
    (tmp_path / "fmf.yaml").write_text(f"inference: {{fallbacks: [gpt-4o, {SECOND}]}}\n")
    for args in (("show",), ("show", "--json"), ("check", "-v")):
        result = fmf("config", *args)
        assert result.exit_code == 0
        assert "hunter2" not in result.stdout + result.stderr
    assert "[REDACTED]" in fmf("config", "show").stdout
    (tmp_path / "fmf.yaml").write_text(f"inference: {{fallbacks: [{SECOND}], fallback_on: [nope]}}\n")
    refused = fmf("config", "check", "-v")
    assert refused.exit_code == 2
    assert "hunter2" not in refused.stdout + refused.stderr


@pytest.mark.parametrize(
    ("inference", "told"),
    [
        ("{options: {organisation: x}}", "did you mean 'organization'"),
        ("{provider: local, local: {model: nope}}", "smollm2-135m-instruct"),
        ("{provider: local, local: {model: no/where.gguf}}", "no/where.gguf"),
        ("{fallbacks: [{provider: local, model: nope}]}", "fallbacks[0]"),
    ],
)
@pytest.mark.parametrize("profile", [False, True])
def test_check_refuses_what_a_provider_does_not_take(fmf, tmp_path, inference, told, profile):
    section = f"inference: {inference}"
    (tmp_path / "fmf.yaml").write_text(f"profiles: {{slow: {{{section}}}}}\n" if profile else f"{section}\n")
    result = fmf("config", "check")
    assert result.exit_code == 2
    assert told in result.stderr
    assert result.stderr.count("error:") == 1
    assert ("slow" in result.stderr) is profile


def test_check_refuses_what_no_file_could_be_read_with(fmf, tmp_path):
    (tmp_path / "fmf.yaml").write_text("processing: {text: {chunking: {tokenizer: bert}}}\n")
    result = fmf("config", "check")
    assert result.exit_code == 2
    assert "unknown tokenizer 'bert'" in result.stderr


def test_check_refuses_what_a_secret_provider_does_not_take(fmf, tmp_path):
    secret_providers.add("vaulty", lambda *, address="x": None)
    try:
        (tmp_path / "fmf.yaml").write_text("auth: {provider: vaulty, options: {adress: y}}\n")
        result = fmf("config", "check")
        assert result.exit_code in {2, 3}
        assert "adress" in result.stderr
    finally:
        secret_providers.remove("vaulty")


def test_check_and_doctor_tell_that_the_extra_for_telemetry_is_missing(fmf, tmp_path, monkeypatch):
    monkeypatch.setitem(EXTRAS, "otel", ("no_such_package",))
    (tmp_path / "fmf.yaml").write_text("inference: {provider: mock}\nobservability: {otel: {enabled: true}}\n")
    checked = fmf("config", "check")
    assert checked.exit_code == 0
    assert "no_such_package" in checked.stderr
    looked = fmf("doctor")
    assert looked.exit_code == 2
    assert "pip install -e '.[otel]'" in looked.stderr
