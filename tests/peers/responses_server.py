"""A scripted server on loopback that also speaks the Responses interface, whole and in events.

    with ResponsesServer() as server:
        model = OpenAIChatModel(base_url=server.base_url, api="responses")

Scripts are those of `ScriptedServer`: a `Reply` with `text`, `deltas`, `tool_calls`, `usage` or `finish_reason` is
written as this interface spells it; `body` and `events` go out as they are.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from peers.scripted_server import Reply, Request, ScriptedServer

INCOMPLETE = {"length": "max_output_tokens", "content_filter": "content_filter"}


class ResponsesServer(ScriptedServer):
    """Answers `/responses` in its own form, and everything else as `ScriptedServer`."""

    def _scripted(self, request: Request) -> Reply:
        reply = super()._scripted(request)
        if not request.path.endswith("/responses") or reply.status != 200 or reply.drop or reply.hang:
            return reply
        if reply.body is not None or reply.events is not None:
            return reply
        if request.body.get("stream"):
            return replace(reply, events=tuple(events(reply, request)))
        return replace(reply, body=response(reply, request))


def response(reply: Reply, request: Request) -> dict[str, Any]:
    """The whole answer."""
    usage = None
    if reply.usage is not None:
        usage = {"input_tokens": reply.usage["prompt_tokens"], "output_tokens": reply.usage["completion_tokens"]}
    reason = INCOMPLETE.get(reply.finish_reason or "")
    return {
        "id": f"resp-{request.number}",
        "object": "response",
        "status": "incomplete" if reason else "completed",
        "incomplete_details": {"reason": reason} if reason else None,
        "error": None,
        "model": reply.model or request.body.get("model", "scripted"),
        "output": list(_output(reply)),
        "usage": usage,
    }


def events(reply: Reply, request: Request) -> Iterator[Mapping[str, Any]]:
    """The same in pieces."""
    whole = response(reply, request)
    yield {"type": "response.created", "response": {**whole, "status": "in_progress", "output": []}}
    for place, item in enumerate(whole["output"]):
        if item["type"] == "message":
            pieces = reply.deltas if reply.deltas is not None else item["content"][0]["text"].split(" ")
            for number, piece in enumerate(pieces):
                delta = piece if reply.deltas is not None or not number else f" {piece}"
                yield {"type": "response.output_text.delta", "output_index": place, "delta": delta}
        elif item["type"] == "function_call":
            yield {"type": "response.output_item.added", "output_index": place, "item": {**item, "arguments": ""}}
            for piece in item["arguments"]:
                yield {"type": "response.function_call_arguments.delta", "output_index": place, "delta": piece}
            yield {"type": "response.output_item.done", "output_index": place, "item": item}
    ending = "response.incomplete" if whole["status"] == "incomplete" else "response.completed"
    yield {"type": ending, "response": whole}


def _output(reply: Reply) -> Iterator[dict[str, Any]]:
    yield {"type": "reasoning", "id": "rs-1", "summary": []}
    text = "".join(reply.deltas) if reply.deltas is not None else reply.text
    if text:
        content = [{"type": "output_text", "text": text, "annotations": []}]
        yield {"type": "message", "id": "msg-1", "role": "assistant", "status": "completed", "content": content}
    for call in reply.tool_calls:
        yield {"type": "function_call", "call_id": call["id"], **call["function"]}
