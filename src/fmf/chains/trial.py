"""Prompts tried on a sample: what a model answers to each row, and how often it is what was expected."""

from __future__ import annotations

import asyncio
import heapq
import json
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from itertools import chain, islice
from typing import TYPE_CHECKING, Any, Final

from fmf.chains.sample import SampleRow, sample_rows
from fmf.chains.single import check_names, turns_of
from fmf.errors import AuthError, ConfigError
from fmf_core.errors import Code, FrameworkError
from fmf_core.nearest import known_hint
from fmf_core.portal import run_sync
from fmf_core.redact import blank_known

if TYPE_CHECKING:
    from chatmodels.iface import ChatModel
    from fmf.auth.base import Secrets
    from fmf.config.loader import LoadedConfig
    from fmf.prompts.prompt import Prompt

MOST_KEPT: Final = 100
"""How many wrong and how many failed rows are kept to be shown, the first of the sample."""
MOST_PAIRS: Final = 1_000
"""How many pairs of expected and answered are counted apart."""
LONGEST_LABEL: Final = 80
"""Characters of a label; of longer answers the beginning counts."""


@dataclass(frozen=True, slots=True)
class Sample:
    """Which rows to try a prompt on."""

    path: str
    limit: int | None = None
    """How many rows to take from the beginning; `None` is all."""
    concurrency: int = 8
    """How many calls at once."""


@dataclass(frozen=True, slots=True)
class Reply:
    """What came of one question."""

    text: str = ""
    error: FrameworkError | None = None
    """Why there is no answer."""
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cost_usd: float | None = 0.0
    """`None` where the price is unknown."""


@dataclass(slots=True)
class Spent:
    """What the questions to one prompt took."""

    answered: int = 0
    failed: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cost_usd: float | None = 0.0
    """`None` once the price of an answer is unknown."""
    first_error: FrameworkError | None = None

    def add(self, reply: Reply) -> None:
        """Count one answer."""
        self.answered += reply.error is None
        self.failed += reply.error is not None
        self.first_error = self.first_error or reply.error
        self.prompt_tokens += reply.prompt_tokens
        self.completion_tokens += reply.completion_tokens
        known = self.cost_usd is not None and reply.cost_usd is not None
        self.cost_usd = self.cost_usd + reply.cost_usd if known else None  # type: ignore[operator]


@dataclass(slots=True)
class Verdict:
    """How a prompt did on a labelled sample."""

    right: int = 0
    unlabelled: int = 0
    """Rows without an expected answer; they are not asked and do not count."""
    spent: Spent = field(default_factory=Spent)
    confusion: Counter[tuple[str, str]] = field(default_factory=Counter)
    """How often each answer came where each was expected; see `MOST_PAIRS`."""
    _wrong: list[tuple[int, str, str]] = field(default_factory=list)
    _failed: list[tuple[int, str, str]] = field(default_factory=list)

    @property
    def rows(self) -> int:
        """Rows that were asked."""
        return self.spent.answered + self.spent.failed

    @property
    def wrong(self) -> int:
        """Rows that were answered with something else."""
        return self.spent.answered - self.right

    @property
    def accuracy(self) -> float:
        """The share of rows that were answered as expected; a row without an answer was not."""
        return self.right / self.rows if self.rows else 0.0

    @property
    def wrong_rows(self) -> list[tuple[int, str, str]]:
        """Number, expected and answered of the first `MOST_KEPT` wrong rows."""
        return sorted((-number, expected, answered) for number, expected, answered in self._wrong)

    @property
    def failures(self) -> list[tuple[int, str, str]]:
        """Number, code and message of the first `MOST_KEPT` rows without an answer."""
        return sorted((-number, code, message) for number, code, message in self._failed)

    def add(self, row: SampleRow, expected: Any, reply: Reply) -> None:
        """Count what came of one row."""
        self.spent.add(reply)
        if reply.error is not None:
            _keep(self._failed, (-row.number, str(reply.error.code), blank_known(reply.error.message)))
            return
        is_right = agrees(expected, reply.text)
        self.right += is_right
        wanted, got = blank_known(label_of(expected)), blank_known(label_of(reply.text))
        pair = (wanted[:LONGEST_LABEL], wanted[:LONGEST_LABEL] if is_right else got[:LONGEST_LABEL])
        if pair in self.confusion or len(self.confusion) < MOST_PAIRS:
            self.confusion[pair] += 1
        if not is_right:
            _keep(self._wrong, (-row.number, wanted, got))


@dataclass(frozen=True, slots=True)
class Pair:
    """What two prompts got for one row."""

    number: int
    old: Reply
    new: Reply

    @property
    def same(self) -> bool:
        """Whether both were answered, and alike."""
        return not self.old.error and not self.new.error and agrees(self.old.text, self.new.text)


@dataclass(frozen=True, slots=True)
class Trial:
    """A model with the settings of the configuration, ready to be asked.

    Raises of every method:
        AuthError: the model's key is missing or refused.
        ConfigError: the sample has no such column, or the configuration does not fit the model.
        NothingMatchedError, ProcessingError: as `sample_rows`.
    """

    loaded: LoadedConfig
    model: ChatModel

    @classmethod
    def of(cls, loaded: LoadedConfig, secrets: Secrets) -> Trial:
        """A trial with the configured model; raises as `build_client`."""
        from fmf.inference.client import build_client

        return cls(loaded, build_client(loaded.value, secrets, root=loaded.root))

    @property
    def model_name(self) -> str:
        """The model that is asked."""
        return self.model.get_model_info().name

    def judge(self, prompt: Prompt, sample: Sample, expect: str) -> Verdict:
        """Ask about every row and compare the answers with the column `expect`; blocking.

        An answer is right when it is the expected text but for blanks around it, or the same JSON value.
        """
        verdict = Verdict()

        async def ask(row: SampleRow) -> None:
            expected = row.values.get(expect)
            if expected is None or (isinstance(expected, str) and not expected.strip()):
                verdict.unlabelled += 1
                return
            verdict.add(row, expected, await self._reply(prompt, row.values))

        def check(row: SampleRow) -> None:
            if expect not in row.values:
                raise ConfigError(
                    f"the sample {sample.path!r} has no column {expect!r}",
                    op="prompts.sample",
                    hint=known_hint(expect, list(row.values)),
                )
            self._check(prompt, row)

        self._go_through(sample, check, ask)
        if not verdict.rows:
            raise ConfigError(
                f"no row of the sample {sample.path!r} has anything in column {expect!r}",
                op="prompts.sample",
                hint="fill in the expected answers, or name another column with --expect",
            )
        return verdict

    def compare(self, old: Prompt, new: Prompt, sample: Sample) -> list[Pair]:
        """Ask both prompts about every row; blocking. All answers are kept, so give `sample` a limit."""
        pairs: list[Pair] = []

        async def ask(row: SampleRow) -> None:
            # One after the other, so that no more calls are under way than were allowed.
            first = await self._reply(old, row.values)
            pairs.append(Pair(row.number, first, await self._reply(new, row.values)))

        def check(row: SampleRow) -> None:
            self._check(old, row)
            self._check(new, row)

        self._go_through(sample, check, ask)
        return sorted(pairs, key=lambda pair: pair.number)

    def _check(self, prompt: Prompt, row: SampleRow) -> None:
        check_names(prompt, row.values, "the columns of the sample give the values: rename one to {name}")

    def _go_through(
        self, sample: Sample, check: Callable[[SampleRow], None], ask: Callable[[SampleRow], Awaitable[None]]
    ) -> None:
        with closing(sample_rows(sample.path, self.loaded.value.processing)) as rows:  # type: ignore[type-var]
            first = next(rows)
            check(first)
            self.model.check_ready()
            run_sync(_side_by_side(islice(chain([first], rows), sample.limit), ask, sample.concurrency))

    async def _reply(self, prompt: Prompt, values: Mapping[str, Any]) -> Reply:
        from chatmodels.types import ChatRequest

        try:
            turns = turns_of(prompt, values, self.loaded.value.inference.system_prompt)
            response = await self.model.ainvoke(ChatRequest(messages=turns))
        except Exception as error:
            if isinstance(error, AuthError | ConfigError) or getattr(error, "code", None) is Code.AUTH:
                raise  # what is wrong for one is wrong for all
            return Reply(error=_told(error))
        usage = response.usage
        return Reply(
            text=response.content,
            prompt_tokens=usage.prompt_tokens,
            completion_tokens=usage.completion_tokens,
            cost_usd=response.cost_usd,
        )


def agrees(expected: Any, answer: str) -> bool:
    """Whether an answer is what was expected: the same text but for blanks around it, or the same JSON value."""
    if isinstance(expected, str):
        if expected.strip() == answer.strip():
            return True
        found, expected = _json(expected)
        if not found:
            return False
    found, answered = _json(answer)
    return found and _same(expected, answered)


def label_of(value: Any) -> str:
    """A value on one line: a text without blanks around it, anything else as compact JSON."""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return " ".join(text.split())


async def _side_by_side(
    rows: Iterator[SampleRow], ask: Callable[[SampleRow], Awaitable[None]], concurrency: int
) -> None:
    async def work() -> None:
        for row in rows:
            await ask(row)

    failure: BaseException | None = None
    try:
        async with asyncio.TaskGroup() as group:
            for _ in range(concurrency):
                group.create_task(work())
    except BaseExceptionGroup as failures:
        failure = failures.exceptions[0]
    if failure is not None:
        raise failure


def _told(error: Exception) -> FrameworkError:
    if isinstance(error, FrameworkError):
        return error
    from fmf.errors import InferenceError

    return InferenceError(f"{type(error).__name__}: {error}", op="prompts.sample", code=Code.INTERNAL)


def _keep(kept: list[tuple[int, str, str]], item: tuple[int, str, str]) -> None:
    # The numbers are negative: what the heap gives away first is then the last row.
    if len(kept) < MOST_KEPT:
        heapq.heappush(kept, item)
    else:
        heapq.heappushpop(kept, item)


def _json(text: str) -> tuple[bool, Any]:
    try:
        return True, json.loads(text)
    except (ValueError, RecursionError):
        return False, None


def _same(one: Any, other: Any) -> bool:
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(_same(value, other[name]) for name, value in one.items())
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(_same, one, other))
    return bool(isinstance(one, bool) == isinstance(other, bool) and one == other)
