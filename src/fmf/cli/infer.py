"""`fmf infer`: one question."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import click

from fmf.cli.output import emit_json, emit_text, note, warn
from fmf.cli.session import Session, command
from fmf_core.redact import Blanking, blank_known

if TYPE_CHECKING:
    from chatmodels.types import ChatResponse
    from fmf.chains.single import Question


_REFERENCE = re.compile(r"[\w./-]+#[\w.-]+")
HELP = """Ask the model once; the answer goes to stdout.

Ask a QUESTION as it stands, or give a prompt with --prompt. The input fills {{ text }} of the prompt; a question
that does not mention it is followed by it.
"""


@command("infer", help=HELP)
@click.argument("words", metavar="[QUESTION]", nargs=-1)
@click.option("--prompt", metavar="REF", help="id#version, path.yaml#version or 'inline: text'.")
@click.option("--input", "source", metavar="FILE", help="The file that fills {{ text }}; - is stdin.")
@click.option("--var", "variables", metavar="NAME=VALUE", multiple=True, help="A further name of the prompt.")
@click.option("--stream", is_flag=True, help="Write the answer as it comes; inference.mode is for every call.")
def infer(
    session: Session,
    words: tuple[str, ...],
    *,
    prompt: str | None,
    source: str | None,
    variables: tuple[str, ...],
    stream: bool,
) -> None:
    """Ask once and tell what it took."""
    from fmf.chains.single import question, read_text

    prompt = _prompt(" ".join(words), prompt, with_input=source is not None)
    values = dict(_variable(given) for given in variables)
    loaded = session.loaded
    session.begin()
    if source is not None:
        values = {"text": read_text(source, loaded.value.processing.limits.max_file_mb), **values}
    asked = question(loaded, session.secrets, prompt, values)
    session.warn_of_planned()
    streamed = _in_pieces(asked, "stream" if stream else loaded.value.inference.mode)
    response = _streamed(asked, silent=session.json) if streamed else asked.ask()
    if session.json:
        emit_json(_as_json(response))
    elif not streamed:
        emit_text(blank_known(response.content))
    note(_telemetry(response))
    if response.finish_reason == "length":
        warn("the answer was cut by max_tokens")


def _prompt(asked: str, prompt: str | None, *, with_input: bool) -> str:
    """The prompt that the command line means, as a reference."""
    if asked.strip() and prompt is not None:
        raise click.UsageError(f"there is a question, {asked!r}, and a prompt, {prompt!r}; give one of them")
    if prompt is not None:
        return prompt
    if not asked.strip():
        raise click.UsageError("nothing to ask: write a question, fmf infer 'Say hello', or give --prompt REF")
    if asked.startswith("inline:") or _REFERENCE.fullmatch(asked):
        raise click.UsageError(f"{asked!r} looks like a prompt; write --prompt '{asked}'")
    from fmf.prompts.prompt import template_names

    mentions_text = "text" in template_names(asked)
    return f"inline: {asked}\n\n{{{{ text }}}}" if with_input and not mentions_text else f"inline: {asked}"


def _variable(given: str) -> tuple[str, str]:
    name, sign, value = given.partition("=")
    if not sign or not name.strip():
        raise click.BadParameter(f"{given!r} is not NAME=VALUE", param_hint="--var")
    return name.strip(), value


def _in_pieces(asked: Question, mode: str) -> bool:
    """Whether to ask for pieces; where they are insisted on and cannot be had, nothing is asked."""
    if mode == "whole":
        return False
    reason = asked.why_whole()
    if reason is None:
        return True
    if mode == "stream":
        from fmf.errors import InferenceError
        from fmf_core.errors import Code

        hint = "set inference.mode to auto or whole, leave --stream out, or choose another model"
        raise InferenceError(reason, op="infer", code=Code.UNSUPPORTED, hint=hint)
    note(f"the answer comes whole: {reason}")
    return False


def _streamed(asked: Question, *, silent: bool) -> ChatResponse:
    whole = None
    blanking = Blanking()
    for piece in asked.stream():
        text = blanking.feed(piece) if isinstance(piece, str) else blanking.finish()
        whole = None if isinstance(piece, str) else piece
        if text and not silent:
            emit_text(text, end="")
    if whole is None:
        raise RuntimeError("a stream ends with the whole answer")
    if not silent:
        emit_text("")
    return whole


def _as_json(response: ChatResponse) -> dict[str, object]:
    usage = response.usage
    return {
        "text": blank_known(response.content),
        "model": response.model,
        "usage": {
            "prompt_tokens": usage.prompt_tokens,
            "completion_tokens": usage.completion_tokens,
            "total_tokens": usage.total_tokens,
        },
        "cost_usd": response.cost_usd,
        "finish_reason": response.finish_reason,
        "latency_ms": round(response.latency_ms, 3),
        "attempts": response.attempts,
    }


def _telemetry(response: ChatResponse) -> str:
    cost = "unknown" if response.cost_usd is None else f"${response.cost_usd:.6f}"
    usage = response.usage
    return (
        f"model={response.model} tokens={usage.prompt_tokens}+{usage.completion_tokens} cost={cost} "
        f"latency={response.latency_ms:.0f}ms attempts={response.attempts} finish_reason={response.finish_reason}"
    )
