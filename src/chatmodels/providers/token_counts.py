"""The token counts of a reply, as usage of the house; an answer that cannot be used is paid as well."""

from __future__ import annotations

from dataclasses import dataclass

from chatmodels.errors import ChatModelError
from chatmodels.families import CHARACTERS_PER_TOKEN
from chatmodels.providers.call import Call
from chatmodels.providers.checks import count
from chatmodels.types import TokenUsage


@dataclass(frozen=True, slots=True)
class Counts:
    """The token counts of a reply as they stood there, whatever their types."""

    prompt: object = None
    """With what the provider read from its cache or put there."""
    completion: object = None
    cached: object = None
    reasoning: object = None
    written: object = None
    """What went into the provider's cache."""

    def usage(self, call: Call, *, model: str, answer: str) -> TokenUsage:
        """The provider's counts; where it sends none, an estimate of four characters to a token."""
        prompt, completion = count(self.prompt), count(self.completion)
        if prompt is None:
            prompt = _estimate("".join(message.text for message in call.request.messages))
        if completion is None:
            completion = _estimate(answer)
        return TokenUsage(
            prompt_tokens=prompt,
            completion_tokens=completion,
            model=model,
            provider=call.provider,
            cached_tokens=min(count(self.cached) or 0, prompt),
            cache_write_tokens=min(count(self.written) or 0, prompt),
            reasoning_tokens=min(count(self.reasoning) or 0, completion),
            estimated=not self.complete,
        )

    @property
    def complete(self) -> bool:
        """Whether the provider counted prompt and answer."""
        return count(self.prompt) is not None and count(self.completion) is not None


def charged(error: ChatModelError, counts: Counts, call: Call) -> ChatModelError:
    """`error` with the `usage` of the answer that could not be used, where the provider counted: it costs as well."""
    if counts.complete:
        error.fields["usage"] = counts.usage(call, model=call.request.model, answer="")
    return error


def _estimate(text: str) -> int:
    return -(-len(text) // CHARACTERS_PER_TOKEN)
