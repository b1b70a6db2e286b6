from __future__ import annotations

import os
import timeit
from pathlib import Path

import pytest
from pydantic import SecretStr, ValidationError

from generative_ai_workflow import ConfigurationError, FrameworkConfig, MockLLMProvider, WorkflowConfig
from generative_ai_workflow.config import ENVIRONMENT, default_config

TABLE = [
    ("openai_api_key", "OPENAI_API_KEY", "sk-test-key-1234567890", "sk-test-key-1234567890"),
    ("default_model", "GENAI_WORKFLOW_DEFAULT_MODEL", "gpt-4o", "gpt-4o"),
    ("default_temperature", "GENAI_WORKFLOW_DEFAULT_TEMPERATURE", "0.0", 0.0),
    ("default_max_tokens", "GENAI_WORKFLOW_DEFAULT_MAX_TOKENS", "77", 77),
    ("default_timeout_seconds", "GENAI_WORKFLOW_DEFAULT_TIMEOUT", "12.5", 12.5),
    ("default_execution_mode", "GENAI_WORKFLOW_DEFAULT_MODE", "sync", "sync"),
    ("max_retry_attempts", "GENAI_WORKFLOW_MAX_RETRIES", "5", 5),
    ("retry_backoff_factor", "GENAI_WORKFLOW_RETRY_BACKOFF", "1.5", 1.5),
    ("log_level", "GENAI_WORKFLOW_LOG_LEVEL", "debug", "DEBUG"),
    ("log_prompts", "GENAI_WORKFLOW_LOG_PROMPTS", "true", True),
]


def plain(value: object) -> object:
    return value.get_secret_value() if isinstance(value, SecretStr) else value


def test_the_ten_fields_and_their_defaults() -> None:
    config = FrameworkConfig()
    assert {name: plain(getattr(config, name)) for name in FrameworkConfig.model_fields} == {
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
    assert list(ENVIRONMENT) == list(FrameworkConfig.model_fields)
    assert config.model_fields_set == set()


@pytest.mark.parametrize(("field", "variable", "text", "value"), TABLE)
def test_every_variable_of_the_table(
    monkeypatch: pytest.MonkeyPatch, field: str, variable: str, text: str, value: object
) -> None:
    monkeypatch.setenv(variable, text)
    config = FrameworkConfig()
    assert plain(getattr(config, field)) == value
    assert config.model_fields_set == {field}


@pytest.mark.parametrize(("field", "variable", "text", "value"), TABLE)
def test_an_empty_variable_counts_as_not_set(
    monkeypatch: pytest.MonkeyPatch, field: str, variable: str, text: str, value: object
) -> None:
    monkeypatch.setenv(variable, "")
    assert FrameworkConfig() == FrameworkConfig.model_construct()


def test_arguments_win_over_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GENAI_WORKFLOW_DEFAULT_MODEL", "from-environment")
    assert FrameworkConfig(default_model="from-argument").default_model == "from-argument"


def test_the_key_shows_nowhere() -> None:
    config = FrameworkConfig(openai_api_key="sk-very-secret-key-123")
    assert "very-secret" not in f"{config!r} {config} {config.model_dump_json()}"


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("default_execution_mode", "parallel", "Invalid execution mode"),
        ("log_level", "LOUD", "Invalid log level"),
        ("default_temperature", 3, "less than or equal to 2"),
        ("default_max_tokens", 0, "greater than or equal to 1"),
        ("max_retry_attempts", 0, "greater than or equal to 1"),
        ("default_timeout_seconds", -1, "greater than 0"),
        ("retry_backoff_factor", 0.5, "greater than or equal to 1"),
    ],
)
def test_wrong_values_are_explained(field: str, value: object, message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        FrameworkConfig(**{field: value})


def test_a_wrong_variable_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GENAI_WORKFLOW_DEFAULT_MODE", "{never}")
    monkeypatch.setenv("GENAI_WORKFLOW_MAX_RETRIES", "many")
    with pytest.raises(ValidationError) as caught:
        FrameworkConfig()
    text = str(caught.value)
    assert "GENAI_WORKFLOW_MAX_RETRIES" in text
    assert "GENAI_WORKFLOW_DEFAULT_MODE" in text
    assert "Invalid execution mode '{never}'" in text


def test_unknown_settings_are_refused() -> None:
    with pytest.raises(ValidationError):
        FrameworkConfig(default_modell="x")  # type: ignore[call-arg]


def test_dotenv_in_the_working_directory_is_read_for_our_names_only(monkeypatch: pytest.MonkeyPatch) -> None:
    Path(".env").write_text("FOREIGN_KEY=1\nOPENAI_API_KEY=sk-from-dotenv\nGENAI_WORKFLOW_DEFAULT_MODEL=dotenv-model\n")
    monkeypatch.setenv("GENAI_WORKFLOW_DEFAULT_MODEL", "real-model")
    config = FrameworkConfig()
    assert config.openai_api_key.get_secret_value() == "sk-from-dotenv"
    assert config.default_model == "real-model"
    assert "FOREIGN_KEY" not in os.environ


def test_the_address_of_a_dotenv_goes_with_its_key(monkeypatch: pytest.MonkeyPatch) -> None:
    Path(".env").write_text("OPENAI_API_KEY=sk-from-dotenv\nOPENAI_BASE_URL=http://localhost:1/v1\n")
    assert FrameworkConfig().chat_model().base_url == "http://localhost:1/v1"
    assert FrameworkConfig().chat_model("local").base_url is None
    monkeypatch.setenv("OPENAI_BASE_URL", "http://localhost:2/v1")
    assert FrameworkConfig().chat_model().base_url is None


def test_a_dotenv_that_is_no_text_is_explained() -> None:
    Path(".env").write_bytes(b"OPENAI_API_KEY=\xff\xfe\x00")
    with pytest.raises(ValidationError, match=r"\.env cannot be read"):
        FrameworkConfig()


def test_the_example_file_works_as_it_is(pytestconfig: pytest.Config) -> None:
    Path(".env").write_text((pytestconfig.rootpath / ".env.example").read_text())
    assert FrameworkConfig().default_timeout_seconds is None


def test_yaml_below_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    Path("c.yaml").write_text("default_model: from-yaml\ndefault_temperature: 0.2\n")
    monkeypatch.setenv("GENAI_WORKFLOW_DEFAULT_MODEL", "from-environment")
    config = FrameworkConfig.from_yaml("c.yaml")
    assert config.default_model == "from-environment"
    assert config.default_temperature == 0.2


def test_yaml_faults_have_a_place_and_the_nearest_name() -> None:
    Path("c.yaml").write_text("default_model: m\ndefault_temprature: 0.2\nlog_level: LOUD\n")
    with pytest.raises(ConfigurationError) as caught:
        FrameworkConfig.from_yaml("c.yaml")
    text = str(caught.value)
    assert "c.yaml:2:1" in text
    assert "default_temperature" in text
    assert "Invalid log level" in text


def test_an_empty_yaml_file_is_all_defaults_and_a_missing_one_an_error() -> None:
    Path("c.yaml").write_text("")
    assert FrameworkConfig.from_yaml("c.yaml") == FrameworkConfig()
    with pytest.raises(ConfigurationError, match="nowhere"):
        FrameworkConfig.from_yaml("nowhere.yaml")


def test_default_config_follows_the_values_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    first = default_config()
    assert default_config() is first
    monkeypatch.setenv("GENAI_WORKFLOW_DEFAULT_MODEL", "changed")
    assert default_config().default_model == "changed"
    monkeypatch.delenv("GENAI_WORKFLOW_DEFAULT_MODEL")
    assert default_config() is first
    Path(".env").write_text("GENAI_WORKFLOW_DEFAULT_MODEL=dotenv\n")
    assert default_config().default_model == "dotenv"


def test_default_config_works_with_another_environ(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "environ", {"GENAI_WORKFLOW_DEFAULT_MODEL": "plain-dict"})
    assert default_config().default_model == "plain-dict"


def test_default_config_is_cheap() -> None:
    default_config()
    assert min(timeit.repeat(default_config, number=1000, repeat=5)) < 0.05


def test_chat_model_settings_of_the_default_provider() -> None:
    config = FrameworkConfig(openai_api_key="sk-abc", max_retry_attempts=4, retry_backoff_factor=3.0).chat_model()
    assert (config.provider, config.model, config.temperature, config.max_tokens) == (
        "openai",
        "gpt-4o-mini",
        0.7,
        1024,
    )
    assert config.api_key.get_secret_value() == "sk-abc"
    assert (config.retry.max_attempts, config.retry.factor) == (4, 3.0)


def test_another_provider_gets_neither_the_key_nor_mere_defaults() -> None:
    config = FrameworkConfig(openai_api_key="sk-abc", default_max_tokens=9).chat_model("local", "tiny.gguf")
    assert config.api_key is None
    assert config.model == "tiny.gguf"
    assert config.max_tokens == 9
    assert "temperature" not in config.model_fields_set


def test_merged_settings_know_what_was_configured() -> None:
    framework = FrameworkConfig(default_temperature=0.1, default_timeout_seconds=9)
    merged = WorkflowConfig(max_tokens=5).merged(framework)
    assert (merged.model, merged.temperature, merged.max_tokens, merged.timeout) == ("gpt-4o-mini", 0.1, 5, 9)
    assert merged.model_fields_set == {"max_tokens", "temperature"}
    assert "temperature" not in WorkflowConfig().merged(framework, sampling=False).model_fields_set


def test_none_leaves_a_setting_out_on_purpose() -> None:
    merged = WorkflowConfig(temperature=None).merged(FrameworkConfig(default_temperature=0.1))
    assert merged.temperature is None
    assert "temperature" in merged.model_fields_set


def test_a_workflow_takes_a_model_as_provider() -> None:
    model = MockLLMProvider()
    assert WorkflowConfig(provider=model).provider is model
    with pytest.raises(ValidationError):
        WorkflowConfig(provider=3)  # type: ignore[arg-type]


def test_a_wrong_variable_is_named_by_a_plain_run(monkeypatch):
    monkeypatch.setenv("GENAI_WORKFLOW_DEFAULT_TIMEOUT", "abc")
    with pytest.raises(ConfigurationError, match="GENAI_WORKFLOW_DEFAULT_TIMEOUT"):
        default_config()
