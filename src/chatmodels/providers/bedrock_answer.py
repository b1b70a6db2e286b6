"""One answer of Bedrock, gathered whole or in pieces from any of its formats, and checked before anybody gets it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from chatmodels.errors import ChatModelError
from chatmodels.providers.call import Call, shown
from chatmodels.types import ChatChunk, ChatResponse, TokenUsage, ToolCall
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


@dataclass(slots=True)
class Counts:
    """The token counts of one answer; `None` where Bedrock has not told one."""

    prompt: object = None
    """Prompt tokens without those that went through the cache."""
    completion: object = None
    cache_read: object = None
    cache_write: object = None

    def update(self, told: object, names: Mapping[str, str]) -> None:
        """Take over what `told` says; `names` maps our names to its keys."""
        if isinstance(told, Mapping):
            for ours, theirs in names.items():
                if told.get(theirs) is not None:
                    setattr(self, ours, told[theirs])

    def usage(self, call: Call) -> TokenUsage | None:
        """The counts as the house has them: the prompt includes what went through the cache."""
        prompt, completion = _count(self.prompt), _count(self.completion)
        if prompt is None or completion is None:
            return None
        cached, written = _count(self.cache_read) or 0, _count(self.cache_write) or 0
        return TokenUsage(
            prompt_tokens=prompt + cached + written,
            completion_tokens=completion,
            model=call.request.model,
            provider=call.provider,
            cached_tokens=cached,
            cache_write_tokens=written,
        )


@dataclass(slots=True)
class _Wanted:
    """A tool call as far as it has come."""

    id: str
    name: str
    arguments: object = ""


@dataclass(slots=True)
class Answer:
    """Takes in the parts of one answer, in whatever pieces they come."""

    call: Call
    streamed: bool = False
    stop: str | None = None
    """Why the answer ended, in Bedrock's words; `None` until it has ended."""
    response_id: str | None = None
    counts: Counts = field(default_factory=Counts)
    _text: list[str] = field(default_factory=list)
    _calls: dict[str, _Wanted] = field(default_factory=dict)

    def say(self, text: object) -> ChatChunk | None:
        """More text of the answer; the piece for the caller, if there is anything in it."""
        if not isinstance(text, str):
            raise self.call.bad_reply(f"the text is of type {type(text).__name__}", text)
        if not text:
            return None
        self._text.append(text)
        return ChatChunk(text=text)

    def end(self, reason: object) -> None:
        """The answer has ended; a reason that is no text says that it goes on."""
        if isinstance(reason, str) and reason:
            self.stop = reason

    def want(self, index: object, tool: object, *, id_key: str = "id", arguments: object = "") -> None:
        """The beginning of a tool call, or the whole of it; `tool` holds its id and name."""
        facts = tool if isinstance(tool, Mapping) else {}
        name = facts.get("name")
        if not isinstance(name, str) or not name:
            raise self.call.bad_reply("a tool call names no tool", tool)
        given = facts.get(id_key)
        self._calls[str(index)] = _Wanted(given if isinstance(given, str) and given else name, name, arguments)

    def add_arguments(self, index: object, piece: object) -> None:
        """More of the arguments of the tool call that began at `index`."""
        wanted = self._calls.get(str(index))
        if wanted is None or not isinstance(wanted.arguments, str) or not isinstance(piece, str):
            raise self.call.bad_reply("a piece of arguments belongs to no tool call", piece)
        wanted.arguments += piece

    def finish(self) -> ChatChunk:
        """The last piece, with the reason of the end, the token counts and the tool calls.

        Raises:
            ChatModelError: the answer was withheld, is empty, cut off or malformed, or its tokens were not told;
                `fields["usage"]` holds them where Bedrock counted.
        """
        try:
            return self._last()
        except ChatModelError as error:
            usage = self.counts.usage(self.call)
            if usage is not None:
                error.fields["usage"] = usage
            raise

    def _last(self) -> ChatChunk:
        text = "".join(self._text)
        if self.stop is None:
            raise self._cut("the answer did", text)
        reason = FINISH_REASONS.get(self.stop, self.stop)
        self._refuse_withheld(text, reason)
        tool_calls = tuple(self._tool_call(wanted, reason) for wanted in self._calls.values())
        if not text and not tool_calls and reason != "length":
            raise self.call.error(f"the answer is empty (stop reason {self.stop!r})", Code.BAD_REPLY)
        usage = self.counts.usage(self.call)
        if usage is None:
            raise self._cut("its token counts came", text)
        return ChatChunk(
            text="", finish_reason=reason, usage=usage, tool_calls=tool_calls, response_id=self.response_id
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

    def _tool_call(self, wanted: _Wanted, reason: str) -> ToolCall:
        arguments = wanted.arguments
        if isinstance(arguments, str):
            try:
                arguments = _json().loads(arguments) if arguments.strip() else {}
            except ValueError as error:
                if reason == "length":
                    message = f"max_tokens ({self.call.request.max_tokens}) cut the arguments of {wanted.name!r}"
                    raise self.call.error(message, Code.TRUNCATED, hint="raise max_tokens") from error
                what = f"the arguments of tool call {wanted.name!r} are no valid JSON"
                raise self.call.bad_reply(what, wanted.arguments) from error
        if not isinstance(arguments, dict):
            raise self.call.bad_reply(f"the arguments of tool call {wanted.name!r} are no JSON object", arguments)
        return ToolCall(id=wanted.id, name=wanted.name, arguments=arguments)


def _json() -> Any:
    import orjson

    return orjson


def _count(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None
