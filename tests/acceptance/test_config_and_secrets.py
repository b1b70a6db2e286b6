from __future__ import annotations

import json

import pytest
import yaml

from acceptance.outside import Project, chain_yaml, fmf_yaml
from peers.scripted_server import ScriptedServer

COMMANDS = ("run", "process", "infer", "runs", "prompt", "connect", "models", "config", "keys", "doctor")
SECRET = "Zq7-correct-horse-battery"


def settings(project: Project, *args: str, env: dict[str, str] | None = None) -> dict[str, object]:
    """Every setting as `config show` has it, by its key."""
    told = project.fmf("config", "show", "--json", *args, env=env).well().json
    return {setting["key"]: setting["value"] for setting in told["settings"]}


# Behaviour 1


@pytest.mark.behaviour(1)
def test_help_and_version_work_from_the_script_and_from_the_module(project):
    """Behaviour 1: `fmf --help`, `fmf --version` and `python -m fmf --help` end with 0."""
    told = project.fmf("--help").well()
    listed = [line.split()[0] for line in told.stdout.partition("Commands:")[2].splitlines() if line.strip()]
    assert not set(COMMANDS) - set(listed)
    assert project.fmf("--help", module=True).well() == told
    version = project.fmf("--version").well()
    assert version.lines[0].startswith("fmf ")
    assert len(version.lines) == 1


@pytest.mark.behaviour(1)
def test_the_module_ends_with_the_status_of_the_script(project):
    """Behaviour 1: `python -m fmf run --chain nope.yaml` ends with the same code as the console script."""
    script = project.fmf("run", "--chain", "nope.yaml")
    module = project.fmf("run", "--chain", "nope.yaml", module=True)
    assert "nope.yaml" in script.refused(2)
    assert module == script


# Behaviours 2 and 3


@pytest.mark.behaviour(2)
def test_every_fault_has_a_line_that_names_key_value_and_what_is_allowed(project):
    """Behaviour 2: an unknown connector type ends with 2 and one line for each fault; all faults are told at once."""
    project.write({"fmf.yaml": "connectors:\n  - {type: ftp}\ninference:\n  timeout_s: soon\nproject: ''\n"})
    told = project.fmf("connect", "ls", "docs")
    lines = told.refused(2).splitlines()
    assert told.stdout == ""
    [fault] = [line for line in lines if "connectors[0].type" in line]
    assert "'ftp'" in fault
    for allowed in ("local", "s3", "sharepoint"):
        assert allowed in fault
    assert "fmf.yaml:2:" in fault
    [fault] = [line for line in lines if "inference.timeout_s" in line]
    assert "'soon'" in fault
    assert len([line for line in lines if "project" in line]) == 1


@pytest.mark.behaviour(3)
def test_a_missing_root_and_typing_errors_are_refused_with_the_nearest_key(project):
    """Behaviour 3: a local connector without root, `inferense:` and `temprature:` end with 2."""
    text = (
        "connectors:\n  - {name: docs, type: local}\n"
        "inferense: {provider: mock}\n"
        "inference:\n  openai: {temprature: 0.1}\n"
    )
    lines = project.write({"fmf.yaml": text}).fmf("config", "check").refused(2).splitlines()
    [fault] = [line for line in lines if "connectors[0].root" in line]
    [fault] = [line for line in lines if "inferense" in line]
    assert "did you mean 'inference'" in fault
    assert "fmf.yaml:3:1" in fault
    [fault] = [line for line in lines if "temprature" in line]
    assert "inference.openai.temprature" in fault
    assert "did you mean 'temperature'" in fault
    assert "max_tokens" in fault, "the allowed keys are named"


@pytest.mark.behaviour(3)
def test_unknown_keys_of_a_chain_and_a_prompt_name_the_nearest(project):
    """Bad input: unknown keys in a chain (2) and in a prompt file (8) name the nearest known key."""
    step = {"id": "one", "promt": "inline: hello"}
    prompt = "id: p\nversions:\n  - {version: v1, templat: hello}\n"
    project.write({"fmf.yaml": fmf_yaml(), "chain.yaml": chain_yaml(step), "prompts/p.yaml": prompt})
    error = project.fmf("run", "--chain", "chain.yaml").refused(2)
    assert error.startswith("error: 1 fault in chain.yaml\n")
    assert "did you mean 'prompt'" in error
    assert "chain.yaml:6:3" in error
    error = project.fmf("prompt", "register", "prompts/p.yaml#v1").refused(8)
    assert "did you mean 'template'" in error


# Bad input: YAML


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("inference:\n  provider: 'mock\n", "fmf.yaml:"),
        ("inference:\n\tprovider: mock\n", "fmf.yaml:2:1"),
        ("project: a\nproject: b\n", "fmf.yaml:2:1"),
        ("- just\n- a list\n", "fmf.yaml"),
    ],
)
def test_malformed_yaml_is_one_error_with_line_and_column(project, text, place):
    """Bad input: malformed YAML is one error with line and column, and ends with 2."""
    error = project.write({"fmf.yaml": text}).fmf("config", "check").refused(2)
    assert place in error
    assert error.count("error:") == 1


def test_missing_files_are_one_error(project):
    """Bad input: a missing configuration, chain or prompt file is one error that names it."""
    assert "nope.yaml" in project.fmf("-c", "nope.yaml", "config", "check").refused(2)
    project.write({"fmf.yaml": fmf_yaml()})
    assert "no/chain.yaml" in project.fmf("run", "--chain", "no/chain.yaml").refused(2)
    assert "no.yaml" in project.fmf("prompt", "register", "prompts/no.yaml#v1").refused(8)


def test_a_malformed_chain_has_line_and_column(project):
    """Bad input: a malformed chain is one error with line and column."""
    project.write({"fmf.yaml": fmf_yaml(), "chain.yaml": "name: c\nsteps:\n  - {id: one\n"})
    error = project.fmf("run", "--chain", "chain.yaml").refused(2)
    assert "chain.yaml:4:1" in error
    assert error.count("error:") == 1


# Behaviour 4

LAYERED = """
connectors:
  - {name: one, type: local, root: file-one, include: ['*.md']}
  - {name: two, type: local, root: file-two, exclude: ['*.log']}
inference:
  provider: mock
  timeout_s: 11
  retry: {max_attempts: 4, max_wait_s: 9}
profiles:
  quick:
    inference:
      timeout_s: 22
      retry: {max_attempts: 5}
    processing: {text: {normalize_whitespace: false}}
  other: {inference: {timeout_s: 99}}
"""


@pytest.mark.behaviour(4)
def test_profile_wins_over_file_environment_over_profile_and_set_over_all(project):
    """Behaviour 4: file < profile < environment < --set for a scalar and a nested mapping; what stands beside stays."""
    project.write({"fmf.yaml": LAYERED})
    environment = {"FMF_INFERENCE__TIMEOUT_S": "33", "FMF_INFERENCE__RETRY__MAX_ATTEMPTS": "6"}
    sets = ("--set", "inference.timeout_s=44", "--set", "inference.retry.max_attempts=7")
    profile = ("--profile", "quick")
    layers = [
        (settings(project), 11, 4),
        (settings(project, *profile), 22, 5),
        (settings(project, *profile, env=environment), 33, 6),
        (settings(project, *profile, *sets, env=environment), 44, 7),
    ]
    for number, (found, timeout_s, max_attempts) in enumerate(layers):
        assert found["inference.timeout_s"] == timeout_s
        assert found["inference.retry.max_attempts"] == max_attempts
        assert found["inference.retry.max_wait_s"] == 9, "the rest of the mapping stays"
        assert found["inference.provider"] == "mock"
        assert found["processing.text.normalize_whitespace"] is (number == 0)


@pytest.mark.behaviour(4)
def test_items_of_lists_are_reached_by_their_index(project):
    """Behaviour 4: `--set connectors.0.root=x` and FMF_CONNECTORS__0__ROOT change one key of one item."""
    project.write({"fmf.yaml": LAYERED})
    environment = {"FMF_CONNECTORS__0__ROOT": "environment-one"}
    by_environment = settings(project, env=environment)
    by_both = settings(project, "--set", "connectors.0.root=set-one", env=environment)
    for found, root in ((by_environment, "environment-one"), (by_both, "set-one")):
        items = {key: value for key, value in found.items() if key.startswith("connectors")}
        assert items == {
            "connectors[0].name": "one",
            "connectors[0].type": "local",
            "connectors[0].root": root,
            "connectors[0].include": ["*.md"],
            "connectors[0].exclude": [],
            "connectors[1].name": "two",
            "connectors[1].type": "local",
            "connectors[1].root": "file-two",
            "connectors[1].include": ["**/*"],
            "connectors[1].exclude": ["*.log"],
        }


@pytest.mark.behaviour(4)
def test_a_text_from_the_environment_stays_a_text(project):
    """Behaviour 4: FMF_INFERENCE__AZURE_OPENAI__API_VERSION=2024 is accepted and stays a text."""
    project.write({"fmf.yaml": LAYERED})
    found = settings(project, env={"FMF_INFERENCE__AZURE_OPENAI__API_VERSION": "2024", "FMF_PROJECT": "007"})
    assert found["inference.azure_openai.api_version"] == "2024"
    assert found["project"] == "007"


@pytest.mark.behaviour(4)
def test_the_option_wins_over_the_environment_and_the_file_in_naming_the_profile(project):
    """Behaviour 4: the active profile is --profile, then FMF_PROFILE, then run_profile."""
    project.write({"fmf.yaml": f"run_profile: other\n{LAYERED}"})
    assert settings(project)["inference.timeout_s"] == 99
    environment = {"FMF_PROFILE": "quick"}
    assert settings(project, env=environment)["inference.timeout_s"] == 22
    assert settings(project, "--profile", "other", env=environment)["inference.timeout_s"] == 99
    assert "quick" in project.fmf("config", "show", "--profile", "quik").refused(2)


@pytest.mark.behaviour(4)
def test_the_winner_is_what_the_program_does(project):
    """Behaviour 4: a root that `--set` changed is the folder that is listed."""
    project.write({"fmf.yaml": LAYERED, "file-one/a.md": "a", "set-one/b.md": "b"})
    assert project.fmf("connect", "ls", "one").well().stdout.startswith("a.md\t")
    assert project.fmf("connect", "ls", "one", "--set", "connectors.0.root=set-one").well().stdout.startswith("b.md\t")


@pytest.mark.behaviour(4)
def test_variables_in_values_come_from_the_environment(project):
    """Section 3 of the contract: `${NAME}` is filled in, an unset one is a fault unless `${NAME:-default}`."""
    project.write({"fmf.yaml": "project: '${TEAM}-${STAGE:-test}'\nartefacts_dir: 'out/${HOUSE_UNSET}'\n"})
    error = project.fmf("config", "show", env={"TEAM": "red"}).refused(2)
    assert "HOUSE_UNSET" in error
    assert "TEAM" not in error
    found = settings(project, env={"TEAM": "red", "HOUSE_UNSET": "x"})
    assert (found["project"], found["artefacts_dir"]) == ("red-test", "out/x")


# Behaviour 5


@pytest.mark.behaviour(5)
def test_keys_are_tested_without_showing_them(project):
    """Behaviour 5: `keys test NAME` says `NAME=**** OK`; a missing one is named and ends with 3."""
    project.write({"fmf.yaml": fmf_yaml(), ".env": f"FIRST_KEY={SECRET}\nexport SECOND_KEY='{SECRET}2'\n"})
    told = project.fmf("keys", "test", "FIRST_KEY").well()
    assert told.stdout == "FIRST_KEY=**** OK\n"
    told = project.fmf("keys", "test", "FIRST_KEY", "THIRD_KEY", "SECOND_KEY")
    assert "THIRD_KEY" in told.refused(3)
    assert told.lines == ["FIRST_KEY=**** OK", "THIRD_KEY MISSING", "SECOND_KEY=**** OK"]
    told = project.fmf("keys", "test", "THIRD_KEY", env={"THIRD_KEY": SECRET}).well()
    assert told.stdout == "THIRD_KEY=**** OK\n"


@pytest.mark.behaviour(5)
def test_keys_as_json_are_the_only_thing_on_stdout(project):
    """Behaviour 5: with --json stdout is one valid JSON document, and no value of a secret is anywhere."""
    project.write({"fmf.yaml": fmf_yaml(), ".env": f"FIRST_KEY={SECRET}\n"})
    told = project.fmf("keys", "test", "FIRST_KEY", "THIRD_KEY", "--json", "-v")
    told.refused(3)
    assert told.json == {"secrets": [{"name": "FIRST_KEY", "ok": True}, {"name": "THIRD_KEY", "ok": False}]}
    assert SECRET not in told.stdout + told.stderr


@pytest.mark.behaviour(5)
def test_the_key_reaches_the_server_and_nothing_else(project):
    """A key from .env is sent to the server; no byte of it stands in what is said or left, at DEBUG level too."""
    with ScriptedServer() as server:
        project.write({"fmf.yaml": fmf_yaml(server.base_url), ".env": f"OPENAI_API_KEY={SECRET}\n", "data/a.md": "a"})
        project.write({"chain.yaml": chain_yaml({"id": "one", "prompt": "inline: hello ${chunk.text}"})})
        for log_format in ("json", "human"):
            told = project.fmf("run", "--chain", "chain.yaml", "-v", env={"FMF_LOG_FORMAT": log_format}).well()
            assert SECRET not in told.stdout + told.stderr
            left = b"".join(path.read_bytes() for path in told.run.path.iterdir())
            assert SECRET.encode() not in left
    assert [request.headers["authorization"] for request in server.chats] == [f"Bearer {SECRET}"] * 2


# Behaviour 8


@pytest.mark.behaviour(8)
def test_json_logs_are_one_object_a_line_on_stderr(project):
    """Behaviour 8: FMF_LOG_FORMAT=json writes one object a line on stderr; stdout has the result alone."""
    project.write({"fmf.yaml": fmf_yaml(), "data/a.md": "a", "data/bad.md": b"\x00\x01"})
    project.write({"chain.yaml": chain_yaml({"id": "one", "prompt": "inline: hello ${chunk.text}"})})
    told = project.fmf("run", "--chain", "chain.yaml", "-v", env={"FMF_LOG_FORMAT": "json"})
    records = [json.loads(line) for line in told.refused(10).splitlines()]
    assert records
    for record in records:
        assert {"event", "level", "timestamp"} <= set(record)
    within = [record for record in records if record["event"].split(".")[0] in ("workflow", "step", "llm")]
    assert {"workflow.started", "workflow.completed", "step.completed"} <= {record["event"] for record in within}
    assert all(record["correlation_id"] for record in within)
    assert list(told.facts) == ["run_id", "run_dir", "status"]


@pytest.mark.behaviour(8)
def test_human_logs_are_no_json_and_stdout_is_the_same(project):
    """Behaviour 8: FMF_LOG_FORMAT=human writes text on stderr; stdout has the result alone; xml is refused."""
    project.write({"fmf.yaml": fmf_yaml(), "data/a.md": "a"})
    project.write({"chain.yaml": chain_yaml({"id": "one", "prompt": "inline: hello ${chunk.text}"})})
    told = project.fmf("run", "--chain", "chain.yaml", "-v", env={"FMF_LOG_FORMAT": "human"}).well()
    assert "workflow.started" in told.stderr
    assert not [line for line in told.stderr.splitlines() if line.startswith("{")]
    assert list(told.facts) == ["run_id", "run_dir", "status"]
    assert "json, human" in project.fmf("config", "check", env={"FMF_LOG_FORMAT": "xml"}).refused(2)


@pytest.mark.behaviour(8)
def test_errors_are_json_too(project):
    """Behaviour 8: with json logs an error is one object on stderr; with --json it is on stdout as well."""
    told = project.fmf("run", "--chain", "nope.yaml", "--json", env={"FMF_LOG_FORMAT": "json"})
    [line] = told.refused(2).splitlines()
    assert json.loads(line)["level"] == "error"
    assert "nope.yaml" in told.json["error"]["message"]
    assert told.json["error"]["exit_status"] == 2


def test_the_schema_of_the_configuration_is_published(project):
    """`config schema` is a JSON Schema that accepts what the program accepts."""
    from jsonschema import Draft202012Validator

    schema = project.fmf("config", "schema").well().json
    Draft202012Validator.check_schema(schema)
    Draft202012Validator(schema).validate(yaml.load(LAYERED, Loader=yaml.SafeLoader))  # noqa: TID251
    assert not Draft202012Validator(schema).is_valid({"inferense": {}})
