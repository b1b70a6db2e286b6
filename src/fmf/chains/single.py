"""One question outside any chain: a prompt, a text, and the answer whole or in pieces."""

from __future__ import annotations

import io
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from fmf.errors import ConfigError
from fmf.types import ResourceRef
from fmf_core.errors import Code

if TYPE_CHECKING:
    from chatmodels.iface import ChatModel
    from chatmodels.types import ChatChunk, ChatRequest, ChatResponse, Message
    from fmf.auth.base import Secrets
    from fmf.config.loader import LoadedConfig
    from fmf.processing.source import Source
    from fmf.prompts.prompt import Prompt

STDIN = "-"


@dataclass
class Question:
    """A request that is ready to be sent, and the model that answers it."""

    request: ChatRequest
    model: ChatModel
    prices: Mapping[str, Any] = field(default_factory=dict)

    def ask(self) -> ChatResponse:
        """The whole answer, blocking.

        Raises:
            InferenceError: the model could not answer.
        """
        return self.model.complete(self.request)

    def why_whole(self) -> str | None:
        """Why the model cannot answer in pieces; None when it can."""
        info = self.model.get_model_info()
        if not info.capabilities or "stream" in info.capabilities:
            return None
        return f"model {info.name!r} of provider {info.provider!r} cannot answer in pieces"

    def stream(self) -> Iterator[str | ChatResponse]:
        """The pieces of the answer as they come, then the answer as a whole; blocking.

        Raises:
            InferenceError: the model could not answer, or broke off.
        """
        from chatmodels.pieces import joined_anyway
        from chatmodels.pricing import cost_of_answer
        from chatmodels.types import TokenUsage

        begun = time.perf_counter()
        chunks: list[ChatChunk] = []
        for chunk in self.model.stream(self.request):
            chunks.append(chunk)
            if chunk.text:
                yield chunk.text
        name, provider = self.model.get_model_info().name, self.model.provider_name
        uncounted = TokenUsage(prompt_tokens=0, completion_tokens=0, model=name, provider=provider, estimated=True)
        answer = joined_anyway(chunks, uncounted)
        counted = None if answer.usage is uncounted else answer.usage
        cost = cost_of_answer(counted, self.prices, failed=answer.failed_usage, cached=answer.cached)
        yield answer.model_copy(
            update={
                "latency_ms": 1000 * (time.perf_counter() - begun),
                "cost_usd": cost,
            }
        )


def question(loaded: LoadedConfig, secrets: Secrets, prompt: str, values: Mapping[str, str]) -> Question:
    """The request that `prompt` makes of `values`, and the configured model.

    Args:
        loaded: the configuration.
        secrets: where the model's key is found.
        prompt: `id#version`, `path.yaml#version` or `inline: text`.
        values: what stands for the names of the template.

    Raises:
        PromptError: there is no such prompt, or it has changed since it was registered.
        ConfigError: a name of the template has no value.
        AuthError: the model's key is missing.
    """
    from chatmodels.types import ChatRequest
    from fmf.inference.client import build_client
    from fmf.prompts.registry import PromptRegistry

    found = PromptRegistry.from_config(loaded.value.prompt_registry, loaded.root).resolve(prompt)
    wanted = "--input FILE (- is stdin), or --var text=..." if "text" not in values else "--var {name}=..."
    check_names(found, values, f"give it with {wanted}")
    request = ChatRequest(messages=turns_of(found, values, loaded.value.inference.system_prompt))
    model = build_client(loaded.value, secrets, root=loaded.root)
    return Question(request, model, loaded.value.inference.prices)


def turns_of(prompt: Prompt, values: Mapping[str, Any], system_prompt: str | None) -> tuple[Message, ...]:
    """The conversation that a prompt makes of `values`: system text, examples, question.

    Args:
        prompt: the prompt.
        values: what stands for its names.
        system_prompt: the system text where the prompt has none of its own.

    Raises:
        PromptError: a name has no value, or the question came out empty.
    """
    from chatmodels.types import Message

    system = prompt.system if prompt.system is not None else system_prompt
    turns = [Message(role="system", content=_filled(system, values))] if system else []
    for asked, answered in prompt.examples:
        turns += [Message(role="user", content=asked), Message(role="assistant", content=answered)]
    text = prompt.render(values)
    if not text.strip():
        raise ConfigError(
            f"prompt {prompt.ref!r} came out empty", op="infer", hint="look at the input and the variables"
        )
    return (*turns, Message(role="user", content=text))


def check_names(prompt: Prompt, values: Mapping[str, Any], advice: str) -> None:
    """Refuse a prompt that mentions or requires a name which nothing provides.

    Raises:
        ConfigError: names the prompt, the names and what is provided; `advice` may use `{name}`.
    """
    missing = sorted({*prompt.names, *prompt.required} - set(values))
    if missing:
        raise ConfigError(
            f"prompt {prompt.ref!r} needs {', '.join(map(repr, missing))}, which nothing provides; "
            f"provided: {', '.join(sorted(values)) or 'nothing'}",
            op="prompts.check",
            hint=advice.format(name=missing[0]),
        )


def read_text(path: str, max_file_mb: float) -> str:
    """The text of a file in any text encoding; `-` is stdin.

    Raises:
        ConfigError: there is no such file, or it cannot be opened.
        ProcessingError: it is too large, or no text.
    """
    from fmf.processing.characters.decode import decoded, encoding_of

    with reading(path, max_file_mb, "--input") as source:
        return "".join(decoded(source, encoding_of(source)))


@contextmanager
def reading(path: str, max_file_mb: float, option: str) -> Iterator[Source]:
    """A file that `option` of a command names, open; `-` is stdin; raises as `read_text`."""
    from fmf.processing.source import MEGABYTE, fetch

    ref = ResourceRef(path, "stdin" if path == STDIN else Path(path).absolute().as_uri(), Path(path).name)
    with fetch(_OneFile(option), ref, max_bytes=max_file_mb * MEGABYTE) as source:
        yield source


@dataclass(frozen=True, slots=True)
class _OneFile:
    """Opens the file or the stream that a command names."""

    option: str

    def open(self, ref: ResourceRef) -> BinaryIO:
        if ref.id == STDIN:
            return io.BytesIO(sys.stdin.buffer.read())
        try:
            return Path(ref.id).open("rb")
        except OSError as error:
            code = Code.NOT_FOUND if isinstance(error, FileNotFoundError) else Code.INVALID
            raise ConfigError(
                f"the input {ref.id!r} cannot be opened: {error.strerror}",
                op="infer",
                code=code,
                hint=f"check the path after {self.option}; - is stdin",
            ) from error


def _filled(system: str, values: Mapping[str, str]) -> str:
    from generative_ai_workflow.template import Template

    return Template(system, syntax="double").render(values)
