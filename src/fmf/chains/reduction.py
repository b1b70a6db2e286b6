"""A step that collects answers: a prompt that its model cannot take is refused, or reduced in a tree."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from fmf.chains.forecast import window_of
from generative_ai_workflow.control_flow.branches import side_by_side
from generative_ai_workflow.exceptions import Code, StepError
from generative_ai_workflow.reference import Path, look_up
from generative_ai_workflow.step import LLMStep

if TYPE_CHECKING:
    from chatmodels.types import ChatRequest
    from fmf.chains.prompt_tokens import PromptCounter
    from generative_ai_workflow.context import StepContext

_DOUBT: Final = 1.2
"""How far an estimate may be off."""
_SMALLER: Final = 0.8


class CollectingStep(LLMStep):
    """Asks a model about the answers of others, if the prompt fits its window.

    In a tree, as many answers as fit are asked about at a time, in their order; then the same prompt is asked about
    what came of them, until all of it fits.

    Args:
        step: what is asked.
        path: where the list of answers stands that may be reduced; `None` refuses what does not fit.
        counter: counts prompts.
        concurrency: how many groups at a time.
    """

    def __init__(self, step: LLMStep, path: Path | None, counter: PromptCounter, concurrency: int) -> None:
        vars(self).update(vars(step))
        self._path = path
        self._counter = counter
        self._at_once = concurrency

    async def perform(self, context: StepContext) -> dict[str, Any]:
        """The model's answer.

        Raises:
            StepError: the prompt does not fit, and nothing says how to reduce it, or it cannot be reduced.
        """
        size, room = self._measured(context)
        if room is None or size <= room:
            return await super().perform(context)
        if self._path is None:
            raise _too_large(size, room, "write `reduce: tree` in the step, or take less (max_chars of join)")
        answers = look_up(self._path, context.roots)
        while True:
            groups = self._groups(context, answers, size, room)
            answers = await self._asked(context, groups)
            whole = self._with(context, answers)
            size, room = self._measured(whole)
            if room is None or size <= room:
                return await super().perform(whole)

    def _groups(self, context: StepContext, answers: Sequence[Any], size: int, room: int) -> list[Sequence[Any]]:
        """`answers` in as few pieces as fit, none of them much smaller than it need be."""
        groups: list[Sequence[Any]] = []
        begin, guess = 0, max(1, int(len(answers) * room / size))
        while begin < len(answers):
            count = guess
            while (found := self._measured(self._with(context, answers[begin : begin + count]))[0]) > room:
                if count == 1:
                    raise _too_large(found, room, "the prompt does not fit with a single answer: let these be shorter")
                count = max(1, int(count * _SMALLER))
            groups.append(answers[begin : begin + count])
            begin += count
        if max(map(len, groups)) == 1:
            raise _too_large(size, room, "no two answers fit together, so there is no end to it: let these be shorter")
        return groups

    async def _asked(self, context: StepContext, groups: Sequence[Sequence[Any]]) -> list[Any]:
        answers: list[Any] = [None] * len(groups)

        async def ask(number: int) -> None:
            output = await LLMStep.perform(self, self._with(context, groups[number]))
            answers[number] = output[str(self.output_key)]

        await side_by_side(ask, len(groups), self._at_once)
        return answers

    def _with(self, context: StepContext, answers: Sequence[Any]) -> StepContext:
        """`context` with other answers in the place of the list."""
        assert self._path is not None  # noqa: S101 - only what has a path is reduced
        return context.inner(_replaced(context.names, self._path, list(answers)))

    def _measured(self, context: StepContext) -> tuple[int, int | None]:
        """The tokens of the prompt, and how many the model takes; `None` where that is not known."""
        request = self.request(context)
        info = context.model_info(request, self.provider)
        model = request.named_model or info.name
        window = window_of(model) or info.context_tokens
        if not window:
            return 0, None
        return self._tokens(request, model), window - (request.max_tokens or 0)

    def _tokens(self, request: ChatRequest, model: str) -> int:
        found = self._counter.size(request, model)
        return found.tokens if found.is_exact or self._path is None else int(found.tokens * _DOUBT)


def _replaced(names: Mapping[str, Any], path: Path, value: Any) -> dict[str, Any]:
    first, *rest = path
    return {first: {**names[first], **_replaced(names[first], tuple(rest), value)} if rest else value}


def _too_large(size: int, room: int, hint: str) -> StepError:
    return StepError(
        f"the prompt has {size:,} tokens, and the model takes {room:,} besides the answer",
        op="chain.collect",
        code=Code.INVALID,
        hint=hint,
    )
