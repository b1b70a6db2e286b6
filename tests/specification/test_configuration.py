"""FR-019 to FR-022: settings."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from generative_ai_workflow import (
    ConfigurationError,
    FrameworkConfig,
    LLMStep,
    MockLLMProvider,
    TransformStep,
    Workflow,
    WorkflowConfig,
    WorkflowEngine,
    WorkflowHandle,
    WorkflowResult,
)
from peers.scripted_server import Reply
from specification.ways import WAYS, run

ENVIRONMENT = {
    "OPENAI_API_KEY": ("openai_api_key", "sk-abc", "sk-abc"),
    "GENAI_WORKFLOW_DEFAULT_MODEL": ("default_model", "gpt-4o", "gpt-4o"),
    "GENAI_WORKFLOW_DEFAULT_TEMPERATURE": ("default_temperature", "0.0", 0.0),
    "GENAI_WORKFLOW_DEFAULT_MAX_TOKENS": ("default_max_tokens", "17", 17),
    "GENAI_WORKFLOW_DEFAULT_TIMEOUT": ("default_timeout_seconds", "2.5", 2.5),
    "GENAI_WORKFLOW_DEFAULT_MODE": ("default_execution_mode", "sync", "sync"),
    "GENAI_WORKFLOW_MAX_RETRIES": ("max_retry_attempts", "1", 1),
    "GENAI_WORKFLOW_RETRY_BACKOFF": ("retry_backoff_factor", "1.5", 1.5),
    "GENAI_WORKFLOW_LOG_LEVEL": ("log_level", "ERROR", "ERROR"),
    "GENAI_WORKFLOW_LOG_PROMPTS": ("log_prompts", "true", True),
}


def plain(value: object) -> object:
    return value.get_secret_value() if hasattr(value, "get_secret_value") else value


@pytest.mark.requirement("FR-019", "data: FrameworkConfig")
@pytest.mark.parametrize("variable", ENVIRONMENT)
def test_every_variable_of_the_table_sets_its_field(variable, monkeypatch):
    field, text, value = ENVIRONMENT[variable]
    assert plain(getattr(FrameworkConfig(), field)) != value
    monkeypatch.setenv(variable, text)
    assert plain(getattr(FrameworkConfig(), field)) == value


@pytest.mark.requirement("FR-019")
def test_a_change_of_the_environment_is_seen_by_the_next_plain_run(openai, monkeypatch):
    workflow = Workflow([LLMStep("ask", "x")])
    for model in ("gpt-4o", "gpt-5-mini"):
        monkeypatch.setenv("GENAI_WORKFLOW_DEFAULT_MODEL", model)
        workflow.execute()
    monkeypatch.setenv("OPENAI_API_KEY", "sk-another-key-0123456789")
    workflow.execute()
    assert [body["model"] for body in openai.bodies] == ["gpt-4o", "gpt-5-mini", "gpt-5-mini"]
    assert openai.chats[-1].headers["authorization"] == "Bearer sk-another-key-0123456789"


@pytest.mark.requirement("FR-019a")
@pytest.mark.parametrize("kind", [str, Path])
def test_settings_come_from_yaml_below_the_environment(kind, tmp_path, monkeypatch):
    path = kind(tmp_path / "settings.yaml")
    Path(path).write_text(
        "default_model: from-yaml\ndefault_temperature: 0.1\nmax_retry_attempts: 5\n", encoding="utf-8"
    )
    monkeypatch.setenv("GENAI_WORKFLOW_DEFAULT_TEMPERATURE", "0.9")
    config = FrameworkConfig.from_yaml(path)
    assert (config.default_model, config.default_temperature, config.max_retry_attempts) == ("from-yaml", 0.9, 5)


@pytest.mark.requirement("FR-019a")
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("kind", [str, Path])
def test_a_workflow_with_its_model_settings_comes_from_yaml(way, kind, tmp_path, openai):
    path = kind(tmp_path / "flow.yaml")
    Path(path).write_text(
        """
name: triage
steps:
  - id: urgent
    prompt: 'inline: Is this urgent? {{ text }}'
    params: {temperature: 0, max_tokens: 3, model: gpt-4o}
  - id: answer
    prompt: 'inline: Answer {{ text }} ({{ urgent }})'
    inputs: {urgent: '${steps.urgent}'}
""",
        encoding="utf-8",
    )
    openai.add("yes", "Coming.")
    result = run(way, Workflow.from_yaml(path), {"text": "Fire!"})
    assert result.output["answer"] == "Coming."
    first, second = openai.bodies
    assert (first["temperature"], first["max_tokens"], first["model"]) == (0, 3, "gpt-4o")
    assert second["messages"][-1]["content"] == "Answer Fire! (yes)"


@pytest.mark.requirement("FR-019a", "FR-020")
def test_faults_of_a_file_are_told_all_at_once_with_their_lines(tmp_path):
    Path("settings.yaml").write_text("default_model: x\ndefault_temprature: 0.1\nmax_retry_attempts: zero\n")
    with pytest.raises(ConfigurationError) as caught:
        FrameworkConfig.from_yaml("settings.yaml")
    told = f"{caught.value}"
    assert "default_temprature" in told
    assert "default_temperature" in told
    assert "max_retry_attempts" in told
    assert "2" in told
    assert "3" in told


WRONG = {
    "default_temperature": (2.5, "less than or equal to 2"),
    "default_max_tokens": (0, "greater than or equal to 1"),
    "default_timeout_seconds": (-1, "greater than 0"),
    "default_execution_mode": ("parallel", "Invalid execution mode"),
    "max_retry_attempts": (0, "greater than or equal to 1"),
    "retry_backoff_factor": (0.5, "greater than or equal to 1"),
    "log_level": ("LOUD", "Invalid log level"),
    "default_model": ("", "at least 1 character"),
}


@pytest.mark.requirement("FR-020", "SC-005")
@pytest.mark.parametrize("field", WRONG)
def test_wrong_settings_are_refused_at_the_start_with_the_reason(field, monkeypatch):
    value, says = WRONG[field]
    with pytest.raises(ValidationError, match=says) as caught:
        FrameworkConfig(**{field: value})
    assert field in str(caught.value)
    [variable] = [name for name, (of, _, _) in ENVIRONMENT.items() if of == field]
    if value != "":
        monkeypatch.setenv(variable, str(value))
        with pytest.raises(ConfigurationError, match=variable):
            WorkflowEngine()
        with pytest.raises(ConfigurationError, match=variable):
            Workflow([TransformStep("a", lambda n: 1)]).execute()


@pytest.mark.requirement("FR-020")
def test_an_unknown_setting_is_refused():
    with pytest.raises(ValidationError, match="default_temprature"):
        FrameworkConfig(default_temprature=0.1)


@pytest.mark.requirement("FR-021", "data: FrameworkConfig")
def test_everything_optional_has_the_default_of_the_table():
    config = FrameworkConfig()
    assert {name: plain(getattr(config, name)) for name in type(config).model_fields} == {
        "openai_api_key": "",
        "default_model": "gpt-4o-mini",
        "default_temperature": 0.7,
        "default_max_tokens": 1024,
        "default_timeout_seconds": None,
        "default_execution_mode": "async",
        "max_retry_attempts": 3,
        "retry_backoff_factor": 2.0,
        "log_level": "INFO",
        "log_prompts": False,
    }


@pytest.mark.requirement("FR-021")
def test_the_defaults_stand_in_requests(openai):
    openai.add(Reply(text="x"))
    Workflow([LLMStep("ask", "x")]).execute()
    [body] = openai.bodies
    assert (body["model"], body["temperature"], body["max_tokens"]) == ("gpt-4o-mini", 0.7, 1024)


@pytest.mark.requirement("FR-022")
def test_async_is_the_default_mode_and_sync_can_be_asked_for(monkeypatch):
    workflow = Workflow([LLMStep("ask", "x", MockLLMProvider("y"))], config=WorkflowConfig())
    started = workflow()
    assert isinstance(started, WorkflowHandle)
    assert started.result(timeout=10).output["ask"] == "y"
    monkeypatch.setenv("GENAI_WORKFLOW_DEFAULT_MODE", "sync")
    assert isinstance(workflow(), WorkflowResult)
