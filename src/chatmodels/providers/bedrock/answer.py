"""One answer of Bedrock, gathered whole or in pieces from any of its formats, and checked before anybody gets it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from chatmodels.errors import ChatModelError
from chatmodels.providers.call import Call, shown
from chatmodels.providers.characters import Characters
from chatmodels.providers.checks import count, mapping
from chatmodels.providers.token_counts import Counts, charged
from chatmodels.providers.tool_calls import tool_call_of
from chatmodels.types import ChatChunk, ChatResponse
from fmf_core.errors import Code

FINISH_REASONS: Final[Mapping[str, str]] = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "stop": "stop",
    "pause_turn": "stop",
    "max_tokens": "length",
    "length": "length",
    "model_length": "length",
    "model_context_window_exceeded": "length",
    "tool_use": "tool_calls",
    "tool_calls": "tool_calls",
    "guardrail_intervened": "content_filter",
    "content_filtered": "content_filter",
    "content_filter": "content_filter",
    "refusal": "content_filter",
}
"""The reasons of all formats in the words of the house; an unknown one is passed on as it is."""
MALFORMED: Final = frozenset({"malformed_model_output", "malformed_tool_use"})
GUARDRAILS: Final = frozenset({"guardrail_intervened"})
SERVER_TOOL: Final = "server_tool_use"
"""The type of calls of tools that the provider runs itself."""


@dataclass(slots=True)
class _Wanted:
    """A tool call as far as it has come."""

    id: object
    name: object
    arguments: object = ""


@dataclass(slots=True)
class GatheredAnswer:
    """Takes in the parts of one answer, in whatever pieces they come."""

    call: Call
    streamed: bool = False
    stop: str | None = None
    """Why the answer ended, in Bedrock's words; `None` until it has ended."""
    response_id: str | None = None
    _counted: dict[str, object] = field(default_factory=dict)
    _text: list[str] = field(default_factory=list)
    _calls: dict[str, _Wanted] = field(default_factory=dict)
    _passed_over: set[str] = field(default_factory=set)
    _characters: Characters = field(init=False)

    def __post_init__(self) -> None:
        self._characters = Characters(self.call)

    def say(self, text: object) -> ChatChunk | None:
        """More text of the answer; the piece for the caller, if there is anything in it."""
        if not isinstance(text, str):
            raise self.call.bad_reply(f"the text is of type {type(text).__name__}", text)
        whole = self._characters.feed(text)
        if not whole:
            return None
        self._text.append(whole)
        return ChatChunk(text=whole)

    def end(self, reason: object) -> None:
        """The answer has ended; a reason that is no text says that it goes on, and none takes back a guardrail's."""
        if isinstance(reason, str) and reason and self.stop not in GUARDRAILS:
            self.stop = reason

    def want(self, index: object, tool: object, *, id_key: str = "id", arguments: object = "") -> None:
        """The beginning of a tool call, or the whole of it; `tool` holds its id and name.

        A call without an index is the next one. One of a tool that the provider runs itself is nobody else's business.
        """
        facts = mapping(tool)
        key = str(len(self._calls) if index is None else index)
        if facts.get("type") == SERVER_TOOL:
            self._passed_over.add(key)
        else:
            self._calls[key] = _Wanted(facts.get(id_key), facts.get("name"), arguments)

    def add_arguments(self, index: object, piece: object) -> None:
        """More of the arguments of the tool call that began at `index`; without one, of the last call."""
        key = next(reversed(self._calls), "") if index is None else str(index)
        if key in self._passed_over:
            return
        wanted = self._calls.get(key)
        if wanted is None or not isinstance(wanted.arguments, str) or not isinstance(piece, str):
            raise self.call.bad_reply("a piece of arguments belongs to no tool call", piece)
        wanted.arguments += piece

    def count(self, told: object, names: Mapping[str, str]) -> None:
        """Take over the token counts in `told`; `names` maps `prompt`, `completion` and the like to its keys."""
        given = mapping(told)
        self._counted.update({ours: given[theirs] for ours, theirs in names.items() if given.get(theirs) is not None})

    @property
    def counts(self) -> Counts:
        """The token counts so far; Bedrock tells the prompt without what went through the cache."""
        fresh, completion = count(self._counted.get("prompt")), self._counted.get("completion")
        read, written = (count(self._counted.get(name)) or 0 for name in ("cache_read", "cache_write"))
        return Counts(None if fresh is None else fresh + read + written, completion, cached=read, written=written)

    def finish(self) -> ChatChunk:
        """The last piece, with the reason of the end, the token counts and the tool calls.

        Raises:
            ChatModelError: the answer was withheld, is empty, cut off or malformed, or its tokens were not told;
                `fields["usage"]` holds them where Bedrock counted.
        """
        try:
            return self._last()
        except ChatModelError as error:
            charged(error, self.counts, self.call)
            raise

    def _last(self) -> ChatChunk:
        text = "".join(self._text)
        if self.stop is None:
            raise self._cut("the answer did", text)
        self._characters.finish()
        reason = FINISH_REASONS.get(self.stop, self.stop)
        self._refuse_withheld(text, reason)
        tool_calls = tuple(
            tool_call_of(wanted.id, wanted.name, wanted.arguments, reason, self.call) for wanted in self._calls.values()
        )
        if not text and not tool_calls and reason != "length":
            raise self.call.error(f"the answer is empty (stop reason {self.stop!r})", Code.BAD_REPLY)
        counts = self.counts
        if not counts.complete:
            raise self._cut("its token counts came", text)
        return ChatChunk(
            text="",
            finish_reason=reason,
            usage=counts.usage(self.call, model=self.call.request.model, answer=text),
            tool_calls=tool_calls,
            response_id=self.response_id,
        )

    def response(self) -> ChatResponse:
        """The whole answer; raises as `finish`."""
        last = self.finish()
        return ChatResponse.model_validate(
            {
                "content": "".join(self._text),
                "model": self.call.request.model,
                "usage": last.usage,
                "finish_reason": last.finish_reason,
                "tool_calls": last.tool_calls,
                "response_id": self.response_id,
            }
        )

    def _refuse_withheld(self, text: str, reason: str) -> None:
        if self.stop in MALFORMED:
            raise self.call.error(f"the model's output was malformed ({self.stop})", Code.BAD_REPLY)
        if reason != "content_filter":
            return
        who = "a guardrail" if self.stop in GUARDRAILS else "the model or its content filter"
        hint = "look at the guardrail's policies" if self.stop in GUARDRAILS else ""
        raise self.call.error(f"{who} withheld the answer ({self.stop}) after {shown(text)}", Code.REFUSED, hint=hint)

    def _cut(self, what: str, text: str) -> ChatModelError:
        facts = {"received_chars": len(text)}
        if self.streamed:
            message = f"the stream ended before {what}, after {len(text)} characters"
            return self.call.error(message, Code.UNAVAILABLE, fields=facts)
        return self.call.error(f"the reply ended before {what}: {shown(text)}", Code.BAD_REPLY, fields=facts)
