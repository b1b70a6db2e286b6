"""A chain that is ready to run, and what its caller wants of the run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from fmf.chains.sampling import Sample

if TYPE_CHECKING:
    from chatmodels.iface import ChatModel
    from fmf.chains.changes import Since
    from fmf.chains.plan import ChainPlan
    from fmf.chains.spec import LoadedChain
    from fmf.chains.unfinished import Unfinished
    from fmf.config.loader import LoadedConfig
    from fmf.connectors.base import DataConnector


@dataclass(frozen=True, slots=True)
class RunOptions:
    """What a caller may say about one run, over what the chain says."""

    limit: int | None = None
    """How many items to take, in input order; `None` is all."""
    sample: int | None = None
    """How many items to take, spread over all documents, which are read first; `None` is all. Not beside `limit`."""
    sample_seed: int = 0
    """Another one is another sample."""
    concurrency: int | None = None
    """How many calls at once; `None` is what the chain says."""
    changed_since: str | None = None
    """An earlier run: what has not changed since is not read."""
    resume: str | None = None
    """A run to go on with; `limit`, `sample` and `changed_since` are what it was begun with."""
    reuse: str | None = None
    """A run, or `all`: what was answered there is not asked again."""
    max_cost_usd: float | None = None
    """The most that all calls of the run may cost; `None` is no limit."""
    dry_run: bool = False
    """Whether the run is only planned: the model's key is not looked for, and nobody is asked."""
    allow_unpriced: bool = False
    """Whether models without a known price count as free where there is such a limit."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """A chain that fits its configuration, with everything that it needs to run."""

    loaded: LoadedConfig
    chain: LoadedChain
    plan: ChainPlan
    connector: DataConnector
    select: tuple[str, ...]
    model: ChatModel
    provider: str
    """The model's provider, as the configuration names it."""
    model_name: str
    """The model where a step names none."""
    identity: str
    """What decides the answers besides the requests; see `fmf.inference.client.identity_of`."""
    options: RunOptions = RunOptions()
    since: Since | None = None
    """The earlier run whose documents are not read again unless they have changed."""
    unfinished: Unfinished | None = None
    """The run to go on with."""

    @property
    def limit(self) -> int | None:
        """How many items to take; `None` is all."""
        return self.options.limit

    @property
    def sample(self) -> Sample | None:
        """Which items to take of all; `None` is all."""
        return None if self.options.sample is None else Sample(self.options.sample, self.options.sample_seed)

    @property
    def concurrency(self) -> int:
        """How many calls at once."""
        return self.options.concurrency or self.chain.spec.concurrency

    @property
    def continue_on_error(self) -> bool:
        """Whether a failure leaves the others alone."""
        return self.chain.spec.continue_on_error
