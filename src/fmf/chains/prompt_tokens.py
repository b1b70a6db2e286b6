"""How many tokens a prompt has: exact where the vocabulary and the framing of the model are known, else an estimate."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from chatmodels.worst_case import most_prompt_tokens
from fmf.processing.cutting.tokens import count

if TYPE_CHECKING:
    from chatmodels.types import ChatRequest
    from fmf.chains.stand_ins import StandIns
    from fmf.config.models import FmfConfig

# The vocabularies of OpenAI's models, and whether it is known what their servers put around each message.
_VOCABULARIES: Final = (
    (re.compile(r"(?:chat)?gpt-4o|gpt-4\.[15]"), "o200k_base", True),
    (re.compile(r"gpt-5|o[1-9]"), "o200k_base", False),
    (re.compile(r"gpt-4|gpt-3\.?5"), "cl100k_base", True),
    (re.compile(r"(?:openai\.)?gpt-oss"), "o200k_harmony", False),
)
_AROUND_A_MESSAGE: Final = 4
"""Three marks and the role."""
_AROUND_ALL: Final = 3
"""With what the answer begins."""
_PICTURE: Final = 1_100
"""What a picture of a megapixel takes, about."""
_BYTES_A_TOKEN: Final = 8


@dataclass(frozen=True, slots=True)
class PromptSize:
    """The tokens of one prompt."""

    tokens: int
    """Of what is known of it."""
    is_exact: bool
    pending: Counter[int]
    """How many answers stand in it that are not there yet, by the number of their step."""
    most: int
    """What a budget takes the part that is known for."""

    def with_answers(self, tokens: int) -> tuple[int, int]:
        """The whole of it with so many tokens of answers: about how many, and what a budget takes it for."""
        return self.tokens + tokens, self.most + _BYTES_A_TOKEN * tokens


class PromptCounter:
    """Counts prompts as the configured provider will.

    Args:
        stand_ins: what stands for answers.
        config: the configuration; where the vocabulary of a model is not known, that of
            `processing.text.chunking.tokenizer` makes the estimate.
    """

    def __init__(self, stand_ins: StandIns, config: FmfConfig) -> None:
        self._stand_ins = stand_ins
        inference = config.inference
        self._provider = inference.provider
        self._counts_words = self._provider == "mock" and not {"usage", "count_tokens"} & set(inference.options)
        self._tokenizer = config.processing.text.chunking.tokenizer

    def size(self, request: ChatRequest, model: str) -> PromptSize:
        """The size of the prompt of `request`, which goes to the model of that name."""
        pieces: list[str] = []
        pending: Counter[int] = Counter()
        for message in request.messages:
            known, marks = self._stand_ins.fixed_parts(message.text)
            pieces += known
            pending += marks
        most = most_prompt_tokens(request, model)
        if self._counts_words:
            words = sum(len(piece.split()) for piece in pieces)
            return PromptSize(words, is_exact=True, pending=pending, most=most)
        vocabulary, is_exact = self._vocabulary(model)
        tokens = sum(count(pieces, vocabulary)) + _AROUND_A_MESSAGE * len(request.messages) + _AROUND_ALL
        if request.images:
            tokens, is_exact = tokens + _PICTURE * len(request.images), False
        if request.response_format is not None and request.response_format.json_schema is not None:
            import orjson

            schema = orjson.dumps(request.response_format.json_schema).decode()
            tokens, is_exact = tokens + sum(count([schema], vocabulary)), False
        return PromptSize(tokens, is_exact, pending, most)

    def _vocabulary(self, model: str) -> tuple[str, bool]:
        for pattern, vocabulary, is_exact in _VOCABULARIES:
            if pattern.match(model):
                return vocabulary, is_exact
        return self._tokenizer, False
