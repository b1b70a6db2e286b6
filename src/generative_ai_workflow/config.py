"""Settings of the engine and of one workflow; the environment is read here, and by value."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import Field, SecretStr, ValidationError, ValidatorFunctionWrapHandler, field_validator, model_validator
from pydantic_core import InitErrorDetails, PydanticCustomError

from chatmodels.config import ChatModelConfig
from chatmodels.iface import ChatModel
from chatmodels.types import DEFAULT_MODEL
from fmf_core.errors import ConfigurationError
from fmf_core.retry import RetryPolicy
from fmf_core.value import Value
from generative_ai_workflow.input_rules import DEFAULT, InputLimits

ENVIRONMENT: Mapping[str, str] = {
    "openai_api_key": "OPENAI_API_KEY",
    "default_model": "GENAI_WORKFLOW_DEFAULT_MODEL",
    "default_temperature": "GENAI_WORKFLOW_DEFAULT_TEMPERATURE",
    "default_max_tokens": "GENAI_WORKFLOW_DEFAULT_MAX_TOKENS",
    "default_timeout_seconds": "GENAI_WORKFLOW_DEFAULT_TIMEOUT",
    "default_execution_mode": "GENAI_WORKFLOW_DEFAULT_MODE",
    "max_retry_attempts": "GENAI_WORKFLOW_MAX_RETRIES",
    "retry_backoff_factor": "GENAI_WORKFLOW_RETRY_BACKOFF",
    "log_level": "GENAI_WORKFLOW_LOG_LEVEL",
    "log_prompts": "GENAI_WORKFLOW_LOG_PROMPTS",
}
"""Field of `FrameworkConfig` to the environment variable that sets it."""

LOG_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")
MODES = ("async", "sync")
DEFAULT_PROVIDER = "openai"
DOTENV = ".env"
BASE_URL = "OPENAI_BASE_URL"


class FrameworkConfig(Value):
    """The settings of an engine: what is given, else the environment, else a `.env` in the working directory.

    Read when it is made: a later change of the environment is seen by the next `FrameworkConfig()`. Of a `.env` only
    the names in `ENVIRONMENT` are looked at, and `OPENAI_BASE_URL`. An empty variable counts as not set.

        WorkflowEngine(FrameworkConfig(default_model="gpt-4o", default_temperature=0.0))

    Raises:
        pydantic.ValidationError: a value is wrong; it names the field and the variable that the value came from.
    """

    openai_api_key: SecretStr = SecretStr("")
    """The key of provider `openai`; read it with `.get_secret_value()`. Other providers never get it."""
    default_model: str = Field(default=DEFAULT_MODEL, min_length=1)
    """The model asked for where neither step nor workflow name one."""
    default_temperature: float = Field(default=0.7, ge=0.0, le=2.0)
    default_max_tokens: int = Field(default=1024, ge=1, le=128_000)
    """The longest answer, in tokens."""
    default_timeout_seconds: float | None = Field(default=None, gt=0)
    """The longest run where neither call nor workflow limit it; `None` is no limit."""
    default_execution_mode: Literal["async", "sync"] = "async"
    """What calling a workflow does (`workflow(input_data)`): start it and return a handle, or run it to its end."""
    max_retry_attempts: int = Field(default=3, ge=1)
    """How many requests one model call may take, the first included."""
    retry_backoff_factor: float = Field(default=2.0, ge=1.0)
    """How much longer the wait gets before every further request."""
    log_level: str = "INFO"
    """The least level of the lines that an engine writes."""
    log_prompts: bool = False
    """Whether rendered prompts stand in the log."""

    @model_validator(mode="wrap")
    @classmethod
    def _read_environment(cls, data: Any, handler: ValidatorFunctionWrapHandler) -> Self:
        if not isinstance(data, Mapping):
            made: Self = handler(data)
            return made
        found = _from_environment()
        taken = {field: value for field, value in found.items() if field not in data}
        try:
            config: Self = handler({**taken, **data})
        except ValidationError as error:
            raise _with_variable_names(error, taken) from None
        return config

    @field_validator("default_execution_mode", mode="before")
    @classmethod
    def _known_mode(cls, mode: Any) -> Any:
        lowered = mode.lower() if isinstance(mode, str) else mode
        if lowered not in MODES:
            raise PydanticCustomError("execution_mode", f"Invalid execution mode {mode!r}: use {' or '.join(MODES)}")
        return lowered

    @field_validator("log_level", mode="before")
    @classmethod
    def _known_level(cls, level: Any) -> Any:
        raised = level.upper() if isinstance(level, str) else level
        if raised not in LOG_LEVELS:
            raise PydanticCustomError("log_level", f"Invalid log level {level!r}: use one of {', '.join(LOG_LEVELS)}")
        return raised

    @classmethod
    def from_yaml(cls, path: str | Path) -> Self:
        """Read the settings from a YAML file whose keys are the names of the fields; the environment wins over it.

        Raises:
            ConfigurationError: the file is missing or malformed, a key is unknown or a value is wrong; with the line.
        """
        from fmf_core.settings import validate
        from fmf_core.yaml_text import load_yaml_file

        yaml = load_yaml_file(path)
        data = yaml.data if yaml.data is not None else {}
        if isinstance(data, dict):
            overruled = _from_environment()
            data = {key: value for key, value in data.items() if key not in overruled}
        return validate(cls, data, source=str(path), yaml=yaml)

    @property
    def retry(self) -> RetryPolicy:
        """The retries of every model call."""
        return RetryPolicy(max_attempts=self.max_retry_attempts, factor=self.retry_backoff_factor)

    def chat_model(self, provider: str = DEFAULT_PROVIDER, model: str | None = None) -> ChatModelConfig:
        """The settings of a chat model of `provider` as the chat layer names them.

        The defaults of sampling belong to the built-in provider; another one is told only what was configured.
        """
        ours = provider == DEFAULT_PROVIDER
        settings: dict[str, Any] = {"provider": provider, "retry": self.retry}
        if ours or "default_temperature" in self.model_fields_set:
            settings["temperature"] = self.default_temperature
        if ours or "default_max_tokens" in self.model_fields_set:
            settings["max_tokens"] = self.default_max_tokens
        if model or ours:
            settings["model"] = model or self.default_model
        if ours and self.openai_api_key.get_secret_value():
            settings["api_key"] = self.openai_api_key
        if ours and not os.environ.get(BASE_URL) and (address := _dotenv().get(BASE_URL)):
            # The key of a `.env` is meant for the server of that same file. The real environment is the provider's.
            settings["base_url"] = address
        return ChatModelConfig(**settings)


class WorkflowConfig(Value):
    """The settings of one workflow; `None` leaves a choice to the engine's `FrameworkConfig`."""

    provider: str | ChatModel | None = None
    """A registered name, or a chat model; for steps that have none of their own."""
    model: str | None = Field(default=None, min_length=1)
    temperature: float | None = Field(default=None, ge=0.0, le=2.0)
    """Given as `None`, it is left out of the requests altogether, for models that refuse it."""
    max_tokens: int | None = Field(default=None, ge=1, le=128_000)
    """The longest answer, in tokens; given as `None`, it is left out of the requests."""
    system_prompt: str | None = None
    """For LLM steps that have none of their own; a template."""
    timeout: float | None = Field(default=None, gt=0)
    """The longest run, in seconds; `None` is the engine's default."""
    cancel_grace_s: float = Field(default=5.0, ge=0)
    """How long model calls in flight may finish after a cancel, in seconds."""
    variables: dict[str, Any] = Field(default_factory=dict)
    """Names for templates that every run knows; the input of a run wins over them."""
    input_limits: InputLimits = DEFAULT
    """How much a run may be given, and what happens to characters that no text needs."""
    concurrency: int = Field(default=8, ge=1)
    """How many runs of `run_many` go on at once."""
    continue_on_error: bool = True
    """Whether `run_many` goes on with the next input after a run that did not complete."""

    def merged(self, framework: FrameworkConfig, *, sampling: bool = True) -> WorkflowConfig:
        """These settings with those of `framework` where they are silent.

        `model_fields_set` of the outcome holds what somebody configured; mere defaults are filled in but not in it.

        Args:
            framework: the settings of the engine.
            sampling: whether model, temperature and longest answer of `framework` count as configured.
        """
        values = {name: getattr(self, name) for name in WorkflowConfig.model_fields}
        given = set(self.model_fields_set)
        for name in _SAMPLING:
            if name in given and (values[name] is not None or name != "model"):
                continue
            values[name] = getattr(framework, f"default_{name}")
            configured = sampling and f"default_{name}" in framework.model_fields_set
            given = given | {name} if configured else given - {name}
        if values["timeout"] is None:
            values["timeout"] = framework.default_timeout_seconds
        return WorkflowConfig.model_construct(_fields_set=given, **values)


_SAMPLING = ("model", "temperature", "max_tokens")


def _from_environment() -> dict[str, str]:
    """What the environment and `.env` say, by field."""
    values = {**_dotenv(), **{name: os.environ[name] for name in ENVIRONMENT.values() if os.environ.get(name)}}
    return {field: values[name] for field, name in ENVIRONMENT.items() if values.get(name)}


def _dotenv() -> dict[str, str]:
    if not Path(DOTENV).is_file():
        return {}
    from dotenv import dotenv_values

    try:
        found = dotenv_values(DOTENV, interpolate=False)
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(
            f"{Path(DOTENV).resolve()} cannot be read: {error}",
            op="config.dotenv",
            hint="it is read because it stands in the working directory; save it as UTF-8, or move it away",
        ) from error
    return {name: found[name] or "" for name in (*ENVIRONMENT.values(), BASE_URL) if found.get(name)}


def _with_variable_names(error: ValidationError, taken: Mapping[str, str]) -> ValidationError:
    """`error` with the environment variable beside every field whose value came from one."""
    lines: list[InitErrorDetails] = []
    for fault in error.errors(include_url=False):
        field = fault["loc"][0] if fault["loc"] else ""
        where = (*fault["loc"], ENVIRONMENT[str(field)]) if field in taken else fault["loc"]
        message = PydanticCustomError(fault["type"], fault["msg"])
        shown = "**********" if field == "openai_api_key" else fault["input"]
        lines.append(InitErrorDetails(type=message, loc=where, input=shown))
    return ValidationError.from_exception_data(error.title, lines)


def environment_key() -> tuple[Any, ...]:
    """The values that a plain `FrameworkConfig()` would be made from, cheap enough to look at before every run."""
    environ = os.environ
    # Ten look-ups through os.environ cost 8 microseconds; the mapping inside it costs a third of one.
    inside = getattr(environ, "_data", None)
    if inside is None:
        values = tuple(environ.get(name) for name in ENVIRONMENT.values())
    else:
        values = tuple(map(inside.get, _encoded_names(environ)))
    try:
        status = os.stat(DOTENV)  # noqa: PTH116 - pathlib costs five times as much, and this is asked before every run
    except OSError:
        return values
    return (*values, status.st_dev, status.st_ino, status.st_mtime_ns)


_names: dict[type, tuple[Any, ...]] = {}


def _encoded_names(environ: Any) -> tuple[Any, ...]:
    kind = type(environ)
    if kind not in _names:
        _names[kind] = tuple(environ.encodekey(name) for name in ENVIRONMENT.values())
    return _names[kind]


_configs: dict[tuple[Any, ...], FrameworkConfig] = {}
_REMEMBERED = 32


class _Last:
    """The whole environment as it was when it was last looked through, and the settings that it came to."""

    environment: Mapping[Any, Any] | None = None
    config: FrameworkConfig


def default_config() -> FrameworkConfig:
    """The settings of this moment's environment, made once for each set of values.

    Raises:
        ConfigurationError: a variable holds what it must not; names all of them.
    """
    # Most often nothing at all has changed, which one comparison of two dicts tells sooner than ten look-ups do.
    inside = getattr(os.environ, "_data", None)
    if inside is None or os.access(DOTENV, os.F_OK):
        return _found()
    if inside != _Last.environment:
        config = _found()
        _Last.config, _Last.environment = config, dict(inside)
    return _Last.config


def _found() -> FrameworkConfig:
    key = environment_key()
    found = _configs.get(key)
    if found is None:
        if len(_configs) >= _REMEMBERED:
            _configs.clear()
        try:
            found = _configs[key] = FrameworkConfig()
        except ValidationError as error:
            raise _environment_error(error) from None
    return found


def _environment_error(error: ValidationError) -> ConfigurationError:
    lines = [f"{fault['loc'][-1]}: {fault['msg']}" for fault in error.errors(include_url=False)]
    return ConfigurationError(
        "the environment (or .env) holds wrong settings: " + "; ".join(lines),
        op="config.environment",
        hint="correct or unset them",
    )
