"""Records a model's calls to a file of JSON lines, and replays them without the model."""

from __future__ import annotations

import difflib
import json
import threading
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path
from typing import Any, Self

from chatmodels.errors import ChatModelError, ProviderAuthError
from chatmodels.iface import ChatModel
from chatmodels.pieces import joined, pieces_of
from chatmodels.request_facts import canonical
from chatmodels.request_facts import request_facts as facts_of
from chatmodels.types import ChatChunk, ChatRequest, ChatResponse, HealthStatus, ModelInfo
from chatmodels.wrappers.base import WrappedModel, close_stream
from fmf_core.errors import Code, ConfigurationError, FrameworkError
from fmf_core.redact import redact_value


class RecordingModel(WrappedModel):
    """Passes calls on to `inner` and writes each of them, with its answer or its error, as one line of JSON.

    Secrets are blanked on the way to the file. The file and its folders are made with the first call.

    Args:
        inner: the model that answers.
        path: the file to write.
        append: whether to keep what the file holds; without it the first call begins the file anew.
    """

    def __init__(self, inner: ChatModel, path: str | Path, *, append: bool = False) -> None:
        super().__init__(inner)
        self.path = Path(path)
        self._writer = _Writer(self.path, append=append)

    def around(self, inner: ChatModel) -> Self:
        """A recorder of the same file around another model."""
        other = type(self).__new__(type(self))
        other.__dict__.update(self.__dict__)
        WrappedModel.__init__(other, inner)
        return other

    async def complete_async(self, request: ChatRequest) -> ChatResponse:
        """Answer `request` and record the call."""
        try:
            response = await self.inner.complete_async(request)
        except FrameworkError as error:
            self._writer.write(request, {"error": _error_facts(error)})
            raise
        self._writer.write(request, {"response": response.model_dump(mode="json", exclude_defaults=True)})
        return response

    async def stream_async(self, request: ChatRequest) -> AsyncIterator[ChatChunk]:
        """Answer `request` piece by piece and record the pieces; a stream that was left early is not recorded."""
        chunks: list[dict[str, Any]] = []
        stream = self.inner.stream_async(request)
        try:
            async for chunk in stream:
                chunks.append(chunk.model_dump(mode="json", exclude_defaults=True))
                yield chunk
        except FrameworkError as error:
            self._writer.write(request, {"chunks": chunks, "error": _error_facts(error)})
            raise
        finally:
            await close_stream(stream)
        self._writer.write(request, {"chunks": chunks})


class ReplayModel(ChatModel):
    """Answers from a recording, without a network and for nothing; blocking, awaited and streamed alike.

    Equal requests are answered in the order in which they were recorded, and from the first again when all were used.
    What was recorded whole can be streamed, and the other way round. Answers carry `cached=True` and cost 0.

    Args:
        path: the file that a `RecordingModel` wrote.

    Raises:
        FrameworkError: the file does not exist, or (as `ConfigurationError`) is no recording.
    """

    provider_name = "replay"
    in_process = True

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self._lock = threading.Lock()
        self._calls: dict[str, list[_Recorded]] = {}
        for recorded in _read(self.path):
            self._calls.setdefault(recorded.key, []).append(recorded)
        self._used: dict[tuple[str, bool], int] = {}

    async def complete_async(self, request: ChatRequest) -> ChatResponse:
        """Answer `request` as it was answered when it was recorded."""
        return self._next(request, streamed=False).response()

    async def stream_async(self, request: ChatRequest) -> AsyncIterator[ChatChunk]:
        """Answer `request` in the recorded pieces."""
        recorded = self._next(request, streamed=True)
        for chunk in recorded.chunks():
            yield chunk
        recorded.raise_error()

    def get_model_info(self) -> ModelInfo:
        """What this replay is."""
        return ModelInfo(name=self.path.name, provider="replay", capabilities=("chat", "stream"))

    def check_health(self) -> HealthStatus:
        """Healthy: the recording was read when the model was made."""
        calls = sum(map(len, self._calls.values()))
        return HealthStatus(status="healthy", detail=f"{calls} recorded calls")

    def _next(self, request: ChatRequest, *, streamed: bool) -> _Recorded:
        facts = request_facts(request)
        key = canonical(facts)
        calls = self._calls.get(key)
        if not calls:
            raise self._unmatched(request, facts)
        # A call in pieces and a whole one may both be on record; each is answered by its own kind where there is one.
        same_kind = [call for call in calls if call.streamed is streamed] or calls
        with self._lock:
            number = self._used.get((key, streamed), 0)
            self._used[(key, streamed)] = number + 1
        return same_kind[number % len(same_kind)]

    def _unmatched(self, request: ChatRequest, facts: Mapping[str, Any]) -> ChatModelError:
        asked = _readable(facts)
        nearest = _nearest(asked, [_readable(calls[0].request) for calls in self._calls.values()])
        diff = "\n".join(
            difflib.unified_diff(
                nearest.splitlines(), asked.splitlines(), "nearest recorded", "asked", n=1, lineterm=""
            )
        )
        return ChatModelError(
            f"the prompt {_short(request.prompt)!r} is not on record in {self.path}\n{diff}",
            op="replay.complete",
            code=Code.NOT_FOUND,
            hint="record it again with RecordingModel, or make the request equal to the recorded one",
            fields={"prompt": redact_value(request.prompt), "diff": diff},
        )


class _Recorded:
    """One call on record."""

    def __init__(self, line: Mapping[str, Any]) -> None:
        self.request: Mapping[str, Any] = line["request"]
        self.key = canonical(self.request)
        self.streamed = "chunks" in line
        self._chunks = [ChatChunk.model_validate(chunk) for chunk in line.get("chunks", ())]
        self._error: Mapping[str, Any] | None = line.get("error")
        self._response: ChatResponse | None = None
        if not {"response", "chunks", "error"} & set(line):
            raise ValueError("it has no response, chunks or error")
        if "response" in line:
            self._response = ChatResponse.model_validate({**line["response"], "cached": True, "cost_usd": 0.0})

    def response(self) -> ChatResponse:
        """The whole answer."""
        self.raise_error()
        if self._response is None:
            self._response = _joined(self._chunks)
        return self._response

    def chunks(self) -> list[ChatChunk]:
        """The pieces; what was recorded whole is one piece."""
        if self._response is None or self._chunks:
            return self._chunks
        return pieces_of(self._response)

    def raise_error(self) -> None:
        """Raise the recorded error, if there is one."""
        if self._error is not None:
            kind = ProviderAuthError if self._error.get("code") == Code.AUTH else ChatModelError
            raise kind(**{**self._error, "code": Code(self._error["code"])})


class _Writer:
    """One file that calls are added to, line by line, from any thread."""

    def __init__(self, path: Path, *, append: bool) -> None:
        self._path = path
        self._mode = "a" if append else "w"
        self._lock = threading.Lock()

    def write(self, request: ChatRequest, outcome: Mapping[str, Any]) -> None:
        line = json.dumps({"request": request_facts(request), **redact_value(outcome)}, ensure_ascii=False)
        with self._lock:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with self._path.open(self._mode, encoding="utf-8") as file:
                file.write(line + "\n")
            self._mode = "a"


def request_facts(request: ChatRequest) -> dict[str, Any]:
    """What of `request` decides the answer, as JSON values and with every secret blanked."""
    blanked: dict[str, Any] = redact_value(facts_of(request))
    return blanked


def _read(path: Path) -> list[_Recorded]:
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except FileNotFoundError as error:
        raise FrameworkError(
            f"the recording {path} does not exist",
            op="replay.open",
            code=Code.NOT_FOUND,
            hint="make it with RecordingModel(model, path)",
        ) from error
    recorded = []
    for number, line in enumerate(lines, start=1):
        try:
            recorded.append(_Recorded(json.loads(line)))
        except (ValueError, KeyError, TypeError) as error:
            raise ConfigurationError(
                f"{path}:{number} is no recorded call: {error}", op="replay.open", hint="record the calls again"
            ) from error
    return recorded


def _joined(chunks: list[ChatChunk]) -> ChatResponse:
    response = joined(chunks)
    if response is None:
        raise ChatModelError(
            "the recorded stream has no end: usage or finish reason is missing",
            op="replay.complete",
            code=Code.BAD_REPLY,
        )
    return response.model_copy(update={"cached": True, "cost_usd": 0.0})


def _error_facts(error: FrameworkError) -> dict[str, Any]:
    return {
        "message": error.message,
        "op": error.op,
        "code": str(error.code),
        "hint": error.hint,
        "retry_after": error.retry_after,
        "fields": {name: value for name, value in error.fields.items() if _is_plain(value)},
    }


def _is_plain(value: object) -> bool:
    return value is None or isinstance(value, str | int | float | bool)


def _readable(facts: Mapping[str, Any]) -> str:
    return json.dumps(facts, indent=2, ensure_ascii=False)


def _nearest(asked: str, recorded: list[str]) -> str:
    def likeness(text: str) -> float:
        return difflib.SequenceMatcher(None, asked[:_COMPARED], text[:_COMPARED], autojunk=False).quick_ratio()

    return max(recorded, key=likeness, default="")


_COMPARED = 20_000
_short: Callable[[str], str] = lambda text: text if len(text) <= 200 else text[:200] + "…"  # noqa: E731
