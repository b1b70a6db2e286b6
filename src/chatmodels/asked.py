"""What was handed to a call, made into a request, or into one error that says what is wrong with it."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Iterable, Mapping, Sequence
from functools import wraps
from typing import Any, TypedDict

from pydantic import ValidationError

from chatmodels.types import ChatRequest, Message, ResponseShape, ToolLike
from fmf_core.errors import ConfigurationError
from fmf_core.nearest import nearest

OP = "chatmodels.request"
OPTIONS = tuple(name for name in ChatRequest.model_fields if name != "filled_in")
"""The fields of a request that a caller may give."""
MOST_TOLD = 5
"""How many wrong requests of a batch one error tells of."""
BREATHE_EVERY = 256
"""After how many checked requests others on the event loop have their turn."""
BATCHED = ("max_concurrency", "return_exceptions")
"""What the methods for many requests take besides."""
PARSED = ("parse_retries", "max_tokens_cap")
"""What the methods that give values of a shape take besides."""
_CONTENT = ("prompt", "messages", "system_prompt")
_LONGEST_SHOWN = 40
_MESSAGES_HINT = 'give a text, a list such as [Message(role="user", content="...")], or a ChatRequest'


class RequestOptions(TypedDict, total=False):
    """The options of a call, for tools that read code: fields of `ChatRequest`."""

    system_prompt: str | None
    model: str
    temperature: float | None
    max_tokens: int | None
    seed: int | None
    stop: str | Sequence[str]
    tools: Sequence[ToolLike]
    tool_choice: str | None
    response_format: ResponseShape | None
    extra_params: Mapping[str, Any]


def request_of(given: Any, options: Mapping[str, Any], own: Sequence[str] = ()) -> ChatRequest:
    """The request that a prompt, a conversation or a request stands for, with `options` on top.

    Args:
        given: a prompt, a conversation or a request.
        options: fields of `ChatRequest`.
        own: what the called method takes besides, for those who misspell it.

    Raises:
        ConfigurationError: it stands for none, an option is unknown or its value is wrong; one line tells each fault.
    """
    if isinstance(given, ChatRequest):
        return _checked({**given.given, **options}, own) if options else given
    name = "prompt" if isinstance(given, str) else "messages"
    if name in options:
        raise ConfigurationError(
            f"wrong request: {name} is given twice", op=OP, hint=f"leave out the option {name}: it stands first"
        )
    return _checked({name: given if isinstance(given, str) else _conversation(given), **options}, own)


def all_of(requests: Any) -> list[Any]:
    """The requests of a batch.

    Raises:
        ConfigurationError: it is one request, or nothing that can be gone through.
    """
    if isinstance(requests, str | bytes | Mapping | ChatRequest | Message) or not isinstance(requests, Iterable):
        raise ConfigurationError(
            f"a batch takes several requests, got {type(requests).__name__}",
            op=OP,
            hint="give a list of prompts, conversations or requests; a single one goes to invoke or ainvoke",
        )
    return list(requests)


async def requests_of(
    given: Any, options: Mapping[str, Any], own: Sequence[str], *, keep: bool
) -> list[ChatRequest | ConfigurationError]:
    """The requests of a batch, each with `options` on top.

    Args:
        given: prompts, conversations and requests.
        options: fields of `ChatRequest`, for all of them.
        own: what the called method takes besides, for those who misspell it.
        keep: whether what is wrong with one stands in its place, instead of being raised.

    Raises:
        ConfigurationError: they are no batch, an option is unknown, or some are wrong; `fields["requests"]` says which.
    """
    if unknown := options.keys() - set(OPTIONS):
        # It is wrong for all of them: it stands in nobody's place, and is told once.
        _checked({"prompt": "x", **{name: options[name] for name in options if name in unknown}}, own)
    asked: list[ChatRequest | ConfigurationError] = []
    for number, request in enumerate(all_of(given)):
        try:
            asked.append(request_of(request, options, own))
        except ConfigurationError as error:
            asked.append(error)
        if number % BREATHE_EVERY == BREATHE_EVERY - 1:
            await asyncio.sleep(0)
    wrong = {number: error for number, error in enumerate(asked) if isinstance(error, ConfigurationError)}
    if wrong and not keep:
        raise _all_wrong(wrong, len(asked))
    return asked


def _all_wrong(wrong: Mapping[int, ConfigurationError], count: int) -> ConfigurationError:
    first = next(iter(wrong.values()))
    if len(wrong) == count and len({error.message for error in wrong.values()}) == 1:
        return first  # an option, which is the same for all
    told = [f"requests[{number}]: {error.message}" for number, error in list(wrong.items())[:MOST_TOLD]]
    more = f"\nand {len(wrong) - MOST_TOLD} more" if len(wrong) > MOST_TOLD else ""
    keep = "nothing was asked yet; return_exceptions=True leaves what is wrong in its place, and asks the others"
    return ConfigurationError(
        "\n".join(told) + more,
        op=OP,
        hint=f"{first.hint}; {keep}" if first.hint else keep,
        fields={"requests": [*wrong]},
    )


def check_concurrency(max_concurrency: Any) -> None:
    """Raise `ConfigurationError` unless it is a whole number from 1."""
    if isinstance(max_concurrency, bool) or not isinstance(max_concurrency, int) or max_concurrency < 1:
        raise ConfigurationError(
            f"max_concurrency must be a whole number, 1 or more, got {max_concurrency!r}",
            op=OP,
            hint="say how many requests of the batch may be under way at once; 8 unless set",
        )


def check_effort(parse_retries: Any, max_tokens_cap: Any) -> None:
    """Raise `ConfigurationError` unless both are whole numbers: from 0, and from 1 or `None`."""
    if isinstance(parse_retries, bool) or not isinstance(parse_retries, int) or parse_retries < 0:
        raise ConfigurationError(
            f"parse_retries must be a whole number, 0 or more, got {parse_retries!r}",
            op=OP,
            hint="say how often to ask again when an answer does not fit; 2 unless set, 0 asks once",
        )
    whole = isinstance(max_tokens_cap, int) and not isinstance(max_tokens_cap, bool)
    if max_tokens_cap is not None and not (whole and max_tokens_cap >= 1):
        raise ConfigurationError(
            f"max_tokens_cap must be a whole number, 1 or more, got {max_tokens_cap!r}",
            op=OP,
            hint="say how far max_tokens may be raised for an answer that was cut; the model's limit unless set",
        )


def _conversation(given: Any) -> tuple[Any, ...]:
    if isinstance(given, bytes | Mapping | Message) or not isinstance(given, Iterable):
        raise ConfigurationError(
            f"wrong request: {type(given).__name__} is no prompt and no conversation", op=OP, hint=_MESSAGES_HINT
        )
    messages = tuple(given)
    if not messages:
        raise ConfigurationError("wrong request: a conversation without messages", op=OP, hint=_MESSAGES_HINT)
    return messages


def _checked(values: dict[str, Any], own: Sequence[str]) -> ChatRequest:
    try:
        return ChatRequest.model_validate(values)
    except ValidationError as error:
        # Without what led to it: pydantic's own text shows the values, documents among them.
        raise _faults(error, own) from None


def _faults(error: ValidationError, own: Sequence[str]) -> ConfigurationError:
    lines, hints = [], []
    for fault in error.errors(include_url=False, include_context=False):
        first = str(fault["loc"][0]) if fault["loc"] else ""
        if fault["type"] == "extra_forbidden" and len(fault["loc"]) == 1:
            lines.append(f"{first}: there is no such option")
            hints.append(_hint_for(first, fault["input"], own))
            continue
        path = ".".join(map(str, fault["loc"]))
        told = fault["msg"].removeprefix("Value error, ")
        if fault["type"] == "extra_forbidden":
            told = "there is no such key"
            hints.append(f"keys of a message: {', '.join(Message.model_fields)}" if first == "messages" else "")
        elif fault["type"] != "value_error":
            told += _shown(fault)
        lines.append(f"{path}: {told}" if path else told)
        if first == "messages" and fault["type"] == "model_type":
            hints.append(_MESSAGES_HINT)
    return ConfigurationError(
        "wrong request: " + "\n".join(lines), op=OP, hint="; ".join(dict.fromkeys(filter(None, hints)))
    )


def _shown(fault: Any) -> str:
    given = fault["input"]
    plain = isinstance(given, int | float | str | None) and len(repr(given)) <= _LONGEST_SHOWN
    # What was said to the model is told by its kind alone.
    shown = plain and fault["loc"][0] not in _CONTENT
    return f", got {given!r}" if shown else f", got {type(given).__name__}"


def _hint_for(name: str, value: Any, own: Sequence[str]) -> str:
    from chatmodels.config import ChatModelConfig  # when it is needed: a request alone needs no settings of models
    from chatmodels.foreign_words import option_hint

    hint = option_hint(name, value, ChatModelConfig.model_fields)
    if not hint and (near := nearest(name, (*own, *OPTIONS))):
        hint = f"did you mean {near!r} instead of {name!r}?"
    return hint or f"options: {', '.join((*own, *OPTIONS))}"


def fill_default_model(kind: Any, base: type) -> None:
    """Let the methods of the chat model `kind` see the `default_model` that it declares, where a request names none.

    Nothing changes in classes that declare none.

    Args:
        kind: the class.
        base: the class whose own methods only pass a request on.
    """
    if not kind.chat_model_metadata.get("default_model"):
        return
    for name in ("complete", "complete_async", "stream_async"):
        method = getattr(kind, name)
        if method is not getattr(base, name) and not hasattr(method, "fills_default_model"):
            setattr(kind, name, _filling(method))


def _filling(method: Any) -> Any:
    @wraps(method)
    def filling(self: Any, request: ChatRequest) -> Any:
        return method(self, _with_default(self, request))

    @wraps(method)
    async def filling_async(self: Any, request: ChatRequest) -> Any:
        return await method(self, _with_default(self, request))

    # An async method stays one for those who look.
    made: Any = filling_async if inspect.iscoroutinefunction(method) else filling
    made.fills_default_model = True
    return made


def _with_default(model: Any, request: ChatRequest) -> ChatRequest:
    name = model.chat_model_metadata.get("default_model")
    return request.filled({"model": name}) if name and isinstance(request, ChatRequest) else request
