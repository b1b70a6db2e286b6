"""How a provider is told the shape of an answer: as a schema that it enforces, as JSON mode, or in the prompt alone."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from chatmodels.errors import ChatModelError
from chatmodels.structured.wanted import Wanted
from chatmodels.types import ChatRequest, Message, ModelInfo, ResponseFormat, TextPart
from fmf_core.errors import Code

T = TypeVar("T")

MOST_REFUSED = 1000
"""How many refused formats are remembered for one model."""

_NAMES_THE_FORMAT = re.compile(
    r"response.?format|json.?schema|json.?object|json.?mode|schema|grammar|structured.?output|output.?(?:config|format)",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Way(Generic[T]):
    """One way to tell it."""

    name: str
    """As repairs and errors call it."""
    wanted: Wanted[T]
    response_format: ResponseFormat | None
    instruction: str = ""
    """What is added to the system prompt."""

    def told(self, request: ChatRequest) -> ChatRequest:
        """`request` in this way; itself where there is nothing to change."""
        if not self.instruction and self.response_format == request.response_format:
            return request
        messages = _instructed(request.messages, self.instruction) if self.instruction else request.messages
        return request.remade(messages=messages, response_format=self.response_format)


class RefusedFormats:
    """The formats that a model's provider has refused, so that it is asked for none of them again."""

    def __init__(self) -> None:
        self._known: set[tuple[str, str]] = set()

    def add(self, way: Way[Any], request: ChatRequest) -> None:
        """Remember that `way` of telling `request` was refused."""
        if way.response_format is not None:
            if len(self._known) >= MOST_REFUSED:
                self._known.clear()
            self._known.add(self._key(way, request))

    def without(self, ways: list[Way[T]], request: ChatRequest) -> list[Way[T]]:
        """The ways that were not refused before; the last one stays in any case."""
        if not self._known:
            return ways
        return [*(way for way in ways[:-1] if self._key(way, request) not in self._known), ways[-1]]

    @staticmethod
    def _key(way: Way[Any], request: ChatRequest) -> tuple[str, str]:
        shape = way.response_format.model_dump_json() if way.response_format is not None else ""
        return request.model, shape


def ways_to_tell(wanted: Wanted[T], request: ChatRequest, info: ModelInfo | None) -> list[Way[T]]:
    """The ways that are open, the strictest first.

    Args:
        wanted: the shape.
        request: its own `response_format` is kept where nothing is known of the model, or no schema is wanted.
        info: what the model can do; `None` where it is not known.
    """
    prompt_only = Way("the prompt alone", wanted, None, _instruction(wanted))
    if info is None or wanted.schema is None:
        own = Way("the request's own format", wanted, request.response_format)
        told_a_format = request.response_format is not None and request.response_format.type != "text"
        return [own, prompt_only] if told_a_format else [own]
    ways = []
    as_object = wanted.as_object()
    if as_object is not None and "json_schema" in info.capabilities:
        schema = dict(as_object.schema or {})
        enforced = ResponseFormat(type="json_schema", json_schema=schema, name=wanted.name)
        ways.append(Way("json_schema", as_object, enforced))
    if as_object is not None and "json" in info.capabilities:
        mode = ResponseFormat(type="json_object")
        ways.append(Way("json_object", as_object, mode, _instruction(as_object)))
    return [*ways, prompt_only]


def refuses_the_format(error: ChatModelError, model: str) -> bool:
    """Whether a provider refused a request because of the format that it asks for.

    Args:
        error: what it said.
        model: who was asked; the name alone, which stands in every error, says nothing.
    """
    if error.code not in (Code.INVALID, Code.UNSUPPORTED):
        return False
    missing = error.fields.get("missing")
    if isinstance(missing, list):
        # The house refused it by its own table, and says for which capabilities.
        return not {"json", "json_schema"}.isdisjoint(missing)
    said = error.message
    for name in {model, str(error.fields.get("model") or model)}:
        said = re.sub(rf"(?<![\w.-]){re.escape(name)}(?![\w-])", "", said)
    return _NAMES_THE_FORMAT.search(said) is not None


def json_instruction(schema: Mapping[str, Any] | None, kind: str) -> str:
    """What a model is told that is not held to a format.

    Args:
        schema: what the answer must fit; `None` is anything.
        kind: `"object"`, or `"value"` for any.
    """
    plain = f"Answer with one JSON {kind} and nothing else: no explanation, no code fence."
    if schema is None:
        return plain
    written = json.dumps(schema, ensure_ascii=False, separators=(",", ":"))
    return f"{plain} It must fit this JSON Schema:\n{written}"


def _instruction(wanted: Wanted[Any]) -> str:
    return json_instruction(wanted.schema, "object" if wanted.is_object else "value")


def _instructed(messages: Sequence[Message], instruction: str) -> tuple[Message, ...]:
    """`messages` with `instruction` at the end of the system prompt; the prompts themselves stay as they are."""
    first, *others = messages
    if first.role != "system":
        return (Message(role="system", content=instruction), *messages)
    content: str | tuple[Any, ...]
    if isinstance(first.content, str):
        content = f"{first.content}\n\n{instruction}"
    else:
        content = (*first.content, TextPart(text=f"\n\n{instruction}"))
    return (first.model_copy(update={"content": content}), *others)
