"""Conversations as one text, for models of Bedrock that take a prompt: the templates of Llama and Mistral."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Final

from chatmodels.capabilities import temperature_to_send
from chatmodels.providers.bedrock.answer import GatheredAnswer
from chatmodels.providers.bedrock.models import Traits, refuse_impossible
from chatmodels.providers.bedrock.wire import Turn, conversation
from chatmodels.providers.call import Call
from chatmodels.types import ChatChunk
from fmf_core.errors import Code

LLAMA_USAGE: Final = {"prompt": "prompt_token_count", "completion": "generation_token_count"}
LLAMA_MARKS: Final = {
    "llama3": ("<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"),
    "llama4": ("<|header_start|>", "<|header_end|>", "<|eot|>"),
}
"""What stands before a role, behind it, and at the end of a turn."""

# A text that holds such a mark could end its turn and speak as somebody else.
_LLAMA_MARK = re.compile(r"<\|(?=[a-z0-9_]+\|>)")
_MISTRAL_MARK = re.compile(r"<(?=/?s>)|\[(?=/?[A-Z_]+\])")


def encode_llama(call: Call, traits: Traits) -> dict[str, Any]:
    """The body for Llama; raises `UNSUPPORTED` for what a prompt has no place for."""
    if call.request.stop:
        raise call.error("Llama takes no stop sequences through invoke_model", Code.UNSUPPORTED, hint="leave stop out")
    before, behind, end = LLAMA_MARKS["llama4" if traits.body == "llama4" else "llama3"]
    system, turns = _texts(call, traits, lambda text: _LLAMA_MARK.sub("< |", text))
    said = [("system", "\n\n".join(system))] if system else []
    said += turns
    prompt = "".join(f"{before}{role}{behind}\n\n{text}{end}" for role, text in said)
    settings = {"max_gen_len": call.request.max_tokens, "temperature": call.request.temperature}
    return {"prompt": f"<|begin_of_text|>{prompt}{before}assistant{behind}\n\n", **_given(settings)}


def encode_mistral(call: Call, traits: Traits) -> dict[str, Any]:
    """The body for the Mistral models that take a prompt; raises `UNSUPPORTED` for what it has no place for."""
    system, turns = _texts(call, traits, _unmarked)
    if system:
        first = turns[0][1] if turns[0][0] == "user" else ""
        turns = [("user", "\n\n".join([*system, first]).rstrip()), *(turns[1:] if first else turns)]
    pieces = [f"[INST] {text} [/INST]" if role == "user" else f" {text}</s>" for role, text in turns]
    settings = {"max_tokens": call.request.max_tokens, "temperature": temperature_to_send(call.request, traits.able)}
    body = {"prompt": "<s>" + "".join(pieces), **_given(settings)}
    return {**body, "stop": list(call.request.stop)} if call.request.stop else body


def take_llama(payload: Mapping[str, Any], answer: GatheredAnswer) -> ChatChunk | None:
    """Take in a whole reply, or one piece of a stream."""
    if not isinstance(payload.get("generation"), str):
        raise answer.call.bad_reply("the reply has no generation", payload)
    answer.count(payload, LLAMA_USAGE)
    answer.end(payload.get("stop_reason"))
    return answer.say(payload["generation"])


def take_mistral(payload: Mapping[str, Any], answer: GatheredAnswer) -> ChatChunk | None:
    """Take in a whole reply, or one piece of a stream."""
    outputs = payload.get("outputs")
    if not isinstance(outputs, list) or not outputs or not isinstance(outputs[0], dict):
        raise answer.call.bad_reply("the reply has no outputs", payload)
    answer.end(outputs[0].get("stop_reason"))
    return answer.say(outputs[0].get("text"))


def _texts(call: Call, traits: Traits, clean: Callable[[str], str]) -> tuple[list[str], list[tuple[str, str]]]:
    refuse_impossible(call, replace(traits, able=traits.able - {"tools", "images"}))
    system, turns = conversation(call, traits)
    return [clean(text) for text in system], [(turn["role"], clean(_text(turn))) for turn in turns]


def _text(turn: Turn) -> str:
    return "\n\n".join(block["text"] for block in turn["content"])


def _unmarked(text: str) -> str:
    return _MISTRAL_MARK.sub(lambda mark: f"{mark[0]} ", text)


def _given(settings: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in settings.items() if value is not None}
