"""The metrics of chat calls: their instruments, and the attributes under which one model's calls are counted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

from chatmodels.conventions import Profile, Shape
from chatmodels.types import TokenUsage
from fmf_core.telemetry import Counter, Histogram, Plain, counter, histogram, plain

MOST_NAMES = 64
"""How many names of answering models, or kinds of failure, are kept ready for one model that is asked."""


class Instruments:
    """The instruments of the chosen profiles, each list in the order of the profiles."""

    __slots__ = ("durations", "first_pieces", "next_pieces", "tokens", "totals")

    def __init__(self, profiles: Sequence[Profile]) -> None:
        self.durations = [_histogram(profile.duration) for profile in profiles]
        self.first_pieces = [_histogram(profile.time_to_first_chunk) for profile in profiles]
        self.next_pieces = [_histogram(profile.time_per_output_chunk) for profile in profiles]
        self.tokens = [
            (_histogram(shape), kind, {profile.token_type: kind} if profile.token_type else {})
            for profile in profiles
            for kind, shape in profile.tokens.items()
        ]
        self.totals = [(_counter(shape), kind) for profile in profiles for kind, shape in profile.totals.items()]

    def record_duration(self, seconds: float, attributes: Plain, context: Any) -> None:
        """Count one call that took `seconds`."""
        for duration in self.durations:
            duration.record(seconds, attributes, context=context)

    def record_pieces(self, seconds: Sequence[float], attributes: Plain, context: Any) -> None:
        """Count the pieces of one stream: `seconds` to the first, then from each to the next."""
        for instrument in self.first_pieces if seconds else ():
            instrument.record(seconds[0], attributes, context=context)
        for instrument in self.next_pieces:
            for duration in seconds[1:]:
                instrument.record(duration, attributes, context=context)

    def record_tokens(
        self, usage: TokenUsage | None, answers: AnswerAttributes, context: Any, *, text_only: bool
    ) -> None:
        """Count what one call took.

        Args:
            usage: the provider's counts; `None` where there are none or nothing was paid, and then nothing is guessed.
            answers: whose tokens they are.
            context: of the call's span.
            text_only: whether the request was text alone; else it is unknown of which kind its tokens are.
        """
        if usage is None:
            for total, _ in self.totals:
                total.add(0, answers.unknown, context=context)
            return
        for tokens, kind, attributes in answers.tokens:
            tokens.record(COUNTS[kind](usage), attributes, context=context)
        for total, kind in self.totals:
            count = COUNTS[kind](usage)
            # That the input was empty is worth a record; that nothing was read from a cache is not.
            if count or "." not in kind:
                known = text_only or kind.endswith("output")
                total.add(count, answers.text if known else answers.unknown, context=context)


COUNTS: Mapping[str, Any] = {
    "input": lambda usage: usage.prompt_tokens,
    "output": lambda usage: usage.completion_tokens,
    "cache_read.input": lambda usage: usage.cached_tokens,
    "cache_write.input": lambda usage: usage.cache_write_tokens,
    "reasoning.output": lambda usage: usage.reasoning_tokens,
}
"""Kinds of tokens, as the profiles call them, to their counts."""


class Series:
    """What all calls of one model at one server have in common.

    Args:
        attributes: operation, provider, model and server.
        more: what their spans say besides, and their metrics do not.
        instruments: what they are counted with.
    """

    __slots__ = ("_answers", "_failures", "_instruments", "attributes", "started", "title")

    def __init__(self, attributes: Mapping[str, Any], more: Mapping[str, Any], instruments: Instruments) -> None:
        self.attributes = plain(attributes)
        self.started = Plain({**self.attributes, **plain(more)})
        self.title = f"chat {self.attributes['gen_ai.request.model']}"
        self._instruments = instruments
        self._answers: dict[str | None, AnswerAttributes] = {}
        self._failures: dict[str, Plain] = {}

    def answers(self, model: str | None) -> AnswerAttributes:
        """The attributes for answers of `model`; `None` is a model that did not tell its name."""
        found = self._answers.get(model)
        if found is None:
            if len(self._answers) >= MOST_NAMES:
                self._answers.clear()
            attributes = Plain({**self.attributes, **plain({"gen_ai.response.model": model})})
            found = self._answers[model] = AnswerAttributes(attributes, self._instruments)
        return found

    def failures(self, error_type: str) -> Plain:
        """The attributes for failures of one kind."""
        found = self._failures.get(error_type)
        if found is None:
            if len(self._failures) >= MOST_NAMES:
                self._failures.clear()
            found = self._failures[error_type] = Plain({**self.attributes, "error.type": error_type})
        return found


class AnswerAttributes:
    """The attributes of all answers by one model."""

    __slots__ = ("attributes", "text", "tokens", "unknown")

    def __init__(self, attributes: Plain, instruments: Instruments) -> None:
        self.attributes = attributes
        self.tokens = [(made, kind, Plain({**attributes, **more})) for made, kind, more in instruments.tokens]
        self.text = Plain({**attributes, "gen_ai.token.modality": "text"})
        self.unknown = Plain({**attributes, "gen_ai.token.modality": "unknown"})


@cache
def _histogram(shape: Shape) -> Histogram:
    return histogram(shape.name, unit=shape.unit, description=shape.description, buckets=shape.buckets)


@cache
def _counter(shape: Shape) -> Counter:
    return counter(shape.name, unit=shape.unit, description=shape.description)
