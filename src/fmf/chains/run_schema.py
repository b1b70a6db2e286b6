"""What `run.yaml` holds, as a schema that others can hold it against."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from fmf_core.described import described_schema

Count = Annotated[int, Field(ge=0)]
Money = Annotated[float, Field(ge=0)]
Moment = Annotated[str, Field(pattern=r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$")]
Digest = Annotated[str, Field(pattern=r"^sha256:[0-9a-f]{64}$")]


class _Part(BaseModel):
    """A part of the record; a key that stands nowhere here is refused."""

    model_config = ConfigDict(extra="forbid")


class RunChain(_Part):
    """The chain that was run."""

    name: str
    path: str | None
    hash: Digest


class RunVersions(_Part):
    """What ran it."""

    fmf: str
    python: str


class RunNotice(_Part):
    """What the listing left out, or nobody read."""

    reason: str
    count: Count


class RunSample(_Part):
    """Which part of the items was taken."""

    items: Count
    seed: int


class RunInputs(_Part):
    """What was read."""

    connector: str
    select: list[str]
    documents: Count
    bytes: Count
    changed_since: str | None = None
    """The earlier run, where only changes were wanted."""
    vanished: Count = 0
    """Documents that the earlier run knew and that are gone."""
    unchanged: Count = 0
    """Documents that are what they were in the earlier run."""
    sample: RunSample | None = None
    notices: list[RunNotice] = []


class RunProvider(_Part):
    """Who answered."""

    name: str
    model: str


class RunPrompt(_Part):
    """A prompt that was used."""

    id: str
    version: str
    content_hash: str


class RunDocumentStates(_Part):
    """Documents by the state in which they ended."""

    ok: Count
    failed: Count
    skipped: Count


class RunItemStates(_Part):
    """Items by the state in which they ended."""

    total: Count
    ok: Count
    failed: Count
    skipped: Count


class RunStepCounts(_Part):
    """What became of one step."""

    calls: Count
    """Executions that asked the model."""
    ok: Count
    failed: Count
    skipped: Count
    retried: Count
    """Executions that took more than one request."""
    cached: Count
    """Executions that a cache, a recording or another run answered."""


class RunCounts(_Part):
    """How many there were."""

    documents: Count
    documents_by_status: RunDocumentStates
    chunks: Count
    """Chunks, or rows of tables."""
    items: RunItemStates
    deferred: Count
    """Items that a run which stopped left to the one that goes on."""
    steps: dict[str, RunStepCounts]


class RunMetrics(_Part):
    """What it took."""

    tokens_prompt: Count
    tokens_completion: Count
    cost_estimate_usd: Money | None
    """Null where a price is unknown."""
    retries: Count
    source_retries: Count
    answers_cut: Count
    """Answers that are ok although max_tokens cut them."""
    duration_ms: Money


class RunErrors(_Part):
    """Lines of `errors.jsonl`."""

    count: Count
    by_code: dict[str, Count]


class RunArtefact(_Part):
    """A file that the run left."""

    path: str
    """From the run's folder, or absolute."""
    bytes: Count
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class RunUnknownRequest(_Part):
    """A request of which nobody knows what became of it."""

    question: str
    at_risk_usd: Money | None


class RunLedgerSums(_Part):
    """What the ledger comes to, over all processes of the run."""

    requests: Count
    answers: Count
    unknown: Count
    """Requests of unknown outcome."""
    spent_usd: Money
    at_risk_usd: Money
    """What may have been spent besides."""
    max_cost_usd: Money | None
    unknown_requests: list[RunUnknownRequest]


class RunRecord(_Part):
    """The whole of `run.yaml`."""

    schema_version: Literal[1]
    run_id: Annotated[str, Field(pattern=r"^\d{8}T\d{9}Z-[0-9a-f]{6}$")]
    status: Literal["completed", "partial", "failed", "cancelled", "interrupted"]
    started_at: Moment
    ended_at: Moment
    profile: str | None
    config_hash: str
    processing_hash: str
    chain: RunChain | None
    """Null where nothing was asked."""
    versions: RunVersions
    inputs: RunInputs
    provider: RunProvider | None
    prompts_used: list[RunPrompt]
    counts: RunCounts
    metrics: RunMetrics
    errors: RunErrors
    exports: list[Any]
    artefacts: list[RunArtefact]
    resumed: Count = 0
    """How often the run was resumed."""
    ledger: RunLedgerSums | None = None
    """Missing where nothing was asked."""


def run_schema() -> dict[str, Any]:
    """The schema of `run.yaml` as JSON Schema (draft 2020-12), every key with its description."""
    return described_schema(RunRecord, "run.yaml")
