"""The values that pass between a caller and a chat model; all of them are immutable."""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping, Sequence
from types import UnionType
from typing import TYPE_CHECKING, Any, Literal, Self, Union

from pydantic import ConfigDict, Field, field_validator, model_validator

from chatmodels import pictures
from chatmodels.json_values import checked_json
from chatmodels.left_open import LeftOpen
from chatmodels.openai_values import turns_of
from chatmodels.python_types import is_python_type, name_of, schema_of
from chatmodels.tool_functions import check_choice, check_name, check_turns, described, tools_of
from fmf_core.errors import ConfigurationError
from fmf_core.value import InOrder, Value

Role = Literal["system", "user", "assistant", "tool"]
DEFAULT_MODEL = "gpt-4o-mini"
_FORMATS = ("text", "json_object", "json_schema")

if TYPE_CHECKING:
    from pydantic import TypeAdapter


class TextPart(Value):
    """A piece of text inside a message of several parts."""

    type: Literal["text"] = "text"
    text: str


class ImagePart(Value):
    """A picture inside a message: its bytes, which tell their type, or the address where the provider finds it."""

    model_config = ConfigDict(ser_json_bytes="base64", val_json_bytes="base64")

    type: Literal["image"] = "image"
    data: bytes | None = Field(default=None, repr=False)
    url: str | None = None
    media_type: str = pictures.UNTOLD

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if (self.data is None) == (self.url is None):
            raise ValueError("an image part needs either data or url, and not both")
        if self.url is not None:
            pictures.check_address(self.url)
        elif "media_type" not in self.model_fields_set:
            self.__dict__["media_type"] = pictures.type_of(self.data or b"")
        return self

    def as_url(self) -> str:
        """The picture as an address; bytes become a `data:` URL."""
        if self.url is not None:
            return self.url
        return f"data:{self.media_type};base64,{base64.b64encode(self.data or b'').decode('ascii')}"


Part = TextPart | ImagePart


class ToolCall(Value):
    """A model's wish to have a tool called."""

    id: str
    name: str
    arguments: dict[str, Any] = Field(default_factory=dict)
    _json = field_validator("arguments")(checked_json)


class Tool(Value):
    """A tool that the model may ask for; `parameters` is a JSON Schema."""

    name: str
    description: str = ""
    parameters: dict[str, Any] = Field(default_factory=lambda: {"type": "object", "properties": {}})
    _name = field_validator("name")(check_name)
    _json = field_validator("parameters")(checked_json)

    @classmethod
    def of(cls, tool: ToolLike) -> Tool:
        """The tool that `tool` stands for.

        Args:
            tool: a Python function, whose annotations and docstring tell the rest; a pydantic model; a mapping as
                OpenAI's client takes it; or a `Tool`.

        Raises:
            ConfigurationError: it is something else, or its arguments cannot be told to a model.
        """
        return tool if isinstance(tool, Tool) else cls(**described(tool))


ToolLike = Tool | Callable[..., Any] | Mapping[str, Any]
"""What stands for a tool: see `Tool.of`."""


class ResponseFormat(Value):
    """The shape that the answer must have: plain text, any JSON object, or JSON that fits a schema."""

    type: Literal["text", "json_object", "json_schema"] = "text"
    json_schema: dict[str, Any] | None = None
    name: str = "answer"

    @model_validator(mode="after")
    def _schema_given(self) -> Self:
        if (self.type == "json_schema") != (self.json_schema is not None):
            raise ValueError("json_schema is given exactly when type is 'json_schema'")
        return self

    @classmethod
    def of(cls, shape: Any) -> ResponseFormat:
        """The format that asks for `shape`.

        Args:
            shape: a pydantic model, or another type that pydantic knows (a dataclass, a `TypedDict`, `list[Invoice]`);
                a JSON Schema as a mapping; the mapping that OpenAI's own client takes; or a `ResponseFormat`.

        Raises:
            ConfigurationError: it is something else, or pydantic can make no JSON Schema of it.
        """
        if isinstance(shape, ResponseFormat):
            return shape
        if not isinstance(shape, Mapping):
            return cls(type="json_schema", json_schema=schema_of(shape), name=name_of(shape))
        if shape.get("type") not in _FORMATS:
            title = shape.get("title")
            return cls(type="json_schema", json_schema=dict(shape), name=title if isinstance(title, str) else "answer")
        inner = shape.get("json_schema")
        if isinstance(inner, Mapping) and isinstance(inner.get("schema"), Mapping):
            named = {"name": inner["name"]} if inner.get("name") else {}
            return cls(type="json_schema", json_schema=dict(inner["schema"]), **named)
        return cls.model_validate(dict(shape))


ResponseShape = Union[ResponseFormat, type[Any], Mapping[str, Any], UnionType, "TypeAdapter[Any]"]
"""What stands for the shape of an answer: see `ResponseFormat.of`."""


class Message(Value):
    """One turn of a conversation."""

    role: Role
    content: str | tuple[Part, ...] = ""
    tool_calls: tuple[ToolCall, ...] = ()
    tool_call_id: str | None = None
    """On a message of role `tool`: the call that it answers."""

    if TYPE_CHECKING:  # what is taken is more than what is kept: lists become tuples

        def __init__(
            self, *, role: Role, content: str | Sequence[Part] = ..., tool_calls: Sequence[ToolCall] = ...,
            tool_call_id: str | None = ...,
        ) -> None: ...  # fmt: skip

    @property
    def text(self) -> str:
        """The text of the turn without its pictures."""
        if isinstance(self.content, str):
            return self.content
        return "".join(part.text for part in self.content if isinstance(part, TextPart))


class TokenUsage(Value):
    """Tokens of one call, or the sum over several (`usage + usage`)."""

    prompt_tokens: int = Field(ge=0)
    completion_tokens: int = Field(ge=0)
    total_tokens: int = Field(default=-1, validate_default=False)
    """Always the sum of the two; given a value, it is checked."""
    model: str = Field(min_length=1)
    provider: str = Field(min_length=1)
    cached_tokens: int = Field(default=0, ge=0)
    """The part of `prompt_tokens` that the provider read from its cache."""
    reasoning_tokens: int = Field(default=0, ge=0)
    """The part of `completion_tokens` that the model spent on thinking."""
    cache_write_tokens: int = Field(default=0, ge=0)
    """The part of `prompt_tokens` that the provider put into its cache, and bills as such."""
    estimated: bool = False
    """Whether the provider sent no counts, so that these are a guess; telemetry leaves such counts out."""

    @model_validator(mode="after")
    def _settle_total(self) -> Self:
        total = self.prompt_tokens + self.completion_tokens
        if self.total_tokens not in (-1, total):
            raise ValueError(f"total_tokens must equal prompt_tokens + completion_tokens ({total})")
        self.__dict__["total_tokens"] = total
        return self

    def __add__(self, other: TokenUsage) -> TokenUsage:
        return TokenUsage(
            prompt_tokens=self.prompt_tokens + other.prompt_tokens,
            completion_tokens=self.completion_tokens + other.completion_tokens,
            model=self.model if self.model == other.model else "mixed",
            provider=self.provider if self.provider == other.provider else "mixed",
            cached_tokens=self.cached_tokens + other.cached_tokens,
            reasoning_tokens=self.reasoning_tokens + other.reasoning_tokens,
            cache_write_tokens=self.cache_write_tokens + other.cache_write_tokens,
            estimated=self.estimated or other.estimated,
        )


class ChatRequest(LeftOpen):
    """A conversation to continue: give `messages`, or `prompt` for one turn; each view is derived from the other.

    A sampling setting that was not given (see `model_fields_set`) is replaced by the default of the model that gets the
    request; `None` leaves it out of the request body altogether.
    """

    views = frozenset({"prompt", "messages", "system_prompt"})
    prompt: str = ""
    messages: tuple[Message, ...] = ()
    system_prompt: str | None = None
    model: str = Field(default=DEFAULT_MODEL, min_length=1)
    temperature: float | None = Field(default=0.7, ge=0.0, le=2.0)
    max_tokens: int | None = Field(default=1024, ge=1, le=128_000)
    seed: int | None = None
    stop: tuple[str, ...] = ()
    tools: tuple[Tool, ...] = ()
    tool_choice: str | None = None
    """`"auto"`, `"none"`, `"required"` or the name of one tool."""
    response_format: ResponseFormat | None = None
    """The shape of the answer; whatever `ResponseFormat.of` takes may be given."""
    extra_params: dict[str, Any] = Field(default_factory=dict)
    """Passed to the provider as they are."""
    _json = field_validator("extra_params")(checked_json)

    if TYPE_CHECKING:  # what is taken is more than what is kept: lists become tuples, and shapes a `ResponseFormat`

        def __init__(
            self, *, prompt: str = ..., messages: Sequence[Message | Mapping[str, Any]] = ...,
            system_prompt: str | None = ..., model: str = ..., temperature: float | None = ...,
            max_tokens: int | None = ..., seed: int | None = ..., stop: str | Sequence[str] = ...,
            tools: Sequence[ToolLike] = ..., tool_choice: str | None = ...,
            response_format: ResponseShape | None = ..., extra_params: Mapping[str, Any] = ...,
        ) -> None: ...  # fmt: skip

    @field_validator("messages", mode="before")
    @classmethod
    def _turns(cls, messages: Any) -> Any:
        plain = not isinstance(messages, list | tuple) or set(map(type, messages)) <= {Message}
        return messages if plain else turns_of(messages, Message.model_fields)

    @field_validator("tools", mode="before")
    @classmethod
    def _tools(cls, tools: Any) -> Any:
        return tools_of(tools, Tool)

    @field_validator("stop", mode="before")
    @classmethod
    def _one_stop(cls, stop: Any) -> Any:
        return (stop,) if isinstance(stop, str) else stop

    @field_validator("response_format", mode="before")
    @classmethod
    def _format_of_a_shape(cls, shape: Any) -> Any:
        if isinstance(shape, ResponseFormat) or not (isinstance(shape, Mapping) or is_python_type(shape)):
            return shape
        try:
            return ResponseFormat.of(shape)
        except ConfigurationError as error:
            raise ValueError(f"{error.message}; {error.hint}") from error

    @model_validator(mode="after")
    def _settle_views(self) -> Self:
        # Here and in `_of_prompt` a frozen value is written: both views are fixed while the request is made.
        check_choice(self.tool_choice, self.tools)
        if not self.messages:
            return self._of_prompt()
        check_turns(self.messages)
        if self.prompt and self.prompt != self._last("user"):
            raise ValueError("give messages or a prompt, not both")
        if self.system_prompt and self._last("system") not in (None, self.system_prompt):
            raise ValueError("give the system prompt in messages or as system_prompt, not both")
        if self.system_prompt and self._last("system") is None:
            self.__dict__["messages"] = (Message(role="system", content=self.system_prompt), *self.messages)
        self.__dict__["prompt"] = self._last("user") or ""
        self.__dict__["system_prompt"] = self._last("system")
        return self

    def _of_prompt(self) -> Self:
        if not self.prompt.strip():
            raise ValueError("a request needs messages or a non-empty prompt")
        asked = Message(role="user", content=self.prompt)
        self.__dict__["system_prompt"] = system = self.system_prompt or None
        self.__dict__["messages"] = (Message(role="system", content=system), asked) if system else (asked,)
        return self

    @property
    def images(self) -> tuple[ImagePart, ...]:
        """The pictures of all messages, in order."""
        parts = (part for message in self.messages if not isinstance(message.content, str) for part in message.content)
        return tuple(part for part in parts if isinstance(part, ImagePart))

    def _last(self, role: Role) -> str | None:
        return next((m.text for m in reversed(self.messages) if m.role == role), None)

    @property
    def named_model(self) -> str | None:
        """The model that was asked for; `None` where that was left open, and `model` only stands for one."""
        return self.model if "model" in self.__pydantic_fields_set__ else None


class RateLimitStatus(Value):
    """What a provider said, with one reply, of the limits that hold for the caller; `None` where it said nothing."""

    limit_requests: int | None = None
    remaining_requests: int | None = None
    reset_requests_s: float | None = None
    """Seconds until the limit of requests is whole again."""
    limit_tokens: int | None = None
    remaining_tokens: int | None = None
    reset_tokens_s: float | None = None
    """Seconds until the limit of tokens is whole again."""


class ChatResponse(Value):
    """What the model answered, and what it took."""

    content: str
    model: str = Field(min_length=1)
    """The model that answered, as the provider names it; it may be more precise than the one asked for."""
    usage: TokenUsage
    latency_ms: float = Field(default=0.0, ge=0.0)
    finish_reason: str = "stop"
    tool_calls: tuple[ToolCall, ...] = ()
    response_id: str | None = None
    attempts: int = Field(default=1, ge=1)
    """How many requests it took, retries included."""
    cost_usd: float | None = None
    """Estimated price of the whole call in US dollars, `failed_usage` included; `None` where a price is unknown."""
    cached: bool = False
    """Whether the answer came from a cache or a recording, and so was not paid."""
    fell_back_from: tuple[str, ...] = ()
    """The models that were asked before the one that answered, and failed: `provider/model: code`, in turn."""
    rate_limit: RateLimitStatus | None = Field(default=None, exclude=True, repr=False)
    """What the provider said of its limits; it belongs to the moment, so records and recordings leave it out."""
    failed_usage: tuple[TokenUsage, ...] = Field(default=(), exclude=True, repr=False)
    """The tokens of earlier attempts that failed and were charged all the same: in `cost_usd`, and not in `usage`."""

    @model_validator(mode="after")
    def _answers(self) -> Self:
        if not self.content and not self.tool_calls and self.finish_reason == "stop":
            raise ValueError("content must not be empty when the model finished normally")
        return self

    @property
    def message(self) -> Message:
        """The answer as the next turn of the conversation."""
        return Message(role="assistant", content=self.content, tool_calls=self.tool_calls)


class ChatChunk(InOrder):
    """A piece of a streamed answer; the last one carries `finish_reason` and `usage`."""

    in_order = ("text", "finish_reason", "usage")
    text: str
    finish_reason: str | None = None
    usage: TokenUsage | None = None
    tool_calls: tuple[ToolCall, ...] = ()
    cached: bool = False
    """On the last piece: whether the answer came from a cache or a recording, and so was not paid."""
    fell_back_from: tuple[str, ...] = ()
    """On the last piece: the models that were asked before and failed, as in `ChatResponse`."""
    rate_limit: RateLimitStatus | None = Field(default=None, exclude=True, repr=False)
    """On the last piece: what the provider said of its limits."""
    failed_usage: tuple[TokenUsage, ...] = Field(default=(), exclude=True, repr=False)
    """On the last piece: what failed attempts were charged for, as in `ChatResponse`."""
    response_id: str | None = None
    """On the last piece: the provider's name of the answer."""
    attempts: int = Field(default=1, ge=1)
    """On the last piece: how many requests it took, retries included."""

    @property
    def is_last(self) -> bool:
        """Whether this is the last piece, which says how the answer ended and what it took."""
        return self.finish_reason is not None or self.usage is not None


class ModelInfo(Value):
    """What a model is and can do."""

    name: str
    provider: str
    max_tokens: int = 0
    """The longest answer, in tokens; 0 where it is unknown."""
    context_tokens: int = 0
    """Prompt and answer together, in tokens; 0 where it is unknown."""
    capabilities: tuple[str, ...] = ()


class HealthStatus(Value):
    """Whether a model can be reached, found out without spending tokens."""

    status: Literal["healthy", "unhealthy", "unknown"]
    detail: str = ""
